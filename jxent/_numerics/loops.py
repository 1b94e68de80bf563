"""Several sums over each row by one loop, for quick formulas on the CPU (see `fast`).

The vector kernels by which XLA:CPU (jaxlib 0.10) sums rows run an operation at a time, each through the cache. What
has no reduction it compiles to one loop of vector instructions instead. Rows are therefore cut into pieces of equal
width, whose terms are added elementwise until a few partial sums of each row are left. The sums of several terms are
interleaved along a last axis: a loop over two or three numbers, out of which the compiler moves what does not depend
on which of them it is, and so all that they have in common. Were it not to, the values would be the same, but late.
"""

import functools
import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array

from jxent._numerics.primitives import is_sharded, tiny

Axes = tuple[int, ...]
Terms = Callable[..., tuple[Array, ...]]

# Pieces that a segment is cut into at most: of more the compiler makes several functions, which share nothing.
PIECES = 42
# The width of a piece: whole vector registers, and two at least, or there is no loop to make vectors of.
REGISTER, NARROWEST = 8, 16
# Columns of a segment: few enough for the sums of its pieces to stay in registers, and, where there is no such divisor,
# few enough for the pieces to lie near each other, which is also what kernels sum long rows by.
SHORT, LONG = 208, 2000
# Of fewer categories or rows than this kernels are as quick, and of rows that cannot be cut into short segments.
FEWEST_CATEGORIES, FEWEST_ROWS = 64, 16
# From so many categories on kernels take 10 times as long: one of a few operations, and chains of sums of logits.
MANY_CATEGORIES, MANY_IN_A_CHAIN = 1 << 15, 12_000


class Cut(NamedTuple):
    """How rows are cut: into segments that are read one after the other, those into pieces that are read together."""

    segments: int
    columns: int  # of a segment
    width: int  # of a piece

    @property
    def shape(self) -> tuple[int, ...]:
        """The segments and their columns; an axis of one segment would keep the loop from being one of vectors."""
        return (self.columns,) if self.segments == 1 else (self.segments, self.columns)


