"""Training: checks of the arguments, one compiled program, and a warning or an error."""

import os
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.typing import DTypeLike
from jaxtyping import Array, Bool, Float, Int

from jxent._checks import Numbers, is_traced
from jxent.regression import _arguments, _checkpoint, _mesh, _progress, solvers, stream
from jxent.regression._arguments import ClassWeight
from jxent.regression._model import Params
from jxent.regression.solvers import Data, Outcome, Solver, SolverInputs, descent
from jxent.regression.solvers.descent import Tolerance
from jxent.regression.solvers.optimizer import Optimizer
from jxent.regression.stream import sources
from jxent.regression.stream.reader import read


class ConvergenceWarning(UserWarning):
    """A fit stopped at `max_steps`, at the limit of rounding, or has no minimum."""


class Fit(NamedTuple):
    """The result of `fit`, a pytree.

    Attributes:
        params: the parameters after the last step.
        history: the objective at the start and after every step, length `num_steps + 1`; with
            minibatches, each step's batch objective after the first entry.
        grad_norm: largest absolute entry of the full objective's gradient at `params`.
        num_steps: parameter updates made.
        converged: whether `grad_norm` is within the tolerance and a minimum exists. There is none for a class without
            rows, nor for l2 = 0 on completely separated classes. Quasi-complete separation is not detected.
    """

    params: Params
    history: Float[Array, " steps"]
    grad_norm: Float[Array, ""]
    num_steps: Int[Array, ""]
    converged: Bool[Array, ""]


