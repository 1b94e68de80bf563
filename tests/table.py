"""The table of public array functions: what each takes, its reference and its closed form.

Tests run every function over the rows of this table; a public function that is missing from it fails
the suite (`test_table.py`).
"""

import enum
import functools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

from jxent import closed_form, logits, losses, probs
from tests import reference as ref
from tests.formulas import (
    BINARY_MEASURES,
    DISTANCES,
    OF_TWO,
    ORDERED_PAIRS,
    ORDERED_ROWS,
    PAIR_MEASURES,
    ROW_MEASURES,
    TABLE_MEASURES,
    flat_softmax,
    huber,
    kl,
    picked,
    plain_binary,
    plain_each,
    plain_logits,
    plain_of_logits,
    softmax,
)
from tests.rows import INPUTS


class Fast(enum.Enum):
    """What the fast pass tests of a function; the slow pass tests everything of all."""

    EVERYTHING = "also what is costly to compile: one of every way in which a function is built"
    MOST = "all but that"
    FIRST = "values and first derivatives: a measure built of parts which another of its kind stands for"


class Trait(enum.Flag):
    """A property of a measure that decides how exact it can be, or what its unit is."""

    NONE = 0
    SIGNED = enum.auto()  # a sum whose parts cancel: its error is relative to its largest part
    QUOTIENT = enum.auto()  # of two numbers that may both be small
    ROOT = enum.auto()  # of a value that is itself a cancelled sum: the square is what rounding moves
    UNIT_OF_ROOT = enum.auto()  # a root of nats
    WITHOUT_UNIT = enum.auto()  # no logarithm of any base
    INFINITE = enum.auto()  # where the second distribution is 0 and the first is not


