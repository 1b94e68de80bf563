"""Gradients of the measures with an order and of the distances, from logits, by hand."""

import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from jxent._checks import FINITE, NON_NEGATIVE, Axis, log_base_factor, public
from jxent.closed_form import _powers, _shared


@public(domain={"alpha": NON_NEGATIVE})
def logits_renyi_entropy(
    z: ArrayLike,
    alpha: ArrayLike,
    *,
    axis: Axis = -1,
    where: ArrayLike | None = None,
    base: float | None = None,
    keepdims: bool = False,
) -> Float[Array, "..."]:
    """Gradient of the Rényi entropy log Z/(1 − α), Z = Σ p^α.

    With the slopes sₖ = α·h/Z, h = (1 − pₖ^(α−1))/(α − 1), the gradient in the logits is pₖ(sₖ − Σ p·s).

    Args:
        z: logits `[..., K]`.
        alpha: the order of the measure.
        axis: as in the function; likewise where and base.
        where: masked elements get gradient 0.
        base: unit of the measure, and so of its gradient.
        keepdims: taken so that the same options serve both; a gradient keeps the shape of its argument.

    Returns:
        An array of the shape of `z`.

    Edge cases: 0 for classes at −inf.

    Gradient: differentiable as the plain expression that it is.

    Example:
        >>> from jxent import closed_form, logits
        >>> measure, gradient = logits.renyi_entropy, closed_form.logits_renyi_entropy
        >>> closed_form.compare(measure, gradient, [2.0, 1.0, 0.0], 2.0).agrees
        True

    Reference: A. Rényi, On measures of entropy and information, Proceedings of the 4th Berkeley Symposium 1 (1961).
    """
    del keepdims
    z, axes, mask = _shared.row("z", z, axis, where)
    p, log_p = _shared.softmax(z, axes, mask)
    slope = _powers.renyi_entropy_slope(p, log_p, mask, axes, alpha, normalized=True)
    return _shared.through_softmax(p, slope, axes) * log_base_factor(base)


@public(domain={"order": NON_NEGATIVE})
def logits_tsallis_entropy(
    z: ArrayLike,
    order: ArrayLike,
    *,
    axis: Axis = -1,
    where: ArrayLike | None = None,
    keepdims: bool = False,
) -> Float[Array, "..."]:
    """Gradient of the Tsallis entropy (1 − Σ pᵃ)/(a − 1).

    With the slopes sₖ = a·h, h = (1 − pₖ^(a−1))/(a − 1), the gradient in the logits is pₖ(sₖ − Σ p·s).

    Args:
        z: logits `[..., K]`.
        order: the order of the measure.
        axis: as in the function; likewise where and base.
        where: masked elements get gradient 0.
        keepdims: taken so that the same options serve both; a gradient keeps the shape of its argument.

    Returns:
        An array of the shape of `z`.

    Edge cases: 0 for classes at −inf, and at order ∞.

    Gradient: differentiable as the plain expression that it is.

    Example:
        >>> from jxent import closed_form, logits
        >>> measure, gradient = logits.tsallis_entropy, closed_form.logits_tsallis_entropy
        >>> closed_form.compare(measure, gradient, [2.0, 1.0, 0.0], 2.0).agrees
        True

    Reference: C. Tsallis, Possible generalization of Boltzmann–Gibbs statistics, Journal of Statistical Physics 52
    (1988).
    """
    del keepdims
    z, axes, mask = _shared.row("z", z, axis, where)
    p, log_p = _shared.softmax(z, axes, mask)
    slope = _powers.tsallis_slope(p, log_p, order, normalized=True)
    return _shared.through_softmax(p, slope, axes)


