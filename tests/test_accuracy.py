"""The accuracy that the package promises, on rows made to break it."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jxent._numerics import fast, fast_logits, fast_probs, rows
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
FORMULAS = [
    pytest.param(room, name, id=f"{room}.{name}", marks=[] if f"{room}.{name}" in CORE else [pytest.mark.slow])
    for room, table in (("probs", fast_probs), ("logits", fast_logits))
    for name in table.FORMULAS
]


@pytest.mark.parametrize(("room", "name"), FORMULAS)
def test_a_quick_formula_certifies_only_what_is_right(room, name, dtype_by_turns):
    """Rows from all families at once, from certain to hopeless: whatever is certified is within the bound."""
    dtype, rng = dtype_by_turns, np.random.default_rng(3)
    make = accuracy._probs if room == "probs" else accuracy._logits
    short = name.removesuffix(" of a row")
    public = PUBLIC.get(short, short)
    arity = BY_NAME[f"{room}.{public}"].arity
    find = fast.from_probs if room == "probs" else fast.from_logits
    quick = jax.jit(lambda *operands: [x() if callable(x) else x for x in find(name, (0,))(*operands)])
    certified = 0
    for family, scale in itertools.product(accuracy.FAMILIES, (1e-3, 0.1, 1.0) if room == "logits" else (1.0,)):
        case = tuple((x * dtype.type(scale)).astype(dtype) for x in make(family, rng, dtype)[:arity])
        exact = [ref.exact(x) for x in case]
        if room == "logits":
            exact = [ref.softmax(x)[0] for x in exact]
        for parameter in PARAMETERS.get(short, (None,)):
            extra = () if parameter is None else (jnp.asarray(parameter, dtype),)
            value, sure = quick(*(jnp.asarray(x) for x in case), *extra)
            if not bool(jnp.all(sure)):
                continue
            certified += 1
            if short in ("probabilities", "log_probabilities"):
                expected = [x if short == "probabilities" else ref.mp.log(x) if x else -ref.INF for x in exact[0]]
            else:
                expected = [getattr(ref, public)(*exact, *(float(x) for x in extra))]
                # The distance of Hellinger is the root of what the formula gives.
                expected = [expected[0] ** 2] if short == "hellinger" else expected
            assert accuracy.relative_error(value, expected, dtype) <= BOUND[dtype.name], (family, scale, parameter)
    assert certified >= 2


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
