"""A model layer by layer: what comes out, what is learned, what it costs, how much of the input it sees."""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any, NamedTuple

from chainrule.autodiff.mode import enable_grad
from chainrule.dtypes import as_dtype
from chainrule.errors import ShapeError, TraceError
from chainrule.explain.flops import flops_of, flops_of_application
from chainrule.explain.tables import Tabular, TextTable, short
from chainrule.functions.creation import zeros
from chainrule.nn.convolution.receptive_paths import TapeOfFields
from chainrule.nn.evaluation import evaluation_mode
from chainrule.nn.module import Module
from chainrule.nn.uninitialized import is_uninitialized
from chainrule.primitives.primitive import Primitive
from chainrule.primitives.trace import Trace, tracing
from chainrule.random import default_generator
from chainrule.state import current_state
from chainrule.tensor import Tensor, tensors_in


@dataclass(frozen=True)
class LayerRow:
    """One call of a layer, or of a module that has parameters or products of its own.

    Attributes:
        path: the module's dotted path; "" is the model itself.
        layer: the name of its class.
        output: the shape of its (first) output, with the batch; None if the model never calls it.
        parameters: numbers that it holds to be learned, those of its parts not among them; each once.
        trainable: how many of them want gradients.
        flops: operations of its own products and convolutions; None where nothing ran.
        memory: bytes of its outputs.
        receptive_field: how many input pixels a side one entry sees; ∞ for all, None where that is not followed.
        jump: how many input pixels further the next entry looks.
    """

    path: str
    layer: str
    output: tuple[int, ...] | None
    parameters: int
    trainable: int
    flops: int | None
    memory: int
    receptive_field: float | None = None
    jump: int | None = None


@dataclass(frozen=True)
class Summary(Tabular):
    """The rows of a model in the order in which its layers ran, and their totals.

    Printing it shows a table, a notebook the same as HTML; `data()` answers what JSON can hold.

    >>> from chainrule import nn
    >>> found = summary(nn.Sequential(nn.Conv2d(3, 10, 5, padding=2), nn.ReLU()), size=(3, 32, 32))
    >>> found.rows[0].output, found.parameters, found.flops
    ((1, 10, 32, 32), 760, 1536000)
    """

    model: str
    inputs: tuple[tuple[int, ...], ...]
    rows: tuple[LayerRow, ...]
    parameter_bytes: int = 0
    buffer_bytes: int = 0

    def __iter__(self) -> Iterator[LayerRow]:
        return iter(self.rows)

    @property
    def parameters(self) -> int:
        """Numbers that the model learns."""
        return sum(row.parameters for row in self.rows)

    @property
    def trainable(self) -> int:
        """Those that want gradients."""
        return sum(row.trainable for row in self.rows)

    @property
    def flops(self) -> int:
        """Operations of all products and convolutions, a multiplication and an addition as two."""
        return sum(row.flops or 0 for row in self.rows)

    @property
    def memory(self) -> int:
        """Bytes of all layers' outputs: about what a training step keeps of this batch."""
        return sum(row.memory for row in self.rows)

    def data(self) -> dict[str, Any]:
        """All of it for JSON. Where a layer sees all of the input its receptive field is "all"."""
        rows = [asdict(row) for row in self.rows]
        for row in rows:
            row["output"] = None if row["output"] is None else list(row["output"])
            row["receptive_field"] = "all" if row["receptive_field"] == math.inf else row["receptive_field"]
        totals = {name: getattr(self, name) for name in ("parameters", "trainable", "flops", "memory")}
        sizes = {"parameter_bytes": self.parameter_bytes, "buffer_bytes": self.buffer_bytes}
        return {"model": self.model, "inputs": [list(i) for i in self.inputs], **totals, **sizes, "layers": rows}

    def json(self) -> str:
        """The same as text."""
        return json.dumps(self.data(), indent=2)

    def table(self) -> TextTable:
        """For the terminal, with `print` or rich's console."""
        fields = any(row.receptive_field is not None for row in self.rows)
        columns = ["layer", "", "output", "parameters", "FLOPs", "memory"] + ["field", "jump"] * fields
        cells = [_cells(row, fields) for row in self.rows]
        foot = ["in all", "", "", f"{self.parameters:,}", short(self.flops), _bytes(self.memory)] + ["", ""] * fields
        inputs = ", ".join(map(_shape, self.inputs))
        frozen = self.parameters - self.trainable
        weights = f"{self.trainable:,} trainable" + (f", {frozen:,} frozen" if frozen else "")
        notes = [
            f"{weights}; {_bytes(self.parameter_bytes)} of parameters, {_bytes(self.buffer_bytes)} of buffers. FLOPs: "
            f"{short(self.flops / 2)} multiplications with their additions."
        ]
        return TextTable(f"{self.model} on {inputs}", columns, cells, words=3, foot=foot, notes=notes)


