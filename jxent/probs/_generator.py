"""The f-divergence of a generator that the caller passes."""

from jaxtyping import Array, Float

from jxent._adapter import PROBS
from jxent._checks import AnyNumber, Axis, Generator, Mask, Probabilities, public

__all__ = ["f_divergence"]


@public(compiled=False)
def f_divergence(
    p: Probabilities,
    q: Probabilities,
    generator: Generator,
    *,
    slope_at_infinity: AnyNumber | None = None,
    axis: Axis = -1,
    where: Mask | None = None,
    keepdims: bool = False,
) -> Float[Array, "..."]:
    """f-divergence Σ q·f(p/q) for a generator f that the caller passes, a number without a unit.

    This function is not compiled at its own boundary, since each new lambda would compile again: call it under
    `jax.jit`. The generator may close over traced values.

    Returns:
        `[...]`; with a convex f and f(1) = 0 at least 0, and 0 for equal inputs.

    Edge cases: p = q = 0 contributes 0; p = 0 < q contributes q·f(0), the limit from above if f(0) is NaN; q = 0 <
    p contributes +inf, or p times `slope_at_infinity`.

    Gradient: f′(p/q) in p and f(p/q) − p/q·f′(p/q) in q, at p = 0 that of the smallest normal ratio; infinite in
    the class that makes the value infinite.

    Example:
        >>> import jax.numpy as jnp
        >>> from jxent import probs
        >>> round(float(probs.f_divergence([0.5, 0.5], [0.9, 0.1], lambda t: t * jnp.log(t))), 6)
        0.510826

    Reference: I. Csiszár, Information-type measures of difference of probability distributions and indirect
    observations, Studia Scientiarum Mathematicarum Hungarica 2 (1967).
    """
    return PROBS.f_divergence(
        p, q, generator=generator, slope_at_infinity=slope_at_infinity, axis=axis, where=where, keepdims=keepdims
    )
