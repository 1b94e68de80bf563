"""Gradients of the measures of joint tables as signed sums of entropies of margins, with one derivation for all.

Every measure but the normalised one is Σ c_S Σ P_S·log P_S over margins P_S with integers c_S. A margin has the
derivative 1 in each of its cells, so that the slope is Σ c_S·(log P_S + 1). A measure that compares the table with a
product of n margins also contains (ΣP)ⁿ − ΣP, which is 0 for a distribution; its slope is n(ΣP)ⁿ⁻¹ − 1.
"""

import inspect
import itertools
from collections.abc import Callable
from typing import Any, NamedTuple, ParamSpec

import jax.numpy as jnp
from jaxtyping import Array

from jxent import logits, probs
from jxent._checks import as_float, listed_variables, log_base_factor, table_variables
from jxent.closed_form import _rows
from jxent.closed_form._gradient_of import gradient_of

# fmt: off
__all__ = [
    "logits_co_information", "logits_conditional_entropy", "logits_conditional_mutual_information",
    "logits_dual_total_correlation", "logits_interaction_information", "logits_joint_entropy",
    "logits_mutual_information", "logits_normalized_mutual_information", "logits_o_information",
    "logits_total_correlation", "logits_variation_of_information", "probs_co_information", "probs_conditional_entropy",
    "probs_conditional_mutual_information", "probs_dual_total_correlation", "probs_interaction_information",
    "probs_joint_entropy", "probs_mutual_information", "probs_normalized_mutual_information", "probs_o_information",
    "probs_total_correlation", "probs_variation_of_information",
]
# fmt: on

P = ParamSpec("P")
Q = ParamSpec("Q")
Subset = tuple[int, ...]
TWO = "[[0.4, 0.1], [0.2, 0.3]]", "[[2.0, 0.0], [0.5, 1.5]]"
THREE = (
    "[[[0.1, 0.2], [0.05, 0.15]], [[0.2, 0.1], [0.1, 0.1]]]",
    "[[[1.0, 2.0], [0.5, -1.5]], [[2.0, -1.0], [1.0, 3.0]]]",
)
EDGES = "each logarithm is taken at the smallest normal number where its probability is 0.", "0 for cells at −inf."


class Table(NamedTuple):
    """Joint probabilities with one axis per variable, last, and whether their exact sum is 1."""

    p: Array
    variables: int
    normalized: bool

    def sum(self, x: Array) -> Array:
        """The sum over all variables, their axes kept with size 1."""
        return jnp.sum(x, axis=tuple(range(-self.variables, 0)), keepdims=True)

    def margin(self, keep: Subset) -> Array:
        """The sum over all variables except `keep`."""
        others = tuple(i - self.variables for i in range(self.variables) if i not in keep)
        return jnp.sum(self.p, axis=others, keepdims=True) if others else self.p

    def log(self, keep: Subset) -> Array:
        """The logarithm of a margin, that of 0 taken at the smallest normal number."""
        margin = self.margin(keep)
        plain = jnp.log(_rows.lifted(margin))
        if not self.normalized:
            return plain
        # A margin above ½ is 1 less the others, which have the digits that it has lost.
        largest = margin == jnp.max(margin, axis=tuple(range(-self.variables, 0)), keepdims=True)
        return jnp.where(margin > 0.5, jnp.log1p(-self.sum(jnp.where(largest, 0.0, margin))), plain)

    def entropy(self, keep: Subset) -> Array:
        """−Σ P·log P of a margin, the axes of the variables kept with size 1."""
        return -self.sum(self.margin(keep) * self.log(keep))


class Signed(NamedTuple):
    """The integers c_S by margin, and those of the terms (ΣP)ⁿ − ΣP by n."""

    margins: dict[Subset, int]
    products: dict[int, int]

    def slope(self, table: Table) -> Array:
        """Σ c_S·(log P_S + 1) + n(ΣP)ⁿ⁻¹ − 1, its integers added first."""
        mass = table.sum(table.p)
        constant = sum(self.margins.values()) + sum(c * (n - 1) for n, c in self.products.items())
        slope = jnp.zeros_like(table.p) + constant
        for keep, c in self.margins.items():
            slope = slope + c * table.log(keep)
        return slope + sum(c * n * (mass ** (n - 1) - 1.0) for n, c in self.products.items())


def _joint_entropy(table: Table) -> Signed:
    return Signed({_every(table): -1}, {})


def _conditional_entropy(table: Table) -> Signed:
    return Signed({(0,): 1, _every(table): -1}, {})


