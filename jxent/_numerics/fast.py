"""What XLA runs fast, each with a certificate that it is also right.

XLA:CPU (jaxlib 0.10) hands a fusion of +, −, ×, ÷, min, max, abs, sqrt, exp, log, log1p, expm1, sign and a
final reduction to a library of vector kernels; a comparison, a choice, an integer or an operation after the
reduction keeps it from doing so, at 4 to 10 times the cost. A formula made of those operations alone
cannot treat every boundary case, so each one in `fast_chained`, `fast_probs` and `fast_logits` returns, with its
value, whether the value keeps the accuracy of the definition on every row. Where it does not, the next formula of
the measure is asked, which is slower and sure of more rows, and at last the definition. Those in `fast_looped`, made
of loops of another kind (see `loops`), are followed by the definition at once, but for one that serves one weight
alone. A GPU is given the last formula of a measure for large arrays, since it reads them fewer times.

The acceptance bounds come from first-order error analysis: a formula whose absolute error is at most
u·E(row) (u the unit roundoff, 6e-8 in float32, 1.1e-16 in float64) is accepted where E/value is below
what the contract allows: 67 in float32, 36 in float64. Everything here is a fact about one compiler: the
benchmarks show when it stops being true.
"""

import functools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, cast

import jax
import jax.numpy as jnp
from jax import lax
from jax.typing import ArrayLike
from jaxtyping import Array

from jxent._numerics import fast_chained, fast_logits, fast_looped, fast_probs, loops
from jxent._numerics.primitives import flushed, is_sharded, is_symbolic_zero, spread

Axes = tuple[int, ...]
# Of the axes and the operands, as the definition. A formula gives its value, an array or several or a function that
# forms it, and whether each row keeps the accuracy of the definition.
Certified = Callable[..., tuple[Any, Array]]
# The first that certifies every row gives the value: the quicker ones, of which fewer rows are sure, stand first.
Formulas = tuple[Certified, ...]


def certified(formulas: Formulas, exact: Callable[..., Any], axes: Axes, *operands: Array) -> Any:
    """The quick value where every row certifies it, else that of the next formula, at last the definition."""
    quick, *others = formulas
    value, sure = quick(axes, *operands)
    if callable(value):
        # As large as the operands: formed where it is returned, or it would be written twice.
        form = cast("Callable[[], Array]", value)
        return lax.cond(jnp.all(sure), lambda *_: form(), lambda *rest: exact(axes, *rest), *operands)

    def without(value: Any, *operands: Array) -> Any:
        return _without(tuple(others), exact, axes, sure, value, *operands)

    return lax.cond(jnp.all(sure), lambda value, *_: value, without, value, *operands)


# From so many rows on they may be evaluated a portion at a time: all of them, or, where up to one in FEW lacks its
# certificate, these by themselves in up to PORTIONS portions.
MANY, FEW, PORTIONS = 4096, 4, 64
# Numbers of an operand that the definition is given at a time: its temporaries are several times as many.
PORTION = 1 << 20


