"""Quick formulas whose sums one loop over the rows forms (see `fast` and `loops`)."""

from collections.abc import Callable

import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array

from jxent._numerics.fast_logits import cross_entropy_of_sums, entropy_of_sums, kl_of_sums
from jxent._numerics.fast_probs import Quick
from jxent._numerics.loops import as_written, exponential, log, log_of_reduced, polynomial, reduced, row_sums
from jxent._numerics.primitives import at_least_tiny, tiny

Axes = tuple[int, ...]

# Units by which the logarithms of two sums of exponentials err together. A sum is formed in 11 steps of 1000 classes
# and 21 of a million, and was seen to err by 5, also where all logits are equal or one class has all the weight.
SUMS = 8.0


def kl_divergence(axes: Axes, a: Array, b: Array) -> Quick:
    """Σ (a − b)·exp a/A + log(B/A)."""
    del axes

    def terms(a: Array, b: Array) -> tuple[Array, Array, Array]:
        up = exponential(a)
        return up, exponential(b), up * (a - b)

    total_a, total_b, moment = row_sums(terms, a, b)
    return kl_of_sums(total_a, total_b, moment, SUMS)


def entropy(axes: Axes, z: Array) -> Quick:
    """Log Z − Σ z·exp z/Z with Z = Σ exp z."""
    del axes

    def terms(z: Array) -> tuple[Array, Array]:
        up = exponential(z)
        return up, up * z

    total, moment = row_sums(terms, z)
    return entropy_of_sums(total, moment)


def cross_entropy(axes: Axes, a: Array, b: Array) -> Quick:
    """Log B − Σ b·exp a/A."""
    del axes

    def terms(a: Array, b: Array) -> tuple[Array, Array, Array]:
        up = exponential(a)
        return up, exponential(b), up * b

    total_a, total_b, moment = row_sums(terms, a, b)
    return cross_entropy_of_sums(total_a, total_b, moment)


def entropy_of_probs(axes: Axes, p: Array) -> Quick:
    """−Σ p·log p."""
    del axes

    def terms(p: Array) -> tuple[Array]:
        # A choice is one instruction here; a maximum, which looks for NaN, is several.
        return (p * log(jnp.where(p > tiny(p.dtype), p, np.float32(tiny(p.dtype)))),)

    # 0 − the sum: the entropy of a certain outcome prints as 0, not as −0.
    return np.float32(0.0) - row_sums(terms, p)[0], jnp.ones((), bool)


# φ(1 + t) = (1 + t)·log(1 + t) − t = t²·(1 + (1 + t)·Q(t)) on [−⅓, ⅓], with Q as in the logarithm, log(1 + t) = t +
# t²·Q(t), by Remez' exchange with an error of 4e-8 of φ.
RELATIVE = (
    *(-0.499999996956, 0.333332746368, -0.250000345868, 0.200070862326, -0.166691717782),
    *(0.140585001263, -0.123491509116, 0.137343908226, -0.121478324733),
)
# A smaller ratio of p to q is taken as this: p·log(p/q) is then less than a unit of q.
LEAST_RATIO = np.float32(2.0**-24)


def kl_of_probs(axes: Axes, p: Array, q: Array) -> Quick:
    """Σ q·φ(p/q), φ(r) = r·log r − r + 1: for ratios near 1 in powers of (p − q)/q, so that nothing cancels."""
    del axes
    one = np.float32(1.0)

    def terms(p: Array, q: Array) -> tuple[Array]:
        difference = p - q
        # By |q|: ∞ for −0, too; what is below 0 is found at the end. 0/0 counts as the least ratio.
        excess = as_written(difference / jnp.abs(q))
        excess = jnp.where(excess > LEAST_RATIO - one, excess, LEAST_RATIO - one)
        ratio = as_written(excess + one)
        n, t = reduced(ratio, 2.0 / 3.0)
        quotient = polynomial(RELATIVE, t)
        # With what the sum was rounded by, of which p·log(p/q) has q times as much; NaN for an infinite ratio.
        lost = excess - (ratio - one)
        far = (p * log_of_reduced(n, t, quotient) - difference) + q * lost
        near = (difference * excess) * ((t + one) * quotient + one)
        return (_of_no_negative(jnp.where(n == np.int32(0), near, far), p, q),)

    total = row_sums(terms, p, q)[0]
    return total, jnp.isfinite(total)


def _of_no_negative(term: Array, p: Array, q: Array) -> Array:
    """The same, and NaN where p or q is below 0."""
    return jnp.where(jnp.where(p < q, p, q) < np.float32(0.0), np.float32(np.nan), term)


def chi_squared_divergence(axes: Axes, p: Array, q: Array) -> Quick:
    """Σ (p − q)·((p − q)/q): no cancellation; 0/0 and what is beyond the range is left to the definition."""
    del axes

    def terms(p: Array, q: Array) -> tuple[Array]:
        difference = p - q
        return (_of_no_negative(difference * (difference / q), p, q),)

    total = row_sums(terms, p, q)[0]
    return total, jnp.isfinite(total)


# With s = |p − q|/(p + q), y = s² and z = 1 − y, the Jensen–Shannon divergence of one category is ¼·(p + q)·y·G(y),
# G(y) = ((1 + s)·log(1 + s) + (1 − s)·log(1 − s))/y = A(y) + z·log z·B(z), all of a size: nothing cancels, however
# close the two are. A and B by Remez' exchange with an error of 3e-8 of G on [0, 1].
SMOOTH = (0.9999999706, 1.934815371, -2.884681685, 1.717995424, -0.3971476933, 0.01531293253)
AT_THE_EDGE = (0.4999136564, 0.6132652538, 0.5109443647, 0.1440222759)


def jensen_shannon(axes: Axes, p: Array, q: Array, w: Array) -> Quick:
    """½ Σ p·log(p/m) + q·log(q/m), for equal weights alone."""
    del axes

    def terms(p: Array, q: Array) -> tuple[Array]:
        m = at_least_tiny(p + q)
        s = as_written(jnp.abs(p - q) / m)
        # 1 − s, of which no digit is lost where one of the two is far the smaller.
        least = jnp.where(p < q, p, q)
        less = as_written((least + least) / m)
        y, z = s * s, less * (np.float32(1.0) + s)
        log_z = jnp.where(z < np.float32(0.0), np.float32(np.nan), log(z))
        # Times m, not |p − q|: NaN where p + q is beyond the range, and both quotients 0.
        return (m * y * (polynomial(SMOOTH, y) + z * log_z * polynomial(AT_THE_EDGE, z)),)

    def equal(p: Array, q: Array) -> Quick:
        value = np.float32(0.25) * row_sums(terms, p, q)[0]
        return value, jnp.isfinite(value)

    def other(p: Array, q: Array) -> Quick:
        value = p[..., 0] + q[..., 0]
        return value, jnp.zeros_like(value, bool)

    return lax.cond(w == np.float32(0.5), equal, other, p, q)


PROBS: dict[str, Callable[..., Quick]] = {
    "entropy": entropy_of_probs,
    "kl_divergence": kl_of_probs,
    "chi_squared_divergence": chi_squared_divergence,
    "jensen_shannon_divergence": jensen_shannon,
}
LOGITS: dict[str, Callable[..., Quick]] = {
    "entropy": entropy,
    "cross_entropy": cross_entropy,
    "kl_divergence": kl_divergence,
}
