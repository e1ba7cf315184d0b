"""The faces of an explanation: text, drawing, what a notebook shows."""

from __future__ import annotations

from html.parser import HTMLParser
from io import BytesIO
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

import chainrule
from chainrule import nn
from tests.test_explain import neuron

F = nn.functional
SVG = "{http://www.w3.org/2000/svg}"


# ------------------------------------------------------------------------------------------ text and drawing


def test_the_text_has_upstream_local_and_downstream() -> None:
    lines = chainrule.explain(lambda x, y, z: (x + y) * z, -2.0, 5.0, -4.0).text().splitlines()
    assert lines[0] == "function  2 operations"
    assert any("z float32[]  -4  ∂ 3" in line for line in lines)
    assert any("Multiply(v3, z)  3 ⊙ (-4) = -12" in line for line in lines)
    assert any("← z: 1 × 3 = 3" in line for line in lines)


def test_the_text_of_a_large_computation_shows_modules() -> None:
    model = nn.Sequential(*[nn.Sequential(nn.Linear(4, 4), nn.ReLU()) for _ in range(30)])
    found = chainrule.explain(lambda x: model(x).sum(), chainrule.ones(1, 4))
    assert len(found.text().splitlines()) < 30 < len(found) < len(found.text(everything=True).splitlines())
    assert "0–29 ×30 Sequential" in found.text()


def test_what_failed_stands_in_its_module() -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.Sequential(nn.ReLU(), nn.Linear(5, 2)))
    data = chainrule.explain(model, chainrule.ones(1, 2)).data()
    failed = data["nodes"][-1]
    assert failed["failed"] and failed["path"] == "1.1"
    assert next(g["name"] for g in data["groups"] if g["id"] == failed["group"]) == "1.1"


def test_a_drawing_brings_its_ground() -> None:
    """A light page may be shown where the system is dark, and the other way round."""
    drawing = ElementTree.fromstring(chainrule.explain(lambda x: x * x, 3.0).svg())
    ground = [e for e in drawing if e.get("class") == "ground"]
    assert len(ground) == 1 and list(drawing).index(ground[0]) < 4


def test_the_text_of_a_failure_says_what_came() -> None:
    text = chainrule.explain(nn.Linear(3, 2), chainrule.ones(2, 4)).text()
    assert "✗ linear" in text and "came      float32 [2, 4]" in text and "expects (…, 3)" in text


def texts_of(svg: str) -> list[tuple[float, float, float, float]]:
    """The rectangles that the texts of a drawing take: left, top, right, bottom."""
    rectangles = []
    for element in ElementTree.fromstring(svg).iter("{http://www.w3.org/2000/svg}text"):
        x, y, width = float(element.get("x", 0)), float(element.get("y", 0)), 6.5 * len(element.text or "")
        left = x - width / 2 if element.get("text-anchor") == "middle" else x
        rectangles.append((left, y - 9, left + width, y + 2))
    return rectangles


@pytest.mark.parametrize("fold", [True, False, None])
def test_no_text_of_a_drawing_lies_on_another(fold: bool | None) -> None:
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))
    x, y = chainrule.randn(5, 3), chainrule.tensor([0, 1, 1, 0, 1])
    found = chainrule.explain(lambda x, y: F.cross_entropy(model(x), y), x, y)
    rectangles = texts_of(found.svg(fold=fold))
    assert len(rectangles) > 20
    for i, (left, top, right, bottom) in enumerate(rectangles):
        for other in rectangles[:i]:
            assert right <= other[0] or other[2] <= left or bottom <= other[1] or other[3] <= top


def test_a_drawing_has_values_above_and_gradients_below() -> None:
    found = chainrule.explain(neuron, 2.0, -1.0, -3.0, -2.0, -3.0)
    drawing = ElementTree.fromstring(found.svg())
    texts = {kind: [] for kind in ("forward", "back")}  # type: dict[str, list[tuple[str, float]]]
    for element in drawing.iter("{http://www.w3.org/2000/svg}text"):
        if element.get("class") in texts:
            texts[element.get("class", "")].append((element.text or "", float(element.get("y", 0))))
    assert [text for text, _ in texts["forward"]] == [
        "2", "-1", "-3", "-2", "-3", "-2", "6", "4", "1", "-1", "0.3679", "1.368", "0.7311",
    ]  # fmt: skip
    assert texts["back"][-1][0] == "1" and texts["back"][-1][1] > texts["forward"][-1][1]
    folded = ElementTree.fromstring(found.svg(fold=True))
    labels = [element.text for element in folded.iter("{http://www.w3.org/2000/svg}text")]
    assert "sigmoid" in labels and "exp" not in labels


