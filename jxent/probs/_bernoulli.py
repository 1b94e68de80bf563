"""Measures of a Bernoulli variable from the probability of one outcome, elementwise."""

from jaxtyping import Array, Float

from jxent._checks import Probability, elementwise, log_base_factor, public
from jxent._numerics import kernels
from jxent._numerics.bernoulli import probs_bernoulli

__all__ = ["binary_cross_entropy", "binary_entropy", "binary_kl_divergence"]


@public
def binary_entropy(p: Probability, *, base: float | None = None) -> Float[Array, "..."]:
    """Entropy −p·log p − (1 − p)·log(1 − p) of a Bernoulli variable, in nats (or units of `base`).

    Args:
        p: probabilities `[...]` of one of the two outcomes, of any shape.

    Returns:
        An array of the shape of `p`.

    Edge cases: p = 0 and p = 1 give 0.

    Gradient: log((1 − p)/p), finite at the ends: the value at the smallest normal distance.

    Example:
        >>> from jxent import probs
        >>> float(probs.binary_entropy(0.5, base=2))
        1.0

    Reference: T. M. Cover and J. A. Thomas, Elements of Information Theory, 2nd ed. (2006), eq. 2.5.
    """
    (p,) = elementwise(p=p)
    return probs_bernoulli(kernels.ENTROPY, (p,)) * log_base_factor(base)


@public
def binary_cross_entropy(p: Probability, q: Probability, *, base: float | None = None) -> Float[Array, "..."]:
    """Cross-entropy −[p·log q + (1 − p)·log(1 − q)] of two Bernoulli variables, in nats.

    Args:
        p: probabilities `[...]` of the outcome, such as labels 0 and 1.
        q: predicted probabilities `[...]` of the outcome. A scalar may stand beside any array; otherwise
            the ranks match and axes of size 1 broadcast.

    Returns:
        The broadcast shape of `p` and `q`.

    Edge cases: an outcome with p = 0 contributes 0; a possible outcome with prediction 0 gives +inf.

    Gradient: log((1 − q)/q) in p, (q − p)/(q(1 − q)) in q; infinite where the value is.

    Example:
        >>> from jxent import probs
        >>> round(float(probs.binary_cross_entropy(1.0, 0.8)), 6)
        0.223144

    Reference: C. M. Bishop, Pattern Recognition and Machine Learning (2006), eq. 4.90.
    """
    p, q = elementwise(p=p, q=q)
    return probs_bernoulli(kernels.CROSS_ENTROPY, (p, q)) * log_base_factor(base)


@public
def binary_kl_divergence(p: Probability, q: Probability, *, base: float | None = None) -> Float[Array, "..."]:
    """KL(p‖q) = p·log(p/q) + (1 − p)·log((1 − p)/(1 − q)) of two Bernoulli variables, in nats.

    Args:
        p: probabilities `[...]` of one outcome under the first distribution.
        q: probabilities `[...]` of that outcome under the second. A scalar may stand beside any array; otherwise
            the ranks match and axes of size 1 broadcast.

    Returns:
        The broadcast shape of `p` and `q`; at least 0, and exactly 0 where p = q.

    Edge cases: an outcome with p = 0 contributes no logarithm; a possible outcome with q = 0 gives +inf.

    Gradient: log(p/q) − log((1 − p)/(1 − q)) in p, (q − p)/(q(1 − q)) in q; 0 where p = q.

    Example:
        >>> from jxent import probs
        >>> float(probs.binary_kl_divergence(0.3, 0.3))
        0.0

    Reference: T. M. Cover and J. A. Thomas, Elements of Information Theory, 2nd ed. (2006), eq. 2.26.
    """
    p, q = elementwise(p=p, q=q)
    return probs_bernoulli(kernels.KL_DIVERGENCE, (p, q)) * log_base_factor(base)
