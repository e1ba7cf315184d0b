"""An explanation as an ONNX file to look at, in Netron for example: every operation a node with its numbers beside it.

The operators are chainrule's primitives, in a domain of that name: readers of ONNX draw them, and nothing can run them.
What is to be run elsewhere is written by `chainrule.onnx.export`.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from chainrule.explain.formulas import plain_formula
from chainrule.explain.numbers import SMALL
from chainrule.explain.text import described
from chainrule.files import write_atomically
from chainrule.onnx.errors import OnnxError, onnx_package
from chainrule.onnx.writing import LARGEST, element_type, tensor_of

if TYPE_CHECKING:
    from chainrule.explain.explanation import Explanation

#: The name of the operators' set, and its version.
DOMAIN, VERSION = "chainrule", 1
#: Which version of ONNX the file is written in: one that readers since 2022 know.
IR_VERSION = 8
#: Settings that are no numbers are cut there: the program of a loop, for example.
LONGEST = 200

Data = dict[str, Any]


def write_onnx(explanation: Explanation, file: str | Path) -> None:
    """Write the file; see `Explanation.onnx`."""
    model = onnx_of(explanation)
    onnx_package("checker").check_model(model)
    write_atomically(Path(file), lambda temporary: temporary.write_bytes(model.SerializeToString()))


def onnx_of(explanation: Explanation) -> Any:
    """The explanation as ONNX's data (a ModelProto)."""
    helper, data = onnx_package("helper"), explanation.data()
    made = {x for node in data["nodes"] for x in node["outputs"]}
    used = {x for node in data["nodes"] for x in node["inputs"]} | set(data["outputs"])
    leaves = [x for x in explanation.symbols if explanation.ids[x] not in made and explanation.ids[x] in used]
    kept = [x for x in leaves if _is_kept(explanation, x)]
    given = [x for x in leaves if not _is_kept(explanation, x)]
    total = sum(explanation.arrays[x].nbytes for x in kept)
    if total >= LARGEST:
        raise OnnxError(f"weights of {total:,} bytes: a file of ONNX takes less than {LARGEST:,} in all.")
    names = _Names(data)
    values = {value["id"]: _value(value, names) for value in data["values"] if value["id"] in made | used}
    ids = explanation.ids
    graph = helper.make_graph(
        [_node(node, names) for node in data["nodes"]],
        str(data["title"]),
        [values[ids[x]] for x in given],
        [values[x] for x in data["outputs"]],
        [tensor_of(names[ids[x]], explanation.arrays[x]) for x in kept],
        value_info=[values[x] for x in values if x in made and x not in data["outputs"]],
    )
    opsets = [helper.make_opsetid(DOMAIN, VERSION)]
    model = helper.make_model(graph, opset_imports=opsets, producer_name=data["framework"])
    model.ir_version = IR_VERSION
    return model


def _is_kept(explanation: Explanation, x: Any) -> bool:
    """Whether the numbers of a value that nothing made are in the file: of weights, and of a few numbers."""
    known = x in explanation.arrays and explanation.kinds.get(x) != "input"
    return known and (x in explanation.names or explanation.arrays[x].size <= SMALL)


class _Names(dict[str, str]):
    """The name of each value: its own, where it has one and no other has it, else its id."""

    def __init__(self, data: Data) -> None:
        taken = {value["id"] for value in data["values"]}
        for value in data["values"]:
            wish = value["name"] or value["id"]
            self[value["id"]] = value["id"] if value["name"] in taken else wish
            taken.add(wish)


def _node(node: Data, names: _Names) -> Any:
    made = onnx_package("helper").make_node(
        node["operation"],
        [names[x] for x in node["inputs"]],
        [names[x] for x in node["outputs"]],
        name=f"{node['path']}/{node['id']}".lstrip("/"),
        domain=DOMAIN,
        **{key: _attribute(value) for key, value in node["settings"].items() if value is not None and value != []},
    )
    line = f"line {node['line'][1]} of {node['line'][0]}" if node["line"] else ""
    failed = f"failed: {node['failed']['message']}" if node["failed"] else ""
    made.doc_string = "\n".join(filter(None, (failed, plain_formula(node["substituted"] or node["formula"]), line)))
    return made


def _attribute(value: Any) -> Any:
    """A setting as ONNX has them: numbers, a list of one kind of numbers, or text."""
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, int | float | str):
        return value
    if isinstance(value, list) and all(type(x) is type(value[0]) and type(x) in (int, float, str) for x in value):
        return value
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"


def _value(value: Data, names: _Names) -> Any:
    """The type and shape of a value, with what it holds and the gradient that came back in words."""
    element, shape = element_type(value["type"]), value["shape"]
    told = [described(value)]
    if value["gradient"]:
        told.append(f"gradient: {described(value['gradient'])}")
    return onnx_package("helper").make_tensor_value_info(names[value["id"]], element, shape, "\n".join(told))
