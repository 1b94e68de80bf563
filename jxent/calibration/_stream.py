"""The calibration measures from sums that add up over the batches of a stream and over devices."""

import operator
from typing import Annotated, Any, NamedTuple, SupportsIndex

import jax
import jax.numpy as jnp
from jax.sharding import PartitionSpec
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from jxent._checks import Domain, Labels, Probabilities, RowMask, RowWeights, public
from jxent._checks.domains import named_tuple
from jxent._numerics.compiler import is_sharded
from jxent.calibration import _bins, _rows
from jxent.calibration._bins import BrierDecomposition, ReliabilityCurve, check_bins


class State(NamedTuple):
    """Sums over rows, a pytree: the states of parts add up to the state of all rows, also by `jax.lax.psum`.

    Attributes:
        weight: Σ w.
        surprisal: Σ −w·log p[label], in nats.
        squares: Σ w·Σ(p − t)².
        ranks: weight of the rows by the number of classes before their label, `[K]`.
        top: sums of the most likely class in each bin, `[B, 3]`.
        classes: sums of every class in each bin, `[B, 4, K]`.
    """

    weight: Array
    surprisal: Array
    squares: Array
    ranks: Array
    top: Array
    classes: Array


CalibrationState = Annotated[State, Domain(convert=named_tuple("a calibration.State"))]


class Result(NamedTuple):
    """All measures of a `State`.

    Attributes:
        negative_log_likelihood: mean, in nats.
        perplexity: its exponential.
        brier_score: mean of Σ (p − t)².
        brier_decomposition: its parts.
        expected_calibration_error: of the most likely class.
        classwise_calibration_error: of every class, averaged.
        reliability_curve: of the most likely class.
        top_k_accuracy: for k = 1 to K, `[K]`; the first is the accuracy.
    """

    negative_log_likelihood: Float[Array, ""]
    perplexity: Float[Array, ""]
    brier_score: Float[Array, ""]
    brier_decomposition: BrierDecomposition
    expected_calibration_error: Float[Array, ""]
    classwise_calibration_error: Float[Array, ""]
    reliability_curve: ReliabilityCurve
    top_k_accuracy: Float[Array, " k"]


def init(num_classes: SupportsIndex, *, num_bins: SupportsIndex = 15, dtype: DTypeLike | None = None) -> State:
    """The state of no rows.

    Args:
        num_classes: K.
        num_bins: number of bins of the calibration errors.
        dtype: floating dtype of the sums; None is JAX's default; for a 16-bit dtype the sums are float32.

    Returns:
        A `State` of zeros.

    Edge cases: fewer than one class or bin is a `ValueError`, a dtype that is not floating a `TypeError`.

    Gradient: none, the result is a constant.

    Example:
        >>> from jxent import calibration
        >>> calibration.init(10).top.shape
        (15, 3)

    Reference: the `(init, update)` pairs of optax.
    """
    k, bins = _plain_int(num_classes), _plain_int(num_bins)
    check_bins(bins)
    if isinstance(k, bool) or not isinstance(k, int) or k < 1:
        raise ValueError(f"init(): num_classes={num_classes!r} must be an int of at least 1")
    dtype = _dtype_of_sums(dtype)
    none = jnp.zeros((), dtype)
    return State(none, none, none, *(jnp.zeros(shape, dtype) for shape in ((k,), (bins, 3), (bins, 4, k))))


def _plain_int(value: Any) -> Any:
    """A Python int for an integer of numpy or JAX, such as `labels.max() + 1`; anything else as it is."""
    return operator.index(value) if hasattr(value, "__index__") and not isinstance(value, bool) else value


def _dtype_of_sums(dtype: DTypeLike | None) -> DTypeLike:
    if dtype is None:
        return jnp.result_type(float)
    if not jnp.issubdtype(dtype, jnp.floating):
        raise TypeError(f"init(): dtype={dtype!r} must be floating, such as jnp.float32: the sums are no integers")
    return jnp.float32 if jnp.finfo(dtype).bits < 32 else dtype


