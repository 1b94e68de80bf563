"""Kernels of the families with an order: Tsallis and Rényi entropy, Rényi and alpha divergence.

All are differences of powers, which cancel near order 0 or 1 and for close distributions. They are written
as divided differences of the exponential, which are positive. With γ = 1 − β and δ = log(q/p),
[βp + γq − p^β q^γ]/(βγ) = p·δ²·exp[0, γδ, δ]. This is the summand of KL(p‖q) at β = 1 and of KL(q‖p) at
β = 0, and it is smooth in β through both.
"""

import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array

from jxent._numerics.divided import SERIES_SPREAD, decay_ratio, exp_divided, positive_series
from jxent._numerics.kernels import Kernel
from jxent._numerics.logarithm import tiny
from jxent._numerics.pair import Pair


def expm1_ratio(x: Array) -> Array:
    """expm1(x)/x, 1 at 0; saturates where it would overflow."""
    bound = float(np.log(float(jnp.finfo(x.dtype).max))) - 1.0
    x = jnp.where(x > bound, bound, x)
    return exp_divided(jnp.zeros_like(x), (jnp.zeros_like(x), x))


def weighted_expm1(p: Array, log_p: Array, x: Array) -> Array:
    """p·expm1(x), also where p underflowed and the product does not."""
    bound = float(np.log(float(jnp.finfo(x.dtype).max))) - 1.0
    lost = (p < tiny(p.dtype)) & (x > 0.0)
    inside = jnp.where(x > bound, bound, x)
    exponent = jnp.where(lost, log_p + x, 0.0)
    return jnp.where(lost, jnp.exp(jnp.where(exponent > bound, bound, exponent)) - p, p * jnp.expm1(inside))


def _weighted_ratio(p: Array, log_p: Array, x: Array) -> Array:
    """p·expm1(x)/x, 1·p at x = 0."""
    divisor = jnp.where(x == 0.0, 1.0, x)
    direct = weighted_expm1(p, log_p, divisor) / divisor
    return jnp.where(jnp.abs(x) < 1.0, p * expm1_ratio(jnp.where(jnp.abs(x) < 1.0, x, 0.0)), direct)


# Tsallis: (p − p^a)/(a − 1) = p·h with h = −log p·expm1(x)/x and x = (a − 1)·log p.


def _order_slope(s: Pair, a: Array) -> Array:
    """h; at p = 0 its limit 1/(a − 1) for a > 1, else its value at the smallest normal number."""
    h = -s.log_p * expm1_ratio((a - 1.0) * s.log_p)
    above = jnp.where(a > 1.0, a - 1.0, 1.0)
    return jnp.where(s.no_p & (a > 1.0), 1.0 / above, h)


def _order_term(s: Pair, a: Array) -> Array:
    return jnp.where(s.no_p, 0.0, -s.log_p * _weighted_ratio(s.p, s.log_p, (a - 1.0) * s.log_p))


def _order_theta(s: Pair, a: Array) -> Array:
    """d(p·h)/da = −p·(log p)²·exp[0, x, x]."""
    x = (a - 1.0) * s.log_p
    top = lax.stop_gradient(jnp.maximum(x, 0.0))
    scaled = exp_divided(top, (jnp.zeros_like(x), x, x))
    return jnp.where(s.no_p, 0.0, -_times_exp(s.p, s.log_p, top) * s.log_p * s.log_p * scaled)


def _times_exp(p: Array, log_p: Array, x: Array) -> Array:
    """p·exp(x) for x ≥ 0, also where p underflowed."""
    lost = p < tiny(p.dtype)
    return jnp.where(lost, jnp.exp(jnp.where(lost, log_p + x, 0.0)), p * jnp.exp(jnp.where(lost, 0.0, x)))


# Σ (p − p^a)/(a − 1), as for Σp = 1; −Σ p·log p at a = 1.
TSALLIS = Kernel(
    name="tsallis_entropy",
    term=_order_term,
    slope_p=lambda s, a: a * _order_slope(s, a) - 1.0,
    flow_p=lambda s, a: a * _order_term(s, a),
    slope_theta=(_order_theta,),
)


def _alone(s: Pair) -> tuple[Array, Array]:
    """Where p = 0 < q, and where q = 0 < p."""
    return s.no_p & ~s.no_q, s.no_q & ~s.no_p


