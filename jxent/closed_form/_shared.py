"""What the closed forms share: operands, masks and units."""

import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array

from jxent._checks import Axis, as_float, category_axes, log_base_factor, match_rows, participation

Axes = tuple[int, ...]


def row(name: str, value: ArrayLike, axis: Axis, where: ArrayLike | None) -> tuple[Array, Axes, Array]:
    """One operand, its category axes and its mask, all True if none was given."""
    array = as_float(name, value)
    axes = category_axes(name, array, axis)
    mask = participation(where, array)
    return array, axes, jnp.ones(array.shape, bool) if mask is None else mask


def rows(
    names: tuple[str, str], first: ArrayLike, second: ArrayLike, axis: Axis, where: ArrayLike | None
) -> tuple[Array, Array, Axes, Array, tuple[tuple[int, ...], tuple[int, ...]]]:
    """Two operands broadcast to each other, category axes, mask, and the shapes to sum gradients back to."""
    a, b = as_float(names[0], first), as_float(names[1], second)
    shapes = (a.shape, b.shape)
    a, b, axes = match_rows(names, a, b, axis)
    mask = participation(where, a)
    return a, b, axes, jnp.ones(a.shape, bool) if mask is None else mask, shapes


def fold(gradient: Array, shape: tuple[int, ...]) -> Array:
    """Sum over the axes that were broadcast: an operand used by several rows gathers their gradients."""
    if gradient.ndim > len(shape):
        return jnp.sum(gradient)
    axes = tuple(i for i, (m, n) in enumerate(zip(gradient.shape, shape, strict=True)) if m != n)
    return jnp.sum(gradient, axis=axes, keepdims=True) if axes else gradient


def softmax(z: Array, axes: Axes, mask: Array) -> tuple[Array, Array]:
    """P and log p, in the textbook form with a shift; log 0 stands at log of the smallest normal number."""
    shifted = jnp.where(mask, z, -jnp.inf)
    top = jnp.max(shifted, axis=axes, keepdims=True)
    d = shifted - jnp.where(jnp.isfinite(top), top, 0.0)
    log_p = d - jnp.log(jnp.sum(jnp.exp(d), axis=axes, keepdims=True))
    impossible = jnp.log(jnp.asarray(jnp.finfo(z.dtype).tiny, z.dtype))
    # What is masked may be NaN; what takes part and is NaN stays so.
    hidden = ~mask | (z == -jnp.inf)
    return jnp.where(hidden, 0.0, jnp.exp(log_p)), jnp.where(hidden, impossible, log_p)


def possible(zp: Array, zq: Array) -> Array:
    """Classes that neither row of logits excludes."""
    return (zp != -jnp.inf) & (zq != -jnp.inf)


def total(x: Array, axes: Axes) -> Array:
    """Σ x over the categories, axes kept."""
    return jnp.sum(x, axis=axes, keepdims=True)


def half_over_root(value: Array) -> Array:
    """d√v/dv = ½/√v, and 0 at v = 0."""
    return jnp.where(value > 0, 0.5 / jnp.sqrt(jnp.where(value > 0, value, 1.0)), 0.0)


def lifted(p: Array) -> Array:
    """p, raised to the smallest normal number, where a slope that diverges at 0 is taken."""
    return jnp.where(p < jnp.finfo(p.dtype).tiny, jnp.finfo(p.dtype).tiny, p)


def is_zero(p: Array) -> Array:
    """Where a probability counts as 0."""
    return p < jnp.finfo(p.dtype).tiny


def log_ratio(p: Array, q: Array) -> Array:
    """log(p/q), with 0 taken at the smallest normal number."""
    return jnp.log(lifted(p)) - jnp.log(lifted(q))


def in_units(
    in_first: Array, in_second: Array, shapes: tuple[tuple[int, ...], ...], base: float | None
) -> tuple[Array, Array]:
    """Both gradients in units of the base, summed back to the shapes of their arguments."""
    scale = log_base_factor(base)
    return fold(in_first * scale, shapes[0]), fold(in_second * scale, shapes[1])


def logs(p: Array, q: Array) -> tuple[Array, Array]:
    """Both logarithms, that of 0 taken at the smallest normal number."""
    return jnp.log(lifted(p)), jnp.log(lifted(q))


def masked_in_units(
    in_first: Array, in_second: Array, mask: Array, shapes: tuple[tuple[int, ...], ...], base: float | None
) -> tuple[Array, Array]:
    """Both gradients, 0 where masked, in units of the base and of the shapes of their arguments."""
    return in_units(jnp.where(mask, in_first, 0.0), jnp.where(mask, in_second, 0.0), shapes, base)


def through_softmax(p: Array, slope: Array, axes: Axes) -> Array:
    """pₖ(sₖ − Σ p·s), 0 for impossible classes whatever their slope."""
    weighted = jnp.where(p == 0, 0.0, p * slope)
    return weighted - p * total(weighted, axes)


def finite(slope: Array) -> Array:
    """On the logits path every derivative is finite: an infinite slope stands at the largest number."""
    largest = 0.5 * float(jnp.finfo(slope.dtype).max)
    return jnp.clip(slope, -largest, largest)
