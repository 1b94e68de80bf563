"""`python -m jxent`: what it measures, what it refuses without leaving a trace, and how the process ends."""

import json
import math
import os
import signal
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest

from jxent import logits, probs
from jxent._cli import keys
from jxent._cli import train as train_command
from tests.commands import call, listing, numbers, pixels, train_on_pixels

pytestmark = pytest.mark.usefixtures("quick_compile")


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    return train_on_pixels(tmp_path_factory)


# measure


def test_measure_prints_the_example_of_the_documentation(capsys):
    status, out, err = call(capsys, "measure", "entropy", *["0.6", "0.1", "0.1", "0.1", "0.1", "--base", "10"])
    assert (status, err) == (0, "")
    assert out.startswith("0.533109")
    assert numbers(out)[0] == pytest.approx(-(0.6 * math.log10(0.6) + 0.4 * math.log10(0.1)), rel=1e-15)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("probs.entropy 0.5 0.25 0.25 --base 2", 1.5),
        ("entropy --base 2 0.5 0.5", 1.0),
        ("entropy 0.5 --base 2 0.5", 1.0),
        ("--base 2 entropy 0.5 0.5", 1.0),
        ("entropy -- 1 0", 0.0),
        ("entropy 3 1 --normalize", 0.25 * math.log(4) + 0.75 * math.log(4 / 3)),
        ("perplexity 0.25 0.25 0.25 0.25", 4.0),
        ("kl_divergence --p 0.5 0.5 --q 0.9 0.1", 0.5 * math.log(25 / 9)),
        ("kl_divergence --q 0.9 0.1 --p 0.5 0.5 --base 2", 0.5 * math.log2(25 / 9)),
        ("kl_divergence --p 0.5 0.5 --q 1 0", math.inf),
        ("cross_entropy --p 0 1 0 --q .3 .6 .1", -math.log(0.6)),
        ("jensen_shannon_divergence --p 1 0 --q 0 1 --base 2 --weight 0.5", 1.0),
        ("jensen_shannon_divergence --p 1 0 --q 0 1 --weight 0", 0.0),
        ("binary_entropy 0.5 --base 2", 1.0),
        ("binary_kl_divergence --p 0.5 --q 0.9", 0.5 * math.log(25 / 9)),
        ("self_information 0", math.inf),
        ("logits.entropy 0 -inf", 0.0),
        ("logits.entropy -inf -1.5 -1.5 --base 2", 1.0),
        ("logits.entropy -1e3 -1e3 -1e+3", math.log(3)),
        ("logits.entropy -- -inf 0 -inf", 0.0),
        ("logits.kl_divergence --p 0 0 --q 0 -inf", math.inf),
        ("logits.binary_probability inf", 1.0),
        ("logits.binary_entropy -Infinity", 0.0),
    ],
)
def test_measure_of_numbers(capsys, line, expected):
    status, out, err = call(capsys, "measure", *line.split())
    assert (status, err) == (0, "")
    assert numbers(out) == [pytest.approx(expected, rel=4e-15, abs=1e-300)]


def test_measure_is_computed_in_float64_and_leaves_the_flag_alone(capsys):
    before = jax.config.read("jax_enable_x64")
    _, out, _ = call(capsys, "measure", "entropy", "0.3", "0.7")
    assert numbers(out)[0] == pytest.approx(-0.3 * math.log(0.3) - 0.7 * math.log(0.7), rel=4e-15)
    assert jax.config.read("jax_enable_x64") == before


