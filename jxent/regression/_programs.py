"""The interface of all solvers: prepare, begin, advance and finish, in one compiled program or in parts.

A fit without checkpoints is one call of `run`. With checkpoints the same functions are compiled separately and called
one after the other. The state saved between two calls is all that a later process needs.
"""

import abc
import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array

from jxent.regression._lanes import Minimum
from jxent.regression._model import Params
from jxent.regression._tolerance import Tolerance


class Data(NamedTuple):
    """Features `[N, D]`, class ids `[N]` or distributions `[N, K]`, and weights `[N]`."""

    x: Any
    targets: Any
    weights: Any


class SolverInputs(NamedTuple):
    """The arrays that a solver reads; `bar` is the number of the progress bar."""

    start: Params
    data: Any
    l2: Array
    tolerance: Tolerance
    key: Array
    bar: Array


class Outcome(NamedTuple):
    """The result of a solver: the fields of `Fit`, the objective, and from `_lanes.Minimum` why there is no minimum."""

    params: Params
    history: Array
    grad_norm: Array
    num_steps: Array
    converged: Array
    value: Array
    separated: Array
    unseen: Array


class Progress(NamedTuple):
    """The state of a solver between two calls.

    Attributes:
        steps: updates made.
        going: whether the solver has steps left to make.
        history: objective after every step, of length `max_steps + 1`.
        state: the rest, a pytree of arrays from which `advance` can continue.
    """

    steps: Array
    going: Array
    history: Array
    state: Any


def outcome(inputs: SolverInputs, params: Params, at: Progress, value: Array, norm: Array, minimum: Minimum) -> Outcome:
    """The outcome of one lane: converged where a minimum exists and the largest gradient entry is within tolerance."""
    small = (norm <= inputs.tolerance.below(value)) & jnp.isfinite(value) & jnp.isfinite(at.history[at.steps])
    converged = small & minimum.exists[0]
    return Outcome(params, at.history, norm, at.steps, converged, value, minimum.separated[0], minimum.unseen[0])


class Solver(abc.ABC):
    """A minimiser of the objective; hashable, its attributes are static under `jit`."""

    max_steps: int  # largest number of updates

    @abc.abstractmethod
    def prepare(self, inputs: SolverInputs) -> Any:
        """Values that depend on the data alone."""

    @abc.abstractmethod
    def begin(self, inputs: SolverInputs, prepared: Any) -> Progress:
        """The state before the first step."""

    @abc.abstractmethod
    def advance(self, inputs: SolverInputs, prepared: Any, at: Progress, stop: Array | int) -> Progress:
        """Continue up to step number `stop`, or until the solver has converged or stalled."""

    @abc.abstractmethod
    def finish(self, inputs: SolverInputs, prepared: Any, at: Progress) -> Outcome:
        """The outcome of the last step."""


class Parts(Solver):
    """A solver whose functions are called one by one, outside of any compiled program."""

    @abc.abstractmethod
    def like(self, inputs: SolverInputs, prepared: Any) -> Progress:
        """Shapes and dtypes of the result of `begin`."""


@functools.partial(jax.jit, static_argnums=0)
def run(solver: Solver, inputs: SolverInputs) -> Outcome:
    """A complete fit as one compiled program."""
    prepared = solver.prepare(inputs)
    at = solver.advance(inputs, prepared, solver.begin(inputs, prepared), solver.max_steps)
    return solver.finish(inputs, prepared, at)


class Compiled(Parts):
    """The functions of a solver for data in memory, each compiled separately."""

    def __init__(self, solver: Solver) -> None:
        self.solver, self.max_steps = solver, solver.max_steps

    def prepare(self, inputs: SolverInputs) -> Any:
        """The function of the solver, compiled."""
        return _prepare(self.solver, inputs)

    def like(self, inputs: SolverInputs, prepared: Any) -> Progress:
        """Shapes and dtypes of the result of `begin`."""
        return jax.eval_shape(self.begin, inputs, prepared)

    def begin(self, inputs: SolverInputs, prepared: Any) -> Progress:
        """The function of the solver, compiled."""
        return _begin(self.solver, inputs, prepared)

    def advance(self, inputs: SolverInputs, prepared: Any, at: Progress, stop: Array | int) -> Progress:
        """The function of the solver, compiled."""
        return _advance(self.solver, inputs, prepared, at, stop)

    def finish(self, inputs: SolverInputs, prepared: Any, at: Progress) -> Outcome:
        """The function of the solver, compiled."""
        return _finish(self.solver, inputs, prepared, at)


def in_turn(parts: Parts, inputs: SolverInputs) -> Outcome:
    """A complete fit, function by function."""
    prepared = parts.prepare(inputs)
    at = parts.advance(inputs, prepared, parts.begin(inputs, prepared), parts.max_steps)
    return parts.finish(inputs, prepared, at)


@functools.partial(jax.jit, static_argnums=0)
def _prepare(solver: Solver, inputs: SolverInputs) -> Any:
    return solver.prepare(inputs)


@functools.partial(jax.jit, static_argnums=0)
def _begin(solver: Solver, inputs: SolverInputs, prepared: Any) -> Progress:
    return solver.begin(inputs, prepared)


@functools.partial(jax.jit, static_argnums=0)
def _advance(solver: Solver, inputs: SolverInputs, prepared: Any, at: Progress, stop: Array) -> Progress:
    return solver.advance(inputs, prepared, at, stop)


@functools.partial(jax.jit, static_argnums=0)
def _finish(solver: Solver, inputs: SolverInputs, prepared: Any, at: Progress) -> Outcome:
    return solver.finish(inputs, prepared, at)
