"""Distances between two distributions given as logits: total variation, triangular, Hellinger, χ²
and Bhattacharyya.
"""

from jaxtyping import Array, Float

from jxent._adapter import LOGITS
from jxent._checks import Axis, Logits, Mask, MeshAxis, public
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
    zp: Logits,
    zq: Logits,
    *,
    axis: Axis = -1,
    where: Mask | None = None,
    keepdims: bool = False,
    axis_name: MeshAxis | None = None,
) -> Float[Array, "..."]:
    """Total variation distance ½ Σ |p − q|, from logits: the most by which the probability of an event can differ.

    Returns:
        `[...]`, a metric from 0, exactly so for equal inputs, to 1 for disjoint supports.

    Edge cases: finite everywhere, −inf included; a row of only −inf on either side gives NaN.

    Gradient: with s = ½·sign(p − q), p(s − Σ p·s) in zp and −q(s − Σ q·s) in zq; s is 0 where p = q.

    Example:
        >>> from jxent import logits
        >>> round(float(logits.total_variation([0.0, 0.0], [0.0, 1.0])), 6)
        0.231059

    Reference: D. A. Levin, Y. Peres and E. L. Wilmer, Markov Chains and Mixing Times (2009), section 4.1.
    """
    return LOGITS.measure(
        distances.TOTAL_VARIATION, zp, zq, axis=axis, where=where, keepdims=keepdims, axis_name=axis_name
    )


@public
def triangular_discrimination(
    zp: Logits,
    zq: Logits,
    *,
    axis: Axis = -1,
    where: Mask | None = None,
    keepdims: bool = False,
    axis_name: MeshAxis | None = None,
) -> Float[Array, "..."]:
    """Triangular discrimination Σ (p − q)²/(p + q) of softmax(zp) and softmax(zq), a number without a unit.

    Half of it is the Vincze–Le Cam divergence, and its root a metric.

    Returns:
        `[...]`, from 0, exactly so for equal inputs, to 2 for disjoint supports; between V²/2 and V for V = Σ |p − q|.

    Edge cases: finite everywhere; p = q = 0 contributes 0.

    Gradient: pₖ(sₖ − Σ p·s) with the slopes s = −r(2 + r) in p, r = (q − p)/(p + q); in zq with r(2 − r); 0 at p = q.

    Example:
        >>> from jxent import logits
        >>> round(float(logits.triangular_discrimination([0.0, 0.0], [0.0, 1.0])), 6)
        0.112798

    Reference: F. Topsøe, Some inequalities for information divergence and related measures of discrimination, IEEE
    Transactions on Information Theory 46 (2000).
    """
    return LOGITS.measure(distances.TRIANGULAR, zp, zq, axis=axis, where=where, keepdims=keepdims, axis_name=axis_name)


@public
def hellinger_distance(
    zp: Logits,
    zq: Logits,
    *,
    axis: Axis = -1,
    where: Mask | None = None,
    keepdims: bool = False,
    axis_name: MeshAxis | None = None,
) -> Float[Array, "..."]:
    """Hellinger distance √(½ Σ (√p − √q)²), from logits, a number without a unit.

    Returns:
        `[...]`, a metric from 0, exactly so for equal inputs, to 1 for disjoint supports.

    Edge cases: finite everywhere, −inf included; a row of only −inf on either side gives NaN.

    Gradient: with H the distance and c = Σ √(pq), (c·p − √(pq))/(4H) in zp, likewise in zq; 0 at p = q and finite
    everywhere.

    Example:
        >>> from jxent import logits
        >>> round(float(logits.hellinger_distance([0.0, 0.0], [0.0, 1.0])), 6)
        0.169432

    Reference: A. L. Gibbs and F. E. Su, On choosing and bounding probability metrics, International Statistical
    Review 70 (2002).
    """
    return LOGITS.measure(renyi.hellinger, zp, zq, axis=axis, where=where, keepdims=keepdims, axis_name=axis_name)


@public
def chi_squared_divergence(
    zp: Logits,
    zq: Logits,
    *,
    axis: Axis = -1,
    where: Mask | None = None,
    keepdims: bool = False,
    axis_name: MeshAxis | None = None,
) -> Float[Array, "..."]:
    """Pearson's χ² divergence Σ (p − q)²/q, from logits, a number without a unit.

    Returns:
        `[...]`, at least 0, and exactly 0 for equal inputs; in the test of the same name, q are the expected counts.

    Edge cases: a class that is −inf in zp contributes q; one that is −inf in zq alone gives +inf; so does a value
    beyond the range of the dtype; a row of only −inf on either side gives NaN.

    Gradient: with c = χ² + 1, 2(p²/q − c·p) in zp and c·q − p²/q in zq, both 0 at p = q and finite everywhere.

    Example:
        >>> from jxent import logits
        >>> round(float(logits.chi_squared_divergence([0.0, 0.0], [0.0, 1.0])), 6)
        0.27154

    Reference: K. Pearson, On the criterion that a given system of deviations is such that it can be reasonably
    supposed to have arisen from random sampling, Philosophical Magazine 50 (1900).
    """
    return LOGITS.measure(distances.CHI_SQUARED, zp, zq, axis=axis, where=where, keepdims=keepdims, axis_name=axis_name)


@public
def bhattacharyya_distance(
    zp: Logits,
    zq: Logits,
    *,
    axis: Axis = -1,
    where: Mask | None = None,
    base: float | None = None,
    keepdims: bool = False,
) -> Float[Array, "..."]:
    """Bhattacharyya distance −log Σ √(pq), from logits, in nats (or units of `base`).

    Evaluated as −log(1 − H²) with H the Hellinger distance, which is the same for distributions; where H² is above
    ½, by the logarithm of Σ √(pq) itself.

    Returns:
        `[...]`, at least 0, and exactly 0 for equal inputs; half the Rényi divergence of order ½.

    Edge cases: +inf for disjoint supports; a row of only −inf on either side gives NaN.

    Gradient: with r = √(pq)/Σ √(pq), ½(p − r) in zp and ½(q − r) in zq; 0 at p = q and finite everywhere.

    Example:
        >>> from jxent import logits
        >>> round(float(logits.bhattacharyya_distance([0.0, 0.0], [0.0, 1.0])), 6)
        0.029127

    Reference: A. Bhattacharyya, On a measure of divergence between two statistical populations, Bulletin of the
    Calcutta Mathematical Society 35 (1943).
    """
    return LOGITS.measure(renyi.bhattacharyya, zp, zq, axis=axis, where=where, base=base, keepdims=keepdims)