MUTUAL_INFORMATION = Signed({(0, 1): 1, (0,): -1, (1,): -1}, {2: 1})
VARIATION_OF_INFORMATION = Signed({(0,): 1, (1,): 1, (0, 1): -2}, {})


def _conditional_mutual_information(table: Table) -> Signed:
    # For a constant Z, the measure is the divergence of X and Y from a product of two margins.
    if table.p.shape[-3] == 1:
        return Signed({(1, 2): 1, (1,): -1, (2,): -1}, {2: 1})
    return Signed({(0, 1, 2): 1, (0,): 1, (0, 1): -1, (0, 2): -1}, {})


def _total_correlation(table: Table) -> Signed:
    if table.variables == 1:
        return Signed({}, {})
    return Signed({_every(table): 1} | {(i,): -1 for i in range(table.variables)}, {table.variables: 1})


def _dual_total_correlation(table: Table) -> Signed:
    if table.variables == 1:
        return Signed({}, {})
    others = {tuple(j for j in range(table.variables) if j != i): -1 for i in range(table.variables)}
    return Signed({_every(table): table.variables - 1} | others, {2: 1})


def _o_information(table: Table) -> Signed:
    total, dual = _total_correlation(table), _dual_total_correlation(table)
    return Signed(_less(total.margins, dual.margins), _less(total.products, dual.products))


def _co_information(table: Table) -> Signed:
    if table.variables == 1:
        return _joint_entropy(table)
    sizes = range(1, table.variables + 1)
    return Signed({s: (-1) ** n for n in sizes for s in itertools.combinations(range(table.variables), n)}, {2: 1})


def _interaction_information(table: Table) -> Signed:
    sign, of_co = (-1) ** table.variables, _co_information(table)
    return Signed({k: sign * c for k, c in of_co.margins.items()}, {n: sign * c for n, c in of_co.products.items()})


def _every(table: Table) -> Subset:
    return tuple(range(table.variables))


def _less(first: dict[Any, int], second: dict[Any, int]) -> dict[Any, int]:
    return {k: first.get(k, 0) - second.get(k, 0) for k in {**first, **second}}


def _of_table(measure: Callable[P, Any], slope: Callable[..., Array], text: str) -> Callable[P, Array]:
    """The closed form of a measure of either room; `text` is its slope as a formula."""
    room, signature = measure.__module__.split(".")[1], inspect.signature(measure).parameters
    operand, normalized = ("z", True) if room == "logits" else ("p", False)
    # The axes of the table are the variables in this order.
    names = [n for n in ("given", "of", "x", "y") if n in signature]
    example = (TWO if len(names) == 2 else THREE)[normalized]

    def evaluator(slope: Callable[..., Array], options: dict[str, Any]) -> Array:
        array, base = as_float(operand, options.pop(operand)), options.pop("base", None)
        del options["keepdims"]
        if names:
            groups = table_variables(operand, array, **{name: options.pop(name) for name in names})
        else:
            groups = listed_variables(operand, array, options.pop("variables"))
        batch = _rows.Batch.of(array, options.pop("where"), groups)
        row = (_rows.of_logits if normalized else _rows.of_probabilities)(batch.rows(array), batch.part)
        slopes = slope(Table(row.p.reshape(batch.sizes()), len(groups), normalized), **options).reshape(row.p.shape)
        return batch.gradient(row.pull(slopes) if normalized else slopes) * log_base_factor(base)

    def gradient(table: Table, **options: Any) -> Array:
        return slope(table, **options)

    gradient.__doc__ = (
        "A margin P_S has the derivative 1 in each of its cells, so that Σ P_S·log P_S has the slope log P_S + 1. That "
        f"of the measure is {text}.{' In the logits, P(s − Σ P·s) for the slopes s.' if normalized else ''}"
    )
    return gradient_of(measure, evaluator, example, EDGES[normalized])(gradient)


def _signed(margins: Callable[[Table], Signed]) -> Callable[[Table], Array]:
    return lambda table: margins(table).slope(table)


