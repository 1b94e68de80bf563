"""Axis, mask, unit and shape options of every function of the table, and what each refuses."""

import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jxent import closed_form
from tests.table import BY_NAME, INPUTS, TABLE, Trait, arrays, batch, by_turns, core_first, differentiable, in_turn
from tests.test_values import worst

IDS = [entry.name for entry in TABLE]
ROWWISE = [e for e in TABLE if not e.elementwise]


pytestmark = pytest.mark.usefixtures("op_by_op")


def options(entry):
    return inspect.signature(entry.public).parameters


# Options whose tests compile most: in the fast pass of the core alone.
SLOWLY = ("where", "base")


def having(name, among=TABLE):
    # What concerns the cells of joint tables is in test_joint.py.
    chosen = [e for e in among if name in options(e) and not (e.joint and name in ("where", "keepdims"))]
    return pytest.mark.parametrize("entry", (core_first if name in SLOWLY else by_turns)(chosen))


@having("base")
def test_base_is_the_unit(entry):
    args = arrays(entry, INPUTS[entry.kind][0], jnp.float32)
    nats = np.asarray(entry.function(*args))
    for base in (2, 10.0, np.e, 0.5):
        expected = nats / np.log(base)
        if Trait.WITHOUT_UNIT in entry.traits:
            expected = nats
        if Trait.UNIT_OF_ROOT in entry.traits:
            if base < 1:
                continue
            expected = nats / np.sqrt(np.log(base))
        np.testing.assert_allclose(entry.function(*args, base=base), expected, rtol=2e-6)


@pytest.mark.parametrize(
    ("entry", "base"), in_turn([e for e in TABLE if "base" in options(e)], [0, -2, 1, np.inf, "2"])
)
def test_what_is_no_base_is_refused(entry, base):
    with pytest.raises(TypeError if isinstance(base, str) else ValueError, match="base"):
        entry.function(*arrays(entry, INPUTS[entry.kind][0], jnp.float32), base=base)


@having("axis")
def test_axis_is_where_the_categories_are(entry):
    args = batch(entry, jnp.float32)
    expected = entry.function(*args)
    moved = tuple(jnp.moveaxis(a, -1, 0) if a.ndim == 2 else a for a in args)
    found = entry.function(*moved, axis=0)
    if found.ndim == 2:
        found = jnp.moveaxis(found, 0, -1)
    assert worst(found, expected) <= 4e-6


@having("axis", [e for e in TABLE if e.kind != "logits and labels"])
def test_categories_may_span_two_axes(entry):
    args = batch(entry, jnp.float32)
    expected = entry.function(*args)
    found = entry.function(*(a.reshape(-1, 2, 2) for a in args), axis=(1, 2))
    assert worst(found.reshape(expected.shape), expected) <= 4e-6


LOGIT_NAMES = ("z", "zp", "zq", "logits")


@having("temperature")
def test_temperature_and_soft_cap_change_the_logits(entry, x64):
    """c·tanh(z/c)/T, where −∞ stays impossible; the gradients in z, T and c; the closed form."""
    args, names = batch(entry, jnp.float64), list(options(entry))
    where = [i for i, a in enumerate(args) if names[i] in LOGIT_NAMES]
    temperature, cap = jnp.asarray(0.7), jnp.asarray(3.0)

    def plain(temperature, cap, *moving):
        scaled = (jnp.where(z == -jnp.inf, z, cap * jnp.tanh(z / cap) / temperature) for z in moving)
        new = dict(zip(where, scaled, strict=True))
        return entry.function(*(new.get(i, a) for i, a in enumerate(args)))

    def ours(temperature, cap, *moving):
        new = dict(zip(where, moving, strict=True))
        found = (new.get(i, a) for i, a in enumerate(args))
        return entry.function(*found, temperature=temperature, soft_cap=cap)

    moving = tuple(args[i] for i in where)
    np.testing.assert_allclose(ours(temperature, cap, *moving), plain(temperature, cap, *moving), rtol=1e-12)
    # Where all logits are finite: elsewhere the plain form has the slope ∞·0.
    moving = tuple(jnp.where(jnp.isfinite(z), z, -2.0) for z in moving)
    every = tuple(range(2 + len(moving)))
    found = jax.grad(lambda *a: ours(*a).sum(), argnums=every)(temperature, cap, *moving)
    expected = jax.grad(lambda *a: plain(*a).sum(), argnums=every)(temperature, cap, *moving)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-8, atol=1e-11)
    room, name = entry.name.split(".")
    by_hand = getattr(closed_form, name if room == "losses" else f"{room}_{name}", None)
    if by_hand is not None:
        new = dict(zip(where, moving, strict=True))
        gradient = by_hand(*(new.get(i, a) for i, a in enumerate(args)), temperature=temperature, soft_cap=cap)
        for one, other in zip(gradient if isinstance(gradient, tuple) else (gradient,), found[2:], strict=False):
            np.testing.assert_allclose(one, other, rtol=1e-8, atol=1e-11)


