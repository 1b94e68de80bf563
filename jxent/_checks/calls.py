"""`checked`: the same function with its values checked, eagerly, under `jax.jit` and under any transformation."""

import functools
import inspect
import re
from collections.abc import Callable, Mapping
from typing import Any, ParamSpec, TypeVar, cast

import jax
from jax.core import Tracer

from jxent._checks.values import knows, violation

P = ParamSpec("P")
R = TypeVar("R")

# Options that are numbers without being values to check.
STATIC = frozenset(
    {
        *("axis", "base", "ignore_label", "block_size", "num_classes", "method", "slope_at_infinity"),
        *("k", "history", "standardize"),
        *("x", "y", "of", "given", "variables", "table"),
    }
)
# Part of the key of every compilation: a function that was compiled without its checks is compiled again.
checking = jax.make_user_context(False)  # noqa: FBT003


def checked(function: Callable[P, R]) -> Callable[P, R]:
    """As `jxent.checked`, where it is documented."""

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            with checking(True):  # noqa: FBT003
                result = function(*args, **kwargs)
            if not any(isinstance(leaf, Tracer) for leaf in jax.tree.leaves((result, args, kwargs))):
                jax.block_until_ready(result)
                jax.effects_barrier()
        except jax.errors.JaxRuntimeError as error:
            found = re.findall(
                r"ValueError: ((?:probs|logits|losses|linear|closed_form|calibration|counts|samples)\.\w+\(\): .*)",
                str(error),
            )
            if not found:
                raise
            # A GPU adds the name of the program.
            raise ValueError(found[-1].split(" [executable_name=")[0].strip()) from None
        return result

    return cast("Callable[P, R]", call)


def check_call(function: Callable[..., Any], operands: list[Any], options: Mapping[str, Any]) -> bool:
    """Check one call of a public function, now or, where it is traced, when it runs. Whether its room has rules."""
    room = function.__module__.split(".")[1]
    if not knows(room):
        return False
    bound = inspect.signature(function).bind(*operands, **options)
    bound.apply_defaults()
    # What names a variable elsewhere holds the features there.
    options_of = STATIC - {"linear": {"x"}, "counts": {"table"}, "samples": {"x", "y", "given"}}.get(room, set())
    arrays = {k: v for k, v in bound.arguments.items() if k not in options_of and _is_array(v)}
    static = {k: v for k, v in bound.arguments.items() if k not in arrays}

    def check(values: Mapping[str, Any]) -> None:
        message = violation(room, function.__name__, values, static)
        if message:
            raise ValueError(message)

    if any(isinstance(v, Tracer) for v in arrays.values()):
        jax.debug.callback(check, arrays)
    else:
        check(arrays)
    return True


def _is_array(value: Any) -> bool:
    return hasattr(value, "shape") or (isinstance(value, (int, float)) and not isinstance(value, bool))
