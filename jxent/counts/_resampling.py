"""The sampling variation of estimates: permutation test and bootstrap."""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float

from jxent._checks import Numbers, as_float, is_traced
from jxent.counts import _entropy
from jxent.counts._entropy import Method
from jxent.counts._joint import mutual_information

# Samples drawn at a time.
BATCH = 32


class PermutationTest(NamedTuple):
    """The result of `permutation_test`, a pytree.

    Attributes:
        statistic: mutual information of the table.
        p_value: share of tables with at least this mutual information, the observed table included.
        null_mean: mean of the null distribution, the mutual information of the permuted tables.
        null_std: standard deviation of the null distribution.
    """

    statistic: Float[Array, ""]
    p_value: Float[Array, ""]
    null_mean: Float[Array, ""]
    null_std: Float[Array, ""]


class Interval(NamedTuple):
    """The result of `bootstrap_interval`, a pytree.

    Attributes:
        estimate: of the counts themselves.
        low: lower end of the interval.
        high: upper end of the interval.
    """

    estimate: Float[Array, ""]
    low: Float[Array, ""]
    high: Float[Array, ""]


def permutation_test(
    table: Numbers,
    *,
    key: Any,
    num_permutations: int = 999,
    method: Method = "plugin",
    base: float | None = None,
) -> PermutationTest:
    """Permutation test of dependence: the mutual information of two variables against its null distribution.

    p-value = (1 + number of permuted tables that reach the statistic)/(1 + number of permuted tables).

    The labels of one variable are permuted against those of the other. This keeps both margins and nothing else.

    Args:
        table: counts `[Kx, Ky]`, whole numbers.
        key: a `jax.random.key`.
        num_permutations: number of permuted tables.
        method: as in `mutual_information`.
        base: base of the logarithm; None is nats, 2 bits, 10 hartleys.

    Returns:
        `PermutationTest(statistic, p_value, null_mean, null_std)`.

    Raises:
        TypeError: for a `key` of another kind, or a traced table, because its sum is the size of an array.
        ValueError: for a table that does not have two axes, holds negative numbers or fractions, or is all zeros.

    Edge cases: the p-value is at least 1/(num_permutations + 1); a table with one row or column has p-value 1.

    Gradient: none.

    Example:
        >>> import jax
        >>> from jxent import counts
        >>> float(counts.permutation_test([[30, 5], [5, 30]], key=jax.random.key(0)).p_value)
        0.001...

    Reference: B. Phipson and G. K. Smyth, Permutation p-values should never be zero, Statistical Applications in
    Genetics and Molecular Biology 9 (2010).
    """
    n = _integer_counts("permutation_test", table, key, num_permutations)
    if n.ndim != 2:
        raise ValueError(f"permutation_test(): `table` has shape {n.shape}, expected [Kx, Ky]")
    rows, columns = n.shape
    xs = np.repeat(np.arange(rows), n.sum(axis=1))
    ys = np.repeat(np.arange(columns), n.sum(axis=0))
    statistic, null = _permuted(
        jnp.asarray(n, as_float("table", 1.0).dtype),
        jnp.asarray(xs),
        jnp.asarray(ys),
        key,
        num_permutations,
        method,
        base,
    )
    # Equal tables may be summed in different orders.
    slack = 8 * jnp.finfo(null.dtype).eps * jnp.maximum(jnp.abs(statistic), 1.0)
    p_value = (1 + jnp.sum(null >= statistic - slack)) / (num_permutations + 1)
    return PermutationTest(statistic, p_value, jnp.mean(null), jnp.std(null))


