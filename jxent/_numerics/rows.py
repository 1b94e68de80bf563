"""Sums of a kernel over the categories, from probabilities and from logits, with one derivative rule each."""

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array

from jxent._numerics import softmax as sm
from jxent._numerics.compiler import by_portions, fence, row_sum
from jxent._numerics.kernels import Kernel
from jxent._numerics.pair import (
    Pair,
    from_logits,
    from_probs,
    one_of_logits,
    one_of_probs,
    pair_sums,
)
from jxent._numerics.primitives import amplify, expand, is_symbolic_zero, lowest

Axes = tuple[int, ...]
Operands = tuple[Array, ...]
# A measure that is more than one sum of a kernel: from the room, the axes, the operands and parameters.
RowMeasure = Callable[..., Array]


class Moments(NamedTuple):
    """The sums over a row of logits, and the mean of the logits less their maximum."""

    row: sm.RowSums
    mean: Array


def moments(axes: Axes, z: Array) -> Moments:
    """Sums of exponentials and of exponentials times logits."""
    row, exps = sm.row_sums_and_exps(axes, z)
    first = row_sum(exps * jnp.maximum(z - row.top, lowest(z.dtype)), axes, keepdims=True)
    return Moments(row, first / row.total)


class Room:
    """How a room obtains what kernels are made of."""

    def __init__(self, *, logits: bool) -> None:
        self.normalized = logits

    def sums(self, axes: Axes, operands: Operands) -> Any:
        """The sums over rows that the features are made of; None for probabilities."""
        if not self.normalized:
            return None
        function = moments if len(operands) == 1 else pair_sums
        return function(axes, *(lax.stop_gradient(x) for x in operands))

    def pair(self, operands: Operands, axes: Axes, sums: Any = None) -> Pair:
        """The operands as kernels see them."""
        first, second = operands[0], operands[-1]
        if not self.normalized:
            return one_of_probs(first) if len(operands) == 1 else from_probs(first, second)
        if sums is None:
            sums = by_portions(lambda axes, *x: self.sums(axes, x), axes, *operands)
        if len(operands) == 1:
            return one_of_logits(first, sums.row, axes)
        return from_logits(first, second, axes, sums)

    def sum(self, kernel: Kernel, axes: Axes, operands: Operands, theta: Operands = ()) -> Array:
        """Σ term over `axes`."""
        return kernel_sum(self, kernel, axes, operands, theta)

    def log(self, operand: Array, axes: Axes) -> Array:
        """Log-probabilities."""
        return sm.log_softmax(operand, axes) if self.normalized else self.pair((operand,), axes).log_p


PROBS, LOGITS = Room(logits=False), Room(logits=True)


class Total(NamedTuple):
    """The sum of a kernel, and the sums over rows that its features are made of."""

    value: Array
    sums: Any


def _total(room: Room, kernel: Kernel, count: int, axes: Axes, *flat: Array) -> Total:
    operands, theta = flat[:count], flat[count:]
    sums = room.sums(axes, operands)
    if room.normalized and kernel.of_logits is not None:
        return Total(jnp.squeeze(kernel.of_logits(sums), axes), sums)
    term = kernel.term(room.pair(operands, axes, sums), *theta)
    return Total(row_sum(term if kernel.is_chain else fence(term), axes), sums)


def _by_portions(room: Room, kernel: Kernel, axes: Axes, operands: Operands, theta: Operands, *, alone: bool) -> Any:
    """The total as a constant, or its value alone."""

    def total(axes: Axes, *flat: Array) -> Any:
        whole = _total(room, kernel, len(operands), axes, *flat)
        return whole.value if alone else whole

    if kernel.is_chain and not room.normalized:
        return total(axes, *operands, *theta)
    return by_portions(total, axes, *operands, *theta)


@functools.partial(jax.custom_jvp, nondiff_argnums=(0, 1, 2))
def kernel_sum(room: Room, kernel: Kernel, axes: Axes, operands: Operands, theta: Operands) -> Array:
    """Σ term over `axes`."""
    return _by_portions(room, kernel, axes, operands, theta, alone=True)


