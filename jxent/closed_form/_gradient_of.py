"""`gradient_of`: from a formula of plain rows to a public function with the signature and options of its measure.

A closed form consists of its derivation, as a docstring, and its formula. The measure provides the rest: signature,
conversion, checks, broadcasting, masks, units, and the text on arguments and sources.
"""

import functools
import inspect
import re
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar, cast

import jax.numpy as jnp
from jaxtyping import Array

from jxent._checks import (
    as_float,
    category_axes,
    elementwise,
    log_base_factor,
    match_rows,
    participation,
    public,
    row_pairs,
)
from jxent.closed_form import _rows

P = ParamSpec("P")
Q = ParamSpec("Q")
R = TypeVar("R")
Slopes = Callable[..., Any]
Options = dict[str, Any]
# Evaluates slopes for the arguments of one call.
Evaluator = Callable[[Slopes, Options], Any]
OPERANDS = ("p", "q", "z", "zp", "zq", "logits", "predictions", "targets")
OF_ZERO, OF_IMPOSSIBLE = "at p = 0 the value at the smallest normal number.", "0 for classes at −inf."
ARRAY = "An array of the shape of `{0}`, for the sum of the values: a row depends on no other row."
TUPLE = "The gradients in `{0}` and in `{1}`, each of the shape of its argument, for the sum of the values."
# Lines of a measure's docstring: a closed form has no axis_name, and its keepdims changes nothing.
AXIS_NAME, KEEPDIMS = re.compile(r"\n    axis_name: .*(?:\n     +.*)*"), re.compile(r"(\n    keepdims: ).*")


def gradient_of(
    measure: Callable[P, Any], evaluator: Evaluator, example: str, edge: str
) -> Callable[[Callable[..., R]], Callable[P, R]]:
    """Make a public function from a function of slopes.

    Args:
        measure: the public function whose gradient it is.
        evaluator: evaluates the slopes from the arguments of a call.
        example: the arguments of the example in the docstring.
        edge: edge cases, where the docstring of the slopes has none.
    """
    signature = inspect.signature(inspect.unwrap(measure))
    # A closed form takes whole rows.
    parameters = [p for p in signature.parameters.values() if p.name != "axis_name"]
    signature = signature.replace(parameters=parameters)
    room = measure.__module__.split(".")[1]
    name = measure.__name__ if room == "losses" else f"{room}_{measure.__name__}"

    def decorate(slopes: Callable[..., R]) -> Callable[P, R]:
        def gradient(*args: P.args, **kwargs: P.kwargs) -> R:
            bound = signature.bind(*args, **kwargs)
            bound.apply_defaults()
            options = dict(bound.arguments)
            in_scaled = _scaled(options)
            result = evaluator(slopes, options)
            if not in_scaled:
                return result
            if isinstance(result, tuple):
                return cast("R", tuple(f(g) for f, g in zip(in_scaled, cast("tuple[Array, ...]", result), strict=True)))
            return in_scaled[0](result)

        returned = inspect.signature(slopes).return_annotation
        gradient.__signature__ = signature.replace(return_annotation=returned)  # pyright: ignore[reportFunctionMemberAccess]
        gradient.__name__ = gradient.__qualname__ = name
        gradient.__module__ = slopes.__module__
        names = list(signature.parameters)
        results = (TUPLE if "tuple" in str(returned) else ARRAY).format(*names[:2])
        call = f"closed_form.compare({room}.{measure.__name__}, closed_form.{name}, {example}).agrees"
        gradient.__doc__ = _text(measure, f"{room}.{measure.__name__}", slopes, results, edge, room, call)
        # An f-divergence takes a callable: each new callable would compile again.
        return public(compiled="generator" not in names)(gradient)

    return decorate


