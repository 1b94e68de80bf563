"""Softmax cross-entropy with a distribution per row, or with one class id per row, and its divergence form."""

import functools
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float

from jxent._adapter import along, finish, masked
from jxent._checks import (
    Axis,
    IgnoreLabel,
    Labels,
    Logits,
    Mask,
    MeshAxis,
    NonNegative,
    Numbers,
    Positive,
    Probabilities,
    UnitInterval,
    Weights,
    as_float,
    category_axes,
    class_labels,
    ignored_rows,
    match_rows,
    parameter,
    participation,
    public,
    rows_beside,
    scale_of,
    weights_of_classes,
)
from jxent._numerics.classification import SoftmaxLoss, class_ids, label_loss, of_labels, target_divergence, target_loss
from jxent._numerics.compiler import any_over, barrier_copy, sum_over
from jxent._numerics.softmax import scaled


def beside_targets(
    logits: Numbers, targets: Numbers, axis: Axis, axis_name: str | None
) -> tuple[Array, Array, tuple[int, ...]]:
    """Logits and a distribution per row, of one shape and dtype, and the axes of the classes."""
    z, t = as_float("logits", logits), jnp.asarray(targets)
    if jnp.issubdtype(t.dtype, jnp.integer) and t.ndim == z.ndim - 1:
        raise TypeError(
            f"`targets` has dtype {t.dtype} and shape {t.shape} beside `logits` {z.shape}: class ids go to "
            f"softmax_cross_entropy_with_integer_labels; expected a distribution per row, {z.shape}"
        )
    z, t, axes = match_rows(("logits", "targets"), z, as_float("targets", t), axis)
    return z, t, along(axes, axis_name)


def smoothed(targets: Array, possible: Array, smoothing: Array, axes: tuple[int, ...]) -> Array:
    """(1 − ε)·t + ε·Σt/K over the K classes that are possible."""
    count = sum_over(possible.astype(targets.dtype), axes, keepdims=True)
    share = sum_over(targets, axes, keepdims=True) / jnp.maximum(count, 1.0)
    return (1.0 - smoothing) * targets + jnp.where(possible, smoothing * share, 0.0)


@public
def softmax_cross_entropy(
    logits: Logits,
    targets: Probabilities,
    *,
    axis: Axis = -1,
    where: Mask | None = None,
    label_smoothing: UnitInterval | None = None,
    class_weights: Weights | None = None,
    z_loss: NonNegative | None = None,
    temperature: Positive = 1.0,
    soft_cap: Positive | None = None,
    axis_name: MeshAxis | None = None,
) -> Float[Array, "..."]:
    """Softmax cross-entropy −Σ w·t·log softmax(z) per row, in nats.

    Args:
        targets: `[..., K]`, one-hot or soft labels; same rank, batch axes of size 1 broadcast. They are
            not normalised: weights that do not sum to 1 scale the loss.
        axis: the axis of the classes, or a tuple of axes.
        label_smoothing: ε in [0, 1], a traced scalar: t becomes (1 − ε)·t + ε·Σt/K, with K the number of classes
            that take part and are not at −inf; the others get nothing.
        class_weights: w `[K]`, one weight for each class, applied after smoothing; of the shape of the axes for
            several. For the mean that divides by the weights see `softmax_cross_entropy_with_integer_labels`.
        z_loss: ζ ≥ 0, a traced scalar: ζ·logsumexp(z)² is added; class weights do not weigh it.

    Returns:
        `[...]`, one loss per row, not averaged; `mean` averages.

    Edge cases: a target of 0 contributes 0, also at a logit of −inf; a target > 0 there gives +inf; a
    row in which nothing takes part gives 0. The loss of a correct class with a margin of 30 is 9.4e-14.

    Gradient: (Σc)·softmax(z) − c in the logits with c = w·t, accurate in the tail, finite for −inf too, plus
    2ζ·logsumexp(z)·softmax(z); −w·log softmax in the targets.

    Example:
        >>> from jxent import losses
        >>> round(float(losses.softmax_cross_entropy([2.0, 1.0, 0.0], [1.0, 0.0, 0.0])), 6)
        0.407606

    Reference: C. M. Bishop, Pattern Recognition and Machine Learning (2006), eq. 4.108; label smoothing: C. Szegedy
    et al., Rethinking the Inception architecture (2016), section 7.
    """
    z, t, axes = beside_targets(logits, targets, axis, axis_name)
    mask = participation(where, z)
    z, part = masked(z, mask, axes)
    z = scaled(z, scale_of(temperature, soft_cap, z))
    if mask is not None:
        t = jnp.where(mask, t, 0.0)
    if label_smoothing is not None:
        t = smoothed(t, z != -jnp.inf, parameter("label_smoothing", label_smoothing, z), axes)
    weights = weights_of_classes(class_weights, z, axes)
    parts = target_loss(z, t if weights is None else weights * t, axes)
    loss = parts.loss
    if z_loss is not None:
        level = parts.shift + parts.log_sum
        loss = loss + parameter("z_loss", z_loss, z) * level * level
    return finish(jnp.squeeze(loss, axes), part, axes, keepdims=False, base=None)


