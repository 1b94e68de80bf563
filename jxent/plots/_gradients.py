"""Two gradients of the same function, entry by entry."""

from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from jxent.plots._axes import BLUE, GREY, ORANGE, axes, foreground

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def gradient_agreement(
    automatic: Any, by_hand: Any, *, names: tuple[str, str] = ("jax.grad", "by hand"), ax: "Axes | None" = None
) -> "Axes":
    """The difference of two gradients, entry by entry, over the size of the entry.

    The dashed line is one rounding of the largest entry, about the error of a sum that cancels. The dotted line is one
    rounding of the entry itself. Entries that are equal to the last bit are in a row at the bottom. The entries of a
    wrong formula lie far above both lines. The title counts the entries that are not finite.

    Args:
        automatic: a gradient: an array or a pytree of arrays, such as `regression.Params`.
        by_hand: a second gradient of the same structure and shapes.
        names: of the two gradients.
        ax: where to draw; None makes a new figure.

    Returns:
        The `Axes`.

    Raises:
        ImportError: if matplotlib is missing.
        ValueError: if the two differ in structure or shape, or hold nothing.

    Example:
        >>> import jax
        >>> from matplotlib.figure import Figure
        >>> from jxent import closed_form, losses, plots
        >>> loss = losses.softmax_cross_entropy
        >>> z, t = jax.numpy.asarray([2.0, 1.0, -1.0]), jax.numpy.asarray([0.0, 1.0, 0.0])
        >>> gradients = jax.grad(loss)(z, t), closed_form.softmax_cross_entropy(z, t)
        >>> plots.gradient_agreement(*gradients, ax=Figure().subplots()).get_ylabel()
        '|jax.grad − by hand|'
    """
    (first, second), precision = _entries(automatic, by_hand)
    size, apart = np.abs(second), np.abs(first - second)
    finite = np.isfinite(size) & np.isfinite(apart)
    largest = float(np.max(size, where=finite, initial=0.0)) or 1.0
    rounding = precision * largest
    smallest = float(np.min(apart, where=finite & (apart > 0), initial=rounding))
    floor = 10.0 ** np.floor(np.log10(smallest) - 0.5)
    ax = axes(ax)
    ax.set_xscale("log")
    ax.set_yscale("log")
    equal, differ = finite & (apart == 0), finite & (apart > 0)
    # A logarithmic axis has no 0: entries of 0 are at its left end, at a tenth of the smallest other entry.
    least = 0.1 * float(np.min(size, where=finite & (size > 0), initial=largest))
    across = np.maximum(size, least)
    ax.plot(across[differ], apart[differ], ".", color=BLUE, alpha=0.5, label=f"{differ.sum()} entries")
    ax.plot(across[equal], np.full(equal.sum(), floor), "|", color=GREY, label=f"{equal.sum()} equal to the last bit")
    ends = np.asarray([least, largest])
    ax.plot(ends, [rounding, rounding], "--", color=ORANGE, label="one rounding of the largest entry")
    ax.plot(ends, precision * ends, ":", color=foreground(), label="one rounding of the entry")
    # Room for the legend above everything.
    low, high = 0.5 * floor, max(rounding, float(np.max(apart, where=finite, initial=0.0)))
    ax.set_ylim(low, high * (high / low) ** 0.4)
    ax.set_xlabel(f"|{names[1]}|")
    ax.set_ylabel(f"|{names[0]} − {names[1]}|")
    lost = int(np.sum(~finite))
    ax.set_title(f"{lost} of {size.size} entries are not finite" if lost else f"Gradients, {size.size} entries")
    ax.legend(frameon=False, fontsize="small")
    return ax


def _entries(automatic: Any, by_hand: Any) -> tuple[tuple[Any, Any], float]:
    """All entries of both in float64, and the relative rounding of the coarser of their dtypes."""
    one, two = jax.tree.flatten(automatic), jax.tree.flatten(by_hand)
    if one[1] != two[1]:
        raise ValueError(f"the gradients are built differently: {one[1]} and {two[1]}, expected the same")
    pairs = [(np.asarray(a), np.asarray(b)) for a, b in zip(one[0], two[0], strict=True)]
    for a, b in pairs:
        if a.shape != b.shape:
            raise ValueError(f"the gradients have entries of shapes {a.shape} and {b.shape}, expected the same")
    if not sum(a.size for a, _ in pairs):
        raise ValueError("the gradients hold no entry")
    kinds = [x.dtype for pair in pairs for x in pair if jnp.issubdtype(x.dtype, jnp.floating)]
    precision = max((float(jnp.finfo(kind).eps) for kind in kinds), default=float(np.finfo(np.float64).eps))
    first, second = (np.concatenate([np.asarray(pair[i], np.float64).ravel() for pair in pairs]) for i in (0, 1))
    return (first, second), precision
