"""Data that are read while a fit runs: every kind of source, the same result, bad rows found before training."""

import functools
import tracemalloc

import jax
import numpy as np
import optax
import pyarrow as pa
import pytest
import scipy.sparse

from jxent import regression
from jxent.regression import ConvergenceWarning
from jxent.regression.stream import reader
from jxent.regression.stream import sources as kinds
from tests.test_fit import rows

pytestmark = pytest.mark.usefixtures("quick_compile")
ADAM = optax.adam(0.05)
ROWS, FEATURES, CLASSES = 230, 4, 3


@functools.cache
def problem():
    return rows(ROWS, FEATURES, CLASSES)


class Records:
    """Examples by number, as the random-access sources of Grain give them."""

    def __init__(self, *columns):
        self.columns = columns

    def __len__(self):
        return len(self.columns[0])

    def __getitem__(self, i):
        return tuple(column[i] for column in self.columns)


class Batches:
    """Batches of uneven sizes, again and again."""

    def __init__(self, *columns):
        self.columns = columns

    def __iter__(self):
        for low in range(0, ROWS, 70):
            yield tuple(column[low : low + 70] for column in self.columns)


def memmap(tmp_path, x):
    np.save(tmp_path / "x.npy", x)
    return np.load(tmp_path / "x.npy", mmap_mode="r")


def table(x):
    return pa.table({f"f{i}": x[:, i] for i in range(x.shape[1])})


def lists(x):
    return pa.chunked_array([pa.FixedSizeListArray.from_arrays(part.ravel(), x.shape[1]) for part in (x[:90], x[90:])])


def sources(tmp_path):
    """Every kind, with what is given beside it."""
    x, y = problem()
    own = {"num_classes": CLASSES}
    return {
        "memory map": (memmap(tmp_path, x), y, {}),
        "Arrow table": (table(x), y, {}),
        "Arrow lists": (lists(x), y, {}),
        "sparse": (scipy.sparse.coo_array(x), y, {}),
        "records": (Records(x, y), None, own),
        "records beside labels": (FeaturesAlone(x), y, {}),
        "batches": (Batches(x, y), None, own),
    }


class FeaturesAlone:
    """Features by number."""

    def __init__(self, x):
        self.x = x

    def __len__(self):
        return len(self.x)

    def __getitem__(self, i):
        return self.x[i]


FIRST = ("memory map", "batches")
KINDS = [
    pytest.param(kind, marks=[] if kind in FIRST else [pytest.mark.slow])
    for kind in ("memory map", "Arrow table", "Arrow lists", "sparse", "records", "records beside labels", "batches")
]


def close(found, expected, tolerance=2e-5):
    for a, b in zip(found.params, expected.params, strict=True):
        np.testing.assert_allclose(a, b, atol=tolerance * float(np.max(np.abs(b))))


@functools.cache
def in_memory(solver):
    x, y = problem()
    return regression.fit(x, y, l2=0.01, optimizer=solver)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("solver", ["lbfgs", "newton"])
def test_a_source_gives_what_memory_gives(tmp_path, kind, solver):
    x, y, options = sources(tmp_path)[kind]
    found = regression.fit(x, y, l2=0.01, optimizer=solver, chunk_size=64, **options)
    expected = in_memory(solver)
    assert found.converged
    assert abs(int(found.num_steps) - int(expected.num_steps)) <= 1
    close(found, expected)
    assert found.history.shape == (int(found.num_steps) + 1,)
    np.testing.assert_allclose(found.history[0], np.log(CLASSES), rtol=1e-6)
    np.testing.assert_allclose(found.history[-1], expected.history[-1], rtol=1e-6)


@pytest.mark.parametrize("kind", ["memory map", "Arrow lists", "records"])
def test_minibatches_of_a_key_are_those_of_memory(tmp_path, kind):
    """Of a source as of an array the key alone decides which rows a step sees."""
    x, y, options = sources(tmp_path)[kind]
    given = {"l2": 0.01, "optimizer": ADAM, "max_steps": 9, "batch_size": 50, "key": jax.random.key(3)}
    with pytest.warns(ConvergenceWarning):
        expected = regression.fit(*problem(), **given)
    with pytest.warns(ConvergenceWarning):
        found = regression.fit(x, y, chunk_size=64, **options, **given)
    close(found, expected, 1e-6)
    np.testing.assert_allclose(found.history, expected.history, rtol=1e-6)
    np.testing.assert_allclose(found.grad_norm, expected.grad_norm, rtol=1e-5)


