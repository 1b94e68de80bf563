"""The one place that knows the compiler: how rows are reduced, and what keeps XLA from slow programs.

XLA:CPU sums rows by the vector kernels of YNNPACK, which take chains of simple operations with the reduction at their
end, and compiles everything else to loops of vector instructions. Two facts decide the speed of a measure: an
expensive operation (a division, a logarithm, an exponential) that two others use is written to memory; and
temporaries of many megabytes are fresh pages in every call, which cost more than the arithmetic. Both can be avoided
without a second formula. Upstream: jax issues 37465, 39257 and 40412; `python -m benchmarks` prints the grid that
shows when this is no longer needed.
"""

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.sharding import PartitionSpec
from jaxtyping import Array

Axes = tuple[int, ...]

# Numbers of an operand from which on rows are evaluated a portion at a time, where temporaries cost time and where they
# are promised to be small.
LARGE, COMPACT = 1 << 22, 1 << 20
# Portions that large operands are cut into, few enough for the way to another thread not to count; and the most numbers
# of one, so that its temporaries stay in a cache.
PORTIONS, PORTION = 16, 1 << 20
# Numbers from which on it pays to write an array out with its categories last.
SMALL = 1 << 12
# Categories up to which a sum is written out.
FEW = 16
# Rows up to which the vector kernels take chains at once. Just above, each number takes 5 to 10 times as long (jaxlib
# 0.10 to 0.12; 33000 rows of 100 or of 1000 numbers).
CHAINED_ROWS = 1 << 15
# The vector kernels divide rows among threads, and up to so many rows not at all: of so many categories a row is summed
# in pieces, 2.5 times as fast on two cores.
FEW_ROWS, LONG, PIECES = 128, 1 << 14, 4


def fence(x: Array) -> Array:
    """The same numbers: rounded to the width that they have, an operation that the vector kernels do not take.

    On an expensive operation with several users it keeps its result out of memory; on the summand of a row it leaves
    the kernel the sum alone; on a sum it keeps what follows out of the kernel, which would make it 4 to 9 times slower
    (jaxlib 0.10 to 0.12, jax issue 39257). Delete when the grid is as fast without it.
    """
    info = jnp.finfo(x.dtype)
    return lax.reduce_precision(x, exponent_bits=int(info.nexp), mantissa_bits=int(info.nmant))


def traced_once(function: Callable[..., Any]) -> Any:
    """The function, whose operations are recorded once for arguments of one type, and copied where it is used again."""
    return jax.jit(function, inline=True)


def category_sums(axes: Axes, summands: Sequence[Callable[..., Array]], *operands: Array) -> list[Array]:
    """Σ of each of the `summands`, which are elementwise in the operands, over the categories; their axes are kept.

    The operands have the categories of the first, or one. Few categories are written out: of that XLA:CPU makes one
    loop over the rows, 3 times as fast as its sums over a short axis.
    """
    first, (axis, *_) = operands[0], axes
    if not are_few(first, axes):
        return chained_sums(axes, summands, *operands)
    sums: list[Array] = []
    for summand in map(jax.jit, summands):
        terms = (summand(*(_category(x, k, axis) for x in operands)) for k in range(first.shape[axis]))
        sums.append(fence(functools.reduce(jnp.add, terms)))
    return sums


def chained_sums(axes: Axes, summands: Sequence[Callable[..., Array]], *operands: Array) -> list[Array]:
    """The sums of `category_sums` by the vector kernels of a CPU, each with its chain of operations.

    XLA:CPU writes to memory what two kernels share on whole rows, even a constant (jaxlib 0.10 to 0.12). So each sum
    gets its own copy of the numbers of a row, and the literals of one summand must differ from those of the others. Nor
    is anything computed on the numbers of a row between a maximum and a sum: below 4096 rows XLA then compiles two
    kernels. Delete when the grid is as fast without it.
    """
    first = operands[0]
    if not are_numbers(*operands) or is_sharded(first):
        return _chained_sums(summands, axes, *operands)
    rows = math.prod(n for i, n in enumerate(first.shape) if i not in axes)
    if rows > CHAINED_ROWS:
        return by_portions(functools.partial(_chained_sums, summands), axes, *operands, least=0)
    if rows <= FEW_ROWS and axes == (first.ndim - 1,) and first.shape[-1] >= LONG and first.shape[-1] % PIECES == 0:
        pieces = (x.reshape(*x.shape[:-1], PIECES, -1) if x.shape == first.shape else x[..., None] for x in operands)
        return [jnp.sum(fence(x), axis=-2) for x in _chained_sums(summands, (first.ndim,), *pieces)]
    return _chained_sums(summands, axes, *operands)


