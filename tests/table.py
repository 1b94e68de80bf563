"""The table of public array functions: what each takes, its reference and its closed form.

Tests run every function over the rows of this table; a public function that is missing from it fails
the suite (`test_table.py`).
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

from jxent import closed_form, logits, losses, probs
from tests import reference as ref

INF = np.inf


@dataclass(frozen=True)
class Entry:
    """One public function.

    Attributes:
        name: room and function.
        kind: what it takes, a key of INPUTS.
        reference: the value of one row, from exact numbers.
        plain: the textbook formula in jnp, whose derivatives autodiff gets right inside the domain.
        elementwise: whether the shape is kept.
        extra: what follows the distributions in every call, such as an order.
        options: keywords of every call, such as the variables of a table.
    """

    name: str
    kind: str
    reference: Callable[..., Any]
    plain: Callable[..., Any]
    elementwise: bool = False
    extra: tuple[Any, ...] = ()
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def public(self):
        room, name = self.name.split(".")
        return getattr({"probs": probs, "logits": logits, "losses": losses}[room], name)

    @property
    def function(self):
        return self._with_extra(self.public)

    @property
    def closed_form(self):
        room, name = self.name.split(".")
        found = getattr(closed_form, name if room == "losses" else f"{room}_{name}", None)
        return None if found is None else self._with_extra(found)

    def _with_extra(self, function):
        if not self.extra and not self.options:
            return function
        return functools.wraps(function)(
            lambda *args, **options: function(*args, *self.extra, **{**self.options, **options})
        )

    @property
    def joint(self):
        """Whether it measures a joint table."""
        return self.kind.startswith("joint")

    @property
    def arity(self):
        return len(INPUTS[self.kind][0])


# Interior inputs first, then the edges of the domain. Each case is a tuple of rows, one per argument.
PROBS = [[0.1, 0.2, 0.3, 0.4], [0.25, 0.25, 0.25, 0.25], [1.0, 0.0, 0.0, 0.0], [0.5, 0.5, 0.0, 0.0],
         [0.999999, 1e-6, 0.0, 0.0], [1e-30, 0.3, 0.3, 0.4]]  # fmt: skip
PAIRS = [
    ([0.1, 0.2, 0.3, 0.4], [0.4, 0.3, 0.2, 0.1]),
    ([0.7, 0.1, 0.1, 0.1], [0.1, 0.6, 0.2, 0.1]),
    ([0.1, 0.2, 0.3, 0.4], [0.1, 0.2, 0.3, 0.4]),
    ([0.1, 0.2, 0.3, 0.4], [0.1001, 0.1999, 0.3001, 0.3999]),
    ([1.0, 0.0, 0.0, 0.0], [0.4, 0.3, 0.2, 0.1]),
    ([0.5, 0.5, 0.0, 0.0], [0.2, 0.8, 0.0, 0.0]),
    ([0.5, 0.5, 0.0, 0.0], [0.5, 0.5, 0.0, 0.0]),
    ([0.5, 0.5, 0.0, 0.0], [0.0, 0.0, 0.5, 0.5]),
    ([0.5, 0.5, 0.0, 0.0], [1.0, 0.0, 0.0, 0.0]),
    ([1e-30, 0.3, 0.3, 0.4], [0.4, 0.3, 0.3, 1e-30]),
]
LOGITS = [[0.1, -0.7, 1.3, 0.4], [2.0, 2.0, 2.0, 2.0], [30.0, 0.0, -1.0, 1.0], [0.0, -200.0, 0.5, -INF],
          [1e4, 1e4 + 1, 1e4 - 2, 0.0], [5.0, -INF, -INF, -INF]]  # fmt: skip
LOGIT_PAIRS = [
    ([0.1, -0.7, 1.3, 0.4], [1.1, 0.3, -0.2, 0.0]),
    ([0.5, 0.25, -1.0, 2.0], [-1.0, 2.0, 0.75, 0.5]),
    ([0.1, -0.7, 1.3, 0.4], [0.1, -0.7, 1.3, 0.4]),
    ([0.5, -0.75, 1.25, 0.5], [0.5009765625, -0.75, 1.25, 0.5]),
    ([30.0, 0.0, -1.0, 1.0], [0.0, 30.0, 1.0, -1.0]),
    ([0.0, -200.0, 0.5, -INF], [0.0, 200.0, 0.5, -INF]),
    ([0.0, 0.0, 0.5, -INF], [0.0, 1.0, 0.5, 2.0]),
    ([0.0, 0.0, 0.5, 1.0], [0.0, 1.0, 0.5, -INF]),
    ([1000.0, 1001.0, 998.0, 999.0], [-1000.0, -1001.0, -1000.0, -999.0]),
]
BERNOULLI = [[0.1, 0.5, 0.9, 0.3], [0.0, 1.0, 1e-30, 0.999999]]
BERNOULLI_PAIRS = [
    ([0.1, 0.5, 0.9, 0.3], [0.3, 0.1, 0.6, 0.7]),
    ([0.1, 0.5, 0.25, 0.001], [0.1001, 0.5, 0.2501, 0.00100001]),
    ([0.0, 1.0, 0.0, 1.0], [0.0, 1.0, 0.5, 0.5]),
    ([0.5, 0.5, 0.0, 1.0], [0.0, 1.0, 1.0, 0.0]),
]
BINARY_LOGITS = [[0.3, -1.2, 2.0, -0.1], [40.0, -40.0, INF, -INF]]
BINARY_LOGIT_PAIRS = [
    ([0.3, -1.2, 2.0, -0.1], [1.0, 0.5, -0.5, -2.0]),
    ([0.25, -1.0, 2.0, -0.5], [0.25, -1.0009765625, 2.001953125, -0.5]),
    ([40.0, -40.0, 100.0, -100.0], [-40.0, -41.0, 99.0, 100.0]),
    ([INF, -INF, 0.0, 0.0], [INF, -INF, INF, -INF]),
]
TARGETS = [
    ([0.1, -0.7, 1.3, 0.4], [0.1, 0.2, 0.3, 0.4]),
    ([0.5, 0.25, -1.0, 2.0], [0.0, 1.0, 0.0, 0.0]),
    ([30.0, 0.0, -1.0, 1.0], [1.0, 0.0, 0.0, 0.0]),
    ([0.0, -200.0, 0.5, -INF], [0.5, 0.0, 0.5, 0.0]),
    ([0.0, -200.0, 0.5, -INF], [0.0, 0.0, 0.5, 0.5]),
]
LABELS = [(LOGITS[0], 2), (LOGITS[1], 0), (LOGITS[2], 0), (LOGITS[3], 1), (LOGITS[3], 3), (LOGITS[4], 1)]
OUTCOMES = [
    ([0.3, -1.2, 2.0, -0.1], [0.1, 1.0, 0.0, 0.7]),
    ([40.0, -40.0, 100.0, -100.0], [1.0, 0.0, 1.0, 1.0]),
    ([INF, -INF, INF, -INF], [1.0, 0.0, 0.0, 1.0]),
]
ERRORS = [([0.3, -1.25, 2.0, -0.1], [0.1, 1.0, 0.5, 0.7]), ([1.0, 0.0, -3.0, 1e10], [1.0, 0.5, 0.0, -1e10])]

TABLES = [
    [[0.1, 0.2, 0.05], [0.15, 0.25, 0.25]],
    [[0.5, 0.0, 0.0], [0.0, 0.25, 0.25]],
    [[0.5, 0.0, 0.0], [0.0, 0.5, 0.0]],
    [[0.125, 0.25, 0.125], [0.125, 0.25, 0.125]],
    [[0.12500001, 0.25, 0.125], [0.12499999, 0.25, 0.125]],
    [[1.0, 0.0, 0.0], [0.0, 0.0, 0.0]],
    [[0.999999, 1e-7, 2e-7], [3e-7, 1e-7, 3e-7]],
    [[1e-30, 0.3, 0.2], [0.2, 1e-20, 0.3]],
]
XOR = [[[0.25, 0.0], [0.0, 0.25]], [[0.0, 0.25], [0.25, 0.0]]]
GIANT_BIT = [[[0.5, 0.0], [0.0, 0.0]], [[0.0, 0.0], [0.0, 0.5]]]
TABLES_OF_THREE = [
    [[[0.05, 0.1], [0.15, 0.2]], [[0.2, 0.1], [0.15, 0.05]]],
    XOR,
    GIANT_BIT,
    [[[0.125, 0.125], [0.125, 0.125]], [[0.125, 0.125], [0.125, 0.125]]],
    [[[1.0, 0.0], [0.0, 0.0]], [[0.0, 0.0], [0.0, 0.0]]],
    [[[0.3, 0.2], [0.0, 0.0]], [[0.5, 0.0], [0.0, 0.0]]],
    [[[0.999999, 1e-7], [2e-7, 1e-7]], [[1e-7, 2e-7], [2e-7, 1e-7]]],
]
LOGIT_TABLES = [
    [[0.1, -0.7, 0.4], [1.3, 0.25, -0.5]],
    [[0.0, -INF, -INF], [-INF, 1.0, 0.5]],
    [[30.0, 0.0, -1.0], [1.0, 0.5, 0.0]],
    [[0.0, -200.0, 0.5], [-100.0, 0.25, -INF]],
    [[1.0, 2.0, 3.0], [1.0, 2.0, 3.0]],
    [[5.0, -INF, -INF], [-INF, -INF, -INF]],
]
LOGIT_TABLES_OF_THREE = [
    [[[0.1, -0.7], [0.4, 1.3]], [[0.25, -0.5], [0.0, 1.0]]],
    [[[0.0, -INF], [-INF, 0.0]], [[-INF, 0.0], [0.0, -INF]]],
    [[[30.0, 0.0], [-1.0, 1.0]], [[0.5, 0.0], [0.25, -0.5]]],
    [[[0.0, -200.0], [0.5, -100.0]], [[0.25, -INF], [0.0, 1.0]]],
    [[[1.0, 2.0], [1.0, 2.0]], [[1.0, 2.0], [1.0, 2.0]]],
]

INPUTS: dict[str, list[tuple[Any, ...]]] = {
    "probs": [(p,) for p in PROBS],
    "pair of probs": PAIRS,
    "logits": [(z,) for z in LOGITS],
    "pair of logits": LOGIT_PAIRS,
    # A generator is asked for p/q itself: no side underflows in float32.
    "pair of mild logits": [LOGIT_PAIRS[i] for i in (0, 1, 2, 3, 4, 6, 7)],
    "joint table": [(t,) for t in TABLES],
    "joint table of three": [(t,) for t in TABLES_OF_THREE],
    "joint logits": [(t,) for t in LOGIT_TABLES],
    "joint logits of three": [(t,) for t in LOGIT_TABLES_OF_THREE],
    "bernoulli": [(p,) for p in BERNOULLI],
    "pair of bernoulli": BERNOULLI_PAIRS,
    "binary logits": [(z,) for z in BINARY_LOGITS],
    "pair of binary logits": BINARY_LOGIT_PAIRS,
    "logits and targets": TARGETS,
    "logits and labels": LABELS,
    "logits and outcomes": OUTCOMES,
    "predictions and targets": ERRORS,
}


def _from_logits(measure):
    """A reference of probabilities, of the softmax of exact logits."""
    return lambda *z: measure(*(ref.softmax(x)[0] for x in z))


def _given(measure, extra):
    """A reference with what follows the distributions; that of a generator 1 at 0."""
    more = (lambda t: (1 + t) * (1 + ref.mp.log1p(t)), 1) if callable(extra) else (extra,)
    return lambda *rows: measure(*rows, *more)


def _each(measure, outcomes):
    """A reference of two outcomes, elementwise."""
    return lambda *rows: [measure(*(outcomes(x) for x in xs)) for xs in zip(*rows, strict=True)]


def _elementwise(measure):
    return lambda *rows: [measure(*xs) for xs in zip(*rows, strict=True)]


# The textbook formulas, right inside the domain and nowhere else.
def _entropy(p):
    return -jnp.sum(p * jnp.log(p), -1)


def _cross_entropy(p, q):
    return -jnp.sum(p * jnp.log(q), -1)


def _kl(p, q):
    return jnp.sum(p * jnp.log(p / q) - p + q, -1)


def _jeffreys(p, q):
    return _kl(p, q) + _kl(q, p)


def _js(p, q, weight=0.5):
    m = weight * p + (1 - weight) * q
    return weight * _kl(p, m) + (1 - weight) * _kl(q, m)


def _softmax(z):
    e = jnp.exp(z - z.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def _plain_logits(measure):
    return lambda *z, **options: measure(*(_softmax(x) for x in z), **options)


def _outcomes(p):
    return jnp.stack([p, 1 - p], -1)


def _plain_each(measure):
    return lambda *p: measure(*(_outcomes(x) for x in p))


def _plain_binary(measure):
    return lambda *z: measure(*(_outcomes(1 / (1 + jnp.exp(-x))) for x in z))


def _huber(p, t, delta=1.0):
    e = jnp.abs(p - t)
    return jnp.where(e <= delta, 0.5 * e**2, delta * (e - 0.5 * delta))


def _picked(z, label):
    return -jnp.take_along_axis(jnp.log(_softmax(z)), jnp.asarray(label)[..., None], -1)[..., 0]


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
    "kl_divergence": _kl,
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


def _plain_of_logits(measure):
    """Of the joint softmax of one table, or of each of a batch."""

    def of(z):
        e = jnp.exp(z - z.max())
        return measure(e / e.sum())

    return of


def _flat_softmax(t):
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
BINARY_MEASURES = {"entropy": _entropy, "cross_entropy": _cross_entropy, "kl_divergence": _kl}

TABLE = [
    Entry("probs.self_information", "probs", ref.self_information, lambda p: -jnp.log(p), elementwise=True),
    *(Entry(f"probs.{n}", "probs", getattr(ref, n), f) for n, f in ROW_MEASURES.items()),
    *(Entry(f"probs.{n}", "pair of probs", getattr(ref, n), f) for n, f in PAIR_MEASURES.items()),
    Entry(
        "logits.self_information",
        "logits",
        lambda z: [-x for x in ref.softmax(z)[1]],
        lambda z: -jnp.log(_softmax(z)),
        elementwise=True,
    ),
    Entry(
        "logits.log_probabilities",
        "logits",
        lambda z: ref.softmax(z)[1],
        lambda z: jnp.log(_softmax(z)),
        True,
    ),
    Entry("logits.probabilities", "logits", lambda z: ref.softmax(z)[0], _softmax, elementwise=True),
    *(Entry(f"logits.{n}", "logits", _from_logits(getattr(ref, n)), _plain_logits(f)) for n, f in ROW_MEASURES.items()),
    *(
        Entry(f"logits.{n}", "pair of logits", _from_logits(getattr(ref, n)), _plain_logits(f))
        for n, f in PAIR_MEASURES.items()
    ),
    *(
        Entry(f"probs.{n}", "probs", _given(getattr(ref, n), extra), f, extra=(extra,))
        for n, (extra, f) in ORDERED_ROWS.items()
    ),
    *(
        Entry(f"logits.{n}", "logits", _from_logits(_given(getattr(ref, n), extra)), _plain_logits(f), extra=(extra,))
        for n, (extra, f) in ORDERED_ROWS.items()
    ),
    *(
        Entry(f"probs.{n}", "pair of probs", _given(getattr(ref, n), extra), f, extra=(extra,))
        for n, (extra, f) in ORDERED_PAIRS.items()
    ),
    *(
        Entry(
            f"logits.{n}",
            "pair of mild logits" if callable(extra) else "pair of logits",
            _from_logits(_given(getattr(ref, n), extra)),
            _plain_logits(f),
            extra=(extra,),
        )
        for n, (extra, f) in ORDERED_PAIRS.items()
    ),
    *(
        Entry(f"probs.{n}", "joint table" + " of three" * (n not in OF_TWO), ref.of_table(r), f, options=o)
        for n, (r, f, o) in TABLE_MEASURES.items()
    ),
    *(
        Entry(
            f"logits.{n}",
            "joint logits" + " of three" * (n not in OF_TWO),
            (lambda t, r=r: r(_flat_softmax(t))),
            _plain_of_logits(f),
            options=o,
        )
        for n, (r, f, o) in TABLE_MEASURES.items()
    ),
    *(
        Entry(
            f"probs.binary_{n}",
            "bernoulli" if n == "entropy" else "pair of bernoulli",
            _each(getattr(ref, n), ref.two),
            _plain_each(f),
            elementwise=True,
        )
        for n, f in BINARY_MEASURES.items()
    ),
    *(
        Entry(
            f"logits.binary_{n}",
            "binary logits" if n == "entropy" else "pair of binary logits",
            _each(getattr(ref, n), ref.two_from_logit),
            _plain_binary(f),
            elementwise=True,
        )
        for n, f in BINARY_MEASURES.items()
    ),
    Entry(
        "logits.binary_probability",
        "binary logits",
        _elementwise(ref.sigmoid),
        lambda z: 1 / (1 + jnp.exp(-z)),
        elementwise=True,
    ),
    Entry(
        "losses.softmax_cross_entropy",
        "logits and targets",
        ref.softmax_cross_entropy,
        lambda z, t: -jnp.sum(t * jnp.log(_softmax(z)), -1),
    ),
    Entry(
        "losses.softmax_cross_entropy_with_integer_labels",
        "logits and labels",
        ref.softmax_cross_entropy_with_integer_labels,
        _picked,
    ),
    Entry(
        "losses.sigmoid_binary_cross_entropy",
        "logits and outcomes",
        _elementwise(ref.sigmoid_binary_cross_entropy),
        lambda z, t: t * jnp.log1p(jnp.exp(-z)) + (1 - t) * jnp.log1p(jnp.exp(z)),
        elementwise=True,
    ),
    Entry(
        "losses.kl_divergence",
        "logits and targets",
        ref.kl_divergence_loss,
        lambda z, t: _kl(t, _softmax(z)),
    ),
    Entry(
        "losses.focal_loss",
        "logits and outcomes",
        _elementwise(ref.focal_loss),
        lambda z, t: (
            (t / (1 + jnp.exp(z)) + (1 - t) / (1 + jnp.exp(-z))) ** 2
            * (t * jnp.log1p(jnp.exp(-z)) + (1 - t) * jnp.log1p(jnp.exp(z)))
        ),
        elementwise=True,
    ),
    Entry(
        "losses.l1_loss",
        "predictions and targets",
        _elementwise(ref.l1_loss),
        lambda p, t: jnp.abs(p - t),
        True,
    ),
    Entry(
        "losses.l2_loss",
        "predictions and targets",
        _elementwise(ref.l2_loss),
        lambda p, t: (p - t) ** 2 / 2,
        True,
    ),
    Entry(
        "losses.softmax_focal_loss",
        "logits and targets",
        ref.softmax_focal_loss,
        lambda z, t: jnp.sum(-t * (1 - _softmax(z)) ** 2 * jnp.log(_softmax(z)), -1),
    ),
    Entry(
        "losses.softmax_focal_loss_with_integer_labels",
        "logits and labels",
        ref.softmax_focal_loss_with_integer_labels,
        lambda z, label: (1 - jnp.exp(-_picked(z, label))) ** 2 * _picked(z, label),
    ),
    Entry(
        "losses.pseudo_huber_loss",
        "predictions and targets",
        _elementwise(ref.pseudo_huber_loss),
        lambda p, t: jnp.sqrt(1 + (p - t) ** 2) - 1,
        elementwise=True,
    ),
    Entry("losses.huber_loss", "predictions and targets", _elementwise(ref.huber_loss), _huber, elementwise=True),
]

BY_NAME = {entry.name: entry for entry in TABLE}

# Measures that are built of parts which others have: one of every kind stands for them in the fast pass, where
# of the rest only values and first derivatives are tested; the slow pass tests everything.
STANDING_FOR_THEM = {
    "probs.renyi_entropy",
    "probs.alpha_divergence",
    "logits.hellinger_distance",
    "probs.f_divergence",
    "probs.mutual_information",
    "logits.conditional_mutual_information",
}
LATER = {
    e.name for e in TABLE if e.joint or e.name.split(".")[1] in {*ORDERED_ROWS, *ORDERED_PAIRS, *DISTANCES}
} - STANDING_FOR_THEM


# One of every way in which a function is built: what is costly to compile runs for these in the fast pass.
CORE = {
    *("probs.entropy", "probs.kl_divergence", "probs.jensen_shannon_divergence", "probs.alpha_divergence"),
    *("probs.binary_entropy", "probs.mutual_information", "logits.kl_divergence", "logits.log_probabilities"),
    *("losses.softmax_cross_entropy", "losses.softmax_cross_entropy_with_integer_labels"),
}


def by_turns(entries):
    """Parameters of a test: those that others stand for in the slow pass."""
    return [pytest.param(e, id=e.name, marks=[pytest.mark.slow] if e.name in LATER else []) for e in entries]


def probs_first(entries):
    """Parameters of a test: as `by_turns`, but only for logits."""
    marks = [[pytest.mark.slow] if e.name in LATER and e.name.startswith("logits") else [] for e in entries]
    return [pytest.param(e, id=e.name, marks=m) for e, m in zip(entries, marks, strict=True)]


def core_first(entries):
    """Parameters of a test: all but those of the core in the slow pass."""
    return [pytest.param(e, id=e.name, marks=[] if e.name in CORE else [pytest.mark.slow]) for e in entries]


def in_turn(entries, kinds):
    """Parameters (entry, kind) of a test: every kind for the core, one in turn for the rest, in the slow pass."""

    def param(entry, kind, *marks):
        return pytest.param(entry, kind, id=f"{entry.name}-{getattr(kind, '__name__', kind)}", marks=marks)

    core = [param(e, k) for e in entries if e.name in CORE for k in kinds]
    rest = [(e, kinds[i % len(kinds)]) for i, e in enumerate(e for e in entries if e.name not in CORE)]
    return core + [param(e, k, pytest.mark.slow) for e, k in rest]


# Public names that are no array function of a row: what tests them instead.
ELSEWHERE = {
    **{f"{room}.{n}": "test_joint.py" for room in ("probs", "logits") for n in ("marginal", "conditional")},
    **{
        f"{room}.pairwise_{n}": "test_pairwise.py"
        for room in ("probs", "logits")
        for n in ("cross_entropy", "kl_divergence", "jensen_shannon_divergence", "jensen_shannon_distance")
    },
    **{f"logits.{n}": "test_pairwise.py" for n in ("fisher_information", "fisher_vector_product", "natural_gradient")},
    "losses.mean": "test_losses.py",
}


def arrays(entry, case, dtype):
    """The rows of a case as arrays: floats of the dtype, labels as integers."""
    return tuple(jnp.asarray(x, jnp.int32 if isinstance(x, int) else dtype) for x in case)


def batch(entry, dtype):
    """All cases stacked, one row each."""
    cases = INPUTS[entry.kind]
    return tuple(
        jnp.asarray(np.asarray(rows), jnp.int32 if isinstance(rows[0], int) else dtype)
        for rows in zip(*cases, strict=True)
    )


def differentiable(args):
    """Positions of the arguments that have a gradient."""
    return tuple(i for i, a in enumerate(args) if jnp.issubdtype(a.dtype, jnp.floating))


def exact_value(entry, case, dtype):
    """The reference of the numbers as stored, rounded to float64."""
    stored = [int(x) if isinstance(x, int) else ref.exact(np.asarray(x, dtype)) for x in case]
    value = entry.reference(*stored)
    return np.asarray(value if isinstance(value, list) else [value], float)
