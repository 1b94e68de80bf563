"""Small numerical pieces that every room shares."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jax import lax
from jax.typing import DTypeLike
from jaxtyping import Array

from jxent._numerics.compiler import fence, row_sum, traced_once
from jxent._numerics.logarithm import at_least_tiny, masked_reciprocal


def lowest(dtype: DTypeLike) -> float:
    """A finite stand-in for log 0: its exponential is 0, and differences of two such stay finite."""
    return float(jnp.finfo(dtype).min) / 4.0


@traced_once
def two_difference(a: Array, b: Array) -> tuple[Array, Array]:
    """A − b as rounded, and exactly what it was rounded by; that is NaN where the difference is out of range.

    Knuth's error-free transformation, The Art of Computer Programming 2, section 4.2.2. The fences keep the compiler
    from simplifying it, and from forming the difference twice.
    """
    rounded = fence(a - b)
    part = fence(rounded - a)
    return rounded, (a - fence(rounded - part)) - (b + part)


def deficit(p: Array, axes: tuple[int, ...]) -> Array:
    """1 − Σp, with a largest entry kept apart so that the rounding is that of the others' sum."""
    top = lax.stop_gradient(jnp.max(p, axis=axes, keepdims=True))
    is_top = p == top
    ties = jnp.sum(is_top, axis=axes).astype(p.dtype)
    rest = row_sum(jnp.where(is_top, 0.0, p), axes)
    lead = jnp.sum(jnp.where(is_top, p, 0.0), axis=axes) / ties
    return (1.0 - lead) - (rest + (ties - 1.0) * lead)


def reciprocal(p: Array) -> Array:
    """1/p, with p below the smallest normal number taken as that number."""
    return 1.0 / at_least_tiny(p)


@jax.custom_jvp
def quotient(p: Array, q: Array) -> Array:
    """p/q, with q below the smallest normal number taken as that number; its slope there is 0.

    The rule never forms 1/q², which overflows where p/q² need not.
    """
    return p / at_least_tiny(q)


@quotient.defjvp
def _quotient_jvp(primals: Sequence[Array], tangents: Sequence[Array]) -> tuple[Array, Array]:
    (p, q), (dp, dq) = primals, tangents
    value = quotient(p, q)
    return value, reciprocal(q) * dp - value * (masked_reciprocal(q) * dq)


@jax.custom_jvp
def safe_sqrt(x: Array) -> Array:
    """√x with slope 0 at x = 0, the derivative of a distance where the two sides are equal."""
    return jnp.sqrt(x)


@safe_sqrt.defjvp
def _safe_sqrt_jvp(primals: Sequence[Array], tangents: Sequence[Array]) -> tuple[Array, Array]:
    (x,), (dx,) = primals, tangents
    root = safe_sqrt(x)
    slope = jnp.where(x == 0, 0.0, 0.5 / jnp.where(x == 0, 1.0, root))
    return root, slope * dx


def amplify(product: Array, infinite: Array) -> Array:
    """Make a product with a tangent infinite where its slope is, and leave 0 × slope at 0.

    Two large finite factors, one after the other: linear and transposable, unlike a choice on the
    tangent, and free of the NaN that ∞·0 gives.
    """
    large = jnp.where(infinite, float(jnp.finfo(product.dtype).max) / 2, 1.0).astype(product.dtype)
    return product * large * large


def expand(row: Array, axes: tuple[int, ...]) -> Array:
    """Put the reduced axes back as axes of size 1."""
    return jnp.expand_dims(row, axes)


def is_symbolic_zero(tangent: object) -> bool:
    """Whether an argument is not differentiated at all."""
    return isinstance(tangent, jax.custom_derivatives.SymbolicZero)
