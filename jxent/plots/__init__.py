"""Pictures of distributions, information and fitted models. They need matplotlib, the extra `plots`.

Every function draws into one `Axes` and returns it; without `ax` it makes a new figure. Nothing else of
matplotlib's state changes, and `ax.figure.savefig("picture.png")` saves the picture. Lines and text take the
colours of the current style, so that they show on light and dark backgrounds. All other colours are distinct for
any colour vision.
"""

from jxent.plots._calibration import reliability_diagram
from jxent.plots._distributions import distributions, entropy_curve
from jxent.plots._gradients import gradient_agreement
from jxent.plots._information import information_diagram
from jxent.plots._model import confusion_matrix, loss_history, regularisation_path, weight_images
from jxent.plots._simplex import simplex

__all__ = [
    "confusion_matrix",
    "distributions",
    "entropy_curve",
    "gradient_agreement",
    "information_diagram",
    "loss_history",
    "regularisation_path",
    "reliability_diagram",
    "simplex",
    "weight_images",
]
