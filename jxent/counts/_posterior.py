"""Posterior moments of the entropy: under a Dirichlet prior, and under Nemenman, Shafee and Bialek's mixture."""

from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp
from jax import lax
from jax.scipy.special import polygamma
from jaxtyping import Array

from jxent._numerics.gamma import LARGE, digamma, log_rising
from jxent.counts._cells import Cells


class Moments(NamedTuple):
    """Mean and variance of the entropy, `[...]`."""

    mean: Array
    variance: Array


def mean_entropy(c: Cells, alpha: Array) -> Array:
    """The mean of `wolpert_wolf` alone, for an estimate without its deviation."""
    beta = c.n + alpha[..., None]
    total = (c.total + c.size * alpha)[..., None]
    return c.over(beta / total * (digamma(total + 1) - digamma(beta + 1)))


def wolpert_wolf(c: Cells, alpha: Array) -> Moments:
    """D. H. Wolpert and D. R. Wolf, Physical Review E 52 (1995): under the posterior with pseudocount α in each cell.

    The variance is computed from H − E[H] = Σ p·(−log p − E[H]), whose terms are small; E[H²] − E[H]² would cancel.
    """
    beta = c.n + alpha[..., None]
    total = (c.total + c.size * alpha)[..., None]
    share = beta / total
    mean = mean_entropy(c, alpha)
    at_two, bent = digamma(total + 2), polygamma(1, total + 2)
    x = digamma(beta + 1) - at_two + mean[..., None]
    y = digamma(beta + 2) - at_two + mean[..., None]
    shared = jnp.square(c.over(share * x)) - c.over(jnp.square(share * x))
    shared = shared - (1 - c.over(jnp.square(share))) * bent[..., 0]
    own = c.over(share * (beta + 1) / total * (jnp.square(y) + polygamma(1, beta + 2) - bent))
    variance = total[..., 0] / (total[..., 0] + 1) * shared + own * total[..., 0] / (total[..., 0] + 1)
    return Moments(mean, jnp.maximum(variance, 0.0))


# Search for the mode in log β: its range, the number of coarse points, and the number of golden sections. The mode may
# be inexact: nodes centred a few of their widths away integrate as well.
LOW, HIGH, COARSE, NARROWER = -40.0, 40.0, 40, 16
# The largest width, and the most halvings of it.
WIDEST, HALVINGS = 4.0, 31
# Trapezoid rule in s, with log β = mode + width·sinh s: the number of nodes, and the distance of the outermost from the
# mode in log β. The error is 1e-10 nats; 24 more nodes multiply it by 1e-3.
NODES, REACH = 72, 45.0


