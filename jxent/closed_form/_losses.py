"""Gradients of the losses in their predictions, by hand."""

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from jxent._checks import (
    NON_NEGATIVE,
    POSITIVE,
    SOFTMAX_OPTIONS,
    UNIT,
    Axis,
    class_labels,
    elementwise,
    ignored_rows,
    parameter,
    participation,
    public,
    rows_beside,
    weights_of_classes,
)
from jxent.closed_form import _shared


def _of_coefficients(
    z: Array,
    t: Array,
    axes: tuple[int, ...],
    mask: Array,
    label_smoothing: ArrayLike | None,
    class_weights: ArrayLike | None,
    z_loss: ArrayLike | None,
) -> Array:
    """(Σc)·p − c + 2ζ·log Z·p for c = w·[(1 − ε)·t + ε·Σt/K], K the number of possible classes."""
    p, _ = _shared.softmax(z, axes, mask)
    c = jnp.where(mask, t, 0.0)
    if label_smoothing is not None:
        possible = mask & (z != -jnp.inf)
        share = _shared.total(c, axes) / jnp.maximum(_shared.total(possible.astype(z.dtype), axes), 1.0)
        smoothing = parameter("label_smoothing", label_smoothing, z)
        c = (1.0 - smoothing) * c + jnp.where(possible, smoothing * share, 0.0)
    weights = weights_of_classes(class_weights, z, axes)
    if weights is not None:
        c = weights * c
    gradient = _shared.total(c, axes) * p - c
    if z_loss is not None:
        log_total = jax.nn.logsumexp(jnp.where(mask, z, -jnp.inf), axis=axes, keepdims=True)
        # (ζ·log² Z)′ = 2ζ·log Z·p, since (log Z)′ = p.
        gradient = gradient + 2.0 * parameter("z_loss", z_loss, z) * jnp.where(p > 0, log_total * p, 0.0)
    return gradient


def _of_targets(
    logits: ArrayLike,
    targets: ArrayLike,
    axis: Axis,
    where: ArrayLike | None,
    label_smoothing: ArrayLike | None = None,
    class_weights: ArrayLike | None = None,
    z_loss: ArrayLike | None = None,
) -> Array:
    z, t, axes, mask, shapes = _shared.rows(("logits", "targets"), logits, targets, axis, where)
    return _shared.fold(_of_coefficients(z, t, axes, mask, label_smoothing, class_weights, z_loss), shapes[0])


@public(domain=SOFTMAX_OPTIONS)
def softmax_cross_entropy(
    logits: ArrayLike,
    targets: ArrayLike,
    *,
    axis: Axis = -1,
    where: ArrayLike | None = None,
    label_smoothing: ArrayLike | None = None,
    class_weights: ArrayLike | None = None,
    z_loss: ArrayLike | None = None,
) -> Float[Array, "..."]:
    """Gradient of −Σ t·log softmax(z) in the logits: (Σt)·p − t.

    ∂(−log pᵢ)/∂zₖ = pₖ − δᵢₖ; weighted by tᵢ and summed over i this is (Σt)·pₖ − tₖ. Smoothing and class weights
    change t alone; ζ·log² Z, Z = Σ exp z, adds 2ζ·log Z·p.

    Args:
        logits: `[..., K]`.
        targets: `[..., K]`, one-hot or soft labels.
        axis: as in the loss; likewise label_smoothing, class_weights and z_loss.
        where: masked classes get gradient 0.
        label_smoothing: ε in [0, 1].
        class_weights: w `[K]`.
        z_loss: ζ ≥ 0.

    Returns:
        An array of the shape of `logits`.

    Edge cases: finite for classes at −inf.

    Gradient: differentiable; see `softmax_cross_entropy_hessian`.

    Example:
        >>> from jxent import closed_form
        >>> closed_form.softmax_cross_entropy([0.0, 0.0], [1.0, 0.0]).tolist()
        [-0.5, 0.5]

    Reference: C. M. Bishop, Pattern Recognition and Machine Learning (2006), eq. 4.109.
    """
    return _of_targets(logits, targets, axis, where, label_smoothing, class_weights, z_loss)


