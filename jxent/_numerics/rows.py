"""Sums of a kernel over the categories, from probabilities and from logits, with one derivative rule each."""

import functools
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array

from jxent._numerics import fast
from jxent._numerics import softmax as sm
from jxent._numerics.kernels import Kernel
from jxent._numerics.pair import Pair, from_logits, from_probs
from jxent._numerics.primitives import amplify, expand, fence, is_symbolic_zero, row_sum

Axes = tuple[int, ...]
Operands = tuple[Array, ...]


def _total(kernel: Kernel, pair: Pair, axes: Axes, theta: Operands) -> Array:
    return fence(row_sum(kernel.term(pair, *theta), axes))


def probs_pair(operands: Operands) -> Pair:
    # A measure of one distribution is a kernel that uses p alone: the rest is never computed.
    return from_probs(operands[0], operands[-1])


def logits_pair(operands: Operands, axes: Axes) -> Pair:
    return from_logits(operands[0], operands[-1], axes)


@functools.partial(jax.custom_jvp, nondiff_argnums=(0, 1))
def probs_sum(kernel: Kernel, axes: Axes, operands: Operands, theta: Operands = ()) -> Array:
    """Σ term over `axes`, from one or two arrays of probabilities."""

    def exact(axes: Axes, *flat: Array) -> Array:
        operands, theta = flat[:count], flat[count:]
        return _total(kernel, probs_pair(operands), axes, theta)

    count = len(operands)
    return fast.by_platform(exact, fast.from_probs(kernel.name), axes, *operands, *theta)


@functools.partial(probs_sum.defjvp, symbolic_zeros=True)
def _probs_sum_jvp(kernel: Kernel, axes: Axes, primals: Sequence[Any], tangents: Sequence[Any]) -> tuple[Array, Array]:
    operands, theta = primals
    value = probs_sum(kernel, axes, operands, theta)
    pair = probs_pair(operands)
    slopes = (kernel.slope_p, kernel.slope_q)
    parts: list[Array] = []
    for slope, tangent in zip(slopes, tangents[0], strict=False):
        if slope is not None and not is_symbolic_zero(tangent):
            product = slope(pair, *theta) * tangent
            if kernel.infinite is not None:
                product = amplify(product, kernel.infinite(pair, *theta))
            parts.append(product)
    return value, _tangent(value, axes, parts + _theta_parts(kernel, pair, theta, tangents[1]))


@functools.partial(jax.custom_jvp, nondiff_argnums=(0, 1))
def logits_sum(kernel: Kernel, axes: Axes, operands: Operands, theta: Operands = ()) -> Array:
    """Σ term over `axes`, from one or two arrays of logits."""

    def exact(axes: Axes, *flat: Array) -> Array:
        operands, theta = flat[:count], flat[count:]
        return _total(kernel, logits_pair(operands, axes), axes, theta)

    count = len(operands)
    return fast.by_platform(exact, fast.from_logits(kernel.name), axes, *operands, *theta)


@functools.partial(logits_sum.defjvp, symbolic_zeros=True)
def _logits_sum_jvp(kernel: Kernel, axes: Axes, primals: Sequence[Any], tangents: Sequence[Any]) -> tuple[Array, Array]:
    operands, theta = primals
    value = logits_sum(kernel, axes, operands, theta)
    pair = logits_pair(operands, axes)
    parts: list[Array] = []
    for flow, p, tangent in zip((kernel.flow_p, kernel.flow_q), pair[:2], tangents[0], strict=False):
        if flow is not None and not is_symbolic_zero(tangent):
            # The tangent of log p is the tangent of the logits less its mean under p.
            parts.append(flow(pair, *theta) * sm.centred(p, tangent, axes))
    return value, _tangent(value, axes, parts + _theta_parts(kernel, pair, theta, tangents[1]))


def _theta_parts(kernel: Kernel, pair: Pair, theta: Operands, tangents: Any) -> list[Array]:
    return [
        slope(pair, *theta) * tangent
        for slope, tangent in zip(kernel.slope_theta, tangents, strict=True)
        if not is_symbolic_zero(tangent)
    ]


def _tangent(value: Array, axes: Axes, parts: list[Array]) -> Array:
    if not parts:
        return jnp.zeros_like(value)
    return fence(jnp.sum(sum(parts[1:], start=parts[0]), axis=axes))


def keep(row: Array, axes: Axes, *, keepdims: bool) -> Array:
    """Put the reduced axes back as size 1 where that was asked for."""
    return expand(row, axes) if keepdims else row
