"""The logarithm of Γ and its derivative, for posteriors.

Arguments are positive: a few logarithms and divisions suffice. The general functions, which handle poles, take dozens.
"""

import math

import jax.numpy as jnp
from jaxtyping import Array

# From SHIFT on the series below have all digits of float64; above LARGE, differences cancel in the formula.
SHIFT, LARGE = 10, 20.0
# Coefficients of log Γ(x) − [(x − ½)·log x − x + ½·log 2π] in 1/x, 1/x³, …; of ψ(x) − [log x − 1/2x] in 1/x², 1/x⁴, ….
STIRLING = (1 / 12, -1 / 360, 1 / 1260, -1 / 1680, 1 / 1188, -691 / 360360)
BERNOULLI = (-1 / 12, 1 / 120, -1 / 252, 1 / 240, -1 / 132, 691 / 32760, -1 / 12)


def log_rising(a: Array, n: Array) -> Array:
    """Log Γ(a + n) − log Γ(a) − n·log a for a > 0 and n = 0 or n >= 1; large terms in a cancel in the formula."""
    large = a > LARGE
    small, high = jnp.minimum(a, LARGE), jnp.maximum(a, LARGE)
    below, lifted = _lifted(small + n)
    # One logarithm for both cases: of 1 + n/a for large a, else of a + n shifted to where the series holds.
    log = jnp.log1p(jnp.where(large, n / high, lifted - 1))
    place = jnp.where(large, high + n, lifted)
    start = jnp.where(large, _stirling(high), log_gamma(small) + n * jnp.log(small) - 0.5 * math.log(2 * math.pi))
    shift = jnp.where(large, n, lifted)
    factors = jnp.where(large, 0.0, jnp.log(_factors(below)[0]))
    return (place - 0.5) * log - shift + _stirling(place) - start - factors


def log_gamma(x: Array) -> Array:
    """Log Γ of positive numbers."""
    below, lifted = _lifted(x)
    series = (lifted - 0.5) * jnp.log(lifted) - lifted + 0.5 * math.log(2 * math.pi) + _stirling(lifted)
    return series - jnp.log(_factors(below)[0])


def digamma(x: Array) -> Array:
    """The derivative of `log_gamma`."""
    below, lifted = _lifted(x)
    product, slope = _factors(below)
    inverse = 1 / lifted
    return (
        jnp.log(lifted)
        - 0.5 * inverse
        + _series(BERNOULLI, jnp.square(inverse)) * jnp.square(inverse)
        - (slope / product)
    )


def _lifted(x: Array) -> tuple[Array, Array]:
    """(x, x + SHIFT) for x below SHIFT; elsewhere (∞, x), where ∞ stands for no factors."""
    below = x < SHIFT
    return jnp.where(below, x, jnp.inf), jnp.where(below, x + SHIFT, x)


def _factors(below: Array) -> tuple[Array, Array]:
    """The product x·(x + 1)···(x + shift − 1) and its derivative; 1 and 0 where there are no factors."""
    shifted = below < SHIFT
    x = jnp.where(shifted, below, 1.0)
    product, slope = x, jnp.ones_like(x)
    for i in range(1, SHIFT):
        product, slope = product * (x + i), slope * (x + i) + product
    return jnp.where(shifted, product, 1.0), jnp.where(shifted, slope, 0.0)


def _stirling(x: Array) -> Array:
    inverse = 1 / x
    return _series(STIRLING, jnp.square(inverse)) * inverse


def _series(coefficients: tuple[float, ...], x: Array) -> Array:
    """A polynomial, by Horner."""
    value = jnp.full_like(x, coefficients[-1])
    for c in reversed(coefficients[:-1]):
        value = value * x + c
    return value
