"""The summands of the measures, each with its slopes, written once for both rooms, `probs` and `logits`.

A measure is a sum over the categories of `term(pair)`. `slope_p` and `slope_q` are its partial
derivatives in p and q, for `probs`; `flow_p` = p·slope_p and `flow_q` = q·slope_q are those in log p and
log q, for `logits`, written without a product 0·∞. A constant in a slope has no effect on the gradient in
the logits. A flow leaves it out, since it would round away the tail of a row with one dominating class.
Slopes are plain functions of features, which have their own derivative rules: higher derivatives follow.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array

from jxent._numerics.logarithm import at_least_tiny, relative, relative_entropy_term, tiny
from jxent._numerics.pair import Pair
from jxent._numerics.primitives import quotient

Formula = Callable[..., Array]


@dataclass(frozen=True, eq=False)
class Kernel:
    """A summand with its derivative rule. `theta` are traced parameters, such as a weight.

    Attributes:
        term: the summand, from a Pair and theta.
        slope_p: ∂term/∂p; likewise slope_q.
        flow_p: p·∂term/∂p, up to a multiple of p; likewise flow_q.
        slope_theta: ∂term/∂theta for each parameter.
        infinite: the mask of summands that are +∞ with infinite slopes, from a Pair and theta; None if none ever is.
        of_logits: the measure from the row sums of logits; None if these do not give it.
        mean_p: Σ flow_p of a row, from the sum of the kernel and the row sums; likewise mean_q. None if these do not
            give it: the derivative then sums the flow.
        chain: the summand of probabilities as a chain of operations, which a vector kernel of a CPU takes with the
            sum; None if it is no such chain.
    """

    name: str
    term: Formula
    slope_p: Formula
    flow_p: Formula
    slope_q: Formula | None = None
    flow_q: Formula | None = None
    slope_theta: tuple[Formula, ...] = ()
    infinite: Formula | None = None
    of_logits: Callable[[Any], Array] | None = None
    mean_p: Callable[[Array, Any], Array] | None = None
    mean_q: Callable[[Array, Any], Array] | None = None
    chain: Formula | None = None


@jax.custom_jvp
def _one_less_ratio(p: Array, q: Array, diff: Array) -> Array:
    """1 − p/q from diff = q − p, with q below the smallest normal number taken as that number."""
    return jnp.where(q < tiny(q.dtype), -quotient(p, q), diff / at_least_tiny(q))


@_one_less_ratio.defjvp
def _one_less_ratio_jvp(primals: Sequence[Array], tangents: Sequence[Array]) -> tuple[Array, Array]:
    (p, q, _), (dp, dq, _) = primals, tangents
    return _one_less_ratio(*primals), -jax.jvp(quotient, (p, q), (dp, dq))[1]


def _relative_entropy(s: Pair) -> Array:
    """p·log(p/q) − p + q."""
    if s.relative_entropy is not None:
        return s.relative_entropy
    return relative_entropy_term(s.p, s.q, s.diff, s.delta)


def _q_alone_is_zero(s: Pair) -> Array:
    return s.no_q & ~s.no_p


def _one_alone_is_zero(s: Pair) -> Array:
    return s.no_q ^ s.no_p


def infinite_where(mask: Array, s: Pair, value: Array) -> Array:
    """The value, with +∞ under the mask; NaN there if p or q is NaN."""
    return jnp.where(mask, jnp.inf + 0.0 * (s.p + s.q), value)


ENTROPY = Kernel(
    name="entropy",
    term=lambda s: -s.p * s.log_p,
    slope_p=lambda s: -(s.log_p + 1.0),
    flow_p=lambda s: -s.p * s.log_p,
    of_logits=lambda sums: sums.entropy,
    chain=lambda p: -p * jnp.log(jnp.maximum(p, tiny(p.dtype))),
    mean_p=lambda value, _: value,
)

CROSS_ENTROPY = Kernel(
    name="cross_entropy",
    term=lambda s: infinite_where(_q_alone_is_zero(s), s, -s.p * s.log_q),
    slope_p=lambda s: -s.log_q,
    flow_p=lambda s: -s.p * s.log_q,
    slope_q=lambda s: -quotient(s.p, s.q),
    # −p + q: a multiple of q has no effect on the gradient in the logits.
    flow_q=lambda s: s.diff,
    infinite=_q_alone_is_zero,
    mean_q=lambda value, _: jnp.zeros_like(value),
)


def _mean_log_ratio(value: Array, sums: Any) -> Array:
    """−Σ p·δ; where the divergence is infinite, an impossible q counts as the smallest normal number."""
    finite = jnp.log(sums.b.total / sums.a.total) - sums.mean
    return jnp.where(jnp.isinf(value), finite, value)


# The generalised form Σ p·log(p/q) − p + q: never negative, and flat at p = q.
KL_DIVERGENCE = Kernel(
    name="kl_divergence",
    term=lambda s: infinite_where(_q_alone_is_zero(s), s, _relative_entropy(s)),
    slope_p=lambda s: -s.delta,
    flow_p=lambda s: -s.p * s.delta,
    slope_q=lambda s: _one_less_ratio(s.p, s.q, s.diff),
    flow_q=lambda s: s.diff,
    infinite=_q_alone_is_zero,
    of_logits=lambda sums: sums.divergence,
    mean_p=_mean_log_ratio,
    mean_q=lambda value, _: jnp.zeros_like(value),
)

# KL(p‖q) + KL(q‖p) = Σ (q − p)·log(q/p): a product, so that nothing cancels.
JEFFREYS_DIVERGENCE = Kernel(
    name="jeffreys_divergence",
    term=lambda s: infinite_where(_one_alone_is_zero(s), s, s.diff * s.delta),
    slope_p=lambda s: -s.delta + _one_less_ratio(s.q, s.p, -s.diff),
    flow_p=lambda s: -s.p * s.delta - s.diff,
    slope_q=lambda s: s.delta + _one_less_ratio(s.p, s.q, s.diff),
    flow_q=lambda s: s.q * s.delta + s.diff,
    infinite=_one_alone_is_zero,
)


def _to_mixture(s: Pair, w: Array) -> tuple[tuple[Array, Array], tuple[Array, Array]]:
    """log(m/p) and the summand of KL(p‖m), and both for q; m − p is (1 − w)(q − p), never the rounded m less p."""
    v = 1.0 - w
    m = w * s.p + v * s.q
    return relative(s.p, m, v * s.diff), relative(s.q, m, -w * s.diff)


def _jensen_shannon_term(s: Pair, w: Array) -> Array:
    (_, of_p), (_, of_q) = _to_mixture(s, w)
    return w * of_p + (1.0 - w) * of_q


def _jensen_shannon_weight(s: Pair, w: Array) -> Array:
    (_, of_p), (_, of_q) = _to_mixture(s, w)
    return of_p - of_q


JENSEN_SHANNON = Kernel(
    name="jensen_shannon_divergence",
    term=_jensen_shannon_term,
    slope_p=lambda s, w: -w * _to_mixture(s, w)[0][0],
    flow_p=lambda s, w: -w * s.p * _to_mixture(s, w)[0][0],
    slope_q=lambda s, w: -(1.0 - w) * _to_mixture(s, w)[1][0],
    flow_q=lambda s, w: -(1.0 - w) * s.q * _to_mixture(s, w)[1][0],
    slope_theta=(_jensen_shannon_weight,),
)
