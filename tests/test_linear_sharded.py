"""The linear cross-entropy inside `shard_map`: classes, rows, and both, over simulated devices."""

import pytest

from tests.processes import fresh

PRELUDE = """
import functools, re
import jax, jax.numpy as jnp, numpy as np
from jax.sharding import AxisType, PartitionSpec as P
from jxent import linear, losses
rng = np.random.default_rng(0)
N, D, V = 8, 5, 24
x, w, b = (jnp.asarray(rng.normal(size=s), jnp.float32) for s in ((N, D), (V, D), (V,)))
u, t = jnp.asarray(rng.random(V), jnp.float32), jnp.asarray(rng.dirichlet(np.ones(V), N), jnp.float32)
labels = jnp.asarray([0, 23, 5, 6, 11, -100, 24, 12])
where = jnp.asarray(rng.random((N, V)) < 0.8).at[:, jnp.clip(labels, 0, V - 1)].set(True).at[:, 3].set(True)
def mesh(**axes):
    return jax.make_mesh(tuple(axes.values()), tuple(axes), axis_types=(AxisType.Auto,) * len(axes))
def close(found, expected, rtol=2e-5, atol=2e-6):
    for one, other in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(one, other, rtol=rtol, atol=atol)
def all_reduces(f, *args):
    return len(re.findall(r" all-reduce(?:-start)?\\(", jax.jit(f).lower(*args).compile().as_text()))
def along(f, way):
    return lambda *a: sum(map(jnp.vdot, jax.grad(f, argnums=(0, 1))(*a), way))
way = tuple(jnp.asarray(rng.normal(size=a.shape), jnp.float32) for a in (x, w))
"""

CLASSES = """
four = mesh(classes=4)
ids = jnp.clip(labels, 0, V - 1)
def sharded(x, w):
    f = functools.partial(linear.softmax_cross_entropy, axis_name="classes", block_size=4)
    specs = dict(in_specs=(P(), P("classes", None), P()), out_specs=P(), check_vma=True)
    return jnp.mean(jax.shard_map(f, mesh=four, **specs)(x, w, ids))
def alone(x, w):
    return jnp.mean(losses.softmax_cross_entropy_with_integer_labels(x @ w.T, ids))
gradient = jax.value_and_grad(sharded, argnums=(0, 1))
close(jax.jit(gradient)(x, w), jax.value_and_grad(alone, argnums=(0, 1))(x, w))
assert all_reduces(gradient, x, w) == 3
def inside(x, w):
    f = lambda x, w: jnp.mean(linear.softmax_cross_entropy(x, w, ids, axis_name="classes", block_size=4))
    spec = P("classes", None)
    body = jax.value_and_grad(f, argnums=(0, 1))
    return jax.shard_map(body, mesh=four, in_specs=(P(), spec), out_specs=(P(), (P(), spec)), check_vma=True)(x, w)
close(jax.jit(inside)(x, w), jax.value_and_grad(alone, argnums=(0, 1))(x, w))
assert all_reduces(inside, x, w) == 3
expected = jax.grad(along(alone, way), argnums=(0, 1))(x, w)
close(jax.jit(jax.grad(along(sharded, way), argnums=(0, 1)))(x, w), expected)
tangents = jax.jit(lambda x, w: jax.jvp(jax.grad(sharded, argnums=(0, 1)), (x, w), way)[1])(x, w)
close(tangents, expected)
loose = functools.partial(linear.softmax_cross_entropy, axis_name="classes")
loose = jax.shard_map(loose, mesh=four, in_specs=(P(), P("classes", None), P()), out_specs=P(), check_vma=False)
found = jax.jit(jax.grad(lambda x, w: jnp.mean(loose(x, w, ids)), argnums=(0, 1)))(x, w)
close(found, jax.grad(alone, argnums=(0, 1))(x, w))
print("same")
"""

