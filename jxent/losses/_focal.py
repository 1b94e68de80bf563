"""The focal loss over classes, of a distribution or of one class id per row."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jxent._adapter import finish, masked
from jxent._checks import (
    Axis,
    IgnoreLabel,
    Labels,
    Logits,
    Mask,
    MeshAxis,
    NonNegative,
    Probabilities,
    Weights,
    parameter,
    participation,
    public,
    weights_of_classes,
)
from jxent._numerics import softmax as sm
from jxent._numerics.classification import focused
from jxent._numerics.compiler import any_over, sum_over
from jxent._numerics.logarithm import tiny
from jxent.losses._softmax import beside_targets, softmax_cross_entropy_with_integer_labels


@public
def softmax_focal_loss(
    logits: Logits,
    targets: Probabilities,
    *,
    gamma: NonNegative = 2.0,
    axis: Axis = -1,
    where: Mask | None = None,
    class_weights: Weights | None = None,
    axis_name: MeshAxis | None = None,
) -> Float[Array, "..."]:
    """Focal loss Σ w·t·(1 − p)^γ·(−log p) per row, p = softmax(z), in nats: easy classes count less.

    Args:
        targets: `[..., K]`, one-hot or soft labels; same rank, batch axes of size 1 broadcast.
        gamma: γ ≥ 0, a traced scalar; 0 is the cross-entropy.
        class_weights: w `[K]`, one weight for each class; of the shape of the axes for several.

    Returns:
        `[...]`, one loss per row, not averaged; `mean` averages.

    Edge cases: a target of 0 contributes 0, also at a logit of −inf; a target > 0 there gives +inf; a row in which
    nothing takes part gives 0. 1 − p keeps its digits for a class that dominates.

    Gradient: (Σc)·p − c with c = w·t·(1 − p)^γ·[1 + γ·p·(−log p)/(1 − p)], finite for −inf too.

    Example:
        >>> from jxent import losses
        >>> round(float(losses.softmax_focal_loss([2.0, 1.0, 0.0], [1.0, 0.0, 0.0])), 6)
        0.045678

    Reference: T.-Y. Lin et al., Focal loss for dense object detection (2017), eq. 4.
    """
    z, t, axes = beside_targets(logits, targets, axis, axis_name)
    mask = participation(where, z)
    z, part = masked(z, mask, axes)
    weights = weights_of_classes(class_weights, z, axes)
    t = t if mask is None else jnp.where(mask, t, 0.0)
    t = t if weights is None else weights * t
    surprise = -sm.log_softmax(z, axes)
    impossible = jnp.isposinf(surprise)
    bound = -float(np.log(tiny(z.dtype)))
    terms = t * focused(jnp.where(impossible, bound, surprise), parameter("gamma", gamma, z))
    # A constant, so that the slopes in the targets stay finite.
    infinite = jnp.where(jnp.squeeze(any_over(impossible & (t > 0.0), axes), axes), jnp.inf, 0.0)
    return finish(sum_over(terms, axes) + infinite, part, axes, keepdims=False, base=None)


@public
def softmax_focal_loss_with_integer_labels(
    logits: Logits,
    labels: Labels,
    *,
    gamma: NonNegative = 2.0,
    axis: Axis = -1,
    where: Mask | None = None,
    ignore_label: IgnoreLabel | None = None,
    axis_name: MeshAxis | None = None,
) -> Float[Array, "..."]:
    """Focal loss (1 − p)^γ·(−log p) per row, p = softmax(z)[label], in nats; no one-hot array is made.

    Args:
        labels: integer class ids `[...]`, the shape of `logits` without the class axis.
        gamma: γ ≥ 0, a traced scalar; 0 is the cross-entropy.
        axis: the axis of the classes, one int.
        ignore_label: a label, such as −100, whose rows give exactly 0 and gradient 0, whatever they hold.

    Returns:
        `[...]`, one loss per row, not averaged; `mean` averages. Weights of classes are w[labels] times it.

    Edge cases: as `softmax_cross_entropy_with_integer_labels`.

    Gradient: c·(p − onehot(label)) with c = (1 − p)^γ·[1 + γ·p·(−log p)/(1 − p)] of the label.

    Example:
        >>> from jxent import losses
        >>> round(float(losses.softmax_focal_loss_with_integer_labels([2.0, 1.0, 0.0], 0)), 6)
        0.045678

    Reference: T.-Y. Lin et al., Focal loss for dense object detection (2017), eq. 4.
    """
    loss = softmax_cross_entropy_with_integer_labels(
        logits, labels, axis=axis, where=where, ignore_label=ignore_label, axis_name=axis_name
    )
    return focused(loss, parameter("gamma", gamma, loss))
