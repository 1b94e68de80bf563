"""Gradients of the measures of logits, by hand.

With p = softmax(z), ∂pᵢ/∂zₖ = pᵢ(δᵢₖ − pₖ). A measure with slopes sₖ = ∂/∂pₖ therefore has the
gradient pₖ(sₖ − Σ p·s) in the logits, which is used throughout.
"""

import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from jxent import logits as _logits
from jxent._checks import UNIT, Axis, log_base_factor, public
from jxent.closed_form import _shared


@public()
def logits_self_information(
    z: ArrayLike, *, axis: Axis = -1, where: ArrayLike | None = None, base: float | None = None
) -> Float[Array, "..."]:
    """Gradient of the summed surprise −Σᵢ log pᵢ of all classes.

    ∂(−log pᵢ)/∂zₖ = pₖ − δᵢₖ; summed over the n classes that take part, n·pₖ − 1.

    Args:
        z: logits `[..., K]`.
        axis: as in the function; likewise where and base.
        where: masked elements get gradient 0.
        base: unit of the measure, and so of its gradient.

    Returns:
        An array of the shape of `z`.

    Edge cases: classes at −inf get −1.

    Gradient: differentiable as the plain expression that it is.

    Example:
        >>> from jxent import closed_form, logits
        >>> measure, gradient = logits.self_information, closed_form.logits_self_information
        >>> closed_form.compare(measure, gradient, [2.0, 1.0, 0.0]).agrees
        True

    Reference: Cover and Thomas, Elements of Information Theory, 2nd ed. (2006), section 2.1.
    """
    z, axes, mask = _shared.row("z", z, axis, where)
    p, _ = _shared.softmax(z, axes, mask)
    count = _shared.total(mask.astype(z.dtype), axes)
    return jnp.where(mask, count * p - 1.0, 0.0) * log_base_factor(base)


@public()
def logits_entropy(
    z: ArrayLike,
    *,
    axis: Axis = -1,
    where: ArrayLike | None = None,
    base: float | None = None,
    keepdims: bool = False,
) -> Float[Array, "..."]:
    """Gradient of the entropy of softmax(z).

    The slopes −(log p + 1) have the mean H − 1, so that ∂H/∂zₖ = −pₖ(log pₖ + H).

    Args:
        z: logits `[..., K]`.
        axis: as in the function; likewise where and base.
        where: masked elements get gradient 0.
        base: unit of the measure, and so of its gradient.
        keepdims: taken so that the same options serve both; the gradient keeps the shape of `z`.

    Returns:
        An array of the shape of `z`.

    Edge cases: 0 for classes at −inf.

    Gradient: differentiable as the plain expression that it is.

    Example:
        >>> from jxent import closed_form, logits
        >>> measure, gradient = logits.entropy, closed_form.logits_entropy
        >>> closed_form.compare(measure, gradient, [2.0, 1.0, 0.0]).agrees
        True

    Reference: Cover and Thomas, Elements of Information Theory, 2nd ed. (2006), section 2.1.
    """
    del keepdims
    z, axes, mask = _shared.row("z", z, axis, where)
    p, log_p = _shared.softmax(z, axes, mask)
    return _shared.through_softmax(p, -log_p, axes) * log_base_factor(base)


@public()
def logits_perplexity(
    z: ArrayLike,
    *,
    axis: Axis = -1,
    where: ArrayLike | None = None,
    base: float | None = None,
    keepdims: bool = False,
) -> Float[Array, "..."]:
    """Gradient of exp H: by the chain rule −exp(H)·pₖ(log pₖ + H).

    Args:
        z: logits `[..., K]`.
        axis: as in the function; likewise where and base.
        where: masked elements get gradient 0.
        base: unit of the measure, and so of its gradient.
        keepdims: taken so that the same options serve both; the gradient keeps the shape of `z`.

    Returns:
        An array of the shape of `z`.

    Edge cases: 0 for classes at −inf; the base cancels.

    Gradient: differentiable as the plain expression that it is.

    Example:
        >>> from jxent import closed_form, logits
        >>> measure, gradient = logits.perplexity, closed_form.logits_perplexity
        >>> closed_form.compare(measure, gradient, [2.0, 1.0, 0.0]).agrees
        True

    Reference: Cover and Thomas, Elements of Information Theory, 2nd ed. (2006), section 2.1.
    """
    del keepdims
    log_base_factor(base)
    z, axes, mask = _shared.row("z", z, axis, where)
    p, log_p = _shared.softmax(z, axes, mask)
    return jnp.exp(_shared.total(-p * log_p, axes)) * _shared.through_softmax(p, -log_p, axes)


