"""The objective of softmax regression on lanes: several problems that share their features.

A lane is a penalty, a set of row weights and a pair of parameters. Classes come before rows, `[L, K, N]`, so that all
lanes together are one matrix product with the features, and sums over a few classes run along many rows.

Logits are linear in the parameters. A line search therefore needs only the scores of the current point and of the
direction: a trial costs O(NK) and no product with the features.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array


class LaneParams(NamedTuple):
    """Parameters of every lane, a gradient or a direction: weights `[L, K, D]`, bias `[L, K]`."""

    weights: Array
    bias: Array


class Basis(NamedTuple):
    """Principal directions of the features, those of largest mean square first.

    Attributes:
        vectors: `[D, D]`, one direction per column.
        energy: mean square of the features along the last D − R directions, `[D - R]`.
        features: the features along the first R directions, `[N, R]`.
    """

    vectors: Array
    energy: Array
    features: Array


class LaneObjective(NamedTuple):
    """The objective of every lane: Σ share·loss + l2/2·‖weights‖².

    Attributes:
        x: features `[N, D + 1]` with a last column of ones: the bias is one more weight, without a pass of its own.
        anchor: the reference class of each row, `[N]`: score differences are relative to it. Held as numbers of the
            dtype of `x`: a comparison of integers in a fused loop is slow on a CPU.
        soft: targets `[K, N]`, or None where the anchor is the label.
        share: weight of each row divided by the sum of the weights, `[L, N]`.
        l2: `[L]`.
        basis: principal directions of many features, or None.
    """

    x: Array
    anchor: Array
    soft: Array | None
    share: Array
    l2: Array
    basis: Basis | None


def lane_objective(x: Array, targets: Array, share: Array, l2: Array, basis: Basis | None = None) -> LaneObjective:
    """The objective for features `[N, D]` and class ids `[N]` or distributions `[N, K]`."""
    x = with_one(x)
    if targets.ndim == 1:
        return LaneObjective(x, targets.astype(x.dtype), None, share, l2, basis)
    return LaneObjective(x, jnp.argmax(targets, axis=1).astype(x.dtype), targets.T.astype(x.dtype), share, l2, basis)


def with_one(x: Array) -> Array:
    """Features with a last column of ones."""
    return jnp.concatenate([x, jnp.ones((x.shape[0], 1), x.dtype)], axis=1)


def one(x: Array, targets: Array, weights: Array, l2: Array, basis: Basis | None = None) -> LaneObjective:
    """The objective of a single lane on all rows, by their weights."""
    return lane_objective(x, targets, (weights / jnp.sum(weights))[None], l2[None], basis)


def lane(weights: Array, bias: Array) -> LaneParams:
    """Parameters `[D, K]` and `[K]` as one lane."""
    return LaneParams(weights.T[None], bias[None])


def scores(x: Array, point: LaneParams) -> Array:
    """X·W + b of every lane, `[L, K, N]`; `x` has the column of ones."""
    stacked = jnp.concatenate([point.weights, point.bias[:, :, None]], axis=2)
    # At its default precision an accelerator may round float32 operands to 10 bits: no gradient reaches the tolerance.
    return lax.dot_general(stacked, x, (((2,), (1,)), ((), ())), precision=lax.Precision.HIGHEST)


def scores_vjp(x: Array, residual: Array) -> LaneParams:
    """Xᵀ times a change of the scores `[L, K, N]`: the transpose of `scores`."""
    product = lax.dot_general(residual, x, (((2,), (0,)), ((), ())), precision=lax.Precision.HIGHEST)
    return LaneParams(product[:, :, :-1], product[:, :, -1])


def is_anchor(objective: LaneObjective, classes: int) -> Array:
    """The mask of the anchor of each row, `[1, K, N]`."""
    return (jnp.arange(classes, dtype=objective.anchor.dtype)[:, None] == objective.anchor[None, :])[None]


def losses(objective: LaneObjective, z: Array) -> tuple[Array, Array]:
    """The loss of every row `[L, N]`, and its slope in the scores `[L, K, N]`: softmax − targets.

    Neither cancels where p is near 1: the slope at the anchor is minus the sum of the other slopes, not p − 1, and the
    loss is log1p of the ratio of the other classes to the anchor.
    """
    own = is_anchor(objective, z.shape[1])
    top, mine, rest = _over_classes(objective, z)
    e = jnp.exp(z - top)
    lead = top - mine
    total = rest + jnp.exp(-lead)
    against = jnp.where(lead == 0, jnp.log1p(rest), jnp.log(total) + lead)[:, 0]
    if objective.soft is None:
        return against, jnp.where(own, -rest, e) / total
    t = objective.soft[None]
    mass = jnp.sum(t, axis=1, keepdims=True)
    others = jnp.where(own, 0.0, e / total * mass - t)
    slope = jnp.where(own, -jnp.sum(others, axis=1, keepdims=True), others)
    return against * mass[:, 0] + jnp.sum(t * (mine - z), axis=1), slope


# From this number of classes a single CPU loops over the classes: XLA:CPU reduces over an axis other than the last 20
# times slower than it adds rows. Delete the loop when that reduction is as fast.
MANY = 64


def _over_classes(objective: LaneObjective, z: Array) -> tuple[Array, Array, Array]:
    """Largest score, score of the anchor, and Σ exp(score − largest) without the anchor, each `[L, 1, N]`."""
    classes = z.shape[1]
    if classes < MANY or jax.default_backend() != "cpu" or jax.device_count() > 1:
        own = is_anchor(objective, classes)
        top = jnp.max(z, axis=1, keepdims=True)
        mine = jnp.sum(jnp.where(own, z, 0.0), axis=1, keepdims=True)
        return top, mine, jnp.sum(jnp.where(own, 0.0, jnp.exp(z - top)), axis=1, keepdims=True)

    def row(k: Array | int) -> Array:
        return lax.dynamic_index_in_dim(z, k, axis=1, keepdims=False)

    def is_own(k: Array) -> Array:
        return (objective.anchor == k.astype(z.dtype))[None]

    def first(k: Array, carry: tuple[Array, Array]) -> tuple[Array, Array]:
        top, mine = carry
        return jnp.maximum(top, row(k)), jnp.where(is_own(k), row(k), mine)

    top, mine = lax.fori_loop(0, classes, first, (row(0), jnp.zeros_like(row(0))))
    rest = lax.fori_loop(
        0, classes, lambda k, sum_: sum_ + jnp.where(is_own(k), 0.0, jnp.exp(row(k) - top)), jnp.zeros_like(top)
    )
    return top[:, None], mine[:, None], rest[:, None]


def evaluate(objective: LaneObjective, z: Array) -> tuple[Array, Array]:
    """The objective without its penalty, `[L]`, and the slope of every row's loss, `[L, K, N]`."""
    rows, slope = losses(objective, z)
    return jnp.sum(objective.share * rows, axis=1), slope


