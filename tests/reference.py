"""Slow, obvious definitions of one row in 150-digit arithmetic; imports nothing from jxent.

Inputs are the stored numbers, taken exactly. Divergences are in the form that is also right for
inputs whose sum is 1 only to rounding: Σ p·log(p/q) − p + q.
"""

import itertools

import mpmath as mp
import numpy as np

# 1 − p of a class with a margin of 100 has lost 44 digits: 50 would leave 6.
mp.mp.dps = 150
INF = mp.inf


def exact(row):
    """The stored numbers of a row, or of a table, as exact numbers."""
    return [exact(x) if np.ndim(x) else mp.mpf(float(x)) for x in row]


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


def renyi_entropy(p, alpha):
    support = [x for x in p if x > 0]
    if alpha == INF:
        return -mp.log(max(support))
    a = mp.mpf(float(alpha))
    if abs(a - 1) < mp.mpf(1) / 32:
        return mp.log1p((1 - a) * tsallis_entropy(p, alpha)) / (1 - a) if a != 1 else entropy(p)
    return mp.log(mp.fsum(x**a for x in support)) / (1 - a)


def tsallis_entropy(p, order):
    """Near order 1 what the mass lacks to 1 is multiplied by (a − 1)·32² instead of 1/(a − 1)."""
    support = [x for x in p if x > 0]
    if order == INF:
        return mp.mpf(0)
    a = mp.mpf(float(order))
    lack = 1 - mp.fsum(support)
    if a == 1:
        return entropy(p)
    if abs(a - 1) < mp.mpf(1) / 32:
        return mp.fsum(x - x**a for x in support) / (a - 1) + lack * (a - 1) * 32**2
    return (1 - mp.fsum(x**a for x in support)) / (a - 1)


def noiseless(x):
    """0 for what is left of equal rows after 150 digits have cancelled."""
    return x if abs(x) > mp.mpf(10) ** -140 else mp.mpf(0)


def power_sum(p, q, a):
    """Σ p^a q^(1−a), with the conventions of the boundary."""
    if a >= 1 and any(x > 0 and y == 0 for x, y in zip(p, q, strict=True)):
        return INF
    return mp.fsum(x**a * y ** (1 - a) for x, y in zip(p, q, strict=True) if x > 0 and y > 0)


def renyi_divergence(p, q, alpha):
    """In the form that is right for inputs whose sum is 1 only to rounding, as long as 1 − S is above ½."""
    if alpha == INF:
        ratios = [x / y if y > 0 else INF for x, y in zip(p, q, strict=True) if x > 0]
        return INF if max(ratios) == INF else max(mp.log(max(ratios)), mp.mpf(0))
    a = mp.mpf(float(alpha))
    if a == 1:
        return kl_divergence(p, q)
    z = power_sum(p, q, a)
    if z == INF or z == 0:
        return INF
    s = noiseless(mp.fsum(a * x + (1 - a) * y for x, y in zip(p, q, strict=True)) - z)
    return mp.log1p(-s) / (a - 1) if s <= 0.5 else mp.log(z) / (a - 1)


def alpha_divergence(p, q, alpha):
    alpha = mp.mpf(float(alpha))
    b, c = (1 - alpha) / 2, (1 + alpha) / 2
    if c == 0:
        return kl_divergence(p, q)
    if b == 0:
        return kl_divergence(q, p)
    total = mp.mpf(0)
    for x, y in zip(p, q, strict=True):
        if (x == 0 < y and b <= 0) or (y == 0 < x and c <= 0):
            return INF
        power = x**b * y**c if x > 0 and y > 0 else 0
        total += (b * x + c * y - power) / (b * c)
    return noiseless(total)


def total_variation(p, q):
    return mp.fsum(abs(x - y) for x, y in zip(p, q, strict=True)) / 2


def triangular_discrimination(p, q):
    return mp.fsum((x - y) ** 2 / (x + y) for x, y in zip(p, q, strict=True) if x + y > 0)


def hellinger_distance(p, q):
    return mp.sqrt(mp.fsum((mp.sqrt(x) - mp.sqrt(y)) ** 2 for x, y in zip(p, q, strict=True)) / 2)


def chi_squared_divergence(p, q):
    if any(x > 0 and y == 0 for x, y in zip(p, q, strict=True)):
        return INF
    return mp.fsum((x - y) ** 2 / y for x, y in zip(p, q, strict=True) if y > 0)


def bhattacharyya_distance(p, q):
    return renyi_divergence(p, q, 0.5) / 2


def f_divergence(p, q, generator, at_zero=0):
    """For a generator with a finite limit at 0 and an infinite slope at ∞."""
    total = mp.mpf(0)
    for x, y in zip(p, q, strict=True):
        if x > 0 and y == 0:
            return INF
        total += y * (generator(x / y) if x > 0 else at_zero) if y > 0 else 0
    return total


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


