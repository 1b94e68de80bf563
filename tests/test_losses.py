"""Options of the losses, in every combination that makes sense, against definitions in float64."""

import itertools
import math

import jax
import jax.numpy as jnp
import mpmath as mp
import numpy as np
import pytest

from jxent import closed_form, losses

CLASSES = 5
WEIGHTS = np.array([0.5, 2.0, 1.0, 0.0, 1.5])
SMOOTHINGS, Z_LOSSES = (None, 0.0, 0.2, 1.0), (None, 0.01)
COMBINATIONS = [
    pytest.param(*chosen, marks=[] if chosen[0] in (None, 0.2) else [pytest.mark.slow])
    for chosen in itertools.product(SMOOTHINGS, (None, WEIGHTS), Z_LOSSES, (False, True))
]


def definition(z, targets, where, label_smoothing, class_weights, z_loss):
    """−Σ w·t·log p + ζ·log² Z of one row in float64, over the classes that take part and are possible."""
    possible = where & (z > -np.inf)
    log_z = np.logaddexp.reduce(z[possible])
    t = np.where(where, targets, 0.0)
    if label_smoothing is not None:
        t = (1 - label_smoothing) * t + np.where(possible, label_smoothing * t.sum() / possible.sum(), 0.0)
    c = t if class_weights is None else class_weights * t
    if (c[~possible] > 0).any():
        return np.inf
    return np.sum(c[possible] * (log_z - z[possible])) + (0.0 if z_loss is None else z_loss * log_z**2)


def options(smoothing, weights, z_loss):
    """Those that are given."""
    given = {"label_smoothing": smoothing, "class_weights": weights, "z_loss": z_loss}
    return {name: value for name, value in given.items() if value is not None}


def case(rng, dtype):
    z = rng.normal(size=(6, CLASSES)) * 3
    z[1, 2], z[2, 0], z[3, 1] = -np.inf, 40.0, 1e3
    where = rng.random((6, CLASSES)) < 0.7
    where[np.arange(6), np.arange(6) % CLASSES] = True
    return z.astype(dtype), where


@pytest.mark.parametrize(("smoothing", "weights", "z_loss", "masked"), COMBINATIONS)
def test_every_combination_of_options(smoothing, weights, z_loss, masked, rng, x64, op_by_op):
    """Soft targets, dense and integer labels, and both closed forms."""
    z, where = case(rng, float)
    where = where if masked else np.ones_like(where)
    labels = np.arange(6) % CLASSES
    one_hot = np.eye(CLASSES)[labels]
    soft = rng.dirichlet(np.ones(CLASSES), size=6) * rng.uniform(0.5, 2.0, size=(6, 1))
    soft = np.where(z == -np.inf, 0.0, soft)
    given = options(smoothing, weights, z_loss)
    mask = {"where": jnp.asarray(where)} if masked else {}
    for targets in (one_hot, soft):
        expected = [definition(*row, smoothing, weights, z_loss) for row in zip(z, targets, where, strict=True)]
        found = losses.softmax_cross_entropy(z, targets, **given, **mask)
        np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-16)
        gradient = jax.grad(lambda z, t=targets: losses.softmax_cross_entropy(z, t, **given, **mask).sum())(z)
        by_hand = closed_form.softmax_cross_entropy(z, targets, **given, **mask)
        np.testing.assert_allclose(gradient, by_hand, rtol=1e-11, atol=1e-14)
    dense = losses.softmax_cross_entropy(z, one_hot, **given, **mask)
    integer = losses.softmax_cross_entropy_with_integer_labels(z, labels, **given, **mask)
    np.testing.assert_allclose(integer, dense, rtol=1e-13, atol=1e-16)
    loss = losses.softmax_cross_entropy_with_integer_labels
    gradient = jax.grad(lambda z: loss(z, labels, **given, **mask).sum())(z)
    by_hand = closed_form.softmax_cross_entropy_with_integer_labels(z, labels, **given, **mask)
    np.testing.assert_allclose(gradient, by_hand, rtol=1e-11, atol=1e-14)


