"""Gradients of the measures of two or three variables of a joint table of logits, by hand."""

import functools

from jax.typing import ArrayLike
from jaxtyping import Array, Float

from jxent._checks import Axis, Variables, public
from jxent.closed_form import _tables


@public()
def logits_joint_entropy(
    z: ArrayLike,
    *,
    variables: Variables | None = None,
    where: ArrayLike | None = None,
    base: float | None = None,
    keepdims: bool = False,
) -> Float[Array, "..."]:
    """Gradient of `logits.joint_entropy`.

    A margin P_S has the derivative 1 in each of its cells, so that Σ P·log P_S has the slope log P_S + 1. The slope
    of the measure is −(log P + 1). In the logits, P(s − Σ P·s) for the slopes s.

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
        >>> measure, gradient = logits.joint_entropy, closed_form.logits_joint_entropy
        >>> closed_form.compare(measure, gradient, [[2.0, 0.0], [0.5, 1.5]]).agrees
        True

    Reference: T. M. Cover and J. A. Thomas, Elements of Information Theory, 2nd ed. (2006), eq. 2.8.
    """
    del keepdims
    return _tables.gradient(_tables.joint_entropy, "z", z, variables, where=where, base=base)


@public()
def logits_conditional_entropy(
    z: ArrayLike,
    *,
    of: Axis = -1,
    given: Axis = -2,
    where: ArrayLike | None = None,
    base: float | None = None,
    keepdims: bool = False,
) -> Float[Array, "..."]:
    """Gradient of `logits.conditional_entropy`.

    A margin P_S has the derivative 1 in each of its cells, so that Σ P·log P_S has the slope log P_S + 1. The slope
    of the measure is log(P(given)/P). In the logits, P(s − Σ P·s) for the slopes s.

    Args:
        z: logits `[..., A, B, …]` of the joint probabilities, of any shift, normalised over all named axes; the others
            are a batch.
        of: the axis of the variable whose uncertainty is asked for, or a tuple of axes.
        given: the axis of the variable that is known, or a tuple of axes.
        where: masked cells get gradient 0.
        base: unit of the measure, and so of its gradient.
        keepdims: taken so that the same options serve both; the gradient keeps the shape of the table.

    Returns:
        An array of the shape of `z`.

    Edge cases: 0 for cells at −inf.

    Gradient: differentiable as the plain expression that it is.

    Example:
        >>> from jxent import closed_form, logits
        >>> measure, gradient = logits.conditional_entropy, closed_form.logits_conditional_entropy
        >>> closed_form.compare(measure, gradient, [[2.0, 0.0], [0.5, 1.5]]).agrees
        True

    Reference: T. M. Cover and J. A. Thomas, Elements of Information Theory, 2nd ed. (2006), eq. 2.10.
    """
    del keepdims
    return _tables.gradient(_tables.conditional_entropy, "z", z, {"given": given, "of": of}, where=where, base=base)


@public()
def logits_mutual_information(
    z: ArrayLike,
    *,
    x: Axis = -2,
    y: Axis = -1,
    where: ArrayLike | None = None,
    base: float | None = None,
    keepdims: bool = False,
) -> Float[Array, "..."]:
    """Gradient of `logits.mutual_information`.

    A margin P_S has the derivative 1 in each of its cells, so that Σ P·log P_S has the slope log P_S + 1. The slope
    of the measure is log(P/(Pₓ·Pᵧ)). In the logits, P(s − Σ P·s) for the slopes s.

    Args:
        z: logits `[..., A, B, …]` of the joint probabilities, of any shift, normalised over all named axes; the others
            are a batch.
        x: the axis of the first variable, or the tuple of axes that form it.
        y: the axis of the second variable, or a tuple of axes.
        where: masked cells get gradient 0.
        base: unit of the measure, and so of its gradient.
        keepdims: taken so that the same options serve both; the gradient keeps the shape of the table.

    Returns:
        An array of the shape of `z`.

    Edge cases: 0 for cells at −inf.

    Gradient: differentiable as the plain expression that it is.

    Example:
        >>> from jxent import closed_form, logits
        >>> measure, gradient = logits.mutual_information, closed_form.logits_mutual_information
        >>> closed_form.compare(measure, gradient, [[2.0, 0.0], [0.5, 1.5]]).agrees
        True

    Reference: T. M. Cover and J. A. Thomas, Elements of Information Theory, 2nd ed. (2006), eq. 2.28.
    """
    del keepdims
    return _tables.gradient(_tables.mutual_information, "z", z, {"x": x, "y": y}, where=where, base=base)