def fit(
    x: Any,
    labels: Numbers | None = None,
    *,
    optimizer: str | optax.GradientTransformation = "lbfgs",
    l2: Numbers = 0.0,
    l1: Numbers = 0.0,
    fit_intercept: bool = True,
    sample_weight: Numbers | None = None,
    class_weight: ClassWeight = None,
    num_classes: int | None = None,
    params: Params | None = None,
    max_steps: int = 1000,
    tolerance: float | None = None,
    batch_size: int | None = None,
    key: Array | None = None,
    chunk_size: int | None = None,
    standardize: bool = False,
    mesh: jax.sharding.Mesh | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    checkpoint_every: int | None = None,
    progress: bool = False,
) -> Fit:
    """Fit a softmax regression: minimise mean cross-entropy + l2/2·‖weights‖² + l1·Σ|weights|, in nats.

    A fit of arrays is one call of one compiled program; a second fit with the same shapes, dtypes and optimizer
    compiles nothing. It runs on the device of the data: CPU, GPU or TPU. Data larger than memory are read from a source
    while the fit runs, with the same result up to rounding.

    Args:
        x: features `[N, D]`; the fit computes in their floating dtype. Scale them to a range near 1. Or a source: an
            object with shape and slices, such as a `numpy.memmap`, an Arrow table or a sparse matrix of scipy, made
            dense a chunk at a time; an object with `len` and an index that returns (features, label); or an iterable
            of batches (features, labels) or (features, labels, weights) that can be iterated again.
        labels: integer class ids `[N]`, or a distribution per row `[N, K]`; None for a source that holds its labels,
            which needs `num_classes`.
        optimizer: "lbfgs"; "newton", conjugate gradients on Hessian-vector products, for tight tolerances; or any
            `optax.GradientTransformation` (reuse one object: a new object compiles again).
        l2: penalty on the weights, traced; the bias is not penalised. scikit-learn's C is 1/(l2·N).
        l1: penalty on the absolute values of the weights, traced, for optimizer="newton" and arrays: some weights are
            then exactly 0.
        fit_intercept: False keeps the bias at 0; for the built-in optimizers and arrays.
        sample_weight: non-negative weights `[N]` of the rows in the mean; None is 1 for each.
        class_weight: non-negative weights of the classes, `[K]`, which multiply the weights of their rows, or
            "balanced", N/(K·rows of the class); for class ids only. None is 1 for each.
        num_classes: K; None takes the largest class id + 1.
        params: the starting point, such as the result of an earlier fit; None is zeros.
        max_steps: largest number of parameter updates.
        tolerance: largest absolute gradient entry that counts as converged. None is the smaller of 1e-6 in float32 and
            1e-10 in float64, and 5e-6·max(1, max|x|) times the objective. With None the built-in solvers also count as
            converged where their estimate of the distance to the minimum is 1e-9 of the objective, or 1e-6 where
            rounding allows no further step.
        batch_size: rows per step, drawn without replacement within an epoch, for an optax optimizer; None is all rows,
            or the batches of a source of batches.
        key: a `jax.random.key` for the order of the minibatches; needed with `batch_size`.
        chunk_size: rows of a source per read; None takes about 32 MB.
        standardize: fit (x − mean)/deviation of each feature, so that the penalty is on the weights of those; without
            an intercept x over its root mean square. The parameters are returned for the features as they came in.
        mesh: devices for the fit, `jax.make_mesh` with the axes "rows", "classes" or both: rows, padded with rows of
            weight 0, are split over the first, classes over the second. With several processes each passes its own
            rows.
        checkpoint: folder for checkpoints (extra `train`); if it holds a checkpoint of this problem, the fit resumes
            there, and its result is bit by bit that of a fit without interruption.
        checkpoint_every: steps between checkpoints; None is 100.
        progress: show a bar (extra `train`); the loop stays compiled.

    Returns:
        `Fit(params, history, grad_norm, num_steps, converged)`.

    Raises:
        TypeError: for labels that are not integers or distributions, or an optimizer of another kind.
        ValueError: for empty or non-finite data, labels out of range, shapes or options that do not fit; for a folder
            with the checkpoint of another problem, or without a readable one; no file in it is then changed.
        FloatingPointError: if the objective becomes infinite or NaN; the message has the step.

    Edge cases: l1 and l2 together are the elastic net. A fit warns with `ConvergenceWarning`, and `converged` is False,
    if it stops at `max_steps` or where rounding allows no further step, or if l2 = 0 on separable data, which has no
    minimum. If a checkpoint is damaged, the fit resumes from an older one with a `CheckpointWarning`. Under a caller's
    `jit` or `vmap` values are not checked and nothing is warned or raised: read `converged`; `history` then has length
    `max_steps + 1`, NaN after the last step, and `num_classes` is required.

    Gradient: none is promised through the loop.

    Example:
        >>> from jxent import regression
        >>> result = regression.fit([[0.0], [1.0], [2.0], [3.0]], [0, 1, 0, 1], l2=0.1)
        >>> bool(result.converged)
        True

    Reference: D. C. Liu and J. Nocedal, On the limited memory BFGS method for large scale optimization,
    Mathematical Programming 45 (1989).
    """
    solver = _arguments.solver(optimizer)
    layout = None if mesh is None else _mesh.layout(mesh)
    if checkpoint_every is not None:
        _arguments.integer("checkpoint_every", checkpoint_every, 1, None)
    _arguments.options(solver, max_steps=max_steps, tolerance=tolerance, batch_size=batch_size, key=key, l2=l2)
    _arguments.sparse(solver, l1)
    options = FitOptions(
        solver,
        max_steps,
        batch_size,
        progress,
        standardize,
        layout,
        fit_intercept,
        sparse=_arguments.may_be_positive(l1),
        penalised=_arguments.is_positive(l1) or _arguments.is_positive(l2),
    )
    raw = RawData(x, labels, sample_weight, class_weight, num_classes, params)
    if sources.is_source(x):
        problem = _of_source(options, raw, chunk_size, digested=checkpoint is not None)
    elif chunk_size is not None:
        raise ValueError("fit(): chunk_size= is for rows read from a source; `x` is an array in memory")
    else:
        problem = _of_arrays(options, raw)
    limit = descent.tolerance(tolerance, problem.largest, problem.start.bias.dtype)
    penalty, absolute = (descent.scalar(a, problem.start.bias.dtype) for a in (l2, l1))
    absolute = absolute if options.sparse else None
    with _progress.progress_bar(max_steps, enabled=progress) as bar:
        inputs = SolverInputs(problem.start, problem.data, problem.seen, penalty, absolute, limit, key, bar)
        if problem.data is None:
            inputs = jax.tree.map(jnp.asarray, inputs)
        if checkpoint is not None:
            identity = _checkpoint.identity(inputs, optimizer, batch_size, problem.digest())
            identity |= {"standardize": str(standardize), "intercept": str(fit_intercept)}
            every = checkpoint_every or _checkpoint.EVERY
            outcome = _checkpoint.run(problem.solver, inputs, checkpoint, identity, every, layout)
        else:
            outcome = problem.solver.solve(inputs) if problem.data is None else solvers.run(problem.solver, inputs)
        if layout is not None:
            outcome = layout.replicated(outcome)
        if not is_traced(outcome.num_steps):
            jax.block_until_ready(outcome)
    if is_traced(outcome.num_steps):
        made = jnp.arange(max_steps + 1, dtype=outcome.num_steps.dtype) <= outcome.num_steps
        history = jnp.where(made, outcome.history, jnp.nan)
        return Fit(outcome.params, history, outcome.grad_norm, outcome.num_steps, outcome.converged)
    return _report(outcome, max_steps, limit)


