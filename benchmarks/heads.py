"""Measures of linear heads with their gradients: time and temporary memory beside the form that holds the logits.

`python -m benchmarks.heads` measures N = 1024, D = 256, V = 16384; `--dtype bfloat16` for operands of that dtype.
"""

import argparse
import statistics
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from benchmarks.__main__ import versions
from benchmarks.linear import Size, products
from benchmarks.timing import interleaved, ratio
from jxent import linear, logits

ON_CPU, ON_ACCELERATOR = Size(1024, 256, 16384), Size(16384, 4096, 128256, "bfloat16")


def with_gradient(function: Callable[..., Any], moving: Sequence[int]) -> Callable[..., Any]:
    """The results, and their gradient in some of the arguments for the cotangents that come first."""

    def of(cotangents: Any, *args: Any) -> Any:
        def along(*parts: Any) -> Any:
            new = dict(zip(moving, parts, strict=True))
            return function(*(new.get(i, a) for i, a in enumerate(args)))

        results, pull = jax.vjp(along, *(args[i] for i in moving))
        return results, pull(jax.tree.map(lambda a: jnp.broadcast_to(cotangents, a.shape), results))

    return of


def held(x: Any, w: Any) -> Any:
    """Logits that are held."""
    return jnp.einsum("nd,vd->nv", x, w, preferred_element_type=jnp.promote_types(x.dtype, jnp.float32))


def plain_score(x: Any, w: Any, ids: Any) -> Any:
    """Log-probability, entropy and logsumexp by jax.nn."""
    z = held(x, w)
    log_p = jax.nn.log_softmax(z)
    picked = jnp.take_along_axis(log_p, ids[:, None], axis=1)[:, 0]
    return picked, -jnp.sum(jnp.exp(log_p) * log_p, axis=1), jax.nn.logsumexp(z, axis=1)


def plain_divergence(x: Any, w: Any, y: Any, u: Any) -> Any:
    """KL divergence by jax.nn."""
    log_p, log_q = jax.nn.log_softmax(held(x, w)), jax.nn.log_softmax(held(y, u))
    return jnp.sum(jnp.exp(log_p) * (log_p - log_q), axis=1)


def plain_mixture(x: Any, w: Any, y: Any, u: Any) -> Any:
    """Jensen–Shannon divergence by jax.nn."""
    log_p, log_q = jax.nn.log_softmax(held(x, w)), jax.nn.log_softmax(held(y, u))
    log_m = jnp.logaddexp(log_p, log_q) - jnp.log(2.0)
    return 0.5 * jnp.sum(jnp.exp(log_p) * (log_p - log_m) + jnp.exp(log_q) * (log_q - log_m), axis=1)


def programs(size: Size) -> dict[str, tuple[tuple[Any, Any], tuple[Any, Any], tuple[Any, ...]]]:
    """By name: the plain program, ours, and their arguments."""
    keys = jax.random.split(jax.random.key(0), 6)
    x, y = (jax.random.normal(k, (size.rows, size.features)).astype(size.dtype) for k in keys[:2])
    scale = size.features**-0.5
    w, u = (jax.random.normal(k, (size.classes, size.features)) * scale for k in keys[2:4])
    w, u = w.astype(size.dtype), u.astype(size.dtype)
    ids, g = jax.random.randint(keys[4], (size.rows,), 0, size.classes), jax.random.normal(keys[5], (size.rows,))
    log_p = lambda x, w, ids: linear.score(x, w, ids).log_probability  # noqa: E731
    pairs = {
        "score": (plain_score, linear.score, (0, 1), (x, w, ids)),
        "score, log-probability alone": (lambda *a: plain_score(*a)[0], log_p, (0, 1), (x, w, ids)),
        "entropy": (lambda x, w: logits.entropy(held(x, w)), linear.entropy, (0, 1), (x, w)),
        "KL, constant teacher": (plain_divergence, linear.kl_divergence, (2, 3), (x, w, y, u)),
        "KL reversed, constant teacher": (plain_divergence, linear.kl_divergence, (0, 1), (x, w, y, u)),
        "KL, both heads": (plain_divergence, linear.kl_divergence, (0, 1, 2, 3), (x, w, y, u)),
        "Jensen–Shannon, constant teacher": (plain_mixture, linear.jensen_shannon_divergence, (2, 3), (x, w, y, u)),
    }
    found: dict[str, Any] = {
        name: (with_gradient(plain, moving), with_gradient(ours, moving), (g, *args))
        for name, (plain, ours, moving, args) in pairs.items()
    }
    key = jax.random.key(0)
    found["top_k, k = 8"] = (
        lambda x, w: jax.lax.top_k(jax.nn.log_softmax(held(x, w)), 8),
        lambda x, w: linear.top_k(x, w, 8),
        (x, w),
    )
    found["sample"] = (
        lambda x, w: jax.random.categorical(key, held(x, w)),
        lambda x, w: linear.sample(key, x, w),
        (x, w),
    )
    return found


def table(size: Size, rounds: int) -> list[str]:
    """The rows of the table."""
    pairs = programs(size)
    key = jax.random.key(1)
    slope = jax.random.normal(key, (size.rows, size.classes)).astype(size.dtype)
    first = next(iter(pairs.values()))[2]
    calls: dict[str, Any] = {"products": [(products, (*first[1:3], slope))]}
    for name, (plain, ours, args) in pairs.items():
        calls |= {f"{name}, held": [(plain, args)], f"{name}, linear": [(ours, args)]}
    seconds = interleaved(calls, rounds)
    three = statistics.median(seconds["products"])
    lines = [
        f"N = {size.rows}, D = {size.features}, V = {size.classes}, {size.dtype}; three products {1e3 * three:.1f} ms",
        "",
        "| values and gradients | held, ms | linear, ms | × held | × three products | temporaries held, linear, MB |",
        "|---|---|---|---|---|---|",
    ]
    for name, (*both, args) in pairs.items():
        plain, ours = f"{name}, held", f"{name}, linear"
        memory = [jax.jit(f).lower(*args).compile().memory_analysis().temp_size_in_bytes / 1e6 for f in both]
        medians = " | ".join(f"{1e3 * statistics.median(seconds[n]):.1f}" for n in (plain, ours))
        lines.append(
            f"| {name} | {medians} | "
            f"{ratio(seconds, ours, plain):.2f} | {ratio(seconds, ours, 'products'):.2f} | "
            f"{memory[0]:.0f}, {memory[1]:.0f} |"
        )
    return lines


def main() -> None:
    """Parse the command line, measure, print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.heads", description=__doc__)
    size = ON_CPU if jax.default_backend() == "cpu" else ON_ACCELERATOR
    parser.add_argument("--rows", type=int, default=size.rows, help=f"N ({size.rows})")
    parser.add_argument("--features", type=int, default=size.features, help=f"D ({size.features})")
    parser.add_argument("--classes", type=int, default=size.classes, help=f"V ({size.classes})")
    parser.add_argument("--dtype", default=size.dtype, choices=["float32", "bfloat16"])
    parser.add_argument("--rounds", type=int, default=9, help="interleaved rounds, of which the median counts (9)")
    options = parser.parse_args()
    print(", ".join(f"{k} {v}" for k, v in versions().items()) + "\n")
    chosen = Size(options.rows, options.features, options.classes, options.dtype)
    print("\n".join(table(chosen, options.rounds)))


if __name__ == "__main__":
    main()
