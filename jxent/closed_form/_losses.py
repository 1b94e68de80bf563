"""Gradients of the losses in their predictions, by hand."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array

from jxent import losses
from jxent._checks import (
    Numbers,
    as_float,
    category_axes,
    class_labels,
    ignored_rows,
    match_rows,
    parameter,
    rows_beside,
    weights_of_classes,
)
from jxent.closed_form import _rows
from jxent.closed_form._bernoulli import sigmoid
from jxent.closed_form._gradient_of import gradient_of, of_elements
from jxent.closed_form._rows import Row, difference, total

# fmt: off
__all__ = [
    "focal_loss", "huber_loss", "kl_divergence", "l1_loss", "l2_loss", "pseudo_huber_loss",
    "sigmoid_binary_cross_entropy", "softmax_cross_entropy", "softmax_cross_entropy_with_integer_labels",
    "softmax_focal_loss", "softmax_focal_loss_with_integer_labels",
]
# fmt: on

Options = dict[str, Any]


def _smoothed(p: Row, targets: Array, smoothing: Numbers | None) -> Array:
    """(1 − ε)·t + ε·Σt/K, K the number of possible classes."""
    if smoothing is None:
        return targets
    rate = parameter("label_smoothing", smoothing, p.p)
    share = total(targets) / jnp.maximum(total(p.possible.astype(p.p.dtype)), 1.0)
    return (1.0 - rate) * targets + jnp.where(p.possible, rate * share, 0.0)


def _in_rows(slopes: Callable[..., Array], z: Array, targets: Array, axes: _rows.Axes, options: Options) -> Array:
    batch = _rows.Batch.of(z, options["where"], (axes,))
    rows, part = batch.rows(z), batch.part
    p = _rows.of_logits(rows, part)
    weights = weights_of_classes(options.get("class_weights"), z, axes)
    c = _smoothed(p, jnp.where(part, batch.rows(targets), 0.0), options.get("label_smoothing"))
    theta = {"gamma": options["gamma"]} if "gamma" in options else {}
    gradient = slopes(p, c if weights is None else batch.rows(weights) * c, **theta)
    if options.get("z_loss") is not None:
        log_total = jax.nn.logsumexp(jnp.where(part, rows, -jnp.inf), axis=-1, keepdims=True)
        # (ζ·log² Z)′ = 2ζ·log Z·p, since (log Z)′ = p.
        gradient += 2.0 * parameter("z_loss", options["z_loss"], z) * jnp.where(p.p > 0, log_total * p.p, 0.0)
    return batch.gradient(gradient)


def _beside_targets(slopes: Callable[..., Array], options: Options) -> Array:
    first, second = as_float("logits", options["logits"]), as_float("targets", options["targets"])
    z, targets, axes = match_rows(("logits", "targets"), first, second, options["axis"])
    return _rows.folded(_in_rows(slopes, z, targets, axes, options), first.shape)


def _beside_labels(slopes: Callable[..., Array], options: Options) -> Array:
    z, labels = as_float("logits", options["logits"]), options["labels"]
    axes = category_axes("logits", z, options["axis"])
    ids = class_labels(labels, rows_beside(z, axes[0]), f"`logits` {z.shape}", soft="use softmax_cross_entropy")
    ignored = ignored_rows(labels, options["ignore_label"])
    ignored = jnp.zeros(ids.shape, bool) if ignored is None else ignored
    ids, ignored = jnp.expand_dims(ids, axes), jnp.expand_dims(ignored, axes)
    invalid = ((ids < 0) | (ids >= z.shape[axes[0]])) & ~ignored
    one_hot = (jax.lax.broadcasted_iota(ids.dtype, z.shape, axes[0]) == ids).astype(z.dtype)
    gradient = _in_rows(slopes, jnp.where(ignored, 0.0, z), one_hot, axes, options)
    empty = False
    if options["where"] is not None:
        empty = ~jnp.any(jnp.broadcast_to(options["where"], z.shape), axis=axes, keepdims=True)
    return jnp.where(ignored | empty, 0.0, jnp.where(invalid, jnp.nan, gradient))


LABEL, OUT_OF_RANGE = "[2.0, 1.0, 0.0], 1", "NaN in the row of a label outside [0, K); 0 where it is the ignored one."
FINITE_AT_IMPOSSIBLE, TARGETS = "finite for classes at −inf.", "[2.0, 1.0, 0.0], [0.2, 0.3, 0.5]"


def _softmax_loss(p: Row, c: Array) -> Array:
    """∂(−log pᵢ)/∂zₖ = pₖ − δᵢₖ; weighted by cᵢ and summed over i this is (Σc)·pₖ − cₖ.

    The c are the targets, or 1 at the label: p − onehot. Smoothing and class weights change c alone; ζ·log² Z,
    Z = Σ exp z, adds 2ζ·log Z·p. Terms in the targets alone, as in the divergence, have no gradient here.
    """
    return difference(total(c) * p.p, c)


softmax_cross_entropy = gradient_of(losses.softmax_cross_entropy, _beside_targets, TARGETS, FINITE_AT_IMPOSSIBLE)(
    _softmax_loss
)
kl_divergence = gradient_of(losses.kl_divergence, _beside_targets, TARGETS, FINITE_AT_IMPOSSIBLE)(_softmax_loss)
softmax_cross_entropy_with_integer_labels = gradient_of(
    losses.softmax_cross_entropy_with_integer_labels,
    _beside_labels,
    LABEL,
    OUT_OF_RANGE,
)(_softmax_loss)


def _softmax_focal_loss(p: Row, c: Array, *, gamma: Numbers) -> Array:
    """Of Σ c·(1 − p)^γ·s, s = −log p: with ∂sᵢ/∂zₖ = pₖ − δᵢₖ it is (Σb)·p − b.

    b = c·d/ds[(1 − e^−s)^γ·s] = c·(1 − p)^γ·[1 + γ·p·s/(1 − p)]; the c are the targets times the weights of the
    classes, or 1 at the label.
    """
    exponent = parameter("gamma", gamma, p.p)
    missed = jnp.maximum(-jnp.expm1(p.log), jnp.finfo(p.p.dtype).tiny)
    share = jnp.where(p.log == 0.0, 1.0, p.p * -p.log / missed)
    b = jnp.where(c == 0.0, 0.0, c * missed**exponent * (1.0 + exponent * share))
    return difference(total(b) * p.p, b)


softmax_focal_loss = gradient_of(losses.softmax_focal_loss, _beside_targets, TARGETS, FINITE_AT_IMPOSSIBLE)(
    _softmax_focal_loss
)
softmax_focal_loss_with_integer_labels = gradient_of(
    losses.softmax_focal_loss_with_integer_labels, _beside_labels, LABEL, OUT_OF_RANGE
)(_softmax_focal_loss)

OUTCOMES, ERRORS = "[2.0, -1.0], [1.0, 0.3]", "[0.5, 3.0], [0.0, 0.0]"


@of_elements(losses.sigmoid_binary_cross_entropy, OUTCOMES, edge="finite at ±inf.")
def sigmoid_binary_cross_entropy(
    z: Array, t: Array, *, label_smoothing: Numbers | None, positive_weight: Numbers | None
) -> Array:
    """(log σ)′ = σ(−z) and (log(1 − σ))′ = −σ(z), so that the slope is (1 − t)·σ(z) − w·t·σ(−z); σ(z) − t for w = 1."""
    if label_smoothing is not None:
        rate = parameter("label_smoothing", label_smoothing, z)
        t = (1.0 - rate) * t + 0.5 * rate
    weight = 1.0 if positive_weight is None else parameter("positive_weight", positive_weight, z)
    return (1.0 - t) * sigmoid(z) - weight * t * sigmoid(-z)


@of_elements(losses.focal_loss, OUTCOMES, edge="finite at ±inf; differentiable where 0 < p < 1.")
def focal_loss(z: Array, t: Array, *, gamma: Numbers, alpha: Numbers | None) -> Array:
    """Of u^γ·B, u = 1 − pₜ and B the binary cross-entropy: u^γ·(σ − t + γ·B·u′/u).

    u = σ(z)(1 − t) + σ(−z)t has the slope u′ = (1 − 2t)·σ(z)σ(−z), B the slope σ(z) − t; the rest is the product rule.
    """
    exponent, yes, no = parameter("gamma", gamma, z), sigmoid(z), sigmoid(-z)
    u = jnp.maximum(yes * (1.0 - t) + no * t, jnp.finfo(z.dtype).tiny)
    bound = -jnp.log(jnp.asarray(jnp.finfo(z.dtype).tiny, z.dtype))
    bce = t * jnp.minimum(jax.nn.softplus(-z), bound) + (1.0 - t) * jnp.minimum(jax.nn.softplus(z), bound)
    slope = (1.0 - t) * yes - t * no
    gradient = u**exponent * (slope + exponent * bce * (1.0 - 2.0 * t) * yes * no / u)
    if alpha is None:
        return gradient
    a = parameter("alpha", alpha, z)
    return (a * t + (1.0 - a) * (1.0 - t)) * gradient


@of_elements(losses.l1_loss, ERRORS, edge="0 at error 0, NaN at NaN.")
def l1_loss(prediction: Array, target: Array) -> Array:
    """|e| is e above 0 and −e below: the slope is sign(e), and at 0 the middle 0 of the subgradients [−1, 1]."""
    return jnp.sign(prediction - target)


@of_elements(losses.l2_loss, ERRORS, edge="NaN at NaN.")
def l2_loss(prediction: Array, target: Array) -> Array:
    """By the chain rule (½e²)′ = ½·2e·∂e = e, since the error e has ∂e/∂prediction = 1."""
    return prediction - target


@of_elements(losses.huber_loss, ERRORS, edge="±δ at an infinite error, NaN at NaN.")
def huber_loss(prediction: Array, target: Array, *, delta: Numbers) -> Array:
    """½e² has the slope e, δ(|e| − ½δ) the slope δ·sign(e); at |e| = δ they meet: the error clipped to [−δ, δ]."""
    bound = parameter("delta", delta, prediction)
    return jnp.clip(prediction - target, -bound, bound)


@of_elements(losses.pseudo_huber_loss, ERRORS, edge="±δ at an infinite error, NaN at NaN.")
def pseudo_huber_loss(prediction: Array, target: Array, *, delta: Numbers) -> Array:
    """By the chain rule [δ²√(1 + (e/δ)²)]′ = δ²·(e/δ²)/√(1 + (e/δ)²) = e/√(1 + (e/δ)²)."""
    error, bound = prediction - target, parameter("delta", delta, prediction)
    return jnp.where(jnp.isinf(error), jnp.sign(error) * bound, error / jnp.hypot(1.0, error / bound))
