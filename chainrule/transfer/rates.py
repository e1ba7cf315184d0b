"""Learning rates by depth: the nearer to the input, the more general the features and the less they need to change."""

from __future__ import annotations

from typing import Any

from chainrule.nn.module import Module
from chainrule.tensor import Parameter


def parameter_groups_by_depth(model: Module, lr: float, decay: float = 0.4, level: int = 1) -> list[dict[str, Any]]:
    """Groups for an optimiser: the last part learns at the rate `lr`, each part before it at `decay` times the next.

    Part k from the end has the rate lr·decayᵏ. The parts are the model's children, in the order of registration, as far
    as they have anything to learn; with `level` 2 their children, and so on. Frozen parameters are left out. The groups
    are in the order of the parts, and each has its path under "name".

    Howard and Ruder, "Universal language model fine-tuning for text classification", 2018, divide by 2.6 from one layer
    to the one before; so does the default, rounded.

    Raises ValueError for a rate or decay that is not positive, and if nothing learns.

    >>> import chainrule
    >>> model = chainrule.nn.Sequential(chainrule.nn.Linear(2, 2), chainrule.nn.ReLU(), chainrule.nn.Linear(2, 1))
    >>> groups = parameter_groups_by_depth(model, lr=0.1, decay=0.5)
    >>> [(group["name"], group["lr"], len(group["params"])) for group in groups]
    [('0', 0.05, 2), ('2', 0.1, 2)]
    >>> optimizer = chainrule.optim.SGD(groups, momentum=0.9)
    """
    if not (lr > 0 and decay > 0 and level >= 1):
        raise ValueError(f"lr and decay are positive and level is at least 1, got {lr}, {decay} and {level}.")
    parts: dict[str, list[Parameter]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            path = name.split(".")[:-1][:level]  # a parameter of the model itself is a part of its own: ""
            parts.setdefault(".".join(path), []).append(parameter)
    if not parts:
        raise ValueError(f"{type(model).__name__} has no parameter that wants a gradient.")
    last = len(parts) - 1
    return [
        {"params": params, "lr": lr * decay ** (last - i), "name": path}
        for i, (path, params) in enumerate(parts.items())
    ]
