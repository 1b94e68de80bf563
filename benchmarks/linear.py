"""Loss and gradient of a linear classifier: time, temporary memory and error, against forms that hold the logits.

`python -m benchmarks.linear` measures the default sizes; `--rows N --features D --classes V --dtype bfloat16` another.
`--million` runs 2048 rows of 128 features over a million classes and prints the peak of the resident memory.
"""

import argparse
import importlib
import resource
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from benchmarks.__main__ import versions
from benchmarks.timing import interleaved, ratio
from jxent import linear

Arrays = tuple[Any, ...]


class Size(NamedTuple):
    """Rows, features, classes and the dtype of the operands."""

    rows: int
    features: int
    classes: int
    dtype: str = "float32"


SIZES = (Size(1024, 64, 16384), Size(1024, 256, 16384), Size(1024, 256, 16384, "bfloat16"))
SIZES_ON_ACCELERATOR = (
    Size(16384, 1024, 32768),
    Size(16384, 1024, 128256, "bfloat16"),
    Size(16384, 4096, 128256, "bfloat16"),
)
# Rows at a time of the reference in float64, whose logits are held.
REFERENCE_ROWS = 1024


def inputs(size: Size) -> Arrays:
    """Standard normal features, weights that give logits of about that size, uniform labels."""
    keys = jax.random.split(jax.random.key(0), 3)
    x = jax.random.normal(keys[0], (size.rows, size.features), jnp.float32)
    w = jax.random.normal(keys[1], (size.classes, size.features), jnp.float32) * size.features**-0.5
    labels = jax.random.randint(keys[2], (size.rows,), 0, size.classes)
    return x.astype(size.dtype), w.astype(size.dtype), labels


def with_gradient(function: Callable[..., Any]) -> Callable[..., Any]:
    """The mean loss and its gradient in features and weights."""
    return jax.value_and_grad(function, argnums=(0, 1))


def materialised(x: Any, w: Any, labels: Any) -> Any:
    """Optax over logits that are held."""
    z = jnp.einsum("nd,vd->nv", x, w, preferred_element_type=jnp.promote_types(x.dtype, jnp.float32))
    return optax.softmax_cross_entropy_with_integer_labels(z, labels).mean()


def by(engine: str | None, block_size: int | None = None) -> Callable[..., Any]:
    """The mean by an engine of this package."""
    return lambda x, w, t: linear.mean_softmax_cross_entropy(x, w, t, engine=engine, block_size=block_size)


def products(x: Any, w: Any, slope: Any) -> Any:
    """The three products of matrices that the gradient needs, and nothing else."""
    wide = jnp.promote_types(x.dtype, jnp.float32)
    return tuple(
        jnp.einsum(form, a, b, preferred_element_type=wide)
        for form, a, b in (("nd,vd->nv", x, w), ("nv,vd->nd", slope, w), ("nv,nd->vd", slope, x))
    )


def programs(size: Size) -> dict[str, tuple[Callable[..., Any], Arrays]]:
    """What is measured beside each other."""
    given = inputs(size)
    slope = jax.random.normal(jax.random.key(1), (size.rows, size.classes), jnp.float32).astype(size.dtype)
    found: dict[str, tuple[Callable[..., Any], Arrays]] = {
        "optax, logits held": (with_gradient(materialised), given),
        "three bare products": (products, (*given[:2], slope)),
        "linear, mean": (with_gradient(by(None)), given),
        "linear, mean, engine classes": (with_gradient(by("classes")), given),
    }
    if jax.default_backend() != "cpu":
        found["linear, mean, blocks of 2048 rows"] = with_gradient(by("rows", 2048)), given
    try:
        loss = importlib.import_module("tokamax").linear_softmax_cross_entropy_loss
    except ImportError:
        return found
    found["tokamax, xla"] = (
        with_gradient(lambda x, w, t: loss(x, t, w.T, reduction="mean", implementation="xla")),
        given,
    )
    return found


def reference(x: Any, w: Any, labels: Any) -> Any:
    """Mean and gradients in float64, of a portion of the rows after the other."""
    with jax.enable_x64(True):  # noqa: FBT003
        x, w = (jnp.asarray(a, jnp.float64) for a in (x, w))
        of = jax.jit(with_gradient(materialised))
        mean, in_w, in_x = jnp.zeros(()), jnp.zeros_like(w), []
        for start in range(0, len(x), REFERENCE_ROWS):
            some = slice(start, start + REFERENCE_ROWS)
            share = len(x[some]) / len(x)
            value, slopes = of(x[some], w, labels[some])
            mean, in_w = mean + share * value, in_w + share * slopes[1]
            in_x.append(share * slopes[0])
        return mean, (jnp.concatenate(in_x), in_w)