def gradient(objective: LaneObjective, point: LaneParams, slope: Array) -> LaneParams:
    """The gradient of the objective, from the slopes of the losses in the scores."""
    data = balanced(scores_vjp(objective.x, objective.share[:, None, :] * slope))
    return LaneParams(data.weights + objective.l2[:, None, None] * point.weights, data.bias)


def balanced(data: LaneParams) -> LaneParams:
    """The gradient without its penalty, projected to sum 0 over the classes: the exact sum is 0, the rest is rounding.

    Along that sum the curvature is l2 alone. A preconditioned step would multiply the rounding by 1/l2.
    """
    return LaneParams(data.weights - jnp.mean(data.weights, axis=1, keepdims=True), data.bias)


def penalty(objective: LaneObjective, point: LaneParams) -> Array:
    """l2/2·‖weights‖², `[L]`."""
    return 0.5 * objective.l2 * jnp.sum(jnp.square(point.weights), axis=(1, 2))


def probabilities(objective: LaneObjective, slope: Array) -> Array:
    """Softmax of the scores, from the slopes of the losses."""
    return slope + (
        is_anchor(objective, slope.shape[1]).astype(slope.dtype) if objective.soft is None else objective.soft[None]
    )


def curvature(objective: LaneObjective, p: Array, move: Array) -> Array:
    """The Hessian of the losses in the scores times a change of the scores: p·(move − Σ p·move), times the share.

    Moves are relative to the move of the anchor. Where the anchor has a probability near 1 the result is then a sum of
    small terms, not the difference of two nearly equal numbers.
    """
    own = is_anchor(objective, p.shape[1])
    from_anchor = move - jnp.sum(jnp.where(own, move, 0.0), axis=1, keepdims=True)
    mean = jnp.sum(jnp.where(own, 0.0, p * from_anchor), axis=1, keepdims=True)
    return objective.share[:, None, :] * p * (from_anchor - mean)