@public
def softmax_cross_entropy_with_integer_labels(
    logits: Logits,
    labels: Labels,
    *,
    axis: Axis = -1,
    where: Mask | None = None,
    ignore_label: IgnoreLabel | None = None,
    label_smoothing: UnitInterval | None = None,
    class_weights: Weights | None = None,
    z_loss: NonNegative | None = None,
    temperature: Positive = 1.0,
    soft_cap: Positive | None = None,
    axis_name: MeshAxis | None = None,
) -> Float[Array, "..."]:
    """Softmax cross-entropy −w·log softmax(z)[label] per row, in nats; no one-hot array is made.

    Args:
        labels: integer class ids `[...]`, the shape of `logits` without the class axis.
        axis: the axis of the classes, one int.
        ignore_label: a label, such as −100, whose rows give exactly 0 and gradient 0, whatever they hold.
        label_smoothing: ε in [0, 1], as in `softmax_cross_entropy`.
        class_weights: w `[K]`, as in `softmax_cross_entropy`. `mean(loss, weights=w[labels])` of the loss without
            this option is Σ w·loss/Σ w, the weighted mean of torch; with it, that is jnp.sum(loss)/jnp.sum(w[labels]).
        z_loss: ζ ≥ 0, as in `softmax_cross_entropy`.

    Returns:
        `[...]`, one loss per row, not averaged; `mean` averages.

    Edge cases: a label outside [0, K) gives NaN, in the gradient of its row too: it never wraps; a label
    whose class is masked, or whose logit is −inf, gives +inf, unless its weight is 0; a row in which nothing takes
    part gives 0.

    Gradient: softmax(z) − onehot(label), accurate in the tail: the entry of the label is −Σ of the
    others, not p − 1; finite for −inf too. With the options that of `softmax_cross_entropy`.

    Example:
        >>> from jxent import losses
        >>> round(float(losses.softmax_cross_entropy_with_integer_labels([2.0, 1.0, 0.0], 0)), 6)
        0.407606

    Reference: C. M. Bishop, Pattern Recognition and Machine Learning (2006), eq. 4.108.
    """
    z = as_float("logits", logits)
    if not isinstance(axis, (int, np.integer)):
        raise TypeError(f"axis={axis!r} must be one int: a class id names a place along one axis")
    (ax,) = category_axes("logits", z, axis)
    ids = class_labels(labels, rows_beside(z, ax), f"`logits` {z.shape}", soft="use softmax_cross_entropy")
    if axis_name is not None:
        ignored = ignored_rows(labels, ignore_label)
        options = {"where": where, "label_smoothing": label_smoothing, "class_weights": class_weights, "z_loss": z_loss}
        options |= {"soft_cap": soft_cap} | ({} if isinstance(temperature, float) else {"temperature": temperature})
        return _of_sharded_classes(z, ids, ax, ignored, axis_name, options)
    mask = participation(where, z)
    z, part = masked(z, mask, (ax,))
    ignored = ignored_rows(labels, ignore_label)
    ids = jnp.expand_dims(ids, ax)
    in_range = (ids >= 0) & (ids < z.shape[ax])
    if ignored is not None:
        ignored = jnp.expand_dims(ignored, ax)
        z = jnp.where(ignored, 0.0, z)
    z = scaled(z, scale_of(temperature, soft_cap, z))
    ids = jnp.where(in_range, ids, 0)
    parts = label_loss(z, ids, ax)
    weights = weights_of_classes(class_weights, z, (ax,))
    loss = _weighted(parts, z, ids, ax, label_smoothing, weights)
    if z_loss is not None:
        level = parts.shift + parts.log_sum
        loss = loss + parameter("z_loss", z_loss, z) * level * level
    # A factor, since `where` would have gradient 0. It is 1 on rows that are left out, where 0·NaN would be NaN.
    left_out = [rows for rows in (None if part is None else ~part, ignored) if rows is not None]
    no_nan = functools.reduce(jnp.logical_or, left_out, in_range)
    loss = loss * jnp.where(no_nan, 1.0, jnp.nan).astype(loss.dtype)
    for rows in left_out:
        loss = jnp.where(rows, 0.0, loss)
    return jnp.squeeze(loss, ax)


