"""A seeded random split."""

from numbers import Real
from typing import TYPE_CHECKING

import numpy as np

from ._dataset import Dataset
from ._files import show
from ._lazy import LazyRows

if TYPE_CHECKING:
    import jax


def split(dataset: Dataset, *, key: "jax.Array", test_fraction: float = 0.2) -> tuple[Dataset, Dataset]:
    """Split the N rows at random into ``(train, test)``, with round(N * test_fraction) test rows.

    The same key gives the same parts. Both parts keep the classes and the scale of the dataset, even if a
    class does not occur in one of them.

    Args:
        dataset: The rows to split. They are copied; of a memory map, each part keeps the numbers of its rows.
        key: A random key, ``jax.random.key(0)``.
        test_fraction: The share of the test part, above 0 and below 1.

    Returns:
        tuple of Dataset: The training part and the test part, each in random order; a memory map keeps its order.

    Raises:
        TypeError: If ``key`` is not a single key of ``jax.random.key``, or another argument is of the wrong type.
        ValueError: If ``test_fraction`` is not between 0 and 1, or one of the parts would be empty.

    Example:
        >>> from jxent import data
        >>> import jax
        >>> from jxent.data import digits
        >>> train, test = data.split(data.digits(), key=jax.random.key(0))
        >>> train.x.shape, test.x.shape
        ((1438, 64), (359, 64))
    """
    import jax  # Imported here, so that reading files needs NumPy alone.

    _check_types(dataset, test_fraction)
    _check_key(key)
    if not 0 < test_fraction < 1:
        raise ValueError(f"test_fraction: found {test_fraction}, expected a number above 0 and below 1")
    rows = len(dataset.x)
    count = round(rows * float(test_fraction))
    if not 1 <= count <= rows - 1:
        raise ValueError(
            f"test_fraction: found {test_fraction}, which gives {count} of {rows} rows to the test part, "
            "expected at least one row in each part: choose another fraction or give more rows"
        )
    order = np.asarray(jax.random.permutation(key, rows))
    return _take(dataset, order[count:]), _take(dataset, order[:count])


def _take(dataset: Dataset, rows: np.ndarray) -> Dataset:
    if isinstance(dataset.x, np.memmap):
        # The rows stay on the disk, and are read fastest in the order of the file.
        rows = np.sort(rows)
        return dataset._replace(x=LazyRows(dataset.x, rows), labels=dataset.labels[rows])
    return dataset._replace(x=dataset.x[rows], labels=dataset.labels[rows])


def _check_key(key: object) -> None:
    import jax

    kind = type(key).__name__
    if isinstance(key, jax.Array):
        if jax.numpy.issubdtype(key.dtype, jax.dtypes.prng_key) and key.shape == ():
            return
        kind = f"an array of {key.dtype} and shape {list(key.shape)}"
    raise TypeError(f"key: found {kind}, expected one random key: use jax.random.key(0)")


def _check_types(dataset: object, test_fraction: object) -> None:
    if not isinstance(dataset, Dataset):
        raise TypeError(
            f"dataset: found {type(dataset).__name__}, expected a jxent.data.Dataset: "
            "make one with Dataset(x, labels, classes)"
        )
    if isinstance(test_fraction, bool) or not isinstance(test_fraction, Real):
        raise TypeError(f"test_fraction: found {show(test_fraction)}, expected a number such as 0.2")