def _log_ratio(s: Pair) -> Array:
    """δ, bounded so that its cube and reciprocal are finite; beyond the bound the powers are at their limits."""
    bound = float(jnp.finfo(s.delta.dtype).max) ** 0.25
    return jnp.where(jnp.abs(s.delta) > bound, jnp.sign(s.delta) * bound, s.delta)


def _positive(x: Array) -> Array:
    """The array x where it is positive, else 1: a divisor for a quotient that is not used elsewhere."""
    return jnp.where(x > 0.0, x, 1.0)


def _power_term(s: Pair, beta: Array) -> Array:
    """p·δ²·exp[0, γδ, δ], from the largest of the three nodes, so that no intermediate result overflows."""
    gamma = 1.0 - beta
    low, mid, high = jnp.minimum(gamma, 0.0), jnp.clip(gamma, 0.0, 1.0), jnp.maximum(gamma, 1.0)
    up, size = s.delta > 0.0, jnp.abs(_log_ratio(s))
    # The distances of the middle and of the lowest node from the largest.
    to_mid, to_low = size * jnp.where(up, high - mid, mid - low), size * (high - low)
    mid_to_low = size * jnp.where(up, mid - low, high - mid)
    near = to_low < SERIES_SPREAD
    series = (
        to_low * jnp.exp(-to_low) * positive_series([jnp.where(near, mid_to_low, 0.0), jnp.where(near, to_low, 0.0)])
    )
    shape = jnp.where(near, series, decay_ratio(to_mid) - jnp.exp(-to_mid) * decay_ratio(mid_to_low))
    return _largest_power(s, low, high) * (size / (high - low)) * shape


def _largest_power(s: Pair, low: Array, high: Array) -> Array:
    """The largest of p, q and p^β q^γ: p·exp of the largest node."""
    up = s.delta > 0.0
    beyond = jnp.abs(s.delta) * jnp.where(up, high - 1.0, -low)
    larger, log_larger = jnp.where(up, s.q, s.p), jnp.where(up, s.log_q, s.log_p)
    return jnp.where(beyond > 0.0, _times_exp(larger, log_larger, beyond), larger)


def _power_divided(s: Pair, beta: Array, *, repeat: int) -> Array:
    """p·exp[0, γδ, …, δ] with γδ repeated `repeat` times, in a form for autodiff."""
    gamma = 1.0 - beta
    delta = _log_ratio(s)
    x = gamma * delta
    top = lax.stop_gradient(jnp.maximum(jnp.maximum(x, delta), 0.0))
    # p·exp(top) as a constant, and a factor of value 1 that has the derivative of log p.
    weight = lax.stop_gradient(_largest_power(s, jnp.minimum(gamma, 0.0), jnp.maximum(gamma, 1.0)))
    moving = jnp.exp(s.log_p - lax.stop_gradient(s.log_p))
    return weight * moving * exp_divided(top, (jnp.zeros_like(x), *[x] * repeat, delta))


def _power_theta(s: Pair, beta: Array) -> Array:
    """The derivative of the term in β, −p·δ³·exp[0, γδ, γδ, δ]."""
    return -(_log_ratio(s) ** 3) * _power_divided(s, beta, repeat=2)


def _power_slope_p(s: Pair, beta: Array) -> Array:
    """(1 − (q/p)^γ)/γ = −δ·expm1(γδ)/(γδ), and its limit 1/γ where the power vanishes at the boundary."""
    gamma = 1.0 - beta
    p_alone, q_alone = _alone(s)
    inside = -s.delta * expm1_ratio(gamma * s.delta)
    limit = jnp.where(gamma == 0.0, 0.0, 1.0 / jnp.where(gamma == 0.0, 1.0, gamma))
    return jnp.where((p_alone & (gamma < 0.0)) | (q_alone & (gamma > 0.0)), limit, inside)


def _power_slope_q(s: Pair, beta: Array) -> Array:
    """(1 − (p/q)^β)/β: the slope in p of the pair exchanged."""
    return _power_slope_p(exchanged(s), 1.0 - beta)


def exchanged(s: Pair) -> Pair:
    """The pair (q, p)."""
    return Pair(s.q, s.p, s.log_q, s.log_p, -s.diff, -s.delta, s.no_q, s.no_p)


