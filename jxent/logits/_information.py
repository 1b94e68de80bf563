"""Probabilities from logits, and measures of their information and uncertainty."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from jxent._adapter import LOGITS
from jxent._checks import Axis, Logits, Mask, MeshAxis, Positive, log_base_factor, participation, public
from jxent._numerics import kernels
from jxent._numerics import softmax as sm

__all__ = ["cross_entropy", "entropy", "log_probabilities", "perplexity", "probabilities", "self_information"]


@public
def log_probabilities(
    z: Logits,
    *,
    axis: Axis = -1,
    where: Mask | None = None,
    temperature: Positive = 1.0,
    soft_cap: Positive | None = None,
    axis_name: MeshAxis | None = None,
) -> Float[Array, "..."]:
    """Log-softmax log p = z − log Σ exp z, in nats, accurate in the tail of a certain class too.

    Args:
        where: boolean mask of the classes that take part; the others get −inf.

    Returns:
        Log-probabilities of the shape of `z`; a margin of 30 gives −9.4e-14, not 0.

    Edge cases: −inf stays −inf; a row of only −inf is no distribution and gives NaN; a row in which
    nothing takes part gives −inf throughout, with gradient 0.

    Gradient: the Jacobian is δᵢⱼ − pⱼ, finite for −inf too.

    Example:
        >>> from jxent import logits
        >>> float(logits.log_probabilities([30.0, 0.0])[0])
        -9.3576...e-14

    Reference: I. Goodfellow, Y. Bengio and A. Courville, Deep Learning (2016), section 4.1.
    """
    (array,), axes, part = LOGITS.operands([z], axis, where, axis_name, (temperature, soft_cap))
    result = sm.log_softmax(array, axes)
    return result if part is None else jnp.where(part, result, -jnp.inf)


@public
def probabilities(
    z: Logits,
    *,
    axis: Axis = -1,
    where: Mask | None = None,
    temperature: Positive = 1.0,
    soft_cap: Positive | None = None,
    axis_name: MeshAxis | None = None,
) -> Float[Array, "..."]:
    """Softmax p = exp z / Σ exp z, relatively accurate for every class.

    Args:
        where: boolean mask of the classes that take part; the others get 0.

    Returns:
        Probabilities of the shape of `z`.

    Edge cases: −inf gives 0; a row of only −inf is no distribution and gives NaN; a row in which
    nothing takes part gives 0 throughout, with gradient 0.

    Gradient: the Jacobian is pᵢ(δᵢⱼ − pⱼ), finite for −inf too.

    Example:
        >>> from jxent import logits
        >>> logits.probabilities([0.0, 0.0, -float("inf")]).tolist()
        [0.5, 0.5, 0.0]

    Reference: J. S. Bridle, Probabilistic interpretation of feedforward classification network outputs
    (1990).
    """
    (array,), axes, part = LOGITS.operands([z], axis, where, axis_name, (temperature, soft_cap))
    result = sm.softmax(array, axes)
    return result if part is None else jnp.where(part, result, 0.0)


@public
def self_information(
    z: Logits,
    *,
    axis: Axis = -1,
    where: Mask | None = None,
    base: float | None = None,
    axis_name: MeshAxis | None = None,
) -> Float[Array, "..."]:
    """Surprise −log softmax(z) of every class, in nats (or units of `base`).

    Args:
        where: boolean mask of the classes that take part; the others get 0.

    Returns:
        An array of the shape of `z`.

    Edge cases: −inf gives +inf; a row of only −inf gives NaN.

    Gradient: the Jacobian is pⱼ − δᵢⱼ, finite for −inf too.

    Example:
        >>> from jxent import logits
        >>> logits.self_information([0.0, 0.0], base=2).tolist()
        [1.0, 1.0]

    Reference: C. E. Shannon, A Mathematical Theory of Communication, Bell System Technical Journal 27
    (1948).
    """
    (array,), axes, _ = LOGITS.operands([z], axis, where, axis_name)
    result = (0.0 - sm.log_softmax(array, axes)) * log_base_factor(base)
    mask = participation(where, array)
    return result if mask is None else jnp.where(mask, result, 0.0)


@public
def entropy(
    z: Logits,
    *,
    axis: Axis = -1,
    where: Mask | None = None,
    base: float | None = None,
    keepdims: bool = False,
    temperature: Positive = 1.0,
    soft_cap: Positive | None = None,
    axis_name: MeshAxis | None = None,
) -> Float[Array, "..."]:
    """Shannon entropy −Σ p·log p of p = softmax(z), in nats (or units of `base`).

    Returns:
        `[...]`, one number per distribution.

    Edge cases: −inf contributes 0; a row of only −inf gives NaN; an empty mask gives 0.

    Gradient: −pₖ(log pₖ + H), finite everywhere.

    Example:
        >>> from jxent import logits
        >>> float(logits.entropy([0.0, 0.0, 0.0, 0.0], base=2))
        2.0

    Reference: T. M. Cover and J. A. Thomas, Elements of Information Theory, 2nd ed. (2006), eq. 2.1.
    """
    return LOGITS.measure(
        kernels.ENTROPY,
        z,
        axis=axis,
        where=where,
        base=base,
        keepdims=keepdims,
        axis_name=axis_name,
        scale=(temperature, soft_cap),
    )


@public
def perplexity(
    z: Logits,
    *,
    axis: Axis = -1,
    where: Mask | None = None,
    base: float | None = None,
    keepdims: bool = False,
    axis_name: MeshAxis | None = None,
) -> Float[Array, "..."]:
    """Perplexity exp H of p = softmax(z), the number of equally likely classes, without a unit.

    Args:
        base: validated, but without effect: b^(H in base b) is the same number for every base b.

    Returns:
        `[...]`, from 1 for a certain class to K for equal logits.

    Edge cases: as for `entropy`; an empty mask gives 1.

    Gradient: −exp(H)·pₖ(log pₖ + H).

    Example:
        >>> from jxent import logits
        >>> round(float(logits.perplexity([0.0, 0.0, 0.0])), 5)
        3.0

    Reference: F. Jelinek et al., Perplexity: a measure of the difficulty of speech recognition tasks,
    Journal of the Acoustical Society of America 62 (1977).
    """
    log_base_factor(base)
    return jnp.exp(LOGITS.measure(kernels.ENTROPY, z, axis=axis, where=where, keepdims=keepdims, axis_name=axis_name))


@public
def cross_entropy(
    zp: Logits,
    zq: Logits,
    *,
    axis: Axis = -1,
    where: Mask | None = None,
    base: float | None = None,
    keepdims: bool = False,
    temperature: Positive = 1.0,
    soft_cap: Positive | None = None,
    axis_name: MeshAxis | None = None,
) -> Float[Array, "..."]:
    """Cross-entropy −Σ p·log q of p = softmax(zp) and q = softmax(zq), in nats (or units of `base`).

    Args:
        zp: logits `[..., K]` of the distribution of the mean.
        zq: logits `[..., K]` of the prediction; same rank, batch axes of size 1 broadcast.
        where: boolean mask of the classes that take part; the others count as −inf on both sides.

    Returns:
        `[...]`, one number per pair of distributions.

    Edge cases: a class that is −inf in zp contributes 0; one that is −inf in zq alone gives +inf; a row of only −inf
    on either side gives NaN.

    Gradient: −pₖ(log qₖ + H(p, q)) in zp and q − p in zq, finite everywhere.

    Example:
        >>> from jxent import logits
        >>> round(float(logits.cross_entropy([0.0, 0.0], [0.0, 1.0])), 6)
        0.813262

    Reference: I. J. Good, Some terminology and notation in information theory, Proceedings of the IEE C
    103 (1956).
    """
    return LOGITS.measure(
        kernels.CROSS_ENTROPY,
        zp,
        zq,
        axis=axis,
        where=where,
        base=base,
        keepdims=keepdims,
        axis_name=axis_name,
        scale=(temperature, soft_cap),
    )
