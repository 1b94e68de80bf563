"""Descent on lanes: the state, the line search, the stopping rule and the loop.

Every turn evaluates one point per lane, the trial point of its line search or, for Newton, a Hessian-vector product.
A turn costs one product with the features and one with their transpose. Lanes are independent: one may still try steps
while another has a new direction. The loop ends when no lane is active.

`ask` gives the points and `tell` takes the sums over the rows there, so that the same steps serve rows in memory, as
one compiled loop, and rows that are read in chunks.
"""

import abc
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.typing import DTypeLike
from jaxtyping import Array

from jxent._checks import Numbers, is_traced
from jxent.regression.solvers import objective as ob
from jxent.regression.solvers import preconditioner
from jxent.regression.solvers.objective import LaneObjective

# Wolfe's conditions: the value falls by FALL times step times slope, and the slope shrinks to STEEP of its size. A
# trial slope above RISE times that size is too far.
FALL, STEEP, RISE = 1e-4, 0.9, 0.8
# Trials of one line search.
TRIALS = 40
# A lane is at rest after this many steps in a row without progress in the objective or in the norm of the gradient:
# rounding allows no more. A failed line search counts as FAILED steps.
STALLED, FAILED = 5, 3


class Tolerance(NamedTuple):
    """When a lane has converged.

    Attributes:
        absolute: largest gradient entry.
        relative: the same, as a share of the objective; the smaller of the two counts.
        gap: or estimated distance to the minimum, as a share of the objective.
        gap_at_rest: the same for a lane at rest.
        negligible: estimated distance at which a lane ends whatever its gradient; 0 in float64.
    """

    absolute: Any
    relative: Any
    gap: Any
    gap_at_rest: Any
    negligible: Any

    def below(self, value: Array) -> Array:
        """The tolerance of the gradient at this value of the objective."""
        return jnp.minimum(self.absolute, self.relative * value)


# Relative to the objective times the largest feature (the bias counts as a feature of size 1): that product is about
# the sum of the absolute terms of a gradient entry. Where the objective is nearly 0, as under a small penalty, a
# gradient of 1e-6 is far from the minimum.
RELATIVE = 5e-6
GAP, GAP_AT_REST, NEGLIGIBLE = 1e-9, 1e-6, 1e-12


def default_gradient(dtype: DTypeLike) -> float:
    """The default of the largest gradient entry."""
    return 1e-6 if dtype == jnp.float32 else 1e-10


def tolerance(option: Numbers | None, largest: Any, dtype: DTypeLike) -> Tolerance:
    """The caller's tolerance of the gradient, or the default for features of this largest absolute value."""
    if option is not None:
        return Tolerance(scalar(option, dtype), *(np.asarray(t, dtype) for t in (np.inf, 0.0, 0.0, 0.0)))
    relative = RELATIVE * (jnp.maximum(largest, 1.0) if is_traced(largest) else max(float(largest), 1.0))
    gaps = (GAP, GAP_AT_REST, NEGLIGIBLE if dtype == jnp.float32 else 0.0)
    absolute, *gaps = (np.asarray(t, dtype) for t in (default_gradient(dtype), *gaps))
    return Tolerance(absolute, scalar(relative, dtype), *gaps)


def scalar(value: Any, dtype: DTypeLike) -> Any:
    """A number in a dtype; of numpy, which compiles nothing, unless it is an array of JAX."""
    return value.astype(dtype) if isinstance(value, jax.Array) else np.asarray(value, dtype)


