"""The entropy of the distribution that counts were drawn from, by every method."""

from collections.abc import Callable
from typing import Literal, get_args

import jax.numpy as jnp
from jaxtyping import Array, Float

from jxent import probs
from jxent._checks import Axis, Counts, Mask, NonNegative, Numbers, log_base_factor, parameter, public
from jxent.counts import _plain, _posterior
from jxent.counts._cells import Cells, cells, keep

# fmt: off
Method = Literal[
    "plugin", "miller_madow", "jackknife", "grassberger_1988", "grassberger_2003", "chao_shen", "chao_wang_jost",
    "zhang", "bonachela", "nsb", "james_stein", "dirichlet", "jeffreys", "laplace", "perks", "minimax", "wolpert_wolf",
]
# fmt: on
WithDeviation = Literal["plugin", "miller_madow", "jackknife", "wolpert_wolf", "nsb"]
# Methods that are one formula in the counts.
FORMULAS: dict[str, Callable[[Cells], Array]] = {
    "plugin": _plain.plugin,
    "miller_madow": _plain.miller_madow,
    "jackknife": _plain.jackknife,
    "grassberger_1988": _plain.grassberger_1988,
    "grassberger_2003": _plain.grassberger_2003,
    "chao_shen": _plain.chao_shen,
    "chao_wang_jost": _plain.chao_wang_jost,
    "zhang": _plain.zhang,
    "bonachela": _plain.bonachela,
    "nsb": lambda c: _posterior.nsb(c, deviation=False).mean,
}
# Pseudocounts of the methods that take the entropy of posterior-mean probabilities.
PSEUDOCOUNTS: dict[str, Callable[[Cells], Array]] = {
    "jeffreys": lambda c: jnp.full_like(c.total, 0.5),
    "laplace": lambda c: jnp.ones_like(c.total),
    "perks": lambda c: 1 / c.size,
    "minimax": lambda c: jnp.sqrt(c.total) / c.size,
}
# Methods whose estimate is the entropy of an estimated distribution, which `share` gives.
WithShare = Literal["plugin", "james_stein", "dirichlet", "jeffreys", "laplace", "perks", "minimax"]
OF_PROBABILITIES = get_args(WithShare)


@public
def entropy(
    counts: Counts,
    *,
    method: Method = "plugin",
    alpha: NonNegative = 1.0,
    axis: Axis = -1,
    where: Mask | None = None,
    base: float | None = None,
    keepdims: bool = False,
) -> Float[Array, "..."]:
    """Entropy of the distribution that counts were drawn from, in nats (or units of `base`).

    H = −Σₖ pₖ·log pₖ, where the probabilities are estimated from the observations.

    Args:
        counts: observations of each cell `[..., K]`, integers or floats; a zero is a cell that was not seen.
        method: one of

            - "plugin": the entropy of the frequencies n/N, which is too low by about (K − 1)/2N;
            - "miller_madow": the plug-in plus this bias, with K the number of cells seen;
            - "jackknife": N times the plug-in minus N − 1 times its mean over samples without one observation;
            - "grassberger_1988", "grassberger_2003": Σ (n/N)·(log N − G(n)), with the G of each paper;
            - "chao_shen": adjusted for the probability of the cells not seen;
            - "chao_wang_jost": from the slope of the species accumulation curve, by cells seen once and twice;
            - "zhang": Σ (n/N)·(ψ(N) − ψ(n));
            - "bonachela": balances bias and variance for few observations of few cells;
            - "james_stein": the entropy of frequencies shrunk towards 1/K;
            - "dirichlet", "jeffreys", "laplace", "perks", "minimax": the entropy of the posterior-mean probabilities
              (n + α)/(N + Kα), for α = `alpha`, 1/2, 1, 1/K and √N/K;
            - "wolpert_wolf": the posterior mean of the entropy under the same prior with α = `alpha`;
            - "nsb": the posterior mean of the entropy under a mixture of these priors, uniform in the expected entropy.
        alpha: pseudocount of "dirichlet" and "wolpert_wolf".
        axis: the axis of the cells, or a tuple of axes.
        where: boolean mask of the cells that belong to the alphabet; the others may hold anything.

    Returns:
        `[...]`, one number per histogram.

    Raises:
        ValueError: for an unknown method, or a negative `alpha`.

    Edge cases: without observations the result is 0; methods with a prior give the value of the prior. A negative
    count gives NaN. A fraction gives NaN for methods that count singletons or use parity (both of Grassberger's, both
    of Chao's). In float32 "nsb" is for about ten thousand observations; beyond, use float64.

    Gradient: that of the formula, in float counts and in `alpha`; numbers of cells have slope 0 almost everywhere.

    Example:
        >>> from jxent import counts
        >>> round(float(counts.entropy([4, 2, 3, 0, 2, 4, 0, 0, 2, 1, 1], method="nsb")), 4)
        2.1878

    Reference: J. Hausser and K. Strimmer, Entropy inference and the James–Stein estimator, Journal of Machine
    Learning Research 10 (2009); the source of each method is cited with its formula.
    """
    c, axes = cells(counts, axis, where)
    return keep(estimate(c, method, alpha), axes, keepdims=keepdims) * log_base_factor(base)


