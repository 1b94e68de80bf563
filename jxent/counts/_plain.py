"""Estimators of entropy that are one formula in the counts.

Nearly all of them are Σ (n/N)·(log N − G(n)), with a function G in place of the logarithm.
"""

from collections.abc import Callable

import jax.numpy as jnp
from jax.scipy.special import digamma
from jaxtyping import Array

from jxent import probs
from jxent.counts._cells import Cells


def plugin(c: Cells) -> Array:
    """The entropy of the frequencies."""
    return probs.entropy(c.share)


def miller_madow(c: Cells) -> Array:
    """G. A. Miller (1955): the plug-in plus its bias to first order, (cells seen − 1)/2N."""
    return jnp.where(c.total == 0, 0.0, plugin(c) + (c.seen() - 1) / (2 * _positive(c.total)))


def jackknife(c: Cells) -> Array:
    """N·H − (N − 1)·(mean of H without one observation), where the terms of order log N cancel analytically.

    With D(n) = n·log n − (n − 1)·log(n − 1) it is Σ (n/N)·(D(N) − D(n)).
    """
    return c.over(c.share * (_step(_positive(c.total))[..., None] - _step(c.safe)))


def jackknife_deviation(c: Cells) -> Array:
    """B. Efron and C. Stein (1981): √((N − 1)/N·Σ (Hᵢ − mean)²) over the entropies Hᵢ without one observation."""
    slope = _step(c.safe)
    mean = c.over(c.share * slope)
    square = c.over(c.share * jnp.square(slope - mean[..., None]))
    # Hᵢ differs from the mean by (D(n) − mean)/(N − 1), for each of the n observations of a cell.
    return jnp.sqrt(jnp.where(c.total > 1, square / _positive(c.total - 1), 0.0))


def plugin_deviation(c: Cells) -> Array:
    """G. P. Basharin (1959): √((Σ p·log²p − H²)/N), the deviation of −log p over √N."""
    surprise = -jnp.log(jnp.where(c.n > 0, c.share, 1.0))
    spread = jnp.square(surprise - plugin(c)[..., None])
    return jnp.sqrt(c.over(c.share * spread) / _positive(c.total))


def _step(n: Array) -> Array:
    """n·log n − (n − 1)·log(n − 1), for n ≥ 1; a fraction below 1 gives the value at 1."""
    more = jnp.maximum(n, 1.0)
    safe = jnp.where(more > 1, more, 2.0)
    return jnp.where(more > 1, jnp.log(safe) - (safe - 1) * jnp.log1p(-1 / safe), 0.0)


def _by(function: Callable[[Array], Array]) -> Callable[[Cells], Array]:
    """Σ (n/N)·(log N − G(n))."""

    def estimate(c: Cells) -> Array:
        return c.over(c.share * (jnp.log(_positive(c.total))[..., None] - function(c.safe)))

    return estimate


def grassberger_1988(c: Cells) -> Array:
    """P. Grassberger, Physics Letters A 128 (1988): G(n) = ψ(n) + (−1)ⁿ/(n + 1)."""
    return c.nan_if_fractions(_by(lambda n: digamma(n) + (1 - 2 * jnp.mod(n, 2)) / (n + 1))(c))


def grassberger_2003(c: Cells) -> Array:
    """P. Grassberger, arXiv:physics/0307138: G(n) = ψ(n) + (−1)ⁿ·½(ψ((n + 1)/2) − ψ(n/2)), which equals
    log 2 + ψ(⌊n/2⌋ + ½), a form without alternating signs.
    """
    return c.nan_if_fractions(_by(lambda n: jnp.log(2.0).astype(n.dtype) + digamma(jnp.floor(n / 2) + 0.5))(c))


def zhang(c: Cells) -> Array:
    """Z. Zhang, Neural Computation 24 (2012), in the closed form of T. Schürmann (2015): Σ (n/N)·(ψ(N) − ψ(n))."""
    return c.over(c.share * _harmonic(c.safe, _positive(c.total)[..., None]))


def _harmonic(low: Array, high: Array) -> Array:
    """ψ(high) − ψ(low), 0 where they are equal."""
    return jnp.where(high == low, 0.0, digamma(high) - digamma(low))


