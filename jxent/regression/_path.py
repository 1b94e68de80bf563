"""A path of penalties, with cross-validation: checks of the arguments, folds, and warnings."""

import warnings
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike
from jaxtyping import Array, Bool, Float, Int
from numpy.typing import NDArray

from jxent._checks import Numbers, as_float, is_traced
from jxent.regression import _arguments
from jxent.regression._arguments import ClassWeight
from jxent.regression._fit import ConvergenceWarning
from jxent.regression._model import Params
from jxent.regression.solvers import descent, path


class RareClassWarning(UserWarning):
    """A fold of a cross-validation holds out every row of a class: those rows are not scored."""


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
    l1_ratio: Numbers = 0.0,
    fit_intercept: bool = True,
    sample_weight: Numbers | None = None,
    class_weight: ClassWeight = None,
    num_classes: int | None = None,
    standardize: bool = False,
    max_steps: int = 1000,
    tolerance: float | None = None,
) -> Path:
    """Fit a softmax regression for every penalty, and for every fold of a cross-validation, in one compiled call.

    Each minimises mean cross-entropy + l2/2·‖weights‖², as `fit` does, or with `l1_ratio` an elastic net.

    Penalties are solved in groups, from the largest to the smallest; those of a group differ by a factor of at most 4.
    A group shares its products with the features, and starts from the solutions of the groups before it.

    Args:
        x: features `[N, D]`.
        labels: integer class ids `[N]`, or a distribution per row `[N, K]`.
        l2s: penalties `[L]`, each as `l2` of `fit`, in any order.
        folds: the fold that holds each row out, integers `[N]` in [0, F); or the number of folds, at least 2: they are
            drawn with `key`, of equal sizes and stratified by class.
        key: a `jax.random.key` for drawing folds.
        optimizer: "newton" or "lbfgs".
        l1_ratio: the share of each penalty l that is on the absolute values of the weights, in [0, 1]:
            (1 − l1_ratio)·l/2·‖weights‖² + l1_ratio·l·Σ|weights|; above 0 for "newton" only.
        fit_intercept: False keeps the bias at 0.
        sample_weight: non-negative weights `[N]` of the rows, in training and in the scores; None is 1 for each.
        class_weight: as in `fit`.
        num_classes: K; None takes the largest class id + 1.
        standardize: as in `fit`; mean and deviation are those of all rows.
        max_steps: largest number of parameter updates of every fit.
        tolerance: as in `fit`.

    Returns:
        `Path(params, objective, grad_norm, num_steps, converged, scores, best, refit)`.

    Raises:
        TypeError: for folds that are not integers, and as `fit`.
        ValueError: for no penalty, a penalty that is negative or not finite, a fold without rows, or a fold none of
            whose rows can be scored; and as `fit`.

    Edge cases: if fits have not converged, a `ConvergenceWarning` names the first. Rows whose class no training row of
    their fold has are not scored, with a `RareClassWarning` that counts them. Of penalties with equal mean score
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
    problem = _arguments.problem(x, labels, sample_weight, num_classes, class_weight)
    if optimizer not in _arguments.SOLVERS:
        raise ValueError(f"fit_path(): optimizer={optimizer!r} is not known; expected 'newton' or 'lbfgs'")
    _arguments.options(optimizer, max_steps=max_steps, tolerance=tolerance, batch_size=None, key=key, l2=0.0)
    _arguments.sparse(optimizer, l1_ratio, "l1_ratio")
    is_sparse = _arguments.may_be_positive(l1_ratio)
    penalties = _penalties(l2s, problem.x.dtype)
    chosen = _folds(folds, key, problem)
    order, groups = _grouped(penalties, problem, max(chosen.number, 1))
    inputs = path.PathInputs(
        problem.data,
        chosen.fold_of,
        chosen.scored,
        penalties[order],
        descent.scalar(l1_ratio, problem.x.dtype) if is_sparse else None,
        order,
        groups,
        descent.tolerance(tolerance, _arguments.largest(problem.x), problem.x.dtype),
    )
    options = path.PathOptions(
        "sparse newton" if is_sparse else optimizer,
        max_steps,
        chosen.number,
        problem.num_classes,
        groups.size,
        standardize,
        fit_intercept,
    )
    solved, refit = path.run(options, inputs)
    result = _of_solutions(solved, refit, chosen.number)
    if not is_traced(result.path.objective):
        _report(result, np.asarray(penalties), max_steps)
    return result.path


class _Folds(NamedTuple):
    """The fold of every row `[N]`, whether its class is in the training rows of that fold, and the number of folds."""

    fold_of: Any
    scored: Any
    number: int


class _Result(NamedTuple):
    path: Path
    refit_converged: Any = None


def _grouped(penalties: Any, problem: _arguments.Problem, folds: int) -> tuple[Any, path.Groups]:
    """The order of the penalties from the largest to the smallest, and their groups."""
    rows, classes = problem.x.shape[0], problem.num_classes
    if is_traced(penalties):
        return jnp.argsort(-penalties).astype(jnp.int32), path.one_by_one(penalties.shape[0])
    order = np.argsort(-penalties, kind="stable").astype(np.int32)
    return order, path.grouped(penalties[order], path.group_size(rows, classes, folds, problem.x.dtype.itemsize))


def _penalties(l2s: Numbers, dtype: DTypeLike) -> Any:
    """The penalties, in numpy unless they are traced."""
    penalties = as_float("l2s", l2s) if is_traced(l2s) else np.asarray(_arguments.numbers("l2s", l2s), dtype)
    if penalties.ndim != 1 or not penalties.size:
        raise ValueError(f"fit_path(): `l2s` has shape {penalties.shape}, expected [L], at least one penalty")
    if is_traced(penalties):
        return penalties.astype(dtype)
    wrong = ~(np.isfinite(penalties) & (penalties >= 0))
    if wrong.any():
        i = int(np.argmax(wrong))
        raise ValueError(f"fit_path(): `l2s[{i}]` is {penalties[i]:g}, expected a finite number >= 0")
    return penalties


def _folds(folds: Numbers | None, key: Array | None, problem: _arguments.Problem) -> _Folds:
    """The fold of every row and the number of folds, 0 without folds."""
    if folds is None:
        return _Folds(np.zeros((0,), np.int32), np.zeros((0,), bool), 0)
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
    return _Folds(rows.astype(np.int32), _scored(rows, count, ids, np.asarray(problem.data.weights) > 0), count)


def _scored(
    rows: NDArray[Any], count: int, ids: Int[np.ndarray, " n"], weighed: Bool[np.ndarray, " n"]
) -> Bool[np.ndarray, " n"]:
    """The rows whose class is among the training rows of their fold; a warning for those that are not."""
    scored = np.ones(len(ids), bool)
    for fold in range(count):
        held = (rows == fold) & weighed
        if not held.any():
            raise ValueError(
                f"fit_path(): fold {fold} of {count} holds no row of positive weight out: number the folds from 0 "
                f"without gaps"
            )
        scored[held] = np.isin(ids[held], ids[weighed & (rows != fold)])
        if not scored[held].any():
            raise ValueError(
                f"fit_path(): fold {fold} holds out every row of each of its classes, so that none of its rows can be "
                f"scored; give folds=F with key=, which stratifies"
            )
    lost = weighed & ~scored
    if lost.any():
        classes = ", ".join(map(str, np.unique(ids[lost])[:5]))
        warnings.warn(
            f"fit_path(): {int(lost.sum())} rows are not scored, because no training row of their fold has their class "
            f"({classes}); the score of a fold is the mean over its other rows",
            RareClassWarning,
            stacklevel=4,
        )
    return scored


def _drawn(count: int, key: Array | None, ids: Int[np.ndarray, " n"]) -> Int[np.ndarray, " n"]:
    """Random folds of equal sizes, stratified by class."""
    if not 2 <= count <= len(ids):
        raise ValueError(f"fit_path(): folds={count} must be at least 2 and at most {len(ids)}, the number of rows")
    if key is None:
        raise ValueError("fit_path(): folds= as a number needs key=jax.random.key(seed) to draw them")
    # By numpy, seeded with the key: `jax.random.permutation` takes longer to compile than a fold to fit.
    shuffled = np.random.default_rng(np.asarray(jax.random.key_data(key))).permutation(len(ids))
    by_class = shuffled[np.argsort(ids[shuffled], kind="stable")]
    rows = np.empty(len(ids), np.int32)
    rows[by_class] = np.arange(len(ids)) % count
    return rows


def _of_solutions(solved: path.Solved, refit: path.Refit, folds: int) -> _Result:
    """The result in the form of `Path`."""
    params = Params(solved.weights, solved.bias)
    rest = (solved.objective, solved.norm, solved.steps, solved.converged)
    if not folds:
        return _Result(Path(params, *rest, None, None, None))
    return _Result(Path(params, *rest, solved.score, refit.best, Params(refit.weights, refit.bias)), refit.converged)


def _report(result: _Result, l2s: Any, max_steps: int) -> None:
    """Warn if a fit has not converged."""
    fits = result.path
    converged = np.asarray(fits.converged)
    if not converged.all():
        lane = np.argwhere(~converged)[0]
        made = int(np.asarray(fits.num_steps)[tuple(lane)])
        rounded = "give rows of every class, scale the features, compute in float64, raise tolerance"
        advice = "raise max_steps" if made >= max_steps else rounded
        warnings.warn(
            f"fit_path(): {int((~converged).sum())} of {converged.size} fits have not converged, the first at "
            f"l2={l2s[lane[0]]:g} after {made} steps with the largest gradient entry "
            f"{float(np.asarray(fits.grad_norm)[tuple(lane)]):.3g}: {advice} or leave out the smallest penalties",
            ConvergenceWarning,
            stacklevel=3,
        )
    if fits.best is not None and not bool(result.refit_converged):
        warnings.warn(
            f"fit_path(): the refit at l2={float(l2s[int(fits.best)]):g} has not converged: raise max_steps",
            ConvergenceWarning,
            stacklevel=3,
        )
