"""The arguments of a fit turned into data on the device and a solver, for arrays in memory or a source."""

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


class FitOptions(NamedTuple):
    """The options of a fit that do not depend on its data."""

    solver: str | optax.GradientTransformation
    max_steps: int
    batch_size: int | None
    progress: bool
    layout: _mesh.Layout | None


class FitProblem(NamedTuple):
    """A fit ready to run: `data` is None for a source, and so is `solver`, which is `parts` as one compiled program."""

    start: Params
    data: _programs.Data | None
    largest: Array
    solver: _programs.Solver | None
    parts: _programs.Parts
    digest: Callable[[], str]


def of_arrays(
    options: FitOptions,
    x: Any,
    labels: Numbers | None,
    sample_weight: Numbers | None,
    class_weight: ClassWeight,
    *,
    num_classes: int | None,
    params: Params | None,
) -> FitProblem:
    """The problem of a fit to arrays: checked, and placed on the devices."""
    layout = options.layout
    if labels is None:
        raise ValueError("fit(): `labels` are missing; only a source may hold them itself")
    if layout is not None and jax.process_count() > 1:
        _refuse_in_processes(options, class_weight)
    with _mesh.on_host(layout):
        problem = _validate.problem(x, labels, sample_weight, num_classes, class_weight)
    data, rows = problem.data, problem.x.shape[0]
    if options.batch_size is not None:
        _validate.integer("batch_size", options.batch_size, 1, rows)
    classes = problem.num_classes if layout is None else _mesh.agreed(problem.num_classes)
    start = _start(params, problem.x.shape[1], classes, problem.x.dtype, layout)
    placed = data if layout is None else layout.placed(data)
    if isinstance(options.solver, str):
        solver = _solvers.BuiltinSolver(options.solver, options.max_steps, options.progress)
    else:
        solver = _loop.Optax(options.solver, options.max_steps, options.batch_size, rows, options.progress)
    largest = _tolerance.largest(placed.x)
    return FitProblem(
        start, placed, largest, solver, _programs.Compiled(solver), lambda: _mesh.agreed_digest(_identity.digest(data))
    )


def _refuse_in_processes(options: FitOptions, class_weight: ClassWeight) -> None:
    """Refuse options that need the rows of all processes."""
    if options.batch_size is not None:
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
    options: FitOptions,
    x: Any,
    labels: Numbers | None,
    sample_weight: Numbers | None,
    class_weight: ClassWeight,
    *,
    num_classes: int | None,
    chunk_size: int | None,
    params: Params | None,
    digested: bool,
) -> FitProblem:
    """The problem of a fit to a source, after one pass over it."""
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
        layout=options.layout,
        digested=digested,
    )
    start = _start(params, reader.survey.features, reader.classes, reader.dtype, options.layout)
    if isinstance(options.solver, str):
        parts = _stream.BuiltinSolver(options.solver, options.max_steps, reader, progress=options.progress)
    else:
        if options.batch_size is not None:
            if reader.source.ordered:
                raise ValueError("fit(): the batches of this source are the minibatches; leave batch_size= out")
            _validate.integer("batch_size", options.batch_size, 1, reader.survey.rows)
        parts = _stream_optax.Optax(
            options.solver, options.max_steps, options.batch_size, reader, progress=options.progress
        )
    largest = jnp.asarray(reader.survey.largest, reader.dtype)
    return FitProblem(start, None, largest, None, parts, lambda: reader.digest)


def _start(params: Params | None, features: int, classes: int, dtype: DTypeLike, layout: _mesh.Layout | None) -> Params:
    if params is None:
        start = init(features, classes, dtype=dtype)
    else:
        start = _validate.start(params, features, classes, dtype)
    return start if layout is None else layout.start(start)
