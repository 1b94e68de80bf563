"""Counts in the form that the estimators need: cells on the last axis, a floating dtype, their sum and number."""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array

from jxent._checks import Axis, Numbers, as_float, category_axes, participation


class Cells(NamedTuple):
    """Counts of every cell.

    Attributes:
        n: counts `[..., K]`; NaN throughout a row that holds a negative count.
        part: whether a cell belongs to the alphabet, `[..., K]`; None if all do.
        total: N, `[...]`.
        size: number of cells of the alphabet, `[...]`.
    """

    n: Array
    part: Array | None
    total: Array
    size: Array

    def over(self, terms: Array) -> Array:
        """The sum of a term of every cell of the alphabet, `[...]`."""
        if self.part is not None:
            terms = jnp.where(self.part, terms, 0.0)
        return jnp.sum(terms, axis=-1)

    @property
    def share(self) -> Array:
        """n/N, or 0 without observations."""
        total = self.total[..., None]
        return self.n / jnp.where(total == 0, 1.0, total)

    @property
    def safe(self) -> Array:
        """The counts with 0 replaced by 1, for functions that have a pole at 0 and are multiplied by n."""
        return jnp.where(self.n > 0, self.n, 1.0)

    def seen(self) -> Array:
        """Number of cells that were seen, `[...]`."""
        return self.over((self.n > 0).astype(self.n.dtype))

    def seen_times(self, times: int) -> Array:
        """Number of cells that were seen exactly `times` times, `[...]`."""
        return self.over((self.n == times).astype(self.n.dtype))

    def nan_if_fractions(self, value: Array) -> Array:
        """The value of a formula for whole counts, `[...]`: NaN if a count is a fraction."""
        fraction = jnp.any(self.n != jnp.floor(self.n), axis=-1)
        return jnp.where(fraction, jnp.nan, value)


def cells(counts: Numbers, axis: Axis, where: Numbers | None) -> tuple[Cells, tuple[int, ...]]:
    """The cells of counts along an axis, and that axis as sorted non-negative ints."""
    n = as_float("counts", counts)
    axes = category_axes("counts", n, axis)
    part = participation(where, n)
    last = tuple(range(n.ndim - len(axes), n.ndim))
    n, part = (None if a is None else _flat(jnp.moveaxis(a, axes, last), len(axes)) for a in (n, part))
    assert n is not None  # noqa: S101  # for the type checker
    if part is not None:
        n = jnp.where(part, n, 0.0)
        size = jnp.sum(part.astype(n.dtype), axis=-1)
    else:
        size = jnp.full(n.shape[:-1], n.shape[-1], n.dtype)
    # A negative number is not a count: its row becomes NaN.
    n = jnp.where(jnp.any(n < 0, axis=-1, keepdims=True), jnp.nan, n)
    return Cells(n, part, jnp.sum(n, axis=-1), size), axes


def _flat(array: Array, axes: int) -> Array:
    return array if axes == 1 else array.reshape(*array.shape[: array.ndim - axes], -1)


def keep(row: Array, axes: tuple[int, ...], *, keepdims: bool) -> Array:
    """The result, with the reduced axes as axes of size 1 if `keepdims`."""
    return jnp.expand_dims(row, axes) if keepdims else row
