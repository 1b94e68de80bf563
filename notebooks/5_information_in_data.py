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
# # How much does X tell about Y?
#
# *Mutual information* is the answer in nats or bits: how much the uncertainty about $Y$ shrinks once $X$ is
# known, $I(X;Y) = H(Y) - H(Y\mid X)$. From a table of probabilities it is one line. From **data** it has to be
# estimated, and how depends on what you hold: counts, continuous samples, or so many dimensions that only a
# trained model can see the dependence. This notebook goes through the three, on real data where there is some,
# and says each time how far the estimate can be trusted.
#
# ```sh
# pip install ".[notebooks]"    # in a checkout of the repository
# ```

# %%
import functools

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import optax
from sklearn.datasets import load_wine

from jxent import bounds, counts, data, plots, probs, regression, samples

BLUE, ORANGE, GREEN, GREY = "#0072B2", "#D55E00", "#009E73", "#666666"
plt.rcParams.update(
    {
        "figure.facecolor": "white",
        "figure.constrained_layout.use": True,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "legend.frameon": False,
    }
)

# %% [markdown]
# ## 1. From counts: which pixels know the digit?
#
# Each of the 64 pixels of a handwritten digit has 17 grey values, and the digit is one of 10. So every pixel
# gives a table of counts `[17, 10]`, and all 64 tables are one batch: the axes that no variable names.

# %%
digits = data.digits()
train, test = data.split(digits, key=jax.random.key(0))  # what is said about new images is tried on others
x, labels = train.x.astype(int), np.asarray(train.labels)
tables = counts.from_labels(np.stack([x.T, np.tile(labels, (64, 1))], axis=-1), (17, 10))

plugin = counts.mutual_information(tables, base=2)
corrected = counts.mutual_information(tables, method="miller_madow", base=2)
print(f"tables {tables.shape}; all the digit's entropy is {counts.entropy(np.bincount(labels), base=2):.3f} bits")

figure, axes = plt.subplots(1, 2, figsize=(8, 3.4))
for ax, (name, found) in zip(axes, {"plug-in": plugin, "Miller–Madow": corrected}.items(), strict=True):
    picture = ax.imshow(found.reshape(8, 8), cmap="viridis", vmin=0, vmax=0.7)
    ax.set(title=f"information about the digit, {name}", xticks=[], yticks=[])
figure.colorbar(picture, ax=axes, label="bits")
plt.show()

# %% [markdown]
# The pixels where strokes of some digits pass and those of others do not know up to two thirds of a bit; the margins,
# nearly always white, know next to nothing. The two pictures differ most where many grey values occur: the plug-in is
# **too high**, by about $(K_x-1)(K_y-1)/2N$ nats, because chance makes any table look dependent. A permutation test
# says how much of a number is chance: it shuffles the digits among the images, which destroys the dependence and keeps
# all else. Of what the pixel in the corner seems to know, most is chance, though not all.

# %%
for name, j in {"best pixel": int(np.argmax(corrected)), "pixel in a corner": 7}.items():
    shuffled = counts.permutation_test(tables[j], key=jax.random.key(0), base=2)
    interval = counts.bootstrap_interval(tables[j], measure="mutual_information", key=jax.random.key(1), base=2)
    print(
        f"{name} ({j // 8}, {j % 8}): plug-in {shuffled.statistic:.3f} bits, by chance {shuffled.null_mean:.3f}; "
        f"p = {shuffled.p_value:.3f}; 95% between {interval.low:.3f} and {interval.high:.3f}"
    )

# %% [markdown]
# ## 2. Choosing features
#
# Pixels side by side know much the same, so the best ten by themselves are not the best ten together. Taking in turn
# the one that adds most, $\max_j I(X_j; Y) - \text{mean}_{i \text{ taken}}\, I(X_j; X_i)$, avoids repetition
# (Peng, Long and Ding 2005). The information between all pairs of pixels is again one batch of tables.

# %%
both = np.stack(np.broadcast_arrays(x.T[:, None], x.T[None]), axis=-1)  # [64, 64, images, 2]
pairs = counts.from_labels(both, (17, 17))
between = np.asarray(counts.mutual_information(pairs, method="miller_madow", base=2))
relevance = np.asarray(corrected)


def in_turn(number):
    """Each time the pixel that knows most of the digit and least of those before it."""
    taken = [int(np.argmax(relevance))]
    while len(taken) < number:
        score = relevance - between[:, taken].mean(axis=1)
        score[taken] = -np.inf
        taken.append(int(np.argmax(score)))
    return taken


