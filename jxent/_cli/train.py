"""`python -m jxent train`."""

import argparse
import math
import sys
import time
import warnings
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from numpy.typing import NDArray

from jxent import data, regression
from jxent._cli import inputs, model, pictures, report, store
from jxent._cli.problems import UsageError, bad_input
from jxent._cli.score import Score, label_entropy, score
from jxent.regression import Fit, GradientAgreement, Params

Say = Callable[[str], None]


class _Task(NamedTuple):
    """Features in float32, labels as class ids `[N]` or distributions `[N, K]`, and how to fit them."""

    x: NDArray[Any]
    labels: NDArray[Any]
    x_test: NDArray[Any]
    labels_test: NDArray[Any]
    classes: tuple[int | str, ...]
    scale: float
    own_test_part: bool
    l2: float


def run(args: argparse.Namespace) -> int:
    """Fit a model, tell the story and write the files."""
    target = store.check_folder(args.out, force=args.force)
    say: Say = _silent if args.json else _say
    task = _prepare(args)
    metrics = _data(args, task, say) | _before(task, say) | _gradients(args, task, say)
    fit, report_of_fit = _fit(args, task, say)
    train = score(fit.params, task.x, task.labels)
    test = score(fit.params, task.x_test, task.labels_test)
    metrics |= report_of_fit
    metrics |= {"train_cross_entropy_nats": train.cross_entropy, "train_accuracy": train.accuracy}
    metrics |= {f"test_{key}": value for key, value in test.metrics().items()}
    say("\nHeld-out rows")
    say(report.units("entropy of the labels", test.label_entropy))
    say(test.text(inputs.noun(args.data)))
    names = _write(target, task, fit, test, metrics)
    if args.json:
        files = {name: str(target / name) for name in names}
        print(report.to_json(metrics | {"out": str(target), "files": files}))
    say(f"\nFiles in {args.out}")
    say(report.paragraph(", ".join(names)))
    if store.PICTURES[0] not in names:
        say('  No pictures: they need matplotlib, pip install "jxent[plots]"')
    return 0


def _say(text: str) -> None:
    print(text, flush=True)


def _silent(text: str) -> None:
    del text


def _prepare(args: argparse.Namespace) -> _Task:
    whole, test = inputs.read(args)
    if len(whole.classes) < 2:
        raise UsageError("--data: found one class only, expected at least two")
    train, held_out = whole, test
    if held_out is None:
        with bad_input():
            train, held_out = data.split(whole, key=jax.random.key(args.seed), test_fraction=args.test_fraction)
    return _Task(
        inputs.features(train.x, whole.scale),
        _as_computed(train.labels),
        inputs.features(held_out.x, whole.scale),
        _as_computed(held_out.labels),
        whole.classes,
        whole.scale,
        own_test_part=test is not None,
        l2=1 / len(train.x) if args.l2 is None else args.l2,
    )


def _as_computed(labels: NDArray[Any]) -> NDArray[Any]:
    return labels if labels.ndim == 1 else labels.astype(np.float32)


def _data(args: argparse.Namespace, task: _Task, say: Say) -> dict[str, Any]:
    n, d = len(task.x), task.x.shape[-1]
    k = len(task.classes)
    origin = "the test part of the data" if task.own_test_part else f"drawn at random, seed {args.seed}"
    say(f"Data: {args.data}")
    say(f"  {n} training rows and {len(task.x_test)} held out ({origin})")
    say(f"  {d} features, divided by {task.scale:g}; {k} classes")
    return {
        "data": args.data,
        "seed": args.seed,
        "own_test_part": task.own_test_part,
        "num_train": n,
        "num_test": len(task.x_test),
        "num_features": d,
        "num_classes": k,
        "scale": task.scale,
    }


