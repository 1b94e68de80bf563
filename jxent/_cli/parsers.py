"""The options of every command. JAX is not imported, so that `--help` is quick."""

import argparse
import math
import textwrap
from collections.abc import Callable, Sequence
from difflib import get_close_matches
from typing import NoReturn

from jxent._cli.keys import METRICS
from jxent._cli.problems import UsageError

OVERVIEW = """\
usage: python -m jxent COMMAND ...

Information theory for JAX, from the command line.

commands:
  train       fit a softmax regression and report what it has learned in bits
  evaluate    score a fitted model on data
  predict     write the probabilities that a fitted model gives each class
  measure     entropy, divergence or another measure of given distributions
  estimate    entropy of the columns of a CSV file, information between two

examples:
  python -m jxent train --data digits --out run
  python -m jxent train --data npy:x.npy,y.npy --out big --checkpoint kept
  python -m jxent evaluate run --data npz:more.npz
  python -m jxent predict run --data csv:new.csv --label none --out answers.csv
  python -m jxent measure entropy 0.6 0.1 0.1 0.1 0.1 --base 10
  python -m jxent measure kl_divergence --p 0.5 0.5 --q 0.9 0.1 --base 2
  python -m jxent measure --list
  python -m jxent estimate survey.csv age answer

options:
  -h, --help     show this text; COMMAND --help shows that of a command
  -V, --version  show the version

exit codes: 0 success, 2 bad usage or bad input, 130 stopped by Ctrl-C,
141 output closed early, 1 any other failure
"""

_DATA = """\
data:
  digits            1797 handwritten digits that come with scikit-learn
  idx:PATH          a folder or file in the format of MNIST, or IMAGES,LABELS
  npz:FILE          arrays x [N, D] and y, N labels or N rows of probabilities,
                    and perhaps x_test and y_test
  npy:X,Y           two files of np.save; X stays on the disk while it is used
  csv:FILE          numbers and one column of labels, the last unless --label
  parquet:FILE      the same, in columns
  libsvm:FILE       label index:value ..., a row a line
"""


class _Parser(argparse.ArgumentParser):
    """argparse with errors of one line."""

    def error(self, message: str) -> NoReturn:
        options = [name for action in self._actions for name in action.option_strings if name.startswith("--")]
        words = message.split() if message.startswith("unrecognized arguments") else []
        for word in (word.partition("=")[0] for word in words if word.startswith("--")):
            inside = [name for name in options if word.removeprefix("--") in name]
            close = get_close_matches(word, options, n=1) or inside[:1]
            if close:
                raise UsageError(f"{message}: did you mean {close[0]}? see {self.prog} --help")
        raise UsageError(f"{message}; see {self.prog} --help")


def _parser(command: str, description: str, epilog: str, usage: str | None = None) -> _Parser:
    parser = _Parser(
        prog=f"python -m jxent {command}",
        usage=usage,
        description=textwrap.fill(description, 78),
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument(
        "--no-cache", action="store_true", help="compile anew, and keep nothing in the user's cache folder"
    )
    return parser


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"found {text.strip()!r}, expected a number") from None


def _checked(test: Callable[[float], bool], expected: str) -> Callable[[str], float]:
    def convert(text: str) -> float:
        value = _number(text)
        if not test(value):
            raise argparse.ArgumentTypeError(f"found {text.strip()}, expected {expected}")
        return value

    return convert


