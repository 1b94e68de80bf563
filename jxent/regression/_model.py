"""The model, its predictions and its objective."""

from typing import Annotated, NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Int

from jxent import logits as _logits
from jxent import losses as _losses
from jxent._checks import (
    Finite,
    LabelsOrTargets,
    NonNegative,
    Numbers,
    Weights,
    as_float,
    common_float,
    parameter,
    public,
)
from jxent._checks.domains import PARAMS


class Params(NamedTuple):
    """Parameters of a softmax regression, a pytree.

    Attributes:
        weights: `[D, K]`, features by classes.
        bias: `[K]`.
    """

    weights: Array
    bias: Array


ModelParams = Annotated[Params, PARAMS]


def init(
    num_features: int,
    num_classes: int,
    *,
    key: Array | None = None,
    dtype: DTypeLike | None = None,
) -> Params:
    """Starting parameters: zeros, or standard normal weights from a key.

    The objective is convex: zeros are as good a start as any. They predict the uniform distribution.

    Args:
        num_features: D.
        num_classes: K, at least 2.
        key: a `jax.random.key` for weights from N(0, 1); the bias is 0 either way.
        dtype: floating dtype; None is JAX's default.

    Returns:
        `Params(weights [D, K], bias [K])`.

    Edge cases: fewer than two classes or no feature is a `ValueError`.

    Gradient: none, the result is a constant.

    Example:
        >>> from jxent import regression
        >>> regression.init(64, 10).weights.shape
        (64, 10)

    Reference: C. M. Bishop, Pattern Recognition and Machine Learning (2006), section 4.3.4.
    """
    if num_features < 1 or num_classes < 2:
        raise ValueError(
            f"init({num_features}, {num_classes}): expected at least 1 feature and 2 classes; a single class leaves "
            f"nothing to predict"
        )
    dtype = jnp.result_type(float) if dtype is None else dtype
    shape = (num_features, num_classes)
    weights = jnp.zeros(shape, dtype) if key is None else jax.random.normal(key, shape, dtype)
    return Params(weights, jnp.zeros((num_classes,), dtype))


@public
def logits(params: ModelParams, x: Finite) -> Float[Array, "n k"]:
    """Scores x·W + b of every class, log-probabilities up to a constant per row.

    Args:
        x: features `[N, D]`.

    Returns:
        `[N, K]`, in nats.

    Edge cases: NaN in a row of `x` gives NaN in its scores.

    Gradient: x in the weights, 1 in the bias.

    Example:
        >>> from jxent import regression
        >>> regression.logits(regression.init(2, 3), [[1.0, 2.0]]).tolist()
        [[0.0, 0.0, 0.0]]

    Reference: C. M. Bishop, Pattern Recognition and Machine Learning (2006), eq. 4.105.
    """
    features, weights, bias = _matching(params, x)
    # At its default precision an accelerator may round float32 operands to 10 bits: no gradient reaches the tolerance.
    return jnp.matmul(features, weights, precision="highest") + bias[None, :]


@public
def predict_proba(params: ModelParams, x: Finite) -> Float[Array, "n k"]:
    """Predicted probabilities softmax(x·W + b).

    Args:
        x: features `[N, D]`.

    Returns:
        `[N, K]`, rows that sum to 1.

    Edge cases: NaN in a row of `x` gives NaN in its probabilities.

    Gradient: through the softmax, pᵢ(δᵢₖ − pₖ).

    Example:
        >>> from jxent import regression
        >>> regression.predict_proba(regression.init(2, 4), [[1.0, 2.0]]).tolist()
        [[0.25, 0.25, 0.25, 0.25]]

    Reference: C. M. Bishop, Pattern Recognition and Machine Learning (2006), eq. 4.104.
    """
    return _logits.probabilities(logits(params, x))


@public
def predict(params: ModelParams, x: Finite) -> Int[Array, " n"]:
    """Class id of the largest score of every row.

    The k for which (xW + b)ₖ is largest: arg max over k of log p(k | x).

    Args:
        x: features `[N, D]`.

    Returns:
        `[N]` integers in [0, K).

    Edge cases: ties go to the smallest id.

    Gradient: none, the result is an integer.

    Example:
        >>> from jxent import regression
        >>> regression.predict(regression.init(2, 4), [[1.0, 2.0]]).tolist()
        [0]

    Reference: C. M. Bishop, Pattern Recognition and Machine Learning (2006), section 1.5.1.
    """
    return jnp.argmax(logits(params, x), axis=1)


@public
def objective(
    params: ModelParams,
    x: Finite,
    labels: LabelsOrTargets,
    *,
    l2: NonNegative = 0.0,
    sample_weight: Weights | None = None,
) -> Float[Array, ""]:
    """Mean cross-entropy of the labels under the model, in nats, plus l2/2·‖weights‖².

    Args:
        x: features `[N, D]`.
        labels: integer class ids `[N]`, or a distribution per row `[N, K]`.
        l2: penalty on the weights; the bias is not penalised. scikit-learn's C is 1/(l2·N).
        sample_weight: non-negative weights `[N]` of the rows in the mean; None is 1 for each.

    Returns:
        A scalar.

    Edge cases: a class id outside [0, K) gives NaN; weights that sum to 0 leave the penalty alone.

    Gradient: Xᵀ(P − T)/N + l2·W in the weights, the column means of P − T in the bias; see
    `jxent.closed_form.softmax_regression`.

    Example:
        >>> from jxent import regression
        >>> round(float(regression.objective(regression.init(2, 4), [[1.0, 2.0]], [3])), 6)
        1.386294

    Reference: C. M. Bishop, Pattern Recognition and Machine Learning (2006), eq. 4.108.
    """
    rows = row_losses(logits(params, x), labels)
    weights = jnp.asarray(params.weights)
    penalty = 0.5 * parameter("l2", l2, rows) * jnp.sum(jnp.square(weights)).astype(rows.dtype)
    return _losses.mean(rows, sample_weight) + penalty


def row_losses(scores: Array, labels: Numbers) -> Array:
    """Cross-entropy per row, of class ids or of a distribution per row."""
    targets = jnp.asarray(labels)
    if targets.ndim == 1 and jnp.issubdtype(targets.dtype, jnp.integer):
        return _losses.softmax_cross_entropy_with_integer_labels(scores, targets)
    if targets.ndim == 2:
        return _losses.softmax_cross_entropy(scores, targets)
    raise ValueError(
        f"`labels` has shape {targets.shape} and dtype {targets.dtype}: expected integer class ids "
        f"[{scores.shape[0]}] or a distribution per row {scores.shape}"
    )


def _matching(params: Params, x: Numbers) -> tuple[Array, Array, Array]:
    """Features, weights and bias in one dtype, after a check of their shapes."""
    features = as_float("x", x)
    weights, bias = as_float("weights", params.weights), as_float("bias", params.bias)
    if weights.ndim != 2 or bias.shape != (weights.shape[1],):
        raise ValueError(
            f"`params` has weights {weights.shape} and bias {bias.shape}: expected [D, K] and [K]; see regression.init"
        )
    if features.ndim != 2 or features.shape[1] != weights.shape[0]:
        raise ValueError(
            f"`x` has shape {features.shape} and the weights {weights.shape}: expected [N, {weights.shape[0]}], one "
            f"row per example"
        )
    return common_float(features, weights, bias)  # pyright: ignore[reportReturnType]
