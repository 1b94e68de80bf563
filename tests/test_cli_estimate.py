"""`python -m jxent estimate`: columns of a file, what they are taken for, and what they tell of each other."""

import json

import jax
import numpy as np
import pytest

from jxent import counts, samples
from tests.commands import call

pytestmark = pytest.mark.usefixtures("quick_compile")
KINDS = ["cat"] * 6 + ["dog"] * 3 + ["owl"]
WEIGHTS = [4.1, 3.9, 4.5, 5.0, 4.4, 4.2, 20.3, 31.0, 25.5, 1.5]


@pytest.fixture
def pets(tmp_path):
    path = tmp_path / "pets.csv"
    legs = ["4"] * 9 + ["2"]
    lines = [f"{w};{k};{n}" for w, k, n in zip(WEIGHTS, KINDS, legs, strict=True)]
    path.write_text("\n".join(["weight;kind;legs", *lines]) + "\n")
    return path


def estimated(capsys, *arguments):
    status, out, err = call(capsys, "estimate", *map(str, arguments), "--json")
    assert (status, err) == (0, "")
    return json.loads(out)


@pytest.mark.slow
def test_every_column_by_default(capsys, pets):
    found = estimated(capsys, pets)
    assert found["rows"] == 10
    assert found["columns"] == {
        "weight": "numbers, 10 different",
        "kind": "labels, 3 different",
        "legs": "labels, 2 different, as some numbers stand on more than 3 rows",
    }
    n = np.asarray([6, 3, 1])
    with jax.enable_x64(True):
        mean, deviation = counts.entropy_moments(n, method="nsb")
        corrected, unseen = (counts.entropy(n, method=m) for m in ("miller_madow", "chao_shen"))
        continuous = samples.entropy(np.asarray(WEIGHTS))
    kind = found["nats"]["kind"]
    expected = [
        -sum(x * np.log(x) for x in (0.6, 0.3, 0.1)),
        float(corrected),
        float(unseen),
        float(mean),
        float(deviation),
    ]
    assert list(kind.values()) == pytest.approx(expected, rel=1e-12)
    assert found["nats"]["weight"] == {"differential entropy, k = 3": pytest.approx(float(continuous))}


def test_two_columns_of_labels(capsys, pets):
    told = estimated(capsys, pets, "kind", "legs")
    found = told["nats"]
    # Who is an owl is known from the legs and nothing else is.
    assert found["information, as observed"] == pytest.approx(-0.9 * np.log(0.9) - 0.1 * np.log(0.1))
    assert 0 < told["p_value"] <= 1
    assert found["of it by chance"] < found["information, as observed"]
    assert estimated(capsys, pets, "kind", "legs") == told
    assert estimated(capsys, pets, "kind", "legs", "--seed", 1)["nats"] != found


def test_numbers_and_labels_in_either_order(capsys, tmp_path):
    rng = np.random.default_rng(0)
    label = rng.integers(0, 2, 60)
    x = rng.normal(size=60) + 3 * label
    path = tmp_path / "data.csv"
    path.write_text(
        "\n".join(["x,y,z", *(f"{a!r},{b},{c!r}" for a, b, c in zip(x.tolist(), label, (x**3).tolist(), strict=True))])
    )
    with jax.enable_x64(True):
        ross = float(samples.mutual_information(x, label.astype(np.int32), method="ross", standardize=True))
        ksg = float(samples.mutual_information(x, x**3, standardize=True))
    for order in (("x", "y"), ("y", "x"), (0, 1), (-3, -2)):
        assert estimated(capsys, path, *order)["nats"] == {"information (Ross, k = 3)": pytest.approx(ross)}
    assert estimated(capsys, path, "x", "z")["nats"] == {"information (KSG, k = 3)": pytest.approx(ksg)}
    # Metres or micrometres, it is the same.
    scaled = tmp_path / "scaled.csv"
    lines = [f"{1e6 * u!r},{w!r}" for u, w in zip(x.tolist(), (x**3).tolist(), strict=True)]
    scaled.write_text("\n".join(["x,z", *lines]))
    assert estimated(capsys, scaled, "x", "z")["nats"] == {"information (KSG, k = 3)": pytest.approx(ksg, abs=1e-9)}


def test_labels_on_few_rows_are_told_of(capsys, tmp_path):
    path = tmp_path / "few.csv"
    kinds = ["a"] * 8 + ["b"] * 2 + ["c"]
    path.write_text("\n".join(["x,kind", *(f"{i * i / 7!r},{kind}" for i, kind in enumerate(kinds))]))
    note = estimated(capsys, path, "x", "kind")["note"]
    assert note == "1 rows whose kind occurs once are left out; 1 labels on 3 rows or fewer look at fewer neighbours"
    single = tmp_path / "single.csv"
    single.write_text("\n".join(["x,kind", *(f"{i * i / 7!r},{chr(97 + i)}" for i in range(9))]))
    status, _, err = call(capsys, "estimate", str(single), "x", "kind")
    assert status == 2
    assert "only labels that occur once" in err


def test_the_same_number_is_the_same_label(capsys, tmp_path):
    path = tmp_path / "numbers.csv"
    path.write_text("n\n" + "\n".join(["1", "1.0", "01", "1", "2", "2e0"]))
    assert estimated(capsys, path)["columns"] == {"n": "labels, 2 different, as some numbers stand on more than 3 rows"}


def test_what_is_infinite_is_written_so(capsys, tmp_path):
    path = tmp_path / "huge.csv"
    path.write_text("x\n1.7e308\n-1.7e308\n1.6e308\n-1.6e308\n")
    (value,) = estimated(capsys, path)["nats"]["x"].values()
    assert value in ("inf", "nan")


