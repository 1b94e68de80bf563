"""Softmax regression: its gradient, the Jacobian of the softmax, and the Hessian of the loss."""

from typing import Annotated, Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jxent._checks import (
    Finite,
    LabelsOrTargets,
    Logits,
    NonNegative,
    Probabilities,
    Weights,
    as_float,
    category_axes,
    match_rows,
    public,
)
from jxent._checks.domains import PARAMS
from jxent.closed_form import _rows

__all__ = ["softmax_cross_entropy_hessian", "softmax_jacobian", "softmax_regression"]

Params = Annotated[Any, PARAMS]


@public
def softmax_jacobian(z: Logits) -> Float[Array, "..."]:
    """Jacobian of the softmax, diag(p) − p·pᵀ.

    With S = Σ exp z, ∂(exp zᵢ/S)/∂zₖ = δᵢₖ·exp zᵢ/S − exp zᵢ·exp zₖ/S² = pᵢ(δᵢₖ − pₖ).

    Args:
        z: logits `[..., K]`, the classes last.

    Returns:
        `[..., K, K]`, symmetric, with rows that sum to 0.

    Edge cases: rows and columns of classes at −inf are 0.

    Gradient: differentiable as the plain expression that it is.

    Example:
        >>> from jxent import closed_form
        >>> closed_form.softmax_jacobian([0.0, 0.0]).tolist()
        [[0.25, -0.25], [-0.25, 0.25]]

    Reference: C. M. Bishop, Pattern Recognition and Machine Learning (2006), eq. 4.106.
    """
    z = as_float("z", z)
    category_axes("z", z, -1)
    p = _rows.of_logits(z, jnp.ones(z.shape, bool)).p
    # The rows sum to 0: pᵢ(1 − pᵢ) as the sum of the others, since 1 − pᵢ may have lost all digits.
    eye = jnp.eye(z.shape[-1], dtype=bool)
    outside = jnp.where(eye, 0.0, -p[..., :, None] * p[..., None, :])
    return jnp.where(eye, -jnp.sum(outside, axis=-1, keepdims=True), outside)


@public
def softmax_cross_entropy_hessian(logits: Logits, targets: Probabilities) -> Float[Array, "..."]:
    """Hessian of −Σ t·log softmax(z) in the logits: (Σt)·(diag(p) − p·pᵀ).

    The gradient is (Σt)·p − t, and t is constant: its derivative is Σt times the Jacobian of the softmax.
    That is a covariance, hence positive semidefinite: the loss is convex.

    Args:
        logits: `[..., K]`, the classes last.
        targets: `[..., K]`, one-hot or soft labels.

    Returns:
        `[..., K, K]`.

    Edge cases: rows and columns of classes at −inf are 0.

    Gradient: differentiable as the plain expression that it is.

    Example:
        >>> from jxent import closed_form
        >>> closed_form.softmax_cross_entropy_hessian([0.0, 0.0], [1.0, 0.0]).tolist()
        [[0.25, -0.25], [-0.25, 0.25]]

    Reference: C. M. Bishop, Pattern Recognition and Machine Learning (2006), eq. 4.110.
    """
    z, t, _ = match_rows(("logits", "targets"), as_float("logits", logits), as_float("targets", targets), -1)
    return _rows.total(t)[..., None] * softmax_jacobian(z)


@public
def softmax_regression(
    params: Params,
    x: Finite,
    labels: LabelsOrTargets,
    *,
    l2: NonNegative = 0.0,
    sample_weight: Weights | None = None,
) -> Any:
    """Gradient of the objective of softmax regression: Xᵀ(P − T)/N + l2·W and the column means of P − T.

    Row i has the logits o = xᵢW + b and the loss −Σ t·log softmax(o), whose gradient in o is the residual
    pᵢ − tᵢ. By the chain rule, ∂o_k/∂W_dk = x_d and ∂o_k/∂b_k = 1, so that row i contributes xᵢ(pᵢ − tᵢ)ᵀ
    and pᵢ − tᵢ. The gradient is the mean over the rows, weighted by `sample_weight`, plus the slope l2·W of
    the penalty.

    Args:
        params: `regression.Params(weights [D, K], bias [K])`.
        x: features `[N, D]`.
        labels: integer class ids `[N]`, or a distribution per row `[N, K]`.
        l2: penalty on the weights, l2/2·‖W‖²; the bias is not penalised.
        sample_weight: non-negative weights `[N]`; None is 1 for each row.

    Returns:
        The gradient, in the structure of `params`.

    Edge cases: weights that sum to 0 leave l2·W and 0.

    Gradient: differentiable as the plain expression that it is.

    Example:
        >>> from jxent import closed_form, regression
        >>> params = regression.init(2, 2)
        >>> closed_form.softmax_regression(params, [[1.0, 2.0]], [0]).bias.tolist()
        [-0.5, 0.5]

    Reference: C. M. Bishop, Pattern Recognition and Machine Learning (2006), eq. 4.109.
    """
    (weights, bias), rebuild = jax.tree.flatten(params)
    x, weights, bias = (as_float(n, a) for n, a in (("x", x), ("weights", weights), ("bias", bias)))
    scores = jnp.matmul(x, weights, precision="highest") + bias[None, :]
    p = _rows.of_logits(scores, jnp.ones(scores.shape, bool)).p
    t = jnp.asarray(labels)
    if t.ndim == 1:
        t = (t[:, None] == jnp.arange(bias.shape[0], dtype=t.dtype)[None, :]).astype(p.dtype)
    t = t.astype(p.dtype)
    s = jnp.ones(x.shape[0], p.dtype) if sample_weight is None else jnp.asarray(sample_weight).astype(p.dtype)
    share = s / jnp.where(jnp.sum(s) == 0, 1.0, jnp.sum(s))
    residual = _rows.difference(jnp.sum(t, axis=1, keepdims=True) * p, t) * share[:, None]
    in_weights = jnp.matmul(x.T, residual, precision="highest") + jnp.asarray(l2, p.dtype) * weights
    return jax.tree.unflatten(rebuild, [in_weights, jnp.sum(residual, axis=0)])
