"""The compiled program of `fit_path`: groups of penalties, each with a warm start from the groups before it."""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.typing import DTypeLike
from jaxtyping import Array
from numpy.typing import NDArray

from jxent.regression.solvers import Data, descent, preconditioner
from jxent.regression.solvers import objective as ob
from jxent.regression.solvers.descent import LaneState, Tolerance
from jxent.regression.solvers.directions import METHODS
from jxent.regression.solvers.objective import LaneObjective

# Bytes of the scores of one group: on a CPU they should stay in cache; an accelerator needs wide products.
ON_CPU, ON_ACCELERATOR = 4 << 20, 256 << 20
# The largest ratio of two penalties in a group: its lanes share a preconditioner and should end together.
SPAN = 4.0
# The warm start extrapolates three lanes, unless the sum of |coefficients|, which magnifies rounding, reaches this.
MAGNIFIED = 30.0


class Groups(NamedTuple):
    """Consecutive penalties that are solved together.

    Attributes:
        first: penalty of each group, `[L]`, of which the last entries may be unused.
        sizes: penalties of each group, `[L]`.
        number: of groups.
    """

    first: NDArray[Any]
    sizes: NDArray[Any]
    number: NDArray[Any]

    @property
    def size(self) -> int:
        """Lanes of every group, a power of 2 so that few sizes compile; a smaller group repeats its last penalty."""
        return 1 << int(self.sizes.max() - 1).bit_length()


class PathInputs(NamedTuple):
    """The arrays of a path; `l2s` are sorted from the largest to the smallest, by `order`.

    With `l1_ratio` that share of each penalty is on the absolute values; None is no such penalty.
    """

    data: Data
    fold_of: Any
    scored: Any
    l2s: Any
    l1_ratio: Any
    order: Any
    groups: Groups
    tolerance: Tolerance


class PathOptions(NamedTuple):
    """The options of a path; `folds` 0 trains on all rows, and `size` is the lanes of a group."""

    solver: str
    max_steps: int
    folds: int
    classes: int
    size: int
    standardize: bool
    intercept: bool


class Solved(NamedTuple):
    """The solutions of all lanes in the caller's order, `[penalties, folds, ...]`, without folds `[penalties, ...]`."""

    weights: Array
    bias: Array
    objective: Array
    norm: Array
    steps: Array
    converged: Array
    score: Array


class Refit(NamedTuple):
    """The fit of all rows at the penalty of least mean held-out score, and the index of that penalty."""

    best: Array
    weights: Array
    bias: Array
    converged: Array


class Lanes(NamedTuple):
    """The solutions so far, as points of the solvers, `[penalties, folds, ...]`."""

    point: Array
    objective: Array
    norm: Array
    steps: Array
    converged: Array
    score: Array


def grouped(l2s: NDArray[Any], most: int) -> Groups:
    """Groups of sorted penalties: at most `most` of them, and at most a factor of SPAN apart."""
    first = [0]
    for i in range(1, len(l2s)):
        if i - first[-1] == most or l2s[i] * SPAN < l2s[first[-1]]:
            first.append(i)
    unused = np.zeros(len(l2s) - len(first), np.int32)
    count = np.append(np.diff([*first, len(l2s)]), unused)
    return Groups(np.append(first, unused).astype(np.int32), count.astype(np.int32), np.asarray(len(first), np.int32))


def one_by_one(count: int) -> Groups:
    """A group for each of so many penalties."""
    return Groups(np.arange(count, dtype=np.int32), np.ones(count, np.int32), np.asarray(count, np.int32))


