"""Training: what it reports, what it refuses, and the edges of its options."""

import functools

import jax
import jax.numpy as jnp
import jaxtyping
import numpy as np
import optax
import pytest

from jxent import losses, regression
from jxent.regression import ConvergenceWarning, solvers
from jxent.regression.solvers import objective as ob
from tests.test_fit import ADAM, EXPLODING, STANDING, STEPS, quiet, rows, separable, some_steps
from tests.test_regression import numpy_objective

pytestmark = pytest.mark.usefixtures("quick_compile")


# Reports


def test_max_steps_warns_and_says_so():
    x, y = rows()
    with pytest.warns(
        ConvergenceWarning, match=r"not converged after 20 of at most 20 steps.*gradient entry is"
    ) as caught:
        result = regression.fit(x, y, l2=0.1, optimizer=ADAM, max_steps=STEPS)
    assert not result.converged
    assert result.num_steps == STEPS
    assert len(caught) == 1
    assert issubclass(ConvergenceWarning, UserWarning)


@pytest.mark.parametrize("mislabelled", [False, True], ids=["all", "weighted"])
def test_separable_data_has_no_minimum(mislabelled):
    x, y = separable()
    weight = np.ones(60)
    if mislabelled:  # but its row does not count
        y[7], weight[7] = (y[7] + 1) % 3, 0
    with pytest.warns(ConvergenceWarning, match="there is no minimum: l2 = 0") as caught:
        result = regression.fit(x, y, sample_weight=weight)
    assert not result.converged
    assert "give l2 > 0" in str(caught[0].message)
    assert regression.fit(x, y, sample_weight=weight, l2=1e-3).converged


def test_data_that_no_line_separates_has_a_minimum_without_penalty():
    assert regression.fit(*rows()).converged


def test_separation_of_distributions():
    x = jnp.eye(2)
    sure, unsure = jnp.eye(2), jnp.asarray([[0.9, 0.1], [0.0, 1.0]])

    def separates(scores, targets):
        at = ob.extended(jnp.zeros(2), None)
        share, l2 = jnp.full((1, 2), 0.5), jnp.zeros(1)
        objective = ob.lane_objective(ob.transformed(x, at), at, targets, share, l2)
        _, slopes = ob.losses(objective, scores[None])
        return ob.minimum(l2, ob.all_right(objective, slopes), ob.seen(targets, share, 2)).separated[0]

    assert separates(x, sure)
    assert not separates(x, unsure)
    assert not separates(0 * x, sure)  # a tie


def test_divergence_is_an_error_with_its_step():
    x, y = rows()
    # Every step multiplies the weights by about −l2·1e10: the objective leaves float32 with the square.
    params, step = [np.zeros((4, 3)), np.zeros(3)], 0
    while numpy_objective(params, x, y, 1.0) < np.finfo(np.float32).max:
        scores = x @ params[0] + params[1]
        p = np.exp(scores - scores.max(axis=1, keepdims=True))
        residual = (p / p.sum(axis=1, keepdims=True) - np.eye(3)[y]) / len(x)
        params = [params[0] - 1e10 * (x.T @ residual + params[0]), params[1] - 1e10 * residual.sum(axis=0)]
        step += 1
    with pytest.raises(FloatingPointError, match=rf"objective became (inf|nan) at step {step} of 50.*smaller step"):
        regression.fit(x, y, l2=1.0, optimizer=EXPLODING, max_steps=50)


def test_under_vmap_the_lanes_report_for_themselves():
    x, y = rows()
    penalties = jnp.asarray([0.01, 0.5, 3.0], jnp.float32)
    options = {"optimizer": ADAM, "max_steps": STEPS, "tolerance": 0.03, "num_classes": 3}
    together = jax.jit(jax.vmap(lambda l2: regression.fit(x, y, l2=l2, **options)))(penalties)  # warns of nothing
    assert together.params.weights.shape == (3, 4, 3)
    assert together.history.shape == (3, STEPS + 1)
    assert set(together.converged.tolist()) == {False, True}
    assert len(set(together.num_steps.tolist())) > 1
    for lane, l2 in enumerate(penalties):
        alone = quiet(x, y, l2=l2, **options)
        steps = int(alone.num_steps)
        assert together.num_steps[lane] == steps
        assert together.converged[lane] == alone.converged
        np.testing.assert_allclose(together.history[lane, : steps + 1], alone.history, rtol=1e-5)
        assert np.isnan(together.history[lane, steps + 1 :]).all()
        np.testing.assert_allclose(together.params.weights[lane], alone.params.weights, atol=1e-5)


def test_under_jit_divergence_is_read_from_the_result():
    x, y = rows()
    fit = functools.partial(regression.fit, num_classes=3, l2=1.0, optimizer=EXPLODING, max_steps=50)
    result = jax.jit(fit)(x, y)
    assert not result.converged
    assert result.num_steps < 50
    assert not np.isfinite(result.history[int(result.num_steps)])


def test_under_jit_the_number_of_classes_is_needed():
    with pytest.raises(ValueError, match="give num_classes="):
        jax.jit(regression.fit)(*rows())


