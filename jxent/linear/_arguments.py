"""Arguments of the public functions, checked and converted to the shapes and dtypes of the engines."""

from typing import Any, NamedTuple

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array

from jxent._checks import (
    Numbers,
    as_float,
    boolean,
    class_labels,
    common_float,
    ignored_rows,
    parameter,
    per_class,
    scale_of,
)
from jxent.linear._heads import Head, MeshAxes, Operands, together


class Options(NamedTuple):
    """The traced options of a softmax loss; None if unset."""

    label_smoothing: Array | None = None
    z_loss: Array | None = None


class Problem(NamedTuple):
    """Operands of the engines, traced options, the mask of labels in range, and the mesh axis of the classes."""

    operands: Operands
    options: Options
    in_range: Array | None
    axis_name: MeshAxes

    def together(self) -> Operands:
        """The operands cast for the engine over classes inside `shard_map`."""
        return together(self.operands, self.axis_name)

    def without(self, rows: Array | None) -> "Problem":
        """The problem without these rows, which may hold anything and give 0."""
        if rows is None:
            return self
        o = self.operands
        # 0·NaN would reach the gradient of w.
        heads = tuple(h._replace(x=jnp.where(rows[..., None], 0.0, h.x)) for h in o.heads)
        operands = o._replace(heads=heads, idle=rows if o.idle is None else o.idle | rows)
        return self._replace(operands=operands, in_range=None if self.in_range is None else self.in_range | rows)


def factors(x: Numbers, w: Numbers, names: tuple[str, str] = ("x", "w")) -> tuple[Array, Array]:
    """Rows and weights. If both are bfloat16, the weights stay bfloat16 and the rows become float32."""
    of_x, of_w = names
    x, w = jnp.asarray(x), jnp.asarray(w)
    narrow = x.dtype == jnp.bfloat16 and w.dtype == jnp.bfloat16
    if x.ndim < 1 or w.ndim != 2 or x.shape[-1] != w.shape[-1]:
        turned = w.ndim == 2 and x.ndim >= 1 and x.shape[-1] == w.shape[0]
        hint = f"; `{of_w}` looks like [D, V], as in jxent.regression: pass {of_w}.T" if turned else ""
        raise ValueError(
            f"`{of_x}` has shape {x.shape} and `{of_w}` {w.shape}, expected {of_x} [..., D] and {of_w} [V, D]{hint}"
        )
    if w.shape[0] == 0:
        raise ValueError(f"`{of_w}` has shape {w.shape}: no classes, expected {of_w} [V, D] with V of at least 1")
    if narrow:
        return as_float(of_x, x), w
    rows, weights = common_float(as_float(of_x, x), as_float(of_w, w))
    return rows, weights


def class_mask(where: Numbers | None, shape: tuple[Any, ...]) -> Array | None:
    """The mask of the classes that take part: `[V]`, or of the rank of the logits with axes of size 1."""
    if where is None:
        return None
    mask = boolean("where", where)
    full = (1,) * (len(shape) - mask.ndim) + mask.shape
    if len(full) != len(shape) or any(m not in (1, n) for m, n in zip(full, shape, strict=True)):
        hint = "; a mask of rows is where=mask[..., None]" if mask.shape == shape[:-1] else ""
        raise ValueError(f"`where` has shape {mask.shape}, which does not broadcast to the logits {shape}{hint}")
    # A mask of classes alone stays small, and the weights of masked classes may hold anything.
    if all(m == 1 for m in full[:-1]):
        return jnp.broadcast_to(mask.reshape(full[-1:]), shape[-1:])
    return mask.reshape(full)


def count(mask: Array, axis_name: MeshAxes) -> Array:
    """The number of classes in the mask, on all devices."""
    total = jnp.sum(mask, axis=-1, dtype=jnp.int32)
    return total if axis_name is None else lax.psum(total, axis_name)


