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
# # Two distributions
#
# What happens has one distribution, what was expected another. *Cross-entropy* is what the wrong expectation costs,
# *KL divergence* is how much of that was avoidable. Here both are measured in bits of a real code, then put to work:
# fitting a density from both sides, choosing a question, comparing texts, and a picture of all of it.
#
# ```sh
# pip install ".[notebooks]"    # in a checkout of the repository
# ```

# %%
import argparse
import functools
import heapq
import inspect
import itertools
import re
import tarfile
from collections import Counter
from pydoc_data.topics import topics

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import optax
from sklearn.datasets import load_breast_cancer

from jxent import counts, logits, plots, probs

BLUE, ORANGE, GREEN, GREY = "#0072B2", "#D55E00", "#009E73", "#8C8C8C"
plt.rcParams.update(
    {
        "figure.constrained_layout.use": True,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "legend.frameon": False,
    }
)

# %% [markdown]
# ## 1. The price of the wrong code
#
# Take two texts that come with Python: the prose of its language reference and the source code of two of its
# modules. Cut into pairs of letters (a space is one of 27), each text has a distribution over the 729 pairs, $P$ and
# $Q$. Some pairs never occur in one of them. Each is counted once more than it was seen, Laplace's rule, so that
# every code has a word for everything; without it, the first surprise that the code has no word for would cost
# infinitely much.


# %%
def letters_only(text):
    return re.sub("[^a-z]+", " ", text.lower())


alphabet = " abcdefghijklmnopqrstuvwxyz"
pairs = [one + other for one in alphabet for other in alphabet]
texts = {
    "prose": letters_only(" ".join(topics.values())),
    "source": letters_only(inspect.getsource(argparse) + inspect.getsource(tarfile)),
}


def in_pairs(text):
    return [text[i : i + 2] for i in range(0, len(text) - 1, 2)]


def shares(text):
    """Of every pair, counted once more than it was seen."""
    seen = Counter(in_pairs(text))
    n = np.asarray([seen[pair] + 1 for pair in pairs], np.float64)
    return n / n.sum()


p, q = shares(texts["prose"]), shares(texts["source"])
print(f"{len(texts['prose']):,} characters of prose, {len(texts['source']):,} of source")
print(f"H(P)    = {probs.entropy(p, base=2):.4f} bits a pair of prose")
print(f"H(Q)    = {probs.entropy(q, base=2):.4f} bits a pair of source")
print(f"H(P, Q) = {probs.cross_entropy(p, q, base=2):.4f} bits, prose with a code made for source")
print(f"H(Q, P) = {probs.cross_entropy(q, p, base=2):.4f} bits, source with a code made for prose")
print(f"KL(P‖Q) = {probs.kl_divergence(p, q, base=2):.4f} bits, the excess H(P, Q) − H(P)")
print(f"KL(Q‖P) = {probs.kl_divergence(q, p, base=2):.4f} bits, the excess H(Q, P) − H(Q)")

# %% [markdown]
# A code for $Q$ gives pair $k$ a word of about $-\log_2 q_k$ bits. Used on pairs that come from $P$ it costs the
# **cross-entropy**
#
# $$H(P, Q) = -\sum_k p_k \log q_k ,$$
#
# which is the entropy of $P$ and, on top, the **Kullback–Leibler divergence**
#
# $$\mathrm{KL}(P\,\|\,Q) = \sum_k p_k \log\frac{p_k}{q_k} = -H(P) + H(P, Q) \;\ge\; 0 .$$
#
# Nothing of that is a metaphor. Here are the two Huffman codes, and what they really spend on both texts:


# %%
def huffman(weights):
    """The word of every symbol: the two rarest are joined, again and again."""
    ties = itertools.count()
    heap = [(w, next(ties), {symbol: ""}) for symbol, w in weights.items()]
    heapq.heapify(heap)
    while len(heap) > 1:
        (a, _, one), (b, _, other) = heapq.heappop(heap), heapq.heappop(heap)
        joined = {s: "0" + word for s, word in one.items()} | {s: "1" + word for s, word in other.items()}
        heapq.heappush(heap, (a + b, next(ties), joined))
    return heap[0][2]


