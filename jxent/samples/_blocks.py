"""Process many places in blocks, with memory for one block only."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool

# Places whose distances to all points are computed at a time; the second number is for more than MANY points.
AT_ONCE, AT_ONCE_OF_MANY, MANY = 64, 16, 250_000
# Below this number of points all pairs are compared.
FEW = 1024
# Up to this number of coordinates, computing the distances anew in every pass is faster than reading them from memory.
CHEAP = 3


def distances(places: Array, points: Array) -> Array:
    """Distances `[C, ...]` in the maximum norm, from places `[d, ...]` to points `[d, C, ...]`."""
    d, first = len(places), jnp.abs(places[0][None] - points[0])

    def wider(j: Array | int, so_far: Array) -> Array:
        return jnp.maximum(so_far, jnp.abs(places[j][None] - points[j]))

    if d > CHEAP:
        # XLA writes the result of a loop to memory and does not recompute it. Delete when it does so without a loop.
        return lax.fori_loop(1, d, wider, first)
    return functools.reduce(lambda so_far, j: wider(j, so_far), range(1, d), first)


def at_once(points: int) -> int:
    """Number of places that are compared with all points at a time."""
    return AT_ONCE if points <= MANY else AT_ONCE_OF_MANY


def in_blocks(function: Callable[..., Any], arrays: tuple[Array, ...], size: int) -> Any:
    """Apply a function to blocks along the last axis of arrays, and join its results along their last axis."""
    n = arrays[0].shape[-1]
    count = -(-n // size)

    def split(a: Array) -> Array:
        padded = jnp.pad(a, [(0, 0)] * (a.ndim - 1) + [(0, count * size - n)])
        return jnp.moveaxis(padded.reshape(*a.shape[:-1], count, size), -2, 0)

    def join(a: Array) -> Array:
        a = jnp.moveaxis(a, 0, -2)
        return a.reshape(*a.shape[:-2], count * size)[..., :n]

    return jax.tree.map(join, lax.map(lambda block: function(*block), tuple(split(a) for a in arrays)))


def for_each_left(
    left: Bool[Array, " n"],
    results: tuple[Array, ...],
    function: Callable[[Array], tuple[tuple[Array, ...], Array]],
    size: int,
) -> tuple[tuple[Array, ...], Bool[Array, " n"]]:
    """Replace the results of the remaining rows only, in as many steps as they fill blocks.

    Args:
        left: whether a row remains.
        results: `[n]` each.
        function: takes row numbers `[size]`; returns their results, and whether these are final.
        size: rows at a time.
    """
    n = left.shape[0]
    place = jnp.where(left, jnp.cumsum(left, dtype=jnp.int32) - 1, n + size)
    rows = jnp.full(n + size, n, jnp.int32).at[place].set(jnp.arange(n, dtype=jnp.int32), mode="drop")
    steps = (jnp.sum(left, dtype=jnp.int32) + (size - 1)) // size

    def step(i: Array, state: tuple[tuple[Array, ...], Array]) -> tuple[tuple[Array, ...], Array]:
        results, left = state
        here = lax.dynamic_slice(rows, (i * size,), (size,))
        values, final = function(jnp.minimum(here, n - 1))
        results = tuple(a.at[here].set(v, mode="drop") for a, v in zip(results, values, strict=True))
        return results, left.at[here].set(~final, mode="drop")

    return lax.fori_loop(0, steps, step, (results, left))
