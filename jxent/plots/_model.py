"""Pictures of a fitted softmax regression: weights, losses, confusion matrix, and the effect of the penalty."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from jax.typing import ArrayLike
from numpy.typing import NDArray

from jxent.plots._axes import BLUE, GREY, ORANGE, axes, foreground, short_names

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from jxent.regression import Path

# Up to these numbers of tiles, cells and ticks there is room for their text.
_MOST_TITLES, _MOST_COUNTS, _MOST_TICKS = 60, 20, 40
# More lines than this cannot be told apart.
_MOST_LINES = 200
# More classes fit neither into a picture nor, as a table, into memory.
_MOST_CLASSES = 4096


def weight_images(
    weights: ArrayLike,
    *,
    shape: tuple[int, int] | None = None,
    classes: Sequence[object] | None = None,
    ax: "Axes | None" = None,
) -> "Axes":
    """The weights of every class as an image, in nats per unit of the feature.

    Red pixels raise the score of the class and blue ones lower it; white is 0.

    Args:
        weights: `[D, K]`, features by classes.
        shape: rows and columns of an image, with rows·columns = D. None is a square image where D is a
            square number of at least 16; any other D is drawn as one heat map of classes by features.
        classes: K names; None is 0 to K − 1.
        ax: where to draw; None makes a new figure.

    Returns:
        The `Axes`.

    Raises:
        ImportError: if matplotlib is missing.
        ValueError: if `weights` is not `[D, K]`, or `shape` or `classes` do not fit it.

    Example:
        >>> import numpy as np
        >>> from matplotlib.figure import Figure
        >>> from jxent import plots
        >>> ax = plots.weight_images(np.eye(16)[:, :3], classes=["a", "b", "c"], ax=Figure().subplots())
        >>> [text.get_text() for text in ax.texts]
        ['a', 'b', 'c']
    """
    w = np.asarray(weights, np.float64)
    if w.ndim != 2 or w.size == 0:
        raise ValueError(f"`weights` has shape {w.shape}, expected [D, K]")
    d, k = w.shape
    names = short_names(classes, k)
    if shape is None and d >= 16 and math.isqrt(d) ** 2 == d:
        shape = (math.isqrt(d), math.isqrt(d))
    if shape is not None and (len(shape) != 2 or min(shape) < 1 or shape[0] * shape[1] != d):
        raise ValueError(f"shape={shape} has not as many pixels as the {d} features of `weights`")
    ax = axes(ax)
    if shape is None:
        from matplotlib.ticker import MaxNLocator

        image = w.T
        ax.set_xlabel("feature")
        ax.set_ylabel("class")
        _label_axis(ax, "y", names)
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    else:
        image = _mosaic(ax, w, shape, names)
    limit = float(np.max(np.abs(w), initial=0.0, where=np.isfinite(w))) or 1.0
    drawn = ax.imshow(
        image,
        cmap="RdBu_r",
        vmin=-limit,
        vmax=limit,
        interpolation="nearest",
        aspect="auto" if shape is None else "equal",
    )
    ax.set_title("Weights")
    ax.figure.colorbar(drawn, ax=ax, label="weight (nats per unit of the feature)")
    return ax


def loss_history(history: ArrayLike, *, ax: "Axes | None" = None) -> "Axes":
    """The objective at the start and after every step, in nats.

    Args:
        history: `[num_steps + 1]`, as in the result of `regression.fit`.
        ax: where to draw; None makes a new figure.

    Returns:
        The `Axes`.

    Raises:
        ImportError: if matplotlib is missing.
        ValueError: if `history` is not one row of numbers.

    Example:
        >>> from matplotlib.figure import Figure
        >>> from jxent import plots
        >>> ax = plots.loss_history([2.3, 1.1, 0.4], ax=Figure().subplots())
        >>> ax.get_ylabel()
        'objective (nats)'
    """
    values = np.asarray(history, np.float64)
    if values.ndim != 1 or values.size == 0:
        raise ValueError(f"`history` has shape {values.shape}, expected [num_steps + 1]")
    ax = axes(ax)
    from matplotlib.ticker import MaxNLocator

    ax.plot(np.arange(len(values)), values, marker="o" if len(values) < 30 else "", markersize=4)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.set_xlabel("step")
    ax.set_ylabel("objective (nats)")
    ax.set_title("Loss")
    ax.grid(visible=True, alpha=0.3)
    shown = values[np.isfinite(values)]
    if shown.size and shown.min() > 0 and shown.max() > 20 * shown.min():
        ax.set_yscale("log")
    elif shown.size and shown.min() >= 0:
        ax.set_ylim(bottom=0)
    return ax


def confusion_matrix(
    labels: ArrayLike,
    predictions: ArrayLike,
    *,
    classes: Sequence[object] | None = None,
    ax: "Axes | None" = None,
) -> "Axes":
    """How often each class was taken for each other: counts of rows, true classes down the side.

    The colour is the share of the true class, so that rare classes show as well as frequent ones.

    Args:
        labels: true class ids `[N]`.
        predictions: predicted class ids `[N]`.
        classes: K names; None is 0 to the largest id.
        ax: where to draw; None makes a new figure.

    Returns:
        The `Axes`.

    Raises:
        ImportError: if matplotlib is missing.
        ValueError: if the two differ in length or hold ids outside [0, K).

    Example:
        >>> from matplotlib.figure import Figure
        >>> from jxent import plots
        >>> ax = plots.confusion_matrix([0, 0, 1], [0, 1, 1], classes=["no", "yes"], ax=Figure().subplots())
        >>> [text.get_text() for text in ax.texts]
        ['1', '1', '0', '1']
    """
    true, predicted = np.asarray(labels), np.asarray(predictions)
    if true.ndim != 1 or true.shape != predicted.shape or true.size == 0:
        raise ValueError(f"`labels` has shape {true.shape} and `predictions` {predicted.shape}, expected [N] for both")
    if true.dtype.kind not in "iu" or predicted.dtype.kind not in "iu":
        raise ValueError(f"found class ids of type {true.dtype} and {predicted.dtype}, expected integers")
    largest, smallest = int(max(true.max(), predicted.max())), int(min(true.min(), predicted.min()))
    k = largest + 1 if classes is None else len(classes)
    if k > _MOST_CLASSES:
        raise ValueError(f"found {k} classes, expected at most {_MOST_CLASSES}: number those that occur from 0")
    if smallest < 0 or largest >= k:
        raise ValueError(f"found class ids from {smallest} to {largest}, expected 0 to {k - 1}")
    counts = np.zeros((k, k), np.int64)
    np.add.at(counts, (true, predicted), 1)
    share = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    ax = axes(ax)
    drawn = ax.imshow(share, cmap="Blues", vmin=0, vmax=1, interpolation="nearest")
    names = short_names(classes, k)
    _label_axis(ax, "x", names)
    _label_axis(ax, "y", names)
    ax.set_xlabel("predicted class")
    ax.set_ylabel("true class")
    ax.set_title(f"Confusion matrix: {int(np.trace(counts))} of {len(true)} right")
    if k <= _MOST_COUNTS:
        for (row, column), count in np.ndenumerate(counts):
            colour = "white" if share[row, column] > 0.5 else "black" if count else "0.6"
            size = 9 if k <= 12 else 6
            ax.text(column, row, str(count), ha="center", va="center", color=colour, fontsize=size)
    ax.figure.colorbar(drawn, ax=ax, label="share of the true class")
    return ax


def regularisation_path(l2s: ArrayLike, path: "Path", *, ax: "Axes | None" = None) -> "Axes":
    """The effect of the penalty: held-out cross-entropy of every fold, or without folds the weights.

    With folds the bold line is their mean, the band is its standard error, and the vertical line marks the best
    penalty. Without folds every weight is a line from the smallest penalty to the largest. Of more than 200 weights
    those of largest size along the path are drawn, and the title says so.

    Args:
        l2s: the penalties `[L]` of `regression.fit_path`; a logarithmic axis has no 0.
        path: the result of `regression.fit_path`.
        ax: where to draw; None makes a new figure.

    Returns:
        The `Axes`.

    Raises:
        ImportError: if matplotlib is missing.
        ValueError: if the penalties are not positive, or not as many as the path has.

    Example:
        >>> import numpy as np
        >>> from matplotlib.figure import Figure
        >>> from jxent import plots, regression
        >>> l2s = [1e-3, 1e-1]
        >>> path = regression.fit_path(np.eye(3, dtype=np.float32), [0, 1, 1], l2s)
        >>> ax = plots.regularisation_path(l2s, path, ax=Figure().subplots())
        >>> len(ax.lines)
        7
    """
    penalties = np.asarray(l2s, np.float64)
    weights = np.asarray(path.params.weights, np.float64)
    if penalties.ndim != 1 or penalties.size != weights.shape[0]:
        raise ValueError(f"`l2s` has shape {penalties.shape}, expected the {weights.shape[0]} penalties of the path")
    if not np.all(penalties > 0):
        raise ValueError(f"`l2s` holds {penalties.min():g}, expected penalties above 0: the axis is logarithmic")
    ax = axes(ax)
    order = np.argsort(penalties)
    ax.set_xscale("log")
    ax.set_xlabel("penalty l2")
    if path.scores is None:
        _weight_lines(ax, penalties[order], weights[order].reshape(penalties.size, -1))
    else:
        scores = np.asarray(path.scores, np.float64)[order]
        _score_lines(ax, penalties[order], scores, float(penalties[int(np.asarray(path.best))]))
    return ax


def _weight_lines(ax: "Axes", penalties: NDArray[np.float64], weights: NDArray[np.float64]) -> None:
    number = weights.shape[1]
    shown = np.argsort(-np.abs(weights).max(axis=0), kind="stable")[:_MOST_LINES]
    dot = "o" if len(penalties) == 1 else ""
    ax.plot(penalties, weights[:, shown], color=BLUE, linewidth=1, alpha=0.5, marker=dot)
    ax.axhline(0, color=foreground(), linewidth=0.8)
    ax.set_ylabel("weight (nats per unit of the feature)")
    ax.set_title("Weights" if number <= _MOST_LINES else f"The {_MOST_LINES} largest of {number} weights")


def _score_lines(ax: "Axes", penalties: NDArray[np.float64], scores: NDArray[np.float64], best: float) -> None:
    folds = scores.shape[1]
    mean = scores.mean(axis=1)
    error = scores.std(axis=1, ddof=1) / math.sqrt(folds)
    dot = "o" if len(penalties) == 1 else ""
    ax.plot(penalties, scores, color=GREY, linewidth=0.8, alpha=0.6, marker=dot)
    ax.fill_between(penalties, mean - error, mean + error, color=BLUE, alpha=0.25, linewidth=0)
    ax.plot(
        penalties, mean, color=BLUE, linewidth=2, marker=dot, label=f"mean of {folds} folds, with its standard error"
    )
    ax.axvline(best, color=ORANGE, linestyle="--", label=f"best: {best:.3g}")
    ax.set_ylabel("held-out cross-entropy (nats)")
    ax.set_title("Penalties by cross-validation")
    ax.legend(loc="best", framealpha=0.8)


def _label_axis(ax: "Axes", which: str, names: list[str]) -> None:
    """A tick with a name for each class, or for every n-th class where the names would overlap."""
    every = range(0, len(names), math.ceil(len(names) / _MOST_TICKS))
    axis = ax.xaxis if which == "x" else ax.yaxis
    axis.set_ticks(list(every))
    # Without math text: a name such as "$5" is no formula.
    axis.set_ticklabels([names[i] for i in every], parse_math=False)
    if which == "x" and max(map(len, names)) > 3 and len(names) > 3:
        axis.set_tick_params(rotation=90)


def _mosaic(ax: "Axes", w: NDArray[np.float64], shape: tuple[int, int], names: list[str]) -> NDArray[Any]:
    """One image of all classes, left to right and top to bottom, with the name above each."""
    (rows, columns), k = shape, w.shape[1]
    # Twice as many columns as rows, about: 10 classes are two rows of five.
    across = min(k, math.ceil(math.sqrt(2.0 * k)))
    down = math.ceil(k / across)
    above, between = max(1, math.ceil(rows / 4)), max(1, math.ceil(columns / 12))
    canvas = np.full((down * (rows + above), across * (columns + between) - between), np.nan)
    for i, name in enumerate(names):
        top = (i // across) * (rows + above) + above
        left = (i % across) * (columns + between)
        canvas[top : top + rows, left : left + columns] = w[:, i].reshape(rows, columns)
        if k <= _MOST_TITLES:
            ax.text(
                left + columns / 2 - 0.5,
                top - 0.5 - 0.1 * above,
                name,
                ha="center",
                va="bottom",
                fontsize=10 if across <= 6 else 7,
                parse_math=False,
            )
    ax.set_axis_off()
    return canvas
