"""`python -m jxent evaluate`."""

import argparse
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jxent._cli import inputs, model, report
from jxent._cli.problems import UsageError
from jxent._cli.score import score
from jxent.data import Dataset


def run(args: argparse.Namespace) -> int:
    """Score a fitted model on data."""
    fitted = model.load(args.model)
    dataset, part = inputs.held_out(args)
    x = inputs.model_features(fitted, dataset)
    result = score(fitted.params, x, _labels(dataset, fitted.classes))
    if args.json:
        facts = {
            "model": args.model,
            "data": args.data,
            "part": part,
            "num_rows": len(x),
            "num_features": x.shape[1],
            "num_classes": len(fitted.classes),
            "scale": fitted.scale,
        }
        print(report.to_json(facts | result.metrics()))
        return 0
    what = inputs.noun(args.data)
    print(report.paragraph(f"The model in {args.model}, scored on {part} of {args.data}: {len(x)} {what}s").strip())
    print(report.units("entropy of the labels", result.label_entropy))
    print(result.text(what))
    return 0


def _labels(dataset: Dataset, classes: tuple[int | str, ...]) -> NDArray[Any]:
    """The labels as class ids of the model."""
    if dataset.labels.ndim == 2:
        if dataset.labels.shape[1] != len(classes):
            raise UsageError(
                f"--data: found distributions over {dataset.labels.shape[1]} classes, expected "
                f"{len(classes)} as the model was trained on"
            )
        return dataset.labels.astype(np.float32)
    # A file with no labels but 1 and 2 gives integers, while the model may hold them as strings.
    index = {str(label): i for i, label in enumerate(classes)}
    unknown = [label for label in dataset.classes if str(label) not in index]
    if unknown:
        raise UsageError(
            f"--data: found {_listed(unknown)}, which the model does not know; expected only {_listed(classes)}"
        )
    ids = np.array([index[str(label)] for label in dataset.classes], np.int32)
    return ids[dataset.labels]


def _listed(classes: list[int | str] | tuple[int | str, ...]) -> str:
    more = f" and {len(classes) - 10} more" if len(classes) > 10 else ""
    return f"the class{'es' if len(classes) > 1 else ''} {', '.join(map(repr, classes[:10]))}{more}"
