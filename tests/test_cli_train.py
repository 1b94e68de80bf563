"""`python -m jxent train`, `evaluate` and `predict`: what they print, write and leave as it was."""

import csv
import json
import math
import sys
from pathlib import Path

import numpy as np
import pytest

from jxent import regression
from jxent._cli import keys, model, pictures, store
from jxent._cli import train as train_command
from tests.commands import CLASSES, call, listing, pixels, train_on_pixels
from tests.processes import written

pytestmark = pytest.mark.usefixtures("quick_compile")
FILES = {"params.npz", "metrics.json", "weights.png", "loss.png", "confusion.png"}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    return train_on_pixels(tmp_path_factory)


@pytest.fixture
def without_matplotlib(monkeypatch):
    monkeypatch.setattr(pictures, "draw", lambda *args: [])


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
