"""Measures of distributions given as probabilities.

Every function takes arrays of probabilities with the categories along `axis`, treats all other axes as
a batch and returns one number per distribution. Nothing is normalised, clipped or smoothed.
"""

from jxent.probs._bernoulli import binary_cross_entropy, binary_entropy, binary_kl_divergence
from jxent.probs._distances import bhattacharyya_distance, chi_squared_divergence, hellinger_distance, total_variation
from jxent.probs._divergences import (
    jeffreys_divergence,
    jensen_shannon_distance,
    jensen_shannon_divergence,
    kl_divergence,
)
from jxent.probs._generator import f_divergence
from jxent.probs._information import cross_entropy, entropy, perplexity, self_information
from jxent.probs._joint import (
    conditional_entropy,
    conditional_mutual_information,
    joint_entropy,
    mutual_information,
    normalized_mutual_information,
    variation_of_information,
)
from jxent.probs._margins import conditional, marginal
from jxent.probs._multivariate import (
    co_information,
    dual_total_correlation,
    interaction_information,
    o_information,
    total_correlation,
)
from jxent.probs._orders import alpha_divergence, renyi_divergence, renyi_entropy, tsallis_entropy
from jxent.probs._pairwise import pairwise_cross_entropy, pairwise_jensen_shannon_divergence, pairwise_kl_divergence

__all__ = [
    "alpha_divergence",
    "bhattacharyya_distance",
    "binary_cross_entropy",
    "binary_entropy",
    "binary_kl_divergence",
    "chi_squared_divergence",
    "co_information",
    "conditional",
    "conditional_entropy",
    "conditional_mutual_information",
    "cross_entropy",
    "dual_total_correlation",
    "entropy",
    "f_divergence",
    "hellinger_distance",
    "interaction_information",
    "jeffreys_divergence",
    "jensen_shannon_distance",
    "jensen_shannon_divergence",
    "joint_entropy",
    "kl_divergence",
    "marginal",
    "mutual_information",
    "normalized_mutual_information",
    "o_information",
    "pairwise_cross_entropy",
    "pairwise_jensen_shannon_divergence",
    "pairwise_kl_divergence",
    "perplexity",
    "renyi_divergence",
    "renyi_entropy",
    "self_information",
    "total_correlation",
    "total_variation",
    "tsallis_entropy",
    "variation_of_information",
]
