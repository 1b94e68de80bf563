"""What comes in: checked by scikit-learn, or kept on its device, and padded so that programs are shared."""

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

# Below these sizes rows and features are padded to a power of two: the folds of a search share one program.
ROWS, FEATURES = 4096, 64


class Training(NamedTuple):
    """A problem of class ids, with weights that have those of the classes in them."""

    x: Any
    ids: np.ndarray[Any, Any]
    weights: np.ndarray[Any, Any]
    classes: np.ndarray[Any, Any]


def features(estimator: Any, x: Any, *, reset: bool) -> Any:
    """Features as a dense array of float32 or float64; a JAX array stays where it is."""
    if isinstance(x, jax.Array):
        return _on_device(estimator, x, reset=reset)
    checked: Any = validate_data(estimator, x, accept_sparse=True, dtype=[np.float64, np.float32], reset=reset)
    return checked.toarray() if hasattr(checked, "toarray") else checked


def _on_device(estimator: Any, x: jax.Array, *, reset: bool) -> jax.Array:
    if x.ndim != 2 or 0 in x.shape:
        raise ValueError(f"Expected a 2D array [n_samples, n_features] with at least one of each, found {x.shape}")
    if not jnp.issubdtype(x.dtype, jnp.floating):
        x = x.astype(jnp.result_type(float))
    if not bool(jnp.all(jnp.isfinite(x))):
        raise ValueError("Input X contains NaN or infinity.")
    if reset:
        estimator.n_features_in_ = x.shape[1]
    elif x.shape[1] != estimator.n_features_in_:
        name = type(estimator).__name__
        raise ValueError(f"X has {x.shape[1]} features, but {name} is expecting {estimator.n_features_in_} features")
    return x


def training(
    estimator: Any, x: Any, y: Any, sample_weight: Any, classes: Any = None, *, reset: bool = True
) -> Training:
    """Everything a fit needs, or scikit-learn's errors."""
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
    host = np.broadcast_to(np.zeros((), np.asarray(x[:1]).dtype), x.shape)
    weights = _check_sample_weight(sample_weight, host, dtype=host.dtype, ensure_non_negative=True)
    if not (weights > 0).any():
        raise ValueError("Sample weights must contain at least one non-zero number.")
    return weights


def weighted(data: Training, class_weight: Any) -> Training:
    """The weights of the classes multiplied into those of the rows."""
    if class_weight is None:
        return data
    labels = data.classes[data.ids]
    if isinstance(class_weight, str):
        seen = np.bincount(data.ids, data.weights, len(data.classes)) > 0
        used = data.weights > 0
        # A class of which all rows have weight 0 takes no part.
        per_class = np.zeros(len(data.classes))
        per_class[seen] = compute_class_weight(
            class_weight, classes=data.classes[seen], y=labels[used], sample_weight=data.weights[used]
        )
    else:
        per_class = compute_class_weight(class_weight, classes=data.classes, y=labels)
    return data._replace(weights=data.weights * per_class[data.ids].astype(data.weights.dtype))


def padded_size(size: int, limit: int) -> int:
    """The next power of two, from 8 on, below the limit."""
    return max(8, 1 << (size - 1).bit_length()) if size < limit else size


def padded(x: Any) -> Any:
    """Features with rows and columns of 0 up to sizes that programs are shared at."""
    n, d = x.shape
    missing = ((0, padded_size(n, ROWS) - n), (0, padded_size(d, FEATURES) - d))
    return jnp.pad(x, missing) if isinstance(x, jax.Array) else np.pad(x, missing)
