"""Limited-memory BFGS on lanes, with the curvature of the classes as its first guess where that is cheap."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array

from jxent.regression import _curvature, _lanes
from jxent.regression._descent import Method, State
from jxent.regression._lanes import Point, Task

PAIRS = 10
# The first guess is formed anew after so many turns.
REFRESH = 10


class Memory(NamedTuple):
    """Steps and changes of the gradient, the newest first, `[PAIRS, L, ...]`; 1/⟨step, change⟩, 0 where there is none.

    `scale` brings the first guess to the size of the newest pair.
    """

    moves: Point
    changes: Point
    weight: Array
    scale: Array
    guess: _curvature.Inverse | None


class Lbfgs(Method):
    """D. C. Liu and J. Nocedal, Mathematical Programming 45 (1989)."""

    def start(self, task: Task, state: State) -> Memory:
        """No pairs; the scale of the first step from the curvature along it."""
        guess = None
        p = _lanes.probabilities(task, state.slope)
        if _curvature.worth(task.x.shape[1] - 1, state.z.shape[1]):
            guess = _curvature.inverse(task, p)
        curved, _ = _curvature.product(task, p, _curvature.applied(guess, state.gradient))
        return remembered(guess, state.gradient, curved)

    def propose(self, task: Task, state: State, memory: Memory, active: Array) -> tuple[Point, Array, Memory]:
        """Minus the inverse Hessian of the pairs times the gradient, by the two-loop recursion."""
        del active
        if memory.guess is not None:
            due = (state.turn % REFRESH == 0) & (state.turn > 0)
            guess = lax.cond(
                due,
                lambda: _curvature.inverse(task, _lanes.probabilities(task, state.slope)),
                lambda: memory.guess,
            )
            memory = memory._replace(guess=guess)
        direction = downhill(memory, state.gradient)
        return direction, _lanes.scores(task.x, direction), memory

    def learn(self, memory: Memory, move: Point, change: Point, success: Array) -> Memory:
        """The newest pair; lanes that found no step forget all of theirs."""
        product = _lanes.dot(move, change)
        size = jnp.sqrt(_lanes.dot(move, move) * _lanes.dot(change, change))
        useful = success & (product > jnp.finfo(product.dtype).eps * size)
        safe = jnp.where(useful, product, 1.0)
        bent = _lanes.dot(change, _curvature.applied(memory.guess, change))
        known = useful & (bent > 0)
        scale = jnp.where(known, safe / jnp.where(known, bent, 1.0), memory.scale)
        weight = jnp.where(success[None], memory.weight, 0.0)
        return Memory(
            _pushed(memory.moves, move),
            _pushed(memory.changes, change),
            jnp.concatenate([jnp.where(useful, 1.0 / safe, 0.0)[None], weight[:-1]]),
            scale,
            memory.guess,
        )


def remembered(guess: _curvature.Inverse | None, gradient: Point, curved: Point) -> Memory:
    """No pairs, and the first guess scaled by `curved`, the Hessian times the guess of the gradient."""
    first = _curvature.applied(guess, gradient)
    square = _lanes.dot(first, curved)
    scale = jnp.where(square > 0, _lanes.dot(first, gradient) / jnp.where(square > 0, square, 1.0), 1.0)
    empty = jax.tree.map(lambda a: jnp.zeros((PAIRS, *a.shape), a.dtype), gradient)
    return Memory(empty, empty, jnp.zeros((PAIRS, *scale.shape), scale.dtype), scale, guess)


def downhill(memory: Memory, gradient: Point) -> Point:
    """Minus the inverse Hessian of the pairs times the gradient."""
    return _lanes.scaled(-jnp.ones_like(memory.scale), _two_loops(memory, gradient))


def _pushed(pairs: Point, newest: Point) -> Point:
    return jax.tree.map(lambda old, new: jnp.concatenate([new[None], old[:-1]]), pairs, newest)


def _two_loops(memory: Memory, gradient: Point) -> Point:
    pairs = [
        (jax.tree.map(lambda a, i=i: a[i], (memory.moves, memory.changes)), memory.weight[i]) for i in range(PAIRS)
    ]
    q, parts = gradient, []
    for (move, change), weight in pairs:
        part = weight * _lanes.dot(move, q)
        q = _lanes.moved(q, -part, change)
        parts.append(part)
    r = _lanes.scaled(memory.scale, _curvature.applied(memory.guess, q))
    for ((move, change), weight), part in zip(reversed(pairs), reversed(parts), strict=True):
        r = _lanes.moved(r, part - weight * _lanes.dot(change, r), move)
    return r