@pytest.mark.slow
def test_an_optimizer_of_all_rows(tmp_path):
    x, y = problem()
    given = {"l2": 0.01, "optimizer": ADAM, "max_steps": 6}
    with pytest.warns(ConvergenceWarning):
        expected = regression.fit(x, y, **given)
    with pytest.warns(ConvergenceWarning):
        found = regression.fit(memmap(tmp_path, x), y, chunk_size=64, **given)
    close(found, expected, 1e-5)


def test_batches_of_a_source_are_the_minibatches():
    """Each step sees one, in the order in which they come, epoch after epoch."""
    x, y = problem()
    with pytest.warns(ConvergenceWarning):
        found = regression.fit(Batches(x, y), l2=0.01, optimizer=ADAM, max_steps=6, num_classes=CLASSES)
    params, state = regression.init(FEATURES, CLASSES), ADAM.init(regression.init(FEATURES, CLASSES))
    batches = [*Batches(x, y)]
    for step in range(6):
        value, grad = jax.value_and_grad(regression.objective)(params, *batches[step % len(batches)], l2=0.01)
        np.testing.assert_allclose(found.history[step + 1], value, rtol=1e-5)
        with jax.numpy_dtype_promotion("standard"):
            updates, state = ADAM.update(grad, state, params)
        params = optax.apply_updates(params, updates)
    np.testing.assert_allclose(found.params.weights, params.weights, atol=1e-5)


@pytest.mark.slow
def test_weights_and_distributions_travel_with_the_rows(tmp_path):
    x, y = problem()
    weights = np.linspace(0, 2, ROWS).astype(np.float32)
    soft = (0.8 * np.eye(CLASSES)[y] + 0.2 / CLASSES).astype(np.float32)
    expected = regression.fit(x, soft, l2=0.01, sample_weight=weights)
    given = {"l2": 0.01, "chunk_size": 64}
    mapped = memmap(tmp_path, x)
    close(regression.fit(mapped, soft, sample_weight=weights, **given), expected)
    for kind in (Records, Batches):
        close(regression.fit(kind(x, soft, weights), num_classes=CLASSES, **given), expected)


@pytest.mark.slow
def test_class_weights_of_a_source(tmp_path):
    x, y = problem()
    expected = regression.fit(x, y, l2=0.01, class_weight=[1.0, 2.0, 0.5])
    close(regression.fit(memmap(tmp_path, x), y, l2=0.01, class_weight=[1.0, 2.0, 0.5], chunk_size=64), expected)


@pytest.mark.slow
def test_a_source_in_float64_and_one_of_bytes(tmp_path, x64):
    x, y = problem()
    wide = regression.fit(memmap(tmp_path, x.astype(np.float64)), y, l2=0.01, chunk_size=64)
    assert wide.params.weights.dtype == np.float64
    close(wide, regression.fit(x.astype(np.float64), y, l2=0.01), 1e-8)
    pixels = np.clip(100 + 40 * x, 0, 255).astype(np.uint8)
    close(regression.fit(memmap(tmp_path, pixels), y, l2=100.0), regression.fit(pixels, y, l2=100.0), 1e-6)


@pytest.mark.slow
def test_many_features_take_their_directions_from_a_sample(tmp_path):
    rng = np.random.default_rng(0)
    x = (rng.normal(size=(400, 300)) * np.logspace(1, -2, 300)).astype(np.float32)
    y = (x[:, 0] + 0.3 * rng.normal(size=400) > 0).astype(np.int32)
    found = regression.fit(memmap(tmp_path, x), y, l2=0.01, chunk_size=128)
    assert found.converged
    close(found, regression.fit(x, y, l2=0.01), 1e-3)


@pytest.mark.slow
def test_separable_data_have_no_minimum(tmp_path):
    x, _ = problem()
    y = x[:, :CLASSES].argmax(axis=1).astype(np.int32)
    with pytest.warns(ConvergenceWarning, match="no minimum"):
        found = regression.fit(memmap(tmp_path, x), y, chunk_size=64, max_steps=60)
    assert not found.converged


