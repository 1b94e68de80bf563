"""The package as JAX users meet it: imports, signatures, compilations, sharding and debugging modes."""

import functools
import inspect

import jax
import jax.export
import jax.numpy as jnp
import numpy as np
import pytest

import jxent
from jxent import logits, losses, probs
from tests.processes import fresh
from tests.table import TABLE, batch, core_first, differentiable
from tests.test_values import worst


def test_importing_the_root_imports_neither_jax_nor_optax_nor_a_room():
    loaded = fresh(
        "import sys, jxent; "
        "print(*[m for m in ('jax', 'optax', 'jxent.probs', 'matplotlib', 'sklearn') if m in sys.modules])"
    )
    assert loaded == ""


def test_rooms_are_attributes_of_the_root_without_being_imported():
    assert fresh("import jxent; print(jxent.regression.init(2, 3).bias.shape, 'probs' in dir(jxent))") == "(3,) True"


def test_a_room_that_does_not_exist():
    with pytest.raises(AttributeError, match="rooms are"):
        jxent.no_such_room  # noqa: B018


def test_no_module_imports_the_package_root_as_a_namespace():
    """Every room is below the root: `import jxent` inside the package would be a cycle."""
    from pathlib import Path

    for path in Path(inspect.getfile(jxent)).parent.rglob("*.py"):
        assert "\nimport jxent\n" not in path.read_text(), path


def test_signatures_stay_visible():
    signature = inspect.signature(probs.kl_divergence)
    assert list(signature.parameters) == ["p", "q", "axis", "where", "base", "keepdims"]
    assert signature.parameters["axis"].kind is inspect.Parameter.KEYWORD_ONLY
    assert probs.kl_divergence.__name__ == "kl_divergence"


def test_a_new_value_of_a_traced_option_compiles_nothing():
    traces = []

    @jax.jit
    def of(p, q, weight):
        traces.append(1)
        return probs.jensen_shannon_divergence(p, q, weight=weight)

    p, q = jnp.asarray([0.5, 0.5]), jnp.asarray([0.9, 0.1])
    for weight in (0.1, 0.2, 0.3):
        of(p, q, weight)
    assert len(traces) == 1
    with jax.checking_leaks(), jax.log_compiles(False):
        probs.jensen_shannon_divergence(p, q, weight=0.1)
    compiled = functools.partial(probs.jensen_shannon_divergence, p, q)
    from jax._src import test_util

    compiled(weight=0.4)
    with test_util.count_jit_compilation_cache_miss() as count:
        compiled(weight=0.6)
        losses.huber_loss(p, q, delta=2.0)
        seen = count()
        losses.huber_loss(p, q, delta=3.0)
        assert count() == seen


def test_a_traced_static_option_is_explained():
    with pytest.raises(TypeError, match=r"axis.*traced"):
        jax.jit(lambda axis: probs.entropy(jnp.ones((2, 2)), axis=axis))(0)


@pytest.mark.slow
@pytest.mark.parametrize("entry", core_first(TABLE))
def test_debug_nans_finds_none(entry):
    """No NaN is formed on the way to a finite value or gradient."""
    args = batch(entry, jnp.float32)
    argnums = differentiable(args)
    with jax.debug_nans(True):
        values = np.asarray(entry.function(*args))
        finite = np.isfinite(values) if values.ndim == 1 else np.isfinite(values).all(axis=1)
        args = tuple(a[finite] for a in args)
        jax.grad(lambda *a: jnp.sum(entry.function(*a)), argnums=argnums)(*args)