@public(domain={"alpha": NON_NEGATIVE})
def logits_renyi_divergence(
    zp: ArrayLike,
    zq: ArrayLike,
    alpha: ArrayLike,
    *,
    axis: Axis = -1,
    where: ArrayLike | None = None,
    base: float | None = None,
    keepdims: bool = False,
) -> tuple[Float[Array, "..."], Float[Array, "..."]]:
    """Gradients of the Rényi divergence −log(1 − S)/γ, γ = 1 − α, S = Σ [αp + γq − p^α q^γ].

    ∂S/∂pₖ = α(1 − (qₖ/pₖ)^γ) and ∂S/∂qₖ = γ(1 − (pₖ/qₖ)^α), each divided by γ(1 − S); where S is above ½ those of
    −log(Σ p^α q^γ)/γ. The gradient in the logits is pₖ(sₖ − Σ p·s) for the slopes s in p, and likewise in q.

    Args:
        zp: logits `[..., K]` of p.
        zq: logits `[..., K]` of q.
        alpha: the order of the measure.
        axis: as in the function; likewise where and base.
        where: masked elements get gradient 0.
        base: unit of the measure, and so of its gradient.
        keepdims: taken so that the same options serve both; a gradient keeps the shape of its argument.

    Returns:
        The gradients in `zp` and in `zq`, each of the shape of its argument.

    Edge cases: 0 for classes at −inf and at p = q.

    Gradient: differentiable as the plain expression that it is.

    Example:
        >>> from jxent import closed_form, logits
        >>> measure, gradient = logits.renyi_divergence, closed_form.logits_renyi_divergence
        >>> closed_form.compare(measure, gradient, [2.0, 1.0, 0.0], [0.0, 0.5, 1.0], 2.0).agrees
        True

    Reference: T. van Erven and P. Harremoës, Rényi divergence and Kullback–Leibler divergence, IEEE Transactions on
    Information Theory 60 (2014).
    """
    del keepdims
    zp, zq, axes, mask, shapes = _shared.rows(("zp", "zq"), zp, zq, axis, where)
    (p, log_p), (q, log_q) = _shared.softmax(zp, axes, mask), _shared.softmax(zq, axes, mask)
    in_p, in_q = _powers.renyi_flows((p, q), (log_p, log_q), mask & _shared.possible(zp, zq), axes, alpha)
    return _shared.in_units(in_p, in_q, shapes, base)


@public(domain={"alpha": FINITE})
def logits_alpha_divergence(
    zp: ArrayLike,
    zq: ArrayLike,
    alpha: ArrayLike,
    *,
    axis: Axis = -1,
    where: ArrayLike | None = None,
    keepdims: bool = False,
) -> tuple[Float[Array, "..."], Float[Array, "..."]]:
    """Gradients of Amari's alpha divergence Σ [βp + γq − p^β q^γ]/(βγ), β = (1 − α)/2, γ = (1 + α)/2.

    ∂/∂pₖ = (1 − (qₖ/pₖ)^γ)/γ and ∂/∂qₖ = (1 − (pₖ/qₖ)^β)/β, the logarithms of the ratios at γ = 0 and β = 0. The
    gradient in the logits is pₖ(sₖ − Σ p·s) for the slopes s in p, and likewise in q.

    Args:
        zp: logits `[..., K]` of p.
        zq: logits `[..., K]` of q.
        alpha: the order of the measure.
        axis: as in the function; likewise where and base.
        where: masked elements get gradient 0.
        keepdims: taken so that the same options serve both; a gradient keeps the shape of its argument.

    Returns:
        The gradients in `zp` and in `zq`, each of the shape of its argument.

    Edge cases: 0 for classes at −inf and at p = q.

    Gradient: differentiable as the plain expression that it is.

    Example:
        >>> from jxent import closed_form, logits
        >>> measure, gradient = logits.alpha_divergence, closed_form.logits_alpha_divergence
        >>> closed_form.compare(measure, gradient, [2.0, 1.0, 0.0], [0.0, 0.5, 1.0], 0.5).agrees
        True

    Reference: S. Amari, Information Geometry and Its Applications (2016), section 3.5.
    """
    del keepdims
    zp, zq, axes, mask, shapes = _shared.rows(("zp", "zq"), zp, zq, axis, where)
    (p, log_p), (q, log_q) = _shared.softmax(zp, axes, mask), _shared.softmax(zq, axes, mask)
    sides = (mask & (zp != -jnp.inf), mask & (zq != -jnp.inf))
    in_p, in_q = _powers.alpha_flows((p, q), (log_p, log_q), sides, axes, alpha)
    return _shared.in_units(in_p, in_q, shapes, None)


