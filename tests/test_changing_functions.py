"""Functions that change the tensor they are given: those of PyTorch's are here, and do what the methods do."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import chainrule
from chainrule.methods import as_functions

#: What they are called with besides the tensor.
_OTHERS: dict[str, Any] = {
    "addmv_": lambda lib, x: (lib.ones(3, 2, dtype=lib.float64), lib.ones(2, dtype=lib.float64)),
    "clamp_": lambda lib, x: (0.2, 0.5),
    "clip_": lambda lib, x: (0.2, 0.5),
    "clamp_max_": lambda lib, x: (0.5,),
    "clamp_min_": lambda lib, x: (0.5,),
    "fill_": lambda lib, x: (2.0,),
    "gcd_": lambda lib, x: (lib.tensor([4, 6, 9]),),
    "lcm_": lambda lib, x: (lib.tensor([4, 6, 9]),),
    "index_put_": lambda lib, x: ((lib.tensor([1]),), lib.tensor([7.0], dtype=lib.float64)),
    "ldexp_": lambda lib, x: (lib.tensor([1, 2, 3]),),
    "resize_as_": lambda lib, x: (x[:2],),
    "xlogy_": lambda lib, x: (lib.tensor([1.0, 2.0, 3.0], dtype=lib.float64),),
}
NAMES = sorted(name for name in vars(as_functions) if name.endswith("_") and not name.startswith("_"))


def outcome(lib: Any, name: str) -> tuple[Any, bool]:
    """The tensor afterwards, and whether the function answered with it."""
    whole = name in ("gcd_", "lcm_")
    numbers = [6, 4, 12] if whole else ([1.2, 1.5, 2.5] if "acosh" in name or "arccosh" in name else [0.3, 0.25, 0.9])
    x = lib.tensor(numbers, dtype=lib.int64 if whole else lib.float64)
    others = _OTHERS.get(name, lambda lib, x: ())(lib, x)
    answer = getattr(lib, name)(x, *others)
    return x.detach().numpy(), answer is x


@pytest.mark.parametrize("name", NAMES)
def test_the_function_is_the_method(name: str) -> None:
    assert getattr(as_functions, name) is getattr(chainrule.Tensor, name)
    assert outcome(chainrule, name)[1]


@pytest.mark.peer
@pytest.mark.parametrize("name", NAMES)
def test_what_it_leaves_is_what_pytorch_leaves(name: str) -> None:
    torch = pytest.importorskip("torch")
    np.testing.assert_allclose(outcome(chainrule, name)[0], outcome(torch, name)[0], rtol=1e-12)


@pytest.mark.peer
def test_all_of_pytorchs_are_here_or_said_to_be_elsewhere() -> None:
    torch = pytest.importorskip("torch")
    theirs = {name for name in dir(torch) if name.endswith("_") and not name.startswith("_")}
    for name in sorted(
        theirs - set(dir(chainrule))
    ):  # layers' functions that change their input are compared elsewhere
        with pytest.raises(AttributeError, match=r"chainrule has no '\w+': \w+"):
            getattr(chainrule, name)
    assert set(NAMES) <= theirs