def bonachela(c: Cells) -> Array:
    """J. A. Bonachela, H. Hinrichsen and M. A. Muñoz, J. Phys. A 41 (2008): Σ (n + 1)/(N + 2)·(ψ(N + 3) − ψ(n + 2))."""
    total = c.total[..., None]
    return c.over((c.n + 1) / (total + 2) * (digamma(total + 3) - digamma(c.n + 2)))


def chao_shen(c: Cells) -> Array:
    """A. Chao and T.-J. Shen, Environmental and Ecological Statistics 10 (2003): the coverage-adjusted sum of
    Horvitz and Thompson. If all observations are singletons, one fewer is assumed.
    """
    total = _positive(c.total)
    singletons = c.seen_times(1)
    singletons = jnp.where((singletons == total) & (total > 1), total - 1, singletons)
    # A single observation does not determine the coverage; with 1 the entropy is 0.
    coverage = jnp.where(total > 1, 1 - singletons / total, 1.0)
    p = coverage[..., None] * c.share
    safe = jnp.where(c.n > 0, p, 0.5)
    # 1 − (1 − p)ᴺ is the chance that a cell is seen at all.
    seen = -jnp.expm1(total[..., None] * jnp.log1p(-jnp.minimum(safe, 1 - jnp.finfo(p.dtype).epsneg)))
    return c.nan_if_fractions(c.over(jnp.where(c.n > 0, -p * jnp.log(safe) / seen, 0.0)))


# Nodes of the trapezoid rule in log v, which is exact to rounding for this integrand.
_NODES = jnp.arange(-160, 20)


def chao_wang_jost(c: Cells) -> Array:
    """A. Chao, Y. T. Wang and L. Jost, Methods in Ecology and Evolution 4 (2013).

    Zhang's sum plus f₁/N·(1 − A)^(1 − N)·(−log A − Σ_{r<N} (1 − A)ʳ/r). The difference is the tail of the series of the
    logarithm: the term is f₁/N·Σ_{j≥1} xʲ/(N − 1 + j) with x = 1 − A, a sum equal to
    x·∫ exp(−v)/(N·(1 − x·exp(−v/N))) dv.
    """
    total = _positive(c.total)
    once, twice = c.seen_times(1), c.seen_times(2)
    doubles = jnp.where(twice > 0, 2 * twice, 2.0)
    others = jnp.where(twice > 0, once, once - 1)
    unseen = (total - 1) * others / ((total - 1) * others + doubles)
    unseen = jnp.where(once > 0, unseen, 0.0)
    v = jnp.exp(0.25 * _NODES.astype(c.n.dtype)).reshape((1,) * unseen.ndim + (-1,))
    x, n = unseen[..., None], total[..., None]
    rest = 1 - x + x * -jnp.expm1(-v / n)
    tail = 0.25 * jnp.sum(v * jnp.exp(-v) / (n * rest), axis=-1)
    return c.nan_if_fractions(zhang(c) + once / total * unseen * tail)


def james_stein_share(c: Cells) -> Array:
    """J. Hausser and K. Strimmer, JMLR 10 (2009): frequencies shrunk towards 1/K in proportion to their variance."""
    target = 1 / c.size[..., None]
    p = c.share
    off = c.over(jnp.square(p - target))
    variance = c.over(p * (1 - p)) / _positive(c.total - 1)
    defined = (off > 0) & (c.total > 1)
    weight = jnp.where(defined, jnp.clip(variance / jnp.where(defined, off, 1.0), 0.0, 1.0), 1.0)[..., None]
    return _within(c, weight * target + (1 - weight) * p)


def posterior_share(c: Cells, alpha: Array) -> Array:
    """(n + α)/(N + K·α), the mean of a Dirichlet posterior."""
    total = (c.total + c.size * alpha)[..., None]
    return _within(c, (c.n + alpha[..., None]) / jnp.where(total == 0, 1.0, total))


def _within(c: Cells, p: Array) -> Array:
    return p if c.part is None else jnp.where(c.part, p, 0.0)


def _positive(total: Array) -> Array:
    return jnp.where(total > 0, total, jnp.where(jnp.isnan(total), total, 1.0))
