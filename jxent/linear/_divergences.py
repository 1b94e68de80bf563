"""Measures of two heads over the same classes: cross-entropy, KL and Jensen–Shannon divergence."""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from jxent._checks import MeshAxis, Positive, UnitInterval, parameter, public
from jxent.linear import _engines
from jxent.linear._arguments import Problem, two_heads
from jxent.linear._domains import ClassBias, ClassMask, ClassRows, Features
from jxent.linear._heads import MeshAxes, Operands
from jxent.linear._mesh import on_mesh
from jxent.linear._pair import PAIR, jensen_shannon
from jxent.linear._sums import Plan, per_row

Arrays = dict[str, Any]
# Arrays of the size of a block that its derivative holds, as a multiple of those of the KL divergence.
ARRAYS_OF_JENSEN_SHANNON = 2


def _of_two_heads(
    measure: Callable[..., Array], block_size: int | None, axis_name: str | None, arrays: Arrays
) -> Array:
    """The measure of each row, 0 in rows in which nothing takes part."""
    _engines.check(block_size, axis_name)

    def of(axis_name: MeshAxes, x_p: Array, w_p: Array, x_q: Array, w_q: Array, **rest: Any) -> Array:
        biases = rest.pop("bias_p"), rest.pop("bias_q")
        options = {name: rest.pop(name) for name in ("where", "temperature", "soft_cap")}
        problem: Problem = two_heads((x_p, w_p, x_q, w_q), biases, **options, axis_name=axis_name)
        share = ARRAYS_OF_JENSEN_SHANNON if measure is _jensen_shannon else 1
        plan = Plan(PAIR, _engines.class_block(block_size, problem.operands, share), axis_name)
        value, idle = measure(plan, problem.together(), **rest), problem.operands.idle
        return value if idle is None else jnp.where(idle, 0.0, value)

    return on_mesh(of, arrays, axis_name)


def _kl_divergence(plan: Plan, o: Operands) -> Array:
    return per_row(plan, o).divergence


def _cross_entropy(plan: Plan, o: Operands) -> Array:
    return per_row(plan, o).cross_entropy


def _jensen_shannon(plan: Plan, o: Operands, weight: ArrayLike) -> Array:
    return jensen_shannon(plan, o, parameter("weight", weight, o.head.x))


@public
def kl_divergence(
    x_p: Features,
    w_p: ClassRows,
    x_q: Features,
    w_q: ClassRows,
    *,
    bias_p: ClassBias | None = None,
    bias_q: ClassBias | None = None,
    where: ClassMask | None = None,
    temperature: Positive = 1.0,
    soft_cap: Positive | None = None,
    block_size: int | None = None,
    axis_name: MeshAxis | None = None,
) -> Float[Array, "..."]:
    """KL divergence Σ p·log(p/q) of the distribution q of one linear head from p of another, in nats, without logits.

    For distillation with the teacher as p, in the other direction with the student as p, and for the distance of a
    policy from its reference. A head that is not differentiated, such as a teacher, costs no derivative. Temperature
    and soft cap hold for both heads, and no factor T² is applied.

    Returns:
        `[...]`, at least 0, and exactly 0 for equal heads, in float32 or, for float64 operands, float64. Heads that
        are nearly equal keep their digits.

    Edge cases: those of `logits.kl_divergence`: a class that is −inf in p contributes q; one that is −inf in q alone
    gives +inf; a row without any possible class on either side is NaN, and 0 where `where` masks all classes.

    Gradient: the slopes pₖ(log(pₖ/qₖ) − KL) in the logits of p and qₖ − pₖ in those of q, times wₖ and x, formed in
    blocks; 0 for equal heads. Closed under `jvp`, `grad`, `hessian`, `vmap` and `shard_map`.

    Example:
        >>> from jxent import linear
        >>> round(float(linear.kl_divergence([0.0], [[1.0], [0.0]], [1.0], [[0.0], [1.0]])), 6)
        0.120115

    Reference: G. Hinton, O. Vinyals and J. Dean, Distilling the knowledge in a neural network (2015).
    """
    return _of_two_heads(_kl_divergence, block_size, axis_name, _named(locals()))


