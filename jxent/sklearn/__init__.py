"""Softmax regression as scikit-learn estimators, for pipelines, grid searches and calibration (extra `sklearn`)."""

try:
    import sklearn as _sklearn
except ImportError as error:
    raise ImportError('jxent.sklearn needs scikit-learn: pip install "jxent[sklearn]"') from error

from jxent.sklearn._cv import SoftmaxRegressionCV
from jxent.sklearn._estimator import SoftmaxRegression

del _sklearn

__all__ = ["SoftmaxRegression", "SoftmaxRegressionCV"]
