"""Inputs at the rim of what is allowed: masses far from 1, logits of 1e38, labels beyond int32, weak scalars."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jxent import linear, logits, losses, probs, regression
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


LOWEST = float(np.finfo(np.float32).min)


def test_logits_at_the_most_negative_number_are_possible_classes():
    """Masks by finfo.min: a row of them is uniform, and beside other logits such a class has no weight."""
    z, flat = jnp.full(3, LOWEST), jnp.zeros(3)
    np.testing.assert_allclose(logits.probabilities(z), 1 / 3, rtol=1e-6)
    np.testing.assert_allclose(logits.entropy(z), np.log(3), rtol=1e-6)
    np.testing.assert_allclose(logits.fisher_information(z), np.eye(3) / 3 - 1 / 9, rtol=1e-6)
    np.testing.assert_allclose(LABEL_LOSS(z, 1), np.log(3), rtol=1e-6)
    np.testing.assert_allclose(
        jax.grad(losses.softmax_cross_entropy)(z, jnp.eye(3)[0]), [-2 / 3, 1 / 3, 1 / 3], rtol=1e-6
    )
    for name in ("kl_divergence", "jensen_shannon_divergence", "jeffreys_divergence"):
        measure = getattr(logits, name)
        assert measure(z, flat) == measure(flat, z) == 0
        np.testing.assert_array_equal(jax.grad(measure)(z, flat), jnp.zeros(3))
    mixed = jnp.asarray([LOWEST, 0.0, 1.0])
    np.testing.assert_allclose(logits.entropy(mixed), logits.entropy(mixed[1:]), rtol=1e-6)
    assert np.all(np.isfinite(jax.grad(logits.entropy)(mixed)))


def test_a_linear_head_with_a_bias_at_the_most_negative_number():
    x, w, labels = jnp.ones((2, 3)), jnp.zeros((3, 3)), jnp.asarray([0, 1])
    loss = linear.softmax_cross_entropy(x, w, labels, bias=jnp.full(3, LOWEST))
    np.testing.assert_allclose(loss, np.log(3), rtol=1e-6)
    masked = jnp.asarray([LOWEST, 0.0, 0.0])
    np.testing.assert_allclose(linear.softmax_cross_entropy(x, w, labels, bias=masked)[1], np.log(2), rtol=1e-6)
    for block in (1, 2):
        found = linear.softmax_cross_entropy(x, w, labels, bias=jnp.full(3, LOWEST), block_size=block)
        np.testing.assert_allclose(found, loss, rtol=1e-6)


TWO_ROWS = (
    *("cross_entropy", "kl_divergence", "jeffreys_divergence", "jensen_shannon_divergence"),
    *("total_variation", "chi_squared_divergence", "hellinger_distance", "bhattacharyya_distance"),
)


@pytest.mark.parametrize("name", TWO_ROWS)
@pytest.mark.parametrize("offset", [(1e4, 0.1), (-1e4, 1e4), (0.0, 3e4)])
def test_rows_of_different_offsets(name, offset):
    z = [np.float32(offset[i]) + np.asarray(row, np.float32) for i, row in enumerate(([0, 1, 2, 3], [3, 0, 1, 1]))]
    exact = float(getattr(ref, name)(*(ref.softmax(ref.exact(x))[0] for x in z)))
    np.testing.assert_allclose(getattr(logits, name)(*z), exact, rtol=4e-6)


def test_options_at_the_end_of_their_intervals():
    for error in (0.0, 3.0):
        assert jax.grad(losses.huber_loss)(error, 0.0, delta=jnp.inf) == error
    for z in (-40.0, -1.0, 0.0, 0.3, 40.0):
        slope = jax.grad(lambda z: losses.focal_loss(z, 1.0, gamma=jnp.inf))(z)
        assert losses.focal_loss(z, 1.0, gamma=jnp.inf) == 0
        assert slope == 0
    for z, target, slope in ((2e38, 0.0, 1.0), (2e38, 1.0, 0.0), (-2e38, 1.0, -1.0)):
        assert jax.grad(losses.focal_loss)(z, target) == slope


def _with_orders(room):
    """Every divergence of two rows, by name."""
    names = (n for n in TWO_ROWS)
    with_order = {"renyi_divergence": (0.5, 2.0), "alpha_divergence": (0.5, -3.0)}
    found = {n: getattr(room, n) for n in names}
    for n, orders in with_order.items():
        found |= {f"{n}({a})": lambda p, q, n=n, a=a: getattr(room, n)(p, q, a) for a in orders}
    return found


@pytest.mark.parametrize("name", _with_orders(probs))
def test_nan_beside_an_infinite_term_stays(name):
    for first, second in (
        ([np.nan, 1.0], [0.0, 1.0]),
        ([0.0, 1.0], [np.nan, 1.0]),
        ([np.nan, 0.5, 0.5], [1.0, 0.0, 0.0]),
    ):
        assert np.isnan(_with_orders(probs)[name](first, second))


INFINITE = ("kl_divergence", "jeffreys_divergence", "chi_squared_divergence", "cross_entropy", "renyi_divergence(2.0)")


@pytest.mark.parametrize("name", INFINITE)
def test_slopes_of_an_infinite_value_are_infinite_not_nan(name):
    """A probability that is just a normal number, facing 0."""
    p, q = jnp.asarray([1.19e-38, 1.0]), jnp.asarray([0.0, 1.0])
    measure = _with_orders(probs)[name]
    assert measure(p, q) == np.inf
    in_p, in_q = jax.grad(measure, (0, 1))(p, q)
    assert (in_p[0], in_q[0]) == (np.inf, -np.inf)
    assert np.all(np.isfinite([in_p[1], in_q[1]]))


@pytest.mark.parametrize("name", ["kl_divergence", "renyi_divergence(2.0)", "chi_squared_divergence"])
def test_slopes_in_logits_are_finite_where_the_value_is_not(name):
    zp = jnp.asarray([-2.37, 38.41, 75.07, -8.41, -20.21, 3.71])
    zq = jnp.asarray([-56.0, -563.79, -np.inf, 793.34, 351.04, 218.33])
    measure = _with_orders(logits)[name]
    assert measure(zp, zq) == np.inf
    assert np.all(np.isfinite(jax.grad(measure, (0, 1))(zp, zq)))


@pytest.mark.parametrize(
    "normalizer",
    ["arithmetic", *(pytest.param(n, marks=pytest.mark.slow) for n in ("geometric", "min", "max", "joint"))],
)
def test_normalized_information_is_from_0_to_1(normalizer, rng):
    measure = functools.partial(probs.normalized_mutual_information, normalizer=normalizer)
    row = jnp.asarray([[0.6, 0.3, 0.1]])
    assert str(measure(row)) == "0.0"
    for table in (row, jnp.concatenate([row, jnp.zeros((1, 3))])):
        assert np.max(np.abs(jax.grad(measure)(table))) < 10
    same = jnp.stack([jnp.diag(jnp.asarray(p)) for p in rng.dirichlet(np.full(6, 0.5), size=50)])
    found = np.asarray(measure(same))
    assert np.all(found <= 1)
    np.testing.assert_allclose(found, 1, rtol=4e-6)


def test_complex_parameters_are_refused():
    calls = (
        lambda: probs.renyi_entropy([0.5, 0.5], 1j),
        lambda: logits.tsallis_entropy([0.5, 0.5], np.complex64(2)),
        lambda: probs.jensen_shannon_divergence([0.5, 0.5], [0.5, 0.5], weight=jnp.asarray(1j)),
        lambda: losses.huber_loss(1.0, 2.0, delta=1j),
        lambda: losses.softmax_cross_entropy([1.0, 2.0], [1.0, 0.0], z_loss=1j),
    )
    for call in calls:
        with pytest.raises(TypeError, match=r"complex|real"):
            call()


def test_co_information_of_many_variables_is_one_program():
    """The size of the program grows with the variables, not with their subsets."""

    def operations(n):
        shape = jax.ShapeDtypeStruct((2,) * n, jnp.float32)
        return str(jax.make_jaxpr(probs.co_information)(shape)).count(" = ")

    few, more, many = operations(4), operations(7), operations(10)
    assert many - more == more - few


def test_co_information_of_four_variables(x64, rng):
    p = rng.dirichlet(np.ones(24)).reshape(2, 3, 2, 2)
    axes = range(4)
    subsets = itertools.chain.from_iterable(itertools.combinations(axes, r) for r in range(1, 5))
    exact = -sum(
        (-1) ** len(s) * float(ref.entropy(ref.exact(p.sum(tuple(set(axes) - set(s))).ravel()))) for s in subsets
    )
    np.testing.assert_allclose(probs.co_information(p), exact, rtol=1e-10)
    np.testing.assert_allclose(probs.co_information(np.stack([p, p]), variables=(1, 2, 3, 4)), [exact] * 2, rtol=1e-10)
