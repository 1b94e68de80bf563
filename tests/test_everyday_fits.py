"""Fits of everyday data: raw features, far starts, few penalties, rare classes, standardised and sparse fits."""

import functools
import warnings

import jax
import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer, load_wine
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_score
from threadpoolctl import threadpool_limits

from jxent import regression
from jxent.regression import Params, RareClassWarning
from jxent.sklearn import SoftmaxRegression, SoftmaxRegressionCV
from tests.test_fit import rows
from tests.test_regression import numpy_objective

pytestmark = pytest.mark.usefixtures("quick_compile")
L2S = 10.0 ** np.arange(0, -7, -1)
SOLVER = pytest.mark.parametrize("solver", ["lbfgs", "newton"])


@functools.cache
def table(name):
    """A table of scikit-learn as it comes: features of very different scales."""
    x, y = {"wine": load_wine, "cancer": load_breast_cancer}[name](return_X_y=True)
    return x.astype(np.float32), y


def folds(count, number=5):
    return np.arange(count) % number


# Robust steps


@SOLVER
@pytest.mark.parametrize("name", ["wine", pytest.param("cancer", marks=pytest.mark.slow)])
def test_a_path_of_few_penalties_on_raw_features_converges_as_single_fits_do(solver, name):
    """Without a warning, which would be an error: far apart in their penalty the lanes do not hold each other back."""
    x, y = table(name)
    path = regression.fit_path(x, y, L2S, folds=folds(len(y)), optimizer=solver)
    assert path.converged.all()
    for i in (0, 3, 6):
        single = regression.fit(x, y, l2=L2S[i], sample_weight=folds(len(y)) != 2, optimizer=solver)
        assert float(path.objective[i, 2]) == pytest.approx(float(single.history[-1]), rel=1e-5)
        assert int(path.num_steps[i, 2]) <= 4 * int(single.num_steps) + 10


@SOLVER
@pytest.mark.parametrize("bias", [30.0, 1e5])
def test_a_saturated_start_reaches_the_optimum(solver, bias):
    x, y = np.arange(4, dtype=np.float32)[:, None], np.asarray([0, 0, 1, 1])
    start = Params(np.zeros((1, 2), np.float32), np.asarray([bias, 0], np.float32))
    result = regression.fit(x, y, l2=0.1, params=start, optimizer=solver)
    assert result.converged
    assert float(result.history[0]) == pytest.approx(bias / 2, rel=1e-6)
    # 0.28089301 by scikit-learn's LogisticRegression(C=2/(0.1·4)), the same problem of two classes.
    assert float(result.history[-1]) == pytest.approx(0.28089301, rel=1e-6)


@SOLVER
def test_a_start_from_scaled_data_reaches_the_optimum_on_raw_data(solver):
    x, y = table("wine")
    scaled = (x - x.mean(axis=0)) / x.std(axis=0)
    start = regression.fit(scaled, y, l2=1e-3, optimizer=solver).params
    warm = regression.fit(x, y, l2=1e-3, params=start, optimizer=solver)
    cold = regression.fit(x, y, l2=1e-3, optimizer=solver)
    assert float(warm.history[0]) > 100
    assert float(warm.history[-1]) == pytest.approx(float(cold.history[-1]), rel=1e-5)


def test_a_mean_far_from_zero_costs_no_digits():
    x, y = rows()
    near = regression.fit(x, y, l2=0.01)
    far = regression.fit(x + np.float32(4096), y, l2=0.01)
    assert far.converged
    np.testing.assert_allclose(far.params.weights, near.params.weights, atol=2e-3)


# Standardised


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize(
    "solver", ["lbfgs", "newton", pytest.param(None, marks=pytest.mark.slow)], ids=["lbfgs", "newton", "adam"]
)
def test_a_standardised_fit_is_that_of_scaled_features(solver):
    import optax

    x, y = (a.astype(np.float64) for a in table("wine"))
    weight = np.linspace(0.5, 2.0, len(y))
    mean = np.average(x, axis=0, weights=weight)
    scale = np.sqrt(np.average((x - mean) ** 2, axis=0, weights=weight))
    options = {"l2": 0.01, "sample_weight": weight, "optimizer": solver or optax.adam(0.1)}
    if solver is None:
        options |= {"max_steps": 20}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", regression.ConvergenceWarning)
        found = regression.fit(x, y.astype(int), standardize=True, **options)
        by_hand = regression.fit((x - mean) / scale, y.astype(int), **options)
    np.testing.assert_allclose(found.history[-1], by_hand.history[-1], rtol=1e-9)
    np.testing.assert_allclose(np.asarray(found.params.weights) * scale[:, None], by_hand.params.weights, atol=1e-7)
    z = regression.logits(found.params, x)
    np.testing.assert_allclose(z, regression.logits(by_hand.params, (x - mean) / scale), atol=1e-6)