@public()
def logits_cross_entropy(
    zp: ArrayLike,
    zq: ArrayLike,
    *,
    axis: Axis = -1,
    where: ArrayLike | None = None,
    base: float | None = None,
    keepdims: bool = False,
) -> tuple[Float[Array, "..."], Float[Array, "..."]]:
    """Gradients of −Σ p·log q.

    The slopes in p are −log q, so that ∂/∂zpₖ = −pₖ(log qₖ + H(p, q)); and ∂(−log qᵢ)/∂zqₖ = qₖ − δᵢₖ
    averages to qₖ − pₖ.

    Args:
        zp: logits `[..., K]`.
        zq: logits `[..., K]`.
        axis: as in the function; likewise where and base.
        where: masked elements get gradient 0.
        base: unit of the measure, and so of its gradient.
        keepdims: taken so that the same options serve both; a gradient keeps the shape of its argument.

    Returns:
        The gradients in `zp` and in `zq`, each of the shape of its argument.

    Edge cases: 0 in zp for classes at −inf.

    Gradient: differentiable as the plain expression that it is.

    Example:
        >>> from jxent import closed_form, logits
        >>> measure, gradient = logits.cross_entropy, closed_form.logits_cross_entropy
        >>> closed_form.compare(measure, gradient, [2.0, 1.0, 0.0], [0.0, 0.5, 1.0]).agrees
        True

    Reference: Cover and Thomas, Elements of Information Theory, 2nd ed. (2006), section 2.3.
    """
    del keepdims
    zp, zq, axes, mask, shapes = _shared.rows(("zp", "zq"), zp, zq, axis, where)
    (p, _), (q, log_q) = _shared.softmax(zp, axes, mask), _shared.softmax(zq, axes, mask)
    return _shared.in_units(_shared.through_softmax(p, -log_q, axes), q - p, shapes, base)


@public()
def logits_kl_divergence(
    zp: ArrayLike,
    zq: ArrayLike,
    *,
    axis: Axis = -1,
    where: ArrayLike | None = None,
    base: float | None = None,
    keepdims: bool = False,
) -> tuple[Float[Array, "..."], Float[Array, "..."]]:
    """Gradients of Σ p·log(p/q).

    The slopes in p are log(p/q), so that ∂/∂zpₖ = pₖ(log(pₖ/qₖ) − KL); in zq, as for cross-entropy,
    qₖ − pₖ.

    Args:
        zp: logits `[..., K]`.
        zq: logits `[..., K]`.
        axis: as in the function; likewise where and base.
        where: masked elements get gradient 0.
        base: unit of the measure, and so of its gradient.
        keepdims: taken so that the same options serve both; a gradient keeps the shape of its argument.

    Returns:
        The gradients in `zp` and in `zq`, each of the shape of its argument.

    Edge cases: 0 in zp for classes at −inf.

    Gradient: differentiable as the plain expression that it is.

    Example:
        >>> from jxent import closed_form, logits
        >>> measure, gradient = logits.kl_divergence, closed_form.logits_kl_divergence
        >>> closed_form.compare(measure, gradient, [2.0, 1.0, 0.0], [0.0, 0.5, 1.0]).agrees
        True

    Reference: Cover and Thomas, Elements of Information Theory, 2nd ed. (2006), section 2.3.
    """
    del keepdims
    zp, zq, axes, mask, shapes = _shared.rows(("zp", "zq"), zp, zq, axis, where)
    (p, log_p), (q, log_q) = _shared.softmax(zp, axes, mask), _shared.softmax(zq, axes, mask)
    return _shared.in_units(_shared.through_softmax(p, log_p - log_q, axes), q - p, shapes, base)


@public()
def logits_jeffreys_divergence(
    zp: ArrayLike,
    zq: ArrayLike,
    *,
    axis: Axis = -1,
    where: ArrayLike | None = None,
    base: float | None = None,
    keepdims: bool = False,
) -> tuple[Float[Array, "..."], Float[Array, "..."]]:
    """Gradients of KL(p‖q) + KL(q‖p).

    In zp the sum of ∂KL(p‖q) = pₖ(log(pₖ/qₖ) − KL(p‖q)) and ∂KL(q‖p) = pₖ − qₖ; in zq with p and q
    exchanged.

    Args:
        zp: logits `[..., K]`.
        zq: logits `[..., K]`.
        axis: as in the function; likewise where and base.
        where: masked elements get gradient 0.
        base: unit of the measure, and so of its gradient.
        keepdims: taken so that the same options serve both; a gradient keeps the shape of its argument.

    Returns:
        The gradients in `zp` and in `zq`, each of the shape of its argument.

    Edge cases: 0 for classes at −inf on both sides.

    Gradient: differentiable as the plain expression that it is.

    Example:
        >>> from jxent import closed_form, logits
        >>> measure, gradient = logits.jeffreys_divergence, closed_form.logits_jeffreys_divergence
        >>> closed_form.compare(measure, gradient, [2.0, 1.0, 0.0], [0.0, 0.5, 1.0]).agrees
        True

    Reference: H. Jeffreys, Proceedings of the Royal Society A 186 (1946).
    """
    del keepdims
    zp, zq, axes, mask, shapes = _shared.rows(("zp", "zq"), zp, zq, axis, where)
    (p, log_p), (q, log_q) = _shared.softmax(zp, axes, mask), _shared.softmax(zq, axes, mask)
    forward = _shared.through_softmax(p, log_p - log_q, axes)
    backward = _shared.through_softmax(q, log_q - log_p, axes)
    return _shared.in_units(forward + (p - q), backward + (q - p), shapes, base)


