"""The sparse text format of LIBSVM."""

import numpy as np

from ._dataset import Dataset
from ._files import StrPath, name_of, regular_file
from ._labels import classes_of, encode
from ._npz import label_values

# Largest size of the dense features, in bytes.
LARGEST = 4 << 30


def libsvm(path: StrPath, *, num_features: int | None = None) -> Dataset:
    r"""A file in the format of LIBSVM, ``label index:value ...`` a row: ``x`` float32 [N, D], ``labels`` int32 [N].

    scikit-learn reads the file. The result is dense: it holds the zeros that the format leaves out.

    Args:
        path: The file, or one compressed with gzip or bzip2.
        num_features: D; None takes the largest index of the file, where indices count from 1 unless a 0 occurs.

    Returns:
        Dataset: ``classes`` are the distinct labels, whole numbers, in increasing order. ``scale`` is 1.0.

    Raises:
        FileNotFoundError: If the file does not exist.
        ImportError: If scikit-learn is not installed.
        ValueError: If the file is not in this format, has labels that are fractions, or values that are not finite; or
            if the dense features take more than 4 GiB.

    Example:
        >>> from jxent import data
        >>> import tempfile
        >>> from pathlib import Path
        >>> with tempfile.TemporaryDirectory() as name:
        ...     file = Path(name, "a.svm")
        ...     _ = file.write_text("1 1:0.5 3:2\n-1 2:1\n")
        ...     d = data.libsvm(file)
        >>> d.x.tolist(), d.labels.tolist(), d.classes
        ([[0.5, 0.0, 2.0], [0.0, 1.0, 0.0]], [1, 0], (-1, 1))
    """
    file = regular_file(path, "a LIBSVM file")
    where = name_of(file)
    try:
        from sklearn.datasets import load_svmlight_file
    except ImportError as error:
        raise ImportError('libsvm() reads with scikit-learn: pip install "jxent[data]"') from error
    try:
        sparse, y = load_svmlight_file(str(file), n_features=num_features)
    except (ValueError, OSError, EOFError) as error:
        raise ValueError(
            f"{where}: cannot be read ({str(error).splitlines()[0]}), expected rows such as '2 1:0.5 7:1.25'"
        ) from error
    rows, columns = sparse.shape
    if not rows or not columns:
        raise ValueError(f"{where}: found {rows} rows and {columns} features, expected at least one of each")
    if rows * columns * 4 > LARGEST:
        raise ValueError(
            f"{where}: found {rows} rows of {columns} features, which written out take "
            f"{rows * columns * 4 / 2**30:.1f} GiB, expected at most {LARGEST >> 30}: keep fewer features"
        )
    if not np.isfinite(sparse.data).all():
        raise ValueError(f"{where}: found values that are not finite, expected finite numbers: fill or remove them")
    values = label_values(np.asarray(y), where)
    classes = classes_of(values)
    return Dataset(sparse.astype(np.float32).toarray(), encode(values, classes, where), classes)
