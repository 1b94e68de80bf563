"""Values of every function of the table, at interior points and at the boundary, in both precisions."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.table import BY_NAME, INPUTS, TABLE, Fast, arrays, batch, by_turns, core_first, exact_value, in_turn

TOLERANCE = {"float32": 4e-6, "float64": 4e-15}
IDS = [entry.name for entry in TABLE]


def worst(found, expected):
    """Largest relative error; equal infinities are exact; what leaves the range of the dtype is 0 or infinite.

    An accelerator, unlike a CPU, returns what is below the smallest normal number with the few digits that it has.
    """
    limits = np.finfo(np.asarray(found).dtype)
    smallest, largest = float(limits.tiny), float(limits.max)
    found, expected = np.ravel(np.asarray(found, float)), np.ravel(np.asarray(expected, float))
    found, expected = (np.where(np.abs(x) < smallest, 0.0, x) for x in (found, expected))
    expected = np.where(np.abs(expected) > largest, np.copysign(np.inf, expected), expected)
    with np.errstate(invalid="ignore", divide="ignore"):
        error = np.where(found == expected, 0.0, np.abs(found - expected) / np.abs(expected))
    return np.max(error, initial=0.0)


@pytest.mark.parametrize("entry", TABLE, ids=IDS)
def test_value(entry, dtype):
    found = entry.function(*batch(entry, dtype))
    assert found.dtype == dtype
    expected = np.stack([exact_value(entry, case, dtype) for case in INPUTS[entry.kind]])
    for row, (f, e) in enumerate(zip(np.asarray(found), expected, strict=True)):
        if entry.joint:
            assert abs(f - e[0]) <= of_table(entry, row, e[0], dtype), (INPUTS[entry.kind][row], f, e)
        else:
            assert worst(f, e) <= TOLERANCE[dtype.name], (INPUTS[entry.kind][row], f, e)


def same(entry, found, expected, dtype):
    """Equal but for rounding, which for a table is that of its margins."""
    if entry.joint:
        np.testing.assert_allclose(found, expected, rtol=2 * TOLERANCE[dtype.name], atol=20 * np.finfo(dtype).eps)
    else:
        assert worst(found, expected) <= 2 * TOLERANCE[dtype.name]


def of_table(entry, row, expected, dtype):
    """The error allowed for a measure of a joint table, whose margins are rounded sums.

    Relative to the value; for the signed measures to the largest entropy that they are made of.
    """
    scale = abs(expected)
    if entry.name.endswith(("o_information", "co_information", "interaction_information")):
        scale = max(scale, exact_value(BY_NAME[entry.name.split(".")[0] + ".total_correlation"],
                                       INPUTS[entry.kind][row], dtype)[0])  # fmt: skip
    eps = np.finfo(dtype).eps
    # Of a product table, what is left is the square of its rounding.
    return TOLERANCE[dtype.name] * scale + 4 * eps * np.sqrt(scale) + (8 * eps) ** 2


@pytest.mark.float64_of_core
@pytest.mark.parametrize("entry", by_turns(TABLE))
def test_each_row_alone_gives_the_value_of_the_batch(entry, dtype_by_turns):
    """A batch may take another path than its rows: both have to be right."""
    dtype = dtype_by_turns
    found = np.asarray(entry.function(*batch(entry, dtype)))
    for row, case in enumerate(INPUTS[entry.kind]):
        alone = np.asarray(entry.function(*arrays(entry, case, dtype)))
        if entry.joint:
            assert abs(alone - found[row]) <= 2 * of_table(entry, row, float(found[row]), dtype)
        else:
            assert worst(alone, found[row]) <= 2 * TOLERANCE[dtype.name]


@pytest.mark.parametrize("entry", core_first(TABLE))
def test_a_large_batch_gives_the_value_of_its_rows(entry):
    """Only from some thousand numbers on a quick formula is tried; and, for the core, other axes than the last."""
    args = batch(entry, jnp.float32)
    expected = np.asarray(entry.function(*args))
    times = 4200 // min(a.size for a in args if a.ndim > 1) + 1
    large = tuple(jnp.concatenate([a] * times) for a in args)
    found = [entry.function(*large)]
    if entry.fast is Fast.EVERYTHING and not entry.joint and not entry.elementwise:
        found.append(entry.function(*(a.T for a in large), axis=0))
    for batches in found:
        batches = np.asarray(batches).reshape(times, *expected.shape)
        for one in (batches[0], batches[-1]):
            same(entry, one, expected, np.dtype(np.float32))
    # Among other rows, one at an edge.
    for row in range(len(expected)):
        alone = entry.function(*(jnp.repeat(a[row : row + 1], times * len(expected), axis=0) for a in args))
        same(entry, np.asarray(alone)[:: len(expected)], np.stack([expected[row]] * times), np.dtype(np.float32))


@pytest.mark.float64_of_core
@pytest.mark.parametrize("entry", by_turns(TABLE))
def test_jit_and_vmap_give_the_eager_value(entry, dtype_by_turns):
    """One function of the argument in every dtype: in float64 the values alone are tested for all."""
    dtype = dtype_by_turns
    args = batch(entry, dtype)
    eager = np.asarray(entry.function(*args))
    jitted = np.asarray(jax.jit(entry.function)(*args))
    if entry.name.endswith("f_divergence"):  # not compiled at its own boundary
        assert worst(jitted, eager) <= 4 * np.finfo(dtype).eps
    else:
        np.testing.assert_array_equal(jitted, eager)
    mapped = np.asarray(jax.vmap(entry.function)(*args))
    same(entry, mapped, eager, dtype)


@pytest.mark.parametrize(("entry", "half"), in_turn(TABLE, [jnp.float16, jnp.bfloat16]))
def test_halves_are_computed_in_float32(entry, half, op_by_op):
    args = arrays(entry, INPUTS[entry.kind][0], half)
    found = entry.function(*args)
    assert found.dtype == jnp.float32
    wide = entry.function(*(a if a.dtype == jnp.int32 else a.astype(jnp.float32) for a in args))
    # Two programs: a product and a sum may be contracted in one and not in the other.
    np.testing.assert_allclose(found, wide, rtol=2 * np.finfo(np.float32).eps)


def one_at_the_second(shape, kind):
    """Zeros but for the second number."""
    return jnp.asarray(np.eye(1, np.prod(shape), 1).reshape(shape), kind)


@pytest.mark.parametrize(("entry", "kind"), in_turn(TABLE, [np.int32, np.uint8, bool]))
def test_integers_and_bools_become_the_default_float(entry, kind, op_by_op):
    args = tuple(
        jnp.asarray(1, jnp.int32)
        if isinstance(x, int)
        else jnp.asarray(np.eye(1, np.size(x), 1).reshape(np.shape(x)), kind)
        for x in INPUTS[entry.kind][0]
    )
    found = entry.function(*args)
    assert found.dtype == jnp.result_type(float)
    as_float = tuple(a if a.ndim == 0 else a.astype(jnp.result_type(float)) for a in args)
    # Two programs, of which one converts: the last bit of a fused exponential may differ (jaxlib 0.12).
    np.testing.assert_allclose(found, entry.function(*as_float), rtol=2 * float(jnp.finfo(found.dtype).eps))


@pytest.mark.float64_of_core
@pytest.mark.parametrize("entry", by_turns(TABLE))
def test_nan_in_gives_nan_out(entry, dtype_by_turns):
    """The same comparisons in every dtype: in float64 for the core alone."""
    dtype = dtype_by_turns
    args = batch(entry, dtype)
    for position, argument in enumerate(args):
        if jnp.issubdtype(argument.dtype, jnp.integer):
            continue
        poisoned = list(args)
        poisoned[position] = argument.at[0, 1].set(jnp.nan)
        found = np.asarray(entry.function(*poisoned))
        clean = np.asarray(entry.function(*args))
        assert np.isnan(found[0]).any()
        # The other rows keep theirs: a batch is not spoilt by one of its rows.
        same(entry, found[1:], clean[1:], dtype)


@pytest.mark.parametrize("entry", by_turns(TABLE))
def test_empty_batch(entry):
    args = tuple(a[:0] for a in batch(entry, jnp.float32))
    shape = (0, 4) if entry.elementwise else (0,)
    assert entry.function(*args).shape == shape


@pytest.mark.parametrize("entry", by_turns(TABLE))
def test_lists_and_arrays_are_the_same(entry):
    case = INPUTS[entry.kind][0]
    np.testing.assert_array_equal(entry.function(*case), entry.function(*arrays(entry, case, jnp.float32)))