def _jensen_shannon(p: Array, q: Array, weight: ArrayLike, axes: tuple[int, ...]) -> tuple[Array, Array]:
    """Both gradients, in nats."""
    w = jnp.asarray(weight, p.dtype)
    m = w * p + (1.0 - w) * q
    m = jnp.where(m == 0, 1.0, m)
    slope_p = w * jnp.log(jnp.where(p == 0, 1.0, p / m))
    slope_q = (1.0 - w) * jnp.log(jnp.where(q == 0, 1.0, q / m))
    return _shared.through_softmax(p, slope_p, axes), _shared.through_softmax(q, slope_q, axes)


@public(domain={"weight": UNIT})
def logits_jensen_shannon_divergence(
    zp: ArrayLike,
    zq: ArrayLike,
    *,
    weight: ArrayLike = 0.5,
    axis: Axis = -1,
    where: ArrayLike | None = None,
    base: float | None = None,
    keepdims: bool = False,
) -> tuple[Float[Array, "..."], Float[Array, "..."]]:
    """Gradients of w·KL(p‖m) + (1 − w)·KL(q‖m), m = w·p + (1 − w)·q.

    The slopes w·log(p/m) in p and (1 − w)·log(q/m) in q, through the softmax.

    Args:
        zp: logits `[..., K]`.
        zq: logits `[..., K]`.
        weight: the weight of the first in the mixture.
        axis: as in the function; likewise where and base.
        where: masked elements get gradient 0.
        base: unit of the measure, and so of its gradient.
        keepdims: taken so that the same options serve both; a gradient keeps the shape of its argument.

    Returns:
        The gradients in `zp` and in `zq`, each of the shape of its argument.

    Edge cases: 0 for classes at −inf.

    Gradient: differentiable as the plain expression that it is.

    Example:
        >>> from jxent import closed_form, logits
        >>> measure, gradient = logits.jensen_shannon_divergence, closed_form.logits_jensen_shannon_divergence
        >>> closed_form.compare(measure, gradient, [2.0, 1.0, 0.0], [0.0, 0.5, 1.0]).agrees
        True

    Reference: J. Lin, IEEE Transactions on Information Theory 37 (1991).
    """
    del keepdims
    zp, zq, axes, mask, shapes = _shared.rows(("zp", "zq"), zp, zq, axis, where)
    (p, _), (q, _) = _shared.softmax(zp, axes, mask), _shared.softmax(zq, axes, mask)
    in_p, in_q = _jensen_shannon(p, q, weight, axes)
    return _shared.in_units(in_p, in_q, shapes, base)


@public(domain={"weight": UNIT})
def logits_jensen_shannon_distance(
    zp: ArrayLike,
    zq: ArrayLike,
    *,
    weight: ArrayLike = 0.5,
    axis: Axis = -1,
    where: ArrayLike | None = None,
    base: float | None = None,
    keepdims: bool = False,
) -> tuple[Float[Array, "..."], Float[Array, "..."]]:
    """Gradients of the square root of the Jensen–Shannon divergence D: those of D over 2√D.

    Args:
        zp: logits `[..., K]`.
        zq: logits `[..., K]`.
        weight: the weight of the first in the mixture.
        axis: as in the function; likewise where and base.
        where: masked elements get gradient 0.
        base: unit of the measure, and so of its gradient.
        keepdims: taken so that the same options serve both; a gradient keeps the shape of its argument.

    Returns:
        The gradients in `zp` and in `zq`, each of the shape of its argument.

    Edge cases: 0 at p = q.

    Gradient: differentiable as the plain expression that it is.

    Example:
        >>> from jxent import closed_form, logits
        >>> measure, gradient = logits.jensen_shannon_distance, closed_form.logits_jensen_shannon_distance
        >>> closed_form.compare(measure, gradient, [2.0, 1.0, 0.0], [0.0, 0.5, 1.0]).agrees
        True

    Reference: J. Lin, IEEE Transactions on Information Theory 37 (1991).
    """
    del keepdims
    zp, zq, axes, mask, shapes = _shared.rows(("zp", "zq"), zp, zq, axis, where)
    (p, _), (q, _) = _shared.softmax(zp, axes, mask), _shared.softmax(zq, axes, mask)
    in_p, in_q = _jensen_shannon(p, q, weight, axes)
    value = _logits.jensen_shannon_divergence(zp, zq, weight=weight, axis=axes, where=mask, base=base, keepdims=True)
    slope = _shared.half_over_root(value)
    return _shared.in_units(slope * in_p, slope * in_q, shapes, base)