@functools.partial(kernel_sum.defjvp, symbolic_zeros=True)
def _kernel_sum_jvp(
    room: Room, kernel: Kernel, axes: Axes, primals: Sequence[Any], tangents: Sequence[Any]
) -> tuple[Array, Array]:
    constants = jax.tree.map(lax.stop_gradient, tuple(primals))
    total = _by_portions(room, kernel, axes, *constants, alone=False)
    return _of_total(room, kernel, axes, total, *primals), _tangent(room, kernel, axes, total, primals, tangents)


@functools.partial(jax.custom_jvp, nondiff_argnums=(0, 1, 2))
def _of_total(room: Room, kernel: Kernel, axes: Axes, total: Total, operands: Operands, theta: Operands) -> Array:
    """The value of a total that is formed already, with the same derivative: value and slopes share its sums."""
    del room, kernel, axes, operands, theta
    return total.value


@functools.partial(_of_total.defjvp, symbolic_zeros=True)
def _of_total_jvp(
    room: Room, kernel: Kernel, axes: Axes, primals: Sequence[Any], tangents: Sequence[Any]
) -> tuple[Array, Array]:
    total, *primals = primals
    return _of_total(room, kernel, axes, total, *primals), _tangent(room, kernel, axes, total, primals, tangents[1:])


def _tangent(
    room: Room, kernel: Kernel, axes: Axes, total: Total, primals: Sequence[Any], tangents: Sequence[Any]
) -> Array:
    operands, theta = primals
    pair = room.pair(operands, axes, total.sums)
    if room.normalized:
        value = _of_total(room, kernel, axes, total, operands, theta)
        parts = _of_logits(kernel, axes, total._replace(value=value), pair, theta, tangents[0])
    else:
        parts = _of_probs(kernel, pair, theta, tangents[0])
    for slope, tangent in zip(kernel.slope_theta, tangents[1], strict=True):
        if not is_symbolic_zero(tangent):
            parts.append(slope(pair, *theta) * tangent)
    if not parts:
        return jnp.zeros_like(total.value)
    return fence(jnp.sum(sum(parts[1:], start=parts[0]), axis=axes))


def _of_probs(kernel: Kernel, pair: Pair, theta: Operands, tangents: Sequence[Any]) -> list[Array]:
    """Slopes in p and q times their tangents."""
    parts: list[Array] = []
    for slope, tangent in zip((kernel.slope_p, kernel.slope_q), tangents, strict=False):
        if slope is not None and not is_symbolic_zero(tangent):
            product = slope(pair, *theta) * tangent
            if kernel.infinite is not None:
                product = amplify(product, kernel.infinite(pair, *theta))
            parts.append(product)
    return parts


def _of_logits(
    kernel: Kernel, axes: Axes, total: Total, pair: Pair, theta: Operands, tangents: Sequence[Any]
) -> list[Array]:
    """Slopes in log p and log q times their tangents, which are those of the logits less their means."""
    parts: list[Array] = []
    sides = ((kernel.flow_p, kernel.mean_p, pair.p), (kernel.flow_q, kernel.mean_q, pair.q))
    for (flow, mean, p), tangent in zip(sides, tangents, strict=False):
        if flow is None or is_symbolic_zero(tangent):
            continue
        if mean is None:
            parts.append(flow(pair, *theta) * sm.centred(p, tangent, axes))
        else:
            # The mean of the tangent, with its sum exchanged: no other pass over the row.
            parts.append((flow(pair, *theta) - p * mean(expand(total.value, axes), total.sums)) * tangent)
    return parts


def evaluate(room: Room, measure: Kernel | RowMeasure, axes: Axes, operands: Operands, theta: tuple[Any, ...]) -> Array:
    """Sum a kernel, or call a measure, with parameters in the dtype of the operands."""
    parameters = tuple(jnp.asarray(t).astype(operands[0].dtype) for t in theta)
    if isinstance(measure, Kernel):
        return room.sum(measure, axes, operands, parameters)
    return measure(room, axes, *operands, *parameters)


def keep(row: Array, axes: Axes, *, keepdims: bool) -> Array:
    """Put the reduced axes back as size 1 where that was asked for."""
    return expand(row, axes) if keepdims else row
