"""The compiled loop of a fit: one program with one `while` around any optax optimizer."""

import contextlib
import functools
import itertools
from collections.abc import Generator
from typing import Any, NamedTuple, cast

import jax
import jax.numpy as jnp
import optax
from jax import lax
from jaxtyping import Array

from jxent.regression import _lanes
from jxent.regression._model import Params, objective
from jxent.regression._tolerance import Tolerance


class Data(NamedTuple):
    """Features `[N, D]`, class ids `[N]` or distributions `[N, K]`, and weights `[N]`."""

    x: Array
    targets: Array
    weights: Array


class Outcome(NamedTuple):
    """What the program returns: the fields of `Fit`, and why there is no minimum, as in `_lanes.Minimum`."""

    params: Params
    history: Array
    grad_norm: Array
    num_steps: Array
    converged: Array
    separated: Array
    unseen: Array


class _Carry(NamedTuple):
    params: Params
    state: Any
    value: Array
    grad: Params
    history: Array
    step: Array
    order: Array


@functools.partial(jax.jit, static_argnums=(0, 1, 2, 3))
def run(
    optimizer: optax.GradientTransformation,
    max_steps: int,
    batch_size: int | None,
    progress: bool,  # noqa: FBT001
    start: Params,
    data: Data,
    l2: Array,
    tolerance: Tolerance,
    key: Array,
    bar: Array,
) -> Outcome:
    """Minimise the objective from `start` until the gradient is within the tolerance or `max_steps` are made."""

    def full(params: Params) -> Array:
        return objective(params, data.x, data.targets, l2=l2, sample_weight=data.weights)

    step = _full_step if batch_size is None else functools.partial(_batch_step, batch_size, key, data, l2)
    extended = permissive(optimizer)
    value, grad = jax.value_and_grad(full)(start)
    history = jnp.zeros((max_steps + 1,), value.dtype).at[0].set(value)
    order = jnp.zeros((0 if batch_size is None else data.x.shape[0],), jnp.int32)
    first = _Carry(start, extended.init(start), value, grad, history, jnp.zeros((), jnp.int32), order)

    def unfinished(carry: _Carry) -> Array:
        going = (carry.step < max_steps) & jnp.isfinite(carry.value)
        # With minibatches the gradient at hand is a batch's: only the steps end the loop.
        return going if batch_size is not None else going & (_largest(carry.grad) > tolerance.below(carry.value))

    def body(carry: _Carry) -> _Carry:
        after = step(extended, full, carry)
        if progress:
            report(bar, max_steps, after.step, after.value)
        return after

    last = lax.while_loop(unfinished, body, first)
    value, grad = (last.value, last.grad) if batch_size is None else jax.value_and_grad(full)(last.params)
    norm = _largest(grad)
    task = _lanes.one(data.x, data.targets, data.weights, l2)
    z = _lanes.scores(data.x, _lanes.lane(*last.params))
    minimum = _lanes.minimum(task, z)
    converged = (norm <= tolerance.below(value)) & jnp.isfinite(last.value) & minimum.exists[0]
    return Outcome(last.params, last.history, norm, last.step, converged, minimum.separated[0], minimum.unseen[0])


def permissive(optimizer: optax.GradientTransformation) -> optax.GradientTransformationExtraArgs:
    """The optimizer under JAX's default promotion: optax mixes dtypes where the caller may have set "strict"."""
    extended = optax.with_extra_args_support(optimizer)

    def relaxed(function: Any) -> Any:
        @functools.wraps(function)
        def call(*args: Any, **extra: Any) -> Any:
            with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
                return function(*args, **extra)

        return call

    return optax.GradientTransformationExtraArgs(relaxed(extended.init), relaxed(extended.update))


def _largest(grad: Params) -> Array:
    return jnp.maximum(jnp.max(jnp.abs(grad.weights)), jnp.max(jnp.abs(grad.bias)))


def _full_step(optimizer: optax.GradientTransformationExtraArgs, full: Any, carry: _Carry) -> _Carry:
    updates, state = optimizer.update(
        carry.grad, carry.state, carry.params, value=carry.value, grad=carry.grad, value_fn=full
    )
    params = cast("Params", optax.apply_updates(carry.params, updates))
    value, grad = _evaluate(full, params, state)
    step = carry.step + 1
    return carry._replace(
        params=params,
        state=state,
        value=value,
        grad=grad,
        history=carry.history.at[step].set(value),
        step=step,
    )


def _evaluate(full: Any, params: Params, state: Any) -> tuple[Array, Params]:
    """Value and gradient; a line search has them at the point where it stopped, and they are reused.

    Only where it is the last of its chain: a transformation after it moves the parameters elsewhere.
    """
    last = state
    while type(last) is tuple and last:
        last = last[-1]
    if _is_line_search(last):
        return cast("Any", optax.value_and_grad_from_state(full)(params, state=last))
    return jax.value_and_grad(full)(params)


def _is_line_search(state: Any) -> bool:
    return isinstance(state, (optax.ScaleByZoomLinesearchState, optax.ScaleByBacktrackingLinesearchState)) and (
        state.grad is not None
    )


def _batch_step(
    batch_size: int,
    key: Array,
    data: Data,
    l2: Array,
    optimizer: optax.GradientTransformationExtraArgs,
    full: Any,
    carry: _Carry,
) -> _Carry:
    del full
    rows = data.x.shape[0]
    per_epoch = rows // batch_size
    epoch, position = carry.step // per_epoch, carry.step % per_epoch
    order = lax.cond(
        position == 0,
        lambda: jax.random.permutation(jax.random.fold_in(key, epoch), rows).astype(jnp.int32),
        lambda: carry.order,
    )
    chosen = lax.dynamic_slice(order, (position * batch_size,), (batch_size,))
    x, targets, weights = (jnp.take(a, chosen, axis=0) for a in data)

    def batch(params: Params) -> Array:
        return objective(params, x, targets, l2=l2, sample_weight=weights)

    value, grad = jax.value_and_grad(batch)(carry.params)
    updates, state = optimizer.update(grad, carry.state, carry.params, value=value, grad=grad, value_fn=batch)
    params = cast("Params", optax.apply_updates(carry.params, updates))
    step = carry.step + 1
    history = carry.history.at[step].set(value)
    return _Carry(params, state, value, grad, history, step, order)


_bars: dict[int, Any] = {}
_bar_ids = itertools.count()


def report(bar: Array, max_steps: int, step: Array, value: Array) -> None:
    """Move the bar, at every hundredth of the way: a report leaves the device."""
    every = max(1, max_steps // 100)
    lax.cond(step % every == 0, lambda: jax.debug.callback(_tick, bar, step, value), lambda: None)


def _tick(bar: Array, step: Array, value: Array) -> None:
    shown = _bars.get(int(bar))
    if shown is not None:
        shown.set_postfix_str(f"objective {float(value):.6f} nats", refresh=False)
        shown.update(int(step) - shown.n)


@contextlib.contextmanager
def progress_bar(max_steps: int, *, enabled: bool) -> Generator[Array]:
    """A bar that the compiled loop finds by its number, so that a new bar compiles nothing."""
    number = next(_bar_ids)
    if not enabled:
        yield jnp.asarray(number, jnp.int32)
        return
    try:
        from tqdm.auto import tqdm
    except ImportError as error:
        raise ImportError('progress=True needs tqdm: pip install "jxent[train]"') from error
    with tqdm(total=max_steps, unit="step") as bar:
        _bars[number] = bar
        try:
            yield jnp.asarray(number, jnp.int32)
            jax.effects_barrier()
        finally:
            del _bars[number]
