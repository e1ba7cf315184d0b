"""The keyword names of PyTorch's functions, methods and constructors, and of ours, side by side.

PyTorch's own functions of C++ have no signature; what they take stands in its operators' schemas. For the rest
`inspect` reads the signature. `python -m tests.peer_keywords` prints every difference.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import chainrule

#: The parts whose functions and classes are compared; "Tensor" stands for its methods.
AREAS = (
    "", "Tensor", "linalg", "special", "nn", "nn.functional", "nn.init", "nn.utils", "nn.utils.rnn", "nn.utils.prune",
    "nn.utils.parametrize", "nn.utils.parametrizations", "nn.attention", "optim", "optim.lr_scheduler", "optim.swa_utils", "utils.data", "utils.benchmark",
    "autograd", "autograd.functional", "autograd.graph", "func", "amp", "backends.cudnn", "hub",
)  # fmt: skip

#: How an area's operators begin in PyTorch's schemas.
_OPERATORS = {"linalg": "linalg_", "special": "special_"}

#: Words for tensors that no constructor of ours needs: PyTorch's factories take them all.
FACTORY = {"dtype", "layout", "device", "pin_memory", "requires_grad"}


class Pair(NamedTuple):
    """The keyword names of one thing: PyTorch's and ours."""

    name: str
    theirs: set[str]
    ours: set[str]

    @property
    def missing(self) -> set[str]:
        """What PyTorch takes and we do not."""
        return self.theirs - self.ours

    @property
    def added(self) -> set[str]:
        """What we take and PyTorch does not."""
        return self.ours - self.theirs


def keywords(thing: Callable[..., Any]) -> set[str] | None:
    """The names that a Python function or class takes as keywords; None if it does not tell."""
    words = getattr(thing, "words", None)
    if words is not None and hasattr(words, "accepted"):
        return words.accepted()
    try:
        parameters = inspect.signature(thing).parameters.values()
    except (ValueError, TypeError):
        return None
    return {p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)}


def open_ended(thing: Callable[..., Any]) -> bool:
    """Whether it takes any keyword (`**settings`), so that its names are not in its signature."""
    try:
        return any(p.kind is p.VAR_KEYWORD for p in inspect.signature(thing).parameters.values())
    except (ValueError, TypeError):
        return False


def operator_keywords(name: str, method: bool) -> set[str] | None:
    """The names that an operator of PyTorch takes, over all its forms that take a tensor; None if there is none.

    A method's own tensor is none of them; a function calls it `input`.
    """
    torch: Any = importlib.import_module("torch")
    found: set[str] = set()
    any_form = False
    for schema in torch._C._jit_get_schemas_for_operator(f"aten::{name}"):
        kinds = [str(argument.type) for argument in schema.arguments]
        names = [argument.name for argument in schema.arguments]
        if schema.overload_name in _NOT_FROM_PYTHON or (
            not any("Tensor" in str(r.type) for r in schema.returns) and "Tensor" not in kinds
        ):
            continue
        if (method and "self" not in names) or any("Dimname" in kind for kind in kinds) or "names" in names:
            continue
        outputs = {a.name for a in schema.arguments if a.is_out}
        any_form = True
        if outputs:
            names = [n for n in names if n not in outputs] + ([] if method else ["out"])
        found.update(names)
    if not any_form:
        return None
    if "layout" in found:
        found.add("requires_grad")
    found = {"input" if name == "self" else name for name in found}
    return found - {"input"} if method else found


#: Forms of operators that only scripts (TorchScript) can reach.
_NOT_FROM_PYTHON = {"int", "float", "bool", "str", "complex", "Scalar"}


def pairs(area: str) -> Iterator[Pair]:
    """Every public function, method or class of an area that both have."""
    torch: Any = importlib.import_module("torch")
    if area == "Tensor":
        their_home, our_home = torch.Tensor, chainrule.Tensor
    else:
        their_home = importlib.import_module(f"torch.{area}".rstrip("."))
        our_home = importlib.import_module(f"chainrule.{area}".rstrip("."))
    for name in dir(their_home):
        theirs, mine = getattr(their_home, name, None), getattr(our_home, name, None)
        if name.startswith("_") or not callable(theirs) or mine is None or not callable(mine):
            continue
        method = area == "Tensor"
        names = keywords(theirs)
        if names is None or (open_ended(theirs) and not inspect.isclass(theirs)):
            names = operator_keywords(_OPERATORS.get(area, "") + name, method) or names
        our_names = keywords(mine)
        if names is None or our_names is None:
            continue
        drop = {n for n in names | our_names if n.startswith("_")} | ({"self"} if method else set())
        if method:
            our_names = our_names - {next(iter(inspect.signature(mine).parameters), "")}
        yield Pair(f"{area}.{name}".lstrip("."), names - drop, our_names - drop)


if __name__ == "__main__":
    for area in AREAS:
        try:
            found = list(pairs(area))
        except ImportError as error:
            print(f"== {area}: {error}")
            continue
        different = [pair for pair in found if pair.missing or pair.added]
        print(f"== {area or 'torch'}: {len(found)} compared, {len(different)} differ")
        for pair in different:
            print(f"{pair.name}: missing {sorted(pair.missing)}, added {sorted(pair.added)}")
