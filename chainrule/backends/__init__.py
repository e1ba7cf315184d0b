"""What runs programs: each backend turns a `Program` into something that can be run. PyTorch's switches are here too.

A backend is a function `build(program, homes, debug)`. It gets the homes that cells have already (None for the others)
and answers a `Runnable`, whose `homes` say where the cells are to be found. Whoever runs it sees to it that the cells'
values are there, and gives the arrays of the arguments and settings.

>>> import numpy as np
>>> import chainrule
>>> from chainrule.backends import build
>>> double = chainrule.compile(lambda x: x * 2)
>>> _ = double(chainrule.ones(3))
>>> program = double.program.program
>>> [build(name)(program, [], False).run([np.arange(3, dtype="f4")])[0].tolist() for name in ("native", "numpy")]
[[0.0, 2.0, 4.0], [0.0, 2.0, 4.0]]
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol, Self

from chainrule.absent_names import teller
from chainrule.backends.home import Home
from chainrule.primitives.value import Array
from chainrule.program.graph import Graph
from chainrule.program.program import Program


class Runnable(Protocol):
    """A program ready to run.

    Attributes:
        graph: what is really computed, after the backend's passes.
        homes: for each cell where it lives; None for one that the program does not need after all.
    """

    graph: Graph
    homes: list[Home | None]

    @property
    def size(self) -> int:
        """How many kernels, or operations, a run has."""
        ...

    def run(self, arrays: Sequence[Array]) -> list[Array]:
        """Run once. Cells are read and changed in their homes; if anything fails, they are what they were.

        Args:
            arrays: the arguments and settings, in the order of the program's inputs. Of those that it writes to nobody
                else looks at the memory, whose entries lie row by row (`memory.has_room`).

        Returns:
            The results, in memory of their own, in the order of the program's outputs.
        """
        ...

    def with_homes(self, homes: Sequence[Home | None]) -> Self:
        """The same code for other cells of the same forms, with the homes that these have already (None for others)."""
        ...

    def explain(self) -> str:
        """What a run does, in words."""
        ...


Build = Callable[[Program, Sequence[Home | None], bool], Runnable]

#: Where each backend is.
BACKENDS = {
    "native": "chainrule.backends.native",
    "numpy": "chainrule.backends.numpy",
    "xla": "chainrule.backends.xla",  # needs JAX: the extra `xla`
}


def build(name: Any) -> Build:
    """The function that makes programs run on a backend, which is a name or one with settings (:func:`configured`).

    Raises ValueError for a name that is none.

    >>> build("abacus")
    Traceback (most recent call last):
    ValueError: there is no backend 'abacus'; there are native, numpy, xla.
    """
    if isinstance(name, str) and name not in BACKENDS:
        raise ValueError(f"there is no backend {name!r}; there are {', '.join(BACKENDS)}.")
    answer: Build = (importlib.import_module(BACKENDS[name]) if isinstance(name, str) else name).build
    return answer


def configured(name: str, options: dict[str, Any] | None) -> Any:
    """The backend with these settings, of which only "xla" has some: `devices` and `parameters`.

    Raises ValueError for others, and for several devices elsewhere; DeviceError where there are too few devices.
    PyTorch's options for its own backends change nothing.
    """
    if name != "xla" and options and "devices" in options:
        raise ValueError(f'several devices need backend="xla", got {name!r}.')
    if name != "xla" or not options:
        return name
    kind = importlib.import_module(BACKENDS[name]).XLA
    foreign = sorted(set(options) - set(kind._fields))
    if foreign:
        raise ValueError(f"the backend 'xla' has the options {', '.join(kind._fields)}, got {', '.join(foreign)}.")
    return kind(**options).check()


#: PyTorch's switches of its own backends (`backends.cudnn.benchmark = True`): loaded when a program names one.
_SWITCHES = ("cuda", "cudnn", "mkldnn", "mps")

__all__ = ["BACKENDS", "Build", "Home", "Runnable", "build", "configured"]

if not TYPE_CHECKING:  # it would believe in every name
    _tell = teller("backends", globals())

    def __getattr__(name: str) -> Any:
        return importlib.import_module(f"chainrule.backends.{name}") if name in _SWITCHES else _tell(name)
