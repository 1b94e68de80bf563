"""The comparison of gradients of the softmax regression: errors planted in one of them are named."""

import dataclasses
import functools
import importlib
import pkgutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jxent import _numerics, closed_form, data, probs, regression
from jxent._numerics import classification, kernels, softmax
from jxent.regression import _gradients, _model
from jxent.regression._gradients import CLOSED_FORM, COMPOSITION, DEFINITION, OBJECTIVE, SOLVERS
from jxent.regression.solvers import objective as of_lanes
from tests.test_regression import PROMISED, kinds, problem


@functools.cache
def digits(dtype):
    """Digits between 0 and 1, in the dtype, with their labels."""
    d = data.digits()
    return (d.x / d.scale).astype(dtype), d.labels


# The comparison


@pytest.mark.parametrize("start", ["zeros", "normal"])
def test_gradients_on_digits_agree_to_rounding(dtype, start):
    x, y = digits(dtype.name)
    params = regression.init(64, 10, key=jax.random.key(3) if start == "normal" else None)
    gradients, scales = _gradients._gradients(params, x, y, 0.0, None)
    found = _gradients._compared(gradients, scales)
    assert found == regression.compare_gradients(params, x, y)
    assert found.agrees
    assert found.disagreeing == ()
    # The solvers sum the bias with the weights, in one product: its rounding is relative to the terms, which at zeros
    # nearly cancel.
    assert found.bias.max_abs <= PROMISED[dtype.name] * scales[1]
    del gradients[SOLVERS]
    found = _gradients._compared(gradients, scales)
    assert max(found.weights.max_rel, found.bias.max_rel) <= PROMISED[dtype.name]
    # Three different computations; of few numbers an accelerator may round them alike.
    assert min(found.weights.max_rel, found.bias.max_rel) > 0 or jax.default_backend() != "cpu"


@kinds
def test_gradients_agree_with_every_option(rng, dtype, labels):
    params, x, y = problem(rng, labels, dtype)
    weight = rng.uniform(0.1, 3.0, size=len(x))
    found = regression.compare_gradients(params, x, y, l2=0.2, sample_weight=weight)
    assert found.agrees
    assert max(found.weights.max_rel, found.bias.max_rel) <= PROMISED[dtype.name]


def test_comparison_of_narrow_parameters(rng):
    params, x, y = problem(rng, dtype="float32")
    assert regression.compare_gradients(jax.tree.map(lambda a: a.astype(jnp.bfloat16), params), x, y).agrees


def test_comparison_in_the_widest_dtype(rng, x64):
    params, x, y = problem(rng)
    narrow = jax.tree.map(lambda a: a.astype(jnp.float32), params)
    found = regression.compare_gradients(narrow, x, y)
    assert found.agrees
    assert found.weights.max_rel <= PROMISED["float64"]


def test_underflow_of_the_composition_is_named():
    params = regression.Params(jnp.asarray([[0.0, -300.0]]), jnp.zeros(2))
    found = regression.compare_gradients(params, jnp.ones((1, 1)), jnp.asarray([1]))
    assert not found.agrees
    assert found.disagreeing == (COMPOSITION,)


def negated(function):
    """The function with the wrong sign, whatever pytree it returns."""
    return lambda *args, **options: jax.tree.map(jnp.negative, function(*args, **options))


def bias_only(function):
    """The loss with a wrong sign of the bias alone."""

    def wrong(params, *args, **options):
        return function(params._replace(bias=2 * jax.lax.stop_gradient(params.bias) - params.bias), *args, **options)

    return wrong


def wrong_penalty(function):
    """The loss with a wrong sign of the penalty alone."""

    def wrong(params, *args, **options):
        penalty = options.get("l2", args[-1])
        return function(params, *args, **options) - penalty * jnp.sum(jnp.square(params.weights))

    return wrong


PLACES = {
    DEFINITION: (_gradients, "_definition"),
    COMPOSITION: (_gradients, "_composition"),
    OBJECTIVE: (_model, "objective"),
    SOLVERS: (of_lanes, "gradient"),
}


def planted(rng, monkeypatch, case):
    """The comparison with some place broken.

    What is traced while the package is broken stays in the caches of `jit`: every case has a number of
    rows of its own, which finds nothing there and leaves nothing that another test would use.
    """
    params, x, y = problem(rng, dtype="float32", rows=1000 + case)
    return regression.compare_gradients(params, x, y, l2=0.2)


@pytest.mark.parametrize(
    ("name", "how"),
    [*((name, negated) for name in PLACES), (DEFINITION, bias_only), (OBJECTIVE, wrong_penalty)],
)
def test_a_wrong_sign_is_named(rng, monkeypatch, name, how):
    where, attribute = PLACES[name]
    monkeypatch.setattr(where, attribute, how(getattr(where, attribute)))
    found = planted(rng, monkeypatch, 6 if name == SOLVERS else 0)
    assert found.disagreeing == (name,)
    assert not found.agrees
    if how is bias_only:
        assert found.weights.agrees
        assert not found.bias.agrees


@pytest.mark.parametrize("part", ["weights", "bias"])
def test_a_wrong_sign_in_the_closed_form_is_named(rng, monkeypatch, part):
    right = closed_form.softmax_regression

    def wrong(*args, **options):
        gradient = right(*args, **options)
        return gradient._replace(**{part: -getattr(gradient, part)})

    monkeypatch.setattr(_gradients._closed_form, "softmax_regression", wrong)
    found = planted(rng, monkeypatch, 0)
    assert found.disagreeing == (CLOSED_FORM,)
    assert not getattr(found, part).agrees


