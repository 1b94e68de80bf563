"""Split the bytes of a delimited file into rows of cells."""

import csv
import re
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import BinaryIO, NamedTuple

_QUOTED = re.compile(r'"[^"]*"?')


class Row(NamedTuple):
    """The cells of one row and the number of the line it ends on, counted from 1."""

    line: int
    cells: list[str]


def rows(raw: BinaryIO, where: str) -> Iterator[Row]:
    """The rows that are not blank; spaces around cells are dropped."""
    lines = _decoded(raw, where)
    head: list[str] = []
    for line in lines:
        head.append(line)
        if line.strip():
            break
    return _split(chain(head, lines), _delimiter(head[-1] if head else ""), where)


def _decoded(raw: BinaryIO, where: str) -> Iterator[str]:
    for number, line in enumerate(raw, 1):
        try:
            # Spreadsheets put a byte-order mark before the first line.
            yield line.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError as error:
            raise ValueError(
                f"{where}, line {number}: found the byte 0x{line[error.start]:02x}, which is not UTF-8, "
                "expected UTF-8 text: save the file as UTF-8"
            ) from error


def _delimiter(line: str) -> str:
    """The most frequent of tab, semicolon and comma outside quotes; ties go in this order."""
    # The comma comes last because it also occurs within numbers, as in `1,5;2,5;a`.
    return max("\t;,", key=_QUOTED.sub("", line).count)


def _split(lines: Iterable[str], delimiter: str, where: str) -> Iterator[Row]:
    reader = csv.reader(lines, delimiter=delimiter, skipinitialspace=True, strict=True)
    try:
        for cells in reader:
            stripped = [cell.strip() for cell in cells]
            if stripped not in ([], [""]):
                yield Row(reader.line_num, stripped)
    except csv.Error as error:
        raise ValueError(
            f"{where}, line {reader.line_num}: found text that is not delimited properly ({error}), "
            "expected cells with matching double quotes and lines that end in a line feed: correct the line"
        ) from error
