"""Compiled programs: kept in the user's cache folder from one command to the next, and the time they take."""

import contextlib
import os
import sys
from collections.abc import Generator
from pathlib import Path


def keep() -> None:
    """Keep compiled programs in the user's cache folder, unless JAX has a folder already or is imported."""
    if "jax" in sys.modules or "JAX_COMPILATION_CACHE_DIR" in os.environ:
        return
    try:
        folder = user_cache() / "jxent" / "programs"
        folder.mkdir(parents=True, exist_ok=True)
    except (OSError, RuntimeError):  # a folder that cannot be written, or no home
        return
    os.environ["JAX_COMPILATION_CACHE_DIR"] = str(folder)
    # Small programs too: there are many of them.
    os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
    os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES", "-1")


def user_cache() -> Path:
    """The folder in which the system keeps what can be made again."""
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")


class Seconds:
    """Seconds that were spent on compiling."""

    total = 0.0

    def add(self, event: str, duration_secs: float, **kwargs: str | int) -> None:
        """Add the duration of an event of `jax.monitoring`."""
        del kwargs
        if event in ("/jax/core/compile/jaxpr_to_mlir_module_duration", "/jax/core/compile/backend_compile_duration"):
            self.total += duration_secs


@contextlib.contextmanager
def timed() -> Generator[Seconds]:
    """Count the seconds of compilation in a block."""
    import jax

    spent = Seconds()
    jax.monitoring.register_event_duration_secs_listener(spent.add)
    try:
        yield spent
    finally:
        jax.monitoring.unregister_event_duration_listener(spent.add)