def dot(a: LaneParams, b: LaneParams) -> Array:
    """Inner product, `[L]`."""
    return jnp.sum(a.weights * b.weights, axis=(1, 2)) + jnp.sum(a.bias * b.bias, axis=1)


def moved(a: LaneParams, t: Array, b: LaneParams) -> LaneParams:
    """A + t·b, with one t per lane."""
    return LaneParams(a.weights + t[:, None, None] * b.weights, a.bias + t[:, None] * b.bias)


def scaled(t: Array, a: LaneParams) -> LaneParams:
    """T·a."""
    return LaneParams(t[:, None, None] * a.weights, t[:, None] * a.bias)


def chosen(which: Array, a: Any, b: Any) -> Any:
    """`jnp.where` over lanes: a where `which`, else b; any pytree whose first axis is the lanes."""
    return jax.tree.map(lambda u, v: jnp.where(which.reshape(which.shape + (1,) * (u.ndim - 1)), u, v), a, b)


class Minimum(NamedTuple):
    """Whether the objective has a minimum at finite parameters, and if not, why.

    Attributes:
        exists: `[L]`.
        separated: complete separation without a penalty, `[L]`: every row of positive weight has all its mass on one
            class, and the score of that class is the largest. Larger weights then always lower the objective.
        unseen: the classes without mass in any row of positive weight, `[L, K]`: their bias falls without bound.
    """

    exists: Array
    separated: Array
    unseen: Array


class Evidence(NamedTuple):
    """Evidence on separation: whether all rows are hard and classified right, `[L]`, and the classes seen, `[L, K]`."""

    right: Array
    seen: Array


def evidence(objective: LaneObjective, z: Array) -> Evidence:
    """The evidence of the rows of an objective, from their scores and labels."""
    own = is_anchor(objective, z.shape[1])
    mine = jnp.sum(jnp.where(own, z, 0.0), axis=1)
    others = jnp.max(jnp.where(own, -jnp.inf, z), axis=1)
    target = own if objective.soft is None else (objective.soft > 0)[None]
    certain = jnp.sum(target.astype(jnp.int32), axis=1) == 1
    right = jnp.all(((mine > others) & certain) | (objective.share == 0), axis=1)
    return Evidence(right, jnp.any(target & (objective.share > 0)[:, None, :], axis=2))


def minimum(l2: Array, evidence: Evidence) -> Minimum:
    """Whether a minimum exists, from the evidence of all rows and the penalties `[L]`."""
    separated = (l2 == 0) & evidence.right
    return Minimum(~separated & jnp.all(evidence.seen, axis=1), separated, ~evidence.seen)


def largest(gradient: LaneParams) -> Array:
    """Largest absolute entry, `[L]`."""
    return jnp.maximum(jnp.max(jnp.abs(gradient.weights), axis=(1, 2)), jnp.max(jnp.abs(gradient.bias), axis=1))
