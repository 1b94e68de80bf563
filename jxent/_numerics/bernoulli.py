"""Measures of two outcomes from one number each: a kernel at p plus the same kernel at 1 − p.

The features of the second outcome are computed from p without 1 − p where that would round: q − p
changes its sign exactly, and log(1 − p) is log1p(−p).
"""

import functools
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from jxent._numerics import softmax as sm
from jxent._numerics.kernels import Kernel
from jxent._numerics.logarithm import at_least_tiny, log1p, masked_reciprocal, tiny
from jxent._numerics.pair import Features, Pair, from_probs, with_support
from jxent._numerics.primitives import is_symbolic_zero, lowest, with_infinite_slopes

Operands = tuple[Array, ...]


@jax.custom_jvp
def _complement_features(p: Array, q: Array) -> Features:
    """Features of 1 − p and 1 − q."""
    low = float(np.log(tiny(p.dtype)))
    not_p, not_q = 1.0 - p, 1.0 - q
    log_p, log_q = (jnp.where(x >= 1, low, log1p(-jnp.where(x >= 1, 0.0, x))) for x in (p, q))
    relative = (p - q) / at_least_tiny(not_p)
    near = jnp.abs(relative) < 0.5
    delta = jnp.where(near, log1p(jnp.where(near, relative, 0.0)), log_q - log_p)
    return Features(not_p, not_q, log_p, log_q, p - q, delta)


@_complement_features.defjvp
def _complement_features_jvp(primals: Sequence[Array], tangents: Sequence[Array]) -> tuple[Features, Features]:
    (p, q), (dp, dq) = primals, tangents
    dlog_p, dlog_q = -masked_reciprocal(1.0 - p) * dp, -masked_reciprocal(1.0 - q) * dq
    return _complement_features(p, q), Features(-dp, -dq, dlog_p, dlog_q, dp - dq, dlog_q - dlog_p)


def _probs_outcomes(operands: Operands) -> tuple[Pair, Pair]:
    p, q = operands[0], operands[-1]
    smallest = tiny(p.dtype)
    complement = _complement_features(p, q)
    return from_probs(p, q), Pair(*complement, complement.p < smallest, complement.q < smallest)


@jax.custom_jvp
def _logit_features(a: Array, b: Array) -> Features:
    """Features of σ(a) and σ(b); those of the other outcome are the features of −a and −b."""
    low = lowest(a.dtype)
    a, b = (jnp.where(jnp.isinf(x), -low * jnp.sign(x), x) for x in (a, b))
    p, q = sm.sigmoid(a), sm.sigmoid(b)
    log_p, log_q = -sm.softplus(-a), -sm.softplus(-b)
    # σ(b)/σ(a) = 1 + σ(−b)·expm1(b − a), and with a and b exchanged its inverse.
    d = b - a
    gap = jnp.expm1(-jnp.abs(d))
    delta = jnp.where(d < 0, log1p(sm.sigmoid(-b) * gap), -log1p(sm.sigmoid(-a) * gap))
    # log1p near −1 has lost digits that the difference of the logarithms keeps.
    delta = jnp.where(jnp.abs(delta) < 1.0, delta, log_q - log_p)
    diff = jnp.where(jnp.abs(delta) < 1.0, p * jnp.expm1(jnp.clip(delta, -1.0, 1.0)), q - p)
    return Features(p, q, log_p, log_q, diff, delta)


@_logit_features.defjvp
def _logit_features_jvp(primals: Sequence[Array], tangents: Sequence[Array]) -> tuple[Features, Features]:
    (a, b), (da, db) = primals, tangents
    dlog_p, dlog_q = sm.sigmoid(-a) * da, sm.sigmoid(-b) * db
    dp, dq = sm.sigmoid(a) * dlog_p, sm.sigmoid(b) * dlog_q
    return _logit_features(a, b), Features(dp, dq, dlog_p, dlog_q, dq - dp, dlog_q - dlog_p)


def _logit_outcomes(operands: Operands) -> tuple[Pair, Pair]:
    a, b = operands[0], operands[-1]
    return _logit_pair(a, b), _logit_pair(-a, -b)


def _logit_pair(a: Array, b: Array) -> Pair:
    return with_support(_logit_features(a, b), a == -jnp.inf, b == -jnp.inf)


@functools.partial(jax.custom_jvp, nondiff_argnums=(0,))
def probs_bernoulli(kernel: Kernel, operands: Operands) -> Array:
    """The kernel summed over both outcomes, from probabilities of the first."""
    return sum((kernel.term(s) for s in _probs_outcomes(operands)), start=jnp.zeros((), operands[0].dtype))


@functools.partial(probs_bernoulli.defjvp, symbolic_zeros=True)
def _probs_bernoulli_jvp(kernel: Kernel, primals: Sequence[Any], tangents: Sequence[Any]) -> tuple[Array, Array]:
    (operands,) = primals
    value = probs_bernoulli(kernel, operands)
    tangent = jnp.zeros_like(value)
    for sign, pair in zip((1.0, -1.0), _probs_outcomes(operands), strict=True):
        for slope, part in zip((kernel.slope_p, kernel.slope_q), tangents[0], strict=False):
            if slope is not None and not is_symbolic_zero(part):
                product = sign * slope(pair) * part
                tangent += product if kernel.infinite is None else with_infinite_slopes(product, kernel.infinite(pair))
    return value, tangent


@functools.partial(jax.custom_jvp, nondiff_argnums=(0,))
def logits_bernoulli(kernel: Kernel, operands: Operands) -> Array:
    """The kernel summed over both outcomes, from logits of the first."""
    return sum((kernel.term(s) for s in _logit_outcomes(operands)), start=jnp.zeros((), operands[0].dtype))


@functools.partial(logits_bernoulli.defjvp, symbolic_zeros=True)
def _logits_bernoulli_jvp(kernel: Kernel, primals: Sequence[Any], tangents: Sequence[Any]) -> tuple[Array, Array]:
    (operands,) = primals
    value = logits_bernoulli(kernel, operands)
    tangent = jnp.zeros_like(value)
    for sign, pair in zip((1.0, -1.0), _logit_outcomes(operands), strict=True):
        flows = (kernel.flow_p, kernel.flow_q)
        for flow, z, part in zip(flows, operands, tangents[0], strict=False):
            if flow is not None and not is_symbolic_zero(part):
                # The tangent of log σ(±z) is ±σ(∓z) times that of z.
                tangent += sign * flow(pair) * sm.sigmoid(-sign * z) * part
    return value, tangent
