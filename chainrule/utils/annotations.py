"""The words in annotations that older programs take from `jit.annotations`: Python's own."""

from typing import Any, Dict, List, Optional, Tuple, Union  # noqa: UP035

__all__ = [
    "Any", "BroadcastingList1", "BroadcastingList2", "BroadcastingList3", "Dict", "List", "Optional", "Tuple", "Union",
]  # fmt: skip

#: One number, or so many of them.
BroadcastingList1 = BroadcastingList2 = BroadcastingList3 = list
