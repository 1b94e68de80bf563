"""Measure the rows and print them as a table or as JSON."""

import argparse
import json
import platform
import statistics
import sys
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from benchmarks.rows import ROWS, Inputs, Row, inputs
from benchmarks.timing import interleaved, ratio


def floor(names: tuple[str, ...]) -> Any:
    """The sum over the floating inputs of a row: each read once, one after the other."""
    return lambda *arrays: [jnp.sum(x, axis=-1) for n, x in zip(names, arrays, strict=True) if n != "labels"]


def measure(row: Row, data: Inputs, rounds: int) -> dict[str, Any]:
    """One row: multiples of the floor, and the factor over the peer."""
    args = tuple(getattr(data, name) for name in row.inputs)
    seconds = interleaved(
        {"floor": (floor(row.inputs), args), "ours": (row.ours, args), "peer": (row.peer, args)}, rounds
    )
    times = ratio(seconds, "ours", "floor")
    faster = ratio(seconds, "peer", "ours")
    met = (row.at_most is None or times <= row.at_most) and (row.faster is None or faster >= row.faster)
    return {
        "row": row.name,
        "milliseconds": 1e3 * statistics.median(seconds["ours"]),
        "floor_milliseconds": 1e3 * statistics.median(seconds["floor"]),
        "times_floor": times,
        "bar_times_floor": row.at_most,
        "peer": row.peer_name,
        "times_faster_than_peer": faster,
        "bar_times_faster": row.faster,
        "met": met,
    }


def versions() -> dict[str, str]:
    """What the numbers belong to."""
    device = jax.devices()[0]
    return {
        "python": platform.python_version(),
        "jax": jax.__version__,
        "numpy": np.__version__,
        "optax": optax.__version__,
        "device": f"{device.platform} {device.device_kind}",
    }


def table(results: list[dict[str, Any]]) -> str:
    """The results as a Markdown table."""
    head = "| row | ms | × floor | bar | × faster than | | bar | met |\n|---|---|---|---|---|---|---|---|"
    lines = [head]
    for r in results:
        bars = [("–" if b is None else f"{b:.2f}") for b in (r["bar_times_floor"], r["bar_times_faster"])]
        lines.append(
            f"| {r['row']} | {r['milliseconds']:.1f} | {r['times_floor']:.2f} | ≤ {bars[0]} | {r['peer']} | "
            f"{r['times_faster_than_peer']:.2f} | ≥ {bars[1]} | {'yes' if r['met'] else 'no'} |"
        )
    return "\n".join(lines)


def main() -> None:
    """Parse the command line, measure, print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument("--rows", type=int, default=50_000, help="distributions per array (50000)")
    parser.add_argument("--classes", type=int, default=1_000, help="categories per distribution (1000)")
    parser.add_argument("--rounds", type=int, default=20, help="interleaved rounds, of which the median counts (20)")
    parser.add_argument("--only", default="", help="measure the rows whose name contains this")
    options = parser.parse_args()
    data = inputs(options.rows, options.classes)
    results = [measure(row, data, options.rounds) for row in ROWS if options.only in row.name]
    if options.json:
        json.dump(
            {"versions": versions(), "shape": [options.rows, options.classes], "rows": results},
            sys.stdout,
            indent=2,
        )
        print()
        return
    print(", ".join(f"{k} {v}" for k, v in versions().items()) + f", [{options.rows}, {options.classes}] float32\n")
    print(table(results))


if __name__ == "__main__":
    main()
