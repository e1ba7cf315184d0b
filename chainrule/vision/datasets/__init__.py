"""Data sets of images under the names, arguments and attributes they have for PyTorch.

A sample is an image of Pillow (or what `transform` makes of it) and a label. For data that is divided, scaled and
ready for training see `chainrule.data.load`.
"""

from chainrule.vision.datasets.cifar import CIFAR10, CIFAR100
from chainrule.vision.datasets.dataset import VisionDataset
from chainrule.vision.datasets.fake import FakeData
from chainrule.vision.datasets.folder import ImageFolder
from chainrule.vision.datasets.mnist import KMNIST, MNIST, FashionMNIST

__all__ = ["VisionDataset", "MNIST", "FashionMNIST", "KMNIST", "CIFAR10", "CIFAR100", "ImageFolder", "FakeData"]
