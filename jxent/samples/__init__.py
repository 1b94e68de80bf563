"""Information of what continuous samples came from: entropies, divergences and dependence, estimated.

Samples are rows: `[n, d]`, or `[n]` for one dimension; a batch of data sets goes by `jax.vmap`.
"""

from jxent.samples._entropy import entropy, kl_divergence
from jxent.samples._information import conditional_mutual_information, mutual_information, transfer_entropy

__all__ = [
    "conditional_mutual_information",
    "entropy",
    "kl_divergence",
    "mutual_information",
    "transfer_entropy",
]
