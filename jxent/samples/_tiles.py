"""Points sorted into tiles: slabs along the first coordinate, strips of each slab along the second, and so on.

Every tile holds as many points, so that all arrays have static shapes, and what lies near a point is found by
comparing it with where slabs, strips and tiles begin.
"""

import math
from typing import NamedTuple

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float, Int

from jxent.samples._select import last_that


class Tiles(NamedTuple):
    """Points in tiles of B; the last axis is that of the T tiles, which is long.

    Attributes:
        points: coordinates `[d, B, T]`; inf where there are too few points to fill the tiles.
        row: of each point, or at least n where there is none.
        starts: for each coordinate where the parts along it begin, one axis for each coordinate so far.
    """

    points: Float[Array, "d B T"]
    row: Int[Array, "B T"]
    starts: tuple[Array, ...]


class Window(NamedTuple):
    """Tiles around each of Q places.

    Attributes:
        tiles: their numbers `[M, Q]`.
        low: for each coordinate, `[m, Q]`: no point outside the window lies above these, in the parts before.
        high: the same of the parts behind, below which none lies.
    """

    tiles: Int[Array, "M Q"]
    low: tuple[Array, ...]
    high: tuple[Array, ...]

    def holds(self, places: Float[Array, "d b Q"], radius: Float[Array, "b Q"]) -> Bool[Array, "b Q"]:
        """Whether all that is not farther than a radius is in the window."""
        inside = jnp.ones(radius.shape, bool)
        for q, low, high in zip(places, self.low, self.high, strict=True):
            reach = jnp.minimum(q[None] - low[:, None], high[:, None] - q[None])
            inside &= radius < jnp.min(reach, axis=0)
        return inside


def arrange(x: Float[Array, "n d"], size: int) -> Tiles:
    """Sort points into tiles of a size."""
    n, d = x.shape
    parts = _parts(-(-n // size), d)
    total = size * math.prod(parts)
    columns = [jnp.pad(x[:, j], (0, total - n), constant_values=jnp.inf)[None] for j in range(d)]
    index = jnp.arange(total, dtype=jnp.int32)[None]
    starts: list[Array] = []
    for level, count in enumerate(parts):
        key, *rest = lax.sort((columns.pop(level), *columns, index), dimension=1, num_keys=1, is_stable=False)
        index = rest.pop()
        columns = [*rest[:level], key, *rest[level:]]
        columns, index = ([_split(a, count) for a in columns], _split(index, count))
        starts.append(columns[level][:, 0].reshape(parts[: level + 1]))
    return Tiles(jnp.stack([c.T for c in columns]), index.T, tuple(starts))


def around(tiles: Tiles, low: Float[Array, "d Q"], high: Float[Array, "d Q"], widths: tuple[int, ...]) -> Window:
    """The parts that hold places between two ends, of a width along each coordinate; at most as many as there are.

    Where they are fewer, as many are taken on both sides; where they are more, the first.
    """
    nodes = jnp.zeros((1, low.shape[1]), jnp.int32)
    lows: list[Array] = []
    highs: list[Array] = []
    for a, b, starts, width in zip(low, high, tiles.starts, widths, strict=True):
        count = starts.shape[-1]
        width_here = min(width, count)
        rows = starts.reshape(-1, count)
        first, last = (_last_below(rows, nodes, end) for end in (a, b))
        first = jnp.maximum(first, 0)
        spare = jnp.maximum(width_here - 1 - (last - first), 0) // 2
        first = jnp.clip(first - spare, 0, count - width_here)
        behind = first + width_here
        lows.append(jnp.where(first > 0, rows[nodes, first], -jnp.inf))
        highs.append(jnp.where(behind < count, rows[nodes, jnp.minimum(behind, count - 1)], jnp.inf))
        nodes = (nodes * count + first)[:, None] + jnp.arange(width_here, dtype=jnp.int32)[None, :, None]
        nodes = nodes.reshape(-1, low.shape[1])
    return Window(nodes, tuple(lows), tuple(highs))


def _parts(tiles: int, d: int) -> tuple[int, ...]:
    """The number of parts along every coordinate, about equal, that together are at least so many tiles."""
    parts: list[int] = []
    for level in range(d):
        left = d - level
        count = tiles if left == 1 else max(1, round(tiles ** (1 / left)))
        parts.append(count)
        tiles = -(-tiles // count)
    return tuple(parts)


def _split(array: Array, count: int) -> Array:
    return array.reshape(array.shape[0] * count, -1)


def _last_below(rows: Array, nodes: Array, value: Array) -> Array:
    """The last entry of sorted rows that is less than a value `[Q]`, or −1, for the rows of nodes `[m, Q]`."""
    return last_that(lambda at: rows[nodes, at] < value[None], rows.shape[1], nodes.shape)
