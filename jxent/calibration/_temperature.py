"""Temperature scaling: one number that divides the logits."""

from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from jxent._checks import Labels, Logits, RowMask, RowWeights, public
from jxent.calibration import _rows

STEPS = 100


class _Bracket(NamedTuple):
    beta: Array
    low: Array
    high: Array
    move: Array
    made: Array


@public
def fit_temperature(
    logits: Logits, labels: Labels, *, weights: RowWeights | None = None, where: RowMask | None = None
) -> Float[Array, ""]:
    """Temperature T for which softmax(logits/T) makes the labels most likely.

    The negative log likelihood is convex in 1/T: Newton's method inside a bracket finds its only minimum.

    Args:
        logits: `[..., K]`, with any shift of each row, of data that the model was not trained on.

    Returns:
        A scalar > 0: above 1 if the predictions are too certain.

    Edge cases: if every label has the largest logit of its row, there is no best T > 0, and the limit 0 is returned. If
    the logits say nothing about the labels, or mislead, the result is inf. A label outside [0, K), a label at −inf, and
    NaN give NaN; no row gives 1.

    Gradient: by the implicit function theorem, −T²·dβ with dβ the change of the minimum in β = 1/T; first order only.

    Example:
        >>> from jxent import calibration
        >>> round(float(calibration.fit_temperature([[2.0, 0.0], [2.0, 0.0], [2.0, 0.0]], [0, 0, 1])), 4)
        2.8854

    Reference: C. Guo et al., On calibration of modern neural networks, ICML (2017), section 4.2.
    """
    r = _possible_rows(_rows.rows("logits", logits, labels, weights, where))
    used = r.weights > 0
    u = r.values - _rows.each(_rows.of_label(r))
    # A class at −inf has probability 0 at every temperature.
    possible = u != -jnp.inf
    u = jnp.where(possible, u, 0.0)
    # The scaled differences are at most 1: no square overflows, and T is near 1 in any unit of the logits.
    unit = lax.stop_gradient(jnp.max(jnp.where(_rows.each(used), jnp.abs(u), 0.0), initial=0.0))
    unit = jnp.where(unit == 0, 1.0, unit)
    u = u / unit

    def slopes(beta: Array) -> tuple[Array, Array]:
        scaled = jnp.where(possible, beta * u, -jnp.inf)
        e = jnp.exp(scaled - jnp.max(scaled, axis=-1, keepdims=True))
        p = e / jnp.sum(e, axis=-1, keepdims=True)
        mean = jnp.sum(p * u, axis=-1)
        spread = jnp.sum(p * jnp.square(u - _rows.each(mean)), axis=-1)
        return _rows.total(r.weights, mean), _rows.total(r.weights, spread)

    beta = lax.stop_gradient(_root(lambda b: tuple(lax.stop_gradient(a) for a in slopes(b)), u.dtype))
    first, second = slopes(beta)
    at_rest = lax.stop_gradient(jnp.where(second > 0, second, 1.0))
    # At the root the slope is 0: the subtracted term is 0 and carries the derivative only.
    minimum = beta - (first - lax.stop_gradient(first)) / at_rest
    flat, _ = slopes(jnp.zeros((), u.dtype))
    certain = jnp.all(~_rows.each(used) | ~possible | _rows.own(r) | (u <= 0)) & (r.values.shape[-1] > 1)
    unknown = jnp.isnan(flat) | jnp.isnan(jnp.sum(r.weights))
    temperature = unit / jnp.where((flat < 0) & ~certain, minimum, 1.0)
    temperature = jnp.where(flat >= 0, jnp.inf, jnp.where(certain, 0.0, temperature))
    temperature = jnp.where(jnp.any(used), temperature, 1.0)
    return jnp.where(unknown, jnp.nan, temperature)


def _possible_rows(r: _rows.Rows) -> _rows.Rows:
    """Replace rows of weight 0 whose temperature would be NaN by zeros, so that their slopes are 0."""
    endless = ~jnp.isfinite(_rows.of_label(r)) | jnp.any(r.values == jnp.inf, axis=-1)
    return r._replace(values=jnp.where(_rows.each((r.weights == 0) & endless), 0.0, r.values))


def _root(slopes: Callable[[Array], tuple[Array, ...]], dtype: jnp.dtype) -> Array:
    """The β at which the slope, rising from below 0, is 0."""

    def body(b: _Bracket) -> _Bracket:
        first, second = slopes(b.beta)
        low, high = jnp.where(first < 0, b.beta, b.low), jnp.where(first < 0, b.high, b.beta)
        newton = b.beta - first / jnp.where(second > 0, second, 1.0)
        inside = (newton > low) & (newton < high) & (second > 0)
        halfway = jnp.where(jnp.isfinite(high), 0.5 * (low + high), 4.0 * b.beta)
        # Far from the root a Newton step may be infinite: β grows by a factor of 16 at most.
        after = jnp.where(inside, jnp.minimum(newton, 16.0 * b.beta), halfway)
        return _Bracket(after, low, high, jnp.abs(after - b.beta), b.made + 1)

    def unfinished(b: _Bracket) -> Array:
        return (b.made < STEPS) & (b.move > 2 * jnp.finfo(dtype).eps * b.beta)

    one = jnp.ones((), dtype)
    return lax.while_loop(unfinished, body, _Bracket(one, 0 * one, one * jnp.inf, one, jnp.zeros((), jnp.int32))).beta