def _integer(low: int, high: int) -> Callable[[str], int]:
    def convert(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = low - 1
        if not low <= value <= high:
            raise argparse.ArgumentTypeError(f"found {text!r}, expected a whole number from {low} to {high}")
        return value

    return convert


def penalties(text: str) -> list[float]:
    """The penalties, from their number or from a list of them."""
    if text.isascii() and text.isdigit():
        count = _integer(2, 10_000)(text)
        return [10 ** (2 - 8 * i / (count - 1)) for i in range(count)]
    return [_checked(lambda v: 0 <= v < math.inf, "numbers of at least 0")(part) for part in text.split(",")]


def _mesh(text: str) -> dict[str, int]:
    """The number of devices along each axis."""
    axes: dict[str, int] = {}
    for part in text.split(","):
        name, _, count = part.partition("=")
        if name not in ("rows", "classes") or name in axes:
            raise argparse.ArgumentTypeError(f"found {text!r}, expected rows=N, classes=M or both, as rows=4,classes=2")
        axes[name] = _integer(1, 1 << 20)(count)
    return axes


def _add_data(parser: _Parser, label: str = "csv and parquet only: the column of the labels") -> None:
    parser.add_argument("--data", required=True, metavar="SPEC", help="what to read, see below")
    parser.add_argument(
        "--header", choices=("yes", "no"), help="csv only: whether the first row holds names (default: look)"
    )
    parser.add_argument("--label", metavar="NAME|INDEX", help=label)


def train(argv: Sequence[str]) -> argparse.Namespace:
    """Options of `train`."""
    keys = "".join(
        f"  {key}\n" + textwrap.indent(textwrap.fill(text, 70), " " * 8) + "\n" for key, text in METRICS.items()
    )
    parser = _parser(
        "train",
        "Fit a softmax regression in float32: mean cross-entropy + l2/2 * |weights|^2. Reports each step "
        "as it runs, in nats, bits and hartleys.",
        f"{_DATA}\nfiles in DIR:\n"
        "  params.npz        weights [D, K], bias [K], classes [K], scale, format\n"
        "  metrics.json      the numbers below\n"
        "  weights.png, loss.png, confusion.png    where matplotlib is installed\n"
        f'\nmetrics.json, and --json, which adds out and files; infinity is "inf":\n{keys}',
    )
    _add_data(parser)
    parser.add_argument("--out", required=True, metavar="DIR", help="folder for the files")
    parser.add_argument("--force", action="store_true", help="replace the files of an earlier run in DIR")
    parser.add_argument(
        "--l2",
        type=_checked(lambda v: 0 <= v < math.inf, "a number of at least 0"),
        metavar="X",
        help="penalty (default: 1/N for N training rows; with 0 separable data has no optimum)",
    )
    parser.add_argument(
        "--test-fraction",
        type=_checked(lambda v: 0 < v < 1, "a number above 0 and below 1"),
        default=0.2,
        metavar="X",
        help="rows held out, where the data have no test part of their own (default: 0.2)",
    )
    parser.add_argument(
        "--seed", type=_integer(0, 2**32 - 1), default=0, metavar="N", help="seed of the split (default: 0)"
    )
    parser.add_argument(
        "--path",
        type=penalties,
        metavar="N|X,X,...",
        help="choose the penalty by cross-validation, among N from 100 to 1e-6, or among those given",
    )
    parser.add_argument(
        "--cv",
        type=_integer(2, 1000),
        metavar="FOLDS",
        help="folds of --path (default: 5); without --path, of 25 penalties",
    )
    parser.add_argument(
        "--optimizer",
        choices=("lbfgs", "newton", "adam", "sgd"),
        default="lbfgs",
        help="newton for tight tolerances; adam and sgd of optax, for --batch-size (default: lbfgs)",
    )
    parser.add_argument(
        "--learning-rate",
        type=_checked(lambda v: 0 < v < math.inf, "a number above 0"),
        metavar="X",
        help="step size of adam and sgd (default: 0.01)",
    )
    parser.add_argument(
        "--batch-size", type=_integer(1, 2**31 - 1), metavar="ROWS", help="rows a step, for adam and sgd (default: all)"
    )
    parser.add_argument(
        "--mesh",
        type=_mesh,
        metavar="rows=N,classes=M",
        help="devices that share the rows and the classes (default: one device)",
    )
    parser.add_argument(
        "--checkpoint", metavar="DIR", help="keep the fit there from time to time; the same command goes on from it"
    )
    parser.add_argument(
        "--checkpoint-every",
        type=_integer(1, 10**7),
        metavar="STEPS",
        help="steps between checkpoints (default: 100)",
    )
    parser.add_argument(
        "--max-steps",
        type=_integer(1, 10**7),
        default=1000,
        metavar="N",
        help="most parameter updates (default: 1000)",
    )
    parser.add_argument(
        "--tolerance",
        type=_checked(lambda v: 0 < v < math.inf, "a number above 0"),
        metavar="X",
        help="converged when no gradient entry is larger (default: 1e-6)",
    )
    parser.add_argument("--no-progress", action="store_true", help="no progress bar on a terminal")
    parser.add_argument("--json", action="store_true", help="print one JSON object and nothing else")
    return parser.parse_args(argv)


def evaluate(argv: Sequence[str]) -> argparse.Namespace:
    """Options of `evaluate`."""
    parser = _parser(
        "evaluate",
        "Score a fitted model on the test part of the data if they have one of their own, else on all rows. "
        "The features are divided by the scale that the model was trained with.",
        _DATA,
    )
    parser.add_argument("model", metavar="DIR", help="folder written by train")
    _add_data(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON object and nothing else")
    return parser.parse_args(argv)


def predict(argv: Sequence[str]) -> argparse.Namespace:
    """Options of `predict`."""
    parser = _parser(
        "predict",
        "Write csv: index, class, and a column p_CLASS for the probability of each class. Rows are those of "
        "the test part of the data if they have one of their own, else all of them.",
        f"{_DATA}\n--label none reads data without labels: csv files of features only, and\n"
        "npz files for their array x alone.\n",
    )
    parser.add_argument("model", metavar="DIR", help="folder written by train")
    _add_data(parser, "csv and parquet: the column of the labels; none: the data have no labels")
    parser.add_argument("--out", metavar="FILE", help="file to write (default: standard output)")
    parser.add_argument("--force", action="store_true", help="replace an existing FILE")
    return parser.parse_args(argv)


def measure(argv: Sequence[str]) -> argparse.Namespace:
    """Options of `measure`."""
    parser = _parser(
        "measure",
        "Compute a measure in float64, one line for each distribution. Room is probs (probabilities, the "
        "default) or logits (log-probabilities up to a constant; -inf is probability zero).",
        "A FILE is .npy or .csv (no header) with one distribution a row. Two of them are\n"
        "two files, or --p and --q: numbers or one file each, in the order of the\n"
        "formula. What follows -- is taken as numbers and files.\n"
        "\nexamples:\n"
        "  python -m jxent measure entropy 0.6 0.1 0.1 0.1 0.1 --base 10\n"
        "  python -m jxent measure kl_divergence p.npy q.npy --base 2\n"
        "  python -m jxent measure jensen_shannon_divergence --p 1 0 --q 0 1 --weight 0.3\n"
        "  python -m jxent measure logits.entropy -1.5 0 -inf\n",
        usage="python -m jxent measure [ROOM.]NAME [NUMBER ... | FILE [FILE]] [options]\n"
        "       python -m jxent measure --list",
    )
    parser.add_argument("arguments", nargs="*", help=argparse.SUPPRESS)
    parser.add_argument("--list", action="store_true", help="list all measures")
    for name, which in (("p", "first or only"), ("q", "second")):
        parser.add_argument(f"--{name}", nargs="+", metavar="X", help=f"the {which} distribution")
    parser.add_argument("--base", type=_number, metavar="B", help="2: bits, 10: hartleys (default: nats)")
    for name in ("weight", "alpha", "order"):
        parser.add_argument(f"--{name}", type=_number, metavar="X", help=f"{name} of the measures that have one")
    parser.add_argument("--normalize", action="store_true", help="divide each distribution by its sum")
    parser.add_argument("--json", action="store_true", help="print one JSON object and nothing else")
    # argparse reads -inf and -1e-3 as options. A space in front makes them values, and float() ignores it.
    end = list(argv).index("--") if "--" in argv else len(argv)
    before = [f" {a}" if a.startswith("-") and _is_number(a) else a for a in argv[:end]]
    args = parser.parse_intermixed_args(before)
    args.arguments = [a.strip() for a in args.arguments] + list(argv[end + 1 :])
    return args


def estimate(argv: Sequence[str]) -> argparse.Namespace:
    """Options of `estimate`."""
    parser = _parser(
        "estimate",
        "Estimate, from the rows of a CSV file, the entropy of its columns or the mutual information of two of "
        "them, in nats, bits and hartleys.",
        "A column of numbers, none on more than three rows, is taken as continuous and\n"
        "measured from nearest neighbours; any other as labels, by counts. The output\n"
        "says which; --labels and --numbers decide otherwise.\n"
        "\nThe entropy of labels is given as observed, corrected by Miller and Madow, by\n"
        "Chao and Shen as if labels that were not seen existed, and as the posterior\n"
        "mean of Nemenman, Shafee and Bialek (NSB) as if none did. Information as\n"
        "observed is too high by about what chance alone would give; quote the corrected\n"
        "number. Estimates below 0 mean no information.\n"
        "\nexamples:\n"
        "  python -m jxent estimate survey.csv              entropy of every column\n"
        "  python -m jxent estimate survey.csv answer       of one\n"
        "  python -m jxent estimate survey.csv age answer   information between two\n",
        usage="python -m jxent estimate FILE [COLUMN [COLUMN]] [options]",
    )
    parser.add_argument("file", metavar="FILE", help="a CSV file, as of a spreadsheet")
    parser.add_argument("columns", nargs="*", metavar="COLUMN", help="a name or an index (default: every column)")
    for kind in ("labels", "numbers"):
        parser.add_argument(f"--{kind}", nargs="*", metavar="COLUMN", help=f"take these as {kind}; alone: every column")
    parser.add_argument("--header", choices=("yes", "no"), help="whether the first row holds names (default: look)")
    parser.add_argument("--seed", type=_integer(0, 2**32 - 1), default=0, metavar="N", help="seed of the permutations")
    parser.add_argument("--json", action="store_true", help="print one JSON object and nothing else")
    args = parser.parse_args(argv)
    if len(args.columns) > 2:
        raise UsageError(f"estimate: found {len(args.columns)} columns, expected at most two")
    return args


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


COMMANDS: dict[str, Callable[[Sequence[str]], argparse.Namespace]] = {
    "train": train,
    "evaluate": evaluate,
    "predict": predict,
    "measure": measure,
    "estimate": estimate,
}