class FitOptions(NamedTuple):
    """The options of a fit that do not depend on its data."""

    optimizer: str | optax.GradientTransformation
    max_steps: int
    batch_size: int | None
    progress: bool
    standardize: bool
    layout: _mesh.Layout | None
    intercept: bool
    sparse: bool
    penalised: bool


class RawData(NamedTuple):
    """The data of a fit as they came in."""

    x: Any
    labels: Numbers | None
    sample_weight: Numbers | None
    class_weight: ClassWeight
    num_classes: int | None
    params: Params | None


class FitProblem(NamedTuple):
    """A fit ready to run.

    `data` is None for a source, `seen` are the classes with a row of positive weight, and `largest` is the largest
    absolute value of a feature.
    """

    start: Params
    data: Data | None
    seen: Any
    largest: Any
    solver: Solver
    digest: Callable[[], str]


def _of_arrays(options: FitOptions, raw: RawData) -> FitProblem:
    """The problem of a fit to arrays: checked, and placed on the devices."""
    layout = options.layout
    if raw.labels is None:
        raise ValueError("fit(): `labels` are missing; only a source may hold them itself")
    if layout is not None and jax.process_count() > 1:
        _refuse_in_processes(options, raw.class_weight, raw.num_classes)
    with _mesh.on_host(layout):
        problem = _arguments.problem(raw.x, raw.labels, raw.sample_weight, raw.num_classes, raw.class_weight)
    data, rows, features = problem.data, *problem.x.shape
    if options.batch_size is not None:
        _arguments.integer("batch_size", options.batch_size, 1, rows)
    classes = problem.num_classes if layout is None else _mesh.agreed(problem.num_classes)
    start = _start(raw.params, features, classes, problem.x.dtype, layout)
    if not options.intercept:
        _arguments.without_bias(options.optimizer, raw.params)
    placed = data if layout is None else layout.placed(data)
    common: dict[str, Any] = {"progress": options.progress, "standardize": options.standardize}
    if isinstance(options.optimizer, str):
        name = "sparse newton" if options.sparse else options.optimizer
        common |= {"intercept": options.intercept, "penalised": options.penalised}
        solver: Solver = solvers.Descent(name, options.max_steps, **common)
    else:
        solver = Optimizer(options.optimizer, options.max_steps, options.batch_size, rows, **common)
    return FitProblem(
        start,
        placed,
        _arguments.seen(placed, classes),
        _arguments.largest(placed.x),
        solver,
        lambda: _mesh.agreed_digest(_checkpoint.digest(data)),
    )


def _refuse_in_processes(options: FitOptions, class_weight: ClassWeight, num_classes: int | None) -> None:
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
    if class_weight is not None and num_classes is None:
        raise ValueError("fit(): class_weight= in several processes needs num_classes=: each sees its own labels only")


