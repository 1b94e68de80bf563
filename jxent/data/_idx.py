"""IDX folders and pairs, the format of MNIST."""

import re
from pathlib import Path
from typing import NamedTuple, cast

from ._dataset import Dataset, scale_of
from ._files import StrPath, name_of, regular_file, to_path
from ._idx_file import read_file
from ._labels import classes_of, encode

_IMAGES_NAME = re.compile(r"(?P<stem>.*)images(?P<mark>[-.])idx3-ubyte(?P<gz>\.gz)?")


class _Pair(NamedTuple):
    images: Path
    labels: Path


def idx(path: StrPath | tuple[StrPath, StrPath], *, test: bool = False) -> Dataset:
    """Images of an IDX pair (MNIST's format): ``x`` uint8 [N, rows * columns], ``scale`` 255.0.

    The first bytes of a file decide whether it is plain or gzipped. If a plain and a gzipped file of one
    name exist, the plain one is read.

    Args:
        path: A folder that holds ``train-images-idx3-ubyte`` and ``train-labels-idx1-ubyte``, the ``t10k`` pair
            or both (also ``train-images.idx3-ubyte``, and each with ``.gz``); or the images file, with its labels
            file beside it under such a name; or the two files ``(images, labels)`` under any name.
        test: False gives the training pair, True the ``t10k`` pair of a folder that has both. A single pair
            counts as the training pair, whatever its name.

    Returns:
        Dataset: ``classes`` are the labels that occur in the training pair, in increasing order.

    Raises:
        FileNotFoundError: If the path, or one file of the pair, does not exist.
        ValueError: If a file is not IDX of the right kind, cut short, too long, empty or damaged; if the two files
            hold different numbers of rows; or if ``test`` is True and there is no test part.
        TypeError: If ``path`` is neither a path nor a pair of paths.

    Example:
        >>> from jxent import data
        >>> import struct, tempfile
        >>> from pathlib import Path
        >>> with tempfile.TemporaryDirectory() as name:
        ...     images, labels = Path(name, "images"), Path(name, "labels")
        ...     _ = images.write_bytes(struct.pack(">4I", 0x803, 2, 1, 3) + bytes([0, 10, 20, 30, 40, 255]))
        ...     _ = labels.write_bytes(struct.pack(">2I", 0x801, 2) + bytes([7, 4]))
        ...     d = data.idx((images, labels))
        >>> d.x.tolist(), d.labels.tolist(), d.classes
        ([[0, 10, 20], [30, 40, 255]], [1, 0], (4, 7))
    """
    train, held_out = _find(path)
    if not test:
        return _load(train)
    if held_out is None:
        raise ValueError(
            f"{name_of(train.images)}: found this pair only, expected a t10k pair beside the train pair: "
            "there is no test part, read with test=False and use split()"
        )
    # A class id must mean the same in both parts, so both use the classes of the training labels.
    return _load(held_out, classes_of(read_file(train.labels, "labels").tolist()))


def has_test(path: StrPath | tuple[StrPath, StrPath]) -> bool:
    """Whether ``idx(path, test=True)`` finds a test part."""
    return _find(path)[1] is not None


def _load(pair: _Pair, classes: tuple[int | str, ...] | None = None) -> Dataset:
    images = read_file(pair.images, "images")
    labels: list[int | str] = read_file(pair.labels, "labels").tolist()
    if len(images) != len(labels):
        raise ValueError(
            f"{name_of(pair.labels)}: found {len(labels)} labels, expected {len(images)}, one for each image "
            f"of {name_of(pair.images)}: give the two files of one pair"
        )
    classes = classes_of(labels) if classes is None else classes
    x = images.reshape(len(images), -1)
    return Dataset(x, encode(labels, classes, name_of(pair.labels)), classes, scale_of(x))


def _find(path: object) -> tuple[_Pair, _Pair | None]:
    """The training pair, and the test pair if the path is a folder that has both."""
    if isinstance(path, (tuple, list)):
        files = cast("tuple[object, ...] | list[object]", path)
        if len(files) != 2:
            raise ValueError(f"path: found {len(files)} files, expected the two files (images, labels)")
        images, labels = files
        return _Pair(regular_file(images, "an IDX file of images"), regular_file(labels, "an IDX file of labels")), None
    folder = to_path(path)
    if not folder.is_dir():
        return _beside(regular_file(folder, "a folder or an IDX file of images")), None
    pairs = [pair for part in ("train", "t10k") if (pair := _in_folder(folder, part))]
    if not pairs:
        raise FileNotFoundError(
            f"{name_of(folder)}: found no IDX pair in this folder, expected train-images-idx3-ubyte[.gz] and "
            "train-labels-idx1-ubyte[.gz], or the t10k pair: rename the files or give (images, labels)"
        )
    return pairs[0], pairs[1] if len(pairs) == 2 else None


def _in_folder(folder: Path, part: str) -> _Pair | None:
    images = _first_file(folder, f"{part}-images", "idx3-ubyte")
    labels = _first_file(folder, f"{part}-labels", "idx1-ubyte")
    if images and labels:
        return _Pair(images, labels)
    if images or labels:
        missing = f"{part}-labels-idx1-ubyte" if images else f"{part}-images-idx3-ubyte"
        raise FileNotFoundError(
            f"{name_of(folder)}: found only one file of the {part} pair, expected {missing} or {missing}.gz "
            "as well: add it, or move the lone file away"
        )
    return None


def _beside(images: Path) -> _Pair:
    """An images file and the labels file that belongs to its name."""
    parts = _IMAGES_NAME.fullmatch(images.name)
    if parts is None:
        raise ValueError(
            f"{name_of(images)}: found a name that does not tell where the labels are, expected one such as "
            "train-images-idx3-ubyte[.gz]: give both files, (images, labels)"
        )
    labels = _first_file(images.parent, f"{parts['stem']}labels", "idx1-ubyte", parts["mark"], parts["gz"] or "")
    if labels is None:
        raise FileNotFoundError(
            f"{name_of(images)}: found no labels beside this file, expected "
            f"{parts['stem']}labels-idx1-ubyte[.gz]: add it or give both files, (images, labels)"
        )
    return _Pair(images, labels)


def _first_file(folder: Path, stem: str, ending: str, mark: str = "-", gz: str = "") -> Path | None:
    """The first existing file among the spellings of a name; the spelling by ``mark`` and ``gz`` comes first."""
    for zipped in dict.fromkeys((gz, "", ".gz")):
        for joint in dict.fromkeys((mark, "-", ".")):
            file = folder / f"{stem}{joint}{ending}{zipped}"
            if file.is_file():
                return file
    return None
