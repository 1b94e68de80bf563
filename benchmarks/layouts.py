"""The same measures on other layouts: few categories, categories on the first axis, and joint tables."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.scipy.special import entr, rel_entr

from benchmarks.rows import Row, _half_rel_entr, _log_softmax_kl
from jxent import logits, probs

Arrays = dict[str, jax.Array]


def _plain_mutual_information(t: jax.Array) -> jax.Array:
    """As it is usually written: the sum of the entropies of the margins less that of the table."""
    x, y = t.sum(2), t.sum(1)
    return entr(x).sum(1) + entr(y).sum(1) - entr(t).sum((1, 2))


def _plain_conditional(t: jax.Array) -> jax.Array:
    return entr(t).sum((1, 2)) - entr(t.sum(2)).sum(1)


def rows_of_pairs(axis: int) -> tuple[Row, ...]:
    """The measures that have a peer, over an axis."""

    def along(function: Callable[..., Any], **options: Any) -> Callable[..., Any]:
        return lambda *args: function(*args, axis=axis, **options)

    def moved(function: Callable[..., Any]) -> Callable[..., Any]:
        return function if axis == -1 else lambda *args: function(*(jnp.moveaxis(x, axis, -1) for x in args))

    return (
        Row("probs.entropy", along(probs.entropy), lambda p: entr(p).sum(axis), "jax.scipy entr", ("p",), None, None),
        Row(
            "probs.kl_divergence",
            along(probs.kl_divergence),
            lambda p, q: rel_entr(p, q).sum(axis),
            "jax.scipy rel_entr",
            ("p", "q"),
            None,
            None,
        ),
        Row(
            "probs.jensen_shannon_divergence",
            along(probs.jensen_shannon_divergence),
            moved(_half_rel_entr),
            "two rel_entr",
            ("p", "q"),
            None,
            None,
        ),
        Row(
            "logits.entropy",
            along(logits.entropy),
            lambda z: entr(jax.nn.softmax(z, axis=axis)).sum(axis),
            "entr of softmax",
            ("a",),
            None,
            None,
        ),
        Row(
            "logits.kl_divergence",
            along(logits.kl_divergence),
            moved(_log_softmax_kl),
            "two log_softmax",
            ("a", "b"),
            None,
            None,
        ),
    )


TABLES = (
    Row(
        "probs.mutual_information", probs.mutual_information, _plain_mutual_information, "entropies", ("t",), None, None
    ),
    Row(
        "probs.conditional_entropy",
        probs.conditional_entropy,
        _plain_conditional,
        "entropies",
        ("t",),
        None,
        None,
    ),
    Row(
        "logits.mutual_information",
        logits.mutual_information,
        lambda z: _plain_mutual_information(jax.nn.softmax(z, axis=(1, 2))),
        "entropies of softmax",
        ("zt",),
        None,
        None,
    ),
)


def arrays(shape: tuple[int, ...], axis: int) -> Arrays:
    """Standard normal logits and their softmax along an axis."""
    a, b = (jax.random.normal(k, shape, jnp.float32) for k in jax.random.split(jax.random.key(0)))
    return {"p": jax.nn.softmax(a, axis=axis), "q": jax.nn.softmax(b, axis=axis), "a": a, "b": b}


def tables(count: int) -> Arrays:
    """So many 8 by 8 tables."""
    z = jax.random.normal(jax.random.key(0), (count, 8, 8), jnp.float32)
    return {"zt": z, "t": jax.nn.softmax(z, axis=(1, 2))}


# Name, the rows, and how to make their arrays from a scale of 1 for the full size.
LAYOUTS: dict[str, tuple[tuple[Row, ...], Callable[[float], Arrays]]] = {
    "[5000000, 10]": (rows_of_pairs(-1), lambda scale: arrays((int(5_000_000 * scale), 10), -1)),
    "[1000, 50000], axis=0": (rows_of_pairs(0), lambda scale: arrays((1000, int(50_000 * scale)), 0)),
    "[1000000, 8, 8]": (TABLES, lambda scale: tables(int(1_000_000 * scale))),
}
