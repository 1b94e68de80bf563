"""Points sorted into tiles: slabs along the first coordinate, strips of each slab along the second, and so on.

All tiles hold the same number of points, so all arrays have static shapes. A comparison of a point with the starts of
slabs, strips and tiles gives the tiles near it.
"""

import math
from typing import NamedTuple

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float, Int

from jxent.samples._select import last_that


class Tiles(NamedTuple):
    """Points in T tiles of B points; the axis of the tiles is long and therefore the last.

    Attributes:
        points: coordinates `[d, B, T]`; inf in places without a point.
        row: row number of each point; n or more in places without a point.
        starts: for each coordinate the first value of every part along it, with one axis for each coordinate so far.
    """

    points: Float[Array, "d B T"]
    row: Int[Array, "B T"]
    starts: tuple[Array, ...]


class Window(NamedTuple):
    """Tiles around each of Q places.

    Attributes:
        tiles: numbers of the tiles, `[M, Q]`.
        low: for each coordinate, `[m, Q]`: an upper bound of the points in the parts before the window.
        high: for each coordinate, `[m, Q]`: a lower bound of the points in the parts behind the window.
    """

    tiles: Int[Array, "M Q"]
    low: tuple[Array, ...]
    high: tuple[Array, ...]

    def holds(self, places: Float[Array, "d b Q"], radius: Float[Array, "b Q"]) -> Bool[Array, "b Q"]:
        """Whether all points within the radius are in the window."""
        inside = jnp.ones(radius.shape, bool)
        for q, low, high in zip(places, self.low, self.high, strict=True):
            reach = jnp.minimum(q[None] - low[:, None], high[:, None] - q[None])
            inside &= radius < jnp.min(reach, axis=0)
        return inside


def arrange(x: Float[Array, "n d"], size: int) -> Tiles:
    """Sort points into tiles of `size` points."""
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
    """The tiles that hold the range from `low` to `high`: a fixed number of parts along each coordinate, at most all.

    If the range needs fewer parts, parts on both sides are added; if it needs more, the first are taken.
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
    """The number of parts along every coordinate: about equal numbers whose product is at least `tiles`."""
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
    """The position of the last entry below a value `[Q]` in the sorted rows of nodes `[m, Q]`, or −1."""
    return last_that(lambda at: rows[nodes, at] < value[None], rows.shape[1], nodes.shape)
