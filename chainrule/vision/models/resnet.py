"""The parts of residual networks, where PyTorch-vision has them."""

from chainrule.models.resnet import BasicBlock, Bottleneck, ResNet

__all__ = ["BasicBlock", "Bottleneck", "ResNet"]
