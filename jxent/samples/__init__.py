"""Entropy, divergence and dependence of continuous distributions, estimated from samples.

Samples are rows: `[n, d]`, or `[n]` for one dimension. For a batch of data sets use `jax.vmap`.
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
