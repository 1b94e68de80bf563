"""Labelled data for softmax regression: a bundled set, three file formats, and a seeded split."""

from ._csv import csv
from ._dataset import Dataset
from ._digits import digits
from ._idx import idx
from ._npz import npz
from ._read import read
from ._split import split

__all__ = ["Dataset", "csv", "digits", "idx", "npz", "read", "split"]
