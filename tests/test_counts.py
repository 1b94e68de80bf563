"""Entropy from counts: published values, and every formula against arithmetic of many digits."""

import functools
from collections import Counter
from typing import get_args

import jax.numpy as jnp
import mpmath as mp
import numpy as np
import pytest

from jxent import counts, probs
from jxent._numerics import gamma
from jxent.counts import _entropy, _posterior

pytestmark = pytest.mark.usefixtures("quick_compile")

METHODS = get_args(_entropy.Method)

# Of DiscreteEntropy.jl, test/estimator_test.jl, its NSB excepted, whose measure is another.
JULIA = {
    "plugin": 1.522955, "miller_madow": 1.745177, "chao_shen": 1.876548, "james_stein": 1.609438, "laplace": 1.574097,
    "jeffreys": 1.556911, "minimax": 1.561237, "perks": 1.539698, "grassberger_1988": 1.876292, "zhang": 1.773413,
    "bonachela": 1.54045, "chao_wang_jost": 1.84787,
}  # fmt: skip
# The example of Nemenman's program and of the R package entropy.
Y = [4, 2, 3, 0, 2, 4, 0, 0, 2, 1, 1]


@pytest.mark.parametrize("method", JULIA)
def test_values_of_discrete_entropy(method, dtype):
    found = counts.entropy(np.asarray([1, 2, 3, 2, 1], dtype), method=method)
    assert found.dtype == dtype
    assert float(found) == pytest.approx(JULIA[method], abs=6e-7 if dtype == np.float64 else 4e-6)


def test_the_jackknife_of_discrete_entropy(dtype):
    """Of the same file, 1.477468967581723: the mean of the plug-in with one observation less, N·H − (N − 1)·mean."""
    whole, found = (counts.entropy(np.asarray([1, 2, 3, 2, 1], dtype), method=m) for m in ("plugin", "jackknife"))
    mean = (9 * float(whole) - float(found)) / 8
    assert mean == pytest.approx(1.477468967581723, abs=1e-14 if dtype == np.float64 else 4e-6)


def test_the_mean_entropy_of_a_uniform_prior(dtype):
    """W. K. Wootters, Random quantum states, Found. Phys. 20 (1990): 1/2 + 1/3 + … + 1/K, without observations."""
    for size in (2, 5, 100):
        found = counts.entropy(np.zeros(size, dtype), method="wolpert_wolf", alpha=1.0)
        expected = sum(1 / k for k in range(2, size + 1))
        assert float(found) == pytest.approx(expected, rel=4e-15 if dtype == np.float64 else 4e-6)


def test_values_of_dit(dtype):
    """Of its tests/inference/test_estimators.py, bits: its second estimate has ψ(N) in the place of log N."""
    of = functools.partial(counts.entropy, np.asarray([7, 3], dtype), base=2)
    second = 1.1187360918572902 + (np.log(10) - 2.2517525890667211) / np.log(2)
    expected = {"plugin": 0.8812908992306927, "zhang": 0.95790370730770369, "grassberger_2003": second}
    for method, value in expected.items():
        assert float(of(method=method)) == pytest.approx(value, abs=1e-12 if dtype == np.float64 else 4e-6)


@pytest.mark.slow
def test_values_of_ndd(dtype):
    """Of its tests/test_basic.py, to the digits that it gives."""
    seen = [4, 12, 4, 5, 3, 1, 5, 1, 2, 2, 2, 2, 11, 3, 4, 12, 12, 1, 2]
    for method, value in {"plugin": 2.635, "miller_madow": 2.738}.items():
        assert float(counts.entropy(np.asarray(seen, dtype), method=method)) == pytest.approx(value, abs=5.1e-4)
    mean, deviation = counts.entropy_moments(np.asarray(seen + [0] * 81, dtype), method="nsb")
    assert float(mean) == pytest.approx(2.806, abs=5.1e-4)
    assert float(deviation) == pytest.approx(0.1195, abs=5.1e-5)


