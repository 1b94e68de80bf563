"""`python -m jxent train`."""

import argparse
import contextlib
import math
import re
import sys
import time
import warnings
from collections.abc import Callable, Generator
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple, cast

import jax
import numpy as np
import optax
from numpy.typing import NDArray

from jxent import data, regression
from jxent._cli import compilation, inputs, model, parsers, pictures, report, store
from jxent._cli.problems import UsageError, bad_input
from jxent._cli.score import Score, label_entropy, score
from jxent.data._lazy import LazyRows
from jxent.regression import Fit, GradientAgreement, Params

Say = Callable[[str], None]


class _Task(NamedTuple):
    """Features in float32, labels as class ids `[N]` or distributions `[N, K]`, and how to fit them."""

    x: Any
    labels: NDArray[Any]
    x_test: Any
    labels_test: NDArray[Any]
    classes: tuple[int | str, ...]
    scale: float
    own_test_part: bool
    l2: float


def run(args: argparse.Namespace) -> int:
    """Fit a model, report each step and write the files."""
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
    dataset, test = inputs.read(args)
    if len(dataset.classes) < 2:
        raise UsageError("--data: found one class only, expected at least two")
    train, held_out = dataset, test
    if held_out is None:
        with bad_input():
            train, held_out = data.split(dataset, key=jax.random.key(args.seed), test_fraction=args.test_fraction)
    return _Task(
        inputs.features(train.x, dataset.scale),
        _as_computed(train.labels),
        inputs.features(held_out.x, dataset.scale),
        _as_computed(held_out.labels),
        dataset.classes,
        dataset.scale,
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
    """The entropy of the labels, and the cross-entropy of a model with zero weights."""
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
    """Compare autodiff with the closed form, at random weights: at zero weights the softmax is constant."""
    d, k = task.x.shape[1], len(task.classes)
    drawn = regression.init(d, k, key=jax.random.key(args.seed), dtype=np.float32)
    x, labels = task.x[: inputs.AT_A_TIME], task.labels[: inputs.AT_A_TIME]
    # Scores stay near 1, where no probability underflows and every term of the gradient counts.
    size = np.float32(math.sqrt(d) * max(float(np.max(np.abs(x))), 1e-30))
    agreement = regression.compare_gradients(Params(drawn.weights / size, drawn.bias), x, labels, l2=task.l2)
    say("\nGradient: autodiff against the closed form, at random weights")
    say(f"  {'':<12}{'largest difference':>20}{'relative':>14}")
    for name, part in (("weights", agreement.weights), ("bias", agreement.bias)):
        say(f"  {name:<12}{part.max_abs:>20.2e}{part.max_rel:>14.2e}")
    say(report.paragraph(_verdict(agreement)))
    return {
        "gradient_weights_max_abs": agreement.weights.max_abs,
        "gradient_weights_max_rel": agreement.weights.max_rel,
        "gradient_bias_max_abs": agreement.bias.max_abs,
        "gradient_bias_max_rel": agreement.bias.max_rel,
        "gradient_agrees": agreement.agrees,
    }


def _verdict(agreement: GradientAgreement) -> str:
    if agreement.agrees:
        return "They agree: rounding explains the difference."
    return f"They do not agree; the odd one out is {', '.join(agreement.disagreeing) or 'not clear'}."


class _Chosen(NamedTuple):
    """A penalty, and the metrics of the cross-validation that chose it."""

    l2: float
    metrics: dict[str, Any]


def _choose(args: argparse.Namespace, task: _Task, say: Say) -> _Chosen:
    """The penalty of `--l2` or its default, or the penalty that cross-validation picks from a path."""
    if args.path is None and args.cv is None:
        return _Chosen(task.l2, {"path_l2": None, "path_scores_nats": None, "folds": None})
    if args.l2 is not None:
        raise UsageError("--l2: found beside --path or --cv, which choose it; give one of them")
    if isinstance(task.x, LazyRows):
        raise UsageError("--path: found with npy:, whose features stay on the disk; give the penalty with --l2")
    folds = args.cv or 5
    l2s = args.path or parsers.penalties("25")
    say(f"\nPenalties, by cross-validation with {folds} folds")
    with _warned(), bad_input():
        path = regression.fit_path(
            task.x, task.labels, l2s, folds=folds, key=jax.random.key(args.seed), num_classes=len(task.classes)
        )
    scores = [float(row.mean()) for row in np.asarray(path.scores, np.float64)]
    best = int(cast("Any", path.best))
    shown = np.unique(np.linspace(0, len(l2s) - 1, min(len(l2s), 10)).astype(int))
    for i in sorted({*shown.tolist(), best}):
        mark = "  chosen" if i == best else ""
        say(f"  l2 {l2s[i]:<12.4g}held-out cross-entropy {scores[i]:>9.4f} nats{mark}")
    return _Chosen(l2s[best], {"path_l2": l2s, "path_scores_nats": scores, "folds": folds})


@contextlib.contextmanager
def _warned() -> Generator[None]:
    """Print the warnings of a fit as lines on stderr."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", regression.ConvergenceWarning)
        warnings.simplefilter("always", regression.CheckpointWarning)
        yield
    for warning in caught:
        report.warn(re.sub(r"^fit(_path)?\(\): ", "", str(warning.message)))


def _fit(args: argparse.Namespace, task: _Task, say: Say) -> tuple[Fit, dict[str, Any]]:
    tolerance = 1e-6 if args.tolerance is None else args.tolerance
    bar = not (args.json or args.no_progress) and sys.stderr.isatty() and find_spec("tqdm") is not None
    chosen = _choose(args, task, say)
    say(f"\nTraining by {_NAMES[args.optimizer]}")
    say(f"  l2 {chosen.l2:.4g}, at most {args.max_steps} steps, tolerance {tolerance:g}")
    started = time.perf_counter()
    with _warned(), _bad_fit(), compilation.timed() as compiling:
        fit = regression.fit(
            task.x,
            task.labels,
            num_classes=len(task.classes),
            optimizer=_optimizer(args),
            l2=chosen.l2,
            max_steps=args.max_steps,
            tolerance=args.tolerance,
            batch_size=args.batch_size,
            key=None if args.batch_size is None else jax.random.key(args.seed),
            mesh=_mesh(args),
            checkpoint=args.checkpoint,
            checkpoint_every=args.checkpoint_every,
            progress=bar,
        )
    seconds = time.perf_counter() - started
    steps, norm, converged = int(fit.num_steps), float(fit.grad_norm), bool(fit.converged)
    say(f"  {steps} steps in {max(seconds - compiling.total, 0.0):.2f} s, after {compiling.total:.1f} s of compiling")
    say(f"  {'converged' if converged else 'not converged'}")
    say(f"  largest gradient entry {norm:.2e} nats")
    say(f"  objective {float(fit.history[0]):.4f} nats before, {float(fit.history[-1]):.4f} after")
    return fit, {
        "l2": chosen.l2,
        "optimizer": args.optimizer,
        "learning_rate": _rate(args),
        "batch_size": args.batch_size,
        **chosen.metrics,
        "mesh": args.mesh,
        "max_steps": args.max_steps,
        "tolerance": tolerance,
        "num_steps": steps,
        "converged": converged,
        "grad_norm": norm,
        "objective_nats": float(fit.history[-1]),
        "fit_seconds": seconds,
        "compile_seconds": compiling.total,
    }


_NAMES = {"lbfgs": "L-BFGS", "newton": "Newton's method", "adam": "Adam", "sgd": "gradient descent"}


def _rate(args: argparse.Namespace) -> float | None:
    if args.optimizer in ("lbfgs", "newton"):
        for name in ("learning_rate", "batch_size"):
            if getattr(args, name) is not None:
                raise UsageError(
                    f"--{name.replace('_', '-')}: found with {args.optimizer}, expected with adam or sgd only"
                )
        return None
    return 0.01 if args.learning_rate is None else args.learning_rate


def _optimizer(args: argparse.Namespace) -> Any:
    rate = _rate(args)
    return args.optimizer if rate is None else getattr(optax, args.optimizer)(rate)


def _mesh(args: argparse.Namespace) -> Any:
    if args.mesh is None:
        return None
    needed, devices = math.prod(args.mesh.values()), jax.devices()
    if needed > len(devices):
        raise UsageError(
            f"--mesh: found {needed} devices asked for, expected at most {len(devices)}, which this machine has"
        )
    return jax.sharding.Mesh(np.asarray(devices[:needed]).reshape(tuple(args.mesh.values())), tuple(args.mesh))


@contextlib.contextmanager
def _bad_fit() -> Generator[None]:
    """Turn an error of a fit about its data, its checkpoints or its devices into a `UsageError`."""
    try:
        yield
    except (ValueError, ImportError) as error:
        raise UsageError(str(error).removeprefix("fit(): ")) from error


def _write(target: Path, task: _Task, fit: Fit, test: Score, metrics: dict[str, Any]) -> list[str]:
    """Write all files or none; return their names."""
    with store.written_folder(target) as folder:
        model.save(folder, model.Model(fit.params, task.classes, task.scale))
        (folder / store.METRICS).write_text(report.to_json(metrics) + "\n", encoding="utf-8")
        names = [store.PARAMS, store.METRICS]
        return names + pictures.draw(folder, fit, task.classes, test)
