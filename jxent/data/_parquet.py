"""Columns of a Parquet file."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._csv_columns import is_integer
from ._dataset import Dataset, scale_of
from ._files import StrPath, name_of, regular_file, show
from ._labels import classes_of, encode, show_all
from ._npz import label_values


def parquet(path: StrPath, *, label: str | int | None = None) -> Dataset:
    """The numeric columns and the labels of a Parquet file: ``x`` [N, D], ``labels`` int32 [N].

    Args:
        path: The file.
        label: The label column: None for the last one, an integer for an index (from 0, negative from the end), a
            string for a name. A string such as "3" is an index if no column has that name.

    Returns:
        Dataset: ``x`` is uint8 if all features are, float32 if it holds the values of all their types, else float64;
            ``classes`` are the distinct labels in increasing order; ``scale`` is 255.0 for uint8 and else 1.0.

    Raises:
        FileNotFoundError: If the file does not exist.
        ImportError: If pyarrow is not installed.
        ValueError: If the file is not a Parquet file, has no rows or one column only, a feature that is not a number, a
            value that is missing or not finite, or no such label column.

    Example:
        >>> import pyarrow as pa, pyarrow.parquet as pq
        >>> from jxent import data
        >>> import tempfile
        >>> from pathlib import Path
        >>> with tempfile.TemporaryDirectory() as name:
        ...     file = Path(name, "pets.parquet")
        ...     pq.write_table(pa.table({"weight": [4.5, 20.0], "kind": ["cat", "dog"]}), file)
        ...     d = data.parquet(file)
        >>> d.x.tolist(), d.labels.tolist(), d.classes
        ([[4.5], [20.0]], [0, 1], ('cat', 'dog'))
    """
    file = regular_file(path, "a Parquet file")
    where = name_of(file)
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as error:
        raise ImportError('parquet() reads with pyarrow: pip install "jxent[data]"') from error
    try:
        table: Any = pq.read_table(file)
    except (pa.ArrowException, OSError) as error:
        raise ValueError(f"{where}: cannot be read ({str(error).splitlines()[0]}), expected a Parquet file") from error
    names: list[str] = table.column_names
    if len(names) < 2 or not len(table):
        raise ValueError(f"{where}: found {len(table)} rows and {len(names)} columns, expected a label and a feature")
    chosen = _label(names, label, where)
    columns = {name: _column(table.column(i), f"{where}, column {show(name)}") for i, name in enumerate(names)}
    features = [columns[name] for i, name in enumerate(names) if i != chosen]
    for name, column in columns.items():
        if name != names[chosen] and column.dtype.kind not in "fiub":
            raise ValueError(
                f"{where}, column {show(name)}: found the type {show(column.dtype)}, expected numbers: convert it, "
                f"leave it out, or make it the label"
            )
    x = np.stack(features, axis=1)
    if x.dtype.name not in ("uint8", "float32"):
        x = x.astype(np.float32 if x.dtype.itemsize < 4 else np.float64)
    if not np.isfinite(x).all():
        row, at = np.argwhere(~np.isfinite(x))[0]
        raise ValueError(f"{where}: found {x[row, at]} at (row, feature) = ({row}, {at}), expected finite numbers")
    y = columns[names[chosen]]
    values = label_values(y.astype(str) if y.dtype.kind == "O" else y, f"{where}, column {show(names[chosen])}")
    classes = classes_of(values)
    return Dataset(x, encode(values, classes, where), classes, scale_of(x))


def _column(column: Any, where: str) -> NDArray[Any]:
    if column.null_count:
        raise ValueError(f"{where}: found {column.null_count} missing values, expected none: fill or remove those rows")
    return column.to_numpy()


def _label(names: list[str], label: str | int | None, where: str) -> int:
    if isinstance(label, str) and label in names:
        return names.index(label)
    if isinstance(label, str) and not is_integer(label):
        raise ValueError(f"{where}: found no column {show(label)}, expected one of {show_all(names)}")
    index = -1 if label is None else int(label)
    if not -len(names) <= index < len(names):
        raise ValueError(f"{where}: found the label index {index}, expected one of {len(names)} columns")
    return index % len(names)
