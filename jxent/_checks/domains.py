"""The domain of an argument, declared by its annotation.

`p: Probabilities` is an array or a sequence of numbers to a type checker, a traced operand to `public`, and rows that
sum to 1 to `checked`. An argument without a domain is static: its value selects the program. Roles mark static
arguments that the checks of other arguments read, such as the axis along which a row sums to 1.
"""

import enum
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import UnionType
from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from numpy.typing import NDArray

from jxent._checks.inputs import Numbers, as_operand

Array = NDArray[Any]
Check = Callable[[Array, "Call"], str | None]


class Role(enum.Enum):
    """The meaning of a static argument for the checks of the other arguments."""

    CATEGORIES = "the axes over which a row sums to 1; None is all axes"
    IGNORED = "the label whose rows are left out"
    SIZES = "the numbers of classes"
    MESH_AXIS = "the mesh axis over which classes are sharded"


@dataclass(frozen=True, eq=False)
class Domain:
    """The domain of a traced argument.

    Attributes:
        check: the first violation among concrete values, as the end of a message; None if there is none.
        convert: from the names of function and argument and the caller's value to an operand of `jax.jit`.
        interval: the closed interval of a scalar.
        has_classes: whether the argument has one entry, or one row, per class.
        classes: the axis of the classes; None is that of the `axis` option.
        mask: None, or what one entry of this mask stands for: an "element" or a "row" of the operand.
        fields: the domains of the fields of a named tuple.
        text: the default text of the argument in docstrings.
    """

    check: Check | None = field(default=None, repr=False)
    convert: Callable[[str, str, Any], Any] = as_operand
    interval: tuple[float, float] | None = None
    has_classes: bool = False
    classes: int | None = None
    mask: str | None = None
    fields: Mapping[str, "Domain"] = field(default_factory=dict)
    text: str = ""


class UndecidableError(Exception):
    """A call whose shapes or options do not fit each other: the function itself says so."""


class Call(NamedTuple):
    """Concrete arguments of one call.

    Attributes:
        values: numpy arrays of the traced arguments.
        options: the static arguments.
        declared: the domain or role of each argument that has one.
    """

    values: Mapping[str, Array]
    options: Mapping[str, Any]
    declared: Mapping[str, "Domain | Role"]

    def axes(self, rank: int) -> tuple[int, ...]:
        """The axes over which a distribution sums to 1: the last one where no argument names them."""
        named = [self.options[n] for n, role in self.declared.items() if role is Role.CATEGORIES and n in self.options]
        if any(axis is None for axis in named):
            return tuple(range(rank))
        flat = [a for axis in named for a in _flat(axis)] or [-1]
        if not all(isinstance(a, (int, np.integer)) and -rank <= a < rank for a in flat):
            raise UndecidableError("an axis that the function itself refuses")
        return tuple(int(a) % rank for a in flat)

    def option(self, role: Role) -> Any:
        """The static argument of this role, None where there is none."""
        return next((self.options.get(n) for n, r in self.declared.items() if r is role), None)

    def mask(self, level: str) -> Array | None:
        """The mask of the elements or of the rows that take part."""
        for name, domain in self.declared.items():
            if isinstance(domain, Domain) and domain.mask == level and name in self.values:
                return self.values[name]
        return None

    def part(self, value: Array) -> Array:
        """The mask of the elements of an operand that take part."""
        of_rows, of_elements = self.mask("row"), self.mask("element")
        mask = of_elements if of_rows is None else of_rows[..., None]
        try:
            part = np.ones(value.shape, bool) if mask is None else np.broadcast_to(mask, value.shape)
        except ValueError:  # the function itself raises for a wrong shape
            part = np.ones(value.shape, bool)
        return np.where(self._ignored(value), np.False_, part)

    def _ignored(self, value: Array) -> Array:
        """The mask of the elements in rows with the label to ignore."""
        label, nothing = self.option(Role.IGNORED), np.zeros(value.shape, bool)
        ids = next((v for n, v in self.values.items() if getattr(self.declared[n], "convert", None) is as_ids), None)
        if label is None or ids is None or value.ndim != ids.ndim + 1:
            return nothing
        axes = self.axes(value.ndim)
        rows = tuple(n for i, n in enumerate(value.shape) if i not in axes)
        return nothing | np.expand_dims(ids == label, axes) if rows == ids.shape else nothing

    def classes(self) -> tuple[Array, int]:
        """The first argument that declares classes, and their axis."""
        for name, domain in self.declared.items():
            if isinstance(domain, Domain) and domain.has_classes and name in self.values:
                value = self.values[name]
                axes = self.axes(value.ndim) if domain.classes is None else (domain.classes,)
                if len(axes) == 1:
                    return value, axes[0]
        raise UndecidableError("labels without one axis of classes")


