"""Gradients of the measures of all pairs of rows, by hand."""

from jax.typing import ArrayLike
from jaxtyping import Array, Float

from jxent._checks import UNIT, public, row_pairs
from jxent.closed_form import _logits, _probs


@public()
def probs_pairwise_cross_entropy(
    p: ArrayLike,
    q: ArrayLike,
    *,
    base: float | None = None,
) -> tuple[Float[Array, "n k"], Float[Array, "m k"]]:
    """Gradients of the sum of `probs.pairwise_cross_entropy` over all pairs.

    ∂/∂pᵢ = −Σⱼ log qⱼ and ∂/∂qⱼ = −Σᵢ pᵢ/qⱼ.

    Each pair adds the gradient of `probs.cross_entropy`: it is that function's own by-hand gradient on `[N, 1, K]`
    and `[1, M, K]`, summed over the rows of the other side.

    Args:
        p: probabilities `[N, K]`.
        q: probabilities `[M, K]`.
        base: unit of the measure, and so of its gradient.

    Returns:
        The gradients in `p` and in `q`, each of the shape of its argument.

    Edge cases: as for `probs_cross_entropy`.

    Gradient: differentiable as the plain expression that it is.

    Example:
        >>> from jxent import closed_form
        >>> from jxent.closed_form import probs_pairwise_cross_entropy as gradient
        >>> from jxent.probs import pairwise_cross_entropy as measure
        >>> closed_form.compare(measure, gradient, [[0.2, 0.8], [0.6, 0.4]], [[0.3, 0.7]]).agrees
        True

    Reference: T. M. Cover and J. A. Thomas, Elements of Information Theory, 2nd ed. (2006), section 5.4.
    """
    first, second = row_pairs("p", p, "q", q)
    rows = first[:, None], second[None, :]
    in_first, in_second = _probs.probs_cross_entropy(*rows, base=base)
    return in_first[:, 0], in_second[0]


@public()
def probs_pairwise_kl_divergence(
    p: ArrayLike,
    q: ArrayLike,
    *,
    base: float | None = None,
) -> tuple[Float[Array, "n k"], Float[Array, "m k"]]:
    """Gradients of the sum of `probs.pairwise_kl_divergence` over all pairs.

    ∂/∂pᵢ = Σⱼ log(pᵢ/qⱼ) and ∂/∂qⱼ = Σᵢ (1 − pᵢ/qⱼ).

    Each pair adds the gradient of `probs.kl_divergence`: it is that function's own by-hand gradient on `[N, 1, K]`
    and `[1, M, K]`, summed over the rows of the other side.

    Args:
        p: probabilities `[N, K]`.
        q: probabilities `[M, K]`.
        base: unit of the measure, and so of its gradient.

    Returns:
        The gradients in `p` and in `q`, each of the shape of its argument.

    Edge cases: as for `probs_kl_divergence`.

    Gradient: differentiable as the plain expression that it is.

    Example:
        >>> from jxent import closed_form
        >>> from jxent.closed_form import probs_pairwise_kl_divergence as gradient
        >>> from jxent.probs import pairwise_kl_divergence as measure
        >>> closed_form.compare(measure, gradient, [[0.2, 0.8], [0.6, 0.4]], [[0.3, 0.7]]).agrees
        True

    Reference: T. M. Cover and J. A. Thomas, Elements of Information Theory, 2nd ed. (2006), section 2.3.
    """
    first, second = row_pairs("p", p, "q", q)
    rows = first[:, None], second[None, :]
    in_first, in_second = _probs.probs_kl_divergence(*rows, base=base)
    return in_first[:, 0], in_second[0]


@public(domain={"weight": UNIT})
def probs_pairwise_jensen_shannon_divergence(
    p: ArrayLike,
    q: ArrayLike,
    *,
    weight: ArrayLike = 0.5,
    base: float | None = None,
) -> tuple[Float[Array, "n k"], Float[Array, "m k"]]:
    """Gradients of the sum of `probs.pairwise_jensen_shannon_divergence` over all pairs.

    ∂/∂pᵢ = w·Σⱼ log(pᵢ/mᵢⱼ) and ∂/∂qⱼ = (1 − w)·Σᵢ log(qⱼ/mᵢⱼ), with the mixtures mᵢⱼ = w·pᵢ + (1 − w)·qⱼ.

    Each pair adds the gradient of `probs.jensen_shannon_divergence`: it is that function's own by-hand gradient on
    `[N, 1, K]` and `[1, M, K]`, summed over the rows of the other side.

    Args:
        p: probabilities `[N, K]`.
        q: probabilities `[M, K]`.
        weight: w, the weight of the first in the mixture, a scalar in [0, 1]; traced and differentiable.
        base: unit of the measure, and so of its gradient.

    Returns:
        The gradients in `p` and in `q`, each of the shape of its argument.

    Edge cases: as for `probs_jensen_shannon_divergence`.

    Gradient: differentiable as the plain expression that it is.

    Example:
        >>> from jxent import closed_form
        >>> from jxent.closed_form import probs_pairwise_jensen_shannon_divergence as gradient
        >>> from jxent.probs import pairwise_jensen_shannon_divergence as measure
        >>> closed_form.compare(measure, gradient, [[0.2, 0.8], [0.6, 0.4]], [[0.3, 0.7]]).agrees
        True

    Reference: J. Lin, Divergence measures based on the Shannon entropy, IEEE Transactions on Information Theory 37
    (1991).
    """
    first, second = row_pairs("p", p, "q", q)
    rows = first[:, None], second[None, :]
    in_first, in_second = _probs.probs_jensen_shannon_divergence(*rows, base=base, weight=weight)
    return in_first[:, 0], in_second[0]