orders = {
    "in turn": in_turn(40),
    "best by themselves": list(np.argsort(-relevance)),
    "drawn at random": list(np.random.default_rng(0).permutation(64)),
}
sizes = (2, 5, 10, 20, 40)


def accuracy(pixels):
    """Of a softmax regression on some pixels; the others are set to 0, so that one program serves all."""
    kept = jnp.zeros(64).at[jnp.asarray(pixels)].set(1.0)[None] / digits.scale
    fit = regression.fit(train.x * kept, train.labels, l2=1e-3)
    return float(jnp.mean(regression.predict(fit.params, test.x * kept) == test.labels))


figure, ax = plt.subplots(figsize=(6, 3.6))
for (name, order), colour in zip(orders.items(), (BLUE, ORANGE, GREY), strict=True):
    ax.plot(sizes, [accuracy(order[:size]) for size in sizes], "o-", color=colour, label=name)
ax.set(xlabel="pixels", ylabel="accuracy on held-out images", xscale="log")
ax.set_xticks(sizes, sizes)
ax.minorticks_off()
ax.legend()
plt.show()

# %% [markdown]
# What two pixels know together need not be the sum of what each knows. In the diagram all areas are to scale: what
# the two share about the digit is the *co-information* in the middle. It can be negative, as it is for two coins and
# whether they agree: each coin alone says nothing about it, both together everything.

# %%
one, other = in_turn(2)
ink = (x[:, [one, other]] > 8).astype(int)
table = counts.from_labels(np.column_stack([ink, labels]), (2, 2, 10))
coins = np.asarray([[[0.25, 0], [0, 0.25]], [[0, 0.25], [0.25, 0]]])

figure, axes = plt.subplots(1, 2, figsize=(11, 4.6))
plots.information_diagram(table / table.sum(), names=["one pixel", "another", "digit"], base=2, ax=axes[0])
plots.information_diagram(coins, names=["one coin", "another", "they agree"], base=2, ax=axes[1])
plt.show()
print(
    f"co-information {probs.co_information(table / table.sum(), base=2):.4f} and {probs.co_information(coins, base=2)}"
)

# %% [markdown]
# ## 3. From continuous samples
#
# A chemical analysis of wines has 13 numbers for each bottle and the grower as the label. Cutting numbers into bins
# throws some of what they know away and adds bias; the estimators of `jxent.samples` look at *nearest neighbours*
# instead, here Ross's for a number and a label. They expect numbers that do not repeat, and these are rounded to few
# digits: bottles at distance 0 from more than $k$ others would give NaN, and many at exactly the same distance, none of
# which counts as nearer, a number that is too high. What rounding took is given back openly, by noise as wide as
# the last digit.

# %%
wine = load_wine()
digit = np.asarray([np.diff(np.unique(column)).min() for column in wine.data.T])
features = wine.data + digit * np.random.default_rng(0).uniform(-0.5, 0.5, size=wine.data.shape)
growers = jnp.asarray(wine.target)
known = jax.vmap(lambda f: samples.mutual_information(f, growers, method="ross", base=2))(jnp.asarray(features.T))
rounded, smooth = (samples.mutual_information(f[:, 12], growers, method="ross", base=2) for f in (wine.data, features))
print(f"proline, as rounded: {rounded:.2f} bits; with the noise: {smooth:.2f}")

figure, ax = plt.subplots(figsize=(6, 3.6))
order = np.argsort(known)
ax.barh([wine.feature_names[i] for i in order], np.asarray(known)[order], color=BLUE)
ax.set(
    xlabel="information about the grower (bits)",
    title=f"of {counts.entropy(np.bincount(growers), base=2):.2f} bits",
)
plt.show()

# %% [markdown]
# How far can such an estimate be trusted? Where the truth is known it can be seen: two Gaussians with correlation
# $\rho$ share $-\tfrac12\log(1-\rho^2)$ nats. Kraskov, Stögbauer and Grassberger's first estimator has next to no bias
# for independent variables, and a small one otherwise; its deviation falls as $1/\sqrt n$. The method of Gaussians is
# the better one here, of course, and blind to all dependence that is not linear.

