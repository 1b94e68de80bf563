"""The reader of IDX files: pairs and folders, compressed or not, and what it says about those it refuses."""

import gzip
import struct
import tracemalloc
import zlib

import numpy as np
import pytest

from jxent.data import idx, read
from tests.files import IDS, PIXELS, check, images_bytes, labels_bytes, same, write, write_pair


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
