"""One loop over blocks for both engines."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array


def added(a: Any, b: Any) -> Any:
    """The sums of two trees of arrays."""
    return jax.tree.map(jnp.add, a, b)


def over_blocks(
    block: int,
    count: int,
    of: Callable[[Array | int, int], tuple[Any, Any]],
    merge: Callable[[Any, Any], Any] = added,
) -> tuple[Any, Any]:
    """What `of(start, size)` gives for each block of `count` rows or classes: its first part merged, its second joined.

    The first block takes what the others leave over, so that none holds a place twice; it starts the carry, which a
    constant could not inside `shard_map`.
    """
    more = max(0, (count - 1) // block)
    first = count - more * block
    total, head = of(0, first)
    if more == 0:
        return total, head

    def step(total: Any, i: Array) -> tuple[Any, Any]:
        part, kept = of(first + i * block, block)
        return merge(total, part), kept

    total, tail = lax.scan(step, total, jnp.arange(more, dtype=jnp.int32))
    joined = jax.tree.map(lambda a, b: jnp.concatenate([a, b.reshape((more * block, *b.shape[2:]))]), head, tail)
    return total, joined