SHARDED = """
import jax, jax.numpy as jnp, numpy as np
from jax.sharding import AxisType, PartitionSpec as P, NamedSharding
from jxent import probs, logits, losses
rng = np.random.default_rng(0)
z = jnp.asarray(rng.normal(size=(8, 12)), jnp.float32)
y = jnp.asarray(rng.normal(size=(8, 12)), jnp.float32)
p, q = jax.nn.softmax(z), jax.nn.softmax(y)
labels = jnp.asarray(rng.integers(0, 12, 8))
cases = [(probs.entropy, (p,)), (probs.kl_divergence, (p, q)), (probs.jensen_shannon_divergence, (p, q)),
         (logits.entropy, (z,)), (logits.kl_divergence, (z, y)), (logits.jensen_shannon_distance, (z, y)),
         (losses.softmax_cross_entropy, (z, p))]
label_loss = losses.softmax_cross_entropy_with_integer_labels
cases = [(f, args, f(*args), jax.grad(lambda *a, f=f: f(*a).sum())(*args)) for f, args in cases]
of_labels = label_loss(z, labels), jax.grad(lambda a: label_loss(a, labels).sum())(z)
for kind in (AxisType.Explicit, AxisType.Auto):
    mesh = jax.make_mesh((2, 2), ("rows", "classes"), axis_types=(kind, kind))
    with jax.set_mesh(mesh):
        alone = (P("rows", None), P(None, "classes")) if kind == AxisType.Explicit else ()
        for spec in (*alone, P("rows", "classes")):
            place = lambda a, spec=spec: jax.device_put(a, NamedSharding(mesh, P(*spec[: a.ndim])))
            for f, args, values, slope in [*cases, (label_loss, (z, labels), *of_labels)]:
                there = tuple(place(a) for a in args)
                both = jax.jit(lambda *a, f=f: (f(*a), jax.grad(lambda *a: f(*a).sum())(*a)))
                found, g = both(*there)
                np.testing.assert_allclose(found, values, rtol=2e-6)
                np.testing.assert_allclose(g, slope, rtol=1e-4, atol=1e-6)
mesh = jax.make_mesh((4,), ("rows",), axis_types=(AxisType.Auto,))
for f, args, values, slope in [*cases, (label_loss, (z, labels), *of_labels)]:
    g = jax.shard_map(f, mesh=mesh, in_specs=tuple(P("rows") for _ in args), out_specs=P("rows"), check_vma=True)
    both = jax.jit(lambda *a, g=g: (g(*a), jax.grad(lambda *a: g(*a).sum())(*a)))
    found, d = both(*args)
    np.testing.assert_allclose(found, values, rtol=2e-6)
    np.testing.assert_allclose(d, slope, rtol=1e-4, atol=1e-6)
print("same")
"""


SHARDED_MEASURES = """
import jax, jax.numpy as jnp, numpy as np
from jax.sharding import AxisType, PartitionSpec as P, NamedSharding
from jxent import probs, logits
rng = np.random.default_rng(0)
for dtype, tolerance in ((jnp.float32, 4e-6), (jnp.float64, 1e-13)):
    with jax.enable_x64(dtype == jnp.float64):
        z, y = (jnp.asarray(rng.normal(size=(8, 12)), dtype) for _ in range(2))
        p, q = jax.nn.softmax(z), jax.nn.softmax(y)
        t = jnp.asarray(rng.dirichlet(np.ones(24), size=8).reshape(8, 4, 6), dtype)
        cases = []
        for room, a, b in ((probs, p, q), (logits, z, y)):
            cases += [(f, (a,)) for f in (room.entropy, room.perplexity, lambda a, r=room: r.renyi_entropy(a, 2.0),
                                          lambda a, r=room: r.tsallis_entropy(a, 0.5))]
            names = ("cross_entropy", "kl_divergence", "jeffreys_divergence", "jensen_shannon_distance",
                     "total_variation", "hellinger_distance", "chi_squared_divergence", "bhattacharyya_distance")
            cases += [(getattr(room, n), (a, b)) for n in names]
            cases += [(lambda a, b, r=room: r.renyi_divergence(a, b, 0.5), (a, b)),
                      (lambda a, b, r=room: r.alpha_divergence(a, b, 0.5), (a, b)),
                      (lambda a, b, r=room: r.f_divergence(a, b, lambda t: (t - 1) ** 2), (a, b))]
            u = t if room is probs else jnp.log(t)
            cases += [(f, (u,)) for f in (room.mutual_information, room.conditional_entropy,
                                          room.variation_of_information,
                                          lambda u, r=room: r.total_correlation(u, variables=(1, 2)),
                                          lambda u, r=room: r.dual_total_correlation(u, variables=(1, 2)))]
        if dtype == jnp.float64:
            # The sums in stages, which only float64 has, in one function of each kind.
            cases = [c for c in cases if c[0] in (probs.entropy, logits.kl_divergence, probs.mutual_information)]
        both = [jax.jit(lambda *x, f=f: (f(*x), jax.grad(lambda *x: f(*x).sum())(*x))) for f, _ in cases]
        alone = [f(*args) for f, (_, args) in zip(both, cases)]
        kinds = (AxisType.Explicit, AxisType.Auto) if dtype == jnp.float32 else (AxisType.Explicit,)
        for kind in kinds:
            mesh = jax.make_mesh((2, 2), ("rows", "classes"), axis_types=(kind, kind))
            with jax.set_mesh(mesh):
                for (f, args), f_and_slope, (whole, plain) in zip(cases, both, alone):
                    place = lambda x: NamedSharding(mesh, P("rows", "classes", *[None] * (x.ndim - 2)))
                    there = tuple(jax.device_put(x, place(x)) for x in args)
                    if kind == AxisType.Auto:
                        np.testing.assert_allclose(jax.jit(f)(*there), whole, rtol=tolerance)
                        continue
                    found, slope = f_and_slope(*there)
                    np.testing.assert_allclose(found, whole, rtol=tolerance)
                    np.testing.assert_allclose(slope, plain, rtol=100 * tolerance, atol=10 * tolerance)
print("same")
"""


