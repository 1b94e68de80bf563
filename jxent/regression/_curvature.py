"""The curvature of every class by itself, inverted: what the solvers take as their first guess of the Hessian.

The Hessian of the objective couples the classes, and its blocks on the diagonal, Xᵀ·diag(share·p(1 − p))·X + l2 of a
class, hold nearly all that makes it ill-conditioned. Of many features only the directions in which they vary most are
given a whole block, and the others their mean square alone. On 8000 images of 784 features that takes L-BFGS from 340
steps to 28.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array

from jxent.regression import _lanes
from jxent.regression._lanes import Basis, Point, Task

# Features up to this number are taken as they are. Of more, up to the second number, so many principal directions are,
# and beyond that finding those would cost more than they save. So many entries of blocks are held at most.
WHOLE, PRINCIPAL, LARGEST, ENTRIES = 256, 128, 2048, 1 << 25
HIGH = lax.Precision.HIGHEST


class Inverse(NamedTuple):
    """Inverse blocks, which all lanes share, and the penalty of each lane.

    Attributes:
        blocks: `[K, R + 1, R + 1]`, the bias last, of the R directions that have one.
        rest: inverse of the curvature along each other direction, `[K, D - R]`.
        l2: `[L]`.
        basis: the directions, or None where they are the features.
    """

    blocks: Array
    rest: Array
    l2: Array
    basis: Basis | None


def worth(features: int, classes: int) -> bool:
    """Whether the blocks pay for themselves."""
    size = features if features <= WHOLE else PRINCIPAL
    return features <= LARGEST and classes * (size + 1) ** 2 <= ENTRIES


def basis(x: Array, classes: int) -> Basis | None:
    """The principal directions of many features; None where features are few or blocks do not pay."""
    n, d = x.shape
    if d <= WHOLE or not worth(d, classes):
        return None
    # Not centred, as the features are not where the solvers use them: their mean is among the directions.
    values, vectors = jnp.linalg.eigh(lax.dot_general(x, x, (((0,), (0,)), ((), ())), precision=HIGH) / n)
    values, vectors = jnp.maximum(values[::-1], 0.0), vectors[:, ::-1]
    return Basis(vectors, values[PRINCIPAL:], jnp.matmul(x, vectors[:, :PRINCIPAL], precision=HIGH))


def inverse(task: Task, p: Array) -> Inverse:
    """Of the curvature at probabilities `[L, K, N]`, the mean over the lanes."""
    curved = jnp.mean(task.share[:, None, :] * p * (1.0 - p), axis=0)
    x = task.x if task.basis is None else _lanes.with_one(task.basis.features)
    l2 = jnp.mean(task.l2)

    def block(weights: Array) -> Array:
        return lax.dot_general(weights[:, None] * x, x, (((0,), (0,)), ((), ())), precision=HIGH)

    # A class at a time: all at once would hold the features K times.
    blocks = lax.map(block, curved)
    energy = jnp.zeros((0,), x.dtype) if task.basis is None else task.basis.energy
    along = l2 + jnp.sum(curved, axis=1)[:, None] * energy[None, :]
    # What rounding leaves of directions without any variance is in proportion to the largest.
    most = jnp.max(jnp.diagonal(blocks, axis1=1, axis2=2), axis=1, keepdims=True) + l2
    least = task.x.shape[1] * jnp.finfo(x.dtype).eps * most + jnp.finfo(x.dtype).tiny
    return Inverse(_inverted(blocks, l2), 1.0 / (along + least), task.l2, task.basis)


def _inverted(blocks: Array, l2: Array) -> Array:
    """Inverse of blocks + l2, and so much more on the diagonal that rounding leaves them positive."""
    size = blocks.shape[1]
    most = jnp.max(jnp.diagonal(blocks, axis1=1, axis2=2), axis=1)[:, None]
    least = size * jnp.finfo(blocks.dtype).eps * (most + l2) + jnp.finfo(blocks.dtype).tiny
    added = least + jnp.where(jnp.arange(size) < size - 1, l2, 0.0)[None, :]
    identity = jnp.eye(size, dtype=blocks.dtype)

    def half(given: tuple[Array, Array]) -> Array:
        factor = jnp.linalg.cholesky(given[0] + jnp.diag(given[1]))
        return jax.lax.linalg.triangular_solve(factor, identity, left_side=True, lower=True)

    # One by one: a batch of factorisations waits for the threads that run it, which on a CPU that plays several
    # devices are all of them.
    halves = lax.map(half, (blocks, added))
    inverted = jnp.einsum("kde,kdf->kef", halves, halves, precision=HIGH)
    # A block that rounding has not left positive is no guess at all: its diagonal is one.
    return jnp.where(
        jnp.all(jnp.isfinite(inverted), (1, 2), keepdims=True), inverted, identity[None] / (most + l2)[:, :, None]
    )


def applied(inverse: Inverse | None, gradient: Point) -> Point:
    """The inverse blocks times a gradient, or without blocks the gradient; on what all classes share, exactly 1/l2.

    Adding one vector to the weights of every class changes no probability: along it the curvature is l2 alone, and
    a block by itself does not know that.
    """
    if inverse is None:
        return gradient
    common = jnp.mean(gradient.weights, axis=1, keepdims=True)
    turned = gradient.weights - common
    if inverse.basis is not None:
        turned = jnp.einsum("lkd,de->lke", turned, inverse.basis.vectors, precision=HIGH)
    size = inverse.blocks.shape[1] - 1
    # The bias by itself: XLA:GPU (jaxlib 0.11) cannot compile a product with a row that a column is joined to.
    bias = _apart(gradient.bias)[:, :, None]
    solved = jnp.einsum("kde,lke->lkd", inverse.blocks[:, :, :-1], turned[:, :, :size], precision=HIGH)
    solved = solved + inverse.blocks[None, :, :, -1] * bias
    weights, bias = solved[:, :, :-1], solved[:, :, -1]
    if inverse.basis is not None:
        weights = jnp.concatenate([weights, inverse.rest[None] * turned[:, :, size:]], axis=2)
        weights = jnp.einsum("lke,de->lkd", weights, inverse.basis.vectors, precision=HIGH)
    l2 = inverse.l2[:, None, None]
    # Below that what all classes share of a gradient is rounding, which a division would make large.
    some = l2 > jnp.finfo(l2.dtype).eps
    shared = jnp.where(some, common / jnp.where(some, l2, 1.0), 0.0)
    return Point(weights - jnp.mean(weights, axis=1, keepdims=True) + shared, _apart(bias))


def _apart(bias: Array) -> Array:
    return bias - jnp.mean(bias, axis=1, keepdims=True)


def product(task: Task, p: Array, direction: Point) -> tuple[Point, Array]:
    """The Hessian times a direction, and the scores of that direction."""
    along = _lanes.scores(task.x, direction)
    curved = _lanes.balanced(_lanes.pull(task.x, _lanes.curvature(task, p, along)))
    return Point(curved.weights + task.l2[:, None, None] * direction.weights, curved.bias), along
