"""Reading data for a command."""

import argparse
from collections.abc import Iterator
from typing import Any

import numpy as np

from jxent import data
from jxent._cli.model import Model
from jxent._cli.problems import UsageError, bad_input
from jxent._cli.report import warn
from jxent.data import Dataset
from jxent.data._lazy import LazyRows


def read(args: argparse.Namespace, hint: str = "") -> tuple[Dataset, Dataset | None]:
    """The data set of `--data`, and its own test part if it has one."""
    header = None if args.header is None else args.header == "yes"
    with bad_input(hint):
        return data.read(args.data, header=header, label=args.label)


def held_out(args: argparse.Namespace, hint: str = "") -> tuple[Dataset, str]:
    """The rows to apply a fitted model to, and the name of their part of the data."""
    dataset, test = read(args, hint)
    return (dataset, "all rows") if test is None else (test, "the test part")


# Rows of features that are read from the disk at a time.
AT_A_TIME = 1 << 16


def features(x: Any, scale: float) -> Any:
    """`x / scale` in float32; features on the disk stay there and are divided when they are read."""
    if isinstance(x, LazyRows):
        return LazyRows(x.x, x.rows, scale)
    if isinstance(x, np.memmap):
        return LazyRows(x, None, scale)
    with np.errstate(over="ignore"):
        scaled = np.divide(x, scale, dtype=np.float64 if x.dtype == np.float64 else np.float32)
        scaled = scaled.astype(np.float32, copy=False)
    finite = np.isfinite(scaled)
    if not finite.all():
        row, column = divmod(int(np.argmin(finite)), x.shape[1])
        raise UsageError(
            f"--data: found {x[row, column]:g} at (row, column) = ({row}, {column}), expected numbers that "
            "float32 holds: divide the column by a constant"
        )
    return scaled


def parts(count: int) -> Iterator[slice]:
    """Slices of at most AT_A_TIME rows that together cover `count` rows."""
    return (slice(low, min(low + AT_A_TIME, count)) for low in range(0, count, AT_A_TIME))


def model_features(model: Model, dataset: Dataset, hint: str = "") -> Any:
    """The features, checked against the model and divided by its scale."""
    expected = model.params.weights.shape[0]
    if dataset.x.shape[1] != expected:
        raise UsageError(
            f"--data: found {dataset.x.shape[1]} features, expected {expected} as the model was trained on{hint}"
        )
    if dataset.scale != model.scale:
        warn(
            f"the features look as if divided by {dataset.scale:g}; the model was trained on features "
            f"divided by {model.scale:g}, and that is applied"
        )
    return features(dataset.x, model.scale)


def noun(spec: str) -> str:
    """The word for one row of the data."""
    return "image" if spec == "digits" or spec.startswith("idx:") else "row"
