"""Sums of two heads over the same classes: cross-entropy, KL and Jensen–Shannon divergence.

With z and y the logits of p and q and m = Σ p·(y − z), KL(p‖q) = log(1 + Σ p·(e^t − 1 − t)) for t = (y − z) − m. All
summands are at least 0, so nothing cancels however near the heads are. A block takes its own mean m; where two blocks
meet, the change of the mean adds a term that is not negative either: one pass over the classes is enough.
"""

import functools
from collections.abc import Sequence
from typing import Any, NamedTuple, cast

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array

from jxent._numerics import pair as kernels
from jxent._numerics.compiler import no_fuse
from jxent._numerics.kernels import JENSEN_SHANNON, Formula
from jxent._numerics.logarithm import expm1_excess
from jxent._numerics.pair import Features, with_support
from jxent._numerics.primitives import is_symbolic_zero, lowest
from jxent._numerics.softmax import scaled_difference
from jxent.linear._heads import Operands, from_products, moving, products_of, together, with_tangent
from jxent.linear._softmax import below_top, probabilities, sum_below
from jxent.linear._sums import Measure, Plan, fall, per_row, sum_of_devices, sum_over_classes


class Pair(NamedTuple):
    """Per row: maximum and logarithm of the sum of each head, Σ p·(y − z), KL(p‖q), and the cross-entropy."""

    top_p: Array
    log_p: Array
    top_q: Array
    log_q: Array
    mean: Array
    divergence: Array
    cross_entropy: Array


class _State(NamedTuple):
    """Sums relative to the maxima; `excess` is Σ e^(z − top)·(e^t − 1 − t), `gap` is Σ e^(z − top_p)·(top_q − y)."""

    top_p: Array
    rest_p: Array
    top_q: Array
    rest_q: Array
    mean: Array
    excess: Array
    gap: Array
    impossible: Array  # 1 where a class is possible under p and impossible under q


class _Logits(NamedTuple):
    """One block of both heads; `difference` is y − z, 0 where p is impossible, `absent` where only q is."""

    z: Array
    y: Array
    difference: Array
    absent: Array


def _logits(b: Operands) -> _Logits:
    raw_z, raw_y = (products_of(b, index) for index in (0, 1))
    z, y = (from_products(b, raw) for raw in (raw_z, raw_y))
    no_p, no_q = z == -jnp.inf, y == -jnp.inf
    raw_z, raw_y = (jnp.where(no_p | no_q, 0.0, raw) for raw in (raw_z, raw_y))
    difference = jnp.where(no_q, lowest(z.dtype), scaled_difference(raw_z, raw_y, b.scale))
    return _Logits(z, y, jnp.where(no_p, 0.0, difference), no_q & ~no_p)


def _start(plan: Plan, b: Operands) -> _State:
    del plan
    z, y, difference, absent = _logits(b)
    top_p, _, exps, rest_p = below_top(z)
    top_q, _, _, rest_q = below_top(y)
    total = 1.0 + rest_p
    difference = jnp.where(absent, 0.0, difference)
    mean = jnp.sum(exps * difference, axis=-1) / jnp.where(total > 0.0, total, 1.0)
    t = difference - mean[..., None]
    near = (jnp.abs(t) < 1.0) & (z != -jnp.inf)
    inside = jnp.where(near, t, 0.0)
    # Where t is not small, from the logits of q: e^(z − top) may have underflowed there, or p be impossible.
    far = jnp.exp((y - top_p[..., None]) - mean[..., None]) - exps * (1.0 + t)
    excess = jnp.sum(jnp.where(near, exps * (inside * inside) * expm1_excess(inside), far), axis=-1)
    gap = jnp.sum(exps * jnp.where(absent, 0.0, top_q[..., None] - jnp.where(y == -jnp.inf, 0.0, y)), axis=-1)
    return _State(top_p, rest_p, top_q, rest_q, mean, excess, gap, jnp.max(absent.astype(z.dtype), axis=-1))


