"""Gradients of the measures of two or three variables of a joint table of probabilities, by hand."""

import functools

from jax.typing import ArrayLike
from jaxtyping import Array, Float

from jxent._checks import Axis, Variables, public
from jxent.closed_form import _tables


@public()
def probs_joint_entropy(
    p: ArrayLike,
    *,
    variables: Variables | None = None,
    where: ArrayLike | None = None,
    base: float | None = None,
    keepdims: bool = False,
) -> Float[Array, "..."]:
    """Gradient of `probs.joint_entropy`.

    A margin P_S has the derivative 1 in each of its cells, so that Σ P·log P_S has the slope log P_S + 1. The slope
    of the measure is −(log P + 1).

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
        >>> measure, gradient = probs.joint_entropy, closed_form.probs_joint_entropy
        >>> closed_form.compare(measure, gradient, [[0.4, 0.1], [0.2, 0.3]]).agrees
        True

    Reference: T. M. Cover and J. A. Thomas, Elements of Information Theory, 2nd ed. (2006), eq. 2.8.
    """
    del keepdims
    return _tables.gradient(_tables.joint_entropy, "p", p, variables, where=where, base=base)


@public()
def probs_conditional_entropy(
    p: ArrayLike,
    *,
    of: Axis = -1,
    given: Axis = -2,
    where: ArrayLike | None = None,
    base: float | None = None,
    keepdims: bool = False,
) -> Float[Array, "..."]:
    """Gradient of `probs.conditional_entropy`.

    A margin P_S has the derivative 1 in each of its cells, so that Σ P·log P_S has the slope log P_S + 1. The slope
    of the measure is log(P(given)/P).

    Args:
        p: joint probabilities `[..., A, B, …]`; axes that no variable names are a batch.
        of: the axis of the variable whose uncertainty is asked for, or a tuple of axes.
        given: the axis of the variable that is known, or a tuple of axes.
        where: masked cells get gradient 0.
        base: unit of the measure, and so of its gradient.
        keepdims: taken so that the same options serve both; the gradient keeps the shape of the table.

    Returns:
        An array of the shape of `p`.

    Edge cases: each logarithm is taken at the smallest normal number where its probability is 0.

    Gradient: differentiable as the plain expression that it is.

    Example:
        >>> from jxent import closed_form, probs
        >>> measure, gradient = probs.conditional_entropy, closed_form.probs_conditional_entropy
        >>> closed_form.compare(measure, gradient, [[0.4, 0.1], [0.2, 0.3]]).agrees
        True

    Reference: T. M. Cover and J. A. Thomas, Elements of Information Theory, 2nd ed. (2006), eq. 2.10.
    """
    del keepdims
    return _tables.gradient(_tables.conditional_entropy, "p", p, {"given": given, "of": of}, where=where, base=base)


@public()
def probs_mutual_information(
    p: ArrayLike,
    *,
    x: Axis = -2,
    y: Axis = -1,
    where: ArrayLike | None = None,
    base: float | None = None,
    keepdims: bool = False,
) -> Float[Array, "..."]:
    """Gradient of `probs.mutual_information`.

    A margin P_S has the derivative 1 in each of its cells, so that Σ P·log P_S has the slope log P_S + 1. The slope
    of the measure is log(P/(Pₓ·Pᵧ)) + 2(ΣP − 1).

    Args:
        p: joint probabilities `[..., A, B, …]`; axes that no variable names are a batch.
        x: the axis of the first variable, or the tuple of axes that form it.
        y: the axis of the second variable, or a tuple of axes.
        where: masked cells get gradient 0.
        base: unit of the measure, and so of its gradient.
        keepdims: taken so that the same options serve both; the gradient keeps the shape of the table.

    Returns:
        An array of the shape of `p`.

    Edge cases: each logarithm is taken at the smallest normal number where its probability is 0.

    Gradient: differentiable as the plain expression that it is.

    Example:
        >>> from jxent import closed_form, probs
        >>> measure, gradient = probs.mutual_information, closed_form.probs_mutual_information
        >>> closed_form.compare(measure, gradient, [[0.4, 0.1], [0.2, 0.3]]).agrees
        True

    Reference: T. M. Cover and J. A. Thomas, Elements of Information Theory, 2nd ed. (2006), eq. 2.28.
    """
    del keepdims
    return _tables.gradient(_tables.mutual_information, "p", p, {"x": x, "y": y}, where=where, base=base)


