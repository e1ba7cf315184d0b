"""Whole modules in a file: the class of each by its name, and what its instance holds. Nothing is executed on reading.

A file only says names. A name is looked up among the classes that the program has: chainrule's, those of modules that
are imported already, and those given to `load(…, classes=[…])`. It is never imported, and what it names must be a
`Module` (or a dataclass, for settings that a module keeps). An instance is made without calling its class: it gets
the tables that every module has and the saved entries. Functions are known by chainrule's own names for them.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
from collections.abc import Callable, Sequence
from functools import cache
from types import SimpleNamespace
from typing import Any

from chainrule.errors import CheckpointError
from chainrule.functions.promotion import is_sparse
from chainrule.nn.module import Module
from chainrule.tensor import Parameter, Tensor

#: What is written of a module by name; all other tables that `Module.__init__` makes hold hooks.
_TABLES = {"_parameters": Parameter, "_buffers": Tensor, "_modules": Module}
_WRITTEN = {*_TABLES, "_not_saved", "training"}
#: Bags of settings, by the names that they have in a file.
_BAGS: dict[str, Callable[[], Any]] = {"Namespace": argparse.Namespace, "SimpleNamespace": SimpleNamespace}


# ------------------------------------------------------------------------------------------ names


def name_of(kind: type, place: str) -> str:
    """The name by which a class is found again: "package.module:Class".

    Raises CheckpointError if the class is not found by its own name, as one that is defined in a function.
    """
    found = _look_up(kind.__module__, kind.__qualname__)
    if found is kind:
        return f"{kind.__module__}:{kind.__qualname__}"
    raise CheckpointError(
        f"{place} cannot be saved: its class {kind.__qualname__} is not found by that name in {kind.__module__} "
        "(it was made in a function or while running); define it at the top of a module, or save the state_dict()."
    )


def _look_up(module: str, qualified: str) -> Any:
    """What a name means in a module that is imported already; None if it is not, or means nothing."""
    thing: Any = sys.modules.get(module)
    for part in qualified.split("."):
        thing = getattr(thing, "__dict__", {}).get(part)  # not getattr: it might import something
    return thing


def _moved(module: str, qualified: str) -> Any:
    """A class of ours that an older version had in another file of the same part, as `nn`; None if there is none.

    So our files may be arranged anew, and what was saved before can still be read.
    """
    part = ".".join(module.split(".")[:2]) + "."
    found = {_look_up(name, qualified) for name in list(sys.modules) if name.startswith(part)}
    classes = [thing for thing in found if isinstance(thing, type) and thing.__module__.startswith(part)]
    return classes[0] if len(classes) == 1 else None


class Classes:
    """The classes that a file may name: those given, and those that the program has imported."""

    def __init__(self, given: Sequence[type] = ()) -> None:
        for each in given:
            if not isinstance(each, type):
                raise TypeError(f"load takes classes=[…] as a list of classes, got {each!r}.")
        self._given = list(given)

    def find(self, name: str) -> type:
        """The class of that name. Raises CheckpointError with the line to add if there is none."""
        import chainrule.models  # noqa: F401  (all of our own that a file is likely to name)

        module, _, qualified = name.partition(":")
        same = [each for each in self._given if each.__qualname__ == qualified]
        exact = [each for each in same if each.__module__ == module]
        found = exact[0] if exact else same[0] if len(same) == 1 else _look_up(module, qualified)
        if found is None and module.startswith("chainrule."):
            found = _moved(module, qualified)
        if isinstance(found, type):
            return found
        first = qualified.split(".")[0]
        line = (
            f"define the class {first} in the program"
            if module == "__main__"
            else f"add `from {module} import {first}` to the program"
        )
        raise CheckpointError(
            f"the file holds a {qualified} of {module}, which is not imported, and a file imports nothing: {line} "
            f"before load, or give the class: load(…, classes=[{qualified}])."
        )

    def find_module(self, name: str) -> type[Module]:
        """The class of that name, a Module. Raises CheckpointError for any other."""
        found = self.find(name)
        if not issubclass(found, Module):
            raise CheckpointError(f"the file wants a module of the class {name}, which is none.")
        return found


@cache
def _functions() -> dict[str, Any]:
    """Our own functions of tensors by their public names: what a module may keep as its activation."""
    import chainrule
    from chainrule.nn import functional

    found = {f"nn.functional.{name}": getattr(functional, name) for name in functional.__dict__ if name[0] != "_"}
    ours = ("chainrule.functions.", "chainrule.methods.")
    later = [name for name, noted in chainrule._later.names.items() if noted.module.startswith(ours)]
    found.update({name: getattr(chainrule, name) for name in [*vars(chainrule), *later] if name[0] != "_"})
    return {
        name: thing
        for name, thing in found.items()
        if callable(thing)
        and not isinstance(thing, type)
        and getattr(thing, "__module__", "").startswith(("chainrule.functions.", "chainrule.nn."))
    }


# ---------------------------------------------------------------------------------------- writing


def pack_object(packer: Any, thing: Any, path: tuple[Any, ...], place: str) -> Any:
    """What is written for a module or what modules keep; None for a thing of another kind."""
    if isinstance(thing, Module):
        return _pack_module(packer, thing, path, place)
    if is_sparse(thing):
        return {"sparse": packer.pack(list(thing.__reduce__()[1]), path)}
    if isinstance(thing, type):
        return {"class": name_of(thing, place)} if issubclass(thing, Module) else None
    if isinstance(thing, dict) and type(thing).__module__.startswith("chainrule."):
        return {"table": [name_of(type(thing), place), packer.pack(dict(thing), path)]}
    if dataclasses.is_dataclass(thing):
        fields = {field.name: getattr(thing, field.name) for field in dataclasses.fields(thing)}
        fields |= getattr(thing, "__dict__", {})
        return {"record": [name_of(type(thing), place), packer.pack(fields, path)]}
    for name, kind in _BAGS.items():
        if type(thing) is kind:
            return {"namespace": [name, packer.pack(dict(vars(thing)), path)]}
    for name, function in _functions().items():
        if thing is function or thing is getattr(function, "__wrapped__", None):
            return {"function": name}
    return None


def _pack_module(packer: Any, module: Module, path: tuple[Any, ...], place: str) -> Any:
    number = packer.modules.get(id(module))
    if number is not None:
        return {"same": number}
    packer.modules[id(module)] = number = len(packer.modules)
    packer.held.append(module)
    kind, own = type(module), dict(vars(module))
    if kind.__getstate__ is not Module.__getstate__ or kind.__setstate__ is not Module.__setstate__:
        raise CheckpointError(
            f"{place} cannot be saved: {kind.__qualname__} says itself, by code, how it is pickled; save its "
            "state_dict()."
        )
    for table in vars(Module()):
        held = own.pop(table, None)
        if held and table not in _WRITTEN | {"_paths"}:
            raise CheckpointError(
                f"{place} cannot be saved: it has hooks ({table.strip('_')}), which are functions; remove them before, "
                "or save its state_dict()."
            )
    return {
        "module": {
            "number": number,
            "class": name_of(kind, place),
            "training": module.training,
            "not_saved": sorted(module._not_saved),
            **{table.strip("_"): packer.pack(dict(getattr(module, table)), path) for table in _TABLES},
            "fields": packer.pack(own, path),
        }
    }


# ---------------------------------------------------------------------------------------- reading


def readers(back: Callable[[Any], Any], classes: Classes) -> dict[str, Callable[[Any], Any]]:
    """How each kind that `pack_object` writes is read; `back` reads what lies inside."""
    modules: dict[int, Module] = {}

    def module(entry: dict[str, Any]) -> Module:
        kind = classes.find_module(entry["class"])
        made: Module = object.__new__(kind)
        modules[entry["number"]] = made
        Module.__init__(made)
        fields = made.__dict__
        fields.update(_named(back(entry["fields"]), object))
        for table, of in _TABLES.items():
            fields[table].update(_named(back(entry[table.strip("_")]), of))
        fields["_not_saved"] = {str(name) for name in entry["not_saved"]}
        fields["training"] = bool(entry["training"])
        return made

    def record(entry: list[Any]) -> Any:
        kind = classes.find(entry[0])
        if not dataclasses.is_dataclass(kind) or hasattr(kind, "__del__"):
            raise CheckpointError(f"the file wants a dataclass {entry[0]}, which is none.")
        made = object.__new__(kind)
        for name, value in _named(back(entry[1]), object).items():
            object.__setattr__(made, name, value)
        return made

    def table(entry: list[Any]) -> Any:
        kind = classes.find(entry[0])
        if not issubclass(kind, dict) or not kind.__module__.startswith("chainrule."):
            raise CheckpointError(f"the file wants a dictionary {entry[0]}, which is none of chainrule's.")
        made = kind()
        made.update(back(entry[1]))
        return made

    def sparse(entry: Any) -> Any:
        from chainrule.sparse import SparseTensor, sparse_coo_tensor, sparse_csr_tensor

        places, entries, shape, coalesced, crow = back(entry)
        if crow is None:
            made = sparse_coo_tensor(places, entries, shape, is_coalesced=coalesced)  # which checks them
        else:
            made = sparse_csr_tensor(crow, places[1], entries, shape)
        return SparseTensor(made._places, entries, made.shape, made._coalesced, made._crow)

    def namespace(entry: list[Any]) -> Any:
        made = _BAGS[entry[0]]()
        vars(made).update(_named(back(entry[1]), object))
        return made

    return {
        "module": module,
        "same": lambda number: modules[number],
        "class": classes.find_module,
        "record": record,
        "table": table,
        "namespace": namespace,
        "sparse": sparse,
        "function": lambda name: _functions()[name],
    }


def _named(entries: Any, kind: type) -> dict[str, Any]:
    """A table of names; each entry is of that kind or None. Raises ValueError for anything else."""
    if not isinstance(entries, dict) or not all(
        isinstance(name, str) and (entry is None or isinstance(entry, kind)) for name, entry in entries.items()
    ):
        raise ValueError(f"a table of a module holds something else than names and {kind.__name__}s")
    return entries
