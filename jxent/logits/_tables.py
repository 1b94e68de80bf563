"""From the options of a public function to a measure of a joint table given as logits.

A measure of several variables sees the joint probabilities, which the softmax gives with their relative
accuracy, tails included; each divides cells by margins, so that nothing of it is lost.
"""

from collections.abc import Callable, Mapping

import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array

from jxent._checks import Axis, Variables, as_float, listed_variables, margin_axes, participation, table_variables
from jxent._numerics import softmax as sm
from jxent._numerics import tables
from jxent._numerics.kernels import ENTROPY as ENTROPY_KERNEL
from jxent.logits import _rows

TableMeasure = Callable[[Array], Array]
ENTROPY = tables.entropy_of_distribution


def measure(
    function: TableMeasure,
    z: ArrayLike,
    variables: Mapping[str, Axis],
    *,
    where: ArrayLike | None,
    base: float | None,
    keepdims: bool,
) -> Array:
    """A measure of the named variables, which reach the function in the order of their names here."""
    table = as_float("z", z)
    return _evaluate(function, table, table_variables("z", table, **variables), where, base, keepdims=keepdims)


def listed(
    function: TableMeasure,
    z: ArrayLike,
    variables: Variables | None,
    *,
    where: ArrayLike | None,
    base: float | None,
    keepdims: bool,
) -> Array:
    """A measure of any number of variables."""
    table = as_float("z", z)
    return _evaluate(function, table, listed_variables("z", table, variables), where, base, keepdims=keepdims)


def joint_entropy(
    z: ArrayLike, variables: Variables | None, *, where: ArrayLike | None, base: float | None, keepdims: bool
) -> Array:
    """The entropy of all variables together, a measure of one row of logits."""
    table = as_float("z", z)
    axes = _every(listed_variables("z", table, variables))
    return _rows.one(ENTROPY_KERNEL, table, axis=axes, where=where, base=base, keepdims=keepdims)


def _every(groups: tuple[tuple[int, ...], ...]) -> tuple[int, ...]:
    return tuple(sorted(a for group in groups for a in group))


def _evaluate(
    function: TableMeasure,
    table: Array,
    groups: tuple[tuple[int, ...], ...],
    where: ArrayLike | None,
    base: float | None,
    *,
    keepdims: bool,
) -> Array:
    axes = _every(groups)
    masked, some = _rows.masked(table, participation(where, table), axes)
    arranged, layout = tables.arrange(sm.softmax(masked, axes), groups)
    row = layout.restore(function(arranged), keepdims=False)
    return _rows.finish(row, some, axes, keepdims=keepdims, base=base)


def marginal(z: ArrayLike, variables: Axis, *, table: Axis | None, keepdims: bool) -> Array:
    """Normalised log-probabilities of what is kept."""
    array = as_float("z", z)
    every, summed = margin_axes("z", array, variables, table)
    kept = tuple(a for a in every if a not in summed)
    result = sm.log_softmax(sm.log_sum_exp(array, summed) if summed else array, kept)
    return result if keepdims or not summed else jnp.squeeze(result, summed)


def conditional(z: ArrayLike, *, of: Axis, given: Axis) -> Array:
    """The log-softmax over the variable that is asked for."""
    table = as_float("z", z)
    asked, _ = table_variables("z", table, of=of, given=given)
    return sm.log_softmax(table, asked)
