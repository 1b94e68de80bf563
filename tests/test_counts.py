"""Estimators from counts: published values, arithmetic of many digits, transforms, edges, and what they refuse."""

import functools
import itertools
from collections import Counter
from typing import get_args

import jax
import jax.numpy as jnp
import mpmath as mp
import numpy as np
import pytest

import jxent
from jxent import counts, probs
from jxent._numerics import gamma
from jxent.counts import _entropy, _posterior

pytestmark = pytest.mark.usefixtures("quick_compile")

METHODS = get_args(_entropy.Method)
# Where every method has the same tests, one of each kind stands for the others in the fast pass.
FIRST = ("plugin", "chao_wang_jost", "james_stein")
BY_TURNS = [pytest.param(m, marks=[] if m in FIRST else [pytest.mark.slow]) for m in METHODS if m != "nsb"]
# The methods that need whole counts.
WHOLE = ("grassberger_1988", "grassberger_2003", "chao_shen", "chao_wang_jost")

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


# As every function of the package


@pytest.mark.parametrize("method", BY_TURNS)
def test_batches_jit_vmap_axes_and_bases(method, op_by_op):
    n = jnp.asarray(np.random.default_rng(0).poisson(2.0, size=(3, 6)), jnp.float32)
    of = functools.partial(counts.entropy, method=method)
    rows = np.stack([of(row) for row in n])
    np.testing.assert_allclose(of(n), rows, rtol=3e-5)
    np.testing.assert_allclose(jax.vmap(of)(n), rows, rtol=3e-5)
    np.testing.assert_allclose(of(n.T, axis=0), rows, rtol=3e-5)
    np.testing.assert_allclose(of(n, base=2), rows / np.log(2), rtol=3e-5)
    assert of(n, keepdims=True).shape == (3, 1)
    assert of(n[:0]).shape == (0,)


@pytest.mark.parametrize("method", BY_TURNS)
def test_a_mask_takes_cells_out_of_the_alphabet(method, op_by_op):
    n = jnp.asarray([3.0, 1.0, jnp.nan, 2.0, 0.0])
    found = counts.entropy(n, method=method, where=jnp.asarray([True, True, False, True, True]))
    expected = counts.entropy(jnp.asarray([3.0, 1.0, 2.0, 0.0]), method=method)
    np.testing.assert_allclose(found, expected, rtol=2e-5)


@pytest.mark.parametrize("method", BY_TURNS)
def test_integers_nothing_negative_numbers_and_nan(method, op_by_op):
    of = functools.partial(counts.entropy, method=method)
    assert of(np.asarray([2, 1, 0], np.uint8)).dtype == jnp.float32
    np.testing.assert_allclose(of([2, 1, 0]), of([2.0, 1.0, 0.0]), rtol=1e-6)
    assert np.isfinite(of([0.0, 0.0, 0.0]))
    if method not in ("bonachela", "james_stein", "dirichlet", *_entropy.PSEUDOCOUNTS, "wolpert_wolf", "nsb"):
        assert of([0.0, 0.0, 0.0]) == 0
    assert np.isnan(of([2.0, -1.0, 3.0]))
    assert np.isnan(of([2.0, jnp.nan, 3.0]))
    assert np.isnan(of([2.5, 1.0])) == (method in WHOLE)