@pytest.mark.parametrize("optimizer", ["lbfgs", pytest.param("newton", marks=pytest.mark.slow)])
def test_a_standardised_fit_of_a_source_is_that_of_the_array(tmp_path, optimizer):
    x, y = table("wine")
    np.save(tmp_path / "x.npy", x)
    source = np.load(tmp_path / "x.npy", mmap_mode="r")
    options = {"l2": 0.01, "standardize": True, "optimizer": optimizer}
    streamed, whole = regression.fit(source, y, chunk_size=50, **options), regression.fit(x, y, **options)
    assert float(streamed.history[-1]) == pytest.approx(float(whole.history[-1]), rel=1e-5)
    scale = x.std(axis=0)[:, None]
    np.testing.assert_allclose(streamed.params.weights * scale, whole.params.weights * scale, atol=1e-4)


# Rare classes


def rare():
    """Two classes of thirty rows, and a third with one."""
    x, y = rows()
    y = (y == 1).astype(int)
    y[7] = 2
    return x.astype(np.float64), y


def test_a_class_of_one_row_is_cross_validated_without_it():
    x, y = rare()
    parts = np.arange(len(y)) % 4
    with pytest.warns(RareClassWarning, match=r"1 rows are not scored, .* has their class \(2\)"):
        path = regression.fit_path(x, y, [0.1], folds=parts)
    assert path.converged.all()
    fold = parts[7]
    inside, scored = parts != fold, (parts == fold) & (y != 2)
    without = regression.fit(x[inside], y[inside], l2=0.1, optimizer="newton", num_classes=2)
    expected = numpy_objective(without.params, x[scored], y[scored], 0.0)
    # The bias of the missing class falls until the gradient is within the tolerance.
    assert float(path.scores[0, fold]) == pytest.approx(expected, rel=1e-4)


@pytest.mark.filterwarnings("ignore:The least populated class")
def test_the_estimator_cross_validates_a_rare_class_as_scikit_learn_does():
    x, y = rare()
    with pytest.warns(RareClassWarning, match="1 rows are not scored"):
        model = SoftmaxRegressionCV(Cs=[1.0], cv=StratifiedKFold(4)).fit(x, y)
    accuracy = cross_val_score(LogisticRegression(C=1.0), x, y, cv=StratifiedKFold(4))
    assert np.isfinite(model.scores_).all()
    assert model.score(x, y) > accuracy.min()


# Sparse weights


def sparse_objective(params, x, y, l1, l2):
    return numpy_objective(params, x, y, l2) + l1 * np.abs(np.asarray(params[0], np.float64)).sum()


def peer(x, y, strength, ratio, **options):
    """scikit-learn's saga at its tightest, as parameters."""
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = LogisticRegression(
            C=1 / (strength * len(x)),
            penalty="elasticnet",
            l1_ratio=ratio,
            solver="saga",
            tol=1e-12,
            max_iter=100_000,
            **options,
        ).fit(x, y)
    return model.coef_.T, model.intercept_


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize(
    ("ratio", "intercept"), [(1.0, True), pytest.param(0.5, True, marks=pytest.mark.slow), (0.5, False)]
)
def test_sparse_weights_are_those_of_saga(ratio, intercept):
    x, y = load_wine(return_X_y=True)
    x = (x - x.mean(axis=0)) / x.std(axis=0)
    for strength in (0.05, 0.005):
        found = regression.fit(
            x, y, l1=ratio * strength, l2=(1 - ratio) * strength, optimizer="newton", fit_intercept=intercept
        )
        assert found.converged
        theirs = peer(x, y, strength, ratio, fit_intercept=intercept)
        penalties = (ratio * strength, (1 - ratio) * strength)
        ours, best = (sparse_objective(p, x, y, *penalties) for p in (found.params, theirs))
        assert ours <= best * (1 + 1e-7)
        np.testing.assert_array_equal(np.asarray(found.params.weights) == 0, theirs[0] == 0)
        assert intercept or not np.asarray(found.params.bias).any()


@pytest.mark.usefixtures("x64")
def test_at_the_optimum_zeros_have_a_gradient_within_the_penalty():
    """The conditions of Karush, Kuhn and Tucker."""
    x, y = rows(count=100, features=8)
    x = x.astype(np.float64)
    found = regression.fit(x, y, l1=0.03, optimizer="newton", params=Params(np.ones((8, 3)), np.zeros(3)))
    gradient = jax.grad(regression.objective)(found.params, x, y)
    weights, slope = np.asarray(found.params.weights), np.asarray(gradient.weights)
    zero = weights == 0
    assert 0 < zero.sum() < zero.size
    assert np.abs(slope[zero]).max() <= 0.03 + 1e-9
    np.testing.assert_allclose(slope[~zero], -0.03 * np.sign(weights[~zero]), atol=1e-9)
    assert np.abs(gradient.bias).max() <= 1e-9


