"""The measures of linear heads against plain formulas over logits that are held, in float64, under every transform."""

import functools

import jax
import jax.export
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree
from scipy import stats

import jxent
from jxent import linear, logits, losses

N, D, V, BLOCK = 5, 3, 11, 4
IDS = np.array([[0, 10, 3], [4, 4, 1], [9, 2, 0], [10, 5, 6], [7, 8, 1]])


def operands(rng, n=N, d=D, v=V):
    """Two heads of different sizes D, and the options of their logits."""
    shapes = {"x": (n, d), "w": (v, d), "bias": (v,), "y": (n, d + 1), "u": (v, d + 1), "other_bias": (v,)}
    arrays = {name: jnp.asarray(rng.normal(size=shape)) for name, shape in shapes.items()}
    return arrays | {"temperature": jnp.asarray(0.7), "soft_cap": jnp.asarray(2.0)}


def log_softmax(o, x="x", w="w", bias="bias", mask=None):
    """Log-probabilities of logits that are held."""
    z = o[x] @ o[w].T + o[bias][None, :]
    z = o["soft_cap"] * jnp.tanh(z / o["soft_cap"]) / o["temperature"]
    z = z if mask is None else jnp.where(mask, z, -1e3)
    return z - jnp.log(jnp.sum(jnp.exp(z), axis=-1, keepdims=True)), z


def of_two(formula):
    def of(o, mask=None):
        log_p, log_q = log_softmax(o, mask=mask)[0], log_softmax(o, "y", "u", "other_bias", mask=mask)[0]
        return formula(log_p, log_q)

    return of


def jensen_shannon(log_p, log_q, weight=0.3):
    p, q = jnp.exp(log_p), jnp.exp(log_q)
    log_m = jnp.log(weight * p + (1 - weight) * q + 1e-300)
    return jnp.sum(weight * p * (log_p - log_m) + (1 - weight) * q * (log_q - log_m), axis=-1)


def score(o, mask=None):
    log_p, z = log_softmax(o, mask=mask)
    entropy, total = -jnp.sum(jnp.exp(log_p) * log_p, axis=-1), (z - log_p)[..., 0]
    ids = jnp.asarray(IDS)
    return linear.Score(jnp.take_along_axis(log_p, ids, axis=-1), entropy, total)


PLAIN = {
    "logsumexp": lambda o, mask=None: score(o, mask).logsumexp,
    "entropy": lambda o, mask=None: score(o, mask).entropy,
    "score": score,
    "cross_entropy": of_two(lambda log_p, log_q: -jnp.sum(jnp.exp(log_p) * log_q, axis=-1)),
    "kl_divergence": of_two(lambda log_p, log_q: jnp.sum(jnp.exp(log_p) * (log_p - log_q), axis=-1)),
    "jensen_shannon_divergence": of_two(jensen_shannon),
    "top_k": lambda o, mask=None: jax.lax.top_k(log_softmax(o, mask=mask)[0], 3)[0],
    "softmax_cross_entropy": lambda o, mask=None: -score(o, mask).log_probability[..., 0],
}
TWO_HEADS = ("cross_entropy", "kl_divergence", "jensen_shannon_divergence")


def ours(name, o, block_size=BLOCK, **more):
    """The function of this package on the operands."""
    scale = {"temperature": o["temperature"], "soft_cap": o["soft_cap"], "block_size": block_size}
    function = getattr(linear, name)
    if name in TWO_HEADS:
        more |= {"weight": 0.3} if name.startswith("jensen") else {}
        biases = {"bias_p": o["bias"], "bias_q": o["other_bias"]}
        return function(o["x"], o["w"], o["y"], o["u"], **biases, **scale, **more)
    ids = jnp.asarray(IDS)
    extra = {"score": (ids,), "top_k": (3,), "softmax_cross_entropy": (ids[..., 0],)}.get(name, ())
    found = function(o["x"], o["w"], *extra, bias=o["bias"], **scale, **more)
    return found.log_probabilities if name == "top_k" else found


