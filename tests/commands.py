"""Commands of `python -m jxent` as tests give them, and a small data set."""

import numpy as np

from jxent._cli.main import main

CLASSES = ["ant", "bee", "cat"]


def pixels(n=90, seed=0):
    """Four pixels of 0 to 255 that tell three classes apart, with some overlap."""
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % 3
    centres = np.array([[200, 40, 40, 90], [40, 200, 40, 90], [60, 60, 190, 90]])
    x = np.clip(centres[labels] + rng.normal(0, 50, (n, 4)), 0, 255).astype(np.uint8)
    return x, np.array(CLASSES)[labels]


def call(capsys, *argv):
    """Exit code, stdout and stderr of one command."""
    status = main([str(a) for a in argv])
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def numbers(text):
    return [float(line) for line in text.split()]


def listing(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def train_on_pixels(tmp_path_factory):
    """A folder with a data set and the model that was trained on it."""
    folder = tmp_path_factory.mktemp("cli")
    x, y = pixels()
    np.savez(folder / "data.npz", x=x, y=y)
    assert main(["train", "--data", f"npz:{folder / 'data.npz'}", "--out", str(folder / "run"), "--json"]) == 0
    return folder
