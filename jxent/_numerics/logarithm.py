"""Exponential, logarithm and the logarithm of a ratio, from which every measure is made.

In float32 they are polynomials on the bits of a number. They take 0.3 to 0.4 of the instructions of XLA:CPU's own
functions, and XLA:CPU evaluates them once for value and slopes. Their only `where` bounds the domain, so that near and
far rows cost the same. In float64 they are XLA's own functions, with a series where those would cancel. Delete the
polynomials when the grid of `python -m benchmarks` is as fast without them.
"""

import math
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.typing import DTypeLike
from jaxtyping import Array

from jxent._numerics.compiler import no_fuse, traced_once

# Below |u| = 1/3 a series in u² replaces the difference of two nearly equal numbers.
SERIES_BOUND = 1.0 / 3.0

# Cody and Waite's reduction x = n·log 2 + r, |r| ≤ ½·log 2, with log 2 in two parts, the first such that n times it is
# exact; and a polynomial for e^r whose relative error is 3e-9 there, by Remez' exchange with the first two
# coefficients fixed. (W. J. Cody and W. Waite, Software Manual for the Elementary Functions, 1980.)
_EXPONENTIAL = (0.00138145986467, 0.00836871687973, 0.0416683880453, 0.166665206317, 0.499999934478)
_LOG2_E = np.float32(1.0 / math.log(2.0))
_LOG_2_FIRST, _LOG_2_REST = np.float32(355.0 / 512.0), np.float32(math.log(2.0) - 355.0 / 512.0)
# Adding it to a number below 2²² rounds that to an integer in the last bits.
_TO_INTEGER = np.float32(1.5 * 2.0**23)
# φ(1 + t) = (1 + t)·log(1 + t) − t = t²·(1 + (1 + t)·Q(t)) on [−⅓, ⅓], with Q as in log(1 + t) = t + t²·Q(t), by Remez'
# exchange with an error of 4e-8 of φ.
_LOGARITHM = (
    *(-0.499999996956, 0.333332746368, -0.250000345868, 0.200070862326, -0.166691717782),
    *(0.140585001263, -0.123491509116, 0.137343908226, -0.121478324733),
)
# e^t − 1 − t = t²·R(t) on [−1, 1]: Chebyshev interpolation, with an error of 5e-9 of R; in float64 the power series.
_EXCESS = (
    *(0.499999997814, 0.166666666468, 0.0416667365952, 0.00833333967592),
    *(0.00138853969118, 0.000198381019687, 2.53585122446e-5, 2.80628025823e-6),
)
# The bits of sign and exponent, those of 1 and of ⅔, and log 2 over 2²³, the bits of one step of the exponent.
_EXPONENT, _ONE = np.int32(-(1 << 23)), np.int32(np.float32(1.0).view(np.int32))
_TWO_THIRDS, _TINY = (np.int32(np.float32(x).view(np.int32)) for x in (2.0 / 3.0, 2.0**-126))
_LOG_2_OF_BITS = np.float32(math.log(2.0) * 2.0**-23)


def tiny(dtype: DTypeLike) -> float:
    """The smallest normal number; probabilities below it count as 0."""
    return float(jnp.finfo(dtype).tiny)


def at_least_tiny(p: Array) -> Array:
    """p, raised to the smallest normal number.

    By `where`, since a maximum may lose a NaN on XLA:CPU; delete when it keeps NaN.
    """
    return jnp.where(p < tiny(p.dtype), tiny(p.dtype), p)


def masked_reciprocal(p: Array) -> Array:
    """1/p, and 0 where p counts as 0: second derivatives at the boundary stay finite."""
    return jnp.where(p < tiny(p.dtype), 0.0, 1.0 / at_least_tiny(p))


@traced_once
def log1p(x: Array) -> Array:
    """log(1 + x).

    XLA's own (jaxlib 0.10) errs by 2.7e-14 in float64 between −1/2 and −0.3, where 1 + x is exact; delete when it errs
    by rounding only.
    """
    below = x < -0.25
    return jnp.where(below, jnp.log(jnp.where(below, 1.0 + x, 1.0)), jnp.log1p(jnp.where(below, 0.0, x)))