def test_a_wrong_sign_in_cross_entropy_is_named(rng, monkeypatch):
    monkeypatch.setattr(probs, "cross_entropy", negated(probs.cross_entropy))
    assert planted(rng, monkeypatch, 1).disagreeing == (COMPOSITION,)


def test_a_wrong_slope_of_the_kernel_is_named(rng, monkeypatch):
    right = kernels.CROSS_ENTROPY
    wrong = dataclasses.replace(right, slope_q=lambda pair: -right.slope_q(pair))
    monkeypatch.setattr(kernels, "CROSS_ENTROPY", wrong)
    assert planted(rng, monkeypatch, 2).disagreeing == (COMPOSITION,)


@pytest.mark.parametrize(
    ("case", "rule", "name"),
    [(3, softmax.softmax_of, COMPOSITION), (4, classification._label_loss, OBJECTIVE)],
    ids=["softmax", "label_loss"],
)
def test_a_wrong_sign_in_a_rule_of_the_package_is_named(rng, monkeypatch, case, rule, name):
    right = rule.jvp

    def wrong(*args):
        value, tangent = right(*args)
        return value, jax.tree.map(jnp.negative, tangent)

    monkeypatch.setattr(rule, "jvp", wrong)
    found = planted(rng, monkeypatch, case)
    assert found.disagreeing == (name,)
    assert not found.agrees


def test_a_wrong_sign_that_both_compositions_share_is_named(rng, monkeypatch):
    for name in (COMPOSITION, OBJECTIVE):
        where, attribute = PLACES[name]
        monkeypatch.setattr(where, attribute, negated(getattr(where, attribute)))
    found = planted(rng, monkeypatch, 0)
    assert found.disagreeing == (COMPOSITION, OBJECTIVE)
    assert not found.agrees


def test_where_nothing_agrees_everything_is_named(rng, monkeypatch):
    for factor, (where, attribute) in enumerate(PLACES.values(), start=2):
        right = getattr(where, attribute)
        monkeypatch.setattr(where, attribute, lambda *a, f=right, k=factor, **o: k * f(*a, **o))
    found = planted(rng, monkeypatch, 7)
    assert set(found.disagreeing) == {DEFINITION, COMPOSITION, OBJECTIVE, CLOSED_FORM, SOLVERS}


def test_a_small_error_is_seen_and_rounding_is_not(rng, monkeypatch):
    right = _gradients._definition
    for size, agrees in ((1e-7, True), (1e-4, False)):
        monkeypatch.setattr(_gradients, "_definition", lambda *a, f=size: (1 + f) * right(*a))
        assert planted(rng, monkeypatch, 0).agrees is agrees


# No circle


def primitives(jaxpr):
    """The names of all primitives of a jaxpr, inner ones included."""
    for equation in jaxpr.eqns:
        yield equation.primitive.name
        for leaf in jax.tree.leaves(list(equation.params.values()), is_leaf=lambda v: hasattr(v, "eqns")):
            inner = getattr(leaf, "jaxpr", leaf)
            if hasattr(inner, "eqns"):
                yield from primitives(inner)


def test_definition_and_closed_form_use_no_rule_of_the_package(rng):
    params, x, y = problem(rng, dtype="float32")
    targets, share = jax.nn.one_hot(y, 4), jnp.full(len(x), 1 / len(x))
    operands = (params, x, targets, share, jnp.float32(0.1))

    def custom(function, *args):
        return [n for n in primitives(jax.make_jaxpr(function)(*args).jaxpr) if n.startswith("custom_")]

    assert custom(_gradients._definition, *operands) == []
    assert custom(jax.grad(_gradients._definition), *operands) == []
    assert custom(closed_form.softmax_regression, params, x, y) == []
    # The same search finds the rules where they are.
    assert "custom_jvp_call" in custom(_gradients._composition, *operands)
    assert "custom_jvp_call" in custom(regression.objective, params, x, y)


def rules_of_the_package():
    """Every function of `jxent._numerics` with a derivative rule."""
    for info in pkgutil.iter_modules(_numerics.__path__):
        module = importlib.import_module(f"{_numerics.__name__}.{info.name}")
        yield from (f for f in vars(module).values() if isinstance(f, jax.custom_jvp))


def test_definition_has_a_gradient_without_any_rule_of_the_package(rng, monkeypatch):
    params, x, y = problem(rng, dtype="float32", rows=1005)  # see `planted`
    operands = (params, x, jax.nn.one_hot(y, 4), jnp.full(len(x), 1 / len(x)), jnp.float32(0.1))

    def broken(*args):
        raise AssertionError("a rule of this package was called")

    rules = set(rules_of_the_package())
    assert len(rules) > 5
    for rule in rules:
        monkeypatch.setattr(rule, "jvp", broken)
    by_definition = jax.grad(_gradients._definition)(*operands)
    by_hand = closed_form.softmax_regression(params, x, y, l2=0.1)
    np.testing.assert_allclose(by_definition.weights, by_hand.weights, atol=1e-6)
    with pytest.raises(AssertionError, match="was called"):
        jax.grad(_gradients._composition)(*operands)
    with pytest.raises(AssertionError, match="was called"):
        jax.grad(regression.objective)(params, x, y)
