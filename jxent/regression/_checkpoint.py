"""Checkpoints: a fit in parts, the state of the solver after each part, and the identity of the fit.

orbax writes a checkpoint under a temporary name and renames it when it is complete. A checkpoint also has a table of
the problem and a digest of the arrays, which detects damage on the disk. It consists of arrays and JSON: reading it
unpickles and executes nothing.
"""

import contextlib
import hashlib
import logging
import math
import os
import re
import warnings
from collections.abc import Generator, Iterable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from numpy.typing import NDArray

from jxent.regression._mesh import Layout
from jxent.regression._model import Params
from jxent.regression.solvers import Outcome, Progress, Solver, SolverInputs
from jxent.regression.solvers.optimizer import permissive

FORMAT = "jxent-fit-2"
# The default number of steps between checkpoints.
EVERY = 100
# The newest checkpoint, and the one before it in case the newest is damaged.
KEPT = 2
_TEMPORARY = "orbax-checkpoint-tmp"


def run(
    solver: Solver,
    inputs: SolverInputs,
    folder: str | os.PathLike[str],
    problem: dict[str, str],
    every: int,
    layout: Layout | None,
) -> Outcome:
    """Run a fit from its newest checkpoint, and save a checkpoint every `every` steps.

    The state goes through numpy arrays after each part, as it does on its way through the disk. A resumed fit therefore
    ends bit by bit as a fit without interruption.
    """
    store = Store(folder, problem)
    limits = {"max_steps": solver.max_steps, "tolerance": [float(t) for t in inputs.tolerance]}
    try:
        prepared = solver.prepare(inputs)
        newest = store.latest(jax.eval_shape(lambda inputs: solver.begin(inputs, prepared), inputs))
        at = _placed(solver.begin(inputs, prepared) if newest is None else newest.at, layout)
        going = newest is None or newest.ended != limits
        while going:
            stop = min(int(at.steps) + every, solver.max_steps)
            at = _placed(solver.advance(inputs, prepared, at, stop), layout)
            if not np.isfinite(np.asarray(at.history)[int(at.steps)]):
                break  # `fit` raises the error; the last checkpoint stays the last finite one.
            going = bool(at.going)
            store.save(at, None if going else limits)
        return solver.finish(inputs, prepared, at)
    finally:
        store.close()


def _placed(at: Progress, layout: Layout | None) -> Progress:
    """A copy of the state by way of numpy, every array replicated on all devices."""
    if layout is not None:
        at = layout.replicated(at)

    def through(leaf: Any) -> Any:
        if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
            return jax.random.wrap_key_data(
                jnp.asarray(np.asarray(jax.random.key_data(leaf))), impl=jax.random.key_impl(leaf)
            )
        # On several devices `replicated` places the numpy array, of which every process has all values.
        return jnp.asarray(np.asarray(leaf)) if layout is None else np.asarray(leaf)

    at = jax.tree.map(through, at)
    return at if layout is None else layout.replicated(at)


class CheckpointWarning(UserWarning):
    """A checkpoint is damaged; the fit resumes from an older one."""


class Restored(NamedTuple):
    """A restored state, and the limits under which the fit had ended there, or None."""

    at: Progress
    ended: dict[str, Any] | None


