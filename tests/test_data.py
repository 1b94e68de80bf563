"""The readers of jxent.data: data sets, CSV, what every format has in common, `read` and `split`."""

import doctest
import importlib
import os
import re
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest

from jxent.data import Dataset, csv, digits, idx, npz, read, split
from tests.files import check, same, write, write_pair
from tests.test_data_npz import X, Y

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
