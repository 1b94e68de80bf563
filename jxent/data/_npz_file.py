"""The arrays of an npz file; the header of each is checked before memory is allocated for it."""

import math
import os
import tokenize
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO

from numpy.lib import format as npy
from numpy.typing import NDArray

from ._files import DEFLATE_RATIO, name_of
from ._labels import show_all

# Exceptions that zipfile, zlib and NumPy raise on damaged bytes, documented or not.
_DAMAGE = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    ValueError,
    TypeError,
    SyntaxError,
    tokenize.TokenError,
    NotImplementedError,
    OverflowError,
    RecursionError,
)


def read_arrays(file: Path, names: Sequence[str], needed: Sequence[str]) -> dict[str, NDArray[Any]]:
    """The arrays of ``names`` that are in the file; a ValueError if one of ``needed`` is missing."""
    with file.open("rb") as raw:
        try:
            archive = zipfile.ZipFile(raw)
        except _DAMAGE as error:
            raise ValueError(_not_npz(raw, file)) from error
        with archive:
            infos = [info for info in archive.infolist() if info.filename.endswith(".npy")]
            members = {info.filename.removesuffix(".npy"): info for info in infos}
            missing = [name for name in needed if name not in members]
            if missing:
                raise ValueError(
                    f"{name_of(file)}: found the arrays {show_all(sorted(members)) or 'none'}, expected "
                    f"{' and '.join(needed)}: save with np.savez(path, x=x, y=y)"
                )
            size = os.fstat(raw.fileno()).st_size
            held = [name for name in names if name in members]
            return {name: _read(archive, members[name], name, file, size) for name in held}


def _read(archive: zipfile.ZipFile, info: zipfile.ZipInfo, name: str, file: Path, size: int) -> NDArray[Any]:
    where = f"{name_of(file)}, array {name}"
    _check_size(info, where, size)
    try:
        with archive.open(info) as member:
            version = npy.read_magic(member)
            reader = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
            shape, _, dtype = reader(member)
            begin = member.tell()
    except _DAMAGE as error:
        raise ValueError(_damaged(where, error)) from error
    if dtype.hasobject:
        raise ValueError(
            f"{where}: found Python objects (a pickle), expected numbers or strings: nothing is unpickled, "
            "save it as a plain array, strings with y.astype(str)"
        )
    announced, stored = math.prod(shape) * dtype.itemsize, info.file_size - begin
    if min(shape, default=0) < 0 or announced != stored:
        raise ValueError(
            f"{where}: found {stored} bytes, expected {announced} for the announced {dtype} of shape "
            f"{list(shape)}: the file is damaged, save it again"
        )
    try:
        with archive.open(info) as member:
            return npy.read_array(member, allow_pickle=False)
    except _DAMAGE as error:
        raise ValueError(_damaged(where, error)) from error


def _check_size(info: zipfile.ZipInfo, where: str, size: int) -> None:
    """Refuse a member that announces more bytes than its compressed size can hold."""
    if info.flag_bits & 1:
        raise ValueError(f"{where}: found an encrypted array, expected a plain one: save with np.savez")
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ValueError(
            f"{where}: found zip method {info.compress_type}, expected stored or deflated: "
            "save with np.savez or np.savez_compressed"
        )
    ratio = 1 if info.compress_type == zipfile.ZIP_STORED else DEFLATE_RATIO
    if info.file_size > ratio * min(info.compress_size, size):
        raise ValueError(
            f"{where}: found an announced size of {info.file_size} bytes, expected no more than "
            f"{min(info.compress_size, size)} bytes of the file can hold: the file is damaged, save it again"
        )


def _damaged(where: str, error: Exception) -> str:
    # Cut the message: NumPy quotes the whole bad header, and suggests unpickling if that is too long.
    reason = " ".join(str(error).split())[:70]
    return f"{where}: found damaged data ({reason}), expected a plain array: save it again with np.savez"


def _not_npz(raw: BinaryIO, file: Path) -> str:
    raw.seek(0)
    head = raw.read(6)
    if head == b"\x93NUMPY":
        kind, fix = "a single npy array", "save both arrays with np.savez(path, x=x, y=y)"
    elif head[:1] == b"\x80":
        kind, fix = "what looks like a pickle", "nothing is unpickled, save with np.savez(path, x=x, y=y)"
    elif head[:2] == b"PK":
        kind, fix = "a damaged or cut zip file", "fetch or copy it again"
    else:
        kind, fix = "no zip file", "save with np.savez(path, x=x, y=y)"
    return f"{name_of(file)}: found {kind}, expected an npz file: {fix}"
