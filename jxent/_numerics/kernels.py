"""The summands of the measures, each with its slopes, written once for both rooms.

A measure is a sum over the categories of `term(pair)`. `slope_p` and `slope_q` are its partial
derivatives in p and q, which is what `probs` needs; `flow_p` = p·slope_p and `flow_q` = q·slope_q are
those in log p and log q, which is what `logits` needs, written without a product 0·∞. A constant in a
slope has no effect on the gradient in the logits: a flow leaves it out, or it would swallow the tail of
a row with one dominating class. Slopes are plain functions of features that have rules of their own, so
that higher derivatives follow.
"""

from collections.abc import Callable
from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from jxent._numerics.pair import Pair
from jxent._numerics.primitives import SERIES_BOUND, at_least_tiny, log1p, odd_series, quotient

Formula = Callable[..., Array]


@dataclass(frozen=True, eq=False)
class Kernel:
    """A summand with its derivative rule. `theta` are traced parameters, such as a weight.

    Attributes:
        term: the summand, from a Pair and theta.
        slope_p: ∂term/∂p; likewise slope_q.
        flow_p: p·∂term/∂p, up to a multiple of p; likewise flow_q.
        slope_theta: ∂term/∂theta for each parameter.
        infinite: where a summand is +∞, and its slopes with it, from a Pair and theta; None where it never is.
    """

    name: str
    term: Formula
    slope_p: Formula
    flow_p: Formula
    slope_q: Formula | None = None
    flow_q: Formula | None = None
    slope_theta: tuple[Formula, ...] = ()
    infinite: Formula | None = None


def _bounded_expm1(x: Array) -> Array:
    # The slope −p/q at the smallest normal q saturates instead of overflowing.
    bound = float(np.log(float(jnp.finfo(x.dtype).max))) - 1.0
    return jnp.expm1(jnp.where(x > bound, bound, x))


def _one_less_ratio(s: Pair) -> Array:
    """1 − p/q. At p = 0 it is linear in p, which the logarithm of the ratio, bounded there, would not show."""
    return jnp.where(s.no_p & ~s.no_q, 1.0 - quotient(s.p, s.q), -_bounded_expm1(-s.delta))


def relative_entropy_term(p: Array, q: Array, diff: Array, delta: Array) -> Array:
    """p·log(p/q) − p + q without cancellation.

    With u = (q − p)/(q + p), log(q/p) = 2·atanh(u): (q − p)·u − 2p·u³·Σ u²ᵏ/(2k + 3) for |u| < 1/3.
    """
    u = diff / at_least_tiny(p + q)
    near = jnp.abs(u) < SERIES_BOUND
    v = jnp.where(near, u, 0.0)
    return jnp.where(near, diff * v - 2.0 * p * v * (v * v) * odd_series(v * v), diff - p * delta)


def _q_alone_is_zero(s: Pair) -> Array:
    return s.no_q & ~s.no_p


def _one_alone_is_zero(s: Pair) -> Array:
    return s.no_q ^ s.no_p


def _infinite_where(mask: Array, value: Array) -> Array:
    return jnp.where(mask, jnp.inf, value)


ENTROPY = Kernel(
    name="entropy",
    term=lambda s: -s.p * s.log_p,
    slope_p=lambda s: -(s.log_p + 1.0),
    flow_p=lambda s: -s.p * s.log_p,
)

CROSS_ENTROPY = Kernel(
    name="cross_entropy",
    term=lambda s: _infinite_where(_q_alone_is_zero(s), -s.p * s.log_q),
    slope_p=lambda s: -s.log_q,
    flow_p=lambda s: -s.p * s.log_q,
    slope_q=lambda s: -quotient(s.p, s.q),
    flow_q=lambda s: -s.p,
    infinite=_q_alone_is_zero,
)

# The generalised form Σ p·log(p/q) − p + q: never negative, and flat at p = q.
KL_DIVERGENCE = Kernel(
    name="kl_divergence",
    term=lambda s: _infinite_where(_q_alone_is_zero(s), relative_entropy_term(s.p, s.q, s.diff, s.delta)),
    slope_p=lambda s: -s.delta,
    flow_p=lambda s: -s.p * s.delta,
    slope_q=_one_less_ratio,
    flow_q=lambda s: s.diff,
    infinite=_q_alone_is_zero,
)

# KL(p‖q) + KL(q‖p) = Σ (q − p)·log(q/p): a product, so that nothing cancels.
JEFFREYS_DIVERGENCE = Kernel(
    name="jeffreys_divergence",
    term=lambda s: _infinite_where(_one_alone_is_zero(s), s.diff * s.delta),
    slope_p=lambda s: -s.delta - _bounded_expm1(s.delta),
    flow_p=lambda s: -s.p * s.delta - s.diff,
    slope_q=lambda s: s.delta + _one_less_ratio(s),
    flow_q=lambda s: s.q * s.delta + s.diff,
    infinite=_one_alone_is_zero,
)


def _log_to_mixture(s: Pair, w: Array) -> tuple[Array, Array]:
    """log(m/p) and log(m/q) for m = w·p + (1 − w)·q, written in −|δ| so that neither side overflows."""
    v = 1.0 - w
    excess = jnp.expm1(-jnp.abs(s.delta))
    toward_q = s.delta > 0
    far = jnp.where(toward_q, w, v)  # the weight of the smaller of the two
    # log(m/larger): log1p near equality, the plain logarithm where that would lose a small remainder.
    small = far * excess < -0.5
    inner = (1.0 - far) + far * jnp.exp(-jnp.abs(s.delta))
    from_larger = jnp.where(
        small,
        jnp.log(at_least_tiny(jnp.where(small, inner, 1.0))),
        log1p(jnp.where(small, 0.0, far * excess)),
    )
    from_smaller = jnp.abs(s.delta) + from_larger
    return jnp.where(toward_q, from_smaller, from_larger), jnp.where(toward_q, from_larger, from_smaller)


def _sides_of_mixture(s: Pair, w: Array) -> tuple[Array, Array]:
    """The summands of KL(p‖m) and KL(q‖m); m − p is (1 − w)(q − p), never the rounded m less p."""
    v = 1.0 - w
    m = w * s.p + v * s.q
    log_mp, log_mq = _log_to_mixture(s, w)
    return (
        relative_entropy_term(s.p, m, v * s.diff, log_mp),
        relative_entropy_term(s.q, m, -w * s.diff, log_mq),
    )


def _jensen_shannon_term(s: Pair, w: Array) -> Array:
    of_p, of_q = _sides_of_mixture(s, w)
    return w * of_p + (1.0 - w) * of_q


def _jensen_shannon_weight(s: Pair, w: Array) -> Array:
    of_p, of_q = _sides_of_mixture(s, w)
    return of_p - of_q


JENSEN_SHANNON = Kernel(
    name="jensen_shannon_divergence",
    term=_jensen_shannon_term,
    slope_p=lambda s, w: -w * _log_to_mixture(s, w)[0],
    flow_p=lambda s, w: -w * s.p * _log_to_mixture(s, w)[0],
    slope_q=lambda s, w: -(1.0 - w) * _log_to_mixture(s, w)[1],
    flow_q=lambda s, w: -(1.0 - w) * s.q * _log_to_mixture(s, w)[1],
    slope_theta=(_jensen_shannon_weight,),
)
