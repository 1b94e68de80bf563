"""Sources: data that are read while a fit runs, converted to plain arrays a chunk at a time.

There are three kinds. *Rows*: an object with shape [N, D] and slices, such as a memory map of numpy, an HDF5 or zarr
array, an Arrow table or a sparse matrix of scipy, with the labels in memory. *Records*: an object with `len` and an
index that returns one example, such as a random-access source of Grain. *Batches*: an object that can be iterated many
times and yields (features, labels) or (features, labels, weights) of a batch of rows.
"""

import abc
from collections.abc import Iterator
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from jxent.regression._model import Params

# Bytes of a chunk, with its scores.
CHUNK = 32 << 20


class Chunk(NamedTuple):
    """A chunk of rows: features `[B, D]`, class ids `[B]` or distributions `[B, K]`, and weights `[B]`."""

    x: NDArray[Any]
    targets: NDArray[Any]
    weights: NDArray[Any]

    def part(self, low: int, high: int) -> "Chunk":
        """Rows `low` to `high`."""
        return Chunk(*(a[low:high] for a in self))

    def filled(self, size: int) -> "Chunk":
        """The chunk padded to `size` rows with zeros of weight 0."""
        missing = size - len(self.x)
        if not missing:
            return self
        return Chunk(*(np.concatenate([a, np.zeros((missing, *a.shape[1:]), a.dtype)]) for a in self))


class Source(abc.ABC):
    """Rows that can be read in order any number of times."""

    ordered: bool  # whether rows can only be read in the order of the source

    @abc.abstractmethod
    def batches(self) -> Iterator[Chunk]:
        """All rows in order, in pieces of any size."""

    def take(self, chosen: NDArray[Any]) -> Chunk:
        """The rows at these indices, in this order."""
        raise NotImplementedError

    def chunks(self, size: int) -> Iterator[Chunk]:
        """All rows in order, in chunks of `size` rows; the last may be smaller."""
        held: list[Chunk] = []
        count = 0
        for batch in self.batches():
            held.append(batch)
            count += len(batch.x)
            while count >= size:
                joined = _joined(held)
                yield joined.part(0, size)
                held, count = [joined.part(size, count)], count - size
        if count:
            yield _joined(held)


class Rows(Source):
    """An object with slices; labels and weights are in memory."""

    ordered = False

    def __init__(self, x: Any, targets: NDArray[Any], weights: NDArray[Any], size: int) -> None:
        self.x, self.targets, self.weights, self.size = x, targets, weights, size

    def batches(self) -> Iterator[Chunk]:
        """Slices of the chunk size."""
        return self.chunks(self.size)

    def chunks(self, size: int) -> Iterator[Chunk]:
        """Slices of `size` rows; the last may be smaller."""
        for low in range(0, len(self.targets), size):
            high = min(low + size, len(self.targets))
            yield Chunk(_plain(self.x[low:high]), self.targets[low:high], self.weights[low:high])

    def take(self, chosen: NDArray[Any]) -> Chunk:
        """The rows at these indices, read in increasing order, as HDF5 requires."""
        increasing, back = np.unique(chosen, return_inverse=True)
        return Chunk(_plain(self.x[increasing])[back], self.targets[chosen], self.weights[chosen])


class Records(Source):
    """An object whose items are examples: (features, label), (features, label, weight), or features alone."""

    ordered = False

    def __init__(self, x: Any, in_memory: tuple[NDArray[Any], NDArray[Any]] | None, size: int) -> None:
        self.x, self.in_memory, self.size = x, in_memory, size

    def batches(self) -> Iterator[Chunk]:
        """Batches of the chunk size."""
        for low in range(0, len(self.x), self.size):
            yield self.take(np.arange(low, min(low + self.size, len(self.x))))

    def take(self, chosen: NDArray[Any]) -> Chunk:
        """The examples at these indices."""
        if self.in_memory is not None:
            features = np.stack([np.asarray(self.x[int(i)]) for i in chosen])
            return Chunk(_two(features), self.in_memory[0][chosen], self.in_memory[1][chosen])
        records = [_parts(self.x[int(i)], f"record {int(i)}") for i in chosen]
        features, targets, weights = (
            np.stack([np.asarray(part) for part in parts]) for parts in zip(*records, strict=True)
        )
        return Chunk(_two(features), targets, weights)


