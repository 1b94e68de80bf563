"""Gradients of the elementwise measures of two outcomes, by hand."""

import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from jxent._checks import as_float, elementwise, log_base_factor, public
from jxent.closed_form import _shared
from jxent.closed_form._shared import is_zero, lifted, log_ratio


@public()
def probs_binary_entropy(p: ArrayLike, *, base: float | None = None) -> Float[Array, "..."]:
    """Gradient of −p·log p − (1 − p)·log(1 − p): log((1 − p)/p), elementwise.

    Args:
        p: probabilities `[...]`.
        base: unit of the measure, and so of its gradient.

    Returns:
        An array of the shape of `p`.

    Edge cases: finite at 0 and 1.

    Gradient: differentiable as the plain expression that it is.

    Example:
        >>> from jxent import closed_form, probs
        >>> measure, gradient = probs.binary_entropy, closed_form.probs_binary_entropy
        >>> closed_form.compare(measure, gradient, [0.2, 0.3, 0.5]).agrees
        True

    Reference: Cover and Thomas, Elements of Information Theory, 2nd ed. (2006), section 2.1.
    """
    p = as_float("p", p)
    low = jnp.finfo(p.dtype).tiny
    log_not_p = jnp.where(p >= 1, jnp.log(low), jnp.log1p(-jnp.where(p >= 1, 0.0, p)))
    return (log_not_p - jnp.log(lifted(p))) * log_base_factor(base)


@public()
def probs_binary_cross_entropy(
    p: ArrayLike, q: ArrayLike, *, base: float | None = None
) -> tuple[Float[Array, "..."], Float[Array, "..."]]:
    """Gradients of −[p·log q + (1 − p)·log(1 − q)].

    −log q + log(1 − q) in p; −p/q + (1 − p)/(1 − q) = (q − p)/(q(1 − q)) in q.

    Args:
        p: probabilities `[...]`; a scalar may stand beside any array.
        q: probabilities `[...]`.
        base: unit of the measure, and so of its gradient.

    Returns:
        The gradients in `p` and in `q`, each of the shape of its argument.

    Edge cases: infinite where the value is.

    Gradient: differentiable as the plain expression that it is.

    Example:
        >>> from jxent import closed_form, probs
        >>> measure, gradient = probs.binary_cross_entropy, closed_form.probs_binary_cross_entropy
        >>> closed_form.compare(measure, gradient, [0.2, 0.3], [0.6, 0.3]).agrees
        True

    Reference: Cover and Thomas, Elements of Information Theory, 2nd ed. (2006), section 2.3.
    """
    shapes = (jnp.shape(p), jnp.shape(q))
    p, q = elementwise(p=p, q=q)
    infinite = (is_zero(q) & ~is_zero(p)) | (is_zero(1 - q) & ~is_zero(1 - p))
    in_p = jnp.log(lifted(1 - q)) - jnp.log(lifted(q))
    in_q = -p / lifted(q) + (1 - p) / lifted(1 - q)
    in_p, in_q = (jnp.where(infinite, jnp.sign(g) * jnp.inf, g) for g in (in_p, in_q))
    return _shared.in_units(in_p, in_q, shapes, base)


@public()
def probs_binary_kl_divergence(
    p: ArrayLike, q: ArrayLike, *, base: float | None = None
) -> tuple[Float[Array, "..."], Float[Array, "..."]]:
    """Gradients of p·log(p/q) + (1 − p)·log((1 − p)/(1 − q)).

    log(p/q) − log((1 − p)/(1 − q)) in p; −p/q + (1 − p)/(1 − q) = (q − p)/(q(1 − q)) in q.

    Args:
        p: probabilities `[...]`; a scalar may stand beside any array.
        q: probabilities `[...]`.
        base: unit of the measure, and so of its gradient.

    Returns:
        The gradients in `p` and in `q`, each of the shape of its argument.

    Edge cases: 0 at p = q; infinite where the value is.

    Gradient: differentiable as the plain expression that it is.

    Example:
        >>> from jxent import closed_form, probs
        >>> measure, gradient = probs.binary_kl_divergence, closed_form.probs_binary_kl_divergence
        >>> closed_form.compare(measure, gradient, [0.2, 0.3], [0.6, 0.4]).agrees
        True

    Reference: Cover and Thomas, Elements of Information Theory, 2nd ed. (2006), section 2.3.
    """
    shapes = (jnp.shape(p), jnp.shape(q))
    p, q = elementwise(p=p, q=q)
    infinite = (is_zero(q) & ~is_zero(p)) | (is_zero(1 - q) & ~is_zero(1 - p))
    in_p = log_ratio(p, q) - log_ratio(1 - p, 1 - q)
    in_q = (q - p) / (lifted(q) * lifted(1 - q))
    in_p, in_q = (jnp.where(infinite, jnp.sign(g) * jnp.inf, g) for g in (in_p, in_q))
    return _shared.in_units(in_p, in_q, shapes, base)


