"""A path of penalties, with cross-validation: checks of the arguments, one compiled program, and warnings."""

import warnings
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from jxent._checks import Numbers, as_float, is_traced
from jxent.regression import _paths, _tolerance, _validate
from jxent.regression._fit import ConvergenceWarning
from jxent.regression._model import Params
from jxent.regression._validate import ClassWeight


class Path(NamedTuple):
    """The result of `fit_path`, a pytree. The first axis is the penalties in the caller's order, the second the folds.

    Attributes:
        params: weights `[L, D, K]` or `[L, F, D, K]`, bias `[L, K]` or `[L, F, K]`.
        objective: the training objective at those parameters, `[L]` or `[L, F]`.
        grad_norm: largest absolute entry of the gradient of the objective.
        num_steps: parameter updates made.
        converged: whether `grad_norm` is within the tolerance.
        scores: held-out mean cross-entropy in nats, `[L, F]`; None without folds.
        best: index of the penalty of least mean score; None without folds.
        refit: parameters fitted to all rows at that penalty; None without folds.
    """

    params: Params
    objective: Float[Array, "..."]
    grad_norm: Float[Array, "..."]
    num_steps: Int[Array, "..."]
    converged: Bool[Array, "..."]
    scores: Float[Array, "l f"] | None
    best: Int[Array, ""] | None
    refit: Params | None


def fit_path(
    x: Numbers,
    labels: Numbers,
    l2s: Numbers,
    *,
    folds: Numbers | None = None,
    key: Array | None = None,
    optimizer: str = "newton",
    sample_weight: Numbers | None = None,
    class_weight: ClassWeight = None,
    num_classes: int | None = None,
    max_steps: int = 1000,
    tolerance: float | None = None,
) -> Path:
    """Fit a softmax regression for every penalty, and for every fold of a cross-validation, in one compiled call.

    Each minimises mean cross-entropy + l2/2·‖weights‖², as `fit` does.

    Penalties are solved in groups, from the largest to the smallest. A group shares its products with the features, and
    has a warm start: the parabola through three solutions of the group before it.

    Args:
        x: features `[N, D]`.
        labels: integer class ids `[N]`, or a distribution per row `[N, K]`.
        l2s: penalties `[L]`, each as `l2` of `fit`, in any order.
        folds: the fold that holds each row out, integers `[N]` in [0, F); or the number of folds, at least 2: they are
            drawn with `key`, of equal sizes and stratified by class.
        key: a `jax.random.key` for drawing folds.
        optimizer: "newton" or "lbfgs".
        sample_weight: non-negative weights `[N]` of the rows, in training and in the scores; None is 1 for each.
        class_weight: as in `fit`.
        num_classes: K; None takes the largest class id + 1.
        max_steps: largest number of parameter updates of every fit.
        tolerance: as in `fit`.

    Returns:
        `Path(params, objective, grad_norm, num_steps, converged, scores, best, refit)`.

    Raises:
        TypeError: for folds that are not integers, and as `fit`.
        ValueError: for no penalty, a penalty that is negative or not finite, a fold without rows, or a fold that holds
            out every row of a class; and as `fit`.

    Edge cases: if fits have not converged, a `ConvergenceWarning` names the first. Of penalties with equal mean score
    `best` is the largest. Under a caller's `jit` or `vmap` values are not checked, nothing is warned, and folds must be
    concrete.

    Gradient: none is promised through the loop.

    Example:
        >>> from jxent import regression
        >>> path = regression.fit_path([[0.0], [1.0], [2.0], [3.0]], [0, 1, 0, 1], [0.1, 1.0])
        >>> path.params.weights.shape
        (2, 1, 2)

    Reference: J. Friedman, T. Hastie and R. Tibshirani, Regularization paths for generalized linear models via
    coordinate descent, Journal of Statistical Software 33 (2010).
    """
    problem = _validate.problem(x, labels, sample_weight, num_classes, class_weight)
    if optimizer not in _validate.SOLVERS:
        raise ValueError(f"fit_path(): optimizer={optimizer!r} is not known; expected 'newton' or 'lbfgs'")
    _validate.options(optimizer, max_steps=max_steps, tolerance=tolerance, batch_size=None, key=key, l2=0.0)
    penalties = _penalties(l2s).astype(problem.x.dtype)
    fold_of, count = _folds(folds, key, problem)
    order = jnp.argsort(-penalties)
    solved, refit = _paths.run(
        optimizer,
        max_steps,
        count,
        problem.num_classes,
        problem.data,
        fold_of,
        penalties[order],
        _tolerance.tolerance(tolerance, _tolerance.largest(problem.x)),
    )
    path = _in_order(solved, refit, order, count)
    if not is_traced(*jax.tree.leaves(path)):
        _report(path, np.asarray(penalties), max_steps)
        if count and not bool(refit.converged):
            warnings.warn(
                f"fit_path(): the refit at l2={float(penalties[path.best]):g} has not converged: raise max_steps",
                ConvergenceWarning,
                stacklevel=2,
            )
    return path


