"""`python -m jxent predict`."""

import argparse
import contextlib
import csv
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jxent import regression
from jxent._cli import inputs, model, store
from jxent._cli.problems import UsageError, bad_input
from jxent.data import Dataset
from jxent.data._csv_columns import number
from jxent.data._csv_rows import rows
from jxent.data._dataset import scale_of
from jxent.data._files import name_of, regular_file, show
from jxent.data._npz import _features
from jxent.data._npz_file import read_arrays

_UNLABELLED = "; data without labels are read with --label none"


def run(args: argparse.Namespace) -> int:
    """Write the class and the probabilities of every row as csv."""
    target = None if args.out is None else store.check_file(args.out, force=args.force)
    fitted = model.load(args.model)
    dataset, hint = _read(args)
    x = inputs.model_features(fitted, dataset, hint)
    with contextlib.nullcontext(sys.stdout) if target is None else store.written_file(target) as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["index", "class", *(f"p_{label}" for label in fitted.classes)])
        # NumPy writes the fewest digits that read back as the same float32.
        for part in inputs.parts(len(x)):
            p = np.asarray(regression.predict_proba(fitted.params, x[part]))
            for i, (best, row) in enumerate(zip(np.argmax(p, axis=1), p, strict=True), part.start):
                writer.writerow([i, fitted.classes[best], *row.astype(str)])
    if target is not None:
        print(f"wrote {len(x)} rows to {args.out}")
    return 0


def _read(args: argparse.Namespace) -> tuple[Dataset, str]:
    """The rows to predict, and a hint for the message about a wrong number of features."""
    if args.label != "none":
        hint = _UNLABELLED if args.data.startswith(("csv:", "npz:")) else ""
        return inputs.held_out(args, hint)[0], hint
    kind, _, path = args.data.partition(":")
    if kind not in ("csv", "npz") or not path:
        raise UsageError("--label none: expected with --data csv:FILE or npz:FILE only")
    if kind == "npz" and args.header is not None:
        raise UsageError("--header: expected with --data csv:FILE only")
    with bad_input():
        x = _csv(path, args.header) if kind == "csv" else _npz(path)
    return Dataset(x, np.zeros(len(x), np.int32), (), scale_of(x)), ""


def _npz(path: str) -> NDArray[Any]:
    file = regular_file(path, "an npz file")
    return _features(read_arrays(file, ("x",), needed=("x",))["x"], f"{name_of(file)}, array x")


def _csv(path: str, header: str | None) -> NDArray[np.float64]:
    """The numbers of a csv file without labels; a first row without a single number is a header."""
    file = regular_file(Path(path), "a CSV file")
    values: list[list[float]] = []
    with file.open("rb") as raw:
        for i, (line, cells) in enumerate(rows(raw, name_of(file))):
            parsed = [number(cell) for cell in cells]
            if i == 0 and (header == "yes" or (header is None and not any(v is not None for v in parsed))):
                continue
            finite = [v for v in parsed if v is not None and np.isfinite(v)]
            if len(finite) < len(parsed):
                bad = next(c for c, v in zip(cells, parsed, strict=True) if v is None or not np.isfinite(v))
                raise ValueError(f"{name_of(file)}, line {line}: found {show(bad)}, expected finite numbers throughout")
            if values and len(finite) != len(values[0]):
                raise ValueError(
                    f"{name_of(file)}, line {line}: found {len(finite)} cells, expected {len(values[0])} as before"
                )
            values.append(finite)
    if not values:
        raise ValueError(f"{name_of(file)}: found no rows, expected rows of numbers")
    return np.array(values)
