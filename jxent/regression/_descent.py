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


class Tally(NamedTuple):
    """How far every lane has come, each `[L]`.

    Attributes:
        value: objective.
        norm: largest entry of its gradient.
        steps: updates made.
        idle: steps without progress.
        least: least norm so far.
        failures: searches without a step, in a row.
    """

    value: Array
    norm: Array
    steps: Array
    idle: Array
    least: Array
    failures: Array

    @classmethod
    def of(cls, value: Array, norm: Array) -> "Tally":
        """Before the first step."""
        none = jnp.zeros(value.shape, jnp.int32)
        return cls(value, norm, none, none, norm, none)

    def is_converged(self, tolerance: Tolerance) -> Array:
        """Lanes whose gradient is small enough."""
        return (self.norm <= tolerance.below(self.value)) & jnp.isfinite(self.value)

    def is_active(self, tolerance: Tolerance, max_steps: int) -> Array:
        """Lanes that have not converged and may still get further."""
        moving = (self.idle < IDLE) & (self.failures < FAILURES) & (self.steps < max_steps)
        return ~self.is_converged(tolerance) & moving & jnp.isfinite(self.value)

    def after(self, value: Array, norm: Array, success: Array, active: Array) -> "Tally":
        """After a search of the active lanes, which of them found a step."""
        fell = value < self.value - jnp.finfo(value.dtype).eps * jnp.abs(self.value)
        progress = fell | (norm < 0.9 * self.least)
        tried = active.astype(jnp.int32)
        return Tally(
            value,
            norm,
            self.steps + success.astype(jnp.int32),
            jnp.where(progress, 0, self.idle + tried),
            jnp.where(progress, jnp.minimum(self.least, norm), self.least),
            jnp.where(success, 0, self.failures + tried),
        )


class State(NamedTuple):
    """Where every lane is.

    Attributes:
        point: parameters.
        z: scores `[L, K, N]`.
        slope: slope of the losses in the scores.
        gradient: of the objective.
        tally: how far it has come.
        turn: rounds of the loop.
        stale: whether the scores are a sum of steps, not a product.
        history: objective after every step, `[steps, L]`, as far as it is kept.
    """

    point: Point
    z: Array
    slope: Array
    gradient: Point
    tally: Tally
    turn: Array
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
    def learn(self, memory: Any, move: Point, change: Point, success: Array) -> Any:
        """What is remembered after a step, the change of the gradient over it, and whether there was a step."""


def at(task: Task, point: Point, kept: int) -> State:
    """The state of lanes that have made no step."""
    z = _lanes.scores(task.x, point)
    value, gradient, slope = _evaluated(task, point, z)
    history = jnp.zeros((kept, *value.shape), value.dtype)
    if kept:
        history = history.at[0].set(value)
    tally = Tally.of(value, _lanes.largest(gradient))
    return State(point, z, slope, gradient, tally, jnp.zeros((), jnp.int32), jnp.zeros((), bool), history)


def _evaluated(task: Task, point: Point, z: Array) -> tuple[Array, Point, Array]:
    value, slope = _lanes.evaluate(task, z)
    return value + _lanes.penalty(task, point), _lanes.gradient(task, point, slope), slope


class Way(NamedTuple):
    """Where every lane is, and what the method remembers of how it came there."""

    state: State
    memory: Any


def begin(method: Method, task: Task, point: Point, kept: int) -> Way:
    """The way of lanes that have made no step."""
    state = at(task, point, kept)
    return Way(state, method.start(task, state))


def minimise(
    method: Method,
    task: Task,
    start: Way,
    tolerance: Tolerance,
    max_steps: int,
    *,
    stop: Array | int | None = None,
    report: Callable[[State], None] | None = None,
) -> Way:
    """Descend until the largest entry of every gradient is within the tolerance; `stop` pauses after so many steps."""

    def body(carry: Way) -> Way:
        state, memory = carry
        active = state.tally.is_active(tolerance, max_steps)
        direction, along, memory = method.propose(task, state, memory, active)
        line = Line(state.point, state.z, direction, along, state.tally.value, _lanes.dot(state.gradient, direction))
        found = search(task, line, state.slope, active & (line.slope < 0))
        after = _after(task, state, line, found, active)
        move = jax.tree.map(jnp.subtract, after.point, state.point)
        change = jax.tree.map(jnp.subtract, after.gradient, state.gradient)
        after = _renewed(task, after, ~jnp.any(after.tally.is_active(tolerance, max_steps)))
        if report is not None:
            report(after)
        return Way(after, method.learn(memory, move, change, found.success))

    def unfinished(carry: Way) -> Array:
        going = carry.state.tally.is_active(tolerance, max_steps)
        return jnp.any(going if stop is None else going & (carry.state.tally.steps < stop))

    return lax.while_loop(unfinished, body, start)


def _after(task: Task, state: State, line: Line, found: Found, active: Array) -> State:
    """The state after a search: lanes at rest and those that found no step stay as they are."""
    # Chosen, not moved by 0: a direction that is not finite must leave no trace.
    point = _lanes.chosen(found.success, _lanes.moved(state.point, found.step, line.direction), state.point)
    z = jnp.where(found.success[:, None, None], state.z + found.step[:, None, None] * line.along, state.z)
    slope = jnp.where(found.success[:, None, None], found.slope, state.slope)
    value = jnp.where(found.success, found.value, state.tally.value)
    gradient = _lanes.chosen(found.success, _lanes.gradient(task, point, slope), state.gradient)
    tally = state.tally.after(value, _lanes.largest(gradient), found.success, active)
    history = _kept(state.history, tally.steps, value)
    return State(point, z, slope, gradient, tally, state.turn + 1, jnp.ones((), bool), history)


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
            gradient=gradient,
            tally=state.tally._replace(value=value, norm=_lanes.largest(gradient)),
            stale=jnp.zeros((), bool),
            history=_kept(state.history, state.tally.steps, value),
        )

    due = state.stale & (settled | (state.turn % RENEW == 0))
    return lax.cond(due, anew, lambda state: state, state)
