"""Prefetching: a thread reads the next chunk and sends it to the device while the device computes on the last one."""

import queue
import threading
from collections.abc import Callable, Generator, Iterable
from typing import Any, TypeVar

import jax
import jax.numpy as jnp

T = TypeVar("T")
S = TypeVar("S")

# Chunks in the queue; one more is being read, and one is in use.
WAITING = 1


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
