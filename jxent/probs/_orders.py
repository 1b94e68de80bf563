"""Measures with an order: Rényi and Tsallis entropy, Rényi and alpha divergence."""

from jaxtyping import Array, Float

from jxent._adapter import PROBS
from jxent._checks import Axis, FiniteNumber, Mask, NonNegative, Probabilities, public
from jxent._numerics import orders, renyi

__all__ = ["alpha_divergence", "renyi_divergence", "renyi_entropy", "tsallis_entropy"]


@public
def renyi_entropy(
    p: Probabilities,
    alpha: NonNegative,
    *,
    axis: Axis = -1,
    where: Mask | None = None,
    base: float | None = None,
    keepdims: bool = False,
) -> Float[Array, "..."]:
    """Rényi entropy log(Σ p^α)/(1 − α) of order α, in nats (or units of `base`).

    Smooth in the order, through Shannon's entropy at 1 (within 1/32 of order 1 a mass that rounding moved off 1
    is taken as 1); log of the number of possible classes at 0, −log max p at ∞.

    Args:
        alpha: the order, a scalar in [0, ∞]; traced and differentiable.

    Returns:
        `[...]`, falling in α, from the logarithm of the support to the min-entropy.

    Edge cases: p = 0 contributes nothing at any order, 0 included; an empty mask gives 0.

    Gradient: α/(1 − α)·p^(α − 1)/Σ p^α in p, −(log p + 1) at order 1; for α < 1 it diverges at p = 0 and
    takes the value at the smallest normal number. −½·Var(log p) in α at order 1.

    Example:
        >>> from jxent import probs
        >>> round(float(probs.renyi_entropy([0.5, 0.25, 0.25], 2.0)), 6)
        0.980829

    Reference: A. Rényi, On measures of entropy and information, Proceedings of the 4th Berkeley Symposium
    1 (1961).
    """
    return PROBS.measure(renyi.entropy, p, theta=(alpha,), axis=axis, where=where, base=base, keepdims=keepdims)


@public
def tsallis_entropy(
    p: Probabilities,
    order: NonNegative,
    *,
    axis: Axis = -1,
    where: Mask | None = None,
    keepdims: bool = False,
) -> Float[Array, "..."]:
    """Tsallis entropy (1 − Σ pᵃ)/(a − 1) of order a, a number without a unit; Shannon's in nats at 1.

    Args:
        order: the order a, a scalar in [0, ∞]; traced and differentiable.

    Returns:
        `[...]`: the number of possible classes less 1 at order 0, the Gini impurity at 2, 0 at ∞.

    Edge cases: p = 0 contributes nothing at any order, 0 included; within 1/32 of order 1 a mass that
    rounding moved off 1 is taken as 1; an empty mask gives 0.

    Gradient: a/(1 − a)·p^(a − 1) in p, −(log p + 1) at order 1; for a < 1 it diverges at p = 0 and takes the
    value at the smallest normal number. −½·Σ p·log²p in the order at 1.

    Example:
        >>> from jxent import probs
        >>> float(probs.tsallis_entropy([0.5, 0.25, 0.25], 2.0))
        0.625

    Reference: C. Tsallis, Possible generalization of Boltzmann–Gibbs statistics, Journal of Statistical
    Physics 52 (1988).
    """
    return PROBS.measure(renyi.tsallis, p, theta=(order,), axis=axis, where=where, keepdims=keepdims)


@public
def renyi_divergence(
    p: Probabilities,
    q: Probabilities,
    alpha: NonNegative,
    *,
    axis: Axis = -1,
    where: Mask | None = None,
    base: float | None = None,
    keepdims: bool = False,
) -> Float[Array, "..."]:
    """Rényi divergence log(Σ p^α q^(1 − α))/(α − 1) of order α, in nats (or units of `base`).

    Evaluated as −log(1 − S)/(1 − α) with S = Σ [αp + (1 − α)q − p^α q^(1 − α)], which is the same for
    distributions, without cancellation; where S is above ½, by the logarithm of the sum of powers.

    Args:
        alpha: the order, a scalar in [0, ∞]; traced and differentiable.

    Returns:
        `[...]`, rising in α: −log Q(p > 0) at 0, twice the Bhattacharyya distance at ½, KL(p‖q) at 1,
        log max(p/q) at ∞; exactly 0 for equal inputs.

    Edge cases: +inf for disjoint supports, and from order 1 on where p > 0 meets q = 0.

    Gradient: α/(1 − α)·(1 − (q/p)^(1 − α))/(1 − S) in p, (1 − (p/q)^α)/(1 − S) in q, without the leading 1 where S
    is above ½; 0 at p = q, infinite where the value is.

    Example:
        >>> from jxent import probs
        >>> round(float(probs.renyi_divergence([0.5, 0.5], [0.25, 0.75], 2.0)), 6)
        0.287682

    Reference: T. van Erven and P. Harremoës, Rényi divergence and Kullback–Leibler divergence, IEEE
    Transactions on Information Theory 60 (2014).
    """
    return PROBS.measure(renyi.divergence, p, q, theta=(alpha,), axis=axis, where=where, base=base, keepdims=keepdims)


@public
def alpha_divergence(
    p: Probabilities,
    q: Probabilities,
    alpha: FiniteNumber,
    *,
    axis: Axis = -1,
    where: Mask | None = None,
    keepdims: bool = False,
) -> Float[Array, "..."]:
    """Amari's alpha divergence 4/(1 − α²)·(1 − Σ p^((1−α)/2) q^((1+α)/2)), a number without a unit.

    Evaluated as Σ [βp + γq − p^β q^γ]/(βγ) with β = (1 − α)/2 and γ = (1 + α)/2, which is the same for
    distributions, without cancellation; smooth in α through ±1.

    Args:
        alpha: α, any finite scalar; traced and differentiable.

    Returns:
        `[...]`: KL(p‖q) at α = −1, KL(q‖p) at 1, four times the squared Hellinger distance at 0; at least 0,
        and exactly 0 for equal inputs.

    Edge cases: p = 0 < q contributes q/β, and +inf for α ≥ 1; q = 0 < p contributes p/γ, and +inf for
    α ≤ −1.

    Error: a few units of roundoff, or ½·|log value| units where that is more, as for any power.

    Gradient: (1 − (q/p)^γ)/γ in p and (1 − (p/q)^β)/β in q, both 0 at p = q; infinite in the class that makes
    the value infinite.

    Example:
        >>> from jxent import probs
        >>> round(float(probs.alpha_divergence([0.5, 0.5], [0.9, 0.1], 0.0)), 6)
        0.422291

    Reference: S. Amari, Information Geometry and Its Applications (2016), section 3.5.
    """
    return PROBS.measure(orders.ALPHA_DIVERGENCE, p, q, theta=(alpha,), axis=axis, where=where, keepdims=keepdims)
