"""Divergences between every row of one array and every row of another: [N, K] and [M, K] to [N, M].

Cross-entropy and KL are products of matrices. KL as a difference of two such sums loses its digits where the
rows are close, above all on the diagonal. A bound of the rounding error selects these pairs; they are evaluated
exactly, one pair of each row at a time, until none is left.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array

from jxent._numerics import rows
from jxent._numerics import softmax as sm
from jxent._numerics.compiler import are_numbers
from jxent._numerics.kernels import JENSEN_SHANNON, KL_DIVERGENCE
from jxent._numerics.logarithm import masked_reciprocal, safe_log, tiny

# The divergence of row i of one array from row i of another.
Exact = Callable[[Array, Array], Array]
# The largest size of the arrays of a block of pairs.
BLOCK = 2**22


def product(a: Array, b: Array) -> Array:
    """a·bᵀ at the full precision of the dtype, which is not the default on accelerators."""
    return jnp.matmul(a, b.T, precision=lax.Precision.HIGHEST)


class Rows(NamedTuple):
    """Probabilities and log-probabilities of one array of rows; log 0 is that of the smallest normal number."""

    p: Array
    log: Array
    zero: Array  # 1.0 for an impossible class, else 0.0


def _from_probs(p: Array) -> Rows:
    return Rows(p, safe_log(p), (p < tiny(p.dtype)).astype(p.dtype))


def _from_logits(z: Array) -> Rows:
    p = sm.softmax(z, (1,))
    # A row of only −∞ is no distribution: its entries are NaN.
    impossible = (z == -jnp.inf) & (p == p)
    log = jnp.where(impossible, jnp.log(jnp.asarray(tiny(z.dtype), z.dtype)), sm.log_softmax(z, (1,)))
    return Rows(p, log, impossible.astype(z.dtype))


def _never(first: Rows, second: Rows) -> Array:
    """Where a possible class of the first row is impossible in the second: the exact count is above 0."""
    return product(1.0 - first.zero, second.zero) > 0.5


def _with_infinite(value: Array, never: Array) -> Array:
    """+∞ where a class of the first row is impossible in the second; NaN stays."""
    return jnp.where(never & ~jnp.isnan(value), jnp.inf, value)


@jax.custom_jvp
def probs_cross_entropy(p: Array, q: Array) -> Array:
    """−Σ p·log q of all pairs of rows of probabilities."""
    first, second = _from_probs(p), _from_probs(q)
    return _with_infinite(0.0 - product(p, second.log), _never(first, second))


@probs_cross_entropy.defjvp
def _probs_cross_entropy_jvp(primals: Sequence[Array], tangents: Sequence[Array]) -> tuple[Array, Array]:
    (p, q), (dp, dq) = primals, tangents
    in_p = -product(dp, _from_probs(q).log)
    in_q = -product(p, masked_reciprocal(q) * dq)
    return probs_cross_entropy(p, q), in_p + in_q + _infinite_slopes(p, q, dp, dq)


def _infinite_slopes(p: Array, q: Array, dp: Array, dq: Array) -> Array:
    """The tangents of pairs with p > 0 at q = 0: +∞ in p, −∞ in q, and 0 for a tangent of 0."""
    first, second = _from_probs(p), _from_probs(q)
    # A large factor before and after the products: ∞ times a zero of a matrix would be NaN in reverse mode.
    large = float(jnp.finfo(p.dtype).max) / 2
    in_p = product(((1.0 - first.zero) * large) * dp, second.zero)
    in_q = product(1.0 - first.zero, (second.zero * large) * dq)
    return jnp.where(_never(first, second), in_p - in_q, 0.0) * large


def logits_cross_entropy(zp: Array, zq: Array) -> Array:
    """−Σ p·log q of all pairs of rows of logits, differentiated by the rules of the softmax."""
    first, second = _from_logits(zp), _from_logits(zq)
    return _with_infinite(0.0 - product(first.p, second.log), _never(first, second))


@jax.custom_jvp
def probs_kl_divergence(p: Array, q: Array) -> Array:
    """Σ p·log(p/q) − p + q of all pairs of rows of probabilities."""

    def exact(a: Array, b: Array) -> Array:
        return rows.PROBS.sum(KL_DIVERGENCE, (1,), (a, b))

    return _corrected(_from_probs(p), _from_probs(q), exact, p, q)


@probs_kl_divergence.defjvp
def _probs_kl_divergence_jvp(primals: Sequence[Array], tangents: Sequence[Array]) -> tuple[Array, Array]:
    (p, q), (dp, dq) = primals, tangents
    first, second = _from_probs(p), _from_probs(q)
    centre = _centre(second)
    in_p = jnp.sum(dp * (first.log - centre), axis=1)[:, None] - product(dp, second.log - centre)
    # 1 − p/q, and 0 where p = q = 0; `_infinite_slopes` adds the slope of q where the value is infinite.
    in_q = jnp.sum(dq, axis=1)[None, :] - product(p, masked_reciprocal(q) * dq) - product(first.zero, second.zero * dq)
    return probs_kl_divergence(p, q), in_p + in_q + _infinite_slopes(p, q, dp, dq)


@jax.custom_jvp
def logits_kl_divergence(zp: Array, zq: Array) -> Array:
    """KL(p‖q) of all pairs of rows of logits."""

    def exact(a: Array, b: Array) -> Array:
        return rows.LOGITS.sum(KL_DIVERGENCE, (1,), (a, b))

    return _corrected(_from_logits(zp), _from_logits(zq), exact, zp, zq)


@logits_kl_divergence.defjvp
def _logits_kl_divergence_jvp(primals: Sequence[Array], tangents: Sequence[Array]) -> tuple[Array, Array]:
    (zp, zq), (dzp, dzq) = primals, tangents
    first, second = _from_logits(zp), _from_logits(zq)
    centre = _centre(second)
    dp = first.p * sm.centred(first.p, dzp, (1,))
    in_p = jnp.sum(dp * (first.log - centre), axis=1)[:, None] - product(dp, second.log - centre)
    in_q = jnp.sum(second.p * dzq, axis=1)[None, :] - product(first.p, dzq)
    return logits_kl_divergence(zp, zq), in_p + in_q


def _centre(second: Rows) -> Array:
    """The mean log-probabilities. Once subtracted, the common part of the rows cannot round; NaN stays in its row."""
    log = jnp.where(second.log == second.log, second.log, 0.0)
    return lax.stop_gradient(jnp.mean(log, axis=0, keepdims=True))


def _corrected(first: Rows, second: Rows, exact: Exact, a: Array, b: Array) -> Array:
    """KL by a product of matrices; pairs that it cannot resolve are evaluated by `exact`."""
    centre = _centre(second)
    from_first, from_second = first.log - centre, second.log - centre
    mass = jnp.sum(first.p, axis=1)[:, None] + jnp.sum(second.p, axis=1)[None, :]
    excess = jnp.sum(second.p, axis=1)[None, :] - jnp.sum(first.p, axis=1)[:, None]
    value = jnp.sum(first.p * from_first, axis=1)[:, None] - product(first.p, from_second) + excess
    size = jnp.sum(first.p * jnp.abs(from_first), axis=1)[:, None] + product(first.p, jnp.abs(from_second)) + mass
    # A product of matrices errs by a few units of the sum of its absolute terms.
    share = 15.0 if value.dtype == jnp.float32 else 8.0
    never = _never(first, second)
    unresolved = (share * value < size) & ~never
    every = jnp.arange(value.shape[0])

    def one_of_each_row(state: tuple[Array, Array]) -> tuple[Array, Array]:
        value, unresolved = state
        chosen = jnp.argmax(unresolved, axis=1)
        resolved = exact(a, jnp.take(b, chosen, axis=0))
        # A row without an unresolved pair keeps its value.
        resolved = jnp.where(unresolved[every, chosen], resolved, value[every, chosen])
        return value.at[every, chosen].set(resolved), unresolved.at[every, chosen].set(False)

    value, _ = lax.while_loop(lambda state: jnp.any(state[1]), one_of_each_row, (value, unresolved))
    return _with_infinite(value, never)


def jensen_shannon(room_sum: Callable[..., Array], a: Array, b: Array, weight: Array) -> Array:
    """The Jensen–Shannon divergence of all pairs, a block of the second rows at a time."""
    # Symbolic sizes, as under `jax.export`, cannot be compared: one block.
    size = max(1, min(BLOCK // max(1, a.size), b.shape[0])) if are_numbers(a, b) else b.shape[0]
    blocks = -(-b.shape[0] // size) if are_numbers(a, b) else 1

    @jax.checkpoint
    def against(part: Array) -> Array:
        shape = (a.shape[0], size, a.shape[1])
        pair = (jnp.broadcast_to(a[:, None], shape), jnp.broadcast_to(part[None], shape))
        return room_sum(JENSEN_SHANNON, (2,), pair, (weight,))

    if not are_numbers(a, b):
        return against(b)
    if not b.shape[0]:
        return jnp.zeros((a.shape[0], 0), a.dtype)
    # Repeated rows fill the last block; their results are cut off.
    filled = jnp.take(b, jnp.arange(blocks * size), axis=0, mode="clip") if blocks * size > b.shape[0] else b
    of_blocks = lax.map(against, filled.reshape(blocks, size, b.shape[1]))
    return jnp.moveaxis(of_blocks, 0, 1).reshape(a.shape[0], blocks * size)[:, : b.shape[0]]