@having("temperature")
def test_temperature_1_changes_nothing(entry):
    """Also in the slopes of impossible classes."""
    args, names = batch(entry, jnp.float32), list(options(entry))
    at = next(i for i in range(len(args)) if names[i] in LOGIT_NAMES)
    args = [*args[:at], args[at].at[:, 1].set(-jnp.inf), *args[at + 1 :]]

    def total(z, **given):
        value = entry.function(*args[:at], z, *args[at + 1 :], **given)
        return jnp.sum(jnp.where(jnp.isfinite(value), value, 0.0))

    found, expected = (jax.grad(total)(args[at], **g) for g in ({"temperature": jnp.float32(1.0)}, {}))
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-7)


@having("temperature")
def test_scaled_logits_at_the_boundary(entry):
    """Masked logits may hold NaN, and impossible classes have finite gradients in T and c."""
    args = list(arrays(entry, INPUTS[entry.kind][0], jnp.float32))
    names, mask = list(options(entry)), np.arange(args[0].shape[-1]) > 0
    at = next(i for i in range(len(args)) if names[i] in LOGIT_NAMES)
    for spoiled, where in ((jnp.nan, {"where": jnp.asarray(mask)}), (-jnp.inf, {})):
        args[at] = args[at].at[0].set(spoiled)

        def total(z, temperature, cap, where=where):
            found = [*args[:at], z, *args[at + 1 :]]
            value = entry.function(*found, temperature=temperature, soft_cap=cap, **where)
            return jnp.sum(jnp.where(jnp.isfinite(value), value, 0.0))

        slopes = jax.grad(total, argnums=(0, 1, 2))(args[at], jnp.float32(0.7), jnp.float32(3.0))
        assert all(np.isfinite(s).all() for s in slopes)


@having("keepdims")
def test_keepdims(entry):
    args = batch(entry, jnp.float32)
    kept = entry.function(*args, keepdims=True)
    assert kept.shape == (len(args[0]), 1)
    np.testing.assert_allclose(kept[:, 0], entry.function(*args), rtol=1e-6)


@having("where")
def test_a_mask_is_the_same_as_leaving_out(entry):
    """Masked elements hold NaN: they reach neither value nor gradient."""
    case = INPUTS[entry.kind][0]
    args = arrays(entry, case, jnp.float32)
    argnums = differentiable(args)
    expected = np.asarray(entry.function(*args))
    pads = tuple(jnp.concatenate([a, jnp.full((3,), jnp.nan)]) if a.ndim else a for a in args)
    mask = jnp.arange(7) < 4
    found = np.asarray(entry.function(*pads, where=mask))
    assert worst(found if found.ndim == 0 else found[:4], expected) <= 4e-6

    def total(*moving):
        values = entry.function(*moving, *args[len(argnums) :], where=mask)
        return jnp.sum(values if values.ndim == 0 else values[:4])

    found = jax.grad(total, argnums=argnums)(*pads[: len(argnums)])
    plain = jax.grad(lambda *m: jnp.sum(entry.function(*m, *args[len(argnums) :])), argnums=argnums)
    for g, e in zip(found, plain(*args[: len(argnums)]), strict=True):
        np.testing.assert_array_equal(g[4:], 0)
        np.testing.assert_allclose(g[:4], e, rtol=1e-5, atol=1e-6)


EMPTY = {"perplexity": 1.0, "log_probabilities": -np.inf}


@having("where")
def test_a_row_in_which_nothing_takes_part(entry):
    args = tuple(jnp.full_like(a, jnp.nan) if a.dtype == jnp.float32 else a for a in batch(entry, jnp.float32))
    argnums = differentiable(args)
    mask = jnp.zeros((len(args[0]), 4), bool)
    found = entry.function(*args, where=mask)
    np.testing.assert_array_equal(found, np.full(found.shape, EMPTY.get(entry.name.split(".")[1], 0.0)))

    def total(*moving):
        values = entry.function(*moving, *args[len(argnums) :], where=mask)
        return jnp.sum(jnp.where(jnp.isfinite(values), values, 0.0))

    for g in jax.grad(total, argnums=argnums)(*args[: len(argnums)]):
        np.testing.assert_array_equal(g, 0)


@having("where")
def test_masks_that_do_not_fit_are_refused(entry):
    args = batch(entry, jnp.float32)
    with pytest.raises(TypeError, match="where"):
        entry.function(*args, where=jnp.ones(4))
    with pytest.raises(ValueError, match="where"):
        entry.function(*args, where=jnp.ones((3, 4, 4), bool))


@pytest.mark.parametrize("entry", by_turns([e for e in TABLE if e.arity == 2]))
def test_shapes_that_do_not_belong_together_are_refused(entry):
    first, second = batch(entry, jnp.float32)
    if second.dtype == jnp.int32:
        with pytest.raises(ValueError, match="one class id per row"):
            entry.function(first, second[:, None])
        with pytest.raises(TypeError, match="integer"):
            entry.function(first, second.astype(jnp.float32))
        return
    with pytest.raises(ValueError, match=r"\(4, 1\).*\(4,\)"):
        entry.function(jnp.ones((4, 1)), jnp.ones((4,)))
    with pytest.raises(ValueError, match=r"3.*against.*2|2.*against.*3"):
        entry.function(jnp.ones((2, 3)), jnp.ones((2, 2)))
    if not entry.elementwise:
        with pytest.raises(ValueError, match="never broadcasts"):
            entry.function(jnp.ones((2, 3)), jnp.ones((2, 1)))
    # A batch axis of size 1 broadcasts, and nothing else does.
    assert entry.function(first, second[:1]).shape[0] == len(first)


