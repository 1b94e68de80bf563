"""Gradients of the measures of any number of variables of a joint table of logits, by hand."""

from jax.typing import ArrayLike
from jaxtyping import Array, Float

from jxent._checks import Variables, public
from jxent.closed_form import _tables


@public()
def logits_total_correlation(
    z: ArrayLike,
    *,
    variables: Variables | None = None,
    where: ArrayLike | None = None,
    base: float | None = None,
    keepdims: bool = False,
) -> Float[Array, "..."]:
    """Gradient of `logits.total_correlation`.

    A margin P_S has the derivative 1 in each of its cells, so that Σ P·log P_S has the slope log P_S + 1. The slope
    of the measure is log(P/∏ Pᵢ). In the logits, P(s − Σ P·s) for the slopes s.

    Args:
        z: logits `[..., A, B, …]` of the joint probabilities, of any shift, normalised over all named axes; the others
            are a batch.
        variables: the variables, each an axis or a tuple of axes; None is every axis by itself.
        where: masked cells get gradient 0.
        base: unit of the measure, and so of its gradient.
        keepdims: taken so that the same options serve both; the gradient keeps the shape of the table.

    Returns:
        An array of the shape of `z`.

    Edge cases: 0 for cells at −inf.

    Gradient: differentiable as the plain expression that it is.

    Example:
        >>> from jxent import closed_form, logits
        >>> measure, gradient = logits.total_correlation, closed_form.logits_total_correlation
        >>> closed_form.compare(measure, gradient, [[[1.0, 2.0], [0.5, -1.5]], [[2.0, -1.0], [1.0, 3.0]]]).agrees
        True

    Reference: S. Watanabe, Information theoretical analysis of multivariate correlation, IBM Journal of Research
    and Development 4 (1960).
    """
    del keepdims
    return _tables.gradient(_tables.total_correlation, "z", z, variables, where=where, base=base)


@public()
def logits_dual_total_correlation(
    z: ArrayLike,
    *,
    variables: Variables | None = None,
    where: ArrayLike | None = None,
    base: float | None = None,
    keepdims: bool = False,
) -> Float[Array, "..."]:
    """Gradient of `logits.dual_total_correlation`.

    A margin P_S has the derivative 1 in each of its cells, so that Σ P·log P_S has the slope log P_S + 1. The slope
    of the measure is (n − 1)·log P − Σ log P₋ᵢ, P₋ᵢ the margin of all but Xᵢ. In the logits, P(s − Σ P·s) for the
    slopes s.

    Args:
        z: logits `[..., A, B, …]` of the joint probabilities, of any shift, normalised over all named axes; the others
            are a batch.
        variables: the variables, each an axis or a tuple of axes; None is every axis by itself.
        where: masked cells get gradient 0.
        base: unit of the measure, and so of its gradient.
        keepdims: taken so that the same options serve both; the gradient keeps the shape of the table.

    Returns:
        An array of the shape of `z`.

    Edge cases: 0 for cells at −inf.

    Gradient: differentiable as the plain expression that it is.

    Example:
        >>> from jxent import closed_form, logits
        >>> measure, gradient = logits.dual_total_correlation, closed_form.logits_dual_total_correlation
        >>> closed_form.compare(measure, gradient, [[[1.0, 2.0], [0.5, -1.5]], [[2.0, -1.0], [1.0, 3.0]]]).agrees
        True

    Reference: T. S. Han, Nonnegative entropy measures of multivariate symmetric correlations, Information and
    Control 36 (1978).
    """
    del keepdims
    return _tables.gradient(_tables.dual_total_correlation, "z", z, variables, where=where, base=base)


