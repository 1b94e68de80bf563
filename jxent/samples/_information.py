"""Mutual information of samples: by nearest neighbours, with labels, of mixtures, and of Gaussian variables."""

from collections.abc import Callable
from typing import Literal

import jax.numpy as jnp
from jaxtyping import Array, Float

from jxent._checks import Finite, Numbers, log_base_factor, public
from jxent.samples import _ksg
from jxent.samples._gaussian import gaussian, gaussian_copula
from jxent.samples._points import check_neighbours, finite_or_nan, paired, points, same_length, settled, standardized
from jxent.samples._ross import ross

NEIGHBOURS: dict[str, Callable[[Array, Array, int], Array]] = {
    "ksg1": _ksg.ksg1,
    "ksg2": _ksg.ksg2,
    "mixed": _ksg.mixed,
}
GAUSSIAN: dict[str, Callable[[Array, Array], Array]] = {"gaussian": gaussian, "gaussian_copula": gaussian_copula}
Method = Literal["ksg1", "ksg2", "mixed", "ross", "gaussian", "gaussian_copula"]


@public
def mutual_information(
    x: Finite,
    y: Finite,
    *,
    k: int = 3,
    method: Method = "ksg1",
    standardize: bool = False,
    base: float | None = None,
) -> Float[Array, ""]:
    """Mutual information I(X;Y) of the distribution that samples were drawn from, in nats.

    I(X;Y) = ∫∫ f(x, y)·log(f(x, y)/(f(x)·f(y))) dx dy.

    Args:
        x: samples `[n, d]`, or `[n]` for one dimension; for a batch of data sets use `jax.vmap`.
        y: samples `[n, e]` or `[n]`, observed together with x; for "ross" integer labels `[n]`.
        k: number of the neighbour, for all methods except the two Gaussian ones.
        method: one of

            - "ksg1": Kraskov, Stögbauer and Grassberger's first estimator, which counts points strictly within the
              distance to the k-th neighbour; more bias than the second and less variance;
            - "ksg2": their second, which counts points within the smallest rectangle that holds the k neighbours;
            - "mixed": for variables that are continuous, discrete or a mixture of both (Gao et al.);
            - "ross": x is continuous and y a label;
            - "gaussian": for jointly Gaussian variables, from their covariance: −½ log(1 − ρ²) for two;
            - "gaussian_copula": the same, of the normal scores of the ranks: for any margins with a Gaussian copula,
              and for other copulas a lower bound up to the sampling error.
        standardize: whether every column is first scaled to mean 0 and deviation 1. Neighbours in several columns
            depend on the units of the columns.

    Returns:
        A number; the information is not negative, but its estimate may be. The Gaussian estimates are not negative, and
        too high by about d·e/2n.

    Raises:
        TypeError: for a `k` that is not an int, or labels that are not integers.
        ValueError: for an unknown method, other shapes, or too few samples.

    Edge cases: "ksg1" and "ksg2" are NaN if more than k points coincide. Then use "mixed", or add noise if the ties
    come from rounding (a large offset in float32 makes such ties: centre the data before). Rounded numbers have many
    equal distances, which bias every method that counts points upwards, "mixed" too; noise as wide as the last digit
    removes this bias. "ross" leaves out labels that occur once, takes a smaller k for labels of k points or fewer, and
    is NaN if no label occurs twice. A constant has no information by neighbours; it has no covariance, and the Gaussian
    methods give NaN. If one variable determines the other, these give a large number set by rounding instead of
    infinity. Values that are not finite, and distances beyond the range of the dtype, give NaN.

    Gradient: "gaussian" has that of its formula. All others count points or ranks: their gradient is 0 by construction,
    almost everywhere. To maximise information use `jxent.bounds`.

    Example:
        >>> import jax
        >>> from jxent import samples
        >>> x, e = jax.random.normal(jax.random.key(0), (2, 5000))
        >>> y = 0.6 * x + 0.8 * e
        >>> print(f"{samples.mutual_information(x, y):.1f}  {samples.mutual_information(x, y, method='gaussian'):.1f}")
        0.2  0.2

    Reference: A. Kraskov, H. Stögbauer and P. Grassberger, Estimating mutual information, Physical Review E 69
    (2004), eqs. 8 and 9; B. C. Ross, Mutual information between discrete and continuous data sets, PLoS ONE 9 (2014);
    W. Gao et al., Estimating mutual information for discrete-continuous mixtures, NeurIPS (2017); R. A. A. Ince et
    al., A statistical framework for neuroimaging data analysis based on mutual information estimated via a Gaussian
    copula, Human Brain Mapping 38 (2017).
    """
    check_neighbours("mutual_information", k, None)
    if method == "ross":
        estimate = _labelled(x, y, k, standardize=standardize)
    else:
        a, b = paired("mutual_information", ("x", "y"), (x, y))
        n = len(a)
        samples = a, b
        if method in NEIGHBOURS:
            check_neighbours("mutual_information", k, n - 1)
            a, b = settled(*(standardized(v) if standardize else v for v in (a, b)))
            estimate = NEIGHBOURS[method](a, b, k)
        elif n <= a.shape[1] + b.shape[1]:
            raise ValueError(
                f"mutual_information(): {n} samples of {a.shape[1]} + {b.shape[1]} coordinates, expected more samples "
                f"than coordinates for a covariance of full rank"
            )
        else:
            estimate = GAUSSIAN[method](a, b)
        estimate = finite_or_nan(estimate, *samples)
    return estimate * log_base_factor(base)


