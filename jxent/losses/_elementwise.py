"""Losses of one prediction against one target each: the shape of the inputs is kept."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from jxent._checks import (
    LogOdds,
    Mask,
    NonNegative,
    Numbers,
    Positive,
    Probability,
    Real,
    UnitInterval,
    elementwise,
    parameter,
    participation,
    public,
)
from jxent._numerics import classification


def _operands(
    name: str, predictions: Numbers, targets: Numbers, where: Numbers | None
) -> tuple[Array, Array, Array | None]:
    first, second = elementwise(**{name: predictions, "targets": targets})
    mask = participation(where, first)
    if mask is not None:
        first, second = jnp.where(mask, first, 0.0), jnp.where(mask, second, 0.0)
    return first, second, mask


def _keep(loss: Array, mask: Array | None) -> Array:
    return loss if mask is None else jnp.where(mask, loss, 0.0)


@public
def sigmoid_binary_cross_entropy(
    logits: LogOdds,
    targets: Probability,
    *,
    label_smoothing: UnitInterval | None = None,
    positive_weight: NonNegative | None = None,
    where: Mask | None = None,
) -> Float[Array, "..."]:
    """Binary cross-entropy −[w·t·log σ(z) + (1 − t)·log(1 − σ(z))] of a logit, elementwise, in nats.

    Args:
        logits: `[...]`, log-odds of the outcome.
        targets: `[...]` in [0, 1]. A scalar may stand beside any array; otherwise the ranks match and
            axes of size 1 broadcast.
        label_smoothing: ε in [0, 1], a traced scalar: t becomes (1 − ε)·t + ε/2.
        positive_weight: w ≥ 0, a traced scalar, applied after smoothing; None is 1. For rare outcomes, the number of
            negative ones over that of positive ones.
        where: boolean mask of the elements that take part; the others give 0 and gradient 0.

    Returns:
        The broadcast shape of the operands.

    Edge cases: a logit of ±inf gives 0 for the target it predicts and +inf for any other.

    Gradient: (1 − t)·σ(z) − w·t·σ(−z) in the logits, accurate in both tails; −z in the targets for w = 1.

    Example:
        >>> from jxent import losses
        >>> round(float(losses.sigmoid_binary_cross_entropy(2.0, 1.0)), 6)
        0.126928

    Reference: C. M. Bishop, Pattern Recognition and Machine Learning (2006), eq. 4.90.
    """
    z, t, mask = _operands("logits", logits, targets, where)
    if label_smoothing is not None:
        rate = parameter("label_smoothing", label_smoothing, z)
        t = (1.0 - rate) * t + 0.5 * rate
    if positive_weight is None:
        return _keep(classification.sigmoid_loss(z, t), mask)
    positive = parameter("positive_weight", positive_weight, z) * t
    weight = positive + (1.0 - t)
    share = positive / jnp.where(weight == 0.0, 1.0, weight)
    loss = jnp.where(weight == 0.0, 0.0, weight * classification.sigmoid_loss(z, share))
    return _keep(loss, mask)


@public
def focal_loss(
    logits: LogOdds,
    targets: Probability,
    *,
    gamma: NonNegative = 2.0,
    alpha: UnitInterval | None = None,
    where: Mask | None = None,
) -> Float[Array, "..."]:
    """Focal loss (1 − pₜ)^γ·BCE of a logit, elementwise, in nats: a cross-entropy that down-weights easy cases.

    BCE is −[t·log σ(z) + (1 − t)·log(1 − σ(z))] and pₜ = t·σ(z) + (1 − t)·(1 − σ(z)), the probability of the
    outcome. With `alpha` it is multiplied by α·t + (1 − α)(1 − t).

    Args:
        logits: `[...]`, log-odds of the outcome.
        targets: `[...]` in [0, 1]. A scalar may stand beside any array; otherwise the ranks match and
            axes of size 1 broadcast.
        gamma: γ ≥ 0, a traced scalar; 0 is the binary cross-entropy.
        alpha: weight of the positive outcomes in [0, 1], a traced scalar; None weighs both alike.
        where: boolean mask of the elements that take part; the others give 0 and gradient 0.

    Returns:
        The broadcast shape of the operands.

    Edge cases: a logit of ±inf gives 0 for the target it predicts and +inf for the other.

    Gradient: (1 − pₜ)^γ·[σ(z) − t + γ·BCE·(1 − 2t)·σ(z)σ(−z)/(1 − pₜ)] in the logits, times the factor of α.

    Example:
        >>> from jxent import losses
        >>> round(float(losses.focal_loss(2.0, 1.0)), 6)
        0.001804

    Reference: T.-Y. Lin et al., Focal loss for dense object detection (2017), eq. 5.
    """
    z, t, mask = _operands("logits", logits, targets, where)
    loss = classification.focal_loss(z, t, parameter("gamma", gamma, z))
    if alpha is not None:
        a = parameter("alpha", alpha, z)
        loss = (a * t + (1.0 - a) * (1.0 - t)) * loss
    return _keep(loss, mask)


@public
def l1_loss(predictions: Real, targets: Real, *, where: Mask | None = None) -> Float[Array, "..."]:
    """Absolute error |prediction − target|, elementwise, in the unit of the targets.

    Args:
        predictions: `[...]`.
        targets: `[...]`. A scalar may stand beside any array; otherwise the ranks match and axes of
            size 1 broadcast.
        where: boolean mask of the elements that take part; the others give 0 and gradient 0.

    Returns:
        The broadcast shape of the operands.

    Edge cases: NaN in either operand gives NaN, in value and gradient.

    Gradient: the sign of the error, 0 at error 0.

    Example:
        >>> from jxent import losses
        >>> losses.l1_loss([1.0, 2.0], [1.5, 0.0]).tolist()
        [0.5, 2.0]

    Reference: P. J. Huber and E. M. Ronchetti, Robust Statistics, 2nd ed. (2009), section 3.2.
    """
    prediction, target, mask = _operands("predictions", predictions, targets, where)
    error = prediction - target
    # The slope of error·sign(error) is NaN where the error is; that of the absolute value is not.
    return _keep(error * jnp.sign(error), mask)


@public
def l2_loss(predictions: Real, targets: Real, *, where: Mask | None = None) -> Float[Array, "..."]:
    """Half the squared error ½(prediction − target)², elementwise, in the squared unit of the targets.

    Args:
        predictions: `[...]`.
        targets: `[...]`. A scalar may stand beside any array; otherwise the ranks match and axes of
            size 1 broadcast.
        where: boolean mask of the elements that take part; the others give 0 and gradient 0.

    Returns:
        The broadcast shape of the operands.

    Edge cases: NaN in either operand gives NaN, in value and gradient.

    Gradient: the error, prediction − target.

    Example:
        >>> from jxent import losses
        >>> losses.l2_loss([1.0, 2.0], [1.5, 0.0]).tolist()
        [0.125, 2.0]

    Reference: C. M. Bishop, Pattern Recognition and Machine Learning (2006), eq. 1.2.
    """
    prediction, target, mask = _operands("predictions", predictions, targets, where)
    error = prediction - target
    return _keep(0.5 * error * error, mask)


@public
def huber_loss(
    predictions: Real,
    targets: Real,
    *,
    delta: Positive = 1.0,
    where: Mask | None = None,
) -> Float[Array, "..."]:
    """Huber loss: ½e² for |e| ≤ δ and δ(|e| − ½δ) beyond, with e = prediction − target, elementwise.

    Args:
        predictions: `[...]`.
        targets: `[...]`. A scalar may stand beside any array; otherwise the ranks match and axes of
            size 1 broadcast.
        delta: δ > 0, a scalar, where the square turns into a line; traced and differentiable. δ = 1
            is the robust loss |e| − ½ beyond 1.
        where: boolean mask of the elements that take part; the others give 0 and gradient 0.

    Returns:
        The broadcast shape of the operands.

    Edge cases: an infinite error gives +inf; NaN in either operand gives NaN.

    Gradient: the error clipped to [−δ, δ]; in δ, |e| − δ beyond δ and 0 within.

    Example:
        >>> from jxent import losses
        >>> losses.huber_loss([0.5, 3.0], [0.0, 0.0]).tolist()
        [0.125, 2.5]

    Reference: P. J. Huber, Robust estimation of a location parameter, Annals of Mathematical Statistics
    35 (1964).
    """
    prediction, target, mask = _operands("predictions", predictions, targets, where)
    error = prediction - target
    size = error * jnp.sign(error)
    bound = jnp.asarray(delta, size.dtype)
    within = size <= bound
    inner = jnp.where(within, error, 0.0)
    # In the unused branch δ and the error are replaced by 0: the slope of ∞ − ∞ would be NaN.
    outer, slope = jnp.where(within, 0.0, size), jnp.where(within, 0.0, bound)
    return _keep(jnp.where(within, 0.5 * inner * inner, slope * (outer - 0.5 * slope)), mask)


@public
def pseudo_huber_loss(
    predictions: Real,
    targets: Real,
    *,
    delta: Positive = 1.0,
    where: Mask | None = None,
) -> Float[Array, "..."]:
    """Pseudo-Huber loss δ²(√(1 + (e/δ)²) − 1), e = prediction − target, elementwise: a smooth Huber loss.

    Args:
        predictions: `[...]`.
        targets: `[...]`. A scalar may stand beside any array; otherwise the ranks match and axes of
            size 1 broadcast.
        delta: δ > 0, a scalar: ½e² for errors well below it, δ|e| for those well above; traced and differentiable.
        where: boolean mask of the elements that take part; the others give 0 and gradient 0.

    Returns:
        The broadcast shape of the operands.

    Edge cases: an infinite error gives +inf; NaN in either operand gives NaN; δ = ∞ is half the squared error.

    Gradient: e/√(1 + (e/δ)²), ±δ at an infinite error.

    Example:
        >>> from jxent import losses
        >>> [round(float(x), 4) for x in losses.pseudo_huber_loss([0.5, 3.0], [0.0, 0.0])]
        [0.118, 2.1623]

    Reference: P. Charbonnier, L. Blanc-Féraud, G. Aubert and M. Barlaud, Deterministic edge-preserving regularization
    in computed imaging, IEEE Transactions on Image Processing 6 (1997).
    """
    prediction, target, mask = _operands("predictions", predictions, targets, where)
    return _keep(classification.pseudo_huber(prediction - target, parameter("delta", delta, prediction)), mask)