def scalar(function):
    """A nonlinear function of all results."""
    return lambda o: sum(jnp.sum(jnp.sin(a)) for a in jax.tree.leaves(function(o)))


def close(found, expected, rtol=1e-9, atol=1e-11):
    for one, other in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(one, other, rtol=rtol, atol=atol)


@pytest.mark.parametrize("name", PLAIN)
def test_values_and_masks(name, rng, x64, op_by_op):
    """One class in a block, some, and all; masks of classes and of elements, where a masked class may hold anything."""
    o = operands(rng)
    for size in (1, BLOCK, 100):
        close(ours(name, o, size), PLAIN[name](o))
    of_classes = np.arange(V) != 2
    spoiled = {k: a.at[2].set(jnp.nan) if k in ("w", "bias", "u", "other_bias") else a for k, a in o.items()}
    part = np.any(IDS == 2, axis=1)
    masked = ours(name, spoiled, where=jnp.asarray(of_classes))
    expected = PLAIN[name](o, mask=of_classes)
    close(jax.tree.map(lambda a: a[~part], masked), jax.tree.map(lambda a: a[~part], expected))
    elements = rng.random((N, V)) < 0.7
    np.put_along_axis(elements, IDS, True, axis=1)
    close(ours(name, o, where=jnp.asarray(elements)), PLAIN[name](o, mask=elements))


@pytest.mark.parametrize("name", ["entropy", *TWO_HEADS])
def test_a_row_without_any_class_may_hold_anything(name, rng, x64, op_by_op):
    """It is 0, and the gradients of the other rows are those without it."""
    o, part = operands(rng), np.arange(N) != 1
    bad = {k: a.at[1].set(jnp.nan) if k in ("x", "y") else a for k, a in o.items()}
    left = {k: a[part] if k in ("x", "y") else a for k, a in o.items()}
    f = functools.partial(ours, name, where=jnp.asarray(part[:, None]))
    found, slope = jax.value_and_grad(lambda o: f(o).sum())(bad)
    expected, other = jax.value_and_grad(lambda o: ours(name, o).sum())(left)
    assert f(bad)[1] == 0
    close(found, expected)
    close({k: a[part] if k in ("x", "y") else a for k, a in slope.items()}, other)


@pytest.mark.parametrize("name", ["entropy", "top_k", *TWO_HEADS])
def test_leading_axes(name, rng, x64, op_by_op):
    o = operands(rng)
    lifted = {k: a[None] if k in ("x", "y") else a for k, a in o.items()}
    close(ours(name, lifted), jax.tree.map(lambda a: a[None], ours(name, o)))


FIRST = ("score", "kl_divergence", "jensen_shannon_divergence")
core_first = pytest.mark.parametrize(
    "name", [pytest.param(n, marks=[] if n in FIRST else [pytest.mark.slow]) for n in PLAIN]
)


@core_first
def test_every_derivative(name, rng, x64, op_by_op):
    """grad, jvp and the three products with a Hessian, in every operand, temperature and soft cap among them."""
    o = operands(rng)
    f, plain = scalar(functools.partial(ours, name)), scalar(PLAIN[name])
    way = jax.tree.map(lambda a: jnp.asarray(rng.normal(size=a.shape)), o)
    gradient = jax.grad(f)
    close(gradient(o), jax.grad(plain)(o))
    close(jax.jvp(f, (o,), (way,)), jax.jvp(plain, (o,), (way,)))
    flat, whole = ravel_pytree(o)
    product = whole(jax.hessian(lambda a: plain(whole(a)))(flat) @ ravel_pytree(way)[0])

    def along(o):
        return sum(jnp.vdot(a, b) for a, b in zip(jax.tree.leaves(gradient(o)), jax.tree.leaves(way), strict=True))

    close(jax.jvp(gradient, (o,), (way,))[1], product)
    close(jax.grad(lambda o: jax.jvp(f, (o,), (way,))[1])(o), product)
    close(jax.grad(along)(o), product)


