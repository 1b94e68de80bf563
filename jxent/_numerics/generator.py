"""f-divergences Σ q·f(p/q) for a generator of the caller's.

The generator is plain code that may close over traced values: they are made arguments before a rule wraps it.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array

from jxent._numerics.pair import Pair
from jxent._numerics.primitives import amplify, fence, quotient, row_sum, tiny

Axes = tuple[int, ...]
Generator = Callable[[Array], Array]


class Ratio(NamedTuple):
    """Both sides, p/q, and whether infinite slopes are wanted, which logits have none of."""

    pair: Pair
    t: Array
    infinite_slopes: bool


def from_probs(pair: Pair) -> Ratio:
    """p/q of probabilities."""
    return Ratio(pair, quotient(pair.p, pair.q), infinite_slopes=True)


def from_logits(pair: Pair) -> Ratio:
    """p/q of logits. A side below the smallest normal number counts as 0: no generator could be asked beyond."""
    smallest = tiny(pair.p.dtype)
    pair = pair._replace(no_p=pair.p < smallest, no_q=pair.q < smallest)
    # Near 1 the logarithm has the digits, far from it the quotient.
    near = jnp.abs(pair.delta) < 1.0
    t = jnp.where(near, jnp.exp(jnp.where(near, -pair.delta, 0.0)), quotient(pair.p, pair.q))
    return Ratio(pair, t, infinite_slopes=False)


def f_sum(generator: Generator, ratio: Ratio, axes: Axes, slope_at_infinity: Array | None) -> Array:
    """Σ q·f(p/q) with its limits where a side is 0."""
    s, t = ratio.pair, ratio.t
    smallest = tiny(t.dtype)
    # Out of the way of the generator where a side is 0: p at the smallest normal number, and no infinity.
    q_alone, p_alone, neither = s.no_q & ~s.no_p, s.no_p & ~s.no_q, s.no_p & s.no_q
    at = t + lax.stop_gradient(jnp.where(s.no_p, smallest, t) - t)
    at = jnp.where(s.no_q, 1.0, at)
    pure, constants = jax.closure_convert(generator, at)
    shape = jax.eval_shape(pure, at, *constants).shape
    if shape != t.shape:
        raise ValueError(
            f"`generator` returned shape {shape} for ratios of shape {t.shape}; expected an elementwise function of "
            f"p/q, such as lambda t: t * jnp.log(t)"
        )
    at_zero = _value_at_zero(generator, t)
    term = _weighted(pure, s.p, s.q, at, tuple(constants))
    correct = p_alone & jnp.isfinite(at_zero)
    term = term + jnp.where(correct, s.q * lax.stop_gradient(at_zero - pure(at, *constants)), 0.0)
    term = jnp.where(neither | q_alone, 0.0, term)
    endless = p_alone & ~jnp.isfinite(at_zero)
    term = jnp.where(endless, at_zero, term)
    if slope_at_infinity is None:
        term = jnp.where(q_alone, jnp.inf, term)
        endless = endless | q_alone
    else:
        term = jnp.where(q_alone, _far(generator, s, slope_at_infinity), term)
    total = fence(row_sum(term, axes))
    if not ratio.infinite_slopes:
        return total
    # Nothing in value, infinite in slope: towards the boundary on which the value is infinite it rises.
    toward = jnp.where(s.no_q, 1.0, -1.0)
    moves = (s.p - lax.stop_gradient(s.p)) - (s.q - lax.stop_gradient(s.q))
    return total + jnp.sum(amplify(jnp.where(endless, toward * moves, 0.0), endless), axis=axes)


@functools.partial(jax.custom_jvp, nondiff_argnums=(0,))
def _weighted(pure: Callable[..., Array], p: Array, q: Array, t: Array, constants: tuple[Array, ...]) -> Array:
    """q·f(p/q), whose slopes f′ and f − t·f′ never divide by q again; t is p/q already."""
    del p
    return q * pure(t, *constants)


@_weighted.defjvp
def _weighted_jvp(
    pure: Callable[..., Array], primals: tuple[Any, ...], tangents: tuple[Any, ...]
) -> tuple[Array, Array]:
    (p, q, t, constants), (dp, dq, _, dconstants) = primals, tangents
    value, slope = jax.jvp(lambda t: pure(t, *constants), (t,), (jnp.ones_like(t),))
    tangent = slope * dp + (value - t * slope) * dq
    if constants:
        tangent = tangent + q * jax.jvp(lambda *c: pure(t, *c), constants, dconstants)[1]
    return _weighted(pure, p, q, t, constants), tangent


def _value_at_zero(generator: Generator, like: Array) -> Array:
    """f(0), the limit of f from above where the expression itself is NaN there, as t·log t is."""
    with jax.debug_nans(False):  # noqa: FBT003
        value = lax.stop_gradient(generator(jnp.zeros((), like.dtype)))
        near = lax.stop_gradient(generator(jnp.full((), tiny(like.dtype), like.dtype)))
        return jnp.where(jnp.isnan(value), near, value)


def _far(generator: Generator, s: Pair, slope: Array) -> Array:
    """p·slope where q = 0 < p; in q the slope f(t) − slope·t, at a t that is large but loses no digits."""
    t = jnp.full((), float(jnp.finfo(s.p.dtype).eps) ** -0.5, s.p.dtype)
    rest = lax.stop_gradient(generator(t) - slope * t)
    return s.p * slope + (s.q - lax.stop_gradient(s.q)) * rest
