"""jxent: information theory for JAX.

One room per thing you hold: `probs` for probabilities, `logits` for logits, `counts` for counts of observations,
`samples` for points, `bounds` for scores of a critic, `losses` for predictions and labels, `linear` for features, class
weights and labels, `closed_form` for gradients derived by hand, `regression` for a data set to fit, `calibration` for
predictions and what happened, `data` for reading data and `plots` for pictures. `checked` makes any function report bad
values. Rooms are imported when they are first used, so that `import jxent` costs little.
"""

import importlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

if TYPE_CHECKING:
    from jxent import (
        bounds,
        calibration,
        closed_form,
        counts,
        data,
        linear,
        logits,
        losses,
        plots,
        probs,
        regression,
        samples,
        sklearn,
    )

__version__ = "0.1.0"

__all__ = [
    "__version__",
    "bounds",
    "calibration",
    "checked",
    "closed_form",
    "counts",
    "data",
    "linear",
    "logits",
    "losses",
    "plots",
    "probs",
    "regression",
    "samples",
    "sklearn",
]

_P = ParamSpec("_P")
_R = TypeVar("_R")
_ROOMS = frozenset(__all__) - {"__version__", "checked"}


def checked(function: Callable[_P, _R]) -> Callable[_P, _R]:
    """The same function with the values of its arguments checked, those of every jxent function that it calls.

    Values cannot raise inside a compiled program, so that a negative probability or a label out of range
    gives NaN or a number that means nothing. This finds where it came from.

    Args:
        function: any function that calls this package, compiled or not, transformed or not.

    Returns:
        A function of the same signature. Called eagerly it raises a plain `ValueError` naming function,
        argument, index and value. Where a caller traces it, the checks are callbacks to the host, and the same
        message arrives as JAX's runtime error. An index inside `jax.vmap` is that of one example.

    Edge cases: what `where` or `ignore_label` excludes may hold anything. Rows sum to 1 within 3e-2 in
    bfloat16, 4e-3 in float16, 1e-4 in float32 and 1e-6 in float64. Calls with `axis_name=` are not checked. Checks cost
    a pass over the data and a trip to the host: for debugging.

    Gradient: that of the function.

    Example:
        >>> import jxent
        >>> from jxent import probs
        >>> jxent.checked(probs.entropy)([0.5, 0.6])
        Traceback (most recent call last):
        ...
        ValueError: probs.entropy(): `p` at index (:) sums to 1.1, expected 1: ...

    Reference: the idea is that of `jax.experimental.checkify`, without its change of the returned value.
    """
    from jxent._checks import checked as check

    return check(function)


def __getattr__(name: str) -> Any:
    if name in _ROOMS:
        return importlib.import_module(f"jxent.{name}")
    raise AttributeError(f"module 'jxent' has no attribute {name!r}; its rooms are {', '.join(sorted(_ROOMS))}")


def __dir__() -> list[str]:
    return sorted(__all__)
