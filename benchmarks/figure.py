"""The figure of the README: `python -m benchmarks.figure` computes and draws it anew."""

from pathlib import Path

import jax
import jax.numpy as jnp
import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from jxent import linear, losses, plots, probs

BLUE, ORANGE, GREY = "#0072B2", "#D55E00", "#8C8C8C"


def boundary(ax):
    """The gradient of the entropy, finite on the edges and in the corners too."""
    plots.simplex(probs.entropy, gradient=True, classes="ABC", label="entropy (nats)", ax=ax)
    ax.set_title("finite gradients at the boundary")


def tail(ax):
    """A loss in single precision, far beyond where its probability has rounded to 1."""
    margin = jnp.linspace(0, 60, 241)
    scores = jnp.stack([margin, jnp.zeros_like(margin)], axis=-1)
    ours = losses.softmax_cross_entropy(scores, jnp.asarray([[1.0, 0.0]]))
    plain = -jax.nn.log_softmax(scores)[:, 0]
    ax.plot(margin, ours, color=BLUE, linewidth=5, label="jxent")
    ax.plot(
        margin, np.where(plain > 0, plain, np.nan), "--", color=ORANGE, linewidth=2, label="from log_softmax, then 0"
    )
    ax.set_yscale("log")
    ax.set(xlabel="margin of the right class", ylabel="loss (nats)", title="exact in the tails, in float32")
    ax.legend(frameon=False)


def memory(ax):
    """Temporary memory of a linear cross-entropy with its gradient, as the compiler reports it."""

    def held(x, w, labels):
        return losses.mean(losses.softmax_cross_entropy_with_integer_labels(x @ w.T, labels))

    def blocks(x, w, labels):
        return losses.mean(linear.softmax_cross_entropy(x, w, labels))

    n, d, sizes = 512, 64, (10_000, 100_000, 1_000_000)
    for name, loss, colour in (("logits held", held, ORANGE), ("jxent.linear", blocks, BLUE)):
        needed = []
        for v in sizes:
            step = jax.jit(jax.value_and_grad(loss, argnums=(0, 1)))
            shapes = (jax.ShapeDtypeStruct(s, jnp.float32) for s in ((n, d), (v, d)))
            compiled = step.lower(*shapes, jax.ShapeDtypeStruct((n,), jnp.int32)).compile()
            needed.append(compiled.memory_analysis().temp_size_in_bytes)
        ax.loglog(sizes, needed, "o-", color=colour, label=name)
    ax.set(xlabel="classes", ylabel="temporary memory (bytes)", title=f"a million classes ({n} rows of {d})")
    ax.legend(frameon=False)


def main():
    """Draw and write."""
    with mpl.rc_context({"axes.spines.top": False, "axes.spines.right": False, "font.size": 9}):
        figure = Figure(figsize=(11, 3.3), layout="constrained")
        for ax, draw in zip(figure.subplots(1, 3), (boundary, tail, memory), strict=True):
            draw(ax)
        figure.savefig(Path(__file__).parent / "figure.png", dpi=110)


if __name__ == "__main__":
    main()
