"""From the arguments of a fit to what is fitted and by which solver: of arrays in memory, or of a source."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax.typing import DTypeLike
from jaxtyping import Array

from jxent._checks import Numbers
from jxent.regression import (
    _identity,
    _loop,
    _mesh,
    _programs,
    _reader,
    _solvers,
    _stream,
    _stream_optax,
    _tolerance,
    _validate,
)
from jxent.regression._model import Params, init
from jxent.regression._validate import ClassWeight


class Steer(NamedTuple):
    """How to fit."""

    solver: str | optax.GradientTransformation
    max_steps: int
    batch_size: int | None
    progress: bool
    layout: _mesh.Layout | None


class Job(NamedTuple):
    """What to fit: where to start, the data if they are arrays, and the solver in parts and, if that can be, whole."""

    start: Params
    data: _programs.Data | None
    largest: Array
    whole: _programs.Solver | None
    parts: _programs.Parts
    digest: Callable[[], str]


def of_arrays(
    steer: Steer,
    x: Any,
    labels: Numbers | None,
    sample_weight: Numbers | None,
    class_weight: ClassWeight,
    *,
    num_classes: int | None,
    params: Params | None,
) -> Job:
    """The job of arrays, checked and placed."""
    layout = steer.layout
    if labels is None:
        raise ValueError("fit(): `labels` are missing; only a source may hold them itself")
    if layout is not None and jax.process_count() > 1:
        _refuse_in_processes(steer, class_weight)
    with _mesh.beside_the_devices(layout):
        problem = _validate.problem(x, labels, sample_weight, num_classes, class_weight)
    data, rows = problem.data, problem.x.shape[0]
    if steer.batch_size is not None:
        _validate.whole("batch_size", steer.batch_size, 1, rows)
    classes = problem.num_classes if layout is None else _mesh.agreed(problem.num_classes)
    start = _start(params, problem.x.shape[1], classes, problem.x.dtype, layout)
    placed = data if layout is None else layout.placed(data)
    if isinstance(steer.solver, str):
        whole = _solvers.Named(steer.solver, steer.max_steps, steer.progress)
    else:
        whole = _loop.Optax(steer.solver, steer.max_steps, steer.batch_size, rows, steer.progress)
    largest = _tolerance.largest(placed.x)
    return Job(
        start, placed, largest, whole, _programs.Compiled(whole), lambda: _mesh.agreed_digest(_identity.digest(data))
    )


def _refuse_in_processes(steer: Steer, class_weight: ClassWeight) -> None:
    """What one process cannot know of the rows that the others hold."""
    if steer.batch_size is not None:
        raise ValueError(
            "fit(): batch_size= draws from all rows, of which each of several processes holds some; leave it out, or "
            "fit in one process"
        )
    if isinstance(class_weight, str):
        raise ValueError(
            "fit(): class_weight='balanced' counts all rows, of which each of several processes holds some; give the K "
            "weights as numbers"
        )


def of_source(
    steer: Steer,
    x: Any,
    labels: Numbers | None,
    sample_weight: Numbers | None,
    class_weight: ClassWeight,
    *,
    num_classes: int | None,
    chunk_size: int | None,
    params: Params | None,
    digested: bool,
) -> Job:
    """The job of a source, after one reading of it."""
    if jax.process_count() > 1:
        raise ValueError("fit(): a source is read by one process; in several give each the rows it holds as arrays")
    reader = _reader.reader(
        x,
        labels,
        sample_weight,
        class_weight,
        num_classes=num_classes,
        chunk_size=chunk_size,
        params=params,
        layout=steer.layout,
        digested=digested,
    )
    start = _start(params, reader.survey.features, reader.classes, reader.dtype, steer.layout)
    if isinstance(steer.solver, str):
        parts = _stream.Named(steer.solver, steer.max_steps, reader, progress=steer.progress)
    else:
        if steer.batch_size is not None:
            if reader.source.ordered:
                raise ValueError("fit(): the batches of this source are the minibatches; leave batch_size= out")
            _validate.whole("batch_size", steer.batch_size, 1, reader.survey.rows)
        parts = _stream_optax.Optax(steer.solver, steer.max_steps, steer.batch_size, reader, progress=steer.progress)
    largest = jnp.asarray(reader.survey.largest, reader.dtype)
    return Job(start, None, largest, None, parts, lambda: reader.digest)


def _start(params: Params | None, features: int, classes: int, dtype: DTypeLike, layout: _mesh.Layout | None) -> Params:
    if params is None:
        start = init(features, classes, dtype=dtype)
    else:
        start = _validate.start(params, features, classes, dtype)
    return start if layout is None else layout.start(start)
