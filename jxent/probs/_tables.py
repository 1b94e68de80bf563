"""From the options of a public function to a measure of a joint table of probabilities."""

from collections.abc import Callable, Mapping

import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array

from jxent._checks import (
    Axis,
    Variables,
    as_float,
    listed_variables,
    log_base_factor,
    margin_axes,
    participation,
    table_variables,
)
from jxent._numerics import rows, tables
from jxent._numerics.kernels import ENTROPY as ENTROPY_KERNEL

TableMeasure = Callable[[Array], Array]
ENTROPY = tables.entropy_as_stored


def measure(
    function: TableMeasure,
    p: ArrayLike,
    variables: Mapping[str, Axis],
    *,
    where: ArrayLike | None,
    base: float | None,
    keepdims: bool,
) -> Array:
    """A measure of the named variables, which reach the function in the order of their names here."""
    table = as_float("p", p)
    return _evaluate(function, table, table_variables("p", table, **variables), where, base, keepdims=keepdims)


def listed(
    function: TableMeasure,
    p: ArrayLike,
    variables: Variables | None,
    *,
    where: ArrayLike | None,
    base: float | None,
    keepdims: bool,
) -> Array:
    """A measure of any number of variables."""
    table = as_float("p", p)
    return _evaluate(function, table, listed_variables("p", table, variables), where, base, keepdims=keepdims)


def joint_entropy(
    p: ArrayLike, variables: Variables | None, *, where: ArrayLike | None, base: float | None, keepdims: bool
) -> Array:
    """The entropy of all variables together."""

    def whole(table: Array) -> Array:
        return rows.PROBS.sum(ENTROPY_KERNEL, (1,), (tables.flattened(table),))

    return listed(whole, p, variables, where=where, base=base, keepdims=keepdims)


def _evaluate(
    function: TableMeasure,
    table: Array,
    groups: tuple[tuple[int, ...], ...],
    where: ArrayLike | None,
    base: float | None,
    *,
    keepdims: bool,
) -> Array:
    mask = participation(where, table)
    if mask is not None:
        table = jnp.where(mask, table, 0.0)
    arranged, layout = tables.arrange(table, groups)
    return layout.restore(function(arranged), keepdims=keepdims) * log_base_factor(base)


def marginal(p: ArrayLike, variables: Axis, *, table: Axis | None, keepdims: bool) -> Array:
    """The table summed over what is not kept."""
    array = as_float("p", p)
    _, summed = margin_axes("p", array, variables, table)
    return jnp.sum(array, axis=summed, keepdims=keepdims) if summed else array


def conditional(p: ArrayLike, *, of: Axis, given: Axis) -> Array:
    """P/P(given), NaN where that is 0/0."""
    table = as_float("p", p)
    asked, _ = table_variables("p", table, of=of, given=given)
    condition = jnp.sum(table, axis=asked, keepdims=True)
    possible = condition >= jnp.finfo(table.dtype).tiny
    return jnp.where(possible, table / jnp.where(possible, condition, 1.0), jnp.nan)
