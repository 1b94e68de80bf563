"""When a gradient is small enough."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array

from jxent._checks import Numbers

# Of the objective times the largest feature, of which the bias is one of size 1: about what the terms of a gradient
# add up to. Where the objective is nearly 0, as under a small penalty, a gradient of 1e-6 is far from its minimum.
RELATIVE = 5e-6


class Tolerance(NamedTuple):
    """The largest gradient entry that counts as converged, and the largest share of the objective."""

    absolute: Array
    relative: Array

    def below(self, value: Array) -> Array:
        """The tolerance at an objective."""
        return jnp.minimum(self.absolute, self.relative * value)


def default(dtype: DTypeLike) -> float:
    """The largest gradient entry where the caller names none."""
    return 1e-6 if dtype == jnp.float32 else 1e-10


def tolerance(given: Numbers | None, largest: Array) -> Tolerance:
    """What the caller gives, or the default for features of which the largest has this size."""
    if given is None:
        absolute = jnp.asarray(default(largest.dtype), largest.dtype)
        return Tolerance(absolute, RELATIVE * jnp.maximum(largest, 1.0))
    return Tolerance(jnp.asarray(given, largest.dtype), jnp.asarray(jnp.inf, largest.dtype))


@jax.jit
def largest(x: Array) -> Array:
    """The largest size of a feature."""
    return jnp.max(jnp.abs(x))
