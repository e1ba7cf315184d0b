"""What was asked for: the inputs and their names, and which of their sizes may vary, in all forms people write."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

from chainrule.nn.module import Module
from chainrule.onnx.errors import OnnxError
from chainrule.onnx.several import Free
from chainrule.onnx.traces import leaves
from chainrule.tensor import Tensor


def arguments_of(inputs: Any, kwargs: Mapping[str, Any] | None) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """One input, or a tuple of all; a dictionary at its end has those by name."""
    args = inputs if isinstance(inputs, tuple) and not hasattr(inputs, "_fields") else (inputs,)
    named = dict(kwargs or {})
    if args and isinstance(args[-1], dict) and all(isinstance(key, str) for key in args[-1]):
        args, named = args[:-1], {**args[-1], **named}
    return args, named


def named_tensors(model: Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[tuple[str, Tensor]]:
    """The tensors among the arguments, named by the parameters of `forward`."""
    try:
        inspect.signature(model.forward).bind(*args, **kwargs)
    except TypeError as error:
        raise OnnxError(f"the inputs do not fit {type(model).__name__}.forward: {error}.") from None
    named = list(leaves(dict(inspect.signature(model.forward).bind_partial(*args).arguments)))
    return [(name, t) for (name, _), (_, t) in zip(named, leaves(list(args)), strict=True)] + list(leaves(kwargs))


def names_for(given: Sequence[str] | None, usual: list[str], what: str) -> list[str]:
    """The names that were given, then the usual ones. Raises OnnxError for too many, or two of one name."""
    if given is None:
        return usual
    names = [given] if isinstance(given, str) else list(given)
    if len(names) > len(usual) or len(set(names)) < len(names):
        raise OnnxError(f"{what}_names are {len(usual)} different names, got {names}.")
    return names + usual[len(names) :]


def free_sizes(dynamic: Any, names: Sequence[str], shapes: Sequence[tuple[int, ...]]) -> list[Free]:
    """What may vary, from all forms in which it can be said.

    None: nothing. A string: the first size of each input, under this name. {axis: name}: these of each input that has
    them. {input: {axis: name}} or {input: [axes]}: these.
    """
    found: dict[str, list[tuple[int, int]]] = {}
    for i, (name, shape) in enumerate(zip(names, shapes, strict=True)):
        for axis, size_name in _axes_of(dynamic, i, name, shape).items():
            at = axis + len(shape) if axis < 0 else axis
            if not 0 <= at < len(shape):
                raise OnnxError(f"dynamic: the input {name!r} of shape {shape} has no dimension {axis}.")
            found.setdefault(size_name, []).append((i, at))
    if isinstance(dynamic, Mapping) and all(isinstance(key, str) for key in dynamic):
        strange = sorted(set(dynamic) - set(names))
        if strange and not found:
            raise OnnxError(f"dynamic: there is no input {strange[0]!r}; the inputs are {', '.join(names)}.")
    free = []
    for name, places in found.items():
        examples = {shapes[i][axis] for i, axis in places}
        if len(examples) > 1:
            raise OnnxError(f"dynamic: {name!r} is one size, but the examples have {sorted(examples)} there.")
        free.append(Free(name, places, examples.pop()))
    return free


def _axes_of(dynamic: Any, number: int, name: str, shape: tuple[int, ...]) -> dict[int, str]:
    if dynamic is None or dynamic is False:
        return {}
    if dynamic is True:
        dynamic = "batch"
    if isinstance(dynamic, str):
        return {0: dynamic} if shape else {}
    if isinstance(dynamic, tuple | list):  # one for each input, as dynamic_shapes may be
        entry = dynamic[number] if number < len(dynamic) else None
    elif isinstance(dynamic, Mapping) and all(isinstance(key, int) for key in dynamic):
        entry = {axis: size for axis, size in dynamic.items() if axis < len(shape)}
    elif isinstance(dynamic, Mapping):
        entry = dynamic.get(name)
    else:
        entry = dynamic
    if entry is None:
        return {}
    if not isinstance(entry, Mapping | tuple | list):
        raise OnnxError(f"dynamic is a name, {{axis: name}} or {{input: {{axis: name}}}}, got {dynamic!r}.")
    if isinstance(entry, Mapping):
        sizes = {axis: size for axis, size in entry.items() if size is not None and not isinstance(size, int)}
    else:
        sizes = {axis: f"{name}_{axis}" for axis in entry}
    return {axis: str(getattr(size, "__name__", size)) for axis, size in sizes.items()}
