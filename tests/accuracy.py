"""Worst relative errors on adversarial rows: `python -m tests.accuracy` prints them as a table.

Each family of rows is hard in its own way. Every row is evaluated alone, so that a fast path which
would be refused for a batch is not saved by its neighbours.
"""

import jax
import jax.numpy as jnp
import numpy as np

from tests import reference as ref
from tests.table import BY_NAME, TABLE, Trait

FAMILIES = ("random", "nearly equal, 1e-4", "nearly equal, 1e-6", "one dominates", "saturated", "1000 equal", "sparse")


def _probs(family, rng, dtype):
    """A pair of distributions as stored in the dtype."""
    k = 1000 if family == "1000 equal" else int(rng.choice([2, 7, 100, 1000]))
    logits = rng.normal(size=k) * (8.0 if family == "saturated" else 1.5)
    other = rng.normal(size=k) * (8.0 if family == "saturated" else 1.5)
    if family == "1000 equal":
        logits, other = np.zeros(k), 1e-3 * np.arange(k)
    p, q = (np.exp(z - z.max()) for z in (logits, other))
    if family.startswith("nearly equal"):
        q = p * (1 + float(family.split()[-1]) * rng.normal(size=k))
    if family == "one dominates":
        p, q = 1e-6 * p, 1e-6 * q
        p[0], q[rng.integers(2)] = 1.0, 1.0
    if family == "sparse":
        p *= rng.random(k) < 0.3
        p[0] = 1.0
    return tuple((x / x.sum()).astype(dtype) for x in (p, q))


def _logits(family, rng, dtype):
    """A pair of rows of logits as stored in the dtype."""
    k = 1000 if family == "1000 equal" else int(rng.choice([2, 7, 100, 1000]))
    a, b = rng.normal(size=(2, k)) * (20.0 if family == "saturated" else 1.5)
    if family == "1000 equal":
        a, b = np.zeros(k), 1e-3 * np.arange(k)
    if family.startswith("nearly equal"):
        b = a + float(family.split()[-1]) * rng.normal(size=k)
    if family == "one dominates":
        a[0] += 30.0
        b[rng.integers(2)] += 25.0
    if family == "sparse":
        a = np.where(rng.random(k) < 0.7, -np.inf, a)
        a[0] = 0.0
    return a.astype(dtype), b.astype(dtype)


def _unit(family, rng, dtype):
    """A pair of arrays of Bernoulli probabilities."""
    p, q = rng.random((2, 8))
    if family.startswith("nearly equal"):
        q = p * (1 + float(family.split()[-1]) * rng.normal(size=8))
    if family == "one dominates":
        p, q = 1 - 1e-6 * p, 1e-6 * q
    if family == "saturated":
        p, q = p**40, q**40
    return np.clip(p, 0, 1).astype(dtype), np.clip(q, 0, 1).astype(dtype)


