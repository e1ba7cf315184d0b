"""The other words that PyTorch takes for an argument: `axis` for `dim`, `keepdims`, `out=`, `shape=` for `*shape`.

The functions themselves have one name for each argument. What a user calls, `chainrule.sum` and `x.sum`, also takes
the names below; a call without keywords goes through at once.
"""

from __future__ import annotations

import functools
import inspect
import sys
import warnings
from collections.abc import Callable
from types import FunctionType
from typing import Any

from chainrule.autodiff.block import Block
from chainrule.errors import ShapeError, SparseError
from chainrule.functions.promotion import is_tensor, written
from chainrule.layouts import strided
from chainrule.primitives.primitive import argument_names

#: NumPy's words (PyTorch takes them as well) for ours, in every function.
_NUMPY = {
    "dim": ("axis",),
    "keepdim": ("keepdims",),
    "input": ("x", "a", "x1", "A", "self"),  # `self` where a number may come first: pow(self=2, exponent=x)
    "A": ("input",),
    "x": ("input",),
    "other": ("x2",),
}

_SECTIONS = {name: "indices_or_sections" for name in ("indices", "sections", "tensor_indices_or_sections")}
_LIMITS = {"from": "low", "to": "high"}

#: Further words in single functions.
_ALSO: dict[str, dict[str, str]] = {
    "max": {"other": "dim"},
    "min": {"other": "dim"},
    "split": {
        "split_size": "split_size_or_sections", "split_sizes": "split_size_or_sections", "input": "tensor",
    },
    "tensor_split": _SECTIONS,
    "hsplit": _SECTIONS,
    "vsplit": _SECTIONS,
    "dsplit": _SECTIONS,
    "transpose": {"axis0": "dim0", "axis1": "dim1"},
    "isin": {"element": "elements", "test_element": "test_elements"},
    "uniform_": _LIMITS,
    "random_": _LIMITS,
    "dot": {"other": "tensor"},
    "result_type": {
        "scalar": "tensor1", "tensor": "tensor1", "scalar1": "tensor1", "other": "tensor2", "scalar2": "tensor2",
    },
    "one_hot": {"input": "tensor"},
    "normal": {"input": "mean"},
    "lstsq": {"b": "B"},
    "copy_": {"other": "src"},
    "view": {"size": "shape", "dtype": "shape"},
}  # fmt: skip

#: Numbers that stood among the tensors before they had names: `x.add_(0.5, y)`, `addmm(beta, x, alpha, y, z)`. Of two
#: the first may be given alone.
_NUMBERS = {
    **dict.fromkeys(("add", "sub"), ("alpha",)),
    **dict.fromkeys(("addcmul", "addcdiv"), ("value",)),
    **dict.fromkeys(("addmm", "addmv", "addr", "addbmm", "baddbmm"), ("beta", "alpha")),
}

#: Functions that compute in the type of `out=` where no `dtype` is given.
_IN_TYPE_OF_OUT = (
    *("sum", "prod", "cumsum", "cumprod"),
    *("zeros", "ones", "empty", "full", "eye", "arange", "linspace", "logspace", "rand", "randn"),
)

#: Words about memory: taken, and they change nothing, since how entries lie in memory is nobody's concern here. A
#: layout must be `strided`.
_MEMORY = frozenset({"layout", "pin_memory", "memory_format", "non_blocking", "sparse_grad"})


