"""Data: sets of samples, batches of them, readers of files, and known data sets by name."""

from chainrule.data.augment import random_shift
from chainrule.data.dataset import TensorDataset
from chainrule.data.known import Splits, digits, load, names
from chainrule.data.loader import DataLoader

__all__ = ["DataLoader", "Splits", "TensorDataset", "digits", "load", "names", "random_shift"]
