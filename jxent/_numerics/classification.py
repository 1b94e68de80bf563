"""Softmax losses of a row of logits, with gradients that keep the tail of a confident prediction.

The gradient in the class of the label is pₖ − 1, which rounds to 0 long before the loss does. It is
computed as −Σ of the other probabilities, which keeps full accuracy.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array

from jxent._numerics import softmax as sm
from jxent._numerics.compiler import (
    COMPACT,
    are_few,
    by_portions,
    category_sums,
    formed_once,
    is_sharded,
    materialized,
    no_fuse,
    row_sum,
    sum_over,
    top_of_row,
)
from jxent._numerics.kernels import KL_DIVERGENCE
from jxent._numerics.logarithm import at_least_tiny, log1p, safe_log, tiny
from jxent._numerics.pair import Features, Pair, with_support
from jxent._numerics.primitives import is_symbolic_zero

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


def of_labels(weights: Array, z: Array, labels: Array, axis: int) -> Array:
    """The weight of each label; the weights have the rank of the logits and size 1 on all axes but the classes."""
    if is_sharded(z) or is_sharded(labels):
        return jnp.sum(jnp.where(class_ids(z, axis) == labels, weights, 0.0), axis=axis, keepdims=True)
    return jnp.take(weights.ravel(), labels)


def class_ids(z: Array, axis: int) -> Array:
    """0, 1, … along the class axis, with the shape and the sharding of the logits."""
    sharding = jax.typeof(z).sharding if is_sharded(z) else None
    return lax.broadcasted_iota(jnp.int32, z.shape, axis, out_sharding=sharding)


class LabelSums(NamedTuple):
    """The sums of a row that give the loss of its label; the class axis is kept."""

    row: sm.RowSums
    other_classes: Array  # Σ exp(z − top) over all classes but the label
    loss: Array


def _label_sums(z: Array, labels: Array, axis: int) -> LabelSums:
    """Sums without the label: log(1 + others/e_y) then keeps the tail of a label with nearly all the mass."""
    top = top_of_row(z, (axis,))
    if are_few(z, (axis,)):
        summands = (functools.partial(_exp_of_other_class, sm.exponentials), _logit_of_label)
        other_classes, label = category_sums((axis,), summands, z, top, labels, class_ids(z, axis))
        other_classes = formed_once(other_classes)
    else:
        other_classes = by_portions(_sum_of_other_classes, (axis,), z, top, labels, least=COMPACT)
        label = pick(z, labels, axis)
    rest = other_classes + jnp.expm1(label - top)
    return LabelSums(sm.RowSums(top, rest), other_classes, jnp.log1p(rest) - (label - top))


def _sum_of_other_classes(axes: Axes, z: Array, top: Array, labels: Array) -> Array:
    exps = _exp_of_other_class(sm.exp_of_loop, z, top, labels, class_ids(z, axes[0]))
    return no_fuse(row_sum(no_fuse(exps), axes, keepdims=True))


def _exp_of_other_class(exp: Callable[..., Array], z: Array, top: Array, labels: Array, ids: Array) -> Array:
    return jnp.where(ids == labels, 0.0, exp(z, top))


def _logit_of_label(z: Array, _: Array, labels: Array, ids: Array) -> Array:
    return jnp.where(ids == labels, z, 0.0)


def label_loss(z: Array, labels: Array, axis: int) -> SoftmaxLoss:
    """Cross-entropy of integer labels `[..., 1, ...]` in [0, K), without an array of the size of the logits."""
    return _label_loss(z, labels, axis)[0]


@functools.partial(jax.custom_jvp, nondiff_argnums=(2,))
def _label_loss(z: Array, labels: Array, axis: int) -> tuple[SoftmaxLoss, LabelSums]:
    """The loss and its sums. The sums count as constants, since the slope computed from them has its own rule."""
    sums = _label_sums(z, labels, axis)
    return SoftmaxLoss(sums.loss, sums.row.top, jnp.log(sums.row.total)), sums


@functools.partial(_label_loss.defjvp, symbolic_zeros=True)
def _label_loss_jvp(axis: int, primals: Sequence[Any], tangents: Sequence[Any]) -> tuple[Any, Any]:
    (z, labels), (dz, _) = primals, tangents
    parts, sums = _label_loss(z, labels, axis)
    still = jax.tree.map(jnp.zeros_like, sums)
    zero = jnp.zeros_like(parts.loss)
    if is_symbolic_zero(dz):
        return (parts, sums), (SoftmaxLoss(zero, zero, zero), still)
    slope = _less_label(z, labels, sums.row, sums.other_classes, axis)
    # `no_fuse`, since a loss and its z-loss are two sums over one batch: see `softmax.centred`; delete the two
    # together.
    dloss = no_fuse(jnp.sum(slope * dz, axis=axis, keepdims=True))
    dlog_sum = no_fuse(jnp.sum(sm.softmax_of(z, sums.row, (axis,)) * dz, axis=axis, keepdims=True))
    return (parts, sums), (SoftmaxLoss(dloss, zero, dlog_sum), still)


@functools.partial(jax.custom_jvp, nondiff_argnums=(4,))
def _less_label(z: Array, labels: Array, row: sm.RowSums, other_classes: Array, axis: int) -> Array:
    """Softmax(z) − onehot(label); the entry of the label is −Σ of the other entries."""
    over = 1.0 / row.total
    return jnp.where(class_ids(z, axis) == labels, -other_classes * over, sm.exp_from(row.top, z, precise=True) * over)


@_less_label.defjvp
def _less_label_jvp(axis: int, primals: Sequence[Any], tangents: Sequence[Any]) -> tuple[Array, Array]:
    (z, labels, row, other_classes), (dz, *_) = primals, tangents
    p = sm.softmax_of(z, row, (axis,))
    return _less_label(z, labels, row, other_classes, axis), p * sm.centred(p, dz, (axis,))


def target_loss(z: Array, targets: Array, axes: Axes) -> SoftmaxLoss:
    """−Σ t·log softmax(z) for targets of any weights, without an array of the size of the logits."""
    return _target_loss(z, targets, axes)[0]


@functools.partial(jax.custom_jvp, nondiff_argnums=(2,))
def _target_loss(z: Array, targets: Array, axes: Axes) -> tuple[SoftmaxLoss, sm.RowSums]:
    """The loss and its sums as constants, as in `_label_loss`."""
    row = sm.row_sums(z, axes)
    log_sum = sm.log_total(row)
    (loss,) = category_sums(axes, (_surprise,), z, targets, *materialized(row.top, log_sum))
    return SoftmaxLoss(loss, row.top, log_sum), row


def _surprise(z: Array, targets: Array, top: Array, log_sum: Array) -> Array:
    """t·(log Σ e^z − z): 0 for a target of 0; infinite for any other target at a logit of −∞."""
    # The vector kernels of a CPU take no `where`: z − top has the lower bound −∞ unless the target is 0. The constants
    # must differ from those of other summands, see `chained_sums`. Delete when the grid is as fast with `where`.
    weight = jnp.minimum(jnp.abs(targets) * (1.9 / tiny(z.dtype)), 3.3)
    bound = float(jnp.finfo(z.dtype).min) * (0.7 + weight)
    return targets * (log_sum - jnp.maximum(z - top, bound))


@functools.partial(_target_loss.defjvp, symbolic_zeros=True)
def _target_loss_jvp(axes: Axes, primals: Sequence[Any], tangents: Sequence[Any]) -> tuple[Any, Any]:
    (z, targets), (dz, dt) = primals, tangents
    parts, row = _target_loss(z, targets, axes)
    tangent = zero = jnp.zeros_like(parts.loss)
    dlog_sum = zero
    if not is_symbolic_zero(dz):
        mass = lax.stop_gradient(sum_over(targets, axes, keepdims=True))
        slope = _less_targets(z, targets, row, mass, axes)
        tangent = tangent + no_fuse(sum_over(slope * dz, axes, keepdims=True))
        dlog_sum = no_fuse(sum_over(sm.softmax_of(z, row, axes) * dz, axes, keepdims=True))
    if not is_symbolic_zero(dt):
        bound = -float(np.log(tiny(z.dtype)))
        log_p = sm.log_softmax_of(z, row, axes)
        tangent = tangent + no_fuse(sum_over(jnp.where(log_p == -jnp.inf, bound, -log_p) * dt, axes, keepdims=True))
    return (parts, row), (SoftmaxLoss(tangent, zero, dlog_sum), jax.tree.map(jnp.zeros_like, row))


@functools.partial(jax.custom_jvp, nondiff_argnums=(4,))
def _less_targets(z: Array, targets: Array, row: sm.RowSums, mass: Array, axes: Axes) -> Array:
    """Σt·p − t; for a class with p > ½, (Σt − t) − Σt·(1 − p) with 1 − p as the sum of the others."""
    p = sm.softmax_of(z, row, axes)
    tail = mass * (row.rest / row.total)
    return jnp.where(p > 0.5, (mass - targets) - tail, mass * p - targets)


@_less_targets.defjvp
def _less_targets_jvp(axes: Axes, primals: Sequence[Any], tangents: Sequence[Any]) -> tuple[Array, Array]:
    (z, targets, row, _), (dz, dt, _, _) = primals, tangents
    p = sm.softmax_of(z, row, axes)
    mass, move = (sum_over(x, axes, keepdims=True) for x in (targets, dt))
    return _less_targets(z, targets, row, mass, axes), mass * (p * sm.centred(p, dz, axes)) + (p * move - dt)


@functools.partial(jax.custom_jvp, nondiff_argnums=(2,))
def target_divergence(z: Array, targets: Array, axes: Axes) -> Array:
    """Σ t·log(t/q) − t + q for q = softmax(z)."""
    return sum_over(KL_DIVERGENCE.term(_target_pair(z, targets, axes)), axes)


def _target_pair(z: Array, targets: Array, axes: Axes) -> Pair:
    """The targets and softmax(z) as the input of a kernel."""
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
        # The loss differs by the entropy of the targets, which is constant in the logits.
        tangent += jnp.squeeze(jax.jvp(lambda z: target_loss(z, targets, axes).loss, (z,), (dz,))[1], axes)
    if not is_symbolic_zero(dt):
        tangent += sum_over(-_target_pair(z, targets, axes).delta * dt, axes)
    return value, tangent


@jax.custom_jvp
def _without_infinity(z: Array) -> Array:
    """A logit, with ±∞ replaced by ∓log of the smallest normal number; slope 1 everywhere."""
    bound = -float(np.log(tiny(z.dtype)))
    return jnp.where(jnp.isinf(z), jnp.sign(z) * bound, z)


@_without_infinity.defjvp
def _without_infinity_jvp(primals: Sequence[Array], tangents: Sequence[Array]) -> tuple[Array, Array]:
    return _without_infinity(primals[0]), tangents[0]


def focal_loss(z: Array, targets: Array, gamma: Array) -> Array:
    """(1 − p_t)^γ·(−log p_t) with p_t = tσ(z) + (1 − t)σ(−z), elementwise; −log p_t weighted for soft targets."""
    value = _focal_loss(_without_infinity(z), targets, gamma)
    # The value at an infinite logit is added as a constant: the slope of its product would be ∞·0.
    return value + lax.stop_gradient(_focal_loss(z, targets, gamma) - value)


@jax.custom_jvp
def _focal_loss(z: Array, targets: Array, gamma: Array) -> Array:
    return _miss_power(z, targets, gamma) * sigmoid_loss(z, targets)


def _miss_power(z: Array, targets: Array, gamma: Array) -> Array:
    """(1 − p_t)^γ as the power of a sum of two products, since exp(γ·log) would round a large exponent."""
    power = jnp.power(sm.sigmoid(z) * (1.0 - targets) + sm.sigmoid(-z) * targets, gamma)
    return jnp.where(jnp.isposinf(gamma) & (_log_miss(z, targets) < 0.0), 0.0, power)


@_focal_loss.defjvp
def _focal_loss_jvp(primals: Sequence[Array], tangents: Sequence[Array]) -> tuple[Array, Array]:
    (z, targets, gamma), (dz, dt, dgamma) = primals, tangents
    loss, miss = sigmoid_loss(z, targets), _focal_weight(z, targets, gamma)
    in_z, in_targets = _sigmoid_slopes(z, targets)
    log_in_z, log_in_targets = _log_miss_slopes(z, targets)
    # γ·slope comes first: the slope is 0 where the loss is out of range. γ = ∞ counts as 0 here: the weight is 0 there.
    finite = jnp.where(jnp.isposinf(gamma), 0.0, gamma)
    slope_z = in_z + (finite * log_in_z) * loss
    slope_targets = in_targets + (finite * log_in_targets) * loss
    slope_gamma = jnp.where(miss == 0.0, 0.0, _log_miss(z, targets)) * loss
    return _focal_loss(z, targets, gamma), miss * (slope_z * dz + slope_targets * dt + slope_gamma * dgamma)


@jax.custom_jvp
def _focal_weight(z: Array, targets: Array, gamma: Array) -> Array:
    return _miss_power(z, targets, gamma)


@_focal_weight.defjvp
def _focal_weight_jvp(primals: Sequence[Array], tangents: Sequence[Array]) -> tuple[Array, Array]:
    (z, targets, gamma), (dz, dt, dgamma) = primals, tangents
    weight, log_miss = _focal_weight(z, targets, gamma), _log_miss(z, targets)
    in_z, in_targets = _log_miss_slopes(z, targets)
    finite = jnp.where(jnp.isposinf(gamma), 0.0, gamma)
    return weight, weight * (finite * (in_z * dz + in_targets * dt) + jnp.where(weight == 0.0, 0.0, log_miss) * dgamma)


@jax.custom_jvp
def _log_miss(z: Array, targets: Array) -> Array:
    """log(1 − p_t) = log[(1 − t)·σ(z) + t·σ(−z)], as a sum of two exponentials."""
    return jnp.logaddexp(safe_log(1.0 - targets) - sm.softplus(-z), safe_log(targets) - sm.softplus(z))


@_log_miss.defjvp
def _log_miss_jvp(primals: Sequence[Array], tangents: Sequence[Array]) -> tuple[Array, Array]:
    in_z, in_targets = _log_miss_slopes(*primals)
    return _log_miss(*primals), in_z * tangents[0] + in_targets * tangents[1]


def _log_miss_slopes(z: Array, targets: Array) -> tuple[Array, Array]:
    log_miss = _log_miss(z, targets)
    in_z = (1.0 - 2.0 * targets) * jnp.exp(-(sm.softplus(z) + sm.softplus(-z) + log_miss))
    # 1/(1 − p_t), bounded so that its square is in range too.
    most = -0.49 * float(np.log(tiny(z.dtype)))
    return in_z, (sm.sigmoid(-z) - sm.sigmoid(z)) * jnp.exp(jnp.minimum(-log_miss, most))


@jax.custom_jvp
def sigmoid_loss(z: Array, targets: Array) -> Array:
    """−t·log σ(z) − (1 − t)·log σ(−z), elementwise."""
    yes, no = targets, 1.0 - targets
    return jnp.where(yes == 0, 0.0, yes * sm.softplus(-z)) + jnp.where(no == 0, 0.0, no * sm.softplus(z))


@sigmoid_loss.defjvp
def _sigmoid_loss_jvp(primals: Sequence[Array], tangents: Sequence[Array]) -> tuple[Array, Array]:
    in_z, in_targets = _sigmoid_slopes(*primals)
    return sigmoid_loss(*primals), in_z * tangents[0] + in_targets * tangents[1]


def _sigmoid_slopes(z: Array, targets: Array) -> tuple[Array, Array]:
    bound = -float(np.log(tiny(z.dtype)))
    finite = jnp.where(z == -jnp.inf, -bound, jnp.where(z == jnp.inf, bound, z))
    return (1.0 - targets) * sm.sigmoid(z) - targets * sm.sigmoid(-z), -finite


@jax.custom_jvp
def focused(surprise: Array, gamma: Array) -> Array:
    """(1 − e^−s)^γ·s, the surprise s = −log p of a class weighted by (1 − p)^γ; at γ = ∞ it is 0 unless p = 0."""
    return _missed(surprise) ** _finite(gamma) * surprise * _of_limit(surprise, gamma)


def _missed(surprise: Array) -> Array:
    """1 − p with the digits of its tail, raised to the smallest normal number."""
    return at_least_tiny(-jnp.expm1(-surprise))


def _finite(gamma: Array) -> Array:
    return jnp.where(jnp.isposinf(gamma), 0.0, gamma)


def _of_limit(surprise: Array, gamma: Array) -> Array:
    return jnp.where(jnp.isposinf(gamma) & (jnp.exp(-surprise) > 0.0), 0.0, 1.0)


@focused.defjvp
def _focused_jvp(primals: Sequence[Array], tangents: Sequence[Array]) -> tuple[Array, Array]:
    (s, gamma), (ds, dgamma) = primals, tangents
    power = _missed(s) ** _finite(gamma) * _of_limit(s, gamma)
    # s·e^−s/(1 − e^−s), which is 1 at s = 0 and 0 at s = ∞.
    inside = jnp.where(jnp.isposinf(s), 0.0, s)
    share = jnp.where(jnp.isposinf(s), 0.0, inside * jnp.exp(-inside) / _missed(inside))
    share = jnp.where(s == 0.0, 1.0, share)
    in_gamma = jnp.where(jnp.isposinf(s), 0.0, power * jnp.log(_missed(s)) * inside)
    return focused(s, gamma), power * (1.0 + _finite(gamma) * share) * ds + in_gamma * dgamma


@jax.custom_jvp
def pseudo_huber(error: Array, delta: Array) -> Array:
    """δ²(√(1 + (e/δ)²) − 1) as e²/(1 + √(1 + (e/δ)²)): no cancellation, and no overflow before that of the loss."""
    value = error * (error / (1.0 + jnp.hypot(1.0, error / delta)))
    return jnp.where(jnp.isinf(error), jnp.inf, value)


@pseudo_huber.defjvp
def _pseudo_huber_jvp(primals: Sequence[Array], tangents: Sequence[Array]) -> tuple[Array, Array]:
    (error, delta), (de, ddelta) = primals, tangents
    far = jnp.isinf(error)
    inside = jnp.where(far, 0.0, error)
    t = inside / delta
    root = jnp.hypot(1.0, t)
    share = t / (1.0 + root)
    in_error = jnp.where(far, jnp.sign(error) * delta, inside / root)
    in_delta = jnp.where(far, jnp.inf, inside * share * share * (t / root))
    return pseudo_huber(error, delta), in_error * de + in_delta * ddelta
