"""Small numerical pieces that every room shares."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.typing import DTypeLike
from jaxtyping import Array

# Below |u| = 1/3 a series in u² replaces the difference of two nearly equal numbers.
SERIES_BOUND = 1.0 / 3.0


def tiny(dtype: DTypeLike) -> float:
    """The smallest normal number; probabilities below it count as 0."""
    return float(jnp.finfo(dtype).tiny)


def lowest(dtype: DTypeLike) -> float:
    """A finite stand-in for log 0: its exponential is 0, and differences of two such stay finite."""
    return float(jnp.finfo(dtype).min) / 4.0


def fence(row: Array) -> Array:
    """Keep a reduction the last operation of its fusion.

    XLA:CPU runs a reduction that ends its fusion 4 to 9 times faster than one that is followed by
    even a cheap elementwise operation (jaxlib 0.10). Rounding to the width that the number already
    has changes nothing and is an operation that this fusion does not take.
    """
    info = jnp.finfo(row.dtype)
    return lax.reduce_precision(row, exponent_bits=int(info.nexp), mantissa_bits=int(info.nmant))


def log1p(x: Array) -> Array:
    """log(1 + x). XLA's own (jaxlib 0.10) errs by 2.7e-14 in float64 between −1/2 and −0.3, where 1 + x is exact."""
    below = x < -0.25
    return jnp.where(below, jnp.log(jnp.where(below, 1.0 + x, 1.0)), jnp.log1p(jnp.where(below, 0.0, x)))


def is_sharded(z: Array) -> bool:
    """Whether the type of the array names mesh axes: only explicit ones do."""
    spec = getattr(getattr(jax.typeof(z), "sharding", None), "spec", ())
    return any(axis is not None for axis in spec)


def varying(x: Array) -> frozenset[str]:
    """The mesh axes over which an array varies inside `shard_map`; jax before 0.10 names them otherwise."""
    kind = jax.typeof(x)
    return getattr(getattr(kind, "mat", kind), "varying", None) or getattr(kind, "vma", frozenset[str]())


def row_sum(x: Array, axes: tuple[int, ...]) -> Array:
    """Σ x over `axes`; in float64 in stages of four along a long last axis.

    A running sum of a thousand equal terms rounds the same way every time, which costs 7 units in the
    last place; in float64 that is what the bound leaves for everything. float32 is left as it is: the
    vector kernels of the CPU keep enough partial sums, and a second stage would cost them a pass.
    """
    # Classes that an explicit mesh axis shards cannot be reshaped into stages.
    if x.dtype != jnp.float64 or axes != (x.ndim - 1,) or is_sharded(x):
        return jnp.sum(x, axis=axes)
    rest = jnp.zeros((), x.dtype)
    while x.shape[-1] >= 8:
        whole = x.shape[-1] // 4 * 4
        rest = rest + jnp.sum(x[..., whole:], axis=-1)
        x = jnp.sum(x[..., :whole].reshape((*x.shape[:-1], whole // 4, 4)), axis=-1)
    return jnp.sum(x, axis=-1) + rest


def deficit(p: Array, axes: tuple[int, ...]) -> Array:
    """1 − Σp, with a largest entry kept apart so that the rounding is that of the others' sum."""
    top = lax.stop_gradient(jnp.max(p, axis=axes, keepdims=True))
    is_top = p == top
    ties = jnp.sum(is_top, axis=axes).astype(p.dtype)
    rest = row_sum(jnp.where(is_top, 0.0, p), axes)
    lead = jnp.sum(jnp.where(is_top, p, 0.0), axis=axes) / ties
    return (1.0 - lead) - (rest + (ties - 1.0) * lead)


def odd_series(u2: Array) -> Array:
    """Σₖ u²ᵏ/(2k + 3), so that atanh(u) = u + u³·odd_series(u²), to rounding for |u| ≤ 1/3."""
    terms = 8 if u2.dtype == jnp.float32 else 17
    total = jnp.full_like(u2, 1.0 / (2 * terms + 1))
    for k in range(terms - 2, -1, -1):
        total = total * u2 + 1.0 / (2 * k + 3)
    return total


@jax.custom_jvp
def safe_log(p: Array) -> Array:
    """Log p, with p below the smallest normal number taken as that number; its slope there is 0."""
    return jnp.log(at_least_tiny(p))


@safe_log.defjvp
def _safe_log_jvp(primals: Sequence[Array], tangents: Sequence[Array]) -> tuple[Array, Array]:
    (p,), (dp,) = primals, tangents
    return safe_log(p), masked_reciprocal(p) * dp


def flushed(x: Array) -> Array:
    """What is below the smallest normal number as 0, as a CPU does by itself and a GPU does not."""
    if jax.default_backend() == "cpu":
        return x
    return jnp.where(jnp.abs(x) < tiny(x.dtype), 0.0, x)


def at_least_tiny(p: Array) -> Array:
    """p, raised to the smallest normal number. A choice, not a maximum: that may lose a NaN on XLA:CPU."""
    return jnp.where(p < tiny(p.dtype), tiny(p.dtype), p)


def masked_reciprocal(p: Array) -> Array:
    """1/p, and 0 where p counts as 0: second derivatives at the boundary stay finite."""
    return jnp.where(p < tiny(p.dtype), 0.0, 1.0 / at_least_tiny(p))


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


def spread(x: Array, shape: tuple[Any, ...]) -> Array:
    """`x` broadcast to a shape; on the CPU written out, since its vector kernels read only what lies in memory."""
    if x.shape == shape:
        return x
    whole = jnp.broadcast_to(x, shape)
    return lax.optimization_barrier(whole) if jax.default_backend() == "cpu" else whole


def recompute(after: Array, *operands: Array) -> tuple[Array, ...]:
    """The operands again, for a second reduction that shall share nothing with the first.

    What two reductions share, XLA:CPU writes to memory as a whole array, which costs more than
    computing it twice. Elsewhere a fusion with two outputs reads once, and nothing is done.
    """
    if jax.default_backend() != "cpu":
        return operands
    return tuple(lax.optimization_barrier((*operands, after))[:-1])
