"""Estimators from counts and from samples: time and memory, beside the packages that researchers use.

`python -m benchmarks.estimators` prints the tables; `pip install infomeasure ennemi` adds the rows of these packages.
What a peer takes one by one is measured on few of them and scaled, which the table says.
"""

import argparse
import functools
import importlib
import statistics
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import scipy.integrate
import scipy.special
import scipy.stats
from sklearn.feature_selection import mutual_info_regression

from benchmarks.__main__ import versions
from jxent import counts, samples

FAST = (
    *("plugin", "miller_madow", "jackknife", "grassberger_1988", "grassberger_2003", "chao_shen", "zhang"),
    *("james_stein", "dirichlet", "jeffreys", "laplace", "perks", "minimax"),
)
# The names of the same methods in infomeasure, whose counts come as one label for each observation.
INFOMEASURE = {
    "plugin": "discrete", "miller_madow": "miller_madow", "grassberger_1988": "grassberger", "chao_shen": "chao_shen",
    "zhang": "zhang", "james_stein": "shrink",
}  # fmt: skip
CELLS, HISTOGRAMS, NSB_HISTOGRAMS, OBSERVATIONS = 100, 1_000_000, 10_000, 200


def seconds(function: Callable[[], Any], rounds: int = 1) -> float:
    """The median time of a call."""
    taken: list[float] = []
    for _ in range(rounds):
        start = time.perf_counter()
        jax.block_until_ready(function())
        taken.append(time.perf_counter() - start)
    return statistics.median(taken)


def first_and_warm(function: Callable[..., Any], *args: Any, rounds: int = 5) -> tuple[float, float]:
    """The time of the first call, which compiles, and that of a later one."""
    compiled = jax.jit(function)
    return seconds(lambda: compiled(*args)), seconds(lambda: compiled(*args), rounds)


def peer(name: str) -> Any:
    """A package that may not be there."""
    try:
        return importlib.import_module(name)
    except ImportError:
        return None


def looped(function: Callable[[Any], Any], rows: Any, whole: int) -> float:
    """Seconds for a whole number of rows, from some of them."""
    start = time.perf_counter()
    for row in rows:
        function(row)
    return (time.perf_counter() - start) * whole / len(rows)