def polynomial(coefficients: Sequence[float], x: Array) -> Array:
    """c₀ + c₁·x + … in the dtype of x."""
    *lower, value = (x.dtype.type(c) for c in coefficients)
    total = jnp.asarray(value)
    for c in reversed(lower):
        total = total * x + c
    return total


def _bits(x: Array) -> Array:
    return lax.bitcast_convert_type(x, jnp.int32)


def _number(bits: Array) -> Array:
    return lax.bitcast_convert_type(bits, jnp.float32)


@jax.custom_jvp
@traced_once
def exponential(x: Array) -> Array:
    """e^x for x ≤ 88; 0 where it is below the smallest normal number."""
    if x.dtype != jnp.float32:
        return jnp.exp(x)
    least = np.float32(math.log(tiny(x.dtype)))
    # −∞ would become NaN in the reduction; NaN stays.
    y = jnp.where(x < np.float32(-200.0), np.float32(-200.0), x)
    # `no_fuse`, or XLA may simplify the rounding away; delete when the values are the same without it.
    shifted = no_fuse(y * _LOG2_E + _TO_INTEGER)
    n = shifted - _TO_INTEGER
    r = (y - n * _LOG_2_FIRST) - n * _LOG_2_REST
    # In independent pairs, which can be evaluated at once.
    c6, c5, c4, c3, c2 = (np.float32(c) for c in _EXPONENTIAL)
    square = r * r
    power = ((c6 * square + (c5 * r + c4)) * square + (c3 * r + c2)) * square + (r + np.float32(1.0))
    two_to_n = _number(lax.shift_left(_bits(shifted), np.int32(23)) + _ONE)
    return jnp.where(y < least, np.float32(0.0), power * two_to_n)


@exponential.defjvp
def _exponential_jvp(primals: Sequence[Array], tangents: Sequence[Array]) -> tuple[Array, Array]:
    value = exponential(primals[0])
    return value, value * tangents[0]


@traced_once
def expm1_excess(t: Array) -> Array:
    """(e^t − 1 − t)/t², ½ at 0, for |t| ≤ 1."""
    series = _EXCESS if t.dtype == jnp.float32 else [1.0 / math.factorial(k + 2) for k in range(18)]
    return polynomial(series, t)


@jax.custom_jvp
@traced_once
def safe_log(p: Array) -> Array:
    """Log p, with p below the smallest normal number taken as that number; its slope there is 0."""
    if p.dtype != jnp.float32:
        return jnp.log(at_least_tiny(p))
    bits = jnp.maximum(_bits(p), _TINY)
    n = (bits - _TWO_THIRDS) & _EXPONENT
    value = _log_of(n, _number(bits - n) - np.float32(1.0))[0]
    return jnp.where(p < np.float32(jnp.inf), value, p)


@safe_log.defjvp
def _safe_log_jvp(primals: Sequence[Array], tangents: Sequence[Array]) -> tuple[Array, Array]:
    (p,), (dp,) = primals, tangents
    return safe_log(p), masked_reciprocal(p) * dp


def _log_of(n: Array, t: Array) -> tuple[Array, Array]:
    """Log 2ⁿ·(1 + t), for n as the bits of an exponent, and the polynomial in t."""
    quotient = polynomial(_LOGARITHM, t)
    return (lax.convert_element_type(n, jnp.float32) * _LOG_2_OF_BITS + t) + (t * t) * quotient, quotient


