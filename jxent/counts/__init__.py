"""Entropy and its relatives, estimated from counts of observations.

A zero is a cell of the alphabet that was not seen; `where=` excludes a cell that cannot occur.
"""

from jxent.counts._agreement import adjusted_mutual_information
from jxent.counts._entropy import entropy, entropy_moments
from jxent.counts._joint import conditional_mutual_information, kl_divergence, mutual_information
from jxent.counts._labels import from_labels, out_of_range
from jxent.counts._resampling import Interval, PermutationTest, bootstrap_interval, permutation_test

__all__ = [
    "Interval",
    "PermutationTest",
    "adjusted_mutual_information",
    "bootstrap_interval",
    "conditional_mutual_information",
    "entropy",
    "entropy_moments",
    "from_labels",
    "kl_divergence",
    "mutual_information",
    "out_of_range",
    "permutation_test",
]
