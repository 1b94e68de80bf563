"""The objective of softmax regression on lanes: several problems that share their features.

A lane is a penalty, a set of row weights and a pair of parameters. Classes come before rows, `[L, K, N]`, so that all
lanes together are one matrix product with the features, and sums over a few classes run along many rows.

Logits are linear in the parameters. What a line search asks for is therefore evaluated on the scores at hand and
those of the direction, in O(NK), with no product with the features.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array


class Point(NamedTuple):
    """Parameters of every lane, or a gradient or direction: weights `[L, K, D]`, bias `[L, K]`."""

    weights: Array
    bias: Array


class Basis(NamedTuple):
    """Orthogonal directions of the features, those in which they vary most first.

    Attributes:
        vectors: `[D, D]`, a direction in each column.
        energy: mean square of the features along all but the first R, `[D - R]`.
        features: the features along the first R, `[N, R]`.
    """

    vectors: Array
    energy: Array
    features: Array


class Task(NamedTuple):
    """What the lanes minimise: Σ share·loss + l2/2·‖weights‖², each lane its own.

    Attributes:
        x: features `[N, D + 1]`, the last of them 1: the bias is one more weight, and costs no pass of its own.
        anchor: the class of each row that differences are formed against, `[N]`, as numbers of the dtype of `x`:
            a comparison of integers in a fused loop is slow on a CPU.
        soft: targets `[K, N]`, or None where the anchor is the label.
        share: weight of each row, divided by their sum, `[L, N]`.
        l2: `[L]`.
        basis: principal directions of many features, or None.
    """

    x: Array
    anchor: Array
    soft: Array | None
    share: Array
    l2: Array
    basis: Basis | None


def task(x: Array, targets: Array, share: Array, l2: Array, basis: Basis | None = None) -> Task:
    """The task of features `[N, D]` and class ids `[N]` or distributions `[N, K]`."""
    x = with_one(x)
    if targets.ndim == 1:
        return Task(x, targets.astype(x.dtype), None, share, l2, basis)
    return Task(x, jnp.argmax(targets, axis=1).astype(x.dtype), targets.T.astype(x.dtype), share, l2, basis)


def with_one(x: Array) -> Array:
    """Features with one more, which is 1."""
    return jnp.concatenate([x, jnp.ones((x.shape[0], 1), x.dtype)], axis=1)


def one(x: Array, targets: Array, weights: Array, l2: Array, basis: Basis | None = None) -> Task:
    """The task of one lane that all rows take part in, by their weights."""
    return task(x, targets, (weights / jnp.sum(weights))[None], l2[None], basis)


def lane(weights: Array, bias: Array) -> Point:
    """Parameters `[D, K]` and `[K]` as one lane."""
    return Point(weights.T[None], bias[None])


def scores(x: Array, point: Point) -> Array:
    """X·W + b of every lane, `[L, K, N]`, with the features of a task."""
    all_ = jnp.concatenate([point.weights, point.bias[:, :, None]], axis=2)
    # An accelerator may else round float32 operands to 10 bits, and a gradient never reach its tolerance.
    return lax.dot_general(all_, x, (((2,), (1,)), ((), ())), precision=lax.Precision.HIGHEST)


def pull(x: Array, residual: Array) -> Point:
    """What changes of the scores `[L, K, N]` are in the parameters: the transpose of `scores`."""
    product = lax.dot_general(residual, x, (((2,), (0,)), ((), ())), precision=lax.Precision.HIGHEST)
    return Point(product[:, :, :-1], product[:, :, -1])


def is_anchor(task: Task, classes: int) -> Array:
    """Where each row's anchor is, `[1, K, N]`."""
    return (jnp.arange(classes, dtype=task.anchor.dtype)[:, None] == task.anchor[None, :])[None]


def losses(task: Task, z: Array) -> tuple[Array, Array]:
    """The loss of every row `[L, N]`, and its slope in the scores `[L, K, N]`: softmax − targets.

    Both keep their tails: the slope at the anchor is minus the sum of the others, not p − 1, and the loss of a row
    that is almost certain is log1p of what the other classes have.
    """
    own = is_anchor(task, z.shape[1])
    top, mine, rest = _over_classes(task, z)
    e = jnp.exp(z - top)
    lead = top - mine
    total = rest + jnp.exp(-lead)
    against = jnp.where(lead == 0, jnp.log1p(rest), jnp.log(total) + lead)[:, 0]
    if task.soft is None:
        return against, jnp.where(own, -rest, e) / total
    t = task.soft[None]
    mass = jnp.sum(t, axis=1, keepdims=True)
    others = jnp.where(own, 0.0, e / total * mass - t)
    slope = jnp.where(own, -jnp.sum(others, axis=1, keepdims=True), others)
    return against * mass[:, 0] + jnp.sum(t * (mine - z), axis=1), slope


# From so many classes on one CPU takes them one by one: XLA reduces over an axis that is not the last 20 times slower
# than it adds rows to rows.
MANY = 64


