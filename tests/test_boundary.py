"""Every corner and face of the simplex up to 5 categories: no NaN and no false zero in a first derivative.

All supports of one row, all pairs of supports of two, and rows whose zeros are those of a softmax that
underflowed; the same for tables of 2 by 2 and of 2 by 2 by 2; in both precisions, forward and reverse.
"""

import dataclasses
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jxent import closed_form, logits, probs
from tests.table import BY_NAME, TABLE, Trait, differentiable


def supports(k):
    """A distribution on each of the 2ᵏ − 1 supports, with different probabilities."""
    rows = []
    for subset in itertools.product((0, 1), repeat=k):
        if any(subset):
            weights = np.asarray(subset) * np.arange(1.0, k + 1)
            rows.append(weights / weights.sum())
    return np.asarray(rows)


def logit_rows(p, impossible):
    """The same rows as logits: what is impossible at −∞, or so low that its softmax underflows."""
    return np.where(p > 0, np.log(np.where(p > 0, p, 1.0)) + 1.0, impossible)


def corners(entry, k, dtype):
    """Batches of all arguments of a function at the boundary."""
    p = supports(8 if entry.kind.endswith("three") else 4) if entry.joint else supports(k)
    if entry.joint:
        p = p.reshape(-1, *((2, 2, 2) if entry.kind.endswith("three") else (2, 2)))
    if "logits" in entry.kind:
        rows = np.concatenate([logit_rows(p, -np.inf), logit_rows(p, -200.0)])
    else:
        # A softmax that underflowed leaves exact zeros; those of the CPU, subnormal numbers too.
        low = np.asarray(jax.nn.softmax(jnp.asarray(logit_rows(supports(k), -200.0), jnp.float32)))
        rows = p if entry.joint else np.concatenate([p, low])
    if entry.arity == 1:
        return (jnp.asarray(rows, dtype),)
    pairs = list(itertools.product(range(len(rows)), repeat=2))
    return tuple(jnp.asarray(rows[list(side)], dtype) for side in zip(*pairs, strict=True))


# Finite at both ends or at one of them, and at neither; with a slope at infinity where they have one.
GENERATORS = {
    "relative": (lambda t: t * jnp.log(t), {}),
    "reverse": (lambda t: -jnp.log(t), {"slope_at_infinity": 0.0}),
    "Jeffreys": (lambda t: (t - 1.0) * jnp.log(t), {}),
    "Hellinger": (lambda t: (jnp.sqrt(t) - 1.0) ** 2, {"slope_at_infinity": 1.0}),
    "variation": (lambda t: jnp.abs(t - 1.0) / 2.0, {"slope_at_infinity": 0.5}),
}
SWEPT = {e.name: e for e in TABLE if e.joint or e.kind in ("probs", "pair of probs", "logits", "pair of logits")}
SWEPT |= {
    f"{room}.f_divergence, {name}": dataclasses.replace(
        BY_NAME[f"{room}.f_divergence"], kind=f"pair of {room}", extra=(generator,), options=options
    )
    for room in ("probs", "logits")
    for name, (generator, options) in GENERATORS.items()
}


def program(function, argnums, args):
    """Values with their directional derivatives and the gradients of rows, compiled once for all parameters."""

    def rows(moving, *parameters):
        given = (moving[argnums.index(i)] if i in argnums else a for i, a in enumerate(args))
        return function(*given, *parameters)

    @jax.jit
    def run(moving, moves, *parameters):
        forward = jax.jvp(lambda moving: rows(moving, *parameters), (moving,), (moves,))
        return (*forward, jax.grad(lambda moving: jnp.sum(rows(moving, *parameters)))(moving))

    return run


def sweep(entry, dtype, function, *parameters):
    """No NaN, no false zero, forward as in reverse, infinite where the value is, for each of the parameters."""
    args = corners(entry, 5, dtype)
    argnums = differentiable(args)
    moving = tuple(args[i] for i in argnums)
    rng = np.random.default_rng(5)
    moves = tuple(jnp.asarray(rng.normal(size=m.shape), dtype) for m in moving)
    flat_moves = np.concatenate([np.asarray(m).reshape(len(args[0]), -1) for m in moves], axis=1)
    run = program(function, argnums, args)
    for given in parameters or ((),):
        found = run(moving, moves, *(jnp.asarray(x, dtype) for x in given))
        values, forward, slopes = jax.tree.map(lambda x: np.asarray(x).reshape(len(args[0]), -1), found)
        check(entry, values, forward, np.concatenate(slopes, axis=1), flat_moves)


def check(entry, values, forward, flat, flat_moves):
    assert not np.isnan(values).any()
    assert not np.isnan(flat).any()
    finite = np.isfinite(values).all(axis=1)
    assert np.isfinite(flat[finite]).all()
    if "logits" in entry.kind:
        assert np.isfinite(flat).all()
    else:
        np.testing.assert_array_equal(np.isinf(flat).any(axis=1), ~finite)
    with np.errstate(invalid="ignore"):
        forward = forward.sum(axis=1)
    assert not np.isnan(forward[finite]).any()
    products, sizes = np.sum((flat * flat_moves)[finite], axis=1), np.sum(np.abs(flat[finite]), axis=1)
    # A signed measure is a sum whose parts, as large as the logarithm of the smallest normal number, cancel.
    least = -np.log(float(np.finfo(flat.dtype).tiny)) if Trait.SIGNED in entry.traits else 1.0
    # The slopes through a softmax are differences of terms as large as the value.
    scale = np.maximum(np.maximum(least, sizes), np.max(np.abs(values[finite]), axis=1, initial=0.0))
    error = np.abs(forward[finite] - products) / scale
    assert np.max(error, initial=0.0) <= 200 * np.finfo(flat.dtype).eps


