"""An explanation says which operation made the first NaN or infinity, forward or on the way back, and shows true factors."""

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

import chainrule
from chainrule import nn

F = nn.functional
SVG = "{http://www.w3.org/2000/svg}"


class Length(nn.Module):
    """√(Σ x²) as it must not be written: its gradient at 0 is 0/0."""

    def forward(self, x: Any) -> Any:
        return (x * x).sum(1).sqrt()


def on_the_way_back() -> Any:
    model = nn.Sequential(nn.Linear(2, 3, bias=False), nn.ReLU(), Length())
    return chainrule.explain(lambda x: model(x).sum(), chainrule.zeros(2, 2))


def test_a_nan_of_the_forward_pass() -> None:
    found = chainrule.explain(lambda x: (x.log() * x).sum(), chainrule.tensor([1.0, 0.0, -1.0]))
    wrong = found.data()["first_nan"]
    assert (wrong["node"], wrong["pass"]) == ("n0", "forward")
    assert wrong["message"] == "Log made -∞ and NaN from finite numbers: x from -1 to 1."
    assert "✗ first NaN or infinity: Log made -∞ and NaN" in found.text()


def test_an_infinity_of_the_backward_pass() -> None:
    found = on_the_way_back()
    data = found.data()
    wrong = data["first_nan"]
    (node,) = [node for node in data["nodes"] if node["id"] == wrong["node"]]
    assert (node["operation"], node["path"], wrong["pass"]) == ("Sqrt", "2", "backward")
    assert wrong["message"] == "The gradient of Sqrt made ∞ from finite numbers: upstream = 1, x = 0."
    assert "in 2, test_explain_nan.py:" in found.text(width=200)


def test_a_block_with_a_gradient_of_its_own_can_be_to_blame() -> None:
    @chainrule.block
    def twice(x: Any) -> Any:
        return x.exp() + x.exp()

    @twice.gradient
    def twice_backward(g: Any, output: Any) -> Any:
        return g / (output - output)

    wrong = chainrule.explain(lambda x: twice(x) * 3, 2.0).data()["first_nan"]
    assert wrong["pass"] == "backward" and wrong["message"].startswith("The gradient of twice made ∞")
    assert wrong["group"] == "g0"


def test_in_a_step_with_its_backward_pass_the_operation_of_that_pass_is_named() -> None:
    weight = chainrule.zeros(2, requires_grad=True)

    def step() -> Any:
        loss = (weight * weight).sum().sqrt()
        loss.backward()
        return loss

    data = chainrule.explain(step).data()
    (node,) = [node for node in data["nodes"] if node["id"] == data["first_nan"]["node"]]
    groups = {group["id"]: group for group in data["groups"]}
    assert node["operation"] == "Divide" and groups[node["group"]]["name"] == "backward"


def test_finite_numbers_and_masks_of_infinities_are_nobodys_fault() -> None:
    attention = nn.MultiheadAttention(4, 2, batch_first=True)
    mask = chainrule.triu(chainrule.full((3, 3), -np.inf), 1)
    x = chainrule.randn(1, 3, 4)
    assert chainrule.explain(lambda x: attention(x, x, x, attn_mask=mask)[0].sum(), x).data()["first_nan"] is None
    assert chainrule.explain(lambda x: F.max_pool2d(x, 2, padding=1).sum(), x[None]).data()["first_nan"] is None


@pytest.mark.parametrize(
    ("function", "at", "factors"),
    [
        (lambda x: x.log(), [1.0, 0.0, -4.0], [1.0, "Infinity", -0.25]),
        (lambda x: x.sqrt(), [1.0, 0.0, 4.0], [0.5, "Infinity", 0.25]),
        (lambda x: x * chainrule.tensor([np.inf, 2.0, np.nan]), [1.0, 0.0, 4.0], ["Infinity", 2, "NaN"]),
        (lambda x: 1 / x, [1.0, 0.0, 2.0], [-1, "-Infinity", -0.25]),
    ],
)
def test_an_infinite_factor_of_one_entry_leaves_the_others_alone(function: Any, at: Any, factors: Any) -> None:
    found = chainrule.explain(lambda x: function(x).sum(), chainrule.tensor(at)).data()
    (told,) = [
        contribution
        for node in found["nodes"]
        for name, contribution in zip(node["inputs"], node["contributions"], strict=True)
        if name == found["values"][0]["id"] and contribution
    ]
    assert told["local"] == factors and told["jacobian"] is False


def test_formulas_with_roots_have_their_numbers() -> None:
    (node,) = chainrule.explain(lambda x: x.sqrt(), 4.0).data()["nodes"]
    assert node["substituted"] == r"\sqrt{4} = 2"


def test_the_text_writes_out_what_can_be_read() -> None:
    model = nn.Linear(4, 3)
    text = chainrule.explain(lambda x: model(x).sum(), chainrule.randn(3, 4)).text(width=200)
    assert "× ∂f/∂x (9×3) =" in text, "a Jacobian of 27 numbers is told by its size"
    assert max(map(len, text.splitlines())) <= 200


def test_the_drawing_marks_it() -> None:
    drawing = ElementTree.fromstring(on_the_way_back().svg())
    (wrong,) = [g for g in drawing.iter(f"{SVG}g") if "failed" in str(g.get("class"))]
    assert next(text.text for text in wrong.iter(f"{SVG}text")) == "√"
    assert str(wrong.findtext(f"{SVG}title")).startswith("The gradient of Sqrt made ∞")
    folded = ElementTree.fromstring(on_the_way_back().svg(fold=True))
    assert len([g for g in folded.iter(f"{SVG}g") if "failed" in str(g.get("class"))]) == 1