def _flat(axis: Any) -> list[Any]:
    return [a for x in axis for a in _flat(x)] if isinstance(axis, (tuple, list)) else [axis]


def first_violation(bad: Any, value: Array, expected: str) -> str | None:
    """The first of the bad values with its index."""
    if not np.any(bad):
        return None
    index = tuple(int(i) for i in np.argwhere(bad)[0])
    return f"at index {index} is {value[index]!s}, {expected}"


def _first_row(bad: Array, axes: Sequence[int]) -> tuple[tuple[int, ...], str]:
    """The index of the first bad row, whose axes are kept with size 1, and the text of that index."""
    index = tuple(int(i) for i in np.argwhere(bad)[0])
    return index, f"({', '.join(':' if a in axes else str(i) for a, i in enumerate(index))})"


def number(value: Array, call: Call) -> str | None:
    """No NaN."""
    return first_violation(call.part(value) & np.isnan(value), value, "expected a number")


def finite(value: Array, call: Call) -> str | None:
    """Neither NaN nor infinite."""
    return first_violation(call.part(value) & ~np.isfinite(value), value, "expected a finite number")


def _non_negative(value: Array, call: Call) -> str | None:
    return first_violation(call.part(value) & ~(value >= 0), value, "expected weights >= 0")


def _weights_of_rows(value: Array, call: Call) -> str | None:
    rows = call.mask("row")
    part = np.ones(value.shape, bool) if rows is None or rows.shape != value.shape else rows
    return first_violation(part & ~(value >= 0), value, "expected weights >= 0")


def _counts(value: Array, call: Call) -> str | None:
    return first_violation(
        call.part(value) & ~((value >= 0) & np.isfinite(value)), value, "expected finite counts >= 0"
    )


def _probability(value: Array, call: Call) -> str | None:
    bad = call.part(value) & ~((value >= 0) & (value <= 1))
    return first_violation(bad, value, "expected a probability in [0, 1]")


# The least number above 0: the closed end of an open interval.
ABOVE_ZERO = math.ulp(0.0)
FINITE = (-float(np.finfo(np.float64).max), float(np.finfo(np.float64).max))
# The largest distance from 1 of a sum of probabilities that were rounded, or computed in float32.
MASS_TOLERANCE = {"bfloat16": 3e-2, "float16": 4e-3, "float32": 1e-4, "float64": 1e-6}


def probabilities(value: Array, call: Call) -> str | None:
    """Rows that are not negative and sum to 1 over the axes of the categories."""
    return distribution(value, call.part(value), call.axes(value.ndim))


def distribution(value: Array, part: Array, axes: Sequence[int]) -> str | None:
    """Rows that are not negative and sum to 1 over the axes."""
    wrong = first_violation(part & ~(value >= 0), value, "expected probabilities >= 0")
    if wrong or not value.size:
        return wrong
    wide = np.where(part, value, 0).astype(np.float64)
    mass = np.sum(wide, axis=tuple(axes), keepdims=True)
    tolerance = MASS_TOLERANCE.get(value.dtype.name, 1e-6)
    off = np.any(part, axis=tuple(axes), keepdims=True) & ~(np.abs(mass - 1.0) <= tolerance)
    if not off.any():
        return None
    index, row = _first_row(off, axes)
    mend = "divide it by its sum"
    if np.all(wide == np.floor(wide)) and mass[index] > 1:
        mend = "these look like counts, which `jxent.counts` takes, or divide it by its sum"
    return f"at index {row} sums to {mass[index]:.7g}, expected 1: {mend}"


def logits(value: Array, call: Call) -> str | None:
    """Numbers or −∞, with a possible class in every row."""
    part, axes = call.part(value), call.axes(value.ndim)
    wrong = log_odds(value, call)
    if wrong or not value.size:
        return wrong
    wrong = first_violation(part & (value == np.inf), value, "expected a finite number or -inf")
    empty = np.all(~part | (value == -np.inf), axis=axes, keepdims=True) & np.any(part, axis=axes, keepdims=True)
    if wrong or not empty.any():
        return wrong
    return f"at index {_first_row(empty, axes)[1]} is -inf throughout, expected at least one possible class"


def log_odds(value: Array, call: Call) -> str | None:
    """Numbers or ±∞."""
    return first_violation(call.part(value) & np.isnan(value), value, "expected a number or -inf")