def _scaled(options: Options) -> list[Callable[..., Any]]:
    """Replace the logits by c·tanh(z/c)/T; with them, the functions from gradients there to gradients in the logits.

    By the chain rule (c·tanh(z/c)/T)′ = (1 − tanh²(z/c))/T = sech²(z/c)/T, written as 4/(e^(z/c) + e^(−z/c))²/T.
    """
    temperature, cap = options.pop("temperature", 1.0), options.pop("soft_cap", None)
    if cap is None and isinstance(temperature, float) and temperature == 1.0:
        return []

    def pulled(z: Array) -> Callable[..., Any]:
        z = jnp.where(jnp.isfinite(z), z, 0.0)
        slope = 1.0 if cap is None else 4.0 / (jnp.exp(z / cap) + jnp.exp(-z / cap)) ** 2
        return lambda gradient: gradient * (slope / temperature)

    names = [n for n in ("z", "zp", "zq", "logits") if n in options]
    found = [as_float(n, options[n]) for n in names]
    for name, z in zip(names, found, strict=True):
        capped = z if cap is None else cap * jnp.tanh(z / cap)
        options[name] = jnp.where(z == -jnp.inf, z, capped / temperature)
    return [pulled(z) for z in found]


def _text(measure: Slopes, title: str, slopes: Slopes, results: str, edge: str, room: str, call: str) -> str:
    """The docstring: the derivation, and around it the sections that the measure has on its arguments and source."""
    derivation, _, edges = (inspect.getdoc(slopes) or "").partition("Edge cases: ")
    sections = {
        block.partition(":")[0]: block for block in (inspect.getdoc(measure) or "").split("\n\n") if ":" in block
    }
    example = f"Example:\n    >>> from jxent import closed_form, {room}\n    >>> {call}\n    True"
    blocks = (
        f"Gradient of `{title}`.",
        derivation.strip(),
        AXIS_NAME.sub("", KEEPDIMS.sub(r"\1taken as in the measure; gradients keep their shape.", sections["Args"])),
        f"Returns:\n    {results} Masked elements get 0.",
        f"Edge cases: {edges or edge}",
        "Gradient: differentiable as the plain expression that it is.",
        example,
        sections["Reference"],
    )
    return "\n\n".join(blocks)


def _in_units(gradients: Any, shapes: list[tuple[int, ...]], base: float | None, power: float) -> Any:
    """Gradients in units of the base, summed over the axes along which their arguments were broadcast."""
    scale = log_base_factor(base) ** power
    if isinstance(gradients, tuple):
        pairs = zip(cast("tuple[Array, ...]", gradients), shapes, strict=True)
        return tuple(_rows.folded(g * scale, shape) for g, shape in pairs)
    return _rows.folded(gradients * scale, shapes[0])


def _of_rows(
    make: Callable[[Array, Array], _rows.Row], names: list[str], power: float, slopes: Slopes, options: Options
) -> Any:
    arrays = [as_float(name, options.pop(name)) for name in names]
    shapes, axis, base = [a.shape for a in arrays], options.pop("axis"), options.pop("base", None)
    if len(arrays) == 2:
        first, second, axes = match_rows((names[0], names[1]), arrays[0], arrays[1], axis)
        arrays = [first, second]
    else:
        axes = category_axes(names[0], arrays[0], axis)
    options.pop("keepdims", None)
    batch = _rows.Batch.of(arrays[0], options.pop("where"), (axes,))
    gradients = slopes(*(make(batch.rows(a), batch.part) for a in arrays), **options)
    several = isinstance(gradients, tuple)
    gradients = tuple(map(batch.gradient, gradients)) if several else batch.gradient(gradients)
    return _in_units(gradients, shapes, base, power)


def of_probabilities(
    measure: Callable[P, Any], *theta: str, edge: str = OF_ZERO, power: float = 1.0
) -> Callable[[Callable[..., R]], Callable[P, R]]:
    """From slopes in rows of probabilities; `theta` are further arguments in the example.

    `power` is the exponent of the factor from nats to units of `base`: ½ for a root, 0 for exp H.
    """
    names = [n for n in inspect.signature(measure).parameters if n in ("p", "q")]
    examples = ("[0.2, 0.3, 0.5]", "[0.6, 0.3, 0.1]")[: len(names)]
    evaluator = functools.partial(_of_rows, _rows.of_probabilities, names, power)
    return gradient_of(measure, evaluator, ", ".join((*examples, *theta)), edge)


