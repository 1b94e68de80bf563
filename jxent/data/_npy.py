"""Features that stay in their file on the disk, with labels from another file."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._dataset import Dataset, scale_of
from ._files import StrPath, name_of, regular_file, show
from ._labels import classes_of, encode
from ._npz import distributions, label_values


def npy(path: StrPath, labels: StrPath) -> Dataset:
    """Features that stay on the disk: ``x`` a memory map [N, D], ``labels`` int32 [N] or float [N, K] in memory.

    ``regression.fit`` reads such features while it runs, so they may be larger than the memory. It also checks their
    values; this function does not.

    Args:
        path: A file of ``np.save`` with the features, real numbers of shape [N, D].
        labels: A file of ``np.save`` with N labels, integers, bools, whole floats or strings, or N rows of
            probabilities.

    Returns:
        Dataset: ``classes`` are the distinct labels in increasing order; ``scale`` is 255.0 for uint8 and else 1.0.

    Raises:
        FileNotFoundError: If a file does not exist.
        ValueError: If a file is no npy file, is cut short, holds pickled objects, or has another shape or type.

    Example:
        >>> import numpy as np
        >>> from jxent import data
        >>> import tempfile
        >>> from pathlib import Path
        >>> with tempfile.TemporaryDirectory() as name:
        ...     x, y = Path(name, "x.npy"), Path(name, "y.npy")
        ...     np.save(x, np.array([[1.0, 2.0], [3.0, 4.0]])), np.save(y, np.array(["dog", "cat"]))
        ...     d = data.npy(x, y)
        ...     type(d.x).__name__, d.x.shape, d.labels.tolist(), d.classes
        (None, None)
        ('memmap', (2, 2), [1, 0], ('cat', 'dog'))
    """
    x = _opened(path, "r")
    where = name_of(Path(path))
    if x.ndim != 2 or 0 in x.shape:
        raise ValueError(f"{where}: found shape {list(x.shape)}, expected [N, D] with at least one row and one column")
    if x.dtype.kind not in "fiub":
        raise ValueError(f"{where}: found the type {show(x.dtype)}, expected real numbers: convert it before saving")
    y, beside = _opened(labels, None), name_of(Path(labels))
    if y.ndim not in (1, 2) or len(y) != len(x):
        raise ValueError(
            f"{beside}: found shape {list(y.shape)}, expected [{len(x)}] or [{len(x)}, K], one row for each row of "
            f"{where}"
        )
    if y.ndim == 2:
        soft = distributions(y, beside)
        return Dataset(x, soft, tuple(range(soft.shape[1])), scale_of(x))
    values = label_values(y, beside)
    classes = classes_of(values)
    return Dataset(x, encode(values, classes, beside), classes, scale_of(x))


def _opened(path: StrPath, mode: Any) -> NDArray[Any]:
    file = regular_file(path, "an npy file")
    try:
        array = np.load(file, mmap_mode=mode, allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ValueError(
            f"{name_of(file)}: cannot be read ({reason}), expected an array saved with np.save, without objects: save "
            f"it again"
        ) from error
    if not isinstance(array, np.ndarray):
        raise ValueError(f"{name_of(file)}: found an archive of arrays, expected one array: read it with npz()")
    return array
