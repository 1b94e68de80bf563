"""Quick formulas on probabilities, each with its certificate (see `fast`).

A sum of rounded terms errs by a few units u of the sum of their sizes, and that of a logarithm of a ratio
by u wherever it is near 0. Divided by the value this is small unless the distributions are close: hence
bounds from below, as shares of the mass.
"""

from collections.abc import Callable

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from jxent._numerics import loops
from jxent._numerics.primitives import at_least_tiny, fence, recompute, row_sum, tiny

Axes = tuple[int, ...]
Quick = tuple[Array, Array]


def budget(x: Array) -> float:
    """Units of roundoff that the contract leaves for a value."""
    return 60.0 if x.dtype == jnp.float32 else 32.0


def log_floor(x: Array) -> float:
    """Log of the smallest normal number, which as a lower bound of log p makes 0·log 0 vanish.

    Taking the maximum after the logarithm is one pass cheaper than before it.
    """
    return float(np.log(tiny(x.dtype)))


def add(x: Array, axes: Axes, *, keepdims: bool = False) -> Array:
    """Σ x as the last operation of its fusion; of rows cut into segments (see `loops`) in two stages."""
    if loops.are_segments(axes, x):
        x = fence(jnp.sum(x, axis=axes[-1], keepdims=True))
    return fence(jnp.sum(x, axis=axes, keepdims=keepdims))


def mass(axes: Axes, after: Array, p: Array) -> Array:
    """Σp, at least 1: counts and other measures that are no distribution have rounding errors of their size."""
    (again,) = recompute(after, p)
    return jnp.maximum(add(again, axes), 1.0)


def entropy(axes: Axes, p: Array) -> Quick:
    """−Σ p·log p."""
    terms = p * jnp.maximum(jnp.log(p), log_floor(p))
    total = add(terms, axes) if loops.are_segments(axes, p) else fence(row_sum(terms, axes))
    # 0 − total, not −total: the entropy of a certain outcome prints as 0, not as −0.
    return 0.0 - total, jnp.ones((), bool)


def cross_entropy(axes: Axes, p: Array, q: Array) -> Quick:
    """−Σ p·log q: the definition itself, except that 0·log 0 gives NaN here and p·log 0 gives ∞."""
    total = 0.0 - add(p * jnp.log(q), axes)
    return total, jnp.isfinite(total)


# With fewer categories than this, some rows of a batch come close by chance: worth a formula that knows them.
MANY_CATEGORIES = 64


def kl_divergence(axes: Axes, p: Array, q: Array) -> Quick:
    """Σ p·log(p/q) − p + q."""
    if np.prod([p.shape[a] for a in axes]) < MANY_CATEGORIES:
        return _kl_of_few(axes, p, q)
    total = add(kl_terms(p, q), axes)
    return total, (total > KL_SHARE * mass(axes, total, p)) & (total < jnp.inf)


# For Σp = 1, E ≤ 1 + 4·√(2·KL) + KL: the ratio, the logarithm, the product, the sum, and q − p. It grows with the mass
# of p. That of q needs no look: where it is far larger, so is the divergence.
KL_SHARE = 0.08


def kl_terms(p: Array, q: Array) -> Array:
    """p·log(p/q) − p + q."""
    return p * jnp.maximum(jnp.log(p / q), log_floor(p)) + (q - p)


def _kl_of_few(axes: Axes, p: Array, q: Array) -> Quick:
    """Σ (q − p) − p·log(q/p), with log(q/p) = ±log1p(|q − p|/min(p, q)), accurate near 0 and far from it."""
    d = q - p
    log = jnp.sign(d) * jnp.log1p(jnp.abs(d) / jnp.minimum(p, q))
    total = add(d - p * jnp.minimum(log, -log_floor(p)), axes)
    # Every error is one of d or of p·log: E ≤ 5·Σ |q − p| + 3·KL ≤ 5·√(2·M·KL) + 3·KL for masses near M.
    return total, (total > 0.02 * mass(axes, total, p)) & (total < jnp.inf)


def jeffreys_divergence(axes: Axes, p: Array, q: Array) -> Quick:
    """Σ (p − q)·log(p/q)."""
    total = add((p - q) * jnp.log(p / q), axes)
    # E ≤ 4·Σ |p − q| + 2·J, and Σ |p − q| ≤ √J for Σp = 1.
    return total, (total > 0.02 * mass(axes, total, p)) & (total < jnp.inf)


