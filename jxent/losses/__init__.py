"""Losses of predictions and labels, in optax's order `(predictions, targets)`, reduced over classes only.

A softmax loss on `[..., K]` returns `[...]`; the elementwise losses keep the shape of their inputs;
`mean` is the average that is 0, not NaN, when nothing takes part.
"""

from jxent.losses._elementwise import (
    focal_loss,
    huber_loss,
    l1_loss,
    l2_loss,
    pseudo_huber_loss,
    sigmoid_binary_cross_entropy,
)
from jxent.losses._focal import softmax_focal_loss, softmax_focal_loss_with_integer_labels
from jxent.losses._mean import mean
from jxent.losses._softmax import kl_divergence, softmax_cross_entropy, softmax_cross_entropy_with_integer_labels

__all__ = [
    "focal_loss",
    "huber_loss",
    "kl_divergence",
    "l1_loss",
    "l2_loss",
    "mean",
    "pseudo_huber_loss",
    "sigmoid_binary_cross_entropy",
    "softmax_cross_entropy",
    "softmax_cross_entropy_with_integer_labels",
    "softmax_focal_loss",
    "softmax_focal_loss_with_integer_labels",
]
