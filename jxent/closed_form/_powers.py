"""Gradients of the measures with an order and of the distances, by hand, for `probs` and `logits`."""

import jax.numpy as jnp
from jaxtyping import Array

from jxent import logits, probs
from jxent._checks import Numbers
from jxent.closed_form._gradient_of import in_both_rooms, of_logits, of_probabilities
from jxent.closed_form._rows import Row, difference, half_over_root, total

# fmt: off
__all__ = [
    "logits_alpha_divergence", "logits_bhattacharyya_distance", "logits_chi_squared_divergence",
    "logits_hellinger_distance", "logits_renyi_divergence", "logits_renyi_entropy", "logits_total_variation",
    "logits_triangular_discrimination", "logits_tsallis_entropy", "probs_alpha_divergence",
    "probs_bhattacharyya_distance", "probs_chi_squared_divergence", "probs_hellinger_distance",
    "probs_renyi_divergence", "probs_renyi_entropy", "probs_total_variation", "probs_triangular_discrimination",
    "probs_tsallis_entropy",
]
# fmt: on

Two = tuple[Array, Array]
EQUAL_OR_IMPOSSIBLE = "0 for classes at −inf and at p = q."
INFINITE_OR_EQUAL = "infinite where the value is; 0 at p = q."


def _order(p: Row, order: Numbers) -> tuple[Array, Array]:
    """The order, with 2 for ∞, and whether it is ∞."""
    a = jnp.asarray(order).astype(p.p.dtype)
    return jnp.where(jnp.isinf(a), 2.0, a), jnp.isinf(a)


def _inverse(x: Array) -> Array:
    """1/x, 1 at x = 0."""
    return 1.0 / jnp.where(x == 0, 1.0, x)


def _power_quotient(x: Array, order: Array) -> Array:
    """(exp(order·x) − 1)/order, x at order 0."""
    exponent = jnp.clip(order * x, None, 0.99 * jnp.log(jnp.finfo(x.dtype).max))
    return jnp.where(order == 0, x, jnp.expm1(exponent) * _inverse(order))


def _height(p: Row, a: Array) -> Array:
    """(1 − p^(a−1))/(a − 1)."""
    limit = 1.0 / jnp.where(a > 1, a - 1.0, 1.0)
    return jnp.where(p.zero & (a > 1), limit, -_power_quotient(p.log, a - 1.0))


def _tsallis_entropy(p: Row, a: Array) -> Array:
    """The slope a·h − 1 of Σ (p − pᵃ)/(a − 1), plus that of the deficit 1 − Σp away from order 1."""
    excess = a - 1.0
    return a * _height(p, a) - 1.0 - excess / jnp.maximum(excess**2, 1.0 / 32.0**2)


@of_probabilities(
    probs.tsallis_entropy, "2.0", edge="at p = 0 as at the smallest normal number for a < 1; 0 at order ∞."
)
def probs_tsallis_entropy(p: Row, *, order: Numbers) -> Array:
    """Of (1 − Σ pᵃ)/(a − 1): ∂/∂pₖ = −a·pₖ^(a−1)/(a − 1).

    Near order 1, where Σp is taken as 1, the summands are (p − pᵃ)/(a − 1) and their slopes a·h − 1 with
    h = (1 − pₖ^(a−1))/(a − 1).
    """
    a, infinite = _order(p, order)
    return jnp.where(infinite, 0.0, _tsallis_entropy(p, a))


@of_logits(logits.tsallis_entropy, "2.0", edge="0 for classes at −inf, and at order ∞.")
def logits_tsallis_entropy(p: Row, *, order: Numbers) -> Array:
    """Of (1 − Σ pᵃ)/(a − 1): pₖ(sₖ − Σ p·s) with the slopes sₖ = a·h, h = (1 − pₖ^(a−1))/(a − 1)."""
    a, infinite = _order(p, order)
    return jnp.where(infinite, 0.0, p.pull(a * _height(p, a)))


def _power_sum(p: Row, a: Array) -> Array:
    return total(jnp.where(p.part & ~p.zero, jnp.exp(a * p.log), 0.0))


