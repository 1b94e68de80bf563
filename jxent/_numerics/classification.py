"""Softmax losses of a row of logits, with gradients that keep the tail of a confident prediction.

The gradient of the class that is right is pₖ − 1, which rounds to 0 long before the loss does. It is
written expm1(log pₖ): the loss itself has that logarithm to full accuracy.
"""

import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array

from jxent._numerics import fast, fast_logits, loops
from jxent._numerics import softmax as sm
from jxent._numerics.kernels import KL_DIVERGENCE
from jxent._numerics.pair import Features, Pair, with_support
from jxent._numerics.primitives import (
    at_least_tiny,
    fence,
    is_sharded,
    is_symbolic_zero,
    log1p,
    recompute,
    safe_log,
    tiny,
)

Axes = tuple[int, ...]


class SoftmaxLoss(NamedTuple):
    """The loss, such as −log p of the label, and log p of class k as (zₖ − shift) − log_sum; the class axis is kept."""

    loss: Array
    shift: Array
    log_sum: Array


def pick(z: Array, labels: Array, axis: int) -> Array:
    """The logit of each label, with the class axis kept as size 1; labels lie in [0, K)."""
    if is_sharded(z):
        # A gather over classes that an explicit mesh axis shards is refused: compare instead.
        chosen = class_ids(z, axis) == labels
        return jnp.sum(jnp.where(chosen, z, jnp.zeros_like(z)), axis=axis, keepdims=True)
    return jnp.take_along_axis(z, labels, axis=axis)


def class_ids(z: Array, axis: int) -> Array:
    """0, 1, … along the class axis, of the shape of the logits and sharded as they are."""
    sharding = jax.typeof(z).sharding if is_sharded(z) else None
    return lax.broadcasted_iota(jnp.int32, z.shape, axis, out_sharding=sharding)


@functools.partial(jax.custom_jvp, nondiff_argnums=(2, 3))
def label_loss(z: Array, labels: Array, axis: int, every_class: bool = False) -> SoftmaxLoss:  # noqa: FBT001, FBT002
    """Cross-entropy of integer labels `[..., 1, ...]` in [0, K), without an array of the size of the logits.

    With `every_class` log p of all classes, not of the label alone, keeps its digits.
    """

    def exact(axes: Axes, z: Array, labels: Array) -> SoftmaxLoss:
        s = sm.shift(z, axes)
        log_sum = jnp.log1p(s.rest)
        return SoftmaxLoss(log_sum + (s.top - pick(z, labels, axes[0])), s.top, log_sum)

    def quick(axes: Axes, z: Array, labels: Array) -> tuple[SoftmaxLoss, Array]:
        log_sum, sound = fast_logits.log_sum(z, axes)
        loss = log_sum - pick(z, labels, axes[0])
        return SoftmaxLoss(loss, jnp.zeros_like(loss), log_sum), sound & fast_logits.worth(loss, 2.0 + jnp.abs(log_sum))

    return fast.by_platform(exact, () if every_class else (quick,), (axis,), z, labels)


@functools.partial(label_loss.defjvp, symbolic_zeros=True)
def _label_loss_jvp(
    axis: int,
    every_class: bool,  # noqa: FBT001
    primals: Sequence[Any],
    tangents: Sequence[Any],
) -> tuple[SoftmaxLoss, SoftmaxLoss]:
    (z, labels), (dz, _) = primals, tangents
    parts = label_loss(z, labels, axis, every_class)
    zero = jnp.zeros_like(parts.loss)
    if is_symbolic_zero(dz):
        return parts, SoftmaxLoss(zero, zero, zero)
    p = loops.probability((z - parts.shift) - parts.log_sum)
    right = class_ids(z, axis) == labels
    slope = jnp.where(right, jnp.expm1(-parts.loss), p)
    # Fenced: a loss and its z-loss are two sums over one batch (see `centred`).
    dloss = fence(jnp.sum(slope * dz, axis=axis, keepdims=True))
    dlog_sum = fence(jnp.sum(p * dz, axis=axis, keepdims=True))
    return parts, SoftmaxLoss(dloss, zero, dlog_sum)


