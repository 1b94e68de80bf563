"""Entropy and information of the variables of a joint table, from logits."""

import functools

from jaxtyping import Array, Float

from jxent._adapter import LOGITS
from jxent._checks import Axis, JointLogits, Mask, Normalizer, Variables, public
from jxent._numerics import tables

# fmt: off
__all__ = [
    "conditional_entropy", "conditional_mutual_information", "joint_entropy", "mutual_information",
    "normalized_mutual_information", "variation_of_information",
]
# fmt: on


@public
def joint_entropy(
    z: JointLogits,
    *,
    variables: Variables | None = None,
    where: Mask | None = None,
    base: float | None = None,
    keepdims: bool = False,
) -> Float[Array, "..."]:
    """Joint entropy −Σ P·log P of all named variables together, from logits, in nats.

    Other axes are a batch; to leave a variable out, take `marginal` first.

    Returns:
        `[...]`, one number per table.

    Edge cases: an empty cell contributes 0. A table of only −inf gives NaN.

    Gradient: P(s − Σ P·s) for the slopes s in P, finite everywhere; s = −(log P + 1).

    Example:
        >>> import jax.numpy as jnp
        >>> from jxent import logits
        >>> round(float(logits.joint_entropy(jnp.log(jnp.array([[0.4, 0.1], [0.1, 0.4]])), base=2)), 4)
        1.7219

    Reference: T. M. Cover and J. A. Thomas, Elements of Information Theory, 2nd ed. (2006), eq. 2.8.
    """
    return LOGITS.joint_entropy(z, variables, where=where, base=base, keepdims=keepdims)


@public
def conditional_entropy(
    z: JointLogits,
    *,
    of: Axis = -1,
    given: Axis = -2,
    where: Mask | None = None,
    base: float | None = None,
    keepdims: bool = False,
) -> Float[Array, "..."]:
    """Conditional entropy H(of | given) = Σ P·log(P(given)/P), from logits, in nats.

    Summed row by row with the largest cell of a row kept apart, so that a row that is nearly certain keeps its
    digits. The table is that of the two variables. To leave a variable of a table out, take `marginal` first.

    Returns:
        `[...]`, at least 0, and 0 where one variable determines the other.

    Edge cases: empty cells and empty rows contribute 0. A table of only −inf gives NaN.

    Gradient: P(s − Σ P·s) for the slopes s in P, finite everywhere; s = log(P(given)/P).

    Example:
        >>> import jax.numpy as jnp
        >>> from jxent import logits
        >>> round(float(logits.conditional_entropy(jnp.log(jnp.array([[0.4, 0.1], [0.1, 0.4]])), base=2)), 4)
        0.7219

    Reference: T. M. Cover and J. A. Thomas, Elements of Information Theory, 2nd ed. (2006), eq. 2.10.
    """
    return LOGITS.of_table(
        tables.conditional_of_second, z, {"given": given, "of": of}, where=where, base=base, keepdims=keepdims
    )


@public
def mutual_information(
    z: JointLogits,
    *,
    x: Axis = -2,
    y: Axis = -1,
    where: Mask | None = None,
    base: float | None = None,
    keepdims: bool = False,
) -> Float[Array, "..."]:
    """Mutual information I(X; Y) = Σ P·log(P/(Pₓ·Pᵧ)), from logits, in nats.

    Evaluated as the divergence Σ P·log(P/Q) − P + Q from the product Q of the margins, never as a difference of
    entropies. To leave a variable of a table out, take `marginal` first.

    Returns:
        `[...]`, at least 0; for a product table 0, or the square of its rounding.

    Edge cases: an empty cell contributes the product of its margins to the form above, 0 to the measure; with an
    empty mask 0. A table of only −inf gives NaN.

    Gradient: P(s − Σ P·s) for the slopes s in P, finite everywhere; s = log(P/(Pₓ·Pᵧ)).

    Example:
        >>> import jax.numpy as jnp
        >>> from jxent import logits
        >>> round(float(logits.mutual_information(jnp.log(jnp.array([[0.4, 0.1], [0.1, 0.4]])), base=2)), 4)
        0.2781

    Reference: T. M. Cover and J. A. Thomas, Elements of Information Theory, 2nd ed. (2006), eq. 2.28.
    """
    return LOGITS.of_table(tables.mutual_information, z, {"x": x, "y": y}, where=where, base=base, keepdims=keepdims)


