"""Gradients of the elementwise measures of two outcomes, by hand."""

import jax.numpy as jnp
from jaxtyping import Array

from jxent import logits, probs
from jxent.closed_form._gradient_of import of_elements
from jxent.closed_form._rows import is_zero, lifted

# fmt: off
__all__ = [
    "logits_binary_cross_entropy", "logits_binary_entropy", "logits_binary_kl_divergence", "logits_binary_probability",
    "probs_binary_cross_entropy", "probs_binary_entropy", "probs_binary_kl_divergence",
]
# fmt: on

Two = tuple[Array, Array]
PAIR, LOGIT_PAIR = "[0.2, 0.3], [0.6, 0.4]", "[2.0, 1.0], [0.0, 0.5]"


@of_elements(probs.binary_entropy, "[0.2, 0.3, 0.5]", edge="finite at 0 and 1.")
def probs_binary_entropy(p: Array) -> Array:
    """Of −p·log p − (1 − p)·log(1 − p): log((1 − p)/p)."""
    log_not_p = jnp.where(p >= 1, jnp.log(jnp.finfo(p.dtype).tiny), jnp.log1p(-jnp.where(p >= 1, 0.0, p)))
    return log_not_p - jnp.log(lifted(p))


def _infinite(p: Array, q: Array) -> Array:
    """Where a possible outcome of p is impossible under q."""
    return (is_zero(q) & ~is_zero(p)) | (is_zero(1 - q) & ~is_zero(1 - p))


def _to_infinity(where: Array, *slopes: Array) -> tuple[Array, ...]:
    return tuple(jnp.where(where, jnp.sign(s) * jnp.inf, s) for s in slopes)


@of_elements(probs.binary_cross_entropy, PAIR, edge="infinite where the value is.")
def probs_binary_cross_entropy(p: Array, q: Array) -> tuple[Array, ...]:
    """Of −p·log q − (1 − p)·log(1 − q): log(1 − q) − log q in p, (1 − p)/(1 − q) − p/q = (q − p)/(q(1 − q)) in q."""
    in_p = jnp.log(lifted(1 - q)) - jnp.log(lifted(q))
    return _to_infinity(_infinite(p, q), in_p, (1 - p) / lifted(1 - q) - p / lifted(q))


@of_elements(probs.binary_kl_divergence, PAIR, edge="0 at p = q; infinite where the value is.")
def probs_binary_kl_divergence(p: Array, q: Array) -> tuple[Array, ...]:
    """Of p·log(p/q) + (1 − p)·log((1 − p)/(1 − q)): log(p/q) − log((1 − p)/(1 − q)) in p, (q − p)/(q(1 − q)) in q."""
    log_p, log_q, log_not_p, log_not_q = (jnp.log(lifted(x)) for x in (p, q, 1 - p, 1 - q))
    in_p = (log_p - log_q) - (log_not_p - log_not_q)
    return _to_infinity(_infinite(p, q), in_p, (q - p) / (lifted(q) * lifted(1 - q)))


def sigmoid(z: Array) -> Array:
    """σ(z) = 1/(1 + exp(−z)), in both tails without overflow."""
    e = jnp.exp(-jnp.abs(z))
    return jnp.where(z >= 0, 1.0, e) / (1.0 + e)


def _difference(p: Array, q: Array) -> Array:
    """σ(p) − σ(q), by the complements σ(−q) − σ(−p) where both are near 1."""
    high = (p > 0) & (q > 0)
    return jnp.where(high, sigmoid(-q) - sigmoid(-p), sigmoid(p) - sigmoid(q))


def _log_odds(z: Array) -> Array:
    """The logit; an impossible outcome counts as the smallest normal probability."""
    return jnp.where(jnp.isinf(z), jnp.sign(z) * -jnp.log(jnp.finfo(z.dtype).tiny), z)


@of_elements(logits.binary_probability, "[2.0, 1.0, 0.0]", edge="0 at ±inf.")
def logits_binary_probability(z: Array) -> Array:
    """Of σ(z) = 1/(1 + exp(−z)): σ′ = exp(−z)/(1 + exp(−z))² = σ(z)·σ(−z)."""
    return sigmoid(z) * sigmoid(-z)


@of_elements(logits.binary_entropy, "[2.0, 1.0, 0.0]", edge="0 at ±inf.")
def logits_binary_entropy(z: Array) -> Array:
    """Of H(p), p = σ(z): dH/dp = log((1 − p)/p) = −z, times dp/dz = p(1 − p)."""
    return -_log_odds(z) * sigmoid(z) * sigmoid(-z)


@of_elements(logits.binary_cross_entropy, LOGIT_PAIR)
def logits_binary_cross_entropy(zp: Array, zq: Array) -> Two:
    """Of −p·log q − (1 − p)·log(1 − q): the slope log((1 − q)/q) = −zq in p, times p(1 − p); q − p in zq."""
    return -_log_odds(zq) * sigmoid(zp) * sigmoid(-zp), _difference(zq, zp)


@of_elements(logits.binary_kl_divergence, LOGIT_PAIR, edge="finite everywhere; 0 at zp = zq.")
def logits_binary_kl_divergence(zp: Array, zq: Array) -> Two:
    """The slope log(p/(1 − p)) − log(q/(1 − q)) = zp − zq in p, times p(1 − p); q − p in zq."""
    slope = jnp.where(zp == zq, 0.0, _log_odds(zp) - _log_odds(zq))
    return slope * sigmoid(zp) * sigmoid(-zp), _difference(zq, zp)
