"""Everyday fits: paths of few penalties beside single fits, and first calls beside a plain loop of `optax.lbfgs`.

`python -m benchmarks.fits` measures wine, breast cancer and digits, which come with scikit-learn, in float32.
"""

import argparse
import statistics
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import lax
from sklearn.datasets import load_breast_cancer, load_digits, load_wine

from benchmarks.__main__ import versions
from jxent import regression
from jxent.sklearn import SoftmaxRegression

STRENGTHS = np.logspace(-3, 3, 7)
FOLDS = 5
LOADERS = {"wine": load_wine, "breast cancer": load_breast_cancer, "digits": load_digits}


class Problem(NamedTuple):
    """Features, labels, the fold of every row, and whether the features are as they came."""

    name: str
    x: Any
    y: Any
    folds: Any
    raw: bool


def problem(name: str, *, raw: bool) -> Problem:
    """A data set of scikit-learn with stratified folds; digits divided by 16, the others standardised."""
    x, y = LOADERS[name](return_X_y=True)
    x = x.astype(np.float32)
    if not raw:
        x = x / 16 if name == "digits" else (x - x.mean(axis=0)) / x.std(axis=0)
    order = np.random.default_rng(0).permutation(len(y))
    order = order[np.argsort(y[order], kind="stable")]
    folds = np.empty(len(y), np.int32)
    folds[order] = np.arange(len(y)) % FOLDS
    return Problem(name, x.astype(np.float32), y, folds, raw)


def median_seconds(call: Callable[[], Any], rounds: int) -> tuple[float, Any]:
    """Median time after a first call, and the result."""
    result = jax.block_until_ready(call())
    times: list[float] = []
    for _ in range(rounds):
        start = time.perf_counter()
        result = jax.block_until_ready(call())
        times.append(time.perf_counter() - start)
    return statistics.median(times), result


def row(p: Problem, optimizer: str, rounds: int) -> str:
    """A path of seven penalties and five folds beside as many single fits, warm."""
    l2s = 1 / (STRENGTHS * len(p.y))

    def path() -> Any:
        return regression.fit_path(p.x, p.y, l2s, folds=p.folds, optimizer=optimizer)

    def singles() -> Any:
        weights = [(p.folds != fold).astype(np.float32) for fold in range(FOLDS)]
        return [regression.fit(p.x, p.y, l2=l2, sample_weight=w, optimizer=optimizer) for l2 in l2s for w in weights]

    together, found = median_seconds(path, rounds)
    alone, fits = median_seconds(singles, rounds)
    objectives = np.asarray([float(fit.history[-1]) for fit in fits]).reshape(found.objective.shape)
    apart = float(np.max(np.abs(np.asarray(found.objective) / objectives - 1)))
    converged = f"{int(np.sum(found.converged))} | {sum(bool(fit.converged) for fit in fits)}"
    name = p.name + (", raw" if p.raw else "")
    return (
        f"| {name} | {optimizer} | {1e3 * together:.1f} | {1e3 * alone:.1f} | {together / alone:.2f} | {converged} | "
        f"{apart:.0e} |"
    )


def plain_loop(x: Any, y: Any, l2: float) -> Any:
    """A jitted loop of `optax.lbfgs` on optax's loss, until no gradient entry is above 1e-6."""

    @jax.jit
    def run(x: Any, y: Any) -> Any:
        def objective(params: Any) -> Any:
            losses = optax.softmax_cross_entropy_with_integer_labels(x @ params[0] + params[1], y)
            return jnp.mean(losses) + l2 / 2 * jnp.sum(params[0] ** 2)

        optimizer, start = optax.lbfgs(), (jnp.zeros((x.shape[1], 10)), jnp.zeros(10))
        value_and_grad: Any = optax.value_and_grad_from_state(objective)

        def body(carry: Any) -> Any:
            params, state, step = carry
            value, grad = value_and_grad(params, state=state)
            updates, state = optimizer.update(grad, state, params, value=value, grad=grad, value_fn=objective)
            return optax.apply_updates(params, updates), state, step + 1

        def going(carry: Any) -> Any:
            grad: Any = optax.tree_utils.tree_get(carry[1], "grad")
            largest = jnp.max(jnp.asarray([jnp.max(jnp.abs(leaf)) for leaf in jax.tree.leaves(grad)]))
            return (carry[2] == 0) | ((carry[2] < 1000) & (largest > 1e-6))

        return lax.while_loop(going, body, (start, optimizer.init(start), 0))

    return run(jnp.asarray(x), jnp.asarray(y))


FIRST: dict[str, Callable[[Problem], Any]] = {
    "plain loop of optax.lbfgs": lambda p: plain_loop(p.x, p.y, 1e-3),
    "fit, lbfgs": lambda p: regression.fit(p.x, p.y, l2=1e-3),
    "fit, newton": lambda p: regression.fit(p.x, p.y, l2=1e-3, optimizer="newton"),
    "SoftmaxRegression().fit": lambda p: SoftmaxRegression().fit(p.x, p.y).n_iter_,
    "fit_path 7 × 5, newton": lambda p: regression.fit_path(p.x, p.y, 1 / (STRENGTHS * len(p.y)), folds=p.folds),
    "fit_path 7 × 5, lbfgs": lambda p: regression.fit_path(
        p.x, p.y, 1 / (STRENGTHS * len(p.y)), folds=p.folds, optimizer="lbfgs"
    ),
}


def first_call(name: str) -> float:
    """CPU seconds of a first call on digits, in this process."""
    p = problem("digits", raw=False)
    jax.block_until_ready(jnp.zeros(3) + 1)  # the backend is there
    start = time.process_time()
    jax.block_until_ready(FIRST[name](p))
    return time.process_time() - start


def first_calls(rounds: int) -> dict[str, float]:
    """The median over fresh processes, in turn."""
    times: dict[str, list[float]] = {name: [] for name in FIRST}
    for _ in range(rounds):
        for name, taken in times.items():
            command = [sys.executable, "-m", "benchmarks.fits", "--first", name]
            taken.append(float(subprocess.run(command, capture_output=True, text=True, check=True).stdout))
    return {name: statistics.median(taken) for name, taken in times.items()}


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fits", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--first", choices=FIRST, help="only the first call of this, in CPU seconds")
    options = parser.parse_args()
    warnings.simplefilter("ignore", regression.ConvergenceWarning)
    if options.first:
        print(first_call(options.first))
        return
    print(", ".join(f"{k} {v}" for k, v in versions().items()) + ", float32\n")
    print("| | solver | path, ms | 35 single fits, ms | ratio | converged | of single fits | objectives apart |")
    print("|---|---|---|---|---|---|---|---|")
    for name, raw in (
        ("wine", False),
        ("breast cancer", False),
        ("digits", False),
        ("wine", True),
        ("breast cancer", True),
    ):
        for optimizer in ("lbfgs", "newton"):
            print(row(problem(name, raw=raw), optimizer, options.rounds), flush=True)
    print("\n| first call on digits | CPU s | × the plain loop |\n|---|---|---|")
    times = first_calls(options.rounds)
    for name, taken in times.items():
        print(f"| {name} | {taken:.2f} | {taken / times['plain loop of optax.lbfgs']:.2f} |", flush=True)


if __name__ == "__main__":
    main()
