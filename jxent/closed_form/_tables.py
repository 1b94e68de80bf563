"""Slopes of the measures of a joint table, as plain sums of logarithms of its margins.

Each is a function of the table, of its variables as tuples of axes, and of all named axes.
"""

import itertools
from collections.abc import Callable, Mapping
from typing import NamedTuple

import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array

from jxent._checks import (
    Axis,
    Variables,
    as_float,
    listed_variables,
    log_base_factor,
    participation,
    table_variables,
)
from jxent.closed_form import _shared

Axes = tuple[int, ...]


class Table(NamedTuple):
    """Joint probabilities, their variables, and whether their exact sum is 1."""

    p: Array
    variables: tuple[Axes, ...]
    normalized: bool

    @property
    def every(self) -> Axes:
        """All named axes."""
        return tuple(sorted(a for v in self.variables for a in v))

    def margin(self, *keep: int) -> Array:
        """The sum over all variables but those of these numbers."""
        kept = [a for i in keep for a in self.variables[i]]
        others = tuple(a for a in self.every if a not in kept)
        return jnp.sum(self.p, axis=others, keepdims=True) if others else self.p

    def log(self, *keep: int) -> Array:
        """The logarithm of a margin, 0 taken at the smallest normal number."""
        margin = self.margin(*keep)
        plain = jnp.log(_shared.lifted(margin))
        if not self.normalized:
            return plain
        # The largest is 1 less the others, which have the digits that it has lost.
        top = margin == jnp.max(margin, axis=self.every, keepdims=True)
        others = jnp.sum(jnp.where(top, 0.0, margin), axis=self.every, keepdims=True)
        return jnp.where(margin > 0.5, jnp.log1p(-others), plain)

    def entropy(self, *keep: int) -> Array:
        """−Σ P·log P of a margin, the named axes kept with size 1."""
        margin = self.margin(*keep)
        return -jnp.sum(margin * self.log(*keep), axis=self.every, keepdims=True)

    def excess(self) -> Array:
        """The mass less 1."""
        return jnp.sum(self.p, axis=self.every, keepdims=True) - 1.0


Slope = Callable[[Table], Array]


def joint_entropy(t: Table) -> Array:
    """−(log P + 1)."""
    return -(jnp.log(_shared.lifted(t.p)) + 1.0)


def conditional_entropy(t: Table) -> Array:
    """log(P(given)/P), with `given` first."""
    return t.log(0) - t.log(0, 1)


def mutual_information(t: Table) -> Array:
    """log(P/(Pₓ·Pᵧ)) + 2(ΣP − 1)."""
    return t.log(0, 1) - t.log(0) - t.log(1) + 2.0 * t.excess()


def variation_of_information(t: Table) -> Array:
    """log(Pₓ/P) + log(Pᵧ/P)."""
    return t.log(0) + t.log(1) - 2.0 * t.log(0, 1)


def conditional_mutual_information(t: Table) -> Array:
    """log(P·P_z/(P_xz·P_yz)), with Z first; that of X and Y alone where Z has one value."""
    return t.log(0, 1, 2) + t.log(0) - t.log(0, 1) - t.log(0, 2) + _of_constant(t, 0)


def _of_constant(t: Table, variable: int) -> Array:
    alone = all(t.p.shape[a] == 1 for a in t.variables[variable])
    # Given a constant, what is evaluated is the divergence from a product of two margins.
    return 2.0 * t.excess() - jnp.log(_shared.lifted(t.excess() + 1.0)) if alone else jnp.zeros_like(t.excess())


def total_correlation(t: Table) -> Array:
    """log(P/∏ Pᵢ) + n((ΣP)ⁿ⁻¹ − 1)."""
    n = len(t.variables)
    if n == 1:
        return jnp.zeros_like(t.p)
    mass = n * ((t.excess() + 1.0) ** (n - 1) - 1.0)
    return t.log(*range(n)) - sum(t.log(i) for i in range(n)) + mass


