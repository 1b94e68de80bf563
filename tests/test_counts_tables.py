"""Measures of tables of counts and of labels, resampling, and what the estimators from counts refuse."""

import functools
import itertools
from collections import Counter

import jax
import jax.numpy as jnp
import mpmath as mp
import numpy as np
import pytest

import jxent
from jxent import counts, probs

pytestmark = pytest.mark.usefixtures("quick_compile")


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
