"""Turns the options of a public function of `probs` or `logits` into one evaluation over rows or tables.

A measure of several variables of logits is computed from the joint probabilities. The softmax gives them with full
relative accuracy, tails included. The measures divide cells by margins, which keeps that accuracy.
"""

from collections.abc import Callable, Mapping, Sequence

import jax.numpy as jnp
from jaxtyping import Array

from jxent._checks import (
    Axis,
    Numbers,
    Variables,
    as_float,
    category_axes,
    listed_variables,
    log_base_factor,
    match_rows,
    mesh_axis,
    participation,
    scale_of,
    table_variables,
)
from jxent._numerics import generator as generators
from jxent._numerics import rows, tables
from jxent._numerics import softmax as sm
from jxent._numerics.compiler import ShardedAxes, any_over, trailing
from jxent._numerics.kernels import ENTROPY, Kernel
from jxent._numerics.primitives import expand
from jxent._numerics.rows import Room, RowMeasure, evaluate

Axes = tuple[int, ...]
TableMeasure = Callable[[Array], Array]
# Temperature and soft cap of logits, as the caller has them.
OptionsOfScale = tuple[Numbers, Numbers | None]


def masked(z: Array, mask: Array | None, axes: Axes) -> tuple[Array, Array | None]:
    """Logits with −∞ for masked elements, and the mask of rows in which any element takes part.

    Other rows become rows of zeros: their results are set to 0 afterwards, and no NaN of a row of −∞ can
    reach the gradient.
    """
    if mask is None:
        return z, None
    part = any_over(mask, axes)
    return jnp.where(part, jnp.where(mask, z, -jnp.inf), 0.0), part


def finish(row: Array, part: Array | None, axes: Axes, *, keepdims: bool, base: float | None) -> Array:
    """Convert units, put the reduced axes back, and set rows in which nothing takes part to 0."""
    row = rows.in_units(row, log_base_factor(base))
    if part is not None:
        row = jnp.where(jnp.squeeze(part, axes), row, 0.0)
    return expand(row, axes) if keepdims else row


def along(axes: Axes, axis_name: str | None) -> Axes:
    """The axes of the categories, sharded over a mesh axis where one is named."""
    name = mesh_axis(axis_name)
    return axes if name is None else ShardedAxes(axes, name)


class Adapter:
    """One of the two rooms, `probs` or `logits`: the names of its operands, and the effect of a mask on them."""

    def __init__(self, room: Room, one: str, two: tuple[str, str], entropy: tables.Entropy) -> None:
        self.room, self.name, self.names, self.entropy = room, one, two, entropy

    def _masked(self, operand: Array, mask: Array | None, axes: Axes) -> tuple[Array, Array | None]:
        if self.room.normalized or mask is None:
            return masked(operand, mask, axes)
        return jnp.where(mask, operand, 0.0), any_over(mask, axes)

    def operands(
        self,
        values: Sequence[Numbers],
        axis: Axis,
        where: Numbers | None,
        axis_name: str | None = None,
        scale: OptionsOfScale = (1.0, None),
    ) -> tuple[list[Array], Axes, Array | None]:
        """Masked operands of one shape and dtype, the axes of the categories, and the mask of rows that take part."""
        if len(values) == 2:
            first, second = (as_float(name, value) for name, value in zip(self.names, values, strict=True))
            first, second, axes = match_rows(self.names, first, second, axis)
            arrays = [first, second]
        else:
            arrays = [as_float(self.name, values[0])]
            axes = category_axes(self.name, arrays[0], axis)
        axes = along(axes, axis_name)
        mask = participation(where, arrays[0])
        pairs = [self._masked(a, mask, axes) for a in arrays]
        return [sm.scaled(a, scale_of(*scale, a)) for a, _ in pairs], axes, pairs[0][1]

    def measure(
        self,
        measure: Kernel | RowMeasure,
        *values: Numbers,
        theta: Sequence[Numbers] = (),
        axis: Axis,
        where: Numbers | None,
        keepdims: bool,
        base: float | None = None,
        axis_name: str | None = None,
        scale: OptionsOfScale = (1.0, None),
    ) -> Array:
        """A measure of one distribution or of two, in units of `base`; `theta` are its traced parameters."""
        arrays, axes, part = self.operands(values, axis, where, axis_name, scale)
        operands, inner = trailing(axes, *arrays)
        row = evaluate(self.room, measure, inner, operands, tuple(theta))
        return finish(row, part, axes, keepdims=keepdims, base=base)

    def f_divergence(
        self,
        *values: Numbers,
        generator: generators.Generator,
        slope_at_infinity: Numbers | None,
        axis: Axis,
        where: Numbers | None,
        keepdims: bool,
    ) -> Array:
        """An f-divergence."""
        arrays, axes, part = self.operands(values, axis, where)
        slope = None if slope_at_infinity is None else jnp.asarray(slope_at_infinity).astype(arrays[0].dtype)
        (first, second), inner = trailing(axes, *arrays)
        row = generators.f_sum(generator, inner, first, second, slope, logits=self.room.normalized)
        return finish(row, part, axes, keepdims=keepdims, base=None)

    def of_table(
        self,
        function: TableMeasure,
        value: Numbers,
        variables: Mapping[str, Axis] | Variables | None,
        *,
        where: Numbers | None,
        base: float | None = None,
        keepdims: bool,
    ) -> Array:
        """A measure of named variables, in the order of the names, or of a list of any number of variables."""
        name, table = self.name, as_float(self.name, value)
        if isinstance(variables, Mapping):
            groups = table_variables(name, table, **variables)
        else:
            groups = listed_variables(name, table, variables)
        axes = _every(groups)
        table, part = self._masked(table, participation(where, table), axes)
        arranged, layout = tables.arrange(sm.softmax(table, axes) if self.room.normalized else table, groups)
        return finish(layout.restore(function(arranged)), part, axes, keepdims=keepdims, base=base)

    def joint_entropy(
        self, value: Numbers, variables: Variables | None, *, where: Numbers | None, base: float | None, keepdims: bool
    ) -> Array:
        """The entropy of all variables together, a measure of one row."""
        axes = _every(listed_variables(self.name, as_float(self.name, value), variables))
        return self.measure(ENTROPY, value, axis=axes, where=where, base=base, keepdims=keepdims)


def _every(groups: tuple[Axes, ...]) -> Axes:
    return tuple(sorted(a for group in groups for a in group))


PROBS = Adapter(rows.PROBS, "p", ("p", "q"), tables.entropy_as_stored)
LOGITS = Adapter(rows.LOGITS, "z", ("zp", "zq"), tables.entropy_of_distribution)
