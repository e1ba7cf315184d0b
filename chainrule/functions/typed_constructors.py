"""PyTorch's older way to make tensors of one type: `LongTensor([1, 2])`, `FloatTensor(2, 3)`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from chainrule import dtypes
from chainrule.cell import TensorCell
from chainrule.functions.creation import from_sizes_or_data

if TYPE_CHECKING:
    from chainrule.tensor import Tensor


class TensorType:
    """What makes tensors of one data type; `isinstance(x, LongTensor)` asks whether x has that type.

    >>> import chainrule
    >>> chainrule.LongTensor([1.0, 2.0]), isinstance(chainrule.ones(2), chainrule.LongTensor)
    (tensor([1, 2]), False)
    """

    def __init__(self, name: str, dtype: dtypes.DType) -> None:
        self.__name__ = self.__qualname__ = name
        self.dtype = dtype
        self.__doc__ = f"A {dtype.name} tensor of a list or an array; or, given whole numbers, zeros of that shape."

    def __call__(self, *data: Any) -> Tensor:
        """The tensor of a list or an array; or, given whole numbers, zeros of that shape."""
        return from_sizes_or_data(data, self.dtype)

    def __instancecheck__(self, thing: Any) -> bool:
        return isinstance(thing, TensorCell) and thing.dtype is self.dtype

    def __repr__(self) -> str:
        return f"chainrule.{self.__name__}"


FloatTensor, DoubleTensor = TensorType("FloatTensor", dtypes.float32), TensorType("DoubleTensor", dtypes.float64)
HalfTensor, BFloat16Tensor = TensorType("HalfTensor", dtypes.float16), TensorType("BFloat16Tensor", dtypes.bfloat16)
LongTensor, IntTensor = TensorType("LongTensor", dtypes.int64), TensorType("IntTensor", dtypes.int32)
ShortTensor, CharTensor = TensorType("ShortTensor", dtypes.int16), TensorType("CharTensor", dtypes.int8)
ByteTensor, BoolTensor = TensorType("ByteTensor", dtypes.uint8), TensorType("BoolTensor", dtypes.bool_)
ALL = (
    FloatTensor, DoubleTensor, HalfTensor, BFloat16Tensor, LongTensor, IntTensor, ShortTensor, CharTensor, ByteTensor,
    BoolTensor,
)  # fmt: skip
