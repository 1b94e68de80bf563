"""Operands on a mesh with explicit axes: each device takes its rows and classes, inside `shard_map`.

Explicit axes are part of the type of an array. The layout of rows and classes is read from there, and the function runs
on the part of each device with `axis_name` as the axis of the classes.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.sharding import NamedSharding, PartitionSpec
from jaxtyping import Array

from jxent._numerics.compiler import is_sharded
from jxent.linear._heads import MeshAxes

ROWS, CLASSES = ("x", "x_p", "x_q"), ("w", "w_p", "w_q")
PER_CLASS = ("bias", "bias_p", "bias_q", "class_weights")
Arrays = dict[str, Any]


class Layout(NamedTuple):
    """The mesh axes of the rows, one entry for each axis of them, and of the classes."""

    rows: tuple[Any, ...]
    classes: Any


def on_mesh(function: Callable[..., Any], arrays: Arrays, axis_name: MeshAxes, *, summed: bool = False) -> Any:
    """`function(axis_name=…, **arrays)`, on the part of each device where explicit axes shard an array.

    Args:
        function: a function of whole arrays, or inside `shard_map` of parts of them.
        arrays: its arguments by name; what is no array, such as None, goes to every device as it is.
        axis_name: the mesh axis of the classes where the caller is inside `shard_map`.
        summed: whether the results are sums over the rows; otherwise they have the axes of the rows.
    """
    traced = {name: a for name, a in arrays.items() if isinstance(a, jax.Array)}
    sharded = [a for a in traced.values() if is_sharded(a)]
    if axis_name is not None or not sharded:
        return function(axis_name=axis_name, **arrays)
    # With the shapes of all devices together: refuses what does not fit before the arrays are cut.
    shapes = {name: jax.ShapeDtypeStruct(a.shape, a.dtype) for name, a in traced.items()}
    constants = {name: a for name, a in arrays.items() if name not in traced}
    forms = jax.eval_shape(lambda shapes: function(axis_name=None, **shapes, **constants), shapes)
    layout = _layout(traced)
    specs = {name: _spec(name, a, layout) for name, a in traced.items()}
    names = {axis for spec in specs.values() for axis in _names(spec)}
    over_rows = tuple(axis for entry in layout.rows for axis in _names((entry,)))

    def on_device(parts: dict[str, Array]) -> Any:
        results = function(axis_name=layout.classes, **parts, **constants)
        return jax.tree.map(lambda a: lax.psum(a, over_rows), results) if summed and over_rows else results

    def spec_of(result: jax.ShapeDtypeStruct) -> PartitionSpec:
        more = result.ndim - len(layout.rows)
        return PartitionSpec() if summed else PartitionSpec(*layout.rows, *(None,) * more)

    mesh = jax.typeof(sharded[0]).sharding.mesh
    placed = {name: jax.sharding.reshard(a, NamedSharding(mesh, specs[name])) for name, a in traced.items()}
    return jax.shard_map(
        on_device,
        mesh=mesh,
        in_specs=(specs,),
        out_specs=jax.tree.map(spec_of, forms),
        axis_names=names,
    )(placed)


def _names(entries: Any) -> tuple[str, ...]:
    """The mesh axes in the entries of a specification."""
    flat: list[str] = []
    for entry in entries:
        flat += () if entry is None else entry if isinstance(entry, tuple) else (entry,)
    return tuple(flat)


def _entries(a: Array) -> tuple[Any, ...]:
    spec = tuple(jax.typeof(a).sharding.spec) if is_sharded(a) else ()
    return spec + (None,) * (a.ndim - len(spec))


def _layout(arrays: dict[str, Array]) -> Layout:
    """The layout of the features and the weights, of which neither is sharded along the features D."""
    rows = [_entries(arrays[n]) for n in ROWS if n in arrays]
    classes = [_entries(arrays[n]) for n in CLASSES if n in arrays]
    for name, entries in zip([n for n in (*ROWS, *CLASSES) if n in arrays], rows + classes, strict=True):
        if entries[-1] is not None:
            kept = ", ".join(repr(e) for e in (*entries[:-1], None))
            raise ValueError(
                f"`{name}` is sharded over {entries[-1]!r} along its last axis, the features, over which every logit "
                f"sums: gather it first, by jax.sharding.reshard({name}, jax.sharding.PartitionSpec({kept}))"
            )
    over_rows = tuple(
        next((e for e in axis if e is not None), None) for axis in zip(*(r[:-1] for r in rows), strict=True)
    )
    over_classes = next((c[0] for c in classes if c[0] is not None), None)
    both = set(_names(over_rows)) & set(_names((over_classes,)))
    if both:
        raise ValueError(
            f"rows and classes are both sharded over {sorted(both)}: gather the weights first, by "
            f"jax.sharding.reshard(w, jax.sharding.PartitionSpec(None, None))"
        )
    return Layout(over_rows, over_classes)


def _spec(name: str, a: Array, layout: Layout) -> PartitionSpec:
    """The specification of an argument."""
    rank = len(layout.rows)
    if name in ROWS:
        return PartitionSpec(*layout.rows, None)
    if name in CLASSES:
        return PartitionSpec(layout.classes, None)
    if name == "seed" or a.ndim == 0:
        return PartitionSpec()
    # A size of 1 broadcasts.
    if name in PER_CLASS or (name == "where" and a.ndim == 1):
        return PartitionSpec(None if name == "where" and a.shape == (1,) else layout.classes)
    if a.ndim < rank:
        return PartitionSpec()
    ends = layout.classes if jnp.issubdtype(a.dtype, jnp.floating) or name == "where" else None
    entries = (*layout.rows, ends) if a.ndim > rank else layout.rows
    return PartitionSpec(*(None if n == 1 else e for n, e in zip(a.shape, entries, strict=True)))
