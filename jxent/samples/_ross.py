"""Mutual information of continuous samples and labels."""

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Int

from jxent.samples._blocks import at_once, distances, in_blocks
from jxent.samples._points import psi
from jxent.samples._ranges import below, within
from jxent.samples._select import kth_smallest


def ross(x: Float[Array, "n d"], labels: Int[Array, " n"], k: int) -> Float[Array, ""]:
    """ψ(N) + mean(ψ(k) − ψ(N_label) − ψ(m)), of the points whose label occurs twice or more.

    m counts the points of any label, the point itself included, strictly within the distance to the k-th neighbour of
    the same label. A label of k points or fewer uses its farthest point instead.
    """
    line = jnp.sort(labels)
    occurs = jnp.searchsorted(line, labels, side="right") - jnp.searchsorted(line, labels, side="left")
    part = occurs > 1
    radius = _radius(x, labels, jnp.minimum(k, occurs - 1).astype(jnp.int32), k)
    # Points that are left out move to infinity, out of reach of all others.
    placed = jnp.where(part[:, None], x, jnp.inf)
    near = within(placed, below(jnp.where(part, radius, 0.0)))
    total = jnp.sum(part, dtype=jnp.int32).astype(x.dtype)
    k_here = jnp.where(part, jnp.minimum(k, occurs - 1), 1)
    terms = psi(k_here, x) - psi(occurs, x) - psi(jnp.maximum(near, 1), x)
    value = jnp.sum(jnp.where(part, terms + psi(jnp.maximum(total, 1), x), 0.0)) / total
    return jnp.where(jnp.all((radius > 0) & (radius < jnp.inf) | ~part), value, jnp.nan)


def _radius(x: Array, labels: Array, wanted: Array, k: int) -> Array:
    """The distance to the neighbour of number `wanted` among the points of the same label."""
    if x.shape[1] == 1:
        return _radius_on_a_line(x[:, 0], labels, wanted, k)

    def scan(q: Array, own: Array, number: Array) -> Array:
        d = distances(q, x.T[:, :, None])
        # The point itself is the first.
        return _wanted(d, labels[:, None] == own[0][None], number[0], k, k + 1)

    return in_blocks(scan, (x.T, labels[None], wanted[None]), at_once(len(x)))


def _radius_on_a_line(x: Array, labels: Array, wanted: Array, k: int) -> Array:
    """In one dimension: in the sorted points of a label, the k on each side contain the neighbours."""
    n = len(x)
    groups, line, row = lax.sort((labels, x, jnp.arange(n, dtype=jnp.int32)), num_keys=2)
    sides = jnp.asarray([j for j in range(-k, k + 1) if j], jnp.int32)
    at = jnp.arange(n, dtype=jnp.int32)[None] + sides[:, None]
    there = jnp.clip(at, 0, n - 1)
    alike = (at == there) & (groups[there] == groups[None])
    distance = _wanted(jnp.abs(line[there] - line[None]), alike, wanted[row], k, k)
    return jnp.zeros_like(x).at[row].set(distance, unique_indices=True)


def _wanted(d: Array, alike: Array, wanted: Array, k: int, place: int) -> Array:
    """The distance of rank `place` to points of the same label; the largest distance if `wanted` is below k."""
    farthest = jnp.max(jnp.where(alike, d, 0.0), axis=0)
    return jnp.where(wanted < k, farthest, kth_smallest(jnp.where(alike, d, jnp.inf), place))
