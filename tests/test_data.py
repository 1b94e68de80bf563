"""The readers of jxent.data: what they give back, and what they say about files they refuse."""

import doctest
import gzip
import importlib
import io
import os
import re
import struct
import subprocess
import sys
import tracemalloc
import zipfile
import zlib
from pathlib import Path

import jax
import numpy as np
import pytest

from jxent.data import Dataset, csv, digits, idx, npz, read, split

PIXELS = np.arange(24, dtype=np.uint8).reshape(4, 2, 3)
IDS = [3, 1, 3, 7]


def images_bytes(pixels=PIXELS, shape=None, magic=0x803):
    shape = pixels.shape if shape is None else shape
    return struct.pack(f">{1 + len(shape)}I", magic, *shape) + np.asarray(pixels, np.uint8).tobytes()


def labels_bytes(ids=IDS, count=None, magic=0x801):
    return struct.pack(">2I", magic, len(ids) if count is None else count) + bytes(ids)


def write_pair(folder, part="train", images=None, labels=None, mark="-", gz=False):
    folder.mkdir(exist_ok=True)
    paths = []
    for kind, ending, content in (
        ("images", "idx3-ubyte", images_bytes() if images is None else images),
        ("labels", "idx1-ubyte", labels_bytes() if labels is None else labels),
    ):
        path = folder / f"{part}-{kind}{mark}{ending}{'.gz' if gz else ''}"
        path.write_bytes(gzip.compress(content) if gz else content)
        paths.append(path)
    return tuple(paths)


def write(path, content):
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def npy_bytes(descr, shape, body=b"", version=b"\x01\x00"):
    header = str({"descr": descr, "fortran_order": False, "shape": shape}).encode() + b"\n"
    return b"\x93NUMPY" + version + struct.pack("<H", len(header)) + header + body


