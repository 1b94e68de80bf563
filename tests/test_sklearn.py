"""The estimators: scikit-learn's own checks, its numbers, and its tools around them."""

import doctest
import pathlib
import pickle
import re
import tomllib
import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import polars as pl
import pytest
import scipy.sparse
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.datasets import load_iris
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, KFold, ShuffleSplit, StratifiedKFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from jxent.sklearn import SoftmaxRegression, SoftmaxRegressionCV, _inputs

X, Y = load_iris(return_X_y=True)
NAMES = np.array(["setosa", "versicolor", "virginica"])
WEIGHTS = np.random.default_rng(0).uniform(0.5, 2.0, size=len(Y))


pytestmark = pytest.mark.usefixtures("quick_compile")


@pytest.mark.slow
@parametrize_with_checks([SoftmaxRegression(), SoftmaxRegressionCV(Cs=3, cv=3)])
def test_every_check_of_scikit_learn(estimator, check):
    with warnings.catch_warnings():
        # What the checks provoke on purpose, such as few rows in a fold.
        warnings.simplefilter("ignore")
        check(estimator)


def peer(C=1.0, **options):
    return LogisticRegression(C=C, tol=1e-12, max_iter=10_000, solver="newton-cholesky", **options)


# Its numbers


def test_three_classes_are_those_of_logistic_regression():
    ours = SoftmaxRegression(C=0.5).fit(X, NAMES[Y], WEIGHTS)
    theirs = peer(0.5).fit(X, NAMES[Y], WEIGHTS)
    np.testing.assert_allclose(ours.coef_, theirs.coef_, atol=1e-8)
    np.testing.assert_allclose(ours.intercept_ - ours.intercept_.mean(), theirs.intercept_, atol=1e-7)
    np.testing.assert_allclose(ours.predict_proba(X), theirs.predict_proba(X), atol=1e-9)
    np.testing.assert_allclose(ours.predict_log_proba(X), theirs.predict_log_proba(X), atol=1e-7)
    np.testing.assert_array_equal(ours.predict(X), theirs.predict(X))
    assert ours.score(X, NAMES[Y]) == theirs.score(X, NAMES[Y])
    assert ours.coef_.dtype == np.float64
    assert not jax.config.jax_enable_x64


@pytest.mark.slow
def test_two_classes_are_those_of_logistic_regression_at_twice_c():
    ours, theirs = SoftmaxRegression(C=0.5).fit(X, Y > 0), peer(1.0).fit(X, Y > 0)
    assert ours.coef_.shape == (1, 4)
    assert ours.intercept_.shape == (1,)
    np.testing.assert_allclose(ours.coef_, theirs.coef_, atol=1e-8)
    np.testing.assert_allclose(ours.decision_function(X), theirs.decision_function(X), atol=1e-7)
    np.testing.assert_allclose(ours.predict_proba(X), theirs.predict_proba(X), atol=1e-9)
    np.testing.assert_array_equal(ours.predict(X), theirs.predict(X))


@pytest.mark.slow
@pytest.mark.parametrize("class_weight", ["balanced", {0: 1.0, 1: 3.0, 2: 0.5}])
def test_class_weights_are_those_of_scikit_learn(class_weight):
    some = np.flatnonzero(np.arange(150) % 5 + Y > 1)  # classes of unequal sizes
    ours = SoftmaxRegression(class_weight=class_weight).fit(X[some], Y[some])
    theirs = peer(class_weight=class_weight).fit(X[some], Y[some])
    np.testing.assert_allclose(ours.coef_, theirs.coef_, atol=1e-7)


@pytest.mark.slow
def test_float32_stays_float32():
    model = SoftmaxRegression().fit(X.astype(np.float32), Y)
    assert model.coef_.dtype == model.predict_proba(X.astype(np.float32)).dtype == np.float32
    np.testing.assert_allclose(model.coef_, SoftmaxRegression().fit(X, Y).coef_, atol=1e-3)


