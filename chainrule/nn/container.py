"""Modules made of modules."""

from __future__ import annotations

import operator
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Self

from chainrule.errors import IndexRangeError
from chainrule.nn.module import Module


class Sequential(Module):
    """Modules one after the other: the output of each is the input of the next.

    Takes modules, or one OrderedDict of named modules. Slices are Sequentials too.

    >>> import chainrule
    >>> from chainrule import nn
    >>> model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
    >>> model(chainrule.ones(5, 4)).shape, len(model[:2])
    (Size([5, 2]), 2)
    """

    def __init__(self, *args: Any) -> None:
        super().__init__()
        named = args[0].items() if len(args) == 1 and isinstance(args[0], Mapping) else enumerate(args)
        for name, module in named:
            self.add_module(str(name), module)

    def forward(self, input: Any) -> Any:
        """Each module in turn."""
        for module in self._modules.values():
            input = module(input)
        return input

    def __len__(self) -> int:
        return len(self._modules)

    def __iter__(self) -> Iterator[Module]:
        return iter(self._modules.values())

    def __getitem__(self, index: int | slice) -> Any:
        if isinstance(index, slice):
            return type(self)(OrderedDict(list(self._modules.items())[index]))
        return _at(self._modules, index)[1]

    def __setitem__(self, index: int, module: Module) -> None:
        self.add_module(_at(self._modules, index)[0], module)

    def __delitem__(self, index: int) -> None:
        modules = list(self._modules.values())
        del modules[index]
        _renumber(self, modules)

    def append(self, module: Module) -> Self:
        """Add a module at the end."""
        self.add_module(str(len(self)), module)
        return self

    def insert(self, index: int, module: Module) -> Self:
        """Add a module before the one at `index`; those behind are renumbered."""
        modules = list(self._modules.values())
        modules.insert(index, module)
        _renumber(self, modules)
        return self

    def extend(self, modules: Iterable[Module]) -> Self:
        """Add several modules at the end."""
        for module in modules:
            self.append(module)
        return self


def _at(modules: dict[str, Any], index: int) -> tuple[str, Any]:
    index = operator.index(index)
    if not -len(modules) <= index < len(modules):
        raise IndexRangeError(f"module {index} of {len(modules)}.")
    return list(modules.items())[index]


def _renumber(owner: Module, modules: list[Module]) -> None:
    for name in list(owner._modules):
        delattr(owner, name)
    for i, module in enumerate(modules):
        owner.add_module(str(i), module)


class ModuleList(Module):
    """A list of modules that are registered. What is done with them is up to its owner's `forward`.

    >>> from chainrule import nn
    >>> len(nn.ModuleList([nn.Linear(2, 2) for _ in range(3)]))
    3
    """

    def __init__(self, modules: Iterable[Module] | None = None) -> None:
        super().__init__()
        self.extend(modules or ())

    def __len__(self) -> int:
        return len(self._modules)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._modules.values())

    def __getitem__(self, index: int | slice) -> Any:
        if isinstance(index, slice):
            return type(self)(list(self._modules.values())[index])
        return _at(self._modules, index)[1]

    def __setitem__(self, index: int, module: Module) -> None:
        self.add_module(_at(self._modules, index)[0], module)

    def __delitem__(self, index: int) -> None:
        modules = list(self._modules.values())
        del modules[index]
        _renumber(self, modules)

    def append(self, module: Module) -> Self:
        """Add a module at the end."""
        self.add_module(str(len(self)), module)
        return self

    def extend(self, modules: Iterable[Module]) -> Self:
        """Add several modules at the end."""
        for module in modules:
            self.append(module)
        return self

    def insert(self, index: int, module: Module) -> None:
        """Add a module before the one at `index`."""
        modules = list(self._modules.values())
        modules.insert(index, module)
        _renumber(self, modules)


class ModuleDict(Module):
    """A dictionary of modules that are registered.

    >>> from chainrule import nn
    >>> list(nn.ModuleDict({"a": nn.ReLU(), "b": nn.Tanh()}))
    ['a', 'b']
    """

    def __init__(self, modules: Mapping[str, Module] | None = None) -> None:
        super().__init__()
        self.update(modules or {})

    def __len__(self) -> int:
        return len(self._modules)

    def __iter__(self) -> Iterator[str]:
        return iter(self._modules)

    def __contains__(self, key: str) -> bool:
        return key in self._modules

    def __getitem__(self, key: str) -> Any:
        return self._modules[key]

    def __setitem__(self, key: str, module: Module) -> None:
        self.add_module(key, module)

    def __delitem__(self, key: str) -> None:
        delattr(self, key)

    def keys(self) -> Iterable[str]:
        """The names."""
        return self._modules.keys()

    def values(self) -> Iterable[Any]:
        """The modules."""
        return self._modules.values()

    def items(self) -> Iterable[tuple[str, Any]]:
        """Names and modules."""
        return self._modules.items()

    def update(self, modules: Mapping[str, Module]) -> None:
        """Add or replace several."""
        for key, module in modules.items():
            self.add_module(key, module)
