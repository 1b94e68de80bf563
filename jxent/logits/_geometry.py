"""Information geometry of the categorical distribution in its logits."""

from collections.abc import Callable

import jax.numpy as jnp
from jaxtyping import Array, Float

from jxent._checks import Logits, Numbers, OneAxis, Real, as_float, category_axes, match_rows, public
from jxent._numerics import geometry

__all__ = ["fisher_information", "fisher_vector_product", "natural_gradient"]


@public
def fisher_information(
    z: Logits,
    *,
    axis: OneAxis = -1,
) -> Float[Array, "..."]:
    """Fisher information diag(p) − p·pᵀ of a categorical distribution in its logits, in nats².

    The covariance of the one-hot outcome, the Hessian of log Σ exp z, and that of KL(p‖q) in either argument at p =
    q.

    Args:
        axis: the axis of the categories.

    Returns:
        `[..., K, K]`, the matrix on the last two axes; its rows sum to 0.

    Edge cases: −inf gives a row and a column of zeros; the diagonal p(1 − p) keeps its digits for a nearly certain
    class.

    Gradient: differentiable, finite everywhere.

    Example:
        >>> from jxent import logits
        >>> logits.fisher_information([0.0, 0.0]).tolist()
        [[0.25, -0.25], [-0.25, 0.25]]

    Reference: S. Amari, Natural gradient works efficiently in learning, Neural Computation 10 (1998).
    """
    array = as_float("z", z)
    (at,) = category_axes("z", array, axis)
    return geometry.fisher_information(jnp.moveaxis(array, at, -1))


@public
def fisher_vector_product(
    z: Logits,
    v: Real,
    *,
    axis: OneAxis = -1,
) -> Float[Array, "..."]:
    """Product (diag(p) − p·pᵀ)·v = p(v − Σ p·v) of the Fisher information and a vector, in O(K).

    Args:
        v: vectors `[..., K]`, one per row of logits.
        axis: the axis of the categories.

    Returns:
        An array of the shape of `v`, which sums to 0 over the categories.

    Edge cases: 0 for classes at −inf.

    Gradient: differentiable, finite everywhere; linear in v.

    Example:
        >>> from jxent import logits
        >>> logits.fisher_vector_product([0.0, 0.0], [1.0, 0.0]).tolist()
        [0.25, -0.25]

    Reference: S. Amari, Natural gradient works efficiently in learning, Neural Computation 10 (1998).
    """
    return _with_vector(geometry.fisher_vector_product, "v", z, v, axis)


@public
def natural_gradient(
    z: Logits,
    gradient: Real,
    *,
    axis: OneAxis = -1,
) -> Float[Array, "..."]:
    """Natural gradient F⁺·g in the logits: the gradient measured by the Fisher information F.

    F is singular along the shift of a row, which changes no distribution. The step of least norm is g/p less its
    mean over the possible classes, for a g that sums to 0, as every gradient of a function of p does. The mean of
    any other g is subtracted first.

    Args:
        gradient: gradients `[..., K]` in the logits, one per row.
        axis: the axis of the categories.

    Returns:
        An array of the shape of `gradient`, which sums to 0 over the categories.

    Edge cases: 0 for classes at −inf; the probability of a class that underflowed counts as the smallest normal
    number.

    Gradient: differentiable, finite everywhere; linear in g.

    Example:
        >>> from jxent import logits
        >>> logits.natural_gradient([0.0, 0.0], [0.25, -0.25]).tolist()
        [0.5, -0.5]

    Reference: S. Amari, Natural gradient works efficiently in learning, Neural Computation 10 (1998).
    """
    return _with_vector(geometry.natural_gradient, "gradient", z, gradient, axis)


def _with_vector(function: Callable[[Array, Array], Array], name: str, z: Numbers, v: Numbers, axis: int) -> Array:
    """Apply a function of logits and of vectors with the same axes."""
    first, second, axes = match_rows(("z", name), as_float("z", z), as_float(name, v), axis)
    moved = function(jnp.moveaxis(first, axes[0], -1), jnp.moveaxis(second, axes[0], -1))
    return jnp.moveaxis(moved, -1, axes[0])
