"""Truncated Newton on lanes: conjugate gradients on Hessian products from the closed form."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array

from jxent.regression import _curvature, _lanes
from jxent.regression._descent import LaneState, Method
from jxent.regression._lanes import LaneObjective, LaneParams

# The largest number of Hessian-vector products for one direction.
PRODUCTS = 500
# The preconditioner is recomputed after a direction that took more products than this.
REFRESH = 8


class Memory(NamedTuple):
    """Preconditioned squared norm of the first gradient `[L]`, preconditioner, and products of the last direction."""

    first: Array
    preconditioner: _curvature.Inverse | None
    cost: Array


class Conjugate(NamedTuple):
    """The state of conjugate gradients; `along` are the scores of the direction, or None if they are not kept."""

    direction: LaneParams
    along: Array | None
    residual: LaneParams
    search: LaneParams
    square: Array
    active: Array
    made: Array


class Newton(Method):
    """S. G. Nash, A survey of truncated-Newton methods, J. Computational and Applied Mathematics 124 (2000)."""

    def start(self, objective: LaneObjective, state: LaneState) -> Memory:
        """The preconditioner at the starting point."""
        preconditioner = None
        if _curvature.is_affordable(objective.x.shape[1] - 1, state.z.shape[1]):
            preconditioner = _curvature.inverse(objective, _lanes.probabilities(objective, state.slope))
        first = _lanes.dot(state.gradient, _curvature.applied(preconditioner, state.gradient))
        return Memory(first, preconditioner, jnp.zeros((), jnp.int32))

    def propose(
        self, objective: LaneObjective, state: LaneState, memory: Memory, active: Array
    ) -> tuple[LaneParams, Array, Memory]:
        """Newton's direction by conjugate gradients from 0, to an accuracy that grows as the gradient shrinks."""
        p = _lanes.probabilities(objective, state.slope)
        preconditioner = memory.preconditioner
        if preconditioner is not None:
            preconditioner = lax.cond(
                memory.cost > REFRESH, lambda: _curvature.inverse(objective, p), lambda: memory.preconditioner
            )
        last = _conjugate(objective, p, state, preconditioner, memory.first, active)
        direction, ascending = downhill(last.direction, state.gradient, active)
        along = lax.cond(jnp.any(ascending), lambda: _lanes.scores(objective.x, direction), lambda: last.along)
        return direction, along, Memory(memory.first, preconditioner, last.made)

    def learn(self, memory: Memory, move: LaneParams, change: LaneParams, success: Array) -> Memory:
        """The memory unchanged: the next direction uses the Hessian at the new point."""
        del move, change, success
        return memory


def downhill(direction: LaneParams, gradient: LaneParams, active: Array) -> tuple[LaneParams, Array]:
    """The direction, or steepest descent in lanes where it is no descent direction, and the mask of those lanes.

    Where the curvature is almost 0, as far from the minimum, rounding may turn the direction uphill.
    """
    ascending = active & ~(_lanes.dot(gradient, direction) < 0)
    norm = _lanes.largest(gradient)
    steepest = _lanes.scaled(-1.0 / jnp.maximum(norm, jnp.finfo(norm.dtype).tiny), gradient)
    return _lanes.chosen(ascending, steepest, direction), ascending


def _conjugate(
    objective: LaneObjective,
    p: Array,
    state: LaneState,
    preconditioner: _curvature.Inverse | None,
    first: Array,
    active: Array,
) -> Conjugate:
    start, enough = begun(state.gradient, preconditioner, first, active, jnp.zeros_like(state.z))

    def body(carry: Conjugate) -> Conjugate:
        return advanced(carry, preconditioner, enough, *_curvature.product(objective, p, carry.search))

    return lax.while_loop(lambda c: jnp.any(c.active) & (c.made < PRODUCTS), body, start)


def begun(
    gradient: LaneParams, preconditioner: _curvature.Inverse | None, first: Array, active: Array, along: Array | None
) -> tuple[Conjugate, Array]:
    """Conjugate gradients before the first step, and the squared residual to stop at; `along` are scores of 0."""
    residual = _lanes.scaled(-jnp.ones_like(first), gradient)
    search = _curvature.applied(preconditioner, residual)
    square = _lanes.dot(residual, search)
    # The forcing term shrinks with the gradient: superlinear convergence (Dembo, Eisenstat and Steihaug 1982).
    forcing = jnp.minimum(0.5, jnp.sqrt(jnp.sqrt(square / first)))
    zero = _lanes.scaled(jnp.zeros_like(first), residual)
    start = Conjugate(zero, along, residual, search, square, active, jnp.zeros((), jnp.int32))
    return start, jnp.square(forcing) * square


def advanced(
    carry: Conjugate, preconditioner: _curvature.Inverse | None, enough: Array, product: LaneParams, along: Array | None
) -> Conjugate:
    """One step of conjugate gradients; `product` is the Hessian times the search direction."""
    curved = _lanes.dot(carry.search, product)
    # Where the curvature is almost 0, rounding may make it negative: such a lane keeps its direction.
    going = carry.active & (curved > 0) & jnp.isfinite(curved) & jnp.isfinite(carry.square)
    t = jnp.where(going, carry.square / jnp.where(going, curved, 1.0), 0.0)
    direction = _lanes.moved(carry.direction, t, carry.search)
    residual = _lanes.moved(carry.residual, -t, product)
    conditioned = _curvature.applied(preconditioner, residual)
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