@pytest.mark.slow
@pytest.mark.parametrize("name", PLAIN)
def test_compiled_transforms(name, rng, x64):
    """jit, vmap, scan, checkpoint and export of value and gradient, and a Hessian product over a batch."""
    o = operands(rng)
    batch = {k: jnp.stack([a, 0.5 * a]) if k in ("x", "w") else a for k, a in o.items()}
    axes = {k: 0 if k in ("x", "w") else None for k in o}
    f, plain = scalar(functools.partial(ours, name)), scalar(PLAIN[name])
    expected = jax.vmap(jax.value_and_grad(plain), in_axes=(axes,))(batch)
    both = jax.value_and_grad(jax.checkpoint(f))
    close(jax.jit(jax.vmap(both, in_axes=(axes,)))(batch), expected)

    def over(moving):
        return jax.lax.scan(lambda c, xw: (c, both(o | xw)), 0.0, moving)[1]

    close(jax.jit(over)({k: batch[k] for k in ("x", "w")}), expected)
    exported = jax.export.export(jax.jit(both))(o)
    close(exported.call(o), jax.value_and_grad(plain)(o))
    product = jax.jit(jax.vmap(lambda o: jax.jvp(jax.grad(f), (o,), (o,))[1], in_axes=(axes,)))(batch)
    close(product, jax.vmap(lambda o: jax.jvp(jax.grad(plain), (o,), (o,))[1], in_axes=(axes,))(batch))


def exact_divergences(z, y):
    """KL and Jensen–Shannon divergence in long doubles, from formulas in which nothing cancels."""
    z, y = np.longdouble(z), np.longdouble(y)
    p = np.exp(z - np.logaddexp.reduce(z))
    t = (y - z) - np.sum(p * (y - z))
    kl = np.log1p(np.sum(p * (np.expm1(t) - t)))
    diff = p * np.expm1(t - kl)
    # Far apart nothing cancels, and p or q may underflow.
    m, q, u = p + diff / 2, p + diff, diff / 2
    with np.errstate(divide="ignore", invalid="ignore"):
        of_p = np.where(p > 1e-4000, p * (u / p - np.log1p(u / p)), m)
        of_q = np.where(q > 1e-4000, q * (-u / q - np.log1p(-u / q)), m)
    return float(kl), float(np.sum(of_p + of_q) / 2)


@pytest.mark.parametrize("block_size", [7, None])
@pytest.mark.parametrize("f", [linear.kl_divergence, linear.jensen_shannon_divergence])
def test_heads_that_are_near_and_far(f, block_size, rng):
    """In float32, with products that are exact: an error of rounding only, never negative, 0 for equal heads."""
    x, z = np.eye(3, dtype=np.float32), (3 * rng.normal(size=(3, 500))).astype(np.float32)
    of = functools.partial(f, x, z.T, x, block_size=block_size)
    value_and_slope = jax.jit(jax.value_and_grad(lambda w: (lambda rows: (rows.sum(), rows))(of(w)), has_aux=True))
    for size in (1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 3.0, 100.0):
        y = (z + size * rng.normal(size=z.shape)).astype(np.float32)
        exact = [exact_divergences(*rows)[f is linear.jensen_shannon_divergence] for rows in zip(z, y, strict=True)]
        (_, found), _ = value_and_slope(y.T)
        assert (found >= 0).all()
        np.testing.assert_allclose(found, exact, rtol=4e-6)
    (_, found), slope = value_and_slope(z.T)
    np.testing.assert_array_equal(found, 0.0)
    assert np.abs(slope).max() <= 1e-9


