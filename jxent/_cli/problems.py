"""What a user did wrong, told in one line."""

from collections.abc import Generator
from contextlib import contextmanager


class UsageError(Exception):
    """Bad usage or bad input: exit code 2, and the message on one line."""


@contextmanager
def bad_input(hint: str = "") -> Generator[None]:
    """Turn what a reader or a measure refuses into a `UsageError`.

    Kept to the calls that judge what the user gave: elsewhere a `ValueError` is a mistake of the package
    and deserves its traceback.
    """
    try:
        yield
    except (ValueError, TypeError, ImportError, FileNotFoundError) as error:
        raise UsageError(f"{error}{hint}") from error


def one_line(error: BaseException) -> str:
    """The message of an error without line breaks, or its type where it has none."""
    if isinstance(error, OSError) and error.strerror:
        names = [str(name) for name in (error.filename, error.filename2) if name]
        return ": ".join([*names, error.strerror])
    return " ".join(str(error).split()) or type(error).__name__