@public
def conditional_mutual_information(
    x: Finite,
    y: Finite,
    given: Finite,
    *,
    k: int = 3,
    standardize: bool = False,
    base: float | None = None,
) -> Float[Array, ""]:
    """Conditional mutual information I(X;Y|Z) of the distribution that samples were drawn from, in nats.

    I(X;Y|Z) = ∫ f(x, y, z)·log(f(x, y | z)/(f(x | z)·f(y | z))).

    Frenzel and Pompe estimate it by ψ(k) + mean(ψ(n_z) − ψ(n_xz) − ψ(n_yz)), where n_z, n_xz and n_yz count the points
    strictly within the distance to the k-th neighbour in each margin, the point itself included.

    Args:
        x: samples `[n, d]`, or `[n]` for one dimension; for a batch of data sets use `jax.vmap`.
        y: samples `[n, e]` or `[n]`, observed together with x.
        given: samples `[n, f]` or `[n]` of the conditioning variable Z.
        k: number of the neighbour.
        standardize: whether every column is first scaled to mean 0 and deviation 1.

    Returns:
        A number; the information is not negative, but its estimate may be.

    Raises:
        TypeError: for a `k` that is not an int.
        ValueError: for other shapes, or k not in [1, n − 1].

    Edge cases: NaN if more than k points coincide, and for values that are not finite. With a constant `given` it is
    `mutual_information` by "ksg1".

    Gradient: 0 by construction: the estimate counts points.

    Example:
        >>> import jax
        >>> from jxent import samples
        >>> z, a, b = jax.random.normal(jax.random.key(0), (3, 3000))
        >>> x, y = z + a, z + b
        >>> print(f"{samples.mutual_information(x, y):.1f}")
        0.1
        >>> print(f"{abs(samples.conditional_mutual_information(x, y, z)):.1f}")
        0.0

    Reference: S. Frenzel and B. Pompe, Partial mutual information for coupling analysis of multivariate time series,
    Physical Review Letters 99 (2007).
    """
    name = "conditional_mutual_information"
    a, b, c = paired(name, ("x", "y", "given"), (x, y, given))
    check_neighbours(name, k, len(a) - 1)
    return _conditional(a, b, c, k, standardize=standardize) * log_base_factor(base)


@public
def transfer_entropy(
    source: Finite,
    target: Finite,
    *,
    history: int = 1,
    k: int = 3,
    standardize: bool = False,
    base: float | None = None,
) -> Float[Array, ""]:
    """Transfer entropy from one time series to another, in nats.

    I(target now; source before | target before), where "before" is the last `history` steps, by
    `conditional_mutual_information`.

    Args:
        source: values at n equal steps, `[n]`, or `[n, d]` for several variables.
        target: values at the same steps, `[n]` or `[n, e]`.
        history: number of past steps of both series.
        k: number of the neighbour.
        standardize: whether every column is first scaled to mean 0 and deviation 1.

    Returns:
        A number; transfer entropy is not negative, but its estimate may be.

    Raises:
        TypeError: for a `k` or a `history` that is not an int.
        ValueError: for other shapes, or a series of too few steps.

    Edge cases: as `conditional_mutual_information`. A common cause of both series looks like transfer.

    Gradient: 0 by construction: the estimate counts points.

    Example:
        >>> import jax, jax.numpy as jnp
        >>> from jxent import samples
        >>> x, e = jax.random.normal(jax.random.key(0), (2, 4000))
        >>> y = 0.8 * jnp.roll(x, 1) + 0.6 * e
        >>> print(f"{samples.transfer_entropy(x, y):.1f}  {abs(samples.transfer_entropy(y, x)):.1f}")
        0.5  0.0

    Reference: T. Schreiber, Measuring information transfer, Physical Review Letters 85 (2000).
    """
    if isinstance(history, bool) or not isinstance(history, int):
        raise TypeError(f"transfer_entropy(): history={history!r} must be an int, the number of steps before now")
    if history < 1:
        raise ValueError(f"transfer_entropy(): history={history} must be at least 1, the number of steps before now")
    a, b = paired("transfer_entropy", ("source", "target"), (source, target))
    steps = len(a) - history
    if steps < 1:
        raise ValueError(f"transfer_entropy(): {len(a)} steps leave none with {history} before it; give more steps")
    check_neighbours("transfer_entropy", k, steps - 1, "target")
    before = [jnp.concatenate([v[lag : lag + steps] for lag in range(history)], axis=1) for v in (a, b)]
    return _conditional(b[history:], before[0], before[1], k, standardize=standardize) * log_base_factor(base)


def _conditional(x: Array, y: Array, z: Array, k: int, *, standardize: bool) -> Array:
    a, b, c = settled(*(standardized(v) if standardize else v for v in (x, y, z)))
    return finite_or_nan(_ksg.frenzel_pompe(a, b, c, k), x, y, z)


def _labelled(x: Numbers, y: Numbers, k: int, *, standardize: bool) -> Array:
    (a,) = points(("x",), (x,))
    labels = jnp.asarray(y)
    if labels.dtype == bool:
        labels = labels.astype(jnp.int32)
    if not jnp.issubdtype(labels.dtype, jnp.integer):
        raise TypeError(
            f"mutual_information(): method='ross' takes integer labels for `y`, which has dtype {labels.dtype}; "
            "np.unique(y, return_inverse=True)[1] numbers any labels, from 0 on"
        )
    if labels.ndim != 1:
        raise ValueError(f"mutual_information(): method='ross' takes labels [n], `y` has shape {labels.shape}")
    same_length("mutual_information", ("x", "y"), (a, labels))
    check_neighbours("mutual_information", k, len(a) - 1)
    (near,) = settled(standardized(a) if standardize else a)
    return finite_or_nan(ross(near, labels, k), a)
