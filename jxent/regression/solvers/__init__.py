"""Minimisers of the objective: their interface, the built-in ones for rows in memory, and how a fit runs.

A fit without checkpoints is one call of `run`, one compiled program. With checkpoints the same functions are compiled
separately and called one after the other; the state saved between two calls is all that a later process needs.
"""

import abc
import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar, cast

import jax
import jax.numpy as jnp
from jaxtyping import Array

from jxent.regression import _progress
from jxent.regression._model import Params
from jxent.regression.solvers import descent, preconditioner
from jxent.regression.solvers import objective as ob
from jxent.regression.solvers.descent import LaneState, Tolerance
from jxent.regression.solvers.directions import METHODS
from jxent.regression.solvers.objective import LaneObjective


class Data(NamedTuple):
    """Features `[N, D]`, class ids `[N]` or distributions `[N, K]`, and weights `[N]`."""

    x: Any
    targets: Any
    weights: Any


class SolverInputs(NamedTuple):
    """The arrays that a solver reads.

    `seen` are the classes with a row of positive weight, `[K]`, `key` is None without minibatches, and `bar` is the
    number of the progress bar.
    """

    start: Params
    data: Any
    seen: Any
    l2: Array
    l1: Array | None
    tolerance: Tolerance
    key: Any
    bar: Array


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


class Outcome(NamedTuple):
    """The result of a solver: the fields of `Fit`, the objective, and from `Minimum` why there is no minimum."""

    params: Params
    history: Array
    grad_norm: Array
    num_steps: Array
    converged: Array
    value: Array
    separated: Array
    unseen: Array


class Solver(abc.ABC):
    """A minimiser of the objective."""

    max_steps: int  # largest number of updates

    @abc.abstractmethod
    def prepare(self, inputs: SolverInputs) -> Any:
        """Values that depend on the data alone."""

    @abc.abstractmethod
    def begin(self, inputs: SolverInputs, prepared: Any) -> Progress:
        """The state before the first step, without a pass over the rows."""

    @abc.abstractmethod
    def advance(self, inputs: SolverInputs, prepared: Any, at: Progress, stop: Array | int) -> Progress:
        """Continue up to step number `stop`, or until the solver has converged or stalled."""

    @abc.abstractmethod
    def finish(self, inputs: SolverInputs, prepared: Any, at: Progress) -> Outcome:
        """The outcome of the last step."""

    def solve(self, inputs: SolverInputs) -> Outcome:
        """A complete fit."""
        prepared = self.prepare(inputs)
        at = self.advance(inputs, prepared, self.begin(inputs, prepared), self.max_steps)
        return self.finish(inputs, prepared, at)


Function = TypeVar("Function", bound=Callable[..., Any])


def compiled(function: Function) -> Function:
    """A function of a solver for rows in memory, compiled once for equal solvers."""
    return cast("Function", jax.jit(function, static_argnums=0))


@compiled
def run(solver: Solver, inputs: SolverInputs) -> Outcome:
    """A complete fit of rows in memory, as one compiled program."""
    return solver.solve(inputs)


