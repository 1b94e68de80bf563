"""Descent on all lanes at once. A step is a direction, a line search on cached scores, and one gradient."""

import abc
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array

from jxent.regression import _lanes
from jxent.regression._lanes import LaneObjective, LaneParams
from jxent.regression._search import Line, LineSearchResult, search
from jxent.regression._tolerance import Tolerance

# Iterations between two computations of the scores from the parameters; steps in between update them by addition.
RENEW = 32
# A lane stops after MAX_STALLED steps that lowered neither the objective nor the norm of the gradient, or after
# MAX_FAILURES failed line searches in a row: rounding allows no further progress.
MAX_STALLED, MAX_FAILURES = 5, 2


class ConvergenceState(NamedTuple):
    """Convergence of every lane, each field `[L]`.

    Attributes:
        value: objective.
        norm: largest entry of its gradient.
        steps: updates made.
        stalled: steps in a row without progress.
        least: smallest norm so far.
        failures: failed line searches in a row.
    """

    value: Array
    norm: Array
    steps: Array
    stalled: Array
    least: Array
    failures: Array

    @classmethod
    def of(cls, value: Array, norm: Array) -> "ConvergenceState":
        """The record before the first step."""
        none = jnp.zeros(value.shape, jnp.int32)
        return cls(value, norm, none, none, norm, none)

    def is_converged(self, tolerance: Tolerance) -> Array:
        """Lanes whose largest gradient entry is within the tolerance."""
        return (self.norm <= tolerance.below(self.value)) & jnp.isfinite(self.value)

    def is_active(self, tolerance: Tolerance, max_steps: int) -> Array:
        """Lanes that have neither converged nor stalled, and have steps left."""
        moving = (self.stalled < MAX_STALLED) & (self.failures < MAX_FAILURES) & (self.steps < max_steps)
        return ~self.is_converged(tolerance) & moving & jnp.isfinite(self.value)

    def after(self, value: Array, norm: Array, success: Array, active: Array) -> "ConvergenceState":
        """The record after a line search of the active lanes, which succeeded where `success`."""
        fell = value < self.value - jnp.finfo(value.dtype).eps * jnp.abs(self.value)
        progress = fell | (norm < 0.9 * self.least)
        tried = active.astype(jnp.int32)
        return ConvergenceState(
            value,
            norm,
            self.steps + success.astype(jnp.int32),
            jnp.where(progress, 0, self.stalled + tried),
            jnp.where(progress, jnp.minimum(self.least, norm), self.least),
            jnp.where(success, 0, self.failures + tried),
        )


class LaneState(NamedTuple):
    """The iterate of every lane.

    Attributes:
        point: parameters.
        z: scores `[L, K, N]`.
        slope: slopes of the losses in the scores.
        gradient: of the objective.
        convergence: objective, norm and counts.
        turn: iterations of the loop.
        stale: whether the scores were updated by addition since they were last computed.
        history: objective after every step, `[steps, L]`; of length 0 if it is not kept.
    """

    point: LaneParams
    z: Array
    slope: Array
    gradient: LaneParams
    convergence: ConvergenceState
    turn: Array
    stale: Array
    history: Array


class Method(abc.ABC):
    """The rule by which a solver chooses its search directions."""

    @abc.abstractmethod
    def start(self, objective: LaneObjective, state: LaneState) -> Any:
        """The initial memory of the method; any pytree."""

    @abc.abstractmethod
    def propose(
        self, objective: LaneObjective, state: LaneState, memory: Any, active: Array
    ) -> tuple[LaneParams, Array, Any]:
        """A descent direction, its scores, and the updated memory."""

    @abc.abstractmethod
    def learn(self, memory: Any, move: LaneParams, change: LaneParams, success: Array) -> Any:
        """The memory after a step; `change` is the change of the gradient over the step."""


def at(objective: LaneObjective, point: LaneParams, kept: int) -> LaneState:
    """The state of the lanes before the first step."""
    z = _lanes.scores(objective.x, point)
    value, gradient, slope = _evaluated(objective, point, z)
    history = jnp.zeros((kept, *value.shape), value.dtype)
    if kept:
        history = history.at[0].set(value)
    convergence = ConvergenceState.of(value, _lanes.largest(gradient))
    return LaneState(point, z, slope, gradient, convergence, jnp.zeros((), jnp.int32), jnp.zeros((), bool), history)


