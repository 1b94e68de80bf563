"""Inputs at the rim of what is allowed: masses far from 1, logits of 1e38, labels beyond int32, weak scalars."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jxent import logits, losses, probs, regression
from tests import reference as ref

LABEL_LOSS = losses.softmax_cross_entropy_with_integer_labels


@pytest.mark.parametrize("mass", [100.0, 1e4, 1e8])
def test_divergences_of_measures_that_are_no_distribution(mass, dtype):
    """Counts, say: the rounding error grows with the mass, and the divergence need not."""
    p = np.asarray([0.5 * mass, 0.5 * mass], dtype)
    q = (p * (1 + np.asarray([2.0, -2.0]) / mass**0.5)).astype(dtype)
    for name in ("kl_divergence", "jensen_shannon_divergence"):
        exact = float(getattr(ref, name)(ref.exact(p), ref.exact(q)))
        bound = 4e-6 if dtype == np.float32 else 4e-15
        assert abs(float(getattr(probs, name)(p, q)) / exact - 1) <= bound


def test_finite_logits_of_any_size_are_possible_classes():
    far = [0.0, -1e38]
    assert logits.cross_entropy([0.0, 0.0], far) == np.float32(5e37)
    assert logits.kl_divergence([0.0, 0.0], far) == np.float32(5e37)
    assert losses.softmax_cross_entropy(far, [0.5, 0.5]) == np.float32(5e37)
    assert logits.binary_kl_divergence(3e38, -3e38) == np.float32(3e38)


def test_second_derivatives_at_zero_are_symmetric(x64):
    p, q = jnp.asarray([1.0, 0.0]), jnp.asarray([0.5, 0.5])
    mixed = jax.hessian(lambda p, q: probs.kl_divergence(p, q), (0, 1))(p, q)
    np.testing.assert_allclose(mixed[0][1], -2 * np.eye(2))
    np.testing.assert_allclose(mixed[1][0], -2 * np.eye(2))
    mixed = jax.hessian(probs.binary_kl_divergence, (0, 1))(0.0, 0.5)
    np.testing.assert_allclose([mixed[0][1], mixed[1][0]], [-4, -4])


def test_curvature_of_huber_at_error_zero():
    assert jax.hessian(lambda x: losses.huber_loss(x, 1.0))(1.0) == 1
    assert jax.grad(losses.huber_loss)(jnp.inf, 0.0) == 1


def test_targets_of_weight_zero_do_not_hide_what_is_no_distribution():
    for z in ([np.nan, 0.0], [-np.inf, -np.inf]):
        assert np.isnan(losses.softmax_cross_entropy(z, [0.0, 0.0]))


def test_labels_to_ignore_are_compared_in_their_own_dtype():
    z = jnp.zeros((2, 3))
    np.testing.assert_allclose(LABEL_LOSS(z, [0, 1], ignore_label=-(2**63)), np.log(3), rtol=1e-6)
    np.testing.assert_array_equal(LABEL_LOSS(z, np.asarray([255, 255], np.uint8), ignore_label=255), 0)
    with jax.enable_x64(True):
        found = LABEL_LOSS(z, np.asarray([0, -(2**63)]), ignore_label=-(2**63))
        np.testing.assert_allclose(found, [np.log(3), 0])
        assert np.isnan(LABEL_LOSS(z, np.asarray([0, -(2**40)]), ignore_label=-(2**31))[1])
    with pytest.raises(TypeError, match="ignore_label"):
        LABEL_LOSS(z, [0, 1], ignore_label=True)
    with pytest.raises(TypeError, match="one int"):
        LABEL_LOSS(z, [0, 1], axis=(0, 1))


def test_the_gradient_of_a_mean_of_nothing_is_zero():
    gradient = jax.grad(losses.mean, 1)(jnp.asarray([jnp.inf, 1.0]), jnp.zeros(2))
    np.testing.assert_array_equal(gradient, 0)


def test_a_python_number_takes_the_dtype_of_what_stands_beside_it():
    with jax.enable_x64(True):
        a = jnp.asarray([0.3, 0.3], jnp.float32)
        for found in (probs.binary_kl_divergence(a, 0.5), losses.l2_loss(a, 0), losses.huber_loss(a, 0.0)):
            assert found.dtype == jnp.float32


def test_lists_of_arrays_and_options_that_are_no_axis():
    np.testing.assert_allclose(probs.entropy([jnp.bfloat16(0.5), jnp.bfloat16(0.5)]), np.log(2), rtol=1e-6)
    for axis in (None, 1.5):
        with pytest.raises(TypeError, match="axis"):
            probs.entropy([0.5, 0.5], axis=axis)
    with pytest.raises(TypeError, match=r"regression\.Params"):
        regression.objective((jnp.zeros((2, 3)), jnp.zeros(3)), [[1.0, 2.0]], [0])


@pytest.mark.slow
def test_fit_under_a_jit_that_closes_over_its_data(rng):
    x, y = jnp.asarray(rng.normal(size=(20, 2)), jnp.float32), jnp.asarray(rng.integers(0, 3, 20))
    outcome = jax.jit(lambda l2: regression.fit(x, y, l2=l2, num_classes=3, max_steps=50))(0.1)
    assert outcome.converged
    assert np.isnan(outcome.history[int(outcome.num_steps) + 1 :]).all()
    with jax.debug_nans(True):
        assert regression.fit(x, y, l2=0.1).converged
