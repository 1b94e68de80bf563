"""The boundary of every public array function: conversion, checks of options and compilation in one place."""

import functools
import inspect
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar, cast, overload

import jax
import numpy as np
from jax.core import Tracer

from jxent._checks.calls import check_call, checking
from jxent._checks.domains import Domain, Shown, choices, declared, interval_message, is_optional
from jxent._checks.text import completed

P = ParamSpec("P")
R = TypeVar("R")


@overload
def public(function: Callable[P, R]) -> Callable[P, R]: ...
@overload
def public(*, compiled: bool = True) -> Callable[[Callable[P, R]], Callable[P, R]]: ...
def public(function: Callable[..., Any] | None = None, *, compiled: bool = True) -> Any:
    """Compile a public function and guard its boundary, keeping its signature and types.

    The annotations declare the domains of arguments (`jxent._checks.domains`). An argument with a domain is traced:
    lists, frames and Python numbers become arrays before `jax.jit` sees them (a list would otherwise be a pytree of
    scalars), and a Python number outside its interval is a `ValueError`. An argument without a domain is static and
    becomes hashable. `inline=True` lets the call of one measure by another fuse into one program.

    Args:
        function: the function.
        compiled: False for a function with a callable as argument: each new callable would compile again.
    """
    if function is None:
        return functools.partial(public, compiled=compiled)
    raw = function
    signature = inspect.signature(raw)
    parameters = signature.parameters
    roles = {n: d for n, p in parameters.items() if (d := declared(p.annotation)) is not None}
    optional = {n for n, p in parameters.items() if is_optional(p.annotation)}
    listed = {n: c for n, p in parameters.items() if (c := choices(p.annotation))}
    domains = {n: d for n, d in roles.items() if isinstance(d, Domain)}
    program: Callable[..., Any] = raw
    if compiled:
        static = tuple(n for n in parameters if n not in domains)
        program = cast("Callable[..., Any]", jax.jit(raw, static_argnames=static, inline=True))
    name = raw.__name__
    positional = [n for n, p in parameters.items() if p.kind is not inspect.Parameter.KEYWORD_ONLY]

    def converted(key: str, value: Any) -> Any:
        domain = domains.get(key)
        if domain is None:
            option = static_option(name, key, value)
            if key in listed and option not in listed[key]:
                expected = ", ".join(str(choice) for choice in listed[key])
                raise ValueError(f"{name}(): {key}={option!r} is not known; expected one of {expected}")
            return option
        if value is None and key not in optional:
            raise TypeError(f"{name}(): `{key}` is None, expected an array or numbers")
        if domain.interval is not None:
            message = interval_message(value, domain.interval)
            if message:
                raise ValueError(f"{name}(): `{key}` {message}")
        return domain.convert(name, key, value)

    @functools.wraps(raw)
    def call(*args: Any, **kwargs: Any) -> Any:
        if len(args) > len(positional):
            raise TypeError(
                f"{name}() takes {len(positional)} positional argument(s), {', '.join(positional)}, and got "
                f"{len(args)}; options such as axis= are keyword-only"
            )
        operands = [converted(key, value) for key, value in zip(positional, args, strict=False)]
        options = {key: converted(key, value) for key, value in kwargs.items()}
        if not checking.value:
            return program(*operands, **options)
        check_call(raw, roles, operands, options)
        # The values are checked: the inner calls of the function need no check.
        with checking(False):  # noqa: FBT003
            return program(*operands, **options)

    call.__doc__ = completed(inspect.cleandoc(raw.__doc__ or ""), signature, roles)
    shown = [p.replace(annotation=Shown(p.annotation)) for p in parameters.values()]
    returned = Shown(signature.return_annotation)
    call.__signature__ = signature.replace(parameters=shown, return_annotation=returned)  # pyright: ignore[reportAttributeAccessIssue]
    return call


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
    # An int and the float of its value are one program.
    if key == "base" and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    try:
        hash(value)
    except TypeError:
        raise TypeError(f"{function}(): `{key}` is a {type(value).__name__}, expected a Python value") from None
    return value
