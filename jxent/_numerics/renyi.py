"""From sums of powers to Rényi's logarithms of them, without cancellation near order 1 and near equality.

Both measures are −log(Z)/g for a sum of powers Z = 1 − g·T: the entropy with g = a − 1 and T the Tsallis
entropy, the divergence with g = 1 − β and T the sum of the RENYI kernel. Where Z is near 1, T is accurate,
and so is −log1p(−g·T)/g, through g = 0. Where Z is below ½, the logarithm of Z itself is accurate.
"""

import functools
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.typing import ArrayLike
from jaxtyping import Array

from jxent._numerics import softmax as sm
from jxent._numerics.compiler import no_fuse, row_sum
from jxent._numerics.distances import HELLINGER
from jxent._numerics.logarithm import log1p, tiny
from jxent._numerics.orders import RENYI, TSALLIS
from jxent._numerics.pair import Pair
from jxent._numerics.primitives import deficit, is_symbolic_zero, safe_sqrt, with_infinite_slopes
from jxent._numerics.rows import Room

Axes = tuple[int, ...]
Operands = tuple[Array, ...]


def log1p_ratio(x: Array) -> Array:
    """−log1p(−x)/x = Σ xᵏ/(k + 1), 1 at 0, for x < 1; differentiable to any order through 0."""
    near = jnp.abs(x) < 0.2
    small = jnp.where(near, x, 0.0)
    terms = 14 if x.dtype == jnp.float32 else 26
    series = jnp.full_like(x, 1.0 / terms)
    for k in range(terms - 1, 0, -1):
        series = series * small + 1.0 / k
    far = jnp.where(near, 0.5, x)
    return jnp.where(near, series, -log1p(-far) / far)


# A sum of powers above this is evaluated by its logarithm.
LARGEST_SUM = 1000.0


def _link(room: Room, t: Array, g: Array, log_z: Array) -> Array:
    """−log(1 − g·t)/g, or −log Z/g where that is more accurate.

    Where both are infinite, the slopes of t in probabilities are infinite; those of log Z in logits are finite.
    """
    product = g * jnp.where(jnp.isfinite(t), t, 0.0)
    near = jnp.isfinite(t) & (product <= 0.5) & (product > -LARGEST_SUM)
    inside = jnp.where(near, t, 0.0)
    divisor = jnp.where(g == 0.0, 1.0, g)
    by_log = -log_z / divisor
    # At order 1 there is no log Z to fall back to, and an infinite divergence stays infinite.
    infinite = jnp.isposinf(t) & ((g == 0.0) | (jnp.isposinf(log_z) & (not room.normalized)))
    return jnp.where(infinite | jnp.isnan(t), t, jnp.where(near, inside * log1p_ratio(g * inside), by_log))


def _finite(order: Array) -> Array:
    """The order, with 2 for ∞, which has its own formula."""
    return jnp.where(jnp.isinf(order), 2.0, order)


def entropy(room: Room, axes: Axes, operand: Array, order: Array) -> Array:
    """Rényi entropy of a row, for order 0 to ∞."""
    a = _finite(order)
    value = _link(room, _tsallis(room, axes, operand, a), a - 1.0, log_power_sum(room, axes, (operand,), a))
    return jnp.where(jnp.isinf(order), -jnp.max(room.log(operand, axes), axis=axes), value)


def tsallis(room: Room, axes: Axes, operand: Array, order: Array) -> Array:
    """Tsallis entropy of a row, for order 0 to ∞."""
    # NaN stays NaN.
    value = _tsallis(room, axes, operand, _finite(order))
    return jnp.where(jnp.isinf(order), 0.0 * value, value)


def _tsallis(room: Room, axes: Axes, operand: Array, order: Array) -> Array:
    """(1 − Σ p^a)/(a − 1) of a row, for finite order.

    From probabilities the deficit 1 − Σp counts, as in the formula. Near order 1, where the formula divides
    it by 0, its weight falls to 0.
    """
    value = room.sum(TSALLIS, axes, (operand,), (order,))
    if room.normalized:
        return value
    excess = order - 1.0
    return value + excess / jnp.maximum(excess * excess, NEAR_ONE**2) * deficit(operand, axes)


