"""Slopes in p and q of the measures made of powers, as plain expressions of p, q and their logarithms.

Each takes a pair (p, q) and its logarithms, of which those of 0 stand at the smallest normal number.
"""

import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array

from jxent.closed_form._shared import Axes, half_over_root, is_zero, lifted, total

Two = tuple[Array, Array]


def _swapped(pair: Two) -> Two:
    return pair[1], pair[0]


def _over(x: Array, order: Array) -> Array:
    """(exp(order·x) − 1)/order, x at order 0."""
    some = jnp.where(order == 0, 1.0, order)
    exponent = jnp.clip(order * x, None, 0.99 * jnp.log(jnp.finfo(x.dtype).max))
    return jnp.where(order == 0, x, jnp.expm1(exponent) / some)


def _height(p: Array, log_p: Array, order: Array) -> Array:
    """(1 − p^(a−1))/(a − 1)."""
    at_zero = is_zero(p) & (order > 1)
    return jnp.where(at_zero, 1.0 / jnp.where(order > 1, order - 1.0, 1.0), -_over(log_p, order - 1.0))


def tsallis_slope(p: Array, log_p: Array, order: ArrayLike, *, normalized: bool) -> Array:
    """Slope of (1 − Σ pᵃ)/(a − 1); that of Σ (p − pᵃ)/(a − 1) where Σp = 1 is given or a is near 1."""
    a = jnp.asarray(order).astype(p.dtype)
    infinite = jnp.isinf(a)
    a = jnp.where(infinite, 2.0, a)
    excess = a - 1.0
    lacking = 0.0 if normalized else excess / jnp.maximum(excess**2, 1.0 / 32.0**2)
    return jnp.where(infinite, 0.0, a * _height(p, log_p, a) - 1.0 - lacking)


def renyi_entropy_slope(
    p: Array, log_p: Array, mask: Array, axes: Axes, order: ArrayLike, *, normalized: bool
) -> Array:
    """Slope of log(Σ p^α)/(1 − α), that of the Tsallis entropy over Σ p^α."""
    a = jnp.asarray(order).astype(p.dtype)
    infinite = jnp.isinf(a)
    a = jnp.where(infinite, 2.0, a)
    possible = mask & ~is_zero(p)
    power = total(jnp.where(possible, jnp.exp(a * log_p), 0.0), axes)
    finite = tsallis_slope(p, log_p, a, normalized=normalized) / power
    top = jnp.max(jnp.where(mask, p, -jnp.inf), axis=axes, keepdims=True)
    largest = jnp.where(p == top, -1.0 / lifted(p), 0.0)
    return jnp.where(infinite, largest / total(jnp.where(mask, (p == top).astype(p.dtype), 0.0), axes), finite)


def _alone(pair: Two) -> tuple[Array, Array]:
    """Where p = 0 < q, and where q = 0 < p."""
    p, q = pair
    return is_zero(p) & ~is_zero(q), is_zero(q) & ~is_zero(p)


def _limit(order: Array) -> Array:
    return 1.0 / jnp.where(order == 0, 1.0, order)


def _one_less_power(pair: Two, logs: Two, gamma: Array) -> Array:
    """(1 − (q/p)^γ)/γ, −log(q/p) at γ = 0; 1/γ where the power is 0 at the boundary."""
    p_alone, q_alone = _alone(pair)
    vanishes = (p_alone & (gamma < 0)) | (q_alone & (gamma > 0))
    return jnp.where(vanishes, _limit(gamma), -_over(logs[1] - logs[0], gamma))


def alpha_slopes(pair: Two, logs: Two, alpha: ArrayLike) -> Two:
    """(1 − (q/p)^γ)/γ and (1 − (p/q)^β)/β, infinite where the value is."""
    alpha = jnp.asarray(alpha).astype(pair[0].dtype)
    beta, gamma = 0.5 * (1.0 - alpha), 0.5 * (1.0 + alpha)
    p_alone, q_alone = _alone(pair)
    in_p = _one_less_power(pair, logs, gamma)
    in_q = _one_less_power(_swapped(pair), _swapped(logs), beta)
    # Towards the boundary where the value is infinite it falls; in the other argument it rises.
    no_q, no_p = q_alone & (gamma <= 0), p_alone & (beta <= 0)
    in_p = jnp.where(no_q, jnp.inf, jnp.where(no_p, -jnp.inf, in_p))
    in_q = jnp.where(no_q, -jnp.inf, jnp.where(no_p, jnp.inf, in_q))
    return in_p, in_q