of = {"prose": p, "source": q}
codes = {name: huffman(dict(zip(pairs, shares, strict=True))) for name, shares in of.items()}
spent = {}
print(f"{'':28}{'measured':>9}{'in theory':>11}")
for name, text in texts.items():
    for made_for, code in codes.items():
        words = [code[pair] for pair in in_pairs(text)]
        spent[name, made_for] = sum(map(len, words)) / len(words)
        seen = Counter(in_pairs(text))
        raw = np.asarray([seen[pair] for pair in pairs], np.float64)
        theory = float(probs.cross_entropy(raw / raw.sum(), of[made_for], base=2))
        print(f"{name:6} by the code of {made_for:6}  {spent[name, made_for]:11.4f}{theory:11.4f}")
for name, other in (("prose", "source"), ("source", "prose")):
    theory = float(probs.kl_divergence(of[name], of[other], base=2))
    print(f"{name:6} the excess             {spent[name, other] - spent[name, name]:11.4f}{theory:11.4f}")

# %% [markdown]
# Words have whole numbers of bits, so that every text costs a little more than its cross-entropy with the code; the
# excess that was measured is close to the divergence. (In theory the costs are those of the pairs as they were seen,
# without the one that was added to each.) Which letters does it come from? `kl_divergence` is evaluated as $\sum_k
# p_k\log(p_k/q_k) - p_k + q_k$: the same number for distributions, with no negative term, so that each letter's part
# can be drawn. Here are the first letters of the pairs; one letter tells the texts apart less well than two.

# %%
first_p, first_q = (np.asarray(probs.marginal(x.reshape(27, 27), 0)) for x in (p, q))
fig, ax = plt.subplots(figsize=(9, 3.8))
plots.distributions(first_p, first_q, base=2, classes=["␣", *alphabet[1:]], ax=ax)
ax.set_xlabel("letter (p: prose, q: source)")
plt.show()

# %% [markdown]
# ## 2. Two sides
#
# The divergence is never negative, and 0 exactly where the two are equal. It is not a distance: in general
# $\mathrm{KL}(P\,\|\,Q) \ne \mathrm{KL}(Q\,\|\,P)$. In general; when exchanging the two only renames the outcomes,
# as for $(a, 1-a)$ and $(1-a, a)$, both directions are one number.

# %%
a, b = jnp.asarray([0.9, 0.1]), jnp.asarray([0.4, 0.6])
print(f"KL(a‖b) = {probs.kl_divergence(a, b):.4f}, KL(b‖a) = {probs.kl_divergence(b, a):.4f} nats")
print(f"KL(a‖ã) = {probs.kl_divergence(a, a[::-1]):.4f}, KL(ã‖a) = {probs.kl_divergence(a[::-1], a):.4f} nats")
print(f"KL(a‖a) = {probs.kl_divergence(a, a):.4f}, exactly 0")
print(f"the impossible happens: KL = {probs.kl_divergence(a, jnp.asarray([0.0, 1.0]))}")
c, d = jnp.asarray(0.9), jnp.asarray(0.4)
print(f"two outcomes: −[c log d + (1 − c) log(1 − d)] = {probs.binary_cross_entropy(c, d):.4f} nats")
print(f"the same by the general form                    {probs.cross_entropy(a, b):.4f} nats")

# %% [markdown]
# The asymmetry is seen best when something must give way. One Gaussian shall stand for a mixture of two. Both
# are taken on a grid, as logits, so that nothing underflows; `jax.grad` finds the way for either side. *Forward* KL,
# $\mathrm{KL}(\text{mixture}\,\|\,q)$, punishes $q$ for finding impossible what happens: it spreads over both.
# *Reverse* KL, $\mathrm{KL}(q\,\|\,\text{mixture})$, punishes $q$ for claiming what does not happen: it settles on one,
# and which one depends on where it starts.

# %%
grid = jnp.linspace(-14, 14, 1401)
log_mixture = jnp.logaddexp(jnp.log(0.6) - 0.5 * ((grid + 2) / 0.8) ** 2, jnp.log(0.4) - 0.5 * ((grid - 3) / 0.8) ** 2)