@public
def cross_entropy(
    x_p: Features,
    w_p: ClassRows,
    x_q: Features,
    w_q: ClassRows,
    *,
    bias_p: ClassBias | None = None,
    bias_q: ClassBias | None = None,
    where: ClassMask | None = None,
    temperature: Positive = 1.0,
    soft_cap: Positive | None = None,
    block_size: int | None = None,
    axis_name: MeshAxis | None = None,
) -> Float[Array, "..."]:
    """Cross-entropy −Σ p·log q of the distribution q of one linear head under p of another, in nats, without logits.

    The entropy of p more than `kl_divergence`, with the same gradient in q.

    Returns:
        `[...]`, in float32 or, for float64 operands, float64.

    Edge cases: those of `logits.cross_entropy`: a class that is −inf in q alone gives +inf; a row without any possible
    class on either side is NaN, and 0 where `where` masks all classes.

    Gradient: the slopes −pₖ(log qₖ + H(p, q)) in the logits of p and qₖ − pₖ in those of q, times wₖ and x, formed in
    blocks. Closed under `jvp`, `grad`, `hessian`, `vmap` and `shard_map`.

    Example:
        >>> from jxent import linear
        >>> round(float(linear.cross_entropy([0.0], [[1.0], [0.0]], [1.0], [[0.0], [1.0]])), 6)
        0.813262

    Reference: T. M. Cover and J. A. Thomas, Elements of Information Theory, 2nd ed. (2006), section 5.4.
    """
    return _of_two_heads(_cross_entropy, block_size, axis_name, _named(locals()))


@public
def jensen_shannon_divergence(
    x_p: Features,
    w_p: ClassRows,
    x_q: Features,
    w_q: ClassRows,
    *,
    weight: UnitInterval = 0.5,
    bias_p: ClassBias | None = None,
    bias_q: ClassBias | None = None,
    where: ClassMask | None = None,
    temperature: Positive = 1.0,
    soft_cap: Positive | None = None,
    block_size: int | None = None,
    axis_name: MeshAxis | None = None,
) -> Float[Array, "..."]:
    """Jensen–Shannon divergence w·KL(p‖m) + (1 − w)·KL(q‖m) of two linear heads, in nats, without the logits.

    The mixture m is w·p + (1 − w)·q, and w = 0 and 1 give 0. Its logarithm needs the normalisers of both heads: the
    logits are computed twice. Temperature and soft cap hold for both heads.

    Returns:
        `[...]`, from 0, exactly for equal heads, to the entropy of (w, 1 − w); in float32 or, for float64 operands,
        float64. Heads that are nearly equal keep their digits.

    Edge cases: those of `logits.jensen_shannon_divergence`: finite where a class is −inf on one side; a row without any
    possible class on either side is NaN, and 0 where `where` masks all classes.

    Gradient: the slopes w·pₖ(log(pₖ/mₖ) − KL(p‖m)) in the logits of p and likewise of q, times wₖ and x, formed in
    blocks; 0 for equal heads; KL(p‖m) − KL(q‖m) in w. Closed under `jvp`, `grad`, `hessian`, `vmap` and `shard_map`.

    Example:
        >>> from jxent import linear
        >>> round(float(linear.jensen_shannon_divergence([0.0], [[1.0], [0.0]], [1.0], [[0.0], [1.0]])), 6)
        0.028535

    Reference: R. Agarwal et al., On-policy distillation of language models: learning from self-generated mistakes
    (2024), section 3.1.
    """
    return _of_two_heads(_jensen_shannon, block_size, axis_name, _named(locals()))


def _named(values: Arrays) -> Arrays:
    """The traced arguments of a call."""
    return {name: value for name, value in values.items() if name not in ("block_size", "axis_name")}
