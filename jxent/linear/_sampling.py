"""The most probable classes of a linear head, and draws from its distribution."""

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Int

from jxent._checks import MeshAxis, Positive, RandomKey, public
from jxent.linear import _engines
from jxent.linear._arguments import one_head
from jxent.linear._choice import draw, most_probable
from jxent.linear._domains import ClassBias, ClassMask, ClassRows, Features
from jxent.linear._heads import MeshAxes, Operands
from jxent.linear._mesh import on_mesh
from jxent.linear._softmax import SOFTMAX
from jxent.linear._sums import Plan


class TopK(NamedTuple):
    """The most probable classes of each row, the most probable first.

    Attributes:
        log_probabilities: log p `[..., k]`.
        ids: int32 class ids `[..., k]`, −1 where no class is possible.
    """

    log_probabilities: Array
    ids: Array


@public
def top_k(
    x: Features,
    w: ClassRows,
    k: int,
    *,
    bias: ClassBias | None = None,
    where: ClassMask | None = None,
    temperature: Positive = 1.0,
    soft_cap: Positive | None = None,
    block_size: int | None = None,
    axis_name: MeshAxis | None = None,
) -> TopK:
    """The k most probable classes of each row with log p, in nats, in one pass without the logits.

    Args:
        k: the number of classes, a static int from 1 to V.

    Returns:
        `TopK(log_probabilities, ids)`, both `[..., k]`, the most probable class first; of classes that are equal, the
        one with the lower id.

    Edge cases: where fewer than k classes are possible, −inf and the id −1 for the rest.

    Gradient: that of the log-probabilities of these ids, as in `score`; ids count as constants.

    Example:
        >>> from jxent import linear
        >>> found = linear.top_k([1.0, 2.0], [[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]], 2)
        >>> [round(v, 6) for v in found.log_probabilities.tolist()], found.ids.tolist()
        ([-0.407606, -1.407606], [2, 1])

    Reference: M. Milakov and N. Gimelshein, Online normalizer calculation for softmax (2018), section 4.
    """
    _engines.check(block_size, axis_name)
    if isinstance(k, bool) or not isinstance(k, int) or k < 1:
        raise ValueError(f"k={k!r} must be an int of at least 1")

    def of(axis_name: MeshAxes, **arrays: Any) -> TopK:
        problem = one_head(**arrays, axis_name=axis_name)
        o = problem.operands
        everywhere = o.classes * (1 if axis_name is None else lax.axis_size(axis_name))
        if k > everywhere:
            raise ValueError(f"k={k} is above the number of classes, {everywhere}")
        plan = Plan(SOFTMAX, _engines.class_block(block_size, o), axis_name)
        ids, rows = most_probable(plan, k, problem.together())
        log_p = -rows.losses[-1]
        if o.idle is not None:
            nothing = o.idle[..., None]
            log_p, ids = jnp.where(nothing, -jnp.inf, log_p), jnp.where(nothing, -1, ids)
        return TopK(log_p, ids)

    arrays = {"x": x, "w": w, "bias": bias, "where": where, "temperature": temperature, "soft_cap": soft_cap}
    return on_mesh(of, arrays, axis_name)


@public
def sample(
    key: RandomKey,
    x: Features,
    w: ClassRows,
    *,
    bias: ClassBias | None = None,
    where: ClassMask | None = None,
    temperature: Positive = 1.0,
    soft_cap: Positive | None = None,
    block_size: int | None = None,
    axis_name: MeshAxis | None = None,
) -> Int[Array, "..."]:
    """One class of each row, drawn from softmax(x·wᵀ + bias), without the logits.

    The class with the largest sum of logit and Gumbel noise. The noise belongs to the row and the class: the draw is
    the same for every block size, and where the classes are sharded. The most probable class is `top_k(x, w, 1).ids`.

    Args:
        key: a `jax.random.key`. Inside a `shard_map` over rows fold the index of the device in: rows count from 0 on
            each of them. Devices that share rows, each with its classes, need one key.

    Returns:
        `[...]`, int32 class ids. More draws of a row are more rows, as in `jnp.broadcast_to(x, (n, *x.shape))`.

    Edge cases: a class at −inf or masked is never drawn; −1 for a row without any possible class or with a NaN.

    Gradient: none, the ids are integers.

    Example:
        >>> import jax
        >>> from jxent import linear
        >>> int(linear.sample(jax.random.key(0), [9.0, 0.0], [[9.0, 0.0], [0.0, 9.0]]))
        0

    Reference: E. J. Gumbel, Statistical theory of extreme values (1954); C. J. Maddison, D. Tarlow and T. Minka, A*
    sampling (2014), section 2.
    """
    _engines.check(block_size, axis_name)
    seed = jax.random.bits(key, (2,), "uint32")

    def of(axis_name: MeshAxes, seed: Array, rows: Array, **arrays: Any) -> Array:
        problem = one_head(**arrays, axis_name=axis_name)
        o: Operands = jax.tree.map(lax.stop_gradient, problem.together())
        # Half of a block for the logits, half for the random bits.
        ids = draw(Plan(SOFTMAX, _engines.class_block(block_size, o, 2), axis_name), seed, rows, o)
        return ids if o.idle is None else jnp.where(o.idle, -1, ids)

    shape = jnp.asarray(x).shape[:-1]
    rows = jnp.arange(math.prod(shape), dtype=jnp.int32).reshape(shape)
    arrays = {"x": x, "w": w, "bias": bias, "where": where, "temperature": temperature, "soft_cap": soft_cap}
    return on_mesh(of, arrays | {"seed": seed, "rows": rows}, axis_name)
