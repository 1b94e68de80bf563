"""Estimators from samples: definitions over all pairs, scikit-learn, analytic truths, and derivatives."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import digamma as psi
from scipy.stats import norm, rankdata

from jxent import samples

pytestmark = pytest.mark.usefixtures("quick_compile")

METHODS = ("ksg1", "ksg2", "mixed", "ross", "gaussian", "gaussian_copula")
COUNTING = ("ksg1", "ksg2", "mixed", "gaussian_copula")


def between(a, b=None):
    b = a if b is None else b
    return np.abs(a[:, None] - b[None]).max(-1)


def columns(x):
    return x[:, None] if x.ndim == 1 else x


def log_det(x):
    return np.linalg.slogdet(np.atleast_2d(np.cov(x.T)))[1]


def plain(method, x, y, k=3):
    """The definitions, over all pairs."""
    x, n = columns(x), len(x)
    if method == "ross":
        same = y[:, None] == y[None]
        part = same.sum(1) > 1
        x, y, same = x[part], y[part], same[part][:, part]
        number, d = np.minimum(k, same.sum(1) - 1), between(x)
        r = np.sort(np.where(same, d, np.inf), 1)[np.arange(len(x)), number]
        return psi(len(x)) + np.mean(psi(number) - psi(same.sum(1)) - psi((d < r[:, None]).sum(1)))
    y = columns(y)
    if method == "gaussian":
        return (log_det(x) + log_det(y) - log_det(np.hstack([x, y]))) / 2
    if method == "gaussian_copula":
        return plain("gaussian", *(norm.ppf(rankdata(v, axis=0) / (n + 1)) for v in (x, y)))
    dx, dy = between(x), between(y)
    d = np.maximum(dx, dy)
    r = np.sort(d, 1)[:, k]
    if method == "ksg2":
        sides = [np.where(d <= r[:, None], side, 0).max(1) for side in (dx, dy)]
        near = [(side <= e[:, None]).sum(1) - 1 for side, e in zip((dx, dy), sides, strict=True)]
        return psi(k) - 1 / k + psi(n) - np.mean(psi(near[0]) + psi(near[1]))
    if method == "ksg1":
        return psi(k) + psi(n) - np.mean(psi((dx < r[:, None]).sum(1)) + psi((dy < r[:, None]).sum(1)))
    own = np.where(r == 0, (d == 0).sum(1), k)
    near = [np.where(r == 0, (side == 0).sum(1), (side < r[:, None]).sum(1)) for side in (dx, dy)]
    return np.mean(psi(own) + np.log(n) - psi(near[0]) - psi(near[1]))


def conditional(x, y, z, k=3):
    dx, dy, dz = (between(columns(v)) for v in (x, y, z))
    r = np.sort(np.maximum(np.maximum(dx, dy), dz), 1)[:, k, None]
    near = [(d < r).sum(1) for d in (dz, np.maximum(dx, dz), np.maximum(dy, dz))]
    return psi(k) + np.mean(psi(near[0]) - psi(near[1]) - psi(near[2]))


def entropy(x, k=3):
    x = columns(x)
    n, d = x.shape
    return psi(n) - psi(k) + d * np.mean(np.log(2 * np.sort(between(x), 1)[:, k]))


def divergence(x, y, k=3):
    x, y = columns(x), columns(y)
    near, far = np.sort(between(x), 1)[:, k], np.sort(between(x, y), 1)[:, k - 1]
    return x.shape[1] * np.mean(np.log(far / near)) + np.log(len(y) / (len(x) - 1))


def pair(n, dx=1, dy=1, seed=0, dtype=np.float64):
    """x and y that share half of their first columns, and labels."""
    rng = np.random.default_rng(seed)
    x, y = rng.normal(size=(n, dx)), rng.normal(size=(n, dy))
    y[:, 0] += x[:, 0]
    labels = (x[:, 0] + rng.normal(size=n) > 0).astype(np.int32) + 5 * (rng.random(n) < 0.01)
    return x.astype(dtype), y.astype(dtype), labels.astype(np.int32)


# Values

SHAPES = [(60, 1, 1, 3), (60, 2, 3, 1), (1100, 1, 1, 3), (1100, 2, 1, 5), (1100, 1, 1, 40)]
BY_TURNS = [
    pytest.param(m, *s, marks=[] if s == SHAPES[0] or (m == "ksg1" and s == SHAPES[2]) else [pytest.mark.slow])
    for m in METHODS
    for s in (SHAPES if m.startswith("ksg") else SHAPES[:3])
]


@pytest.mark.parametrize(("method", "n", "dx", "dy", "k"), BY_TURNS)
def test_the_definition(method, n, dx, dy, k, dtype_by_turns):
    x, y, labels = pair(n, dx, dy, dtype=dtype_by_turns)
    y = labels if method == "ross" else y
    found = samples.mutual_information(x, y, k=k, method=method)
    assert found.dtype == dtype_by_turns
    error = 1e-11 if dtype_by_turns == np.float64 else 4e-6
    exact = (x, y) if method in ("ksg1", "ksg2", "mixed", "ross") else (x.astype(float), y.astype(float))
    assert float(found) == pytest.approx(plain(method, *exact, k=k), abs=error)


@pytest.mark.parametrize(
    ("n", "dims", "k"),
    [
        (50, (1, 1, 1), 2),
        pytest.param(1100, (1, 1, 1), 3, marks=pytest.mark.slow),
        pytest.param(1100, (1, 2, 2), 4, marks=pytest.mark.slow),
    ],
)
def test_conditional_information_and_transfer(n, dims, k, x64):
    x, y, _ = pair(n, *dims[:2])
    z = x[:, :1] + np.random.default_rng(5).normal(size=(n, dims[2]))
    found = samples.conditional_mutual_information(x, y, z, k=k)
    assert float(found) == pytest.approx(conditional(x, y, z, k), abs=1e-11)
    if n == 50:
        for history in (1, 2):
            late, before = y[history:], [np.hstack([v[j : n - history + j] for j in range(history)]) for v in (x, y)]
            found = samples.transfer_entropy(x, y, history=history, k=k)
            assert float(found) == pytest.approx(conditional(late, *before, k), abs=1e-11)


@pytest.mark.parametrize(("n", "d", "k"), [(40, 1, 1), (40, 3, 39), pytest.param(1100, 2, 3, marks=pytest.mark.slow)])
def test_entropy_and_divergence(n, d, k, dtype_by_turns):
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(n, d)).astype(dtype_by_turns), (2 * rng.normal(size=(n + 9, d)) + 1).astype(dtype_by_turns)
    error = 1e-12 if dtype_by_turns == np.float64 else 4e-6
    assert float(samples.entropy(x, k=k)) == pytest.approx(entropy(x, k), abs=error)
    assert float(samples.kl_divergence(x, y, k=k)) == pytest.approx(divergence(x, y, k), abs=error)


@pytest.mark.parametrize("n", [300, pytest.param(1500, marks=pytest.mark.slow)])
def test_scikit_learn(n, x64):
    """Whose features are scaled, with noise of 1e-10 added, and whose estimates are cut off at 0."""
    selection = pytest.importorskip("sklearn.feature_selection")
    x, y, labels = pair(n)
    x, y = x / x.std(), y / y.std()
    peer = selection.mutual_info_regression(x, y[:, 0], n_neighbors=3, random_state=0)[0]
    assert float(samples.mutual_information(x, y)) == pytest.approx(peer, abs=1e-7)
    labels = (labels % 5) % 2
    labels[0] = 99
    peer = selection.mutual_info_classif(x, labels, discrete_features=False, n_neighbors=3, random_state=0)[0]
    assert float(samples.mutual_information(x, labels, method="ross")) == pytest.approx(peer, abs=1e-7)


def near_truth(found, truth, deviation, bias=0.0):
    assert abs(float(found) - truth) < 4 * deviation + bias, (float(found), truth, deviation)


@pytest.mark.slow
@pytest.mark.parametrize("d", [1, 2, 3, 6])
def test_entropies_of_known_densities(d, x64):
    """Within four standard errors, √((Var log p + ψ′(k))/n), and the bias of a density that ends or bends."""
    rng = np.random.default_rng(d)
    n = 4000
    noise = np.sqrt(0.3949 / n)  # ψ′(3)
    # In d dimensions the estimate smooths over distances of (k/n)^(1/d).
    bias = 0.4 * (3 / n) ** (2 / d) * d
    cases = {
        "normal": (rng.normal(size=(n, d)), d / 2 * np.log(2 * np.pi * np.e), d / 2),
        "uniform": (rng.uniform(size=(n, d)) * 3, d * np.log(3), 0),
        "exponential": (rng.exponential(size=(n, d)), d, d),
    }
    for name, (x, truth, spread) in cases.items():
        edge = 0 if name == "normal" else d * (3 / n) ** (1 / d)
        near_truth(samples.entropy(x), truth, noise + np.sqrt(spread / n), bias + edge)


@pytest.mark.slow
@pytest.mark.parametrize("method", ["ksg1", "ksg2", "mixed", "gaussian", "gaussian_copula"])
def test_information_of_gaussians(method, x64):
    """The bias of ksg1 at n = 1000 is some thousandths (Kraskov et al., figs. 2 and 4); its deviation about 0.7/√n."""
    rng = np.random.default_rng(7)
    for rho in (0.0, 0.6, 0.9):
        x, e = rng.normal(size=(2, 1200))
        y = rho * x + np.sqrt(1 - rho**2) * e
        near_truth(samples.mutual_information(x, y, method=method), -np.log(1 - rho**2) / 2, 0.03, 0.005)


@pytest.mark.slow
def test_the_other_measures_of_gaussians(x64):
    rng = np.random.default_rng(8)
    x, y, z = rng.normal(size=(3, 1200))
    # KL of N(0, 1) from N(1, 4).
    near_truth(samples.kl_divergence(x[:600], 2 * y + 1), np.log(2) + 2 / 8 - 0.5, 0.06)
    a, b = z + x, z + y
    near_truth(samples.conditional_mutual_information(a, b, z), 0, 0.02, 0.02)
    target = np.concatenate([[0.0], 0.8 * x[:-1] + 0.6 * y[:-1]])
    near_truth(samples.transfer_entropy(x, target), -np.log(0.36) / 2, 0.03, 0.03)
    near_truth(samples.transfer_entropy(target, x), 0, 0.02, 0.02)


@pytest.mark.slow
def test_mixtures_and_labels(x64):
    """Of Gao et al.: X discrete and Y uniform on [X, X + 2]: log m − (m − 1)/m·log 2; and of two equal bits."""
    rng = np.random.default_rng(9)
    labels = rng.integers(0, 5, 1500)
    y = labels + 2 * rng.random(1500)
    truth = np.log(5) - 0.8 * np.log(2)
    near_truth(samples.mutual_information(labels.astype(float), y, method="mixed"), truth, 0.03, 0.01)
    near_truth(samples.mutual_information(y, labels.astype(np.int32), method="ross"), truth, 0.03, 0.01)
    bits = rng.integers(0, 2, 1500).astype(float)
    near_truth(samples.mutual_information(bits, bits, method="mixed"), np.log(2), 0.001)
    near_truth(samples.mutual_information(bits, rng.permutation(bits), method="mixed"), 0, 0.001)


# Derivatives


def slope(function, x, step=1e-6):
    found = np.zeros(x.shape)
    for at in np.ndindex(*x.shape):
        moved = np.zeros(x.shape)
        moved[at] = step
        found[at] = (function(x + moved) - function(x - moved)) / (2 * step)
    return found


@pytest.mark.parametrize(
    "name", ["entropy", *(pytest.param(n, marks=pytest.mark.slow) for n in ("kl_divergence", "gaussian"))]
)
def test_gradients_by_finite_differences(name, x64):
    x, y, _ = pair(24, 2, 2)
    if name == "entropy":
        function, exact, given = samples.entropy, entropy, (x,)
    elif name == "kl_divergence":
        function, exact, given = samples.kl_divergence, divergence, (x, y)
    else:
        function = functools.partial(samples.mutual_information, method="gaussian")
        exact, given = functools.partial(plain, "gaussian"), (x, y)
    for i in range(len(given)):
        found = jax.grad(function, argnums=i)(*(jnp.asarray(a) for a in given))
        one = functools.partial(lambda a, i: exact(*given[:i], a, *given[i + 1 :]), i=i)
        np.testing.assert_allclose(found, slope(one, given[i]), atol=1e-7)
    forward = jax.jvp(lambda t: function(*(jnp.asarray(a) * (1 + t * jnp.asarray(a)) for a in given)), (0.0,), (1.0,))
    step = 1e-6
    there, back = (exact(*(a * (1 + s * a) for a in given)) for s in (step, -step))
    assert float(forward[1]) == pytest.approx((there - back) / (2 * step), abs=1e-7)
    twice = jax.hessian(lambda t: function(*(jnp.asarray(a) * (1 + t * jnp.asarray(a)) for a in given)))(0.0)
    step = 1e-4
    there, at, back = (exact(*(a * (1 + s * a) for a in given)) for s in (step, 0.0, -step))
    assert float(twice) == pytest.approx((there - 2 * at + back) / step**2, abs=2e-5, rel=1e-5)


@pytest.mark.slow
def test_entropy_moves_with_the_unit(x64):
    """h(a·x) = h(x) + d·log a: the slope in log a is d, and the second derivative 0; by tiles too."""
    x = jnp.asarray(np.random.default_rng(0).normal(size=(1100, 2)))
    scaled = functools.partial(lambda t, x: samples.entropy(x * jnp.exp(t)), x=x)
    assert float(jax.grad(scaled)(0.3)) == pytest.approx(2, abs=1e-12)
    assert float(jax.grad(jax.grad(scaled))(0.3)) == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("method", COUNTING)
def test_what_counts_has_gradient_zero(method, x64):
    x, y, _ = (jnp.asarray(a) for a in pair(40))
    found = jax.grad(lambda a, b: samples.mutual_information(a, b, method=method), argnums=(0, 1))(x, y)
    assert all(np.array_equal(g, np.zeros((40, 1))) for g in found)
