"""Softmax cross-entropy of features, class weights and labels, and the logarithm of the sum of exponentials."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from jxent import losses
from jxent._checks import (
    IgnoreLabel,
    LabelsOrTargets,
    Mask,
    MeshAxis,
    NonNegative,
    UnitInterval,
    Weights,
    public,
    weights_like,
)
from jxent.linear import _classes, _engines, _reduce
from jxent.linear._arguments import Options, Problem, class_mask, factors, make_problem, vector, without_classes
from jxent.linear._classes import Operands, Plan
from jxent.linear._domains import ClassBias, ClassRows, Features
from jxent.linear._engines import Engine


@public
def logsumexp(
    x: Features,
    w: ClassRows,
    *,
    bias: ClassBias | None = None,
    where: Mask | None = None,
    block_size: int | None = None,
    axis_name: MeshAxis | None = None,
) -> Float[Array, "..."]:
    """Log Σ exp(x·wₖ + biasₖ) over the classes of a linear model, in nats, without its logits.

    Args:
        x: features `[..., D]`.
        w: weights `[V, D]`, one row for each class: the transpose of the weights of `jxent.regression`. Where `x` and
            `w` are both bfloat16, their product is that of bfloat16 and everything else is float32. The precision of
            float32 products is jax's setting: on a GPU 3 digits by default, all digits under
            `jax.default_matmul_precision("highest")`.
        bias: `[V]`; −inf excludes a class.
        where: boolean mask of the classes that take part, `[V]` or of the rank of the logits `[..., V]`.
        block_size: classes in a block, by default from 384 to 4096, more for larger D.
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
    _engines.check(None, block_size, axis_name)
    rows, weights = factors(x, w)
    shape = (*rows.shape[:-1], weights.shape[0])
    mask = class_mask(where, shape)
    problem = Problem(Operands(rows, weights, vector("bias", bias, weights, rows), mask), Options(), None, axis_name)
    if mask is not None:
        problem = problem.without(without_classes(mask, shape, axis_name))
    sums = _classes.per_row(Plan(_engines.class_block(block_size, problem.operands), axis_name), problem.together())
    total = sums.top + sums.log_sum
    return total if problem.operands.idle is None else jnp.where(problem.operands.idle, -jnp.inf, total)


@public
def softmax_cross_entropy(
    x: Features,
    w: ClassRows,
    labels: LabelsOrTargets,
    *,
    bias: ClassBias | None = None,
    where: Mask | None = None,
    ignore_label: IgnoreLabel | None = None,
    label_smoothing: UnitInterval | None = None,
    class_weights: Weights | None = None,
    z_loss: NonNegative | None = None,
    block_size: int | None = None,
    axis_name: MeshAxis | None = None,
    engine: Engine | None = None,
) -> Float[Array, "..."]:
    """Softmax cross-entropy −log softmax(x·wᵀ + bias)[label] per row, in nats, without the logits.

    Equal to `losses.softmax_cross_entropy` of the logits `x·wᵀ + bias`, with its options. It needs the memory of one
    block of the logits, in the derivatives too.

    Args:
        x: features `[..., D]`.
        w: weights `[V, D]`, one row for each class: the transpose of the weights of `jxent.regression`. Where `x` and
            `w` are both bfloat16, their product is that of bfloat16 and everything else is float32. The precision of
            float32 products is jax's setting: on a GPU 3 digits by default, all digits under
            `jax.default_matmul_precision("highest")`.
        labels: integer class ids `[...]`, or floats `[..., V]`, a distribution per row.
        bias: `[V]`; −inf excludes a class.
        where: boolean mask of the classes that take part, `[V]` or of the rank of the logits `[..., V]`.
        ignore_label: a label, such as −100, whose rows give exactly 0 and gradient 0, whatever `x` holds there.
        label_smoothing: ε in [0, 1], a traced scalar: t becomes (1 − ε)·t + ε·Σt/K over the K classes that take part
            and are not at −inf.
        class_weights: `[V]`, one weight for each class, applied after smoothing.
        z_loss: ζ ≥ 0, a traced scalar: ζ·logsumexp² is added.
        block_size: classes in a block, by default from 384 to 4096, more for larger D; with `engine="rows"` rows.
        axis_name: the mesh axis over which the classes are sharded, inside `jax.shard_map`: `w`, `bias`, `where`,
            `class_weights` and soft targets are those of this device, integer labels are ids among all classes. Loss
            and gradient take three all-reduces, and one or two more with a mask or smoothing. Rows sharded over
            another axis need no name.
        engine: "classes" forms the logits in blocks of classes, the default; "rows" in blocks of rows, whose memory
            grows with V.

    Returns:
        `[...]`, one loss per row, not averaged, in float32 or, for float64 operands, float64.

    Edge cases: those of the losses: a label outside [0, V) gives NaN, one whose class is masked or at −inf gives
    +inf, a row in which nothing takes part gives 0; the loss of a correct class with a margin of 30 is 9.4e-14. A
    masked class may hold anything where the mask is `[V]`.

    Gradient: Σ (pₖ − tₖ)·wₖ in a row of x and (pₖ − tₖ)·x in wₖ, accurate in the tail, formed in blocks; closed
    under `jvp`, `grad`, `hessian`, `vmap` and `shard_map`.

    Example:
        >>> from jxent import linear
        >>> round(float(linear.softmax_cross_entropy([1.0, 2.0], [[1.0, 0.0], [0.0, 1.0]], 1)), 6)
        0.313262

    Reference: E. Wijmans et al., Cut your losses in large-vocabulary language models (2024), section 4.
    """
    _engines.check(engine, block_size, axis_name)
    problem = make_problem(
        *(x, w, labels),
        bias=bias,
        where=where,
        ignore_label=ignore_label,
        label_smoothing=label_smoothing,
        class_weights=class_weights,
        z_loss=z_loss,
        axis_name=axis_name,
    )
    if engine == "rows":
        return _reduce.by_rows(problem, block_size)
    return _reduce.by_classes(problem, block_size)


