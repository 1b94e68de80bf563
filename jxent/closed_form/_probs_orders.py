"""Gradients of the measures with an order and of the distances, from probabilities, by hand."""

import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from jxent._checks import FINITE, NON_NEGATIVE, Axis, log_base_factor, public
from jxent.closed_form import _powers, _shared


@public(domain={"alpha": NON_NEGATIVE})
def probs_renyi_entropy(
    p: ArrayLike,
    alpha: ArrayLike,
    *,
    axis: Axis = -1,
    where: ArrayLike | None = None,
    base: float | None = None,
    keepdims: bool = False,
) -> Float[Array, "..."]:
    """Gradient of the Rényi entropy log Z/(1 − α), Z = Σ p^α.

    ∂Z/∂pₖ = αpₖ^(α−1), so that ∂/∂pₖ = α/(1 − α)·pₖ^(α−1)/Z. Near order 1, where Σp is taken as 1, log Z is log(1 +
    (1 − α)T) with T = Σ (p − p^α)/(α − 1), which gives (α·h − 1)/Z with h = (1 − pₖ^(α−1))/(α − 1), the gradient of
    Shannon's entropy at 1.

    Args:
        p: probabilities `[..., K]`.
        alpha: the order of the measure.
        axis: as in the function; likewise where and base.
        where: masked elements get gradient 0.
        base: unit of the measure, and so of its gradient.
        keepdims: taken so that the same options serve both; a gradient keeps the shape of its argument.

    Returns:
        An array of the shape of `p`.

    Edge cases: at p = 0 the value at the smallest normal number for α < 1; at order ∞ −1/p in the largest, shared
    by equals.

    Gradient: differentiable as the plain expression that it is.

    Example:
        >>> from jxent import closed_form, probs
        >>> measure, gradient = probs.renyi_entropy, closed_form.probs_renyi_entropy
        >>> closed_form.compare(measure, gradient, [0.2, 0.3, 0.5], 2.0).agrees
        True

    Reference: A. Rényi, On measures of entropy and information, Proceedings of the 4th Berkeley Symposium 1 (1961).
    """
    del keepdims
    p, axes, mask = _shared.row("p", p, axis, where)
    slope = _powers.renyi_entropy_slope(p, jnp.log(_shared.lifted(p)), mask, axes, alpha, normalized=False)
    return jnp.where(mask, slope, 0.0) * log_base_factor(base)


@public(domain={"order": NON_NEGATIVE})
def probs_tsallis_entropy(
    p: ArrayLike,
    order: ArrayLike,
    *,
    axis: Axis = -1,
    where: ArrayLike | None = None,
    keepdims: bool = False,
) -> Float[Array, "..."]:
    """Gradient of the Tsallis entropy (1 − Σ pᵃ)/(a − 1).

    ∂/∂pₖ = −a·pₖ^(a−1)/(a − 1). Near order 1, where Σp is taken as 1, the summands are (p − pᵃ)/(a − 1) and their
    slopes a·h − 1 with h = (1 − pₖ^(a−1))/(a − 1).

    Args:
        p: probabilities `[..., K]`.
        order: the order of the measure.
        axis: as in the function; likewise where and base.
        where: masked elements get gradient 0.
        keepdims: taken so that the same options serve both; a gradient keeps the shape of its argument.

    Returns:
        An array of the shape of `p`.

    Edge cases: at p = 0 the value at the smallest normal number for a < 1; 0 at order ∞.

    Gradient: differentiable as the plain expression that it is.

    Example:
        >>> from jxent import closed_form, probs
        >>> measure, gradient = probs.tsallis_entropy, closed_form.probs_tsallis_entropy
        >>> closed_form.compare(measure, gradient, [0.2, 0.3, 0.5], 2.0).agrees
        True

    Reference: C. Tsallis, Possible generalization of Boltzmann–Gibbs statistics, Journal of Statistical Physics 52
    (1988).
    """
    del keepdims
    p, _, mask = _shared.row("p", p, axis, where)
    slope = _powers.tsallis_slope(p, jnp.log(_shared.lifted(p)), order, normalized=False)
    return jnp.where(mask, slope, 0.0)