def _of_largest(p: Row) -> Array:
    """The slope −1/p of −log max p, divided among ties."""
    largest = p.part & (p.p == jnp.max(jnp.where(p.part, p.p, -jnp.inf), axis=-1, keepdims=True))
    return jnp.where(largest, -1.0 / p.lifted, 0.0) / jnp.maximum(total(largest.astype(p.p.dtype)), 1.0)


@of_probabilities(
    probs.renyi_entropy,
    "2.0",
    edge="at p = 0 as at the smallest normal number for α < 1; at order ∞ −1/p in the largest, divided among ties.",
)
def probs_renyi_entropy(p: Row, *, alpha: Numbers) -> Array:
    """Of log Z/(1 − α), Z = Σ p^α, with ∂Z/∂pₖ = αpₖ^(α−1): ∂/∂pₖ = α/(1 − α)·pₖ^(α−1)/Z.

    Near order 1, where Σp is taken as 1, log Z is log(1 + (1 − α)T) with T = Σ (p − p^α)/(α − 1), which gives
    (α·h − 1)/Z with h = (1 − pₖ^(α−1))/(α − 1), the gradient of Shannon's entropy at 1.
    """
    a, infinite = _order(p, alpha)
    return jnp.where(infinite, _of_largest(p), _tsallis_entropy(p, a) / _power_sum(p, a))


@of_logits(logits.renyi_entropy, "2.0")
def logits_renyi_entropy(p: Row, *, alpha: Numbers) -> Array:
    """Of log Z/(1 − α), Z = Σ p^α: pₖ(sₖ − Σ p·s) with the slopes sₖ = α·h/Z, h = (1 − pₖ^(α−1))/(α − 1)."""
    a, infinite = _order(p, alpha)
    return p.pull(jnp.where(infinite, _of_largest(p), a * _height(p, a) / _power_sum(p, a)))


def _alone(p: Row, q: Row) -> Array:
    """Where p > 0 and q = 0."""
    return q.zero & ~p.zero


def _one_less_power(p: Row, q: Row, gamma: Array) -> Array:
    """(1 − (q/p)^γ)/γ, −log(q/p) at γ = 0; 1/γ where the power is 0 at the boundary."""
    vanishes = (_alone(q, p) & (gamma < 0)) | (_alone(p, q) & (gamma > 0))
    return jnp.where(vanishes, _inverse(gamma), -_power_quotient(q.log - p.log, gamma))


@of_probabilities(probs.alpha_divergence, "0.5", edge=INFINITE_OR_EQUAL)
def probs_alpha_divergence(p: Row, q: Row, *, alpha: Numbers) -> Two:
    """Of Amari's Σ [βp + γq − p^β q^γ]/(βγ), β = (1 − α)/2, γ = (1 + α)/2.

    ∂/∂pₖ = (1 − (qₖ/pₖ)^γ)/γ and ∂/∂qₖ = (1 − (pₖ/qₖ)^β)/β, the logarithms of the ratios at γ = 0 and β = 0.
    """
    a = jnp.asarray(alpha).astype(p.p.dtype)
    beta, gamma = 0.5 * (1.0 - a), 0.5 * (1.0 + a)
    # Where the value is infinite, its slope is −∞ in the argument that is 0 and +∞ in the other.
    no_q, no_p = _alone(p, q) & (gamma <= 0), _alone(q, p) & (beta <= 0)
    in_p, in_q = _one_less_power(p, q, gamma), _one_less_power(q, p, beta)
    in_p = jnp.where(no_q, jnp.inf, jnp.where(no_p, -jnp.inf, in_p))
    return in_p, jnp.where(no_q, -jnp.inf, jnp.where(no_p, jnp.inf, in_q))


def _flow(p: Row, delta: Array, gamma: Array) -> Array:
    """p·(1 − exp(γδ))/γ, −p·δ at γ = 0; where the powers are far apart, from their logarithms."""
    apart = jnp.exp(p.log) - jnp.exp(p.log + gamma * delta)
    near = jnp.abs(gamma * delta) < 1
    close = -jnp.exp(p.log) * _power_quotient(jnp.where(near, delta, 0.0), gamma)
    return jnp.where(near, close, apart * _inverse(gamma))


