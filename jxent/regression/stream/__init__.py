"""Fits of rows that are read while they run: the steps of `solvers`, over sums of chunks.

Every value, gradient or Hessian-vector product is a pass over the rows. The preconditioner comes from a sample of them.
"""

import functools
import itertools
from collections.abc import Iterator
from typing import Any, NamedTuple, cast

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.typing import DTypeLike
from jaxtyping import Array

from jxent.regression import _progress
from jxent.regression._model import Params
from jxent.regression.solvers import Data, Outcome, Progress, Solver, SolverInputs, descent, optimizer, preconditioner
from jxent.regression.solvers import objective as ob
from jxent.regression.solvers import outcome as outcome_of_lane
from jxent.regression.solvers import paused as paused_lane
from jxent.regression.solvers.descent import Answer, LaneState, Tolerance, Turn
from jxent.regression.solvers.directions import METHODS
from jxent.regression.solvers.objective import Coordinates, LaneObjective, Minimum
from jxent.regression.solvers.optimizer import Carry
from jxent.regression.stream.reader import Reader
from jxent.regression.stream.sources import Chunk


class Sums(NamedTuple):
    """Sums over the rows read so far, and their rounding errors."""

    total: Any
    lost: Any


def _added(sums: Sums, term: Any) -> Sums:
    """The sums plus a term, by Kahan's compensated summation: the error does not grow with the number of chunks."""
    y = jax.tree.map(jnp.subtract, term, sums.lost)
    total = jax.tree.map(jnp.add, sums.total, y)
    return Sums(total, jax.tree.map(lambda new, old, y: (new - old) - y, total, sums.total, y))


class Totals(NamedTuple):
    """Coordinates, 1 over the sum of the weights of all rows, and the penalty `[1]`: the same for every chunk."""

    coordinates: Coordinates
    per_weight: Array
    l2: Array

    def of(self, data: Data, dtype: DTypeLike) -> LaneObjective:
        """The objective of some rows."""
        x = ob.transformed(data.x.astype(dtype), self.coordinates)
        return ob.lane_objective(x, self.coordinates, data.targets, (data.weights * self.per_weight)[None], self.l2)


@jax.jit
def _evaluate(point: Array, totals: Totals, data: Data, sums: Sums) -> Sums:
    rows = totals.of(data, point.dtype)
    losses, slopes = ob.losses(rows, ob.scores(rows.x, point))
    share = rows.share
    return _added(sums, (jnp.sum(share * losses, axis=1), ob.scores_vjp(rows.x, share[:, None, :] * slopes)))


@jax.jit
def _multiply(point: Array, direction: Array, totals: Totals, data: Data, sums: Sums) -> Sums:
    rows = totals.of(data, point.dtype)
    _, slopes = ob.losses(rows, ob.scores(rows.x, point))
    curved = ob.curvature(rows, slopes, ob.scores(rows.x, direction))
    return _added(sums, ob.scores_vjp(rows.x, rows.share[:, None, :] * curved))


@jax.jit
def _all_right(point: Array, totals: Totals, data: Data, right: Array) -> Array:
    rows = totals.of(data, point.dtype)
    _, slopes = ob.losses(rows, ob.scores(rows.x, point))
    return right & ob.all_right(rows, slopes)


class Rows(NamedTuple):
    """The functions of all rows that a solver needs; each call is a pass."""

    reader: Reader
    totals: Totals

    def evaluate(self, point: Array) -> Answer:
        """Objective and gradient."""
        sums = _nothing((self.totals.l2, point))
        for data in self.reader.chunks():
            sums = _evaluate(point, self.totals, data, sums)
        value, gradient = _penalised(self.totals.l2, point, *sums.total)
        return Answer(value, gradient, None)

    def product(self, state: LaneState, direction: Array) -> Answer:
        """The Hessian-vector product with a direction."""
        sums = _nothing(direction)
        for data in self.reader.chunks():
            sums = _multiply(state.point, direction, self.totals, data, sums)
        _, product = _penalised(self.totals.l2, direction, self.totals.l2, sums.total)
        return Answer(state.convergence.value, product, None)

    def minimum(self, point: Array, seen: Array) -> Minimum:
        """Whether the objective has a minimum; without a penalty this takes a pass."""
        right = jnp.ones((1,), bool)
        if float(self.totals.l2[0]) == 0:
            for data in self.reader.chunks():
                right = _all_right(point, self.totals, data, right)
        return ob.minimum(self.totals.l2, right, seen[None])


def _nothing(like: Any) -> Sums:
    zero = jax.tree.map(jnp.zeros_like, like)
    return Sums(zero, zero)


@jax.jit
def _penalised(l2: Array, point: Array, value: Array, data: Array) -> tuple[Array, Array]:
    """Value and gradient of the objective from those of the losses."""
    penalty = ob.of_weights(l2, point.shape[2])
    return value + ob.squares(penalty, point), ob.balanced(data) + penalty[:, None, :] * point


