"""Labelled data for softmax regression: a bundled set, six file formats, and a seeded split."""

from ._csv import csv
from ._dataset import Dataset
from ._digits import digits
from ._idx import idx
from ._libsvm import libsvm
from ._npy import npy
from ._npz import npz
from ._parquet import parquet
from ._read import read
from ._split import split

__all__ = ["Dataset", "csv", "digits", "idx", "libsvm", "npy", "npz", "parquet", "read", "split"]
