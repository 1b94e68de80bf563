"""Solvers for data that are read while they run.

Every step is decided between passes over the rows, by the rules that hold where the data are in memory: the directions
of `_lbfgs` and `_newton`, the bracket of `_search`, the tally of `_descent`. The curvature that both take as their
first guess is that of a sample of the rows.
"""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from jxent.regression import _curvature, _lanes, _lbfgs, _newton, _progress, _search
from jxent.regression._descent import Tally
from jxent.regression._lanes import Evidence, Point, Task
from jxent.regression._model import Params
from jxent.regression._passes import Evaluated, Passes
from jxent.regression._programs import Given, Outcome, Parts, Progress, outcome
from jxent.regression._reader import Reader


class Place(NamedTuple):
    """Where a solver is between two steps, and what it remembers."""

    point: Point
    gradient: Point
    tally: Tally
    found: Evidence
    turn: Array
    memory: Any


class Prepared(NamedTuple):
    """The passes, and the sample that curvature is estimated from; None where blocks do not pay."""

    passes: Passes
    sample: Task | None


class Named(Parts):
    """L-BFGS or Newton."""

    def __init__(self, name: str, max_steps: int, reader: Reader, *, progress: bool) -> None:
        self.name, self.max_steps, self.reader, self.progress = name, max_steps, reader, progress

    def prepare(self, given: Given) -> Prepared:
        """The sample."""
        passes = Passes(self.reader, given)
        if not _curvature.worth(self.reader.survey.features, self.reader.classes):
            return Prepared(passes, None)
        return Prepared(passes, _sampled(self.reader.classes, *self.reader.sample(), given.l2))

    def like(self, given: Given, prepared: Prepared) -> Progress:
        """The shapes of `begin`, without a pass."""
        point = _lanes.lane(*given.start)
        found = Evaluated(
            given.l2[None], point, Evidence(jnp.ones((1,), bool), jnp.ones((1, self.reader.classes), bool))
        )
        guess = None if prepared.sample is None else jax.eval_shape(_guess, prepared.sample, point)
        return jax.eval_shape(self._first, given, found, point, guess)

    def begin(self, given: Given, prepared: Prepared) -> Progress:
        """At the start; for L-BFGS with the curvature along the first direction."""
        point = _lanes.lane(*given.start)
        found = prepared.passes.evaluate(point)
        guess = None if prepared.sample is None else _guess(prepared.sample, point)
        curved = point
        if self.name == "lbfgs":
            curved = prepared.passes.product(point, _curvature.applied(guess, found.gradient))
        return self._first(given, found, curved, guess)

    def _first(self, given: Given, found: Evaluated, curved: Point, guess: _curvature.Inverse | None) -> Progress:
        if self.name == "lbfgs":
            memory = _lbfgs.remembered(guess, found.gradient, curved)
        else:
            size = _lanes.dot(found.gradient, _curvature.applied(guess, found.gradient))
            memory = _newton.Memory(size, guess, jnp.zeros((), jnp.int32))
        tally = Tally.of(found.value, _lanes.largest(found.gradient))
        history = jnp.zeros((self.max_steps + 1,), found.value.dtype).at[0].set(found.value[0])
        place = Place(_lanes.lane(*given.start), found.gradient, tally, found.found, jnp.zeros((), jnp.int32), memory)
        return self._pause(given, place, history)

    def _pause(self, given: Given, place: Place, history: Array) -> Progress:
        going = place.tally.is_active(given.tolerance, self.max_steps)[0]
        return Progress(place.tally.steps[0], going, history, place)

    def advance(self, given: Given, prepared: Prepared, at: Progress, stop: Array | int) -> Progress:
        """Step until `stop` steps are made or none is left."""
        history = np.array(at.history)
        while bool(at.going) and int(at.steps) < stop:
            place = self._step(prepared, at.state)
            history[int(place.tally.steps[0])] = place.tally.value[0]
            at = self._pause(given, place, at.history)
            if self.progress:
                _progress.tick(given.bar, at.steps, place.tally.value[0])
        return at._replace(history=jnp.asarray(history))

    def finish(self, given: Given, prepared: Prepared, at: Progress) -> Outcome:
        """The parameters, and whether they are those of a minimum."""
        place: Place = at.state
        minimum = _lanes.minimum(prepared.passes.l2, place.found)
        params = Params(place.point.weights[0].T, place.point.bias[0])
        return outcome(given, params, at, place.tally.value[0], place.tally.norm[0], minimum)

    def _step(self, prepared: Prepared, place: Place) -> Place:
        direction, memory = self._direction(prepared, place)
        success, found, point = self._search(prepared.passes, place, direction)
        made = jnp.asarray([success])
        tally = place.tally.after(found.value, _lanes.largest(found.gradient), made, jnp.ones((1,), bool))
        if self.name == "lbfgs":
            memory = _learn(memory, place, point, found.gradient, made)
        return Place(point, found.gradient, tally, found.found, place.turn + 1, memory)

    def _direction(self, prepared: Prepared, place: Place) -> tuple[Point, Any]:
        memory = place.memory
        again = (
            int(place.turn) > 0 and int(place.turn) % _lbfgs.REFRESH == 0
            if self.name == "lbfgs"
            else int(memory.cost) > _newton.REFRESH
        )
        if again and prepared.sample is not None:
            memory = memory._replace(guess=_guess(prepared.sample, place.point))
        if self.name == "lbfgs":
            return _downhill(memory, place.gradient), memory
        active = jnp.ones((1,), bool)
        carry, enough = _begun(place.gradient, memory.guess, memory.first)
        while bool(carry.active[0]) and int(carry.made) < _newton.PRODUCTS:
            product = prepared.passes.product(place.point, carry.search)
            carry = _advanced(carry, memory.guess, enough, product)
        direction, _ = _newton.downhill(carry.direction, place.gradient, active)
        return direction, memory._replace(cost=carry.made)

    def _search(self, passes: Passes, place: Place, direction: Point) -> tuple[bool, Evaluated, Point]:
        """A step that meets Wolfe's conditions, with a pass for each trial; without one the place as it is."""
        slope = _lanes.dot(place.gradient, direction)
        nothing = jnp.zeros(())
        line = _search.Line(place.point, nothing, direction, nothing, place.tally.value, slope)
        bracket, t = _search.opened(line), jnp.ones_like(slope)
        for _ in range(_search.TRIALS if bool(slope[0] < 0) else 0):
            point = _lanes.moved(place.point, t, direction)
            found = passes.evaluate(point)
            verdict = _judge(line, bracket, t, found.value, _lanes.dot(found.gradient, direction))
            if bool(verdict.accepted[0]):
                return True, found, point
            bracket, t = verdict.bracket, verdict.step
        return False, Evaluated(place.tally.value, place.gradient, place.found), place.point