def nsb(c: Cells, *, deviation: bool = True) -> Moments:
    """I. Nemenman, F. Shafee and W. Bialek, NIPS 14 (2002).

    The prior is a mixture of Dirichlet priors. Their expected entropy ξ(β) = ψ(Kβ + 1) − ψ(β + 1) is uniform on
    [0, log K]. The integrals over ξ are taken over log β, with the measure dξ = ξ'(β)·β·d(log β). The nodes are dense
    at the mode and reach far.
    """

    def weight(t: Array) -> Array:
        """The logarithm of evidence times measure at log β = t, up to a constant."""
        beta = jnp.exp(t)
        each = log_rising(beta[..., None], c.n)
        # Without observations the log rising factorial of a cell is 0, but its slope in n is not.
        evidence = c.over(jnp.where(c.n > 0, each, each - lax.stop_gradient(each))) - log_rising(c.size * beta, c.total)
        return evidence + jnp.log(_expected_slope(beta, c.size)) + t

    mode = _mode(weight, c.total)
    width = _width(weight, mode)
    reach, peak = jnp.arcsinh(REACH / width), weight(mode)

    def at(i: Array | int) -> tuple[Array, Array]:
        s = reach * (2 * jnp.asarray(i, mode.dtype) / (NODES - 1) - 1)
        t = mode + width * jnp.sinh(s)
        inside = (t > LOW) & (t < HIGH)
        t = jnp.clip(t, LOW, HIGH)
        log_weight = jnp.where(inside, weight(t) - peak, -jnp.inf)
        return t, jnp.exp(log_weight) * jnp.cosh(s)

    def add(i: Array | int, sums: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
        t, w = at(i)
        if not deviation:
            return sums[0] + w, sums[1] + w * (mean_entropy(c, jnp.exp(t)) - first), sums[2]
        moments = wolpert_wolf(c, jnp.exp(t))
        off = moments.mean - first
        return sums[0] + w, sums[1] + w * off, sums[2] + w * (moments.variance + jnp.square(off))

    # Sums of differences from the mean at the mode, so that the terms of the variance are small.
    first = mean_entropy(c, jnp.exp(mode))
    none = jnp.zeros_like(first)
    mass, off, square = lax.fori_loop(0, NODES, add, (none, none, none))
    mean = off / mass
    # With one cell the entropy is 0. Without observations the prior remains, uniform in the expected entropy.
    several = c.size > 1
    return Moments(
        jnp.where(several, first + mean, 0.0 * first),
        jnp.where(several, jnp.maximum(square / mass - jnp.square(mean), 0.0), 0.0 * first),
    )


def _expected_slope(beta: Array, size: Array) -> Array:
    """dξ/dβ = K·ψ'(Kβ + 1) − ψ'(β + 1); for large β by series, where the leading 1/β of both terms cancel."""
    small = jnp.minimum(beta, LARGE)
    direct = size * polygamma(1, size * small + 1) - polygamma(1, small + 1)
    large = jnp.maximum(beta, LARGE)
    k, square = 1 / size, 1 / jnp.square(large)
    series = (1 - k) / 2 - (1 - k**2) / (6 * large)
    series = series + square / large * ((1 - k**4) / 30 - square * ((1 - k**6) / 42 - square * (1 - k**8) / 30))
    # With one cell the slope is 0; 1 keeps its logarithm finite.
    return jnp.where(size > 1, jnp.where(beta > LARGE, series * square, direct), 1.0)


def _mode(weight: Callable[[Array], Array], like: Array) -> Array:
    """The mode of the weight: the best point of a coarse grid, then a golden-section search."""
    step = (HIGH - LOW) / COARSE

    def coarse(i: Array | int, best: tuple[Array, Array]) -> tuple[Array, Array]:
        t = jnp.full_like(like, LOW) + step * (jnp.asarray(i, like.dtype) + 0.5)
        value = weight(t)
        better = value > best[1]
        return jnp.where(better, t, best[0]), jnp.where(better, value, best[1])

    middle, _ = lax.fori_loop(0, COARSE, coarse, (jnp.zeros_like(like), jnp.full_like(like, -jnp.inf)))
    golden = 0.6180339887498949

    def inner(low: Array, high: Array) -> tuple[Array, Array]:
        return high - golden * (high - low), low + golden * (high - low)

    def narrower(_: Array | int, state: tuple[Array, ...]) -> tuple[Array, ...]:
        # The smaller bracket reuses one of the two inner points.
        low, high, at_a, at_b = state
        left = at_a > at_b
        a, b = inner(low, high)
        low, high = jnp.where(left, low, a), jnp.where(left, b, high)
        a, b = inner(low, high)
        new = weight(jnp.where(left, a, b))
        return low, high, jnp.where(left, new, at_b), jnp.where(left, at_a, new)

    low, high = middle - step, middle + step
    start = (low, high, *(weight(t) for t in inner(low, high)))
    low, high, *_ = lax.fori_loop(0, NARROWER, narrower, start)
    return 0.5 * (low + high)


def _width(weight: Callable[[Array], Array], mode: Array) -> Array:
    """The distance from the mode at which the log weight has fallen by 1/2, on the steeper side."""
    top = weight(mode)

    def halved(_: Array | int, ends: tuple[Array, Array]) -> tuple[Array, Array]:
        # Bisect between a number of halvings that is too small and one that is enough.
        few, enough = ends
        middle = jnp.floor((few + enough) / 2)
        width = WIDEST * jnp.exp2(-middle)
        fallen = top - jnp.minimum(weight(mode - width), weight(mode + width))
        return jnp.where(fallen > 0.5, middle, few), jnp.where(fallen > 0.5, enough, middle)

    ends = jnp.full_like(mode, -1.0), jnp.full_like(mode, float(HALVINGS - 1))
    _, enough = lax.fori_loop(0, HALVINGS.bit_length(), halved, ends)
    return WIDEST * jnp.exp2(-enough)
