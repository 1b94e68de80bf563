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
# # From surprise to recognised digits
#
# One idea carries this notebook: *how surprised are you by what happens?* Averaged, it becomes entropy;
# averaged with the wrong expectations, cross-entropy; minimised over a data set, a model that reads
# handwritten digits. Every step is a few lines of `jxent`, and every number below was computed by the cell
# above it.
#
# To run it, install the package with the extra for notebooks:
#
# ```sh
# pip install "jxent[notebooks]"    # or, in a checkout of the repository: pip install ".[notebooks]"
# ```
#
# The digits come with scikit-learn, so nothing is downloaded, and the whole notebook takes less than a
# minute on a laptop.

# %%
import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

from jxent import closed_form, data, logits, losses, plots, probs, regression

# Colours that remain distinct for colour-blind readers (Okabe and Ito).
BLUE, ORANGE, GREY = "#0072B2", "#D55E00", "#666666"
plt.rcParams.update(
    {
        "figure.facecolor": "white",
        "figure.constrained_layout.use": True,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "lines.linewidth": 2,
        "legend.frameon": False,
    }
)


def bare(ax):
    """An image needs no ticks, only a thin frame that shows where it ends."""
    ax.set(xticks=[], yticks=[])
    ax.spines[:].set(visible=True, color="#BBBBBB", linewidth=0.8)


# %% [markdown]
# ## 1. Surprise
#
# The *self-information* of an outcome with probability $p$ is
#
# $$I(p) = -\log p .$$
#
# What is certain does not surprise, $I(1) = 0$; the rarer the outcome, the greater the surprise; and the
# surprises of independent outcomes add up, because their probabilities multiply. The base of the logarithm
# is only a unit: base 2 counts **bits**, base $e$ **nats**, base 10 **hartleys**. In `jxent` nats are the
# default and `base=` changes them.

# %%
events = {
    "the sun rises": 1.0,
    "a coin shows heads": 1 / 2,
    "a die shows six": 1 / 6,
    "one in a million": 1e-6,
}

print(f"{'':20} {'p':>9} {'bits':>8} {'nats':>8} {'hartleys':>9}")
for name, p in events.items():
    in_bits, in_nats, in_hartleys = (float(probs.self_information(p, base=b)) for b in (2, None, 10))
    print(f"{name:20} {p:9.3g} {in_bits:8.3f} {in_nats:8.3f} {in_hartleys:9.3f}")

both = float(probs.self_information(1 / 2 * 1 / 6, base=2))
apart = float(probs.self_information(1 / 2, base=2) + probs.self_information(1 / 6, base=2))
print(f"\nheads and six: {both:.3f} bits together, {apart:.3f} bits added up")

# %% [markdown]
# ## 2. Entropy: the surprise to expect
#
# The *entropy* of a distribution is its expected surprise,
#
# $$H(p) = \sum_k p_k \,(-\log p_k) = -\sum_k p_k \log p_k ,$$
#
# in the unit of the surprise. In base 2 no code can spend fewer bits per symbol on average, and codes for
# long blocks come as close as you like. Entropy lies between 0, for a certain outcome, and $\log K$, for
# $K$ equally likely ones.

# %%
p = jnp.array([0.6, 0.1, 0.1, 0.1, 0.1])

for unit, base in {"bits": 2, "nats": None, "hartleys": 10}.items():
    expected_surprise = jnp.sum(p * probs.self_information(p, base=base))
    uniform = probs.entropy(jnp.full(5, 1 / 5), base=base)
    print(
        f"H(p) = {probs.entropy(p, base=base):.5f} {unit:9} expected surprise {expected_surprise:.5f}"
        f"   five equal classes {uniform:.5f}"
    )

# %% [markdown]
# Two outcomes are enough to see the shape. Each outcome contributes its probability times its surprise, and
# the two contributions stacked are the *binary entropy*. The gradient is zero at the top, where the two
# outcomes are equally likely: there the uncertainty is one whole bit.

# %%
a = np.linspace(0.0, 1.0, 401)
inner = a[1:]  # the surprise of probability 0 is infinite, and cannot be drawn
heads = np.concatenate([[0.0], inner * probs.self_information(inner, base=2)])
entropy_curve = probs.binary_entropy(a, base=2)

