"""An optax optimizer on a source: each step reads all rows, or one batch."""

import functools
import itertools
from collections.abc import Iterator
from typing import Any, cast

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array

from jxent.regression import _lanes, _loop, _progress
from jxent.regression._lanes import LaneParams
from jxent.regression._loop import Carry
from jxent.regression._model import Params
from jxent.regression._passes import Evaluated, Passes
from jxent.regression._programs import Data, Outcome, Parts, Progress, SolverInputs, outcome
from jxent.regression._reader import Reader
from jxent.regression._sources import Chunk


class Optax(Parts):
    """The optimizer; `batch_size` None is all rows, or for a source of batches its batches."""

    def __init__(
        self,
        optimizer: optax.GradientTransformation,
        max_steps: int,
        batch_size: int | None,
        reader: Reader,
        *,
        progress: bool,
    ) -> None:
        self.optimizer, self.max_steps, self.reader, self.progress = optimizer, max_steps, reader, progress
        self.batch_size = reader.survey.longest if reader.source.ordered else batch_size

    def prepare(self, inputs: SolverInputs) -> Passes:
        """The passes."""
        state = jax.eval_shape(_loop.permissive(self.optimizer).init, inputs.start)
        if self.batch_size is None and _loop.searches(state):
            raise ValueError(
                "fit(): the line search of this optimizer evaluates all rows inside its update, which no source "
                "allows; use optimizer='lbfgs' or 'newton', or an optimizer without a line search"
            )
        return Passes(self.reader, inputs)

    def like(self, inputs: SolverInputs, prepared: Passes) -> Progress:
        """Shapes and dtypes of the result of `begin`."""
        del prepared
        return jax.eval_shape(lambda inputs: self._first(inputs, inputs.l2, inputs.start), inputs)

    def begin(self, inputs: SolverInputs, prepared: Passes) -> Progress:
        """The state before the first step."""
        evaluated = prepared.evaluate(_lanes.lane(*inputs.start))
        return self._first(inputs, evaluated.value[0], _params(evaluated.gradient))

    def advance(self, inputs: SolverInputs, prepared: Passes, at: Progress, stop: Array | int) -> Progress:
        """Update the parameters up to step number `stop`."""
        carry: Carry = at.state
        history = np.array(at.history)
        batches = (
            None
            if self.batch_size is None
            else self.reader.ahead(self._batches(inputs, int(at.steps), int(stop)), self.batch_size)
        )
        while bool(self._going(inputs, carry)) and int(carry.step) < stop:
            carry = (
                self._all_rows(prepared, carry)
                if batches is None
                else _batch(self.optimizer, inputs.l2, next(batches), carry)
            )
            history[int(carry.step)] = carry.value
            if self.progress:
                _progress.tick(inputs.bar, carry.step, carry.value)
        if batches is not None:
            batches.close()
        return Progress(carry.step, self._going(inputs, carry), jnp.asarray(history), carry)

    def finish(self, inputs: SolverInputs, prepared: Passes, at: Progress) -> Outcome:
        """The parameters, and the gradient of the objective over all rows."""
        last: Carry = at.state
        evaluated = prepared.evaluate(_lanes.lane(*last.params))
        norm = _loop.largest(_params(evaluated.gradient))
        return outcome(
            inputs, last.params, at, evaluated.value[0], norm, _lanes.minimum(prepared.l2, evaluated.evidence)
        )

    def _first(self, inputs: SolverInputs, value: Array, grad: Params) -> Progress:
        state = _loop.permissive(self.optimizer).init(inputs.start)
        nothing, none = jnp.zeros(()), jnp.zeros((), jnp.int32)
        history = jnp.zeros((self.max_steps + 1,), value.dtype).at[0].set(value)
        carry = Carry(inputs.start, state, value, grad, nothing, none, jnp.zeros((0,), jnp.int32))
        return Progress(none, self._going(inputs, carry), history, carry)

    def _going(self, inputs: SolverInputs, carry: Carry) -> Array:
        going = (carry.step < self.max_steps) & jnp.isfinite(carry.value)
        if self.batch_size is not None:
            return going
        return going & (_loop.largest(carry.grad) > inputs.tolerance.below(carry.value))

    def _all_rows(self, passes: Passes, carry: Carry) -> Carry:
        params, state = _update(self.optimizer, carry)
        evaluated: Evaluated = passes.evaluate(_lanes.lane(*params))
        return carry._replace(
            params=params, state=state, value=evaluated.value[0], grad=_params(evaluated.gradient), step=carry.step + 1
        )

    def _batches(self, inputs: SolverInputs, step: int, stop: int) -> Iterator[Chunk]:
        """The batches of steps `step` to `stop`: shuffled rows, or the batches of the source in its order."""
        source, survey = self.reader.source, self.reader.survey
        if source.ordered:
            epochs = itertools.chain.from_iterable(source.batches() for _ in itertools.count())
            yield from itertools.islice(epochs, step % survey.batches, step % survey.batches + stop - step)
            return
        size = cast("int", self.batch_size)
        per_epoch = survey.rows // size
        order, shuffled_epoch = np.zeros(0, np.int32), -1
        for i in range(step, stop):
            epoch, position = divmod(i, per_epoch)
            if epoch != shuffled_epoch:
                order, shuffled_epoch = np.asarray(_loop.shuffled(inputs.key, epoch, survey.rows)), epoch
            yield source.take(order[position * size : (position + 1) * size])


@functools.partial(jax.jit, static_argnums=0)
def _update(optimizer: optax.GradientTransformation, carry: Carry) -> tuple[Params, Any]:
    updates, state = _loop.permissive(optimizer).update(
        carry.grad, carry.state, carry.params, value=carry.value, grad=carry.grad
    )
    return cast("Params", optax.apply_updates(carry.params, updates)), state


@functools.partial(jax.jit, static_argnums=0)
def _batch(optimizer: optax.GradientTransformation, l2: Array, batch: Data, carry: Carry) -> Carry:
    batch = batch._replace(x=batch.x.astype(carry.params.weights.dtype))
    return _loop.batch_step(optimizer, l2, batch, carry)


def _params(point: LaneParams) -> Params:
    return Params(point.weights[0].T, point.bias[0])
