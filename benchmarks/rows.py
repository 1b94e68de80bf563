"""The rows of the table: a function of the package, its peer, and the floor both are held against.

The floor of a measure is `jnp.sum` over the same input arrays: every byte is read once. The bars are
multiples of it, and factors over the peer, that the package means to hold on a CPU in float32.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax.scipy.special import entr, rel_entr

from jxent import logits, losses, probs


class Row(NamedTuple):
    """One measured function."""

    name: str
    ours: Callable[..., Any]
    peer: Callable[..., Any]
    peer_name: str
    inputs: tuple[str, ...]
    at_most: float | None  # multiples of the floor
    faster: float | None  # factor over the peer


class Inputs(NamedTuple):
    """Arrays that the rows name."""

    p: jax.Array
    q: jax.Array
    a: jax.Array
    b: jax.Array
    labels: jax.Array


def inputs(rows: int, classes: int) -> Inputs:
    """Standard normal logits, their softmax, and uniform labels."""
    keys = jax.random.split(jax.random.key(0), 3)
    a, b = (jax.random.normal(k, (rows, classes), jnp.float32) for k in keys[:2])
    labels = jax.random.randint(keys[2], (rows,), 0, classes)
    return Inputs(jax.nn.softmax(a), jax.nn.softmax(b), a, b, labels)


def _log_softmax_kl(a: jax.Array, b: jax.Array) -> jax.Array:
    log_p, log_q = jax.nn.log_softmax(a), jax.nn.log_softmax(b)
    return jnp.sum(jnp.exp(log_p) * (log_p - log_q), axis=-1)


def _half_rel_entr(p: jax.Array, q: jax.Array) -> jax.Array:
    m = 0.5 * (p + q)
    return 0.5 * (rel_entr(p, m).sum(-1) + rel_entr(q, m).sum(-1))


def _mean_gradient(loss: Callable[..., jax.Array]) -> Callable[..., Any]:
    return jax.value_and_grad(lambda z, labels: jnp.mean(loss(z, labels)))


_ours_label_loss = losses.softmax_cross_entropy_with_integer_labels
_optax_label_loss = optax.losses.softmax_cross_entropy_with_integer_labels

ROWS = (
    Row("probs.entropy", probs.entropy, lambda p: entr(p).sum(-1), "jax.scipy entr", ("p",), 3.3, 4.0),
    Row(
        "probs.entropy, base 2",
        lambda p: probs.entropy(p, base=2),
        lambda p: entr(p).sum(-1) / jnp.log(2.0),
        "jax.scipy entr",
        ("p",),
        3.3,
        4.0,
    ),
    Row(
        "probs.kl_divergence",
        probs.kl_divergence,
        lambda p, q: rel_entr(p, q).sum(-1),
        "jax.scipy rel_entr",
        ("p", "q"),
        4.0,
        1.6,
    ),
    Row(
        "probs.jensen_shannon_divergence",
        probs.jensen_shannon_divergence,
        _half_rel_entr,
        "two rel_entr",
        ("p", "q"),
        5.0,
        3.0,
    ),
    Row(
        "logits.entropy",
        logits.entropy,
        lambda z: entr(jax.nn.softmax(z)).sum(-1),
        "entr of softmax",
        ("a",),
        5.4,
        4.5,
    ),
    Row("logits.kl_divergence", logits.kl_divergence, _log_softmax_kl, "two log_softmax", ("a", "b"), 5.6, 1.7),
    Row(
        "losses, integer labels",
        _ours_label_loss,
        _optax_label_loss,
        "optax",
        ("a", "labels"),
        4.4,
        2.2,
    ),
    Row(
        "value and gradient of its mean",
        _mean_gradient(_ours_label_loss),
        _mean_gradient(_optax_label_loss),
        "optax",
        ("a", "labels"),
        None,
        1 / 1.05,
    ),
)
