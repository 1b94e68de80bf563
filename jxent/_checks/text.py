"""Docstring texts of arguments that many functions share, inserted when a function becomes public."""

import inspect
import re
import textwrap
from collections.abc import Mapping

from jxent._checks.domains import Domain, Role

# Texts of the options. The text of an operand is a field of its domain.
OPTIONS = {
    "axis": "the axis of the categories, or a tuple of axes.",
    "base": "base of the logarithm; None is nats, 2 bits, 10 hartleys.",
    "keepdims": "whether the reduced axes stay as axes of size 1.",
    "variables": "the variables, each an axis or a tuple of axes; None is every axis by itself.",
    "x": "the axis of the first variable, or the tuple of axes that form it.",
    "y": "the axis of the second variable, or a tuple of axes.",
    "given": "the axis of the conditioning variable, or a tuple of axes.",
    "of": "the axis of the variable whose uncertainty is measured, or a tuple of axes.",
    "normalizer": '"arithmetic", "geometric", "min" or "max" of H(X) and H(Y), or "joint" for H(X, Y).',
    "weight": "w, the weight of the first in the mixture, a scalar in [0, 1]; traced and differentiable.",
    "generator": "f, an elementwise function of arrays of ratios p/q.",
    "slope_at_infinity": "lim f(t)/t, a scalar; None stands for ∞.",
    "axis_name": "mesh axis over which the classes are sharded, inside `jax.shard_map` with `check_vma=True`, its "
    "default; None where rows are whole, and on a mesh with explicit axes.",
    "temperature": "T > 0, by which logits are divided, a scalar; traced and differentiable.",
    "soft_cap": "c > 0, with which logits z become c·tanh(z/c) before anything else, a scalar; None leaves them.",
    "block_size": "classes in a block, by default from 384 to 4096, more for larger D.",
    "params": "`Params(weights [D, K], bias [K])`.",
}
SECOND = "same rank, batch axes of size 1 broadcast"
# An argument and its continuation lines, which are indented further or empty.
ARGUMENT = re.compile(r"^    (\w+): .*(?:\n+     +.*)*", re.MULTILINE)


def completed(doc: str, signature: inspect.Signature, roles: Mapping[str, Domain | Role]) -> str:
    """The docstring with the shared text of every argument that it omits, in the order of the signature."""
    head, section, rest = doc.partition("Args:\n")
    own, rest = re.split(r"\n\n(?=\S)", rest, maxsplit=1) if section else ("", rest)
    if not section:
        head, returns, rest = doc.partition("Returns:\n")
        rest = returns + rest
    texts = {m.group(1): m.group().rstrip() for m in ARGUMENT.finditer(own)}
    operands = 0
    lines: list[str] = []
    for name in signature.parameters:
        domain = roles.get(name)
        text = domain.text if isinstance(domain, Domain) and domain.text else OPTIONS.get(name, "")
        if isinstance(domain, Domain) and domain.has_classes and domain.classes is None:
            operands += 1
            text = f"{text.rstrip('.')}; {SECOND}." if operands == 2 else text
        if name in texts:
            lines.append(texts[name])
        elif text:
            lines.append(textwrap.fill(f"{name}: {text}", 110, initial_indent=" " * 4, subsequent_indent=" " * 8))
    return f"{head}Args:\n{chr(10).join(lines)}\n\n{rest.lstrip()}" if lines else doc