def rows_of(reader: Reader, inputs: SolverInputs, coordinates: Coordinates) -> Rows:
    """The rows of a reader."""
    return Rows(reader, Totals(coordinates, jnp.asarray(1.0 / reader.survey.weight, reader.dtype), inputs.l2[None]))


class Prepared(NamedTuple):
    """The rows, and a sample of them for the preconditioner."""

    rows: Rows
    sample: LaneObjective


class Descent(Solver):
    """A built-in solver on a source."""

    def __init__(self, name: str, max_steps: int, reader: Reader, *, progress: bool, standardize: bool) -> None:
        self.name, self.max_steps, self.reader = name, max_steps, reader
        self.progress, self.standardize = progress, standardize

    def prepare(self, inputs: SolverInputs) -> Prepared:
        """The rows and the sample."""
        at = self.reader.coordinates(standardize=self.standardize)
        sample = _sampled(self.reader.classes, at, self.reader.sample(), inputs.l2)
        return Prepared(rows_of(self.reader, inputs, at), sample)

    def begin(self, inputs: SolverInputs, prepared: Prepared) -> Progress:
        """The state before the first step."""
        return _begun(self.name, self.max_steps, inputs, prepared.sample)

    def advance(self, inputs: SolverInputs, prepared: Prepared, at: Progress, stop: Array | int) -> Progress:
        """Descend up to step number `stop`."""
        history = np.array(at.history)
        state: LaneState = at.state
        while bool(_is_going(self.max_steps, state, inputs.tolerance, stop)):
            point, along = _asked(self.name, prepared.sample, state)
            if along is not None and bool(along[0]):
                answer = prepared.rows.product(state, point)
            else:
                answer = prepared.rows.evaluate(point)
            state = _told(self.name, self.max_steps, prepared.sample, state, point, answer, inputs.tolerance)
            steps, value = state.convergence.steps[0], state.convergence.value[0]
            history[int(steps)] = value
            if self.progress:
                _progress.tick(inputs.bar, steps, value)
        return paused_lane(inputs, state, self.max_steps)._replace(history=jnp.asarray(history))

    def finish(self, inputs: SolverInputs, prepared: Prepared, at: Progress) -> Outcome:
        """The parameters, and whether the objective has a minimum."""
        state: LaneState = at.state
        minimum = prepared.rows.minimum(state.point, inputs.seen)
        return outcome_of_lane(inputs, prepared.sample, state, at.history, minimum)


@functools.partial(jax.jit, static_argnums=0)
def _sampled(classes: int, at: Coordinates, data: Data, l2: Array) -> LaneObjective:
    x = ob.transformed(data.x, at)
    share = (data.weights / jnp.sum(data.weights))[None]
    return ob.lane_objective(x, at, data.targets, share, l2[None], preconditioner.basis(x, classes))


@functools.partial(jax.jit, static_argnums=(0, 1))
def _begun(name: str, max_steps: int, inputs: SolverInputs, sample: LaneObjective) -> Progress:
    point = ob.to_point(inputs.start, sample.coordinates)
    state = descent.begin(METHODS[name](), sample, point, 0, in_memory=False)
    progress = paused_lane(inputs, state, max_steps)
    return progress._replace(history=jnp.zeros((max_steps + 1,), point.dtype))


@functools.partial(jax.jit, static_argnums=0)
def _is_going(max_steps: int, state: LaneState, tolerance: Tolerance, stop: Array | int) -> Array:
    return descent.is_going(state, tolerance, max_steps, stop)


@functools.partial(jax.jit, static_argnums=0)
def _asked(name: str, sample: LaneObjective, state: LaneState) -> tuple[Array, Array | None]:
    return METHODS[name]().ask(sample, state)


@functools.partial(jax.jit, static_argnums=(0, 1))
def _told(
    name: str,
    max_steps: int,
    sample: LaneObjective,
    state: LaneState,
    point: Array,
    answer: Answer,
    tolerance: Tolerance,
) -> LaneState:
    state = state._replace(history=jnp.zeros((0,), point.dtype))
    return METHODS[name]().tell(sample, state, Turn(point, answer, tolerance, max_steps))


