"""`python -m jxent estimate`: what the columns of a file know, and what they know of each other."""

import argparse
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from numpy.typing import NDArray

from jxent import counts, samples
from jxent._cli import report
from jxent._cli.problems import UsageError, bad_input
from jxent.data._csv_columns import number
from jxent.data._csv_rows import rows
from jxent.data._files import name_of, regular_file

# A table of more cells than these is no summary of the rows any more, and would not fit into memory.
_MOST_CELLS = 10_000_000
# Of estimates from neighbours. A number on more rows than these has its neighbour at distance 0, and is a label.
_NEIGHBOUR = 3


class Column(NamedTuple):
    """A column: its name, the numbers in it, or the ids of its labels and how many there are."""

    name: str
    values: NDArray[Any]
    num_labels: int | None

    @property
    def described(self) -> str:
        """What the command took it for."""
        if self.num_labels is None:
            return f"numbers, {len(np.unique(self.values))} different"
        return f"labels, {self.num_labels} different"


def run(args: argparse.Namespace) -> int:
    """Estimate, and print or give JSON."""
    with bad_input():
        file = regular_file(Path(args.file), "a CSV file")
        names, cells, lines = _read(file, args.header)
    chosen = [_find(name, names) for name in args.columns] or list(range(len(names)))
    columns = [_column(names[i], [row[i] for row in cells], lines, labels=args.labels) for i in chosen]
    # In float64, locally: the flag of the process stays as it is.
    with bad_input(), jax.enable_x64(True):  # noqa: FBT003
        if len(args.columns) == 2:
            found = {"": _information(columns[0], columns[1], args.seed)}
        else:
            found = {column.name: _entropy(column) for column in columns}
    _tell(args, file.name, len(cells), columns, found)
    return 0


def _tell(
    args: argparse.Namespace, file: str, n: int, columns: list[Column], found: dict[str, dict[str, float]]
) -> None:
    if args.json:
        described = {column.name: column.described for column in columns}
        values = found.get("", found)
        print(report.to_json({"file": file, "rows": n, "columns": described, "nats": values}))
        return
    print(f"{file}: {n} rows")
    if "" in found:
        for column in columns:
            print(report.paragraph(f"{column.name}: {column.described}"))
        print("\nHow much one tells about the other")
        _numbers(found[""])
    for column in columns if "" not in found else []:
        print(f"\n{column.name}: {column.described}")
        _numbers(found[column.name])


def _numbers(values: dict[str, float]) -> None:
    for label, value in values.items():
        print(f"  {label:<30}{value:>9.4f}" if label == "p-value" else report.units(label, value))


def _read(file: Path, header: str | None) -> tuple[list[str], list[list[str]], list[int]]:
    """Names of the columns, the cells of every row, and the lines that these stand on."""
    where = name_of(file)
    with file.open("rb") as raw:
        found = list(rows(raw, where))
    if not found:
        raise ValueError(f"{where}: found an empty file, expected rows of cells")
    width = len(found[0].cells)
    for row in found:
        if len(row.cells) != width:
            raise ValueError(f"{where}, line {row.line}: found {len(row.cells)} cells, expected {width}")
        if "" in row.cells:
            at = row.cells.index("")
            raise ValueError(f"{where}, line {row.line}: found an empty cell at index {at}: fill it or remove the row")
    named = all(number(cell) is None for cell in found[0].cells) if header is None else header == "yes"
    names = found[0].cells if named else [str(i) for i in range(width)]
    if len(set(names)) < width:
        raise ValueError(f"{where}: found two columns of the same name, expected distinct ones; or say --header no")
    kept = found[1:] if named else found
    if len(kept) <= _NEIGHBOUR:
        raise ValueError(f"{where}: found {len(kept)} rows below the header, expected more than {_NEIGHBOUR}")
    return names, [row.cells for row in kept], [row.line for row in kept]


def _find(name: str, names: list[str]) -> int:
    if name in names:
        return names.index(name)
    if name.removeprefix("-").isdigit() and -len(names) <= int(name) < len(names):
        return int(name) % len(names)
    raise UsageError(f"estimate: found no column {name!r}, expected one of {', '.join(names)}, or an index")


def _column(name: str, cells: list[str], lines: list[int], *, labels: bool) -> Column:
    values = [number(cell) for cell in cells]
    known = [value for value in values if value is not None]
    if len(known) == len(cells) and not labels:
        x = np.asarray(known)
        if not np.isfinite(x).all():
            at = int(np.argmin(np.isfinite(x)))
            raise UsageError(
                f"estimate: found {cells[at]} in column {name!r}, line {lines[at]}, expected finite numbers"
            )
        if np.unique(x, return_counts=True)[1].max() <= _NEIGHBOUR:
            return Column(name, x, None)
    found, ids = np.unique(np.asarray(cells), return_inverse=True)
    return Column(name, ids.astype(np.int32), len(found))


def _entropy(column: Column) -> dict[str, float]:
    if column.num_labels is None:
        return {f"differential entropy, k = {_NEIGHBOUR}": float(samples.entropy(column.values, k=_NEIGHBOUR))}
    n = counts.from_labels(column.values, column.num_labels)
    mean, deviation = counts.entropy_moments(n, method="nsb")
    return {
        "entropy, as observed": float(counts.entropy(n)),
        "corrected (Miller and Madow)": float(counts.entropy(n, method="miller_madow")),
        "posterior mean (NSB)": float(mean),
        "its standard deviation": float(deviation),
    }


def _information(x: Column, y: Column, seed: int) -> dict[str, float]:
    if x.num_labels is None or y.num_labels is None:
        return _of_numbers(*((y, x) if y.num_labels is None else (x, y)))
    if x.num_labels * y.num_labels > _MOST_CELLS:
        raise UsageError(
            f"estimate: found {x.num_labels} and {y.num_labels} labels, expected a table of at most {_MOST_CELLS} cells"
        )
    table = counts.from_labels(np.stack([x.values, y.values], axis=-1), (x.num_labels, y.num_labels))
    test = counts.permutation_test(table, key=jax.random.key(seed))
    return {
        "information, as observed": float(test.statistic),
        "of it by chance": float(test.null_mean),
        "corrected (Miller and Madow)": float(counts.mutual_information(table, method="miller_madow")),
        "p-value": float(test.p_value),
    }


def _of_numbers(x: Column, y: Column) -> dict[str, float]:
    """Between numbers, and numbers or labels."""
    method, name = ("ksg1", "KSG") if y.num_labels is None else ("ross", "Ross")
    value = float(samples.mutual_information(x.values, y.values, k=_NEIGHBOUR, method=method))
    if np.isnan(value):
        raise UsageError(
            f"estimate: found a label of {y.name} on fewer than {_NEIGHBOUR + 1} rows, expected more for an estimate "
            "from neighbours: leave its rows out, or take every column as labels by --labels"
        )
    return {f"information ({name}, k = {_NEIGHBOUR})": value}
