"""The softmax regression: the model, its objective and its closed-form gradient."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jxent import closed_form, regression

PROMISED = {"float32": 4e-6, "float64": 2e-14}


def distributions(labels, num_classes):
    """Class ids as rows of 0 and 1; distributions as they are."""
    labels = np.asarray(labels)
    return np.eye(num_classes)[labels] if labels.ndim == 1 else labels.astype(np.float64)


def numpy_objective(params, x, labels, l2=0.0, sample_weight=None):
    """Mean cross-entropy + l2/2·‖W‖² in float64, from the definition."""
    weights, bias = (np.asarray(a, np.float64) for a in params)
    z = np.asarray(x, np.float64) @ weights + bias
    z = z - z.max(axis=1, keepdims=True)
    log_p = z - np.log(np.exp(z).sum(axis=1, keepdims=True))
    rows = -(distributions(labels, len(bias)) * log_p).sum(axis=1)
    penalty = 0.5 * float(l2) * (weights**2).sum()
    return np.average(rows, weights=None if sample_weight is None else np.asarray(sample_weight)) + penalty


def largest_sums(params, x, labels):
    """The largest Σ|x||r|/N of an entry of the gradient, in the weights and in the bias."""
    x = np.asarray(x, np.float64)
    residual = np.abs(np.asarray(regression.predict_proba(params, x.astype(params.bias.dtype)), np.float64)
                      - distributions(labels, len(params.bias)))  # fmt: skip
    return (np.abs(x).T @ residual).max() / len(x), residual.sum(axis=0).max() / len(x)


def problem(rng, labels="ids", dtype="float64", rows=30, features=5, classes=4):
    """Random parameters, features and labels of either kind."""
    params = regression.Params(
        jnp.asarray(rng.normal(size=(features, classes)), dtype), jnp.asarray(rng.normal(size=classes), dtype)
    )
    x = jnp.asarray(rng.normal(size=(rows, features)), dtype)
    if labels == "ids":
        return params, x, jnp.asarray(rng.integers(classes, size=rows), jnp.int32)
    return params, x, jnp.asarray(rng.dirichlet(np.ones(classes), size=rows), dtype)


weightings = pytest.mark.parametrize("weighted", [False, True], ids=["equal", "weighted"])
kinds = pytest.mark.parametrize("labels", ["ids", "soft"])


# The model


def test_init_is_zero_without_a_key_and_normal_with_one():
    zero = regression.init(3, 4)
    assert zero.weights.shape == (3, 4)
    assert zero.bias.shape == (4,)
    assert not np.any(zero.weights)
    assert not np.any(zero.bias)
    normal = regression.init(200, 50, key=jax.random.key(1))
    assert abs(np.mean(normal.weights)) < 0.05
    assert abs(np.std(normal.weights) - 1) < 0.05
    assert not np.any(normal.bias)
    again, other = (regression.init(200, 50, key=jax.random.key(k)) for k in (1, 2))
    np.testing.assert_array_equal(normal.weights, again.weights)
    assert np.any(normal.weights != other.weights)


def test_init_takes_a_dtype(dtype):
    assert {a.dtype for a in regression.init(2, 3, dtype=dtype)} == {dtype}
    assert {a.dtype for a in regression.init(2, 3)} == {dtype}
    assert {a.dtype for a in regression.init(2, 3, dtype=jnp.bfloat16)} == {jnp.bfloat16.dtype}


@pytest.mark.parametrize("sizes", [(0, 3), (3, 1), (3, 0)])
def test_init_refuses_what_cannot_be_learnt(sizes):
    with pytest.raises(ValueError, match="at least 1 feature and 2 classes"):
        regression.init(*sizes)


def test_predictions_are_those_of_numpy(rng, dtype):
    params, x, _ = problem(rng, dtype=dtype)
    z = np.asarray(x, np.float64) @ np.asarray(params.weights, np.float64) + np.asarray(params.bias, np.float64)
    p = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    tolerance = 100 * np.finfo(dtype).eps
    scores, predicted = regression.logits(params, x), regression.predict_proba(params, x)
    assert scores.dtype == predicted.dtype == dtype
    np.testing.assert_allclose(scores, z, atol=tolerance)
    np.testing.assert_allclose(predicted, p, rtol=tolerance)
    ids = regression.predict(params, x)
    assert jnp.issubdtype(ids.dtype, jnp.integer)
    np.testing.assert_array_equal(ids, z.argmax(axis=1))


def test_prediction_takes_the_first_of_equal_classes():
    params = regression.Params(jnp.zeros((1, 4)), jnp.asarray([0.0, 2.0, 2.0, 1.0]))
    np.testing.assert_array_equal(regression.predict(params, jnp.ones((3, 1))), [1, 1, 1])


def test_probabilities_keep_their_tails():
    params = regression.Params(jnp.asarray([[0.0, -60.0]]), jnp.zeros(2))
    np.testing.assert_allclose(regression.predict_proba(params, jnp.ones((1, 1))), [[1.0, np.exp(-60.0)]], rtol=4e-6)


def test_nan_stays_in_its_row():
    params = regression.init(2, 3, key=jax.random.key(0))
    p = regression.predict_proba(params, jnp.asarray([[np.nan, 1.0], [1.0, 1.0]]))
    assert np.isnan(p[0]).all()
    assert np.isfinite(p[1]).all()


@pytest.mark.parametrize("kind", [jnp.bfloat16, np.float16, np.int8, np.uint8, np.bool_])
def test_narrow_and_integer_features_are_computed_in_float32(rng, kind):
    params, _, _ = problem(rng, dtype="float32")
    x = jnp.asarray(rng.integers(0, 2, size=(3, 5)), kind)
    scores = regression.logits(params, x)
    assert scores.dtype == jnp.float32
    np.testing.assert_array_equal(scores, regression.logits(params, x.astype(jnp.float32)))


def test_the_widest_dtype_is_the_one_computed_in(rng, x64):
    params, x, y = problem(rng)
    narrow = regression.Params(*(a.astype(jnp.float32) for a in params))
    assert regression.objective(narrow, x, y).dtype == jnp.float64


@pytest.mark.parametrize(
    ("params", "x", "message"),
    [
        (regression.init(2, 3), np.ones((4, 5), np.float32), r"`x` has shape \(4, 5\) and the weights \(2, 3\)"),
        (regression.init(2, 3), np.ones(2, np.float32), r"expected \[N, 2\]"),
        (regression.Params(jnp.ones((2, 3)), jnp.ones(2)), np.ones((4, 2), np.float32), r"expected \[D, K\] and \[K\]"),
    ],
)
def test_shapes_that_do_not_belong_together_are_refused(params, x, message):
    for function in (regression.logits, regression.predict_proba, regression.predict):
        with pytest.raises(ValueError, match=message):
            function(params, x)
    with pytest.raises(ValueError, match=message):
        regression.objective(params, x, np.zeros(len(x), np.int32))


# The objective


@weightings
@kinds
def test_objective_is_mean_cross_entropy_and_penalty(rng, dtype, labels, weighted):
    params, x, y = problem(rng, labels, dtype)
    weight = jnp.asarray(rng.uniform(0.1, 3.0, size=len(x)), dtype) if weighted else None
    value = regression.objective(params, x, y, l2=0.3, sample_weight=weight)
    assert value.shape == ()
    assert value.dtype == dtype
    expected = numpy_objective(params, x, y, 0.3, weight)
    np.testing.assert_allclose(value, expected, rtol=PROMISED[dtype.name])
    assert abs(expected - numpy_objective(params, x, y, 0.3)) > 1e-3 or not weighted


def test_penalty_leaves_the_bias_alone(rng, x64):
    params, x, y = problem(rng)
    more = [float(regression.objective(params, x, y, l2=l2)) for l2 in (0.0, 1.0)]
    assert more[1] - more[0] == pytest.approx(0.5 * float(jnp.sum(params.weights**2)), rel=1e-12)


@kinds
def test_zero_weights_cost_log_k(rng, dtype, labels):
    _, x, y = problem(rng, labels, dtype, classes=7)
    start = regression.init(5, 7)
    assert float(regression.objective(start, x, y, l2=9.0)) == pytest.approx(
        np.log(7), rel=float(np.finfo(dtype).eps) * 4
    )


def test_objective_of_a_label_out_of_range_is_nan(rng):
    params, x, y = problem(rng, dtype="float32")
    assert np.isnan(regression.objective(params, x, y.at[3].set(4)))
    assert np.isnan(regression.objective(params, x, y.at[3].set(-1)))


def test_weights_that_sum_to_zero_leave_the_penalty(rng, x64):
    params, x, y = problem(rng)
    nothing = jnp.zeros(len(x))
    expected = 0.05 * float(jnp.sum(params.weights**2))
    assert float(regression.objective(params, x, y, l2=0.1, sample_weight=nothing)) == pytest.approx(expected)
    gradient = closed_form.softmax_regression(params, x, y, l2=0.1, sample_weight=nothing)
    np.testing.assert_allclose(gradient.weights, 0.1 * params.weights)
    assert not np.any(gradient.bias)


def test_objective_under_jit_and_vmap(rng, x64):
    params, x, y = problem(rng)
    penalties = jnp.asarray([0.0, 0.5, 2.0])
    together = jax.jit(jax.vmap(lambda l2: regression.objective(params, x, y, l2=l2)))(penalties)
    alone = [regression.objective(params, x, y, l2=l2) for l2 in penalties]
    np.testing.assert_allclose(together, alone, rtol=1e-14)


def test_objective_refuses_labels_of_another_kind(rng):
    params, x, y = problem(rng, dtype="float32")
    with pytest.raises(ValueError, match="expected integer class ids"):
        regression.objective(params, x, y.astype(jnp.float32))


# The closed form


def test_closed_form_is_the_gradient(rng, dtype):
    params, x, y = problem(rng, "soft", dtype)
    options = {"l2": 0.3, "sample_weight": rng.uniform(0.1, 3.0, size=len(x)).astype(dtype)}
    by_hand = closed_form.softmax_regression(params, x, y, **options)
    assert isinstance(by_hand, regression.Params)
    automatic = jax.grad(regression.objective)(params, x, y, **options)
    for a, b in zip(automatic, by_hand, strict=True):
        assert a.dtype == b.dtype == dtype
        np.testing.assert_allclose(a, b, atol=PROMISED[dtype.name] * float(jnp.max(jnp.abs(b))))


@weightings
@kinds
def test_closed_form_against_finite_differences(rng, x64, labels, weighted):
    params, x, y = problem(rng, labels, features=3, classes=3)
    weight = rng.uniform(0.1, 3.0, size=len(x)) if weighted else None
    by_hand = closed_form.softmax_regression(params, x, y, l2=0.3, sample_weight=weight)
    h = 1e-5
    for field in (0, 1):
        for index in np.ndindex(params[field].shape):
            sides = []
            for step in (h, -h):
                moved = [np.array(a) for a in params]
                moved[field][index] += step
                sides.append(numpy_objective(moved, x, y, 0.3, weight))
            difference = (sides[0] - sides[1]) / (2 * h)
            assert float(by_hand[field][index]) == pytest.approx(difference, abs=1e-9)


def test_compare_in_general_agrees_with_the_closed_form(rng, x64):
    params, x, y = problem(rng)
    found = closed_form.compare(
        regression.objective, closed_form.softmax_regression, params, x, y, l2=0.1, tolerance=1e-12
    )
    assert found.agrees
    wrong = closed_form.compare(
        regression.objective,
        lambda *a, **k: jax.tree.map(jnp.negative, closed_form.softmax_regression(*a, **k)),
        params, x, y, l2=0.1,
    )  # fmt: skip
    assert not wrong.agrees
    assert wrong.max_rel == pytest.approx(2.0)
