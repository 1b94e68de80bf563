"""The choice of the engine and of the size of its blocks."""

from typing import Literal

import jax

from jxent._checks import mesh_axis
from jxent._numerics.compiler import are_numbers, is_sharded
from jxent.linear._heads import MeshAxes, Operands

Engine = Literal["rows", "classes"]

# Classes in a block, a multiple of STEP: with two fifths of D + 1024 the loss and its gradient hold less than
# 12·N·(D + 1024) bytes in float32, and a Hessian product, which holds five such blocks, not much more.
STEP, MOST_CLASSES = 128, 4096
# Most rows in a block, for which two arrays over all classes are held; and fewest: below that, adding up the gradient
# of `w` once for each block costs more than computing the logits twice.
MOST_ROWS, FEWEST_ROWS = {"cpu": 192}, {"cpu": 64}
MOST_ON_ACCELERATOR = 8192
# Bytes of those two arrays on a CPU. An accelerator needs larger products: there they may take as much memory
# as the mean in float32, 12·N·D + 4·D·V + 12·256·V bytes, has beside the gradients that it returns.
BUDGET = 2**28


def check(block_size: int | None, axis_name: str | None) -> None:
    """Refuse a name that is no mesh axis, and a block size below 1."""
    mesh_axis(axis_name)
    if block_size is not None and (isinstance(block_size, bool) or not isinstance(block_size, int) or block_size < 1):
        raise ValueError(f"block_size={block_size!r} must be an int of at least 1, or None to pick by size")


def check_engine(engine: Engine | None, axis_name: MeshAxes) -> None:
    """Refuse the engine over rows where the classes are sharded."""
    if engine == "rows" and axis_name is not None:
        raise ValueError(f"engine='rows' needs all classes on each device, which {axis_name!r} shards: leave it out")


def class_block(block_size: int | None, o: Operands, share: int = 1) -> int:
    """Classes in a block; `share` divides it for measures that hold more arrays of that size."""
    widest = max(head.x.shape[-1] for head in o.heads)
    fit = 2 * (widest + 1024) // (5 * STEP) * STEP
    return min(block_size or max(STEP, min(fit, MOST_CLASSES) // share), o.classes)


def row_block(block_size: int | None, o: Operands) -> int:
    """Rows in a block."""
    if not are_numbers(o.head.x):
        raise ValueError(f"engine='rows' needs numbers of rows, and `x` has shape {o.head.x.shape}: take 'classes'")
    return max(1, min(block_size or _most_rows(o), o.head.x.shape[0]))


def _most_rows(o: Operands) -> int:
    classes, wide = o.classes, o.head.x.dtype.itemsize
    if jax.default_backend() in MOST_ROWS:
        return max(1, min(MOST_ROWS[jax.default_backend()], BUDGET // (2 * wide * classes)))
    # The two arrays: logits, and their gradient rounded to the dtype of the operands.
    narrow = o.head.w.dtype.itemsize
    held = (3 if narrow == wide else 2) * o.head.x.size + 768 * classes
    fit = held * wide // ((wide + narrow) * classes)
    return min(MOST_ON_ACCELERATOR, fit - fit % STEP)


def pick(engine: Engine | None, block_size: int | None, o: Operands, axis_name: MeshAxes) -> str:
    """The engine of the mean."""
    if engine is not None:
        return engine
    if axis_name is not None or block_size is not None or is_sharded(o.head.x) or is_sharded(o.head.w):
        return "classes"
    # Under `jax.export` the number of rows may be a symbol.
    if not are_numbers(o.head.x):
        return "classes"
    fewest = min(FEWEST_ROWS.get(jax.default_backend(), 1), o.head.x.size // max(o.head.x.shape[-1], 1))
    return "rows" if _most_rows(o) >= fewest else "classes"
