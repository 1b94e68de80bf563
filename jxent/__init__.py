"""jxent: information theory for JAX.

One room per thing you hold: `probs` for probabilities, `logits` for logits, `counts` for counts of observations,
`samples` for points, `bounds` for scores of a critic, `losses` for predictions and labels, `linear` for features, class
weights and labels, `closed_form` for gradients derived by hand, `regression` for a data set to fit, `calibration` for
predictions and what happened, `data` for reading data and `plots` for pictures. `checked` makes any function report bad
values. Rooms are imported when they are first used, so that `import jxent` costs little.
"""

import importlib
from typing import TYPE_CHECKING, Any

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
    from jxent._checks import checked

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

_ROOMS = frozenset(__all__) - {"__version__", "checked"}


def __getattr__(name: str) -> Any:
    if name in _ROOMS:
        return importlib.import_module(f"jxent.{name}")
    if name == "checked":
        return importlib.import_module("jxent._checks").checked
    raise AttributeError(f"module 'jxent' has no attribute {name!r}; its rooms are {', '.join(sorted(_ROOMS))}")


def __dir__() -> list[str]:
    return sorted(__all__)