def test_measure_of_files_has_one_line_for_each_distribution(capsys, tmp_path):
    p = np.array([[0.5, 0.5], [0.9, 0.1], [1.0, 0.0]], np.float32)
    np.save(tmp_path / "p.npy", p)
    (tmp_path / "q.csv").write_text("0.5, 0.5\n\n0.5, 0.5\n0.25, 0.75\n")
    status, out, _ = call(capsys, "measure", "kl_divergence", tmp_path / "p.npy", tmp_path / "q.csv")
    expected = [0.0, math.log(2) + 0.9 * math.log(0.9) + 0.1 * math.log(0.1), math.log(4)]
    assert status == 0
    assert numbers(out) == [pytest.approx(e, abs=1e-7) for e in expected]
    assert numbers(out)[0] == 0.0  # Equal inputs: exactly 0.
    _, out, _ = call(capsys, "measure", "kl_divergence", "--p", tmp_path / "p.npy", "--q", "0.5", "0.5")
    assert len(numbers(out)) == 3  # One distribution against every row.
    np.save(tmp_path / "one.npy", np.array([1, 0]))
    assert call(capsys, "measure", "entropy", tmp_path / "one.npy")[1] == "0.0\n"
    _, out, _ = call(capsys, "measure", "logits.self_information", tmp_path / "q.csv", "--base", "2")
    assert [len(line.split()) for line in out.splitlines()] == [2, 2, 2]


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_measure_allows_for_the_rounding_of_the_type_on_file(capsys, tmp_path, dtype):
    np.save(tmp_path / "p.npy", np.full(3, 1 / 3, dtype))
    status, out, _ = call(capsys, "measure", "entropy", tmp_path / "p.npy")
    assert status == 0
    assert numbers(out) == [pytest.approx(math.log(3), abs=1e-3)]


def test_measure_as_json(capsys):
    _, out, _ = call(capsys, "measure", "entropy", "0.5", "0.5", "--base", "2", "--json")
    assert json.loads(out) == {"measure": "probs.entropy", "unit": "bits", "value": 1.0}
    _, out, _ = call(capsys, "measure", "self_information", "0", "1", "--json")
    assert json.loads(out) == {"measure": "probs.self_information", "unit": "nats", "value": ["inf", 0.0]}
    _, out, _ = call(capsys, "measure", "perplexity", "1", "0", "--json")
    assert json.loads(out)["unit"] is None


def test_measure_knows_every_public_measure_of_distributions(capsys):
    status, out, _ = call(capsys, "measure", "--list")
    assert status == 0
    assert all(len(line) <= 80 for line in out.splitlines())
    listed = {line.split()[0] for line in out.splitlines() if not line.startswith(" ")}
    # These take a function, axes by name or a vector beside the distributions.
    other = {"f_divergence", "marginal", "conditional", "fisher_vector_product", "natural_gradient"}
    for room in (probs, logits):
        names = {f"{room.__name__.removeprefix('jxent.')}.{name}" for name in room.__all__ if name not in other}
        assert names <= listed


# What is refused

