"""Gradients of the measures of probabilities, by hand."""

import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from jxent._checks import Axis, as_float, elementwise, log_base_factor, public
from jxent.closed_form import _shared


def _lifted(p: Array) -> Array:
    # A slope that diverges at p = 0 is taken at the smallest normal number.
    return jnp.maximum(p, jnp.finfo(p.dtype).tiny)


def _is_zero(p: Array) -> Array:
    return p < jnp.finfo(p.dtype).tiny


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
        >>> closed_form.compare(probs.self_information, closed_form.probs_self_information, [0.2, 0.3, 0.5]).agrees
        True

    Reference: Cover and Thomas, Elements of Information Theory, 2nd ed. (2006), section 2.1.
    """
    p = as_float("p", p)
    return jnp.where(_is_zero(p), -jnp.inf, -1.0 / _lifted(p)) * log_base_factor(base)


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
        >>> closed_form.compare(probs.entropy, closed_form.probs_entropy, [0.2, 0.3, 0.5]).agrees
        True

    Reference: Cover and Thomas, Elements of Information Theory, 2nd ed. (2006), section 2.1.
    """
    del keepdims
    p, _, mask = _shared.row("p", p, axis, where)
    return jnp.where(mask, -(jnp.log(_lifted(p)) + 1.0), 0.0) * log_base_factor(base)


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
        >>> closed_form.compare(probs.perplexity, closed_form.probs_perplexity, [0.2, 0.3, 0.5]).agrees
        True

    Reference: Cover and Thomas, Elements of Information Theory, 2nd ed. (2006), section 2.1.
    """
    del keepdims
    log_base_factor(base)
    p, axes, mask = _shared.row("p", p, axis, where)
    log_p = jnp.log(_lifted(p))
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
        >>> closed_form.compare(probs.cross_entropy, closed_form.probs_cross_entropy, [0.2, 0.3, 0.5], [0.6, 0.3, 0.1]).agrees
        True

    Reference: Cover and Thomas, Elements of Information Theory, 2nd ed. (2006), section 2.3.
    """
    del keepdims
    p, q, _, mask, shapes = _shared.rows(("p", "q"), p, q, axis, where)
    impossible = _is_zero(q) & ~_is_zero(p)
    in_p = jnp.where(impossible, jnp.inf, -jnp.log(_lifted(q)))
    in_q = jnp.where(impossible, -jnp.inf, -p / _lifted(q))
    return _gradients(in_p, in_q, mask, shapes, base)


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
        >>> closed_form.compare(probs.kl_divergence, closed_form.probs_kl_divergence, [0.2, 0.3, 0.5], [0.6, 0.3, 0.1]).agrees
        True

    Reference: Cover and Thomas, Elements of Information Theory, 2nd ed. (2006), section 2.3.
    """
    del keepdims
    p, q, _, mask, shapes = _shared.rows(("p", "q"), p, q, axis, where)
    impossible = _is_zero(q) & ~_is_zero(p)
    in_p = jnp.where(impossible, jnp.inf, _log_ratio(p, q))
    in_q = jnp.where(impossible, -jnp.inf, (_lifted(q) - _lifted(p)) / _lifted(q))
    return _gradients(in_p, in_q, mask, shapes, base)


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
        >>> closed_form.compare(probs.jeffreys_divergence, closed_form.probs_jeffreys_divergence, [0.2, 0.3, 0.5], [0.6, 0.3, 0.1]).agrees
        True

    Reference: H. Jeffreys, Proceedings of the Royal Society A 186 (1946).
    """
    del keepdims
    p, q, _, mask, shapes = _shared.rows(("p", "q"), p, q, axis, where)
    some_p, some_q, log_ratio = _lifted(p), _lifted(q), _log_ratio(p, q)
    no_p, no_q = _is_zero(p) & ~_is_zero(q), _is_zero(q) & ~_is_zero(p)
    in_p = jnp.where(no_p, -jnp.inf, jnp.where(no_q, jnp.inf, log_ratio + (some_p - some_q) / some_p))
    in_q = jnp.where(no_q, -jnp.inf, jnp.where(no_p, jnp.inf, -log_ratio + (some_q - some_p) / some_q))
    return _gradients(in_p, in_q, mask, shapes, base)


@public(domain={"weight": (0.0, 1.0)})
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
        >>> closed_form.compare(probs.jensen_shannon_divergence, closed_form.probs_jensen_shannon_divergence, [0.2, 0.3, 0.5], [0.6, 0.3, 0.1]).agrees
        True

    Reference: J. Lin, IEEE Transactions on Information Theory 37 (1991).
    """
    del keepdims
    p, q, _, mask, shapes = _shared.rows(("p", "q"), p, q, axis, where)
    in_p, in_q = _jensen_shannon(p, q, weight)
    return _gradients(in_p, in_q, mask, shapes, base)


@public(domain={"weight": (0.0, 1.0)})
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
        >>> closed_form.compare(probs.jensen_shannon_distance, closed_form.probs_jensen_shannon_distance, [0.2, 0.3, 0.5], [0.6, 0.3, 0.1]).agrees
        True

    Reference: J. Lin, IEEE Transactions on Information Theory 37 (1991).
    """
    del keepdims
    p, q, axes, mask, shapes = _shared.rows(("p", "q"), p, q, axis, where)
    in_p, in_q = _jensen_shannon(p, q, weight)
    # Homogeneous of degree 1 in (p, q): Euler's theorem gives the value from the gradient.
    value = _shared.total(jnp.where(mask, p * in_p + q * in_q, 0.0), axes) * log_base_factor(base)
    slope = jnp.where(value > 0, 0.5 / jnp.sqrt(jnp.where(value > 0, value, 1.0)), 0.0)
    return _gradients(slope * in_p, slope * in_q, mask, shapes, base)


