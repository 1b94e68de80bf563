"""What users hand in, in every room: taken as the array that it holds, or refused in words."""

import jax.numpy as jnp
import numpy as np
import pandas as pd
import polars as pl
import pytest

from jxent import bounds, calibration, closed_form, counts, linear, logits, losses, probs, regression, samples

ROW = [0.5, 0.25, 0.25]
TABLE = [[0.5, 0.25, 0.25], [0.125, 0.5, 0.375], [0.25, 0.5, 0.25]]
MODEL = regression.Params(jnp.ones((3, 2)), jnp.zeros(2))
NAMES = ["a", "b", "c"]

# One function of each room that takes a row, and one that takes a table of rows.
OF_A_ROW = {
    "probs": probs.entropy,
    "logits": logits.entropy,
    "losses": lambda x: losses.softmax_cross_entropy(x, ROW),
    "labels": lambda x: losses.l2_loss(ROW, x),
    "closed_form": closed_form.probs_entropy,
    "counts": counts.entropy,
    "samples": lambda x: samples.entropy(x, k=1),
    "mean": losses.mean,
}
OF_A_TABLE = {
    "probs": probs.kl_divergence,
    "logits": logits.kl_divergence,
    "counts": lambda x: counts.mutual_information(x),
    "linear": lambda x: linear.logsumexp(x, TABLE),
    "calibration": lambda x: calibration.brier_score(x, [0, 1, 2]),
    "bounds": bounds.infonce,
    "regression": lambda x: regression.logits(MODEL, x),
    "samples": lambda x: samples.entropy(x, k=1),
}
OF_A_TABLE |= {room: (lambda x, f=OF_A_TABLE[room]: f(x, x)) for room in ("probs", "logits")}


class Tensor:
    """What numpy can read and JAX cannot, as a tensor of torch."""

    def __init__(self, values, *, attached=False):
        self.values, self.attached = values, attached

    def __array__(self, dtype=None, copy=None):
        if self.attached:
            raise RuntimeError("Can't call numpy() on Tensor that requires grad. Use tensor.detach().numpy() instead.")
        return np.asarray(self.values, dtype)


TAKEN_ROWS = {
    "list": list,
    "tuple": tuple,
    "jax scalars in a list": lambda row: [jnp.asarray(x) for x in row],
    "numpy": lambda row: np.asarray(row),
    "jax": lambda row: jnp.asarray(row),
    "big-endian": lambda row: np.asarray(row, ">f4"),
    "long double": lambda row: np.asarray(row, np.longdouble),
    "half": lambda row: np.asarray(row, np.float16),
    "pandas": lambda row: pd.Series(row, index=NAMES),
    "polars": pl.Series,
    "tensor": Tensor,
}
TAKEN_TABLES = {
    "nested list": lambda table: table,
    "tuple of arrays": lambda table: tuple(np.asarray(row) for row in table),
    "big-endian": lambda table: np.asarray(table, ">f8"),
    "pandas": lambda table: pd.DataFrame(table, columns=NAMES),
    "polars": lambda table: pl.DataFrame(dict(zip(NAMES, np.asarray(table).T.tolist(), strict=True))),
    "list of pandas": lambda table: [pd.Series(row) for row in table],
    "tensor": Tensor,
}
MASKED = np.ma.masked_greater(np.asarray(ROW), 0.4)
REFUSED = {
    "masked": (MASKED, r"its mask would be lost.*where=~mask"),
    "masked in a list": ([MASKED, MASKED], r"holds masked arrays.*its mask would be lost"),
    "words": (["a", "b", "c"], r"dtype <U1, expected real numbers; np\.unique"),
    "a word": ("abc", r"is a str, expected an array or numbers"),
    "mixed frame": (pd.DataFrame({"a": [0.5, 1.0], "b": ["x", "y"]}), r"expected real numbers; convert it"),
    "ragged": ([[0.5, 0.5], [1.0]], r"ragged; every row must have the same length"),
    "objects": (np.asarray([None, 1.0, 2.0]), r"dtype object, expected real numbers; convert it"),
    "dates": (np.asarray(["2026-01-01"], "datetime64[D]"), r"dtype datetime64\[D\], expected real numbers"),
    "complex": (np.asarray([1j, 0, 0]), r"take its real part first"),
    "structured": (np.zeros(3, [("a", float)]), r"expected real numbers"),
    "a mapping": ({"a": 0.5}, r"is a dict, expected an array or numbers"),
    "a generator": ((x for x in ROW), r"is a generator, expected an array or numbers"),
    "an attached tensor": (Tensor(ROW, attached=True), r"which numpy cannot read: .*detach"),
    "nothing": (None, r"is None, expected an array or numbers"),
}


def same(found, expected, rtol=2e-6):
    for a, b in zip(np.atleast_1d(found), np.atleast_1d(expected), strict=True):
        np.testing.assert_allclose(a, b, rtol=rtol)


@pytest.mark.parametrize("kind", TAKEN_ROWS)
@pytest.mark.parametrize("room", OF_A_ROW)
def test_a_row_of_every_kind_is_taken(room, kind):
    same(OF_A_ROW[room](TAKEN_ROWS[kind](ROW)), OF_A_ROW[room](jnp.asarray(ROW)))


@pytest.mark.parametrize("kind", TAKEN_TABLES)
@pytest.mark.parametrize("room", OF_A_TABLE)
def test_a_table_of_every_kind_is_taken(room, kind):
    same(OF_A_TABLE[room](TAKEN_TABLES[kind](TABLE)), OF_A_TABLE[room](jnp.asarray(TABLE)))


@pytest.mark.parametrize("kind", REFUSED)
@pytest.mark.parametrize("room", OF_A_ROW)
def test_what_holds_no_numbers_is_refused_in_words(room, kind):
    value, words = REFUSED[kind]
    with pytest.raises(TypeError, match=words):
        OF_A_ROW[room](value)


LABELS = {"range": range(3), "list": [0, 1, 2], "pandas": pd.Series([0, 1, 2]), "polars": pl.Series([0, 1, 2])}
LABELS["big-endian"] = np.arange(3, dtype=">i8")


@pytest.mark.parametrize("labels", LABELS.values(), ids=LABELS)
def test_labels_of_every_kind_are_taken(labels):
    expected = losses.softmax_cross_entropy_with_integer_labels(jnp.asarray(TABLE), jnp.arange(3))
    same(losses.softmax_cross_entropy_with_integer_labels(TABLE, labels), expected)
    same(counts.from_labels(labels, 3), [1, 1, 1])
    same(calibration.brier_score(TABLE, labels), calibration.brier_score(jnp.asarray(TABLE), jnp.arange(3)))


def test_labels_beyond_32_bits_stay_out_of_range():
    loss = losses.softmax_cross_entropy_with_integer_labels(TABLE, np.asarray([0, 2**32 + 1, 1]))
    np.testing.assert_array_equal(np.isnan(loss), [False, True, False])


def test_the_function_that_is_meant_is_named():
    with pytest.raises(TypeError, match="softmax_cross_entropy_with_integer_labels"):
        losses.softmax_cross_entropy(TABLE, [0, 1, 2])
    for function in (probs.entropy, logits.entropy):
        with pytest.raises(ValueError, match="binary_entropy"):
            function(0.5)
    for function in (probs.kl_divergence, logits.kl_divergence):
        with pytest.raises(ValueError, match="binary_kl_divergence"):
            function(0.5, 0.25)
