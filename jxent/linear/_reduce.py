"""From operands and options to losses, by either engine."""

import math
from typing import Any, cast

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array

from jxent import losses
from jxent.linear import _engines, _rows
from jxent.linear._arguments import Options, Problem, count
from jxent.linear._heads import MeshAxes, Operands, beside, masked_targets, together
from jxent.linear._softmax import SOFTMAX
from jxent.linear._sums import Plan, per_row


def by_classes(problem: Problem, block_size: int | None) -> Array:
    """The losses of all rows `[...]` by the engine over classes."""
    o, options, axis_name = problem.operands, problem.options, problem.axis_name
    smoothing = options.label_smoothing is not None
    plan = Plan(SOFTMAX, _engines.class_block(block_size, o), axis_name, smoothing=smoothing)
    sums = per_row(plan, problem.together())
    loss = sums.losses[0]
    if options.label_smoothing is not None:
        kept = 1.0 - options.label_smoothing
        # A loss of weight 0 contributes 0, even an infinite one.
        loss = kept * jnp.where((kept == 0.0) & jnp.isposinf(loss), 0.0, loss)
        loss = loss + options.label_smoothing * _share(o, axis_name) * sums.losses[1]
    if options.z_loss is not None:
        loss = loss + options.z_loss * sums.logsumexp * sums.logsumexp
    if problem.in_range is not None:
        # A factor, since `where` would have gradient 0.
        loss = loss * jnp.where(problem.in_range, 1.0, jnp.nan).astype(loss.dtype)
    return loss if o.idle is None else jnp.where(o.idle, 0.0, loss)


def _share(o: Operands, axis_name: MeshAxes) -> Array:
    """Σt/K of each row over the K classes that are possible."""
    possible = None if o.head.bias is None else o.head.bias != -jnp.inf
    if o.where is not None:
        possible = o.where if possible is None else beside(possible, o.where) & o.where
    if possible is None:
        devices = 1 if axis_name is None else lax.axis_size(axis_name)
        classes = jnp.asarray(o.classes * devices, o.head.x.dtype)
    else:
        # A mask of rows alone holds for every class.
        possible = jnp.broadcast_to(possible, (*possible.shape[:-1], o.classes))
        classes = jnp.maximum(count(possible, axis_name), 1).astype(o.head.x.dtype)
    if o.targets is None:
        return 1.0 / classes
    mass = jnp.sum(masked_targets(o.targets, o.where), axis=-1)
    return (mass if axis_name is None else lax.psum(mass, axis_name)) / classes


def by_rows(problem: Problem, block_size: int | None) -> Array:
    """The losses of all rows `[...]` by the engine over rows."""
    flat = _flat(problem.operands)
    loss = _rows.losses(_program(flat, block_size), *together((flat, problem.options), None))
    return loss.reshape(problem.operands.head.x.shape[:-1])


def sum_by_rows(problem: Problem, weights: Array, block_size: int | None) -> Array:
    """Σ g·loss by the engine over rows."""
    flat = _flat(problem.operands)
    return _rows.total(_program(flat, block_size), *together((flat, problem.options, weights.reshape(-1)), None))


def _program(o: Operands, block_size: int | None) -> _rows.Program:
    return _rows.Program(_engines.row_block(block_size, o), _of_logits, _transformable)


def _flat(o: Operands) -> Operands:
    """The operands with the rows merged into one axis."""
    rows = o.head.x.shape[:-1]

    def flat(a: Array | None) -> Array | None:
        return None if a is None else a.reshape((math.prod(rows), *a.shape[len(rows) :]))

    where = o.where
    if where is not None and where.ndim > 1:
        where = flat(jnp.broadcast_to(where, (*rows, where.shape[-1])))
    head = o.head._replace(x=flat(o.head.x))
    return o._replace(heads=(head,), where=where, idle=flat(o.idle), labels=flat(o.labels), targets=flat(o.targets))


def _of_logits(z: Array, o: Operands, options: Options) -> Array:
    """The losses of a block of rows from its masked logits."""
    keywords: dict[str, Any] = {**options._asdict(), "class_weights": o.class_weights}
    if o.targets is not None:
        loss = losses.softmax_cross_entropy(z, masked_targets(o.targets, o.where), **keywords)
    else:
        ids = cast("Array", o.labels)
        # An idle row gets class 0: its own label might turn the gradient 0 into NaN.
        ids = ids if o.idle is None else jnp.where(o.idle, 0, ids)
        loss = losses.softmax_cross_entropy_with_integer_labels(z, ids, **keywords)
    return loss if o.idle is None else jnp.where(o.idle, 0.0, loss)


def _transformable(o: Operands, options: Options) -> Array:
    """The losses of flat operands by the engine over classes."""
    in_range = None if o.labels is None else (o.labels >= 0) & (o.labels < o.classes)
    if in_range is not None and o.idle is not None:
        in_range = in_range | o.idle
    return by_classes(Problem(o, options, in_range, None), None)
