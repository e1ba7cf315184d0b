"""Evaluating a model: without dropout, and with the statistics that normalisation has gathered."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from chainrule.nn.module import Module


@contextmanager
def evaluation_mode(model: Module) -> Iterator[None]:
    """Within this block the model is in evaluation mode; then every module is put back into the mode it was in.

    >>> import chainrule
    >>> model = chainrule.nn.Dropout()
    >>> with evaluation_mode(model):
    ...     model.training
    False
    >>> model.training
    True
    """
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training
