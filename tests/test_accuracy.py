"""The accuracy that the package promises, on rows made to break it."""

import jax.numpy as jnp
import numpy as np
import pytest

from tests import accuracy
from tests import reference as ref
from tests.table import BY_NAME, TABLE

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


MEASURES = ("entropy", "cross_entropy", "kl_divergence", "jeffreys_divergence", "jensen_shannon_divergence")


@pytest.mark.parametrize("room", ["probs", "logits"])
def test_other_masses_and_offsets(room, dtype_by_turns):
    """Rows of every family: from logits also shrunk and moved apart, from probabilities also of other masses."""
    dtype = dtype_by_turns
    for label, case in _cases(room, np.random.default_rng(3), dtype):
        exact = [ref.exact(x) for x in case]
        exact = [ref.softmax(x)[0] for x in exact] if room == "logits" else exact
        for name in MEASURES:
            entry = BY_NAME[f"{room}.{name}"]
            value = entry.public(*case[: entry.arity])
            expected = [getattr(ref, name)(*exact[: entry.arity])]
            assert accuracy.relative_error(value, expected, dtype) <= BOUND[dtype.name], (name, label)


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


@pytest.mark.parametrize("name", ["hellinger_distance", "bhattacharyya_distance"])
def test_what_is_no_probability_is_nan_in_a_batch_as_alone(name):
    p = jnp.full((64, 100), 0.01).at[0, 0].set(-0.3)
    q = jnp.full((64, 100), 0.01).at[:, 0].set(0.02)
    for args in ((p, q), (q, p)):
        found = np.asarray(BY_NAME[f"probs.{name}"].public(*args))
        np.testing.assert_array_equal(np.isnan(found), np.arange(64) == 0)
