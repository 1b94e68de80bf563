"""Correlation and interaction of any number of variables."""

import functools

from jaxtyping import Array, Float

from jxent._adapter import PROBS
from jxent._checks import JointProbabilities, Mask, Variables, public
from jxent._numerics import tables

__all__ = ["co_information", "dual_total_correlation", "interaction_information", "o_information", "total_correlation"]


@public
def total_correlation(
    p: JointProbabilities,
    *,
    variables: Variables | None = None,
    where: Mask | None = None,
    base: float | None = None,
    keepdims: bool = False,
) -> Float[Array, "..."]:
    """Total correlation Σ P·log(P/∏ Pᵢ), the divergence from independence of n variables, in nats.

    Σ H(Xᵢ) − H(X), also known as multi-information; mutual information for n = 2. To leave a variable of a table
    out, take `marginal` first.

    Returns:
        `[...]`, at least 0; 0, or the square of rounding, for a product table, and for one variable.

    Edge cases: as for `mutual_information`.

    Gradient: log(P/∏ Pᵢ) + n((ΣP)ⁿ⁻¹ − 1), each logarithm taken at the smallest normal number where its probability
    is 0.

    Example:
        >>> from jxent import probs
        >>> round(float(probs.total_correlation([[[0.25, 0.0], [0.0, 0.25]], [[0.0, 0.25], [0.25, 0.0]]], base=2)), 4)
        1.0

    Reference: S. Watanabe, Information theoretical analysis of multivariate correlation, IBM Journal of Research
    and Development 4 (1960).
    """
    return PROBS.of_table(tables.total_correlation, p, variables, where=where, base=base, keepdims=keepdims)


@public
def dual_total_correlation(
    p: JointProbabilities,
    *,
    variables: Variables | None = None,
    where: Mask | None = None,
    base: float | None = None,
    keepdims: bool = False,
) -> Float[Array, "..."]:
    """Dual total correlation H(X) − Σ H(Xᵢ | the others) of n variables, in nats.

    Evaluated as Σᵢ I(Xᵢ; X₍ᵢ₊₁…ₙ₎ | X₍₁…ᵢ₋₁₎), a sum of divergences; mutual information for n = 2. Also known as
    excess entropy or binding information. To leave a variable of a table out, take `marginal` first.

    Returns:
        `[...]`, at least 0; 0, or the square of rounding, for a product table, and for one variable.

    Edge cases: empty cells contribute 0.

    Gradient: (n − 1)·log P − Σ log P₋ᵢ + 2(ΣP − 1), P₋ᵢ the margin of all but Xᵢ, each logarithm taken at the
    smallest normal number where its probability is 0.

    Example:
        >>> from jxent import probs
        >>> table = [[[0.25, 0.0], [0.0, 0.25]], [[0.0, 0.25], [0.25, 0.0]]]
        >>> round(float(probs.dual_total_correlation(table, base=2)), 4)
        2.0

    Reference: T. S. Han, Nonnegative entropy measures of multivariate symmetric correlations, Information and
    Control 36 (1978).
    """
    return PROBS.of_table(tables.dual_total_correlation, p, variables, where=where, base=base, keepdims=keepdims)


@public
def o_information(
    p: JointProbabilities,
    *,
    variables: Variables | None = None,
    where: Mask | None = None,
    base: float | None = None,
    keepdims: bool = False,
) -> Float[Array, "..."]:
    """O-information, total correlation less dual total correlation, in nats.

    (n − 2)·H(X) + Σ (H(Xᵢ) − H(X₋ᵢ)). To leave a variable of a table out, take `marginal` first.

    Returns:
        `[...]`: positive where redundancy dominates, negative where synergy does; 0 for n ≤ 2. The error is
        relative to the larger of the two terms.

    Edge cases: as for its two terms.

    Gradient: (2 − n)·log P − Σ log Pᵢ + Σ log P₋ᵢ, and the terms in ΣP of both, each logarithm taken at the
    smallest normal number where its probability is 0.

    Example:
        >>> from jxent import probs
        >>> round(float(probs.o_information([[[0.25, 0.0], [0.0, 0.25]], [[0.0, 0.25], [0.25, 0.0]]], base=2)), 4)
        -1.0

    Reference: F. E. Rosas, P. A. M. Mediano, M. Gastpar and H. J. Jensen, Quantifying high-order interdependencies
    via multivariate extensions of the mutual information, Physical Review E 100 (2019).
    """
    return PROBS.of_table(tables.o_information, p, variables, where=where, base=base, keepdims=keepdims)


@public
def co_information(
    p: JointProbabilities,
    *,
    variables: Variables | None = None,
    where: Mask | None = None,
    base: float | None = None,
    keepdims: bool = False,
) -> Float[Array, "..."]:
    """Co-information I(X₁; …; Xₙ), I(X; Y) − I(X; Y | Z) for three variables, in nats.

    −Σ (−1)^|T|·H(X_T) over all subsets T of the variables, evaluated as the signed sum of I(X₁; X₂ | S) over the
    subsets S of the others; entropy for n = 1, mutual information for n = 2. To leave a variable of a table out,
    take `marginal` first.

    Returns:
        `[...]`: positive where redundancy dominates, negative where synergy does. The error is relative to the
        largest term.

    Edge cases: empty cells contribute 0.

    Gradient: Σ (−1)^|T|·log P_T over all subsets T but the empty one + 2(ΣP − 1), each logarithm taken at the
    smallest normal number where its probability is 0.

    Example:
        >>> from jxent import probs
        >>> round(float(probs.co_information([[[0.25, 0.0], [0.0, 0.25]], [[0.0, 0.25], [0.25, 0.0]]], base=2)), 4)
        -1.0

    Reference: A. J. Bell, The co-information lattice, Proceedings of ICA (2003).
    """
    return PROBS.of_table(
        functools.partial(tables.co_information, PROBS.entropy),
        p,
        variables,
        where=where,
        base=base,
        keepdims=keepdims,
    )


@public
def interaction_information(
    p: JointProbabilities,
    *,
    variables: Variables | None = None,
    where: Mask | None = None,
    base: float | None = None,
    keepdims: bool = False,
) -> Float[Array, "..."]:
    """Interaction information, (−1)ⁿ times the co-information of n variables, in nats.

    With McGill's sign: for three variables I(X; Y | Z) − I(X; Y), positive for synergy. To leave a variable of a table
    out, take `marginal` first.

    Returns:
        `[...]`. The error is relative to the largest term.

    Edge cases: as for `co_information`.

    Gradient: (−1)ⁿ times that of `co_information`, each logarithm taken at the smallest normal number where its
    probability is 0.

    Example:
        >>> from jxent import probs
        >>> table = [[[0.25, 0.0], [0.0, 0.25]], [[0.0, 0.25], [0.25, 0.0]]]
        >>> round(float(probs.interaction_information(table, base=2)), 4)
        1.0

    Reference: W. J. McGill, Multivariate information transmission, Psychometrika 19 (1954).
    """
    return PROBS.of_table(
        functools.partial(tables.interaction_information, PROBS.entropy),
        p,
        variables,
        where=where,
        base=base,
        keepdims=keepdims,
    )