def write_zip(path, members, method=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def same(a, b):
    return (
        np.array_equal(a.x, b.x)
        and np.array_equal(a.labels, b.labels)
        and a.classes == b.classes
        and a.scale == b.scale
    )


# ---------------------------------------------------------------- Dataset and digits


def test_dataset_is_a_frozen_tuple():
    d = Dataset(np.zeros((2, 1)), np.zeros(2, np.int32), (5,))
    assert d.scale == 1.0
    assert d._fields == ("x", "labels", "classes", "scale")
    with pytest.raises(AttributeError):
        d.scale = 2.0


def test_digits():
    d = digits()
    assert d.x.shape == (1797, 64)
    assert d.x.dtype == np.float32
    assert (d.x.min(), d.x.max(), d.scale) == (0, 16, 16.0)
    assert d.labels.dtype == np.int32
    assert d.classes == tuple(range(10))
    assert set(d.labels.tolist()) == set(d.classes)


def test_digits_without_scikit_learn(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with pytest.raises(ImportError, match=re.escape('pip install "jxent[data]"')):
        digits()


def test_reading_needs_neither_jax_nor_scikit_learn():
    # The package folder is put on the path under another root, since the root of the package imports JAX.
    root = Path(importlib.import_module("jxent.data").__file__).parent.parent
    code = (
        f"import sys; sys.path.insert(0, {str(root)!r}); import data; "
        "print([name for name in ('jax', 'sklearn') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("name", ["dataset", "digits", "idx", "npz", "csv", "read", "split"])
def test_examples_in_docstrings(name):
    result = doctest.testmod(importlib.import_module(f"jxent.data._{name}"))
    assert result.attempted > 0
    assert result.failed == 0


# ---------------------------------------------------------------- IDX


@pytest.mark.parametrize("gz", [False, True])
@pytest.mark.parametrize("mark", ["-", "."])
def test_idx_folder_with_one_pair(tmp_path, mark, gz):
    images, labels = write_pair(tmp_path, "t10k", mark=mark, gz=gz)
    d = idx(tmp_path)
    assert d.x.dtype == np.uint8
    assert d.x.tolist() == PIXELS.reshape(4, 6).tolist()
    assert d.labels.dtype == np.int32
    assert d.labels.tolist() == [1, 0, 1, 2]
    assert d.classes == (1, 3, 7)
    assert [d.classes[i] for i in d.labels] == IDS
    assert d.scale == 255.0
    assert same(d, idx(str(tmp_path)))
    assert same(d, idx(images))
    assert same(d, idx((images, str(labels))))
    assert same(d, read(f"idx:{tmp_path}")[0])
    assert same(d, read(f"idx:{images},{labels}")[0])
    assert read(f"idx:{tmp_path}")[1] is None


def test_idx_train_and_test_share_the_ids_of_the_training_classes(tmp_path):
    write_pair(tmp_path, "train")
    write_pair(tmp_path, "t10k", images_bytes(PIXELS[:2]), labels_bytes([7, 3]), gz=True)
    train, test = idx(tmp_path), idx(tmp_path, test=True)
    assert len(train.x) == 4
    assert test.labels.tolist() == [2, 1]
    assert test.classes == train.classes == (1, 3, 7)
    both = read(f"idx:{tmp_path}")
    assert same(both[0], train)
    assert same(both[1], test)


def test_idx_gzip_is_told_by_its_bytes(tmp_path):
    images = write(tmp_path / "a.bin", gzip.compress(images_bytes()))
    labels = write(tmp_path / "b.gz", labels_bytes())
    assert idx((images, labels)).x.shape == (4, 6)


def test_idx_plain_goes_before_gzip_of_the_same_name(tmp_path):
    write_pair(tmp_path, gz=True)
    write_pair(tmp_path, images=images_bytes(PIXELS + 1))
    assert idx(tmp_path).x[0, 0] == 1
    # A file named outright is not replaced, and its labels are those spelled like it.
    assert idx(tmp_path / "train-images-idx3-ubyte.gz").x[0, 0] == 0


def test_idx_labels_are_found_beside_names_of_other_sets(tmp_path):
    write_pair(tmp_path, "letters-train", gz=True)
    assert idx(tmp_path / "letters-train-images-idx3-ubyte.gz").x.shape == (4, 6)


def test_idx_path_with_a_comma(tmp_path):
    write_pair(tmp_path / "a,b")
    assert read(f"idx:{tmp_path / 'a,b'}")[0].x.shape == (4, 6)


def test_idx_values_can_be_written_to(tmp_path):
    write_pair(tmp_path)
    d = idx(tmp_path)
    d.x[0, 0] = 9
    assert d.x[0, 0] == 9


IDX_HEAD = struct.pack(">4I", 0x803, 4, 2, 3)

BAD_IDX = {
    "empty file": ({"images": b""}, ["images", "found 0 bytes", "header of 16 bytes"]),
    "header cut": ({"images": IDX_HEAD[:9]}, ["found 9 bytes", "header of 16 bytes"]),
    "not idx": ({"images": b"hello, this is text"}, ["0x68656c6c", "0x00000803", "not an IDX file"]),
    "labels as images": ({"images": labels_bytes()}, ["0x00000801", "a file of labels", "swapped"]),
    "images as labels": ({"labels": images_bytes()}, ["0x00000803", "a file of images", "swapped"]),
    "float pixels": ({"images": images_bytes(magic=0x0D03)}, ["0x00000d03", "float32", "uint8", "npz"]),
    "int labels": ({"labels": labels_bytes(magic=0x0C01)}, ["0x00000c01", "int32 values"]),
    "four dimensions": (
        {"images": images_bytes(PIXELS[None], magic=0x804)},
        ["4 dimensions", "which have 3"],
    ),
    "no images": (
        {"images": images_bytes(shape=(0, 2, 3)), "labels": labels_bytes([])},
        ["[0, 2, 3]", "at least one"],
    ),
    "no rows": ({"images": images_bytes(shape=(4, 0, 3))}, ["[4, 0, 3]", "at least one"]),
    "cut": ({"images": images_bytes()[:-5]}, ["found 19 bytes", "expected 24", "[4, 2, 3]", "cut short"]),
    "trailing": ({"images": images_bytes() + b"xy"}, ["found 26 bytes", "exactly 24", "trailing"]),
    "absurd": ({"images": images_bytes(shape=(2**32 - 1,) * 3)}, ["found 24 bytes", str((2**32 - 1) ** 3)]),
    "labels cut": ({"labels": labels_bytes(count=9)}, ["labels", "found 4 bytes", "expected 9"]),
    "labels too many": ({"labels": labels_bytes(count=2)}, ["found 4 bytes", "exactly 2"]),
    "counts differ": ({"labels": labels_bytes([1, 2, 3])}, ["found 3 labels", "expected 4", "one pair"]),
    "gzip cut": ({"images": gzip.compress(images_bytes())[:-9]}, ["damaged gzip", "whole gzip file"]),
    "gzip content cut": (
        {"images": gzip.compress(images_bytes()[:-5])},
        ["found 19 bytes", "expected 24", "cut short"],
    ),
    "gzip trailing": ({"images": gzip.compress(images_bytes() + b"x")}, ["found more", "exactly 24 bytes"]),
    "gzip checksum": (
        {"images": gzip.compress(images_bytes())[:-8] + bytes(8)},
        ["damaged gzip", "CRC"],
    ),
    "gzip noise": ({"images": b"\x1f\x8b" + b"\x07" * 40}, ["damaged gzip"]),
    "gzip junk after": ({"images": gzip.compress(images_bytes()) + b"junk"}, ["damaged gzip"]),
    "gzip absurd": (
        {"images": gzip.compress(images_bytes(shape=(2**31, 28, 28)))},
        [str(2**31 * 784), "bytes of gzip can hold"],
    ),
}


@pytest.mark.parametrize("case", BAD_IDX)
def test_idx_refuses(tmp_path, case):
    contents, expected = BAD_IDX[case]
    paths = write_pair(tmp_path, **contents)
    with pytest.raises(ValueError, match="found") as error:
        idx(tmp_path)
    check(error, [str(tmp_path), *expected])
    with pytest.raises(ValueError, match="found") as error:
        idx(paths)
    check(error, expected)


def check(error, expected):
    message = str(error.value)
    for part in expected:
        assert part in message
    assert "\n" not in message


def test_idx_swapped_pair(tmp_path):
    images, labels = write_pair(tmp_path)
    with pytest.raises(ValueError, match="swapped"):
        idx((labels, images))


@pytest.mark.parametrize("method", ["folder", "pair", "file"])
def test_idx_without_a_test_part(tmp_path, method):
    images, labels = write_pair(tmp_path)
    path = {"folder": tmp_path, "pair": (images, labels), "file": images}[method]
    with pytest.raises(ValueError, match="there is no test part") as error:
        idx(path, test=True)
    check(error, [str(tmp_path)])


def test_idx_test_labels_unknown_to_training(tmp_path):
    write_pair(tmp_path, "train")
    write_pair(tmp_path, "t10k", labels=labels_bytes([1, 9, 3, 8]))
    with pytest.raises(ValueError, match="found the classes 8, 9, which") as error:
        idx(tmp_path, test=True)
    check(error, ["t10k-labels", "expected only 1, 3, 7"])


def test_idx_missing_files(tmp_path):
    with pytest.raises(FileNotFoundError, match="no such file") as error:
        idx(tmp_path / "nowhere")
    check(error, ["nowhere", "folder or an IDX file"])
    with pytest.raises(FileNotFoundError, match="no IDX pair in this folder") as error:
        idx(tmp_path)
    check(error, [str(tmp_path), "train-images-idx3-ubyte"])
    images, labels = write_pair(tmp_path)
    with pytest.raises(FileNotFoundError, match="no such file"):
        idx((images, tmp_path / "nothing"))
    labels.unlink()
    with pytest.raises(FileNotFoundError, match="only one file of the train pair") as error:
        idx(tmp_path)
    check(error, ["train-labels-idx1-ubyte"])
    with pytest.raises(FileNotFoundError, match="no labels beside this file"):
        idx(images)
    with pytest.raises(ValueError, match="does not tell where the labels are"):
        idx(images.rename(tmp_path / "pictures"))


def test_idx_arguments(tmp_path):
    for wrong in (None, 3, (1, 2), b"bytes"):
        with pytest.raises(TypeError, match="path: expected"):
            idx(wrong)
    with pytest.raises(ValueError, match="found 3 files"):
        idx(("a", "b", "c"))
    with pytest.raises(ValueError, match="found a folder"):
        idx((tmp_path, tmp_path))
    with pytest.raises(ValueError, match="the name of a file"):
        idx("")


def bomb(megabytes, header):
    """A gzip file of a small IDX header and very many zeros, compressed piece by piece."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    pieces = [packer.compress(header)]
    pieces += [packer.compress(bytes(1 << 20)) for _ in range(megabytes)]
    return b"".join([*pieces, packer.flush()])


def test_gzip_bomb_is_not_read_to_the_end(tmp_path):
    packed = bomb(50, struct.pack(">4I", 0x803, 10, 28, 28))
    # Nine tenths are cut away: reading on to the end would stumble over that, and say so.
    images = write(tmp_path / "images", packed[: len(packed) // 10])
    labels = write(tmp_path / "labels", labels_bytes([0] * 10))
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match="found more after the header, expected exactly 7840 bytes"):
            idx((images, labels))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 3 << 20


def test_gzip_bomb_takes_few_bytes_from_the_file(tmp_path, monkeypatch):
    images = write(tmp_path / "images", bomb(50, struct.pack(">4I", 0x803, 10, 28, 28)))
    taken = 0
    original = gzip.GzipFile.read

    def counting(self, size=-1):
        nonlocal taken
        chunk = original(self, size)
        taken += len(chunk)
        return chunk

    monkeypatch.setattr(gzip.GzipFile, "read", counting)
    with pytest.raises(ValueError, match="found more"):
        idx((images, write(tmp_path / "labels", labels_bytes([0] * 10))))
    assert taken == 16 + 7840 + 1


# ---------------------------------------------------------------- npz

X = np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
Y = np.array([2, 0, 2])


@pytest.mark.parametrize(
    ("stored", "kept", "scale"),
    [
        ("f8", "f8", 1.0),
        ("f4", "f4", 1.0),
        (">f8", "f8", 1.0),
        ("f2", "f4", 1.0),
        ("u1", "u1", 255.0),
        ("i8", "f4", 1.0),
        ("u2", "f4", 1.0),
        ("?", "f4", 1.0),
    ],
)
def test_npz_types(tmp_path, stored, kept, scale):
    np.savez(tmp_path / "a.npz", x=X.astype(stored), y=Y)
    d = npz(tmp_path / "a.npz")
    assert d.x.dtype == np.dtype(kept)
    assert d.x.dtype.isnative
    assert d.x.tolist() == X.astype(stored).tolist()
    assert d.scale == scale
    assert d.labels.dtype == np.int32
    assert d.labels.tolist() == [1, 0, 1]
    assert d.classes == (0, 2)


@pytest.mark.parametrize(
    ("y", "classes"),
    [
        ([5, -3, 5], (-3, 5)),
        (np.array([2**63, 1, 2**63], np.uint64), (1, 2**63)),
        ([True, False, True], (0, 1)),
        ([2.0, -1.0, 2.0], (-1, 2)),
        (["b", "a", "b"], ("a", "b")),
        ([b"b", "ä".encode(), b"b"], ("b", "ä")),
    ],
)
def test_npz_labels(tmp_path, y, classes):
    np.savez_compressed(tmp_path / "a.npz", x=X, y=np.array(y))
    d = npz(str(tmp_path / "a.npz"))
    assert d.classes == classes
    assert [type(c) for c in d.classes] == [type(c) for c in classes]
    found = [d.classes[i] for i in d.labels]
    assert found == [v.decode() if isinstance(v, bytes) else v for v in np.array(y).tolist()]


def test_npz_fortran_order_and_other_members(tmp_path):
    np.savez(tmp_path / "a.npz", x=np.asfortranarray(X), y=Y, note=np.array([None]))
    d = npz(tmp_path / "a.npz")
    assert d.x.tolist() == X.tolist()
    assert d.x.flags.c_contiguous


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16, np.int64, np.uint8])
def test_npz_distributions(tmp_path, dtype):
    y = np.array([[0, 1, 0], [1, 0, 0], [0.25, 0.25, 0.5]])[: 3 if np.dtype(dtype).kind == "f" else 2]
    np.savez(tmp_path / "a.npz", x=X[: len(y)], y=y.astype(dtype))
    d = npz(tmp_path / "a.npz")
    assert d.labels.dtype == (np.float64 if dtype is np.float64 else np.float32)
    assert d.labels.tolist() == y.tolist()
    assert d.classes == (0, 1, 2)


def test_npz_test_part(tmp_path):
    file = tmp_path / "a.npz"
    np.savez(file, x=X, y=["b", "a", "c"], x_test=X[:2] + 1, y_test=["c", "b"])
    train, test = npz(file), npz(file, test=True)
    assert train.labels.tolist() == [1, 0, 2]
    assert test.labels.tolist() == [2, 1]
    assert test.classes == train.classes == ("a", "b", "c")
    assert test.x.tolist() == (X[:2] + 1).tolist()
    both = read(f"npz:{file}")
    assert same(both[0], train)
    assert same(both[1], test)


def test_npz_distributions_may_be_tested_on_labels(tmp_path):
    np.savez(tmp_path / "a.npz", x=X, y=np.eye(3), x_test=X, y_test=[2, 0, 1])
    assert npz(tmp_path / "a.npz", test=True).labels.tolist() == [2, 0, 1]


NAN = X.copy()
NAN[1, 1] = np.nan
NAN[2, 0] = np.inf

BAD_NPZ = {
    "no arrays named so": ({"a": X, "b": Y}, ["'a', 'b'", "x and y", "np.savez"]),
    "no y": ({"x": X}, ["found the arrays 'x'", "x and y"]),
    "images": (
        {"x": np.zeros((3, 2, 2)), "y": Y},
        ["array x", "[3, 2, 2]", "[N, D]", "x.reshape(len(x), -1)"],
    ),
    "flat x": ({"x": np.zeros(3), "y": Y}, ["array x", "[3]", "x.reshape(-1, 1)"]),
    "no rows": ({"x": np.zeros((0, 2)), "y": Y[:0]}, ["[0, 2]", "at least one row"]),
    "no columns": ({"x": np.zeros((3, 0)), "y": Y}, ["[3, 0]", "one column"]),
    "complex x": ({"x": X + 1j, "y": Y}, ["array x", "complex128", "real numbers"]),
    "text x": ({"x": X.astype(str), "y": Y}, ["array x", "<U", "real numbers"]),
    "nan": ({"x": NAN, "y": Y}, ["array x", "found nan", "(row, column) = (1, 1)", "finite"]),
    "objects in x": ({"x": X.astype(object), "y": Y}, ["array x", "pickle", "nothing is unpickled"]),
    "objects in y": (
        {"x": X, "y": np.array(["a", "b", None])},
        ["array y", "nothing is unpickled", "astype(str)"],
    ),
    "lengths": ({"x": X, "y": Y[:2]}, ["array y", "[2]", "expected [3]"]),
    "y of three dimensions": ({"x": X, "y": np.zeros((3, 1, 1))}, ["array y", "[3, 1, 1]"]),
    "column of labels": ({"x": X, "y": Y[:, None]}, ["array y", "[3, 1]", "y.reshape(-1)"]),
    "regression": ({"x": X, "y": [1.0, 2.5, 3.0]}, ["array y", "2.5 in row 1", "regression"]),
    "nan label": ({"x": X, "y": [1.0, 2.0, np.nan]}, ["array y", "nan in row 2"]),
    "complex y": ({"x": X, "y": Y + 1j}, ["array y", "complex128"]),
    "bytes not utf-8": ({"x": X, "y": [b"\xff", b"a", b"b"]}, ["array y", "UTF-8"]),
    "sum": ({"x": X, "y": [[0.5, 0.5], [0.5, 0.4], [1, 1]]}, ["array y", "sum 0.9 in row 1", "divide"]),
    "negative": ({"x": X, "y": [[0.5, 0.5], [0.5, 0.5], [1.5, -0.5]]}, ["negative value -0.5 in row 2"]),
    "nan probability": ({"x": X, "y": [[0.5, 0.5], [np.nan, 1], [1, 0]]}, ["array y", "(1, 0)"]),
    "x_test alone": ({"x": X, "y": Y, "x_test": X}, ["found x_test without y_test", "both or neither"]),
    "y_test alone": ({"x": X, "y": Y, "y_test": Y}, ["found y_test without x_test"]),
    "new classes": (
        {"x": X, "y": Y, "x_test": X, "y_test": [0, 9, 5]},
        ["array y_test", "classes 5, 9", "0, 2"],
    ),
    "classes of another type": (
        {"x": X, "y": Y, "x_test": X, "y_test": ["0", "2", "2"]},
        ["array y_test", "'0', '2'"],
    ),
    "columns differ": (
        {"x": X, "y": Y, "x_test": X[:, :1], "y_test": Y},
        ["array x_test", "found 1 col", "2 as"],
    ),
    "types differ": (
        {"x": X.astype(np.uint8), "y": Y, "x_test": X, "y_test": Y},
        ["array x_test", "float64", "uint8", "scale"],
    ),
    "labels then distributions": (
        {"x": X, "y": Y, "x_test": X, "y_test": np.eye(3)},
        ["array y_test", "[3, 3]", "expected [N]"],
    ),
    "other number of classes": (
        {"x": X, "y": np.eye(3), "x_test": X[:2], "y_test": np.eye(2)},
        ["array y_test", "[2, 2]", "[N, 3]"],
    ),
}


@pytest.mark.parametrize("case", BAD_NPZ)
def test_npz_refuses(tmp_path, case):
    arrays, expected = BAD_NPZ[case]
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(ValueError, match="found") as error:
        npz(tmp_path / "a.npz")
    check(error, [str(tmp_path / "a.npz"), *expected])


def test_npz_without_a_test_part(tmp_path):
    np.savez(tmp_path / "a.npz", x=X, y=Y)
    with pytest.raises(ValueError, match="there is no test part") as error:
        npz(tmp_path / "a.npz", test=True)
    check(error, ["a.npz", "x_test and y_test", "split()"])


def npy(array):
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


GOOD_Y = npy(Y)
BAD_MEMBERS = {
    "more announced than there": (
        npy_bytes("<f8", (10**9, 10**3), bytes(48)),
        ["array x", "found 48 bytes", f"expected {8 * 10**12}"],
    ),
    "less announced than there": (
        npy_bytes("<f8", (1, 2), bytes(48)),
        ["array x", "found 48 bytes", "expected 16"],
    ),
    "negative sizes": (npy_bytes("<f8", (-3, -2), bytes(48)), ["array x", "[-3, -2]"]),
    "no header": (b"nothing of the kind", ["array x", "damaged"]),
    "empty": (b"", ["array x", "damaged"]),
    "code for a header": (npy_bytes("<f8", ("__import__('os')",), bytes(8)), ["array x", "damaged"]),
    "unknown version": (npy_bytes("<f8", (3, 2), bytes(48), version=b"\x09\x00"), ["array x", "damaged"]),
}


@pytest.mark.parametrize("case", BAD_MEMBERS)
@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_npz_refuses_false_headers(tmp_path, case, method):
    member, expected = BAD_MEMBERS[case]
    file = write_zip(tmp_path / "a.npz", {"x.npy": member, "y.npy": GOOD_Y}, method)
    with pytest.raises(ValueError, match="found") as error:
        npz(file)
    check(error, [str(file), *expected])


def test_npz_refuses_other_compressions(tmp_path):
    file = write_zip(tmp_path / "a.npz", {"x.npy": npy(X), "y.npy": GOOD_Y}, zipfile.ZIP_BZIP2)
    with pytest.raises(ValueError, match="zip method 12, expected stored or deflated"):
        npz(file)


def test_npz_refuses_sizes_that_the_file_cannot_hold(tmp_path):
    member = npy_bytes("<f8", (2**24, 2), bytes(8))
    file = write_zip(tmp_path / "a.npz", {"x.npy": member, "y.npy": GOOD_Y})
    # The list of contents is made to agree with the header, so that only the size of the file tells.
    announced = struct.pack("<I", len(member) - 8 + 2**28)
    content = file.read_bytes().replace(struct.pack("<II", len(member), len(member)), announced * 2)
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match="array x: found an announced size of") as error:
            npz(write(file, content))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    check(error, [str(len(member) - 8 + 2**28)])
    assert peak < 1 << 20


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (npy(X), "a single npy array"),
        (b"\x80\x04N.", "looks like a pickle, expected an npz file: nothing is unpickled"),
        (b"a,b\n1,2\n", "found no zip file"),
        (b"", "found no zip file"),
        (b"PK\x03\x04 and no more", "a damaged or cut zip file"),
    ],
)
def test_npz_refuses_other_files(tmp_path, content, expected):
    with pytest.raises(ValueError, match=expected) as error:
        npz(write(tmp_path / "a.npz", content))
    check(error, ["a.npz"])


def test_npz_flipped_bit_is_found(tmp_path):
    np.savez(tmp_path / "a.npz", x=X, y=Y)
    content = bytearray((tmp_path / "a.npz").read_bytes())
    content[content.index(X.tobytes()) + 5] ^= 1
    with pytest.raises(ValueError, match="array x: found damaged data"):
        npz(write(tmp_path / "a.npz", bytes(content)))


# ---------------------------------------------------------------- CSV

CSV_X = [[1.0, 2.5], [3.0, -4e-3]]


@pytest.mark.parametrize(
    ("text", "options", "classes", "names"),
    [
        ("1,2.5,a\n3,-4e-3,b\n", {}, ("a", "b"), ["a", "b"]),
        ("w,h,kind\n1,2.5,a\n3,-4e-3,b\n", {}, ("a", "b"), ["a", "b"]),
        ("w,h,kind\n1,2.5,a\n3,-4e-3,b\n", {"header": True}, ("a", "b"), ["a", "b"]),
        ("kind,w,h\nb,1,2.5\na,3,-4e-3\n", {"label": "kind"}, ("a", "b"), ["b", "a"]),
        ("kind,w,h\nb,1,2.5\na,3,-4e-3\n", {"label": 0}, ("a", "b"), ["b", "a"]),
        ("kind,w,h\nb,1,2.5\na,3,-4e-3\n", {"label": "0"}, ("a", "b"), ["b", "a"]),
        ("b,1,2.5\na,3,-4e-3\n", {"label": -3}, ("a", "b"), ["b", "a"]),
        ("b,1,2.5\na,3,-4e-3\n", {"label": "-3"}, ("a", "b"), ["b", "a"]),
        ("1;2.5;7\n3;-4e-3;5\n", {}, (5, 7), [7, 5]),
        ("1\t2.5\t7\n3\t-4e-3\t5\n", {}, (5, 7), [7, 5]),
        ("1,2.5,7.0\n3,-4e-3,5\n", {}, (5, 7), [7, 5]),
        ("1,2.5,7\n3,-4e-3,other\n", {}, ("7", "other"), ["7", "other"]),
        ("\ufeffw,h,kind\r\n1,2.5,1\r\n3,-4e-3,0\r\n", {"label": "kind"}, (0, 1), [1, 0]),
        ("\n w , h , kind \n\n 1, 2.5 , a b \n3,-4e-3,ä\n\n", {}, ("a b", "ä"), ["a b", "ä"]),
        (
            '"w; dry","h",kind\n1,2.5,"a, b"\n3,-4e-3,"say ""c"""\n',
            {},
            ("a, b", 'say "c"'),
            ["a, b", 'say "c"'],
        ),
        ("w,h,kind\n1,2.5,1\n3,-4e-3,0", {}, (0, 1), [1, 0]),
        ("0,1,2\n1,2.5,a\n3,-4e-3,b\n", {"header": True, "label": "2"}, ("a", "b"), ["a", "b"]),
        ("2,h,w\nb,1,2.5\na,3,-4e-3\n", {"header": True, "label": "2"}, ("a", "b"), ["b", "a"]),
        ("9,h,w\nb,1,2.5\na,3,-4e-3\n", {"label": "9"}, ("a", "b"), ["b", "a"]),
    ],
)
def test_csv(tmp_path, text, options, classes, names):
    file = write(tmp_path / "a.csv", text)
    d = csv(file, **options)
    assert d.x.dtype == np.float64
    assert d.x.tolist() == CSV_X
    assert d.labels.dtype == np.int32
    assert d.classes == classes
    assert [d.classes[i] for i in d.labels] == names
    assert d.scale == 1.0
    train, test = read(f"csv:{file}", **options)
    assert same(train, d)
    assert test is None


