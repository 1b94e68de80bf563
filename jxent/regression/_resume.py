"""A fit in parts with a checkpoint after each part; a killed fit resumes from the newest checkpoint."""

import os
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jxent.regression._checkpoint import Store
from jxent.regression._mesh import Layout
from jxent.regression._programs import Outcome, Parts, Progress, SolverInputs

# The default number of steps between checkpoints.
EVERY = 100


def run(
    parts: Parts,
    inputs: SolverInputs,
    folder: str | os.PathLike[str],
    problem: dict[str, str],
    every: int,
    layout: Layout | None,
) -> Outcome:
    """Run a fit from its newest checkpoint, and save a checkpoint every `every` steps.

    The state goes through numpy arrays after each part, as it does on its way through the disk. A resumed fit therefore
    ends bit by bit as a fit without interruption.
    """
    store = Store(folder, problem)
    limits = {"max_steps": parts.max_steps, "tolerance": float(inputs.tolerance.absolute)}
    try:
        prepared = parts.prepare(inputs)
        newest = store.latest(parts.like(inputs, prepared))
        at = _placed(parts.begin(inputs, prepared) if newest is None else newest.at, layout)
        going = newest is None or newest.ended != limits
        while going:
            stop = min(int(at.steps) + every, parts.max_steps)
            at = _placed(parts.advance(inputs, prepared, at, stop), layout)
            if not np.isfinite(np.asarray(at.history)[int(at.steps)]):
                break  # `fit` raises the error; the last checkpoint stays the last finite one.
            going = bool(at.going)
            store.save(at, None if going else limits)
        return parts.finish(inputs, prepared, at)
    finally:
        store.close()


def _placed(at: Progress, layout: Layout | None) -> Progress:
    """A copy of the state by way of numpy, every array replicated on all devices."""
    if layout is not None:
        at = layout.replicated(at)

    def through(leaf: Any) -> Any:
        if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
            return jax.random.wrap_key_data(
                jnp.asarray(np.asarray(jax.random.key_data(leaf))), impl=jax.random.key_impl(leaf)
            )
        # On several devices `replicated` places the numpy array, of which every process has all values.
        return jnp.asarray(np.asarray(leaf)) if layout is None else np.asarray(leaf)

    at = jax.tree.map(through, at)
    return at if layout is None else layout.replicated(at)
