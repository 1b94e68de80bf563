"""Interleaved timing: every program once per round, so that a drifting machine moves all of them."""

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax

# A function and its arguments.
Call = tuple[Callable[..., Any], tuple[Any, ...]]

# Seconds that a program runs untimed before each timed run.
SETTLE = 0.06


def interleaved(programs: Mapping[str, Sequence[Call]], rounds: int) -> dict[str, list[float]]:
    """Seconds of each program, its calls one after the other, compiled and warmed up beforehand."""
    compiled = {name: [(jax.jit(function), args) for function, args in calls] for name, calls in programs.items()}
    seconds: dict[str, list[float]] = {name: [] for name in compiled}
    for _ in range(rounds):
        for name, calls in compiled.items():
            _settle(calls)
            start = time.perf_counter()
            _run(calls)
            seconds[name].append(time.perf_counter() - start)
    return seconds


def _run(calls: Sequence[Call]) -> None:
    for function, args in calls:
        jax.block_until_ready(function(*args))


def _settle(calls: Sequence[Call]) -> None:
    """Run until what the program before left behind is over.

    Temporaries that the system takes back cost the calls after it, for some 30 ms, half of their time again.
    """
    begin = time.perf_counter()
    while True:
        _run(calls)
        if time.perf_counter() - begin > SETTLE:
            return


def ratio(seconds: dict[str, list[float]], name: str, over: str) -> float:
    """Ratio of the medians."""
    return statistics.median(seconds[name]) / statistics.median(seconds[over])