def of_logits(
    measure: Callable[P, Any], *theta: str, edge: str = OF_IMPOSSIBLE, power: float = 1.0
) -> Callable[[Callable[..., R]], Callable[P, R]]:
    """From gradients in rows of logits; the function gets the softmax of each row. Else as `of_probabilities`."""
    names = [n for n in inspect.signature(measure).parameters if n in ("z", "zp", "zq")]
    examples = ("[2.0, 1.0, 0.0]", "[0.0, 0.5, 1.0]")[: len(names)]
    evaluator = functools.partial(_of_rows, _rows.of_logits, names, power)
    return gradient_of(measure, evaluator, ", ".join((*examples, *theta)), edge)


def through_softmax(slopes: Callable[..., R]) -> Callable[..., R]:
    """Gradients in logits from slopes in probabilities: with ∂pᵢ/∂zₖ = pᵢ(δᵢₖ − pₖ) they are pₖ(sₖ − Σ p·s)."""

    @functools.wraps(slopes)
    def gradients(*args: Any, **options: Any) -> Any:
        result = slopes(*args, **options)
        if isinstance(result, tuple):
            return tuple(row.pull(s) for row, s in zip(args, cast("tuple[Array, ...]", result), strict=True))
        return args[0].pull(result)

    derivation, _, _ = (inspect.getdoc(slopes) or "").partition("Edge cases: ")
    gradients.__doc__ = f"{derivation.strip()}\n\nThe gradient in the logits is pₖ(sₖ − Σ p·s) for the slopes s in p."
    return gradients


def in_both_rooms(
    of_probs: Callable[P, Any], of_rows_of_logits: Callable[Q, Any], slopes: Callable[..., R], **options: Any
) -> tuple[Callable[P, R], Callable[Q, R]]:
    """The closed forms in `probs` and `logits`, where the measure of logits is that of their softmax."""
    in_logits = of_logits(of_rows_of_logits, **options)(through_softmax(slopes))
    return of_probabilities(of_probs, **options)(slopes), in_logits


def of_elements(
    measure: Callable[P, Any], example: str, *, edge: str = "finite everywhere."
) -> Callable[[Callable[..., R]], Callable[P, R]]:
    """From slopes of elementwise functions, which keep the shape."""
    names = [n for n in inspect.signature(measure).parameters if n in OPERANDS]

    def evaluator(slopes: Slopes, options: Options) -> Any:
        operands = {name: options.pop(name) for name in names}
        shapes, base = [jnp.shape(x) for x in operands.values()], options.pop("base", None)
        arrays = elementwise(**operands)
        mask = participation(options.pop("where", None), arrays[0])
        gradients = slopes(*arrays, **options)
        if mask is not None:
            gradients = jnp.where(mask, gradients, 0.0)
        return _in_units(gradients, shapes, base, 1.0)

    return gradient_of(measure, evaluator, example, edge)


def of_pairs(measure: Callable[P, Any], rows: Callable[..., R], example: str) -> Callable[P, R]:
    """The pairwise form of a closed form of rows."""
    names = list(inspect.signature(measure).parameters)

    def evaluator(slopes: Slopes, options: Options) -> Any:
        first, second = row_pairs(names[0], options.pop(names[0]), names[1], options.pop(names[1]))
        return slopes(first[:, None], second[None, :], **options)

    def slopes(first: Array, second: Array, **options: Any) -> Any:
        in_first, in_second = cast("Any", rows(first, second, **options))
        return in_first[:, 0], in_second[0]

    of_rows = measure.__name__.removeprefix("pairwise_")
    slopes.__doc__ = (
        f"Of Σᵢⱼ D(pᵢ, qⱼ) over all pairs, D = `{of_rows}` of two rows: ∂/∂pᵢ = Σⱼ ∂D(pᵢ, qⱼ)/∂pᵢ, likewise in "
        f"q. Each summand is the closed form of `{of_rows}` on `[N, 1, K]` and `[1, M, K]`."
    )
    slopes.__annotations__["return"] = tuple[Array, Array]
    return gradient_of(measure, evaluator, example, f"as for the closed form of `{of_rows}`.")(slopes)
