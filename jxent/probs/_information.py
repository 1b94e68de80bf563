"""Information and uncertainty: self-information, entropy, perplexity and cross-entropy."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from jxent._adapter import PROBS
from jxent._checks import Axis, Mask, Probabilities, Probability, as_float, log_base_factor, public
from jxent._numerics import kernels
from jxent._numerics.surprise import surprise

__all__ = ["cross_entropy", "entropy", "perplexity", "self_information"]


@public
def self_information(p: Probability, *, base: float | None = None) -> Float[Array, "..."]:
    """Surprise −log p of outcomes with probability p, in nats (or units of `base`).

    Args:
        p: probabilities `[...]`, of any shape.

    Returns:
        An array of the shape of `p`.

    Edge cases: p = 0 gives +inf, p = 1 gives 0.

    Gradient: −1/p, and −inf at p = 0.

    Example:
        >>> from jxent import probs
        >>> float(probs.self_information(0.25, base=2))
        2.0

    Reference: C. E. Shannon, A Mathematical Theory of Communication, Bell System Technical Journal 27
    (1948).
    """
    return surprise(as_float("p", p)) * log_base_factor(base)


@public
def entropy(
    p: Probabilities,
    *,
    axis: Axis = -1,
    where: Mask | None = None,
    base: float | None = None,
    keepdims: bool = False,
) -> Float[Array, "..."]:
    """Shannon entropy H(p) = −Σ p·log p, the expected surprise, in nats (or units of `base`).

    Returns:
        `[...]`, one number per distribution.

    Edge cases: 0·log 0 = 0; an empty mask gives 0; NaN in an element that takes part gives NaN.
    A negative entry is outside the domain: its result is undefined.

    Gradient: −(log p + 1); at p = 0, where that diverges, its value at the smallest normal number.

    Example:
        >>> from jxent import probs
        >>> round(float(probs.entropy([0.5, 0.25, 0.25], base=2)), 6)
        1.5

    Reference: T. M. Cover and J. A. Thomas, Elements of Information Theory, 2nd ed. (2006), eq. 2.1.
    """
    return PROBS.measure(kernels.ENTROPY, p, axis=axis, where=where, base=base, keepdims=keepdims)


@public
def perplexity(
    p: Probabilities,
    *,
    axis: Axis = -1,
    where: Mask | None = None,
    base: float | None = None,
    keepdims: bool = False,
) -> Float[Array, "..."]:
    """Perplexity exp H(p), the number of equally likely classes with the same entropy, without a unit.

    Args:
        where: boolean mask of the elements that take part.
        base: validated, but without effect: b^(H in base b) is the same number for every base b.

    Returns:
        `[...]`, from 1 for a certain outcome to K for the uniform distribution.

    Edge cases: as for `entropy`; an empty mask gives 1.

    Gradient: −exp(H)·(log p + 1), at p = 0 with the slope of `entropy`.

    Example:
        >>> from jxent import probs
        >>> round(float(probs.perplexity([0.25, 0.25, 0.25, 0.25])), 5)
        4.0

    Reference: F. Jelinek et al., Perplexity: a measure of the difficulty of speech recognition tasks,
    Journal of the Acoustical Society of America 62 (1977).
    """
    log_base_factor(base)
    return jnp.exp(PROBS.measure(kernels.ENTROPY, p, axis=axis, where=where, keepdims=keepdims))


@public
def cross_entropy(
    p: Probabilities,
    q: Probabilities,
    *,
    axis: Axis = -1,
    where: Mask | None = None,
    base: float | None = None,
    keepdims: bool = False,
) -> Float[Array, "..."]:
    """Cross-entropy H(p, q) = −Σ p·log q: the cost of coding p with a code made for q, in nats.

    Args:
        p: probabilities `[..., K]` of the outcomes, such as labels.
        q: predicted probabilities `[..., K]`; same rank, batch axes of size 1 broadcast.

    Returns:
        `[...]`, one number per pair of distributions; H(p, q) = H(p) + KL(p‖q).

    Edge cases: p = 0 contributes 0 whatever q is; p > 0 against q = 0 gives +inf.

    Gradient: −log q in p and −p/q in q; where the value is +inf both are infinite in the class that
    makes it so.

    Example:
        >>> from jxent import probs
        >>> round(float(probs.cross_entropy([0.0, 1.0, 0.0], [0.3, 0.6, 0.1])), 6)
        0.510826

    Reference: I. J. Good, Some terminology and notation in information theory, Proceedings of the IEE C
    103 (1956).
    """
    return PROBS.measure(kernels.CROSS_ENTROPY, p, q, axis=axis, where=where, base=base, keepdims=keepdims)
