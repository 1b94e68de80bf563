"""Samples as the estimators take them: rows of points in one floating dtype."""

import functools

import jax.numpy as jnp
from jax import lax
from jax.scipy.special import digamma
from jaxtyping import Array

from jxent._checks import Numbers, as_float, common_float


def points(names: tuple[str, ...], values: tuple[Numbers, ...]) -> tuple[Array, ...]:
    """Samples `[n, d]` of several variables, each of its own d, in one dtype."""
    return common_float(*(_rows(name, as_float(name, value)) for name, value in zip(names, values, strict=True)))


def paired(function: str, names: tuple[str, ...], values: tuple[Numbers, ...]) -> tuple[Array, ...]:
    """As `points`, of variables that were observed together."""
    found = points(names, values)
    same_length(function, names, found)
    return found


def same_length(function: str, names: tuple[str, ...], values: tuple[Array, ...]) -> None:
    """Refuse variables of different numbers of samples."""
    if len({len(v) for v in values}) > 1:
        sizes = ", ".join(f"`{name}` has {len(v)}" for name, v in zip(names, values, strict=True))
        raise ValueError(f"{function}(): {sizes} samples, expected as many of each: row i of all was observed together")


def check_neighbours(function: str, k: int, others: int | None, name: str = "x") -> None:
    """Refuse a k that is no number of neighbours, or larger than the number of other points, where that matters."""
    if isinstance(k, bool) or not isinstance(k, int):
        raise TypeError(f"{function}(): k={k!r} must be an int, the number of neighbours")
    if k < 1:
        raise ValueError(f"{function}(): k={k} must be at least 1, the number of neighbours")
    if others is not None and k > others:
        raise ValueError(
            f"{function}(): k={k} neighbours of `{name}` asked of {max(others, 0)} points; samples are rows: give "
            "more, or a smaller k"
        )


def standardized(x: Array) -> Array:
    """Every column with mean 0 and deviation 1; a constant becomes 0."""
    constant = jnp.all(x == x[:1], axis=0, keepdims=True)
    x = _of_size_one(x)
    x = _of_size_one(x - jnp.mean(x, axis=0, keepdims=True))
    deviation = jnp.sqrt(jnp.mean(jnp.square(x), axis=0, keepdims=True))
    return jnp.where(constant, jnp.zeros_like(x), x / jnp.where(constant, jnp.ones_like(deviation), deviation))


def settled(*arrays: Array) -> tuple[Array, ...]:
    """The same numbers, held in memory, without a derivative.

    A compiler may compute what it is given anew wherever it is used, rounded differently each time: then a point is
    not at distance 0 from itself, and not its own neighbour. It cannot compute through a loop whose end it does not
    know; `lax.optimization_barrier` is gone before it decides.
    """
    arrays = lax.stop_gradient(arrays)
    first = jnp.ravel(arrays[0])[0]
    known = first == first
    one = jnp.where(known, 1, 2)

    def again(state: tuple[Array, tuple[Array, ...]]) -> tuple[Array, tuple[Array, ...]]:
        return jnp.ones_like(state[0]), tuple(a * one.astype(a.dtype) for a in state[1])

    return lax.while_loop(lambda state: ~state[0], again, (~known, arrays))[1]


def psi(count: Array | int, like: Array) -> Array:
    """ψ of numbers of points, in the dtype of the samples."""
    return digamma(jnp.asarray(count).astype(like.dtype))


def known(value: Array, *given: Array) -> Array:
    """NaN with a gradient of NaN, if what it came from is not finite."""
    usable = functools.reduce(jnp.logical_and, (jnp.all(jnp.isfinite(a)) for a in given))
    return value * jnp.where(usable, jnp.ones_like(value), jnp.nan)


def _of_size_one(x: Array) -> Array:
    """Columns over their largest entry, so that no square leaves the range of the dtype."""
    largest = lax.stop_gradient(jnp.max(jnp.abs(x), axis=0, keepdims=True))
    return x / jnp.where(largest > 0, largest, jnp.ones_like(largest))


def _rows(name: str, array: Array) -> Array:
    if array.ndim not in (1, 2):
        raise ValueError(
            f"`{name}` has shape {array.shape}, expected samples [n, d], or [n] for one dimension; a batch of data "
            "sets goes by jax.vmap"
        )
    if 0 in array.shape:
        raise ValueError(f"`{name}` has shape {array.shape}, which holds no samples; expected [n, d] with n, d >= 1")
    return array[:, None] if array.ndim == 1 else array
