"""Putting saved values into a module: all or nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from chainrule.autodiff.mode import no_grad
from chainrule.errors import CheckpointError
from chainrule.functions.creation import tensor
from chainrule.nn.uninitialized import is_uninitialized
from chainrule.tensor import Tensor

if TYPE_CHECKING:
    from chainrule.nn.module import Module


class IncompatibleKeys(NamedTuple):
    """What `load_state_dict(strict=False)` could not match."""

    missing_keys: list[str]
    unexpected_keys: list[str]

    def __repr__(self) -> str:
        if not self.missing_keys and not self.unexpected_keys:
            return "<All keys matched successfully>"
        return f"IncompatibleKeys(missing_keys={self.missing_keys}, unexpected_keys={self.unexpected_keys})"


def load_state(module: Module, state_dict: Mapping[str, Any], strict: bool) -> IncompatibleKeys:
    """See `Module.load_state_dict`."""
    own = module.state_dict()
    missing = [name for name in own if name not in state_dict]
    unexpected = [name for name in state_dict if name not in own]
    given = {name: _as_tensor(name, state_dict[name]) for name in own if name in state_dict}
    problems = [text for name, new in given.items() if (text := _misfit(name, new, own[name]))]
    if strict and missing:
        problems.append(f"missing: {', '.join(missing)}")
    if strict and unexpected:
        problems.append(f"unexpected: {', '.join(unexpected)}")
    if problems:
        raise CheckpointError(f"these weights do not fit {type(module).__name__}: {'; '.join(problems)}.")
    with no_grad():
        for name, new in given.items():
            _copy(new, own[name])
    return IncompatibleKeys(missing, unexpected)


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


def _copy(new: Tensor, own: Tensor) -> None:
    if is_uninitialized(new):
        return  # neither has values
    if is_uninitialized(own):
        own.materialize(new.shape)
    own.copy_(new)


def _as_tensor(name: str, thing: Any) -> Tensor:
    if isinstance(thing, Tensor):
        return thing
    try:
        return tensor(np.asarray(thing))
    except (TypeError, ValueError, RuntimeError) as error:
        raise CheckpointError(f"the weights have no array under {name}, but {type(thing).__name__}: {error}") from None
