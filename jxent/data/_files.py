"""Paths of files and their names in messages, for all readers."""

import os
from pathlib import Path
from typing import TypeAlias

StrPath: TypeAlias = str | os.PathLike[str]

# Deflate, the method of gzip and zip, needs at least 2 bits for every 258 bytes. A header that announces more
# than this many times the size of its file is therefore false. It is refused before any data is read.
DEFLATE_RATIO = 1032


def show(value: object, limit: int = 60) -> str:
    """``repr(value)``, on one line and cut to ``limit`` characters, for use in a message."""
    text = repr(value)
    return text if len(text) <= limit else text[: limit - 3] + "..."


def name_of(path: Path) -> str:
    """The full path in quotes, on one line."""
    return repr(str(path))


def to_path(path: object) -> Path:
    """``path`` as a Path; TypeError if it is neither a string nor a path."""
    if not isinstance(path, (str, os.PathLike)):
        raise TypeError(f"path: expected a string or a pathlib.Path, found {type(path).__name__}")
    plain = os.fspath(path)
    if not isinstance(plain, str):
        raise TypeError(f"path: expected a path of text, found one of {type(plain).__name__}")
    if not plain or "\0" in plain:
        raise ValueError(f"path: expected the name of a file, found {show(plain)}")
    return Path(plain)


def regular_file(path: object, what: str) -> Path:
    """The path of an existing regular file; ``what`` names the expected kind of file in messages."""
    file = to_path(path)
    if not file.exists():
        raise FileNotFoundError(f"{name_of(file)}: no such file; expected {what}: check the path")
    if not file.is_file():
        kind = "a folder" if file.is_dir() else "neither a file nor a folder"
        raise ValueError(f"{name_of(file)}: found {kind}, expected {what}: give the path of the file itself")
    return file
