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
# # Reading digits
#
# A softmax regression learns to read handwritten digits: trained with optax, looked at as images, asked about what
# confuses it, and priced in bits. Then the question that accuracy does not answer: are its probabilities worth
# believing?
#
# ```sh
# pip install ".[notebooks]"    # in a checkout of the repository
# ```

# %%
import warnings

import jax
import matplotlib.pyplot as plt
import numpy as np
import optax

from jxent import calibration, data, logits, losses, plots, probs, regression

BLUE, ORANGE, GREEN, GREY = "#0072B2", "#D55E00", "#009E73", "#8C8C8C"
plt.rcParams.update(
    {
        "figure.constrained_layout.use": True,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "legend.frameon": False,
    }
)


def bare(ax):
    """An image needs no ticks, only a thin frame that shows where it ends."""
    ax.set(xticks=[], yticks=[])
    ax.spines[:].set(visible=True, color="#BBBBBB", linewidth=0.8)


# %% [markdown]
# ## 1. The data
#
# 1797 images of 8 × 8 pixels, which come with scikit-learn. A key decides which half is held out, for good: the same
# key always decides alike. Grey values from 0 to 16 are divided by 16, their `scale`.

# %%
digits = data.digits()
train, test = data.split(digits, key=jax.random.key(0), test_fraction=0.5)
x, x_test = train.x / train.scale, test.x / test.scale
print(f"{len(x)} images to learn from, {len(x_test)} held out, {x.shape[1]} pixels, {len(digits.classes)} classes")

fig, axes = plt.subplots(1, 10, figsize=(10, 1.4))
for ax, image, label in zip(axes, x, train.labels, strict=False):
    ax.imshow(image.reshape(8, 8), cmap="gray_r", vmin=0, vmax=1)
    ax.set_title(digits.classes[label], fontsize=10)
    bare(ax)
plt.show()

# %% [markdown]
# ## 2. Training
#
# At zero weights every class has the same probability, and every label costs $\log 10 \approx 2.303$ nats. From
# there any optax optimizer leads down; here Adam, in minibatches of 128 that a key draws. The loop is one compiled
# program. Adam does not know when it has arrived, so the `ConvergenceWarning` at the last step is expected: the
# history says how far it is. The default, L-BFGS, does know.

# %%
options = {"l2": 1e-3, "num_classes": 10}
with warnings.catch_warnings():
    warnings.simplefilter("ignore", regression.ConvergenceWarning)
    adam = regression.fit(
        x, train.labels, optimizer=optax.adam(2e-2), batch_size=128, key=jax.random.key(1), max_steps=300, **options
    )
fit = regression.fit(x, train.labels, **options)
for name, found in {"Adam": adam, "L-BFGS": fit}.items():
    print(
        f"{name:7} {int(found.num_steps):3d} steps, objective "
        f"{regression.objective(found.params, x, train.labels, l2=options['l2']):.4f} nats, "
        f"largest gradient entry {found.grad_norm:.1e}, converged: {bool(found.converged)}"
    )

fig, axes = plt.subplots(1, 2, figsize=(10, 3.4), sharey=True)
for ax, (name, found) in zip(axes, {"Adam, one batch a step": adam, "L-BFGS, all images": fit}.items(), strict=True):
    plots.loss_history(found.history, ax=ax)
    ax.axhline(np.log(10), color=GREY, linestyle=":", label="log 10, a fair guess")
    ax.set_title(name)
axes[1].legend()
plt.show()

# %% [markdown]
# ## 3. What it has learned
#
# The model is a template for each class, and its score is the sum of the ink on it. Ink on red speaks for the class,
# ink on blue against it. The middle of the nought is blue: ink there makes it anything else.

# %%
fig, ax = plt.subplots(figsize=(9, 4))
plots.weight_images(fit.params.weights, classes=digits.classes, ax=ax)
plt.show()

# %% [markdown]
# ## 4. What an image is worth
#
# Only images that training did not see count. Accuracy asks whether the most probable class was right; cross-entropy
# asks how much probability the right class got, in bits: what a label costs after the image was looked at. Someone
# who only guesses pays $\log_2 10$. The difference is what an image is worth to the model. As the ten digits are about
# equally frequent, it is an estimate of a lower bound on the information that images hold about labels.

# %%
scores = regression.logits(fit.params, x_test)
predicted = np.asarray(regression.predict(fit.params, x_test))
right = predicted == test.labels
surprise = np.asarray(losses.softmax_cross_entropy_with_integer_labels(scores, test.labels)) / np.log(2)
print(f"accuracy      {right.mean():.1%} of {len(right)} held-out images")
print(f"cross-entropy {surprise.mean():.4f} bits a label, guessing {np.log2(10):.4f}")
print(f"an image is worth {np.log2(10) - surprise.mean():.4f} bits")

fig, ax = plt.subplots(figsize=(5.6, 4.8))
plots.confusion_matrix(test.labels, predicted, classes=digits.classes, ax=ax)
plt.show()

# %% [markdown]
# The images whose labels surprised it most, and the probabilities that it gave:

# %%
worst = np.argsort(-surprise)[:6]
probabilities = np.asarray(logits.probabilities(scores))
fig, axes = plt.subplots(2, 6, figsize=(11, 4.4), height_ratios=(1.1, 1), sharey="row")
for (picture, bars), i in zip(axes.T, worst, strict=True):
    truth = int(test.labels[i])
    picture.imshow(x_test[i].reshape(8, 8), cmap="gray_r", vmin=0, vmax=1)
    picture.set_title(f"a {truth}, read as {predicted[i]}\n{surprise[i]:.1f} bits", fontsize=9)
    bare(picture)
    bars.bar(range(10), probabilities[i], color=[BLUE if k == truth else ORANGE for k in range(10)])
    bars.set_xticks(range(10), digits.classes, fontsize=8)
    bars.set_xlabel("class")