def test_a_pseudocount_of_ones_own(x64):
    for alpha, expected in ((3.0, 1.597417), (0.2, 1.539698)):
        assert float(counts.entropy([1, 2, 3, 2, 1], method="dirichlet", alpha=alpha)) == pytest.approx(
            expected, abs=6e-7
        )


@functools.cache
def exact(method, n, alpha=1.0):
    """Definitions, in 40 digits."""
    with mp.workdps(40):
        n = [mp.mpf(c) for c in n]
        total, size = mp.fsum(n), len(n)

        def plugin(values):
            whole = mp.fsum(values)
            return -mp.fsum(c / whole * mp.log(c / whole) for c in values if c > 0)

        def of(p):
            return -mp.fsum(x * mp.log(x) for x in p if x > 0)

        once, twice = n.count(1), n.count(2)
        if method == "plugin":
            return plugin(n)
        if method == "miller_madow":
            return plugin(n) + (sum(c > 0 for c in n) - 1) / (2 * total)
        if method == "jackknife":
            less = [plugin([c - (i == j) for j, c in enumerate(n)]) for i in range(size) if n[i] > 0]
            weights = [c for c in n if c > 0]
            return total * plugin(n) - (total - 1) / total * mp.fsum(w * h for w, h in zip(weights, less, strict=True))
        if method == "grassberger_2003":

            def g(c):
                return mp.psi(0, c) + mp.mpf(-1) ** int(c) / 2 * (mp.psi(0, (c + 1) / 2) - mp.psi(0, c / 2))

            return mp.log(total) - mp.fsum(c * g(c) for c in n if c > 0) / total
        if method == "grassberger_1988":
            corrected = [(c, mp.psi(0, c) + mp.mpf(-1) ** int(c) / (c + 1)) for c in n if c]
            return mp.fsum(c / total * (mp.log(total) - g) for c, g in corrected)
        if method == "zhang":
            return mp.fsum(c / total * mp.fsum(1 / mp.mpf(k) for k in range(int(c), int(total))) for c in n if c > 0)
        if method == "bonachela":
            return mp.fsum(
                (c + 1) / (total + 2) * mp.fsum(1 / mp.mpf(j) for j in range(int(c) + 2, int(total) + 3)) for c in n
            )
        if method == "chao_shen":
            cover = 1 - (mp.mpf(once) if once < total else total - 1) / total
            return -mp.fsum(
                cover * c / total * mp.log(cover * c / total) / (1 - (1 - cover * c / total) ** int(total))
                for c in n
                if c
            )
        if method == "chao_wang_jost":
            if twice:
                a = 2 * mp.mpf(twice) / ((total - 1) * once + 2 * twice)
            else:
                a = 2 / ((total - 1) * (mp.mpf(once) - 1) + 2) if once else mp.mpf(1)
            series = mp.mpf(0)
            if a < 1 and once:
                head = mp.fsum((1 - a) ** r / r for r in range(1, int(total)))
                series = once / total * (1 - a) ** (1 - int(total)) * (-mp.log(a) - head)
            return exact("zhang", tuple(int(c) for c in n)) + series
        if method == "james_stein":
            p = [c / total for c in n]
            off = mp.fsum((x - mp.mpf(1) / size) ** 2 for x in p)
            weight = mp.fsum(x * (1 - x) for x in p) / (total - 1) / off if off and total > 1 else mp.mpf(1)
            weight = min(max(weight, 0), 1)
            return of([weight / size + (1 - weight) * x for x in p])
        if method == "wolpert_wolf":
            beta = [c + mp.mpf(alpha) for c in n]
            whole = mp.fsum(beta)
            return mp.psi(0, whole + 1) - mp.fsum(b / whole * mp.psi(0, b + 1) for b in beta)
        pseudo = {
            "dirichlet": mp.mpf(alpha),
            "jeffreys": mp.mpf(1) / 2,
            "laplace": mp.mpf(1),
            "perks": mp.mpf(1) / size,
            "minimax": mp.sqrt(total) / size,
        }[method]
        return of([(c + pseudo) / (total + size * pseudo) for c in n])


