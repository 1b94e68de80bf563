"""Measure the rows and print them as a table or as JSON."""

import argparse
import json
import platform
import statistics
import sys
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from benchmarks.layouts import LAYOUTS
from benchmarks.rows import COUNTED, PASSES, ROWS, Row, inputs
from benchmarks.timing import interleaved, ratio

# The bar of a measure without a number of its own, as a multiple of the passes of its formula.
PASSES_AT_MOST = 1.3


def floor(names: tuple[str, ...]) -> Any:
    """The sum over the floating inputs of a row: each read once, one after the other."""
    return lambda *arrays: [jnp.sum(x, axis=-1) for n, x in zip(names, arrays, strict=True) if n != "labels"]


def measure(row: Row, data: Mapping[str, Any], rounds: int) -> dict[str, Any]:
    """One row: multiples of the floor and of its passes, and the factor over the peer; the bars are those of a CPU."""
    cpu = jax.default_backend() == "cpu"
    row = row if cpu else row._replace(at_most=None, faster=None)
    args = tuple(data[name] for name in row.inputs)
    programs = {"floor": [(floor(row.inputs), args)], "ours": [(row.ours, args)]}
    if row.peer_name:
        programs["peer"] = [(row.peer, args)]
    if row.passes:
        # One after the other, so that none finds its input in a cache.
        programs["passes"] = [(PASSES[function], tuple(data[n] for n in names)) for function, *names in row.passes]
    seconds = interleaved(programs, rounds)
    middle = {name: statistics.median(s) for name, s in seconds.items()}
    times = ratio(seconds, "ours", "floor")
    faster = ratio(seconds, "peer", "ours") if row.peer_name else None
    over = ratio(seconds, "ours", "passes") if row.passes else None
    met = [
        row.at_most is None or times <= row.at_most,
        row.faster is None or (faster is not None and faster >= row.faster),
        over is None or not cpu or over <= PASSES_AT_MOST,
    ]
    return {
        "row": row.name,
        "milliseconds": 1e3 * middle["ours"],
        "floor_milliseconds": 1e3 * middle["floor"],
        "times_floor": times,
        "bar_times_floor": row.at_most,
        "formula": row.formula,
        "passes": [" ".join(one) for one in row.passes],
        "times_passes": over,
        "bar_times_passes": PASSES_AT_MOST if row.passes and cpu else None,
        "peer": row.peer_name,
        "times_faster_than_peer": faster,
        "bar_times_faster": row.faster,
        "met": all(met),
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


def short(milliseconds: float) -> str:
    """Three digits, or one behind the point."""
    return f"{milliseconds:.1f}" if milliseconds >= 10 else f"{milliseconds:.3g}"


def bar(sign: str, limit: float | None) -> str:
    """A bar, if there is one for this device."""
    return "–" if limit is None else f"{sign} {limit:.2f}"


def table(results: list[dict[str, Any]]) -> str:
    """Rows with a peer as a Markdown table."""
    lines = ["| row | ms | × floor | bar | × faster than | | bar | met |", "|---|---|---|---|---|---|---|---|"]
    for r in results:
        bars = bar("≤", r["bar_times_floor"]), bar("≥", r["bar_times_faster"])
        lines.append(
            f"| {r['row']} | {short(r['milliseconds'])} | {r['times_floor']:.2f} | {bars[0]} | {r['peer']} | "
            f"{r['times_faster_than_peer']:.2f} | {bars[1]} | {met(r, *bars)} |"
        )
    return "\n".join(lines)


def met(result: Mapping[str, Any], *bars: str) -> str:
    """Whether the bars are met, where there are some."""
    return "–" if set(bars) == {"–"} else "yes" if result["met"] else "no"


def escaped(result: dict[str, Any]) -> str:
    """The formula, its bars escaped for a table."""
    return result["formula"].replace("|", "\\|")


def table_of_passes(results: list[dict[str, Any]]) -> str:
    """Rows whose bar is the sum of their passes."""
    lines = ["| row | ms | × floor | formula | passes | × passes | bar | met |", "|---|---|---|---|---|---|---|---|"]
    lines += [
        f"| {r['row']} | {short(r['milliseconds'])} | {r['times_floor']:.2f} | `{escaped(r)}` | "
        f"{', '.join(r['passes'])} | {r['times_passes']:.2f} | {bar('≤', r['bar_times_passes'])} | "
        f"{met(r, bar('≤', r['bar_times_passes']))} |"
        for r in results
    ]
    return "\n".join(lines)


def main() -> None:
    """Parse the command line, measure, print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument("--rows", type=int, default=50_000, help="distributions per array (50000)")
    parser.add_argument("--classes", type=int, default=1_000, help="categories per distribution (1000)")
    parser.add_argument("--rounds", type=int, default=20, help="interleaved rounds, of which the median counts (20)")
    parser.add_argument("--only", default="", help="measure the rows whose name contains this")
    parser.add_argument("--layouts", action="store_true", help="also few categories, axis=0 and joint tables")
    options = parser.parse_args()
    groups = [(f"[{options.rows}, {options.classes}]", rows) for rows in (ROWS, COUNTED)]
    made = {groups[0][0]: inputs(options.rows, options.classes)._asdict()}
    if options.layouts:
        groups += [(name, rows) for name, (rows, _) in LAYOUTS.items()]
    results: list[dict[str, Any]] = []
    if not options.json:
        print(", ".join(f"{k} {v}" for k, v in versions().items()) + ", float32")
    for shape, rows in groups:
        if shape not in made:
            made = {shape: LAYOUTS[shape][1](options.rows / 50_000)}
        found = [measure(row, made[shape], options.rounds) for row in rows if options.only in row.name]
        results += [{"shape": shape, **r} for r in found]
        if found and not options.json:
            print(f"\n{shape}\n\n{(table_of_passes if rows is COUNTED else table)(found)}", flush=True)
    if options.json:
        json.dump({"versions": versions(), "rows": results}, sys.stdout, indent=2)
        print()


if __name__ == "__main__":
    main()