def _weighted(
    parts: SoftmaxLoss, z: Array, ids: Array, axis: int, label_smoothing: Numbers | None, weights: Array | None
) -> Array:
    """(1 − ε)·w_y·(−log p_y) + ε/K·Σ w·(−log p) over the classes that are possible."""
    factor = None if weights is None else of_labels(weights, z, ids, axis)
    if label_smoothing is not None:
        smoothing = parameter("label_smoothing", label_smoothing, z)
        factor = (1.0 - smoothing) * (jnp.ones_like(parts.loss) if factor is None else factor)
    if factor is None:
        return parts.loss
    # A loss of weight 0 contributes 0, even an infinite one.
    loss = factor * jnp.where((factor == 0.0) & jnp.isposinf(parts.loss), 0.0, parts.loss)
    return loss if label_smoothing is None else loss + _smoothing_share(parts, z, axis, label_smoothing, weights)


def _smoothing_share(parts: SoftmaxLoss, z: Array, axis: int, label_smoothing: Numbers, weights: Array | None) -> Array:
    """ε/K·Σ w·(−log p) over the K classes that are possible."""
    # XLA:CPU writes masked terms that two sums share to memory, as an array of the size of the logits. Delete when
    # `barrier_copy` goes.
    (z,) = barrier_copy(parts.log_sum, z)
    possible = z != -jnp.inf
    surprise = (parts.shift - jnp.where(possible, z, 0.0)) + parts.log_sum
    if weights is not None:
        surprise = weights * surprise
    spread = jnp.sum(jnp.where(possible, surprise, 0.0), axis=axis, keepdims=True)
    count = jnp.sum(possible.astype(z.dtype), axis=axis, keepdims=True)
    return parameter("label_smoothing", label_smoothing, z) * spread / jnp.maximum(count, 1.0)


@public
def kl_divergence(
    logits: Logits,
    targets: Probabilities,
    *,
    axis: Axis = -1,
    where: Mask | None = None,
    temperature: Positive = 1.0,
    soft_cap: Positive | None = None,
    axis_name: MeshAxis | None = None,
) -> Float[Array, "..."]:
    """KL divergence KL(t‖softmax(z)) of a prediction from the targets per row, Σ t·log(t/q) − t + q, in nats.

    Args:
        logits: `[..., K]`, of any shift; q is their softmax.
        targets: `[..., K]`, a distribution per row; same rank, batch axes of size 1 broadcast.
        axis: the axis of the classes, or a tuple of axes.

    Returns:
        `[...]`, one loss per row: the cross-entropy less the entropy of the targets, and never below 0. For targets
        close to q the error is that of the rounding of q, 4·eps·√loss.

    Edge cases: a target of 0 contributes q; a target > 0 at a logit of −inf gives +inf; a row in which nothing takes
    part gives 0.

    Gradient: (Σt)·softmax(z) − t in the logits, that of `softmax_cross_entropy`; log(t/q) in the targets.

    Example:
        >>> from jxent import losses
        >>> round(float(losses.kl_divergence([0.0, 0.0], [0.9, 0.1])), 6)
        0.368064

    Reference: T. M. Cover and J. A. Thomas, Elements of Information Theory, 2nd ed. (2006), section 2.3.
    """
    z, t, axes = beside_targets(logits, targets, axis, axis_name)
    mask = participation(where, z)
    z, part = masked(z, mask, axes)
    z = scaled(z, scale_of(temperature, soft_cap, z))
    if mask is not None:
        t = jnp.where(mask, t, 0.0)
    return finish(target_divergence(z, t, axes), part, axes, keepdims=False, base=None)


def _of_sharded_classes(
    z: Array, ids: Array, axis: int, ignored: Array | None, axis_name: str, options: dict[str, Any]
) -> Array:
    """The loss of ids that count the classes of all devices, as that of the one-hot targets of this device."""
    count, first = z.shape[axis], lax.axis_index(axis_name) * z.shape[axis]
    in_range = (ids >= 0) & (ids < count * lax.axis_size(axis_name))
    one_hot = (class_ids(z, axis) == jnp.expand_dims(ids - first, axis)).astype(z.dtype)
    z = z if ignored is None else jnp.where(jnp.expand_dims(ignored, axis), 0.0, z)
    loss = softmax_cross_entropy(z, one_hot, axis=axis, axis_name=axis_name, **options)
    mask = participation(options["where"], z)
    if mask is not None:
        in_range |= ~jnp.squeeze(any_over(mask, along((axis,), axis_name)), axis)
    no_nan = in_range if ignored is None else in_range | ignored
    loss = loss * jnp.where(no_nan, 1.0, jnp.nan).astype(loss.dtype)
    return loss if ignored is None else jnp.where(ignored, 0.0, loss)
