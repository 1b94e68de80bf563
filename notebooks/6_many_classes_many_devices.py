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
# # A million classes, many devices
#
# The functions of the other notebooks do not change when the problem grows; how they are called does. Here: a
# cross-entropy over a million classes that never holds its logits, with the memory measured; the same functions on
# arrays that are spread over several devices, which a laptop can simulate; and hundreds of fits at the price of a
# few.
#
# ```sh
# pip install ".[notebooks]"    # in a checkout of the repository
# ```

# %%
import time

import jax

# Eight devices out of one processor; it has to be said before JAX is used.
jax.config.update("jax_num_cpu_devices", 8)

import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P

from jxent import data, linear, losses, plots, probs, regression

BLUE, ORANGE, GREY = "#0072B2", "#D55E00", "#8C8C8C"
plt.rcParams.update(
    {
        "figure.constrained_layout.use": True,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "legend.frameon": False,
    }
)
print(f"{len(jax.devices('cpu'))} simulated devices")

# %% [markdown]
# ## 1. A million classes
#
# A language model, or a catalogue of products, has features $x$ `[N, D]` and a row of weights for each of $V$
# classes, `[V, D]`. Its logits, $xW^\top$, are $N\cdot V$ numbers that are looked at once and forgotten; they and
# their gradient are what memory goes to. `linear.softmax_cross_entropy` forms them in blocks of classes, twice, so
# that what it needs does not grow with $V$. The compiler says what either needs beside its arguments and results:


# %%
def materialised(x, w, labels):
    return losses.mean(losses.softmax_cross_entropy_with_integer_labels(x @ w.T, labels))


def in_blocks(x, w, labels):
    return losses.mean(linear.softmax_cross_entropy(x, w, labels))


def temporary(loss, n, d, v):
    """Bytes of a compiled loss with its gradient in x and w, of shapes alone: nothing is run."""
    shapes = (
        jax.ShapeDtypeStruct((n, d), jnp.float32),
        jax.ShapeDtypeStruct((v, d), jnp.float32),
        jax.ShapeDtypeStruct((n,), jnp.int32),
    )
    step = jax.jit(jax.value_and_grad(loss, argnums=(0, 1)))
    return step.lower(*shapes).compile().memory_analysis().temp_size_in_bytes


n, d = 512, 64
sizes = (10_000, 100_000, 1_000_000)
needed = {
    "logits held": [temporary(materialised, n, d, v) for v in sizes],
    "in blocks": [temporary(in_blocks, n, d, v) for v in sizes],
}
fig, ax = plt.subplots(figsize=(6.4, 3.8))
for (name, of), colour in zip(needed.items(), (ORANGE, BLUE), strict=True):
    ax.loglog(sizes, of, "o-", color=colour, label=name)
ax.loglog(sizes, [4 * v * d for v in sizes], ":", color=GREY, label="the weights themselves")
ax.set(xlabel="classes V", ylabel="temporary memory (bytes)", title=f"loss and gradient, {n} rows of {d} features")
ax.legend()
plt.show()
print(f"at a million: {needed['logits held'][-1] / 1e9:.2f} GB against {needed['in blocks'][-1] / 1e9:.3f} GB")

# %% [markdown]
# So a step with a million classes runs where its logits would not fit. (Of fewer classes,
# `linear.mean_softmax_cross_entropy` is the same mean and forms each block only once, with its gradient.)

# %%
rows = 64
x = jax.random.normal(jax.random.key(0), (rows, d))
w = 0.3 * jax.random.normal(jax.random.key(1), (1_000_000, d))
labels = jax.random.randint(jax.random.key(2), (rows,), 0, len(w))
step = jax.jit(jax.value_and_grad(in_blocks, argnums=(0, 1)))
loss, (in_x, in_w) = jax.block_until_ready(step(x, w, labels))
started = time.perf_counter()
jax.block_until_ready(step(x, w, labels))
seconds = time.perf_counter() - started

own = np.asarray(w, np.float64) @ np.asarray(x[0], np.float64)
by_numpy = np.log(np.sum(np.exp(own))) - own[int(labels[0])]
of_row = linear.softmax_cross_entropy(x[:1], w, labels[:1])[0]
print(f"loss {loss:.4f} nats, guessing costs log V = {np.log(len(w)):.4f}; {seconds:.2f} s a step")
print(f"its first row {of_row:.6f}, in float64 by numpy {by_numpy:.6f}")

# %% [markdown]
# ## 2. The classes over several devices
#
# Where even the weights are too many for one device, each holds some classes. Inside `jax.shard_map`, `axis_name`
# says along which axis of the mesh; labels stay what they are, ids of all classes. Loss and gradient take three
# reductions over the devices, whatever the number of classes.

