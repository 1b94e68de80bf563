"""Predicted probabilities and labels, for tests of calibration."""

import functools

import numpy as np


@functools.cache
def predictions(count=200, classes=4, seed=0):
    rng = np.random.default_rng(seed)
    logits = 2 * rng.normal(size=(count, classes))
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    labels = np.array([rng.choice(classes, p=0.7 * row + 0.3 / classes) for row in p])
    return p, labels, rng.uniform(0.1, 2.0, size=count)
