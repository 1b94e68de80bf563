"""Divergences between all pairs of rows of two arrays of logits."""

from jaxtyping import Array, Float

from jxent._checks import Logits, UnitInterval, log_base_factor, parameter, public, row_pairs
from jxent._numerics import pairwise, rows
from jxent._numerics.primitives import safe_sqrt

__all__ = [
    "pairwise_cross_entropy",
    "pairwise_jensen_shannon_distance",
    "pairwise_jensen_shannon_divergence",
    "pairwise_kl_divergence",
]


@public
def pairwise_cross_entropy(
    zp: Logits,
    zq: Logits,
    *,
    base: float | None = None,
) -> Float[Array, "n m"]:
    """Cross-entropy −Σ p·log q of every row of p under every row of q, from logits, in nats.

    One product of matrices: no `[N, M, K]` array exists.

    Args:
        zp: logits `[N, K]`.
        zq: logits `[M, K]`.

    Returns:
        `[N, M]`.

    Edge cases: as for `cross_entropy`.

    Gradient: that of `cross_entropy`, summed over all pairs with the row.

    Example:
        >>> from jxent import logits
        >>> pairs = logits.pairwise_cross_entropy([[0.0, 0.0]], [[0.0, 0.0], [0.0, 1.0]])
        >>> [round(float(x), 4) for x in pairs[0]]
        [0.6931, 0.8133]

    Reference: T. M. Cover and J. A. Thomas, Elements of Information Theory, 2nd ed. (2006), section 5.4.
    """
    first, second = row_pairs("zp", zp, "zq", zq)
    return pairwise.logits_cross_entropy(first, second) * log_base_factor(base)


@public
def pairwise_kl_divergence(
    zp: Logits,
    zq: Logits,
    *,
    base: float | None = None,
) -> Float[Array, "n m"]:
    """KL(p‖q) of every row of p from every row of q, from logits, in nats (or units of `base`).

    Entry (i, j) is Σₖ pᵢₖ·log(pᵢₖ/qⱼₖ) of p = softmax(zp) and q = softmax(zq).

    Computed as a product of matrices. Pairs of rows so close that it would cancel, above all on the diagonal of
    `(p, p)`, are computed separately. No `[N, M, K]` array exists.

    Args:
        zp: logits `[N, K]`.
        zq: logits `[M, K]`.

    Returns:
        `[N, M]`, at least 0, and exactly 0 for equal rows.

    Edge cases: as for `kl_divergence`.

    Gradient: that of `kl_divergence`, summed over all pairs with the row; at equal rows 0 to rounding.

    Example:
        >>> from jxent import logits
        >>> pairs = logits.pairwise_kl_divergence([[0.0, 0.0]], [[0.0, 0.0], [0.0, 1.0]])
        >>> [round(float(x), 4) for x in pairs[0]]
        [0.0, 0.1201]

    Reference: T. M. Cover and J. A. Thomas, Elements of Information Theory, 2nd ed. (2006), section 2.3.
    """
    first, second = row_pairs("zp", zp, "zq", zq)
    return pairwise.logits_kl_divergence(first, second) * log_base_factor(base)


@public
def pairwise_jensen_shannon_divergence(
    zp: Logits,
    zq: Logits,
    *,
    weight: UnitInterval = 0.5,
    base: float | None = None,
) -> Float[Array, "n m"]:
    """Jensen–Shannon divergence of every row of p and every row of q, from logits, in nats.

    Entry (i, j) is w·KL(pᵢ‖m) + (1 − w)·KL(qⱼ‖m) with m = w·pᵢ + (1 − w)·qⱼ and w the weight.

    Evaluated in blocks of the second rows: no `[N, M, K]` array exists, not even in the gradient.

    Args:
        zp: logits `[N, K]`.
        zq: logits `[M, K]`.

    Returns:
        `[N, M]`, at least 0, and exactly 0 for equal rows.

    Edge cases: as for `jensen_shannon_divergence`.

    Gradient: that of `jensen_shannon_divergence`, summed over all pairs with the row.

    Example:
        >>> from jxent import logits
        >>> pairs = logits.pairwise_jensen_shannon_divergence([[0.0, 0.0]], [[0.0, 0.0], [0.0, 1.0]])
        >>> [round(float(x), 4) for x in pairs[0]]
        [0.0, 0.0285]

    Reference: J. Lin, Divergence measures based on the Shannon entropy, IEEE Transactions on Information Theory 37
    (1991).
    """
    first, second = row_pairs("zp", zp, "zq", zq)
    w = parameter("weight", weight, first)
    return pairwise.jensen_shannon(rows.LOGITS.sum, first, second, w) * log_base_factor(base)


@public
def pairwise_jensen_shannon_distance(
    zp: Logits,
    zq: Logits,
    *,
    weight: UnitInterval = 0.5,
    base: float | None = None,
) -> Float[Array, "n m"]:
    """Jensen–Shannon distance √D of every row of zp and every row of zq, D their divergence in nats.

    Args:
        zp: logits `[N, K]`.
        zq: logits `[M, K]`.
        base: base of the logarithm under the root; the distance is √(divergence in that base).

    Returns:
        `[N, M]`, a metric for weight 1/2, and exactly 0 for equal rows.

    Edge cases: as for `jensen_shannon_distance`.

    Gradient: that of `pairwise_jensen_shannon_divergence` over 2√D; 0 at equal rows, such as the diagonal.

    Example:
        >>> from jxent import logits
        >>> pairs = logits.pairwise_jensen_shannon_distance([[0.0, 0.0]], [[0.0, 0.0], [2.0, 0.0]])
        >>> [round(float(x), 4) for x in pairs[0]]
        [0.0, 0.2992]

    Reference: D. M. Endres and J. E. Schindelin, A new metric for probability distributions, IEEE Transactions on
    Information Theory 49 (2003).
    """
    return safe_sqrt(pairwise_jensen_shannon_divergence(zp, zq, weight=weight, base=base))
