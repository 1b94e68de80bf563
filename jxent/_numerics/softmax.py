"""Softmax and log-softmax that keep their tails, with derivative rules that stay finite at −∞.

One largest element is kept apart from the sum of the others: with d = z − max z and
rest = Σ_{others} exp d, log p = d − log1p(rest) and p = exp d/(1 + rest). A class with a margin of 30
then has log p = −9.4e-14, not 0.
"""

import functools
from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array

from jxent._numerics import fast
from jxent._numerics.primitives import fence, lowest, recompute

Axes = tuple[int, ...]


class Shifted(NamedTuple):
    """Logits less their maximum, their exponentials, and the sum of all but one largest of those."""

    top: Array  # [..., 1, ...], 0 where no logit is finite
    d: Array
    exp: Array
    rest: Array  # [..., 1, ...]


def shift(z: Array, axes: Axes) -> Shifted:
    """Split a row of logits into its maximum, the differences from it and the rest of the exponentials.

    sign(d) is 0 for the largest and −1 for the others: XLA:CPU runs it much faster than a choice.
    """
    top = row_maximum(z, axes)
    d = z - top
    exact = jnp.exp(d) * (1.0 + rounded_away(z, top, d))
    # In float32 the rounding of d cannot move its exponential by more than the bound before that is 0.
    summand = exact if z.dtype == jnp.float64 else jnp.exp(d)
    others = fence(-jnp.sum(jnp.sign(d) * summand, axis=axes, keepdims=True))
    again, top_again = recompute(others, z, top)
    ties = fence(jnp.sum(1.0 + jnp.sign(again - top_again), axis=axes, keepdims=True))
    return Shifted(top, d, exact, others + (ties - 1.0))


def rounded_away(z: Array, top: Array, d: Array) -> Array:
    """(z − top) − d exactly, for d the rounded z − top (Knuth's error-free transformation).

    The exponential turns an absolute error into a relative one: at a margin of 100 the half unit in the
    last place of d is 32 of them in exp d. Elements of −∞ get a finite number, which meets exp d = 0.
    """
    low = lowest(z.dtype)
    z, d = jnp.maximum(z, low), jnp.maximum(d, low)
    part = d - z
    return (z - (d - part)) - (top + part)


def row_maximum(z: Array, axes: Axes) -> Array:
    """The largest logit, and 0 where that is infinite.

    inf − inf would be NaN, which jax_debug_nans reports even where it is not used.
    """
    top = fence(jnp.max(z, axis=axes, keepdims=True))
    return jnp.where(jnp.isfinite(top), top, jnp.zeros_like(top))


@functools.partial(jax.custom_jvp, nondiff_argnums=(1,))
def log_softmax(z: Array, axes: Axes) -> Array:
    """Log p from logits."""

    def exact(axes: Axes, z: Array) -> Array:
        s = shift(z, axes)
        return s.d - jnp.log1p(s.rest)

    return fast.by_platform(exact, fast.from_logits("log_probabilities"), axes, z)


@log_softmax.defjvp
def _log_softmax_jvp(axes: Axes, primals: Sequence[Array], tangents: Sequence[Array]) -> tuple[Array, Array]:
    (z,), (dz,) = primals, tangents
    return log_softmax(z, axes), centred(softmax(z, axes), dz, axes)


@functools.partial(jax.custom_jvp, nondiff_argnums=(1,))
def softmax(z: Array, axes: Axes) -> Array:
    """P from logits."""

    def exact(axes: Axes, z: Array) -> Array:
        s = shift(z, axes)
        return s.exp / (1.0 + s.rest)

    return fast.by_platform(exact, fast.from_logits("probabilities"), axes, z)


@softmax.defjvp
def _softmax_jvp(axes: Axes, primals: Sequence[Array], tangents: Sequence[Array]) -> tuple[Array, Array]:
    (z,), (dz,) = primals, tangents
    p = softmax(z, axes)
    return p, p * centred(p, dz, axes)


@functools.partial(jax.custom_jvp, nondiff_argnums=(1,))
def complement(z: Array, axes: Axes) -> Array:
    """1 − p, which for a dominating class is the sum of the others."""
    s = shift(z, axes)
    return jnp.where(s.d == 0.0, s.rest, 1.0 + s.rest - s.exp) / (1.0 + s.rest)


@complement.defjvp
def _complement_jvp(axes: Axes, primals: Sequence[Array], tangents: Sequence[Array]) -> tuple[Array, Array]:
    (z,), (dz,) = primals, tangents
    p = softmax(z, axes)
    return complement(z, axes), -p * centred(p, dz, axes)


@functools.partial(jax.custom_jvp, nondiff_argnums=(1,))
def log_sum_exp(z: Array, axes: Axes) -> Array:
    """Log Σ exp z, the reduced axes kept with size 1; −∞ with gradient 0 for a row of only −∞."""
    s = shift(z, axes)
    return s.top + jnp.log1p(s.rest)


@log_sum_exp.defjvp
def _log_sum_exp_jvp(axes: Axes, primals: Sequence[Array], tangents: Sequence[Array]) -> tuple[Array, Array]:
    (z,), (dz,) = primals, tangents
    value = log_sum_exp(z, axes)
    some = jnp.where(jnp.isneginf(value), 0.0, value)
    return value, jnp.sum(jnp.exp(z - some) * dz, axis=axes, keepdims=True)


def centred(p: Array, x: Array, axes: Axes) -> Array:
    """X less its mean under p: the tangent of log p for a tangent x of the logits."""
    # Without the fence XLA:CPU (jaxlib 0.10) takes this sum and one over what is formed here for one program, which is
    # wrong where p is shared by a batch of x, as under jacfwd.
    return x - fence(jnp.sum(p * x, axis=axes, keepdims=True))


@jax.custom_jvp
def sigmoid(z: Array) -> Array:
    """1/(1 + exp(−z)) with relative accuracy in the lower tail, and a slope that keeps both tails."""
    e = jnp.exp(-jnp.abs(z))
    return jnp.where(z < 0, e, jnp.ones_like(e)) / (1.0 + e)


@sigmoid.defjvp
def _sigmoid_jvp(primals: Sequence[Array], tangents: Sequence[Array]) -> tuple[Array, Array]:
    (z,), (dz,) = primals, tangents
    return sigmoid(z), sigmoid(z) * sigmoid(-z) * dz


@jax.custom_jvp
def softplus(z: Array) -> Array:
    """log(1 + exp z), the surprise of a Bernoulli outcome; its slope is the sigmoid."""
    return jnp.maximum(z, 0.0) + jnp.log1p(jnp.exp(-jnp.abs(z)))


@softplus.defjvp
def _softplus_jvp(primals: Sequence[Array], tangents: Sequence[Array]) -> tuple[Array, Array]:
    (z,), (dz,) = primals, tangents
    return softplus(z), sigmoid(z) * dz