fig, (left, right) = plt.subplots(1, 2, figsize=(10, 3.8))
left.plot(inner, probs.self_information(inner, base=2), color=BLUE)
left.set(xlabel="probability p of the outcome", ylabel="surprise −log₂ p (bits)", title="Surprise", xlim=(0, 1))
left.set_ylim(0, 7)

right.fill_between(a, 0, heads, color=BLUE, alpha=0.35, linewidth=0, label="heads: p · surprise")
right.fill_between(a, heads, entropy_curve, color=ORANGE, alpha=0.35, linewidth=0, label="tails: (1 − p) · surprise")
right.plot(a, entropy_curve, color="black", label="binary entropy H(p, 1 − p)")
right.set(
    xlabel="probability p of heads",
    ylabel="entropy (bits)",
    title="Entropy is expected surprise",
    xlim=(0, 1),
)
right.set_ylim(0, 1.5)
right.legend(loc="upper center", ncols=1)
in_nats = right.secondary_yaxis("right", functions=(lambda h: h * np.log(2), lambda h: h / np.log(2)))
in_nats.set_ylabel("entropy (nats)")
plt.show()

# %% [markdown]
# ## 3. Cross-entropy and KL: the price of wrong expectations
#
# Now outcomes come from $p$, but you expect $q$, and your code gives symbol $k$ a word of $-\log_2 q_k$
# bits. The average length that you pay is the *cross-entropy*, and its excess over the best possible is the
# *Kullback–Leibler divergence*:
#
# $$H(p, q) = -\sum_k p_k \log q_k, \qquad
# \mathrm{KL}(p\,\|\,q) = \sum_k p_k \log\frac{p_k}{q_k}
# = \underbrace{\sum_k p_k \log p_k}_{-H(p)} + H(p, q) .$$
#
# The average is always taken under the *first* argument: what really happens.

# %%
p = jnp.array([1 / 2, 1 / 4, 1 / 8, 1 / 8])  # word lengths 1, 2, 3, 3 bits
q = jnp.array([1 / 8, 1 / 2, 1 / 4, 1 / 8])  # word lengths 3, 1, 2, 3 bits

print(f"H(p)      = {probs.entropy(p, base=2):.3f} bits   the best code for p")
print(f"H(p, q)   = {probs.cross_entropy(p, q, base=2):.3f} bits   p sent with the code made for q")
print(f"KL(p‖q)   = {probs.kl_divergence(p, q, base=2):.3f} bits   the excess, H(p, q) − H(p)")
print(f"KL(q‖p)   = {probs.kl_divergence(q, p, base=2):.3f} bits   q with the code made for p: another price")
print(f"KL(p‖p)   = {probs.kl_divergence(p, p, base=2):.3f} bits   the right code has no excess")

# %% [markdown]
# A wrong code never helps: $\mathrm{KL}(p\,\|\,q) \ge 0$, and it is 0 exactly when $p = q$. In general the
# two directions differ, most of all where one side finds impossible what the other expects. There are
# exceptions: for $p = (a, 1 - a)$ and $q = (1 - a, a)$, exchanging $p$ and $q$ only renames the two
# outcomes, and both directions cost the same. That is also why the two curves on the left meet again at
# $a = 0.8$.

# %%
a = np.linspace(0.002, 0.998, 499)
pairs = np.stack([a, 1 - a], axis=-1)
fixed = np.broadcast_to([0.2, 0.8], pairs.shape)
mirrored = pairs[:, ::-1]

fig, axes = plt.subplots(1, 2, figsize=(10, 3.8), sharey=True)
for ax, other, title in zip(
    axes, (fixed, mirrored), ("q = (0.2, 0.8): two prices", "q = (1 − a, a): one price"), strict=True
):
    ax.plot(a, probs.kl_divergence(pairs, other, base=2), color=BLUE, linewidth=4, alpha=0.6, label="KL(p‖q)")
    ax.plot(a, probs.kl_divergence(other, pairs, base=2), color=ORANGE, linestyle="--", label="KL(q‖p)")
    ax.set(xlabel="a, with p = (a, 1 − a)", title=title, xlim=(0, 1), ylim=(0, 4))