def _centred(p: Row, flow: Array) -> Array:
    """fₖ − pₖ·Σ f for f = p·s."""
    return p.balanced(flow - p.p * total(flow))


@of_logits(logits.alpha_divergence, "0.5", edge=EQUAL_OR_IMPOSSIBLE)
def logits_alpha_divergence(p: Row, q: Row, *, alpha: Numbers) -> Two:
    """Of Amari's Σ [βp + γq − p^β q^γ]/(βγ), β = (1 − α)/2, γ = (1 + α)/2.

    ∂/∂pₖ = (1 − (qₖ/pₖ)^γ)/γ and ∂/∂qₖ = (1 − (pₖ/qₖ)^β)/β, the logarithms of the ratios at γ = 0 and β = 0. In the
    logits pₖ(sₖ − Σ p·s) for the slopes s in p, where p·s = (p − p^(1−γ) q^γ)/γ keeps powers that p alone would lose.
    """
    a = jnp.asarray(alpha).astype(p.p.dtype)

    def flow(p: Row, q: Row, gamma: Array) -> Array:
        vanishes = ~q.possible & (gamma > 0)
        inside = jnp.where(vanishes, p.p * _inverse(gamma), _flow(p, q.log - p.log, gamma))
        return _centred(p, jnp.where(p.possible, inside, 0.0))

    return flow(p, q, 0.5 * (1.0 + a)), flow(q, p, 0.5 * (1.0 - a))


def _log_power_sum(p: Row, q: Row, a: Array) -> Array:
    """Log Σ p^a q^(1−a) over the classes that are possible on both sides."""
    level = jnp.where(p.possible & q.possible, p.log + (1.0 - a) * (q.log - p.log), -jnp.inf)
    top = jnp.max(level, axis=-1, keepdims=True)
    top = jnp.where(jnp.isfinite(top), top, 0.0)
    return top + jnp.log(total(jnp.exp(level - top)))


def _share_of_largest_ratio(p: Row, q: Row, among: Array) -> Array:
    """1 for the class with the largest p/q, divided among ties; 0 for a row with p = q."""
    ratio = jnp.where(among, p.log - q.log, -jnp.inf)
    top = jnp.max(ratio, axis=-1, keepdims=True)
    share = jnp.where((ratio == top) & (top > 0), 1.0, 0.0)
    return share / jnp.maximum(total(share), 1.0)


def _renyi_divergence(p: Row, q: Row, *, alpha: Numbers) -> Two:
    """Of −log(1 − S)/γ, γ = 1 − α, S = Σ [αp + γq − p^α q^γ].

    ∂S/∂pₖ = α(1 − (qₖ/pₖ)^γ) and ∂S/∂qₖ = γ(1 − (pₖ/qₖ)^α), each divided by γ(1 − S); where 1 − S is below ½ or above
    1000 those of −log(Σ p^α q^γ)/γ.
    """
    a, infinite = _order(p, alpha)
    gamma = 1.0 - a
    p_alone, q_alone = _alone(q, p), _alone(p, q)
    log_z = _log_power_sum(p, q, a)
    near = (log_z >= jnp.log(0.5)) & (log_z <= jnp.log(1000.0))
    of_sum = a * _one_less_power(p, q, gamma), jnp.where(p_alone, 1.0, a * _one_less_power(q, p, a))
    disjoint = jnp.isneginf(log_z)
    level = jnp.where(disjoint, 0.0, log_z)
    delta = q.log - p.log
    bound = 0.99 * jnp.log(jnp.finfo(delta.dtype).max)
    of_log = (
        jnp.where(q_alone | p.zero & (gamma < 0), 0.0, -a * _inverse(gamma) * jnp.exp(gamma * delta - level)),
        jnp.where(p_alone, 0.0, -jnp.exp(jnp.minimum(-a * delta - level, bound))),
    )
    # From order 1 on, a class with q = 0 < p makes the value infinite.
    excluded = q_alone & (a >= 1)
    never = total(jnp.where(p.part & excluded, 1.0, 0.0)) > 0
    share = _share_of_largest_ratio(p, q, p.part & ~p.zero)
    largest = share / p.lifted, -share / q.lifted
    ends = (jnp.inf, p_alone), (-jnp.inf, q_alone)

    def slope(side: int) -> Array:
        end, alone = ends[side]
        inside = jnp.where(near, of_sum[side] * jnp.exp(-level), of_log[side])
        inside = jnp.where(p.zero & q.zero, 0.0, inside)
        inside = jnp.where(disjoint, jnp.where(alone, -jnp.inf, 0.0), inside)
        others = jnp.where(infinite, 0.0, of_sum[side])
        return jnp.where(never, jnp.where(excluded, end, others), jnp.where(infinite, largest[side], inside))

    return slope(0), slope(1)


