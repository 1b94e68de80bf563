"""Comparison of gradients of one objective: of a plain definition, of this package, and of the closed form."""

import functools
import itertools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from jxent import closed_form as _closed_form
from jxent import probs as _probs
from jxent._checks import Numbers
from jxent._numerics.softmax import softmax
from jxent.closed_form import Agreement
from jxent.closed_form._compare import default_tolerance, measure
from jxent.regression import _model
from jxent.regression._model import Params
from jxent.regression.solvers import objective as ob

DEFINITION = "autodiff of the plain definition"
COMPOSITION = "autodiff of probs.cross_entropy(t, softmax(xW + b))"
OBJECTIVE = "autodiff of regression.objective"
CLOSED_FORM = "closed_form.softmax_regression"
SOLVERS = "the gradient that the solvers of regression.fit follow"


class GradientAgreement(NamedTuple):
    """The differences between the gradients of the objective.

    Attributes:
        weights: largest difference over all pairs of gradients, in the weights.
        bias: largest difference over all pairs, in the bias.
        agrees: whether rounding explains every difference.
        disagreeing: names of the gradients that differ from most of the others.
    """

    weights: Agreement
    bias: Agreement
    agrees: bool
    disagreeing: tuple[str, ...]


def compare_gradients(
    params: Params,
    x: Numbers,
    labels: Numbers,
    *,
    l2: Numbers = 0.0,
    sample_weight: Numbers | None = None,
) -> GradientAgreement:
    """Compare autodiff with the closed form, pairwise, in the dtype of the arguments.

    Five gradients are compared. One is of the definition −Σ t·log softmax(xW + b) in plain primitives, without
    derivative rules of this package. Two are of compositions of this package: `probs.cross_entropy` of the
    softmax, and the loss of `objective`. One is `closed_form.softmax_regression`. The last is that of "lbfgs" and
    "newton" in `fit`, which have a form of their own for speed. The scale of a difference is the sum of absolute
    terms behind an entry, the largest Σᵢ sᵢ|xᵢ||rᵢ| + l2·|W| with the residual r = softmax − t: at an optimum the
    gradient itself cancels to 0.

    Args:
        params: `Params(weights [D, K], bias [K])`.
        x: features `[N, D]`.
        labels: integer class ids `[N]`, or a distribution per row `[N, K]`.
        l2: penalty on the weights, l2/2·‖W‖².
        sample_weight: non-negative weights `[N]`; None is 1 for each row.

    Returns:
        `GradientAgreement(weights, bias, agrees, disagreeing)`; weights and bias are
        `Agreement(max_abs, max_rel, agrees)`, with max_rel relative to the largest gradient entry.

    Edge cases: if the predicted probability of a label underflows to 0, the composition through
    probabilities is +inf and is named in `disagreeing`.

    Gradient: none; the numbers are Python floats.

    Example:
        >>> from jxent import regression
        >>> params = regression.init(2, 3)
        >>> regression.compare_gradients(params, [[1.0, 2.0], [0.0, 1.0]], [0, 2]).agrees
        True

    Reference: A. Griewank and A. Walther, Evaluating Derivatives, 2nd ed. (2008).
    """
    gradients, scales = _gradients(params, x, labels, l2, sample_weight)
    return _compared(gradients, scales)


def _gradients(
    params: Params, x: Numbers, labels: Numbers, l2: Numbers, sample_weight: Numbers | None
) -> tuple[dict[str, Params], list[float]]:
    """Every gradient by its name, and the scale of a difference in the weights and in the bias."""
    label_array, rows = jnp.asarray(labels), None if sample_weight is None else jnp.asarray(sample_weight)
    params = Params(*(jnp.asarray(a) for a in params))
    params, features, targets, share = _operands(params, jnp.asarray(x), label_array, rows)
    penalty = jnp.asarray(l2, features.dtype)
    options: dict[str, Any] = {"l2": penalty, "sample_weight": rows}
    gradients = {
        DEFINITION: _gradient(_definition, params, features, targets, share, penalty),
        COMPOSITION: _gradient(_composition, params, features, targets, share, penalty),
        OBJECTIVE: _gradient(_model.objective, params, features, label_array, **options),
        CLOSED_FORM: _closed_form.softmax_regression(params, features, label_array, **options),
        SOLVERS: _of_solvers(params, features, label_array, share, penalty),
    }
    return gradients, [float(size) for size in _sizes(params, features, targets, share, penalty)]


def _compared(gradients: dict[str, Params], scales: list[float]) -> GradientAgreement:
    """The agreement of all pairs."""
    tolerance = default_tolerance(gradients[DEFINITION].bias.dtype)
    pairs = {
        (a, b): tuple(
            measure(u, v, tolerance=tolerance, scale=scale)
            for u, v, scale in zip(gradients[a], gradients[b], scales, strict=True)
        )
        for a, b in itertools.combinations(gradients, 2)
    }
    weights, bias = (_worst([pair[i] for pair in pairs.values()]) for i in (0, 1))
    return GradientAgreement(weights, bias, weights.agrees and bias.agrees, _odd_ones(pairs))


