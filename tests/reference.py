"""Slow, obvious definitions of one row in 150-digit arithmetic; imports nothing from jxent.

Inputs are the stored numbers, taken exactly. Divergences are in the form that is also right for
inputs whose sum is 1 only to rounding: Σ p·log(p/q) − p + q.
"""

import mpmath as mp

# 1 − p of a class with a margin of 100 has lost 44 digits: 50 would leave 6.
mp.mp.dps = 150
INF = mp.inf


def exact(row):
    """The stored numbers of a row as exact numbers."""
    return [mp.mpf(float(x)) for x in row]


def softmax(z):
    """Probabilities and log-probabilities of exact logits; −inf is probability zero."""
    finite = [x for x in z if x != -INF]
    if not finite:
        return [mp.nan] * len(z), [mp.nan] * len(z)
    top = max(finite)
    total = mp.fsum(mp.exp(x - top) for x in finite)
    log_p = [x - top - mp.log(total) if x != -INF else -INF for x in z]
    return [mp.exp(x) if x != -INF else mp.mpf(0) for x in log_p], log_p


def self_information(p):
    return [INF if x == 0 else -mp.log(x) for x in p]


def entropy(p):
    return mp.fsum(-x * mp.log(x) for x in p if x > 0)


def perplexity(p):
    return mp.exp(entropy(p))


def cross_entropy(p, q):
    if any(x > 0 and y == 0 for x, y in zip(p, q, strict=True)):
        return INF
    return mp.fsum(-x * mp.log(y) for x, y in zip(p, q, strict=True) if x > 0)


def kl_divergence(p, q):
    if any(x > 0 and y == 0 for x, y in zip(p, q, strict=True)):
        return INF
    return mp.fsum((x * mp.log(x / y) if x > 0 else 0) - x + y for x, y in zip(p, q, strict=True))


def jeffreys_divergence(p, q):
    return kl_divergence(p, q) + kl_divergence(q, p)


def jensen_shannon_divergence(p, q, weight=0.5):
    w = mp.mpf(float(weight))
    m = [w * x + (1 - w) * y for x, y in zip(p, q, strict=True)]
    of_p = kl_divergence(p, m) if w > 0 else mp.mpf(0)
    of_q = kl_divergence(q, m) if w < 1 else mp.mpf(0)
    return w * of_p + (1 - w) * of_q


def jensen_shannon_distance(p, q, weight=0.5):
    return mp.sqrt(jensen_shannon_divergence(p, q, weight))


def sigmoid(z):
    if z == INF:
        return mp.mpf(1)
    return mp.mpf(0) if z == -INF else 1 / (1 + mp.exp(-z))


def two(p):
    """Both outcomes of a Bernoulli variable."""
    return [p, 1 - p]


def two_from_logit(z):
    """Both outcomes from the log-odds of the first."""
    return [sigmoid(z), sigmoid(-z)]


def softmax_cross_entropy(z, t):
    _, log_p = softmax(z)
    if any(x > 0 and y == -INF for x, y in zip(t, log_p, strict=True)):
        return INF
    return mp.fsum(-x * y for x, y in zip(t, log_p, strict=True) if x != 0)


def softmax_cross_entropy_with_integer_labels(z, label):
    return -softmax(z)[1][int(label)]


def sigmoid_binary_cross_entropy(z, t):
    p, q = two_from_logit(z)
    parts = [(t, p), (1 - t, q)]
    if any(x != 0 and y == 0 for x, y in parts):
        return INF
    return mp.fsum(-x * mp.log(y) for x, y in parts if x != 0)


def l1_loss(prediction, target):
    return abs(prediction - target)


def l2_loss(prediction, target):
    return (prediction - target) ** 2 / 2


def huber_loss(prediction, target, delta=1.0):
    e, d = abs(prediction - target), mp.mpf(float(delta))
    return e**2 / 2 if e <= d else d * (e - d / 2)
