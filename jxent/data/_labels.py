"""Convert the labels of a file to class ids."""

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from ._files import show


def classes_of(values: Iterable[int | str]) -> tuple[int | str, ...]:
    """The distinct labels in increasing order; ``values`` are all integers or all strings."""
    # Callers pass values of one type. The key is for the type checker, which cannot see that.
    return tuple(sorted(set(values), key=_order))


def encode(values: Sequence[int | str], classes: tuple[int | str, ...], where: str) -> NDArray[np.int32]:
    """The class ids int32 [N] of ``values``; a value outside ``classes`` is a ValueError that begins with ``where``."""
    index = {label: i for i, label in enumerate(classes)}
    unknown = sorted(set(values) - index.keys(), key=str)
    if unknown:
        raise ValueError(
            f"{where}: found the classes {show_all(unknown)}, which the training part does not have; "
            f"expected only {show_all(classes)}: remove those rows or add the classes to the training part"
        )
    return np.fromiter((index[value] for value in values), np.int32, len(values))


def show_all(values: Sequence[object], limit: int = 10) -> str:
    """The first few of ``values`` on one line."""
    shown = ", ".join(show(value) for value in values[:limit])
    return f"{shown} and {len(values) - limit} more" if len(values) > limit else shown


def _order(label: int | str) -> tuple[int, str]:
    return (label, "") if isinstance(label, int) else (0, label)
