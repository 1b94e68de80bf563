"""Find the header row and the label column of a delimited file."""

import re
from math import isfinite
from typing import NamedTuple

from ._files import show
from ._labels import show_all

_INTEGER = re.compile(r"[+-]?[0-9]{1,300}")


class Columns(NamedTuple):
    """The names of the columns, None without a header, and the index of the label."""

    names: list[str] | None
    label: int

    def where(self, index: int) -> str:
        """The name of a column in messages."""
        name = "" if self.names is None else f" ({show(self.names[index])})"
        return f"column index {index}{name}"


def number(cell: str) -> float | None:
    """``cell`` as a float, perhaps NaN or infinite; None if it is not a number."""
    try:
        # float() accepts 1_000, which is text in a data file.
        return None if "_" in cell else float(cell)
    except ValueError:
        return None


def is_integer(cell: str) -> bool:
    """Whether ``cell`` is a decimal integer."""
    return _INTEGER.fullmatch(cell) is not None


def find_columns(first: list[str], where: str, *, header: bool | None, label: str | int | None) -> Columns:
    """The columns of a file, from its first row and the options ``header`` and ``label``."""
    if len(first) < 2:
        raise ValueError(
            f"{where}: found one column only, {show(first[0])}, expected a label and at least one feature: "
            "delimit the columns by comma, semicolon or tab"
        )
    if isinstance(label, str) and not is_integer(label):
        if header is False:
            raise ValueError(
                f"{where}: found header=False with the label {show(label)}, expected a column index: "
                "without a header the columns have no names, give label as an integer"
            )
        header = True  # A label by name needs a header.
    if header is None:
        header = _is_header(first, _candidates(first, label), where)
    if header:
        _check_names(first, where)
    return Columns(first if header else None, _label_column(first, label, where, named=header))


def _candidates(first: list[str], label: str | int | None) -> set[int]:
    """The possible label columns, before the header is detected."""
    index = -1 if label is None else int(label)
    if -len(first) <= index < len(first):
        return {index % len(first)}
    return {i for i, cell in enumerate(first) if cell == label}


def _is_header(first: list[str], labels: set[int], where: str) -> bool:
    numeric = [number(cell) is not None for i, cell in enumerate(first) if i not in labels]
    if any(numeric) and not all(numeric):
        cell = next(c for i, c in enumerate(first) if i not in labels and number(c) is None)
        raise ValueError(
            f"{where}: found a first row of numbers and {show(cell)}, expected either a header of names or "
            "numbers throughout: correct the cell, or say header=True or header=False"
        )
    return bool(numeric) and not any(numeric)


def _check_names(names: list[str], where: str) -> None:
    seen: dict[str, int] = {}
    for index, name in enumerate(names):
        if not name:
            raise ValueError(
                f"{where}: found no name for column index {index} in the header, expected one per column: "
                "name it, or drop the column (pandas: to_csv(index=False))"
            )
        if name in seen:
            raise ValueError(
                f"{where}: found the name {show(name)} for column index {seen[name]} and {index} in the "
                "header, expected distinct names: rename one"
            )
        seen[name] = index


def _label_column(first: list[str], label: str | int | None, where: str, *, named: bool) -> int:
    width = len(first)
    if label is None:
        return width - 1
    if named and isinstance(label, str) and label in first:
        return first.index(label)
    if isinstance(label, str) and not is_integer(label):
        raise ValueError(f"{where}: found no column {show(label)} for the label, expected one of {show_all(first)}")
    index = int(label)
    if not -width <= index < width:
        names = f" or one of {show_all(first)}" if named else ""
        raise ValueError(
            f"{where}: found no column {index} for the label, expected an index from {-width} to {width - 1}{names}"
        )
    return index % width


def label_values(cells: list[str], lines: list[int], columns: Columns, where: str) -> list[int | str]:
    """The labels as integers if all of them are whole numbers, else as strings."""
    if all(map(is_integer, cells)):
        return [int(cell) for cell in cells]
    labels: list[int | str] = []
    bad: tuple[int, str] | None = None
    for line, cell in zip(lines, cells, strict=True):
        value = number(cell)
        if value is None:
            return [*cells]
        if isfinite(value) and value.is_integer():
            labels.append(int(value))
        elif bad is None:
            bad = line, cell
    if bad is not None:
        raise ValueError(
            f"{where}, line {bad[0]}, {columns.where(columns.label)}: found the label {show(bad[1])}, "
            "expected classes, which are whole numbers or strings: this looks like a regression target, "
            "choose another label column or bin it"
        )
    return labels
