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

MEASURES = """
from jax.sharding import NamedSharding
y, v, c = (jnp.asarray(rng.normal(size=s), jnp.float32) for s in ((N, D + 1), (V, D + 1), (V,)))
fixed = dict(ids=jnp.asarray(rng.integers(0, V, N)), candidates=jnp.asarray(rng.integers(0, V, (N, 3))))
o, k = dict(x=x, w=w, b=b, y=y, v=v, c=c), dict(block_size=5, soft_cap=3.0)
def one(name, *extra, **more):
    return lambda o, **s: getattr(linear, name)(o["x"], o["w"], *(o[e] for e in extra), bias=o["b"], **k, **more, **s)
def two(name, **more):
    biases = lambda o: dict(bias_p=o["b"], bias_q=o["c"])
    return lambda o, **s: getattr(linear, name)(o["x"], o["w"], o["y"], o["v"], **biases(o), **k, **more, **s)
def most(o, **s):
    return linear.top_k(o["x"], o["w"], 3, bias=o["b"], **k, **s).log_probabilities
FUNCTIONS = dict(
    loss=one("softmax_cross_entropy", "ids", label_smoothing=0.1, z_loss=0.01),
    score=one("score", "candidates"), logsumexp=one("logsumexp"), entropy=one("entropy", temperature=0.7),
    kl=two("kl_divergence"), cross=two("cross_entropy"), js=two("jensen_shannon_divergence", weight=0.3), top=most,
)
mean = one("mean_softmax_cross_entropy", "ids", ignore_label=int(fixed["ids"][0]))
def every(name):
    def scalar(o, fixed, **s):
        return sum(jnp.sum(jnp.sin(a)) for a in jax.tree.leaves(FUNCTIONS[name](o | fixed, **s)))
    return scalar
SPECS = dict(x="rn", y="rn", w="cn", v="cn", b="c", c="c", ids="r", candidates="rn")
def specs(names, **axes):
    return {n: P(*(axes.get(letter) for letter in SPECS[n])) for n in names}
def product(f, o, way):
    return jax.jvp(jax.grad(f), (o,), (way,))[1]
def all_of(f, o, fixed, way):
    of = lambda o: f(o, fixed)
    return jax.value_and_grad(of)(o), product(of, o, way)
o_way = jax.tree.map(lambda a: jnp.asarray(rng.normal(size=a.shape), jnp.float32), o)
LAYOUTS = (dict(c="m"), dict(r="m"), dict(r="d", c="m"))
def mesh_of(axes, kind):
    names = tuple(axes.values())
    return jax.make_mesh((4,) if len(names) == 1 else (2, 2), names, axis_types=(kind,) * len(names))
"""

EXPLICIT = """
for name in FUNCTIONS:
    run = jax.jit(functools.partial(all_of, every(name)))
    expected = run(o, fixed, o_way)
    core = name in ("score", "kl")
    for axes in LAYOUTS if core else LAYOUTS[2:]:
        for kind in (AxisType.Explicit, AxisType.Auto) if name == "kl" else (AxisType.Explicit,):
            on = mesh_of(axes, kind)
            def place(tree):
                return {n: jax.device_put(a, NamedSharding(on, specs([n], **axes)[n])) for n, a in tree.items()}
            close(run(place(o), place(fixed), place(o_way)), expected, rtol=1e-4, atol=2e-5)
on = mesh_of(LAYOUTS[2], AxisType.Explicit)
there = {n: jax.device_put(a, NamedSharding(on, specs([n], **LAYOUTS[2])[n])) for n, a in (o | fixed).items()}
close(jax.jit(jax.value_and_grad(lambda x: mean(there | dict(x=x))))(there["x"]),
      jax.value_and_grad(lambda x: mean(o | fixed | dict(x=x)))(x))
draws = linear.sample(jax.random.key(3), x, w, bias=b)
assert (linear.sample(jax.random.key(3), there["x"], there["w"], bias=there["b"]) == draws).all()
features = jax.device_put(jnp.zeros((V, 8)), NamedSharding(on, P(None, "d")))
classes = jax.device_put(w, NamedSharding(on, P("d", None)))
gather = "reshard(w, jax.sharding.PartitionSpec(None, None))"
by_rows = functools.partial(linear.softmax_cross_entropy, there["x"], there["w"], there["ids"], engine="rows")
for f, text in ((lambda: linear.entropy(jnp.zeros((N, 8)), features), gather), (by_rows, "needs all classes on each"),
                (lambda: linear.entropy(there["x"], classes), "both sharded over ['d']: gather the weights first")):
    try:
        f()
    except ValueError as error:
        assert text in str(error), error
    else:
        raise AssertionError(text)
# A mask of any rank, rows that are mapped, and classes over both axes of the mesh.
expected = linear.entropy(x, w, bias=b)
close(linear.entropy(there["x"], there["w"], bias=there["b"], where=True), expected)
close(linear.entropy(there["x"], there["w"], bias=there["b"], where=jnp.asarray([True])), expected)
mapped = jax.jit(jax.vmap(lambda row: linear.entropy(row, there["w"], bias=there["b"])))
with jax.set_mesh(on):
    close(mapped(there["x"]), expected)
    over_both = [jax.sharding.reshard(a, P(("d", "m"))) for a in (w, b)]
    f = jax.jit(jax.value_and_grad(lambda w, b: jnp.sum(jnp.sin(linear.entropy(x, w, bias=b))), argnums=(0, 1)))
    close(f(*over_both), f(w, b), rtol=1e-4)
# Auto axes along the features, as FSDP has them.
on = jax.make_mesh((4,), ("f",), axis_types=(AxisType.Auto,))
wide = {n: jnp.asarray(rng.normal(size=(V if n in "wv" else N, 8)), jnp.float32) for n in "xwyv"}
spread = {n: jax.device_put(a, NamedSharding(on, P(None, "f"))) for n, a in wide.items()}
for name in ("score", "kl"):
    f = jax.jit(jax.value_and_grad(lambda arrays: every(name)(o | arrays, fixed)))
    close(f(spread), f(wide))
print("same")
"""

