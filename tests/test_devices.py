"""Fits on several devices and in several processes give the parameters of one."""

import socket
import subprocess
import sys

import jax
import numpy as np
import pytest

from jxent import regression
from jxent.regression import _mesh
from tests.processes import environment, written
from tests.test_fit import rows

pytestmark = pytest.mark.usefixtures("quick_compile")
ON_EIGHT = """
import itertools, tempfile, warnings
import jax, numpy as np, optax
from jxent import regression
from jxent.regression import _checkpoint
warnings.simplefilter("ignore", regression.ConvergenceWarning)
rng = np.random.default_rng(0)
x = rng.normal(size=(203, 6)).astype(np.float32)
noisy = x[:, :4] + 1.5 * rng.normal(size=(203, 4))
ids, soft = noisy.argmax(1).astype(np.int32), jax.nn.softmax(noisy).astype(np.float32)
meshes = {
    "rows": jax.make_mesh((8,), ("rows",)),
    "classes": jax.sharding.Mesh(np.asarray(jax.devices()[:4]), ("classes",)),
    "both": jax.make_mesh((4, 2), ("rows", "classes")),
}
def near(found, expected, rtol=1e-6):
    for a, b in zip(found.params, expected.params, strict=True):
        assert a.sharding.is_fully_replicated
        np.testing.assert_allclose(a, b, atol=rtol * float(np.abs(b).max()))
adam = {"optimizer": optax.adam(0.05), "max_steps": 20}
cases = [(ids, {}, ("rows", "classes", "both")), (soft, {"optimizer": "newton"}, ("rows", "both")),
         (ids, adam | {"batch_size": 32, "key": jax.random.key(0)}, ("both",))]
weight = np.linspace(0.0, 1.0, 203).astype(np.float32)
for labels, options, over in cases:
    options = options | {"l2": 0.01, "sample_weight": weight}
    expected = regression.fit(x, labels, **options)
    for name in over:
        near(regression.fit(x, labels, mesh=meshes[name], **options), expected)
with jax.enable_x64(True):
    wide = x.astype(np.float64)
    expected = regression.fit(wide, ids, l2=0.01)
    near(regression.fit(wide, ids, l2=0.01, mesh=meshes["both"]), expected, 1e-9)
# A source whose chunks are spread over the devices, and checkpoints of a fit on them.
with tempfile.TemporaryDirectory() as folder:
    np.save(folder + "/x.npy", x)
    expected = regression.fit(x, ids, l2=0.01)
    near(regression.fit(np.load(folder + "/x.npy", mmap_mode="r"), ids, l2=0.01, mesh=meshes["both"], chunk_size=50),
         expected)
    options = {"l2": 0.01, "mesh": meshes["both"], "checkpoint_every": 4}
    save = _checkpoint.Store.save
    def killed(self, *args):
        save(self, *args)
        raise KeyboardInterrupt
    _checkpoint.Store.save = killed
    try:
        regression.fit(x, ids, checkpoint=folder + "/c", **options)
    except KeyboardInterrupt:
        _checkpoint.Store.save = save
    on, whole = (regression.fit(x, ids, checkpoint=folder + name, **options) for name in ("/c", "/d"))
    assert all(np.array_equal(a, b) for a, b in zip(on.params, whole.params))
    near(whole, expected)
# Arrays that lie on a mesh already, whatever the kind of its axes.
for kind in (jax.sharding.AxisType.Explicit, jax.sharding.AxisType.Auto):
    mesh = jax.make_mesh((7,), ("d",), axis_types=(kind,), devices=jax.devices()[:7])
    sharding = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("d"))
    placed, there = jax.device_put(x, sharding), jax.device_put(ids, sharding)
    found = regression.fit(placed, there, l2=0.01, num_classes=4)
    for a, b in zip(found.params, expected.params, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6 * float(np.abs(b).max()))
    if kind == jax.sharding.AxisType.Explicit:
        path = regression.fit_path(placed, there, [0.01, 0.1], num_classes=4)
        np.testing.assert_allclose(path.params.weights[0], expected.params.weights, atol=3e-5)
try:
    regression.fit(x, ids, mesh=jax.make_mesh((8,), ("classes",)))
except ValueError as error:
    assert "4 classes do not divide among 8 devices" in str(error), error
else:
    raise AssertionError
print("same")
"""

