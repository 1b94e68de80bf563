"""The accuracy that the package promises, on rows made to break it."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jxent._numerics import fast_chained, fast_logits, fast_looped, fast_probs, rows
from jxent._numerics.kernels import ENTROPY, JENSEN_SHANNON, KL_DIVERGENCE
from tests import accuracy
from tests import reference as ref
from tests.table import BY_NAME, CORE, TABLE

BOUND = {"float32": 4e-6, "float64": 4e-15}


# One of every kind in the fast pass; the rest, which differ in the kernel alone, in the slow one.
QUICK = ("probs.entropy", "probs.kl_divergence", "logits.kl_divergence", "logits.log_probabilities")


@pytest.mark.parametrize(
    "entry",
    [e if e.name in QUICK else pytest.param(e, marks=pytest.mark.slow) for e in TABLE],
    ids=[e.name for e in TABLE],
)
def test_worst_relative_error(entry, dtype):
    found = accuracy.worst(entry, dtype.name, rounds=1)
    assert max(found.values()) <= BOUND[dtype.name], found


@pytest.mark.parametrize("axis", [0, -1])
def test_a_thousand_categories_along_either_axis(axis, dtype):
    """Equal terms are the worst case of a running sum: every addition rounds the same way."""
    p = np.full(1000, 1e-3, dtype)
    q = np.linspace(1.0, 2.0, 1000)
    q = (q / q.sum()).astype(dtype)
    shape = (1000, 3) if axis == 0 else (3, 1000)
    wide_p, wide_q = (jnp.asarray(np.broadcast_to(x[:, None] if axis == 0 else x, shape)) for x in (p, q))
    for name in ("entropy", "kl_divergence", "jensen_shannon_divergence", "cross_entropy"):
        entry = BY_NAME[f"probs.{name}"]
        args = (wide_p, wide_q)[: entry.arity]
        exact = entry.reference(*(ref.exact(x) for x in (p, q)[: entry.arity]))
        error = np.max(np.abs(np.asarray(entry.function(*args, axis=axis), float) / float(exact) - 1))
        assert error <= BOUND[dtype.name], name


# The parameter that a formula is tried with beside that of the table, by name.
PARAMETERS = {
    "jensen_shannon_divergence": (0.5, 0.3),
    "alpha_divergence": (0.5, -2.0),
    "renyi_divergence": (0.5, 2.0),
    "renyi_entropy": (2.0, 0.5),
    "tsallis_entropy": (2.0, 0.5),
}
PUBLIC = {"hellinger": "hellinger_distance", "bhattacharyya": "bhattacharyya_distance"}
WHICH = {
    **{id(table): ", first" for table in (fast_chained.PROBS, fast_chained.LOGITS)},
    **{id(table): ", in a loop" for table in (fast_looped.PROBS, fast_looped.LOGITS)},
}
FORMULAS = [
    pytest.param(room, table, name, id=f"{room}.{name}{WHICH.get(id(table), '')}", marks=marks)
    for room, table in (
        ("probs", fast_chained.PROBS),
        ("logits", fast_chained.LOGITS),
        ("probs", fast_looped.PROBS),
        ("logits", fast_looped.LOGITS),
        ("probs", fast_probs.FORMULAS),
        ("logits", fast_logits.FORMULAS),
    )
    for name in table
    for marks in [[] if f"{room}.{name}" in CORE else [pytest.mark.slow]]
]


@pytest.mark.parametrize(("room", "table", "name"), FORMULAS)
def test_a_quick_formula_certifies_only_what_is_right(room, table, name, dtype_by_turns):
    """Rows from all families at once, from certain to hopeless: whatever is certified is within the bound."""
    dtype = dtype_by_turns
    if table in (fast_looped.PROBS, fast_looped.LOGITS) and dtype != np.float32:
        pytest.skip("the loop is for float32 alone")
    short = name.removesuffix(" of a row")
    public = PUBLIC.get(short, short)
    arity = BY_NAME[f"{room}.{public}"].arity
    quick = jax.jit(lambda *operands: [x() if callable(x) else x for x in table[name]((0,), *operands)])
    certified = 0
    for label, case, pair in _exact_cases(room, dtype.name):
        exact = pair[:arity]
        for parameter in PARAMETERS.get(short, (None,)):
            extra = () if parameter is None else (jnp.asarray(parameter, dtype),)
            value, sure = quick(*(jnp.asarray(x) for x in case[:arity]), *extra)
            if not bool(jnp.all(sure)):
                continue
            certified += 1
            if short in ("probabilities", "log_probabilities"):
                expected = [x if short == "probabilities" else ref.mp.log(x) if x else -ref.INF for x in exact[0]]
            else:
                expected = [getattr(ref, public)(*exact, *(float(x) for x in extra))]
                # The distance of Hellinger is the root of what the formula gives.
                expected = [expected[0] ** 2] if short == "hellinger" else expected
            assert accuracy.relative_error(value, expected, dtype) <= BOUND[dtype.name], (label, parameter)
    assert certified >= 2


@pytest.mark.parametrize("name", ["hellinger_distance", "bhattacharyya_distance"])
def test_what_is_no_probability_is_nan_in_a_batch_as_alone(name):
    p = jnp.full((64, 100), 0.01).at[0, 0].set(-0.3)
    q = jnp.full((64, 100), 0.01).at[:, 0].set(0.02)
    for args in ((p, q), (q, p)):
        found = np.asarray(BY_NAME[f"probs.{name}"].public(*args))
        np.testing.assert_array_equal(np.isnan(found), np.arange(64) == 0)


@pytest.mark.parametrize("beta", [-5.0, 0.25, 0.5, 0.75, 10.0])
def test_a_class_with_a_large_exponent_is_not_certified_wrongly(beta, x64):
    """One class far below the others has a power as large as theirs."""
    rng = np.random.default_rng(4)
    p = rng.dirichlet(np.ones(64), size=60)
    q = p * (1.0 + rng.uniform(-0.02, 0.02, p.shape) if not 0 < beta < 1 else rng.lognormal(0.0, 2.0, p.shape))
    p, q = (x / x.sum(1, keepdims=True) for x in (p, q))
    small, turned = 10.0 ** -rng.uniform(12, 20, 60), beta < 0
    (p if turned else q)[:, 0] = small
    if not 0 < beta < 1:
        # Such that the power is about 4.
        here, there = (1.0 - beta, beta) if turned else (beta, 1.0 - beta)
        (q if turned else p)[:, 0] = (4.0 * small**-there) ** (1.0 / here)
    value, sure = fast_probs.alpha_divergence((1,), jnp.asarray(p), jnp.asarray(q), jnp.asarray(1.0 - 2.0 * beta))
    # Outside of these orders the exponents are not bounded by the sum, and nothing is certified.
    assert np.any(sure) == (0 < beta < 1)
    for row in np.nonzero(np.asarray(sure))[0]:
        expected = ref.alpha_divergence(ref.exact(p[row]), ref.exact(q[row]), 1.0 - 2.0 * beta)
        assert accuracy.relative_error(value[row], [expected], np.float64) <= BOUND["float64"], row


PROBS = ((1.0, 0.0), (1.2, 0.0), (1e3, 0.0))
LOGITS = ((1e-3, 0.0), (0.1, 0.0), (1.0, 0.0), (1.0, 1.4), (1.0, -3.5), (1.0, 11.0), (0.1, 40.0))


def _cases(room, rng, dtype):
    """Pairs of rows of every family; from logits also shrunk and moved apart, from probabilities also other masses."""
    make = accuracy._probs if room == "probs" else accuracy._logits
    for family in accuracy.FAMILIES:
        for scale, shift in LOGITS if room == "logits" else PROBS:
            p, q = make(family, rng, dtype)[:2]
            moved = (np.asarray(p, float) * scale + 0.9 * shift, np.asarray(q, float) * scale + shift)
            yield (family, scale, shift), tuple(x.astype(dtype) for x in moved)


@functools.cache
def _exact_cases(room, dtype):
    """The same for all formulas of a room, with the exact probabilities."""
    found = []
    for label, case in _cases(room, np.random.default_rng(3), np.dtype(dtype)):
        exact = [ref.exact(x) for x in case]
        found.append((label, case, [ref.softmax(x)[0] for x in exact] if room == "logits" else exact))
    return found


@pytest.mark.parametrize("name", ["entropy", "kl_divergence", "jensen_shannon_divergence"])
def test_both_paths_give_one_value(name, dtype):
    """The definition, which every other platform runs, beside what this one runs."""
    rng = np.random.default_rng(5)
    p, q = (jnp.asarray(x) for x in accuracy._probs("random", rng, dtype))
    kernel = {k.name: k for k in (ENTROPY, KL_DIVERGENCE, JENSEN_SHANNON)}[name]
    theta = (jnp.asarray(0.5, dtype),) if kernel is JENSEN_SHANNON else ()
    operands = (p,) if kernel is ENTROPY else (p, q)
    exact = rows._total(kernel, rows.probs_pair(operands), (0,), theta)
    np.testing.assert_allclose(rows.probs_sum(kernel, (0,), operands, theta), exact, rtol=2 * BOUND[dtype.name])
