"""Training: checks before, one compiled program, a report after."""

import warnings
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.typing import ArrayLike
from jaxtyping import Array, Bool, Float, Int

from jxent._checks import Numbers, is_traced
from jxent.regression import _loop, _solvers, _tolerance, _validate
from jxent.regression._model import Params, init
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
        converged: whether `grad_norm` is within the tolerance, and a minimum exists.
    """

    params: Params
    history: Float[Array, " steps"]
    grad_norm: Float[Array, ""]
    num_steps: Int[Array, ""]
    converged: Bool[Array, ""]


def fit(
    x: Numbers,
    labels: Numbers,
    *,
    optimizer: str | optax.GradientTransformation = "lbfgs",
    l2: ArrayLike = 0.0,
    sample_weight: Numbers | None = None,
    class_weight: ClassWeight = None,
    num_classes: int | None = None,
    params: Params | None = None,
    max_steps: int = 1000,
    tolerance: float | None = None,
    batch_size: int | None = None,
    key: Array | None = None,
    progress: bool = False,
) -> Fit:
    """Fit a softmax regression: minimise mean cross-entropy + l2/2·‖weights‖², in nats.

    The whole fit is one call of one compiled program; a second fit with the same shapes, dtypes and
    optimizer compiles nothing. It runs where the data is: CPU, GPU or TPU.

    Args:
        x: features `[N, D]`; their floating dtype is the one computed in. Scale them to a range near 1.
        labels: integer class ids `[N]`, or a distribution per row `[N, K]`.
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
        batch_size: rows per step, drawn without replacement within an epoch, for an optax optimizer; None is all.
        key: a `jax.random.key` for the order of the minibatches; needed with `batch_size`.
        progress: show a bar (extra `train`); the loop stays compiled.

    Returns:
        `Fit(params, history, grad_norm, num_steps, converged)`.

    Raises:
        TypeError: for labels that are not integers or distributions, or an optimizer of another kind.
        ValueError: for empty or non-finite data, labels out of range, shapes or options that do not fit.
        FloatingPointError: if the objective becomes infinite or NaN; the message has the step.

    Edge cases: stopping at `max_steps`, or where rounding allows no further step, warns with
    `ConvergenceWarning`, and so does l2 = 0 on separable data, where there is no minimum: `converged` is
    then False. Under a caller's `jit` or `vmap` values are not checked and nothing is warned or raised: read
    `converged`; `history` then has length `max_steps + 1`, NaN after the last step, and `num_classes` must
    be given.

    Gradient: none is promised through the loop.

    Example:
        >>> from jxent import regression
        >>> result = regression.fit([[0.0], [1.0], [2.0], [3.0]], [0, 1, 0, 1], l2=0.1)
        >>> bool(result.converged)
        True

    Reference: D. C. Liu and J. Nocedal, On the limited memory BFGS method for large scale optimization,
    Mathematical Programming 45 (1989).
    """
    problem = _validate.problem(x, labels, sample_weight, num_classes, class_weight)
    solver = _validate.solver(optimizer)
    _validate.options(
        solver, max_steps=max_steps, tolerance=tolerance, batch_size=batch_size, key=key, l2=l2, n=len(problem.x)
    )
    start = (
        _validate.start(params, problem)
        if params is not None
        else init(problem.x.shape[1], problem.num_classes, dtype=problem.x.dtype)
    )
    limits = (jnp.asarray(l2, problem.x.dtype), _tolerance.tolerance(tolerance, problem.x))
    with _loop.progress_bar(max_steps, enabled=progress) as bar:
        if isinstance(solver, str):
            outcome = _solvers.run(solver, max_steps, progress, start, problem.data, *limits, bar)
        else:
            order = jax.random.key(0) if key is None else key
            outcome = _loop.run(solver, max_steps, batch_size, progress, start, problem.data, *limits, order, bar)
        if not is_traced(outcome.num_steps):
            jax.block_until_ready(outcome)
    if is_traced(outcome.num_steps):
        made = jnp.arange(max_steps + 1, dtype=outcome.num_steps.dtype) <= outcome.num_steps
        return Fit(*outcome[:5])._replace(history=jnp.where(made, outcome.history, jnp.nan))
    return _report(outcome, max_steps, limits[1])


def _report(outcome: _loop.Outcome, max_steps: int, tolerance: _tolerance.Tolerance) -> Fit:
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
        needed = float(tolerance.below(outcome.history[num_steps]))
        warnings.warn(_why_not(outcome, max_steps, needed), ConvergenceWarning, stacklevel=3)
    return result


def _why_not(outcome: _loop.Outcome, max_steps: int, tolerance: float) -> str:
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