def jensen_shannon(axes: Axes, p: Array, q: Array, w: Array) -> Quick:
    """w·Σ p·log(p/m) + (1 − w)·Σ q·log(q/m)."""
    value = mixture_terms(axes, p, q, w)
    return value, far_apart(value, w, 2.5, 4.0, mass(axes, value, p))


def mixture_terms(axes: Axes, p: Array, q: Array, w: Array) -> Array:
    """The sum itself, by log(p/m) = log1p((1 − w)·(p − q)/m), of which no digit is lost near equality."""
    wp, wq = w * p, (1.0 - w) * q
    m, low = jnp.maximum(wp + wq, tiny(p.dtype)), log_floor(p)
    # Factors before the division: in a sum of log1p(u) and of log1p of a multiple of u, as in one of expm1, XLA:CPU
    # (jaxlib 0.10 to 0.12) loses the multiple.
    log_p, log_q = jnp.log1p(((1.0 - w) * (p - q)) / m), jnp.log1p((w * (q - p)) / m)
    return add(wp * jnp.maximum(log_p, low) + wq * jnp.maximum(log_q, low), axes)


def far_apart(value: Array, w: Array, error: float, common: float, total: Array | float) -> Array:
    """Whether a Jensen–Shannon divergence is large enough for its rounding.

    Each logarithm with its factor errs by `error` units, the value by `common` units of itself besides.

    With v = w(1 − w) and V = Σ |p − q|: the two logarithms' arguments leave 4v·V, at most (max(w, 1 − w) + v)·V is
    the sum of the sizes of the terms, and V ≤ √(2·M·JS/v) by Pinsker's inequality for masses of M.
    """
    v = w * (1.0 - w)
    units = (4.0 * v + error * (jnp.maximum(w, 1.0 - w) + v)) * jnp.sqrt(2.0 * total / jnp.maximum(v, 1e-6))
    return (value < jnp.inf) & (value > 0.0) & ((budget(value) - common) * jnp.sqrt(jnp.abs(value)) > units)


def total_variation(axes: Axes, p: Array, q: Array) -> Quick:
    """½ Σ |p − q|: the definition, of which only the order of the operations is chosen."""
    total = 0.5 * add(jnp.abs(q - p), axes)
    return total, jnp.ones((), bool)


def hellinger(axes: Axes, p: Array, q: Array) -> Quick:
    """½ Σ (√p − √q)², by (p − q)/(√p + √q): its relative error of a few units needs no certificate."""
    # A choice: a maximum might lose the NaN of what is below 0.
    root = (p - q) / at_least_tiny(jnp.sqrt(p) + jnp.sqrt(q))
    return 0.5 * add(root * root, axes), jnp.ones((), bool)


def chi_squared_divergence(axes: Axes, p: Array, q: Array) -> Quick:
    """Σ (p − q)·((p − q)/q): no cancellation; 0/0 and what is beyond the range is left to the definition."""
    difference = p - q
    total = add(difference * (difference / q), axes)
    return total, jnp.isfinite(total)


def deficit_terms(p: Array, q: Array, beta: Array) -> Array:
    """βp + γq − p^β q^γ."""
    gamma = 1.0 - beta
    # p = 0 < q would be 0·∞ without the bound; q = 0 < p gives the power 0, or ∞ for β > 1, as it should.
    power = p * jnp.exp(gamma * jnp.minimum(jnp.log(q / p), -log_floor(p)))
    return (beta * p + gamma * q) - power


def deficit_is_sure(total: Array, beta: Array, mass: Array | float) -> Array:
    """Whether Σ [βp + γq − p^β q^γ] is large enough for its rounding."""
    size = jnp.abs(total)
    # Exponents that matter are at most a few times as large as the logarithm of the sum.
    share = 4.0 if total.dtype == jnp.float32 else 5.0
    error = share * (1.0 + jnp.abs(1.0 - beta)) * (1.0 + size)
    if total.dtype == jnp.float64:
        # Between orders 0 and 1 a power is less than p and q together, however large its exponent, and the sum of
        # the exponents small where that of the terms is. Seen: 2.4·(1 + γ) + 8·S at most.
        within = jnp.abs(beta - 0.5) < 0.5
        error = jnp.where(within, 3.0 * (2.0 - beta) + 8.0 * size, error)
    error = error * mass
    return (budget(total) * size > error) & (size < 1e3)


def _power_deficit(axes: Axes, p: Array, q: Array, beta: Array) -> Quick:
    total = add(deficit_terms(p, q, beta), axes)
    return total, deficit_is_sure(total, beta, mass(axes, total, p))