def _excess_about(state: _State, top_p: Array, mean: Array) -> Array:
    """Σ e^(z − top)·(e^t − 1 − t) about another mean and relative to a higher maximum.

    With s the change of the mean it is e^(−s)·excess + Σ e^(z − top)·(e^(−s) − 1 + s). Where the excess is above the
    mass of p, it is Σ e^(y − top − mean) less a few times that mass, which the sums of q give in any range.
    """
    drop, change = fall(state.top_p, top_p), mean - state.mean
    total = 1.0 + state.rest_p
    mass = total * jnp.exp(drop)
    is_small = state.excess < total
    close = jnp.abs(change) < 1.0
    s = jnp.where(close, -change, 0.0)
    moved = jnp.exp(jnp.where(is_small, drop - change, 0.0))
    shift = jnp.where(close, mass * (s * s) * expm1_excess(s), total * moved - mass * (1.0 - change))
    small = moved * jnp.where(is_small, state.excess, 0.0) + shift
    of_q = jnp.exp(state.top_q - top_p - mean) * (1.0 + state.rest_q) - mass * (1.0 - change)
    return jnp.where(total > 0.0, jnp.where(is_small, small, of_q), jnp.where(of_q > 0.0, of_q, 0.0))


def _united(states: Sequence[_State], top_p: Array, top_q: Array, total: Any) -> _State:
    """The states together, for `total` as the sum over them, on one device or on all."""
    parts = []
    for state in states:
        mass = (1.0 + state.rest_p) * jnp.exp(fall(state.top_p, top_p))
        of_p, of_q = sum_below(state.top_p, state.rest_p, top_p), sum_below(state.top_q, state.rest_q, top_q)
        gap = jnp.exp(fall(state.top_p, top_p)) * (state.gap - (1.0 + state.rest_p) * fall(state.top_q, top_q))
        parts.append((of_p, of_q, mass, mass * state.mean, gap, state.impossible))
    (rest_p, leads_p), (rest_q, leads_q), mass, first, gap, impossible = total(parts)
    mean = first / jnp.where(mass > 0.0, mass, 1.0)
    (excess,) = total([(_excess_about(state, top_p, mean),) for state in states])
    return _State(
        *(top_p, rest_p + (leads_p - 1.0), top_q, rest_q + (leads_q - 1.0)),
        *(mean, excess, gap, jnp.minimum(impossible, 1.0)),
    )


def _merge(a: _State, b: _State) -> _State:
    tops = jnp.maximum(a.top_p, b.top_p), jnp.maximum(a.top_q, b.top_q)
    return _united((a, b), *tops, lambda parts: jax.tree.map(jnp.add, *parts))


def _across(state: _State, axis_name: str | tuple[str, ...]) -> _State:
    """The state of all devices: one maximum and two sums."""
    tops = lax.pmax(jnp.stack([state.top_p, state.top_q]), axis_name)
    return _united((state,), tops[0], tops[1], lambda parts: sum_of_devices(parts[0], axis_name))


def _finish(state: _State) -> Pair:
    log_p, log_q = jnp.log1p(state.rest_p), jnp.log1p(state.rest_q)
    total = 1.0 + state.rest_p
    near = state.excess < total
    small = jnp.log1p(jnp.where(near, state.excess, 0.0) / jnp.where(total > 0.0, total, 1.0))
    divergence = jnp.where(near, small, ((state.top_q - state.top_p) - state.mean) + (log_q - log_p))
    infinite = state.impossible > 0.0
    crossed = log_q + state.gap / total
    # A row of only −∞ is no distribution.
    no_rows = (total <= 0.0) | (1.0 + state.rest_q <= 0.0)
    divergence, crossed = (jnp.where(no_rows, jnp.nan, jnp.where(infinite, jnp.inf, v)) for v in (divergence, crossed))
    return Pair(state.top_p, log_p, state.top_q, log_q, state.mean, divergence, crossed)