class Store:
    """The checkpoints of one problem in a folder."""

    def __init__(self, folder: str | os.PathLike[str], problem: dict[str, str]) -> None:
        self.folder = Path(folder).resolve()
        self.problem = problem
        self.ocp = _orbax()
        self._manager: Any = None
        self._damaged: dict[int, str] = {}

    def latest(self, like: Progress) -> Restored | None:
        """The newest complete checkpoint of this problem, or None in an empty folder; nothing is written."""
        steps = self._steps()
        if not steps:
            return None
        with _quiet(), self._opened(read_only=True) as manager:
            newest = next(filter(None, (self._tried(manager, step, like) for step in steps)), None)
        if newest is None:
            raise ValueError(
                f"fit(): no checkpoint in {str(self.folder)!r} can be read, of steps {', '.join(map(str, steps))} "
                f"({self._damaged[steps[0]]}); nothing there was changed: move the folder away to start anew"
            )
        if self._damaged:
            warnings.warn(
                f"fit(): the checkpoint of step {steps[0]} in {str(self.folder)!r} is damaged; going on from that of "
                f"step {int(newest.at.steps)} ({self._damaged[steps[0]]})",
                CheckpointWarning,
                stacklevel=4,
            )
        return newest

    def _tried(self, manager: Any, step: int, like: Progress) -> Restored | None:
        try:
            table = self._table(manager, step)
            self._compare(table)
            return self._restored(manager, step, like, table)
        except _Damaged as error:
            self._damaged[step] = str(error)
            return None

    def save(self, at: Progress, ended: dict[str, Any] | None) -> None:
        """Save the state of the fit; `ended` are the limits if the fit has ended, else None."""
        step = int(at.steps)
        packed = _packed(at, step)
        table = {
            "format": FORMAT,
            "problem": self.problem,
            "bytes": len(packed),
            "digest": digest([packed]),
            "ended": ended,
        }
        args = self.ocp.args
        with _quiet():
            if self._manager is None:
                self.folder.mkdir(parents=True, exist_ok=True)
                self._manager = self._opened(max_to_keep=KEPT, cleanup_tmp_directories=True)
            for old in self._manager.all_steps():
                # The same step exists when the limits have changed. A damaged one must not count towards KEPT.
                if old == step or old in self._damaged:
                    self._manager.delete(old)
            self._manager.save(
                step,
                args=args.Composite(state=args.StandardSave({"packed": packed}), table=args.JsonSave(table)),
                force=True,
            )

    def close(self) -> None:
        """Release the folder."""
        if self._manager is not None:
            self._manager.close()

    def _opened(self, **options: Any) -> Any:
        options |= {"enable_async_checkpointing": False, "save_root_metadata": False, "create": False}
        return self.ocp.CheckpointManager(self.folder, options=self.ocp.CheckpointManagerOptions(**options))

    def _steps(self) -> list[int]:
        """The steps in the folder, newest first; an error for a folder with other files."""
        if not self.folder.exists():
            return []
        if not self.folder.is_dir():
            raise ValueError(f"fit(): checkpoint={str(self.folder)!r} is a file, expected a folder")
        names = [entry.name for entry in self.folder.iterdir() if _TEMPORARY not in entry.name]
        strange = sorted(name for name in names if not (name.isascii() and name.isdigit()))
        if strange:
            raise ValueError(
                f"fit(): checkpoint={str(self.folder)!r} holds {strange[0]!r}, which no fit has put there; give a "
                f"folder of its own"
            )
        return sorted(map(int, names), reverse=True)

    def _table(self, manager: Any, step: int) -> dict[str, Any]:
        with _damage():
            table = manager.restore(step, args=self.ocp.args.Composite(table=self.ocp.args.JsonRestore()))["table"]
        if not isinstance(table, dict) or table.get("format") != FORMAT or not isinstance(table.get("problem"), dict):
            raise _Damaged(f"its table has not the format {FORMAT!r}")
        return table

    def _compare(self, table: dict[str, Any]) -> None:
        theirs: dict[str, Any] = table["problem"]
        differing = [name for name in self.problem if theirs.get(name) != self.problem[name]]
        if differing:
            differences = "; ".join(
                f"{name}: {theirs.get(name)} there, {self.problem[name]} here" for name in differing
            )
            raise ValueError(
                f"fit(): the checkpoint in {str(self.folder)!r} is of another problem ({differences}); nothing there "
                f"was changed: give the same data and options, or another folder"
            )

    def _restored(self, manager: Any, step: int, like: Progress, table: dict[str, Any]) -> Restored:
        size = table.get("bytes")
        if not isinstance(size, int) or size < 0:
            raise _Damaged("its table does not say how many bytes its arrays have")
        expected = {"packed": jax.ShapeDtypeStruct((size,), np.uint8)}
        with _damage():
            arrays = manager.restore(step, args=self.ocp.args.Composite(state=self.ocp.args.StandardRestore(expected)))
            packed = np.asarray(arrays["state"]["packed"])
        if packed.dtype != np.uint8 or digest([packed]) != table.get("digest"):
            raise _Damaged("its arrays do not have the digest that was written beside them")
        most = like.history.shape[0] - 1
        if step > most:
            raise ValueError(
                f"fit(): the checkpoint in {str(self.folder)!r} is of step {step}, beyond max_steps={most}; raise "
                f"max_steps or give another folder"
            )
        return Restored(_unpacked(like, step, packed), table.get("ended"))


class _Damaged(Exception):  # noqa: N818
    """The reason why a checkpoint cannot be used."""


@contextlib.contextmanager
def _damage() -> Generator[None]:
    """Turn any error of the file readers into `_Damaged`."""
    try:
        yield
    except Exception as error:
        lines = str(error).splitlines() or [""]
        raise _Damaged(f"{type(error).__name__}: {lines[0][:120]}") from error


@contextlib.contextmanager
def _quiet() -> Generator[None]:
    """Silence the log of orbax, and restore JAX's default promotion rules, which orbax needs."""
    logger = logging.getLogger("absl")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with (
            warnings.catch_warnings(),
            jax.numpy_dtype_promotion("standard"),
            jax.numpy_rank_promotion("allow"),
        ):
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(before)


def _orbax() -> Any:
    try:
        import orbax.checkpoint as ocp
    except ImportError as error:
        raise ImportError('checkpoint= needs orbax: pip install "jxent[train]"') from error
    return ocp


