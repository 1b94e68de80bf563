"""Numbers that can be looked up or worked out by hand, and identities that hold for all distributions."""

import jax
import jax.numpy as jnp
import mpmath as mp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from jxent import logits, losses, probs, regression


def test_entropy_of_a_favourite_among_five():
    """−0.6·log₁₀ 0.6 + 0.4; with log₁₀ 0.6 rounded to −0.2218 it is often quoted as 0.53308."""
    found = float(probs.entropy([0.6, 0.1, 0.1, 0.1, 0.1], base=10))
    assert found == pytest.approx(0.6 * 0.22184875 + 0.4, abs=1e-7)
    assert found == pytest.approx(0.53308, abs=5e-5)


@pytest.mark.parametrize(
    ("label", "prediction", "expected"),
    [(0, [0.7, 0.1, 0.2], 0.1549), (0, [0.3, 0.6, 0.1], 0.5229), (2, [0.1, 0.1, 0.8], 0.0969)],
)
def test_cross_entropy_of_a_label_in_hartleys(label, prediction, expected):
    one_hot = np.eye(3)[label]
    assert float(probs.cross_entropy(one_hot, prediction, base=10)) == pytest.approx(expected, abs=5e-5)


@pytest.mark.parametrize(
    ("label", "prediction"), [([0.0, 0.0, 1.0], [0.3, 0.3, 0.4]), ([1.0, 0.0, 0.0], [0.4, 0.1, 0.5])]
)
def test_cross_entropy_of_a_label_is_its_surprise(label, prediction):
    assert float(probs.cross_entropy(label, prediction)) == pytest.approx(-np.log(0.4), rel=1e-6)


def test_worked_examples_of_the_textbook():
    """Cover and Thomas, Elements of Information Theory, 2nd ed.: examples 2.1.1, 2.1.2, 2.3.1."""
    assert float(probs.entropy([0.5, 0.25, 0.125, 0.125], base=2)) == pytest.approx(1.75, rel=1e-6)
    horses = [1 / 2, 1 / 4, 1 / 8, 1 / 16, 1 / 64, 1 / 64, 1 / 64, 1 / 64]
    assert float(probs.entropy(horses, base=2)) == pytest.approx(2.0, rel=1e-6)
    p, q = [0.5, 0.5], [0.75, 0.25]
    assert float(probs.kl_divergence(p, q, base=2)) == pytest.approx(1 - 0.5 * np.log2(3), rel=1e-6)
    assert float(probs.kl_divergence(q, p, base=2)) == pytest.approx(0.75 * np.log2(3) - 1, rel=1e-6)


def test_kl_is_asymmetric_in_general_and_symmetric_under_exchange():
    assert probs.kl_divergence([0.5, 0.5], [0.75, 0.25]) != probs.kl_divergence([0.75, 0.25], [0.5, 0.5])
    for a in (0.1, 0.3, 0.45):
        p, q = [a, 1 - a], [1 - a, a]
        np.testing.assert_allclose(probs.kl_divergence(p, q), probs.kl_divergence(q, p), rtol=1e-6)


def test_cross_entropy_of_a_data_set_is_its_negative_log_likelihood(rng, x64):
    x, labels = jnp.asarray(rng.normal(size=(50, 3))), jnp.asarray(rng.integers(0, 4, 50))
    params = regression.init(3, 4, key=jax.random.key(0))
    likelihood = np.prod(np.asarray(regression.predict_proba(params, x))[np.arange(50), labels])
    np.testing.assert_allclose(regression.objective(params, x, labels), -np.log(likelihood) / 50, rtol=1e-12)
    one_hot = jax.nn.one_hot(labels, 4)
    rows = probs.cross_entropy(one_hot, regression.predict_proba(params, x))
    np.testing.assert_allclose(losses.mean(rows), -np.log(likelihood) / 50, rtol=1e-12)


def distributions(count):
    """Distributions of 5 classes, zeros and tiny entries among them."""
    weights = st.one_of(st.just(0.0), st.floats(1e-12, 1.0))
    rows = hnp.arrays(np.float64, (count, 5), elements=weights)
    return rows.filter(lambda w: (w.sum(axis=1) > 1e-6).all()).map(lambda w: w / w.sum(axis=1, keepdims=True))


CHECK = settings(max_examples=60, deadline=None, derandomize=True)


@CHECK
@given(distributions(2))
def test_identities_of_two_distributions(pq):
    with jax.enable_x64(True):
        p, q = jnp.asarray(pq)
        entropy, cross, kl = probs.entropy(p), probs.cross_entropy(p, q), probs.kl_divergence(p, q)
        if np.isinf(cross):
            assert np.isinf(kl)
        else:
            np.testing.assert_allclose(kl, cross - entropy, rtol=1e-9, atol=1e-13)
        assert kl >= 0
        assert probs.kl_divergence(p, p) == 0
        np.testing.assert_allclose(probs.cross_entropy(p, p), entropy, rtol=1e-14)
        assert 0 <= entropy <= np.log(5) + 1e-14
        np.testing.assert_allclose(probs.perplexity(p), np.exp(entropy), rtol=1e-13)
        both = probs.kl_divergence(p, q) + probs.kl_divergence(q, p)
        np.testing.assert_allclose(probs.jeffreys_divergence(p, q), both, rtol=1e-9, atol=1e-300)
        js = probs.jensen_shannon_divergence(p, q)
        assert 0 <= js <= np.log(2) + 1e-15
        np.testing.assert_allclose(js, probs.jensen_shannon_divergence(q, p), rtol=1e-9, atol=1e-300)
        np.testing.assert_allclose(probs.jensen_shannon_distance(p, q) ** 2, js, rtol=1e-12, atol=1e-300)
        if (p != q).any() and np.isfinite(kl):
            # Pinsker: different distributions have a positive divergence.
            assert kl >= 0.5 * np.abs(p - q).sum() ** 2 * (1 - 1e-9) - 1e-15


