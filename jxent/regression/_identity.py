"""What makes two fits the same problem, as a table of short texts that a checkpoint keeps and compares."""

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
from jxent.regression._programs import Given

# Addresses of functions, as they are printed in a jaxpr, change from process to process.
_ADDRESS = re.compile(r"\b0x[0-9a-fA-F]+\b")


def digest(arrays: Iterable[Any]) -> str:
    """SHA-256 of the dtype, shape and bytes of arrays."""
    found = hashlib.sha256()
    for array in arrays:
        add(found, array)
    return found.hexdigest()


def add(found: Any, array: Any) -> None:
    """Add the dtype, shape and bytes of an array to a hash."""
    if jnp.issubdtype(array.dtype, jax.dtypes.prng_key):
        array = jax.random.key_data(array)
    plain = np.asarray(array)
    found.update(f"{plain.dtype.str} {plain.shape} ".encode())
    add_bytes(found, plain)


def add_bytes(found: Any, array: Any) -> None:
    """Add the bytes of an array to a hash, without a copy where they lie in order."""
    found.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)


def problem(given: Given, optimizer: str | optax.GradientTransformation, batch_size: int | None, data: str) -> Any:
    """The table: what it is that a fit minimises, and how; `data` is the digest of features, labels and weights."""
    d, k = given.start.weights.shape
    return {
        "data": data[:16],
        "features": str(d),
        "classes": str(k),
        "dtype": given.start.weights.dtype.name,
        "l2": repr(float(given.l2)),
        "optimizer": optimizer if isinstance(optimizer, str) else _of_optimizer(optimizer, given.start),
        "batch size": "all rows" if batch_size is None else str(batch_size),
        "key": "none" if batch_size is None else digest([jax.random.key_data(given.key)])[:16],
        "start": digest(given.start)[:16],
    }


def _of_optimizer(optimizer: optax.GradientTransformation, start: Params) -> str:
    """Its state and a digest of its update: adam(1e-3) and adam(1e-2) differ in the latter."""
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
