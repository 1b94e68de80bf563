"""Linear heads, a block of classes at a time: logits, their tangents, and the arrays that go with them."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array

from jxent._numerics.compiler import varying
from jxent._numerics.primitives import is_symbolic_zero
from jxent._numerics.softmax import Scale, scaled

Multiply = Callable[[Array, Array], Array]
# The mesh axis of the classes, or several of them; None where they are whole.
MeshAxes = str | tuple[str, ...] | None


class Head(NamedTuple):
    """Rows and classes of one linear model; the rows have any number of leading axes, written `...`."""

    x: Array  # [..., D]
    w: Array  # [V, D]
    bias: Array | None = None  # [V]


class Operands(NamedTuple):
    """The arrays of logits and targets."""

    heads: tuple[Head, ...]  # one, or two over the same classes
    scale: Scale = Scale()
    where: Array | None = None  # [V] or [..., V], there with axes of size 1
    idle: Array | None = None  # [...], rows in which nothing takes part: their x is 0
    labels: Array | None = None  # [...], counted from the first class here; out of range it matches no class
    ids: Array | None = None  # [..., M], candidates, as labels
    targets: Array | None = None  # [..., V]
    class_weights: Array | None = None  # [V]

    @property
    def head(self) -> Head:
        """The first head."""
        return self.heads[0]

    @property
    def classes(self) -> int:
        """The number of classes here."""
        return self.head.w.shape[0]


def product(x: Array, w: Array) -> Array:
    """x·wᵀ `[..., B]`, accumulated in float32 or wider.

    bfloat16 operands are stored as float32 and multiplied as bfloat16. The transposed product then rounds the gradient
    of the logits likewise, and gradients are summed over blocks in float32. XLA:CPU has no such product for small
    operands: it multiplies the stored float32, with the same result. Delete that branch when XLA:CPU has the product.
    """
    precision = None
    if w.dtype == jnp.bfloat16:
        precision = None if jax.default_backend() == "cpu" else lax.DotAlgorithmPreset.BF16_BF16_F32
        w = w.astype(x.dtype)
    return lax.dot_general(x, w, (((x.ndim - 1,), (1,)), ((), ())), precision=precision, preferred_element_type=x.dtype)


def together(tree: Any, axis_name: MeshAxes) -> Any:
    """All arrays cast to vary over every mesh axis that one of them varies over, and over that of the classes.

    Inside `shard_map` unvarying operands are cast to varying (pvary) where they meet varying ones. The transpose of the
    cast is a sum over the devices, which belongs before the loop over blocks, not inside it.
    """
    axes = frozenset[Any]().union(*map(varying, jax.tree.leaves(tree)))
    axes |= set(axis_name) if isinstance(axis_name, tuple) else set() if axis_name is None else {axis_name}

    def cast(a: Array) -> Array:
        missing = tuple(sorted(axes - varying(a)))
        return lax.pcast(a, missing, to="varying") if missing else a

    return jax.tree.map(cast, tree) if axes else tree


def block_of(o: Operands, start: Array | int, size: int) -> Operands:
    """The classes `start` to `start + size`, of operands or of their tangents."""

    def cut(a: Array | None, axis: int = 0) -> Array | None:
        # A mask of rows alone holds for every class. A slice of everything would be looked at by `jax_debug_nans`.
        if a is None or a.shape[axis] in (1, size):
            return a
        return lax.dynamic_slice_in_dim(a, start, size, axis)

    def shifted(ids: Array | None) -> Array | None:
        return None if ids is None else ids - start

    return o._replace(
        heads=tuple(h._replace(w=cut(h.w), bias=cut(h.bias)) for h in o.heads),
        where=cut(o.where, -1),
        labels=shifted(o.labels),
        ids=shifted(o.ids),
        targets=cut(o.targets, -1),
        class_weights=cut(o.class_weights),
    )


def beside(vector: Array, like: Array) -> Array:
    """One number for each class of the block, beside rows of any rank."""
    return vector.reshape((1,) * (like.ndim - vector.ndim) + vector.shape)


def logits_of(b: Operands) -> Array:
    """One block of logits, −∞ for masked classes; an idle row is 0 throughout, which keeps NaN out of it."""
    return from_products(b, products_of(b))


def products_of(b: Operands, index: int = 0, multiply: Multiply = product) -> Array:
    """One block of x·wᵀ + bias."""
    head = b.heads[index]
    z = multiply(head.x, clean(head.w, b.where))
    return z if head.bias is None else z + beside(head.bias, z)


def from_products(b: Operands, z: Array) -> Array:
    """The logits of a block of x·wᵀ + bias, −∞ for masked classes, whose products may be NaN."""
    if b.where is None:
        return scaled(z, b.scale)
    part = beside(b.where, z)
    absent = -jnp.inf if b.idle is None else jnp.where(b.idle, 0.0, -jnp.inf).astype(z.dtype)[..., None]
    return jnp.where(part, scaled(jnp.where(part, z, 0.0), b.scale), absent)


def clean(w: Array, where: Array | None) -> Array:
    """Weights with 0 for classes masked in all rows, since 0·NaN would reach the gradient of x."""
    return w if where is None or where.ndim > 1 else jnp.where(where[:, None], w, 0.0)


def masked_targets(targets: Array, where: Array | None) -> Array:
    """The targets of the classes that take part."""
    return targets if where is None else jnp.where(beside(where, targets), targets, 0.0)


def moving(tangents: Any) -> Any:
    """The tangents, with None for those that are 0 and for those of integers and masks."""

    def kept(tangent: Any) -> Any:
        fixed = is_symbolic_zero(tangent) or tangent.dtype == jax.dtypes.float0
        return None if fixed else tangent

    return jax.tree.map(kept, tangents, is_leaf=is_symbolic_zero)


def with_tangent(of: Callable[[Any], Any], o: Any, moves: Any) -> tuple[Any, Any]:
    """`of(o)` and its tangent along the arrays that move; None as tangent if none does."""
    leaves, structure = jax.tree.flatten(o)
    aligned = structure.flatten_up_to(moves)
    directions = [move for move in aligned if move is not None]
    if not directions:
        return of(o), None

    def along(*values: Array) -> Any:
        new = iter(values)
        return of(structure.unflatten(a if m is None else next(new) for a, m in zip(leaves, aligned, strict=True)))

    primals = [a for a, m in zip(leaves, aligned, strict=True) if m is not None]
    return jax.jvp(along, primals, directions)
