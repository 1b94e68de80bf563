"""Entropy from counts: batches, masks, transforms, edges and derivatives of every method."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jxent import counts
from jxent.counts import _entropy
from tests.test_counts import METHODS

pytestmark = pytest.mark.usefixtures("quick_compile")
# Where every method has the same tests, one of each kind stands for the others in the fast pass.
FIRST = ("plugin", "chao_wang_jost", "james_stein")
BY_TURNS = [pytest.param(m, marks=[] if m in FIRST else [pytest.mark.slow]) for m in METHODS if m != "nsb"]
# The methods that need whole counts.
WHOLE = ("grassberger_1988", "grassberger_2003", "chao_shen", "chao_wang_jost")


@pytest.mark.parametrize("method", BY_TURNS)
def test_batches_jit_vmap_axes_and_bases(method, op_by_op):
    n = jnp.asarray(np.random.default_rng(0).poisson(2.0, size=(3, 6)), jnp.float32)
    of = functools.partial(counts.entropy, method=method)
    rows = np.stack([of(row) for row in n])
    np.testing.assert_allclose(of(n), rows, rtol=3e-5)
    np.testing.assert_allclose(jax.vmap(of)(n), rows, rtol=3e-5)
    np.testing.assert_allclose(of(n.T, axis=0), rows, rtol=3e-5)
    np.testing.assert_allclose(of(n, base=2), rows / np.log(2), rtol=3e-5)
    assert of(n, keepdims=True).shape == (3, 1)
    assert of(n[:0]).shape == (0,)


@pytest.mark.parametrize("method", BY_TURNS)
def test_a_mask_takes_cells_out_of_the_alphabet(method, op_by_op):
    n = jnp.asarray([3.0, 1.0, jnp.nan, 2.0, 0.0])
    found = counts.entropy(n, method=method, where=jnp.asarray([True, True, False, True, True]))
    expected = counts.entropy(jnp.asarray([3.0, 1.0, 2.0, 0.0]), method=method)
    np.testing.assert_allclose(found, expected, rtol=2e-5)


@pytest.mark.parametrize("method", BY_TURNS)
def test_integers_nothing_negative_numbers_and_nan(method, op_by_op):
    of = functools.partial(counts.entropy, method=method)
    assert of(np.asarray([2, 1, 0], np.uint8)).dtype == jnp.float32
    np.testing.assert_allclose(of([2, 1, 0]), of([2.0, 1.0, 0.0]), rtol=1e-6)
    assert np.isfinite(of([0.0, 0.0, 0.0]))
    if method not in ("bonachela", "james_stein", "dirichlet", *_entropy.PSEUDOCOUNTS, "wolpert_wolf", "nsb"):
        assert of([0.0, 0.0, 0.0]) == 0
    assert np.isnan(of([2.0, -1.0, 3.0]))
    assert np.isnan(of([2.0, jnp.nan, 3.0]))
    assert np.isnan(of([2.5, 1.0])) == (method in WHOLE)


@pytest.mark.slow
def test_nsb_in_batches_with_masks_and_bases(x64):
    """As the tests above, which run op by op: that takes a minute for its loops."""
    of = functools.partial(counts.entropy, method="nsb")
    n = np.asarray([[4.0, 2, 0, 1], [0, 0, 0, 0], [7, 0, 0, 0], [1, -1, 2, 0], [1, 1, np.nan, 1]])
    found = np.asarray(of(n))
    assert np.isfinite(found[:3]).all()
    assert np.isnan(found[3:]).all()
    np.testing.assert_allclose(jax.jit(jax.vmap(of))(jnp.asarray(n)), found, rtol=1e-12)
    np.testing.assert_allclose(of(n, base=2), found / np.log(2), rtol=1e-12)
    masked = of(np.c_[n, np.full(5, np.nan)], where=np.asarray([True] * 4 + [False]))
    np.testing.assert_allclose(masked, found, rtol=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize("method", [m for m in METHODS if m not in (*WHOLE, "nsb")])
def test_gradients_are_those_of_differences(method, x64, op_by_op):
    n = jnp.asarray([3.25, 1.5, 2.75, 6.5])
    of = functools.partial(counts.entropy, method=method)
    step = 1e-6
    expected = [(of(n.at[i].add(step)) - of(n.at[i].add(-step))) / (2 * step) for i in range(4)]
    np.testing.assert_allclose(jax.grad(of)(n), expected, atol=2e-8)
    assert np.isfinite(jax.grad(of)(n.at[1].set(0.0))).all()


@pytest.mark.slow
@pytest.mark.parametrize("method", [m for m in METHODS if m not in WHOLE])
def test_forward_mode_and_second_derivatives(method, x64):
    """Along one direction, by central differences of the fourth order: NSB moves its nodes, by 1e-10 of the value."""
    n, along = jnp.asarray([3.25, 1.5, 2.75, 6.5]), jnp.asarray([0.5, -0.25, 1.0, 0.75])
    of = jax.jit(lambda t: counts.entropy(n + t * along, method=method))
    h = 0.02
    values = {i: float(of(i * h)) for i in (-2, -1, 0, 1, 2)}
    first = (values[-2] - 8 * values[-1] + 8 * values[1] - values[2]) / (12 * h)
    second = (-values[-2] + 16 * values[-1] - 30 * values[0] + 16 * values[1] - values[2]) / (12 * h * h)
    assert float(jax.jvp(of, (0.0,), (1.0,))[1]) == pytest.approx(first, abs=1e-6)
    assert float(jax.grad(of)(0.0)) == pytest.approx(first, abs=1e-6)
    if method != "nsb":  # whose second derivative takes a minute to compile
        twice = jax.jvp(lambda t: jax.jvp(of, (t,), (1.0,))[1], (0.0,), (1.0,))[1]
        assert float(twice) == pytest.approx(second, abs=2e-5)


@pytest.mark.slow
def test_the_slope_of_nsb_at_a_cell_without_observations(x64):
    of = jax.jit(functools.partial(counts.entropy, method="nsb"))
    n = jnp.asarray([20.0, 10, 5, 1, 1, 1, 0, 0])
    h = 1e-4
    at, near, far = (float(of(n.at[7].set(t))) for t in (0, h, 2 * h))
    assert float(jax.grad(of)(n)[7]) == pytest.approx((4 * near - 3 * at - far) / (2 * h), abs=1e-4)


def test_counts_beyond_32_bits():
    assert float(counts.entropy(np.asarray([2**32, 2**32]))) == pytest.approx(np.log(2))


def test_gradient_in_the_pseudocount(x64):
    for method in ("dirichlet", "wolpert_wolf"):

        def of(alpha, method=method):
            return counts.entropy([3, 1, 0], method=method, alpha=alpha)

        assert float(jax.grad(of)(0.7)) == pytest.approx(float(of(0.7 + 1e-6) - of(0.7 - 1e-6)) / 2e-6, rel=1e-6)
