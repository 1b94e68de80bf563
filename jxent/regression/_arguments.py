"""Checks of the arguments of `fit` and `fit_path`, with their error messages."""

from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from jxent._checks import Numbers, as_float, is_traced, of_native_type, refuse_masked
from jxent.regression._mesh import automatic
from jxent.regression._model import Params
from jxent.regression.solvers import Data
from jxent.regression.solvers import objective as ob

ClassWeight = Numbers | Literal["balanced"] | None


class Problem(NamedTuple):
    """Checked data and the number of classes."""

    data: Data
    num_classes: int

    @property
    def x(self) -> Array:
        """Features `[N, D]`."""
        return self.data.x


def problem(
    x: Numbers,
    labels: Numbers,
    sample_weight: Numbers | None,
    num_classes: int | None,
    class_weight: ClassWeight = None,
) -> Problem:
    """Check features, labels and weights; checks of values are skipped under a caller's trace."""
    if num_classes is not None:
        integer("num_classes", num_classes, 2, None)
    features = as_float("x", placed(automatic(numbers("x", x))))
    if features.ndim != 2:
        raise ValueError(
            f"fit(): `x` has shape {features.shape}, expected [N, D], one row per example; images are flattened with "
            f"x.reshape(len(x), -1)"
        )
    if 0 in features.shape:
        raise ValueError(f"fit(): `x` has shape {features.shape}: there are no rows or no features to learn from")
    if not is_traced(features) and features.is_fully_addressable:
        _refuse_non_finite("x", features)
    (targets, weights), num_classes = labels_and_weights(
        features.shape, labels, sample_weight, num_classes, class_weight, features.dtype
    )
    return Problem(Data(features, targets, weights), num_classes)


def labels_and_weights(
    shape: tuple[int, ...],
    labels: Numbers,
    sample_weight: Numbers | None,
    num_classes: int | None,
    class_weight: ClassWeight,
    dtype: DTypeLike,
) -> tuple[tuple[Array, Array], int]:
    """Check labels and weights against the shape and dtype of the features."""
    array = automatic(numbers("labels", labels))
    weights = jax.device_put(np.ones(shape[0], dtype))
    if sample_weight is not None:
        weights = _row_weights(sample_weight, shape[0], dtype)
    if array.ndim == 1:
        targets, num_classes = _class_ids(array, shape[0], num_classes)
        if is_traced(array):
            weights = jnp.where((targets >= 0) & (targets < num_classes), weights, jnp.nan)
    else:
        targets, num_classes = _distributions(jnp.asarray(array), shape, dtype, num_classes)
    if class_weight is not None:
        weights = weights * _of_classes(class_weight, targets, weights, num_classes)
        if not is_traced(weights) and float(np.asarray(weights).sum()) == 0:
            raise ValueError("fit(): the weights of all rows, by `sample_weight` and `class_weight`, are 0")
    return (targets, weights), num_classes


def numbers(name: str, value: Any) -> Any:
    """An array of numbers, or a `TypeError`."""
    if isinstance(value, jax.Array):
        return value
    refuse_masked(f"fit(): `{name}` is a {type(value).__name__}", value)
    array = np.asarray(value)
    if array.dtype.kind not in "biufV":
        hint = "; turn names into ids with np.unique(labels, return_inverse=True)" if name == "labels" else ""
        raise TypeError(f"fit(): `{name}` has dtype {array.dtype}, expected numbers{hint}")
    return array if name == "labels" else of_native_type(array)


def placed(array: Any) -> Any:
    """An array of numpy in float32 or float64 on the device: `jnp.asarray` compiles a program for every shape of it."""
    return jax.device_put(array) if isinstance(array, np.ndarray) and array.dtype in (np.float32, np.float64) else array


def _refuse_non_finite(name: str, array: Array) -> None:
    values = np.asarray(array)
    bad = ~np.isfinite(values)
    if bad.any():
        index = tuple(int(i) for i in np.argwhere(bad)[0])
        raise ValueError(
            f"fit(): `{name}` has {int(bad.sum())} non-finite values, the first {float(values[index])} at {index}; "
            f"drop or fill those rows first"
        )


def _class_ids(ids: Any, rows: int, num_classes: int | None) -> tuple[Array, int]:
    if ids.dtype.kind not in "iu":
        raise TypeError(
            f"fit(): `labels` has dtype {ids.dtype}, expected integer class ids [N] or a distribution per row "
            f"[N, K]; ids stored as floats need labels.astype(int)"
        )
    if ids.shape[0] != rows:
        raise ValueError(f"fit(): `x` has {rows} rows and `labels` {ids.shape[0]}, expected one label per row")
    if is_traced(ids):
        if num_classes is None:
            raise ValueError("fit(): under jit or vmap the number of classes is not known: give num_classes=")
        return ids.astype(jnp.int32), num_classes
    # In numpy: jnp would trace the checks of an array that a caller's `jit` closes over, and would truncate 64-bit ids
    # to 32 bits.
    values = np.asarray(ids)
    low, high = int(values.min()), int(values.max())
    count = high + 1 if num_classes is None else num_classes
    if low < 0 or high >= count or count > np.iinfo(np.int32).max:
        count = min(count, np.iinfo(np.int32).max)
        row = int(np.argmax((values < 0) | (values >= count)))
        raise ValueError(
            f"fit(): `labels[{row}]` is {int(values[row])}, expected a class id in [0, {count}); with num_classes=K "
            f"ids run from 0 to K - 1"
        )
    if count < 2:
        raise ValueError(
            "fit(): `labels` holds one class, 0, only; expected two or more, or num_classes= if some are missing"
        )
    return jax.device_put(values.astype(np.int32)), count