def labels(value: Array, call: Call) -> str | None:
    """Class ids below the number of classes, or the one to ignore, in the rows that take part."""
    rows = call.mask("row")
    if rows is None and call.mask("element") is not None:
        operand, axis = call.classes()
        rows = np.any(call.part(operand), axis=axis)
    return class_ids(value if rows is None or rows.shape != value.shape else np.where(rows, value, 0), call)


def class_ids(value: Array, call: Call) -> str | None:
    """Class ids below the number of classes, or the one to ignore; all of them take part."""
    operand, axis = call.classes()
    classes, ignored = operand.shape[axis], call.option(Role.IGNORED)
    bad = (value < 0) | (value >= classes)
    if ignored is not None:
        bad &= value != ignored
    wrong = first_violation(bad, value, f"expected a class id in [0, {classes})")
    can_ignore = any(role is Role.IGNORED for role in call.declared.values())
    if wrong and can_ignore and value[bad][0] < 0:
        wrong += f"; ignore_label={value[bad][0]} leaves such rows out"
    return wrong


def _labels_or_targets(value: Array, call: Call) -> str | None:
    """Class ids, or distributions over the classes, the last axis."""
    if value.dtype.kind in "iu":
        return class_ids(value, call)
    return distribution(value, call.part(value), (value.ndim - 1,))


def _counted(value: Array, call: Call) -> str | None:
    sizes = call.option(Role.SIZES)
    return first_violation((value < 0) | (value >= np.asarray(sizes)), value, f"expected class ids in [0, {sizes})")


def _in_interval(low: float, high: float) -> Check:
    def check(value: Array, _: Call) -> str | None:
        return None if low <= float(value) <= high else f"is {value!s}, expected {_span(low, high)}"

    return check


def interval_message(value: Any, interval: tuple[float, float]) -> str | None:
    """The message for a Python number outside a closed interval, else None; `checked` checks arrays."""
    is_number = isinstance(value, (bool, int, float, np.generic)) and not np.iscomplexobj(value)
    if not is_number or interval[0] <= float(value) <= interval[1]:
        return None
    return f"is {value}, expected {_span(*interval)}"


def _span(low: float, high: float) -> str:
    if low == ABOVE_ZERO:
        return "a number > 0"
    return "a finite number" if (low, high) == FINITE else f"a number in [{low:g}, {high:g}]"


def scalar(function: str, argument: str, value: Any) -> Any:
    """One real number."""
    if np.iscomplexobj(value):
        raise TypeError(f"{function}(): `{argument}` is complex, expected a real number; take its real part first")
    value = as_operand(function, argument, value)
    if value is not None and np.ndim(value) != 0:
        raise ValueError(
            f"{function}(): `{argument}` has shape {np.shape(value)}, expected a scalar; batches go by jax.vmap"
        )
    return value


def as_ids(function: str, argument: str, value: Any) -> Any:
    return as_operand(function, argument, value, ids=True)


def _key(function: str, argument: str, value: Any) -> Any:
    is_array = isinstance(value, jax.Array)
    if not is_array or not (jnp.issubdtype(value.dtype, jax.dtypes.prng_key) or value.dtype == jnp.uint32):
        came = f"has dtype {value.dtype} and shape {value.shape}" if is_array else f"is a {type(value).__name__}"
        raise TypeError(f"{function}(): `{argument}` {came}, expected a key, such as jax.random.key(0)")
    return value


def _callable(function: str, argument: str, value: Any) -> Any:
    if not callable(value):
        raise TypeError(f"{function}(): `{argument}` is a {type(value).__name__}, expected a function f of p/q")
    return value


def named_tuple(expected: str) -> Callable[[str, str, Any], Any]:
    """A conversion that passes named tuples and refuses everything else."""

    def convert(function: str, argument: str, value: Any) -> Any:
        if not hasattr(value, "_fields"):
            raise TypeError(f"{function}(): `{argument}` is a {type(value).__name__}, expected {expected}")
        return value

    return convert


def _interval(low: float, high: float) -> Domain:
    return Domain(_in_interval(low, high), scalar, (low, high))


