"""Files of data sets, as tests write them."""

import gzip
import struct
import zipfile

import numpy as np

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


def check(error, expected):
    message = str(error.value)
    for part in expected:
        assert part in message
    assert "\n" not in message
