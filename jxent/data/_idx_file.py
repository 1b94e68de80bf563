"""One IDX file, plain or gzipped: four bytes of type, the sizes as big-endian uint32, then the bytes."""

import gzip
import math
import os
import struct
import zlib
from pathlib import Path
from typing import BinaryIO, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ._files import DEFLATE_RATIO, name_of, regular_file

Kind: TypeAlias = Literal["images", "labels"]

_DIMENSIONS: dict[Kind, int] = {"images": 3, "labels": 1}
_TYPES = {0x08: "uint8", 0x09: "int8", 0x0B: "int16", 0x0C: "int32", 0x0D: "float32", 0x0E: "float64"}
_CHUNK = 1 << 20


def read_file(path: object, kind: Kind) -> NDArray[np.uint8]:
    """The images uint8 [N, rows, columns] or the labels uint8 [N] of one IDX file."""
    file = regular_file(path, f"an IDX file of {kind}")
    with file.open("rb") as raw:
        size = os.fstat(raw.fileno()).st_size
        # Decide by the first bytes, not by the name: browsers and archivers unpack files and keep the `.gz`.
        packed = raw.read(2) == b"\x1f\x8b"
        raw.seek(0)
        if not packed:
            return _parse(raw, file, kind, size, packed=False)
        try:
            with gzip.GzipFile(fileobj=raw) as stream:
                return _parse(stream, file, kind, size, packed=True)
        except (gzip.BadGzipFile, EOFError, zlib.error) as error:
            raise ValueError(
                f"{name_of(file)}: found damaged gzip data ({error}), expected a whole gzip file: "
                "fetch or copy it again"
            ) from error


def _parse(stream: BinaryIO | gzip.GzipFile, file: Path, kind: Kind, size: int, *, packed: bool) -> NDArray[np.uint8]:
    where = name_of(file)
    dimensions = _DIMENSIONS[kind]
    length = 4 + 4 * dimensions
    head = stream.read(4)
    if len(head) == 4:
        _check_magic(head, where, kind)
        head += stream.read(length - 4)
    if len(head) < length:
        raise ValueError(
            f"{where}: found {len(head)} bytes, expected an IDX header of {length} bytes: "
            "the file is empty or cut short, fetch or copy it again"
        )
    shape: tuple[int, ...] = struct.unpack(f">{dimensions}I", head[4:])
    if 0 in shape:
        raise ValueError(
            f"{where}: found a header of shape {list(shape)}, which holds no {kind}, expected at least one: "
            "give a file that is not empty"
        )
    expected = math.prod(shape)
    if packed and length + expected > DEFLATE_RATIO * size:
        raise ValueError(
            f"{where}: found a header that announces {expected} bytes of {kind}, expected no more than "
            f"{size} bytes of gzip can hold: the file is damaged, fetch or copy it again"
        )
    # The file system gives the size of a plain file. A gzip file is read up to one byte past the expected end.
    body = _bounded(stream, expected + 1) if packed or size == length + expected else b""
    num_bytes = len(body) if packed else size - length
    if num_bytes < expected:
        raise ValueError(
            f"{where}: found {num_bytes} bytes after the header, expected {expected} for shape {list(shape)}: "
            "the file is cut short, fetch or copy it again"
        )
    if num_bytes > expected:
        # Unpacking stopped one byte past the expected end: the number of further bytes is unknown.
        amount = "more" if packed else f"{num_bytes} bytes"
        raise ValueError(
            f"{where}: found {amount} after the header, expected exactly {expected} bytes for shape "
            f"{list(shape)}: the file has trailing bytes or a false header"
        )
    return np.frombuffer(body, np.uint8).reshape(shape)


def _check_magic(magic: bytes, where: str, kind: Kind) -> None:
    expected = bytes((0, 0, 8, _DIMENSIONS[kind]))
    if magic == expected:
        return
    problem = f"{where}: found the magic number 0x{magic.hex()}"
    wanted = f"expected 0x{expected.hex()} for {kind}"
    other: Kind = "labels" if kind == "images" else "images"
    if magic == bytes((0, 0, 8, _DIMENSIONS[other])):
        raise ValueError(f"{problem}, a file of {other}, {wanted}: the two files are swapped, exchange them")
    if magic[:2] == b"\0\0" and magic[2] in _TYPES and magic[2] != 0x08:
        raise ValueError(
            f"{problem}, an IDX file of {_TYPES[magic[2]]} values, {wanted}, which are uint8: "
            "save it as npz and read it with npz()"
        )
    if magic[:3] == b"\0\0\x08":
        raise ValueError(
            f"{problem}, an IDX file of {magic[3]} dimensions, {wanted}, which have {_DIMENSIONS[kind]}: "
            "reshape it, or save it as npz and read it with npz()"
        )
    raise ValueError(f"{problem}, {wanted}: this is not an IDX file")


def _bounded(stream: BinaryIO | gzip.GzipFile, limit: int) -> bytearray:
    """At most ``limit`` bytes; memory grows with the bytes in the file, not with the size that a header announces."""
    body = bytearray()
    while len(body) < limit:
        chunk = stream.read(min(_CHUNK, limit - len(body)))
        if not chunk:
            break
        body += chunk
    return body
