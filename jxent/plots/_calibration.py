"""The calibration of predicted probabilities as a picture."""

from typing import TYPE_CHECKING

import numpy as np
from jax.typing import ArrayLike
from numpy.typing import NDArray

from jxent import calibration
from jxent.plots._axes import BLUE, GREY, axes, foreground

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# The standard normal quantile of a 95 % interval.
_Z = 1.959963984540054


def reliability_diagram(p: ArrayLike, labels: ArrayLike, *, num_bins: int = 15, ax: "Axes | None" = None) -> "Axes":
    """The accuracy of predictions over their confidence: calibrated predictions lie on the diagonal.

    Each point is a bin of the probability of the predicted class, with Wilson's 95 % interval for the accuracy.
    Points below the diagonal are overconfident. The grey bars are the share of all rows in each bin. The title has the
    expected calibration error.

    Args:
        p: predicted probabilities `[N, K]`.
        labels: integer class ids `[N]`.
        num_bins: number of equal bins of the confidence; an empty bin has no point.
        ax: where to draw; None makes a new figure.

    Returns:
        The `Axes`.

    Raises:
        ImportError: if matplotlib is missing.
        ValueError: if the shapes do not fit each other, there is no row, a label is outside [0, K), or `p` holds NaN.

    Example:
        >>> from matplotlib.figure import Figure
        >>> from jxent import plots
        >>> ax = plots.reliability_diagram([[0.9, 0.1], [0.4, 0.6]], [0, 0], ax=Figure().subplots())
        >>> ax.get_title()
        'Expected calibration error 35.00 %'

    Reference: E. B. Wilson, Probable inference, the law of succession, and statistical inference, Journal of the
    American Statistical Association 22 (1927).
    """
    curve = calibration.reliability_curve(p, labels, num_bins=num_bins)
    confidence, accuracy, weight = (np.asarray(column, np.float64) for column in curve)
    error = float(calibration.expected_calibration_error(p, labels, num_bins=num_bins))
    if not weight.sum() > 0 or not np.isfinite(error):
        raise ValueError("found no rows, NaN in `p` or labels outside [0, K), expected a probability for every class")
    ax = axes(ax)
    width = 1 / num_bins
    ax.bar((np.arange(num_bins) + 0.5) * width, weight / weight.sum(), width, color=GREY, alpha=0.35, label="rows")
    ax.plot([0, 1], [0, 1], color=foreground(), linewidth=1, linestyle=":", label="calibrated")
    held = weight > 0
    low, high = _wilson(accuracy[held], weight[held])
    ax.errorbar(
        confidence[held],
        accuracy[held],
        yerr=(np.maximum(accuracy[held] - low, 0), np.maximum(high - accuracy[held], 0)),
        fmt="o-",
        color=BLUE,
        capsize=3,
        label="found, with 95 % interval",
    )
    ax.set_xlim(0, 1)
    ax.set_ylim(0, 1.02)
    ax.set_xlabel("confidence: probability of the predicted class")
    ax.set_ylabel("share right; share of the rows")
    ax.set_title(f"Expected calibration error {error:.2%}".replace("%", " %"))
    ax.legend(loc="best", fontsize="small", framealpha=0.8)
    return ax


def _wilson(share: NDArray[np.float64], n: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Both ends of Wilson's interval for a probability, from the share of successes in n trials."""
    middle = (share + _Z**2 / (2 * n)) / (1 + _Z**2 / n)
    half = _Z / (1 + _Z**2 / n) * np.sqrt(share * (1 - share) / n + _Z**2 / (4 * n**2))
    return middle - half, middle + half
