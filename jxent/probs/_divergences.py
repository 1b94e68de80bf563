"""Divergences between two distributions: Kullback–Leibler, Jeffreys and Jensen–Shannon."""

from jaxtyping import Array, Float

from jxent._adapter import PROBS
from jxent._checks import Axis, Mask, Probabilities, UnitInterval, public
from jxent._numerics import kernels
from jxent._numerics.primitives import safe_sqrt

__all__ = ["jeffreys_divergence", "jensen_shannon_distance", "jensen_shannon_divergence", "kl_divergence"]


@public
def kl_divergence(
    p: Probabilities,
    q: Probabilities,
    *,
    axis: Axis = -1,
    where: Mask | None = None,
    base: float | None = None,
    keepdims: bool = False,
) -> Float[Array, "..."]:
    """Kullback–Leibler divergence KL(p‖q) = Σ p·log(p/q) − p + q of q from p, in nats.

    The order matters: p, the distribution of the mean, comes first. For normalised inputs this is
    Σ p·log(p/q), for others the generalised divergence, which is never negative.

    Returns:
        `[...]`, at least 0, and exactly 0 for equal inputs.

    Edge cases: p = 0 contributes q; p > 0 against q = 0 gives +inf.

    Gradient: log(p/q) in p and 1 − p/q in q, both 0 at p = q; where the value is +inf they are infinite
    in the class that makes it so; at p = 0 the value at the smallest normal number.

    Example:
        >>> from jxent import probs
        >>> round(float(probs.kl_divergence([0.5, 0.5], [0.9, 0.1], base=2)), 6)
        0.736966

    Reference: S. Kullback and R. A. Leibler, On information and sufficiency, Annals of Mathematical
    Statistics 22 (1951).
    """
    return PROBS.measure(kernels.KL_DIVERGENCE, p, q, axis=axis, where=where, base=base, keepdims=keepdims)


@public
def jeffreys_divergence(
    p: Probabilities,
    q: Probabilities,
    *,
    axis: Axis = -1,
    where: Mask | None = None,
    base: float | None = None,
    keepdims: bool = False,
) -> Float[Array, "..."]:
    """Jeffreys divergence KL(p‖q) + KL(q‖p) = Σ (p − q)·log(p/q), in nats (or units of `base`).

    Returns:
        `[...]`, symmetric in p and q, at least 0, and exactly 0 for equal inputs.

    Edge cases: p = q = 0 contributes 0; a class possible on one side only gives +inf.

    Gradient: log(p/q) + 1 − q/p in p, and the same with p and q exchanged in q; infinite in the class
    that makes the value infinite.

    Example:
        >>> from jxent import probs
        >>> round(float(probs.jeffreys_divergence([0.5, 0.5], [0.9, 0.1])), 6)
        0.87889

    Reference: H. Jeffreys, An invariant form for the prior probability in estimation problems,
    Proceedings of the Royal Society A 186 (1946).
    """
    return PROBS.measure(kernels.JEFFREYS_DIVERGENCE, p, q, axis=axis, where=where, base=base, keepdims=keepdims)


@public
def jensen_shannon_divergence(
    p: Probabilities,
    q: Probabilities,
    *,
    weight: UnitInterval = 0.5,
    axis: Axis = -1,
    where: Mask | None = None,
    base: float | None = None,
    keepdims: bool = False,
) -> Float[Array, "..."]:
    """Jensen–Shannon divergence w·KL(p‖m) + (1 − w)·KL(q‖m) with m = w·p + (1 − w)·q, in nats.

    Returns:
        `[...]`, from 0, exactly so for equal inputs, to the entropy of the weights: log 2 at w = 1/2.

    Edge cases: finite everywhere; disjoint supports reach the upper end; w = 0 and w = 1 give 0.

    Gradient: w·log(p/m) in p, (1 − w)·log(q/m) in q, KL(p‖m) − KL(q‖m) in w.

    Example:
        >>> from jxent import probs
        >>> float(probs.jensen_shannon_divergence([1.0, 0.0], [0.0, 1.0], base=2))
        1.0

    Reference: J. Lin, Divergence measures based on the Shannon entropy, IEEE Transactions on Information
    Theory 37 (1991), eq. 4.1.
    """
    return PROBS.measure(
        kernels.JENSEN_SHANNON, p, q, theta=(weight,), axis=axis, where=where, base=base, keepdims=keepdims
    )


@public
def jensen_shannon_distance(
    p: Probabilities,
    q: Probabilities,
    *,
    weight: UnitInterval = 0.5,
    axis: Axis = -1,
    where: Mask | None = None,
    base: float | None = None,
    keepdims: bool = False,
) -> Float[Array, "..."]:
    """Jensen–Shannon distance, the square root of the divergence; a metric at weight 1/2.

    √(w·KL(p‖m) + (1 − w)·KL(q‖m)) with m = w·p + (1 − w)·q and w the weight.

    Args:
        base: base of the logarithm under the root; the distance is √(divergence in that base).

    Returns:
        `[...]`, at least 0, and exactly 0 for equal inputs.

    Edge cases: as for `jensen_shannon_divergence`.

    Gradient: that of the divergence over twice the distance; 0 where p = q.

    Example:
        >>> from jxent import probs
        >>> float(probs.jensen_shannon_distance([1.0, 0.0], [0.0, 1.0], base=2))
        1.0

    Reference: D. M. Endres and J. E. Schindelin, A new metric for probability distributions, IEEE
    Transactions on Information Theory 49 (2003).
    """
    return safe_sqrt(
        PROBS.measure(
            kernels.JENSEN_SHANNON, p, q, theta=(weight,), axis=axis, where=where, base=base, keepdims=keepdims
        )
    )
