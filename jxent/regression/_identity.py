"""The identity of a fit: a table of short texts, saved with a checkpoint and compared before the fit resumes."""

import hashlib
import re
from collections.abc import Iterable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jxent.regression._loop import permissive
from jxent.regression._model import Params
from jxent.regression._programs import SolverInputs

# A jaxpr prints addresses of functions, which differ between processes.
_ADDRESS = re.compile(r"\b0x[0-9a-fA-F]+\b")


def digest(arrays: Iterable[Any]) -> str:
    """SHA-256 of the dtype, shape and bytes of arrays."""
    sha = hashlib.sha256()
    for array in arrays:
        add(sha, array)
    return sha.hexdigest()


def add(sha: Any, array: Any) -> None:
    """Add the dtype, shape and bytes of an array to a hash."""
    if jnp.issubdtype(array.dtype, jax.dtypes.prng_key):
        array = jax.random.key_data(array)
    plain = np.asarray(array)
    sha.update(f"{plain.dtype.str} {plain.shape} ".encode())
    add_bytes(sha, plain)


def add_bytes(sha: Any, array: Any) -> None:
    """Add the bytes of an array to a hash, without a copy if the array is contiguous."""
    sha.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)


def problem(
    inputs: SolverInputs, optimizer: str | optax.GradientTransformation, batch_size: int | None, data: str
) -> Any:
    """The table of objective, start and optimizer; `data` is the digest of features, labels and weights."""
    d, k = inputs.start.weights.shape
    return {
        "data": data[:16],
        "features": str(d),
        "classes": str(k),
        "dtype": inputs.start.weights.dtype.name,
        "l2": repr(float(inputs.l2)),
        "optimizer": optimizer if isinstance(optimizer, str) else _of_optimizer(optimizer, inputs.start),
        "batch size": "all rows" if batch_size is None else str(batch_size),
        "key": "none" if batch_size is None else digest([jax.random.key_data(inputs.key)])[:16],
        "start": digest(inputs.start)[:16],
    }


def _of_optimizer(optimizer: optax.GradientTransformation, start: Params) -> str:
    """The state types and a digest of the update; adam(1e-3) and adam(1e-2) differ in the digest."""
    extended = permissive(optimizer)

    def square(params: Params) -> Any:
        return jnp.sum(jnp.square(params.weights)) + jnp.sum(jnp.square(params.bias))

    def update(params: Params) -> Any:
        value, grad = jax.value_and_grad(square)(params)
        state = extended.init(params)
        return extended.update(grad, state, params, value=value, grad=grad, value_fn=square)

    closed = jax.make_jaxpr(update)(start)
    text = _ADDRESS.sub("", str(closed.jaxpr)) + digest(closed.consts)
    structure = jax.tree.structure(jax.eval_shape(extended.init, start))
    names = re.findall(r"(\w+State)\(", _ADDRESS.sub("", str(structure)))
    return f"{'+'.join(names) or 'stateless'} {hashlib.sha256(text.encode()).hexdigest()[:16]}"
