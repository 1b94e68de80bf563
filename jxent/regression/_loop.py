"""Any optax optimizer as a solver: one `while`, over all rows or over minibatches."""

import dataclasses
import functools
from typing import Any, NamedTuple, cast

import jax
import jax.numpy as jnp
import optax
from jax import lax
from jaxtyping import Array

from jxent.regression import _lanes, _progress
from jxent.regression._model import Params, objective
from jxent.regression._programs import Data, Outcome, Progress, Solver, SolverInputs, outcome


class Carry(NamedTuple):
    """The state of the loop; `order` is the order of the rows in this epoch."""

    params: Params
    state: Any
    value: Array
    grad: Params
    history: Array
    step: Array
    order: Array


@dataclasses.dataclass(frozen=True)
class Optax(Solver):
    """An optax optimizer; `batch_size` None is all rows, and `rows` is the number of rows without padding."""

    optimizer: optax.GradientTransformation
    max_steps: int
    batch_size: int | None
    rows: int
    progress: bool

    def prepare(self, inputs: SolverInputs) -> None:
        """None: an optimizer needs no preparation."""
        del inputs

    def begin(self, inputs: SolverInputs, prepared: None) -> Progress:
        """The state before the first step, with value and gradient there."""
        del prepared
        value, grad = jax.value_and_grad(_full(inputs))(inputs.start)
        history = jnp.zeros((self.max_steps + 1,), value.dtype).at[0].set(value)
        order = jnp.zeros((0 if self.batch_size is None else self.rows,), jnp.int32)
        state = permissive(self.optimizer).init(inputs.start)
        return self._pause(inputs, Carry(inputs.start, state, value, grad, history, jnp.zeros((), jnp.int32), order))

    def advance(self, inputs: SolverInputs, prepared: None, at: Progress, stop: Array | int) -> Progress:
        """Update the parameters up to step number `stop`."""
        del prepared
        step = self._full_step if self.batch_size is None else self._batch_step

        def body(carry: Carry) -> Carry:
            after = step(inputs, carry)
            if self.progress:
                _progress.report(inputs.bar, self.max_steps, after.step, after.value)
            return after

        first: Carry = at.state._replace(history=at.history)
        return self._pause(
            inputs, lax.while_loop(lambda carry: self._going(inputs, carry) & (carry.step < stop), body, first)
        )

    def finish(self, inputs: SolverInputs, prepared: None, at: Progress) -> Outcome:
        """The parameters, and the gradient of the objective over all rows."""
        del prepared
        last: Carry = at.state
        value, grad = last.value, last.grad
        if self.batch_size is not None:
            value, grad = jax.value_and_grad(_full(inputs))(last.params)
        norm = largest(grad)
        lane_objective = _lanes.one(inputs.data.x, inputs.data.targets, inputs.data.weights, inputs.l2)
        evidence = _lanes.evidence(lane_objective, _lanes.scores(lane_objective.x, _lanes.lane(*last.params)))
        return outcome(inputs, last.params, at, value, norm, _lanes.minimum(lane_objective.l2, evidence))

    def _going(self, inputs: SolverInputs, carry: Carry) -> Array:
        going = (carry.step < self.max_steps) & jnp.isfinite(carry.value)
        # With minibatches `carry.grad` is the gradient of a batch: only the number of steps ends the loop.
        if self.batch_size is not None:
            return going
        return going & (largest(carry.grad) > inputs.tolerance.below(carry.value))

    def _pause(self, inputs: SolverInputs, carry: Carry) -> Progress:
        kept = carry._replace(history=jnp.zeros(()))
        return Progress(carry.step, self._going(inputs, carry), carry.history, kept)

    def _full_step(self, inputs: SolverInputs, carry: Carry) -> Carry:
        full = _full(inputs)
        updates, state = permissive(self.optimizer).update(
            carry.grad, carry.state, carry.params, value=carry.value, grad=carry.grad, value_fn=full
        )
        params = cast("Params", optax.apply_updates(carry.params, updates))
        value, grad = _evaluate(full, params, state)
        step = carry.step + 1
        history = carry.history.at[step].set(value)
        return carry._replace(params=params, state=state, value=value, grad=grad, history=history, step=step)

    def _batch_step(self, inputs: SolverInputs, carry: Carry) -> Carry:
        batch_size = cast("int", self.batch_size)
        per_epoch = self.rows // batch_size
        epoch, position = carry.step // per_epoch, carry.step % per_epoch
        order = lax.cond(position == 0, lambda: shuffled(inputs.key, epoch, self.rows), lambda: carry.order)
        chosen = lax.dynamic_slice(order, (position * batch_size,), (batch_size,))
        batch = Data(*(jnp.take(a, chosen, axis=0) for a in inputs.data))
        after = batch_step(self.optimizer, inputs.l2, batch, carry)
        return after._replace(order=order, history=carry.history.at[after.step].set(after.value))


