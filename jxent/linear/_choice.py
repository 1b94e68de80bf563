"""Classes chosen from one head: the k most probable ones, and a draw from its distribution."""

import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.extend.random import threefry2x32_p
from jaxtyping import Array

from jxent.linear._blocks import over_blocks
from jxent.linear._heads import MeshAxes, Operands, block_of, logits_of, moving, together
from jxent.linear._softmax import Rows
from jxent.linear._sums import Plan, tangents_of

# Above every class id.
NO_CLASS = np.int32(np.iinfo(np.int32).max)


class Best(NamedTuple):
    """The k largest logits of a row and their classes; −∞ and −1 where fewer are possible."""

    logits: Array  # [..., k]
    ids: Array  # [..., k]


def first_class(o: Operands, axis_name: MeshAxes) -> Array | int:
    """The id of the first class of this device."""
    return 0 if axis_name is None else lax.axis_index(axis_name) * o.classes


@functools.partial(jax.custom_jvp, nondiff_argnums=(0, 1))
def most_probable(plan: Plan, k: int, o: Operands) -> tuple[Array, Rows]:
    """The ids `[..., k]` and the sums of the row, whose last set of losses is that of these ids, in one pass."""
    offset = first_class(o, plan.axis_name)

    def of(start: Array | int, size: int) -> tuple[Any, tuple[()]]:
        b = block_of(o, start, size)
        values, ids = lax.top_k(logits_of(b), min(k, size))
        return (plan.measure.start(plan, b), _padded(Best(values, ids + (start + offset)), k)), ()

    def merge(a: Any, b: Any) -> Any:
        return plan.measure.merge(a[0], b[0]), _best_of((a[1], b[1]), k)

    state, best = over_blocks(plan.block, o.classes, of, merge)[0]
    if plan.axis_name is not None:
        state, best = plan.measure.across(state, plan.axis_name), _best_across(best, k, plan.axis_name)
    rows: Rows = plan.measure.finish(state)
    nothing = best.logits == -jnp.inf
    surprise = jnp.where(nothing, jnp.inf, rows.log_sum[..., None] + (rows.top[..., None] - best.logits))
    ids = jnp.where(nothing, -1, best.ids)
    return ids, rows._replace(losses=(surprise,), masses=(jnp.ones_like(surprise),))


@functools.partial(most_probable.defjvp, symbolic_zeros=True)
def _most_probable_jvp(plan: Plan, k: int, primals: Sequence[Any], tangents: Sequence[Any]) -> tuple[Any, Any]:
    (o,), (do,) = primals, tangents
    ids, rows = most_probable(plan, k, o)
    local = o._replace(ids=together(ids, plan.axis_name) - first_class(o, plan.axis_name))
    moved = tangents_of(plan, local, moving(do)._replace(ids=None), rows)
    return (ids, rows), (jax.custom_derivatives.zero_from_primal(ids, symbolic_zeros=True), moved)


def _padded(best: Best, k: int) -> Best:
    missing = [(0, 0)] * (best.ids.ndim - 1) + [(0, k - best.ids.shape[-1])]
    return Best(jnp.pad(best.logits, missing, constant_values=-jnp.inf), jnp.pad(best.ids, missing, constant_values=-1))


def _best_of(parts: Sequence[Best], k: int) -> Best:
    values, ids = (jnp.concatenate(columns, axis=-1) for columns in zip(*parts, strict=True))
    values, places = lax.top_k(values, k)
    return Best(values, jnp.take_along_axis(ids, places, axis=-1))


def _best_across(best: Best, k: int, axis_name: str | tuple[str, ...]) -> Best:
    """The best of all devices; by a sum, whose result is the same on each as its type says."""
    mine = lax.axis_index(axis_name) == jnp.arange(lax.axis_size(axis_name))
    logits, ids = (lax.psum(jnp.where(mine[:, None], a[..., None, :], 0), axis_name) for a in best)
    return _best_of([Best(*(a.reshape(*a.shape[:-2], -1) for a in (logits, ids)))], k)


class Draw(NamedTuple):
    """The largest sum of logit and noise of a row, and its class."""

    value: Array
    ids: Array


def draw(plan: Plan, key: Array, rows: Array, o: Operands) -> Array:
    """A class of each row, drawn as the largest sum of logit and Gumbel noise.

    Args:
        plan: the classes in a block and their mesh axis.
        key: two uint32 numbers.
        rows: the number of each row, of the shape of the rows.
        o: one head.
    """
    offset = first_class(o, plan.axis_name)
    key, rows = together((key, rows, o), plan.axis_name)[:2]

    def of(start: Array | int, size: int) -> tuple[Draw, tuple[()]]:
        z = logits_of(block_of(o, start, size))
        ids = (start + offset) + lax.broadcasted_iota(jnp.int32, z.shape, z.ndim - 1)
        noisy = z + gumbel(key, rows[..., None], ids, z.dtype)
        # Two reductions: the position of the maximum costs XLA:CPU 20 times a maximum.
        value = jnp.max(noisy, axis=-1)
        return Draw(value, jnp.min(jnp.where(noisy == value[..., None], ids, NO_CLASS), axis=-1)), ()

    best = over_blocks(plan.block, o.classes, of, _larger)[0]
    if plan.axis_name is not None:
        value = lax.pmax(best.value, plan.axis_name)
        best = Draw(value, lax.pmin(jnp.where(best.value == value, best.ids, NO_CLASS), plan.axis_name))
    return jnp.where((best.value == -jnp.inf) | (best.ids == NO_CLASS), -1, best.ids)


def _larger(a: Draw, b: Draw) -> Draw:
    second = (b.value > a.value) | jnp.isnan(b.value)
    return Draw(*(jnp.where(second, y, x) for x, y in zip(a, b, strict=True)))


def gumbel(key: Array, rows: Array, ids: Array, dtype: Any) -> Array:
    """Standard Gumbel noise −log(−log u) for each row and class.

    The bits are those of a block cipher at (row, class) (Salmon et al., Parallel random numbers: as easy as 1, 2, 3,
    2011), so that the noise does not depend on how the classes are divided.
    """
    count = jnp.broadcast_to(rows, ids.shape).astype(jnp.uint32)
    high, low = threefry2x32_p.bind(key[0], key[1], count, ids.astype(jnp.uint32))
    # 1 − u in 64 bits: the largest of many draws lies where it is nearly 0.
    rest = (high.astype(dtype) + (low.astype(dtype) + 0.5) * 2.0**-32) * 2.0**-32
    rest = jnp.minimum(rest, 1.0 - float(jnp.finfo(dtype).epsneg))
    return -jnp.log(-jnp.log1p(-rest))
