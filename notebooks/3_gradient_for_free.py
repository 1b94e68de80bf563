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
# # The gradient for free
#
# A model that predicts probabilities is trained by making what happened less surprising. This notebook shows that
# this is maximum likelihood and the minimum of a cross-entropy at the same time, derives the gradient of a softmax
# regression by hand and by `jax.grad`, holds one against the other, and goes on to second derivatives. It ends where
# the formulas of the textbook return NaN.
#
# ```sh
# pip install ".[notebooks]"    # in a checkout of the repository
# ```

# %%
import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

from jxent import closed_form, data, logits, losses, plots, probs, regression

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
# ## 1. Likelihood and cross-entropy are one thing
#
# A model $q$ gives independent observations $y_1,\dots,y_N$ the **likelihood** $\prod_i q(y_i)$. Its logarithm,
# with the sign turned and divided by $N$, is
#
# $$-\frac1N \sum_{i} \log q(y_i) = -\sum_k \hat p_k \log q_k = H(\hat p, q),$$
#
# where $\hat p_k$ is the share of the observations that are $k$. The model that makes the data most likely is the one
# that is least surprised by them, and no model can get below the entropy of the shares themselves.

# %%
observed = jnp.asarray([0, 2, 2, 1, 0])
shares = jnp.bincount(observed, length=3) / observed.size
for name, q in {"a model": jnp.asarray([0.5, 0.2, 0.3]), "the shares": shares}.items():
    likelihood = jnp.prod(q[observed])
    print(
        f"{name:11} likelihood {likelihood:.6f}, −log/N {-jnp.log(likelihood) / observed.size:.6f} nats, "
        f"H(p̂, q) {probs.cross_entropy(shares, q):.6f} nats"
    )
print(f"H(p̂) {probs.entropy(shares):.6f} nats")

# %% [markdown]
# As a function of the *data* the likelihood sums to 1. As a function of the *model*, which is how it is read, it
# need not: a coin that showed heads 7 times in 10 throws has a likelihood over its bias $\theta$ whose area is $1/11$,
# not 1. Its shape is what counts, and the top is at the smallest cross-entropy.

# %%
theta = jnp.linspace(0, 1, 1001)
heads = 120 * theta**7 * (1 - theta) ** 3
cost = probs.binary_cross_entropy(jnp.asarray(0.7), theta)
print(f"area under the likelihood {jnp.trapezoid(heads, theta):.6f}, 1/11 = {1 / 11:.6f}")
print(f"largest likelihood at {theta[jnp.argmax(heads)]:.2f}, smallest cross-entropy at {theta[jnp.argmin(cost)]:.2f}")

fig, ax = plt.subplots(figsize=(6.4, 3.4))
ax.plot(theta, heads, color=BLUE, linewidth=2)
ax.set_xlabel("θ, probability of heads")
ax.set_ylabel("likelihood of 7 heads in 10", color=BLUE)
ax.set_ylim(bottom=0)
beside = ax.twinx()
beside.plot(theta, cost, color=ORANGE, linewidth=2)
beside.set_ylim(0, 3)
beside.set_ylabel("cross-entropy (nats a throw)", color=ORANGE)
beside.spines.right.set_visible(True)
ax.axvline(0.7, color=GREY, linestyle=":")
plt.show()

# %% [markdown]
# ## 2. Softmax regression
#
# A row of features $x$ gets a score for each class, $o = xW + b$, and the softmax makes probabilities of the scores,
# $\hat y = \mathrm{softmax}(o)$. The surprise at the label, averaged over the rows, is the objective. It is a
# composition of two functions of this package:

# %%
digits = data.digits()
train, test = data.split(digits, key=jax.random.key(0), test_fraction=0.2)
x, labels = jnp.asarray(train.x / train.scale), jnp.asarray(train.labels)
y = jax.nn.one_hot(labels, 10)


def objective(params, x, y):
    return losses.mean(losses.softmax_cross_entropy(x @ params.weights + params.bias, y))


params = regression.init(64, 10, key=jax.random.key(1))
print(f"{len(x)} handwritten digits of 8 × 8 pixels; at random weights {objective(params, x, y):.4f} nats a row")

