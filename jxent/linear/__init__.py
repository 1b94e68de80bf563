"""Softmax losses of features and class weights, with only one block of the logits in memory at a time."""

from jxent.linear._losses import logsumexp, mean_softmax_cross_entropy, softmax_cross_entropy

__all__ = ["logsumexp", "mean_softmax_cross_entropy", "softmax_cross_entropy"]