class Convergence(NamedTuple):
    """Convergence of every lane, each field `[L]`.

    Attributes:
        value: objective.
        norm: largest entry of its gradient.
        gap: estimated distance to the minimum, −½·slope of the direction.
        fall: decrease of the last step.
        steps: updates made.
        stalled: steps and failed line searches in a row without progress.
        lowest: smallest objective so far.
        least: smallest norm so far.
    """

    value: Array
    norm: Array
    gap: Array
    fall: Array
    steps: Array
    stalled: Array
    lowest: Array
    least: Array

    def is_small(self, tolerance: Tolerance) -> Array:
        """Lanes within the tolerance of the gradient, or whose distance to the minimum is negligible."""
        return (self.norm <= tolerance.below(self.value)) | self._is_near(tolerance.negligible)

    def is_converged(self, tolerance: Tolerance) -> Array:
        """Lanes within a tolerance, of which that of lanes at rest is looser."""
        # The decrease of a step at rest is rounding.
        at_rest = (self.stalled >= STALLED) & (self.gap <= tolerance.gap_at_rest * jnp.abs(self.value))
        return (self.is_small(tolerance) | self._is_near(tolerance.gap) | at_rest) & jnp.isfinite(self.value)

    def is_active(self, tolerance: Tolerance, max_steps: int) -> Array:
        """Lanes that are not within the tolerance and not at rest, and have steps left."""
        moving = (self.stalled < STALLED) & (self.steps < max_steps)
        return ~self.is_small(tolerance) & moving & jnp.isfinite(self.value)

    def _is_near(self, share: Any) -> Array:
        return jnp.maximum(self.gap, self.fall) <= share * jnp.abs(self.value)


class Line(NamedTuple):
    """The line search of every lane along its direction, each field `[L]`.

    Attributes:
        slope: of the objective at the point, along the direction.
        step: to try.
        low: the largest step that is too short, with the slope there.
        high: the smallest step that is too long, infinite until there is one, with the slope there.
        trials: made.
    """

    slope: Array
    step: Array
    low: Array
    low_slope: Array
    high: Array
    high_slope: Array
    trials: Array


def opened(slope: Array) -> Line:
    """The line search before its first trial."""
    zero = jnp.zeros_like(slope)
    return Line(slope, zero + 1.0, zero, slope, zero + jnp.inf, zero, jnp.zeros(slope.shape, jnp.int32))


def judged(line: Line, start: Array, value: Array, slope: Array) -> tuple[Array, Line]:
    """Whether the trial step with this value and slope meets Wolfe's conditions, and the line search after it.

    The function is convex: a bracket with a negative slope at its lower end and a positive one at its upper end always
    holds the minimum, and the zero of the secant of the slopes lies inside it. Where the decrease of the value is below
    rounding, the slopes decide, as in W. W. Hager and H. Zhang, SIAM Journal on Optimization 16 (2005).
    """
    flat = 8 * jnp.finfo(value.dtype).eps * jnp.abs(start)
    # These comparisons are false for NaN: such a step is too long.
    near = (slope <= -RISE * line.slope) & (value <= start + FALL * line.step * line.slope + flat)
    enough = slope >= STEEP * line.slope
    short = near & ~enough
    low, low_slope = jnp.where(short, line.step, line.low), jnp.where(short, slope, line.low_slope)
    high, high_slope = jnp.where(near, line.high, line.step), jnp.where(near, line.high_slope, slope)
    width = high - low
    secant = jnp.clip(low - low_slope * width / (high_slope - low_slope), low + 0.1 * width, high - 0.1 * width)
    inside = jnp.where(jnp.isfinite(secant), secant, low + 0.1 * width)
    step = jnp.where(jnp.isfinite(high), inside, 4.0 * low)
    return near & enough, Line(line.slope, step, low, low_slope, high, high_slope, line.trials + 1)


class LaneState(NamedTuple):
    """The state of every lane.

    Attributes:
        point: `[L, K, D + 1]`.
        gradient: of the objective at the point.
        direction: of the line search.
        slopes: of the losses in the scores at the point, `[L, K, N]`; None for rows that are read in chunks.
        convergence: objective, norm and counts.
        line: the line search.
        memory: of the method.
        inverse: the preconditioner.
        inverse_turn: the turn in which it was computed.
        turn: turns of the loop.
        history: objective after every step of a single lane; of length 0 if it is not kept.
    """

    point: Array
    gradient: Array
    direction: Array
    slopes: Array | None
    convergence: Convergence
    line: Line
    memory: Any
    inverse: preconditioner.Inverse
    inverse_turn: Array
    turn: Array
    history: Array