def _of_source(options: FitOptions, raw: RawData, chunk_size: int | None, *, digested: bool) -> FitProblem:
    """The problem of a fit to a source, after one pass over it."""
    if not options.intercept or options.sparse:
        raise ValueError("fit(): l1= and fit_intercept=False are for arrays in memory, and `x` is a source")
    if jax.process_count() > 1:
        raise ValueError("fit(): a source is read by one process; in several give each the rows it holds as arrays")
    reader = read(
        raw.x,
        raw.labels,
        raw.sample_weight,
        raw.class_weight,
        num_classes=raw.num_classes,
        chunk_size=chunk_size,
        params=raw.params,
        layout=options.layout,
        digested=digested,
    )
    survey = reader.survey
    start = _start(raw.params, survey.features, reader.classes, reader.dtype, options.layout)
    common = {"progress": options.progress, "standardize": options.standardize}
    if isinstance(options.optimizer, str):
        solver: Solver = stream.Descent(options.optimizer, options.max_steps, reader, **common)
    else:
        if options.batch_size is not None:
            if reader.source.ordered:
                raise ValueError("fit(): the batches of this source are the minibatches; leave batch_size= out")
            _arguments.integer("batch_size", options.batch_size, 1, survey.rows)
        solver = stream.Optimizer(options.optimizer, options.max_steps, options.batch_size, reader, **common)
    return FitProblem(start, None, survey.seen, survey.largest, solver, lambda: reader.digest)


def _start(params: Params | None, features: int, classes: int, dtype: DTypeLike, layout: _mesh.Layout | None) -> Params:
    """The starting parameters; zeros made by numpy, which compile nothing."""
    if params is None:
        start = Params(*(jax.device_put(np.zeros(shape, dtype)) for shape in ((features, classes), (classes,))))
    else:
        start = _arguments.start(params, features, classes, dtype)
    return start if layout is None else layout.start(start)


def _report(outcome: Outcome, max_steps: int, tolerance: Tolerance) -> Fit:
    """Turn the outcome of the program into a `Fit`, with a warning or an error where due."""
    num_steps = int(outcome.num_steps)
    # Cut in numpy: a jnp slice would compile a program for every number of steps.
    history = np.asarray(outcome.history)[: num_steps + 1]
    finite, norm = np.isfinite(history), float(outcome.grad_norm)
    if not finite.all() or not np.isfinite(norm):
        step = num_steps if finite.all() else int(np.argmin(finite))
        cause = f"gradient became {norm}" if finite.all() else f"objective became {history[step]}"
        raise FloatingPointError(
            f"fit(): the {cause} at step {step} of {max_steps}; a smaller step size, "
            f"features scaled to a range near 1 or a larger l2 keep it finite"
        )
    cut = jax.device_put(history, outcome.history.sharding)
    result = Fit(outcome.params, cut, outcome.grad_norm, outcome.num_steps, outcome.converged)
    if not bool(outcome.converged):
        needed = float(tolerance.below(outcome.value))
        warnings.warn(_why_not(outcome, max_steps, needed), ConvergenceWarning, stacklevel=3)
    return result


def _why_not(outcome: Outcome, max_steps: int, tolerance: float) -> str:
    norm, steps = float(outcome.grad_norm), int(outcome.num_steps)
    if bool(outcome.separated):
        return (
            f"fit(): there is no minimum: l2 = 0 and the classes are separated without error, so that ever larger "
            f"weights fit ever better; stopped after {steps} steps at gradient {norm:.3g}; give l2 > 0"
        )
    unseen = np.flatnonzero(np.asarray(outcome.unseen))
    if len(unseen):
        return (
            f"fit(): there is no minimum: no row of any weight has class {unseen[0]}, so that its bias falls for ever; "
            f"leave the class out of num_classes, or give rows of it"
        )
    if steps < max_steps:
        return (
            f"fit(): rounding in {outcome.grad_norm.dtype} allows no further step after {steps}: the largest gradient "
            f"entry is {norm:.3g}, tolerance {tolerance:.3g}; scale the features, compute in float64, or raise "
            f"tolerance or l2"
        )
    return (
        f"fit(): not converged after {steps} of at most {max_steps} steps: the largest gradient entry is {norm:.3g}, "
        f"tolerance {tolerance:.3g}; raise max_steps, scale the features, or raise tolerance or l2"
    )
