"""Joint tables: variables moved to the last axes, margins, and the sums for the measures of a table.

A table is an array [batch, n₁, …, nₘ] with one axis for each variable. Each measure is the divergence of the
table from a product of its margins, or the entropy of one part given another: no two entropies are subtracted
where they could cancel.
"""

import functools
import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array

from jxent._numerics.compiler import gathered, is_sharded, no_fuse, reshaped, row_sum
from jxent._numerics.logarithm import at_least_tiny, log1p, masked_reciprocal, relative_entropy_term, safe_log, tiny
from jxent._numerics.primitives import deficit, safe_sqrt

Axes = tuple[int, ...]
Groups = tuple[Axes, ...]
# The entropy of a margin [batch, n] of a table; its formula depends on whether the mass is exactly 1.
Entropy = Callable[[Array, Array], Array]


class Layout(NamedTuple):
    """The shape of a table and the axes of its variables."""

    shape: tuple[int, ...]
    named: Axes

    @property
    def batch(self) -> tuple[int, ...]:
        """The shape of the axes that no variable names."""
        return tuple(n for i, n in enumerate(self.shape) if i not in self.named)

    def restore(self, row: Array) -> Array:
        """One number per table, back in the shape of the batch."""
        return reshaped(row, self.batch)


def arrange(table: Array, groups: Groups) -> tuple[Array, Layout]:
    """[batch, n₁, …, nₘ] with the axes of each group merged into one, and the layout to go back.

    Merging also keeps the rank low: jaxlib 0.10.2 and 0.11.0 can crash on reductions of rank 7 (jax issues 39257 and
    40412); that reason goes when neither is supported.
    """
    named = tuple(a for group in groups for a in group)
    layout = Layout(table.shape, named)
    batch = tuple(i for i in range(table.ndim) if i not in named)
    sizes = tuple(math.prod(table.shape[a] for a in group) for group in groups)
    moved = jnp.transpose(gathered(table, named) if any(len(g) > 1 for g in groups) else table, (*batch, *named))
    return reshaped(moved, (math.prod(layout.batch), *sizes)), layout


def flattened(table: Array) -> Array:
    """[batch, n], all variables merged into one."""
    return reshaped(table, (table.shape[0], math.prod(table.shape[1:])))


def margin(table: Array, keep: Axes) -> Array:
    """The sum over all variables but those kept, whose axes stay with size 1."""
    others = tuple(a for a in range(1, table.ndim) if a not in keep)
    # `no_fuse`, or a later sum may be wrong where a batch shares the table: see `softmax.centred`; delete the two
    # together.
    return no_fuse(jnp.sum(table, axis=others, keepdims=True)) if others else table


def total(summand: Array) -> Array:
    """One sum for each table of the batch."""
    axes = tuple(range(1, summand.ndim))
    if len(axes) > 1 and not is_sharded(summand):
        summand, axes = summand.reshape(summand.shape[0], math.prod(summand.shape[1:])), (1,)
    return no_fuse(row_sum(summand, axes))


@functools.partial(jax.custom_jvp, nondiff_argnums=(0, 1))
def log_product_ratio(over: Groups, under: Groups, table: Array) -> Array:
    """δ = log(q/P) for q the product of the margins `over` divided by those `under`, elementwise.

    The margins are divided one by one, never multiplied first: their product may underflow where q/P does not.
    """
    smallest, largest = tiny(table.dtype), float(jnp.finfo(table.dtype).max)
    tops, bottoms = [margin(table, k) for k in over], [margin(table, k) for k in under]
    ratio = _product(tops, bottoms, tops[0] / at_least_tiny(table))
    possible = functools.reduce(jnp.logical_and, (m >= smallest for m in (*tops, *bottoms)))
    direct = possible & (table >= smallest) & (ratio > smallest) & (ratio < largest)
    logs = sum((safe_log(m) for m in tops), start=-safe_log(table)) - sum(safe_log(m) for m in bottoms)
    return jnp.where(direct, jnp.log(jnp.where(direct, ratio, 1.0)), logs)


def _product(tops: list[Array], bottoms: list[Array], first: Array) -> Array:
    """Π tops/Π bottoms with the first top replaced, large and small factors in turn."""
    result = first
    for i, top in enumerate(tops[1:]):
        result = result * (top / at_least_tiny(bottoms[i]) if i < len(bottoms) else top)
    return result


@log_product_ratio.defjvp
def _log_product_ratio_jvp(
    over: Groups, under: Groups, primals: Sequence[Array], tangents: Sequence[Array]
) -> tuple[Array, Array]:
    (table,), (move,) = primals, tangents

    def relative(keep: Axes) -> Array:
        return masked_reciprocal(margin(table, keep)) * margin(move, keep)

    tangent = sum((relative(k) for k in over), start=-masked_reciprocal(table) * move)
    return log_product_ratio(over, under, table), tangent - sum(relative(k) for k in under)