@public()
def probs_normalized_mutual_information(
    p: ArrayLike,
    *,
    x: Axis = -2,
    y: Axis = -1,
    normalizer: str = "arithmetic",
    where: ArrayLike | None = None,
    keepdims: bool = False,
) -> Float[Array, "..."]:
    """Gradient of `probs.normalized_mutual_information`.

    A margin P_S has the derivative 1 in each of its cells, so that Σ P·log P_S has the slope log P_S + 1. The slope
    of the measure is (∇I − NMI·∇N)/N for the normaliser N.

    Args:
        p: joint probabilities `[..., A, B, …]`; axes that no variable names are a batch.
        x: the axis of the first variable, or the tuple of axes that form it.
        y: the axis of the second variable, or a tuple of axes.
        normalizer: "arithmetic", "geometric", "min" or "max" of H(X) and H(Y), or "joint" for H(X, Y).
        where: masked cells get gradient 0.
        keepdims: taken so that the same options serve both; the gradient keeps the shape of the table.

    Returns:
        An array of the shape of `p`.

    Edge cases: each logarithm is taken at the smallest normal number where its probability is 0.

    Gradient: differentiable as the plain expression that it is.

    Example:
        >>> from jxent import closed_form, probs
        >>> measure, gradient = probs.normalized_mutual_information, closed_form.probs_normalized_mutual_information
        >>> closed_form.compare(measure, gradient, [[0.4, 0.1], [0.2, 0.3]]).agrees
        True

    Reference: N. X. Vinh, J. Epps and J. Bailey, Information theoretic measures for clusterings comparison, Journal
    of Machine Learning Research 11 (2010).
    """
    del keepdims
    slope = functools.partial(_tables.normalized_mutual_information, normalizer)
    return _tables.gradient(slope, "p", p, {"x": x, "y": y}, where=where, base=None)


@public()
def probs_variation_of_information(
    p: ArrayLike,
    *,
    x: Axis = -2,
    y: Axis = -1,
    where: ArrayLike | None = None,
    base: float | None = None,
    keepdims: bool = False,
) -> Float[Array, "..."]:
    """Gradient of `probs.variation_of_information`.

    A margin P_S has the derivative 1 in each of its cells, so that Σ P·log P_S has the slope log P_S + 1. The slope
    of the measure is log(Pₓ/P) + log(Pᵧ/P).

    Args:
        p: joint probabilities `[..., A, B, …]`; axes that no variable names are a batch.
        x: the axis of the first variable, or the tuple of axes that form it.
        y: the axis of the second variable, or a tuple of axes.
        where: masked cells get gradient 0.
        base: unit of the measure, and so of its gradient.
        keepdims: taken so that the same options serve both; the gradient keeps the shape of the table.

    Returns:
        An array of the shape of `p`.

    Edge cases: each logarithm is taken at the smallest normal number where its probability is 0.

    Gradient: differentiable as the plain expression that it is.

    Example:
        >>> from jxent import closed_form, probs
        >>> measure, gradient = probs.variation_of_information, closed_form.probs_variation_of_information
        >>> closed_form.compare(measure, gradient, [[0.4, 0.1], [0.2, 0.3]]).agrees
        True

    Reference: M. Meilă, Comparing clusterings: an information based distance, Journal of Multivariate Analysis 98
    (2007).
    """
    del keepdims
    return _tables.gradient(_tables.variation_of_information, "p", p, {"x": x, "y": y}, where=where, base=base)


@public()
def probs_conditional_mutual_information(
    p: ArrayLike,
    *,
    x: Axis = -3,
    y: Axis = -2,
    given: Axis = -1,
    where: ArrayLike | None = None,
    base: float | None = None,
    keepdims: bool = False,
) -> Float[Array, "..."]:
    """Gradient of `probs.conditional_mutual_information`.

    A margin P_S has the derivative 1 in each of its cells, so that Σ P·log P_S has the slope log P_S + 1. The slope
    of the measure is log(P·P_z/(P_xz·P_yz)).

    Args:
        p: joint probabilities `[..., A, B, …]`; axes that no variable names are a batch.
        x: the axis of the first variable, or the tuple of axes that form it.
        y: the axis of the second variable, or a tuple of axes.
        given: the axis of the variable that is known, or a tuple of axes.
        where: masked cells get gradient 0.
        base: unit of the measure, and so of its gradient.
        keepdims: taken so that the same options serve both; the gradient keeps the shape of the table.

    Returns:
        An array of the shape of `p`.

    Edge cases: each logarithm is taken at the smallest normal number where its probability is 0.

    Gradient: differentiable as the plain expression that it is.

    Example:
        >>> from jxent import closed_form, probs
        >>> measure, gradient = probs.conditional_mutual_information, closed_form.probs_conditional_mutual_information
        >>> closed_form.compare(measure, gradient, [[[0.1, 0.2], [0.05, 0.15]], [[0.2, 0.1], [0.1, 0.1]]]).agrees
        True

    Reference: T. M. Cover and J. A. Thomas, Elements of Information Theory, 2nd ed. (2006), eq. 2.60.
    """
    del keepdims
    slope = _tables.conditional_mutual_information
    return _tables.gradient(slope, "p", p, {"given": given, "x": x, "y": y}, where=where, base=base)