def _power_flow_p(s: Pair, beta: Array) -> Array:
    """(p − p^β q^γ)/γ."""
    gamma = 1.0 - beta
    _, q_alone = _alone(s)
    delta = _log_ratio(s)
    inside = -delta * _weighted_ratio(s.p, s.log_p, gamma * delta)
    inside = jnp.where(q_alone & (gamma > 0.0), s.p / _positive(gamma), inside)
    return jnp.where(s.no_p, 0.0, inside)


def _power_flow_q(s: Pair, beta: Array) -> Array:
    return _power_flow_p(exchanged(s), 1.0 - beta)


def _amari(alpha: Array) -> Array:
    """β of Amari's α: KL(p‖q) at α = −1, KL(q‖p) at +1."""
    return 0.5 * (1.0 - alpha)


def _alpha_term(s: Pair, alpha: Array) -> Array:
    beta = _amari(alpha)
    p_alone, q_alone = _alone(s)
    gamma = 1.0 - beta
    # Where one side is 0, the term is βp/(βγ) or γq/(βγ).
    infinite = jnp.inf + 0.0 * (s.p + s.q)
    at_p = jnp.where(beta > 0.0, s.q / _positive(beta), infinite)
    at_q = jnp.where(gamma > 0.0, s.p / _positive(gamma), infinite)
    inside = jnp.where(s.no_p & s.no_q, 0.0, _power_term(s, beta))
    return jnp.where(p_alone, at_p, jnp.where(q_alone, at_q, inside))


def _alpha_theta(s: Pair, alpha: Array) -> Array:
    beta = _amari(alpha)
    gamma = 1.0 - beta
    p_alone, q_alone = _alone(s)
    at_p = -s.q / _positive(beta) ** 2
    at_q = s.p / _positive(gamma) ** 2
    inside = jnp.where(s.no_p & s.no_q, 0.0, _power_theta(s, beta))
    return -0.5 * jnp.where(p_alone, at_p, jnp.where(q_alone, at_q, inside))


def _alpha_infinite(s: Pair, alpha: Array) -> Array:
    beta = _amari(alpha)
    p_alone, q_alone = _alone(s)
    return (p_alone & (beta <= 0.0)) | (q_alone & (beta >= 1.0))


ALPHA_DIVERGENCE = Kernel(
    name="alpha_divergence",
    term=_alpha_term,
    slope_p=lambda s, alpha: _power_slope_p(s, _amari(alpha)),
    flow_p=lambda s, alpha: _power_flow_p(s, _amari(alpha)),
    slope_q=lambda s, alpha: _power_slope_q(s, _amari(alpha)),
    flow_q=lambda s, alpha: _power_flow_q(s, _amari(alpha)),
    slope_theta=(_alpha_theta,),
    infinite=_alpha_infinite,
)


def _renyi_term(s: Pair, beta: Array) -> Array:
    p_alone, q_alone = _alone(s)
    gamma = 1.0 - beta
    at_q = jnp.where(gamma > 0.0, beta * s.p / _positive(gamma), jnp.inf + 0.0 * (s.p + s.q))
    inside = jnp.where(s.no_p & s.no_q, 0.0, beta * _power_term(s, beta))
    return jnp.where(p_alone, s.q, jnp.where(q_alone, at_q, inside))


def _renyi_theta(s: Pair, beta: Array) -> Array:
    p_alone, q_alone = _alone(s)
    gamma = 1.0 - beta
    inside = jnp.where(
        s.no_p & s.no_q, 0.0, _log_ratio(s) ** 2 * _power_divided(s, beta, repeat=1) + beta * _power_theta(s, beta)
    )
    return jnp.where(p_alone, 0.0, jnp.where(q_alone, s.p / _positive(gamma) ** 2, inside))


# Σ [βp + γq − p^β q^γ]/γ; the Rényi divergence of order β is −log1p(−γ·sum)/γ.
RENYI = Kernel(
    name="renyi_divergence",
    term=_renyi_term,
    slope_p=lambda s, beta: beta * _power_slope_p(s, beta),
    flow_p=lambda s, beta: beta * _power_flow_p(s, beta),
    slope_q=lambda s, beta: jnp.where(s.no_p & ~s.no_q, 1.0, beta * _power_slope_q(s, beta)),
    flow_q=lambda s, beta: jnp.where(s.no_p & ~s.no_q, s.q, beta * _power_flow_q(s, beta)),
    slope_theta=(_renyi_theta,),
    infinite=lambda s, beta: s.no_q & ~s.no_p & (beta >= 1.0),
)
