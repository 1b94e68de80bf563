"""Arguments of the public functions, checked and converted to the shapes and dtypes of the engines."""

from typing import NamedTuple

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array

from jxent._checks import Numbers, as_float, boolean, class_labels, common_float, ignored_rows, parameter, per_class
from jxent.linear._classes import Operands, together


class Options(NamedTuple):
    """The traced options of a softmax loss; None if unset."""

    label_smoothing: Array | None = None
    z_loss: Array | None = None


class Problem(NamedTuple):
    """Operands of the engines, traced options, the mask of labels in range, and the mesh axis of the classes."""

    operands: Operands
    options: Options
    in_range: Array | None
    axis_name: str | None

    def together(self) -> Operands:
        """The operands cast for the engine over classes inside `shard_map`."""
        return together(self.operands, self.axis_name)

    def without(self, rows: Array | None) -> "Problem":
        """The problem without these rows, which may hold anything and give 0."""
        if rows is None:
            return self
        o = self.operands
        # 0·NaN would reach the gradient of w.
        x = jnp.where(rows[..., None], 0.0, o.x)
        operands = o._replace(x=x, idle=rows if o.idle is None else o.idle | rows)
        return self._replace(operands=operands, in_range=None if self.in_range is None else self.in_range | rows)


def factors(x: Numbers, w: Numbers) -> tuple[Array, Array]:
    """Rows and weights. If both are bfloat16, the weights stay bfloat16 and the rows become float32."""
    x, w = jnp.asarray(x), jnp.asarray(w)
    narrow = x.dtype == jnp.bfloat16 and w.dtype == jnp.bfloat16
    if x.ndim < 1 or w.ndim != 2 or x.shape[-1] != w.shape[-1]:
        turned = w.ndim == 2 and x.ndim >= 1 and x.shape[-1] == w.shape[0]
        hint = "; `w` looks like [D, V], as in jxent.regression: pass w.T" if turned else ""
        raise ValueError(f"`x` has shape {x.shape} and `w` {w.shape}, expected x [..., D] and w [V, D]{hint}")
    if w.shape[0] == 0:
        raise ValueError(f"`w` has shape {w.shape}: no classes, expected w [V, D] with V of at least 1")
    if narrow:
        return as_float("x", x), w
    rows, weights = common_float(as_float("x", x), as_float("w", w))
    return rows, weights


def class_mask(where: Numbers | None, shape: tuple[int, ...]) -> Array | None:
    """The mask of the classes that take part: `[V]`, or of the rank of the logits with axes of size 1."""
    if where is None:
        return None
    mask = boolean("where", where)
    full = (1,) * (len(shape) - mask.ndim) + mask.shape
    if len(full) != len(shape) or any(m not in (1, n) for m, n in zip(full, shape, strict=True)):
        raise ValueError(f"`where` has shape {mask.shape}, which does not broadcast to the logits {shape}")
    # A mask of classes alone stays small, and the weights of masked classes may hold anything.
    if all(m == 1 for m in full[:-1]):
        return jnp.broadcast_to(mask.reshape(full[-1:]), shape[-1:])
    return mask.reshape(full)


def count(mask: Array, axis_name: str | None) -> Array:
    """The number of classes in the mask, on all devices."""
    total = jnp.sum(mask, axis=-1, dtype=jnp.int32)
    return total if axis_name is None else lax.psum(total, axis_name)


def make_problem(
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
    axis_name: str | None,
) -> Problem:
    """The operands and options of a loss."""
    rows, weights = factors(x, w)
    shape = (*rows.shape[:-1], weights.shape[0])
    mask = class_mask(where, shape)
    empty = None if mask is None else without_classes(mask, shape, axis_name)
    array = jnp.asarray(labels)
    ids = targets = in_range = ignored = None
    if jnp.issubdtype(array.dtype, jnp.floating) and array.shape == shape:
        if ignore_label is not None:
            raise ValueError(f"ignore_label={ignore_label!r} needs integer labels; `labels` holds soft targets {shape}")
        targets = array.astype(rows.dtype)
    else:
        ids, in_range = _class_ids(array, shape, axis_name)
        ignored = ignored_rows(array, ignore_label)
    operands = Operands(
        rows,
        weights,
        vector("bias", bias, weights, rows),
        mask,
        None,
        ids,
        targets,
        vector("class_weights", class_weights, weights, rows, mask),
    )
    smoothing, level = (
        None if value is None else parameter(name, value, rows)
        for name, value in (("label_smoothing", label_smoothing), ("z_loss", z_loss))
    )
    problem = Problem(operands, Options(smoothing, level), in_range, axis_name)
    return problem.without(ignored).without(empty)


def vector(name: str, value: Numbers | None, w: Array, like: Array, mask: Array | None = None) -> Array | None:
    """One number for each class, 0 for classes that the mask excludes from all rows."""
    if value is None:
        return None
    array = per_class(name, value, w.shape[:1], f"`w` {w.shape}", like)
    return array if mask is None or mask.ndim > 1 else jnp.where(mask, array, 0.0)


def without_classes(mask: Array, shape: tuple[int, ...], axis_name: str | None) -> Array:
    """The mask of rows without any class on any device."""
    return jnp.broadcast_to(count(mask, axis_name) == 0, shape[:-1])


def _class_ids(labels: Array, shape: tuple[int, ...], axis_name: str | None) -> tuple[Array, Array]:
    """Class ids counted from the first class of this device, and the mask of ids of a class of any device."""
    ids = class_labels(labels, shape[:-1], f"the logits {shape}", soft=f"pass floats of shape {shape}")
    if axis_name is None:
        return ids, (ids >= 0) & (ids < shape[-1])
    everywhere = shape[-1] * lax.axis_size(axis_name)
    return ids - lax.axis_index(axis_name) * shape[-1], (ids >= 0) & (ids < everywhere)