class Optimizer(Solver):
    """An optax optimizer on a source; `batch_size` None is all rows, or for a source of batches its batches."""

    def __init__(
        self,
        optimizer: optax.GradientTransformation,
        max_steps: int,
        batch_size: int | None,
        reader: Reader,
        *,
        progress: bool,
        standardize: bool,
    ) -> None:
        self.optimizer, self.max_steps, self.reader = optimizer, max_steps, reader
        self.progress, self.standardize = progress, standardize
        self.batch_size = reader.survey.longest if reader.source.ordered else batch_size

    def prepare(self, inputs: SolverInputs) -> Rows:
        """The rows."""
        state = jax.eval_shape(optimizer.permissive(self.optimizer).init, inputs.start)
        if self.batch_size is None and optimizer.searches(state):
            raise ValueError(
                "fit(): the line search of this optimizer evaluates all rows inside its update, which no source "
                "allows; use optimizer='lbfgs' or 'newton', or an optimizer without a line search"
            )
        at = optimizer.as_given(self.reader.survey.features, self.reader.dtype)
        return rows_of(self.reader, inputs, self.reader.coordinates(standardize=True) if self.standardize else at)

    def begin(self, inputs: SolverInputs, prepared: Rows) -> Progress:
        """The state before the first step."""
        order = jnp.zeros((0,), jnp.int32)
        carry = optimizer.started(self.optimizer, inputs, prepared.totals.coordinates, self.max_steps, order)
        return self._paused(inputs, prepared, carry._replace(history=jnp.zeros(())), carry.history)

    def advance(self, inputs: SolverInputs, prepared: Rows, at: Progress, stop: Array | int) -> Progress:
        """Update the parameters up to step number `stop`."""
        carry: Carry = at.state
        history = np.array(at.history)
        if not bool(carry.evaluated):
            carry = optimizer.evaluated(carry, *_value_and_grad(prepared, carry.params))
            history[0] = carry.value
        batches = None
        if self.batch_size is not None:
            read = self._batches(inputs, int(at.steps), int(stop))
            batches = self.reader.ahead(read, self.batch_size)
        while bool(self._is_going(inputs, prepared, carry)) and int(carry.step) < stop:
            if batches is None:
                params, state = _updated(self.optimizer, carry)
                carry = optimizer.after_step(carry, params, state, *_value_and_grad(prepared, params))
            else:
                carry = _batch(self.optimizer, prepared.totals, next(batches), carry)
            history[int(carry.step)] = carry.value
            if self.progress:
                _progress.tick(inputs.bar, carry.step, carry.value)
        if batches is not None:
            batches.close()
        return self._paused(inputs, prepared, carry, jnp.asarray(history))

    def finish(self, inputs: SolverInputs, prepared: Rows, at: Progress) -> Outcome:
        """The parameters, and the gradient of the objective over all rows."""
        last: Carry = at.state
        value, grad = last.value, last.grad
        if self.batch_size is not None:
            value, grad = _value_and_grad(prepared, last.params)
        minimum = prepared.minimum(optimizer.as_point(last.params), inputs.seen)
        return optimizer.outcome(inputs, prepared.totals.coordinates, last, at.history, value, grad, minimum)

    def _is_going(self, inputs: SolverInputs, prepared: Rows, carry: Carry) -> Array:
        at, batches = prepared.totals.coordinates, self.batch_size is not None
        return optimizer.is_going(inputs, at, carry, self.max_steps, batches=batches)

    def _paused(self, inputs: SolverInputs, prepared: Rows, carry: Carry, history: Array) -> Progress:
        going = ~carry.evaluated | self._is_going(inputs, prepared, carry)
        return Progress(carry.step, going, history, carry)

    def _batches(self, inputs: SolverInputs, step: int, stop: int) -> Iterator[Chunk]:
        """The batches of steps `step` to `stop`: shuffled rows, or the batches of the source in its order."""
        source, survey = self.reader.source, self.reader.survey
        if source.ordered:
            epochs = itertools.chain.from_iterable(self.reader.complete(source.batches()) for _ in itertools.count())
            yield from itertools.islice(epochs, step % survey.batches, step % survey.batches + stop - step)
            return
        size = cast("int", self.batch_size)
        per_epoch = survey.rows // size
        order, shuffled_epoch = np.zeros(0, np.int32), -1
        for i in range(step, stop):
            epoch, position = divmod(i, per_epoch)
            if epoch != shuffled_epoch:
                order, shuffled_epoch = np.asarray(optimizer.shuffled(inputs.key, epoch, survey.rows)), epoch
            yield source.take(order[position * size : (position + 1) * size])


def _value_and_grad(rows: Rows, params: Params) -> tuple[Array, Params]:
    """Objective and gradient of all rows at parameters in the coordinates of the fit."""
    value, gradient, _ = rows.evaluate(optimizer.as_point(params))
    return value[0], Params(gradient[0, :, :-1].T, gradient[0, :, -1])


@functools.partial(jax.jit, static_argnums=0)
def _updated(of: optax.GradientTransformation, carry: Carry) -> tuple[Params, Any]:
    return optimizer.updated(of, carry)


@functools.partial(jax.jit, static_argnums=0)
def _batch(of: optax.GradientTransformation, totals: Totals, batch: Data, carry: Carry) -> Carry:
    x = ob.transformed(batch.x.astype(carry.params.weights.dtype), totals.coordinates)[:, :-1]
    return optimizer.batch_step(of, totals.l2[0], batch._replace(x=x), carry)
