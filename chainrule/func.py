"""Functions of functions: `grad`, `value_and_grad`, `jacrev`, `hessian`, `functional_call`, as in `torch.func`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from chainrule.autodiff.gradient import grad_of as grad
from chainrule.autodiff.gradient import hessian as _hessian
from chainrule.autodiff.gradient import jacobian as _jacobian
from chainrule.autodiff.gradient import value_and_grad
from chainrule.nn.functional_call import functional_call

__all__ = ["functional_call", "grad", "hessian", "jacrev", "value_and_grad"]


def _by_argument(derivative: Callable[..., Any], function: Callable[..., Any], argnum: int) -> Callable[..., Any]:
    def at(*args: Any) -> Any:
        def of_one(x: Any) -> Any:
            return function(*args[:argnum], x, *args[argnum + 1 :])

        return derivative(of_one, args[argnum], create_graph=args[argnum].requires_grad)

    return at


def jacrev(function: Callable[..., Any], argnums: int = 0) -> Callable[..., Any]:
    """A function that gives the Jacobian by one argument, by backward passes.

    >>> import chainrule
    >>> chainrule.func.jacrev(lambda x: x ** 2)(chainrule.tensor([1.0, 2.0]))
    tensor([[2., 0.],
            [0., 4.]])
    """
    return _by_argument(_jacobian, function, argnums)


def hessian(function: Callable[..., Any], argnums: int = 0) -> Callable[..., Any]:
    """A function that gives the Hessian of a scalar function by one argument.

    >>> import chainrule
    >>> chainrule.func.hessian(lambda x: (x ** 3).sum())(chainrule.tensor([1.0, 2.0]))
    tensor([[ 6.,  0.],
            [ 0., 12.]])
    """
    return _by_argument(_hessian, function, argnums)
