"""Measures of distributions given as probabilities.

Every function takes arrays of probabilities with the categories along `axis`, treats all other axes as
a batch and returns one number per distribution. Nothing is normalised, clipped or smoothed.
"""

from jxent.probs._bernoulli import binary_cross_entropy, binary_entropy, binary_kl_divergence
from jxent.probs._divergences import (
    jeffreys_divergence,
    jensen_shannon_distance,
    jensen_shannon_divergence,
    kl_divergence,
)
from jxent.probs._information import cross_entropy, entropy, perplexity, self_information

__all__ = [
    "binary_cross_entropy",
    "binary_entropy",
    "binary_kl_divergence",
    "cross_entropy",
    "entropy",
    "jeffreys_divergence",
    "jensen_shannon_distance",
    "jensen_shannon_divergence",
    "kl_divergence",
    "perplexity",
    "self_information",
]
