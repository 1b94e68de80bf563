# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
#       format_version: '1.3'
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # How much does a sample know?
#
# The entropy of a distribution is one line: `probs.entropy(p)`. The entropy of what a *sample* came from is a
# question of statistics: with fewer observations than cells most of what is possible was not seen yet, and the
# entropy of the frequencies is far too low. `counts.entropy(n, method=...)` has the estimators that the
# literature proposes against this. Here each meets distributions whose entropy is known, with few observations
# and with many.
#
# ```sh
# pip install ".[notebooks]"    # in a checkout of the repository
# ```

# %%
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

from jxent import counts, probs

BLUE, GREY = "#0072B2", "#666666"
plt.rcParams.update(
    {
        "figure.facecolor": "white",
        "figure.constrained_layout.use": True,
        "axes.spines.top": False,
        "axes.spines.right": False,
    }
)

METHODS = (
    *("plugin", "miller_madow", "jackknife", "zhang", "grassberger_1988", "grassberger_2003"),
    *("chao_shen", "chao_wang_jost", "james_stein", "perks", "minimax", "jeffreys", "laplace"),
    *("wolpert_wolf", "nsb", "bonachela"),
)
CELLS, REPETITIONS, FEW, MANY = 100, 500, 30, 1000

# %% [markdown]
# ## The truths
#
# Three kinds of distribution over 100 cells: all alike; *Zipf's* law $p_k \propto 1/k$, as words have it; and
# distributions drawn from a Dirichlet prior with concentration 0.1, of which some ten cells hold nearly all.
# From each, 500 samples of 30 observations (fewer than cells) and of 1000 (ten for each).

# %%
rng = np.random.default_rng(0)
zipf = 1 / np.arange(1, CELLS + 1)
truths = {
    "uniform": np.full((REPETITIONS, CELLS), 1 / CELLS),
    "Zipf": np.tile(zipf / zipf.sum(), (REPETITIONS, 1)),
    "Dirichlet, 0.1": rng.dirichlet(np.full(CELLS, 0.1), size=REPETITIONS),
}
samples = {
    (name, size): jnp.asarray(rng.multinomial(size, p), jnp.float32)
    for name, p in truths.items()
    for size in (FEW, MANY)
}

# %% [markdown]
# ## Bias and deviation
#
# One call estimates all samples of a kind at once: the last axis holds the cells, the others are a batch. The bias
# is the mean of estimate − truth, the deviation that of the same difference, both in nats.

# %%
errors = {
    (name, size, method): np.asarray(counts.entropy(n, method=method)) - np.asarray(probs.entropy(truths[name]))
    for (name, size), n in samples.items()
    for method in METHODS
}
columns = list(samples)
print(f"{'':18}" + "".join(f"{f'{name} {size}':>21}" for name, size in columns))
for method in METHODS:
    cells = (errors[(*column, method)] for column in columns)
    print(f"{method:18}" + "".join(f"{f'{e.mean():+.3f} ± {e.std():.3f}':>21}" for e in cells))

# %%
figure, axes = plt.subplots(2, 3, figsize=(10, 8), sharey=True)
for ax, (name, size) in zip(axes.T.ravel(), columns, strict=True):
    for y, method in enumerate(METHODS):
        e = errors[name, size, method]
        ax.errorbar(e.mean(), y, xerr=e.std(), fmt="o", color=BLUE, capsize=3, markersize=4)
    ax.axvline(0, color=GREY, linewidth=1)
    limit = 1.6 if size == FEW else 0.2
    ax.set(xlim=(-limit, limit), title=f"{name}, {size} observations")
    ax.set_yticks(range(len(METHODS)), METHODS)
    ax.set_xlabel("estimate − truth (nats)")
axes[0, 0].invert_yaxis()

# %% [markdown]
# Dots are biases, bars one standard deviation; a dot that is missing lies outside. What the table and the figure
# show is what the literature found:
#
# - The **plug-in** is too low on average, here by a sixth to a third of the entropy where observations are few.
#   Miller and Madow's correction, Zhang's, the jackknife, Grassberger's take away more and more of this bias, in
#   about this order, and each pays with a larger deviation.
# - **Chao–Shen** and **Chao–Wang–Jost** look at the cells that were seen once and twice, and have little bias for
#   so few observations, at a large deviation; of Zipf's distribution, with its long tail, some is left.
# - The methods that **assume** something are excellent where it holds. Shrinking towards the uniform distribution
#   (*james_stein*, *laplace*) is best for the uniform one and misleads for the others when there is little to see; a
#   Dirichlet prior with a fixed concentration finds, of few observations, mostly itself (*jeffreys*, *laplace*,
#   *wolpert_wolf*), or next to nothing (*perks*, whose prior weighs no more than one observation).
# - **NSB** mixes those priors so that none decides the entropy: nearly without bias on the Dirichlet distributions,
#   and never far off on the others.
# - *bonachela* is made for few cells, such as two; for a hundred it is no use, and lies outside of all panels.
#
# With ten observations for each cell most agree. With few, no estimator can be good for every distribution: look at
# several, and at how far each says that it may be off. The posterior of NSB says so by itself:

# %%
for (name, size), n in samples.items():
    mean, deviation = counts.entropy_moments(n, method="nsb")
    within = np.abs(errors[name, size, "nsb"]) < 2 * np.asarray(deviation)
    print(
        f"{name:15} {size:5} observations: {deviation.mean():.3f} nats, {within.mean():4.0%} within twice of the truth"
    )

# %% [markdown]
# It is right about itself for distributions like those of its prior, and somewhat too sure for Zipf's.
