"""Readers of npy pairs, Parquet and LIBSVM, and what stays on the disk: good files, and what is said of bad ones."""

import jax
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from jxent import data
from jxent.data._lazy import LazyRows

X = np.arange(12.0, dtype=np.float32).reshape(4, 3)
KINDS = np.array(["b", "a", "b", "c"])


def pair(folder, x=X, y=KINDS):
    np.save(folder / "x.npy", x)
    np.save(folder / "y.npy", y)
    return folder / "x.npy", folder / "y.npy"


def test_npy_stays_on_the_disk(tmp_path):
    found = data.npy(*pair(tmp_path))
    assert isinstance(found.x, np.memmap)
    assert (found.labels.tolist(), found.classes, found.scale) == ([1, 0, 1, 2], ("a", "b", "c"), 1.0)
    read, test = data.read(f"npy:{tmp_path / 'x.npy'},{tmp_path / 'y.npy'}")
    assert test is None
    np.testing.assert_array_equal(read.x, X)
    assert data.npy(*pair(tmp_path, X.astype(np.uint8), [0, 1, 1, 0])).scale == 255.0
    soft = data.npy(*pair(tmp_path, y=np.full((4, 2), 0.5)))
    assert soft.labels.shape == (4, 2)


def test_a_split_of_what_stays_on_the_disk_names_its_rows(tmp_path):
    pixels = (10 * X).astype(np.uint8)
    whole = data.npy(*pair(tmp_path, pixels, [0, 1, 2, 3]))
    train, test = data.split(whole, key=jax.random.key(1), test_fraction=0.5)
    for part in (train, test):
        assert isinstance(part.x, LazyRows)
        assert np.all(np.diff(part.x.rows) > 0)
        np.testing.assert_array_equal(part.x[:], pixels[part.x.rows].astype(np.float32))
        np.testing.assert_array_equal(part.x.rows, part.labels)  # of each row its own label
    assert sorted([*train.x.rows, *test.x.rows]) == [0, 1, 2, 3]
    scaled = LazyRows(train.x.x, train.x.rows, 10.0)
    np.testing.assert_array_equal(scaled[np.array([1, 0])], (pixels / 10)[train.x.rows[[1, 0]]].astype(np.float32))
    assert (scaled.shape, len(scaled), scaled.dtype) == ((2, 3), 2, np.float32)


NPY = {
    "objects": (lambda f: pair(f, np.array([{}, {}])), "cannot be read"),
    "three axes": (lambda f: pair(f, np.zeros((4, 2, 2))), r"shape \[4, 2, 2\], expected \[N, D\]"),
    "no rows": (lambda f: pair(f, np.zeros((0, 2)), []), "at least one row"),
    "text": (lambda f: pair(f, KINDS[:, None]), "expected real numbers"),
    "too few labels": (lambda f: pair(f, y=[0, 1]), r"shape \[2\], expected \[4\] or \[4, K\]"),
    "fractions": (lambda f: pair(f, y=[0.5, 1, 1, 0]), "0.5 in row 0"),
    "no file": (lambda f: (f / "none.npy", f / "y.npy"), "no such file"),
    "an archive": (lambda f: archive(f), "archive of arrays"),
    "cut short": (lambda f: cut(f), "cannot be read"),
}


def archive(folder):
    np.savez(folder / "x.npz", X)
    return folder / "x.npz", folder / "x.npz"


def cut(folder):
    x, y = pair(folder)
    x.write_bytes(x.read_bytes()[:-8])
    return x, y


@pytest.mark.parametrize("name", NPY)
def test_bad_npy_files(tmp_path, name):
    make, message = NPY[name]
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        data.npy(*make(tmp_path))


def written(folder, **columns):
    pq.write_table(pa.table(columns), folder / "a.parquet")
    return folder / "a.parquet"