def _without(others: Formulas, exact: Callable[..., Any], axes: Axes, sure: Array, value: Any, *operands: Array) -> Any:
    """The definition of the rows that lack a certificate where they are few among many, else another value for all."""
    count = sure.shape[0] if sure.ndim == 1 and isinstance(value, Array) and value.shape == sure.shape else 0
    alone = count < MANY or axes != (1,) or any(is_sharded(x) for x in operands)

    def otherwise(value: Any, *operands: Array) -> Any:
        if others:
            return certified(others, exact, axes, *operands)
        whole = alone or jax.default_backend() != "cpu"
        return exact(axes, *operands) if whole else _in_portions(exact, value, *operands)

    if alone:
        return otherwise(value, *operands)
    portion = count // (FEW * PORTIONS)
    lacking = jnp.sum(~sure)

    def mended(value: Array, *operands: Array) -> Array:
        # Beyond those without a certificate the number of rows, which names none.
        (lack,) = jnp.nonzero(~sure, size=portion * PORTIONS, fill_value=count)

        def next_portion(i: Array, value: Array) -> Array:
            chosen = lax.dynamic_slice(lack, (i * portion,), (portion,))
            some = (jnp.take(x, chosen, axis=0, mode="clip") if x.ndim == 2 else x for x in operands)
            return value.at[chosen].set(exact(axes, *some), mode="drop")

        return lax.fori_loop(0, (lacking + portion - 1) // portion, next_portion, value)

    few = lacking <= portion * PORTIONS
    return lax.cond(few, mended, otherwise, value, *operands)


def _in_portions(exact: Callable[..., Any], value: Array, *operands: Array) -> Array:
    """The definition of all rows, a portion at a time: of the operands [rows, categories], others serve every portion.

    Its temporaries are then no more than what the system's allocator keeps for the next call: were they several times
    the operands, every call would be given fresh pages, those of the quick formulas, too.
    """
    count = value.shape[0]
    portion = min(count, max(1, PORTION // max(x.shape[-1] for x in operands if x.ndim == 2)))

    def next_portion(i: Array, value: Array) -> Array:
        start = jnp.minimum(i * portion, count - portion)
        some = (lax.dynamic_slice_in_dim(x, start, portion) if x.ndim == 2 else x for x in operands)
        return lax.dynamic_update_slice_in_dim(value, exact((1,), *some), start, 0)

    return lax.fori_loop(0, -(-count // portion), next_portion, value)


# Below so many numbers a call costs more than its passes: the definition alone compiles in half the time.
SMALL = 4096
# On a GPU the host has to know whether every row is certified before it goes on: worth it from so many numbers on.
LARGE = 1 << 23


def by_platform(exact: Callable[..., Any], formulas: Formulas, axes: Axes, *operands: Array, mapped: int = 0) -> Any:
    """The definition, and on the CPU, for large arrays on a GPU, too, a formulation that is several times faster.

    Mapped, it is the same of arrays with one more axis, `mapped` of them in all, of size 1 where an operand serves
    all members. By itself `vmap` would evaluate every side of a choice, and the choice would be that for one member
    of the batch.
    """
    if not (formulas and axes):
        return _chosen(exact, formulas, axes, *operands)

    @jax.custom_batching.custom_vmap
    def run(*operands: Array) -> Any:
        return _of_members(exact, formulas, axes, mapped, *operands)

    @run.def_vmap
    def _batched(size: Any, batched: Sequence[bool], *given: ArrayLike) -> tuple[Any, Any]:
        del size
        # A parameter that is a constant of the program comes as what it was written as.
        operands = [jnp.asarray(x) for x in given]
        if not any(batched):
            # Of many tangents at one point jax asks for the point's own value: a call of `run` would ask that again.
            value = _of_members(exact, formulas, axes, mapped, *operands)
            return value, jax.tree.map(lambda _: False, value)
        ranks = [x.ndim - b for x, b in zip(operands, batched, strict=True)]
        if any(b and not rank for b, rank in zip(batched, ranks, strict=True)):
            # A parameter for each member has no place in a formula for rows.
            definition = functools.partial(_of_members, exact, (), axes, mapped)
            found = jax.vmap(definition, [0 if b else None for b in batched])(*operands)
        else:
            serves_all = [bool(rank and not b) for b, rank in zip(batched, ranks, strict=True)]
            whole = (x[None] if serves else x for x, serves in zip(operands, serves_all, strict=True))
            found = by_platform(exact, formulas, tuple(a + 1 for a in axes), *whole, mapped=mapped + 1)
        return found, jax.tree.map(lambda _: True, found)

    return run(*operands)


def _of_members(exact: Callable[..., Any], formulas: Formulas, axes: Axes, mapped: int, *operands: Array) -> Any:
    """The same with the mapped axes of size 1 broadcast."""
    members = jnp.broadcast_shapes(*(x.shape[:mapped] for x in operands if x.ndim))
    shapes = [(*members, *x.shape[mapped:]) if x.ndim else () for x in operands]
    if not _are_known(operands) or max(map(math.prod, shapes)) > max(x.size for x in operands):
        # As for all pairs of rows: written out they would take far more memory than the definition does.
        one = functools.partial(exact, tuple(a - mapped for a in axes))
        for size in members[::-1]:
            one = _over_members(one, size)
        return one(*operands)
    return _chosen(exact, formulas, axes, *(spread(x, shape) for x, shape in zip(operands, shapes, strict=True)))


def _over_members(function: Callable[..., Any], size: Any) -> Callable[..., Any]:
    """The function of each member of the first axis, of size 1 where an operand serves all."""

    def of_all(*operands: Array) -> Any:
        serves_all = [x.ndim == 0 or (x.shape[0] == 1 and size != 1) for x in operands]
        ones = (x[0] if serves and x.ndim else x for x, serves in zip(operands, serves_all, strict=True))
        return jax.vmap(function, [None if serves else 0 for serves in serves_all])(*ones)

    return of_all


def _are_known(operands: Sequence[Array]) -> bool:
    """Whether every size is a number: `jax.export` has symbols for sizes, too, of which nothing can be asked."""
    return all(isinstance(n, int) for x in operands for n in x.shape)


def _chosen(exact: Callable[..., Any], formulas: Formulas, axes: Axes, *operands: Array) -> Any:
    size = max(x.size for x in operands) if formulas and _are_known(operands) else 0
    if size < SMALL:
        return exact(axes, *operands)
    suited = [f for f in formulas if not isinstance(f, Suited) or f.suits(axes, *operands)] or formulas[-1:]
    formulas = tuple(suited[:1] if isinstance(suited[0], Suited) and suited[0].alone else suited)
    branches = {"cpu": functools.partial(certified, formulas, exact, axes)}
    if jax.default_backend() == "gpu" and axes and formulas[-1] not in ONE_PASS and size >= LARGE:
        branches["cuda"] = functools.partial(certified, (functools.partial(_of_normal, formulas[-1]),), exact, axes)
    return lax.platform_dependent(*operands, **branches, default=functools.partial(exact, axes))


def _of_normal(formula: Certified, axes: Axes, *operands: Array) -> tuple[Any, Array]:
    return formula(axes, *(flushed(x) if jnp.issubdtype(x.dtype, jnp.floating) else x for x in operands))


@functools.partial(jax.custom_jvp, nondiff_argnums=(0, 1, 2))
def measured(exact: Callable[..., Array], formulas: Formulas, axes: Axes, operands: tuple[Array, ...]) -> Array:
    """A measure of a row by its quick formulas, with the derivative of the definition."""
    return by_platform(exact, formulas, axes, *operands)


@functools.partial(measured.defjvp, symbolic_zeros=True)
def _measured_jvp(
    exact: Callable[..., Array],
    formulas: Formulas,
    axes: Axes,
    primals: Sequence[Any],
    tangents: Sequence[Any],
) -> tuple[Array, Array]:
    (operands,), (moves,) = primals, tangents
    value = measured(exact, formulas, axes, operands)
    moving = [i for i, move in enumerate(moves) if not is_symbolic_zero(move)]

    def of(*some: Array) -> Array:
        # The rest are constants: their derivatives, such as that in the order, are not even formed.
        given = dict(zip(moving, some, strict=True))
        return exact(axes, *(given.get(i, x) for i, x in enumerate(operands)))

    if not moving:
        return value, jnp.zeros_like(value)
    return value, jax.jvp(of, [operands[i] for i in moving], [moves[i] for i in moving])[1]


def trailing(axes: Axes, *operands: Array) -> tuple[tuple[Array, ...], Axes]:
    """The operands with the axes of the categories last, written out so where that pays.

    XLA:CPU reduces over another axis than the last 4 times slower than it transposes and then reduces.
    """
    last = tuple(range(operands[0].ndim - len(axes), operands[0].ndim))
    small = not _are_known(operands) or max(x.size for x in operands) < SMALL
    if axes == last or small or jax.default_backend() != "cpu" or any(is_sharded(x) for x in operands):
        return operands, axes
    return tuple(lax.optimization_barrier(jnp.moveaxis(x, axes, last)) for x in operands), last


class Suited(NamedTuple):
    """A formula for some arrays alone, and whether no other is asked of those."""

    formula: Certified
    suits: Callable[..., bool]
    alone: bool = False

    def __call__(self, axes: Axes, *operands: Array) -> tuple[Any, Array]:
        return self.formula(axes, *operands)


def from_probs(name: str) -> Formulas:
    """The quick formulas of a measure of probabilities."""
    return _found(name, LOOPED_PROBS, CHAINED_PROBS, PROBS)


def from_logits(name: str) -> Formulas:
    """The quick formulas of a measure of logits; one by a loop is sure of as many rows as the others."""
    return _found(name, LOOPED_LOGITS, CHAINED_LOGITS, LOGITS)


def _found(name: str, *tables: Mapping[str, Certified]) -> Formulas:
    return tuple(table[name] for table in tables if name in table)


def _in_segments(formula: Certified, axes: Axes, *operands: Array) -> tuple[Any, Array]:
    """The formula, of very long rows with an axis of segments."""
    cut, inner = loops.in_segments(axes, *operands)
    value, sure = formula(inner, *cut)
    if inner == axes:
        return value, sure
    shape = operands[0].shape
    if callable(value):
        form = cast("Callable[[], Array]", value)
        return lambda: form().reshape(shape), sure
    return value.reshape(shape[:-1]), sure


def _have_categories(least: int, most: int, axes: Axes, *operands: Array) -> bool:
    """Whether rows have so many categories, on a CPU; without axes the operands are no rows."""
    if not axes:
        return True
    return jax.default_backend() == "cpu" and least <= math.prod(operands[0].shape[a] for a in axes) <= most


# Of rows of few categories too many lack the certificates of chained sums, and those of very long rows are slow: the
# more of them there are in a chain, the earlier.
CHAINED_PROBS, CHAINED_LOGITS = (
    {name: Suited(f, functools.partial(_have_categories, fast_probs.MANY_CATEGORIES, most)) for name, f in t.items()}
    for t, most in ((fast_chained.PROBS, loops.MANY_CATEGORIES), (fast_chained.LOGITS, loops.MANY_IN_A_CHAIN))
)
LOOPED_PROBS = {
    # Only one weight has a loop.
    name: Suited(formula, loops.fit_shortly, alone=name != "jensen_shannon_divergence")
    for name, formula in fast_looped.PROBS.items()
}
LOOPED_LOGITS = {name: Suited(formula, loops.fit, alone=True) for name, formula in fast_looped.LOGITS.items()}
PROBS, LOGITS = (
    {name: functools.partial(_in_segments, formula) for name, formula in table.items()}
    for table in (fast_probs.FORMULAS, fast_logits.FORMULAS)
)
# Whose definition takes no more passes on a GPU.
ONE_PASS = frozenset(
    [PROBS[name] for name in ("entropy", "cross_entropy", "total_variation", "hellinger")]
    + [LOGITS[name] for name in ("probabilities", "log_probabilities")]
)
