"""Measures of one head: the logarithm of the sum of exponentials, the entropy, and log-probabilities of ids."""

import functools
from typing import Any, NamedTuple, cast

import jax.numpy as jnp
from jaxtyping import Array, Float

from jxent._checks import IgnoreLabel, MeshAxis, Positive, ignored_rows, public
from jxent.linear import _engines
from jxent.linear._arguments import Problem, class_ids, one_head
from jxent.linear._domains import Candidates, ClassBias, ClassMask, ClassRows, Features
from jxent.linear._heads import MeshAxes
from jxent.linear._mesh import on_mesh
from jxent.linear._softmax import SOFTMAX, Rows
from jxent.linear._sums import Plan, per_row


class Score(NamedTuple):
    """Log-probabilities of class ids, and entropy and log Σ exp of their row.

    Attributes:
        log_probability: log p of the ids, `[...]` or `[..., M]`.
        entropy: −Σ p·log p `[...]`.
        logsumexp: log Σ exp z `[...]`.
    """

    log_probability: Array
    entropy: Array
    logsumexp: Array


def rows_of(problem: Problem, block_size: int | None, *, entropy: bool = False) -> Rows:
    """The sums of one head."""
    size = _engines.class_block(block_size, problem.operands)
    return per_row(Plan(SOFTMAX, size, problem.axis_name, entropy=entropy), problem.together())


@public
def logsumexp(
    x: Features,
    w: ClassRows,
    *,
    bias: ClassBias | None = None,
    where: ClassMask | None = None,
    temperature: Positive = 1.0,
    soft_cap: Positive | None = None,
    block_size: int | None = None,
    axis_name: MeshAxis | None = None,
) -> Float[Array, "..."]:
    """Log Σ exp(x·wₖ + biasₖ) over the classes of a linear model, in nats, without its logits.

    Args:
        axis_name: the mesh axis over which the classes are sharded, inside `jax.shard_map`: `w`, `bias` and `where`
            are those of this device, the result is that of all. One maximum and one sum cross the devices.

    Returns:
        `[...]`, in float32 or, for float64 operands, float64.

    Edge cases: −inf for a row without any possible class, also if `where` masks all of them. A masked class may hold
    anything where the mask is `[V]`.

    Gradient: Σ pₖ·wₖ in a row of x and pₖ·x in wₖ, p the softmax, formed in blocks; closed under `jvp`, `grad`,
    `hessian`, `vmap` and `shard_map`.

    Example:
        >>> from jxent import linear
        >>> round(float(linear.logsumexp([1.0, 2.0], [[1.0, 0.0], [0.0, 1.0]])), 6)
        2.313262

    Reference: M. Milakov and N. Gimelshein, Online normalizer calculation for softmax (2018).
    """
    _engines.check(block_size, axis_name)

    def of(axis_name: MeshAxes, **arrays: Any) -> Array:
        problem = one_head(**arrays, axis_name=axis_name)
        total, idle = rows_of(problem, block_size).logsumexp, problem.operands.idle
        return total if idle is None else jnp.where(idle, -jnp.inf, total)

    arrays = {"x": x, "w": w, "bias": bias, "where": where, "temperature": temperature, "soft_cap": soft_cap}
    return on_mesh(of, arrays, axis_name)


@public
def entropy(
    x: Features,
    w: ClassRows,
    *,
    bias: ClassBias | None = None,
    where: ClassMask | None = None,
    temperature: Positive = 1.0,
    soft_cap: Positive | None = None,
    block_size: int | None = None,
    axis_name: MeshAxis | None = None,
) -> Float[Array, "..."]:
    """Entropy −Σ p·log p of the distribution p = softmax(x·wᵀ + bias) of each row, in nats, without the logits.

    Returns:
        `[...]`, in float32 or, for float64 operands, float64.

    Edge cases: those of `logits.entropy`: a class at −inf contributes 0; a row without any possible class is NaN, and 0
    where `where` masks all of its classes. The entropy of a confident row keeps its digits.

    Gradient: with the slopes sₖ = −pₖ(log pₖ + H), Σ sₖ·wₖ in a row of x and sₖ·x in wₖ, formed in blocks; closed
    under `jvp`, `grad`, `hessian`, `vmap` and `shard_map`.

    Example:
        >>> from jxent import linear
        >>> round(float(linear.entropy([1.0, 1.0], [[1.0, 0.0], [0.0, 1.0]])), 6)
        0.693147

    Reference: C. E. Shannon, A mathematical theory of communication (1948), section 6.
    """
    _engines.check(block_size, axis_name)

    def of(axis_name: MeshAxes, **arrays: Any) -> Array:
        problem = one_head(**arrays, axis_name=axis_name)
        return _entropy(problem, rows_of(problem, block_size, entropy=True))

    arrays = {"x": x, "w": w, "bias": bias, "where": where, "temperature": temperature, "soft_cap": soft_cap}
    return on_mesh(of, arrays, axis_name)


