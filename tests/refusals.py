"""What bad input gets: `python -m tests.refusals` prints a table of messages, each of which a test asserts in part.

Files, labels and shapes, dtypes and options, and command lines; the inputs are those of the tests.
"""

import contextlib
import io
import re
import tempfile
from pathlib import Path

import jax.numpy as jnp
import numpy as np

from jxent import data, logits, losses, probs, regression
from jxent.__main__ import main
from tests.files import write, write_pair, write_zip
from tests.test_data import BAD_CSV
from tests.test_data_idx import BAD_IDX
from tests.test_data_npz import BAD_MEMBERS, BAD_NPZ, GOOD_Y
from tests.test_fit_reports import REFUSED, X, Y

IDX = ("not idx", "labels as images", "cut", "counts differ", "gzip trailing", "gzip checksum")
NPZ = ("no arrays named so", "objects in x", "nan", "lengths", "sum", "x_test alone")
CSV = ("ragged", "empty feature", "text", "regression", "not utf-8")
LABELS = ("no rows", "images", "id too large", "negative id", "too few labels", "one class", "one column")
LABELS += ("other number of columns", "no distribution", "negative probability", "weights sum to 0")
OPTIONS = ("complex x", "float ids", "names", "optimizer name", "float max_steps", "batch without key", "int key")
OPTIONS += ("negative l2", "NaN tolerance")
CALLS = {
    "probs.entropy(p, base=1)": lambda: probs.entropy([0.5, 0.5], base=1),
    "probs.entropy(p, axis=2)": lambda: probs.entropy([0.5, 0.5], axis=2),
    "probs.entropy of complex numbers": lambda: probs.entropy(np.ones(4, complex)),
    "probs.kl_divergence of [4, 1] and [4]": lambda: probs.kl_divergence(jnp.ones((4, 1)), jnp.ones(4)),
    "logits.jensen_shannon_divergence(weight=1.1)": lambda: logits.jensen_shannon_divergence(
        jnp.ones(2), jnp.ones(2), weight=1.1
    ),
    "losses.huber_loss(delta=0)": lambda: losses.huber_loss(jnp.ones(2), jnp.ones(2), delta=0.0),
}
LINES = (
    "trian --data digits",
    "train --data pictures --out new",
    "train --data digits --out new --l2 -1",
    "train --data digits --out new --test-fraction 1.5",
    "train --data digits --out new --optimiser newton",
    "measure entorpy 0.5 0.5",
    "measure entropy 0.5 half",
    "measure entropy 0.5 0.4",
    "measure entropy -0.5 1.5",
    "measure entropy 0 0 --normalize",
    "measure entropy 0.5 0.5 --base two",
    "measure kl_divergence --p 0.5 0.5 --q 0.2 0.3 0.5",
    "measure renyi_entropy 0.5 0.5 --order 2",
)


def message(call, *args, **options):
    """What a call says that has to be refused."""
    try:
        call(*args, **options)
    except (TypeError, ValueError) as error:
        return f"{type(error).__name__}: {error}"
    raise AssertionError(f"{call} took {args} {options}")


def of_line(line):
    """Exit code and stderr of a command."""
    stderr = io.StringIO()
    with contextlib.redirect_stderr(stderr):
        status = main(line.split())
    return f"exit {status}: {stderr.getvalue().strip()}"


def rows(folder):
    """Kind, input and message of every line of the table."""
    for name in IDX:
        write_pair(folder / name, **BAD_IDX[name][0])
        yield "IDX", name, message(data.idx, folder / name)
    for name in NPZ:
        np.savez(folder / "a.npz", **BAD_NPZ[name][0])
        yield "npz", name, message(data.npz, folder / "a.npz")
    write_zip(folder / "a.npz", {"x.npy": BAD_MEMBERS["more announced than there"][0], "y.npy": GOOD_Y})
    yield "npz", "more announced than there", message(data.npz, folder / "a.npz")
    for name in CSV:
        content, options, _ = BAD_CSV[name]
        yield "csv", name, message(data.csv, write(folder / "a.csv", content), **options)
    for kind, names in (("labels, shapes", LABELS), ("dtypes, options", OPTIONS)):
        for name in names:
            yield kind, f"fit: {name}", message(regression.fit, **{"x": X, "labels": Y} | REFUSED[name][0])
    for name, call in CALLS.items():
        yield "dtypes, options", name, message(call)
    for line in LINES:
        yield "command line", line, of_line(line)


def table():
    """The rows as Markdown, without the folder that the files were in."""
    lines = ["| | input | message |", "|---|---|---|"]
    with tempfile.TemporaryDirectory() as folder:
        for kind, name, said in rows(Path(folder)):
            plain = re.sub(r"\s+", " ", said.replace(folder + "/", "")).replace("|", r"\|")
            lines.append(f"| {kind} | {name} | {plain} |")
    return "\n".join(lines)


if __name__ == "__main__":
    print(table())  # noqa: T201
