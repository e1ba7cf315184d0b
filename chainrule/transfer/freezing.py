"""Freezing: parts that keep what they have learned while others go on learning."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from chainrule.nn.module import Module


def freeze(
    model: Module,
    up_to: str | None = None,
    names: str | Iterable[str] | None = None,
    predicate: Callable[[str], bool] | None = None,
) -> list[str]:
    """Make parts of a model stay as they are, and answer the names of the parameters that are now frozen.

    Frozen parameters want no gradients, so optimisers pass them by. Layers whose running statistics are frozen too
    (batch normalisation) normalise by these and leave them alone, also after `model.train()`: otherwise they would
    drift towards the new data, and the frozen layers behind them would see other inputs than they have learned on.

    Args:
        model: it is changed in place.
        up_to: the path of a part; everything up to and including it, in the order of registration.
        names: paths of parts or names of parameters.
        predicate: asked with the dotted name of every parameter and buffer.

    At most one of the three; none means everything. A parameter with several names is meant by any of
    them. Raises ValueError for more than one, or if nothing is selected.

    >>> from chainrule import nn
    >>> model = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 3))
    >>> freeze(model, up_to="1")
    ['0.weight', '0.bias', '1.weight', '1.bias']
    >>> model.train()[1].training
    False
    """
    return _switch(model, _selected(model, up_to, names, predicate), learns=False)


def unfreeze(
    model: Module,
    up_to: str | None = None,
    names: str | Iterable[str] | None = None,
    predicate: Callable[[str], bool] | None = None,
) -> list[str]:
    """Let parts of a model learn again, statistics too, and answer the names of their parameters. See `freeze`.

    >>> from chainrule import nn
    >>> model = nn.Sequential(nn.Linear(4, 8), nn.Linear(8, 3))
    >>> _ = freeze(model)
    >>> unfreeze(model, names="1")
    ['1.weight', '1.bias']
    """
    return _switch(model, _selected(model, up_to, names, predicate), learns=True)


def _switch(model: Module, selected: set[str], learns: bool) -> list[str]:
    for path, module in model.named_modules(remove_duplicate=False):
        statistics = [name for name in _own_names(module, path) if name.rpartition(".")[2].startswith("running_")]
        if statistics and selected.issuperset(_own_names(module, path)):
            module.stays_in_evaluation = not learns
            module.train(model.training)
    switched = []
    for name, parameter in model.named_parameters(remove_duplicate=False):
        if name in selected:
            switched.append(name)
            parameter.requires_grad_(learns)
            if not learns:
                parameter.grad = None
    return switched


def _own_names(module: Module, path: str) -> list[str]:
    """The dotted names of the parameters and buffers that are a module's own."""
    entries = [*module.named_parameters(path, recurse=False), *module.named_buffers(path, recurse=False)]
    return [name for name, _ in entries]


def _selected(
    model: Module,
    up_to: str | None,
    names: str | Iterable[str] | None,
    predicate: Callable[[str], bool] | None,
) -> set[str]:
    """The dotted names of the parameters and buffers that are meant."""
    if sum(choice is not None for choice in (up_to, names, predicate)) > 1:
        raise ValueError("say which parts by one of up_to, names and predicate, not by several.")
    modules = model.named_modules(remove_duplicate=False)
    everything = [name for path, module in modules for name in _own_names(module, path)]
    if up_to is not None:
        _check_path(model, up_to, everything)
        last = max(i for i, name in enumerate(everything) if _below(name, up_to))
        return set(everything[: last + 1])
    if names is not None:
        wanted = [names] if isinstance(names, str) else list(names)
        for name in wanted:
            _check_path(model, name, everything)
        return {name for name in everything if any(_below(name, part) for part in wanted)}
    chosen = {name for name in everything if predicate is None or predicate(name)}
    if not chosen and predicate is not None:
        raise ValueError(f"the predicate selects nothing of {', '.join(everything[:3])}, ….")
    return chosen


def _below(name: str, path: str) -> bool:
    return name == path or name.startswith(f"{path}.")


def _check_path(model: Module, path: str, everything: list[str]) -> None:
    if not any(_below(name, path) for name in everything):
        children = ", ".join(name for name, _ in model.named_children())
        raise ValueError(f"{type(model).__name__} has nothing to learn under {path!r}; its parts are {children}.")
