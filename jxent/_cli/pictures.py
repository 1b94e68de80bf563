"""The pictures of a training run, where matplotlib is installed."""

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from jxent import plots
from jxent._cli.score import Score
from jxent._cli.store import PICTURES
from jxent.regression import Fit


def draw(folder: Path, fit: Fit, classes: tuple[int | str, ...], test: Score) -> list[str]:
    """Write the pictures and return their names; none without matplotlib."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        return []
    weights, history = np.asarray(fit.params.weights), np.asarray(fit.history)
    side = min(10.0, 4.8 + 0.25 * max(0, len(classes) - 10))
    drawings: tuple[tuple[float, float, Callable[[Any], Any]], ...] = (
        (8.0, 4.0, lambda ax: plots.weight_images(weights, classes=classes, ax=ax)),
        (6.4, 4.0, lambda ax: plots.loss_history(history, ax=ax)),
        (
            side + 1.0,
            side,
            lambda ax: plots.confusion_matrix(test.labels, test.predictions, classes=classes, ax=ax),
        ),
    )
    for name, (width, height, paint) in zip(PICTURES, drawings, strict=True):
        # Not a figure of pyplot, which opens a window and keeps state.
        figure = Figure(figsize=(width, height), layout="constrained")
        paint(figure.add_subplot())
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # The font may lack letters of a class name.
            figure.savefig(folder / name, dpi=150)
    return list(PICTURES)