@pytest.mark.parametrize("block_size", [1, pytest.param(2, marks=pytest.mark.slow), 8])
def test_blocks_with_nearly_no_mass_under_one_head(block_size):
    """The mass of q lies where p has underflowed, and classes that are impossible under one of the heads."""
    one = np.ones((1, 1), np.float32)
    heads = [
        (np.array([0.0, *[-200.0] * 7]), np.array([-300.0, 0, *[-300.0] * 6])),
        (np.array([-70.0, -150, *[0] * 6]), np.array([-79.0, 1, *[0] * 6])),
        (np.array([0.0, -90, 3, *[0] * 5]), np.array([0.0, 90, 3, *[0] * 5])),
        (np.array([-100.0, -250, *[0] * 6]), np.array([-120.0, 1, *[0] * 6])),
    ]
    for z, y in heads:
        found = linear.kl_divergence(one, z[:, None], one, y[:, None], block_size=block_size)
        np.testing.assert_allclose(found, exact_divergences(z, y)[0], rtol=4e-6)
    z, y, bias = np.linspace(0, 1, 8)[:, None], np.linspace(1, 0, 8)[:, None], np.where(np.arange(8) == 3, -np.inf, 0.0)
    left = np.arange(8) != 3
    f = functools.partial(linear.kl_divergence, one, block_size=block_size)
    log_p, log_q = (a - np.logaddexp.reduce(a) for a in (z[left, 0], y[:, 0]))
    expected = np.sum(np.exp(log_p) * (log_p - log_q[left]))
    np.testing.assert_allclose(f(z, x_q=one, w_q=y, bias_p=bias), expected, rtol=1e-5)
    value, slope = jax.value_and_grad(lambda w: f(w, x_q=one, w_q=w[::-1], bias_q=bias).sum())(jnp.asarray(z))
    assert value == np.inf
    assert np.isfinite(slope).all()
    js = linear.jensen_shannon_divergence(one, z, one, y, bias_q=bias, block_size=block_size)
    q = np.where(left, np.exp(y[:, 0]), 0.0) / np.exp(y[left, 0]).sum()
    p = np.exp(z[:, 0] - np.logaddexp.reduce(z[:, 0]))
    m = (p + q) / 2
    expected = np.sum(p * np.log(p / m)) / 2 + np.sum(np.where(q > 0, q * np.log(np.where(q > 0, q, 1) / m), 0)) / 2
    np.testing.assert_allclose(js, expected, rtol=1e-5)


@pytest.mark.parametrize("of_p", [0.0, -1e9, -np.inf])
@pytest.mark.parametrize("of_q", [0.0, -100.0, -1e4, -1e9, -np.inf])
def test_a_class_that_is_nearly_or_wholly_impossible(of_p, of_q, x64, op_by_op):
    """A penalty in the logits of one head or of both: values and gradients of the same measures in `logits`."""
    one, zeros = jnp.ones((1, 1), jnp.float32), jnp.zeros((4, 1), jnp.float32)
    z, y = (jnp.asarray(a, jnp.float32) for a in ([0.3, 0.1, -0.2, 0.5], [0.1, 0.4, 0.3, 0.9]))
    z, y = z.at[2].add(of_p), y.at[2].add(of_q)
    for name in TWO_HEADS:

        def held(z, y, name=name):
            return getattr(logits, name)(z, y)

        def ours(z, y, name=name):
            heads = {"bias_p": z, "bias_q": y}
            return getattr(linear, name)(one, zeros, one, zeros, block_size=3, **heads)[0]

        found, expected = (jax.value_and_grad(f, argnums=(0, 1))(z, y) for f in (ours, held))
        if np.isinf(expected[0]):
            assert found[0] == np.inf
            assert all(np.isfinite(a).all() for a in found[1])
        else:
            close(found, expected, rtol=2e-5, atol=2e-7)


