"""Running a module with other parameters than its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from chainrule.functions.pieces import stack


def functional_call(
    module: Any,
    parameter_and_buffer_dicts: dict[str, Any] | Sequence[dict[str, Any]],
    args: Any = (),
    kwargs: Any = None,
    *,
    tie_weights: bool = True,
    strict: bool = False,
) -> Any:
    """`module(*args, **kwargs)` with the named parameters and buffers replaced for this one call.

    Gradients flow into the replacements, so the module becomes a function of its parameters. Names are those of
    `state_dict()`; what is not named keeps its own value, except where a shared parameter is replaced under another
    of its names (unless `tie_weights` is False). Several dictionaries, of parameters and of buffers, count as one.
    A name that a part of the module does not have changes nothing, as in PyTorch.

    Raises AttributeError for a name in a part that the module does not have, KeyError for what is there and no tensor;
    with `strict` also for any name that it does not have, and for one that is not given.

    >>> import chainrule
    >>> layer = chainrule.nn.Linear(2, 1)
    >>> weights = {"weight": chainrule.ones(1, 2), "bias": chainrule.zeros(1)}
    >>> chainrule.func.functional_call(layer, weights, chainrule.tensor([[3.0, 4.0]]))
    tensor([[7.]])
    """
    given = parameter_and_buffer_dicts
    if not isinstance(given, dict):
        given = {name: value for part in given for name, value in part.items()}
    if strict:
        left = {name for kind in (module.named_parameters(), module.named_buffers()) for name, _ in kind} - set(given)
        if left:
            raise KeyError(f"functional_call: strict=True, but {', '.join(sorted(left))} are not given.")
    places: list[tuple[dict[str, Any], str, Any]] = []
    values: list[Any] = []
    for name, value in given.items():
        owner_path, _, own_name = name.rpartition(".")
        owner = module.get_submodule(owner_path)
        table = owner._parameters if own_name in owner._parameters else owner._buffers
        if own_name in table:
            places.append((table, own_name, table[own_name]))
            values.append(value)
        elif strict or hasattr(owner, own_name):  # what is there and no tensor was meant, and cannot be replaced
            raise KeyError(f"functional_call: {type(module).__name__} has no parameter or buffer {name!r}.")
    shared = _other_places(module, places, values) if tie_weights else []
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


def stack_module_state(models: Sequence[Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """(parameters, buffers) of several modules of one class, each stacked along a new first dimension: for `vmap`.

    >>> import chainrule
    >>> layers = [chainrule.nn.Linear(2, 1) for _ in range(3)]
    >>> parameters, buffers = chainrule.func.stack_module_state(layers)
    >>> run = chainrule.vmap(lambda p, x: chainrule.func.functional_call(layers[0], p, x), in_dims=(0, None))
    >>> run(parameters, chainrule.ones(4, 2)).shape
    Size([3, 4, 1])
    """
    if not models or any(type(model) is not type(models[0]) for model in models):
        raise ValueError(f"stack_module_state takes modules of one class, got {[type(m).__name__ for m in models]}.")
    parameters, buffers = (
        [dict(named) for named in kind]
        for kind in ((model.named_parameters() for model in models), (model.named_buffers() for model in models))
    )
    return _stacked(parameters, leaves=True), _stacked(buffers, leaves=False)


def _stacked(states: list[dict[str, Any]], leaves: bool) -> dict[str, Any]:
    """Leaves: parameters of their own, which require gradients as the first module's do."""
    return {
        name: stack([state[name].detach() for state in states]).requires_grad_(leaves and tensor.requires_grad)
        for name, tensor in states[0].items()
    }
