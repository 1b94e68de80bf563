"""The entropy of a Dirichlet posterior, and Nemenman, Shafee and Bialek's mixture of them."""

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
    """The mean of `wolpert_wolf`, which is all that an estimate without its deviation needs."""
    beta = c.n + alpha[..., None]
    total = (c.total + c.size * alpha)[..., None]
    return c.over(beta / total * (digamma(total + 1) - digamma(beta + 1)))


def wolpert_wolf(c: Cells, alpha: Array) -> Moments:
    """D. H. Wolpert and D. R. Wolf, Physical Review E 52 (1995): of the posterior with α in each cell.

    The variance is that of H − E[H] = Σ p·(−log p − E[H]), whose terms are small where H and H² would cancel.
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


# In log β: where the mode is looked for, how finely at first, and how often the bracket is then made smaller. The nodes
# lie around it by a width of their own: some widths beside the mode they do as well.
LOW, HIGH, COARSE, NARROWER = -40.0, 40.0, 40, 16
# The width is at most this, halved at most so often.
WIDEST, HALVINGS = 4.0, 31
# Nodes of the trapezoid rule in s, with log β = mode + width·sinh s: 1e-10 nats; every 24 more of them are worth 1e-3.
NODES, REACH = 72, 45.0


def nsb(c: Cells, *, deviation: bool = True) -> Moments:
    """I. Nemenman, F. Shafee and W. Bialek, NIPS 14 (2002).

    The prior is the mixture of Dirichlet priors in which ξ(β) = ψ(Kβ + 1) − ψ(β + 1), the entropy expected of each, is
    uniform on [0, log K]. The integrals over ξ are taken over log β, with the measure dξ = ξ'(β)·β·d(log β) that this
    asks for, on nodes which lie dense at the mode and reach far.
    """

    def weight(t: Array) -> Array:
        """The logarithm of evidence and measure at log β = t, but for a constant."""
        beta = jnp.exp(t)
        each = log_rising(beta[..., None], c.n)
        # That of a cell without observations is 0 by definition; its slope there is not.
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

    # Differences from the mean at the mode: what the variance adds up is small.
    first = mean_entropy(c, jnp.exp(mode))
    none = jnp.zeros_like(first)
    whole, off, square = lax.fori_loop(0, NODES, add, (none, none, none))
    mean = off / whole
    # With one cell there is nothing to know; with nothing observed the prior is uniform in the entropy it expects.
    known = c.size > 1
    return Moments(
        jnp.where(known, first + mean, 0.0 * first),
        jnp.where(known, jnp.maximum(square / whole - jnp.square(mean), 0.0), 0.0 * first),
    )


def _expected_slope(beta: Array, size: Array) -> Array:
    """dξ/dβ = K·ψ'(Kβ + 1) − ψ'(β + 1), in which the leading 1/β of both cancel by hand."""
    small = jnp.minimum(beta, LARGE)
    direct = size * polygamma(1, size * small + 1) - polygamma(1, small + 1)
    large = jnp.maximum(beta, LARGE)
    k, square = 1 / size, 1 / jnp.square(large)
    series = (1 - k) / 2 - (1 - k**2) / (6 * large)
    series = series + square / large * ((1 - k**4) / 30 - square * ((1 - k**6) / 42 - square * (1 - k**8) / 30))
    # With one cell there is no slope, and no logarithm of it either.
    return jnp.where(size > 1, jnp.where(beta > LARGE, series * square, direct), 1.0)


def _mode(weight: Callable[[Array], Array], like: Array) -> Array:
    """Where the weight is largest: on a coarse grid, then by golden sections."""
    step = (HIGH - LOW) / COARSE

    def coarse(i: Array | int, best: tuple[Array, Array]) -> tuple[Array, Array]:
        t = jnp.full_like(like, LOW) + step * (jnp.asarray(i, like.dtype) + 0.5)
        found = weight(t)
        better = found > best[1]
        return jnp.where(better, t, best[0]), jnp.where(better, found, best[1])

    middle, _ = lax.fori_loop(0, COARSE, coarse, (jnp.zeros_like(like), jnp.full_like(like, -jnp.inf)))
    golden = 0.6180339887498949

    def inner(low: Array, high: Array) -> tuple[Array, Array]:
        return high - golden * (high - low), low + golden * (high - low)

    def narrower(_: Array | int, state: tuple[Array, ...]) -> tuple[Array, ...]:
        # One of the two points inside serves the smaller bracket too.
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
    """How far from the mode the weight has fallen by half a unit, on the steeper side."""
    top = weight(mode)

    def halved(_: Array | int, ends: tuple[Array, Array]) -> tuple[Array, Array]:
        # Too few halvings, and enough of them.
        few, enough = ends
        middle = jnp.floor((few + enough) / 2)
        width = WIDEST * jnp.exp2(-middle)
        fallen = top - jnp.minimum(weight(mode - width), weight(mode + width))
        return jnp.where(fallen > 0.5, middle, few), jnp.where(fallen > 0.5, enough, middle)

    ends = jnp.full_like(mode, -1.0), jnp.full_like(mode, float(HALVINGS - 1))
    _, enough = lax.fori_loop(0, HALVINGS.bit_length(), halved, ends)
    return WIDEST * jnp.exp2(-enough)
