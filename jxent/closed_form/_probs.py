"""Gradients of the measures of probabilities, by hand."""

import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from jxent import probs as _probs
from jxent._checks import UNIT, Axis, as_float, log_base_factor, public
from jxent.closed_form import _shared
from jxent.closed_form._shared import is_zero, lifted, log_ratio


@public()
def probs_self_information(p: ArrayLike, *, base: float | None = None) -> Float[Array, "..."]:
    """Gradient of −log p: −1/p, elementwise.

    Args:
        p: probabilities `[...]`.
        base: unit of the measure, and so of its gradient.

    Returns:
        An array of the shape of `p`.

    Edge cases: −inf at p = 0.

    Gradient: differentiable as the plain expression that it is.

    Example:
        >>> from jxent import closed_form, probs
        >>> measure, gradient = probs.self_information, closed_form.probs_self_information
        >>> closed_form.compare(measure, gradient, [0.2, 0.3, 0.5]).agrees
        True

    Reference: Cover and Thomas, Elements of Information Theory, 2nd ed. (2006), section 2.1.
    """
    p = as_float("p", p)
    return jnp.where(is_zero(p), -jnp.inf, -1.0 / lifted(p)) * log_base_factor(base)


@public()
def probs_entropy(
    p: ArrayLike,
    *,
    axis: Axis = -1,
    where: ArrayLike | None = None,
    base: float | None = None,
    keepdims: bool = False,
) -> Float[Array, "..."]:
    """Gradient of H(p) = −Σ p·log p.

    By the product rule ∂H/∂pₖ = −log pₖ − pₖ/pₖ = −(log pₖ + 1).

    Args:
        p: probabilities `[..., K]`.
        axis: as in the function; likewise where and base.
        where: masked elements get gradient 0.
        base: unit of the measure, and so of its gradient.
        keepdims: taken so that the same options serve both; the gradient keeps the shape of `p`.

    Returns:
        An array of the shape of `p`.

    Edge cases: at p = 0 the value at the smallest normal number.

    Gradient: differentiable as the plain expression that it is.

    Example:
        >>> from jxent import closed_form, probs
        >>> measure, gradient = probs.entropy, closed_form.probs_entropy
        >>> closed_form.compare(measure, gradient, [0.2, 0.3, 0.5]).agrees
        True

    Reference: Cover and Thomas, Elements of Information Theory, 2nd ed. (2006), section 2.1.
    """
    del keepdims
    p, _, mask = _shared.row("p", p, axis, where)
    return jnp.where(mask, -(jnp.log(lifted(p)) + 1.0), 0.0) * log_base_factor(base)


@public()
def probs_perplexity(
    p: ArrayLike,
    *,
    axis: Axis = -1,
    where: ArrayLike | None = None,
    base: float | None = None,
    keepdims: bool = False,
) -> Float[Array, "..."]:
    """Gradient of exp H(p).

    By the chain rule exp(H)·∂H/∂pₖ = −exp(H)·(log pₖ + 1).

    Args:
        p: probabilities `[..., K]`.
        axis: as in the function; likewise where and base.
        where: masked elements get gradient 0.
        base: unit of the measure, and so of its gradient.
        keepdims: taken so that the same options serve both; the gradient keeps the shape of `p`.

    Returns:
        An array of the shape of `p`.

    Edge cases: at p = 0 the value at the smallest normal number; the base cancels.

    Gradient: differentiable as the plain expression that it is.

    Example:
        >>> from jxent import closed_form, probs
        >>> measure, gradient = probs.perplexity, closed_form.probs_perplexity
        >>> closed_form.compare(measure, gradient, [0.2, 0.3, 0.5]).agrees
        True

    Reference: Cover and Thomas, Elements of Information Theory, 2nd ed. (2006), section 2.1.
    """
    del keepdims
    log_base_factor(base)
    p, axes, mask = _shared.row("p", p, axis, where)
    log_p = jnp.log(lifted(p))
    exp_entropy = jnp.exp(_shared.total(jnp.where(mask, -p * log_p, 0.0), axes))
    return jnp.where(mask, -exp_entropy * (log_p + 1.0), 0.0)


