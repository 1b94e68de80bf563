"""Predictions as a list of rows with a weight each, and the sums over rows that every measure is made of."""

from typing import NamedTuple

import jax.numpy as jnp
from jax import lax
from jax.typing import ArrayLike
from jaxtyping import Array

from jxent._checks import as_float, category_axes, class_labels, participation, weights_like


class Rows(NamedTuple):
    """Predictions `[N, K]`, labels `[N]`, and weights `[N]`: 0 for rows that take no part, NaN for false ones."""

    values: Array
    labels: Array
    weights: Array


def rows(name: str, values: ArrayLike, labels: ArrayLike, weights: ArrayLike | None, where: ArrayLike | None) -> Rows:
    """Checked and flattened; `name` is what the caller calls the predictions."""
    p = as_float(name, values)
    category_axes(name, p, -1)
    ids = class_labels(labels, p.shape[:-1], f"`{name}` {p.shape}", soft="take its most likely class")
    like = jnp.ones(ids.shape, p.dtype)
    w = like if weights is None else weights_like(weights, like, "labels")
    part = participation(where, like)
    sound = (ids >= 0) & (ids < p.shape[-1]) & ~jnp.any(jnp.isnan(p), axis=-1)
    w = jnp.where(sound, w, jnp.nan)
    if part is not None:
        w, p = jnp.where(part, w, 0.0), jnp.where(part[..., None], p, 0.0)
        ids = jnp.where(part, ids, 0)
    return Rows(p.reshape(-1, p.shape[-1]), ids.reshape(-1), w.reshape(-1))


def mean(weights: Array, values: Array) -> Array:
    """Σ w·v/Σ w over the rows; 0 where nothing takes part, as `losses.mean`."""
    return over(jnp.sum(jnp.where(weights == 0, 0.0, weights * values)), jnp.sum(weights))


def over(total: Array, weight: Array) -> Array:
    """A sum over its weight; 0 where there is none."""
    return jnp.where(weight == 0, 0.0, total / jnp.where(weight == 0, 1.0, weight))


def own(r: Rows) -> Array:
    """Where the label of each row is, `[N, K]`: a comparison, which fuses and shards; a gather does neither."""
    return r.labels[:, None] == jnp.arange(r.values.shape[1], dtype=r.labels.dtype)[None, :]


def of_label(r: Rows) -> Array:
    """What each row gives to its label."""
    return jnp.sum(jnp.where(own(r), r.values, 0.0), axis=1)


def surprisal(r: Rows) -> Array:
    """−log p of the label, in nats."""
    # Of a row without weight not even the slope, which may be infinite, takes part.
    return -jnp.log(jnp.where(r.weights == 0, 1.0, of_label(r)))


def squares(r: Rows) -> Array:
    """Σ (p − t)² of every row."""
    return jnp.sum(jnp.square(r.values - own(r).astype(r.values.dtype)), axis=1)


def ranks(r: Rows) -> Array:
    """How many classes stand before the label: those with more probability, and of equal ones the earlier."""
    mine = of_label(r)[:, None]
    earlier = jnp.arange(r.values.shape[1], dtype=r.labels.dtype)[None, :] < r.labels[:, None]
    return jnp.sum((r.values > mine) | ((r.values == mine) & earlier), axis=1)


def bin_of(p: Array, num_bins: int) -> Array:
    """The bin (b/B, (b + 1)/B] of a probability; 0 is in the first."""
    # NaN, which is in no bin, is counted in the first, where it shows.
    return jnp.nan_to_num(jnp.clip(jnp.ceil(p * num_bins) - 1, 0, num_bins - 1))


def _binned(bins: Array, num_bins: int, columns: Array) -> Array:
    """Sums of columns `[C, N, ...]` over the rows of each bin, `[B, C, ...]`, one bin at a time."""

    def one(b: Array) -> Array:
        return jnp.sum(jnp.where((bins == b)[None], columns, 0.0), axis=1)

    return lax.map(one, jnp.arange(num_bins, dtype=bins.dtype))


def top_sums(r: Rows, num_bins: int) -> Array:
    """Weight, weighted confidence and weighted hits of the most likely class, `[B, 3]`."""
    confidence = jnp.max(r.values, axis=1)
    hit = (ranks(r) == 0).astype(r.values.dtype)
    bins = bin_of(confidence, num_bins)
    w = r.weights
    return _binned(bins, num_bins, jnp.stack([w, w * confidence, w * hit]))


def class_sums(r: Rows, num_bins: int) -> Array:
    """Of every class: weight, weighted p, weighted t and weighted p² − 2pt, `[B, 4, K]`."""
    t = own(r).astype(r.values.dtype)
    p, w = r.values, jnp.broadcast_to(r.weights[:, None], r.values.shape)
    columns = jnp.stack([w, w * p, w * t, w * (p * p - 2.0 * p * t)])
    return _binned(bin_of(p, num_bins), num_bins, columns)
