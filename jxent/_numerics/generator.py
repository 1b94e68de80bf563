"""f-divergences Σ q·f(p/q) for a generator that the caller passes.

The generator is plain code and may close over traced values. These become arguments before a derivative rule wraps it.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.typing import DTypeLike
from jaxtyping import Array

from jxent._numerics.compiler import no_fuse, row_sum
from jxent._numerics.logarithm import tiny
from jxent._numerics.pair import Pair, from_logits, from_probs
from jxent._numerics.primitives import quotient, with_infinite_slopes

Axes = tuple[int, ...]
Generator = Callable[[Array], Array]
# The generator with its closed-over values as further arguments.
Pure = Callable[..., Array]


class Ratio(NamedTuple):
    """Both sides and p/q; of logits also q/p, where both ratios are in range although a side underflowed."""

    pair: Pair
    t: Array
    inverse: Array | None = None


# Compiled, since it is the same for every generator; the call of the generator itself is not.
@functools.partial(jax.jit, static_argnums=0, inline=True)
def _from_probs(axes: Axes, p: Array, q: Array) -> Ratio:
    del axes
    return Ratio(from_probs(p, q), quotient(p, q))


@functools.partial(jax.jit, static_argnums=0, inline=True)
def _from_logits(axes: Axes, zp: Array, zq: Array) -> Ratio:
    """A side below the smallest normal number counts as 0 where p/q or the other side is out of range too."""
    pair = from_logits(zp, zq, axes)
    smallest = tiny(pair.p.dtype)
    normal_p, normal_q = pair.p >= smallest, pair.q >= smallest
    within = jnp.abs(pair.delta) < _largest_log_ratio(pair.p.dtype)
    in_range = within & (normal_p | normal_q) & ~(pair.no_p | pair.no_q)
    pair = pair._replace(no_p=~(normal_p | in_range), no_q=~(normal_q | in_range))
    # Near 1, and where a side underflowed, the logarithm has the digits; elsewhere the quotient has them.
    by_log = in_range & ((jnp.abs(pair.delta) < 1.0) | ~(normal_p & normal_q))
    delta = jnp.where(by_log, pair.delta, 0.0)
    t = jnp.where(by_log, jnp.exp(-delta), quotient(pair.p, pair.q))
    return Ratio(pair, t, jnp.where(by_log, jnp.exp(delta), quotient(pair.q, pair.p)))


def _largest_log_ratio(dtype: DTypeLike) -> float:
    """The bound of |log(p/q)| below which p/q and q/p are normal numbers, however exp rounds."""
    return -float(np.log(tiny(dtype))) * (1.0 - 16.0 * float(jnp.finfo(dtype).eps))


def f_sum(
    generator: Generator, axes: Axes, first: Array, second: Array, slope_at_infinity: Array | None, *, logits: bool
) -> Array:
    """Σ q·f(p/q) with its limits where a side is 0."""
    pure, constants = jax.closure_convert(generator, first)
    shape = jax.eval_shape(pure, first, *constants).shape
    if shape != first.shape:
        raise ValueError(
            f"`generator` returned shape {shape} for ratios of shape {first.shape}; expected an elementwise function "
            f"of p/q, such as lambda t: t * jnp.log(t)"
        )
    slope = jnp.full((), jnp.inf, first.dtype) if slope_at_infinity is None else slope_at_infinity
    limits = (_value_at_zero(generator, first), slope, _rest_at_infinity(generator, slope))
    ratio_of = _from_logits if logits else _from_probs
    return _exact(pure, axes, ratio_of, first, second, *limits, *(jnp.asarray(c) for c in constants))


def _exact(
    pure: Pure,
    axes: Axes,
    ratio_of: Callable[[Axes, Array, Array], Ratio],
    first: Array,
    second: Array,
    at_zero: Array,
    slope: Array,
    rest: Array,
    *constants: Array,
) -> Array:
    s, t, inverse = ratio_of(axes, first, second)
    if inverse is not None:
        # q also counts as 0 where f(p/q) is out of range: there it has no slope.
        s = s._replace(no_q=s.no_q | (~s.no_p & (t > 1.0) & jnp.isinf(pure(lax.stop_gradient(t), *constants))))
    q_alone, p_alone, neither = s.no_q & ~s.no_p, s.no_p & ~s.no_q, s.no_p & s.no_q
    # Where a side is 0, the generator gets a safe ratio: the smallest normal number, or 1 where f would be infinite.
    at = t + lax.stop_gradient(jnp.where(s.no_p, tiny(t.dtype), t) - t)
    at = jnp.where(s.no_q | (p_alone & ~jnp.isfinite(at_zero)), 1.0, at)
    if inverse is None:
        term = _weighted(pure, s.p, s.q, at, constants)
    else:
        # From the larger side, since the other may have underflowed; a p that counts as 0 has no slope.
        over = at > 1.0
        p_of_it = jnp.where(over, 1.0, jnp.where(s.no_p, 0.0, at))
        sides = jnp.where(over, s.p, s.q), jnp.where(over, inverse, 1.0), p_of_it
        term = _of_larger(pure, sides, (s.log_p, s.log_q), at, constants)
    correct = p_alone & jnp.isfinite(at_zero)
    # `where` before the product: the slope in q of the product would be 0·∞ for an infinite f(0).
    lacking = jnp.where(correct, at_zero - pure(at, *constants), 0.0)
    term = term + s.q * lax.stop_gradient(lacking)
    term = jnp.where(neither | q_alone, 0.0, term)
    bounded = jnp.isfinite(slope)
    finite_slope = jnp.where(bounded, slope, 0.0)
    far = s.p * finite_slope + (s.q - lax.stop_gradient(s.q)) * jnp.where(bounded, rest, 0.0)
    term = jnp.where(q_alone, jnp.where(bounded, far, jnp.inf), term)
    endless = (p_alone & ~jnp.isfinite(at_zero)) | (q_alone & ~bounded)
    term = jnp.where(p_alone & endless, at_zero, term)
    # NaN for a p or q of NaN or ∞, whatever the generator returns.
    term = term + 0.0 * lax.stop_gradient(s.p + s.q)
    total = no_fuse(row_sum(term, axes))
    if inverse is not None:
        return total
    # A term of value 0 and infinite slope, which rises towards the boundary where the value is infinite.
    toward = jnp.where(s.no_q, 1.0, -1.0)
    moves = (s.p - lax.stop_gradient(s.p)) - (s.q - lax.stop_gradient(s.q))
    return total + jnp.sum(with_infinite_slopes(jnp.where(endless, toward * moves, 0.0), endless), axis=axes)


@functools.partial(jax.custom_jvp, nondiff_argnums=(0,))
def _weighted(pure: Pure, p: Array, q: Array, t: Array, constants: tuple[Array, ...]) -> Array:
    """q·f(t) for t = p/q; its slopes f′ in p and f − t·f′ in q do not divide by q again."""
    del p
    return q * pure(t, *constants)


@_weighted.defjvp
def _weighted_jvp(pure: Pure, primals: tuple[Any, ...], tangents: tuple[Any, ...]) -> tuple[Array, Array]:
    (p, q, t, constants), (dp, dq, _, dconstants) = primals, tangents
    value, slope = jax.jvp(lambda t: pure(t, *constants), (t,), (jnp.ones_like(t),))
    tangent = slope * dp + (value - t * slope) * dq
    if constants:
        tangent = tangent + q * jax.jvp(lambda *c: pure(t, *c), constants, dconstants)[1]
    return _weighted(pure, p, q, t, constants), tangent


@functools.partial(jax.custom_jvp, nondiff_argnums=(0,))
def _of_larger(
    pure: Pure, sides: tuple[Array, Array, Array], logs: tuple[Array, Array], t: Array, constants: tuple[Array, ...]
) -> Array:
    """q·f(p/q) from the larger of p and q and the ratios of q and p to it; slopes in log p and log q."""
    del logs
    larger, q_of_it, _ = sides
    return larger * (q_of_it * pure(t, *constants))


@_of_larger.defjvp
def _of_larger_jvp(pure: Pure, primals: tuple[Any, ...], tangents: tuple[Any, ...]) -> tuple[Array, Array]:
    (sides, logs, t, constants), (_, (dlog_p, dlog_q), _, dconstants) = primals, tangents
    larger, q_of_it, p_of_it = sides
    value, slope = jax.jvp(lambda t: pure(t, *constants), (t,), (jnp.ones_like(t),))
    by_p = p_of_it * slope
    tangent = larger * by_p * dlog_p + larger * (q_of_it * value - by_p) * dlog_q
    if constants:
        tangent = tangent + larger * (q_of_it * jax.jvp(lambda *c: pure(t, *c), constants, dconstants)[1])
    return _of_larger(pure, sides, logs, t, constants), tangent


def _value_at_zero(generator: Generator, like: Array) -> Array:
    """f(0), the limit of f from above where the expression itself is NaN there, as t·log t is."""
    # A NaN at 0 is expected: it asks for the limit.
    with jax.debug_nans(False):  # noqa: FBT003
        value = lax.stop_gradient(generator(jnp.zeros((), like.dtype)))
        near = lax.stop_gradient(generator(jnp.full((), tiny(like.dtype), like.dtype)))
        return jnp.where(jnp.isnan(value), near, value)


def _rest_at_infinity(generator: Generator, slope: Array) -> Array:
    """Lim f(t) − slope·t, the slope in q where q = 0 < p, at a t that is large but loses no digits."""
    t = jnp.full((), float(jnp.finfo(slope.dtype).eps) ** -0.5, slope.dtype)
    return lax.stop_gradient(generator(t) - jnp.where(jnp.isfinite(slope), slope, 0.0) * t)