@public()
def logits_normalized_mutual_information(
    z: ArrayLike,
    *,
    x: Axis = -2,
    y: Axis = -1,
    normalizer: str = "arithmetic",
    where: ArrayLike | None = None,
    keepdims: bool = False,
) -> Float[Array, "..."]:
    """Gradient of `logits.normalized_mutual_information`.

    A margin P_S has the derivative 1 in each of its cells, so that Σ P·log P_S has the slope log P_S + 1. The slope
    of the measure is (∇I − NMI·∇N)/N for the normaliser N. In the logits, P(s − Σ P·s) for the slopes s.

    Args:
        z: logits `[..., A, B, …]` of the joint probabilities, of any shift, normalised over all named axes; the others
            are a batch.
        x: the axis of the first variable, or the tuple of axes that form it.
        y: the axis of the second variable, or a tuple of axes.
        normalizer: "arithmetic", "geometric", "min" or "max" of H(X) and H(Y), or "joint" for H(X, Y).
        where: masked cells get gradient 0.
        keepdims: taken so that the same options serve both; the gradient keeps the shape of the table.

    Returns:
        An array of the shape of `z`.

    Edge cases: 0 for cells at −inf.

    Gradient: differentiable as the plain expression that it is.

    Example:
        >>> from jxent import closed_form, logits
        >>> measure, gradient = logits.normalized_mutual_information, closed_form.logits_normalized_mutual_information
        >>> closed_form.compare(measure, gradient, [[2.0, 0.0], [0.5, 1.5]]).agrees
        True

    Reference: N. X. Vinh, J. Epps and J. Bailey, Information theoretic measures for clusterings comparison, Journal
    of Machine Learning Research 11 (2010).
    """
    del keepdims
    slope = functools.partial(_tables.normalized_mutual_information, normalizer)
    return _tables.gradient(slope, "z", z, {"x": x, "y": y}, where=where, base=None)


@public()
def logits_variation_of_information(
    z: ArrayLike,
    *,
    x: Axis = -2,
    y: Axis = -1,
    where: ArrayLike | None = None,
    base: float | None = None,
    keepdims: bool = False,
) -> Float[Array, "..."]:
    """Gradient of `logits.variation_of_information`.

    A margin P_S has the derivative 1 in each of its cells, so that Σ P·log P_S has the slope log P_S + 1. The slope
    of the measure is log(Pₓ/P) + log(Pᵧ/P). In the logits, P(s − Σ P·s) for the slopes s.

    Args:
        z: logits `[..., A, B, …]` of the joint probabilities, of any shift, normalised over all named axes; the others
            are a batch.
        x: the axis of the first variable, or the tuple of axes that form it.
        y: the axis of the second variable, or a tuple of axes.
        where: masked cells get gradient 0.
        base: unit of the measure, and so of its gradient.
        keepdims: taken so that the same options serve both; the gradient keeps the shape of the table.

    Returns:
        An array of the shape of `z`.

    Edge cases: 0 for cells at −inf.

    Gradient: differentiable as the plain expression that it is.

    Example:
        >>> from jxent import closed_form, logits
        >>> measure, gradient = logits.variation_of_information, closed_form.logits_variation_of_information
        >>> closed_form.compare(measure, gradient, [[2.0, 0.0], [0.5, 1.5]]).agrees
        True

    Reference: M. Meilă, Comparing clusterings: an information based distance, Journal of Multivariate Analysis 98
    (2007).
    """
    del keepdims
    return _tables.gradient(_tables.variation_of_information, "z", z, {"x": x, "y": y}, where=where, base=base)


@public()
def logits_conditional_mutual_information(
    z: ArrayLike,
    *,
    x: Axis = -3,
    y: Axis = -2,
    given: Axis = -1,
    where: ArrayLike | None = None,
    base: float | None = None,
    keepdims: bool = False,
) -> Float[Array, "..."]:
    """Gradient of `logits.conditional_mutual_information`.

    A margin P_S has the derivative 1 in each of its cells, so that Σ P·log P_S has the slope log P_S + 1. The slope
    of the measure is log(P·P_z/(P_xz·P_yz)). In the logits, P(s − Σ P·s) for the slopes s.

    Args:
        z: logits `[..., A, B, …]` of the joint probabilities, of any shift, normalised over all named axes; the others
            are a batch.
        x: the axis of the first variable, or the tuple of axes that form it.
        y: the axis of the second variable, or a tuple of axes.
        given: the axis of the variable that is known, or a tuple of axes.
        where: masked cells get gradient 0.
        base: unit of the measure, and so of its gradient.
        keepdims: taken so that the same options serve both; the gradient keeps the shape of the table.

    Returns:
        An array of the shape of `z`.

    Edge cases: 0 for cells at −inf.

    Gradient: differentiable as the plain expression that it is.

    Example:
        >>> from jxent import closed_form, logits
        >>> measure, gradient = logits.conditional_mutual_information, closed_form.logits_conditional_mutual_information
        >>> closed_form.compare(measure, gradient, [[[1.0, 2.0], [0.5, -1.5]], [[2.0, -1.0], [1.0, 3.0]]]).agrees
        True

    Reference: T. M. Cover and J. A. Thomas, Elements of Information Theory, 2nd ed. (2006), eq. 2.60.
    """
    del keepdims
    slope = _tables.conditional_mutual_information
    return _tables.gradient(slope, "z", z, {"given": given, "x": x, "y": y}, where=where, base=base)
