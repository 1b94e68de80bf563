"""The preconditioner of both solvers: the inverse of the Hessian's diagonal blocks, one per class.

The Hessian couples the classes. Its diagonal blocks, Xᵀ·diag(share·p(1 − p))·X + l2 for each class, hold nearly all of
its ill-conditioning. Of many features, a block covers only the principal directions; the other directions have a
diagonal entry, from the mean square of the features. Of very many, all of it is a diagonal. On 8000 images of 784
features L-BFGS needs 28 steps instead of 340.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array

from jxent.regression.solvers import objective as ob
from jxent.regression.solvers.objective import HIGHEST, Basis, LaneObjective

# Up to FULL features a block covers all of them. Up to LARGEST it covers PRINCIPAL directions; beyond that the
# eigendecomposition costs more than it saves. All blocks together have at most ENTRIES entries.
FULL, PRINCIPAL, LARGEST, ENTRIES = 256, 128, 2048, 1 << 25
# Bytes of the weighted features of all classes up to which they are taken at once.
BATCH = 8 << 20
# The curvature p(1 − p) of a row is at least this times the square of its slope p − t: a saturated row of the wrong
# class has a curvature near 0 and its minimum far away, and a step by that curvature would have no bound. Rows with a
# slope below 0.94 are not changed.
LEAST = 1 / 16


class Inverse(NamedTuple):
    """Inverse blocks, shared by all lanes.

    Attributes:
        blocks: inverse over the first R directions and the bias, which is last, `[K, R + 1, R + 1]`; None for a
            diagonal.
        rest: inverse of the curvature along each of the other directions, `[K, D - R]`; with `blocks` None the whole
            diagonal, `[K, D + 1]`.
        basis: the principal directions, or None where the blocks cover all features.
    """

    blocks: Array | None
    rest: Array
    basis: Basis | None


def is_affordable(features: int, classes: int) -> bool:
    """Whether the blocks cost less than they save."""
    size = features if features <= FULL else PRINCIPAL
    return features <= LARGEST and classes * (size + 1) ** 2 <= ENTRIES


def basis(x: Array, classes: int) -> Basis | None:
    """The principal directions of many features; None where features are few or blocks cost too much."""
    n, d = x.shape[0], x.shape[1] - 1
    if d <= FULL or not is_affordable(d, classes):
        return None
    features = x[:, :-1]
    values, vectors = jnp.linalg.eigh(gram(features) / n)
    values, vectors = jnp.maximum(values[::-1], 0.0), vectors[:, ::-1]
    principal = jnp.matmul(features, vectors[:, :PRINCIPAL], precision=HIGHEST)
    return Basis(vectors, values[PRINCIPAL:], jnp.concatenate([principal, x[:, -1:]], axis=1))


def gram(x: Array, weights: Array | None = None) -> Array:
    """Xᵀ·diag(weights)·X."""
    weighted = x if weights is None else weights[:, None] * x
    return lax.dot_general(weighted, x, (((0,), (0,)), ((), ())), precision=HIGHEST)


def inverse(objective: LaneObjective, slope: Array) -> Inverse:
    """The inverse blocks at these slopes of the losses `[L, K, N]`, averaged over the lanes before inversion."""
    p = ob.probabilities(objective, slope)
    of_rows = jnp.maximum(p * (1.0 - p), LEAST * jnp.square(slope))
    curved = jnp.mean(objective.share[:, None, :] * of_rows, axis=0)
    penalty = jnp.mean(objective.penalty, axis=0)
    eps, tiny = float(jnp.finfo(p.dtype).eps), float(jnp.finfo(p.dtype).tiny)
    if not is_affordable(objective.x.shape[1] - 1, p.shape[1]):
        diagonal = jnp.matmul(curved, jnp.square(objective.x), precision=HIGHEST) + penalty[None, :]
        return Inverse(None, 1.0 / (diagonal + eps * jnp.max(diagonal, axis=1, keepdims=True) + tiny), None)
    x = objective.x if objective.basis is None else objective.basis.features
    own = jnp.concatenate([penalty[: x.shape[1] - 1], penalty[-1:]])
    if _is_batched(x, p.shape[1]):
        blocks = jnp.matmul((curved[:, :, None] * x[None]).mT, x[None], precision=HIGHEST)
    else:
        blocks = lax.map(lambda weights: gram(x, weights), curved)
    diagonal = jnp.sum(jnp.where(jnp.eye(x.shape[1])[None] > 0, blocks, 0.0), axis=2) + own[None, :]
    energy = jnp.zeros((0,), x.dtype) if objective.basis is None else objective.basis.energy
    along = penalty[0] + jnp.sum(curved, axis=1)[:, None] * energy[None, :]
    # Along directions without variance the computed curvature is rounding, in proportion to the largest curvature.
    least = objective.x.shape[1] * eps * jnp.max(diagonal, axis=1, keepdims=True)
    inverted = _inverted(blocks, diagonal, batched=_is_batched(x, p.shape[1]))
    return Inverse(inverted, 1.0 / (along + least + tiny), objective.basis)


def _is_batched(x: Array, classes: int) -> bool:
    """Whether all classes are taken at once, which compiles sooner than a loop over them.

    A batch holds K copies of the features. On a CPU with several host devices a batched factorisation deadlocks,
    because it waits for threads of the pool that runs it: look at the number of classes alone when XLA:CPU runs it.
    """
    return classes * x.size * x.dtype.itemsize <= BATCH and jax.device_count() == 1


def _inverted(blocks: Array, diagonal: Array, *, batched: bool) -> Array:
    """Inverse of the blocks with this diagonal, scaled to 1 first: features may differ in scale by any factor."""
    size = blocks.shape[1]
    identity = jnp.eye(size, dtype=blocks.dtype)[None]
    scale = lax.rsqrt(jnp.where(diagonal > 0, diagonal, 1.0))
    # More than 1 on the diagonal keeps the block positive definite under rounding.
    added = 1.0 + 2 * size * float(jnp.finfo(blocks.dtype).eps)
    unit = jnp.where(identity > 0, added, scale[:, :, None] * blocks * scale[:, None, :])

    def half(block: Array) -> Array:
        factor = lax.linalg.cholesky(block, symmetrize_input=False)
        right = jnp.broadcast_to(identity[0], block.shape)
        return lax.linalg.triangular_solve(factor, right, left_side=True, lower=True)

    halves = (half(unit) if batched else lax.map(half, unit)) * scale[:, None, :]
    inverted = jnp.einsum("kde,kdf->kef", halves, halves, precision=HIGHEST)
    # A block that is not positive definite after rounding has a factor of NaN, and no inverse: take its diagonal.
    guess = identity * jnp.square(scale)[:, :, None]
    return jnp.where(jnp.isfinite(halves[:, :1, :1]), inverted, guess)


def of_blocks(inverse: Inverse, gradient: Array) -> Array:
    """The inverse blocks times a gradient `[L, K, D + 1]`."""
    if inverse.blocks is None:
        return inverse.rest[None] * gradient
    if inverse.basis is None:
        return jnp.einsum("kde,lke->lkd", inverse.blocks, gradient, precision=HIGHEST)
    return _applied_along(inverse, inverse.blocks, inverse.basis.vectors, gradient)


def applied(inverse: Inverse, penalty: Array, gradient: Array) -> Array:
    """The inverse blocks times a gradient; its mean over the classes is divided by the penalty.

    Adding one vector to the weights of every class changes no probability. Along that vector the curvature is exactly
    l2, which the block of a single class does not contain.
    """
    common = jnp.mean(gradient, axis=1, keepdims=True)
    solved = of_blocks(inverse, gradient - common)
    l2 = penalty[:, None, :]
    # For l2 below eps the mean over classes is rounding; dividing it by l2 would make it large.
    penalised = l2 > jnp.finfo(l2.dtype).eps
    return ob.balanced(solved) + jnp.where(penalised, common / jnp.where(penalised, l2, 1.0), 0.0)


def _applied_along(inverse: Inverse, blocks: Array, vectors: Array, gradient: Array) -> Array:
    """The blocks of principal directions times a gradient."""
    size = blocks.shape[1] - 1
    turned = jnp.einsum("lkd,de->lke", gradient[:, :, :-1], vectors, precision=HIGHEST)
    # The bias has a product of its own: XLA:GPU (jaxlib 0.11) fails to compile a product whose operand is a
    # concatenation with the bias column. Delete when XLA:GPU compiles that product.
    solved = jnp.einsum("kde,lke->lkd", blocks[:, :, :-1], turned[:, :, :size], precision=HIGHEST)
    solved = solved + blocks[None, :, :, -1] * gradient[:, :, -1:]
    weights = jnp.concatenate([solved[:, :, :-1], inverse.rest[None] * turned[:, :, size:]], axis=2)
    weights = jnp.einsum("lke,de->lkd", weights, vectors, precision=HIGHEST)
    return jnp.concatenate([weights, solved[:, :, -1:]], axis=2)
