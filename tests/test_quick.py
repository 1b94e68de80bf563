"""What the quick formulas have to leave to the definition, which few rows are evaluated by."""

import functools
import re

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest
from jax import export

from jxent import logits, losses, probs
from jxent._numerics import fast, fast_chained
from jxent._numerics.fast_probs import minus_log_of_rest

ROWS, CLASSES, FEW = 200, 100, 8


@pytest.fixture
def forgotten():
    """Nothing traced before is found in a test that changes what is traced, and nothing of that later."""
    jax.clear_caches()
    yield
    jax.clear_caches()


def _by_definition(function, *operands):
    """A few rows at a time: too few numbers for a quick formula."""
    portions = zip(*(x.reshape(-1, FEW, *x.shape[1:]) for x in operands), strict=True)
    return np.concatenate([function(*some) for some in portions])


def _logits(rng, dtype=np.float32):
    return tuple(jnp.asarray(rng.normal(size=(ROWS, CLASSES)), dtype) for _ in range(2))


GENERATORS = {
    "maximum": lambda t: jnp.maximum(t - 1.0, 0.0),
    "reciprocal": lambda t: 1.0 / t - 1.0,
    "choice": lambda t: jnp.where(t > 1.0, t - 1.0, 0.0),
}


@pytest.mark.parametrize("room", [probs, logits])
@pytest.mark.parametrize("name", GENERATORS)
def test_a_generator_cannot_hide_what_is_no_probability(room, name, rng):
    """A maximum and a choice may drop a NaN, and 1/t makes a number of infinity."""
    pair = _logits(rng)
    p, q = pair if room is logits else (jax.nn.softmax(z) for z in pair)
    measure = jax.jit(lambda p, q: room.f_divergence(p, q, GENERATORS[name]))
    for bad in (np.nan, np.inf):
        worse = (p.at[0, 3].set(bad), q.at[1, 3].set(bad))
        for many in (ROWS, FEW):
            values = measure(worse[0][:many], worse[1][:many])
            assert np.isnan(values[:2]).all()
            assert np.isfinite(values[2:]).all()


@pytest.mark.parametrize("lacking", [0, 1, 1000, 1024, 1025, 4096])
def test_rows_that_lack_a_certificate_are_evaluated_by_themselves(lacking, rng):
    """Up to a quarter of many; of more, all of them. The definition is told from the formula by its value."""
    x = np.ones((4096, 3), np.float32)
    x[rng.choice(4096, lacking, replace=False)] = -1.0

    def quick(axes, x):
        return jnp.full(len(x), 2.0), jnp.all(x > 0.0, axis=axes)

    def exact(axes, x):
        return jnp.sum(x, axis=axes)

    found = jax.jit(lambda x: fast.certified((quick,), exact, (1,), x))(x)
    np.testing.assert_array_equal(found, np.where(x[:, 0] > 0, 2.0 if lacking <= 1024 else 3.0, -3.0))


def test_a_class_lost_to_underflow_against_a_huge_logit(rng):
    """Its exponential is 0, its probability is not, and the other side all but excludes it."""
    a, b = _logits(rng)
    a = a.at[0].set(a[0] * 0.5 - 26.0).at[0, 5].set(-88.5)
    b = b.at[0].add(-26.0).at[0, 5].set(-1e30)
    for measure in (logits.kl_divergence, logits.cross_entropy, logits.jeffreys_divergence):
        assert float(measure(a, b)[0]) == pytest.approx(float(measure(a[:FEW], b[:FEW])[0]), rel=4e-6)
        assert float(measure(a, b)[0]) > 5.0
    steep = jax.jit(lambda a, b: logits.f_divergence(a, b, lambda t: 1.0 - t**0.05))
    np.testing.assert_allclose(steep(a, b)[:FEW], steep(a[:FEW], b[:FEW]), rtol=4e-6)


@pytest.mark.slow
@pytest.mark.parametrize("room", [probs, logits])
def test_logarithms_of_an_affinity(room, rng, x64):
    """XLA's log1p is off by 100 units of float64 between −½ and −0.3."""
    p, q = (jnp.asarray(rng.dirichlet(np.full(CLASSES, 0.5), ROWS)) for _ in range(2))
    given = (p, q) if room is probs else (jnp.log(p), jnp.log(q))
    orders = {"bhattacharyya": room.bhattacharyya_distance, "renyi": lambda p, q: room.renyi_divergence(p, q, 0.9)}
    for name, measure in orders.items():
        np.testing.assert_allclose(measure(*given), _by_definition(measure, *given), rtol=8e-15, err_msg=name)


