"""−log p with its boundary."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jaxtyping import Array

from jxent._numerics.logarithm import safe_log, tiny
from jxent._numerics.primitives import quotient, with_infinite_slopes


@jax.custom_jvp
def surprise(p: Array) -> Array:
    """−log p, +∞ with an infinite slope where p counts as 0."""
    # 0 − log p, not −log p: the surprise of a certain outcome prints as 0, not as −0.
    return jnp.where(p < tiny(p.dtype), jnp.where(p < 0, jnp.nan, jnp.inf), 0.0 - safe_log(p))


@surprise.defjvp
def _surprise_jvp(primals: Sequence[Array], tangents: Sequence[Array]) -> tuple[Array, Array]:
    (p,), (dp,) = primals, tangents
    return surprise(p), with_infinite_slopes(-quotient(jnp.ones_like(p), p) * dp, p < tiny(p.dtype))