@pytest.mark.slow
@pytest.mark.parametrize("of", ["logits", "smoothing", "weights", "z_loss"])
def test_second_derivatives_with_every_option(of, rng, x64):
    z, labels = jnp.asarray(rng.normal(size=(3, CLASSES))), jnp.asarray([0, 2, 4])
    at = {"logits": z, "smoothing": jnp.asarray(0.2), "weights": jnp.asarray(WEIGHTS), "z_loss": jnp.asarray(0.1)}

    def of_one(loss, x):
        given = {**at, of: x}
        return loss(
            given["logits"],
            label_smoothing=given["smoothing"],
            class_weights=given["weights"],
            z_loss=given["z_loss"],
        )

    def plain(logits, label_smoothing, class_weights, z_loss):
        log_z = jax.nn.logsumexp(logits, axis=-1, keepdims=True)
        t = (1 - label_smoothing) * jax.nn.one_hot(labels, CLASSES) + label_smoothing / CLASSES
        return jnp.sum(class_weights[None] * t * (log_z - logits), -1) + z_loss * log_z[:, 0] ** 2

    def dense(logits, **given):
        return losses.softmax_cross_entropy(logits, jax.nn.one_hot(labels, CLASSES), **given)

    def integer(logits, **given):
        return losses.softmax_cross_entropy_with_integer_labels(logits, labels, **given)

    for loss in (dense, integer):
        for mode in (jax.jacfwd, jax.jacrev):
            found = jax.jit(mode(jax.grad(lambda x, loss=loss: of_one(loss, x).sum())))(at[of])
            expected = jax.hessian(lambda x: of_one(plain, x).sum())(at[of])
            np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-12)


def test_ignored_labels_count_nothing_with_every_option(dtype):
    z = jnp.asarray([[1.0, 2.0, 3.0], [np.nan, np.inf, -np.inf], [0.5, 0.0, -1.0]], dtype)
    labels = jnp.asarray([1, -100, 7])
    given = {"label_smoothing": 0.1, "class_weights": [1.0, 2.0, 3.0], "z_loss": 0.1, "ignore_label": -100}
    loss = losses.softmax_cross_entropy_with_integer_labels
    values = np.asarray(loss(z, labels, **given))
    assert values[1] == 0
    assert np.isnan(values[2])
    gradient = np.asarray(jax.grad(lambda z: loss(z, labels, **given).sum())(z))
    np.testing.assert_array_equal(gradient[1], 0)
    assert np.isnan(gradient[2]).all()
    assert np.isfinite(gradient[0]).all()
    by_hand = np.asarray(closed_form.softmax_cross_entropy_with_integer_labels(z, labels, **given))
    np.testing.assert_allclose(gradient, by_hand, rtol=1e-6)


def test_a_label_without_weight_or_smoothed_away_is_not_infinite():
    z = jnp.asarray([0.0, 0.0, -jnp.inf])
    loss = losses.softmax_cross_entropy_with_integer_labels
    assert loss(z, 2) == np.inf
    assert loss(z, 2, class_weights=[1.0, 1.0, 0.0]) == 0
    np.testing.assert_allclose(loss(z, 2, label_smoothing=1.0), np.log(2), rtol=1e-6)
    assert loss(z, 2, label_smoothing=0.5) == np.inf
    gradient = jax.grad(lambda z: loss(z, 2, label_smoothing=1.0))(z)
    np.testing.assert_allclose(gradient, 0, atol=1e-7)