probs_renyi_divergence = of_probabilities(probs.renyi_divergence, "2.0", edge=INFINITE_OR_EQUAL)(_renyi_divergence)


def _logits_renyi_divergence(p: Row, q: Row, *, alpha: Numbers) -> Two:
    """Of the Rényi divergence −log Z/(1 − α), Z = Σ p^α q^(1−α).

    With the tilted distribution r = p^α q^(1−α)/Z the gradient is α/(1 − α)·(p − r) in zp and q − r in zq.
    """
    a, infinite = _order(p, alpha)
    gamma, delta, possible = 1.0 - a, q.log - p.log, p.possible & q.possible
    kl = total(jnp.where(possible, -p.p * delta, 0.0))
    divergence = jnp.where(gamma == 0, kl, -_log_power_sum(p, q, a) * _inverse(gamma))
    in_p = a * _flow(p, delta + divergence, gamma)
    in_q = jnp.exp(q.log) - jnp.exp(p.log + gamma * (delta + divergence))
    # Where a side is impossible r is 0.
    in_p = jnp.where(possible, in_p, a * _inverse(gamma) * p.p)
    in_q = jnp.where(possible, in_q, q.p)
    share = _share_of_largest_ratio(p, q, possible)
    in_p = jnp.where(infinite, _centred(p, share), p.balanced(in_p))
    return in_p, jnp.where(infinite, _centred(q, -share), q.balanced(in_q))


logits_renyi_divergence = of_logits(logits.renyi_divergence, "2.0", edge=EQUAL_OR_IMPOSSIBLE)(_logits_renyi_divergence)


@of_probabilities(probs.bhattacharyya_distance, edge=INFINITE_OR_EQUAL)
def probs_bhattacharyya_distance(p: Row, q: Row) -> Two:
    """Of −log(1 − H²), H² = ½ Σ (√p − √q)²: half the Rényi divergence of order ½.

    ∂H²/∂pₖ = ½(1 − √(qₖ/pₖ)) over 1 − H²; where H² is above ½ the gradient of −log Σ √(pq).
    """
    in_p, in_q = _renyi_divergence(p, q, alpha=0.5)
    return 0.5 * in_p, 0.5 * in_q


@of_logits(logits.bhattacharyya_distance, edge=EQUAL_OR_IMPOSSIBLE)
def logits_bhattacharyya_distance(p: Row, q: Row) -> Two:
    """Of −log Σ √(pq): half the Rényi divergence of order ½, ½(p − r) and ½(q − r) with r = √(pq)/Σ √(pq)."""
    in_p, in_q = _logits_renyi_divergence(p, q, alpha=0.5)
    return 0.5 * in_p, 0.5 * in_q


@of_probabilities(probs.total_variation, edge="0 where p = q.")
def probs_total_variation(p: Row, q: Row) -> Two:
    """Of ½ Σ |p − q|: ∂/∂pₖ = ½·sign(pₖ − qₖ), and the opposite in q."""
    slope = 0.5 * jnp.sign(p.p - q.p)
    return slope, -slope


