"""Softmax regression with cross-validation of its penalty, all penalties and folds in one compiled call."""

import warnings
from typing import Any, Self

import jax
import numpy as np
from sklearn.model_selection import check_cv

from jxent import regression
from jxent.sklearn import _inputs, _options
from jxent.sklearn._estimator import Linear, warn_again


class SoftmaxRegressionCV(Linear):
    """`SoftmaxRegression` with C of least cross-validated log-loss, by `jxent.regression.fit_path`.

    Every l2 = 1/(C·Σ weights) is fitted to all folds, and the best l2 then to all rows. All fits minimise a mean over
    rows plus l2/2·‖W‖², with the same l2 in the folds and on all rows.

    Args:
        Cs: values of C, or their number: they are then spaced by equal factors from 1e-4 to 1e4.
        cv: number of stratified folds, or a splitter that holds every row out exactly once.
        max_iter: largest number of updates of every fit.
        tol: as in `SoftmaxRegression`.
        optimizer: "newton" or "lbfgs"; an l1 penalty takes Newton's method.
        penalty, l1_ratio, fit_intercept, standardize: as in `SoftmaxRegression`.
        class_weight: None, "balanced" or {class: weight}.

    Attributes:
        C_: the best C.
        Cs_: all values of C.
        scores_: held-out mean log-loss in nats, `[Cs, folds]`; less is better. The mean is weighted by `sample_weight`
            times `class_weight`, as the objective is.
        coef_, intercept_, classes_, n_features_in_: as of `SoftmaxRegression` at `C_`.
        n_iter_: updates made, `[Cs, folds]`.

    Edge cases: as of `SoftmaxRegression`; the rows of a class that has no training row in their fold are not
    scored, with a warning that counts them.

    Example:
        >>> from jxent.sklearn import SoftmaxRegressionCV
        >>> model = SoftmaxRegressionCV(Cs=[0.1, 10.0], cv=2).fit([[0.0], [1.0], [2.0], [3.0]], [0, 0, 1, 1])
        >>> float(model.C_)
        10.0
    """

    def __init__(
        self,
        Cs: Any = 10,
        *,
        cv: Any = 5,
        max_iter: int = 1000,
        tol: float | None = None,
        optimizer: str = "newton",
        penalty: str = "l2",
        l1_ratio: float = 0.5,
        fit_intercept: bool = True,
        standardize: bool = False,
        class_weight: Any = None,
    ) -> None:
        self.Cs = Cs
        self.cv = cv
        self.max_iter = max_iter
        self.tol = tol
        self.optimizer = optimizer
        self.penalty = penalty
        self.l1_ratio = l1_ratio
        self.fit_intercept = fit_intercept
        self.standardize = standardize
        self.class_weight = class_weight

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Fit to features `[n, D]` and labels `[n]` of any type, with non-negative weights `[n]`."""
        _options.check_loop(self)
        data = _inputs.weighted(_inputs.training(self, X, y, sample_weight), self.class_weight)
        self.Cs_, l2s = _options.penalties(self.Cs, data.weights.sum(dtype=np.float64), data.weights.dtype)
        folds = _fold_ids(self.cv, data)
        padded, ratio = _inputs.padded(data), _options.share_of_l1(self)
        with _inputs.precision(padded.x), warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            path = regression.fit_path(
                padded.x,
                padded.ids,
                l2s,
                folds=_inputs.extended(folds, len(padded.ids)),
                sample_weight=padded.weights,
                num_classes=len(padded.classes),
                optimizer=_options.solver(self, ratio),
                l1_ratio=ratio,
                fit_intercept=self.fit_intercept,
                standardize=self.standardize,
                max_steps=self.max_iter,
                tolerance=self.tol,
            )
        assert path.refit is not None and path.best is not None  # noqa: PT018, S101
        lost = int(np.sum(~np.asarray(path.converged)))
        fits = (
            f"{lost} of {path.converged.size} fits have"
            if lost
            else f"the fit to all rows at C={self.Cs_[int(path.best)]:g} has"
        )
        warn_again(caught, f"{fits} not converged", stacklevel=3)
        sparse = self.penalty != "l2"
        self._keep(path.refit, data.classes, on_device=isinstance(data.x, jax.Array), sparse=sparse)
        self.C_ = self.Cs_[int(path.best)]
        self.scores_, self.n_iter_ = np.asarray(path.scores), np.asarray(path.num_steps)
        return self


def _fold_ids(cv: Any, data: _inputs.Training) -> np.ndarray[Any, Any]:
    """For each row the fold that holds it out."""
    labels = data.classes[data.ids]
    splitter: Any = check_cv(cv, labels, classifier=True)
    splits = splitter.split(np.zeros(len(labels)), labels)
    ids = np.full(len(labels), -1)
    for fold, (inside, held) in enumerate(splits):
        if len(inside) + len(held) < len(labels):
            raise ValueError(
                f"cv={cv!r} leaves rows out of both parts of fold {fold}: give folds that train on all rows but theirs"
            )
        if (ids[held] >= 0).any():
            raise ValueError(f"cv={cv!r} holds a row out more than once: give folds that share no rows")
        ids[held] = fold
    if (ids < 0).any():
        raise ValueError(f"cv={cv!r} never holds out row {int(np.argmax(ids < 0))}: give folds that cover all rows")
    return ids
