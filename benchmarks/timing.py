"""Interleaved timing: every program once per round, so that a drifting machine moves all of them."""

import math
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax

# A function and its arguments.
Call = tuple[Callable[..., Any], tuple[Any, ...]]

# Seconds that a program runs untimed before each timed run.
SETTLE = 0.06
# Seconds of calls that an accelerator is given before it is waited for: each alone would be timed with its way there.
SPAN = 0.01


def interleaved(programs: Mapping[str, Sequence[Call]], rounds: int) -> dict[str, list[float]]:
    """Seconds of each program, its calls one after the other, compiled and warmed up beforehand."""
    compiled = {name: [(jax.jit(function), args) for function, args in calls] for name, calls in programs.items()}
    seconds: dict[str, list[float]] = {name: [] for name in compiled}
    timed = _on_host if jax.default_backend() == "cpu" else _on_accelerator
    for _ in range(rounds):
        for name, calls in compiled.items():
            seconds[name].append(timed(calls))
    return seconds


def _on_host(calls: Sequence[Call]) -> float:
    """One run, after as many as it takes until what the program before left behind is over.

    Temporaries that the system takes back cost the calls after it, for some 30 ms, half of their time again.
    """
    begin = time.perf_counter()
    while True:
        _run(calls)
        if time.perf_counter() - begin > SETTLE:
            break
    return _seconds(calls, 1)


def _on_accelerator(calls: Sequence[Call]) -> float:
    """The mean of as many runs as fill a span, waited for together."""
    _run(calls)
    return _seconds(calls, max(1, math.ceil(SPAN / _seconds(calls, 1))))


def _seconds(calls: Sequence[Call], times: int) -> float:
    start = time.perf_counter()
    if times == 1:
        _run(calls)
    else:
        found = None
        for _ in range(times):
            # One after the other in one queue: the last is done when all are.
            for function, args in calls:
                found = function(*args)
        jax.block_until_ready(found)
    return (time.perf_counter() - start) / times


def _run(calls: Sequence[Call]) -> None:
    for function, args in calls:
        jax.block_until_ready(function(*args))


def ratio(seconds: dict[str, list[float]], name: str, over: str) -> float:
    """Ratio of the medians."""
    return statistics.median(seconds[name]) / statistics.median(seconds[over])
