"""What is compared with PyTorch, as tables: one file for each family of layers, functions, optimisers.

`tests/test_peer_tables.py` finds every table here and runs all of it; `python -m tests.peer_names` makes the page
docs/pytorch.md from it. A file of tables may define

    MODULES     cases of `nn`:            Case("Linear(4, 3)", [(5, 4)])
    FUNCTIONS   cases of `nn.functional`: Case("gelu(x, approximate='tanh')", [(3, 4)])
    REFUSED     what both refuse:         Refused("Linear(4, 3)(x)", [(5, 5)], "expects")
    TESTED      names that tests elsewhere compare:   {"nn.utils.clip_grad_norm_": "tests/test_clip.py"}

The same text is evaluated in both frameworks, so a table reads like a page of the manual.
"""

from __future__ import annotations

import importlib
import os
import pkgutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

#: An input: the shape of random numbers, or an array (floating-point ones are converted to the tested type).
Input = tuple[int, ...] | np.ndarray


@dataclass
class Case:
    """One module or function call with inputs.

    Attributes:
        source: for modules what follows `nn.`; for functions what follows `nn.functional.`, in x, y, z, u, v, w.
        inputs: the arguments of the module; or the values of x, y, z, u, v, w.
        call: how a module is called, if not `layer(x, y, …)`: "layer(x, hx=(y, z))".
        modes: for modules: "train" (two passes, so that buffers move) and "eval". Random layers are compared in
            "eval" only and have tests of their distribution elsewhere.
        second: whether the gradient of the gradient is checked (it is, for cases small enough).
        half: whether float16 must give what float64 gives, to float16's precision.
        tolerance: a factor on how far results may be apart, with a reason in a comment beside the case.
        only: other types than float32 and float64 to compare in.
        printed: whether the printed form must be PyTorch's.
        fixed: the names of inputs that want no gradient: weights and signs, which PyTorch does not differentiate.
    """

    source: str
    inputs: Sequence[Input]
    call: str = ""
    modes: tuple[str, ...] = ("train", "eval")
    second: bool = True
    half: bool = True
    tolerance: float = 1.0
    only: tuple[str, ...] = ("float32", "float64")
    printed: bool = True
    fixed: str = ""

    def __str__(self) -> str:
        shapes = ", ".join(str(tuple(x.shape) if isinstance(x, np.ndarray) else x) for x in self.inputs)
        return f"{self.source} {self.call} {shapes}"


@dataclass
class Refused:
    """What PyTorch refuses and we must too, with one of our errors, whose text has `says` (a regular expression).

    source: an expression in nn, f (nn.functional), lib and x, y, z, u, v, w.
    by_pytorch: False for what only we refuse (silent broadcasting, for one).
    """

    source: str
    inputs: Sequence[Input]
    says: str = r"\d"
    by_pytorch: bool = True

    def __str__(self) -> str:
        return self.source


@dataclass
class Tables:
    """The tables of all files."""

    modules: list[Case] = field(default_factory=list)
    functions: list[Case] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)
    tested: dict[str, str] = field(default_factory=dict)


def files() -> Iterator[Any]:
    """The files of tables, as modules."""
    for found in pkgutil.iter_modules(__path__):
        yield importlib.import_module(f"{__name__}.{found.name}")


def tables() -> Tables:
    """All tables, joined."""
    result = Tables()
    for file in files():
        result.modules += getattr(file, "MODULES", [])
        result.functions += getattr(file, "FUNCTIONS", [])
        result.refused += getattr(file, "REFUSED", [])
        result.tested.update(getattr(file, "TESTED", {}))
    return result


def some_of_each(cases: Sequence[Case], few: int) -> list[Case]:
    """At most so many cases of each layer or function, evenly from the first to the last of its table; all at night."""
    if os.environ.get("CHAINRULE_NIGHTLY"):
        return list(cases)
    of_each: dict[str, list[Case]] = {}
    for case in cases:
        of_each.setdefault(case.source.split("(")[0], []).append(case)
    found = []
    for those in of_each.values():
        places = np.linspace(0, len(those) - 1, min(few, len(those))).round().astype(int)
        found += [those[i] for i in places]
    return found


# ------------------------------------------------------------------------------------ inputs that are no numbers


def labels(*shape: int, classes: int, seed: int = 0) -> np.ndarray:
    """Integers in [0, classes)."""
    return np.random.default_rng(seed).integers(0, classes, shape)


def probabilities(*shape: int, seed: int = 0) -> np.ndarray:
    """Numbers inside (0, 1), one apart from the other."""
    return np.random.default_rng(seed).uniform(0.05, 0.95, shape)


def signs(*shape: int, seed: int = 0) -> np.ndarray:
    """−1.0 and 1.0."""
    return np.random.default_rng(seed).choice([-1.0, 1.0], shape)


def booleans(*shape: int, seed: int = 0) -> np.ndarray:
    """True and False."""
    return np.random.default_rng(seed).random(shape) < 0.5