@CHECK
@given(distributions(3))
def test_jensen_shannon_distance_is_a_metric(pqr):
    with jax.enable_x64(True):
        p, q, r = jnp.asarray(pqr)
        d = probs.jensen_shannon_distance
        assert d(p, r) <= d(p, q) + d(q, r) + 1e-12


@CHECK
@given(distributions(2), st.permutations(range(5)))
def test_permuting_the_categories_changes_nothing(pq, order):
    with jax.enable_x64(True):
        p, q = jnp.asarray(pq)
        order = jnp.asarray(order)
        for name in ("entropy", "perplexity"):
            f = getattr(probs, name)
            np.testing.assert_allclose(f(p[order]), f(p), rtol=1e-13)
        for name in ("cross_entropy", "kl_divergence", "jeffreys_divergence", "jensen_shannon_divergence"):
            f = getattr(probs, name)
            np.testing.assert_allclose(f(p[order], q[order]), f(p, q), rtol=1e-12, atol=1e-18)


@CHECK
@given(hnp.arrays(np.float64, (2, 5), elements=st.floats(-30, 30)), st.floats(-1e3, 1e3))
def test_logits_and_their_probabilities_agree_at_any_shift(ab, shift):
    with jax.enable_x64(True):
        a, b = jnp.asarray(ab)
        p, q = logits.probabilities(a), logits.probabilities(b)
        np.testing.assert_allclose(logits.entropy(a + shift), probs.entropy(p), rtol=1e-10, atol=1e-12)
        for name in ("cross_entropy", "jensen_shannon_divergence", "jensen_shannon_distance", "kl_divergence"):
            found = getattr(logits, name)(a + shift, b)
            np.testing.assert_allclose(found, getattr(probs, name)(p, q), rtol=1e-7, atol=1e-9)


@CHECK
@given(st.floats(0, 1), st.floats(0, 1))
def test_bernoulli_forms_are_those_of_two_classes(p, q):
    with jax.enable_x64(True):
        both = [jnp.asarray([x, 1 - x]) for x in (p, q)]
        np.testing.assert_allclose(probs.binary_entropy(p), probs.entropy(both[0]), rtol=1e-8, atol=1e-16)
        for name in ("cross_entropy", "kl_divergence"):
            binary, full = getattr(probs, f"binary_{name}"), getattr(probs, name)
            np.testing.assert_allclose(binary(p, q), full(*both), rtol=1e-5, atol=1e-14)


def test_the_mean_of_losses():
    values = jnp.asarray([1.0, 2.0, np.nan])
    assert losses.mean(values, where=jnp.asarray([True, True, False])) == 1.5
    assert losses.mean(jnp.asarray([1.0, 2.0, 6.0]), weights=jnp.asarray([1.0, 1.0, 2.0])) == 3.75
    for nothing in ({"where": jnp.zeros(3, bool)}, {"weights": jnp.zeros(3)}):
        found, gradient = jax.value_and_grad(lambda v, o=nothing: losses.mean(v, **o))(jnp.asarray([1.0, 2.0, 3.0]))
        assert found == 0
        np.testing.assert_array_equal(gradient, 0)
    assert losses.mean(jnp.zeros((0, 3))) == 0
    gradient = jax.grad(lambda v: losses.mean(v, where=jnp.asarray([True, True, False])))(values)
    np.testing.assert_array_equal(gradient, [0.5, 0.5, 0])
    in_weights = jax.grad(lambda w: losses.mean(jnp.asarray([1.0, 3.0]), weights=w))(jnp.asarray([1.0, 1.0]))
    np.testing.assert_allclose(in_weights, [-0.5, 0.5])
    for weights in (jnp.ones((3, 1)), jnp.ones(2)):
        with pytest.raises(ValueError, match="weights"):
            losses.mean(jnp.ones(3), weights=weights)


@pytest.mark.parametrize("margin", [30.0, 100.3, 300.7, 700.1])
def test_the_loss_of_a_correct_label_keeps_its_tail(margin, x64):
    """log1p(exp(−margin)), also where the difference of the logits had to be rounded."""
    z = jnp.asarray([margin + 0.123, 0.456])
    with mp.workdps(400):
        exact = float(mp.log1p(mp.exp(mp.mpf(float(z[1])) - mp.mpf(float(z[0])))))
    loss = losses.softmax_cross_entropy_with_integer_labels
    np.testing.assert_allclose(loss(z, 0), exact, rtol=4e-15)
    np.testing.assert_allclose(jax.grad(loss)(z, 0), [-exact, exact], rtol=1e-13)
    np.testing.assert_allclose(losses.softmax_cross_entropy(z, jnp.asarray([1.0, 0.0])), exact, rtol=4e-15)
    np.testing.assert_allclose(logits.probabilities(z)[1], exact, rtol=1e-13)
