"""From the options of a public function to a kernel summed over rows of probabilities."""

import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array

from jxent._checks import Axis, as_float, category_axes, log_base_factor, match_rows, participation
from jxent._numerics import rows
from jxent._numerics.kernels import Kernel


def one(
    kernel: Kernel,
    p: ArrayLike,
    *,
    axis: Axis,
    where: ArrayLike | None,
    keepdims: bool,
    base: float | None = None,
) -> Array:
    """A measure of one distribution, in units of `base`."""
    array = as_float("p", p)
    axes = category_axes("p", array, axis)
    mask = participation(where, array)
    if mask is not None:
        array = jnp.where(mask, array, 0.0)
    return rows.keep(rows.probs_sum(kernel, axes, (array,)), axes, keepdims=keepdims) * log_base_factor(base)


def two(
    kernel: Kernel,
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
    parameters = tuple(jnp.asarray(t, first.dtype) for t in theta)
    row = rows.probs_sum(kernel, axes, (first, second), parameters)
    return rows.keep(row, axes, keepdims=keepdims) * log_base_factor(base)