@pytest.mark.slow
@pytest.mark.parametrize("entry", by_turns([e for e in TABLE if e.arity == 2]))
def test_gradient_of_a_broadcast_operand_is_summed(entry):
    first, second = batch(entry, jnp.float32)
    if second.dtype == jnp.int32:
        pytest.skip("labels have no gradient and are not broadcast")
    first, second = first[:2], second[:1]
    wide = jnp.concatenate([second, second])
    narrow = jax.grad(lambda b: jnp.sum(entry.function(first, b)))(second)
    expected = jax.grad(lambda b: jnp.sum(entry.function(first, b)))(wide).sum(axis=0, keepdims=True)
    np.testing.assert_allclose(narrow, expected, rtol=1e-5, atol=1e-6)


@having("axis")
def test_axes_that_do_not_exist_are_refused(entry):
    args = batch(entry, jnp.float32)
    for axis, error in ((2, ValueError), (-3, ValueError), (1.0, TypeError), ((0, 0), (TypeError, ValueError))):
        with pytest.raises(error, match="axis"):
            entry.function(*args, axis=axis)
    empty = tuple(jnp.zeros((3, 0)) if a.ndim == 2 else a[:3] for a in args)
    with pytest.raises(ValueError, match="no categories"):
        entry.function(*empty)


@pytest.mark.parametrize("entry", TABLE, ids=IDS)
@pytest.mark.parametrize("bad", ["text", {"a": 1}, [[1.0], [1.0, 2.0]], np.array(["a"]), np.ones(4, complex)])
def test_what_holds_no_real_numbers_is_refused(entry, bad):
    args = list(arrays(entry, INPUTS[entry.kind][0], jnp.float32))
    args[0] = bad
    with pytest.raises(TypeError, match=r"expected|ragged"):
        entry.function(*args)


@pytest.mark.parametrize("entry", TABLE, ids=IDS)
def test_options_are_keyword_only(entry):
    args = arrays(entry, INPUTS[entry.kind][0], jnp.float32)
    with pytest.raises(TypeError, match=r"positional"):
        entry.function(*args, 0)


@having("weight")
def test_a_weight_outside_its_interval_is_refused(entry):
    args = arrays(entry, INPUTS[entry.kind][0], jnp.float32)
    for weight in (-0.1, 1.1, float("nan")):
        with pytest.raises(ValueError, match=r"weight.*\[0, 1\]"):
            entry.function(*args, weight=weight)
    with pytest.raises(ValueError, match="scalar"):
        entry.function(*args, weight=jnp.asarray([0.5, 0.5]))


@having("delta")
def test_a_delta_that_is_not_positive_is_refused(entry):
    args = arrays(entry, INPUTS[entry.kind][0], jnp.float32)
    for delta in (0.0, -1.0):
        with pytest.raises(ValueError, match="delta"):
            entry.function(*args, delta=delta)


def test_labels_that_are_ignored_or_out_of_range(dtype):
    loss = BY_NAME["losses.softmax_cross_entropy_with_integer_labels"].function
    z = jnp.asarray([[1.0, 2.0, 3.0]] * 4 + [[np.nan, np.inf, -np.inf]], dtype)
    labels = jnp.asarray([0, -1, 3, -100, -100])
    values = np.asarray(loss(z, labels, ignore_label=-100))
    np.testing.assert_array_equal(np.isnan(values), [False, True, True, False, False])
    gradient = np.asarray(jax.grad(lambda z: loss(z, labels, ignore_label=-100).sum())(z))
    np.testing.assert_array_equal(np.isnan(gradient).all(axis=1), [False, True, True, False, False])
    np.testing.assert_array_equal(gradient[3:], 0)
    for kind in (np.uint8, np.int8, np.uint32):
        np.testing.assert_allclose(loss(z[:2], jnp.asarray([0, 2], kind)), [values[0], values[0] - 2], rtol=1e-6)


def test_a_masked_label_is_infinitely_surprising(dtype):
    loss = BY_NAME["losses.softmax_cross_entropy_with_integer_labels"].function
    mask = jnp.asarray([True, True, False])
    z = jnp.asarray([1.0, 2.0, 3.0], dtype)
    assert loss(z, 2, where=mask) == np.inf
    np.testing.assert_allclose(loss(z, 0, where=mask), loss(z[:2], 0), rtol=1e-6)
    dense = BY_NAME["losses.softmax_cross_entropy"].function
    np.testing.assert_allclose(dense(z, jnp.asarray([1.0, 0.0, 0.0], dtype), where=mask), loss(z[:2], 0), rtol=1e-6)
