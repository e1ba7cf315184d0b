"""VGG's class, where PyTorch-vision has it."""

from chainrule.models.vgg import VGG

__all__ = ["VGG"]