@public(domain={"alpha": NON_NEGATIVE})
def probs_renyi_divergence(
    p: ArrayLike,
    q: ArrayLike,
    alpha: ArrayLike,
    *,
    axis: Axis = -1,
    where: ArrayLike | None = None,
    base: float | None = None,
    keepdims: bool = False,
) -> tuple[Float[Array, "..."], Float[Array, "..."]]:
    """Gradients of the Rényi divergence −log(1 − S)/γ, γ = 1 − α, S = Σ [αp + γq − p^α q^γ].

    ∂S/∂pₖ = α(1 − (qₖ/pₖ)^γ) and ∂S/∂qₖ = γ(1 − (pₖ/qₖ)^α), each divided by γ(1 − S); where S is above ½ those of
    −log(Σ p^α q^γ)/γ.

    Args:
        p: probabilities `[..., K]`.
        q: probabilities `[..., K]`.
        alpha: the order of the measure.
        axis: as in the function; likewise where and base.
        where: masked elements get gradient 0.
        base: unit of the measure, and so of its gradient.
        keepdims: taken so that the same options serve both; a gradient keeps the shape of its argument.

    Returns:
        The gradients in `p` and in `q`, each of the shape of its argument.

    Edge cases: infinite where the value is; 0 at p = q.

    Gradient: differentiable as the plain expression that it is.

    Example:
        >>> from jxent import closed_form, probs
        >>> measure, gradient = probs.renyi_divergence, closed_form.probs_renyi_divergence
        >>> closed_form.compare(measure, gradient, [0.2, 0.3, 0.5], [0.6, 0.3, 0.1], 2.0).agrees
        True

    Reference: T. van Erven and P. Harremoës, Rényi divergence and Kullback–Leibler divergence, IEEE Transactions on
    Information Theory 60 (2014).
    """
    del keepdims
    p, q, axes, mask, shapes = _shared.rows(("p", "q"), p, q, axis, where)
    in_p, in_q = _powers.renyi_slopes((p, q), _shared.logs(p, q), mask, axes, alpha)
    return _shared.masked_in_units(in_p, in_q, mask, shapes, base)


@public(domain={"alpha": FINITE})
def probs_alpha_divergence(
    p: ArrayLike,
    q: ArrayLike,
    alpha: ArrayLike,
    *,
    axis: Axis = -1,
    where: ArrayLike | None = None,
    keepdims: bool = False,
) -> tuple[Float[Array, "..."], Float[Array, "..."]]:
    """Gradients of Amari's alpha divergence Σ [βp + γq − p^β q^γ]/(βγ), β = (1 − α)/2, γ = (1 + α)/2.

    ∂/∂pₖ = (1 − (qₖ/pₖ)^γ)/γ and ∂/∂qₖ = (1 − (pₖ/qₖ)^β)/β, the logarithms of the ratios at γ = 0 and β = 0.

    Args:
        p: probabilities `[..., K]`.
        q: probabilities `[..., K]`.
        alpha: the order of the measure.
        axis: as in the function; likewise where and base.
        where: masked elements get gradient 0.
        keepdims: taken so that the same options serve both; a gradient keeps the shape of its argument.

    Returns:
        The gradients in `p` and in `q`, each of the shape of its argument.

    Edge cases: infinite where the value is; 0 at p = q.

    Gradient: differentiable as the plain expression that it is.

    Example:
        >>> from jxent import closed_form, probs
        >>> measure, gradient = probs.alpha_divergence, closed_form.probs_alpha_divergence
        >>> closed_form.compare(measure, gradient, [0.2, 0.3, 0.5], [0.6, 0.3, 0.1], 0.5).agrees
        True

    Reference: S. Amari, Information Geometry and Its Applications (2016), section 3.5.
    """
    del keepdims
    p, q, _, mask, shapes = _shared.rows(("p", "q"), p, q, axis, where)
    in_p, in_q = _powers.alpha_slopes((p, q), _shared.logs(p, q), alpha)
    return _shared.masked_in_units(in_p, in_q, mask, shapes, None)


@public()
def probs_total_variation(
    p: ArrayLike,
    q: ArrayLike,
    *,
    axis: Axis = -1,
    where: ArrayLike | None = None,
    keepdims: bool = False,
) -> tuple[Float[Array, "..."], Float[Array, "..."]]:
    """Gradients of the total variation ½ Σ |p − q|.

    ∂/∂pₖ = ½·sign(pₖ − qₖ), and the opposite in q.

    Args:
        p: probabilities `[..., K]`.
        q: probabilities `[..., K]`.
        axis: as in the function; likewise where and base.
        where: masked elements get gradient 0.
        keepdims: taken so that the same options serve both; a gradient keeps the shape of its argument.

    Returns:
        The gradients in `p` and in `q`, each of the shape of its argument.

    Edge cases: 0 where p = q.

    Gradient: differentiable as the plain expression that it is.

    Example:
        >>> from jxent import closed_form, probs
        >>> measure, gradient = probs.total_variation, closed_form.probs_total_variation
        >>> closed_form.compare(measure, gradient, [0.2, 0.3, 0.5], [0.6, 0.3, 0.1]).agrees
        True

    Reference: D. A. Levin, Y. Peres and E. L. Wilmer, Markov Chains and Mixing Times (2009), section 4.1.
    """
    del keepdims
    p, q, _, mask, shapes = _shared.rows(("p", "q"), p, q, axis, where)
    in_p, in_q = 0.5 * jnp.sign(p - q), 0.5 * jnp.sign(q - p)
    return _shared.masked_in_units(in_p, in_q, mask, shapes, None)