def _penalties(l2s: Numbers) -> Array:
    penalties = as_float("l2s", _validate.numbers("l2s", l2s))
    if penalties.ndim != 1 or not penalties.size:
        raise ValueError(f"fit_path(): `l2s` has shape {penalties.shape}, expected [L], at least one penalty")
    if not is_traced(penalties):
        values = np.asarray(penalties)
        wrong = ~(np.isfinite(values) & (values >= 0))
        if wrong.any():
            i = int(np.argmax(wrong))
            raise ValueError(f"fit_path(): `l2s[{i}]` is {values[i]:g}, expected a finite number >= 0")
    return penalties


def _folds(folds: Numbers | None, key: Array | None, problem: _validate.Problem) -> tuple[Array, int]:
    """The fold of every row and the number of folds, 0 without folds."""
    if folds is None:
        return jnp.zeros((0,), jnp.int32), 0
    labels = problem.data.targets
    if is_traced(folds) or is_traced(labels):
        raise ValueError("fit_path(): under jit or vmap the folds and labels are not known; call it outside")
    ids = np.asarray(labels if labels.ndim == 1 else np.argmax(np.asarray(labels), axis=1))
    rows = np.asarray(folds)
    if rows.dtype.kind not in "iu":
        raise TypeError(f"fit_path(): `folds` has dtype {rows.dtype}, expected integers: fold ids [N] or their number")
    if rows.ndim == 0:
        rows = _drawn(int(rows), key, ids)
    if rows.shape != ids.shape:
        raise ValueError(f"fit_path(): `folds` has shape {rows.shape}, expected [{len(ids)}], one fold per row")
    count = int(rows.max()) + 1
    if rows.min() < 0 or count < 2:
        raise ValueError(f"fit_path(): `folds` runs from {rows.min()} to {rows.max()}, expected ids 0 to F - 1, F >= 2")
    weighed = np.asarray(problem.data.weights) > 0
    for fold in range(count):
        held = rows == fold
        if not (held & weighed).any():
            raise ValueError(
                f"fit_path(): fold {fold} of {count} holds no row out: number the folds from 0 without gaps"
            )
        lost = np.setdiff1d(ids[held & weighed], ids[~held & weighed])
        if lost.size:
            raise ValueError(
                f"fit_path(): fold {fold} holds out every row of class {lost[0]}: without it the class has no finite "
                f"bias; give fewer folds, or folds=F with key=, which stratifies"
            )
    return jnp.asarray(rows, jnp.int32), count


def _drawn(count: int, key: Array | None, ids: Int[np.ndarray, " n"]) -> Int[np.ndarray, " n"]:
    """Random folds of equal sizes, stratified by class."""
    if not 2 <= count <= len(ids):
        raise ValueError(f"fit_path(): folds={count} must be at least 2 and at most {len(ids)}, the number of rows")
    if key is None:
        raise ValueError("fit_path(): folds= as a number needs key=jax.random.key(seed) to draw them")
    shuffled = np.asarray(jax.random.permutation(key, len(ids)))
    by_class = shuffled[np.argsort(ids[shuffled], kind="stable")]
    rows = np.empty(len(ids), np.int32)
    rows[by_class] = np.arange(len(ids)) % count
    return rows


def _in_order(solved: _paths.Solved, refit: _paths.Refit, order: Array, folds: int) -> Path:
    """The solutions in the caller's order of penalties, with weights as `[D, K]`."""
    back = jnp.argsort(order)
    solved = jax.tree.map(lambda a: a[back] if folds else a[back, 0], solved)
    params = Params(jnp.swapaxes(solved.point.weights, -1, -2), solved.point.bias)
    rest = (solved.objective, solved.norm, solved.steps, solved.converged)
    if not folds:
        return Path(params, *rest, None, None, None)
    again = Params(refit.point.weights.T, refit.point.bias)
    return Path(params, *rest, solved.score, order[refit.best].astype(jnp.int32), again)


def _report(path: Path, l2s: Any, max_steps: int) -> None:
    """Warn if a fit has not converged."""
    converged = np.asarray(path.converged)
    if not converged.all():
        lane = np.argwhere(~converged)[0]
        made = int(np.asarray(path.num_steps)[tuple(lane)])
        rounded = "give rows of every class, scale the features, compute in float64, raise tolerance"
        advice = "raise max_steps" if made >= max_steps else rounded
        warnings.warn(
            f"fit_path(): {int((~converged).sum())} of {converged.size} fits have not converged, the first at "
            f"l2={l2s[lane[0]]:g} after {made} steps with the largest gradient entry "
            f"{float(np.asarray(path.grad_norm)[tuple(lane)]):.3g}: {advice} or leave out the smallest penalties",
            ConvergenceWarning,
            stacklevel=3,
        )
