"""Estimators from samples: transforms, options, memory, edges of the numbers, and refusals."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jxent
from jxent import samples
from tests.test_samples import METHODS, conditional, entropy, pair, plain

pytestmark = pytest.mark.usefixtures("quick_compile")


# Transforms and options


# Every public function, with a second array beside the samples that are transformed.
CALLS = {
    "entropy": lambda x, y, **o: samples.entropy(x, **o),
    "kl_divergence": samples.kl_divergence,
    **{f"mutual_information-{m}": functools.partial(samples.mutual_information, method=m) for m in METHODS},
    "conditional_mutual_information": lambda x, y, **o: samples.conditional_mutual_information(x, y, y[::-1], **o),
    "transfer_entropy": samples.transfer_entropy,
}


def test_every_function_stands_in_the_table():
    assert {name.split("-")[0] for name in CALLS} == set(samples.__all__)


FAST = ("entropy", "mutual_information-ksg1")


@pytest.mark.parametrize("name", [n if n in FAST else pytest.param(n, marks=pytest.mark.slow) for n in CALLS])
def test_transforms_bases_and_dtypes(name):
    f = CALLS[name]
    x, y, labels = pair(40, dtype=np.float32)
    batch = jnp.stack([x, 2 * x + y, y])
    other = jnp.stack([labels] * 3) if name.endswith("ross") else batch[::-1] ** 3
    alone = np.asarray([f(a, b) for a, b in zip(batch, other, strict=True)])
    np.testing.assert_allclose(jax.vmap(f)(batch, other), alone, atol=3e-6)
    one, two = batch[0], other[0]
    for base in (2, 10):
        np.testing.assert_allclose(f(one, two, base=base), alone[0] / np.log(base), rtol=1e-5, atol=1e-6)
    assert f(one[:, 0].astype(jnp.float16), two if two.dtype == jnp.int32 else two[:, 0]).dtype == jnp.float32
    slope = jax.grad(lambda a: f(a, two))(one)
    tangent = jax.jvp(lambda a: f(a, two), (one,), (one,))[1]
    np.testing.assert_allclose(tangent, jnp.sum(slope * one), rtol=1e-4, atol=1e-5)
    with pytest.raises(ValueError, match="base=1"):
        f(one, two, base=1)


@pytest.mark.parametrize("method", ["ksg1", pytest.param("ksg2", marks=pytest.mark.slow)])
def test_a_program_that_makes_the_samples_itself(method, x64):
    """A compiler that formed them anew for every use, with other rounding, would lose the neighbours."""
    x, y, _ = pair(60, 2, 1)
    x[:, 1] *= 1000

    def scaled(v):
        centred = v - jnp.mean(v, axis=0, keepdims=True)
        return centred / jnp.sqrt(jnp.mean(centred**2, axis=0, keepdims=True))

    def made(x, y):
        x, y = scaled(x), scaled(y)
        return x, y, samples.mutual_information(x, y, method=method)

    x, y, found = jax.jit(made)(x, y)
    assert float(found) == pytest.approx(plain(method, np.asarray(x), np.asarray(y)), abs=1e-11)


def test_integers_become_floats():
    assert samples.entropy([1, 2, 4, 8, 16]).dtype == jnp.float32


@pytest.mark.slow
def test_batches_by_tiles(x64):
    x = jnp.asarray(np.random.default_rng(3).standard_cauchy(size=(3, 1100, 2)))
    y = jnp.asarray(np.random.default_rng(4).standard_cauchy(size=(3, 1100, 1)))
    np.testing.assert_allclose(jax.vmap(samples.entropy)(x), [samples.entropy(a) for a in x], rtol=1e-13)
    found = jax.vmap(samples.mutual_information)(x, y)
    np.testing.assert_allclose(found, [samples.mutual_information(*a) for a in zip(x, y, strict=True)], atol=1e-13)


@pytest.mark.slow
def test_standardized_columns(x64):
    x, y, _ = pair(60, 2, 1)
    x[:, 1] *= 1000
    scaled = [(v - v.mean(0)) / v.std(0) for v in (x, y)]
    f = functools.partial(samples.mutual_information, standardize=True)
    assert float(f(x, y)) == pytest.approx(plain("ksg1", *scaled), abs=1e-12)
    assert float(f(np.c_[x, np.full(60, 7.0)], y)) == pytest.approx(plain("ksg1", *scaled), abs=1e-12)
    found = samples.conditional_mutual_information(x, y, y + x[:, :1], standardize=True)
    z = y + x[:, :1]
    assert float(found) == pytest.approx(conditional(*scaled, (z - z.mean(0)) / z.std(0)), abs=1e-12)
    found = samples.transfer_entropy(x, y, standardize=True)
    late = [(v - v.mean(0)) / v.std(0) for v in (y[1:], x[:-1], y[:-1])]
    assert float(found) == pytest.approx(conditional(*late), abs=1e-12)


@pytest.mark.slow
def test_memory_of_a_hundred_thousand_points():
    x = jax.ShapeDtypeStruct((100_000,), jnp.float32)
    memory = jax.jit(samples.mutual_information).lower(x, x).compile().memory_analysis()
    assert memory.temp_size_in_bytes < 2**28


# Edges


@pytest.mark.slow
def test_ties_among_all_that_there_are(x64):
    x, y = np.asarray([0.0, 0, 1, 5]), np.asarray([0.0, 0, 1, 4])
    assert float(samples.entropy(x)) == pytest.approx(entropy(x))
    for method in ("ksg1", "ksg2", "mixed"):
        assert float(samples.mutual_information(x, y, method=method)) == pytest.approx(plain(method, x, y))
    assert float(samples.conditional_mutual_information(x, y, x)) == pytest.approx(conditional(x, y, x))
    assert float(samples.kl_divergence([0.0, 1, 2.5, 4], [0.5, 0.5, 3.0])) == pytest.approx(-0.2625, abs=1e-4)


@pytest.mark.slow
def test_numbers_at_the_ends_of_the_range():
    x, y, labels = pair(60, dtype=np.float32)
    for method in METHODS:
        f = functools.partial(samples.mutual_information, method=method, standardize=True)
        other = (lambda s: labels) if method == "ross" else (lambda s: s * y)
        for s in np.asarray([1e-30, 1e30], np.float32):
            assert float(f(s * x, other(s))) == pytest.approx(float(f(x, other(1))), abs=3e-2)
    far = np.asarray([-3e38, 3e38, -2.9e38, 2.8e38, 1e38, -1e38, 0, 2e38], np.float32)
    assert np.isnan(samples.entropy(far, k=7))
    for method in ("ksg1", "ksg2", "mixed"):
        assert np.isnan(samples.mutual_information(far, far[::-1], k=7, method=method))


@pytest.mark.slow
def test_integers_beyond_32_bits():
    whole = np.random.default_rng(0).integers(0, 2**40, 50)
    np.testing.assert_allclose(samples.entropy(whole), samples.entropy(whole.astype(np.float32)), rtol=1e-6)
    with pytest.raises(TypeError, match=r"np\.unique\(y, return_inverse=True\)"):
        samples.mutual_information(whole.astype(np.float32), whole, method="ross")
    yes = whole % 2 == 0
    x = np.random.default_rng(1).normal(size=50).astype(np.float32)
    found = samples.mutual_information(x, yes, method="ross")
    assert found == samples.mutual_information(x, yes.astype(np.int32), method="ross")


def test_points_that_coincide():
    x = np.repeat(np.arange(10.0, dtype=np.float32), 5)
    y = x[::-1].copy()
    assert np.isnan(samples.entropy(x))
    assert np.isnan(jax.grad(samples.entropy)(x)).any()
    assert np.isnan(samples.kl_divergence(x, y + 0.5))
    assert np.isnan(samples.kl_divergence(np.arange(10.0), x))
    for method in ("ksg1", "ksg2"):
        assert np.isnan(samples.mutual_information(x, y, method=method))
    assert np.isnan(samples.conditional_mutual_information(x, y, x))
    assert np.isnan(samples.mutual_information(x, (x % 2).astype(np.int32), method="ross"))
    # As many as k at one place are neighbours like others.
    twice = np.concatenate([np.random.default_rng(0).normal(size=30)] * 2).astype(np.float32)
    assert np.isfinite(samples.entropy(twice))


@pytest.mark.slow
def test_constants():
    rng = np.random.default_rng(0)
    x, constant = rng.normal(size=50).astype(np.float32), np.full(50, 3.0, np.float32)
    for method in ("ksg1", "mixed"):
        assert float(samples.mutual_information(constant, x, method=method)) == pytest.approx(0, abs=0.05)
    assert float(samples.mutual_information(x, constant)) == pytest.approx(0, abs=1e-5)
    assert np.isnan(samples.mutual_information(constant, x, method="gaussian"))
    assert np.isnan(samples.mutual_information(constant, x, method="gaussian_copula"))
    assert float(samples.mutual_information(x, np.zeros(50, np.int32), method="ross")) == pytest.approx(0, abs=1e-5)
    assert np.isnan(samples.mutual_information(x, np.arange(50, dtype=np.int32), method="ross"))


@pytest.mark.parametrize(
    "bad", [pytest.param(np.nan), *(pytest.param(b, marks=pytest.mark.slow) for b in (np.inf, -np.inf))]
)
def test_what_is_not_finite_gives_nan(bad):
    x = np.random.default_rng(0).normal(size=40).astype(np.float32)
    y = x.copy()
    y[7] = bad
    for method in METHODS[:3] + METHODS[4:]:
        assert np.isnan(samples.mutual_information(x, y, method=method))
    assert np.isnan(samples.mutual_information(y, np.arange(40, dtype=np.int32) % 2, method="ross"))
    assert np.isnan(samples.entropy(y))
    assert np.isnan(samples.kl_divergence(x, y))
    assert np.isnan(samples.kl_divergence(y, x))
    assert np.isnan(samples.conditional_mutual_information(x, x, y))
    assert np.isnan(samples.transfer_entropy(x, y))
    with pytest.raises(ValueError, match=r"samples\.entropy\(\): `x` at index \(7,\) is .*, expected a finite number"):
        jxent.checked(samples.entropy)(y)


X = np.arange(6.0, dtype=np.float32)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: samples.entropy(X, k=6), r"entropy\(\): k=6 neighbours of `x` asked of 5 points"),
        (lambda: samples.entropy(X, k=0), "k=0 must be at least 1"),
        (lambda: samples.entropy(X, k=True), "k=True must be an int"),
        (lambda: samples.entropy(X.reshape(1, 2, 3)), r"`x` has shape \(1, 2, 3\), expected samples \[n, d\]"),
        (lambda: samples.entropy(3.0), r"`x` has shape \(\), expected samples"),
        (lambda: samples.entropy(np.zeros((0, 2))), r"`x` has shape \(0, 2\), which holds no samples"),
        (lambda: samples.entropy(["a"]), "expected real numbers"),
        (lambda: samples.kl_divergence(X, X[:2]), "k=3 neighbours of `y` asked of 2 points"),
        (lambda: samples.kl_divergence(X, X.reshape(3, 2)), "`x` has 1 coordinates and `y` 2"),
        (lambda: samples.mutual_information(X, X[:5]), "`x` has 6, `y` has 5 samples"),
        (lambda: samples.mutual_information(X, X, method="gaussian", k=0), "k=0 must be at least 1"),
        (lambda: samples.mutual_information(X, X, method="ksg"), "method='ksg' is not known; expected one of ksg1"),
        (lambda: samples.mutual_information(X, X, method="ross"), "integer labels for `y`, which has dtype float32"),
        (
            lambda: samples.mutual_information(X, np.zeros((6, 1), int), method="ross"),
            r"`y` has shape \(6, 1\)",
        ),
        (lambda: samples.mutual_information(X, np.zeros(5, int), method="ross"), "`x` has 6, `y` has 5 samples"),
        (lambda: samples.mutual_information(X[:2], X[:2], method="gaussian"), r"2 samples of 1 \+ 1 coordinates"),
        (lambda: samples.conditional_mutual_information(X, X, X[:5]), "`given` has 5 samples"),
        (lambda: samples.transfer_entropy(X, X, history=0), "history=0 must be at least 1"),
        (lambda: samples.transfer_entropy(X, X, history=True), "history=True must be an int"),
        (lambda: samples.transfer_entropy(X, X, history=6), "6 steps leave none with 6 before it"),
        (lambda: samples.transfer_entropy(X, X, history=3), "k=3 neighbours of `target` asked of 2 points"),
    ],
)
def test_refusals(call, message):
    with pytest.raises((ValueError, TypeError), match=message):
        call()