def _over_classes(task: Task, z: Array) -> tuple[Array, Array, Array]:
    """The largest score, that of the anchor, and Σ exp(score − largest) over the other classes, each `[L, 1, N]`."""
    classes = z.shape[1]
    if classes < MANY or jax.default_backend() != "cpu" or jax.device_count() > 1:
        own = is_anchor(task, classes)
        top = jnp.max(z, axis=1, keepdims=True)
        mine = jnp.sum(jnp.where(own, z, 0.0), axis=1, keepdims=True)
        return top, mine, jnp.sum(jnp.where(own, 0.0, jnp.exp(z - top)), axis=1, keepdims=True)

    def row(k: Array | int) -> Array:
        return lax.dynamic_index_in_dim(z, k, axis=1, keepdims=False)

    def is_own(k: Array) -> Array:
        return (task.anchor == k.astype(z.dtype))[None]

    def first(k: Array, carry: tuple[Array, Array]) -> tuple[Array, Array]:
        top, mine = carry
        return jnp.maximum(top, row(k)), jnp.where(is_own(k), row(k), mine)

    top, mine = lax.fori_loop(0, classes, first, (row(0), jnp.zeros_like(row(0))))
    rest = lax.fori_loop(
        0, classes, lambda k, sum_: sum_ + jnp.where(is_own(k), 0.0, jnp.exp(row(k) - top)), jnp.zeros_like(top)
    )
    return top[:, None], mine[:, None], rest[:, None]


def evaluate(task: Task, z: Array) -> tuple[Array, Array]:
    """The data's part of the objective `[L]`, and the slope of every row's loss `[L, K, N]`."""
    rows, slope = losses(task, z)
    return jnp.sum(task.share * rows, axis=1), slope


def gradient(task: Task, point: Point, slope: Array) -> Point:
    """The gradient of the objective, from the slope of the losses in the scores."""
    data = balanced(pull(task.x, task.share[:, None, :] * slope))
    return Point(data.weights + task.l2[:, None, None] * point.weights, data.bias)


def balanced(data: Point) -> Point:
    """The data's part of a gradient, whose sum over the classes is 0: what rounding leaves of it is taken out.

    A small penalty alone bends the objective along it, and a step of 1/l2 times that rounding would lead far away.
    """
    return Point(data.weights - jnp.mean(data.weights, axis=1, keepdims=True), data.bias)


def penalty(task: Task, point: Point) -> Array:
    """l2/2·‖weights‖², `[L]`."""
    return 0.5 * task.l2 * jnp.sum(jnp.square(point.weights), axis=(1, 2))


def probabilities(task: Task, slope: Array) -> Array:
    """Softmax of the scores, from the slope of the losses."""
    return slope + (is_anchor(task, slope.shape[1]).astype(slope.dtype) if task.soft is None else task.soft[None])


def curvature(task: Task, p: Array, move: Array) -> Array:
    """The Hessian of the losses in the scores times a change of the scores: p·(move − Σ p·move), times the share.

    Moves are measured from that of the anchor: where its class is almost certain, what is left is small, not the
    difference of two equal numbers.
    """
    own = is_anchor(task, p.shape[1])
    from_anchor = move - jnp.sum(jnp.where(own, move, 0.0), axis=1, keepdims=True)
    mean = jnp.sum(jnp.where(own, 0.0, p * from_anchor), axis=1, keepdims=True)
    return task.share[:, None, :] * p * (from_anchor - mean)


def dot(a: Point, b: Point) -> Array:
    """Inner product, `[L]`."""
    return jnp.sum(a.weights * b.weights, axis=(1, 2)) + jnp.sum(a.bias * b.bias, axis=1)


def moved(a: Point, t: Array, b: Point) -> Point:
    """A + t·b, with a number t for every lane."""
    return Point(a.weights + t[:, None, None] * b.weights, a.bias + t[:, None] * b.bias)


def scaled(t: Array, a: Point) -> Point:
    """T·a."""
    return Point(t[:, None, None] * a.weights, t[:, None] * a.bias)


def chosen(which: Array, a: Any, b: Any) -> Any:
    """Of the lanes where `which` a, of the others b; any pytree with the lanes first."""
    return jax.tree.map(lambda u, v: jnp.where(which.reshape(which.shape + (1,) * (u.ndim - 1)), u, v), a, b)


class Minimum(NamedTuple):
    """Whether the objective has a minimum at finite parameters, and if not, why.

    Attributes:
        exists: `[L]`.
        separated: there is no penalty, and every row that counts has its whole mass on one class, whose score is the
            largest, `[L]`: ever larger weights fit ever better.
        unseen: the classes without mass in any row that counts, `[L, K]`: their bias falls for ever.
    """

    exists: Array
    separated: Array
    unseen: Array


class Evidence(NamedTuple):
    """What some rows say of a minimum: whether all are right and certain, `[L]`, and the classes seen, `[L, K]`."""

    right: Array
    seen: Array


def evidence(task: Task, z: Array) -> Evidence:
    """What the rows of a task say, by their scores and labels."""
    own = is_anchor(task, z.shape[1])
    mine = jnp.sum(jnp.where(own, z, 0.0), axis=1)
    others = jnp.max(jnp.where(own, -jnp.inf, z), axis=1)
    target = own if task.soft is None else (task.soft > 0)[None]
    certain = jnp.sum(target.astype(jnp.int32), axis=1) == 1
    right = jnp.all(((mine > others) & certain) | (task.share == 0), axis=1)
    return Evidence(right, jnp.any(target & (task.share > 0)[:, None, :], axis=2))


def minimum(l2: Array, found: Evidence) -> Minimum:
    """What the evidence of all rows says of a minimum under the penalties `[L]`."""
    separated = (l2 == 0) & found.right
    return Minimum(~separated & jnp.all(found.seen, axis=1), separated, ~found.seen)


def largest(gradient: Point) -> Array:
    """Largest absolute entry, `[L]`."""
    return jnp.maximum(jnp.max(jnp.abs(gradient.weights), axis=(1, 2)), jnp.max(jnp.abs(gradient.bias), axis=1))
