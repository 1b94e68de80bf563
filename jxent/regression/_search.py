"""A line search for all lanes at once, on scores that are linear in the step: no product with the features."""

from typing import NamedTuple

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array

from jxent.regression import _lanes
from jxent.regression._lanes import Point, Task

# The slope has to shrink to STEEP of its size, and by so much that the value has fallen (Wolfe's conditions).
FALL, STEEP, RISE = 1e-4, 0.9, 0.8
TRIALS = 40


class Line(NamedTuple):
    """A point, the scores there and along a direction, and value and slope at the point."""

    point: Point
    z: Array
    direction: Point
    along: Array
    value: Array
    slope: Array


class Found(NamedTuple):
    """Where the search of each lane ended: step, value, the slope of the losses, and whether it succeeded."""

    step: Array
    value: Array
    slope: Array
    success: Array


class _Trial(NamedTuple):
    found: Found
    low: Array
    low_slope: Array
    high: Array
    high_slope: Array
    made: Array


def search(task: Task, line: Line, old: Array, active: Array) -> Found:
    """A step of every active lane that meets Wolfe's conditions; lanes at rest keep step 0 and the slope `old`.

    The function is convex: a bracket between a slope that is still falling and one that rises always holds the
    minimum, and the secant of the slopes lies inside it. Where rounding hides the fall, the slopes decide, as in
    W. W. Hager and H. Zhang, SIAM Journal on Optimization 16 (2005).
    """
    across = jnp.sum(line.point.weights * line.direction.weights, axis=(1, 2))
    square = jnp.sum(jnp.square(line.direction.weights), axis=(1, 2))
    at_start = _lanes.penalty(task, line.point)
    flat = 8 * jnp.finfo(line.value.dtype).eps * jnp.abs(line.value)

    def next_trial(trial: _Trial) -> _Trial:
        t = trial.found.step
        value, rows = _lanes.evaluate(task, line.z + t[:, None, None] * line.along)
        value = value + at_start + task.l2 * t * (across + 0.5 * t * square)
        slope = jnp.sum(task.share[:, None, :] * rows * line.along, axis=(1, 2)) + task.l2 * (across + t * square)
        # Written so that NaN is too far.
        near = (slope <= -RISE * line.slope) & (value <= line.value + FALL * t * line.slope + flat)
        enough = slope >= STEEP * line.slope
        waiting = ~trial.found.success
        low, low_slope = _either(waiting & near & ~enough, (t, slope), (trial.low, trial.low_slope))
        high, high_slope = _either(waiting & ~near, (t, slope), (trial.high, trial.high_slope))
        step = jnp.where(waiting & ~(near & enough), _between(low, low_slope, high, high_slope), t)
        found = Found(
            step,
            jnp.where(waiting, value, trial.found.value),
            jnp.where(waiting[:, None, None], rows, trial.found.slope),
            trial.found.success | (near & enough),
        )
        return _Trial(found, low, low_slope, high, high_slope, trial.made + 1)

    def unfinished(trial: _Trial) -> Array:
        return (trial.made < TRIALS) & ~jnp.all(trial.found.success)

    zero = jnp.zeros_like(line.value)
    first = Found(active.astype(zero.dtype), line.value, old, ~active)
    last = lax.while_loop(
        unfinished, next_trial, _Trial(first, zero, line.slope, zero + jnp.inf, zero, jnp.zeros((), jnp.int32))
    ).found
    success = last.success & active
    return Found(jnp.where(success, last.step, 0.0), last.value, last.slope, success)


def _either(which: Array, a: tuple[Array, Array], b: tuple[Array, Array]) -> tuple[Array, Array]:
    return jnp.where(which, a[0], b[0]), jnp.where(which, a[1], b[1])


def _between(low: Array, low_slope: Array, high: Array, high_slope: Array) -> Array:
    """The next step to try: the zero of the secant, kept off the ends; without an upper end four times the lower."""
    width = high - low
    secant = low - low_slope * width / (high_slope - low_slope)
    inside = jnp.clip(secant, low + 0.1 * width, high - 0.1 * width)
    inside = jnp.where(jnp.isfinite(inside), inside, low + 0.5 * width)
    return jnp.where(jnp.isfinite(high), inside, 4.0 * low)
