"""Read distributions from the command line and from files, and check them."""

import re
from collections.abc import Sequence
from pathlib import Path
from tokenize import TokenError
from typing import Any, Literal

import numpy as np
from numpy.lib.format import open_memmap
from numpy.typing import NDArray

from jxent._cli.problems import UsageError

Kind = Literal["rows", "table", "elements"]

# How far the sum of a distribution may be from 1, by the item size of its dtype in the file.
_TOLERANCE = {2: 1e-3, 4: 1e-4}
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*([eE][+-]?\d+)?|\.\d+([eE][+-]?\d+)?|inf(inity)?|nan)", re.IGNORECASE)


def are_numbers(tokens: Sequence[str]) -> bool:
    """Whether all of `tokens` are numbers; inf, -inf and nan count as numbers."""
    return all(_NUMBER.fullmatch(token.strip()) for token in tokens)


def refuse_words(tokens: Sequence[str]) -> None:
    """Refuse a token that is neither a number nor the name of a .npy or .csv file."""
    for token in tokens:
        if not are_numbers([token]) and Path(token).suffix.lower() not in (".npy", ".csv"):
            raise UsageError(f"found {token!r}, expected numbers or a .npy or .csv file")


def read(tokens: Sequence[str], name: str) -> NDArray[Any]:
    """One distribution `[K]` from numbers, or `[N, K]` from a file."""
    if are_numbers(tokens):
        return np.array([float(token) for token in tokens])
    word = next(token for token in tokens if not are_numbers([token]))
    file = Path(word)
    refuse_words(tokens)
    if len(tokens) > 1:
        raise UsageError(f"{name}: found {len(tokens)} values, expected numbers alone or one file alone")
    if not file.is_file():
        raise UsageError(f"{name}: found no file {word!r}")
    array = _npy(file) if file.suffix.lower() == ".npy" else _csv(file)
    if array.ndim > 2 or array.size == 0:
        raise UsageError(
            f"{word!r}: found shape {list(array.shape)}, expected [K], one distribution, or [N, K], one a row"
        )
    return np.atleast_1d(array)


def _npy(file: Path) -> NDArray[Any]:
    try:
        # Opening a memory map checks the header against the size of the file, and neither unpickles nor allocates.
        array = np.array(open_memmap(file, mode="r"))
    except (ValueError, TypeError, SyntaxError, TokenError, EOFError, OverflowError) as error:
        raise UsageError(f"{str(file)!r}: found no plain npy array: save it with np.save(path, array)") from error
    if array.dtype.kind not in "fiub":
        raise UsageError(f"{str(file)!r}: found the type {array.dtype}, expected real numbers")
    return array


def _csv(file: Path) -> NDArray[np.float64]:
    rows: list[list[float]] = []
    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise UsageError(f"{str(file)!r}: found bytes that are not UTF-8, expected text") from error
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        delimiter = next((d for d in "\t;," if d in line), None)
        cells = [cell.strip() for cell in line.split(delimiter)]
        bad = next((cell for cell in cells if not are_numbers([cell])), None)
        where = f"{str(file)!r}, line {number}"
        if bad is not None:
            raise UsageError(f"{where}: found {bad[:40]!r}, expected numbers throughout and no header")
        if rows and len(cells) != len(rows[0]):
            raise UsageError(f"{where}: found {len(cells)} numbers, expected {len(rows[0])} as before")
        rows.append([float(cell) for cell in cells])
    return np.array(rows)


def check(array: NDArray[Any], name: str, *, room: str, kind: Kind, normalize: bool) -> NDArray[np.float64]:
    """The numbers in float64, after a check that they are distributions; `normalize` divides each by its sum."""
    tolerance = _TOLERANCE.get(array.dtype.itemsize, 1e-6) if array.dtype.kind == "f" else 1e-6
    values = array.astype(np.float64)
    _refuse(np.isnan(values), values, name, "expected a number")
    if normalize and (room == "logits" or kind == "elements"):
        what = "logits may have any shift" if room == "logits" else "each number stands for itself"
        raise UsageError(f"--normalize: {what}, there is nothing to normalize: leave it out")
    if room == "logits":
        if kind != "elements":
            _refuse(values == np.inf, values, name, "expected finite logits or -inf")
            _refuse_rows(np.all(values == -np.inf, axis=-1), name, "holds only -inf, which is no distribution")
        return values
    _refuse(values < 0, values, name, "expected probabilities, at least 0")
    if kind == "elements":
        _refuse(values > 1, values, name, "expected probabilities, at most 1")
        return values
    sums = np.sum(values, axis=None if kind == "table" else -1, keepdims=True)
    bad = ~((sums > 0) & np.isfinite(sums)) if normalize else ~(np.abs(sums - 1) <= tolerance)
    fix = "which is nothing to divide by" if normalize else "expected 1: correct it or give --normalize"
    _refuse_rows(bad.reshape(-1), name, fix, sums.reshape(-1), "the table" if kind == "table" else None)
    return values / sums if normalize else values


def _refuse(bad: NDArray[np.bool_], values: NDArray[np.float64], name: str, expected: str) -> None:
    """Raise an error that names the first bad number."""
    if bad.any():
        *row, column = (int(i) for i in np.unravel_index(int(np.argmax(bad)), values.shape))
        where = f"row {row[0] if row else 0}, number {column}"
        raise UsageError(f"{name}: found {values[(*row, column)]:g} in {where}, counted from 0; {expected}")


def _refuse_rows(
    bad: Any, name: str, why: str, sums: NDArray[np.float64] | None = None, subject: str | None = None
) -> None:
    """Raise an error that names the first bad row, or `subject` if all rows are one distribution, and its sum."""
    if np.any(bad):
        row = int(np.argmax(bad))
        total = "" if sums is None else f"sums to {sums[row]:.9g}, "
        raise UsageError(f"{name}: {subject or f'row {row}'} {total}{why}")