TRAITS = {
    "o_information": Trait.SIGNED,
    "co_information": Trait.SIGNED,
    "interaction_information": Trait.SIGNED,
    "normalized_mutual_information": Trait.QUOTIENT,
    "jensen_shannon_distance": Trait.ROOT | Trait.UNIT_OF_ROOT,
    "hellinger_distance": Trait.ROOT,
    "perplexity": Trait.WITHOUT_UNIT,
    "self_information": Trait.INFINITE,
    "cross_entropy": Trait.INFINITE,
    "kl_divergence": Trait.INFINITE,
    "jeffreys_divergence": Trait.INFINITE,
}


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
        fast: what the fast pass tests of it.
    """

    name: str
    kind: str
    reference: Callable[..., Any]
    plain: Callable[..., Any]
    elementwise: bool = False
    extra: tuple[Any, ...] = ()
    options: dict[str, Any] = field(default_factory=dict)
    fast: Fast = Fast.MOST

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
    def traits(self):
        return TRAITS.get(self.name.split(".")[1], Trait.NONE)

    @property
    def joint(self):
        """Whether it measures a joint table."""
        return self.kind.startswith("joint")

    @property
    def arity(self):
        return len(INPUTS[self.kind][0])


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


EVERYTHING, FIRST = {"fast": Fast.EVERYTHING}, {"fast": Fast.FIRST}
# Of the measures that the comprehensions below make, by room, where it is not MOST.
OF_PROBS = dict.fromkeys(("entropy", "kl_divergence", "jensen_shannon_divergence"), EVERYTHING)
OF_PROBS |= dict.fromkeys((*DISTANCES, "tsallis_entropy", "renyi_divergence"), FIRST) | {"alpha_divergence": EVERYTHING}
OF_PROBS |= dict.fromkeys(TABLE_MEASURES, FIRST) | {"mutual_information": EVERYTHING, "binary_entropy": EVERYTHING}
OF_LOGITS = dict.fromkeys((*DISTANCES, *ORDERED_ROWS, *ORDERED_PAIRS, *TABLE_MEASURES), FIRST)
OF_LOGITS |= {"hellinger_distance": {}, "conditional_mutual_information": {}, "kl_divergence": EVERYTHING}

TABLE = [
    Entry("probs.self_information", "probs", ref.self_information, lambda p: -jnp.log(p), elementwise=True),
    *(Entry(f"probs.{n}", "probs", getattr(ref, n), f, **OF_PROBS.get(n, {})) for n, f in ROW_MEASURES.items()),
    *(
        Entry(f"probs.{n}", "pair of probs", getattr(ref, n), f, **OF_PROBS.get(n, {}))
        for n, f in PAIR_MEASURES.items()
    ),
    Entry(
        "logits.self_information",
        "logits",
        lambda z: [-x for x in ref.softmax(z)[1]],
        lambda z: -jnp.log(softmax(z)),
        elementwise=True,
    ),
    Entry(
        "logits.log_probabilities",
        "logits",
        lambda z: ref.softmax(z)[1],
        lambda z: jnp.log(softmax(z)),
        True,
        **EVERYTHING,
    ),
    Entry("logits.probabilities", "logits", lambda z: ref.softmax(z)[0], softmax, elementwise=True),
    *(
        Entry(f"logits.{n}", "logits", _from_logits(getattr(ref, n)), plain_logits(f), **OF_LOGITS.get(n, {}))
        for n, f in ROW_MEASURES.items()
    ),
    *(
        Entry(f"logits.{n}", "pair of logits", _from_logits(getattr(ref, n)), plain_logits(f), **OF_LOGITS.get(n, {}))
        for n, f in PAIR_MEASURES.items()
    ),
    *(
        Entry(f"probs.{n}", "probs", _given(getattr(ref, n), extra), f, extra=(extra,), **OF_PROBS.get(n, {}))
        for n, (extra, f) in ORDERED_ROWS.items()
    ),
    *(
        Entry(
            f"logits.{n}",
            "logits",
            _from_logits(_given(getattr(ref, n), extra)),
            plain_logits(f),
            extra=(extra,),
            **OF_LOGITS.get(n, {}),
        )
        for n, (extra, f) in ORDERED_ROWS.items()
    ),
    *(
        Entry(f"probs.{n}", "pair of probs", _given(getattr(ref, n), extra), f, extra=(extra,), **OF_PROBS.get(n, {}))
        for n, (extra, f) in ORDERED_PAIRS.items()
    ),
    *(
        Entry(
            f"logits.{n}",
            "pair of mild logits" if callable(extra) else "pair of logits",
            _from_logits(_given(getattr(ref, n), extra)),
            plain_logits(f),
            extra=(extra,),
            **OF_LOGITS.get(n, {}),
        )
        for n, (extra, f) in ORDERED_PAIRS.items()
    ),
    *(
        Entry(
            f"probs.{n}",
            "joint table" + " of three" * (n not in OF_TWO),
            ref.of_table(r),
            f,
            options=o,
            **OF_PROBS.get(n, {}),
        )
        for n, (r, f, o) in TABLE_MEASURES.items()
    ),
    *(
        Entry(
            f"logits.{n}",
            "joint logits" + " of three" * (n not in OF_TWO),
            (lambda t, r=r: r(flat_softmax(t))),
            plain_of_logits(f),
            options=o,
            **OF_LOGITS.get(n, {}),
        )
        for n, (r, f, o) in TABLE_MEASURES.items()
    ),
    *(
        Entry(
            f"probs.binary_{n}",
            "bernoulli" if n == "entropy" else "pair of bernoulli",
            _each(getattr(ref, n), ref.two),
            plain_each(f),
            elementwise=True,
            **OF_PROBS.get(f"binary_{n}", {}),
        )
        for n, f in BINARY_MEASURES.items()
    ),
    *(
        Entry(
            f"logits.binary_{n}",
            "binary logits" if n == "entropy" else "pair of binary logits",
            _each(getattr(ref, n), ref.two_from_logit),
            plain_binary(f),
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
        lambda z, t: -jnp.sum(t * jnp.log(softmax(z)), -1),
        **EVERYTHING,
    ),
    Entry(
        "losses.softmax_cross_entropy_with_integer_labels",
        "logits and labels",
        ref.softmax_cross_entropy_with_integer_labels,
        picked,
        **EVERYTHING,
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
        lambda z, t: kl(t, softmax(z)),
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
        lambda z, t: jnp.sum(-t * (1 - softmax(z)) ** 2 * jnp.log(softmax(z)), -1),
        **FIRST,
    ),
    Entry(
        "losses.softmax_focal_loss_with_integer_labels",
        "logits and labels",
        ref.softmax_focal_loss_with_integer_labels,
        lambda z, label: (1 - jnp.exp(-picked(z, label))) ** 2 * picked(z, label),
        **FIRST,
    ),
    Entry(
        "losses.pseudo_huber_loss",
        "predictions and targets",
        _elementwise(ref.pseudo_huber_loss),
        lambda p, t: jnp.sqrt(1 + (p - t) ** 2) - 1,
        elementwise=True,
        **FIRST,
    ),
    Entry("losses.huber_loss", "predictions and targets", _elementwise(ref.huber_loss), huber, elementwise=True),
]

BY_NAME = {entry.name: entry for entry in TABLE}


def by_turns(entries):
    """Parameters of a test: those that others stand for in the slow pass."""
    return [pytest.param(e, id=e.name, marks=[pytest.mark.slow] if e.fast is Fast.FIRST else []) for e in entries]


def probs_first(entries):
    """Parameters of a test: as `by_turns`, but only for logits."""
    marks = [[pytest.mark.slow] if e.fast is Fast.FIRST and e.name.startswith("logits") else [] for e in entries]
    return [pytest.param(e, id=e.name, marks=m) for e, m in zip(entries, marks, strict=True)]


def core_first(entries):
    """Parameters of a test: all but those of the core in the slow pass."""
    return [pytest.param(e, id=e.name, marks=[] if e.fast is Fast.EVERYTHING else [pytest.mark.slow]) for e in entries]


def in_turn(entries, kinds):
    """Parameters (entry, kind) of a test: every kind for the core, one in turn for the rest, in the slow pass."""

    def param(entry, kind, *marks):
        return pytest.param(entry, kind, id=f"{entry.name}-{getattr(kind, '__name__', kind)}", marks=marks)

    core = [param(e, k) for e in entries if e.fast is Fast.EVERYTHING for k in kinds]
    rest = [(e, kinds[i % len(kinds)]) for i, e in enumerate(e for e in entries if e.fast is not Fast.EVERYTHING)]
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