@public()
def probs_cross_entropy(
    p: ArrayLike,
    q: ArrayLike,
    *,
    axis: Axis = -1,
    where: ArrayLike | None = None,
    base: float | None = None,
    keepdims: bool = False,
) -> tuple[Float[Array, "..."], Float[Array, "..."]]:
    """Gradients of H(p, q) = −Σ p·log q.

    It is linear in p, so that ∂/∂pₖ = −log qₖ; and ∂/∂qₖ = −pₖ/qₖ.

    Args:
        p: probabilities `[..., K]`.
        q: probabilities `[..., K]`.
        axis: as in the function; likewise where and base.
        where: masked elements get gradient 0.
        base: unit of the measure, and so of its gradient.
        keepdims: taken so that the same options serve both; a gradient keeps the shape of its argument.

    Returns:
        The gradients in `p` and in `q`, each of the shape of its argument.

    Edge cases: where p > 0 meets q = 0: +inf in p and −inf in q.

    Gradient: differentiable as the plain expression that it is.

    Example:
        >>> from jxent import closed_form, probs
        >>> measure, gradient = probs.cross_entropy, closed_form.probs_cross_entropy
        >>> closed_form.compare(measure, gradient, [0.2, 0.3, 0.5], [0.6, 0.3, 0.1]).agrees
        True

    Reference: Cover and Thomas, Elements of Information Theory, 2nd ed. (2006), section 2.3.
    """
    del keepdims
    p, q, _, mask, shapes = _shared.rows(("p", "q"), p, q, axis, where)
    impossible = is_zero(q) & ~is_zero(p)
    in_p = jnp.where(impossible, jnp.inf, -jnp.log(lifted(q)))
    in_q = jnp.where(impossible, -jnp.inf, -p / lifted(q))
    return _shared.masked_in_units(in_p, in_q, mask, shapes, base)


@public()
def probs_kl_divergence(
    p: ArrayLike,
    q: ArrayLike,
    *,
    axis: Axis = -1,
    where: ArrayLike | None = None,
    base: float | None = None,
    keepdims: bool = False,
) -> tuple[Float[Array, "..."], Float[Array, "..."]]:
    """Gradients of KL(p‖q) = Σ p·log(p/q) − p + q.

    ∂/∂pₖ = log(pₖ/qₖ) + 1 − 1 = log(pₖ/qₖ), and ∂/∂qₖ = 1 − pₖ/qₖ: both vanish at p = q.

    Args:
        p: probabilities `[..., K]`.
        q: probabilities `[..., K]`.
        axis: as in the function; likewise where and base.
        where: masked elements get gradient 0.
        base: unit of the measure, and so of its gradient.
        keepdims: taken so that the same options serve both; a gradient keeps the shape of its argument.

    Returns:
        The gradients in `p` and in `q`, each of the shape of its argument.

    Edge cases: where p > 0 meets q = 0: +inf in p and −inf in q; at p = 0 the value at the smallest normal number.

    Gradient: differentiable as the plain expression that it is.

    Example:
        >>> from jxent import closed_form, probs
        >>> measure, gradient = probs.kl_divergence, closed_form.probs_kl_divergence
        >>> closed_form.compare(measure, gradient, [0.2, 0.3, 0.5], [0.6, 0.3, 0.1]).agrees
        True

    Reference: Cover and Thomas, Elements of Information Theory, 2nd ed. (2006), section 2.3.
    """
    del keepdims
    p, q, _, mask, shapes = _shared.rows(("p", "q"), p, q, axis, where)
    impossible = is_zero(q) & ~is_zero(p)
    in_p = jnp.where(impossible, jnp.inf, log_ratio(p, q))
    in_q = jnp.where(impossible, -jnp.inf, (lifted(q) - lifted(p)) / lifted(q))
    return _shared.masked_in_units(in_p, in_q, mask, shapes, base)


@public()
def probs_jeffreys_divergence(
    p: ArrayLike,
    q: ArrayLike,
    *,
    axis: Axis = -1,
    where: ArrayLike | None = None,
    base: float | None = None,
    keepdims: bool = False,
) -> tuple[Float[Array, "..."], Float[Array, "..."]]:
    """Gradients of Σ (p − q)·log(p/q).

    ∂/∂pₖ = log(pₖ/qₖ) + (pₖ − qₖ)/pₖ, and by symmetry ∂/∂qₖ = log(qₖ/pₖ) + (qₖ − pₖ)/qₖ.

    Args:
        p: probabilities `[..., K]`.
        q: probabilities `[..., K]`.
        axis: as in the function; likewise where and base.
        where: masked elements get gradient 0.
        base: unit of the measure, and so of its gradient.
        keepdims: taken so that the same options serve both; a gradient keeps the shape of its argument.

    Returns:
        The gradients in `p` and in `q`, each of the shape of its argument.

    Edge cases: where only one side is 0: −inf in that one and +inf in the other.

    Gradient: differentiable as the plain expression that it is.

    Example:
        >>> from jxent import closed_form, probs
        >>> measure, gradient = probs.jeffreys_divergence, closed_form.probs_jeffreys_divergence
        >>> closed_form.compare(measure, gradient, [0.2, 0.3, 0.5], [0.6, 0.3, 0.1]).agrees
        True

    Reference: H. Jeffreys, Proceedings of the Royal Society A 186 (1946).
    """
    del keepdims
    p, q, _, mask, shapes = _shared.rows(("p", "q"), p, q, axis, where)
    some_p, some_q, log_pq = lifted(p), lifted(q), log_ratio(p, q)
    no_p, no_q = is_zero(p) & ~is_zero(q), is_zero(q) & ~is_zero(p)
    in_p = jnp.where(no_p, -jnp.inf, jnp.where(no_q, jnp.inf, log_pq + (some_p - some_q) / some_p))
    in_q = jnp.where(no_q, -jnp.inf, jnp.where(no_p, jnp.inf, -log_pq + (some_q - some_p) / some_q))
    return _shared.masked_in_units(in_p, in_q, mask, shapes, base)


