"""Softmax regression against scikit-learn's solvers, each at the loosest tolerance that reaches the same objective.

`python -m benchmarks.regression` measures digits; `--mnist FOLDER` adds 8000 images of an IDX folder, scaled to [0, 1];
`--optima` compares optima over penalties instead of times.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np
from scipy.special import logsumexp
from sklearn.datasets import make_classification
from sklearn.linear_model import LogisticRegression, LogisticRegressionCV

from benchmarks.__main__ import versions
from jxent import data, regression

# How near to the optimum a fit has to come, relative to it.
NEAR = 1e-6
TOLERANCES = tuple(10.0**-i for i in range(2, 11))
PENALTIES = np.logspace(2, -6, 1000)
# A solver that takes longer than the fastest so far by this factor is not tried at a tighter tolerance.
HOPELESS = 20


class Problem(NamedTuple):
    """Features, labels and penalty."""

    name: str
    x: Any
    y: Any
    l2: float


class Timed(NamedTuple):
    """Median seconds, excess of the objective over the optimum, and how it was reached."""

    seconds: float
    excess: float
    how: str


def problems(mnist: str | None) -> list[Problem]:
    """The data sets, at scikit-learn's default penalty 1/N."""
    digits = data.digits()
    found = [Problem("digits", np.asarray(digits.x, np.float64) / digits.scale, np.asarray(digits.labels), 0.0)]
    if mnist:
        images = data.idx(mnist)
        x = np.asarray(images.x[:8000], np.float64) / images.scale
        found.append(Problem("MNIST t10k", x, np.asarray(images.labels[:8000]), 0.0))
    return [p._replace(l2=1 / len(p.x)) for p in found]


def objective(params: Any, x: Any, y: Any, l2: float) -> float:
    """In float64, with the tail of rows that are almost certain."""
    weights, bias = (np.asarray(a, np.float64) for a in params)
    z = x @ weights + bias
    z = z - z[np.arange(len(y)), y][:, None]
    z[np.arange(len(y)), y] = -np.inf
    return float(np.logaddexp(0.0, logsumexp(z, axis=1)).mean() + 0.5 * l2 * (weights**2).sum())


def seconds(call: Callable[[], Any], rounds: int) -> tuple[float, Any]:
    """Median time, and the result."""
    times, result = [], None
    for _ in range(rounds):
        start = time.perf_counter()
        result = jax.block_until_ready(call())
        times.append(time.perf_counter() - start)
    return statistics.median(times), result


