"""What the README says runs, and its tables give the same numbers on both sides."""

import re
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jxent import data, logits, losses, probs, regression
from jxent._cli.keys import METRICS

README = (Path(__file__).parent.parent / "README.md").read_text()


@pytest.mark.slow
def test_the_python_blocks_run(capsys):
    blocks = re.findall(r"^```python\n(.*?)^```", README, re.DOTALL | re.MULTILINE)
    assert len(blocks) == 8
    scope = {}
    for block in blocks:
        exec(compile(block, "README.md", "exec"), scope)  # noqa: S102
    assert "agrees=True" in capsys.readouterr().out
    np.testing.assert_allclose(scope["probs"].kl_divergence(scope["p"], scope["q"]), 0.29, atol=5e-3)


def test_the_first_two_shell_blocks_are_one_command_each():
    blocks = re.findall(r"^```(?:sh|bash|console)\n(.*?)^```", README, re.DOTALL | re.MULTILINE)
    assert all(len(block.strip().splitlines()) == 1 for block in blocks[:2])
    assert "jxent train" in blocks[0]
    assert "pytest" in blocks[1]


def test_every_key_of_the_metrics_is_listed():
    assert set(re.findall(r"^\| `(\w+)` \| ", README, re.MULTILINE)) == set(METRICS)


@pytest.fixture
def rows(rng):
    z = rng.normal(size=(5, 4)).astype(np.float32)
    p, q = (rng.dirichlet(np.ones(4), size=5).astype(np.float32) for _ in range(2))
    return z, p, q, rng.integers(0, 4, 5)


def test_coming_from_scipy(rows):
    from scipy.spatial import distance
    from scipy.special import rel_entr
    from scipy.stats import entropy

    _, p, q, _ = rows
    np.testing.assert_allclose(probs.entropy(p), entropy(p, axis=1), rtol=1e-5)
    np.testing.assert_allclose(probs.kl_divergence(p, q, base=2), entropy(p, q, axis=1, base=2), rtol=1e-4)
    np.testing.assert_allclose(probs.kl_divergence(p, q), rel_entr(p, q).sum(-1), rtol=1e-4)
    np.testing.assert_allclose(
        probs.jensen_shannon_distance(p, q), [distance.jensenshannon(*pq) for pq in zip(p, q, strict=True)], rtol=1e-4
    )


def test_coming_from_optax(rows):
    z, p, q, y = rows
    dense, integer = losses.softmax_cross_entropy, losses.softmax_cross_entropy_with_integer_labels
    np.testing.assert_allclose(dense(z, p), optax.losses.softmax_cross_entropy(z, p), rtol=1e-5)
    np.testing.assert_allclose(
        integer(z, y), optax.losses.softmax_cross_entropy_with_integer_labels(jnp.asarray(z), jnp.asarray(y)), rtol=1e-5
    )
    np.testing.assert_allclose(probs.kl_divergence(p, q), optax.losses.kl_divergence(jnp.log(q), p), rtol=1e-4)


def test_coming_from_torch(rows):
    torch = pytest.importorskip("torch", reason="a peer that the tests do not install")
    f = torch.nn.functional
    z, p, q, y = rows
    there = [torch.tensor(a) for a in (z, p, q, y)]
    rows_here = losses.softmax_cross_entropy_with_integer_labels(z, y)
    np.testing.assert_allclose(losses.mean(rows_here), f.cross_entropy(there[0], there[3]), rtol=1e-5)
    by_torch = f.kl_div(there[2].log(), there[1], reduction="none").sum(-1)
    np.testing.assert_allclose(probs.kl_divergence(p, q), by_torch, rtol=1e-4)
    np.testing.assert_allclose(losses.huber_loss(z, p), f.huber_loss(there[0], there[1], reduction="none"), rtol=1e-5)
    np.testing.assert_allclose(logits.entropy(z), torch.distributions.Categorical(logits=there[0]).entropy(), rtol=1e-5)


def test_coming_from_scikit_learn(rows):
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import log_loss

    _, _, q, y = rows
    one_hot = jax.nn.one_hot(y, 4)
    q = q / q.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(
        losses.mean(probs.cross_entropy(one_hot, q)), log_loss(y, q.astype(float), labels=range(4)), rtol=1e-5
    )
    digits = data.digits()
    x, labels = digits.x[:300] / digits.scale, digits.labels[:300]
    ours = regression.fit(x, labels, l2=1 / (0.5 * len(x)))
    theirs = LogisticRegression(C=0.5, tol=1e-8, max_iter=1000).fit(x.astype(float), labels)
    # Both have one shift of the bias per model that changes nothing.
    bias = ours.params.bias - jnp.mean(ours.params.bias)
    np.testing.assert_allclose(ours.params.weights.T, theirs.coef_, atol=2e-3)
    np.testing.assert_allclose(bias, theirs.intercept_ - theirs.intercept_.mean(), atol=2e-3)
