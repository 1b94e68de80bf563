"""Any optax optimizer as a solver of rows in memory: one `while`, over all rows or over minibatches."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, NamedTuple, cast

import jax
import jax.numpy as jnp
import optax
from jax import lax
from jaxtyping import Array

from jxent.regression import _progress
from jxent.regression._model import Params, objective
from jxent.regression.solvers import Data, Outcome, Progress, Solver, SolverInputs, compiled
from jxent.regression.solvers import objective as ob
from jxent.regression.solvers.objective import Coordinates, Minimum


class Carry(NamedTuple):
    """The state of the loop, in the coordinates of the fit.

    `evaluated` is False before value and gradient at the start; `order` is the order of the rows in this epoch.
    """

    params: Params
    state: Any
    value: Array
    grad: Params
    history: Array
    step: Array
    order: Array
    evaluated: Array


class Prepared(NamedTuple):
    """The rows in the coordinates of the fit."""

    data: Data
    coordinates: Coordinates


@dataclasses.dataclass(frozen=True)
class Optimizer(Solver):
    """An optax optimizer; `batch_size` None is all rows, and `rows` is the number of rows without padding."""

    optimizer: optax.GradientTransformation
    max_steps: int
    batch_size: int | None
    rows: int
    progress: bool
    standardize: bool = False

    @compiled
    def prepare(self, inputs: SolverInputs) -> Prepared:
        """The rows; as they came in unless they are standardised."""
        data: Data = inputs.data
        if not self.standardize:
            return Prepared(data, as_given(data.x.shape[1], data.x.dtype))
        at = ob.coordinates(data.x, data.weights, standardize=True)
        return Prepared(data._replace(x=ob.transformed(data.x, at)[:, :-1]), at)

    @compiled
    def begin(self, inputs: SolverInputs, prepared: Prepared) -> Progress:
        """The state before the first step."""
        order = jnp.zeros((0 if self.batch_size is None else self.rows,), jnp.int32)
        return self._paused(
            inputs, prepared, started(self.optimizer, inputs, prepared.coordinates, self.max_steps, order)
        )

    @compiled
    def advance(self, inputs: SolverInputs, prepared: Prepared, at: Progress, stop: Array | int) -> Progress:
        """Update the parameters up to step number `stop`."""
        data = prepared.data
        step = self._full_step if self.batch_size is None else self._batch_step

        def body(carry: Carry) -> Carry:
            after = step(inputs, data, carry)
            if self.progress:
                _progress.report(inputs.bar, self.max_steps, after.step, after.value)
            return after

        def first() -> Carry:
            value, grad = jax.value_and_grad(_of_rows(inputs.l2, data))(carry.params)
            return evaluated(carry, value, grad)

        carry: Carry = at.state._replace(history=at.history)
        carry = lax.cond(carry.evaluated, lambda: carry, first)
        last = lax.while_loop(lambda c: self._is_going(inputs, prepared, c) & (c.step < stop), body, carry)
        return self._paused(inputs, prepared, last)

    @compiled
    def finish(self, inputs: SolverInputs, prepared: Prepared, at: Progress) -> Outcome:
        """The parameters, and the gradient of the objective over all rows."""
        last: Carry = at.state
        data, value, grad = prepared.data, last.value, last.grad
        if self.batch_size is not None:
            value, grad = jax.value_and_grad(_of_rows(inputs.l2, data))(last.params)
        share = (data.weights / jnp.sum(data.weights))[None]
        x = jnp.concatenate([data.x, jnp.ones((data.x.shape[0], 1), data.x.dtype)], axis=1)
        rows = ob.lane_objective(x, prepared.coordinates, data.targets, share, inputs.l2[None])
        _, slopes = ob.losses(rows, ob.scores(x, as_point(last.params)))
        minimum = ob.minimum(inputs.l2[None], ob.all_right(rows, slopes), inputs.seen[None])
        return outcome(inputs, prepared.coordinates, last, at.history, value, grad, minimum)

    def _is_going(self, inputs: SolverInputs, prepared: Prepared, carry: Carry) -> Array:
        return is_going(inputs, prepared.coordinates, carry, self.max_steps, batches=self.batch_size is not None)

    def _paused(self, inputs: SolverInputs, prepared: Prepared, carry: Carry) -> Progress:
        going = ~carry.evaluated | self._is_going(inputs, prepared, carry)
        return Progress(carry.step, going, carry.history, carry._replace(history=jnp.zeros(())))

    def _full_step(self, inputs: SolverInputs, data: Data, carry: Carry) -> Carry:
        of = _of_rows(inputs.l2, data)
        params, state = updated(self.optimizer, carry, of)
        value, grad = _evaluate(of, params, state)
        return after_step(carry, params, state, value, grad)

    def _batch_step(self, inputs: SolverInputs, data: Data, carry: Carry) -> Carry:
        batch_size = cast("int", self.batch_size)
        per_epoch = self.rows // batch_size
        epoch, position = carry.step // per_epoch, carry.step % per_epoch
        order = lax.cond(position == 0, lambda: shuffled(inputs.key, epoch, self.rows), lambda: carry.order)
        drawn = lax.dynamic_slice(order, (position * batch_size,), (batch_size,))
        batch = Data(*(jnp.take(a, drawn, axis=0) for a in data))
        return batch_step(self.optimizer, inputs.l2, batch, carry._replace(order=order))


def as_given(features: int, dtype: Any) -> Coordinates:
    """The coordinates of features as they came in."""
    return ob.extended(jnp.zeros((features,), dtype), None)


def as_point(params: Params) -> Array:
    """Parameters in the coordinates of a fit as the point of one lane."""
    return jnp.concatenate([params.weights.T, params.bias[:, None]], axis=1)[None]


def started(
    optimizer: optax.GradientTransformation, inputs: SolverInputs, at: Coordinates, max_steps: int, order: Array
) -> Carry:
    """The state before value and gradient at the start."""
    point = ob.to_point(inputs.start, at)[0]
    params = Params(point[:, :-1].T, point[:, -1])
    zero = jnp.zeros((), params.bias.dtype)
    nothing = jax.tree.map(jnp.zeros_like, params)
    history = jnp.zeros((max_steps + 1,), zero.dtype)
    state = permissive(optimizer).init(params)
    return Carry(params, state, zero, nothing, history, jnp.zeros((), jnp.int32), order, jnp.zeros((), bool))


def evaluated(carry: Carry, value: Array, grad: Params) -> Carry:
    """The state with value and gradient at the start."""
    history = carry.history.at[0].set(value) if carry.history.ndim else carry.history
    return carry._replace(value=value, grad=grad, history=history, evaluated=jnp.ones((), bool))


def after_step(carry: Carry, params: Params, state: Any, value: Array, grad: Params) -> Carry:
    """The state after a step to these parameters."""
    step = carry.step + 1
    history = carry.history.at[step].set(value) if carry.history.ndim else carry.history
    return carry._replace(params=params, state=state, value=value, grad=grad, history=history, step=step)


def updated(
    optimizer: optax.GradientTransformation, carry: Carry, value_fn: Callable[[Params], Array] | None = None
) -> tuple[Params, Any]:
    """Parameters and state of the optimizer after an update by the gradient of the state."""
    extra = {} if value_fn is None else {"value_fn": value_fn}
    updates, state = permissive(optimizer).update(
        carry.grad, carry.state, carry.params, value=carry.value, grad=carry.grad, **extra
    )
    return cast("Params", optax.apply_updates(carry.params, updates)), state


def batch_step(optimizer: optax.GradientTransformation, l2: Array, batch: Data, carry: Carry) -> Carry:
    """The state after a step by the gradient of one batch."""
    of = _of_rows(l2, batch)
    value, grad = jax.value_and_grad(of)(carry.params)
    params, state = updated(optimizer, carry._replace(value=value, grad=grad), of)
    return after_step(carry, params, state, value, grad)


def is_going(inputs: SolverInputs, at: Coordinates, carry: Carry, max_steps: int, *, batches: bool) -> Array:
    """Whether there is a step to make."""
    going = (carry.step < max_steps) & jnp.isfinite(carry.value)
    # With minibatches `carry.grad` is the gradient of a batch: only the number of steps ends the loop.
    if batches:
        return going
    return going & (ob.largest(at, as_point(carry.grad))[0] > inputs.tolerance.below(carry.value))


def outcome(
    inputs: SolverInputs,
    at: Coordinates,
    last: Carry,
    history: Array,
    value: Array,
    grad: Params,
    minimum: Minimum,
) -> Outcome:
    """The outcome of the last step, with value and gradient over all rows."""
    norm = ob.largest(at, as_point(grad))[0]
    small = (norm <= inputs.tolerance.below(value)) & jnp.isfinite(value) & jnp.isfinite(history[last.step])
    weights, bias = ob.from_point(as_point(last.params), at)
    return Outcome(
        Params(weights[0].T, bias[0]),
        history,
        norm,
        last.step,
        small & minimum.exists[0],
        value,
        minimum.separated[0],
        minimum.unseen[0],
    )


def _of_rows(l2: Array, data: Data) -> Callable[[Params], Array]:
    """The objective of these rows."""
    return lambda params: objective(params, data.x, data.targets, l2=l2, sample_weight=data.weights)


def shuffled(key: Array, epoch: Array | int, rows: int) -> Array:
    """The order of the rows in an epoch."""
    return jax.random.permutation(jax.random.fold_in(key, epoch), rows).astype(jnp.int32)


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


def _evaluate(of: Any, params: Params, state: Any) -> tuple[Array, Params]:
    """Value and gradient; if the chain ends with a line search, reuse those of its last trial.

    A transformation after the line search changes the step, and the trial is then at another point.
    """
    last = _last_of(state)
    if isinstance(last, LINE_SEARCHES) and last.grad is not None:
        return cast("Any", optax.value_and_grad_from_state(of)(params, state=last))
    return jax.value_and_grad(of)(params)


LINE_SEARCHES = (optax.ScaleByZoomLinesearchState, optax.ScaleByBacktrackingLinesearchState)


def _last_of(state: Any) -> Any:
    """The state of the last transformation of a chain."""
    while type(state) is tuple and state:
        state = state[-1]
    return state


def searches(state: Any) -> bool:
    """Whether any transformation of a chain is a line search, which evaluates the objective inside its update."""
    leaves = jax.tree.leaves(state, is_leaf=lambda s: isinstance(s, LINE_SEARCHES))
    return any(isinstance(leaf, LINE_SEARCHES) for leaf in leaves)
