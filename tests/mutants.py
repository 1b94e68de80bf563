"""Whether the tests notice a wrong sign: `python -m tests.mutants --number 100` changes the measures and runs them.

One small change at a time, drawn at random among all that are possible in the modules of the measures: an operator for
its opposite, a comparison for its neighbour, a number for another, the two sides of a `where`, a function for the one
it is mistaken for. Each changed copy of the package is run through the tests of the measures until one fails, those
of its module first. Those that pass everything are printed: either nothing changes by them, or a test is missing.
Without `--slow` the second pass is left out but for the tests of the module, and with `--own` all but those, so that
more survive; `--pick` runs some of the drawn again, by their number.
"""

import argparse
import ast
import concurrent.futures
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.reached import Reached

ROOT = Path(__file__).resolve().parents[1]
ROOMS = ("_numerics", "probs", "logits")
# Those that most changes fail first.
TESTS = (
    *("values", "numbers", "derivatives", "orders", "joint", "pairwise", "losses", "options", "extremes"),
    *("package", "accuracy", "boundary", "counts", "counts_methods", "counts_tables"),
)
# Those that have a row for every public function: of the functions that run the changed line, up to so many.
EVERY, MOST = ("values", "accuracy", "derivatives", "extremes", "boundary", "options"), 8
# The tests of a module by words in its name, also the slow ones among them.
OWN = (
    (("fast",), ("quick", "mapped")),
    (("gamma",), ("counts", "counts_methods", "counts_tables", "bias")),
    (("tables", "joint", "multivariate", "margins", "information"), ("joint",)),
    (("pairwise", "geometry"), ("pairwise",)),
    (("generator", "orders", "renyi", "divided"), ("orders",)),
    (("classification",), ("losses",)),
    (("kernels", "pair", "rows", "divergences", "primitives", "softmax"), ("numbers",)),
)
BINARY = {ast.Add: "-", ast.Sub: "+", ast.Mult: "/", ast.Div: "*", ast.Pow: "*"}
COMPARED = {ast.Lt: "<=", ast.LtE: "<", ast.Gt: ">=", ast.GtE: ">", ast.Eq: "!=", ast.NotEq: "==", ast.IsNot: "is"}
SWAPPED = (("maximum", "minimum"), ("max", "min"), ("log1p", "log"), ("expm1", "exp"))
MISTAKEN = {a: b for pair in SWAPPED for a, b in (pair, pair[::-1])}
MISTAKEN |= {"sum": "mean", "sqrt": "square", "isfinite": "isnan"}
# A change that makes a loop endless is noticed, too.
SECONDS = 900


class Mutant(NamedTuple):
    """A change of some characters of a file."""

    path: Path
    start: int
    stop: int
    text: str
    line: int
    what: str

    def __str__(self):
        return f"{self.path}:{self.line}: {self.what}"


def mutants(path):
    """All changes of one file."""
    source = path.read_text()
    starts = [0]
    for line in source.encode().splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    raw = source.encode()

    def at(line, column):
        return starts[line - 1] + column

    def span(node):
        return at(node.lineno, node.col_offset), at(node.end_lineno, node.end_col_offset)

    def change(start, stop, text, line):
        before = re.sub(r"\s+", " ", raw[start:stop].decode())
        return Mutant(path.relative_to(ROOT), start, stop, text, line, f"{before} -> {text}")

    def between(left, right, old, new, line):
        start, stop = span(left)[1], span(right)[0]
        gap = raw[start:stop].decode()
        return change(start, stop, gap.replace(old, new, 1), line) if gap.count(old) == 1 else None

    for node in ast.walk(body_only(ast.parse(source))):
        if isinstance(node, ast.BinOp) and type(node.op) in BINARY:
            symbol = {ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/", ast.Pow: "**"}[type(node.op)]
            yield between(node.left, node.right, symbol, BINARY[type(node.op)], node.lineno)
        elif isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.USub, ast.Not)):
            yield change(span(node)[0], span(node.operand)[0], "", node.lineno)
        elif isinstance(node, ast.Compare) and len(node.ops) == 1 and type(node.ops[0]) in COMPARED:
            start, stop = span(node.left)[1], span(node.comparators[0])[0]
            yield change(start, stop, f" {COMPARED[type(node.ops[0])]} ", node.lineno)
        elif isinstance(node, ast.Constant) and type(node.value) in (int, float):
            yield change(*span(node), repr(node.value + 1 if node.value in (0, 1) else 2 * node.value), node.lineno)
        elif isinstance(node, ast.Constant) and type(node.value) is bool:
            yield change(*span(node), repr(not node.value), node.lineno)
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            name, (_, stop) = node.func.attr, span(node.func)
            if name in MISTAKEN:
                yield change(stop - len(name), stop, MISTAKEN[name], node.lineno)
            if name in ("where", "select") and len(node.args) == 3:
                one, other = span(node.args[1]), span(node.args[2])
                swapped = raw[slice(*other)] + raw[one[1] : other[0]] + raw[slice(*one)]
                yield change(one[0], other[1], swapped.decode(), node.lineno)


