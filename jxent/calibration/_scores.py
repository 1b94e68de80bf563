"""Scores of predicted probabilities against the labels that occurred."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from jxent._checks import Labels, Probabilities, RowMask, RowWeights, Scores, log_base_factor, public
from jxent.calibration import _rows


@public
def negative_log_likelihood(
    p: Probabilities,
    labels: Labels,
    *,
    weights: RowWeights | None = None,
    where: RowMask | None = None,
    base: float | None = None,
) -> Float[Array, ""]:
    """Mean negative log likelihood −Σ w·log p[label] / Σ w, in nats or units of log `base`.

    Args:
        base: unit: None nats, 2 bits, 10 hartleys.

    Returns:
        A scalar.

    Edge cases: a label of probability 0 gives +inf; a label outside [0, K) and NaN give NaN; no row gives 0. For
    logits use `losses.softmax_cross_entropy_with_integer_labels`, which is accurate in the tail.

    Gradient: −w/(p·Σw) at the label of each row, infinite at p = 0; (vᵢ − mean)/Σw in the weights, with vᵢ = −log p.

    Example:
        >>> from jxent import calibration
        >>> round(float(calibration.negative_log_likelihood([[0.5, 0.5], [0.25, 0.75]], [0, 0], base=2)), 6)
        1.5

    Reference: T. Gneiting and A. E. Raftery, Strictly proper scoring rules, JASA 102 (2007), section 4.1.
    """
    r = _rows.rows("p", p, labels, weights, where)
    return _rows.mean(r.weights, log_base_factor(base) * _rows.surprisal(r))


@public
def perplexity(
    p: Probabilities, labels: Labels, *, weights: RowWeights | None = None, where: RowMask | None = None
) -> Float[Array, ""]:
    """Perplexity exp(mean negative log likelihood): the number of equally likely classes with this likelihood.

    Returns:
        A scalar, at least 1.

    Edge cases: a label of probability 0 gives +inf; a label outside [0, K) and NaN give NaN; no row gives 1.

    Gradient: the perplexity times the gradient of `negative_log_likelihood`.

    Example:
        >>> from jxent import calibration
        >>> round(float(calibration.perplexity([[0.25, 0.75], [0.25, 0.75]], [0, 0])), 6)
        4.0

    Reference: F. Jelinek et al., Perplexity, a measure of the difficulty of speech recognition tasks, JASA 62 (1977).
    """
    r = _rows.rows("p", p, labels, weights, where)
    return jnp.exp(_rows.mean(r.weights, _rows.surprisal(r)))


@public
def brier_score(
    p: Probabilities, labels: Labels, *, weights: RowWeights | None = None, where: RowMask | None = None
) -> Float[Array, ""]:
    """Brier score, the mean over rows of Σ (p − t)² over the classes, in [0, 2].

    For two classes it is twice the mean of (p₁ − t₁)², which is also called the Brier score.

    Returns:
        A scalar.

    Edge cases: a label outside [0, K) and NaN give NaN; no row gives 0.

    Gradient: 2w(p − t)/Σw; (vᵢ − mean)/Σw in the weights, with vᵢ = Σ (p − t)².

    Example:
        >>> from jxent import calibration
        >>> float(calibration.brier_score([[0.5, 0.5], [1.0, 0.0]], [0, 0]))
        0.25

    Reference: G. W. Brier, Verification of forecasts expressed in terms of probability, Monthly Weather Review
    78 (1950).
    """
    r = _rows.rows("p", p, labels, weights, where)
    return _rows.mean(r.weights, _rows.squares(r))


@public
def top_k_accuracy(
    p: Scores,
    labels: Labels,
    *,
    k: int = 1,
    weights: RowWeights | None = None,
    where: RowMask | None = None,
) -> Float[Array, ""]:
    """Share of rows whose label is among the k classes of largest probability.

    Σ [label among the k largest]/N over the N rows.

    Args:
        p: predicted probabilities, or any scores, `[..., K]`.
        k: how many classes count, 1 to K.

    Returns:
        A scalar in [0, 1].

    Edge cases: between equal probabilities the smaller class id comes first; a label outside [0, K) and NaN give NaN;
    no row gives 0.

    Gradient: 0, it is a count; (vᵢ − mean)/Σw in the weights, with vᵢ = 1 for a hit and 0 otherwise.

    Example:
        >>> from jxent import calibration
        >>> float(calibration.top_k_accuracy([[0.5, 0.3, 0.2], [0.1, 0.3, 0.6]], [1, 0], k=2))
        0.5

    Reference: O. Russakovsky et al., ImageNet large scale visual recognition challenge, IJCV 115 (2015), section 4.
    """
    r = _rows.rows("p", p, labels, weights, where)
    if isinstance(k, bool) or not isinstance(k, int) or not 1 <= k <= r.values.shape[-1]:
        raise ValueError(
            f"top_k_accuracy(): k={k!r}, expected an int from 1 to {r.values.shape[-1]}, the classes of `p`"
        )
    return _rows.mean(r.weights, (_rows.ranks(r) < k).astype(r.values.dtype))