def log_gaussian(params):
    mean, log_width = params
    return -0.5 * ((grid - mean) / jnp.exp(log_width)) ** 2


def forward(params):
    return logits.kl_divergence(log_mixture, log_gaussian(params))


def reverse(params):
    return logits.kl_divergence(log_gaussian(params), log_mixture)


@functools.partial(jax.jit, static_argnums=0)
def descend(divergence, params):
    optimizer = optax.adam(0.05)

    def step(carry, _):
        params, state = carry
        updates, state = optimizer.update(jax.grad(divergence)(params), state)
        return (optax.apply_updates(params, updates), state), None

    return jax.lax.scan(step, (params, optimizer.init(params)), length=600)[0][0]


fits = {
    "forward KL": (forward, (0.5, 0.0), ORANGE, "-"),
    "reverse KL, from −1": (reverse, (-1.0, 0.0), BLUE, "--"),
    "reverse KL, from 2": (reverse, (2.0, 0.0), GREEN, "--"),
}
fig, ax = plt.subplots(figsize=(8, 3.6))
ax.fill_between(grid, logits.probabilities(log_mixture), color=GREY, alpha=0.4, linewidth=0, label="mixture")
for name, (divergence, start, colour, style) in fits.items():
    params = descend(divergence, jnp.asarray(start))
    ax.plot(grid, logits.probabilities(log_gaussian(params)), style, color=colour, linewidth=2, label=name)
    print(
        f"{name:20} mean {params[0]:6.3f}, deviation {jnp.exp(params[1]):.3f}; "
        f"forward {forward(params):6.3f}, reverse {reverse(params):.3f} nats"
    )
weights = logits.probabilities(log_mixture)
mean = jnp.sum(weights * grid)
deviation = jnp.sqrt(jnp.sum(weights * (grid - mean) ** 2))
print(f"{'moments of mixture':20} mean {mean:6.3f}, deviation {deviation:.3f}")
ax.set(xlabel="x", ylabel="probability of a grid cell", xlim=(-8, 8))
ax.set_ylim(bottom=0)
ax.legend()
plt.show()

# %% [markdown]
# Forward KL has found the mean and the deviation of the mixture, as it must: for a Gaussian the best cross-entropy is
# that with the same moments. Maximum likelihood is forward KL from the data; most variational inference is reverse.
#
# ## 3. Information gain
#
# A divergence from what was believed before to what is believed after says how much was learned. Averaged over the
# answers it is the **mutual information** of the answer and what it is about, and a decision tree asks the question
# that has most: here one threshold for one of 30 measurements of a tumour, benign or malignant. Every threshold of
# every measurement is a table of counts, all of them one batch.

# %%
tumours = load_breast_cancer()
thresholds = np.quantile(tumours.data, np.linspace(0.02, 0.98, 49), axis=0)  # [49, 30]
answers = (tumours.data.T[None] > thresholds[..., None]).astype(int)  # [49, 30, tumours]
tables = counts.from_labels(np.stack([answers, np.broadcast_to(tumours.target, answers.shape)], axis=-1), (2, 2))
gain = np.asarray(counts.mutual_information(tables, base=2))

t, j = np.unravel_index(np.argmax(gain), gain.shape)
table = np.asarray(tables[t, j], np.float64)
before = table.sum(axis=0) / table.sum()
after = table / table.sum(axis=1, keepdims=True)
of_answers = table.sum(axis=1) / table.sum()
learned = np.asarray(probs.kl_divergence(after, np.broadcast_to(before, after.shape), base=2))
print(
    f"H(malignant or benign) = {probs.entropy(before, base=2):.4f} bits; {tables.shape[0] * tables.shape[1]} questions"
)
print(f"best: is the {tumours.feature_names[j]} above {thresholds[t, j]:.3g}?")
for name, share, bits in zip(("no", "yes"), of_answers, learned, strict=True):
    print(f"  {name:3} ({share:.0%}): {bits:.4f} bits learned")
