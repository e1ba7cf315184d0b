"""Modules made of modules, and lists of parameters."""

from __future__ import annotations

import itertools
import operator
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Self

from chainrule.changes import WatchedDict, fields_of
from chainrule.errors import IndexRangeError
from chainrule.nn.module import Module
from chainrule.tensor import Parameter, Tensor


class _Row(Module):
    """What Sequential and ModuleList share: modules in an order, registered under their numbers."""

    def __len__(self) -> int:
        return len(self._modules)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._modules.values())

    def __setitem__(self, index: int, module: Module) -> None:
        self.add_module(_at(self._modules, index)[0], module)

    def __getitem__(self, index: int | slice) -> Any:
        raise NotImplementedError  # each kind makes slices of its own

    def __delitem__(self, index: int | slice) -> None:
        if not isinstance(index, slice):
            _at(self._modules, index)
        modules = list(self)
        del modules[index]
        self._replace_by(modules)

    def _replace_by(self, modules: list[Module]) -> None:
        for name in list(self._modules):
            delattr(self, name)
        self.extend(modules)

    def append(self, module: Module) -> Self:
        """Add a module at the end."""
        self.add_module(str(len(self)), module)
        return self

    def insert(self, index: int, module: Module) -> Self:
        """Add a module before the one at `index`; those behind are renumbered."""
        modules = list(self)
        modules.insert(index, module)
        self._replace_by(modules)
        return self

    def extend(self, modules: Iterable[Module]) -> Self:
        """Add several modules at the end."""
        for module in list(modules):
            self.append(module)
        return self

    def pop(self, key: int | slice = -1) -> Any:
        """Take a module out (or several, by a slice) and return it; those behind are renumbered."""
        module = self[key]
        del self[key]
        return module


