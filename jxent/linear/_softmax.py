"""Sums of one head: the normaliser, weighted surprises −log p, and the entropy."""

import functools
import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array

from jxent._numerics.compiler import no_fuse
from jxent._numerics.logarithm import tiny
from jxent._numerics.primitives import lowest
from jxent.linear._heads import Operands, beside, logits_of, masked_targets, with_tangent
from jxent.linear._sums import Measure, Plan, fall, sum_of_devices


class Rows(NamedTuple):
    """Per row: Σ c·(−log p) and Σ c for each set of coefficients c; log p of class k is (zₖ − top) − log_sum.

    The last set is that of the candidates, `[..., M]`, if there are any.
    """

    losses: tuple[Array, ...]
    masses: tuple[Array, ...]
    top: Array
    log_sum: Array
    entropy: Array | None

    @property
    def logsumexp(self) -> Array:
        """Log Σ exp z."""
        return self.top + self.log_sum


class _State(NamedTuple):
    """Σ exp z = exp(top)·(1 + rest); Σ c·(top − z) and Σ c for each set; Σ exp(z − top)·(top − z) for the entropy."""

    top: Array
    rest: Array
    gaps: tuple[Array, ...]
    masses: tuple[Array, ...]
    spread: Array | None


def coefficients(plan: Plan, z: Array, b: Operands) -> tuple[Array, ...]:
    """The sets of coefficients c of −log p: the weighted targets, and the weights of all possible classes."""
    sets: list[Array] = []
    if b.labels is not None:
        classes = lax.broadcasted_iota(jnp.int32, z.shape, z.ndim - 1)
        sets.append((classes == b.labels[..., None]).astype(z.dtype))
    if b.targets is not None:
        sets.append(masked_targets(b.targets, b.where))
    if plan.smoothing:
        sets.append((z != -jnp.inf).astype(z.dtype))
    if b.class_weights is None:
        return tuple(sets)
    weights = beside(b.class_weights, z)
    return tuple(c * weights for c in sets)


def _of_ids(values: Array, ids: Array) -> tuple[Array, Array]:
    """The values of a block at the candidates that it has, 0 for the others, and the mask of those that it has."""
    here = (ids >= 0) & (ids < values.shape[-1])
    picked = jnp.take_along_axis(values, jnp.where(here, ids, 0), axis=-1)
    return jnp.where(here, picked, 0.0), here


class Below(NamedTuple):
    """A block relative to its maximum: z − top, its exponentials, and their sum without one of the largest."""

    top: Array
    d: Array
    exps: Array
    rest: Array


def below_top(z: Array) -> Below:
    """One largest is kept apart from the others, whose sum is the loss of a row that is nearly certain."""
    top = jnp.max(z, axis=-1, initial=jnp.finfo(z.dtype).min)
    d = z - top[..., None]
    exps = jnp.exp(d)
    others = -jnp.sum(jnp.sign(d) * exps, axis=-1)
    ties = jnp.sum(1.0 + jnp.sign(d), axis=-1)
    return Below(top, d, exps, others + (ties - 1.0))


def sum_below(top: Array, rest: Array, highest: Array) -> tuple[Array, Array]:
    """Σ exp(z − highest) of a block without one of the largest if it has it, and 1 where it has."""
    drop = fall(top, highest)
    leads = drop == 0.0
    return jnp.where(leads, rest, (1.0 + rest) * jnp.exp(drop)), leads.astype(top.dtype)


def _start(plan: Plan, b: Operands) -> _State:
    z = logits_of(b)
    top, d, exps, rest = below_top(z)
    sets = coefficients(plan, z, b)
    gaps = [jnp.sum(jnp.where(c == 0, 0.0, -c * d), axis=-1) for c in sets]
    masses = [jnp.sum(c, axis=-1) for c in sets]
    if b.ids is not None:
        picked, here = _of_ids(-d, b.ids)
        gaps.append(picked)
        masses.append(here.astype(d.dtype))
    spread = jnp.sum(exps * -jnp.maximum(d, lowest(d.dtype)), axis=-1) if plan.entropy else None
    return _State(top, rest, tuple(gaps), tuple(masses), spread)


