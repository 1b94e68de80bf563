"""Quick formulas on logits, each with its certificate (see `fast`).

Exponentials are not shifted by the maximum, which would cost a pass: the certificate asks whether their sums
stayed well inside the range of the dtype. What is summed is rounded in proportion to its logarithms: to
those of the sums of exponentials, in which a common shift of the logits shows.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from jxent._numerics import loops
from jxent._numerics.fast_probs import Quick, add, budget, far_apart, mixture_terms, orders_of_alpha
from jxent._numerics.primitives import fence, flushed, recompute

Axes = tuple[int, ...]
# Log Σ p^β q^γ or log Σ pᵃ, its error in units, and whether it is one that this is a formula for.
Log = tuple[Array, Array, Array]


def sound(total: Array) -> Array:
    """Whether a sum of unshifted exponentials neither overflowed nor lost what matters to underflow."""
    limit = float(jnp.finfo(total.dtype).max) ** 0.5
    return (total > 1.0 / limit) & (total < limit)


# The least sum of unshifted exponentials for which the classes that are lost to underflow count as 0 in the definition
# too. Below it they could weigh a huge logit of the other row. What is missing to 1 is for sums that are rounded.
LEAST_SUM = 0.999


def whole(total: Array) -> Array:
    """Whether no class of a row was lost that does not count as 0."""
    return sound(total) & (total >= LEAST_SUM)


def log_sum(z: Array, axes: Axes) -> tuple[Array, Array]:
    """Log Σ exp z without a shift, the reduced axes kept, and where that is sound."""
    total = exp_sum(z, axes)
    return jnp.log(total), sound(total)


def exp_sum(z: Array, axes: Axes) -> Array:
    """Σ exp z without a shift, the reduced axes kept."""
    rows = z.reshape(z.shape[0], -1) if loops.are_segments(axes, z) else z
    if loops.are_long((rows.ndim - 1,), rows) and (rows is not z or axes == (z.ndim - 1,)):
        (total,) = loops.row_sums(lambda z: (loops.exponential(z),), rows)
        return jnp.expand_dims(total, axes)
    return fence(jnp.sum(jnp.exp(z), axis=axes, keepdims=True))


def worth(value: Array, error: Array | float) -> Array:
    """Whether a value is large enough for an absolute error of `error` unit roundoffs."""
    return budget(value) * value > error


def moment_error(log_total: Array | float, value: Array, mean: float = 7.5) -> Array:
    """Units by which log Σ exp z and a mean of z err, the latter by so many of itself: 10 at least in float64.

    A long sum of equal terms keeps no partial sums in float64. Where classes of equal logits have most of the
    weight, the rounding of their terms is not averaged: a sum of exponentials was seen to err by 8 units.
    """
    return 8.0 + max(mean, 7.5 if value.dtype == jnp.float32 else 10.0) * jnp.abs(log_total) + 2.0 * value


class Sums(NamedTuple):
    """Both rows again, the sums of their exponentials with the reduced axes kept, and whether those are sound."""

    a: Array
    b: Array
    total_a: Array
    total_b: Array
    sure: Array

    def probabilities(self) -> tuple[Array, Array]:
        """P and q as quotients: their relative error of 5 units has no logarithm in it."""
        return flushed(jnp.exp(self.a) * (1.0 / self.total_a)), flushed(jnp.exp(self.b) * (1.0 / self.total_b))


def sums(axes: Axes, a: Array, b: Array) -> Sums:
    """Both sums, and the rows again for what is formed from them."""
    total_a, total_b = exp_sum(a, axes), exp_sum(b, axes)
    a, b = recompute(total_a, a, b)
    return Sums(a, b, total_a, total_b, jnp.squeeze(whole(total_a) & whole(total_b), axes))


def entropy(axes: Axes, z: Array) -> Quick:
    """Log Z − Σ z·exp z/Z with Z = Σ exp z."""
    total = add(jnp.exp(z), axes)
    (again,) = recompute(total, z)
    return entropy_of_sums(total, add(again * jnp.exp(again), axes))


def entropy_of_sums(total: Array, moment: Array) -> Quick:
    """The entropy from Σ exp z and Σ z·exp z."""
    log_total = jnp.log(total)
    value = log_total - moment / total
    return value, sound(total) & worth(value, moment_error(log_total, value, 10.0))


def cross_entropy(axes: Axes, a: Array, b: Array) -> Quick:
    """Log B − Σ b·exp a/A."""
    total_a, total_b = (add(jnp.exp(z), axes) for z in (a, b))
    again_a, again_b = recompute(total_a, a, b)
    return cross_entropy_of_sums(total_a, total_b, add(again_b * jnp.exp(again_a), axes))


def cross_entropy_of_sums(total_a: Array, total_b: Array, moment: Array) -> Quick:
    """The cross-entropy from Σ exp a, Σ exp b and Σ b·exp a."""
    log_b = jnp.log(total_b)
    value = log_b - moment / total_a
    return value, whole(total_a) & sound(total_b) & worth(value, moment_error(log_b, value, 10.0))


def kl_divergence(axes: Axes, a: Array, b: Array) -> Quick:
    """Σ (a − b)·exp a/A + log(B/A)."""
    total_a, total_b = (add(jnp.exp(z), axes) for z in (a, b))
    a_again, b_again = recompute(total_a, a, b)
    return kl_of_sums(total_a, total_b, add((a_again - b_again) * jnp.exp(a_again), axes))


def kl_of_sums(total_a: Array, total_b: Array, moment: Array, sums: float = 12.0) -> Quick:
    """The divergence from Σ exp a, Σ exp b and Σ (a − b)·exp a."""
    # The logarithm of the quotient errs in proportion to itself, two logarithms would in proportion to log A.
    to_b = jnp.log(total_b / total_a)
    value = moment / total_a + to_b
    # Σ p·|a − b| ≤ |log(B/A)| + KL + √(2·KL), of which each term errs by 2.5 units. The sums of exponentials err by
    # `sums` together, and so does a mean: as kernels form them each by 2 to 4, of few different logits by up to 9.
    size, shift = jnp.abs(value), jnp.abs(to_b)
    error = sums + sums * shift + 7.0 * size + 4.0 * jnp.sqrt(2.0 * size)
    return value, whole(total_a) & sound(total_b) & worth(value, error)


def jeffreys_divergence(axes: Axes, a: Array, b: Array) -> Quick:
    """Σ (p − q)(a − b): what shifts the logits drops out."""
    s = sums(axes, a, b)
    p, q = s.probabilities()
    value = add((p - q) * (s.a - s.b), axes)
    # The error of p and q against the mean of |a − b| ≤ J + √(2J) + |log(A/B)|.
    shift = jnp.squeeze(jnp.abs(jnp.log(s.total_a / s.total_b)), axes)
    return value, s.sure & worth(value, 12.0 * (value + jnp.sqrt(2.0 * jnp.abs(value)) + shift))


def jensen_shannon(axes: Axes, a: Array, b: Array, w: Array) -> Quick:
    """w·Σ p·log(p/m) + (1 − w)·Σ q·log(q/m)."""
    s = sums(axes, a, b)
    p, q = s.probabilities()
    value = mixture_terms(axes, p, q, w)
    # An error of p or q common to a row, as that of the sums of exponentials, changes the value by as much of itself.
    return value, s.sure & far_apart(value, w, 4.5, 12.0, 1.0)


def _tilted(axes: Axes, a: Array, b: Array, beta: Array) -> Log:
    """Log Σ p^β q^γ, the error of that, and whether the sums are sound."""
    gamma = 1.0 - beta
    s = sums(axes, a, b)
    total = add(jnp.exp(beta * s.a + gamma * s.b), axes)
    total_a, total_b = jnp.squeeze(s.total_a, axes), jnp.squeeze(s.total_b, axes)
    # Quotients of sums before logarithms: their rounding is not that of log A.
    to_b = jnp.log(total_a / total_b)
    first = jnp.log(total / total_a)
    log = first + gamma * to_b
    count = float(np.log(np.prod([a.shape[i] for i in axes])))
    # The mean exponent lies between log(total/K) and log total. Rounded where it is formed, it errs by half
    # of its unit on the average; where few terms make the sum, the value is far from the bound below.
    exponent = 0.5 * jnp.maximum(jnp.abs(jnp.log(total)), jnp.abs(jnp.log(total) - count))
    error = 4.0 + exponent + jnp.abs(gamma) * (3.0 + jnp.abs(to_b)) + jnp.abs(first) + jnp.abs(log)
    # Exponents of opposite signs may hide what is far out of range.
    return log, error, s.sure & sound(total) & (jnp.abs(beta) + jnp.abs(gamma) < 10.0)


def renyi_divergence(axes: Axes, a: Array, b: Array, beta: Array) -> Quick:
    """−log(Σ p^β q^γ)/γ."""
    log, error, sure = _tilted(axes, a, b, beta)
    gamma = jnp.where(beta == 1.0, 1.0, 1.0 - beta)
    return -log / gamma, sure & (beta > 0.0) & (beta != 1.0) & worth(jnp.abs(log), error)


def alpha_divergence(axes: Axes, a: Array, b: Array, alpha: Array) -> Quick:
    """(1 − Σ p^β q^γ)/(βγ)."""
    beta, product = orders_of_alpha(alpha)
    log, error, sure = _tilted(axes, a, b, beta)
    lack = -jnp.expm1(log)
    return lack / product, sure & (jnp.abs(alpha) != 1.0) & worth(jnp.abs(lack), error * jnp.exp(log))


def chi_squared_divergence(axes: Axes, a: Array, b: Array) -> Quick:
    """Σ p²/q − 1."""
    log, error, sure = _tilted(axes, a, b, jnp.full((), 2.0, a.dtype))
    value = jnp.expm1(log)
    return value, sure & worth(value, error * jnp.exp(log))


def _power(axes: Axes, z: Array, order: Array) -> Log:
    """Log Σ pᵃ, its error, and whether the sums are sound and the order one that this is a formula for."""
    total = add(jnp.exp(z), axes)
    (again,) = recompute(total, z)
    power = add(jnp.exp(order * again), axes)
    log_total, log_power = jnp.log(total), jnp.log(power)
    log = log_power - order * log_total
    error = 4.0 + 2.0 * jnp.abs(log_power) + order * (3.0 + 2.0 * jnp.abs(log_total)) + jnp.abs(log)
    known = (order > 0.0) & (order < 10.0) & (order != 1.0)
    return log, error, sound(total) & sound(power) & known


def renyi_entropy_of_log(power: Log, order: Array) -> Quick:
    """log(Σ pᵃ)/(1 − a)."""
    log, error, sure = power
    return log / jnp.where(order == 1.0, 1.0, 1.0 - order), sure & worth(jnp.abs(log), error)


def tsallis_entropy_of_log(power: Log, order: Array) -> Quick:
    """(1 − Σ pᵃ)/(a − 1)."""
    log, error, sure = power
    lack = -jnp.expm1(log)
    value = lack / jnp.where(order == 1.0, 1.0, order - 1.0)
    return value, sure & worth(jnp.abs(lack), error * jnp.exp(log))


def renyi_entropy(axes: Axes, z: Array, order: Array) -> Quick:
    """log(Σ pᵃ)/(1 − a)."""
    return renyi_entropy_of_log(_power(axes, z, order), order)


def tsallis_entropy(axes: Axes, z: Array, order: Array) -> Quick:
    """(1 − Σ pᵃ)/(a − 1)."""
    return tsallis_entropy_of_log(_power(axes, z, order), order)


def probabilities(axes: Axes, z: Array) -> tuple[Callable[[], Array], Array]:
    """Exp z/Z, relatively accurate down to the smallest normal number for Z ≥ 1."""
    total = exp_sum(z, axes)
    (again,) = recompute(total, z)
    return lambda: jnp.exp(again) * (1.0 / total), sound(total) & (total >= 1.0)


def log_probabilities(axes: Axes, z: Array) -> tuple[Callable[[], Array], Array]:
    """Z − log Z, unless a class is so certain that this cancels."""
    log_total, sure = log_sum(z, axes)
    again, once_more = recompute(log_total, z, z)
    least = log_total - fence(jnp.max(once_more, axis=axes, keepdims=True))
    # What is smaller than that is rounded in proportion to itself.
    return lambda: again - log_total, sure & worth(least, 3.0 + 2.0 * jnp.abs(log_total))


FORMULAS: dict[str, Callable[..., tuple[Any, Array]]] = {
    "entropy": entropy,
    "cross_entropy": cross_entropy,
    "kl_divergence": kl_divergence,
    "jeffreys_divergence": jeffreys_divergence,
    "jensen_shannon_divergence": jensen_shannon,
    "chi_squared_divergence": chi_squared_divergence,
    "alpha_divergence": alpha_divergence,
    "renyi_divergence of a row": renyi_divergence,
    "renyi_entropy of a row": renyi_entropy,
    "tsallis_entropy of a row": tsallis_entropy,
    "probabilities": probabilities,
    "log_probabilities": log_probabilities,
}
