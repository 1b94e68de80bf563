"""Sums of a kernel over the categories, from probabilities and from logits, with one derivative rule each."""

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array

from jxent._numerics import softmax as sm
from jxent._numerics.compiler import by_portions, category_sums, materialized, no_fuse, row_sum, sum_over
from jxent._numerics.kernels import Kernel
from jxent._numerics.pair import (
    Pair,
    from_logits,
    from_probs,
    one_of_logits,
    one_of_probs,
    pair_sums,
)
from jxent._numerics.primitives import expand, is_symbolic_zero, lowest, with_infinite_slopes

Axes = tuple[int, ...]
Operands = tuple[Array, ...]
# A measure that is more than one sum of a kernel, called as f(room, axes, *operands, *parameters).
RowMeasure = Callable[..., Array]


class Moments(NamedTuple):
    """The sums over a row of logits, and the entropy of its softmax."""

    row: sm.RowSums
    entropy: Array


def moments(z: Array, axes: Axes) -> Moments:
    """Sums of exponentials, and of exponentials times logits; as constants."""
    z = lax.stop_gradient(z)
    row = sm.row_sums(z, axes)
    (first,) = category_sums(axes, (_weighted_logit,), z, *materialized(row.top))
    # Both summands are at least 0.
    return Moments(row, sm.log_total(row) - no_fuse(first) / row.total)


def _weighted_logit(z: Array, top: Array) -> Array:
    return sm.exponentials(z, top) * jnp.maximum(z - top, lowest(z.dtype))


class Room:
    """One of the two rooms, probabilities or logits: how the inputs of a kernel are computed."""

    def __init__(self, *, logits: bool) -> None:
        self.normalized = logits

    def sums(self, axes: Axes, operands: Operands, *, value_alone: bool = False) -> Any:
        """The row sums for the features, as constants; None for probabilities."""
        if not self.normalized:
            return None
        first, second = operands[0], operands[-1]
        return moments(first, axes) if len(operands) == 1 else pair_sums(first, second, axes, value_alone=value_alone)

    def pair(self, operands: Operands, axes: Axes, sums: Any = None) -> Pair:
        """The operands as the input of a kernel."""
        first, second = operands[0], operands[-1]
        if not self.normalized:
            return one_of_probs(first) if len(operands) == 1 else from_probs(first, second)
        sums = self.sums(axes, operands) if sums is None else sums
        return one_of_logits(first, sums.row, axes) if len(operands) == 1 else from_logits(first, second, axes, sums)

    def sum(self, kernel: Kernel, axes: Axes, operands: Operands, theta: Operands = ()) -> Array:
        """Σ term over `axes`."""
        return kernel_sum(self, kernel, axes, operands, theta)

    def log(self, operand: Array, axes: Axes) -> Array:
        """Log-probabilities."""
        return sm.log_softmax(operand, axes) if self.normalized else self.pair((operand,), axes).log_p


PROBS, LOGITS = Room(logits=False), Room(logits=True)


def _value(room: Room, kernel: Kernel, axes: Axes, sums: Any, operands: Operands, theta: Operands) -> Array:
    if room.normalized and kernel.of_logits is not None:
        return jnp.squeeze(kernel.of_logits(sums), axes)
    if not room.normalized and kernel.chain is not None:
        return row_sum(kernel.chain(*operands), axes)

    def total(axes: Axes, *flat: Array) -> Array:
        operands, theta, sums = jax.tree.unflatten(structure, flat)
        return row_sum(no_fuse(kernel.term(room.pair(operands, axes, sums), *theta)), axes)

    flat, structure = jax.tree.flatten((operands, theta, sums))
    return by_portions(total, axes, *flat)


@functools.partial(jax.custom_jvp, nondiff_argnums=(0, 1, 2))
def kernel_sum(room: Room, kernel: Kernel, axes: Axes, operands: Operands, theta: Operands) -> Array:
    """Σ term over `axes`."""
    return _value(room, kernel, axes, room.sums(axes, operands, value_alone=True), operands, theta)


