"""Quick formulas of one pass: the sums that the last sum needs are formed in the same fusion (see `fast`).

XLA:CPU (jaxlib 0.10) evaluates several reductions in one run over the rows, and what they share once, if the
last operation is one of them; adding a number to a reduction is part of it. Such a fusion has one result. A
certificate that needs another number of the row, as a sum of exponentials, has to get it through that one: where
the number is outside the range that the certificate assumes, something huge is added.

log1p and expm1 have no place here: in a sum of log1p(u) and of log1p of a multiple of u the multiple is lost
(jaxlib 0.10 to 0.12).
"""

import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array

from jxent._numerics.fast_logits import (
    LEAST_SUM,
    Log,
    moment_error,
    renyi_entropy_of_log,
    tsallis_entropy_of_log,
    worth,
)
from jxent._numerics.fast_probs import (
    KL_SHARE,
    Quick,
    deficit_is_sure,
    deficit_terms,
    kl_terms,
    minus_log_of_rest,
    orders_of_alpha,
    renyi_of_deficit,
)
from jxent._numerics.primitives import fence, flushed, tiny

Axes = tuple[int, ...]

# What is added for a certificate not to be given, for every unit beyond the range, and what no value exceeds.
HUGE, LARGEST = 1e30, 1e6


def beyond(x: Array, bound: float) -> Array:
    """0 for |x| ≤ bound, else something huge."""
    return outside(x, -bound, bound)


def outside(x: Array, low: float, high: float) -> Array:
    """0 for low ≤ x ≤ high, else something huge; NaN of NaN, which a maximum alone might lose."""
    return HUGE * jnp.maximum(jnp.maximum(low - x, x - high), 0.0) + 0.0 * x


def by_itself(formula: Callable[..., Quick], axes: Axes, *operands: Array) -> Quick:
    """The formula in a computation of its own: a branch that is always taken, which the compiler does not know.

    A constant that other operations of a computation use, too, is handed to a fusion as an operand: any 0 of the
    caller's, as in a mean, is the one that sums begin with. Chained sums that begin with an operand are formed one
    after the other for all rows, which takes 5 to 10 times as long. Elsewhere nothing of that is so.
    """
    if jax.default_backend() != "cpu":
        return formula(axes, *operands)

    def unsure(*operands: Array) -> Quick:
        # Nobody comes here: something of the type that the formula gives, on any mesh, whatever a generator holds.
        row = jnp.sum(operands[0], axis=axes)
        for x in operands[1:]:
            some = jnp.real(x).astype(row.dtype)
            row = row + (jnp.sum(some, axis=axes) if x.shape == operands[0].shape else jnp.sum(some))
        return row, row < -jnp.inf

    always = lax.optimization_barrier(jnp.ones((), bool))
    return lax.cond(always, functools.partial(formula, axes), unsure, *operands)


def chained(axes: Axes, start: Array, terms: Array) -> Array:
    """Start + Σ terms in the fusion that forms both; the start has the reduced axes kept."""
    return fence(jnp.squeeze(start, axes) + jnp.sum(terms, axis=axes))


def chained_pair(axes: Axes, start: Array, first: Array, second: Array) -> tuple[Array, Array]:
    """Start + Σ first and Σ second by one sum of twice as many terms, whose result has both."""
    at = min(axes)
    # Right before the axes of the categories: what both share is formed once for a row.
    one = jnp.array([1.0, 0.0], first.dtype).reshape((1,) * at + (2,) + (1,) * (first.ndim - at))
    both = jnp.expand_dims(first, at) * one + jnp.expand_dims(second, at) * (1.0 - one)
    within = tuple(a + 1 for a in axes)
    of_first, of_second = jnp.moveaxis(chained(within, jnp.expand_dims(start, at) * one, both), at, 0)
    return of_first, of_second


def certain(value: Array, error: Array | float) -> Array:
    """Whether a value is large enough for an absolute error of `error` unit roundoffs, and nothing was added."""
    return worth(value, error) & (value < LARGEST)