@pytest.mark.parametrize("name", PLAIN)
def test_gradients_beside_a_masked_class_of_nan(name, rng, x64, op_by_op):
    """In all operands, with temperature and soft cap."""
    o = jax.tree.map(lambda a: a.astype(jnp.float32), operands(rng))
    spoiled = {k: a.at[2].set(jnp.nan) if k in ("w", "bias", "u", "other_bias") else a for k, a in o.items()}

    def total(o):
        found = ours(name, o, where=jnp.arange(V) != 2)
        return sum(jnp.sum(jnp.where(jnp.isfinite(a), a, 0.0)) for a in jax.tree.leaves(found))

    slopes = jax.grad(total)(spoiled)
    assert all(np.isfinite(a).all() for a in jax.tree.leaves(slopes))


def test_symbolic_numbers_of_rows_and_debug_nans(rng):
    w, ids = jnp.asarray(rng.normal(size=(7, 3)), jnp.float32), jnp.asarray([1, 2])
    x = jnp.asarray(rng.normal(size=(2, 3)), jnp.float32)
    (rows,) = jax.export.symbolic_shape("n")
    shapes = jax.ShapeDtypeStruct((rows, 3), x.dtype), jax.ShapeDtypeStruct((rows,), ids.dtype)
    mean = jax.grad(lambda x, ids: linear.mean_softmax_cross_entropy(x, w, ids))
    close(jax.export.export(jax.jit(mean))(*shapes).call(x, ids), mean(x, ids), rtol=1e-5, atol=1e-7)
    with pytest.raises(ValueError, match="engine='rows' needs numbers of rows"):
        jax.export.export(jax.jit(functools.partial(linear.softmax_cross_entropy, w=w, engine="rows")))(
            shapes[0], labels=shapes[1]
        )
    bad, where = w.at[1].set(jnp.nan), jnp.arange(7) != 1
    with jax.debug_nans(True):
        slope = jax.grad(lambda w: linear.entropy(x, w, where=where).sum())(bad)
    assert (slope[1] == 0).all()


def test_tails_of_a_confident_row(x64, op_by_op):
    """A margin of 30 in float32: log-probability of a candidate, its gradient, and the entropy."""
    x, w = jnp.eye(2, dtype=jnp.float32)[:1], jnp.asarray([[0.0, 1], [30, 0], [0, 0], [-40, 1]], jnp.float32)
    tail = 2 * np.exp(-30.0) + np.exp(-70.0)
    for ids in (jnp.asarray([1]), jnp.asarray([[1, 0]])):
        f = functools.partial(linear.score, x, ids=ids, block_size=1)
        np.testing.assert_allclose(np.ravel(f(w=w).log_probability)[0], -tail, rtol=4e-6)
        slope = jax.grad(lambda w, f=f: jnp.ravel(f(w=w).log_probability)[0])(w)[:, 0]
        np.testing.assert_allclose(slope, [-np.exp(-30.0), tail, -np.exp(-30.0), -np.exp(-70.0)], rtol=4e-6)
    exact = 2 * 30 * np.exp(-30.0) + tail
    np.testing.assert_allclose(linear.entropy(x, w, block_size=1)[0], exact, rtol=4e-6)
    top = linear.top_k(x, w, 1, block_size=1).log_probabilities
    np.testing.assert_allclose(top[0, 0], -tail, rtol=4e-6)


def test_ids_that_are_ignored_out_of_range_or_impossible(x64, op_by_op):
    x, w = jnp.ones((3, 2)), jnp.asarray([[1.0, 0.0], [0.0, 1.0], [2.0, 2.0]])
    where = jnp.asarray([True, True, False])
    for ids, pick in ((jnp.asarray([-100, 3, 2]), lambda a: a), (jnp.asarray([[-100], [3], [2]]), lambda a: a[:, 0])):
        f = functools.partial(linear.score, w=w, ids=ids, ignore_label=-100, where=where, block_size=1)
        found = pick(f(x).log_probability)
        assert found[0] == 0
        assert np.isnan(found[1])
        assert found[2] == -np.inf
        slope = jax.grad(lambda x, f=f, pick=pick: pick(f(x).log_probability)[0])(x)
        assert (slope[0] == 0).all()


