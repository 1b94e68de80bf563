"""The linear cross-entropy: extremes and rounding, what it refuses, its memory and its engines."""

import functools
import itertools

import jax
import jax.extend
import jax.numpy as jnp
import numpy as np
import pytest

from jxent import linear, losses
from jxent.linear import _engines, _heads
from tests.test_linear import ENGINES


@pytest.mark.slow
@pytest.mark.parametrize("engine", ENGINES)
def test_gradients_of_classes_that_are_alike(engine):
    """Weights of zero: every class is the largest, and keeps the digits of its small probability."""
    x, w = jnp.ones((1, 2), jnp.float32), jnp.zeros((50_000, 2), jnp.float32)
    slope = jax.grad(lambda w: linear.mean_softmax_cross_entropy(x, w, jnp.asarray([7]), engine=engine))(w)[:, 0]
    np.testing.assert_allclose(np.delete(slope, 7), 1 / 50_000, rtol=4e-6)
    np.testing.assert_allclose(slope[7], 1 / 50_000 - 1, rtol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("engine", ENGINES)
def test_rows_without_weight_or_class_may_hold_anything(engine, op_by_op):
    """Values and gradients in every argument are those of rows that are not there."""
    x, w = jnp.asarray([[1.0, 2.0], [jnp.nan, 1.0]]), jnp.asarray([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    labels, where = jnp.asarray([0, -1]), jnp.asarray([[True], [False]])
    moving = (jnp.asarray(0.1), jnp.ones(3), jnp.asarray(0.01))

    def loss(x, w, e, u, z, f=linear.softmax_cross_entropy, **given):
        more = {"label_smoothing": e, "class_weights": u, "z_loss": z, "engine": engine, "block_size": 2}
        return f(x, w, labels[: len(x)], **more, **given).sum()

    everything = jax.value_and_grad(loss, argnums=(0, 1, 2, 3, 4))
    found, expected = everything(x, w, *moving, where=where), everything(x[:1], w, *moving)
    np.testing.assert_allclose(found[0], expected[0], rtol=1e-6)
    assert (found[1][0][1] == 0).all()
    for one, other in zip(found[1][1:], expected[1][1:], strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-7)
    mean = functools.partial(loss, f=linear.mean_softmax_cross_entropy, weights=jnp.zeros(2))
    value, slopes = jax.value_and_grad(mean, argnums=(0, 1, 2, 3, 4))(x, w, *moving)
    assert value == 0
    assert all((s == 0).all() for s in slopes)


def test_bfloat16_gradients_are_added_up_in_float32():
    """1024 blocks of one row: in bfloat16 the sum would stop growing at 128."""
    x, w, labels = jnp.ones((1024, 1), jnp.bfloat16), jnp.zeros((2, 1), jnp.bfloat16), jnp.zeros(1024, int)
    for f in (linear.softmax_cross_entropy, linear.mean_softmax_cross_entropy):
        total = lambda w, f=f: f(x, w, labels, engine="rows", block_size=1).sum()  # noqa: E731
        share = 1024 if f is linear.softmax_cross_entropy else 1
        assert jax.grad(total)(w)[:, 0].tolist() == [-0.5 * share, 0.5 * share]


@pytest.mark.parametrize("engine", ENGINES)
def test_the_tail_of_a_confident_row(engine, op_by_op):
    """A margin of 30 in float32: the loss, and the gradient of the label as −Σ of the others."""
    x, w = (
        jnp.eye(3, dtype=jnp.float32)[:1],
        jnp.asarray([[0.0, 1, 0], [30, 0, 1], [0, 0, 2], [-40, 1, 0]], jnp.float32),
    )
    for labels in (jnp.asarray([1]), jnp.eye(4)[1][None]):
        loss = functools.partial(linear.softmax_cross_entropy, labels=labels, block_size=1, engine=engine)
        tail = 2 * np.exp(-30.0) + np.exp(-70.0)
        np.testing.assert_allclose(loss(x, w), tail, rtol=4e-6)
        in_w = jax.grad(lambda w, loss=loss: loss(x, w).sum())(w)[:, 0]
        np.testing.assert_allclose(in_w, [np.exp(-30.0), -tail, np.exp(-30.0), np.exp(-70.0)], rtol=4e-6)
        mean = functools.partial(linear.mean_softmax_cross_entropy, labels=labels, block_size=1, engine=engine)
        np.testing.assert_allclose(jax.grad(lambda w, mean=mean: mean(x, w))(w)[:, 0], in_w, rtol=4e-6)


@pytest.mark.slow
@pytest.mark.parametrize("engine", ENGINES)
def test_labels_out_of_range_ignored_or_impossible(engine, op_by_op):
    x, w = jnp.ones((5, 2), jnp.float32), jnp.asarray([[1.0, 0], [0, 1], [1, 1]], jnp.float32)
    x = x.at[3].set(jnp.nan)
    labels = jnp.asarray([-1, 3, 1, -100, 2])
    loss = functools.partial(linear.softmax_cross_entropy, ignore_label=-100, block_size=2, engine=engine)
    where = jnp.asarray([True, True, False])
    found, pull = jax.vjp(lambda x: loss(x, w, labels, where=where), x)
    assert np.isnan(found[:2]).all()
    assert np.isfinite(found[2])
    assert found[3] == 0
    assert found[4] == np.inf
    (slope,) = pull(jnp.ones(5))
    assert np.isnan(slope[:2]).all()
    assert np.isfinite(slope[2:]).all()
    assert (slope[3] == 0).all()
    kept = jnp.asarray([1, 0, -100, -100, 1])
    mean = functools.partial(linear.mean_softmax_cross_entropy, ignore_label=-100, engine=engine, block_size=2)
    value, (in_x, in_w) = jax.value_and_grad(lambda x, w: mean(x, w, kept), argnums=(0, 1))(x, w)
    expected = loss(x, w, kept)
    np.testing.assert_allclose(value, losses.mean(expected, where=kept != -100), rtol=1e-6)
    assert np.isfinite(in_w).all()
    assert (in_x[2:4] == 0).all()
    none = jnp.full(5, -100)
    value, slopes = jax.value_and_grad(lambda x, w: mean(x, w, none), argnums=(0, 1))(x, w)
    assert value == 0
    assert all((s == 0).all() for s in slopes)
    assert mean(x, w, kept, weights=jnp.zeros(5)) == 0


@pytest.mark.slow
@pytest.mark.parametrize("engine", ENGINES)
def test_a_masked_class_may_hold_anything(engine, rng, op_by_op):
    x, w = (jnp.asarray(rng.normal(size=s), jnp.float32) for s in ((4, 3), (5, 3)))
    w, bias = w.at[2].set(jnp.nan), jnp.zeros(5).at[2].set(jnp.nan)
    where, labels = jnp.asarray([True, True, False, True, True]), jnp.asarray([0, 1, 3, 4])
    left = np.array([0, 1, 3, 4])
    for f in (linear.softmax_cross_entropy, linear.mean_softmax_cross_entropy):
        of = functools.partial(f, engine=engine, block_size=2)
        found, slope = jax.value_and_grad(lambda *a, of=of: of(*a, labels, where=where).sum(), argnums=(0, 1))(x, w)
        small = jax.value_and_grad(lambda *a, of=of: of(*a, jnp.arange(4)).sum(), argnums=(0, 1))(x, w[left])
        np.testing.assert_allclose(found, small[0], rtol=1e-6)
        np.testing.assert_allclose(slope[0], small[1][0], rtol=1e-5, atol=1e-7)
        np.testing.assert_allclose(slope[1][left], small[1][1], rtol=1e-5, atol=1e-7)
        assert (slope[1][2] == 0).all()
        in_bias = jax.grad(lambda b, of=of: of(x, w, labels, where=where, bias=b).sum())(bias)
        assert np.isfinite(in_bias).all()


def of_whole_logits(x, w, labels, accumulate):
    """Mean loss and gradients from the logits as one array, their gradient in the dtype of the operands."""
    multiply = functools.partial(jnp.einsum, preferred_element_type=accumulate)

    def mean(z):
        return losses.mean(losses.softmax_cross_entropy_with_integer_labels(z, labels))

    value, slope = jax.value_and_grad(mean)(multiply("nd,vd->nv", x, w))
    slope = slope.astype(x.dtype)
    return value, tuple(a.astype(x.dtype) for a in (multiply("nv,vd->nd", slope, w), multiply("nv,nd->vd", slope, x)))


def errors(rng, n, d, v, size, *, scale=1.0, dominating=False, dtype=jnp.float32):
    """Largest errors of mean and gradients against float64: ours by both engines, and those from the whole logits."""
    x, w = (jnp.asarray(rng.normal(size=s), dtype) for s in ((n, d), (v, d)))
    w = (w * jnp.asarray(scale, dtype)).at[0].multiply(10 if dominating else 1)
    labels = jnp.asarray(rng.integers(0, v, n))
    with jax.enable_x64(True):
        wide = (jnp.asarray(np.asarray(a, np.float64)) for a in (x, w))
        reference = jax.tree.map(np.asarray, of_whole_logits(*wide, labels, jnp.float64))

    def error(found):
        pairs = zip(jax.tree.leaves(found), jax.tree.leaves(reference), strict=True)
        return max(float(np.max(np.abs(np.asarray(a, np.float64) - b))) for a, b in pairs)

    def ours(engine):
        mean = functools.partial(linear.mean_softmax_cross_entropy, labels=labels, engine=engine, block_size=size)
        return error(jax.jit(jax.value_and_grad(mean, argnums=(0, 1)))(x, w))

    return {e: ours(e) for e in ENGINES}, error(jax.jit(of_whole_logits, static_argnums=3)(x, w, labels, jnp.float32))


@pytest.mark.parametrize(
    ("shape", "given"),
    [
        ((37, 19, 301, 64), {}),
        ((5, 8, 3, 64), {}),
        ((64, 16, 1000, 128), {"dominating": True}),
        pytest.param((64, 16, 1000, 999), {"scale": 1000.0}, marks=pytest.mark.slow),
        ((40, 24, 130, 32), {"dtype": jnp.bfloat16}),
    ],
)
def test_error_no_larger_than_that_of_the_whole_logits(shape, given, rng):
    ours, whole = errors(rng, *shape, **given)
    for engine, error in ours.items():
        assert error <= whole + 1e-6, (engine, error, whole)


@pytest.mark.slow
def test_bfloat16_gradients_are_bfloat16_and_losses_float32(rng, op_by_op):
    x, w = (jnp.asarray(rng.normal(size=s), jnp.bfloat16) for s in ((6, 4), (9, 4)))
    labels = jnp.arange(6)
    for engine in ENGINES:
        f = functools.partial(linear.mean_softmax_cross_entropy, labels=labels, engine=engine, block_size=2)
        value, slope = jax.value_and_grad(f, argnums=(0, 1))(x, w)
        assert value.dtype == jnp.float32
        assert [s.dtype for s in slope] == [jnp.bfloat16] * 2
    half = linear.softmax_cross_entropy(x.astype(jnp.float16), w.astype(jnp.float16), labels)
    assert half.dtype == jnp.float32
    assert linear.logsumexp(x, w).dtype == jnp.float32


@pytest.mark.slow
def test_rows_of_any_rank(rng, op_by_op):
    x, w = (jnp.asarray(rng.normal(size=s), jnp.float32) for s in ((2, 3, 4), (5, 4)))
    labels, soft = jnp.asarray([[0, 1, 2], [3, 4, 0]]), jnp.asarray(rng.dirichlet(np.ones(5), (2, 3)), jnp.float32)
    where = jnp.asarray(rng.random((2, 1, 5)) < 0.5).at[0, 0, :3].set(True).at[1, 0, jnp.asarray([0, 3, 4])].set(True)
    for engine, t in itertools.product(ENGINES, (labels, soft)):
        f = functools.partial(linear.softmax_cross_entropy, w=w, engine=engine, block_size=2, where=where)
        mask = jnp.broadcast_to(where, (2, 3, 5)).reshape(6, 5)
        expected = f(x.reshape(6, 4), labels=t.reshape((6, *t.shape[2:])), where=mask)
        np.testing.assert_allclose(f(x, labels=t).reshape(6), expected, rtol=1e-6)
        assert f(x[0, 0], labels=t[0, 0], where=None).shape == ()
    none = linear.softmax_cross_entropy(jnp.zeros((0, 4)), w, jnp.zeros(0, int))
    assert none.shape == (0,)
    assert linear.mean_softmax_cross_entropy(jnp.zeros((0, 4)), w, jnp.zeros(0, int)) == 0
    nothing = linear.mean_softmax_cross_entropy(jnp.zeros((3, 0)), w[:, :0], jnp.zeros(3, int))
    np.testing.assert_allclose(nothing, np.log(5), rtol=1e-6)


X, W, IDS = np.zeros((4, 3), np.float32), np.zeros((5, 3), np.float32), np.zeros(4, int)


@pytest.mark.parametrize(
    ("args", "given", "error", "message"),
    [
        ((X, W.T, IDS), {}, ValueError, r"`w` looks like \[D, V\], as in jxent.regression: pass w.T"),
        ((X, W[0], IDS), {}, ValueError, r"expected x \[..., D\] and w \[V, D\]"),
        ((X, W[:0], IDS), {}, ValueError, "no classes"),
        ((X, W, IDS[:3]), {}, ValueError, r"`labels` has shape \(3,\).*expected one class id per row, shape \(4,\)"),
        ((X, W, X[:, 0]), {}, TypeError, r"expected integer class ids \(4,\).*floats of shape \(4, 5\)"),
        ((X, W, np.zeros((4, 5))), {"ignore_label": 0}, ValueError, "ignore_label=0 needs integer labels"),
        ((X, W, IDS), {"bias": np.zeros(3)}, ValueError, r"`bias` has shape \(3,\).*one number per class"),
        ((X, W, IDS), {"class_weights": np.zeros((4, 5))}, ValueError, r"`class_weights` has shape \(4, 5\)"),
        ((X, W, IDS), {"where": np.ones(5)}, TypeError, "expected bool"),
        ((X, W, IDS), {"where": np.ones((3, 5), bool)}, ValueError, "does not broadcast to the logits"),
        ((X, W, IDS), {"engine": "columns"}, ValueError, "engine='columns' is not known; expected one of rows"),
        ((X, W, IDS), {"axis_name": "i"}, ValueError, "axis_name='i' is no mesh axis here"),
        ((X, W, np.zeros((4, 5), int)), {}, ValueError, r"per row pass floats of shape \(4, 5\)"),
        ((X, W, IDS), {"block_size": 0}, ValueError, "block_size=0 must be an int of at least 1"),
        ((X, W, IDS), {"label_smoothing": 1.5}, ValueError, r"expected a number in \[0, 1\]"),
        ((X, W, IDS), {"z_loss": np.zeros(2)}, ValueError, "`z_loss` has shape"),
        ((X * 1j, W, IDS), {}, TypeError, "expected real numbers"),
    ],
)
def test_errors_say_what_to_do(args, given, error, message):
    for f in (linear.softmax_cross_entropy, linear.mean_softmax_cross_entropy):
        with pytest.raises(error, match=message):
            f(*args, **given)


def temporaries(f, *shapes):
    """Bytes of temporary memory of a compiled function, without what cuBLAS takes for itself, whatever the size."""
    args = [jax.ShapeDtypeStruct(shape, kind) for shape, kind in shapes]
    found = jax.jit(f).lower(*args).compile().memory_analysis().temp_size_in_bytes
    return found - (1 << 25 if jax.default_backend() == "gpu" else 0)


def test_memory_of_the_unreduced_loss_its_mean_and_a_hessian_product():
    """N = 4096, D = 256, V = 32768 and twice that, in float32 with default blocks; 1074 MB with the logits."""
    n, d, v = 4096, 256, 32768
    x, labels, g = ((n, d), jnp.float32), ((n,), jnp.int32), ((n,), jnp.float32)

    def gradient(x, w, labels, g):
        return jax.vjp(lambda x, w: linear.softmax_cross_entropy(x, w, labels), x, w)[1](g)

    def product(x, w, labels, g, u, v):
        along = lambda x, w: sum(map(jnp.vdot, gradient(x, w, labels, g), (u, v)))  # noqa: E731
        return jax.grad(along, argnums=(0, 1))(x, w)

    mean = jax.value_and_grad(linear.mean_softmax_cross_entropy, argnums=(0, 1))
    bound = 12 * n * (d + 1024)
    found = [temporaries(gradient, x, ((k, d), jnp.float32), labels, g) for k in (v, 2 * v)]
    assert max(found) <= bound
    assert found[1] <= 1.01 * found[0]
    w = ((v, d), jnp.float32)
    assert temporaries(mean, x, w, labels) <= 12 * n * d + 4 * d * v + 12 * 256 * v
    assert temporaries(product, x, w, labels, g, x, w) <= bound + 8 * d * v

    def with_options(x, w, labels, g, bias):
        given = {"bias": bias, "class_weights": bias, "label_smoothing": 0.1, "z_loss": 1e-4, "ignore_label": -1}
        return jax.vjp(lambda x, w: linear.softmax_cross_entropy(x, w, labels, where=bias > 0, **given), x, w)[1](g)

    assert temporaries(with_options, x, w, labels, g, ((v,), jnp.float32)) <= bound
    x, w = ((n, d), jnp.bfloat16), ((v, d), jnp.bfloat16)
    assert temporaries(mean, x, w, labels) <= 12 * n * d + 4 * d * v + 12 * 256 * v


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize(("n", "d", "v"), [(16384, 1024, 128256), (4096, 256, 32768), (512, 64, 1_000_000), (30, 8, 4)])
def test_an_accelerator_takes_as_many_rows_as_the_bound_of_memory_leaves(n, d, v, dtype, monkeypatch):
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    chosen = []

    def choose(x, w):
        operands = _heads.Operands((_heads.Head(x, w),))
        chosen.append((_engines.pick(None, None, operands, None), _engines.row_block(None, operands)))

    jax.eval_shape(choose, jax.ShapeDtypeStruct((n, d), "float32"), jax.ShapeDtypeStruct((v, d), dtype))
    ((engine, rows),) = chosen
    assert engine == "rows"
    itemsize = 4 if dtype == "float32" else 2
    gradients = 0 if dtype == "float32" else 4 * d * v + 4 * n * d
    assert gradients + (4 + itemsize) * rows * v <= 12 * n * d + 4 * d * v + 12 * 256 * v
    assert rows == n or rows % 128 == 0
    assert rows >= min(n, 256)


def largest(jaxpr):
    """The number of elements of the largest array that a program forms."""
    sizes = [0]
    for eqn in jaxpr.eqns:
        sizes += [getattr(v.aval, "size", 0) for v in eqn.outvars]
        sizes += [largest(j) for j in jax.extend.core.jaxprs_in_params(eqn.params)]
    return max(sizes)


def test_the_engine_that_was_meant_ran():
    """A block of classes of all rows, or a block of rows of all classes, is the largest array."""
    n, d, v = 64, 2, 640
    x, w, labels = jnp.zeros((n, d)), jnp.zeros((v, d)), jnp.zeros(n, int)
    for f in (linear.softmax_cross_entropy, linear.mean_softmax_cross_entropy):
        for engine, size, expected in (("classes", 32, n * 32), ("rows", 3, 3 * v), (None, 32, n * 32)):
            of = functools.partial(f, engine=engine, block_size=size)
            program = jax.make_jaxpr(jax.grad(lambda x, w, of=of: of(x, w, labels).sum(), argnums=(0, 1)))(x, w)
            assert largest(program.jaxpr) == expected, (f.__name__, engine)