@public(domain=SOFTMAX_OPTIONS)
def softmax_cross_entropy_with_integer_labels(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    axis: int = -1,
    where: ArrayLike | None = None,
    ignore_label: int | None = None,
    label_smoothing: ArrayLike | None = None,
    class_weights: ArrayLike | None = None,
    z_loss: ArrayLike | None = None,
) -> Float[Array, "..."]:
    """Gradient of −log softmax(z)[label] in the logits: p − onehot(label).

    The case of `softmax_cross_entropy` whose target is 1 in one class: ∂(−log p_y)/∂zₖ = pₖ − δ_yₖ.

    Args:
        logits: `[..., K]`.
        labels: integer class ids `[...]`.
        axis: as in the loss; likewise where, ignore_label, label_smoothing, class_weights and z_loss.
        where: masked classes get gradient 0.
        ignore_label: rows with this label get gradient 0.
        label_smoothing: ε in [0, 1].
        class_weights: w `[K]`.
        z_loss: ζ ≥ 0.

    Returns:
        An array of the shape of `logits`.

    Edge cases: NaN in the row of a label outside [0, K).

    Gradient: differentiable; see `softmax_cross_entropy_hessian`.

    Example:
        >>> from jxent import closed_form
        >>> closed_form.softmax_cross_entropy_with_integer_labels([0.0, 0.0], 1).tolist()
        [0.5, -0.5]

    Reference: C. M. Bishop, Pattern Recognition and Machine Learning (2006), eq. 4.109.
    """
    z, axes, mask = _shared.row("logits", logits, axis, where)
    ids = class_labels(labels, rows_beside(z, axes[0]), f"`logits` {z.shape}", soft="use softmax_cross_entropy")
    count = z.shape[axes[0]]
    ignored = ignored_rows(labels, ignore_label)
    ignored = jnp.zeros(ids.shape, bool) if ignored is None else ignored
    invalid = ((ids < 0) | (ids >= count)) & ~ignored
    ids, ignored, invalid = (jnp.expand_dims(x, axes) for x in (ids, ignored, invalid))
    one_hot = (jax.lax.broadcasted_iota(ids.dtype, z.shape, axes[0]) == ids).astype(z.dtype)
    z = jnp.where(ignored, 0.0, z)
    gradient = _of_coefficients(z, one_hot, axes, mask, label_smoothing, class_weights, z_loss)
    gradient = jnp.where(invalid, jnp.nan, gradient)
    return jnp.where(ignored | ~jnp.any(mask, axis=axes, keepdims=True), 0.0, gradient)


@public()
def kl_divergence(
    logits: ArrayLike, targets: ArrayLike, *, axis: Axis = -1, where: ArrayLike | None = None
) -> Float[Array, "..."]:
    """Gradient of KL(t‖softmax(z)) in the logits: (Σt)·p − t.

    The loss is the cross-entropy −Σ t·log p and terms in t alone: its gradient is that of the cross-entropy.

    Args:
        logits: `[..., K]`.
        targets: `[..., K]`, a distribution per row.
        axis: as in the loss.
        where: masked classes get gradient 0.

    Returns:
        An array of the shape of `logits`.

    Edge cases: finite for classes at −inf.

    Gradient: differentiable; see `softmax_cross_entropy_hessian`.

    Example:
        >>> from jxent import closed_form
        >>> closed_form.kl_divergence([0.0, 0.0], [0.75, 0.25]).tolist()
        [-0.25, 0.25]

    Reference: T. M. Cover and J. A. Thomas, Elements of Information Theory, 2nd ed. (2006), section 2.3.
    """
    return _of_targets(logits, targets, axis, where)


def _operands(
    name: str, predictions: ArrayLike, targets: ArrayLike, where: ArrayLike | None
) -> tuple[Array, Array, Array, tuple[int, ...]]:
    shape = jnp.shape(predictions)
    first, second = elementwise(**{name: predictions, "targets": targets})
    mask = participation(where, first)
    return first, second, jnp.ones(first.shape, bool) if mask is None else mask, shape


@public()
def sigmoid_binary_cross_entropy(
    logits: ArrayLike, targets: ArrayLike, *, where: ArrayLike | None = None
) -> Float[Array, "..."]:
    """Gradient of −[t·log σ(z) + (1 − t)·log(1 − σ(z))] in the logits: σ(z) − t.

    (log σ)′ = σ(−z) and (log(1 − σ))′ = −σ(z), so that −t·σ(−z) + (1 − t)·σ(z) = σ(z) − t.

    Args:
        logits: `[...]`.
        targets: `[...]` in [0, 1].
        where: masked elements get gradient 0.

    Returns:
        An array of the shape of `logits`.

    Edge cases: finite at ±inf.

    Gradient: σ(z)σ(−z).

    Example:
        >>> from jxent import closed_form
        >>> float(closed_form.sigmoid_binary_cross_entropy(0.0, 1.0))
        -0.5

    Reference: C. M. Bishop, Pattern Recognition and Machine Learning (2006), eq. 4.91.
    """
    z, t, mask, shape = _operands("logits", logits, targets, where)
    return _shared.fold(jnp.where(mask, 1.0 / (1.0 + jnp.exp(-z)) - t, 0.0), shape)