def log_power_sum(logs: Two, possible: Array, axes: Axes, order: Array) -> Array:
    """Log Σ p^a q^(1−a) over the classes that are possible on both sides."""
    level = jnp.where(possible, logs[0] + (1.0 - order) * (logs[1] - logs[0]), -jnp.inf)
    top = jnp.max(level, axis=axes, keepdims=True)
    top = jnp.where(jnp.isfinite(top), top, 0.0)
    return top + jnp.log(total(jnp.exp(level - top), axes))


def renyi_slopes(pair: Two, logs: Two, mask: Array, axes: Axes, order: ArrayLike) -> Two:
    """Slopes of −log(1 − S)/γ for Z = 1 − S between ½ and 1000, and of −log(Z)/γ otherwise."""
    a = jnp.asarray(order).astype(pair[0].dtype)
    infinite = jnp.isinf(a)
    a = jnp.where(infinite, 2.0, a)
    gamma = 1.0 - a
    p_alone, q_alone = _alone(pair)
    log_z = log_power_sum(logs, mask & ~is_zero(pair[0]) & ~is_zero(pair[1]), axes, a)
    near = (log_z >= jnp.log(0.5)) & (log_z <= jnp.log(1000.0))
    of_sum = (
        a * _one_less_power(pair, logs, gamma),
        jnp.where(p_alone, 1.0, a * _one_less_power(_swapped(pair), _swapped(logs), a)),
    )
    disjoint = jnp.isneginf(log_z)
    some = jnp.where(disjoint, 0.0, log_z)
    delta = logs[1] - logs[0]
    bound = 0.99 * jnp.log(jnp.finfo(delta.dtype).max)
    of_log = (
        jnp.where(q_alone | is_zero(pair[0]) & (gamma < 0), 0.0, -a * _limit(gamma) * jnp.exp(gamma * delta - some)),
        jnp.where(p_alone, 0.0, -jnp.exp(jnp.minimum(-a * delta - some, bound))),
    )
    neither = is_zero(pair[0]) & is_zero(pair[1])
    in_p, in_q = (
        jnp.where(neither, 0.0, jnp.where(near, x * jnp.exp(-some), y)) for x, y in zip(of_sum, of_log, strict=True)
    )
    in_p = jnp.where(disjoint, jnp.where(p_alone, -jnp.inf, 0.0), in_p)
    in_q = jnp.where(disjoint, jnp.where(q_alone, -jnp.inf, 0.0), in_q)
    # From order 1 on a class that q excludes makes the value infinite.
    excluded = q_alone & (a >= 1)
    never = total(jnp.where(mask & excluded, 1.0, 0.0), axes) > 0
    share = _share_of_largest_ratio(logs, mask & ~is_zero(pair[0]), axes)
    largest = share / lifted(pair[0]), -share / lifted(pair[1])
    others = [jnp.where(infinite, 0.0, x) for x in of_sum]
    in_p = jnp.where(never, jnp.where(excluded, jnp.inf, others[0]), jnp.where(infinite, largest[0], in_p))
    in_q = jnp.where(never, jnp.where(excluded, -jnp.inf, others[1]), jnp.where(infinite, largest[1], in_q))
    return in_p, in_q


def _flow(log_p: Array, delta: Array, gamma: Array) -> Array:
    """p·(1 − exp(γδ))/γ, −p·δ at γ = 0, from the logarithms of both powers where they are far apart."""
    apart = jnp.exp(log_p) - jnp.exp(log_p + gamma * delta)
    close = -jnp.exp(log_p) * _over(jnp.where(jnp.abs(gamma * delta) < 1, delta, 0.0), gamma)
    return jnp.where(jnp.abs(gamma * delta) < 1, close, apart * _limit(gamma))


def _centred(flow: Array, p: Array, axes: Axes) -> Array:
    return flow - p * total(flow, axes)


def alpha_flows(pair: Two, logs: Two, sides: Two, axes: Axes, alpha: ArrayLike) -> Two:
    """Gradients of the alpha divergence in two rows of logits, with the classes that each side may have."""
    alpha = jnp.asarray(alpha).astype(pair[0].dtype)
    in_p = _flow_of_side(pair, logs, sides, 0.5 * (1.0 + alpha))
    in_q = _flow_of_side(_swapped(pair), _swapped(logs), _swapped(sides), 0.5 * (1.0 - alpha))
    return _centred(in_p, pair[0], axes), _centred(in_q, pair[1], axes)


def _flow_of_side(pair: Two, logs: Two, sides: Two, gamma: Array) -> Array:
    """(p − p^(1 − γ) q^γ)/γ, whose power is 0 where q is impossible and γ above 0."""
    (here, there), delta = sides, logs[1] - logs[0]
    vanishes = ~there & (gamma > 0)
    return jnp.where(here, jnp.where(vanishes, pair[0] * _limit(gamma), _flow(logs[0], delta, gamma)), 0.0)