@public
def update(
    state: CalibrationState,
    p: Probabilities,
    labels: Labels,
    *,
    weights: RowWeights | None = None,
    where: RowMask | None = None,
) -> State:
    """Add the sums of a batch to a state.

    Args:
        state: sums so far, from `init`.
        where: boolean mask `[...]` of the rows that take part, such as those of a padded last batch.

    Returns:
        A `State`.

    Edge cases: a label outside [0, K) and NaN make the sums NaN; a masked row adds nothing, whatever it holds.

    Gradient: through the sums. The edges of the bins contribute nothing.

    Example:
        >>> from jxent import calibration
        >>> state = calibration.update(calibration.init(2), [[0.9, 0.1], [0.6, 0.4]], [0, 1])
        >>> float(calibration.result(state).top_k_accuracy[0])
        0.5

    Reference: the `(init, update)` pairs of optax.
    """
    r = _rows.rows("p", p, labels, weights, where)
    classes, bins = state.ranks.shape[0], state.top.shape[0]
    if r.values.shape[-1] != classes:
        raise ValueError(f"update(): `p` has {r.values.shape[-1]} classes and the state {classes}: start with init(K)")
    batch = State(
        jnp.sum(r.weights),
        _rows.total(r.weights, _rows.surprisal(r)),
        _rows.total(r.weights, _rows.squares(r)),
        _rows.rank_sums(r),
        _rows.top_sums(r, bins),
        _rows.class_sums(r, bins),
    )
    return jax.tree.map(lambda total, part: total + part.astype(total.dtype), state, batch)


def merge(*states: State) -> State:
    """Add the states of several parts.

    Args:
        states: of the same numbers of classes and bins.

    Returns:
        A `State`.

    Edge cases: no state, or states of different shapes, are a `ValueError`; any other object is a `TypeError`.

    Gradient: that of a sum.

    Example:
        >>> from jxent import calibration
        >>> parts = [calibration.update(calibration.init(2), [[0.9, 0.1]], [label]) for label in (0, 1)]
        >>> float(calibration.merge(*parts).weight)
        2.0

    Reference: the merging of sufficient statistics, T. F. Chan, G. H. Golub and R. J. LeVeque (1979).
    """
    for state in states:
        if not isinstance(state, State):
            raise TypeError(
                f"merge(): got a {type(state).__name__}, expected states; of a list of states merge(*states)"
            )
    shapes = {tuple(a.shape for a in state) for state in states}
    if len(shapes) != 1:
        raise ValueError(
            f"merge(): got {len(states)} states of {len(shapes)} different shapes, expected at least one, of equal "
            f"numbers of classes and bins"
        )
    return jax.tree.map(lambda *parts: sum(parts[1:], parts[0]), *states)


@public
def result(state: CalibrationState) -> Result:
    """All measures of the rows in a state.

    Args:
        state: from `update` or `merge`.

    Returns:
        `Result(negative_log_likelihood, perplexity, brier_score, brier_decomposition, expected_calibration_error,
        classwise_calibration_error, reliability_curve, top_k_accuracy)`.

    Edge cases: no rows give 0, and perplexity 1; an empty bin of the curve has 0 in all three fields.

    Gradient: through the sums.

    Example:
        >>> from jxent import calibration
        >>> state = calibration.update(calibration.init(2), [[0.5, 0.5]], [0])
        >>> float(calibration.result(state).perplexity)
        2.0

    Reference: the functions of the single measures.
    """
    likelihood = _rows.over(state.surprisal, state.weight)
    return Result(
        likelihood,
        jnp.exp(likelihood),
        _rows.over(state.squares, state.weight),
        _bins.decomposition(state.classes),
        _bins.top_error(state.top),
        _bins.class_error(state.classes),
        _bins.curve(state.top),
        _rows.over(jnp.cumsum(_replicated(state.ranks)), jnp.broadcast_to(state.weight, state.ranks.shape)),
    )


def _replicated(ranks: Array) -> Array:
    """All ranks on every device. JAX refuses a cumulative sum along an explicit mesh axis; delete when it does not."""
    if not is_sharded(ranks):
        return ranks
    return jax.sharding.reshard(ranks, jax.typeof(ranks).sharding.update(spec=PartitionSpec(None)))
