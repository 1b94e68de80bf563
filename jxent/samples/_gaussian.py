"""Mutual information of jointly Gaussian variables, and of variables with a Gaussian copula."""

import jax.numpy as jnp
from jax import lax
from jax.scipy.linalg import solve_triangular
from jax.scipy.special import ndtri
from jaxtyping import Array, Float

from jxent.samples._points import settled, standardized


def gaussian(x: Float[Array, "n d"], y: Float[Array, "n e"]) -> Float[Array, ""]:
    """½ log(det Cov x · det Cov y / det Cov(x, y)), from the residuals of a regression of y on x."""
    x, y = _white(x), _white(y)
    # The residual covariance is formed from the residuals: small ones do not cancel.
    rest = y - _product(x, _product(x.T, y) / len(x))
    return -_half_log_det(_product(rest.T, rest) / len(x))


def gaussian_copula(x: Float[Array, "n d"], y: Float[Array, "n e"]) -> Float[Array, ""]:
    """`gaussian` of the normal scores of the ranks of every column."""
    return gaussian(*(normal_scores(a) for a in settled(x, y)))


def normal_scores(x: Float[Array, "n d"]) -> Float[Array, "n d"]:
    """Normal quantiles of rank/(n + 1) in every column; equal values share the mean of their ranks."""
    n = x.shape[0]
    columns = []
    for column in x.T:
        line = jnp.sort(column)
        ends = (jnp.searchsorted(line, column, side=side).astype(x.dtype) for side in ("left", "right"))
        columns.append((sum(ends, jnp.ones((), x.dtype))) / 2)
    return ndtri(jnp.stack(columns, axis=1) / (n + 1))


def _white(x: Array) -> Array:
    """Columns of mean 0 and identity covariance that span the same space; NaN if a column is constant.

    If a column is a linear combination of others, rounding decides between NaN and the value without that column.
    """
    x = standardized(x)
    factor = jnp.linalg.cholesky(_product(x.T, x) / len(x))
    return solve_triangular(factor, x.T, lower=True).T


def _product(a: Array, b: Array) -> Array:
    """The matrix product with all digits, also on devices that use fewer by default."""
    return jnp.matmul(a, b, precision=lax.Precision.HIGHEST)


def _half_log_det(a: Array) -> Array:
    return jnp.sum(jnp.log(jnp.diagonal(jnp.linalg.cholesky(a))))
