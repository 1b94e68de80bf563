"""The engine over blocks of classes: sums of a row that are closed under every transform.

A measure merges the states of blocks, in one pass over the classes. One rule gives grad, jvp, products with the Hessian
in both orders, vmap and shard_map: the tangent is a second pass, Σ slope·(ẋ·w + x·ẇ). It is linear in the tangents and
checkpointed: its transpose recomputes each block of logits instead of storing all of them.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array

from jxent.linear._blocks import over_blocks
from jxent.linear._heads import MeshAxes, Operands, block_of, moving, together


class Measure(NamedTuple):
    """Sums over the classes, as functions of the plan and one block.

    Attributes:
        start: the state of a block.
        merge: the state of two blocks.
        across: the state of all devices.
        finish: the results of the rows from the state.
        tangents: the sums of a block that are linear in the tangents, from its operands, their tangents and the
            results.
        conclude: the tangents of the results, from those sums and the results.
    """

    start: Callable[["Plan", Operands], Any]
    merge: Callable[[Any, Any], Any]
    across: Callable[[Any, str | tuple[str, ...]], Any]
    finish: Callable[[Any], Any]
    tangents: Callable[["Plan", Operands, Operands, Any], Any]
    conclude: Callable[[Any, Any], Any]


class Plan(NamedTuple):
    """Static parameters: the measure, the classes in a block, the mesh axis of the classes, and what is summed."""

    measure: Measure
    block: int
    axis_name: MeshAxes = None
    smoothing: bool = False  # the mean surprise of all classes
    entropy: bool = False


@functools.partial(jax.custom_jvp, nondiff_argnums=(0,))
def per_row(plan: Plan, o: Operands) -> Any:
    """The results of each row; all operands vary over the same mesh axes."""

    def of(start: Array | int, size: int) -> tuple[Any, tuple[()]]:
        return plan.measure.start(plan, block_of(o, start, size)), ()

    state = over_blocks(plan.block, o.classes, of, plan.measure.merge)[0]
    if plan.axis_name is not None:
        state = plan.measure.across(state, plan.axis_name)
    return plan.measure.finish(state)


@functools.partial(per_row.defjvp, symbolic_zeros=True)
def _per_row_jvp(plan: Plan, primals: Sequence[Any], tangents: Sequence[Any]) -> tuple[Any, Any]:
    value = per_row(plan, *primals)
    return value, tangents_of(plan, primals[0], moving(tangents[0]), value)


def tangents_of(plan: Plan, o: Operands, moves: Operands, value: Any) -> Any:
    """The tangents of the results."""
    seen = together(value, plan.axis_name)

    def of(b: Operands, moves: Operands, seen: Any) -> Any:
        return plan.measure.tangents(plan, b, moves, seen)

    return plan.measure.conclude(sum_over_classes(plan, of, o, moves, seen), value)


def sum_over_classes(plan: Plan, of: Callable[..., Any], o: Operands, moves: Operands | None, *rows: Any) -> Any:
    """Σ of(block, tangents of the block, *rows) over all classes.

    Each block of logits is recomputed for each use, in the transpose too, instead of being stored.
    """

    @functools.partial(jax.checkpoint, prevent_cse=False, static_argnums=(4,))
    def at(start: Array | int, o: Operands, moves: Operands | None, rows: Any, size: int) -> tuple[Any, tuple[()]]:
        cut = None if moves is None else block_of(moves, start, size)
        return of(block_of(o, start, size), cut, *rows), ()

    total, _ = over_blocks(plan.block, o.classes, lambda start, size: at(start, o, moves, rows, size))
    return total if plan.axis_name is None else sum_of_devices(total, plan.axis_name)


def sum_of_devices(tree: Any, axis_name: str | tuple[str, ...]) -> Any:
    """One sum over the devices for all arrays, which have the axes of the rows and at most one more."""
    leaves, structure = jax.tree.flatten(tree)
    rank = min(a.ndim for a in leaves)
    columns = [a[..., None] if a.ndim == rank else a for a in leaves]
    total = lax.psum(jnp.concatenate(columns, axis=-1), axis_name)
    ends = [sum(c.shape[-1] for c in columns[: i + 1]) for i in range(len(columns))]
    parts = jnp.split(total, ends[:-1], axis=-1)
    return structure.unflatten(p[..., 0] if a.ndim == rank else p for p, a in zip(parts, leaves, strict=True))


def fall(top: Array, highest: Array) -> Array:
    """The finite difference of two maxima; that of a block without possible classes is the most negative number."""
    return jnp.maximum(top - highest, jnp.finfo(top.dtype).min)
