"""Solvers made for the problem, and paths of penalties: their optima, their derivatives and what they refuse."""

import functools
import warnings

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits

from jxent import data, regression
from jxent.regression import ConvergenceWarning, _curvature, _descent, _lanes, _paths
from tests.test_fit import rows, separable
from tests.test_regression import numpy_objective

pytestmark = pytest.mark.usefixtures("quick_compile")
KEY = jax.random.key(0)
L2S = np.array([1e-1, 1e-4, 1e2, 1e-2, 1.0])


@functools.cache
def digits(count=600):
    dataset = data.digits()
    return np.asarray(dataset.x, np.float64)[:count] / dataset.scale, np.asarray(dataset.labels)[:count]


def best_objective(x, y, l2, weights=None):
    """The optimum by scikit-learn's newton-cholesky at its tightest."""
    share = np.ones(len(x)) if weights is None else weights
    peer = LogisticRegression(C=1 / (l2 * share.sum()), tol=1e-14, max_iter=10_000, solver="newton-cholesky")
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        peer.fit(x, y, sample_weight=share)
    return numpy_objective((peer.coef_.T, peer.intercept_), x, y, l2, share)


# Solvers


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("solver", ["lbfgs", "newton"])
@pytest.mark.parametrize("l2", [1e-6, 1e-3, 1.0, 100.0])
def test_a_solver_reaches_the_optimum_of_newton_cholesky(solver, l2):
    x, y = digits()
    result = regression.fit(x, y, l2=l2, optimizer=solver, tolerance=1e-11)
    assert result.converged
    found = numpy_objective(result.params, x, y, l2)
    assert found == pytest.approx(best_objective(x, y, l2), rel=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize("solver", ["lbfgs", "newton"])
def test_default_tolerance_follows_a_small_objective(solver):
    x, y = digits()
    result = regression.fit(x.astype(np.float32), y, l2=1e-6, optimizer=solver)
    assert result.converged
    assert result.grad_norm <= 5.1e-6 * result.history[-1] < 1e-7
    assert numpy_objective(result.params, x, y, 1e-6) == pytest.approx(best_objective(x, y, 1e-6), rel=1e-6)


@pytest.mark.slow
@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("solver", ["lbfgs", "newton"])
def test_beyond_cheap_curvature_a_solver_still_converges(monkeypatch, solver):
    monkeypatch.setattr(_curvature, "LARGEST", 1)
    x, y = rows(count=61)  # a shape of its own: the program with curvature is another
    x = x.astype(np.float64)
    result = regression.fit(x, y, l2=1e-3, optimizer=solver)
    assert result.converged
    assert numpy_objective(result.params, x, y, 1e-3) == pytest.approx(best_objective(x, y, 1e-3), rel=1e-12)


@pytest.mark.slow
@pytest.mark.usefixtures("x64")
def test_distributions_are_fitted_as_labels_are():
    x, y = rows()
    x = x.astype(np.float64)
    hard = regression.fit(x, y, l2=0.01)
    soft = regression.fit(x, np.eye(3)[y], l2=0.01)
    np.testing.assert_allclose(hard.params.weights, soft.params.weights, rtol=1e-7, atol=1e-9)
    blurred = 0.8 * np.eye(3)[y] + 0.2 / 3
    for solver in ("lbfgs", "newton"):
        result = regression.fit(x, blurred, l2=0.01, optimizer=solver)
        gradient = jax.grad(regression.objective)(result.params, x, blurred, l2=0.01)
        assert max(float(jnp.abs(g).max()) for g in gradient) <= 1.1e-10


def test_rounding_that_allows_no_further_step_is_said():
    x, y = digits()
    with pytest.warns(ConvergenceWarning, match=r"rounding in float32 allows no further step after \d+: .* float64"):
        result = regression.fit(x.astype(np.float32), y, l2=1e-6, tolerance=0.0)
    assert not result.converged
    assert result.grad_norm < 1e-6
    assert len(result.history) == result.num_steps + 1


@pytest.mark.slow
def test_class_weights_multiply_those_of_the_rows():
    x, y = rows()
    per_class = np.array([1.0, 2.0, 0.5], np.float32)
    weighted = regression.fit(x, y, l2=0.1, class_weight=per_class)
    direct = regression.fit(x, y, l2=0.1, sample_weight=per_class[y])
    np.testing.assert_array_equal(weighted.params.weights, direct.params.weights)
    balanced = regression.fit(x, y, l2=0.1, class_weight="balanced")
    counts = np.bincount(y)
    even = regression.fit(x, y, l2=0.1, class_weight=len(y) / (3 * counts))
    np.testing.assert_allclose(balanced.params.weights, even.params.weights, atol=1e-5)


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ([1.0, 2.0], ValueError, r"`class_weight` has shape \(2,\), expected \[3\]"),
        ([1.0, -1.0, 1.0], ValueError, "least entry -1, expected >= 0"),
        ([1.0, np.nan, 1.0], ValueError, "`class_weight` has 1 non-finite"),
        ([0.0, 0.0, 0.0], ValueError, "the weights of all rows, .* are 0"),
        ("equal", ValueError, "class_weight='equal' is not known; expected 'balanced'"),
    ],
)
def test_bad_class_weights_are_refused(given, error, message):
    with pytest.raises(error, match=message):
        regression.fit(*rows(), class_weight=given)
    with pytest.raises(ValueError, match="class_weight is for class ids"):
        regression.fit(rows()[0], np.eye(3)[rows()[1]], class_weight=[1.0, 1.0, 1.0])


