"""The type that every reader returns."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray


class Dataset(NamedTuple):
    """N labelled rows of D features: ``x`` [N, D] and ``labels`` [N] or [N, K] over K classes.

    ``x`` holds the values of the file unchanged; ``x / scale`` brings pixels to the range 0 to 1.

    Attributes:
        x: Features [N, D]: uint8, float32 or float64; ``npy()`` gives a memory map.
        labels: Class ids in [0, K) as int32 [N], or one distribution over the classes per row, float [N, K].
        classes: The K original labels, integers or strings: ``classes[labels[i]]`` is the label of row i.
        scale: The divisor that brings ``x`` to unit range: 255.0 for uint8, 16.0 for ``digits()``, else 1.0.

    Example:
        >>> from jxent import data
        >>> import numpy as np
        >>> d = data.Dataset(np.array([[0.5, 1.0], [2.0, 4.0]]), np.array([1, 0], np.int32), ("no", "yes"))
        >>> d.classes[d.labels[0]]
        'yes'
        >>> d.scale
        1.0
    """

    x: Any
    labels: NDArray[Any]
    classes: tuple[int | str, ...]
    scale: float = 1.0


def scale_of(x: NDArray[Any]) -> float:
    """The divisor that brings ``x`` to unit range: 255.0 for uint8, the type of pixels, else 1.0."""
    return 255.0 if x.dtype == np.uint8 else 1.0
