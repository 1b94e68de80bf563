"""Some rows of features that stay on the disk, divided by their scale where they are read."""

from typing import Any

import numpy as np
from numpy.typing import NDArray


class LazyRows:
    """Rows of an array that gives slices, as an object that gives slices; nothing is read before it is asked for.

    Attributes:
        x: the array, such as a memory map [N, D].
        rows: numbers of its rows, in increasing order.
        divisor: what its values are divided by; the result is float32, or float64 where the array is.
    """

    def __init__(self, x: Any, rows: NDArray[Any] | None = None, divisor: float = 1.0) -> None:
        self.x, self.divisor = x, divisor
        self.rows = np.arange(len(x)) if rows is None else rows
        self.shape = (len(self.rows), x.shape[1])
        self.dtype = np.dtype(np.float64 if x.dtype == np.float64 else np.float32)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, chosen: slice | NDArray[Any]) -> NDArray[Any]:
        values = np.asarray(self.x[self.rows[chosen]])
        return np.divide(values, self.divisor, dtype=self.dtype)
