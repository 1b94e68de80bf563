"""Descent on all lanes at once: a direction, a line search on cached scores, and one gradient, until none is left."""

import abc
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array

from jxent.regression import _lanes
from jxent.regression._lanes import Point, Task
from jxent.regression._search import Found, Line, search
from jxent.regression._tolerance import Tolerance

# After so many steps the scores, which are only added to, are formed anew.
RENEW = 32
# A lane rests after so many steps that moved neither its value nor the size of its gradient, and after so many
# searches in a row that found no step: rounding allows no more.
IDLE, FAILURES = 5, 2


class State(NamedTuple):
    """Where every lane is.

    Attributes:
        point: parameters.
        z: scores `[L, K, N]`.
        slope: slope of the losses in the scores.
        value: objective `[L]`.
        gradient: of the objective.
        norm: its largest entry `[L]`.
        steps: updates made `[L]`.
        turn: rounds of the loop.
        idle: steps without progress `[L]`.
        least: least norm so far `[L]`.
        failures: searches without a step, in a row `[L]`.
        stale: whether the scores are a sum of steps, not a product.
        history: objective after every step, `[steps, L]`, as far as it is kept.
    """

    point: Point
    z: Array
    slope: Array
    value: Array
    gradient: Point
    norm: Array
    steps: Array
    turn: Array
    idle: Array
    least: Array
    failures: Array
    stale: Array
    history: Array


class Method(abc.ABC):
    """How a solver finds its directions."""

    @abc.abstractmethod
    def start(self, task: Task, state: State) -> Any:
        """What it remembers at first; any pytree."""

    @abc.abstractmethod
    def propose(self, task: Task, state: State, memory: Any, active: Array) -> tuple[Point, Array, Any]:
        """A direction of descent, its scores, and what is remembered."""

    @abc.abstractmethod
    def learn(self, memory: Any, move: Point, change: Point, found: Found) -> Any:
        """What is remembered after a step and the change of the gradient over it."""


def at(task: Task, point: Point, kept: int) -> State:
    """The state of lanes that have made no step."""
    z = _lanes.scores(task.x, point)
    value, gradient, slope = _evaluated(task, point, z)
    none = jnp.zeros(value.shape, jnp.int32)
    history = jnp.zeros((kept, *value.shape), value.dtype)
    if kept:
        history = history.at[0].set(value)
    norm = _lanes.largest(gradient)
    turn, stale = jnp.zeros((), jnp.int32), jnp.zeros((), bool)
    return State(point, z, slope, value, gradient, norm, none, turn, none, norm, none, stale, history)


def _evaluated(task: Task, point: Point, z: Array) -> tuple[Array, Point, Array]:
    value, slope = _lanes.evaluate(task, z)
    return value + _lanes.penalty(task, point), _lanes.gradient(task, point, slope), slope


def is_converged(state: State, tolerance: Tolerance) -> Array:
    """Lanes whose gradient is small enough."""
    return (state.norm <= tolerance.below(state.value)) & jnp.isfinite(state.value)


def is_active(state: State, tolerance: Tolerance, max_steps: int) -> Array:
    """Lanes that have not converged and may still get further."""
    moving = (state.idle < IDLE) & (state.failures < FAILURES) & (state.steps < max_steps)
    return ~is_converged(state, tolerance) & moving & jnp.isfinite(state.value)


def minimise(
    method: Method,
    task: Task,
    start: State,
    tolerance: Tolerance,
    max_steps: int,
    report: Callable[[State], None] | None = None,
) -> State:
    """Descend from `start` until the largest entry of every gradient is within the tolerance."""

    def body(carry: tuple[State, Any]) -> tuple[State, Any]:
        state, memory = carry
        active = is_active(state, tolerance, max_steps)
        direction, along, memory = method.propose(task, state, memory, active)
        line = Line(state.point, state.z, direction, along, state.value, _lanes.dot(state.gradient, direction))
        found = search(task, line, state.slope, active & (line.slope < 0))
        after = _after(task, state, line, found, active)
        move = jax.tree.map(jnp.subtract, after.point, state.point)
        change = jax.tree.map(jnp.subtract, after.gradient, state.gradient)
        after = _renewed(task, after, ~jnp.any(is_active(after, tolerance, max_steps)))
        if report is not None:
            report(after)
        return after, method.learn(memory, move, change, found)

    def unfinished(carry: tuple[State, Any]) -> Array:
        return jnp.any(is_active(carry[0], tolerance, max_steps))

    return lax.while_loop(unfinished, body, (start, method.start(task, start)))[0]


def _after(task: Task, state: State, line: Line, found: Found, active: Array) -> State:
    """The state after a search: lanes at rest and those that found no step stay as they are."""
    # Chosen, not moved by 0: a direction that is not finite must leave no trace.
    point = _lanes.chosen(found.success, _lanes.moved(state.point, found.step, line.direction), state.point)
    z = jnp.where(found.success[:, None, None], state.z + found.step[:, None, None] * line.along, state.z)
    slope = jnp.where(found.success[:, None, None], found.slope, state.slope)
    value = jnp.where(found.success, found.value, state.value)
    gradient = _lanes.chosen(found.success, _lanes.gradient(task, point, slope), state.gradient)
    norm = _lanes.largest(gradient)
    fell = value < state.value - jnp.finfo(value.dtype).eps * jnp.abs(state.value)
    progress = fell | (norm < 0.9 * state.least)
    steps = state.steps + found.success.astype(jnp.int32)
    tried = active.astype(jnp.int32)
    return State(
        point,
        z,
        slope,
        value,
        gradient,
        norm,
        steps,
        state.turn + 1,
        jnp.where(progress, 0, state.idle + tried),
        jnp.where(progress, jnp.minimum(state.least, norm), state.least),
        jnp.where(found.success, 0, state.failures + tried),
        jnp.ones((), bool),
        _kept(state.history, steps, value),
    )


def _kept(history: Array, steps: Array, value: Array) -> Array:
    if not history.shape[0]:
        return history
    return history.at[steps, jnp.arange(steps.shape[0])].set(value, mode="drop")


def _renewed(task: Task, state: State, settled: Array) -> State:
    """The state by scores formed anew, every so often and before the lanes are called converged."""

    def anew(state: State) -> State:
        z = _lanes.scores(task.x, state.point)
        value, gradient, slope = _evaluated(task, state.point, z)
        return state._replace(
            z=z,
            slope=slope,
            value=value,
            gradient=gradient,
            norm=_lanes.largest(gradient),
            stale=jnp.zeros((), bool),
            history=_kept(state.history, state.steps, value),
        )

    due = state.stale & (settled | (state.turn % RENEW == 0))
    return lax.cond(due, anew, lambda state: state, state)
