"""The built-in solvers: their optima, their pieces, and the data on which they went wrong."""

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
from jxent.regression import ConvergenceWarning, Params
from jxent.regression.solvers import descent, preconditioner
from jxent.regression.solvers import objective as ob
from tests.test_fit import rows
from tests.test_regression import numpy_objective

pytestmark = pytest.mark.usefixtures("quick_compile")
KEY = jax.random.key(0)


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
    monkeypatch.setattr(preconditioner, "LARGEST", 1)
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


# The stopping rule


@pytest.mark.parametrize(
    ("gap", "fall", "stalled", "option", "expected"),
    [
        (5e-7, 1e-3, descent.STALLED, None, True),  # at rest the decrease of the last step does not count
        (5e-6, 0.0, descent.STALLED, None, False),
        (5e-7, 0.0, 0, None, False),
        (5e-10, 0.0, 0, None, True),
        (5e-10, 1e-3, 0, None, False),
        (5e-10, 0.0, descent.STALLED, 1e-6, False),  # the caller's tolerance is of the gradient alone
    ],
)
def test_a_gradient_above_the_tolerance_converges_by_its_distance_to_the_minimum(gap, fall, stalled, option, expected):
    """Relative to an objective of 2."""
    fields = {"value": 2.0, "norm": 1e-2, "gap": 2 * gap, "fall": 2 * fall, "lowest": 2.0, "least": 1e-2}
    lane = descent.Convergence(
        **{name: jnp.asarray([number]) for name, number in fields.items()},
        steps=jnp.asarray([9]),
        stalled=jnp.asarray([stalled]),
    )
    tolerance = descent.tolerance(option, np.float32(1.0), jnp.float32)
    assert bool(lane.is_converged(tolerance)[0]) is expected


# The pieces


@functools.cache
def lane_task(soft):
    keys = jax.random.split(jax.random.key(1), 6)
    x = jax.random.normal(keys[0], (20, 5), jnp.float64)
    targets = jax.random.randint(keys[1], (20,), 0, 4)
    if soft:
        targets = jax.nn.softmax(jax.random.normal(keys[2], (20, 4), jnp.float64))
    share = jax.random.uniform(keys[3], (2, 20), jnp.float64) / 10
    at = ob.extended(jnp.zeros(5), None)
    task = ob.lane_objective(ob.transformed(x, at), at, targets, share, jnp.asarray([0.1, 0.3]))
    return task, targets, jax.random.normal(keys[4], (2, 4, 6), jnp.float64)


def plain(task, targets, point):
    """The sum over lanes of the definition, which autodiff differentiates."""
    z = jnp.einsum("lkd,nd->lnk", point, task.x)
    t = jax.nn.one_hot(targets, 4, dtype=z.dtype) if targets.ndim == 1 else targets
    losses = -jnp.sum(t[None] * jax.nn.log_softmax(z), axis=2)
    return jnp.sum(task.share * losses) + 0.5 * jnp.sum(task.penalty[:, None, :] * point**2)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize(("soft", "many"), [pytest.param(False, 64, marks=pytest.mark.slow), (True, 64), (False, 2)])
def test_value_gradient_and_hessian_of_lanes_are_those_of_autodiff(soft, many, monkeypatch):
    monkeypatch.setattr(ob, "MANY", many)
    task, targets, point = lane_task(soft)
    found, slopes = ob.evaluate(task, ob.scores(task.x, point), point)
    value, gradient = jax.value_and_grad(functools.partial(plain, task, targets))(point)
    np.testing.assert_allclose(jnp.sum(found), value, rtol=1e-14)
    np.testing.assert_allclose(ob.gradient(task, slopes, point), gradient, atol=1e-14)
    direction = jnp.cos(point)
    curved = ob.curvature(task, slopes, ob.scores(task.x, direction))
    _, expected = jax.jvp(jax.grad(functools.partial(plain, task, targets)), (point,), (direction,))
    np.testing.assert_allclose(ob.gradient(task, curved, direction), expected, atol=1e-14)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("standardize", [False, True])
def test_coordinates_change_neither_objective_nor_gradient(standardize):
    """The objective of parameters is that of their point, and the largest entry of the gradient that in parameters."""
    task, targets, point = lane_task(soft=False)
    x, weights = 3.0 + 2.0 * task.x[:, :-1], task.share[0]
    at = ob.coordinates(x, weights, standardize=standardize)
    moved = ob.lane_objective(ob.transformed(x, at), at, targets, weights[None], jnp.zeros(1))
    params = Params(point[0, :, :-1].T, point[0, :, -1])

    def value(params):
        z = x @ params.weights + params.bias[None, :]
        return -jnp.sum(weights[:, None] * jax.nn.one_hot(targets, 4) * jax.nn.log_softmax(z))

    here = ob.to_point(params, at)
    found, slopes = ob.evaluate(moved, ob.scores(moved.x, here), here)
    expected, gradient = jax.value_and_grad(value)(params)
    np.testing.assert_allclose(found[0], expected, rtol=1e-13)
    largest = max(float(jnp.max(jnp.abs(leaf))) for leaf in gradient)
    np.testing.assert_allclose(ob.largest(at, ob.gradient(moved, slopes, here)), largest, rtol=1e-12)
    back, bias = ob.from_point(here, at)
    np.testing.assert_allclose(back[0].T, params.weights, atol=1e-14)
    np.testing.assert_allclose(jnp.diff(bias[0]), jnp.diff(params.bias), atol=1e-13)


