"""Large operations of eager code as small programs: machine code for the loops that NumPy takes long for.

A primitive becomes a program of one equation; a block (softmax, a normalisation) and its gradient, and a primitive's
gradient rule, one of all that they consist of. Whether an operation is large is said by its shapes alone
(`Primitive.operations`, `autodiff/block.py`), so the same call always gives the same bits, whatever came before it. A
program is made at the first call with such shapes and kept; that takes some milliseconds, and LLVM's time once, until
its functions are on the disk.

>>> import numpy as np
>>> from chainrule.primitives.contraction import MatMul
>>> x, y = np.ones((3, 4), "f4"), np.ones((4, 2), "f4")
>>> as_program(MatMul, [x, y], {}, MatMul.shape(x, y)).tolist()
[[4.0, 4.0], [4.0, 4.0], [4.0, 4.0]]
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np

from chainrule.autodiff.block import Block
from chainrule.autodiff.composite import Composite
from chainrule.autodiff.noting import called, forms_of, noted, put_together, taken_apart
from chainrule.backends.memory import keep_freed_memory, ordered_strides
from chainrule.backends.native import Native
from chainrule.backends.native.executable import CheckError
from chainrule.backends.native.language.vector_math import ONE_BY_ONE
from chainrule.dtypes import get_default_dtype
from chainrule.exactness import is_exact_arithmetic_enabled
from chainrule.forking import LockAcrossForks
from chainrule.primitives.attention import Attention
from chainrule.primitives.contraction import MatMul
from chainrule.primitives.primitive import Primitive
from chainrule.primitives.shape import Broadcast
from chainrule.primitives.value import Array, Shape, Symbol, Value
from chainrule.program.graph import Equation, Graph
from chainrule.program.known_by import known_by
from chainrule.program.program import Program, Slot

#: So many programs are kept; then all are forgotten and made again when they are needed.
MOST = 4096
#: A block that makes arrays of more entries than this out of nothing is left to NumPy: a program would keep them.
LITTLE = 2**16


class Single(NamedTuple):
    """A program, the lock under which it runs (it has one memory), and how its results are put together."""

    program: Native | None
    lock: LockAcrossForks
    form: Any = None

    def run(self, arrays: Sequence[Array]) -> list[Array]:
        """Compute."""
        assert self.program is not None
        with self.lock:
            return self.program.run(arrays)


_known: dict[Any, Single] = {}
_counting = threading.Lock()
_in_numpy = 0


@contextmanager
def in_numpy() -> Iterator[None]:
    """Operations of eager code by NumPy, whatever their size: what they mean. It counts for all threads.

    >>> import chainrule
    >>> x = chainrule.randn(256, 256, generator=chainrule.Generator().manual_seed(0))
    >>> with in_numpy():
    ...     meant = x @ x
    >>> bool(((x @ x - meant).abs() < 1e-3).all())
    True
    """
    global _in_numpy
    with _counting:
        _in_numpy += 1
    try:
        yield
    finally:
        with _counting:
            _in_numpy -= 1


def is_all_in_numpy() -> bool:
    """Whether NumPy does everything now."""
    return _in_numpy > 0


def _found(key: Any, make: Callable[[], tuple[Native | None, Any]]) -> Single:
    """What is kept under a key, or is made now."""
    single = _known.get(key)
    if single is None:
        if len(_known) >= MOST:
            _known.clear()
        keep_freed_memory()
        program, form = make()  # two threads may both make it: the first one's is kept
        single = _known.setdefault(key, Single(program, LockAcrossForks(rank=3), form))
    return single


# --------------------------------------------------------------------------------------------------- primitives


def as_program(primitive: type[Primitive], arrays: Sequence[Array], parameters: dict[str, Any], forms: Any) -> Any:
    """The results of a primitive, as `Primitive.compute` gives them."""
    if _in_numpy:
        return primitive.compute(arrays, parameters, forms)
    lies = [_transposed(x) for x in arrays] if primitive is MatMul else _lying(primitive, arrays)
    settings = tuple([(name, known_by(value)) for name, value in parameters.items()])
    spread = _spread(arrays)
    places = tuple([(x.shape, x.dtype, *how) for x, *how in zip(arrays, lies, spread, strict=True)])

    def make() -> tuple[Native | None, Any]:
        inputs = [Symbol(x.shape, x.dtype) for x in arrays]
        outputs = tuple([Symbol(*form) for form in (forms if type(forms) is list else [forms])])
        equation = Equation(primitive, tuple(inputs), parameters, outputs, forms, "")
        return _program_of(_spreading(Graph(inputs, [equation], outputs), spread), lies), None

    single = _found((primitive, settings, places, is_exact_arithmetic_enabled()), make)
    if single.program is None:
        return primitive.compute(arrays, parameters, forms)
    try:
        results = single.run(_numbers_of(arrays, spread))
    except CheckError:  # eager code says what is wrong
        return primitive.compute(arrays, parameters, forms)
    return results if type(forms) is list else results[0]


def _spread(arrays: Sequence[Array]) -> tuple[bool, ...]:
    """Which arrays are one number, spread over a shape: a program takes the number and spreads it itself."""
    return tuple([x.size > 1 and not any(x.strides) for x in arrays])


def _numbers_of(arrays: Sequence[Array], spread: Sequence[bool]) -> list[Array]:
    """The arrays, and the number of each that is one."""
    if True not in spread:
        return list(arrays)
    return [x[(slice(0, 1),) * x.ndim].reshape(()) if one else x for x, one in zip(arrays, spread, strict=True)]


def _spreading(graph: Graph, spread: Sequence[bool]) -> Graph:
    """The graph with numbers as inputs, where it has what they are spread to."""
    inputs, equations = list(graph.inputs), list(graph.equations)
    for i, is_number in enumerate(spread):
        if is_number:
            shape, dtype = inputs[i].shape, inputs[i].dtype
            number = Symbol((), dtype)
            equations.insert(0, Equation(Broadcast, (number,), {"to": shape}, (inputs[i],), (shape, dtype), ""))
            inputs[i] = number
    return Graph(inputs, equations, graph.outputs)


def _transposed(x: Array) -> Shape | None:
    """The strides of an array that lies row by row in another order of dimensions; None if that is its own.

    Only products take a transposed matrix as it lies: the weight of a linear layer is one in every forward pass. How a
    sum is cut may depend on it. Everywhere else arrays are copied to their own order first, so that bits do not depend
    on where a convolution's weight has been: a compiled step lets it lie in another order.
    """
    if x.flags.c_contiguous:
        return None
    order = sorted(range(x.ndim), key=lambda d: -x.strides[d])
    return _in_entries(x) if x.transpose(order).flags.c_contiguous else None


def _lying(function: Any, arrays: Sequence[Array]) -> list[Shape | None]:
    """The strides of arrays that lie otherwise than row by row, if what computes with them takes them so.

    That is attention and its gradient rule: vectors go along the last dimension, whose entries are neighbours.
    """
    if not (getattr(function, "lies_like", ()) or function is Attention.gradients):
        return [None] * len(arrays)
    return [
        _in_entries(x)
        if x.size and not x.flags.c_contiguous and x.strides[-1] == x.itemsize and min(x.strides) >= 0
        else None
        for x in arrays
    ]


def _in_entries(x: Array) -> Shape | None:
    """An array's strides in entries, if they are whole numbers of these."""
    return None if any(s % x.itemsize for s in x.strides) else tuple([s // x.itemsize for s in x.strides])


def _made_like(graph: Graph, lies: Sequence[Shape | None]) -> list[Shape | None]:
    """How the results lie: like those inputs that their primitives name."""
    strides = {x: known for x, known in zip(graph.inputs, lies, strict=True) if known is not None}
    for e in graph.equations:
        for name, y in zip(e.primitive.lies_like, e.outputs, strict=False):
            known = strides.get(e.inputs[e.primitive.arguments.index(name)]) if name else None
            if known is not None:
                rank = len(known)
                order = [*sorted(range(rank - 1), key=lambda d: -known[d]), rank - 1]
                strides[y] = tuple(ordered_strides(tuple(y.shape), order)[0])
    return [strides.get(y) for y in graph.outputs]


def _program_of(graph: Graph, lies: Sequence[Shape | None] = ()) -> Native | None:
    """The program of a graph, whose inputs lie so; None if NumPy would have to do something in it."""
    slots = (
        [Slot("argument", i) for i in range(len(graph.inputs))],
        [Slot("result", i) for i in range(len(graph.outputs))],
    )
    strides = (lies, _made_like(graph, lies)) if any(lies) else ((), ())
    program = Native(Program(graph, *slots, is_exact_arithmetic_enabled()), [], False, *strides)
    return None if any(call is not None for *_, call in program.executable.segments) else program


# --------------------------------------------------------------------------------------------------- blocks


def call_as_program(function: Callable[..., Any], args: Sequence[Any], words: Sequence[str] = ()) -> Any:
    """What a function of tensors and settings returns. It must depend on nothing else, and return only tensors.

    words: the names of the last arguments, which are given by name.
    """
    if _in_numpy:
        return called(function, args, words)
    tensors: list[Any] = []
    key = (function, words, taken_apart(args, tensors), get_default_dtype(), is_exact_arithmetic_enabled())
    arrays = [x.value.array for x in tensors]
    places, spread, lies = forms_of(tensors), _spread(arrays), _lying(function, arrays)
    try:
        hash(key)
    except TypeError:  # a setting that cannot be looked up
        return called(function, args, words)
    single = _found((key, places, spread, *lies), lambda: _traced(function, args, words, tensors, spread, lies))
    if single.program is None:
        return called(function, args, words)
    try:
        results = iter([Primitive.make_tensor(Value(y)) for y in single.run(_numbers_of(arrays, spread))])
    except CheckError:  # eager code says what is wrong
        return called(function, args, words)
    return put_together(single.form, results)


def _traced(
    function: Callable[..., Any],
    args: Sequence[Any],
    words: Sequence[str],
    tensors: Sequence[Any],
    spread: Sequence[bool],
    lies: Sequence[Shape | None],
) -> tuple[Native | None, Any]:
    """The program of a function, and the form of what it returns; none where it cannot be one."""
    graph, form = noted(function, args, words, tensors)
    if graph is None or any(isinstance(x, np.ndarray) and x.size > LITTLE for e in graph.equations for x in e.inputs):
        return None, None
    if len(graph.equations) < 2 or any(e.primitive.name in ONE_BY_ONE for e in graph.equations):
        return None, None  # a single operation says itself whether it is large
    return _program_of(_spreading(graph, spread), lies), form


# --------------------------------------------------------------------------------------------------- composites


class GraphProgram:
    """A graph as a program; what NumPy would have to do something in is left to NumPy altogether."""

    def __init__(self, graph: Graph) -> None:
        keep_freed_memory()
        self.graph, self.single = graph, Single(_program_of(graph), LockAcrossForks(rank=3))

    def run(self, arrays: Sequence[Array]) -> list[Array]:
        """Compute."""
        if _in_numpy or self.single.program is None:
            return self.graph.run(arrays)
        try:
            return self.single.run(arrays)
        except CheckError:  # NumPy says what is wrong
            return self.graph.run(arrays)


Primitive.as_program, Block.as_program = staticmethod(as_program), staticmethod(call_as_program)
Composite.as_program = GraphProgram