def test_csv_a_row_that_looks_like_its_label(tmp_path):
    d = csv(write(tmp_path / "a.csv", "1,0\n2,1\n"), label="1")
    assert d.x.tolist() == [[1.0], [2.0]]
    assert d.classes == (0, 1)


def test_csv_header_false_keeps_a_label_that_looks_like_a_name(tmp_path):
    d = csv(write(tmp_path / "a.csv", "0,1,label\n2,3,4\n"), header=False)
    assert d.x.shape == (2, 2)
    assert d.classes == ("4", "label")
    assert csv(tmp_path / "a.csv", header=True).x.shape == (1, 2)


BAD_CSV = {
    "empty": ("", {}, ["empty file"]),
    "blank": ("\n\n  \n", {}, ["empty file"]),
    "header only": ("w,h,kind\n", {}, ["a header and no rows"]),
    "one column": ("w\n1\n2\n", {}, ["line 1", "one column only", "'w'", "semicolon"]),
    "ragged": ("w,h,kind\n1,2,a\n1,2,3,b\n", {}, ["line 3", "found 4 cells", "expected 3"]),
    "short row": ("1,2,a\n1,b\n", {}, ["line 2", "found 2 cells"]),
    "empty feature": (
        "w,h,kind\n1,2,a\n1,,b\n",
        {},
        ["line 3", "column index 1 ('h')", "empty cell", "a number"],
    ),
    "empty label": ("w,h,kind\n1,2,\n", {}, ["line 2", "column index 2 ('kind')", "empty cell", "a label"]),
    "text": (
        "w,h,kind\n1,2,a\n\n1,two,b\n",
        {},
        ["line 4", "column index 1 ('h')", "'two'", "a finite number"],
    ),
    "text without header": ("1,2,a\n1,two,b\n", {}, ["line 2, column index 1:", "'two'"]),
    "nan": ("1,2,a\nNaN,2,b\n", {}, ["line 2", "column index 0", "'NaN'", "finite"]),
    "infinite": ("1,2,a\n1,-inf,b\n", {}, ["line 2", "'-inf'", "finite"]),
    "overflow": ("1,2,a\n1,1e999,b\n", {}, ["line 2", "'1e999'", "finite"]),
    "underscore": ("1,2,a\n1,1_000,b\n", {}, ["line 2", "'1_000'"]),
    "decimal comma": ("1,5;2,5;a\n", {"header": False}, ["line 1", "'1,5'", "decimal point"]),
    "regression": ("1,2,3\n1,2,0.5\n", {}, ["line 2", "column index 2", "'0.5'", "regression"]),
    "nan label": ("1,2,3\n1,2,nan\n", {}, ["line 2", "'nan'"]),
    "unknown label": ("w,h,kind\n1,2,a\n", {"label": "sort"}, ["line 1", "'sort'", "'w', 'h', 'kind'"]),
    "label index": ("w,h,kind\n1,2,a\n", {"label": 3}, ["no column 3", "-3 to 2", "'kind'"]),
    "label index as text": ("1,2,3\n", {"label": "-4"}, ["no column -4", "-3 to 2"]),
    "name without header": ("1,2,3\n", {"label": "kind", "header": False}, ["header=False", "'kind'"]),
    "repeated name": ("w,w,kind\n1,2,a\n", {}, ["line 1", "'w'", "index 0 and 1", "distinct"]),
    "missing name": (",w,kind\n0,2,a\n", {}, ["line 1", "no name for column index 0", "index=False"]),
    "half a header": ("w,2,kind\n1,2,a\n", {}, ["line 1", "'w'", "header=True or header=False"]),
    "bad first row": ("1,oops,a\n1,2,a\n", {}, ["line 1", "'oops'", "header=False"]),
    "header of numbers": ("0,1,label\n1,2,7\n1,2,8\n", {}, ["line 1", "'label'", "header=True"]),
    "not utf-8": (b"1,2,a\n1,2,\xe4\n", {}, ["line 2", "0xe4", "UTF-8"]),
    "utf-16": ("1,2,a\n".encode("utf-16"), {}, ["line 1", "UTF-8"]),
    "open quote": ('1,2,a\n1,2,"b\n', {}, ["line 2", "quotes"]),
    "long cell": ("1,2,a\n1,2," + "b" * 200_000, {}, ["line 2", "field larger"]),
    "old line ends": ("1,2,a\r3,4,b\r", {}, ["line 1", "line feed"]),
}


