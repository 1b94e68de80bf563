"""The built-in solvers for sources, whose rows are read in passes.

Between two passes they follow the same rules as the solvers for data in memory: the directions of `_lbfgs` and
`_newton`, the bracket of `_search`, the convergence record of `_descent`. The preconditioner comes from a sample of the
rows.
"""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from jxent.regression import _curvature, _lanes, _lbfgs, _newton, _progress, _search
from jxent.regression._descent import ConvergenceState
from jxent.regression._lanes import Evidence, LaneObjective, LaneParams
from jxent.regression._model import Params
from jxent.regression._passes import Evaluated, Passes
from jxent.regression._programs import Outcome, Parts, Progress, SolverInputs, outcome
from jxent.regression._reader import Reader


class StreamState(NamedTuple):
    """The state of a solver between two steps, with the memory of its method."""

    point: LaneParams
    gradient: LaneParams
    convergence: ConvergenceState
    evidence: Evidence
    turn: Array
    memory: Any


class Prepared(NamedTuple):
    """The passes, and the sample for the preconditioner; None where its blocks cost too much."""

    passes: Passes
    sample: LaneObjective | None


class BuiltinSolver(Parts):
    """L-BFGS or truncated Newton on a source."""

    def __init__(self, name: str, max_steps: int, reader: Reader, *, progress: bool) -> None:
        self.name, self.max_steps, self.reader, self.progress = name, max_steps, reader, progress

    def prepare(self, inputs: SolverInputs) -> Prepared:
        """The passes and the sample."""
        passes = Passes(self.reader, inputs)
        if not _curvature.is_affordable(self.reader.survey.features, self.reader.classes):
            return Prepared(passes, None)
        return Prepared(passes, _sampled(self.reader.classes, *self.reader.sample(), inputs.l2))

    def like(self, inputs: SolverInputs, prepared: Prepared) -> Progress:
        """Shapes and dtypes of the result of `begin`, without a pass over the rows."""
        point = _lanes.lane(*inputs.start)
        evaluated = Evaluated(
            inputs.l2[None], point, Evidence(jnp.ones((1,), bool), jnp.ones((1, self.reader.classes), bool))
        )
        preconditioner = None if prepared.sample is None else jax.eval_shape(_preconditioner, prepared.sample, point)
        return jax.eval_shape(self._first, inputs, evaluated, point, preconditioner)

    def begin(self, inputs: SolverInputs, prepared: Prepared) -> Progress:
        """The state before the first step; L-BFGS also needs the curvature along its first direction."""
        point = _lanes.lane(*inputs.start)
        evaluated = prepared.passes.evaluate(point)
        preconditioner = None if prepared.sample is None else _preconditioner(prepared.sample, point)
        curved = point
        if self.name == "lbfgs":
            curved = prepared.passes.product(point, _curvature.applied(preconditioner, evaluated.gradient))
        return self._first(inputs, evaluated, curved, preconditioner)

    def _first(
        self, inputs: SolverInputs, evaluated: Evaluated, curved: LaneParams, preconditioner: _curvature.Inverse | None
    ) -> Progress:
        if self.name == "lbfgs":
            memory = _lbfgs.remembered(preconditioner, evaluated.gradient, curved)
        else:
            size = _lanes.dot(evaluated.gradient, _curvature.applied(preconditioner, evaluated.gradient))
            memory = _newton.Memory(size, preconditioner, jnp.zeros((), jnp.int32))
        convergence = ConvergenceState.of(evaluated.value, _lanes.largest(evaluated.gradient))
        history = jnp.zeros((self.max_steps + 1,), evaluated.value.dtype).at[0].set(evaluated.value[0])
        state = StreamState(
            _lanes.lane(*inputs.start),
            evaluated.gradient,
            convergence,
            evaluated.evidence,
            jnp.zeros((), jnp.int32),
            memory,
        )
        return self._pause(inputs, state, history)

    def _pause(self, inputs: SolverInputs, state: StreamState, history: Array) -> Progress:
        going = state.convergence.is_active(inputs.tolerance, self.max_steps)[0]
        return Progress(state.convergence.steps[0], going, history, state)

    def advance(self, inputs: SolverInputs, prepared: Prepared, at: Progress, stop: Array | int) -> Progress:
        """Run up to step number `stop`, or until the solver has converged or stalled."""
        history = np.array(at.history)
        while bool(at.going) and int(at.steps) < stop:
            state = self._step(prepared, at.state)
            history[int(state.convergence.steps[0])] = state.convergence.value[0]
            at = self._pause(inputs, state, at.history)
            if self.progress:
                _progress.tick(inputs.bar, at.steps, state.convergence.value[0])
        return at._replace(history=jnp.asarray(history))

    def finish(self, inputs: SolverInputs, prepared: Prepared, at: Progress) -> Outcome:
        """The parameters, and whether the objective has a minimum."""
        state: StreamState = at.state
        minimum = _lanes.minimum(prepared.passes.l2, state.evidence)
        params = Params(state.point.weights[0].T, state.point.bias[0])
        return outcome(inputs, params, at, state.convergence.value[0], state.convergence.norm[0], minimum)

    def _step(self, prepared: Prepared, state: StreamState) -> StreamState:
        direction, memory = self._direction(prepared, state)
        success, evaluated, point = self._search(prepared.passes, state, direction)
        made = jnp.asarray([success])
        convergence = state.convergence.after(
            evaluated.value, _lanes.largest(evaluated.gradient), made, jnp.ones((1,), bool)
        )
        if self.name == "lbfgs":
            memory = _learn(memory, state, point, evaluated.gradient, made)
        return StreamState(point, evaluated.gradient, convergence, evaluated.evidence, state.turn + 1, memory)

    def _direction(self, prepared: Prepared, state: StreamState) -> tuple[LaneParams, Any]:
        memory = state.memory
        again = (
            int(state.turn) > 0 and int(state.turn) % _lbfgs.REFRESH == 0
            if self.name == "lbfgs"
            else int(memory.cost) > _newton.REFRESH
        )
        if again and prepared.sample is not None:
            memory = memory._replace(preconditioner=_preconditioner(prepared.sample, state.point))
        if self.name == "lbfgs":
            return _downhill(memory, state.gradient), memory
        active = jnp.ones((1,), bool)
        carry, enough = _begun(state.gradient, memory.preconditioner, memory.first)
        while bool(carry.active[0]) and int(carry.made) < _newton.PRODUCTS:
            product = prepared.passes.product(state.point, carry.search)
            carry = _advanced(carry, memory.preconditioner, enough, product)
        direction, _ = _newton.downhill(carry.direction, state.gradient, active)
        return direction, memory._replace(cost=carry.made)

    def _search(self, passes: Passes, state: StreamState, direction: LaneParams) -> tuple[bool, Evaluated, LaneParams]:
        """A step that meets Wolfe's conditions, one pass per trial; if none does, the state unchanged."""
        slope = _lanes.dot(state.gradient, direction)
        nothing = jnp.zeros(())
        line = _search.Line(state.point, nothing, direction, nothing, state.convergence.value, slope)
        bracket, t = _search.opened(line), jnp.ones_like(slope)
        for _ in range(_search.TRIALS if bool(slope[0] < 0) else 0):
            point = _lanes.moved(state.point, t, direction)
            evaluated = passes.evaluate(point)
            verdict = _judge(line, bracket, t, evaluated.value, _lanes.dot(evaluated.gradient, direction))
            if bool(verdict.accepted[0]):
                return True, evaluated, point
            bracket, t = verdict.bracket, verdict.step
        return False, Evaluated(state.convergence.value, state.gradient, state.evidence), state.point