def scikit_learn(p: Problem, solver: str, tolerance: float, l2: float) -> Any:
    """One fit of scikit-learn, in float64, on all cores."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = LogisticRegression(C=1 / (l2 * len(p.x)), solver=solver, tol=tolerance, max_iter=100_000).fit(p.x, p.y)
    return model.coef_.T, model.intercept_


def best_of_scikit_learn(p: Problem, l2: float, best: float, rounds: int, solvers: tuple[str, ...]) -> Timed:
    """The fastest solver and tolerance that come near enough."""
    fastest = Timed(np.inf, np.inf, "none")
    for solver in solvers:
        for tolerance in TOLERANCES:
            took, params = seconds(lambda s=solver, t=tolerance: scikit_learn(p, s, t, l2), 1)
            excess = objective(params, p.x, p.y, l2) / best - 1
            if excess <= NEAR:
                if took < 1.5 * fastest.seconds:
                    took, _ = seconds(lambda s=solver, t=tolerance: scikit_learn(p, s, t, l2), rounds)
                if took < fastest.seconds:
                    fastest = Timed(took, excess, f"{solver}, tol {tolerance:g}")
                break
            if took > HOPELESS * fastest.seconds:
                break
    return fastest


def optimum(p: Problem, l2: float) -> float:
    """The least objective, by Newton in float64."""
    with jax.enable_x64(True):  # noqa: FBT003
        result = regression.fit(p.x, p.y, l2=l2, optimizer="newton", tolerance=1e-13, max_steps=200)
    return objective(result.params, p.x, p.y, l2)


def ours(p: Problem, optimizer: str, dtype: str, best: float, rounds: int) -> Timed:
    """A fit at the default tolerance, warm."""
    with jax.enable_x64(dtype == "float64"):
        x, y = jax.device_put(p.x.astype(dtype)), jax.device_put(p.y)

        def call() -> Any:
            return regression.fit(x, y, l2=p.l2, optimizer=optimizer)

        call()
        took, result = seconds(call, rounds)
    how = f"{int(result.num_steps)} steps"
    return Timed(took, objective(result.params, p.x, p.y, p.l2) / best - 1, how)


FIRST = """
import sys, time, warnings
import numpy as np
from benchmarks.regression import problems
from jxent import regression
p = problems(sys.argv[1] or None)[int(sys.argv[2])]
x = p.x.astype("float32")
start = time.perf_counter()
regression.fit(x, p.y, l2=p.l2, optimizer=sys.argv[3])
print(time.perf_counter() - start)
"""


def first_calls(mnist: str | None, index: int, optimizer: str) -> tuple[float, float]:
    """Seconds of the first fit of a process, compilation included: without a persistent cache and with a full one."""
    with tempfile.TemporaryDirectory() as cache:
        keep = {"JAX_COMPILATION_CACHE_DIR": cache, "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0"}
        bare = {k: v for k, v in os.environ.items() if k != "JAX_COMPILATION_CACHE_DIR"}
        command = [sys.executable, "-c", FIRST, mnist or "", str(index), optimizer]
        times = [
            float(subprocess.run(command, env=env, capture_output=True, text=True, check=True).stdout)
            for env in (bare, bare | keep, bare | keep)
        ]
    return times[0], times[2]


def single(p: Problem, index: int, mnist: str | None, rounds: int) -> None:
    """The table of one data set."""
    best = optimum(p, p.l2)
    peer = best_of_scikit_learn(p, p.l2, best, rounds, ("newton-cg", "newton-cholesky", "lbfgs"))
    print(f"\n{p.name}, {p.x.shape[0]} × {p.x.shape[1]}, l2 = 1/N, optimum {best:.9f}\n")
    print("| | ms | × faster | excess | how | first call, s | with a cache, s |")
    print("|---|---|---|---|---|---|---|")
    print(f"| scikit-learn, float64 | {1e3 * peer.seconds:.1f} | 1.0 | {peer.excess:.1e} | {peer.how} | – | – |")
    for optimizer in ("lbfgs", "newton"):
        cold = first_calls(mnist, index, optimizer)
        for dtype in ("float32", "float64"):
            t = ours(p, optimizer, dtype, best, rounds)
            calls = " | ".join(f"{c:.2f}" for c in cold) if dtype == "float32" else "– | –"
            row = f"| {1e3 * t.seconds:.1f} | {peer.seconds / t.seconds:.1f} | {t.excess:.1e} | {t.how} | {calls} |"
            print(f"| {optimizer}, {dtype} {row}", flush=True)


def path(p: Problem, rounds: int) -> None:
    """A thousand penalties in one call, against scikit-learn's loop measured on twenty."""
    some = PENALTIES[25::50]
    best = {l2: optimum(p, l2) for l2 in some}
    peer = [best_of_scikit_learn(p, l2, best[l2], 1, ("newton-cg",)) for l2 in some]
    loop = statistics.mean(t.seconds for t in peer) * len(PENALTIES)
    print(f"\n{p.name}: {len(PENALTIES)} penalties from {PENALTIES[0]:g} to {PENALTIES[-1]:g}\n")
    print("| | s | × faster | largest excess of 20 | first call, s |")
    print("|---|---|---|---|---|")
    excess = max(t.excess for t in peer)
    print(f"| scikit-learn newton-cg, 20 measured and scaled | {loop:.1f} | 1.0 | {excess:.1e} | – |")
    for optimizer in ("newton", "lbfgs"):
        x, y = jax.device_put(p.x.astype("float32")), jax.device_put(p.y)

        def call(optimizer: str = optimizer, x: Any = x, y: Any = y) -> Any:
            return regression.fit_path(x, y, PENALTIES, optimizer=optimizer)

        first, _ = seconds(call, 1)
        took, result = seconds(call, rounds)
        params = [(result.params.weights[i], result.params.bias[i]) for i in range(25, 1000, 50)]
        worst = max(objective(w, p.x, p.y, l2) / best[l2] - 1 for w, l2 in zip(params, some, strict=True))
        print(
            f"| fit_path, {optimizer}, float32 | {took:.2f} | {loop / took:.1f} | {worst:.1e} | {first:.1f} |",
            flush=True,
        )


