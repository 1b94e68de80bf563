"""Rows of features that stay on the disk and are divided by their scale when they are read."""

from typing import Any

import numpy as np
from numpy.typing import NDArray


class LazyRows:
    """Selected rows of an array; indexing reads them from the array, and nothing else does.

    Attributes:
        x: the array, such as a memory map [N, D].
        rows: numbers of its rows, in increasing order.
        divisor: divisor of the values; the result is float64 if the array is, else float32.
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
