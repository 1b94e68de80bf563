"""Checks of the estimators' options, with error messages in their names."""

from typing import Any

import numpy as np


def check_loop(estimator: Any) -> None:
    """Check `max_iter` and `tol`."""
    steps, tolerance = estimator.max_iter, estimator.tol
    if isinstance(steps, bool) or not isinstance(steps, (int, np.integer)) or steps < 0:
        raise ValueError(f"max_iter={steps!r} must be an int of at least 0")
    if tolerance is not None and not (_is_number(tolerance) and 0 <= float(tolerance) < np.inf):
        raise ValueError(f"tol={tolerance!r} must be None or a number of at least 0")


def share_of_l1(estimator: Any) -> float:
    """The share of the penalty that is on the absolute values, from `penalty` and `l1_ratio`."""
    name, ratio = estimator.penalty, estimator.l1_ratio
    if name not in ("l2", "l1", "elasticnet"):
        raise ValueError(f"penalty={name!r} must be 'l2', 'l1' or 'elasticnet'; no penalty is C=np.inf")
    if name != "elasticnet":
        return float(name == "l1")
    if not (_is_number(ratio) and 0 <= float(ratio) <= 1):
        raise ValueError(f"l1_ratio={ratio!r} must be a number in [0, 1] with penalty='elasticnet'")
    return float(ratio)


def solver(estimator: Any, l1: float) -> str:
    """The optimizer: Newton's method where weights may be exactly 0."""
    return "newton" if l1 and estimator.optimizer == "lbfgs" else estimator.optimizer


def penalty(C: Any, weight: Any, dtype: Any) -> Any:
    """1/(C·Σ weights), for data of this total weight and dtype."""
    if not _is_number(C):
        raise ValueError(f"C={C!r} must be one number; several are what SoftmaxRegressionCV takes")
    return _strengths("C", C, C, weight, dtype)


def penalties(Cs: Any, weight: Any, dtype: Any) -> tuple[Any, Any]:
    """The values of C from the option `Cs`, and 1/(C·Σ weights) of each."""
    values = np.logspace(-4, 4, max(Cs, 0)) if _is_count(Cs) else np.asarray(Cs)
    if values.ndim != 1 or values.size == 0 or values.dtype.kind not in "fiu":
        raise ValueError(f"Cs={Cs!r} must be a list of numbers, or how many")
    return values.astype(np.float64), _strengths("Cs", Cs, values, weight, dtype)


def _is_number(value: Any) -> bool:
    return np.ndim(value) == 0 and np.asarray(value).dtype.kind in "fiu"


def _is_count(value: Any) -> bool:
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool)


def _strengths(name: str, option: Any, values: Any, weight: Any, dtype: Any) -> Any:
    inverse = np.asarray(values, np.float64)
    if not (inverse > 0).all():
        raise ValueError(f"{name}={option!r} must be positive; the larger, the weaker the penalty")
    with np.errstate(over="ignore", divide="ignore"):
        l2 = 1.0 / (inverse * weight)
        finite = np.isfinite(l2.astype(dtype)).all()
    if not finite:
        raise ValueError(
            f"{name}={option!r} is too small: the penalty 1/(C·Σ weights) is infinite in {np.dtype(dtype).name}"
        )
    return l2
