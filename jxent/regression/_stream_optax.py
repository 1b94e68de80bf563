"""An optax optimizer on data that are read while it runs: all rows for each step, or one batch."""

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
from jxent.regression._lanes import Point
from jxent.regression._loop import Carry
from jxent.regression._model import Params
from jxent.regression._passes import Evaluated, Passes
from jxent.regression._programs import Data, Given, Outcome, Parts, Progress, outcome
from jxent.regression._reader import Reader
from jxent.regression._sources import Chunk


class Optax(Parts):
    """The optimizer; `batch_size` None is all rows, or the batches of a source that gives them."""

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

    def prepare(self, given: Given) -> Passes:
        """Nothing but the passes."""
        state = jax.eval_shape(_loop.permissive(self.optimizer).init, given.start)
        if self.batch_size is None and _loop.searches(state):
            raise ValueError(
                "fit(): the line search of this optimizer evaluates all rows inside its update, which no source "
                "allows; use optimizer='lbfgs' or 'newton', or an optimizer without a line search"
            )
        return Passes(self.reader, given)

    def like(self, given: Given, prepared: Passes) -> Progress:
        """The shapes of `begin`."""
        del prepared
        return jax.eval_shape(lambda given: self._first(given, given.l2, given.start), given)

    def begin(self, given: Given, prepared: Passes) -> Progress:
        """At the start."""
        found = prepared.evaluate(_lanes.lane(*given.start))
        return self._first(given, found.value[0], _params(found.gradient))

    def advance(self, given: Given, prepared: Passes, at: Progress, stop: Array | int) -> Progress:
        """Update the parameters until `stop` steps are made."""
        carry: Carry = at.state
        history = np.array(at.history)
        batches = (
            None
            if self.batch_size is None
            else self.reader.ahead(self._batches(given, int(at.steps), int(stop)), self.batch_size)
        )
        while bool(self._going(given, carry)) and int(carry.step) < stop:
            carry = (
                self._all_rows(prepared, carry)
                if batches is None
                else _batch(self.optimizer, given.l2, next(batches), carry)
            )
            history[int(carry.step)] = carry.value
            if self.progress:
                _progress.tick(given.bar, carry.step, carry.value)
        if batches is not None:
            batches.close()
        return Progress(carry.step, self._going(given, carry), jnp.asarray(history), carry)

    def finish(self, given: Given, prepared: Passes, at: Progress) -> Outcome:
        """The parameters, with the gradient of the full objective."""
        last: Carry = at.state
        found = prepared.evaluate(_lanes.lane(*last.params))
        norm = _loop.largest(_params(found.gradient))
        return outcome(given, last.params, at, found.value[0], norm, _lanes.minimum(prepared.l2, found.found))

    def _first(self, given: Given, value: Array, grad: Params) -> Progress:
        state = _loop.permissive(self.optimizer).init(given.start)
        nothing, none = jnp.zeros(()), jnp.zeros((), jnp.int32)
        history = jnp.zeros((self.max_steps + 1,), value.dtype).at[0].set(value)
        carry = Carry(given.start, state, value, grad, nothing, none, jnp.zeros((0,), jnp.int32))
        return Progress(none, self._going(given, carry), history, carry)

    def _going(self, given: Given, carry: Carry) -> Array:
        going = (carry.step < self.max_steps) & jnp.isfinite(carry.value)
        if self.batch_size is not None:
            return going
        return going & (_loop.largest(carry.grad) > given.tolerance.below(carry.value))

    def _all_rows(self, passes: Passes, carry: Carry) -> Carry:
        params, state = _update(self.optimizer, carry)
        found: Evaluated = passes.evaluate(_lanes.lane(*params))
        return carry._replace(
            params=params, state=state, value=found.value[0], grad=_params(found.gradient), step=carry.step + 1
        )

    def _batches(self, given: Given, step: int, stop: int) -> Iterator[Chunk]:
        """The batches of steps `step` to `stop`: of an epoch in the order of the key, or as the source gives them."""
        source, survey = self.reader.source, self.reader.survey
        if source.ordered:
            epochs = itertools.chain.from_iterable(source.batches() for _ in itertools.count())
            yield from itertools.islice(epochs, step % survey.batches, step % survey.batches + stop - step)
            return
        size = cast("int", self.batch_size)
        per_epoch = survey.rows // size
        order, known = np.zeros(0, np.int32), -1
        for i in range(step, stop):
            epoch, position = divmod(i, per_epoch)
            if epoch != known:
                order, known = np.asarray(_loop.shuffled(given.key, epoch, survey.rows)), epoch
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


def _params(point: Point) -> Params:
    return Params(point.weights[0].T, point.bias[0])
