"""Rows of distributions for the closed forms: over the last axis, without masks, units or options.

Everything here is plain jax.numpy, without the kernels and derivative rules of the package.
"""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array

from jxent._checks import participation

Axes = tuple[int, ...]


class Row(NamedTuple):
    """Distributions over the last axis; a masked category has probability 0.

    Attributes:
        p: the probabilities.
        log: their logarithms; that of 0 is taken at the smallest normal number.
        part: which categories take part.
        possible: which of them have a probability above 0, even one too small for the dtype.
    """

    p: Array
    log: Array
    part: Array
    possible: Array

    @property
    def zero(self) -> Array:
        """Where the probability counts as 0."""
        return is_zero(self.p)

    @property
    def lifted(self) -> Array:
        """The probabilities, those that count as 0 raised to the smallest normal number."""
        return lifted(self.p)

    def balanced(self, gradient: Array) -> Array:
        """A gradient in the logits, which sums to 0: the entry of a class with p > ½ is minus the sum of the others."""
        large = self.p > 0.5
        return jnp.where(large, -total(jnp.where(large, 0.0, gradient)), gradient)

    def pull(self, slopes: Array) -> Array:
        """The gradient in the logits, pₖ(sₖ − Σ p·s), for the slopes s in p; 0 for p = 0.

        Slopes are taken relative to that of the largest class. Where this class dominates, the mean is near its slope,
        and their difference would lose its digits.
        """
        relative = slopes - at(top_of(self.p), slopes)
        weighted = jnp.where(self.p == 0, 0.0, self.p * relative)
        return weighted - self.p * total(weighted)


def of_probabilities(p: Array, part: Array) -> Row:
    """The row of probabilities."""
    p = jnp.where(part, p, 0.0)
    return Row(p, jnp.log(lifted(p)), part, part & ~is_zero(p))


def of_logits(z: Array, part: Array) -> Row:
    """The row of the softmax, with S = Σ exp(zₖ − z_top) over all classes but the largest: p_top = 1/(1 + S).

    The largest class is kept apart, so that 1 − p_top = S/(1 + S) keeps its digits, in derivatives of p too.
    """
    hidden = ~part | (z == -jnp.inf)
    top = top_of(jnp.where(hidden, -jnp.inf, z))
    level = at(top, jnp.where(hidden, 0.0, z))
    distance = jnp.where(hidden | top, 0.0, z - level)
    log_total = jnp.log1p(total(jnp.where(hidden | top, 0.0, jnp.exp(distance))))
    impossible = jnp.log(jnp.asarray(jnp.finfo(z.dtype).tiny, z.dtype))
    log_p = jnp.where(hidden, impossible, distance - log_total)
    return Row(jnp.where(hidden, 0.0, jnp.exp(log_p)), log_p, part, ~hidden)


def total(x: Array) -> Array:
    """Σ x over the categories, the axis kept."""
    return jnp.sum(x, axis=-1, keepdims=True)


def top_of(x: Array) -> Array:
    """The mask of the first of the largest entries of a row."""
    place = jnp.argmax(x, axis=-1, keepdims=True)
    return jax.lax.broadcasted_iota(place.dtype, x.shape, x.ndim - 1) == place


def at(place: Array, x: Array) -> Array:
    """The entry of a row at the one place of the mask."""
    return total(jnp.where(place, x, 0.0))


def is_zero(p: Array) -> Array:
    """Where a probability counts as 0: below the smallest normal number."""
    return p < jnp.finfo(p.dtype).tiny


def lifted(p: Array) -> Array:
    """p, raised to the smallest normal number, where a slope that diverges at 0 is taken."""
    return jnp.where(is_zero(p), jnp.finfo(p.dtype).tiny, p)


def difference(p: Array, q: Array) -> Array:
    """The difference p − q for rows of the same sum; in a class with more than half of both, the other classes of q
    less those of p.

    There 1 − p and 1 − q have lost digits that the other classes keep.
    """
    half = 0.5 * total(q)
    both = (p > half) & (q > half)
    plain = p - q
    return jnp.where(both, -total(jnp.where(both, 0.0, plain)), plain)


def half_over_root(value: Array) -> Array:
    """d√v/dv = ½/√v, and 0 at v = 0."""
    return jnp.where(value > 0, 0.5 / jnp.sqrt(jnp.where(value > 0, value, 1.0)), 0.0)


def folded(gradient: Array, shape: tuple[int, ...]) -> Array:
    """The sum over the axes along which an argument was broadcast: it gathers the gradients of all rows."""
    if gradient.ndim > len(shape):
        return jnp.sum(gradient)
    axes = tuple(i for i, (m, n) in enumerate(zip(gradient.shape, shape, strict=True)) if m != n)
    return jnp.sum(gradient, axis=axes, keepdims=True) if axes else gradient


class Batch(NamedTuple):
    """The mask of operands of one shape, and the groups of axes that form their rows.

    Attributes:
        mask: which elements take part.
        groups: axes of the categories, by variable.
    """

    mask: Array
    groups: Sequence[Axes]

    @classmethod
    def of(cls, operand: Array, where: Any, groups: Sequence[Axes]) -> "Batch":
        """The batch of an operand; without `where` all elements take part."""
        mask = participation(where, operand)
        return cls(jnp.ones(operand.shape, bool) if mask is None else mask, groups)

    @property
    def part(self) -> Array:
        """The mask of the rows."""
        return self.rows(self.mask)

    def rows(self, array: Array) -> Array:
        """The array with the categories of all groups last, as one axis."""
        order, batch = self._order(array.ndim)
        return array.transpose(order).reshape(*(array.shape[a] for a in batch), -1)

    def sizes(self) -> tuple[int, ...]:
        """The shape with one axis for each group, last."""
        shape, (_, batch) = self.mask.shape, self._order(self.mask.ndim)
        return (*(shape[a] for a in batch), *(math.prod(shape[a] for a in group) for group in self.groups))

    def gradient(self, rows: Array) -> Array:
        """The inverse of `rows`, 0 where masked."""
        order, _ = self._order(self.mask.ndim)
        inverse = sorted(range(len(order)), key=order.__getitem__)
        array = rows.reshape(tuple(self.mask.shape[a] for a in order)).transpose(inverse)
        return jnp.where(self.mask, array, 0.0)

    def _order(self, rank: int) -> tuple[Axes, Axes]:
        last = tuple(a for group in self.groups for a in group)
        batch = tuple(a for a in range(rank) if a not in last)
        return batch + last, batch
