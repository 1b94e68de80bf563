"""Passes over rows that are read a chunk at a time: objective, gradient and Hessian-vector products of all rows."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array

from jxent.regression import _curvature, _lanes
from jxent.regression._lanes import Evidence, LaneObjective, LaneParams
from jxent.regression._programs import Data, SolverInputs
from jxent.regression._reader import Reader


class Sums(NamedTuple):
    """Sums over the rows read so far, their rounding errors, and the evidence on a minimum."""

    total: Any
    lost: Any
    evidence: Evidence


class Evaluated(NamedTuple):
    """Objective `[1]` and gradient of all rows at a point, and the evidence on a minimum."""

    value: Array
    gradient: LaneParams
    evidence: Evidence


def _nothing(like: Any, classes: int) -> Sums:
    total = jax.tree.map(jnp.zeros_like, like)
    return Sums(total, total, Evidence(jnp.ones((1,), bool), jnp.zeros((1, classes), bool)))


def _added(sums: Sums, term: Any, evidence: Evidence) -> Sums:
    """The sums plus a term, by Kahan's compensated summation: the error does not grow with the number of chunks."""
    y = jax.tree.map(jnp.subtract, term, sums.lost)
    total = jax.tree.map(jnp.add, sums.total, y)
    lost = jax.tree.map(lambda new, old, y: (new - old) - y, total, sums.total, y)
    return Sums(total, lost, Evidence(sums.evidence.right & evidence.right, sums.evidence.seen | evidence.seen))


def _chunk_objective(data: Data, dtype: DTypeLike, inverse: Array) -> LaneObjective:
    """The objective of one chunk without penalty; `inverse` is 1 over the sum of the weights of all rows."""
    return _lanes.lane_objective(
        data.x.astype(dtype), data.targets, (data.weights * inverse)[None], jnp.zeros((1,), dtype)
    )


@jax.jit
def _evaluate(point: LaneParams, data: Data, inverse: Array, sums: Sums) -> Sums:
    objective = _chunk_objective(data, point.bias.dtype, inverse)
    z = _lanes.scores(objective.x, point)
    value, slope = _lanes.evaluate(objective, z)
    gradient = _lanes.scores_vjp(objective.x, objective.share[:, None, :] * slope)
    return _added(sums, (value, gradient), _lanes.evidence(objective, z))


@jax.jit
def _multiply(point: LaneParams, direction: LaneParams, data: Data, inverse: Array, sums: Sums) -> Sums:
    objective = _chunk_objective(data, point.bias.dtype, inverse)
    _, slope = _lanes.losses(objective, _lanes.scores(objective.x, point))
    product, _ = _curvature.product(objective, _lanes.probabilities(objective, slope), direction)
    return _added(sums, product, sums.evidence)


class Passes:
    """The functions of all rows that a solver needs; each call is a pass over the rows."""

    def __init__(self, reader: Reader, inputs: SolverInputs) -> None:
        self.reader, self.l2 = reader, inputs.l2[None]
        self.classes = inputs.start.bias.shape[0]
        self.inverse = jnp.asarray(1.0 / reader.survey.weight, reader.dtype)

    def evaluate(self, point: LaneParams) -> Evaluated:
        """Objective and gradient."""
        sums = _nothing((self.l2, point), self.classes)
        for data in self.reader.chunks():
            sums = _evaluate(point, data, self.inverse, sums)
        value, gradient = sums.total
        gradient = _lanes.balanced(gradient)
        weights = gradient.weights + self.l2[:, None, None] * point.weights
        penalty = 0.5 * self.l2 * jnp.sum(jnp.square(point.weights), axis=(1, 2))
        return Evaluated(value + penalty, LaneParams(weights, gradient.bias), sums.evidence)

    def product(self, point: LaneParams, direction: LaneParams) -> LaneParams:
        """The Hessian-vector product with a direction."""
        sums = _nothing(point, self.classes)
        for data in self.reader.chunks():
            sums = _multiply(point, direction, data, self.inverse, sums)
        curved = _lanes.balanced(sums.total)
        return LaneParams(curved.weights + self.l2[:, None, None] * direction.weights, curved.bias)