@public()
def probs_hellinger_distance(
    p: ArrayLike,
    q: ArrayLike,
    *,
    axis: Axis = -1,
    where: ArrayLike | None = None,
    keepdims: bool = False,
) -> tuple[Float[Array, "..."], Float[Array, "..."]]:
    """Gradients of the Hellinger distance √H², H² = ½ Σ (√p − √q)².

    ∂H²/∂pₖ = ½(1 − √(qₖ/pₖ)), likewise in q; by the chain rule those over 2H, and 0 where H is.

    Args:
        p: probabilities `[..., K]`.
        q: probabilities `[..., K]`.
        axis: as in the function; likewise where and base.
        where: masked elements get gradient 0.
        keepdims: taken so that the same options serve both; a gradient keeps the shape of its argument.

    Returns:
        The gradients in `p` and in `q`, each of the shape of its argument.

    Edge cases: 0 at p = q; at p = 0 < q the value at the smallest normal number.

    Gradient: differentiable as the plain expression that it is.

    Example:
        >>> from jxent import closed_form, probs
        >>> measure, gradient = probs.hellinger_distance, closed_form.probs_hellinger_distance
        >>> closed_form.compare(measure, gradient, [0.2, 0.3, 0.5], [0.6, 0.3, 0.1]).agrees
        True

    Reference: A. L. Gibbs and F. E. Su, On choosing and bounding probability metrics, International Statistical
    Review 70 (2002).
    """
    del keepdims
    p, q, axes, mask, shapes = _shared.rows(("p", "q"), p, q, axis, where)
    in_p, in_q = _powers.hellinger_slopes((p, q), _shared.logs(p, q), mask, axes)
    return _shared.masked_in_units(in_p, in_q, mask, shapes, None)


@public()
def probs_chi_squared_divergence(
    p: ArrayLike,
    q: ArrayLike,
    *,
    axis: Axis = -1,
    where: ArrayLike | None = None,
    keepdims: bool = False,
) -> tuple[Float[Array, "..."], Float[Array, "..."]]:
    """Gradients of χ² = Σ (p − q)²/q = Σ p²/q − 2p + q.

    ∂/∂pₖ = 2(pₖ/qₖ − 1) and ∂/∂qₖ = 1 − (pₖ/qₖ)².

    Args:
        p: probabilities `[..., K]`.
        q: probabilities `[..., K]`.
        axis: as in the function; likewise where and base.
        where: masked elements get gradient 0.
        keepdims: taken so that the same options serve both; a gradient keeps the shape of its argument.

    Returns:
        The gradients in `p` and in `q`, each of the shape of its argument.

    Edge cases: infinite where the value is; 0 at p = q.

    Gradient: differentiable as the plain expression that it is.

    Example:
        >>> from jxent import closed_form, probs
        >>> measure, gradient = probs.chi_squared_divergence, closed_form.probs_chi_squared_divergence
        >>> closed_form.compare(measure, gradient, [0.2, 0.3, 0.5], [0.6, 0.3, 0.1]).agrees
        True

    Reference: K. Pearson, On the criterion that a given system of deviations is such that it can be reasonably
    supposed to have arisen from random sampling, Philosophical Magazine 50 (1900).
    """
    del keepdims
    p, q, _, mask, shapes = _shared.rows(("p", "q"), p, q, axis, where)
    in_p, in_q = _powers.chi_squared_slopes((p, q), _shared.logs(p, q))
    return _shared.masked_in_units(in_p, in_q, mask, shapes, None)


@public()
def probs_bhattacharyya_distance(
    p: ArrayLike,
    q: ArrayLike,
    *,
    axis: Axis = -1,
    where: ArrayLike | None = None,
    base: float | None = None,
    keepdims: bool = False,
) -> tuple[Float[Array, "..."], Float[Array, "..."]]:
    """Gradients of the Bhattacharyya distance −log(1 − H²), H² = ½ Σ (√p − √q)².

    By the chain rule those of H² over 1 − H²; where H² is above ½ those of −log Σ √(pq).

    Args:
        p: probabilities `[..., K]`.
        q: probabilities `[..., K]`.
        axis: as in the function; likewise where and base.
        where: masked elements get gradient 0.
        base: unit of the measure, and so of its gradient.
        keepdims: taken so that the same options serve both; a gradient keeps the shape of its argument.

    Returns:
        The gradients in `p` and in `q`, each of the shape of its argument.

    Edge cases: infinite where the value is; 0 at p = q.

    Gradient: differentiable as the plain expression that it is.

    Example:
        >>> from jxent import closed_form, probs
        >>> measure, gradient = probs.bhattacharyya_distance, closed_form.probs_bhattacharyya_distance
        >>> closed_form.compare(measure, gradient, [0.2, 0.3, 0.5], [0.6, 0.3, 0.1]).agrees
        True

    Reference: A. Bhattacharyya, On a measure of divergence between two statistical populations, Bulletin of the
    Calcutta Mathematical Society 35 (1943).
    """
    del keepdims
    p, q, axes, mask, shapes = _shared.rows(("p", "q"), p, q, axis, where)
    in_p, in_q = _powers.bhattacharyya_slopes((p, q), _shared.logs(p, q), mask, axes)
    return _shared.masked_in_units(in_p, in_q, mask, shapes, base)