@public()
def logits_binary_probability(z: ArrayLike) -> Float[Array, "..."]:
    """Gradient of the sigmoid σ(z) = 1/(1 + exp(−z)), elementwise.

    σ′ = exp(−z)/(1 + exp(−z))² = σ(z)·σ(−z).

    Args:
        z: logits `[...]`.

    Returns:
        An array of the shape of `z`.

    Edge cases: 0 at ±inf.

    Gradient: differentiable as the plain expression that it is.

    Example:
        >>> from jxent import closed_form, logits
        >>> measure, gradient = logits.binary_probability, closed_form.logits_binary_probability
        >>> closed_form.compare(measure, gradient, [2.0, 1.0, 0.0]).agrees
        True

    Reference: C. M. Bishop, Pattern Recognition and Machine Learning (2006), eq. 4.88.
    """
    z = as_float("z", z)
    return _sigmoid(z) * _sigmoid(-z)


def _sigmoid(z: Array) -> Array:
    e = jnp.exp(-jnp.abs(z))
    return jnp.where(z >= 0, 1.0, e) / (1.0 + e)


def _bounded(z: Array) -> Array:
    # Log-odds of an impossible outcome are taken at the smallest normal probability.
    bound = -jnp.log(jnp.finfo(z.dtype).tiny)
    return jnp.where(jnp.isinf(z), jnp.sign(z) * bound, z)


@public()
def logits_binary_entropy(z: ArrayLike, *, base: float | None = None) -> Float[Array, "..."]:
    """Gradient of the entropy of σ(z).

    dH/dp = log((1 − p)/p) = −z, times dp/dz = p(1 − p).

    Args:
        z: logits `[...]`.
        base: unit of the measure, and so of its gradient.

    Returns:
        An array of the shape of `z`.

    Edge cases: 0 at ±inf.

    Gradient: differentiable as the plain expression that it is.

    Example:
        >>> from jxent import closed_form, logits
        >>> measure, gradient = logits.binary_entropy, closed_form.logits_binary_entropy
        >>> closed_form.compare(measure, gradient, [2.0, 1.0, 0.0]).agrees
        True

    Reference: Cover and Thomas, Elements of Information Theory, 2nd ed. (2006), section 2.1.
    """
    z = as_float("z", z)
    return -_bounded(z) * _sigmoid(z) * _sigmoid(-z) * log_base_factor(base)


@public()
def logits_binary_cross_entropy(
    zp: ArrayLike, zq: ArrayLike, *, base: float | None = None
) -> tuple[Float[Array, "..."], Float[Array, "..."]]:
    """Gradients of −[p·log q + (1 − p)·log(1 − q)].

    In p it has the slope log((1 − q)/q) = −zq, times p(1 − p); in zq q − p.

    Args:
        zp: logits `[...]`; a scalar may stand beside any array.
        zq: logits `[...]`.
        base: unit of the measure, and so of its gradient.

    Returns:
        The gradients in `zp` and in `zq`, each of the shape of its argument.

    Edge cases: finite everywhere.

    Gradient: differentiable as the plain expression that it is.

    Example:
        >>> from jxent import closed_form, logits
        >>> measure, gradient = logits.binary_cross_entropy, closed_form.logits_binary_cross_entropy
        >>> closed_form.compare(measure, gradient, [2.0, 1.0], [0.0, 0.5]).agrees
        True

    Reference: Cover and Thomas, Elements of Information Theory, 2nd ed. (2006), section 2.3.
    """
    shapes = (jnp.shape(zp), jnp.shape(zq))
    zp, zq = elementwise(zp=zp, zq=zq)
    p, q = _sigmoid(zp), _sigmoid(zq)
    return _shared.in_units(-_bounded(zq) * p * _sigmoid(-zp), q - p, shapes, base)


@public()
def logits_binary_kl_divergence(
    zp: ArrayLike, zq: ArrayLike, *, base: float | None = None
) -> tuple[Float[Array, "..."], Float[Array, "..."]]:
    """Gradients of KL between σ(zp) and σ(zq).

    In p it has the slope log(p/(1 − p)) − log(q/(1 − q)) = zp − zq, times p(1 − p); in zq q − p.

    Args:
        zp: logits `[...]`; a scalar may stand beside any array.
        zq: logits `[...]`.
        base: unit of the measure, and so of its gradient.

    Returns:
        The gradients in `zp` and in `zq`, each of the shape of its argument.

    Edge cases: finite everywhere; 0 at zp = zq.

    Gradient: differentiable as the plain expression that it is.

    Example:
        >>> from jxent import closed_form, logits
        >>> measure, gradient = logits.binary_kl_divergence, closed_form.logits_binary_kl_divergence
        >>> closed_form.compare(measure, gradient, [2.0, 1.0], [0.0, 0.5]).agrees
        True

    Reference: Cover and Thomas, Elements of Information Theory, 2nd ed. (2006), section 2.3.
    """
    shapes = (jnp.shape(zp), jnp.shape(zq))
    zp, zq = elementwise(zp=zp, zq=zq)
    p, q = _sigmoid(zp), _sigmoid(zq)
    slope = jnp.where(zp == zq, 0.0, _bounded(zp) - _bounded(zq))
    return _shared.in_units(slope * p * _sigmoid(-zp), q - p, shapes, base)