OPTIONS = """
four = mesh(classes=4)
row, everywhere = P("classes"), P(None, "classes")
for targets, mask in ((labels, None), (labels, where), (labels, where[0]), (t, None), (t, where)):
    given = dict(bias=b, class_weights=u, label_smoothing=0.1, z_loss=0.01)
    specs = dict(bias=row, class_weights=row, label_smoothing=P(), z_loss=P())
    if mask is not None:
        given |= dict(where=mask)
        specs |= dict(where=row if mask.ndim == 1 else everywhere)
    static = dict(ignore_label=-100) if targets is labels else {}
    spread = P() if targets is labels else everywhere
    def body(x, w, targets, given):
        return linear.softmax_cross_entropy(x, w, targets, axis_name="classes", block_size=4, **static, **given)
    f = jax.shard_map(body, mesh=four, in_specs=(P(), P("classes", None), spread, specs), out_specs=P(), check_vma=True)
    whole = functools.partial(linear.softmax_cross_entropy, labels=targets, **static, **given)
    close(jax.jit(f)(x, w, targets, given), whole(x, w))
    moving = {k: given[k] for k in ("bias", "class_weights", "label_smoothing", "z_loss")}
    # For gradients every label names a class.
    right = jnp.where(targets == 24, 3, targets) if targets is labels else targets
    def total(x, w, o):
        return jnp.sum(f(x, w, right, given | o))
    def plain(x, w, o):
        return jnp.sum(linear.softmax_cross_entropy(x, w, right, **static, **(given | o)))
    one, other = (jax.jit(jax.grad(f, argnums=(0, 1, 2)))(x, w, moving) for f in (total, plain))
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(other))
    close(one, other, rtol=1e-4, atol=1e-5)
f = functools.partial(linear.logsumexp, axis_name="classes")
f = jax.shard_map(f, mesh=four, in_specs=(P(), P("classes", None)), out_specs=P(), check_vma=True)
close(jax.jit(f)(x, w), jax.nn.logsumexp(x @ w.T, axis=1))
print("same")
"""

ROWS = """
ids = jnp.clip(labels, 0, V - 1)
def alone(x, w):
    return jnp.mean(losses.softmax_cross_entropy_with_integer_labels(x @ w.T, ids))
expected = jax.value_and_grad(alone, argnums=(0, 1))(x, w)
curved = jax.grad(along(alone, way), argnums=(0, 1))(x, w)
for axes, spec, options in (
    (dict(rows=4), P(), dict(engine="rows", block_size=1)),
    (dict(rows=4), P(), dict(engine="classes", block_size=5)),
    (dict(rows=2, classes=2), P("classes", None), dict(axis_name="classes", block_size=5)),
):
    def body(x, w, ids):
        return jax.lax.pmean(linear.mean_softmax_cross_entropy(x, w, ids, **options), "rows")
    specs = P("rows", None), spec, P("rows")
    f = jax.shard_map(body, mesh=mesh(**axes), in_specs=specs, out_specs=P(), check_vma=True)
    mean = lambda x, w: f(x, w, ids)
    gradient = jax.value_and_grad(mean, argnums=(0, 1))
    close(jax.jit(gradient)(x, w), expected)
    close(jax.jit(jax.grad(along(mean, way), argnums=(0, 1)))(x, w), curved)
for kind in (AxisType.Explicit, AxisType.Auto):
    with jax.set_mesh(jax.make_mesh((4,), ("rows",), axis_types=(kind,))):
        place = lambda a, *s: jax.device_put(a, jax.NamedSharding(jax.sharding.get_mesh(), P(*s)))
        there = place(x, "rows", None), place(w), place(ids, "rows")
        f = lambda x, w, ids: linear.mean_softmax_cross_entropy(x, w, ids)
        close(jax.jit(jax.value_and_grad(f, argnums=(0, 1)))(*there), expected)
print("same")
"""


@pytest.mark.slow
@pytest.mark.parametrize("program", [CLASSES, OPTIONS, ROWS], ids=["classes", "options", "rows"])
def test_the_same_on_four_devices(program):
    """Values, gradients from outside and inside, Hessian products; three all-reduces for loss and gradient."""
    assert fresh(PRELUDE + program, devices=4).endswith("same")