axes[1, 0].set_ylabel("probability (blue: true)")
plt.show()

# %% [markdown]
# ## 5. Does it know when it does not know?
#
# The entropy of a prediction is the surprise that the model *expects*; the cross-entropy is the surprise that it
# *gets*. If the two are equal on average, it is neither vain nor modest. Two things decide: a strong penalty keeps
# the weights small and the model modest; few images and hardly any penalty leave it certain of everything, because
# everything that it has seen can be told apart.

# %%
cases = {
    "all images, l2 = 3e-2": (899, 3e-2),
    "all images, l2 = 1e-3": (899, 1e-3),
    "200 images, l2 = 1e-6": (200, 1e-6),
}
found = {
    name: regression.fit(x[:n], train.labels[:n], l2=l2, num_classes=10, max_steps=3000)
    for name, (n, l2) in cases.items()
}
print(f"{'':24}{'accuracy':>9}{'expects':>9}{'gets':>8}  bits")
for name, one in found.items():
    o = regression.logits(one.params, x_test)
    expected = float(losses.mean(logits.entropy(o, base=2)))
    got = float(losses.mean(losses.softmax_cross_entropy_with_integer_labels(o, test.labels))) / np.log(2)
    hits = np.mean(np.asarray(regression.predict(one.params, x_test)) == test.labels)
    print(f"{name:24}{hits:9.1%}{expected:9.3f}{got:8.3f}")

fig, axes = plt.subplots(1, 3, figsize=(13, 4), sharey=True)
for ax, (name, one) in zip(axes, found.items(), strict=True):
    p = regression.predict_proba(one.params, x_test)
    plots.reliability_diagram(p, test.labels, num_bins=6, ax=ax)
    ax.set_title(f"{name}\n{ax.get_title()}", fontsize=10)
plt.show()

# %% [markdown]
# Points above the diagonal are modest: right more often than they claim. Points below are vain. In bins that few images
# reach, the intervals are wide, and nothing follows from them.
#
# ## 6. One number mends it: temperature
#
# Dividing all scores by one temperature changes no decision and all confidence. `fit_temperature` finds the one with
# the smallest cross-entropy; half of the held-out images choose it and the other half judge it.

# %%
chosen_by, judged_by = np.arange(len(x_test)) % 2 == 0, np.arange(len(x_test)) % 2 == 1
vain = found["200 images, l2 = 1e-6"]
o = regression.logits(vain.params, x_test)
temperature = calibration.fit_temperature(o[chosen_by], test.labels[chosen_by])
print(f"temperature {temperature:.3f}: above 1 makes modest")

fig, axes = plt.subplots(1, 2, figsize=(9, 4), sharey=True)
for ax, (name, t) in zip(axes, {"before": 1.0, "after": temperature}.items(), strict=True):
    p = logits.probabilities(o[judged_by] / t)
    y = test.labels[judged_by]
    nats = float(calibration.negative_log_likelihood(p, y))
    brier = float(calibration.brier_score(p, y))
    print(f"{name:7} {nats / np.log(2):.4f} bits a label, Brier score {brier:.4f}")
    plots.reliability_diagram(p, y, num_bins=6, ax=ax)
    ax.set_title(f"{name}: {ax.get_title()[0].lower()}{ax.get_title()[1:]}", fontsize=10)
plt.show()

# %% [markdown]
# A label has become cheaper and no decision has changed. The calibration error, with so few images in all bins but
# the last, does not see it, and even rises a little: it is a coarse measure, and not the one that was minimised.
#
# The mean of several vain models is less vain than they are on average: where they disagree, the mixture has more
# entropy than its members on average, by exactly the Jensen–Shannon divergence between them, the information that a
# label drawn from a member would hold about which member it was. On average it is larger on images that are read
# wrongly.

# %%
members = []
for seed in range(5):
    rows = np.random.default_rng(seed).integers(0, 200, 200)  # as many images, drawn with replacement
    member = regression.fit(x[rows], train.labels[rows], l2=1e-6, num_classes=10, max_steps=3000)
    members.append(np.asarray(regression.predict_proba(member.params, x_test)))
members = np.stack(members)
mixture = members.mean(axis=0)
disagreement = np.asarray(probs.entropy(mixture, base=2)) - np.asarray(probs.entropy(members, base=2)).mean(axis=0)
wrong = mixture.argmax(axis=1) != test.labels
each = [float(calibration.negative_log_likelihood(p, test.labels)) / np.log(2) for p in members]
together = float(calibration.negative_log_likelihood(mixture, test.labels)) / np.log(2)
expected = float(np.mean(probs.entropy(members, base=2))), float(np.mean(probs.entropy(mixture, base=2)))
print(f"surprise that they expect {expected[0]:.3f} bits on average, their mixture {expected[1]:.3f}")
print(f"surprise that they get: each {min(each):.3f} to {max(each):.3f} bits a label, their mixture {together:.3f}")
print(f"disagreement {disagreement[~wrong].mean():.3f} bits where right, {disagreement[wrong].mean():.3f} where wrong")

# %% [markdown]
# What can be known about the digit from single pixels, before any model, is the subject of `5_information_in_data`.
