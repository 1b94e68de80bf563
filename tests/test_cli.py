"""`python -m jxent`: what it prints, what it writes, and what it refuses without leaving a trace."""

import csv
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

from jxent import logits, probs, regression
from jxent._cli import keys, model, pictures, store
from jxent._cli import train as train_command
from jxent._cli.main import main
from tests.processes import written

pytestmark = pytest.mark.usefixtures("quick_compile")
CLASSES = ["ant", "bee", "cat"]
FILES = {"params.npz", "metrics.json", "weights.png", "loss.png", "confusion.png"}


def pixels(n=90, seed=0):
    """Four pixels of 0 to 255 that tell three classes apart, with some overlap."""
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % 3
    centres = np.array([[200, 40, 40, 90], [40, 200, 40, 90], [60, 60, 190, 90]])
    x = np.clip(centres[labels] + rng.normal(0, 50, (n, 4)), 0, 255).astype(np.uint8)
    return x, np.array(CLASSES)[labels]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder with a data set and the model that was trained on it."""
    folder = tmp_path_factory.mktemp("cli")
    x, y = pixels()
    np.savez(folder / "data.npz", x=x, y=y)
    assert main(["train", "--data", f"npz:{folder / 'data.npz'}", "--out", str(folder / "run"), "--json"]) == 0
    return folder


@pytest.fixture
def without_matplotlib(monkeypatch):
    monkeypatch.setattr(pictures, "draw", lambda *args: [])


def call(capsys, *argv):
    """Exit code, stdout and stderr of one command."""
    status = main([str(a) for a in argv])
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def numbers(text):
    return [float(line) for line in text.split()]


def listing(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


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


# train


def test_train_writes_files_and_documented_metrics(trained):
    folder = trained / "run"
    assert {p.name for p in folder.iterdir()} == FILES
    metrics = json.loads((folder / "metrics.json").read_text())
    assert set(metrics) == set(keys.METRICS)
    assert metrics["num_train"] == 72
    assert metrics["num_test"] == 18
    assert metrics["l2"] == pytest.approx(1 / 72)
    assert metrics["scale"] == 255.0
    assert metrics["initial_cross_entropy_nats"] == pytest.approx(math.log(3), rel=1e-6)
    assert metrics["converged"] is True
    assert metrics["gradient_agrees"] is True
    assert metrics["test_cross_entropy_bits"] == pytest.approx(metrics["test_cross_entropy_nats"] / math.log(2))
    assert metrics["test_bits_saved_against_guessing"] == pytest.approx(
        math.log2(3) - metrics["test_cross_entropy_bits"]
    )
    assert metrics["test_accuracy"] > 0.7
    with np.load(folder / "params.npz", allow_pickle=False) as arrays:
        assert arrays["weights"].shape == (4, 3)
        assert arrays["weights"].dtype == np.float32
        assert arrays["bias"].shape == (3,)
        assert arrays["classes"].tolist() == CLASSES
        assert arrays["scale"] == 255.0
        assert arrays["format"] == model.FORMAT
    assert all((folder / name).read_bytes().startswith(b"\x89PNG") for name in store.PICTURES)
    assert all(p.stat().st_mode & 0o444 for p in folder.iterdir())


def test_train_tells_the_story_in_80_columns(capsys, trained, tmp_path, monkeypatch):
    monkeypatch.chdir(trained)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    out_dir = tmp_path / "deep" / "run"
    status, out, err = call(capsys, "train", "--data", "npz:data.npz", "--out", out_dir, "--max-steps", "3")
    assert status == 0
    assert {p.name for p in out_dir.iterdir()} == {"params.npz", "metrics.json"}
    assert err.startswith("jxent: warning: not converged after 3")
    assert err.count("\n") == 1
    assert json.loads((out_dir / "metrics.json").read_text())["converged"] is False
    lines = [line for line in out.splitlines() if str(tmp_path) not in line]
    assert all(len(line) <= 80 for line in lines)
    for words in ("72 training rows and 18 held out", "entropy of the labels", "autodiff against the closed form"):
        assert words in out
    for words in ("hartleys", "accuracy", "saved against guessing among 3", 'pip install "jxent[plots]"'):
        assert words in out


def test_train_json_is_one_object(capsys, trained, tmp_path, without_matplotlib):
    status, out, err = call(
        capsys, "train", "--data", f"npz:{trained / 'data.npz'}", "--out", tmp_path / "run", "--json", "--l2", "0.01"
    )
    assert (status, err) == (0, "")
    printed = json.loads(out)
    assert set(printed) == {*keys.METRICS, "out", "files"}
    assert printed["l2"] == 0.01
    assert set(printed["files"]) == {"params.npz", "metrics.json"}
    assert all(Path(path).is_file() for path in printed["files"].values())


def test_train_uses_the_test_part_of_the_data_and_soft_labels(capsys, tmp_path, without_matplotlib):
    x, _ = pixels(30)
    y = np.full((30, 3), 0.1)
    y[np.arange(30), np.arange(30) % 3] = 0.8
    np.savez(tmp_path / "soft.npz", x=x / 255, y=y, x_test=x[:6] / 255, y_test=y[:6])
    status, out, _ = call(
        capsys, "train", "--data", f"npz:{tmp_path / 'soft.npz'}", "--out", tmp_path / "run", "--json"
    )
    metrics = json.loads(out)
    assert status == 0
    assert metrics["own_test_part"] is True
    assert metrics["num_test"] == 6
    assert metrics["label_entropy_nats"] == pytest.approx(math.log(3), rel=1e-6)
    floor = -(0.8 * math.log(0.8) + 0.2 * math.log(0.1))
    assert metrics["train_cross_entropy_nats"] >= floor * (1 - 1e-6)
    assert metrics["test_accuracy"] > 0.7
    _, out, _ = call(capsys, "evaluate", tmp_path / "run", "--data", f"npz:{tmp_path / 'soft.npz'}", "--json")
    scored = json.loads(out)
    assert scored["part"] == "the test part"
    assert scored["num_rows"] == 6
    assert scored["cross_entropy_nats"] == pytest.approx(metrics["test_cross_entropy_nats"], rel=1e-6)


def test_force_replaces_the_files_of_a_run_and_keeps_others(capsys, trained, tmp_path, without_matplotlib):
    run = tmp_path / "run"
    run.mkdir()
    argv = ["train", "--data", f"npz:{trained / 'data.npz'}", "--out", run, "--json", "--l2"]
    assert call(capsys, *argv, "1")[0] == 0  # An empty folder needs no --force.
    (run / "notes.txt").write_text("precious")
    (run / "loss.png").write_text("of an earlier run")
    before = listing(run)
    assert call(capsys, *argv, "0.5")[0] == 2
    assert listing(run) == before
    assert call(capsys, *argv, "0.5", "--force")[0] == 0
    assert {p.name for p in run.iterdir()} == {"params.npz", "metrics.json", "notes.txt"}
    assert json.loads((run / "metrics.json").read_text())["l2"] == 0.5
    assert (run / "notes.txt").read_text() == "precious"


@pytest.mark.parametrize(
    ("error", "status", "message"),
    [
        (KeyboardInterrupt(), 130, "interrupted"),
        (OSError(28, "No space left on device"), 1, "No space left on device"),
        (FloatingPointError("the objective became nan"), 1, "the objective became nan"),
        (MemoryError("Unable to allocate"), 1, "out of memory"),
    ],
)
@pytest.mark.parametrize("existing", [False, True])
@pytest.mark.parametrize("moment", ["draw", "save", "fit", "rename"])
def test_a_failed_run_leaves_everything_as_it_was(
    capsys, trained, tmp_path, monkeypatch, error, status, message, existing, moment
):
    run = tmp_path / "models" / "run"
    if existing:
        run.mkdir(parents=True)
        for name in FILES:
            (run / name).write_text(f"old {name}")
    before = listing(tmp_path)
    rename, renamed = Path.rename, []

    def fail(*args, **kwargs):
        raise error

    def fail_at_the_end(self, target):
        renamed.append(self)
        if len(renamed) == (8 if existing else 1):
            raise error
        return rename(self, target)

    if moment == "rename":
        monkeypatch.setattr(Path, "rename", fail_at_the_end)
    else:
        owner = {"draw": pictures, "save": model, "fit": regression}[moment]
        monkeypatch.setattr(owner, moment, fail)
    stop = ["--max-steps", "400", "--force", "--json"]
    outcome = call(capsys, "train", "--data", f"npz:{trained / 'data.npz'}", "--out", run, *stop)
    assert outcome[:2] == (status, "")
    assert message in outcome[2]
    assert outcome[2].count("\n") == 1
    assert listing(tmp_path) == before
    assert [p.name for p in tmp_path.iterdir()] == (["models"] if existing else [])


def test_nothing_is_read_before_an_existing_folder_is_refused(capsys, trained, monkeypatch):
    monkeypatch.setattr(train_command, "_prepare", lambda args: pytest.fail("read the data"))
    assert call(capsys, "train", "--data", "digits", "--out", trained / "run")[0] == 2


# evaluate and predict


def test_evaluate_applies_the_scale_and_knows_the_classes(capsys, trained, tmp_path):
    x, y = pixels(40, seed=1)
    keep = y != "ant"  # Two of the three classes: ids of the file are not those of the model.
    np.savez(tmp_path / "more.npz", x=x[keep], y=y[keep])
    argv = ["evaluate", trained / "run", "--data", f"npz:{tmp_path / 'more.npz'}"]
    status, out, err = call(capsys, *argv, "--json")
    assert (status, err) == (0, "")
    scored = json.loads(out)
    with np.load(trained / "run" / "params.npz") as arrays:
        z = x[keep] / 255.0 @ arrays["weights"] + arrays["bias"]
    ids = np.array([CLASSES.index(label) for label in y[keep]])
    p = np.exp(z) / np.exp(z).sum(1, keepdims=True)
    expected = -np.log(p[np.arange(len(ids)), ids]).mean()
    assert scored["cross_entropy_nats"] == pytest.approx(expected, rel=1e-5)
    assert scored["cross_entropy_hartleys"] == pytest.approx(expected / math.log(10), rel=1e-5)
    assert scored["accuracy"] == pytest.approx(np.mean(z.argmax(1) == ids))
    assert scored["part"] == "all rows"
    status, out, _ = call(capsys, *argv)
    assert status == 0
    assert "hartleys" in out
    assert "accuracy" in out
    assert "scored on all" in out


def test_evaluate_says_when_the_data_look_scaled_differently(capsys, trained, tmp_path):
    x, y = pixels(9)
    np.savez(tmp_path / "unit.npz", x=x / 255.0, y=y)
    status, _, err = call(capsys, "evaluate", trained / "run", "--data", f"npz:{tmp_path / 'unit.npz'}")
    assert status == 0
    assert err.startswith("jxent: warning: ")
    assert "divided by 255" in err


def test_predict_writes_csv_that_reads_back_as_the_same_float32(capsys, trained, tmp_path):
    run, data = trained / "run", f"npz:{trained / 'data.npz'}"
    status, out, err = call(capsys, "predict", run, "--data", data)
    assert (status, err) == (0, "")
    header, *rows = csv.reader(out.splitlines())
    assert header == ["index", "class", "p_ant", "p_bee", "p_cat"]
    assert [int(row[0]) for row in rows] == list(range(90))
    fitted = model.load(str(run))
    expected = np.asarray(regression.predict_proba(fitted.params, pixels()[0].astype(np.float32) / np.float32(255)))
    found = np.array([row[2:] for row in rows], np.float32)
    assert np.array_equal(found, expected)
    assert [row[1] for row in rows] == [CLASSES[i] for i in expected.argmax(1)]
    target = tmp_path / "new" / "answers.csv"
    assert call(capsys, "predict", run, "--data", data, "--out", target)[0] == 0
    assert target.read_text() == out
    assert call(capsys, "predict", run, "--data", data, "--out", target)[0] == 2
    assert call(capsys, "predict", run, "--data", data, "--out", target, "--force")[0] == 0
    assert [p.name for p in target.parent.iterdir()] == ["answers.csv"]


@pytest.mark.parametrize(("error", "status"), [(KeyboardInterrupt(), 130), (OSError(28, "No space left"), 1)])
def test_a_failed_predict_leaves_the_file_as_it_was(capsys, trained, tmp_path, monkeypatch, error, status):
    target = tmp_path / "answers.csv"
    target.write_text("old")

    def fail(path):
        raise error

    monkeypatch.setattr(store, "_sync", fail)
    argv = ["predict", trained / "run", "--data", f"npz:{trained / 'data.npz'}", "--out", target, "--force"]
    assert call(capsys, *argv)[0] == status
    assert listing(tmp_path) == {"answers.csv": b"old"}


def test_predict_of_data_without_labels(capsys, trained, tmp_path):
    x, _ = pixels(5)
    (tmp_path / "x.csv").write_text("a,b,c,d\n" + "".join(",".join(map(str, row)) + "\n" for row in x.tolist()))
    np.savez(tmp_path / "x.npz", x=x)
    tables = []
    for spec in (f"csv:{tmp_path / 'x.csv'}", f"npz:{tmp_path / 'x.npz'}"):
        status, out, _ = call(capsys, "predict", trained / "run", "--data", spec, "--label", "none")
        assert status == 0
        tables.append(out)
    assert tables[0] == tables[1]
    assert len(tables[0].splitlines()) == 6
    (tmp_path / "bad.csv").write_text("1,2,3,4\n1,2,x,4\n")
    status, _, err = call(
        capsys, "predict", trained / "run", "--data", f"csv:{tmp_path / 'bad.csv'}", "--label", "none"
    )
    assert status == 2
    assert "line 2: found 'x'" in err


def arrays_of(trained, **changes):
    with np.load(trained / "run" / "params.npz") as arrays:
        return {name: array for name, array in {**arrays, **changes}.items() if array is not None}


@pytest.mark.parametrize(
    ("changes", "fragment"),
    [
        ({"format": np.array("other-2")}, "found the format 'other-2'"),
        ({"weights": np.full((4, 3), np.nan, np.float32)}, "not finite"),
        ({"weights": np.zeros((4, 3))}, "float64, expected float32"),
        ({"weights": np.zeros((4, 2), np.float32)}, "3 biases"),
        ({"weights": np.zeros(4, np.float32)}, "expected [D, K]"),
        ({"bias": None}, "found no array bias"),
        ({"classes": np.array(["a", "a", "b"])}, "not distinct"),
        ({"classes": np.array(["a", None, "b"], object)}, "nothing is unpickled"),
        ({"scale": np.float64(0)}, "found the scale 0.0"),
        ({"scale": np.array([1.0, 2.0])}, "found the scale"),
    ],
)
def test_a_damaged_model_is_refused(capsys, trained, tmp_path, changes, fragment):
    np.savez(tmp_path / "params.npz", **arrays_of(trained, **changes))
    status, out, err = call(capsys, "evaluate", tmp_path, "--data", f"npz:{trained / 'data.npz'}")
    assert (status, out) == (2, "")
    assert err.count("\n") == 1
    assert fragment in err or "pickle" in err


def test_a_truncated_model_is_refused(capsys, trained, tmp_path):
    content = (trained / "run" / "params.npz").read_bytes()
    (tmp_path / "params.npz").write_bytes(content[: len(content) // 2])
    status, _, err = call(capsys, "evaluate", tmp_path, "--data", "digits")
    assert status == 2
    assert "train again" in err
    assert "x=x" not in err


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


def chosen(folder):
    return json.loads((folder / "metrics.json").read_text())


@pytest.mark.slow
def test_train_chooses_the_penalty_of_a_path(capsys, trained, tmp_path, without_matplotlib):
    given = ["train", "--data", f"npz:{trained / 'data.npz'}", "--path", "1,0.01,0.0001", "--cv", "3"]
    status, out, err = call(capsys, *given, "--optimizer", "newton", "--out", tmp_path / "run")
    assert (status, err) == (0, "")
    found = chosen(tmp_path / "run")
    best = int(np.argmin(found["path_scores_nats"]))
    assert (found["folds"], found["l2"], found["optimizer"]) == (3, found["path_l2"][best], "newton")
    assert "Penalties, by cross-validation with 3 folds" in out
    assert f"{found['path_scores_nats'][best]:.4f} nats  chosen" in out
    assert "Training by Newton's method" in out
    lines = [line for line in out.splitlines() if str(tmp_path) not in line and not line.startswith("Data:")]
    assert max(map(len, lines)) <= 80


def test_train_on_files_that_stay_on_the_disk(capsys, tmp_path, without_matplotlib):
    x, y = pixels()
    np.savez(tmp_path / "data.npz", x=x, y=y)
    np.save(tmp_path / "x.npy", x)
    np.save(tmp_path / "y.npy", y)
    mapped = f"npy:{tmp_path / 'x.npy'},{tmp_path / 'y.npy'}"
    kept = ["--checkpoint", tmp_path / "kept", "--checkpoint-every", 4]
    for name, spec, more in (("a", f"npz:{tmp_path / 'data.npz'}", []), ("b", mapped, kept), ("c", mapped, kept)):
        assert call(capsys, "train", "--data", spec, "--out", tmp_path / name, *more)[0] == 0
    a, b, c = (written(tmp_path / name / "params.npz") for name in "abc")
    np.testing.assert_allclose(a["weights"], b["weights"], atol=1e-3)
    np.testing.assert_array_equal(b["weights"], c["weights"])
    assert chosen(tmp_path / "a")["test_cross_entropy_nats"] == pytest.approx(
        chosen(tmp_path / "b")["test_cross_entropy_nats"], rel=1e-4
    )
    status, out, _ = call(capsys, "evaluate", tmp_path / "b", "--data", mapped, "--json")
    assert (status, json.loads(out)["num_rows"]) == (0, 90)
    assert call(capsys, "predict", tmp_path / "b", "--data", mapped, "--out", tmp_path / "p.csv")[0] == 0
    assert len((tmp_path / "p.csv").read_text().splitlines()) == 91
    status, _, err = call(capsys, "train", "--data", mapped, "--out", tmp_path / "d", "--l2", 0.3, *kept)
    assert status == 2
    assert "checkpoint" in err
    assert "another problem" in err


def test_train_by_optax_in_minibatches(capsys, trained, tmp_path, without_matplotlib):
    given = ["train", "--data", f"npz:{trained / 'data.npz'}", "--optimizer", "adam", "--batch-size", 10]
    status, out, err = call(capsys, *given, "--max-steps", 60, "--learning-rate", 0.1, "--out", tmp_path / "run")
    assert status == 0
    assert "not converged" in err
    assert "Training by Adam" in out
    found = chosen(tmp_path / "run")
    assert (found["optimizer"], found["batch_size"], found["learning_rate"]) == ("adam", 10, 0.1)
    assert found["objective_nats"] < found["initial_cross_entropy_nats"]


@pytest.mark.parametrize(
    ("more", "fragment"),
    [
        (["--mesh", "rows=64"], "64 devices asked for, expected at most"),
        (["--mesh", "columns=2"], "expected rows=N, classes=M or both"),
        (["--learning-rate", "0.1"], "--learning-rate: found with lbfgs"),
        (["--batch-size", "9"], "--batch-size: found with lbfgs"),
        (["--optimizer", "adam", "--batch-size", "1000"], "batch_size=1000 must be at least 1 and at most 72"),
        (["--path", "3", "--l2", "1"], "--l2: found beside --path or --cv"),
        (["--path", "a,b"], "found 'a', expected a number"),
        (["--cv", "1"], "expected a whole number from 2"),
        (["--optimizer", "bfgs"], "invalid choice: 'bfgs'"),
        (["--checkpoint", ""], "checkpoint"),
    ],
)
def test_options_of_training_that_make_no_sense(capsys, trained, tmp_path, more, fragment):
    data = f"npz:{trained / 'data.npz'}"
    status, _, err = call(capsys, "train", "--data", data, "--out", tmp_path / "run", *more)
    assert status == 2
    assert fragment in err
    assert len(err.splitlines()) == 1
    assert not (tmp_path / "run").exists()
