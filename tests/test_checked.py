"""`jxent.checked`: eagerly, under jit, inside transformations, and gone when it is gone."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jxent
from jxent import calibration, closed_form, linear, logits, losses, probs

LABELS = losses.softmax_cross_entropy_with_integer_labels
EYE = jnp.eye(2)
NAN = EYE.at[1, 1].set(jnp.nan)
BAD, GOOD = jnp.asarray([[0.5, 0.5], [0.5, -0.5]]), jnp.asarray([[0.5, 0.5], [0.25, 0.75]])


@pytest.mark.parametrize(
    ("function", "args", "options", "message"),
    [
        (probs.entropy, (BAD,), {}, r"probs.entropy\(\): `p` at index \(1, 1\) is -0.5, expected probabilities >= 0"),
        (probs.entropy, ([[0.5, 0.6]],), {}, r"`p` at index \(0, :\) sums to 1.1, expected 1"),
        (probs.entropy, ([[0.5], [0.6]],), {"axis": 0}, r"`p` at index \(:, 0\) sums to 1.1"),
        (probs.kl_divergence, (GOOD, BAD), {}, r"probs.kl_divergence\(\): `q` at index \(1, 1\)"),
        (probs.entropy, ([np.nan, 1.0],), {}, r"`p` at index \(0,\) is nan"),
        (probs.self_information, ([0.5, 1.5],), {}, r"`p` at index \(1,\) is 1.5, expected a probability in \[0, 1\]"),
        (probs.binary_entropy, (1.5,), {}, r"`p` at index \(\) is 1.5"),
        (probs.mutual_information, (jnp.ones((2, 2)),), {}, r"`p` at index \(:, :\) sums to 4"),
        (probs.total_correlation, (jnp.ones((2, 2, 2)) / 4,), {"variables": [-1, -2]}, None),
        (probs.total_correlation, (jnp.ones((2, 2, 2)) / 4,), {"variables": [0, (1, 2)]}, r"\(:, :, :\) sums to 2"),
        (probs.marginal, (jnp.ones((2, 2)), 0), {}, "sums to 4"),
        (probs.marginal, (jnp.ones((2, 2)) / 2, 1), {"table": 1}, None),
        (probs.pairwise_kl_divergence, (GOOD, GOOD + 1), {}, r"`q` at index \(0, :\) sums to 3"),
        (logits.entropy, ([np.nan, 1.0],), {}, r"`z` at index \(0,\) is nan"),
        (logits.entropy, ([np.inf, 1.0],), {}, r"`z` at index \(0,\) is inf"),
        (logits.entropy, ([[-np.inf, -np.inf]],), {}, r"`z` at index \(0, :\) is -inf throughout"),
        (logits.entropy, ([-np.inf, 0.0],), {}, None),
        (logits.binary_entropy, ([np.inf, -np.inf],), {}, None),
        (LABELS, (jnp.zeros((2, 3)), [0, 3]), {}, r"`labels` at index \(1,\) is 3, expected a class id in \[0, 3\)"),
        (LABELS, (jnp.zeros((2, 3)), [0, -1]), {"ignore_label": -1}, None),
        (losses.softmax_cross_entropy, ([0.0, 0.0], [0.5, 0.6]), {}, "`targets`.*sums to 1.1"),
        (
            linear.softmax_cross_entropy,
            (EYE, EYE, [0, 2]),
            {},
            r"linear.softmax_cross_entropy\(\): `labels`.*is 2.*\[0, 2\)",
        ),
        (linear.softmax_cross_entropy, (EYE, EYE, [0, 2]), {"ignore_label": 2}, None),
        (linear.mean_softmax_cross_entropy, (EYE, EYE, GOOD + 1), {}, r"`labels` at index \(0, :\) sums to 3"),
        (linear.softmax_cross_entropy, (NAN, EYE, [0, 0]), {}, r"`x` at index \(1, 1\) is nan, expected a finite"),
        (linear.softmax_cross_entropy, (NAN, EYE, [0, 7]), {"ignore_label": 7}, None),
        (linear.logsumexp, (EYE, NAN), {}, r"linear.logsumexp\(\): `w` at index \(1, 1\) is nan"),
        (linear.logsumexp, (EYE, NAN), {"where": jnp.asarray([True, False])}, None),
        (linear.logsumexp, (NAN, EYE), {"where": jnp.asarray([[True], [False]])}, None),
        (linear.softmax_cross_entropy, (EYE, EYE, GOOD), {}, None),
        (linear.logsumexp, (EYE, EYE), {"bias": [-np.inf, np.inf]}, r"`bias` at index \(1,\) is inf"),
        (losses.sigmoid_binary_cross_entropy, ([0.0], [1.5]), {}, "`targets`.*1.5, expected a probability"),
        (losses.l2_loss, ([0.0], [np.nan]), {}, "`targets`.*nan, expected a number"),
        (losses.mean, ([1.0],), {"weights": [-1.0]}, "`weights`.*-1.0, expected weights"),
        (losses.mean, ([1.0, np.nan],), {"where": [True, False]}, None),
        (probs.entropy, ([0.5, 0.5, np.nan],), {"where": [True, True, False]}, None),
        (probs.renyi_entropy, ([0.5, 0.5], jnp.asarray(-1.0)), {}, r"`alpha` is -1.0, expected a number in \[0, inf\]"),
        (probs.alpha_divergence, ([0.5, 0.5], [0.5, 0.5], jnp.asarray(-3.0)), {}, None),
        (closed_form.probs_entropy, ([0.5, 0.6],), {}, r"closed_form.probs_entropy\(\): `p`.*sums to 1.1"),
        (closed_form.l2_loss, ([0.0], [np.nan]), {}, r"closed_form.l2_loss\(\): `targets`"),
        (probs.f_divergence, ([0.5, 0.6], [0.5, 0.5], jnp.exp), {}, "sums to 1.1"),
        (probs.entropy, (GOOD.astype(jnp.bfloat16),), {}, None),
    ],
)
def test_what_is_wrong_is_named(function, args, options, message):
    if message is None:
        jxent.checked(function)(*args, **options)
    else:
        with pytest.raises(ValueError, match=message):
            jxent.checked(function)(*args, **options)


@pytest.mark.parametrize(
    "transform",
    [jax.jit, jax.grad, lambda f: jax.jit(jax.grad(f)), lambda f: jax.jit(jax.hessian(f)), lambda f: jax.vmap(f, 0)],
    ids=["jit", "grad", "jit of grad", "hessian", "vmap"],
)
def test_inside_a_transformation(transform):
    def of(p):
        return jnp.sum(probs.entropy(p))

    with pytest.raises(ValueError, match=r"probs.entropy\(\): `p` at index .* is -0.5"):
        jxent.checked(transform(of))(BAD)
    np.testing.assert_array_equal(jxent.checked(transform(of))(GOOD), transform(of)(GOOD))


def test_a_function_compiled_without_checks_is_compiled_again_and_back():
    compiled = jax.jit(probs.entropy)
    unchecked = compiled(BAD)
    with pytest.raises(ValueError, match=r"-0\.5"):
        jxent.checked(compiled)(BAD)
    np.testing.assert_array_equal(compiled(BAD), unchecked)
    probs.entropy(BAD)


def test_under_the_jit_of_a_caller_the_message_is_that_of_the_runtime():
    with pytest.raises(jax.errors.JaxRuntimeError, match=r"is -0\.5, expected probabilities"):
        jax.block_until_ready(jax.jit(jxent.checked(probs.entropy))(BAD))


def test_what_a_function_calls_is_checked():
    def loss(z, labels):
        return losses.mean(LABELS(z, labels))

    with pytest.raises(ValueError, match=r"labels.*is 7"):
        jxent.checked(jax.jit(jax.value_and_grad(loss)))(jnp.zeros((2, 3)), jnp.asarray([0, 7]))
    walk = jax.jit(lambda p: jax.lax.scan(lambda c, row: (c + probs.entropy(row), None), 0.0, p)[0])
    with pytest.raises(ValueError, match=r"-0\.5"):
        jxent.checked(walk)(BAD)


@pytest.mark.parametrize(
    ("function", "args", "options"),
    [
        (losses.mean, ([1.0, 2.0], [1.0, np.nan]), {"where": [True, False]}),
        (LABELS, (jnp.zeros((2, 3)), [0, 99]), {"where": jnp.asarray([[True] * 3, [False] * 3])}),
        (calibration.brier_score, (GOOD, [0, 99]), {"where": [True, False]}),
        (calibration.fit_temperature, (EYE, [0, 99]), {"weights": [1.0, np.nan], "where": [True, False]}),
        (linear.softmax_cross_entropy, (EYE, EYE, [0, 99]), {"ignore_label": 99, "where": [True, True]}),
        (LABELS, (NAN, [0, -100]), {"ignore_label": -100}),
        (LABELS, (NAN, [0, -100]), {"ignore_label": -100, "axis": 1, "where": [True, True]}),
    ],
)
def test_a_masked_value_may_be_anything(function, args, options):
    found = jxent.checked(function)(*args, **options)
    np.testing.assert_array_equal(found, function(*args, **options))


@pytest.mark.parametrize(
    ("function", "args", "options", "message"),
    [
        (probs.entropy, (0.5,), {}, "needs an axis of categories"),
        (probs.entropy, (GOOD,), {"axis": 2}, "axis=2 does not exist"),
        (probs.mutual_information, (GOOD,), {"x": 0, "y": 7}, "axis=7 does not exist"),
        (LABELS, (jnp.zeros((2, 3)), [0, 1]), {"axis": (0, 1)}, "must be one int"),
        (probs.entropy, (GOOD,), {"where": [True, False, True]}, "does not broadcast"),
    ],
)
def test_shapes_and_axes_that_do_not_fit_are_left_to_the_function(function, args, options, message):
    with pytest.raises((TypeError, ValueError), match=message):
        jxent.checked(function)(*args, **options)


def test_other_errors_pass_through():
    with pytest.raises(ZeroDivisionError):
        jxent.checked(lambda: 1 / 0)()
    with pytest.raises(TypeError, match="positional"):
        jxent.checked(probs.entropy)(GOOD, 0)
    assert jxent.checked(probs.entropy).__name__ == "entropy"
