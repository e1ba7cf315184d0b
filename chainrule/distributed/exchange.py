"""What processes exchange, as functions of arrays: in eager code, and between the native parts of compiled steps.

A program holds such a function as an equation (`primitives/numpy_function.py`). Before each run of such a program all
processes compare what program they are about to run (`check_same_program`): two hosts with different versions of a
script find out before the first step, and nobody waits for what never comes.
"""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np

from chainrule.distributed.group import ProcessGroup, ProcessGroupError, world_group
from chainrule.distributed.transport import REDUCTIONS, Transport, bytes_of
from chainrule.errors import DTypeError
from chainrule.primitives.numpy_function import NumPyFunction, by_numpy
from chainrule.primitives.value import Array, Symbol
from chainrule.program.graph import Equation, Graph
from chainrule.program.program import Program
from chainrule.tensor import Tensor

_BITWISE = {"bitwise and": np.bitwise_and, "bitwise or": np.bitwise_or, "bitwise xor": np.bitwise_xor}


def _transport() -> Transport:
    transport = world_group().transport
    if transport is None:
        raise ProcessGroupError("this program was made for several processes, and the process group has one.")
    return transport


def _form(array: Array) -> str:
    return f"{array.dtype.name} {tuple(array.shape)}"


def reduced(array: Array, *, op: str, ranks: tuple[int, ...], label: str) -> Array:
    """The sum (or what `op` says) over the processes. Halves are added up in float32, and rounded once.

    `label` says what it is, for errors.
    """
    what = f"{label} ({op}) of {_form(array)}"
    if op in _BITWISE:
        rows = _transport().gather(array, ranks, what)
        return np.asarray(_BITWISE[op].reduce(rows, axis=0))
    kind = array.dtype
    if kind.kind == "b" and op in ("minimum", "maximum"):
        return _transport().reduce(array.astype(np.uint8), op, ranks, what).astype(kind)
    wide = array.astype(np.float32) if kind.kind in "fV" and kind.itemsize == 2 else array
    total = _transport().reduce(wide, "sum" if op == "mean" else op, ranks, what)
    return (total / len(ranks) if op == "mean" else total).astype(kind)


def gathered(array: Array, *, ranks: tuple[int, ...]) -> Array:
    """The arrays of all processes in rows, (processes, …)."""
    return _transport().gather(array, ranks, f"all_gather of {_form(array)}")


def broadcasted(array: Array, *, source: int, ranks: tuple[int, ...]) -> Array:
    """The array of the process with the rank `source` among all: the others add zero bytes to it."""
    transport, what = _transport(), f"broadcast from rank {source} of {_form(array)}"
    raw = bytes_of(array)
    own = raw if transport.member.rank == source else np.zeros_like(raw)
    return transport.reduce(own, "sum", ranks, what).view(array.dtype).reshape(array.shape)


def added_up(array: Array, *, ranks: tuple[int, ...]) -> Array:
    """Of arrays with a row for each process, the sum over the processes of this one's row."""
    total = reduced(array, op="sum", ranks=ranks, label="the gradient of all_gather")
    return np.asarray(total[ranks.index(_transport().member.rank)])


def brought_back(array: Array, *, source: int, ranks: tuple[int, ...]) -> Array:
    """The sum over the processes in the one with the rank `source` among all, zeros in the others."""
    total = reduced(array, op="sum", ranks=ranks, label="the gradient of broadcast")
    return total if _transport().member.rank == source else np.zeros_like(total)


#: What takes part in an exchange.
_EXCHANGES = (reduced, gathered, broadcasted, added_up, brought_back)


# ------------------------------------------------------------------------------------------------- on tensors


def reduce_tensor(x: Tensor, op: str, group: ProcessGroup, label: str = "all_reduce") -> Tensor:
    """The sum (or what `op` says) over the group, as a tensor; now, or in each run of what is traced.

    Raises DTypeError for what the type cannot do.
    """
    kind = x.dtype.numpy
    whole, truth = kind.kind in "iu", kind.kind == "b"
    if (
        (op in _BITWISE and not (whole or truth))
        or (op == "mean" and (whole or truth))
        or (truth and op in ("sum", "product"))
    ):
        raise DTypeError(f"all_reduce: the {op} over processes is not there for {x.dtype}; convert the tensor before.")
    if op not in (*REDUCTIONS, *_BITWISE, "mean"):
        raise ProcessGroupError(f"all_reduce: there is no way {op!r}.")
    return _on_tensor(reduced, x, tuple(x.shape), op=op, ranks=group.ranks, label=label)