def _packed(at: Progress, step: int) -> NDArray[np.uint8]:
    """History and leaves of the state as one array of bytes, for one file and one digest.

    Of several arrays, of which one is damaged, orbax 0.12 leaves the reading of the others unfinished, with an error at
    the end of the process. Save the pytree when it does not.
    """
    parts = [np.asarray(at.history)[: step + 1], *map(_numbers, jax.tree.leaves(at.state))]
    return np.concatenate([np.ascontiguousarray(part).reshape(-1).view(np.uint8) for part in parts])


def _numbers(leaf: Any) -> NDArray[Any]:
    """A leaf as a numpy array; a random key as its key data."""
    return np.asarray(jax.random.key_data(leaf) if _is_key(leaf) else leaf)


def _is_key(leaf: Any) -> bool:
    return jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def _unpacked(like: Progress, step: int, packed: NDArray[np.uint8]) -> Progress:
    """The inverse of `_packed`, by the shapes and dtypes of `like`; the history is padded with zeros."""
    begin = 0

    def part(shape: tuple[int, ...], dtype: Any) -> NDArray[Any]:
        nonlocal begin
        size = math.prod(shape) * np.dtype(dtype).itemsize
        if begin + size > len(packed):
            raise _Damaged("its arrays are shorter than those of this fit")
        begin += size
        return packed[begin - size : begin].view(dtype).reshape(shape)

    def leaf(expected: Any) -> Any:
        if not _is_key(expected):
            return jnp.asarray(part(expected.shape, expected.dtype))
        kinds: list[Any] = []

        def numbers(key: Any) -> Any:
            kinds.append(jax.random.key_impl(key))
            return jax.random.key_data(key)

        of = jax.eval_shape(numbers, expected)
        return jax.random.wrap_key_data(jnp.asarray(part(of.shape, of.dtype)), impl=kinds[0])

    history = np.zeros(like.history.shape, like.history.dtype)
    history[: step + 1] = part((step + 1,), like.history.dtype)
    state = jax.tree.map(leaf, like.state)
    if begin != len(packed):
        raise _Damaged("its arrays are longer than those of this fit")
    return Progress(jnp.asarray(step, jnp.int32), jnp.ones((), bool), jnp.asarray(history), state)


# A jaxpr prints addresses of functions, which differ between processes.
_ADDRESS = re.compile(r"\b0x[0-9a-fA-F]+\b")


def digest(arrays: Iterable[Any]) -> str:
    """SHA-256 of the dtype, shape and bytes of arrays."""
    sha = hashlib.sha256()
    for array in arrays:
        add(sha, array)
    return sha.hexdigest()


def add(sha: Any, array: Any) -> None:
    """Add the dtype, shape and bytes of an array to a hash."""
    if jnp.issubdtype(array.dtype, jax.dtypes.prng_key):
        array = jax.random.key_data(array)
    plain = np.asarray(array)
    sha.update(f"{plain.dtype.str} {plain.shape} ".encode())
    add_bytes(sha, plain)


def add_bytes(sha: Any, array: Any) -> None:
    """Add the bytes of an array to a hash, without a copy if the array is contiguous."""
    sha.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)


def identity(
    inputs: SolverInputs,
    optimizer: str | optax.GradientTransformation,
    batch_size: int | None,
    data: str,
) -> dict[str, str]:
    """The table of objective, start and optimizer; `data` is the digest of features, labels and weights."""
    d, k = inputs.start.weights.shape
    return {
        "data": data[:16],
        "features": str(d),
        "classes": str(k),
        "dtype": inputs.start.weights.dtype.name,
        "l2": repr(float(inputs.l2)),
        "optimizer": optimizer if isinstance(optimizer, str) else _of_optimizer(optimizer, inputs.start),
        "batch size": "all rows" if batch_size is None else str(batch_size),
        "key": "none" if batch_size is None else digest([jax.random.key_data(inputs.key)])[:16],
        "start": digest(inputs.start)[:16],
        "l1": "0.0" if inputs.l1 is None else repr(float(inputs.l1)),
    }


def _of_optimizer(optimizer: optax.GradientTransformation, start: Params) -> str:
    """The state types and a digest of the update; adam(1e-3) and adam(1e-2) differ in the digest."""
    extended = permissive(optimizer)

    def square(params: Params) -> Any:
        return jnp.sum(jnp.square(params.weights)) + jnp.sum(jnp.square(params.bias))

    def update(params: Params) -> Any:
        value, grad = jax.value_and_grad(square)(params)
        state = extended.init(params)
        return extended.update(grad, state, params, value=value, grad=grad, value_fn=square)

    closed = jax.make_jaxpr(update)(start)
    text = _ADDRESS.sub("", str(closed.jaxpr)) + digest(closed.consts)
    structure = jax.tree.structure(jax.eval_shape(extended.init, start))
    names = re.findall(r"(\w+State)\(", _ADDRESS.sub("", str(structure)))
    return f"{'+'.join(names) or 'stateless'} {hashlib.sha256(text.encode()).hexdigest()[:16]}"
