"""Explaining a compiled step: operations and their kernels, times, the trace for Chrome."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

import chainrule
from chainrule import nn
from chainrule.random import default_generator


class Step:
    """A step of training, with momentum, dropout and normalisation: everything that a step can change."""

    def __init__(self) -> None:
        self.model = nn.Sequential(nn.Linear(8, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Dropout(0.1), nn.Linear(32, 3))
        self.optimizer = chainrule.optim.SGD(self.model.parameters(), lr=0.1, momentum=0.9)
        self.step = chainrule.compile(self.run)
        self.inputs = chainrule.randn(64, 8), chainrule.randint(0, 3, (64,))

    def run(self, x: Any, y: Any) -> Any:
        self.optimizer.zero_grad()
        loss = nn.functional.cross_entropy(self.model(x), y)
        loss.backward()
        self.optimizer.step()
        return loss

    def state(self) -> list[Any]:
        tensors = [*self.model.state_dict().values(), default_generator.get_state()]
        tensors += [t for state in self.optimizer.state.values() for t in state.values() if hasattr(t, "numpy")]
        return [np.array(t.detach().array) for t in tensors] + [p.grad is None for p in self.model.parameters()]


@pytest.fixture(scope="module")
def training() -> tuple[Step, Any]:
    made = Step()
    made.step(*made.inputs)
    before = made.state()
    found = chainrule.explain(made.step, *made.inputs)
    for one, other in zip(before, made.state(), strict=True):
        np.testing.assert_array_equal(one, other)
    return made, found


def test_training_goes_on_as_if_nothing_had_been_explained() -> None:
    losses = []
    for explained in (False, True):
        chainrule.manual_seed(3)
        made = Step()
        made.step(*made.inputs)
        if explained:
            chainrule.explain(made.step, *made.inputs)
        losses.append([made.step(*made.inputs).item() for _ in range(3)])
    assert losses[0] == losses[1]


def test_operations_know_their_kernels(training: tuple[Step, Any]) -> None:
    _, found = training
    data = found.data()
    kernels = {kernel["id"]: kernel for kernel in data["kernels"]}
    assert sum(kernel["share"] for kernel in kernels.values()) == pytest.approx(1)
    assert all(kernel["microseconds"] >= 0 for kernel in kernels.values())
    products = [node for node in data["nodes"] if node["operation"] == "MatMul"]
    assert len(products) >= 5 and all(node["kernel"] for node in products)
    for node in products:
        kernel = kernels[node["kernel"]]
        assert kernel["name"].startswith("product") and kernel["gflops"] > 0
        assert kernel["name"].split("  ")[-1] == node["path"].partition("/")[0]  # the same module


def test_what_has_no_kernel_says_why(training: tuple[Step, Any]) -> None:
    _, found = training
    nodes = found.data()["nodes"]
    assert all((node["kernel"] is None) != (node["without_kernel"] is None) for node in nodes)
    views = [node for node in nodes if (node["without_kernel"] or "").startswith("no work of its own")]
    assert views and {node["operation"] for node in views} <= {"Broadcast", "Permute", "Reshape", "Index"}
    assert all(node["kernel"] for node in nodes if node["operation"] in ("MatMul", "Maximum", "Exp"))
    eager = chainrule.explain(lambda x: x.T @ x, chainrule.ones(2, 2)).data()["nodes"]
    assert all(node["without_kernel"] is None for node in eager)


def test_what_was_fused_is_one_box(training: tuple[Step, Any]) -> None:
    _, found = training
    data = found.data()
    together: dict[str, list[str]] = {}
    for node in data["nodes"]:
        if node["kernel"]:
            together.setdefault(node["kernel"], []).append(node["operation"])
    assert any({"MatMul", "Add"} <= set(names) for names in together.values())
    labels = [
        t.text for t in ElementTree.fromstring(found.svg(fold="kernels")).iter("{http://www.w3.org/2000/svg}text")
    ]
    assert any(label and "MatMul · " in label and "µs" in label for label in labels)
    assert "µs" in found.text(everything=True) and "kernels, the slowest first" in found.text()


def test_the_trace_for_chrome_follows_its_format(training: tuple[Step, Any], tmp_path: Path) -> None:
    _, found = training
    found.chrome_trace(tmp_path / "trace.json")
    events = json.loads((tmp_path / "trace.json").read_text())["traceEvents"]
    work = [event for event in events if event["ph"] == "X"]
    named = {event["tid"] for event in events if event["ph"] == "M" and event["name"] == "thread_name"}
    assert work and {event["tid"] for event in work} == named
    for event in work:
        assert event["ts"] >= 0 and event["dur"] >= 0 and event["pid"] == 1 and isinstance(event["name"], str)
    for thread in named:  # a thread does one thing at a time
        mine = sorted((e["ts"], e["ts"] + e["dur"]) for e in work if e["tid"] == thread)
        assert all(b[0] >= a[1] - 1e-3 for a, b in pairwise(mine))
    assert len(ElementTree.fromstring(found.timeline()).findall("{http://www.w3.org/2000/svg}g")) == len(work)


def test_a_profile_is_a_table_in_a_notebook(training: tuple[Step, Any]) -> None:
    _, found = training
    rows = found.profile._repr_html_().count("<tr>")
    assert rows == len(found.kernels) + 1


def test_what_is_not_compiled_has_no_kernels(tmp_path: Path) -> None:
    found = chainrule.explain(lambda x: x * 2, 1.0)
    assert found.data()["kernels"] == []
    with pytest.raises(TypeError, match="nothing was compiled"):
        found.chrome_trace(tmp_path / "none.json")


def test_numpy_between_kernels_is_measured() -> None:
    @chainrule.compile
    def run(x: Any) -> Any:
        return chainrule.linalg.det(x * 2) + 1

    found = chainrule.explain(run, chainrule.eye(3))
    (det,) = [node for node in found.data()["nodes"] if node["operation"] == "Det"]
    kernel = next(kernel for kernel in found.kernels if kernel["id"] == det["kernel"])
    assert kernel["name"].startswith("Det in NumPy") and kernel["microseconds"] > 0
