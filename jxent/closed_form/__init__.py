"""Derivatives worked out by hand, to hold against `jax.grad`.

One function per loss, of the same name, and one per measure, named by room (`probs_entropy`,
`logits_kl_divergence`, …). Each takes the arguments and options of its function and returns the
gradient with respect to the first argument, or a tuple for two. A row's value depends on that row
alone, so the gradient of the sum over the batch, which is what is returned, holds every row's own.
They are written with plain operations: no derivative rule of this package takes part in them.
"""

from jxent.closed_form._bernoulli import (
    logits_binary_cross_entropy,
    logits_binary_entropy,
    logits_binary_kl_divergence,
    logits_binary_probability,
    probs_binary_cross_entropy,
    probs_binary_entropy,
    probs_binary_kl_divergence,
)
from jxent.closed_form._compare import Agreement, compare
from jxent.closed_form._logits import (
    logits_cross_entropy,
    logits_entropy,
    logits_jeffreys_divergence,
    logits_jensen_shannon_distance,
    logits_jensen_shannon_divergence,
    logits_kl_divergence,
    logits_perplexity,
    logits_self_information,
)
from jxent.closed_form._losses import (
    huber_loss,
    l1_loss,
    l2_loss,
    sigmoid_binary_cross_entropy,
    softmax_cross_entropy,
    softmax_cross_entropy_with_integer_labels,
)
from jxent.closed_form._model import (
    softmax_cross_entropy_hessian,
    softmax_jacobian,
    softmax_regression,
)
from jxent.closed_form._probs import (
    probs_cross_entropy,
    probs_entropy,
    probs_jeffreys_divergence,
    probs_jensen_shannon_distance,
    probs_jensen_shannon_divergence,
    probs_kl_divergence,
    probs_perplexity,
    probs_self_information,
)

__all__ = [
    "Agreement",
    "compare",
    "huber_loss",
    "l1_loss",
    "l2_loss",
    "logits_binary_cross_entropy",
    "logits_binary_entropy",
    "logits_binary_kl_divergence",
    "logits_binary_probability",
    "logits_cross_entropy",
    "logits_entropy",
    "logits_jeffreys_divergence",
    "logits_jensen_shannon_distance",
    "logits_jensen_shannon_divergence",
    "logits_kl_divergence",
    "logits_perplexity",
    "logits_self_information",
    "probs_binary_cross_entropy",
    "probs_binary_entropy",
    "probs_binary_kl_divergence",
    "probs_cross_entropy",
    "probs_entropy",
    "probs_jeffreys_divergence",
    "probs_jensen_shannon_distance",
    "probs_jensen_shannon_divergence",
    "probs_kl_divergence",
    "probs_perplexity",
    "probs_self_information",
    "sigmoid_binary_cross_entropy",
    "softmax_cross_entropy",
    "softmax_cross_entropy_hessian",
    "softmax_cross_entropy_with_integer_labels",
    "softmax_jacobian",
    "softmax_regression",
]
