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

# A table of more cells than these is no summary of the rows any more.
_MOST_CELLS = 1_000_000
# Of estimates from neighbours. A number on more rows than these has its neighbour at distance 0, and is a label.
_NEIGHBOUR = 3
_PERMUTATIONS = 999


class Column(NamedTuple):
    """A column: its name, the numbers in it, or the ids of its labels and how often each occurs."""

    name: str
    values: NDArray[Any]
    seen: NDArray[Any] | None

    repeats: bool = False

    @property
    def described(self) -> str:
        """What the command took it for."""
        if self.seen is None:
            return f"numbers, {len(np.unique(self.values))} different"
        why = f", as some numbers stand on more than {_NEIGHBOUR} rows" if self.repeats else ""
        return f"labels, {len(self.seen)} different{why}"


class Found(NamedTuple):
    """Numbers in nats, a probability, and what is to be said about them."""

    nats: dict[str, float]
    p_value: float | None = None
    note: str = ""


def run(args: argparse.Namespace) -> int:
    """Estimate, and print or give JSON."""
    with bad_input():
        file = regular_file(Path(args.file), "a CSV file")
        names, cells, lines = _read(file, args.header)
    chosen = [_find(name, names) for name in args.columns] or list(range(len(names)))
    if len(set(chosen)) < len(chosen):
        raise UsageError(f"estimate: found the column {names[chosen[0]]!r} twice, expected two different ones")
    for i in chosen:
        _refuse_empty([row[i] for row in cells], names[i], lines)
    as_labels, as_numbers = (_named(given, chosen, names) for given in (args.labels, args.numbers))
    if both := as_labels & as_numbers:
        raise UsageError(f"estimate: found {names[min(both)]!r} in --labels and --numbers, expected it in one")
    columns = [
        _column(names[i], [row[i] for row in cells], lines, labels=i in as_labels, numbers=i in as_numbers)
        for i in chosen
    ]
    # In float64, locally: the flag of the process stays as it is.
    with bad_input(), jax.enable_x64(True):  # noqa: FBT003
        if len(args.columns) == 2:
            found = {"": _information(columns[0], columns[1], args.seed)}
        else:
            found = {column.name: _entropy(column) for column in columns}
    _tell(args, file.name, len(cells), columns, found)
    return 0


def _tell(args: argparse.Namespace, file: str, n: int, columns: list[Column], found: dict[str, Found]) -> None:
    described = {column.name: column.described for column in columns}
    if args.json:
        told: dict[str, Any] = {"file": file, "rows": n, "columns": described}
        if "" in found:
            told |= {"nats": found[""].nats, "p_value": found[""].p_value, "note": found[""].note}
        else:
            told |= {"nats": {name: one.nats for name, one in found.items()}}
        print(report.to_json(told))
        return
    print(f"{file}: {n} rows, columns {', '.join(described)}")
    if "" in found:
        for name, what in described.items():
            print(report.paragraph(f"{name}: {what}"))
    for name, one in found.items():
        print(f"\n{name}: {described[name]}" if name else "\nHow much one tells about the other")
        for label, value in one.nats.items():
            print(report.units(label, value))
        if one.p_value is not None:
            print(f"  {'p-value, if none':<30}{one.p_value:>9.4f} of {_PERMUTATIONS} permutations")
        if one.note:
            print(report.paragraph(one.note))


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
    named = _is_header([row.cells for row in found], where) if header is None else header == "yes"
    names = found[0].cells if named else [str(i) for i in range(width)]
    if len(set(names)) < width:
        raise ValueError(f"{where}: found two columns of the same name, expected distinct ones; or say --header no")
    kept = found[1:] if named else found
    if len(kept) <= _NEIGHBOUR:
        raise ValueError(f"{where}: found {len(kept)} rows below the header, expected more than {_NEIGHBOUR}")
    return names, [row.cells for row in kept], [row.line for row in kept]


def _is_header(cells: list[list[str]], where: str) -> bool:
    """Whether the first row holds names: all words, or a word over numbers; the rest is not for a program to guess."""
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


def _named(given: list[str] | None, chosen: list[int], names: list[str]) -> set[int]:
    """The columns that an option names; all where it stands alone, none where it does not."""
    if given is None:
        return set()
    return {_find(name, names) for name in given} if given else set(chosen)


