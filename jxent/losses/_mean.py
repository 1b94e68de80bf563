"""The average of losses that is 0, not NaN, when nothing takes part."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from jxent._checks import Axis, Mask, Real, Weights, as_float, participation, public, reduced_axes, weights_like


@public
def mean(
    values: Real, weights: Weights | None = None, where: Mask | None = None, *, axis: Axis | None = None
) -> Float[Array, "..."]:
    """Weighted mean Σ w·v / Σ w, in the unit of the values; 0 when nothing takes part.

    Args:
        values: losses `[...]`.
        weights: non-negative weights that broadcast to `values`; None is 1 for each.
        axis: the axis of the average, or a tuple of axes; None is all of them.

    Returns:
        A scalar, or an array without these axes.

    Edge cases: an empty array, a mask without any True and weights that sum to 0 give 0, with gradient 0.
    A weight of 0 does not hide a NaN; a mask does, in value and gradient.

    Gradient: wᵢ/Σw in the values, (vᵢ − mean)/Σw in the weights.

    Example:
        >>> from jxent import losses
        >>> float(losses.mean([1.0, 2.0, 6.0], weights=[1.0, 1.0, 0.0]))
        1.5

    Reference: C. M. Bishop, Pattern Recognition and Machine Learning (2006), section 1.2.2.
    """
    v = as_float("values", values)
    axes = None if axis is None else reduced_axes("values", v, axis)
    mask = participation(where, v)
    w = jnp.ones_like(v) if weights is None else weights_like(weights, v)
    if mask is not None:
        v, w = jnp.where(mask, v, 0.0), jnp.where(mask, w, 0.0)
    total = jnp.sum(w, axis=axes, keepdims=True)
    nothing = total == 0
    v = jnp.where(nothing, 0.0, v)
    average = jnp.sum(w * v, axis=axes, keepdims=True) / jnp.where(nothing, 1.0, total)
    return jnp.squeeze(jnp.where(nothing, 0.0, average), axes)