def _entropy(problem: Problem, rows: Rows) -> Array:
    idle, value = problem.operands.idle, cast("Array", rows.entropy)
    return value if idle is None else jnp.where(idle, 0.0, value)


@public
def score(
    x: Features,
    w: ClassRows,
    ids: Candidates,
    *,
    bias: ClassBias | None = None,
    where: ClassMask | None = None,
    ignore_label: IgnoreLabel | None = None,
    temperature: Positive = 1.0,
    soft_cap: Positive | None = None,
    block_size: int | None = None,
    axis_name: MeshAxis | None = None,
) -> Score:
    """Log-probability of class ids, entropy and log Σ exp of each row, in nats, in one pass without the logits.

    For the objectives of policy gradients, such as PPO and GRPO, and for distillation from the classes that a teacher
    finds most probable.

    Args:
        ids: integer class ids `[...]`, or `[..., M]`, M candidates for each row.
        ignore_label: an id, such as −100, whose log-probability counts as 0 with gradient 0. A row without any other
            id, such as padding, is 0 throughout, whatever `x` holds there: averages divide by the number of the others.

    Returns:
        `Score(log_probability, entropy, logsumexp)`: log p of `ids`, of their shape, and two numbers `[...]` for each
        row. Of what is not used neither value nor derivative is computed.

    Edge cases: an id outside [0, V) gives NaN, one whose class is masked or at −inf gives −inf; entropy and logsumexp
    are those of the functions of these names, and log-probabilities 0 where all classes of a row are masked. The
    log-probability of a class with a margin of 30 is −9.4e-14.

    Gradient: of the log-probability wₖ − Σ pₗ·wₗ in a row of x, accurate in the tail; of the others as in the functions
    of these names. Closed under `jvp`, `grad`, `hessian`, `vmap` and `shard_map`.

    Example:
        >>> from jxent import linear
        >>> found = linear.score([1.0, 2.0], [[1.0, 0.0], [0.0, 1.0]], 1)
        >>> round(float(found.log_probability), 6), round(float(found.entropy), 6)
        (-0.313262, 0.582203)

    Reference: J. Schulman et al., Proximal policy optimization algorithms (2017), section 5.
    """
    _engines.check(block_size, axis_name)

    def of(axis_name: MeshAxes, ids: Array, **arrays: Any) -> Score:
        problem = one_head(**arrays, axis_name=axis_name)
        o = problem.operands
        rows = o.head.x.shape[:-1]
        many = ids.ndim > len(rows)
        shape = (*rows, ids.shape[-1]) if many else rows
        beside = f"the rows {rows}"
        local, in_range = class_ids(ids, shape, o.classes, beside, "use softmax_cross_entropy", axis_name, "ids")
        candidates = {"ids": local} if many else {"labels": local}
        ignored = ignored_rows(ids, ignore_label)
        problem = problem._replace(operands=o._replace(**candidates))
        # A row without any id that counts may hold anything.
        left_out = jnp.all(ignored, axis=-1) if many and ignored is not None else ignored
        found = rows_of(problem.without(left_out), block_size, entropy=True)
        idle = o.idle if not many or o.idle is None else o.idle[..., None]
        masks = [mask for mask in (ignored, idle) if mask is not None]
        # A factor, since `where` would have gradient 0. It is 1 under a mask, where 0·NaN would be NaN.
        no_nan = functools.reduce(jnp.logical_or, masks, in_range)
        log_p = -found.losses[0] * jnp.where(no_nan, 1.0, jnp.nan).astype(found.top.dtype)
        for mask in masks:
            log_p = jnp.where(mask, 0.0, log_p)
        total = found.logsumexp if o.idle is None else jnp.where(o.idle, -jnp.inf, found.logsumexp)
        entropy = _entropy(problem, found)
        if left_out is not None:
            total, entropy = jnp.where(left_out, 0.0, total), jnp.where(left_out, 0.0, entropy)
        return Score(log_p, entropy, total)

    arrays = {"x": x, "w": w, "bias": bias, "where": where, "temperature": temperature, "soft_cap": soft_cap}
    return on_mesh(of, arrays | {"ids": ids}, axis_name)
