"""The solvers that `fit` knows by name, made for this problem."""

import functools

import jax
from jaxtyping import Array

from jxent.regression import _curvature, _descent, _lanes, _loop
from jxent.regression._lbfgs import Lbfgs
from jxent.regression._loop import Data, Outcome
from jxent.regression._model import Params
from jxent.regression._newton import Newton
from jxent.regression._tolerance import Tolerance

METHODS: dict[str, type[_descent.Method]] = {"lbfgs": Lbfgs, "newton": Newton}


@functools.partial(jax.jit, static_argnums=(0, 1, 2))
def run(
    solver: str,
    max_steps: int,
    progress: bool,  # noqa: FBT001
    start: Params,
    data: Data,
    l2: Array,
    tolerance: Tolerance,
    bar: Array,
) -> Outcome:
    """One lane of `_descent`: minimise the objective from `start`."""
    basis = _curvature.basis(data.x, start.bias.shape[0])
    task = _lanes.one(data.x, data.targets, data.weights, l2, basis)
    first = _descent.at(task, _lanes.lane(*start), max_steps + 1)

    def report(state: _descent.State) -> None:
        _loop.report(bar, max_steps, state.steps[0], state.value[0])

    last = _descent.minimise(METHODS[solver](), task, first, tolerance, max_steps, report if progress else None)
    params = Params(last.point.weights[0].T, last.point.bias[0])
    minimum = _lanes.minimum(task, last.z)
    converged = _descent.is_converged(last, tolerance)[0] & minimum.exists[0]
    history = last.history[:, 0]
    return Outcome(params, history, last.norm[0], last.steps[0], converged, minimum.separated[0], minimum.unseen[0])