# %%
rho, repetitions = 0.9, 100
truth = -0.5 * np.log(1 - rho**2)
numbers = (25, 50, 100, 200, 400)
figure, ax = plt.subplots(figsize=(6, 3.6))
for shift, (method, colour) in enumerate({"ksg1": BLUE, "ksg2": GREEN, "gaussian": ORANGE}.items()):
    found = []
    for n in numbers:
        u, e = jax.random.normal(jax.random.key(n), (2, repetitions, n))
        estimate = functools.partial(samples.mutual_information, method=method)
        found.append(jax.vmap(estimate)(u, rho * u + np.sqrt(1 - rho**2) * e))
    means, deviations = ([float(s(f)) for f in found] for s in (jnp.mean, jnp.std))
    ax.errorbar(
        np.asarray(numbers) * 1.05 ** (shift - 1), means, deviations, fmt="o-", capsize=3, color=colour, label=method
    )
ax.axhline(truth, color=GREY, linewidth=1)
ax.set(xlabel="samples", ylabel="estimate (nats)", xscale="log", title=f"truth: {truth:.3f} nats")
ax.set_xticks(numbers, numbers)
ax.minorticks_off()
ax.legend()
plt.show()

# %% [markdown]
# What is not linear, neighbours see and covariances do not:

# %%
u, e = jax.random.normal(jax.random.key(5), (2, 2000))
ring = jnp.cos(3 * u) + 0.2 * e
for method in ("ksg1", "gaussian", "gaussian_copula"):
    print(f"{method:16} {samples.mutual_information(u, ring, method=method):6.3f} nats")

# %% [markdown]
# ## 4. Many dimensions: train a critic
#
# Neighbours are far from each other in many dimensions, and estimates from them fall short. There a *critic* can be
# trained: a function $f(x, y)$ that scores pairs, with a bound on the information that on average no critic exceeds.
# InfoNCE comes close to the truth only with batches of many more pairs than $e^I$. Here 10 pairs of Gaussians share
# 5 nats; the critic compares two small networks' outputs, and every step sees new samples.

# %%
d, batch, steps, target = 10, 256, 400, 5.0
rho = np.sqrt(1 - np.exp(-2 * target / d))


def draw(key, n):
    """Pairs whose coordinates are correlated one by one."""
    u, e = jax.random.normal(key, (2, n, d))
    return u, rho * u + np.sqrt(1 - rho**2) * e


def network(params, v):
    """Two layers."""
    return jnp.tanh(v @ params[0] + params[1]) @ params[2] + v @ params[3]


def scores(params, u, v):
    """Of all pairs of a batch; the best critic of Gaussians has squares of both beside their product."""
    a, b = network(params["x"], u), network(params["y"], v)
    return a @ b.T - jnp.sum(network(params["u"], u) ** 2, 1)[:, None] - jnp.sum(network(params["v"], v) ** 2, 1)[None]


def initial(key, width=64, out=16):
    k = jax.random.split(key, 3)
    shapes = ((d, width), (width, out), (d, out))
    w, o, s = (0.1 * jax.random.normal(k, shape) for k, shape in zip(k, shapes, strict=True))
    return [w, jnp.zeros(width), o, s]


optimizer = optax.adam(2e-3)
params = {name: initial(key) for name, key in zip("xyuv", jax.random.split(jax.random.key(0), 4), strict=True)}


def step(carry, key):
    """Climb the bound by one batch."""
    params, state = carry
    u, v = draw(key, batch)
    value, slope = jax.value_and_grad(lambda p: -bounds.infonce(scores(p, u, v)))(params)
    updates, state = optimizer.update(slope, state)
    return (optax.apply_updates(params, updates), state), -value


(params, _), history = jax.jit(functools.partial(jax.lax.scan, step))(
    (params, optimizer.init(params)), jax.random.split(jax.random.key(1), steps)
)
u, v = draw(jax.random.key(2), 2000)
fresh = scores(params, u, v)
print(f"truth              {target:.2f} nats")
print(f"ksg1, 2000 samples {samples.mutual_information(u, v):.2f}")
print(f"InfoNCE            {bounds.infonce(fresh):.2f}, on {len(u)} fresh pairs")

figure, ax = plt.subplots(figsize=(6, 3.2))
ax.plot(history, color=BLUE, linewidth=1)
ax.axhline(target, color=GREY, linewidth=1, label="truth")
ax.axhline(
    np.log(batch), color=ORANGE, linewidth=1, linestyle="--", label="log of the batch, which InfoNCE cannot exceed"
)
ax.set(xlabel="step", ylabel="InfoNCE of a batch (nats)")
ax.legend()
plt.show()
