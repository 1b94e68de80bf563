"""The engine over blocks of classes: a running (maximum, sum), closed under every transform.

One rule gives grad, jvp, products with the Hessian in both orders, vmap and shard_map: the tangent is a second scan
over the blocks, Σ slope·(ẋ·w + x·ẇ). It is linear in the tangents and checkpointed: its transpose recomputes each block
of logits instead of storing all of them.
"""

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array

from jxent._numerics.compiler import no_fuse, varying
from jxent._numerics.logarithm import tiny
from jxent._numerics.primitives import is_symbolic_zero
from jxent.linear._blocks import over_blocks


class Plan(NamedTuple):
    """Static parameters: classes in a block, the mesh axis of the classes, whether to compute the mean surprise."""

    block: int
    axis_name: str | None = None
    spread: bool = False


class Operands(NamedTuple):
    """The arrays of logits and targets; the rows have any number of leading axes, written `...`."""

    x: Array  # [..., D]
    w: Array  # [V, D]
    bias: Array | None = None  # [V]
    where: Array | None = None  # [V] or [..., V], there with axes of size 1
    idle: Array | None = None  # [...], rows in which nothing takes part: their x is 0
    labels: Array | None = None  # [...], counted from the first class here; out of range it matches no class
    targets: Array | None = None  # [..., V]
    class_weights: Array | None = None  # [V]


class Moves(NamedTuple):
    """Tangents of the operands; None for an operand without a tangent."""

    x: Array | None
    w: Array | None
    bias: Array | None
    targets: Array | None
    class_weights: Array | None


class Rows(NamedTuple):
    """Per row: Σ c·(−log p) and Σ c for each set of coefficients c; log p of class k is (zₖ − top) − log_sum."""

    losses: tuple[Array, ...]
    masses: tuple[Array, ...]
    top: Array
    log_sum: Array


def product(x: Array, w: Array) -> Array:
    """x·wᵀ `[..., B]`, accumulated in float32 or wider.

    bfloat16 operands are stored as float32 and multiplied as bfloat16. The transposed product then rounds the gradient
    of the logits likewise, and gradients are summed over blocks in float32. XLA:CPU has no such product for small
    operands: it multiplies the stored float32, with the same result. Delete that branch when XLA:CPU has the product.
    """
    precision = None
    if w.dtype == jnp.bfloat16:
        precision = None if jax.default_backend() == "cpu" else lax.DotAlgorithmPreset.BF16_BF16_F32
        w = w.astype(x.dtype)
    return lax.dot_general(x, w, (((x.ndim - 1,), (1,)), ((), ())), precision=precision, preferred_element_type=x.dtype)


def together(tree: Any, axis_name: str | None) -> Any:
    """All arrays cast to vary over every mesh axis that one of them varies over, and over that of the classes.

    Inside `shard_map` unvarying operands are cast to varying (pvary) where they meet varying ones. The transpose of the
    cast is a sum over the devices, which belongs before the loop over blocks, not inside it.
    """
    axes = frozenset[Any]().union(*map(varying, jax.tree.leaves(tree)))
    axes |= {axis_name} if axis_name is not None else set()

    def cast(a: Array) -> Array:
        missing = tuple(sorted(axes - varying(a)))
        return lax.pcast(a, missing, to="varying") if missing else a

    return jax.tree.map(cast, tree) if axes else tree


def block_of(o: Operands, start: Array | int, size: int) -> Operands:
    """The classes `start` to `start + size`."""

    def cut(a: Array | None, axis: int = 0) -> Array | None:
        # A mask of rows alone holds for every class.
        if a is None or a.shape[axis] == 1:
            return a
        return lax.dynamic_slice_in_dim(a, start, size, axis)

    w = lax.dynamic_slice_in_dim(o.w, start, size)
    labels = None if o.labels is None else o.labels - start
    return Operands(
        *(o.x, w, cut(o.bias), cut(o.where, -1), o.idle, labels),
        *(cut(o.targets, -1), cut(o.class_weights)),
    )


def beside(vector: Array, like: Array) -> Array:
    """One number for each class of the block, beside rows of any rank."""
    return vector.reshape((1,) * (like.ndim - vector.ndim) + vector.shape)


def logits_of(b: Operands, multiply: Callable[[Array, Array], Array] = product) -> Array:
    """One block of logits, −∞ for masked classes; an idle row is 0 throughout, which keeps NaN out of it."""
    z = multiply(b.x, clean(b.w, b.where))
    if b.bias is not None:
        z = z + beside(b.bias, z)
    if b.where is None:
        return z
    absent = -jnp.inf if b.idle is None else jnp.where(b.idle, 0.0, -jnp.inf).astype(z.dtype)[..., None]
    return jnp.where(beside(b.where, z), z, absent)


def clean(w: Array, where: Array | None) -> Array:
    """Weights with 0 for classes masked in all rows, since 0·NaN would reach the gradient of x."""
    return w if where is None or where.ndim > 1 else jnp.where(where[:, None], w, 0.0)


def masked_targets(targets: Array, where: Array | None) -> Array:
    """The targets of the classes that take part."""
    return targets if where is None else jnp.where(beside(where, targets), targets, 0.0)