@pytest.mark.parametrize("many", [2, 1000])
def test_losses_and_slopes_keep_their_tails(many, monkeypatch):
    """Whether classes are taken together or one by one."""
    monkeypatch.setattr(ob, "MANY", many)
    z = jnp.asarray([[[40.0], [0.0], [-3.0]]], jnp.float32)
    at = ob.extended(jnp.zeros(1), None)
    x = ob.transformed(jnp.zeros((1, 1), jnp.float32), at)
    tail = np.exp(-40.0) + np.exp(-43.0)
    for targets in (jnp.asarray([0]), jnp.asarray([[1.0, 0.0, 0.0]])):
        objective = ob.lane_objective(x, at, targets, jnp.ones((1, 1), jnp.float32), jnp.zeros(1))
        losses, slope = ob.losses(objective, z)
        np.testing.assert_allclose(losses[0, 0], tail, rtol=1e-6)
        np.testing.assert_allclose(slope[0, :, 0], [-tail, np.exp(-40.0), np.exp(-43.0)], rtol=1e-6)


@pytest.mark.usefixtures("x64")
def test_curvature_blocks_invert_the_hessian_of_each_class():
    task, _, point = lane_task(soft=False)
    _, slopes = ob.losses(task, ob.scores(task.x, 0.1 * point))
    inverse = preconditioner.inverse(task, slopes)
    x, p = np.asarray(task.x), ob.probabilities(task, slopes)
    curved = np.mean(np.asarray(task.share[:, None] * p * (1 - p)), axis=0)
    for k in range(4):
        block = x.T @ (curved[k][:, None] * x) + np.diag([0.2] * 5 + [0.0])
        np.testing.assert_allclose(inverse.blocks[k] @ block, np.eye(6), atol=1e-10)


@pytest.mark.usefixtures("x64")
def test_saturated_rows_of_the_wrong_class_have_a_least_curvature():
    task, _, _ = lane_task(soft=False)
    wrong = jnp.where(ob.is_anchor(task, 4), -1.0, 1 / 3) * jnp.ones((2, 1, 1))
    blocks = preconditioner.inverse(task._replace(penalty=0 * task.penalty), wrong).blocks
    assert np.abs(blocks).max() < 1e4


@pytest.mark.usefixtures("x64")
def test_without_curvature_rounding_leaves_a_guess_that_is_finite():
    task, _, point = lane_task(soft=False)
    nowhere = jnp.zeros((2, 4, 20))
    assert jnp.all(jnp.isfinite(preconditioner.inverse(task, nowhere).blocks))
    nothing = task._replace(penalty=jnp.zeros((2, 6)))
    assert jnp.all(
        jnp.isfinite(preconditioner.applied(preconditioner.inverse(nothing, nowhere), nothing.penalty, point))
    )


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
    ones = np.ones((len(x), 1), np.float32)
    basis = preconditioner.basis(jnp.asarray(np.hstack([x, ones])), 3)
    np.testing.assert_allclose(basis.vectors.T @ basis.vectors, np.eye(300), atol=1e-5)
    np.testing.assert_allclose(basis.features, np.hstack([x @ basis.vectors[:, :128], ones]), atol=1e-4)
    turned = x @ np.asarray(basis.vectors)
    np.testing.assert_allclose(basis.energy, np.mean(turned**2, axis=0)[128:], atol=1e-4)
    assert basis.energy.shape == (172,)
    assert preconditioner.basis(jnp.ones((4, 257)), 3) is None
    assert preconditioner.basis(jnp.ones((4, 2050)), 3) is None


@pytest.mark.usefixtures("x64")
def test_with_every_direction_whole_the_blocks_are_those_of_the_features(monkeypatch):
    task, _, point = lane_task(soft=False)
    _, slopes = ob.losses(task, ob.scores(task.x, point))
    whole = preconditioner.applied(preconditioner.inverse(task, slopes), task.penalty, point)
    monkeypatch.setattr(preconditioner, "FULL", 1)
    turned = task._replace(basis=preconditioner.basis(task.x, 4))
    assert turned.basis is not None
    again = preconditioner.applied(preconditioner.inverse(turned, slopes), task.penalty, point)
    np.testing.assert_allclose(again, whole, rtol=1e-8)


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
def test_features_of_nothing_leave_the_bias():
    y = np.asarray([0, 1, 1, 0, 1, 1])
    result = regression.fit(np.zeros((6, 1), np.float32), y)
    assert result.converged
    assert float(result.history[-1]) == pytest.approx(-(np.log(2 / 3) * 4 + np.log(1 / 3) * 2) / 6, rel=1e-5)
