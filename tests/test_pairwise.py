"""Divergences between all pairs of rows, and the Fisher information."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jxent import closed_form, logits, probs
from tests.test_boundary import supports

NAMES = ("cross_entropy", "kl_divergence", "jensen_shannon_divergence", "jensen_shannon_distance")


def rows(room, rng, n, k=6):
    p = rng.dirichlet(np.ones(k), size=n).astype(np.float32)
    p[0, 0], p[-1, -1] = 0.0, 0.0
    p /= p.sum(1, keepdims=True)
    return jnp.asarray(p) if room is probs else jnp.log(jnp.asarray(p)) + 1.5


@pytest.mark.parametrize("room", [probs, pytest.param(logits, marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", NAMES)
def test_every_pair_is_what_the_rows_alone_give(room, name, rng):
    a, b = rows(room, rng, 4), rows(room, rng, 3)
    pairs, one = getattr(room, f"pairwise_{name}"), getattr(room, name)
    expected = one(a[:, None], b[None])
    np.testing.assert_allclose(pairs(a, b), expected, rtol=4e-6)
    in_bits = expected / (np.sqrt(np.log(2)) if name.endswith("distance") else np.log(2))
    np.testing.assert_allclose(pairs(a, b, base=2), in_bits, rtol=4e-6)
    np.testing.assert_allclose(jax.vmap(pairs)(a[None], b[None])[0], expected, rtol=4e-6)
    by_hand = getattr(closed_form, f"{room.__name__.split('.')[1]}_pairwise_{name}")

    @jax.jit
    def slopes(a, b):
        def total(a, b):
            return pairs(a, b).sum()

        plain = jax.grad(lambda a, b: one(a[:, None], b[None]).sum(), (0, 1))(a, b)
        return plain, (jax.grad(total, (0, 1))(a, b), jax.jacfwd(total, (0, 1))(a, b), by_hand(a, b))

    plain, others = slopes(a[1:-1], b[1:-1])
    for found in others:
        for f, e in zip(found, plain, strict=True):
            np.testing.assert_allclose(f, e, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("room", [probs, logits])
@pytest.mark.parametrize("name", NAMES)
def test_second_derivatives(room, name, rng, x64, op_by_op):
    a, b = (jnp.asarray(rows(room, rng, 3, 3)[1:-1], float) for _ in range(2))
    pairs, one = getattr(room, f"pairwise_{name}"), getattr(room, name)
    for mode in (jax.jacfwd, jax.jacrev):
        found = mode(jax.grad(lambda ab: pairs(*ab).sum()))((a, b))
        plain = jax.hessian(lambda ab: one(ab[0][:, None], ab[1][None]).sum())((a, b))
        for f, e in zip(jax.tree.leaves(found), jax.tree.leaves(plain), strict=True):
            np.testing.assert_allclose(f, e, rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize("room", [probs, logits])
def test_the_diagonal_and_what_is_near_it(room, rng, dtype_by_turns):
    """Equal rows give exactly 0; rows 1e-3 and 1e-5 apart all their digits, which the matrix product has lost."""
    dtype = dtype_by_turns
    p = rng.dirichlet(np.ones(300), size=5)
    near = np.concatenate([p * (1 + h * rng.normal(size=p.shape)) for h in (0, 1e-5, 1e-3)])
    near /= near.sum(axis=1, keepdims=True)
    near[:5] = p
    a, b = (jnp.asarray((x if room is probs else np.log(x)).astype(dtype)) for x in (p, near))
    found = np.asarray(room.pairwise_kl_divergence(a, b))
    np.testing.assert_array_equal(np.diag(found[:, :5]), 0)
    assert (found >= 0).all()
    exact = np.asarray(room.kl_divergence(a[:, None], b[None]))
    tolerance = 8e-6 if dtype == np.float32 else 8e-15
    np.testing.assert_allclose(found, exact, rtol=tolerance)
    np.testing.assert_array_equal(np.diag(room.pairwise_jensen_shannon_divergence(a, b[:5])), 0)


def test_infinite_pairs_and_their_slopes():
    p, q = jnp.asarray([[0.5, 0.5], [1.0, 0.0]]), jnp.asarray([[1.0, 0.0], [0.5, 0.5]])
    for pairs in (probs.pairwise_kl_divergence, probs.pairwise_cross_entropy):
        values = np.asarray(pairs(p, q))
        np.testing.assert_array_equal(np.isinf(values), [[True, False], [False, False]])
        in_p, in_q = jax.grad(lambda p, q, f=pairs: f(p, q).sum(), (0, 1))(p, q)
        np.testing.assert_array_equal(np.isposinf(in_p), [[False, True], [False, False]])
        np.testing.assert_array_equal(np.isneginf(in_q), [[False, True], [False, False]])
        assert not np.isnan(in_p).any()
        assert not np.isnan(in_q).any()
    nan = np.asarray(probs.pairwise_kl_divergence(p.at[0, 0].set(jnp.nan), q))
    np.testing.assert_array_equal(np.isnan(nan), [[True, True], [False, False]])


def test_no_array_of_all_pairs_and_classes():
    n, m, k = 64, 96, 512
    p, q = (jax.ShapeDtypeStruct((r, k), jnp.float32) for r in (n, m))
    for f in (probs.pairwise_kl_divergence, probs.pairwise_cross_entropy):
        gradient = jax.jit(jax.grad(lambda p, q, f=f: f(p, q).sum(), (0, 1)))
        for program in (jax.jit(f), gradient):
            assert program.lower(p, q).compile().memory_analysis().temp_size_in_bytes < n * m * k


def test_shapes_that_are_no_rows_are_refused():
    for a, b in (((2, 3), (3,)), ((2, 3), (2, 4)), ((1, 2, 3), (1, 2, 3))):
        with pytest.raises(ValueError, match=r"\[N, K\] and \[M, K\]"):
            probs.pairwise_kl_divergence(jnp.ones(a), jnp.ones(b))
    assert probs.pairwise_jensen_shannon_divergence(jnp.ones((2, 3)) / 3, jnp.ones((0, 3))).shape == (2, 0)
    with pytest.raises(ValueError, match="weight"):
        probs.pairwise_jensen_shannon_divergence(jnp.ones((2, 3)), jnp.ones((2, 3)), weight=2.0)


def test_blocks_of_pairs_that_do_not_divide(rng, monkeypatch):
    from jxent._numerics import pairwise

    monkeypatch.setattr(pairwise, "BLOCK", 60)
    jax.clear_caches()
    a, b = rows(probs, rng, 5), rows(probs, rng, 7)
    expected = probs.jensen_shannon_divergence(a[:, None], b[None], weight=0.25)
    np.testing.assert_allclose(probs.pairwise_jensen_shannon_divergence(a, b, weight=0.25), expected, rtol=4e-6)
    jax.clear_caches()


@pytest.mark.parametrize("name", NAMES)
def test_slopes_on_the_boundary_are_those_of_the_rows(name, rng):
    pairs = itertools.product(supports(3), repeat=2)
    p, q = (jnp.asarray(np.asarray(side), jnp.float32) for side in zip(*pairs, strict=True))
    pairwise, of_rows = getattr(probs, f"pairwise_{name}"), getattr(probs, name)
    slopes = jax.vmap(jax.grad(lambda p, q: pairwise(p[None], q[None])[0, 0], (0, 1)))
    for found, expected in zip(slopes(p, q), jax.vmap(jax.grad(of_rows, (0, 1)))(p, q), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)
    # Far along a direction, where a tangent over the smallest normal number is out of range.
    moves = tuple(jnp.asarray(10.0 * rng.normal(size=p.shape), jnp.float32) for _ in range(2))
    along = jax.vmap(lambda p, q, *moves: jax.jvp(lambda p, q: pairwise(p[None], q[None])[0, 0], (p, q), moves)[1])
    finite = np.isfinite(of_rows(p, q))
    expected = jax.jvp(of_rows, (p, q), moves)[1]
    np.testing.assert_allclose(along(p, q, *moves)[finite], expected[finite], rtol=1e-5, atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("room", [probs, logits])
def test_second_derivatives_along_many_directions(room, rng):
    """The blocks of rows are looped over, and the direction alone is mapped."""
    p, q = rows(room, rng, 4)[1:3], rows(room, rng, 4)[1:3]
    of_pairs, of_rows = room.pairwise_jensen_shannon_divergence, room.jensen_shannon_divergence
    found = jax.hessian(lambda p: jnp.sum(of_pairs(p, q)))(p)
    expected = jax.hessian(lambda p: jnp.sum(of_rows(p[:, None], q[None])))(p)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


# The Fisher information.


@pytest.mark.slow
def test_the_hessian_of_kl_at_equality_is_the_fisher_information(x64):
    z = jnp.asarray([0.3, -1.0, 2.0, 0.0])
    fisher = logits.fisher_information(z)
    p = logits.probabilities(z)
    np.testing.assert_allclose(fisher, jnp.diag(p) - jnp.outer(p, p), atol=1e-16)
    for argnum in (0, 1):
        np.testing.assert_allclose(jax.hessian(logits.kl_divergence, argnum)(z, z), fisher, atol=1e-12)
    np.testing.assert_allclose(jax.hessian(jax.nn.logsumexp)(z), fisher, atol=1e-12)


def test_products_with_the_fisher_information(x64, rng):
    z, v = jnp.asarray(rng.normal(size=(2, 3, 5))), jnp.asarray(rng.normal(size=(2, 3, 5)))
    fisher = logits.fisher_information(z)
    product = logits.fisher_vector_product(z, v)
    np.testing.assert_allclose(product, jnp.einsum("...ij,...j->...i", fisher, v), atol=1e-14)
    step = logits.natural_gradient(z, product)
    np.testing.assert_allclose(step, v - v.mean(axis=-1, keepdims=True), atol=1e-12)
    inverse = jnp.linalg.pinv(fisher, rtol=1e-10)
    np.testing.assert_allclose(logits.natural_gradient(z, v), jnp.einsum("...ij,...j->...i", inverse, v), rtol=1e-8)
    for f in (logits.fisher_vector_product, logits.natural_gradient):
        np.testing.assert_allclose(
            jnp.moveaxis(f(jnp.moveaxis(z, -1, 0), jnp.moveaxis(v, -1, 0), axis=0), 0, -1), f(z, v)
        )
    moved = logits.fisher_information(jnp.moveaxis(z, -1, 0), axis=0)
    np.testing.assert_allclose(moved, fisher)


@pytest.mark.slow
def test_the_fisher_information_of_a_nearly_certain_class(x64):
    z = jnp.asarray([40.0, 0.0, -jnp.inf])
    tail = float(jnp.exp(-40.0))
    np.testing.assert_allclose(logits.fisher_information(z)[:2, :2], tail * np.array([[1, -1], [-1, 1]]), rtol=1e-14)
    np.testing.assert_array_equal(logits.fisher_information(z)[2], 0)
    np.testing.assert_allclose(logits.fisher_vector_product(z, [1.0, 0.0, 5.0])[:2], [tail, -tail], rtol=1e-14)
    assert logits.natural_gradient(z, [tail, -tail, 0.0])[2] == 0
    for f in (logits.fisher_information, lambda z: logits.fisher_vector_product(z, [1.0, 2.0, 3.0])):
        assert np.isfinite(jax.jacobian(f)(z)).all()
        assert np.isfinite(jax.jacfwd(jax.jacrev(f))(z)).all()
    assert np.isfinite(jax.grad(lambda z: logits.natural_gradient(z, [0.1, -0.1, 0.0]).sum())(z)).all()
