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

from tests.accuracy import SIGNED
from tests.table import BY_NAME, TABLE, differentiable


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


@pytest.mark.slow
@pytest.mark.parametrize("entry", SWEPT.values(), ids=SWEPT.keys())
def test_no_nan_and_no_false_zero_anywhere_on_the_boundary(entry, dtype):
    args = corners(entry, 5, dtype)
    argnums = differentiable(args)
    moving = tuple(args[i] for i in argnums)
    rng = np.random.default_rng(5)
    moves = tuple(jnp.asarray(rng.normal(size=m.shape), dtype) for m in moving)

    def rows(moving):
        return entry.function(*(moving[argnums.index(i)] if i in argnums else a for i, a in enumerate(args)))

    @jax.jit
    def program(moving, moves):
        return (*jax.jvp(rows, (moving,), (moves,)), jax.grad(lambda moving: jnp.sum(rows(moving)))(moving))

    values, forward, found = jax.tree.map(lambda x: np.asarray(x).reshape(len(args[0]), -1), program(moving, moves))
    assert not np.isnan(values).any()
    flat = np.concatenate(found, axis=1)
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
    flat_moves = np.concatenate([np.asarray(m).reshape(len(values), -1) for m in moves], axis=1)
    products, sizes = np.sum((flat * flat_moves)[finite], axis=1), np.sum(np.abs(flat[finite]), axis=1)
    # A signed measure is a sum whose parts, as large as the logarithm of the smallest normal number, cancel.
    least = -np.log(float(np.finfo(dtype).tiny)) if entry.name.endswith(SIGNED) else 1.0
    error = np.abs(forward[finite] - products) / np.maximum(least, sizes)
    assert np.max(error, initial=0.0) <= 200 * np.finfo(dtype).eps


def test_every_argument_of_a_pair_is_swept():
    entry = SWEPT["probs.kl_divergence"]
    p, q = corners(entry, 3, np.float32)
    assert p.shape == q.shape == (196, 3)
    assert np.isposinf(entry.function(p, q)).any()
