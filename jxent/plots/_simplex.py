"""The distributions over three classes as a triangle."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from numpy.typing import NDArray

from jxent.plots._axes import BLUE, ORANGE, axes, foreground, short_names, sum_tolerance

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# The positions of the three certain distributions; distances in the triangle are proportional to Euclidean ones.
_CORNERS = np.asarray([[0.0, 0.0], [1.0, 0.0], [0.5, np.sqrt(0.75)]])
# Steps per side of the grid of colours, and of the grid of arrows.
_FINE, _COARSE = 80, 10


def simplex(
    function: Callable[[Any], Any] | None = None,
    *,
    points: ArrayLike | None = None,
    path: ArrayLike | None = None,
    gradient: bool = False,
    classes: Sequence[object] | None = None,
    label: str = "value (nats)",
    ax: "Axes | None" = None,
) -> "Axes":
    """The triangle of all distributions over three classes, with the values and the gradient of a function on it.

    A corner is a certain class, an edge has one impossible class, the middle is the uniform distribution. The arrows
    are the gradient projected onto the triangle, on which probabilities sum to 1; they point uphill. Their lengths grow
    with the size of the gradient and saturate. A cross marks a gradient that is not finite. Where the value is not
    finite there is no colour.

    Args:
        function: from distributions `[N, 3]` to values `[N]`, such as `probs.entropy`; None draws no values.
        points: distributions `[N, 3]` to draw as dots.
        path: distributions `[T, 3]` to join by a line, from a dot at the first to an arrow head at the last.
        gradient: whether to draw the gradient of `function`, on a grid that includes the edges and corners.
        classes: three names; None is 0, 1, 2.
        label: of the colour bar.
        ax: where to draw; None makes a new figure.

    Returns:
        The `Axes`.

    Raises:
        ImportError: if matplotlib is missing.
        ValueError: if points are no distributions over three classes, or the function does not return a value for each.

    Example:
        >>> import numpy as np
        >>> from matplotlib.figure import Figure
        >>> from jxent import plots, probs
        >>> ax = plots.simplex(probs.entropy, gradient=True, points=[[0.2, 0.3, 0.5]], ax=Figure().subplots())
        >>> [text.get_text() for text in ax.texts]
        ['0', '1', '2']

        A second distribution broadcasts as one row, and `ax.figure.savefig("kl.png")` saves the picture:

        >>> q = np.asarray([0.5, 0.3, 0.2], np.float32)
        >>> ax = plots.simplex(lambda p: probs.kl_divergence(p, q[None, :]), points=[q], label="KL (nats)")
    """
    names = short_names(classes, 3)
    dots = None if points is None else place("points", points)
    line = None if path is None else place("path", path)
    if function is not None and not callable(function):
        raise TypeError(f"`function` is of type {type(function).__name__}, expected a function; give arrays as points=")
    if gradient and function is None:
        raise ValueError("gradient=True needs a `function` to differentiate")
    ax = axes(ax)
    if function is not None:
        _colours(ax, function, label)
    if function is not None and gradient:
        _arrows(ax, function)
    ax.plot(*np.vstack([_CORNERS, _CORNERS[:1]]).T, color=foreground(), linewidth=1)
    if line is not None:
        ax.plot(*line.T, color=ORANGE, linewidth=2)
        ax.plot(*line[0], "o", color=ORANGE)
        if len(line) > 1:
            ax.annotate("", line[-1], line[-2], arrowprops={"arrowstyle": "-|>", "color": ORANGE, "shrinkB": 0})
    if dots is not None:
        ax.plot(*dots.T, "o", color=BLUE, markeredgecolor="white", markersize=6, linestyle="none")
    for corner, name, (across, up) in zip(_CORNERS, names, ((-1, -1), (1, -1), (0, 1)), strict=True):
        ax.annotate(
            name,
            corner,
            xytext=(14 * across, 16 * up),
            textcoords="offset points",
            ha=("right", "center", "left")[across + 1],
            va="bottom" if up > 0 else "top",
            parse_math=False,
        )
    ax.set_aspect("equal")
    ax.set_xlim(-0.15, 1.15)
    ax.set_ylim(-0.15, 1.05)
    ax.set_axis_off()
    return ax


def place(name: str, distributions: ArrayLike) -> NDArray[np.float64]:
    """The positions `[N, 2]` of distributions `[N, 3]`."""
    p = np.asarray(distributions, np.float64)
    if p.ndim != 2 or p.shape[1] != 3 or not len(p):
        raise ValueError(f"`{name}` has shape {p.shape}, expected distributions [N, 3]")
    if not np.all(p >= 0) or np.abs(p.sum(axis=1) - 1).max() > sum_tolerance(distributions):
        raise ValueError(f"`{name}` holds rows that are negative, NaN or do not sum to 1, expected distributions")
    return p @ _CORNERS


def _grid(steps: int) -> NDArray[np.float32]:
    """The distributions on a grid of `steps` per side, with edges and corners."""
    steps_per_class = [(i, j, steps - i - j) for i in range(steps + 1) for j in range(steps + 1 - i)]
    return np.asarray(steps_per_class, np.float32) / np.float32(steps)


def _colours(ax: "Axes", function: Callable[[Any], Any], label: str) -> None:
    from matplotlib.tri import Triangulation

    p = _grid(_FINE)
    values = np.asarray(function(jnp.asarray(p)), np.float64)
    if values.shape != (len(p),):
        raise ValueError(f"`function` gives shape {values.shape} for distributions {p.shape}, expected ({len(p)},)")
    triangles = Triangulation(*(p @ _CORNERS).T)
    finite = np.isfinite(values)
    if not finite.any():
        raise ValueError("`function` is finite nowhere on the triangle")
    triangles.set_mask(~finite[triangles.triangles].all(axis=1))
    drawn = ax.tricontourf(triangles, np.where(finite, values, 0.0), levels=_levels(values[finite]), cmap="viridis")
    ax.figure.colorbar(drawn, ax=ax, label=label)


def _levels(values: NDArray[np.float64]) -> NDArray[np.float64]:
    from matplotlib.ticker import MaxNLocator

    low, high = float(values.min()), float(values.max())
    return np.asarray(MaxNLocator(12).tick_values(low, high if high > low else low + 1.0))


def _arrows(ax: "Axes", function: Callable[[Any], Any]) -> None:
    p = _grid(_COARSE)
    slope = np.asarray(jax.vmap(jax.grad(lambda row: jnp.squeeze(function(row[None]))))(jnp.asarray(p)), np.float64)
    at = p @ _CORNERS
    finite = np.isfinite(slope).all(axis=1)
    along = (slope[finite] - slope[finite].mean(axis=1, keepdims=True)) @ _CORNERS
    size = np.linalg.norm(along, axis=1, keepdims=True)
    typical = float(np.median(size[size > 0])) if np.any(size > 0) else 1.0
    length = 0.9 / _COARSE * size / (size + typical)
    arrows = np.divide(along, size, out=np.zeros_like(along), where=size > 0) * length
    ax.quiver(
        *at[finite].T,
        *arrows.T,
        angles="xy",
        scale_units="xy",
        scale=1,
        color="white",
        edgecolor="black",
        linewidth=0.6,
        width=0.007,
        zorder=3,
    )
    if not finite.all():
        ax.plot(*at[~finite].T, "x", color=ORANGE, zorder=3)
