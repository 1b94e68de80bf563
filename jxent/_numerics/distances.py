"""Kernels of total variation, triangular discrimination, Hellinger and χ²."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from jxent._numerics.kernels import Kernel
from jxent._numerics.logarithm import tiny
from jxent._numerics.orders import exchanged, weighted_expm1
from jxent._numerics.pair import Pair
from jxent._numerics.primitives import quotient

TOTAL_VARIATION = Kernel(
    name="total_variation",
    term=lambda s: 0.5 * jnp.abs(s.diff),
    slope_p=lambda s: -0.5 * jnp.sign(s.diff),
    flow_p=lambda s: -0.5 * s.p * jnp.sign(s.diff),
    slope_q=lambda s: 0.5 * jnp.sign(s.diff),
    flow_q=lambda s: 0.5 * s.q * jnp.sign(s.diff),
)


def _apart(s: Pair) -> Array:
    """(q − p)/(p + q), 0 where both are 0."""
    return quotient(s.diff, s.p + s.q)


TRIANGULAR = Kernel(
    name="triangular_discrimination",
    term=lambda s: s.diff * _apart(s),
    slope_p=lambda s: -_apart(s) * (2.0 + _apart(s)),
    flow_p=lambda s: -s.p * _apart(s) * (2.0 + _apart(s)),
    slope_q=lambda s: _apart(s) * (2.0 - _apart(s)),
    flow_q=lambda s: s.q * _apart(s) * (2.0 - _apart(s)),
)


def _bounded(x: Array) -> Array:
    bound = float(np.log(float(jnp.finfo(x.dtype).max))) - 4.0
    return jnp.where(x > bound, bound, x)


def _hellinger_term(s: Pair) -> Array:
    """½(√p − √q)² as ½((q − p)/(√p + √q))², which does not cancel."""
    roots = jnp.sqrt(s.p) + jnp.sqrt(s.q)
    share = s.diff / jnp.where(roots == 0.0, 1.0, roots)
    return 0.5 * share * share


def _hellinger_flow(s: Pair) -> Array:
    """½(p − √(pq))."""
    inside = -0.5 * weighted_expm1(s.p, s.log_p, 0.5 * s.delta)
    return jnp.where(s.no_p, 0.0, jnp.where(s.no_q, 0.5 * s.p, inside))


def _hellinger_slope(s: Pair) -> Array:
    """½(1 − √(q/p)); ½ where q = 0 < p."""
    return jnp.where(s.no_q & ~s.no_p, 0.5, -0.5 * jnp.expm1(_bounded(0.5 * s.delta)))


# The square of the Hellinger distance.
HELLINGER = Kernel(
    name="hellinger",
    term=_hellinger_term,
    slope_p=_hellinger_slope,
    flow_p=_hellinger_flow,
    slope_q=lambda s: _hellinger_slope(exchanged(s)),
    flow_q=lambda s: _hellinger_flow(exchanged(s)),
)

# Below this δ = log(q/p), p/q is so large that p²/q is computed by itself.
_FAR = -8.0


def _ratio_less_one(s: Pair) -> Array:
    """p/q − 1, bounded."""
    return jnp.where(s.no_p & ~s.no_q, quotient(s.p, s.q) - 1.0, jnp.expm1(_bounded(-s.delta)))


def _chi_squared_term(s: Pair) -> Array:
    """(p − q)²/q = (p − q)(p/q − 1); for large p/q by p²/q, which may be in range where p/q is not."""
    far = (s.delta < _FAR) & ~s.no_q
    inside = jnp.where(far, _square_over(s, far) - 2.0 * s.p + s.q, -s.diff * _ratio_less_one(s))
    # NaN where p or q is NaN.
    alone = jnp.inf + 0.0 * (s.p + s.q)
    return jnp.where(s.no_q, jnp.where(s.no_p, 0.0, alone), jnp.where(s.no_p, s.q, inside))


def _square_over(s: Pair, far: Array, *, bounded: bool = False) -> Array:
    """p²/q; by a quotient where p and q are in range, since its error does not grow with the logarithm."""
    lost = (s.p < tiny(s.p.dtype)) | (s.q < tiny(s.p.dtype))
    exponent = jnp.where(far & lost, s.log_p - s.delta, 0.0)
    by_logs = jnp.exp(_bounded(exponent) if bounded else exponent)
    return jnp.where(lost, by_logs, s.p * quotient(s.p, s.q))


def _largest(x: Array) -> float:
    """A bound that stays finite in further sums and in products with small constants."""
    return float(jnp.finfo(x.dtype).max) / 8.0


def _weighted_ratio_less_one(s: Pair) -> Array:
    """p(p/q − 1), bounded, also where p/q alone is out of range."""
    far = s.delta < _FAR
    square = jnp.minimum(_square_over(s, far, bounded=True), _largest(s.p))
    return jnp.where(s.no_p, 0.0, jnp.where(far, square - s.p, s.p * _ratio_less_one(s)))


def _chi_squared_slope_q(s: Pair) -> Array:
    """1 − (p/q)² = −(p/q − 1)(p/q + 1), bounded."""
    return jnp.maximum(-_ratio_less_one(s) * (quotient(s.p, s.q) + 1.0), -_largest(s.p))


CHI_SQUARED = Kernel(
    name="chi_squared_divergence",
    term=_chi_squared_term,
    slope_p=lambda s: 2.0 * _ratio_less_one(s),
    flow_p=lambda s: 2.0 * _weighted_ratio_less_one(s),
    slope_q=_chi_squared_slope_q,
    flow_q=lambda s: s.diff - _weighted_ratio_less_one(s),
    infinite=lambda s: s.no_q & ~s.no_p,
)
