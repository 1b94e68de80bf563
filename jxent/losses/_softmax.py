"""Softmax cross-entropy with a distribution per row, or with one class id per row."""

import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from jxent._checks import Axis, as_float, category_axes, class_labels, ignored_rows, match_rows, participation, public
from jxent._numerics.classification import label_loss, target_loss
from jxent.logits import _rows


@public()
def softmax_cross_entropy(
    logits: ArrayLike,
    targets: ArrayLike,
    *,
    axis: Axis = -1,
    where: ArrayLike | None = None,
) -> Float[Array, "..."]:
    """Softmax cross-entropy −Σ t·log softmax(z) per row, in nats.

    Args:
        logits: `[..., K]`, of any shift.
        targets: `[..., K]`, one-hot or soft labels; same rank, batch axes of size 1 broadcast. They are
            taken as they are: weights that do not sum to 1 scale the loss.
        axis: the axis of the classes, or a tuple of axes.
        where: boolean mask of the classes that take part; the others may hold anything.

    Returns:
        `[...]`, one loss per row, not averaged; `mean` averages.

    Edge cases: a target of 0 contributes 0, also at a logit of −inf; a target > 0 there gives +inf; a
    row in which nothing takes part gives 0. The loss of a correct class with a margin of 30 is 9.4e-14.

    Gradient: (Σt)·softmax(z) − t in the logits, accurate in the tail, finite for −inf too; −log softmax
    in the targets.

    Example:
        >>> from jxent import losses
        >>> round(float(losses.softmax_cross_entropy([2.0, 1.0, 0.0], [1.0, 0.0, 0.0])), 6)
        0.407606

    Reference: C. M. Bishop, Pattern Recognition and Machine Learning (2006), eq. 4.108.
    """
    z, t, axes = match_rows(("logits", "targets"), as_float("logits", logits), as_float("targets", targets), axis)
    mask = participation(where, z)
    z, some = _rows.masked(z, mask, axes)
    if mask is not None:
        t = jnp.where(mask, t, 0.0)
    return _rows.finish(target_loss(z, t, axes), some, axes, keepdims=False, base=None)


@public()
def softmax_cross_entropy_with_integer_labels(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    axis: Axis = -1,
    where: ArrayLike | None = None,
    ignore_label: int | None = None,
) -> Float[Array, "..."]:
    """Softmax cross-entropy −log softmax(z)[label] per row, in nats; no one-hot array is made.

    Args:
        logits: `[..., K]`, of any shift.
        labels: integer class ids `[...]`, the shape of `logits` without the class axis.
        axis: the axis of the classes, one int.
        where: boolean mask of the classes that take part; the others count as −inf.
        ignore_label: a label, such as −100, whose rows give exactly 0 and gradient 0, whatever they hold.

    Returns:
        `[...]`, one loss per row, not averaged; `mean` averages.

    Edge cases: a label outside [0, K) gives NaN, in the gradient of its row too: it never wraps; a label
    whose class is masked, or whose logit is −inf, gives +inf; a row in which nothing takes part gives 0.

    Gradient: softmax(z) − onehot(label), accurate in the tail: the entry of the label is −Σ of the
    others, not p − 1; finite for −inf too.

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
    ids = class_labels(labels, z, ax)
    mask = participation(where, z)
    z, some = _rows.masked(z, mask, (ax,))
    ignored = ignored_rows(labels, ignore_label)
    ids = jnp.expand_dims(ids, ax)
    in_range = (ids >= 0) & (ids < z.shape[ax])
    if ignored is not None:
        ignored = jnp.expand_dims(ignored, ax)
        z = jnp.where(ignored, 0.0, z)
    loss = label_loss(z, jnp.where(in_range, ids, 0), ax).loss
    # A factor, since a choice would have gradient 0; it is 1 on ignored rows, where 0·NaN would be NaN.
    counted = in_range if ignored is None else in_range | ignored
    loss = loss * jnp.where(counted, 1.0, jnp.nan).astype(loss.dtype)
    for takes_part in (some, None if ignored is None else ~ignored):
        if takes_part is not None:
            loss = jnp.where(takes_part, loss, 0.0)
    return jnp.squeeze(loss, ax)
