"""`python -m jxent`."""

import io
import sys

from jxent._cli.main import main

if __name__ == "__main__":
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # Formulas hold letters that a terminal set to ASCII cannot show: escape them, never fail.
            stream.reconfigure(errors="backslashreplace")
    sys.exit(main())