@public
def entropy_moments(
    counts: Counts,
    *,
    method: WithDeviation = "nsb",
    alpha: NonNegative = 1.0,
    axis: Axis = -1,
    where: Mask | None = None,
    base: float | None = None,
    keepdims: bool = False,
) -> tuple[Float[Array, "..."], Float[Array, "..."]]:
    """Entropy of the distribution that counts were drawn from, and the standard deviation of that estimate, in nats.

    Mean and deviation of the estimate of H = −Σₖ pₖ·log pₖ.

    Args:
        counts: observations of each cell `[..., K]`.
        method: "wolpert_wolf" and "nsb", with the posterior deviation; "jackknife", with that of Efron and Stein;
            "plugin" and "miller_madow", with √(Var(log p)/N), valid for many observations.
        alpha: pseudocount of "wolpert_wolf".
        axis: the axis of the cells, or a tuple of axes.
        where: boolean mask of the cells that belong to the alphabet; the others may hold anything.

    Returns:
        `(mean, deviation)`, each `[...]`.

    Raises:
        ValueError: for a method that defines no deviation.

    Edge cases: as `entropy`; without observations the deviation is 0, except for methods with a prior.

    Gradient: as `entropy`.

    Example:
        >>> from jxent import counts
        >>> mean, deviation = counts.entropy_moments([10, 10], method="wolpert_wolf", base=2)
        >>> round(float(mean), 3), round(float(deviation), 3)
        (0.968, 0.043)

    Reference: D. H. Wolpert and D. R. Wolf, Estimating functions of probability distributions from a finite set of
    samples, Physical Review E 52 (1995).
    """
    c, axes = cells(counts, axis, where)
    if method in ("wolpert_wolf", "nsb"):
        moments = _posterior.nsb(c) if method == "nsb" else _posterior.wolpert_wolf(c, _alpha(c, alpha))
        mean, deviation = moments.mean, jnp.sqrt(moments.variance)
    else:
        mean = estimate(c, method, alpha)
        deviation = _plain.jackknife_deviation(c) if method == "jackknife" else _plain.plugin_deviation(c)
    factor = log_base_factor(base)
    return tuple(keep(a, axes, keepdims=keepdims) * factor for a in (mean, deviation))  # pyright: ignore[reportReturnType]


def estimate(c: Cells, method: Method, alpha: Numbers) -> Array:
    """The entropy by a method, in nats."""
    if method in FORMULAS:
        return FORMULAS[method](c)
    if method == "wolpert_wolf":
        return _posterior.mean_entropy(c, _alpha(c, alpha))
    return probs.entropy(share(c, method, alpha))


def share(c: Cells, method: Method, alpha: Numbers) -> Array:
    """The estimated distribution, for the methods that estimate one."""
    if method == "plugin":
        return c.share
    if method == "james_stein":
        return _plain.james_stein_share(c)
    return _plain.posterior_share(c, _alpha(c, alpha) if method == "dirichlet" else PSEUDOCOUNTS[method](c))


def _alpha(c: Cells, alpha: Numbers) -> Array:
    return jnp.broadcast_to(parameter("alpha", alpha, c.n), c.total.shape)
