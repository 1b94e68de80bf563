"""`checked`: the same function with its values checked, eagerly, under `jax.jit` and under any transformation."""

import functools
import inspect
import logging
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ParamSpec, TypeVar, cast

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from jxent._checks.domains import Call, Domain, Role, UndecidableError

P = ParamSpec("P")
R = TypeVar("R")

# Part of the key of every compilation: a function that was compiled without its checks is compiled again.
checking = jax.make_user_context(False)  # noqa: FBT003


class ViolationError(ValueError):
    """Values outside the domain of an argument."""


class _Quiet(logging.Filter):
    """Keeps JAX from logging the traceback of a violation in a callback, which `checked` raises by itself.

    JAX logs every exception of a `jax.debug.callback` before it raises it; delete when that can be switched off.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        return not (record.exc_info and isinstance(record.exc_info[1], ViolationError))


logging.getLogger("jax._src.debugging").addFilter(_Quiet())


def checked(function: Callable[P, R]) -> Callable[P, R]:
    """The implementation of `jxent.checked`, which has the documentation."""

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            with checking(True):  # noqa: FBT003
                result = function(*args, **kwargs)
            if not any(isinstance(leaf, Tracer) for leaf in jax.tree.leaves((result, args, kwargs))):
                jax.block_until_ready(result)
                jax.effects_barrier()
        except jax.errors.JaxRuntimeError as error:
            messages = re.findall(r"ViolationError: (.*)", str(error))
            if not messages:
                raise
            # A GPU adds the name of the program.
            raise ValueError(messages[-1].split(" [executable_name=")[0].strip()) from None
        except ViolationError as error:
            raise ValueError(str(error)) from None
        return result

    return cast("Callable[P, R]", call)


def check_call(
    function: Callable[..., Any],
    roles: Mapping[str, Domain | Role],
    operands: Sequence[Any],
    options: Mapping[str, Any],
) -> None:
    """Check one call of a public function: at once, or at run time if its arguments are traced."""
    bound = inspect.signature(function).bind(*operands, **options)
    bound.apply_defaults()
    domains = {n: d for n, d in roles.items() if isinstance(d, Domain)}
    arrays = {n: v for n, v in bound.arguments.items() if n in domains}
    for name, domain in list(domains.items()):
        for key, inner in domain.fields.items():
            domains[f"{name}.{key}"], arrays[f"{name}.{key}"] = inner, getattr(arrays[name], key)
    arrays = {n: v for n, v in arrays.items() if _is_array(v)}
    static = {n: v for n, v in bound.arguments.items() if n not in domains}
    if any(static.get(n) is not None for n, role in roles.items() if role is Role.MESH_AXIS):
        # A device that raises leaves the others waiting in their next sum.
        return
    title = f"{function.__module__.split('.')[1]}.{function.__name__}()"

    def check(values: Mapping[str, Any]) -> None:
        call = Call({n: np.asarray(v) for n, v in values.items()}, static, {**roles, **domains})
        for name, value in call.values.items():
            rule = domains[name].check
            try:
                message = None if rule is None else rule(value, call)
            except UndecidableError:
                message = None
            if message:
                raise ViolationError(f"{title}: `{name}` {message}")

    if any(isinstance(v, Tracer) for v in arrays.values()):
        jax.debug.callback(check, arrays)
    else:
        check(arrays)


def _is_array(value: Any) -> bool:
    if isinstance(value, jax.Array) and jnp.issubdtype(value.dtype, jax.dtypes.prng_key):
        return False
    return hasattr(value, "shape") or (isinstance(value, (int, float)) and not isinstance(value, bool))
