"""PyTorch's older way to make tensors of one type: `LongTensor([1, 2])`, `FloatTensor(2, 3)`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from chainrule import dtypes
from chainrule.functions.creation import tensor, zeros

if TYPE_CHECKING:
    from chainrule.tensor import Tensor


def _constructor(name: str, dtype: dtypes.DType) -> Callable[..., Tensor]:
    def make(*data: Any) -> Tensor:
        if len(data) == 1 and not isinstance(data[0], int):
            return tensor(data[0], dtype=dtype)
        return zeros(*data, dtype=dtype) if data else zeros(0, dtype=dtype)

    make.__name__ = make.__qualname__ = name
    make.__doc__ = f"A {dtype.name} tensor of a list or an array; or, given whole numbers, zeros of that shape."
    return make


FloatTensor, DoubleTensor = _constructor("FloatTensor", dtypes.float32), _constructor("DoubleTensor", dtypes.float64)
HalfTensor, BFloat16Tensor = _constructor("HalfTensor", dtypes.float16), _constructor("BFloat16Tensor", dtypes.bfloat16)
LongTensor, IntTensor = _constructor("LongTensor", dtypes.int64), _constructor("IntTensor", dtypes.int32)
ShortTensor, CharTensor = _constructor("ShortTensor", dtypes.int16), _constructor("CharTensor", dtypes.int8)
ByteTensor, BoolTensor = _constructor("ByteTensor", dtypes.uint8), _constructor("BoolTensor", dtypes.bool_)
