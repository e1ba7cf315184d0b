"""What all optimisers share: parameter groups, state, saving and loading. The rules are in files of their own."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from chainrule.autodiff.mode import enable_grad, no_grad
from chainrule.cell import TensorCell
from chainrule.errors import CheckpointError, GradientError
from chainrule.nn.module import clear_gradient
from chainrule.tensor import Tensor


class Optimizer:
    """The base of all optimisers. A subclass gives the defaults and `update`, the rule for one parameter.

    Attributes:
        param_groups: dictionaries with "params" and the settings for them; change a setting (`group["lr"]`) freely.
        state: for each parameter what the rule remembers.
    """

    def __init__(self, params: Iterable[Any], defaults: dict[str, Any]) -> None:
        self.defaults = defaults
        self.state: dict[Tensor, dict[str, Any]] = {}
        self.param_groups: list[dict[str, Any]] = []
        if isinstance(params, TensorCell):
            raise TypeError("an optimiser takes a list of parameters (or groups), got a single tensor; use [tensor].")
        groups = list(params)
        if not groups:
            raise ValueError("the optimiser got no parameters; is model.parameters() exhausted, or the model empty?")
        if not isinstance(groups[0], dict):
            groups = [{"params": groups}]
        for group in groups:
            self.add_param_group(group)

    def add_param_group(self, group: dict[str, Any]) -> None:
        """Add parameters with settings of their own; what is not set follows the defaults."""
        params = group["params"]
        params = [params] if isinstance(params, TensorCell) else list(params)
        params = [p[1] if isinstance(p, tuple) else p for p in params]  # named_parameters() works too
        known = {id(p) for other in self.param_groups for p in other["params"]}
        for p in params:
            if not isinstance(p, Tensor):
                raise TypeError(f"optimisers update tensors, got {type(p).__name__}.")
            if not p.is_leaf:
                raise GradientError("optimisers update leaves; this tensor was computed from others (detach() it).")
            if id(p) in known:
                raise ValueError("a parameter stands in more than one group, or twice in one.")
            known.add(id(p))
        self.param_groups.append({**self.defaults, **group, "params": params})

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget all gradients (or fill them with zeros); without it the next backward pass adds to them."""
        for group in self.param_groups:
            for p in group["params"]:
                clear_gradient(p, set_to_none)

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update every parameter that has a gradient. A closure computes the loss first and is answered with it."""
        loss = None
        if closure is not None:
            with enable_grad():
                loss = closure()
        with no_grad():
            for group in self.param_groups:
                for p in group["params"]:
                    if p.grad is not None:
                        gradient = -p.grad if group["maximize"] else p.grad
                        self.update(p, gradient, self.state.setdefault(p, {}), group)
        return loss

    def update(self, parameter: Tensor, gradient: Tensor, state: dict[str, Any], group: dict[str, Any]) -> None:
        """The rule for one parameter; every optimiser says it."""
        raise TypeError(f"{type(self).__name__} does not define update(parameter, gradient, state, group).")

    def state_dict(self) -> dict[str, Any]:
        """The state and settings, parameters numbered in order, in PyTorch's form."""
        numbers: dict[int, int] = {}
        groups = []
        for group in self.param_groups:
            for p in group["params"]:
                numbers[id(p)] = len(numbers)
            settings = {name: value for name, value in group.items() if name != "params"}
            groups.append({**settings, "params": [numbers[id(p)] for p in group["params"]]})
        state = {numbers[id(p)]: dict(entries) for p, entries in self.state.items()}
        return {"state": state, "param_groups": groups}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from a saved state. Raises CheckpointError if the groups have other sizes."""
        saved = state_dict["param_groups"]
        have, want = [len(g["params"]) for g in self.param_groups], [len(g["params"]) for g in saved]
        if have != want:
            raise CheckpointError(f"the optimiser has groups of {have} parameters, the saved state of {want}.")
        parameters = [p for group in self.param_groups for p in group["params"]]
        numbers = [number for group in saved for number in group["params"]]
        by_number = dict(zip(numbers, parameters, strict=True))
        self.state = {}
        for number, entries in state_dict["state"].items():
            p = by_number[int(number)]
            self.state[p] = {name: _own_copy(entry) for name, entry in entries.items()}
        for group, old in zip(self.param_groups, saved, strict=True):
            group.update({name: value for name, value in old.items() if name != "params"})

    def __repr__(self) -> str:
        lines = [f"{type(self).__name__} ("]
        for i, group in enumerate(self.param_groups):
            lines.append(f"Parameter Group {i}")
            lines += [f"    {name}: {group[name]}" for name in sorted(group) if name != "params"]
        return "\n".join([*lines, ")"])


def _own_copy(entry: Any) -> Any:
    return entry.detach().clone() if isinstance(entry, Tensor) else entry


def check_not_negative(**settings: float) -> None:
    """Raise a ValueError for a setting that is negative."""
    for name, value in settings.items():
        if not value >= 0.0:
            raise ValueError(f"{name} is not negative, got {value}.")
