"""Readers: files become arrays, and what is wrong with a file is said with its name and the place in it."""

from chainrule.data.readers.arrays import read_array, read_arrays
from chainrule.data.readers.cifar import read_cifar10, read_cifar100
from chainrule.data.readers.features import Table
from chainrule.data.readers.folder import ImageFolder, decode_image, read_image
from chainrule.data.readers.idx import read_idx
from chainrule.data.readers.source import read_bytes
from chainrule.data.readers.table import from_frame, read_csv, read_parquet
from chainrule.data.readers.text import BytePairs, Bytes, Characters, Vocabulary, Words, load_vocabulary, read_text
from chainrule.data.readers.tokenizer_file import TokenizerFile, write_tokenizer

__all__ = [
    "read_bytes",
    "read_idx",
    "read_cifar10",
    "read_cifar100",
    "ImageFolder",
    "read_image",
    "decode_image",
    "Table",
    "read_csv",
    "read_parquet",
    "from_frame",
    "read_text",
    "Vocabulary",
    "Characters",
    "Words",
    "Bytes",
    "BytePairs",
    "TokenizerFile",
    "write_tokenizer",
    "load_vocabulary",
    "read_array",
    "read_arrays",
]
