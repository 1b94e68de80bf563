"""What arguments hold, as declared at every public function: checked, documented, and lost by no renaming."""

import importlib
import inspect
import re
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jxent
from jxent import calibration, closed_form, losses, probs, regression
from jxent._checks import Labels, Probabilities, Weights, public
from jxent._checks.domains import Domain, declared
from tests.table import INPUTS, TABLE, arrays

ROOMS = (
    "probs",
    "logits",
    "losses",
    "linear",
    "closed_form",
    "calibration",
    "counts",
    "samples",
    "bounds",
    "regression",
)
P, Z = jnp.asarray([[0.25, 0.75], [0.5, 0.5]]), jnp.asarray([[0.5, 1.0], [0.0, 2.0]])
IDS = jnp.asarray([0, 1])
ROWS = {"p": P, "q": P[::-1], "z": Z, "zp": Z, "zq": Z[::-1]}
X, W = jnp.asarray([[1.0, 2.0, 0.5], [0.0, 1.0, 1.5]]), jnp.asarray([[0.1, 0.2, 0.3], [0.0, 0.5, 1.0]])
SAMPLES = jnp.asarray(np.random.default_rng(0).normal(size=(20, 1)))
PREDICTED = {"p": P, "logits": Z, "labels": IDS}
MODEL = {"params": regression.Params(W.T, jnp.zeros(2)), "x": X, "labels": IDS}
# Good arguments by room and name, where the table of measures has none.
GOOD = {
    "linear": {"x": X, "w": W, "labels": IDS, "ids": IDS, "k": 2, "key": jax.random.key(0)}
    | {"x_p": X, "w_p": W, "x_q": X[::-1], "w_q": W},
    "calibration": {**PREDICTED, "state": calibration.init(2)},
    "counts": {"counts": jnp.asarray([3, 1]), "table": jnp.ones((2, 2, 2)), "labels": IDS, "num_classes": 2}
    | {"p": jnp.asarray([3, 1]), "q": jnp.asarray([1, 1])},
    "samples": dict.fromkeys(("x", "y", "given", "source", "target"), SAMPLES),
    "bounds": {"scores": Z},
    "regression": MODEL,
    "closed_form": {**MODEL, "z": Z, "logits": Z, "targets": P},
    "logits": {**ROWS, "v": Z, "gradient": Z, "of": 1, "given": 0, "variables": 0},
    "probs": {**ROWS, "of": 1, "given": 0, "variables": 0},
    "losses": {"values": Z},
}
OPTIONAL = {"class_weights": jnp.ones(4), "label_smoothing": 0.1, "z_loss": 0.1, "weights": jnp.ones(2)}
OPTIONAL |= {"bias": jnp.zeros(2), "sample_weight": jnp.ones(2), "alpha": 0.25, "gamma": 1.0, "delta": 1.0}
OPTIONAL |= {"bias_p": jnp.zeros(2), "bias_q": jnp.zeros(2), "temperature": 0.5, "soft_cap": 3.0}
OPTIONAL |= {"weight": 0.5, "clip": 2.0, "positive_weight": 2.0, "l2": 0.1, "order": 2.0}
FROM_TABLE = {entry.name: entry for entry in TABLE}


def functions():
    for room in ROOMS:
        module = importlib.import_module(f"jxent.{room}")
        for name in module.__all__:
            function = getattr(module, name)
            if hasattr(function, "__signature__"):
                yield f"{room}.{name}", function


def domains(function):
    """The declared domain of every traced argument."""
    parameters = inspect.signature(inspect.unwrap(function)).parameters
    found = {n: declared(p.annotation) for n, p in parameters.items()}
    return {n: d for n, d in found.items() if isinstance(d, Domain)}


def good_arguments(name, function):
    """Arguments that pass, every option with a domain among them."""
    room, _, short = name.partition(".")
    measure = name
    if room == "closed_form":
        parts = short.split("_", 1)
        measure = ".".join(parts) if parts[0] in ("probs", "logits") else f"losses.{short}"
    parameters = inspect.signature(function).parameters
    entry, arguments = FROM_TABLE.get(measure), {}
    if entry:
        positional = [n for n, p in parameters.items() if p.kind is not p.KEYWORD_ONLY]
        rows = arrays(entry, INPUTS[entry.kind][0], np.float32)
        arguments = dict(zip(positional, (*rows, *entry.extra), strict=False)) | entry.options
    source = GOOD[measure.partition(".")[0]] | (GOOD[room] if not entry else {})
    for n, p in parameters.items():
        if n in arguments or n == "where":
            continue
        if p.default is inspect.Parameter.empty:
            arguments[n] = source[n]
        elif n in domains(function) and n in OPTIONAL:
            value = OPTIONAL[n]
            arguments[n] = jnp.ones(2) if n == "class_weights" and room == "linear" else value
    return arguments


def spoiled(value):
    """NaN in the first place of floats; integers that no rule allows."""
    array = np.asarray(value)
    if array.dtype.kind in "iu":
        return jnp.full(array.shape, -(10**6), jnp.int32)
    bad = np.array(array, np.float32)
    bad.flat[0] = np.nan
    return jnp.asarray(bad)


CASES = [
    (name, function, argument)
    for name, function in functions()
    for argument, domain in domains(function).items()
    if domain.check or domain.fields
]