@pytest.mark.slow
def test_cross_validation_picks_the_best_of_its_fits():
    folds = StratifiedKFold(3, shuffle=True, random_state=0)
    model = SoftmaxRegressionCV(Cs=[0.01, 1.0, 100.0], cv=folds).fit(X, Y)
    assert model.scores_.shape == model.n_iter_.shape == (3, 3)
    for i, C in enumerate([0.01, 1.0, 100.0]):
        for f, (train, held) in enumerate(folds.split(X, Y)):
            one = SoftmaxRegression(C=C * 150 / len(train)).fit(X[train], Y[train])
            loss = -one.predict_log_proba(X[held])[np.arange(len(held)), Y[held]].mean()
            assert model.scores_[i, f] == pytest.approx(loss, rel=1e-6)
    best = int(np.argmin(model.scores_.mean(axis=1)))
    assert model.Cs_[best] == model.C_
    np.testing.assert_allclose(model.coef_, SoftmaxRegression(C=model.C_).fit(X, Y).coef_, atol=1e-6)


@pytest.mark.slow
def test_scores_of_cross_validation_are_weighted_by_class():
    per_class, folds = {0: 1.0, 1: 3.0, 2: 0.5}, StratifiedKFold(3)
    model = SoftmaxRegressionCV(Cs=[1.0], cv=folds, class_weight=per_class).fit(X, Y)
    weights = np.array([per_class[y] for y in Y])
    for f, (train, held) in enumerate(folds.split(X, Y)):
        one = SoftmaxRegression(C=weights.sum() / weights[train].sum()).fit(X[train], Y[train], weights[train])
        loss = -one.predict_log_proba(X[held])[np.arange(len(held)), Y[held]]
        assert model.scores_[0, f] == pytest.approx(np.average(loss, weights=weights[held]), rel=1e-6)


# What comes in


def test_sparse_frames_and_arrays_of_jax_give_the_same():
    model = SoftmaxRegression().fit(X, Y)
    for container in (scipy.sparse.csr_matrix, scipy.sparse.csc_array, pd.DataFrame, pl.DataFrame):
        same = SoftmaxRegression().fit(container(X), Y)
        np.testing.assert_array_equal(same.coef_, model.coef_)
        np.testing.assert_array_equal(same.predict_proba(container(X)), model.predict_proba(X))
    named = SoftmaxRegression().fit(pd.DataFrame(X, columns=list("abcd")), pd.Series(NAMES[Y]))
    assert named.feature_names_in_.tolist() == list("abcd")
    with pytest.raises(ValueError, match="feature names"):
        named.predict(pd.DataFrame(X, columns=list("abcz")))


@pytest.mark.slow
def test_an_array_of_jax_stays_on_its_device():
    x = jnp.asarray(X)
    with jax.transfer_guard_device_to_host("disallow"):
        model = SoftmaxRegression().fit(x[:, :4], Y)
    for found in (model.coef_, model.intercept_, model.predict_proba(x), model.decision_function(x)):
        assert isinstance(found, jax.Array)
    host = SoftmaxRegression().fit(X.astype(np.float32), Y)
    np.testing.assert_allclose(model.coef_, host.coef_, atol=1e-5)
    np.testing.assert_array_equal(model.predict(x), host.predict(X.astype(np.float32)))
    with pytest.raises(ValueError, match="NaN or infinity"):
        SoftmaxRegression().fit(x.at[0, 0].set(jnp.nan), Y)
    with pytest.raises(ValueError, match="X has 3 features, but SoftmaxRegression is expecting 4"):
        model.predict(x[:, :3])
    with pytest.raises(ValueError, match="Expected a 2D array"):
        SoftmaxRegression().fit(x[0], Y)
    with pytest.raises(TypeError, match="`X` has dtype complex64"):
        SoftmaxRegression().fit(x.astype(jnp.complex64), Y)


@pytest.mark.slow
def test_halves_and_integers_of_jax_are_computed_in_float32():
    model = SoftmaxRegression().fit(jnp.asarray(X, jnp.float32), Y)
    for kind in (jnp.float16, jnp.bfloat16, jnp.int32):
        x = jnp.asarray(X).astype(kind)
        for method in (model.decision_function, model.predict_proba):
            assert method(x).dtype == jnp.float32
            np.testing.assert_array_equal(method(x), method(x.astype(jnp.float32)))
    assert SoftmaxRegression().fit(x, Y).coef_.dtype == jnp.float32


