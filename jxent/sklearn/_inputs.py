"""Inputs of the estimators: checks by scikit-learn, JAX arrays on their device, and padding to shared shapes."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from sklearn.utils.class_weight import compute_class_weight
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import (  # pyright: ignore[reportMissingTypeStubs]
    _check_sample_weight,  # pyright: ignore[reportUnknownVariableType, reportPrivateUsage]
    check_consistent_length,
    column_or_1d,
    validate_data,
)

from jxent._checks import as_float

# Below these sizes rows and features are padded to a power of two, so that the folds of a search share one program.
ROWS, FEATURES = 4096, 64


class Training(NamedTuple):
    """Training data with class ids; `weighted` multiplies the class weights into `weights`."""

    x: Any
    ids: np.ndarray[Any, Any]
    weights: np.ndarray[Any, Any]
    classes: np.ndarray[Any, Any]


def precision(x: Any) -> Any:
    """A context in which JAX computes in the dtype of an array: it enables float64 for a float64 array."""
    return jax.enable_x64(x.dtype == np.float64)


def features(estimator: Any, x: Any, *, reset: bool) -> Any:
    """Features as a dense array of float32 or float64; a JAX array stays on its device."""
    if isinstance(x, jax.Array):
        return _on_device(estimator, x, reset=reset)
    checked: Any = validate_data(estimator, x, accept_sparse=True, dtype=[np.float64, np.float32], reset=reset)
    return checked.toarray() if hasattr(checked, "toarray") else checked


def _on_device(estimator: Any, x: jax.Array, *, reset: bool) -> jax.Array:
    if x.ndim != 2 or 0 in x.shape:
        raise ValueError(f"Expected a 2D array [n_samples, n_features] with at least one of each, found {x.shape}")
    x = as_float("X", x)
    with precision(x):
        finite = bool(jnp.all(jnp.isfinite(x)))
    if not finite:
        raise ValueError("Input X contains NaN or infinity.")
    if reset:
        estimator.n_features_in_ = x.shape[1]
        # They belong to a data frame of an earlier fit.
        if hasattr(estimator, "feature_names_in_"):
            del estimator.feature_names_in_
    elif x.shape[1] != estimator.n_features_in_:
        name = type(estimator).__name__
        raise ValueError(f"X has {x.shape[1]} features, but {name} is expecting {estimator.n_features_in_} features")
    return x


def training(
    estimator: Any, x: Any, y: Any, sample_weight: Any, classes: Any = None, *, reset: bool = True
) -> Training:
    """Checked training data, or scikit-learn's errors."""
    if y is None:
        raise ValueError(
            f"This {type(estimator).__name__} estimator requires y to be passed, but the target y is None."
        )
    x = features(estimator, x, reset=reset)
    y = column_or_1d(np.asarray(y), warn=True)
    check_classification_targets(y)
    check_consistent_length(x, y)
    weights = _weights(x, sample_weight)
    if classes is None:
        classes, ids = np.unique(y, return_inverse=True)
    else:
        classes = np.unique(np.asarray(classes))
        ids = np.searchsorted(classes, y).clip(max=len(classes) - 1)
        if (classes[ids] != y).any():
            unknown = y[classes[ids] != y][0]
            raise ValueError(f"y has the label {unknown!r}, which is not in classes={classes!r}")
    if len(classes) < 2:
        raise ValueError(
            f"{type(estimator).__name__} needs samples of at least 2 classes in the data, but the data contains only "
            f"one class: {classes[0]!r}"
        )
    return Training(x, ids, weights, classes)


def _weights(x: Any, sample_weight: Any) -> np.ndarray[Any, Any]:
    host = np.broadcast_to(np.zeros((), x.dtype), x.shape)
    weights = _check_sample_weight(sample_weight, host, dtype=host.dtype, ensure_non_negative=True)
    if not (weights > 0).any():
        raise ValueError("Sample weights must contain at least one non-zero number.")
    return weights


def weighted(data: Training, class_weight: Any) -> Training:
    """The data with the class weights multiplied into the row weights."""
    if class_weight is None:
        return data
    labels = data.classes[data.ids]
    if isinstance(class_weight, str):
        seen = np.bincount(data.ids, data.weights, len(data.classes)) > 0
        used = data.weights > 0
        # A class whose rows all have weight 0 does not count.
        per_class = np.zeros(len(data.classes))
        per_class[seen] = compute_class_weight(
            class_weight, classes=data.classes[seen], y=labels[used], sample_weight=data.weights[used]
        )
    else:
        per_class = compute_class_weight(class_weight, classes=data.classes, y=labels)
    if not (np.isfinite(per_class) & (per_class >= 0)).all():
        raise ValueError(f"class_weight={class_weight!r} must hold finite weights of at least 0")
    weights = data.weights * per_class[data.ids].astype(data.weights.dtype)
    if not (weights > 0).any():
        raise ValueError(f"class_weight={class_weight!r} leaves no row a weight above 0")
    return data._replace(weights=weights)


def padded_size(size: int, limit: int) -> int:
    """The next power of two, at least 8, for a size below the limit; a larger size unchanged."""
    return max(8, 1 << (size - 1).bit_length()) if size < limit else size


def extended(array: Any, *sizes: int) -> Any:
    """The array padded with zeros at the end of every axis, to these sizes."""
    missing = [(0, size - there) for size, there in zip(sizes, array.shape, strict=True)]
    if not isinstance(array, jax.Array):
        return np.pad(array, missing)
    with precision(array):
        return jnp.pad(array, missing)


def padded(data: Training) -> Training:
    """The data padded with rows of weight 0 and features of 0, to sizes shared by many fits."""
    rows, columns = (padded_size(*size) for size in zip(data.x.shape, (ROWS, FEATURES), strict=True))
    x = extended(data.x, rows, columns)
    return data._replace(x=x, ids=extended(data.ids, rows), weights=extended(data.weights, rows))