@jax.jit
def _guess(sample: Task, point: Point) -> _curvature.Inverse:
    _, slope = _lanes.losses(sample, _lanes.scores(sample.x, point))
    return _curvature.inverse(sample, _lanes.probabilities(sample, slope))


@functools.partial(jax.jit, static_argnums=0)
def _sampled(classes: int, x: Array, targets: Array, weights: Array, l2: Array) -> Task:
    return _lanes.one(x, targets, weights, l2, _curvature.basis(x, classes))


@jax.jit
def _learn(memory: _lbfgs.Memory, place: Place, point: Point, gradient: Point, made: Array) -> _lbfgs.Memory:
    move = jax.tree.map(jnp.subtract, point, place.point)
    change = jax.tree.map(jnp.subtract, gradient, place.gradient)
    return _lbfgs.Lbfgs().learn(memory, move, change, made)


_downhill = jax.jit(_lbfgs.downhill)
_judge = jax.jit(_search.judge)


@jax.jit
def _begun(gradient: Point, guess: Any, first: Array) -> tuple[_newton.Conjugate, Array]:
    return _newton.begun(gradient, guess, first, jnp.ones((1,), bool), None)


@jax.jit
def _advanced(carry: _newton.Conjugate, guess: Any, enough: Array, product: Point) -> _newton.Conjugate:
    return _newton.advanced(carry, guess, enough, product, None)