@jax.custom_jvp
def _features(logits: _Logits, seen: Pair) -> Features:
    """The features of one block, from the results of the rows."""
    p, q = probabilities(logits.z, seen.top_p, seen.log_p), probabilities(logits.y, seen.top_q, seen.log_q)
    least = lowest(p.dtype)
    log_p = jnp.maximum(logits.z - seen.top_p[..., None], least) - seen.log_p[..., None]
    log_q = jnp.maximum(logits.y - seen.top_q[..., None], least) - seen.log_q[..., None]
    close = seen.divergence < 0.5
    mean, divergence = (jnp.where(close, a, 0.0)[..., None] for a in (seen.mean, seen.divergence))
    # Of near heads each logarithm is rounded more than their difference; of far ones the mean may be as large as any.
    delta = jnp.where(close[..., None], (logits.difference - mean) - divergence, log_q - log_p)
    near = (jnp.abs(delta) < 1.0) & (logits.z != -jnp.inf)
    inside = jnp.where(near, delta, 0.0)
    diff = jnp.where(near, p * (inside + inside * inside * expm1_excess(inside)), q - p)
    return Features(p, q, log_p, log_q, diff, delta)


@_features.defjvp
def _features_jvp(primals: Sequence[Any], tangents: Sequence[Any]) -> tuple[Features, Features]:
    logits, seen = tangents
    f = _features(*primals)
    dlog_p, dlog_q = logits.z - seen.log_p[..., None], logits.y - seen.log_q[..., None]
    dp, dq = f.p * dlog_p, f.q * dlog_q
    return f, Features(dp, dq, dlog_p, dlog_q, dq - dp, dlog_q - dlog_p)


def _finite_divergence(seen: Pair) -> Array:
    """KL(p‖q); where it is infinite, that of the classes which are possible under q."""
    finite = ((seen.top_q - seen.top_p) - seen.mean) + (seen.log_q - seen.log_p)
    return jnp.where(jnp.isinf(seen.divergence), finite, seen.divergence)


def _kernel_input(logits: _Logits, seen: Pair) -> kernels.Pair:
    f = _features(logits, seen)
    return with_support(f, logits.z == -jnp.inf, logits.y == -jnp.inf)


class _Sums(NamedTuple):
    """Sums of a row that are linear in the tangents ż and ẏ of the logits."""

    log_p: Array  # Σ p·ż
    log_q: Array  # Σ q·ẏ
    mean: Array
    divergence: Array
    cross_entropy: Array


def _moving_logits(b: Operands, moves: Operands) -> tuple[_Logits, Array | None, Array | None]:
    """The logits of a block, and the tangents of the two heads; None for a head that does not move."""
    logits, tangents = with_tangent(_logits, b, moves)
    both = jax.tree.leaves(moves.scale)
    of_p, of_q = (bool(both or jax.tree.leaves(head)) for head in moves.heads)
    return logits, tangents.z if of_p else None, tangents.y if of_q else None


def _tangents(plan: Plan, b: Operands, moves: Operands, seen: Pair) -> _Sums:
    del plan
    logits, dz, dy = _moving_logits(b, moves)
    pair = _kernel_input(logits, seen)
    log_p = log_q = mean = divergence = crossed = jnp.zeros_like(seen.mean)
    # `no_fuse`, since second derivatives sum functions of these sums: see `softmax.centred`; delete both.
    if dz is not None:
        mean_surprise = jnp.where(jnp.isinf(seen.cross_entropy), 0.0, seen.cross_entropy)[..., None]
        log_p = no_fuse(jnp.sum(pair.p * dz, axis=-1))
        # −p·δ less p times its sum, −KL.
        slope = -pair.p * (pair.delta + _finite_divergence(seen)[..., None])
        divergence = no_fuse(jnp.sum(slope * dz, axis=-1))
        mean = -divergence - log_p
        crossed = no_fuse(jnp.sum(pair.p * (-pair.log_q - mean_surprise) * dz, axis=-1))
    if dy is not None:
        log_q = no_fuse(jnp.sum(pair.q * dy, axis=-1))
        in_y = no_fuse(jnp.sum(pair.diff * dy, axis=-1))
        mean = mean + no_fuse(jnp.sum(pair.p * dy, axis=-1))
        divergence, crossed = divergence + in_y, crossed + in_y
    return _Sums(log_p, log_q, mean, divergence, crossed)


def _conclude(sums: _Sums, value: Pair) -> Pair:
    fixed = jnp.zeros_like(value.mean)
    return Pair(fixed, sums.log_p, fixed, sums.log_q, sums.mean, sums.divergence, sums.cross_entropy)


