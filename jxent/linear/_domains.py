"""Domains of the arguments of a linear head; entries of rows and classes that take no part may hold anything."""

from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray

from jxent._checks import Domain, Numbers
from jxent._checks.domains import Call, Role, as_ids, class_ids, first_violation

Array = NDArray[Any]


def _mask(call: Call) -> Array:
    """The mask of the classes that take part in each row, `[..., V]`."""
    x, w = (next(call.values[n] for n in names if n in call.values) for names in (("x", "x_p"), ("w", "w_p")))
    shape = (*x.shape[:-1], w.shape[0])
    return call.part(np.broadcast_to(np.float32(0.0), shape))


def _features(value: Array, call: Call) -> str | None:
    part = np.any(_mask(call), axis=-1)
    ignored, ids = call.option(Role.IGNORED), call.values.get("labels")
    if ignored is not None and ids is not None and ids.shape == part.shape:
        part = part & (ids != ignored)
    weights = call.values.get("weights")
    if weights is not None and weights.ndim in (0, part.ndim):
        part = part & (weights != 0)
    return first_violation(part[..., None] & ~np.isfinite(value), value, "expected a finite number")


def _of_classes(value: Array, call: Call) -> Array:
    """The mask of entries of classes that take part in any row."""
    mask = _mask(call)
    part = np.any(mask, axis=tuple(range(mask.ndim - 1)))
    if value.shape[:1] != part.shape:
        return np.ones(value.shape, bool)
    return np.broadcast_to(part.reshape((-1,) + (1,) * (value.ndim - 1)), value.shape)


def _rows_of_classes(value: Array, call: Call) -> str | None:
    return first_violation(_of_classes(value, call) & ~np.isfinite(value), value, "expected a finite number")


def _bias(value: Array, call: Call) -> str | None:
    bad = _of_classes(value, call) & (np.isnan(value) | (value == np.inf))
    return first_violation(bad, value, "expected a finite number or -inf")


WEIGHTS = (
    "weights `[V, D]`, one row for each class: the transpose of the weights of `jxent.regression`. Where features and "
    "weights are both bfloat16, they are multiplied as bfloat16 and added up in float32; otherwise both are converted "
    "to the wider dtype, at least float32. The precision of float32 products is jax's setting: on a GPU 3 digits by "
    'default, all digits under `jax.default_matmul_precision("highest")`.'
)
Features = Annotated[Numbers, Domain(_features, text="features `[..., D]`.")]
ClassRows = Annotated[Numbers, Domain(_rows_of_classes, has_classes=True, classes=0, text=WEIGHTS)]
ClassBias = Annotated[Numbers, Domain(_bias, text="`[V]`; −inf excludes a class.")]
Candidates = Annotated[Numbers, Domain(class_ids, as_ids)]
ClassMask = Annotated[
    Numbers,
    Domain(
        mask="element",
        text="boolean mask of the classes that take part, `[V]` or of the rank of the logits, `[..., V]`; `[..., 1]` "
        "is a mask of rows, whose other rows may hold anything.",
    ),
]
