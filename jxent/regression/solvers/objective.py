"""The objective of softmax regression on lanes: several problems that share their features.

A lane is a penalty, a set of row weights and a point. A point is `[K, D + 1]`: the weights of each class, with its bias
as the last column. Classes come before rows, `[L, K, N]`: all lanes together are one matrix product with the features,
and sums over a few classes run along many rows.

`losses` is the softmax cross-entropy of `regression.objective` written for that layout, where XLA:CPU is several times
as fast as along a last axis of a few classes. `regression.compare_gradients` compares its gradient with the others.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.typing import DTypeLike
from jaxtyping import Array

from jxent.regression._model import Params

# At its default precision an accelerator may round float32 operands to 10 bits: no gradient reaches the tolerance.
HIGHEST = lax.Precision.HIGHEST


class Coordinates(NamedTuple):
    """The features that the solvers see, (x − centre)/scale, and a last column for the bias.

    The centre changes no optimum, because the bias is not penalised. It keeps the digits of features whose mean is
    large beside their deviation.

    Attributes:
        centre: `[D + 1]`, 0 for the bias; 0 without an intercept.
        scale: `[D + 1]`, 1 for the bias; None is 1 for each.
        varies: `[D]`, False for features that are constant up to rounding: the solvers see 0 there. None where a
            penalty keeps the weights of rounding small.
    """

    centre: Array
    scale: Array | None
    varies: Array | None


class Basis(NamedTuple):
    """Principal directions of the features, those of largest mean square first.

    Attributes:
        vectors: `[D, D]`, one direction per column.
        energy: mean square of the features along the last D − R directions, `[D - R]`.
        features: the features along the first R directions and the column of the bias, `[N, R + 1]`.
    """

    vectors: Array
    energy: Array
    features: Array


class LaneObjective(NamedTuple):
    """The objective of every lane: Σ share·loss + Σ (penalty/2·point² + l1·|point|).

    Attributes:
        x: features in `coordinates`, `[N, D + 1]`; the last column is 1, or 0 without an intercept.
        coordinates: of the features.
        anchor: the reference class of each row, `[N]`: score differences are relative to it. Held as numbers of the
            dtype of `x`: a comparison of integers in a fused loop is slow on a CPU.
        soft: targets `[K, N]`, or None where the anchor is the label.
        share: weight of each row divided by the sum of the weights, `[L, N]`.
        penalty: l2 of each column of a point, `[L, D + 1]`, 0 for the bias.
        l1: the same of the absolute values, or None.
        basis: principal directions of many features, or None.
    """

    x: Array
    coordinates: Coordinates
    anchor: Array
    soft: Array | None
    share: Array
    penalty: Array
    l1: Array | None
    basis: Basis | None


# A feature is constant if it differs from its mean by at most this many roundings of its largest value.
ROUNDINGS = 16


def coordinates(
    x: Array, weights: Array, *, intercept: bool = True, standardize: bool = False, penalised: bool = False
) -> Coordinates:
    """Centre and scale of the features: mean and standard deviation, by weight.

    Without an intercept they are 0 and the root mean square.
    """
    share = weights / jnp.sum(weights)
    centre = jnp.matmul(share, x, precision=HIGHEST) if intercept else jnp.zeros(x.shape[1], x.dtype)
    if penalised and not standardize:
        return extended(centre, None)
    # Rows of weight 0 may hold anything.
    apart = jnp.max(jnp.where(weights[:, None] > 0, jnp.abs(x - centre[None, :]), 0.0), axis=0)
    varies = differs(apart, centre, x.dtype)
    if not standardize:
        return extended(centre, None, varies)
    # Relative to the largest: a square may be out of range.
    size = jnp.where(varies, apart, 1.0)
    variance = jnp.matmul(share, jnp.square((x - centre[None, :]) / size[None, :]), precision=HIGHEST)
    return extended(centre, jnp.where(varies, size * jnp.sqrt(variance), 1.0), varies)


def differs(apart: Any, centre: Any, dtype: DTypeLike) -> Any:
    """Whether features that lie this far from their mean are more than rounding."""
    return apart > ROUNDINGS * float(jnp.finfo(dtype).eps) * abs(centre)


def extended(centre: Array, scale: Array | None, varies: Array | None = None) -> Coordinates:
    """The coordinates with an entry for the bias."""
    return Coordinates(jnp.append(centre, 0.0), None if scale is None else jnp.append(scale, 1.0), varies)


def transformed(x: Array, at: Coordinates, *, intercept: bool = True) -> Array:
    """Features in the coordinates, with the column of the bias."""
    shifted = x - at.centre[None, :-1]
    if at.varies is not None:
        shifted = jnp.where(at.varies[None, :], shifted, 0.0)
    if at.scale is not None:
        shifted = shifted / at.scale[None, :-1]
    return jnp.concatenate([shifted, jnp.full((x.shape[0], 1), float(intercept), x.dtype)], axis=1)


def to_point(params: Params, at: Coordinates) -> Array:
    """Parameters of the features as they came in, as the point of one lane `[1, K, D + 1]`.

    The bias is centred over the classes, which changes no probability and keeps its digits.
    """
    weights = params.weights.T
    bias = params.bias + jnp.matmul(weights, at.centre[:-1], precision=HIGHEST)
    bias = bias - jnp.mean(bias)
    point = jnp.concatenate([weights, bias[:, None]], axis=1)[None]
    return point if at.scale is None else point * at.scale[None, None, :]


def from_point(point: Array, at: Coordinates) -> tuple[Array, Array]:
    """Weights `[..., K, D]` and bias `[..., K]` of the features as they came in."""
    weights = (point if at.scale is None else point / _along(at.scale, point))[..., :-1]
    return weights, point[..., -1] - jnp.matmul(weights, at.centre[:-1], precision=HIGHEST)


def _along(row: Array, point: Array) -> Array:
    """A number for every column of a point."""
    return row.reshape((1,) * (point.ndim - 1) + row.shape)


def lane_objective(
    x: Array,
    at: Coordinates,
    targets: Array,
    share: Array,
    l2: Array,
    basis: Basis | None = None,
    *,
    l1: Array | None = None,
) -> LaneObjective:
    """The objective of transformed features and class ids `[N]` or distributions `[N, K]`; l2 and l1 are `[L]`."""
    soft = None if targets.ndim == 1 else targets.T.astype(x.dtype)
    anchor = targets if targets.ndim == 1 else jnp.argmax(targets, axis=1)
    absolute = None if l1 is None else of_weights(l1, x.shape[1])
    return LaneObjective(x, at, anchor.astype(x.dtype), soft, share, of_weights(l2, x.shape[1]), absolute, basis)


def of_weights(penalty: Array, columns: int) -> Array:
    """The penalty of each column of a point, `[L, D + 1]`, from one of each lane; 0 for the bias."""
    return jnp.where(jnp.arange(columns)[None, :] < columns - 1, penalty[:, None], 0.0)


def scores(x: Array, point: Array) -> Array:
    """X·W + b of every lane, `[L, K, N]`."""
    return lax.dot_general(point, x, (((2,), (1,)), ((), ())), precision=HIGHEST)


def scores_vjp(x: Array, residual: Array) -> Array:
    """The transpose of `scores`: Xᵀ times a change of the scores, `[L, K, D + 1]`."""
    return lax.dot_general(residual, x, (((2,), (0,)), ((), ())), precision=HIGHEST)


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


def evaluate(objective: LaneObjective, z: Array, point: Array) -> tuple[Array, Array]:
    """The objective `[L]` at a point with the scores z, and the slopes of the losses in the scores `[L, K, N]`."""
    rows, slope = losses(objective, z)
    return jnp.sum(objective.share * rows, axis=1) + penalty(objective, point), slope


def gradient(objective: LaneObjective, slope: Array, point: Array) -> Array:
    """The gradient of the objective, from the slopes of the losses in the scores."""
    data = scores_vjp(objective.x, objective.share[:, None, :] * slope)
    return balanced(data) + objective.penalty[:, None, :] * point


def balanced(data: Array) -> Array:
    """The gradient of the losses, projected to sum 0 over the classes: the exact sum is 0, the rest is rounding.

    Along that sum the curvature is l2 alone. A preconditioned step would multiply the rounding by 1/l2.
    """
    return data - jnp.mean(data, axis=1, keepdims=True)


def penalty(objective: LaneObjective, point: Array) -> Array:
    """Σ (penalty/2·point² + l1·|point|), `[L]`."""
    smooth = squares(objective.penalty, point)
    return smooth if objective.l1 is None else smooth + dot(objective.l1[:, None, :], jnp.abs(point))


def squares(penalty: Array, point: Array) -> Array:
    """Σ penalty/2·point², `[L]`."""
    return 0.5 * dot(penalty[:, None, :] * point, point)


def steepest(objective: LaneObjective, point: Array, gradient: Array) -> Array:
    """The gradient, with l1 the subgradient of least size: minus it is the direction of steepest descent."""
    if objective.l1 is None:
        return gradient
    l1 = objective.l1[:, None, :]
    at_zero = jnp.sign(gradient) * jnp.maximum(jnp.abs(gradient) - l1, 0.0)
    return jnp.where(point == 0, at_zero, gradient + l1 * jnp.sign(point))


def probabilities(objective: LaneObjective, slope: Array) -> Array:
    """Softmax of the scores, from the slopes of the losses."""
    own = is_anchor(objective, slope.shape[1]).astype(slope.dtype)
    return slope + (own if objective.soft is None else objective.soft[None])


def curvature(objective: LaneObjective, slope: Array, move: Array) -> Array:
    """The Hessian of the losses in the scores times a change of the scores: p·(move − Σ p·move).

    Moves are relative to the move of the anchor. Where the anchor has a probability near 1 the result is then a sum of
    small terms, not the difference of two nearly equal numbers.
    """
    p = probabilities(objective, slope)
    own = is_anchor(objective, p.shape[1])
    from_anchor = move - jnp.sum(jnp.where(own, move, 0.0), axis=1, keepdims=True)
    return p * (from_anchor - jnp.sum(jnp.where(own, 0.0, p * from_anchor), axis=1, keepdims=True))


def dot(a: Array, b: Array) -> Array:
    """Inner product of points, `[L]`."""
    return jnp.sum(a * b, axis=(1, 2))


def times(t: Array, a: Array) -> Array:
    """A point times one number per lane."""
    return t[:, None, None] * a


def largest(at: Coordinates, gradient: Array) -> Array:
    """Largest absolute entry of the gradient in the parameters of the features as they came in, `[L]`."""
    scaled = gradient if at.scale is None else gradient * _along(at.scale, gradient)
    return jnp.max(jnp.abs(scaled + gradient[:, :, -1:] * _along(at.centre, gradient)), axis=(1, 2))


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


def all_right(objective: LaneObjective, slope: Array) -> Array:
    """Whether every row of positive weight has all its mass on one class, of a probability above ½, `[L]`."""
    weighed = objective.share[:, None, :] > 0
    right = jnp.min(jnp.where(weighed, slope, 0.0), axis=(1, 2)) > -0.5
    if objective.soft is None:
        return right
    certain = jnp.sum((objective.soft > 0).astype(jnp.int32), axis=0) == 1
    return right & jnp.all(certain[None] | ~weighed[:, 0], axis=1)


def seen(targets: Array, weights: Array, classes: int) -> Array:
    """The classes with mass in a row of positive weight, `[..., K]`, for weights `[..., N]`."""
    if targets.ndim == 1:
        targets = (targets[:, None] == jnp.arange(classes, dtype=targets.dtype)[None, :]).astype(weights.dtype)
    return jnp.matmul(weights, (targets > 0).astype(weights.dtype)) > 0


def minimum(l2: Array, right: Array, seen: Array) -> Minimum:
    """Whether a minimum exists, from the penalties `[L]`, `all_right` and `seen`."""
    separated = (l2 == 0) & right
    return Minimum(~separated & jnp.all(seen, axis=1), separated, ~seen)