# The pieces


@functools.cache
def lane_task(soft):
    keys = jax.random.split(jax.random.key(1), 6)
    x = jax.random.normal(keys[0], (20, 5), jnp.float64)
    targets = jax.random.randint(keys[1], (20,), 0, 4)
    if soft:
        targets = jax.nn.softmax(jax.random.normal(keys[2], (20, 4), jnp.float64))
    share = jax.random.uniform(keys[3], (2, 20), jnp.float64) / 10
    task = _lanes.lane_objective(x, targets, share, jnp.asarray([0.1, 0.3]))
    weights = jax.random.normal(keys[4], (2, 4, 5), jnp.float64)
    return task, targets, _lanes.LaneParams(weights, jax.random.normal(keys[5], (2, 4), jnp.float64))


def plain(task, targets, point):
    """The sum over lanes of the definition, which autodiff differentiates."""
    z = jnp.einsum("lkd,nd->lnk", point.weights, task.x[:, :-1]) + point.bias[:, None, :]
    t = jax.nn.one_hot(targets, 4, dtype=z.dtype) if targets.ndim == 1 else targets
    losses = -jnp.sum(t[None] * jax.nn.log_softmax(z), axis=2)
    return jnp.sum(task.share * losses) + 0.5 * jnp.sum(task.l2[:, None, None] * point.weights**2)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize(("soft", "many"), [pytest.param(False, 64, marks=pytest.mark.slow), (True, 64), (False, 2)])
def test_value_gradient_and_hessian_of_lanes_are_those_of_autodiff(soft, many, monkeypatch):
    monkeypatch.setattr(_lanes, "MANY", many)
    task, targets, point = lane_task(soft)
    state = _descent.at(task, point, 0)
    value, gradient = jax.value_and_grad(functools.partial(plain, task, targets))(point)
    np.testing.assert_allclose(jnp.sum(state.convergence.value), value, rtol=1e-14)
    for a, b in zip(state.gradient, gradient, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-14)
    direction = jax.tree.map(jnp.cos, point)
    product, _ = _curvature.product(task, _lanes.probabilities(task, state.slope), direction)
    _, expected = jax.jvp(jax.grad(functools.partial(plain, task, targets)), (point,), (direction,))
    for a, b in zip(product, expected, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-14)


@pytest.mark.parametrize("many", [2, 1000])
def test_losses_and_slopes_keep_their_tails(many, monkeypatch):
    """Whether classes are taken together or one by one."""
    monkeypatch.setattr(_lanes, "MANY", many)
    z = jnp.asarray([[[40.0], [0.0], [-3.0]]], jnp.float32)
    task = _lanes.lane_objective(
        jnp.zeros((1, 1), jnp.float32), jnp.asarray([0]), jnp.ones((1, 1), jnp.float32), jnp.zeros(1)
    )
    tail = np.exp(-40.0) + np.exp(-43.0)
    for targets in (jnp.asarray([0]), jnp.asarray([[1.0, 0.0, 0.0]])):
        given = _lanes.lane_objective(task.x[:, :-1], targets, task.share, task.l2)
        losses, slope = _lanes.losses(given, z)
        np.testing.assert_allclose(losses[0, 0], tail, rtol=1e-6)
        np.testing.assert_allclose(slope[0, :, 0], [-tail, np.exp(-40.0), np.exp(-43.0)], rtol=1e-6)