def test_rows_that_are_padded_may_hold_anything(x64, op_by_op):
    """In every result of `score`, and under a mask of rows in the measures of two heads."""
    x, w = jnp.asarray([[1.0, 2.0], [jnp.nan, 0.0]]), jnp.asarray([[1.0, 0.0], [0.0, 1.0], [2.0, 2.0]])
    for ids in (jnp.asarray([1, -100]), jnp.asarray([[1, 0], [-100, -100]])):

        def total(x, w, ids=ids):
            return sum(a.sum() for a in linear.score(x, w, ids[: len(x)], ignore_label=-100, block_size=2))

        found, expected = (jax.value_and_grad(total, argnums=(0, 1))(rows, w) for rows in (x, x[:1]))
        np.testing.assert_allclose(found[0], expected[0], rtol=1e-6)
        np.testing.assert_allclose(found[1][1], expected[1][1], rtol=1e-6)
        assert (found[1][0][1] == 0).all()
    part = jnp.asarray([True, False])
    with pytest.raises(
        ValueError, match=r"does not broadcast to the logits \(2, 3\); a mask of rows is where=mask\[..., No"
    ):
        linear.kl_divergence(x, w, x, w, where=part)
    rows = linear.kl_divergence(x, w, x, 2 * w, where=part[:, None])
    assert rows[0] > 0
    assert rows[1] == 0


def test_the_most_probable_classes(x64, op_by_op):
    """Equal classes in the order of their ids; fewer possible classes than asked for."""
    x = jnp.ones((1, 1))
    w = jnp.asarray([[1.0], [3.0], [3.0], [2.0], [3.0]])
    for size in (1, 5):
        found = linear.top_k(x, w, 4, block_size=size)
        assert found.ids.tolist() == [[1, 2, 4, 3]]
        none = linear.top_k(x, w, 2, bias=jnp.full(5, -jnp.inf), block_size=size)
        assert (none.ids == -1).all()
        assert (none.log_probabilities == -np.inf).all()
        few = linear.top_k(x, w, 4, where=jnp.asarray([True, False, False, True, False]), block_size=size)
        assert few.ids.tolist() == [[3, 0, -1, -1]]
        assert few.log_probabilities[0, 2:].tolist() == [-np.inf, -np.inf]
    with pytest.raises(ValueError, match="k=6 is above the number of classes, 5"):
        linear.top_k(x, w, 6)
    with pytest.raises(ValueError, match="k=0 must be an int of at least 1"):
        linear.top_k(x, w, 0)


def test_frequencies_of_draws(rng):
    """A hundred thousand draws over 50 classes, at temperature 2: a chi-squared test."""
    w = jnp.asarray(rng.normal(size=(50, 4)) * 2, jnp.float32)
    x = jnp.asarray(rng.normal(size=4), jnp.float32)
    rows = jnp.broadcast_to(x, (100_000, 4))
    draws = [linear.sample(jax.random.key(5), rows, w, temperature=2.0, block_size=size) for size in (7, 64)]
    np.testing.assert_array_equal(*draws)
    p = np.asarray(jax.nn.softmax(w @ x / 2.0), np.float64)
    counts = np.bincount(draws[0], minlength=50)
    assert stats.chisquare(counts, p / p.sum() * counts.sum()).pvalue > 0.01
    assert (linear.sample(jax.random.key(6), rows[:1000], w) != draws[0][:1000]).any()


