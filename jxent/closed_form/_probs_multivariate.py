"""Gradients of the measures of any number of variables of a joint table of probabilities, by hand."""

from jax.typing import ArrayLike
from jaxtyping import Array, Float

from jxent._checks import Variables, public
from jxent.closed_form import _tables


@public()
def probs_total_correlation(
    p: ArrayLike,
    *,
    variables: Variables | None = None,
    where: ArrayLike | None = None,
    base: float | None = None,
    keepdims: bool = False,
) -> Float[Array, "..."]:
    """Gradient of `probs.total_correlation`.

    A margin P_S has the derivative 1 in each of its cells, so that Σ P·log P_S has the slope log P_S + 1. The slope
    of the measure is log(P/∏ Pᵢ) + n((ΣP)ⁿ⁻¹ − 1).

    Args:
        p: joint probabilities `[..., A, B, …]`; axes that no variable names are a batch.
        variables: the variables, each an axis or a tuple of axes; None is every axis by itself.
        where: masked cells get gradient 0.
        base: unit of the measure, and so of its gradient.
        keepdims: taken so that the same options serve both; the gradient keeps the shape of the table.

    Returns:
        An array of the shape of `p`.

    Edge cases: each logarithm is taken at the smallest normal number where its probability is 0.

    Gradient: differentiable as the plain expression that it is.

    Example:
        >>> from jxent import closed_form, probs
        >>> measure, gradient = probs.total_correlation, closed_form.probs_total_correlation
        >>> closed_form.compare(measure, gradient, [[[0.1, 0.2], [0.05, 0.15]], [[0.2, 0.1], [0.1, 0.1]]]).agrees
        True

    Reference: S. Watanabe, Information theoretical analysis of multivariate correlation, IBM Journal of Research
    and Development 4 (1960).
    """
    del keepdims
    return _tables.gradient(_tables.total_correlation, "p", p, variables, where=where, base=base)


@public()
def probs_dual_total_correlation(
    p: ArrayLike,
    *,
    variables: Variables | None = None,
    where: ArrayLike | None = None,
    base: float | None = None,
    keepdims: bool = False,
) -> Float[Array, "..."]:
    """Gradient of `probs.dual_total_correlation`.

    A margin P_S has the derivative 1 in each of its cells, so that Σ P·log P_S has the slope log P_S + 1. The slope
    of the measure is (n − 1)·log P − Σ log P₋ᵢ + 2(ΣP − 1), P₋ᵢ the margin of all but Xᵢ.

    Args:
        p: joint probabilities `[..., A, B, …]`; axes that no variable names are a batch.
        variables: the variables, each an axis or a tuple of axes; None is every axis by itself.
        where: masked cells get gradient 0.
        base: unit of the measure, and so of its gradient.
        keepdims: taken so that the same options serve both; the gradient keeps the shape of the table.

    Returns:
        An array of the shape of `p`.

    Edge cases: each logarithm is taken at the smallest normal number where its probability is 0.

    Gradient: differentiable as the plain expression that it is.

    Example:
        >>> from jxent import closed_form, probs
        >>> measure, gradient = probs.dual_total_correlation, closed_form.probs_dual_total_correlation
        >>> closed_form.compare(measure, gradient, [[[0.1, 0.2], [0.05, 0.15]], [[0.2, 0.1], [0.1, 0.1]]]).agrees
        True

    Reference: T. S. Han, Nonnegative entropy measures of multivariate symmetric correlations, Information and
    Control 36 (1978).
    """
    del keepdims
    return _tables.gradient(_tables.dual_total_correlation, "p", p, variables, where=where, base=base)