def test_the_weighted_mean_of_torch():
    """torch.nn.functional.cross_entropy(z, y, weight=w) divides by Σ w[y]."""
    z, y, w = jnp.asarray([[1.0, 2.0], [0.5, -0.5], [0.0, 3.0]]), jnp.asarray([0, 0, 1]), jnp.asarray([0.25, 2.0])
    loss = losses.softmax_cross_entropy_with_integer_labels
    expected = (0.25 * 1.3132617 + 0.25 * 0.31326169 + 2.0 * 0.04858735) / 2.5
    np.testing.assert_allclose(losses.mean(loss(z, y), weights=w[y]), expected, rtol=1e-6)
    np.testing.assert_allclose(loss(z, y, class_weights=w).sum() / w[y].sum(), expected, rtol=1e-6)


def test_the_tail_of_a_confident_prediction_with_weights():
    z = jnp.asarray([30.0, 0.0, 0.0])
    loss = losses.softmax_cross_entropy_with_integer_labels
    tail = 2 * float(np.exp(-30.0))
    np.testing.assert_allclose(loss(z, 0, class_weights=[3.0, 1.0, 1.0]), 3 * tail, rtol=1e-5)
    gradient = jax.grad(lambda z: loss(z, 0, class_weights=[3.0, 1.0, 1.0]))(z)
    np.testing.assert_allclose(gradient, [-3 * tail, 1.5 * tail, 1.5 * tail], rtol=1e-5)


def test_numbers_of_the_focal_loss_paper():
    """Lin et al. (2017), section 3.2: with γ = 2 the loss at p = 0.9 is 100 times lower, at 0.968 about 1000 times."""
    for p, times in ((0.9, 100.0), (0.968, 976.5625)):
        z = jnp.asarray(np.log(p / (1 - p)), jnp.float32)
        np.testing.assert_allclose(
            losses.sigmoid_binary_cross_entropy(z, 1.0) / losses.focal_loss(z, 1.0), times, rtol=1e-5
        )
    balanced = losses.focal_loss([0.3, 0.3], [1.0, 0.0], alpha=0.25) / losses.focal_loss([0.3, 0.3], [1.0, 0.0])
    np.testing.assert_allclose(balanced, [0.25, 0.75], rtol=1e-6)


def test_focal_loss_without_focus_is_the_cross_entropy(dtype_by_turns):
    dtype = dtype_by_turns
    z = jnp.asarray([-np.inf, -300.0, -1.0, 0.0, 0.5, 300.0, np.inf], dtype)
    for t in (0.0, 0.3, 1.0):
        bce = losses.sigmoid_binary_cross_entropy(z, t)
        np.testing.assert_allclose(losses.focal_loss(z, t, gamma=0.0), bce, rtol=1e-6)
        for gamma in (0.0, 0.5, 2.0):
            slope = jax.grad(lambda z, t=t, g=gamma: losses.focal_loss(z, t, gamma=g).sum())
            assert np.isfinite(slope(z)).all()
            assert np.isfinite(jax.jacfwd(slope)(z)).all()
            if dtype == np.float64:
                by_hand = closed_form.focal_loss(z[2:5], t, gamma=gamma, alpha=0.25)
                found = jax.grad(lambda z, t=t, g=gamma: losses.focal_loss(z, t, gamma=g, alpha=0.25).sum())(z[2:5])
                np.testing.assert_allclose(found, by_hand, rtol=1e-12, atol=1e-15)


def test_options_outside_their_domain_are_refused():
    z = jnp.zeros((2, 3))
    loss, labels = losses.softmax_cross_entropy_with_integer_labels, jnp.asarray([0, 1])
    for given in ({"label_smoothing": 1.5}, {"label_smoothing": -0.1}, {"z_loss": -1.0}):
        with pytest.raises(ValueError, match=next(iter(given))):
            loss(z, labels, **given)
    with pytest.raises(ValueError, match=r"class_weights.*\(2,\).*\(3,\)"):
        loss(z, labels, class_weights=[1.0, 2.0])
    with pytest.raises(ValueError, match=r"label_smoothing.*scalar"):
        loss(z, labels, label_smoothing=jnp.asarray([0.1, 0.2]))
    with pytest.raises(ValueError, match="gamma"):
        losses.focal_loss(0.0, 1.0, gamma=-1.0)
    with pytest.raises(ValueError, match=r"alpha.*\[0, 1\]"):
        losses.focal_loss(0.0, 1.0, alpha=2.0)


