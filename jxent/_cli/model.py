"""A fitted model as a file: params.npz, read without pickle and checked before it is used."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from jxent._cli.problems import UsageError
from jxent._cli.store import PARAMS
from jxent.data._npz_file import read_arrays
from jxent.regression import Params

FORMAT = "jxent-softmax-regression-1"
_ARRAYS = ("weights", "bias", "classes", "scale", "format")


class Model(NamedTuple):
    """Parameters in float32, the K class labels and the divisor of the features."""

    params: Params
    classes: tuple[int | str, ...]
    scale: float


def save(folder: Path, model: Model) -> None:
    """Write params.npz."""
    np.savez(
        folder / PARAMS,
        allow_pickle=False,
        weights=np.asarray(model.params.weights, np.float32),
        bias=np.asarray(model.params.bias, np.float32),
        classes=_class_array(model.classes),
        scale=np.float64(model.scale),
        format=np.array(FORMAT),
    )


def _class_array(classes: tuple[int | str, ...]) -> NDArray[Any]:
    if all(isinstance(label, int) for label in classes):
        try:
            return np.array(classes, np.int64)
        except OverflowError:
            pass  # Labels with more digits than int64 holds are kept as text.
    return np.array([str(label) for label in classes])


def load(name: str) -> Model:
    """Read DIR/params.npz and refuse an incomplete model."""
    file = Path(name, PARAMS)
    if not file.is_file():
        raise UsageError(f"{name!r}: found no {PARAMS}, expected a folder written by `python -m jxent train`")
    try:
        arrays = read_arrays(file, _ARRAYS, needed=())
    except ValueError as error:
        # Drop the text after the last colon: it is advice on data files.
        raise _damaged(file, str(error).removeprefix(f"{str(file)!r}").rpartition(": ")[0]) from error
    missing = [array for array in _ARRAYS if array not in arrays]
    if missing:
        raise _damaged(file, f"found no array {' and no array '.join(missing)}")
    return _checked(file, **arrays)


def _checked(
    file: Path,
    *,
    weights: NDArray[Any],
    bias: NDArray[Any],
    classes: NDArray[Any],
    scale: NDArray[Any],
    format: NDArray[Any],  # noqa: A002
) -> Model:
    if format.shape or str(format) != FORMAT:
        raise _damaged(file, f"found the format {str(format)[:60]!r}, expected {FORMAT!r}")
    if weights.ndim != 2 or bias.ndim != 1 or classes.ndim != 1:
        raise _damaged(
            file,
            f"found weights {list(weights.shape)}, bias {list(bias.shape)} and classes {list(classes.shape)}, "
            "expected [D, K], [K] and [K]",
        )
    if not (weights.shape[0] >= 1 and weights.shape[1] == len(bias) == len(classes) >= 2):
        raise _damaged(
            file,
            f"found weights {list(weights.shape)}, {len(bias)} biases and {len(classes)} classes, "
            "expected as many of each and at least two",
        )
    for name, array in (("weights", weights), ("bias", bias)):
        if array.dtype != np.float32:
            raise _damaged(file, f"found {name} of type {array.dtype}, expected float32")
        if not np.isfinite(array).all():
            raise _damaged(file, f"found {name} that are not finite")
    if scale.shape or scale.dtype.kind != "f" or not (np.isfinite(scale) and scale > 0):
        raise _damaged(file, f"found the scale {str(scale)[:40]}, expected one number above 0")
    if classes.dtype.kind not in "iuU" or len(set(classes.tolist())) < len(classes):
        raise _damaged(file, "found classes that are not distinct integers or strings")
    return Model(Params(weights, bias), tuple(classes.tolist()), float(scale))  # pyright: ignore[reportArgumentType]


def _damaged(file: Path, problem: str) -> UsageError:
    return UsageError(f"{str(file)!r}: {problem.lstrip(':, ')}: train again with `python -m jxent train`")
