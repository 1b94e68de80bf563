"""What can be known before any arithmetic: the compiled boundary and the shapes, dtypes and options."""

from jxent._checks.arguments import (
    Axis,
    Numbers,
    as_float,
    category_axes,
    class_labels,
    common_float,
    elementwise,
    ignored_rows,
    log_base_factor,
    match_ranks,
    match_rows,
    participation,
    scalar,
    weights_like,
)
from jxent._checks.boundary import is_traced, public

__all__ = [
    "Axis",
    "Numbers",
    "as_float",
    "category_axes",
    "class_labels",
    "common_float",
    "elementwise",
    "ignored_rows",
    "is_traced",
    "log_base_factor",
    "match_ranks",
    "match_rows",
    "participation",
    "public",
    "scalar",
    "weights_like",
]
