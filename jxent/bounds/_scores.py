"""Bounds from a matrix of scores: joint pairs on its diagonal, pairs of the product of the margins off it."""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jxent import losses
from jxent._checks import Numbers, Positive, Real, as_float, log_base_factor, parameter, public


@public
def donsker_varadhan(scores: Real, *, base: float | None = None) -> Float[Array, "..."]:
    """Donsker and Varadhan's lower bound E[f] − log E′[exp f] on mutual information, in nats.

    E is the mean over the diagonal, E′ the mean over the rest.

    Args:
        scores: critic's scores `[..., n, n]`, n ≥ 2.

    Returns:
        `[...]`, one number per matrix.

    Raises:
        ValueError: for a matrix that is not square, or has no pair off its diagonal.

    Edge cases: the mean inside the logarithm is a sample mean. For many pairs the bound holds on average; for few pairs
    it varies by exp of the information. −inf off the diagonal counts as exp f = 0. NaN gives NaN.

    Gradient: 1/n on the diagonal; off it, minus the softmax over all scores off the diagonal.

    Example:
        >>> from jxent import bounds
        >>> round(float(bounds.donsker_varadhan([[2.0, 0.0], [0.0, 2.0]])), 4)
        2.0

    Reference: M. I. Belghazi et al., Mutual Information Neural Estimation, ICML (2018), eq. 4.
    """
    s = _pairs("donsker_varadhan", scores)
    return (s.joint - _log_mean(s.product, s.apart)) * log_base_factor(base)


@public
def nwj(scores: Real, *, base: float | None = None) -> Float[Array, "..."]:
    """Nguyen, Wainwright and Jordan's lower bound E[f] − E′[exp(f − 1)] on mutual information, in nats.

    Args:
        scores: critic's scores `[..., n, n]`, n ≥ 2.

    Returns:
        `[...]`, one number per matrix.

    Raises:
        ValueError: for a matrix that is not square, or has no pair off its diagonal.

    Edge cases: unbiased, and largest for f = 1 + log p(x,y)/p(x)p(y). Scores whose exponential overflows give −inf. NaN
    gives NaN.

    Gradient: 1/n on the diagonal, −exp(f − 1)/(n(n − 1)) off it.

    Example:
        >>> from jxent import bounds
        >>> round(float(bounds.nwj([[2.0, 0.0], [0.0, 2.0]])), 4)
        1.6321

    Reference: X. Nguyen, M. J. Wainwright and M. I. Jordan, Estimating divergence functionals and the likelihood ratio
    by convex risk minimization, IEEE Transactions on Information Theory 56 (2010).
    """
    s = _pairs("nwj", scores)
    n = s.product.shape[-1]
    # Mask before exp too, so that no score on the diagonal is exponentiated.
    terms = jnp.where(s.apart, jnp.exp(jnp.where(s.apart, s.product, 0.0) - 1.0), 0.0)
    return (s.joint - jnp.sum(terms, axis=(-2, -1)) / (n * (n - 1))) * log_base_factor(base)


@public
def infonce(scores: Real, *, base: float | None = None) -> Float[Array, "..."]:
    """The InfoNCE lower bound log n + mean(f of the pair − log Σ exp f of its row) on mutual information, in nats.

    Args:
        scores: critic's scores `[..., n, n]`; each row holds one x against all n of y, with its own y on the diagonal.

    Returns:
        `[...]`, at most log n.

    Raises:
        ValueError: for a matrix that is not square.

    Edge cases: the bound cannot exceed log n, and is far too low for larger information. One pair gives 0. A row whose
    own score is −inf gives −inf. NaN gives NaN.

    Gradient: (the identity − the softmax of each row)/n, accurate also in the tails of nearly certain rows.

    Example:
        >>> from jxent import bounds
        >>> round(float(bounds.infonce([[9.0, 0.0], [0.0, 9.0]], base=2)), 4)
        0.9998

    Reference: A. van den Oord, Y. Li and O. Vinyals, Representation learning with contrastive predictive coding,
    arXiv:1807.03748 (2018).
    """
    z = _square("infonce", scores, least=1)
    n = z.shape[-1]
    own = jnp.broadcast_to(jnp.arange(n), z.shape[:-1])
    rows = losses.softmax_cross_entropy_with_integer_labels(z, own)
    return (math.log(n) - jnp.mean(rows, axis=-1)) * log_base_factor(base)


@public
def smile(scores: Real, *, clip: Positive = 5.0, base: float | None = None) -> Float[Array, "..."]:
    """Song and Ermon's SMILE, E[f] − log E′[exp of f clipped to ±τ]: less variance, some bias, in nats.

    Args:
        scores: critic's scores `[..., n, n]`, n ≥ 2.
        clip: τ > 0, traced; for τ → ∞ it is `donsker_varadhan`.

    Returns:
        `[...]`, one number per matrix.

    Raises:
        ValueError: for a matrix that is not square or has no pair off its diagonal, or a τ that is not positive.

    Edge cases: with scores beyond ±τ it is no longer a bound. NaN gives NaN.

    Gradient: as `donsker_varadhan` with the clipped scores; 0 for scores off the diagonal beyond ±τ.

    Example:
        >>> from jxent import bounds
        >>> round(float(bounds.smile([[9.0, -9.0], [-9.0, 9.0]])), 4)
        14.0

    Reference: J. Song and S. Ermon, Understanding the limitations of variational mutual information estimators, ICLR
    (2020), eq. 7.
    """
    s = _pairs("smile", scores)
    tau = parameter("clip", clip, s.product)
    return (s.joint - _log_mean(jnp.clip(s.product, -tau, tau), s.apart)) * log_base_factor(base)


class _Pairs(NamedTuple):
    """Mean score of the joint pairs `[...]`, all scores `[..., n, n]`, and the mask of the pairs of the product."""

    joint: Array
    product: Array
    apart: Array


def _pairs(name: str, scores: Numbers) -> _Pairs:
    z = _square(name, scores, least=2)
    apart = jnp.broadcast_to(~jnp.eye(z.shape[-1], dtype=bool), z.shape)
    return _Pairs(jnp.mean(jnp.diagonal(z, axis1=-2, axis2=-1), axis=-1), z, apart)


def _square(name: str, scores: Numbers, least: int) -> Array:
    z = as_float("scores", scores)
    if z.ndim < 2 or z.shape[-1] != z.shape[-2] or z.shape[-1] < least:
        raise ValueError(
            f"{name}(): `scores` has shape {z.shape}, expected [..., n, n] with n of at least {least}: the score of "
            f"every x with every y, those that belong together on the diagonal"
        )
    return z


def _log_mean(z: Array, part: Array) -> Array:
    """The logarithm of the mean of exp z over the pairs in the mask `part`."""
    n = z.shape[-1]
    return jax.nn.logsumexp(z, axis=(-2, -1), where=part) - math.log(n * (n - 1))