def cross_validation(rounds: int) -> None:
    """101 penalties and 10 folds of two classes of 1000 × 20."""
    x, y = make_classification(1000, 20, n_informative=10, flip_y=0.1, random_state=0)
    strengths = np.logspace(-4, 4, 101)
    folds = np.arange(1000) % 10
    # Every fold trains on 900 rows. Here both rows of weights are penalised, w/2 and -w/2, there their difference w.
    l2s = 2 / (strengths * 900)
    splits = [(np.flatnonzero(folds != f), np.flatnonzero(folds == f)) for f in range(10)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = LogisticRegressionCV(
            Cs=strengths, cv=splits, scoring="neg_log_loss", max_iter=10_000, tol=1e-4, use_legacy_attributes=False
        )
        loop, fitted = seconds(lambda: model.fit(x, y), rounds)

    def call() -> Any:
        return regression.fit_path(x.astype("float32"), y, l2s, folds=folds)

    first, _ = seconds(call, 1)
    took, result = seconds(call, rounds)
    picked = float(fitted.C_), float(strengths[int(result.best)])
    print(f"\n101 penalties × 10 folds of 1000 × 20, two classes; C picked {picked[0]:.3g} and {picked[1]:.3g}\n")
    print("| | s | × faster | first call, s |")
    print("|---|---|---|---|")
    print(f"| scikit-learn LogisticRegressionCV, lbfgs, tol 1e-4 | {loop:.2f} | 1.0 | – |")
    print(f"| fit_path, newton, float32 | {took:.2f} | {loop / took:.1f} | {first:.1f} |", flush=True)


def optima(p: Problem) -> None:
    """Objectives in float64 beside those of newton-cholesky at a tolerance that rounding, not it, decides."""
    print(f"\n{p.name}, {p.x.shape[0]} × {p.x.shape[1]}, float64: objective over that of newton-cholesky, tol 1e-12\n")
    print("| l2 | newton-cholesky | lbfgs, relative | newton, relative |")
    print("|---|---|---|---|")
    for l2 in np.logspace(2, -6, 5):
        theirs = objective(scikit_learn(p, "newton-cholesky", 1e-12, l2), p.x, p.y, l2)
        excess: list[float] = []
        for optimizer, tolerance in (("lbfgs", 1e-10), ("newton", 1e-12)):
            with jax.enable_x64(True):  # noqa: FBT003
                fit = regression.fit(p.x, p.y, l2=l2, optimizer=optimizer, tolerance=tolerance, max_steps=100_000)
            excess.append(objective(fit.params, p.x, p.y, l2) / theirs - 1)
        print(f"| {l2:.0e} | {theirs:.15g} | {excess[0]:.1e} | {excess[1]:.1e} |", flush=True)


def main() -> None:
    """Print all tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mnist", help="folder with t10k images and labels in IDX")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--optima", action="store_true", help="only the objectives over penalties (half an hour)")
    options = parser.parse_args()
    warnings.simplefilter("ignore", regression.ConvergenceWarning)
    print(", ".join(f"{k} {v}" for k, v in versions().items()))
    known = problems(options.mnist)
    if options.optima:
        for p in known:
            optima(p)
        return
    for index, p in enumerate(known):
        single(p, index, options.mnist, options.rounds)
    path(known[0], options.rounds)
    cross_validation(options.rounds)


if __name__ == "__main__":
    main()
