"""From the options of a public function to a kernel, or another measure of a row, of logits."""

from collections.abc import Callable

import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array

from jxent._checks import Axis, as_float, category_axes, log_base_factor, match_rows, participation
from jxent._numerics import generator as generators
from jxent._numerics import rows
from jxent._numerics.compiler import trailing
from jxent._numerics.kernels import Kernel
from jxent._numerics.rows import LOGITS, RowMeasure, evaluate

Axes = tuple[int, ...]


def masked(z: Array, mask: Array | None, axes: Axes) -> tuple[Array, Array | None]:
    """Logits with −∞ where they take no part, and which rows have any part at all.

    A row without any part becomes a row of zeros: its result is set to 0 afterwards, and no NaN of a
    row of −∞ can reach the gradient.
    """
    if mask is None:
        return z, None
    some = jnp.any(mask, axis=axes, keepdims=True)
    return jnp.where(some, jnp.where(mask, z, -jnp.inf), 0.0), some


def finish(
    row: Array, some: Array | None, axes: Axes, *, keepdims: bool, base: float | None, empty: float = 0.0
) -> Array:
    """Units, kept axes, and the value of rows in which nothing takes part."""
    row = rows.keep(rows.in_units(row, log_base_factor(base)), axes, keepdims=True)
    if some is not None:
        row = jnp.where(some, row, empty)
    return row if keepdims else jnp.squeeze(row, axes)


def one(
    measure: Kernel | RowMeasure,
    z: ArrayLike,
    *theta: ArrayLike,
    axis: Axis,
    where: ArrayLike | None,
    keepdims: bool,
    base: float | None = None,
) -> Array:
    """A measure of one distribution, in units of `base`; traced parameters follow as theta."""
    array = as_float("z", z)
    axes = category_axes("z", array, axis)
    array, some = masked(array, participation(where, array), axes)
    operands, inner = trailing(axes, array)
    row = evaluate(LOGITS, measure, inner, operands, theta)
    return finish(row, some, axes, keepdims=keepdims, base=base)


def two(
    measure: Kernel | RowMeasure,
    zp: ArrayLike,
    zq: ArrayLike,
    *theta: ArrayLike,
    axis: Axis,
    where: ArrayLike | None,
    keepdims: bool,
    base: float | None = None,
) -> Array:
    """A measure of two distributions, in units of `base`; traced parameters follow as theta."""
    first, second, axes = match_rows(("zp", "zq"), as_float("zp", zp), as_float("zq", zq), axis)
    mask = participation(where, first)
    first, some = masked(first, mask, axes)
    second, _ = masked(second, mask, axes)
    operands, inner = trailing(axes, first, second)
    row = evaluate(LOGITS, measure, inner, operands, theta)
    return finish(row, some, axes, keepdims=keepdims, base=base)


def two_by_generator(
    zp: ArrayLike,
    zq: ArrayLike,
    generator: generators.Generator,
    slope_at_infinity: ArrayLike | None,
    *,
    axis: Axis,
    where: ArrayLike | None,
    keepdims: bool,
) -> Array:
    """An f-divergence."""
    first, second, axes = match_rows(("zp", "zq"), as_float("zp", zp), as_float("zq", zq), axis)
    mask = participation(where, first)
    first, some = masked(first, mask, axes)
    second, _ = masked(second, mask, axes)
    slope = None if slope_at_infinity is None else jnp.asarray(slope_at_infinity).astype(first.dtype)
    (first, second), inner = trailing(axes, first, second)
    row = generators.f_sum(generator, inner, first, second, slope, logits=True)
    return finish(row, some, axes, keepdims=keepdims, base=None)


def last(name: str, z: ArrayLike, axis: int) -> tuple[Array]:
    """The logits with their categories last."""
    array = as_float(name, z)
    (at,) = category_axes(name, array, axis)
    return (jnp.moveaxis(array, at, -1),)


def with_vector(function: Callable[[Array, Array], Array], name: str, z: ArrayLike, v: ArrayLike, axis: int) -> Array:
    """A linear function of vectors that stand beside the logits."""
    first, second, axes = match_rows(("z", name), as_float("z", z), as_float(name, v), axis)
    moved = function(jnp.moveaxis(first, axes[0], -1), jnp.moveaxis(second, axes[0], -1))
    return jnp.moveaxis(moved, -1, axes[0])