def test_products_with_arrays_of_jax_are_of_the_highest_precision(monkeypatch):
    # Only an accelerator would show it in the numbers.
    x = jnp.asarray(X, jnp.float32)
    model = SoftmaxRegression().fit(x, Y)
    monkeypatch.setattr(_inputs, "features", lambda estimator, x, reset: x)
    assert "HIGHEST" in str(jax.make_jaxpr(model.decision_function)(x))


@pytest.mark.slow
@pytest.mark.parametrize("estimator", [SoftmaxRegression(), SoftmaxRegressionCV(Cs=[0.1, 1.0], cv=3)])
def test_float64_of_jax_stays_float64_outside_of_x64(estimator):
    with jax.enable_x64(True):
        x = jnp.asarray(X)
    model, host = clone(estimator).fit(x, Y), clone(estimator).fit(X, Y)
    for name in ("coef_", "intercept_"):
        assert isinstance(getattr(model, name), jax.Array)
        np.testing.assert_allclose(getattr(model, name), getattr(host, name), rtol=1e-12)
    for method in ("decision_function", "predict_proba", "predict_log_proba"):
        found = getattr(model, method)(x)
        assert found.dtype == np.float64
        np.testing.assert_allclose(found, getattr(host, method)(X), rtol=1e-9)
    np.testing.assert_array_equal(model.predict(x), host.predict(X))
    assert model.predict_proba(jnp.asarray(X, jnp.float32)).dtype == np.float32
    assert not jax.config.jax_enable_x64


@pytest.mark.slow
def test_two_classes_and_batches_in_float64_of_jax():
    with jax.enable_x64(True):
        x = jnp.asarray(X)
    model, host = SoftmaxRegression().partial_fit(x, Y > 0, [False, True]), SoftmaxRegression()
    host.partial_fit(X, Y > 0, [False, True])
    assert model.coef_.dtype == model.decision_function(x).dtype == np.float64
    np.testing.assert_allclose(model.coef_, host.coef_, rtol=1e-12)
    np.testing.assert_allclose(model.predict_proba(x), host.predict_proba(X), rtol=1e-12)
    np.testing.assert_array_equal(model.predict(x), host.predict(X))


def test_names_of_features_are_those_of_the_last_fit():
    model = SoftmaxRegression().fit(pd.DataFrame(X, columns=list("abcd")), Y).fit(jnp.asarray(X, jnp.float32), Y)
    assert not hasattr(model, "feature_names_in_")


BAD = {
    "NaN": (np.where(np.arange(600).reshape(150, 4) == 7, np.nan, X), Y, {}, "NaN"),
    "infinity": (np.where(np.arange(600).reshape(150, 4) == 7, np.inf, X), Y, {}, "infinity"),
    "one class": (X, np.zeros(150, int), {}, "at least 2 classes in the data, but the data contains only one class: "),
    "labels that are measurements": (X, X[:, 0] + 0.05, {}, "Unknown label type: continuous"),
    "no rows": (X[:0], Y[:0], {}, "0 sample"),
    "no features": (X[:, :0], Y, {}, "0 feature"),
    "lengths": (X, Y[:-1], {}, "inconsistent numbers of samples"),
    "negative weights": (X, Y, {"sample_weight": -np.ones(150)}, "Negative values in data passed to `sample_weight`"),
    "zero weights": (X, Y, {"sample_weight": np.zeros(150)}, "at least one non-zero"),
}


@pytest.mark.parametrize("case", BAD)
@pytest.mark.parametrize("estimator", [SoftmaxRegression, SoftmaxRegressionCV])
def test_bad_input_is_refused(case, estimator):
    x, y, options, message = BAD[case]
    with pytest.raises(ValueError, match=message):
        estimator().fit(x, y, **options)


