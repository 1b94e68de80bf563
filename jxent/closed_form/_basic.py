"""Gradients of surprise, entropy, cross-entropy and their divergences, by hand, for `probs` and `logits`."""

import jax.numpy as jnp
from jaxtyping import Array

from jxent import logits, probs
from jxent._checks import Numbers
from jxent.closed_form._gradient_of import in_both_rooms, of_elements, of_logits, of_pairs, of_probabilities
from jxent.closed_form._rows import Row, difference, half_over_root, is_zero, lifted, total

# fmt: off
__all__ = [
    "logits_cross_entropy", "logits_entropy", "logits_jeffreys_divergence", "logits_jensen_shannon_distance",
    "logits_jensen_shannon_divergence", "logits_kl_divergence", "logits_pairwise_cross_entropy",
    "logits_pairwise_jensen_shannon_distance", "logits_pairwise_jensen_shannon_divergence",
    "logits_pairwise_kl_divergence", "logits_perplexity", "logits_self_information", "probs_cross_entropy",
    "probs_entropy", "probs_jeffreys_divergence", "probs_jensen_shannon_distance", "probs_jensen_shannon_divergence",
    "probs_kl_divergence", "probs_pairwise_cross_entropy", "probs_pairwise_jensen_shannon_distance",
    "probs_pairwise_jensen_shannon_divergence", "probs_pairwise_kl_divergence", "probs_perplexity",
    "probs_self_information",
]
# fmt: on

EQUAL = "0 at p = q."
INFINITE = "where p > 0 meets q = 0: +inf in p and −inf in q; at p = 0 the value at the smallest normal number."


@of_elements(probs.self_information, "[0.2, 0.3, 0.5]", edge="−inf at p = 0.")
def probs_self_information(p: Array) -> Array:
    """(−log p)′ = −1/p."""
    return jnp.where(is_zero(p), -jnp.inf, -1.0 / lifted(p))


@of_logits(logits.self_information, edge="classes at −inf get −1.")
def logits_self_information(p: Row) -> Array:
    """Of the sum −Σᵢ log pᵢ over all classes: ∂(−log pᵢ)/∂zₖ = pₖ − δᵢₖ, summed over n classes n·pₖ − 1."""
    return total(p.part.astype(p.p.dtype)) * p.p - 1.0


def _entropy(p: Row) -> Array:
    """By the product rule ∂H/∂pₖ = −log pₖ − pₖ/pₖ = −(log pₖ + 1)."""
    return -(p.log + 1.0)


probs_entropy, logits_entropy = in_both_rooms(probs.entropy, logits.entropy, _entropy)


def _perplexity(p: Row) -> Array:
    """By the chain rule ∂exp(H)/∂pₖ = exp(H)·∂H/∂pₖ = −exp(H)·(log pₖ + 1)."""
    return -jnp.exp(-total(p.p * p.log)) * (p.log + 1.0)


probs_perplexity, logits_perplexity = in_both_rooms(probs.perplexity, logits.perplexity, _perplexity, power=0.0)


def _impossible(p: Row, q: Row) -> Array:
    """Where p > 0 meets q = 0."""
    return q.zero & ~p.zero


@of_probabilities(probs.cross_entropy, edge=INFINITE)
def probs_cross_entropy(p: Row, q: Row) -> tuple[Array, Array]:
    """H(p, q) = −Σ p·log q is linear in p, so that ∂/∂pₖ = −log qₖ; and ∂/∂qₖ = −pₖ/qₖ."""
    impossible = _impossible(p, q)
    return jnp.where(impossible, jnp.inf, -q.log), jnp.where(impossible, -jnp.inf, -p.p / q.lifted)


@of_logits(logits.cross_entropy)
def logits_cross_entropy(p: Row, q: Row) -> tuple[Array, Array]:
    """The slopes in p are −log q, so that ∂/∂zpₖ = −pₖ(log qₖ + H(p, q)).

    ∂(−log qᵢ)/∂zqₖ = qₖ − δᵢₖ has the mean qₖ − pₖ.
    """
    return p.pull(-q.log), difference(q.p, p.p)


@of_probabilities(probs.kl_divergence, edge=INFINITE)
def probs_kl_divergence(p: Row, q: Row) -> tuple[Array, Array]:
    """Of Σ p·log(p/q) − p + q: ∂/∂pₖ = log(pₖ/qₖ) + 1 − 1 and ∂/∂qₖ = 1 − pₖ/qₖ. Both vanish at p = q."""
    impossible = _impossible(p, q)
    in_p = jnp.where(impossible, jnp.inf, p.log - q.log)
    return in_p, jnp.where(impossible, -jnp.inf, (q.lifted - p.lifted) / q.lifted)


@of_logits(logits.kl_divergence)
def logits_kl_divergence(p: Row, q: Row) -> tuple[Array, Array]:
    """The slopes log(p/q) in p give ∂/∂zpₖ = pₖ(log(pₖ/qₖ) − KL); ∂/∂zqₖ = qₖ − pₖ as for the cross-entropy."""
    return p.pull(p.log - q.log), difference(q.p, p.p)


@of_probabilities(probs.jeffreys_divergence, edge="where only one side is 0: −inf in that one and +inf in the other.")
def probs_jeffreys_divergence(p: Row, q: Row) -> tuple[Array, Array]:
    """Of Σ (p − q)·log(p/q): ∂/∂pₖ = log(pₖ/qₖ) + (pₖ − qₖ)/pₖ, and by symmetry ∂/∂qₖ = log(qₖ/pₖ) + (qₖ − pₖ)/qₖ."""

    def slope(p: Row, q: Row) -> Array:
        inside = p.log - q.log + (p.lifted - q.lifted) / p.lifted
        return jnp.where(_impossible(q, p), -jnp.inf, jnp.where(_impossible(p, q), jnp.inf, inside))

    return slope(p, q), slope(q, p)


