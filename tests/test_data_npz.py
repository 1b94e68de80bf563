"""The reader of npz archives: the arrays it takes, and what it says about those it refuses."""

import io
import struct
import tracemalloc
import zipfile

import numpy as np
import pytest

from jxent.data import npz, read
from tests.files import check, npy_bytes, same, write, write_zip

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