@public()
def logits_o_information(
    z: ArrayLike,
    *,
    variables: Variables | None = None,
    where: ArrayLike | None = None,
    base: float | None = None,
    keepdims: bool = False,
) -> Float[Array, "..."]:
    """Gradient of `logits.o_information`.

    A margin P_S has the derivative 1 in each of its cells, so that Σ P·log P_S has the slope log P_S + 1. The slope
    of the measure is (2 − n)·log P − Σ log Pᵢ + Σ log P₋ᵢ. In the logits, P(s − Σ P·s) for the slopes s.

    Args:
        z: logits `[..., A, B, …]` of the joint probabilities, of any shift, normalised over all named axes; the others
            are a batch.
        variables: the variables, each an axis or a tuple of axes; None is every axis by itself.
        where: masked cells get gradient 0.
        base: unit of the measure, and so of its gradient.
        keepdims: taken so that the same options serve both; the gradient keeps the shape of the table.

    Returns:
        An array of the shape of `z`.

    Edge cases: 0 for cells at −inf.

    Gradient: differentiable as the plain expression that it is.

    Example:
        >>> from jxent import closed_form, logits
        >>> measure, gradient = logits.o_information, closed_form.logits_o_information
        >>> closed_form.compare(measure, gradient, [[[1.0, 2.0], [0.5, -1.5]], [[2.0, -1.0], [1.0, 3.0]]]).agrees
        True

    Reference: F. E. Rosas, P. A. M. Mediano, M. Gastpar and H. J. Jensen, Quantifying high-order interdependencies
    via multivariate extensions of the mutual information, Physical Review E 100 (2019).
    """
    del keepdims
    return _tables.gradient(_tables.o_information, "z", z, variables, where=where, base=base)


@public()
def logits_co_information(
    z: ArrayLike,
    *,
    variables: Variables | None = None,
    where: ArrayLike | None = None,
    base: float | None = None,
    keepdims: bool = False,
) -> Float[Array, "..."]:
    """Gradient of `logits.co_information`.

    A margin P_S has the derivative 1 in each of its cells, so that Σ P·log P_S has the slope log P_S + 1. The slope
    of the measure is Σ (−1)^|T|·log P_T over all subsets T but the empty one. In the logits, P(s − Σ P·s) for the
    slopes s.

    Args:
        z: logits `[..., A, B, …]` of the joint probabilities, of any shift, normalised over all named axes; the others
            are a batch.
        variables: the variables, each an axis or a tuple of axes; None is every axis by itself.
        where: masked cells get gradient 0.
        base: unit of the measure, and so of its gradient.
        keepdims: taken so that the same options serve both; the gradient keeps the shape of the table.

    Returns:
        An array of the shape of `z`.

    Edge cases: 0 for cells at −inf.

    Gradient: differentiable as the plain expression that it is.

    Example:
        >>> from jxent import closed_form, logits
        >>> measure, gradient = logits.co_information, closed_form.logits_co_information
        >>> closed_form.compare(measure, gradient, [[[1.0, 2.0], [0.5, -1.5]], [[2.0, -1.0], [1.0, 3.0]]]).agrees
        True

    Reference: A. J. Bell, The co-information lattice, Proceedings of ICA (2003).
    """
    del keepdims
    return _tables.gradient(_tables.co_information, "z", z, variables, where=where, base=base)


@public()
def logits_interaction_information(
    z: ArrayLike,
    *,
    variables: Variables | None = None,
    where: ArrayLike | None = None,
    base: float | None = None,
    keepdims: bool = False,
) -> Float[Array, "..."]:
    """Gradient of `logits.interaction_information`.

    A margin P_S has the derivative 1 in each of its cells, so that Σ P·log P_S has the slope log P_S + 1. The slope
    of the measure is (−1)ⁿ times that of `co_information`. In the logits, P(s − Σ P·s) for the slopes s.

    Args:
        z: logits `[..., A, B, …]` of the joint probabilities, of any shift, normalised over all named axes; the others
            are a batch.
        variables: the variables, each an axis or a tuple of axes; None is every axis by itself.
        where: masked cells get gradient 0.
        base: unit of the measure, and so of its gradient.
        keepdims: taken so that the same options serve both; the gradient keeps the shape of the table.

    Returns:
        An array of the shape of `z`.

    Edge cases: 0 for cells at −inf.

    Gradient: differentiable as the plain expression that it is.

    Example:
        >>> from jxent import closed_form, logits
        >>> measure, gradient = logits.interaction_information, closed_form.logits_interaction_information
        >>> closed_form.compare(measure, gradient, [[[1.0, 2.0], [0.5, -1.5]], [[2.0, -1.0], [1.0, 3.0]]]).agrees
        True

    Reference: W. J. McGill, Multivariate information transmission, Psychometrika 19 (1954).
    """
    del keepdims
    return _tables.gradient(_tables.interaction_information, "z", z, variables, where=where, base=base)
