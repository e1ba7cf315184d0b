"""From a function of tensors to a program that travels: traced without gradients, in evaluation mode."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from typing import Any

import numpy as np

from chainrule.autodiff.mode import no_grad
from chainrule.compiler.function import CompiledFunction
from chainrule.compiler.module import CompiledModule
from chainrule.compiler.origins import Cell
from chainrule.compiler.step import Parts, parts_of
from chainrule.compiler.trace import trace_step
from chainrule.errors import ShapeError, TraceError
from chainrule.functions.creation import make
from chainrule.nn.evaluation import evaluation_mode
from chainrule.nn.module import Module
from chainrule.portable.graph_data import form_data, graph_data
from chainrule.portable.program import PortableProgram
from chainrule.portable.sizes import Point, differs, in_sizes, points
from chainrule.primitives.value import Array
from chainrule.serialization import File
from chainrule.tensor import Tensor

#: What may follow the sizes of a call: `True`, or names for dimensions of all inputs, or of each.
Dynamic = bool | Mapping[int, str] | Sequence[Mapping[int, str]] | None


def export_program(
    model: Callable[..., Any],
    inputs: Any,
    file: File | None = None,
    *,
    dynamic: Dynamic = None,
    about: Mapping[str, Any] | None = None,
) -> PortableProgram:
    """The program that a module or a function runs on inputs like these, with its weights; written to a file too.

    It is traced once, without gradients, a module in evaluation mode. What Python decided meanwhile (branches, loops,
    attributes) is part of the program; tensors from outside are its weights, as they are now.

    Args:
        model: a module, a function of tensors, or what `compile` made of either.
        inputs: a tensor, or a tuple with a tensor for each argument. Their numbers do not matter.
        file: a path or a file opened for writing, for `PortableProgram.save`.
        dynamic: which sizes may be others in each call. None: none. True: the first of each input, called "batch". Or
            names by dimension, `{0: "batch", 1: "length"}` for all inputs, or a list of these, one for each. The model
            is then traced at some sizes, which are compared: every whole number in the program that is not the same
            must be a polynomial of the sizes. A branch that is only taken at sizes that were not looked at is not
            noticed.
        about: what the file says of itself besides: plain values, such as the names of classes.

    Raises TraceError for what cannot be exported: a model that changes tensors outside (a running mean in training
    mode), draws random numbers, decides by the numbers in a tensor, answers anything but tensors in tuples, lists and
    dictionaries, or depends otherwise than so on a dynamic size.

    >>> import chainrule
    >>> program = export_program(chainrule.nn.Linear(3, 2), chainrule.zeros(1, 3))
    >>> program(chainrule.ones(1, 3)).shape
    Size([1, 2])
    """
    tensors = inputs if isinstance(inputs, tuple | list) else (inputs,)
    for number, tensor in enumerate(tensors):
        if not isinstance(tensor, Tensor):
            raise TypeError(f"input {number} of an export is a tensor, got {type(tensor).__name__}.")
    model = _unwrapped(model)
    names = _names_of_sizes(dynamic, tensors)
    example = _sizes_of(names, tensors)
    traces: dict[Point, _Traced] = {}
    for point in points(list(example.values())) if example else [()]:
        sizes = dict(zip(example, point, strict=True))
        traces[point] = _Traced(model, [_resized(x, at, sizes) for x, at in zip(tensors, names, strict=True)])
    data = in_sizes({point: traced.data for point, traced in traces.items()}, list(example))
    weights = _common_weights(list(traces.values()), list(example))
    program = PortableProgram(data, weights, {name: max(size, 2) for name, size in example.items()}, dict(about or {}))
    if file is not None:
        program.save(file)
    return program


def _unwrapped(model: Any) -> Any:
    if isinstance(model, CompiledModule):
        return model._orig_mod
    return model.function if isinstance(model, CompiledFunction) else model


# ----------------------------------------------------------------------------------------- sizes


def _names_of_sizes(dynamic: Dynamic, tensors: Sequence[Tensor]) -> list[dict[int, str]]:
    """For each input the names of its dynamic dimensions."""
    if dynamic is None or dynamic is False:
        return [{} for _ in tensors]
    if dynamic is True:
        dynamic = {0: "batch"}
    listed = [dynamic] * len(tensors) if isinstance(dynamic, Mapping) else list(dynamic)
    if len(listed) != len(tensors):
        raise ValueError(f"dynamic has names for each of the {len(tensors)} inputs, got {len(listed)}.")
    found = []
    for number, (names, tensor) in enumerate(zip(listed, tensors, strict=True)):
        for dimension, name in names.items():
            if not isinstance(name, str) or not name.isidentifier():
                raise ValueError(f"a dynamic size has a name of letters, got {name!r}.")
            if not -tensor.ndim <= dimension < tensor.ndim:
                raise ShapeError(f"dynamic names dimension {dimension} of input {number}, which has {tensor.ndim}.")
        found.append({dimension % tensor.ndim: name for dimension, name in names.items()})
    return found


def _sizes_of(names: Sequence[Mapping[int, str]], tensors: Sequence[Tensor]) -> dict[str, int]:
    """The sizes of the example by name. Raises ShapeError where one name has two."""
    sizes: dict[str, int] = {}
    for at, tensor in zip(names, tensors, strict=True):
        for dimension, name in at.items():
            size = int(tensor.shape[dimension])
            if sizes.setdefault(name, size) != size:
                raise ShapeError(f"the example has two sizes for {name}: {sizes[name]} and {size}.")
    return sizes


def _resized(tensor: Tensor, names: Mapping[int, str], sizes: Mapping[str, int]) -> Tensor:
    """A tensor of that form with the given sizes; its numbers are of no account."""
    shape = [sizes[names[i]] if i in names else int(extent) for i, extent in enumerate(tensor.shape)]
    return make(np.zeros(shape, tensor.dtype.numpy))


# ------------------------------------------------------------------------------------ one trace


class _Traced:
    """One trace of a model as data, and its weights.

    Attributes:
        weights: the arrays by name, in the order of the graph's inputs.
        data: "graph"; "arguments", their shapes and data types; "slots", for each of the graph's inputs the number of
            an argument or the name of a weight; "answer", the containers of the results.
    """

    def __init__(self, model: Any, tensors: list[Tensor]) -> None:
        answers: list[Tensor] = []
        form: list[Any] = []

        def run(stand_ins: list[Any]) -> list[Any]:
            answers.clear()
            form[:] = [_form_of(model(*stand_ins), answers)]
            return answers

        with ExitStack() as stack:
            stack.enter_context(no_grad())
            if isinstance(model, Module):
                stack.enter_context(evaluation_mode(model))
            parts = parts_of(trace_step(run, tensors), set())
        _check(parts, model)
        cells = [origin.tensor for origin in parts.cells if isinstance(origin, Cell)]
        names = _names_of_weights(model, cells)
        order = parts.program.inputs
        self.weights = {names[slot.number]: cells[slot.number].array for slot in order if slot.kind == "cell"}
        self.data = {
            "graph": graph_data(parts.program.graph),
            "arguments": [form_data(x.array) for x in tensors],
            "slots": [[slot.number, ""] if slot.kind == "argument" else [0, names[slot.number]] for slot in order],
            "answer": form[0],
        }


def _common_weights(traces: Sequence[_Traced], names: Sequence[str]) -> dict[str, Array]:
    """The weights, which must be the same in all traces: a size may have chosen between tensors of one form."""
    first, *others = traces
    for traced in others:
        for name, array in first.weights.items():
            other = traced.weights[name]
            if other is not array and other.tobytes() != array.tobytes():
                raise differs(f"the weight {name}", names)
    return first.weights


def _check(parts: Parts, model: Any) -> None:
    """Refuse what does more than compute results from inputs and weights."""
    who = type(model).__name__ if isinstance(model, Module) else getattr(model, "__name__", "the function")
    changed = [slot for slot in parts.program.outputs if slot.kind == "cell"]
    if changed or any(target is not None for target in parts.targets) or parts.cleared or parts.made:
        named = [slot.name for slot in changed if slot.name]
        where = f" (first in {named[0]})" if named else ""
        raise TraceError(
            f"{who} cannot be exported: it changes tensors that outlive a call{where}, such as statistics or the state "
            "of a random generator. Export what only computes: evaluation mode, state as arguments and results."
        )
    if any(slot.kind == "setting" for slot in parts.program.inputs):
        raise TraceError(f"{who} cannot be exported: it reads the settings of an optimiser.")


def _form_of(answer: Any, found: list[Tensor]) -> Any:
    """The containers of an answer, with `{"result": i}` where tensors are, which are put into `found`."""
    if isinstance(answer, Tensor):
        found.append(answer.clone())  # a tensor of its own, where it is an argument or a view of one
        return {"result": len(found) - 1}
    if answer is None:
        return None
    if type(answer) in (tuple, list):
        return type(answer)(_form_of(part, found) for part in answer)
    if type(answer) is dict and all(type(key) is str for key in answer):
        return {"dict": {key: _form_of(part, found) for key, part in answer.items()}}
    raise TraceError(
        f"a program that is exported answers tensors, or tuples, lists and dictionaries of them; this one answers a "
        f"{type(answer).__name__}. Wrap it in a function that answers the tensors you need."
    )


def _names_of_weights(model: Any, cells: Sequence[Tensor]) -> list[str]:
    """A name for each: that in the module's state, or `tensor`; numbered where it comes twice."""
    known: dict[int, str] = {}
    if isinstance(model, Module):
        known = {id(t): name for name, t in [*model.named_buffers(), *model.named_parameters()]}
    names: list[str] = []
    for cell in cells:
        stem = name = known.get(id(cell), "tensor")
        number = 2
        while name in names:
            name, number = f"{stem}#{number}", number + 1
        names.append(name)
    return names
