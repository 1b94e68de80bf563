"""Truncated Newton on lanes: conjugate gradients on Hessian products from the closed form."""

from typing import NamedTuple

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array

from jxent.regression import _curvature, _lanes
from jxent.regression._descent import Method, State
from jxent.regression._lanes import Point, Task
from jxent.regression._search import Found

# Products with the Hessian for one direction, at most.
PRODUCTS = 500
# The preconditioner is formed anew once a direction took more products than this.
REFRESH = 8


class Memory(NamedTuple):
    """The size of the first gradient `[L]`, the preconditioner, and what the last direction cost."""

    first: Array
    guess: _curvature.Inverse | None
    cost: Array


class _Conjugate(NamedTuple):
    direction: Point
    along: Array
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
        if _curvature.worth(task.x.shape[1], state.z.shape[1]):
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
        # Where next to no curvature is left, as far from the minimum, rounding may leave no direction either.
        lost = active & ~(_lanes.dot(state.gradient, last.direction) < 0)
        steepest = _lanes.scaled(-1.0 / jnp.maximum(state.norm, jnp.finfo(state.norm.dtype).tiny), state.gradient)
        direction = _lanes.chosen(lost, steepest, last.direction)
        along = lax.cond(jnp.any(lost), lambda: _lanes.scores(task.x, direction), lambda: last.along)
        return direction, along, Memory(memory.first, guess, last.made)

    def learn(self, memory: Memory, move: Point, change: Point, found: Found) -> Memory:
        """Nothing: the next direction starts from the Hessian there."""
        del move, change, found
        return memory


def _conjugate(
    task: Task, p: Array, state: State, guess: _curvature.Inverse | None, first: Array, active: Array
) -> _Conjugate:
    minus = -jnp.ones_like(state.value)
    residual = _lanes.scaled(minus, state.gradient)
    search = _curvature.applied(guess, residual)
    square = _lanes.dot(residual, search)
    # Superlinear: the error allowed shrinks with the gradient (Dembo, Eisenstat and Steihaug 1982).
    forcing = jnp.minimum(0.5, jnp.sqrt(jnp.sqrt(square / first)))
    enough = jnp.square(forcing) * square
    none = jnp.zeros_like(state.value)
    start = _Conjugate(
        _lanes.scaled(none, residual),
        jnp.zeros_like(state.z),
        residual,
        search,
        square,
        active,
        jnp.zeros((), jnp.int32),
    )

    def body(carry: _Conjugate) -> _Conjugate:
        product, along = _curvature.product(task, p, carry.search)
        bent = _lanes.dot(carry.search, product)
        # Rounding may leave no curvature where there is next to none: such a lane keeps what it has.
        going = carry.active & (bent > 0) & jnp.isfinite(bent) & jnp.isfinite(carry.square)
        t = jnp.where(going, carry.square / jnp.where(going, bent, 1.0), 0.0)
        direction = _lanes.moved(carry.direction, t, carry.search)
        residual = _lanes.moved(carry.residual, -t, product)
        conditioned = _curvature.applied(guess, residual)
        square = _lanes.dot(residual, conditioned)
        ratio = jnp.where(going, square / jnp.where(carry.square > 0, carry.square, 1.0), 0.0)
        return _Conjugate(
            direction,
            carry.along + t[:, None, None] * along,
            residual,
            _lanes.chosen(going, _lanes.moved(conditioned, ratio, carry.search), carry.search),
            jnp.where(going, square, carry.square),
            going & (square > enough),
            carry.made + 1,
        )

    return lax.while_loop(lambda c: jnp.any(c.active) & (c.made < PRODUCTS), body, start)