def summary(
    model: Module,
    *inputs: Any,
    size: Sequence[Any] | None = None,
    batch: int = 1,
    dtype: Any = None,
) -> Summary:
    """What each layer of a model does, in evaluation: shapes, parameters, operations, memory, receptive fields.

    Only shapes are computed, no numbers, so that a large model takes no time. A model that asks for numbers on its way
    is run for real. Nothing in it changes.

    Args:
        model: any module.
        inputs: what it takes, tensors above all; or, instead of them,
        size: the shape of one sample, (3, 224, 224); for several inputs a list of such.
        batch: how many samples a batch has; with `size` only.
        dtype: of the inputs with `size`: "int64" for tokens; that of the model's parameters unless given.

    FLOPs are those of products and convolutions, the operations that `profile` counts (`explain/flops.py`). The
    receptive field is that of square windows; after what is not followed (a transposed convolution, a window outside
    of a module) it is left out.

    Raises ShapeError as the model does, ValueError if neither inputs nor a size are given, or a shape as an input.

    >>> from chainrule import models
    >>> found = summary(models.LeNet5(), size=(1, 32, 32))
    >>> [row.receptive_field for row in found if row.layer in ("Conv2d", "AvgPool2d", "MaxPool2d")]
    [5, 6, 14, 16]
    >>> found.parameters, found.flops
    (61706, 833040)
    """
    if bool(inputs) == (size is not None):
        raise ValueError("summary: give inputs, or the size of one sample: summary(model, size=(3, 224, 224)).")
    if any(isinstance(x, tuple | list) and x and all(isinstance(n, int) for n in x) for x in inputs):
        raise ValueError(
            f"summary: {inputs[0]!r} is a shape; inputs are tensors. Give the shape of one sample, without the batch, "
            "as size=(3, 224, 224)."
        )
    if size is not None:
        shapes = [tuple(s) for s in size] if size and not isinstance(size[0], int) else [tuple(size)]
        forms = [(batch, *shape) for shape in shapes]
        kind = _dtype_of(model) if dtype is None else as_dtype(dtype)
        given: tuple[Any, ...] = tuple(_Form(shape, kind) for shape in forms)
    else:
        given = tuple(_Form(tuple(x.shape), x.dtype) if isinstance(x, Tensor) else x for x in inputs)
    lazy = any(map(is_uninitialized, model.parameters()))  # its first input would make its layers
    try:
        rows = [] if lazy else _by_shapes(model, given)
    except TraceError:
        rows = []
    if not rows:
        model = copy.deepcopy(model)
        rows = _by_numbers(model, inputs or tuple(zeros(*form.shape, dtype=form.dtype) for form in given))
    rows += _never_called(model, rows)
    parameters, buffers = (sum(t.nbytes for t in kind) for kind in (model.parameters(), model.buffers()))
    shapes_in = tuple(form.shape for form in given if isinstance(form, _Form))
    return Summary(type(model).__name__, shapes_in, tuple(rows), parameters, buffers)


class _Form(NamedTuple):
    """An input without its numbers."""

    shape: tuple[int, ...]
    dtype: Any


def _by_shapes(model: Module, given: tuple[Any, ...]) -> list[LayerRow]:
    """The model noted on symbols."""
    trace = Trace()

    def symbol(form: Any) -> Any:
        if not isinstance(form, _Form):
            return form
        return Primitive.make_tensor(trace.new_input(form.shape, form.dtype.numpy, form.dtype.is_floating_point))

    seen = total = 0

    def count() -> int:
        nonlocal seen, total
        total += flops_of(trace.equations[seen:])
        seen = len(trace.equations)
        return total

    try:
        with tracing(trace):
            return _watched(model, tuple(symbol(form) for form in given), count)
    finally:
        trace.take_back_writes()


def _by_numbers(model: Module, inputs: tuple[Any, ...]) -> list[LayerRow]:
    """The model run, and what each operation costs added up."""
    total = 0

    def observe(primitive: Any, arrays: list[Any], result: Any) -> None:
        nonlocal total
        first = result[0] if isinstance(result, list | tuple) else result
        total += flops_of_application(primitive, [x.shape for x in arrays], first.shape)

    def leaf(x: Any) -> Any:
        return x.detach_copy().requires_grad_() if isinstance(x, Tensor) and x.dtype.is_floating_point else x

    state = current_state()
    before, state.observer = state.observer, observe
    drawn = default_generator.get_state()
    try:
        return _watched(model, tuple(map(leaf, inputs)), lambda: total)
    finally:
        state.observer = before
        default_generator.set_state(drawn)