def group_size(rows: int, classes: int, folds: int, itemsize: int) -> int:
    """The largest number of penalties in a group."""
    room = ON_CPU if jax.default_backend() == "cpu" else ON_ACCELERATOR
    size = max(1, room // (rows * classes * folds * itemsize))
    return 1 << (size.bit_length() - 1)


@functools.partial(jax.jit, static_argnums=0)
def run(options: PathOptions, inputs: PathInputs) -> tuple[Solved, Refit]:
    """Solve all penalties and all folds, then all rows at the best penalty."""
    size, folds = options.size, max(options.folds, 1)
    x, targets, weights = inputs.data
    at = ob.coordinates(x, weights, intercept=options.intercept, standardize=options.standardize)
    x = ob.transformed(x, at, intercept=options.intercept)
    basis = preconditioner.basis(x, options.classes)
    training, held_out = _shares(inputs, options.folds)
    count, groups = inputs.l2s.shape[0], inputs.groups.number
    # Every group writes `size` penalties; the surplus of a smaller one is overwritten by the next.
    l2s = jnp.concatenate([inputs.l2s, jnp.broadcast_to(inputs.l2s[-1:], (size - 1,))])

    def group(g: Array | int, carry: tuple[Lanes, Lanes]) -> tuple[Lanes, Lanes]:
        solved, _ = carry
        refit = g == groups
        first = jnp.take(inputs.groups.first, jnp.minimum(g, groups - 1))
        last = jnp.take(inputs.groups.sizes, jnp.minimum(g, groups - 1)) - 1
        members = first + jnp.minimum(jnp.arange(size, dtype=jnp.int32), last)
        best = _best(solved, count)
        members = jnp.where(refit, best, members)
        share = jnp.where(refit, (weights / jnp.sum(weights))[None], jnp.tile(training, (size, 1)))
        l2, l1 = _split(jnp.repeat(jnp.take(l2s, members), folds), inputs.l1_ratio)
        objective = ob.lane_objective(x, at, targets, share, l2, basis, l1=l1)
        middle = jnp.mean(lax.dynamic_index_in_dim(solved.point, best, keepdims=False), axis=0)
        start = (
            _before(solved.point, first, size)
            if inputs.l1_ratio is not None
            else _extrapolated(solved.point, l2s, first, size)
        )
        start = jnp.where(refit, middle[None], start)
        state = _solve(options, inputs, objective, start)
        lanes = _lanes(
            inputs,
            objective,
            state,
            jnp.tile(held_out, (size, 1)),
            options.intercept & (refit | jnp.asarray(options.folds == 0)),
        )
        lanes = Lanes(*(a.reshape(size, folds, *a.shape[1:]) for a in lanes))
        stored = Lanes(
            *(lax.dynamic_update_slice_in_dim(old, new, first, 0) for old, new in zip(solved, lanes, strict=True))
        )
        return Lanes(*(jnp.where(refit, old, new) for old, new in zip(solved, stored, strict=True))), lanes

    empty = _empty(count + size - 1, folds, options.classes, x.shape[1], x.dtype)
    nothing = _empty(size, folds, options.classes, x.shape[1], x.dtype)
    solved, last = lax.fori_loop(0, groups + int(options.folds > 0), group, (empty, nothing))
    best = _best(solved, count)
    back = jnp.argsort(inputs.order)
    lanes = Lanes(*(jnp.take(a[:count], back, axis=0) for a in solved))
    if not options.folds:
        lanes = Lanes(*(a[:, 0] for a in lanes))
    weights, bias = ob.from_point(lanes.point, at)
    again, bias_again = ob.from_point(last.point[0, 0], at)
    refit = Refit(jnp.take(inputs.order, best), again.T, bias_again, last.converged[0, 0])
    return Solved(jnp.swapaxes(weights, -1, -2), bias, *lanes[1:]), refit


def _split(penalties: Array, l1_ratio: Array | None) -> tuple[Array, Array | None]:
    """The penalties on the squares and on the absolute values."""
    return (penalties, None) if l1_ratio is None else (penalties * (1 - l1_ratio), penalties * l1_ratio)


def _solve(options: PathOptions, inputs: PathInputs, objective: LaneObjective, start: Array) -> LaneState:
    method = METHODS[options.solver]()
    state = descent.begin(method, objective, start, 0)
    return descent.minimise(method, objective, state, inputs.tolerance, options.max_steps)


def _lanes(
    inputs: PathInputs, objective: LaneObjective, state: LaneState, held_out: Array, every_class: Array
) -> Lanes:
    """The solutions of one group; `every_class` says whether a minimum needs rows of every class."""
    convergence = state.convergence
    losses, slopes = ob.losses(objective, ob.scores(objective.x, state.point))
    seen = ob.seen(inputs.data.targets, objective.share, slopes.shape[1]) | ~every_class
    penalised = objective.penalty[:, 0] if objective.l1 is None else objective.penalty[:, 0] + objective.l1[:, 0]
    exists = ob.minimum(penalised, ob.all_right(objective, slopes), seen).exists
    converged = convergence.is_converged(inputs.tolerance) & exists
    score = jnp.sum(held_out * losses, axis=1)
    return Lanes(state.point, convergence.value, convergence.norm, convergence.steps, converged, score)


def _best(solved: Lanes, count: int) -> Array:
    """The index of the least mean score; of equal ones that of the largest penalty."""
    return jnp.argmin(jnp.mean(solved.score[:count], axis=1)).astype(jnp.int32)


def _shares(inputs: PathInputs, folds: int) -> tuple[Array, Array]:
    """The share of each row in the objective and in the held-out score, per fold; both sum to 1."""
    weights, fold_of = inputs.data.weights, inputs.fold_of
    if not folds:
        return (weights / jnp.sum(weights))[None], jnp.zeros_like(weights)[None]
    held = fold_of[None, :] == jnp.arange(folds, dtype=fold_of.dtype)[:, None]
    training = jnp.where(held, 0.0, weights[None])
    held_out = jnp.where(held & inputs.scored[None], weights[None], 0.0)
    return training / jnp.sum(training, axis=1, keepdims=True), held_out / jnp.sum(held_out, axis=1, keepdims=True)


def _empty(count: int, folds: int, classes: int, columns: int, dtype: DTypeLike) -> Lanes:
    none = jnp.zeros((count, folds), dtype)
    point = jnp.zeros((count, folds, classes, columns), dtype)
    return Lanes(point, none, none, none.astype(jnp.int32), none.astype(bool), none)


def _before(points: Array, first: Array, size: int) -> Array:
    """The warm start of sparse weights: the solution before the group at `first`, or zeros."""
    last = lax.dynamic_index_in_dim(points, jnp.maximum(first - 1, 0), keepdims=False)
    last = jnp.where(first > 0, last, 0.0)
    return jnp.tile(last, (size, 1, 1))


def _extrapolated(points: Array, l2s: Array, first: Array, size: int) -> Array:
    """The warm start of the group at `first`: the parabola in log l2 through three lanes before it, or zeros."""
    apart = max(1, size // 2)
    nodes = jnp.maximum(first - 1 - jnp.asarray([2 * apart, apart, 0], jnp.int32), 0)
    logs = jnp.log(jnp.maximum(l2s, jnp.finfo(l2s.dtype).tiny))
    u, here = jnp.take(logs, nodes), lax.dynamic_slice(logs, (first,), (size,))
    share = jnp.stack([_lagrange(u, i, here) for i in range(3)], axis=1)
    tame = jnp.sum(jnp.abs(share), axis=1, keepdims=True) < MAGNIFIED
    # Coefficients that are not finite, as for equal penalties, are not tame either.
    share = jnp.where(tame & (first > 0), share, jnp.asarray([[0.0, 0.0, 1.0]], share.dtype))
    mixed = jnp.matmul(share, jnp.take(points, nodes, axis=0).reshape(3, -1), precision=ob.HIGHEST)
    return mixed.reshape(size * points.shape[1], *points.shape[2:])


def _lagrange(u: Array, i: int, x: Array) -> Array:
    others = [j for j in range(3) if j != i]
    return (x - u[others[0]]) * (x - u[others[1]]) / ((u[i] - u[others[0]]) * (u[i] - u[others[1]]))
