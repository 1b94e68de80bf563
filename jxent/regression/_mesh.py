"""The sharding of rows and classes over several devices; XLA's partitioner adds the communication.

Rows are split over the mesh axis "rows", classes over "classes". Rows are padded with rows of weight 0 to a multiple of
the devices, which changes no sum. The solvers run unchanged on the sharded arrays.
"""

import hashlib
from contextlib import AbstractContextManager, nullcontext
from typing import Any, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jax.experimental import multihost_utils
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from jxent.regression._model import Params
from jxent.regression.solvers import Data

T = TypeVar("T")

ROWS, CLASSES = "rows", "classes"


class Layout(NamedTuple):
    """A mesh whose axes are "rows", "classes" or both."""

    mesh: Mesh

    def size(self, axis: str) -> int:
        """The number of devices along an axis; 1 for an axis that the mesh lacks."""
        return dict(self.mesh.shape).get(axis, 1)

    def sharding(self, *axes: str | None) -> NamedSharding:
        """The sharding of an array by mesh axis; an axis that the mesh lacks is replicated."""
        return NamedSharding(self.mesh, PartitionSpec(*(a if a in self.mesh.axis_names else None for a in axes)))

    def placed(self, data: Data) -> Data:
        """The rows of this process, padded to a multiple of its shards and split over the devices."""
        rows, share = data.x.shape[0], self._shards_here()
        if jax.process_count() > 1:
            rows = int(np.max(multihost_utils.process_allgather(np.asarray(rows))))
        missing = -(-rows // share) * share - data.x.shape[0]
        over = (CLASSES,) if data.targets.ndim == 2 else ()
        specs = ((ROWS, None), (ROWS, *over), (ROWS,))
        return Data(
            *(self._placed(_filled(a, missing), self.sharding(*spec)) for a, spec in zip(data, specs, strict=True))
        )

    def start(self, params: Params) -> Params:
        """Parameters, split over the devices by class."""
        count, devices = params.bias.shape[0], self.size(CLASSES)
        if count % devices:
            raise ValueError(
                f"fit(): {count} classes do not divide among {devices} devices of the mesh axis {CLASSES!r}: give a "
                f"mesh on which they do, or split the rows alone"
            )
        weights, bias = self.sharding(None, CLASSES), self.sharding(CLASSES)
        return Params(_placed_globally(params.weights, weights), _placed_globally(params.bias, bias))

    def replicated(self, tree: T) -> T:
        """Every array, replicated on all devices."""
        return jax.jit(lambda tree: tree, out_shardings=self.sharding())(tree)

    def _shards_here(self) -> int:
        """The number of row shards on the devices of this process."""
        parts = self.sharding(ROWS).addressable_devices_indices_map((self.size(ROWS),))
        return len({str(index) for index in parts.values()})

    def _placed(self, array: Any, sharding: NamedSharding) -> jax.Array:
        if jax.process_count() == 1:
            return jax.device_put(array, sharding)
        return jax.make_array_from_process_local_data(sharding, np.asarray(array))


def layout(mesh: Any) -> Layout:
    """The layout of a mesh; an error for other axes than "rows" and "classes"."""
    if not isinstance(mesh, Mesh):
        raise TypeError(f"fit(): `mesh` is a {type(mesh).__name__}, expected a jax.sharding.Mesh, as of jax.make_mesh")
    strange = [name for name in mesh.axis_names if name not in (ROWS, CLASSES)]
    if strange or not mesh.axis_names:
        raise ValueError(
            f"fit(): `mesh` has the axes {mesh.axis_names}, expected {ROWS!r}, {CLASSES!r} or both, as in "
            f"jax.make_mesh((4,), ({ROWS!r},))"
        )
    # Automatic axes: XLA derives the communication.
    return Layout(_automatic(mesh))


def automatic(value: T) -> T:
    """An array with explicit mesh axes, moved to automatic ones; any other value unchanged."""
    if not isinstance(value, jax.Array) or isinstance(value, Tracer) or not isinstance(value.sharding, NamedSharding):
        return value
    mesh = value.sharding.mesh
    if not isinstance(mesh, Mesh) or AxisType.Explicit not in mesh.axis_types:
        return value
    return jax.device_put(value, NamedSharding(_automatic(mesh), value.sharding.spec))


def _automatic(mesh: Mesh) -> Mesh:
    return Mesh(mesh.devices, mesh.axis_names, axis_types=(AxisType.Auto,) * len(mesh.axis_names))


def on_host(used: Layout | None) -> AbstractContextManager[Any]:
    """A context on the CPU for checks of data before they are sharded, which may not fit on the first device."""
    if used is None or all(device.platform == "cpu" for device in used.mesh.devices.flat):
        return nullcontext()
    return jax.default_device(jax.local_devices(backend="cpu")[0])


def agreed(local: int) -> int:
    """The number of classes over all processes, from the number that this process has seen."""
    if jax.process_count() == 1:
        return local
    return int(np.max(multihost_utils.process_allgather(np.asarray(local))))


def agreed_digest(local: str) -> str:
    """A digest of the digests of all processes, in the order of the processes."""
    if jax.process_count() == 1:
        return local
    everyone = multihost_utils.process_allgather(np.frombuffer(bytes.fromhex(local), np.uint8))
    return hashlib.sha256(np.asarray(everyone).tobytes()).hexdigest()


def _filled(array: Any, missing: int) -> Any:
    """The array with `missing` rows of zeros appended: of class 0 and weight 0."""
    if not missing:
        return array
    zeros = np.zeros((missing, *array.shape[1:]), array.dtype)
    return jnp.concatenate([jnp.asarray(array), jnp.asarray(zeros)])


def _placed_globally(array: Any, sharding: NamedSharding) -> jax.Array:
    """Shard an array of which every process holds all values."""
    if jax.process_count() == 1:
        return jax.device_put(array, sharding)
    values = np.asarray(array)
    return jax.make_array_from_callback(values.shape, sharding, lambda index: values[index])
