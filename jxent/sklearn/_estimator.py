"""Softmax regression as an estimator."""

import warnings
from typing import Any, Self, cast

import jax
import jax.numpy as jnp
import numpy as np
import optax
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.validation import check_is_fitted

from jxent import logits, regression
from jxent.regression.solvers.optimizer import permissive
from jxent.sklearn import _inputs, _options

_ADAM = permissive(optax.adam(1e-2))


class Linear(ClassifierMixin, BaseEstimator):  # pyright: ignore[reportUnsafeMultipleInheritance]
    """Base class of the estimators: the fitted attributes, and predictions from them."""

    coef_: Any
    intercept_: Any
    classes_: Any
    n_features_in_: int

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags

    def decision_function(self, X: Any) -> Any:
        """Scores of the classes, `[n, K]`; for two classes log-odds of the second, `[n]`."""
        scores = self._scores(X)
        with _inputs.precision(scores):
            return scores[:, 0] if scores.shape[1] == 1 else scores

    def predict(self, X: Any) -> Any:
        """The most likely class of every row, of the type of the labels."""
        scores = self._scores(X)
        with _inputs.precision(scores):
            best = scores[:, 0] > 0 if scores.shape[1] == 1 else scores.argmax(axis=1)
        return self.classes_[np.asarray(best).astype(int)]

    def predict_proba(self, X: Any) -> Any:
        """Probabilities of the classes, `[n, K]`, in the order of `classes_`."""
        return self._of_scores(logits.probabilities, X)

    def predict_log_proba(self, X: Any) -> Any:
        """Log-probabilities of the classes, `[n, K]`, finite where a probability underflows."""
        return self._of_scores(logits.log_probabilities, X)

    def _scores(self, X: Any) -> Any:
        check_is_fitted(self)
        x = _inputs.features(self, X, reset=False)
        if not isinstance(x, jax.Array):
            coef, intercept = (np.asarray(a, x.dtype) for a in (self.coef_, self.intercept_))
            return x @ coef.T + intercept[None, :]
        with _inputs.precision(x):
            coef, intercept = (jnp.asarray(a, x.dtype) for a in (self.coef_, self.intercept_))
            return regression.logits(regression.Params(coef.T, intercept), x)

    def _of_scores(self, function: Any, X: Any) -> Any:
        scores = self._scores(X)
        on_device, rows = isinstance(scores, jax.Array), len(scores)
        with _inputs.precision(scores):
            if scores.shape[1] == 1:
                numbers = jnp if on_device else np
                scores = numbers.concatenate([-0.5 * scores, 0.5 * scores], axis=1)
            size = _inputs.padded_size(rows, _inputs.ROWS)
            values = function(_inputs.extended(scores, size, scores.shape[1]))[:rows]
            return values if on_device else np.asarray(values)

    def _keep(self, params: regression.Params, classes: Any, *, on_device: bool, sparse: bool = False) -> None:
        """Set the attributes in scikit-learn's layout: one row per class, or for two classes their difference."""
        d = self.n_features_in_
        self.classes_ = classes
        with _inputs.precision(params.weights):
            weights, bias = (jnp.asarray(a) if on_device else np.asarray(a) for a in params)
            weights = weights[:d]
            if not sparse:
                # The mean over the classes changes no probability: remove it. Of sparse weights it would remove zeros.
                weights = weights - weights.mean(axis=1, keepdims=True)
            bias = bias - bias.mean()
            if len(classes) == 2:
                self.coef_, self.intercept_ = (weights[:, 1] - weights[:, 0])[None, :], (bias[1] - bias[0])[None]
            else:
                self.coef_, self.intercept_ = weights.T, bias

    def _kept(self, features: int, dtype: Any) -> regression.Params:
        """The attributes as parameters, padded to `features` rows."""
        coef, bias = np.asarray(self.coef_, dtype), np.asarray(self.intercept_, dtype)
        if len(self.classes_) == 2:
            coef, bias = np.concatenate([-0.5 * coef, 0.5 * coef]), np.concatenate([-0.5 * bias, 0.5 * bias])
        weights = _inputs.extended(coef.T, features, len(coef))
        return regression.Params(jnp.asarray(weights), jnp.asarray(bias))


