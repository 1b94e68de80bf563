"""Estimators that choose a distance in the joint space and count points within it in the margins."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from jxent.samples._blocks import distances
from jxent.samples._neighbours import search
from jxent.samples._points import psi
from jxent.samples._ranges import below, equal_rows, within
from jxent.samples._select import kth_smallest


def ksg1(x: Float[Array, "n d"], y: Float[Array, "n e"], k: int) -> Float[Array, ""]:
    """ψ(k) + ψ(n) − mean(ψ(nx + 1) + ψ(ny + 1)); nx, ny count points strictly nearer than the k-th neighbour."""
    radius = _radius(jnp.concatenate([x, y], axis=1), k)
    near = below(radius)
    terms = psi(within(x, near), x) + psi(within(y, near), x)
    return _apart(psi(k, x) - jnp.mean(terms - psi(len(x), x)), radius)


def ksg2(x: Float[Array, "n d"], y: Float[Array, "n e"], k: int) -> Float[Array, ""]:
    """ψ(k) − 1/k + ψ(n) − mean(ψ(nx) + ψ(ny)); nx, ny count points within the rectangle of the k neighbours."""
    d = x.shape[1]

    def scan(q: Array, c: Array, index: Array) -> tuple[Array, ...]:
        del index
        parts = [distances(q[:d], c[:d]), distances(q[d:], c[d:])]
        joint = jnp.maximum(*parts)
        radius = kth_smallest(joint, k + 1)
        # All points at the distance of the k-th neighbour count as neighbours.
        sides = (jnp.max(jnp.where(joint <= radius[None], part, -jnp.inf), axis=0) for part in parts)
        return radius, *sides

    radius, *sides = search(None, jnp.concatenate([x, y], axis=1), k + 1, scan)
    terms = sum((psi(within(v, side) - 1, x) for v, side in zip((x, y), sides, strict=True)), jnp.zeros_like(radius))
    return _apart(psi(k, x) - 1 / k - jnp.mean(terms - psi(len(x), x)), radius)


def mixed(x: Float[Array, "n d"], y: Float[Array, "n e"], k: int) -> Float[Array, ""]:
    """mean(ψ(k') + log n − ψ(nx) − ψ(ny)); k' is k, or the number of equal points if the k-th neighbour is one.

    The counts include the point itself, as in the program of the authors; their paper has log(nx + 1) instead.
    """
    joint = jnp.concatenate([x, y], axis=1)
    radius = _radius(joint, k)
    equal = radius == 0
    near = below(radius)
    own = jnp.where(equal, psi(equal_rows(joint), x), psi(k, x))
    terms = own - psi(within(x, near), x) - psi(within(y, near), x)
    return _apart(jnp.mean(terms + jnp.log(jnp.asarray(len(x), x.dtype))), jnp.where(equal, 1.0, radius))


def frenzel_pompe(x: Float[Array, "n d"], y: Float[Array, "n e"], z: Float[Array, "n f"], k: int) -> Float[Array, ""]:
    """ψ(k) + mean(ψ(nz + 1) − ψ(nxz + 1) − ψ(nyz + 1)), with counts as in `ksg1`."""
    radius = _radius(jnp.concatenate([x, y, z], axis=1), k)
    near = below(radius)
    terms = psi(within(z, near), x)
    for margin in (x, y):
        terms = terms - psi(within(jnp.concatenate([margin, z], axis=1), near), x)
    return _apart(psi(k, x) + jnp.mean(terms), radius)


def _radius(joint: Array, k: int) -> Array:
    """The distance of each point to its k-th neighbour, without a derivative."""

    def scan(q: Array, c: Array, index: Array) -> tuple[Array, ...]:
        del index
        return (kth_smallest(distances(q, c), k + 1),)

    return search(None, joint, k + 1, scan)[0]


def _apart(value: Array, radius: Array) -> Array:
    """The value; NaN if more than k points coincide (then a radius is 0) or if a distance overflows."""
    return jnp.where(jnp.all((radius > 0) & (radius < jnp.inf)), value, jnp.nan)
