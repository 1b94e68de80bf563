"""The textbook formulas of measures and losses in jnp, right inside the domain and nowhere else."""

import jax.numpy as jnp
import numpy as np

from tests import reference as ref


def _entropy(p):
    return -jnp.sum(p * jnp.log(p), -1)


def _cross_entropy(p, q):
    return -jnp.sum(p * jnp.log(q), -1)


def kl(p, q):
    return jnp.sum(p * jnp.log(p / q) - p + q, -1)


def _jeffreys(p, q):
    return kl(p, q) + kl(q, p)


def _js(p, q, weight=0.5):
    m = weight * p + (1 - weight) * q
    return weight * kl(p, m) + (1 - weight) * kl(q, m)


def softmax(z):
    e = jnp.exp(z - z.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def plain_logits(measure):
    return lambda *z, **options: measure(*(softmax(x) for x in z), **options)


def _outcomes(p):
    return jnp.stack([p, 1 - p], -1)


def plain_each(measure):
    return lambda *p: measure(*(_outcomes(x) for x in p))


def plain_binary(measure):
    return lambda *z: measure(*(_outcomes(1 / (1 + jnp.exp(-x))) for x in z))


def huber(p, t, delta=1.0):
    e = jnp.abs(p - t)
    return jnp.where(e <= delta, 0.5 * e**2, delta * (e - 0.5 * delta))


def picked(z, label):
    return -jnp.take_along_axis(jnp.log(softmax(z)), jnp.asarray(label)[..., None], -1)[..., 0]


def _power_sum(p, q, a):
    return jnp.sum(p**a * q ** (1 - a), -1)


def _renyi_divergence(p, q, a=2.0):
    """With the mass that the package takes as 1, so that derivatives off the simplex are the same."""
    return jnp.log(1 - jnp.sum(a * p + (1 - a) * q, -1) + _power_sum(p, q, a)) / (a - 1)


def _alpha_divergence(p, q, alpha=0.5):
    b, c = (1 - alpha) / 2, (1 + alpha) / 2
    return (jnp.sum(b * p + c * q, -1) - _power_sum(p, q, b)) / (b * c)


def _hellinger(p, q):
    return jnp.sqrt(jnp.sum((jnp.sqrt(p) - jnp.sqrt(q)) ** 2, -1) / 2)


def growing(t):
    """A generator that is nowhere near 0, so that Σ q·f(p/q) keeps its digits where p = q; 1 at 0, as t·log t at ∞."""
    return (1 + t) * (1 + jnp.log1p(t))


PAIR_MEASURES = {
    "cross_entropy": _cross_entropy,
    "kl_divergence": kl,
    "jeffreys_divergence": _jeffreys,
    "jensen_shannon_divergence": _js,
    "jensen_shannon_distance": lambda p, q: jnp.sqrt(_js(p, q)),
}
ROW_MEASURES = {"entropy": _entropy, "perplexity": lambda p: jnp.exp(_entropy(p))}


def _margin(t, *keep):
    """The margin of a batch of tables over the variables but these, counted from 0."""
    others = tuple(a + 1 for a in range(t.ndim - 1) if a not in keep)
    return jnp.sum(t, axis=others, keepdims=True) if others else t


def _information(slope):
    """Σ P·L over the table, for L a combination of log margins."""

    def measure(t):
        stacked = t[None] if t.ndim == slope.rank else t
        value = jnp.sum((stacked * slope(stacked)).reshape(stacked.shape[0], -1), -1)
        return value if stacked is t else value[0]

    return measure


def _ranked(rank):
    def mark(function):
        function.rank = rank
        return function

    return mark


def _log(t, *keep):
    return jnp.log(_margin(t, *keep))


def _plain_nmi(t):
    p, q = (_information(_ranked(2)(lambda t, i=i: -_log(t, i)))(t) for i in (0, 1))
    return _plain_mi(t) / (0.5 * (p + q))


def _with_mass(measure, count):
    """What the evaluated form adds for a mass that is not 1: (ΣP)ⁿ − ΣP, in nats, for n factors."""

    def of(t):
        axes = tuple(range(t.ndim)) if t.ndim == measure.rank else tuple(range(1, t.ndim))
        mass = jnp.sum(t, axis=axes)
        return measure(t) + mass**count - mass

    return of


def _combination(rank, slope, count=0):
    found = _information(_ranked(rank)(slope))
    found.rank = rank
    return _with_mass(found, count) if count else found


_plain_mi = _combination(2, lambda t: jnp.log(t) - _log(t, 0) - _log(t, 1), 2)
_TRIPLE = ((0, 1), (0, 2), (1, 2))
_plain_tc = _combination(3, lambda t: jnp.log(t) - sum(_log(t, i) for i in range(3)), 3)
_plain_dtc = _combination(3, lambda t: 2 * jnp.log(t) - sum(_log(t, *k) for k in _TRIPLE), 2)
_plain_co = _combination(
    3, lambda t: sum(_log(t, *k) for k in _TRIPLE) - jnp.log(t) - sum(_log(t, i) for i in range(3)), 2
)
TABLE_MEASURES = {
    "joint_entropy": (ref.joint_entropy, _combination(2, lambda t: -jnp.log(t)), {"variables": (-2, -1)}),
    "conditional_entropy": (
        ref.table_conditional_entropy,
        _combination(2, lambda t: _log(t, 0) - jnp.log(t)),
        {},
    ),
    "mutual_information": (ref.table_mutual_information, _plain_mi, {}),
    "normalized_mutual_information": (ref.normalized_mutual_information, _plain_nmi, {}),
    "variation_of_information": (
        ref.variation_of_information,
        _combination(2, lambda t: _log(t, 0) + _log(t, 1) - 2 * jnp.log(t)),
        {},
    ),
    "conditional_mutual_information": (
        lambda t: ref.conditional_information(t, 0, 1, (2,)),
        _combination(3, lambda t: jnp.log(t) + _log(t, 2) - _log(t, 0, 2) - _log(t, 1, 2)),
        {},
    ),
    "total_correlation": (ref.total_correlation, _plain_tc, {"variables": (-3, -2, -1)}),
    "dual_total_correlation": (ref.dual_total_correlation, _plain_dtc, {"variables": (-3, -2, -1)}),
    "o_information": (
        ref.o_information,
        lambda t: _plain_tc(t) - _plain_dtc(t),
        {"variables": (-3, -2, -1)},
    ),
    "co_information": (ref.co_information, _plain_co, {"variables": (-3, -2, -1)}),
    "interaction_information": (
        ref.interaction_information,
        lambda t: -_plain_co(t),
        {"variables": (-3, -2, -1)},
    ),
}
OF_TWO = ("joint_entropy", "conditional_entropy", "mutual_information", "normalized_mutual_information",
          "variation_of_information")  # fmt: skip


def plain_of_logits(measure):
    """Of the joint softmax of one table, or of each of a batch."""

    def of(z):
        e = jnp.exp(z - z.max())
        return measure(e / e.sum())

    return of


def flat_softmax(t):
    """The joint softmax of a table of exact logits."""
    z = np.array(t, dtype=object)
    return np.array(ref.softmax(list(z.ravel()))[0], dtype=object).reshape(z.shape)


# What follows the distributions, and the plain formula with it.
ORDERED_ROWS = {
    "renyi_entropy": (2.0, lambda p: -jnp.log(jnp.sum(p**2, -1))),
    "tsallis_entropy": (0.5, lambda p: 2 * (jnp.sum(jnp.sqrt(p), -1) - 1)),
}
ORDERED_PAIRS = {
    "renyi_divergence": (2.0, _renyi_divergence),
    "alpha_divergence": (0.5, _alpha_divergence),
    "f_divergence": (growing, lambda p, q: jnp.sum(q * growing(p / q), -1)),
}
DISTANCES = {
    "total_variation": lambda p, q: jnp.sum(jnp.abs(p - q), -1) / 2,
    "triangular_discrimination": lambda p, q: jnp.sum((p - q) ** 2 / (p + q), -1),
    "hellinger_distance": _hellinger,
    "chi_squared_divergence": lambda p, q: jnp.sum((p - q) ** 2 / q, -1),
    "bhattacharyya_distance": lambda p, q: _renyi_divergence(p, q, 0.5) / 2,
}
PAIR_MEASURES |= DISTANCES
BINARY_MEASURES = {"entropy": _entropy, "cross_entropy": _cross_entropy, "kl_divergence": kl}
