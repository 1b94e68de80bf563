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
from jxent.logits._distances import bhattacharyya_distance, chi_squared_divergence, hellinger_distance, total_variation
from jxent.logits._divergences import (
    jeffreys_divergence,
    jensen_shannon_distance,
    jensen_shannon_divergence,
    kl_divergence,
)
from jxent.logits._generator import f_divergence
from jxent.logits._geometry import fisher_information, fisher_vector_product, natural_gradient
from jxent.logits._information import (
    cross_entropy,
    entropy,
    log_probabilities,
    perplexity,
    probabilities,
    self_information,
)
from jxent.logits._joint import (
    conditional_entropy,
    conditional_mutual_information,
    joint_entropy,
    mutual_information,
    normalized_mutual_information,
    variation_of_information,
)
from jxent.logits._margins import conditional, marginal
from jxent.logits._multivariate import (
    co_information,
    dual_total_correlation,
    interaction_information,
    o_information,
    total_correlation,
)
from jxent.logits._orders import alpha_divergence, renyi_divergence, renyi_entropy, tsallis_entropy
from jxent.logits._pairwise import pairwise_cross_entropy, pairwise_jensen_shannon_divergence, pairwise_kl_divergence

__all__ = [
    "alpha_divergence",
    "bhattacharyya_distance",
    "binary_cross_entropy",
    "binary_entropy",
    "binary_kl_divergence",
    "binary_probability",
    "chi_squared_divergence",
    "co_information",
    "conditional",
    "conditional_entropy",
    "conditional_mutual_information",
    "cross_entropy",
    "dual_total_correlation",
    "entropy",
    "f_divergence",
    "fisher_information",
    "fisher_vector_product",
    "hellinger_distance",
    "interaction_information",
    "jeffreys_divergence",
    "jensen_shannon_distance",
    "jensen_shannon_divergence",
    "joint_entropy",
    "kl_divergence",
    "log_probabilities",
    "marginal",
    "mutual_information",
    "natural_gradient",
    "normalized_mutual_information",
    "o_information",
    "pairwise_cross_entropy",
    "pairwise_jensen_shannon_divergence",
    "pairwise_kl_divergence",
    "perplexity",
    "probabilities",
    "renyi_divergence",
    "renyi_entropy",
    "self_information",
    "total_correlation",
    "total_variation",
    "tsallis_entropy",
    "variation_of_information",
]