@pytest.mark.parametrize("case", BAD_CSV)
def test_csv_refuses(tmp_path, case):
    content, options, expected = BAD_CSV[case]
    file = write(tmp_path / "a.csv", content)
    with pytest.raises(ValueError, match="found") as error:
        csv(file, **options)
    check(error, [str(file), *expected])


@pytest.mark.parametrize("option", [{"header": 1}, {"header": "yes"}, {"label": 1.0}, {"label": True}])
def test_csv_arguments(tmp_path, option):
    with pytest.raises(TypeError, match=f"{next(iter(option))}: found .*, expected"):
        csv(write(tmp_path / "a.csv", "1,2,a\n"), **option)


# ---------------------------------------------------------------- every file format


@pytest.mark.parametrize("reader", [csv, npz])
def test_missing_file_and_folder(tmp_path, reader):
    with pytest.raises(FileNotFoundError, match=r"no such file; expected an? .* file") as error:
        reader(tmp_path / "none")
    check(error, [str(tmp_path / "none")])
    with pytest.raises(ValueError, match="found a folder, expected"):
        reader(tmp_path)
    with pytest.raises(TypeError, match="path: expected a string"):
        reader(3)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ValueError, match="neither a file nor a folder"):
        csv(tmp_path / "pipe")


def test_damaged_bytes_give_one_line_errors(tmp_path):
    write_pair(tmp_path, gz=True)
    images = tmp_path / "train-images-idx3-ubyte.gz"
    np.savez_compressed(tmp_path / "a.npz", x=X, y=Y)
    write(tmp_path / "a.csv", 'w,h,kind\n1,2.5,"a"\n3,-4e-3,b\n')
    rng = np.random.default_rng(0)
    for path, reader in (
        (images, lambda _: idx(tmp_path)),
        (tmp_path / "a.npz", npz),
        (tmp_path / "a.csv", csv),
    ):
        good = path.read_bytes()
        for _ in range(300):
            content = bytearray(good)
            for place in rng.integers(len(good), size=rng.integers(1, 4)):
                content[place] = rng.integers(256)
            path.write_bytes(content[: rng.integers(len(good) // 2, len(good) + 1)])
            try:
                reader(path)
            except ValueError as error:
                assert "\n" not in str(error)  # noqa: PT017
                assert str(tmp_path) in str(error)  # noqa: PT017
        path.write_bytes(good)


# ---------------------------------------------------------------- read


def test_read_digits():
    train, test = read("digits")
    assert same(train, digits())
    assert test is None


@pytest.mark.parametrize("spec", ["mnist", "", "digits:1", "data.csv", "arff:a", "pickle:a", "Digits"])
def test_read_unknown_kind(spec):
    with pytest.raises(ValueError, match="data: found") as error:
        read(spec)
    check(error, [repr(spec), "digits", "idx:FOLDER", "npz:FILE", "csv:FILE", "for example csv:flowers.csv"])


@pytest.mark.parametrize("spec", ["csv", "csv:", "idx:", "npz"])
def test_read_without_a_path(spec):
    with pytest.raises(ValueError, match="without a path"):
        read(spec)


@pytest.mark.parametrize("spec", ["csv:none.csv", "npz:none.npz", "idx:none", "idx:none,nothing"])
def test_read_missing_file(spec):
    with pytest.raises(FileNotFoundError, match=r"'none.*no such file"):
        read(spec)


def test_read_arguments():
    with pytest.raises(TypeError, match="data: found int, expected a string"):
        read(3)
    with pytest.raises(
        ValueError, match="label: found a value for 'digits', expected it with csv:FILE or parquet:FILE"
    ):
        read("digits", label="a")
    with pytest.raises(ValueError, match="header: found a value"):
        read("npz:a.npz", header=False)


# ---------------------------------------------------------------- split


def rows_of(count, labels=None):
    return Dataset(
        np.arange(count, dtype=np.float64)[:, None],
        np.arange(count, dtype=np.int32) if labels is None else labels,
        tuple(range(count)),
        2.0,
    )


@pytest.mark.parametrize(("count", "fraction", "test_count"), [(10, 0.2, 2), (7, 0.5, 4), (2, 0.5, 1), (100, 0.01, 1)])
def test_split(count, fraction, test_count):
    whole = rows_of(count)
    train, test = split(whole, key=jax.random.key(3), test_fraction=fraction)
    assert len(test.x) == len(test.labels) == test_count
    assert len(train.x) == len(train.labels) == count - test_count
    for part in (train, test):
        assert isinstance(part.x, np.ndarray)
        assert part.x[:, 0].tolist() == part.labels.tolist()
        assert (part.classes, part.scale) == (whole.classes, 2.0)
        assert part.labels.dtype == np.int32
    assert sorted([*train.labels.tolist(), *test.labels.tolist()]) == list(range(count))


def test_split_is_set_by_the_key():
    whole = rows_of(50)
    first, again = (split(whole, key=jax.random.key(1)) for _ in range(2))
    other = split(whole, key=jax.random.key(2))
    assert all(same(a, b) for a, b in zip(first, again, strict=True))
    assert not same(first[1], other[1])
    order = np.asarray(jax.random.permutation(jax.random.key(1), 50))
    assert first[1].labels.tolist() == order[:10].tolist()


def test_split_distributions():
    whole = rows_of(4, labels=np.eye(4, dtype=np.float32))
    train, test = split(whole, key=jax.random.key(0), test_fraction=0.25)
    assert (train.labels.shape, test.labels.shape) == ((3, 4), (1, 4))
    assert test.labels[0].argmax() == test.x[0, 0]


@pytest.mark.parametrize("fraction", [0, 1, 0.0, 1.0, -0.1, 1.5, float("nan"), float("inf")])
def test_split_fraction_out_of_range(fraction):
    with pytest.raises(ValueError, match=r"test_fraction: found .*, expected a number above 0 and below 1"):
        split(rows_of(10), key=jax.random.key(0), test_fraction=fraction)


@pytest.mark.parametrize(("count", "fraction"), [(1, 0.5), (10, 0.01), (10, 0.99), (2, 0.9), (3, 0.9)])
def test_split_with_an_empty_part(count, fraction):
    with pytest.raises(ValueError, match=f"of {count} rows to the test part, expected at least one row"):
        split(rows_of(count), key=jax.random.key(0), test_fraction=fraction)


def test_split_types():
    keys = [
        0,
        None,
        "a",
        np.zeros(2, np.uint32),
        jax.numpy.zeros(2, jax.numpy.uint32),
        jax.random.key(0)[None],
    ]
    for key in keys:
        with pytest.raises(TypeError, match=re.escape("use jax.random.key(0)")):
            split(rows_of(10), key=key)
    with pytest.raises(TypeError, match=r"test_fraction: found '0\.2'"):
        split(rows_of(10), key=jax.random.key(0), test_fraction="0.2")
    with pytest.raises(TypeError, match="test_fraction: found True"):
        split(rows_of(10), key=jax.random.key(0), test_fraction=True)
    with pytest.raises(TypeError, match=r"dataset: found tuple, expected a jxent\.data\.Dataset"):
        split((1, 2), key=jax.random.key(0))