# %%
mesh = jax.make_mesh((8,), ("classes",), devices=jax.devices("cpu"), axis_types=(AxisType.Auto,))
spread = jax.shard_map(
    lambda x, w, labels: linear.softmax_cross_entropy(x, w, labels, axis_name="classes"),
    mesh=mesh,
    in_specs=(P(), P("classes", None), P()),
    out_specs=P(),
)
some = w[:80_000]
ids = labels % len(some)
w_spread = jax.device_put(some, NamedSharding(mesh, P("classes", None)))
together = jax.value_and_grad(lambda w: jnp.mean(linear.softmax_cross_entropy(x, w, ids)))
shared = jax.jit(jax.value_and_grad(lambda w: jnp.mean(spread(x, w, ids))))
(one, one_slope), (many, many_slope) = together(some), shared(w_spread)
print(f"on one device {one:.6f} nats, over eight {many:.6f}")
print(f"largest difference of the gradients {jnp.max(jnp.abs(one_slope - np.asarray(many_slope))):.1e}")
print(f"each device holds {w_spread.addressable_shards[0].data.shape} of the weights {w_spread.shape}")

# %% [markdown]
# Measures need no axis name at all: they work on arrays that are spread over a mesh, by rows, by categories or by
# both, and so does a whole fit.

# %%
both = jax.make_mesh((4, 2), ("rows", "classes"), devices=jax.devices("cpu"), axis_types=(AxisType.Auto,) * 2)
p = jax.nn.softmax(jax.random.normal(jax.random.key(3), (4000, 1000)))
q = jax.nn.softmax(jax.random.normal(jax.random.key(4), (4000, 1000)))
at = NamedSharding(both, P("rows", "classes"))
alone = probs.kl_divergence(p, q)
there = probs.kl_divergence(jax.device_put(p, at), jax.device_put(q, at))
print(f"KL of 4000 rows: largest difference {np.max(np.abs(alone - np.asarray(there))):.1e} nats")

digits = data.digits()
pixels = digits.x / digits.scale
one = regression.fit(pixels, digits.labels, l2=1e-2)
many = regression.fit(pixels, digits.labels, l2=1e-2, mesh=both)
apart = np.max(np.abs(np.asarray(one.params.weights) - np.asarray(many.params.weights)))
print(f"a fit: largest difference of the weights {apart:.1e}, of {np.max(np.abs(one.params.weights)):.2f}")

# %% [markdown]
# ## 3. A thousand fits in one call
#
# How strong should the penalty be? `regression.fit_path` solves all of them together, each step a few large products
# for the whole group, and with `folds` all parts of a cross-validation, too.

# %%
l2s = np.logspace(-5, 0, 100)
started = time.perf_counter()
path = regression.fit_path(pixels, digits.labels, l2s, folds=10, key=jax.random.key(5))
jax.block_until_ready(path)
print(f"{path.num_steps.size} fits in {time.perf_counter() - started:.1f} s, compilation included")
print(f"all converged: {bool(jnp.all(path.converged))}; best penalty {l2s[int(path.best)]:.2e}")

whole = regression.fit_path(pixels, digits.labels, l2s)
fig, axes = plt.subplots(1, 2, figsize=(11, 4))
plots.regularisation_path(l2s, path, ax=axes[0])
plots.regularisation_path(l2s, whole, ax=axes[1])
plt.show()

# %% [markdown]
# On the left the price of both mistakes: to the right the model may not say what it knows, to the left it believes
# accidents. On the right the weights themselves, shrinking to 0.
#
# The result has a leading axis for the penalties, so that anything that works for one set of parameters works for
# all of them under `jax.vmap`:

# %%
odd = np.arange(len(pixels)) % 2 == 1
halves = regression.fit_path(pixels[~odd], digits.labels[~odd], l2s)
held_out = jax.vmap(lambda params: regression.objective(params, pixels[odd], digits.labels[odd]))(halves.params)
trained = jax.vmap(lambda params: regression.objective(params, pixels[~odd], digits.labels[~odd]))(halves.params)
modesty = jax.vmap(lambda params: jnp.mean(probs.entropy(regression.predict_proba(params, pixels[odd]))))(halves.params)

fig, ax = plt.subplots(figsize=(6.8, 3.8))
ax.semilogx(l2s, held_out, color=BLUE, linewidth=2, label="surprise on images not seen")
ax.semilogx(l2s, trained, "--", color=BLUE, label="surprise on those it learned from")
ax.semilogx(l2s, modesty, color=ORANGE, linewidth=2, label="surprise it expects: mean entropy")
ax.set(xlabel="penalty l2", ylabel="nats an image", ylim=(0, 1))
ax.legend()
plt.show()

# %% [markdown]
# Where the solid lines cross, the model expects as much surprise as it gets.
