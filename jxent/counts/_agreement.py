"""Agreement of two labellings beyond chance: mutual information adjusted by its expectation for random labels."""

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from jxent._checks import Axis, Counts, Normalizer, as_float, public, table_variables
from jxent._numerics import tables
from jxent._numerics.logarithm import relative_entropy_term
from jxent.probs import entropy, mutual_information


@public
def adjusted_mutual_information(
    table: Counts, *, x: Axis = -2, y: Axis = -1, normalizer: Normalizer = "arithmetic"
) -> Float[Array, "..."]:
    """Mutual information of two labellings adjusted for chance, (I − E[I])/(N − E[I]), a number without a unit.

    E[I] is the mean of I when the labels are permuted at random, which keeps the margins; N is the normaliser.

    Args:
        table: counts of each pair of labels, whole numbers; all axes other than x and y are batch axes.
        x: the axis of the first labelling, or the tuple of axes that form it.
        y: the axis of the second labelling, or a tuple of axes.

    Returns:
        `[...]`, 1 for labellings that differ only in the names of the labels, 0 on average for random labellings, below
        0 for less agreement than that.

    Edge cases: if every table with these margins has the same information, the result is 1 for labellings that differ
    only in the names of the labels, else 0. An empty table gives NaN.

    Gradient: 0, because counts are whole numbers.

    Example:
        >>> from jxent import counts
        >>> round(float(counts.adjusted_mutual_information([[4, 1], [0, 5]])), 4)
        0.5815

    Reference: N. X. Vinh, J. Epps and J. Bailey, Information theoretic measures for clusterings comparison, Journal
    of Machine Learning Research 11 (2010), eq. 24.
    """
    n = lax.stop_gradient(as_float("table", table))
    arranged, layout = tables.arrange(n, table_variables("table", n, x=x, y=y))
    total = jnp.sum(arranged, axis=(1, 2), keepdims=True)
    p = arranged / total
    information = mutual_information(p, x=1, y=2)
    of_x, of_y = entropy(p.sum(2)), entropy(p.sum(1))
    joint = normalizer == "joint"
    normaliser = entropy(tables.flattened(p)) if joint else tables.MEANS[normalizer](of_x, of_y)
    expected = _expected_information(arranged, total)
    above, span = information - expected, normaliser - expected
    # `undecided`: all tables with these margins have the same information (one label, or one label per observation).
    slack = 16.0 * jnp.finfo(n.dtype).eps * (1.0 + normaliser)
    undecided, equal = jnp.abs(span) <= slack, information >= jnp.maximum(of_x, of_y) - slack
    adjusted = jnp.where(undecided, equal.astype(n.dtype), above / jnp.where(undecided, 1.0, span))
    return layout.restore(adjusted)


def _expected_information(table: Array, total: Array) -> Array:
    """E[I] = Σ over cells of the mean of f(n/N) with n hypergeometric, f(p) = p·log(p/(p_x·p_y)) − p + p_x·p_y.

    The linear terms of f have mean 0 and make every summand non-negative. The probabilities of n are products of their
    ratios, up and down from the mode: logarithms of factorials lose their digits for many observations.
    """
    a, b = jnp.sum(table, axis=2, keepdims=True), jnp.sum(table, axis=1, keepdims=True)
    shape = table.shape
    a, b, size = (jnp.broadcast_to(v, shape) for v in (a, b, total))
    mode = jnp.clip(jnp.floor((a + 1.0) * (b + 1.0) / (size + 2.0)), jnp.maximum(0.0, a + b - size), jnp.minimum(a, b))
    product = (a / size) * (b / size)

    def information(n: Array) -> Array:
        p = n / size
        # A label that does not occur has product 0, and its only n is 0.
        both = (p > 0) & (product > 0)
        p, q = jnp.where(both, p, 1.0), jnp.where(both, product, 1.0)
        return jnp.where(both, relative_entropy_term(p, q, q - p, jnp.log(q / p)), product)

    def up(n: Array) -> Array:
        return (a - n) * (b - n) / ((n + 1.0) * (size - a - b + n + 1.0))

    def down(n: Array) -> Array:
        return n * (size - a - b + n) / ((a - n + 1.0) * (b - n + 1.0))

    def step(state: tuple[Array, ...]) -> tuple[Array, ...]:
        distance, weight_up, weight_down, mass, weighted = state
        high, low = mode + distance, mode - distance
        weight_up = jnp.where(high < jnp.minimum(a, b), weight_up * up(high), 0.0)
        weight_down = jnp.where(low > jnp.maximum(0.0, a + b - size), weight_down * down(low), 0.0)
        mass = mass + weight_up + weight_down
        weighted = weighted + weight_up * information(high + 1.0)
        weighted = weighted + weight_down * information(jnp.maximum(low - 1.0, 0.0))
        return distance + 1.0, weight_up, weight_down, mass, weighted

    def unfinished(state: tuple[Array, ...]) -> Array:
        # The rest of a hypergeometric tail is at most some times its next term: 1e-3 units of rounding.
        _, weight_up, weight_down, mass, _ = state
        return jnp.any(weight_up + weight_down > 1e-3 * jnp.finfo(table.dtype).eps * mass)

    one = jnp.ones(shape, table.dtype)
    start = (jnp.zeros((), table.dtype), one, one, one, information(mode))
    _, _, _, mass, weighted = lax.while_loop(unfinished, step, start)
    return jnp.sum(weighted / mass, axis=(1, 2))
