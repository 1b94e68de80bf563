"""The curvature of every class by itself, inverted: what the solvers take as their first guess of the Hessian.

The Hessian of the objective couples the classes, and its blocks on the diagonal, Xᵀ·diag(share·p(1 − p))·X + l2 of a
class, hold nearly all that makes it ill-conditioned. On 1797 digits it takes conjugate gradients from 1609 products
with the Hessian to 47. Forming the blocks costs as much as D/2 gradients: they are for few features.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array

from jxent.regression import _lanes
from jxent.regression._lanes import Point, Task

# Features with the bias, and entries of all blocks: beyond, gradients alone are cheaper.
FEATURES, ENTRIES = 256, 1 << 22


class Inverse(NamedTuple):
    """The inverse blocks `[K, D + 1, D + 1]`, the bias last, which all lanes share, and the penalty of each lane."""

    blocks: Array
    l2: Array


def worth(features: int, classes: int) -> bool:
    """Whether the blocks pay for themselves."""
    return features < FEATURES and classes * (features + 1) ** 2 <= ENTRIES


def inverse(task: Task, p: Array) -> Inverse:
    """Of the curvature at probabilities `[L, K, N]`, the mean over the lanes."""
    curved = jnp.mean(task.share[:, None, :] * p * (1.0 - p), axis=0)
    x, high = task.x, lax.Precision.HIGHEST
    weighted = curved[:, :, None] * x[None]
    inner = jnp.einsum("knd,ne->kde", weighted, x, precision=high)
    edge = jnp.sum(weighted, axis=1)[:, :, None]
    corner = jnp.sum(curved, axis=1)[:, None, None]
    whole = jnp.concatenate(
        [jnp.concatenate([inner, edge], axis=2), jnp.concatenate([edge.swapaxes(1, 2), corner], axis=2)], axis=1
    )
    return Inverse(_inverted(whole, jnp.mean(task.l2)), task.l2)


def _inverted(blocks: Array, l2: Array) -> Array:
    """Inverse of blocks + l2, and so much more on the diagonal that rounding leaves them positive."""
    size = blocks.shape[1]
    most = jnp.max(jnp.diagonal(blocks, axis1=1, axis2=2), axis=1)[:, None]
    least = size * jnp.finfo(blocks.dtype).eps * (most + l2) + jnp.finfo(blocks.dtype).tiny
    added = least + jnp.where(jnp.arange(size) < size - 1, l2, 0.0)[None, :]
    identity = jnp.eye(size, dtype=blocks.dtype)[None]
    factor = jnp.linalg.cholesky(blocks + added[:, :, None] * identity)
    half = jax.lax.linalg.triangular_solve(factor, jnp.broadcast_to(identity, blocks.shape), left_side=True, lower=True)
    inverted = jnp.einsum("kde,kdf->kef", half, half, precision=lax.Precision.HIGHEST)
    # A block that rounding has not left positive is no guess at all: its diagonal is one.
    return jnp.where(
        jnp.all(jnp.isfinite(inverted), (1, 2), keepdims=True), inverted, identity / (most + l2)[:, :, None]
    )


def applied(inverse: Inverse | None, gradient: Point) -> Point:
    """The inverse blocks times a gradient, or without blocks the gradient; on what all classes share, exactly 1/l2.

    Adding one vector to the weights of every class changes no probability: along it the curvature is l2 alone, and
    a block by itself does not know that.
    """
    if inverse is None:
        return gradient
    common = jnp.mean(gradient.weights, axis=1, keepdims=True)
    packed = jnp.concatenate([gradient.weights - common, _apart(gradient.bias)[:, :, None]], axis=2)
    solved = jnp.einsum("kde,lke->lkd", inverse.blocks, packed, precision=lax.Precision.HIGHEST)
    solved = solved - jnp.mean(solved, axis=1, keepdims=True)
    l2 = inverse.l2[:, None, None]
    shared = jnp.where(l2 > 0, common / jnp.where(l2 > 0, l2, 1.0), 0.0)
    return Point(solved[:, :, :-1] + shared, solved[:, :, -1])


def _apart(bias: Array) -> Array:
    return bias - jnp.mean(bias, axis=1, keepdims=True)


def product(task: Task, p: Array, direction: Point) -> tuple[Point, Array]:
    """The Hessian times a direction, and the scores of that direction."""
    along = _lanes.scores(task.x, direction)
    curved = _lanes.pull(task.x, _lanes.curvature(task, p, along))
    return Point(curved.weights + task.l2[:, None, None] * direction.weights, curved.bias), along