def coefficients(plan: Plan, b: Operands, z: Array) -> tuple[Array, ...]:
    """The sets of coefficients c of −log p: the weighted targets, and the weights of all possible classes."""
    sets: list[Array] = []
    if b.labels is not None:
        classes = lax.broadcasted_iota(jnp.int32, z.shape, z.ndim - 1)
        sets.append((classes == b.labels[..., None]).astype(z.dtype))
    if b.targets is not None:
        sets.append(masked_targets(b.targets, b.where))
    if plan.spread:
        sets.append((z != -jnp.inf).astype(z.dtype))
    if b.class_weights is None:
        return tuple(sets)
    weights = beside(b.class_weights, z)
    return tuple(c * weights for c in sets)


class _State(NamedTuple):
    """Σ exp z = exp(top)·(1 + rest); Σ c·(top − z) and Σ c for each set of coefficients."""

    top: Array
    rest: Array
    gaps: tuple[Array, ...]
    masses: tuple[Array, ...]


def _start(plan: Plan, b: Operands) -> _State:
    """The state of one block."""
    z = logits_of(b)
    top = jnp.max(z, axis=-1, initial=jnp.finfo(z.dtype).min)
    d = z - top[..., None]
    # One largest is kept apart from the others, whose sum is the loss of a row that is nearly certain.
    others = -jnp.sum(jnp.sign(d) * jnp.exp(d), axis=-1)
    ties = jnp.sum(1.0 + jnp.sign(d), axis=-1)
    sets = coefficients(plan, b, z)
    gaps = tuple(jnp.sum(jnp.where(c == 0, 0.0, -c * d), axis=-1) for c in sets)
    return _State(top, others + (ties - 1.0), gaps, tuple(jnp.sum(c, axis=-1) for c in sets))


def _fall(top: Array, highest: Array) -> Array:
    """The finite difference of two maxima; that of a block without possible classes is the most negative number."""
    return jnp.maximum(top - highest, jnp.finfo(top.dtype).min)


def _merge(a: _State, b: _State) -> _State:
    """The state of two blocks together; one without any possible class adds 1 + rest = 0."""
    top = jnp.maximum(a.top, b.top)
    fall_a, fall_b = _fall(a.top, top), _fall(b.top, top)
    rest = jnp.where(
        b.top > a.top, b.rest + (1.0 + a.rest) * jnp.exp(fall_a), a.rest + (1.0 + b.rest) * jnp.exp(fall_b)
    )
    gaps = tuple(
        gap_a - mass_a * fall_a + gap_b - mass_b * fall_b
        for gap_a, mass_a, gap_b, mass_b in zip(a.gaps, a.masses, b.gaps, b.masses, strict=True)
    )
    return _State(top, rest, gaps, tuple(m + n for m, n in zip(a.masses, b.masses, strict=True)))


def _across(state: _State, axis_name: str) -> _State:
    """The state of all devices: one maximum and one sum."""
    top = lax.pmax(state.top, axis_name)
    fall = _fall(state.top, top)
    leads = fall == 0.0
    part = jnp.where(leads, state.rest, (1.0 + state.rest) * jnp.exp(fall))
    gaps = [gap - mass * fall for gap, mass in zip(state.gaps, state.masses, strict=True)]
    sums = lax.psum(jnp.stack([part, leads.astype(part.dtype), *gaps, *state.masses]), axis_name)
    count = len(gaps)
    return _State(top, sums[0] + (sums[1] - 1.0), tuple(sums[2 : 2 + count]), tuple(sums[2 + count :]))


@functools.partial(jax.custom_jvp, nondiff_argnums=(0,))
def per_row(plan: Plan, o: Operands) -> Rows:
    """Log-probabilities and losses of each row; all operands vary over the same mesh axes."""

    def of(start: Array | int, size: int) -> tuple[_State, tuple[()]]:
        return _start(plan, block_of(o, start, size)), ()

    state = over_blocks(plan.block, o.w.shape[0], of, _merge)[0]
    if plan.axis_name is not None:
        state = _across(state, plan.axis_name)
    log_sum = jnp.log1p(state.rest)
    losses = tuple(mass * log_sum + gap for gap, mass in zip(state.gaps, state.masses, strict=True))
    return Rows(losses, state.masses, state.top, log_sum)


@jax.custom_jvp
def _slope(z: Array, c: Array, mass: Array, top: Array, log_sum: Array) -> Array:
    """(Σc)·p − c; where the largest class has most of the mass, (Σc)·(p − 1) + (Σc − c), which keeps the digits."""
    d = z - top
    certain = (d == 0.0) & (2.0 * c > mass)
    return jnp.where(certain, mass * jnp.expm1(-log_sum) + (mass - c), mass * jnp.exp(d - log_sum) - c)


@_slope.defjvp
def _slope_jvp(primals: Sequence[Array], tangents: Sequence[Array]) -> tuple[Array, Array]:
    (z, c, mass, top, log_sum), (dz, dc, dmass, dtop, dlog_sum) = primals, tangents
    p = jnp.exp((z - top) - log_sum)
    return _slope(z, c, mass, top, log_sum), mass * p * (dz - dtop - dlog_sum) + p * dmass - dc


