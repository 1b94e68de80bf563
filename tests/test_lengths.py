"""Rows of few categories are summed by another program than rows of many: both give the same."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jxent import logits, losses
from jxent._numerics import compiler

INF = np.inf
# Ties at the top, a dominating class, the same with a tail below the smallest normal number, no possible class but one,
# any shift, and logits of 1e38.
ROWS = [
    ([0.3, 1.2, -0.7, 0.0], [0.1, 1.4, -0.5, 0.2]),
    ([2.0, 2.0, 2.0, 2.0], [2.0, 2.0, -1.0, 2.0]),
    ([30.0, 0.0, -3.0, 1.0], [29.0, 1.0, -2.0, 1.0]),
    ([0.0, -95.0, -110.0, -INF], [0.0, -96.0, -109.0, -INF]),
    ([-INF, 5.0, -INF, -INF], [-INF, 7.0, 1.0, -INF]),
    ([1e4, 1e4 + 1, 1e4 - 2, 1e4], [-3.0, -2.0, -4.5, -3.0]),
    ([1e38, -1e38, 0.0, 3.0], [1e38, 1e38, 0.0, 3.0]),
    ([1.0, 2.0, 3.0, 4.0], [-INF, 2.0, 3.0, 4.0]),
    ([np.nan, 0.0, 1.0, 2.0], [0.0, 0.0, 1.0, 2.0]),
    ([-INF] * 4, [0.0, 1.0, 2.0, 3.0]),
]
LABEL = 1


def _of_targets(a, b):
    return losses.softmax_cross_entropy(a, jax.nn.softmax(b))


MEASURES = {
    "entropy": lambda a, _: logits.entropy(a),
    "kl_divergence": logits.kl_divergence,
    "jensen_shannon_divergence": logits.jensen_shannon_divergence,
    "renyi_entropy": lambda a, _: logits.renyi_entropy(a, 2.0),
    "loss of labels": lambda a, _: losses.softmax_cross_entropy_with_integer_labels(a, LABEL),
    "loss of targets": _of_targets,
}


@pytest.mark.parametrize("name", MEASURES)
def test_classes_that_are_impossible_change_nothing(name, dtype_by_turns):
    """From 4 classes, whose sums are written out, to more than are."""
    dtype = dtype_by_turns
    few = tuple(np.asarray(rows, dtype) for rows in zip(*ROWS, strict=True))
    pad = np.full((len(ROWS), compiler.FEW), -INF, dtype)
    many = tuple(np.concatenate([x, pad], axis=1) for x in few)
    value_and_slopes = jax.jit(jax.vmap(jax.value_and_grad(MEASURES[name], (0, 1))))
    (short, short_slopes), (long, long_slopes) = value_and_slopes(*few), value_and_slopes(*many)
    values = jax.jit(jax.vmap(MEASURES[name]))(*few)
    close = {"rtol": 8 * np.finfo(dtype).eps, "atol": 0.0}
    np.testing.assert_allclose(short, long, **close)
    np.testing.assert_allclose(values, long, **close)
    for few_slopes, many_slopes in zip(short_slopes, long_slopes, strict=True):
        assert np.all((many_slopes[:, 4:] == 0) | np.isnan(many_slopes[:, :1]))
        for value, few_row, many_row in zip(short, np.asarray(few_slopes), np.asarray(many_slopes), strict=True):
            sizes = np.abs([value, *few_row])
            scale = np.max(sizes, initial=0.0, where=np.isfinite(sizes))
            np.testing.assert_allclose(few_row, many_row[:4], rtol=close["rtol"], atol=close["rtol"] * scale)


# Rows of finite values and slopes.
SMOOTH = [0, 1, 2, 5]


@pytest.mark.slow
@pytest.mark.parametrize("mode", [jax.jacfwd, jax.jacrev])
@pytest.mark.parametrize("name", MEASURES)
def test_second_derivatives_of_few_and_many_classes(name, mode, x64):
    few = tuple(np.asarray(rows)[SMOOTH] for rows in zip(*ROWS, strict=True))
    many = tuple(np.pad(x, ((0, 0), (0, compiler.FEW)), constant_values=-INF) for x in few)
    curvature = jax.jit(jax.vmap(mode(jax.grad(MEASURES[name], (0, 1)), (0, 1))))
    for short, long in zip(jax.tree.leaves(curvature(*few)), jax.tree.leaves(curvature(*many)), strict=True):
        np.testing.assert_allclose(short, long[:, :4, :4], rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("classes", [1, 2, compiler.FEW, compiler.FEW + 1, 1000])
def test_ties_at_the_top_up_to_the_last_bit(classes, dtype, rng):
    """Exponentials that round to 1 count as the largest in both sums, or in neither."""
    top = rng.uniform(0.1, 8.0, size=(200, 1)).astype(dtype)
    gaps = rng.integers(0, 3, size=(200, classes))
    z = (top - gaps * np.spacing(top)).astype(dtype)
    np.testing.assert_allclose(logits.entropy(z), np.log(classes), rtol=1e-6, atol=1e-6)
    labels = rng.integers(0, classes, size=200)
    loss = losses.softmax_cross_entropy_with_integer_labels(z, labels)
    np.testing.assert_allclose(loss, np.log(classes), rtol=1e-5, atol=1e-5)
    uniform = np.full_like(z, 1.0 / classes)
    np.testing.assert_allclose(losses.softmax_cross_entropy(z, uniform), np.log(classes), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_few_classes_along_any_axis(axis, rng):
    z = rng.normal(size=(3, 4, 5)).astype(np.float32)
    rows = np.moveaxis(z, axis, -1)
    np.testing.assert_allclose(logits.entropy(z, axis=axis), logits.entropy(rows), rtol=1e-6)
    labels = np.asarray(rng.integers(0, z.shape[axis], rows.shape[:-1]))
    loss = losses.softmax_cross_entropy_with_integer_labels
    np.testing.assert_allclose(loss(z, labels, axis=axis), loss(rows, labels), rtol=1e-6)
    assert jnp.shape(logits.entropy(z, axis=(0, 2))) == (4,)


@pytest.mark.parametrize("classes", [3, compiler.FEW + 1])
@pytest.mark.parametrize("target", [1.0, 0.3, 1e-6, 1e-30, float(np.finfo(np.float32).tiny)])
def test_a_target_at_an_impossible_class_is_an_infinite_loss(classes, target, dtype):
    z = np.zeros(classes, dtype)
    z[0] = -INF
    targets = np.zeros(classes, dtype)
    targets[:2] = target, 1.0 - target
    assert losses.softmax_cross_entropy(z, targets) == INF
    targets[0] = 0.0
    np.testing.assert_allclose(
        losses.softmax_cross_entropy(z, targets), (1.0 - target) * np.log(classes - 1), rtol=1e-6
    )


def test_more_rows_than_one_kernel_takes(rng):
    """A portion of them at a time, of which the last overlaps the one before."""
    z = rng.normal(size=(500, compiler.FEW + 1)).astype(np.float32)
    many = np.resize(z, (compiler.CHAINED_ROWS + 7, z.shape[1]))
    targets = np.abs(many)
    for of, args in ((logits.entropy, (many,)), (losses.softmax_cross_entropy, (many, targets))):
        found = of(*args)
        np.testing.assert_allclose(found, np.resize(of(*(x[:500] for x in args)), found.shape), rtol=1e-6)


def test_few_long_rows(rng):
    """A row in pieces."""
    z = rng.normal(size=(3, compiler.LONG)).astype(np.float32)
    log_p = z - np.logaddexp.reduce(z.astype(np.float64), axis=1, keepdims=True)
    np.testing.assert_allclose(logits.entropy(z), -np.sum(np.exp(log_p) * log_p, axis=1), rtol=1e-6)
    targets = jax.nn.softmax(2.0 * z)
    expected = -np.sum(np.asarray(targets, np.float64) * log_p, axis=1)
    np.testing.assert_allclose(losses.softmax_cross_entropy(z, targets), expected, rtol=1e-6)


@pytest.mark.parametrize("classes", [3, compiler.FEW + 1])
def test_negative_targets_are_taken_as_they_are(classes, dtype, rng):
    z, targets = rng.normal(size=(2, 5, classes)).astype(dtype)
    expected = -np.sum(targets * jax.nn.log_softmax(z), axis=1)
    np.testing.assert_allclose(losses.softmax_cross_entropy(z, targets), expected, rtol=1e-4, atol=1e-5)
