"""The distance to the k-th nearest neighbour in the maximum norm: by tiles in low dimensions, by blocks in others."""

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jxent.samples._blocks import FEW, at_once, distances, for_each_left, in_blocks
from jxent.samples._points import settled
from jxent.samples._select import kth_smallest
from jxent.samples._tiles import Tiles, around, arrange

# A function of places and their candidate points: `(places [d, b, Q], points [d, C, 1, Q], index [C, 1, Q])` gives
# arrays `[b, Q]`, the first of which is the distance to the k-th candidate.
Scan = Callable[[Array, Array, Array], tuple[Array, ...]]

# Tiles are faster than blocks up to this dimension; the least number of points in a tile.
MOST_DIMENSIONS, LEAST_TILE = 3, 16
# Parts along each coordinate that are searched first, and next, for the places that remain; and the number of tiles in
# the last stage before all tiles are searched.
FIRST, THEN, LAST = 3, 5, 900
# Tiles that are searched at a time in the first stage; later, candidates compared at a time, and the least places.
TILES_AT_ONCE, CANDIDATES_AT_ONCE, LEAST_PLACES = 64, 1 << 18, 16


@jax.custom_jvp
def _attached(distance: Array, places: Array, points: Array, index: Array) -> Array:
    """The distance, with a derivative in the place and in its neighbour."""
    del places, points, index
    return distance


@_attached.defjvp
def _attached_jvp(primals: tuple[Array, ...], tangents: tuple[Array, ...]) -> tuple[Array, Array]:
    distance, places, points, index = primals

    def between(a: Array, b: Array) -> Array:
        return jnp.max(jnp.abs(a - b[index]), axis=-1)

    _, moved = jax.jvp(between, (places, points), (tangents[1], tangents[2]))
    return _attached(distance, places, points, index), moved


def kth_distance(places: Float[Array, "n d"] | None, points: Float[Array, "m d"], k: int) -> Float[Array, " n"]:
    """The distance of each place to the k-th nearest point; without places, of each point to the k-th nearest other.

    Its derivative is that of the distance to the current k-th neighbour.
    """

    def scan(q: Array, c: Array, index: Array) -> tuple[Array, ...]:
        d = distances(q, c)
        r = kth_smallest(d, k if places is not None else k + 1)
        return r, jnp.max(jnp.where(d == r[None], index, -1), axis=0)

    if places is None:
        (at,) = settled(points)
        distance, index = search(None, at, k + 1, scan)
    else:
        there, at = settled(places, points)
        distance, index = search(there, at, k + 1, scan)
    return _attached(distance, points if places is None else places, points, index)


def search(places: Array | None, points: Array, k: int, scan: Scan) -> tuple[Array, ...]:
    """Apply a scan to the points up to the k-th neighbour of each place: arrays `[n]`.

    The scan may receive farther points too, but always receives all points within the distance that it returns.
    """
    m, d = points.shape
    size = max(LEAST_TILE, k)
    if d > MOST_DIMENSIONS or m < max(FEW, 2 * size * FIRST**d):
        own = points.T if places is None else places.T
        every = jnp.arange(m, dtype=jnp.int32)[:, None, None]
        results = in_blocks(lambda q: scan(q[:, None], points.T[:, :, None, None], every), (own,), at_once(m))
        return tuple(a[0] for a in results)
    tiles = arrange(points, size)
    own = tiles if places is None else arrange(places, LEAST_TILE)
    results = _by_tiles(own, tiles, scan)
    n = (points if places is None else places).shape[0]
    row = own.row.reshape(-1)
    return tuple(jnp.zeros(n, a.dtype).at[row].set(a, mode="drop") for a in results)


def _by_tiles(own: Tiles, tiles: Tiles, scan: Scan) -> tuple[Array, ...]:
    """Scan around each tile, then more widely around each place that remains, and at last all points."""
    n_max = own.row.size
    real = own.points < jnp.inf
    low, high = jnp.min(own.points, axis=1), jnp.max(jnp.where(real, own.points, -jnp.inf), axis=1)
    centre = low + (high - low) / 2
    d = len(own.points)
    window = around(tiles, centre, centre, (FIRST,) * d)

    def look(q: Array, nodes: Array) -> tuple[Array, ...]:
        return scan(q, *_candidates(tiles, nodes))

    results = in_blocks(look, (own.points, window.tiles), TILES_AT_ONCE)
    left = jnp.all(real, axis=0) & ~window.holds(own.points, results[0])
    results, left, flat = (a.reshape(n_max) for a in results), left.reshape(n_max), own.points.reshape(-1, n_max)
    results = tuple(results)
    for widths in _wider(tiles):
        candidates = math.prod(widths) * len(tiles.row)
        if candidates * 4 > tiles.row.size:
            continue

        def nearer(
            rows: Array, widths: tuple[int, ...] = widths, radius: Array = results[0]
        ) -> tuple[tuple[Array, ...], Array]:
            q, r = flat[:, rows], radius[rows][None]
            window = around(tiles, q - r, q + r, widths)
            values = look(q[:, None], window.tiles)
            return tuple(a[0] for a in values), window.holds(q[:, None], values[0])[0]

        results, left = for_each_left(left, results, nearer, max(LEAST_PLACES, CANDIDATES_AT_ONCE // candidates))
    every = tiles.points.reshape(len(flat), -1, 1, 1), tiles.row.reshape(-1, 1, 1)

    def everywhere(rows: Array) -> tuple[tuple[Array, ...], Array]:
        values = scan(flat[:, None, rows], *every)
        return tuple(a[0] for a in values), jnp.ones(rows.shape, bool)

    return for_each_left(left, results, everywhere, at_once(tiles.row.size))[0]


def _wider(tiles: Tiles) -> list[tuple[int, ...]]:
    """The widths of the stages after the first.

    Some stages take all parts along one coordinate and few along the others. They serve values with many ties, whose
    order in the sort does not tell which points are near, and points far from all others in one direction.
    """
    counts = tiles.starts[-1].shape
    few = (FIRST,) * len(counts)
    slabs = [(*few[:j], count, *few[j + 1 :]) for j, count in reversed(list(enumerate(counts)))]
    last = round(LAST ** (1 / len(counts)))
    return [tuple(min(THEN, c) for c in counts), *slabs, tuple(min(last, c) for c in counts)]


def _candidates(tiles: Tiles, nodes: Array) -> tuple[Array, Array]:
    """The points of tiles `[M, Q]` and their rows: `[d, C, 1, Q]` and `[C, 1, Q]`."""
    d, q = len(tiles.points), nodes.shape[1]
    return tiles.points[:, :, nodes].reshape(d, -1, 1, q), tiles.row[:, nodes].reshape(-1, 1, q)
