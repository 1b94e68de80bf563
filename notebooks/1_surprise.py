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
# # Surprise
#
# How much does it tell you that something happened? What was certain to happen tells nothing; what was rare tells a
# lot. This notebook makes a number of that, averages it, and finds the same average again as the length of the shortest
# code for a real text.
#
# ```sh
# pip install ".[notebooks]"    # in a checkout of the repository
# ```

# %%
import heapq
import itertools
import re
from collections import Counter
from pydoc_data.topics import topics

import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

from jxent import counts, plots, probs

BLUE, ORANGE, GREY = "#0072B2", "#D55E00", "#8C8C8C"
plt.rcParams.update(
    {
        "figure.constrained_layout.use": True,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "legend.frameon": False,
    }
)

# %% [markdown]
# ## 1. The surprise of one outcome
#
# The *self-information* of an outcome with probability $p$ is
#
# $$I(p) = -\log p .$$
#
# It is the only measure, up to a factor, that falls as $p$ grows and for which independent outcomes add up: their
# probabilities multiply, so their surprises have to be logarithms. The base of the logarithm is that factor, nothing
# but a unit: **bits** to base 2, **nats** to base $e$, **hartleys** to base 10. In `jxent` nats are the default, and
# `base=` asks for others, call by call.

# %%
events = {"certain": 1.0, "heads": 1 / 2, "a six": 1 / 6, "heads and a six": 1 / 12, "one in a million": 1e-6}

print(f"{'':18}{'p':>10}{'bits':>9}{'nats':>9}{'hartleys':>10}")
for name, p in events.items():
    bits, nats, hartleys = (float(probs.self_information(p, base=b)) for b in (2, None, 10))
    print(f"{name:18}{p:10.3g}{bits:9.3f}{nats:9.3f}{hartleys:10.3f}")

# %% [markdown]
# Heads and a six together surprise by $1 + 2.585$ bits. A certain outcome has surprise 0, an impossible one
# infinitely much: should it happen after all, no number would do.
#
# ## 2. Entropy: the surprise to expect
#
# Before it is known what happens, the surprise is a random number, and its mean is the **entropy**
#
# $$H(p) = \sum_k p_k\,(-\log p_k) .$$
#
# Impossible outcomes contribute nothing to it, $x \log x \to 0$ as $x \to 0$.

# %%
p = jnp.asarray([0.6, 0.1, 0.1, 0.1, 0.1])
print(f"probabilities times surprises, summed {jnp.sum(p * probs.self_information(p, base=10)):.5f} hartleys")
print(f"probs.entropy(p, base=10)             {probs.entropy(p, base=10):.5f} hartleys")
print(f"five outcomes that are equally likely {probs.entropy(jnp.full(5, 0.2), base=10):.5f} = log₁₀ 5")
print(f"one certain outcome and four others   {probs.entropy(jnp.eye(5)[0], base=10):.5f}")

# %% [markdown]
# With two outcomes it is a curve: 0 where one of them is certain, one bit in the middle. The two areas are what each of
# the two contributes. A rare outcome surprises much and seldom, a frequent one little and often; per outcome,
# $-p\log p$ is largest at $p = 1/e$.

# %%
fig, ax = plt.subplots(figsize=(6.4, 3.8))
plots.entropy_curve(base=2, mark=[0.1, 0.5], ax=ax)
plt.show()

# %% [markdown]
# ## 3. The letters of a real text
#
# Python carries its own language reference, hundreds of thousands of characters of English by people who meant to be
# precise. Let a letter or a space be the outcome: 27 of them, everything else in the text counts as a space.

# %%
text = re.sub("[^a-z]+", " ", " ".join(topics.values()).lower())
alphabet = " abcdefghijklmnopqrstuvwxyz"
letters = np.asarray([alphabet.index(letter) for letter in text])
observed = counts.from_labels(letters, 27)
p = np.asarray(observed, np.float64) / len(letters)
print(f"{len(letters):,} characters, beginning {text[:60]!r}")

order = np.argsort(-p)
fig, ax = plt.subplots(figsize=(8, 3.6))
shown = ["␣" if alphabet[k] == " " else alphabet[k] for k in order]
ax.bar(shown, p[order], color=BLUE)
ax.set(xlabel="letter", ylabel="share of the text")
beside = ax.twinx()
beside.plot(shown, probs.self_information(p[order], base=2), "o", color=ORANGE)
beside.set_ylabel("surprise (bits)", color=ORANGE)
beside.spines.right.set_visible(True)
beside.set_ylim(bottom=0)
plt.show()

single = float(counts.entropy(observed, base=2))
print(f"entropy of a letter {single:.3f} bits; of 27 equally likely ones {np.log2(27):.3f}")
error = float(counts.entropy_moments(observed, method="nsb", base=2)[1])
print(f"the letters are so many that their number hardly matters: NSB gives it a deviation of {error:.4f} bits")

# %% [markdown]
# ## 4. Entropy is the length of a code
#
# Give every letter a word of zeros and ones, short words to frequent letters, no word the beginning of
# another. Huffman's construction gives the code with the smallest mean length: it joins the two rarest letters to one,
# again and again.


