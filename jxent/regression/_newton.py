"""Truncated Newton on lanes: conjugate gradients on Hessian products from the closed form."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array

from jxent.regression import _curvature, _lanes
from jxent.regression._descent import Method, State
from jxent.regression._lanes import Point, Task

# Products with the Hessian for one direction, at most.
PRODUCTS = 500
# The preconditioner is formed anew once a direction took more products than this.
REFRESH = 8


class Memory(NamedTuple):
    """The size of the first gradient `[L]`, the preconditioner, and what the last direction cost."""

    first: Array
    guess: _curvature.Inverse | None
    cost: Array


class Conjugate(NamedTuple):
    """Conjugate gradients under way; `along` are the scores of the direction, or None where they are not kept."""

    direction: Point
    along: Array | None
    residual: Point
    search: Point
    square: Array
    active: Array
    made: Array


class Newton(Method):
    """S. G. Nash, A survey of truncated-Newton methods, J. Computational and Applied Mathematics 124 (2000)."""

    def start(self, task: Task, state: State) -> Memory:
        """The preconditioner at the start."""
        guess = None
        if _curvature.worth(task.x.shape[1] - 1, state.z.shape[1]):
            guess = _curvature.inverse(task, _lanes.probabilities(task, state.slope))
        first = _lanes.dot(state.gradient, _curvature.applied(guess, state.gradient))
        return Memory(first, guess, jnp.zeros((), jnp.int32))

    def propose(self, task: Task, state: State, memory: Memory, active: Array) -> tuple[Point, Array, Memory]:
        """Conjugate gradients from 0, as exact as the gradient is small."""
        p = _lanes.probabilities(task, state.slope)
        guess = memory.guess
        if guess is not None:
            guess = lax.cond(memory.cost > REFRESH, lambda: _curvature.inverse(task, p), lambda: memory.guess)
        last = _conjugate(task, p, state, guess, memory.first, active)
        direction, lost = downhill(last.direction, state.gradient, active)
        along = lax.cond(jnp.any(lost), lambda: _lanes.scores(task.x, direction), lambda: last.along)
        return direction, along, Memory(memory.first, guess, last.made)

    def learn(self, memory: Memory, move: Point, change: Point, success: Array) -> Memory:
        """Nothing: the next direction starts from the Hessian there."""
        del move, change, success
        return memory


def downhill(direction: Point, gradient: Point, active: Array) -> tuple[Point, Array]:
    """The direction, or the steepest of lanes that have none, and which lanes those are.

    Where next to no curvature is left, as far from the minimum, rounding may leave no direction either.
    """
    lost = active & ~(_lanes.dot(gradient, direction) < 0)
    norm = _lanes.largest(gradient)
    steepest = _lanes.scaled(-1.0 / jnp.maximum(norm, jnp.finfo(norm.dtype).tiny), gradient)
    return _lanes.chosen(lost, steepest, direction), lost


def _conjugate(
    task: Task, p: Array, state: State, guess: _curvature.Inverse | None, first: Array, active: Array
) -> Conjugate:
    start, enough = begun(state.gradient, guess, first, active, jnp.zeros_like(state.z))

    def body(carry: Conjugate) -> Conjugate:
        return advanced(carry, guess, enough, *_curvature.product(task, p, carry.search))

    return lax.while_loop(lambda c: jnp.any(c.active) & (c.made < PRODUCTS), body, start)


def begun(
    gradient: Point, guess: _curvature.Inverse | None, first: Array, active: Array, along: Array | None
) -> tuple[Conjugate, Array]:
    """Conjugate gradients from 0 with its scores `along`, and the square of the residual that is small enough."""
    residual = _lanes.scaled(-jnp.ones_like(first), gradient)
    search = _curvature.applied(guess, residual)
    square = _lanes.dot(residual, search)
    # Superlinear: the error allowed shrinks with the gradient (Dembo, Eisenstat and Steihaug 1982).
    forcing = jnp.minimum(0.5, jnp.sqrt(jnp.sqrt(square / first)))
    nowhere = _lanes.scaled(jnp.zeros_like(first), residual)
    start = Conjugate(nowhere, along, residual, search, square, active, jnp.zeros((), jnp.int32))
    return start, jnp.square(forcing) * square


def advanced(
    carry: Conjugate, guess: _curvature.Inverse | None, enough: Array, product: Point, along: Array | None
) -> Conjugate:
    """One step of conjugate gradients, by the product of the Hessian with the search direction."""
    bent = _lanes.dot(carry.search, product)
    # Rounding may leave no curvature where there is next to none: such a lane keeps what it has.
    going = carry.active & (bent > 0) & jnp.isfinite(bent) & jnp.isfinite(carry.square)
    t = jnp.where(going, carry.square / jnp.where(going, bent, 1.0), 0.0)
    direction = _lanes.moved(carry.direction, t, carry.search)
    residual = _lanes.moved(carry.residual, -t, product)
    conditioned = _curvature.applied(guess, residual)
    square = _lanes.dot(residual, conditioned)
    ratio = jnp.where(going, square / jnp.where(carry.square > 0, carry.square, 1.0), 0.0)
    return Conjugate(
        direction,
        jax.tree.map(lambda a, b: a + t[:, None, None] * b, carry.along, along),
        residual,
        _lanes.chosen(going, _lanes.moved(conditioned, ratio, carry.search), carry.search),
        jnp.where(going, square, carry.square),
        going & (square > enough),
        carry.made + 1,
    )