def kept(x: Array, axes: Axes) -> Array:
    """Σ x with the reduced axes kept, not the last operation of its fusion (as `add` is)."""
    return jnp.sum(x, axis=axes, keepdims=True)


class Softmaxes(NamedTuple):
    """p and q from logits, the logarithms of the sums of exponentials, and what is huge where those are unsound."""

    p: Array
    q: Array
    log_a: Array
    log_b: Array
    unsound: Array


def softmaxes(axes: Axes, a: Array, b: Array) -> Softmaxes:
    """Both rows of probabilities, each with a relative error of 5 units where it is not below the smallest normal."""
    up_a, up_b = jnp.exp(a), jnp.exp(b)
    total_a, total_b = kept(up_a, axes), kept(up_b, axes)
    log_a, log_b = jnp.log(total_a), jnp.log(total_b)
    # Far inside the range of the dtype: nothing overflowed.
    limit = 0.5 * float(np.log(float(jnp.finfo(a.dtype).max)))
    return Softmaxes(
        flushed(up_a * (1.0 / total_a)),
        flushed(up_b * (1.0 / total_b)),
        log_a,
        log_b,
        outside(log_a, LEAST_LOG_SUM, limit) + outside(log_b, LEAST_LOG_SUM, limit),
    )


# The largest |log Σ exp z| of a row whose value is certified: its rounding is that of the value.
LOG_SUM = 12.0
# The least one of a row whose lost classes count as 0.
LEAST_LOG_SUM = float(np.log(LEAST_SUM))


def entropy_of_logits(axes: Axes, z: Array) -> Quick:
    """Log Z − Σ z·exp z/Z with Z = Σ exp z."""
    up = jnp.exp(z)
    total = kept(up, axes)
    log_total = jnp.log(total)
    value = chained(axes, log_total + beyond(log_total, LOG_SUM), (z * up) * (-1.0 / total))
    return value, certain(value, moment_error(LOG_SUM, value))


def cross_entropy_of_logits(axes: Axes, a: Array, b: Array) -> Quick:
    """Log B − Σ b·exp a/A."""
    up = jnp.exp(a)
    total, log_b = kept(up, axes), jnp.log(kept(jnp.exp(b), axes))
    start = log_b + (beyond(log_b, LOG_SUM) + outside(jnp.log(total), LEAST_LOG_SUM, 2.0 * LOG_SUM))
    value = chained(axes, start, (b * up) * (-1.0 / total))
    return value, certain(value, moment_error(LOG_SUM, value))


# The largest |log B/A| of two rows of logits: the same for the divergences, which do not depend on shifts.
SHIFT = 1.5


def kl_divergence_of_logits(axes: Axes, a: Array, b: Array) -> Quick:
    """Σ (a − b)·exp a/A + log(B/A)."""
    up = jnp.exp(a)
    total, total_b = kept(up, axes), kept(jnp.exp(b), axes)
    to_b = jnp.log(total_b / total)
    start = to_b + (beyond(to_b, SHIFT) + outside(jnp.log(total), LEAST_LOG_SUM, 2.0 * LOG_SUM))
    value = chained(axes, start, ((a - b) * up) * (1.0 / total))
    # Σ p·|a − b| ≤ |log(B/A)| + KL + √(2·KL), of which each term errs by 2.5 units; each sum of exponentials by 2.
    size = jnp.abs(value)
    return value, certain(value, 5.0 + 4.5 * (SHIFT + size) + 2.5 * jnp.sqrt(2.0 * size))


def jeffreys_of_logits(axes: Axes, a: Array, b: Array) -> Quick:
    """Σ (p − q)·(a − b − log(A/B)): p − q sums to 0 up to rounding, which the shift would make matter."""
    s = softmaxes(axes, a, b)
    shift = s.log_a - s.log_b
    value = chained(axes, s.unsound + beyond(shift, 4.0), (s.p - s.q) * ((a - b) - shift))
    # p and q err against the mean of |log(p/q)| ≤ J + √(2J), a − b and the shift against Σ |p − q| ≤ √J.
    size = jnp.abs(value)
    return value, certain(value, 12.0 * (size + jnp.sqrt(2.0 * size)) + 12.0 * jnp.sqrt(size))


