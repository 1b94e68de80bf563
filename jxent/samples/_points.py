"""Samples in the form that the estimators need: rows of points in one floating dtype."""

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
    """As `points`, for variables that were observed together."""
    samples = points(names, values)
    same_length(function, names, samples)
    return samples


def same_length(function: str, names: tuple[str, ...], values: tuple[Array, ...]) -> None:
    """Refuse variables of different numbers of samples."""
    if len({len(v) for v in values}) > 1:
        sizes = ", ".join(f"`{name}` has {len(v)}" for name, v in zip(names, values, strict=True))
        raise ValueError(f"{function}(): {sizes} samples, expected as many of each: row i of all was observed together")


def check_neighbours(function: str, k: int, others: int | None, name: str = "x") -> None:
    """Refuse a k that is not a positive int, or larger than the number of other points unless that is None."""
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
    """Every column with mean 0 and deviation 1; a constant column becomes 0."""
    constant = jnp.all(x == x[:1], axis=0, keepdims=True)
    x = _of_size_one(x)
    x = _of_size_one(x - jnp.mean(x, axis=0, keepdims=True))
    deviation = jnp.sqrt(jnp.mean(jnp.square(x), axis=0, keepdims=True))
    return jnp.where(constant, jnp.zeros_like(x), x / jnp.where(constant, jnp.ones_like(deviation), deviation))


def settled(*arrays: Array) -> tuple[Array, ...]:
    """The same numbers, held in memory, without a derivative.

    XLA may compute an array anew at every use, rounded differently each time: then a point is not at distance 0 from
    itself, and not its own neighbour. XLA does not recompute a loop of unknown length. It removes
    `lax.optimization_barrier` before it decides what to recompute. Delete when it keeps the barrier until then.
    """
    arrays = lax.stop_gradient(arrays)
    first = jnp.ravel(arrays[0])[0]
    # True unless it is NaN, which XLA cannot know when it compiles.
    is_number = first == first
    one = jnp.where(is_number, 1, 2)

    def again(state: tuple[Array, tuple[Array, ...]]) -> tuple[Array, tuple[Array, ...]]:
        return jnp.ones_like(state[0]), tuple(a * one.astype(a.dtype) for a in state[1])

    return lax.while_loop(lambda state: ~state[0], again, (~is_number, arrays))[1]


def psi(count: Array | int, like: Array) -> Array:
    """ψ of numbers of points, in the dtype of the samples."""
    return digamma(jnp.asarray(count).astype(like.dtype))


def finite_or_nan(value: Array, *samples: Array) -> Array:
    """The value; NaN, with a gradient of NaN, if a sample is not finite."""
    usable = functools.reduce(jnp.logical_and, (jnp.all(jnp.isfinite(a)) for a in samples))
    return value * jnp.where(usable, jnp.ones_like(value), jnp.nan)


def _of_size_one(x: Array) -> Array:
    """Columns divided by their largest absolute entry, so that no square leaves the range of the dtype."""
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