class Words:
    """What one function takes by name.

    Attributes:
        name: the function's.
        own: the names in its signature.
        other: further names, and which of its own each stands for.
        spread: the name of `*shape`, which may be given as `shape=`; "" if it has none.
        ignored: names that are taken and change nothing.
        out: whether `out=` is taken: the tensor, or tensors, that the result is written into.
        most: with more arguments than these by place, numbers stand among the tensors, as in older programs.
    """

    def __init__(self, function: Callable[..., Any], out: bool = True) -> None:
        self.own, self.spread = _own_names(function)
        self.name = name = getattr(function, "__name__", "")
        self.other = {word: own for own in self.own for word in _NUMPY.get(own, ()) if word not in self.own}
        also = _ALSO.get(name, _ALSO.get(name.rstrip("_"), {}))
        self.other.update({word: own for word, own in also.items() if own in self.own or own == self.spread})
        makes = "device" in self.own
        self.ignored = (_MEMORY if makes or name in _MEMORIAL else frozenset()) - self.own
        self.out = out and not name.endswith("_")
        self._numbers = _NUMBERS.get(name.rstrip("_"), ())
        self.most = len(self.own) - len(self._numbers) if self._numbers else sys.maxsize

    def __bool__(self) -> bool:
        """Whether there is anything besides the function's own names."""
        return bool(self.other or self.spread or self.ignored or self.out)

    def accepted(self) -> set[str]:
        """Every name that is taken."""
        also = ({self.spread} if self.spread else set()) | ({"out"} if self.out else set())
        return {*self.own, *self.other, *self.ignored, *also}

    def translate(self, args: tuple[Any, ...], given: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any], Any]:
        """The arguments in the function's own words, and what `out` was."""
        known: dict[str, Any] = {}
        out = None
        for word, thing in given.items():
            name = self.other.get(word, word) if word not in self.own else word
            if name == "out" and self.out:
                out = thing
            elif name == self.spread:
                args = (*args, *thing) if isinstance(thing, (tuple, list)) else (*args, thing)
            elif name in self.ignored:
                self._need_strided(word, thing)
            elif name in known or (name != word and name in given):
                raise TypeError(f"{word} and {name} are two words for one argument; give one of them.")
            else:
                known[name] = thing
        if is_tensor(out) and self.name in _IN_TYPE_OF_OUT:
            known.setdefault("dtype", out.dtype)
        if self.spread and "input" in known:  # it stands before what has been spread
            args = (known.pop("input"), *args)
        return args, known, out

    def named(self, args: tuple[Any, ...], given: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Arguments in the older order, `x.add_(0.5, y)`, in today's: `x.add_(y, alpha=0.5)`. Others as they are."""
        places = self._places_of_numbers(args)
        tensors = tuple([x for i, x in enumerate(args) if i not in places])
        numbers = dict(zip(self._numbers, [args[i] for i in places]))
        if len(tensors) != self.most or len(tensors) + len(numbers) != len(args) or numbers.keys() & given.keys():
            return args, given
        after = ", ".join(f"{name}={number}" for name, number in numbers.items())
        warnings.warn(
            f"{self.name}: a number among the tensors is the order of older programs; write {after} behind them.",
            stacklevel=3,
        )
        return tensors, {**given, **numbers}

    def _places_of_numbers(self, args: tuple[Any, ...]) -> list[int]:
        """Which arguments are numbers: where there are tensors too many, those without dimensions are.

        A single number stands behind the first tensor, so no other place is looked at.
        """
        missing = len(args) - self.most - sum(not is_tensor(x) for x in args)
        possible = range(len(args)) if len(self._numbers) > 1 else [1]
        without = [i for i in possible if missing > 0 and is_tensor(args[i]) and args[i].dim() == 0]
        return [i for i, x in enumerate(args) if not is_tensor(x) or i in without]

    def _need_strided(self, word: str, thing: Any) -> None:
        if word == "layout" and thing not in (None, strided):
            raise SparseError(
                f"{self.name}(layout={thing!r}): what it makes is dense, {strided}; `.to_sparse()` makes a sparse one "
                "of it."
            )


def _own_names(function: Any) -> tuple[frozenset[str], str]:
    """The names in a function's signature, and that of its `*shape`. They are asked for many times at every start."""
    inner = inspect.unwrap(function, stop=lambda f: hasattr(f, "__signature__"))
    if not hasattr(inner, "__signature__"):
        positional, spread, settings = argument_names(inner)
        return frozenset((*positional, *settings)), spread
    parameters = inner.__signature__.parameters.values()  # one that says other words than its code has
    starred = [p.name for p in parameters if p.kind is p.VAR_POSITIONAL]
    return frozenset(p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)), "".join(
        starred
    )


#: Where the functions of tensors are: other functions have no other words.
_PLACES = ("chainrule.functions.", "chainrule.methods.", "chainrule.nn.", "chainrule.random", "chainrule.special")

#: Functions that take words about memory though they make nothing on a device.
_MEMORIAL = (
    "clone",
    "contiguous",
    "to",
    "is_contiguous",
    "copy_",
    "gather",
    "type",
    "pin_memory",
    "resize_",
    "resize_as_",
)


def public(function: Any, out: bool = True) -> Any:
    """A function as users call it: with the other words too, `out=` among them. What has none comes back as it is.

    >>> import chainrule
    >>> chainrule.sum(chainrule.ones(2, 3), axis=0, keepdims=True)
    tensor([[2., 2., 2.]])
    """
    if not isinstance(function, (FunctionType, Block)) or not function.__module__.startswith(_PLACES):
        return function
    known = vars(function).get("_as_public")
    if known is not None:
        return known
    words = Words(function, out)
    if not words:
        return function

    @functools.wraps(function, updated=())
    def call(*args: Any, **given: Any) -> Any:
        if len(args) > words.most:
            args, given = words.named(args, given)
        if not given or given.keys() <= words.own:
            return function(*args, **given)
        args, given, place = words.translate(args, given)
        result = function(*args, **given)
        return result if place is None else _put(words.name, result, place)

    call.words = words  # type: ignore[attr-defined]
    function._as_public = call  # type: ignore[union-attr]
    call._as_public = call  # type: ignore[attr-defined]
    return call


def _put(name: str, result: Any, out: Any) -> Any:
    """The result, or each of several, written into what was given as `out`; an empty one takes the result's shape."""
    several = isinstance(result, tuple) and all(map(is_tensor, result))
    if several and isinstance(out, (tuple, list)):
        if len(result) != len(out):
            raise ShapeError(f"out= has {len(out)} tensors for {len(result)} results.")
        parts = [_put(name, part, place) for part, place in zip(result, out)]
        return type(result)(*parts) if hasattr(result, "_fields") else tuple(parts)
    if not is_tensor(result):
        mend = f"give a tuple of {len(result)} tensors" if several else "leave it out"
        raise TypeError(f"{name} gives {type(result).__name__}, no tensor that could be put into out=; {mend}.")
    if not is_tensor(out):
        raise TypeError(f"{name} gives a tensor and takes a tensor as out=, got {type(out).__name__}.")
    if not out.numel() and out.shape != result.shape:
        out.resize_(result.shape)
    return written(result, out)


def teach(owner: Any, out: bool = True) -> Any:
    """Let every function of a class, or in a module's dictionary of names, take the other words (a class decorator).

    out: whether `out=` is among them for what is written beside a class; what a class shares with others has it anyway.
    """
    beside = None if out else owner.__module__
    names = owner if isinstance(owner, dict) else dict(vars(owner))
    for name, thing in list(names.items()):
        known = public(thing, out or getattr(thing, "__module__", None) != beside)
        if known is not thing and not name.startswith("_"):
            owner.__setitem__(name, known) if isinstance(owner, dict) else setattr(owner, name, known)
    return owner
