"""Helpers of all pictures: axes, colours, names of classes, and checks of distributions."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from numpy.typing import NDArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Okabe and Ito, Color Universal Design (2008): distinct for any colour vision, on white and on black.
BLUE, ORANGE, GREEN, GREY = "#0072B2", "#D55E00", "#009E73", "#8C8C8C"

# Wide enough for float32 with many classes, and for numbers typed by hand.
_SUM_TOLERANCE = 1e-3


def axes(ax: "Axes | None") -> "Axes":
    """`ax`, or the axes of a new figure."""
    try:
        from matplotlib import pyplot
    except ImportError as error:
        raise ImportError('pictures need matplotlib: pip install "jxent[plots]"') from error
    return pyplot.subplots(layout="constrained")[1] if ax is None else ax


def foreground() -> Any:
    """The text colour of the current style: dark on light, light on dark."""
    from matplotlib import rcParams

    return rcParams["text.color"]


def background() -> Any:
    """The background colour of the current style."""
    from matplotlib import rcParams

    return rcParams["axes.facecolor"]


def short_names(classes: Sequence[object] | None, k: int, argument: str = "classes") -> list[str]:
    """A name for each of k classes, on one line and cut to 14 characters."""
    if classes is None:
        return [str(i) for i in range(k)]
    if len(classes) != k:
        raise ValueError(f"`{argument}` has {len(classes)} names, expected {k}")
    texts = [" ".join(str(name).split()) for name in classes]
    return [text if len(text) <= 14 else text[:13] + "…" for text in texts]


def sum_tolerance(p: ArrayLike) -> float:
    """The allowed distance from 1 of the sum of a distribution, in float32 or in its own coarser dtype."""
    dtype = getattr(p, "dtype", None)
    rounding = float(jnp.finfo(dtype).eps) if dtype is not None and jnp.issubdtype(dtype, jnp.floating) else 0.0
    return max(_SUM_TOLERANCE, 2 * rounding)


def distribution(name: str, p: ArrayLike, shape: str, ndim: Sequence[int]) -> NDArray[np.float64]:
    """An array of probabilities that sum to 1, or a `ValueError` with the reason."""
    values = np.asarray(p, np.float64)
    if values.ndim not in ndim or values.size == 0:
        raise ValueError(f"`{name}` has shape {values.shape}, expected {shape}")
    if not np.all(values >= 0):
        raise ValueError(f"`{name}` holds {np.min(values)}, expected probabilities")
    if abs(values.sum() - 1) > sum_tolerance(p):
        raise ValueError(f"`{name}` sums to {values.sum():.6g}, expected 1: divide it by its sum")
    return values