def test_the_logarithm_of_a_rest_has_the_digits_of_what_is_taken_away(dtype, rng):
    """From half down to far below a unit of 1, of both signs, and all negative ones, as of orders above 1."""
    small = 10.0 ** rng.uniform(-30.0, np.log10(0.5), 2000)
    units = rng.uniform(0.0, 4.0, 500) * np.finfo(dtype).eps
    large = -(10.0 ** rng.uniform(-1.0, 3.0, 2000))
    x = np.concatenate([small, -small, units, large, rng.uniform(-512.0, -511.0, 200)]).astype(dtype)
    with mpmath.workdps(50):
        expected = np.array([float(-mpmath.log(1 - mpmath.mpf(float(v)))) for v in x])
    np.testing.assert_allclose(jax.jit(minus_log_of_rest)(x).astype(dtype), expected, rtol=2.0 * np.finfo(dtype).eps)


def test_a_deficit_far_below_nothing(dtype, rng):
    """Σ p²/q a little above a power of two, where 1 less it is rounded to twice as coarse a grid."""
    p = rng.dirichlet(np.full(CLASSES, 0.5), ROWS)
    q = p.copy()
    p[:, 0], q[:, 0] = 0.5, 0.25 / rng.uniform(511.6, 512.4, ROWS)
    for x in (p, q):
        x[:, 1:] *= (1.0 - x[:, :1]) / x[:, 1:].sum(1, keepdims=True)
    given = jnp.asarray(p, dtype), jnp.asarray(q, dtype)

    def measure(p, q):
        return probs.renyi_divergence(p, q, 2.0)

    tolerance = {"float32": 4e-6, "float64": 4e-15}[dtype.name]
    np.testing.assert_allclose(measure(*given), _by_definition(measure, *given), rtol=tolerance)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["float64", "float16", "complex64", "int32"])
@pytest.mark.parametrize("room", [probs, logits])
def test_a_generator_may_close_over_traced_arrays_of_any_dtype(room, kind, rng, x64):
    a, b = _logits(rng)
    pair = (jax.nn.softmax(a), jax.nn.softmax(b)) if room is probs else (a, b)

    @jax.jit
    def of(pair, c):
        return room.f_divergence(*pair, lambda t: (t - 1.0) ** 2 * jnp.real(c).astype(t.dtype))

    threes = of(pair, jnp.full(a.shape, 3, kind))
    np.testing.assert_allclose(threes, 3.0 * of(pair, jnp.ones(a.shape, jnp.float32)), rtol=4e-6)


@pytest.mark.parametrize("shift", [11.9, 6.0, 3.0, -8.0])
def test_a_shift_of_rows_in_which_one_class_has_the_weight(shift, rng):
    """The rounding of terms as large as the shift, over a value that is small."""
    z = 0.1 * rng.normal(size=(ROWS, CLASSES))
    z[:, 0] += 6.7
    z = z - np.log(np.exp(z).sum(1, keepdims=True)) + shift
    single = jnp.asarray(z, jnp.float32)
    exact_single = np.asarray(single, float)
    up = np.exp(exact_single - exact_single.max(1, keepdims=True))
    p = up / up.sum(1, keepdims=True)
    expected = -(p * np.log(p)).sum(1)
    np.testing.assert_allclose(logits.entropy(single), expected, rtol=4e-6)
    np.testing.assert_allclose(logits.cross_entropy(single, single), expected, rtol=4e-6)


@pytest.mark.slow
@pytest.mark.parametrize("order", [0.5, 2.0])
@pytest.mark.parametrize("name", ["renyi_divergence", "alpha_divergence"])
def test_a_mask_at_the_end_of_the_range_is_one_of_any_size(name, order, rng):
    """Reciprocals of logarithms as large as the largest number are below the smallest normal one."""
    a, b = (z[:FEW] for z in _logits(rng))

    def value(mask, order):
        return getattr(logits, name)(a.at[:, 3].set(mask), b, order).sum()

    largest = float(jnp.finfo(jnp.float32).min)
    np.testing.assert_allclose(value(largest, order), value(-1e30, order), rtol=4e-6)
    slopes = [jax.grad(value, argnums=1)(mask, order) for mask in (largest, -1e30, -1e3)]
    np.testing.assert_allclose(slopes, [slopes[-1]] * 3, rtol=1e-5)


def _of_mean(measure, *operands):
    """The compiled program of a caller who has other uses for a 0: a mean, a comparison and a choice."""

    def of(*operands):
        values = measure(*operands)
        return values.mean(), jnp.where(operands[0][:, 0] < 0.0, 0.0, values)

    return jax.jit(of).lower(*operands).compile().as_text()


CHAINED = [
    *((probs, name) for name in fast_chained.PROBS),
    *((logits, name) for name in fast_chained.LOGITS),
    *((room, "f_divergence") for room in (probs, logits)),
]
FIRST = ("entropy", "alpha_divergence", "f_divergence")
ALONE = {"entropy", "renyi_entropy", "tsallis_entropy"}
FULL_NAMES = {"hellinger": "hellinger_distance", "bhattacharyya": "bhattacharyya_distance"}