@pytest.mark.slow
@pytest.mark.usefixtures("quick_compile")
def test_every_measure_of_sharded_arrays_is_the_same():
    """Batch and categories, or a variable of a table, over explicit mesh axes, and the values over auto ones.

    Some in float64 too. Gradients over auto axes are in the test below.
    """
    assert fresh(SHARDED_MEASURES, devices=4).endswith("same")


@pytest.mark.slow
@pytest.mark.usefixtures("quick_compile")
def test_sharded_arrays_give_the_same_values():
    """Explicit axes over rows, classes and both, auto axes over both, and shard_map with check_vma, on 4 devices."""
    assert fresh(SHARDED, devices=4).endswith("same")


SHARDED_LAYOUTS = """
import jax, jax.numpy as jnp, numpy as np
from jax.sharding import AxisType, PartitionSpec as P, NamedSharding
from jxent import probs, logits, losses
rng = np.random.default_rng(0)
p, q = (jnp.asarray(rng.dirichlet(np.ones(8), size=4), jnp.float32) for _ in range(2))
labels, weights = jnp.asarray([0, 3, 5, 7]), jnp.linspace(0.5, 2.0, 8)
label_loss = losses.softmax_cross_entropy_with_integer_labels
cases = []
for room, a, b in ((probs, p, q), (logits, jnp.log(p), jnp.log(q))):
    names = ("pairwise_kl_divergence", "pairwise_jensen_shannon_divergence", "pairwise_cross_entropy")
    cases += [(getattr(room, n), (a, b)) for n in names]
    t = a.reshape(4, 2, 2, 2)
    names = ("total_correlation", "dual_total_correlation", "o_information", "co_information", "joint_entropy")
    cases += [(lambda t, r=room, n=n: getattr(r, n)(t, variables=(1, 2, 3)), (t,)) for n in names]
    cases += [(room.mutual_information, (t,)), (room.conditional_mutual_information, (t,))]
z = jnp.log(p)
cases += [(logits.fisher_information, (z,)), (logits.fisher_vector_product, (z, q)),
          (lambda z, y, w: label_loss(z, y, class_weights=w), (z, labels, weights)),
          (lambda z, t, w: losses.softmax_cross_entropy(z, t, class_weights=w), (z, q, weights))]
both = [jax.jit(lambda *x, f=f: (f(*x), jax.grad(lambda *x: f(*x).sum())(*x))) for f, _ in cases]
alone = [f(*args) for f, (_, args) in zip(both, cases)]
mesh = jax.make_mesh((2, 2), ("rows", "classes"), axis_types=(AxisType.Explicit, AxisType.Explicit))
with jax.set_mesh(mesh):
    for spec in (("rows", None), (None, "classes"), ("rows", "classes")):
        for (_, args), f, (values, slope) in zip(cases, both, alone):
            place = lambda x: P(*(spec[:2] if x.ndim > 1 else spec[1:2] if x.dtype == jnp.float32 else spec[:1]))
            found, g = f(*(jax.device_put(x, NamedSharding(mesh, place(x))) for x in args))
            np.testing.assert_allclose(found, values, rtol=1e-5, atol=1e-6)
            np.testing.assert_allclose(g, slope, rtol=1e-4, atol=1e-5)
print("same")
"""


@pytest.mark.slow
@pytest.mark.usefixtures("quick_compile")
def test_layouts_that_an_operation_does_not_allow_are_gathered():
    """All pairs, tables whose variables are sharded, class weights and the Fisher matrix, over explicit mesh axes."""
    assert fresh(SHARDED_LAYOUTS, devices=4).endswith("same")


# A function of each kind, of rows so many that the CPU takes them a portion at a time.
PLATFORMS = {
    "probs.kl_divergence": lambda z: probs.kl_divergence(jax.nn.softmax(z), jax.nn.softmax(-z)),
    "logits.entropy": logits.entropy,
    "logits.kl_divergence": lambda z: logits.kl_divergence(z, -z),
    "label loss": lambda z: losses.softmax_cross_entropy_with_integer_labels(z, jnp.zeros(z.shape[0], int)),
}