@pytest.mark.slow
def test_nsb_in_batches_with_masks_and_bases(x64):
    """As the tests above, which run op by op: that takes a minute for its loops."""
    of = functools.partial(counts.entropy, method="nsb")
    n = np.asarray([[4.0, 2, 0, 1], [0, 0, 0, 0], [7, 0, 0, 0], [1, -1, 2, 0], [1, 1, np.nan, 1]])
    found = np.asarray(of(n))
    assert np.isfinite(found[:3]).all()
    assert np.isnan(found[3:]).all()
    np.testing.assert_allclose(jax.jit(jax.vmap(of))(jnp.asarray(n)), found, rtol=1e-12)
    np.testing.assert_allclose(of(n, base=2), found / np.log(2), rtol=1e-12)
    masked = of(np.c_[n, np.full(5, np.nan)], where=np.asarray([True] * 4 + [False]))
    np.testing.assert_allclose(masked, found, rtol=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize("method", [m for m in METHODS if m not in (*WHOLE, "nsb")])
def test_gradients_are_those_of_differences(method, x64, op_by_op):
    n = jnp.asarray([3.25, 1.5, 2.75, 6.5])
    of = functools.partial(counts.entropy, method=method)
    step = 1e-6
    expected = [(of(n.at[i].add(step)) - of(n.at[i].add(-step))) / (2 * step) for i in range(4)]
    np.testing.assert_allclose(jax.grad(of)(n), expected, atol=2e-8)
    assert np.isfinite(jax.grad(of)(n.at[1].set(0.0))).all()


@pytest.mark.slow
@pytest.mark.parametrize("method", [m for m in METHODS if m not in WHOLE])
def test_forward_mode_and_second_derivatives(method, x64):
    """Along one direction, by central differences of the fourth order: NSB moves its nodes, by 1e-10 of the value."""
    n, along = jnp.asarray([3.25, 1.5, 2.75, 6.5]), jnp.asarray([0.5, -0.25, 1.0, 0.75])
    of = jax.jit(lambda t: counts.entropy(n + t * along, method=method))
    h = 0.02
    values = {i: float(of(i * h)) for i in (-2, -1, 0, 1, 2)}
    first = (values[-2] - 8 * values[-1] + 8 * values[1] - values[2]) / (12 * h)
    second = (-values[-2] + 16 * values[-1] - 30 * values[0] + 16 * values[1] - values[2]) / (12 * h * h)
    assert float(jax.jvp(of, (0.0,), (1.0,))[1]) == pytest.approx(first, abs=1e-6)
    assert float(jax.grad(of)(0.0)) == pytest.approx(first, abs=1e-6)
    if method != "nsb":  # whose second derivative takes a minute to compile
        twice = jax.jvp(lambda t: jax.jvp(of, (t,), (1.0,))[1], (0.0,), (1.0,))[1]
        assert float(twice) == pytest.approx(second, abs=2e-5)


@pytest.mark.slow
def test_the_slope_of_nsb_at_a_cell_without_observations(x64):
    of = jax.jit(functools.partial(counts.entropy, method="nsb"))
    n = jnp.asarray([20.0, 10, 5, 1, 1, 1, 0, 0])
    h = 1e-4
    at, near, far = (float(of(n.at[7].set(t))) for t in (0, h, 2 * h))
    assert float(jax.grad(of)(n)[7]) == pytest.approx((4 * near - 3 * at - far) / (2 * h), abs=1e-4)


def test_counts_beyond_32_bits():
    assert float(counts.entropy(np.asarray([2**32, 2**32]))) == pytest.approx(np.log(2))


def test_gradient_in_the_pseudocount(x64):
    for method in ("dirichlet", "wolpert_wolf"):

        def of(alpha, method=method):
            return counts.entropy([3, 1, 0], method=method, alpha=alpha)

        assert float(jax.grad(of)(0.7)) == pytest.approx(float(of(0.7 + 1e-6) - of(0.7 - 1e-6)) / 2e-6, rel=1e-6)


# Several variables

M = np.asarray([[4, 9, 4, 5, 8], [10, 2, 7, 9, 6], [3, 5, 6, 9, 6], [4, 2, 1, 5, 8], [4, 5, 43, 8, 3]])


def test_mutual_information_of_a_published_table(x64):
    """DiscreteEntropy.jl, test/mi_test.jl: the uncertainty coefficient is I/H, 0.12637968128410482 by the plug-in."""
    information = float(counts.mutual_information(M))
    coefficients = [information / float(counts.entropy(M.sum(axis=a))) for a in (0, 1)]
    assert 0.12637968128410482 in [pytest.approx(c, rel=1e-12) for c in coefficients]


@pytest.mark.parametrize(
    "method",
    [
        "laplace",
        *(pytest.param(m, marks=pytest.mark.slow) for m in ("plugin", "miller_madow", "grassberger_2003")),
    ],
)
def test_information_is_made_of_entropies(method, x64, op_by_op):
    table = M[None].repeat(2, axis=0).astype(float)
    found = counts.mutual_information(table, x=1, y=2, method=method)
    of = functools.partial(counts.entropy, method=method)
    if method == "laplace":
        p = (M + 1) / (M.sum() + 25)
        expected = probs.mutual_information(p)
    else:
        expected = of(M.sum(0)) + of(M.sum(1)) - of(M.ravel())
    np.testing.assert_allclose(found, [expected] * 2, rtol=1e-10)
    three = np.random.default_rng(1).poisson(4.0, size=(2, 3, 4)).astype(float)
    of_three = counts.conditional_mutual_information(three, x=2, y=0, given=1, method=method)
    if method != "laplace":
        given = three.sum((0, 2))
        expected = of(three.sum(0).ravel()) + of(three.sum(2).ravel()) - of(three.ravel()) - of(given)
    else:
        p = (three + 1) / (three.sum() + 24)
        expected = probs.conditional_mutual_information(p, x=2, y=0, given=1)
    np.testing.assert_allclose(of_three, expected, rtol=1e-10)


def test_divergence_of_two_samples(x64):
    p, q = [3, 1, 0], [1, 1, 2]
    assert float(counts.kl_divergence(p, q)) == pytest.approx(
        float(probs.kl_divergence([0.75, 0.25, 0], [0.25, 0.25, 0.5]))
    )
    assert np.isposinf(counts.kl_divergence([1, 2, 3, 4], [0, 0, 0, 1000]))
    found = counts.kl_divergence(p, q, method="dirichlet", alpha=0.5, base=2)
    expected = probs.kl_divergence(np.asarray([3.5, 1.5, 0.5]) / 5.5, np.asarray([1.5, 1.5, 2.5]) / 5.5, base=2)
    assert float(found) == pytest.approx(float(expected), rel=1e-12)
    with pytest.raises(ValueError, match="expected one of plugin, james_stein"):
        counts.kl_divergence(p, q, method="nsb")


# Labels


def test_counts_of_labels_and_their_sum(rng):
    labels = rng.integers(-1, 6, size=(2, 500))
    found = counts.from_labels(labels, 5)
    assert found.dtype == jnp.int32
    expected = [np.bincount(row[(row >= 0) & (row < 5)], minlength=5) for row in labels]
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(counts.out_of_range(labels, 5), np.sum((labels < 0) | (labels >= 5), axis=1))
    # Over batches, as over devices and streams.
    parts = sum(counts.from_labels(part, 5) for part in np.array_split(labels, 7, axis=1))
    np.testing.assert_array_equal(parts, found)
    pairs = rng.integers(0, 3, size=(200, 2))
    table = np.zeros((3, 4), int)
    np.add.at(table, tuple(pairs.T), 1)
    np.testing.assert_array_equal(counts.from_labels(pairs, (3, 4)), table)
    assert counts.from_labels(np.zeros(0, int), 3).tolist() == [0, 0, 0]


@pytest.mark.slow
def test_counts_over_four_devices_are_those_of_one():
    import subprocess
    import sys

    from tests.test_devices import environment

    code = (
        "import jax, jax.numpy as jnp, numpy as np\n"
        "from jax.sharding import PartitionSpec as P\n"
        "from jxent import counts\n"
        "labels = jnp.asarray(np.random.default_rng(0).integers(0, 9, 400))\n"
        "mesh = jax.make_mesh((4,), ('d',), axis_types=(jax.sharding.AxisType.Auto,))\n"
        "def part(y): return jax.lax.psum(counts.from_labels(y, 9), 'd')\n"
        "whole = jax.jit(jax.shard_map(part, mesh=mesh, in_specs=P('d'), out_specs=P()))(labels)\n"
        "np.testing.assert_array_equal(whole, counts.from_labels(labels, 9))\n"
        "print('same')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment(4), check=False)
    assert done.stdout.strip() == "same", done.stderr[-2000:]


# Resampling


def test_a_permutation_test_knows_dependence_from_chance():
    key = jax.random.key(0)
    found = counts.permutation_test([[30, 5], [5, 30]], key=key, num_permutations=199)
    assert float(found.p_value) == pytest.approx(1 / 200)
    chance = counts.permutation_test([[10, 12], [11, 9]], key=key, num_permutations=199)
    assert float(chance.p_value) > 0.2
    assert 0 < float(chance.null_mean) < 0.05
    same = counts.permutation_test([[10, 12], [11, 9]], key=key, num_permutations=199)
    assert same.p_value == chance.p_value
    assert counts.permutation_test([[3, 4]], key=key, num_permutations=9).p_value == 1


def test_a_permuted_table_keeps_its_margins_and_its_expectation(x64):
    """The mean information of tables without dependence is near (Kx − 1)(Ky − 1)/2N."""
    table = np.asarray([[40, 30, 30], [35, 40, 25]])
    found = counts.permutation_test(table, key=jax.random.key(1), num_permutations=500)
    assert float(found.null_mean) == pytest.approx(2 / (2 * table.sum()), rel=0.2)


@pytest.mark.slow
def test_an_interval_covers_as_often_as_it_says(x64):
    rng = np.random.default_rng(5)
    p = np.asarray([0.4, 0.3, 0.2, 0.1])
    truth, inside = float(probs.entropy(p)), 0
    for i in range(40):
        n = rng.multinomial(400, p)
        found = counts.bootstrap_interval(n, key=jax.random.key(i), num_samples=200, level=0.9)
        assert found.low <= found.high
        inside += float(found.low) <= truth <= float(found.high)
    assert 30 <= inside <= 40
    table = counts.bootstrap_interval(M, key=jax.random.key(0), measure="mutual_information", num_samples=64, base=2.0)
    assert float(table.estimate) == pytest.approx(float(counts.mutual_information(M, base=2)))


REFUSED = [
    (lambda: counts.entropy([1, 2], method="mle"), ValueError, "method='mle' is not known; expected one of plugin, "),
    (lambda: counts.entropy([1, 2], method="dirichlet", alpha=-1.0), ValueError, "`alpha` is -1.0"),
    (
        lambda: counts.entropy_moments([1, 2], method="zhang"),
        ValueError,
        "method='zhang' is not known; expected one of plugin",
    ),
    (lambda: counts.mutual_information([[1, 2]], x=0, y=0), ValueError, "x and y both name axis 0"),
    (lambda: counts.kl_divergence([1, 2], [1, 2, 3]), ValueError, "2 against 3"),
    (lambda: counts.from_labels([0.0, 1.0], 2), TypeError, "expected integer class ids"),
    (lambda: counts.from_labels([0, 1], 0), ValueError, "num_classes=0 must be an int of at least 1"),
    (lambda: counts.from_labels([0, 1], (2, 2)), ValueError, r"shape \(2,\), expected \[..., N, 2\]"),
    (lambda: counts.permutation_test([[1, 2]], key=0), TypeError, "expected one typed key"),
    (lambda: counts.permutation_test([1, 2], key=jax.random.key(0)), ValueError, r"expected \[Kx, Ky\]"),
    (lambda: counts.permutation_test([[1, -2]], key=jax.random.key(0)), ValueError, "whole numbers of at least 0"),
    (lambda: counts.bootstrap_interval([0, 0], key=jax.random.key(0)), ValueError, "not all of them 0"),
    (lambda: counts.bootstrap_interval([1], key=jax.random.key(0), measure="kl"), ValueError, "measure='kl'"),
    (lambda: counts.bootstrap_interval([1], key=jax.random.key(0), level=2.0), ValueError, "level=2"),
]


@pytest.mark.parametrize(("call", "error", "message"), REFUSED)
def test_bad_input_says_what_to_do(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_checked_counts_and_labels():
    with pytest.raises(ValueError, match=r"counts.entropy\(\): `counts` at index \(1,\) is -1"):
        jxent.checked(counts.entropy)(np.asarray([2.0, -1.0]))
    with pytest.raises(ValueError, match=r"counts.from_labels\(\): `labels` at index \(2,\) is 3"):
        jxent.checked(counts.from_labels)(np.asarray([0, 1, 3]), 3)
    with pytest.raises(ValueError, match=r"counts.from_labels\(\): `labels` at index \(0,\) is -1"):
        jxent.checked(jax.jit(lambda y: counts.from_labels(y, 3)))(jnp.asarray([-1, 1]))
    assert jxent.checked(counts.entropy)(np.asarray([2.0, 1.0])) > 0


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


@pytest.mark.parametrize("normalizer", ["arithmetic", "geometric", "min", "max"])
def test_adjusted_mutual_information_is_that_of_scikit_learn(normalizer, rng, x64):
    metrics = pytest.importorskip("sklearn.metrics")
    for observations, first, second in ((30, 3, 4), (500, 10, 8), (100_000, 5, 5), (12, 12, 3)):
        u, v = rng.integers(0, first, observations), rng.integers(0, second, observations)
        table = counts.from_labels(np.stack([u, v], -1), (first, second))
        found = float(counts.adjusted_mutual_information(table, normalizer=normalizer))
        expected = metrics.adjusted_mutual_info_score(u, v, average_method=normalizer)
        assert found == pytest.approx(expected, rel=1e-9, abs=1e-12)


def test_adjusted_mutual_information_of_exact_tables():
    """The expectation over all permutations of few labels, one by one, in exact arithmetic."""
    u, v = (0, 0, 0, 1, 1, 2), (0, 1, 1, 1, 0, 0)

    def information(first, second):
        pairs = Counter(zip(first, second, strict=True))
        of_x, of_y = Counter(first), Counter(second)
        return sum(mp.mpf(n) / 6 * mp.log(mp.mpf(6) * n / (of_x[a] * of_y[b])) for (a, b), n in pairs.items())

    def entropy(labels):
        return -sum(mp.mpf(n) / 6 * mp.log(mp.mpf(n) / 6) for n in Counter(labels).values())

    orders = list(itertools.permutations(v))
    expected = sum(information(u, order) for order in orders) / len(orders)
    exact = (information(u, v) - expected) / ((entropy(u) + entropy(v)) / 2 - expected)
    table = counts.from_labels(np.stack([u, v], -1), (3, 2))
    assert float(counts.adjusted_mutual_information(table)) == pytest.approx(float(exact), rel=1e-5)
    stacked = jnp.stack([table, 3 * table])
    both = counts.adjusted_mutual_information(stacked)
    np.testing.assert_allclose(both[0], counts.adjusted_mutual_information(table), rtol=1e-6)
    np.testing.assert_allclose(jax.vmap(counts.adjusted_mutual_information)(stacked), both, rtol=1e-6)


@pytest.mark.parametrize(
    ("table", "expected"),
    [([[5.0]], 1.0), ([[5.0, 3.0]], 0.0), (np.eye(4), 1.0), ([[4.0, 0.0], [0.0, 4.0]], 1.0), ([[0.0, 0.0]], np.nan)],
)
def test_adjusted_mutual_information_where_nothing_is_left_to_chance(table, expected):
    np.testing.assert_allclose(counts.adjusted_mutual_information(table), expected, rtol=1e-6)
    assert not np.any(jax.grad(counts.adjusted_mutual_information)(jnp.asarray(table)))
