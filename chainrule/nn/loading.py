"""Putting saved values into a module: all or nothing."""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from chainrule.autodiff.mode import no_grad
from chainrule.devices import CPU
from chainrule.errors import CheckpointError
from chainrule.functions.creation import tensor
from chainrule.nn.uninitialized import is_uninitialized
from chainrule.tensor import Parameter, Tensor

if TYPE_CHECKING:
    from chainrule.nn.module import Module

#: The name of what `get_extra_state` answers, after the module's path.
EXTRA_STATE = "_extra_state"


class IncompatibleKeys(NamedTuple):
    """What `load_state_dict(strict=False)` could not match."""

    missing_keys: list[str]
    unexpected_keys: list[str]

    def __repr__(self) -> str:
        if not self.missing_keys and not self.unexpected_keys:
            return "<All keys matched successfully>"
        return f"IncompatibleKeys(missing_keys={self.missing_keys}, unexpected_keys={self.unexpected_keys})"


class _Place(NamedTuple):
    """Where an entry of the state stands: the table of a module that holds it, and what is there now."""

    table: dict[str, Any]
    key: str
    entry: Tensor


def load_state(module: Any, state_dict: Mapping[str, Any], strict: bool, assign: bool) -> IncompatibleKeys:
    """See `Module.load_state_dict`."""
    if not isinstance(state_dict, Mapping):
        raise TypeError(f"load_state_dict takes a dictionary, got {_kind(state_dict)}; chainrule.load reads a file.")
    state, keys = OrderedDict(state_dict), IncompatibleKeys([], [])
    problems: list[str] = []
    for path, part in _parts(module):
        for hook in part._hooks_for("load_pre"):
            hook.function(part, state, path, {}, strict, keys.missing_keys, keys.unexpected_keys, problems)
        part._load_from_state_dict(state, path, {}, strict, keys.missing_keys, keys.unexpected_keys, problems)
    places, extra = _places(module), _extra_states(module)
    optional = _newer_names(module)
    keys.missing_keys.extend(name for name in (*places, *extra) if name not in state and name not in optional)
    keys.unexpected_keys.extend(name for name in state if name not in places and name not in extra)
    given = {name: _as_tensor(name, state[name]) for name in places if name in state}
    misfits = [name for name, new in given.items() if _misfit(name, new, places[name].entry)]
    problems += _told([_misfit(name, given[name], places[name].entry) for name in misfits], 4)
    after = [(part, hook) for part in _from_below(module) for hook in part._hooks_for("load_post")]
    head = _another_head({name: (tuple(given[name].shape), tuple(places[name].entry.shape)) for name in misfits})
    _refuse(module, problems, None if after else keys, strict, state, head)
    before = [(place, place.entry.value) for place in places.values()]
    with no_grad():
        for name, new in given.items():
            (_assign if assign else _copy)(new, places[name])
    for name in extra:
        if name in state:
            extra[name].set_extra_state(state[name])
    for part, hook in after:  # they may say that some names do not matter
        hook.function(part, keys)
    try:
        _refuse(module, [], keys, strict, state)
    except CheckpointError:
        for place, value in before:
            place.table[place.key] = place.entry
            place.entry.put_value(value)
        raise
    return keys


def _refuse(
    module: Module,
    problems: list[str],
    keys: IncompatibleKeys | None,
    strict: bool,
    state: Mapping[str, Any],
    cause: str = "",
) -> None:
    """Raise a CheckpointError if there is anything to complain about."""
    cause = (_likely_cause(keys, state) if strict and keys else "") or cause
    if strict and keys and keys.missing_keys:
        problems = [*problems, f"missing: {_grouped(keys.missing_keys)}"]
    if strict and keys and keys.unexpected_keys:
        problems = [*problems, f"unexpected: {_grouped(list(map(str, keys.unexpected_keys)))}"]
    if problems:
        raise CheckpointError(f"these weights do not fit {type(module).__name__}: {'; '.join(problems)}.{cause}")


#: So many names are listed one by one.
_FEW = 8


def _grouped(names: list[str]) -> str:
    """A few names as they are; more of them by the part of the model that they belong to, with their numbers."""
    if len(names) <= _FEW:
        return ", ".join(names)
    groups = Counter(name.partition(".")[0] if "." in name else name for name in names)
    single = {name.partition(".")[0]: name for name in names}
    return ", ".join(_told([f"{part}.* ({n})" if n > 1 else single[part] for part, n in groups.items()], _FEW))


def _told(texts: list[str], most: int) -> list[str]:
    """The first of them, and how many there are besides."""
    return texts if len(texts) <= most else [*texts[:most], f"… and {len(texts) - most} more"]