def test_what_a_drawing_is_asked_for_in_vain_is_refused(tmp_path: Path) -> None:
    found = chainrule.explain(lambda x: x * x, 3.0)
    with pytest.raises(ValueError, match='fold is True, False, None or "kernels", got .modules'):
        found.svg(fold="modules")
    with pytest.raises(TypeError, match="nothing was compiled here"):
        found.svg(fold="kernels")
    with pytest.raises(FileNotFoundError, match=r"cannot write page\.html: there is no folder: .*nowhere"):
        found.html(tmp_path / "nowhere" / "page.html")


def test_a_drawing_is_folded_until_it_is_readable() -> None:
    model = nn.Sequential(*[nn.Linear(4, 4) for _ in range(30)])
    drawing = ElementTree.fromstring(chainrule.explain(model, chainrule.ones(1, 4)).svg())
    labels = [element.text for element in drawing.iter("{http://www.w3.org/2000/svg}text")]
    assert "0–29 Linear ×30" in labels and len(labels) < 10


# ------------------------------------------------------------------------------------------ notebooks


class Reader(HTMLParser):
    """Notes every element, and what attributes point outside."""

    def __init__(self) -> None:
        super().__init__()
        self.elements: list[str] = []
        self.outside: list[str] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.elements.append(tag)
        for name, value in attributes:
            if name in ("src", "href") and not (value or "").startswith("data:"):
                self.outside.append(value or "")
            if name == "srcdoc":
                inner = read(value or "")
                self.elements += inner.elements
                self.outside += inner.outside


def read(html: str) -> Reader:
    reader = Reader()
    reader.feed(html)
    return reader


def test_a_notebook_shows_an_explanation_once_and_loads_nothing() -> None:
    found = chainrule.explain(lambda x, y: x * y, 2.0, 3.0)
    bundle = found._repr_mimebundle_()
    assert set(bundle) == {"text/plain", "text/html", "image/svg+xml"} and bundle["text/plain"] == repr(found)
    page = read(bundle["text/html"])
    assert page.elements[0] == "iframe" and "svg" in found._repr_svg_() and not page.outside
    assert set(found._repr_mimebundle_(include=["text/plain"])) == {"text/plain"}


def test_a_face_shows_nothing_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where rich sees a notebook it shows even what it captures: once more than the cell does."""
    shown: list[Any] = []
    console = pytest.importorskip("rich.console")
    monkeypatch.setattr(console, "_is_jupyter", lambda: True)
    monkeypatch.setattr("rich.jupyter.display", lambda *given: shown.append(given))
    model = nn.Sequential(nn.Linear(3, 2), nn.ReLU())
    things = (
        chainrule.explain(model, chainrule.ones(2, 3)),
        chainrule.explain.summary(model, size=(3,)),
        chainrule.explain.variance_report(model, chainrule.randn(8, 3)),
    )
    for thing in things:
        assert str(thing) and repr(thing)
    assert things[0]._repr_mimebundle_()["text/plain"] and not shown


def test_a_notebook_shows_tensors_and_modules(capsys: pytest.CaptureFixture[str]) -> None:
    small, large = chainrule.ones(2)._repr_html_(), chainrule.randn(3, 16, 16)._repr_html_()
    assert "tensor([1., 1.])" in small and "img" not in read(small).elements
    assert {"svg", "img"} <= set(read(large).elements) and not read(large).outside
    model = nn.Sequential(nn.Linear(3, 4), nn.Sequential(nn.ReLU(), nn.Linear(4, 2)))
    page = model._repr_html_()
    assert read(page).elements.count("details") == 2 and "26 parameters" in page
    chainrule.ones(100, requires_grad=True)._repr_html_()
    assert "NaN" in chainrule.tensor([float("nan")] * 5 + [1.0, 2.0] * 50)._repr_html_()
    assert capsys.readouterr().out == ""


def test_the_bytes_of_a_picture_are_a_png() -> None:
    from PIL import Image

    from chainrule.explain.notebook import png_of

    grey = np.arange(12, dtype=np.uint8).reshape(3, 4) * 20
    np.testing.assert_array_equal(np.asarray(Image.open(BytesIO(png_of(grey)))), grey)


def test_the_figures_of_the_page_are_what_comes_out() -> None:
    from docs.make import microscope

    for name, drawing in microscope.drawings().items():
        there = (microscope.FIGURES / f"microscope_{name}.svg").read_text(encoding="utf-8")
        if name == "layers":  # its numbers are rounded, differently on other processors
            boxes = [
                [e.text for e in ElementTree.fromstring(text).iter(f"{SVG}text") if not e.get("class")]
                for text in (there, drawing)
            ]
            assert boxes[0] == boxes[1]
        else:
            assert there == drawing + "\n", "python -m docs.make.microscope"