def body_only(tree):
    """Without what is no arithmetic: annotations, decorators and messages of errors."""

    class Strip(ast.NodeTransformer):
        def visit_FunctionDef(self, node):
            node.decorator_list, node.returns = [], None
            for a in (*node.args.args, *node.args.kwonlyargs, *node.args.posonlyargs):
                a.annotation = None
            return self.generic_visit(node)

        def visit_Raise(self, node):
            del node

        def visit_AnnAssign(self, node):
            node.annotation = ast.Name("object")
            return self.generic_visit(node)

    return Strip().visit(tree)


def selections(mutant, names, passes):
    """Options of pytest, one run after the other: the functions concerned, the module's own tests, all the others."""
    if names:
        # Formulas of a distance go by its name without the word.
        some = [name.removesuffix("_distance") for name in sorted(names)[:: -(-len(names) // MOST)]]
        yield ["-k", " or ".join(some), *paths(EVERY)]
        # Tests of a few of them, without a row for each.
        yield ["-k", " and ".join(f"not {room}." for room in ("probs", "logits", "losses")), *paths(EVERY)]
    for words, files in OWN:
        if any(word in mutant.path.stem for word in words):
            yield paths(files)
            break
    for which in passes:
        yield ["-m", which, *paths(TESTS)]


def paths(names):
    """The files of tests."""
    return [f"tests/test_{name}.py" for name in names]


def run(mutant, folder, selected):
    """Which test fails in a copy of the package with this change, or None."""
    path = folder / mutant.path
    raw = (ROOT / mutant.path).read_bytes()
    path.write_bytes(raw[: mutant.start] + mutant.text.encode() + raw[mutant.stop :])
    command = [sys.executable, "-B", "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider"]
    env = {**os.environ, "PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}
    options = {"cwd": folder, "env": env, "capture_output": True, "text": True, "timeout": SECONDS, "check": False}
    try:
        for these in selected:
            done = subprocess.run([*command, *these], **options)
            if done.returncode not in (0, pytest.ExitCode.NO_TESTS_COLLECTED):
                failed = re.findall(r"^(?:FAILED|ERROR) (\S+)", done.stdout, re.MULTILINE)
                return failed[0] if failed else f"exit code {done.returncode}"
    except subprocess.TimeoutExpired:
        return "no end"
    finally:
        path.write_bytes(raw)
    return None


def main():
    """Draw, run, report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--number", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=2)
    passes = parser.add_mutually_exclusive_group()
    passes.add_argument("--slow", action="store_true", help="run the slow tests of those that pass the others")
    passes.add_argument("--own", action="store_true", help="run the tests of the module alone")
    parser.add_argument("--skip", type=int, default=0, help="leave out the first so many that are drawn")
    parser.add_argument("--pick", type=int, nargs="+", help="only those of the drawn with these numbers")
    parser.add_argument("--list", action="store_true", help="only say how many there are")
    args = parser.parse_args()
    files = [path for room in ROOMS for path in sorted((ROOT / "jxent" / room).glob("*.py"))]
    every = [m for path in files for m in mutants(path) if m is not None]
    print(f"{len(every)} changes in {len(files)} files")  # noqa: T201
    if args.list:
        return
    chosen = random.Random(args.seed).sample(every, min(args.skip + args.number, len(every)))  # noqa: S311
    chosen = [(i, m) for i, m in enumerate(chosen) if (i in args.pick if args.pick else i >= args.skip)]
    passes = () if args.own else ("not slow", "slow") if args.slow else ("not slow",)
    survivors, reached = [], Reached()
    with tempfile.TemporaryDirectory() as place:
        folders = [Path(place, str(i)) for i in range(args.workers)]
        for folder in folders:
            for part in ("jxent", "tests", "pyproject.toml"):
                copy = shutil.copytree if (ROOT / part).is_dir() else shutil.copy
                folder.mkdir(exist_ok=True)
                copy(ROOT / part, folder / part)

        waiting = list(chosen)

        def work(i):
            while waiting:
                number, mutant = waiting.pop(0)
                names = reached.of(ROOT / mutant.path, mutant.line)
                result = run(mutant, folders[i], selections(mutant, names, passes))
                verdict = "SURVIVED" if result is None else "caught"
                print(f"{number:4d}  {verdict}  {mutant}  {result or ''}", flush=True)  # noqa: T201
                if result is None:
                    survivors.append(mutant)

        with concurrent.futures.ThreadPoolExecutor(args.workers) as pool:
            list(pool.map(work, range(args.workers)))
    print(f"{len(chosen) - len(survivors)} of {len(chosen)} caught")  # noqa: T201


if __name__ == "__main__":
    main()
