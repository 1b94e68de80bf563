"""Shapes, dtypes and options of the measures, checked at trace time with messages that say what to do."""

import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import PartitionSpec
from jaxtyping import Array

from jxent._checks.domains import Axis
from jxent._checks.inputs import Numbers
from jxent._numerics.compiler import broadcast, gathered, is_sharded
from jxent._numerics.softmax import Scale

OF_TWO_OUTCOMES = "; binary_entropy, binary_cross_entropy and binary_kl_divergence take one of two outcomes"


def as_float(name: str, value: Numbers) -> Array:
    """The operand in the dtype of the computation: float32 for halves, the default float for integers."""
    array = jnp.asarray(value)
    if jnp.issubdtype(array.dtype, jnp.complexfloating):
        raise TypeError(f"`{name}` has dtype {array.dtype}, expected real numbers; take its real part first")
    if not jnp.issubdtype(array.dtype, jnp.floating):
        # A Python int stays weak, as a Python float does: it takes the dtype of the other operand.
        return array * 1.0 if array.weak_type else array.astype(jnp.result_type(float))
    if jnp.finfo(array.dtype).bits < 32:
        return array.astype(jnp.float32)
    return array


def common_float(*arrays: Array) -> tuple[Array, ...]:
    """Bring arrays to their widest float dtype, also under strict dtype promotion."""
    strong = [a for a in arrays if not a.weak_type] or arrays
    widest = max((a.dtype for a in strong), key=lambda dtype: jnp.finfo(dtype).bits)
    return tuple(a.astype(widest) for a in arrays)


def category_axes(name: str, array: Array, axis: Axis) -> tuple[int, ...]:
    """The axes of the categories as sorted non-negative ints, none of them empty."""
    axes = reduced_axes(name, array, axis)
    if any(array.shape[a] == 0 for a in axes):
        raise ValueError(f"`{name}` of shape {array.shape} has no categories along axis={axis!r}")
    return axes


def reduced_axes(name: str, array: Array, axis: Axis) -> tuple[int, ...]:
    """Axes as sorted non-negative ints."""
    if isinstance(axis, (int, np.integer)):
        axes = (axis,)
    elif isinstance(axis, Sequence):
        axes = tuple(axis)
    else:
        raise TypeError(f"axis={axis!r} must be an int or a tuple of ints; all axes are axis=tuple(range(x.ndim))")
    if not axes:
        raise ValueError("axis=() names no axis; give the axis of the categories, such as axis=-1")
    for a in axes:
        if isinstance(a, bool) or not isinstance(a, (int, np.integer)):
            raise TypeError(f"axis={axis!r} must be an int or a tuple of ints")
        if not -array.ndim <= a < array.ndim:
            axes_run = f"; its axes run from {-array.ndim} to {array.ndim - 1}"
            hint = axes_run if array.ndim else f"; a distribution needs an axis of categories{OF_TWO_OUTCOMES}"
            raise ValueError(f"axis={a} does not exist in `{name}` of shape {array.shape}{hint}")
    normal = tuple(sorted(int(a) % array.ndim for a in axes))
    if len(set(normal)) != len(normal):
        raise ValueError(f"axis={axis!r} names an axis of `{name}` of shape {array.shape} twice")
    return normal


def table_variables(name: str, array: Array, **variables: Any) -> tuple[tuple[int, ...], ...]:
    """The axes of each named variable as non-negative ints; no axis may belong to two."""
    groups: list[tuple[int, ...]] = []
    owner: dict[int, str] = {}
    for label, axes in variables.items():
        group = (axes,) if isinstance(axes, (int, np.integer)) else axes
        if isinstance(group, bool) or not isinstance(group, Sequence) or isinstance(group, str):
            raise TypeError(f"{label}={axes!r} must be an axis of `{name}`, or a tuple of axes that form one variable")
        if not group:
            raise ValueError(f"{label}=() names no axis of `{name}` of shape {array.shape}")
        normal = category_axes(name, array, group)
        # Variables in the caller's order: it does not change a measure, but keeps errors readable.
        for a in normal:
            if a in owner:
                raise ValueError(
                    f"{owner[a]} and {label} both name axis {a} of `{name}` of shape {array.shape}; each axis belongs "
                    f"to one variable"
                )
            owner[a] = label
        groups.append(normal)
    return tuple(groups)