INSIDE = """
on = mesh_of(dict(c="classes"), AxisType.Auto)
def sharded(name):
    def body(o, fixed):
        return every(name)(o, fixed, axis_name="classes")
    places = specs(o, c="classes"), specs(fixed, c="classes")
    return jax.shard_map(body, mesh=on, in_specs=places, out_specs=P(), check_vma=True)
for name, reduces in dict(score=3, entropy=3, kl=4, cross=4, js=5, top=None).items():
    f = sharded(name)
    found = jax.jit(functools.partial(all_of, f))(o, fixed, o_way)
    close(found, jax.jit(functools.partial(all_of, every(name)))(o, fixed, o_way), rtol=1e-4, atol=2e-5)
    gradient = jax.value_and_grad(lambda x, w: f(o | dict(x=x, w=w), fixed), argnums=(0, 1))
    assert reduces in (None, all_reduces(gradient, x, w)), (name, all_reduces(gradient, x, w))
def draw(key, x, w, b):
    return linear.sample(key, x, w, bias=b, axis_name="classes")
places = P(), P(), P("classes", None), P("classes")
f = jax.shard_map(draw, mesh=on, in_specs=places, out_specs=P(), check_vma=True)
assert (f(jax.random.key(3), x, w, b) == linear.sample(jax.random.key(3), x, w, bias=b)).all()
# Devices with different numbers of rows that take part.
ids = jnp.where(jnp.arange(N) < 5, fixed["ids"], -100)
def sums(x, w, ids):
    total = linear.sum_softmax_cross_entropy(x, w, ids, ignore_label=-100)
    return jax.lax.psum(total, "classes")
places = P("classes", None), P(), P("classes")
f = jax.shard_map(sums, mesh=on, in_specs=places, out_specs=P(), check_vma=True)
def mean_of(w):
    total = f(x, w, ids)
    return total.loss / total.weight
close(jax.value_and_grad(mean_of)(w),
      jax.value_and_grad(lambda w: linear.mean_softmax_cross_entropy(x, w, ids, ignore_label=-100))(w), rtol=1e-6)
print("same")
"""


@pytest.mark.slow
@pytest.mark.parametrize("program", [CLASSES, OPTIONS, ROWS], ids=["classes", "options", "rows"])
def test_the_same_on_four_devices(program):
    """Values, gradients from outside and inside, Hessian products; three all-reduces for loss and gradient."""
    assert fresh(PRELUDE + program, devices=4).endswith("same")


@pytest.mark.slow
@pytest.mark.parametrize("program", [EXPLICIT, INSIDE], ids=["mesh", "inside"])
def test_every_measure_is_the_same_on_four_devices(program):
    """Classes, rows and both, over explicit and auto axes and inside `shard_map`, with the number of all-reduces."""
    assert fresh(PRELUDE + MEASURES + program, devices=4).endswith("same")
