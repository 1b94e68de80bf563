"""Softmax and log-softmax that keep their tails, with derivative rules that stay finite at −∞.

One largest element is kept apart from the sum of the others: with d = z − max z and
rest = Σ_{others} exp d, log p = d − log1p(rest) and p = exp d/(1 + rest). A class with a margin of 30
then has log p = −9.4e-14, not 0.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array

from jxent._numerics import compiler
from jxent._numerics.compiler import are_few, formed_once, materialized, max_over, no_fuse, sum_over, top_of_row
from jxent._numerics.logarithm import exponential
from jxent._numerics.primitives import two_difference

Axes = tuple[int, ...]


class Scale(NamedTuple):
    """How the numbers of a model become logits; None if unset."""

    temperature: Array | None = None  # T > 0, by which logits are divided
    soft_cap: Array | None = None  # c > 0: z becomes c·tanh(z/c)


def scaled(z: Array, scale: Scale) -> Array:
    """c·tanh(z/c)/T; −∞ stays −∞, with slope 1/T, as it has slope 1 without options."""
    temperature, cap = scale
    if temperature is None and cap is None:
        return z
    finite = jnp.where(z == -jnp.inf, 0.0, z)
    if cap is not None:
        finite = cap * jnp.tanh(finite / cap)
    if temperature is None:
        return jnp.where(z == -jnp.inf, z, finite)
    return jnp.where(z == -jnp.inf, z / lax.stop_gradient(temperature), finite / temperature)


def scaled_difference(a: Array, b: Array, scale: Scale) -> Array:
    """`scaled(b) − scaled(a)` of finite numbers, accurate for nearly equal ones.

    By tanh v − tanh u = tanh(v − u)·(1 − tanh u·tanh v).
    """
    temperature, cap = scale
    difference = b - a
    if cap is not None:
        difference = cap * jnp.tanh(difference / cap) * (1.0 - jnp.tanh(a / cap) * jnp.tanh(b / cap))
    return difference if temperature is None else difference / temperature


class RowSums(NamedTuple):
    """The maximum and the sum for the softmax of a row; the reduced axes are kept."""

    top: Array
    rest: Array  # Σ exp(z − top) without one of the largest

    @property
    def total(self) -> Array:
        """Σ exp(z − top)."""
        return 1.0 + self.rest


def row_sums(z: Array, axes: Axes) -> RowSums:
    """Maximum and sum of exponentials, as constants: functions of them have their own derivative rules."""
    z = lax.stop_gradient(z)
    row = sums_below(compiler.category_sums, z, top_of_row(z, axes), axes)
    return RowSums(row.top, formed_once(row.rest)) if are_few(z, axes) else row


def sums_below(reducer: Callable[..., list[Array]], z: Array, top: Array, axes: Axes) -> RowSums:
    """The sums of a row from its maximum `top`, by `category_sums` or `chained_sums`."""
    below, at_top = reducer(axes, (exp_below, is_at_top), z, top)
    return RowSums(*materialized(top, below + (at_top - 1.0)))


def exponentials(z: Array, top: Array) -> Array:
    """The exponential of z − top, for chained sums; in float32 without the rounding error of the difference."""
    return exp_from(top, z, precise=True) if z.dtype == jnp.float64 else jnp.exp(z - top)


def exp_of_loop(z: Array, top: Array) -> Array:
    """The exponential of z − top, for sums that XLA:CPU compiles as loops."""
    return no_fuse(exp_from(top, z, precise=z.dtype == jnp.float64))


def exp_below(z: Array, top: Array) -> Array:
    """The exponential of z − top, and 0 where that is 1, so that small terms beside a dominating class keep their
    digits.

    Without `where`, which the vector kernels of a CPU cannot take. Delete when the grid is as fast with it.
    """
    exps = exponentials(z, top)
    return exps - jnp.floor(exps)


def is_at_top(z: Array, top: Array) -> Array:
    """1 where exp(z − top) is 1, and 0 below."""
    return jnp.floor(exponentials(z, top))


def exp_from(top: Array, z: Array, *, precise: bool) -> Array:
    """Exp(z − top); if `precise`, corrected for the rounding error of the difference.

    The exponential turns an absolute error into a relative one: at a margin of 100, half a unit in the last place of
    the difference becomes 32 units in the exponential. (Knuth's error-free transformation.)
    """
    d = z - top
    if not precise:
        return exponential(d)
    _, lost = two_difference(z, top)
    return exponential(d) * (1.0 + jnp.where(jnp.isfinite(lost), lost, 0.0))


@functools.partial(jax.custom_jvp, nondiff_argnums=(2,))
def softmax_of(z: Array, sums: RowSums, axes: Axes) -> Array:
    """Probabilities from logits and their sums; NaN in a row of only −∞."""
    del axes
    return exp_from(sums.top, z, precise=True) * (1.0 / sums.total)


@softmax_of.defjvp
def _softmax_of_jvp(axes: Axes, primals: Sequence[Any], tangents: Sequence[Any]) -> tuple[Array, Array]:
    (z, sums), (dz, _) = primals, tangents
    p = softmax_of(z, sums, axes)
    return p, p * centred(p, dz, axes)


@functools.partial(jax.custom_jvp, nondiff_argnums=(2,))
def log_softmax_of(z: Array, sums: RowSums, axes: Axes) -> Array:
    """Log-probabilities from logits and their sums; NaN in a row of only −∞."""
    del axes
    return (z - sums.top) - log_total(sums)


@log_softmax_of.defjvp
def _log_softmax_of_jvp(axes: Axes, primals: Sequence[Any], tangents: Sequence[Any]) -> tuple[Array, Array]:
    (z, sums), (dz, _) = primals, tangents
    return log_softmax_of(z, sums, axes), centred(softmax_of(z, sums, axes), dz, axes)


def log_total(sums: RowSums) -> Array:
    """Log Σ exp(z − top), NaN for a row of only −∞."""
    return jnp.log1p(sums.rest)


def log_softmax(z: Array, axes: Axes) -> Array:
    """Log-probabilities."""
    return log_softmax_of(z, row_sums(z, axes), axes)


def softmax(z: Array, axes: Axes) -> Array:
    """Probabilities."""
    return softmax_of(z, row_sums(z, axes), axes)


@functools.partial(jax.custom_jvp, nondiff_argnums=(1,))
def complement(z: Array, axes: Axes) -> Array:
    """1 − p, which for a dominating class is the sum of the others."""
    sums = row_sums(z, axes)
    exps = exp_from(sums.top, z, precise=True)
    return jnp.where(z == sums.top, sums.rest, 1.0 + sums.rest - exps) / sums.total


@complement.defjvp
def _complement_jvp(axes: Axes, primals: Sequence[Array], tangents: Sequence[Array]) -> tuple[Array, Array]:
    (z,), (dz,) = primals, tangents
    p = softmax(z, axes)
    return complement(z, axes), -p * centred(p, dz, axes)


@functools.partial(jax.custom_jvp, nondiff_argnums=(1,))
def log_sum_exp(z: Array, axes: Axes) -> Array:
    """Log Σ exp z, the reduced axes kept with size 1; −∞ with gradient 0 for a row of only −∞."""
    sums = row_sums(z, axes)
    return jnp.where(sums.top == -jnp.inf, -jnp.inf, sums.top + log_total(sums))


@log_sum_exp.defjvp
def _log_sum_exp_jvp(axes: Axes, primals: Sequence[Array], tangents: Sequence[Array]) -> tuple[Array, Array]:
    (z,), (dz,) = primals, tangents
    value = log_sum_exp(z, axes)
    finite = jnp.where(jnp.isneginf(value), 0.0, value)
    return value, jnp.sum(jnp.exp(z - finite) * dz, axis=axes, keepdims=True)


def centred(p: Array, x: Array, axes: Axes) -> Array:
    """The vector x minus its mean under p: the tangent of log p for a tangent x of the logits.

    x is taken relative to its entry at the most probable class. Where that class has nearly all of p, its result is the
    sum of the others.
    """
    top = p == max_over(lax.stop_gradient(p), axes, initial=0.0)
    count = sum_over(top.astype(p.dtype), axes, keepdims=True)
    at_top = no_fuse(sum_over(jnp.where(top, x, 0.0), axes, keepdims=True)) / jnp.maximum(count, 1.0)
    moved = x - at_top
    # Without `no_fuse`, XLA:CPU (jaxlib 0.10; compare jax issue 39103) fuses this sum with a later sum over its result.
    # That program is wrong if a batch of x shares p, as under jacfwd; delete when second derivatives by jacfwd are
    # right without it.
    return moved - no_fuse(sum_over(p * moved, axes, keepdims=True))


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
