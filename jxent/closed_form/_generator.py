"""Gradients of the f-divergence, by hand but for the derivative of the generator."""

from collections.abc import Callable

from jax.typing import ArrayLike
from jaxtyping import Array, Float

from jxent._checks import Axis, public
from jxent.closed_form import _shared


@public(compiled=False)
def probs_f_divergence(
    p: ArrayLike,
    q: ArrayLike,
    generator: Callable[[Array], Array],
    *,
    slope_at_infinity: ArrayLike | None = None,
    axis: Axis = -1,
    where: ArrayLike | None = None,
    keepdims: bool = False,
) -> tuple[Float[Array, "..."], Float[Array, "..."]]:
    """Gradients of the f-divergence Σ q·f(p/q).

    By the product and chain rules ∂/∂pₖ = f′(pₖ/qₖ) and ∂/∂qₖ = f(pₖ/qₖ) − pₖ/qₖ·f′(pₖ/qₖ); f′ is the generator's
    own derivative.

    Args:
        p: probabilities `[..., K]`.
        q: probabilities `[..., K]`.
        generator: f, an elementwise function of arrays of ratios p/q.
        slope_at_infinity: lim f(t)/t, a scalar; None stands for ∞.
        axis: as in the function; likewise where and base.
        where: masked elements get gradient 0.
        keepdims: taken so that the same options serve both; a gradient keeps the shape of its argument.

    Returns:
        The gradients in `p` and in `q`, each of the shape of its argument.

    Edge cases: p = 0 stands at the smallest normal ratio; infinite where the value is.

    Gradient: differentiable as the plain expression that it is.

    Example:
        >>> from jxent import closed_form, probs
        >>> measure, gradient = probs.f_divergence, closed_form.probs_f_divergence
        >>> square = lambda t: (t - 1) ** 2
        >>> closed_form.compare(measure, gradient, [0.2, 0.3, 0.5], [0.6, 0.3, 0.1], square).agrees
        True

    Reference: I. Csiszár, Information-type measures of difference of probability distributions and indirect
    observations, Studia Scientiarum Mathematicarum Hungarica 2 (1967).
    """
    del keepdims
    p, q, _, mask, shapes = _shared.rows(("p", "q"), p, q, axis, where)
    in_p, in_q = _shared.generator_slopes((p, q), _shared.logs(p, q), generator, slope_at_infinity)
    return _shared.masked_in_units(in_p, in_q, mask, shapes, None)


@public(compiled=False)
def logits_f_divergence(
    zp: ArrayLike,
    zq: ArrayLike,
    generator: Callable[[Array], Array],
    *,
    slope_at_infinity: ArrayLike | None = None,
    axis: Axis = -1,
    where: ArrayLike | None = None,
    keepdims: bool = False,
) -> tuple[Float[Array, "..."], Float[Array, "..."]]:
    """Gradients of the f-divergence Σ q·f(p/q).

    By the product and chain rules ∂/∂pₖ = f′(pₖ/qₖ) and ∂/∂qₖ = f(pₖ/qₖ) − pₖ/qₖ·f′(pₖ/qₖ); f′ is the generator's
    own derivative. The gradient in the logits is pₖ(sₖ − Σ p·s) for the slopes s in p, and likewise in q.

    Args:
        zp: logits `[..., K]` of p.
        zq: logits `[..., K]` of q.
        generator: f, an elementwise function of arrays of ratios p/q.
        slope_at_infinity: lim f(t)/t, a scalar; None stands for ∞.
        axis: as in the function; likewise where and base.
        where: masked elements get gradient 0.
        keepdims: taken so that the same options serve both; a gradient keeps the shape of its argument.

    Returns:
        The gradients in `zp` and in `zq`, each of the shape of its argument.

    Edge cases: 0 for classes at −inf.

    Gradient: differentiable as the plain expression that it is.

    Example:
        >>> from jxent import closed_form, logits
        >>> measure, gradient = logits.f_divergence, closed_form.logits_f_divergence
        >>> square = lambda t: (t - 1) ** 2
        >>> closed_form.compare(measure, gradient, [2.0, 1.0, 0.0], [0.0, 0.5, 1.0], square).agrees
        True

    Reference: I. Csiszár, Information-type measures of difference of probability distributions and indirect
    observations, Studia Scientiarum Mathematicarum Hungarica 2 (1967).
    """
    del keepdims
    zp, zq, axes, mask, shapes = _shared.rows(("zp", "zq"), zp, zq, axis, where)
    (p, log_p), (q, log_q) = _shared.softmax(zp, axes, mask), _shared.softmax(zq, axes, mask)
    slopes = _shared.generator_slopes((p, q), (log_p, log_q), generator, slope_at_infinity)
    return _shared.pair_through_softmax((p, q), slopes, axes, shapes, None)
