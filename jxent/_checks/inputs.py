"""Conversion to arrays: lists, pandas and polars columns and frames, torch tensors, unusual dtypes."""

from collections.abc import Sequence
from typing import Any, Protocol, cast, runtime_checkable

import jax
import numpy as np
from jax.core import Tracer
from jax.typing import ArrayLike


@runtime_checkable
class SupportsArray(Protocol):
    """A value that numpy can convert to an array, such as a column of pandas or polars, or a tensor of torch."""

    def __array__(self, dtype: Any = None, /) -> Any: ...


Numbers = ArrayLike | Sequence[Any] | SupportsArray


def as_operand(function: str, argument: str, value: Any, *, ids: bool = False) -> Any:
    """An array that JAX takes, without wrapping or reinterpreting values; JAX's own arrays and numbers as they are.

    Args:
        function: the name of the function, for messages.
        argument: the name of the argument, for messages.
        value: the caller's value.
        ids: whether it holds class ids; ids beyond 32 bits then stay out of range.
    """
    if value is None or isinstance(value, (jax.Array, Tracer, bool, int, float, np.number, np.bool_)):
        return of_native_type(value) if isinstance(value, np.generic) else value
    subject = f"{function}(): `{argument}` is a {type(value).__name__}"
    if isinstance(value, (str, bytes, dict, set)):
        raise TypeError(f"{subject}, expected an array or numbers")
    refuse_masked(subject, value)
    if isinstance(value, (list, tuple, range)):
        value = _of_sequence(subject, cast("Sequence[Any]", value))
    elif not isinstance(value, np.ndarray):
        if not hasattr(value, "__array__"):
            raise TypeError(f"{subject}, expected an array or numbers")
        try:
            value = np.asarray(value)
        except (TypeError, ValueError, RuntimeError) as error:
            raise TypeError(f"{subject}, which numpy cannot read: {error}") from None
    if isinstance(value, jax.Array):
        return value
    _refuse_words(subject, argument, value)
    return of_native_type(_saturated(value) if ids else value)


def refuse_masked(subject: str, value: Any) -> None:
    masked = isinstance(value, np.ma.MaskedArray)
    inside = isinstance(value, (list, tuple)) and any(
        isinstance(x, np.ma.MaskedArray) for x in jax.tree.leaves(cast("Any", value))
    )
    if masked or inside:
        holds = "" if masked else " that holds masked arrays"
        raise TypeError(
            f"{subject}{holds}: its mask would be lost; pass its .data, and where=~mask for what takes part"
        )


def _of_sequence(subject: str, value: Sequence[Any]) -> Any:
    try:
        if any(isinstance(leaf, jax.Array) for leaf in jax.tree.leaves(value)):
            return jax.numpy.asarray(value)
        return np.asarray(value)
    except ValueError as error:
        raise TypeError(
            f"{subject} that is ragged; every row must have the same length ({str(error).splitlines()[0]})"
        ) from None


def _refuse_words(subject: str, argument: str, array: Any) -> None:
    # Kind "V" holds the extended floats, such as bfloat16.
    if array.dtype.kind in "biufV" and array.dtype.names is None:
        return
    fix = f"convert it with np.asarray({argument}, dtype=float)"
    if array.dtype.kind in "UST":
        fix = f"np.unique({argument}, return_inverse=True)[1] numbers words"
    if array.dtype.kind == "c":
        fix = "take its real part first"
    raise TypeError(f"{subject} of dtype {array.dtype}, expected real numbers; {fix}")


def of_native_type(array: Any) -> Any:
    """The byte order of the machine, no float above 64 bits, and integers as floats where JAX would wrap them."""
    array = np.asarray(array)
    if array.dtype.kind in "iuf" and array.dtype != array.dtype.newbyteorder("="):
        array = array.astype(array.dtype.newbyteorder("="))
    if array.dtype.kind == "f" and array.dtype.itemsize > 8:
        return array.astype(np.float64)
    if array.dtype not in (np.int64, np.uint64) or jax.numpy.result_type(int) == np.int64 or array.size == 0:
        return array
    limits = np.iinfo(np.int32)
    fits = limits.min <= array.min() and array.max() <= limits.max
    return array if fits else array.astype(np.float32)


def _saturated(labels: Any) -> Any:
    """Class ids of 64 bits within 32, where JAX would wrap them: an id that is out of range stays out of range."""
    if labels.dtype not in (np.int64, np.uint64) or jax.numpy.result_type(int) == np.int64:
        return labels
    limits = np.iinfo(np.int32)
    return np.clip(labels, limits.min if labels.dtype == np.int64 else 0, limits.max)


def is_traced(*values: Any) -> bool:
    """Whether any of the values is under a caller's trace, so that its entries cannot be read."""
    return any(isinstance(value, Tracer) for value in values)
