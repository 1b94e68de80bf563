"""All workarounds for the compiler: how rows are reduced on a CPU, and how slow programs of XLA are avoided.

XLA:CPU sums rows with the vector kernels of YNNPACK. These take chains of simple operations that end in a reduction;
everything else becomes loops that XLA compiles itself. Two facts decide the speed of a measure. The result of an
expensive operation (a division, a logarithm, an exponential) with two users is written to memory. Temporaries of many
megabytes are fresh pages in every call and cost more than the arithmetic. Both costs are avoided by rearranging the one
formula of a measure. Upstream: jax issue 37465. "The grid" below is the output of `python -m benchmarks`: to test a
workaround, remove it and compare with `benchmarks/RESULTS.md`.
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

# Smallest sizes of operands whose rows are evaluated a portion at a time: LARGE where temporaries cost time, COMPACT
# where small temporaries are promised.
LARGE, COMPACT = 1 << 22, 1 << 20
# The number of portions of a large operand, few enough that switching threads costs nothing; and the largest size of a
# portion, whose temporaries stay in a cache.
PORTIONS, PORTION = 16, 1 << 20
# Smallest size of an operand for which a transposed copy with the categories last pays.
SMALL = 1 << 12
# Largest number of categories whose sum is unrolled.
FEW = 16
# Largest number of rows whose chains the vector kernels take at once. Just above it, each number takes 5 to 10 times as
# long (jaxlib 0.10 to 0.12; 33000 rows of 100 or of 1000 numbers). Delete when they do not.
CHAINED_ROWS = 1 << 15
# The vector kernels divide rows among threads, but not at all up to FEW_ROWS. A row of at least LONG categories is then
# summed in PIECES, 2.5 times as fast on two cores. Delete when the grid is as fast without it.
FEW_ROWS, LONG, PIECES = 128, 1 << 14, 4


def no_fuse(x: Array) -> Array:
    """The same numbers, rounded to their own width: an operation that the vector kernels of XLA:CPU do not fuse.

    On an expensive operation with several users it keeps the result out of memory. On the summand of a row it leaves
    only the sum to the kernel. On a sum it keeps the next operations out of the kernel, which they would make 4 to 9
    times slower (jaxlib 0.10 to 0.12, jax issue 37465). Delete when the grid is as fast without it, but in
    `softmax.centred`, `two_difference` and `exponential` only when the numbers are right without it.
    """
    info = jnp.finfo(x.dtype)
    return lax.reduce_precision(x, exponent_bits=int(info.nexp), mantissa_bits=int(info.nmant))


class ShardedAxes(tuple[int, ...]):
    """Axes of categories that are sharded over a mesh axis: a reduction over them runs over all devices."""

    name: str

    def __new__(cls, axes: Axes, name: str) -> "ShardedAxes":
        self = super().__new__(cls, axes)
        self.name = name
        return self

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ShardedAxes) and (tuple(self), self.name) == (tuple(other), other.name)

    def __ne__(self, other: object) -> bool:
        return not self == other  # a tuple has an inequality of its own

    def __hash__(self) -> int:
        return hash((tuple(self), self.name))


def sum_over(x: Array, axes: Axes, *, keepdims: bool = False) -> Array:
    """Σ x over axes that may be sharded."""
    total = jnp.sum(x, axis=tuple(axes), keepdims=keepdims)
    return lax.psum(total, axes.name) if isinstance(axes, ShardedAxes) else total


def max_over(x: Array, axes: Axes, *, initial: float) -> Array:
    """The maximum over axes that may be sharded, which stay with size 1; its derivative is not taken."""
    top = jnp.max(x, axis=tuple(axes), keepdims=True, initial=initial)
    return lax.pmax(top, axes.name) if isinstance(axes, ShardedAxes) else top


def any_over(x: Array, axes: Axes) -> Array:
    """Whether any element over axes that may be sharded is true; the axes stay with size 1."""
    if isinstance(axes, ShardedAxes):
        return sum_over(x.astype(jnp.int32), axes, keepdims=True) > 0
    return jnp.any(x, axis=axes, keepdims=True)


def traced_once(function: Callable[..., Any]) -> Any:
    """The function, traced once for each type of arguments; later calls copy the recorded operations."""
    return jax.jit(function, inline=True)


def category_sums(axes: Axes, summands: Sequence[Callable[..., Array]], *operands: Array) -> list[Array]:
    """The sum over the categories of each of the elementwise `summands`; the reduced axes are kept.

    An operand has the categories of the first operand, or size 1 along their axis. A sum over few categories is
    unrolled: XLA:CPU compiles it to one loop over the rows, 3 times as fast as its sum over a short axis. Delete
    unrolling when the grid is as fast without it.
    """
    first, (axis, *_) = operands[0], axes
    if not are_few(first, axes):
        return chained_sums(axes, summands, *operands)
    sums: list[Array] = []
    for summand in map(jax.jit, summands):
        terms = (summand(*(_category(x, k, axis) for x in operands)) for k in range(first.shape[axis]))
        sums.append(no_fuse(functools.reduce(jnp.add, terms)))
    return sums


def chained_sums(axes: Axes, summands: Sequence[Callable[..., Array]], *operands: Array) -> list[Array]:
    """The sums of `category_sums` by the vector kernels of a CPU, each with its own chain of operations.

    XLA:CPU writes any whole-row value that two kernels share to memory, even a constant (jaxlib 0.10 to 0.12). So each
    sum gets its own copy of the per-row numbers, and the literals of one summand must differ from those of the others,
    or XLA shares them as a whole array. Callers pass the maximum of a row as `top_of_row` gives it: below 4096 rows XLA
    compiles an operation between a maximum and a sum to a second kernel. Delete when the grid is as fast without it.
    """
    first = operands[0]
    if not are_numbers(*operands) or is_sharded(first) or isinstance(axes, ShardedAxes):
        return _chained_sums(summands, axes, *operands)
    rows = math.prod(n for i, n in enumerate(first.shape) if i not in axes)
    if rows > CHAINED_ROWS:
        return by_portions(functools.partial(_chained_sums, summands), axes, *operands, least=0)
    if rows <= FEW_ROWS and axes == (first.ndim - 1,) and first.shape[-1] >= LONG and first.shape[-1] % PIECES == 0:
        pieces = (x.reshape(*x.shape[:-1], PIECES, -1) if x.shape == first.shape else x[..., None] for x in operands)
        return [jnp.sum(no_fuse(x), axis=-2) for x in _chained_sums(summands, (first.ndim,), *pieces)]
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
    """Whether a sum over these axes is unrolled."""
    if isinstance(axes, ShardedAxes):
        return False
    return len(axes) == 1 and are_numbers(x) and 1 < x.shape[axes[0]] <= FEW and not is_sharded(x)


def _category(x: Array, k: int, axis: int) -> Array:
    """Category k of x, or x where it has only one."""
    return x if x.shape[axis] == 1 else lax.slice_in_dim(x, k, k + 1, axis=axis)


def top_of_row(z: Array, axes: Axes) -> Array:
    """The largest entry, the reduced axes kept; −∞ for a row of only −∞.

    For many classes a plain reduction: an operation on its result would keep the next sums out of the kernel of the
    maximum.
    """
    if isinstance(axes, ShardedAxes):
        return max_over(z, axes, initial=-jnp.inf)
    if not are_few(z, axes):
        return jnp.expand_dims(lax.reduce_max(z, axes), axes)
    categories = (_category(z, k, axes[0]) for k in range(z.shape[axes[0]]))
    return formed_once(functools.reduce(jnp.maximum, categories))


def formed_once(x: Array) -> Array:
    """The same numbers, divided by 1 so that XLA:CPU stores them.

    XLA:CPU recomputes cheap operations and their inputs in every loop that uses the result, but stores the result of a
    division. It cannot prove that the divisor is 1. Delete when the grid is as fast without it.
    """
    return x / (1.0 + jnp.minimum(jnp.abs(x), 0.0))


def row_sum(x: Array, axes: Axes, *, keepdims: bool = False) -> Array:
    """Σ x over `axes`; in float64 in stages of four along a long last axis.

    A running sum of a thousand equal terms rounds the same way every time and errs by 7 units in the last place. In
    float64 that would use up the error bound of the whole measure. float32 needs no stages: the vector kernels of the
    CPU keep enough partial sums, and a second stage would cost a pass.
    """
    if isinstance(axes, ShardedAxes):
        return lax.psum(row_sum(x, tuple(axes), keepdims=keepdims), axes.name)
    # Classes sharded by an explicit mesh axis cannot be reshaped into stages.
    if x.dtype != jnp.float64 or axes != (x.ndim - 1,) or is_sharded(x) or not are_numbers(x):
        return jnp.sum(x, axis=axes, keepdims=keepdims)
    rest = jnp.zeros((), x.dtype)
    while x.shape[-1] >= 8:
        fours = x.shape[-1] // 4 * 4
        rest = rest + jnp.sum(x[..., fours:], axis=-1)
        x = jnp.sum(x[..., :fours].reshape((*x.shape[:-1], fours // 4, 4)), axis=-1)
    total = jnp.sum(x, axis=-1) + rest
    return total[..., None] if keepdims else total


def by_portions(rowwise: Callable[..., Any], axes: Axes, *operands: Array, least: int = LARGE) -> Any:
    """`rowwise(axes, *operands)`; on a CPU, large operands are evaluated a portion of the rows at a time.

    An operand is a scalar, or has the rows of the first operand and its categories or one. The results have the axes of
    the rows. Temporaries of the
    size of the operands would be fresh pages in every call, 2 to 5 times the time of the arithmetic on two cores.
    Delete when the grid is as fast without it.
    """
    first = operands[0]
    last = tuple(range(first.ndim - len(axes), first.ndim))
    if (
        axes != last
        or not are_numbers(*operands)
        or first.size < least
        or jax.device_count() > 1  # the type does not show shards of auto axes: a portion would be gathered
        or any(is_sharded(x) for x in operands)
    ):
        return rowwise(axes, *operands)
    rows = math.prod(first.shape[: -len(axes)])
    size = _portion_of(rows, max(1, min(rows // PORTIONS, PORTION * rows // first.size)))
    portions = -(-rows // size)

    def portioned(*operands: Array) -> Any:
        inner = tuple(range(1, len(axes) + 1))
        flat = [x.reshape(rows, *x.shape[-len(axes) :]) if x.ndim else x for x in operands]

        def of_portion(_: None, i: Array) -> tuple[None, Any]:
            # The last portion ends with the last row; it may overlap the portion before it.
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
    """Rows of a portion: the largest divisor of `rows` from `most` down to above its half, else `most`."""
    return next((n for n in range(most, most // 2, -1) if rows % n == 0), most)


def trailing(axes: Axes, *operands: Array) -> tuple[tuple[Array, ...], Axes]:
    """The operands with the axes of the categories last, on a CPU as transposed copies.

    XLA:CPU reduces over another axis than the last 4 times slower than it transposes and then reduces. Delete when the
    grid is as fast without it.
    """
    last = tuple(range(operands[0].ndim - len(axes), operands[0].ndim))
    small = not are_numbers(*operands) or max(x.size for x in operands) < SMALL
    if axes == last or isinstance(axes, ShardedAxes) or small or any(is_sharded(x) for x in operands):
        return operands, axes
    return materialized(*(jnp.moveaxis(x, axes, last) for x in operands)), last


def broadcast(x: Array, shape: tuple[Any, ...]) -> Array:
    """`x` broadcast to a shape, on a CPU as a copy in memory: the vector kernels read only whole arrays.

    Delete when the grid is as fast without it.
    """
    return x if x.shape == shape else materialized(jnp.broadcast_to(x, shape))[0]


def materialized(*arrays: Array) -> tuple[Array, ...]:
    """The same arrays, on a CPU written to memory by a barrier; elsewhere that would cost a pass.

    `chained_sums`, `trailing` and `broadcast` name the facts about XLA:CPU; delete with them.
    """
    return lax.platform_dependent(*arrays, cpu=lambda *x: tuple(lax.optimization_barrier(x)), default=lambda *x: x)


def barrier_copy(after: Array, *operands: Array) -> tuple[Array, ...]:
    """The operands behind a barrier, for a second reduction that shares nothing with the first.

    XLA:CPU writes a value that two reductions share to memory as a whole array, which costs more than computing it
    twice. Elsewhere a fusion with two outputs reads once, and there is no barrier. Delete when the grid is as fast
    without it.
    """

    def apart(after: Array, *operands: Array) -> tuple[Array, ...]:
        return tuple(lax.optimization_barrier((*operands, after))[:-1])

    return lax.platform_dependent(after, *operands, cpu=apart, default=lambda _, *operands: operands)


def is_sharded(z: Array) -> bool:
    """Whether the type of the array names mesh axes; only explicit axes appear there."""
    spec = getattr(getattr(jax.typeof(z), "sharding", None), "spec", ())
    return any(axis is not None for axis in spec)


def gathered(x: Array, axes: Axes | None = None) -> Array:
    """The array without explicit sharding along these axes (None: all), for operations that do not allow it."""
    if not is_sharded(x):
        return x
    spec = jax.typeof(x).sharding.spec
    kept = [None if axes is None or i in axes else name for i, name in enumerate(spec)]
    return jax.sharding.reshard(x, PartitionSpec(*kept))


def reshaped(x: Array, shape: tuple[int, ...]) -> Array:
    """The array in another shape; explicit sharding of the first axis is kept where the size of that axis is."""
    if x.shape == shape:
        return x
    if not is_sharded(x):
        return x.reshape(shape)
    if not shape or not x.ndim or shape[0] != x.shape[0]:
        return gathered(x).reshape(shape)
    x = gathered(x, tuple(range(1, x.ndim)))
    return lax.reshape(x, shape, out_sharding=PartitionSpec(jax.typeof(x).sharding.spec[0]))


def varying(x: Array) -> frozenset[str]:
    """The mesh axes over which an array varies inside `shard_map`; jax before 0.10 calls them `vma`."""
    kind = jax.typeof(x)
    return getattr(getattr(kind, "mat", kind), "varying", None) or getattr(kind, "vma", frozenset[str]())


def are_numbers(*operands: Array) -> bool:
    """Whether every size is a number; under `jax.export` sizes may be symbols, which cannot be compared."""
    return all(isinstance(n, (int, np.integer)) for x in operands for n in x.shape)