OPTIONS = [
    ({"max_iter": 10.0}, "max_iter=10.0 must be an int of at least 0"),
    ({"max_iter": -1}, "max_iter=-1 must be an int of at least 0"),
    ({"tol": -1.0}, "tol=-1.0 must be None or a number of at least 0"),
    ({"tol": "1"}, "tol='1' must be None or a number of at least 0"),
    ({"class_weight": {0: 1.0, 1: -1.0, 2: 1.0}}, "class_weight={0: 1.0, 1: -1.0, 2: 1.0} must hold finite weights"),
    ({"class_weight": {0: 0.0, 1: 0.0, 2: 0.0}}, "leaves no row a weight"),
]
OF_ONE = [
    ({"C": [1, 2]}, "C=[1, 2] must be one number"),
    ({"C": "1"}, "C='1' must be one number"),
    ({"C": 1e-320}, "C=1e-320 is too small: the penalty 1/(C·Σ weights) is infinite in float64"),
    ({"C": float("nan")}, "C=nan must be positive"),
]
OF_SEVERAL = [
    ({"Cs": []}, "Cs=[] must be a list of numbers, or how many"),
    ({"Cs": 0}, "Cs=0 must be a list of numbers, or how many"),
    ({"Cs": 1.0}, "Cs=1.0 must be a list of numbers, or how many"),
    ({"Cs": [[1.0]]}, "Cs=[[1.0]] must be a list of numbers, or how many"),
    ({"Cs": [1.0, 0.0]}, "Cs=[1.0, 0.0] must be positive"),
    ({"Cs": [1.0, 1e-320]}, "Cs=[1.0, 1e-320] is too small: the penalty"),
]


