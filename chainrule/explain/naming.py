"""What the tensors and modules that a function uses are called."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from typing import Any

from chainrule.cell import TensorCell
from chainrule.nn.module import Module


class Names:
    """What is known by name before a function runs.

    Attributes:
        arrays: for the identity of an array the name of the tensor that holds it.
        parameters: identities of the arrays that are parameters.
        roots: for the identity of a module's table of paths the name of the module, where there are several.
        classes: for each path the class of the module there.
        paths: for the identity of a module its path.
    """

    def __init__(self, thing: Any, inputs: list[tuple[str, Any]]) -> None:
        self.arrays: dict[int, str] = {}
        self.parameters: set[int] = set()
        self.roots: dict[int, str] = {}
        self.classes: dict[str, str] = {}
        self.paths: dict[int, str] = {}
        used = [("", thing)] if isinstance(thing, Module) else list(_used_by(thing))
        modules = _distinct([(name, x) for name, x in [*used, *inputs] if isinstance(x, Module)])
        for name, module in modules:
            prefix = name if len(modules) > 1 else ""
            if prefix:
                self.roots[id(module._own_paths())] = prefix
            self._add_module(prefix, module)
        for name, x in used:
            if isinstance(x, TensorCell):
                self._add(name, x)
            elif isinstance(x, dict | list | tuple):
                for key, part in x.items() if isinstance(x, dict) else enumerate(x):
                    if isinstance(part, TensorCell):
                        self._add(f"{name}[{key!r}]", part)

    def _add_module(self, prefix: str, module: Module) -> None:
        for path, part in module.named_modules():
            self.classes[_joined(prefix, path)] = type(part).__name__
            self.paths[id(part)] = _joined(prefix, path)
        for path, parameter in module.named_parameters():
            self._add(_joined(prefix, path), parameter)
            self.parameters.add(id(parameter.value.array))
        for path, buffer in module.named_buffers():
            self._add(_joined(prefix, path), buffer)

    def _add(self, name: str, tensor: Any) -> None:
        array = tensor.value.array
        self.arrays.setdefault(id(array), name)
        if tensor.requires_grad:
            self.parameters.add(id(array))


def _joined(prefix: str, path: str) -> str:
    return f"{prefix}.{path}" if prefix and path else prefix + path


def _distinct(modules: list[tuple[str, Module]]) -> list[tuple[str, Module]]:
    """Each module once, without those that are parts of another one of them."""
    inner = {id(part) for _, module in modules for part in list(module.modules())[1:]}
    found: dict[int, tuple[str, Module]] = {}
    for name, module in modules:
        if id(module) not in inner:
            found.setdefault(id(module), (name, module))
    return list(found.values())


def _used_by(function: Any) -> Iterator[tuple[str, Any]]:
    """What a function reaches by name: its closure, the globals that its code names, and its object's fields."""
    function = inspect.unwrap(getattr(function, "function", function))
    owner = getattr(function, "__self__", None)
    if owner is not None and not inspect.ismodule(owner):
        yield "self", owner
        yield from _fields(owner)
    function = getattr(function, "__func__", function)
    code = getattr(function, "__code__", None)
    if code is None:
        call = type(function).__dict__.get("__call__")
        if call is not None:
            yield from _fields(function)
        return
    for name, cell in zip(code.co_freevars, function.__closure__ or (), strict=True):
        try:
            yield name, cell.cell_contents
        except ValueError:  # not filled yet
            continue
    for name in code.co_names:
        if name in function.__globals__:
            yield name, function.__globals__[name]


def _fields(owner: Any) -> Iterator[tuple[str, Any]]:
    for name, part in getattr(owner, "__dict__", {}).items():
        if isinstance(part, Module | TensorCell):
            yield name, part


def argument_names(function: Callable[..., Any], count: int) -> list[str]:
    """The names of the first positional arguments."""
    target = function.forward if isinstance(function, Module) else function
    try:
        parameters = list(inspect.signature(target).parameters.values())
    except (TypeError, ValueError):
        parameters = []
    names: list[str] = []
    for parameter in parameters:
        if parameter.kind is parameter.VAR_POSITIONAL:
            names.extend(f"{parameter.name}[{i}]" for i in range(count - len(names)))
        elif parameter.kind is not parameter.KEYWORD_ONLY:
            names.append(parameter.name)
    return [*names, *[f"input{i}" for i in range(len(names), count)]][:count]
