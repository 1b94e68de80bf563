"""The linear cross-entropy: every option against definitions in float64, and every transform."""

import functools
import itertools

import jax
import jax.extend
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

from jxent import linear, losses
from tests.test_losses import definition, options

N, D, V, BLOCK = 7, 3, 11, 4
ENGINES = ("classes", "rows")
CLASS_WEIGHTS = np.linspace(0.0, 2.0, V)
SMOOTHINGS, Z_LOSSES, MASKS = (None, 0.2, 1.0), (None, 0.01), (None, "classes", "logits", "rows")
# Of the combinations a quarter by each of the engines, such that each meets every two options, and the first three, in
# all their values; both, in the fast pass, without any option and with all of them.
COMBINATIONS = [
    pytest.param(engine, *chosen, marks=[] if quick else [pytest.mark.slow])
    for at, engine in enumerate(ENGINES)
    for places in itertools.product(range(3), range(2), range(2), range(4))
    for chosen in [[o[i] for o, i in zip((SMOOTHINGS, (None, CLASS_WEIGHTS), Z_LOSSES, MASKS), places, strict=True)]]
    for given in [sum(option is not None for option in chosen)]
    for quick in [given == 0 or (given == 4 and chosen[0] == 0.2 and chosen[3] == "logits")]
    if quick or (places[0] + places[1] + 2 * places[2] + places[3]) % 4 == at
]


def problem(rng):
    """Features, weights, bias with an excluded class, labels and soft targets."""
    x, w, bias = rng.normal(size=(N, D)), rng.normal(size=(V, D)), rng.normal(size=V)
    bias[5] = -np.inf
    labels = np.array([0, 1, 2, 3, 4, 10, 10])
    soft = rng.dirichlet(np.ones(V), size=N) * rng.uniform(0.5, 2.0, size=(N, 1))
    soft[:, 5] = 0.0
    return x, w, bias, labels, soft


def mask_of(kind, rng):
    """Classes or elements that take part, the labels' among them; one row without any."""
    if kind is None:
        return None
    if kind == "classes":
        mask = np.ones(V, bool)
        mask[[7, 8]] = False
        return mask
    if kind == "rows":
        return (np.arange(N) != 3)[:, None]
    mask = rng.random((N, V)) < 0.7
    mask[np.arange(N), [0, 1, 2, 3, 4, 10, 10]] = True
    mask[3] = False
    return mask


def slopes(z, targets, where, label_smoothing, class_weights, z_loss):
    """The gradient of `definition` in the logits of one row: (Σc)·p − c + 2ζ·log Z·p."""
    possible = where & (z > -np.inf)
    if not possible.any():
        return np.zeros(V)
    log_z = np.logaddexp.reduce(z[possible])
    p = np.where(possible, np.exp(z - log_z), 0.0)
    c = np.where(where, targets, 0.0)
    if label_smoothing is not None:
        c = (1 - label_smoothing) * c + np.where(possible, label_smoothing * c.sum() / possible.sum(), 0.0)
    c = c if class_weights is None else class_weights * c
    return c.sum() * p - c + (0.0 if z_loss is None else 2 * z_loss * log_z) * p


def exact(x, w, bias, targets, mask, given):
    """Losses and their gradients in x, w and bias for row factors g, in float64 numpy."""
    z = x @ w.T + bias
    mask = np.broadcast_to(True if mask is None else mask, z.shape)
    chosen = [given.get(k) for k in ("label_smoothing", "class_weights", "z_loss")]
    values = [definition(*r, *chosen) if r[2].any() else 0.0 for r in zip(z, targets, mask, strict=True)]
    slope = np.stack([slopes(*r, *chosen) for r in zip(z, targets, mask, strict=True)])
    return np.array(values), lambda g: (
        (slope * g[:, None]) @ w,
        (slope * g[:, None]).T @ x,
        (slope * g[:, None]).sum(0),
    )


