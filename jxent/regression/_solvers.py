"""The solvers that `fit` knows by name, made for this problem."""

import dataclasses
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array

from jxent.regression import _curvature, _descent, _lanes, _progress
from jxent.regression._lanes import Task
from jxent.regression._lbfgs import Lbfgs
from jxent.regression._model import Params
from jxent.regression._newton import Newton
from jxent.regression._programs import Given, Outcome, Progress, Solver, outcome

METHODS: dict[str, type[_descent.Method]] = {"lbfgs": Lbfgs, "newton": Newton}


@dataclasses.dataclass(frozen=True)
class Named(Solver):
    """One lane of `_descent`.

    The scores of the rows, which the data and the parameters give, are not part of its state between two calls:
    they would be the larger part of it.
    """

    name: str
    max_steps: int
    progress: bool

    def prepare(self, given: Given) -> Task:
        """The lane, and the principal directions of many features."""
        basis = _curvature.basis(given.data.x, given.start.bias.shape[0])
        return _lanes.one(given.data.x, given.data.targets, given.data.weights, given.l2, basis)

    def begin(self, given: Given, prepared: Task) -> Progress:
        """At the start."""
        way = _descent.begin(METHODS[self.name](), prepared, _lanes.lane(*given.start), self.max_steps + 1)
        return self._pause(given, way)

    def advance(self, given: Given, prepared: Task, at: Progress, stop: Array | int) -> Progress:
        """Descend until `stop` steps are made."""

        def report(state: _descent.State) -> None:
            _progress.report(given.bar, self.max_steps, state.tally.steps[0], state.tally.value[0])

        return self._pause(
            given,
            _descent.minimise(
                METHODS[self.name](),
                prepared,
                _resumed(prepared, at),
                given.tolerance,
                self.max_steps,
                stop=stop,
                report=report if self.progress else None,
            ),
        )

    def finish(self, given: Given, prepared: Task, at: Progress) -> Outcome:
        """The parameters, and whether they are those of a minimum."""
        state = at.state.state
        point = state.point
        found = _lanes.evidence(prepared, _lanes.scores(prepared.x, point))
        params = Params(point.weights[0].T, point.bias[0])
        minimum = _lanes.minimum(prepared.l2, found)
        return outcome(given, params, at, state.tally.value[0], state.tally.norm[0], minimum)

    def _pause(self, given: Given, way: _descent.Way) -> Progress:
        going = way.state.tally.is_active(given.tolerance, self.max_steps)[0]
        nothing = jnp.zeros(())
        kept = way.state._replace(z=nothing, slope=nothing, history=nothing)
        return Progress(way.state.tally.steps[0], going, way.state.history[:, 0], way._replace(state=kept))


def _resumed(task: Task, at: Progress) -> _descent.Way:
    """The way with the scores formed anew from its parameters."""
    way: Any = at.state
    z = _lanes.scores(task.x, way.state.point)
    _, slope = _lanes.evaluate(task, z)
    return way._replace(state=way.state._replace(z=z, slope=slope, history=at.history[:, None]))