def _below(gap: Array, mass: Array, drop: Array) -> Array:
    """Σ c·(top − z) relative to a maximum that is higher by −drop."""
    return gap - mass * (drop if gap.ndim == drop.ndim else drop[..., None])


def _spread_below(state: _State, drop: Array) -> Array | None:
    return None if state.spread is None else jnp.exp(drop) * (state.spread - (1.0 + state.rest) * drop)


def _merge(a: _State, b: _State) -> _State:
    """The state of two blocks together; one without any possible class adds 1 + rest = 0."""
    top = jnp.maximum(a.top, b.top)
    drop_a, drop_b = fall(a.top, top), fall(b.top, top)
    rest = jnp.where(
        b.top > a.top, b.rest + (1.0 + a.rest) * jnp.exp(drop_a), a.rest + (1.0 + b.rest) * jnp.exp(drop_b)
    )
    gaps = tuple(
        _below(gap_a, mass_a, drop_a) + _below(gap_b, mass_b, drop_b)
        for gap_a, mass_a, gap_b, mass_b in zip(a.gaps, a.masses, b.gaps, b.masses, strict=True)
    )
    masses = tuple(m + n for m, n in zip(a.masses, b.masses, strict=True))
    spreads = jax.tree.map(jnp.add, _spread_below(a, drop_a), _spread_below(b, drop_b))
    return _State(top, rest, gaps, masses, spreads)


def _across(state: _State, axis_name: str | tuple[str, ...]) -> _State:
    """The state of all devices: one maximum and one sum."""
    top = lax.pmax(state.top, axis_name)
    drop = fall(state.top, top)
    gaps = tuple(_below(gap, mass, drop) for gap, mass in zip(state.gaps, state.masses, strict=True))
    local = *sum_below(state.top, state.rest, top), gaps, state.masses, _spread_below(state, drop)
    rest, leading, gaps, masses, spread = sum_of_devices(local, axis_name)
    return _State(top, rest + (leading - 1.0), gaps, masses, spread)


def _finish(state: _State) -> Rows:
    log_sum = jnp.log1p(state.rest)
    losses = tuple(
        mass * (log_sum if mass.ndim == log_sum.ndim else log_sum[..., None]) + gap
        for gap, mass in zip(state.gaps, state.masses, strict=True)
    )
    entropy = None if state.spread is None else log_sum + state.spread / (1.0 + state.rest)
    return Rows(losses, state.masses, state.top, log_sum, entropy)


@jax.custom_jvp
def _slope(z: Array, c: Array, mass: Array, top: Array, log_sum: Array) -> Array:
    """(Σc)·p − c; where the largest class has most of the mass, (Σc)·(p − 1) + (Σc − c), which keeps the digits."""
    log_p = (z - top) - log_sum
    certain = (z == top) & (2.0 * c > mass)
    return jnp.where(certain, mass * jnp.expm1(log_p) + (mass - c), mass * jnp.exp(log_p) - c)


@_slope.defjvp
def _slope_jvp(primals: Any, tangents: Any) -> tuple[Array, Array]:
    """The derivative of both branches at once, with one array less in a second derivative."""
    (z, c, mass, top, log_sum), (dz, dc, dmass, dtop, dlog_sum) = primals, tangents
    p = jnp.exp((z - top) - log_sum)
    return _slope(z, c, mass, top, log_sum), mass * p * (dz - dtop - dlog_sum) + p * dmass - dc


def probabilities(z: Array, top: Array, log_sum: Array) -> Array:
    """Softmax of a block from the sums of the row; 0 in a row of only −∞."""
    return jnp.exp((z - top[..., None]) - jnp.where(log_sum == -jnp.inf, 0.0, log_sum)[..., None])


