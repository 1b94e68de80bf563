"""Measures of probabilities whose sums one loop forms: near and far rows, and what is left to the definition."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jxent import probs
from jxent._numerics import fast_looped

UNIT = 2.0**-24
ON_CPU = pytest.mark.skipif(jax.default_backend() != "cpu", reason="the formulas are those of the CPU")


@ON_CPU
def test_the_entropy_of_any_row_of_probabilities(rng):
    """From all classes alike to a certain one, counts, and rows that are none."""
    p = rng.dirichlet(np.ones(1000), size=60)
    p[:40] **= np.linspace(0.0, 60.0, 40)[:, None]
    p /= p.sum(1, keepdims=True)
    p[40], p[41:46, 1:] = np.arange(1000) == 5, 0.0
    p[41:46, 0], p[41:46, 1] = 1.0 - np.logspace(-7, -1, 5), np.logspace(-7, -1, 5)
    p[46:50] *= 1e4
    p[50, ::2] = -0.0
    p = np.asarray(p, np.float32)
    exact = p.astype(np.longdouble)
    expected = -np.sum(exact * np.log(np.where(p > 0.0, exact, 1.0)), axis=1)
    value = np.asarray(jax.jit(fast_looped.entropy_of_probs, static_argnums=0)((1,), p)[0])
    assert value[40] == 0.0
    assert not np.signbit(value[40])
    np.testing.assert_allclose(value, np.asarray(expected, float), rtol=8.0 * UNIT, atol=0.0)
    np.testing.assert_allclose(probs.entropy(p, base=2), value / np.log(2.0), rtol=4.0 * UNIT)
    p[0, 5], p[1, 5], p[2, 5], p[3, 5] = -1e-3, np.nan, np.inf, -np.inf
    alone = np.asarray([probs.entropy(row) for row in p])
    np.testing.assert_allclose(probs.entropy(p), alone, rtol=8.0 * UNIT)
    assert np.isnan(alone[1])


def _jensen_shannon(p, q):
    """In extended precision, by the series ½m·(u² + u⁴/6 + …), u = (p − m)/m, where the logarithms would cancel."""
    p, q = (x.astype(np.longdouble) for x in (p, q))
    m = np.where(p + q > 0, (p + q) / 2, 1)
    u = (p - q) / (2 * m)
    logs = [x * np.log(np.where(x > 0, x / m, 1)) for x in (p, q)]
    return 0.5 * np.where(np.abs(u) < 1e-2, m * (u**2 + u**4 / 6 + u**6 / 15), sum(logs)).sum(1)


def _pairs(rng):
    """One row for each ratio of q to p, from a unit in the last place to all there is, and the special ones."""
    p = rng.dirichlet(np.ones(1000), size=70)
    near = 10.0 ** np.linspace(-7.0, -0.3, 30)[:, None]
    apart = np.linspace(0.1, 80.0, 40)[:, None]
    factor = np.concatenate(
        [1.0 + near * rng.uniform(-1.0, 1.0, (30, 1000)), np.exp(rng.choice([-1, 1], (40, 1000)) * apart)]
    )
    p, q = (np.asarray(x, np.float32) for x in (p, p * factor))
    p[0, ::2], q[0, ::3] = 0.0, 0.0
    p[1, :500], q[1, 500:] = 0.0, 0.0
    q[2] = p[2]
    p[3], q[3], q[3, 0] = np.float32(0.0), np.float32(0.0), np.float32(1.0)
    p[4], q[4] = 1e-3, 1.5e-3
    p[5, 5], q[5, 5] = 2e38, 1e38
    p[6, ::2], q[6, ::3] = -0.0, -0.0
    return p, q


def _kl(p, q):
    """In extended precision, by the series q·(u²/2 − u³/6 + …), u = (p − q)/q, where the logarithm would cancel."""
    # Below the smallest normal number counts as 0.
    p, q = (np.where(x < np.finfo(np.float32).tiny, 0.0, x.astype(np.longdouble)) for x in (p, q))
    u = (p - q) / np.where(q > 0, q, 1)
    near = (np.abs(u) < 1e-2) & (q > 0)
    series = sum((-1) ** n * u**n / (n * (n - 1)) for n in range(2, 10))
    far = p * np.log(np.where(p > 0, p / np.where(q > 0, q, 1), 1)) - p + q
    return np.where(near, q * series, np.where((p > 0) & (q == 0), np.inf, far)).sum(1)


@ON_CPU
def test_kl_needs_no_certificate(rng):
    """Near and far alike; only what is infinite or has a ratio beyond the range is left to the definition."""
    p, q = _pairs(rng)
    # One ratio in half of the categories, about those at which the formula changes.
    ratios = np.array([1e-9, 3e-8, 1e-7, 3.5e-7, 0.1, 0.5, 0.66, 0.67, 0.75, 1.3, 1.33, 1.34, 1.5, 2.0, 10.0, 1e9])
    more = np.asarray(rng.uniform(0.5e-3, 1.5e-3, (len(ratios), 1000)), np.float32)
    p = np.concatenate([p, np.where(np.arange(1000) % 2, 1.0, ratios[:, None]).astype(np.float32) * more])
    q = np.concatenate([q, more])
    p[7, ::3], q[7, ::2] = 0.0, 0.0
    p[5, 5], q[5, 5] = 2e37, 1e37
    value, sure = jax.jit(fast_looped.kl_of_probs, static_argnums=0)((1,), p, q)
    expected = np.asarray(_kl(p, q), float)
    ratio = p / np.where(q > 0, q, 1)
    np.testing.assert_array_equal(sure, np.isfinite(expected) & (ratio < 3e38).all(1))
    assert sure.sum() > 70
    assert value[2] == 0.0
    np.testing.assert_allclose(value[sure], expected[sure], rtol=8 * UNIT, atol=0.0)
    few = slice(70, 74)
    np.testing.assert_allclose(value[few], expected[few], rtol=4 * UNIT)
    np.testing.assert_allclose(probs.kl_divergence(p, q), expected, rtol=20 * UNIT)


@ON_CPU
def test_kl_of_rows_of_one_ratio(rng):
    """Where all categories round alike, about the ratios at which the formula changes, above all."""
    ratios = np.concatenate([np.linspace(0.6, 0.7, 100), np.linspace(1.3, 1.4, 100), 10.0 ** rng.uniform(-9, 9, 56)])
    q = np.asarray(2.0 ** rng.uniform(-9.0, 0.0, (256, 1)) * np.ones(128), np.float32)
    p = q * ratios[:, None].astype(np.float32)
    value, sure = jax.jit(fast_looped.kl_of_probs, static_argnums=0)((1,), p, q)
    assert sure.all()
    np.testing.assert_allclose(value, np.asarray(_kl(p, q), float), rtol=16 * UNIT)


@ON_CPU
def test_what_kl_and_chi_squared_are_not_given_for(rng):
    p, q = (np.asarray(rng.dirichlet(np.ones(1000), size=16), np.float32) for _ in range(2))
    p[0, 5], q[1, 5], p[2, 5], q[3, 5], p[4, 5], q[4, 5] = -1e-6, -1e-6, np.nan, np.nan, -1e-3, -1e-3
    p[5, 5], q[6, 5], q[7, 5], q[8, 5] = np.inf, np.inf, 0.0, -0.0
    p[9, 5], p[10, 5], q[10, 5], p[11, 5], q[11, 5] = -0.0, -0.0, 0.0, -0.0, -0.0
    for formula, measure, also in (
        (fast_looped.kl_of_probs, probs.kl_divergence, []),
        # 0/0.
        (fast_looped.chi_squared_divergence, probs.chi_squared_divergence, [10, 11]),
    ):
        value, sure = jax.jit(formula, static_argnums=0)((1,), p, q)
        np.testing.assert_array_equal(sure, (np.arange(16) > 8) & ~np.isin(np.arange(16), also))
        alone = np.asarray([measure(*row) for row in zip(p, q, strict=True)])
        np.testing.assert_allclose(value[sure], alone[sure], rtol=4e-6)
        np.testing.assert_allclose(measure(p, q), alone, rtol=4e-6)
        assert np.isinf(alone[[7, 8]]).all()
        assert np.isfinite(alone[9:]).all()


@ON_CPU
def test_chi_squared_of_any_ratio(rng):
    p, q = _pairs(rng)
    value, sure = jax.jit(fast_looped.chi_squared_divergence, static_argnums=0)((1,), p, q)
    exact, other = p.astype(np.longdouble), q.astype(np.longdouble)
    expected = ((exact - other) ** 2 / np.where(q > 0, other, np.nan)).sum(1)
    normal = (q > np.finfo(np.float32).tiny).all(1) & (expected < 1e38)
    assert (normal & (np.arange(len(p)) > 6)).sum() > 50
    assert sure[normal].all()
    np.testing.assert_allclose(value[normal], np.asarray(expected[normal], float), rtol=8 * UNIT)


@ON_CPU
def test_jensen_shannon_needs_no_certificate(rng):
    p, q = _pairs(rng)
    value, sure = jax.jit(fast_looped.jensen_shannon, static_argnums=0)((1,), p, q, 0.5)
    assert sure.all()
    expected = np.asarray(_jensen_shannon(p, q), float)
    assert value[2] == 0.0
    np.testing.assert_allclose(value, expected, rtol=20 * UNIT, atol=0.0)
    np.testing.assert_allclose(probs.jensen_shannon_divergence(p, q), value, rtol=4.0 * UNIT)


@ON_CPU
def test_what_jensen_shannon_is_not_given_for(rng):
    """Another weight, and what is no probability: the definition has the word."""
    p, q = (np.asarray(rng.dirichlet(np.ones(1000), size=16), np.float32) for _ in range(2))
    quick = jax.jit(fast_looped.jensen_shannon, static_argnums=0)
    assert not quick((1,), p, q, 0.3)[1].any()
    p[0, 5], q[1, 5], p[2, 5], q[3, 5] = -1e-6, -1e-6, np.nan, np.inf
    p[4, 5] = q[4, 5] = -1e-3
    p[5, 5], q[5, 5], p[6, 5], q[6, 5] = 3e38, 1e38, 1.8e38, 1.7e38
    value, sure = quick((1,), p, q, 0.5)
    np.testing.assert_array_equal(sure, np.arange(16) > 6)
    for weight in (0.5, 0.3):
        found = np.asarray(probs.jensen_shannon_divergence(p, q, weight=weight))
        alone = np.asarray([probs.jensen_shannon_divergence(*row, weight=weight) for row in zip(p, q, strict=True)])
        np.testing.assert_allclose(found, alone, rtol=4e-6)
        if weight == 0.5:
            np.testing.assert_allclose(value[sure], alone[sure], rtol=4e-6)


def test_a_weight_for_each_of_many_batches(rng):
    p, q = (np.asarray(rng.dirichlet(np.ones(1000), size=16), np.float32) for _ in range(2))
    weights = jnp.asarray([0.3, 0.5])
    found = jax.jit(jax.vmap(lambda w: probs.jensen_shannon_divergence(p, q, weight=w)))(weights)
    for w, values in zip(weights, found, strict=True):
        np.testing.assert_allclose(values, probs.jensen_shannon_divergence(p, q, weight=w), rtol=4e-6)
