"""Errors of the user, as messages of one line."""

from collections.abc import Generator
from contextlib import contextmanager


class UsageError(Exception):
    """Bad usage or bad input: exit code 2, and the message on one line."""


@contextmanager
def bad_input(hint: str = "") -> Generator[None]:
    """Turn an error of a reader or a measure into a `UsageError`.

    It wraps only the calls that check the input of the user. Elsewhere a `ValueError` is a bug of the package
    and needs its traceback.
    """
    try:
        yield
    except (ValueError, TypeError, ImportError, FileNotFoundError) as error:
        raise UsageError(f"{error}{hint}") from error


def one_line(error: BaseException) -> str:
    """The message of an error without line breaks, or its type if it has no message."""
    if isinstance(error, OSError) and error.strerror:
        names = [str(name) for name in (error.filename, error.filename2) if name]
        return ": ".join([*names, error.strerror])
    return " ".join(str(error).split()) or type(error).__name__