def _find(name: str, names: list[str]) -> int:
    if name in names:
        return names.index(name)
    if name.removeprefix("-").isdecimal() and -len(names) <= int(name) < len(names):
        return int(name) % len(names)
    raise UsageError(f"estimate: found no column {name!r}, expected one of {', '.join(names)}, or an index")


def _column(name: str, cells: list[str], lines: list[int], *, labels: bool, numbers: bool) -> Column:
    values = [number(cell) for cell in cells]
    known = [value for value in values if value is not None]
    if len(cells) > len(known) and (numbers or len(known) > len(cells) / 2) and not labels:
        at = values.index(None)
        raise UsageError(
            f"estimate: found {cells[at]!r} in column {name!r}, line {lines[at]}, where others are numbers: "
            "correct it, remove the row, or take the column as labels by --labels"
        )
    numeric = len(known) == len(cells)
    if numeric and not labels:
        x = np.asarray(known)
        if not np.isfinite(x).all():
            at = int(np.argmin(np.isfinite(x)))
            raise UsageError(
                f"estimate: found {cells[at]} in column {name!r}, line {lines[at]}, expected finite numbers"
            )
        if numbers or np.unique(x, return_counts=True)[1].max() <= _NEIGHBOUR:
            return Column(name, x, None)
    # 1 and 1.0 are one label where all are numbers.
    keys = known if numeric else cells
    ids = {key: i for i, key in enumerate(dict.fromkeys(keys))}
    each = np.asarray([ids[key] for key in keys], np.int32)
    return Column(name, each, np.bincount(each), repeats=numeric and not labels)


def _entropy(column: Column) -> Found:
    if column.seen is None:
        name = f"differential entropy, k = {_NEIGHBOUR}"
        value = float(samples.entropy(column.values, k=_NEIGHBOUR))
        note = "too many equal numbers, or too large to subtract: no estimate" if np.isnan(value) else ""
        return Found({name: value}, note=note)
    mean, deviation = counts.entropy_moments(column.seen, method="nsb")
    return Found(
        {
            "entropy, as observed": float(counts.entropy(column.seen)),
            "corrected (Miller and Madow)": float(counts.entropy(column.seen, method="miller_madow")),
            "if more labels exist (Chao)": float(counts.entropy(column.seen, method="chao_shen")),
            "if no others exist (NSB)": float(mean),
            "standard deviation of that": float(deviation),
        }
    )


def _information(x: Column, y: Column, seed: int) -> Found:
    if x.seen is None or y.seen is None:
        return _of_numbers(*((y, x) if y.seen is None else (x, y)))
    if len(x.seen) * len(y.seen) > _MOST_CELLS:
        raise UsageError(
            f"estimate: found {len(x.seen)} and {len(y.seen)} labels, expected a table of at most {_MOST_CELLS} cells"
        )
    table = counts.from_labels(np.stack([x.values, y.values], axis=-1), (len(x.seen), len(y.seen)))
    test = counts.permutation_test(table, key=jax.random.key(seed), num_permutations=_PERMUTATIONS)
    values = {
        "information, as observed": float(test.statistic),
        "of it by chance": float(test.null_mean),
        "corrected (Miller and Madow)": float(counts.mutual_information(table, method="miller_madow")),
    }
    return Found(values, float(test.p_value))


def _of_numbers(x: Column, y: Column) -> Found:
    """Between numbers, by columns of one spread; and of numbers and labels."""
    if y.seen is None:
        value = samples.mutual_information(x.values, y.values, k=_NEIGHBOUR, method="ksg1", standardize=True)
        return Found({f"information (KSG, k = {_NEIGHBOUR})": _finite(float(value), x, y)})
    value = samples.mutual_information(x.values, y.values, k=_NEIGHBOUR, method="ross", standardize=True)
    once, few = int(np.sum(y.seen == 1)), int(np.sum((y.seen > 1) & (y.seen <= _NEIGHBOUR)))
    notes = [f"{once} rows whose {y.name} occurs once are left out"] if once else []
    notes += [f"{few} labels on {_NEIGHBOUR} rows or fewer look at fewer neighbours"] if few else []
    return Found({f"information (Ross, k = {_NEIGHBOUR})": _finite(float(value), x, y)}, note="; ".join(notes))


def _finite(value: float, x: Column, y: Column) -> float:
    if np.isnan(value):
        raise UsageError(
            f"estimate: found no estimate for {x.name} and {y.name}: too many equal numbers, only labels that occur "
            "once, or numbers too large to subtract; --labels takes columns as labels"
        )
    return value