# %%
def huffman(weights):
    """The word of every symbol, as a dictionary."""
    ties = itertools.count()
    heap = [(w, next(ties), {symbol: ""}) for symbol, w in weights.items() if w > 0]
    heapq.heapify(heap)
    while len(heap) > 1:
        (a, _, one), (b, _, other) = heapq.heappop(heap), heapq.heappop(heap)
        joined = {s: "0" + word for s, word in one.items()} | {s: "1" + word for s, word in other.items()}
        heapq.heappush(heap, (a + b, next(ties), joined))
    return heap[0][2]


def decode(bits, code):
    """Read words from the left; no word begins another, so that there is one way to do it."""
    letter_of = {word: letter for letter, word in code.items()}
    letters, word = [], ""
    for bit in bits:
        word += bit
        if word in letter_of:
            letters.append(letter_of[word])
            word = ""
    return "".join(letters)


code = huffman(Counter(text))
message = "".join(code[letter] for letter in text)
print(f"decoded, it is the text again: {decode(message, code) == text}")
for letter in " etqz":
    chance = p[alphabet.index(letter)]
    word, surprise = code[letter], float(probs.self_information(chance, base=2))
    print(f"{letter!r}  share {chance:.4f}  surprise {surprise:6.3f} bits  word {word}")
print(f"\nthe whole text: {len(message) / len(text):.4f} bits a letter; entropy {single:.4f}")

# %% [markdown]
# The text was encoded, decoded and found unchanged, at a cost a little above the entropy. Shannon's theorem says
# that it had to be so: no such code has a mean length below $H$, and the best one stays below $H + 1$. A word has to
# be as long as its letter surprises, $-\log_2 p$, and the only waste is that words have whole numbers of bits:

# %%
lengths = np.asarray([len(code[letter]) for letter in alphabet])
surprise = np.asarray(probs.self_information(p, base=2))
fig, ax = plt.subplots(figsize=(5.2, 4))
ends = [0, surprise.max() + 1]
ax.plot(ends, ends, color=GREY, linewidth=1, label="length = surprise")
ax.plot(surprise, lengths, "o", color=BLUE, label="27 letters")
ax.set(xlabel="surprise (bits)", ylabel="length of the word (bits)", xlim=ends, ylim=ends)
ax.legend()
plt.show()

# %% [markdown]
# Where all probabilities are powers of two there is no waste at all.

# %%
halves = {"a": 1 / 2, "b": 1 / 4, "c": 1 / 8, "d": 1 / 8}
words = huffman(halves)
print(words)
print(
    f"mean length {sum(w * len(words[s]) for s, w in halves.items())} bits, "
    f"entropy {probs.entropy(list(halves.values()), base=2)} bits"
)

# %% [markdown]
# ## 5. What the letters before tell
#
# A code for single letters ignores that `u` follows `q`. The entropy of a letter *given* the one before,
# $H(X_2 \mid X_1) = H(X_1, X_2) - H(X_1)$, is smaller: a table of pairs has it, and the difference is the information
# that a letter holds about the next. The more letters before are looked at the better the guess, but the more cells
# there are to fill: of the 19 683 triples few occur often, and the plain share of each makes the text look more certain
# than it is. An estimator for counts says how much of that is an illusion; in a text as long as this one, little.

# %%
pairs = counts.from_labels(np.stack([letters[:-1], letters[1:]], axis=-1), (27, 27))
joint = np.asarray(pairs, np.float64) / pairs.sum()
print(f"H(letter)                  {probs.entropy(p, base=2):.3f} bits")
print(f"H(letter | one before)     {probs.conditional_entropy(joint, base=2):.3f} bits")
print(f"I(letter; one before)      {probs.mutual_information(joint, base=2):.3f} bits")

triples = counts.from_labels(np.stack([letters[:-2], letters[1:-1], letters[2:]], axis=-1), (27, 27, 27)).ravel()
for method in ("plugin", "miller_madow", "grassberger_2003", "nsb"):
    of_three, of_two = (counts.entropy(n, method=method, base=2) for n in (triples, pairs.ravel()))
    print(f"H(letter | two before)     {of_three - of_two:.3f} bits by {method}")

# %% [markdown]
# A Huffman code for *pairs* of letters takes part of that profit: one word for two letters, and half the waste of whole
# bits for each. Blocks of three gain again.

# %%
for size in (1, 2, 3):
    blocks = [text[i : i + size] for i in range(0, len(text) - size + 1, size)]
    block_code = huffman(Counter(blocks))
    spent = sum(len(block_code[block]) for block in blocks) / (size * len(blocks))
    least = float(counts.entropy(np.asarray(list(Counter(blocks).values())), base=2)) / size
    print(f"blocks of {size}: {spent:.3f} bits a letter, entropy {least:.3f}, {len(block_code):5d} words")

# %% [markdown]
# Shannon found about one bit a letter for English with everything that a reader knows. What happens when the
# code was made for another text is the subject of the next notebook, `2_two_distributions`.