@functools.partial(jax.custom_jvp, nondiff_argnums=(0, 1))
def product_divergence(over: Groups, under: Groups, table: Array) -> Array:
    """Σ P·log(P/q) − P + q of a table from the product q of its margins `over` divided by those `under`."""
    delta = log_product_ratio(over, under, table)
    empty = table < tiny(table.dtype)
    tops = [margin(table, k) for k in over]
    product = _product(tops, [margin(table, k) for k in under], tops[0])
    near = jnp.abs(delta) < 1.0
    diff = jnp.where(near, table * jnp.expm1(jnp.where(near, delta, 0.0)), product - table)
    term = relative_entropy_term(table, table + diff, diff, delta)
    return total(jnp.where(empty, product + 0.0 * table, term))


@product_divergence.defjvp
def _product_divergence_jvp(
    over: Groups, under: Groups, primals: Sequence[Array], tangents: Sequence[Array]
) -> tuple[Array, Array]:
    (table,), (move,) = primals, tangents
    tangent = total(-log_product_ratio(over, under, table) * move)
    if not under:
        # The mass of a product of n margins is Mⁿ, with slope n·Mⁿ⁻¹; the n logarithms contribute −n.
        n, mass = len(over), total(table)
        tangent = tangent + n * (mass ** (n - 1) - 1.0) * total(move)
    return product_divergence(over, under, table), tangent


def mutual_information(table: Array) -> Array:
    """I(X; Y) of a table [batch, X, Y]."""
    return product_divergence(((1,), (2,)), (), table)


def conditional_mutual_information(table: Array) -> Array:
    """I(X; Y | Z) of a table [batch, Z, X, Y]."""
    if table.shape[1] == 1:
        return mutual_information(table[:, 0])
    return product_divergence(((1, 2), (1, 3)), ((1,),), table)


def total_correlation(table: Array) -> Array:
    """The divergence from the product of all single margins."""
    singles = tuple((a,) for a in range(1, table.ndim))
    if len(singles) == 2:
        return mutual_information(table)
    return product_divergence(singles, (), table) if len(singles) > 1 else jnp.zeros_like(total(table))


def dual_total_correlation(table: Array) -> Array:
    """Σᵢ I(Xᵢ; X₍ᵢ₊₁…ₙ₎ | X₍₁…ᵢ₋₁₎), a sum of divergences, which is H(X) − Σ H(Xᵢ | the others)."""
    sizes = table.shape[1:]
    parts = [
        conditional_mutual_information(
            reshaped(table, (table.shape[0], math.prod(sizes[:i]), sizes[i], math.prod(sizes[i + 1 :])))
        )
        for i in range(len(sizes) - 1)
    ]
    return sum(parts[1:], start=parts[0]) if parts else jnp.zeros_like(total(table))


def o_information(table: Array) -> Array:
    """Total less dual total correlation."""
    return total_correlation(table) - dual_total_correlation(table)


