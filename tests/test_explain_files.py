"""An explanation in other programs' formats: Graphviz's language, and ONNX to look at."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import chainrule
from chainrule import models, nn
from chainrule.onnx import OnnxError
from tests.test_explain_networks import SHAPES

F = nn.functional
TOKEN = re.compile(r'\s*("(?:[^"\\]|\\.)*"|[A-Za-z_0-9]+|->|[{}\[\]=;,])')


def read_dot(text: str) -> tuple[set[str], list[tuple[str, str]], dict[str, int]]:
    """Nodes, edges, and how deep each cluster lies, by Graphviz's grammar as far as it is used here."""
    tokens = [match[1] for match in TOKEN.finditer(text)]
    assert TOKEN.sub("", text).strip() == "", "every character belongs to a token"
    at, depth = 0, 0
    nodes, edges, clusters = set[str](), list[tuple[str, str]](), dict[str, int]()

    def take(wanted: str | None = None) -> str:
        nonlocal at
        at += 1
        assert wanted is None or tokens[at - 1] == wanted, tokens[at - 3 : at + 3]
        return tokens[at - 1]

    def attributes() -> None:
        if tokens[at] == "[":
            take()
            while tokens[at] != "]":
                name = take()
                assert name.isidentifier()
                take("=")
                take()
                if tokens[at] == ",":
                    take()
            take()

    take("digraph")
    take()
    take("{")
    depth = 1
    while depth:
        word = take()
        if word == "}":
            depth -= 1
        elif word == "subgraph":
            clusters[take()] = depth
            take("{")
            depth += 1
        elif tokens[at] == "=":
            take()
            take()
            take(";")
        elif tokens[at] == "->":
            take()
            edges.append((word, take()))
            attributes()
            take(";")
        else:
            if word not in ("node", "edge"):
                nodes.add(word)
            attributes()
            take(";")
    assert at == len(tokens)
    return nodes, edges, clusters


@pytest.mark.parametrize("name", ["perceptron", "packed sequences", "a GAN's step"])
def test_the_graph_for_graphviz_has_every_operation_and_line(name: str) -> None:
    run, inputs, _ = SHAPES[name]()
    found = chainrule.explain(run, *inputs)
    data = found.data()
    nodes, edges, clusters = read_dot(found.dot())
    assert {node["id"] for node in data["nodes"]} <= nodes
    assert all(start in nodes and end in nodes for start, end in edges)
    assert len(edges) == sum(len(node["inputs"]) for node in data["nodes"]) + len(data["outputs"])
    assert set(clusters) == {f"cluster_{group['id']}" for group in data["groups"]}


def test_the_graph_of_the_notes_example_has_its_numbers(tmp_path: Path) -> None:
    found = chainrule.explain(lambda x, y, z: (x + y) * z, -2.0, 5.0, -4.0)
    text = found.dot(tmp_path / "graph.dot")
    assert (tmp_path / "graph.dot").read_text(encoding="utf-8") == text
    for line in ('v0 -> n0 [label="-2\\n∂ -4"]', 'n0 -> n1 [label="3\\n∂ -4"]', 'n1 -> result0 [label="-12\\n∂ 1"]'):
        assert line in text


def test_names_and_messages_are_quoted() -> None:
    found = chainrule.explain(nn.Linear(3, 2), chainrule.ones(2, 4))
    found.title = 'a "title" \\ with\nlines'
    assert "color=red" in found.dot() and read_dot(found.dot())


def read_onnx(found: Any, folder: Path) -> Any:
    onnx = pytest.importorskip("onnx")
    found.onnx(folder / "explained.onnx")
    model = onnx.load(folder / "explained.onnx")
    onnx.checker.check_model(model)
    return model


def test_an_onnx_file_has_every_operation_with_its_numbers(tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx")
    network = models.LeNet5()
    found = chainrule.explain(
        lambda x, y: F.cross_entropy(network(x), y), chainrule.rand(2, 1, 32, 32), chainrule.tensor([1, 2])
    )
    data, graph = found.data(), read_onnx(found, tmp_path).graph
    assert [node.op_type for node in graph.node] == [node["operation"] for node in data["nodes"]]
    assert {node.domain for node in graph.node} == {"chainrule"}
    first = graph.node[0]
    assert (first.name, list(first.input)) == ("features.0/n0", ["x", "features.0.weight"])
    assert {a.name: onnx.helper.get_attribute_value(a) for a in first.attribute}["stride"] == [1, 1]
    weights = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in graph.initializer}
    for name, p in network.named_parameters():
        np.testing.assert_array_equal(weights[name], p.detach().numpy())
    shapes = {v.name: [d.dim_value for d in v.type.tensor_type.shape.dim] for v in (*graph.value_info, *graph.output)}
    made = [value for value in data["values"] if value["kind"] == "result"]
    assert [shapes[value["id"]] for value in made] == [value["shape"] for value in made]
    (result,) = graph.output
    assert result.doc_string == f"{found.arrays[found.outputs[0]].item():.4g}\ngradient: 1"


@pytest.mark.parametrize("name", ["packed sequences", "BERT", "a step with accumulation"])
def test_onnx_files_of_all_kinds_of_networks_pass_its_checker(name: str, tmp_path: Path) -> None:
    run, inputs, _ = SHAPES[name]()
    found = chainrule.explain(run, *inputs)
    model = read_onnx(found, tmp_path)
    assert len(model.graph.node) == len(found)
    assert model.ByteSize() < 400_000


def test_an_onnx_file_of_what_failed_says_so(tmp_path: Path) -> None:
    model = read_onnx(chainrule.explain(nn.Linear(3, 2), chainrule.ones(2, 4)), tmp_path)
    assert model.graph.node[-1].doc_string.startswith("failed: Linear: got (2, 4), expects (…, 3)")


def test_without_the_package_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("onnx", "onnx.helper", "onnx.checker"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(OnnxError, match=r"pip install 'chainrule\[onnx\]'"):
        chainrule.explain(lambda x: x * x, 3.0).onnx(tmp_path / "none.onnx")
    assert not (tmp_path / "none.onnx").exists()