def renyi_flows(pair: Two, logs: Two, possible: Array, axes: Axes, order: ArrayLike) -> Two:
    """α/(1 − α)·(p − r) and q − r with the tilted distribution r = p^α q^(1−α)/Z."""
    a = jnp.asarray(order).astype(pair[0].dtype)
    infinite = jnp.isinf(a)
    a = jnp.where(infinite, 2.0, a)
    gamma = 1.0 - a
    delta = logs[1] - logs[0]
    kl = total(jnp.where(possible, -pair[0] * delta, 0.0), axes)
    log_z = log_power_sum(logs, possible, axes, a)
    divergence = jnp.where(gamma == 0, kl, -log_z * _limit(gamma))
    in_p = a * _flow(logs[0], delta + divergence, gamma)
    in_q = jnp.exp(logs[1]) - jnp.exp(logs[0] + gamma * (delta + divergence))
    # Where a side is impossible r is 0.
    in_p = jnp.where(possible, in_p, a * _limit(gamma) * pair[0])
    in_q = jnp.where(possible, in_q, pair[1])
    share = _share_of_largest_ratio(logs, possible, axes)
    in_p = jnp.where(infinite, _centred(share, pair[0], axes), in_p)
    return in_p, jnp.where(infinite, _centred(-share, pair[1], axes), in_q)


def hellinger_flows(pair: Two, logs: Two, mask: Array, axes: Axes) -> Two:
    """(c·p − √(pq))/(4H) and (c·q − √(pq))/(4H) with c = Σ √(pq)."""
    p, q = pair
    square = total(jnp.where(mask, 0.5 * (jnp.sqrt(p) - jnp.sqrt(q)) ** 2, 0.0), axes)
    root = jnp.where(mask, jnp.exp(0.5 * (logs[0] + logs[1])), 0.0)
    common = total(root, axes)
    scale = 0.5 * half_over_root(square)
    return scale * (common * p - root), scale * (common * q - root)


def chi_squared_flows(pair: Two, logs: Two, mask: Array, axes: Axes) -> Two:
    """2(p²/q − c·p) and c·q − p²/q with c = Σ p²/q."""
    p, q = pair
    bound = jnp.log(jnp.finfo(p.dtype).max) - 3.0
    square = jnp.where(mask & (p > 0), jnp.exp(jnp.minimum(2.0 * logs[0] - logs[1], bound)), 0.0)
    common = total(square, axes)
    return 2.0 * (square - common * p), common * q - square


def _share_of_largest_ratio(logs: Two, among: Array, axes: Axes) -> Array:
    """1 for the class with the largest p/q, shared by equals; 0 where p = q throughout."""
    ratio = jnp.where(among, logs[0] - logs[1], -jnp.inf)
    top = jnp.max(ratio, axis=axes, keepdims=True)
    share = jnp.where((ratio == top) & (top > 0), 1.0, 0.0)
    return share / jnp.maximum(total(share, axes), 1.0)


def _root_slopes(pair: Two, logs: Two) -> Two:
    """½(1 − √(q/p)) and ½(1 − √(p/q))."""
    half = jnp.asarray(0.5, pair[0].dtype)
    return 0.5 * half * _one_less_power(pair, logs, half), 0.5 * half * _one_less_power(
        _swapped(pair), _swapped(logs), half
    )


def hellinger_slopes(pair: Two, logs: Two, mask: Array, axes: Axes) -> Two:
    """Slopes of the square over twice the distance."""
    p, q = pair
    square = total(jnp.where(mask, 0.5 * (jnp.sqrt(p) - jnp.sqrt(q)) ** 2, 0.0), axes)
    in_p, in_q = _root_slopes(pair, logs)
    return in_p * half_over_root(square), in_q * half_over_root(square)


def bhattacharyya_slopes(pair: Two, logs: Two, mask: Array, axes: Axes) -> Two:
    """Half those of the Rényi divergence of order ½."""
    in_p, in_q = renyi_slopes(pair, logs, mask, axes, 0.5)
    return 0.5 * in_p, 0.5 * in_q


def chi_squared_slopes(pair: Two, logs: Two) -> Two:
    """2(p/q − 1) and 1 − (p/q)²."""
    p, q = pair
    _, q_alone = _alone(pair)
    less_one = jnp.where(is_zero(p) & ~is_zero(q), -1.0, _over(logs[0] - logs[1], jnp.asarray(1.0, p.dtype)))
    in_p = jnp.where(q_alone, jnp.inf, 2.0 * less_one)
    largest = jnp.finfo(p.dtype).max / 8
    return in_p, jnp.where(q_alone, -jnp.inf, jnp.maximum(-less_one * (less_one + 2.0), -largest))