@pytest.mark.slow
@pytest.mark.usefixtures("x64")
def test_a_sparse_path_is_its_single_fits():
    x, y = rows(count=100, features=8)
    x = x.astype(np.float64)
    path = regression.fit_path(x, y, [0.1, 0.001, 0.01], l1_ratio=0.7, folds=np.arange(100) % 3)
    assert path.converged.all()
    for i, strength in enumerate([0.1, 0.001, 0.01]):
        single = regression.fit(
            x,
            y,
            l1=0.7 * strength,
            l2=0.3 * strength,
            sample_weight=(np.arange(100) % 3 != 1) * 1.0,
            optimizer="newton",
        )
        assert float(path.objective[i, 1]) == pytest.approx(float(single.history[-1]), rel=1e-9)
        np.testing.assert_allclose(path.params.weights[i, 1], single.params.weights, atol=1e-6)


@pytest.mark.slow
def test_many_sparse_features_of_text():
    """A problem of more features than rows, most of them 0 in a row, as counts of words are."""
    rng = np.random.default_rng(0)
    x = (rng.poisson(0.05, size=(120, 2500)) * rng.uniform(0.5, 2.0, 2500)).astype(np.float32)
    y = (x[:, :3] + rng.normal(scale=0.2, size=(120, 3))).argmax(axis=1)
    result = regression.fit(x, y, l1=0.02, optimizer="newton")
    assert result.converged
    assert int(np.sum(np.asarray(result.params.weights) != 0)) < 200


def test_estimators_take_the_penalties_of_scikit_learn():
    x, y = load_wine(return_X_y=True)
    x = (x - x.mean(axis=0)) / x.std(axis=0)
    model = SoftmaxRegression(C=0.1, penalty="l1").fit(x, y)
    theirs, _ = peer(x, y, 1 / (0.1 * len(x)), 1.0)
    np.testing.assert_allclose(model.coef_, theirs.T, atol=1e-6)
    assert (model.coef_ == 0).sum() == (theirs == 0).sum()
    bare = SoftmaxRegression(fit_intercept=False).fit(x, y)
    assert not bare.intercept_.any()
    reference = LogisticRegression(fit_intercept=False, tol=1e-10, max_iter=1000).fit(x, y)
    np.testing.assert_allclose(bare.coef_, reference.coef_, atol=1e-5)
    raw, _ = load_wine(return_X_y=True)
    scaled = SoftmaxRegression(standardize=True).fit(raw, y)
    np.testing.assert_allclose(scaled.coef_ * raw.std(axis=0), SoftmaxRegression().fit(x, y).coef_, atol=1e-6)
    chosen = SoftmaxRegressionCV(Cs=[0.1, 1.0], cv=3, penalty="elasticnet", l1_ratio=0.9).fit(x, y)
    assert chosen.C_ in (0.1, 1.0)
    assert (chosen.coef_ == 0).any()