def _distributions(
    targets: Array, shape: tuple[int, ...], dtype: DTypeLike, num_classes: int | None
) -> tuple[Array, int]:
    if targets.ndim != 2 or targets.shape[0] != shape[0]:
        raise ValueError(
            f"fit(): `labels` has shape {targets.shape} and `x` {shape}: expected [{shape[0]}] or [{shape[0]}, K]"
        )
    count = targets.shape[1]
    if count < 2 or num_classes not in (None, count):
        raise ValueError(
            f"fit(): `labels` has shape {targets.shape}, {count} columns, expected "
            f"{'at least 2' if num_classes is None else num_classes}, one per class; a single column of ids is "
            f"labels[:, 0]"
        )
    targets = as_float("labels", targets).astype(dtype)
    if not is_traced(targets):
        _refuse_non_finite("labels", targets)
        values = np.asarray(targets, np.float64)
        wrong = (values.min(axis=1) < 0) | (np.abs(values.sum(axis=1) - 1) > 1e-3)
        if wrong.any():
            row = int(np.argmax(wrong))
            raise ValueError(
                f"fit(): `labels[{row}]` is no distribution: it sums to {values[row].sum():.6g} with least entry "
                f"{values[row].min():.6g}, expected entries >= 0 that sum to 1"
            )
    return targets, count


def _row_weights(sample_weight: Numbers, rows: int, dtype: DTypeLike) -> Array:
    weights = as_float("sample_weight", placed(automatic(numbers("sample_weight", sample_weight)))).astype(dtype)
    if weights.shape != (rows,):
        raise ValueError(f"fit(): `sample_weight` has shape {weights.shape}, expected [{rows}], one per row")
    if not is_traced(weights):
        _refuse_non_finite("sample_weight", weights)
        values = np.asarray(weights)
        if values.min() < 0 or values.max() == 0:
            raise ValueError(
                f"fit(): `sample_weight` has least entry {values.min():.6g} and sum {values.sum():.6g}, expected "
                f"entries >= 0 and a positive sum"
            )
        # Several processes would scale their rows by different factors.
        return weights if jax.process_count() > 1 else jax.device_put(_below_one(values))
    return weights