class Batches(Source):
    """An object that yields batches each time it is iterated over."""

    ordered = True

    def __init__(self, x: Any) -> None:
        self.x = x

    def batches(self) -> Iterator[Chunk]:
        """The batches of the object."""
        for i, batch in enumerate(self.x):
            features, targets, weight = _parts(batch, f"batch {i}")
            features, targets = np.asarray(features), np.asarray(targets)
            weights = np.broadcast_to(np.asarray(weight), len(features)) if np.ndim(weight) == 0 else np.asarray(weight)
            if features.ndim != 2 or not len(features) == len(targets) == len(weights):
                raise ValueError(
                    f"fit(): batch {i} has features {features.shape}, labels {targets.shape} and weights "
                    f"{weights.shape}, expected [B, D], [B] or [B, K], and [B]"
                )
            yield Chunk(features, targets, weights)


class ArrowRows:
    """An Arrow table of numeric columns, or an array of lists of one length, with slices as numpy arrays."""

    def __init__(self, table: Any) -> None:
        self.table = table
        self.shape = (len(table), len(self._read(table.slice(0, 1))[0]) if len(table) else 0)
        self.dtype = self._read(table.slice(0, 1)).dtype

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: slice | NDArray[Any]) -> NDArray[Any]:
        if isinstance(rows, slice):
            low, high, _ = rows.indices(len(self))
            return self._read(self.table.slice(low, high - low))
        return self._read(self.table.take(rows))

    def _read(self, part: Any) -> NDArray[Any]:
        if hasattr(part, "columns"):
            return np.stack([np.asarray(column) for column in part.columns], axis=1)
        array = part.combine_chunks() if hasattr(part, "chunks") else part
        return array.flatten().to_numpy(zero_copy_only=False).reshape(len(part), -1)


def is_source(x: Any) -> bool:
    """Whether an object is a source, not an array."""
    if isinstance(x, np.memmap) or _is_arrow(x) or _is_sparse(x):
        return True
    if isinstance(x, (np.ndarray, list, tuple, str, bytes, dict, set)) or hasattr(x, "__jax_array__") or np.isscalar(x):
        return False
    if hasattr(x, "shape") and hasattr(x, "dtype"):
        return hasattr(x, "__getitem__") and not hasattr(x, "__dlpack__")
    return not hasattr(x, "__array__") and (hasattr(x, "__getitem__") or hasattr(x, "__iter__"))


def source(x: Any, in_memory: tuple[NDArray[Any], NDArray[Any]] | None, size: int) -> Source:
    """The source of an object; `in_memory` holds labels and weights."""
    if _is_arrow(x):
        x = ArrowRows(x)
    if _is_sparse(x):
        x = x.tocsr()  # CSR has row slices, which other sparse formats may lack.
    if hasattr(x, "shape"):
        if in_memory is None:
            raise ValueError("fit(): `labels` are missing; a source of rows holds features only")
        return Rows(x, *in_memory, size)
    if hasattr(x, "__len__") and hasattr(x, "__getitem__"):
        return Records(x, in_memory, size)
    if iter(x) is x:
        raise TypeError(
            f"fit(): `x` is a {type(x).__name__}, which can be read only once; give an object that starts again each "
            f"time it is iterated over"
        )
    return Batches(x)


