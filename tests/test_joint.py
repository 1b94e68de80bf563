"""Joint tables: the examples of the papers, identities, groupings of axes, masks and errors."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jxent import logits, probs
from tests.rows import GIANT_BIT, XOR
from tests.table import TABLE, batch, core_first

ROOMS = [probs, logits]
# Costly to compile twice: the logits in the slow pass.
PROBS_FIRST = [probs, pytest.param(logits, marks=pytest.mark.slow)]
ALL = ("total_correlation", "dual_total_correlation", "o_information", "co_information", "interaction_information")


def as_given(room, table):
    """The table as the room takes it."""
    return jnp.asarray(table) if room is probs else jnp.log(jnp.asarray(table))


def table_of(outcomes, sizes):
    """A table of equally likely outcomes."""
    table = np.zeros(sizes)
    for outcome in outcomes:
        table[outcome] += 1 / len(outcomes)
    return table


BITS = list(itertools.product((0, 1), repeat=3))
DYADIC = table_of([(2 * a + b, 2 * b + c, 2 * c + a) for a, b, c in BITS], (4, 4, 4))
TRIADIC = table_of([(2 * a + c, 2 * b + c, 2 * (a ^ b) + c) for a, b, c in BITS], (4, 4, 4))


@pytest.mark.parametrize("room", PROBS_FIRST)
def test_example_of_the_textbook(room, x64):
    """Cover and Thomas, Elements of Information Theory, 2nd ed., example 2.2.1; X are the columns."""
    t = as_given(room, np.array([[4, 2, 1, 1], [2, 4, 1, 1], [2, 2, 2, 2], [8, 0, 0, 0]]) / 32)
    bits = {"base": 2}
    assert room.joint_entropy(t, **bits) == pytest.approx(27 / 8)
    assert room.conditional_entropy(t, of=1, given=0, **bits) == pytest.approx(11 / 8)
    assert room.conditional_entropy(t, of=0, given=1, **bits) == pytest.approx(13 / 8)
    assert room.mutual_information(t, **bits) == pytest.approx(3 / 8)
    assert room.variation_of_information(t, **bits) == pytest.approx(3)
    assert room.normalized_mutual_information(t) == pytest.approx(0.375 / 1.875)
    expected = {"geometric": 0.375 / np.sqrt(3.5), "min": 0.375 / 1.75, "max": 0.375 / 2, "joint": 0.375 / 3.375}
    for normalizer, value in expected.items():
        assert room.normalized_mutual_information(t, normalizer=normalizer) == pytest.approx(value)


@pytest.mark.parametrize("room", PROBS_FIRST)
@pytest.mark.parametrize(
    ("table", "values"),
    [
        (XOR, {"total_correlation": 1, "dual_total_correlation": 2, "co_information": -1}),
        (GIANT_BIT, {"total_correlation": 2, "dual_total_correlation": 1, "co_information": 1}),
        pytest.param(
            DYADIC,
            {"total_correlation": 3, "dual_total_correlation": 3, "co_information": 0},
            marks=pytest.mark.slow,
        ),
        (TRIADIC, {"total_correlation": 3, "dual_total_correlation": 3, "co_information": 0}),
    ],
    ids=["xor", "giant bit", "dyadic", "triadic"],
)
def test_examples_of_the_papers(room, table, values, x64):
    """XOR and giant bit: Rosas et al. (2019). Dyadic and triadic, which no measure of this kind can tell apart:
    James and Crutchfield, Multivariate dependence beyond Shannon information, Entropy 19 (2017), table 1.
    """
    t = as_given(room, table)
    for name, value in values.items():
        assert getattr(room, name)(t, base=2) == pytest.approx(value, abs=1e-12)
    omega = values["total_correlation"] - values["dual_total_correlation"]
    assert room.o_information(t, base=2) == pytest.approx(omega, abs=1e-12)
    assert room.interaction_information(t, base=2) == pytest.approx(-values["co_information"], abs=1e-12)
    pair, given = room.marginal(t, (0, 1)), room.conditional_mutual_information(t, base=2)
    assert room.mutual_information(pair, base=2) - given == pytest.approx(values["co_information"], abs=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize("room", PROBS_FIRST)
def test_the_extremes_of_five_variables(room, x64):
    """Rosas et al. (2019): n copies of one bit have the O-information n − 2, n bits of even parity 2 − n."""
    copies = table_of([(b,) * 5 for b in (0, 1)], (2,) * 5)
    parity = table_of([b for b in itertools.product((0, 1), repeat=5) if sum(b) % 2 == 0], (2,) * 5)
    assert room.o_information(as_given(room, copies), base=2) == pytest.approx(3)
    assert room.o_information(as_given(room, parity), base=2) == pytest.approx(-3)
    assert room.co_information(as_given(room, copies), base=2) == pytest.approx(1)
    # For n bits of even parity the co-information is (−1)ⁿ, the interaction information 1 (McGill's sign).
    assert room.interaction_information(as_given(room, parity), base=2) == pytest.approx(1)


def random_table(rng, shape, dtype=float):
    return np.asarray(rng.dirichlet(np.full(np.prod(shape), 0.7)).reshape(shape), dtype)


@pytest.mark.slow
@pytest.mark.parametrize("room", PROBS_FIRST)
def test_identities(room, rng, x64):
    """Chain rules and the definitions as sums of entropies, which no measure is evaluated by."""
    t = as_given(room, random_table(rng, (2, 3, 4)))

    def h(*axes):
        return float(room.joint_entropy(room.marginal(t, axes)))

    close = {"rel": 1e-9, "abs": 1e-12}
    assert room.conditional_entropy(room.marginal(t, (0, 1)), of=0, given=1) == pytest.approx(h(0, 1) - h(1), **close)
    assert room.mutual_information(t, x=0, y=(1, 2)) == pytest.approx(h(0) + h(1, 2) - h(0, 1, 2), **close)
    cmi = h(0, 2) + h(1, 2) - h(2) - h(0, 1, 2)
    assert room.conditional_mutual_information(t) == pytest.approx(cmi, **close)
    assert room.total_correlation(t) == pytest.approx(h(0) + h(1) + h(2) - h(0, 1, 2), **close)
    dual = h(0, 1) + h(0, 2) + h(1, 2) - 2 * h(0, 1, 2)
    assert room.dual_total_correlation(t) == pytest.approx(dual, **close)
    mi = float(room.mutual_information(room.marginal(t, (0, 1))))
    assert room.mutual_information(t, x=0, y=(1, 2)) == pytest.approx(
        float(room.mutual_information(room.marginal(t, (0, 2)))) + float(room.conditional_mutual_information(t)),
        **close,
    )
    assert room.co_information(t) == pytest.approx(mi - cmi, **close)
    assert room.interaction_information(t) == pytest.approx(cmi - mi, **close)
    assert room.total_correlation(room.marginal(t, (0, 1))) == pytest.approx(mi, **close)
    assert room.co_information(room.marginal(t, 0)) == pytest.approx(h(0), **close)
    assert room.interaction_information(room.marginal(t, 0)) == pytest.approx(-h(0), **close)
    assert room.total_correlation(t, variables=((0, 1, 2),)) == 0
    assert room.dual_total_correlation(t, variables=((0, 1, 2),)) == 0
    # The order of the variables changes nothing but rounding.
    for name in ALL:
        f = getattr(room, name)
        assert f(t, variables=(2, 0, 1)) == pytest.approx(float(f(t)), **close)


@pytest.mark.parametrize("room", PROBS_FIRST)
def test_groups_and_batches_of_axes(room, rng):
    tables = np.stack([random_table(rng, (2, 3, 2, 2), np.float32) for _ in range(6)]).reshape(3, 2, 2, 3, 2, 2)
    t = as_given(room, tables)
    grouped = room.mutual_information(t, x=(-4, -1), y=(-2, -3))
    assert grouped.shape == (3, 2)
    moved = jnp.transpose(t, (0, 1, 2, 5, 4, 3)).reshape(3, 2, 4, 6)
    np.testing.assert_allclose(grouped, room.mutual_information(moved), rtol=1e-5)
    np.testing.assert_allclose(
        jax.vmap(jax.vmap(lambda a: room.total_correlation(a, variables=[0, (1, 2), 3])))(t),
        room.total_correlation(t, variables=(-4, (-3, -2), -1)),
        rtol=1e-5,
    )
    kept = room.conditional_mutual_information(t, x=2, y=3, given=(4, 5), keepdims=True)
    assert kept.shape == (3, 2, 1, 1, 1, 1)
    first = room.total_correlation(jnp.moveaxis(t, (0, 1), (-1, -2)), variables=(0, 1, 2, 3))
    np.testing.assert_allclose(first.T, room.total_correlation(t, variables=(2, 3, 4, 5)), rtol=1e-5)


def test_a_product_table_has_no_information(rng, dtype_by_turns):
    dtype = dtype_by_turns
    for _ in range(5):
        x, y, z = (rng.dirichlet(np.ones(n)).astype(dtype) for n in (5, 7, 3))
        t = jnp.asarray(x[:, None, None] * y[:, None] * z)
        for value in (
            probs.mutual_information(t, x=0, y=(1, 2)),
            probs.conditional_mutual_information(t),
            probs.total_correlation(t),
            probs.dual_total_correlation(t),
            logits.mutual_information(jnp.log(t), x=0, y=(1, 2)),
            logits.total_correlation(jnp.log(t)),
        ):
            assert 0 <= value <= 60 * np.finfo(dtype).eps ** 2
    exact = jnp.full((4, 8), 1 / 32, dtype)
    assert probs.mutual_information(exact) == 0
    np.testing.assert_array_equal(jax.grad(probs.mutual_information)(exact), 0)


def test_variables_of_one_value_change_nothing(rng):
    t = jnp.asarray(random_table(rng, (3, 4), np.float32))
    wide = t[:, None, None, :, None, None, None]
    np.testing.assert_allclose(probs.total_correlation(wide), probs.mutual_information(t), rtol=1e-5)
    np.testing.assert_allclose(probs.dual_total_correlation(wide), probs.mutual_information(t), rtol=1e-5)
    cmi = probs.conditional_mutual_information(wide, x=0, y=3, given=(1, 2, 4, 5, 6))
    np.testing.assert_allclose(cmi, probs.mutual_information(t), rtol=1e-5)


JOINT = [e for e in TABLE if e.joint]


@pytest.mark.parametrize("entry", core_first(JOINT))
def test_masks_of_cells(entry, op_by_op):
    (t,) = batch(entry, jnp.float32)
    where = jnp.ones(t.shape, bool).at[:, 0, 0].set(False)
    poisoned = jnp.where(where, t, jnp.nan)
    empty = 0.0 if entry.name.startswith("probs") else -jnp.inf
    np.testing.assert_array_equal(entry.function(poisoned, where=where), entry.function(jnp.where(where, t, empty)))
    gradient = jax.grad(lambda t: jnp.sum(jnp.nan_to_num(entry.function(t, where=where))))(poisoned)
    np.testing.assert_array_equal(jnp.where(where, 0.0, gradient), 0)
    nothing = entry.function(jnp.full(t.shape, jnp.nan), where=jnp.zeros(t.shape, bool))
    np.testing.assert_array_equal(nothing, 0)


@pytest.mark.slow
@pytest.mark.parametrize("entry", core_first(JOINT))
def test_a_table_from_an_underflowed_softmax(entry, op_by_op):
    (t,) = batch(entry, jnp.float32)
    z = jnp.zeros(t.shape[1:]).at[0, 0].set(-200.0).at[1, 1].set(-1000.0)

    def of(z):
        return entry.function(jnp.exp(z) / jnp.sum(jnp.exp(z)) if entry.name.startswith("probs") else z)

    assert np.isfinite(jax.grad(of)(z)).all()
    assert np.isfinite(jax.hessian(of)(z)).all()


@pytest.mark.parametrize("room", ROOMS)
def test_margins_and_conditionals(room, rng, x64):
    table = random_table(rng, (2, 3, 4))
    t, back = as_given(room, table), (lambda x: np.asarray(x) if room is probs else np.exp(x))
    np.testing.assert_allclose(back(room.marginal(t, 1)), table.sum(axis=(0, 2)))
    np.testing.assert_allclose(back(room.marginal(t, (2, 0))), table.sum(axis=1))
    np.testing.assert_allclose(back(room.marginal(t, 2, keepdims=True)), table.sum(axis=(0, 1), keepdims=True))
    np.testing.assert_allclose(back(room.marginal(t, (0, 1, 2))), table)
    batch_sum = table.sum(axis=1) if room is probs else table.sum(axis=1) / table.sum(axis=(1, 2))[:, None]
    np.testing.assert_allclose(back(room.marginal(t, 2, table=(1, 2))), batch_sum)
    np.testing.assert_allclose(back(room.conditional(t, of=0, given=(1, 2))), table / table.sum(axis=0))
    np.testing.assert_allclose(back(room.conditional(t, of=(0, 2), given=1)), table / table.sum((0, 2), keepdims=True))
    # The chain rule as code: P(A, B) = P(A | B)·P(B).
    joint = back(room.conditional(t, of=0, given=(1, 2))) * back(room.marginal(t, (1, 2)))
    np.testing.assert_allclose(joint, table)


def test_margins_at_the_boundary():
    t = jnp.asarray([[0.5, 0.5], [0.0, 0.0]])
    np.testing.assert_array_equal(probs.conditional(t, of=1, given=0), [[0.5, 0.5], [np.nan, np.nan]])
    z = jnp.asarray([[0.0, 0.0], [-jnp.inf, -jnp.inf]])
    np.testing.assert_array_equal(logits.marginal(z, 0), [0, -np.inf])
    np.testing.assert_array_equal(np.isnan(logits.conditional(z, of=1, given=0)), [[False] * 2, [True] * 2])
    assert np.isfinite(jax.jacobian(lambda z: jnp.exp(logits.marginal(z, 0)))(z)).all()
    # A nearly certain margin keeps its tail.
    tail = jnp.asarray([[30.0, 29.0], [0.0, -1.0]])
    np.testing.assert_allclose(logits.marginal(tail, 0)[0], -np.exp(-30.0), rtol=1e-5)


@pytest.mark.slow
def test_derivatives_of_margins_and_conditionals(rng, x64):
    t = jnp.asarray(random_table(rng, (2, 3)))
    plain = {
        "probs": (lambda t: t.sum(1), lambda t: t / t.sum(1, keepdims=True), t),
        "logits": (
            lambda z: jax.nn.log_softmax(z.ravel()).reshape(z.shape)[:, 0] - jax.nn.log_softmax(z, 1)[:, 0],
            lambda z: jax.nn.log_softmax(z, 1),
            jnp.log(t) + 3,
        ),
    }
    for room in ROOMS:
        margin, conditional, x = plain[room.__name__.split(".")[1]]
        for f, g in (
            (lambda t, room=room: room.marginal(t, 0), margin),
            (lambda t, room=room: room.conditional(t, of=1, given=0), conditional),
        ):
            np.testing.assert_allclose(jax.jacrev(f)(x), jax.jacfwd(g)(x), atol=1e-12)
            np.testing.assert_allclose(jax.jacfwd(jax.jacrev(f))(x), jax.jacfwd(jax.jacfwd(g))(x), atol=1e-10)


@pytest.mark.parametrize("room", ROOMS)
def test_variables_that_make_no_sense_are_refused(room):
    t = as_given(room, np.full((2, 2, 2), 0.125, np.float32))
    with pytest.raises(ValueError, match=r"x and y both name axis 2"):
        room.mutual_information(t, x=2, y=-1)
    with pytest.raises(ValueError, match="axis=3 does not exist"):
        room.conditional_entropy(t, of=3)
    with pytest.raises(ValueError, match="names no axis"):
        room.total_correlation(t, variables=())
    with pytest.raises(ValueError, match="names no axis"):
        room.mutual_information(t, x=())
    with pytest.raises(TypeError, match="variables"):
        room.total_correlation(t, variables="xy")
    with pytest.raises(TypeError, match="x"):
        room.mutual_information(t, x="first")
    with pytest.raises(TypeError, match="axis"):
        room.mutual_information(t, x=True)
    with pytest.raises(ValueError, match=r"normalizer='mean'.*arithmetic"):
        room.normalized_mutual_information(t, normalizer="mean")
    with pytest.raises(ValueError, match="outside table"):
        room.marginal(t, 0, table=(1, 2))
    with pytest.raises(TypeError, match=r"x.*traced"):
        jax.jit(lambda x: room.mutual_information(t, x=x))(0)


@pytest.mark.parametrize("room", ROOMS)
def test_what_a_constant_shares_is_nothing(room):
    t = as_given(room, np.asarray([[0.5, 0.5], [0.0, 0.0]], np.float32))
    for normalizer in ("min", "geometric"):
        value, gradient = jax.value_and_grad(
            lambda t, n=normalizer: room.normalized_mutual_information(t, normalizer=n)
        )(t)
        assert value == 0
        assert np.isfinite(gradient).all()
