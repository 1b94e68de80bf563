"""Columns of a CSV file: numbers, or labels with how often each occurs."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from jxent._cli.problems import UsageError
from jxent.data._csv_columns import number
from jxent.data._csv_rows import rows
from jxent.data._files import name_of

# k of the nearest-neighbour estimates. A number on more than k rows has its k-th neighbour at distance 0: a label.
NEIGHBOUR = 3


class Column(NamedTuple):
    """A column: its name, and its numbers or the ids of its labels; `seen` counts the rows of each label."""

    name: str
    values: NDArray[Any]
    seen: NDArray[Any] | None
    repeats: bool = False

    @property
    def described(self) -> str:
        """Whether the column is read as numbers or as labels, in words."""
        if self.seen is None:
            return f"numbers, {len(np.unique(self.values))} different"
        why = f", as some numbers stand on more than {NEIGHBOUR} rows" if self.repeats else ""
        return f"labels, {len(self.seen)} different{why}"


def read(file: Path, header: str | None) -> tuple[list[str], list[list[str]], list[int]]:
    """The names of the columns, the cells of every row, and the line number of every row."""
    where = name_of(file)
    with file.open("rb") as raw:
        table = list(rows(raw, where))
    if not table:
        raise ValueError(f"{where}: found an empty file, expected rows of cells")
    width = len(table[0].cells)
    for row in table:
        if len(row.cells) != width:
            raise ValueError(f"{where}, line {row.line}: found {len(row.cells)} cells, expected {width}")
    named = _is_header([row.cells for row in table], where) if header is None else header == "yes"
    # The column of row numbers that pandas writes has no name.
    names = [(named and cell) or str(i) for i, cell in enumerate(table[0].cells)]
    if len(set(names)) < width:
        raise ValueError(f"{where}: found two columns of the same name, expected distinct ones; or say --header no")
    kept = table[1:] if named else table
    if len(kept) <= NEIGHBOUR:
        raise ValueError(f"{where}: found {len(kept)} rows below the header, expected more than {NEIGHBOUR}")
    return names, [row.cells for row in kept], [row.line for row in kept]


def _is_header(cells: list[list[str]], where: str) -> bool:
    """Whether the first row is a header: all words, or a word above a column of numbers. Other mixes are refused."""
    numeric = [number(cell) is not None for cell in cells[0]]
    if not any(numeric):
        return True
    over_numbers = [
        not first and all(number(row[i]) is not None for row in cells[1:]) for i, first in enumerate(numeric)
    ]
    if any(over_numbers) and len(cells) > 1:
        return True
    if all(numeric):
        return False
    raise ValueError(
        f"{where}: found a first row of words and numbers, {', '.join(cells[0])}, which may be names or data: "
        "say --header yes or --header no"
    )


def _refuse_empty(cells: list[str], name: str, lines: list[int]) -> None:
    if "" in cells:
        line = lines[cells.index("")]
        raise UsageError(
            f"estimate: found an empty cell in column {name!r}, line {line}: fill it, remove the row, or name other "
            "columns"
        )


def named(arguments: list[str] | None, chosen: list[int], names: list[str]) -> set[int]:
    """The columns that the arguments of an option name; all without arguments, none without the option."""
    if arguments is None:
        return set()
    return {find(name, names) for name in arguments} if arguments else set(chosen)


def find(name: str, names: list[str]) -> int:
    """The index of a column by its name or its index."""
    if name in names:
        return names.index(name)
    if name.removeprefix("-").isdecimal() and -len(names) <= int(name) < len(names):
        return int(name) % len(names)
    raise UsageError(f"estimate: found no column {name!r}, expected one of {', '.join(names)}, or an index")


def column(name: str, cells: list[str], lines: list[int], *, labels: bool, numbers: bool) -> Column:
    """A column of numbers if all cells are numbers and none stands on many rows, unless the caller decides."""
    _refuse_empty(cells, name, lines)
    values = [number(cell) for cell in cells]
    parsed = [value for value in values if value is not None]
    if len(cells) > len(parsed) and (numbers or len(parsed) > len(cells) / 2) and not labels:
        at = values.index(None)
        raise UsageError(
            f"estimate: found {cells[at]!r} in column {name!r}, line {lines[at]}, where others are numbers: "
            "correct it, remove the row, or take the column as labels by --labels"
        )
    numeric = len(parsed) == len(cells)
    if numeric and not labels:
        x = np.asarray(parsed)
        if not np.isfinite(x).all():
            at = int(np.argmin(np.isfinite(x)))
            raise UsageError(
                f"estimate: found {cells[at]} in column {name!r}, line {lines[at]}, expected finite numbers"
            )
        if numbers or np.unique(x, return_counts=True)[1].max() <= NEIGHBOUR:
            return Column(name, x, None)
    # If all cells are numbers, 1 and 1.0 are one label.
    keys = parsed if numeric else cells
    ids = {key: i for i, key in enumerate(dict.fromkeys(keys))}
    each = np.asarray([ids[key] for key in keys], np.int32)
    return Column(name, each, np.bincount(each), repeats=numeric and not labels)
