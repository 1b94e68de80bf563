"""The entropies of two or three variables as areas whose overlaps are the shared information."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from jax.typing import ArrayLike
from numpy.typing import NDArray

from jxent import probs
from jxent._checks import unit
from jxent.plots._axes import BLUE, GREEN, ORANGE, axes, background, distribution, foreground, short_names

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Points = NDArray[np.float64]

# Vertices of an arc: the area of their polygon is accurate to 1e-4.
_ARC = 200
# An atom below this share of the largest entropy is rounding, and is not drawn.
_NOTHING = 1e-6
# A region has its number inside if it has at least this share of the area.
_ROOM = 0.015


class _Region(NamedTuple):
    """An atom: the variables that share it, its size, its outline and the position of its number."""

    variables: tuple[int, ...]
    size: float
    outline: Points
    middle: Points


def information_diagram(
    table: ArrayLike,
    *,
    names: Sequence[object] | None = None,
    base: float | None = None,
    ax: "Axes | None" = None,
) -> "Axes":
    """The entropies of two or three variables as areas to scale; the overlaps are the shared information.

    Two variables are two circles with areas H(X) and H(Y) and the overlap I(X;Y). Three circles cannot have seven
    prescribed areas, so three variables are petals around a disc. The disc is the co-information I(X;Y;Z). The ring
    around it has the pairs, I(X;Y|Z) between X and Y. The outer petals are the conditional entropies, H(X|Y,Z). Every
    region has the area of its number. A co-information below 0 (synergy) is hatched: the information of a pair is then
    less than its conditional information, I(X;Y) = I(X;Y|Z) + I(X;Y;Z).

    Args:
        table: joint probabilities of the variables on its two or three axes.
        names: of the variables; None is X, Y, Z.
        base: of the logarithm; None is nats, 2 bits, 10 hartleys.
        ax: where to draw; None makes a new figure.

    Returns:
        The `Axes`; each region is a patch whose `get_gid()` names its variables, such as "X,Y".

    Raises:
        ImportError: if matplotlib is missing.
        ValueError: if `table` is no joint distribution of two or three variables, or has one certain outcome.

    Example:
        >>> import numpy as np
        >>> from matplotlib.figure import Figure
        >>> from jxent import plots
        >>> xor = np.asarray([[[0.25, 0], [0, 0.25]], [[0, 0.25], [0.25, 0]]])
        >>> ax = plots.information_diagram(xor, base=2, ax=Figure().subplots())
        >>> ax.get_title()
        'H(X, Y, Z) = 2 bits'

    Reference: R. W. Yeung, A new outlook on Shannon's information measures, IEEE Transactions on Information Theory
    37 (1991).
    """
    units = unit(base)
    p = distribution("table", table, "[A, B] or [A, B, C]", [2, 3])
    words = short_names("XYZ"[: p.ndim] if names is None else names, p.ndim, "names")
    atoms, entropies = _atoms(p, base)
    joint = float(probs.joint_entropy(p, base=base))
    if not max(entropies) > 0:
        raise ValueError("`table` has one certain outcome: no entropy to draw")
    atoms = {v: a for v, a in atoms.items() if abs(a) > _NOTHING * max(entropies)}
    regions = _circles(atoms, entropies) if p.ndim == 2 else _petals(atoms)
    ax = axes(ax)
    for region in regions:
        _draw(ax, region, words, sum(abs(r.size) for r in regions))
    _label(ax, regions, words, entropies, units)
    ax.set_title(f"H({', '.join(words)}) = {joint:.4g} {units}", parse_math=False)
    ax.set_aspect("equal")
    ax.autoscale_view()
    ax.margins(0.15)
    ax.set_axis_off()
    return ax


def _atoms(p: NDArray[np.float64], base: float | None) -> tuple[dict[tuple[int, ...], float], list[float]]:
    """The atoms, information shared by exactly these variables, and the entropy of each variable."""
    n = p.ndim
    every = range(n)
    entropies = [float(probs.joint_entropy(probs.marginal(p, v), base=base)) for v in every]
    others = {v: tuple(u for u in every if u != v) for v in every}
    atoms: dict[tuple[int, ...], float] = {}
    for v in every:
        atoms[v,] = float(probs.conditional_entropy(p, of=v, given=others[v], base=base))
    if n == 2:
        return {**atoms, (0, 1): float(probs.mutual_information(p, x=0, y=1, base=base))}, entropies
    for x, y, z in ((0, 1, 2), (0, 2, 1), (1, 2, 0)):
        atoms[x, y] = float(probs.conditional_mutual_information(p, x=x, y=y, given=z, base=base))
    return {**atoms, (0, 1, 2): float(probs.co_information(p, base=base))}, entropies


def _arc(radius: float, start: float, stop: float, centre: float = 0.0) -> Points:
    """Points of a circle around (centre, 0), from one angle to another."""
    angle = np.linspace(start, stop, _ARC)
    return np.stack([centre + radius * np.cos(angle), radius * np.sin(angle)], axis=1)


def _circles(atoms: dict[tuple[int, ...], float], entropies: list[float]) -> list[_Region]:
    """The two circles, cut into the parts inside one circle and inside both."""
    r, s = (float(np.sqrt(h / np.pi)) for h in entropies)
    shared = atoms.get((0, 1), 0.0)
    distance = _distance(r, s, shared)
    if shared <= 0:
        cut = _apart(r, s)
    elif distance <= abs(r - s) * (1 + 1e-9):
        cut = _nested(max(r, s), min(r, s), big=0 if r >= s else 1)
    else:
        cut = _crossing(r, s, distance)
    return [_Region(v, atoms[v], outline, np.asarray([sum(ends) / 2, 0.0])) for v, outline, ends in cut if v in atoms]


# The variables of a region, its outline, and the interval of the line through both centres inside it.
_Cut = list[tuple[tuple[int, ...], Points, tuple[float, float]]]


def _apart(r: float, s: float) -> _Cut:
    at = 1.1 * (r + s)
    full_turn = 2 * np.pi
    return [((0,), _arc(r, 0, full_turn), (-r, r)), ((1,), _arc(s, 0, full_turn, at), (at - s, at + s))]


def _nested(large: float, small: float, big: int) -> _Cut:
    """One circle inside the other, touching it on the right."""
    at = large - small
    inner = _arc(small, 0, 2 * np.pi, at)
    # A ring is the outer circle and the reversed inner circle, joined by a cut of width 0.
    ring = np.vstack([_arc(large, 0, 2 * np.pi), inner[::-1]])
    return [((big,), ring, (-large, at - small)), ((0, 1), inner, (at - small, at + small))]


def _crossing(r: float, s: float, distance: float) -> _Cut:
    a = float(np.arccos((distance**2 + r**2 - s**2) / (2 * distance * r)))
    b = float(np.arccos((distance**2 + s**2 - r**2) / (2 * distance * s)))
    right, left = _arc(r, -a, a), _arc(s, np.pi - b, np.pi + b, distance)
    first = np.vstack([_arc(r, a, 2 * np.pi - a), left[::-1]])
    second = np.vstack([_arc(s, -np.pi + b, np.pi - b, distance), right[::-1]])
    return [
        ((0,), first, (-r, distance - s)),
        ((1,), second, (r, distance + s)),
        ((0, 1), np.vstack([right, left]), (distance - s, r)),
    ]


def _distance(r: float, s: float, shared: float) -> float:
    """The distance between the centres of two circles whose overlap has the area `shared`, by bisection."""
    low, high = abs(r - s), r + s
    if shared >= np.pi * min(r, s) ** 2 * (1 - _NOTHING):
        return low
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if _lens(r, s, middle) > shared else (low, middle)
    return (low + high) / 2


def _lens(r: float, s: float, d: float) -> float:
    """Area of the overlap of two circles."""
    a = np.arccos(np.clip((d**2 + r**2 - s**2) / (2 * d * r), -1, 1))
    b = np.arccos(np.clip((d**2 + s**2 - r**2) / (2 * d * s), -1, 1))
    return float(r**2 * (a - np.sin(2 * a) / 2) + s**2 * (b - np.sin(2 * b) / 2))


def _petals(atoms: dict[tuple[int, ...], float]) -> list[_Region]:
    """A disc, three ring sectors around it, and three outer petals; each has the area of its atom."""
    third = np.pi / 3
    directions = {0: np.pi / 2, 1: np.pi / 2 + 2 * third, 2: np.pi / 2 - 2 * third}
    middle = abs(atoms.get((0, 1, 2), 0.0))
    inner = float(np.sqrt(middle / np.pi))
    regions: list[_Region] = []
    if middle:
        regions.append(_Region((0, 1, 2), atoms[0, 1, 2], _arc(inner, 0, 2 * np.pi), np.zeros(2)))
    outer: dict[tuple[int, int], float] = {}
    for x, y in ((0, 1), (0, 2), (1, 2)):
        size = atoms.get((x, y), 0.0)
        outer[x, y] = float(np.sqrt(inner**2 + size / third))
        # Between the directions of x and y, opposite to the third variable.
        start = directions[3 - x - y] + np.pi - third
        if size:
            regions.append(_sector((x, y), size, [(inner, outer[x, y], start, start + 2 * third)]))
    for x, size in ((v[0], a) for v, a in atoms.items() if len(v) == 1):
        before, after = sorted((y for y in range(3) if y != x), key=lambda y: (directions[y] - directions[x]) % 6.2831)
        parts: list[tuple[float, float, float, float]] = []
        for y, start in ((after, directions[x] - third), (before, directions[x])):
            radius = outer[min(x, y), max(x, y)]
            parts.append((radius, float(np.sqrt(radius**2 + size / third)), start, start + third))
        regions.append(_sector((x,), size, parts))
    return regions


def _sector(variables: tuple[int, ...], size: float, parts: list[tuple[float, float, float, float]]) -> _Region:
    """Parts of rings (inner and outer radius, start and stop), side by side."""
    out = np.vstack([_arc(b, start, stop) for _, b, start, stop in parts])
    back = np.vstack([_arc(a, start, stop) for a, _, start, stop in parts])[::-1]
    # The number is in the innermost part, which is the widest.
    inner, outer, start, stop = min(parts)
    angle = (start + stop) / 2
    middle = (inner + outer) / 2 * np.asarray([np.cos(angle), np.sin(angle)])
    return _Region(variables, size, np.vstack([out, back]), middle)


def _draw(ax: "Axes", region: _Region, words: list[str], total: float) -> None:
    from matplotlib.colors import to_rgb
    from matplotlib.patches import Polygon

    colour = np.mean([to_rgb((BLUE, ORANGE, GREEN)[v]) for v in region.variables], axis=0)
    patch = Polygon(
        region.outline,
        facecolor=(*colour, 0.35 + 0.15 * len(region.variables)),
        edgecolor=foreground(),
        hatch="///" if region.size < 0 else None,
        linewidth=1,
    )
    patch.set_gid(",".join(words[v] for v in region.variables))
    ax.add_patch(patch)
    if abs(region.size) > _ROOM * total:
        # On hatching a number is legible only on a background.
        ground = (
            {"facecolor": (*to_rgb(background()), 0.8), "edgecolor": "none", "pad": 1.5} if region.size < 0 else None
        )
        at = float(region.middle[0]), float(region.middle[1])
        ax.text(*at, f"{region.size:.3g}", ha="center", va="center", bbox=ground)


def _label(ax: "Axes", regions: list[_Region], words: list[str], entropies: list[float], units: str) -> None:
    """The name and entropy of each variable, outside of its regions."""
    everything = np.vstack([r.outline for r in regions])
    centre = (everything.min(axis=0) + everything.max(axis=0)) / 2
    for v, (word, h) in enumerate(zip(words, entropies, strict=True)):
        own: list[Any] = [r for r in regions if v in r.variables]
        if not own:
            continue
        points = np.vstack([r.outline for r in own])
        if len(words) == 2:
            edge = everything[:, 1].max() if v == 0 else everything[:, 1].min()
            at, side = np.asarray([(points[:, 0].min() + points[:, 0].max()) / 2, edge]), (0, 1 - 2 * v)
        else:
            angle = (np.pi / 2, np.pi / 2 + 2 * np.pi / 3, np.pi / 2 - 2 * np.pi / 3)[v]
            direction = np.asarray([np.cos(angle), np.sin(angle)])
            at, side = direction * float(np.max(points @ direction)), direction
        ax.annotate(
            f"H({word}) = {h:.3g} {units}",
            (float(at[0]), float(at[1])),
            xytext=(6 * side[0], 6 * side[1]),
            textcoords="offset points",
            ha="center" if abs(side[0]) < 0.1 else "left" if at[0] > centre[0] else "right",
            va="bottom" if side[1] > 0 else "top",
            parse_math=False,
        )
