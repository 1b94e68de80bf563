"""Reading of a source: one pass that checks all rows, then chunks on the device.

A thread reads the next chunk and sends it to the device while the device computes on the last one.
"""

import functools
import hashlib
import queue
import threading
from collections.abc import Callable, Generator, Iterable
from typing import Any, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike

from jxent.regression import _arguments, _checkpoint
from jxent.regression._mesh import Layout
from jxent.regression._model import Params
from jxent.regression.solvers import Data
from jxent.regression.solvers import objective as ob
from jxent.regression.solvers.objective import Coordinates
from jxent.regression.stream import sources
from jxent.regression.stream.sources import Chunk, Source, Survey

T = TypeVar("T")
S = TypeVar("S")

# Bytes of the sample of rows for the preconditioner.
SAMPLE = 32 << 20
# Chunks in the queue; one more is being read, and one is in use.
WAITING = 1


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
        return self.ahead(self.complete(self.source.chunks(self.size)), self.size)

    def complete(self, chunks: Iterable[Chunk]) -> Generator[Chunk]:
        """The chunks of a pass, and an error at its end if it had not as many rows as the first."""
        rows = 0
        for chunk in chunks:
            rows += len(chunk.x)
            yield chunk
        if rows != self.survey.rows:
            raise ValueError(
                f"fit(): `x` gave {rows} rows in a pass and {self.survey.rows} in the first; give a source that starts "
                f"again and holds the same rows each time it is read"
            )

    def ahead(self, chunks: Iterable[Chunk], size: int) -> Generator[Data]:
        """The chunks on the device, prefetched and padded to `size` rows."""
        return read_ahead(chunks, functools.partial(self.to_device, size=size))

    def to_device(self, chunk: Chunk, size: int) -> Data:
        """A chunk on the device, padded to `size` rows."""
        x, targets, weights = chunk.filled(size)
        # Integers are sent unconverted, which takes fewer bytes; the device converts them.
        x = x if x.dtype.kind in "iub" and x.dtype.itemsize <= 4 else x.astype(self.dtype, copy=False)
        targets = targets.astype(np.int32 if targets.ndim == 1 else self.dtype, copy=False)
        data = Data(*map(np.ascontiguousarray, (x, targets, weights.astype(self.dtype, copy=False))))
        return jax.device_put(data) if self.layout is None else self.layout.placed(data)

    def coordinates(self, *, standardize: bool) -> Coordinates:
        """Centre and scale of the features."""
        mean, deviation = self.survey.mean, np.sqrt(self.survey.variance)
        varies = ob.differs(deviation, mean, self.dtype)
        scale = jnp.asarray(np.where(varies, deviation, 1.0), self.dtype) if standardize else None
        return ob.extended(jnp.asarray(mean, self.dtype), scale, jnp.asarray(varies))

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


def read(
    x: Any,
    labels: Any,
    sample_weight: Any,
    class_weight: _arguments.ClassWeight,
    *,
    num_classes: int | None,
    chunk_size: int | None,
    params: Params | None,
    layout: Layout | None,
    digested: bool,
) -> Reader:
    """The reader of a source, after one pass over all rows."""
    dtype = sources.dtype_of(x, params)
    if num_classes is not None:
        _arguments.integer("num_classes", num_classes, 2, None)
    if chunk_size is not None:
        _arguments.integer("chunk_size", chunk_size, 1, None)
    in_memory = None
    if labels is not None:
        shape = (_rows(x), 1)
        data, classes = _arguments.labels_and_weights(shape, labels, sample_weight, num_classes, class_weight, dtype)
        in_memory = (np.asarray(data[0]), np.asarray(data[1]))
    elif sample_weight is not None or class_weight is not None:
        raise ValueError("fit(): sample_weight= and class_weight= need `labels` beside the source")
    elif num_classes is None:
        raise ValueError("fit(): a source that holds its own labels needs num_classes=")
    else:
        classes = num_classes
    features = x.shape[1] if len(getattr(x, "shape", ())) == 2 else 1024
    size = chunk_size or sources.chunk_rows(features, classes, jnp.dtype(dtype).itemsize)
    source = sources.source(x, in_memory, size)
    hashes = [hashlib.sha256() for _ in Chunk._fields]

    def add(chunk: Chunk) -> None:
        for sha, part in zip(hashes, chunk, strict=True):
            _checkpoint.add_bytes(sha, part)

    survey = sources.survey(source, classes, add if digested else None)
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


def read_ahead(items: Iterable[T], send: Callable[[T], S]) -> Generator[S]:
    """`send(item)` of every item in order, computed ahead of its use in another thread."""
    ready: queue.Queue[tuple[bool, Any]] = queue.Queue(WAITING)
    stopped = threading.Event()
    # `jax.enable_x64` holds for one thread: pass its value on.
    wide = jnp.zeros(()).dtype == jnp.float64

    def offer(last: bool, value: Any) -> bool:  # noqa: FBT001
        while not stopped.is_set():
            try:
                ready.put((last, value), timeout=0.1)
            except queue.Full:
                continue
            return True
        return False

    def work() -> None:
        try:
            with jax.enable_x64(wide):
                for item in items:
                    if not offer(False, send(item)):  # noqa: FBT003
                        return
            offer(True, None)  # noqa: FBT003
        except BaseException as error:
            offer(True, error)  # noqa: FBT003

    thread = threading.Thread(target=work, name="jxent-read-ahead", daemon=True)
    thread.start()
    try:
        while True:
            last, value = ready.get()
            if last:
                if value is not None:
                    raise value
                return
            yield value
    finally:
        stopped.set()
        thread.join()
