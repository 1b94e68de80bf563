"""Predictions as weighted rows, and the sums over rows that all measures use."""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array

from jxent._checks import Numbers, as_float, category_axes, class_labels, participation, weights_like
from jxent._numerics.classification import class_ids
from jxent._numerics.compiler import is_sharded
from jxent._numerics.logarithm import tiny

MOST_AXES = 4


class Rows(NamedTuple):
    """Predictions `[..., K]`, labels `[...]`, and weights `[...]`: 0 for masked rows, NaN for invalid rows."""

    values: Array
    labels: Array
    weights: Array


def rows(name: str, values: Numbers, labels: Numbers, weights: Numbers | None, where: Numbers | None) -> Rows:
    """Check the arguments and merge their axes; `name` is the caller's name of the predictions."""
    p = as_float(name, values)
    category_axes(name, p, -1)
    ids = class_labels(labels, p.shape[:-1], f"`{name}` {p.shape}", soft="take its most likely class")
    like = jnp.ones(ids.shape, p.dtype)
    w = like if weights is None else weights_like(weights, like, "labels")
    part = participation(where, like)
    sound = (ids >= 0) & (ids < p.shape[-1]) & ~jnp.any(jnp.isnan(p), axis=-1)
    w = jnp.where(sound, w, jnp.nan)
    if part is not None:
        w, p = jnp.where(part, w, 0.0), jnp.where(each(part), p, 0.0)
        ids = jnp.where(part, ids, 0)
    return _few_axes(Rows(p, ids, w))


def _few_axes(r: Rows) -> Rows:
    # jaxlib 0.10.2 and 0.11.0 can crash on reductions of rank 7 (jax issues 39257 and 40412). Sharded arrays keep their
    # axes: a reshape moves their data between devices, or is refused if the mesh axes are explicit. Delete when neither
    # is supported.
    if r.values.ndim <= MOST_AXES or any(is_sharded(a) for a in r):
        return r
    return Rows(r.values.reshape(-1, r.values.shape[-1]), r.labels.reshape(-1), r.weights.reshape(-1))


def each(row: Array) -> Array:
    """A number per row, with an axis of size 1 for the classes."""
    return jnp.expand_dims(row, -1)


def total(weights: Array, values: Array) -> Array:
    """Σ w·v over the rows."""
    # Keep a finite value of weight 0: it is the slope in this weight.
    hidden = (weights == 0) & ~jnp.isfinite(values)
    return jnp.sum(weights * jnp.where(hidden, 0.0, values))


def mean(weights: Array, values: Array) -> Array:
    """Σ w·v/Σ w over the rows; 0 if Σ w is 0, as in `losses.mean`."""
    return over(total(weights, values), jnp.sum(weights))


def over(total: Array, weight: Array) -> Array:
    """A sum divided by its weight; 0 if the weight is 0."""
    return jnp.where(weight == 0, 0.0, total / jnp.where(weight == 0, 1.0, weight))


def classes(r: Rows) -> Array:
    """0, 1, … in every row, `[..., K]`."""
    return class_ids(r.values, r.values.ndim - 1)


def own(r: Rows) -> Array:
    """The mask of the label of each row, `[..., K]`: a comparison, which XLA fuses and shards, unlike a gather."""
    return each(r.labels) == classes(r)


def of_label(r: Rows) -> Array:
    """The value at the label of each row."""
    return jnp.sum(jnp.where(own(r), r.values, 0.0), axis=-1)


def surprisal(r: Rows) -> Array:
    """−log p of the label, in nats."""
    p = of_label(r)
    # A row of weight 0 has the slope at the smallest normal number or above, which is finite.
    return -jnp.log(jnp.where(r.weights == 0, jnp.maximum(p, tiny(p.dtype)), p))


def squares(r: Rows) -> Array:
    """Σ (p − t)² of every row."""
    return jnp.sum(jnp.square(r.values - own(r).astype(r.values.dtype)), axis=-1)


def ranks(r: Rows) -> Array:
    """Number of classes before the label: those with more probability, and those with as much and a smaller id."""
    mine = each(of_label(r))
    earlier = classes(r) < each(r.labels)
    return jnp.sum((r.values > mine) | ((r.values == mine) & earlier), axis=-1, dtype=jnp.int32)


def rank_sums(r: Rows) -> Array:
    """Weight of the rows by the rank of their label, `[K]`."""
    there = each(ranks(r)) == classes(r)
    return jnp.sum(each(r.weights) * there.astype(r.weights.dtype), axis=tuple(range(r.labels.ndim)))


def _binned(p: Array, num_bins: int, columns: Array, axes: tuple[int, ...]) -> Array:
    """Sums of columns `[C, *p.shape]` over axes of p, for p in each bin (b/B, (b + 1)/B]; one bin at a time.

    Values outside (0, 1] are in the first or last bin. NaN is in the first bin, so that it shows in the result.
    """
    p = jnp.nan_to_num(jnp.where(jnp.isnan(p), 0.0, p))
    # Compare p with the edges: p·B is rounded and would put some edges into the bin above.
    edges = (np.arange(num_bins + 1) / num_bins).astype(p.dtype)
    edges[[0, -1]] = -np.inf, np.inf

    def one(ends: tuple[Array, Array]) -> Array:
        low, high = ends
        inside = jnp.expand_dims((p > low) & (p <= high), 0)
        return jnp.sum(jnp.where(inside, columns, 0.0), axis=tuple(a + 1 for a in axes))

    return lax.map(one, (jnp.asarray(edges[:-1]), jnp.asarray(edges[1:])))


def top_sums(r: Rows, num_bins: int) -> Array:
    """Weight, weighted confidence and weighted hits of the most likely class, `[B, 3]`."""
    confidence = jnp.max(r.values, axis=-1)
    hit = (ranks(r) == 0).astype(r.values.dtype)
    w = r.weights
    return _binned(confidence, num_bins, jnp.stack([w, w * confidence, w * hit]), tuple(range(w.ndim)))


def class_sums(r: Rows, num_bins: int) -> Array:
    """For every class: weight, weighted p, weighted t and weighted p² − 2pt, `[B, 4, K]`."""
    t = own(r).astype(r.values.dtype)
    # A product, not a broadcast, so that the weights have the sharding of the classes.
    p, w = r.values, each(r.weights) * jnp.ones_like(r.values)
    columns = jnp.stack([w, w * p, w * t, w * (p * p - 2.0 * p * t)])
    return _binned(p, num_bins, columns, tuple(range(r.weights.ndim)))