def loss_problem(
    x: Numbers,
    w: Numbers,
    labels: Numbers,
    *,
    bias: Numbers | None,
    where: Numbers | None,
    ignore_label: int | None,
    label_smoothing: Numbers | None,
    class_weights: Numbers | None,
    z_loss: Numbers | None,
    temperature: Numbers,
    soft_cap: Numbers | None,
    axis_name: MeshAxes,
) -> Problem:
    """The operands and options of a loss."""
    problem = one_head(x, w, bias, where, temperature, soft_cap, axis_name)
    o = problem.operands
    shape = (*o.head.x.shape[:-1], o.classes)
    array = jnp.asarray(labels)
    ids = targets = in_range = ignored = None
    if jnp.issubdtype(array.dtype, jnp.floating) and array.shape == shape:
        if ignore_label is not None:
            raise ValueError(f"ignore_label={ignore_label!r} needs integer labels; `labels` holds soft targets {shape}")
        targets = array.astype(o.head.x.dtype)
    else:
        soft = f"pass floats of shape {shape}"
        ids, in_range = class_ids(array, shape[:-1], o.classes, f"the logits {shape}", soft, axis_name)
        ignored = ignored_rows(array, ignore_label)
        in_range = in_range if o.idle is None else in_range | o.idle
    weights = vector("class_weights", class_weights, o.head.w, o.head.x, mask=o.where)
    smoothing, level = (
        None if value is None else parameter(name, value, o.head.x)
        for name, value in (("label_smoothing", label_smoothing), ("z_loss", z_loss))
    )
    operands = o._replace(labels=ids, targets=targets, class_weights=weights)
    return problem._replace(operands=operands, options=Options(smoothing, level), in_range=in_range).without(ignored)


def one_head(
    x: Numbers,
    w: Numbers,
    bias: Numbers | None,
    where: Numbers | None,
    temperature: Numbers,
    soft_cap: Numbers | None,
    axis_name: MeshAxes,
) -> Problem:
    """The operands of a measure of one head."""
    rows, weights = factors(x, w)
    return _problem(
        (Head(rows, weights, vector("bias", bias, weights, rows)),), where, temperature, soft_cap, axis_name
    )


def two_heads(
    operands: tuple[Numbers, Numbers, Numbers, Numbers],
    biases: tuple[Numbers | None, Numbers | None],
    where: Numbers | None,
    temperature: Numbers,
    soft_cap: Numbers | None,
    axis_name: MeshAxes,
) -> Problem:
    """The operands of a measure of two heads, of the rows and of the classes of each other."""
    x_p, w_p, x_q, w_q = operands
    rows_p, weights_p = factors(x_p, w_p, ("x_p", "w_p"))
    rows_q, weights_q = factors(x_q, w_q, ("x_q", "w_q"))
    if weights_p.shape[0] != weights_q.shape[0]:
        raise ValueError(
            f"`w_p` has shape {weights_p.shape} and `w_q` {weights_q.shape}: {weights_p.shape[0]} against "
            f"{weights_q.shape[0]} classes, expected two heads over the same classes"
        )
    if rows_p.shape[:-1] != rows_q.shape[:-1]:
        raise ValueError(
            f"`x_p` has shape {rows_p.shape} and `x_q` {rows_q.shape}: expected the same rows, of any two sizes D"
        )
    rows_p, rows_q = common_float(rows_p, rows_q)
    weights_p, weights_q = (w if w.dtype == jnp.bfloat16 else w.astype(rows_p.dtype) for w in (weights_p, weights_q))
    heads = (
        Head(rows_p, weights_p, vector("bias_p", biases[0], weights_p, rows_p, "w_p")),
        Head(rows_q, weights_q, vector("bias_q", biases[1], weights_q, rows_q, "w_q")),
    )
    return _problem(heads, where, temperature, soft_cap, axis_name)


def _problem(
    heads: tuple[Head, ...],
    where: Numbers | None,
    temperature: Numbers,
    soft_cap: Numbers | None,
    axis_name: MeshAxes,
) -> Problem:
    first = heads[0]
    shape = (*first.x.shape[:-1], first.w.shape[0])
    mask = class_mask(where, shape)
    operands = Operands(heads, scale_of(temperature, soft_cap, first.x), mask)
    empty = None if mask is None else jnp.broadcast_to(count(mask, axis_name) == 0, shape[:-1])
    return Problem(operands, Options(), None, axis_name).without(empty)


def vector(
    name: str, value: Numbers | None, w: Array, like: Array, of_w: str = "w", mask: Array | None = None
) -> Array | None:
    """One number for each class, 0 for classes that the mask excludes from all rows."""
    if value is None:
        return None
    array = per_class(name, value, w.shape[:1], f"`{of_w}` {w.shape}", like)
    return array if mask is None or mask.ndim > 1 else jnp.where(mask, array, 0.0)


def class_ids(
    labels: Array,
    rows: tuple[Any, ...],
    classes: int,
    beside: str,
    soft: str,
    axis_name: MeshAxes,
    name: str = "labels",
) -> tuple[Array, Array]:
    """Class ids counted from the first class of this device, and the mask of ids of a class of any device."""
    ids = class_labels(labels, rows, beside, soft=soft, name=name)
    if axis_name is None:
        return ids, (ids >= 0) & (ids < classes)
    everywhere = classes * lax.axis_size(axis_name)
    return ids - lax.axis_index(axis_name) * classes, (ids >= 0) & (ids < everywhere)