def listed_variables(name: str, array: Array, variables: Any, label: str = "variables") -> tuple[tuple[int, ...], ...]:
    """A list of variables, each an axis or a tuple of axes; None is every axis by itself."""
    if variables is None:
        variables = tuple(range(array.ndim))
    if isinstance(variables, (int, np.integer)) and not isinstance(variables, bool):
        variables = (variables,)
    if not isinstance(variables, Sequence) or isinstance(variables, str):
        raise TypeError(f"{label}={variables!r} must be a tuple of axes of `{name}`, or of tuples of axes, or None")
    if not variables:
        raise ValueError(f"{label} names no axis of `{name}` of shape {array.shape}")
    return table_variables(name, array, **{f"{label}[{i}]": v for i, v in enumerate(variables)})


def margin_axes(
    name: str, array: Array, variables: Axis, table: Axis | None
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """All axes of the table, and the summed axes."""
    (kept,) = table_variables(name, array, variables=variables)
    every = tuple(range(array.ndim)) if table is None else table_variables(name, array, table=table)[0]
    if not set(kept) <= set(every):
        raise ValueError(f"variables={variables!r} names an axis outside table={table!r} of `{name}`")
    return every, tuple(a for a in every if a not in kept)


def match_ranks(names: tuple[str, str], first: Array, second: Array) -> None:
    """Refuse operands of different ranks, or whose axes neither agree nor are 1."""
    if first.ndim != second.ndim:
        raise ValueError(
            f"`{names[0]}` has shape {first.shape} and `{names[1]}` {second.shape}: the ranks differ and nothing "
            f"is broadcast in silence; add axes of size 1, as in {names[1]}[None, :], where that is meant"
        )
    for axis, (m, n) in enumerate(zip(first.shape, second.shape, strict=True)):
        if m != n and 1 not in (m, n):
            raise ValueError(
                f"`{names[0]}` has shape {first.shape} and `{names[1]}` {second.shape}: axis {axis} has {m} "
                f"against {n} entries, expected equal sizes or 1"
            )


def match_rows(names: tuple[str, str], first: Array, second: Array, axis: Axis) -> tuple[Array, Array, tuple[int, ...]]:
    """Two distributions of one rank and one dtype, batch axes of size 1 broadcast, categories never."""
    match_ranks(names, first, second)
    axes = category_axes(names[0], first, axis)
    for a in axes:
        if first.shape[a] != second.shape[a]:
            raise ValueError(
                f"`{names[0]}` has shape {first.shape} and `{names[1]}` {second.shape}: {first.shape[a]} against "
                f"{second.shape[a]} categories along axis {a}; the category axis never broadcasts"
            )
    first, second = common_float(first, second)
    shape = jnp.broadcast_shapes(first.shape, second.shape)
    return broadcast(first, shape), broadcast(second, shape), axes


def row_pairs(first_name: str, first: Numbers, second_name: str, second: Numbers) -> tuple[Array, Array]:
    """Two arrays of rows with the same categories, [N, K] and [M, K]."""
    a, b = common_float(as_float(first_name, first), as_float(second_name, second))
    if a.ndim != 2 or b.ndim != 2 or a.shape[1] != b.shape[1] or a.shape[1] == 0:
        raise ValueError(
            f"`{first_name}` has shape {a.shape} and `{second_name}` {b.shape}, expected [N, K] and [M, K] with the "
            f"same K of at least 1; a single row is {first_name}[None, :], and batches go by jax.vmap"
        )
    # The layout of sharded rows does not determine a layout of their pairs.
    return gathered(a), gathered(b)


def boolean(name: str, value: Numbers) -> Array:
    """A boolean mask; numbers are refused."""
    mask = jnp.asarray(value)
    if mask.dtype != jnp.bool_:
        raise TypeError(f"`{name}` has dtype {mask.dtype}, expected bool; write `{name} != 0`")
    return mask


def participation(where: Numbers | None, array: Array) -> Array | None:
    """The mask of the elements that take part, broadcast to the operand as `jnp.sum(where=)` does."""
    if where is None:
        return None
    mask = boolean("where", where)
    try:
        shape = jnp.broadcast_shapes(mask.shape, array.shape)
    except ValueError:
        shape = None
    if shape != array.shape:
        raise ValueError(f"`where` has shape {mask.shape}, which does not broadcast to the operand {array.shape}")
    # The rank is raised explicitly: rank promotion may be set to "raise".
    return jnp.broadcast_to(mask.reshape((1,) * (array.ndim - mask.ndim) + mask.shape), array.shape)


def log_base_factor(base: float | None) -> float:
    """The factor from nats to units of log base `base`."""
    if base is None:
        return 1.0
    if isinstance(base, bool) or not isinstance(base, (int, float)):
        raise TypeError(f"base={base!r} must be a number such as 2 or 10, or None for nats")
    if not (base > 0 and base != 1 and math.isfinite(base)):
        raise ValueError(f"base={base:g} is no base of a logarithm; use None (nats), 2 (bits), 10 (hartleys)")
    return 1.0 / math.log(base)


def unit(base: float | int | None) -> str:
    """The unit of a logarithm to that base; an error if it is no base."""
    log_base_factor(None if base is None else float(base))
    return "nats" if base is None else {2.0: "bits", 10.0: "hartleys"}.get(float(base), f"units of log {base:g}")


def parameter(name: str, value: Numbers, like: Array) -> Array:
    """A traced option, one number, in the dtype of the operands."""
    array = jnp.asarray(value)
    if jnp.iscomplexobj(array):
        raise TypeError(f"`{name}` is complex, expected a real number; take its real part first")
    if array.ndim != 0:
        raise ValueError(f"`{name}` has shape {array.shape}, expected a scalar; batches go by jax.vmap")
    return array.astype(like.dtype)


def scale_of(temperature: Numbers, soft_cap: Numbers | None, like: Array) -> Scale:
    """Temperature and soft cap of logits, in the dtype of the operands; the default temperature is None."""
    is_default = isinstance(temperature, float) and temperature == 1.0
    return Scale(
        None if is_default else parameter("temperature", temperature, like),
        None if soft_cap is None else parameter("soft_cap", soft_cap, like),
    )


def mesh_axis(axis_name: str | None) -> str | None:
    """The name of a mesh axis inside `shard_map`."""
    if axis_name is None:
        return None
    if not isinstance(axis_name, str):
        raise TypeError(f"axis_name={axis_name!r} must be the name of one mesh axis, such as 'classes', or None")
    try:
        jax.lax.axis_size(axis_name)
    except NameError:
        raise ValueError(
            f"axis_name={axis_name!r} is no mesh axis here: it names the axis of the classes inside jax.shard_map; "
            f"leave it out elsewhere, also on a mesh with explicit axes"
        ) from None
    return axis_name


def elementwise(**operands: Numbers) -> tuple[Array, ...]:
    """Operands of an elementwise form: a scalar may stand beside any array, otherwise ranks match."""
    names = list(operands)
    arrays = common_float(*(as_float(name, value) for name, value in operands.items()))
    if len(arrays) == 2 and 0 not in (arrays[0].ndim, arrays[1].ndim):
        match_ranks((names[0], names[1]), arrays[0], arrays[1])
    shape = jnp.broadcast_shapes(*(a.shape for a in arrays))
    return tuple(jnp.broadcast_to(a, shape) for a in arrays)


def rows_beside(z: Array, axis: int) -> tuple[Any, ...]:
    """The shape of an array with one entry per row: that of the logits without the class axis."""
    return z.shape[:axis] + z.shape[axis + 1 :]


def class_labels(labels: Numbers, rows: tuple[Any, ...], beside: str, *, soft: str, name: str = "labels") -> Array:
    """Integer class ids, one per row; messages name the operand `beside` with the rows and the hint `soft`."""
    ids = jnp.asarray(labels)
    if not jnp.issubdtype(ids.dtype, jnp.integer):
        raise TypeError(
            f"`{name}` has dtype {ids.dtype} and shape {ids.shape}, expected integer class ids {rows}; for a "
            f"distribution per row {soft}, for ids stored as floats {name}.astype(int)"
        )
    if ids.shape != rows:
        one_hot = f"; for a distribution per row {soft}" if ids.ndim == len(rows) + 1 else ""
        raise ValueError(
            f"`{name}` has shape {ids.shape} and {beside}: expected one class id per row, shape {rows}{one_hot}"
        )
    if ids.dtype.itemsize >= 4 and ids.dtype != jnp.int32:
        # Saturated, not wrapped: an id out of range stays out of range.
        limits = jnp.iinfo(jnp.int32)
        low = 0 if jnp.issubdtype(ids.dtype, jnp.unsignedinteger) else limits.min
        ids = jnp.clip(ids, low, limits.max)
    return ids.astype(jnp.int32)


def weights_like(weights: Numbers, values: Array, name: str = "values") -> Array:
    """Weights broadcast to the values, in their dtype; `name` is the caller's name of the values."""
    w = as_float("weights", weights)
    if w.ndim > values.ndim or any(
        m not in (1, n) for m, n in zip(reversed(w.shape), reversed(values.shape), strict=False)
    ):
        raise ValueError(f"`weights` has shape {w.shape}, which does not broadcast to `{name}` {values.shape}")
    if w.ndim not in (0, values.ndim):
        raise ValueError(
            f"`weights` has shape {w.shape} and `{name}` {values.shape}: the ranks differ and nothing is broadcast "
            f"in silence; add axes of size 1"
        )
    return jnp.broadcast_to(w.astype(values.dtype), values.shape)


def per_class(name: str, value: Numbers, classes: tuple[int, ...], beside: str, like: Array) -> Array:
    """One number for each class, in the dtype of the operands; messages name the operand `beside` with the classes."""
    array = as_float(name, value)
    if array.shape != classes:
        raise ValueError(
            f"`{name}` has shape {array.shape} and {beside}: expected one number per class, shape {classes}"
        )
    return array.astype(like.dtype)


def weights_of_classes(weights: Numbers | None, z: Array, axes: tuple[int, ...]) -> Array | None:
    """One weight for each class, of the rank and dtype of the logits."""
    if weights is None:
        return None
    w = per_class("class_weights", weights, tuple(z.shape[a] for a in axes), f"`logits` {z.shape}", z)
    w = gathered(w).reshape(tuple(n if a in axes else 1 for a, n in enumerate(z.shape)))
    if not is_sharded(z):
        return w
    spec = jax.typeof(z).sharding.spec
    return jax.sharding.reshard(w, PartitionSpec(*(name if a in axes else None for a, name in enumerate(spec))))


def ignored_rows(labels: Numbers, ignore_label: int | None) -> Array | None:
    """The mask of labels equal to `ignore_label`, compared in their own dtype; None without that label."""
    if ignore_label is None:
        return None
    if isinstance(ignore_label, bool) or not isinstance(ignore_label, int):
        raise TypeError(f"ignore_label={ignore_label!r} must be an int, such as -100, or None")
    ids = jnp.asarray(labels)
    limits = jnp.iinfo(ids.dtype)
    if not limits.min <= ignore_label <= limits.max:
        return jnp.zeros(ids.shape, bool)  # no label of this dtype is that number
    return ids == jnp.asarray(ignore_label, ids.dtype)