print(f"on average {np.sum(of_answers * learned):.4f} bits, mutual information {gain[t, j]:.4f}")

# %% [markdown]
# ## 4. Jensen–Shannon: symmetric, bounded, a metric in disguise
#
# KL is infinite as soon as one side excludes what happens on the other. Comparing both with their mean,
#
# $$\mathrm{JS}(P, Q) = \tfrac12\,\mathrm{KL}(P\,\|\,M) + \tfrac12\,\mathrm{KL}(Q\,\|\,M), \qquad
# M = \tfrac12 (P + Q),$$
#
# gives a symmetric number between 0 and 1 bit, and its square root obeys the triangle inequality. It is the
# information that one draw holds about which of the two it came from, when both are equally likely. For chapters of the
# language reference, by pairs of letters:

# %%
chapters = {name: letters_only(topics[name]) for name in ("specialnames", "string-methods", "class", "import", "with")}
names = [*chapters, "source code"]
tables = []
for text in (*chapters.values(), texts["source"]):
    seen = Counter(in_pairs(text))
    n = np.asarray([seen[pair] for pair in pairs], np.float64)
    tables.append(n / n.sum())
tables = np.stack(tables)
apart = np.sqrt(probs.pairwise_jensen_shannon_divergence(tables, tables, base=2))
infinite = np.isinf(probs.pairwise_kl_divergence(tables, tables))

fig, ax = plt.subplots(figsize=(6.4, 4.6))
drawn = ax.imshow(apart, cmap="viridis", vmin=0)
for (i, k), value in np.ndenumerate(apart):
    ax.text(k, i, f"{value:.2f}", ha="center", va="center", color="white" if value < 0.6 * apart.max() else "black")
ax.set_xticks(range(len(names)), names, rotation=30, ha="right")
ax.set_yticks(range(len(names)), names)
fig.colorbar(drawn, ax=ax, label="Jensen–Shannon distance (√bits)")
plt.show()
print(f"KL is infinite for {infinite.sum()} of the {infinite.size - len(names)} ordered pairs of different texts")
sides = apart[:, :, None] + apart[None, :, :] - apart[:, None, :]
print(f"the triangle inequality holds for all triples: smallest slack {sides.min():.2g}")

# %% [markdown]
# ## 5. The simplex
#
# All distributions over three outcomes are the points of a triangle. Its corners are certain outcomes, its edges
# exclude one, and that is where formulas meet $\log 0$. The arrows are gradients along the triangle, on the edges and
# corners too.

# %%
aim = jnp.asarray([0.5, 0.3, 0.2])
fields = {
    "entropy": (probs.entropy, "entropy (nats)"),
    "KL from p to the dot": (lambda p: probs.kl_divergence(p, jnp.broadcast_to(aim, p.shape)), "KL(p‖q) (nats)"),
    "Jensen–Shannon from the dot": (
        lambda p: probs.jensen_shannon_divergence(p, jnp.broadcast_to(aim, p.shape)),
        "JS(p, q) (nats)",
    ),
}
fig, axes = plt.subplots(1, 3, figsize=(13, 3.9))
for ax, (name, (function, label)) in zip(axes, fields.items(), strict=True):
    points = None if function is probs.entropy else [aim]
    plots.simplex(function, gradient=True, points=points, classes="ABC", label=label, ax=ax)
    ax.set_title(name)
plt.show()

corner = jnp.asarray([1.0, 0.0, 0.0])
naive = jax.grad(lambda p: -jnp.sum(p * jnp.log(p)))(corner)
print(f"gradient of the entropy at a corner, as the formula says:   {naive}")
print(f"by probs.entropy, the slope at the smallest normal number:  {jax.grad(probs.entropy)(corner)}")

# %% [markdown]
# The entropy rises steeply from every edge: for the first bit of doubt, its slope has no bound. `jxent` gives it the
# value at the smallest number that counts, large and finite, so that $0 \times$ slope is 0 and what is impossible
# stays so. KL falls towards the dot and is 0 there with gradient 0. What all of this has to do with learning from
# data is the subject of `3_gradient_for_free`.