def _below_one(weights: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    """Weights scaled by a power of 2, which is exact, so that their sum stays in range: only the ratios matter."""
    return np.ldexp(weights, -np.frexp(weights.max())[1])


def _of_classes(class_weight: Numbers | str, ids: Array, weights: Array, num_classes: int) -> Array:
    """The weight of the class of every row."""
    if ids.ndim != 1:
        raise ValueError(
            f"fit(): class_weight is for class ids, and `labels` has shape {ids.shape}; weigh distributions by row, "
            f"with sample_weight"
        )
    if isinstance(class_weight, str):
        if class_weight != "balanced":
            raise ValueError(f"fit(): class_weight={class_weight!r} is not known; expected 'balanced' or K numbers")
        rows = jnp.zeros(num_classes, weights.dtype).at[ids].add(weights)
        # A class without rows has weight 0 and does not count in K.
        present = jnp.sum(rows > 0).astype(rows.dtype)
        per_class = jnp.where(rows > 0, jnp.sum(rows) / (present * jnp.where(rows > 0, rows, 1.0)), 0.0)
        return jnp.take(per_class, ids)
    per_class = as_float("class_weight", numbers("class_weight", class_weight)).astype(weights.dtype)
    if per_class.shape != (num_classes,):
        raise ValueError(
            f"fit(): `class_weight` has shape {per_class.shape}, expected [{num_classes}], one number per class"
        )
    if not is_traced(per_class):
        _refuse_non_finite("class_weight", per_class)
        if float(np.asarray(per_class).min()) < 0:
            raise ValueError(f"fit(): `class_weight` has least entry {np.asarray(per_class).min():.6g}, expected >= 0")
        if jax.process_count() == 1:
            per_class = jax.device_put(_below_one(np.asarray(per_class)))
    return jnp.take(per_class, ids)


SOLVERS = ("lbfgs", "newton")


def solver(optimizer: str | optax.GradientTransformation) -> str | optax.GradientTransformation:
    """Check `optimizer`: the name of a built-in solver or an optax transformation."""
    if isinstance(optimizer, str):
        if optimizer not in SOLVERS:
            raise ValueError(
                f"fit(): optimizer={optimizer!r} is not known; expected 'lbfgs', 'newton' or an "
                f"optax.GradientTransformation such as optax.adam(1e-2)"
            )
        return optimizer
    if not (hasattr(optimizer, "init") and hasattr(optimizer, "update")):
        raise TypeError(
            f"fit(): `optimizer` is a {type(optimizer).__name__}, expected 'lbfgs', 'newton' or an "
            f"optax.GradientTransformation such as optax.adam(1e-2)"
        )
    return optimizer


def options(
    solver: str | optax.GradientTransformation,
    *,
    max_steps: int,
    tolerance: float | None,
    batch_size: int | None,
    key: Array | None,
    l2: Numbers,
) -> None:
    """Check the options of the loop."""
    integer("max_steps", max_steps, 0, None)
    if tolerance is not None:
        _number("tolerance", tolerance)
    _number("l2", l2)
    if batch_size is not None:
        integer("batch_size", batch_size, 1, None)
        if key is None:
            raise ValueError("fit(): batch_size= needs key=jax.random.key(seed) for the order of the minibatches")
        if isinstance(solver, str):
            raise ValueError(
                f"fit(): optimizer={solver!r} takes all rows at every step, and batch_size={batch_size}: for "
                f"minibatches give an optax.GradientTransformation such as optax.adam(1e-2)"
            )
    if key is not None and not (
        isinstance(key, jax.Array) and jnp.issubdtype(key.dtype, jax.dtypes.prng_key) and key.shape == ()
    ):
        raise TypeError(f"fit(): `key` is {type(key).__name__}, expected one typed key, jax.random.key(seed)")


def sparse(solver: str | optax.GradientTransformation, l1: Numbers, name: str = "l1") -> None:
    """Check `l1` or `l1_ratio`, which need Newton's method."""
    _number(name, l1)
    if name == "l1_ratio" and not is_traced(l1) and float(np.asarray(l1)) > 1:
        raise ValueError(f"fit_path(): l1_ratio={l1} must be in [0, 1]")
    if may_be_positive(l1) and solver != "newton":
        raise ValueError(f"fit(): {name}={l1} needs optimizer='newton', found {solver!r}")


def may_be_positive(penalty: Numbers) -> bool:
    """Whether a penalty is or may be above 0."""
    return is_traced(penalty) or is_positive(penalty)


def is_positive(penalty: Numbers) -> bool:
    """Whether a penalty is known to be above 0."""
    return not is_traced(penalty) and float(np.asarray(penalty)) > 0


def without_bias(solver: str | optax.GradientTransformation, params: Params | None) -> None:
    """Check that a fit without an intercept can be made from these parameters."""
    if not isinstance(solver, str):
        raise ValueError("fit(): fit_intercept=False is for optimizer='lbfgs' or 'newton'")
    if params is not None and not is_traced(params.bias) and np.asarray(params.bias).any():
        raise ValueError("fit(): fit_intercept=False, and the bias of `params` is not 0")


def _number(name: str, value: Any) -> None:
    """Check for a finite scalar >= 0."""
    if is_traced(value):
        return
    number = numbers(name, value)
    if number.ndim != 0:
        raise ValueError(f"fit(): `{name}` has shape {number.shape}, expected a scalar")
    if not 0 <= float(number) < float("inf"):
        raise ValueError(f"fit(): {name}={float(number):g} must be a number >= 0")


def seen(data: Data, classes: int) -> Any:
    """The classes with a row of positive weight, `[K]`."""
    targets, weights = data.targets, data.weights
    if is_traced(targets, weights) or not targets.is_fully_addressable:
        return ob.seen(targets, weights, classes)
    weighed = np.asarray(targets)[np.asarray(weights) > 0]
    return (weighed > 0).any(axis=0) if weighed.ndim == 2 else np.bincount(weighed, minlength=classes) > 0


def largest(x: Array) -> Any:
    """The largest absolute value of a feature."""
    if is_traced(x) or not x.is_fully_addressable:
        return jnp.max(jnp.abs(x))
    return np.max(np.abs(np.asarray(x)))


def integer(name: str, value: Any, low: int, high: int | None) -> None:
    """Check for a Python int between two bounds."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
        raise TypeError(f"fit(): {name}={value!r} must be a Python int")
    if value < low or (high is not None and value > high):
        upper = "" if high is None else f" and at most {high}, the number of rows"
        raise ValueError(f"fit(): {name}={value} must be at least {low}{upper}")


def start(params: Params, features: int, classes: int, dtype: DTypeLike) -> Params:
    """Check the starting parameters and convert them to the dtype of the problem."""
    weights, bias = (as_float(n, a).astype(dtype) for n, a in zip(Params._fields, params, strict=True))
    expected = (features, classes)
    if weights.shape != expected or bias.shape != expected[1:]:
        raise ValueError(
            f"fit(): `params` has weights {weights.shape} and bias {bias.shape}, expected {expected} and {expected[1:]}"
        )
    if not is_traced(weights, bias):
        for name, array in zip(Params._fields, (weights, bias), strict=True):
            _refuse_non_finite(f"params.{name}", array)
    return Params(weights, bias)
