"""The grid: everyday shapes, near and far rows, value and value with gradient, each beside the plain formula.

Ratios are plain time over ours, from interleaved medians: above 1 the package is the faster one. Compile times are
CPU seconds of lowering and compiling, ours over plain.
"""

import functools
import itertools
import math
import statistics
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax.scipy.special import entr, rel_entr

from jxent import logits, losses, probs

Function = Callable[..., jax.Array]

SHAPES = (
    (32, 10),
    (1024, 10),
    (1_000_000, 10),
    (1000, 100),
    (128, 1000),
    (2048, 1003),
    (20_000, 1000),
    (1024, 32_000),
    (64, 128_256),
)
# Shapes that are measured a second time as a batch under `vmap`.
MAPPED = ((1000, 100), (2048, 1003))
# Standard deviation of what near rows differ by, in logits.
NOISE = 0.1


def _plain_js(p: jax.Array, q: jax.Array) -> jax.Array:
    m = 0.5 * (p + q)
    return 0.5 * (rel_entr(p, m).sum(-1) + rel_entr(q, m).sum(-1))


def _plain_logits_entropy(z: jax.Array) -> jax.Array:
    log_p = jax.nn.log_softmax(z)
    return -(jnp.exp(log_p) * log_p).sum(-1)


def _plain_logits_kl(a: jax.Array, b: jax.Array) -> jax.Array:
    log_p, log_q = jax.nn.log_softmax(a), jax.nn.log_softmax(b)
    return optax.losses.kl_divergence_with_log_targets(log_q, log_p)


class Measure(NamedTuple):
    """A function of the package beside its plain formula."""

    name: str
    ours: Function
    plain: Function
    inputs: str  # letters of `data`: p, q probabilities, a, b logits, y labels, t soft targets

    @property
    def is_pair(self) -> bool:
        """Whether rows can be near or far."""
        return self.inputs in ("pq", "ab")


MEASURES = (
    Measure("probs.entropy", probs.entropy, lambda p: entr(p).sum(-1), "p"),
    Measure("probs.kl_divergence", probs.kl_divergence, lambda p, q: rel_entr(p, q).sum(-1), "pq"),
    Measure("probs.jensen_shannon_divergence", probs.jensen_shannon_divergence, _plain_js, "pq"),
    Measure("logits.entropy", logits.entropy, _plain_logits_entropy, "a"),
    Measure("logits.kl_divergence", logits.kl_divergence, _plain_logits_kl, "ab"),
    Measure(
        "integer-label loss",
        losses.softmax_cross_entropy_with_integer_labels,
        optax.losses.softmax_cross_entropy_with_integer_labels,
        "ay",
    ),
    Measure("dense-target loss", losses.softmax_cross_entropy, optax.losses.softmax_cross_entropy, "at"),
)


def data(shape: tuple[int, int], *, near: bool) -> dict[str, jax.Array]:
    """Standard normal logits, their softmax and uniform labels; near rows are the same logits and some noise."""
    keys = jax.random.split(jax.random.key(0), 4)
    a, b, c = (jax.random.normal(k, shape, jnp.float32) for k in keys[:3])
    b = a + NOISE * b if near else b
    labels = jax.random.randint(keys[3], shape[:1], 0, shape[1])
    return {"a": a, "b": b, "p": jax.nn.softmax(a), "q": jax.nn.softmax(b), "y": labels, "t": jax.nn.softmax(c)}


def value_and_gradient(function: Function, inputs: str) -> Callable[..., Any]:
    """Value and gradient of the mean over the rows, in all arguments that are not labels."""
    floats = tuple(i for i, name in enumerate(inputs) if name != "y")
    return jax.value_and_grad(lambda *args: jnp.mean(function(*args)), floats)


class Cell(NamedTuple):
    """One entry of the grid."""

    measure: str
    shape: tuple[int, ...]
    rows: str  # "near", "far", or "" where there is one operand
    mode: str  # "value" or "gradient"
    mapped: bool
    milliseconds: float
    speed: float  # plain over ours
    compile: float  # ours over plain


