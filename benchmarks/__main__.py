"""Measure the grid and the large rows for the installed jax, and print them as tables."""

import argparse
import platform
import sys

import jax
import numpy as np
import optax

from benchmarks import grid


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


def shape_of(text: str) -> tuple[int, int]:
    """A shape such as 1024x10."""
    rows, _, classes = text.partition("x")
    return int(rows), int(classes)


def main() -> None:
    """Parse the command line, measure, print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--rounds", type=int, default=9, help="interleaved rounds, of which the median counts (9)")
    parser.add_argument("--only", default="", help="measure the functions whose name contains this")
    parser.add_argument("--shapes", nargs="+", type=shape_of, default=grid.SHAPES, help="such as 1024x10")
    parser.add_argument("--part", choices=("grid", "first", "large"), help="one of the three parts alone")
    options = parser.parse_args()
    measures = [m for m in grid.MEASURES if options.only in m.name]
    print(", ".join(f"{k} {v}" for k, v in versions().items()) + ", float32", flush=True)
    if options.part in (None, "grid"):
        cells: list[grid.Cell] = []
        for cell in grid.cells(measures, options.shapes, options.rounds):
            print(
                cell.measure, cell.shape, cell.rows, cell.mode, f"{cell.speed:.2f} {cell.compile:.2f}", file=sys.stderr
            )
            cells.append(cell)
        print("\n".join(["", *grid.table(cells), "", *grid.summary(cells)]), flush=True)
    if options.part in (None, "first"):
        print("\n".join(["", *grid.table_of_first_calls(measures)]), flush=True)
    if options.part in (None, "large"):
        print("\n".join(["", *grid.table_of_large_rows(measures, options.rounds)]), flush=True)


if __name__ == "__main__":
    main()