def test_progress_shows_a_bar_and_changes_nothing_but_rounding(capsys):
    x, y = rows()
    silent = some_steps(x, y)
    assert capsys.readouterr().err == ""
    shown = some_steps(x, y, progress=True)
    bar = capsys.readouterr().err
    assert f"{STEPS}/{STEPS}" in bar
    assert f"objective {float(shown.history[-1]):.6f} nats" in bar
    assert shown.num_steps == silent.num_steps
    np.testing.assert_allclose(shown.params.weights, silent.params.weights, atol=1e-6)


# What is refused


def bad_x(index, value):
    x, y = rows()
    x[index] = value
    return {"x": x, "labels": y}


X, Y = rows()
SOFT = np.eye(3)[Y]
KEY = jax.random.key(0)

REFUSED = {
    "NaN in x": (bad_x((3, 1), np.nan), ValueError, r"`x` has 1 non-finite values, the first nan at \(3, 1\)"),
    "inf in x": (bad_x(5, np.inf), ValueError, r"`x` has 4 non-finite values, the first inf at \(5, 0\)"),
    "no rows": ({"x": X[:0], "labels": Y[:0]}, ValueError, r"`x` has shape \(0, 4\): there are no rows"),
    "no features": ({"x": X[:, :0]}, ValueError, "no features to learn from"),
    "one axis": ({"x": X[:, 0]}, ValueError, r"`x` has shape \(60,\), expected \[N, D\]"),
    "images": ({"x": X.reshape(60, 2, 2)}, ValueError, "images are flattened with"),
    "complex x": ({"x": X + 1j}, TypeError, "`x` has dtype complex64, expected numbers"),
    "x of strings": ({"x": np.full((60, 4), "a")}, TypeError, "`x` has dtype <U1, expected numbers"),
    "float ids": ({"labels": Y.astype(float)}, TypeError, r"`labels` has dtype float64.*labels.astype\(int\)"),
    "bool ids": ({"labels": Y > 0}, TypeError, "`labels` has dtype bool, expected integer class ids"),
    "names": ({"labels": np.asarray(["a", "b"] * 30)}, TypeError, r"np.unique\(labels, return_inverse=True\)"),
    "id too large": ({"num_classes": 2}, ValueError, r"`labels\[\d+\]` is 2, expected a class id in \[0, 2\)"),
    "negative id": ({"labels": np.where(np.arange(60) == 9, -1, Y)}, ValueError, r"`labels\[9\]` is -1"),
    "too few labels": ({"labels": Y[:50]}, ValueError, "`x` has 60 rows and `labels` 50"),
    "too few rows of labels": ({"labels": SOFT[:50]}, ValueError, r"`labels` has shape \(50, 3\) and `x` \(60, 4\)"),
    "labels of rank 3": ({"labels": SOFT[None]}, ValueError, r"`labels` has shape \(1, 60, 3\)"),
    "a label alone": ({"labels": np.int32(1)}, ValueError, r"`labels` has shape \(\)"),
    "one class": ({"labels": 0 * Y}, ValueError, "holds one class, 0, only"),
    "one column": ({"labels": Y[:, None]}, ValueError, r"a single column of ids is labels\[:, 0\]"),
    "other number of columns": ({"labels": SOFT, "num_classes": 4}, ValueError, "3 columns, expected 4"),
    "no distribution": ({"labels": SOFT * 0.5}, ValueError, r"`labels\[0\]` is no distribution: it sums to 0.5"),
    "negative probability": ({"labels": 2 * SOFT - 1 / 3}, ValueError, "least entry -0.333333"),
    "NaN in labels": ({"labels": np.where(SOFT > 0, np.nan, 0)}, ValueError, "`labels` has 60 non-finite values"),
    "negative weight": ({"sample_weight": np.arange(60) - 1}, ValueError, "`sample_weight` has least entry -1"),
    "weights sum to 0": ({"sample_weight": np.zeros(60)}, ValueError, "sum 0, expected entries >= 0 and a positive"),
    "weights of another shape": ({"sample_weight": np.ones(3)}, ValueError, r"shape \(3,\), expected \[60\]"),
    "NaN in weights": ({"sample_weight": np.full(60, np.nan)}, ValueError, "`sample_weight` has 60 non-finite"),
    "optimizer name": (
        {"optimizer": "adam"},
        ValueError,
        "optimizer='adam' is not known; expected 'lbfgs', 'newton' or",
    ),
    "optimizer type": ({"optimizer": 0.1}, TypeError, "`optimizer` is a float, expected 'lbfgs', 'newton' or"),
    "optimizer not called": ({"optimizer": optax.adam}, TypeError, "`optimizer` is a function"),
    "float max_steps": ({"max_steps": 10.0}, TypeError, r"max_steps=10.0 must be a Python int"),
    "negative max_steps": ({"max_steps": -1}, ValueError, "max_steps=-1 must be at least 0"),
    "bool max_steps": ({"max_steps": True}, TypeError, "max_steps=True must be a Python int"),
    "batch without key": ({"batch_size": 8}, ValueError, r"needs key=jax.random.key\(seed\)"),
    "batch too large": (
        {"optimizer": ADAM, "batch_size": 61, "key": KEY},
        ValueError,
        "batch_size=61 .* at most 60, the number of rows",
    ),
    "batch for a solver of all rows": ({"batch_size": 8, "key": KEY}, ValueError, "takes all rows at every step"),
    "empty batch": ({"batch_size": 0, "key": KEY}, ValueError, "batch_size=0 must be at least 1"),
    "int key": ({"key": 0}, TypeError, r"`key` is int, expected one typed key"),
    "many keys": ({"key": jax.random.split(KEY)}, TypeError, "expected one typed key"),
    "negative l2": ({"l2": -0.1}, ValueError, "l2=-0.1 must be a number >= 0"),
    "infinite l2": ({"l2": np.inf}, ValueError, "l2=inf must be a number >= 0"),
    "l2 of rank 1": ({"l2": np.ones(4)}, ValueError, r"`l2` has shape \(4,\), expected a scalar"),
    "negative tolerance": ({"tolerance": -1e-3}, ValueError, "tolerance=-0.001 must be a number >= 0"),
    "NaN tolerance": ({"tolerance": np.nan}, ValueError, "tolerance=nan must be a number >= 0"),
    "params of wrong shape": ({"params": regression.init(4, 5)}, ValueError, r"weights \(4, 5\) .* expected \(4, 3\)"),
    "NaN in params": (
        {"params": regression.Params(jnp.full((4, 3), jnp.nan), jnp.zeros(3))},
        ValueError,
        "`params.weights` has 12 non-finite values",
    ),
}


