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
    """The same function with the values of its arguments checked, those of every jxent function that it calls.

    Values cannot raise inside a compiled program, so that a negative probability or a label out of range
    gives NaN or a number that means nothing. This finds where it came from.

    Args:
        function: any function that calls this package, compiled or not, transformed or not.

    Returns:
        A function of the same signature. Called eagerly it raises a plain `ValueError` naming function,
        argument, index and value. Where a caller traces it, the checks are callbacks to the host, and the same
        message arrives as JAX's runtime error. An index inside `jax.vmap` is that of one example.

    Edge cases: what `where` or `ignore_label` excludes may hold anything. Rows sum to 1 within 1e-4 in
    float32 and 1e-6 in float64. Checks cost a pass over the data and a trip to the host: for debugging.

    Gradient: that of the function.

    Example:
        >>> import jxent
        >>> from jxent import probs
        >>> jxent.checked(probs.entropy)([0.5, 0.6])
        Traceback (most recent call last):
        ...
        ValueError: probs.entropy(): `p` at index (:) sums to 1.1, expected 1: ...

    Reference: the idea is that of `jax.experimental.checkify`, without its change of the returned value.
    """

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
            raise ValueError(found[-1].strip()) from None
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
