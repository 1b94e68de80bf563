"""Training: checks before, one compiled program, a report after."""

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
    """A fit stopped at `max_steps`, or where there is no minimum to reach."""


class Fit(NamedTuple):
    """The result of `fit`, a pytree.

    Attributes:
        params: the parameters after the last step.
        history: the objective at the start and after every step, length `num_steps + 1`; with
            minibatches, each step's batch objective after the first entry.
        grad_norm: largest absolute entry of the full objective's gradient at `params`.
        num_steps: parameter updates made.
        converged: whether `grad_norm` is within the tolerance, and nothing tells that there is no minimum: with
            l2 = 0 that every row is on its own side, or a class without rows. Classes of which only some rows can
            be parted are not found out.
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

    Of arrays the whole fit is one call of one compiled program; a second fit with the same shapes, dtypes and
    optimizer compiles nothing. It runs where the data is: CPU, GPU or TPU. Data that memory does not hold are read
    from a source while the fit runs, with the same result up to rounding.

    Args:
        x: features `[N, D]`; their floating dtype is the one computed in. Scale them to a range near 1. Or a source:
            an object with shape and slices, such as a `numpy.memmap`, an Arrow table or a sparse matrix of scipy,
            which is written out a part at a time; one with `len` that gives (features, label) by number; or one that
            gives batches (features, labels) or (features, labels, weights) each time it is iterated over.
        labels: integer class ids `[N]`, or a distribution per row `[N, K]`; None where a source holds them, and
            `num_classes` says how many there are.
        optimizer: "lbfgs", whose line search costs no product with the features; "newton", conjugate gradients on
            Hessian products, for tight tolerances; or any `optax.GradientTransformation` (reuse one object: a new
            one compiles anew).
        l2: penalty on the weights, traced; the bias is not penalised. scikit-learn's C is 1/(l2·N).
        sample_weight: non-negative weights `[N]` of the rows in the mean; None is 1 for each.
        class_weight: non-negative weights of the classes, `[K]`, by which those of their rows are multiplied, or
            "balanced", N/(K·rows of the class); for class ids only. None is 1 for each.
        num_classes: K; None takes the largest class id + 1.
        params: where to start, as from an earlier fit; None is zeros.
        max_steps: largest number of parameter updates.
        tolerance: largest absolute gradient entry that counts as converged; None is 1e-6 in float32 and
            1e-10 in float64, or 5e-6·max(1, max|x|) of the objective where that is less.
        batch_size: rows per step, drawn without replacement within an epoch, for an optax optimizer; None is all, or
            the batches that a source gives.
        key: a `jax.random.key` for the order of the minibatches; needed with `batch_size`.
        chunk_size: rows of a source that are read at a time; None takes about 32 MB.
        mesh: devices to share the work, `jax.make_mesh` with the axes "rows", "classes" or both: rows are split over
            the first, filled up with rows of weight 0, classes over the second. Of several processes each gives
            the rows that it holds.
        checkpoint: folder (extra `train`) in which the fit is kept from time to time; if it holds a checkpoint of
            this problem, the fit goes on from there and ends bit by bit as if it had not been interrupted.
        checkpoint_every: steps between checkpoints; None is 100.
        progress: show a bar (extra `train`); the loop stays compiled.

    Returns:
        `Fit(params, history, grad_norm, num_steps, converged)`.

    Raises:
        TypeError: for labels that are not integers or distributions, or an optimizer of another kind.
        ValueError: for empty or non-finite data, labels out of range, shapes or options that do not fit; for a
            checkpoint of another problem, or none that can be read, of which no file is then changed.
        FloatingPointError: if the objective becomes infinite or NaN; the message has the step.

    Edge cases: stopping at `max_steps`, or where rounding allows no further step, warns with
    `ConvergenceWarning`, and so does l2 = 0 on separable data, where there is no minimum: `converged` is
    then False. A damaged checkpoint is passed over for an older one, with a `CheckpointWarning`. Under a caller's
    `jit` or `vmap` values are not checked and nothing is warned or raised: read `converged`; `history` then has
    length `max_steps + 1`, NaN after the last step, and `num_classes` must be given.

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
        _validate.whole("checkpoint_every", checkpoint_every, 1, None)
    _validate.options(solver, max_steps=max_steps, tolerance=tolerance, batch_size=batch_size, key=key, l2=l2)
    steer = _jobs.Steer(solver, max_steps, batch_size, progress, layout)
    if _sources.is_source(x):
        job = _jobs.of_source(
            steer,
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
        job = _jobs.of_arrays(steer, x, labels, sample_weight, class_weight, num_classes=num_classes, params=params)
    limits = (jnp.asarray(l2, job.largest.dtype), _tolerance.tolerance(tolerance, job.largest))
    order = jax.random.key(0) if key is None else key
    with _progress.progress_bar(max_steps, enabled=progress) as bar:
        given = _programs.Given(job.start, job.data, *limits, order, bar)
        if checkpoint is not None:
            identity = _identity.problem(given, optimizer, batch_size, job.digest())
            outcome = _resume.run(job.parts, given, checkpoint, identity, checkpoint_every or _resume.EVERY, layout)
        elif job.whole is not None:
            outcome = _programs.run(job.whole, given)
        else:
            outcome = _programs.in_turn(job.parts, given)
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
    """Turn what the program found into the result, a warning or an error."""
    num_steps = int(outcome.num_steps)
    # Cut in numpy: a slice of its own length would compile a program for every number of steps.
    history = np.asarray(outcome.history)[: num_steps + 1]
    finite, norm = np.isfinite(history), float(outcome.grad_norm)
    if not finite.all() or not np.isfinite(norm):
        step = num_steps if finite.all() else int(np.argmin(finite))
        found = f"gradient became {norm}" if finite.all() else f"objective became {history[step]}"
        raise FloatingPointError(
            f"fit(): the {found} at step {step} of {max_steps}; a smaller step size, "
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
