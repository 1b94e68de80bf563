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
# # The head of a language model
#
# A language model ends in a linear head: features times one row of weights for each word, and a softmax over all words.
# Its logits are the largest arrays of the whole training. This notebook trains a small model on real text, distils it
# into a smaller one and improves that one with a policy gradient. No step forms the logits of more than one block of
# words.
#
# ```sh
# pip install ".[notebooks]"    # in a checkout of the repository
# ```

# %%
import re
from collections import Counter
from pydoc_data.topics import topics

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import optax
from flax import nnx

from jxent import counts, linear, logits, losses

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
# ## 1. The text
#
# Python's own reference, which comes with every Python. Words and signs become ids in the order of their frequency;
# words that occur once share the last id. A sequence has 33 of them: 32 to read, 32 to predict. The end of each
# topic is filled up with the label −100, which no loss counts.

# %%
PAD, LENGTH = -100, 32
documents = [re.findall(r"[A-Za-z]+|[^\sA-Za-z]", text.lower()) for _, text in sorted(topics.items())]
frequency = Counter(word for document in documents for word in document)
words = [word for word, count in frequency.most_common() if count > 1]
number = {word: i for i, word in enumerate(words)}
V = len(words) + 1

rows = []
for document in documents:
    ids = [number.get(word, V - 1) for word in document]
    for start in range(0, len(ids) - 1, LENGTH):
        part = ids[start : start + LENGTH + 1]
        rows.append(part + [PAD] * (LENGTH + 1 - len(part)))
rows = np.random.default_rng(0).permutation(np.array(rows, np.int32))
train, held_out = rows[256:], rows[:256]
unigram = counts.entropy(counts.from_labels(train[train >= 0], V), method="nsb")
print(f"{sum(map(len, documents))} words, {V} different ones, {len(train)} + {len(held_out)} sequences")
print(f"a word by itself: {float(unigram):.2f} nats, perplexity {float(jnp.exp(unigram)):.0f} of {V}")

# %% [markdown]
# ## 2. What the logits would take
#
# The compiler says what a loss and its gradient need beside their arguments and results, from shapes alone. With 8192
# tokens of 1024 features and the 151,936 words of a current model:


# %%
def materialised(x, w, labels):
    return losses.mean(losses.softmax_cross_entropy_with_integer_labels(x @ w.T, labels))


def distance(of):
    return lambda x, w, y, u: losses.mean(of(x, w, y, u))


def gigabytes(loss, *shapes):
    """Temporary memory of a loss with its gradient in the first two arguments."""
    args = [jax.ShapeDtypeStruct(shape, dtype) for shape, dtype in shapes]
    program = jax.jit(jax.value_and_grad(loss, argnums=(0, 1))).lower(*args).compile()
    return program.memory_analysis().temp_size_in_bytes / 1e9


head = [((8192, 1024), "float32"), ((151_936, 1024), "float32")]
labels = ((8192,), "int32")
held = distance(lambda x, w, y, u: logits.kl_divergence(y @ u.T, x @ w.T))
blocks = distance(lambda x, w, y, u: linear.kl_divergence(y, u, x, w))
entropies = materialised, lambda x, w, labels: losses.mean(linear.softmax_cross_entropy(x, w, labels))
pairs = {
    "cross-entropy": [gigabytes(f, *head, labels) for f in entropies],
    "KL to a teacher": [gigabytes(f, *head, *head) for f in (held, blocks)],
}
figure, axes = plt.subplots(figsize=(6.4, 2.2))
for i, values in enumerate(pairs.values()):
    for j, (value, colour, name) in enumerate(zip(values, (GREY, BLUE), ("logits held", "jxent.linear"), strict=True)):
        axes.barh(i + 0.36 * j, value, 0.34, color=colour, label=name if i == 0 else None)
        axes.text(value, i + 0.36 * j, f" {value:.2g} GB", va="center")
axes.set_yticks(np.arange(len(pairs)) + 0.18, list(pairs))
axes.set_xlabel("temporary memory of loss and gradient, GB")
axes.set_xlim(0, 1.2 * max(map(max, pairs.values())))
axes.invert_yaxis()
axes.legend(loc="upper right")
plt.show()

# %% [markdown]
# ## 3. A model, trained
#
# Two blocks of causal attention. Called with ids it returns features `[..., D]`; the head is a matrix `[V, D]` beside
# them. `mean_softmax_cross_entropy` takes features, head and labels.