def test_parquet(tmp_path):
    file = written(tmp_path, w=[1.5, 2.5, 3.0], n=[1, 2, 3], kind=["x", "y", "x"])
    found = data.parquet(file)
    assert (found.x.tolist(), found.labels.tolist()) == ([[1.5, 1], [2.5, 2], [3, 3]], [0, 1, 0])
    assert (found.classes, found.x.dtype) == (("x", "y"), np.float64)
    numbered = written(tmp_path, kind=pa.array([7, 9, 7]), f=pa.array([0.5, 1, 2], pa.float32()))
    for label in ("kind", 0, "-2"):
        assert data.parquet(numbered, label=label).classes == (7, 9)
    assert data.parquet(numbered, label=0).x.dtype == np.float32
    assert data.read(f"parquet:{numbered}", label="kind")[0].labels.tolist() == [0, 1, 0]
    pixels = written(tmp_path, a=pa.array([0, 255], pa.uint8()), y=[True, False])
    assert (data.parquet(pixels).scale, data.parquet(pixels).classes) == (255.0, (0, 1))


PARQUET = {
    "no Parquet": (lambda f: plain(f, "w,kind\n1,2\n"), None, "cannot be read"),
    "missing values": (lambda f: written(f, a=[1.0, None], y=[0, 1]), None, "1 missing values"),
    "NaN": (lambda f: written(f, a=[1.0, float("nan")], y=[0, 1]), None, r"nan at \(row, feature\) = \(1, 0\)"),
    "words": (lambda f: written(f, a=["p", "q"], y=[0, 1]), None, "column 'a': found the type"),
    "one column": (lambda f: written(f, y=[0, 1]), None, "2 rows and 1 columns"),
    "no such name": (lambda f: written(f, a=[1], y=[0]), "z", "no column 'z', expected one of 'a', 'y'"),
    "no such index": (lambda f: written(f, a=[1], y=[0]), 5, "label index 5, expected one of 2"),
    "fractions": (lambda f: written(f, a=[1, 2], y=[0.5, 1]), None, "0.5 in row 0"),
}


def plain(folder, text):
    (folder / "a").write_text(text)
    return folder / "a"


@pytest.mark.parametrize("name", PARQUET)
def test_bad_parquet_files(tmp_path, name):
    make, label, message = PARQUET[name]
    with pytest.raises(ValueError, match=message):
        data.parquet(make(tmp_path), label=label)


def test_libsvm(tmp_path):
    file = plain(tmp_path, "2 1:0.5 3:2 # a comment\n-1 2:1\n")
    found = data.libsvm(file)
    assert (found.x.tolist(), found.labels.tolist(), found.classes) == ([[0.5, 0, 2], [0, 1, 0]], [1, 0], (-1, 2))
    assert found.x.dtype == np.float32
    assert data.libsvm(file, num_features=5).x.shape == (2, 5)
    assert data.read(f"libsvm:{file}")[0].x.shape == (2, 3)


LIBSVM = {
    "text": ("weight,kind\n1,2\n", "cannot be read"),
    "fractions": ("0.5 1:2\n", "0.5 in row 0"),
    "nothing": ("", "0 rows"),
    "NaN": ("1 1:nan\n", "not finite"),
    "vast": ("1 1:2 2000000000:3\n", "expected at most 4: keep fewer features"),
}


@pytest.mark.parametrize("name", LIBSVM)
def test_bad_libsvm_files(tmp_path, name):
    text, message = LIBSVM[name]
    with pytest.raises(ValueError, match=message):
        data.libsvm(plain(tmp_path, text))


def test_descriptions_of_the_new_kinds(tmp_path):
    with pytest.raises(ValueError, match=r"found 'npy:x.npy', expected npy:FEATURES,LABELS"):
        data.read("npy:x.npy")
    with pytest.raises(ValueError, match=r"label: found a value for 'npz:a.npz'"):
        data.read("npz:a.npz", label=0)
    with pytest.raises(ValueError, match="header: found a value for 'parquet:a'"):
        data.read("parquet:a", header=True)