# %% [markdown]
# `jax.grad` differentiates it. By hand: with $\log\hat y_k = o_k - \log\sum_j e^{o_j}$ and $\sum_k y_k = 1$,
#
# $$\ell = -\sum_k y_k \log \hat y_k = \log \sum_j e^{o_j} - \sum_k y_k o_k
# \qquad\Longrightarrow\qquad
# \frac{\partial \ell}{\partial o_k} = \frac{e^{o_k}}{\sum_j e^{o_j}} - y_k = \hat y_k - y_k ,$$
#
# what was predicted less what happened, and by the chain rule $\partial/\partial W = \frac1N X^\top(\hat Y - Y)$,
# and for $b$ the mean of the rows of $\hat Y - Y$.

# %%
row, target = jnp.asarray([2.0, 1.0, -1.0]), jnp.asarray([0.0, 1.0, 0.0])
print("jax.grad      ", np.round(jax.grad(losses.softmax_cross_entropy)(row, target), 6))
print("softmax(o) − y", np.round(logits.probabilities(row) - target, 6))


def by_hand(params, x, y):
    apart = logits.probabilities(x @ params.weights + params.bias) - y
    return regression.Params(x.T @ apart / len(x), jnp.mean(apart, axis=0))


automatic = jax.grad(objective)(params, x, y)
hand = by_hand(params, x, y)
largest = float(jnp.max(jnp.abs(hand.weights)))
fig, axes = plt.subplots(1, 3, figsize=(12, 3.4), width_ratios=(1, 1, 1.1))
for ax, (name, gradient) in zip(axes, {"jax.grad": automatic, "by hand": hand}.items(), strict=False):
    drawn = ax.imshow(gradient.weights.T, cmap="RdBu_r", vmin=-largest, vmax=largest, aspect="auto")
    ax.set(title=f"gradient in W, {name}", xlabel="pixel", ylabel="class")
fig.colorbar(drawn, ax=axes[1], label="nats per unit")
plots.gradient_agreement(automatic, hand, ax=axes[2])
plt.show()

# %% [markdown]
# On the right every one of the 650 entries stands with its difference: none is
# further off than a few roundings of the largest entry, and some are equal to the last bit. The white columns are
# pixels that are white in all images.
#
# Two gradients from one formula would prove little. `regression.compare_gradients` takes five that were not made from
# each other: `jax.grad` of the plain definition, without any rule of this package; `jax.grad` of two compositions of
# this package; the closed form; and the gradient that the solvers follow. A mistake in any one is named. Here is the
# most popular one, planted.

# %%
print(regression.compare_gradients(params, x, labels))


def wrong_sign(params, x, y):
    return jax.tree.map(jnp.negative, by_hand(params, x, y))


for name, gradient in {"by hand": by_hand, "wrong sign": wrong_sign}.items():
    result = closed_form.compare(objective, gradient, params, x, y)
    print(f"{name:10} largest difference {result.max_rel:.1e} of the largest entry, agrees: {result.agrees}")

# %% [markdown]
# ## 3. Second derivatives: one matrix with three names
#
# The **Jacobian** of the softmax is $\partial\hat y_i/\partial o_j = \hat y_i(\delta_{ij} - \hat y_j)$. The gradient of
# the cross-entropy is $\hat y - y$, and $y$ does not depend on $o$, so that its **Hessian** is the same matrix,
# $\mathrm{diag}(\hat y) - \hat y\hat y^\top$. And it is the **Fisher information**: the covariance of the gradient when
# the label is drawn from the model, and the second derivative of KL between the model and one beside it.

# %%
z, label = jnp.asarray([2.0, 1.0, 0.0, -1.0]), jax.nn.one_hot(1, 4)
prediction = logits.probabilities(z)
each = jax.vmap(jax.grad(losses.softmax_cross_entropy), (None, 0))(z, jnp.eye(4))  # the gradient for every label
found = {
    "Jacobian of the softmax": jax.jacfwd(logits.probabilities)(z),
    "the same by hand": closed_form.softmax_jacobian(z),
    "Hessian of the loss": jax.hessian(losses.softmax_cross_entropy)(z, label),
    "covariance of the gradient": jnp.einsum("k,ki,kj->ij", prediction, each, each),
    "Hessian of KL": jax.hessian(lambda other: logits.kl_divergence(z, other))(z),
    "logits.fisher_information": logits.fisher_information(z),
}
fig, axes = plt.subplots(1, 6, figsize=(13, 2.5))
for ax, (name, matrix) in zip(axes, found.items(), strict=True):
    drawn = ax.imshow(matrix, cmap="RdBu_r", vmin=-0.25, vmax=0.25)
    ax.set(title=name, xticks=[], yticks=[])
    ax.title.set_fontsize(9)
    apart = jnp.max(jnp.abs(matrix - found["logits.fisher_information"]))
    print(f"{name:28} differs by at most {apart:.1e}")
