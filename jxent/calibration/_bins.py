"""Calibration over bins of p: whether classes predicted with probability p occur with frequency p."""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

from jxent._checks import Labels, Probabilities, RowMask, RowWeights, public
from jxent.calibration import _rows


class ReliabilityCurve(NamedTuple):
    """The points of a reliability diagram, one per bin.

    Attributes:
        confidence: mean probability of the predicted class, `[B]`; 0 in an empty bin.
        accuracy: share of right predictions, `[B]`; 0 in an empty bin.
        weight: weight of the rows in each bin, `[B]`; 0 for an empty bin.
    """

    confidence: Float[Array, " bins"]
    accuracy: Float[Array, " bins"]
    weight: Float[Array, " bins"]


class BrierDecomposition(NamedTuple):
    """The parts of the Brier score: reliability − resolution + uncertainty + within_bin.

    Attributes:
        reliability: squared distance between forecast and frequency, over the bins; 0 for calibrated forecasts.
        resolution: squared distance between the frequency in a bin and the frequency of all rows; larger is better.
        uncertainty: Σ o(1 − o) over the frequencies o of the classes, which no forecast changes.
        within_bin: contribution of different forecasts inside one bin; 0 if every bin holds one forecast.
    """

    reliability: Float[Array, ""]
    resolution: Float[Array, ""]
    uncertainty: Float[Array, ""]
    within_bin: Float[Array, ""]


def check_bins(num_bins: int) -> None:
    """Refuse a number of bins that is not a positive int."""
    if isinstance(num_bins, bool) or not isinstance(num_bins, int) or num_bins < 1:
        raise ValueError(f"num_bins={num_bins!r} must be an int of at least 1")


@public
def expected_calibration_error(
    p: Probabilities,
    labels: Labels,
    *,
    num_bins: int = 15,
    weights: RowWeights | None = None,
    where: RowMask | None = None,
) -> Float[Array, ""]:
    """Expected calibration error Σ_b n_b/N·|accuracy_b − confidence_b| of the most likely class, over equal bins.

    Args:
        num_bins: number of bins (b/B, (b + 1)/B] of the confidence.

    Returns:
        A scalar in [0, 1].

    Edge cases: between equal probabilities the smaller class id is the prediction; a label outside [0, K) and NaN give
    NaN; no row gives 0. The result depends on the bins, and is too large if the bins hold few rows.

    Gradient: w·sign/Σw in the confidence of each row, with the sign of the gap of its bin, 0 without a gap. The edges
    of the bins contribute nothing.

    Example:
        >>> from jxent import calibration
        >>> round(float(calibration.expected_calibration_error([[0.75, 0.25], [0.75, 0.25]], [0, 1])), 6)
        0.25

    Reference: C. Guo et al., On calibration of modern neural networks, ICML (2017), eq. 3.
    """
    check_bins(num_bins)
    return top_error(_rows.top_sums(_rows.rows("p", p, labels, weights, where), num_bins))


def top_error(sums: Array) -> Array:
    """The expected calibration error from `top_sums`."""
    return _rows.over(jnp.sum(_gap(sums[:, 2], sums[:, 1])), jnp.sum(sums[:, 0]))


def _gap(happened: Array, forecast: Array) -> Array:
    """|happened − forecast|, with slope 0 where they are equal; the slope of `jnp.abs` is 1 there."""
    difference = happened - forecast
    return jnp.where(difference == 0, 0.0, jnp.abs(difference))


@public
def classwise_calibration_error(
    p: Probabilities,
    labels: Labels,
    *,
    num_bins: int = 15,
    weights: RowWeights | None = None,
    where: RowMask | None = None,
) -> Float[Array, ""]:
    """Calibration error of every class's probability, averaged over the classes.

    Σ over classes k and bins b of wₖᵦ·|frequency − mean probability|/K, wₖᵦ the share of the rows in the bin.

    Args:
        num_bins: number of bins (b/B, (b + 1)/B] of each class's probability.

    Returns:
        A scalar in [0, 1].

    Edge cases: a label outside [0, K) and NaN give NaN; no row gives 0.

    Gradient: w·sign/(K·Σw) in every probability, with the sign of the gap of its bin, 0 without a gap. The edges of the
    bins contribute nothing.

    Example:
        >>> from jxent import calibration
        >>> round(float(calibration.classwise_calibration_error([[0.75, 0.25], [0.75, 0.25]], [0, 1])), 6)
        0.25

    Reference: M. Kull et al., Beyond temperature scaling, NeurIPS (2019), eq. 4.
    """
    check_bins(num_bins)
    return class_error(_rows.class_sums(_rows.rows("p", p, labels, weights, where), num_bins))


