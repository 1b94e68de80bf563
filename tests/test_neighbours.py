"""The search for neighbours and the counting of points within a distance, against all pairs."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jxent.samples import _neighbours, _ranges, _select
from tests.test_samples import between

pytestmark = pytest.mark.usefixtures("quick_compile")


def scattered(kind, n, d, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, d))
    if kind == "heavy tails":
        return rng.standard_cauchy(size=(n, d))
    if kind == "nearly a line":
        x[:, 1:] = x[:, :1] + 1e-3 * x[:, 1:]
    if kind == "clusters":
        x = 1e-3 * x + rng.integers(0, 3, size=(n, 1)) * 100
    if kind == "lattice":
        side = round(n ** (1 / d)) + 1
        x = np.stack(np.meshgrid(*[np.arange(side)] * d), -1).reshape(-1, d)[:n] / 8.0
        rng.shuffle(x)
    if kind == "a constant column":
        x[:, 0] = 4
    if kind == "few values":
        x[:, -1] = rng.integers(0, 3, size=n)
    return x


KINDS = ("normal", "heavy tails", "nearly a line", "clusters", "lattice", "a constant column", "few values")
FIRST = {("heavy tails", 2)}
OTHERS = {("normal", 1), ("lattice", 1), ("normal", 3), ("nearly a line", 3), ("few values", 3)}
CASES = [
    pytest.param(*case, marks=[] if case in FIRST else [pytest.mark.slow])
    for case in [*((kind, 2) for kind in KINDS), *sorted(OTHERS)]
]


@functools.partial(jax.jit, static_argnames="k")
def both(x, y, k):
    return _neighbours.kth_distance(None, x, k), _neighbours.kth_distance(y, x, k)


@pytest.mark.parametrize(("kind", "d"), CASES)
def test_the_kth_distance_of_all_pairs(kind, d, x64):
    n, k = 2100, 3
    x, y = scattered(kind, n, d), scattered(kind, 1500, d, seed=1) + 0.01
    own, other = both(jnp.asarray(x), jnp.asarray(y), k)
    np.testing.assert_array_equal(own, np.sort(between(x), 1)[:, k])
    np.testing.assert_array_equal(other, np.sort(between(y, x), 1)[:, k - 1])


@pytest.mark.slow
def test_many_neighbours_and_every_stage(monkeypatch, x64):
    """With narrow windows most places go through all stages."""
    for name, width in (("FIRST", 1), ("THEN", 2), ("LAST", 9)):
        monkeypatch.setattr(_neighbours, name, width)
    monkeypatch.setattr(_neighbours, "LEAST_TILE", 4)
    x = scattered("heavy tails", 1111, 2)
    for k in (1, 5, 40):
        found = jax.jit(_neighbours.kth_distance, static_argnums=2)(None, jnp.asarray(x), k)
        np.testing.assert_array_equal(found, np.sort(between(x), 1)[:, k])


@pytest.mark.parametrize("k", [1, 2, 7, 33, 70])
def test_the_kth_smallest(k, dtype):
    rng = np.random.default_rng(k)
    d = np.concatenate([rng.random((60, 8)), rng.integers(0, 3, size=(10, 8)), np.zeros((2, 8))]).astype(dtype)
    d[5:9, 1], d[:, 2], d[3:70, 3] = np.inf, 1.5, np.nan
    found = jax.jit(_select.kth_smallest, static_argnums=1)(jnp.asarray(d), k)
    expected = np.sort(d, axis=0)[k - 1]
    np.testing.assert_array_equal(found, np.where(np.isnan(expected), np.inf, expected))
    for way in (_select._by_values, _select._by_bits):
        if k < 10:
            np.testing.assert_array_equal(way(jnp.asarray(d), k), found)


def test_the_last_of_few_that_are_equal():
    """As many as are asked for, with fewer different values."""
    d = np.asarray([[0, 1, np.inf, 2], [0, 1, 0, np.nan], [1, 1, 0, 2], [1, 1, 3, 2]], np.float32)
    for k, expected in ((3, [1, 1, 3, 2]), (4, [1, 1, np.inf, np.inf])):
        np.testing.assert_array_equal(_select.kth_smallest(jnp.asarray(d), k), expected)


@pytest.mark.slow
@pytest.mark.parametrize("d", [1, 2, 3])
@pytest.mark.parametrize("n", [1, 2, 50, 1030])
def test_points_within_a_distance(n, d, dtype_by_turns):
    rng = np.random.default_rng(n + d)
    count = jax.jit(_ranges.within)
    for x, r in (
        (rng.normal(size=(n, d)), np.abs(rng.normal(size=n))),
        (rng.integers(0, 9, size=(n, d)) / 8, rng.integers(0, 4, size=n) / 8),
    ):
        x, r = x.astype(dtype_by_turns), r.astype(dtype_by_turns)
        near = between(x)
        np.testing.assert_array_equal(count(jnp.asarray(x), jnp.asarray(r)), (near <= r[:, None]).sum(1))
        strictly = (near < r[:, None]).sum(1)
        found = count(jnp.asarray(x), _ranges.below(jnp.asarray(r)))
        np.testing.assert_array_equal(found, np.where(r > 0, strictly, (near == 0).sum(1)))
        np.testing.assert_array_equal(jax.jit(_ranges.equal_rows)(jnp.asarray(x)), (near == 0).sum(1))
    zeros = np.asarray([[0.0], [-0.0], [1.0]], dtype_by_turns)
    np.testing.assert_array_equal(_ranges.equal_rows(jnp.asarray(zeros)), [2, 2, 1])
