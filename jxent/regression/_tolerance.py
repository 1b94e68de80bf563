"""The tolerance of the gradient at which a fit has converged."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array

from jxent._checks import Numbers

# Relative to the objective times the largest feature (the bias counts as a feature of size 1): that product is about
# the sum of the absolute terms of a gradient entry. Where the objective is nearly 0, as under a small penalty, a
# gradient of 1e-6 is far from the minimum.
RELATIVE = 5e-6


class Tolerance(NamedTuple):
    """The largest gradient entry that counts as converged: in absolute size, and as a share of the objective."""

    absolute: Array
    relative: Array

    def below(self, value: Array) -> Array:
        """The tolerance at this value of the objective."""
        return jnp.minimum(self.absolute, self.relative * value)


def default(dtype: DTypeLike) -> float:
    """The default of the absolute tolerance."""
    return 1e-6 if dtype == jnp.float32 else 1e-10


def tolerance(option: Numbers | None, largest: Array) -> Tolerance:
    """The tolerance from the caller's option, or the default for features of this largest absolute value."""
    if option is None:
        absolute = jnp.asarray(default(largest.dtype), largest.dtype)
        return Tolerance(absolute, RELATIVE * jnp.maximum(largest, 1.0))
    return Tolerance(jnp.asarray(option, largest.dtype), jnp.asarray(jnp.inf, largest.dtype))


@jax.jit
def largest(x: Array) -> Array:
    """The largest absolute value of a feature."""
    return jnp.max(jnp.abs(x))