class Answer(NamedTuple):
    """Sums over the rows at the points that `ask` gave: objective `[L]`, gradient or product, and slopes or None."""

    value: Array
    gradient: Array
    slopes: Array | None


class Turn(NamedTuple):
    """A turn of all lanes: the points that `ask` gave, the answer there, and when lanes end."""

    at: Array
    answer: Answer
    tolerance: Tolerance
    max_steps: int


class Method(abc.ABC):
    """The rule by which a solver chooses its search directions."""

    @abc.abstractmethod
    def start(self, point: Array) -> Any:
        """The memory before the first turn; any pytree."""

    @abc.abstractmethod
    def ask(self, objective: LaneObjective, state: LaneState) -> tuple[Array, Array | None]:
        """The point of every lane, and which lanes ask for a Hessian-vector product along it instead of a trial.

        The second is None for a method that never needs products.
        """

    @abc.abstractmethod
    def tell(self, objective: LaneObjective, state: LaneState, turn: Turn) -> LaneState:
        """The state after the answer."""


def begin(method: Method, objective: LaneObjective, point: Array, kept: int, *, in_memory: bool = True) -> LaneState:
    """The state before the first turn, which evaluates the point; `kept` is the length of the history."""
    lanes, classes = point.shape[:2]
    zero = jnp.zeros((lanes,), point.dtype)
    none, large = jnp.zeros((lanes,), jnp.int32), zero + jnp.inf
    slopes = jnp.zeros((lanes, classes, objective.x.shape[0]), point.dtype)
    shape = jax.eval_shape(preconditioner.inverse, objective, slopes)
    inverse = jax.tree.map(lambda a: jnp.zeros(a.shape, a.dtype), shape._replace(basis=None))
    return LaneState(
        point=point,
        gradient=jnp.zeros_like(point),
        direction=jnp.zeros_like(point),
        slopes=slopes if in_memory else None,
        convergence=Convergence(zero, large, large, large, none, none, large, large),
        line=opened(zero),
        memory=method.start(point),
        inverse=inverse,
        turn=jnp.zeros((), jnp.int32),
        inverse_turn=jnp.zeros((), jnp.int32),
        history=jnp.zeros((kept,), point.dtype),
    )


def minimise(
    method: Method,
    objective: LaneObjective,
    start: LaneState,
    tolerance: Tolerance,
    max_steps: int,
    *,
    stop: Array | int | None = None,
    report: Callable[[LaneState], None] | None = None,
) -> LaneState:
    """Descend until no lane is active; pause at step number `stop`."""

    def body(state: LaneState) -> LaneState:
        at, along = method.ask(objective, state)
        turn = Turn(at, answered(objective, state, at, along), tolerance, max_steps)
        after = method.tell(objective, state, turn)
        if report is not None:
            report(after)
        return after

    return lax.while_loop(lambda state: is_going(state, tolerance, max_steps, stop), body, start)


def is_going(state: LaneState, tolerance: Tolerance, max_steps: int, stop: Array | int | None) -> Array:
    """Whether there is another turn to make."""
    active = state.convergence.is_active(tolerance, max_steps)
    if stop is not None:
        active = active & (state.convergence.steps < stop)
    return (state.turn == 0) | jnp.any(active)


def answered(objective: LaneObjective, state: LaneState, at: Array, along: Array | None) -> Answer:
    """Objective and gradient at the points of lanes in a line search, the Hessian times the point of the others."""
    z = ob.scores(objective.x, at)
    if along is None or state.slopes is None:
        value, slopes = ob.evaluate(objective, z, at)
        return Answer(value, ob.gradient(objective, slopes, at), slopes)
    old = state.slopes
    value, slopes = lax.cond(
        jnp.all(along), lambda: (state.convergence.value, old), lambda: ob.evaluate(objective, z, at)
    )
    curved = lax.cond(jnp.any(along), lambda: ob.curvature(objective, old, z), lambda: old)
    return Answer(value, ob.gradient(objective, chosen(along, curved, slopes), at), slopes)


