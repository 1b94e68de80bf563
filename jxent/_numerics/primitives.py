"""Small numerical functions shared by probabilities and logits."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jax import lax
from jax.typing import DTypeLike
from jaxtyping import Array

from jxent._numerics.compiler import no_fuse, row_sum, traced_once
from jxent._numerics.logarithm import at_least_tiny, masked_reciprocal


def lowest(dtype: DTypeLike) -> float:
    """A finite stand-in for log 0: its exponential is 0, and a difference of two stand-ins is finite."""
    return float(jnp.finfo(dtype).min) / 4.0


@traced_once
def two_difference(a: Array, b: Array) -> tuple[Array, Array]:
    """The rounded a − b and its exact rounding error, which is NaN where the difference is out of range.

    Knuth's error-free transformation, The Art of Computer Programming 2, section 4.2.2. `no_fuse` keeps XLA from
    simplifying it and from computing the difference twice; delete when the errors are exact without it.
    """
    rounded = no_fuse(a - b)
    part = no_fuse(rounded - a)
    return rounded, (a - no_fuse(rounded - part)) - (b + part)


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


def with_infinite_slopes(product: Array, infinite: Array) -> Array:
    """A product slope × tangent, made infinite under the mask; 0 where the tangent is 0.

    By two large finite factors, one after the other. They are linear in the tangent and transposable,
    unlike a `where` on the tangent, and avoid the NaN of ∞·0.
    """
    large = jnp.where(infinite, float(jnp.finfo(product.dtype).max) / 2, 1.0).astype(product.dtype)
    return product * large * large


def expand(row: Array, axes: tuple[int, ...]) -> Array:
    """Put the reduced axes back as axes of size 1."""
    return jnp.expand_dims(row, axes)


def is_symbolic_zero(tangent: object) -> bool:
    """Whether the argument of this tangent is not differentiated."""
    return isinstance(tangent, jax.custom_derivatives.SymbolicZero)
