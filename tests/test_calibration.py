"""Calibration: published numbers, plain definitions, masks and weights, transforms, what is refused."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import sklearn.metrics
from jax.sharding import AxisType, NamedSharding, PartitionSpec

import jxent
from jxent import calibration
from tests.predictions import predictions

pytestmark = pytest.mark.usefixtures("quick_compile")

BINS = 7
# The example in the documentation of torchmetrics, MulticlassCalibrationError(num_classes=3, n_bins=3, norm="l1").
EXAMPLE = (
    np.array([[0.25, 0.20, 0.55], [0.55, 0.05, 0.40], [0.10, 0.30, 0.60], [0.90, 0.05, 0.05]]),
    np.array([0, 1, 2, 0]),
)


def plain(p, labels, weights, num_bins):
    """Every measure by its definition, in float64 numpy, row by row and bin by bin."""
    n, k = p.shape
    share = weights / weights.sum()
    t = np.eye(k)[labels]
    rate = share @ t
    surprisal = -np.log(p[np.arange(n), labels])
    bins = [[b / num_bins, (b + 1) / num_bins] for b in range(num_bins)]
    inside = [lambda q, lo=lo, hi=hi: (q > lo) & (q <= hi) for lo, hi in bins]
    top, hit = p.max(axis=1), p.argmax(axis=1) == labels
    ece, classwise, parts = 0.0, 0.0, np.zeros(4)
    for member in inside:
        m = member(top)
        ece += abs(share[m] @ hit[m] - share[m] @ top[m])
        for c in range(k):
            m = member(p[:, c])
            if m.any():
                mass = share[m].sum()
                forecast, happened = share[m] @ p[m, c] / mass, share[m] @ t[m, c] / mass
                classwise += mass * abs(forecast - happened) / k
                within = share[m] @ ((p[m, c] - forecast) ** 2 - 2 * (p[m, c] - forecast) * (t[m, c] - happened))
                parts += [mass * (forecast - happened) ** 2, mass * (happened - rate[c]) ** 2, 0, within]
    parts[2] = (rate * (1 - rate)).sum()
    return {
        "negative_log_likelihood": share @ surprisal,
        "perplexity": np.exp(share @ surprisal),
        "brier_score": share @ ((p - t) ** 2).sum(axis=1),
        "expected_calibration_error": ece,
        "classwise_calibration_error": classwise,
        "brier_decomposition": parts,
    }


MEASURES = sorted(plain(*predictions(), BINS))
BINNED = {"expected_calibration_error", "classwise_calibration_error", "brier_decomposition"}


def measured(name, *args, **options):
    options |= {"num_bins": BINS} if name in BINNED else {}
    return np.asarray(getattr(calibration, name)(*args, **options))


@pytest.mark.parametrize("name", MEASURES)
def test_a_measure_is_its_definition(dtype, name):
    p, labels, weights = predictions()
    expected = plain(p, labels, weights, BINS)[name]
    found = measured(name, p.astype(dtype), labels, weights=weights)
    assert found.dtype == dtype
    np.testing.assert_allclose(found, expected, rtol=1e-6 if dtype == np.float32 else 1e-13, atol=1e-7)


@pytest.mark.slow
@pytest.mark.parametrize("name", MEASURES)
def test_a_masked_row_may_hold_anything(name):
    p, labels, weights = (a.copy() for a in predictions())
    kept = np.arange(len(p)) % 3 > 0
    expected = measured(name, p[kept], labels[kept], weights=weights[kept])
    p[~kept], labels[~kept], weights[~kept] = np.nan, -7, np.nan
    found = measured(
        name, p.reshape(4, 50, 4), labels.reshape(4, 50), weights=weights.reshape(4, 50), where=kept.reshape(4, 50)
    )
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-7)
    slope = jax.grad(lambda p: jnp.sum(jnp.stack(jax.tree.leaves(getattr(calibration, name)(p, labels, where=kept)))))(
        p
    )
    np.testing.assert_array_equal(slope[~kept], 0.0)
    assert np.isfinite(slope).all()


@pytest.mark.parametrize("name", [*MEASURES, "top_k_accuracy"])
def test_false_labels_and_nan_show(name):
    p, labels, _ = (a.copy() for a in predictions())
    for bad in (4, -1):
        wrong = labels.copy()
        wrong[5] = bad
        assert np.isnan(measured(name, p, wrong)).all()
    p[5, 2] = np.nan
    assert np.isnan(measured(name, p, labels)).any()


@pytest.mark.parametrize("name", [*MEASURES, "top_k_accuracy"])
def test_of_no_rows(name):
    none = measured(name, np.ones((3, 2)) / 2, [0, 1, 0], where=[False] * 3)
    np.testing.assert_array_equal(none, 1.0 if name == "perplexity" else 0.0)


def test_numbers_of_torchmetrics_and_scikit_learn():
    p, labels = EXAMPLE
    assert float(calibration.expected_calibration_error(p, labels, num_bins=3)) == pytest.approx(0.2, abs=1e-6)
    p, labels, weights = predictions()
    likelihood = sklearn.metrics.log_loss(labels, p, sample_weight=weights)
    assert float(calibration.negative_log_likelihood(p, labels, weights=weights)) == pytest.approx(likelihood, rel=1e-6)
    two = np.stack([p[:, 0], 1 - p[:, 0]], axis=1)
    brier = sklearn.metrics.brier_score_loss(labels == 0, two[:, 0])
    assert float(calibration.brier_score(two, (labels != 0).astype(int))) == pytest.approx(2 * brier, rel=1e-6)
    for k in (1, 2, 3):
        best = sklearn.metrics.top_k_accuracy_score(labels, p, k=k, sample_weight=weights)
        assert float(calibration.top_k_accuracy(p, labels, k=k, weights=weights)) == pytest.approx(best, rel=1e-6)


def test_the_forecasts_of_murphy_split_without_a_rest():
    # Forecasts that take few values, as in A. H. Murphy (1973): the bins hold one each.
    p = np.array([0.1] * 10 + [0.5] * 10 + [0.9] * 10)
    happened = np.array([1] + [0] * 9 + [1] * 4 + [0] * 6 + [1] * 10)
    parts = calibration.brier_decomposition(np.stack([1 - p, p], axis=1), happened, num_bins=10)
    rates, share = np.array([0.1, 0.4, 1.0]), happened.mean()
    np.testing.assert_allclose(parts.reliability, 2 * np.mean((np.array([0.1, 0.5, 0.9]) - rates) ** 2), atol=1e-6)
    np.testing.assert_allclose(parts.resolution, 2 * np.mean((rates - share) ** 2), atol=1e-6)
    np.testing.assert_allclose(parts.uncertainty, 2 * share * (1 - share), atol=1e-6)
    np.testing.assert_allclose(parts.within_bin, 0.0, atol=1e-6)


def test_the_parts_of_the_brier_score_add_up():
    p, labels, weights = predictions()
    parts = calibration.brier_decomposition(p, labels, weights=weights)
    total = parts.reliability - parts.resolution + parts.uncertainty + parts.within_bin
    assert float(total) == pytest.approx(float(calibration.brier_score(p, labels, weights=weights)), abs=1e-6)


def test_the_curve_is_that_of_scikit_learn():
    from sklearn.calibration import calibration_curve

    p, labels, _ = predictions()
    two = np.stack([np.maximum(p[:, 0], 1 - p[:, 0]), np.minimum(p[:, 0], 1 - p[:, 0])], axis=1)
    right = (labels == 0) == (p[:, 0] >= 0.5)
    curve = calibration.reliability_curve(two, np.where(right, 0, 1), num_bins=10)
    accuracy, confidence = calibration_curve(right, two[:, 0], n_bins=10)
    full = np.asarray(curve.weight) > 0
    np.testing.assert_allclose(curve.accuracy[full], accuracy, rtol=1e-6)
    np.testing.assert_allclose(curve.confidence[full], confidence, rtol=1e-6)
    np.testing.assert_array_equal(np.stack([curve.accuracy, curve.confidence])[:, ~full], 0.0)
    assert float(jnp.sum(curve.weight)) == len(p)


def test_edges_of_the_bins_and_ties():
    p = np.array([[0.5, 0.5], [1.0, 0.0]], np.float32)
    curve = calibration.reliability_curve(p, [0, 0], num_bins=2)
    np.testing.assert_array_equal(curve.weight, [1.0, 1.0])  # 0.5 is in (0, 0.5]
    np.testing.assert_array_equal(curve.accuracy, [1.0, 1.0])
    assert [float(calibration.top_k_accuracy([[0.4, 0.4, 0.2]], [label])) for label in (0, 1, 2)] == [1.0, 0.0, 0.0]
    assert float(calibration.top_k_accuracy([[0.4, 0.4, 0.2]], [1], k=2)) == 1.0


@pytest.mark.parametrize("num_bins", [15, 100])
def test_a_probability_on_an_edge_is_in_the_bin_below(dtype, num_bins):
    on_edges = (np.arange(1, num_bins + 1) / num_bins).astype(dtype)
    for p in (on_edges, np.nextafter(on_edges, dtype.type(0))):
        curve = calibration.reliability_curve(p[:, None], np.zeros(num_bins, int), num_bins=num_bins)
        np.testing.assert_array_equal(curve.confidence, p)
    above = np.nextafter(on_edges[:-1], dtype.type(1))
    curve = calibration.reliability_curve(above[:, None], np.zeros(num_bins - 1, int), num_bins=num_bins)
    np.testing.assert_array_equal(curve.confidence[1:], above)
    assert float(curve.weight[0]) == 0.0


def test_certainty_that_was_wrong_is_infinite():
    assert float(calibration.negative_log_likelihood([[0.0, 1.0]], [0])) == np.inf
    assert float(calibration.perplexity([[0.0, 1.0]], [0])) == np.inf
    zero = calibration.negative_log_likelihood([[0.0, 1.0], [0.5, 0.5]], [0, 0], weights=[0.0, 1.0], base=2)
    assert float(zero) == 1.0
    p = jnp.asarray([[0.5, 0.5], [1.0, 0.0]])
    slope = jax.grad(lambda p: calibration.negative_log_likelihood(p, [0, 1], weights=[1.0, 0.0]))(p)
    np.testing.assert_array_equal(slope, [[-2.0, 0.0], [0.0, 0.0]])


SLOPES = {
    "negative_log_likelihood": calibration.negative_log_likelihood,
    "perplexity": calibration.perplexity,
    "brier_score": calibration.brier_score,
    "stream": lambda p, labels, weights: (
        calibration.result(calibration.update(calibration.init(2), p, labels, weights=weights)).negative_log_likelihood
    ),
}


@pytest.mark.parametrize("name", SLOPES)
def test_gradient_in_a_weight_of_zero(name):
    p, labels = jnp.asarray([[0.2, 0.8], [0.5, 0.5], [0.7, 0.3]]), jnp.asarray([0, 0, 1])
    slope = jax.grad(lambda w: SLOPES[name](p, labels, weights=w))(jnp.asarray([0.0, 1.0, 2.0]))
    values = -np.log([0.2, 0.5, 0.3]) if name != "brier_score" else np.array([1.28, 0.5, 0.98])
    mean = values @ [0, 1, 2] / 3
    factor = np.exp(mean) if name == "perplexity" else 1.0
    np.testing.assert_allclose(slope, factor * (values - mean) / 3, rtol=1e-5)


def test_gradient_in_the_weight_of_an_infinite_surprisal_is_finite():
    p, w = jnp.asarray([[0.0, 1.0], [0.5, 0.5]]), jnp.asarray([0.0, 1.0])
    in_p, in_w = jax.grad(lambda p, w: calibration.negative_log_likelihood(p, [0, 0], weights=w), argnums=(0, 1))(p, w)
    np.testing.assert_array_equal(in_p, [[0.0, 0.0], [-2.0, 0.0]])
    # As at the smallest normal probability.
    np.testing.assert_allclose(in_w, [-np.log(jnp.finfo(p.dtype).tiny) - np.log(2), 0.0], rtol=1e-6)


@pytest.mark.parametrize("name", ["expected_calibration_error", "classwise_calibration_error"])
def test_gradient_of_no_error_is_zero(name):
    slope = jax.grad(lambda p: getattr(calibration, name)(p, [0, 1]))(jnp.asarray([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]))
    np.testing.assert_array_equal(slope, 0.0)


def test_debug_nans_finds_none():
    p, labels = jnp.asarray([[0.9, 0.1, 0.0], [0.6, 0.3, 0.1]]), jnp.asarray([0, 1])
    with jax.debug_nans(True):
        found = calibration.result(calibration.update(calibration.init(3), p, labels))
        curve = calibration.reliability_curve(p, labels)
        assert float(calibration.fit_temperature(jnp.log(p), labels, weights=jnp.asarray([1.0, 2.0]))) > 1.0
        slopes = jax.grad(lambda p: jnp.sum(jnp.stack(calibration.reliability_curve(p, labels))))(p)
        slope = jax.grad(lambda z: calibration.fit_temperature(z, labels, weights=jnp.asarray([1.0, 2.0])))(jnp.log(p))
    jax.tree.map(np.testing.assert_array_equal, found.reliability_curve, curve)
    np.testing.assert_array_equal(np.flatnonzero(curve.weight), [8, 13])
    np.testing.assert_array_equal(slopes, [[1.0, 0.0, 0.0]] * 2)
    assert np.isfinite(slope).all()


SHARDED = {name: getattr(calibration, name) for name in MEASURES} | {
    "top_k_accuracy": functools.partial(calibration.top_k_accuracy, k=2),
    "fit_temperature": calibration.fit_temperature,
    "stream": lambda p, labels: calibration.result(calibration.update(calibration.init(4), p, labels)),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", SHARDED)
@pytest.mark.parametrize("axis", [1, pytest.param(0, marks=pytest.mark.slow), pytest.param(2, marks=pytest.mark.slow)])
def test_any_axis_may_be_sharded(name, axis):
    p, labels, _ = predictions(count=40)
    p, labels = jnp.asarray(p.reshape(4, 10, 4)), jnp.asarray(labels.reshape(4, 10))
    mesh = jax.make_mesh((1,), ("some",), axis_types=(AxisType.Explicit,))
    spec = [None] * axis + ["some"]
    there = [jax.device_put(a, NamedSharding(mesh, PartitionSpec(*spec[: a.ndim]))) for a in (p, labels)]
    whole, slope = jax.jit(jax.value_and_grad(lambda p, y: sum(map(jnp.sum, jax.tree.leaves(SHARDED[name](p, y))))))(
        p, labels
    )
    with jax.set_mesh(mesh):
        found = SHARDED[name](*there)
        again = jax.jit(jax.grad(lambda p, y: sum(map(jnp.sum, jax.tree.leaves(SHARDED[name](p, y))))))(*there)
    np.testing.assert_allclose(sum(map(jnp.sum, jax.tree.leaves(found))), whole, rtol=1e-5)
    np.testing.assert_allclose(again, slope, rtol=1e-5, atol=1e-6)


def test_rows_may_lie_along_any_number_of_axes():
    p, labels, _ = predictions(count=8)
    many = calibration.brier_score(p.reshape(2, 1, 2, 1, 2, 1, 4), labels.reshape(2, 1, 2, 1, 2, 1))
    assert float(many) == pytest.approx(float(calibration.brier_score(p, labels)), rel=1e-6)
    assert float(calibration.brier_score(p[0], labels[0])) == pytest.approx(
        float(calibration.brier_score(p[:1], labels[:1])), rel=1e-6
    )


# Transforms and refusals


@pytest.mark.parametrize("name", [*MEASURES, "top_k_accuracy", "reliability_curve", "fit_temperature"])
def test_jit_and_vmap_are_the_function_itself(name):
    p, labels, _ = predictions()
    p, labels = jnp.asarray(p.reshape(4, 50, 4)), jnp.asarray(labels.reshape(4, 50))
    function = getattr(calibration, name)
    alone = [function(a, b) for a, b in zip(p, labels, strict=True)]
    for mapped in (jax.vmap(function)(p, labels), jax.jit(jax.vmap(function))(p, labels)):
        for i, one in enumerate(alone):
            jax.tree.map(lambda a, b, i=i: np.testing.assert_allclose(a[i], b, rtol=1e-5, atol=1e-6), mapped, one)


@pytest.mark.parametrize("half", [jnp.bfloat16, jnp.float16])
def test_halves_are_computed_in_float32(half):
    p, labels, _ = predictions()
    found = calibration.brier_score(jnp.asarray(p, half), labels)
    assert found.dtype == jnp.float32
    assert float(found) == pytest.approx(
        float(calibration.brier_score(jnp.asarray(p, half).astype(jnp.float32), labels))
    )


REFUSED = [
    (
        "brier_score",
        ([0.5, 0.5], [0, 1]),
        {},
        ValueError,
        r"`labels` has shape \(2,\) and `p` \(2,\): expected one class id",
    ),
    ("brier_score", ([[0.5, 0.5]], [0.0]), {}, TypeError, "expected integer class ids"),
    ("brier_score", ([[0.5, 0.5]], [0]), {"weights": [1.0, 1.0]}, ValueError, r"does not broadcast to `labels` \(1,\)"),
    ("brier_score", ([[0.5, 0.5]], [0]), {"where": [1.0]}, TypeError, "`where` has dtype float"),
    ("top_k_accuracy", ([[0.5, 0.5]], [0]), {"k": 3}, ValueError, "k=3, expected an int from 1 to 2"),
    ("expected_calibration_error", ([[0.5, 0.5]], [0]), {"num_bins": 0}, ValueError, "num_bins=0 must be an int"),
    ("negative_log_likelihood", ([[0.5, 0.5]], [0]), {"base": 1}, ValueError, "base=1 is no base"),
    ("init", (0,), {}, ValueError, "num_classes=0 must be an int of at least 1"),
]


@pytest.mark.parametrize(("name", "args", "options", "error", "message"), REFUSED)
def test_bad_input_is_refused(name, args, options, error, message):
    with pytest.raises(error, match=message):
        getattr(calibration, name)(*args, **options)


@pytest.mark.parametrize(
    ("args", "options", "message"),
    [
        (([[0.5, 0.6]], [0]), {}, r"calibration.brier_score\(\): `p` at index \(0, :\) sums to 1.1, expected 1"),
        (([[0.5, 0.5]], [2]), {}, r"`labels` at index \(0,\) is 2, expected a class id in \[0, 2\)"),
        (([[0.5, 0.5]], [1]), {"weights": [-1.0]}, r"`weights` at index \(0,\) is -1.0, expected weights >= 0"),
    ],
)
def test_checked_names_bad_values(args, options, message):
    with pytest.raises(ValueError, match=message):
        jxent.checked(calibration.brier_score)(*args, **options)


def test_checked_passes_what_is_masked():
    found = jxent.checked(calibration.brier_score)([[0.5, 0.5], [np.nan, 7.0]], [0, 9], where=[True, False])
    assert float(found) == 0.5
