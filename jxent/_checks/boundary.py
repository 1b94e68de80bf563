"""The boundary of every public array function: conversion, option checks and compilation in one place."""

import functools
import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ParamSpec, TypeVar, cast

import jax
import numpy as np
from jax.core import Tracer

from jxent._checks.calls import check_call, checking

P = ParamSpec("P")
R = TypeVar("R")

# Where the numbers given as traced options lie, as closed intervals.
UNIT = (0.0, 1.0)
NON_NEGATIVE = (0.0, math.inf)
POSITIVE = (math.ulp(0.0), math.inf)
FINITE = (-1e300, 1e300)
SOFTMAX_OPTIONS = {"label_smoothing": UNIT, "z_loss": NON_NEGATIVE}

# Options that pick a program rather than enter the arithmetic. Everything else is traced.
STATIC_OPTIONS = (
    *("axis", "base", "keepdims", "ignore_label", "block_size", "axis_name", "normalizer", "k", "history"),
    *("x", "y", "of", "given", "variables", "table"),
)


def public(
    *,
    domain: Mapping[str, tuple[float, float]] | None = None,
    static: Sequence[str] = (),
    compiled: bool = True,
) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Compile a public function and guard its boundary, keeping its signature and types.

    Lists and Python numbers become arrays before `jax.jit` sees them (a list would otherwise be a
    pytree of scalars), static options become hashable, and a Python number outside its domain is a
    `ValueError`. `inline=True` lets the calls of one measure by another fuse into one program.

    Args:
        domain: closed interval for each traced option that a Python number can violate.
        static: further static options, beside those that every function shares.
        compiled: False for what takes a function of the caller's, of which every new one would compile.
    """

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        parameters = inspect.signature(function).parameters
        # What is called x in one function is an array, and names a variable in another.
        keyword = [n for n, p in parameters.items() if p.kind is inspect.Parameter.KEYWORD_ONLY]
        static_names = tuple(n for n in (*STATIC_OPTIONS, *static) if n in keyword or n in static)
        program = cast("Callable[..., R]", function)
        if compiled:
            program = jax.jit(function, static_argnames=static_names, inline=True)
        name = function.__name__
        positional = [n for n, p in parameters.items() if p.kind is not inspect.Parameter.KEYWORD_ONLY]

        @functools.wraps(function)
        def call(*args: P.args, **kwargs: P.kwargs) -> R:
            if len(args) > len(positional):
                raise TypeError(
                    f"{name}() takes {len(positional)} positional argument(s), {', '.join(positional)}, and got "
                    f"{len(args)}; options such as axis= are keyword-only"
                )
            operands = [
                static_option(name, n, a) if n in static_names else as_operand(name, n, a)
                for n, a in zip(positional, args, strict=False)
            ]
            for key, value in zip(positional, args, strict=False):
                if domain and key in domain:
                    check_domain(name, key, value, domain[key])
            options: dict[str, Any] = {}
            for key, value in kwargs.items():
                if key in static_names:
                    options[key] = static_option(name, key, value)
                else:
                    options[key] = as_operand(name, key, value)
                    if domain and key in domain:
                        check_domain(name, key, value, domain[key])
            if not checking.value:
                return program(*operands, **options)
            known = check_call(function, operands, options)
            # What a checked function calls in turn has nothing new to say.
            with checking(not known):
                return program(*operands, **options)

        return cast("Callable[P, R]", call)

    return decorate


def as_operand(function: str, argument: str, value: Any) -> Any:
    """Turn lists into arrays and refuse what holds no numbers; leave arrays, pytrees and `None` alone."""
    if argument == "generator":
        if not callable(value):
            raise TypeError(f"{function}(): `generator` is a {type(value).__name__}, expected a function f of p/q")
        return value
    if isinstance(value, (str, bytes, dict, set)):
        raise TypeError(f"{function}(): `{argument}` is a {type(value).__name__}, expected an array or numbers")
    if argument == "params" and not hasattr(value, "_fields"):
        raise TypeError(
            f"{function}(): `params` is a {type(value).__name__}, expected regression.Params(weights [D, K], bias [K])"
        )
    if isinstance(value, (list, tuple)) and not hasattr(value, "_fields"):
        try:
            by_jax = any(isinstance(leaf, jax.Array) for leaf in jax.tree.leaves(value))
            value = jax.numpy.asarray(value) if by_jax else np.asarray(value)
        except ValueError as error:
            raise TypeError(
                f"{function}(): `{argument}` is a ragged {type(value).__name__}; every row must have the same "
                f"length ({error})"
            ) from None
    if argument == "labels" and isinstance(value, np.ndarray):
        value = saturated(cast("Any", value))
    if isinstance(value, np.ndarray) and value.dtype in (np.int64, np.uint64):
        value = unwrapped(cast("Any", value))
    # Kind "V" holds the extended floats, such as bfloat16.
    if isinstance(value, np.ndarray) and value.dtype.kind not in "biufV":
        fix = f"convert it with np.asarray({argument}, dtype=float)"
        if value.dtype.kind in "UST":
            fix = f"np.unique({argument}, return_inverse=True)[1] numbers words"
        raise TypeError(f"{function}(): `{argument}` has dtype {value.dtype}, expected real numbers; {fix}")
    return cast("Any", value)


def saturated(labels: Any) -> Any:
    """Class ids of 64 bits within 32, where JAX would wrap them: what is out of range stays out of range."""
    if labels.dtype not in (np.int64, np.uint64) or jax.numpy.result_type(int) == np.int64:
        return labels
    limits = np.iinfo(np.int32)
    return np.clip(labels, limits.min if labels.dtype == np.int64 else 0, limits.max)


def unwrapped(whole: Any) -> Any:
    """Integers of 64 bits as floats where JAX would wrap some of them to 32."""
    if jax.numpy.result_type(int) == np.int64 or whole.size == 0:
        return whole
    limits = np.iinfo(np.int32)
    fits = limits.min <= whole.min() and whole.max() <= limits.max
    return whole if fits else whole.astype(np.float32)


def static_option(function: str, key: str, value: Any) -> Any:
    """Make a static option hashable and of one Python type, so that equal options share a program."""
    if isinstance(value, (list, tuple)):
        value = tuple(static_option(function, key, v) for v in cast("list[Any]", value))
    if isinstance(value, Tracer):
        raise TypeError(
            f"{function}(): `{key}` is a traced value, but it picks the program that is compiled; pass a "
            f"Python value, or name it in static_argnames of the jit around this call"
        )
    if isinstance(value, (np.generic, np.ndarray, jax.Array)) and np.ndim(value) == 0:
        value = np.asarray(value).item()
    if key == "base" and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    try:
        hash(value)
    except TypeError:
        raise TypeError(f"{function}(): `{key}` is a {type(value).__name__}, expected a Python value") from None
    return value


def check_domain(function: str, key: str, value: Any, interval: tuple[float, float]) -> None:
    """Refuse a Python number outside its closed interval; arrays are left to the function."""
    low, high = interval
    number = isinstance(value, (bool, int, float, np.generic)) and not np.iscomplexobj(value)
    if number and not low <= float(value) <= high:
        expected = "a number > 0" if low == POSITIVE[0] else f"a number in [{low:g}, {high:g}]"
        raise ValueError(f"{function}(): `{key}` is {value}, expected {expected}")


def is_traced(*values: Any) -> bool:
    """Whether any of the values is under a caller's trace, so that its entries cannot be looked at."""
    return any(isinstance(value, Tracer) for value in values)