def chunk_rows(features: int, classes: int, itemsize: int) -> int:
    """The default number of rows of a chunk."""
    return max(1, CHUNK // ((features + 4 * classes) * itemsize))


class Survey(NamedTuple):
    """Sizes and totals from one pass over all rows.

    Attributes:
        rows: number of rows.
        features: D.
        soft: whether the targets are distributions.
        weight: sum of the weights.
        largest: largest absolute value of a feature.
        longest: rows of the longest batch of the source.
        batches: number of batches of the source.
        mean: of each feature, by weight, `[D]`, float64.
        variance: of each feature, by weight, `[D]`, float64.
        seen: the classes with a row of positive weight, `[K]`.
    """

    rows: int
    features: int
    soft: bool
    weight: float
    largest: float
    longest: int
    batches: int
    mean: NDArray[Any]
    variance: NDArray[Any]
    seen: NDArray[Any]


class Moments:
    """Weighted mean and variance of each feature, merged batch by batch.

    T. F. Chan, G. H. Golub and R. J. LeVeque, The American Statistician 37 (1983).
    """

    def __init__(self) -> None:
        self.weight, self.mean, self.squares = 0.0, np.zeros(()), np.zeros(())

    def add(self, batch: Chunk) -> None:
        """Merge a batch."""
        weights = batch.weights.astype(np.float64)
        weight = float(weights.sum())
        if not weight:
            self.mean, self.squares = (a + np.zeros(batch.x.shape[1]) for a in (self.mean, self.squares))
            return
        x = batch.x.astype(np.float64)
        mean = weights @ x / weight
        apart, total = mean - self.mean, self.weight + weight
        squares = weights @ np.square(x - mean)
        self.squares = self.squares + squares + np.square(apart) * (self.weight * weight / total)
        self.mean, self.weight = self.mean + apart * (weight / total), total

    def variance(self) -> NDArray[Any]:
        """The variance of each feature."""
        return self.squares / max(self.weight, np.finfo(np.float64).tiny)


def survey(source: Source, classes: int, add: Any = None) -> Survey:
    """Read every row once, raise an error for invalid rows, and pass each batch to `add`."""
    rows, weight, largest, longest, count = 0, 0.0, 0.0, 0, 0
    shape: tuple[int, ...] | None = None
    soft, seen, moments = False, np.zeros(classes, bool), Moments()
    for batch in source.batches():
        here = (batch.x.shape[1], *batch.targets.shape[1:])
        if shape is None:
            shape, soft = here, batch.targets.ndim == 2
        if here != shape or batch.targets.ndim > 2:
            raise ValueError(f"fit(): row {rows} has {here} features and classes, and those before it {shape}")
        if not np.isfinite(batch.x).all():
            row, column = np.argwhere(~np.isfinite(batch.x))[0]
            raise ValueError(
                f"fit(): `x` holds {batch.x[row, column]} at {(rows + int(row), int(column))}; drop or fill those rows"
            )
        _check_targets(batch, classes, rows, soft=soft)
        if not (np.isfinite(batch.weights).all() and (batch.weights >= 0).all()):
            row = int(np.argmax(~(np.isfinite(batch.weights) & (batch.weights >= 0))))
            raise ValueError(f"fit(): the weight of row {rows + row} is {batch.weights[row]}, expected a number >= 0")
        if add is not None:
            add(batch)
        weighed = batch.targets[batch.weights > 0]
        seen |= (weighed > 0).any(axis=0) if soft else np.bincount(weighed, minlength=classes) > 0
        moments.add(batch)
        rows, longest, count = rows + len(batch.x), max(longest, len(batch.x)), count + 1
        weight += float(np.sum(batch.weights, dtype=np.float64))
        largest = max(largest, float(np.max(np.abs(batch.x), initial=0)))
    if shape is None or not rows or not shape[0]:
        raise ValueError("fit(): the source has no rows or no features to learn from")
    if not weight:
        raise ValueError("fit(): the weights of all rows of the source are 0")
    return Survey(rows, shape[0], soft, weight, largest, longest, count, moments.mean, moments.variance(), seen)


def _check_targets(batch: Chunk, classes: int, before: int, *, soft: bool) -> None:
    targets = batch.targets
    if soft:
        wrong = (targets < 0).any(axis=1) | ~(np.abs(targets.sum(axis=1, dtype=np.float64) - 1) <= 1e-3)
        if targets.shape[1] != classes or wrong.any():
            row = int(np.argmax(wrong))
            raise ValueError(
                f"fit(): the label of row {before + row} is {targets[row][:8]}, expected a distribution over "
                f"{classes} classes"
            )
        return
    if targets.dtype.kind not in "iu":
        raise TypeError(f"fit(): the labels of the source have dtype {targets.dtype}, expected integer class ids")
    wrong = (targets < 0) | (targets >= classes)
    if wrong.any():
        row = int(np.argmax(wrong))
        raise ValueError(f"fit(): the label of row {before + row} is {targets[row]}, expected one in [0, {classes})")


def dtype_of(x: Any, params: Params | None) -> Any:
    """The dtype of the fit: of the rows, else of the starting parameters, else the default."""
    dtype = np.dtype(getattr(x, "dtype", None) or (np.float32 if params is None else params.weights.dtype))
    if dtype.kind != "f":
        return jnp.zeros(()).dtype
    return jnp.zeros((), np.float32 if dtype.itemsize < 4 else dtype).dtype


def _is_arrow(x: Any) -> bool:
    return type(x).__module__.partition(".")[0] == "pyarrow" and hasattr(x, "slice")


def _parts(record: Any, what: str) -> tuple[Any, Any, Any]:
    """Features, label and weight of a record or batch."""
    if isinstance(record, (tuple, list)) and len(record) in (2, 3):
        return (*record, 1.0)[:3]  # pyright: ignore[reportReturnType]
    raise TypeError(
        f"fit(): {what} is a {type(record).__name__}, expected (features, labels) or (features, labels, weights)"
    )


def _is_sparse(x: Any) -> bool:
    return hasattr(x, "tocsr") and hasattr(x, "toarray")


def _plain(x: Any) -> NDArray[Any]:
    return x.toarray() if _is_sparse(x) else np.asarray(x)


def _two(features: NDArray[Any]) -> NDArray[Any]:
    """Features as `[B, D]`, each example flattened."""
    return features.reshape(len(features), -1)


def _joined(chunks: list[Chunk]) -> Chunk:
    if len(chunks) == 1:
        return chunks[0]
    return Chunk(*(np.concatenate(parts) for parts in zip(*chunks, strict=True)))
