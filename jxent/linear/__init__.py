"""Softmax losses of features and class weights, without the logits: blocks of them are formed and forgotten."""

from jxent.linear._losses import logsumexp, mean_softmax_cross_entropy, softmax_cross_entropy

__all__ = ["logsumexp", "mean_softmax_cross_entropy", "softmax_cross_entropy"]
