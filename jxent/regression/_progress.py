"""A progress bar for a compiled loop; a new bar does not recompile the loop."""

import contextlib
import itertools
from collections.abc import Generator
from typing import Any

import jax
import numpy as np
from jax import lax
from jaxtyping import Array

_bars: dict[int, Any] = {}
_bar_ids = itertools.count()


def report(bar: Array, max_steps: int, step: Array, value: Array) -> None:
    """Move the bar at every hundredth of `max_steps`: each report is a callback to the host."""
    every = max(1, max_steps // 100)
    lax.cond(step % every == 0, lambda: jax.debug.callback(tick, bar, step, value), lambda: None)


def tick(bar: Array, step: Array, value: Array) -> None:
    """Move the bar to a step and show the objective there."""
    shown = _bars.get(int(bar))
    if shown is not None:
        shown.set_postfix_str(f"objective {float(value):.6f} nats", refresh=False)
        shown.update(int(step) - shown.n)


@contextlib.contextmanager
def progress_bar(max_steps: int, *, enabled: bool) -> Generator[Array]:
    """A bar with a number, by which the compiled loop addresses it: a new bar compiles nothing."""
    number = next(_bar_ids)
    if not enabled:
        yield jax.device_put(np.int32(number))
        return
    try:
        from tqdm.auto import tqdm
    except ImportError as error:
        raise ImportError('progress=True needs tqdm: pip install "jxent[train]"') from error
    with tqdm(total=max_steps, unit="step") as bar:
        _bars[number] = bar
        try:
            yield jax.device_put(np.int32(number))
            jax.effects_barrier()
        finally:
            del _bars[number]
