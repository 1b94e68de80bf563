"""One or two distributions as a kernel sees them: p, q, their logarithms, q − p and δ = log(q/p).

The two rooms, `probs` and `logits`, differ only in these features. From probabilities δ is the logarithm of a ratio;
from logits a and b, δ = (b − a) − Σ p·(b − a) − KL(p‖q). Both have the same derivative rule, so
one kernel is enough for both.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array

from jxent._numerics import softmax as sm
from jxent._numerics.compiler import by_portions, chained_sums, materialized, max_over, no_fuse, row_sum
from jxent._numerics.logarithm import (
    expm1_excess,
    exponential,
    relative,
    safe_log,
    tiny,
)
from jxent._numerics.primitives import lowest, two_difference

Axes = tuple[int, ...]


class Features(NamedTuple):
    """The differentiable inputs of a kernel."""

    p: Array
    q: Array
    log_p: Array
    log_q: Array
    diff: Array  # q − p
    delta: Array  # log(q/p)


class Pair(NamedTuple):
    """Features and the masks of impossible classes, whose logarithms are that of the smallest normal number."""

    p: Array
    q: Array
    log_p: Array
    log_q: Array
    diff: Array
    delta: Array
    no_p: Array
    no_q: Array
    # p·log(p/q) − p + q, where the constructor has it.
    relative_entropy: Array | None = None


def one_of_probs(p: Array) -> Pair:
    """One array of probabilities, which is also used as q."""
    impossible, log_p = p < tiny(p.dtype), safe_log(p)
    return Pair(p, p, log_p, log_p, jnp.zeros_like(p), jnp.zeros_like(p), impossible, impossible)


def from_probs(p: Array, q: Array) -> Pair:
    """Two arrays of probabilities; entries below the smallest normal number count as 0."""
    smallest, diff = tiny(p.dtype), q - p
    delta, term = relative(p, q, diff)
    return Pair(p, q, safe_log(p), safe_log(q), diff, delta, p < smallest, q < smallest, term)


def with_support(f: Features, no_p: Array, no_q: Array) -> Pair:
    """Put the logarithm of an impossible class at that of the smallest normal number, and δ with it."""
    low = float(np.log(tiny(f.p.dtype)))
    log_p, log_q = jnp.where(no_p, low, f.log_p), jnp.where(no_q, low, f.log_q)
    delta = jnp.where(no_p | no_q, log_q - log_p, f.delta)
    return Pair(f.p, f.q, log_p, log_q, f.diff, delta, no_p, no_q)


def one_of_logits(z: Array, sums: sm.RowSums, axes: Axes) -> Pair:
    """One row of logits; only −∞ is impossible. A row of only −∞ is NaN, and no class of it is impossible."""
    p, log_p = sm.softmax_of(z, sums, axes), sm.log_softmax_of(z, sums, axes)
    impossible = (z == -jnp.inf) & (p == p)
    log_p = jnp.where(impossible, float(np.log(tiny(z.dtype))), log_p)
    return Pair(p, p, log_p, log_p, jnp.zeros_like(p), jnp.zeros_like(p), impossible, impossible)


class PairSums(NamedTuple):
    """The sums over two rows of logits that every measure of them needs; the reduced axes are kept."""

    a: sm.RowSums
    b: sm.RowSums
    mean: Array  # Σ p·(b − a), of the logits less the maximum of each row
    divergence: Array  # KL(p‖q)


def pair_sums(a: Array, b: Array, axes: Axes, *, value_alone: bool = False) -> PairSums:
    """The sums over two rows and their divergence, whose summands are not negative; as constants.

    With t = (b − a) − Σ p·(b − a), KL(p‖q) = log Σ p·e^t = log(1 + Σ p·(e^t − 1 − t)): nothing cancels, however near
    the rows are. Where e^t is out of range, the sum is that of e^(t − level). Large operands are evaluated in portions
    for the value alone; slopes need arrays of their size anyway.
    """
    a, b = lax.stop_gradient(a), lax.stop_gradient(b)
    reduce = by_portions if value_alone else _at_once
    top_a, top_b = (max_over(z, axes, initial=-jnp.inf) for z in (a, b))
    (total,) = chained_sums(axes, (sm.exponentials,), a, top_a)
    # Each sum gets its own copies: XLA:CPU would write shared whole rows to memory. Delete with `chained_sums`.
    mean = reduce(_sum_of(_weighted_difference), axes, a, b, *materialized(top_a, top_b)) / total
    # Up to e^20 the sum of e^t is in range in every dtype.
    level = jnp.maximum(-mean - 20.0, 0.0)
    down, over = exponential(-level), 1.0 / total
    # Where t is not small p·e^t is e^b·to_q, without p, which may have underflowed there.
    to_q = exponential(-mean - level) * over
    excess = reduce(_sum_of(_excess), axes, a, b, *materialized(top_a, top_b, mean, over * down, to_q))
    divergence = jnp.where(level > 0.0, level + jnp.log(excess + down), jnp.log1p(excess))
    # A row of only −∞ is no distribution.
    divergence = jnp.where(top_b == -jnp.inf, jnp.nan, divergence)
    of_a, of_b = (sm.sums_below(chained_sums, z, materialized(top)[0], axes) for z, top in ((a, top_a), (b, top_b)))
    return PairSums(of_a, of_b, mean, divergence)


def _at_once(rowwise: Callable[..., Array], axes: Axes, *operands: Array) -> Array:
    return rowwise(axes, *operands)


def _sum_of(summand: Callable[..., Array]) -> Callable[..., Array]:
    return lambda axes, *operands: no_fuse(row_sum(no_fuse(summand(*operands)), axes, keepdims=True))


def _weighted_difference(a: Array, b: Array, top_a: Array, top_b: Array) -> Array:
    """The product e^a·(b − a), of the logits less the maximum of each row."""
    return sm.exp_of_loop(a, top_a) * _difference(a, b, top_a, top_b)


def _excess(a: Array, b: Array, top_a: Array, top_b: Array, mean: Array, to_p: Array, to_q: Array) -> Array:
    """p·(e^t − 1 − t), for p and q as the exponentials times `to_p` and `to_q`."""
    t = _difference(a, b, top_a, top_b) - mean
    near = jnp.abs(t) < 1.0
    inside = jnp.where(near, t, 0.0)
    p = sm.exp_of_loop(a, top_a) * to_p
    far = sm.exp_of_loop(b, top_b) * to_q - p * (t + 1.0)
    summand = jnp.where(near, p * (inside * inside) * expm1_excess(inside), far)
    return jnp.where((b == -jnp.inf) & (a != -jnp.inf), jnp.inf, summand)


def _difference(a: Array, b: Array, top_a: Array, top_b: Array) -> Array:
    """(b − top b) − (a − top a), accurate to the rounding of the result.

    For nearly equal rows the rounding of each row's shift is as large as the difference; for rows with different
    offsets the rounding of b − a is. So b − a and the offset are both taken with their rounding errors. An impossible
    class of b counts as the smallest normal number, one of a as a number whose exponential is 0.
    """
    r, lost = two_difference(b, a)
    offset, lost_of_offset = two_difference(top_b, top_a)
    exact = (r - offset) + (lost - lost_of_offset)
    # Out of range, b − a or its rounding error is not finite.
    least, low = lowest(a.dtype), float(np.log(tiny(a.dtype)))
    shifted = jnp.where(b == -jnp.inf, low, jnp.maximum(b - top_b, least)) - jnp.maximum(a - top_a, least)
    return jnp.where(jnp.isfinite(exact), exact, shifted)


def from_logits(a: Array, b: Array, axes: Axes, sums: PairSums | None = None) -> Pair:
    """Two rows of logits, of any shift; the edge cases are those of `one_of_logits`."""
    f = _logits_features(a, b, pair_sums(a, b, axes) if sums is None else sums, axes)
    no_p, no_q = (a == -jnp.inf) & (f.p == f.p), (b == -jnp.inf) & (f.q == f.q)
    return with_support(f, no_p, no_q)


@functools.partial(jax.custom_jvp, nondiff_argnums=(3,))
def _logits_features(a: Array, b: Array, sums: PairSums, axes: Axes) -> Features:
    low = lowest(a.dtype)
    p, q = sm.softmax_of(a, sums.a, axes), sm.softmax_of(b, sums.b, axes)
    # −∞ becomes a finite stand-in, so that differences of impossible classes are numbers.
    logs = sm.log_softmax_of(a, sums.a, axes), sm.log_softmax_of(b, sums.b, axes)
    log_p, log_q = (jnp.where(x == -jnp.inf, low, x) for x in logs)
    difference = _difference(a, b, sums.a.top, sums.b.top)
    close = sums.divergence < 0.5
    mean, divergence = (jnp.where(close, x, 0.0) for x in (sums.mean, sums.divergence))
    # Not log q − log p: each logarithm is rounded in proportion to its size.
    to_b = sm.log_total(sums.b) - sm.log_total(sums.a)
    delta = jnp.where(close, (difference - mean) - divergence, difference - to_b)
    near = jnp.abs(delta) < 1.0
    inside = jnp.where(near, delta, 0.0)
    diff = jnp.where(near, p * (inside + inside * inside * expm1_excess(inside)), q - p)
    return Features(p, q, log_p, log_q, diff, delta)


@_logits_features.defjvp
def _logits_features_jvp(axes: Axes, primals: Sequence[Any], tangents: Sequence[Any]) -> tuple[Features, Features]:
    (a, b, sums), (da, db, _) = primals, tangents
    f = _logits_features(a, b, sums, axes)
    dlog_p, dlog_q = sm.centred(f.p, da, axes), sm.centred(f.q, db, axes)
    dp, dq = f.p * dlog_p, f.q * dlog_q
    return f, Features(dp, dq, dlog_p, dlog_q, dq - dp, dlog_q - dlog_p)
