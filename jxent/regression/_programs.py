"""What every solver has in common: it prepares, begins, advances and finishes, in one compiled program or in parts.

A fit that keeps no checkpoint is one call of `run`. With checkpoints the same functions are compiled apart and called
in turn, so that what is saved between them is all that a later process needs.
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


class Given(NamedTuple):
    """The arrays of a fit; `bar` is the number of its progress bar."""

    start: Params
    data: Any
    l2: Array
    tolerance: Tolerance
    key: Array
    bar: Array


class Outcome(NamedTuple):
    """What a fit finds: the fields of `Fit`, the objective, and why there is no minimum, as in `_lanes.Minimum`."""

    params: Params
    history: Array
    grad_norm: Array
    num_steps: Array
    converged: Array
    value: Array
    separated: Array
    unseen: Array


class Progress(NamedTuple):
    """Where a solver is between two calls.

    Attributes:
        steps: updates made.
        going: whether it would go on.
        history: objective after every step, as long as the most steps allow.
        state: the rest, a pytree of arrays from which `renewed` can go on.
    """

    steps: Array
    going: Array
    history: Array
    state: Any


def outcome(given: Given, params: Params, at: Progress, value: Array, norm: Array, minimum: Minimum) -> Outcome:
    """The outcome of one lane with this objective and gradient: converged where a minimum exists and is near."""
    small = (norm <= given.tolerance.below(value)) & jnp.isfinite(value) & jnp.isfinite(at.history[at.steps])
    converged = small & minimum.exists[0]
    return Outcome(params, at.history, norm, at.steps, converged, value, minimum.separated[0], minimum.unseen[0])


class Solver(abc.ABC):
    """A way to minimise the objective; hashable, its attributes are static."""

    max_steps: int  # most updates allowed

    @abc.abstractmethod
    def prepare(self, given: Given) -> Any:
        """What follows from the data alone."""

    @abc.abstractmethod
    def begin(self, given: Given, prepared: Any) -> Progress:
        """Before the first step."""

    @abc.abstractmethod
    def advance(self, given: Given, prepared: Any, at: Progress, stop: Array | int) -> Progress:
        """Go on until `stop` steps are made or nothing is left to do."""

    @abc.abstractmethod
    def finish(self, given: Given, prepared: Any, at: Progress) -> Outcome:
        """What was found."""


class Parts(Solver):
    """A solver that is called part by part, from outside of any compiled program."""

    @abc.abstractmethod
    def like(self, given: Given, prepared: Any) -> Progress:
        """The shapes of what `begin` returns."""


@functools.partial(jax.jit, static_argnums=0)
def run(solver: Solver, given: Given) -> Outcome:
    """A whole fit as one program."""
    prepared = solver.prepare(given)
    at = solver.advance(given, prepared, solver.begin(given, prepared), solver.max_steps)
    return solver.finish(given, prepared, at)


class Compiled(Parts):
    """The parts of a solver of data in memory, each compiled by itself."""

    def __init__(self, solver: Solver) -> None:
        self.solver, self.max_steps = solver, solver.max_steps

    def prepare(self, given: Given) -> Any:
        """As the solver's."""
        return _prepare(self.solver, given)

    def like(self, given: Given, prepared: Any) -> Progress:
        """The shapes of what `begin` returns."""
        return jax.eval_shape(self.begin, given, prepared)

    def begin(self, given: Given, prepared: Any) -> Progress:
        """As the solver's."""
        return _begin(self.solver, given, prepared)

    def advance(self, given: Given, prepared: Any, at: Progress, stop: Array | int) -> Progress:
        """As the solver's."""
        return _advance(self.solver, given, prepared, at, stop)

    def finish(self, given: Given, prepared: Any, at: Progress) -> Outcome:
        """As the solver's."""
        return _finish(self.solver, given, prepared, at)


def in_turn(parts: Parts, given: Given) -> Outcome:
    """A whole fit, part by part."""
    prepared = parts.prepare(given)
    at = parts.advance(given, prepared, parts.begin(given, prepared), parts.max_steps)
    return parts.finish(given, prepared, at)


@functools.partial(jax.jit, static_argnums=0)
def _prepare(solver: Solver, given: Given) -> Any:
    return solver.prepare(given)


@functools.partial(jax.jit, static_argnums=0)
def _begin(solver: Solver, given: Given, prepared: Any) -> Progress:
    return solver.begin(given, prepared)


@functools.partial(jax.jit, static_argnums=0)
def _advance(solver: Solver, given: Given, prepared: Any, at: Progress, stop: Array) -> Progress:
    return solver.advance(given, prepared, at, stop)


@functools.partial(jax.jit, static_argnums=0)
def _finish(solver: Solver, given: Given, prepared: Any, at: Progress) -> Outcome:
    return solver.finish(given, prepared, at)