def co_information(entropy: Entropy, table: Array) -> Array:
    """Σ (−1)^|S|·I(X₁; X₂ | S) over the subsets S of all variables but the first two; for one variable its entropy.

    Each variable after the first two gets one more cell, the sum over it. The table then holds the margins of all
    subsets, and one program evaluates them together.
    """
    if table.ndim == 2:
        return entropy(table, table)
    first, second, *rest = table.shape[1:]
    margins = jnp.moveaxis(gathered(table), (1, 2), (-2, -1))
    signs = jnp.ones((1,), table.dtype)
    inner = math.prod(rest) * first * second
    for n in rest:
        inner = inner // n
        margins = reshaped(margins, (margins.size // (n * inner), n, inner))
        margins = jnp.concatenate([margins, no_fuse(jnp.sum(margins, axis=1, keepdims=True))], axis=1)
        signs = jnp.concatenate([jnp.repeat(-signs[:, None], n, axis=1), signs[:, None]], axis=1).ravel()
    each = product_divergence(((1,), (2,)), ((),), reshaped(margins, (margins.size // (first * second), first, second)))
    # The plain formula does not divide the product of the margins of X₁ and X₂ by the mass M; the difference is
    # M² − M − M·log M.
    mass = total(table)
    alternating = jnp.sum(reshaped(each, (table.shape[0], signs.size)) * signs[None], axis=1)
    return alternating + mass * (mass - 1.0 - safe_log(mass))


def interaction_information(entropy: Entropy, table: Array) -> Array:
    """(−1)ⁿ times the co-information."""
    return (-1) ** (table.ndim - 1) * co_information(entropy, table)


@functools.partial(jax.custom_jvp, nondiff_argnums=(0,))
def log_row_ratio(of: Axes, table: Array) -> Array:
    """log(row/P), where row is the sum over the variables `of`; accurate for a cell with nearly all of its row.

    With the largest cell of a row kept apart, log(row/P) = log1p(rest/lead) + log(lead/P).
    """
    smallest = tiny(table.dtype)
    top = jnp.max(table, axis=of, keepdims=True)
    lead = jnp.max(jnp.where(table == top, table, 0.0), axis=of, keepdims=True)
    ties = jnp.sum(jnp.where(table == top, jnp.ones_like(table), 0.0), axis=of, keepdims=True)
    rest = jnp.sum(jnp.where(table == top, 0.0, table), axis=of, keepdims=True) + (ties - 1.0) * lead
    share = table / at_least_tiny(lead)
    direct = (table >= smallest) & (share > smallest)
    from_lead = jnp.where(direct, -jnp.log(jnp.where(direct, share, 1.0)), safe_log(lead) - safe_log(table))
    # XLA may divide by multiplying with a reciprocal: then lead/lead need not be 1. Delete when XLA divides.
    from_lead = jnp.where(table == top, 0.0, from_lead)
    # In an empty row, row and P both count as the smallest normal number.
    return log1p(jnp.where(lead < smallest, 0.0, rest / at_least_tiny(lead))) + from_lead


@log_row_ratio.defjvp
def _log_row_ratio_jvp(of: Axes, primals: Sequence[Array], tangents: Sequence[Array]) -> tuple[Array, Array]:
    (table,), (move,) = primals, tangents
    row, row_move = (no_fuse(jnp.sum(x, axis=of, keepdims=True)) for x in (table, move))
    return log_row_ratio(of, table), masked_reciprocal(row) * row_move - masked_reciprocal(table) * move


@functools.partial(jax.custom_jvp, nondiff_argnums=(0,))
def conditional_entropy(of: Axes, table: Array) -> Array:
    """H(of | the other variables), Σ P·log(row/P): every summand is at least 0."""
    return total(table * log_row_ratio(of, table))


@conditional_entropy.defjvp
def _conditional_entropy_jvp(of: Axes, primals: Sequence[Array], tangents: Sequence[Array]) -> tuple[Array, Array]:
    (table,), (move,) = primals, tangents
    return conditional_entropy(of, table), total(log_row_ratio(of, table) * move)


def entropy_of_distribution(margin: Array, table: Array) -> Array:
    """Σ P·log(1/P) of a margin whose exact sum is 1: the largest entry is 1 less the others."""
    del table
    return conditional_entropy((1,), margin)


def entropy_as_stored(margin: Array, table: Array) -> Array:
    """−Σ P·log P of a margin whose mass M may differ from 1: Σ P·log(M/P) − M·log M.

    A margin near 1 has lost the digits of its logarithm, so M is summed from the cells of the table.
    """
    excess = -deficit(flattened(table), (1,))
    positive = excess > -1.0
    return conditional_entropy((1,), margin) - (1.0 + excess) * log1p(jnp.where(positive, excess, 0.0))


def conditional_of_second(table: Array) -> Array:
    """H(Y | X) of a table [batch, X, Y]."""
    return conditional_entropy((2,), table)


def variation_of_information(table: Array) -> Array:
    """H(X | Y) + H(Y | X) of a table [batch, X, Y]."""
    return conditional_entropy((1,), table) + conditional_entropy((2,), table)


# Means of the entropies of two variables, by the name of the normalizer; "joint" is the entropy of both.
MEANS: dict[str, Callable[[Array, Array], Array]] = {
    "arithmetic": lambda of_x, of_y: 0.5 * (of_x + of_y),
    "geometric": lambda of_x, of_y: safe_sqrt(of_x) * safe_sqrt(of_y),
    "min": jnp.minimum,
    "max": jnp.maximum,
}


def normalized_mutual_information(normalizer: str, entropy: Entropy, table: Array) -> Array:
    """I(X; Y) over a mean of the entropies, from 0 to 1; 0, with gradient 0, where that mean is 0."""

    def uncertainty(margin: Array) -> Array:
        # A single cell near 1 may have an entropy just above or below 0.
        single = conditional_entropy((1,), margin) == 0.0
        return jnp.where(single, 0.0, jnp.maximum(entropy(margin, table), 0.0))

    if normalizer == "joint":
        scale = uncertainty(flattened(table))
    else:
        of_x, of_y = (uncertainty(jnp.sum(table, axis=other)) for other in (2, 1))
        scale = MEANS[normalizer](of_x, of_y)
    nothing = scale == 0.0
    ratio = jnp.where(nothing, 0.0, mutual_information(table)) / jnp.where(nothing, 1.0, scale)
    # For identical labellings, rounding may give more than 1.
    return ratio - lax.stop_gradient(jnp.maximum(ratio - 1.0, 0.0))
