"""Training: one compiled program, its result against scikit-learn, what a fit means, and minibatches."""

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
from jxent.regression import ConvergenceWarning, solvers
from tests.test_regression import numpy_objective
from tests.test_regression_compare import primitives

pytestmark = pytest.mark.usefixtures("quick_compile")

# One object each for the whole module: every new object would compile anew.
ADAM = optax.adam(0.05)
STANDING = optax.sgd(0.0)
EXPLODING = optax.sgd(1e10)
HALVED = optax.chain(optax.sgd(1.0), optax.scale_by_backtracking_linesearch(10, store_grad=True), optax.scale(0.5))
PROMISED = {"float32": 4e-6, "float64": 2e-14}
STEPS = 20

# What the tests count: `jax.monitoring` reports every program that the backend compiles.
compiled = []
jax.monitoring.register_event_duration_secs_listener(
    lambda event, _, **__: compiled.append(event) if event.endswith("backend_compile_duration") else None
)


def rows(count=60, features=4, classes=3, seed=0):
    """A small problem in float32 that no line separates."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(count, features)).astype(np.float32)
    noisy = x[:, :classes] + 1.5 * rng.normal(size=(count, classes))
    return x, noisy.argmax(axis=1).astype(np.int32)


def separable():
    """The same shapes, and classes that a line parts."""
    x, _ = rows()
    return x, x[:, :3].argmax(axis=1).astype(np.int32)


def quiet(*args, **options):
    """A fit whose lack of convergence is meant."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return regression.fit(*args, **options)


def some_steps(x, y, **options):
    """A few full-batch steps of one optimizer: one program for all tests that need no more than that."""
    return quiet(x, y, **({"optimizer": ADAM, "max_steps": STEPS, "l2": 0.1} | options))


def assert_same(a, b):
    for u, v in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        np.testing.assert_array_equal(u, v)


@jax.jit
def evaluated(params, x, y, l2):
    """The full objective, and the largest entry of its gradient."""
    value, gradient = jax.value_and_grad(regression.objective)(params, x, y, l2=l2)
    return value, jnp.maximum(*(jnp.max(jnp.abs(g)) for g in gradient))


@functools.cache
def digits(dtype):
    """Training and test digits, and the penalty 1/N."""
    train, test = data.split(data.digits(), key=jax.random.key(0))
    return *((np.asarray(d.x / d.scale, dtype), d.labels) for d in (train, test)), 1 / len(train.x)


@functools.cache
def fitted(dtype):
    """The main job: digits with the default optimizer."""
    (x, y), _, l2 = digits(dtype)
    return regression.fit(x, y, l2=l2)


# The main job


def scikit_learn(x, y, l2):
    """The same problem in scikit-learn, to a tight tolerance; in one thread: many fight over few cores."""
    peer = LogisticRegression(C=1 / (l2 * len(x)), tol=1e-8, max_iter=10_000, solver="newton-cg")
    with threadpool_limits(1):
        return peer.fit(x.astype(np.float64), y)


def test_digits_reach_the_optimum_of_scikit_learn(dtype):
    (x, y), (x_test, y_test), l2 = digits(dtype.name)
    result, peer = fitted(dtype.name), scikit_learn(x, y, l2)
    assert result.converged
    best = numpy_objective((peer.coef_.T, peer.intercept_), x, y, l2)
    found = numpy_objective(result.params, x, y, l2)
    assert found == pytest.approx(best, rel=1e-5 if dtype == np.float32 else 1e-10)
    accuracy = np.mean(np.asarray(regression.predict(result.params, x_test)) == y_test)
    assert abs(accuracy - peer.score(np.asarray(x_test, np.float64), y_test)) <= 0.005
    assert accuracy > 0.9


def test_result_of_digits_says_what_happened(dtype):
    (x, y), _, l2 = digits(dtype.name)
    result = fitted(dtype.name)
    eps = float(np.finfo(dtype).eps)
    history = np.asarray(result.history)
    assert {a.dtype for a in (*result.params, result.history, result.grad_norm)} == {dtype}
    assert isinstance(result.history, jax.Array)
    assert history.shape == (int(result.num_steps) + 1,)
    assert history[0] == pytest.approx(np.log(10), rel=4 * eps)
    assert np.diff(history).max() <= 2 * eps  # never up, but for the last digit at the optimum
    value, norm = evaluated(result.params, x, y, l2)
    assert history[-1] == pytest.approx(float(value), rel=8 * eps)
    assert float(result.grad_norm) == pytest.approx(float(norm), abs=eps)
    assert result.grad_norm <= (1e-6 if dtype == np.float32 else 1e-10)