axes[0].axvline(0.2, color=GREY, linewidth=1, linestyle=":")
axes[0].annotate("p = q", (0.2, 3.7), xytext=(4, 0), textcoords="offset points", color=GREY)
axes[1].axvline(0.5, color=GREY, linewidth=1, linestyle=":")
axes[1].annotate("p = q", (0.5, 3.7), xytext=(4, 0), textcoords="offset points", color=GREY)
axes[0].set_ylabel("divergence (bits)")
axes[0].legend(loc="upper center")
plt.show()

# %% [markdown]
# For two outcomes, with $p$ and $q$ the probabilities of the first, the cross-entropy reads
#
# $$H(p, q) = -\big[\,p \log q + (1 - p)\log(1 - q)\,\big],$$
#
# with the minus before *both* terms. `probs.binary_cross_entropy` takes the two scalars,
# `probs.cross_entropy` the two distributions.

# %%
print(f"binary form  {probs.binary_cross_entropy(0.3, 0.6):.6f} nats")
print(f"general form {probs.cross_entropy(jnp.array([0.3, 0.7]), jnp.array([0.6, 0.4])):.6f} nats")

# %% [markdown]
# ## 4. Likelihood says the same
#
# Suppose a model $q$ should explain independent observations $y_1, \dots, y_N$. Its likelihood is the
# product of the probabilities that it gave to them, and
#
# $$-\frac1N \log \prod_{i=1}^N q(y_i) = -\frac1N \sum_{i=1}^N \log q(y_i)
# = -\sum_k \hat p_k \log q_k = H(\hat p, q),$$
#
# where $\hat p$ holds the observed frequencies. The mean negative log-likelihood of a data set *is* a
# cross-entropy: the model that makes the data most likely is the one that finds it least surprising.

# %%
observed = jnp.array([0, 2, 2, 1, 0])
q = jnp.array([0.5, 0.2, 0.3])
frequencies = jnp.bincount(observed, length=3) / observed.size

likelihood = jnp.prod(q[observed])
print(f"likelihood 0.5 · 0.3 · 0.3 · 0.2 · 0.5    {likelihood:.6f}")
print(f"mean negative log-likelihood              {-jnp.log(likelihood) / observed.size:.6f} nats")
print(f"cross-entropy of frequencies and model    {probs.cross_entropy(frequencies, q):.6f} nats")

# %% [markdown]
# A classifier gives every row a prediction of its own. The label is then a distribution too, with all its
# weight on one class, and the cross-entropy of a row is the surprise at its label. Averaged over rows it is
# again the mean negative log-likelihood.

# %%
predictions = jnp.array([[0.7, 0.1, 0.2], [0.3, 0.6, 0.1], [0.1, 0.1, 0.8]])
labels = jnp.array([0, 0, 2])
targets = jax.nn.one_hot(labels, 3)

per_row = probs.cross_entropy(targets, predictions, base=10)
for prediction, label, cost in zip(predictions.tolist(), labels.tolist(), per_row.tolist(), strict=True):
    print(f"class {label + 1} happened, predicted {prediction[label]:.1f}: {cost:.4f} hartleys")

likelihood = jnp.prod(predictions[jnp.arange(3), labels])
print(f"\nmean cross-entropy of the rows       {losses.mean(per_row):.6f} hartleys")
print(f"−log₁₀(0.7 · 0.3 · 0.8) / 3          {-jnp.log10(likelihood) / 3:.6f} hartleys")

# %% [markdown]
# A word of care: a likelihood is read as a function of the model, with the data held fixed. It is not a
# distribution over models and need not sum to 1 over them.
#
# ## 5. Where the formula meets zero
#
# An impossible outcome adds nothing to the entropy, since $x \log x \to 0$ as $x \to 0$. A computer that
# follows the formula literally multiplies $0 \cdot (-\infty)$ and gets NaN. Guarding the value with `where`
# does not save the *gradient*, which still differentiates the branch not taken. Confident models meet this
# daily: in single precision the softmax of $(0, -200)$ is exactly $(1, 0)$.


# %%
def naive_entropy(p):
    return -jnp.sum(p * jnp.log(p))


def guarded_entropy(p):
    return jnp.sum(jnp.where(p > 0, -p * jnp.log(p), 0.0))