def _dtype_of(model: Module) -> Any:
    """That of the first parameter with floating-point numbers."""
    return next((p.dtype for p in model.parameters() if p.dtype.is_floating_point), as_dtype("float32"))


@dataclass
class _Call:
    """A call of a module that has not come back yet: what had been counted before it, and by its parts."""

    place: int
    before: int
    by_parts: int = 0


class _Watch:
    """The rows of one run, written by hooks before and after each module."""

    def __init__(self, count: Callable[[], int]) -> None:
        self.count = count
        self.rows: list[LayerRow | None] = []
        self.calls: list[_Call] = []
        self.fields: TapeOfFields | None = TapeOfFields()
        self.parameters: set[int] = set()
        self.outputs: dict[int, Any] = {}  # held, so that no identity is given out again

    def before(self, module: Module, args: Any) -> None:
        self.calls.append(_Call(len(self.rows), self.count()))
        self.rows.append(None)

    def after(self, path: str, module: Module, args: Any, output: Any) -> None:
        call, now = self.calls.pop(), self.count()
        if self.calls:
            self.calls[-1].by_parts += now - call.before
        flops = now - call.before - call.by_parts
        own = [p for p in module._parameters.values() if p is not None and id(p) not in self.parameters]
        self.parameters.update(map(id, own))
        leaf = not any(True for _ in module.children())
        tensors = tensors_in(output)
        if leaf:
            size, jump = self._field(module, args, output)
        elif not own and not flops:
            return
        else:
            size, jump = None, None
        self.rows[call.place] = LayerRow(
            path, type(module).__name__, tuple(tensors[0].shape) if tensors else (),
            sum(p.numel() for p in own), sum(p.numel() for p in own if p.requires_grad), flops,
            sum(map(self._bytes_if_new, tensors)), size, jump,
        )  # fmt: skip

    def _field(self, module: Module, args: Any, output: Any) -> tuple[float | None, int | None]:
        """Once something was not followed, nothing behind it is known."""
        if self.fields is None:
            return None, None
        try:
            field = self.fields.behind(module, args, output)
        except ShapeError:
            self.fields = None
            return None, None
        return (None, None) if field is None else (field.size, field.jump)

    def _bytes_if_new(self, tensor: Tensor) -> int:
        array = tensor.value.array
        new = id(array) not in self.outputs
        self.outputs[id(array)] = array
        return int(tensor.nbytes) if new else 0


def _watched(model: Module, inputs: tuple[Any, ...], count: Callable[[], int]) -> list[LayerRow]:
    """Run the model with hooks in every module."""
    watch = _Watch(count)
    handles = []
    for path, module in model.named_modules():
        handles.append(module.register_forward_pre_hook(watch.before))
        handles.append(module.register_forward_hook(partial(watch.after, path)))
    try:
        with evaluation_mode(model), enable_grad():
            images = [x for x in inputs if isinstance(x, Tensor) and x.requires_grad]
            if len(images) == 1 and images[0].ndim > 2 and watch.fields is not None:
                watch.fields.start(images[0])
            else:
                watch.fields = None
            model(*inputs)
    finally:
        for handle in handles:
            handle.remove()
    return [row for row in watch.rows if row is not None]


def _never_called(model: Module, rows: list[LayerRow]) -> list[LayerRow]:
    """Modules whose parameters no row has: a head that only training uses, a weight that its owner reads itself."""
    seen = {row.path for row in rows if row.parameters}
    counted = {id(p) for path in seen for p in model.get_submodule(path)._parameters.values()}
    more = []
    for path, module in model.named_modules():
        own = [p for p in module._parameters.values() if p is not None and id(p) not in counted]
        counted.update(map(id, own))
        if own:
            numbers = sum(p.numel() for p in own), sum(p.numel() for p in own if p.requires_grad)
            more.append(LayerRow(path, type(module).__name__, None, *numbers, None, 0))
    return more


def _shape(shape: Sequence[int]) -> str:
    return "×".join(map(str, shape))


def _bytes(number: int) -> str:
    return short(number, "B")


def _cells(row: LayerRow, fields: bool) -> list[str]:
    output = "not called" if row.output is None else _shape(row.output)
    parameters = f"{row.parameters:,}" if row.parameters else ""
    cells = [row.path or "the model", row.layer, output, parameters, short(row.flops or None)]
    cells.append(_bytes(row.memory) if row.memory else "")
    if fields:
        size = (
            ""
            if row.receptive_field is None
            else "all"
            if row.receptive_field == math.inf
            else str(row.receptive_field)
        )
        cells += [size, "" if row.jump is None or row.receptive_field == math.inf else str(row.jump)]
    return cells