def test_gradients_agree_at_the_optimum_of_digits(dtype):
    (x, y), _, l2 = digits(dtype.name)
    params = fitted(dtype.name).params
    found = regression.compare_gradients(params, x, y, l2=l2)
    assert found.agrees
    assert found.disagreeing == ()
    residual = np.abs(np.asarray(regression.predict_proba(params, x), np.float64) - np.eye(10)[y])
    in_weights, in_bias = (x.astype(np.float64).T @ residual).max() / len(x), residual.sum(axis=0).max() / len(x)
    assert found.weights.max_abs <= PROMISED[dtype.name] * in_weights
    assert found.bias.max_abs <= PROMISED[dtype.name] * in_bias


# One program


def arguments(monkeypatch, **options):
    """What `fit` hands to the compiled program, which is not run."""

    class CaughtError(Exception):
        pass

    caught = []

    def catch(*args):
        caught.extend(args)
        raise CaughtError

    with monkeypatch.context() as patch:
        patch.setattr(solvers, "run", catch)
        with pytest.raises(CaughtError):
            regression.fit(*rows(), **options)
    return caught


def program(monkeypatch, **options):
    """The jaxpr of the compiled program of a fit."""
    traced = jax.make_jaxpr(solvers.run, static_argnums=0)(*arguments(monkeypatch, **options)).jaxpr
    (call,) = traced.eqns
    return call.params["jaxpr"].jaxpr


def whiles(equations):
    return [e for e in equations if e.primitive.name == "while"]


@pytest.mark.parametrize("solver", ["lbfgs", "newton"])
def test_a_solver_of_our_own_is_one_program_with_one_while(monkeypatch, solver):
    jaxpr = program(monkeypatch, optimizer=solver)
    assert list(primitives(jaxpr)).count("while") == len(whiles(jaxpr.eqns)) == 1


@pytest.mark.parametrize("solver", ["lbfgs", "newton"])
def test_a_turn_makes_one_product_with_the_features_and_one_with_their_transpose(monkeypatch, solver):
    jaxpr = program(monkeypatch, optimizer=solver)
    body = whiles(jaxpr.eqns)[0].params["body_jaxpr"].jaxpr
    direct = [e for e in body.eqns if e.primitive.name == "dot_general" and e.invars[1].aval.shape == (60, 5)]
    assert [e.params["dimension_numbers"][0] for e in direct] == [((2,), (1,)), ((2,), (0,))]


@pytest.mark.parametrize(
    "options",
    [{}, {"batch_size": 16, "key": jax.random.key(0)}, {"progress": True}],
    ids=["full", "batch", "progress"],
)
def test_a_first_order_fit_has_one_while_anywhere(monkeypatch, options):
    names = list(primitives(program(monkeypatch, optimizer=ADAM, max_steps=STEPS, **options)))
    assert names.count("while") == 1
    assert names.count("scan") == 0
    assert any("callback" in name for name in names) == ("progress" in options)


def test_a_fit_is_one_call_of_the_program(monkeypatch):
    calls = []
    right = solvers.run
    monkeypatch.setattr(solvers, "run", lambda *args: calls.append(args) or right(*args))
    some_steps(*rows())
    assert len(calls) == 1
    assert hasattr(right, "lower")  # a compiled function


def test_a_second_fit_compiles_nothing(dtype):
    (x, y), _, l2 = digits(dtype.name)
    fitted(dtype.name)
    before = len(compiled)
    jax.jit(lambda a: a + 1)(1.0)
    assert len(compiled) > before, "compilations are not counted"
    weight = np.linspace(0, 1, len(x), dtype=dtype)
    regression.fit(x, y, sample_weight=weight[::-1].copy(), l2=1.0)
    before = len(compiled)
    again = regression.fit(x, y, l2=l2)
    fewer = regression.fit(x, y, l2=2 * l2, tolerance=1e-3)
    weighted = regression.fit(x, y, l2=l2, tolerance=1e-3, sample_weight=weight, num_classes=10)
    assert len(compiled) == before
    assert_same(again, fitted(dtype.name))
    assert len({int(r.num_steps) for r in (again, fewer, weighted)}) == 3


def test_a_second_fit_with_one_optimizer_object_compiles_nothing():
    x, y = rows()
    options = {"batch_size": 16, "key": jax.random.key(0)}
    weight, other = np.arange(60, dtype=np.float32), jax.random.key(5)
    some_steps(x, y, sample_weight=weight + 1)
    some_steps(x, y, **options)
    before = len(compiled)
    results = [
        some_steps(x, y),
        some_steps(x, y, l2=0.7),
        some_steps(x, y, tolerance=0.05),
        some_steps(2 * x, y[::-1].copy(), sample_weight=weight),
        some_steps(x, y, **options),
        some_steps(x, y, **options | {"key": other}, l2=0.01),
    ]
    assert len(compiled) == before
    assert len({float(r.history[-1]) for r in results}) == len(results)


# What a fit means