def _chained_sums(summands: Sequence[Callable[..., Array]], axes: Axes, *operands: Array) -> list[Array]:
    first = operands[0]
    sums: list[Array] = []
    for summand in summands:
        if sums:
            copies = iter(materialized(*(x for x in operands if x.shape != first.shape)))
            operands = tuple(x if x.shape == first.shape else next(copies) for x in operands)
        sums.append(row_sum(summand(*operands), axes, keepdims=True))
    return sums


def are_few(x: Array, axes: Axes) -> bool:
    """Whether a sum over these axes is written out."""
    return len(axes) == 1 and are_numbers(x) and 1 < x.shape[axes[0]] <= FEW and not is_sharded(x)


def _category(x: Array, k: int, axis: int) -> Array:
    """One category of x, or x where it has one for all."""
    return x if x.shape[axis] == 1 else lax.slice_in_dim(x, k, k + 1, axis=axis)


def top_of_row(z: Array, axes: Axes) -> Array:
    """The largest entry, the reduced axes kept, and −∞ for a row of only −∞.

    A plain reduction: an operation on its result would keep the sums behind it out of the kernel of the maximum.
    """
    if not are_few(z, axes):
        return jnp.expand_dims(lax.reduce_max(z, axes), axes)
    categories = (_category(z, k, axes[0]) for k in range(z.shape[axes[0]]))
    return formed_once(functools.reduce(jnp.maximum, categories))


def formed_once(x: Array) -> Array:
    """The same numbers, divided by 1.

    XLA:CPU recomputes cheap operations in every loop that uses their result, and with them all that they are made of; a
    division it stores. It does not know that the divisor is 1. Delete when the grid is as fast without it.
    """
    return x / (1.0 + jnp.minimum(jnp.abs(x), 0.0))


