"""Limited-memory BFGS on lanes, preconditioned by the per-class blocks of the Hessian where those are cheap."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array

from jxent.regression import _curvature, _lanes
from jxent.regression._descent import LaneState, Method
from jxent.regression._lanes import LaneObjective, LaneParams

PAIRS = 10
# Iterations between two computations of the preconditioner.
REFRESH = 10


class Memory(NamedTuple):
    """Curvature pairs (step, change of the gradient), newest first, `[PAIRS, L, ...]`.

    `weight` is 1/⟨step, change⟩, or 0 for an empty or skipped pair. `scale` fits the preconditioner to the newest pair.
    """

    moves: LaneParams
    changes: LaneParams
    weight: Array
    scale: Array
    preconditioner: _curvature.Inverse | None


class Lbfgs(Method):
    """D. C. Liu and J. Nocedal, Mathematical Programming 45 (1989)."""

    def start(self, objective: LaneObjective, state: LaneState) -> Memory:
        """No pairs; the scale of the first step from the curvature along its direction."""
        preconditioner = None
        p = _lanes.probabilities(objective, state.slope)
        if _curvature.is_affordable(objective.x.shape[1] - 1, state.z.shape[1]):
            preconditioner = _curvature.inverse(objective, p)
        curved, _ = _curvature.product(objective, p, _curvature.applied(preconditioner, state.gradient))
        return remembered(preconditioner, state.gradient, curved)

    def propose(
        self, objective: LaneObjective, state: LaneState, memory: Memory, active: Array
    ) -> tuple[LaneParams, Array, Memory]:
        """Minus the L-BFGS inverse Hessian times the gradient, by the two-loop recursion."""
        del active
        if memory.preconditioner is not None:
            due = (state.turn % REFRESH == 0) & (state.turn > 0)
            preconditioner = lax.cond(
                due,
                lambda: _curvature.inverse(objective, _lanes.probabilities(objective, state.slope)),
                lambda: memory.preconditioner,
            )
            memory = memory._replace(preconditioner=preconditioner)
        direction = downhill(memory, state.gradient)
        return direction, _lanes.scores(objective.x, direction), memory

    def learn(self, memory: Memory, move: LaneParams, change: LaneParams, success: Array) -> Memory:
        """Store the newest pair; a lane whose line search failed drops all its pairs."""
        product = _lanes.dot(move, change)
        size = jnp.sqrt(_lanes.dot(move, move) * _lanes.dot(change, change))
        useful = success & (product > jnp.finfo(product.dtype).eps * size)
        safe = jnp.where(useful, product, 1.0)
        squared = _lanes.dot(change, _curvature.applied(memory.preconditioner, change))
        rescaled = useful & (squared > 0)
        scale = jnp.where(rescaled, safe / jnp.where(rescaled, squared, 1.0), memory.scale)
        weight = jnp.where(success[None], memory.weight, 0.0)
        return Memory(
            _pushed(memory.moves, move),
            _pushed(memory.changes, change),
            jnp.concatenate([jnp.where(useful, 1.0 / safe, 0.0)[None], weight[:-1]]),
            scale,
            memory.preconditioner,
        )


def remembered(preconditioner: _curvature.Inverse | None, gradient: LaneParams, curved: LaneParams) -> Memory:
    """No pairs; the preconditioner is scaled by `curved`, the Hessian times the preconditioned gradient."""
    first = _curvature.applied(preconditioner, gradient)
    square = _lanes.dot(first, curved)
    scale = jnp.where(square > 0, _lanes.dot(first, gradient) / jnp.where(square > 0, square, 1.0), 1.0)
    empty = jax.tree.map(lambda a: jnp.zeros((PAIRS, *a.shape), a.dtype), gradient)
    return Memory(empty, empty, jnp.zeros((PAIRS, *scale.shape), scale.dtype), scale, preconditioner)


def downhill(memory: Memory, gradient: LaneParams) -> LaneParams:
    """Minus the L-BFGS inverse Hessian times the gradient."""
    return _lanes.scaled(-jnp.ones_like(memory.scale), _two_loops(memory, gradient))


def _pushed(pairs: LaneParams, newest: LaneParams) -> LaneParams:
    return jax.tree.map(lambda old, new: jnp.concatenate([new[None], old[:-1]]), pairs, newest)


def _two_loops(memory: Memory, gradient: LaneParams) -> LaneParams:
    pairs = [
        (jax.tree.map(lambda a, i=i: a[i], (memory.moves, memory.changes)), memory.weight[i]) for i in range(PAIRS)
    ]
    q, parts = gradient, []
    for (move, change), weight in pairs:
        part = weight * _lanes.dot(move, q)
        q = _lanes.moved(q, -part, change)
        parts.append(part)
    r = _lanes.scaled(memory.scale, _curvature.applied(memory.preconditioner, q))
    for ((move, change), weight), part in zip(reversed(pairs), reversed(parts), strict=True):
        r = _lanes.moved(r, part - weight * _lanes.dot(change, r), move)
    return r
