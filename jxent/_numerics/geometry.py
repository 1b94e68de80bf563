"""The Fisher information of a categorical distribution in its logits; the categories are the last axis."""

import jax.numpy as jnp
from jaxtyping import Array

from jxent._numerics import softmax as sm
from jxent._numerics.compiler import gathered
from jxent._numerics.logarithm import at_least_tiny


def fisher_information(z: Array) -> Array:
    """diag(p) − p·pᵀ, with the diagonal as p(1 − p) and 1 − p as the sum of the others."""
    axes = (z.ndim - 1,)
    z = gathered(z, axes)
    p, rest = sm.softmax(z, axes), sm.complement(z, axes)
    outside = -p[..., :, None] * p[..., None, :]
    eye = jnp.eye(z.shape[-1], dtype=bool)
    return jnp.where(eye, (p * rest)[..., :, None], outside)


def fisher_vector_product(z: Array, v: Array) -> Array:
    """p(v − Σ p·v)."""
    axes = (z.ndim - 1,)
    p = sm.softmax(z, axes)
    return p * sm.centred(p, v, axes)


def natural_gradient(z: Array, gradient: Array) -> Array:
    """g/p less its mean over the possible classes, for g less its own mean."""
    possible = z != -jnp.inf
    count = jnp.sum(possible, axis=-1, keepdims=True).astype(z.dtype)

    def centred(x: Array) -> Array:
        x = jnp.where(possible, x, 0.0)
        return jnp.where(possible, x - jnp.sum(x, axis=-1, keepdims=True) / jnp.maximum(count, 1.0), 0.0)

    p = sm.softmax(z, (z.ndim - 1,))
    return centred(centred(gradient) / at_least_tiny(p)) + 0.0 * p