def total_variation_of_logits(axes: Axes, a: Array, b: Array) -> Quick:
    """½ Σ |p − q|."""
    s = softmaxes(axes, a, b)
    value = 0.5 * chained(axes, s.unsound, jnp.abs(s.p - s.q))
    return value, certain(value, 6.0)


def hellinger_of_logits(axes: Axes, a: Array, b: Array) -> Quick:
    """½ Σ (√p − √q)²."""
    s = softmaxes(axes, a, b)
    root = jnp.sqrt(s.p) - jnp.sqrt(s.q)
    value = 0.5 * chained(axes, s.unsound, root * root)
    # E ≤ 3·Σ |√p − √q|·(√p + √q) ≤ 6·√(2H²), and what remains in proportion to the value.
    return value, certain(value, 12.0 * jnp.sqrt(jnp.abs(value)))


def bhattacharyya_of_logits(axes: Axes, a: Array, b: Array) -> Quick:
    """−log(1 − H²), while that is well away from 0."""
    return _log_of_affinity(*hellinger_of_logits(axes, a, b))


def _mixture(axes: Axes, start: Array, p: Array, q: Array, w: Array) -> Array:
    """w·Σ p·log(p/m) + (1 − w)·Σ q·log(q/m), the smallest normal number added to all that may be 0."""
    p, q = p + tiny(p.dtype), q + tiny(p.dtype)
    wp, wq = w * p, (1.0 - w) * q
    m = wp + wq
    return chained(axes, start, wp * jnp.log(p / m) + wq * jnp.log(q / m))


def _apart(value: Array, w: Array, quotient: float, rate: float) -> Array:
    """Whether a Jensen–Shannon divergence is large enough for quotients and terms that err by so many units.

    The sizes of the terms are V and twice the negative ones among them, of which Pinsker's inequality leaves
    less than √(2·w(1 − w)·V) (see `far_apart`).
    """
    size = jnp.abs(value)
    return certain(value, quotient + rate * (size + 2.0 * jnp.sqrt(2.0 * w * (1.0 - w) * size)))


# The mass up to which a measure counts as a distribution, and what the certificates leave for it.
MASS = 1.01


def jensen_shannon(axes: Axes, p: Array, q: Array, w: Array) -> Quick:
    """w·Σ p·log(p/m) + (1 − w)·Σ q·log(q/m)."""
    # The mass of q needs no look: where it is far larger, so is the divergence.
    value = _mixture(axes, beyond(kept(p, axes), MASS), p, q, w)
    return value, _apart(value, w, 3.5 * MASS, 3.0)


def jensen_shannon_of_logits(axes: Axes, a: Array, b: Array, w: Array) -> Quick:
    """The same of softmax(a) and softmax(b)."""
    s = softmaxes(axes, a, b)
    value = _mixture(axes, s.unsound, s.p, s.q, w)
    return value, _apart(value, w, 3.5, 8.0)


def kl_divergence(axes: Axes, p: Array, q: Array) -> Quick:
    """Σ p·log(p/q) − p + q."""
    value = chained(axes, beyond(kept(p, axes), MASS), kl_terms(p, q))
    return value, (value > KL_SHARE * MASS) & (value < LARGEST)


def jeffreys_divergence(axes: Axes, p: Array, q: Array) -> Quick:
    """Σ (p − q)·log(p/q)."""
    value = chained(axes, beyond(kept(p, axes), MASS), (p - q) * jnp.log(p / q))
    # E ≤ 4·Σ |p − q| + 2·J, and Σ |p − q| ≤ √J for Σp = 1.
    return value, (value > 0.02 * MASS) & (value < LARGEST)


def _deficit(axes: Axes, p: Array, q: Array, beta: Array) -> Quick:
    total = chained(axes, beyond(kept(p, axes), MASS), deficit_terms(p, q, beta))
    return total, deficit_is_sure(total, beta, MASS)


