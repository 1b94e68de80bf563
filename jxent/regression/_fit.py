"""Training: checks of the arguments, one compiled program, and a warning or an error."""

import os
import warnings
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Bool, Float, Int

from jxent._checks import Numbers, is_traced
from jxent.regression import _identity, _jobs, _mesh, _programs, _progress, _resume, _sources, _tolerance, _validate
from jxent.regression._model import Params
from jxent.regression._validate import ClassWeight


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
    sample_weight: Numbers | None = None,
    class_weight: ClassWeight = None,
    num_classes: int | None = None,
    params: Params | None = None,
    max_steps: int = 1000,
    tolerance: float | None = None,
    batch_size: int | None = None,
    key: Array | None = None,
    chunk_size: int | None = None,
    mesh: jax.sharding.Mesh | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    checkpoint_every: int | None = None,
    progress: bool = False,
) -> Fit:
    """Fit a softmax regression: minimise mean cross-entropy + l2/2·‖weights‖², in nats.

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
        optimizer: "lbfgs", whose line search costs no product with the features; "newton", conjugate gradients on
            Hessian-vector products, for tight tolerances; or any `optax.GradientTransformation` (reuse one object: a
            new object compiles again).
        l2: penalty on the weights, traced; the bias is not penalised. scikit-learn's C is 1/(l2·N).
        sample_weight: non-negative weights `[N]` of the rows in the mean; None is 1 for each.
        class_weight: non-negative weights of the classes, `[K]`, which multiply the weights of their rows, or
            "balanced", N/(K·rows of the class); for class ids only. None is 1 for each.
        num_classes: K; None takes the largest class id + 1.
        params: the starting point, such as the result of an earlier fit; None is zeros.
        max_steps: largest number of parameter updates.
        tolerance: largest absolute gradient entry that counts as converged; None is 1e-6 in float32 and
            1e-10 in float64, or 5e-6·max(1, max|x|) times the objective where that is less.
        batch_size: rows per step, drawn without replacement within an epoch, for an optax optimizer; None is all rows,
            or the batches of a source of batches.
        key: a `jax.random.key` for the order of the minibatches; needed with `batch_size`.
        chunk_size: rows of a source per read; None takes about 32 MB.
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

    Edge cases: a fit warns with `ConvergenceWarning`, and `converged` is False, if it stops at `max_steps` or where
    rounding allows no further step, or if l2 = 0 on separable data, which has no minimum. If a checkpoint is damaged,
    the fit resumes from an older one with a `CheckpointWarning`. Under a caller's `jit` or `vmap` values are not
    checked and nothing is warned or raised: read `converged`; `history` then has length `max_steps + 1`, NaN after the
    last step, and `num_classes` is required.

    Gradient: none is promised through the loop.

    Example:
        >>> from jxent import regression
        >>> result = regression.fit([[0.0], [1.0], [2.0], [3.0]], [0, 1, 0, 1], l2=0.1)
        >>> bool(result.converged)
        True

    Reference: D. C. Liu and J. Nocedal, On the limited memory BFGS method for large scale optimization,
    Mathematical Programming 45 (1989).
    """
    solver = _validate.solver(optimizer)
    layout = None if mesh is None else _mesh.layout(mesh)
    if checkpoint_every is not None:
        _validate.integer("checkpoint_every", checkpoint_every, 1, None)
    _validate.options(solver, max_steps=max_steps, tolerance=tolerance, batch_size=batch_size, key=key, l2=l2)
    options = _jobs.FitOptions(solver, max_steps, batch_size, progress, layout)
    if _sources.is_source(x):
        problem = _jobs.of_source(
            options,
            x,
            labels,
            sample_weight,
            class_weight,
            num_classes=num_classes,
            chunk_size=chunk_size,
            params=params,
            digested=checkpoint is not None,
        )
    else:
        if chunk_size is not None:
            raise ValueError("fit(): chunk_size= is for rows read from a source; `x` is an array in memory")
        problem = _jobs.of_arrays(
            options, x, labels, sample_weight, class_weight, num_classes=num_classes, params=params
        )
    limits = (jnp.asarray(l2, problem.largest.dtype), _tolerance.tolerance(tolerance, problem.largest))
    order = jax.random.key(0) if key is None else key
    with _progress.progress_bar(max_steps, enabled=progress) as bar:
        inputs = _programs.SolverInputs(problem.start, problem.data, *limits, order, bar)
        if checkpoint is not None:
            identity = _identity.problem(inputs, optimizer, batch_size, problem.digest())
            outcome = _resume.run(
                problem.parts, inputs, checkpoint, identity, checkpoint_every or _resume.EVERY, layout
            )
        elif problem.solver is not None:
            outcome = _programs.run(problem.solver, inputs)
        else:
            outcome = _programs.in_turn(problem.parts, inputs)
        if layout is not None:
            outcome = layout.replicated(outcome)
        if not is_traced(outcome.num_steps):
            jax.block_until_ready(outcome)
    if is_traced(outcome.num_steps):
        made = jnp.arange(max_steps + 1, dtype=outcome.num_steps.dtype) <= outcome.num_steps
        history = jnp.where(made, outcome.history, jnp.nan)
        return Fit(outcome.params, history, outcome.grad_norm, outcome.num_steps, outcome.converged)
    return _report(outcome, max_steps, limits[1])


def _report(outcome: _programs.Outcome, max_steps: int, tolerance: _tolerance.Tolerance) -> Fit:
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


def _why_not(outcome: _programs.Outcome, max_steps: int, tolerance: float) -> str:
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
