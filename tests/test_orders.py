"""Measures with an order: limits, smoothness and derivatives in the order; distances; f-divergences of a caller."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jxent import closed_form, logits, probs
from tests import reference as ref
from tests.accuracy import FAMILIES, _logits, _probs, relative_error

BOUND = {"float32": 4e-6, "float64": 4e-15}
ENTROPIES = {"renyi_entropy": (0.0, 0.3, 0.999, 1.0, 1.001, 2.0, 7.5, 100.0, np.inf),
             "tsallis_entropy": (0.0, 0.3, 0.999, 1.0, 1.001, 2.0, 7.5, 100.0, np.inf)}  # fmt: skip
DIVERGENCES = {"renyi_divergence": (0.0, 0.01, 0.5, 0.999, 1.0, 1.001, 2.0, 20.0, np.inf),
               "alpha_divergence": (-3.0, -1.0, -0.999, -0.5, 0.0, 0.5, 1.0, 1.001, 3.0)}  # fmt: skip


def accurate(room, name, orders, make, family, rng, dtype, count):
    """The worst error of a row over the orders, which share a program."""
    case = make(family, rng, dtype)[:count]
    exact = [ref.exact(x) for x in case]
    exact = exact if room is probs else [ref.softmax(x)[0] for x in exact]
    worst = 0.0
    for order in orders:
        found = getattr(room, name)(*(jnp.asarray(x) for x in case), order)
        value = getattr(ref, name)(*exact, float(np.asarray(order, dtype)))
        if abs(value) > float(np.finfo(dtype).max):
            value = ref.INF
        error = relative_error(found, [value], dtype)
        # A power exp(x) is no more accurate than its exponent: |x| units of roundoff, where that is beyond the bound.
        size = abs(float(ref.mp.log(value))) if 0 < value < ref.INF else 0.0
        worst = max(worst, 0.0 if error <= 0.5 * float(np.finfo(dtype).eps) * size else error)
    return worst


@pytest.mark.parametrize("room", [probs, logits])
@pytest.mark.parametrize(
    "family", [f if f in ("random", "one dominates") else pytest.param(f, marks=pytest.mark.slow) for f in FAMILIES]
)
def test_every_order_is_accurate(room, family, dtype_by_turns):
    dtype, rng = dtype_by_turns, np.random.default_rng(11)
    make = _probs if room is probs else _logits
    for names, count in ((ENTROPIES, 1), (DIVERGENCES, 2)):
        for name, orders in names.items():
            error = accurate(room, name, orders, make, family, rng, dtype, count)
            assert error <= BOUND[dtype.name], name


def test_limits_at_special_orders(x64):
    p, q = jnp.asarray([0.5, 0.3, 0.2, 0.0]), jnp.asarray([0.25, 0.25, 0.25, 0.25])
    assert probs.renyi_entropy(p, 0) == pytest.approx(np.log(3))
    assert probs.renyi_entropy(p, 1) == pytest.approx(float(probs.entropy(p)), rel=1e-14)
    assert probs.renyi_entropy(p, np.inf) == pytest.approx(-np.log(0.5))
    assert probs.tsallis_entropy(p, 0) == 2
    assert probs.tsallis_entropy(p, 1) == pytest.approx(float(probs.entropy(p)), rel=1e-14)
    assert probs.tsallis_entropy(p, np.inf) == 0
    assert probs.renyi_divergence(p, q, 0) == pytest.approx(-np.log(0.75))
    assert probs.renyi_divergence(p, q, 1) == pytest.approx(float(probs.kl_divergence(p, q)), rel=1e-13)
    assert probs.renyi_divergence(p, q, np.inf) == pytest.approx(np.log(2))
    assert probs.alpha_divergence(p, q, -1) == pytest.approx(float(probs.kl_divergence(p, q)), rel=1e-14)
    assert probs.alpha_divergence(p, q, 1) == np.inf
    assert probs.alpha_divergence(q, p, 1) == pytest.approx(float(probs.kl_divergence(p, q)), rel=1e-14)
    assert probs.alpha_divergence(q, p, -1) == np.inf


@pytest.mark.parametrize("alpha", [-1.0, -1.5, -3.5])
def test_slopes_where_an_order_makes_the_value_infinite(alpha, dtype):
    """As q → 0 < p the divergence of order α ≤ −1 grows without bound, and with it falls that of order −α exchanged."""
    p, q = jnp.asarray([0.5, 0.5], dtype), jnp.asarray([1.0, 0.0], dtype)
    assert probs.alpha_divergence(p, q, alpha) == np.inf
    in_p, in_q = jax.grad(probs.alpha_divergence, (0, 1))(p, q, alpha)
    assert in_p[1] == np.inf
    assert in_q[1] == -np.inf
    # (1 − (p/q)^(β − 1))·(−1/γ) and its like in the class that both have, by hand with β = (1 − α)/2.
    beta, t = (1 - alpha) / 2, 0.5
    finite = -np.log(1 / t) if beta == 1 else (1 - t ** (beta - 1)) / (1 - beta)
    np.testing.assert_allclose([in_p[0], in_q[0]], [finite, (1 - t**beta) / beta], rtol=4e-6)
    exchanged = jax.grad(probs.alpha_divergence, (1, 0))(q, p, -alpha)
    np.testing.assert_allclose(exchanged, (in_p, in_q), rtol=4e-6)


def test_published_relations_between_measures(x64):
    """van Erven and Harremoës (2014), eqs. 5 to 7, Hel² there being 2·H² here; Amari (2016); Gibbs and Su (2002)."""
    p, q = jnp.asarray([0.1, 0.2, 0.3, 0.4]), jnp.asarray([0.4, 0.3, 0.2, 0.1])
    hellinger, chi = float(probs.hellinger_distance(p, q)), float(probs.chi_squared_divergence(p, q))
    assert probs.renyi_divergence(p, q, 0.5) == pytest.approx(-2 * np.log(1 - hellinger**2))
    assert probs.renyi_divergence(p, q, 2) == pytest.approx(np.log(1 + chi))
    assert probs.alpha_divergence(p, q, 0) == pytest.approx(4 * hellinger**2)
    assert probs.alpha_divergence(p, q, -3) == pytest.approx(chi / 2)
    assert probs.bhattacharyya_distance(p, q) == pytest.approx(-np.log(1 - hellinger**2))
    tv = float(probs.total_variation(p, q))
    assert hellinger**2 <= tv <= np.sqrt(2) * hellinger
    events = itertools.chain.from_iterable(itertools.combinations(range(4), n) for n in range(5))
    assert tv == pytest.approx(max(abs(float(sum(p[i] - q[i] for i in event))) for event in events))


def test_published_numbers(x64):
    # Tsallis (1988), eq. 2: W equal probabilities; Rényi (1961): log n at every order.
    for order in (0.5, 2.0, 3.0):
        assert probs.tsallis_entropy(np.full(6, 1 / 6), order) == pytest.approx((6 ** (1 - order) - 1) / (1 - order))
        assert probs.renyi_entropy(np.full(6, 1 / 6), order) == pytest.approx(np.log(6))
    # The example of scipy.stats.chisquare: 88 counts against equal ones have the statistic 2.0.
    counts = np.array([16, 18, 16, 14, 12, 12])
    assert 88 * probs.chi_squared_divergence(counts / 88, np.full(6, 1 / 6)) == pytest.approx(2.0)
    # NIST SP 800-90B, section 2: min-entropy of a coin that falls on one side nine times in ten.
    assert probs.renyi_entropy([0.9, 0.1], np.inf, base=2) == pytest.approx(0.152003, abs=1e-6)
    # Levin, Peres and Wilmer (2009), section 4.1: disjoint supports are at distance 1.
    assert probs.total_variation([1.0, 0.0], [0.0, 1.0]) == 1
    assert probs.hellinger_distance([1.0, 0.0], [0.0, 1.0]) == 1


@pytest.mark.slow
@pytest.mark.parametrize("name", [*ENTROPIES, *DIVERGENCES])
@pytest.mark.parametrize("room", [probs, pytest.param(logits, marks=pytest.mark.slow)])
def test_derivative_in_the_order(name, room, x64):
    """First and second, through the special orders, against differences of the exact function."""
    p, q = [0.125, 0.25, 0.5, 0.125], [0.5, 0.125, 0.25, 0.125]
    count = 1 if name in ENTROPIES else 2
    rows = [p, q][:count]
    args = [jnp.asarray(x) if room is probs else jnp.log(jnp.asarray(x)) for x in rows]
    exact = [[ref.mp.mpf(x) for x in row] for row in rows]

    def of(order):
        return getattr(room, name)(*args, order)

    # One program for all orders.
    slopes = jax.jit(lambda order: (jax.grad(of)(order), jax.grad(jax.grad(of))(order)))
    h = ref.mp.mpf(10) ** -20
    for order in (0.3, 1.0, 2.0) if "alpha" not in name else (-1.0, 0.5, 1.0, 3.0):
        at = [_smooth(name, exact, ref.mp.mpf(order) + k * h) for k in (-1, 0, 1)]
        first, second = float((at[2] - at[0]) / (2 * h)), float((at[2] - 2 * at[1] + at[0]) / h**2)
        found = slopes(order)
        assert found[0] == pytest.approx(first, rel=1e-11)
        assert found[1] == pytest.approx(second, rel=1e-8)
    assert np.isfinite(slopes(0.0)[0])
    if "alpha" not in name:
        assert slopes(np.inf)[0] == 0


@pytest.mark.slow
@pytest.mark.parametrize("name", DIVERGENCES)
@pytest.mark.parametrize("room", [probs, logits])
def test_derivative_in_the_order_where_a_side_is_0(room, name, x64):
    """Every term has its derivative: of p alone, of q alone, and of both."""
    p, q = [0.5, 0.375, 0.125, 0.0], [0.0, 0.25, 0.5, 0.25]
    args = [jnp.asarray(x) if room is probs else jnp.log(jnp.asarray(x)) + 1.0 for x in (p, q)]
    exact = [[ref.mp.mpf(x) for x in row] for row in (p, q)]
    h = ref.mp.mpf(10) ** -20

    def of(a):
        """The definition with its powers of 0."""
        b = a if name == "renyi_divergence" else (1 - a) / 2
        total = ref.power_sum(*exact, b)
        return ref.mp.log(total) / (a - 1) if name == "renyi_divergence" else (1 - total) / (b * (1 - b))

    slope = jax.jit(jax.grad(lambda order: getattr(room, name)(*args, order)))
    for order in (0.25, 0.5, 0.875) if name == "renyi_divergence" else (-0.75, 0.0, 0.5):
        expected = (of(ref.mp.mpf(order) + h) - of(ref.mp.mpf(order) - h)) / (2 * h)
        assert slope(order) == pytest.approx(float(expected), rel=1e-12)


def _smooth(name, rows, a):
    """The textbook formula at orders near which it has no singularity but removable ones."""
    mp = ref.mp
    if name in ENTROPIES:
        total = mp.fsum(x**a for x in rows[0])
        if a == 1:
            return ref.entropy(rows[0])
        return mp.log(total) / (1 - a) if name == "renyi_entropy" else (1 - total) / (a - 1)
    p, q = rows
    if name == "renyi_divergence":
        return (
            ref.kl_divergence(p, q) if a == 1 else mp.log(ref.power_sum(p, q, a) if a < 1 else _sum(p, q, a)) / (a - 1)
        )
    b, c = (1 - a) / 2, (1 + a) / 2
    if b == 0:
        return ref.kl_divergence(q, p)
    return ref.kl_divergence(p, q) if c == 0 else (1 - _sum(p, q, b)) / (b * c)


def _sum(p, q, a):
    return ref.mp.fsum(x**a * y ** (1 - a) for x, y in zip(p, q, strict=True))


def test_value_and_gradient_are_continuous_at_order_one(dtype):
    """Rows whose sum is 1 only to rounding: the excess must not be divided by the distance from 1."""
    p = jnp.asarray(np.random.default_rng(0).dirichlet(np.ones(50)).astype(dtype))
    for name in ENTROPIES:
        f = getattr(probs, name)
        shannon, slope = probs.entropy(p), jax.grad(probs.entropy)(p)
        for h in (-1e-3, -1e-6, 1e-6, 1e-3):
            np.testing.assert_allclose(f(p, 1 + h), shannon, rtol=4 * abs(h) + 1e-6)
            # Along the simplex; across it the slope goes over to that of the formula as it stands.
            found = jax.grad(f)(p, 1 + h)
            across = np.mean(np.asarray(found - slope))
            assert abs(across) <= 40 * 32 * abs(h) + 1e-5
            np.testing.assert_allclose(found - across, slope, rtol=20 * abs(h) + 1e-5, atol=20 * abs(h) + 1e-4)


def test_orders_outside_the_domain_are_refused():
    p = [0.5, 0.5]
    for f, args in ((probs.renyi_entropy, (p,)), (probs.tsallis_entropy, (p,)), (probs.renyi_divergence, (p, p))):
        for order in (-0.1, float("nan")):
            with pytest.raises(ValueError, match=r"\[0, inf\]"):
                f(*args, order)
        with pytest.raises(ValueError, match="scalar"):
            f(*args, jnp.asarray([1.0, 2.0]))
    with pytest.raises(ValueError, match="alpha"):
        probs.alpha_divergence(p, p, np.inf)


def test_a_new_order_compiles_nothing():
    from jax._src import test_util

    p = jnp.asarray([0.5, 0.5])
    probs.renyi_entropy(p, 0.5)
    with test_util.count_jit_compilation_cache_miss() as count:
        for order in (0.0, 1.0, 3.0):
            probs.renyi_entropy(p, order)
        assert count() == 0


def kl_generator(t):
    return t * jnp.log(t)


def test_an_f_divergence_is_its_named_form(x64):
    p, q = jnp.asarray([0.1, 0.2, 0.3, 0.4]), jnp.asarray([0.4, 0.3, 0.2, 0.1])
    cases = [
        (kl_generator, probs.kl_divergence),
        (lambda t: -jnp.log(t), lambda p, q: probs.kl_divergence(q, p)),
        (lambda t: (t - 1) ** 2, probs.chi_squared_divergence),
        (lambda t: jnp.abs(t - 1) / 2, probs.total_variation),
        (lambda t: (jnp.sqrt(t) - 1) ** 2 / 2, lambda p, q: probs.hellinger_distance(p, q) ** 2),
    ]
    a, b = jnp.log(p) + 1, jnp.log(q)

    def of_logits(measure):
        return lambda a, b: measure(jax.nn.softmax(a), jax.nn.softmax(b))

    for generator, named in cases:
        assert probs.f_divergence(p, q, generator) == pytest.approx(float(named(p, q)), rel=1e-12)
        assert logits.f_divergence(a, b, generator) == pytest.approx(float(named(p, q)), rel=1e-12)
        # What the named forms add for a mass that is not 1 is the same for all classes.
        found, expected = (
            [g - jnp.mean(g) for g in jax.grad(of, (0, 1))(p, q)]
            for of in (lambda p, q, f=generator: probs.f_divergence(p, q, f), named)
        )
        np.testing.assert_allclose(found, expected, rtol=1e-12)
        found, expected = (
            jax.grad(of, (0, 1))(a, b)
            for of in (lambda a, b, f=generator: logits.f_divergence(a, b, f), of_logits(named))
        )
        np.testing.assert_allclose(found, expected, rtol=1e-11, atol=1e-15)


@pytest.mark.slow
def test_an_f_divergence_at_the_boundary():
    p, q = jnp.asarray([0.0, 0.5, 0.5]), jnp.asarray([0.25, 0.75, 0.0])
    reverse = lambda t: -jnp.log(t)  # noqa: E731
    assert probs.f_divergence(p, q, kl_generator) == np.inf
    assert probs.f_divergence(q, p, reverse) == np.inf
    assert probs.f_divergence(p[:2], q[:2], reverse) == np.inf
    assert jax.grad(probs.f_divergence)(p[:2], q[:2], reverse)[0] == -np.inf
    tv = lambda t: jnp.abs(t - 1) / 2  # noqa: E731
    value, gradients = jax.value_and_grad(probs.f_divergence, (0, 1))(p, q, tv, slope_at_infinity=0.5)
    assert value == 0.5
    np.testing.assert_allclose(gradients[0], [-0.5, -0.5, 0.5], atol=1e-6)
    np.testing.assert_allclose(gradients[1], [0.5, 0.5, -0.5], atol=1e-3)
    by_hand = closed_form.probs_f_divergence(p, q, tv, slope_at_infinity=0.5)
    for found, expected in zip(gradients, by_hand, strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-6)
    infinite = jax.grad(probs.f_divergence, (0, 1))(p, q, kl_generator)
    np.testing.assert_array_equal(np.isposinf(infinite[0]), [False, False, True])
    np.testing.assert_array_equal(np.isneginf(infinite[1]), [False, False, True])
    assert probs.f_divergence([0.0, 1.0], [0.0, 1.0], kl_generator) == 0
    with jax.debug_nans(True):
        assert np.isfinite(probs.f_divergence([0.0, 1.0], [0.5, 0.5], kl_generator))


def test_a_generator_may_close_over_traced_values(x64):
    p, q = jnp.asarray([0.1, 0.9]), jnp.asarray([0.4, 0.6])

    def of(a):
        return probs.f_divergence(p, q, lambda t: t**a)

    assert jax.jit(jax.grad(of))(2.0) == pytest.approx(float(jnp.sum(q * (p / q) ** 2 * jnp.log(p / q))))
    assert np.isfinite(jax.hessian(of)(2.0))


def test_what_is_no_generator_is_refused():
    with pytest.raises(TypeError, match="generator"):
        probs.f_divergence([0.5, 0.5], [0.5, 0.5], "kl")
    with pytest.raises(ValueError, match="elementwise"):
        logits.f_divergence([0.5, 0.5], [0.5, 0.5], jnp.sum)


@pytest.mark.parametrize("turned", [False, True])
def test_a_generator_is_asked_of_ratios_with_a_side_that_underflows(turned, dtype_by_turns):
    """The smaller side has no normal number, p/q has: by value, gradient and Hessian that of the divergence."""
    dtype = dtype_by_turns
    far = -103.5 if dtype == np.float32 else -744.0
    a, b = jnp.asarray([0.0, far / 5, 0.5], dtype), jnp.asarray([0.0, far, -0.5], dtype)

    def relative(t):
        return -jnp.log(t) if turned else t * jnp.log(t)

    def found(a, b):
        return logits.f_divergence(*((b, a) if turned else (a, b)), relative)

    bound = 4e-6 if dtype == np.float32 else 4e-15
    np.testing.assert_allclose(found(a, b), logits.kl_divergence(a, b), rtol=bound)
    # The second derivative of -log t is out of range for such a t.
    for derivative in (jax.grad,) if turned else (jax.grad, jax.hessian):
        slopes, expected = (derivative(f, (0, 1))(a, b) for f in (found, logits.kl_divergence))
        for x, y in zip(jax.tree.leaves(slopes), jax.tree.leaves(expected), strict=True):
            np.testing.assert_allclose(x, y, rtol=2 * bound, atol=bound * float(jnp.max(jnp.abs(y))))
    by_hand = closed_form.logits_f_divergence(*((b, a) if turned else (a, b)), relative)
    for x, y in zip(by_hand[::-1] if turned else by_hand, jax.grad(found, (0, 1))(a, b), strict=True):
        np.testing.assert_allclose(x, y, rtol=2 * bound, atol=bound * float(jnp.max(jnp.abs(y))))
    np.testing.assert_allclose(jax.jit(found)(a, b), found(a, b), rtol=bound)


@pytest.mark.slow
def test_a_ratio_at_the_edge_of_the_range(dtype_by_turns):
    """Near the largest t, and near the largest f(t): no NaN, and where the value is finite it is the right one."""
    dtype = dtype_by_turns
    relative, reverse = (lambda t: t * jnp.log(t)), (lambda t: -jnp.log(t))
    edge = -np.log(float(np.finfo(dtype).tiny))
    for base in (edge, edge + np.log(2.0), edge - np.log(edge)):
        for shift in range(-2, 3):
            far = jnp.asarray([0.0, -base * (1 + shift * float(np.finfo(dtype).eps) / 2)], dtype)
            near = jnp.zeros(2, dtype)
            for zp, zq, f, named in (
                (near, far, relative, logits.kl_divergence),
                (far, near, reverse, lambda p, q: logits.kl_divergence(q, p)),
                (far, near, relative, logits.kl_divergence),
                (near, far, lambda t: (t - 1.0) ** 2, logits.chi_squared_divergence),
            ):
                value = logits.f_divergence(zp, zq, f)
                assert not np.isnan(value)
                if np.isfinite(value):
                    np.testing.assert_allclose(value, named(zp, zq), rtol=1e-5)
                assert np.isfinite(jax.grad(logits.f_divergence, (0, 1))(zp, zq, f)).all()
                assert np.isfinite(closed_form.logits_f_divergence(zp, zq, f)).all()


def test_what_counts_as_0_moves_nothing():
    zp, zq = jnp.asarray([0.0, 1.0, -120.0]), jnp.asarray([0.0, 0.3, 0.5])
    f = lambda t: 1.0 - t**0.02  # noqa: E731
    found = jax.grad(lambda z: logits.f_divergence(z, zq, f, slope_at_infinity=0.0))(zp)
    without = jax.grad(lambda z: logits.f_divergence(z, zq, f, slope_at_infinity=0.0))(zp.at[2].set(-jnp.inf))
    np.testing.assert_allclose(found, without, rtol=1e-5)
    assert found[2] == 0


def test_a_ratio_out_of_range_is_one_with_a_side_of_0():
    """No generator can be asked about it; measures with a formula of their own have the value."""
    a, b = jnp.asarray([0.0, 0.0], jnp.float32), jnp.asarray([0.0, -104.0], jnp.float32)

    def relative(t):
        return t * jnp.log(t)

    assert float(logits.f_divergence(a, b, relative)) == np.inf
    assert float(logits.f_divergence(b, a, lambda t: -jnp.log(t))) == np.inf
    np.testing.assert_allclose(logits.f_divergence(a, b, relative, slope_at_infinity=80.0), 40.0 - 0.5 * np.log(2))
    assert float(logits.f_divergence(b, a, jnp.square, slope_at_infinity=np.inf)) == 2.0
    assert np.isfinite(logits.kl_divergence(a, b))
    # Classes that count for neither side add nothing.
    both = [jnp.append(x, -200.0) for x in (a, a)]
    assert float(logits.f_divergence(*both, relative)) == 0
