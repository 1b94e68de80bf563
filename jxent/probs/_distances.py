"""Distances between two distributions: total variation, triangular, Hellinger, χ² and Bhattacharyya."""

from jaxtyping import Array, Float

from jxent._adapter import PROBS
from jxent._checks import Axis, Mask, Probabilities, public
from jxent._numerics import distances, renyi

__all__ = [
    "bhattacharyya_distance",
    "chi_squared_divergence",
    "hellinger_distance",
    "total_variation",
    "triangular_discrimination",
]


@public
def total_variation(
    p: Probabilities,
    q: Probabilities,
    *,
    axis: Axis = -1,
    where: Mask | None = None,
    keepdims: bool = False,
) -> Float[Array, "..."]:
    """Total variation distance ½ Σ |p − q|: the most by which the probability of an event can differ.

    Returns:
        `[...]`, a metric from 0, exactly so for equal inputs, to 1 for disjoint supports.

    Edge cases: finite everywhere.

    Gradient: ½·sign(p − q) in p and the opposite in q; 0 where p = q, the middle of the subgradients.

    Example:
        >>> from jxent import probs
        >>> round(float(probs.total_variation([0.5, 0.5], [0.9, 0.1])), 6)
        0.4

    Reference: D. A. Levin, Y. Peres and E. L. Wilmer, Markov Chains and Mixing Times (2009), section 4.1.
    """
    return PROBS.measure(distances.TOTAL_VARIATION, p, q, axis=axis, where=where, keepdims=keepdims)


@public
def triangular_discrimination(
    p: Probabilities,
    q: Probabilities,
    *,
    axis: Axis = -1,
    where: Mask | None = None,
    keepdims: bool = False,
) -> Float[Array, "..."]:
    """Triangular discrimination Σ (p − q)²/(p + q), a number without a unit.

    Half of it is the Vincze–Le Cam divergence, and its root a metric.

    Returns:
        `[...]`, from 0, exactly so for equal inputs, to 2 for disjoint supports; between V²/2 and V for V = Σ |p − q|.

    Edge cases: finite everywhere; p = q = 0 contributes 0.

    Gradient: with r = (q − p)/(p + q), −r(2 + r) in p and r(2 − r) in q; 0 at p = q and where both are 0.

    Example:
        >>> from jxent import probs
        >>> round(float(probs.triangular_discrimination([0.5, 0.5], [0.9, 0.1])), 6)
        0.380952

    Reference: F. Topsøe, Some inequalities for information divergence and related measures of discrimination, IEEE
    Transactions on Information Theory 46 (2000).
    """
    return PROBS.measure(distances.TRIANGULAR, p, q, axis=axis, where=where, keepdims=keepdims)


@public
def hellinger_distance(
    p: Probabilities,
    q: Probabilities,
    *,
    axis: Axis = -1,
    where: Mask | None = None,
    keepdims: bool = False,
) -> Float[Array, "..."]:
    """Hellinger distance √(½ Σ (√p − √q)²), a number without a unit.

    Returns:
        `[...]`, a metric from 0, exactly so for equal inputs, to 1 for disjoint supports.

    Edge cases: finite everywhere.

    Gradient: with H the distance, (1 − √(q/p))/(4H) in p, likewise in q; 0 at p = q; at p = 0 < q the value at the
    smallest normal number.

    Example:
        >>> from jxent import probs
        >>> round(float(probs.hellinger_distance([0.5, 0.5], [0.9, 0.1])), 6)
        0.32492

    Reference: A. L. Gibbs and F. E. Su, On choosing and bounding probability metrics, International Statistical
    Review 70 (2002).
    """
    return PROBS.measure(renyi.hellinger, p, q, axis=axis, where=where, keepdims=keepdims)


@public
def chi_squared_divergence(
    p: Probabilities,
    q: Probabilities,
    *,
    axis: Axis = -1,
    where: Mask | None = None,
    keepdims: bool = False,
) -> Float[Array, "..."]:
    """Pearson's χ² divergence Σ (p − q)²/q, a number without a unit.

    Returns:
        `[...]`, at least 0, and exactly 0 for equal inputs; in the test of the same name, q are the expected counts.

    Edge cases: p = q = 0 contributes 0; p > 0 where q = 0 gives +inf.

    Gradient: 2(p/q − 1) in p and 1 − (p/q)² in q, both 0 at p = q; infinite in the class that makes the value
    infinite.

    Example:
        >>> from jxent import probs
        >>> round(float(probs.chi_squared_divergence([0.5, 0.5], [0.9, 0.1])), 6)
        1.777778

    Reference: K. Pearson, On the criterion that a given system of deviations is such that it can be reasonably
    supposed to have arisen from random sampling, Philosophical Magazine 50 (1900).
    """
    return PROBS.measure(distances.CHI_SQUARED, p, q, axis=axis, where=where, keepdims=keepdims)


@public
def bhattacharyya_distance(
    p: Probabilities,
    q: Probabilities,
    *,
    axis: Axis = -1,
    where: Mask | None = None,
    base: float | None = None,
    keepdims: bool = False,
) -> Float[Array, "..."]:
    """Bhattacharyya distance −log Σ √(pq), in nats (or units of `base`).

    Evaluated as −log(1 − H²) with H the Hellinger distance, which is the same for distributions; where H² is above
    ½, by the logarithm of Σ √(pq) itself.

    Returns:
        `[...]`, at least 0, and exactly 0 for equal inputs; half the Rényi divergence of order ½.

    Edge cases: +inf for disjoint supports.

    Gradient: ½(1 − √(q/p))/(1 − H²) in p, likewise in q, without the leading 1 where H² is above ½; 0 at p = q; at
    p = 0 < q the value at the smallest normal number; infinite where the value is.

    Example:
        >>> from jxent import probs
        >>> round(float(probs.bhattacharyya_distance([0.5, 0.5], [0.9, 0.1])), 6)
        0.111572

    Reference: A. Bhattacharyya, On a measure of divergence between two statistical populations, Bulletin of the
    Calcutta Mathematical Society 35 (1943).
    """
    return PROBS.measure(renyi.bhattacharyya, p, q, axis=axis, where=where, base=base, keepdims=keepdims)
