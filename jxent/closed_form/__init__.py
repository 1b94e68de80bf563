"""Derivatives worked out by hand, to compare with `jax.grad`.

One function per loss, of the same name, and one per measure, with the module as prefix (`probs_entropy`,
`logits_kl_divergence`, …). Each takes the arguments and options of its function and returns the
gradient with respect to the first argument, or a tuple for two. It is the gradient of the sum over the
batch; a row's value depends on that row alone, so this holds the gradient of each row. The functions use
plain operations and no derivative rule of this package.
"""

from jxent.closed_form import _basic, _bernoulli, _compare, _generator, _losses, _model, _powers, _tables
from jxent.closed_form._basic import *
from jxent.closed_form._bernoulli import *
from jxent.closed_form._compare import *
from jxent.closed_form._generator import *
from jxent.closed_form._losses import *
from jxent.closed_form._model import *
from jxent.closed_form._powers import *
from jxent.closed_form._tables import *

__all__: list[str] = []
__all__ += _basic.__all__
__all__ += _bernoulli.__all__
__all__ += _compare.__all__
__all__ += _generator.__all__
__all__ += _losses.__all__
__all__ += _model.__all__
__all__ += _powers.__all__
__all__ += _tables.__all__
