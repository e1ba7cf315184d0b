"""A model noted for export: its equations, and which layer and which block was running when each was noted.

Most layers are one operator of ONNX, so they are taken whole. For that a trace also notes *calls*: where the call of
a module or the use of a block begins and ends among the equations, with its arguments and its result. Calls lie
within each other as they were made.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from chainrule.autodiff.block import Block
from chainrule.autodiff.mode import no_grad
from chainrule.errors import TraceError
from chainrule.nn.evaluation import evaluation_mode
from chainrule.nn.module import Module
from chainrule.onnx.errors import OnnxError
from chainrule.primitives.primitive import Primitive
from chainrule.primitives.trace import Trace, tracing
from chainrule.primitives.value import Symbol
from chainrule.state import current_state
from chainrule.tensor import Tensor


@dataclass
class Call:
    """The call of a module, or the use of a block.

    Attributes:
        thing: the module or the block.
        path: of the module, or of the block with its name.
        arguments: by name; a Value in the place of each tensor.
        start, stop: its equations.
        output: what it gave, with Values in the place of tensors.
        inner: the calls within it.
        changed: whether hooks of the user's stand around the module.
    """

    thing: Any
    path: str
    arguments: dict[str, Any]
    start: int
    stop: int = -1
    output: Any = None
    inner: list[Call] = field(default_factory=list)
    changed: bool = False


class CallTrace(Trace):
    """A trace that notes calls too."""

    notes_calls = True

    def __init__(self) -> None:
        super().__init__()
        self.root = Call(None, "", {}, 0)
        self._open = [self.root]

    def enter(self, thing: Any, path: str, arguments: dict[str, Any], changed: bool = False) -> Call:
        """A call begins."""
        call = Call(thing, path, _values(arguments), len(self.equations), changed=changed)
        self._open[-1].inner.append(call)
        self._open.append(call)
        return call

    def leave(self, output: Any) -> None:
        """The innermost call that has not ended ends."""
        call = self._open.pop()
        call.stop, call.output = len(self.equations), _values(output)

    def enter_block(self, block: Block[Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """A block is used."""
        given = _signature(block.function).bind(*args, **kwargs)
        given.apply_defaults()
        self.enter(block, current_state().path, dict(given.arguments))

    def leave_block(self, output: Any) -> None:
        """The use of a block ends."""
        self.leave(output)


@dataclass
class Noted:
    """One trace of a model.

    Attributes:
        trace: the equations, captures and calls.
        inputs: the symbols of the inputs, in order.
        output: what the model gave, with Values in the place of tensors.
    """

    trace: CallTrace
    inputs: list[Symbol]
    output: Any


def note(model: Module, args: tuple[Any, ...], kwargs: dict[str, Any], shapes: Sequence[tuple[int, ...]]) -> Noted:
    """The model in evaluation mode, noted for inputs of these shapes (one for each tensor among the arguments).

    Raises OnnxError where the model reads numbers on its way, or changes tensors of its own.
    """
    trace, remaining, symbols = CallTrace(), iter(shapes), list[Symbol]()

    def symbol(x: Any) -> Any:
        value = trace.new_input(next(remaining), x.dtype.numpy, False)
        symbols.append(value.array)
        return Primitive.make_tensor(value)

    handles = list(_watched(model, trace))
    try:
        with no_grad(), evaluation_mode(model), tracing(trace):
            try:
                output = _values(model(*mapped(symbol, args), **mapped(symbol, kwargs)))
            finally:
                written = trace.take_back_writes()
    except TraceError as error:
        raise OnnxError(f"the model cannot be written as one graph: {error}") from error
    finally:
        for handle in handles:
            handle.remove()
    drawn = next((e for e in trace.equations if e.primitive.name.startswith("Random")), None)
    if drawn is not None:
        raise OnnxError(
            f"{drawn.path or 'the model'} ({drawn.module or type(model).__name__}): {drawn.primitive.name} draws "
            "random numbers in evaluation; a file has one result for one input. Give them as an input."
        )
    if written:
        raise OnnxError(
            f"the model changes tensors of its own while it predicts (of shape {tuple(written[0].shape)}); a graph "
            "keeps nothing from run to run. Give such tensors as inputs and return them as outputs."
        )
    return Noted(trace, symbols, output)


def _watched(model: Module, trace: CallTrace) -> Iterator[Any]:
    """Hooks in every module that tell the trace of calls."""
    for path, module in model.named_modules():
        changed = bool(module._forward_hooks or module._forward_pre_hooks)

        def before(module: Any, args: Any, kwargs: Any, path: str = path, changed: bool = changed) -> None:
            given = _signature(type(module).forward).bind(module, *args, **kwargs)
            given.apply_defaults()
            arguments = dict(list(given.arguments.items())[1:])
            trace.enter(module, path, arguments, changed)

        def after(module: Any, args: Any, output: Any) -> None:
            trace.leave(output)

        yield module.register_forward_pre_hook(before, with_kwargs=True)
        yield module.register_forward_hook(after)


@functools.cache
def _signature(function: Any) -> inspect.Signature:
    return inspect.signature(function)


def mapped(function: Any, thing: Any, kind: type = Tensor) -> Any:
    """A structure of tuples, lists and dictionaries with every tensor in it replaced."""
    if isinstance(thing, kind):
        return function(thing)
    if isinstance(thing, tuple | list):
        parts = [mapped(function, part, kind) for part in thing]
        return type(thing)(*parts) if hasattr(thing, "_fields") else type(thing)(parts)
    if isinstance(thing, dict):
        return {key: mapped(function, part, kind) for key, part in thing.items()}
    return thing


def _values(thing: Any) -> Any:
    return mapped(lambda tensor: tensor.value, thing)


def leaves(thing: Any, name: str = "", kind: type = Tensor) -> Iterator[tuple[str, Any]]:
    """The tensors (or Values) of a structure with their names: "state.0", "logits"."""
    if isinstance(thing, kind):
        yield name, thing
        return
    items: Any = ()
    if isinstance(thing, tuple | list):
        items = zip(getattr(thing, "_fields", map(str, range(len(thing)))), thing, strict=True)
    elif isinstance(thing, dict):
        items = thing.items()
    for key, part in items:
        yield from leaves(part, f"{name}.{key}" if name else str(key), kind)