def _another_head(misfits: Mapping[str, tuple[tuple[int, ...], tuple[int, ...]]]) -> str:
    """What to do if only one layer's number of outputs is another; "" if that is not what is wrong."""
    outputs = {(given[0], own[0]) for given, own in misfits.values() if given and own and given[1:] == own[1:]}
    layers = {name.rpartition(".")[0] for name in misfits}
    if len(outputs) != 1 or len(layers) != 1 or any(given[1:] != own[1:] for given, own in misfits.values()):
        return ""
    if "" in layers:  # the layer is the whole model, nobody's head
        return ""
    given, own = outputs.pop()
    return (
        f" The weights have a head {layers.pop()} with {given} outputs, the model's has {own}: make the model with as "
        f"many (num_classes={given}) and then replace the head (chainrule.transfer.replace_head), or take what fits "
        "(chainrule.transfer.load_pretrained)."
    )


#: What wrappers put in front of all names: those for several devices, and PyTorch's compiler.
_PREFIXES = ("module.", "_orig_mod.")


def _likely_cause(keys: IncompatibleKeys, state: Mapping[str, Any]) -> str:
    """What explains that names are missing and others are unexpected; "" if nothing known does."""
    missing, unexpected = set(keys.missing_keys), [name for name in keys.unexpected_keys if isinstance(name, str)]
    for prefix in _PREFIXES:
        if missing & {name.removeprefix(prefix) for name in unexpected if name.startswith(prefix)}:
            return (
                f" The names begin with {prefix!r}, so they were saved from a model in a wrapper (DataParallel and the "
                f"like); load {{name.removeprefix({prefix!r}): value for name, value in state.items()}}."
            )
        if missing & {prefix + name for name in unexpected}:
            inner = prefix.removesuffix(".")
            return f" This model is in a wrapper that the saved one was not in: load them into model.{inner}."
    for name in unexpected:
        inside = state[name]
        if isinstance(inside, Mapping) and missing & {key for key in inside if isinstance(key, str)}:
            return f" The weights seem to be one level deeper: load state[{name!r}]."
    return ""


# ------------------------------------------------------------------------------- what a module has


def _parts(module: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """All modules with the prefixes of their entries; one that stands in several places comes as often."""
    yield prefix, module
    for name, part in module._occupied():
        yield from _parts(part, f"{prefix}{name}.")


def _from_below(module: Any) -> Iterator[Any]:
    """All modules, parts before what they are parts of."""
    for _, part in module._occupied():
        yield from _from_below(part)
    yield module


def _places(module: Any) -> dict[str, _Place]:
    """All parameters and saved buffers by name, whatever hooks make of the `state_dict`."""
    return {
        prefix + key: _Place(table, key, entry)
        for prefix, part in _parts(module)
        for table in (part._parameters, part._buffers)
        for key, entry in table.items()
        if entry is not None and key not in part._not_saved
    }


def _newer_names(module: Any) -> set[str]:
    """Entries that older files do not have, and whose absence leaves them as they are."""
    return {prefix + key for prefix, part in _parts(module) for key in part._absent_in_old_files}


def _extra_states(module: Any) -> dict[str, Any]:
    return {
        f"{prefix}{EXTRA_STATE}": part for prefix, part in _parts(module) if part._has_extra_state("set_extra_state")
    }


# -------------------------------------------------------------------------------------- one entry


def _misfit(name: str, new: Tensor, own: Tensor) -> str:
    """What is wrong with a shape; "" if nothing is. One that is not known yet takes any."""
    if is_uninitialized(own) or (new.shape == own.shape and not is_uninitialized(new)):
        return ""
    if is_uninitialized(new):
        return (
            f"{name} has no shape yet (a lazy model's weights from before its first input), "
            f"the model's has {tuple(own.shape)}"
        )
    return f"{name} has shape {tuple(new.shape)}, the model's has {tuple(own.shape)}"


def _copy(new: Tensor, place: _Place) -> None:
    own = place.entry
    if is_uninitialized(new):
        return  # neither has values
    if is_uninitialized(own):
        own.materialize(new.shape)
    own.copy_(new)


def _assign(new: Tensor, place: _Place) -> None:
    """Put the given tensor itself in the place. A parameter stays one, and wants a gradient if it did.

    A tensor that is no parameter makes one with memory of its own: a `state_dict` shows the weights of another model,
    which must not learn with this one.
    """
    if isinstance(place.entry, Parameter) and not is_uninitialized(new):
        wanted = place.entry.requires_grad
        new = new.requires_grad_(wanted) if isinstance(new, Parameter) else Parameter(new.detach_copy(), wanted)
    place.table[place.key] = new


def _as_tensor(name: str, thing: Any) -> Tensor:
    if isinstance(thing, Tensor):
        return thing
    try:
        return tensor(np.asarray(thing), device=CPU)
    except (TypeError, ValueError, RuntimeError) as error:
        raise CheckpointError(f"the weights have no array under {name}, but {_kind(thing)}: {error}") from None


def _kind(thing: Any) -> str:
    return type(thing).__name__
