"""What all optimisers share: parameter groups, state, saving and loading. The rules are in files of their own."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from chainrule.autodiff.mode import enable_grad, no_grad
from chainrule.cell import TensorCell
from chainrule.errors import CheckpointError, GradientError
from chainrule.nn.module import clear_gradient
from chainrule.primitives.value import Value
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
        """Add parameters with settings of their own; what is not set follows the defaults.

        Raises ValueError for a parameter that stands somewhere already, TypeError for what is no tensor,
        GradientError for tensors that were computed from others.
        """
        if not isinstance(group, dict):
            raise TypeError(f'a parameter group is a dictionary with "params", got {type(group).__name__}.')
        if "params" not in group:
            raise ValueError(f'a parameter group is a dictionary with "params", got {", ".join(group) or "nothing"}.')
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
                raise ValueError(
                    f"a parameter of shape {tuple(p.shape)} stands in more than one group, or twice in one: it would "
                    "be updated twice in every step."
                )
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
        """Go on from a saved state, in each parameter's data type.

        Raises CheckpointError if this is no optimiser's state, or its groups have other sizes.
        """
        if not {"state", "param_groups"} <= set(state_dict):
            raise CheckpointError(
                f'an optimiser\'s state has the entries "state" and "param_groups", got {list(state_dict)[:4]}. '
                "Is it a model's?"
            )
        saved = state_dict["param_groups"]
        have, want = [len(g["params"]) for g in self.param_groups], [len(g["params"]) for g in saved]
        if have != want:
            raise CheckpointError(f"the optimiser has groups of {have} parameters, the saved state of {want}.")
        parameters = [p for group in self.param_groups for p in group["params"]]
        numbers = [number for group in saved for number in group["params"]]
        by_number = dict(zip(numbers, parameters, strict=True))
        unknown = [number for number in state_dict["state"] if int(number) not in by_number]
        if unknown:
            raise CheckpointError(f"the saved state is of parameter {unknown[0]}, which no group of it has.")
        self.state = {}
        for number, entries in state_dict["state"].items():
            p = by_number[int(number)]
            self.state[p] = {name: _own_copy(entry, p) for name, entry in entries.items()}
        for group, old in zip(self.param_groups, saved, strict=True):
            group.update({name: value for name, value in old.items() if name != "params"})

    def __repr__(self) -> str:
        lines = [f"{type(self).__name__} ("]
        for i, group in enumerate(self.param_groups):
            lines.append(f"Parameter Group {i}")
            lines += [f"    {name}: {group[name]}" for name in sorted(group) if name != "params"]
        return "\n".join([*lines, ")"])


def keep(state: dict[str, Any], name: str, new: Tensor) -> None:
    """Remember a tensor under a name: the cell stays the same from step to step, its value changes.

    The first time a cell of the state's own is made: `new` may be the gradient's, which the next backward pass or
    `zero_grad` writes to.
    """
    if name in state:
        state[name].set_value(Value(new.value.array))
    else:
        state[name] = new.detach_copy()


def _own_copy(entry: Any, parameter: Tensor) -> Any:
    """A tensor of the state as a cell of its own; those of the parameter's shape take its data type."""
    if not isinstance(entry, Tensor):
        return entry
    own = entry.detach_copy()
    return own.to(parameter.dtype) if own.shape == parameter.shape and own.dtype.is_floating_point else own


def check_not_negative(**settings: float) -> None:
    """Raise a ValueError for a setting that is negative."""
    for name, value in settings.items():
        if not value >= 0.0:
            raise ValueError(f"{name} is not negative, got {value}.")