Real = Annotated[Numbers, Domain(number)]
Finite = Annotated[Numbers, Domain(finite)]
Probabilities = Annotated[Numbers, Domain(probabilities, has_classes=True, text="probabilities `[..., K]`.")]
Probability = Annotated[Numbers, Domain(_probability)]
Scores = Annotated[Numbers, Domain(number, has_classes=True)]
Logits = Annotated[Numbers, Domain(logits, has_classes=True, text="logits `[..., K]`, of any shift.")]
JointProbabilities = Annotated[
    Numbers,
    Domain(
        probabilities,
        text="joint probabilities `[..., A, B, …]`; axes that no variable names are a batch.",
    ),
]
JointLogits = Annotated[
    Numbers,
    Domain(
        logits,
        text="logits `[..., A, B, …]` of the joint probabilities, of any shift, normalised over all named axes; the "
        "others are a batch.",
    ),
]
LogOdds = Annotated[Numbers, Domain(log_odds)]
Labels = Annotated[Numbers, Domain(labels, as_ids, text="integer class ids `[...]`.")]
LabelsOrTargets = Annotated[Numbers, Domain(_labels_or_targets, as_ids)]
CountedLabels = Annotated[Numbers, Domain(_counted, as_ids)]
Counts = Annotated[Numbers, Domain(_counts)]
Weights = Annotated[Numbers, Domain(_non_negative)]
Mask = Annotated[
    Numbers, Domain(mask="element", text="boolean mask of the elements that take part; the others may hold anything.")
]
RowWeights = Annotated[
    Numbers, Domain(_weights_of_rows, text="non-negative weights of the rows `[...]`; None is 1 for each.")
]
RowMask = Annotated[
    Numbers, Domain(mask="row", text="boolean mask `[...]` of the rows that take part; the others may hold anything.")
]
UnitInterval = Annotated[ArrayLike, _interval(0.0, 1.0)]
NonNegative = Annotated[ArrayLike, _interval(0.0, math.inf)]
Positive = Annotated[ArrayLike, _interval(ABOVE_ZERO, math.inf)]
FiniteNumber = Annotated[ArrayLike, _interval(*FINITE)]
AnyNumber = Annotated[ArrayLike, Domain(convert=scalar)]
RandomKey = Annotated[jax.Array, Domain(convert=_key)]
Generator = Annotated[Callable[[jax.Array], jax.Array], Domain(convert=_callable)]

# Of the parameters of a softmax regression.
PARAMS = Domain(
    convert=named_tuple("regression.Params(weights [D, K], bias [K])"),
    fields={"weights": Domain(finite), "bias": Domain(finite, has_classes=True, classes=0)},
)

Axis = Annotated[int | Sequence[int], Role.CATEGORIES]
OneAxis = Annotated[int, Role.CATEGORIES]
# Variables of a table: each an axis, or a tuple of axes that form one.
Variables = Annotated[Sequence[int | Sequence[int]], Role.CATEGORIES]
IgnoreLabel = Annotated[int, Role.IGNORED]
Sizes = Annotated[int | Sequence[int], Role.SIZES]
MeshAxis = Annotated[str, Role.MESH_AXIS]
Normalizer = Literal["arithmetic", "geometric", "min", "max", "joint"]


def declared(annotation: Any) -> Domain | Role | None:
    """The domain or role in an annotation, also in its union with None."""
    if get_origin(annotation) is Annotated:
        return next((m for m in get_args(annotation)[1:] if isinstance(m, (Domain, Role))), None)
    if get_origin(annotation) in (Union, UnionType):
        return next((d for d in map(declared, get_args(annotation)) if d is not None), None)
    return None


def choices(annotation: Any) -> tuple[Any, ...]:
    """The values of an option, if its annotation lists them."""
    if get_origin(annotation) in (Union, UnionType):
        inner = [c for a in get_args(annotation) for c in choices(a)]
        return (*inner, None) if inner and type(None) in get_args(annotation) else tuple(inner)
    return get_args(annotation) if get_origin(annotation) is Literal else ()


def is_optional(annotation: Any) -> bool:
    """Whether an argument may be None."""
    return get_origin(annotation) in (Union, UnionType) and type(None) in get_args(annotation)


class Shown:
    """An annotation as `help` prints it: `ArrayLike` for every array, the bare type for an option."""

    def __init__(self, annotation: Any) -> None:
        self.text = _spelled(annotation)

    def __repr__(self) -> str:
        return self.text


def _spelled(annotation: Any) -> str:
    domain = declared(annotation)
    if get_origin(annotation) is Annotated:
        is_array = isinstance(domain, Domain) and domain.convert in (as_operand, scalar, as_ids)
        return "ArrayLike" if is_array else _spelled(get_args(annotation)[0])
    if get_origin(annotation) in (Union, UnionType):
        return " | ".join("None" if a is type(None) else _spelled(a) for a in get_args(annotation))
    text = annotation.__name__ if isinstance(annotation, type) else repr(annotation)
    return re.sub(r"(?:\w+\.)+", "", text)