def class_error(sums: Array) -> Array:
    """The classwise error from `class_sums`."""
    gaps = jnp.sum(_gap(sums[:, 2], sums[:, 1]), axis=0)
    return jnp.mean(_rows.over(gaps, jnp.sum(sums[:, 0], axis=0)))


@public
def reliability_curve(
    p: Probabilities,
    labels: Labels,
    *,
    num_bins: int = 15,
    weights: RowWeights | None = None,
    where: RowMask | None = None,
) -> ReliabilityCurve:
    """Confidence and accuracy of the most likely class in equal bins: the points of a reliability diagram.

    For each bin, Σ max p/n and Σ [arg max p = label]/n over its n rows.

    Args:
        num_bins: number of bins (b/B, (b + 1)/B] of the confidence.

    Returns:
        `ReliabilityCurve(confidence, accuracy, weight)`, each `[B]`.

    Edge cases: an empty bin has 0 in all three fields; plot the points with `curve.weight > 0`. A label outside [0, K)
    and NaN give NaN in their bin.

    Gradient: through the mean confidence of each bin, 0 in an empty bin. The edges of the bins contribute nothing.

    Example:
        >>> from jxent import calibration
        >>> calibration.reliability_curve([[0.9, 0.1], [0.6, 0.4]], [0, 1], num_bins=2).accuracy.tolist()
        [0.0, 0.5]

    Reference: M. H. DeGroot and S. E. Fienberg, The comparison and evaluation of forecasters, The Statistician
    32 (1983).
    """
    check_bins(num_bins)
    return curve(_rows.top_sums(_rows.rows("p", p, labels, weights, where), num_bins))


def curve(sums: Array) -> ReliabilityCurve:
    """The reliability curve from `top_sums`."""
    weight, confidence, hits = (sums[:, i] for i in range(3))
    return ReliabilityCurve(_rows.over(confidence, weight), _rows.over(hits, weight), weight)


@public
def brier_decomposition(
    p: Probabilities,
    labels: Labels,
    *,
    num_bins: int = 15,
    weights: RowWeights | None = None,
    where: RowMask | None = None,
) -> BrierDecomposition:
    """Brier score as reliability − resolution + uncertainty + within_bin, summed over the classes.

    Args:
        num_bins: number of bins (b/B, (b + 1)/B] of each class's probability.

    Returns:
        `BrierDecomposition(reliability, resolution, uncertainty, within_bin)`, scalars.

    Edge cases: a label outside [0, K) and NaN give NaN; no row gives 0. Murphy's three parts are exact if each bin
    holds one forecast; otherwise the fourth part is the difference.

    Gradient: through the sums of each bin, 0 in a bin without weight. The edges of the bins contribute nothing.

    Example:
        >>> from jxent import calibration
        >>> parts = calibration.brier_decomposition([[0.75, 0.25], [0.75, 0.25]], [0, 1])
        >>> [round(float(part), 6) for part in parts]
        [0.125, 0.0, 0.5, 0.0]

    Reference: A. H. Murphy, A new vector partition of the probability score, J. Applied Meteorology 12 (1973); the
    fourth part: D. B. Stephenson, C. A. S. Coelho and I. T. Jolliffe, Weather and Forecasting 23 (2008).
    """
    check_bins(num_bins)
    return decomposition(_rows.class_sums(_rows.rows("p", p, labels, weights, where), num_bins))


def decomposition(sums: Array) -> BrierDecomposition:
    """The parts of the Brier score from `class_sums`."""
    weight, forecast, happened, square = (sums[:, i] for i in range(4))
    total = jnp.sum(weight, axis=0)
    rate = _rows.over(jnp.sum(happened, axis=0), total)
    p, t = _rows.over(forecast, weight), _rows.over(happened, weight)
    inside = square - weight * (p * p - 2.0 * p * t)
    parts = (weight * jnp.square(p - t), weight * jnp.square(t - rate[None, :]), inside)
    reliability, resolution, within = (jnp.sum(_rows.over(jnp.sum(part, axis=0), total)) for part in parts)
    return BrierDecomposition(reliability, resolution, jnp.sum(rate * (1.0 - rate)), within)
