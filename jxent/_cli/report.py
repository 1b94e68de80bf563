"""Text and JSON: numbers with their units, in 80 columns."""

import json
import math
import sys
import textwrap
from collections.abc import Mapping
from typing import Any

LOG2, LOG10 = math.log(2), math.log(10)


def units(label: str, nats: float) -> str:
    """One quantity in nats, bits and hartleys."""
    return f"  {label:<30}{nats:>9.4f} nats{nats / LOG2:>9.4f} bits{nats / LOG10:>9.4f} hartleys"


def saved(bits: float, what: str, against: str) -> str:
    """The bits that a prediction saves, aligned with the bits of `units`."""
    return f"  {'saved against ' + against:<44}{bits:>9.4f} bits per {what}"


def paragraph(text: str) -> str:
    """Words wrapped and indented; a path is never broken."""
    return textwrap.fill(
        text,
        80,
        initial_indent="  ",
        subsequent_indent="  ",
        break_long_words=False,
        break_on_hyphens=False,
    )


def warn(message: str) -> None:
    """One line on stderr that does not stop the command."""
    print(f"jxent: warning: {' '.join(message.split())}", file=sys.stderr, flush=True)


def to_json(values: Mapping[str, Any]) -> str:
    """One JSON object. JSON has no infinity and no NaN: they become the strings "inf", "-inf" and "nan"."""
    return json.dumps({key: _plain(value) for key, value in values.items()}, indent=2, allow_nan=False)


def _plain(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, Mapping):
        return {key: _plain(v) for key, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    return value
