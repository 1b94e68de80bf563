"""The preconditioner of both solvers: the inverse of the Hessian's diagonal blocks, one per class.

The Hessian couples the classes. Its diagonal blocks, Xᵀ·diag(share·p(1 − p))·X + l2 for each class, hold nearly all of
its ill-conditioning. With many features, a block covers only the principal directions; the other directions have a
diagonal entry, from the mean square of the features. On 8000 images of 784 features L-BFGS then needs 28 steps instead
of 340.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array

from jxent.regression import _lanes
from jxent.regression._lanes import Basis, LaneObjective, LaneParams

# Up to FULL features a block covers all of them. Up to LARGEST it covers PRINCIPAL directions; beyond that the
# eigendecomposition costs more than it saves. All blocks together have at most ENTRIES entries.
FULL, PRINCIPAL, LARGEST, ENTRIES = 256, 128, 2048, 1 << 25
HIGH = lax.Precision.HIGHEST


class Inverse(NamedTuple):
    """Inverse blocks, shared by all lanes, and the penalty of each lane.

    Attributes:
        blocks: inverse over the first R directions and the bias, which is last, `[K, R + 1, R + 1]`.
        rest: inverse of the curvature along each of the other directions, `[K, D - R]`.
        l2: `[L]`.
        basis: the principal directions, or None where the blocks cover all features.
    """

    blocks: Array
    rest: Array
    l2: Array
    basis: Basis | None


def is_affordable(features: int, classes: int) -> bool:
    """Whether the blocks cost less than they save."""
    size = features if features <= FULL else PRINCIPAL
    return features <= LARGEST and classes * (size + 1) ** 2 <= ENTRIES


def basis(x: Array, classes: int) -> Basis | None:
    """The principal directions of many features; None where features are few or blocks cost too much."""
    n, d = x.shape
    if d <= FULL or not is_affordable(d, classes):
        return None
    # Not centred: the solvers use the features uncentred, and their mean is among the directions.
    values, vectors = jnp.linalg.eigh(lax.dot_general(x, x, (((0,), (0,)), ((), ())), precision=HIGH) / n)
    values, vectors = jnp.maximum(values[::-1], 0.0), vectors[:, ::-1]
    return Basis(vectors, values[PRINCIPAL:], jnp.matmul(x, vectors[:, :PRINCIPAL], precision=HIGH))


def inverse(objective: LaneObjective, p: Array) -> Inverse:
    """The inverse blocks at probabilities `[L, K, N]`, averaged over the lanes before inversion."""
    curved = jnp.mean(objective.share[:, None, :] * p * (1.0 - p), axis=0)
    x = objective.x if objective.basis is None else _lanes.with_one(objective.basis.features)
    l2 = jnp.mean(objective.l2)

    def block(weights: Array) -> Array:
        return lax.dot_general(weights[:, None] * x, x, (((0,), (0,)), ((), ())), precision=HIGH)

    # One class at a time: a batch would hold K copies of the features.
    blocks = lax.map(block, curved)
    energy = jnp.zeros((0,), x.dtype) if objective.basis is None else objective.basis.energy
    along = l2 + jnp.sum(curved, axis=1)[:, None] * energy[None, :]
    # Along directions without variance the computed curvature is rounding, in proportion to the largest curvature.
    most = jnp.max(jnp.diagonal(blocks, axis1=1, axis2=2), axis=1, keepdims=True) + l2
    least = objective.x.shape[1] * jnp.finfo(x.dtype).eps * most + jnp.finfo(x.dtype).tiny
    return Inverse(_inverted(blocks, l2), 1.0 / (along + least), objective.l2, objective.basis)


def _inverted(blocks: Array, l2: Array) -> Array:
    """Inverse of blocks + l2; a further term on the diagonal keeps them positive definite under rounding."""
    size = blocks.shape[1]
    most = jnp.max(jnp.diagonal(blocks, axis1=1, axis2=2), axis=1)[:, None]
    least = size * jnp.finfo(blocks.dtype).eps * (most + l2) + jnp.finfo(blocks.dtype).tiny
    added = least + jnp.where(jnp.arange(size) < size - 1, l2, 0.0)[None, :]
    identity = jnp.eye(size, dtype=blocks.dtype)

    def half(pair: tuple[Array, Array]) -> Array:
        factor = jnp.linalg.cholesky(pair[0] + jnp.diag(pair[1]))
        return jax.lax.linalg.triangular_solve(factor, identity, left_side=True, lower=True)

    # One by one: on a CPU with several host devices a batched factorisation deadlocks, because it waits for threads of
    # the pool that runs it. Delete `lax.map` when XLA:CPU runs a batch there.
    halves = lax.map(half, (blocks, added))
    inverted = jnp.einsum("kde,kdf->kef", halves, halves, precision=HIGH)
    # A block that is not positive definite after rounding has no inverse: take a multiple of the identity.
    return jnp.where(
        jnp.all(jnp.isfinite(inverted), (1, 2), keepdims=True), inverted, identity[None] / (most + l2)[:, :, None]
    )


def applied(inverse: Inverse | None, gradient: LaneParams) -> LaneParams:
    """The inverse blocks times a gradient, or without blocks the gradient; its mean over classes is divided by l2.

    Adding one vector to the weights of every class changes no probability. Along that vector the curvature is exactly
    l2, which the block of a single class does not contain.
    """
    if inverse is None:
        return gradient
    common = jnp.mean(gradient.weights, axis=1, keepdims=True)
    turned = gradient.weights - common
    if inverse.basis is not None:
        turned = jnp.einsum("lkd,de->lke", turned, inverse.basis.vectors, precision=HIGH)
    size = inverse.blocks.shape[1] - 1
    # The bias has a product of its own: XLA:GPU (jaxlib 0.11) fails to compile a product whose operand is a
    # concatenation with the bias column. Delete when XLA:GPU compiles that product.
    bias = _centred(gradient.bias)[:, :, None]
    solved = jnp.einsum("kde,lke->lkd", inverse.blocks[:, :, :-1], turned[:, :, :size], precision=HIGH)
    solved = solved + inverse.blocks[None, :, :, -1] * bias
    weights, bias = solved[:, :, :-1], solved[:, :, -1]
    if inverse.basis is not None:
        weights = jnp.concatenate([weights, inverse.rest[None] * turned[:, :, size:]], axis=2)
        weights = jnp.einsum("lke,de->lkd", weights, inverse.basis.vectors, precision=HIGH)
    l2 = inverse.l2[:, None, None]
    # For l2 below eps the mean over classes is rounding; dividing it by l2 would make it large.
    penalised = l2 > jnp.finfo(l2.dtype).eps
    shared = jnp.where(penalised, common / jnp.where(penalised, l2, 1.0), 0.0)
    return LaneParams(weights - jnp.mean(weights, axis=1, keepdims=True) + shared, _centred(bias))


def _centred(bias: Array) -> Array:
    return bias - jnp.mean(bias, axis=1, keepdims=True)


def product(objective: LaneObjective, p: Array, direction: LaneParams) -> tuple[LaneParams, Array]:
    """The Hessian-vector product with a direction, and the scores of the direction."""
    along = _lanes.scores(objective.x, direction)
    curved = _lanes.balanced(_lanes.scores_vjp(objective.x, _lanes.curvature(objective, p, along)))
    return LaneParams(curved.weights + objective.l2[:, None, None] * direction.weights, curved.bias), along
