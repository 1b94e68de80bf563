"""Pictures are held to what they draw: numbers on the axes, areas, colours in both styles, and clear refusals."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from matplotlib import colors, pyplot, style
from matplotlib.figure import Figure

from jxent import calibration, plots, probs, regression

pytestmark = pytest.mark.usefixtures("quick_compile")

XOR = np.asarray([[[0.25, 0], [0, 0.25]], [[0, 0.25], [0.25, 0]]])
GIANT = np.asarray([[[0.5, 0], [0, 0]], [[0, 0], [0, 0.5]]])


@pytest.fixture
def ax():
    return Figure().subplots()


def words(ax):
    return [text.get_text() for text in ax.texts]


def named(artists, label):
    (found,) = [artist for artist in artists if artist.get_label() == label]
    return found


def area(vertices):
    """Of a polygon, by the shoelace formula; a part run through backwards counts against it."""
    x, y = np.asarray(vertices).T
    return abs(np.sum(x * np.roll(y, -1) - y * np.roll(x, -1))) / 2


# Entropy of two outcomes


@pytest.mark.parametrize(
    ("base", "unit", "top"), [(None, "nats", np.log(2)), (2, "bits", 1), (10, "hartleys", 0.30103)]
)
def test_entropy_curve(ax, base, unit, top):
    assert plots.entropy_curve(base=base, mark=[0.5, 1], ax=ax) is ax
    p, h = named(ax.lines, "entropy").get_data()
    np.testing.assert_allclose(h, probs.binary_entropy(p, base=base), rtol=1e-6)
    assert h.max() == pytest.approx(top, rel=1e-5)
    assert ax.get_ylabel() == f"entropy ({unit})"
    assert words(ax) == [f"{top:.3f}", "0.000"]
    first, second = (c.get_paths()[0].vertices for c in ax.collections)
    # The lower part ends at p = 1, where the outcome is certain; the upper one is as large, mirrored.
    assert area(first) == pytest.approx(area(second), rel=1e-3)


def test_entropy_curve_refuses(ax):
    with pytest.raises(ValueError, match=r"`mark` holds \[2.0\]"):
        plots.entropy_curve(mark=2, ax=ax)
    with pytest.raises(ValueError, match="base=1"):
        plots.entropy_curve(base=1, ax=ax)


# Two distributions


def test_distributions(ax):
    p, q = [0.5, 0.3, 0.2], [0.2, 0.3, 0.5]
    plots.distributions(p, q, base=2, classes=["a", "b", "$c"], ax=ax)
    heights = [[bar.get_height() for bar in bars] for bars in ax.containers]
    np.testing.assert_allclose(heights, [p, q])
    beside = ax.figure.axes[1]
    terms = named(beside.lines, "terms of KL(p‖q)").get_ydata()
    assert np.min(terms) >= 0
    assert np.sum(terms) == pytest.approx(float(probs.kl_divergence(jnp.asarray(p), jnp.asarray(q), base=2)), rel=1e-5)
    assert ax.get_title() == f"KL(p‖q) = {np.sum(terms):.4g} bits"
    assert beside.get_ylabel().endswith("(bits)")
    assert [t.get_text() for t in ax.get_xticklabels()] == ["a", "b", "$c"]


def test_an_infinite_term_is_drawn_as_one(ax):
    plots.distributions([0.5, 0.5], [1.0, 0.0], ax=ax)
    beside = ax.figure.axes[1]
    assert words(beside) == ["∞"]
    assert beside.texts[0].xy[0] == 1
    assert ax.get_title() == "KL(p‖q) = ∞ nats"
    assert len(named(beside.lines, "terms of KL(p‖q)").get_ydata()) == 1


@pytest.mark.parametrize(
    ("p", "q", "message"),
    [
        ([0.5, 0.5], [1.0], "expected the same K classes"),
        ([[0.5, 0.5]], [1.0], r"`p` has shape \(1, 2\), expected \[K\]"),
        ([0.5, 0.6], [0.5, 0.5], r"`p` sums to 1.1, expected 1"),
        ([0.5, 0.5], [1.5, -0.5], r"`q` holds -0.5, expected probabilities"),
        ([0.5, np.nan], [0.5, 0.5], "`p` holds nan"),
    ],
)
def test_distributions_refuses(ax, p, q, message):
    with pytest.raises(ValueError, match=message):
        plots.distributions(p, q, ax=ax)


# The simplex


def test_simplex_places_and_colours(ax):
    plots.simplex(probs.entropy, points=np.eye(3), path=[[1, 0, 0], [0, 0.5, 0.5]], classes="abc", label="nats", ax=ax)
    assert words(ax)[-3:] == ["a", "b", "c"]
    corners = ax.lines[0].get_xydata()[:3]
    np.testing.assert_allclose(ax.lines[-1].get_xydata(), corners)
    np.testing.assert_allclose(ax.lines[1].get_xydata(), [corners[0], (corners[1] + corners[2]) / 2])
    sides = np.linalg.norm(corners - np.roll(corners, 1, axis=0), axis=1)
    np.testing.assert_allclose(sides, 1)
    assert ax.figure.axes[1].get_ylabel() == "nats"
    levels = ax.collections[0].levels
    assert levels[0] <= 0
    assert levels[-1] >= np.log(3)


def test_arrows_of_the_simplex_point_uphill(ax):
    plots.simplex(probs.entropy, gradient=True, ax=ax)
    (arrows,) = [c for c in ax.collections if hasattr(c, "U")]
    centre = np.asarray([0.5, np.sqrt(0.75) / 3])
    inward = np.sum((centre - arrows.XY) * np.stack([arrows.U, arrows.V], axis=1), axis=1)
    away = np.linalg.norm(centre - arrows.XY, axis=1) > 1e-6
    assert len(away) == 66  # Edges and corners included: the gradient is finite there.
    assert (inward[away] > 0).all()
    assert not [line for line in ax.lines if line.get_marker() == "x"]


def test_what_is_not_finite_on_the_simplex_is_marked(ax):
    p = jnp.asarray([0.5, 0.5, 0.0])
    plots.simplex(lambda q: probs.cross_entropy(jnp.broadcast_to(p, q.shape), q), gradient=True, ax=ax)
    (crosses,) = [line for line in ax.lines if line.get_marker() == "x"]
    # Where one of the two classes that happen is impossible: two edges with 11 points each, one shared.
    assert len(crosses.get_xdata()) == 21


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"points": [[0.5, 0.5]]}, r"`points` has shape \(1, 2\), expected distributions \[N, 3\]"),
        ({"path": [[0.5, 0.6, 0.0]]}, "`path` holds rows"),
        ({"gradient": True}, "needs a `function`"),
        ({"classes": ["a"]}, "`classes` has 1 names, expected 3"),
        ({"function": lambda p: p}, r"`function` gives shape \(\d+, 3\)"),
        ({"function": lambda p: p[:, 0] + jnp.nan}, "finite nowhere"),
    ],
)
def test_simplex_refuses(ax, options, message):
    with pytest.raises(TypeError, match="give arrays as points="):
        plots.simplex(np.eye(3), ax=ax)
    with pytest.raises(ValueError, match=message):
        plots.simplex(**options, ax=ax)


# Information as areas


def regions(ax):
    return {patch.get_gid(): patch for patch in ax.patches}


@pytest.mark.parametrize(
    "table",
    [
        [[0.4, 0.1], [0.1, 0.4]],
        [[0.3, 0.2, 0.1], [0.0, 0.1, 0.3]],
        [[0.5, 0.0, 0.0], [0.0, 0.25, 0.25]],  # One variable knows the other.
    ],
)
def test_two_circles_have_the_areas_of_their_numbers(ax, table):
    plots.information_diagram(table, base=2, ax=ax)
    p = jnp.asarray(table)
    expected = {
        "X": probs.conditional_entropy(p, of=0, given=1, base=2),
        "Y": probs.conditional_entropy(p, of=1, given=0, base=2),
        "X,Y": probs.mutual_information(p, base=2),
    }
    expected = {name: float(size) for name, size in expected.items() if size > 1e-5}
    found = {name: area(patch.get_xy()) for name, patch in regions(ax).items()}
    assert found == pytest.approx(expected, rel=1e-3)
    assert [w for w in words(ax) if w.startswith("H(")] == [
        f"H({v}) = {float(probs.entropy(probs.marginal(p, i), base=2)):.3g} bits" for i, v in enumerate("XY")
    ]


def test_independent_circles_lie_apart(ax):
    plots.information_diagram(np.full((2, 2), 0.25), ax=ax)
    left, right = (regions(ax)[v].get_xy()[:, 0] for v in "XY")
    assert left.max() < right.min()


def test_petals_have_the_areas_of_their_numbers(ax, rng):
    p = rng.dirichlet(np.ones(12)).reshape(2, 3, 2)
    plots.information_diagram(p, names=["sun", "rain", "wind"], ax=ax)
    found = {name: area(patch.get_xy()) for name, patch in regions(ax).items()}
    expected = {
        "sun,rain": probs.conditional_mutual_information(p, x=0, y=1, given=2),
        "sun,wind": probs.conditional_mutual_information(p, x=0, y=2, given=1),
        "rain,wind": probs.conditional_mutual_information(p, x=1, y=2, given=0),
        "sun,rain,wind": abs(probs.co_information(p)),
        "sun": probs.conditional_entropy(p, of=0, given=(1, 2)),
        "rain": probs.conditional_entropy(p, of=1, given=(0, 2)),
        "wind": probs.conditional_entropy(p, of=2, given=(0, 1)),
    }
    assert found == pytest.approx({k: float(v) for k, v in expected.items()}, rel=2e-3)


def test_negative_co_information_is_hatched(ax):
    plots.information_diagram(XOR, base=2, ax=ax)
    found = regions(ax)
    assert set(found) == {"X,Y", "X,Z", "Y,Z", "X,Y,Z"}
    assert [name for name, patch in found.items() if patch.get_hatch()] == ["X,Y,Z"]
    assert sorted(w for w in words(ax) if not w.startswith("H(")) == ["-1", "1", "1", "1"]


def test_one_bit_in_three_places_is_one_disc(ax):
    plots.information_diagram(GIANT, base=2, ax=ax)
    (disc,) = ax.patches
    assert disc.get_gid() == "X,Y,Z"
    assert not disc.get_hatch()
    assert area(disc.get_xy()) == pytest.approx(1, rel=1e-3)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ([0.5, 0.5], r"`table` has shape \(2,\), expected \[A, B\] or \[A, B, C\]"),
        ([[1.0, 0.0], [0.0, 0.0]], "one certain outcome"),
        ([[1.0, 1.0]], "sums to 2"),
    ],
)
def test_information_diagram_refuses(ax, table, message):
    with pytest.raises(ValueError, match=message):
        plots.information_diagram(table, ax=ax)


# Models


def test_reliability_diagram(ax, rng):
    p = rng.dirichlet(np.ones(3), size=200).astype(np.float32)
    labels = rng.integers(0, 3, 200)
    plots.reliability_diagram(p, labels, num_bins=5, ax=ax)
    curve = calibration.reliability_curve(p, labels, num_bins=5)
    held = np.asarray(curve.weight) > 0
    points, _, (intervals,) = ax.containers[1].lines
    np.testing.assert_allclose(points.get_xydata(), np.stack([curve.confidence, curve.accuracy], 1)[held], rtol=1e-6)
    np.testing.assert_allclose([b.get_height() for b in ax.containers[0]], curve.weight / 200, rtol=1e-6)
    low, high = np.asarray(intervals.get_segments())[..., 1].T
    assert ((low <= points.get_ydata()) & (points.get_ydata() <= high)).all()
    error = float(calibration.expected_calibration_error(p, labels, num_bins=5))
    assert ax.get_title() == f"Expected calibration error {100 * error:.2f} %"


def test_wilson_interval_of_the_diagram(ax):
    """8 of 10: 0.4902 to 0.9433 (R, prop.test(8, 10, correct=FALSE))."""
    plots.reliability_diagram(np.tile([0.8, 0.2], (10, 1)), [0] * 8 + [1] * 2, ax=ax)
    (segment,) = ax.containers[1].lines[2][0].get_segments()
    np.testing.assert_allclose(segment[:, 1], [0.4901625, 0.9433178], atol=1e-6)


def test_reliability_diagram_refuses(ax):
    with pytest.raises(ValueError, match=r"labels outside \[0, K\)"):
        plots.reliability_diagram([[0.9, 0.1]], [2], ax=ax)


def test_gradient_agreement(ax):
    b = regression.Params(jnp.asarray([[1.0, 2.0], [-4.0, 0.0]]), jnp.asarray([0.5, 0.25]))
    a = b._replace(weights=b.weights.at[0, 1].add(1e-6).at[1, 1].add(1e-7))
    plots.gradient_agreement(a, b, names=("one", "two"), ax=ax)
    dots = named(ax.lines, "2 entries").get_xydata()
    np.testing.assert_allclose(dots[0], [2.0, float(a.weights[0, 1]) - 2.0], rtol=1e-6)
    np.testing.assert_allclose(dots[1, 1], 1e-7, rtol=1e-6)
    assert len(named(ax.lines, "4 equal to the last bit").get_xdata()) == 4
    rounding = named(ax.lines, "one rounding of the largest entry").get_ydata()
    np.testing.assert_allclose(rounding, 4 * np.finfo(np.float32).eps)
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("|two|", "|one − two|")
    assert ax.get_title() == "Gradients, 6 entries"


def test_gradients_that_are_not_finite_are_counted(ax):
    plots.gradient_agreement(jnp.asarray([jnp.nan, 1.0, jnp.inf]), jnp.asarray([1.0, 1.0, 1.0]), ax=ax)
    assert ax.get_title() == "2 of 3 entries are not finite"


def test_gradients_of_zero_and_of_sixteen_bits(ax):
    plots.gradient_agreement(jnp.zeros(3), jnp.zeros(3), ax=ax)
    assert named(ax.lines, "3 equal to the last bit")
    other = Figure().subplots()
    plots.gradient_agreement(jnp.ones(2, jnp.bfloat16), jnp.ones(2), ax=other)
    rounding = named(other.lines, "one rounding of the largest entry").get_ydata()
    np.testing.assert_allclose(rounding, float(jnp.finfo(jnp.bfloat16).eps))


@pytest.mark.parametrize(
    ("a", "b", "message"),
    [
        ([1.0], {"w": 1.0}, "built differently"),
        (jnp.ones(2), jnp.ones(3), r"shapes \(2,\) and \(3,\)"),
        ([], [], "hold no entry"),
    ],
)
def test_gradient_agreement_refuses(ax, a, b, message):
    with pytest.raises(ValueError, match=message):
        plots.gradient_agreement(a, b, ax=ax)


@pytest.fixture(scope="module")
def problem():
    rng = np.random.default_rng(0)
    return rng.normal(size=(40, 3)).astype(np.float32), rng.integers(0, 2, 40)


L2S = np.asarray([1e-3, 1e-1, 1e-2])


@pytest.mark.slow
def test_path_of_scores(ax, problem):
    path = regression.fit_path(*problem, L2S, folds=4, key=jax.random.key(0))
    plots.regularisation_path(L2S, path, ax=ax)
    mean = named(ax.lines, "mean of 4 folds, with its standard error").get_xydata()
    order = np.argsort(L2S)
    np.testing.assert_allclose(mean, np.stack([L2S, np.mean(path.scores, axis=1)], 1)[order], rtol=1e-6)
    best = L2S[int(path.best)]
    np.testing.assert_allclose(named(ax.lines, f"best: {best:.3g}").get_xdata(), [best, best])
    assert len(ax.lines) == 4 + 2
    assert ax.get_xscale() == "log"


def test_path_of_weights(ax, problem):
    path = regression.fit_path(*problem, L2S)
    plots.regularisation_path(L2S, path, ax=ax)
    drawn = np.stack([line.get_ydata() for line in ax.lines[:-1]], axis=1)
    strongest = path.params.weights[np.argmax(L2S)]
    np.testing.assert_allclose(np.sort(drawn[-1]), np.sort(np.ravel(strongest)), rtol=1e-6)


def test_path_refuses(ax, problem):
    path = regression.fit_path(*problem, L2S)
    with pytest.raises(ValueError, match=r"`l2s` has shape \(2,\), expected the 3 penalties"):
        plots.regularisation_path(L2S[:2], path, ax=ax)
    with pytest.raises(ValueError, match="`l2s` holds 0"):
        plots.regularisation_path([0, 1, 2], path, ax=ax)


def test_weight_images(ax):
    weights = np.arange(32.0).reshape(16, 2) - 16
    plots.weight_images(weights, classes=["a", "b"], ax=ax)
    (image,) = ax.images
    found = np.asarray(image.get_array().filled(np.nan))
    np.testing.assert_allclose(np.sort(found[np.isfinite(found)]), np.sort(weights.ravel()))
    assert image.get_clim() == (-16, 16)
    with pytest.raises(ValueError, match="expected"):
        plots.weight_images(weights[0], ax=ax)
    with pytest.raises(ValueError, match="pixels"):
        plots.weight_images(weights, shape=(3, 5), ax=ax)


def test_weights_that_are_no_image_are_a_map(ax):
    plots.weight_images(np.ones((5, 3)), ax=ax)
    assert ax.images[0].get_array().shape == (3, 5)
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("feature", "class")


def test_loss_history(ax):
    plots.loss_history([3.0, 2.0, 1.5], ax=ax)
    np.testing.assert_allclose(ax.lines[0].get_xydata(), [[0, 3], [1, 2], [2, 1.5]])
    assert ax.get_ylim()[0] == 0
    with pytest.raises(ValueError, match="expected"):
        plots.loss_history([], ax=ax)


def test_confusion_matrix(ax):
    plots.confusion_matrix([0, 0, 1, 1], [0, 1, 1, 1], ax=ax)
    np.testing.assert_allclose(ax.images[0].get_array(), [[0.5, 0.5], [0, 1]])
    assert words(ax) == ["1", "1", "0", "2"]
    assert ax.get_title() == "Confusion matrix: 3 of 4 right"
    with pytest.raises(ValueError, match="expected 0 to 1"):
        plots.confusion_matrix([0, 2], [0, 0], classes=["a", "b"], ax=ax)


# Of all of them


def calls(problem):
    x, y = problem
    path = regression.fit_path(x, y, L2S)
    fit = Fitted(np.ones((3, 2)), [1.0, 0.5])
    return {
        "confusion_matrix": lambda **o: plots.confusion_matrix([0, 1], [0, 1], **o),
        "distributions": lambda **o: plots.distributions([0.5, 0.5], [0.2, 0.8], **o),
        "entropy_curve": lambda **o: plots.entropy_curve(mark=0.3, **o),
        "gradient_agreement": lambda **o: plots.gradient_agreement(np.ones(3), np.ones(3) + 1e-9, **o),
        "information_diagram": lambda **o: plots.information_diagram(XOR, **o),
        "loss_history": lambda **o: plots.loss_history(fit.history, **o),
        "regularisation_path": lambda **o: plots.regularisation_path(L2S, path, **o),
        "reliability_diagram": lambda **o: plots.reliability_diagram([[0.9, 0.1], [0.4, 0.6]], [0, 0], **o),
        "simplex": lambda **o: plots.simplex(probs.entropy, gradient=True, points=[[0.2, 0.3, 0.5]], **o),
        "weight_images": lambda **o: plots.weight_images(fit.weights, **o),
    }


class Fitted:
    """Stands for the result of a fit."""

    def __init__(self, weights, history):
        self.weights, self.history = weights, history


def contrast(one, other):
    """Of two colours, 1 to 21, by the Web Content Accessibility Guidelines 2.2."""
    bright = []
    for colour in (one, other):
        c = np.asarray(colors.to_rgb(colour))
        linear = np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)
        bright.append(float(linear @ [0.2126, 0.7152, 0.0722]))
    return (max(bright) + 0.05) / (min(bright) + 0.05)


@pytest.mark.slow
@pytest.mark.parametrize("name", plots.__all__)
def test_light_and_dark(name, problem):
    """Words and lines over the page show on it, in both styles; a new figure is made where no axes are given."""
    call = calls(problem)[name]
    for kind in ("default", "dark_background"):
        with style.context(kind):
            ax = call()
            try:
                page = ax.figure.get_facecolor()
                page = pyplot.rcParams["axes.facecolor"] if kind == "dark_background" else page
                for line in (line for a in ax.figure.axes for line in a.lines if line.get_linestyle() != "None"):
                    assert contrast(line.get_color(), page) >= 2.5, (kind, line)
                inside = name in ("confusion_matrix",)
                for text in () if inside else ax.texts:
                    assert contrast(text.get_color(), page) >= 4.5, (kind, text)
                ax.figure.canvas.draw()
            finally:
                pyplot.close(ax.figure)
    assert pyplot.get_fignums() == []


def test_given_axes_make_no_figure(problem):
    for call in calls(problem).values():
        ax = Figure().subplots()
        assert call(ax=ax) is ax
    assert pyplot.get_fignums() == []
