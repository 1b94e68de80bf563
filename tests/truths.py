"""Estimates from samples against what is true of the distribution: `python -m tests.truths` prints a table.

Kozachenko and Leonenko's entropy, Wang, Kulkarni and Verdú's divergence, and Kraskov, Stögbauer and Grassberger's
information, of normal, uniform and exponential coordinates that are independent of each other, over the
number of coordinates and of samples.

The bias that the literature finds (Gao, Oh and Viswanath, "Demystifying fixed k-nearest neighbor information
estimators", IEEE Trans. Inf. Theory 64, 2018; Singh and Póczos, "Finite-sample analysis of fixed-k nearest neighbor
density functional estimators", NeurIPS 2016) falls at least as n^(−1/D), up to logarithms, where the D coordinates of
a point have a density with an edge or with thin tails, and the deviation as n^(−1/2).
"""

import functools
import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jxent import samples

DIMENSIONS, NUMBERS, REPETITIONS = (1, 2, 4), (200, 800, 3200), 25
RHO = 0.8


class Case(NamedTuple):
    """An estimator, how to draw its arguments `[repetitions, n, d]`, and the truth of one coordinate, in nats.

    `bias` bounds the bias in units of n^(−1/D) for each of `DIMENSIONS`, half again as large as it was found.
    """

    estimate: object
    draw: object
    truth: float
    bias: tuple[float, float, float]
    coordinates: int = 1  # of a joint point, for each coordinate of the first argument


def _normal(rng, shape, mean=0.0):
    return mean + rng.normal(size=shape)


def _pair(rng, shape):
    """Two normal variables whose coordinates are correlated one by one."""
    x, noise = rng.normal(size=(2, *shape))
    return x, RHO * x + math.sqrt(1 - RHO**2) * noise


def _smeared(rng, shape):
    """Uniform x and y = x + e with e uniform on half of its width: I = h(y) − h(e) = 1/4 + log 2 nats."""
    x, noise = rng.uniform(size=shape), 0.5 * rng.uniform(size=shape)
    return x, x + noise


INFORMATION = {method: functools.partial(samples.mutual_information, method=method) for method in ("ksg1", "ksg2")}
CASES = {
    "entropy, normal": Case(
        samples.entropy, lambda r, s: (_normal(r, s),), 0.5 * math.log(2 * math.pi * math.e), (1.0, 1.3, 0.6)
    ),
    "entropy, uniform": Case(samples.entropy, lambda r, s: (r.uniform(size=s),), 0.0, (1.0, 2.2, 2.8)),
    "entropy, exponential": Case(samples.entropy, lambda r, s: (r.exponential(size=s),), 1.0, (1.0, 2.0, 3.2)),
    "KL, normal": Case(samples.kl_divergence, lambda r, s: (_normal(r, s), _normal(r, s, 1.0)), 0.5, (2.0, 5.2, 4.0)),
    "KL, uniform": Case(
        samples.kl_divergence, lambda r, s: (r.uniform(size=s), 2 * r.uniform(size=s)), math.log(2), (1.0, 1.2, 0.3)
    ),
    "KL, exponential": Case(
        samples.kl_divergence,
        lambda r, s: (0.5 * r.exponential(size=s), r.exponential(size=s)),
        math.log(2) - 0.5,
        (1.0, 1.5, 1.2),
    ),
} | {
    f"{method}, {name}": Case(estimate, draw, truth, bias, coordinates=2)
    for method, estimate in INFORMATION.items()
    for name, draw, truth, bias in (
        ("normal", _pair, -0.5 * math.log(1 - RHO**2), (0.8, 0.6, 2.2)),
        ("uniform", _smeared, 0.25 + math.log(2), (1.8, 2.5, 5.4)),
    )
}


class Found(NamedTuple):
    """Of `REPETITIONS` data sets: the mean of the estimates less the truth, and their standard deviation."""

    truth: float
    bias: float
    deviation: float

    @property
    def standard_error(self):
        """Of the bias."""
        return self.deviation / math.sqrt(REPETITIONS)


def found(name, d, n):
    """One line of the table, in float64."""
    case = CASES[name]
    rng = np.random.default_rng([d, n, list(CASES).index(name)])
    return _found(case.estimate, case.draw(rng, (REPETITIONS, n, d)), d * case.truth)


def independent(method, kind, n):
    """The same for two numbers that know nothing of each other."""
    rng = np.random.default_rng(n)
    x, y = (rng.normal(size=(REPETITIONS, n)) if kind == "normal" else rng.uniform(size=(REPETITIONS, n)) for _ in "xy")
    return _found(INFORMATION[method], (x, y), 0.0)


@functools.cache
def _of_every_set(estimate):
    """One program for all distributions with samples of the same shape."""
    return jax.jit(jax.vmap(estimate))


def _found(estimate, args, truth):
    with jax.enable_x64(True):
        values = np.asarray(_of_every_set(estimate)(*map(jnp.asarray, args)))
    return Found(truth, float(values.mean() - truth), float(values.std(ddof=1)))


def table():
    """Bias ± its standard error and the deviation of one estimate, in nats."""
    head = [f"n = {n}" for n in NUMBERS]
    lines = ["| estimator | d | truth | " + " | ".join(head) + " |", "|---|---|---|" + "---|" * len(NUMBERS)]
    for name in CASES:
        for d in DIMENSIONS:
            of = [found(name, d, n) for n in NUMBERS]
            cells = [f"{f.bias:+.3f} ± {f.standard_error:.3f} ({f.deviation:.3f})" for f in of]
            lines.append(f"| {name} | {d} | {of[0].truth:.3f} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    print(table())  # noqa: T201