@functools.partial(jax.custom_jvp, nondiff_argnums=(2,))
def target_loss(z: Array, targets: Array, axes: Axes) -> SoftmaxLoss:
    """−Σ t·log softmax(z) for targets of any non-negative weights, without an array of the size of the logits."""

    def exact(axes: Axes, z: Array, targets: Array) -> SoftmaxLoss:
        s = sm.shift(z, axes)
        log_sum = jnp.log1p(s.rest)
        log_p = s.d - log_sum
        terms = jnp.where((targets == 0) & (log_p == -jnp.inf), 0.0, -targets * log_p)
        return SoftmaxLoss(jnp.sum(terms, axis=axes, keepdims=True), s.top, log_sum)

    def quick(axes: Axes, z: Array, targets: Array) -> tuple[SoftmaxLoss, Array]:
        log_sum, sound = fast_logits.log_sum(z, axes)
        again, t, once_more = recompute(log_sum, z, targets, targets)
        moment = fence(jnp.sum(t * again, axis=axes, keepdims=True))
        mass = fence(jnp.sum(once_more, axis=axes, keepdims=True))
        loss = mass * log_sum - moment
        error = mass * (2.0 + 2.5 * jnp.abs(log_sum)) + 2.0 * jnp.abs(moment)
        return SoftmaxLoss(loss, jnp.zeros_like(loss), log_sum), sound & fast_logits.worth(loss, error)

    return fast.by_platform(exact, (quick,), axes, z, targets)


@functools.partial(target_loss.defjvp, symbolic_zeros=True)
def _target_loss_jvp(axes: Axes, primals: Sequence[Any], tangents: Sequence[Any]) -> tuple[SoftmaxLoss, SoftmaxLoss]:
    (z, targets), (dz, dt) = primals, tangents
    parts = target_loss(z, targets, axes)
    tangent = zero = jnp.zeros_like(parts.loss)
    dlog_sum = zero
    log_p = (z - parts.shift) - parts.log_sum
    if not is_symbolic_zero(dz):
        total = jnp.sum(targets, axis=axes, keepdims=True)
        p = jnp.exp(log_p)
        # Σt·pₖ − tₖ, written Σt·(pₖ − 1) + (Σt − tₖ) for the class that holds most of the mass.
        slope = jnp.where(
            2.0 * targets > total,
            total * jnp.expm1(log_p) + (total - targets),
            total * p - targets,
        )
        tangent = tangent + fence(jnp.sum(slope * dz, axis=axes, keepdims=True))
        dlog_sum = fence(jnp.sum(p * dz, axis=axes, keepdims=True))
    if not is_symbolic_zero(dt):
        bound = -float(np.log(tiny(z.dtype)))
        surprise = jnp.where(log_p == -jnp.inf, bound, -log_p)
        tangent = tangent + fence(jnp.sum(surprise * dt, axis=axes, keepdims=True))
    return parts, SoftmaxLoss(tangent, zero, dlog_sum)


@functools.partial(jax.custom_jvp, nondiff_argnums=(2,))
def target_divergence(z: Array, targets: Array, axes: Axes) -> Array:
    """Σ t·log(t/q) − t + q for q = softmax(z)."""
    return jnp.sum(KL_DIVERGENCE.term(_target_pair(z, targets, axes)), axis=axes)


def _target_pair(z: Array, targets: Array, axes: Axes) -> Pair:
    """The targets and softmax(z) as kernels see them."""
    q, log_q, log_t = sm.softmax(z, axes), sm.log_softmax(z, axes), safe_log(targets)
    relative = (q - targets) / at_least_tiny(targets)
    near = jnp.abs(relative) < 0.5
    impossible = log_q == -jnp.inf
    log_q = jnp.where(impossible, 0.0, log_q)
    delta = jnp.where(near, log1p(jnp.where(near, relative, 0.0)), log_q - log_t)
    features = Features(targets, q, log_t, log_q, q - targets, delta)
    return with_support(features, targets < tiny(targets.dtype), impossible)


@functools.partial(target_divergence.defjvp, symbolic_zeros=True)
def _target_divergence_jvp(axes: Axes, primals: Sequence[Any], tangents: Sequence[Any]) -> tuple[Array, Array]:
    (z, targets), (dz, dt) = primals, tangents
    value = target_divergence(z, targets, axes)
    tangent = jnp.zeros_like(value)
    if not is_symbolic_zero(dz):
        # The entropy of the targets, by which the loss differs, has no logits in it.
        tangent += jnp.squeeze(jax.jvp(lambda z: target_loss(z, targets, axes).loss, (z,), (dz,))[1], axes)
    if not is_symbolic_zero(dt):
        tangent += jnp.sum(-_target_pair(z, targets, axes).delta * dt, axis=axes)
    return value, tangent


