"""Running a module with other parameters than its own."""

from __future__ import annotations

from typing import Any


def functional_call(module: Any, parameters_and_buffers: dict[str, Any], args: Any = (), kwargs: Any = None) -> Any:
    """`module(*args, **kwargs)` with the named parameters and buffers replaced for this one call.

    Gradients flow into the replacements, so the module becomes a function of its parameters. Names are those of
    `state_dict()`; what is not named keeps its own value, except where a shared parameter is replaced under another
    of its names. Raises KeyError for a name that the module does not have.

    >>> import chainrule
    >>> layer = chainrule.nn.Linear(2, 1)
    >>> weights = {"weight": chainrule.ones(1, 2), "bias": chainrule.zeros(1)}
    >>> chainrule.func.functional_call(layer, weights, chainrule.tensor([[3.0, 4.0]]))
    tensor([[7.]])
    """
    places: list[tuple[dict[str, Any], str, Any]] = []
    for name in parameters_and_buffers:
        owner_path, _, own_name = name.rpartition(".")
        owner = module.get_submodule(owner_path)
        table = owner._parameters if own_name in owner._parameters else owner._buffers
        if own_name not in table:
            raise KeyError(f"functional_call: {type(module).__name__} has no parameter or buffer {name!r}.")
        places.append((table, own_name, table[own_name]))
    values = list(parameters_and_buffers.values())
    shared = _other_places(module, places, values)
    places += [place for place, _ in shared]
    values += [value for _, value in shared]
    args = args if isinstance(args, tuple) else (args,)
    try:
        for (table, own_name, _), value in zip(places, values, strict=True):
            table[own_name] = value
        return module(*args, **(kwargs or {}))
    finally:
        for table, own_name, original in places:
            table[own_name] = original


def _other_places(module: Any, places: list[tuple[dict[str, Any], str, Any]], values: list[Any]) -> list[Any]:
    """Where what is replaced stands under other names too, ((table, name, original), replacement) each."""
    named = {(id(table), name) for table, name, _ in places}
    replacements = {
        id(original): value for (_, _, original), value in zip(places, values, strict=True) if original is not None
    }
    return [
        ((table, name, entry), replacements[id(entry)])
        for part in module.modules()
        for table in (part._parameters, part._buffers)
        for name, entry in table.items()
        if id(entry) in replacements and (id(table), name) not in named
    ]
