"""Derivatives of every function of the table: both modes, first and second order, inside and at the boundary."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.table import (
    BY_NAME,
    INPUTS,
    TABLE,
    Fast,
    Trait,
    arrays,
    batch,
    by_turns,
    core_first,
    differentiable,
    probs_first,
)
from tests.test_boundary import SWEPT

TOLERANCE = {"float32": 2e-5, "float64": 1e-12}


def total(entry, argnums):
    """The sum of the values as a function of the differentiable arguments alone."""

    def of(args, moving):
        args = list(args)
        for i, x in zip(argnums, moving, strict=True):
            args[i] = x
        return jnp.sum(entry.function(*args))

    return of


def gradients(entry, args, argnums):
    return jax.jit(jax.grad(total(entry, argnums), argnums=1))(args, tuple(args[i] for i in argnums))


def close(found, expected, tolerance):
    scale = max(np.max(np.abs(expected), initial=0.0), 1e-30)
    return np.max(np.abs(np.asarray(found) - np.asarray(expected)), initial=0.0) <= tolerance * scale


def interior_case(entry, dtype):
    """The first case of every kind lies inside the domain."""
    return arrays(entry, INPUTS[entry.kind][0], dtype)


@pytest.mark.float64_of_core
@pytest.mark.parametrize("entry", core_first(TABLE))
def test_gradient_is_that_of_the_plain_formula(entry, dtype):
    """Reverse and forward mode, against autodiff of the textbook formula in float64.

    In float64 the closed form stands for it, and the sweep of the boundary for forward mode.
    """
    args = interior_case(entry, dtype)
    argnums = differentiable(args)
    found = gradients(entry, args, argnums)
    forward = jax.jit(jax.jacfwd(total(entry, argnums), argnums=1))(args, tuple(args[i] for i in argnums))
    with jax.enable_x64(True):
        wide = tuple(jnp.asarray(np.asarray(a, float if i in argnums else np.int32)) for i, a in enumerate(args))
        expected = jax.grad(lambda *a: jnp.sum(entry.plain(*a)), argnums=argnums)(*wide)
        expected = [np.asarray(e) for e in expected]
    for f, w, e in zip(found, forward, expected, strict=True):
        # Where the gradient of a whole row is 0, such as that of Σ softmax, its terms are the scale.
        scale = max(np.max(np.abs(e)), 1e-3)
        assert np.max(np.abs(f - e)) <= TOLERANCE[dtype.name] * scale
        assert np.max(np.abs(w - e)) <= TOLERANCE[dtype.name] * scale


@pytest.mark.parametrize("entry", core_first(TABLE))
def test_second_derivative_is_that_of_the_plain_formula(entry, x64, op_by_op):
    """Forward over reverse and, for the core, reverse over reverse, which goes through the same rules."""
    args = interior_case(entry, jnp.float64)
    argnums = differentiable(args)
    moving = tuple(args[i] for i in argnums)
    of = total(entry, argnums)

    def plain(args, moving):
        args = list(args)
        for i, x in zip(argnums, moving, strict=True):
            args[i] = x
        return jnp.sum(entry.plain(*args))

    expected = jax.jit(jax.jacfwd(jax.grad(plain, argnums=1), argnums=1))(args, moving)
    for mode in (jax.jacfwd, jax.jacrev) if entry.fast is Fast.EVERYTHING else (jax.jacfwd,):
        found = jax.jit(mode(jax.grad(of, argnums=1), argnums=1))(args, moving)
        for f, e in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
            assert np.max(np.abs(f - e)) <= 1e-10 * max(1.0, np.max(np.abs(jax.tree.leaves(expected)[0])))


@pytest.mark.float64_of_core
@pytest.mark.parametrize("entry", probs_first([e for e in TABLE if e.fast is Fast.EVERYTHING or e.name not in SWEPT]))
def test_first_derivative_at_the_boundary(entry, dtype):
    """Finite where the value is finite; infinite, never NaN or a silent 0, where the value is +inf.

    Of the core and of what the sweep in `test_boundary.py`, which asks the same of every corner, leaves out. In float64
    the closed form stands for it.
    """
    args = batch(entry, dtype)
    argnums = differentiable(args)
    of = total(entry, argnums)

    @jax.jit
    def program(args, moving):
        columns = jax.vmap(jax.jacfwd(of, argnums=1))(args, moving)
        return entry.function(*args), jax.grad(of, argnums=1)(args, moving), columns

    values, found, columns = jax.tree.map(np.asarray, program(args, tuple(args[i] for i in argnums)))
    finite = np.isfinite(values).reshape(values.shape + (1,) * (args[0].ndim - values.ndim))
    always = "logits" in entry.kind or "predictions" in entry.kind
    for g in found:
        assert not np.isnan(g).any()
        assert np.isfinite(g[np.broadcast_to(finite | always, g.shape)]).all()
    if not always:
        reached = np.any([np.isinf(g) for g in found], axis=0)
        rows = reached if values.ndim == 2 else reached.reshape(len(reached), -1).any(axis=1)
        np.testing.assert_array_equal(rows, np.isinf(values))
    # Forward mode, one basis direction at a time: a zero tangent times an infinite slope is no NaN.
    sizes = np.max(np.where(np.isfinite(values), np.abs(values), 0.0).reshape(len(values), -1), axis=1)
    for column, g in zip(columns, found, strict=True):
        for c, r, size in zip(column, g, sizes, strict=True):
            np.testing.assert_array_equal(np.isinf(c), np.isinf(r))
            known = np.isfinite(c)
            # Slopes as large as the value, or as the logarithm of the smallest normal number, cancel in a row.
            scale = max(-0.1 * np.log(float(np.finfo(dtype).tiny)), size, np.max(np.abs(r[known]), initial=0.0))
            assert np.max(np.abs(c[known] - r[known]), initial=0.0) <= 20 * np.finfo(dtype).eps * scale


@pytest.mark.parametrize("entry", by_turns([e for e in TABLE if e.closed_form]))
def test_gradient_is_the_closed_form(entry, dtype_by_turns):
    """At the boundary too, where both have the value that the contract fixes."""
    dtype = dtype_by_turns
    args = batch(entry, dtype)
    argnums = differentiable(args)
    by_hand = entry.closed_form(*args)
    by_hand = by_hand if isinstance(by_hand, tuple) else (by_hand,)
    found = gradients(entry, args, argnums[: len(by_hand)])
    # Near equality the closed forms, unlike the rules, subtract logarithms, at an edge those of the smallest
    # normal number, or take powers of it: an error of an ulp of them.
    ulps = max(200.0, -np.log(float(np.finfo(dtype).tiny))) * np.finfo(dtype).eps
    values = np.asarray(entry.function(*args), float).reshape(len(args[0]), -1)
    # A gradient is a difference of terms as large as the value where that is above 1.
    sizes = np.max(np.where(np.isfinite(values), np.abs(values), 0.0), axis=1, initial=1.0)
    if Trait.QUOTIENT in entry.traits:
        # A quotient of two small numbers, each with the rounding of its logarithms: the gradient, itself of the
        # size 1/H, errs by 1/H units.
        entropy = BY_NAME[entry.name.replace("normalized_mutual_information", "joint_entropy")].function(*args)
        sizes = np.maximum(1.0, 1.0 / np.maximum(np.asarray(entropy, float), 1e-30)) ** 2
    if "logits" in entry.kind:
        # Where the value is infinite a finite slope is all that is promised on the logits path.
        finite = np.isfinite(values).all(axis=1)
        sizes = sizes[finite]
        assert all(np.isfinite(np.asarray(g)).all() for g in (*found, *by_hand))
        found, by_hand = ([np.asarray(g)[finite] for g in x] for x in (found, by_hand))
    for f, e in zip(found, by_hand, strict=True):
        f, e = np.asarray(f, float), np.asarray(e, float)
        assert not np.isnan(f).any()
        assert not np.isnan(e).any()
        np.testing.assert_array_equal(np.isinf(f), np.isinf(e))
        np.testing.assert_array_equal(np.sign(f[np.isinf(f)]), np.sign(e[np.isinf(e)]))
        for a, b, size in zip(f, e, sizes, strict=True):
            keep = np.isfinite(a)
            scale = max(size, np.max(np.abs(b[keep]), initial=0.0))
            error = np.max(np.abs(a[keep] - b[keep]), initial=0.0)
            assert error <= (5 * np.sqrt(ulps) if Trait.ROOT in entry.traits else ulps) * scale


@pytest.mark.parametrize("entry", core_first([e for e in TABLE if "logits" in e.kind]))
def test_hessian_on_the_logits_path_is_finite(entry, op_by_op):
    """In float32, whose range is the first to be left."""
    args = batch(entry, jnp.float32)
    argnums = differentiable(args)
    moving = tuple(args[i] for i in argnums)
    for mode in (jax.jacfwd, jax.jacrev) if entry.fast is Fast.EVERYTHING else (jax.jacfwd,):
        found = jax.jit(mode(jax.grad(total(entry, argnums), argnums=1), argnums=1))(args, moving)
        assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(found))


@pytest.mark.parametrize("entry", core_first([e for e in TABLE if e.kind.endswith("probs")]))
def test_through_a_softmax_that_underflowed(entry, dtype_by_turns, op_by_op):
    """The second derivative, too, in float64 of the core alone: float32 is the first to underflow."""
    dtype = dtype_by_turns
    z = jnp.asarray([[0.0, -200.0, 0.25, -1000.0], [-1000.0, 0.0, 0.0, 0.0]], dtype)

    def of(z):
        p = jax.nn.softmax(z)
        q = jax.nn.softmax(0.5 * z + 0.1 * jnp.asarray([1.0, -1.0, 0.0, 0.0], dtype)[None, :])
        values = entry.function(*(p, q)[: entry.arity])
        return jnp.sum(jnp.where(jnp.isfinite(values), values, 0.0))

    if entry.name == "probs.self_information":
        pytest.skip("infinite there, and so is its slope")
    if Trait.INFINITE in entry.traits:
        z = z.at[:, 3].set(-200.0)
    assert np.isfinite(jax.jit(jax.grad(of))(z)).all()
    if dtype == np.float32 or entry.fast is Fast.EVERYTHING:
        assert np.isfinite(jax.jit(jax.hessian(of))(z)).all()


@pytest.mark.parametrize("entry", core_first([e for e in TABLE if e.arity == 2]))
def test_arguments_that_are_not_differentiated_contribute_nothing(entry, op_by_op):
    """The gradient in one argument alone is the same as beside the others."""
    args = batch(entry, jnp.float32)
    argnums = differentiable(args)
    together = gradients(entry, args, argnums)
    for position, expected in zip(argnums, together, strict=True):
        (alone,) = gradients(entry, args, (position,))
        np.testing.assert_allclose(alone, expected, rtol=1e-5, atol=1e-6)


def test_entropy_slope_at_zero_is_that_of_the_smallest_normal_number(dtype):
    from jxent import probs

    smallest = np.finfo(dtype).tiny
    slope = jax.grad(probs.entropy)(jnp.asarray([1.0, 0.0], dtype))
    np.testing.assert_allclose(slope, [-1.0, -np.log(float(smallest)) - 1], rtol=1e-6)


def test_weight_of_jensen_shannon_has_a_gradient(x64, op_by_op):
    from jxent import logits, probs

    p, q = jnp.asarray([0.5, 0.3, 0.2, 0.0]), jnp.asarray([0.1, 0.1, 0.0, 0.8])
    for function, a, b in ((probs, p, q), (logits, jnp.log(p), jnp.log(q))):

        def of(w, function=function, a=a, b=b):
            return function.jensen_shannon_divergence(a, b, weight=w)

        slope = jax.grad(of)(0.3)
        h = 1e-6
        assert abs(slope - (of(0.3 + h) - of(0.3 - h)) / (2 * h)) < 1e-8
        assert of(0.0) == 0
        assert of(1.0) == 0
        assert np.isfinite(jax.grad(of)(0.0))
        assert np.isfinite(jax.grad(of)(1.0))
