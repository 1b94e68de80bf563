"""Number of points within a distance of each point, in the maximum norm: by sorting in one and two dimensions."""

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Int

from jxent.samples._blocks import FEW, at_once, distances, in_blocks
from jxent.samples._select import last_that


def below(radius: Array) -> Array:
    """The next smaller floating-point radius: points within it lie strictly within `radius`. 0 stays 0."""
    return jnp.where(radius > 0, jnp.nextafter(radius, jnp.zeros_like(radius)), radius)


def within(x: Float[Array, "n d"], radius: Float[Array, " n"]) -> Int[Array, " n"]:
    """The number of points within the radius of each point, the point itself included."""
    n, d = x.shape
    if d == 1:
        low, high = interval(_sorted(x[:, 0]), x[:, 0], radius)
        return high - low
    if d == 2 and n >= FEW:
        return _in_squares(x, radius)

    def count(q: Array, r: Array) -> Array:
        return jnp.sum(distances(q, x.T[:, :, None]) <= r, axis=0, dtype=jnp.int32)

    return in_blocks(count, (x.T, radius[None]), at_once(n))


def interval(line: Array, places: Array, radius: Array) -> tuple[Array, Array]:
    """The part of a sorted line within a radius of each place: its first position, and the position after its last.

    It uses the same differences as a comparison of all pairs, so both agree to the last bit.
    """
    n = line.shape[0]
    before = last_that(lambda at: places - line[at] > radius, n, places.shape)
    last = last_that(lambda at: line[at] - places <= radius, n, places.shape)
    return before + 1, last + 1


def equal_rows(x: Float[Array, "n d"]) -> Int[Array, " n"]:
    """The number of rows that equal each row, the row itself included."""
    n, d = x.shape
    # Replace -0 by 0, so that a sort treats equal numbers alike.
    x = jnp.where(x == 0, jnp.zeros_like(x), x)
    *columns, row = lax.sort((*x.T, jnp.arange(n, dtype=jnp.int32)), num_keys=d)
    rows = jnp.stack(columns)
    first = jnp.any(rows[:, 1:] != rows[:, :-1], axis=0)
    group = jnp.cumsum(jnp.pad(first, (1, 0)), dtype=jnp.int32)
    sizes = jnp.zeros(n, jnp.int32).at[group].add(1)
    return jnp.zeros(n, jnp.int32).at[row].set(sizes[group], unique_indices=True)


def _in_squares(x: Array, radius: Array) -> Array:
    """In two dimensions: the points with a position along the first and a rank along the second that are in range.

    The points, in the order of the first coordinate, are sorted by the bits of their ranks along the second, the
    highest bit first. The number of points before a position and below a rank is then a sum of one prefix count for
    each bit (a wavelet matrix: F. Claude, G. Navarro and A. Ordóñez, Information Systems 47, 2015).
    """
    n = x.shape[0]
    index = jnp.arange(n, dtype=jnp.int32)
    line, by_first = lax.sort((x[:, 0], index), num_keys=1, is_stable=False)
    other, by_second = lax.sort((x[:, 1], index), num_keys=1, is_stable=False)
    rank = jnp.zeros(n, jnp.int32).at[by_second].set(index, unique_indices=True)[by_first]
    first, last = interval(line, x[:, 0], radius)
    ends = jnp.stack(interval(other, x[:, 1], radius))
    bits = n.bit_length()

    def level(i: Array, state: tuple[Array, ...]) -> tuple[Array, ...]:
        ranks, low, high, counts = state
        shift = bits - 1 - i
        zero = (ranks >> shift) & 1 == 0
        before = jnp.pad(jnp.cumsum(zero, dtype=jnp.int32), (1, 0))
        zeros = before[n]
        place = jnp.where(zero, before[:-1], zeros + index - before[:-1])
        ranks = jnp.zeros_like(ranks).at[place].set(ranks, unique_indices=True)
        one = (ends >> shift) & 1 == 1
        from_low, from_high = before[low], before[high]
        counts = counts + jnp.where(one, from_high - from_low, 0)
        low = jnp.where(one, zeros + low - from_low, from_low)
        high = jnp.where(one, zeros + high - from_high, from_high)
        return ranks, low, high, counts

    spans = tuple(jnp.broadcast_to(a[None], ends.shape) for a in (first, last))
    counts = lax.fori_loop(0, bits, level, (rank, *spans, jnp.zeros_like(ends)))[3]
    return counts[1] - counts[0]


def _sorted(x: Array) -> Array:
    """The numbers in order, sorted as integers, which takes a quarter of the time of a sort of floats."""
    integer = jnp.int32 if jnp.finfo(x.dtype).bits == 32 else jnp.int64
    largest = jnp.asarray(jnp.iinfo(integer).max, integer)
    bits = lax.bitcast_convert_type(x, integer)
    ordered = lax.sort(jnp.where(bits < 0, bits ^ largest, bits), is_stable=False)
    return lax.bitcast_convert_type(jnp.where(ordered < 0, ordered ^ largest, ordered), x.dtype)