@public
def mean_softmax_cross_entropy(
    x: Features,
    w: ClassRows,
    labels: LabelsOrTargets,
    *,
    weights: Weights | None = None,
    bias: ClassBias | None = None,
    where: Mask | None = None,
    ignore_label: IgnoreLabel | None = None,
    label_smoothing: UnitInterval | None = None,
    class_weights: Weights | None = None,
    z_loss: NonNegative | None = None,
    block_size: int | None = None,
    axis_name: MeshAxis | None = None,
    engine: Engine | None = None,
) -> Float[Array, ""]:
    """Mean softmax cross-entropy Σ g·loss/Σ g of a linear model, in nats, its gradient formed in the forward pass.

    Equal to `losses.mean` of `softmax_cross_entropy` with these weights. The factor of each loss in a mean is fixed in
    the forward pass, which therefore forms loss and gradient in one pass over each block of logits: 6·N·D·V operations
    instead of 8.

    Args:
        x: features `[..., D]`.
        w: weights `[V, D]`, as in `softmax_cross_entropy`.
        labels: integer class ids `[...]`, or floats `[..., V]`, a distribution per row.
        weights: g ≥ 0 for each row, broadcast to `[...]`; None is 1 for each. An ignored row counts in Σ g as any
            other: `weights=labels != ignore_label` leaves it out of both sums.
        bias: `[V]`, as in `softmax_cross_entropy`; likewise where, ignore_label, label_smoothing, class_weights and
            z_loss.
        where: the classes that take part.
        ignore_label: a label whose rows give 0.
        label_smoothing: ε in [0, 1].
        class_weights: `[V]`.
        z_loss: ζ ≥ 0.
        block_size: classes in a block, which selects `engine="classes"`; with `engine="rows"`, rows in a block.
        axis_name: the mesh axis over which the classes are sharded, as in `softmax_cross_entropy`. The mean is that of
            the rows of this device: `jax.lax.pmean` over an axis of rows averages the devices.
        engine: "rows" forms the gradient in the forward pass, a block of rows of all classes at a time; "classes" is
            the mean of `softmax_cross_entropy`. None takes "rows" where enough rows of all classes fit into 256 MB, on
            an accelerator in any case, and "classes" on operands that explicit mesh axes shard. Rows that are sharded
            over auto axes outside `shard_map` need `engine="classes"`: a block of rows would lie on one device.

    Returns:
        A scalar, in float32 or, for float64 operands, float64.

    Edge cases: those of `softmax_cross_entropy` and of `losses.mean`: 0 where the weights sum to 0.

    Gradient: that of the mean; its derivatives are those of the engine over classes, so that every transform holds.

    Example:
        >>> from jxent import linear
        >>> round(float(linear.mean_softmax_cross_entropy([[1.0, 2.0]], [[1.0, 0.0], [0.0, 1.0]], [1])), 6)
        0.313262

    Reference: P.-L. Hsu et al., Liger Kernel: efficient Triton kernels for LLM training (2024), section 3.2.
    """
    _engines.check(engine, block_size, axis_name)
    problem = make_problem(
        *(x, w, labels),
        bias=bias,
        where=where,
        ignore_label=ignore_label,
        label_smoothing=label_smoothing,
        class_weights=class_weights,
        z_loss=z_loss,
        axis_name=axis_name,
    )
    if weights is not None:
        rows = problem.operands.x.shape[:-1]
        weights = weights_like(weights, jnp.zeros(rows, problem.operands.x.dtype), "the rows")
        problem = problem.without(jnp.broadcast_to(jnp.sum(weights) == 0, rows))
    if _engines.pick(engine, block_size, problem.operands, axis_name) == "classes":
        return losses.mean(_reduce.by_classes(problem, block_size), weights)
    return _reduce.mean_by_rows(problem, weights, block_size)