# Within this distance of order 1 the weight of the deficit 1 − Σp falls to 0.
NEAR_ONE = 1.0 / 32.0


def divergence(room: Room, axes: Axes, first: Array, second: Array, order: Array) -> Array:
    """Rényi divergence of a row, for order 0 to ∞."""
    operands = (first, second)
    b, at_infinity = _finite(order), jnp.isinf(order)
    value = _link(
        room,
        room.sum(RENYI, axes, operands, (b,)),
        1.0 - b,
        log_power_sum(room, axes, operands, b),
    )
    # At finite orders the limit gets equal sides: its second derivatives 1/q² may overflow, and 0·∞ is NaN.
    limit = _largest_log_ratio(room, axes, tuple(jnp.where(at_infinity, x, 1.0) for x in operands))
    return jnp.where(at_infinity, limit, value)


def bhattacharyya(room: Room, axes: Axes, first: Array, second: Array) -> Array:
    """−log Σ √(pq), half the Rényi divergence of order ½: 1 − Σ √(pq) is the squared Hellinger distance."""
    square = room.sum(HELLINGER, axes, (first, second), ())
    half = jnp.full((), 0.5, first.dtype)
    return _link(room, square, jnp.ones((), first.dtype), log_power_sum(room, axes, (first, second), half))


def hellinger(room: Room, axes: Axes, first: Array, second: Array) -> Array:
    """√(½ Σ (√p − √q)²), with gradient 0 at p = q."""
    return safe_sqrt(room.sum(HELLINGER, axes, (first, second), ()))


def _largest_log_ratio(room: Room, axes: Axes, operands: Operands) -> Array:
    """Max log(p/q) over the classes with p > 0, and never below 0, its least value between distributions."""
    pair = room.pair(operands, axes)
    worst = jnp.max(jnp.where(pair.no_p, -jnp.inf, -pair.delta), axis=axes)
    infinite = jnp.any(pair.no_q & ~pair.no_p, axis=axes)
    value = jnp.where(worst > 0.0, worst, 0.0)
    value = jnp.where(infinite, jnp.inf, value)
    value = jnp.where(jnp.any(jnp.isnan(pair.p + pair.q), axis=axes), jnp.nan, value)
    if room.normalized:
        return value
    # A term of value 0 and infinite slope, as at every order from 1 on.
    moves = (pair.p - lax.stop_gradient(pair.p)) - (pair.q - lax.stop_gradient(pair.q))
    beyond = pair.no_q & ~pair.no_p
    return value + jnp.sum(with_infinite_slopes(jnp.where(beyond, moves, 0.0), beyond), axis=axes)


@functools.partial(jax.custom_jvp, nondiff_argnums=(0, 1))
def log_power_sum(room: Room, axes: Axes, operands: Operands, order: ArrayLike) -> Array:
    """Log Σ p^β q^(1 − β), or log Σ p^β of one operand; −∞ where no class is possible on both sides."""
    exponent, pair, part, infinite = _exponents(room, axes, operands, order)
    level = jnp.where(part, pair.log_p + exponent, -jnp.inf)
    top = jnp.max(level, axis=axes, keepdims=True)
    top = jnp.where(jnp.isfinite(top), top, 0.0)
    total = no_fuse(row_sum(jnp.where(part, _weighted_exp(pair, exponent - top), 0.0), axes))
    positive = jnp.where(total > 0.0, total, 1.0)
    value = jnp.where(total > 0.0, jnp.log(positive) + jnp.squeeze(top, axes), jnp.where(total == 0.0, -jnp.inf, total))
    return jnp.where(jnp.any(infinite, axis=axes), jnp.inf, value)