def minus_log_of_rest(x: Array) -> Array:
    """−log(1 − x) for x ≤ 1/2, by a plain logarithm: XLA's log1p is off in float64, and slow where it is mended.

    With u = 1 − x as rounded, log(1 − x) = log u + log(1 + (1 − u − x)/u), and 1 − u is exact: what is left out, the
    square of the quotient, is less than a rounding of the value. Where x is below a unit, u is 1.
    """
    u = 1.0 - x
    return (x - (1.0 - u)) / u - jnp.log(u)


def renyi_of_deficit(deficit: Quick, beta: Array) -> Quick:
    """−log(1 − S)/(1 − β), while 1 − S is well away from 0."""
    s, sure = deficit
    gamma = jnp.where(beta == 1.0, 1.0, 1.0 - beta)
    return minus_log_of_rest(s) / gamma, sure & (s < 0.49) & (beta != 1.0)


def orders_of_alpha(alpha: Array) -> tuple[Array, Array]:
    """β and βγ, of which the latter is 1 where it would be 0.

    That is not found by a comparison with 0: sums that begin with it may stand beside (`fast_chained.by_itself`).
    """
    beta, gamma = 0.5 * (1.0 - alpha), 0.5 * (1.0 + alpha)
    return beta, jnp.where(jnp.abs(alpha) == 1.0, 1.0, beta * gamma)


def renyi_divergence(axes: Axes, p: Array, q: Array, beta: Array) -> Quick:
    """−log(Σ p^β q^γ)/γ for distributions."""
    return renyi_of_deficit(_power_deficit(axes, p, q, beta), beta)


def alpha_divergence(axes: Axes, p: Array, q: Array, alpha: Array) -> Quick:
    """S/(βγ)."""
    beta, product = orders_of_alpha(alpha)
    s, sure = _power_deficit(axes, p, q, beta)
    return s / product, sure & (jnp.abs(alpha) != 1.0)


def bhattacharyya(axes: Axes, p: Array, q: Array) -> Quick:
    """−log(1 − H²), while that is well away from 0."""
    square, sure = hellinger(axes, p, q)
    return minus_log_of_rest(square), sure & (square < 0.49)


def _power(axes: Axes, p: Array, order: Array) -> tuple[Array, Array, Array]:
    """Σ pᵃ, its error in units of itself, and whether the order is one that this is a formula for."""
    total = add(p * jnp.exp((order - 1.0) * jnp.maximum(jnp.log(p), log_floor(p))), axes)
    count = float(np.prod([p.shape[a] for a in axes]))
    # The mean of |log p| under pᵃ/Z is (its entropy − log Z)/a.
    exponent = jnp.abs(order - 1.0) * (np.log(count) + jnp.abs(jnp.log(total))) / order
    known = (jnp.abs(order - 1.0) >= 1.0 / 32.0) & (order > 0.0) & (order < 1e3) & (total > 0.0) & (total < jnp.inf)
    return total, 3.0 + 2.0 * exponent, known


def renyi_entropy(axes: Axes, p: Array, order: Array) -> Quick:
    """log(Σ pᵃ)/(1 − a)."""
    total, error, known = _power(axes, p, order)
    log = jnp.log(total)
    return log / jnp.where(order == 1.0, 1.0, 1.0 - order), known & (budget(p) * jnp.abs(log) > error)


def tsallis_entropy(axes: Axes, p: Array, order: Array) -> Quick:
    """(1 − Σ pᵃ)/(a − 1)."""
    total, error, known = _power(axes, p, order)
    lack = 1.0 - total
    return lack / jnp.where(order == 1.0, 1.0, order - 1.0), known & (budget(p) * jnp.abs(lack) > error * total)


FORMULAS: dict[str, Callable[..., Quick]] = {
    "entropy": entropy,
    "cross_entropy": cross_entropy,
    "kl_divergence": kl_divergence,
    "jeffreys_divergence": jeffreys_divergence,
    "jensen_shannon_divergence": jensen_shannon,
    "total_variation": total_variation,
    "hellinger": hellinger,
    "chi_squared_divergence": chi_squared_divergence,
    "alpha_divergence": alpha_divergence,
    "renyi_divergence of a row": renyi_divergence,
    "bhattacharyya of a row": bhattacharyya,
    "renyi_entropy of a row": renyi_entropy,
    "tsallis_entropy of a row": tsallis_entropy,
}
