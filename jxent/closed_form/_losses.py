"""Gradients of the losses in their predictions, by hand."""

import math

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from jxent._checks import Axis, class_labels, elementwise, ignored_rows, participation, public, scalar
from jxent.closed_form import _shared


@public()
def softmax_cross_entropy(
    logits: ArrayLike,
    targets: ArrayLike,
    *,
    axis: Axis = -1,
    where: ArrayLike | None = None,
) -> Float[Array, "..."]:
    """Gradient of −Σ t·log softmax(z) in the logits: (Σt)·p − t.

    ∂(−log pᵢ)/∂zₖ = pₖ − δᵢₖ; weighted by tᵢ and summed over i this is (Σt)·pₖ − tₖ.

    Args:
        logits: `[..., K]`.
        targets: `[..., K]`, one-hot or soft labels.
        axis: as in the loss; likewise where.
        where: masked classes get gradient 0.

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
    z, t, axes, mask, shapes = _shared.rows(("logits", "targets"), logits, targets, axis, where)
    p, _ = _shared.softmax(z, axes, mask)
    t = jnp.where(mask, t, 0.0)
    return _shared.fold(_shared.total(t, axes) * p - t, shapes[0])


@public()
def softmax_cross_entropy_with_integer_labels(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    axis: int = -1,
    where: ArrayLike | None = None,
    ignore_label: int | None = None,
) -> Float[Array, "..."]:
    """Gradient of −log softmax(z)[label] in the logits: p − onehot(label).

    The case of `softmax_cross_entropy` whose target is 1 in one class: ∂(−log p_y)/∂zₖ = pₖ − δ_yₖ.

    Args:
        logits: `[..., K]`.
        labels: integer class ids `[...]`.
        axis: as in the loss; likewise where and ignore_label.
        where: masked classes get gradient 0.
        ignore_label: rows with this label get gradient 0.

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
    ids = class_labels(labels, z, axes[0])
    count = z.shape[axes[0]]
    ignored = ignored_rows(labels, ignore_label)
    ignored = jnp.zeros(ids.shape, bool) if ignored is None else ignored
    invalid = ((ids < 0) | (ids >= count)) & ~ignored
    ids, ignored, invalid = (jnp.expand_dims(x, axes) for x in (ids, ignored, invalid))
    p, _ = _shared.softmax(jnp.where(ignored, 0.0, z), axes, mask)
    one_hot = (jax.lax.broadcasted_iota(ids.dtype, z.shape, axes[0]) == ids).astype(z.dtype)
    gradient = jnp.where(invalid, jnp.nan, p - one_hot)
    return jnp.where(ignored | ~jnp.any(mask, axis=axes, keepdims=True), 0.0, gradient)


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


@public(domain={"delta": (math.ulp(0.0), math.inf)})
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
    scalar("delta", delta)
    prediction, target, mask, shape = _operands("predictions", predictions, targets, where)
    bound = jnp.asarray(delta, prediction.dtype)
    return _shared.fold(jnp.where(mask, jnp.clip(prediction - target, -bound, bound), 0.0), shape)