@jax.custom_jvp
def _without_infinity(z: Array) -> Array:
    """A logit, ±∞ as the one whose odds are the smallest normal number; slope 1 throughout."""
    bound = -float(np.log(tiny(z.dtype)))
    return jnp.where(jnp.isinf(z), jnp.sign(z) * bound, z)


@_without_infinity.defjvp
def _without_infinity_jvp(primals: Sequence[Array], tangents: Sequence[Array]) -> tuple[Array, Array]:
    return _without_infinity(primals[0]), tangents[0]


def focal_loss(z: Array, targets: Array, gamma: Array) -> Array:
    """(1 − p_t)^γ·(−log p_t) with p_t = tσ(z) + (1 − t)σ(−z), elementwise; −log p_t weighted for soft targets."""
    value = _focal_loss(_without_infinity(z), targets, gamma)
    # The value at an infinite logit, without the slope ∞·0 of its product.
    return value + lax.stop_gradient(_focal_loss(z, targets, gamma) - value)


def _focal_loss(z: Array, targets: Array, gamma: Array) -> Array:
    return _miss_to_the(z, targets, gamma) * sigmoid_loss(z, targets)


@jax.custom_jvp
def _miss_to_the(z: Array, targets: Array, gamma: Array) -> Array:
    """(1 − p_t)^γ: the sum of two products is rounded once, where exp(γ·log) would round a large exponent."""
    return jnp.power(sm.sigmoid(z) * (1.0 - targets) + sm.sigmoid(-z) * targets, gamma)


@_miss_to_the.defjvp
def _miss_to_the_jvp(primals: Sequence[Array], tangents: Sequence[Array]) -> tuple[Array, Array]:
    (z, targets, gamma), (dz, dt, dgamma) = primals, tangents
    value = _miss_to_the(z, targets, gamma)
    log_miss, dlog_miss = jax.jvp(_log_miss, (z, targets), (dz, dt))
    return value, value * (gamma * dlog_miss + log_miss * dgamma)


@jax.custom_jvp
def _log_miss(z: Array, targets: Array) -> Array:
    """log(1 − p_t) = log[(1 − t)·σ(z) + t·σ(−z)], as a sum of two exponentials."""
    return jnp.logaddexp(safe_log(1.0 - targets) - sm.softplus(-z), safe_log(targets) - sm.softplus(z))


@_log_miss.defjvp
def _log_miss_jvp(primals: Sequence[Array], tangents: Sequence[Array]) -> tuple[Array, Array]:
    (z, targets), (dz, dt) = primals, tangents
    log_miss = _log_miss(z, targets)
    in_z = (1.0 - 2.0 * targets) * jnp.exp(-(sm.softplus(z) + sm.softplus(-z) + log_miss))
    # 1/(1 − p_t), of which the square is in range too.
    most = -0.49 * float(np.log(tiny(z.dtype)))
    in_targets = (sm.sigmoid(-z) - sm.sigmoid(z)) * jnp.exp(jnp.minimum(-log_miss, most))
    return log_miss, in_z * dz + in_targets * dt


@jax.custom_jvp
def sigmoid_loss(z: Array, targets: Array) -> Array:
    """−t·log σ(z) − (1 − t)·log σ(−z), elementwise."""
    yes, no = targets, 1.0 - targets
    return jnp.where(yes == 0, 0.0, yes * sm.softplus(-z)) + jnp.where(no == 0, 0.0, no * sm.softplus(z))


@sigmoid_loss.defjvp
def _sigmoid_loss_jvp(primals: Sequence[Array], tangents: Sequence[Array]) -> tuple[Array, Array]:
    (z, targets), (dz, dt) = primals, tangents
    bound = -float(np.log(tiny(z.dtype)))
    finite = jnp.where(z == -jnp.inf, -bound, jnp.where(z == jnp.inf, bound, z))
    slope = (1.0 - targets) * sm.sigmoid(z) - targets * sm.sigmoid(-z)
    return sigmoid_loss(z, targets), slope * dz - finite * dt
