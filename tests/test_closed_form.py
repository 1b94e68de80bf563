"""Closed forms against 150-digit differences of the references, at random rows and in the tails, and planted errors."""

import zlib

import jax
import jax.numpy as jnp
import mpmath as mp
import numpy as np
import pytest

from jxent import closed_form
from tests.table import INPUTS, TABLE, by_turns, core_first

BY_HAND = [e for e in TABLE if e.closed_form]
# Steps whose error is far below float64 at 150 digits.
STEP = mp.mpf(10) ** -40


def random_rows(entry):
    """A row of every argument inside the domain, of the shape that the table has, integers as they are there."""
    rng = np.random.default_rng(zlib.crc32(entry.name.encode()))

    def row(example, first):
        shape = np.shape(example)
        if isinstance(example, int):
            return example
        if "bernoulli" in entry.kind or ("outcomes" in entry.kind and not first):
            return rng.uniform(0.1, 0.9, shape)
        if "probs" in entry.kind or entry.kind.startswith("joint table") or ("targets" in entry.kind and not first):
            return rng.dirichlet(np.ones(np.prod(shape))).reshape(shape)
        return rng.normal(size=shape)

    return [row(x, i == 0) for i, x in enumerate(INPUTS[entry.kind][0])]


def value_of(entry, rows):
    """The exact sum of the values of a row, as a function of all float numbers in it."""
    shapes = [np.shape(x) for x in rows]
    sizes = [int(np.prod(s)) for s in shapes]

    def of(numbers):
        arguments, at = [], 0
        for x, shape, size in zip(rows, shapes, sizes, strict=True):
            if isinstance(x, int):
                arguments.append(x)
            else:
                grid = np.empty(shape, object)
                grid.ravel()[:] = numbers[at : at + size]
                arguments.append(grid.tolist())
                at += size
        found = entry.reference(*arguments)
        return mp.fsum(found) if isinstance(found, list) else found

    return of, [mp.mpf(float(x)) for row in rows if not isinstance(row, int) for x in np.ravel(row)]


def slope(of, numbers, i):
    up, down = list(numbers), list(numbers)
    up[i], down[i] = up[i] + STEP, down[i] - STEP
    return (of(up) - of(down)) / (2 * STEP)


def gradients(entry, rows):
    """The closed form, one array for each argument in which it has a gradient."""
    found = entry.closed_form(*(x if isinstance(x, int) else jnp.asarray(x) for x in rows))
    return [np.asarray(g) for g in (found if isinstance(found, tuple) else (found,))]


@pytest.mark.parametrize("entry", by_turns(BY_HAND))
def test_random_rows_against_many_digits(entry, x64):
    rows = random_rows(entry)
    of, numbers = value_of(entry, rows)
    at = 0
    for g in gradients(entry, rows):
        exact = np.array([float(slope(of, numbers, at + i)) for i in range(g.size)]).reshape(g.shape)
        at += g.size
        if entry.kind.startswith("joint table"):
            # The references take the mass as 1: a constant along it is free.
            g, exact = g - g.mean(), exact - exact.mean()
        np.testing.assert_allclose(g, exact, rtol=1e-11, atol=1e-11 * np.max(np.abs(exact)))


TAILS = {
    "logits": [[40.0, 0.0, -3.0, 1.0]],
    "pair of logits": [[40.0, 0.0, -3.0, 1.0], [41.0, 2.5, -1.25, 0.5]],
    "logits and targets": [[40.0, 0.0, -3.0, 1.0], [1.0, 0.0, 0.0, 0.0]],
    "logits and labels": [[40.0, 0.0, -3.0, 1.0], 0],
}
IN_TAILS = [e for e in BY_HAND if e.kind in TAILS and not e.extra]


@pytest.mark.parametrize("entry", by_turns(IN_TAILS))
def test_every_entry_of_a_gradient_has_its_digits_where_a_class_dominates(entry, x64):
    """1 − p of the largest class is 1e-17 there."""
    rows = [x if isinstance(x, int) else np.asarray(x) for x in TAILS[entry.kind]]
    of, numbers = value_of(entry, rows)
    at = 0
    for g in gradients(entry, rows):
        exact = [float(slope(of, numbers, at + i)) for i in range(g.size)]
        at += g.size
        np.testing.assert_allclose(g, exact, rtol=1e-10)


@pytest.mark.parametrize("entry", core_first(IN_TAILS))
def test_second_derivatives_where_a_class_dominates(entry, x64, op_by_op):
    rows = [x if isinstance(x, int) else np.asarray(x) for x in TAILS[entry.kind]]
    of, numbers = value_of(entry, rows)
    first = [x if isinstance(x, int) else jnp.asarray(x) for x in rows]
    found = jax.jacfwd(entry.closed_form)(*first)
    found = np.asarray(found[0] if isinstance(found, tuple) else found)
    for i in range(4):
        for j in range(4):
            up, down = list(numbers), list(numbers)
            up[j], down[j] = up[j] + STEP, down[j] - STEP
            exact = float((slope(of, up, i) - slope(of, down, i)) / (2 * STEP))
            np.testing.assert_allclose(found[i, j], exact, rtol=1e-9)


@pytest.mark.parametrize("entry", core_first(BY_HAND))
def test_a_wrong_sign_in_the_closed_form_is_named(entry, x64, op_by_op):
    rows = [x if isinstance(x, int) else jnp.asarray(x) for x in random_rows(entry)]

    def wrong(*args):
        return jax.tree.map(jnp.negative, entry.closed_form(*args))

    assert closed_form.compare(entry.function, entry.closed_form, *rows, tolerance=1e-10).agrees
    assert not closed_form.compare(entry.function, wrong, *rows, tolerance=1e-10).agrees