class SoftmaxRegression(Linear):
    """Multinomial logistic regression with a penalty, trained by `jxent.regression.fit`.

    Minimises the mean cross-entropy + l2/2·‖W‖² with l2 = 1/(C·Σ weights), as `LogisticRegression` does for three
    classes and more; with l1 = 1/(C·Σ weights) the penalty is l1·Σ|W|, and an elastic net has l1_ratio of it in l1 and
    the rest in l2. Two classes are also a softmax with a penalty on both rows: with l2 this equals
    `LogisticRegression(C=2*C)`, with l1 `LogisticRegression(C=C)`.

    Args:
        C: inverse strength of the penalty, > 0; inf is no penalty.
        max_iter: largest number of updates.
        tol: largest gradient entry of the mean objective that counts as converged; None is 1e-10 for float64 data and
            1e-6 for float32, or less where the objective is nearly 0.
        optimizer: "lbfgs" or "newton"; an l1 penalty takes Newton's method.
        penalty: "l2", "l1" or "elasticnet".
        l1_ratio: the share of l1 in an elastic net.
        fit_intercept: False keeps `intercept_` at 0.
        standardize: fit (x − mean)/deviation of each feature, with the penalty on the weights of those; the attributes
            are for the features as they came in.
        class_weight: None, "balanced" or {class: weight}.
        warm_start: start from the attributes of the last fit.

    Attributes:
        coef_: `[K, D]`, centred over the classes unless there is an l1 penalty; for two classes `[1, D]`, the second
            row minus the first.
        intercept_: `[K]` or `[1]`, likewise; not penalised.
        classes_: the labels in order.
        n_iter_: updates made, `[1]`.
        n_features_in_: D; `feature_names_in_` are the names of the columns of a frame.

    Edge cases: float32 data are fitted in float32, all others in float64, whatever JAX's global setting. A JAX array
    stays on its device, and coefficients and probabilities are then JAX arrays too: float64 and float32 keep their
    dtype, half precision is fitted in float32, and integers in JAX's default float. Sparse input is made dense, in
    memory of rows × features. Small numbers of rows and features are padded with zeros to powers of two, so that the
    folds of a search share one compiled program. With `warm_start` a fit to other classes starts from zero, and a fit
    to another number of features is an error.

    Example:
        >>> from jxent.sklearn import SoftmaxRegression
        >>> model = SoftmaxRegression().fit([[0.0], [1.0], [2.0]], ["a", "b", "b"])
        >>> model.predict([[3.0]]).tolist()
        ['b']
    """

    def __init__(
        self,
        C: float = 1.0,
        *,
        max_iter: int = 1000,
        tol: float | None = None,
        optimizer: str = "lbfgs",
        penalty: str = "l2",
        l1_ratio: float = 0.5,
        fit_intercept: bool = True,
        standardize: bool = False,
        class_weight: Any = None,
        warm_start: bool = False,
    ) -> None:
        self.C = C
        self.max_iter = max_iter
        self.tol = tol
        self.optimizer = optimizer
        self.penalty = penalty
        self.l1_ratio = l1_ratio
        self.fit_intercept = fit_intercept
        self.standardize = standardize
        self.class_weight = class_weight
        self.warm_start = warm_start

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Fit to features `[n, D]` and labels `[n]` of any type, with non-negative weights `[n]`."""
        _options.check_loop(self)
        data = _inputs.weighted(_inputs.training(self, X, y, sample_weight), self.class_weight)
        warm = self.warm_start and hasattr(self, "coef_") and np.array_equal(self.classes_, data.classes)
        if warm and self.coef_.shape[1] != data.x.shape[1]:
            needed = (self.coef_.shape[0], data.x.shape[1])
            raise ValueError(f"warm_start from coef_ of shape {self.coef_.shape}, but the data need shape {needed}")
        result = self._run(data, warm=warm)
        sparse = self.penalty != "l2"
        self._keep(result.params, data.classes, on_device=isinstance(data.x, jax.Array), sparse=sparse)
        self.n_iter_ = np.asarray(result.num_steps, np.int32)[None]
        self._state = None
        return self

    def _run(self, data: _inputs.Training, *, warm: bool) -> regression.Fit:
        padded, ratio = _inputs.padded(data), _options.share_of_l1(self)
        strength = _options.penalty(self.C, data.weights.sum(dtype=np.float64), data.weights.dtype)
        with _inputs.precision(padded.x), warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            start = self._kept(padded.x.shape[1], padded.x.dtype) if warm else None
            if start is not None and not self.fit_intercept:
                start = start._replace(bias=jnp.zeros_like(start.bias))
            result = regression.fit(
                padded.x,
                padded.ids,
                l2=(1 - ratio) * strength,
                l1=ratio * strength,
                fit_intercept=self.fit_intercept,
                standardize=self.standardize,
                sample_weight=padded.weights,
                num_classes=len(padded.classes),
                optimizer=_options.solver(self, ratio),
                params=start,
                max_steps=self.max_iter,
                tolerance=self.tol,
            )
        message = f"not converged after {int(result.num_steps)} of at most {self.max_iter} steps"
        warn_again(caught, message, stacklevel=4)
        return result

    def partial_fit(self, X: Any, y: Any, classes: Any = None, sample_weight: Any = None) -> Self:
        """One step of Adam, of size 0.01, on a batch; `classes` lists all labels. For an l2 penalty only.

        The first call needs `classes`; later calls may repeat them. The penalty is 1/(C·Σ weights seen so far).
        """
        _options.check_loop(self)
        if isinstance(self.class_weight, str):
            raise ValueError("class_weight='balanced' needs all rows at once: give partial_fit {class: weight}")
        if self.penalty != "l2" or not self.fit_intercept or self.standardize:
            raise ValueError("partial_fit needs penalty='l2', fit_intercept=True and standardize=False")
        first = not hasattr(self, "classes_")
        labels = self._class_labels(classes)
        data = _inputs.weighted(_inputs.training(self, X, y, sample_weight, labels, reset=first), self.class_weight)
        padded = _inputs.padded(data)
        with _inputs.precision(padded.x):
            d, k = padded.x.shape[1], len(padded.classes)
            params = regression.init(d, k, dtype=padded.x.dtype) if first else self._kept(d, padded.x.dtype)
            state, seen = getattr(self, "_state", None) or (_ADAM.init(params), 0.0)
            seen += float(data.weights.sum())
            l2 = jnp.asarray(_options.penalty(self.C, seen, padded.x.dtype), padded.x.dtype)
            params, state = _step(params, state, *map(jnp.asarray, (padded.x, padded.ids, padded.weights)), l2)
            self._keep(params, data.classes, on_device=isinstance(data.x, jax.Array))
            # As numpy arrays, so that a pickle loads on any device.
            self._state = (jax.tree.map(np.asarray, state), seen)
        self.n_iter_ = getattr(self, "n_iter_", np.zeros(1, np.int32)) + 1
        return self

    def _class_labels(self, classes: Any) -> Any:
        """All labels: of the first call, which later calls may repeat."""
        if not hasattr(self, "classes_"):
            if classes is None:
                raise ValueError("classes must be passed on the first call to partial_fit.")
            return classes
        if classes is not None and not np.array_equal(np.unique(np.asarray(classes)), self.classes_):
            raise ValueError(
                f"classes={classes!r} is not the same as on the last call to partial_fit, was {self.classes_.tolist()}"
            )
        return self.classes_


@jax.jit
def _step(params: Any, state: Any, x: Any, ids: Any, weights: Any, l2: Any) -> Any:
    gradient = jax.grad(regression.objective)(params, x, ids, l2=l2, sample_weight=weights)
    updates, state = _ADAM.update(gradient, state, params)
    return optax.apply_updates(params, cast("Any", updates)), state


def warn_again(caught: list[warnings.WarningMessage], message: str, *, stacklevel: int) -> None:
    """Repeat recorded warnings; a `ConvergenceWarning` as scikit-learn's class, with the names of the estimators."""
    lacks = [w for w in caught if issubclass(w.category, regression.ConvergenceWarning)]
    if lacks:
        advice = "scale the features, raise max_iter or tol, or lower C"
        warnings.warn(f"{message}: {advice}", ConvergenceWarning, stacklevel=stacklevel)
    for warning in caught:
        if warning not in lacks:
            warnings.warn(warning.message, warning.category, stacklevel=stacklevel)
