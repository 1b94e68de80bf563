"""Dispatch to the commands, and their exit codes."""

import contextlib
import importlib
import os
import sys
from collections.abc import Sequence
from difflib import get_close_matches
from typing import Any

from jxent import __version__
from jxent._cli import compilation, parsers
from jxent._cli.problems import UsageError, one_line

OK, FAILED, USAGE, INTERRUPTED, BROKEN_PIPE = 0, 1, 2, 130, 141


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code.

    0 is success, 2 bad usage or bad input, 130 an interruption by Ctrl-C, 141 a closed pipe, and 1 any
    other failure. A failure that the user can correct is one line on stderr. A bug of the package is raised
    as an exception, with its traceback.
    """
    try:
        status = _dispatch(list(sys.argv[1:] if argv is None else argv))
        sys.stdout.flush()
    except BrokenPipeError:
        _abandon(sys.stdout)  # The reader, such as `head`, closed the pipe.
        return BROKEN_PIPE
    except UsageError as error:
        return _complain(one_line(error), USAGE)
    except KeyboardInterrupt:
        return _complain("interrupted", INTERRUPTED, kind="")
    except MemoryError as error:
        return _complain(f"out of memory ({one_line(error)})", FAILED)
    except (OSError, FloatingPointError) as error:
        # stdout may go to the disk that is full.
        _abandon(sys.stdout)
        return _complain(one_line(error), FAILED)
    return status


def _dispatch(argv: list[str]) -> int:
    command, rest = (argv[0], argv[1:]) if argv else ("--help", [])
    if command in ("-h", "--help", "help"):
        print(parsers.OVERVIEW, end="")
        return OK
    if command in ("-V", "--version"):
        print(f"jxent {__version__}")
        return OK
    if command not in parsers.COMMANDS:
        close = get_close_matches(command, parsers.COMMANDS, n=1)
        hint = f"did you mean {close[0]}?" if close else f"expected {', '.join(parsers.COMMANDS)};"
        raise UsageError(f"unknown command {command!r}: {hint} see python -m jxent --help")
    try:
        args = parsers.COMMANDS[command](rest)
    except SystemExit as done:  # argparse raises this after --help.
        return int(done.code or OK)
    if not args.no_cache:
        compilation.keep()
    # Imported late, so that help and usage errors do not wait for the import of JAX.
    return int(importlib.import_module(f"jxent._cli.{command}").run(args))


def _complain(message: str, status: int, *, kind: str = "error: ") -> int:
    with contextlib.suppress(OSError):
        print(f"jxent: {kind}{message}", file=sys.stderr, flush=True)
    return status


def _abandon(stream: Any) -> None:
    """Discard buffered output, which Python would otherwise fail to write at its exit."""
    try:
        stream.flush()
    except OSError:
        with contextlib.suppress(OSError, ValueError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, stream.fileno())
            os.close(nowhere)
