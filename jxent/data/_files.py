"""What the readers share about files."""

import os
from pathlib import Path
from typing import TypeAlias

StrPath: TypeAlias = str | os.PathLike[str]

# Deflate, the method of gzip and zip, spends at least 2 bits on at most 258 bytes. A header that announces
# more than this many times the size of its file is therefore false, and is refused before anything is read.
DEFLATE_RATIO = 1032


def show(value: object, limit: int = 60) -> str:
    """``repr(value)``, on one line and cut to ``limit`` characters, for use in a message."""
    text = repr(value)
    return text if len(text) <= limit else text[: limit - 3] + "..."


def name_of(path: Path) -> str:
    """The path in quotes, whole and on one line."""
    return repr(str(path))


def to_path(path: object) -> Path:
    """``path`` as a Path; TypeError where it is neither a string nor a path."""
    if not isinstance(path, (str, os.PathLike)):
        raise TypeError(f"path: expected a string or a pathlib.Path, found {type(path).__name__}")
    plain = os.fspath(path)
    if not isinstance(plain, str):
        raise TypeError(f"path: expected a path of text, found one of {type(plain).__name__}")
    if not plain or "\0" in plain:
        raise ValueError(f"path: expected the name of a file, found {show(plain)}")
    return Path(plain)


def regular_file(path: object, what: str) -> Path:
    """The path of an existing regular file; ``what`` says in the message which kind of file it should be."""
    file = to_path(path)
    if not file.exists():
        raise FileNotFoundError(f"{name_of(file)}: no such file; expected {what}: check the path")
    if not file.is_file():
        found = "a folder" if file.is_dir() else "neither a file nor a folder"
        raise ValueError(f"{name_of(file)}: found {found}, expected {what}: give the path of the file itself")
    return file
