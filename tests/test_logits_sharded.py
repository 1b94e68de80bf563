"""Measures and losses of logits whose classes are sharded over the devices of a mesh, inside `shard_map`."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jxent import logits
from jxent._numerics.compiler import ShardedAxes
from tests.processes import fresh

PRELUDE = """
import functools
import jax, jax.numpy as jnp, numpy as np
from jax.sharding import AxisType, PartitionSpec as P
from jxent import logits, losses
rng = np.random.default_rng(0)
N, K = 6, 24
z, y = (jnp.asarray(rng.normal(size=(N, K)), jnp.float32) for _ in range(2))
# A class that dominates, classes at -inf on one device and across two, equal rows, nearly equal rows.
z = z.at[0, 3].set(40.0).at[1, 7:15].set(-jnp.inf)
y = y.at[1, 7:15].set(-jnp.inf).at[2].set(z[2]).at[3].set(z[3] + 1e-4 * y[3]).at[4].set(z[4] + 1e3)
t = jnp.asarray(rng.dirichlet(np.ones(K), N), jnp.float32).at[1, 7:15].set(0.0)
labels = jnp.asarray([3, 0, 23, 11, -100, 24])
where = jnp.asarray(rng.random((N, K)) < 0.8).at[5].set(False).at[:, :6].set(True).at[5].set(False)
mesh = jax.make_mesh((4,), ("classes",), axis_types=(AxisType.Auto,))
def sharded(f, args, whole=()):
    specs = tuple(P() if i in whole else P(None, "classes") for i in range(len(args)))
    out = P(None, "classes") if f.__name__ in KEPT else P()
    g = functools.partial(f, axis_name="classes")
    return jax.shard_map(g, mesh=mesh, in_specs=specs, out_specs=out, check_vma=True)
KEPT = ("log_probabilities", "probabilities", "self_information")
def close(found, expected, rtol=2e-5, atol=2e-6):
    for one, other in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(one, other, rtol=rtol, atol=atol)
def total(f, *args):
    values = f(*args)
    return jnp.sum(jnp.where(jnp.isfinite(values), values, 0.0))
"""

MEASURES = """
ROWS = {name: (z,) for name in (*KEPT, "entropy", "perplexity")}
PAIRS = ("cross_entropy", "kl_divergence", "jeffreys_divergence", "jensen_shannon_divergence", "total_variation",
         "jensen_shannon_distance", "chi_squared_divergence", "hellinger_distance",
         "triangular_discrimination")
ROWS |= {name: (z, y) for name in PAIRS}
for name, args in ROWS.items():
    f = getattr(logits, name)
    there = sharded(f, args)
    argnums = tuple(range(len(args)))
    both = lambda f: jax.jit(lambda *a: (f(*a), jax.grad(functools.partial(total, f), argnums)(*a)))
    found, expected = both(there)(*args), both(f)(*args)
    scale = max(1.0, *(float(jnp.max(jnp.abs(jnp.where(jnp.isfinite(e), e, 0.0)))) for e in jax.tree.leaves(expected)))
    close(found, expected, atol=2e-6 * scale)
    ordinary = tuple(jnp.where(jnp.isfinite(a), a, 0.0)[5:] for a in args)
    way = tuple(jnp.cos(3.0 * a) for a in ordinary)
    moved = lambda f: jax.jvp(jax.grad(functools.partial(total, f), argnums), ordinary, way)[1]
    close(jax.jit(lambda: moved(there))(), moved(f), rtol=2e-4, atol=2e-5)
kl = sharded(logits.kl_divergence, (z, y))(z, y)
assert kl[2] == 0 and (np.asarray(kl) >= 0).all()
np.testing.assert_allclose(kl[3], logits.kl_divergence(z, y)[3], rtol=1e-5)
print("same")
"""

LOSSES = """
SMOOTHED = {"ignore_label": -100, "label_smoothing": 0.1}
for f, args, whole, options in (
    (losses.softmax_cross_entropy, (z, t), (), {}),
    (losses.softmax_cross_entropy, (z, t), (), {"label_smoothing": 0.1, "z_loss": 0.01}),
    (losses.kl_divergence, (z, t), (), {}),
    (losses.softmax_focal_loss, (z, t), (), {}),
    (losses.softmax_cross_entropy_with_integer_labels, (z, labels), (1,), {"ignore_label": -100}),
    (losses.softmax_cross_entropy_with_integer_labels, (z, labels), (1,), SMOOTHED),
    (losses.softmax_focal_loss_with_integer_labels, (z, labels), (1,), {"ignore_label": -100}),
):
    f = functools.wraps(f)(functools.partial(f, **options))
    there = sharded(f, args, whole)
    both = lambda f: jax.jit(lambda *a: (f(*a), jax.grad(functools.partial(total, f))(*a)))
    close(both(there)(*args), both(f)(*args))
    way = jnp.cos(3.0 * jnp.where(jnp.isfinite(z), z, 0.0))
    moved = lambda f: jax.jvp(jax.grad(lambda z: total(f, z, *args[1:])), (z,), (way,))[1]
    close(jax.jit(lambda: moved(there))(), moved(f), rtol=2e-4, atol=2e-5)
import jxent
checked = jxent.checked(lambda z, t: sharded(losses.softmax_cross_entropy, (z, t))(z, t))
close(checked(z, t), losses.softmax_cross_entropy(z, t))
masked = lambda z, where, **o: logits.entropy(z, where=where, **o)
close(sharded(masked, (z, where))(z, where), logits.entropy(z, where=where))
def loss(z, t, where, **o):
    return losses.softmax_cross_entropy(z, t, where=where, **o)
close(sharded(loss, (z, t, where))(z, t, where), losses.softmax_cross_entropy(z, t, where=where))
print("same")
"""


@pytest.mark.slow
def test_measures_of_sharded_classes_and_their_derivatives():
    assert fresh(PRELUDE + MEASURES, devices=4) == "same"


@pytest.mark.slow
def test_losses_of_sharded_classes():
    assert fresh(PRELUDE + LOSSES, devices=4) == "same"


@pytest.mark.slow
def test_a_large_operand_is_summed_over_all_shards():
    """It is evaluated whole, not a portion at a time, which would sum only the classes here."""
    z, y = (jnp.asarray(np.random.default_rng(i).normal(size=(1 << 16, 2, 64)), jnp.float32) for i in (0, 1))
    measure = functools.partial(logits.total_variation, axis_name="shards")
    found = jax.vmap(measure, (1, 1), axis_name="shards")(z, y)
    expected = logits.total_variation(z.reshape(1 << 16, 128), y.reshape(1 << 16, 128))
    np.testing.assert_allclose(found, jnp.stack([expected, expected]), rtol=1e-5)
    assert ShardedAxes((1,), "a") != (1,)
    assert ShardedAxes((1,), "a") != ShardedAxes((1,), "b")
    assert not ShardedAxes((1,), "a") != ShardedAxes((1,), "a")  # noqa: SIM202