def test_numbers_may_be_labels(capsys, pets):
    assert estimated(capsys, pets, "weight", "--labels")["columns"] == {"weight": "labels, 10 different"}
    assert estimated(capsys, pets, "weight", "legs", "--labels", "weight")["columns"] == {
        "weight": "labels, 10 different",
        "legs": "labels, 2 different, as some numbers stand on more than 3 rows",
    }


def test_labels_may_be_numbers(capsys, pets):
    found = estimated(capsys, pets, "legs", "--numbers", "legs")
    assert found["columns"] == {"legs": "numbers, 2 different"}
    assert found["nats"]["legs"] == {"differential entropy, k = 3": "nan"}
    assert "too many equal numbers" in found["notes"]["legs"]
    status, out, _ = call(capsys, "estimate", str(pets), "legs", "--numbers")
    assert status == 0
    assert "too many equal numbers" in out


def test_gaps_in_other_columns_do_not_matter(capsys, tmp_path):
    path = tmp_path / "gaps.csv"
    path.write_text("a,b\nu,\nv,2\nu,3\nv,4\n")
    assert estimated(capsys, path, "a")["rows"] == 4


def test_the_text_reads_well(capsys, pets):
    status, out, err = call(capsys, "estimate", str(pets))
    assert (status, err) == (0, "")
    assert all(len(line) <= 80 for line in out.splitlines())
    for words in ("pets.csv: 10 rows", "kind: labels, 3 different", "entropy, as observed", "nats", "bits", "hartleys"):
        assert words in out
    status, out, _ = call(capsys, "estimate", str(pets), "kind", "legs")
    assert status == 0
    assert "How much one tells about the other" in out
    assert "p-value" in out


def test_row_numbers_of_pandas_have_no_name(capsys, tmp_path):
    path = tmp_path / "frame.csv"
    path.write_text(",kind\n" + "\n".join(f"{i},{kind}" for i, kind in enumerate(KINDS)))
    found = estimated(capsys, path)
    assert found["columns"] == {"0": "numbers, 10 different", "kind": "labels, 3 different"}
    assert set(found["nats"]) == {"0", "kind"}


def test_a_file_without_names(capsys, tmp_path):
    path = tmp_path / "bare.csv"
    path.write_text("1.5,1\n2,1\n3,2\n4,2\n5,1\n")
    found = estimated(capsys, path)
    assert found["rows"] == 5
    assert set(found["columns"]) == {"0", "1"}
    mixed = tmp_path / "mixed.csv"
    mixed.write_text("place,2019\nhere,1\nthere,2\nhere,1\nthere,3\n")
    status, _, err = call(capsys, "estimate", str(mixed))
    assert status == 2
    assert "place, 2019, which may be names or data: say --header yes or --header no" in err
    assert set(estimated(capsys, mixed, "--header", "yes")["columns"]) == {"place", "2019"}
    over = tmp_path / "over.csv"
    over.write_text("year,2019\n1,1\n2,2\n2,1\n1,3\n")
    assert estimated(capsys, over)["rows"] == 4
    words = tmp_path / "words.csv"
    words.write_text("a,u\nb,v\na,u\nb,v\na,u\n")
    assert estimated(capsys, words)["rows"] == 4
    assert estimated(capsys, words, "--header", "no")["rows"] == 5


@pytest.mark.parametrize(
    ("text", "arguments", "message"),
    [
        ("a,b\n1,2\n3,4\n5,6\n7,8\n", ("c",), "found no column 'c', expected one of a, b, or an index"),
        ("a,b\n1,2\n3,4\n5,6\n7,8\n", ("2",), "found no column '2'"),
        ("a,b\n1,2\n3,4\n5,6\n7,8\n", ("a", "b", "a"), "found 3 columns, expected at most two"),
        ("a,b\n1,2\n3\n5,6\n7,8\n", (), "line 3: found 1 cells, expected 2"),
        ("a,b\n1,2\n3,\n5,6\n7,8\n", (), "found an empty cell in column 'b', line 3"),
        ("a,a\n1,2\n3,4\n5,6\n7,8\n", (), "two columns of the same name"),
        ("a,b\n1,2\n3,4\n5,6\n", (), "found 3 rows below the header, expected more than 3"),
        ("", (), "found an empty file"),
        ("a,b\n1,2\n3,nan\n5,6\n7,8\n", (), "found nan in column 'b', line 3"),
        ("a,b\n1,2\n3,NA\n5,6\n7,8\n", (), "found 'NA' in column 'b', line 3, where others are numbers"),
        ("a,b\n1,2\n3,4\n5,6\n7,8\n", ("a", "0"), "found the column 'a' twice"),
        ("a,b\n1,2\n3,4\n5,6\n7,8\n", ("²",), "found no column '²'"),
        ("a,b\n1,2\n3,u\n5,v\n7,w\n", ("b", "--numbers"), "found 'u' in column 'b', line 3"),
        ("a,b\n1,2\n3,4\n5,6\n7,8\n", ("a", "--numbers", "--labels"), "'a' in --labels and --numbers"),
        ("a,b\n1,2\n3,4\n5,6\n7,8\n", ("a", "--label"), "did you mean --labels?"),
    ],
)
def test_refusals(capsys, tmp_path, text, arguments, message):
    path = tmp_path / "bad.csv"
    path.write_text(text)
    status, out, err = call(capsys, "estimate", str(path), *arguments)
    assert (status, out) == (2, "")
    assert message in err
    assert err.startswith("jxent: error: ")
    assert len(err.splitlines()) == 1


def test_a_file_that_is_not_there(capsys, tmp_path):
    status, _, err = call(capsys, "estimate", str(tmp_path / "none.csv"))
    assert status == 2
    assert "no such file" in err