@pytest.mark.usefixtures("x64")
def test_curvature_blocks_invert_the_hessian_of_each_class():
    task, _, point = lane_task(soft=False)
    state = _descent.at(task, point, 0)
    p = _lanes.probabilities(task, state.slope)
    inverse = _curvature.inverse(task, p)
    x = np.asarray(task.x)
    curved = np.mean(np.asarray(task.share[:, None] * p * (1 - p)), axis=0)
    for k in range(4):
        block = x.T @ (curved[k][:, None] * x) + np.diag([0.2] * 5 + [0.0])
        np.testing.assert_allclose(inverse.blocks[k] @ block, np.eye(6), atol=1e-10)


@pytest.mark.usefixtures("x64")
def test_without_curvature_rounding_leaves_a_guess_that_is_finite():
    task, _, point = lane_task(soft=False)
    blocks = _curvature.inverse(task, jnp.zeros((2, 4, 20))).blocks
    assert jnp.all(jnp.isfinite(blocks))
    nothing = task._replace(l2=jnp.zeros(2))
    assert jnp.all(jnp.isfinite(_curvature.applied(_curvature.inverse(nothing, jnp.ones((2, 4, 20))), point).weights))


# Paths


@pytest.mark.slow
@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("solver", ["newton", "lbfgs"])
def test_every_lane_reaches_its_optimum_in_the_callers_order(monkeypatch, solver):
    monkeypatch.setattr(_paths, "ON_CPU", 2 * 600 * 10 * 8)  # groups of two: the last is padded
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
    problem = regression._validate.problem(digits()[0], y, None, None)
    drawn, count = regression._path._folds(5, KEY, problem)
    assert count == 5
    per_class = np.array([np.bincount(np.asarray(drawn)[y == c], minlength=5) for c in range(10)])
    assert np.ptp(per_class, axis=1).max() <= 1
    assert np.ptp(np.bincount(drawn)) <= 1
    again, _ = regression._path._folds(5, KEY, problem)
    np.testing.assert_array_equal(drawn, again)
    other, _ = regression._path._folds(5, jax.random.key(1), problem)
    assert (drawn != other).any()


