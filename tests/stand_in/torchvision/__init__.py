"""Stands for torchvision in the scripts' runs with PyTorch: as much as they use, by its definition."""

from torchvision import datasets, transforms, utils

__all__ = ["datasets", "transforms", "utils"]