@public()
def logits_total_variation(
    zp: ArrayLike,
    zq: ArrayLike,
    *,
    axis: Axis = -1,
    where: ArrayLike | None = None,
    keepdims: bool = False,
) -> tuple[Float[Array, "..."], Float[Array, "..."]]:
    """Gradients of the total variation ½ Σ |p − q|.

    ∂/∂pₖ = ½·sign(pₖ − qₖ), and the opposite in q. The gradient in the logits is pₖ(sₖ − Σ p·s) for the slopes s in
    p, and likewise in q.

    Args:
        zp: logits `[..., K]` of p.
        zq: logits `[..., K]` of q.
        axis: as in the function; likewise where and base.
        where: masked elements get gradient 0.
        keepdims: taken so that the same options serve both; a gradient keeps the shape of its argument.

    Returns:
        The gradients in `zp` and in `zq`, each of the shape of its argument.

    Edge cases: 0 where p = q.

    Gradient: differentiable as the plain expression that it is.

    Example:
        >>> from jxent import closed_form, logits
        >>> measure, gradient = logits.total_variation, closed_form.logits_total_variation
        >>> closed_form.compare(measure, gradient, [2.0, 1.0, 0.0], [0.0, 0.5, 1.0]).agrees
        True

    Reference: D. A. Levin, Y. Peres and E. L. Wilmer, Markov Chains and Mixing Times (2009), section 4.1.
    """
    del keepdims
    zp, zq, axes, mask, shapes = _shared.rows(("zp", "zq"), zp, zq, axis, where)
    (p, _), (q, _) = _shared.softmax(zp, axes, mask), _shared.softmax(zq, axes, mask)
    in_p, in_q = (_shared.through_softmax(x, 0.5 * jnp.sign(x - y), axes) for x, y in ((p, q), (q, p)))
    return _shared.in_units(in_p, in_q, shapes, None)


@public()
def logits_hellinger_distance(
    zp: ArrayLike,
    zq: ArrayLike,
    *,
    axis: Axis = -1,
    where: ArrayLike | None = None,
    keepdims: bool = False,
) -> tuple[Float[Array, "..."], Float[Array, "..."]]:
    """Gradients of the Hellinger distance √H², H² = ½ Σ (√p − √q)².

    ∂H²/∂pₖ = ½(1 − √(qₖ/pₖ)), likewise in q; by the chain rule those over 2H, and 0 where H is. The gradient in the
    logits is pₖ(sₖ − Σ p·s) for the slopes s in p, and likewise in q.

    Args:
        zp: logits `[..., K]` of p.
        zq: logits `[..., K]` of q.
        axis: as in the function; likewise where and base.
        where: masked elements get gradient 0.
        keepdims: taken so that the same options serve both; a gradient keeps the shape of its argument.

    Returns:
        The gradients in `zp` and in `zq`, each of the shape of its argument.

    Edge cases: 0 at p = q.

    Gradient: differentiable as the plain expression that it is.

    Example:
        >>> from jxent import closed_form, logits
        >>> measure, gradient = logits.hellinger_distance, closed_form.logits_hellinger_distance
        >>> closed_form.compare(measure, gradient, [2.0, 1.0, 0.0], [0.0, 0.5, 1.0]).agrees
        True

    Reference: A. L. Gibbs and F. E. Su, On choosing and bounding probability metrics, International Statistical
    Review 70 (2002).
    """
    del keepdims
    zp, zq, axes, mask, shapes = _shared.rows(("zp", "zq"), zp, zq, axis, where)
    (p, log_p), (q, log_q) = _shared.softmax(zp, axes, mask), _shared.softmax(zq, axes, mask)
    in_p, in_q = _powers.hellinger_flows((p, q), (log_p, log_q), mask, axes)
    return _shared.in_units(in_p, in_q, shapes, None)


