"""PyTorch's operations on lists of tensors, `_foreach_mul_(tensors, 2.0)`: the operation for one after the other.

There is nothing to be gained by a list here, since `compile` makes one program of a whole step. Optimisers of others
call these; as their own functions, they are followed while a step is traced.

>>> import chainrule
>>> x, y = chainrule.tensor([1.0]), chainrule.tensor([2.0])
>>> chainrule._foreach_add([x, y], [y, x], alpha=10)
(tensor([21.]), tensor([12.]))
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from chainrule.functions.linalg import vector_norm
from chainrule.functions.promotion import is_tensor

__observed__ = True

#: The operations that there are, each a method of tensors; with "_" behind it the result is put into the first list.
OPERATIONS = frozenset(
    {"abs", "acos", "add", "addcdiv", "addcmul", "asin", "atan", "ceil", "clamp_max", "clamp_min", "cos", "cosh",
     "div", "erf", "erfc", "exp", "expm1", "floor", "frac", "lerp", "lgamma", "log", "log10", "log1p", "log2",
     "maximum", "minimum", "mul", "neg", "pow", "reciprocal", "round", "rsqrt", "sigmoid", "sign", "sin", "sinh",
     "sqrt", "sub", "tan", "tanh", "trunc"}
)  # fmt: skip
_ONLY_IN_PLACE = frozenset({"copy", "zero"})
_ONLY_NEW = frozenset({"clone", "max", "norm"})


def operation(name: str) -> Callable[..., Any] | None:
    """What a name such as "mul_" stands for; None for one that is no such operation."""
    plain, in_place = name.removesuffix("_"), name.endswith("_")
    if not (plain in OPERATIONS or plain in (_ONLY_IN_PLACE if in_place else _ONLY_NEW)):
        return None

    def for_each(tensors: Any, *others: Any, **settings: Any) -> Any:
        lists = [part for part in (tensors, *others, *settings.values()) if type(part) in (list, tuple)]
        count = len(lists[0])
        for part in lists:
            if len(part) != count:
                raise ValueError(f"_foreach_{name} takes lists of one length, got {count} and {len(part)}.")
        results = []
        for i in range(count):
            own = {word: _at(part, i) for word, part in settings.items()}
            results.append(_one(plain, in_place, _at(tensors, i), [_at(part, i) for part in others], own))
        return tensors if in_place else tuple(results)

    for_each.__name__ = f"_foreach_{name}"
    return for_each


def _at(part: Any, i: int) -> Any:
    return part[i] if type(part) in (list, tuple) else part


def _one(plain: str, in_place: bool, x: Any, others: list[Any], settings: dict[str, Any]) -> Any:
    """The operation for one of the tensors. PyTorch gives numbers in some places where its methods take tensors."""
    if plain == "norm":
        return vector_norm(x, *others, **settings)
    if plain in ("addcmul", "addcdiv") and "scalars" in settings:
        settings = {"value": settings["scalars"]}
    if plain in ("addcmul", "addcdiv") and len(others) == 3:
        others, settings = others[:2], {"value": others[2]}
    if plain in ("maximum", "minimum") and not is_tensor(others[0]):
        plain = "clamp_min" if plain == "maximum" else "clamp_max"
    if not is_tensor(x):  # a number to the power of each
        return x ** others[0]
    if in_place and plain in ("maximum", "minimum"):
        return x.copy_(getattr(x, plain)(*others))
    return getattr(x, plain + "_" if in_place else plain)(*others, **settings)