@pytest.mark.slow
@pytest.mark.float64_of_core
@pytest.mark.parametrize("entry", SWEPT.values(), ids=SWEPT.keys())
def test_no_nan_and_no_false_zero_anywhere_on_the_boundary(entry, dtype):
    """Float32 is the first whose range is left.

    In float64 the closed form stands for it, at an edge of each kind, in reverse mode; forward mode has the same rules.
    """
    sweep(entry, dtype, entry.function)


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name, entry in SWEPT.items() if not entry.closed_form])
def test_the_boundary_of_what_has_no_closed_form_in_float64(name, x64):
    sweep(SWEPT[name], np.dtype("float64"), SWEPT[name].function)


ORDERS = {
    "renyi_entropy": (0.0, 0.3, 1.0, np.inf),
    "tsallis_entropy": (0.0, 1.0, 3.0),
    "renyi_divergence": (0.0, 0.3, 1.0, 1.7, np.inf),
    "alpha_divergence": (-1.0, 0.0, 1.0),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", ORDERS)
@pytest.mark.parametrize("room", ["probs", "logits"])
def test_the_boundary_at_special_orders(room, name, dtype):
    entry = BY_NAME[f"{room}.{name}"]
    sweep(entry, dtype, entry.public, *((order,) for order in ORDERS[name]))


@pytest.mark.slow
@pytest.mark.parametrize("name", ORDERS)
@pytest.mark.parametrize("room", ["probs", "logits"])
def test_the_closed_forms_at_special_orders(room, name, dtype):
    """Infinite where the slopes are, also where a softmax underflowed."""
    entry = BY_NAME[f"{room}.{name}"]
    first, *second = corners(entry, 4, dtype)
    # No two classes have one ratio, or rounding would decide which is the largest.
    args = (first, *(0.5 * z if room == "logits" else jnp.sqrt(z) / jnp.sqrt(z).sum(1, keepdims=True) for z in second))
    slopes = jax.jit(jax.grad(lambda args, order: jnp.sum(entry.public(*args, order))))
    by_hand = getattr(closed_form, f"{room}_{name}")
    for order in ORDERS[name]:
        values = np.asarray(entry.public(*args, order))
        # On the logits path a finite slope is all that is promised where the value is infinite. Where a sum of powers
        # is one half the formula of probabilities changes, and what it makes of a mass that is not 1.
        with np.errstate(invalid="ignore"):
            switched = np.abs(np.exp((order - 1.0) * values) - 0.5) < 1e-3
        rows = np.isfinite(values) if room == "logits" else ~switched
        expected = by_hand(*args, order)
        found = slopes(args, jnp.asarray(order, dtype))
        for f, e in zip(found, expected if len(args) == 2 else (expected,), strict=True):
            np.testing.assert_array_equal(np.where(np.isinf(f), f, 0.0), np.where(np.isinf(e), e, 0.0))
            # A power of the smallest normal number magnifies the rounding of its logarithm.
            near = np.isfinite(f) & (np.abs(e) < 1e3) & rows[:, None]
            np.testing.assert_allclose(np.asarray(f)[near], np.asarray(e)[near], rtol=1e-4, atol=1e-4)


def test_every_argument_of_a_pair_is_swept():
    entry = SWEPT["probs.kl_divergence"]
    p, q = corners(entry, 3, np.float32)
    assert p.shape == q.shape == (196, 3)
    assert np.isposinf(entry.function(p, q)).any()


PAIRS_OF_LOGITS = [
    e for e in TABLE if e.name.startswith("logits.") and e.arity == 2 and not e.joint and "binary" not in e.name
]


@pytest.mark.parametrize("entry", PAIRS_OF_LOGITS, ids=[e.name for e in PAIRS_OF_LOGITS])
@pytest.mark.parametrize("third", [0.2, -np.inf])
def test_a_row_of_only_minus_infinity_is_no_distribution(entry, third, dtype_by_turns):
    """On either side, whatever the other is."""
    nothing, some = np.full((1, 3), -np.inf, dtype_by_turns), np.array([[0.5, 0.0, third]], dtype_by_turns)
    for pair in ((nothing, some), (some, nothing), (nothing, nothing)):
        assert np.isnan(entry.function(*pair)).all()
    assert not np.isnan(entry.function(some, some)).any()


@pytest.mark.parametrize("name", ["cross_entropy", "kl_divergence", "jensen_shannon_divergence"])
def test_pairs_with_a_row_that_is_no_distribution(name):
    rows = jnp.array([[0.5, 0.0, 0.2], [0.5, 0.0, -jnp.inf], [-jnp.inf] * 3])
    values = np.isnan(getattr(logits, f"pairwise_{name}")(rows, rows))
    np.testing.assert_array_equal(values, [[False, False, True], [False, False, True], [True, True, True]])
    poor = jnp.array([[0.5, 0.5, 0.0], [jnp.nan, 0.5, 0.5]])
    values = np.isnan(getattr(probs, f"pairwise_{name}")(poor, poor))
    np.testing.assert_array_equal(values, [[False, True], [True, True]])
