"""Softmax cross-entropy of features, class weights and labels: of each row, as sums, and as a mean."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jxent._checks import (
    IgnoreLabel,
    LabelsOrTargets,
    MeshAxis,
    NonNegative,
    Positive,
    UnitInterval,
    Weights,
    public,
    weights_like,
)
from jxent._numerics.compiler import is_sharded
from jxent.linear import _engines, _reduce
from jxent.linear._arguments import loss_problem
from jxent.linear._domains import ClassBias, ClassMask, ClassRows, Features
from jxent.linear._engines import Engine
from jxent.linear._heads import MeshAxes
from jxent.linear._mesh import on_mesh


class Total(NamedTuple):
    """Σ g·loss and Σ g over the rows that take part. `a + b` are the sums of the rows of both.

    Attributes:
        loss: Σ g·loss, a scalar.
        weight: Σ g, a scalar.
    """

    loss: Array
    weight: Array

    def __add__(self, other: "Total") -> "Total":  # pyright: ignore[reportIncompatibleMethodOverride]
        """The sums of the rows of both."""
        return Total(self.loss + other.loss, self.weight + other.weight)

    @property
    def mean(self) -> Array:
        """The quotient; 0 where no row takes part."""
        nothing = self.weight == 0
        return jnp.where(nothing, 0.0, self.loss / jnp.where(nothing, 1.0, self.weight))


@public
def softmax_cross_entropy(
    x: Features,
    w: ClassRows,
    labels: LabelsOrTargets,
    *,
    bias: ClassBias | None = None,
    where: ClassMask | None = None,
    ignore_label: IgnoreLabel | None = None,
    label_smoothing: UnitInterval | None = None,
    class_weights: Weights | None = None,
    z_loss: NonNegative | None = None,
    temperature: Positive = 1.0,
    soft_cap: Positive | None = None,
    block_size: int | None = None,
    axis_name: MeshAxis | None = None,
    engine: Engine | None = None,
) -> Float[Array, "..."]:
    """Softmax cross-entropy −log softmax(x·wᵀ + bias)[label] per row, in nats, without the logits.

    Equal to `losses.softmax_cross_entropy` of the logits `x·wᵀ + bias`, with its options. It needs the memory of one
    block of the logits, in the derivatives too.

    Args:
        labels: integer class ids `[...]`, or floats `[..., V]`, a distribution per row.
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
    _engines.check(block_size, axis_name)
    arrays = {"x": x, "w": w, "labels": labels, "bias": bias, "where": where, "class_weights": class_weights}
    arrays |= {"label_smoothing": label_smoothing, "z_loss": z_loss, "temperature": temperature, "soft_cap": soft_cap}

    def of(axis_name: MeshAxes, **arrays: Any) -> Array:
        _engines.check_engine(engine, axis_name)
        problem = loss_problem(**arrays, ignore_label=ignore_label, axis_name=axis_name)
        return (_reduce.by_rows if engine == "rows" else _reduce.by_classes)(problem, block_size)

    return on_mesh(of, arrays, axis_name)


