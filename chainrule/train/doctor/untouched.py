"""Looking without touching: whatever runs within leaves training bit for bit as it was."""

from __future__ import annotations

import copy
import inspect
import random
import types
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from chainrule.nn.module import Module
from chainrule.random import Generator, default_generator
from chainrule.tensor import Tensor


@contextmanager
def untouched(*things: Any) -> Iterator[None]:
    """Afterwards all streams of random numbers stand where they stood, and the modules' tensors are what they were.

    Among the streams are the generators that functions among `things` know by name.

    >>> import chainrule
    >>> _ = chainrule.manual_seed(0); wanted = chainrule.rand(1)
    >>> _ = chainrule.manual_seed(0)
    >>> with untouched():
    ...     _ = chainrule.rand(5)
    >>> chainrule.equal(chainrule.rand(1), wanted)
    True
    """
    back = [_keep(stream) for stream in (default_generator, *_streams(things))]
    state, numpy_state = random.getstate(), np.random.get_state()
    tensors = [t for m in things if isinstance(m, Module) for t in (*m.parameters(), *m.buffers())]
    values = [tensor.value for tensor in tensors]
    gradients = [(tensor, tensor.kept_grad) for tensor in tensors if tensor.requires_grad]
    modes = [(part, part.training) for m in things if isinstance(m, Module) for part in m.modules()]
    try:
        yield
    finally:
        for put_back in back:
            put_back()
        random.setstate(state)
        np.random.set_state(numpy_state)
        for tensor, value in zip(tensors, values, strict=True):
            if tensor.value is not value:
                tensor.set_value(value)
        for tensor, gradient in gradients:
            if tensor.kept_grad is not gradient:
                tensor.grad = gradient
        for part, training in modes:
            part.training = training


def twin(*things: Any) -> list[Any]:
    """Copies of a model, a loss and the like that share nothing with them, without hooks that are plain functions.

    Such hooks collect things outside of the model. Those that are objects (pruning) belong to the model, and stay.
    """
    copies = copy.deepcopy(things)
    for module in (part for thing in copies if isinstance(thing, Module) for part in thing.modules()):
        for hooks in (
            module._forward_hooks, module._forward_pre_hooks, module._backward_hooks, module._backward_pre_hooks
        ):  # fmt: skip
            plain = types.FunctionType | types.MethodType
            for key in [k for k, hook in hooks.items() if isinstance(hook.function, plain)]:
                del hooks[key]
        module.zero_grad()
    return list(copies)


def _keep(stream: Any) -> Callable[[], None]:
    """What puts a stream of random numbers back to where it stands now."""
    if isinstance(stream, Generator):
        value = stream.state.value
        return lambda: stream.state.set_value(value)
    state = stream.bit_generator.state

    def put_back() -> None:
        stream.bit_generator.state = state

    return put_back


def _streams(things: tuple[Any, ...]) -> Iterator[Any]:
    for thing in things:
        if isinstance(thing, types.FunctionType):
            known = inspect.getclosurevars(thing)
            for value in (*known.nonlocals.values(), *known.globals.values(), *(thing.__defaults__ or ())):
                if isinstance(value, Generator | np.random.Generator):
                    yield value


def tensor_like(thing: Any) -> Any:
    """A batch detached from whatever made it: tensors, and lists and dictionaries of these."""
    if isinstance(thing, Tensor):
        return thing.detach()
    if isinstance(thing, dict):
        return {name: tensor_like(part) for name, part in thing.items()}
    if isinstance(thing, list | tuple):
        parts = [tensor_like(part) for part in thing]
        return type(thing)(*parts) if hasattr(thing, "_fields") else type(thing)(parts)
    return thing
