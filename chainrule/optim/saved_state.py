"""Whether a saved state is one of this optimiser's: everything is looked at before anything is changed."""

from __future__ import annotations

import inspect
import numbers
from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from chainrule.errors import CheckpointError
from chainrule.keys import brief
from chainrule.tensor import Tensor

if TYPE_CHECKING:
    from chainrule.optim.optimizer import Optimizer

#: Settings that came to PyTorch's optimisers later, so that states of before lack them.
_LATER = frozenset({"maximize", "foreach", "capturable", "differentiable", "fused", "decoupled_weight_decay"})


def match_parameters(optimizer: Optimizer, saved: Any) -> dict[int, Tensor]:
    """The optimiser's parameters by their numbers in a saved state, which fits in every respect.

    Raises CheckpointError for what is no optimiser's state, for other groups, for settings or entries of another rule,
    and for entries of another shape than their parameter's.
    """
    if not isinstance(saved, Mapping) or not {"state", "param_groups"} <= set(saved):
        raise CheckpointError(
            f'an optimiser\'s state has the entries "state" and "param_groups", got {brief(list(saved))}. '
            "Is it a model's?"
        )
    groups, state = saved["param_groups"], saved["state"]
    if not isinstance(state, Mapping) or not isinstance(groups, list | tuple):
        raise CheckpointError("an optimiser's state is a dictionary, its param_groups are a list.")
    for group in groups:
        if not isinstance(group, Mapping) or not isinstance(group.get("params"), list | tuple):
            raise CheckpointError(f'a saved group is a dictionary with a list "params", got {brief(group)}.')
    have, want = [len(g["params"]) for g in optimizer.param_groups], [len(g["params"]) for g in groups]
    if have != want:
        raise CheckpointError(f"the optimiser has groups of {have} parameters, the saved state of {want}.")
    by_number: dict[int, tuple[Tensor, dict[str, Any]]] = {}
    for own, group in zip(optimizer.param_groups, groups, strict=True):
        _check_settings(optimizer, own, group)
        merged = {**own, **{name: value for name, value in group.items() if name != "params"}}
        by_number |= {_number(n): (p, merged) for n, p in zip(group["params"], own["params"], strict=True)}
    for number, entries in state.items():
        if _number(number) not in by_number:
            raise CheckpointError(f"the saved state is of parameter {number}, which no group of it has.")
        if not isinstance(entries, Mapping):
            raise CheckpointError(f"the saved state of parameter {number} is no dictionary, but {brief(entries)}.")
        _check_entries(optimizer, int(number), entries, *by_number[int(number)])
    return {number: parameter for number, (parameter, _) in by_number.items()}


def _number(number: Any) -> int:
    try:
        return int(number)
    except (TypeError, ValueError):
        raise CheckpointError(f"parameters are numbered in a saved state, got {brief(number)}.") from None


def is_ours(optimizer: Optimizer) -> bool:
    """Whether what it remembers is made by a rule of ours, and not in a `step` of the user's own."""
    return type(optimizer).step.__module__.split(".")[0] == __name__.split(".")[0]


def _check_settings(optimizer: Optimizer, own: Mapping[str, Any], saved: Mapping[str, Any]) -> None:
    """Raise CheckpointError for the settings of another rule, or values of another kind."""
    kind = type(optimizer).__name__
    # Of a class of somebody else's nothing is known, whatever its name.
    names = set(optimizer.defaults) if is_ours(optimizer) and kind in _arguments() else set()
    missing = [name for name in own if name in names - _LATER and name not in saved]
    foreign = [name for name in saved if name not in own and name in _all_names()]
    if missing or foreign:
        lacks = f"it lacks {', '.join(missing)}" if missing else ""
        has = f"it has {', '.join(foreign)}" if foreign else ""
        raise CheckpointError(
            f"this is the state of another optimiser than {kind}: {' and '.join(filter(None, (lacks, has)))}."
        )
    for name in names & set(saved):
        fixed = name not in _arguments()[kind] and name not in _LATER  # what makes the class what it is
        if not _same_kind(own[name], saved[name]) or (fixed and own[name] != saved[name]):
            raise CheckpointError(
                f"{kind}'s {name} is {brief(saved[name])} in the saved state; here it is {brief(own[name])}."
            )
    decoupled = saved.get("decoupled_weight_decay", own.get("decoupled_weight_decay"))
    if decoupled != own.get("decoupled_weight_decay"):
        raise CheckpointError(
            f"this state was saved with decoupled_weight_decay={decoupled} (AdamW decouples, Adam does not), and this "
            f"{kind} has {own['decoupled_weight_decay']}."
        )


def _same_kind(own: Any, saved: Any) -> bool:
    """Whether a setting can be one for the other: a number, a truth value, several numbers, a text; None is any."""
    if own is None or saved is None:
        return True
    if isinstance(own, bool) or isinstance(saved, bool):
        return isinstance(own, bool) and isinstance(saved, bool)
    if isinstance(own, list | tuple):
        return isinstance(saved, list | tuple) and len(saved) == len(own) and all(map(_same_kind, own, saved))
    if _is_number(own):
        return _is_number(saved)
    return isinstance(saved, type(own))


def _is_number(thing: Any) -> bool:
    if isinstance(thing, numbers.Real):
        return True
    return isinstance(thing, Tensor) or (hasattr(thing, "__array__") and np.asarray(thing).size == 1)


def _check_entries(
    optimizer: Optimizer, number: int, entries: Mapping[str, Any], parameter: Tensor, group: dict[str, Any]
) -> None:
    """Raise CheckpointError unless the rule can go on from what is remembered of a parameter."""
    kind, expected = type(optimizer).__name__, optimizer.initial_state(parameter, group) if entries else {}
    missing = sorted(set(expected) - set(entries))
    if missing:
        raise CheckpointError(
            f"{kind} remembers {', '.join(expected)} of each parameter; of number {number} the saved state has "
            f"{', '.join(map(str, entries))}. Is it another optimiser's?"
        )
    for name, entry in entries.items():
        shape = getattr(entry, "shape", None)
        wanted = expected[name].shape if name in expected else parameter.shape if name == "momentum_buffer" else None
        if wanted is None or name == "step":
            continue
        if shape is None or tuple(shape) != tuple(wanted):
            raise CheckpointError(
                f"{name} of parameter {number} has the shape {'of a number' if shape is None else tuple(shape)} in the "
                f"saved state; here it is {tuple(wanted)}. Are the parameters in another order?"
            )


@cache
def _arguments() -> dict[str, frozenset[str]]:
    """What each of our optimisers is made with."""
    from chainrule import optim

    kinds = [kind for kind in vars(optim).values() if isinstance(kind, type) and issubclass(kind, optim.Optimizer)]
    return {
        kind.__name__: frozenset(inspect.signature(kind).parameters) - {"params", "defaults", "generator"}
        for kind in kinds
    }


def _all_names() -> frozenset[str]:
    return frozenset({"corrected"}).union(*_arguments().values())