def _table(entry, family, rng, dtype):
    """A joint table whose cells are those of a row of the family: 2 variables, or 3 of 2 values each."""
    make = _logits if "logits" in entry.kind else _probs
    cells = make(family, rng, dtype)[0]
    if entry.kind.endswith("three"):
        return (np.resize(cells, 8).reshape(2, 2, 2) if make is _logits else _whole(cells, 8, (2, 2, 2), dtype),)
    rows = 2 if cells.size < 20 else 10
    n = max(rows, cells.size // rows * rows)
    shape = (rows, n // rows)
    return (np.resize(cells, n).reshape(shape) if make is _logits else _whole(cells, n, shape, dtype),)


def _whole(cells, n, shape, dtype):
    """So many of the cells, with sum 1 again."""
    some = np.resize(cells, n).astype(float)
    return (some / some.sum()).reshape(shape).astype(dtype)


def inputs(entry, family, rng, dtype):
    """One case of a function."""
    kind = entry.kind
    if entry.joint:
        return _table(entry, family, rng, dtype)
    if kind.endswith("bernoulli"):
        pair = _unit(family, rng, dtype)
    elif kind.endswith("probs"):
        pair = _probs(family, rng, dtype)
    elif kind == "predictions and targets":
        pair = tuple(rng.normal(size=(2, 8)).astype(dtype))
    else:
        pair = _logits(family, rng, dtype)
        if kind == "logits and targets":
            pair = (pair[0], _probs("one dominates" if family == "one dominates" else "random", rng, dtype)[0])
            pair = tuple(np.resize(x, min(map(len, pair))) for x in pair)
            if family == "sparse":
                pair = (np.where(np.isinf(pair[0]), -100, pair[0]).astype(dtype), pair[1])
        if kind == "logits and labels":
            return pair[0], np.int32(np.argmax(pair[0]))
        if kind == "logits and outcomes":
            return np.where(np.isinf(pair[0]), -100, pair[0]).astype(dtype), rng.integers(0, 2, len(pair[0])).astype(
                dtype
            )
    return pair[: entry.arity]


def padded(entry, case):
    """The case with impossible classes behind it, up to one size: a program is compiled once for all families."""
    if entry.kind.endswith(("three", "bernoulli", "outcomes", "predictions and targets")) or "binary" in entry.kind:
        return case
    size = (10, 100) if entry.joint else (1000,)
    result = []
    for position, x in enumerate(case):
        nothing = -np.inf if "logits" in entry.kind and not (position and "targets" in entry.kind) else 0.0
        widths = [(0, n - m) for n, m in zip(size, x.shape, strict=False)]
        result.append(np.pad(x, widths, constant_values=nothing) if x.ndim else x)
    return tuple(result)


def relative_error(found, expected, dtype):
    """Largest error of the entries relative to each; what lies below the smallest normal number counts as 0."""
    worst = 0.0
    for f, e in zip(np.ravel(found), expected, strict=True):
        if abs(e) < float(np.finfo(dtype).tiny) or e == f:
            continue
        worst = max(worst, float(abs((ref.mp.mpf(float(f)) - e) / e)))
    return worst


def table_error(entry, value, exact, case, dtype):
    """The error in units of which the contract's bound is allowed: I for an information of 1, √I for a small one.

    Of a signed measure relative to the total correlation or the entropy, its largest term.
    """
    bound, eps = 4e-6 if np.dtype(dtype) == np.float32 else 4e-15, float(np.finfo(dtype).eps)
    scale = abs(float(exact))
    if Trait.SIGNED in entry.traits:
        scale = max(scale, _joint_entropy(entry, case))
    # Margins are rounded: δ = log(q/P) errs by up to 4 eps, and Σ P·δ²/2 with it, also where I is 0. The
    # normalised form has both divided by a mean entropy, at least half the joint one.
    unit = 0.5 * _joint_entropy(entry, case) if Trait.QUOTIENT in entry.traits else 1.0
    if unit == 0:  # all in one cell: there is nothing to be informed of
        return 0.0 if float(value) == float(exact) else np.inf
    allowed = bound * scale + 4 * eps * (scale / unit) ** 0.5 + 8 * eps**2 / unit
    return abs(float(value) - float(exact)) / allowed * bound


def _joint_entropy(entry, case):
    return float(BY_NAME[entry.name.split(".")[0] + ".joint_entropy"].public(case[0]))


def worst(entry, dtype, rounds=2):
    """The largest relative error of a function in each family of rows."""
    rng = np.random.default_rng(7)
    found = {}
    for family in FAMILIES:
        errors = []
        for _ in range(rounds):
            case = inputs(entry, family, rng, np.dtype(dtype))
            value = np.asarray(entry.function(*(jnp.asarray(x) for x in padded(entry, case))))
            if entry.elementwise:
                value = value[: case[0].size]
            exact = entry.reference(*(int(x) if x.ndim == 0 else ref.exact(x) for x in case))
            exact = exact if isinstance(exact, list) else [exact]
            if entry.joint:
                errors.append(table_error(entry, value, exact[0], case, dtype))
            else:
                errors.append(relative_error(value, exact, dtype))
        found[family] = max(errors)
    return found


def table(rounds=4):
    """The table as Markdown, in units of the contract's bound."""
    lines = ["| function | float32 | bound | float64 | bound | hardest rows |", "|---|---|---|---|---|---|"]
    for entry in TABLE:
        cells = []
        for dtype, bound in (("float32", "4e-06"), ("float64", "4e-15")):
            with jax.enable_x64(dtype == "float64"):
                found = worst(entry, dtype, rounds)
            family = max(found, key=found.get)
            cells += [f"{found[family]:.1e}", bound]
        lines.append(f"| {entry.name} | " + " | ".join(cells) + f" | {family} |")
    return "\n".join(lines)


if __name__ == "__main__":
    print(table())  # noqa: T201
