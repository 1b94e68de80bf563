"""The bias of the estimators from counts, where the truth is known, is what the literature found."""

import jax.numpy as jnp
import numpy as np
import pytest

from jxent import counts, probs

CELLS, SAMPLES = 100, 400
RNG = np.random.default_rng(3)
ZIPF = 1 / np.arange(1, CELLS + 1)
TRUTHS = {
    "uniform": np.full((SAMPLES, CELLS), 1 / CELLS),
    "Zipf": np.tile(ZIPF / ZIPF.sum(), (SAMPLES, 1)),
    "Dirichlet": RNG.dirichlet(np.full(CELLS, 0.1), size=SAMPLES),
}
# From the largest bias to the smallest, of fewer observations than cells.
RANKED = ("plugin", "miller_madow", "zhang", "grassberger_1988", "grassberger_2003", "chao_wang_jost")


def errors(name, size, method):
    n = jnp.asarray(np.random.default_rng(size).multinomial(size, TRUTHS[name]), jnp.float32)
    return np.asarray(counts.entropy(n, method=method)) - np.asarray(probs.entropy(TRUTHS[name]))


@pytest.mark.slow
@pytest.mark.parametrize("name", TRUTHS)
def test_few_observations(name):
    """Paninski (2003), Grassberger (2003), Zhang (2012), Chao, Wang and Jost (2013), Nemenman et al. (2002)."""
    found = {method: errors(name, 30, method) for method in (*RANKED, "nsb")}
    bias = [float(np.mean(found[method])) for method in RANKED]
    assert np.all(np.asarray(bias[:-1]) < 0)
    assert np.all(np.diff(np.abs(bias)) < 0), dict(zip(RANKED, bias, strict=True))
    # Each correction pays with deviation.
    assert np.std(found["plugin"]) < np.std(found["grassberger_2003"]) < np.std(found["chao_wang_jost"])
    assert abs(np.mean(found["nsb"])) < (0.05 if name == "Dirichlet" else 0.3)


@pytest.mark.slow
@pytest.mark.parametrize("name", TRUTHS)
def test_many_observations(name):
    """Ten for each cell: what corrects the bias leaves a hundredth of a nat at most."""
    assert np.mean(errors(name, 1000, "plugin")) < -0.02
    for method in ("miller_madow", "jackknife", *RANKED[2:]):
        assert abs(np.mean(errors(name, 1000, method))) < 0.01
