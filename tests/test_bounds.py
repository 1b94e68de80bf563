"""Variational bounds: definitions in numpy, an ideal critic, extremes, and a critic that is trained."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jxent import bounds

pytestmark = pytest.mark.usefixtures("quick_compile")

ALL = (bounds.donsker_varadhan, bounds.nwj, bounds.infonce, bounds.smile)


def plain(name, s, clip=5.0):
    """The definitions."""
    n = len(s)
    joint = np.mean(np.diag(s))
    product = s[~np.eye(n, dtype=bool)]
    if name == "donsker_varadhan":
        return joint - np.log(np.mean(np.exp(product)))
    if name == "nwj":
        return joint - np.mean(np.exp(product - 1))
    if name == "smile":
        return joint - np.log(np.mean(np.clip(np.exp(product), np.exp(-clip), np.exp(clip))))
    return np.log(n) + np.mean(np.diag(s) - np.log(np.exp(s).sum(axis=1)))


@pytest.mark.parametrize("bound", ALL, ids=lambda b: b.__name__)
def test_values_gradients_batches_and_bases(bound, x64):
    s = np.random.default_rng(0).normal(size=(3, 5, 5)) * 3
    expected = np.asarray([plain(bound.__name__, one) for one in s])
    np.testing.assert_allclose(bound(s), expected, rtol=1e-12)
    np.testing.assert_allclose(jax.vmap(bound)(jnp.asarray(s)), expected, rtol=1e-12)
    np.testing.assert_allclose(bound(s, base=2), expected / np.log(2), rtol=1e-12)
    found = jax.jit(jax.grad(lambda s: bound(s)))(jnp.asarray(s[0]))
    step = 1e-6
    for i, j in ((0, 0), (1, 3), (4, 2)):
        moved = step * np.eye(25)[5 * i + j].reshape(5, 5)
        slope = (plain(bound.__name__, s[0] + moved) - plain(bound.__name__, s[0] - moved)) / (2 * step)
        assert float(found[i, j]) == pytest.approx(slope, abs=1e-8)
    second = jax.hessian(lambda t: bound(jnp.asarray(s[0]) * t))(1.0)
    assert np.isfinite(second)
    assert bound(s.astype(np.float16)).dtype == jnp.float32


def test_large_scores_do_not_overflow():
    """A critic that is certain: 500 on the diagonal and far below beside it."""
    s = 1000 * np.eye(4, dtype=np.float32) - 500
    assert float(bounds.infonce(s)) == pytest.approx(np.log(4))
    assert float(bounds.donsker_varadhan(s)) == pytest.approx(1000)
    assert float(bounds.nwj(s)) == pytest.approx(500)
    assert np.isneginf(bounds.nwj(-s))
    assert float(bounds.donsker_varadhan(-s)) == pytest.approx(-1000)
    for bound in (bounds.donsker_varadhan, bounds.infonce, bounds.smile):
        assert np.isfinite(jax.grad(bound)(s)).all()
        assert np.isnan(bound(np.where(np.eye(4) > 0, np.nan, s)))
    # The tail of a row that is nearly certain is not lost.
    certain = 30 * np.eye(3, dtype=np.float32)
    slope = jax.grad(bounds.infonce)(certain)
    np.testing.assert_allclose(slope[0], np.asarray([2, -1, -1]) * np.exp(-30) / 3, rtol=1e-5)
    impossible = np.where(np.eye(3) > 0, 0.0, -np.inf)
    assert float(bounds.infonce(impossible)) == pytest.approx(np.log(3))
    assert bounds.infonce([[3.0]]) == 0


def test_a_wide_clip_is_donsker_and_varadhan():
    s = np.random.default_rng(1).normal(size=(6, 6)).astype(np.float32)
    assert float(bounds.smile(s, clip=50.0)) == pytest.approx(float(bounds.donsker_varadhan(s)), rel=1e-6)
    slope = jax.grad(bounds.smile)(jnp.asarray([[0.0, 9.0], [-9.0, 0.0]]))
    np.testing.assert_allclose(slope, [[0.5, 0.0], [0.0, 0.5]])


@pytest.mark.parametrize("bound", ALL, ids=lambda b: b.__name__)
def test_what_is_no_matrix_of_scores_is_refused(bound):
    for shape in ((3,), (3, 4), (0, 0)):
        with pytest.raises(ValueError, match=rf"{bound.__name__}\(\): `scores` has shape"):
            bound(np.zeros(shape, np.float32))
    if bound is not bounds.infonce:
        with pytest.raises(ValueError, match="n of at least 2"):
            bound([[1.0]])
    with pytest.raises(ValueError, match="`clip` is -1"):
        bounds.smile(np.zeros((2, 2)), clip=-1.0)


def gaussians(key, n, correlation):
    x, noise = jax.random.normal(key, (2, n))
    return x, correlation * x + jnp.sqrt(1 - correlation**2) * noise


@pytest.mark.parametrize("bound", ALL, ids=lambda b: b.__name__)
def test_an_ideal_critic_finds_the_information_of_gaussians(bound):
    """The log ratio of densities, of pairs with I = −½·log(1 − ρ²) = 0.51 nats."""
    correlation = 0.8
    truth = -0.5 * np.log(1 - correlation**2)
    x, y = gaussians(jax.random.key(0), 1500, correlation)
    a, b = x[:, None], y[None, :]
    rest = 1 - correlation**2
    ratio = truth - (a**2 - 2 * correlation * a * b + b**2) / (2 * rest) + (a**2 + b**2) / 2
    shift = 1.0 if bound is bounds.nwj else 0.0
    assert float(bound(ratio + shift)) == pytest.approx(truth, abs=0.05)


@pytest.mark.slow
def test_a_trained_critic_finds_the_information_of_gaussians():
    """By optax, on fresh pairs at every step; the critic is a quadratic form, which holds the ideal one."""
    correlation, n = 0.9, 256
    optimizer = optax.adam(3e-2)

    def scores(params, x, y):
        a, b = x[:, None], y[None, :]
        return params[0] * a * b - params[1] * a**2 - params[2] * b**2 + params[3]

    def step(carry, key):
        params, state = carry
        x, y = gaussians(key, n, correlation)
        value, slope = jax.value_and_grad(lambda p: -bounds.infonce(scores(p, x, y)))(params)
        with jax.numpy_dtype_promotion("standard"):
            updates, state = optimizer.update(slope, state)
        return (optax.apply_updates(params, updates), state), -value

    start = jnp.zeros(4)
    train = jax.jit(functools.partial(jax.lax.scan, step))
    _, history = train((start, optimizer.init(start)), jax.random.split(jax.random.key(1), 600))
    truth = -0.5 * np.log(1 - correlation**2)
    assert float(jnp.mean(history[-100:])) == pytest.approx(truth, abs=0.04)
    assert float(history[0]) == pytest.approx(0.0, abs=1e-5)