@public()
def logits_pairwise_cross_entropy(
    zp: ArrayLike,
    zq: ArrayLike,
    *,
    base: float | None = None,
) -> tuple[Float[Array, "n k"], Float[Array, "m k"]]:
    """Gradients of the sum of `logits.pairwise_cross_entropy` over all pairs.

    ∂/∂zpᵢ = −(diag pᵢ − pᵢpᵢᵀ)·Σⱼ log qⱼ and ∂/∂zqⱼ = Σᵢ (qⱼ − pᵢ).

    Each pair adds the gradient of `logits.cross_entropy`: it is that function's own by-hand gradient on `[N, 1, K]`
    and `[1, M, K]`, summed over the rows of the other side.

    Args:
        zp: logits `[N, K]`.
        zq: logits `[M, K]`.
        base: unit of the measure, and so of its gradient.

    Returns:
        The gradients in `zp` and in `zq`, each of the shape of its argument.

    Edge cases: as for `logits_cross_entropy`.

    Gradient: differentiable as the plain expression that it is.

    Example:
        >>> from jxent import closed_form
        >>> from jxent.closed_form import logits_pairwise_cross_entropy as gradient
        >>> from jxent.logits import pairwise_cross_entropy as measure
        >>> closed_form.compare(measure, gradient, [[0.2, 0.8], [0.6, 0.0]], [[0.3, 0.0]]).agrees
        True

    Reference: T. M. Cover and J. A. Thomas, Elements of Information Theory, 2nd ed. (2006), section 5.4.
    """
    first, second = row_pairs("zp", zp, "zq", zq)
    rows = first[:, None], second[None, :]
    in_first, in_second = _logits.logits_cross_entropy(*rows, base=base)
    return in_first[:, 0], in_second[0]


@public()
def logits_pairwise_kl_divergence(
    zp: ArrayLike,
    zq: ArrayLike,
    *,
    base: float | None = None,
) -> tuple[Float[Array, "n k"], Float[Array, "m k"]]:
    """Gradients of the sum of `logits.pairwise_kl_divergence` over all pairs.

    ∂/∂zpᵢ = (diag pᵢ − pᵢpᵢᵀ)·Σⱼ log(pᵢ/qⱼ) and ∂/∂zqⱼ = Σᵢ (qⱼ − pᵢ).

    Each pair adds the gradient of `logits.kl_divergence`: it is that function's own by-hand gradient on `[N, 1, K]`
    and `[1, M, K]`, summed over the rows of the other side.

    Args:
        zp: logits `[N, K]`.
        zq: logits `[M, K]`.
        base: unit of the measure, and so of its gradient.

    Returns:
        The gradients in `zp` and in `zq`, each of the shape of its argument.

    Edge cases: as for `logits_kl_divergence`.

    Gradient: differentiable as the plain expression that it is.

    Example:
        >>> from jxent import closed_form
        >>> from jxent.closed_form import logits_pairwise_kl_divergence as gradient
        >>> from jxent.logits import pairwise_kl_divergence as measure
        >>> closed_form.compare(measure, gradient, [[0.2, 0.8], [0.6, 0.0]], [[0.3, 0.0]]).agrees
        True

    Reference: T. M. Cover and J. A. Thomas, Elements of Information Theory, 2nd ed. (2006), section 2.3.
    """
    first, second = row_pairs("zp", zp, "zq", zq)
    rows = first[:, None], second[None, :]
    in_first, in_second = _logits.logits_kl_divergence(*rows, base=base)
    return in_first[:, 0], in_second[0]


@public(domain={"weight": UNIT})
def logits_pairwise_jensen_shannon_divergence(
    zp: ArrayLike,
    zq: ArrayLike,
    *,
    weight: ArrayLike = 0.5,
    base: float | None = None,
) -> tuple[Float[Array, "n k"], Float[Array, "m k"]]:
    """Gradients of the sum of `logits.pairwise_jensen_shannon_divergence` over all pairs.

    ∂/∂zpᵢ = (diag pᵢ − pᵢpᵢᵀ)·w·Σⱼ log(pᵢ/mᵢⱼ), and ∂/∂zqⱼ alike with q and 1 − w, mᵢⱼ = w·pᵢ + (1 − w)·qⱼ.

    Each pair adds the gradient of `logits.jensen_shannon_divergence`: it is that function's own by-hand gradient on
    `[N, 1, K]` and `[1, M, K]`, summed over the rows of the other side.

    Args:
        zp: logits `[N, K]`.
        zq: logits `[M, K]`.
        weight: w, the weight of the first in the mixture, a scalar in [0, 1]; traced and differentiable.
        base: unit of the measure, and so of its gradient.

    Returns:
        The gradients in `zp` and in `zq`, each of the shape of its argument.

    Edge cases: as for `logits_jensen_shannon_divergence`.

    Gradient: differentiable as the plain expression that it is.

    Example:
        >>> from jxent import closed_form
        >>> from jxent.closed_form import logits_pairwise_jensen_shannon_divergence as gradient
        >>> from jxent.logits import pairwise_jensen_shannon_divergence as measure
        >>> closed_form.compare(measure, gradient, [[0.2, 0.8], [0.6, 0.0]], [[0.3, 0.0]]).agrees
        True

    Reference: J. Lin, Divergence measures based on the Shannon entropy, IEEE Transactions on Information Theory 37
    (1991).
    """
    first, second = row_pairs("zp", zp, "zq", zq)
    rows = first[:, None], second[None, :]
    in_first, in_second = _logits.logits_jensen_shannon_divergence(*rows, base=base, weight=weight)
    return in_first[:, 0], in_second[0]
