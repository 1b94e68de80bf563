"""Softmax regression: composed from the losses of this package, compared with its closed form, and trained.

`weights` is `[D, K]` here, features by classes; `jxent.linear`, made for a million classes, has `[V, D]`.
"""

from jxent.regression._checkpoint import CheckpointWarning
from jxent.regression._fit import ConvergenceWarning, Fit, fit
from jxent.regression._gradients import GradientAgreement, compare_gradients
from jxent.regression._model import Params, init, logits, objective, predict, predict_proba
from jxent.regression._path import Path, fit_path

__all__ = [
    "CheckpointWarning",
    "ConvergenceWarning",
    "Fit",
    "GradientAgreement",
    "Params",
    "Path",
    "compare_gradients",
    "fit",
    "fit_path",
    "init",
    "logits",
    "objective",
    "predict",
    "predict_proba",
]
