"""Which public functions run a line of the package: each is traced, with its derivatives, and its lines noted."""

import ast
import itertools
import sys
from collections import defaultdict
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from tests.table import INPUTS, TABLE

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = str(ROOT / "jxent")
# So many rows, of categories so many times repeated: small arrays, and those that have quick formulas.
BATCHES = ((3, 1), (5000, 1), (5000, 25))


class Reached:
    """The lines that every function of the table runs, and what a change of a line may therefore touch."""

    def __init__(self):
        self.names, self.used, self.statements = defaultdict(set), defaultdict(set), {}
        for path in (ROOT / "jxent").rglob("*.py"):
            tree = ast.parse(path.read_text())
            self.statements |= {(path, line): found for line, found in _statements(tree).items()}
            for node in ast.walk(tree):
                if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
                    self.used[node.id].add((path, node.lineno))
        for entry in TABLE:
            for path, line in _lines(lambda entry=entry: _trace(entry)):
                self.names[Path(path), line].add(entry.name)

    def of(self, path, line, depth=2):
        """Names of the functions that run the statement at a line, or that use what it defines for its module."""
        statement, within = self.statements[path, line]
        lines = range(statement.lineno, statement.end_lineno + 1)
        found = set().union(*(self.names[path, at] for at in lines))
        if found or within or not depth:
            return found
        defined = {node.id for node in ast.walk(statement) if isinstance(node, ast.Name) and _stores(node)}
        return found.union(*(self.of(*use, depth - 1) for name in defined for use in self.used[name]))


def _stores(node):
    return isinstance(node.ctx, ast.Store)


def _statements(tree, within=False):
    """The smallest statement at every line, and whether it stands in a function."""
    found = {}
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.stmt):
            first = min([node.lineno, *(d.lineno for d in getattr(node, "decorator_list", []))])
            found |= dict.fromkeys(range(first, node.end_lineno + 1), (node, within))
        found |= _statements(node, within or isinstance(node, ast.FunctionDef | ast.Lambda))
    return found


def _lines(run):
    """Files of the package and their lines that a call runs."""
    seen = set()

    def local(frame, event, _):
        if event == "line":
            seen.add((frame.f_code.co_filename, frame.f_lineno))
        return local

    def of_package(frame, _event, _):
        return local if frame.f_code.co_filename.startswith(PACKAGE) else None

    # Or what was traced for another function is not traced again.
    jax.clear_caches()
    sys.settrace(of_package)
    try:
        run()
    finally:
        sys.settrace(None)
    return seen


def _trace(entry):
    for batch, kind in itertools.product(BATCHES, (np.float32, np.float64)):
        with jax.enable_x64(kind is np.float64):
            _trace_one(entry, batch, kind)


def _trace_one(entry, batch, kind):
    rows, more = batch
    args = [np.asarray(x) for x in INPUTS[entry.kind][0]]
    args = [np.tile(x, more) if x.ndim == 1 else x for x in args]
    args = [np.broadcast_to(x, (rows, *x.shape)) for x in args]
    args = [jnp.asarray(x, None if x.dtype.kind == "i" else kind) for x in args]
    smooth = tuple(i for i, x in enumerate(args) if x.dtype.kind == "f")

    def total(*args):
        return jnp.sum(entry.function(*args))

    jax.eval_shape(entry.function, *args)
    if kind is np.float64:
        return
    slope = jax.grad(total, smooth)
    jax.eval_shape(slope, *args)
    if batch != BATCHES[0]:
        return
    jax.eval_shape(jax.grad(lambda *args: sum(jnp.sum(s * s) for s in slope(*args)), smooth), *args)
    for options in ({"base": 2}, {"where": jnp.ones(args[0].shape, bool)}, {"keepdims": True}):
        try:
            jax.eval_shape(lambda *args, options=options: entry.function(*args, **options), *args)
        except TypeError:
            continue
