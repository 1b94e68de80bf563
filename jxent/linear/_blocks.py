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
    """`of(start, size)` for each block of `count` rows or classes: first results merged, second results joined.

    The first block has the remainder, so that blocks do not overlap. It also starts the carry of the scan: inside
    `shard_map` a constant cannot, since it does not vary over the mesh.
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
