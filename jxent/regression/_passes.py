"""Passes over rows that are read a chunk at a time: objective, gradient and Hessian products of all of them."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array

from jxent.regression import _curvature, _lanes
from jxent.regression._lanes import Evidence, Point, Task
from jxent.regression._programs import Data, Given
from jxent.regression._reader import Reader


class Sums(NamedTuple):
    """Sums over the rows read so far, what rounding lost of them, and what the rows say of a minimum."""

    total: Any
    lost: Any
    found: Evidence


class Evaluated(NamedTuple):
    """Objective `[1]` and gradient of all rows at a point, and what they say of a minimum."""

    value: Array
    gradient: Point
    found: Evidence


def _nothing(like: Any, classes: int) -> Sums:
    total = jax.tree.map(jnp.zeros_like, like)
    return Sums(total, total, Evidence(jnp.ones((1,), bool), jnp.zeros((1, classes), bool)))


def _added(sums: Sums, term: Any, found: Evidence) -> Sums:
    """The sums with a term more, by Kahan's rule: of thousands of chunks none is rounded away."""
    y = jax.tree.map(jnp.subtract, term, sums.lost)
    total = jax.tree.map(jnp.add, sums.total, y)
    lost = jax.tree.map(lambda new, old, y: (new - old) - y, total, sums.total, y)
    return Sums(total, lost, Evidence(sums.found.right & found.right, sums.found.seen | found.seen))


def _task(data: Data, dtype: DTypeLike, inverse: Array) -> Task:
    """The lane of some rows, whose shares are those among all rows."""
    return _lanes.task(data.x.astype(dtype), data.targets, (data.weights * inverse)[None], jnp.zeros((1,), dtype))


@jax.jit
def _evaluate(point: Point, data: Data, inverse: Array, sums: Sums) -> Sums:
    task = _task(data, point.bias.dtype, inverse)
    z = _lanes.scores(task.x, point)
    value, slope = _lanes.evaluate(task, z)
    gradient = _lanes.pull(task.x, task.share[:, None, :] * slope)
    return _added(sums, (value, gradient), _lanes.evidence(task, z))


@jax.jit
def _multiply(point: Point, direction: Point, data: Data, inverse: Array, sums: Sums) -> Sums:
    task = _task(data, point.bias.dtype, inverse)
    _, slope = _lanes.losses(task, _lanes.scores(task.x, point))
    product, _ = _curvature.product(task, _lanes.probabilities(task, slope), direction)
    return _added(sums, product, sums.found)


class Passes:
    """What a solver asks of all rows, each a pass over them."""

    def __init__(self, reader: Reader, given: Given) -> None:
        self.reader, self.l2 = reader, given.l2[None]
        self.classes = given.start.bias.shape[0]
        self.inverse = jnp.asarray(1.0 / reader.survey.weight, reader.dtype)

    def evaluate(self, point: Point) -> Evaluated:
        """Objective and gradient."""
        sums = _nothing((self.l2, point), self.classes)
        for data in self.reader.chunks():
            sums = _evaluate(point, data, self.inverse, sums)
        value, gradient = sums.total
        gradient = _lanes.balanced(gradient)
        weights = gradient.weights + self.l2[:, None, None] * point.weights
        penalty = 0.5 * self.l2 * jnp.sum(jnp.square(point.weights), axis=(1, 2))
        return Evaluated(value + penalty, Point(weights, gradient.bias), sums.found)

    def product(self, point: Point, direction: Point) -> Point:
        """The Hessian times a direction."""
        sums = _nothing(point, self.classes)
        for data in self.reader.chunks():
            sums = _multiply(point, direction, data, self.inverse, sums)
        curved = _lanes.balanced(sums.total)
        return Point(curved.weights + self.l2[:, None, None] * direction.weights, curved.bias)
