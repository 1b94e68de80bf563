"""A fit in parts, with a checkpoint after each: what is killed goes on from the newest."""

import os
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jxent.regression._checkpoint import Store
from jxent.regression._mesh import Layout
from jxent.regression._programs import Given, Outcome, Parts, Progress

# Steps between checkpoints where the caller names none.
EVERY = 100


def run(
    parts: Parts,
    given: Given,
    folder: str | os.PathLike[str],
    problem: dict[str, str],
    every: int,
    layout: Layout | None,
) -> Outcome:
    """The outcome of a fit that starts where its newest checkpoint is, and keeps one every so many steps.

    What a part starts from has been through the same hands whether it comes from the disk or from the part before:
    numpy arrays. So a fit that was killed ends bit by bit where one that was not does.
    """
    store = Store(folder, problem)
    limits = {"max_steps": parts.max_steps, "tolerance": float(given.tolerance.absolute)}
    try:
        prepared = parts.prepare(given)
        found = store.latest(parts.like(given, prepared))
        at = _placed(parts.begin(given, prepared) if found is None else found.at, layout)
        going = found is None or found.ended != limits
        while going:
            stop = min(int(at.steps) + every, parts.max_steps)
            at = _placed(parts.advance(given, prepared, at, stop), layout)
            if not np.isfinite(np.asarray(at.history)[int(at.steps)]):
                break  # Told by the caller; the checkpoint before it is the last good one.
            going = bool(at.going)
            store.save(at, None if going else limits)
        return parts.finish(given, prepared, at)
    finally:
        store.close()


def _placed(at: Progress, layout: Layout | None) -> Progress:
    """Every array whole on every device, by way of numpy."""
    if layout is not None:
        at = layout.replicated(at)

    def through(leaf: Any) -> Any:
        if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
            return jax.random.wrap_key_data(
                jnp.asarray(np.asarray(jax.random.key_data(leaf))), impl=jax.random.key_impl(leaf)
            )
        # Over several devices from numpy, which every process has whole.
        return jnp.asarray(np.asarray(leaf)) if layout is None else np.asarray(leaf)

    at = jax.tree.map(through, at)
    return at if layout is None else layout.replicated(at)
