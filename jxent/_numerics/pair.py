"""One or two distributions as a kernel sees them: p, q, their logarithms, q − p and δ = log(q/p).

This is all in which the rooms differ. From probabilities, δ is log1p of the relative difference near
equality; from logits, the difference of the shifted logits less log1p of its mean excess. Both have
the same derivative rule, so a kernel written once serves both.
"""

import functools
from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from jxent._numerics import softmax as sm
from jxent._numerics.primitives import at_least_tiny, log1p, lowest, masked_reciprocal, safe_log, tiny

Axes = tuple[int, ...]


class Features(NamedTuple):
    """What has a derivative: the numbers that kernels are made of."""

    p: Array
    q: Array
    log_p: Array
    log_q: Array
    diff: Array  # q − p
    delta: Array  # log(q/p)


class Pair(NamedTuple):
    """Features, and which classes are impossible. There the logarithms stand at log of the smallest normal."""

    p: Array
    q: Array
    log_p: Array
    log_q: Array
    diff: Array
    delta: Array
    no_p: Array
    no_q: Array


def from_probs(p: Array, q: Array) -> Pair:
    """Two arrays of probabilities; what lies below the smallest normal number counts as 0."""
    smallest = tiny(p.dtype)
    return Pair(*_probs_features(p, q), p < smallest, q < smallest)


def from_logits(a: Array, b: Array, axes: Axes) -> Pair:
    """Two rows of logits, of any shift; only −∞ is impossible, and in a row of −∞ alone nothing: it is NaN."""
    f = _logits_features(a, b, axes)
    no_p, no_q = (a == -jnp.inf) & (f.p == f.p), (b == -jnp.inf) & (f.q == f.q)
    return with_support(f, no_p, no_q)


def with_support(f: Features, no_p: Array, no_q: Array) -> Pair:
    """Put the logarithm of an impossible class at that of the smallest normal number, and δ with it."""
    low = float(np.log(tiny(f.p.dtype)))
    log_p, log_q = jnp.where(no_p, low, f.log_p), jnp.where(no_q, low, f.log_q)
    delta = jnp.where(no_p | no_q, log_q - log_p, f.delta)
    return Pair(f.p, f.q, log_p, log_q, f.diff, delta, no_p, no_q)


@jax.custom_jvp
def _probs_features(p: Array, q: Array) -> Features:
    smallest = tiny(p.dtype)
    some_p, some_q = at_least_tiny(p), at_least_tiny(q)
    relative = (some_q - some_p) / some_p
    ratio = some_q / some_p
    log_p, log_q = safe_log(p), safe_log(q)
    # A ratio outside the range of the dtype leaves only the difference of the logarithms.
    representable = (ratio > smallest) & (ratio < float(jnp.finfo(p.dtype).max))
    near = jnp.abs(relative) < 0.5
    delta = jnp.where(
        near,
        log1p(jnp.where(near, relative, 0.0)),
        jnp.where(representable, jnp.log(jnp.where(representable, ratio, 1.0)), log_q - log_p),
    )
    return Features(p, q, log_p, log_q, q - p, delta)


@_probs_features.defjvp
def _probs_features_jvp(primals: Sequence[Array], tangents: Sequence[Array]) -> tuple[Features, Features]:
    (p, q), (dp, dq) = primals, tangents
    dlog_p, dlog_q = masked_reciprocal(p) * dp, masked_reciprocal(q) * dq
    return _probs_features(p, q), Features(dp, dq, dlog_p, dlog_q, dq - dp, dlog_q - dlog_p)


@functools.partial(jax.custom_jvp, nondiff_argnums=(2,))
def _logits_features(a: Array, b: Array, axes: Axes) -> Features:
    low = lowest(a.dtype)
    sa, sb = sm.shift(a, axes), sm.shift(b, axes)
    p, q = sa.exp / (1.0 + sa.rest), sb.exp / (1.0 + sb.rest)
    # −∞ becomes a finite stand-in, so that differences of impossible classes are numbers.
    log_p, log_q = (jnp.where(x == -jnp.inf, low, x) for x in (sa.d - log1p(sa.rest), sb.d - log1p(sb.rest)))
    d = _difference(a, b, sa, sb)
    # p·expm1(d), written so that neither a small p nor a large d is lost.
    below = d <= 1.0
    excess = jnp.where(below, p * jnp.expm1(jnp.where(below, d, 0.0)), sb.exp / (1.0 + sa.rest) - p)
    mean_excess = jnp.sum(excess, axis=axes, keepdims=True)
    close = jnp.abs(mean_excess) < 0.5
    delta = jnp.where(close, d - log1p(jnp.where(close, mean_excess, 0.0)), log_q - log_p)
    near = jnp.abs(delta) < 1.0
    diff = jnp.where(near, p * jnp.expm1(jnp.where(near, delta, 0.0)), q - p)
    return Features(p, q, log_p, log_q, diff, delta)


def _difference(a: Array, b: Array, sa: sm.Shifted, sb: sm.Shifted) -> Array:
    """The difference b − a up to a constant of the row, to rounding of the result.

    Where the rows are nearly equal, the rounding of each row's own shift is as large as the difference.
    Therefore b − a first, the constant next, and then what the first subtraction rounded away (Knuth's
    error-free transformation, The Art of Computer Programming 2, section 4.2.2).
    """
    low = lowest(a.dtype)
    r = b - a
    part = r - b
    lost = (b - (r - part)) - (a + part)
    accurate = (r - (sb.top - sa.top)) + lost
    stand_in = jnp.where(sb.d == -jnp.inf, low, sb.d) - jnp.where(sa.d == -jnp.inf, low, sa.d)
    return jnp.where(jnp.isfinite(accurate), accurate, stand_in)


@_logits_features.defjvp
def _logits_features_jvp(axes: Axes, primals: Sequence[Array], tangents: Sequence[Array]) -> tuple[Features, Features]:
    (a, b), (da, db) = primals, tangents
    f = _logits_features(a, b, axes)
    dlog_p, dlog_q = sm.centred(f.p, da, axes), sm.centred(f.q, db, axes)
    dp, dq = f.p * dlog_p, f.q * dlog_q
    return f, Features(dp, dq, dlog_p, dlog_q, dq - dp, dlog_q - dlog_p)
