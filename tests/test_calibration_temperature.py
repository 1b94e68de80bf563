"""The temperature of calibration: the minimum of the likelihood, its edges and its gradients."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import minimize_scalar

from jxent import calibration
from tests.predictions import predictions

pytestmark = pytest.mark.usefixtures("quick_compile")


def likelihood(beta, logits, labels, weights):
    z = beta * logits
    z = z - z.max(axis=1, keepdims=True)
    rows = np.log(np.exp(z).sum(axis=1)) - z[np.arange(len(z)), labels]
    return weights @ rows / weights.sum()


@pytest.mark.parametrize("scale", [0.01, 1.0, 300.0])
@pytest.mark.usefixtures("x64")
def test_temperature_is_the_minimum_of_the_likelihood(scale):
    p, labels, weights = predictions()
    logits = scale * np.log(p) + 5.0
    found = float(calibration.fit_temperature(logits, labels, weights=weights))
    best = minimize_scalar(likelihood, (0.5 / scale, 1 / scale), args=(logits, labels, weights), tol=1e-12)
    assert 1 / found == pytest.approx(best.x, rel=1e-6)
    assert scale < found < 3 * scale  # the labels were drawn from flatter probabilities


def test_temperature_at_the_edges():
    assert float(calibration.fit_temperature([[2.0, 0.0], [0.0, 1.0]], [0, 1])) == 0.0
    assert float(calibration.fit_temperature([[2.0, 0.0], [0.0, 1.0]], [1, 0])) == np.inf
    assert float(calibration.fit_temperature([[2.0, 0.0]], [0], where=[False])) == 1.0
    assert np.isnan(calibration.fit_temperature([[2.0, 0.0]], [2]))
    assert np.isnan(calibration.fit_temperature([[np.nan, 0.0]], [0]))
    assert float(calibration.fit_temperature([[2.0, 2.0, 0.0], [1.0, 0.0, 0.0]], [0, 0])) == 0.0
    some = [[2.0, 0.0, -np.inf], [1.0, 0.0, -np.inf], [1.5, 0.0, -np.inf]]
    found = calibration.fit_temperature(some, [0, 0, 1])
    without = calibration.fit_temperature([row[:2] for row in some], [0, 0, 1])
    assert float(found) == pytest.approx(float(without), rel=1e-6)


@pytest.mark.usefixtures("x64")
def test_gradient_of_the_temperature_is_that_of_finite_differences():
    p, labels, _ = predictions(count=30)
    logits = np.log(p)
    direction = np.random.default_rng(1).normal(size=logits.shape)
    along = lambda t: calibration.fit_temperature(logits + t * direction, labels)  # noqa: E731
    step = 1e-5
    expected = (along(step) - along(-step)) / (2 * step)
    assert float(jax.grad(along)(0.0)) == pytest.approx(float(expected), rel=1e-6)
    assert float(jax.jvp(along, (0.0,), (1.0,))[1]) == pytest.approx(float(expected), rel=1e-6)


@pytest.mark.usefixtures("x64")
def test_gradient_of_the_temperature_in_the_weights():
    p, labels, weights = predictions(count=30)
    logits, weights = np.log(p), weights * (np.arange(30) > 2)
    along = lambda w: calibration.fit_temperature(logits, labels, weights=w)  # noqa: E731
    step = 1e-5 * np.eye(30)
    expected = [float(along(weights + s) - along(weights - s)) / 2e-5 for s in step[:5]]
    np.testing.assert_allclose(jax.grad(along)(jnp.asarray(weights))[:5], expected, rtol=1e-6)


def test_a_row_without_weight_has_no_part_in_the_temperature():
    logits = jnp.asarray([[2.0, 0.0], [2.0, 0.0], [2.0, 0.0], [0.0, -jnp.inf], [jnp.inf, 0.0]])
    labels, weights = jnp.asarray([0, 0, 1, 1, 0]), jnp.asarray([1.0, 1.0, 1.0, 0.0, 0.0])
    found, slope = jax.value_and_grad(lambda z: calibration.fit_temperature(z, labels, weights=weights))(logits)
    assert float(found) == pytest.approx(2 / np.log(2), rel=1e-6)
    expected = jax.grad(lambda z: calibration.fit_temperature(z, labels[:3]))(logits[:3])
    np.testing.assert_allclose(slope, np.concatenate([expected, np.zeros((2, 2))]), rtol=1e-6)


@pytest.mark.parametrize("scale", [2e30, 1.0, 2e-30])
def test_temperature_of_logits_of_any_size(scale):
    logits = jnp.asarray([[scale, 0.0]] * 3)
    found, slope = jax.value_and_grad(lambda z: calibration.fit_temperature(z, jnp.asarray([0, 0, 1])))(logits)
    assert float(found) == pytest.approx(scale / np.log(2), rel=1e-6)
    # Proportional to the logits, the temperature is their product with its gradient.
    assert float(jnp.sum(slope * logits)) == pytest.approx(float(found), rel=1e-5)
