"""What shaped a trace without being a tensor: training mode, settings of layers and optimisers, plain numbers.

The function's surroundings are searched for modules, optimisers, numbers and names; each becomes a fact. Before every
run the facts are compared: a few dozen dictionary look-ups.
"""

from __future__ import annotations

import dis
import sys
from collections.abc import Callable, Set
from types import CodeType, ModuleType
from typing import Any

_PLAIN = (bool, int, float, str, bytes, type(None), tuple)
_MISSING = object()
#: What code reads: names, and of each the attributes that it reads in turn.
Reads = dict[str, "Reads"]
#: Functions of these are not searched for facts of the user's.
_LIBRARIES = frozenset({"chainrule", "numpy", "scipy", "matplotlib", "pytest", "_pytest"})


class Facts:
    """Entries of dictionaries that must be what they were."""

    def __init__(self) -> None:
        self.entries: list[tuple[dict[Any, Any], Any, Any, str]] = []
        self.wanted: list[tuple[Any, bool, str]] = []
        self.settings: set[tuple[int, str]] = set()

    def add(self, where: dict[Any, Any], key: Any, title: str) -> None:
        """From now on this entry is a fact."""
        self.entries.append((where, key, where.get(key, _MISSING), title))

    def hold(self) -> bool:
        """Whether all is as it was."""
        for where, key, value, _ in self.entries:
            now = where.get(key, _MISSING)
            if now is not value and (type(now) is not type(value) or not isinstance(now, _PLAIN) or now != value):
                return False
        return all((tensor._value.source is None) == fixed for tensor, fixed, _ in self.wanted)

    def changed_settings(self) -> set[tuple[int, str]]:
        """Which numbers among the optimisers' settings are no longer what they were: (the group's identity, name)."""
        return {
            (id(where), key)
            for where, key, value, _ in self.entries
            if (id(where), key) in self.settings
            and where.get(key) != value
            and all(type(x) in (int, float) for v in (value, where.get(key)) for x in (v if type(v) is tuple else (v,)))
        }

    def change(self) -> str:
        """What is no longer as it was, in words; "" if nothing."""
        for where, key, value, title in self.entries:
            now = where.get(key, _MISSING)
            if now is not value and (type(now) is not type(value) or not isinstance(now, _PLAIN) or now != value):
                return f"{title} was {value!r:.60} and is {now!r:.60}"
        for tensor, fixed, title in self.wanted:
            if (tensor._value.source is None) != fixed:
                return f"requires_grad of {title} changed"
        return ""


def facts_of(function: Callable[..., Any], moving: Set[tuple[int, str]] = frozenset()) -> Facts:
    """The facts around a function: what it refers to by name, in its closure, in its defaults, or is bound to.

    Settings in `moving` are inputs of the program and no facts.
    """
    facts = Facts()
    _visit_function(function, facts, set(), 0)
    facts.entries = [entry for entry in facts.entries if (id(entry[0]), entry[1]) not in moving]
    return facts


def _visit_function(function: Callable[..., Any], facts: Facts, seen: set[int], depth: int) -> None:
    bound = getattr(function, "__self__", None)
    plain = getattr(function, "__func__", function)
    if not hasattr(plain, "__code__"):
        _visit(plain, type(plain).__name__, facts, seen, depth, {})
        return
    reads = _reads(plain.__code__)
    if bound is not None and plain.__code__.co_varnames:
        _visit(bound, type(bound).__name__, facts, seen, depth, reads.get(plain.__code__.co_varnames[0], {}))
    for name in reads:
        if name in plain.__globals__:
            _fact(plain.__globals__, name, name, facts, seen, depth, reads[name])
    for name, cell in zip(plain.__code__.co_freevars, plain.__closure__ or (), strict=True):
        try:
            content = cell.cell_contents
        except ValueError:
            continue
        _visit(content, name, facts, seen, depth, reads.get(name, {}))
        if _is_told_apart(content):
            facts.entries.append((_CellView(cell), "cell_contents", content, name))  # type: ignore[arg-type]
    for i, default in enumerate(plain.__defaults__ or ()):
        _visit(default, f"default {i}", facts, seen, depth, {})


class _CellView:
    """A closure's variable, read as a dictionary with one entry."""

    def __init__(self, cell: Any) -> None:
        self.cell = cell

    def get(self, key: str, default: Any) -> Any:
        """What the variable holds."""
        try:
            return self.cell.cell_contents
        except ValueError:
            return default


class _ListView(dict[Any, Any]):
    """A list, read as a dictionary of its entries and its length."""

    def __init__(self, entries: list[Any]) -> None:
        super().__init__()
        self.entries = entries

    def __getitem__(self, key: Any) -> Any:
        return len(self.entries) if key == "length" else self.entries[key]

    def get(self, key: Any, default: Any = None) -> Any:
        """One entry, or the length."""
        return self[key] if key == "length" or key < len(self.entries) else default