def _log_ratio(p: Array, q: Array) -> Array:
    return jnp.log(_lifted(p)) - jnp.log(_lifted(q))


def _jensen_shannon(p: Array, q: Array, weight: ArrayLike) -> tuple[Array, Array]:
    w = jnp.asarray(weight, p.dtype)
    p, q = _lifted(p), _lifted(q)
    m = w * p + (1.0 - w) * q
    return w * jnp.log(p / m), (1.0 - w) * jnp.log(q / m)


def _gradients(
    in_p: Array, in_q: Array, mask: Array, shapes: tuple[tuple[int, ...], ...], base: float | None
) -> tuple[Array, Array]:
    scale = log_base_factor(base)
    first, second = (jnp.where(mask, g, 0.0) * scale for g in (in_p, in_q))
    return _shared.fold(first, shapes[0]), _shared.fold(second, shapes[1])


@public()
def probs_binary_entropy(p: ArrayLike, *, base: float | None = None) -> Float[Array, "..."]:
    """Gradient of −p·log p − (1 − p)·log(1 − p): log((1 − p)/p), elementwise.

    Args:
        p: probabilities `[...]`.
        base: unit of the measure, and so of its gradient.

    Returns:
        An array of the shape of `p`.

    Edge cases: finite at 0 and 1.

    Gradient: differentiable as the plain expression that it is.

    Example:
        >>> from jxent import closed_form, probs
        >>> closed_form.compare(probs.binary_entropy, closed_form.probs_binary_entropy, [0.2, 0.3, 0.5]).agrees
        True

    Reference: Cover and Thomas, Elements of Information Theory, 2nd ed. (2006), section 2.1.
    """
    p = as_float("p", p)
    low = jnp.finfo(p.dtype).tiny
    log_not_p = jnp.where(p >= 1, jnp.log(low), jnp.log1p(-jnp.where(p >= 1, 0.0, p)))
    return (log_not_p - jnp.log(_lifted(p))) * log_base_factor(base)


@public()
def probs_binary_cross_entropy(
    p: ArrayLike, q: ArrayLike, *, base: float | None = None
) -> tuple[Float[Array, "..."], Float[Array, "..."]]:
    """Gradients of −[p·log q + (1 − p)·log(1 − q)].

    −log q + log(1 − q) in p; −p/q + (1 − p)/(1 − q) = (q − p)/(q(1 − q)) in q.

    Args:
        p: probabilities `[...]`; a scalar may stand beside any array.
        q: probabilities `[...]`.
        base: unit of the measure, and so of its gradient.

    Returns:
        The gradients in `p` and in `q`, each of the shape of its argument.

    Edge cases: infinite where the value is.

    Gradient: differentiable as the plain expression that it is.

    Example:
        >>> from jxent import closed_form, probs
        >>> closed_form.compare(probs.binary_cross_entropy, closed_form.probs_binary_cross_entropy, [0.2, 0.3], [0.6, 0.3]).agrees
        True

    Reference: Cover and Thomas, Elements of Information Theory, 2nd ed. (2006), section 2.3.
    """
    shapes = (jnp.shape(p), jnp.shape(q))
    p, q = elementwise(p=p, q=q)
    infinite = (_is_zero(q) & ~_is_zero(p)) | (_is_zero(1 - q) & ~_is_zero(1 - p))
    in_p = jnp.log(_lifted(1 - q)) - jnp.log(_lifted(q))
    in_q = -p / _lifted(q) + (1 - p) / _lifted(1 - q)
    in_p, in_q = (jnp.where(infinite, jnp.sign(g) * jnp.inf, g) for g in (in_p, in_q))
    return _binary_gradients(in_p, in_q, shapes, base)


@public()
def probs_binary_kl_divergence(
    p: ArrayLike, q: ArrayLike, *, base: float | None = None
) -> tuple[Float[Array, "..."], Float[Array, "..."]]:
    """Gradients of p·log(p/q) + (1 − p)·log((1 − p)/(1 − q)).

    log(p/q) − log((1 − p)/(1 − q)) in p; −p/q + (1 − p)/(1 − q) = (q − p)/(q(1 − q)) in q.

    Args:
        p: probabilities `[...]`; a scalar may stand beside any array.
        q: probabilities `[...]`.
        base: unit of the measure, and so of its gradient.

    Returns:
        The gradients in `p` and in `q`, each of the shape of its argument.

    Edge cases: 0 at p = q; infinite where the value is.

    Gradient: differentiable as the plain expression that it is.

    Example:
        >>> from jxent import closed_form, probs
        >>> closed_form.compare(probs.binary_kl_divergence, closed_form.probs_binary_kl_divergence, [0.2, 0.3], [0.6, 0.4]).agrees
        True

    Reference: Cover and Thomas, Elements of Information Theory, 2nd ed. (2006), section 2.3.
    """
    shapes = (jnp.shape(p), jnp.shape(q))
    p, q = elementwise(p=p, q=q)
    infinite = (_is_zero(q) & ~_is_zero(p)) | (_is_zero(1 - q) & ~_is_zero(1 - p))
    in_p = _log_ratio(p, q) - _log_ratio(1 - p, 1 - q)
    in_q = (q - p) / (_lifted(q) * _lifted(1 - q))
    in_p, in_q = (jnp.where(infinite, jnp.sign(g) * jnp.inf, g) for g in (in_p, in_q))
    return _binary_gradients(in_p, in_q, shapes, base)


def _binary_gradients(
    in_p: Array, in_q: Array, shapes: tuple[tuple[int, ...], ...], base: float | None
) -> tuple[Array, Array]:
    scale = log_base_factor(base)
    return _shared.fold(in_p * scale, shapes[0]), _shared.fold(in_q * scale, shapes[1])