@public
def sum_softmax_cross_entropy(
    x: Features,
    w: ClassRows,
    labels: LabelsOrTargets,
    *,
    weights: Weights | None = None,
    bias: ClassBias | None = None,
    where: ClassMask | None = None,
    ignore_label: IgnoreLabel | None = None,
    label_smoothing: UnitInterval | None = None,
    class_weights: Weights | None = None,
    z_loss: NonNegative | None = None,
    temperature: Positive = 1.0,
    soft_cap: Positive | None = None,
    block_size: int | None = None,
    axis_name: MeshAxis | None = None,
    engine: Engine | None = None,
) -> Total:
    """Sums Σ g·loss, in nats, and Σ g over the rows that take part, whose quotient is the mean.

    The sums of micro-batches, of the steps of a `jax.lax.scan` and of devices, by `jax.lax.psum`, add up by `+`, and so
    do their gradients: one division at the end gives the mean of all rows, whatever their numbers. For the gradient of
    the first sum take `jax.value_and_grad(..., has_aux=True)`. Loss and gradient are formed in one pass over each block
    of logits: 6·N·D·V operations instead of 8.

    Args:
        labels: integer class ids `[...]`, or floats `[..., V]`, a distribution per row.
        weights: g ≥ 0 for each row, broadcast to `[...]`; None is 1 for each.
        ignore_label: a label, such as −100, whose rows leave both sums, whatever `x` holds there.
        label_smoothing: as in `softmax_cross_entropy`.
        class_weights: as in `softmax_cross_entropy`; they do not enter Σ g.
        z_loss: as in `softmax_cross_entropy`.
        block_size: classes in a block, which selects `engine="classes"`; with `engine="rows"`, rows in a block.
        axis_name: the mesh axis over which the classes are sharded, as in `softmax_cross_entropy`. The sums are those
            of the rows of this device.
        engine: "rows" forms the gradient in the forward pass, a block of rows of all classes at a time; "classes" sums
            `softmax_cross_entropy`. None takes "rows" where enough rows of all classes fit into 256 MB, on an
            accelerator in any case, and "classes" on operands that explicit mesh axes shard. Rows that are sharded over
            auto axes outside `shard_map` need `engine="classes"`: a block of rows would lie on one device.

    Returns:
        `Total(loss, weight)`, two scalars, in float32 or, for float64 operands, float64.

    Edge cases: those of `softmax_cross_entropy`. A row with `ignore_label`, one with weight 0 and one whose classes are
    all masked add nothing to either sum.

    Gradient: the weighted sum of that of `softmax_cross_entropy`; its derivatives are those of the engine over classes,
    so that every transform holds.

    Example:
        >>> from jxent import linear
        >>> x, w = [[1.0, 2.0], [0.0, 0.0]], [[1.0, 0.0], [0.0, 1.0]]
        >>> total = linear.sum_softmax_cross_entropy(x, w, [1, -100], ignore_label=-100)
        >>> round(float(total.loss), 6), float(total.weight)
        (0.313262, 1.0)

    Reference: P.-L. Hsu et al., Liger Kernel: efficient Triton kernels for LLM training (2024), section 3.2.
    """
    _engines.check(block_size, axis_name)
    arrays = {"x": x, "w": w, "labels": labels, "bias": bias, "where": where, "class_weights": class_weights}
    arrays |= {"label_smoothing": label_smoothing, "z_loss": z_loss, "temperature": temperature, "soft_cap": soft_cap}
    arrays |= {"weights": weights}
    sharded = any(isinstance(a, jax.Array) and is_sharded(a) for a in (x, w))
    picked = "classes" if engine is None and sharded else engine

    def of(axis_name: MeshAxes, weights: Array | None, **arrays: Any) -> Total:
        _engines.check_engine(engine, axis_name)
        problem = loss_problem(**arrays, ignore_label=ignore_label, axis_name=axis_name)
        o = problem.operands
        g = jnp.ones(o.head.x.shape[:-1], o.head.x.dtype)
        g = g if weights is None else weights_like(weights, g, "the rows")
        g = g if o.idle is None else jnp.where(o.idle, 0.0, g)
        # A row of weight 0 may hold anything.
        problem = problem.without(g == 0.0 if weights is not None else None)
        if _engines.pick(picked, block_size, o, axis_name) == "classes":
            return Total(jnp.sum(g * _reduce.by_classes(problem, block_size)), jnp.sum(g))
        return Total(_reduce.sum_by_rows(problem, g, block_size), jnp.sum(g))

    return on_mesh(of, arrays, axis_name, summed=True)


@public
def mean_softmax_cross_entropy(
    x: Features,
    w: ClassRows,
    labels: LabelsOrTargets,
    *,
    weights: Weights | None = None,
    bias: ClassBias | None = None,
    where: ClassMask | None = None,
    ignore_label: IgnoreLabel | None = None,
    label_smoothing: UnitInterval | None = None,
    class_weights: Weights | None = None,
    z_loss: NonNegative | None = None,
    temperature: Positive = 1.0,
    soft_cap: Positive | None = None,
    block_size: int | None = None,
    axis_name: MeshAxis | None = None,
    engine: Engine | None = None,
) -> Float[Array, ""]:
    """Mean softmax cross-entropy Σ g·loss/Σ g of the rows that take part, in nats.

    The quotient of the sums of `sum_softmax_cross_entropy`, which add up over micro-batches and devices where means do
    not. Loss and gradient are formed in one pass over each block of logits: 6·N·D·V operations instead of 8.

    Args:
        labels: integer class ids `[...]`, or floats `[..., V]`, a distribution per row.
        weights: g ≥ 0 for each row, broadcast to `[...]`; None is 1 for each.
        ignore_label: a label, such as −100, whose rows leave both sums, as in torch.
        label_smoothing: as in `softmax_cross_entropy`.
        class_weights: as in `softmax_cross_entropy`; they do not enter Σ g.
        z_loss: as in `softmax_cross_entropy`.
        block_size: as in `sum_softmax_cross_entropy`.
        axis_name: the mesh axis over which the classes are sharded, as in `softmax_cross_entropy`. The mean is that of
            the rows of this device: with rows on several devices divide their sums.
        engine: as in `sum_softmax_cross_entropy`.

    Returns:
        A scalar, in float32 or, for float64 operands, float64.

    Edge cases: those of `softmax_cross_entropy`; 0 where no row takes part.

    Gradient: that of the mean; its derivatives are those of the engine over classes, so that every transform holds.

    Example:
        >>> from jxent import linear
        >>> x, w = [[1.0, 2.0], [0.0, 0.0]], [[1.0, 0.0], [0.0, 1.0]]
        >>> round(float(linear.mean_softmax_cross_entropy(x, w, [1, -100], ignore_label=-100)), 6)
        0.313262

    Reference: P.-L. Hsu et al., Liger Kernel: efficient Triton kernels for LLM training (2024), section 3.2.
    """
    return sum_softmax_cross_entropy(
        *(x, w, labels),
        weights=weights,
        bias=bias,
        where=where,
        ignore_label=ignore_label,
        label_smoothing=label_smoothing,
        class_weights=class_weights,
        z_loss=z_loss,
        **({} if isinstance(temperature, float) else {"temperature": temperature}),
        soft_cap=soft_cap,
        block_size=block_size,
        axis_name=axis_name,
        engine=engine,
    ).mean