X, Y = rows()
REFUSED = {
    "l1 of lbfgs": ({"l1": 0.1}, r"l1=0.1 needs optimizer='newton', found 'lbfgs'"),
    "negative l1": ({"l1": -0.1, "optimizer": "newton"}, r"l1=-0.1 must be a number >= 0"),
    "a bias without intercept": (
        {"fit_intercept": False, "params": Params(np.zeros((4, 3)), np.ones(3))},
        "the bias of `params` is not 0",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_bad_penalties_are_refused(case):
    options, message = REFUSED[case]
    with pytest.raises(ValueError, match=message):
        regression.fit(X, Y, **options)


def test_other_bad_penalties_are_refused():
    import optax

    with pytest.raises(ValueError, match="fit_intercept=False is for optimizer='lbfgs' or 'newton'"):
        regression.fit(X, Y, fit_intercept=False, optimizer=optax.sgd(0.1))
    with pytest.raises(ValueError, match=r"l1_ratio=1.5 must be in \[0, 1\]"):
        regression.fit_path(X, Y, [0.1], l1_ratio=1.5)
    with pytest.raises(ValueError, match=r"l1_ratio=0.5 needs optimizer='newton'"):
        regression.fit_path(X, Y, [0.1], l1_ratio=0.5, optimizer="lbfgs")
    with pytest.raises(ValueError, match="penalty='l3' must be 'l2', 'l1' or 'elasticnet'"):
        SoftmaxRegression(penalty="l3").fit(X, Y)
    with pytest.raises(ValueError, match=r"l1_ratio=2 must be a number in \[0, 1\]"):
        SoftmaxRegression(penalty="elasticnet", l1_ratio=2).fit(X, Y)
    with pytest.raises(ValueError, match="partial_fit needs penalty='l2'"):
        SoftmaxRegression(penalty="l1").partial_fit(X, Y, classes=[0, 1, 2])


# What a reader found


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("standardize", [False, True])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_constant_feature_gets_no_weight_from_rounding(standardize, dtype):
    x, y = rows()
    x = np.column_stack([x, np.full(len(x), 0.1), np.full(len(x), 1e6)]).astype(dtype)
    result = regression.fit(x, y, standardize=standardize)
    assert result.converged
    assert not np.asarray(result.params.weights[-2:]).any()
    without = regression.fit(x[:, :-2], y, standardize=standardize)
    np.testing.assert_allclose(result.params.weights[:-2], without.params.weights, atol=1e-3)


@pytest.mark.parametrize("size", [1e-25, 1e18])
def test_features_of_any_size_are_standardised(size):
    x, y = rows()
    scaled = x * np.float32(size)
    found, plain = (regression.fit(a, y, l2=0.1, standardize=True) for a in (scaled, x))
    np.testing.assert_allclose(found.params.weights * size, plain.params.weights, rtol=1e-3, atol=1e-4)


def test_without_an_intercept_an_unseen_class_has_a_minimum():
    x, y = rows()
    result = regression.fit(x, y, num_classes=4, l2=0.1, fit_intercept=False)
    assert result.converged
    path = regression.fit_path(x, y, [0.1], num_classes=4, fit_intercept=False)
    assert path.converged.all()


def test_penalties_and_labels_under_a_trace():
    x, y = np.asarray([[-1.0], [-2.0], [1.0], [2.0]], np.float32), np.asarray([0, 0, 1, 1], np.uint8)
    fit = functools.partial(regression.fit, num_classes=256, optimizer="newton", l2=0.1)
    assert np.isfinite(jax.jit(lambda y: fit(x, y).history[0])(y))
    sparse = jax.jit(lambda l1: regression.fit(x, y, num_classes=2, optimizer="newton", l1=l1).converged)
    assert sparse(0.05)
    start = Params(np.zeros((1, 2), np.float32), np.asarray([3, 0], np.float32))
    bare = jax.jit(lambda params: regression.fit(x, y, num_classes=2, l2=0.1, fit_intercept=False, params=params))
    assert not np.asarray(bare(start).params.bias).any()


def test_every_array_of_numpy_goes_in():
    x, y = rows()
    plain = regression.fit(x, y, l2=0.1).params.weights
    for other in (x.astype(">f4"), x.astype(np.longdouble), x.tolist()):
        np.testing.assert_allclose(regression.fit(other, y, l2=0.1).params.weights, plain, atol=1e-6)
    large = np.asarray([[3_000_000_000], [0], [1], [2]])
    assert np.isfinite(regression.fit(large, [0, 1, 0, 1], l2=0.1, standardize=True).history[-1])
    with pytest.raises(TypeError, match="its mask would be lost"):
        regression.fit(np.ma.masked_array(x, x > 1), y)
    heavy = regression.fit(x, y, l2=0.1, class_weight=[1e38, 1e38, 1e38])
    np.testing.assert_allclose(heavy.params.weights, plain, atol=1e-6)


class Shrinking:
    """A source with fewer batches each time."""

    left = 4

    def __iter__(self):
        x, y = rows()
        Shrinking.left -= 1
        yield from [(x[i::4], y[i::4]) for i in range(self.left + 1)]


@pytest.mark.parametrize("optimizer", ["lbfgs", pytest.param("adam", marks=pytest.mark.slow)])
def test_a_source_that_changes_between_passes_is_refused(optimizer):
    import optax

    Shrinking.left = 4
    options = {"num_classes": 3, "l2": 0.1, "optimizer": optax.adam(0.1) if optimizer == "adam" else optimizer}
    with pytest.raises(ValueError, match=r"`x` gave \d+ rows in a pass and 60 in the first"):
        regression.fit(Shrinking(), **options)


def test_estimators_refuse_folds_that_leave_rows_out_and_start_warm_without_intercept():
    x, y = rows()
    splits = [(np.arange(20, 60), np.arange(10)), (np.arange(0, 10), np.arange(10, 60))]
    with pytest.raises(ValueError, match="leaves rows out of both parts of fold 0"):
        SoftmaxRegressionCV(Cs=[1.0], cv=splits).fit(x, y)
    model = SoftmaxRegression(warm_start=True).fit(x, y)
    assert not model.set_params(fit_intercept=False).fit(x, y).intercept_.any()
