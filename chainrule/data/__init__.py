"""Data: sets of samples, batches of them, readers of files, and known data sets by name."""

from chainrule.data.collate import default_collate, default_convert
from chainrule.data.dataset import (
    ChainDataset,
    ConcatDataset,
    Dataset,
    IterableDataset,
    MapDataset,
    StackDataset,
    Subset,
    TensorDataset,
    random_split,
)
from chainrule.data.known import Splits, digits, load, names
from chainrule.data.loader import DataLoader
from chainrule.data.sampler import (
    BatchSampler,
    RandomSampler,
    Sampler,
    SequentialSampler,
    SubsetRandomSampler,
    WeightedRandomSampler,
)
from chainrule.data.scaling import MinMax, Standardise
from chainrule.data.split import grouped_split, stratified_split
from chainrule.data.worker_info import get_worker_info

__all__ = [
    "BatchSampler",
    "ChainDataset",
    "ConcatDataset",
    "DataLoader",
    "Dataset",
    "IterableDataset",
    "MapDataset",
    "MinMax",
    "RandomSampler",
    "Sampler",
    "SequentialSampler",
    "Splits",
    "StackDataset",
    "Standardise",
    "Subset",
    "SubsetRandomSampler",
    "TensorDataset",
    "WeightedRandomSampler",
    "default_collate",
    "default_convert",
    "digits",
    "get_worker_info",
    "grouped_split",
    "load",
    "names",
    "random_split",
    "stratified_split",
]
