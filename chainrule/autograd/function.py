"""Operations with a gradient written by hand, under PyTorch's names."""

from chainrule.autodiff.function import Context as FunctionCtx
from chainrule.autodiff.function import Function, once_differentiable

__all__ = ["Function", "FunctionCtx", "once_differentiable"]