def test_draws_do_not_depend_on_blocks_and_keep_to_the_possible(rng, x64, op_by_op):
    x, w = jnp.asarray(rng.normal(size=(2, 40, 3)), jnp.float32), jnp.asarray(rng.normal(size=(70, 3)), jnp.float32)
    where = jnp.asarray(rng.random(70) < 0.3)
    draw = functools.partial(linear.sample, jax.random.key(1), x, w)
    expected = draw(block_size=70)
    for size in (7, 64):
        np.testing.assert_array_equal(draw(block_size=size), expected)
    assert where[draw(where=where, block_size=7)].all()
    assert (draw(where=jnp.zeros(70, bool)) == -1).all()
    assert (linear.sample(jax.random.key(1), x.at[0, 0].set(jnp.nan), w, block_size=7)[0, 0]) == -1
    assert expected.shape == (2, 40)
    with pytest.raises(TypeError, match=r"`key` is a int, expected a key, such as jax\.random\.key\(0\)"):
        linear.sample(0, x, w)
    with pytest.raises(TypeError, match=r"`key` has dtype float32 and shape \(2, 40, 3\), expected a key"):
        linear.sample(x, x, w)


def test_checked_lets_rows_of_weight_0_hold_anything():
    x, w = jnp.asarray([[jnp.nan, 0.0], [1.0, 2.0]]), jnp.ones((3, 2))
    total = jxent.checked(linear.sum_softmax_cross_entropy)(x, w, [0, 1], weights=jnp.asarray([0.0, 1.0]))
    assert total.weight == 1.0
    with pytest.raises(ValueError, match=r"`x` at index \(0, 0\) is nan"):
        jxent.checked(linear.sum_softmax_cross_entropy)(x, w, [0, 1])


def test_micro_batches_add_up(rng):
    """Batches with 32, 20, 8 and 2 kept rows, through `scan` with the gradient of the sums: the mean of the whole."""
    x, w = jnp.asarray(rng.normal(size=(4, 32, 6)), jnp.float32), jnp.asarray(rng.normal(size=(20, 6)), jnp.float32)
    kept = np.arange(32) < np.array([32, 20, 8, 2])[:, None]
    labels = jnp.asarray(np.where(kept, rng.integers(0, 20, (4, 32)), -100))

    def sums(w, x, labels):
        total = linear.sum_softmax_cross_entropy(x, w, labels, ignore_label=-100)
        return total.loss, total

    def step(carry, batch):
        slope, total = jax.grad(sums, has_aux=True)(w, *batch)
        return jax.tree.map(jnp.add, carry, (slope, total)), None

    start = jnp.zeros_like(w), linear.Total(jnp.zeros(()), jnp.zeros(()))
    (slope, total), _ = jax.jit(lambda: jax.lax.scan(step, start, (x, labels)))()
    assert total.weight == float(kept.sum())
    one, other = (linear.sum_softmax_cross_entropy(x[i], w, labels[i], ignore_label=-100) for i in (0, 3))
    np.testing.assert_allclose((one + other).mean, (one.loss + other.loss) / 34, rtol=1e-6)
    (loss, weight), _ = jax.value_and_grad(linear.sum_softmax_cross_entropy, has_aux=True)(x[0], w, labels[0])
    np.testing.assert_allclose((loss, weight), linear.sum_softmax_cross_entropy(x[0], w, labels[0]), rtol=1e-6)
    mean = functools.partial(linear.mean_softmax_cross_entropy, ignore_label=-100)
    value, expected = jax.value_and_grad(lambda w: mean(x, w, labels))(w)
    np.testing.assert_allclose(total.loss / total.weight, value, rtol=1e-6)
    np.testing.assert_allclose(slope / total.weight, expected, rtol=1e-5, atol=1e-7)
    z = x.reshape(-1, 6) @ w.T
    of_rows = losses.softmax_cross_entropy_with_integer_labels(z, jnp.where(labels < 0, 0, labels).ravel())
    np.testing.assert_allclose(value, of_rows[kept.ravel()].mean(), rtol=1e-6)


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        (
            "kl_divergence",
            {"w_q": np.zeros((6, 3))},
            r"`w_p` has shape \(5, 3\) and `w_q` \(6, 3\): 5 against 6 classes",
        ),
        (
            "kl_divergence",
            {"x_q": np.zeros((3, 3))},
            r"`x_p` has shape \(4, 3\) and `x_q` \(3, 3\): expected the same rows",
        ),
        ("kl_divergence", {"w_q": np.zeros((3, 5))}, r"expected x_q \[..., D\] and w_q \[V, D\]; `w_q` looks like"),
        ("cross_entropy", {"bias_q": np.zeros(3)}, r"`bias_q` has shape \(3,\) and `w_q` \(5, 3\)"),
        ("jensen_shannon_divergence", {"weight": 2.0}, r"`weight` is 2.0, expected a number in \[0, 1\]"),
        ("entropy", {"temperature": 0.0}, "`temperature` is 0.0, expected a number > 0"),
        ("entropy", {"soft_cap": -1.0}, "`soft_cap` is -1.0, expected a number > 0"),
        ("score", {"ids": np.zeros((4, 2, 2), int)}, r"`ids` has shape \(4, 2, 2\)"),
    ],
)
def test_errors_say_what_to_do(name, change, message):
    x, w = np.zeros((4, 3), np.float32), np.zeros((5, 3), np.float32)
    if name in TWO_HEADS:
        arguments = {"x_p": x, "w_p": w, "x_q": x, "w_q": w}
    else:
        arguments = {"x": x, "w": w} | ({"ids": np.zeros(4, int)} if name == "score" else {})
    with pytest.raises(ValueError, match=message):
        getattr(linear, name)(**(arguments | change))