@pytest.mark.parametrize(
    ("estimator", "options", "message"),
    [
        *((SoftmaxRegression, *case) for case in OPTIONS + OF_ONE),
        *((SoftmaxRegressionCV, *case) for case in OPTIONS + OF_SEVERAL),
    ],
    ids=lambda part: part.__name__ if isinstance(part, type) else str(part) if isinstance(part, dict) else "",
)
def test_an_option_is_refused_in_its_own_name(estimator, options, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        estimator(**options).fit(X, Y)
    if estimator is SoftmaxRegression:
        with pytest.raises(ValueError, match=re.escape(message)):
            estimator(**options).partial_fit(X, Y, [0, 1, 2])


def test_a_penalty_is_finite_in_the_precision_of_the_data():
    with pytest.raises(ValueError, match=r"C=1e-42 is too small: .* is infinite in float32"):
        SoftmaxRegression(C=1e-42).fit(X.astype(np.float32), Y)


def test_bad_options_are_refused():
    with pytest.raises(ValueError, match=r"C=-1.0 must be positive"):
        SoftmaxRegression(C=-1.0).fit(X, Y)
    with pytest.raises(ValueError, match="holds a row out more than once"):
        SoftmaxRegressionCV(cv=ShuffleSplit(3, random_state=0)).fit(X, Y)
    with pytest.raises(ValueError, match="fold 0 holds out every row of each of its classes"):
        SoftmaxRegressionCV(cv=KFold(3)).fit(X, Y)
    with pytest.raises(ValueError, match="classes must be passed on the first call"):
        SoftmaxRegression().partial_fit(X, Y)
    with pytest.raises(ValueError, match=r"y has the label .*2.*, which is not in classes"):
        SoftmaxRegression().partial_fit(X, Y, classes=[0, 1])
    with pytest.raises(ValueError, match=r"classes=\[0, 1, 2, 3\] is not the same as on the last call .* \[0, 1, 2\]"):
        SoftmaxRegression().partial_fit(X, Y, classes=[2, 1, 0]).partial_fit(X, Y, classes=[0, 1, 2, 3])
    with pytest.raises(ValueError, match=r"warm_start .* \(3, 4\), .* \(3, 2\)"):
        SoftmaxRegression(warm_start=True).fit(X, Y).fit(X[:, :2], Y)
    with pytest.raises(NotFittedError):
        SoftmaxRegression().predict(X)


@pytest.mark.parametrize(
    ("x", "y"),
    [
        (np.hstack([X, np.ones((150, 1))]), Y),
        (np.hstack([X, X[:, :1]]), Y),
        (X, 2.0 * Y - 7),
        (X, NAMES[Y].astype(object)),
        (X, 10 * Y),
    ],
    ids=["constant feature", "duplicate columns", "labels as floats", "labels as strings", "labels with gaps"],
)
def test_what_looks_odd_has_the_right_answer(x, y):
    ours, theirs = SoftmaxRegression().fit(x, y), peer().fit(x, y)
    np.testing.assert_array_equal(ours.classes_, theirs.classes_)
    np.testing.assert_allclose(ours.predict_proba(x), theirs.predict_proba(x), atol=1e-8)
    np.testing.assert_array_equal(ours.predict(x), theirs.predict(x))


# Its tools


@pytest.mark.parametrize("estimator", [SoftmaxRegression, SoftmaxRegressionCV])
def test_the_example_of_the_docstring_runs(estimator):
    examples = doctest.DocTestFinder(recurse=False).find(estimator)
    assert sum(len(e.examples) for e in examples) > 0
    runner = doctest.DocTestRunner()
    assert sum(runner.run(e).failed for e in examples) == 0


@pytest.mark.slow
def test_stopping_early_warns_with_the_class_of_scikit_learn():
    with pytest.warns(ConvergenceWarning, match=r"not converged after 2 of at most 2 steps.*raise max_iter") as one:
        model = SoftmaxRegression(max_iter=2).fit(X, Y)
    assert model.n_iter_.tolist() == [2]
    with pytest.warns(ConvergenceWarning, match=r"fits have not converged.*raise max_iter") as several:
        SoftmaxRegressionCV(max_iter=1, cv=3).fit(X, Y)
    # Where the user called.
    assert {warning.filename for warning in (*one, *several)} == {__file__}


@pytest.mark.slow
def test_warm_start_begins_where_the_last_fit_ended():
    model = SoftmaxRegression(warm_start=True).fit(X, Y)
    first = model.coef_.copy()
    assert model.n_iter_[0] > 3
    model.fit(X, Y)
    assert model.n_iter_[0] == 0
    np.testing.assert_allclose(model.coef_, first, atol=1e-12)
    two = SoftmaxRegression(warm_start=True).fit(X, Y > 0).fit(X, Y > 0)
    assert two.n_iter_[0] == 0
    model.fit(X, NAMES[Y])  # other classes: from zero
    assert model.n_iter_[0] > 3


def test_partial_fit_learns_batch_by_batch():
    model = SoftmaxRegression(C=100.0)
    scaled = StandardScaler().fit_transform(X)
    order = np.random.default_rng(0).permutation(150)
    for _ in range(40):
        for part in np.array_split(order, 3):
            model.partial_fit(scaled[part], Y[part], classes=[0, 1, 2])
    assert model.n_iter_.tolist() == [120]
    assert model.score(scaled, Y) > 0.9
    again = pickle.loads(pickle.dumps(model))  # noqa: S301
    np.testing.assert_array_equal(
        again.partial_fit(scaled[:50], Y[:50]).coef_, model.partial_fit(scaled[:50], Y[:50]).coef_
    )


def test_the_tools_of_scikit_learn_work_around_it():
    model = make_pipeline(StandardScaler(), SoftmaxRegression())
    search = GridSearchCV(model, {"softmaxregression__C": [0.01, 1.0]}, cv=3).fit(X, NAMES[Y])
    assert search.best_score_ > 0.9
    assert cross_val_score(SoftmaxRegression(), X, Y, cv=3, scoring="neg_log_loss").mean() > -0.3
    calibrated = CalibratedClassifierCV(SoftmaxRegression(), cv=3).fit(X, Y)
    assert calibrated.predict_proba(X).shape == (150, 3)
    fitted = SoftmaxRegression(C=2.0).fit(X, Y)
    copied = pickle.loads(pickle.dumps(fitted))  # noqa: S301
    np.testing.assert_array_equal(copied.predict_proba(X), fitted.predict_proba(X))
    assert clone(fitted).C == 2.0
    assert not hasattr(clone(fitted), "coef_")


def test_the_extra_asks_for_what_is_called():
    project = tomllib.loads((pathlib.Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]
    # compute_class_weight takes sample_weight= from 1.7 on.
    assert project["optional-dependencies"]["sklearn"] == ["scikit-learn>=1.7"]


@pytest.mark.slow
def test_a_search_in_two_processes():
    search = GridSearchCV(SoftmaxRegression(), {"C": [0.1, 1.0]}, cv=2, n_jobs=2).fit(X, Y)
    alone = GridSearchCV(SoftmaxRegression(), {"C": [0.1, 1.0]}, cv=2).fit(X, Y)
    np.testing.assert_allclose(search.cv_results_["mean_test_score"], alone.cv_results_["mean_test_score"])