@of_logits(logits.jeffreys_divergence, edge="0 for classes at −inf on both sides.")
def logits_jeffreys_divergence(p: Row, q: Row) -> tuple[Array, Array]:
    """In zp ∂KL(p‖q) = pₖ(log(pₖ/qₖ) − KL(p‖q)) and ∂KL(q‖p) = pₖ − qₖ are added; in zq with p and q exchanged."""
    forward, backward = p.pull(p.log - q.log), q.pull(q.log - p.log)
    apart = difference(p.p, q.p)
    return forward + apart, backward - apart


def _excess(p: Array, q: Array, w: Array) -> tuple[Array, Array]:
    """The mixture m = w·p + (1 − w)·q, and p/m − 1 = (1 − w)(p − q)/m, which keeps its digits near equality."""
    mixture = w * p + (1.0 - w) * q
    return mixture, (1.0 - w) * (p - q) / mixture


def _jensen_shannon_divergence(p: Row, q: Row, *, weight: Numbers) -> tuple[Array, Array]:
    """Of w·KL(p‖m) + (1 − w)·KL(q‖m) with m = w·p + (1 − w)·q.

    The derivative through m is w(1 − p/m) + (1 − w)(1 − q/m) = 0 in every class, since m minimises the sum. The slopes
    are therefore w·log(pₖ/mₖ) in p and (1 − w)·log(qₖ/mₖ) in q.
    """
    w = jnp.asarray(weight, p.p.dtype)

    def slope(p: Array, q: Array, w: Array) -> Array:
        mixture, excess = _excess(p, q, w)
        near = jnp.abs(excess) < 0.5
        return w * jnp.where(near, jnp.log1p(jnp.where(near, excess, 0.0)), jnp.log(p / mixture))

    return slope(p.lifted, q.lifted, w), slope(q.lifted, p.lifted, 1.0 - w)


def _jensen_shannon_distance(p: Row, q: Row, *, weight: Numbers) -> tuple[Array, Array]:
    """By the chain rule √D has the gradients of the divergence D over 2√D; 0 where D = 0.

    D = Σ m·[w·f(p/m − 1) + (1 − w)·f(q/m − 1)] with f(x) = (1 + x)·log(1 + x) − x, whose terms are not negative.
    """
    w = jnp.asarray(weight, p.p.dtype)
    mixture, excess_p = _excess(p.lifted, q.lifted, w)
    _, excess_q = _excess(q.lifted, p.lifted, 1.0 - w)
    terms = mixture * (w * _relative_entropy(excess_p) + (1.0 - w) * _relative_entropy(excess_q))
    slope = half_over_root(total(terms))
    in_p, in_q = _jensen_shannon_divergence(p, q, weight=weight)
    return slope * in_p, slope * in_q


def _relative_entropy(x: Array) -> Array:
    """(1 + x)·log(1 + x) − x = Σ (−x)ⁿ/(n(n − 1)) from n = 2, by the series where the terms cancel; 1 at x = −1."""
    near = jnp.abs(x) < 0.1
    small = jnp.where(near, x, 0.0)
    series = sum((-small) ** n / (n * (n - 1)) for n in range(2, 18))
    far = jnp.where(near | (x <= -1), 1.0, x)
    return jnp.where(near, series, jnp.where(x <= -1, 1.0, (1.0 + far) * jnp.log1p(far) - far))


probs_jensen_shannon_divergence, logits_jensen_shannon_divergence = in_both_rooms(
    probs.jensen_shannon_divergence, logits.jensen_shannon_divergence, _jensen_shannon_divergence
)
probs_jensen_shannon_distance, logits_jensen_shannon_distance = in_both_rooms(
    probs.jensen_shannon_distance, logits.jensen_shannon_distance, _jensen_shannon_distance, edge=EQUAL, power=0.5
)

ROWS, LOGIT_ROWS = "[[0.2, 0.8], [0.6, 0.4]], [[0.3, 0.7]]", "[[0.2, 0.8], [0.6, 0.0]], [[0.3, 0.0]]"
probs_pairwise_cross_entropy = of_pairs(probs.pairwise_cross_entropy, probs_cross_entropy, ROWS)
probs_pairwise_kl_divergence = of_pairs(probs.pairwise_kl_divergence, probs_kl_divergence, ROWS)
probs_pairwise_jensen_shannon_divergence = of_pairs(
    probs.pairwise_jensen_shannon_divergence, probs_jensen_shannon_divergence, ROWS
)
logits_pairwise_cross_entropy = of_pairs(logits.pairwise_cross_entropy, logits_cross_entropy, LOGIT_ROWS)
logits_pairwise_kl_divergence = of_pairs(logits.pairwise_kl_divergence, logits_kl_divergence, LOGIT_ROWS)
logits_pairwise_jensen_shannon_divergence = of_pairs(
    logits.pairwise_jensen_shannon_divergence, logits_jensen_shannon_divergence, LOGIT_ROWS
)
probs_pairwise_jensen_shannon_distance = of_pairs(
    probs.pairwise_jensen_shannon_distance, probs_jensen_shannon_distance, ROWS
)
logits_pairwise_jensen_shannon_distance = of_pairs(
    logits.pairwise_jensen_shannon_distance, logits_jensen_shannon_distance, LOGIT_ROWS
)
