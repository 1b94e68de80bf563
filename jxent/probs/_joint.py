"""Entropy and information of the variables of a joint table."""

import functools

from jaxtyping import Array, Float

from jxent._adapter import PROBS
from jxent._checks import Axis, JointProbabilities, Mask, Normalizer, Variables, public
from jxent._numerics import tables

# fmt: off
__all__ = [
    "conditional_entropy", "conditional_mutual_information", "joint_entropy", "mutual_information",
    "normalized_mutual_information", "variation_of_information",
]
# fmt: on


@public
def joint_entropy(
    p: JointProbabilities,
    *,
    variables: Variables | None = None,
    where: Mask | None = None,
    base: float | None = None,
    keepdims: bool = False,
) -> Float[Array, "..."]:
    """Joint entropy −Σ P·log P of all named variables together, in nats.

    Other axes are a batch; to leave a variable out, take `marginal` first.

    Returns:
        `[...]`, one number per table.

    Edge cases: an empty cell contributes 0.

    Gradient: −(log P + 1), each logarithm taken at the smallest normal number where its probability is 0.

    Example:
        >>> from jxent import probs
        >>> round(float(probs.joint_entropy([[0.4, 0.1], [0.1, 0.4]], base=2)), 4)
        1.7219

    Reference: T. M. Cover and J. A. Thomas, Elements of Information Theory, 2nd ed. (2006), eq. 2.8.
    """
    return PROBS.joint_entropy(p, variables, where=where, base=base, keepdims=keepdims)


@public
def conditional_entropy(
    p: JointProbabilities,
    *,
    of: Axis = -1,
    given: Axis = -2,
    where: Mask | None = None,
    base: float | None = None,
    keepdims: bool = False,
) -> Float[Array, "..."]:
    """Conditional entropy H(of | given) = Σ P·log(P(given)/P), in nats.

    Summed row by row with the largest cell of a row kept apart, so that a row that is nearly certain keeps its
    digits. The table is that of the two variables. To leave a variable of a table out, take `marginal` first.

    Returns:
        `[...]`, at least 0, and 0 where one variable determines the other.

    Edge cases: empty cells and empty rows contribute 0.

    Gradient: log(P(given)/P), each logarithm taken at the smallest normal number where its probability is 0.

    Example:
        >>> from jxent import probs
        >>> round(float(probs.conditional_entropy([[0.4, 0.1], [0.1, 0.4]], base=2)), 4)
        0.7219

    Reference: T. M. Cover and J. A. Thomas, Elements of Information Theory, 2nd ed. (2006), eq. 2.10.
    """
    return PROBS.of_table(
        tables.conditional_of_second, p, {"given": given, "of": of}, where=where, base=base, keepdims=keepdims
    )


@public
def mutual_information(
    p: JointProbabilities,
    *,
    x: Axis = -2,
    y: Axis = -1,
    where: Mask | None = None,
    base: float | None = None,
    keepdims: bool = False,
) -> Float[Array, "..."]:
    """Mutual information I(X; Y) = Σ P·log(P/(Pₓ·Pᵧ)), in nats.

    Evaluated as the divergence Σ P·log(P/Q) − P + Q from the product Q of the margins, never as a difference of
    entropies. To leave a variable of a table out, take `marginal` first.

    Returns:
        `[...]`, at least 0; for a product table 0, or the square of its rounding.

    Edge cases: an empty cell contributes the product of its margins to the form above, 0 to the measure; with an
    empty mask 0.

    Gradient: log(P/(Pₓ·Pᵧ)) + 2(ΣP − 1), each logarithm taken at the smallest normal number where its probability
    is 0.

    Example:
        >>> from jxent import probs
        >>> round(float(probs.mutual_information([[0.4, 0.1], [0.1, 0.4]], base=2)), 4)
        0.2781

    Reference: T. M. Cover and J. A. Thomas, Elements of Information Theory, 2nd ed. (2006), eq. 2.28.
    """
    return PROBS.of_table(tables.mutual_information, p, {"x": x, "y": y}, where=where, base=base, keepdims=keepdims)


