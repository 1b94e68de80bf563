"""A line search for all lanes at once. Scores are linear in the step: a trial needs no product with the features."""

from typing import NamedTuple

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array

from jxent.regression import _lanes
from jxent.regression._lanes import LaneObjective, LaneParams

# Wolfe's conditions: the value falls by FALL times step times slope, and the slope shrinks to STEEP of its size. A
# trial slope above RISE times that size is too far.
FALL, STEEP, RISE = 1e-4, 0.9, 0.8
TRIALS = 40


class Line(NamedTuple):
    """A point and a direction with their scores `z` and `along`, and the value and directional slope at the point."""

    point: LaneParams
    z: Array
    direction: LaneParams
    along: Array
    value: Array
    slope: Array


class LineSearchResult(NamedTuple):
    """The result of the search of each lane: step, value, the slopes of the losses, and whether it succeeded."""

    step: Array
    value: Array
    slope: Array
    success: Array


class Bracket(NamedTuple):
    """The steps that bracket the minimum, and the slopes there; `high` is infinite until an upper end is found."""

    low: Array
    low_slope: Array
    high: Array
    high_slope: Array


class Verdict(NamedTuple):
    """The result of a trial: the new bracket, the next step to try, and whether this one is accepted."""

    bracket: Bracket
    step: Array
    accepted: Array


class _Trial(NamedTuple):
    result: LineSearchResult
    bracket: Bracket
    made: Array


def opened(line: Line) -> Bracket:
    """The bracket before the first trial."""
    zero = jnp.zeros_like(line.value)
    return Bracket(zero, line.slope, zero + jnp.inf, zero)


def judge(line: Line, bracket: Bracket, t: Array, value: Array, slope: Array) -> Verdict:
    """Test the step `t` with this value and slope by Wolfe's conditions, and choose the next step if it fails.

    The function is convex: a bracket with a negative slope at its lower end and a positive one at its upper end always
    holds the minimum, and the zero of the secant of the slopes lies inside it. Where the decrease of the value is below
    rounding, the slopes decide, as in W. W. Hager and H. Zhang, SIAM Journal on Optimization 16 (2005).
    """
    flat = 8 * jnp.finfo(line.value.dtype).eps * jnp.abs(line.value)
    # These comparisons are false for NaN: such a step counts as too far.
    near = (slope <= -RISE * line.slope) & (value <= line.value + FALL * t * line.slope + flat)
    enough = slope >= STEEP * line.slope
    low, low_slope = _either(near & ~enough, (t, slope), (bracket.low, bracket.low_slope))
    high, high_slope = _either(~near, (t, slope), (bracket.high, bracket.high_slope))
    after = Bracket(low, low_slope, high, high_slope)
    accepted = near & enough
    return Verdict(after, jnp.where(accepted, t, _between(after)), accepted)


def search(objective: LaneObjective, line: Line, old: Array, active: Array) -> LineSearchResult:
    """A step of every active lane that meets Wolfe's conditions; inactive lanes keep step 0 and the slopes `old`."""
    across = jnp.sum(line.point.weights * line.direction.weights, axis=(1, 2))
    square = jnp.sum(jnp.square(line.direction.weights), axis=(1, 2))
    at_start = _lanes.penalty(objective, line.point)

    def next_trial(trial: _Trial) -> _Trial:
        t = trial.result.step
        value, rows = _lanes.evaluate(objective, line.z + t[:, None, None] * line.along)
        value = value + at_start + objective.l2 * t * (across + 0.5 * t * square)
        slope = jnp.sum(objective.share[:, None, :] * rows * line.along, axis=(1, 2)) + objective.l2 * (
            across + t * square
        )
        verdict = judge(line, trial.bracket, t, value, slope)
        waiting = ~trial.result.success
        result = LineSearchResult(
            jnp.where(waiting, verdict.step, t),
            jnp.where(waiting, value, trial.result.value),
            jnp.where(waiting[:, None, None], rows, trial.result.slope),
            trial.result.success | verdict.accepted,
        )
        return _Trial(result, _lanes.chosen(waiting, verdict.bracket, trial.bracket), trial.made + 1)

    def unfinished(trial: _Trial) -> Array:
        return (trial.made < TRIALS) & ~jnp.all(trial.result.success)

    first = LineSearchResult(active.astype(line.value.dtype), line.value, old, ~active)
    last = lax.while_loop(unfinished, next_trial, _Trial(first, opened(line), jnp.zeros((), jnp.int32))).result
    success = last.success & active
    return LineSearchResult(jnp.where(success, last.step, 0.0), last.value, last.slope, success)


def _either(which: Array, a: tuple[Array, Array], b: tuple[Array, Array]) -> tuple[Array, Array]:
    return jnp.where(which, a[0], b[0]), jnp.where(which, a[1], b[1])


def _between(bracket: Bracket) -> Array:
    """The next step to try: the zero of the secant, kept away from the ends; without an upper end 4 times the lower."""
    low, low_slope, high, high_slope = bracket
    width = high - low
    secant = low - low_slope * width / (high_slope - low_slope)
    inside = jnp.clip(secant, low + 0.1 * width, high - 0.1 * width)
    inside = jnp.where(jnp.isfinite(inside), inside, low + 0.5 * width)
    return jnp.where(jnp.isfinite(high), inside, 4.0 * low)
