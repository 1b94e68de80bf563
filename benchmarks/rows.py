"""The rows of the table: a function of the package, its peer, and the floors both are held against.

The floor of a measure is `jnp.sum` over the same input arrays: every byte is read once. The bars are
multiples of it, and factors over the peer, that the package means to hold on a CPU in float32. Where there is
no such number, the bar is 1.3 times the sum of the transcendental passes of the formula, each over its own
inputs: `exp a + exp b` is the time of Σ exp a and then of Σ exp b, `logdiv p q` that of Σ log(p/q), which
reads both.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import lax
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
    formula: str = ""
    passes: tuple[tuple[str, ...], ...] = ()  # a function of PASSES and the inputs it reads


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


def _given(order: float) -> jax.Array:
    """An order that the compiler does not know, as in a call that is not part of a larger program."""
    return lax.optimization_barrier(jnp.asarray(order, jnp.float32))


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
        "probs.kl_divergence, mean",
        lambda p, q: jnp.mean(probs.kl_divergence(p, q)),
        lambda p, q: jnp.mean(rel_entr(p, q).sum(-1)),
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
    Row(
        "logits.entropy, mapped",
        jax.vmap(logits.entropy),
        jax.vmap(lambda z: entr(jax.nn.softmax(z)).sum(-1)),
        "entr of softmax",
        ("a",),
        5.4,
        4.5,
    ),
    Row(
        "logits.entropy, mean",
        lambda z: jnp.mean(logits.entropy(z)),
        lambda z: jnp.mean(entr(jax.nn.softmax(z)).sum(-1)),
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

PASSES: dict[str, Callable[..., jax.Array]] = {
    "sum": lambda x: jnp.sum(x, axis=-1),
    "exp": lambda x: jnp.sum(jnp.exp(x), axis=-1),
    "exp2": lambda x, y: jnp.sum(jnp.exp(x + y), axis=-1),
    "log": lambda x: jnp.sum(jnp.log(x), axis=-1),
    "sqrt": lambda x: jnp.sum(jnp.sqrt(x), axis=-1),
    "rcp": lambda x: jnp.sum(1.0 / x, axis=-1),
    "div": lambda x, y: jnp.sum(x / y, axis=-1),
    "logdiv": lambda x, y: jnp.sum(jnp.log(x / y), axis=-1),
    "log-out": lambda x: -jnp.log(x),
    "exp-out": jnp.exp,
}


def _counted(name: str, ours: Callable[..., Any], inputs: tuple[str, ...], formula: str, passes: str) -> Row:
    """A row whose bar is the sum of the passes of its formula."""
    named = tuple(tuple(p.split()) for p in passes.split(" + "))
    return Row(name, ours, lambda *_: jnp.zeros(()), "", inputs, None, None, formula, named)


def _roots(t: jax.Array) -> jax.Array:
    return (jnp.sqrt(t) - 1.0) ** 2


_P, _PQ, _A, _AB = ("p",), ("p", "q"), ("a",), ("a", "b")
_BOTH = "exp a + exp b + exp a + exp b"
# The measures without a number of their own.
COUNTED = (
    _counted("probs.self_information", probs.self_information, _P, "−log p", "log-out p"),
    _counted("probs.perplexity", probs.perplexity, _P, "exp(−Σ p·log p)", "log p"),
    _counted(
        "probs.renyi_entropy(2)", lambda p: probs.renyi_entropy(p, _given(2.0)), _P, "Σ exp(α·log p)", "log p + exp p"
    ),
    _counted(
        "probs.tsallis_entropy(2)",
        lambda p: probs.tsallis_entropy(p, _given(2.0)),
        _P,
        "Σ exp(a·log p)",
        "log p + exp p",
    ),
    _counted("probs.cross_entropy", probs.cross_entropy, _PQ, "Σ p·log q", "sum p + log q"),
    _counted(
        "probs.jeffreys_divergence",
        probs.jeffreys_divergence,
        _PQ,
        "Σ (p − q)(log p − log q)",
        "log p + log q",
    ),
    _counted(
        "probs.jensen_shannon_distance",
        probs.jensen_shannon_distance,
        _PQ,
        "Σ ½p·log(p/m) + ½q·log(q/m)",
        "logdiv p q + logdiv p q",
    ),
    _counted(
        "probs.renyi_divergence(1/2)",
        lambda p, q: probs.renyi_divergence(p, q, _given(0.5)),
        _PQ,
        "Σ exp(α·log p + (1 − α)·log q)",
        "log p + log q + exp p",
    ),
    _counted(
        "probs.alpha_divergence(1/2)",
        lambda p, q: probs.alpha_divergence(p, q, _given(0.5)),
        _PQ,
        "Σ exp(β·log p + γ·log q)",
        "log p + log q + exp p",
    ),
    _counted("probs.total_variation", probs.total_variation, _PQ, "Σ |p − q|", "sum p + sum q"),
    _counted("probs.hellinger_distance", probs.hellinger_distance, _PQ, "Σ (√p − √q)², Σp", "sqrt p + sqrt q + sum p"),
    _counted(
        "probs.chi_squared_divergence", probs.chi_squared_divergence, _PQ, "Σ (p − q)·((p − q)/q)", "sum p + rcp q"
    ),
    _counted(
        "probs.bhattacharyya_distance", probs.bhattacharyya_distance, _PQ, "Σ (√p − √q)², Σp", "sqrt p + sqrt q + sum p"
    ),
    _counted(
        "probs.f_divergence((√t − 1)²)",
        lambda p, q: probs.f_divergence(p, q, _roots),
        _PQ,
        "Σ q·(√(p/q) − 1)²",
        "div p q + sqrt p",
    ),
    _counted("logits.probabilities", logits.probabilities, _A, "exp a/Σ exp a", "exp a + exp-out a"),
    _counted("logits.log_probabilities", logits.log_probabilities, _A, "a − log Σ exp a", "exp a + exp-out a"),
    _counted("logits.self_information", logits.self_information, _A, "log Σ exp a − a", "exp a + exp-out a"),
    _counted("logits.perplexity", logits.perplexity, _A, "Σ exp a, Σ a·exp a", "exp a + exp a"),
    _counted(
        "logits.renyi_entropy(2)",
        lambda a: logits.renyi_entropy(a, _given(2.0)),
        _A,
        "Σ exp a, Σ exp αa",
        "exp a + exp a",
    ),
    _counted(
        "logits.tsallis_entropy(2)",
        lambda a: logits.tsallis_entropy(a, _given(2.0)),
        _A,
        "Σ exp a, Σ exp αa",
        "exp a + exp a",
    ),
    _counted("logits.cross_entropy", logits.cross_entropy, _AB, "Σ exp a, Σ exp b, Σ b·exp a", "exp a + exp b + exp a"),
    _counted("logits.jeffreys_divergence", logits.jeffreys_divergence, _AB, "Σ (p − q)(a − b)", _BOTH),
    _counted(
        "logits.jensen_shannon_divergence",
        logits.jensen_shannon_divergence,
        _AB,
        "Σ ½p·log(p/m) + ½q·log(q/m)",
        f"{_BOTH} + log p + log q",
    ),
    _counted(
        "logits.renyi_divergence(1/2)",
        lambda a, b: logits.renyi_divergence(a, b, _given(0.5)),
        _AB,
        "Σ exp a, Σ exp b, Σ exp(αa + (1 − α)b)",
        "exp a + exp b + exp2 a b",
    ),
    _counted(
        "logits.alpha_divergence(1/2)",
        lambda a, b: logits.alpha_divergence(a, b, _given(0.5)),
        _AB,
        "Σ exp a, Σ exp b, Σ exp(βa + γb)",
        "exp a + exp b + exp2 a b",
    ),
    _counted("logits.total_variation", logits.total_variation, _AB, "Σ |p − q|", _BOTH),
    _counted("logits.hellinger_distance", logits.hellinger_distance, _AB, "Σ (√p − √q)²", _BOTH),
    _counted(
        "logits.chi_squared_divergence",
        logits.chi_squared_divergence,
        _AB,
        "Σ exp a, Σ exp b, Σ exp(2a − b)",
        "exp a + exp b + exp2 a b",
    ),
    _counted("logits.bhattacharyya_distance", logits.bhattacharyya_distance, _AB, "Σ (√p − √q)²", _BOTH),
    _counted(
        "logits.f_divergence((√t − 1)²)",
        lambda a, b: logits.f_divergence(a, b, _roots),
        _AB,
        "Σ q·(√(p/q) − 1)²",
        f"{_BOTH} + div p q + sqrt p",
    ),
)
