"""The handwritten digits that come with scikit-learn."""

import numpy as np

from ._dataset import Dataset


def digits() -> Dataset:
    """1797 handwritten digits of 8 by 8 pixels: ``x`` float32 [1797, 64] from 0 to 16, 10 classes.

    Nothing is downloaded: the images come with scikit-learn.

    Returns:
        Dataset: ``labels`` int32 [1797], ``classes`` 0 to 9, ``scale`` 16.0.

    Raises:
        ImportError: If scikit-learn is not installed.

    Example:
        >>> from jxent import data
        >>> d = data.digits()
        >>> d.x.shape, str(d.x.dtype), d.scale
        ((1797, 64), 'float32', 16.0)
        >>> float((d.x / d.scale).max())
        1.0
    """
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise ImportError('digits() reads the images that come with scikit-learn: pip install "jxent[data]"') from error
    x, labels = load_digits(return_X_y=True)
    return Dataset(
        x=np.asarray(x, np.float32),
        labels=np.asarray(labels, np.int32),
        classes=tuple(range(10)),
        scale=16.0,
    )
