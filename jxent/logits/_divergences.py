"""Divergences between two distributions given as logits: Kullback–Leibler, Jeffreys and Jensen–Shannon."""

from jaxtyping import Array, Float

from jxent._adapter import LOGITS
from jxent._checks import Axis, Logits, Mask, MeshAxis, Positive, UnitInterval, public
from jxent._numerics import kernels
from jxent._numerics.primitives import safe_sqrt

__all__ = ["jeffreys_divergence", "jensen_shannon_distance", "jensen_shannon_divergence", "kl_divergence"]


@public
def kl_divergence(
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
    """Kullback–Leibler divergence KL(p‖q) = Σ p·log(p/q) of softmax(zq) from softmax(zp), in nats.

    The order matters: zp, the distribution of the mean, comes first.

    Returns:
        `[...]`, at least 0, and exactly 0 for equal inputs.

    Edge cases: a class that is −inf in zp contributes q; one that is −inf in zq alone gives +inf; a row of only −inf
    on either side gives NaN.

    Gradient: pₖ(log(pₖ/qₖ) − KL) in zp and q − p in zq, both 0 at p = q and finite everywhere.

    Example:
        >>> from jxent import logits
        >>> round(float(logits.kl_divergence([0.0, 0.0], [0.0, 1.0])), 6)
        0.120115

    Reference: S. Kullback and R. A. Leibler, On information and sufficiency, Annals of Mathematical
    Statistics 22 (1951).
    """
    return LOGITS.measure(
        kernels.KL_DIVERGENCE,
        zp,
        zq,
        axis=axis,
        where=where,
        base=base,
        keepdims=keepdims,
        axis_name=axis_name,
        scale=(temperature, soft_cap),
    )


@public
def jeffreys_divergence(
    zp: Logits,
    zq: Logits,
    *,
    axis: Axis = -1,
    where: Mask | None = None,
    base: float | None = None,
    keepdims: bool = False,
    axis_name: MeshAxis | None = None,
) -> Float[Array, "..."]:
    """Jeffreys divergence KL(p‖q) + KL(q‖p) = Σ (p − q)·log(p/q) from logits, in nats.

    Returns:
        `[...]`, symmetric in p and q, at least 0, and exactly 0 for equal inputs.

    Edge cases: −inf on both sides contributes 0; a class that is −inf on one side only gives +inf; a row of only −inf
    on either side gives NaN.

    Gradient: pₖ(log(pₖ/qₖ) − KL(p‖q)) + pₖ − qₖ in zp, the same with p and q exchanged in zq; finite
    everywhere.

    Example:
        >>> from jxent import logits
        >>> round(float(logits.jeffreys_divergence([0.0, 0.0], [0.0, 1.0])), 6)
        0.231059

    Reference: H. Jeffreys, An invariant form for the prior probability in estimation problems,
    Proceedings of the Royal Society A 186 (1946).
    """
    return LOGITS.measure(
        kernels.JEFFREYS_DIVERGENCE, zp, zq, axis=axis, where=where, base=base, keepdims=keepdims, axis_name=axis_name
    )


@public
def jensen_shannon_divergence(
    zp: Logits,
    zq: Logits,
    *,
    weight: UnitInterval = 0.5,
    axis: Axis = -1,
    where: Mask | None = None,
    base: float | None = None,
    keepdims: bool = False,
    temperature: Positive = 1.0,
    soft_cap: Positive | None = None,
    axis_name: MeshAxis | None = None,
) -> Float[Array, "..."]:
    """Jensen–Shannon divergence w·KL(p‖m) + (1 − w)·KL(q‖m) with m = w·p + (1 − w)·q, from logits.

    Returns:
        `[...]`, from 0, exactly so for equal inputs, to the entropy of the weights: log 2 at w = 1/2.

    Edge cases: finite everywhere, −inf included; disjoint supports reach the upper end. A row of only −inf gives NaN.

    Gradient: w·pₖ(log(pₖ/mₖ) − KL(p‖m)) in zp, likewise with 1 − w in zq, KL(p‖m) − KL(q‖m) in w.

    Example:
        >>> from jxent import logits
        >>> float(logits.jensen_shannon_divergence([0.0, -200.0], [-200.0, 0.0], base=2))
        1.0

    Reference: J. Lin, Divergence measures based on the Shannon entropy, IEEE Transactions on Information
    Theory 37 (1991), eq. 4.1.
    """
    return LOGITS.measure(
        kernels.JENSEN_SHANNON,
        zp,
        zq,
        theta=(weight,),
        axis=axis,
        where=where,
        base=base,
        keepdims=keepdims,
        axis_name=axis_name,
        scale=(temperature, soft_cap),
    )


@public
def jensen_shannon_distance(
    zp: Logits,
    zq: Logits,
    *,
    weight: UnitInterval = 0.5,
    axis: Axis = -1,
    where: Mask | None = None,
    base: float | None = None,
    keepdims: bool = False,
    axis_name: MeshAxis | None = None,
) -> Float[Array, "..."]:
    """Jensen–Shannon distance, the square root of the divergence; from logits; a metric at weight 1/2.

    √(w·KL(p‖m) + (1 − w)·KL(q‖m)) with m = w·p + (1 − w)·q and w the weight.

    Args:
        base: base of the logarithm under the root; the distance is √(divergence in that base).

    Returns:
        `[...]`, at least 0, and exactly 0 for equal inputs.

    Edge cases: as for `jensen_shannon_divergence`.

    Gradient: that of the divergence over twice the distance; 0 where p = q.

    Example:
        >>> from jxent import logits
        >>> float(logits.jensen_shannon_distance([0.0, -200.0], [-200.0, 0.0], base=2))
        1.0

    Reference: D. M. Endres and J. E. Schindelin, A new metric for probability distributions, IEEE
    Transactions on Information Theory 49 (2003).
    """
    return safe_sqrt(
        LOGITS.measure(
            kernels.JENSEN_SHANNON,
            zp,
            zq,
            theta=(weight,),
            axis=axis,
            where=where,
            base=base,
            keepdims=keepdims,
            axis_name=axis_name,
        )
    )
