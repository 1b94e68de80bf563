"""Information geometry of the categorical distribution in its logits."""

from jax.typing import ArrayLike
from jaxtyping import Array, Float

from jxent._checks import public
from jxent._numerics import geometry
from jxent.logits import _rows


@public()
def fisher_information(
    z: ArrayLike,
    *,
    axis: int = -1,
) -> Float[Array, "..."]:
    """Fisher information diag(p) − p·pᵀ of a categorical distribution in its logits, in nats².

    The covariance of the one-hot outcome, the Hessian of log Σ exp z, and that of KL(p‖q) in either argument at p =
    q.

    Args:
        z: logits `[..., K]`, of any shift.
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
    return geometry.fisher_information(*_rows.last("z", z, axis))


@public()
def fisher_vector_product(
    z: ArrayLike,
    v: ArrayLike,
    *,
    axis: int = -1,
) -> Float[Array, "..."]:
    """Product (diag(p) − p·pᵀ)·v = p(v − Σ p·v) of the Fisher information and a vector, in O(K).

    Args:
        z: logits `[..., K]`, of any shift.
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
    return _rows.with_vector(geometry.fisher_vector_product, "v", z, v, axis)


@public()
def natural_gradient(
    z: ArrayLike,
    gradient: ArrayLike,
    *,
    axis: int = -1,
) -> Float[Array, "..."]:
    """Natural gradient F⁺·g in the logits: the gradient measured by the Fisher information F.

    F is singular along the shift of a row, which changes no distribution. The step of least norm is g/p less its
    mean over the possible classes, for a g that sums to 0 as every gradient of a function of p does; any other is
    first made to.

    Args:
        z: logits `[..., K]`, of any shift.
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
    return _rows.with_vector(geometry.natural_gradient, "gradient", z, gradient, axis)
