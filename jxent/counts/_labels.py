"""Count observations."""

import math
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int

from jxent._checks import CountedLabels, Numbers, Sizes, public


@public
def from_labels(labels: CountedLabels, num_classes: Sizes) -> Int[Array, "..."]:
    """How often each class occurs among labels: counts that add up, over batches, streams and devices, by `+`.

    n(k) = Σ [label = k].

    Args:
        labels: class ids `[..., N]` in [0, K); for V variables `[..., N, V]`.
        num_classes: K, or for V variables the number of classes of each (K₁, …, K_V).

    Returns:
        Integers `[..., K]`, or a table `[..., K₁, …, K_V]`.

    Raises:
        TypeError: for labels that are not integers.
        ValueError: for a number of classes below 1, or a number of variables other than that of the labels.

    Edge cases: an observation with a label outside [0, K) is not counted; `out_of_range` gives the number of these, and
    `jxent.checked` raises an error. No labels give zeros.

    Gradient: none, the result is integers.

    Example:
        >>> from jxent import counts
        >>> counts.from_labels([0, 2, 2, 1], 3).tolist()
        [1, 1, 2]
        >>> counts.from_labels([[0, 1], [0, 1], [1, 0]], (2, 2)).tolist()
        [[0, 2], [1, 0]]

    Reference: the definition of a histogram.
    """
    ids, sizes, sound = _checked(labels, num_classes)
    strides = np.cumprod((1, *sizes[:0:-1]))[::-1]
    steps = jnp.asarray(strides.copy(), jnp.int32).reshape((1,) * (ids.ndim - 1) + (-1,))
    cell = jnp.sum(jnp.where(sound[..., None], ids, 0) * steps, axis=-1)
    cells = math.prod(sizes)
    # The scatter drops an index past the last cell; a negative index would count from the end.
    where = jnp.where(sound, cell, cells).reshape(math.prod(cell.shape[:-1]), cell.shape[-1])

    def count(row: Array) -> Array:
        return jnp.zeros(cells, jnp.int32).at[row].add(1, mode="drop")

    return jax.vmap(count)(where).reshape(*cell.shape[:-1], *sizes)


@public
def out_of_range(labels: CountedLabels, num_classes: Sizes) -> Int[Array, "..."]:
    """Number of observations that `from_labels` does not count, because they have a label outside [0, K).

    Args:
        labels: class ids `[..., N]`, or for V variables `[..., N, V]`.
        num_classes: K, or (K₁, …, K_V).

    Returns:
        Integers `[...]`.

    Edge cases: no labels give 0.

    Gradient: none, the result is integers.

    Example:
        >>> from jxent import counts
        >>> int(counts.out_of_range([0, 3, -1, 1], 3))
        2

    Reference: the definition of a histogram.
    """
    _, _, sound = _checked(labels, num_classes)
    return jnp.sum(~sound, axis=-1, dtype=jnp.int32)


def _checked(labels: Numbers, num_classes: Sizes) -> tuple[Array, tuple[int, ...], Array]:
    """Ids `[..., N, V]`, the sizes, and whether all ids of an observation are in range, `[..., N]`."""
    ids = jnp.asarray(labels)
    if not jnp.issubdtype(ids.dtype, jnp.integer):
        raise TypeError(
            f"`labels` has dtype {ids.dtype}, expected integer class ids; for ids stored as floats labels.astype(int)"
        )
    several = isinstance(num_classes, Sequence)
    sizes = tuple(num_classes) if several else (num_classes,)
    if not sizes or any(isinstance(k, bool) or not isinstance(k, (int, np.integer)) or k < 1 for k in sizes):
        raise ValueError(f"num_classes={num_classes!r} must be an int of at least 1, or a tuple of them")
    if ids.ndim < 1 + several or (several and ids.shape[-1] != len(sizes)):
        expected = f"[..., N, {len(sizes)}]" if several else "[..., N]"
        raise ValueError(f"`labels` has shape {ids.shape}, expected {expected} for num_classes={num_classes!r}")
    if math.prod(sizes) >= np.iinfo(np.int32).max:
        raise ValueError(f"num_classes={num_classes!r} are {math.prod(sizes)} cells, expected fewer than 2**31")
    ids = ids if several else ids[..., None]
    most = jnp.asarray(np.minimum(sizes, np.iinfo(ids.dtype).max), ids.dtype).reshape((1,) * (ids.ndim - 1) + (-1,))
    within = (ids <= most - 1) if np.max(sizes) <= np.iinfo(ids.dtype).max else (ids <= most)
    sound = jnp.all((ids >= 0) & within, axis=-1)
    return ids.astype(jnp.int32), sizes, sound
