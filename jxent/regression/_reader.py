"""Reading of a source: one pass that checks all rows, then prefetched chunks on the device."""

import functools
import hashlib
from collections.abc import Generator, Iterable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike

from jxent.regression import _identity, _sources, _validate
from jxent.regression._ahead import read_ahead
from jxent.regression._mesh import Layout
from jxent.regression._model import Params
from jxent.regression._programs import Data
from jxent.regression._sources import Chunk, Source, Survey

# Bytes of the sample of rows for the preconditioner.
SAMPLE = 32 << 20


class Reader(NamedTuple):
    """Rows of a source on the device, in the dtype of the fit.

    Attributes:
        source: of the rows.
        survey: sizes and totals of the source.
        digest: of all rows; an empty text for a fit without checkpoints.
        classes: K.
        size: rows of a chunk.
        dtype: of the fit.
        layout: over several devices, or None.
    """

    source: Source
    survey: Survey
    digest: str
    classes: int
    size: int
    dtype: DTypeLike
    layout: Layout | None

    def chunks(self) -> Generator[Data]:
        """All rows in order, in prefetched chunks."""
        return self.ahead(self.source.chunks(self.size), self.size)

    def ahead(self, chunks: Iterable[Chunk], size: int) -> Generator[Data]:
        """The chunks on the device, prefetched and padded to `size` rows."""
        return read_ahead(chunks, functools.partial(self.to_device, size=size))

    def to_device(self, chunk: Chunk, size: int) -> Data:
        """A chunk on the device, padded to `size` rows."""
        x, targets, weights = chunk.filled(size)
        # Integers are sent unconverted, which takes fewer bytes; the device converts them.
        x = x if x.dtype.kind in "iub" else x.astype(self.dtype, copy=False)
        targets = targets.astype(np.int32 if targets.ndim == 1 else self.dtype, copy=False)
        data = Data(*map(np.ascontiguousarray, (x, targets, weights.astype(self.dtype, copy=False))))
        return jax.device_put(data) if self.layout is None else self.layout.placed(data)

    def sample(self) -> Data:
        """Rows at equal distances in the source, or the first rows of a source that can only be read in order."""
        d = self.survey.features
        count = min(self.survey.rows, max(1, SAMPLE // (d * jnp.dtype(self.dtype).itemsize)))
        if self.source.ordered:
            chunk = next(iter(self.source.chunks(count)))
        else:
            chunk = self.source.take(np.linspace(0, self.survey.rows - 1, count).astype(np.int64))
        if not chunk.weights.any():
            chunk = chunk._replace(weights=np.ones_like(chunk.weights))
        data = self.to_device(chunk, count)
        return data._replace(x=data.x.astype(self.dtype))


def reader(
    x: Any,
    labels: Any,
    sample_weight: Any,
    class_weight: _validate.ClassWeight,
    *,
    num_classes: int | None,
    chunk_size: int | None,
    params: Params | None,
    layout: Layout | None,
    digested: bool,
) -> Reader:
    """The reader of a source, after one pass over all rows."""
    dtype = _sources.dtype_of(x, params)
    if num_classes is not None:
        _validate.integer("num_classes", num_classes, 2, None)
    if chunk_size is not None:
        _validate.integer("chunk_size", chunk_size, 1, None)
    in_memory = None
    if labels is not None:
        shape = (_rows(x), 1)
        data, classes = _validate.labels_and_weights(shape, labels, sample_weight, num_classes, class_weight, dtype)
        in_memory = (np.asarray(data[0]), np.asarray(data[1]))
    elif sample_weight is not None or class_weight is not None:
        raise ValueError("fit(): sample_weight= and class_weight= need `labels` beside the source")
    elif num_classes is None:
        raise ValueError("fit(): a source that holds its own labels needs num_classes=")
    else:
        classes = num_classes
    features = x.shape[1] if len(getattr(x, "shape", ())) == 2 else 1024
    size = chunk_size or _sources.chunk_rows(features, classes, jnp.dtype(dtype).itemsize)
    source = _sources.source(x, in_memory, size)
    hashes = [hashlib.sha256() for _ in Chunk._fields]

    def add(chunk: Chunk) -> None:
        for sha, part in zip(hashes, chunk, strict=True):
            _identity.add_bytes(sha, part)

    survey = _sources.survey(source, classes, add if digested else None)
    if layout is not None:
        shards = layout.size("rows")
        size = -(-size // shards) * shards
    digest = hashlib.sha256("".join(h.hexdigest() for h in hashes).encode()).hexdigest() if digested else ""
    return Reader(source, survey, digest, classes, min(size, _up(survey.rows, layout)), dtype, layout)


def _up(rows: int, layout: Layout | None) -> int:
    shards = 1 if layout is None else layout.size("rows")
    return -(-rows // shards) * shards


def _rows(x: Any) -> int:
    if hasattr(x, "shape"):
        return int(x.shape[0])
    if not hasattr(x, "__len__"):
        raise ValueError(
            "fit(): `labels` and `sample_weight` come with the batches of a source, give neither beside it"
        )
    return len(x)
