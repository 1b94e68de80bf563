"""The f-divergence of a generator that the caller passes, from logits."""

from jaxtyping import Array, Float

from jxent._adapter import LOGITS
from jxent._checks import AnyNumber, Axis, Generator, Logits, Mask, public

__all__ = ["f_divergence"]


@public(compiled=False)
def f_divergence(
    zp: Logits,
    zq: Logits,
    generator: Generator,
    *,
    slope_at_infinity: AnyNumber | None = None,
    axis: Axis = -1,
    where: Mask | None = None,
    keepdims: bool = False,
) -> Float[Array, "..."]:
    """f-divergence Σ q·f(p/q) from logits for a generator f that the caller passes, a number without a unit.

    This function is not compiled at its own boundary, since each new lambda would compile again: call it under
    `jax.jit`. The generator may close over traced values.

    Returns:
        `[...]`; with a convex f and f(1) = 0 at least 0, and 0 for equal inputs.

    Edge cases: p = q = 0 contributes 0; p = 0 < q contributes q·f(0), the limit from above if f(0) is NaN; q = 0 <
    p contributes +inf, or p times `slope_at_infinity`. The generator is evaluated at p/q. Where p/q or f(p/q) is out of
    range, the smaller side counts as 0; where p and q both underflow, both do. Measures with their own formula have no
    such limits. In float32 p/q may be up to 8e37, and for t·log t up to 4e36. The second derivative of −log t is out of
    range below 1e-19.

    Gradient: with s = f′(p/q) and r = f(p/q) − p/q·f′(p/q), p(s − Σ p·s) in zp and q(r − Σ q·r) in zq.

    Example:
        >>> import jax.numpy as jnp
        >>> from jxent import logits
        >>> round(float(logits.f_divergence([0.0, 0.0], [0.0, 1.0], lambda t: t * jnp.log(t))), 4)
        0.1201

    Reference: I. Csiszár, Information-type measures of difference of probability distributions and indirect
    observations, Studia Scientiarum Mathematicarum Hungarica 2 (1967).
    """
    return LOGITS.f_divergence(
        zp, zq, generator=generator, slope_at_infinity=slope_at_infinity, axis=axis, where=where, keepdims=keepdims
    )