@jax.jit
def _preconditioner(sample: LaneObjective, point: LaneParams) -> _curvature.Inverse:
    _, slope = _lanes.losses(sample, _lanes.scores(sample.x, point))
    return _curvature.inverse(sample, _lanes.probabilities(sample, slope))


@functools.partial(jax.jit, static_argnums=0)
def _sampled(classes: int, x: Array, targets: Array, weights: Array, l2: Array) -> LaneObjective:
    return _lanes.one(x, targets, weights, l2, _curvature.basis(x, classes))


@jax.jit
def _learn(
    memory: _lbfgs.Memory, state: StreamState, point: LaneParams, gradient: LaneParams, made: Array
) -> _lbfgs.Memory:
    move = jax.tree.map(jnp.subtract, point, state.point)
    change = jax.tree.map(jnp.subtract, gradient, state.gradient)
    return _lbfgs.Lbfgs().learn(memory, move, change, made)


_downhill = jax.jit(_lbfgs.downhill)
_judge = jax.jit(_search.judge)


@jax.jit
def _begun(gradient: LaneParams, preconditioner: Any, first: Array) -> tuple[_newton.Conjugate, Array]:
    return _newton.begun(gradient, preconditioner, first, jnp.ones((1,), bool), None)


@jax.jit
def _advanced(carry: _newton.Conjugate, preconditioner: Any, enough: Array, product: LaneParams) -> _newton.Conjugate:
    return _newton.advanced(carry, preconditioner, enough, product, None)