PAIR = Measure(_start, _merge, _across, _finish, _tangents, _conclude)


class _Mixed(NamedTuple):
    """Per row: the Jensen–Shannon divergence, the sums of its slopes in log p and log q, and its slope in w."""

    value: Array
    in_p: Array
    in_q: Array
    in_weight: Array


_flow_q = cast("Formula", JENSEN_SHANNON.flow_q)


def _mixed(plan: Plan, o: Operands, weight: Array) -> tuple[_Mixed, Pair]:
    """The sums of the Jensen–Shannon divergence: a second pass, since the mixture needs both normalisers."""
    seen = per_row(plan, o)
    return _sums_of_mixture(plan, o, *together((seen, weight), plan.axis_name)), seen


def _of_mixture(operands: tuple[Operands, Pair, Array]) -> _Mixed:
    """The sums over one block."""
    b, seen, weight = operands
    pair = _kernel_input(_logits(b), seen)
    formulas = JENSEN_SHANNON.term, JENSEN_SHANNON.flow_p, _flow_q, JENSEN_SHANNON.slope_theta[0]
    return _Mixed(*(no_fuse(jnp.sum(f(pair, weight), axis=-1)) for f in formulas))


@functools.partial(jax.custom_jvp, nondiff_argnums=(0,))
def _sums_of_mixture(plan: Plan, o: Operands, seen: Pair, weight: Array) -> _Mixed:
    return sum_over_classes(plan, lambda b, _, *rows: _of_mixture((b, *rows)), o, None, seen, weight)


@functools.partial(_sums_of_mixture.defjvp, symbolic_zeros=True)
def _sums_of_mixture_jvp(plan: Plan, primals: Sequence[Any], tangents: Sequence[Any]) -> tuple[_Mixed, _Mixed]:
    """Inside `shard_map` JAX (0.10 to 0.12) would lose the rules of `_features` and `relative` in second derivatives.

    Where it differentiates a checkpointed function backwards, it keeps no rule for the values that are computed again.
    Here these are not differentiated. Delete when test_linear_sharded.py passes without.
    """
    (o, seen, weight), moves = primals, moving(tangents)
    value = _sums_of_mixture(plan, o, seen, weight)

    def of(b: Operands, moves: Operands, rows: Any, moves_of_rows: Any) -> _Mixed:
        return with_tangent(_of_mixture, (b, *rows), (moves, *moves_of_rows))[1]

    rest = tuple(moves[1:])
    return value, sum_over_classes(plan, of, o, moves[0], (seen, weight), *together((rest,), plan.axis_name))


@functools.partial(jax.custom_jvp, nondiff_argnums=(0,))
def jensen_shannon(plan: Plan, o: Operands, weight: Array) -> Array:
    """The Jensen–Shannon divergence of each row."""
    return _mixed(plan, o, weight)[0].value


@functools.partial(jensen_shannon.defjvp, symbolic_zeros=True)
def _jensen_shannon_jvp(plan: Plan, primals: Sequence[Any], tangents: Sequence[Any]) -> tuple[Array, Array]:
    (o, weight), (do, dweight) = primals, tangents
    sums, seen = _mixed(plan, o, weight)
    tangent = jnp.zeros_like(sums.value)
    moves = moving(do)
    if jax.tree.leaves(moves):

        def of(b: Operands, moves: Operands, seen: Pair, weight: Array, sums: _Mixed) -> Array:
            logits, dz, dy = _moving_logits(b, moves)
            pair = _kernel_input(logits, seen)
            total = jnp.zeros_like(sums.value)
            if dz is not None:
                slope = JENSEN_SHANNON.flow_p(pair, weight) - pair.p * sums.in_p[..., None]
                total += no_fuse(jnp.sum(slope * dz, axis=-1))
            if dy is not None:
                slope = _flow_q(pair, weight) - pair.q * sums.in_q[..., None]
                total += no_fuse(jnp.sum(slope * dy, axis=-1))
            return total

        tangent = sum_over_classes(plan, of, o, moves, *together((seen, weight, sums), plan.axis_name))
    if not is_symbolic_zero(dweight):
        tangent = tangent + sums.in_weight * dweight
    return sums.value, tangent