@pytest.mark.slow
def test_a_source_longer_than_a_chunk_is_never_held_whole(tmp_path, monkeypatch):
    """What numpy allocates stays at a few chunks, of a source of a hundred."""
    monkeypatch.setattr(reader, "SAMPLE", 1 << 16)
    count = 20_000
    x = np.lib.format.open_memmap(tmp_path / "x.npy", "w+", np.float32, (count, 50))
    x[:] = np.random.default_rng(0).normal(size=x.shape)
    y = (x[:, 0] > 0).astype(np.int32)
    source = np.load(tmp_path / "x.npy", mmap_mode="r")
    regression.fit(source, y, l2=0.1, chunk_size=200, tolerance=1e-2)
    tracemalloc.start()
    regression.fit(source, y, l2=0.1, chunk_size=200, tolerance=1e-2)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < x.nbytes / 4


def poisoned(array, index, value):
    array = array.copy()
    array[index] = value
    return array


REFUSED = {
    "NaN": (lambda x, y: (Records(poisoned(x, (150, 2), np.nan), y), None), r"holds nan at \(150, 2\)"),
    "label": (lambda x, y: (Batches(x, poisoned(y, 200, 7)), None), r"label of row 200 is 7, expected one in \[0, 3\)"),
    "float labels": (lambda x, y: (Records(x, y.astype(float)), None), "dtype float64, expected integer"),
    "no distribution": (lambda x, y: (Batches(x, np.full((ROWS, 3), 0.3)), None), "label of row 0 is .*distribution"),
    "weight": (lambda x, y: (Batches(x, y, poisoned(np.ones(ROWS), 9, -1.0)), None), "weight of row 9 is -1.0"),
    "weights of 0": (lambda x, y: (Batches(x, y, np.zeros(ROWS)), None), "weights of all rows of the source are 0"),
    "no rows": (lambda x, y: (Records(x[:0], y[:0]), None), "no rows or no features"),
    "features vary": (lambda x, y: (Ragged(x, y), None), r"row 70 has \(3,\) features"),
    "read once": (lambda x, y: (iter(Batches(x, y)), None), "read only once"),
    "a record of one": (lambda x, y: (Records(x), None), r"record 0 is a tuple, expected \(features, labels\)"),
    "labels twice": (lambda x, y: (Batches(x, y), y), "labels.*come with the batches"),
    "labels of another length": (lambda x, y: (FeaturesAlone(x), y[:-1]), "230 rows and `labels` 229"),
    "no labels": (lambda x, y: (lists(x), None), "`labels` are missing"),
}


class Ragged(Batches):
    """The second batch lacks a feature."""

    def __iter__(self):
        first, second, *_ = super().__iter__()
        yield first
        yield second[0][:, 1:], second[1]


@pytest.mark.parametrize("name", REFUSED)
def test_bad_rows_are_refused_before_training(name):
    make, message = REFUSED[name]
    x, y = make(*problem())
    with pytest.raises((ValueError, TypeError), match=message):
        regression.fit(x, y, num_classes=CLASSES, l2=0.1)


def test_options_that_do_not_fit_a_source(tmp_path):
    x, y = problem()
    with pytest.raises(ValueError, match="needs num_classes="):
        regression.fit(Records(x, y))
    with pytest.raises(ValueError, match="line search of this optimizer"):
        regression.fit(memmap(tmp_path, x), y, optimizer=optax.lbfgs())
    with pytest.raises(ValueError, match="batches of this source are the minibatches"):
        regression.fit(Batches(x, y), num_classes=3, optimizer=ADAM, batch_size=3, key=jax.random.key(0))
    with pytest.raises(ValueError, match="chunk_size= is for rows read from a source"):
        regression.fit(x, y, chunk_size=10)
    with pytest.raises(ValueError, match="`labels` are missing"):
        regression.fit(x)


def test_what_counts_as_a_source(tmp_path):
    x, _ = problem()
    assert all(kinds.is_source(s) for s, _, _ in sources(tmp_path).values())
    assert not any(map(kinds.is_source, (x, x.tolist(), jax.numpy.asarray(x), np.float32(1), x[0, 0])))


def test_reading_ahead_hands_errors_on_and_ends_its_thread():
    def items():
        yield 1
        raise OSError("the disk is gone")

    found = reader.read_ahead(items(), lambda i: 2 * i)
    assert next(found) == 2
    with pytest.raises(OSError, match="disk is gone"):
        next(found)
    endless = reader.read_ahead(iter(int, 1), lambda i: i)
    next(endless)
    endless.close()  # returns once the thread has ended