IN_TWO = """
import sys
import jax, numpy as np, optax
number, port, folder = int(sys.argv[1]), sys.argv[2], sys.argv[3]
jax.distributed.initialize(f"127.0.0.1:{port}", num_processes=2, process_id=number)
from jxent import regression
rng = np.random.default_rng(0)
x = rng.normal(size=(101, 6)).astype(np.float32)
y = (x[:, :4] + 1.5 * rng.normal(size=(101, 4))).argmax(1).astype(np.int32)
mine = slice(0, 40) if number == 0 else slice(40, None)
assert jax.device_count() == 4
mesh = jax.make_mesh((4,), ("rows",))
for solver in ("lbfgs", "newton"):
    found = regression.fit(x[mine], y[mine], l2=0.01, optimizer=solver, mesh=mesh)
    np.savez(f"{folder}/{solver}{number}.npz", *map(np.asarray, found.params))
options = {"l2": 0.01, "mesh": mesh, "checkpoint": f"{folder}/kept", "checkpoint_every": 4}
whole = regression.fit(x[mine], y[mine], **options)
again = regression.fit(x[mine], y[mine], **options)
assert all(np.array_equal(a, b) for a, b in zip(whole.params, again.params))
for options in ({"class_weight": "balanced"}, {"optimizer": optax.sgd(0.1), "batch_size": 8, "key": jax.random.key(0)}):
    try:
        regression.fit(x[mine], y[mine], mesh=mesh, **options)
    except ValueError as error:
        assert "several processes" in str(error), error
    else:
        raise AssertionError
"""


@pytest.mark.slow
def test_eight_devices_give_the_parameters_of_one():
    command = [sys.executable, "-c", ON_EIGHT]
    done = subprocess.run(command, capture_output=True, text=True, env=environment(8), timeout=600, check=False)
    assert done.stdout.strip() == "same", done.stderr[-3000:]


@pytest.mark.slow
def test_two_processes_give_the_parameters_of_one(tmp_path):
    """Each holds rows of its own, 40 and 61 of them, on two devices."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    started = [
        subprocess.Popen(
            [sys.executable, "-c", IN_TWO, str(number), port, str(tmp_path)],
            stderr=subprocess.PIPE,
            text=True,
            env=environment(2),
        )
        for number in range(2)
    ]
    errors = [process.communicate(timeout=300)[1] for process in started]
    assert [process.returncode for process in started] == [0, 0], errors
    rng = np.random.default_rng(0)
    x = rng.normal(size=(101, 6)).astype(np.float32)
    y = (x[:, :4] + 1.5 * rng.normal(size=(101, 4))).argmax(1).astype(np.int32)
    for solver in ("lbfgs", "newton"):
        expected = regression.fit(x, y, l2=0.01, optimizer=solver)
        parts = [written(tmp_path / f"{solver}{number}.npz") for number in range(2)]
        for name, b in zip(parts[0], expected.params, strict=True):
            np.testing.assert_array_equal(parts[0][name], parts[1][name])
            np.testing.assert_allclose(parts[0][name], b, atol=1e-6 * float(np.abs(b).max()))


def test_one_device_as_a_mesh():
    x, y = rows()
    expected = regression.fit(x, y, l2=0.01)
    found = regression.fit(x, y, l2=0.01, mesh=jax.make_mesh((1, 1), ("rows", "classes")))
    for a, b in zip(found.params, expected.params, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6 * float(np.abs(b).max()))


def test_a_mesh_that_makes_no_sense_is_refused():
    x, y = rows()
    with pytest.raises(ValueError, match=r"`mesh` has the axes \('data',\), expected 'rows', 'classes' or both"):
        regression.fit(x, y, mesh=jax.make_mesh((1,), ("data",)))
    with pytest.raises(TypeError, match=r"expected a jax\.sharding\.Mesh"):
        _mesh.layout([0, 1])