def _full(inputs: SolverInputs) -> Any:
    return lambda params: objective(
        params, inputs.data.x, inputs.data.targets, l2=inputs.l2, sample_weight=inputs.data.weights
    )


def shuffled(key: Array, epoch: Array | int, rows: int) -> Array:
    """The order of the rows in an epoch."""
    return jax.random.permutation(jax.random.fold_in(key, epoch), rows).astype(jnp.int32)


def batch_step(optimizer: optax.GradientTransformation, l2: Array, batch: Data, carry: Carry) -> Carry:
    """The carry after a step on one batch; its history is not updated."""

    def of(params: Params) -> Array:
        return objective(params, batch.x, batch.targets, l2=l2, sample_weight=batch.weights)

    value, grad = jax.value_and_grad(of)(carry.params)
    updates, state = permissive(optimizer).update(grad, carry.state, carry.params, value=value, grad=grad, value_fn=of)
    params = cast("Params", optax.apply_updates(carry.params, updates))
    return carry._replace(params=params, state=state, value=value, grad=grad, step=carry.step + 1)


def permissive(optimizer: optax.GradientTransformation) -> optax.GradientTransformationExtraArgs:
    """The optimizer under JAX's default promotion: optax mixes dtypes, which fails if the caller has set "strict"."""
    extended = optax.with_extra_args_support(optimizer)

    def relaxed(function: Any) -> Any:
        @functools.wraps(function)
        def call(*args: Any, **extra: Any) -> Any:
            with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
                return function(*args, **extra)

        return call

    return optax.GradientTransformationExtraArgs(relaxed(extended.init), relaxed(extended.update))


def largest(grad: Params) -> Array:
    """Largest absolute entry of a gradient."""
    return jnp.maximum(jnp.max(jnp.abs(grad.weights)), jnp.max(jnp.abs(grad.bias)))


def _evaluate(full: Any, params: Params, state: Any) -> tuple[Array, Params]:
    """Value and gradient; if the chain ends with a line search, reuse those of its last trial.

    A transformation after the line search changes the step, and the trial is then at another point.
    """
    last = _last_of(state)
    if _is_line_search(last):
        return cast("Any", optax.value_and_grad_from_state(full)(params, state=last))
    return jax.value_and_grad(full)(params)


def _is_line_search(state: Any) -> bool:
    return isinstance(state, (optax.ScaleByZoomLinesearchState, optax.ScaleByBacktrackingLinesearchState)) and (
        state.grad is not None
    )


def _last_of(state: Any) -> Any:
    """The state of the last transformation of a chain."""
    while type(state) is tuple and state:
        state = state[-1]
    return state


def searches(state: Any) -> bool:
    """Whether any transformation of a chain is a line search, which evaluates the objective inside its update."""
    kinds = (optax.ScaleByZoomLinesearchState, optax.ScaleByBacktrackingLinesearchState)
    leaves = jax.tree.leaves(state, is_leaf=lambda s: isinstance(s, kinds))
    return any(isinstance(leaf, kinds) for leaf in leaves)