@pytest.mark.parametrize(("engine", "smoothing", "weights", "z_loss", "masked"), COMBINATIONS)
def test_every_combination_of_options(engine, smoothing, weights, z_loss, masked, rng, x64, op_by_op):
    """Integer labels and soft targets: losses, their mean and the gradients of both."""
    x, w, bias, labels, soft = problem(rng)
    mask, given, g = mask_of(masked, rng), options(smoothing, weights, z_loss), rng.random(N)
    where = {} if mask is None else {"where": jnp.asarray(mask)}
    for targets, dense in ((labels, np.eye(V)[labels]), (soft, soft)):
        expected, gradient = exact(x, w, bias, dense, mask, given)
        loss = functools.partial(
            linear.softmax_cross_entropy, labels=jnp.asarray(targets), block_size=BLOCK, engine=engine, **given, **where
        )
        found, pull = jax.vjp(lambda x, w, b, loss=loss: loss(x, w, bias=b), x, w, bias)
        np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-15)
        for one, other in zip(pull(jnp.asarray(g)), gradient(g), strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-11, atol=1e-14)
        mean = functools.partial(linear.mean_softmax_cross_entropy, labels=jnp.asarray(targets), block_size=BLOCK)
        mean = functools.partial(mean, engine=engine, weights=jnp.asarray(g), **given, **where)
        found, slope = jax.value_and_grad(lambda x, w, b, mean=mean: mean(x, w, bias=b), argnums=(0, 1, 2))(x, w, bias)
        # A row without any class leaves the sums.
        part = g if mask is None else g * np.any(np.broadcast_to(mask, (N, V)), axis=1)
        np.testing.assert_allclose(found, np.sum(part * expected) / np.sum(part), rtol=1e-12)
        for one, other in zip(slope, gradient(part / np.sum(part)), strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-11, atol=1e-14)


def sums(engine):
    """The mean of either engine as a function of all that moves, and the same from the logits."""
    g, labels = jnp.linspace(0.5, 1.5, N), jnp.asarray([0, 1, 2, 3, 4, 9, 10])

    def ours(o):
        return linear.mean_softmax_cross_entropy(
            *(o["x"], o["w"], o.get("targets", labels)),
            **{k: v for k, v in o.items() if k not in ("x", "w", "targets")},
            **({} if "weights" in o else {"weights": g}),
            block_size=BLOCK,
            engine=engine,
        )

    def plain(o):
        z = o["x"] @ o["w"].T + o["bias"][None, :]
        log_p = z - jnp.log(jnp.sum(jnp.exp(z), axis=1, keepdims=True))
        t = o.get("targets", jax.nn.one_hot(labels, V, dtype=z.dtype))
        e = o.get("label_smoothing", 0.0)
        c = (1 - e) * t + e * jnp.sum(t, axis=1, keepdims=True) / V
        c = c * o.get("class_weights", jnp.ones(V))[None, :]
        level = jnp.log(jnp.sum(jnp.exp(z), axis=1))
        loss = -jnp.sum(c * log_p, axis=1) + o.get("z_loss", 0.0) * level**2
        w = o.get("weights", g)
        return jnp.sum(w * loss) / jnp.sum(w)

    return ours, plain


ALL_OTHERS = ("targets", "class_weights", "label_smoothing", "z_loss", "weights")


def close(found, expected):
    for one, other in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-10, atol=1e-13)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("others", [(), pytest.param(ALL_OTHERS, marks=pytest.mark.slow)])
def test_every_transform(engine, others, rng, x64, op_by_op):
    """grad, jvp, all three Hessian products against the dense Hessian, in every argument that is differentiable."""
    ours, plain = sums(engine)
    at = {"x": rng.normal(size=(N, D)), "w": rng.normal(size=(V, D)), "bias": rng.normal(size=V)}
    more = {"targets": rng.dirichlet(np.ones(V), size=N), "class_weights": rng.random(V), "label_smoothing": 0.1}
    more |= {"z_loss": 0.05, "weights": rng.random(N) + 0.5}
    at = jax.tree.map(jnp.asarray, at | {k: more[k] for k in others})
    way = jax.tree.map(lambda a: jnp.asarray(rng.normal(size=a.shape)), at)
    gradient, expected = jax.grad(ours), jax.grad(plain)
    close(gradient(at), expected(at))
    close(jax.jvp(ours, (at,), (way,)), jax.jvp(plain, (at,), (way,)))
    flat, whole = ravel_pytree(at)
    dense = jax.hessian(lambda v: plain(whole(v)))(flat)
    product = whole(dense @ ravel_pytree(way)[0])

    def along(o):
        return sum(jnp.vdot(a, b) for a, b in zip(jax.tree.leaves(gradient(o)), jax.tree.leaves(way), strict=True))

    close(jax.jvp(gradient, (at,), (way,))[1], product)
    close(jax.grad(lambda o: jax.jvp(ours, (o,), (way,))[1])(at), product)
    close(jax.grad(along)(at), product)


