"""Derivatives worked out by hand, to hold against `jax.grad`.

One function per loss, of the same name, and one per measure, named by room (`probs_entropy`,
`logits_kl_divergence`, …). Each takes the arguments and options of its function and returns the
gradient with respect to the first argument, or a tuple for two. A row's value depends on that row
alone, so the gradient of the sum over the batch, which is what is returned, holds every row's own.
They are written with plain operations: no derivative rule of this package takes part in them.
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