class _Sums(NamedTuple):
    """Sums of a row that are linear in the tangents ż of the logits, or ċ of the coefficients."""

    losses: tuple[Array, ...]  # Σ slope·ż + Σ (−log p)·ċ of each set but that of the candidates
    masses: tuple[Array, ...]  # Σ ċ
    log_sum: Array  # Σ p·ż
    others: Array | None  # Σ p·ż without the largest, for the candidates
    picked: Array | None  # ż of the candidates
    entropy: Array | None


def _tangents(plan: Plan, b: Operands, moves: Operands, seen: Rows) -> _Sums:
    fixed = b._replace(labels=None, ids=None, targets=None, class_weights=None)
    z, dz = with_tangent(logits_of, fixed, moves._replace(labels=None, ids=None, targets=None, class_weights=None))
    top, log_sum = seen.top[..., None], seen.log_sum[..., None]
    sets = coefficients(plan, z, b)
    zero = jnp.zeros_like(seen.top)
    losses, masses, dlog_sum = [zero for _ in sets], [zero for _ in sets], zero
    others, picked = (None, None) if b.ids is None else (zero, jnp.zeros(b.ids.shape, z.dtype))
    dentropy = zero if plan.entropy else None
    if dz is not None:
        p = probabilities(z, seen.top, seen.log_sum)
        # `no_fuse`, since second derivatives sum functions of these sums: see `softmax.centred`; delete both.
        dlog_sum = no_fuse(jnp.sum(p * dz, axis=-1))
        for i, (c, mass) in enumerate(zip(sets, seen.masses, strict=False)):
            losses[i] = no_fuse(jnp.sum(_slope(z, c, mass[..., None], top, log_sum) * dz, axis=-1))
        if b.ids is not None:
            others = no_fuse(jnp.sum(jnp.where(z == top, 0.0, p * dz), axis=-1))
            picked = _of_ids(dz, b.ids)[0]
        if seen.entropy is not None:
            surprise = log_sum - jnp.maximum(z - top, lowest(z.dtype))
            dentropy = no_fuse(jnp.sum(p * (surprise - seen.entropy[..., None]) * dz, axis=-1))
    if moves.targets is not None or moves.class_weights is not None:
        bound = -math.log(tiny(z.dtype))
        log_p = (z - top) - log_sum
        surprise = jnp.where(log_p == -jnp.inf, bound, -log_p)
        for i, dc in enumerate(_coefficient_tangents(plan, b, moves, z)):
            losses[i] = losses[i] + no_fuse(jnp.sum(surprise * dc, axis=-1))
            masses[i] = no_fuse(jnp.sum(dc, axis=-1))
    return _Sums(tuple(losses), tuple(masses), dlog_sum, others, picked, dentropy)


def _coefficient_tangents(plan: Plan, b: Operands, moves: Operands, z: Array) -> tuple[Array, ...]:
    """The tangents of the coefficients, in the targets and in the weights of the classes."""
    fixed = b._replace(heads=(), scale=b.scale._replace(temperature=None, soft_cap=None), ids=None)
    moves = moves._replace(heads=(), scale=fixed.scale, ids=None)
    return with_tangent(functools.partial(coefficients, plan, lax.stop_gradient(z)), fixed, moves)[1]


def _conclude(sums: _Sums, value: Rows) -> Rows:
    losses, masses = sums.losses, sums.masses
    if sums.picked is not None and sums.others is not None:
        surprise, log_sum = value.losses[-1], value.log_sum[..., None]
        # d(−log p) = Σ p·ż − ż of the candidate. For the one with most of the mass both are split into the part of the
        # others and its own, where 1 − p is the sum of the others.
        certain = (surprise == log_sum) & (log_sum < math.log(2.0))
        own = jnp.where(certain, jnp.expm1(-log_sum), -1.0) * sums.picked
        losses = (*losses, own + jnp.where(certain, sums.others[..., None], sums.log_sum[..., None]))
        masses = (*masses, jnp.zeros_like(value.masses[-1]))
    return Rows(losses, masses, jnp.zeros_like(value.top), sums.log_sum, sums.entropy)


SOFTMAX = Measure(_start, _merge, _across, _finish, _tangents, _conclude)