def dual_total_correlation(t: Table) -> Array:
    """(n − 1)·log P − Σ log P₋ᵢ + 2(ΣP − 1)."""
    n = len(t.variables)
    if n == 1:
        return jnp.zeros_like(t.p)
    others = sum(t.log(*(j for j in range(n) if j != i)) for i in range(n))
    return (n - 1) * t.log(*range(n)) - others + 2.0 * t.excess()


def o_information(t: Table) -> Array:
    """That of the total less that of the dual total correlation."""
    return total_correlation(t) - dual_total_correlation(t)


def co_information(t: Table) -> Array:
    """Σ (−1)^|T|·log P_T over the subsets T but the empty one, + 2(ΣP − 1)."""
    n = len(t.variables)
    if n == 1:
        return joint_entropy(t)
    subsets = [s for size in range(1, n + 1) for s in itertools.combinations(range(n), size)]
    return sum((-1) ** len(s) * t.log(*s) for s in subsets) + 2.0 * t.excess()


def interaction_information(t: Table) -> Array:
    """(−1)ⁿ times that of the co-information."""
    return (-1) ** len(t.variables) * co_information(t)


def normalized_mutual_information(normalizer: str, t: Table) -> Array:
    """(∇I − NMI·∇N)/N; 0 where N is."""
    of_x, of_y, of_both = t.entropy(0), t.entropy(1), t.entropy(0, 1)
    slope_x, slope_y, slope_both = (-(x + 1.0) for x in (t.log(0), t.log(1), t.log(0, 1)))
    if t.normalized:
        slope_x, slope_y, slope_both = slope_x + 1.0, slope_y + 1.0, slope_both + 1.0
    root = jnp.sqrt(of_x * of_y)
    some_x, some_y = (jnp.where(h == 0, 1.0, h) for h in (of_x, of_y))
    scale, slope = {
        "arithmetic": (0.5 * (of_x + of_y), 0.5 * (slope_x + slope_y)),
        "geometric": (root, 0.5 * root * (slope_x / some_x + slope_y / some_y)),
        "min": (jnp.minimum(of_x, of_y), _chosen(of_x, of_y, slope_x, slope_y)),
        "max": (jnp.maximum(of_x, of_y), _chosen(of_y, of_x, slope_x, slope_y)),
        "joint": (of_both, slope_both),
    }[normalizer]
    p, product = t.p, t.margin(0) * t.margin(1)
    term = jnp.where(_shared.is_zero(p), 0.0, p * (t.log(0, 1) - t.log(0) - t.log(1))) - p + product
    information = jnp.sum(term, axis=t.every, keepdims=True)
    some = jnp.where(scale == 0, 1.0, scale)
    return jnp.where(scale == 0, 0.0, (mutual_information(t) - information / some * slope) / some)


def _chosen(low: Array, high: Array, first: Array, second: Array) -> Array:
    """The slope of the smaller; the mean of both where they are equal."""
    return jnp.where(low < high, first, jnp.where(low > high, second, 0.5 * (first + second)))


def gradient(
    slope: Slope,
    name: str,
    table: ArrayLike,
    variables: Mapping[str, Axis] | Variables | None,
    *,
    where: ArrayLike | None,
    base: float | None,
) -> Array:
    """The slope in probabilities, or what it becomes through the softmax of all named axes."""
    array = as_float(name, table)
    if isinstance(variables, Mapping):
        groups = table_variables(name, array, **variables)
    else:
        groups = listed_variables(name, array, variables)
    mask = participation(where, array)
    some = jnp.ones(array.shape, bool) if mask is None else mask
    if name == "p":
        p = jnp.where(some, array, 0.0)
        return jnp.where(some, slope(Table(p, groups, normalized=False)), 0.0) * log_base_factor(base)
    every = tuple(sorted(a for g in groups for a in g))
    part = jnp.any(some, axis=every, keepdims=True)
    p, _ = _shared.softmax(jnp.where(part, array, 0.0), every, some | ~part)
    through = _shared.through_softmax(p, slope(Table(p, groups, normalized=True)), every)
    return jnp.where(some, through, 0.0) * log_base_factor(base)