@jax.custom_jvp
@traced_once
def relative(p: Array, q: Array, diff: Array) -> tuple[Array, Array]:
    """δ = log(q/p), and the summand p·log(p/q) − p + q of the relative entropy, both without cancellation.

    Args:
        p: at least 0; below the smallest normal number it counts as 0, with the logarithm of that number.
        q: likewise.
        diff: q − p, which the caller may have more accurately than from p and q.

    Returns:
        Both numbers, for any ratio q/p; NaN where an argument is NaN.

    Gradient: dq/q − dp/p, and −δ·dp + (1 − p/q)·dq; the reciprocal of a number that counts as 0 is 0.
    """
    if p.dtype != jnp.float32:
        delta = _log_ratio(p, q, diff)
        return delta, relative_entropy_term(p, q, diff, delta)
    bits_p, bits_q = jnp.maximum(_bits(p), _TINY), jnp.maximum(_bits(q), _TINY)
    # The fractions are in [1, 2): no quotient leaves the range.
    exponent_p, exponent_q = bits_p & _EXPONENT, bits_q & _EXPONENT
    fraction_p, fraction_q = _number((bits_p - exponent_p) | _ONE), _number((bits_q - exponent_q) | _ONE)
    near = jnp.abs(diff) < q * np.float32(SERIES_BOUND)
    # One division for both: (p − q)/q near equality, elsewhere the ratio of the fractions. It has several users: see
    # `no_fuse`.
    scale = _number(_ONE + _ONE - exponent_q)
    quotient_ = no_fuse(jnp.where(near, -diff * scale, fraction_p) / fraction_q)
    n = jnp.where(near, np.int32(0), (_bits(quotient_) - _TWO_THIRDS) & _EXPONENT)
    t = jnp.where(near, quotient_, _number(_bits(quotient_) - n) - np.float32(1.0))
    exponent = jnp.where(near, np.int32(0), n + (exponent_p - exponent_q))
    log_ratio, polynomial_ = _log_of(exponent, t)
    near_term = -diff * t * ((t + np.float32(1.0)) * polynomial_ + np.float32(1.0))
    return -log_ratio + np.float32(0.0) * diff, jnp.where(near, near_term, p * log_ratio + diff)


@relative.defjvp
def _relative_jvp(
    primals: Sequence[Array], tangents: Sequence[Array]
) -> tuple[tuple[Array, Array], tuple[Array, Array]]:
    (p, q, diff), (dp, dq, _) = primals, tangents
    delta, term = relative(p, q, diff)
    over_q = masked_reciprocal(q)
    return (delta, term), (over_q * dq - masked_reciprocal(p) * dp, -delta * dp + (diff * over_q) * dq)


def _log_ratio(p: Array, q: Array, diff: Array) -> Array:
    """log(q/p): log1p of the relative difference near equality, and the difference of logarithms out of range."""
    normal_p = at_least_tiny(p)
    ratio = at_least_tiny(q) / normal_p
    relative_ = diff / normal_p
    representable = (ratio > tiny(p.dtype)) & (ratio < float(jnp.finfo(p.dtype).max))
    near = (jnp.abs(relative_) < 0.5) & (p >= tiny(p.dtype))
    return jnp.where(
        near,
        log1p(jnp.where(near, relative_, 0.0)),
        jnp.where(representable, jnp.log(jnp.where(representable, ratio, 1.0)), safe_log(q) - safe_log(p)),
    )


def odd_series(u2: Array) -> Array:
    """Σₖ u²ᵏ/(2k + 3), so that atanh(u) = u + u³·odd_series(u²), to rounding for |u| ≤ 1/3."""
    return polynomial([1.0 / (2 * k + 3) for k in range(8 if u2.dtype == jnp.float32 else 17)], u2)


@traced_once
def relative_entropy_term(p: Array, q: Array, diff: Array, delta: Array) -> Array:
    """p·log(p/q) − p + q without cancellation, from diff = q − p and δ = log(q/p).

    With u = (q − p)/(q + p), log(q/p) = 2·atanh(u): (q − p)·u − 2p·u³·Σ u²ᵏ/(2k + 3) for |u| < 1/3.
    """
    u = diff / at_least_tiny(p + q)
    near = jnp.abs(u) < SERIES_BOUND
    v = jnp.where(near, u, 0.0)
    return jnp.where(near, diff * v - 2.0 * p * v * (v * v) * odd_series(v * v), diff - p * delta)
