"""What can be known only from values: the checks that `jxent.checked` switches on.

Each room says what its arguments hold; a violation names function, argument, index and value.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[Any]
Options = Mapping[str, Any]

PROBABILITIES, LOGITS = ("p", "q"), ("z", "zp", "zq")
# Sums of rounded probabilities, and of ones that were computed in float32, are this near to 1.
TOLERANCE = {2: 2e-2, 4: 1e-4, 8: 1e-6}


def knows(room: str) -> bool:
    """Whether the functions of a room can be checked."""
    return room in ("probs", "logits", "losses", "linear", "closed_form", "calibration", "counts", "samples")


def violation(room: str, name: str, arguments: Mapping[str, Any], options: Options) -> str | None:
    """The first thing that is wrong with concrete arguments, as a message; None if nothing is."""
    if room == "closed_form":
        room, _, rest = name.partition("_") if name.startswith(("probs_", "logits_")) else ("losses", "", name)
        found = violation(room, rest, arguments, options)
        return found and found.replace(f"{room}.{rest}()", f"closed_form.{name}()", 1)
    values = {k: _plain(v) for k, v in arguments.items() if _is_numeric(v)}
    where = values.pop("where", None)
    if room == "calibration":
        # The mask is of rows there, as are the labels.
        where = None if where is None else where[..., None]
    for argument, value in values.items():
        found = _rule(room, name, argument, value, where, values, options)
        if found:
            return f"{room}.{name}(): `{argument}` {found}"
    return None


def _is_numeric(value: Any) -> bool:
    return value is not None and not callable(value)


def _plain(value: Any) -> Numbers:
    array = np.asarray(value)
    return array.astype(np.float32) if array.dtype.kind == "V" or array.dtype.name == "bfloat16" else array


def _rule(
    room: str,
    name: str,
    argument: str,
    value: Numbers,
    where: Numbers | None,
    values: Mapping[str, Numbers],
    options: Options,
) -> str | None:
    if room == "samples":
        return _first(~np.isfinite(value), value, "expected a finite number")
    if room == "counts":
        return _of_counts(argument, value, where, options)
    if argument == "labels" and room == "calibration":
        predictions = values["p"] if "p" in values else values["logits"]
        part = np.ones(value.shape, bool) if where is None else np.broadcast_to(where[..., 0], value.shape)
        return _labels(np.where(part, value, 0), predictions.shape[-1], options)
    if argument == "labels" and room != "linear":
        return _labels(value, values["logits"].shape[options.get("axis", -1)], options)
    if argument in ("weight", "alpha", "order", "delta", "gamma", "label_smoothing", "z_loss"):
        return _parameter(argument, value, name)
    if argument == "class_weights":
        return _first(~(value >= 0), value, "expected weights >= 0")
    if argument == "weights":
        return _first(~(value >= 0), value, "expected weights >= 0")
    if room == "linear":
        return _of_model(argument, value, where, values, options)
    part = np.ones(value.shape, bool) if where is None else np.broadcast_to(where, value.shape)
    if argument in PROBABILITIES and room == "calibration":
        # Any scores have an order.
        return (
            _first(part & np.isnan(value), value, "expected a number")
            if name == "top_k_accuracy"
            else (_probabilities(value, part, (value.ndim - 1,)))
        )
    if argument in PROBABILITIES and room == "probs":
        axes = None if name.startswith("binary_") or name == "self_information" else _axes(value, name, options)
        return _probabilities(value, part, axes)
    if argument in LOGITS or (argument == "logits" and room in ("losses", "calibration")):
        elementwise = name.startswith(("binary_", "sigmoid_", "focal_"))
        return _logits(value, part, None if elementwise else _axes(value, name, options))
    if argument == "targets" and name.startswith(("softmax_", "kl_")):
        return _probabilities(value, part, _axes(value, name, options))
    if argument == "targets" and name.startswith(("sigmoid_", "focal_")):
        return _first(part & ~((value >= 0) & (value <= 1)), value, "expected a probability in [0, 1]")
    return _first(part & np.isnan(value), value, "expected a number")


def _axes(value: Numbers, name: str, options: Options) -> tuple[int, ...]:
    """The axes over which a distribution sums to 1."""
    if name.startswith("pairwise_"):
        return (1,)
    if "axis" in options:
        axis = options["axis"]
    elif name == "marginal":
        axis = options["table"]
    elif "variables" in options:
        axis = options["variables"]
    else:
        axis = tuple(options[k] for k in ("x", "y", "given", "of") if k in options)
    if axis is None:
        axis = tuple(range(value.ndim))
    return tuple(a % value.ndim for a in _flat(axis))


def _flat(axis: Any) -> list[int]:
    return [a for x in axis for a in _flat(x)] if isinstance(axis, (tuple, list)) else [int(axis)]


def _first(bad: Any, value: Numbers, expected: str) -> str | None:
    """The first of the bad values with its index."""
    if not np.any(bad):
        return None
    index = tuple(int(i) for i in np.argwhere(bad)[0])
    return f"at index {index} is {value[index]!s}, {expected}"


def _probabilities(value: Numbers, part: Numbers, axes: tuple[int, ...] | None) -> str | None:
    wrong = _first(part & ~(value >= 0), value, "expected probabilities >= 0")
    if axes is None:
        return wrong or _first(part & ~(value <= 1), value, "expected probabilities <= 1")
    if wrong or not value.size:
        return wrong
    mass = np.sum(np.where(part, value, 0.0).astype(np.float64), axis=axes, keepdims=True)
    off = np.any(part, axis=axes, keepdims=True) & ~(np.abs(mass - 1.0) <= TOLERANCE.get(value.dtype.itemsize, 1e-4))
    if not off.any():
        return None
    index = tuple(int(i) for i in np.argwhere(off)[0])
    row = tuple(":" if a in axes else str(i) for a, i in enumerate(index))
    return f"at index ({', '.join(row)}) sums to {mass[index]:.7g}, expected 1: divide it by its sum"


def _logits(value: Numbers, part: Numbers, axes: tuple[int, ...] | None) -> str | None:
    wrong = _first(part & np.isnan(value), value, "expected a number or -inf")
    if axes is None or wrong or not value.size:
        return wrong
    wrong = _first(part & (value == np.inf), value, "expected a finite number or -inf")
    empty = np.all(~part | (value == -np.inf), axis=axes, keepdims=True) & np.any(part, axis=axes, keepdims=True)
    if wrong or not empty.any():
        return wrong
    index = tuple(int(i) for i in np.argwhere(empty)[0])
    row = tuple(":" if a in axes else str(i) for a, i in enumerate(index))
    return f"at index ({', '.join(row)}) is -inf throughout, expected at least one possible class"


def _of_model(
    argument: str, value: Numbers, where: Numbers | None, values: Mapping[str, Numbers], options: Options
) -> str | None:
    """What makes up the logits of a linear model, and its labels."""
    here = np.ones(value.shape, bool)
    if argument == "labels" and value.dtype.kind in "iu":
        # Sharded classes: ids of all of them, of which this device knows its own.
        return None if options.get("axis_name") else _labels(value, values["w"].shape[0], options)
    rows, classes = values["x"].shape[:-1], values["w"].shape[0]
    labels = values.get("labels", np.zeros(rows, int))
    try:
        part: Numbers | None = None if where is None else np.broadcast_to(where, (*rows, classes))
    except ValueError:
        return None  # the function itself says what is wrong with a shape
    if argument == "labels":
        if value.shape != (*rows, classes):
            return None
        part = here if part is None else part
        return _probabilities(value, part, None if options.get("axis_name") else (value.ndim - 1,))
    if argument == "x" and part is not None:
        here &= np.any(part, axis=-1, keepdims=True)
    if argument == "x" and labels.shape == rows and options.get("ignore_label") is not None:
        here &= np.expand_dims(labels != options["ignore_label"], -1)
    if argument in ("w", "bias") and part is not None and value.shape[:1] == (classes,):
        here &= np.any(part, axis=tuple(range(part.ndim - 1))).reshape((-1,) + (1,) * (value.ndim - 1))
    if argument == "bias":
        return _first(here & (np.isnan(value) | (value == np.inf)), value, "expected a finite number or -inf")
    return _first(here & ~np.isfinite(value), value, "expected a finite number")


def _of_counts(argument: str, value: Numbers, where: Numbers | None, options: Options) -> str | None:
    """Counts, and labels to be counted."""
    if argument == "alpha":
        return _first(~(value >= 0), value, "expected a pseudocount >= 0")
    if argument != "labels":
        part = np.ones(value.shape, bool) if where is None else np.broadcast_to(where, value.shape)
        return _first(part & ~((value >= 0) & np.isfinite(value)), value, "expected finite counts >= 0")
    sizes = options["num_classes"]
    return _first((value < 0) | (value >= np.asarray(sizes)), value, f"expected class ids in [0, {sizes})")


def _labels(labels: Numbers, classes: int, options: Options) -> str | None:
    ignored = options.get("ignore_label")
    bad = (labels < 0) | (labels >= classes)
    if ignored is not None:
        bad &= labels != ignored
    return _first(bad, labels, f"expected a class id in [0, {classes})")


def _parameter(argument: str, value: Numbers, name: str) -> str | None:
    bounds = {"weight": (0.0, 1.0), "label_smoothing": (0.0, 1.0), "delta": (np.finfo(np.float32).tiny, np.inf)}
    low, high = (0.0, 1.0) if (argument, name) == ("alpha", "focal_loss") else bounds.get(argument, (0.0, np.inf))
    if name == "alpha_divergence":
        low, high = -np.finfo(np.float64).max, np.finfo(np.float64).max
    return None if low <= value <= high else f"is {value!s}, expected a number in [{low:g}, {high:g}]"