@functools.partial(jax.jit, static_argnums=0)
def _gradient(function: Callable[..., Array], params: Params, *operands: Array, **options: Any) -> Params:
    """The gradient in the parameters, compiled as one program: eager operations would compile one by one."""
    return jax.grad(function)(params, *operands, **options)


@jax.jit
def _operands(
    params: Params, x: Array, labels: Array, sample_weight: Array | None
) -> tuple[Params, Array, Array, Array]:
    """Parameters, features, targets `[N, K]` and the share of each row in the mean, in one dtype."""
    scores = _model.logits(params, x)
    targets = jax.nn.one_hot(labels, scores.shape[1]) if labels.ndim == 1 else labels
    rows = jnp.ones(scores.shape[0]) if sample_weight is None else sample_weight
    share = rows.astype(scores.dtype) / jnp.sum(rows.astype(scores.dtype))
    same = Params(*(a.astype(scores.dtype) for a in params))
    return same, x.astype(scores.dtype), targets.astype(scores.dtype), share


def _definition(params: Params, x: Array, targets: Array, share: Array, l2: Array) -> Array:
    """−Σ t·log softmax(xW + b) in primitives of JAX alone: log softmax is z − max z − log Σ exp(z − max z)."""
    scores = jnp.matmul(x, params.weights, precision="highest") + params.bias[None, :]
    shifted = scores - jax.lax.stop_gradient(jnp.max(scores, axis=1, keepdims=True))
    log_p = shifted - jnp.log(jnp.sum(jnp.exp(shifted), axis=1, keepdims=True))
    return -jnp.sum(share[:, None] * targets * log_p) + 0.5 * l2 * jnp.sum(params.weights**2)


def _composition(params: Params, x: Array, targets: Array, share: Array, l2: Array) -> Array:
    """The composition from this package: cross-entropy of the labels and the softmax of the scores."""
    scores = jnp.matmul(x, params.weights, precision="highest") + params.bias[None, :]
    rows = _probs.cross_entropy(targets, softmax(scores, (1,)))
    return jnp.sum(share * rows) + 0.5 * l2 * jnp.sum(params.weights**2)


@jax.jit
def _of_solvers(params: Params, x: Array, labels: Array, share: Array, l2: Array) -> Params:
    """The gradient of `solvers.objective`, on features as they came in."""
    at = ob.extended(jnp.zeros(x.shape[1], x.dtype), None)
    targets = labels if labels.ndim == 1 else labels.astype(x.dtype)
    lane = ob.lane_objective(ob.transformed(x, at), at, targets, share[None], l2[None])
    point = jnp.concatenate([params.weights.T, params.bias[:, None]], axis=1)[None]
    _, slopes = ob.evaluate(lane, ob.scores(lane.x, point), point)
    gradient = ob.gradient(lane, slopes, point)[0]
    return Params(gradient[:, :-1].T, gradient[:, -1])


@jax.jit
def _sizes(params: Params, x: Array, targets: Array, share: Array, l2: Array) -> tuple[Array, Array]:
    """The largest sum of absolute terms behind an entry of the gradient, for weights and bias."""
    p = _model.predict_proba(params, x)
    residual = share[:, None] * jnp.abs(p * jnp.sum(targets, axis=1, keepdims=True) - targets)
    in_weights = jnp.matmul(jnp.abs(x).T, residual, precision="highest") + l2 * jnp.abs(params.weights)
    return jnp.max(in_weights), jnp.max(jnp.sum(residual, axis=0))


def _worst(agreements: list[Agreement]) -> Agreement:
    return Agreement(
        float(np.max([a.max_abs for a in agreements])),
        float(np.max([a.max_rel for a in agreements])),
        all(a.agrees for a in agreements),
    )


def _odd_ones(pairs: dict[tuple[str, str], Any]) -> tuple[str, ...]:
    """The names of the gradients that agree with fewer others than the gradient with the most agreement.

    In a tie the definition and the closed form decide: the others share rules of this package.
    """
    names = list(dict.fromkeys(itertools.chain.from_iterable(pairs)))
    allies = {n: {n} for n in names}
    for (a, b), pair in pairs.items():
        if all(agreement.agrees for agreement in pair):
            allies[a].add(b)
            allies[b].add(a)
    support = {n: (len(allies[n]), len(allies[n] & {DEFINITION, CLOSED_FORM})) for n in names}
    most = max(support.values())
    return tuple(n for n in names if support[n] < most or most[0] == 1)
