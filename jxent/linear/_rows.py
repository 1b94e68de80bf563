"""The engine over blocks of rows: loss and gradient are formed in one pass over each block of logits.

It takes 6·N·D·V operations for loss and gradient where the engine over classes takes 8, and holds a block of rows of
all classes. The derivative of its gradient is that of the engine over classes, so that every transform works.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array

from jxent._numerics.primitives import is_symbolic_zero
from jxent.linear._blocks import over_blocks
from jxent.linear._heads import Operands, clean, from_products, logits_of, products_of

# Losses `[R]` of a block of rows, from its logits, its operands and the traced options.
RowLosses = Callable[[Array, Operands, Any], Array]
OF_HEAD, OF_ROWS = ("x", "w", "bias"), ("scale", "targets", "class_weights", "options")


class Program(NamedTuple):
    """Static parameters: rows in a block, their losses from logits, and the losses by the engine over classes."""

    block: int
    losses: RowLosses
    transformable: Callable[[Operands, Any], Array]


class Gradient(NamedTuple):
    """Σ g·loss, the losses `[N]`, and the gradient of the sum in the operands that have tangents."""

    total: Array
    losses: Array
    in_moving: Any


def _cut(o: Operands, start: Array | int, size: int) -> Operands:
    """The rows `start` to `start + size`."""

    def cut(a: Array | None) -> Array | None:
        return None if a is None else lax.dynamic_slice_in_dim(a, start, size)

    where = cut(o.where) if o.where is not None and o.where.ndim > 1 else o.where
    head = o.head._replace(x=lax.dynamic_slice_in_dim(o.head.x, start, size))
    rows = {name: cut(getattr(o, name)) for name in ("idle", "labels", "targets")}
    return o._replace(heads=(head,), where=where, **rows)


def _with_weights(o: Operands, dtype: Any) -> Operands:
    return o._replace(heads=(o.head._replace(w=o.head.w.astype(dtype)),))


def losses(program: Program, o: Operands, options: Any) -> Array:
    """The losses of all rows `[N]`, a block of rows at a time; the derivative recomputes the logits of each block."""
    narrow = o.head.w.dtype

    @functools.partial(jax.checkpoint, prevent_cse=False, static_argnums=(3,))
    def of(start: Array | int, o: Operands, options: Any, size: int) -> Array:
        b = _with_weights(_cut(o, start, size), narrow)
        return program.losses(logits_of(b), b, options)

    # Stored in float32, the dtype in which its gradient is summed over the blocks.
    o = _with_weights(o, o.head.x.dtype)
    return over_blocks(program.block, o.head.x.shape[0], lambda start, size: ((), of(start, o, options, size)))[1]


@functools.partial(jax.custom_jvp, nondiff_argnums=(0,))
def total(program: Program, o: Operands, options: Any, g: Array) -> Array:
    """Σ g·loss over the rows."""
    return jnp.sum(g * losses(program, o, options))


@functools.partial(total.defjvp, symbolic_zeros=True)
def _total_jvp(program: Program, primals: Sequence[Any], tangents: Sequence[Any]) -> tuple[Array, Array]:
    (o, options, g), (do, doptions, dg) = primals, tangents
    moves = _of(do, doptions, OF_HEAD + OF_ROWS)
    moves = {name: move for name, move in moves.items() if _moving(move)}
    gradient = _gradient(program, tuple(moves), o, options, g)
    tangent = jnp.zeros_like(gradient.total) if is_symbolic_zero(dg) else jnp.sum(gradient.losses * dg)
    for name, move in moves.items():
        for slope, part in zip(jax.tree.leaves(gradient.in_moving[name]), jax.tree.leaves(move), strict=True):
            if not is_symbolic_zero(part):
                tangent = tangent + jnp.sum(slope * part.astype(slope.dtype))
    return gradient.total, tangent


def _moving(move: Any) -> bool:
    return any(not is_symbolic_zero(leaf) for leaf in jax.tree.leaves(move))


def _with(o: Operands, options: Any, values: dict[str, Any]) -> tuple[Operands, Any]:
    """The operands and options, with these values instead of their own."""
    head = o.head._replace(**{name: value for name, value in values.items() if name in OF_HEAD})
    others = {name: value for name, value in values.items() if name not in (*OF_HEAD, "options")}
    return o._replace(heads=(head,), **others), values.get("options", options)


def _of(o: Operands, options: Any, names: Sequence[str]) -> dict[str, Any]:
    every = {**o.head._asdict(), **o._asdict(), "options": options}
    return {name: every[name] for name in names}


@functools.partial(jax.custom_jvp, nondiff_argnums=(0, 1))
def _gradient(program: Program, names: tuple[str, ...], o: Operands, options: Any, g: Array) -> Gradient:
    """The sum with its gradient in the named operands: three products for each block of rows."""
    w = clean(o.head.w, o.where)

    def of(start: Array | int, size: int) -> tuple[Any, Any]:
        b, part = _cut(o, start, size), lax.dynamic_slice_in_dim(g, start, size)
        inner = tuple(name for name in names if name in OF_ROWS)
        raw = products_of(b, multiply=lambda x, w: _product(x.astype(w.dtype), w, (1, 1), x.dtype))

        def of_products(raw: Array, values: dict[str, Any]) -> Array:
            moved, chosen = _with(b, options, values)
            return program.losses(from_products(moved, raw), moved, chosen)

        loss, pull = jax.vjp(of_products, raw, _of(b, options, inner))
        dz, rest = pull(part)
        sums, kept = {"total": jnp.sum(part * loss)}, {"losses": loss}
        # Rounded to the dtype of the operands, as the logits were.
        rounded = dz.astype(w.dtype)
        if "x" in names:
            kept["x"] = _product(rounded, w, (1, 0), dz.dtype)
        if "w" in names:
            sums["w"] = _product(rounded, b.head.x.astype(w.dtype), (0, 0), dz.dtype)
        if "bias" in names:
            sums["bias"] = jnp.sum(dz, axis=0)
        if "targets" in names:
            kept["targets"] = rest["targets"]
        sums |= {name: rest[name] for name in inner if name != "targets"}
        return sums, kept

    sums, kept = over_blocks(program.block, o.head.x.shape[0], of)
    results = sums | kept
    return Gradient(results["total"], results["losses"], {name: results[name] for name in names})


def _product(a: Array, b: Array, axes: tuple[int, int], dtype: Any) -> Array:
    """The product of two matrices over one axis of each."""
    return lax.dot_general(a, b, (((axes[0],), (axes[1],)), ((), ())), preferred_element_type=dtype)


@_gradient.defjvp
def _gradient_jvp(
    program: Program, names: tuple[str, ...], primals: Sequence[Any], tangents: Sequence[Any]
) -> tuple[Gradient, Gradient]:
    """The derivative of the gradient, by the engine over classes."""
    o, options, g = primals

    def again(o: Operands, options: Any, g: Array) -> Gradient:
        def of(moving: dict[str, Any]) -> tuple[Array, Array]:
            loss = program.transformable(*_with(o, options, moving))
            return jnp.sum(g * loss), loss

        value, pull, loss = jax.vjp(of, _of(o, options, names), has_aux=True)
        in_moving = jax.tree.map(lambda a: a.astype(value.dtype), pull(jnp.ones_like(value))[0])
        return Gradient(value, loss, in_moving)

    return _gradient(program, names, o, options, g), jax.jvp(again, primals, tangents)[1]
