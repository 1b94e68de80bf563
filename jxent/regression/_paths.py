"""The compiled program of `fit_path`: groups of penalties, each with a warm start extrapolated from the last group."""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array

from jxent.regression import _curvature, _descent, _lanes
from jxent.regression._lanes import LaneObjective, LaneParams
from jxent.regression._programs import Data
from jxent.regression._solvers import METHODS
from jxent.regression._tolerance import Tolerance

# Bytes of the scores of one group: on a CPU they should stay in cache; an accelerator needs wide products.
ON_CPU, ON_ACCELERATOR = 4 << 20, 256 << 20
# The warm start extrapolates three lanes of the last group, unless the sum of |coefficients|, by which it magnifies
# rounding, reaches this.
MAGNIFIED = 30.0


class Solved(NamedTuple):
    """The solutions of all lanes, `[penalties, folds, ...]`, from the largest penalty to the smallest."""

    point: LaneParams
    objective: Array
    norm: Array
    steps: Array
    converged: Array
    score: Array


class Refit(NamedTuple):
    """The fit of all rows at the penalty of least mean held-out score, and the index of that penalty."""

    best: Array
    point: LaneParams
    converged: Array


def group_size(rows: int, classes: int, folds: int, penalties: int, itemsize: int) -> int:
    """The number of penalties in a group."""
    room = ON_CPU if jax.default_backend() == "cpu" else ON_ACCELERATOR
    return int(min(max(1, room // (rows * classes * folds * itemsize)), penalties))


@functools.partial(jax.jit, static_argnums=(0, 1, 2, 3))
def run(
    solver: str,
    max_steps: int,
    folds: int,
    classes: int,
    data: Data,
    fold_of: Array,
    l2s: Array,
    tolerance: Tolerance,
) -> tuple[Solved, Refit]:
    """Solve all penalties, from the largest to the smallest, and all folds; `folds` 0 trains on all rows."""
    n, d = data.x.shape
    count, lanes = l2s.shape[0], max(folds, 1)
    size = group_size(n, classes, lanes, count, data.x.dtype.itemsize)
    groups = -(-count // size)
    padded = jnp.concatenate([l2s, jnp.full((groups * size - count,), l2s[-1])])
    logs = jnp.log(jnp.maximum(padded, jnp.finfo(l2s.dtype).tiny))
    method = METHODS[solver]()
    basis = _curvature.basis(data.x, classes)
    training, held_out = _shares(data.weights, fold_of, folds)

    def lane_wise(share: Array, l2: Array) -> LaneObjective:
        return _lanes.lane_objective(data.x, data.targets, share, jnp.repeat(l2, lanes), basis)

    def solve(objective: LaneObjective, start: LaneParams) -> _descent.LaneState:
        state = _descent.begin(method, objective, start, 0)
        return _descent.minimise(method, objective, state, tolerance, max_steps).lanes

    def group(g: Array, carry: tuple[Solved, Refit]) -> tuple[Solved, Refit]:
        solved, _ = carry
        at = jnp.minimum(g, groups - 1) * size
        last = g == groups
        best = jnp.argmin(jnp.mean(solved.score[:count], axis=1)).astype(jnp.int32)
        chosen = jnp.where(last, jnp.full((size,), padded[best]), lax.dynamic_slice(padded, (at,), (size,)))
        share = jnp.where(last, data.weights / jnp.sum(data.weights), jnp.tile(training, (size, 1)))
        objective = lane_wise(share, chosen)
        extrapolated = _extrapolated(solved, logs, at, size)
        mean = jax.tree.map(
            lambda a: jnp.broadcast_to(jnp.mean(a[best], axis=0), (size * lanes, *a.shape[2:])), solved.point
        )
        start = jax.tree.map(lambda a, b: jnp.where(last, a, b), mean, extrapolated)
        state = solve(objective, start)
        rows, _ = _lanes.losses(objective, state.z)
        converged = (
            state.convergence.is_converged(tolerance)
            & _lanes.minimum(objective.l2, _lanes.evidence(objective, state.z)).exists
        )
        score = jnp.sum(jnp.tile(held_out, (size, 1)) * rows, axis=1)
        group_solved = Solved(
            state.point, state.convergence.value, state.convergence.norm, state.convergence.steps, converged, score
        )
        group_solved = jax.tree.map(lambda a: a.reshape(size, lanes, *a.shape[1:]), group_solved)
        kept = jax.tree.map(
            lambda all_, new: jnp.where(last, all_, lax.dynamic_update_slice_in_dim(all_, new, at, 0)),
            solved,
            group_solved,
        )
        refit = Refit(best, jax.tree.map(lambda a: a[0], state.point), converged[0])
        return kept, refit

    empty = _empty(groups * size, lanes, classes, d, data.x.dtype)
    point = jax.tree.map(lambda a: a[0, 0], empty.point)
    nothing = Refit(jnp.zeros((), jnp.int32), point, jnp.zeros((), bool))
    solved, refit = lax.fori_loop(0, groups + (folds > 0), group, (empty, nothing))
    return jax.tree.map(lambda a: a[:count], solved), refit


def _shares(weights: Array, fold_of: Array, folds: int) -> tuple[Array, Array]:
    """The share of each row in the objective and in the held-out score, per fold; both sum to 1."""
    if not folds:
        return (weights / jnp.sum(weights))[None], jnp.zeros_like(weights)[None]
    held = fold_of[None, :] == jnp.arange(folds, dtype=fold_of.dtype)[:, None]
    training, held_out = jnp.where(held, 0.0, weights), jnp.where(held, weights, 0.0)
    return tuple(a / jnp.sum(a, axis=1, keepdims=True) for a in (training, held_out))  # pyright: ignore[reportReturnType]


def _empty(count: int, lanes: int, classes: int, features: int, dtype: jnp.dtype) -> Solved:
    none = jnp.zeros((count, lanes), dtype)
    point = LaneParams(jnp.zeros((count, lanes, classes, features), dtype), jnp.zeros((count, lanes, classes), dtype))
    return Solved(point, none, none, none.astype(jnp.int32), none.astype(bool), none)


def _extrapolated(solved: Solved, logs: Array, at: Array, size: int) -> LaneParams:
    """The warm start of the group at `at`: the parabola in log l2 through three lanes of the last group, or zeros."""
    nodes = jnp.maximum(at - jnp.asarray([size, size - size // 2, 1]), 0)
    u = jnp.take(logs, nodes)
    here = lax.dynamic_slice(logs, (at,), (size,))
    share = jnp.stack([_lagrange(u, i, here) for i in range(3)], axis=1)
    tame = jnp.sum(jnp.abs(share), axis=1, keepdims=True) < MAGNIFIED
    # Coefficients that are not finite, as for equal penalties, are not tame either.
    share = jnp.where(tame & (at > 0), share, jnp.asarray([0.0, 0.0, 1.0], share.dtype))

    def start(a: Array) -> Array:
        flat = jnp.take(a, nodes, axis=0).reshape(3, -1)
        mixed = jnp.matmul(share, flat, precision="highest")
        return mixed.reshape(size * a.shape[1], *a.shape[2:])

    return jax.tree.map(start, solved.point)


def _lagrange(u: Array, i: int, x: Array) -> Array:
    others = [j for j in range(3) if j != i]
    return (x - u[others[0]]) * (x - u[others[1]]) / ((u[i] - u[others[0]]) * (u[i] - u[others[1]]))