def cells(measures: Sequence[Measure], shapes: Sequence[tuple[int, int]], rounds: int) -> Iterator[Cell]:
    """Measure every cell, one after the other."""
    layouts = [(shape, False) for shape in shapes] + [(shape, True) for shape in shapes if shape in MAPPED]
    for shape, mapped in layouts:
        for near in (False, True):
            arrays = data(shape, near=near)
            for measure in measures:
                if near and not measure.is_pair:
                    continue
                args = tuple(arrays[name] for name in measure.inputs)
                kind = ("near" if near else "far") if measure.is_pair else ""
                for mode in ("value", "gradient"):
                    yield _cell(measure, shape, kind, mode, mapped, args, rounds)


def _cell(
    measure: Measure,
    shape: tuple[int, int],
    kind: str,
    mode: str,
    mapped: bool,  # noqa: FBT001
    args: tuple[jax.Array, ...],
    rounds: int,
) -> Cell:
    functions = [jax.vmap(f) if mapped else f for f in (measure.ours, measure.plain)]
    if mode == "gradient":
        functions = [value_and_gradient(f, measure.inputs) for f in functions]
    compiled: list[Any] = [None, None]
    compile_seconds: list[list[float]] = [[], []]
    for _ in range(3):
        for i, function in enumerate(functions):
            seconds, compiled[i] = compile_cpu_seconds(function, args)
            compile_seconds[i].append(seconds)
    ours, plain = interleaved_medians(compiled, args, rounds)
    # The least of each: a busy machine only adds to what compiling takes.
    ratio = min(compile_seconds[0]) / min(compile_seconds[1])
    return Cell(measure.name, shape, kind, mode, mapped, 1e3 * ours, plain / ours, ratio)


def compile_cpu_seconds(function: Callable[..., Any], args: tuple[Any, ...]) -> tuple[float, Any]:
    """CPU seconds of tracing, lowering and compiling, by caches that hold nothing of it, and the program."""
    jax.clear_caches()
    start = time.process_time()
    program = jax.jit(lambda *args: function(*args)).lower(*args).compile()
    return time.process_time() - start, program


# Seconds that one timed sample lasts at least.
SAMPLE = 2e-3


def interleaved_medians(programs: Sequence[Callable[..., Any]], args: tuple[Any, ...], rounds: int) -> list[float]:
    """Median seconds of a call of each program, the programs in turn."""
    repeats = [max(1, round(SAMPLE / _seconds(program, args, 2))) for program in programs]
    samples: list[list[float]] = [[] for _ in programs]
    for _ in range(rounds):
        for sample, program, times in zip(samples, programs, repeats, strict=True):
            # Untimed: what the program before left in the caches and gave back to the system is over by then.
            jax.block_until_ready(program(*args))
            sample.append(_seconds(program, args, times))
    return [statistics.median(sample) for sample in samples]


def _seconds(program: Callable[..., Any], args: tuple[Any, ...], times: int) -> float:
    start = time.perf_counter()
    for _ in range(times):
        jax.block_until_ready(program(*args))
    return (time.perf_counter() - start) / times


def geometric_mean(values: Iterable[float]) -> float:
    """The mean of ratios; NaN of none."""
    logs = [math.log(v) for v in values]
    return math.exp(statistics.mean(logs)) if logs else math.nan


def table(cells: Sequence[Cell]) -> list[str]:
    """Speeds, and compile ratios behind the slash: a line for each function, kind of rows and mode."""
    columns = list(dict.fromkeys((c.shape, c.mapped) for c in cells))
    names = [f"{list(shape)}{' vmap' if mapped else ''}" for shape, mapped in columns]
    lines = [f"| plain time / ours; compile ours / plain | {' | '.join(names)} |", "|---" * (len(columns) + 1) + "|"]
    for (measure, rows, mode), group in _grouped(cells, lambda c: (c.measure, c.rows, c.mode)):
        by_column = {(c.shape, c.mapped): f"{c.speed:.2f}; {c.compile:.1f}" for c in group}
        head = " ".join(part for part in (measure, rows, "gradient" if mode == "gradient" else "") if part)
        lines.append(f"| {head} | {' | '.join(by_column.get(column, '') for column in columns)} |")
    return lines