class Sequential(_Row):
    """Modules one after the other: the output of each is the input of the next.

    Takes modules, or one OrderedDict of named modules. Slices are Sequentials too. Raises TypeError for anything
    that is no module.

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

    def __getitem__(self, index: int | slice) -> Any:
        if isinstance(index, slice):
            return type(self)(OrderedDict(list(self._modules.items())[index]))
        return _at(self._modules, index)[1]

    def __add__(self, other: Sequential) -> Sequential:
        return Sequential(*self, *other) if isinstance(other, Sequential) else NotImplemented

    def __iadd__(self, other: Sequential) -> Self:
        return self.extend(other) if isinstance(other, Sequential) else NotImplemented

    def __mul__(self, times: int) -> Sequential:
        return Sequential(*list(self) * _count(times))

    __rmul__ = __mul__

    def __imul__(self, times: int) -> Self:
        return self.extend(list(self) * (_count(times) - 1))


class ModuleList(_Row):
    """A list of modules that are registered. What is done with them is up to its owner's `forward`.

    >>> from chainrule import nn
    >>> nn.ModuleList([nn.Linear(2, 2) for _ in range(3)])
    ModuleList(
      (0-2): 3 x Linear(in_features=2, out_features=2, bias=True)
    )
    """

    def __init__(self, modules: Iterable[Module] | None = None) -> None:
        super().__init__()
        self.extend(modules or ())

    def __getitem__(self, index: int | slice) -> Any:
        if isinstance(index, slice):
            return type(self)(list(self)[index])
        return _at(self._modules, index)[1]

    def __add__(self, other: Iterable[Module]) -> ModuleList:
        return ModuleList([*self, *other])

    def __iadd__(self, other: Iterable[Module]) -> Self:
        return self.extend(other)

    def __repr__(self) -> str:
        """Equal neighbours are printed once, with their number."""
        lines, first = [], 0
        for text, group in itertools.groupby(self, repr):
            count = len(list(group))
            name = f"({first})" if count == 1 else f"({first}-{first + count - 1})"
            times = "" if count == 1 else f"{count} x "
            lines.append(f"  {name}: {times}" + text.replace("\n", "\n  "))
            first += count
        name = type(self).__name__
        return f"{name}(\n" + "\n".join(lines) + "\n)" if lines else f"{name}()"


class ModuleDict(Module):
    """A dictionary of modules that are registered.

    >>> from chainrule import nn
    >>> list(nn.ModuleDict({"a": nn.ReLU(), "b": nn.Tanh()}))
    ['a', 'b']
    """

    def __init__(self, modules: Mapping[str, Module] | Iterable[tuple[str, Module]] | None = None) -> None:
        super().__init__()
        self.update(modules or {})

    def __len__(self) -> int:
        return len(self._modules)

    def __iter__(self) -> Iterator[str]:
        return iter(self._modules)

    def __contains__(self, key: str) -> bool:
        return key in self._modules

    def __getitem__(self, key: str) -> Any:
        if key not in self._modules:
            raise KeyError(f"there is no module {key!r}; there are {', '.join(map(repr, self)) or 'none'}.")
        return self._modules[key]

    def __setitem__(self, key: str, module: Module) -> None:
        self.add_module(key, module)

    def __delitem__(self, key: str) -> None:
        delattr(self, key)

    def clear(self) -> None:
        """Take out all."""
        for key in list(self._modules):
            del self[key]

    def pop(self, key: str) -> Any:
        """Take a module out and return it."""
        module = self[key]
        del self[key]
        return module

    def keys(self) -> Iterable[str]:
        """The names."""
        return self._modules.keys()

    def values(self) -> Iterable[Any]:
        """The modules."""
        return self._modules.values()

    def items(self) -> Iterable[tuple[str, Any]]:
        """Names and modules."""
        return self._modules.items()

    def update(self, modules: Mapping[str, Module] | Iterable[tuple[str, Module]]) -> None:
        """Add or replace several, from a dictionary or pairs."""
        for key, module in modules.items() if isinstance(modules, (Mapping, ModuleDict)) else modules:
            self.add_module(key, module)


class ParameterList(Module):
    """A list of parameters that are registered. Plain tensors become parameters; anything else is kept as it is.

    A list within the list is registered as every module is: `blocks = ParameterList([ParameterList([w, b]), …])`.

    >>> import chainrule
    >>> weights = ParameterList([chainrule.ones(2), chainrule.zeros(3)])
    >>> list(weights.state_dict()), weights[1].requires_grad
    (['0', '1'], True)
    """

    def __init__(self, values: Iterable[Any] | None = None) -> None:
        super().__init__()
        self.extend(() if values is None else values)

    def __len__(self) -> int:
        fields = fields_of(self)  # parameters and modules stand in tables, anything else beside them
        return sum(name.isdigit() for table in (fields, self._parameters, self._modules) for name in table)

    def __iter__(self) -> Iterator[Any]:
        return (getattr(self, str(i)) for i in range(len(self)))

    def __getitem__(self, index: int | slice) -> Any:
        if isinstance(index, slice):
            return type(self)(list(self)[index])
        return getattr(self, self._name(index))

    def __setitem__(self, index: int, value: Any) -> None:
        setattr(self, self._name(index), _as_parameter(value))

    def __iadd__(self, values: Iterable[Any]) -> Self:
        return self.extend(values)

    def append(self, value: Any) -> Self:
        """Add a parameter at the end."""
        setattr(self, str(len(self)), _as_parameter(value))
        return self

    def extend(self, values: Iterable[Any]) -> Self:
        """Add several parameters at the end. Raises TypeError for one tensor, which `append` adds."""
        if isinstance(values, Tensor) or not isinstance(values, Iterable):
            raise TypeError(f"takes several parameters, as a list, got {type(values).__name__}; append adds one.")
        first = len(self)
        for i, value in enumerate(list(values), first):
            setattr(self, str(i), _as_parameter(value))
        return self

    def extra_repr(self) -> str:
        """The data types and shapes."""
        return "\n".join(
            f"  ({i}): {_described(value, str(value.dtype) if isinstance(value, Tensor) else '')}"
            for i, value in enumerate(self)
        )

    def _name(self, index: int) -> str:
        return _at(dict.fromkeys(map(str, range(len(self)))), index)[0]


class ParameterDict(Module):
    """Parameters by name, registered. Plain tensors become parameters; anything else is kept as it is.

    >>> import chainrule
    >>> weights = ParameterDict({"left": chainrule.ones(2), "right": chainrule.zeros(3)})
    >>> list(weights.state_dict()), weights["left"].requires_grad
    (['left', 'right'], True)
    """

    def __init__(self, parameters: Any = None) -> None:
        super().__init__()
        fields_of(self)["_keys"] = WatchedDict()
        if parameters is not None:
            self.update(parameters)

    def __len__(self) -> int:
        return len(self._keys)

    def __iter__(self) -> Iterator[str]:
        return iter(self._keys)

    def __reversed__(self) -> Iterator[str]:
        return reversed(list(self._keys))

    def __contains__(self, key: str) -> bool:
        return key in self._keys

    def __getitem__(self, key: str) -> Any:
        if key not in self._keys:
            raise KeyError(f"there is no parameter {key!r}; there are {', '.join(map(repr, self._keys)) or 'none'}.")
        return getattr(self, key)

    def __setitem__(self, key: str, value: Any) -> None:
        self._keys[key] = None
        setattr(self, key, _as_parameter(value))

    def __delitem__(self, key: str) -> None:
        self.pop(key)

    def __or__(self, other: ParameterDict) -> ParameterDict:
        joined = self.copy()
        joined.update(other)
        return joined

    def __ior__(self, other: ParameterDict) -> Self:
        self.update(other)
        return self

    def copy(self) -> ParameterDict:
        """Another dictionary with the same parameters."""
        return ParameterDict(dict(self.items()))

    def clear(self) -> None:
        """Take out all."""
        for key in list(self._keys):
            del self[key]

    def get(self, key: str, default: Any = None) -> Any:
        """The parameter of that name, or `default`."""
        return getattr(self, key) if key in self._keys else default

    def setdefault(self, key: str, default: Any = None) -> Any:
        """The parameter of that name, which is `default` from now on if there was none."""
        if key not in self:
            self[key] = default
        return self[key]

    def fromkeys(self, keys: Iterable[str], default: Any = None) -> ParameterDict:
        """A new dictionary with these names, all of them `default`."""
        return ParameterDict(dict.fromkeys(keys, default))

    def pop(self, key: str) -> Any:
        """Take a parameter out and return it."""
        value = self[key]
        del self._keys[key]
        delattr(self, key)
        return value

    def popitem(self) -> tuple[str, Any]:
        """Take the last one out and return it with its name."""
        key = next(reversed(self))
        return key, self.pop(key)

    def keys(self) -> Iterable[str]:
        """The names."""
        return self._keys.keys()

    def values(self) -> Iterable[Any]:
        """The parameters."""
        return [self[key] for key in self]

    def items(self) -> Iterable[tuple[str, Any]]:
        """Names and parameters."""
        return [(key, self[key]) for key in self]

    def update(self, parameters: Any) -> None:
        """Add or replace several, from a dictionary or pairs."""
        pairs = parameters.items() if isinstance(parameters, (Mapping, ParameterDict)) else parameters
        for key, value in pairs:
            self[key] = value

    def extra_repr(self) -> str:
        """The data types and shapes."""
        return "\n".join(
            f"  ({key}): {_described(value, value.type() if isinstance(value, Tensor) else '')}"
            for key, value in self.items()
        )


def _count(times: int) -> int:
    """How often a Sequential is repeated; the same modules stand in it again."""
    if operator.index(times) < 1:
        raise ValueError(f"a Sequential is repeated once or more often, got {times}.")
    return operator.index(times)


def _described(value: Any, dtype: str) -> str:
    """A parameter as PyTorch prints it in a list or, with another word for the data type, in a dictionary."""
    if not isinstance(value, Tensor):
        return f"Object of type: {type(value).__name__}"
    kind = "Parameter" if isinstance(value, Parameter) else "Tensor"
    return f"{kind} containing: [{dtype} of size {'x'.join(map(str, value.shape))}]"


def _as_parameter(value: Any) -> Any:
    return Parameter(value) if isinstance(value, Tensor) and not isinstance(value, Parameter) else value


def _at(entries: dict[str, Any], index: int) -> tuple[str, Any]:
    index = operator.index(index)
    if not -len(entries) <= index < len(entries):
        raise IndexRangeError(f"there is no entry {index}; there are {len(entries)}, from 0 on.")
    return list(entries.items())[index]