@public(domain={"weight": UNIT})
def probs_jensen_shannon_divergence(
    p: ArrayLike,
    q: ArrayLike,
    *,
    weight: ArrayLike = 0.5,
    axis: Axis = -1,
    where: ArrayLike | None = None,
    base: float | None = None,
    keepdims: bool = False,
) -> tuple[Float[Array, "..."], Float[Array, "..."]]:
    """Gradients of w·KL(p‖m) + (1 − w)·KL(q‖m), m = w·p + (1 − w)·q.

    The derivative through m is w(1 − p/m) + (1 − w)(1 − q/m) = 0 in every class: m is the point that
    minimises the sum. What is left is w·log(pₖ/mₖ) in p and (1 − w)·log(qₖ/mₖ) in q.

    Args:
        p: probabilities `[..., K]`.
        q: probabilities `[..., K]`.
        weight: the weight of the first in the mixture.
        axis: as in the function; likewise where and base.
        where: masked elements get gradient 0.
        base: unit of the measure, and so of its gradient.
        keepdims: taken so that the same options serve both; a gradient keeps the shape of its argument.

    Returns:
        The gradients in `p` and in `q`, each of the shape of its argument.

    Edge cases: at p = 0 the value at the smallest normal number.

    Gradient: differentiable as the plain expression that it is.

    Example:
        >>> from jxent import closed_form, probs
        >>> measure, gradient = probs.jensen_shannon_divergence, closed_form.probs_jensen_shannon_divergence
        >>> closed_form.compare(measure, gradient, [0.2, 0.3, 0.5], [0.6, 0.3, 0.1]).agrees
        True

    Reference: J. Lin, IEEE Transactions on Information Theory 37 (1991).
    """
    del keepdims
    p, q, _, mask, shapes = _shared.rows(("p", "q"), p, q, axis, where)
    in_p, in_q = _jensen_shannon(p, q, weight)
    return _shared.masked_in_units(in_p, in_q, mask, shapes, base)


@public(domain={"weight": UNIT})
def probs_jensen_shannon_distance(
    p: ArrayLike,
    q: ArrayLike,
    *,
    weight: ArrayLike = 0.5,
    axis: Axis = -1,
    where: ArrayLike | None = None,
    base: float | None = None,
    keepdims: bool = False,
) -> tuple[Float[Array, "..."], Float[Array, "..."]]:
    """Gradients of the square root of the Jensen–Shannon divergence D.

    By the chain rule those of D over 2√D; 0 where D = 0.

    Args:
        p: probabilities `[..., K]`.
        q: probabilities `[..., K]`.
        weight: the weight of the first in the mixture.
        axis: as in the function; likewise where and base.
        where: masked elements get gradient 0.
        base: unit of the measure, and so of its gradient.
        keepdims: taken so that the same options serve both; a gradient keeps the shape of its argument.

    Returns:
        The gradients in `p` and in `q`, each of the shape of its argument.

    Edge cases: 0 at p = q.

    Gradient: differentiable as the plain expression that it is.

    Example:
        >>> from jxent import closed_form, probs
        >>> measure, gradient = probs.jensen_shannon_distance, closed_form.probs_jensen_shannon_distance
        >>> closed_form.compare(measure, gradient, [0.2, 0.3, 0.5], [0.6, 0.3, 0.1]).agrees
        True

    Reference: J. Lin, IEEE Transactions on Information Theory 37 (1991).
    """
    del keepdims
    p, q, axes, mask, shapes = _shared.rows(("p", "q"), p, q, axis, where)
    in_p, in_q = _jensen_shannon(p, q, weight)
    value = _probs.jensen_shannon_divergence(p, q, weight=weight, axis=axes, where=mask, base=base, keepdims=True)
    slope = _shared.half_over_root(value)
    return _shared.masked_in_units(slope * in_p, slope * in_q, mask, shapes, base)


def _jensen_shannon(p: Array, q: Array, weight: ArrayLike) -> tuple[Array, Array]:
    w = jnp.asarray(weight, p.dtype)
    v = 1.0 - w
    p, q = lifted(p), lifted(q)
    m = w * p + v * q

    def log_share(to: Array, excess: Array) -> Array:
        # p/m = 1 + (1 − w)(p − q)/m: near equality the logarithm of the rounded ratio has lost its digits.
        near = jnp.abs(excess) < 0.5
        return jnp.where(near, jnp.log1p(jnp.where(near, excess, 0.0)), jnp.log(to / m))

    return w * log_share(p, v * (p - q) / m), v * log_share(q, w * (q - p) / m)