@public(domain={"gamma": NON_NEGATIVE, "alpha": UNIT})
def focal_loss(
    logits: ArrayLike,
    targets: ArrayLike,
    *,
    gamma: ArrayLike = 2.0,
    alpha: ArrayLike | None = None,
    where: ArrayLike | None = None,
) -> Float[Array, "..."]:
    """Gradient of u^γ·B in the logits, u = 1 − pₜ and B the binary cross-entropy: u^γ·(σ − t + γ·B·u′/u).

    u = σ(z)(1 − t) + σ(−z)t has the slope u′ = (1 − 2t)·σ(z)σ(−z), B the slope σ(z) − t; the rest is the product rule.

    Args:
        logits: `[...]`.
        targets: `[...]` in [0, 1].
        gamma: γ ≥ 0, a scalar.
        alpha: as in the loss.
        where: masked elements get gradient 0.

    Returns:
        An array of the shape of `logits`.

    Edge cases: finite at ±inf.

    Gradient: differentiable where 0 < p < 1.

    Example:
        >>> from jxent import closed_form
        >>> float(closed_form.focal_loss(0.0, 1.0, gamma=0.0))
        -0.5

    Reference: T.-Y. Lin et al., Focal loss for dense object detection (2017), appendix B.
    """
    z, t, mask, shape = _operands("logits", logits, targets, where)
    gamma = parameter("gamma", gamma, z)
    p, no = 1.0 / (1.0 + jnp.exp(-z)), 1.0 / (1.0 + jnp.exp(z))
    u = jnp.maximum(p * (1.0 - t) + no * t, jnp.finfo(z.dtype).tiny)
    bound = -jnp.log(jnp.asarray(jnp.finfo(z.dtype).tiny, z.dtype))
    bce = t * jnp.minimum(jax.nn.softplus(-z), bound) + (1.0 - t) * jnp.minimum(jax.nn.softplus(z), bound)
    gradient = u**gamma * (p - t + gamma * bce * (1.0 - 2.0 * t) * p * no / u)
    if alpha is not None:
        a = parameter("alpha", alpha, z)
        gradient = (a * t + (1.0 - a) * (1.0 - t)) * gradient
    return _shared.fold(jnp.where(mask, gradient, 0.0), shape)


@public()
def l1_loss(predictions: ArrayLike, targets: ArrayLike, *, where: ArrayLike | None = None) -> Float[Array, "..."]:
    """Gradient of |prediction − target| in the prediction: the sign of the error.

    |e| is e for e > 0 and −e for e < 0; at 0 the middle of the subgradients [−1, 1] is taken.

    Args:
        predictions: `[...]`.
        targets: `[...]`.
        where: masked elements get gradient 0.

    Returns:
        An array of the shape of `predictions`.

    Edge cases: 0 at error 0, NaN at NaN.

    Gradient: 0.

    Example:
        >>> from jxent import closed_form
        >>> closed_form.l1_loss([1.0, 2.0], [1.5, 0.0]).tolist()
        [-1.0, 1.0]

    Reference: P. J. Huber and E. M. Ronchetti, Robust Statistics, 2nd ed. (2009), section 3.2.
    """
    prediction, target, mask, shape = _operands("predictions", predictions, targets, where)
    return _shared.fold(jnp.where(mask, jnp.sign(prediction - target), 0.0), shape)


@public()
def l2_loss(predictions: ArrayLike, targets: ArrayLike, *, where: ArrayLike | None = None) -> Float[Array, "..."]:
    """Gradient of ½(prediction − target)² in the prediction: the error.

    By the chain rule ½·2e·∂e = e, since ∂e/∂prediction = 1.

    Args:
        predictions: `[...]`.
        targets: `[...]`.
        where: masked elements get gradient 0.

    Returns:
        An array of the shape of `predictions`.

    Edge cases: NaN at NaN.

    Gradient: 1.

    Example:
        >>> from jxent import closed_form
        >>> closed_form.l2_loss([1.0, 2.0], [1.5, 0.0]).tolist()
        [-0.5, 2.0]

    Reference: C. M. Bishop, Pattern Recognition and Machine Learning (2006), eq. 1.2.
    """
    prediction, target, mask, shape = _operands("predictions", predictions, targets, where)
    return _shared.fold(jnp.where(mask, prediction - target, 0.0), shape)


@public(domain={"delta": POSITIVE})
def huber_loss(
    predictions: ArrayLike,
    targets: ArrayLike,
    *,
    delta: ArrayLike = 1.0,
    where: ArrayLike | None = None,
) -> Float[Array, "..."]:
    """Gradient of the Huber loss in the prediction: the error clipped to [−δ, δ].

    ½e² has the slope e, δ(|e| − ½δ) the slope δ·sign(e); at |e| = δ they meet.

    Args:
        predictions: `[...]`.
        targets: `[...]`.
        delta: δ > 0, a scalar.
        where: masked elements get gradient 0.

    Returns:
        An array of the shape of `predictions`.

    Edge cases: ±δ at an infinite error, NaN at NaN.

    Gradient: 1 within δ and 0 beyond.

    Example:
        >>> from jxent import closed_form
        >>> closed_form.huber_loss([0.5, 3.0], [0.0, 0.0]).tolist()
        [0.5, 1.0]

    Reference: P. J. Huber, Annals of Mathematical Statistics 35 (1964).
    """
    prediction, target, mask, shape = _operands("predictions", predictions, targets, where)
    bound = parameter("delta", delta, prediction)
    return _shared.fold(jnp.where(mask, jnp.clip(prediction - target, -bound, bound), 0.0), shape)
