"""How good predicted probabilities are: proper scores, calibration errors, temperature scaling, sums for streams.

The measures take probabilities `[..., K]` and integer labels `[...]`, and return one result for all rows together.
"""

from jxent.calibration._bins import (
    BrierDecomposition,
    ReliabilityCurve,
    brier_decomposition,
    classwise_calibration_error,
    expected_calibration_error,
    reliability_curve,
)
from jxent.calibration._scores import brier_score, negative_log_likelihood, perplexity, top_k_accuracy
from jxent.calibration._stream import Result, State, init, merge, result, update
from jxent.calibration._temperature import fit_temperature

__all__ = [
    "BrierDecomposition",
    "ReliabilityCurve",
    "Result",
    "State",
    "brier_decomposition",
    "brier_score",
    "classwise_calibration_error",
    "expected_calibration_error",
    "fit_temperature",
    "init",
    "merge",
    "negative_log_likelihood",
    "perplexity",
    "reliability_curve",
    "result",
    "top_k_accuracy",
    "update",
]
