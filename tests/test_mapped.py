"""Mapped calls: one program for the whole batch, as fast as the function of an array with one more axis."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jxent import logits, losses, probs
from tests.table import BY_NAME

MEASURES = ["entropy", "kl_divergence", "bhattacharyya_distance"]


def _rows(rng, *shape):
    return jnp.asarray(rng.normal(size=shape), jnp.float32)


def _operands(rng, name, room, *shape):
    given = [_rows(rng, *shape) for _ in range(1 if name == "entropy" else 2)]
    return [jax.nn.softmax(z) for z in given] if room is probs else given


@pytest.mark.parametrize("room", [probs, logits])
@pytest.mark.parametrize("name", [*MEASURES[:2], pytest.param(MEASURES[2], marks=pytest.mark.slow)])
def test_a_mapped_call_is_that_of_the_whole_array(room, name, rng):
    """The same program, so the same bits."""
    function = getattr(room, name)
    operands = _operands(rng, name, room, 5, 20, 100)
    whole = function(*operands)
    np.testing.assert_array_equal(jax.vmap(jax.vmap(function))(*operands), whole)
    np.testing.assert_array_equal(jax.jit(jax.vmap(function))(*operands), whole)
    moved = [jnp.moveaxis(x, 0, 1) for x in operands]
    np.testing.assert_allclose(jax.vmap(function, 1)(*moved), whole, rtol=4e-6)


def test_an_operand_that_is_not_mapped_serves_every_member(rng):
    p, q = _operands(rng, "kl_divergence", probs, 60, 100)
    expected = probs.kl_divergence(p, jnp.broadcast_to(q[0], p.shape))
    np.testing.assert_allclose(jax.vmap(probs.kl_divergence, (0, None))(p, q[0]), expected, rtol=1e-6)
    turned = jax.vmap(probs.kl_divergence, (None, 0))(q[0], p)
    np.testing.assert_allclose(turned, probs.kl_divergence(q[:1], p), rtol=1e-6)


def test_a_mapped_parameter(rng):
    (p,) = _operands(rng, "entropy", probs, 60, 100)
    orders = jnp.asarray([0.5, 1.0, 2.0, 3.0], jnp.float32)
    found = jax.vmap(lambda order: probs.renyi_entropy(p, order))(orders)
    np.testing.assert_allclose(found, [probs.renyi_entropy(p, float(order)) for order in orders], rtol=2e-6)
    each = jax.vmap(jax.vmap(lambda row, order: probs.renyi_divergence(row, p[0], order), (0, None)), (None, 0))
    expected = [probs.renyi_divergence(p[1:], jnp.broadcast_to(p[0], p[1:].shape), float(order)) for order in orders]
    np.testing.assert_allclose(each(p[1:], orders), expected, rtol=4e-6)


def test_mapped_losses_and_their_gradient(rng):
    z, labels = _rows(rng, 60, 100), jnp.asarray(rng.integers(0, 100, 60))
    loss = losses.softmax_cross_entropy_with_integer_labels
    np.testing.assert_array_equal(jax.vmap(loss)(z, labels), loss(z, labels))
    of_all, of_each = (jax.grad(lambda z, f=f: jnp.mean(f(z, labels)))(z) for f in (loss, jax.vmap(loss)))
    np.testing.assert_allclose(of_each, of_all, rtol=1e-6, atol=1e-9)


@pytest.mark.slow
def test_mapped_tables(rng):
    tables = jax.nn.softmax(_rows(rng, 3, 100, 64)).reshape(3, 100, 8, 8)
    for measure in (probs.mutual_information, probs.conditional_entropy):
        mapped = jax.vmap(jax.vmap(measure))(tables)
        np.testing.assert_allclose(mapped, measure(tables), rtol=1e-6, atol=1e-9)


SHARED = ["logits.entropy", "probs.renyi_entropy"]
SLOW = ["logits.kl_divergence", "logits.total_variation", "logits.renyi_divergence", "losses.softmax_cross_entropy"]


@pytest.mark.parametrize("name", [*SHARED, *(pytest.param(name, marks=pytest.mark.slow) for name in SLOW)])
def test_many_directions_at_one_point(name, rng):
    """As under `jacfwd` and `hessian`; as many as make XLA:CPU choose other kernels than for a few."""
    entry = BY_NAME[name]
    operands = [_rows(rng, 10, 100) for _ in range(entry.arity)]
    if not name.startswith("logits"):
        operands[-1] = jax.nn.softmax(operands[-1])
    point, directions = operands[0], _rows(rng, 40, 10, 100) * jax.nn.softmax(operands[0])[None]

    def value(x):
        return entry.function(x, *operands[1:])

    def slope(direction):
        return jax.jvp(value, (point,), (direction,))[1]

    def curvature(direction):
        return jax.jvp(jax.grad(lambda x: jnp.sum(value(x))), (point,), (direction,))[1]

    for product in (slope, curvature):
        together = jax.jit(jax.vmap(product))(directions)
        one_by_one = jax.jit(lambda many, product=product: jax.lax.map(product, many))(directions)
        np.testing.assert_allclose(together, one_by_one, rtol=1e-4, atol=1e-4 * float(jnp.max(jnp.abs(one_by_one))))


@pytest.mark.slow
@pytest.mark.parametrize("shape", [(1000, 100, 70), (40, 10, 100)])
def test_an_operand_of_one_row_serves_all_rows(shape, rng):
    (p, q), (a, b) = (_operands(rng, "kl_divergence", room, *shape) for room in (probs, logits))
    for function, x, y in ((probs.jensen_shannon_divergence, p, q), (logits.kl_divergence, a, b)):
        given = jax.jit(lambda x, y, f=function: (f(x, y[:1]), f(y[:1], x)))(x, y)
        np.testing.assert_allclose(given[0][:3], jnp.stack([function(r, y[0]) for r in x[:3]]), rtol=4e-6)
        np.testing.assert_allclose(given[1][-3:], jnp.stack([function(y[0], r) for r in x[-3:]]), rtol=4e-6)


@pytest.mark.parametrize("room", [probs, logits])
def test_all_pairs_of_rows_are_not_written_out(room, rng):
    """Nested `vmap` forms no array of all pairs but that of the terms."""
    (p,), (q,) = _operands(rng, "entropy", room, 60, 100), _operands(rng, "entropy", room, 70, 100)
    measure = room.cross_entropy
    pairs = jax.jit(jax.vmap(jax.vmap(measure, (None, 0)), (0, None))).lower(p, q).compile()
    np.testing.assert_allclose(
        pairs(p, q)[:3], [measure(jnp.broadcast_to(row, q.shape), q) for row in p[:3]], rtol=4e-6
    )
    bytes_of_pairs = 4 * 60 * 70 * 100
    # A room of logits has the exponentials of each side besides.
    assert pairs.memory_analysis().temp_size_in_bytes < (1.2 if room is probs else 3.2) * bytes_of_pairs
