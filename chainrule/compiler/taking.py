"""Arguments that a step writes to: in their own memory where nobody else looks at it, as in-place operations do.

A step that puts one row into a large argument then stores that row and copies nothing:

>>> import numpy as np
>>> import chainrule
>>> put = chainrule.compile(lambda x, i, row: x.index_copy_(0, i, row))
>>> x = chainrule.zeros(3, 2)
>>> for i in range(3):
...     entries = np.asarray(x).__array_interface__["data"]
...     _ = put(x, chainrule.tensor([i]), chainrule.full((1, 2), float(i)))
>>> x, entries == np.asarray(x).__array_interface__["data"]
(tensor([[0., 0.],
        [1., 1.],
        [2., 2.]]), True)
"""

from __future__ import annotations

from typing import Any

from chainrule.backends.memory import copy_with_room, has_room
from chainrule.cell.claim import ALONE, Claim, holders, is_owned
from chainrule.primitives.value import Array, Value


class Taken:
    """What an argument holds, taken for a run that writes to it.

    Attributes:
        array: to be written to: the argument's own, if nobody else holds it, or a copy.
    """

    def __init__(self, tensor: Any) -> None:
        self.tensor = tensor
        self.array: Array
        self._claim: Claim | None = None
        if tensor._base is None and type(tensor._value) is Value:
            claim = Claim(tensor)
            if claim.is_plain and holders(claim) == ALONE and _is_fit(claim._value.array):
                self._claim, self.array = claim, claim._value.array
                return
            claim.release(tensor, False)
        self.array = copy_with_room(tensor.value.array)

    def give_back(self, changed: bool) -> None:
        """The run is over: the tensor holds what was written, or after an error what it held before."""
        if self._claim is not None:
            self._claim.release(self.tensor, changed)
        elif changed and self.tensor._base is None:
            self.tensor.set_value(Value(self.array, self.tensor.value.source))
        elif changed:
            self.tensor.put_value(Value(self.array))


def _is_fit(array: Any) -> bool:
    return is_owned(array) and bool(array.flags.c_contiguous) and has_room(array)