@pytest.fixture
def without_type_checks(monkeypatch):
    """As a user has it: without the checks of beartype, which would speak first."""
    before = jaxtyping.config.jaxtyping_disable
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", before)


@pytest.mark.parametrize("name", REFUSED)
def test_bad_input_is_refused_before_training(without_type_checks, monkeypatch, name):
    options, error, message = REFUSED[name]
    monkeypatch.setattr(solvers, "run", None)  # nothing is trained
    with pytest.raises(error, match=message) as caught:
        regression.fit(**{"x": X, "labels": Y} | options)
    assert type(caught.value) is error


# What a reader with fresh eyes has tried


@pytest.mark.parametrize("l2", [1e-9, 1e-15, 1e-30])
@pytest.mark.parametrize("solver", ["lbfgs", "newton"])
def test_a_tiny_penalty_is_as_good_as_none(l2, solver):
    """What the classes share of a gradient is rounding: a step of 1/l2 times that would lead far away."""
    x, y = rows()
    expected = regression.fit(x, y, optimizer=solver)
    found = regression.fit(x, y, l2=l2, optimizer=solver)
    assert found.converged
    np.testing.assert_allclose(found.params.weights, expected.params.weights, atol=2e-3)
    np.testing.assert_allclose(np.sum(found.params.weights, axis=1), 0, atol=1e-4)


def test_a_label_out_of_range_under_jit_is_not_trained_on():
    x, y = rows()
    fit = jax.jit(lambda y: regression.fit(x, y, l2=0.1, num_classes=3, max_steps=STEPS))
    assert fit(y).converged
    bad = fit(jnp.asarray(y).at[5].set(7))
    assert not bad.converged
    assert np.isnan(bad.history[0])


def test_labels_beyond_32_bits_do_not_wrap():
    x, y = rows()
    for big in (2**32, 2**63):
        labels = y.astype(np.uint64)
        labels[3] = big
        with pytest.raises(ValueError, match=rf"`labels\[3\]` is {big}"):
            regression.fit(x, labels, num_classes=3)
    one = losses.softmax_cross_entropy_with_integer_labels(np.zeros((1, 2), np.float32), np.array([2**32]))
    assert np.isnan(one[0])


def test_only_the_ratios_of_weights_count():
    x, y = rows()
    expected = regression.fit(x, y, l2=0.1)
    for size in (3e38, 1e-38):
        found = regression.fit(x, y, l2=0.1, sample_weight=np.full(len(x), size, np.float32))
        np.testing.assert_allclose(found.params.weights, expected.params.weights, atol=1e-6)


def test_numpy_labels_are_known_under_a_trace():
    x, y = rows()
    fit = jax.jit(lambda x: regression.fit(x, y, l2=0.1, max_steps=STEPS).params.weights)
    assert fit(jnp.asarray(x)).shape == (4, 3)


def test_the_tolerance_in_the_warning_is_that_of_the_full_objective():
    x, y = rows()
    weight = np.r_[np.ones(30), np.zeros(30)].astype(np.float32)
    with pytest.warns(ConvergenceWarning, match="tolerance 1e-06"):
        regression.fit(x, y, sample_weight=weight, optimizer=STANDING, max_steps=3, batch_size=5, key=jax.random.key(2))


def test_a_penalty_of_the_objective_is_one_number():
    params = regression.init(4, 3)
    with pytest.raises(ValueError, match="`l2` has shape"):
        regression.objective(params, *rows(), l2=[0.1, 0.2])
    with pytest.raises(ValueError, match=r"`l2` is -0\.1"):
        regression.objective(params, *rows(), l2=-0.1)
