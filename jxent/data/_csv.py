"""Delimited text files."""

import re
from array import array
from itertools import chain
from math import isfinite

import numpy as np

from ._csv_columns import Columns, find_columns, label_values, number
from ._csv_rows import Row, rows
from ._dataset import Dataset
from ._files import StrPath, name_of, regular_file, show
from ._labels import classes_of, encode

_DECIMAL_COMMA = re.compile(r"[+-]?\d*,\d+")


def csv(path: StrPath, *, header: bool | None = None, label: str | int | None = None) -> Dataset:
    r"""The numbers and labels of a delimited text file: ``x`` float64 [N, D], ``labels`` int32 [N].

    The text is UTF-8, with double quotes around cells that need them. The delimiter is the most frequent
    of tab, semicolon and comma on the first line outside quotes; ties go in this order. Blank lines are
    skipped and spaces around cells dropped. Every column except the label must hold finite numbers with a
    decimal point.

    Args:
        path: The file.
        header: Whether the first row holds the names of the columns. None decides by its cells outside the label
            column: the row is a header if no cell is a number, and data if all are. A first row of both is
            refused. So is a first row of numbers whose label is the only label that is not a number (names such
            as 0, 1, 2, label). Then say True or False.
        label: The label column: None for the last one, an integer for an index (from 0, negative from the end),
            a string for a name in the header. A string such as "3" is an index if no column has that name.

    Returns:
        Dataset: ``classes`` are the distinct labels in increasing order: integers if all labels are whole
            numbers (1 and 1.0 are one class), else strings. ``scale`` is 1.0.

    Raises:
        FileNotFoundError: If the file does not exist.
        ValueError: If the file is not UTF-8, has no rows, one column only, rows of different lengths, an empty cell, a
            feature that is not a finite number, a label that is a fraction, a header with a missing or repeated
            name, or no such label column.
        TypeError: If ``header`` or ``label`` is of another type.

    Example:
        >>> from jxent import data
        >>> import tempfile
        >>> from pathlib import Path
        >>> with tempfile.TemporaryDirectory() as name:
        ...     file = Path(name, "pets.csv")
        ...     _ = file.write_text("weight,height,kind\n4.5,25,cat\n20,60,dog\n")
        ...     d = data.csv(file, label="kind")
        >>> d.x.tolist(), d.labels.tolist(), d.classes
        ([[4.5, 25.0], [20.0, 60.0]], [0, 1], ('cat', 'dog'))
    """
    _check_options(header, label)
    file = regular_file(path, "a CSV file")
    where = name_of(file)
    values, cells, lines = array("d"), list[str](), list[int]()
    with file.open("rb") as raw:
        remaining = rows(raw, where)
        first = next(remaining, None)
        if first is None:
            raise ValueError(f"{where}: found an empty file, expected rows of numbers with a label")
        columns = find_columns(first.cells, f"{where}, line {first.line}", header=header, label=label)
        for row in remaining if columns.names else chain([first], remaining):
            features, cell = _parse(row, len(first.cells), columns, where)
            values.extend(features)
            cells.append(cell)
            lines.append(row.line)
    if not cells:
        raise ValueError(f"{where}: found a header and no rows, expected rows of numbers with a label")
    if header is None and columns.names is None:
        _check_first_label(cells, columns, f"{where}, line {lines[0]}")
    labels = label_values(cells, lines, columns, where)
    classes = classes_of(labels)
    x = np.frombuffer(values, np.float64).reshape(len(cells), -1)
    return Dataset(x, encode(labels, classes, where), classes)


def _check_options(header: object, label: object) -> None:
    if header is not None and not isinstance(header, bool):
        raise TypeError(f"header: found {show(header)}, expected True, False or None")
    if label is not None and (isinstance(label, bool) or not isinstance(label, (str, int))):
        raise TypeError(f"label: found {show(label)}, expected a column name, an integer index or None")


def _parse(row: Row, width: int, columns: Columns, where: str) -> tuple[list[float], str]:
    """The features and the label of one row."""
    line, cells = row
    if len(cells) != width:
        raise ValueError(
            f"{where}, line {line}: found {len(cells)} cells, expected {width} as in the first row: "
            "correct the row, and quote cells that hold the delimiter"
        )
    if "" in cells:
        at = columns.where(cells.index(""))
        expected = "a label" if cells.index("") == columns.label else "a number"
        raise ValueError(
            f"{where}, line {line}, {at}: found an empty cell, expected {expected}: fill it or remove the row"
        )
    features = [number(cell) for i, cell in enumerate(cells) if i != columns.label]
    finite = [value for value in features if value is not None and isfinite(value)]
    if len(finite) != len(features):
        raise ValueError(_bad_feature(cells, columns, f"{where}, line {line}"))
    return finite, cells[columns.label]


def _bad_feature(cells: list[str], columns: Columns, where: str) -> str:
    for index, cell in enumerate(cells):
        value = number(cell)
        if index == columns.label or (value is not None and isfinite(value)):
            continue
        fix = "correct it, remove the row, or make it the label column"
        if value is not None:
            fix = "fill it or remove the row"
        elif _DECIMAL_COMMA.fullmatch(cell):
            fix = "write numbers with a decimal point"
        return f"{where}, {columns.where(index)}: found {show(cell)}, expected a finite number: {fix}"
    raise AssertionError("unreachable: one of the features is bad")


def _check_first_label(cells: list[str], columns: Columns, where: str) -> None:
    """Refuse a header of numbers: read as data, it would make the name of the label column a class."""
    if len(cells) > 1 and number(cells[0]) is None and all(number(cell) is not None for cell in cells[1:]):
        raise ValueError(
            f"{where}, {columns.where(columns.label)}: found {show(cells[0])} before labels that are all "
            "numbers, expected a number as well: say header=True if this row holds names, else header=False"
        )
