"""Measures with an order, from logits: Rényi and Tsallis entropy, Rényi and alpha divergence."""

from jaxtyping import Array, Float

from jxent._adapter import LOGITS
from jxent._checks import Axis, FiniteNumber, Logits, Mask, NonNegative, public
from jxent._numerics import orders, renyi

__all__ = ["alpha_divergence", "renyi_divergence", "renyi_entropy", "tsallis_entropy"]


@public
def renyi_entropy(
    z: Logits,
    alpha: NonNegative,
    *,
    axis: Axis = -1,
    where: Mask | None = None,
    base: float | None = None,
    keepdims: bool = False,
) -> Float[Array, "..."]:
    """Rényi entropy log(Σ p^α)/(1 − α) of p = softmax(z), in nats (or units of `base`).

    Smooth in the order, through Shannon's entropy at 1; log of the number of possible classes at 0, −log max p at
    ∞.

    Args:
        alpha: the order, a scalar in [0, ∞]; traced and differentiable.

    Returns:
        `[...]`, falling in α, from the logarithm of the support to the min-entropy.

    Edge cases: −inf contributes nothing at any order, 0 included; a row of only −inf gives NaN; an empty mask gives
    0.

    Gradient: α/(1 − α)·(p^α/Σ p^α − p), −p(log p + H) at order 1, finite everywhere. −½·Var(log p) in α at order 1.

    Example:
        >>> from jxent import logits
        >>> round(float(logits.renyi_entropy([1.0, 0.0], 2.0)), 6)
        0.499595

    Reference: A. Rényi, On measures of entropy and information, Proceedings of the 4th Berkeley Symposium 1 (1961).
    """
    return LOGITS.measure(renyi.entropy, z, theta=(alpha,), axis=axis, where=where, base=base, keepdims=keepdims)


@public
def tsallis_entropy(
    z: Logits,
    order: NonNegative,
    *,
    axis: Axis = -1,
    where: Mask | None = None,
    keepdims: bool = False,
) -> Float[Array, "..."]:
    """Tsallis entropy (1 − Σ pᵃ)/(a − 1) of p = softmax(z), a number without a unit; Shannon's in nats at 1.

    Args:
        order: the order a, a scalar in [0, ∞]; traced and differentiable.

    Returns:
        `[...]`: the number of possible classes less 1 at order 0, the Gini impurity at 2, 0 at ∞.

    Edge cases: −inf contributes nothing at any order, 0 included; a row of only −inf gives NaN; an empty mask gives
    0.

    Gradient: a/(1 − a)·(pᵃ − p·Σ pᵃ), −p(log p + H) at order 1, finite everywhere. −½·Σ p·log²p in the order at 1.

    Example:
        >>> from jxent import logits
        >>> float(logits.tsallis_entropy([0.0, 0.0, 0.0, 0.0], 2.0))
        0.75

    Reference: C. Tsallis, Possible generalization of Boltzmann–Gibbs statistics, Journal of Statistical Physics 52
    (1988).
    """
    return LOGITS.measure(renyi.tsallis, z, theta=(order,), axis=axis, where=where, keepdims=keepdims)


@public
def renyi_divergence(
    zp: Logits,
    zq: Logits,
    alpha: NonNegative,
    *,
    axis: Axis = -1,
    where: Mask | None = None,
    base: float | None = None,
    keepdims: bool = False,
) -> Float[Array, "..."]:
    """Rényi divergence log(Σ p^α q^(1 − α))/(α − 1) from logits, in nats (or units of `base`).

    Args:
        alpha: the order, a scalar in [0, ∞]; traced and differentiable.

    Returns:
        `[...]`, rising in α: twice the Bhattacharyya distance at ½, KL(p‖q) at 1, log max(p/q) at ∞; exactly 0 for
        equal inputs.

    Edge cases: +inf for disjoint supports, and from order 1 on where a class is −inf in zq alone; a row of only −inf
    on either side gives NaN.

    Gradient: α/(1 − α)·(p − r) in zp and q − r in zq, with r = p^α q^(1 − α)/Σ p^α q^(1 − α), the tilted
    distribution; in zp p(log(p/q) − KL) at order 1. Both are 0 at p = q and finite everywhere.

    Example:
        >>> from jxent import logits
        >>> round(float(logits.renyi_divergence([0.0, 0.0], [0.0, 1.0], 0.5)), 6)
        0.058255

    Reference: T. van Erven and P. Harremoës, Rényi divergence and Kullback–Leibler divergence, IEEE Transactions on
    Information Theory 60 (2014).
    """
    return LOGITS.measure(
        renyi.divergence, zp, zq, theta=(alpha,), axis=axis, where=where, base=base, keepdims=keepdims
    )


@public
def alpha_divergence(
    zp: Logits,
    zq: Logits,
    alpha: FiniteNumber,
    *,
    axis: Axis = -1,
    where: Mask | None = None,
    keepdims: bool = False,
) -> Float[Array, "..."]:
    """Amari's alpha divergence 4/(1 − α²)·(1 − Σ p^((1−α)/2) q^((1+α)/2)) from logits, without a unit.

    Smooth in α through ±1: KL(p‖q) at α = −1, KL(q‖p) at 1.

    Args:
        alpha: α, any finite scalar; traced and differentiable.

    Returns:
        `[...]`, at least 0, and exactly 0 for equal inputs.

    Edge cases: with β = (1 − α)/2 and γ = (1 + α)/2, a class that is −inf in zp alone contributes q/β, and +inf for
    α ≥ 1; one that is −inf in zq alone p/γ, and +inf for α ≤ −1. A row of only −inf gives NaN.

    Error: a few units of roundoff, or ½·|log value| units where that is more, as for any power.

    Gradient: with r = p^β q^γ, (p·Σr − r)/γ in zp and (q·Σr − r)/β in zq, both 0 at p = q and finite everywhere.

    Example:
        >>> from jxent import logits
        >>> round(float(logits.alpha_divergence([0.0, 0.0], [0.0, 1.0], -1.0)), 5)
        0.12011

    Reference: S. Amari, Information Geometry and Its Applications (2016), section 3.5.
    """
    return LOGITS.measure(orders.ALPHA_DIVERGENCE, zp, zq, theta=(alpha,), axis=axis, where=where, keepdims=keepdims)