CASES = [
    (1, 2, 3, 2, 1),
    (4, 2, 3, 0, 2, 4, 0, 0, 2, 1, 1),
    (1, 1, 1),
    (5, 0, 0),
    (1, 0),
    (2, 2, 0, 1),
    (40, 3, 1, 1, 1),
    (1000, 500, 20, 0, 1, 2),
]


@pytest.mark.parametrize("method", [m for m in METHODS if m != "nsb"])
def test_every_formula_against_many_digits(method, dtype):
    for case in CASES:
        found = float(counts.entropy(np.asarray(case, dtype), method=method))
        expected = float(exact(method, case))
        assert found == pytest.approx(
            expected, rel=4e-6 if dtype == np.float32 else 1e-13, abs=1e-6 if dtype == np.float32 else 4e-15
        ), case


# Nemenman, Shafee and Bialek


def nsb_by_quadrature(n):
    """The two integrals over ξ of their definition, in 30 digits, with β found from log β."""
    with mp.workdps(30):
        total, size = mp.mpf(sum(map(int, n))), len(n)
        cells = [(mp.mpf(c), of) for c, of in Counter(map(int, n)).items()]
        seen = [(c, of) for c, of in cells if c > 0]

        def log_weight(t):
            b = mp.exp(t)
            evidence = mp.loggamma(size * b) - mp.loggamma(total + size * b)
            evidence += mp.fsum(of * (mp.loggamma(c + b) - mp.loggamma(b)) for c, of in seen)
            return evidence + mp.log(size * mp.psi(1, size * b + 1) - mp.psi(1, b + 1)) + t

        def mean(t):
            b = mp.exp(t)
            whole = total + size * b
            return mp.psi(0, whole + 1) - mp.fsum(of * (c + b) / whole * mp.psi(0, c + b + 1) for c, of in cells)

        grid = [mp.mpf(i) / 4 for i in range(-100, 80)]
        with mp.workdps(15):
            logs = [log_weight(t) for t in grid]
        top = max(logs)
        inside = [t for t, w in zip(grid, logs, strict=True) if w > top - 45]
        # The trapezoid rule is exact to rounding for a function that is smooth and vanishes at both ends; with four
        # times as many steps the mean of these cases changes by 2e-11 at most.
        low, high = inside[0] - 1, inside[-1] + 1
        steps = 150
        nodes = [low + (high - low) * i / steps for i in range(steps + 1)]
        weights = [mp.exp(log_weight(t) - top) for t in nodes]
        return mp.fsum(w * mean(t) for w, t in zip(weights, nodes, strict=True)) / mp.fsum(weights)


def nsb_cases():
    """From sparse to dense."""
    rng = np.random.default_rng(7)
    cases = []
    for _ in range(12):
        size = int(rng.integers(2, 14))
        draws = int(10 ** rng.uniform(0.3, 3))
        cases.append(tuple(rng.multinomial(draws, rng.dirichlet(np.full(size, 10 ** rng.uniform(-1, 1))))))
    return cases


def test_nsb_of_the_published_example(dtype):
    """Of Nemenman's own program: 2.187774 nats."""
    found = counts.entropy(np.asarray(Y, dtype), method="nsb")
    assert float(found) == pytest.approx(2.187774, abs=1e-6 if dtype == np.float64 else 4e-6)


@pytest.mark.slow
@pytest.mark.parametrize("case", nsb_cases())
def test_nsb_against_quadrature_in_many_digits(case, x64):
    found = float(counts.entropy(np.asarray(case, float), method="nsb"))
    assert found == pytest.approx(float(nsb_by_quadrature(case)), rel=1e-8)