def histograms(count: int) -> Any:
    """Draws from distributions that are themselves drawn, the same in every run."""
    rng = np.random.default_rng(0)
    shares = rng.dirichlet(np.full(CELLS, 0.5), size=1000)
    drawn = rng.multinomial(OBSERVATIONS, shares)
    return np.tile(drawn, (-(-count // 1000), 1))[:count].astype(np.float32)


def against(ours: float, theirs: float | None) -> str:
    """Time of a peer, and how much faster this package is."""
    return "–" if theirs is None else f"{theirs:.3g} s, {theirs / ours:.3g} ×"


def of_counts() -> None:
    """A million histograms by the fast methods."""
    n = histograms(HISTOGRAMS)
    given = jnp.asarray(n)
    floor = seconds(lambda: jax.jit(jnp.sum)(given), 5)
    print(f"\n{HISTOGRAMS} histograms of {CELLS} cells, float32; their sum takes {floor:.3f} s\n")
    print(
        "| method | s | first call, s | × sum | infomeasure, looped (200, scaled) | scipy, vectorised | scipy, looped |"
    )
    print("|---|---|---|---|---|---|---|")
    infomeasure = peer("infomeasure")
    vectorised = seconds(lambda: scipy.stats.entropy(n, axis=-1))
    one_by_one = looped(scipy.stats.entropy, n[:2000], HISTOGRAMS)
    for method in FAST:
        first, ours = first_and_warm(functools.partial(counts.entropy, method=method), given, rounds=3)
        theirs = None
        if infomeasure is not None and method in INFOMEASURE:
            labels = [np.repeat(np.arange(CELLS), row.astype(int)) for row in n[:200]]
            approach = INFOMEASURE[method]
            theirs = looped(lambda d, a=approach: infomeasure.entropy(d, approach=a), labels, HISTOGRAMS)
        scipys = (vectorised, one_by_one) if method == "plugin" else (None, None)
        print(
            f"| {method} | {ours:.3f} | {first:.2f} | {ours / floor:.1f} | {against(ours, theirs)} | "
            f"{against(ours, scipys[0])} | {against(ours, scipys[1])} |",
            flush=True,
        )


def quadrature(n: Any) -> float:
    """NSB of one histogram by adaptive quadrature over log β of both integrals, as a researcher would write it."""
    size, total = len(n), n.sum()
    gammaln, psi = scipy.special.gammaln, scipy.special.digamma

    def weight(t: float) -> float:
        b = np.exp(t)
        slope = size * scipy.special.polygamma(1, size * b + 1) - scipy.special.polygamma(1, b + 1)
        whole = gammaln(size * b) - gammaln(size * b + total)
        return whole + np.sum(gammaln(n + b) - gammaln(b)) + np.log(slope) + t

    grid = np.linspace(-20, 15, 200)
    peak = max(weight(t) for t in grid)

    def mean(t: float) -> float:
        b = np.exp(t) + n
        return psi(b.sum() + 1) - np.sum(b / b.sum() * psi(b + 1))

    def integral(f: Callable[[float], float]) -> float:
        return scipy.integrate.quad(f, -20, 15, limit=200)[0]

    return integral(lambda t: np.exp(weight(t) - peak) * mean(t)) / integral(lambda t: np.exp(weight(t) - peak))


def of_nsb() -> None:
    """Ten thousand histograms by NSB."""
    n = histograms(NSB_HISTOGRAMS)
    with jax.enable_x64(True):  # noqa: FBT003
        given = jnp.asarray(n, jnp.float64)
        first, ours = first_and_warm(functools.partial(counts.entropy, method="nsb"), given, rounds=1)
        found = counts.entropy(given[:20], method="nsb")
    apart = max(abs(quadrature(row.astype(float)) - float(f)) for row, f in zip(n[:20], found, strict=True))
    theirs = looped(quadrature, n[:20].astype(float), NSB_HISTOGRAMS)
    print(f"\nNSB of {NSB_HISTOGRAMS} histograms of {CELLS} cells, float64\n")
    print("| s | first call, s | quadrature, looped (20, scaled) | largest difference of 20, nats |")
    print("|---|---|---|---|")
    print(f"| {ours:.2f} | {first:.2f} | {against(ours, theirs)} | {apart:.1e} |", flush=True)


def peers_of_samples(x: Any, y: Any) -> dict[str, float]:
    """Seconds of the KSG estimator of others."""
    found = {
        "scikit-learn": seconds(
            lambda: mutual_info_regression(x[:, None], y, discrete_features=False, n_neighbors=3, random_state=0), 3
        )
    }
    ennemi = peer("ennemi")
    if ennemi is not None:
        found["ennemi"] = seconds(lambda: ennemi.estimate_mi(y, x, k=3))
    return found


def of_samples() -> None:
    """Mutual information of one coordinate and one, by neighbours."""
    print("\nMutual information of two coordinates, k = 3\n")
    print("| method | n | dtype | ms | first call, s | temporary, MB | faster than |")
    print("|---|---|---|---|---|---|---|")
    for dtype in (np.float32, np.float64):
        for n in (10_000, 100_000):
            rng = np.random.default_rng(0)
            x = rng.normal(size=n).astype(dtype)
            y = (0.6 * x + 0.8 * rng.normal(size=n)).astype(dtype)
            beside = peers_of_samples(x, y)
            for method in ("ksg1", "ksg2"):
                with jax.enable_x64(dtype == np.float64):
                    function = functools.partial(samples.mutual_information, method=method)
                    given = jnp.asarray(x), jnp.asarray(y)
                    first, ours = first_and_warm(function, *given)
                    memory = jax.jit(function).lower(*given).compile().memory_analysis()
                faster = ", ".join(f"{name} {t / ours:.1f} × ({t * 1e3:.0f} ms)" for name, t in beside.items())
                print(
                    f"| {method} | {n} | {np.dtype(dtype)} | {ours * 1e3:.1f} | {first:.2f} | "
                    f"{memory.temp_size_in_bytes / 1e6:.0f} | {faster} |",
                    flush=True,
                )


def main() -> None:
    """Print all tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=("counts", "nsb", "samples"))
    only = parser.parse_args().only
    print(versions())
    for name, table in (("samples", of_samples), ("nsb", of_nsb), ("counts", of_counts)):
        if only in (None, name):
            table()


if __name__ == "__main__":
    main()