z = jnp.array([0.0, -200.0])
for name, measure in {
    "−Σ p log p": naive_entropy,
    "the same, guarded": guarded_entropy,
    "probs.entropy": probs.entropy,
}.items():
    value, gradient = jax.value_and_grad(lambda z, measure=measure: measure(jax.nn.softmax(z)))(z)
    print(f"{name:18} value {value:5.1f} nats   gradient in the logits {gradient.tolist()}")

# %% [markdown]
# The same happens to the divergence. Where $p_k = 0$ its term has the limit $0$. Where $p_k > 0$ meets
# $q_k = 0$, what you thought impossible has happened, and $+\infty$ is the honest answer: nothing is
# clipped to hide it.


# %%
def naive_kl(p, q):
    return jnp.sum(p * jnp.log(p / q))


p, q = jnp.array([0.5, 0.5, 0.0]), jnp.array([0.25, 0.5, 0.25])
print(f"KL(p‖q): naive {naive_kl(p, q):.6f}, jxent {probs.kl_divergence(p, q):.6f} nats")
print(f"KL(q‖p): naive {naive_kl(q, p):.6f}, jxent {probs.kl_divergence(q, p):.6f} nats, as it should be")
print(f"gradient of KL(p‖q) in q: naive {jax.grad(naive_kl, argnums=1)(p, q).tolist()}")
print(f"                          jxent {jax.grad(probs.kl_divergence, argnums=1)(p, q).tolist()}")

# %% [markdown]
# Two things are worth a note. The naive gradient in $q$ is NaN only where $p_k = 0$, which is enough to
# ruin a training step. And the gradients differ by 1 elsewhere, because `probs.kl_divergence` is evaluated
# as $\sum_k p_k \log (p_k/q_k) - p_k + q_k$: the same number for distributions, never negative, and with
# gradient 0 at $p = q$. Along the simplex, where the entries of a change of $q$ sum to 0, a constant makes
# no difference.
#
# If you hold logits, stay with logits. Far out in the tail a probability rounds to 1, and its surprise to
# 0:

# %%
z = jnp.array([30.0, 0.0])
through_probabilities = -jnp.log(jax.nn.softmax(z)[0])
print(f"−log of the softmax:          {abs(through_probabilities):.3g} nats")
print(f"losses on the logits:         {losses.softmax_cross_entropy_with_integer_labels(z, 0):.3g} nats")
print(f"by hand, log(1 + exp(−30)):   {np.log1p(np.exp(-30.0)):.3g} nats")

# %% [markdown]
# ## 6. Softmax regression, and its gradient for free
#
# A row of features $x$ gets one score per class, $o = xW + b$, and the softmax turns scores into
# probabilities $\hat y = \mathrm{softmax}(o)$. Training minimises the mean cross-entropy of labels $y$ and
# predictions $\hat y$. The cross-entropy $H(y, \hat y)$ of a row is `losses.softmax_cross_entropy(o, y)`,
# computed from the scores so that nothing is lost in the tails, and the whole objective is two lines:


# %%
def objective(params, x, y):
    scores = x @ params.weights + params.bias
    return losses.mean(losses.softmax_cross_entropy(scores, y))


# %% [markdown]
# `jax.grad` derives its gradient. By hand it is not much longer. With
# $\log \hat y_k = o_k - \log \sum_j e^{o_j}$ and $\sum_k y_k = 1$, the loss of a row is
#
# $$\ell = -\sum_k y_k \log \hat y_k = \log \sum_j e^{o_j} - \sum_k y_k o_k
# \qquad\Longrightarrow\qquad
# \frac{\partial \ell}{\partial o_k} = \frac{e^{o_k}}{\sum_j e^{o_j}} - y_k = \hat y_k - y_k ,$$
#
# what was predicted minus what happened. The chain rule and the mean over $N$ rows give the rest:
# $\partial/\partial W = \frac1N X^\top(\hat Y - Y)$, and $\partial/\partial b$ is the mean row of
# $\hat Y - Y$.

# %%
o, y = jnp.array([2.0, 1.0, -1.0]), jnp.array([0.0, 1.0, 0.0])
print("jax.grad       ", np.round(jax.grad(losses.softmax_cross_entropy)(o, y), 6))
print("softmax(o) − y ", np.round(logits.probabilities(o) - y, 6))

# %% [markdown]
# Time for real data: 1797 handwritten digits of 8 × 8 pixels. A random key decides which fifth is held out,
# and the same key always decides alike. Pixels from 0 to 16 are divided by 16, their `scale`.

