"""What XLA:CPU runs fast, each with a certificate that it is also right.

XLA:CPU (jaxlib 0.10) hands a fusion of +, −, ×, ÷, min, max, exp, log, log1p, expm1, sign and a final
reduction to a library of vector kernels; a comparison, a choice, an integer or an operation after the
reduction keeps it from doing so, at 4 to 10 times the cost. A formula made of those operations alone
cannot treat every boundary case, so each one here returns, with its value, whether the value keeps the
accuracy of the definition on every row. Where it does not, the definition is evaluated instead.

The acceptance bounds come from first-order error analysis: a formula whose absolute error is at most
u·E(row) (u the unit roundoff, 6e-8 in float32, 1.1e-16 in float64) is accepted where E/value is below
what the contract allows: 67 in float32, 36 in float64. Everything here is a fact about one compiler: the
benchmarks show when it stops being true.
"""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.typing import DTypeLike
from jaxtyping import Array

from jxent._numerics.primitives import fence, recompute, row_sum, tiny

Axes = tuple[int, ...]
# A formula gives its value, an array or several, and whether each row keeps the accuracy of the definition.
Certified = Callable[..., tuple[Any, Array]]


def _budget(dtype: DTypeLike) -> float:
    return 60.0 if jnp.dtype(dtype) == jnp.float32 else 32.0


def certified(quick: Certified, exact: Callable[..., Any], *operands: Array) -> Any:
    """The quick value where every row certifies it, else the definition."""
    value, sure = quick(*operands)
    return lax.cond(jnp.all(sure), lambda value, *_: value, lambda _, *rest: exact(*rest), value, *operands)


def from_probs(name: str, axes: Axes) -> Certified | None:
    """The quick formula of a kernel on probabilities, if it has one."""
    formula = {
        "entropy": _entropy,
        "cross_entropy": _cross_entropy,
        "kl_divergence": _kl_divergence,
        "jensen_shannon_divergence": _jensen_shannon,
    }.get(name)
    return None if formula is None else lambda *operands: formula(axes, *operands)


def from_logits(name: str, axes: Axes) -> Certified | None:
    """The quick formula of a kernel on logits, if it has one."""
    formula = {"entropy": _logits_entropy, "kl_divergence": _logits_kl_divergence}.get(name)
    return None if formula is None else lambda *operands: formula(axes, *operands)


def _floor(p: Array) -> float:
    """Log of the smallest normal number, which as a lower bound of log p makes 0·log 0 vanish.

    Taking the maximum after the logarithm is one pass cheaper than before it.
    """
    return float(np.log(tiny(p.dtype)))


def _entropy(axes: Axes, p: Array) -> tuple[Array, Array]:
    total = fence(row_sum(p * jnp.maximum(jnp.log(p), _floor(p)), axes))
    # 0 − total, not −total: the entropy of a certain outcome prints as 0, not as −0.
    return 0.0 - total, jnp.ones((), bool)


def _cross_entropy(axes: Axes, p: Array, q: Array) -> tuple[Array, Array]:
    total = 0.0 - fence(jnp.sum(p * jnp.log(q), axis=axes))
    # The definition itself, except that 0·log 0 gives NaN and p·log 0 gives ∞ here.
    return total, jnp.isfinite(total)


def _kl_divergence(axes: Axes, p: Array, q: Array) -> tuple[Array, Array]:
    total = fence(jnp.sum(p * jnp.maximum(jnp.log(p / q), _floor(p)) + (q - p), axis=axes))
    # For Σp = 1, E ≤ 1.5 + 3·Σ p·|log(p/q)| ≤ 1.5 + 3·(KL + √(2·KL)); it grows with the mass of p. That of q
    # needs no look: where it is far larger, so is the divergence.
    return total, (total > 0.2 * _mass(axes, total, p)) & (total < jnp.inf)


def _jensen_shannon(axes: Axes, p: Array, q: Array, w: Array) -> tuple[Array, Array]:
    wp, wq = w * p, (1.0 - w) * q
    m = wp + wq
    low = _floor(p)
    total = fence(jnp.sum(wp * jnp.maximum(jnp.log(p / m), low) + wq * jnp.maximum(jnp.log(q / m), low), axis=axes))
    # Both ratios are at most 1/w and 1/(1 − w), and the logarithms add to at most log 2: E ≤ 2.5 for Σp = 1.
    return total, (total > 0.1 * _mass(axes, total, p)) & (total < jnp.inf)


def _mass(axes: Axes, after: Array, p: Array) -> Array:
    """Σp, at least 1: counts and other measures that are no distribution have rounding errors of their size."""
    (again,) = recompute(after, p)
    return jnp.maximum(fence(jnp.sum(again, axis=axes)), 1.0)


def _sound(total: Array) -> Array:
    """Whether a sum of unshifted exponentials neither overflowed nor lost what matters to underflow."""
    limit = float(jnp.finfo(total.dtype).max) ** 0.5
    return (total > 1.0 / limit) & (total < limit)


def _logits_entropy(axes: Axes, z: Array) -> tuple[Array, Array]:
    total = fence(jnp.sum(jnp.exp(z), axis=axes))
    (again,) = recompute(total, z)
    moment = fence(jnp.sum(again * jnp.exp(again), axis=axes))
    log_total = jnp.log(total)
    entropy = log_total - moment / total
    error = 2.0 + 2.5 * jnp.abs(log_total) + 2.0 * entropy
    return entropy, _sound(total) & worth(entropy, error)


def _logits_kl_divergence(axes: Axes, a: Array, b: Array) -> tuple[Array, Array]:
    total_a, total_b = (fence(jnp.sum(jnp.exp(z), axis=axes)) for z in (a, b))
    a_again, b_again = recompute(total_a, a, b)
    moment = fence(jnp.sum((a_again - b_again) * jnp.exp(a_again), axis=axes)) / total_a
    log_a, log_b = jnp.log(total_a), jnp.log(total_b)
    divergence = (moment - log_a) + log_b
    # Σ p·|a − b| ≤ |log A| + |log B| + KL + √(2·KL).
    size = jnp.abs(divergence)
    error = 2.0 + 2.5 * (jnp.abs(log_a) + jnp.abs(log_b)) + 2.0 * size + 3.0 * jnp.sqrt(size)
    return divergence, _sound(total_a) & _sound(total_b) & worth(divergence, error)


def log_sum(z: Array, axes: Axes) -> tuple[Array, Array]:
    """Log Σ exp z without a shift, the reduced axes kept, and where that is sound."""
    total = fence(jnp.sum(jnp.exp(z), axis=axes, keepdims=True))
    return jnp.log(total), _sound(total)


def worth(value: Array, error: Array) -> Array:
    """Whether a value is large enough for an absolute error of `error` unit roundoffs."""
    return _budget(value.dtype) * value > error