@pytest.mark.slow
def test_nsb_of_many_observations_and_many_cells(x64):
    """A posterior that is narrow, one of a vast alphabet, and none at all."""
    rng = np.random.default_rng(0)
    p = rng.dirichlet(np.ones(200))
    many = counts.entropy(rng.multinomial(10**6, p).astype(float), method="nsb")
    assert float(many) == pytest.approx(float(probs.entropy(p)), abs=3e-3)
    sparse = np.zeros(10**6)
    sparse[rng.integers(10**6, size=3000)] += 1
    # Three thousand draws from a million cells coincide a few times: enough for NSB to see how many cells there are.
    assert 12 < float(counts.entropy(sparse, method="nsb")) < float(np.log(10**6))
    nothing, deviation = counts.entropy_moments(np.zeros(8), method="nsb")
    # Without observations the expected entropy is uniform on [0, log K].
    assert float(nothing) == pytest.approx(0.5 * np.log(8), rel=1e-8)
    assert 0 < float(deviation) < np.log(8)
    assert float(counts.entropy([5.0], method="nsb")) == 0


@pytest.mark.slow
def test_deviations_of_a_posterior_against_samples(x64):
    rng = np.random.default_rng(3)
    for n, alpha in (((3, 1, 0, 7), 0.5), ((100, 200, 50), 1.0)):
        drawn = rng.dirichlet(np.asarray(n) + alpha, size=400_000)
        h = -np.sum(np.where(drawn > 0, drawn * np.log(np.maximum(drawn, 1e-300)), 0.0), axis=1)
        mean, deviation = counts.entropy_moments(np.asarray(n, float), method="wolpert_wolf", alpha=alpha)
        assert float(mean) == pytest.approx(h.mean(), abs=5 * h.std() / 600)
        assert float(deviation) == pytest.approx(h.std(), rel=0.01)


def test_deviation_of_the_jackknife(x64):
    n = np.asarray([5.0, 3.0, 2.0, 0.0])
    total = n.sum()
    less = np.repeat([float(counts.entropy(n - np.eye(4)[i])) if n[i] else 0.0 for i in range(4)], n.astype(int))
    expected = np.sqrt((total - 1) / total * np.sum((less - less.mean()) ** 2))
    assert float(counts.entropy_moments(n, method="jackknife")[1]) == pytest.approx(expected, rel=1e-12)
    p = n[:3] / total
    h = -np.sum(p * np.log(p))
    expected = np.sqrt((np.sum(p * np.log(p) ** 2) - h**2) / total)
    assert float(counts.entropy_moments(n, method="plugin")[1]) == pytest.approx(expected, rel=1e-12)
    halved = counts.entropy_moments(n, method="plugin", base=2)
    np.testing.assert_allclose(halved, np.asarray([h, expected]) / np.log(2), rtol=1e-12)


def test_a_rising_factorial_keeps_its_digits(x64):
    for a in (1e-9, 0.3, 19.9, 20.1, 1e3, 1e9, 1e17):
        for n in (1.0, 7.0, 1e4):
            with mp.workdps(60):
                expected = mp.loggamma(mp.mpf(a) + n) - mp.loggamma(mp.mpf(a)) - n * mp.log(mp.mpf(a))
            found = float(gamma.log_rising(jnp.asarray(a), jnp.asarray(n)))
            assert found == pytest.approx(float(expected), abs=1e-14 * max(n, abs(float(expected)), n * abs(np.log(a))))
    for size in (2.0, 1000.0):
        for beta in (1e-6, 1.0, 19.9, 20.1, 1e4, 1e12):
            with mp.workdps(60):
                b = mp.mpf(beta)
                expected = float(size * mp.psi(1, size * b + 1) - mp.psi(1, b + 1))
            found = float(_posterior._expected_slope(jnp.asarray(beta), jnp.asarray(size)))
            assert found == pytest.approx(expected, rel=1e-12)


def test_the_digamma_function(x64):
    """Absolutely where it crosses 0, and right where the series takes over."""
    x = np.array([1e-3, 0.5, 1.4616321449683623, 2.0, 9.5, 10.0, 10.5, 13.0, 40.0, 1e6])
    expected = np.array([float(mp.digamma(mp.mpf(a))) for a in x])
    np.testing.assert_allclose(gamma.digamma(jnp.asarray(x)), expected, rtol=2e-15, atol=2e-15)
