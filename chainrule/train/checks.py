"""What a `Trainer` refuses, since training would change nothing: another model's optimiser, data without batches."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from chainrule.nn.module import Module


def check_optimizer(model: Module, loss: Any, optimizer: Any) -> None:
    """Raise a ValueError where training would change nothing: none of what learns is the optimiser's."""
    parts = [model, loss] if isinstance(loss, Module) else [model]
    learning = {id(p) for part in parts for p in part.parameters() if p.requires_grad}
    held = {id(p) for group in getattr(optimizer, "param_groups", ()) for p in group["params"]}
    if learning and held and not learning & held:
        raise ValueError(
            f"the {type(optimizer).__name__} holds none of the parameters of this {type(model).__name__}, so training "
            "would change nothing. Make it of model.parameters(), after the last change of the model's layers."
        )


def why_nothing(loader: Any) -> str:
    """What may be wrong with a loader that gave no batch."""
    if isinstance(loader, Iterator):
        return (
            f"this {type(loader).__name__} gives its batches once, and has given them. Take a list, a DataLoader, or "
            "an object whose __iter__ begins anew."
        )
    if getattr(loader, "drop_last", False):
        return "drop_last leaves out a batch that is not full, and there is no full one. Take a smaller batch_size."
    return f"this {type(loader).__name__} is empty."
