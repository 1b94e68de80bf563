"""Measures of distributions given as probabilities.

Every function takes arrays of probabilities with the categories along `axis`, treats all other axes as
a batch and returns one number per distribution. Nothing is normalised, clipped or smoothed.
"""

from jxent.probs import (
    _bernoulli,
    _distances,
    _divergences,
    _generator,
    _information,
    _joint,
    _margins,
    _multivariate,
    _orders,
    _pairwise,
)
from jxent.probs._bernoulli import *
from jxent.probs._distances import *
from jxent.probs._divergences import *
from jxent.probs._generator import *
from jxent.probs._information import *
from jxent.probs._joint import *
from jxent.probs._margins import *
from jxent.probs._multivariate import *
from jxent.probs._orders import *
from jxent.probs._pairwise import *

__all__: list[str] = []
__all__ += _bernoulli.__all__
__all__ += _distances.__all__
__all__ += _divergences.__all__
__all__ += _generator.__all__
__all__ += _information.__all__
__all__ += _joint.__all__
__all__ += _margins.__all__
__all__ += _multivariate.__all__
__all__ += _orders.__all__
__all__ += _pairwise.__all__
