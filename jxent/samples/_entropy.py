"""Differential entropy and Kullback–Leibler divergence from the distances to nearest neighbours."""

import math

import jax.numpy as jnp
from jaxtyping import Array, Float

from jxent._checks import Finite, log_base_factor, public
from jxent.samples._neighbours import kth_distance
from jxent.samples._points import check_neighbours, finite_or_nan, points, psi


@public
def entropy(x: Finite, *, k: int = 3, base: float | None = None) -> Float[Array, ""]:
    """Differential entropy of the density that samples were drawn from, by Kozachenko and Leonenko, in nats.

    ψ(n) − ψ(k) + d·mean(log 2r), where r is the distance of a point to its k-th neighbour in the maximum norm.

    Args:
        x: samples `[n, d]`, or `[n]` for one dimension, n > k; for a batch of data sets use `jax.vmap`.
        k: number of the neighbour: a larger k has less variance, and more bias where the density is not flat.

    Returns:
        A number, which may be negative. It depends on the unit of x: h(a·x) = h(x) + d·log a.

    Raises:
        TypeError: for a `k` that is not an int.
        ValueError: for another number of axes, no samples, or k not in [1, n − 1].

    Edge cases: NaN if more than k points coincide (there is no density), for values that are not finite, and for
    distances beyond the range of the dtype.
    The work is n log n up to three dimensions and n² beyond; the memory holds a few blocks of distances.

    Gradient: through the distances, each of which moves with its two points. It is the gradient of the estimate
    wherever no two distances are equal. For samples that move with a parameter, its expectation is the derivative of
    the entropy, up to the bias of the estimate.

    Example:
        >>> import jax
        >>> from jxent import samples
        >>> x = jax.random.uniform(jax.random.key(0), (2000,), minval=0, maxval=4)
        >>> print(f"{samples.entropy(x, base=2):.1f}")
        2.0

    Reference: A. Kraskov, H. Stögbauer and P. Grassberger, Estimating mutual information, Physical Review E 69
    (2004), eq. 20; L. F. Kozachenko and N. N. Leonenko, Problems of Information Transmission 23 (1987).
    """
    (rows,) = points(("x",), (x,))
    n, d = rows.shape
    check_neighbours("entropy", k, n - 1)
    estimate = psi(n, rows) - psi(k, rows) + d * (math.log(2) + jnp.mean(_log(kth_distance(None, rows, k))))
    return finite_or_nan(estimate, rows) * log_base_factor(base)


@public
def kl_divergence(x: Finite, y: Finite, *, k: int = 3, base: float | None = None) -> Float[Array, ""]:
    """KL(P‖Q) of the densities that two sets of samples were drawn from, by nearest neighbours, in nats.

    d·mean(log s/r) + log(m/(n − 1)), where r is the distance of a point of x to its k-th neighbour in x, and s the
    distance to its k-th neighbour in y, in the maximum norm.

    Args:
        x: samples of P, `[n, d]`, or `[n]` for one dimension, n > k.
        y: samples of Q, `[m, d]`, m >= k.
        k: number of the neighbour.

    Returns:
        A number; the divergence is not negative, but its estimate may be.

    Raises:
        TypeError: for a `k` that is not an int.
        ValueError: for another number of axes or coordinates, no samples, or too few for k.

    Edge cases: NaN if more than k points of x coincide, if a point of x coincides with k points of y, and for values
    that are not finite. If Q has no mass near a part of P, the divergence is infinite and its estimate grows with the
    number of samples.

    Gradient: through the distances, as in `entropy`; in x and in y.

    Example:
        >>> import jax
        >>> from jxent import samples
        >>> x, y = jax.random.normal(jax.random.key(0), (2, 4000))
        >>> print(f"{samples.kl_divergence(x, 2 * y):.1f}")
        0.3

    Reference: Q. Wang, S. R. Kulkarni and S. Verdú, Divergence estimation for multidimensional densities via
    k-nearest-neighbor distances, IEEE Transactions on Information Theory 55 (2009), eq. 5.
    """
    p, q = points(("x", "y"), (x, y))
    if p.shape[1] != q.shape[1]:
        raise ValueError(f"kl_divergence(): `x` has {p.shape[1]} coordinates and `y` {q.shape[1]}, expected as many")
    (n, d), m = p.shape, q.shape[0]
    check_neighbours("kl_divergence", k, n - 1)
    check_neighbours("kl_divergence", k, m, "y")
    ratio = _log(kth_distance(p, q, k)) - _log(kth_distance(None, p, k))
    estimate = d * jnp.mean(ratio) + (math.log(m) - math.log(n - 1))
    return finite_or_nan(estimate, p, q) * log_base_factor(base)


def _log(distance: Array) -> Array:
    """The logarithm of a distance; NaN, as is its derivative, if the points coincide or the distance overflows."""
    usable = (distance > 0) & (distance < jnp.inf)
    return jnp.log(distance * jnp.where(usable, jnp.ones_like(distance), jnp.nan))