def cut_of(classes: int) -> Cut:
    """Segments of equal size: short ones if there is a divisor for them, else longer ones, else one."""
    segments = _divisor(classes, SHORT // 2, SHORT) or _divisor(classes, LONG // 4, LONG) or 1
    columns = classes // segments
    return Cut(segments, columns, min(columns, max(NARROWEST, REGISTER * math.ceil(columns / (REGISTER * PIECES)))))


def _divisor(classes: int, shortest: int, longest: int) -> int | None:
    """Into how few segments between these sizes the classes can be divided."""
    return next((n for n in range(-(-classes // longest), classes // shortest + 1) if classes % n == 0), None)


def fit(axes: Axes, *operands: Array) -> bool:
    """Whether one loop sums these rows of logits faster than the kernels do."""
    return fit_shortly(axes, *operands) or (_are_rows(axes, *operands) and operands[0].shape[-1] > MANY_IN_A_CHAIN)


def fit_shortly(axes: Axes, *operands: Array) -> bool:
    """Whether these are rows that can be cut into short segments."""
    if not _are_rows(axes, *operands):
        return False
    classes = operands[0].shape[-1]
    return classes >= FEWEST_CATEGORIES and (classes <= SHORT or _divisor(classes, SHORT // 2, SHORT) is not None)


def are_long(axes: Axes, *operands: Array) -> bool:
    """Whether the kernels take these rows for far too long."""
    return _are_rows(axes, *operands) and operands[0].shape[-1] > MANY_CATEGORIES


def _are_rows(axes: Axes, *operands: Array) -> bool:
    """Whether these are rows of the kind that this is for, on a CPU."""
    if jax.default_backend() != "cpu":
        return False
    first = operands[0]
    if first.dtype != jnp.float32 or axes != (first.ndim - 1,) or any(is_sharded(x) for x in operands):
        return False
    return math.prod(first.shape[:-1]) >= FEWEST_ROWS


def in_segments(axes: Axes, *operands: Array) -> tuple[tuple[Array, ...], Axes]:
    """Rows of very many numbers, [rows, segments, columns], which kernels sum in two stages; else as they are."""
    classes = operands[0].shape[-1]
    segments = _divisor(classes, LONG // 4, LONG)
    if segments is None or not are_long(axes, *operands):
        return operands, axes
    return tuple(x.reshape(-1, segments, classes // segments) if x.ndim else x for x in operands), (1, 2)


def are_segments(axes: Axes, x: Array) -> bool:
    """Whether this is what `in_segments` makes of rows."""
    return axes == (1, 2) and x.ndim == 3 and x.dtype == jnp.float32 and x.shape[1] * x.shape[2] > MANY_CATEGORIES


# Cody and Waite's reduction x = n·log 2 + r, |r| ≤ ½·log 2, with log 2 in two parts, the first such that n times it is
# exact; and a polynomial for e^r whose relative error is 3e-9 there, found by Remez' exchange with the first two
# coefficients held.
POLYNOMIAL = (0.00138145986467, 0.00836871687973, 0.0416683880453, 0.166665206317, 0.499999934478, 1.0, 1.0)
# What rounds a number below 2²² to an integer in its last bits when added to it.
TO_INTEGER = np.float32(1.5 * 2.0**23)
LOG2_E = np.float32(1.0 / math.log(2.0))
LOG_2_FIRST = np.float32(355.0 / 512.0)
LOG_2_REST = np.float32(math.log(2.0) - 355.0 / 512.0)
# Above this the exponential stays as it is, which is far out of the range that a certificate allows.
HIGHEST = np.float32(88.0)


def as_written(x: Array) -> Array:
    """The same number, to the width that it has.

    A sum and a difference of one constant the compiler would take as neither; and a quotient that is used twice, which
    it does not divide twice, it would write to memory.
    """
    return lax.reduce_precision(x, 8, 23)


def exponential(x: Array) -> Array:
    """e^x in float32, by half the instructions of XLA's: 0 where it is below the smallest normal number, no NaN."""
    return _power(jnp.where(x <= HIGHEST, x, HIGHEST), np.float32(0.0))


# The logarithm that smaller ones are taken as, far below that of the smallest normal number.
LOWEST = np.float32(-200.0)


@jax.custom_jvp
def probability(log_p: Array) -> Array:
    """e^x for the logarithm of a probability, so of at most 88: on a CPU as `exponential`, with NaN kept."""

    def quick(log_p: Array) -> Array:
        # Not −∞, of which the reduction would make NaN.
        y = jnp.where(log_p > LOWEST, log_p, LOWEST)
        return _power(y, jnp.where(jnp.isnan(log_p), log_p, np.float32(0.0)))

    if log_p.dtype != jnp.float32:
        return jnp.exp(log_p)
    return lax.platform_dependent(log_p, cpu=quick, default=jnp.exp)


@probability.defjvp
def _probability_jvp(primals: Sequence[Array], tangents: Sequence[Array]) -> tuple[Array, Array]:
    p = probability(primals[0])
    return p, p * tangents[0]


def _power(y: Array, otherwise: Array | np.float32) -> Array:
    """e^y for y of at most `HIGHEST`, and something else where that is below the smallest normal number or NaN."""
    low = np.float32(math.log(tiny(y.dtype)))
    rounded = y * LOG2_E + TO_INTEGER
    n = as_written(rounded) - TO_INTEGER
    r = (y - n * LOG_2_FIRST) - n * LOG_2_REST
    # In pairs, of which several can be formed at once.
    c6, c5, c4, c3, c2, *_ = (np.float32(c) for c in POLYNOMIAL)
    square = r * r
    power = ((c6 * square + (c5 * r + c4)) * square + (c3 * r + c2)) * square + (r + np.float32(1.0))
    # Times 2ⁿ: n is added to the exponent.
    scaled = lax.bitcast_convert_type(power, jnp.int32) + lax.shift_left(
        lax.bitcast_convert_type(rounded, jnp.int32), np.int32(23)
    )
    return jnp.where(y >= low, lax.bitcast_convert_type(scaled, jnp.float32), otherwise)


# The bits of the sign and of the exponent, which as an integer are 2²³ times it.
EXPONENT = np.int32(-(1 << 23))
LOG_2_OF_BITS = np.float32(math.log(2.0) * 2.0**-23)


def reduced(x: Array, least: float) -> tuple[Array, Array]:
    """2²³·n, an integer, and t of x = 2ⁿ·(1 + t), where 1 + t is no less than `least` and below twice that."""
    bits = lax.bitcast_convert_type(x, jnp.int32)
    n = (bits - np.int32(np.float32(least).view(np.int32))) & EXPONENT
    return n, lax.bitcast_convert_type(bits - n, jnp.float32) - np.float32(1.0)


def log_of_reduced(n: Array, t: Array, quotient: Array) -> Array:
    """Log 2ⁿ + t + t²·Q(t)."""
    return (lax.convert_element_type(n, jnp.float32) * LOG_2_OF_BITS + t) + (t * t) * quotient


# log(1 + t) = t + t²·Q(t) on [−¼, ½], Q by Remez' exchange with an error of 5e-8 of 1.
LOGARITHM = (
    *(-0.500002348343, 0.333295692144, -0.249765012701, 0.201217709111),
    *(-0.173859803136, 0.140196277316, -0.064710177676),
)


def log(x: Array) -> Array:
    """Log x in float32 within 2.1 units of 1 or of itself, and near 1 within 8 units of itself.

    At 0 it is −88; below that, at ∞ and at NaN it is some finite number.
    """
    n, t = reduced(x, 0.75)
    return log_of_reduced(n, t, polynomial(LOGARITHM, t))


def polynomial(coefficients: Sequence[float], x: Array) -> Array:
    """c₀ + c₁·x + …, one after the other: the fewest operations, while those for other numbers fill the gaps."""
    *others, value = (np.float32(c) for c in coefficients)
    found = jnp.asarray(value)
    for c in reversed(others):
        found = found * x + c
    return found


# Partial sums that one pass adds up in pairs: those of segments, and those of a piece, which lie side by side. A long
# chain of equal numbers would round the same way at every step.
SEGMENTS, LANES = 16, 4


def _pairwise(terms: Sequence[Array]) -> Array:
    """The sum of two halves, each formed likewise: few steps of rounding, and few sums at a time for the registers."""
    if len(terms) == 1:
        return terms[0]
    half = (len(terms) + 1) // 2
    return _pairwise(terms[:half]) + _pairwise(terms[half:])


# Partial sums that are formed at a time: few enough to stay in a cache.
PORTION = 1 << 19


def row_sums(terms: Terms, *operands: Array) -> tuple[Array, ...]:
    """The sum over the last axis of each of the terms, formed elementwise of the operands."""
    shape = operands[0].shape
    cut = cut_of(shape[-1])
    rows = tuple(x.reshape(-1, *cut.shape) for x in operands)
    number = rows[0].shape[0]
    count = len(terms(*(x.ravel()[:1] for x in rows)))
    portions = math.ceil(number * cut.segments * cut.width * count / PORTION)
    # Of equal size: the last one takes the last rows, whether or not they were summed.
    portion = math.ceil(number / max(1, min(number, portions)))
    some = functools.partial(_some_sums, terms, count, cut, portion)
    if portion == number or jax.device_count() > 1:
        # On several devices rows may be sharded without their type saying so: a portion of them would be gathered.
        sums = _some_sums(terms, count, cut, number, None, *rows)
    else:

        def next_portion(i: Array, sums: Array) -> Array:
            start = jnp.minimum(i * np.int32(portion), np.int32(number - portion))
            return lax.dynamic_update_slice(sums, some(start, *rows), (start, np.int32(0)))

        # Of the first row alone: a column of every row is a read of as many cache lines.
        some_sum = _a_column(*(x[:1] for x in rows)).reshape(1, -1)[:, :1]
        sums = jnp.broadcast_to(some_sum, (number, count))
        sums = lax.fori_loop(np.int32(0), np.int32(math.ceil(number / portion)), next_portion, sums)
    return tuple(sums[:, i].reshape(shape[:-1]) for i in range(count))


def _a_column(*rows: Array) -> Array:
    """Something of the type of the sums, on any mesh."""
    return functools.reduce(jnp.add, (x[..., :1] for x in rows))


def _some_sums(terms: Terms, count: int, cut: Cut, portion: int, start: Array | None, *rows: Array) -> Array:
    """The sums of `portion` rows from `start` on, [portion, terms]."""

    def unused(*rows: Array) -> Array:
        # Nobody comes here (see `fast_chained.by_itself`).
        some = _a_column(*rows)[:portion, ..., None]
        return jnp.broadcast_to(some, (*some.shape[:-2], cut.width, count))

    # In a computation of its own, or what is done with the sums would be made part of the loop, or it part of that.
    always = lax.optimization_barrier(jnp.ones((), bool))
    partial = lax.cond(always, functools.partial(_partial_sums, terms, cut, portion, start), unused, *rows)
    # The segments first, whose sums lie far apart: what is left of the rows is small.
    of_segments = _in_stages(partial.reshape(portion, cut.segments, cut.width * count), SEGMENTS)
    return _in_stages(of_segments.reshape(portion, cut.width, count), LANES)


def _in_stages(x: Array, at_most: int) -> Array:
    """The sum over the middle axis, of no more than so many numbers at a time."""
    while x.shape[1] > 1:
        chain = min(at_most, x.shape[1])
        stages = math.ceil(x.shape[1] / chain)
        x = jnp.pad(x, ((0, 0), (0, stages * chain - x.shape[1]), (0, 0)))
        x = _pairwise([x[:, i * stages : (i + 1) * stages] for i in range(chain)])
    return x[:, 0]


def _partial_sums(terms: Terms, cut: Cut, portion: int, start: Array | None, *rows: Array) -> Array:
    """Sums over every `width`-th column of each segment, [portion, (segments,) width, terms]."""
    width = cut.width

    def of_piece(i: int) -> tuple[Array, ...]:
        if start is None:
            return terms(*(x[..., i : i + width] for x in rows))
        at = (start, *(np.int32(0) for _ in cut.shape[:-1]), np.int32(i))
        return terms(*(lax.dynamic_slice(x, at, (portion, *cut.shape[:-1], width)) for x in rows))

    found = [of_piece(i) for i in range(0, cut.columns - width + 1, width)]
    rest = cut.columns % width
    if rest:
        # The last columns once more, of which those that were summed count as 0.
        rank = len(cut.shape) + 1
        fresh = lax.broadcasted_iota(jnp.int32, (1,) * (rank - 1) + (width,), rank - 1) >= np.int32(width - rest)
        found.append(tuple(jnp.where(fresh, x, np.float32(0.0)) for x in of_piece(cut.columns - width)))
    sums = [_pairwise(of_one)[..., None] for of_one in zip(*found, strict=True)]
    index = lax.broadcasted_iota(jnp.int32, (1,) * (sums[0].ndim - 1) + (len(sums),), sums[0].ndim - 1)
    *others, side_by_side = sums
    for i, one in reversed(list(enumerate(others))):
        side_by_side = jnp.where(index == np.int32(i), one, side_by_side)
    return jnp.broadcast_to(side_by_side, (*sums[0].shape[:-1], len(sums)))