fig.colorbar(drawn, ax=axes, shrink=0.8)
plt.show()

# %% [markdown]
# It has no negative eigenvalue, whatever the label: the objective is convex, and every minimum is a global one. One
# eigenvalue is 0, because adding a number to all scores changes nothing. A step in the *natural* direction multiplies
# by the pseudo-inverse of this matrix, and goes straight where the gradient takes a bend.

# %%
print("eigenvalues", np.round(jnp.linalg.eigvalsh(found["Hessian of the loss"]), 6))
aim = jnp.asarray([0.1, 0.6, 0.2, 0.1])
plain = natural = z
for steps in range(4):
    print(
        f"{steps} steps: KL to the aim {probs.kl_divergence(aim, logits.probabilities(plain)):.2e} by the gradient, "
        f"{probs.kl_divergence(aim, logits.probabilities(natural)):.2e} by the natural gradient"
    )
    slope = jax.grad(lambda o: probs.cross_entropy(aim, logits.probabilities(o)))
    plain = plain - slope(plain)
    natural = natural - 0.7 * logits.natural_gradient(natural, slope(natural))

# %% [markdown]
# ## 4. Where the formulas of the textbook give NaN
#
# A confident model rounds a probability to 0: in single precision the softmax of $(0, -200)$ is exactly $(1, 0)$.
# The entropy is 0 there, because $x\log x \to 0$, but a computer multiplies 0 by $-\infty$. A guard for the *value*
# does not help the *gradient*, which still differentiates the branch that was not taken.


# %%
def plain_entropy(p):
    return -jnp.sum(p * jnp.log(p))


def guarded_entropy(p):
    return jnp.sum(jnp.where(p > 0, -p * jnp.log(p), 0.0))


z = jnp.asarray([0.0, -200.0])
for name, measure in {
    "−Σ p log p": plain_entropy,
    "the same, guarded": guarded_entropy,
    "probs.entropy": probs.entropy,
}.items():
    value, gradient = jax.value_and_grad(lambda z, measure=measure: measure(jax.nn.softmax(z)))(z)
    print(f"{name:18} value {value:5.1f} nats, gradient in the scores {gradient}")


def plain_kl(p, q):
    return jnp.sum(p * jnp.log(p / q))


p, q = jnp.asarray([0.5, 0.5, 0.0]), jnp.asarray([0.25, 0.5, 0.25])
print("\nKL(p‖q), where q expects what never happens, and KL(q‖p), where the impossible happens")
for name, measure in {"Σ p log(p/q)": plain_kl, "probs.kl_divergence": probs.kl_divergence}.items():
    print(f"{name:20}{measure(p, q):9.4f}{measure(q, p):9.4f}   gradient in q: {jax.grad(measure, argnums=1)(p, q)}")

# %% [markdown]
# One NaN is enough to ruin a step of training. (The two gradients differ by 1 elsewhere: the divergence is evaluated as
# $\sum p\log(p/q) - p + q$, never negative and flat at $p = q$; along the simplex a constant makes no difference.)
#
# Far out in the tail it is the value that is lost. A margin of 30 leaves $9.4\cdot10^{-14}$ nats, and the probability
# has long rounded to 1. So stay with the scores:

# %%
margin = jnp.linspace(0, 60, 241)
scores = jnp.stack([margin, jnp.zeros_like(margin)], axis=-1)
ways = {
    "losses.softmax_cross_entropy": (losses.softmax_cross_entropy(scores, jnp.asarray([[1.0, 0.0]])), BLUE, "-", 6),
    "−jax.nn.log_softmax(o)": (-jax.nn.log_softmax(scores)[:, 0], GREEN, "-", 3),
    "−log softmax(o)": (-jnp.log(jax.nn.softmax(scores)[:, 0]), ORANGE, "--", 2),
}
fig, ax = plt.subplots(figsize=(6.8, 3.6))
for name, (loss, colour, style, width) in ways.items():
    ax.plot(margin, np.where(loss > 0, loss, np.nan), style, color=colour, linewidth=width, label=name)
ax.set_yscale("log")
ax.set(
    xlabel="margin of the right class", ylabel="loss (nats)", title="In single precision; where a line ends, 0 follows"
)
ax.legend()
plt.show()
print(f"at 30: {ways['losses.softmax_cross_entropy'][0][120]:.4g}, log(1 + exp(−30)) = {np.log1p(np.exp(-30.0)):.4g}")

# %% [markdown]
# All of it is ready to be trained: `4_reading_digits`.
