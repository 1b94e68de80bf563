"""The sums that one loop over the rows forms, and the exponential that it uses."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.experimental import checkify

from jxent import logits, losses, probs
from jxent._numerics import fast, fast_looped, loops
from jxent._numerics.loops import PIECES, SHORT, cut_of, exponential, fit, row_sums
from tests import reference as ref

UNIT = 2.0**-24


def test_the_exponential_within_units(rng):
    x = np.concatenate([rng.uniform(-s, s, 20000) for s in (0.4, 1.0, 10.0, 87.0)]).astype(np.float32)
    error = np.abs(np.asarray(jax.jit(exponential)(x), float) / np.exp(x.astype(float)) - 1.0)
    assert error.max() <= 2.1 * UNIT
    np.testing.assert_array_equal(jax.jit(exponential)(jnp.zeros(3)), 1.0)


def test_the_exponential_beyond_its_range():
    """Below the smallest normal number 0, and above the range what no certificate is given for."""
    low = np.log(float(np.finfo(np.float32).tiny))
    below = np.array([low - 1e-4, -100.0, -1e30, -np.inf], np.float32)
    above = np.array([88.0, 89.0, 1e30, np.inf, np.nan], np.float32)
    np.testing.assert_array_equal(jax.jit(exponential)(below), 0.0)
    assert float(jax.jit(exponential)(jnp.float32(low + 1e-4))) == pytest.approx(np.exp(low + 1e-4), rel=1e-5)
    assert (np.asarray(jax.jit(exponential)(above)) > 1e38).all()


def test_the_logarithm_within_units(rng):
    near_one = 1.0 - 10.0 ** -rng.uniform(0.0, 8.0, 20000)
    x = np.concatenate([rng.uniform(0.0, 1.6, 20000), 10.0 ** -rng.uniform(-37.0, 37.0, 20000), near_one])
    x = x.astype(np.float32)[x.astype(np.float32) != 1.0]
    exact = np.log(x.astype(float))
    error = np.abs(np.asarray(jax.jit(loops.log)(x), float) - exact)
    assert (error / np.maximum(1.0, np.abs(exact))).max() <= 2.1 * UNIT
    assert (error / np.abs(exact)).max() <= 8.0 * UNIT
    edges = jnp.array([1.0, 0.0, -0.0, jnp.inf, jnp.nan, -1e-30, -1.0, -jnp.inf], jnp.float32)
    one, zero, *others = np.asarray(jax.jit(loops.log)(edges))
    assert one == 0.0
    assert zero == pytest.approx(-88.03, abs=0.01)
    assert np.isfinite(others).all()


def test_the_probability_of_a_logarithm(rng):
    """The same exponential, but what is not a number stays so, and every derivative is the value."""
    x = np.concatenate([-rng.uniform(0.0, s, 20000) for s in (0.4, 10.0, 87.0)]).astype(np.float32)
    relative = np.abs(np.asarray(jax.jit(loops.probability)(x), float) / np.exp(x.astype(float)) - 1.0)
    assert relative.max() <= 2.1 * UNIT
    edges = jnp.array([0.0, -0.0, -1e30, -jnp.inf, jnp.nan, -jnp.nan], jnp.float32)
    np.testing.assert_array_equal(jax.jit(loops.probability)(edges), [1.0, 1.0, 0.0, 0.0, jnp.nan, jnp.nan])
    value = jax.jit(loops.probability)(x)
    for derivative in (jax.grad(loops.probability), jax.hessian(loops.probability)):
        # Two programs: what of them is fused may differ.
        np.testing.assert_allclose(jax.jit(jax.vmap(derivative))(x), value, rtol=4.0 * UNIT)


def test_the_gradient_of_a_row_that_is_not_a_number(rng):
    """Neither 0 nor the largest number, as the exponential of the sums would have it, and no other row is touched."""
    z = rng.normal(size=(20, 100)).astype(np.float32)
    z[3, 7], z[5, 0] = np.nan, np.inf
    labels = np.arange(20)
    gradient = np.asarray(jax.grad(lambda z: losses.softmax_cross_entropy_with_integer_labels(z, labels).sum())(z))
    assert np.isnan(gradient[3]).all()
    assert not np.isfinite(gradient[5]).all()
    others = np.delete(np.arange(20), [3, 5])
    assert np.isfinite(gradient[others]).all()
    clean = jax.grad(lambda z: losses.softmax_cross_entropy_with_integer_labels(z, labels[others]).sum())(z[others])
    np.testing.assert_allclose(gradient[others], clean, rtol=4e-6)


def test_no_nan_on_the_way_to_the_gradient_of_a_class_that_is_ruled_out(rng):
    """As checkify sees it, which looks at every operation."""
    z = jnp.asarray(rng.normal(size=(20, 300)), jnp.float32).at[0, 5].set(-jnp.inf)

    def gradient(z):
        return jax.grad(lambda z: losses.softmax_cross_entropy_with_integer_labels(z, jnp.arange(20)).sum())(z)

    error, found = checkify.checkify(jax.jit(gradient), errors=checkify.nan_checks)(z)
    error.throw()
    assert found[0, 5] == 0.0


ON_CPU = pytest.mark.skipif(jax.default_backend() != "cpu", reason="the formulas are those of the CPU")


@ON_CPU
@pytest.mark.parametrize("classes", [64, 208, 209, 1000, 2003, 12001, 32768, 32771, 50257, 128256, 1000003])
def test_cuts_leave_out_no_column(classes):
    cut = cut_of(classes)
    assert cut.segments * cut.columns == classes
    assert cut.columns // cut.width <= PIECES
    assert cut.width % 8 == 0
    prime = classes in (2003, 32771, 1000003)
    assert (cut.segments == 1) == (prime or classes <= 209)
    assert (cut.columns > SHORT) == (prime or classes in (209, 12001, 50257))
    assert fit((1,), jnp.zeros((16, classes), jnp.float32)) == (classes not in (209, 2003))
    assert loops.are_long((1,), jnp.zeros((16, classes), jnp.float32)) == (classes > 32768)


@ON_CPU
@pytest.mark.parametrize(
    ("shape", "axes", "dtype"),
    [
        ((16, 63), (1,), "float32"),
        ((16, 211), (1,), "float32"),
        ((15, 1000), (1,), "float32"),
        ((1000, 16), (0,), "float32"),
        ((16, 1000), (1,), "float16"),
    ],
)
def test_what_is_no_work_for_the_loop(shape, axes, dtype):
    assert fit((1,), jnp.zeros((16, 1000), jnp.float32))
    assert not fit(axes, jnp.zeros(shape, dtype))


def _moments(x, y):
    return x, y, x * y


@pytest.mark.parametrize(
    "classes",
    [5, 130, 1000, *(pytest.param(k, marks=pytest.mark.slow) for k in (1, 16, 17, 337, 997, 1345, 2003, 5000))],
)
@pytest.mark.parametrize("portion", [None, 5])
def test_row_sums_of_any_number_of_classes(classes, portion, rng, monkeypatch):
    """All rows at once, and a portion at a time, of which the last begins among the rows of the one before."""
    rows = 24
    if portion:
        cut = cut_of(classes)
        monkeypatch.setattr(loops, "PORTION", portion * 3 * cut.segments * cut.width)
    x, y = (jnp.asarray(rng.normal(size=(2, rows // 2, classes)), jnp.float32) for _ in range(2))
    found = jax.jit(lambda x, y: row_sums(_moments, x, y))(x, y)
    for values, total in zip(_moments(*(np.asarray(z, float) for z in (x, y))), found, strict=True):
        assert total.shape == (2, rows // 2)
        np.testing.assert_allclose(total, values.sum(-1), atol=8 * UNIT * np.abs(values).sum(-1).max())
    (alone,) = jax.jit(lambda x: row_sums(lambda x: (x,), x))(x)
    np.testing.assert_allclose(alone, found[0], atol=8 * UNIT * np.abs(x).sum(-1).max())


def test_a_prime_number_of_classes_needs_no_large_constant():
    """The pieces of a million classes that are not cut into segments are 24,000 columns wide."""
    x = jax.ShapeDtypeStruct((16, 1_000_003), jnp.float32)
    program = jax.make_jaxpr(lambda x, y: row_sums(_moments, x, y))(x, x)
    assert max((np.size(c) for c in program.consts), default=0) < 10_000
    z = jnp.ones((16, 99_991), jnp.float32)
    np.testing.assert_allclose(row_sums(_moments, z, z), 99_991.0, rtol=1e-6)


def _check(name, a, b, expected):
    """The values that are certified are right; which those are."""
    one = name == "entropy"
    value, sure = jax.jit(fast_looped.LOGITS[name], static_argnums=0)((1,), *(a, b)[: 1 if one else 2])
    np.testing.assert_allclose(np.asarray(value)[sure], np.asarray(expected, float)[sure], rtol=4e-6, err_msg=name)
    return np.asarray(sure)


@pytest.mark.parametrize("shift", [(0.0, 0.0), (5.0, -3.0), (40.0, 40.0), (-60.0, 0.0), (100.0, 100.0), (0.0, -200.0)])
@pytest.mark.parametrize("scale", [1.0, *(pytest.param(s, marks=pytest.mark.slow) for s in (1e-4, 30.0))])
def test_rows_of_any_range(shift, scale, rng):
    a = rng.normal(size=(16, 150)) * scale
    b = a + rng.normal(size=(16, 150)) * min(scale, 1.0)
    a, b = (np.asarray(z + s, np.float32) for z, s in zip((a, b), shift, strict=True))
    exact = [tuple(ref.softmax(ref.exact(z))[0] for z in pair) for pair in zip(a, b, strict=True)]
    for name, given in {"entropy": 1, "cross_entropy": 2, "kl_divergence": 2}.items():
        sure = _check(name, a, b, [float(getattr(ref, name)(*pair[:given])) for pair in exact])
        if scale == 1.0 and shift == (0.0, 0.0):
            assert name == "kl_divergence" or sure.all()
        if scale == 1e-4 or abs(shift[0]) == 100.0:
            assert not (sure.any() if name == "kl_divergence" or shift[0] == 100.0 else False)


def test_what_the_sums_cannot_hold(rng):
    a, b = (np.asarray(rng.normal(size=(32, 1000)), np.float32) for _ in range(2))
    a[0, 3], b[0, 3] = -np.inf, -np.inf
    b[1, 3] = -np.inf
    a[2, 3], b[3, 3] = np.nan, np.nan
    a[4, 3] = 3e38
    a[5], b[6] = -np.inf, -np.inf
    a[7, 3], b[7, 3] = -87.34, -3e38
    for name, lacking in {"entropy": [0, 2, 4, 5], "cross_entropy": range(7), "kl_divergence": range(7)}.items():
        expected = getattr(logits, name)(*(a, b)[: 1 if name == "entropy" else 2])
        sure = _check(name, a, b, expected)
        assert not sure[list(lacking)].any()
        assert sure[8:].all()


@pytest.mark.parametrize("x64", [False, True])
def test_float32_under_strict_rules(x64, rng):
    a, b = (jnp.asarray(rng.normal(size=(4, 5, 33000)), jnp.float32) for _ in range(2))
    expected = logits.kl_divergence(a, b)
    strict = jax.numpy_dtype_promotion("strict"), jax.numpy_rank_promotion("raise"), jax.debug_nans(True)
    with jax.enable_x64(x64), strict[0], strict[1], strict[2]:
        found = jax.jit(lambda a, b: logits.kl_divergence(a, b))(a, b)
        assert found.dtype == jnp.float32
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("count", [64, 60, 5])
def test_the_definition_of_a_portion_at_a_time(count, rng, monkeypatch):
    """With a parameter, which serves every portion."""
    monkeypatch.setattr(fast, "PORTION", 10 * 8)
    x, y = (jnp.asarray(rng.normal(size=(count, 10)), jnp.float32) for _ in range(2))

    def exact(axes, x, y, order):
        return jnp.sum(x * y**order, axis=axes)

    found = jax.jit(lambda *operands: fast._in_portions(exact, jnp.full(count, jnp.nan), *operands))(x, y, 3.0)
    np.testing.assert_allclose(found, exact((1,), x, y, 3.0), rtol=1e-5)


@ON_CPU
@pytest.mark.parametrize(
    ("measure", "sums"), [(logits.entropy, 2), (logits.cross_entropy, 3), (logits.kl_divergence, 3)]
)
def test_one_loop_forms_all_sums(measure, sums):
    """Whatever else the caller does with them: the partial sums of every row come out of one fusion."""

    def program(*operands):
        values = measure(*operands)
        return values.mean(), jnp.where(operands[0][:, 0] < 0.0, 0.0, values)

    rows = [jax.ShapeDtypeStruct((64, 1000), jnp.float32)] * min(2, sums - 1)
    text = jax.jit(program).lower(*rows).compile().as_text()
    (loop,) = re.findall(rf"= f32\[64,5,16,{sums}\]\S+ fusion\(.*calls=(\S+),.*branch_0_fun/cond/branch_1_fun", text)
    (body,) = (block for block in text.split("\n}\n") if block.lstrip().startswith(loop + " "))
    assert body.count("shift-left") == 13 * (sums - 1)


@pytest.mark.slow
def test_losses_and_log_probabilities_of_many_classes(rng):
    """Beyond what the kernels sum quickly, a vocabulary with a divisor and one without."""
    for classes in (33000, 32771):
        z = np.asarray(rng.normal(size=(16, classes)), np.float32)
        labels = rng.integers(0, classes, 16)
        expected = z - np.log(np.exp(z.astype(float)).sum(1, keepdims=True))
        picked = np.take_along_axis(expected, labels[:, None], 1)[:, 0]
        np.testing.assert_allclose(losses.softmax_cross_entropy_with_integer_labels(z, labels), -picked, rtol=4e-6)
        np.testing.assert_allclose(logits.log_probabilities(z), expected, rtol=4e-6)


@pytest.mark.parametrize("classes", [1000, *(pytest.param(k, marks=pytest.mark.slow) for k in (32771, 128256))])
def test_rounding_that_goes_one_way(classes):
    """Equal logits, two levels, and one class of almost all the weight: nothing is averaged in a long sum of those."""
    rows, certified = 32 if classes == 1000 else 4, 0
    shift = np.linspace(-5.0, 30.0, rows)[:, None]
    flat = np.zeros((rows, classes))
    levels = np.where(np.arange(classes) < 24, 0.0, -16.64)[None] + flat
    peak = np.where(np.arange(classes) < 1, 0.0, -16.65)[None] + flat
    ramp = np.linspace(0.0, 8.0, classes)[None] + flat
    outlier = -np.log(classes) + np.where(np.arange(classes) < 1, -np.linspace(0.2, 8.0, rows)[:, None], 0.0)
    for teacher in (flat, levels, levels[:, ::-1], peak, peak[:, ::-1]):
        for student in (flat, ramp, outlier):
            for first, second in ((shift, shift), (0.0, shift), (shift, 3.0)):
                a, b = (np.asarray(x, np.float32) for x in (teacher + first, student + second))
                log_p, log_q = (z - np.log(np.exp(z.astype(np.longdouble)).sum(1, keepdims=True)) for z in (a, b))
                p = np.exp(log_p)
                certified += _check("entropy", a, b, -(p * log_p).sum(1)).sum()
                certified += _check("cross_entropy", a, b, -(p * log_q).sum(1)).sum()
                certified += _check("kl_divergence", a, b, (p * (log_p - log_q)).sum(1)).sum()
    assert certified > 30 * rows


PARAMETERS = {
    "renyi_entropy": (2.0,),
    "tsallis_entropy": (2.0,),
    "renyi_divergence": (0.5,),
    "alpha_divergence": (0.5,),
}
LONG = [
    (room, name)
    for room, tables in (("probs", (fast.PROBS,)), ("logits", (fast.LOGITS, fast.LOOPED_LOGITS)))
    for name in sorted({name.removesuffix(" of a row") for table in tables for name in table})
]
FIRST = (("probs", "entropy"), ("probs", "hellinger"), ("logits", "kl_divergence"), ("logits", "log_probabilities"))


@pytest.mark.parametrize(
    ("room", "name"), [pytest.param(*case, marks=[] if case in FIRST else [pytest.mark.slow]) for case in LONG]
)
def test_rows_of_a_large_vocabulary(room, name, rng):
    """Each in segments; with one row that has no certificate, and without."""
    name = {"hellinger": "hellinger_distance", "bhattacharyya": "bhattacharyya_distance"}.get(name, name)
    measure, parameters = getattr({"probs": probs, "logits": logits}[room], name), PARAMETERS.get(name, ())
    one = name in {"entropy", "renyi_entropy", "tsallis_entropy", "probabilities", "log_probabilities"}
    for hard in (False, True):
        a, b = (rng.normal(size=(16, 33000)) * 1.5 for _ in range(2))
        if hard:
            a[3, 7] = 60.0
            b[3] = a[3] + 1e-4 * b[3]
        if room == "probs":
            a, b = (np.exp(z - z.max(1, keepdims=True)) for z in (a, b))
            a, b = (z / z.sum(1, keepdims=True) for z in (a, b))
        given = [jnp.asarray(z, jnp.float32) for z in (a, b)][: 1 if one else 2]
        assert loops.in_segments((1,), *given)[1] == (1, 2) or jax.default_backend() != "cpu"
        found = measure(*given, *parameters)
        with jax.enable_x64(True):
            expected = measure(*(np.asarray(z, float) for z in given), *parameters)
        np.testing.assert_allclose(found, expected, rtol=4e-6, atol=1e-37)


@pytest.mark.slow
def test_rows_of_a_large_vocabulary_in_batches(rng):
    a, b = (jnp.asarray(rng.normal(size=(2, 8, 33000)), jnp.float32) for _ in range(2))
    p, q = jax.nn.softmax(a), jax.nn.softmax(b)
    for measure, given in (
        (probs.kl_divergence, (p, q)),
        (logits.kl_divergence, (a, b)),
        (logits.log_probabilities, (a,)),
    ):
        whole = measure(*(x.reshape(16, -1) for x in given))
        np.testing.assert_array_equal(measure(*given), whole.reshape(2, 8, *whole.shape[1:]))
        np.testing.assert_allclose(jax.jit(jax.vmap(measure))(*given), measure(*given), rtol=4e-6)