@pytest.mark.slow
@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("l2s", [[0.1], [0.1, 0.1, 0.1, 0.1], [0.0, 0.1]], ids=["one", "equal", "none at all"])
def test_paths_at_the_edges(monkeypatch, l2s):
    monkeypatch.setattr(_paths, "ON_CPU", 2 * 60 * 3 * 8)
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
    regression.fit_path(x, y, [0.2, 0.05], folds=folds[::-1].copy())
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
    "a gap": ({"folds": 2 * (np.arange(60) % 2)}, ValueError, "fold 1 of 3 holds no row out"),
    "no key": ({"folds": 5}, ValueError, r"folds= as a number needs key=jax.random.key\(seed\)"),
    "too many folds": ({"folds": 61, "key": KEY}, ValueError, "folds=61 must be at least 2 and at most 60"),
    "a class in one fold": ({"folds": (rows()[1] == 2).astype(int)}, ValueError, "holds out every row of class"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_bad_paths_are_refused(case):
    options, error, message = REFUSED[case]
    with pytest.raises(error, match=message):
        regression.fit_path(*rows(), **({"l2s": [0.1]} | options))


# Many features


def wide(count=150, features=300, classes=3):
    """More features than have whole blocks, of unequal variances, one of them constant."""
    rng = np.random.default_rng(3)
    x = rng.normal(size=(count, features)) * np.linspace(3.0, 0.01, features)
    x[:, 7] = 1.0
    scores = x[:, :classes] + rng.normal(size=(count, classes))
    return x, scores.argmax(axis=1)


def test_principal_directions_are_orthogonal_and_hold_the_variance():
    x = wide()[0].astype(np.float32)
    basis = _curvature.basis(jnp.asarray(x), 3)
    np.testing.assert_allclose(basis.vectors.T @ basis.vectors, np.eye(300), atol=1e-5)
    np.testing.assert_allclose(basis.features, x @ basis.vectors[:, :128], atol=1e-4)
    turned = x @ np.asarray(basis.vectors)
    np.testing.assert_allclose(basis.energy, np.mean(turned**2, axis=0)[128:], atol=1e-4)
    assert basis.energy.shape == (172,)
    assert _curvature.basis(jnp.ones((4, 256)), 3) is None
    assert _curvature.basis(jnp.ones((4, 2049)), 3) is None


@pytest.mark.usefixtures("x64")
def test_with_every_direction_whole_the_blocks_are_those_of_the_features(monkeypatch):
    task, _, point = lane_task(soft=False)
    p = _lanes.probabilities(task, _descent.at(task, point, 0).slope)
    plain_blocks = _curvature.applied(_curvature.inverse(task, p), point)
    monkeypatch.setattr(_curvature, "FULL", 1)
    turned = task._replace(basis=_curvature.basis(task.x[:, :-1], 4))
    assert turned.basis is not None
    for a, b in zip(_curvature.applied(_curvature.inverse(turned, p), point), plain_blocks, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-8)


@pytest.mark.slow
@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("solver", ["lbfgs", "newton"])
def test_many_features_reach_the_optimum_in_few_steps(solver):
    x, y = wide()
    result = regression.fit(x, y, l2=1e-3, optimizer=solver)
    assert result.converged
    assert int(result.num_steps) <= {"lbfgs": 80, "newton": 15}[solver]
    assert numpy_objective(result.params, x, y, 1e-3) == pytest.approx(best_objective(x, y, 1e-3), rel=1e-9)


# Where fits went wrong


@pytest.mark.parametrize(("solver", "sizes"), [("lbfgs", (1e2, 1e4)), ("newton", (10.0, 1e2))])
def test_a_start_far_away_comes_back(solver, sizes):
    x, y = rows()
    near = regression.fit(x, y, l2=0.01, optimizer=solver)
    for size in sizes:
        start = regression.Params(np.outer(np.ones(4), [size, -size, 0]), np.asarray([size, -size, 0]))
        far = regression.fit(x, y, l2=0.01, optimizer=solver, params=start)
        assert far.converged
        assert float(far.history[-1]) == pytest.approx(float(near.history[-1]), rel=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("shift", [0.0, 10.0])
def test_features_of_low_rank_and_far_from_zero(shift):
    rng = np.random.default_rng(0)
    x = (rng.normal(size=(400, 60)) @ rng.normal(size=(60, 300)) / 8 + shift).astype(np.float32)
    y = rng.integers(0, 3, 400)
    result = regression.fit(x, y, l2=1e-3, optimizer="newton")
    assert result.converged
    assert float(jnp.max(jnp.abs(result.params.weights))) < 10


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", ["lbfgs", "newton", optax.adam(0.05)], ids=["lbfgs", "newton", "adam"])
def test_a_class_without_rows_has_no_minimum(optimizer):
    x, y = rows()
    with pytest.warns(ConvergenceWarning, match="no minimum: no row of any weight has class 3"):
        result = regression.fit(x, y, num_classes=4, l2=0.1, optimizer=optimizer, tolerance=1e-2)
    assert not result.converged
    with pytest.warns(ConvergenceWarning, match="no minimum: no row of any weight has class 2"):
        regression.fit(x, y, l2=0.1, sample_weight=(y != 2) * 1.0, optimizer=optimizer, tolerance=1e-2)


@pytest.mark.slow
def test_a_path_has_no_minimum_where_fit_has_none():
    x, y = separable()
    with pytest.warns(ConvergenceWarning, match=r"1 of 2 fits have not converged, the first at l2=0 "):
        path = regression.fit_path(x, y, [1.0, 0.0], tolerance=1e-2)
    assert path.converged.tolist() == [True, False]
    with pytest.warns(ConvergenceWarning, match=r"2 of 2 fits have not converged.*rows of every class"):
        regression.fit_path(x, y, [1.0, 0.1], num_classes=4, tolerance=1e-2)


@pytest.mark.slow
def test_features_of_nothing_leave_the_bias():
    y = np.asarray([0, 1, 1, 0, 1, 1])
    result = regression.fit(np.zeros((6, 1), np.float32), y)
    assert result.converged
    assert float(result.history[-1]) == pytest.approx(-(np.log(2 / 3) * 4 + np.log(1 / 3) * 2) / 6, rel=1e-5)