@pytest.mark.parametrize(("name", "function", "argument"), CASES, ids=[f"{n}-{a}" for n, _, a in CASES])
def test_a_bad_value_in_every_argument_is_named(name, function, argument):
    arguments = good_arguments(name, function)
    value = arguments[argument]
    field = ""
    if hasattr(value, "_fields"):
        field = f".{value._fields[0]}"
        arguments[argument] = value._replace(**{value._fields[0]: spoiled(value[0])})
    else:
        arguments[argument] = spoiled(value)
    with pytest.raises(ValueError, match=re.escape(f"{name}(): `{argument}{field}` ")):
        # Under a trace nothing runs: the declarations are what is tested.
        jxent.checked(function)(**arguments)


# Nothing else asks every function of these for a number, and one of each stands for its room in the fast pass.
NUMBERED = ("linear", "calibration", "counts", "samples", "bounds", "regression")
FIRST = {next(n for n, _ in functions() if n.startswith(f"{room}.")) for room in NUMBERED}


@pytest.mark.parametrize(
    ("name", "function"),
    [
        pytest.param(n, f, id=n, marks=[] if n in FIRST else [pytest.mark.slow])
        for n, f in functions()
        if n.partition(".")[0] in NUMBERED
    ],
)
def test_every_function_runs_on_its_good_arguments(name, function):
    """A public function that needs arguments of its own fails here with a KeyError until GOOD has them: that is meant.

    Its values are the matter of the tests of its room.
    """
    for leaf in jax.tree.leaves(function(**good_arguments(name, function))):
        assert not jnp.issubdtype(leaf.dtype, jnp.floating) or not jnp.isnan(leaf).any()


def test_every_argument_of_every_function_is_declared_or_static():
    for name, function in functions():
        for parameter in inspect.signature(inspect.unwrap(function)).parameters.values():
            text = str(parameter.annotation)
            is_array = "ndarray" in text or "ArrayLike" in text
            assert declared(parameter.annotation) or not is_array, f"{name} does not declare {parameter.name}"


def test_every_argument_of_every_function_is_documented():
    for name, function in functions():
        text = inspect.getdoc(function)
        described = re.findall(r"^    (\w+): ", re.split(r"\n(?:Returns|Edge cases):", text)[0], re.MULTILINE)
        assert described == list(inspect.signature(function).parameters), name


def test_renaming_an_argument_cannot_lose_its_check():
    @public
    def renamed(anything: Probabilities, classes: Labels, *, share: Weights | None = None) -> Any:
        """Of no room."""
        return anything, classes, share

    checked = jxent.checked(renamed)
    assert len(checked(P, IDS, share=[1.0])) == 3
    for arguments, argument in (((P + 1, IDS), "anything"), ((P, IDS + 5), "classes")):
        with pytest.raises(ValueError, match=rf"renamed\(\): `{argument}`"):
            checked(*arguments)
    with pytest.raises(ValueError, match=r"`share`.*expected weights"):
        checked(P, IDS, share=[-1.0])


def test_an_annotation_without_a_domain_is_static():
    @public
    def scaled(p: Probabilities, factor: int = 2) -> jax.Array:
        return jnp.sum(p) * factor

    assert "factor: int = 2" in str(inspect.signature(scaled))
    with pytest.raises(TypeError, match=r"`factor` is a traced value"):
        jax.jit(scaled)(P, 3)


@pytest.mark.parametrize(
    ("function", "args", "options", "mend"),
    [
        (
            losses.softmax_cross_entropy_with_integer_labels,
            (Z, [0, -100]),
            {},
            "ignore_label=-100 leaves such",
        ),
        (probs.entropy, ([3.0, 4.0, 1.0],), {}, "these look like counts, which `jxent.counts` takes"),
        (probs.entropy, ([0.5, 0.6],), {}, "divide it by its sum"),
    ],
)
def test_the_mend_is_named(function, args, options, mend):
    with pytest.raises(ValueError, match=re.escape(mend)):
        jxent.checked(function)(*args, **options)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float32", "float64"])
def test_rounded_probabilities_pass_in_their_own_dtype(dtype, x64):
    """Three times 1/3 sums to 1.002 in bfloat16."""
    third = jnp.full(3, 1 / 3, dtype)
    jxent.checked(probs.entropy)(third)
    many = jnp.full(1000, 1 / 1000, dtype)
    jxent.checked(probs.entropy)(many)
    with pytest.raises(ValueError, match="sums to"):
        jxent.checked(probs.entropy)(third * 1.1)


@pytest.mark.parametrize(
    "program",
    [
        jax.jit(probs.entropy),
        jax.vmap(probs.entropy),
        jax.jit(lambda p: jax.lax.scan(lambda c, row: (c, probs.entropy(row)), 0.0, p)[1]),
        jax.jit(lambda p: jax.lax.map(probs.entropy, p)),
    ],
    ids=["jit", "vmap", "scan", "map"],
)
def test_a_violation_prints_one_message_and_no_second_traceback(program, capfd, caplog):
    with pytest.raises(ValueError, match="expected probabilities >= 0") as raised:
        jxent.checked(program)(P.at[1, 1].set(-0.5))
    assert raised.value.__suppress_context__
    assert not caplog.records
    assert capfd.readouterr() == ("", "")


def test_help_shows_short_types():
    text = str(inspect.signature(probs.renyi_divergence))
    assert text.startswith("(p: ArrayLike, q: ArrayLike, alpha: ArrayLike, *, axis: int | Sequence[int] = -1")
    assert "Literal['arithmetic'" in str(inspect.signature(probs.normalized_mutual_information))
    assert str(inspect.signature(closed_form.probs_entropy)).startswith("(p: ArrayLike, *, axis")