def focal_loss(z, t, gamma=2.0):
    p, q = two_from_logit(z)
    cross_entropy = sigmoid_binary_cross_entropy(z, t)
    return cross_entropy if cross_entropy == INF else (p * (1 - t) + q * t) ** mp.mpf(float(gamma)) * cross_entropy


def kl_divergence_loss(z, t):
    return kl_divergence(t, softmax(z)[0])


def l1_loss(prediction, target):
    return abs(prediction - target)


def l2_loss(prediction, target):
    return (prediction - target) ** 2 / 2


def softmax_focal_loss(z, t, gamma=2.0):
    log_p = softmax(z)[1]
    if any(x > 0 and y == -INF for x, y in zip(t, log_p, strict=True)):
        return INF
    return mp.fsum(-x * (-mp.expm1(y)) ** gamma * y for x, y in zip(t, log_p, strict=True) if x > 0)


def softmax_focal_loss_with_integer_labels(z, label, gamma=2.0):
    return softmax_focal_loss(z, [mp.mpf(i == label) for i in range(len(z))], gamma)


def pseudo_huber_loss(prediction, target, delta=1.0):
    d = mp.mpf(float(delta))
    return d**2 * (mp.sqrt(1 + ((prediction - target) / d) ** 2) - 1)


def huber_loss(prediction, target, delta=1.0):
    e, d = abs(prediction - target), mp.mpf(float(delta))
    return e**2 / 2 if e <= d else d * (e - d / 2)


# Joint tables: nested lists of exact numbers, one level for each variable.


def of_table(measure):
    """A reference that takes a table as an array of exact numbers."""
    return lambda table: measure(np.array(table, dtype=object))


def margin(t, *keep):
    """The sum over all variables but these, whose axes stay with size 1."""
    others = tuple(a for a in range(t.ndim) if a not in keep)
    return t.sum(axis=others, keepdims=True) if others else t


def plogp(t, ratio):
    """Σ P·log(ratio) over the cells that are not empty."""
    t, ratio = np.broadcast_arrays(t, ratio)
    return mp.fsum(p * mp.log(r) for p, r in zip(t.ravel(), ratio.ravel(), strict=True) if p > 0)


def over(top, bottom):
    """top/bottom, 1 where both are 0."""
    top, bottom = np.broadcast_arrays(top, bottom)
    flat = [x / y if y else mp.mpf(1) for x, y in zip(top.ravel(), bottom.ravel(), strict=True)]
    return np.array(flat, dtype=object).reshape(top.shape)


def joint_entropy(t):
    return -plogp(t, t)


def table_mutual_information(t):
    product = margin(t, 0) * margin(t, 1)
    return noiseless(plogp(t, over(t, product)) - t.sum() + product.sum())


def table_conditional_entropy(t):
    """H(second | first)."""
    return plogp(t, over(margin(t, 0), t))


def variation_of_information(t):
    return plogp(t, over(margin(t, 0), t)) + plogp(t, over(margin(t, 1), t))


def conditional_information(t, x, y, given):
    """I(x; y | given) of single variables and a tuple of them, the others summed away."""
    joint, z = margin(t, x, y, *given), margin(t, *given)
    return plogp(joint, over(joint * z, margin(t, x, *given) * margin(t, y, *given)))


def total_correlation(t):
    product = margin(t, 0)
    for i in range(1, t.ndim):
        product = product * margin(t, i)
    return plogp(t, over(t, product)) - t.sum() + product.sum()


def dual_total_correlation(t):
    """Σᵢ I(Xᵢ; the later | the earlier), whose first term, not being conditional, has the mass in it."""
    result = mp.mpf(0)
    for i in range(t.ndim - 1):
        earlier = tuple(range(i))
        without = tuple(j for j in range(t.ndim) if j != i)
        product = margin(t, *earlier, i) * margin(t, *without)
        if not earlier:
            result += plogp(t, over(t, product)) - t.sum() + product.sum()
        else:
            result += plogp(t, over(t * margin(t, *earlier), product))
    return result


def o_information(t):
    return total_correlation(t) - dual_total_correlation(t)


def co_information(t):
    rest = range(2, t.ndim)
    result = mp.mpf(0)
    for size in range(t.ndim - 1):
        for given in itertools.combinations(rest, size):
            part = conditional_information(t, 0, 1, given)
            if not given:
                joint, product = margin(t, 0, 1), margin(t, 0) * margin(t, 1)
                part = plogp(joint, over(joint, product)) - joint.sum() + product.sum()
            result += (-1) ** size * part
    return result


def interaction_information(t):
    return (-1) ** t.ndim * co_information(t)


def normalized_mutual_information(t):
    scale = (joint_entropy(margin(t, 0)) + joint_entropy(margin(t, 1))) / 2
    return table_mutual_information(t) / scale if scale else mp.mpf(0)