def gather_tensor(x: Tensor, group: ProcessGroup) -> Tensor:
    """The tensors of the group in rows."""
    return _on_tensor(gathered, x, (group.size(), *x.shape), ranks=group.ranks)


def broadcast_tensor(x: Tensor, source: int, group: ProcessGroup) -> Tensor:
    """The tensor of the process with this rank among all."""
    return _on_tensor(broadcasted, x, tuple(x.shape), source=source, ranks=group.ranks)


def add_up_tensor(x: Tensor, group: ProcessGroup) -> Tensor:
    """Of tensors with a row for each process of the group, the sum of this one's row."""
    return _on_tensor(added_up, x, tuple(x.shape[1:]), ranks=group.ranks)


def bring_tensor_back(x: Tensor, source: int, group: ProcessGroup) -> Tensor:
    """The sum over the group in the process with this rank among all, zeros in the others."""
    return _on_tensor(brought_back, x, tuple(x.shape), source=source, ranks=group.ranks)


def _on_tensor(function: Any, x: Tensor, shape: tuple[int, ...], **settings: Any) -> Tensor:
    return by_numpy(function, x.detach(), forms=[(shape, x.dtype.numpy)], **settings)[0]


# ------------------------------------------------------------------------------------------------- in programs


def is_exchange(equation: Equation) -> bool:
    """Whether an equation of a program exchanges something with other processes, or one in the body of a loop does."""
    if equation.primitive is NumPyFunction:
        return equation.parameters["function"] in _EXCHANGES
    body = equation.parameters.get("body")
    return isinstance(body, Graph) and any(map(is_exchange, body.equations))


class SameProgram:
    """What processes compare before they run a program that exchanges something: a hash of it.

    What it is made of (operations, settings, what they exchange, numbers) must be the same in all processes. Arguments
    may have other shapes, as in a last batch that is not the same everywhere: then only the operations are compared.
    """

    def __init__(self, program: Program) -> None:
        equations = program.graph.equations
        exchanges = (e for e in _flat(program.graph) if e.primitive is NumPyFunction and is_exchange(e))
        self.ranks = sorted({rank for e in exchanges for rank in dict(e.parameters["settings"])["ranks"]})
        self.operations = digest(" ".join(e.primitive.name for e in _flat(program.graph)))
        self.given = repr([(tuple(x.shape), x.dtype.name) for x in program.graph.inputs])
        names = {x: i for i, x in enumerate([*program.graph.inputs, *(x for e in equations for x in e.outputs)])}
        self.details = digest("\n".join(_line(e, names) for e in equations))

    def check(self) -> None:
        """Wait for the others. Raises ProcessGroupError in all of them if one is about to run another program."""
        what = f"a step compiled to program {self.operations}"
        _transport().agree(tuple(self.ranks), what, digest(self.given), self.details)


def same_program_of(program: Program) -> SameProgram | None:
    """What is compared before a program runs; None for one that exchanges nothing."""
    return SameProgram(program) if any(map(is_exchange, program.graph.equations)) else None


def _flat(graph: Graph) -> list[Equation]:
    found = []
    for equation in graph.equations:
        body = equation.parameters.get("body")
        found += [equation, *(_flat(body) if isinstance(body, Graph) else [])]
    return found


def _line(e: Equation, names: dict[Any, int]) -> str:
    """An equation in words that are the same in every process."""
    inputs = [names.get(x) if isinstance(x, Symbol) else (x.dtype.name, x.shape, x.tobytes().hex()) for x in e.inputs]
    settings = [(name, _word(value, names)) for name, value in sorted(e.parameters.items())]
    return f"{e.primitive.name} {inputs} {settings} {[names.get(x) for x in e.outputs]}"


def _word(value: Any, names: dict[Any, int]) -> str:
    if isinstance(value, Graph):
        inner = {**names, **{x: -1 - i for i, x in enumerate(value.inputs)}}
        for e in value.equations:
            inner.update({x: len(inner) for x in e.outputs})
        return "\n".join(_line(e, inner) for e in value.equations)
    if callable(value):
        return getattr(value, "__qualname__", type(value).__qualname__)
    if isinstance(value, np.ndarray):
        return f"{value.dtype.name} {value.shape} {value.tobytes().hex()}"
    if isinstance(value, tuple | list):
        return f"[{', '.join(_word(part, names) for part in value)}]"
    text = repr(value)
    return type(value).__qualname__ if " at 0x" in text or " object " in text else text


def digest(text: str) -> str:
    """A short hash: equal in all processes where the text is."""
    return hashlib.sha256(text.encode()).hexdigest()[:12]
