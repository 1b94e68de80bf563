"""Paths of penalties: their optima, their folds and what they refuse."""

import jax
import numpy as np
import pytest

from jxent import regression
from jxent.regression import ConvergenceWarning
from jxent.regression.solvers import path as program
from tests.test_fit import rows, separable
from tests.test_regression import numpy_objective
from tests.test_solvers import KEY, best_objective, digits

pytestmark = pytest.mark.usefixtures("quick_compile")
L2S = np.array([1e-1, 1e-4, 1e2, 1e-2, 1.0])


# Paths


@pytest.mark.slow
@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("solver", ["newton", "lbfgs"])
def test_every_lane_reaches_its_optimum_in_the_callers_order(monkeypatch, solver):
    monkeypatch.setattr(program, "ON_CPU", 2 * 600 * 10 * 8)
    monkeypatch.setattr(program, "SPAN", 1e3)  # groups of one or two, the former padded
    x, y = digits()
    path = regression.fit_path(x, y, L2S, optimizer=solver)
    assert path.converged.all()
    assert path.scores is None
    assert path.params.weights.shape == (5, 64, 10)
    for i, l2 in enumerate(L2S):
        params = jax.tree.map(lambda a, i=i: a[i], path.params)
        best = best_objective(x, y, l2)
        assert numpy_objective(params, x, y, l2) == pytest.approx(best, rel=1e-9)
        assert float(path.objective[i]) == pytest.approx(best, rel=1e-9)


@pytest.mark.slow
def test_a_long_path_warm_starts_every_group():
    x, y = digits()
    path = regression.fit_path(x.astype(np.float32), y, np.logspace(1, -5, 400))
    assert path.converged.all()
    assert int(path.num_steps.max()) <= 8
    last = jax.tree.map(lambda a: a[-1], path.params)
    assert numpy_objective(last, x, y, 1e-5) == pytest.approx(best_objective(x, y, 1e-5), rel=1e-6)


@pytest.mark.slow
@pytest.mark.usefixtures("x64")
def test_folds_are_fits_of_the_other_rows_and_scores_of_their_own():
    x, y = rows(count=90)
    x = x.astype(np.float64)
    folds = np.arange(90) % 3
    weights = np.linspace(0.5, 2.0, 90)
    path = regression.fit_path(x, y, [0.1, 0.001, 0.01], folds=folds, sample_weight=weights)
    assert path.params.weights.shape == (3, 3, 4, 3)
    for i, l2 in enumerate([0.1, 0.001, 0.01]):
        for f in range(3):
            inside = folds != f
            fit = regression.fit(x, y, l2=l2, sample_weight=np.where(inside, weights, 0.0), optimizer="newton")
            np.testing.assert_allclose(path.params.weights[i, f], fit.params.weights, atol=1e-7)
            held = numpy_objective(fit.params, x[~inside], y[~inside], 0.0, weights[~inside])
            assert float(path.scores[i, f]) == pytest.approx(held, rel=1e-7)
    assert int(path.best) == int(np.argmin(np.mean(np.asarray(path.scores), axis=1)))
    whole = regression.fit(x, y, l2=[0.1, 0.001, 0.01][int(path.best)], sample_weight=weights, optimizer="newton")
    np.testing.assert_allclose(path.refit.weights, whole.params.weights, atol=1e-7)
    np.testing.assert_allclose(path.refit.bias, whole.params.bias, atol=1e-7)


def test_drawn_folds_are_of_equal_sizes_and_stratified():
    _, y = digits()
    problem = regression._arguments.problem(digits()[0], y, None, None)
    drawn, _, count = regression._path._folds(5, KEY, problem)
    assert count == 5
    per_class = np.array([np.bincount(np.asarray(drawn)[y == c], minlength=5) for c in range(10)])
    assert np.ptp(per_class, axis=1).max() <= 1
    assert np.ptp(np.bincount(drawn)) <= 1
    np.testing.assert_array_equal(drawn, regression._path._folds(5, KEY, problem).fold_of)
    assert (drawn != regression._path._folds(5, jax.random.key(1), problem).fold_of).any()


@pytest.mark.slow
@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("l2s", [[0.1], [0.1, 0.1, 0.1, 0.1], [0.0, 0.1]], ids=["one", "equal", "none at all"])
def test_paths_at_the_edges(monkeypatch, l2s):
    monkeypatch.setattr(program, "ON_CPU", 2 * 60 * 3 * 8)
    x, y = rows()
    path = regression.fit_path(x.astype(np.float64), y, l2s)
    assert path.converged.all()
    for i, l2 in enumerate(l2s):
        fit = regression.fit(x.astype(np.float64), y, l2=l2)
        assert float(path.objective[i]) == pytest.approx(float(fit.history[-1]), rel=1e-10)


@pytest.mark.slow
def test_a_second_path_compiles_nothing():
    from tests.test_fit import compiled

    x, y = rows(count=90)
    folds = np.arange(90) % 3
    regression.fit_path(x, y, [0.1, 0.01], folds=folds)
    compiled.clear()
    regression.fit_path(x, y, [0.02, 0.2], folds=folds[::-1].copy())
    assert not compiled


def test_a_path_that_stops_early_says_so():
    x, y = rows()
    with pytest.warns(ConvergenceWarning, match=r"2 of 2 fits have not converged, the first at l2=0.1 after 1 steps"):
        regression.fit_path(x, y, [0.1, 0.01], max_steps=1, tolerance=1e-7)


REFUSED = {
    "no penalty": ({"l2s": []}, ValueError, r"`l2s` has shape \(0,\), expected \[L\]"),
    "negative penalty": ({"l2s": [0.1, -1.0]}, ValueError, r"`l2s\[1\]` is -1, expected a finite number >= 0"),
    "solver": ({"optimizer": "adam"}, ValueError, "optimizer='adam' is not known; expected 'newton' or 'lbfgs'"),
    "float folds": ({"folds": np.zeros(60)}, TypeError, "`folds` has dtype float64, expected integers"),
    "folds of another length": ({"folds": np.zeros(59, int)}, ValueError, r"shape \(59,\), expected \[60\]"),
    "one fold": ({"folds": np.zeros(60, int)}, ValueError, "runs from 0 to 0, expected ids 0 to F - 1, F >= 2"),
    "a gap": ({"folds": 2 * (np.arange(60) % 2)}, ValueError, "fold 1 of 3 holds no row of positive weight out"),
    "no key": ({"folds": 5}, ValueError, r"folds= as a number needs key=jax.random.key\(seed\)"),
    "too many folds": ({"folds": 61, "key": KEY}, ValueError, "folds=61 must be at least 2 and at most 60"),
    "only a class of its own": (
        {"folds": (rows()[1] == 2).astype(int)},
        ValueError,
        "fold 0 holds out every row of each of its classes",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_bad_paths_are_refused(case):
    options, error, message = REFUSED[case]
    with pytest.raises(error, match=message):
        regression.fit_path(*rows(), **({"l2s": [0.1]} | options))


@pytest.mark.slow
def test_a_path_has_no_minimum_where_fit_has_none():
    x, y = separable()
    with pytest.warns(ConvergenceWarning, match=r"1 of 2 fits have not converged, the first at l2=0 "):
        path = regression.fit_path(x, y, [1.0, 0.0], tolerance=1e-2)
    assert path.converged.tolist() == [True, False]
    with pytest.warns(ConvergenceWarning, match=r"2 of 2 fits have not converged.*rows of every class"):
        regression.fit_path(x, y, [1.0, 0.1], num_classes=4, tolerance=1e-2)
