"""`python -m jxent`."""

import contextlib
import io
import os
import sys

from jxent._cli.main import INTERRUPTED, main


def _run() -> None:
    streams = [s for s in (sys.stdout, sys.stderr) if isinstance(s, io.TextIOWrapper)]
    for stream in streams:
        # Formulas hold letters that a terminal set to ASCII cannot show: escape them, never fail.
        stream.reconfigure(errors="backslashreplace")
    status = main()
    if status == INTERRUPTED:
        # A compiled loop may still be running, and crashes when Python takes itself apart around it.
        for stream in streams:
            with contextlib.suppress(OSError):
                stream.flush()
        os._exit(status)
    sys.exit(status)


if __name__ == "__main__":
    _run()