@public
def normalized_mutual_information(
    z: JointLogits,
    *,
    x: Axis = -2,
    y: Axis = -1,
    normalizer: Normalizer = "arithmetic",
    where: Mask | None = None,
    keepdims: bool = False,
) -> Float[Array, "..."]:
    """Mutual information over a mean of H(X) and H(Y), a number without a unit, from logits.

    For the arithmetic mean 2·I(X;Y)/(H(X) + H(Y)).

    Applied to the joint table of two clusterings, it is scikit-learn's score. To leave a variable of a table out,
    take `marginal` first.

    Returns:
        `[...]`, from 0 to 1.

    Edge cases: 0, with gradient 0, where the normaliser is 0, as for constant variables. A table of only −inf gives
    NaN.

    Gradient: P(s − Σ P·s) for the slopes s in P, finite everywhere; s = (∇I − NMI·∇N)/N for the normaliser N.

    Example:
        >>> import jax.numpy as jnp
        >>> from jxent import logits
        >>> round(float(logits.normalized_mutual_information(jnp.log(jnp.array([[0.4, 0.1], [0.1, 0.4]])))), 4)
        0.2781

    Reference: N. X. Vinh, J. Epps and J. Bailey, Information theoretic measures for clusterings comparison, Journal
    of Machine Learning Research 11 (2010).
    """
    measured = functools.partial(tables.normalized_mutual_information, normalizer, LOGITS.entropy)
    return LOGITS.of_table(measured, z, {"x": x, "y": y}, where=where, base=None, keepdims=keepdims)


@public
def variation_of_information(
    z: JointLogits,
    *,
    x: Axis = -2,
    y: Axis = -1,
    where: Mask | None = None,
    base: float | None = None,
    keepdims: bool = False,
) -> Float[Array, "..."]:
    """Variation of information H(X | Y) + H(Y | X), from logits, in nats.

    To leave a variable of a table out, take `marginal` first.

    Returns:
        `[...]`, a metric between variables: at least 0, and 0 where each determines the other.

    Edge cases: empty cells, rows and columns contribute 0. A table of only −inf gives NaN.

    Gradient: P(s − Σ P·s) for the slopes s in P, finite everywhere; s = log(Pₓ/P) + log(Pᵧ/P).

    Example:
        >>> import jax.numpy as jnp
        >>> from jxent import logits
        >>> round(float(logits.variation_of_information(jnp.log(jnp.array([[0.4, 0.1], [0.1, 0.4]])), base=2)), 4)
        1.4439

    Reference: M. Meilă, Comparing clusterings: an information based distance, Journal of Multivariate Analysis 98
    (2007).
    """
    return LOGITS.of_table(
        tables.variation_of_information, z, {"x": x, "y": y}, where=where, base=base, keepdims=keepdims
    )


@public
def conditional_mutual_information(
    z: JointLogits,
    *,
    x: Axis = -3,
    y: Axis = -2,
    given: Axis = -1,
    where: Mask | None = None,
    base: float | None = None,
    keepdims: bool = False,
) -> Float[Array, "..."]:
    """Conditional mutual information I(X; Y | Z) = Σ P·log(P·P_z/(P_xz·P_yz)), from logits, in nats.

    Evaluated as the divergence of the table from P_xz·P_yz/P_z. To leave a variable of a table out, take `marginal`
    first.

    Returns:
        `[...]`, at least 0; 0, or the square of rounding, where X and Y are independent given Z.

    Edge cases: empty cells and impossible values of Z contribute 0. A table of only −inf gives NaN.

    Gradient: P(s − Σ P·s) for the slopes s in P, finite everywhere; s = log(P·P_z/(P_xz·P_yz)).

    Example:
        >>> import jax.numpy as jnp
        >>> from jxent import logits
        >>> table = jnp.log(jnp.array([[[0.25, 0.0], [0.0, 0.25]], [[0.0, 0.25], [0.25, 0.0]]]))
        >>> round(float(logits.conditional_mutual_information(table, base=2)), 4)
        1.0

    Reference: T. M. Cover and J. A. Thomas, Elements of Information Theory, 2nd ed. (2006), eq. 2.60.
    """
    return LOGITS.of_table(
        tables.conditional_mutual_information,
        z,
        {"given": given, "x": x, "y": y},
        where=where,
        base=base,
        keepdims=keepdims,
    )
