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

from jxent._numerics import fast, fast_logits
from jxent._numerics import softmax as sm
from jxent._numerics.primitives import is_sharded, is_symbolic_zero, tiny

Axes = tuple[int, ...]


class LabelLoss(NamedTuple):
    """−log p of the label, and log p of class k as (zₖ − shift) − log_sum; all with the class axis kept."""

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


@functools.partial(jax.custom_jvp, nondiff_argnums=(2,))
def label_loss(z: Array, labels: Array, axis: int) -> LabelLoss:
    """Cross-entropy of integer labels `[..., 1, ...]` in [0, K), without an array of the size of the logits."""

    def exact(z: Array, labels: Array) -> LabelLoss:
        s = sm.shift(z, (axis,))
        log_sum = jnp.log1p(s.rest)
        return LabelLoss(log_sum + (s.top - pick(z, labels, axis)), s.top, log_sum)

    def quick(z: Array, labels: Array) -> tuple[LabelLoss, Array]:
        log_sum, sound = fast_logits.log_sum(z, (axis,))
        loss = log_sum - pick(z, labels, axis)
        return LabelLoss(loss, jnp.zeros_like(loss), log_sum), sound & fast_logits.worth(loss, 2.0 + jnp.abs(log_sum))

    return fast.by_platform(exact, quick, (), z, labels)


@functools.partial(label_loss.defjvp, symbolic_zeros=True)
def _label_loss_jvp(axis: int, primals: Sequence[Any], tangents: Sequence[Any]) -> tuple[LabelLoss, LabelLoss]:
    (z, labels), (dz, _) = primals, tangents
    parts = label_loss(z, labels, axis)
    zero = jnp.zeros_like(parts.loss)
    if is_symbolic_zero(dz):
        return parts, LabelLoss(zero, zero, zero)
    p = jnp.exp((z - parts.shift) - parts.log_sum)
    right = class_ids(z, axis) == labels
    slope = jnp.where(right, jnp.expm1(-parts.loss), p)
    dloss = jnp.sum(slope * dz, axis=axis, keepdims=True)
    dlog_sum = jnp.sum(p * dz, axis=axis, keepdims=True)
    return parts, LabelLoss(dloss, zero, dlog_sum)


@functools.partial(jax.custom_jvp, nondiff_argnums=(2,))
def target_loss(z: Array, targets: Array, axes: Axes) -> Array:
    """−Σ t·log softmax(z) for targets of any non-negative weights."""
    log_p = sm.log_softmax(z, axes)
    return jnp.sum(jnp.where((targets == 0) & (log_p == -jnp.inf), 0.0, -targets * log_p), axis=axes)


@functools.partial(target_loss.defjvp, symbolic_zeros=True)
def _target_loss_jvp(axes: Axes, primals: Sequence[Any], tangents: Sequence[Any]) -> tuple[Array, Array]:
    (z, targets), (dz, dt) = primals, tangents
    value = target_loss(z, targets, axes)
    log_p = sm.log_softmax(z, axes)
    tangent = jnp.zeros_like(value)
    if not is_symbolic_zero(dz):
        total = jnp.sum(targets, axis=axes, keepdims=True)
        # Σt·pₖ − tₖ, written Σt·(pₖ − 1) + (Σt − tₖ) for the class that holds most of the mass.
        slope = jnp.where(
            2.0 * targets > total,
            total * jnp.expm1(log_p) + (total - targets),
            total * sm.softmax(z, axes) - targets,
        )
        tangent += jnp.sum(slope * dz, axis=axes)
    if not is_symbolic_zero(dt):
        bound = -float(np.log(tiny(z.dtype)))
        surprise = jnp.where(log_p == -jnp.inf, bound, -log_p)
        tangent += jnp.sum(surprise * dt, axis=axes)
    return value, tangent


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
