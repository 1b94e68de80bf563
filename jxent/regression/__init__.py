"""Softmax regression: model, objective, training, and a comparison of its gradient with the closed form.

`weights` is `[D, K]`, features by classes; `jxent.linear`, for up to a million classes, has `[V, D]`.
"""

from jxent.regression._checkpoint import CheckpointWarning
from jxent.regression._fit import ConvergenceWarning, Fit, fit
from jxent.regression._gradients import GradientAgreement, compare_gradients
from jxent.regression._model import Params, init, logits, objective, predict, predict_proba
from jxent.regression._path import Path, RareClassWarning, fit_path

__all__ = [
    "CheckpointWarning",
    "ConvergenceWarning",
    "Fit",
    "GradientAgreement",
    "Params",
    "Path",
    "RareClassWarning",
    "compare_gradients",
    "fit",
    "fit_path",
    "init",
    "logits",
    "objective",
    "predict",
    "predict_proba",
]