BAD = [
    ("frobnicate", "unknown command 'frobnicate'"),
    ("trian --data digits", "did you mean train?"),
    ("train --out {new}", "required: --data"),
    ("train --data digits", "required: --out"),
    ("train --data pictures --out {new}", "expected one of digits"),
    ("train --data npz:{tmp}/none.npz --out {new}", "no such file"),
    ("train --data {data} --out {new} --l2 -1", "--l2: found -1, expected a number of at least 0"),
    ("train --data {data} --out {new} --l2 nan", "--l2: found nan"),
    ("train --data {data} --out {new} --test-fraction 1.5", "above 0 and below 1"),
    ("train --data {data} --out {new} --test-fraction 0.0001", "test_fraction"),
    ("train --data {data} --out {new} --max-steps 0", "whole number from 1"),
    ("train --data {data} --out {new} --seed x", "--seed: found 'x'"),
    ("train --data {data} --out {new} --tolerance 0", "--tolerance"),
    ("train --data {data} --out {new} --header yes", "header"),
    ("train --data {data} --out {new} --header maybe", "invalid choice"),
    ("train --data {data} --out {new} --bogus", "unrecognized arguments: --bogus"),
    ("train --data {data} --out {run}", "not empty; choose another, or replace it with --force"),
    ("train --data {data} --out {file} --force", "is a file"),
    ("train --data {data} --out {file}/run", "is a file"),
    ("train --data npz:{same} --out {new}", "found one class only"),
    ("train --data npz:{huge} --out {new}", "float32"),
    ("evaluate {tmp} --data {data}", "found no params.npz"),
    ("evaluate {run}", "required: --data"),
    ("evaluate {run} --data npz:{wide}", "found 5 features, expected 4"),
    ("evaluate {run} --data npz:{strange}", "found the class 'dog', which the model does not know"),
    ("evaluate {run} --data npz:{soft}", "distributions over 2 classes, expected 3"),
    ("predict {run} --data {data} --out {file}", "exists; choose another"),
    ("predict {run} --data {data} --out {tmp}", "no regular file"),
    ("predict {run} --data digits --label none", "csv:FILE or npz:FILE only"),
    ("predict {run} --data csv:{csv}", "--label none"),
    ("measure", "found no name"),
    ("measure entorpy 0.5 0.5", "probs.entropy"),
    ("measure rooms.entropy 0.5 0.5", "measure --list"),
    ("measure entropy", "expected one distribution"),
    ("measure entropy 0.5 half", "'half'"),
    ("measure entropy {tmp}/none.npy", "found no file"),
    ("measure entropy {csv} {csv}", "expected one distribution"),
    ("measure entropy {file}", "expected numbers or a .npy or .csv file"),
    ("measure entropy 0.5 0.4", "row 0 sums to 0.9, expected 1"),
    ("measure entropy -0.5 1.5", "found -0.5 in row 0, number 0"),
    ("measure entropy -1 2 --normalize", "found -1"),
    ("measure entropy 0 0 --normalize", "sums to 0"),
    ("measure entropy nan 1", "found nan"),
    ("measure entropy inf 1", "sums to inf"),
    ("measure entropy {rows}", "row 1 sums to 1.5"),
    ("measure mutual_information {rows}", "p: the table sums to 2.5, expected 1"),
    ("measure renyi_entropy 0.5 0.5 --order 2", "renyi_entropy takes none; it takes --alpha"),
    ("train --data mine.npz --out out", "did you mean npz:mine.npz?"),
    ("train --data digits --out out --optimiser newton", "did you mean --optimizer?"),
    ("train --data digits --out out --steps 3", "did you mean --max-steps?"),
    ("measure entropy {pickle}", "no plain npy array"),
    ("measure entropy 0.5 0.5 --base 1", "base"),
    ("measure entropy 0.5 0.5 --base two", "expected a number"),
    ("measure entropy 0.5 0.5 --weight 0.5", "--weight: probs.entropy takes none"),
    ("measure entropy --p 1 0 --q 1 0", "takes one distribution"),
    ("measure kl_divergence 0.5 0.5", "expected two distributions"),
    ("measure kl_divergence --p 0.5 0.5", "found --p alone"),
    ("measure kl_divergence --p 0.5 0.5 --q 0.2 0.3 0.5", "2 against 3"),
    ("measure kl_divergence 1 0 --q 1 0", "one or the other"),
    ("measure jensen_shannon_divergence --p 1 0 --q 0 1 --weight 2", "weight"),
    ("measure binary_entropy 1.5", "at most 1"),
    ("measure binary_entropy 0.5 --normalize", "nothing to normalize"),
    ("measure logits.entropy 1 2 --normalize", "nothing to normalize"),
    ("measure logits.entropy -inf -inf", "holds only -inf"),
    ("measure logits.entropy inf 0", "found inf"),
]


@pytest.fixture(scope="module")
def places(trained, tmp_path_factory):
    tmp = tmp_path_factory.mktemp("bad")
    x, y = pixels(6)
    np.savez(tmp / "same.npz", x=x, y=np.array(["ant"] * 6))
    np.savez(tmp / "huge.npz", x=np.array([[1.0], [1e300], [2.0], [3.0], [4.0]]), y=[0, 1, 0, 1, 0])
    np.savez(tmp / "wide.npz", x=np.ones((6, 5)), y=y)
    np.savez(tmp / "strange.npz", x=x, y=["dog", *y[1:]])
    np.savez(tmp / "soft.npz", x=x, y=np.full((6, 2), 0.5))
    np.save(tmp / "rows.npy", [[0.5, 0.5], [0.5, 1.0]])
    np.save(tmp / "pickle.npy", np.array([{}]), allow_pickle=True)
    (tmp / "features.csv").write_text("1,2,3,4\n5,6,7,8\n")
    (tmp / "file").write_text("precious")
    names = {p.stem: p for p in tmp.glob("*.np?")}
    return names | {
        "tmp": tmp,
        "new": tmp / "new",
        "file": tmp / "file",
        "csv": tmp / "features.csv",
        "run": trained / "run",
        "data": f"npz:{trained / 'data.npz'}",
    }


@pytest.mark.parametrize(("line", "fragment"), BAD, ids=[line for line, _ in BAD])
def test_bad_usage_is_one_line_and_exit_code_2(capsys, places, line, fragment):
    before = listing(places["tmp"]), listing(places["run"])
    status, out, err = call(capsys, *line.format(**places).split())
    assert (status, out) == (2, "")
    assert err.startswith("jxent: error: ")
    assert err.count("\n") == 1
    assert fragment in err
    assert (listing(places["tmp"]), listing(places["run"])) == before
    assert not places["new"].exists()


