"""The words in annotations that older programs take from `jit.annotations`: Python's own."""

from typing import Any as Any
from typing import Dict as Dict
from typing import List as List
from typing import Optional as Optional
from typing import Tuple as Tuple
from typing import Union as Union

#: One number, or so many of them.
BroadcastingList1 = BroadcastingList2 = BroadcastingList3 = list
