"""Calibration over streams: sums of parts, added up, merged and inside transforms."""

import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import NamedSharding, PartitionSpec

from jxent import calibration
from tests.predictions import predictions
from tests.test_calibration import BINS, MEASURES, measured

pytestmark = pytest.mark.usefixtures("quick_compile")


def collected(state):
    result = calibration.result(state)
    names = [n for n in result._fields if n != "reliability_curve"]
    return {n: np.asarray(getattr(result, n)) for n in names} | {"curve": np.stack(result.reliability_curve)}


def assert_same(found, expected):
    for name in expected:
        np.testing.assert_allclose(found[name], expected[name], rtol=2e-6, atol=1e-7, err_msg=name)


def test_a_stream_gives_the_measures_of_the_whole():
    p, labels, weights = predictions()
    whole = collected(calibration.update(calibration.init(4, num_bins=BINS), p, labels, weights=weights))
    for name in MEASURES:
        np.testing.assert_allclose(whole[name], measured(name, p, labels, weights=weights), rtol=1e-6, atol=1e-7)
    for k in (1, 2, 3, 4):
        best = calibration.top_k_accuracy(p, labels, k=k, weights=weights)
        assert float(whole["top_k_accuracy"][k - 1]) == pytest.approx(float(best), rel=1e-6)
    curve = np.stack(calibration.reliability_curve(p, labels, num_bins=BINS, weights=weights))
    np.testing.assert_allclose(whole["curve"], curve, rtol=1e-6)
    state = calibration.init(4, num_bins=BINS)
    for i in range(0, 200, 40):
        state = calibration.update(state, p[i : i + 40], labels[i : i + 40], weights=weights[i : i + 40])
    assert_same(collected(state), whole)
    parts = [
        calibration.update(calibration.init(4, num_bins=BINS), p[i::3], labels[i::3], weights=weights[i::3])
        for i in range(3)
    ]
    assert_same(collected(calibration.merge(*parts)), whole)


def test_a_stream_inside_jit_scan_and_shard_map():
    p, labels, weights = predictions()
    whole = collected(calibration.update(calibration.init(4), p, labels, weights=weights))
    batches = (p.reshape(5, 40, 4), labels.reshape(5, 40), weights.reshape(5, 40))

    @jax.jit
    def scanned(batches):
        step = lambda state, b: (calibration.update(state, b[0], b[1], weights=b[2]), None)  # noqa: E731
        return jax.lax.scan(step, calibration.init(4), jax.tree.map(jnp.asarray, batches))[0]

    assert_same(collected(scanned(batches)), whole)
    mesh = jax.make_mesh((1,), ("rows",))
    spec = PartitionSpec("rows")

    def part(p, labels, weights):
        return jax.lax.psum(calibration.update(calibration.init(4), p, labels, weights=weights), "rows")

    spread = jax.jit(jax.shard_map(part, mesh=mesh, in_specs=spec, out_specs=PartitionSpec()))
    given = [jax.device_put(jnp.asarray(a), NamedSharding(mesh, spec)) for a in (p, labels, weights)]
    assert_same(collected(spread(*given)), whole)


def test_states_that_do_not_belong_together_are_refused():
    with pytest.raises(ValueError, match=r"merge.*2 states of 2 different shapes"):
        calibration.merge(calibration.init(3), calibration.init(4))
    with pytest.raises(ValueError, match=r"merge.*0 states"):
        calibration.merge()
    with pytest.raises(ValueError, match="`p` has 2 classes and the state 3"):
        calibration.update(calibration.init(3), [[0.5, 0.5]], [0])
    # Below the type check of the test process.
    merge = inspect.unwrap(calibration.merge)
    with pytest.raises(TypeError, match=r"merge\(\): got a list, expected states; .* merge\(\*states\)"):
        merge([calibration.init(3), calibration.init(3)])


def test_the_sums_of_a_state_are_of_a_floating_dtype():
    for half in (jnp.bfloat16, jnp.float16, "float16"):
        assert {a.dtype for a in calibration.init(3, dtype=half)} == {jnp.dtype(jnp.float32)}
    for other in (jnp.int32, bool, jnp.complex64):
        with pytest.raises(TypeError, match=r"init\(\): dtype=.* must be floating"):
            calibration.init(3, dtype=other)


def test_numbers_of_classes_and_bins_may_come_from_an_array():
    labels = np.array([0, 2, 1])
    state = calibration.init(labels.max() + 1, num_bins=np.int32(5))
    assert state.classes.shape == calibration.init(jnp.asarray(labels).max() + 1, num_bins=5).classes.shape == (5, 4, 3)
