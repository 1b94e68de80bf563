"""Checkpoints: what is killed goes on bit by bit, what is damaged is passed over, what is another's is left alone."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import jax
import numpy as np
import optax
import pytest

from jxent import regression
from jxent.regression import CheckpointWarning, _checkpoint
from tests.processes import written
from tests.test_fit import rows

ADAM, SLOWER = optax.adam(0.05), optax.adam(0.01)
NOISY = optax.chain(optax.add_noise(0.01, 0.5, jax.random.key(7)), optax.sgd(0.1))
KEY = jax.random.key(1)
SOLVERS = {
    "lbfgs": {"tolerance": 1e-6},
    "newton": {"optimizer": "newton", "tolerance": 1e-6},
    "adam": {"optimizer": ADAM, "max_steps": 12},
    "minibatches": {"optimizer": ADAM, "max_steps": 12, "batch_size": 16, "key": KEY},
    "noise": {"optimizer": NOISY, "max_steps": 12},
}


pytestmark = pytest.mark.usefixtures("quick_compile")


class KilledError(BaseException):
    """In the place of a signal."""


def fit(folder, x=None, y=None, **options):
    given = rows() if x is None else (x, y)
    return regression.fit(*given, **({"l2": 0.01, "checkpoint": folder, "checkpoint_every": 3} | options))


def killed(monkeypatch, folder, after, **options):
    """A fit that dies after so many checkpoints."""
    right, made = _checkpoint.Store.save, []

    def save(self, *args):
        right(self, *args)
        made.append(1)
        if len(made) == after:
            raise KilledError

    with monkeypatch.context() as patch:
        patch.setattr(_checkpoint.Store, "save", save)
        with pytest.raises(KilledError):
            fit(folder, **options)


def files(folder):
    """Every file, with its bytes and the time of its last change."""
    return {p: (p.read_bytes(), p.stat().st_mtime_ns) for p in sorted(Path(folder).rglob("*")) if p.is_file()}


def same(a, b):
    for u, v in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        np.testing.assert_array_equal(u, v)


@pytest.mark.filterwarnings("ignore::jxent.regression.ConvergenceWarning")
@pytest.mark.parametrize(
    "solver", [pytest.param(s, marks=[] if s in ("lbfgs", "minibatches") else [pytest.mark.slow]) for s in SOLVERS]
)
def test_a_fit_that_was_killed_ends_bit_by_bit_where_the_other_does(tmp_path, monkeypatch, solver):
    options = SOLVERS[solver]
    whole = fit(tmp_path / "whole", **options)
    killed(monkeypatch, tmp_path / "killed", 1, **options)
    assert [int(p.name) for p in (tmp_path / "killed").iterdir()] == [3]
    same(fit(tmp_path / "killed", **options), whole)
    steps = sorted(int(p.name) for p in (tmp_path / "killed").iterdir())
    assert steps[-1] == int(whole.num_steps)
    assert len(steps) == 2
    # Once more changes nothing.
    before = files(tmp_path / "killed")
    same(fit(tmp_path / "killed", **options), whole)
    assert files(tmp_path / "killed") == before
    # And is what a fit without checkpoints finds, up to the rounding of scores formed anew.
    plain = fit(None, **options)
    np.testing.assert_allclose(whole.params.weights, plain.params.weights, rtol=1e-3, atol=1e-5)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::jxent.regression.ConvergenceWarning")
@pytest.mark.parametrize("solver", ["lbfgs", "minibatches"])
def test_a_source_goes_on_too(tmp_path, monkeypatch, solver):
    x, y = rows()
    np.save(tmp_path / "x.npy", x)
    given = SOLVERS[solver] | {"x": np.load(tmp_path / "x.npy", mmap_mode="r"), "y": y, "chunk_size": 16}
    whole = fit(tmp_path / "whole", **given)
    killed(monkeypatch, tmp_path / "killed", 1, **given)
    same(fit(tmp_path / "killed", **given), whole)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::jxent.regression.ConvergenceWarning")
def test_more_steps_go_on_from_the_end(tmp_path):
    options = SOLVERS["adam"]
    short = fit(tmp_path / "a", **options | {"max_steps": 6})
    longer = fit(tmp_path / "a", **options)
    assert (int(short.num_steps), int(longer.num_steps)) == (6, 12)
    same(longer, fit(tmp_path / "b", **options))
    with pytest.raises(ValueError, match=r"checkpoint in .* of step 12, beyond max_steps=6"):
        fit(tmp_path / "a", **options | {"max_steps": 6})


def numbers(step):
    """The files with the arrays: those of any size below the folder of the state."""
    return [p for p in (step / "state").rglob("*") if p.is_file() and p.parent.name == "d"]


def truncated(step):
    for file in numbers(step):
        file.write_bytes(file.read_bytes()[:-40])


def flipped(step):
    """One bit in the middle of each file."""
    for file in numbers(step):
        content = bytearray(file.read_bytes())
        content[len(content) // 2] ^= 16
        file.write_bytes(bytes(content))


def forged(step):
    """A table whose digest is that of other arrays."""
    table = step / "table" / "metadata"
    content = json.loads(table.read_text())
    table.write_text(json.dumps(content | {"digest": "0" * 64}))


DAMAGE = {
    "a file cut short": truncated,
    "a bit flipped": flipped,
    "another digest": forged,
    "no table": lambda step: (step / "table" / "metadata").unlink(),
    "an empty table": lambda step: (step / "table" / "metadata").write_text(""),
    "no arrays": lambda step: shutil.rmtree(step / "state"),
}


@pytest.mark.parametrize(
    "damage", [pytest.param(d, marks=[] if d == "a bit flipped" else [pytest.mark.slow]) for d in DAMAGE]
)
def test_a_damaged_checkpoint_is_reported_and_the_one_before_it_used(tmp_path, monkeypatch, damage):
    folder = tmp_path / "c"
    whole = fit(tmp_path / "whole")
    killed(monkeypatch, folder, 2)
    DAMAGE[damage](folder / "6")
    with pytest.warns(CheckpointWarning, match="checkpoint of step 6 in .* is damaged; going on from that of step 3"):
        found = fit(folder)
    same(found, whole)
    same(fit(folder), whole)  # without a warning: what was damaged has been replaced
    for step in folder.iterdir():
        DAMAGE[damage](step)
    before = files(folder)
    with pytest.raises(ValueError, match=r"no checkpoint in .* can be read"):
        fit(folder)
    assert files(folder) == before


OTHERS = {
    "data": ({"x": rows()[0] + 1}, "data: [0-9a-f]+ there, [0-9a-f]+ here"),
    "labels": ({"y": rows()[1][::-1].copy()}, "data: "),
    "classes": ({"num_classes": 4}, "classes: 3 there, 4 here"),
    "dtype": ({"x": rows()[0].astype(np.float64)}, "dtype: float32 there, float64 here"),
    "l2": ({"l2": 0.5}, "l2: 0.0.* there, 0.5 here"),
    "solver": ({"optimizer": "newton"}, "optimizer: lbfgs there, newton here"),
    "weights": ({"sample_weight": np.arange(60.0)}, "data: "),
}


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=[] if n in ("data", "l2", "solver") else [pytest.mark.slow]) for n in OTHERS]
)
def test_a_checkpoint_of_another_problem_is_refused_and_left_alone(tmp_path, name):
    x, y = rows()
    fit(tmp_path / "c", tolerance=0.1)
    before = files(tmp_path)
    change, message = OTHERS[name]
    given = {"x": x, "y": y} | change
    with jax.enable_x64(name == "dtype"), pytest.raises(ValueError, match=f"checkpoint.*another problem.*{message}"):
        fit(tmp_path / "c", **given)
    assert files(tmp_path) == before


@pytest.mark.filterwarnings("ignore::jxent.regression.ConvergenceWarning")
def test_an_optimizer_is_known_by_what_it_computes(tmp_path):
    options = SOLVERS["minibatches"] | {"max_steps": 3}
    fit(tmp_path / "c", **options)
    fit(tmp_path / "c", **options | {"optimizer": optax.adam(0.05)})  # another object that computes the same
    for other in ({"optimizer": SLOWER}, {"batch_size": 20}, {"key": jax.random.key(2)}):
        with pytest.raises(ValueError, match=r"checkpoint.*another problem"):
            fit(tmp_path / "c", **options | other)


def test_a_folder_of_somebody_else_is_left_alone(tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(ValueError, match=r"checkpoint=.* holds 'thesis.tex', which no fit has put there"):
        fit(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.tex"]
    with pytest.raises(ValueError, match=r"checkpoint=.* is a file, expected a folder"):
        fit(tmp_path / "thesis.tex")
    (tmp_path / "steps" / "5").mkdir(parents=True)
    (tmp_path / "steps" / "5" / "notes").write_text("mine")
    with pytest.raises(ValueError, match=r"no checkpoint in .* can be read"):
        fit(tmp_path / "steps")
    assert files(tmp_path / "steps").keys() == {tmp_path / "steps" / "5" / "notes"}


def test_what_was_left_of_a_kill_while_writing_is_no_checkpoint(tmp_path, monkeypatch):
    """orbax renames what is complete: what still has its temporary name counts for nothing."""
    whole = fit(tmp_path / "whole")
    killed(monkeypatch, tmp_path / "c", 2)
    shutil.copytree(tmp_path / "c" / "6", tmp_path / "c" / "9.orbax-checkpoint-tmp-1234")
    same(fit(tmp_path / "c"), whole)
    (tmp_path / "d" / "3.orbax-checkpoint-tmp-1").mkdir(parents=True)
    same(fit(tmp_path / "d"), whole)


def test_divergence_leaves_the_last_good_checkpoint(tmp_path):
    with pytest.raises(FloatingPointError):
        fit(tmp_path / "c", optimizer=optax.sgd(1e10), max_steps=30, checkpoint_every=1)
    for folder in (tmp_path / "c").iterdir():
        table = json.loads((folder / "table" / "metadata").read_text())
        assert table["ended"] is None


def test_options_of_checkpoints(tmp_path):
    with pytest.raises(ValueError, match="checkpoint_every=0 must be at least 1"):
        fit(tmp_path, checkpoint_every=0)


# Each takes the time of a fit and a half.
KILLS = int(os.environ.get("JXENT_TEST_KILLS", "2"))
SCRIPT = """
import sys, warnings
import numpy as np, optax, jax
from jxent import regression
warnings.simplefilter("ignore")
rng = np.random.default_rng(0)
x = rng.normal(size=(3000, 40)).astype(np.float32)
y = (x[:, :5] + 2 * rng.normal(size=(3000, 5))).argmax(1)
found = regression.fit(x, y, optimizer=optax.adam(1e-3), max_steps=600, batch_size=256, key=jax.random.key(0),
                       checkpoint=sys.argv[1], checkpoint_every=10)
np.savez(sys.argv[2], *found.params, found.history)
"""


@pytest.mark.slow
def test_killed_at_any_moment(tmp_path):
    """`kill -9` at random moments, also while a checkpoint is written; each time the same command again."""

    def start(folder):
        return subprocess.Popen([sys.executable, "-c", SCRIPT, str(tmp_path / folder), str(tmp_path / f"{folder}.npz")])

    began = time.monotonic()
    assert start("whole").wait() == 0
    length = time.monotonic() - began
    expected = written(tmp_path / "whole.npz")
    moments = np.random.default_rng(1)
    kills = 0
    while kills < KILLS:
        process = start("killed")
        try:
            process.wait(length * moments.uniform(0.3, 0.95))
        except subprocess.TimeoutExpired:
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
            kills += 1
        assert start("killed").wait() == 0
        found = written(tmp_path / "killed.npz")
        for name, array in expected.items():
            np.testing.assert_array_equal(found[name], array)
        shutil.rmtree(tmp_path / "killed")