# The process


def run_python(*argv, **options):
    return subprocess.run(
        [sys.executable, "-m", "jxent", *argv], capture_output=True, text=True, timeout=300, check=False, **options
    )


def test_help_needs_no_jax(capsys):
    result = subprocess.run(
        [
            sys.executable,
            "-c",
            "import sys; from jxent._cli.main import main; codes = [main(a.split()) for a in "
            "('', '--help', 'train --help', 'evaluate -h', 'predict -h', 'measure -h', '--version', 'nonsense')];"
            "print(codes, 'jax' in sys.modules, 'numpy' in sys.modules)",
        ],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
        env={**os.environ, "COLUMNS": "80"},
    )
    assert result.stdout.splitlines()[-1] == "[0, 0, 0, 0, 0, 0, 0, 2] False False"
    assert all(len(line) <= 80 for line in result.stdout.splitlines())
    assert all(key in result.stdout for key in keys.METRICS)
    assert call(capsys)[1] == call(capsys, "--help")[1]


def test_module_runs_in_a_terminal_of_ascii_and_into_a_closed_pipe():
    plain = {**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    command = f"{sys.executable} -m jxent measure --list"
    result = subprocess.run(
        ["bash", "-c", f"{command} | tail -40; {command} | true; echo ${{PIPESTATUS[0]}}"],
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
        env=plain,
    )
    assert result.stderr == ""
    assert result.stdout.splitlines()[-1] == "141"
    assert "units" in result.stdout


def test_module_exits_with_the_code_of_the_command():
    result = run_python("measure", "entropy", "0.5", "0.6")
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr == ("jxent: error: p: row 0 sums to 1.1, expected 1: correct it or give --normalize\n")


def test_ctrl_c_during_a_fit_ends_with_130_and_leaves_nothing(tmp_path):
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "data.npz", x=rng.normal(size=(4000, 100)), y=rng.integers(0, 9, 4000))
    options = ["--max-steps", "1000000", "--tolerance", "1e-30"]  # It would run for hours.
    # A suite that runs in the background inherits an ignored Ctrl-C, and its children would too.
    start = "import os, signal, sys; signal.signal(signal.SIGINT, signal.SIG_DFL); os.execv(sys.argv[1], sys.argv[1:])"
    command = [sys.executable, "-m", "jxent", "train", "--data", "npz:data.npz", "--out", "models/run", *options]
    process = subprocess.Popen(
        [sys.executable, "-c", start, *command],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    try:
        assert any("at most 1000000 steps" in line for line in process.stdout)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=120)
    finally:
        process.kill()
        process.communicate()
    assert (process.returncode, err) == (130, "jxent: interrupted\n")
    assert [p.name for p in tmp_path.iterdir()] == ["data.npz"]


def test_a_place_that_cannot_be_written_is_refused_before_any_work(capsys, monkeypatch, tmp_path):
    def refuse(self, *args, **kwargs):
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(train_command, "_prepare", lambda args: pytest.fail("read the data"))
    monkeypatch.setattr(Path, "mkdir", refuse)
    status, out, err = call(capsys, "train", "--data", "digits", "--out", tmp_path / "run")
    assert (status, out, err) == (1, "", f"jxent: error: {tmp_path}: Permission denied\n")


def test_compiled_programs_are_kept_in_the_cache_folder_of_the_user(tmp_path):
    """By the second command nothing is compiled anew; --no-cache keeps nothing."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("JAX_")} | {"XDG_CACHE_HOME": str(tmp_path)}

    def measured(*options):
        words = [sys.executable, "-m", "jxent", "measure", "entropy", "0.5", "0.5", *options]
        done = subprocess.run(words, env=environment, capture_output=True, text=True, check=True)
        return done.stdout

    folder = tmp_path / "jxent" / "programs"
    first = measured("--no-cache")
    assert not folder.exists()
    assert measured() == first
    kept = sorted(p.name for p in folder.iterdir())
    assert kept
    assert measured() == first
    assert sorted(p.name for p in folder.iterdir() if not p.name.endswith("-atime")) == [
        name for name in kept if not name.endswith("-atime")
    ]