def _before(task: _Task, say: Say) -> dict[str, Any]:
    """What the labels alone say, and what a model costs that has learned nothing."""
    k = len(task.classes)
    zeros = regression.init(task.x.shape[1], k, dtype=np.float32)
    initial = score(zeros, task.x, task.labels).cross_entropy
    entropy = label_entropy(task.labels, k)
    say("\nBefore training")
    say(report.units("entropy of the labels", entropy))
    say(report.units(f"log K, guessing among {k}", math.log(k)))
    say(report.units("cross-entropy, zero weights", initial))
    return {
        "label_entropy_nats": entropy,
        "label_entropy_bits": entropy / report.LOG2,
        "log_num_classes_nats": math.log(k),
        "initial_cross_entropy_nats": initial,
    }


def _gradients(args: argparse.Namespace, task: _Task, say: Say) -> dict[str, Any]:
    """Autodiff against the closed form, at random weights: at zero weights the softmax is constant."""
    d, k = task.x.shape[1], len(task.classes)
    drawn = regression.init(d, k, key=jax.random.key(args.seed), dtype=np.float32)
    # Scores stay near 1, where no probability underflows and every term of the gradient counts.
    size = np.float32(math.sqrt(d) * max(float(np.max(np.abs(task.x))), 1e-30))
    found = regression.compare_gradients(Params(drawn.weights / size, drawn.bias), task.x, task.labels, l2=task.l2)
    say("\nGradient: autodiff against the closed form, at random weights")
    say(f"  {'':<12}{'largest difference':>20}{'relative':>14}")
    for name, part in (("weights", found.weights), ("bias", found.bias)):
        say(f"  {name:<12}{part.max_abs:>20.2e}{part.max_rel:>14.2e}")
    say(report.paragraph(_verdict(found)))
    return {
        "gradient_weights_max_abs": found.weights.max_abs,
        "gradient_weights_max_rel": found.weights.max_rel,
        "gradient_bias_max_abs": found.bias.max_abs,
        "gradient_bias_max_rel": found.bias.max_rel,
        "gradient_agrees": found.agrees,
    }


def _verdict(found: GradientAgreement) -> str:
    if found.agrees:
        return "They agree: rounding explains the difference."
    return f"They do not agree; the odd one out is {', '.join(found.disagreeing) or 'not clear'}."


def _fit(args: argparse.Namespace, task: _Task, say: Say) -> tuple[Fit, dict[str, Any]]:
    tolerance = 1e-6 if args.tolerance is None else args.tolerance
    bar = not (args.json or args.no_progress) and sys.stderr.isatty() and find_spec("tqdm") is not None
    say("\nTraining by L-BFGS")
    say(f"  l2 {task.l2:.4g}, at most {args.max_steps} steps, tolerance {tolerance:g}")
    started = time.perf_counter()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", regression.ConvergenceWarning)
        fit = regression.fit(
            task.x,
            task.labels,
            num_classes=len(task.classes),
            l2=task.l2,
            max_steps=args.max_steps,
            tolerance=tolerance,
            progress=bar,
        )
    seconds = time.perf_counter() - started
    for warning in caught:
        report.warn(str(warning.message).removeprefix("fit(): "))
    steps, norm, converged = int(fit.num_steps), float(fit.grad_norm), bool(fit.converged)
    say(f"  {steps} steps in {seconds:.1f} s, {'converged' if converged else 'not converged'}")
    say(f"  largest gradient entry {norm:.2e} nats")
    say(f"  objective {float(fit.history[0]):.4f} nats before, {float(fit.history[-1]):.4f} after")
    return fit, {
        "l2": task.l2,
        "max_steps": args.max_steps,
        "tolerance": tolerance,
        "num_steps": steps,
        "converged": converged,
        "grad_norm": norm,
        "objective_nats": float(fit.history[-1]),
        "fit_seconds": seconds,
    }


def _write(target: Path, task: _Task, fit: Fit, test: Score, metrics: dict[str, Any]) -> list[str]:
    """All files or none; their names."""
    with store.written_folder(target) as folder:
        model.save(folder, model.Model(fit.params, task.classes, task.scale))
        (folder / store.METRICS).write_text(report.to_json(metrics) + "\n", encoding="utf-8")
        names = [store.PARAMS, store.METRICS]
        return names + pictures.draw(folder, fit, task.classes, test)
