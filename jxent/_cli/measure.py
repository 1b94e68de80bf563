"""`python -m jxent measure`."""

import argparse
import importlib
import inspect
import textwrap
from collections.abc import Callable
from difflib import get_close_matches
from typing import Any, NamedTuple

import jax
import numpy as np
from numpy.typing import NDArray

from jxent._checks import unit as unit_of
from jxent._cli import distributions, report
from jxent._cli.problems import UsageError, bad_input

_ROOMS = ("probs", "logits")
_OPERANDS = ("p", "q", "z", "zp", "zq")
_PARAMETERS = ("weight", "alpha", "order")


class Measure(NamedTuple):
    """A public function, the names of its distributions, and the names of its other parameters."""

    room: str
    name: str
    function: Callable[..., Any]
    operands: tuple[str, ...]
    options: tuple[str, ...]

    @property
    def full(self) -> str:
        """The name with its room, such as probs.entropy."""
        return f"{self.room}.{self.name}"

    @property
    def kind(self) -> distributions.Kind:
        """Whether each row must sum to 1, or the whole table, or nothing."""
        if "axis" in self.options or self.name.startswith("pairwise_"):
            return "rows"
        return "elements" if self.name.startswith(("binary_", "self_")) else "table"


def run(args: argparse.Namespace) -> int:
    """Compute one measure, or list all."""
    measures = {m.full: m for room in _ROOMS for m in _measures(room)}
    if args.list:
        print("\n".join(_described(m) for m in measures.values()))
        return 0
    if not args.arguments:
        raise UsageError("measure: found no name, expected one such as entropy; see measure --list")
    chosen = _find(args.arguments[0], measures)
    arrays = _operands(chosen, args)
    options = _options(chosen, args)
    checked = [
        distributions.check(a, name, room=chosen.room, kind=chosen.kind, normalize=args.normalize)
        for name, a in zip(chosen.operands, arrays, strict=True)
    ]
    # float64 here only: the flag of the process does not change.
    with bad_input(), jax.enable_x64(True):  # noqa: FBT003
        value = np.asarray(chosen.function(*checked, **options))
    print(_json(chosen, args.base, value) if args.json else _text(value))
    return 0


def _measures(room: str) -> list[Measure]:
    """The public functions of a room whose required parameters are distributions and numbers."""
    module = importlib.import_module(f"jxent.{room}")
    measures: list[Measure] = []
    for name in module.__all__:
        function = getattr(module, name)
        parameters = inspect.signature(function).parameters.values()
        needed = [p.name for p in parameters if p.default is p.empty]
        if set(needed) <= {*_OPERANDS, *_PARAMETERS}:
            operands = tuple(n for n in needed if n in _OPERANDS)
            options = tuple(p.name for p in parameters if p.name not in operands)
            measures.append(Measure(room, name, function, operands, options))
    return measures


def _described(measure: Measure) -> str:
    summary = (inspect.getdoc(measure.function) or "").partition("\n")[0]
    if len(measure.full) < 34:
        first = f"{measure.full:<34}"
        return textwrap.fill(first + summary, 80, subsequent_indent=" " * 36, break_on_hyphens=False)
    indent = " " * 36
    return f"{measure.full}\n" + textwrap.fill(summary, 80, initial_indent=indent, subsequent_indent=indent)


def _find(name: str, measures: dict[str, Measure]) -> Measure:
    full = name if "." in name else f"probs.{name}"
    if full in measures:
        return measures[full]
    close = get_close_matches(full, measures, n=3, cutoff=0.5)
    hint = f"the closest are {', '.join(close)}; " if close else ""
    raise UsageError(f"unknown measure {name!r}: {hint}python -m jxent measure --list shows all")


def _operands(measure: Measure, args: argparse.Namespace) -> list[NDArray[Any]]:
    """The distributions of the command line, in the order of the formula."""
    plain: list[str] = args.arguments[1:]
    named: list[tuple[str, list[str]]] = [(n, v) for n, v in (("p", args.p), ("q", args.q)) if v is not None]
    if plain and named:
        raise UsageError(f"measure: found {plain[0]!r} beside --{named[0][0]}, expected one or the other")
    two = len(measure.operands) == 2
    if named:
        groups = [tokens for _, tokens in named]
        if two and len(named) == 1:
            raise UsageError(f"measure: found --{named[0][0]} alone, but {measure.full} compares --p with --q")
        if not two and args.q is not None:
            raise UsageError(f"measure: found --q, but {measure.full} takes one distribution")
    elif distributions.are_numbers(plain):
        groups = [plain]
    else:
        groups = [[token] for token in plain]
    distributions.refuse_words(plain)
    if len(groups) != len(measure.operands) or not groups[0]:
        expected = (
            "two distributions: two files, or --p NUMBERS --q NUMBERS"
            if two
            else "one distribution: numbers or one .npy or .csv file"
        )
        raise UsageError(f"{measure.full}: expected {expected}")
    arrays = [
        distributions.read([t.strip() for t in tokens], name)
        for name, tokens in zip(measure.operands, groups, strict=True)
    ]
    if two and measure.kind == "rows" and sorted(a.ndim for a in arrays) == [1, 2]:
        arrays = [np.atleast_2d(a) for a in arrays]  # One distribution against every row of a file.
    return arrays


def _options(measure: Measure, args: argparse.Namespace) -> dict[str, float]:
    options = {name: getattr(args, name) for name in ("base", *_PARAMETERS)}
    arguments = {name: value for name, value in options.items() if value is not None}
    for name in arguments:
        if name not in measure.options:
            others = [f"--{other}" for other in _PARAMETERS if other in measure.options]
            hint = f"; it takes {' and '.join(others)}" if others else ""
            raise UsageError(f"--{name}: {measure.full} takes none{hint}")
    parameters = inspect.signature(measure.function).parameters
    for name in _PARAMETERS:
        if name in parameters and parameters[name].default is inspect.Parameter.empty and name not in arguments:
            raise UsageError(f"{measure.full}: expected --{name} as well")
    return arguments


def _text(value: NDArray[Any]) -> str:
    """One line for each distribution, with enough digits to read back the same float64."""
    rows = np.atleast_1d(value).tolist()
    return "\n".join(" ".join(map(repr, row)) if isinstance(row, list) else repr(row) for row in rows)


def _json(measure: Measure, base: float | None, value: NDArray[Any]) -> str:
    unit = unit_of(base) if "base" in measure.options else None
    if measure.name == "perplexity":
        unit = None  # A number of classes, the same in every base.
    return report.to_json({"measure": measure.full, "unit": unit, "value": value.tolist()})
