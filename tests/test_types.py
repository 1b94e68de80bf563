"""What a type checker says of calls as users write them."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
RIGHT = """
import jax.numpy as jnp
import numpy as np
from jxent import calibration, closed_form, counts, linear, logits, losses, probs, samples

probs.entropy([0.5, 0.5], base=2)
probs.entropy(np.ones(2) / 2, axis=(0,), where=[True, False])
probs.kl_divergence([[0.5, 0.5]], [[0.9, 0.1]], keepdims=True)
probs.renyi_divergence([0.5, 0.5], [0.9, 0.1], 2.0)
probs.mutual_information([[0.5, 0.0], [0.0, 0.5]], x=0, y=(1,))
probs.normalized_mutual_information([[0.5, 0.0], [0.0, 0.5]], normalizer="max")
probs.f_divergence([0.5, 0.5], [0.9, 0.1], lambda t: (t - 1) ** 2)
probs.marginal([[0.5, 0.0], [0.0, 0.5]], (0,))
logits.entropy(jnp.zeros(2)) + 1.0
losses.softmax_cross_entropy_with_integer_labels([[1.0, 2.0]], range(1), ignore_label=-100, class_weights=[1.0, 2.0])
losses.mean([1.0, 2.0], [0.5, 0.5])
linear.softmax_cross_entropy([[1.0]], [[1.0], [2.0]], [0], engine="rows")
counts.entropy([3, 1], method="nsb")
counts.from_labels([[0, 1]], (2, 2))
samples.mutual_information([1.0, 2.0], [2.0, 1.0], method="ksg2")
calibration.brier_score([[0.5, 0.5]], [1], weights=[2.0])
first, second = closed_form.probs_kl_divergence([0.5, 0.5], [0.9, 0.1], base=2)
first.shape, second.shape
"""
WRONG = {
    "samples.mutual_information([1.0], [2.0], method='kgs')": "kgs",
    "counts.entropy([3, 1], method='mle')": "mle",
    "probs.normalized_mutual_information([[0.5, 0.5]], normalizer='mean')": "mean",
    "probs.entropy([0.5, 0.5], axes=0)": "axes",
    "probs.entropy()": "p",
    "probs.entropy({'a': 0.5})": "dict",
    "closed_form.logits_entropy([0.5], 0)": "positional",
}


@pytest.mark.slow
def test_a_type_checker_takes_what_runs_and_names_what_does_not(tmp_path):
    readme = re.findall(r"^```python\n(.*?)^```", (ROOT / "README.md").read_text(), re.DOTALL | re.MULTILINE)
    file = tmp_path / "calls.py"
    file.write_text("\n".join([*readme, RIGHT, *WRONG]))
    (tmp_path / "pyrightconfig.json").write_text(json.dumps({"typeCheckingMode": "basic", "extraPaths": [str(ROOT)]}))
    command = [sys.executable, "-m", "basedpyright", "--outputjson", "--pythonpath", sys.executable, "-p", tmp_path]
    report = json.loads(subprocess.run(command, capture_output=True, text=True, check=False).stdout)
    found = {
        d["range"]["start"]["line"]: d["message"] for d in report["generalDiagnostics"] if d["severity"] == "error"
    }
    lines = file.read_text().splitlines()
    assert {lines[i] for i in found} == set(WRONG), {lines[i]: m for i, m in found.items() if lines[i] not in WRONG}
    for i, message in found.items():
        assert WRONG[lines[i]] in message