@pytest.mark.parametrize("name", PLATFORMS)
def test_a_program_for_several_platforms_is_that_of_each(name, rng):
    """Exported for a CPU and a GPU from a CPU: the choice is made where the program runs."""
    function = PLATFORMS[name]
    z = jnp.asarray(rng.normal(size=(4200, 1000)), jnp.float32)
    program = jax.export.export(jax.jit(function), platforms=("cpu", "cuda"))(jax.ShapeDtypeStruct(z.shape, z.dtype))
    assert program.platforms == ("cpu", "cuda")
    whole = function(z)
    np.testing.assert_allclose(program.call(z), whole, rtol=4e-6)
    # In portions as alone.
    np.testing.assert_allclose(whole[-50:], function(z[-50:]), rtol=4e-6)


@pytest.mark.parametrize("name", PLATFORMS)
def test_with_a_default_device_and_without_compilation(name, rng):
    z = jnp.asarray(rng.normal(size=(6, 100)), jnp.float32)
    function = PLATFORMS[name]
    expected, slope = function(z), jax.grad(lambda z: jnp.sum(function(z)))(z)
    with jax.default_device(jax.devices("cpu")[0]):
        np.testing.assert_array_equal(function(z), expected)
    with jax.disable_jit():
        np.testing.assert_allclose(function(z), expected, rtol=4e-6)
        np.testing.assert_allclose(jax.grad(lambda z: jnp.sum(function(z)))(z), slope, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("room", [probs, logits])
@pytest.mark.parametrize("name", ["kl_divergence", "jensen_shannon_divergence", "cross_entropy"])
def test_pairs_of_symbolic_sizes(room, name, rng):
    n, m, k = jax.export.symbolic_shape("n, m, k")
    shapes = [jax.ShapeDtypeStruct((rows, k), jnp.float32) for rows in (n, m)]
    measure = getattr(room, f"pairwise_{name}")
    rows = [jnp.asarray(rng.dirichlet(np.ones(4), size=size), jnp.float32) for size in (3, 2)]
    program = jax.export.export(jax.jit(measure))(*shapes)
    np.testing.assert_allclose(program.call(*rows), measure(*rows), rtol=4e-6)


def test_vmap_over_every_argument_and_axis(rng):
    p, q = (jnp.asarray(rng.dirichlet(np.ones(5), size=(3, 4)), jnp.float32) for _ in range(2))
    expected = probs.kl_divergence(p, q)
    for axes in ((0, 0), (1, 1)):
        found = jax.vmap(probs.kl_divergence, in_axes=axes, out_axes=axes[0])(p, q)
        assert worst(found, expected) <= 4e-6
    one = jax.vmap(probs.kl_divergence, in_axes=(0, None))(p[0], q[0, 0])
    assert worst(one, probs.kl_divergence(p[0], jnp.broadcast_to(q[0, 0], p[0].shape))) <= 4e-6
    weights = jnp.linspace(0.0, 1.0, 4)
    many = jax.vmap(lambda w: probs.jensen_shannon_divergence(p[0, 0], q[0, 0], weight=w))(weights)
    for w, found in zip(weights, many, strict=True):
        assert worst(found, probs.jensen_shannon_divergence(p[0, 0], q[0, 0], weight=float(w))) <= 4e-6


@pytest.mark.slow
def test_scan_checkpoint_and_higher_order(x64):
    """Inside the control flow of JAX, and to third order."""
    z = jnp.asarray([0.3, -0.2, 1.0])

    def energy(z):
        return logits.entropy(z) + losses.softmax_cross_entropy_with_integer_labels(z, 1)

    def walk(z, _):
        return z - 0.1 * jax.grad(jax.checkpoint(energy))(z), energy(z)

    last, path = jax.lax.scan(walk, z, None, length=3)
    assert path.shape == (3,)
    assert np.isfinite(jax.grad(lambda z: jax.lax.scan(walk, z, None, length=3)[0].sum())(last)).all()
    third = jax.jacfwd(jax.jacrev(jax.grad(energy)))(z)

    def plain(z):
        log_p = z - jnp.log(jnp.sum(jnp.exp(z)))
        return -jnp.sum(jnp.exp(log_p) * log_p) - log_p[1]

    np.testing.assert_allclose(third, jax.jacfwd(jax.jacrev(jax.grad(plain)))(z), atol=1e-12)


def test_the_integer_loss_makes_no_temporary_of_the_size_of_the_logits():
    n, k = 512, 4096
    z, labels = jax.ShapeDtypeStruct((n, k), jnp.float32), jax.ShapeDtypeStruct((n,), jnp.int32)
    loss = losses.softmax_cross_entropy_with_integer_labels
    memory = jax.jit(loss).lower(z, labels).compile().memory_analysis()
    assert memory.temp_size_in_bytes < n * k
    gradient = jax.jit(jax.grad(lambda z, t: losses.mean(loss(z, t)))).lower(z, labels).compile().memory_analysis()
    assert gradient.temp_size_in_bytes < n * k
