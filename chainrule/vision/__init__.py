"""PyTorch-vision's names for what `chainrule.data` and `chainrule.models` do."""