@public()
def logits_chi_squared_divergence(
    zp: ArrayLike,
    zq: ArrayLike,
    *,
    axis: Axis = -1,
    where: ArrayLike | None = None,
    keepdims: bool = False,
) -> tuple[Float[Array, "..."], Float[Array, "..."]]:
    """Gradients of χ² = Σ (p − q)²/q = Σ p²/q − 2p + q.

    ∂/∂pₖ = 2(pₖ/qₖ − 1) and ∂/∂qₖ = 1 − (pₖ/qₖ)². The gradient in the logits is pₖ(sₖ − Σ p·s) for the slopes s in
    p, and likewise in q.

    Args:
        zp: logits `[..., K]` of p.
        zq: logits `[..., K]` of q.
        axis: as in the function; likewise where and base.
        where: masked elements get gradient 0.
        keepdims: taken so that the same options serve both; a gradient keeps the shape of its argument.

    Returns:
        The gradients in `zp` and in `zq`, each of the shape of its argument.

    Edge cases: 0 for classes at −inf and at p = q.

    Gradient: differentiable as the plain expression that it is.

    Example:
        >>> from jxent import closed_form, logits
        >>> measure, gradient = logits.chi_squared_divergence, closed_form.logits_chi_squared_divergence
        >>> closed_form.compare(measure, gradient, [2.0, 1.0, 0.0], [0.0, 0.5, 1.0]).agrees
        True

    Reference: K. Pearson, On the criterion that a given system of deviations is such that it can be reasonably
    supposed to have arisen from random sampling, Philosophical Magazine 50 (1900).
    """
    del keepdims
    zp, zq, axes, mask, shapes = _shared.rows(("zp", "zq"), zp, zq, axis, where)
    (p, log_p), (q, log_q) = _shared.softmax(zp, axes, mask), _shared.softmax(zq, axes, mask)
    in_p, in_q = _powers.chi_squared_flows((p, q), (log_p, log_q), mask, axes)
    return _shared.in_units(in_p, in_q, shapes, None)


@public()
def logits_bhattacharyya_distance(
    zp: ArrayLike,
    zq: ArrayLike,
    *,
    axis: Axis = -1,
    where: ArrayLike | None = None,
    base: float | None = None,
    keepdims: bool = False,
) -> tuple[Float[Array, "..."], Float[Array, "..."]]:
    """Gradients of the Bhattacharyya distance −log(1 − H²), H² = ½ Σ (√p − √q)².

    By the chain rule those of H² over 1 − H²; where H² is above ½ those of −log Σ √(pq). The gradient in the logits
    is pₖ(sₖ − Σ p·s) for the slopes s in p, and likewise in q.

    Args:
        zp: logits `[..., K]` of p.
        zq: logits `[..., K]` of q.
        axis: as in the function; likewise where and base.
        where: masked elements get gradient 0.
        base: unit of the measure, and so of its gradient.
        keepdims: taken so that the same options serve both; a gradient keeps the shape of its argument.

    Returns:
        The gradients in `zp` and in `zq`, each of the shape of its argument.

    Edge cases: 0 for classes at −inf and at p = q.

    Gradient: differentiable as the plain expression that it is.

    Example:
        >>> from jxent import closed_form, logits
        >>> measure, gradient = logits.bhattacharyya_distance, closed_form.logits_bhattacharyya_distance
        >>> closed_form.compare(measure, gradient, [2.0, 1.0, 0.0], [0.0, 0.5, 1.0]).agrees
        True

    Reference: A. Bhattacharyya, On a measure of divergence between two statistical populations, Bulletin of the
    Calcutta Mathematical Society 35 (1943).
    """
    del keepdims
    zp, zq, axes, mask, shapes = _shared.rows(("zp", "zq"), zp, zq, axis, where)
    (p, log_p), (q, log_q) = _shared.softmax(zp, axes, mask), _shared.softmax(zq, axes, mask)
    in_p, in_q = (
        0.5 * x for x in _powers.renyi_flows((p, q), (log_p, log_q), mask & _shared.possible(zp, zq), axes, 0.5)
    )
    return _shared.in_units(in_p, in_q, shapes, base)
