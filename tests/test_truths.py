"""Estimates from samples approach what is true of the distribution, at the rates of the literature."""

import itertools
import math

import pytest

from tests import truths

pytestmark = pytest.mark.slow

ESTIMATORS = sorted({name.split(",")[0] for name in truths.CASES})


@pytest.mark.parametrize("estimator", ESTIMATORS)
@pytest.mark.parametrize("d", truths.DIMENSIONS)
def test_bias_and_deviation_over_dimension_and_number(estimator, d):
    """The bias stays below a multiple of n^(−1/D), and the deviation goes as n^(−1/2)."""
    cases = [name for name in truths.CASES if name.split(",")[0] == estimator]
    for name, n in itertools.product(cases, truths.NUMBERS[:2]):
        case = truths.CASES[name]
        found = truths.found(name, d, n)
        bound = case.bias[truths.DIMENSIONS.index(d)] * n ** (-1 / (case.coordinates * d))
        assert abs(found.bias) <= bound + 4 * found.standard_error, (name, n, found, bound)
        assert 0.25 * math.sqrt(d / n) <= found.deviation <= 2.5 * math.sqrt(d / n), (name, n, found)


def test_information_of_independent_variables_has_no_bias():
    """Kraskov, Stögbauer and Grassberger (2004), section II.C: found by them for all distributions they tried."""
    for method in ("ksg1", "ksg2"):
        for kind in ("normal", "uniform"):
            found = truths.independent(method, kind, 200)
            assert abs(found.bias) <= 3 * found.standard_error + 1e-3, (method, kind, found)
