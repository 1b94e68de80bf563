"""Comparison of a derivative from `jax.grad` with one worked out by hand."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

__all__ = ["Agreement", "compare"]


class Agreement(NamedTuple):
    """How far two arrays are apart.

    Attributes:
        max_abs: max |a − b| over all entries; entries that are the same infinity count as equal.
        max_rel: max |a − b| / max |b| over the array, never elementwise.
        agrees: whether max_rel is within the tolerance.
    """

    max_abs: float
    max_rel: float
    agrees: bool


def default_tolerance(dtype: Any) -> float:
    """The relative difference due to rounding: the accuracy that the package promises for the dtype."""
    return 4e-6 if jnp.finfo(dtype).bits <= 32 else 2e-14


def measure(a: Any, b: Any, *, tolerance: float | None = None, scale: float | None = None) -> Agreement:
    """The agreement of two arrays, or of two pytrees leaf by leaf, in float64.

    Args:
        a: array or pytree.
        b: array or pytree of the same structure, the reference.
        tolerance: largest relative difference that counts as agreement; None takes that of the dtype.
        scale: the divisor of max |a − b| that is compared with the tolerance; None is max |b|.
    """
    pairs = list(zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True))
    if tolerance is None:
        tolerance = max(default_tolerance(jnp.asarray(x).dtype) for x, _ in pairs)
    flat_a, flat_b = (np.concatenate([np.asarray(p[i], np.float64).ravel() for p in pairs]) for i in (0, 1))
    same = flat_a == flat_b  # the same infinity too
    gap = np.abs(np.where(same, 0.0, flat_a) - np.where(same, 0.0, flat_b))
    max_abs = float(np.max(gap, initial=0.0))
    finite = np.abs(flat_b[np.isfinite(flat_b)])
    size = float(np.max(finite, initial=0.0))
    max_rel = 0.0 if max_abs == 0 else (max_abs / size if size > 0 else float("inf"))
    judged = max_rel if scale is None else (0.0 if max_abs == 0 else max_abs / scale if scale > 0 else float("inf"))
    return Agreement(max_abs, max_rel, bool(judged <= tolerance))


def compare(
    function: Callable[..., Any],
    gradient: Callable[..., Any],
    *args: Any,
    tolerance: float | None = None,
    **options: Any,
) -> Agreement:
    """Compare `jax.grad` of a function with a gradient worked out by hand.

    A function that returns one value per row is summed first: the rows do not depend on each other.

    Args:
        function: a measure or loss, such as `jxent.probs.entropy`.
        gradient: its closed form, such as `jxent.closed_form.probs_entropy`; a plain tuple is taken as
            the gradient in as many leading arguments.
        args: positional arguments of both.
        tolerance: largest max_rel that counts as agreement; None is 4e-6 in float32, 2e-14 in float64.
        options: keyword options of both.

    Returns:
        `Agreement(max_abs, max_rel, agrees)` over all entries.

    Edge cases: equal infinities agree, a NaN on one side or on both never does.

    Gradient: none; the numbers are Python floats.

    Example:
        >>> from jxent import closed_form, probs
        >>> closed_form.compare(probs.entropy, closed_form.probs_entropy, [0.2, 0.3, 0.5]).agrees
        True

    Reference: A. Griewank and A. Walther, Evaluating Derivatives, 2nd ed. (2008).
    """
    arrays = tuple(_floating(a) for a in args)
    by_hand = gradient(*arrays, **options)
    several = type(by_hand) is tuple
    argnums: Any = tuple(range(len(by_hand))) if several else 0
    automatic = jax.grad(lambda *a: jnp.sum(function(*a, **options)), argnums=argnums)(*arrays)
    return measure(automatic, by_hand, tolerance=tolerance)


def _floating(argument: Any) -> Any:
    """Lists and Python numbers as arrays, so that they can be differentiated; pytrees as they are."""
    if isinstance(argument, (list, float)) or (isinstance(argument, np.ndarray) and argument.dtype.kind == "f"):
        return jnp.asarray(argument)
    return argument