@pytest.mark.skipif(jax.default_backend() != "cpu", reason="the formulas are those of the CPU")
@pytest.mark.parametrize(
    ("room", "name"), [pytest.param(*c, marks=[] if c[1] in FIRST else [pytest.mark.slow]) for c in CHAINED]
)
def test_chained_sums_begin_with_a_zero_of_their_own(room, name):
    """Whatever else the caller's program does with a 0: they are several times as slow where it is an operand."""
    name = name.removesuffix(" of a row")
    measure = getattr(room, FULL_NAMES.get(name, name))
    orders = {"alpha_divergence", "renyi_divergence", "renyi_entropy", "tsallis_entropy"}
    # So many that the compiler cares, and a prime number, of which no loop forms the sums.
    rows = [jax.ShapeDtypeStruct((50_000, 1_009), jnp.float32)] * (1 if name in ALONE else 2)
    if name == "f_divergence":
        measure = functools.partial(measure, generator=lambda t: (jnp.sqrt(t) - 1.0) ** 2)
    text = _of_mean(measure, *rows, *([jax.ShapeDtypeStruct((), jnp.float32)] if name in orders else []))
    several = [block for block in text.split("\n}\n") if len(re.findall(r"= f32\S* reduce\(", block)) > 1]
    assert several, "the sums are no longer formed together"
    assert not [block for block in several if re.search(r"reduce\(%\S+ %param", block)]


@pytest.mark.parametrize("mapped", [False, True])
def test_export_with_a_size_that_is_a_symbol(mapped, rng):
    """Nothing can be asked of such a size: the definition serves all of them."""
    z, w = _logits(rng)
    shape = export.symbolic_shape(f"rows, {CLASSES}")
    for measure in (logits.kl_divergence, losses.softmax_cross_entropy):
        given = (z, jax.nn.softmax(w))
        program = jax.jit(jax.vmap(measure) if mapped else measure)
        exported = export.export(program)(*(jax.ShapeDtypeStruct(shape, x.dtype) for x in given))
        np.testing.assert_allclose(exported.call(*given), measure(*given), rtol=4e-6)


@pytest.mark.parametrize("measure", [logits.kl_divergence, probs.kl_divergence, logits.total_variation])
def test_a_gpu_asks_for_certificates_only_of_what_is_large(measure, forgotten, monkeypatch):
    """Lowered for one, which needs none: the host waits for a choice, which small arrays are not worth."""
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")

    def choices(rows):
        one = jax.ShapeDtypeStruct((rows, 1024), np.float32)
        program = jax.jit(lambda p, q: measure(p, q)).trace(one, one).lower(lowering_platforms=("cuda",)).as_text()
        return len(re.findall(r"stablehlo\.(?:case|if)", program))

    # Beside that of the platform: whether all rows are certified, and if not, whether but few of them lack it.
    assert choices(fast.LARGE // 1024) == choices(fast.LARGE // 1024 - 1) + 2


@pytest.mark.parametrize("name", ["cross_entropy", "kl_divergence", "jeffreys_divergence", "chi_squared_divergence"])
def test_what_is_below_the_smallest_normal_number_counts_as_0(name, rng, forgotten, monkeypatch):
    """Whoever evaluates it: a GPU, other than a CPU, computes with such numbers."""
    monkeypatch.setattr(fast, "LARGE", fast.SMALL)
    p, q = (np.exp(np.asarray(z)) / np.exp(z).sum(1, keepdims=True) for z in _logits(rng))
    for side, row, value in ((q, 0, 1e-40), (q, 1, 0.0), (p, 2, 1e-40), (p, 3, 0.0), (p, 4, np.nan), (q, 5, -1e-40)):
        side[row, 7] = value
    p[6], q[7] = q[6], 1.0001 * p[7]
    measure = getattr(probs, name)
    found = np.asarray(measure(jnp.asarray(p), jnp.asarray(q)))
    np.testing.assert_allclose(found, _by_definition(measure, p, q), rtol=4e-6)
    assert np.isinf(found[:2]).all()


def test_a_gpu_gives_its_formulas_no_subnormal_number(monkeypatch):
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    smallest = np.finfo(np.float32).tiny
    given = np.asarray([1e-40, -1e-40, smallest, -smallest, np.nan, -np.inf, 0.5], np.float32)
    (found, labels), _ = fast._of_normal(lambda _, *x: (x, jnp.ones((), bool)), (0,), jnp.asarray(given), jnp.arange(7))
    np.testing.assert_array_equal(found, [0.0, 0.0, *given[2:]])
    np.testing.assert_array_equal(labels, np.arange(7))