@functools.partial(log_power_sum.defjvp, symbolic_zeros=True)
def _log_power_sum_jvp(room: Room, axes: Axes, primals: Sequence[Any], tangents: Sequence[Any]) -> tuple[Array, Array]:
    operands, order = primals
    value = log_power_sum(room, axes, operands, order)
    exponent, pair, part, infinite = _exponents(room, axes, operands, order)
    finite = jnp.isfinite(value)
    log_z = jnp.expand_dims(jnp.where(finite, value, 0.0), axes)
    if room.normalized and len(operands) == 2:
        # For the slopes of an infinite value, an impossible q counts as the smallest normal number.
        part = part | infinite
        level = jnp.where(part, lax.stop_gradient(pair.log_p + exponent), -jnp.inf)
        log_z = jnp.where(jnp.expand_dims(jnp.isposinf(value), axes), sm.log_sum_exp(level, axes), log_z)
    nothing = jnp.expand_dims(jnp.isneginf(value), axes)
    share = jnp.where(part & ~nothing, _weighted_exp(pair, exponent - log_z), 0.0)
    parts: list[Array] = []
    sides = (
        (order, exponent, pair.p, pair.no_p, pair.no_q),
        (1.0 - order, exponent - pair.delta, pair.q, pair.no_q, pair.no_p),
    )
    for tangent, (weight, at, this, no_this, no_other) in zip(tangents[0], sides, strict=False):
        if is_symbolic_zero(tangent):
            continue
        if room.normalized:
            parts.append(weight * share * sm.centred(this, tangent, axes))
            continue
        # The slope of a power diverges where its base is 0 and its exponent below 1: there the base counts
        # as the smallest normal number.
        alive = ~no_this | ((weight > 0.0) & (weight <= 1.0))
        slope = jnp.exp(_bounded(at - log_z))
        alone, toward = jnp.zeros_like(alive), weight
        if len(operands) == 2:
            alive = alive & ~no_other
            alone = infinite | (nothing & no_this & ~no_other)
            # Also at order 0, where 0·∞ would be NaN.
            toward = jnp.where(weight == 0.0, 1.0, weight)
        parts.append(
            with_infinite_slopes(jnp.where(alone, toward, jnp.where(alive, weight * slope, 0.0)) * tangent, alone)
        )
    if not is_symbolic_zero(tangents[1]):
        parts.append(-share * jnp.where(part, _delta(pair, operands), 0.0) * tangents[1])
    # `no_fuse`, since second derivatives sum functions of this sum: see `softmax.centred`; delete the two together.
    total = no_fuse(jnp.sum(sum(parts[1:], start=parts[0]), axis=axes)) if parts else jnp.zeros_like(value)
    return value, total


def _delta(pair: Pair, operands: Operands) -> Array:
    """log(q/p), where q is 1 for one operand."""
    return pair.delta if len(operands) == 2 else -pair.log_p


def _exponents(room: Room, axes: Axes, operands: Operands, order: ArrayLike) -> tuple[Array, Pair, Array, Array]:
    """(1 − β)·log(q/p), the pair, and the masks of classes that take part and of classes with an infinite term."""
    order = jnp.asarray(order)
    pair = room.pair(operands, axes)
    exponent = (1.0 - order) * _delta(pair, operands)
    if len(operands) == 1:
        return exponent, pair, ~pair.no_p, jnp.zeros_like(pair.no_p)
    infinite = pair.no_q & ~pair.no_p & (order > 1.0)
    part = ~pair.no_p & (~pair.no_q | (order == 1.0))
    return exponent, pair, part, infinite


def _bounded(x: Array) -> Array:
    bound = float(np.log(float(jnp.finfo(x.dtype).max))) - 1.0
    return jnp.where(x > bound, bound, x)


def _weighted_exp(pair: Pair, x: Array) -> Array:
    """p·exp(x), at most near 1, also where p underflowed."""
    lost = pair.p < tiny(pair.p.dtype)
    inside = jnp.exp(_bounded(jnp.where(lost, pair.log_p + x, x)))
    return jnp.where(lost, inside, pair.p * inside)
