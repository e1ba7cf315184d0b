"""PyTorch's place of what `register_forward_hook` and its like answer: a handle whose `remove()` takes the hook off."""

from chainrule.cell import Handle as RemovableHandle

__all__ = ["RemovableHandle"]
