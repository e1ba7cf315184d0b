"""Import statements that are noted instead of carried out: what they name is loaded when it is first used.

    with Later(globals()) as _later:
        from chainrule.functions.control import scan as scan

So a name is written once, type checkers and editors read an ordinary import, and starting stays quick.
"""

from __future__ import annotations

import builtins
import importlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Self


class _Name(NamedTuple):
    """A name in a module that is not loaded yet."""

    module: str
    name: str


class _Unloaded:
    """What stands for a module in a `from … import …`: whatever is taken from it is a note."""

    def __init__(self, module: str) -> None:
        self._module = module

    def __getattr__(self, name: str) -> _Name:
        return _Name(self._module, name)


class Later:
    """Within this block the imports of one module are noted; those of others are carried out as always.

    Attributes:
        names: what was noted: for each name the module to load and what to take from it.
    """

    def __init__(self, namespace: dict[str, Any]) -> None:
        self.names: dict[str, _Name] = {}
        self._namespace = namespace
        self._import: Any = None

    def __enter__(self) -> Self:
        self._import, builtins.__import__ = builtins.__import__, self._note
        return self

    def __exit__(self, *exception: object) -> None:
        builtins.__import__ = self._import
        self.names = {name: thing for name, thing in self._namespace.items() if type(thing) is _Name}
        for name in self.names:
            del self._namespace[name]

    def _note(
        self,
        name: str,
        globals: Mapping[str, Any] | None = None,
        locals: Mapping[str, Any] | None = None,
        fromlist: Sequence[str] | None = (),
        level: int = 0,
    ) -> Any:
        if globals is not self._namespace:
            return self._import(name, globals, locals, fromlist, level)
        if not fromlist or level:
            raise ImportError(f"only `from module import name` can be noted for later, not the import of {name!r}.")
        return _Unloaded(name)

    def load(self, name: str) -> Any:
        """What a noted name stands for. Raises KeyError for one that was not noted."""
        module, wanted = self.names[name]
        if module == self._namespace["__name__"]:
            return importlib.import_module(f"{module}.{wanted}")  # a part of the package itself
        return getattr(importlib.import_module(module), wanted)