def chosen(which: Array, a: Any, b: Any) -> Any:
    """`jnp.where` over lanes: a where `which`, else b; any pytree whose first axis is the lanes."""
    return jax.tree.map(lambda u, v: jnp.where(which.reshape(which.shape + (1,) * (u.ndim - 1)), u, v), a, b)


class Trial(NamedTuple):
    """The outcome of a trial in every lane: accepted steps, failed line searches, and the state after them."""

    success: Array
    failed: Array
    state: LaneState


def tried(
    objective: LaneObjective,
    state: LaneState,
    at: Array,
    answer: Answer,
    trying: Array,
    verdict: tuple[Array, Line],
) -> Trial:
    """The state after a trial of the lanes `trying`, with the verdict of the line search.

    In the first turn the trial point is the start, which is accepted and is no step.
    """
    first = state.turn == 0
    was = state.convergence
    accepted, line = verdict
    success = first | (accepted & trying)
    narrow = line.low >= (1 - 4 * jnp.finfo(at.dtype).eps) * line.high
    failed = trying & ~success & (narrow | (line.trials >= TRIALS))
    norm = ob.largest(objective.coordinates, ob.steepest(objective, at, answer.gradient))
    fell = answer.value < was.lowest - jnp.finfo(at.dtype).eps * jnp.abs(was.lowest)
    progress = first | (success & (fell | (norm < 0.9 * was.least)))
    steps = was.steps + (success & ~first).astype(jnp.int32)
    convergence = Convergence(
        value=jnp.where(success, answer.value, was.value),
        norm=jnp.where(success, norm, was.norm),
        gap=was.gap,
        fall=jnp.where(success & ~first, was.value - answer.value, was.fall),
        steps=steps,
        stalled=jnp.where(progress, 0, was.stalled + jnp.where(failed, FAILED, success.astype(jnp.int32))),
        lowest=jnp.where(success, jnp.minimum(answer.value, was.lowest), was.lowest),
        least=jnp.where(progress, jnp.minimum(norm, was.least), was.least),
    )
    history = state.history
    if history.shape[0]:
        history = lax.dynamic_update_index_in_dim(history, convergence.value[0], steps[0], 0)
    after = state._replace(
        point=chosen(success, at, state.point),
        gradient=chosen(success, answer.gradient, state.gradient),
        slopes=None if state.slopes is None else chosen(success, answer.slopes, state.slopes),
        convergence=convergence,
        line=line,
        turn=state.turn + 1,
        history=history,
    )
    return Trial(success, failed, after)


def renewed(objective: LaneObjective, state: LaneState, due: Array) -> LaneState:
    """The state with the preconditioner of its point where it is due."""

    def computed() -> preconditioner.Inverse:
        slopes = state.slopes
        if slopes is None:
            _, slopes = ob.losses(objective, ob.scores(objective.x, state.point))
        return preconditioner.inverse(objective, slopes)._replace(basis=None)

    inverse = lax.cond(due, computed, lambda: state.inverse)
    return state._replace(inverse=inverse, inverse_turn=jnp.where(due, state.turn, state.inverse_turn))


def conditioned(objective: LaneObjective, state: LaneState, gradient: Array) -> Array:
    """The preconditioner times a gradient."""
    inverse = state.inverse._replace(basis=objective.basis)
    return preconditioner.applied(inverse, objective.penalty, gradient)


def directed(objective: LaneObjective, state: LaneState, which: Array, direction: Array) -> LaneState:
    """The state with a new direction in the lanes `which`, and its estimate of the gap."""
    slope = ob.dot(ob.steepest(objective, state.point, state.gradient), direction)
    gap = -0.5 * slope
    return state._replace(
        direction=chosen(which, direction, state.direction),
        line=chosen(which, opened(slope), state.line),
        convergence=state.convergence._replace(gap=jnp.where(which, gap, state.convergence.gap)),
    )