def error(found: Any, truth: Any) -> float:
    """The largest error in mean and gradients."""
    with jax.enable_x64(True):  # noqa: FBT003
        pairs = zip(jax.tree.leaves(found), jax.tree.leaves(truth), strict=True)
        return max(float(jnp.max(jnp.abs(jnp.asarray(a, jnp.float64) - b))) for a, b in pairs)


def torch_seconds(size: Size, rounds: int) -> tuple[float, Any] | None:
    """Median seconds of torch's cross_entropy over a product that is held, and its results; None without torch."""
    try:
        torch = importlib.import_module("torch")
    except ImportError:
        return None
    if jax.default_backend() != "cpu" and not torch.cuda.is_available():
        return None
    x, w, labels = (torch.from_dlpack(a).clone() for a in inputs(size))
    x, w, labels = x.requires_grad_(), w.requires_grad_(), labels.long()
    seconds: list[float] = []
    for _ in range(rounds + 1):
        x.grad = w.grad = None
        start = time.perf_counter()
        loss = torch.nn.functional.cross_entropy((x @ w.T).float(), labels)
        loss.backward()
        if x.is_cuda:
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - start)
    grads = tuple(jnp.from_dlpack(a.grad) for a in (x, w))
    return statistics.median(seconds[1:]), (loss.item(), grads)


def measure(size: Size, rounds: int) -> list[str]:
    """One table."""
    found = programs(size)
    seconds = interleaved({name: [call] for name, call in found.items()}, rounds)
    truth = reference(*inputs(size))
    work = 6 * size.rows * size.features * size.classes
    lines = [f"N = {size.rows}, D = {size.features}, V = {size.classes}, {size.dtype}", ""]
    lines += [
        "| | ms | × optax | × products | temporaries, MB | error | Gflop/s at 6NDV |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, (function, args) in found.items():
        middle = statistics.median(seconds[name])
        memory = jax.jit(function).lower(*args).compile().memory_analysis().temp_size_in_bytes
        off = "–" if name == "three bare products" else f"{error(jax.jit(function)(*args), truth):.1e}"
        over = [ratio(seconds, name, other) for other in ("optax, logits held", "three bare products")]
        lines.append(
            f"| {name} | {1e3 * middle:.1f} | {over[0]:.2f} | {over[1]:.2f} | {memory / 1e6:.0f} | {off} | "
            f"{work / middle / 1e9:.0f} |"
        )
    peer = torch_seconds(size, rounds)
    if peer:
        over = [peer[0] / statistics.median(seconds[n]) for n in ("optax, logits held", "three bare products")]
        lines.append(
            f"| torch, logits held | {1e3 * peer[0]:.1f} | {over[0]:.2f} | {over[1]:.2f} | – | "
            f"{error(peer[1], truth):.1e} | {work / peer[0] / 1e9:.0f} |"
        )
    return lines


def million() -> str:
    """A million classes."""
    rng = np.random.default_rng(0)
    # In place: what makes the numbers shall not count.
    x, w = np.empty((2048, 128), np.float32), np.empty((1_000_000, 128), np.float32)
    for array in (x, w):
        rng.standard_normal(out=array, dtype=np.float32)
    w *= np.float32(128**-0.5)
    labels = rng.integers(0, len(w), len(x), dtype=np.int32)
    x, w, labels = (jax.device_put(a, may_alias=True) for a in (x, w, labels))
    program = jax.jit(with_gradient(by(None)))
    jax.block_until_ready(program(x, w, labels))
    start = time.perf_counter()
    value, _ = jax.block_until_ready(program(x, w, labels))
    taken = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return f"2048 rows, 128 features, 1000000 classes: loss {float(value):.4f}, {taken:.1f} s, peak {peak / 1e9:.2f} GB"


def main() -> None:
    """Parse the command line, measure, print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.linear", description=__doc__)
    parser.add_argument("--rows", type=int, help="N")
    parser.add_argument("--features", type=int, default=256, help="D (256)")
    parser.add_argument("--classes", type=int, default=16384, help="V (16384)")
    parser.add_argument("--dtype", default="float32", choices=["float32", "bfloat16"])
    parser.add_argument("--rounds", type=int, default=20, help="interleaved rounds, of which the median counts (20)")
    parser.add_argument("--million", action="store_true", help="a million classes, and the peak of memory")
    options = parser.parse_args()
    del sys.argv[1:]  # tokamax reads the command line for flags of its own
    print(", ".join(f"{k} {v}" for k, v in versions().items()))
    if options.million:
        print(million())
        return
    one = Size(options.rows or 0, options.features, options.classes, options.dtype)
    sizes = SIZES if jax.default_backend() == "cpu" else SIZES_ON_ACCELERATOR
    for size in (one,) if options.rows else sizes:
        print("\n" + "\n".join(measure(size, options.rounds)), flush=True)


if __name__ == "__main__":
    main()
