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


class Bracket(NamedTuple):
    """Steps between which the minimum lies, and the slopes there; without an upper end yet `high` is infinite."""

    low: Array
    low_slope: Array
    high: Array
    high_slope: Array


class Verdict(NamedTuple):
    """What a trial says: the bracket after it, the next step to try, and whether this one is accepted."""

    bracket: Bracket
    step: Array
    accepted: Array


class _Trial(NamedTuple):
    found: Found
    bracket: Bracket
    made: Array


def opened(line: Line) -> Bracket:
    """The bracket before the first trial."""
    zero = jnp.zeros_like(line.value)
    return Bracket(zero, line.slope, zero + jnp.inf, zero)


def judge(line: Line, bracket: Bracket, t: Array, value: Array, slope: Array) -> Verdict:
    """Whether the step `t` with this value and slope meets Wolfe's conditions, and where to look if not.

    The function is convex: a bracket between a slope that is still falling and one that rises always holds the
    minimum, and the secant of the slopes lies inside it. Where rounding hides the fall, the slopes decide, as in
    W. W. Hager and H. Zhang, SIAM Journal on Optimization 16 (2005).
    """
    flat = 8 * jnp.finfo(line.value.dtype).eps * jnp.abs(line.value)
    # Written so that NaN is too far.
    near = (slope <= -RISE * line.slope) & (value <= line.value + FALL * t * line.slope + flat)
    enough = slope >= STEEP * line.slope
    low, low_slope = _either(near & ~enough, (t, slope), (bracket.low, bracket.low_slope))
    high, high_slope = _either(~near, (t, slope), (bracket.high, bracket.high_slope))
    after = Bracket(low, low_slope, high, high_slope)
    accepted = near & enough
    return Verdict(after, jnp.where(accepted, t, _between(after)), accepted)


def search(task: Task, line: Line, old: Array, active: Array) -> Found:
    """A step of every active lane that meets Wolfe's conditions; lanes at rest keep step 0 and the slope `old`."""
    across = jnp.sum(line.point.weights * line.direction.weights, axis=(1, 2))
    square = jnp.sum(jnp.square(line.direction.weights), axis=(1, 2))
    at_start = _lanes.penalty(task, line.point)

    def next_trial(trial: _Trial) -> _Trial:
        t = trial.found.step
        value, rows = _lanes.evaluate(task, line.z + t[:, None, None] * line.along)
        value = value + at_start + task.l2 * t * (across + 0.5 * t * square)
        slope = jnp.sum(task.share[:, None, :] * rows * line.along, axis=(1, 2)) + task.l2 * (across + t * square)
        verdict = judge(line, trial.bracket, t, value, slope)
        waiting = ~trial.found.success
        found = Found(
            jnp.where(waiting, verdict.step, t),
            jnp.where(waiting, value, trial.found.value),
            jnp.where(waiting[:, None, None], rows, trial.found.slope),
            trial.found.success | verdict.accepted,
        )
        return _Trial(found, _lanes.chosen(waiting, verdict.bracket, trial.bracket), trial.made + 1)

    def unfinished(trial: _Trial) -> Array:
        return (trial.made < TRIALS) & ~jnp.all(trial.found.success)

    first = Found(active.astype(line.value.dtype), line.value, old, ~active)
    last = lax.while_loop(unfinished, next_trial, _Trial(first, opened(line), jnp.zeros((), jnp.int32))).found
    success = last.success & active
    return Found(jnp.where(success, last.step, 0.0), last.value, last.slope, success)


def _either(which: Array, a: tuple[Array, Array], b: tuple[Array, Array]) -> tuple[Array, Array]:
    return jnp.where(which, a[0], b[0]), jnp.where(which, a[1], b[1])


def _between(bracket: Bracket) -> Array:
    """The next step to try: the zero of the secant, kept off the ends; without an upper end four times the lower."""
    low, low_slope, high, high_slope = bracket
    width = high - low
    secant = low - low_slope * width / (high_slope - low_slope)
    inside = jnp.clip(secant, low + 0.1 * width, high - 0.1 * width)
    inside = jnp.where(jnp.isfinite(inside), inside, low + 0.5 * width)
    return jnp.where(jnp.isfinite(high), inside, 4.0 * low)
