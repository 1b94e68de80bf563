"""Files written completely or not at all: first under a temporary name beside the target, then renamed."""

import contextlib
import os
import secrets
import shutil
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from jxent._cli.problems import UsageError

PARAMS, METRICS = "params.npz", "metrics.json"
PICTURES = ("weights.png", "loss.png", "confusion.png")


def check_folder(name: str, *, force: bool) -> Path:
    """The folder to write. It is refused before any work if it cannot be written."""
    if not name:
        raise UsageError("--out: found an empty name, expected a folder")
    folder = Path(name).resolve()
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"--out: {str(folder)!r} is a file, expected a folder that does not exist yet")
    if folder.is_dir() and any(folder.iterdir()) and not force:
        raise UsageError(f"--out: {str(folder)!r} exists and is not empty; choose another, or replace it with --force")
    _check_access(folder if folder.is_dir() else folder.parent)
    return folder


def check_file(name: str, *, force: bool) -> Path:
    """The file to write. It is refused before any work if it cannot be written."""
    if not name:
        raise UsageError("--out: found an empty name, expected a file")
    file = Path(name).resolve()
    if file.exists() and not file.is_file():
        raise UsageError(f"--out: {str(file)!r} is no regular file, expected a file that does not exist yet")
    if file.exists() and not force:
        raise UsageError(f"--out: {str(file)!r} exists; choose another, or replace it with --force")
    _check_access(file.parent)
    return file


def _check_access(folder: Path) -> None:
    existing = next(parent for parent in (folder, *folder.parents) if parent.exists())
    if not existing.is_dir():
        raise UsageError(f"--out: {str(existing)!r} is a file, expected a folder to write in")
    probe = existing / _temporary("probe")
    try:
        probe.mkdir()
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(existing)) from error
    finally:
        with contextlib.suppress(OSError):
            probe.rmdir()


@contextmanager
def written_folder(target: Path) -> Generator[Path]:
    """A new folder to write in. Its files move to `target` if the block ends without an error, else nothing changes.

    Files of an earlier run in `target` are replaced, all of them or none; other files there are kept.
    """
    exists = target.is_dir()
    made = [parent for parent in target.parents if not parent.exists()]
    # Inside an existing `target`, which may be a separate file system: a rename cannot cross file systems.
    stage = (target if exists else target.parent) / _temporary(target.name)
    new, old = stage / "new", stage / "old"
    done = False
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        stage.mkdir()
        new.mkdir()
        yield new
        for file in new.iterdir():
            _sync(file)
        _sync(new)
        if exists:
            _exchange(new, old, target)
        else:
            new.rename(target)
        done = True
        _sync(target.parent)
    finally:
        # Keep the temporary folder if it holds files of the earlier run that could not be moved back.
        if done or not (old.is_dir() and any(old.iterdir())):
            shutil.rmtree(stage, ignore_errors=True)
        if not done:
            for parent in made:
                with contextlib.suppress(OSError):
                    parent.rmdir()


def _exchange(new: Path, old: Path, target: Path) -> None:
    """Move the files of an earlier run to `old` and those of `new` to `target`, or none of them."""
    old.mkdir()
    earlier = [name for name in (PARAMS, METRICS, *PICTURES) if os.path.lexists(target / name)]
    moves = [(target / name, old / name) for name in earlier]
    moves += [(file, target / file.name) for file in sorted(new.iterdir())]
    try:
        for here, there in moves:
            here.rename(there)
    except BaseException:
        for here, there in reversed(moves):
            if os.path.lexists(there) and not os.path.lexists(here):
                there.rename(here)
        raise


@contextmanager
def written_file(target: Path) -> Generator[TextIO]:
    """A text file to write. It replaces `target` if the block ends without an error."""
    stage = target.with_name(_temporary(target.name))
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with stage.open("w", encoding="utf-8", newline="") as file:
            yield file
        _sync(stage)
        stage.replace(target)
        _sync(target.parent)
    finally:
        stage.unlink(missing_ok=True)


def _temporary(name: str) -> str:
    return f".{name[:40]}.{secrets.token_hex(4)}.tmp"


def _sync(path: Path) -> None:
    """Flush a file or the entries of a folder to the disk, so that an error is raised now, not after the rename."""
    if path.is_dir() and os.name == "nt":
        return  # Windows cannot open folders.
    handle = os.open(path, os.O_RDONLY if os.name != "nt" else os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
