"""`python -m jxent estimate`: entropy of the columns of a file, and mutual information between two of them."""

import argparse
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from jxent import counts, samples
from jxent._cli import report
from jxent._cli.columns import NEIGHBOUR, Column, column, find, named, read
from jxent._cli.problems import UsageError, bad_input
from jxent.data._files import regular_file

# Most cells of a table of counts: a larger table no longer summarises the rows.
_MOST_CELLS = 1_000_000
_PERMUTATIONS = 999


class Estimate(NamedTuple):
    """Estimates in nats by their labels, a p-value, and a note to print."""

    nats: dict[str, float]
    p_value: float | None = None
    note: str = ""


def run(args: argparse.Namespace) -> int:
    """Estimate, and print text or JSON."""
    with bad_input():
        file = regular_file(Path(args.file), "a CSV file")
        names, cells, lines = read(file, args.header)
    chosen = [find(name, names) for name in args.columns] or list(range(len(names)))
    if len(set(chosen)) < len(chosen):
        raise UsageError(f"estimate: found the column {names[chosen[0]]!r} twice, expected two different ones")
    as_labels, as_numbers = (named(arguments, chosen, names) for arguments in (args.labels, args.numbers))
    if both := as_labels & as_numbers:
        raise UsageError(f"estimate: found {names[min(both)]!r} in --labels and --numbers, expected it in one")
    columns = [
        column(names[i], [row[i] for row in cells], lines, labels=i in as_labels, numbers=i in as_numbers)
        for i in chosen
    ]
    # float64 here only: the flag of the process does not change.
    with bad_input(), jax.enable_x64(True):  # noqa: FBT003
        if len(args.columns) == 2:
            estimates = [_information(columns[0], columns[1], args.seed)]
        else:
            estimates = [_entropy(one) for one in columns]
    facts = {"file": file.name, "rows": len(cells), "columns": {one.name: one.described for one in columns}}
    if args.json:
        print(report.to_json(facts | _json(columns, estimates)))
        return 0
    print(f"{file.name}: {len(cells)} rows, columns {', '.join(one.name for one in columns)}")
    if len(estimates) < len(columns):
        for one in columns:
            print(report.paragraph(f"{one.name}: {one.described}"))
        _print("How much one tells about the other", estimates[0])
        return 0
    for one, values in zip(columns, estimates, strict=True):
        _print(f"{one.name}: {one.described}", values)
    return 0


def _json(columns: list[Column], estimates: list[Estimate]) -> dict[str, Any]:
    if len(estimates) < len(columns):
        return estimates[0]._asdict()
    notes = {one.name: values.note for one, values in zip(columns, estimates, strict=True) if values.note}
    return {"nats": {one.name: values.nats for one, values in zip(columns, estimates, strict=True)}, "notes": notes}


def _print(title: str, estimate: Estimate) -> None:
    print(f"\n{title}")
    for label, value in estimate.nats.items():
        print(report.units(label, value))
    if estimate.p_value is not None:
        print(f"  {'p-value, if none':<30}{estimate.p_value:>9.4f} of {_PERMUTATIONS} permutations")
    if estimate.note:
        print(report.paragraph(estimate.note))


def _entropy(column: Column) -> Estimate:
    if column.seen is None:
        name = f"differential entropy, k = {NEIGHBOUR}"
        value = float(samples.entropy(column.values, k=NEIGHBOUR))
        note = "too many equal numbers, or too large to subtract: no estimate" if np.isnan(value) else ""
        return Estimate({name: value}, note=note)
    mean, deviation = counts.entropy_moments(column.seen, method="nsb")
    return Estimate(
        {
            "entropy, as observed": float(counts.entropy(column.seen)),
            "corrected (Miller and Madow)": float(counts.entropy(column.seen, method="miller_madow")),
            "if more labels exist (Chao)": float(counts.entropy(column.seen, method="chao_shen")),
            "if no others exist (NSB)": float(mean),
            "standard deviation of that": float(deviation),
        }
    )


def _information(x: Column, y: Column, seed: int) -> Estimate:
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
    return Estimate(values, float(test.p_value))


def _of_numbers(x: Column, y: Column) -> Estimate:
    """Information between two standardized columns of numbers, or between numbers and labels."""
    if y.seen is None:
        value = samples.mutual_information(x.values, y.values, k=NEIGHBOUR, method="ksg1", standardize=True)
        return Estimate({f"information (KSG, k = {NEIGHBOUR})": _finite(float(value), x, y)})
    value = samples.mutual_information(x.values, y.values, k=NEIGHBOUR, method="ross", standardize=True)
    once, few = int(np.sum(y.seen == 1)), int(np.sum((y.seen > 1) & (y.seen <= NEIGHBOUR)))
    notes = [f"{once} rows whose {y.name} occurs once are left out"] if once else []
    notes += [f"{few} labels on {NEIGHBOUR} rows or fewer look at fewer neighbours"] if few else []
    return Estimate({f"information (Ross, k = {NEIGHBOUR})": _finite(float(value), x, y)}, note="; ".join(notes))


def _finite(value: float, x: Column, y: Column) -> float:
    if np.isnan(value):
        raise UsageError(
            f"estimate: found no estimate for {x.name} and {y.name}: too many equal numbers, only labels that occur "
            "once, or numbers too large to subtract; --labels takes columns as labels"
        )
    return value
