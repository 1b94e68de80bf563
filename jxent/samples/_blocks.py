"""Work on many places, some at a time: memory for a block of them instead of for all."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool

# Distances to all points of so many places are formed at a time.
AT_ONCE, AT_ONCE_OF_MANY, MANY = 64, 16, 250_000
# Below so many points all pairs are looked at.
FEW = 1024
# Up to so many coordinates the distances are formed anew in every pass over them, which beats reading them.
CHEAP = 3


def distances(places: Array, points: Array) -> Array:
    """In the maximum norm: places `[d, ...]` and points `[d, C, ...]` to `[C, ...]`."""
    d, first = len(places), jnp.abs(places[0][None] - points[0])

    def wider(j: Array | int, so_far: Array) -> Array:
        return jnp.maximum(so_far, jnp.abs(places[j][None] - points[j]))

    if d > CHEAP:
        # What a loop has found lies in memory: it is not formed anew.
        return lax.fori_loop(1, d, wider, first)
    return functools.reduce(lambda so_far, j: wider(j, so_far), range(1, d), first)


def at_once(points: int) -> int:
    """How many places are compared with all points at a time."""
    return AT_ONCE if points <= MANY else AT_ONCE_OF_MANY


def in_blocks(function: Callable[..., Any], arrays: tuple[Array, ...], size: int) -> Any:
    """A function of blocks along the last axis of arrays, its results put together along theirs."""
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
    """Replace the results of the rows that are left, and of those only: as many steps as there are blocks of them.

    Args:
        left: the rows.
        results: `[n]` each.
        function: of row numbers `[size]` gives their results and whether these are final.
        size: rows at a time.
    """
    n = left.shape[0]
    place = jnp.where(left, jnp.cumsum(left, dtype=jnp.int32) - 1, n + size)
    rows = jnp.full(n + size, n, jnp.int32).at[place].set(jnp.arange(n, dtype=jnp.int32), mode="drop")
    steps = (jnp.sum(left, dtype=jnp.int32) + (size - 1)) // size

    def step(i: Array, state: tuple[tuple[Array, ...], Array]) -> tuple[tuple[Array, ...], Array]:
        results, left = state
        here = lax.dynamic_slice(rows, (i * size,), (size,))
        found, final = function(jnp.minimum(here, n - 1))
        results = tuple(a.at[here].set(f, mode="drop") for a, f in zip(results, found, strict=True))
        return results, left.at[here].set(~final, mode="drop")

    return lax.fori_loop(0, steps, step, (results, left))