@public
def normalized_mutual_information(
    p: JointProbabilities,
    *,
    x: Axis = -2,
    y: Axis = -1,
    normalizer: Normalizer = "arithmetic",
    where: Mask | None = None,
    keepdims: bool = False,
) -> Float[Array, "..."]:
    """Mutual information over a mean of H(X) and H(Y), a number without a unit.

    For the arithmetic mean 2·I(X;Y)/(H(X) + H(Y)).

    Applied to the joint table of two clusterings, it is scikit-learn's score. To leave a variable of a table out,
    take `marginal` first.

    Returns:
        `[...]`, from 0 to 1.

    Edge cases: 0, with gradient 0, where the normaliser is 0, as for constant variables.

    Gradient: (∇I − NMI·∇N)/N for the normaliser N, each logarithm taken at the smallest normal number where its
    probability is 0.

    Example:
        >>> from jxent import probs
        >>> round(float(probs.normalized_mutual_information([[0.4, 0.1], [0.1, 0.4]])), 4)
        0.2781

    Reference: N. X. Vinh, J. Epps and J. Bailey, Information theoretic measures for clusterings comparison, Journal
    of Machine Learning Research 11 (2010).
    """
    measured = functools.partial(tables.normalized_mutual_information, normalizer, PROBS.entropy)
    return PROBS.of_table(measured, p, {"x": x, "y": y}, where=where, base=None, keepdims=keepdims)


@public
def variation_of_information(
    p: JointProbabilities,
    *,
    x: Axis = -2,
    y: Axis = -1,
    where: Mask | None = None,
    base: float | None = None,
    keepdims: bool = False,
) -> Float[Array, "..."]:
    """Variation of information H(X | Y) + H(Y | X), in nats.

    To leave a variable of a table out, take `marginal` first.

    Returns:
        `[...]`, a metric between variables: at least 0, and 0 where each determines the other.

    Edge cases: empty cells, rows and columns contribute 0.

    Gradient: log(Pₓ/P) + log(Pᵧ/P), each logarithm taken at the smallest normal number where its probability is 0.

    Example:
        >>> from jxent import probs
        >>> round(float(probs.variation_of_information([[0.4, 0.1], [0.1, 0.4]], base=2)), 4)
        1.4439

    Reference: M. Meilă, Comparing clusterings: an information based distance, Journal of Multivariate Analysis 98
    (2007).
    """
    return PROBS.of_table(
        tables.variation_of_information, p, {"x": x, "y": y}, where=where, base=base, keepdims=keepdims
    )


@public
def conditional_mutual_information(
    p: JointProbabilities,
    *,
    x: Axis = -3,
    y: Axis = -2,
    given: Axis = -1,
    where: Mask | None = None,
    base: float | None = None,
    keepdims: bool = False,
) -> Float[Array, "..."]:
    """Conditional mutual information I(X; Y | Z) = Σ P·log(P·P_z/(P_xz·P_yz)), in nats.

    Evaluated as the divergence of the table from P_xz·P_yz/P_z. To leave a variable of a table out, take `marginal`
    first.

    Returns:
        `[...]`, at least 0; 0, or the square of rounding, where X and Y are independent given Z.

    Edge cases: empty cells and impossible values of Z contribute 0.

    Gradient: log(P·P_z/(P_xz·P_yz)), each logarithm taken at the smallest normal number where its probability is 0.

    Example:
        >>> from jxent import probs
        >>> table = [[[0.25, 0.0], [0.0, 0.25]], [[0.0, 0.25], [0.25, 0.0]]]
        >>> round(float(probs.conditional_mutual_information(table, base=2)), 4)
        1.0

    Reference: T. M. Cover and J. A. Thomas, Elements of Information Theory, 2nd ed. (2006), eq. 2.60.
    """
    return PROBS.of_table(
        tables.conditional_mutual_information,
        p,
        {"given": given, "x": x, "y": y},
        where=where,
        base=base,
        keepdims=keepdims,
    )
