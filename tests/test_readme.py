"""What the README says runs, and its tables give the same numbers on both sides."""

import importlib
import itertools
import re
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jxent
from jxent import calibration, counts, linear, logits, losses, probs, regression, samples
from tests.processes import fresh

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


@pytest.mark.slow
def test_the_python_blocks_run(capsys):
    blocks = re.findall(r"^```python\n(.*?)^```", README, re.DOTALL | re.MULTILINE)
    assert len(blocks) == 5
    scope = {}
    for block in blocks:
        exec(compile(block, "README.md", "exec"), scope)  # noqa: S102
    assert "agrees=True" in capsys.readouterr().out
    np.testing.assert_allclose(scope["probs"].kl_divergence(scope["p"], scope["q"]), 0.29, atol=5e-3)


def test_the_first_two_shell_blocks_are_one_command_each():
    blocks = re.findall(r"^```(?:sh|bash|console)\n(.*?)^```", README, re.DOTALL | re.MULTILINE)
    assert all(len(block.strip().splitlines()) == 1 for block in blocks[:2])
    assert "jxent train" in blocks[0]
    assert "pytest" in blocks[1]


def test_what_it_points_to_is_there():
    linked = re.findall(r"\]\(([^)#]+)\)", README)
    assert "benchmarks/figure.png" in linked
    assert {path.name for path in (ROOT / "notebooks").glob("*.ipynb")} == {
        Path(target).name for target in linked if target.endswith(".ipynb")
    }
    for target in linked:
        assert (ROOT / target).is_file(), target


def test_every_function_that_it_names_exists():
    section = README.partition("## Which function do I want?")[2].partition("\n## ")[0]
    names = re.findall(r"`(\w+)\.(\w+)`", section)
    assert len(names) > 25
    for room, name in names:
        assert hasattr(getattr(jxent, room), name), f"{room}.{name}"


# Coming from other packages


def table(package):
    """The code of both sides of every row."""
    section = re.search(rf"^### {package}\n(.*?)(?=^##)", README, re.DOTALL | re.MULTILINE)
    rows = re.findall(r"^\| `(.+?)` \| `(.+?)` \|", section.group(1), re.MULTILINE)
    assert len(rows) == section.group(1).count("\n| ") - 1, "a row without code on both sides"
    return rows


PACKAGES = ("scipy", "optax", "torch", "dit", "scikit-learn")
ROWS = [(package, there, here) for package in PACKAGES for there, here in table(package)]


def arrays():
    """What the tables call their variables, as numpy arrays in float32 and int32."""
    rng = np.random.default_rng(0)
    p, q = (rng.dirichlet(np.ones(4), size=6) for _ in range(2))
    big, other = (rng.dirichlet(np.ones(12)).reshape(2, 3, 2) for _ in range(2))
    a = rng.integers(0, 3, 60)
    floats = {
        "z": rng.normal(size=(6, 4)),
        "t": rng.dirichlet(np.ones(4), size=6),
        "x": rng.normal(size=(60, 4)) + a[:, None],
        "w": rng.normal(size=(5, 4)),
    } | {"p": p, "q": q, "P": big, "Q": other}
    whole = {"y": rng.integers(0, 4, 6), "a": a, "b": (a + (rng.random(60) < 0.3)) % 3}
    return {k: v.astype(np.float32) for k, v in floats.items()} | {k: v.astype(np.int32) for k, v in whole.items()}


def imported(package):
    """The names that the code of the other side needs, or a skip where a peer is not installed."""
    if package == "torch":
        torch = pytest.importorskip("torch", reason="a peer that the tests do not install")
        return {"torch": torch, "F": torch.nn.functional, "D": torch.distributions}
    if package == "scikit-learn":
        parts = [
            importlib.import_module(f"sklearn.{name}") for name in ("metrics", "feature_selection", "linear_model")
        ]
        return {"sklearn": importlib.import_module(parts[0].__package__.partition(".")[0])}
    if package == "scipy":
        for part in ("stats", "special", "spatial.distance"):
            importlib.import_module(f"scipy.{part}")
    return {package: importlib.import_module(package), "jnp": jnp}


def given(package, known):
    """The variables in the form that the other package takes."""
    if package == "torch":
        import torch

        return {k: torch.tensor(v.astype(np.int64) if v.dtype == np.int32 else v) for k, v in known.items()}
    if package == "dit":
        import dit

        cells = list(itertools.product(range(2), range(3), range(2)))
        pmfs = {"d": known["P"], "e": known["Q"]}
        return {k: dit.Distribution(cells, (v.astype(float) / v.sum(dtype=float)).ravel()) for k, v in pmfs.items()}
    if package == "optax":
        return {k: jnp.asarray(v) for k, v in known.items()}
    if package == "scikit-learn":
        q = known["q"].astype(float)
        return known | {"q": q / q.sum(axis=1, keepdims=True), "x": known["x"].astype(float)}
    return known


ROOMS = (calibration, counts, linear, logits, losses, probs, regression, samples)
HERE = {room.__name__.removeprefix("jxent."): room for room in ROOMS} | {"jax": jax, "jnp": jnp}


@pytest.mark.parametrize(("package", "there", "here"), ROWS, ids=[f"{p}-{here}" for p, _, here in ROWS])
@pytest.mark.filterwarnings("ignore:y_pred values do not sum to one")
def test_both_sides_of_a_row_are_the_same(package, there, here):
    known = arrays()
    if package == "torch":
        # Features and weights of the linear loss: as many rows as labels.
        known["x"] = known["x"][:6]
    theirs = eval(there, imported(package) | given(package, known))  # noqa: S307
    ours = eval(here, HERE | {k: jnp.asarray(v) for k, v in known.items()})  # noqa: S307
    fitted = "LogisticRegression" in there
    np.testing.assert_allclose(ours, theirs, rtol=2e-5, atol=2e-3 if fitted else 1e-5)
    assert np.ptp(np.asarray(theirs)) > 0 or np.ndim(theirs) == 0


@pytest.mark.slow
def test_the_table_of_refusals_is_printed():
    """In a process of its own, without the checks of beartype, which would speak first."""
    printed = fresh("from tests.refusals import table\nprint(table())").splitlines()[2:]
    kinds = [line.split(" | ")[0].removeprefix("| ") for line in printed]
    assert min(kinds.count(kind) for kind in ("labels, shapes", "dtypes, options", "command line")) >= 8
    assert all("Error: " in line or "| exit 2: jxent: error: " in line for line in printed)
