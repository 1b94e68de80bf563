"""The k-th smallest of many distances, by passes over them, and the last position of a condition, by bisection.

A sort or `lax.top_k` of every column costs far more than the passes do.
"""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Int

# This number of passes, each for the next smallest value, costs as much as finding the bits of the answer one by one.
MOST_PASSES = 32


def kth_smallest(distances: Float[Array, "C ..."], k: int) -> Float[Array, "..."]:
    """The k-th smallest along the first axis, with ties counted; inf if there are fewer than k.

    Args:
        distances: not negative; NaN is ignored.
        k: at least 1.
    """
    return _by_values(distances, k) if k <= MOST_PASSES else _by_bits(distances, k)


def last_that(holds: Callable[[Array], Array], count: int, shape: tuple[int, ...]) -> Int[Array, "..."]:
    """The last of positions 0 to count − 1 at which a condition holds, or −1; it is true up to there, false after.

    Args:
        holds: takes positions and returns booleans, both of `shape`.
        count: number of positions.
        shape: shape of the result.
    """

    def halve(_: Any, ends: tuple[Array, Array]) -> tuple[Array, Array]:
        low, high = ends
        middle = (low + high) // 2
        yes = holds(jnp.maximum(middle, 0))
        return jnp.where(yes, middle, low), jnp.where(yes, high, middle)

    # Once the ends are adjacent, a step tests `low` again and changes nothing.
    ends = jnp.full(shape, -1, jnp.int32), jnp.full(shape, count, jnp.int32)
    return lax.fori_loop(0, (count + 1).bit_length(), halve, ends)[0]


def _by_values(d: Array, k: int) -> Array:
    """The smallest value, the next larger, and so on; the distances are counted only if there are ties."""
    values = [jnp.min(jnp.where(jnp.isnan(d), jnp.inf, d), axis=0)]
    for _ in range(k - 1):
        values.append(jnp.min(jnp.where(d > values[-1][None], d, jnp.inf), axis=0))
    last = values[-1]

    def counted() -> Array:
        smallest = last
        for value in reversed(values[:-1]):
            smallest = jnp.where(_at_most(d, value) >= k, value, smallest)
        return smallest

    if k == 1:
        return last
    # With fewer than k different values the last is inf, and every distance is at most inf.
    at = _at_most(d, last)
    return lax.cond(jnp.any((at > k) | ((at == k) & (last == jnp.inf))), counted, lambda: last)


def _by_bits(d: Array, k: int) -> Array:
    """By bisection on the bits: as integers, the bits of non-negative floats are in the order of the floats."""
    bits = jnp.finfo(d.dtype).bits
    integer = jnp.int32 if bits == 32 else jnp.int64

    def halve(i: Array, low: Array) -> Array:
        # `low` is the largest bit pattern so far below which fewer than k distances lie.
        trial = low | (jnp.ones((), integer) << (bits - 2 - i).astype(integer))
        fewer = jnp.sum(d < lax.bitcast_convert_type(trial, d.dtype)[None], axis=0, dtype=jnp.int32) < k
        return jnp.where(fewer, trial, low)

    start = jnp.zeros(d.shape[1:], integer)
    value = lax.bitcast_convert_type(lax.fori_loop(0, bits - 1, halve, start), d.dtype)
    # Subnormal numbers compare as 0. With fewer than k distances the bit pattern is NaN.
    value = jnp.where(value < jnp.finfo(d.dtype).tiny, jnp.zeros_like(value), value)
    return jnp.where(jnp.isnan(value), jnp.inf, value)


def _at_most(d: Array, value: Array) -> Array:
    return jnp.sum(d <= value[None], axis=0, dtype=jnp.int32)
