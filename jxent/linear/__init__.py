"""Measures of linear heads, softmax(x·wᵀ + bias), with only one block of the logits in memory at a time."""

from jxent.linear._divergences import cross_entropy, jensen_shannon_divergence, kl_divergence
from jxent.linear._losses import Total, mean_softmax_cross_entropy, softmax_cross_entropy, sum_softmax_cross_entropy
from jxent.linear._sampling import TopK, sample, top_k
from jxent.linear._scores import Score, entropy, logsumexp, score

__all__ = [
    "Score",
    "TopK",
    "Total",
    "cross_entropy",
    "entropy",
    "jensen_shannon_divergence",
    "kl_divergence",
    "logsumexp",
    "mean_softmax_cross_entropy",
    "sample",
    "score",
    "softmax_cross_entropy",
    "sum_softmax_cross_entropy",
    "top_k",
]
