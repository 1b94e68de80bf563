"""The binary entropy curve; two distributions and the terms of their divergence."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from jax.typing import ArrayLike

from jxent import probs
from jxent._checks import unit
from jxent.plots._axes import BLUE, GREEN, ORANGE, axes, distribution, foreground, short_names

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def entropy_curve(
    *, base: float | None = None, mark: ArrayLike | Sequence[float] = (), ax: "Axes | None" = None
) -> "Axes":
    """The entropy of two outcomes over the probability of one, as a stack of two contributions.

    An outcome contributes its probability times its surprise: p·(−log p) and (1 − p)·(−log(1 − p)).

    Args:
        base: of the logarithm; None is nats, 2 bits, 10 hartleys.
        mark: probabilities whose entropy is marked with a dot and its value.
        ax: where to draw; None makes a new figure.

    Returns:
        The `Axes`.

    Raises:
        ImportError: if matplotlib is missing.
        ValueError: if `base` is no base of a logarithm, or `mark` holds a number outside [0, 1].

    Example:
        >>> from matplotlib.figure import Figure
        >>> from jxent import plots
        >>> ax = plots.entropy_curve(base=2, mark=[0.5], ax=Figure().subplots())
        >>> ax.get_ylabel(), ax.texts[0].get_text()
        ('entropy (bits)', '1.000')
    """
    units = unit(base)
    marked = np.atleast_1d(np.asarray(mark, np.float64)).ravel()
    if not np.all((marked >= 0) & (marked <= 1)):
        raise ValueError(f"`mark` holds {marked.tolist()}, expected probabilities")
    ax = axes(ax)
    p = np.linspace(0, 1, 401)
    one = np.asarray(probs.entropy(p[:, None], base=base))
    both = np.asarray(probs.binary_entropy(p, base=base))
    ax.fill_between(p, 0, one, color=BLUE, alpha=0.45, linewidth=0, label="of the outcome: p · surprise")
    ax.fill_between(p, one, both, color=ORANGE, alpha=0.45, linewidth=0, label="of the other: (1 − p) · surprise")
    ax.plot(p, both, color=foreground(), linewidth=2, label="entropy")
    top = float(both.max())
    for x, y in zip(marked, np.asarray(probs.binary_entropy(marked, base=base)), strict=True):
        ax.plot([x], [y], "o", color=foreground())
        # The text goes outside of the arch, where the picture is empty.
        side = 0 if abs(x - 0.5) < 0.03 else 1 if x > 0.5 else -1
        align = "center" if side == 0 else "left" if side > 0 else "right"
        if min(x, 1 - x) < 0.08:
            side, align = -side, "left" if side < 0 else "right"
        ax.annotate(f"{y:.3f}", (x, y), xytext=(5 * side, 7), textcoords="offset points", ha=align)
    ax.set_xlim(0, 1)
    ax.set_ylim(0, 1.5 * top)
    ax.set_xlabel("probability p of the outcome")
    ax.set_ylabel(f"entropy ({units})")
    ax.legend(frameon=False, loc="upper center")
    return ax


def distributions(
    p: ArrayLike,
    q: ArrayLike,
    *,
    base: float | None = None,
    classes: Sequence[object] | None = None,
    ax: "Axes | None" = None,
) -> "Axes":
    """Two distributions side by side, and over each class its term of KL(p‖q).

    The terms are p·log(p/q) − p + q, which are never negative. Their sum is the divergence, in the title. They have
    their own axis, on the right. Where p > 0 and q = 0 the term is infinite, drawn as ∞ at the top.

    Args:
        p: the true distribution `[K]`.
        q: the predicted distribution `[K]`.
        base: of the logarithm; None is nats, 2 bits, 10 hartleys.
        classes: K names; None is 0 to K − 1.
        ax: where to draw; None makes a new figure.

    Returns:
        The `Axes` of the bars; the twin with the terms is in `ax.figure.axes`.

    Raises:
        ImportError: if matplotlib is missing.
        ValueError: if p and q are not distributions over the same K classes.

    Example:
        >>> from matplotlib.figure import Figure
        >>> from jxent import plots
        >>> ax = plots.distributions([0.5, 0.5], [0.25, 0.75], base=2, ax=Figure().subplots())
        >>> ax.get_title()
        'KL(p‖q) = 0.2075 bits'
    """
    units = unit(base)
    p, q = distribution("p", p, "[K]", [1]), distribution("q", q, "[K]", [1])
    if p.shape != q.shape:
        raise ValueError(f"`p` has shape {p.shape} and `q` {q.shape}, expected the same K classes")
    names = short_names(classes, p.size)
    terms = np.asarray(probs.kl_divergence(p[:, None], q[:, None], base=base), np.float64)
    divergence = float(probs.kl_divergence(p, q, base=base))
    ax = axes(ax)
    at = np.arange(p.size)
    ax.bar(at - 0.2, p, 0.4, color=BLUE, label="p")
    ax.bar(at + 0.2, q, 0.4, color=ORANGE, label="q")
    ax.set_xticks(at, names, parse_math=False)
    ax.set_xlabel("class")
    ax.set_ylabel("probability")
    ax.set_title(f"KL(p‖q) = {divergence:.4g} {units}".replace("inf", "∞"))
    beside = ax.twinx()
    finite = np.isfinite(terms)
    top = max(1e-12, float(np.max(terms, where=finite, initial=0.0)))
    beside.vlines(at[finite], 0, terms[finite], color=GREEN, linewidth=2)
    beside.plot(at[finite], terms[finite], "D", color=GREEN, label="terms of KL(p‖q)")
    for x in at[~finite]:
        beside.annotate("∞", (float(x), 1.15 * top), color=GREEN, ha="center", va="center", fontsize=16)
    ax.set_ylim(0, 1.4 * float(max(p.max(), q.max())))
    beside.set_ylim(0, 1.4 * top)
    beside.set_ylabel(f"p·log(p/q) − p + q ({units})")
    handles = [pair for side in (ax, beside) for pair in zip(*side.get_legend_handles_labels(), strict=True)]
    beside.legend(*zip(*handles, strict=True), frameon=False, loc="upper right", ncols=3)
    return ax