def renyi_divergence(axes: Axes, p: Array, q: Array, beta: Array) -> Quick:
    """−log(Σ p^β q^γ)/γ for distributions."""
    return renyi_of_deficit(_deficit(axes, p, q, beta), beta)


def alpha_divergence(axes: Axes, p: Array, q: Array, alpha: Array) -> Quick:
    """Σ [βp + γq − p^β q^γ]/(βγ)."""
    beta, product = orders_of_alpha(alpha)
    s, sure = _deficit(axes, p, q, beta)
    return s / product, sure & (jnp.abs(alpha) != 1.0)


def _power(axes: Axes, z: Array, order: Array) -> Log:
    """Log Σ pᵃ from Σ exp(a·z)·exp(−a·log Z)."""
    log_total = jnp.log(kept(jnp.exp(z), axes))
    start = beyond(log_total, LOG_SUM)
    total = chained(axes, start, jnp.exp(order * z) * jnp.exp(-order * log_total))
    log = jnp.log(total)
    # The sum of the powers is that of pᵃ times Zᵃ.
    error = 5.0 + 3.0 * jnp.abs(log) + order * (3.0 + 6.0 * LOG_SUM)
    # No comparison with 0, which the sums of this computation begin with (see `by_itself`).
    known = (jnp.abs(order - 1.5) < 1.5) & (order != 1.0)
    return log, error, known & (total > tiny(z.dtype)) & (total < LARGEST)


def renyi_entropy_of_logits(axes: Axes, z: Array, order: Array) -> Quick:
    """log(Σ pᵃ)/(1 − a)."""
    return renyi_entropy_of_log(_power(axes, z, order), order)


def tsallis_entropy_of_logits(axes: Axes, z: Array, order: Array) -> Quick:
    """(1 − Σ pᵃ)/(a − 1)."""
    return tsallis_entropy_of_log(_power(axes, z, order), order)


def hellinger(axes: Axes, p: Array, q: Array) -> Quick:
    """½ Σ (√p − √q)²."""
    root = jnp.sqrt(p) - jnp.sqrt(q)
    value = 0.5 * chained(axes, beyond(kept(p, axes), MASS), root * root)
    # E ≤ 2·Σ |√p − √q|·(√p + √q) ≤ 4·√(H²) for Σp = Σq = 1.
    return value, (value > 0.01 * MASS) & (value < LARGEST)


def bhattacharyya(axes: Axes, p: Array, q: Array) -> Quick:
    """−log(1 − H²), while that is well away from 0."""
    return _log_of_affinity(*hellinger(axes, p, q))


def _log_of_affinity(square: Array, sure: Array) -> Quick:
    return minus_log_of_rest(square), sure & (square < 0.49)


def _each_by_itself(formulas: dict[str, Callable[..., Quick]]) -> dict[str, Callable[..., Quick]]:
    return {name: functools.partial(by_itself, formula) for name, formula in formulas.items()}


PROBS = _each_by_itself(
    {
        "kl_divergence": kl_divergence,
        "jeffreys_divergence": jeffreys_divergence,
        "jensen_shannon_divergence": jensen_shannon,
        "hellinger": hellinger,
        "bhattacharyya of a row": bhattacharyya,
        "alpha_divergence": alpha_divergence,
        "renyi_divergence of a row": renyi_divergence,
    }
)
LOGITS = _each_by_itself(
    {
        "entropy": entropy_of_logits,
        "cross_entropy": cross_entropy_of_logits,
        "kl_divergence": kl_divergence_of_logits,
        "jeffreys_divergence": jeffreys_of_logits,
        "jensen_shannon_divergence": jensen_shannon_of_logits,
        "total_variation": total_variation_of_logits,
        "hellinger": hellinger_of_logits,
        "bhattacharyya of a row": bhattacharyya_of_logits,
        "renyi_entropy of a row": renyi_entropy_of_logits,
        "tsallis_entropy of a row": tsallis_entropy_of_logits,
    }
)