def _normalized_mutual_information(table: Table, *, normalizer: str) -> Array:
    """(∇I − NMI·∇N)/N; 0 where N = 0."""
    keeps = ((0,), (1,), (0, 1))
    of_x, of_y, of_both = (table.entropy(keep) for keep in keeps)
    slope_x, slope_y, slope_both = (-(table.log(keep) + (0.0 if table.normalized else 1.0)) for keep in keeps)
    root = jnp.sqrt(of_x * of_y)
    divisor_x, divisor_y = (jnp.where(h == 0, 1.0, h) for h in (of_x, of_y))
    normaliser, slope = {
        "arithmetic": (0.5 * (of_x + of_y), 0.5 * (slope_x + slope_y)),
        "geometric": (root, 0.5 * root * (slope_x / divisor_x + slope_y / divisor_y)),
        "min": (jnp.minimum(of_x, of_y), _of_smaller(of_x, of_y, slope_x, slope_y)),
        "max": (jnp.maximum(of_x, of_y), _of_smaller(of_y, of_x, slope_x, slope_y)),
        "joint": (of_both, slope_both),
    }[normalizer]
    p, product = table.p, table.margin((0,)) * table.margin((1,))
    log_ratio = table.log((0, 1)) - table.log((0,)) - table.log((1,))
    information = table.sum(jnp.where(_rows.is_zero(p), 0.0, p * log_ratio) - p + product)
    divisor = jnp.where(normaliser == 0, 1.0, normaliser)
    of_information = MUTUAL_INFORMATION.slope(table)
    return jnp.where(normaliser == 0, 0.0, (of_information - information / divisor * slope) / divisor)


def _of_smaller(first: Array, second: Array, slope_first: Array, slope_second: Array) -> Array:
    """The slope of the smaller; the mean of both where they are equal."""
    mean = 0.5 * (slope_first + slope_second)
    return jnp.where(first < second, slope_first, jnp.where(first > second, slope_second, mean))


def _both(
    of_probs: Callable[P, Any], of_logits: Callable[Q, Any], slope: Callable[..., Array], text: str
) -> tuple[Callable[P, Array], Callable[Q, Array]]:
    return _of_table(of_probs, slope, text), _of_table(of_logits, slope, text)


# fmt: off
probs_joint_entropy, logits_joint_entropy = _both(
    probs.joint_entropy, logits.joint_entropy, _signed(_joint_entropy),
    "−(log P + 1)")
probs_conditional_entropy, logits_conditional_entropy = _both(
    probs.conditional_entropy, logits.conditional_entropy, _signed(_conditional_entropy),
    "log(P(given)/P)")
probs_mutual_information, logits_mutual_information = _both(
    probs.mutual_information, logits.mutual_information, MUTUAL_INFORMATION.slope,
    "log(P/(Pₓ·Pᵧ)) + 2(ΣP − 1)")
probs_normalized_mutual_information, logits_normalized_mutual_information = _both(
    probs.normalized_mutual_information, logits.normalized_mutual_information, _normalized_mutual_information,
    "(∇I − NMI·∇N)/N for the normaliser N; 0 where N = 0")
probs_variation_of_information, logits_variation_of_information = _both(
    probs.variation_of_information, logits.variation_of_information, VARIATION_OF_INFORMATION.slope,
    "log(Pₓ/P) + log(Pᵧ/P)")
probs_conditional_mutual_information, logits_conditional_mutual_information = _both(
    probs.conditional_mutual_information, logits.conditional_mutual_information,
    _signed(_conditional_mutual_information), "log(P·P_z/(P_xz·P_yz))")
probs_total_correlation, logits_total_correlation = _both(
    probs.total_correlation, logits.total_correlation, _signed(_total_correlation),
    "log(P/∏ Pᵢ) + n((ΣP)ⁿ⁻¹ − 1)")
probs_dual_total_correlation, logits_dual_total_correlation = _both(
    probs.dual_total_correlation, logits.dual_total_correlation, _signed(_dual_total_correlation),
    "(n − 1)·log P − Σ log P₋ᵢ + 2(ΣP − 1), P₋ᵢ the margin of all but Xᵢ")
probs_o_information, logits_o_information = _both(
    probs.o_information, logits.o_information, _signed(_o_information),
    "(2 − n)·log P − Σ log Pᵢ + Σ log P₋ᵢ + n((ΣP)ⁿ⁻¹ − 1) − 2(ΣP − 1), P₋ᵢ the margin of all but Xᵢ")
probs_co_information, logits_co_information = _both(
    probs.co_information, logits.co_information, _signed(_co_information),
    "Σ (−1)^|T|·log P_T over all subsets T but the empty one + 2(ΣP − 1)")
probs_interaction_information, logits_interaction_information = _both(
    probs.interaction_information, logits.interaction_information, _signed(_interaction_information),
    "(−1)ⁿ times that of `co_information`")
# fmt: on
