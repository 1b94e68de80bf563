"""Measures of distributions given as logits: log-probabilities up to a constant per row.

Every function takes arrays of logits of any shift with the categories along `axis`, treats all other
axes as a batch and returns one number per distribution. −inf is probability zero. Every derivative
is finite for any finite logits and for −inf.
"""

from jxent.logits import (
    _bernoulli,
    _distances,
    _divergences,
    _generator,
    _geometry,
    _information,
    _joint,
    _margins,
    _multivariate,
    _orders,
    _pairwise,
)
from jxent.logits._bernoulli import *
from jxent.logits._distances import *
from jxent.logits._divergences import *
from jxent.logits._generator import *
from jxent.logits._geometry import *
from jxent.logits._information import *
from jxent.logits._joint import *
from jxent.logits._margins import *
from jxent.logits._multivariate import *
from jxent.logits._orders import *
from jxent.logits._pairwise import *

__all__: list[str] = []
__all__ += _bernoulli.__all__
__all__ += _distances.__all__
__all__ += _divergences.__all__
__all__ += _generator.__all__
__all__ += _geometry.__all__
__all__ += _information.__all__
__all__ += _joint.__all__
__all__ += _margins.__all__
__all__ += _multivariate.__all__
__all__ += _orders.__all__
__all__ += _pairwise.__all__
