"""Every notebook is paired with its script, committed with its output, and runs in a fresh kernel."""

import contextlib
import os
from pathlib import Path

import jupytext
import nbformat
import pytest

from tests.conftest import few_optimizations

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
SCRIPTS = sorted((ROOT / "notebooks").glob("*.py"))

# These compute for longer than they compile, and are compiled as users do.
COMPUTING = ("6_many_classes_many_devices", "7_estimating_entropy", "8_language_model_head")

every_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def cells(path):
    """Kind and source of every cell."""
    return [(cell.cell_type, cell.source) for cell in jupytext.read(path).cells]


def code_cells(notebook):
    """The cells that can be executed."""
    return [cell for cell in notebook.cells if cell.cell_type == "code" and cell.source.strip()]


def complaints(notebook, *, is_complaint):
    """What the cells wrote that they should not have: errors, and the texts on stderr that are complaints."""
    outputs = [output for cell in code_cells(notebook) for output in cell.outputs]
    errors = [f"{o.ename}: {o.evalue}" for o in outputs if o.output_type == "error"]
    texts = [o.text for o in outputs if o.output_type == "stream" and o.name == "stderr"]
    return errors + [text for text in texts if is_complaint(text)]


def test_there_are_notebooks_and_each_has_its_pair():
    assert NOTEBOOKS
    assert [path.stem for path in NOTEBOOKS] == [path.stem for path in SCRIPTS]


@every_notebook
def test_pair_holds_the_same_cells(path):
    assert cells(path) == cells(path.with_suffix(".py"))


@every_notebook
def test_both_halves_name_the_pairing_and_the_kernel(path):
    for half in (path, path.with_suffix(".py")):
        metadata = jupytext.read(half).metadata
        assert metadata["jupytext"]["formats"] == "ipynb,py:percent"
        assert metadata["kernelspec"]["name"] == "python3"


@every_notebook
def test_formulas_are_closed(path):
    for kind, source in cells(path):
        if kind == "markdown":
            assert source.count("$$") % 2 == 0, source
            assert source.replace("$$", "").count("$") % 2 == 0, source


@every_notebook
def test_committed_output_is_complete_and_clean(path):
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    counts = [cell.execution_count for cell in code_cells(notebook)]
    assert counts == list(range(1, len(counts) + 1))
    assert complaints(notebook, is_complaint=lambda text: "Warning" in text) == []


@pytest.fixture
def kernel_environment(monkeypatch, tmp_path):
    """A kernel that finds this checkout, draws inline, and writes nothing of its own to stderr."""
    # Built here if it is not there yet: matplotlib reports the building of its font cache on stderr.
    import matplotlib.font_manager  # noqa: F401

    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")])))
    monkeypatch.setenv("MPLBACKEND", "module://matplotlib_inline.backend_inline")
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path))
    monkeypatch.setenv("JAX_PLATFORMS", os.environ.get("JAX_PLATFORMS", "cpu"))


@pytest.mark.slow
@every_notebook
@pytest.mark.usefixtures("kernel_environment")
def test_notebook_runs_in_a_fresh_kernel_without_warnings(path):
    from nbclient import NotebookClient

    notebook = jupytext.read(path.with_suffix(".py"))
    # Warnings are shown on stderr, and nothing may be. Filters are left alone: "error" would reach the
    # kernel's own code too.
    client = NotebookClient(
        notebook,
        timeout=300,
        kernel_name="python3",
        resources={"metadata": {"path": str(path.parent)}},
    )
    with contextlib.nullcontext() if path.stem in COMPUTING else few_optimizations():
        client.execute()
    assert complaints(notebook, is_complaint=lambda _: True) == []
