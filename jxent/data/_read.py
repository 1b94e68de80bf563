"""Read a dataset from its description in one string, as on the command line."""

from pathlib import Path

from ._csv import csv
from ._dataset import Dataset
from ._digits import digits
from ._files import StrPath, show
from ._idx import has_test, idx
from ._libsvm import libsvm
from ._npy import npy
from ._npz import parts
from ._parquet import parquet

_KINDS = (
    "digits, idx:FOLDER (or idx:IMAGES,LABELS), npz:FILE, npy:FEATURES,LABELS, csv:FILE, parquet:FILE, libsvm:FILE, "
    "for example csv:flowers.csv"
)


def read(spec: str, *, header: bool | None = None, label: str | int | None = None) -> tuple[Dataset, Dataset | None]:
    """The dataset [N, D] that ``spec`` describes, and its own test part if it has one, else None.

    Args:
        spec: ``"digits"``, ``"idx:PATH"`` (a folder, an images file, or ``IMAGES,LABELS``), ``"npz:FILE"``,
            ``"npy:FEATURES,LABELS"``, ``"csv:FILE"``, ``"parquet:FILE"`` or ``"libsvm:FILE"``.
        header: As in ``csv()``; for csv files only.
        label: As in ``csv()``; for csv and parquet files only.

    Returns:
        The dataset and its own test part: the ``t10k`` pair of an IDX folder with both pairs, or ``x_test`` and
        ``y_test`` of an npz file. Other data have None; ``split()`` makes a test part of them.

    Raises:
        FileNotFoundError: If the file does not exist.
        ImportError: If ``spec`` is "digits" and scikit-learn is not installed.
        ValueError: If the kind is unknown, the path is missing, ``header`` or ``label`` is set for a kind without that
            option, or the reader refuses the file.
        TypeError: If ``spec`` is not a string.

    Example:
        >>> from jxent import data
        >>> train, test = data.read("digits")
        >>> train.x.shape, test
        ((1797, 64), None)
    """
    _check_spec(spec)
    kind, _, path = spec.partition(":")
    if kind != "csv" and header is not None:
        raise ValueError(f"header: found a value for {show(spec)}, expected it with csv:FILE only: leave it out")
    if kind not in ("csv", "parquet") and label is not None:
        raise ValueError(
            f"label: found a value for {show(spec)}, expected it with csv:FILE or parquet:FILE only: leave it out"
        )
    if kind == "parquet":
        return parquet(path, label=label), None
    if kind == "libsvm":
        return libsvm(path), None
    if kind == "npy":
        x, _, y = path.rpartition(",")
        return npy(x, y), None
    if kind == "csv":
        return csv(path, header=header, label=label), None
    if kind == "npz":
        return parts(path)
    if kind == "idx":
        source = _idx_path(path)
        return idx(source), idx(source, test=True) if has_test(source) else None
    return digits(), None


def _check_spec(spec: object) -> None:
    if not isinstance(spec, str):
        raise TypeError(f"data: found {type(spec).__name__}, expected a string, one of {_KINDS}")
    kind, colon, path = spec.partition(":")
    if spec != "digits" and kind not in ("idx", "npz", "npy", "csv", "parquet", "libsvm"):
        guess = {".npz": "npz", ".csv": "csv", ".parquet": "parquet"}.get(Path(spec).suffix)
        hint = f"did you mean {guess}:{spec}? It is" if guess else "expected"
        raise ValueError(f"data: found {show(spec)}, {hint} one of {_KINDS}")
    if kind == "npy" and not all(path.rpartition(",")):
        raise ValueError(f"data: found {show(spec)}, expected npy:FEATURES,LABELS, two files of np.save")
    if spec != "digits" and not (colon and path):
        raise ValueError(f"data: found {show(spec)} without a path, expected one of {_KINDS}")


def _idx_path(path: str) -> StrPath | tuple[StrPath, StrPath]:
    # A comma may also be part of a name: if a path of the full name exists, it is that path.
    images, comma, labels = path.partition(",")
    return (images, labels) if comma and not Path(path).exists() else path
