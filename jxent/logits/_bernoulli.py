"""Measures of a Bernoulli variable from the logit of one outcome, elementwise."""

from jaxtyping import Array, Float

from jxent._checks import LogOdds, as_float, elementwise, log_base_factor, public
from jxent._numerics import kernels
from jxent._numerics import softmax as sm
from jxent._numerics.bernoulli import logits_bernoulli

__all__ = ["binary_cross_entropy", "binary_entropy", "binary_kl_divergence", "binary_probability"]


@public
def binary_probability(z: LogOdds) -> Float[Array, "..."]:
    """Sigmoid 1/(1 + exp(−z)), the probability of an outcome with logit z = log(p/(1 − p)).

    Args:
        z: logits `[...]`, of any shape.

    Returns:
        Probabilities of the shape of `z`, relatively accurate down to the smallest normal number.

    Edge cases: −inf gives 0 and +inf gives 1.

    Gradient: p(1 − p), with 1 − p taken as the sigmoid of −z, so that both tails are kept.

    Example:
        >>> from jxent import logits
        >>> float(logits.binary_probability(0.0))
        0.5

    Reference: C. M. Bishop, Pattern Recognition and Machine Learning (2006), eq. 4.59.
    """
    return sm.sigmoid(as_float("z", z))


@public
def binary_entropy(z: LogOdds, *, base: float | None = None) -> Float[Array, "..."]:
    """Entropy of a Bernoulli variable with logit z, in nats (or units of `base`).

    With p = 1/(1 + exp(−z)): −p·log p − (1 − p)·log(1 − p).

    Args:
        z: logits `[...]`, of any shape.

    Returns:
        An array of the shape of `z`.

    Edge cases: ±inf give 0.

    Gradient: −z·p(1 − p), finite everywhere.

    Example:
        >>> from jxent import logits
        >>> float(logits.binary_entropy(0.0, base=2))
        1.0

    Reference: T. M. Cover and J. A. Thomas, Elements of Information Theory, 2nd ed. (2006), eq. 2.5.
    """
    (z,) = elementwise(z=z)
    return logits_bernoulli(kernels.ENTROPY, (z,)) * log_base_factor(base)


@public
def binary_cross_entropy(zp: LogOdds, zq: LogOdds, *, base: float | None = None) -> Float[Array, "..."]:
    """Cross-entropy −[p·log q + (1 − p)·log(1 − q)] of Bernoulli variables with logits zp and zq.

    Args:
        zp: logits `[...]` of the outcome.
        zq: predicted logits `[...]` of the outcome. A scalar may stand beside any array; otherwise the
            ranks match and axes of size 1 broadcast.

    Returns:
        The broadcast shape of `zp` and `zq`.

    Edge cases: an outcome impossible under zq alone (±inf) gives +inf.

    Gradient: −zq·p(1 − p) in zp and q − p in zq, finite everywhere.

    Example:
        >>> from jxent import logits
        >>> round(float(logits.binary_cross_entropy(0.0, 1.0)), 6)
        0.813262

    Reference: C. M. Bishop, Pattern Recognition and Machine Learning (2006), eq. 4.90.
    """
    zp, zq = elementwise(zp=zp, zq=zq)
    return logits_bernoulli(kernels.CROSS_ENTROPY, (zp, zq)) * log_base_factor(base)


@public
def binary_kl_divergence(zp: LogOdds, zq: LogOdds, *, base: float | None = None) -> Float[Array, "..."]:
    """KL(p‖q) of Bernoulli variables with logits zp and zq, in nats (or units of `base`).

    p·log(p/q) + (1 − p)·log((1 − p)/(1 − q)) of p = 1/(1 + exp(−zp)), and q alike.

    Args:
        zp: logits `[...]` of the first distribution.
        zq: logits `[...]` of the second. A scalar may stand beside any array; otherwise the ranks match
            and axes of size 1 broadcast.

    Returns:
        The broadcast shape of `zp` and `zq`; at least 0, and exactly 0 where zp = zq.

    Edge cases: an outcome impossible under zq alone (±inf) gives +inf.

    Gradient: (zp − zq)·p(1 − p) in zp and q − p in zq, finite everywhere.

    Example:
        >>> from jxent import logits
        >>> round(float(logits.binary_kl_divergence(0.0, 1.0)), 6)
        0.120115

    Reference: T. M. Cover and J. A. Thomas, Elements of Information Theory, 2nd ed. (2006), eq. 2.26.
    """
    zp, zq = elementwise(zp=zp, zq=zq)
    return logits_bernoulli(kernels.KL_DIVERGENCE, (zp, zq)) * log_base_factor(base)
