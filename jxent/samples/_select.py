"""The k-th smallest of many distances, by passes over them, and the place where something ends, by bisection.

A sort or `lax.top_k` of every column costs far more than the passes do.
"""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Int

# So many passes for the next smallest value cost as much as finding the bits of the answer one by one.
MOST_PASSES = 32


def kth_smallest(distances: Float[Array, "C ..."], k: int) -> Float[Array, "..."]:
    """The k-th smallest along the first axis, equal ones counted as often as they occur; inf where there are fewer.

    Args:
        distances: not negative; NaN is passed over.
        k: at least 1.
    """
    return _by_values(distances, k) if k <= MOST_PASSES else _by_bits(distances, k)


def last_that(holds: Callable[[Array], Array], count: int, shape: tuple[int, ...]) -> Int[Array, "..."]:
    """The last of positions 0 to count − 1 at which something holds that holds up to there and no farther, or −1.

    Args:
        holds: of positions gives booleans, each of a shape.
        count: number of positions.
        shape: of what is asked at the same time.
    """

    def halve(_: Any, ends: tuple[Array, Array]) -> tuple[Array, Array]:
        low, high = ends
        middle = (low + high) // 2
        yes = holds(jnp.maximum(middle, 0))
        return jnp.where(yes, middle, low), jnp.where(yes, high, middle)

    # With nothing left between the ends a step looks at `low` again and changes nothing of it.
    ends = jnp.full(shape, -1, jnp.int32), jnp.full(shape, count, jnp.int32)
    return lax.fori_loop(0, (count + 1).bit_length(), halve, ends)[0]


def _by_values(d: Array, k: int) -> Array:
    """The smallest, the next larger, and so on; only equal distances make it necessary to count."""
    values = [jnp.min(jnp.where(jnp.isnan(d), jnp.inf, d), axis=0)]
    for _ in range(k - 1):
        values.append(jnp.min(jnp.where(d > values[-1][None], d, jnp.inf), axis=0))
    last = values[-1]

    def counted() -> Array:
        found = last
        for value in reversed(values[:-1]):
            found = jnp.where(_at_most(d, value) >= k, value, found)
        return found

    if k == 1:
        return last
    # With few different values the last is infinite, which all are at most, be they k or more.
    at = _at_most(d, last)
    return lax.cond(jnp.any((at > k) | ((at == k) & (last == jnp.inf))), counted, lambda: last)


def _by_bits(d: Array, k: int) -> Array:
    """The bits of numbers that are not negative order as the numbers do: bisect on them."""
    bits = jnp.finfo(d.dtype).bits
    whole = jnp.int32 if bits == 32 else jnp.int64

    def halve(i: Array, low: Array) -> Array:
        # `low` is the largest bit pattern so far below which fewer than k distances lie.
        trial = low | (jnp.ones((), whole) << (bits - 2 - i).astype(whole))
        fewer = jnp.sum(d < lax.bitcast_convert_type(trial, d.dtype)[None], axis=0, dtype=jnp.int32) < k
        return jnp.where(fewer, trial, low)

    start = jnp.zeros(d.shape[1:], whole)
    found = lax.bitcast_convert_type(lax.fori_loop(0, bits - 1, halve, start), d.dtype)
    # Below the normal numbers all compare as 0 does; with fewer than k distances the pattern is that of NaN.
    found = jnp.where(found < jnp.finfo(d.dtype).tiny, jnp.zeros_like(found), found)
    return jnp.where(jnp.isnan(found), jnp.inf, found)


def _at_most(d: Array, value: Array) -> Array:
    return jnp.sum(d <= value[None], axis=0, dtype=jnp.int32)