def _evaluated(objective: LaneObjective, point: LaneParams, z: Array) -> tuple[Array, LaneParams, Array]:
    value, slope = _lanes.evaluate(objective, z)
    return value + _lanes.penalty(objective, point), _lanes.gradient(objective, point, slope), slope


class SolverState(NamedTuple):
    """The state of the lanes and the memory of the method."""

    lanes: LaneState
    memory: Any


def begin(method: Method, objective: LaneObjective, point: LaneParams, kept: int) -> SolverState:
    """The state of the solver before the first step."""
    state = at(objective, point, kept)
    return SolverState(state, method.start(objective, state))


def minimise(
    method: Method,
    objective: LaneObjective,
    start: SolverState,
    tolerance: Tolerance,
    max_steps: int,
    *,
    stop: Array | int | None = None,
    report: Callable[[LaneState], None] | None = None,
) -> SolverState:
    """Descend until the largest entry of every gradient is within the tolerance; pause at step number `stop`."""

    def body(carry: SolverState) -> SolverState:
        state, memory = carry
        active = state.convergence.is_active(tolerance, max_steps)
        direction, along, memory = method.propose(objective, state, memory, active)
        line = Line(
            state.point, state.z, direction, along, state.convergence.value, _lanes.dot(state.gradient, direction)
        )
        result = search(objective, line, state.slope, active & (line.slope < 0))
        after = _after(objective, state, line, result, active)
        move = jax.tree.map(jnp.subtract, after.point, state.point)
        change = jax.tree.map(jnp.subtract, after.gradient, state.gradient)
        after = _renewed(objective, after, ~jnp.any(after.convergence.is_active(tolerance, max_steps)))
        if report is not None:
            report(after)
        return SolverState(after, method.learn(memory, move, change, result.success))

    def unfinished(carry: SolverState) -> Array:
        going = carry.lanes.convergence.is_active(tolerance, max_steps)
        return jnp.any(going if stop is None else going & (carry.lanes.convergence.steps < stop))

    return lax.while_loop(unfinished, body, start)


def _after(
    objective: LaneObjective, state: LaneState, line: Line, result: LineSearchResult, active: Array
) -> LaneState:
    """The state after a line search; inactive lanes and lanes whose search failed keep their values."""
    # By selection, not by a step of 0: 0 times a non-finite direction is NaN.
    point = _lanes.chosen(result.success, _lanes.moved(state.point, result.step, line.direction), state.point)
    z = jnp.where(result.success[:, None, None], state.z + result.step[:, None, None] * line.along, state.z)
    slope = jnp.where(result.success[:, None, None], result.slope, state.slope)
    value = jnp.where(result.success, result.value, state.convergence.value)
    gradient = _lanes.chosen(result.success, _lanes.gradient(objective, point, slope), state.gradient)
    convergence = state.convergence.after(value, _lanes.largest(gradient), result.success, active)
    history = _kept(state.history, convergence.steps, value)
    return LaneState(point, z, slope, gradient, convergence, state.turn + 1, jnp.ones((), bool), history)


def _kept(history: Array, steps: Array, value: Array) -> Array:
    if not history.shape[0]:
        return history
    return history.at[steps, jnp.arange(steps.shape[0])].set(value, mode="drop")


def _renewed(objective: LaneObjective, state: LaneState, settled: Array) -> LaneState:
    """The state with recomputed scores, every RENEW iterations and before the loop ends."""

    def recomputed(state: LaneState) -> LaneState:
        z = _lanes.scores(objective.x, state.point)
        value, gradient, slope = _evaluated(objective, state.point, z)
        return state._replace(
            z=z,
            slope=slope,
            gradient=gradient,
            convergence=state.convergence._replace(value=value, norm=_lanes.largest(gradient)),
            stale=jnp.zeros((), bool),
            history=_kept(state.history, state.convergence.steps, value),
        )

    due = state.stale & (settled | (state.turn % RENEW == 0))
    return lax.cond(due, recomputed, lambda state: state, state)