# %%
class Model(nnx.Module):
    """Features of each position, from the words up to it."""

    def __init__(self, size, rngs):
        self.embedding = nnx.Embed(V, size, rngs=rngs)
        self.place = nnx.Param(0.02 * jax.random.normal(rngs.params(), (LENGTH, size)))
        self.mix = nnx.List([nnx.MultiHeadAttention(4, size, decode=False, rngs=rngs) for _ in range(2)])
        self.wide = nnx.List([nnx.Linear(size, 4 * size, rngs=rngs) for _ in range(2)])
        self.narrow = nnx.List([nnx.Linear(4 * size, size, rngs=rngs) for _ in range(2)])
        self.norms = nnx.List([nnx.LayerNorm(size, rngs=rngs) for _ in range(5)])
        self.head = nnx.Param(0.02 * jax.random.normal(rngs.params(), (V, size)))

    def __call__(self, ids):
        length = ids.shape[-1]
        x = self.embedding(jnp.maximum(ids, 0)) + self.place[:length]
        mask = jnp.tril(jnp.ones((1, 1, length, length), bool))
        for i in range(2):
            x = x + self.mix[i](self.norms[2 * i](x), mask=mask)
            x = x + self.narrow[i](nnx.gelu(self.wide[i](self.norms[2 * i + 1](x))))
        return self.norms[4](x)


def cross_entropy(model, batch):
    ids, labels = batch[:, :-1], batch[:, 1:]
    return linear.mean_softmax_cross_entropy(model(ids), model.head[...], labels, ignore_label=PAD)


@nnx.jit
def total(model, batch):
    ids, labels = batch[:, :-1], batch[:, 1:]
    return linear.sum_softmax_cross_entropy(model(ids), model.head[...], labels, ignore_label=PAD)


def perplexity(model):
    """Of the held-out sequences, in portions whose sums add up."""
    loss, weight = jax.tree.map(lambda *parts: sum(parts), *(total(model, part) for part in np.split(held_out, 4)))
    return float(jnp.exp(loss / weight))


def fitted(model, loss, steps, rate=3e-3, seed=0):
    """Train in batches of 32 sequences; the loss of each step."""
    optimizer = nnx.Optimizer(model, optax.adam(optax.cosine_decay_schedule(rate, steps)), wrt=nnx.Param)

    @nnx.jit
    def step(model, optimizer, batch):
        value, slope = nnx.value_and_grad(loss)(model, batch)
        optimizer.update(model, slope)
        return value

    order = np.random.default_rng(seed)
    return [float(step(model, optimizer, train[order.integers(0, len(train), 32)])) for _ in range(steps)]


teacher = Model(96, nnx.Rngs(0))
history = fitted(teacher, cross_entropy, 300)
print(f"held-out perplexity {perplexity(teacher):.0f}; a word by itself {float(jnp.exp(unigram)):.0f}")

# %% [markdown]
# ## 4. Distilled
#
# A student with a third of the features learns for 150 steps: once from the labels, once from the teacher's whole
# distribution, KL(teacher‖student) at each position. The two heads have different sizes $D$ and the same words. The
# teacher is constant and costs no derivative.


# %%
def from_teacher(student, batch):
    ids = batch[:, :-1]
    x = jax.lax.stop_gradient(teacher(ids))
    rows = linear.kl_divergence(x, teacher.head[...], student(ids), student.head[...])
    return losses.mean(rows, where=batch[:, 1:] != PAD)


students = {"from labels": cross_entropy, "from the teacher": from_teacher}
results = {}
for name, loss in students.items():
    model = Model(32, nnx.Rngs(1))
    fitted(model, loss, 150, seed=1)
    results[name] = model, perplexity(model)
    print(f"student {name}: held-out perplexity {results[name][1]:.0f}")
print(f"teacher: {perplexity(teacher):.0f}")

smooth = np.convolve(history, np.ones(20) / 20, mode="valid")
figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3), width_ratios=(3, 2))
left.plot(np.arange(len(smooth)) + 10, smooth, color=BLUE, label="teacher, mean of 20 steps")
left.axhline(float(unigram), color=GREY, linestyle="--", label="a word by itself")
left.set(xlabel="step", ylabel="nats per word", title="Training")
left.legend()
bars = {"teacher, D = 96": perplexity(teacher)} | {f"student {n}, D = 32": r[1] for n, r in results.items()}
right.barh(list(bars), bars.values(), color=(GREY, ORANGE, BLUE))
for i, value in enumerate(bars.values()):
    right.text(value, i, f" {value:.0f}", va="center")