@public()
def probs_o_information(
    p: ArrayLike,
    *,
    variables: Variables | None = None,
    where: ArrayLike | None = None,
    base: float | None = None,
    keepdims: bool = False,
) -> Float[Array, "..."]:
    """Gradient of `probs.o_information`.

    A margin P_S has the derivative 1 in each of its cells, so that Σ P·log P_S has the slope log P_S + 1. The slope
    of the measure is (2 − n)·log P − Σ log Pᵢ + Σ log P₋ᵢ, and the terms in ΣP of both.

    Args:
        p: joint probabilities `[..., A, B, …]`; axes that no variable names are a batch.
        variables: the variables, each an axis or a tuple of axes; None is every axis by itself.
        where: masked cells get gradient 0.
        base: unit of the measure, and so of its gradient.
        keepdims: taken so that the same options serve both; the gradient keeps the shape of the table.

    Returns:
        An array of the shape of `p`.

    Edge cases: each logarithm is taken at the smallest normal number where its probability is 0.

    Gradient: differentiable as the plain expression that it is.

    Example:
        >>> from jxent import closed_form, probs
        >>> measure, gradient = probs.o_information, closed_form.probs_o_information
        >>> closed_form.compare(measure, gradient, [[[0.1, 0.2], [0.05, 0.15]], [[0.2, 0.1], [0.1, 0.1]]]).agrees
        True

    Reference: F. E. Rosas, P. A. M. Mediano, M. Gastpar and H. J. Jensen, Quantifying high-order interdependencies
    via multivariate extensions of the mutual information, Physical Review E 100 (2019).
    """
    del keepdims
    return _tables.gradient(_tables.o_information, "p", p, variables, where=where, base=base)


@public()
def probs_co_information(
    p: ArrayLike,
    *,
    variables: Variables | None = None,
    where: ArrayLike | None = None,
    base: float | None = None,
    keepdims: bool = False,
) -> Float[Array, "..."]:
    """Gradient of `probs.co_information`.

    A margin P_S has the derivative 1 in each of its cells, so that Σ P·log P_S has the slope log P_S + 1. The slope
    of the measure is Σ (−1)^|T|·log P_T over all subsets T but the empty one + 2(ΣP − 1).

    Args:
        p: joint probabilities `[..., A, B, …]`; axes that no variable names are a batch.
        variables: the variables, each an axis or a tuple of axes; None is every axis by itself.
        where: masked cells get gradient 0.
        base: unit of the measure, and so of its gradient.
        keepdims: taken so that the same options serve both; the gradient keeps the shape of the table.

    Returns:
        An array of the shape of `p`.

    Edge cases: each logarithm is taken at the smallest normal number where its probability is 0.

    Gradient: differentiable as the plain expression that it is.

    Example:
        >>> from jxent import closed_form, probs
        >>> measure, gradient = probs.co_information, closed_form.probs_co_information
        >>> closed_form.compare(measure, gradient, [[[0.1, 0.2], [0.05, 0.15]], [[0.2, 0.1], [0.1, 0.1]]]).agrees
        True

    Reference: A. J. Bell, The co-information lattice, Proceedings of ICA (2003).
    """
    del keepdims
    return _tables.gradient(_tables.co_information, "p", p, variables, where=where, base=base)


@public()
def probs_interaction_information(
    p: ArrayLike,
    *,
    variables: Variables | None = None,
    where: ArrayLike | None = None,
    base: float | None = None,
    keepdims: bool = False,
) -> Float[Array, "..."]:
    """Gradient of `probs.interaction_information`.

    A margin P_S has the derivative 1 in each of its cells, so that Σ P·log P_S has the slope log P_S + 1. The slope
    of the measure is (−1)ⁿ times that of `co_information`.

    Args:
        p: joint probabilities `[..., A, B, …]`; axes that no variable names are a batch.
        variables: the variables, each an axis or a tuple of axes; None is every axis by itself.
        where: masked cells get gradient 0.
        base: unit of the measure, and so of its gradient.
        keepdims: taken so that the same options serve both; the gradient keeps the shape of the table.

    Returns:
        An array of the shape of `p`.

    Edge cases: each logarithm is taken at the smallest normal number where its probability is 0.

    Gradient: differentiable as the plain expression that it is.

    Example:
        >>> from jxent import closed_form, probs
        >>> measure, gradient = probs.interaction_information, closed_form.probs_interaction_information
        >>> closed_form.compare(measure, gradient, [[[0.1, 0.2], [0.05, 0.15]], [[0.2, 0.1], [0.1, 0.1]]]).agrees
        True

    Reference: W. J. McGill, Multivariate information transmission, Psychometrika 19 (1954).
    """
    del keepdims
    return _tables.gradient(_tables.interaction_information, "p", p, variables, where=where, base=base)