def summary(cells: Sequence[Cell]) -> list[str]:
    """Geometric means and worst cells by mode, and the slowest near row beside its far one."""
    lines = ["| | speed, geometric mean | worst | compile, geometric mean | worst |", "|---|---|---|---|---|"]
    for mode, group in _grouped(cells, lambda c: c.mode):
        slow, late = min(group, key=lambda c: c.speed), max(group, key=lambda c: c.compile)
        speed, compiling = geometric_mean(c.speed for c in group), geometric_mean(c.compile for c in group)
        lines.append(
            f"| {mode} | {speed:.2f} | {slow.speed:.2f}, {slow.measure} {list(slow.shape)} | {compiling:.2f} | "
            f"{late.compile:.2f}, {late.measure} {list(late.shape)} |"
        )
    far = {(c.measure, c.shape, c.mode, c.mapped): c for c in cells if c.rows == "far"}
    near = [c for c in cells if c.rows == "near"]
    if near:
        ratios = [c.milliseconds / far[c.measure, c.shape, c.mode, c.mapped].milliseconds for c in near]
        ratio, cell = max(zip(ratios, near, strict=True))
        lines += [
            "",
            f"Near rows take at most {ratio:.2f} times as long as far ones: {cell.measure} {list(cell.shape)}.",
        ]
    return lines


def _grouped(cells: Sequence[Cell], key: Callable[[Cell], Any]) -> list[tuple[Any, list[Cell]]]:
    order = list(dict.fromkeys(key(c) for c in cells))
    found = sorted(cells, key=lambda c: order.index(key(c)))
    return [(k, list(group)) for k, group in itertools.groupby(found, key)]


# Rows that do not fit into a cache, as multiples of the sum over the same inputs, and what they may take.
LARGE = (50_000, 1000)
MULTIPLES = {
    "probs.entropy": 3.5,
    "integer-label loss": 3.5,
    "probs.kl_divergence": 5.0,
    "probs.jensen_shannon_divergence": 6.0,
    "logits.entropy": 5.0,
    "logits.kl_divergence": 7.0,
}


def table_of_large_rows(measures: Sequence[Measure], rounds: int) -> list[str]:
    """Values of large rows beside `jnp.sum` over their float inputs, in the same rounds."""
    arrays = data(LARGE, near=False)
    lines = [f"| {list(LARGE)} | ms | × jnp.sum | at most |", "|---|---|---|---|"]
    for measure in measures:
        if measure.name not in MULTIPLES:
            continue
        args = tuple(arrays[name] for name in measure.inputs)
        floats = [x for name, x in zip(measure.inputs, args, strict=True) if name != "y"]
        one = jax.jit(lambda x: jnp.sum(x, axis=-1)).lower(floats[0]).compile()
        programs = [jax.jit(measure.ours).lower(*args).compile(), functools.partial(_each, one, len(floats))]
        seconds, floor = interleaved_medians(programs, args, rounds)
        lines.append(f"| {measure.name} | {1e3 * seconds:.1f} | {seconds / floor:.2f} | {MULTIPLES[measure.name]} |")
    return lines


def _each(program: Callable[..., Any], count: int, *arrays: jax.Array) -> list[Any]:
    return [program(x) for x in arrays[:count]]


# Public calls whose first eager use is measured, each on a row and on a small batch.
FIRST_CALLS = ("probs.entropy", "probs.kl_divergence", "probs.jensen_shannon_divergence", "logits.entropy")
FIRST_SHAPES = ((5,), (1000, 100))


def table_of_first_calls(measures: Sequence[Measure]) -> list[str]:
    """CPU milliseconds of the first eager call, ours and plain, by empty caches."""
    lines = ["| first eager call, CPU ms | shape | ours | plain |", "|---|---|---|---|"]
    for measure in measures:
        if measure.name not in FIRST_CALLS:
            continue
        for shape in FIRST_SHAPES:
            arrays = data((math.prod(shape[:-1]), shape[-1]), near=False)
            args = tuple(arrays[name].reshape(shape) for name in measure.inputs)
            ours, plain = (1e3 * min(_first_call(f, args) for _ in range(3)) for f in (measure.ours, measure.plain))
            lines.append(f"| {measure.name} | {list(shape)} | {ours:.0f} | {plain:.0f} |")
    return lines


def _first_call(function: Callable[..., Any], args: tuple[Any, ...]) -> float:
    jax.clear_caches()
    start = time.process_time()
    jax.block_until_ready(function(*args))
    return time.process_time() - start