def temporaries(f, *shapes):
    """Megabytes of temporary memory of a compiled function."""
    args = [jax.ShapeDtypeStruct(*shape) for shape in shapes]
    return jax.jit(f).lower(*args).compile().memory_analysis().temp_size_in_bytes / 1e6


def with_gradient(function, moving):
    """The results and their gradient in some of the arguments, for given cotangents."""

    def of(cotangents, *args):
        def along(*parts):
            new = dict(zip(moving, parts, strict=True))
            return function(*(new.get(i, a) for i, a in enumerate(args)))

        results, pull = jax.vjp(along, *(args[i] for i in moving))
        return results, pull(jax.tree.map(lambda a: jnp.broadcast_to(cotangents, a.shape), results))

    return of


@pytest.mark.parametrize(
    ("function", "heads", "moving", "bound"),
    [
        pytest.param(lambda x, w, ids: linear.score(x, w, ids), 1, (0, 1), 63, id="score"),
        pytest.param(linear.kl_divergence, 2, (2, 3), 90, id="teacher"),
        pytest.param(linear.kl_divergence, 2, (0, 1), 90, id="reversed", marks=pytest.mark.slow),
        pytest.param(linear.kl_divergence, 2, (0, 1, 2, 3), 130, id="both"),
        pytest.param(linear.jensen_shannon_divergence, 2, (0, 1, 2, 3), 150, id="mixture", marks=pytest.mark.slow),
        pytest.param(lambda x, w, _: linear.top_k(x, w, 8), 1, None, 40, id="top"),
        pytest.param(lambda x, w, _: linear.sample(jax.random.key(0), x, w), 1, None, 40, id="draw"),
    ],
)
def test_memory(function, heads, moving, bound):
    """N = 4096, D = 256, V = 32768 in float32, whose logits take 537 MB for each head, and no growth at 2V."""
    n, d, found = 4096, 256, []
    for v in (32768, 65536):
        head = [((n, d), jnp.float32), ((v, d), jnp.float32)]
        args = head * 2 if heads == 2 else [*head, ((n,), jnp.int32)]
        if moving is not None:
            args = [((n,), jnp.float32), *args]
        found.append(temporaries(function if moving is None else with_gradient(function, moving), *args))
    assert max(found) <= bound
    assert found[1] <= 1.01 * found[0]
