"""The built-in solvers of `fit`, "lbfgs" and "newton", for data in memory."""

import dataclasses
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array

from jxent.regression import _curvature, _descent, _lanes, _progress
from jxent.regression._lanes import LaneObjective
from jxent.regression._lbfgs import Lbfgs
from jxent.regression._model import Params
from jxent.regression._newton import Newton
from jxent.regression._programs import Outcome, Progress, Solver, SolverInputs, outcome

METHODS: dict[str, type[_descent.Method]] = {"lbfgs": Lbfgs, "newton": Newton}


@dataclasses.dataclass(frozen=True)
class BuiltinSolver(Solver):
    """A built-in solver: `_descent` on one lane.

    The state between two calls does not hold the scores of the rows. They follow from the data and the parameters, and
    are larger than the rest of the state.
    """

    name: str
    max_steps: int
    progress: bool

    def prepare(self, inputs: SolverInputs) -> LaneObjective:
        """The objective of the lane; of many features also the principal directions."""
        basis = _curvature.basis(inputs.data.x, inputs.start.bias.shape[0])
        return _lanes.one(inputs.data.x, inputs.data.targets, inputs.data.weights, inputs.l2, basis)

    def begin(self, inputs: SolverInputs, prepared: LaneObjective) -> Progress:
        """The state before the first step."""
        state = _descent.begin(METHODS[self.name](), prepared, _lanes.lane(*inputs.start), self.max_steps + 1)
        return self._pause(inputs, state)

    def advance(self, inputs: SolverInputs, prepared: LaneObjective, at: Progress, stop: Array | int) -> Progress:
        """Run the descent up to step number `stop`."""

        def report(state: _descent.LaneState) -> None:
            _progress.report(inputs.bar, self.max_steps, state.convergence.steps[0], state.convergence.value[0])

        return self._pause(
            inputs,
            _descent.minimise(
                METHODS[self.name](),
                prepared,
                _resumed(prepared, at),
                inputs.tolerance,
                self.max_steps,
                stop=stop,
                report=report if self.progress else None,
            ),
        )

    def finish(self, inputs: SolverInputs, prepared: LaneObjective, at: Progress) -> Outcome:
        """The parameters, and whether the objective has a minimum."""
        lanes = at.state.lanes
        point = lanes.point
        evidence = _lanes.evidence(prepared, _lanes.scores(prepared.x, point))
        params = Params(point.weights[0].T, point.bias[0])
        minimum = _lanes.minimum(prepared.l2, evidence)
        return outcome(inputs, params, at, lanes.convergence.value[0], lanes.convergence.norm[0], minimum)

    def _pause(self, inputs: SolverInputs, state: _descent.SolverState) -> Progress:
        lanes = state.lanes
        going = lanes.convergence.is_active(inputs.tolerance, self.max_steps)[0]
        nothing = jnp.zeros(())
        kept = lanes._replace(z=nothing, slope=nothing, history=nothing)
        return Progress(lanes.convergence.steps[0], going, lanes.history[:, 0], state._replace(lanes=kept))


def _resumed(objective: LaneObjective, at: Progress) -> _descent.SolverState:
    """The state with the scores and slopes recomputed from its parameters."""
    state: Any = at.state
    z = _lanes.scores(objective.x, state.lanes.point)
    _, slope = _lanes.evaluate(objective, z)
    return state._replace(lanes=state.lanes._replace(z=z, slope=slope, history=at.history[:, None]))
