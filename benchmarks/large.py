"""Softmax regression where the data or the classes are many: a gradient against its products, and data on a disk.

`python -m benchmarks.large` measures a gradient at 50,000 rows (`--rows`), 512 features and 1000 classes;
`python -m benchmarks.large --disk FOLDER` writes 20 GB there, fits them a few steps, and removes them.
"""

import argparse
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.__main__ import versions
from benchmarks.timing import interleaved, ratio
from jxent import regression
from jxent.regression.solvers import objective as ob
from jxent.regression.stream.reader import Reader


def gradient(rows: int, features: int, classes: int, rounds: int) -> None:
    """The value and gradient of the objective against X·W and Xᵀ·R alone."""
    keys = jax.random.split(jax.random.key(0), 4)
    x = jax.random.normal(keys[0], (rows, features))
    labels = jax.random.randint(keys[1], (rows,), 0, classes)
    params = regression.Params(0.1 * jax.random.normal(keys[2], (features, classes)), jnp.zeros(classes))
    residual = jax.random.normal(keys[3], (1, classes, rows))
    share = jnp.full((1, rows), 1 / rows)
    at = ob.coordinates(x, share[0])
    task = ob.lane_objective(ob.transformed(x, at), at, labels, share, jnp.zeros(1))

    def products(x: Any, weights: Any, residual: Any) -> Any:
        high = {"precision": "highest"}
        return jnp.matmul(weights.T, x.T, **high), jnp.matmul(residual[0], x, **high)

    def of_solver(task: Any, weights: Any, bias: Any) -> Any:
        point = ob.to_point(regression.Params(weights, bias), task.coordinates)
        value, slopes = ob.evaluate(task, ob.scores(task.x, point), point)
        return value, ob.gradient(task, slopes, point)

    def of_objective(x: Any, labels: Any, weights: Any, bias: Any) -> Any:
        return jax.value_and_grad(regression.objective)(regression.Params(weights, bias), x, labels)

    seconds = interleaved(
        {
            "products": [(products, (x, params.weights, residual))],
            "solver": [(of_solver, (task, *params))],
            "objective": [(of_objective, (x, labels, *params))],
        },
        rounds,
    )
    print(f"\nA gradient, {rows} rows, {features} features, {classes} classes, float32\n")
    print("| | ms | × its two products | bar |\n|---|---|---|---|")
    print(f"| the two products | {1e3 * np.median(seconds['products']):.1f} | 1 | |")
    for name, bar in (("solver", "≤ 1.2" if jax.default_backend() == "cpu" else ""), ("objective", "")):
        print(f"| {name} | {1e3 * np.median(seconds[name]):.1f} | {ratio(seconds, name, 'products'):.2f} | {bar} |")


class Anonymous(threading.Thread):
    """Watches the anonymous resident memory of this process; pages of a map do not count."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.peak, self.over = 0, threading.Event()

    def run(self) -> None:
        """Look twenty times a second."""
        while not self.over.wait(0.05):
            lines = Path("/proc/self/status").read_text().splitlines()
            kilobytes = next(int(line.split()[1]) for line in lines if line.startswith("RssAnon"))
            self.peak = max(self.peak, kilobytes)


def disk(folder: str, gigabytes: float, features: int, classes: int, steps: int) -> None:
    """A fit of data on a disk: memory, and how long the computation waits for rows."""
    rows = int(gigabytes * 1e9 / (4 * features))
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory(dir=folder) as place:
        x = np.lib.format.open_memmap(Path(place, "x.npy"), "w+", np.float32, (rows, features))
        labels = np.empty(rows, np.int32)
        centres = rng.normal(size=(classes, features)).astype(np.float32)
        for low in range(0, rows, 1 << 16):
            high = min(low + (1 << 16), rows)
            labels[low:high] = rng.integers(classes, size=high - low)
            x[low:high] = 0.3 * centres[labels[low:high]] + rng.standard_normal((high - low, features), np.float32)
        del x
        mapped = np.load(Path(place, "x.npy"), mmap_mode="r")
        waited, passes = [0.0], [0]
        right = Reader.chunks

        def chunks(self: Any) -> Iterator[Any]:
            passes[0] += 1
            items = iter(right(self))
            while True:
                start = time.perf_counter()
                item = next(items, None)
                waited[0] += time.perf_counter() - start
                if item is None:
                    return
                # The chunk before is computed with in the meantime; it is waited for here, not with the next one.
                yield jax.block_until_ready(item)

        Reader.chunks = chunks  # pyright: ignore[reportAttributeAccessIssue]
        watch = Anonymous()
        watch.start()
        start = time.perf_counter()
        found = regression.fit(mapped, labels, l2=1e-6, num_classes=classes, max_steps=steps, tolerance=1e-3)
        took = time.perf_counter() - start
        watch.over.set()
        size = Path(place, "x.npy").stat().st_size
    print(f"\nData on a disk: {size / 1e9:.1f} GB, {rows} rows, {features} features, {classes} classes, float32\n")
    print("| | |\n|---|---|")
    print(f"| steps, passes | {int(found.num_steps)}, {passes[0]} and one that checks the data |")
    print(
        f"| seconds in all, waiting for rows in passes | {took:.0f}, {waited[0]:.1f} ({100 * waited[0] / took:.1f} %) |"
    )
    print(f"| peak anonymous resident memory | {watch.peak / 1e6:.2f} GB (bar ≤ 2) |")
    print(f"| objective, at first and at last | {float(found.history[0]):.4f}, {float(found.history[-1]):.4f} nats |")


def main() -> None:
    """Parse the command line, measure, print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.large", description=__doc__)
    parser.add_argument("--rounds", type=int, default=7, help="interleaved rounds (7)")
    parser.add_argument("--rows", type=int, default=50_000, help="of the gradient (50000)")
    parser.add_argument("--disk", metavar="FOLDER", help="also fit data that are written there and removed")
    parser.add_argument("--gigabytes", type=float, default=20.5, help="of that data (20.5)")
    parser.add_argument("--classes", type=int, default=200, help="of that data (200)")
    parser.add_argument("--steps", type=int, default=2, help="of that fit (2)")
    options = parser.parse_args()
    print(", ".join(f"{k} {v}" for k, v in versions().items()))
    gradient(options.rows, 512, 1000, options.rounds)
    if options.disk:
        disk(options.disk, options.gigabytes, 512, options.classes, options.steps)


if __name__ == "__main__":
    main()