@functools.partial(per_row.defjvp, symbolic_zeros=True)
def _per_row_jvp(plan: Plan, primals: Sequence[Any], tangents: Sequence[Any]) -> tuple[Rows, Rows]:
    (o,), (do,) = primals, tangents
    value = per_row(plan, o)
    seen = together(value, plan.axis_name) if plan.axis_name is not None else value
    moves = Moves(*(None if t is None or is_symbolic_zero(t) else t for t in (getattr(do, n) for n in Moves._fields)))

    # Each block of logits is recomputed for each use, in the transpose too, instead of being stored.
    @functools.partial(jax.checkpoint, prevent_cse=False, static_argnums=(4,))
    def of(start: Array | int, o: Operands, moves: Moves, seen: Rows, size: int) -> tuple[Any, tuple[()]]:
        return _tangents(plan, block_of(o, start, size), _moves_of(moves, start, size), seen), ()

    tangents, _ = over_blocks(plan.block, o.w.shape[0], lambda start, size: of(start, o, moves, seen, size))
    losses, masses, log_sum = tangents
    if plan.axis_name is not None:
        losses, masses, log_sum = _sum_across((losses, masses, log_sum), plan.axis_name)
    return value, Rows(losses, masses, jnp.zeros_like(value.top), log_sum)


def _sum_across(tree: Any, axis_name: str) -> Any:
    """One sum over the devices for all arrays, which have one shape."""
    leaves, structure = jax.tree.flatten(tree)
    return jax.tree.unflatten(structure, list(lax.psum(jnp.stack(leaves), axis_name)))


def _moves_of(moves: Moves, start: Array | int, size: int) -> Moves:
    """The tangents of one block, absent where they are 0."""

    def cut(a: Array | None, axis: int = 0) -> Array | None:
        return None if a is None else lax.dynamic_slice_in_dim(a, start, size, axis)

    targets, class_weights = cut(moves.targets, -1), cut(moves.class_weights)
    return moves._replace(w=cut(moves.w), bias=cut(moves.bias), targets=targets, class_weights=class_weights)


def _tangents(plan: Plan, b: Operands, moves: Moves, seen: Rows) -> Any:
    """The contributions of one block to the tangents of the losses, of Σ c and of the logarithm of the sum."""
    z = logits_of(b)
    top, log_sum = seen.top[..., None], seen.log_sum[..., None]
    sets = coefficients(plan, b, z)
    zero = jnp.zeros_like(seen.top)
    losses, masses, dlog_sum = [zero for _ in sets], [zero for _ in sets], zero
    dz = _logit_tangents(b, moves, z)
    if dz is not None:
        # A row of only −∞ has p = 0.
        p = jnp.exp((z - top) - jnp.where(log_sum == -jnp.inf, 0.0, log_sum))
        # `no_fuse`, since second derivatives sum functions of these sums: see `softmax.centred`; delete both.
        dlog_sum = no_fuse(jnp.sum(p * dz, axis=-1))
        for i, (c, mass) in enumerate(zip(sets, seen.masses, strict=True)):
            losses[i] = no_fuse(jnp.sum(_slope(z, c, mass[..., None], top, log_sum) * dz, axis=-1))
    if moves.targets is not None or moves.class_weights is not None:
        bound = -math.log(tiny(z.dtype))
        log_p = (z - top) - log_sum
        surprise = jnp.where(log_p == -jnp.inf, bound, -log_p)
        for i, dc in enumerate(_coefficient_tangents(plan, b, moves, z)):
            losses[i] = losses[i] + no_fuse(jnp.sum(surprise * dc, axis=-1))
            masses[i] = no_fuse(jnp.sum(dc, axis=-1))
    return tuple(losses), tuple(masses), dlog_sum


def _logit_tangents(b: Operands, moves: Moves, z: Array) -> Array | None:
    """The tangent of a block of logits; None if no operand of theirs has a tangent."""
    parts: list[Array] = []
    if moves.x is not None:
        parts.append(product(moves.x, clean(b.w, b.where)))
    if moves.w is not None:
        parts.append(product(b.x, clean(moves.w, b.where)))
    if moves.bias is not None:
        parts.append(jnp.broadcast_to(beside(moves.bias, z), z.shape))
    if not parts:
        return None
    total = functools.reduce(jnp.add, parts)
    return total if b.where is None else jnp.where(beside(b.where, z), total, 0.0)


def _coefficient_tangents(plan: Plan, b: Operands, moves: Moves, z: Array) -> tuple[Array, ...]:
    """The tangents of the coefficients, in the targets and in the weights of the classes."""
    names = [n for n in ("targets", "class_weights") if getattr(moves, n) is not None]
    primals = tuple(getattr(b, n) for n in names)
    z = lax.stop_gradient(z)
    of = lambda *values: coefficients(plan, b._replace(**dict(zip(names, values, strict=True))), z)  # noqa: E731
    return jax.jvp(of, primals, tuple(getattr(moves, n) for n in names))[1]
