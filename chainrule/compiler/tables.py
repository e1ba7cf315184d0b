"""What our own objects hold, as tables to compare when one of them says that it has changed."""

from __future__ import annotations

from typing import Any

from chainrule.changes import Group, WatchedList, fields_of
from chainrule.compiler.facts import Table
from chainrule.compiler.sight import HOOKS, INTERNAL

#: Names not to compare, by the identity of the dictionary: the step writes there itself, or they are inputs.
Skip = dict[int, set[Any]]


def tables_of(thing: Any, skip: Skip) -> list[Table]:
    """The tables of a module, with all below it, or of an optimiser."""
    from chainrule.nn.module import Module

    if isinstance(thing, Module):
        root = type(thing).__name__
        named = [(f"{root}.{name}" if name else root, part) for name, part in thing.named_modules()]
        return [table for title, part in named for table in _of_layer(part, title, skip)]
    return _of_optimiser(thing, skip)


def _table(holder: Any, title: str, skip: Skip, *names: Any, owner: Any = None) -> Table:
    return Table(holder, title, frozenset({*names, *skip.get(id(holder), ())}), owner)


def _of_layer(part: Any, title: str, skip: Skip) -> list[Table]:
    fields = fields_of(part)
    found = [Table(part, f"the class of {title}"), _table(fields, title + ".{}", skip, *INTERNAL, owner=part)]
    found += [_table(fields[t], title + ".{}", skip) for t in ("_parameters", "_buffers", "_modules")]
    found += [_table(fields[t], f"{title}{t} {{}}", skip) for t in HOOKS]
    for parameter in part._parameters.values():
        if parameter is not None and parameter._leaf is not None:
            hooks = (parameter._leaf.hooks or {}).values()
            found += [_table(table, title + ": hook {}", skip) for table in hooks]
    return found


def _of_optimiser(thing: Any, skip: Skip) -> list[Table]:
    title = type(thing).__name__
    found = [
        _table(fields_of(thing), title + ".{}", skip, "stepped", owner=thing),
        _table(thing.param_groups, title + ".param_groups[{}]", skip),
        _table(thing._hooks, title + "._hooks[{}]", skip),
        _table(thing.defaults, title + ".defaults[{}]", skip),
        _table(thing.state, title + ".state", skip),
    ]
    for i, group in enumerate(thing.param_groups):
        of_group = f"{title}.param_groups[{i}]"
        found.append(_table(group, of_group + "[{}]", skip, *_rate_of(group)))
        found.append(_table(group["params"], of_group + ": parameter {}", skip))
    found += [_table(hooks, f"{title}: {kind} hook {{}}", skip) for kind, hooks in thing._hooks.items()]
    found += [_table(entries, title + ".state: {}", skip) for entries in thing.state.values()]
    return found


def _rate_of(group: Any) -> set[str]:
    """The learning rate is read anew in every call, if it is a number."""
    return {"lr"} if type(group.get("lr")) in (int, float) else set()


def plain_tables_of(thing: Any, skip: Skip) -> list[Table]:
    """Dictionaries and lists that somebody has put among ours, which do not say when they change."""
    found = []
    for i, group in enumerate(getattr(thing, "param_groups", ())):
        title = f"{type(thing).__name__}.param_groups[{i}]"
        if not isinstance(group, Group):
            found.append(_table(group, title + "[{}]", skip, *_rate_of(group)))
        if not isinstance(group["params"], WatchedList) and isinstance(group["params"], list):
            found.append(_table(group["params"], title + ": parameter {}", skip))
    return found