def row_sum(x: Array, axes: Axes, *, keepdims: bool = False) -> Array:
    """Σ x over `axes`; in float64 in stages of four along a long last axis.

    A running sum of a thousand equal terms rounds the same way every time, which costs 7 units in the
    last place; in float64 that is what the bound leaves for everything. float32 is left as it is: the
    vector kernels of the CPU keep enough partial sums, and a second stage would cost them a pass.
    """
    # Classes that an explicit mesh axis shards cannot be reshaped into stages.
    if x.dtype != jnp.float64 or axes != (x.ndim - 1,) or is_sharded(x) or not are_numbers(x):
        return jnp.sum(x, axis=axes, keepdims=keepdims)
    rest = jnp.zeros((), x.dtype)
    while x.shape[-1] >= 8:
        fours = x.shape[-1] // 4 * 4
        rest = rest + jnp.sum(x[..., fours:], axis=-1)
        x = jnp.sum(x[..., :fours].reshape((*x.shape[:-1], fours // 4, 4)), axis=-1)
    total = jnp.sum(x, axis=-1) + rest
    return total[..., None] if keepdims else total


def by_portions(
    rowwise: Callable[..., Any], axes: Axes, *operands: Array, least: int = LARGE, temporaries: int = 1
) -> Any:
    """`rowwise(axes, *operands)`, on a CPU for large operands a portion of the rows at a time.

    The operands have the rows of the first and its categories, or one, or no axes at all; the results have the axes of
    the rows. As many temporaries of the size of a portion have to stay in a cache together. Those of the size of the
    operands would be fresh pages in every call: 2 to 5 times the time of the arithmetic on two cores.
    """
    first = operands[0]
    last = tuple(range(first.ndim - len(axes), first.ndim))
    if (
        axes != last
        or not are_numbers(*operands)
        or first.size < least
        or jax.device_count() > 1  # rows may be sharded without their type saying so: a portion would be gathered
        or any(is_sharded(x) for x in operands)
    ):
        return rowwise(axes, *operands)
    rows = math.prod(first.shape[: -len(axes)])
    size = _portion_of(rows, max(1, min(rows // PORTIONS, PORTION // temporaries * rows // first.size)))
    portions = -(-rows // size)

    def portioned(*operands: Array) -> Any:
        inner = tuple(range(1, len(axes) + 1))
        flat = [x.reshape(rows, *x.shape[-len(axes) :]) if x.ndim else x for x in operands]

        def of_portion(_: None, i: Array) -> tuple[None, Any]:
            # The last portion ends with the last row, whether or not its first rows were evaluated before.
            start = i * size if rows % size == 0 else jnp.minimum(i * size, rows - size)
            part = (lax.dynamic_slice_in_dim(x, start, size) if x.ndim else x for x in flat)
            return None, rowwise(inner, *part)

        def joined(x: Array) -> Array:
            tail = x.shape[2:]
            if rows % size:
                x = jnp.concatenate([x[:-1].reshape(-1, *tail), x[-1, portions * size - rows :]])
            return x.reshape(*first.shape[: -len(axes)], *tail)

        _, results = lax.scan(of_portion, None, jnp.arange(portions, dtype=jnp.int32))
        return jax.tree.map(joined, results)

    return lax.platform_dependent(*operands, cpu=portioned, default=lambda *x: rowwise(axes, *x))


def _portion_of(rows: int, most: int) -> int:
    """Rows of a portion: a divisor of them all, if there is one of at least half the most, else the most."""
    return next((n for n in range(most, most // 2, -1) if rows % n == 0), most)


def trailing(axes: Axes, *operands: Array) -> tuple[tuple[Array, ...], Axes]:
    """The operands with the axes of the categories last, written out so on a CPU.

    XLA:CPU reduces over another axis than the last 4 times slower than it transposes and then reduces.
    """
    last = tuple(range(operands[0].ndim - len(axes), operands[0].ndim))
    small = not are_numbers(*operands) or max(x.size for x in operands) < SMALL
    if axes == last or small or any(is_sharded(x) for x in operands):
        return operands, axes
    return materialized(*(jnp.moveaxis(x, axes, last) for x in operands)), last


def broadcast(x: Array, shape: tuple[Any, ...]) -> Array:
    """`x` broadcast to a shape, on a CPU written out: its vector kernels read only what lies in memory."""
    return x if x.shape == shape else materialized(jnp.broadcast_to(x, shape))[0]


def materialized(*arrays: Array) -> tuple[Array, ...]:
    """The same arrays, on a CPU written to memory; elsewhere that would cost a pass."""
    return lax.platform_dependent(*arrays, cpu=lambda *x: tuple(lax.optimization_barrier(x)), default=lambda *x: x)


def recompute(after: Array, *operands: Array) -> tuple[Array, ...]:
    """The operands again, for a second reduction that shall share nothing with the first.

    What two reductions share, XLA:CPU writes to memory as a whole array, which costs more than
    computing it twice. Elsewhere a fusion with two outputs reads once, and nothing is done.
    """

    def apart(after: Array, *operands: Array) -> tuple[Array, ...]:
        return tuple(lax.optimization_barrier((*operands, after))[:-1])

    return lax.platform_dependent(after, *operands, cpu=apart, default=lambda _, *operands: operands)


def is_sharded(z: Array) -> bool:
    """Whether the type of the array names mesh axes: only explicit ones do."""
    spec = getattr(getattr(jax.typeof(z), "sharding", None), "spec", ())
    return any(axis is not None for axis in spec)


def gathered(x: Array, axes: Axes | None = None) -> Array:
    """An array that no explicit mesh axis shards along these axes (None: along any), where an operation allows none."""
    if not is_sharded(x):
        return x
    spec = jax.typeof(x).sharding.spec
    kept = [None if axes is None or i in axes else name for i, name in enumerate(spec)]
    return jax.sharding.reshard(x, PartitionSpec(*kept))


def reshaped(x: Array, shape: tuple[int, ...]) -> Array:
    """The array in another shape, of which explicit mesh axes may shard the first axis where that stays as it is."""
    if x.shape == shape:
        return x
    if not is_sharded(x):
        return x.reshape(shape)
    if not shape or not x.ndim or shape[0] != x.shape[0]:
        return gathered(x).reshape(shape)
    x = gathered(x, tuple(range(1, x.ndim)))
    return lax.reshape(x, shape, out_sharding=PartitionSpec(jax.typeof(x).sharding.spec[0]))


def varying(x: Array) -> frozenset[str]:
    """The mesh axes over which an array varies inside `shard_map`; jax before 0.10 names them otherwise."""
    kind = jax.typeof(x)
    return getattr(getattr(kind, "mat", kind), "varying", None) or getattr(kind, "vma", frozenset[str]())


def are_numbers(*operands: Array) -> bool:
    """Whether every size is a number: `jax.export` has symbols for sizes, too, of which nothing can be asked."""
    return all(isinstance(n, (int, np.integer)) for x in operands for n in x.shape)