def test_temporaries_of_both_forms():
    """The integer form makes none of the size of the logits, the dense one at most one; smoothing adds up to two."""
    n, k = 512, 4096
    z, w = (jax.ShapeDtypeStruct(s, jnp.float32) for s in ((n, k), (k,)))
    labels = jax.ShapeDtypeStruct((n,), jnp.int32)

    def total(function, **given):
        return lambda z, t, w: function(z, t, class_weights=w, z_loss=1e-4, **given).sum()

    integer, dense = losses.softmax_cross_entropy_with_integer_labels, losses.softmax_cross_entropy
    for function, targets, allowed in (
        (total(integer), labels, 0.1),
        # XLA of jax 0.12 writes out the mask of the possible classes too, where the value alone is asked for.
        (total(integer, label_smoothing=0.1), labels, 2.1),
        (lambda z, t, _: dense(z, t).sum(), z, 1.1),
        (total(dense, label_smoothing=0.1), z, 2.1),
    ):
        for program in (jax.jit(function), jax.jit(jax.value_and_grad(function))):
            memory = program.lower(z, targets, w).compile().memory_analysis()
            assert memory.temp_size_in_bytes <= allowed * 4 * n * k


@pytest.mark.parametrize("smoothing", [None, 0.2])
@pytest.mark.parametrize("weight", [None, 0.0, 3.0])
def test_options_of_the_sigmoid_cross_entropy(smoothing, weight, x64):
    z, t = jnp.asarray([0.5, -40.0, 40.0, -jnp.inf, jnp.inf]), jnp.asarray([0.25, 1.0, 1.0, 0.0, 1.0])
    options = {"label_smoothing": smoothing, "positive_weight": weight}
    found = losses.sigmoid_binary_cross_entropy(z, t, **options)
    smoothed = t if smoothing is None else (1 - smoothing) * t + smoothing / 2
    w = 1.0 if weight is None else weight
    for value, logit, yes in zip(found, z.tolist(), smoothed.tolist(), strict=True):
        if yes in (0.0, 1.0) and math.isinf(logit):
            assert value == 0
        elif math.isinf(logit):
            assert value == (jnp.inf if (logit < 0 and w * yes > 0) or (logit > 0 and yes < 1) else 0)
        else:
            exact = w * yes * mp.log1p(mp.exp(-logit)) + (1 - yes) * mp.log1p(mp.exp(logit))
            assert float(value) == pytest.approx(float(exact), rel=1e-13, abs=1e-300)
    slope = jax.grad(lambda z: losses.sigmoid_binary_cross_entropy(z, t, **options).sum())(z)
    by_hand = closed_form.sigmoid_binary_cross_entropy(z, t, **options)
    np.testing.assert_allclose(slope, by_hand, rtol=1e-12)


def test_a_softmax_focal_loss_without_focus_is_the_cross_entropy(rng, x64):
    z, t = jnp.asarray(rng.normal(size=(3, 4))), jnp.asarray(rng.dirichlet(np.ones(4), size=3))
    weights = jnp.asarray([1.0, 2.0, 0.5, 0.0])
    for options in ({}, {"class_weights": weights}, {"where": jnp.asarray([True, True, False, True])}):
        expected = losses.softmax_cross_entropy(z, t, **options)
        np.testing.assert_allclose(losses.softmax_focal_loss(z, t, gamma=0.0, **options), expected, rtol=1e-13)
    labels = jnp.asarray([0, -100, 7])
    loss = losses.softmax_focal_loss_with_integer_labels(z, labels, ignore_label=-100)
    assert loss[1] == 0
    assert np.isnan(loss[2])