right.set(xlabel="held-out perplexity", title="Distilled", xlim=(0, 1.2 * max(bars.values())))
right.invert_yaxis()
plt.show()

# %% [markdown]
# ## 5. A policy gradient
#
# The student is now a policy. It continues 64 beginnings of 16 words by 16 more, drawn by `linear.sample`; the
# reward is the share of words among them that have eight letters or more. `linear.score` gives in one pass what the
# objective needs: the log-probability of the words that were drawn and the entropy of each position. The distance
# from the student before, the reference, is `linear.kl_divergence`. A step ascends
#
# $$\text{advantage}\cdot\log p + 0.001\,H - 0.2\,\mathrm{KL}(p\,\|\,p_{\text{reference}}).$$

# %%
PROMPT = LENGTH // 2
is_long = jnp.asarray([len(word) >= 8 for word in words] + [False])
complete = train[(train >= 0).all(axis=1)][:, :LENGTH]
student = results["from the teacher"][0]
reference = nnx.clone(student)


@nnx.jit
def continued(model, key, prompts):
    """The prompts, with each further word drawn in turn."""
    ids = jnp.pad(prompts, ((0, 0), (0, LENGTH - PROMPT)))

    def draw(ids, place):
        x = model(ids)[:, place - 1]
        word = linear.sample(jax.random.fold_in(key, place), x, model.head[...])
        return ids.at[:, place].set(word), None

    return jax.lax.scan(draw, ids, jnp.arange(PROMPT, LENGTH))[0]


def objective(model, ids):
    drawn = ids[:, PROMPT:]
    reward = jnp.mean(is_long[drawn], axis=1)
    advantage = (reward - reward.mean()) / (reward.std() + 1e-6)
    x, x_reference = (m(ids)[:, PROMPT - 1 : -1] for m in (model, reference))
    found = linear.score(x, model.head[...], drawn)
    kl = linear.kl_divergence(x, model.head[...], jax.lax.stop_gradient(x_reference), reference.head[...])
    gain = advantage[:, None] * found.log_probability + 0.001 * found.entropy - 0.2 * kl
    return -jnp.mean(gain), jnp.stack([reward.mean(), found.entropy.mean(), kl.mean()])


@nnx.jit
def improve(model, optimizer, ids):
    (_, seen), slope = nnx.value_and_grad(objective, has_aux=True)(model, ids)
    optimizer.update(model, slope)
    return seen


optimizer = nnx.Optimizer(student, optax.adam(1e-3), wrt=nnx.Param)
order, curves = np.random.default_rng(2), []
for step in range(40):
    prompts = complete[order.integers(0, len(complete), 64), :PROMPT]
    curves.append(np.asarray(improve(student, optimizer, continued(student, jax.random.key(step), prompts))))

figure, panels = plt.subplots(1, 3, figsize=(9, 2.6))
names = "share of long words", "entropy of a position, nats", "KL to the reference, nats"
for axes, values, name, colour in zip(panels, np.transpose(curves), names, (ORANGE, GREEN, BLUE), strict=True):
    axes.plot(values, color=colour)
    axes.set(xlabel="step", title=name, ylim=(0, None))
plt.show()
first, last = np.mean(curves[:5], axis=0), np.mean(curves[-5:], axis=0)
print(f"long words {first[0]:.2f} -> {last[0]:.2f}; entropy {first[1]:.2f} -> {last[1]:.2f}; KL {last[2]:.2f} nats")

# %% [markdown]
# The entropy rises: the most frequent words are short, and what they lose is spread over many long ones.
#
# ## 6. What the model finds most probable
#
# `linear.top_k` returns the most probable words and their log-probabilities, here after a beginning that the
# teacher has not seen.

# %%
beginning = held_out[(held_out >= 0).all(axis=1)][0, :12]
top = linear.top_k(teacher(beginning[None])[:, -1], teacher.head[...], 5)
print(" ".join(words[i] if i < V - 1 else "?" for i in beginning), "…")
for log_p, i in zip(np.asarray(top.log_probabilities)[0], np.asarray(top.ids)[0], strict=True):
    print(f"  {np.exp(log_p):.3f}  {words[i] if i < V - 1 else '?'}")