@pytest.mark.slow
@pytest.mark.parametrize("engine", ENGINES)
def test_vmap_and_jit_of_the_hessian_product(engine, rng, x64):
    """Compiled; over features and weights together and over features alone."""
    ours, plain = sums(engine)
    x, w, bias = (jnp.asarray(rng.normal(size=s)) for s in ((2, N, D), (2, V, D), (V,)))

    def product(f, x, w):
        def of(x, w):
            return f({"x": x, "w": w, "bias": bias})

        return jax.jvp(jax.grad(of, argnums=(0, 1)), (x, w), (jnp.ones_like(x), jnp.ones_like(w)))[1]

    for axes, args in (((0, 0), (x, w)), ((0, None), (x, w[0]))):
        found = jax.jit(jax.vmap(functools.partial(product, ours), in_axes=axes))(*args)
        close(found, jax.vmap(functools.partial(product, plain), in_axes=axes)(*args))


@pytest.mark.slow
@pytest.mark.parametrize("moving", ["x", "w", "bias"])
@pytest.mark.parametrize("chosen", [{}, {"label_smoothing": 0.1, "z_loss": 1e-3}])
def test_many_directions_at_one_point_in_one_program(moving, chosen, rng):
    """Second derivatives as `hessian` asks for them, compiled: sums over one row for a batch of tangents."""
    n, d, v = 10, 64, 100
    labels = rng.integers(0, v, n)
    given = {"x": rng.normal(size=(n, d)), "w": 0.2 * rng.normal(size=(v, d)), "bias": rng.normal(size=v)}
    factors, directions = np.cos(np.arange(n)), rng.normal(size=(40, *given[moving].shape))

    def ours(x, w, bias):
        return linear.softmax_cross_entropy(x, w, labels, bias=bias, **chosen)

    def plain(x, w, bias):
        return losses.softmax_cross_entropy_with_integer_labels(x @ w.T + bias[None], labels, **chosen)

    def products(f, dtype):
        """The Hessian of a weighted sum of losses times a direction."""
        held = {k: jnp.asarray(a, dtype) for k, a in given.items()}
        of = lambda a: jnp.sum(jnp.asarray(factors, dtype) * f(**{**held, moving: a}))  # noqa: E731
        return lambda t: jax.jvp(jax.grad(of), (held[moving],), (t,))[1]

    found = jax.jit(jax.vmap(products(ours, jnp.float32)))(jnp.asarray(directions, jnp.float32))
    with jax.enable_x64(True):
        expected = [np.asarray(products(plain, jnp.float64)(jnp.asarray(t))) for t in directions]
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5 * max(np.max(np.abs(expected)), 1.0))


@pytest.mark.slow
def test_logsumexp(rng, x64, op_by_op):
    """Value, gradient and second derivative, with a bias, masks and more than one leading axis."""
    x, w, bias, *_ = problem(rng)
    mask = mask_of("classes", rng)
    for where, size in ((None, 1), (mask, BLOCK), (None, 100)):
        z = x @ w.T + bias + (0.0 if where is None else np.where(where, 0.0, -np.inf))
        given = {} if where is None else {"where": jnp.asarray(where)}
        f = functools.partial(linear.logsumexp, w=w, bias=bias, block_size=size, **given)
        np.testing.assert_allclose(f(x), np.logaddexp.reduce(z, axis=1), rtol=1e-14)
        np.testing.assert_allclose(f(x.reshape(1, N, D))[0], f(x), rtol=1e-15)
        p = np.exp(z - np.logaddexp.reduce(z, axis=1, keepdims=True))
        np.testing.assert_allclose(jax.grad(lambda x, f=f: f(x).sum())(x), p @ w, rtol=1e-12)
        hessian = jax.hessian(f)(x[0])
        np.testing.assert_allclose(hessian, (w.T * p[0]) @ w - np.outer(p[0] @ w, p[0] @ w), rtol=1e-10, atol=1e-14)
    for nothing in ({"where": jnp.zeros(V, bool)}, {"bias": jnp.full(V, -jnp.inf)}):
        value, slope = jax.value_and_grad(lambda w, o=nothing: linear.logsumexp(x, w, block_size=BLOCK, **o).sum())(w)
        assert value == -np.inf
        assert (slope == 0).all()
    empty, bad = jnp.arange(N)[:, None] != 2, jnp.asarray(x).at[2].set(jnp.nan)
    found, pull = jax.vjp(lambda w: linear.logsumexp(bad, w, where=empty), w)
    assert found[2] == -np.inf
    assert np.isfinite(pull(jnp.ones(N))[0]).all()
    moved = jax.jvp(lambda w: linear.logsumexp(bad, w, where=empty), (w,), (np.ones_like(w),))[1]
    assert moved[2] == 0
