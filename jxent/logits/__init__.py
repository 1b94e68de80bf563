"""Measures of distributions given as logits: log-probabilities up to a constant per row.

Every function takes arrays of logits of any shift with the categories along `axis`, treats all other
axes as a batch and returns one number per distribution. −inf is probability zero. Every derivative
is finite for any finite logits and for −inf.
"""

from jxent.logits._bernoulli import (
    binary_cross_entropy,
    binary_entropy,
    binary_kl_divergence,
    binary_probability,
)
from jxent.logits._divergences import (
    jeffreys_divergence,
    jensen_shannon_distance,
    jensen_shannon_divergence,
    kl_divergence,
)
from jxent.logits._information import (
    cross_entropy,
    entropy,
    log_probabilities,
    perplexity,
    probabilities,
    self_information,
)

__all__ = [
    "binary_cross_entropy",
    "binary_entropy",
    "binary_kl_divergence",
    "binary_probability",
    "cross_entropy",
    "entropy",
    "jeffreys_divergence",
    "jensen_shannon_distance",
    "jensen_shannon_divergence",
    "kl_divergence",
    "log_probabilities",
    "perplexity",
    "probabilities",
    "self_information",
]
