"""From the options of a public function to a kernel, or another measure of a row, of probabilities."""

import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array

from jxent._checks import Axis, as_float, category_axes, log_base_factor, match_rows, participation
from jxent._numerics import generator as generators
from jxent._numerics import rows
from jxent._numerics.compiler import trailing
from jxent._numerics.kernels import Kernel
from jxent._numerics.rows import PROBS, RowMeasure, evaluate


def one(
    measure: Kernel | RowMeasure,
    p: ArrayLike,
    *theta: ArrayLike,
    axis: Axis,
    where: ArrayLike | None,
    keepdims: bool,
    base: float | None = None,
) -> Array:
    """A measure of one distribution, in units of `base`; traced parameters follow as theta."""
    array = as_float("p", p)
    axes = category_axes("p", array, axis)
    mask = participation(where, array)
    if mask is not None:
        array = jnp.where(mask, array, 0.0)
    operands, inner = trailing(axes, array)
    row = evaluate(PROBS, measure, inner, operands, theta)
    if mask is not None and not isinstance(measure, Kernel):
        # A formula of the mass of a row takes the mass of nothing for a lack of 1.
        row = jnp.where(jnp.any(mask, axis=axes), row, 0.0)
    return rows.keep(rows.in_units(row, log_base_factor(base)), axes, keepdims=keepdims)


def two(
    measure: Kernel | RowMeasure,
    p: ArrayLike,
    q: ArrayLike,
    *theta: ArrayLike,
    axis: Axis,
    where: ArrayLike | None,
    keepdims: bool,
    base: float | None = None,
) -> Array:
    """A measure of two distributions, in units of `base`; traced parameters follow as theta."""
    first, second, axes = match_rows(("p", "q"), as_float("p", p), as_float("q", q), axis)
    mask = participation(where, first)
    if mask is not None:
        first, second = jnp.where(mask, first, 0.0), jnp.where(mask, second, 0.0)
    operands, inner = trailing(axes, first, second)
    row = evaluate(PROBS, measure, inner, operands, theta)
    return rows.keep(rows.in_units(row, log_base_factor(base)), axes, keepdims=keepdims)


def two_by_generator(
    p: ArrayLike,
    q: ArrayLike,
    generator: generators.Generator,
    slope_at_infinity: ArrayLike | None,
    *,
    axis: Axis,
    where: ArrayLike | None,
    keepdims: bool,
) -> Array:
    """An f-divergence."""
    first, second, axes = match_rows(("p", "q"), as_float("p", p), as_float("q", q), axis)
    mask = participation(where, first)
    if mask is not None:
        first, second = jnp.where(mask, first, 0.0), jnp.where(mask, second, 0.0)
    slope = None if slope_at_infinity is None else jnp.asarray(slope_at_infinity).astype(first.dtype)
    (first, second), inner = trailing(axes, first, second)
    row = generators.f_sum(generator, inner, first, second, slope, logits=False)
    return rows.keep(row, axes, keepdims=keepdims)
