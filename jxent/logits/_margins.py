"""Margins and conditionals of a joint table, from logits."""

from collections.abc import Sequence

import jax.numpy as jnp
from jaxtyping import Array, Float

from jxent._checks import Axis, JointLogits, as_float, margin_axes, public, table_variables
from jxent._numerics import softmax as sm

__all__ = ["conditional", "marginal"]


@public
def marginal(
    z: JointLogits,
    variables: int | Sequence[int],
    *,
    table: Axis | None = None,
    keepdims: bool = False,
) -> Float[Array, "..."]:
    """Log-probabilities of the named variables, summed over the others.

    log P(s) = log Σ exp z over the cells with s, less the log Σ exp z of the whole table.

    Args:
        z: logits `[..., A, B, …]` of the joint probabilities, of any shift.
        variables: the axis, or tuple of axes, to keep.
        table: all axes of the table, a tuple; None is every axis. Those outside it are a batch.
        keepdims: whether the axes that are summed stay as axes of size 1.

    Returns:
        The array without the axes that are summed; those kept stay in their order. Normalised: the exponentials of
        a table sum to 1.

    Edge cases: naming every axis returns the table normalised. −inf stays −inf; a table of only −inf gives NaN.

    Gradient: P(cell | kept) less P(cell), finite everywhere.

    Example:
        >>> from jxent import logits
        >>> [round(float(x), 4) for x in logits.marginal([[0.0, 0.0], [0.0, 0.0]], 0)]
        [-0.6931, -0.6931]

    Reference: T. M. Cover and J. A. Thomas, Elements of Information Theory, 2nd ed. (2006), section 2.1.
    """
    array = as_float("z", z)
    every, summed = margin_axes("z", array, variables, table)
    kept = tuple(a for a in every if a not in summed)
    result = sm.log_softmax(sm.log_sum_exp(array, summed) if summed else array, kept)
    return result if keepdims or not summed else jnp.squeeze(result, summed)


@public
def conditional(
    z: JointLogits,
    *,
    of: Axis,
    given: Axis,
) -> Float[Array, "..."]:
    """Conditional log-probabilities log P(of | given), of the shape of the table.

    log P(of | given) = log P(of, given) − log P(given).

    Args:
        of: the axis, or tuple of axes, of the variable whose conditional distribution is computed.

    Returns:
        An array of the shape of the table that is normalised over the axes of `of` for every value of `given`.

    Edge cases: NaN where the condition is impossible, P(given) = 0: a row of only −inf. Axes that are not named are
    a batch.

    Gradient: 1 − P(of | given) for the cell itself, −P(of | given) for the others of its row, finite for −inf.

    Example:
        >>> from jxent import logits
        >>> [round(float(x), 4) for x in logits.conditional([[0.0, 0.0], [1.0, 0.0]], of=1, given=0)[0]]
        [-0.6931, -0.6931]

    Reference: T. M. Cover and J. A. Thomas, Elements of Information Theory, 2nd ed. (2006), section 2.2.
    """
    table = as_float("z", z)
    of_axes, _ = table_variables("z", table, of=of, given=given)
    return sm.log_softmax(table, of_axes)
