"""Second derivatives where two distributions, or single entries of them, are equal: the Fisher metric of each."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jxent import closed_form, logits, losses, probs

# The second derivative of the generator at 1, by which a divergence is a multiple of the Fisher metric.
CURVATURE = {
    "kl_divergence": ((), 1.0),
    "jeffreys_divergence": ((), 2.0),
    "jensen_shannon_divergence": ((), 0.25),
    "chi_squared_divergence": ((), 2.0),
    "triangular_discrimination": ((), 1.0),
    "bhattacharyya_distance": ((), 0.25),
    "renyi_divergence": ((3.0,), 3.0),
    "alpha_divergence": ((0.4,), 1.0),
}
P = np.asarray([0.25, 0.25, 0.5], np.float32)


# Those of an order take longest to compile, and one of them stands for the others.
IN_TURN = [
    pytest.param(
        n, marks=[pytest.mark.slow] if n in ("renyi_divergence", "bhattacharyya_distance", "alpha_divergence") else []
    )
    for n in CURVATURE
]


def _measure(room, name):
    extra, _ = CURVATURE[name]
    return lambda a, b: getattr(room, name)(a, b, *extra)


@pytest.mark.parametrize("side", [0, 1])
@pytest.mark.parametrize("name", IN_TURN)
def test_hessian_at_equality_is_the_fisher_metric(name, side):
    curvature = CURVATURE[name][1]
    found = jax.hessian(_measure(probs, name), side)(jnp.asarray(P), jnp.asarray(P))
    np.testing.assert_allclose(found, np.diag(curvature / P), rtol=1e-5, atol=1e-5)
    z = jnp.log(P) + 2.0
    found = jax.hessian(_measure(logits, name), side)(z, z)
    np.testing.assert_allclose(found, curvature * (np.diag(P) - np.outer(P, P)), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("weight", [0.1, 0.5, 0.9])
def test_jensen_shannon_of_any_weight(weight):
    def measure(p):
        return probs.jensen_shannon_divergence(p, jnp.asarray(P), weight=weight)

    np.testing.assert_allclose(jax.hessian(measure)(jnp.asarray(P)), np.diag(weight * (1 - weight) / P), rtol=1e-5)


@pytest.mark.parametrize("name", ["kl_divergence", "jensen_shannon_divergence"])
def test_pairwise_forms(name):
    curvature, rows = CURVATURE[name][1], jnp.stack([jnp.asarray(P), jnp.asarray(P[::-1])])
    measure = getattr(probs, f"pairwise_{name}")
    found = jax.hessian(lambda p: measure(p[None], rows)[0, 0])(jnp.asarray(P))
    np.testing.assert_allclose(found, np.diag(curvature / P), rtol=1e-5, atol=1e-5)


# Jensen–Shannon by its textbook formula; the others are smooth in any form.
@pytest.mark.parametrize("name", IN_TURN)
def test_a_single_equal_entry(name, x64):
    p, q = jnp.asarray([0.25, 0.25, 0.5]), jnp.asarray([0.25, 0.35, 0.4])
    beside = q + jnp.asarray([1e-5, 0.0, -1e-5])
    hessian = jax.hessian(_measure(probs, name))
    np.testing.assert_allclose(hessian(p, q), hessian(p, beside), rtol=2e-3, atol=2e-3)


@pytest.mark.parametrize("margin", [17.0, 40.0])
@pytest.mark.parametrize("target", [0, 1])
def test_curvature_of_a_confident_class_is_its_tail(margin, target):
    """p(1 − p), not 0, whatever the label is."""
    z, onehot = jnp.asarray([margin, 0.0]), jnp.eye(2)[target]
    tail = float(np.exp(-np.float64(margin)) / (1 + np.exp(-np.float64(margin))) ** 2)
    expected = tail * np.asarray([[1, -1], [-1, 1]])
    integer = losses.softmax_cross_entropy_with_integer_labels
    found = (
        jax.hessian(losses.softmax_cross_entropy)(z, onehot),
        jax.hessian(lambda z: integer(z, target))(z),
        jax.hessian(lambda z: jnp.sum(losses.kl_divergence(z, onehot)))(z),
        jax.jacobian(closed_form.softmax_cross_entropy)(z, onehot),
        closed_form.softmax_cross_entropy_hessian(z, onehot),
        closed_form.softmax_jacobian(z),
        jax.jacobian(logits.probabilities)(z),
        logits.fisher_information(z),
    )
    for one in found:
        np.testing.assert_allclose(one, expected, rtol=4e-6)