@of_logits(logits.total_variation, edge="0 where p = q.")
def logits_total_variation(p: Row, q: Row) -> Two:
    """Of ½ Σ |p − q|: pₖ(sₖ − Σ p·s) with the slopes sₖ = ½·sign(pₖ − qₖ), and the opposite in zq."""
    slope = 0.5 * jnp.sign(difference(p.p, q.p))
    return p.pull(slope), q.pull(-slope)


def _triangular_discrimination(p: Row, q: Row) -> Two:
    """Of Σ (p − q)²/(p + q): with r = (q − p)/(p + q), ∂/∂pₖ = −2r − r² = −r(2 + r) and ∂/∂qₖ = 2r − r² = r(2 − r)."""
    r = (q.p - p.p) / (p.lifted + q.lifted)
    return -r * (2.0 + r), r * (2.0 - r)


probs_triangular_discrimination, logits_triangular_discrimination = in_both_rooms(
    probs.triangular_discrimination, logits.triangular_discrimination, _triangular_discrimination, edge="0 at p = q."
)


def _square(p: Row, q: Row) -> Array:
    """H² = ½ Σ (√p − √q)²."""
    return total(0.5 * (jnp.sqrt(p.p) - jnp.sqrt(q.p)) ** 2)


@of_probabilities(probs.hellinger_distance, edge="0 at p = q; at p = 0 < q the value at the smallest normal number.")
def probs_hellinger_distance(p: Row, q: Row) -> Two:
    """Of H = √H², H² = ½ Σ (√p − √q)²: ∂H²/∂pₖ = ½(1 − √(qₖ/pₖ)), over 2H; 0 where H = 0."""
    half = jnp.asarray(0.5, p.p.dtype)
    scale = 0.25 * half_over_root(_square(p, q))
    return scale * _one_less_power(p, q, half), scale * _one_less_power(q, p, half)


@of_logits(logits.hellinger_distance, edge="0 at p = q.")
def logits_hellinger_distance(p: Row, q: Row) -> Two:
    """Of H = √(1 − C), C = Σ √(pq): with ∂C/∂zpₖ = ½(√(pₖqₖ) − C·pₖ) it is (C·pₖ − √(pₖqₖ))/(4H), likewise in zq."""
    root = jnp.where(p.part, jnp.exp(0.5 * (p.log + q.log)), 0.0)
    common = total(root)
    scale = 0.5 * half_over_root(_square(p, q))
    return p.balanced(scale * (common * p.p - root)), q.balanced(scale * (common * q.p - root))


@of_probabilities(probs.chi_squared_divergence, edge=INFINITE_OR_EQUAL)
def probs_chi_squared_divergence(p: Row, q: Row) -> Two:
    """Of χ² = Σ (p − q)²/q = Σ p²/q − 2p + q: ∂/∂pₖ = 2(pₖ/qₖ − 1) and ∂/∂qₖ = 1 − (pₖ/qₖ)²."""
    q_alone = _alone(p, q)
    excess = jnp.where(_alone(q, p), -1.0, _power_quotient(p.log - q.log, jnp.asarray(1.0, p.p.dtype)))
    largest = jnp.finfo(p.p.dtype).max / 8
    in_q = jnp.where(q_alone, -jnp.inf, jnp.maximum(-excess * (excess + 2.0), -largest))
    return jnp.where(q_alone, jnp.inf, 2.0 * excess), in_q


@of_logits(logits.chi_squared_divergence, edge=EQUAL_OR_IMPOSSIBLE)
def logits_chi_squared_divergence(p: Row, q: Row) -> Two:
    """Of χ² = C − 1, C = Σ p²/q: with ∂C/∂zpₖ = 2(pₖ²/qₖ − C·pₖ) and ∂C/∂zqₖ = C·qₖ − pₖ²/qₖ."""
    bound = jnp.log(jnp.finfo(p.p.dtype).max) - 3.0
    square = jnp.where(p.part & (p.p > 0), jnp.exp(jnp.minimum(2.0 * p.log - q.log, bound)), 0.0)
    common = total(square)
    return p.balanced(2.0 * (square - common * p.p)), q.balanced(common * q.p - square)
