"""Mutual information and divergence, estimated from counts of several variables or of two samples."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from jxent import probs
from jxent._checks import (
    Axis,
    Counts,
    NonNegative,
    Numbers,
    as_float,
    category_axes,
    log_base_factor,
    match_rows,
    public,
    table_variables,
)
from jxent._numerics import tables
from jxent.counts import _entropy
from jxent.counts._cells import Cells, cells
from jxent.counts._entropy import Method, WithShare


@public
def mutual_information(
    table: Counts,
    *,
    x: Axis = -2,
    y: Axis = -1,
    method: Method = "plugin",
    alpha: NonNegative = 1.0,
    base: float | None = None,
) -> Float[Array, "..."]:
    """Mutual information I(X;Y) of the distribution that a table of counts was drawn from, in nats.

    I(X;Y) = H(X) + H(Y) − H(X,Y).

    Methods that estimate probabilities ("plugin", "james_stein", "dirichlet", "jeffreys", "laplace", "perks",
    "minimax") give the information of the estimated table, which is never negative. All others estimate the three
    entropies separately; their sum may be negative.

    Args:
        table: observations of each cell; all axes other than x and y are batch axes.
        x: the axis of one variable, or a tuple of axes that together are one.
        y: the axis or axes of the other variable.
        method: as in `entropy`.
        alpha: pseudocount of "dirichlet" and "wolpert_wolf".

    Returns:
        `[...]`, one number per table.

    Raises:
        ValueError: for an unknown method, or axes that do not exist or are named twice.

    Edge cases: as `entropy`. The plug-in is too high by about (Kx − 1)(Ky − 1)/2N; `permutation_test` gives its mean
    under independence.

    Gradient: as `entropy`.

    Example:
        >>> from jxent import counts
        >>> round(float(counts.mutual_information([[40, 10], [10, 40]], base=2)), 4)
        0.2781

    Reference: L. Paninski, Estimation of entropy and mutual information, Neural Computation 15 (2003).
    """
    n = as_float("table", table)
    arranged, layout = tables.arrange(n, table_variables("table", n, x=x, y=y))
    if method in _entropy.OF_PROBABILITIES:
        estimate = probs.mutual_information(_shares(arranged, method, alpha), x=1, y=2)
    else:
        estimate = _combined(arranged, method, alpha, {(1,): 1, (2,): 1, (1, 2): -1})
    return layout.restore(estimate) * log_base_factor(base)


@public
def conditional_mutual_information(
    table: Counts,
    *,
    x: Axis = -3,
    y: Axis = -2,
    given: Axis = -1,
    method: Method = "plugin",
    alpha: NonNegative = 1.0,
    base: float | None = None,
) -> Float[Array, "..."]:
    """Conditional mutual information I(X;Y|Z) of the distribution that a table of counts was drawn from, in nats.

    I(X;Y|Z) = H(X,Z) + H(Y,Z) − H(X,Y,Z) − H(Z).

    Args:
        table: observations of each cell; all axes other than x, y and given are batch axes.
        x: the axis of one variable, or a tuple of axes that together are one.
        y: the axis or axes of another variable.
        given: the axis or axes of the conditioning variable Z.
        method: as in `mutual_information`; the sum is H(X,Z) + H(Y,Z) − H(X,Y,Z) − H(Z).
        alpha: pseudocount of "dirichlet" and "wolpert_wolf".

    Returns:
        `[...]`, one number per table.

    Raises:
        ValueError: for an unknown method, or axes that do not exist or are named twice.

    Edge cases: as `mutual_information`.

    Gradient: as `entropy`.

    Example:
        >>> import numpy as np
        >>> from jxent import counts
        >>> xor = np.zeros((2, 2, 2))
        >>> xor[0, 0, 0] = xor[0, 1, 1] = xor[1, 0, 1] = xor[1, 1, 0] = 25
        >>> round(float(counts.conditional_mutual_information(xor, base=2)), 4)
        1.0

    Reference: T. M. Cover and J. A. Thomas, Elements of Information Theory, 2nd ed. (2006), eq. 2.60.
    """
    n = as_float("table", table)
    arranged, layout = tables.arrange(n, table_variables("table", n, x=x, y=y, given=given))
    if method in _entropy.OF_PROBABILITIES:
        estimate = probs.conditional_mutual_information(_shares(arranged, method, alpha), x=1, y=2, given=3)
    else:
        estimate = _combined(arranged, method, alpha, {(1, 3): 1, (2, 3): 1, (1, 2, 3): -1, (3,): -1})
    return layout.restore(estimate) * log_base_factor(base)


@public
def kl_divergence(
    p: Counts,
    q: Counts,
    *,
    method: WithShare = "plugin",
    alpha: NonNegative = 1.0,
    axis: Axis = -1,
    base: float | None = None,
) -> Float[Array, "..."]:
    """KL(P‖Q) of the distributions that two vectors of counts were drawn from, in nats.

    Σ P·log(P/Q).

    Args:
        p: observations of each cell under P, `[..., K]`.
        q: observations of each cell under Q.
        method: how the distributions are estimated: "plugin", "james_stein", "dirichlet", "jeffreys", "laplace",
            "perks" or "minimax", as in `entropy`.
        alpha: pseudocount of "dirichlet".
        axis: the axis of the cells, or a tuple of axes.

    Returns:
        `[...]`, at least 0.

    Raises:
        ValueError: for a method that estimates no probabilities.

    Edge cases: "plugin" gives +inf if a cell seen under P was never seen under Q, or if Q has no observations.

    Gradient: through the estimated probabilities.

    Example:
        >>> from jxent import counts
        >>> round(float(counts.kl_divergence([3, 1], [1, 1], method="laplace")), 4)
        0.0566

    Reference: J. Hausser and K. Strimmer, Entropy inference and the James–Stein estimator, Journal of Machine
    Learning Research 10 (2009).
    """
    first, second, _ = match_rows(("p", "q"), as_float("p", p), as_float("q", q), axis)
    axes = category_axes("p", first, axis)
    estimated = [_entropy.share(cells(n, axes, None)[0], method, alpha) for n in (first, second)]
    return probs.kl_divergence(*estimated) * log_base_factor(base)


def _shares(table: Array, method: Method, alpha: Numbers) -> Array:
    """The estimated table of probabilities `[batch, …]`."""
    return _entropy.share(_cells(table), method, alpha).reshape(table.shape)


def _combined(table: Array, method: Method, alpha: Numbers, signs: dict[tuple[int, ...], int]) -> Array:
    """The sum of entropies of margins, each with its sign."""
    total = jnp.zeros(table.shape[0], table.dtype)
    for kept, sign in signs.items():
        total = total + sign * _entropy.estimate(_cells(tables.margin(table, kept)), method, alpha)
    return total


def _cells(table: Array) -> Cells:
    return cells(table.reshape(table.shape[0], -1), -1, None)[0]