def _is_told_apart(content: Any) -> bool:
    """Whether it matters which one a variable holds: a number or a name, a tensor or a module."""
    from chainrule.cell import TensorCell
    from chainrule.nn.module import Module

    return isinstance(content, (*_PLAIN, TensorCell, Module))


def _reads(code: CodeType) -> Reads:
    """The variables that code reads, each with the attributes that it reads of them, and so on.

    `self.model(x) * self.settings.scale` gives {"self": {"model": {}, "settings": {"scale": {}}}, "x": {}}.
    """
    reads: Reads = {}
    here: Reads | None = None
    for instruction in dis.get_instructions(code):
        if instruction.opname in ("LOAD_ATTR", "LOAD_METHOD") and here is not None:
            here = here.setdefault(instruction.argval, {})
        elif instruction.opname.startswith(("LOAD_FAST", "LOAD_DEREF", "LOAD_GLOBAL", "LOAD_NAME")):
            named = instruction.argval
            for name in named if isinstance(named, tuple) else (named,):
                here = reads.setdefault(name, {})
        elif instruction.opname not in ("CACHE", "PUSH_NULL"):
            here = None
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            for name, parts in _reads(constant).items():
                _join(reads.setdefault(name, {}), parts)
    return reads


def _join(reads: Reads, more: Reads) -> None:
    for name, parts in more.items():
        _join(reads.setdefault(name, {}), parts)


def _fact(where: dict[Any, Any], key: Any, title: str, facts: Facts, seen: set[int], depth: int, reads: Reads) -> None:
    content = where[key]
    if _is_told_apart(content):
        facts.add(where, key, title)
    _visit(content, title, facts, seen, depth, reads)


def _visit(thing: Any, title: str, facts: Facts, seen: set[int], depth: int, reads: Reads) -> None:
    """Look for facts in modules, optimisers, functions, containers and objects, not deeper than a few steps.

    `reads` is what the function's code reads of this thing: of other objects only such attributes count.
    """
    from chainrule.cell import TensorCell
    from chainrule.nn.module import Module
    from chainrule.optim.optimizer import Optimizer

    if id(thing) in seen or depth > 4 or isinstance(thing, (*_PLAIN, type, ModuleType)):
        return
    seen.add(id(thing))
    if isinstance(thing, TensorCell):
        facts.wanted.append((thing, thing._value.source is None, title))
    elif isinstance(thing, Module):
        _visit_module(thing, title, facts, seen)
    elif isinstance(thing, Optimizer):
        for i, group in enumerate(thing.param_groups):
            for name in group:
                if name not in ("lr", "params", "param_names", "initial_lr"):
                    facts.add(group, name, f"{title}.param_groups[{i}][{name!r}]")
                    facts.settings.add((id(group), name))
    elif isinstance(thing, list):
        entries = _ListView(thing)
        facts.add(entries, "length", f"len({title})")
        for i in range(min(len(thing), 1000)):
            _fact(entries, i, f"{title}[{i}]", facts, seen, depth + 1, reads)
    elif isinstance(thing, dict):
        for key in list(thing)[:1000]:
            _fact(thing, key, f"{title}[{key!r}]", facts, seen, depth + 1, reads)
    elif hasattr(thing, "__code__") and hasattr(thing, "__globals__"):
        if not _is_library(thing):
            _visit_function(thing, facts, seen, depth + 1)
    elif not _is_library(type(thing)):
        _visit_object(thing, title, facts, seen, depth + 1, reads)


def _visit_object(thing: Any, title: str, facts: Facts, seen: set[int], depth: int, reads: Reads) -> None:
    """The attributes of somebody's object that the code reads, also in the methods that it calls."""
    attributes = getattr(thing, "__dict__", {})
    for name, parts in reads.items():
        if name in attributes:
            _fact(attributes, name, f"{title}.{name}", facts, seen, depth, parts)
            continue
        code = getattr(getattr(type(thing), name, None), "__code__", None)
        if code is not None and code.co_varnames and id(code) not in seen and depth <= 8:
            seen.add(id(code))
            within = _reads(code).get(code.co_varnames[0], {})
            _visit_object(thing, title, facts, seen, depth + 1, within)


def _is_library(thing: Any) -> bool:
    """Whether it is nobody's own: from Python or a library. The trainer stands for a function of the user's."""
    home = str(getattr(thing, "__module__", ""))
    root = home.split(".")[0]
    return (root in _LIBRARIES or root in sys.stdlib_module_names) and home != "chainrule.train.trainer"


def _visit_module(module: Any, title: str, facts: Facts, seen: set[int]) -> None:
    for name, part in module.named_modules():
        seen.add(id(part))
        path = f"{title}.{name}" if name else title
        for key, value in part.__dict__.items():
            if isinstance(value, _PLAIN):
                facts.add(part.__dict__, key, f"{path}.{key}")
        for key, tensor in part.named_parameters(recurse=False):
            facts.wanted.append((tensor, tensor._value.source is None, f"{path}.{key}"))
        for group in ("_modules", "_parameters", "_buffers"):
            for key in part.__dict__.get(group, {}):
                facts.add(part.__dict__[group], key, f"{path}.{key}")
