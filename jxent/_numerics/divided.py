"""Divided differences of the exponential: ratios such as expm1(x)/x as smooth functions, to any order.

exp[x₀, …, xₙ] is the leading coefficient of the polynomial through exp at the nodes. It is a smooth function
of the nodes, also where they coincide: exp[0, x] = expm1(x)/x, exp[0, 0, x] = (expm1(x) − x)/x². Its
derivative in a node is the divided difference with that node repeated, so one rule gives every order. (C. de
Boor, Divided differences, Surveys in Approximation Theory 1 (2005).)
"""

import itertools
import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array

# Up to this distance between the outermost nodes the power series is used: all its terms are positive.
SERIES_SPREAD = 2.0


@jax.custom_jvp
def exp_divided(shift: Array, nodes: tuple[Array, ...]) -> Array:
    """exp[nodes]·exp(−shift), without overflow for a shift near the largest node."""
    if len(nodes) == 2:
        return _first(shift, *nodes)
    # Sorted by exchanges of two, which are cheap elementwise operations; `jnp.sort` is not.
    ordered = list(nodes)
    for end in range(len(ordered) - 1, 0, -1):
        for i in range(end):
            low, high = jnp.minimum(ordered[i], ordered[i + 1]), jnp.maximum(ordered[i], ordered[i + 1])
            ordered[i], ordered[i + 1] = low, high
    return _of_sorted(shift, ordered)


@exp_divided.defjvp
def _exp_divided_jvp(primals: Sequence[Any], tangents: Sequence[Any]) -> tuple[Array, Array]:
    (shift, nodes), (move, moves) = primals, tangents
    value = exp_divided(shift, nodes)
    tangent = -value * move
    for node, m in zip(nodes, moves, strict=True):
        tangent = tangent + exp_divided(shift, (*nodes, node)) * m
    return value, tangent


def _first(shift: Array, x: Array, y: Array) -> Array:
    """(exp y − exp x)/(y − x), from the larger of the two."""
    gap = jnp.abs(y - x)
    return jnp.exp(jnp.maximum(x, y) - shift) * decay_ratio(gap)


def decay_ratio(gap: Array) -> Array:
    """(1 − exp(−gap))/gap for gap ≥ 0; 1 at 0."""
    apart = gap > 0
    divisor = jnp.where(apart, gap, 1.0)
    return jnp.where(apart, -jnp.expm1(-divisor) / divisor, 1.0)


def _of_sorted(shift: Array, nodes: list[Array]) -> Array:
    """Newton's table of differences, in which every entry with a small spread is taken from the series."""
    column = [_first(shift, x, y) for x, y in itertools.pairwise(nodes)]
    for order in range(2, len(nodes)):
        entries: list[Array] = []
        for i in range(len(nodes) - order):
            among = nodes[i : i + order + 1]
            spread = among[-1] - among[0]
            near = spread < SERIES_SPREAD
            gaps = [jnp.where(near, node - among[0], 0.0) for node in among[1:]]
            by_series = jnp.exp(among[0] - shift) * positive_series(gaps)
            by_difference = (column[i + 1] - column[i]) / jnp.where(near, 1.0, spread)
            entries.append(jnp.where(near, by_series, by_difference))
        column = entries
    return column[0]


def positive_series(gaps: list[Array]) -> Array:
    """exp[0, gaps] for gaps in [0, SERIES_SPREAD]: Σⱼ hⱼ(gaps)/(j + n)!, h the complete homogeneous polynomials."""
    n = len(gaps)
    terms = 14 + n if gaps[0].dtype == jnp.float32 else 26 + n
    powers = [jnp.ones_like(gaps[0])] * n
    total = jnp.full_like(gaps[0], 1.0 / math.factorial(n))
    for j in range(1, terms):
        before = jnp.zeros_like(gaps[0])
        for k, gap in enumerate(gaps):
            powers[k] = before + gap * powers[k]
            before = powers[k]
        total = total + powers[-1] * (1.0 / math.factorial(j + n))
    return total
