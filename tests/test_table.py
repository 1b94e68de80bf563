"""The table is complete, every public name is documented, and a broken function does not pass."""

import doctest
import importlib
import inspect
import re
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jxent
from jxent import closed_form
from tests import test_derivatives, test_options, test_values
from tests.table import BY_NAME, ELSEWHERE, Entry

ROOMS = (
    *("probs", "logits", "losses", "linear", "closed_form", "regression", "calibration", "counts", "bounds"),
    *("samples", "data", "plots", "sklearn"),
)
SECTIONS = ("Args:", "Returns:", "Edge cases:", "Gradient:", "Example:", "Reference:")
FORMULA = re.compile(r"[=Σ√∫·−/|½]|log |exp")
SHAPES = re.compile(r"\[|shape|scalar|number")
# What they give is sums that add up, or parameters, and no formula.
BOOKKEEPING = {
    *("calibration.init", "calibration.update", "calibration.merge", "calibration.result"),
    *("closed_form.compare", "counts.out_of_range", "regression.init"),
}


def public(room):
    module = importlib.import_module(f"jxent.{room}")
    return [(f"{room}.{name}", getattr(module, name)) for name in module.__all__]


FUNCTIONS = [(n, f) for room in ROOMS for n, f in public(room) if not inspect.isclass(f)]
FUNCTIONS.append(("checked", jxent.checked))
BOOKKEEPING.add("checked")
CLASSES = [(n, f) for room in ROOMS for n, f in public(room) if inspect.isclass(f)]


def test_every_array_function_stands_in_the_table():
    names = {n for n, _ in FUNCTIONS if n.split(".")[0] in ("probs", "logits", "losses")}
    assert names == set(BY_NAME) | set(ELSEWHERE)


def test_every_measure_and_loss_has_a_closed_form():
    names = set(BY_NAME) | set(ELSEWHERE)
    without = {n for n in names if not hasattr(closed_form, n.split(".")[1] if "losses" in n else n.replace(".", "_"))}
    # Arrays of the shape of their argument, whose derivatives are matrices: `closed_form.softmax_jacobian` is
    # held against the first two, and the textbook's expressions against the others in their own tests.
    vectors = {"probabilities", "log_probabilities", "marginal", "conditional"}
    geometry = {"fisher_information", "fisher_vector_product", "natural_gradient"}
    expected = {f"logits.{n}" for n in vectors | geometry} | {"probs.marginal", "probs.conditional", "losses.mean"}
    assert without == expected


def later(name):
    """Gradients by hand of measures, and estimators that compile for seconds: their examples run in the slow pass."""
    if name.startswith("samples."):
        return True
    return name.startswith("closed_form.") and name.removeprefix("closed_form.").startswith(("probs_", "logits_"))


@pytest.mark.parametrize(
    ("name", "function"),
    [pytest.param(n, f, id=n, marks=[pytest.mark.slow] if later(n) else []) for n, f in FUNCTIONS],
)
def test_docstring_is_complete_and_its_example_runs(name, function):
    text = inspect.getdoc(function) or ""
    room = name.split(".")[0]
    if room not in ("data", "plots"):
        missing = [s for s in SECTIONS if s not in text and s.rstrip(":") + "\n---" not in text]
        assert not missing, f"{name} has no section {missing}"
        if name not in BOOKKEEPING:
            head, _, rest = text.partition("Args:")
            assert FORMULA.search(head), f"{name} has no formula before its arguments"
            assert SHAPES.search(rest.partition("Example:")[0]), f"{name} names no shape"
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
    examples = doctest.DocTestFinder(recurse=False).find(function, name, globs={})
    assert sum(len(e.examples) for e in examples) > 0, f"{name} has no example"
    for example in examples:
        assert runner.run(example).failed == 0, f"the example of {name} fails"


@pytest.mark.parametrize(("name", "kind"), [pytest.param(n, f, id=n) for n, f in CLASSES])
def test_every_class_says_what_it_holds(name, kind):
    text = inspect.getdoc(kind) or ""
    assert text, f"{name} has no docstring"
    for field in getattr(kind, "_fields", ()):
        assert f"\n    {field}: " in text, f"the docstring of {name} does not say what {field} is"


@pytest.mark.slow
def test_pages_of_all_rooms_come_from_the_docstrings(tmp_path):
    """By pdoc, without a warning."""
    page = ["-m", "pdoc", "--docformat", "google", "--math", "--output-directory"]
    done = subprocess.run([sys.executable, "-W", "error", *page, tmp_path, "jxent"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for name, function in FUNCTIONS:
        room = name.rpartition(".")[0]
        text = (tmp_path / (f"jxent/{room}.html" if room else "jxent.html")).read_text()
        assert f'id="{function.__name__}"' in text, f"{name} is not on its page"


@pytest.mark.parametrize("room", ROOMS)
def test_rooms_name_what_they_hold(room):
    module = importlib.import_module(f"jxent.{room}")
    assert len(set(module.__all__)) == len(module.__all__)
    assert getattr(jxent, room) is module
    assert (module.__doc__ or "").strip()


def broken_kl_at_equality(p, q, **options):
    """Differs from the right one only by cancellation: the entropies subtracted."""
    del options
    return jnp.sum(p * jnp.log(jnp.maximum(p, 1e-38)) - p * jnp.log(jnp.maximum(q, 1e-38)), -1)


def broken_entropy_at_zero(p, **options):
    """Right in value, NaN in its gradient at 0: the result is masked, not the operand."""
    del options
    return -jnp.sum(jnp.where(p > 0, p * jnp.log(p), 0.0), -1)


def broken_mask(p, *, where=None, **options):
    """Multiplies by the mask, which lets NaN through."""
    del options
    p = p if where is None else p * where.astype(p.dtype)
    return -jnp.sum(p * jnp.log(jnp.maximum(p, 1e-38)), -1)


@pytest.mark.parametrize(
    ("like", "function", "test", "args"),
    [
        ("probs.kl_divergence", broken_kl_at_equality, test_values.test_value, (np.dtype("float32"),)),
        (
            "probs.entropy",
            broken_entropy_at_zero,
            test_derivatives.test_first_derivative_at_the_boundary,
            (np.dtype("float32"),),
        ),
        ("probs.entropy", broken_mask, test_options.test_a_mask_is_the_same_as_leaving_out, ()),
    ],
)
def test_the_harness_catches_a_broken_function(like, function, test, args, monkeypatch):
    """Each passes an eager test on ordinary numbers; the table's own tests do not let it through."""
    entry = BY_NAME[like]
    ordinary = [jnp.asarray(x) for x in ([0.1, 0.2, 0.3, 0.4], [0.4, 0.3, 0.2, 0.1])][: entry.arity]
    np.testing.assert_allclose(function(*ordinary), entry.function(*ordinary), rtol=1e-5)
    monkeypatch.setattr(Entry, "function", property(lambda self: jax.jit(function, static_argnames=("axis", "base"))))
    with pytest.raises(AssertionError):
        test(entry, *args)
