"""Scores of the predictions of a model, in nats and bits."""

from typing import Any, NamedTuple

import jax
import numpy as np
from numpy.typing import NDArray

from jxent import losses, probs, regression
from jxent._cli import inputs, report
from jxent.regression import Params


class Score(NamedTuple):
    """Means over the rows, in nats; `labels` and `predictions` are class ids `[N]`."""

    cross_entropy: float
    label_entropy: float
    num_classes: int
    labels: NDArray[Any]
    predictions: NDArray[Any]

    @property
    def accuracy(self) -> float:
        """Share of rows whose most probable class is right."""
        return float(np.mean(self.labels == self.predictions))

    @property
    def saved_against_guessing(self) -> float:
        """Bits per row below log2 K."""
        return float(np.log2(self.num_classes)) - self.cross_entropy / report.LOG2

    @property
    def saved_against_frequencies(self) -> float:
        """Bits per row below the entropy of the labels: an estimate of a lower bound on I(features; label)."""
        return (self.label_entropy - self.cross_entropy) / report.LOG2

    def metrics(self) -> dict[str, Any]:
        """The numbers by their keys in JSON."""
        return {
            "label_entropy_bits": self.label_entropy / report.LOG2,
            "cross_entropy_nats": self.cross_entropy,
            "cross_entropy_bits": self.cross_entropy / report.LOG2,
            "cross_entropy_hartleys": self.cross_entropy / report.LOG10,
            "accuracy": self.accuracy,
            "bits_saved_against_guessing": self.saved_against_guessing,
            "bits_saved_against_frequencies": self.saved_against_frequencies,
        }

    def text(self, what: str) -> str:
        """The numbers as text for a reader; `what` is the word for one row."""
        right = int(np.sum(self.labels == self.predictions))
        return "\n".join(
            [
                report.units("cross-entropy", self.cross_entropy),
                f"  {'accuracy':<30}{100 * self.accuracy:>9.2f} %  ({right} of {len(self.labels)})",
                report.saved(self.saved_against_guessing, what, f"guessing among {self.num_classes}"),
                report.saved(self.saved_against_frequencies, what, "knowing the class frequencies"),
            ]
        )


def score(params: Params, x: Any, labels: NDArray[Any]) -> Score:
    """Score predictions against class ids `[N]` or distributions `[N, K]`, whose largest entry counts as right."""
    classes = params.bias.shape[0]
    rows, predictions = zip(
        *(_scored(params, x[part], labels[part]) for part in inputs.parts(len(labels))), strict=True
    )
    return Score(
        cross_entropy=float(np.mean(np.concatenate(rows), dtype=np.float64)),
        label_entropy=label_entropy(labels, classes),
        num_classes=classes,
        labels=labels if labels.ndim == 1 else np.argmax(labels, axis=1),
        predictions=np.concatenate(predictions),
    )


def _scored(params: Params, x: NDArray[Any], labels: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """The losses and the predictions of a part of the rows."""
    logits = regression.logits(params, x)
    rows = (
        losses.softmax_cross_entropy_with_integer_labels(logits, labels)
        if labels.ndim == 1
        else losses.softmax_cross_entropy(logits, labels)
    )
    return np.asarray(rows), np.argmax(np.asarray(logits), axis=1)


def label_entropy(labels: NDArray[Any], num_classes: int) -> float:
    """Entropy of the class frequencies, or of the mean distribution, in nats."""
    counts = np.bincount(labels, minlength=num_classes) if labels.ndim == 1 else labels.sum(0, np.float64)
    with jax.enable_x64(True):  # noqa: FBT003
        return float(probs.entropy(counts / counts.sum()))
