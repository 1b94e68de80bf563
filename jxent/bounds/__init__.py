"""Variational bounds on mutual information, from the scores that a critic gives to pairs of samples.

`scores[i, j]` is the critic's score of the i-th x and the j-th y. Pairs on the diagonal were drawn together; all others
are pairs of the product of the margins.
"""

from jxent.bounds._scores import donsker_varadhan, infonce, nwj, smile

__all__ = ["donsker_varadhan", "infonce", "nwj", "smile"]