def test_a_softmax_focal_loss_of_two_classes_is_that_of_a_sigmoid(rng, x64):
    z, t = jnp.asarray(rng.normal(size=5)), jnp.asarray([1.0, 0.0, 1.0, 0.0, 1.0])
    two, targets = jnp.stack([z, jnp.zeros(5)], -1), jnp.stack([t, 1 - t], -1)
    for gamma in (0.0, 0.5, 2.0):
        found = losses.softmax_focal_loss(two, targets, gamma=gamma)
        np.testing.assert_allclose(found, losses.focal_loss(z, t, gamma=gamma), rtol=1e-12)
    np.testing.assert_array_equal(losses.softmax_focal_loss(two, targets, gamma=jnp.inf), 0)


def test_derivatives_of_the_softmax_focal_loss_at_the_ends(dtype):
    """Of a class that dominates, and of one that is impossible."""
    z = jnp.asarray([30.0, 0.0, -jnp.inf], dtype)
    for label in (0, 1, 2):
        for gamma in (0.0, 0.5, 2.0, jnp.inf):

            def of(z, gamma, label=label):
                return losses.softmax_focal_loss_with_integer_labels(z, label, gamma=gamma)

            in_z, in_gamma = jax.grad(of, (0, 1))(z, jnp.asarray(gamma, dtype))
            assert np.isfinite(in_z).all()
            assert np.isfinite(in_gamma)
            assert np.isfinite(jax.hessian(of)(z, jnp.asarray(gamma, dtype))).all()


def test_ends_of_the_pseudo_huber_loss(dtype):
    errors = jnp.asarray([0.0, 1e-20, 1e30, -1e30, jnp.inf], dtype)
    found = losses.pseudo_huber_loss(errors, 0.0, delta=2.0)
    np.testing.assert_allclose(found, jnp.asarray([0.0, 0.0, 2e30, 2e30, jnp.inf], dtype), atol=1e-39, rtol=1e-6)
    slope = jax.grad(lambda e, d: losses.pseudo_huber_loss(e, 0.0, delta=d).sum(), (0, 1))
    in_error, in_delta = slope(errors[:4], 2.0)
    np.testing.assert_allclose(in_error, jnp.asarray([0.0, 1e-20, 2.0, -2.0], dtype), rtol=1e-6)
    assert float(in_delta) == pytest.approx(2e30, rel=1e-6)
    np.testing.assert_array_equal(slope(errors[4:], 2.0)[0], 2.0)
    np.testing.assert_allclose(losses.pseudo_huber_loss(3.0, 0.0, delta=jnp.inf), 4.5)
    assert jax.grad(jax.grad(losses.pseudo_huber_loss))(0.0, 0.0) == 1


def test_the_mean_along_axes(rng):
    """A masked NaN reaches neither the means nor their gradients."""
    values, weights = rng.normal(size=(3, 4, 5)), rng.random((3, 4, 5))
    where = rng.random((3, 4, 5)) < 0.6
    where[1] = False
    spoiled = np.where(where, values, np.nan)
    for axis in (0, -1, (1, 2), (0, 1, 2), None):
        kept = np.where(where, weights, 0.0)
        total = kept.sum(axis=axis)
        expected = np.where(where, values * weights, 0.0).sum(axis=axis) / np.where(total == 0, 1.0, total)
        found = losses.mean(spoiled, weights, where, axis=axis)
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-7)
        slope = jax.grad(lambda v, axis=axis: losses.mean(v, weights, where, axis=axis).sum())(jnp.asarray(spoiled))
        assert np.isfinite(slope).all()
    with pytest.raises(ValueError, match="axis=3 does not exist in `values`"):
        losses.mean(values, axis=3)
    assert losses.mean(jnp.zeros((0, 2)), axis=0).tolist() == [0.0, 0.0]