# %%
digits = data.digits()
train, test = data.split(digits, key=jax.random.key(0), test_fraction=0.2)
x_train, x_test = train.x / train.scale, test.x / test.scale
num_rows, num_features = x_train.shape
num_classes = len(digits.classes)
print(f"{num_rows} rows to learn from, {len(x_test)} held out, {num_features} features, {num_classes} classes")

fig, axes = plt.subplots(1, 10, figsize=(10, 1.5))
for ax, image, label in zip(axes, x_train, train.labels, strict=False):
    ax.imshow(image.reshape(8, 8), cmap="gray_r", vmin=0, vmax=1)
    ax.set_title(f"label {digits.classes[label]}", fontsize=10)
    bare(ax)
fig.suptitle("Ten training images of 8 × 8 pixels (white 0, black 1)", fontsize=11)
plt.show()

# %% [markdown]
# `regression.objective` is the objective above with two conveniences: labels may be class ids, and `l2`
# adds a penalty. `regression.compare_gradients` obtains its gradient by `jax.grad` of the plain definition,
# by `jax.grad` of the package's own building blocks, and from the closed form, written separately, and
# reports the largest difference of any pair. At random weights:

# %%
params = regression.init(num_features, num_classes, key=jax.random.key(1))
y_train = jax.nn.one_hot(train.labels, num_classes)
print(f"composed above       {objective(params, x_train, y_train):.6f} nats")
print(f"regression.objective {regression.objective(params, x_train, train.labels):.6f} nats\n")

agreement = regression.compare_gradients(params, x_train, train.labels)
for name, part in (("weights", agreement.weights), ("bias", agreement.bias)):
    print(
        f"{name:8} largest difference {part.max_abs:.1e}, or {part.max_rel:.1e} of the largest entry, "
        f"agrees: {part.agrees}"
    )

# %% [markdown]
# The differences are rounding of single precision. Would a mistake be noticed? Here is the most popular
# one, the sign, planted on purpose and held against `jax.grad` by `closed_form.compare`:


# %%
def wrong_sign(params, x, labels):
    residual = jax.nn.one_hot(labels, num_classes) - regression.predict_proba(params, x)  # y − ŷ, not ŷ − y
    return regression.Params(x.T @ residual / len(x), jnp.mean(residual, axis=0))


for name, by_hand in {"closed form": closed_form.softmax_regression, "wrong sign": wrong_sign}.items():
    result = closed_form.compare(regression.objective, by_hand, params, jnp.asarray(x_train), train.labels)
    print(f"{name:12} difference {result.max_rel:.1e} of the largest entry, agrees: {result.agrees}")

# %% [markdown]
# A flipped sign makes every entry wrong by exactly twice its size, and the report says so.
#
# ## 7. Training
#
# At zero weights every class gets the same probability, so that the objective starts at $\log K$, the
# entropy of a fair guess. The problem is convex: downhill leads to *the* minimum. The small penalty
# $\frac{\lambda}{2}\lVert W\rVert^2$ makes sure that there is one, since separable classes would otherwise
# pull the weights to infinity. `fit` is a single compiled program around an `optax` optimizer, by default
# L-BFGS.

# %%
start = regression.init(num_features, num_classes)
print(f"objective at zero weights {regression.objective(start, x_train, train.labels):.6f} nats")
print(f"log K                     {np.log(num_classes):.6f} nats\n")

fit = regression.fit(x_train, train.labels, l2=1 / num_rows)
print(f"converged: {bool(fit.converged)}, after {int(fit.num_steps)} steps")
print(f"objective {fit.history[-1]:.6f} nats, largest entry of its gradient {fit.grad_norm:.1e}")

# %%
fig, ax = plt.subplots(figsize=(7, 3.8))
plots.loss_history(fit.history, ax=ax)
ax.axhline(np.log(num_classes), color=GREY, linestyle=":", label="log K, a fair guess")
ax.legend()
plt.show()

# %% [markdown]
# The gradients still agree at the optimum. There each entry is a sum that has cancelled to almost nothing,
# and so `compare_gradients` judges differences by the size of the terms in that sum.