@dataclasses.dataclass(frozen=True)
class Descent(Solver):
    """A built-in solver on one lane.

    The state between two calls does not hold the slopes of the losses. They follow from the data and the point, and are
    larger than the rest of the state.
    """

    name: str
    max_steps: int
    progress: bool
    standardize: bool = False
    intercept: bool = True
    penalised: bool = False  # l1 or l2 > 0, so that a minimum exists whether or not the classes are separated

    @compiled
    def prepare(self, inputs: SolverInputs) -> LaneObjective:
        """The objective of the lane; of many features also the principal directions."""
        x, targets, weights = inputs.data
        options = {"intercept": self.intercept, "standardize": self.standardize, "penalised": self.penalised}
        at = ob.coordinates(x, weights, **options)
        x = ob.transformed(x, at, intercept=self.intercept)
        share = (weights / jnp.sum(weights))[None]
        basis = preconditioner.basis(x, inputs.start.bias.shape[0])
        l1 = None if inputs.l1 is None else inputs.l1[None]
        return ob.lane_objective(x, at, targets, share, inputs.l2[None], basis, l1=l1)

    @compiled
    def begin(self, inputs: SolverInputs, prepared: LaneObjective) -> Progress:
        """The state before the first step."""
        return paused(inputs, self._started(inputs, prepared), self.max_steps)

    @compiled
    def advance(self, inputs: SolverInputs, prepared: LaneObjective, at: Progress, stop: Array | int) -> Progress:
        """Descend up to step number `stop`."""
        return paused(inputs, self._minimised(inputs, prepared, _resumed(prepared, at), stop), self.max_steps)

    @compiled
    def finish(self, inputs: SolverInputs, prepared: LaneObjective, at: Progress) -> Outcome:
        """The parameters, and whether the objective has a minimum."""
        return self._outcome(inputs, prepared, _resumed(prepared, at))

    def solve(self, inputs: SolverInputs) -> Outcome:
        """A complete fit, without the forms of the state that are saved."""
        prepared = self.prepare(inputs)
        last = self._minimised(inputs, prepared, self._started(inputs, prepared), None)
        return self._outcome(inputs, prepared, last)

    def _started(self, inputs: SolverInputs, prepared: LaneObjective) -> LaneState:
        point = ob.to_point(inputs.start, prepared.coordinates)
        if not self.intercept:
            point = point.at[:, :, -1].set(0.0)
        return descent.begin(METHODS[self.name](), prepared, point, self.max_steps + 1)

    def _minimised(
        self, inputs: SolverInputs, prepared: LaneObjective, state: LaneState, stop: Array | int | None
    ) -> LaneState:
        def report(state: LaneState) -> None:
            steps, value = state.convergence.steps[0], state.convergence.value[0]
            _progress.report(inputs.bar, self.max_steps, steps, value)

        return descent.minimise(
            METHODS[self.name](),
            prepared,
            state,
            inputs.tolerance,
            self.max_steps,
            stop=stop,
            report=report if self.progress else None,
        )

    def _outcome(self, inputs: SolverInputs, prepared: LaneObjective, state: LaneState) -> Outcome:
        right, seen = jnp.zeros((1,), bool), inputs.seen[None]
        if not self.penalised:
            right = ob.all_right(prepared, cast("Array", state.slopes))
        elif not self.intercept:
            seen = jnp.ones_like(seen)  # no bias falls for ever
        total = inputs.l2 if inputs.l1 is None else inputs.l2 + inputs.l1
        minimum = ob.minimum(total[None], right, seen)
        return outcome(inputs, prepared, state, state.history, minimum)


def paused(inputs: SolverInputs, state: LaneState, max_steps: int) -> Progress:
    """The state of a single lane between two calls."""
    going = descent.is_going(state, inputs.tolerance, max_steps, None)
    kept = state._replace(slopes=None, history=jnp.zeros(()))
    return Progress(state.convergence.steps[0], going, state.history, kept)


def _resumed(objective: LaneObjective, at: Progress) -> LaneState:
    """The state with the slopes of the losses recomputed from its point."""
    state: LaneState = at.state
    _, slopes = ob.losses(objective, ob.scores(objective.x, state.point))
    return state._replace(slopes=slopes, history=at.history)


def outcome(
    inputs: SolverInputs, objective: LaneObjective, state: LaneState, history: Array, minimum: ob.Minimum
) -> Outcome:
    """The outcome of a single lane: converged where a minimum exists and the lane is within the tolerance."""
    convergence = state.convergence
    weights, bias = ob.from_point(state.point, objective.coordinates)
    converged = convergence.is_converged(inputs.tolerance) & minimum.exists
    return Outcome(
        Params(weights[0].T, bias[0]),
        history,
        convergence.norm[0],
        convergence.steps[0],
        converged[0],
        convergence.value[0],
        minimum.separated[0],
        minimum.unseen[0],
    )
