"""Gradients of the f-divergence, by hand but for the derivative of the generator."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from jxent._checks import Axis, public
from jxent.closed_form import _shared


@public(compiled=False)
def probs_f_divergence(
    p: ArrayLike,
    q: ArrayLike,
    generator: Callable[[Array], Array],
    *,
    slope_at_infinity: ArrayLike | None = None,
    axis: Axis = -1,
    where: ArrayLike | None = None,
    keepdims: bool = False,
) -> tuple[Float[Array, "..."], Float[Array, "..."]]:
    """Gradients of the f-divergence Σ q·f(p/q).

    By the product and chain rules ∂/∂pₖ = f′(pₖ/qₖ) and ∂/∂qₖ = f(pₖ/qₖ) − pₖ/qₖ·f′(pₖ/qₖ); f′ is the generator's
    own derivative.

    Args:
        p: probabilities `[..., K]`.
        q: probabilities `[..., K]`.
        generator: f, an elementwise function of arrays of ratios p/q.
        slope_at_infinity: lim f(t)/t, a scalar; None stands for ∞.
        axis: as in the function; likewise where and base.
        where: masked elements get gradient 0.
        keepdims: taken so that the same options serve both; a gradient keeps the shape of its argument.

    Returns:
        The gradients in `p` and in `q`, each of the shape of its argument.

    Edge cases: p = 0 stands at the smallest normal ratio; infinite where the value is.

    Gradient: differentiable as the plain expression that it is.

    Example:
        >>> from jxent import closed_form, probs
        >>> measure, gradient = probs.f_divergence, closed_form.probs_f_divergence
        >>> square = lambda t: (t - 1) ** 2
        >>> closed_form.compare(measure, gradient, [0.2, 0.3, 0.5], [0.6, 0.3, 0.1], square).agrees
        True

    Reference: I. Csiszár, Information-type measures of difference of probability distributions and indirect
    observations, Studia Scientiarum Mathematicarum Hungarica 2 (1967).
    """
    del keepdims
    p, q, _, mask, shapes = _shared.rows(("p", "q"), p, q, axis, where)
    in_p, in_q = _slopes((p, q), _shared.logs(p, q), generator, slope_at_infinity)
    return _shared.masked_in_units(in_p, in_q, mask, shapes, None)


@public(compiled=False)
def logits_f_divergence(
    zp: ArrayLike,
    zq: ArrayLike,
    generator: Callable[[Array], Array],
    *,
    slope_at_infinity: ArrayLike | None = None,
    axis: Axis = -1,
    where: ArrayLike | None = None,
    keepdims: bool = False,
) -> tuple[Float[Array, "..."], Float[Array, "..."]]:
    """Gradients of the f-divergence Σ q·f(p/q).

    By the product and chain rules ∂/∂pₖ = f′(pₖ/qₖ) and ∂/∂qₖ = f(pₖ/qₖ) − pₖ/qₖ·f′(pₖ/qₖ); f′ is the generator's
    own derivative. The gradient in the logits is pₖ(sₖ − Σ p·s) for the slopes s in p, and likewise in q.

    Args:
        zp: logits `[..., K]` of p.
        zq: logits `[..., K]` of q.
        generator: f, an elementwise function of arrays of ratios p/q.
        slope_at_infinity: lim f(t)/t, a scalar; None stands for ∞.
        axis: as in the function; likewise where and base.
        where: masked elements get gradient 0.
        keepdims: taken so that the same options serve both; a gradient keeps the shape of its argument.

    Returns:
        The gradients in `zp` and in `zq`, each of the shape of its argument.

    Edge cases: 0 for classes at −inf.

    Gradient: differentiable as the plain expression that it is.

    Example:
        >>> from jxent import closed_form, logits
        >>> measure, gradient = logits.f_divergence, closed_form.logits_f_divergence
        >>> square = lambda t: (t - 1) ** 2
        >>> closed_form.compare(measure, gradient, [2.0, 1.0, 0.0], [0.0, 0.5, 1.0], square).agrees
        True

    Reference: I. Csiszár, Information-type measures of difference of probability distributions and indirect
    observations, Studia Scientiarum Mathematicarum Hungarica 2 (1967).
    """
    del keepdims
    zp, zq, axes, mask, shapes = _shared.rows(("zp", "zq"), zp, zq, axis, where)
    (p, log_p), (q, log_q) = _shared.softmax(zp, axes, mask), _shared.softmax(zq, axes, mask)
    possible = mask & _shared.possible(zp, zq)
    flows = _flows((p, q), (log_p, log_q), possible, generator, slope_at_infinity)
    in_p, in_q = (f - x * _shared.total(f, axes) for f, x in zip(flows, (p, q), strict=True))
    return _shared.in_units(in_p, in_q, shapes, None)


def _flows(
    pair: tuple[Array, Array],
    logarithms: tuple[Array, Array],
    possible: Array,
    generator: Callable[[Array], Array],
    slope_at_infinity: ArrayLike | None,
) -> tuple[Array, Array]:
    """p·f′(t) and q·f(t) − p·f′(t) from the larger of p and q, since the other may underflow where t = p/q does not."""
    limits = _slopes(pair, logarithms, generator, slope_at_infinity)
    limit_p, limit_q = (jnp.where(x == 0, 0.0, x * _shared.finite(s)) for x, s in zip(pair, limits, strict=True))
    p, q = pair
    log_t = logarithms[0] - logarithms[1]
    known = jnp.abs(log_t) < -jnp.log(jnp.finfo(p.dtype).tiny) * (1.0 - 16.0 * jnp.finfo(p.dtype).eps)
    known &= possible & ~(_shared.is_zero(p) & _shared.is_zero(q))
    log_t = jnp.where(known, log_t, 0.0)
    t, over = jnp.exp(log_t), log_t > 0
    value, slope = jax.jvp(generator, (t,), (jnp.ones_like(t),))
    of_p = jnp.where(over, p * slope, q * (t * slope))
    of_q = jnp.where(over, p * (jnp.exp(-log_t) * value - slope), q * (value - t * slope))
    # Where the generator is out of range p has the slope at infinity, or, where that is infinite, none.
    endless = over & jnp.isinf(value)
    of_p = jnp.where(endless, p * (0.0 if slope_at_infinity is None else slope_at_infinity), of_p)
    of_q = jnp.where(endless, 0.0, of_q)
    return jnp.where(known, of_p, limit_p), jnp.where(known, of_q, limit_q)


def _slopes(
    pair: tuple[Array, Array],
    logarithms: tuple[Array, Array],
    generator: Callable[[Array], Array],
    slope_at_infinity: ArrayLike | None,
) -> tuple[Array, Array]:
    """f′(t) and f(t) − t·f′(t) at t = p/q, with their limits where a side is 0."""
    p, q = pair
    smallest = jnp.finfo(p.dtype).tiny
    q_alone, p_alone = _shared.is_zero(q) & ~_shared.is_zero(p), _shared.is_zero(p) & ~_shared.is_zero(q)
    ratio = jnp.exp(jnp.where(_shared.is_zero(q), 0.0, logarithms[0] - logarithms[1]))
    t = jnp.where(_shared.is_zero(p), smallest, ratio)
    value, slope = jax.jvp(generator, (t,), (jnp.ones_like(t),))
    in_p, in_q = slope, value - t * slope
    at_zero = generator(jnp.zeros((), p.dtype))
    at_zero = jnp.where(jnp.isnan(at_zero), generator(jnp.full((), smallest, p.dtype)), at_zero)
    endless = p_alone & jnp.isinf(at_zero)
    in_p = jnp.where(endless, -jnp.inf, in_p)
    in_q = jnp.where(endless, jnp.inf, jnp.where(p_alone, at_zero, in_q))
    if slope_at_infinity is None:
        in_p, in_q = jnp.where(q_alone, jnp.inf, in_p), jnp.where(q_alone, -jnp.inf, in_q)
    else:
        far = jnp.full((), jnp.finfo(p.dtype).eps ** -0.5, p.dtype)
        in_p = jnp.where(q_alone, slope_at_infinity, in_p)
        in_q = jnp.where(q_alone, generator(far) - slope_at_infinity * far, in_q)
    neither = _shared.is_zero(p) & _shared.is_zero(q)
    return jnp.where(neither, 0.0, in_p), jnp.where(neither, 0.0, in_q)
