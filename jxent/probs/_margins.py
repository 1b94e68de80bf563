"""Margins and conditionals of a joint table."""

from collections.abc import Sequence

import jax.numpy as jnp
from jaxtyping import Array, Float

from jxent._checks import Axis, JointProbabilities, as_float, margin_axes, public, table_variables

__all__ = ["conditional", "marginal"]


@public
def marginal(
    p: JointProbabilities,
    variables: int | Sequence[int],
    *,
    table: Axis | None = None,
    keepdims: bool = False,
) -> Float[Array, "..."]:
    """Margin of the named variables: the table summed over its other axes.

    P(s) = Σ P(s, t) over the values t of all other variables.

    Args:
        p: joint probabilities `[..., A, B, …]`.
        variables: the axis, or tuple of axes, to keep.
        table: all axes of the table, a tuple; None is every axis. Those outside it are a batch.
        keepdims: whether the axes that are summed stay as axes of size 1.

    Returns:
        The array without the axes that are summed; those kept stay in their order.

    Edge cases: naming every axis returns the table.

    Gradient: 1 for every cell that is summed.

    Example:
        >>> from jxent import probs
        >>> [round(float(x), 4) for x in probs.marginal([[0.4, 0.1], [0.2, 0.3]], 0)]
        [0.5, 0.5]

    Reference: T. M. Cover and J. A. Thomas, Elements of Information Theory, 2nd ed. (2006), section 2.1.
    """
    array = as_float("p", p)
    _, summed = margin_axes("p", array, variables, table)
    return jnp.sum(array, axis=summed, keepdims=keepdims) if summed else array


@public
def conditional(
    p: JointProbabilities,
    *,
    of: Axis,
    given: Axis,
) -> Float[Array, "..."]:
    """Conditional probabilities P(of | given) = P/P(given), of the shape of the table.

    Args:
        of: the axis, or tuple of axes, of the variable whose conditional distribution is computed.

    Returns:
        An array of the shape of the table that sums to 1 over the axes of `of` for every value of `given`.

    Edge cases: NaN where the condition is impossible, P(given) = 0. Axes that are not named are a batch.

    Gradient: (1 − P(of | given))/P(given) for the cell itself, −P(of | given)/P(given) for the others of its row.

    Example:
        >>> from jxent import probs
        >>> [round(float(x), 4) for x in probs.conditional([[0.4, 0.1], [0.2, 0.3]], of=1, given=0)[0]]
        [0.8, 0.2]

    Reference: T. M. Cover and J. A. Thomas, Elements of Information Theory, 2nd ed. (2006), section 2.2.
    """
    table = as_float("p", p)
    of_axes, _ = table_variables("p", table, of=of, given=given)
    condition = jnp.sum(table, axis=of_axes, keepdims=True)
    possible = condition >= jnp.finfo(table.dtype).tiny
    return jnp.where(possible, table / jnp.where(possible, condition, 1.0), jnp.nan)