def test_small_fit_reaches_the_optimum():
    x, y = rows()
    result = regression.fit(x, y, l2=0.1)
    peer = scikit_learn(x, y, 0.1)
    np.testing.assert_allclose(result.params.weights, peer.coef_.T, atol=1e-4)
    assert result.converged
    assert result.converged.shape == result.num_steps.shape == result.grad_norm.shape == ()


def test_sample_weight_counts_rows():
    x, y = rows()
    weight = np.where(np.arange(60) < 40, 3.0, 0.0)
    result = regression.fit(x, y, l2=0.1, sample_weight=weight)
    peer = scikit_learn(x[:40], y[:40], 0.1)
    np.testing.assert_allclose(result.params.weights, peer.coef_.T, atol=1e-4)
    assert float(result.history[-1]) == pytest.approx(numpy_objective(result.params, x, y, 0.1, weight), rel=1e-6)


def test_distributions_train_like_their_ids():
    x, y = rows()
    soft = some_steps(x, np.eye(3)[y])
    for a, b in zip(soft.params, some_steps(x, y).params, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)


def test_full_batch_adam_is_the_plain_loop():
    x, y = rows()
    result = some_steps(x, y)
    params = regression.init(4, 3)
    state = ADAM.init(params)
    values = []
    objective = jax.jit(jax.value_and_grad(lambda p: regression.objective(p, x, y, l2=0.1)))
    update = jax.jit(ADAM.update)
    for _ in range(STEPS):
        value, gradient = objective(params)
        values.append(value)
        with jax.numpy_dtype_promotion("standard"):
            updates, state = update(gradient, state)
        params = optax.apply_updates(params, updates)
    value, norm = evaluated(params, x, y, 0.1)
    assert result.num_steps == STEPS
    np.testing.assert_allclose(result.history, [*values, value], rtol=1e-5)
    np.testing.assert_allclose(result.params.weights, params.weights, atol=1e-5)
    assert float(result.grad_norm) == pytest.approx(float(norm), rel=1e-4)


def test_a_transformation_after_a_line_search_is_not_overlooked():
    x, y = rows()
    result = quiet(x, y, l2=0.1, optimizer=HALVED, max_steps=5)
    value, norm = evaluated(result.params, x, y, 0.1)
    assert float(result.history[-1]) == pytest.approx(float(value), rel=1e-6)
    assert float(result.grad_norm) == pytest.approx(float(norm), rel=1e-3)


def test_a_fit_starts_from_given_parameters():
    x, y = rows()
    start = regression.init(4, 3, key=jax.random.key(0))
    moved = some_steps(x, y, params=start)
    assert float(moved.history[0]) == pytest.approx(numpy_objective(start, x, y, 0.1), rel=1e-6)
    still = some_steps(x, y, params=start, tolerance=1e3)
    assert still.num_steps == 0
    assert still.converged
    assert still.history.shape == (1,)
    assert_same(still.params, start)


@pytest.mark.parametrize("kind", [jnp.bfloat16, np.float16, np.int8, np.uint8])
def test_narrow_and_integer_features_are_computed_in_float32(kind):
    x, y = rows()
    x = np.abs(np.round(2 * x))
    result = some_steps(jnp.asarray(x, kind), y.astype(np.uint8))
    assert result.params.weights.dtype == result.history.dtype == jnp.float32
    assert_same(result, some_steps(x, y))


# Minibatches


def batches(x, y, key=0, **options):
    return some_steps(x, y, **({"batch_size": 16, "key": jax.random.key(key)} | options))


def test_minibatches_follow_their_key():
    x, y = rows()
    assert_same(batches(x, y), batches(x, y))
    assert np.any(batches(x, y).params.weights != batches(x, y, key=1).params.weights)


def test_minibatches_report_the_full_objective_and_gradient():
    x, y = rows()
    start = regression.init(4, 3, key=jax.random.key(2))
    result = batches(x, y, params=start, tolerance=1.0)
    assert result.num_steps == STEPS  # only the steps end the loop
    assert result.converged
    assert result.history.shape == (STEPS + 1,)
    assert float(result.history[0]) == pytest.approx(numpy_objective(start, x, y, 0.1), rel=1e-6)
    _, norm = evaluated(result.params, x, y, 0.1)
    assert float(result.grad_norm) == pytest.approx(float(norm), rel=1e-4)


def test_every_epoch_takes_every_row_once_in_a_new_order():
    x, y = rows()
    start = regression.init(4, 3, key=jax.random.key(2))
    # Parameters that stand still: an entry of the history is the objective of its batch there.
    result = batches(x, y, batch_size=20, optimizer=STANDING, max_steps=6, params=start)
    assert_same(result.params, start)
    first, second = np.asarray(result.history[1:], np.float64).reshape(2, 3)
    whole = numpy_objective(start, x, y, 0.1)
    assert first.mean() == pytest.approx(whole, rel=1e-6)
    assert second.mean() == pytest.approx(whole, rel=1e-6)
    assert len(set(first)) == 3
    assert set(first) != set(second)
