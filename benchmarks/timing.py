"""Interleaved timing: every program once per round, so that a drifting machine moves all of them."""

import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any

import jax


def interleaved(
    programs: Mapping[str, tuple[Callable[..., Any], tuple[Any, ...]]], rounds: int
) -> dict[str, list[float]]:
    """Seconds of each call, compiled and warmed up beforehand."""
    compiled = {name: (jax.jit(function), args) for name, (function, args) in programs.items()}
    for function, args in compiled.values():
        jax.block_until_ready(function(*args))
    seconds: dict[str, list[float]] = {name: [] for name in compiled}
    for _ in range(rounds):
        for name, (function, args) in compiled.items():
            start = time.perf_counter()
            jax.block_until_ready(function(*args))
            seconds[name].append(time.perf_counter() - start)
    return seconds


def ratio(seconds: dict[str, list[float]], name: str, over: str) -> float:
    """Ratio of the medians."""
    return statistics.median(seconds[name]) / statistics.median(seconds[over])