def bootstrap_interval(
    counts_or_table: Numbers,
    *,
    key: Any,
    measure: str = "entropy",
    method: Method = "plugin",
    level: float = 0.95,
    num_samples: int = 1000,
    base: float | None = None,
) -> Interval:
    """Bootstrap interval of an entropy or a mutual information, from counts resampled at the observed frequencies.

    The ends are 2·estimate − quantile: quantiles of the samples, reflected at the estimate to correct their bias.

    Args:
        counts_or_table: counts `[K]` for "entropy" (a table counts as the list of its cells), `[Kx, Ky]` for
            "mutual_information", whole numbers.
        key: a `jax.random.key`.
        measure: "entropy" or "mutual_information".
        method: as in `entropy`.
        level: share of the samples inside the interval, above 0 and below 1.
        num_samples: number of samples.
        base: base of the logarithm; None is nats, 2 bits, 10 hartleys.

    Returns:
        `Interval(estimate, low, high)`.

    Raises:
        TypeError: for a `key` of another kind, or traced counts.
        ValueError: for another measure, a level outside (0, 1), or counts that are negative, fractions or all zeros.

    Edge cases: if one cell holds all observations, every sample is the same and both ends are the estimate.

    Gradient: none.

    Example:
        >>> import jax
        >>> from jxent import counts
        >>> interval = counts.bootstrap_interval([50, 30, 20], key=jax.random.key(0))
        >>> bool(interval.low < interval.estimate < interval.high)
        True

    Reference: B. Efron and R. J. Tibshirani, An Introduction to the Bootstrap (1993), chapter 13.
    """
    n = _integer_counts("bootstrap_interval", counts_or_table, key, num_samples)
    if measure not in ("entropy", "mutual_information"):
        raise ValueError(f"bootstrap_interval(): measure={measure!r}, expected 'entropy' or 'mutual_information'")
    if measure == "mutual_information" and n.ndim != 2:
        raise ValueError(f"bootstrap_interval(): `counts_or_table` has shape {n.shape}, expected [Kx, Ky]")
    if not 0 < level < 1:
        raise ValueError(f"bootstrap_interval(): level={level}, expected a number above 0 and below 1")
    table = jnp.asarray(n, as_float("counts", 1.0).dtype)
    estimate, samples = _drawn(table, key, num_samples, measure, method, base)
    low, high = jnp.quantile(samples, jnp.asarray([(1 - level) / 2, (1 + level) / 2], samples.dtype))
    return Interval(estimate, 2 * estimate - high, 2 * estimate - low)


def _measured(table: Array, measure: str, method: Method, base: float | None) -> Array:
    if measure == "entropy":
        return _entropy.entropy(table.reshape(-1), method=method, base=base)
    return mutual_information(table, method=method, base=base)


@functools.partial(jax.jit, static_argnums=(4, 5, 6))
def _permuted(
    table: Array, xs: Array, ys: Array, key: Array, count: int, method: Method, base: float | None
) -> tuple[Array, Array]:
    """The statistic of the table, and its null distribution from permuted observations."""

    def one(key: Array) -> Array:
        cell = xs * table.shape[1] + jax.random.permutation(key, ys)
        drawn = jnp.zeros(table.size, table.dtype).at[cell].add(1.0)
        return mutual_information(drawn.reshape(table.shape), method=method, base=base)

    return mutual_information(table, method=method, base=base), lax.map(
        one, jax.random.split(key, count), batch_size=BATCH
    )


@functools.partial(jax.jit, static_argnums=(2, 3, 4, 5))
def _drawn(
    table: Array, key: Array, count: int, measure: str, method: Method, base: float | None
) -> tuple[Array, Array]:
    """The measure of the table, and of tables resampled at its frequencies."""
    total = jnp.sum(table)

    def one(key: Array) -> Array:
        drawn = jax.random.multinomial(key, total, table.reshape(-1) / total)
        return _measured(drawn.reshape(table.shape).astype(table.dtype), measure, method, base)

    return _measured(table, measure, method, base), lax.map(one, jax.random.split(key, count), batch_size=BATCH)


def _integer_counts(name: str, counts: Numbers, key: Any, samples: int) -> np.ndarray:
    """Check the arguments; the counts as NumPy integers."""
    if is_traced(counts):
        raise TypeError(
            f"{name}(): the counts are traced, but their sum is the size of an array; call it outside of jit"
        )
    if not (isinstance(key, jax.Array) and jnp.issubdtype(key.dtype, jax.dtypes.prng_key) and key.shape == ()):
        raise TypeError(f"{name}(): `key` is a {type(key).__name__}, expected one typed key, jax.random.key(seed)")
    if isinstance(samples, bool) or not isinstance(samples, (int, np.integer)) or samples < 1:
        raise ValueError(f"{name}(): {samples!r} samples asked for, expected an int of at least 1")
    n = np.asarray(counts)
    if n.dtype.kind not in "iufb" or not np.all((n >= 0) & (n == np.floor(n))) or not n.sum() > 0:
        raise ValueError(f"{name}(): expected whole numbers of at least 0, not all of them 0")
    return n.astype(np.int64)