@functools.partial(kernel_sum.defjvp, symbolic_zeros=True)
def _kernel_sum_jvp(
    room: Room, kernel: Kernel, axes: Axes, primals: Sequence[Any], tangents: Sequence[Any]
) -> tuple[Array, Array]:
    sums = room.sums(axes, primals[0])
    return _sum_with(room, kernel, axes, sums, *primals), _tangent(room, kernel, axes, sums, primals, tangents)


@functools.partial(jax.custom_jvp, nondiff_argnums=(0, 1, 2))
def _sum_with(room: Room, kernel: Kernel, axes: Axes, sums: Any, operands: Operands, theta: Operands) -> Array:
    """`kernel_sum` with the row sums as an argument, which value and slopes then share."""
    return _value(room, kernel, axes, sums, operands, theta)


@functools.partial(_sum_with.defjvp, symbolic_zeros=True)
def _sum_with_jvp(
    room: Room, kernel: Kernel, axes: Axes, primals: Sequence[Any], tangents: Sequence[Any]
) -> tuple[Array, Array]:
    sums, *primals = primals
    value = _sum_with(room, kernel, axes, sums, *primals)
    return value, _tangent(room, kernel, axes, sums, primals, tangents[1:])


def _tangent(
    room: Room, kernel: Kernel, axes: Axes, sums: Any, primals: Sequence[Any], tangents: Sequence[Any]
) -> Array:
    operands, theta = primals
    pair = room.pair(operands, axes, sums)
    if room.normalized:
        value = expand(_sum_with(room, kernel, axes, sums, operands, theta), axes)
        parts = _of_logits(kernel, axes, value, pair, sums, theta, tangents[0])
    else:
        parts = _of_probs(kernel, pair, theta, tangents[0])
    for slope, tangent in zip(kernel.slope_theta, tangents[1], strict=True):
        if not is_symbolic_zero(tangent):
            parts.append(slope(pair, *theta) * tangent)
    if not parts:
        return jnp.zeros(pair.p.shape[: -len(axes)], pair.p.dtype)
    # `no_fuse`, since second derivatives sum functions of this sum: see `softmax.centred`; delete the two together.
    return no_fuse(sum_over(sum(parts[1:], start=parts[0]), axes))


def _of_probs(kernel: Kernel, pair: Pair, theta: Operands, tangents: Sequence[Any]) -> list[Array]:
    """Slopes in p and q times their tangents."""
    parts: list[Array] = []
    for slope, tangent in zip((kernel.slope_p, kernel.slope_q), tangents, strict=False):
        if slope is not None and not is_symbolic_zero(tangent):
            product = slope(pair, *theta) * tangent
            if kernel.infinite is not None:
                product = with_infinite_slopes(product, kernel.infinite(pair, *theta))
            parts.append(product)
    return parts


def _of_logits(
    kernel: Kernel, axes: Axes, value: Array, pair: Pair, sums: Any, theta: Operands, tangents: Sequence[Any]
) -> list[Array]:
    """Slopes f in log p and log q times the tangents of those, ż − Σ p·ż for a tangent ż of the logits."""
    parts: list[Array] = []
    sides = ((kernel.flow_p, kernel.mean_p, pair.p), (kernel.flow_q, kernel.mean_q, pair.q))
    for (flow, mean, p), tangent in zip(sides, tangents, strict=False):
        if flow is None or is_symbolic_zero(tangent):
            continue
        if mean is None:
            parts.append(flow(pair, *theta) * sm.centred(p, tangent, axes))
        else:
            # Σ f·(ż − Σ p·ż) = Σ (f − p·Σf)·ż, and Σf is known: no other pass over the row.
            parts.append((flow(pair, *theta) - p * mean(value, sums)) * tangent)
    return parts


def evaluate(room: Room, measure: Kernel | RowMeasure, axes: Axes, operands: Operands, theta: tuple[Any, ...]) -> Array:
    """Sum a kernel, or call a measure, with parameters in the dtype of the operands."""
    parameters = tuple(jnp.asarray(t).astype(operands[0].dtype) for t in theta)
    if isinstance(measure, Kernel):
        return room.sum(measure, axes, operands, parameters)
    return measure(room, axes, *operands, *parameters)


def in_units(row: Array, factor: float) -> Array:
    """A row in other units; `no_fuse` keeps the product out of the kernel of the sum."""
    return row if factor == 1.0 else no_fuse(row) * factor
