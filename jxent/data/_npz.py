"""NumPy's npz files."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._dataset import Dataset, scale_of
from ._files import StrPath, name_of, regular_file, show, to_path
from ._labels import classes_of, encode
from ._npz_file import read_arrays

# How far the sum of a row of probabilities may be from 1: enough for the rounding of float16 and printed decimals.
_SUM_TOLERANCE = 1e-3


def npz(path: StrPath, *, test: bool = False) -> Dataset:
    """The arrays ``x`` [N, D] and ``y`` [N] or [N, K] of an npz file; nothing is unpickled.

    ``x`` keeps uint8, float32 and float64; float16, bool and other integers become float32, which rounds
    integers beyond 2**24. A one-dimensional ``y`` holds the labels: integers, bools (taken as 0 and 1),
    whole floats or strings. A two-dimensional ``y`` holds one distribution over K classes per row.

    Args:
        path: A file written by ``np.savez`` or ``np.savez_compressed`` with the arrays ``x`` and ``y``, and
            perhaps ``x_test`` and ``y_test``.
        test: True gives ``x_test`` and ``y_test``, encoded with the classes of ``y``.

    Returns:
        Dataset: ``classes`` are the distinct labels of ``y`` in increasing order, or 0 to K - 1 for distributions;
            ``scale`` is 255.0 for uint8 and else 1.0.

    Raises:
        FileNotFoundError: If the file does not exist.
        ValueError: If an array is missing, damaged, pickled, empty, of another shape or type or not finite; if a row
            of ``y`` is not a distribution; if ``y_test`` has a class that ``y`` does not have; or if ``test`` is
            True and there is no test part.

    Example:
        >>> import numpy as np
        >>> from jxent import data
        >>> import tempfile
        >>> from pathlib import Path
        >>> with tempfile.TemporaryDirectory() as name:
        ...     file = Path(name, "pets.npz")
        ...     np.savez(file, x=np.array([[1.0, 2.0], [3.0, 4.0]]), y=np.array(["dog", "cat"]))
        ...     d = data.npz(file)
        >>> d.x.shape, d.labels.tolist(), d.classes
        ((2, 2), [1, 0], ('cat', 'dog'))
    """
    train, held_out = parts(path)
    if not test:
        return train
    if held_out is None:
        raise ValueError(
            f"{name_of(to_path(path))}: found no x_test and y_test, expected both: there is no test part, "
            "read with test=False and use split()"
        )
    return held_out


def parts(path: StrPath) -> tuple[Dataset, Dataset | None]:
    """The training part of an npz file and its test part, if it has one."""
    file = regular_file(path, "an npz file")
    arrays = read_arrays(file, ("x", "y", "x_test", "y_test"), needed=("x", "y"))
    if ("x_test" in arrays) != ("y_test" in arrays):
        present, missing = ("x_test", "y_test") if "x_test" in arrays else ("y_test", "x_test")
        raise ValueError(f"{name_of(file)}: found {present} without {missing}, expected both or neither: save both")
    train = _part(arrays, "x", "y", file, None)
    if "x_test" not in arrays:
        return train, None
    held_out = _part(arrays, "x_test", "y_test", file, train)
    if held_out.x.shape[1] != train.x.shape[1]:
        raise ValueError(
            f"{name_of(file)}, array x_test: found {held_out.x.shape[1]} columns, expected "
            f"{train.x.shape[1]} as in x: save both with the same features"
        )
    if held_out.scale != train.scale:
        raise ValueError(
            f"{name_of(file)}, array x_test: found {arrays['x_test'].dtype}, expected the type of x, "
            f"{arrays['x'].dtype}: uint8 and other types differ in scale, save both as one type"
        )
    return train, held_out


def _part(arrays: dict[str, NDArray[Any]], x_name: str, y_name: str, file: Path, train: Dataset | None) -> Dataset:
    x = _features(arrays[x_name], f"{name_of(file)}, array {x_name}")
    y, where = arrays[y_name], f"{name_of(file)}, array {y_name}"
    if y.ndim not in (1, 2) or len(y) != len(x):
        raise ValueError(
            f"{where}: found shape {list(y.shape)}, expected [{len(x)}] or [{len(x)}, K], one row for each "
            f"row of {x_name}: save labels or distributions in the order of {x_name}"
        )
    if y.ndim == 2:
        labels = distributions(y, where)
        classes = tuple(range(labels.shape[1]))
        if train is not None and (train.labels.ndim != 2 or train.classes != classes):
            alike = "[N]" if train.labels.ndim == 1 else f"[N, {len(train.classes)}]"
            raise ValueError(f"{where}: found shape {list(y.shape)}, expected {alike} as in y: save both alike")
    else:
        values = label_values(y, where)
        classes = classes_of(values) if train is None else train.classes
        labels = encode(values, classes, where)
    return Dataset(x, labels, classes, scale_of(x))


def _features(x: NDArray[Any], where: str) -> NDArray[Any]:
    if x.ndim != 2:
        fix = "x.reshape(len(x), -1)" if x.ndim > 2 else "x.reshape(-1, 1) for a single feature"
        raise ValueError(f"{where}: found shape {list(x.shape)}, expected [N, D]: reshape it with {fix}")
    if x.size == 0:
        raise ValueError(f"{where}: found shape {list(x.shape)}, expected at least one row and one column")
    x = _as_kept_type(x, where)
    _check_finite(x, where)
    return x


def _as_kept_type(x: NDArray[Any], where: str) -> NDArray[Any]:
    if x.dtype.kind not in "fiub":
        raise ValueError(f"{where}: found the type {show(x.dtype)}, expected real numbers: convert it before saving")
    kept = x.dtype.kind == "f" and x.dtype.itemsize >= 4
    dtype = np.uint8 if x.dtype == np.uint8 else np.float64 if kept and x.dtype.itemsize > 4 else np.float32
    # JAX wants contiguous arrays in the byte order of this machine.
    return np.ascontiguousarray(x, dtype)


def _check_finite(values: NDArray[Any], where: str) -> None:
    finite = np.isfinite(values)
    if not finite.all():
        row, column = divmod(int(np.argmin(finite)), values.shape[1])
        raise ValueError(
            f"{where}: found {values[row, column]} at (row, column) = ({row}, {column}), expected finite "
            "numbers: fill or remove it before saving"
        )


def distributions(y: NDArray[Any], where: str) -> NDArray[Any]:
    """Rows of probabilities over K classes, as floats."""
    if y.shape[1] < 2:
        raise ValueError(
            f"{where}: found shape {list(y.shape)}, expected [N] labels or [N, K] with K of at least 2: "
            "reshape labels with y.reshape(-1)"
        )
    # One-hot rows of integers are distributions too, but the measures compute with floats.
    y = y.astype(np.float32) if y.dtype == np.uint8 else _as_kept_type(y, where)
    _check_finite(y, where)
    sums = y.sum(axis=1, dtype=np.float64)
    bad = (y < 0).any(axis=1) | (np.abs(sums - 1) > _SUM_TOLERANCE)
    if bad.any():
        row = int(np.argmax(bad))
        low = float(y[row].min())
        problem = f"the negative value {low:.6g}" if low < 0 else f"the sum {sums[row]:.6g}"
        raise ValueError(
            f"{where}: found {problem} in row {row}, expected values of at least 0 that sum to 1: "
            "divide each row by its sum"
        )
    return y


def label_values(y: NDArray[Any], where: str) -> list[int | str]:
    """Labels as integers or strings."""
    kind = y.dtype.kind
    if kind in "iub":
        return y.astype(int).tolist() if kind == "b" else y.tolist()
    if kind == "U":
        return y.tolist()
    if kind == "S":
        try:
            return [text.decode("utf-8") for text in y.tolist()]
        except UnicodeDecodeError as error:
            raise ValueError(f"{where}: found bytes that are not UTF-8, expected text: save strings") from error
    if kind != "f":
        raise ValueError(f"{where}: found the type {show(y.dtype)}, expected integers, bools or strings: convert it")
    integral = np.isfinite(y) & (y == np.floor(y))
    if not integral.all():
        row = int(np.argmin(integral))
        raise ValueError(
            f"{where}: found {y[row]} in row {row}, expected classes, which are whole numbers or strings: "
            "y looks like a regression target, or distributions that lost their second dimension"
        )
    return [int(value) for value in y.tolist()]
