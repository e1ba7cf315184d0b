"""A model as ONNX's data: traced, lowered, named, described."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from chainrule.nn.module import Module
from chainrule.onnx.asked import free_sizes, named_tensors, names_for
from chainrule.onnx.errors import OnnxError, onnx_package
from chainrule.onnx.lowering import Lowering, lower
from chainrule.onnx.parts import used_names, without_unused
from chainrule.onnx.several import trace_several
from chainrule.onnx.sizes import Size
from chainrule.onnx.writing import Described, check, model_of

#: The version of ONNX's operators unless another is asked for: the first with attention as one.
OPSET = 23
#: The versions that can be written.
OPSETS = range(13, 24)


def graph_of(
    model: Module,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    input_names: Sequence[str] | None = None,
    output_names: Sequence[str] | None = None,
    dynamic: Any = None,
    opset: int | None = None,
) -> Any:
    """The model as ONNX's data (a ModelProto), checked."""
    opset = OPSET if opset is None else opset
    if opset not in OPSETS:
        raise OnnxError(f"opset is {OPSETS[0]} to {OPSETS[-1]}, got {opset}.")
    if not isinstance(model, Module):
        raise OnnxError(f"a module is exported, not {type(model).__name__}; put the function into a module's forward.")
    onnx_package()
    examples = named_tensors(model, args, kwargs)
    tensors = [tensor for _, tensor in examples]
    if not tensors:
        raise OnnxError("the inputs hold no tensor; give an example of each.")
    names = names_for(input_names, [name for name, _ in examples], "input")
    shapes = [tuple(tensor.shape) for tensor in tensors]
    free = free_sizes(dynamic, names, shapes)
    traced = trace_several(model, args, kwargs, shapes, free)
    g = lower(traced, _tensor_names(model), opset, names)
    results = traced.outputs
    if not results:
        raise OnnxError("the model gives no tensor.")
    plain = [name or ("output" if len(results) == 1 else str(i)) for i, (name, _) in enumerate(results)]
    plain = [f"output.{name}" if name.isdigit() else name for name in plain]
    outputs = _give_names(g, [x for _, x in results], names_for(output_names, plain, "output"))
    nodes = without_unused(g.parts.nodes, outputs)
    used = {*used_names(nodes), *outputs}
    constants = {name: array for name, array in g.parts.constants.items() if name in used}
    sizes = {size: one.name for one, size in traced.free}

    def described(side: Sequence[str], values: Sequence[Any]) -> list[Described]:
        return [(name, _shape(g.shape(x), sizes), g.dtype(x)) for name, x in zip(side, values, strict=True)]

    given, made = described(names, traced.inputs), described(outputs, [x for _, x in results])
    proto = model_of(nodes, constants, given, made, type(model).__name__, opset)
    check(proto)
    return proto


def _tensor_names(model: Module) -> dict[int, str]:
    """The names of parameters and buffers, by the identity of their arrays."""
    found: dict[int, str] = {}
    for name, tensor in (*model.named_parameters(), *model.named_buffers()):
        found.setdefault(id(tensor.value.array), name)
    return found


def _give_names(g: Lowering, values: Sequence[Any], wanted: Sequence[str]) -> list[str]:
    """The results under their names: each is made by a node of its own."""
    names = list[str]()
    made = {name: node for node in g.parts.nodes for name in node.outputs}
    for value, name in zip(values, wanted, strict=True):
        try:
            now = g.of(value)
        except OnnxError as error:
            raise OnnxError(f"the result {name!r}: {error}") from None
        node, free = made.get(now), g.parts.free_name(name)
        if free != name and name in made:  # a layer of this name is inside: it makes room, or is the result itself
            if now != name:
                _rename(g, name, g.parts.free_name(f"{name}.inside"))
            free = name
        if node is None or now in names:
            g.path = ""
            now = g.emit("Identity", [now])
        _rename(g, now, free)
        names.append(free)
    return names


def _rename(g: Lowering, old: str, new: str) -> None:
    for node in g.parts.nodes:
        _rename_in(node, old, new)
    g.names.update({symbol: new for symbol, name in g.names.items() if name == old})


def _rename_in(node: Any, old: str, new: str) -> None:
    node.inputs[:] = [new if name == old else name for name in node.inputs]
    node.outputs[:] = [new if name == old else name for name in node.outputs]
    body = node.attributes.get("body")
    for inner in body.nodes if body is not None else ():
        _rename_in(inner, old, new)


def _shape(shape: Sequence[Any], names: Mapping[Size, str]) -> list[int | str | None]:
    return [names.get(size) if isinstance(size, Size) else int(size) for size in shape]