# %%
agreement = regression.compare_gradients(fit.params, x_train, train.labels, l2=1 / num_rows)
print(f"largest difference: weights {agreement.weights.max_abs:.1e}, bias {agreement.bias.max_abs:.1e}")
print(f"agrees: {agreement.agrees}")

# %% [markdown]
# ## 8. Reading digits
#
# What counts is the rows that training never saw. Accuracy asks whether the top class was right.
# Cross-entropy also asks how much probability the right class got, and it has a unit: with this model a
# label costs so many bits, while somebody who can only guess pays $\log_2 10 \approx 3.32$ bits. The
# difference is what an image is worth to the model.

# %%
scores = regression.logits(fit.params, x_test)
predicted = regression.predict(fit.params, x_test)
right = np.asarray(predicted == test.labels)
loss = losses.mean(losses.softmax_cross_entropy_with_integer_labels(scores, test.labels))
nats = float(loss)
bits, hartleys = nats / np.log(2), nats / np.log(10)

print(f"accuracy        {right.mean():.1%} of {len(right)} held-out images")
print(f"cross-entropy   {nats:.4f} nats = {bits:.4f} bits = {hartleys:.4f} hartleys per image")
print(f"guessing        {np.log2(num_classes):.4f} bits per image")
print(f"saved           {np.log2(num_classes) - bits:.4f} bits per image")

# %% [markdown]
# The model is a template per class. Ink on a red pixel raises the score of the class, ink on a blue
# one lowers it; pale pixels hardly matter.

# %%
fig, ax = plt.subplots(figsize=(9, 4))
plots.weight_images(fit.params.weights, classes=digits.classes, ax=ax)
plt.show()

# %%
fig, ax = plt.subplots(figsize=(5.6, 4.8))
plots.confusion_matrix(test.labels, predicted, classes=digits.classes, ax=ax)
plt.show()

# %% [markdown]
# The model also knows when it does not know. The entropy of a prediction is the surprise that the model
# *expects*, and cross-entropy is the surprise that it *gets*. `logits.entropy` takes the scores as they
# are.

# %%
uncertainty = np.asarray(logits.entropy(scores, base=2))
print(f"expected surprise, all images   {uncertainty.mean():.3f} bits")
print(f"actual surprise, all images     {bits:.3f} bits")
print(f"expected surprise where right   {uncertainty[right].mean():.3f} bits")
print(f"expected surprise where wrong   {uncertainty[~right].mean():.3f} bits")

# %% [markdown]
# In this model the penalty on the weights breeds modesty: on average it expects more surprise than it gets.
# Where it errs, it had doubts. Here are the six images of which it is least certain, with the probabilities
# that it gave. Would you have been sure?

# %%
hardest = np.argsort(-uncertainty)[:6]
probabilities = np.asarray(logits.probabilities(scores))

fig, axes = plt.subplots(2, 6, figsize=(11, 4.6), height_ratios=(1.1, 1), sharey="row")
for (picture, bars), i in zip(axes.T, hardest, strict=True):
    truth, guess = int(test.labels[i]), int(predicted[i])
    picture.imshow(x_test[i].reshape(8, 8), cmap="gray_r", vmin=0, vmax=1)
    picture.set_title(f"true {truth}, predicted {guess}\nentropy {uncertainty[i]:.2f} bits", fontsize=9)
    bare(picture)
    colors = [BLUE if k == truth else ORANGE for k in range(num_classes)]
    bars.bar(range(num_classes), probabilities[i], color=colors)
    bars.set(xlabel="class")
    bars.set_xticks(range(num_classes), digits.classes, fontsize=8)
axes[1, 0].set_ylabel("predicted probability")
fig.suptitle("The least certain predictions (blue: the true class)", fontsize=11)
plt.show()

# %% [markdown]
# That is the whole road: a surprise, its average, the price of a wrong expectation, one gradient, and a
# machine that reads. Three things to try from here:
#
# - divide `l2` by 10, by 100 and by 1000: accuracy hardly moves, but the model turns from modest to
#   overconfident, and then expects less surprise than it gets;
# - swap the optimizer: `import optax`, then
#   `regression.fit(..., optimizer=optax.adam(1e-2), batch_size=128, key=jax.random.key(2))`, and read what
#   the `ConvergenceWarning` says about the way that is left;
# - plant your own mistake in `wrong_sign` and see how small an error `closed_form.compare` still finds.
