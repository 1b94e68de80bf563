"""Gradients of the f-divergence for `probs` and `logits`, by hand except for the derivative of the generator."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array

from jxent import logits, probs
from jxent.closed_form._gradient_of import of_logits, of_probabilities
from jxent.closed_form._rows import Row, total

__all__ = ["logits_f_divergence", "probs_f_divergence"]

SQUARE = "lambda t: (t - 1) ** 2"
BOUNDARY = "p = 0 counts as the smallest normal ratio; infinite where the value is."


def _f_divergence(
    p: Row, q: Row, *, generator: Callable[[Array], Array], slope_at_infinity: ArrayLike | None
) -> tuple[Array, Array]:
    """Of Σ q·f(p/q), by the product and chain rules: ∂/∂pₖ = f′(pₖ/qₖ) and ∂/∂qₖ = f(pₖ/qₖ) − pₖ/qₖ·f′(pₖ/qₖ).

    f′ is the generator's own derivative.
    """
    smallest = jnp.finfo(p.p.dtype).tiny
    q_alone, p_alone = q.zero & ~p.zero, p.zero & ~q.zero
    t = jnp.where(p.zero, smallest, jnp.exp(jnp.where(q.zero, 0.0, p.log - q.log)))
    value, slope = jax.jvp(generator, (t,), (jnp.ones_like(t),))
    in_p, in_q = slope, value - t * slope
    at_zero = generator(jnp.zeros((), p.p.dtype))
    at_zero = jnp.where(jnp.isnan(at_zero), generator(jnp.full((), smallest, p.p.dtype)), at_zero)
    endless = p_alone & jnp.isinf(at_zero)
    in_p = jnp.where(endless, -jnp.inf, in_p)
    in_q = jnp.where(endless, jnp.inf, jnp.where(p_alone, at_zero, in_q))
    if slope_at_infinity is None:
        in_p, in_q = jnp.where(q_alone, jnp.inf, in_p), jnp.where(q_alone, -jnp.inf, in_q)
    else:
        far = jnp.full((), jnp.finfo(p.p.dtype).eps ** -0.5, p.p.dtype)
        in_p = jnp.where(q_alone, slope_at_infinity, in_p)
        in_q = jnp.where(q_alone, generator(far) - slope_at_infinity * far, in_q)
    neither = p.zero & q.zero
    return jnp.where(neither, 0.0, in_p), jnp.where(neither, 0.0, in_q)


probs_f_divergence = of_probabilities(probs.f_divergence, SQUARE, edge=BOUNDARY)(_f_divergence)


@of_logits(logits.f_divergence, SQUARE)
def logits_f_divergence(
    p: Row, q: Row, *, generator: Callable[[Array], Array], slope_at_infinity: ArrayLike | None
) -> tuple[Array, Array]:
    """Of Σ q·f(t), t = p/q: with the flows g = p·f′(t) and h = q·f(t) − p·f′(t) they are g − p·Σ g and h − q·Σ h.

    The flows are computed from the larger of p and q, since the other may underflow where t does not; f′ is the
    generator's own derivative.
    """
    limits = _f_divergence(p, q, generator=generator, slope_at_infinity=slope_at_infinity)
    # In the logits every derivative is finite: an infinite slope is replaced by half the largest number.
    bound = 0.5 * float(jnp.finfo(p.p.dtype).max)
    limit_p, limit_q = (
        jnp.where(x.p == 0, 0.0, x.p * jnp.clip(s, -bound, bound)) for x, s in zip((p, q), limits, strict=True)
    )
    log_t = p.log - q.log
    in_range = jnp.abs(log_t) < -jnp.log(jnp.finfo(p.p.dtype).tiny) * (1.0 - 16.0 * jnp.finfo(p.p.dtype).eps)
    in_range &= p.possible & q.possible & ~(p.zero & q.zero)
    log_t = jnp.where(in_range, log_t, 0.0)
    t, over = jnp.exp(log_t), log_t > 0
    value, slope = jax.jvp(generator, (t,), (jnp.ones_like(t),))
    flow_p = jnp.where(over, p.p * slope, q.p * (t * slope))
    flow_q = jnp.where(over, p.p * (jnp.exp(-log_t) * value - slope), q.p * (value - t * slope))
    # Where f(p/q) is out of range, p has the slope at infinity, or 0 if that is infinite.
    endless = over & jnp.isinf(value)
    flow_p = jnp.where(endless, p.p * (0.0 if slope_at_infinity is None else slope_at_infinity), flow_p)
    flow_p = jnp.where(in_range, flow_p, limit_p)
    flow_q = jnp.where(in_range, jnp.where(endless, 0.0, flow_q), limit_q)
    return p.balanced(flow_p - p.p * total(flow_p)), q.balanced(flow_q - q.p * total(flow_q))
