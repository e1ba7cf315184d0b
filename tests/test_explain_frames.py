"""What a notebook shows, within frames like those of JupyterLab, VS Code and Colab: it works there and asks for nothing.

JupyterLab puts the HTML into its own page. VS Code does so in a frame whose security policy forbids everything but what
stands in the page. Colab gives each output a frame of another origin, fenced off from the notebook.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from html import escape
from pathlib import Path
from typing import Any

import pytest

import chainrule
from chainrule import nn
from tests.test_explain_page import Opened

pytestmark = pytest.mark.browser

POLICY = (
    "default-src 'none'; script-src 'unsafe-inline' 'unsafe-eval'; style-src 'unsafe-inline'; img-src data: https:; "
    "font-src data:; connect-src 'none'; child-src data: https:"
)


def notebook(output: str, policy: str = "") -> str:
    """A page that puts an output into itself after it has loaded, as notebooks do."""
    head = f'<meta http-equiv="Content-Security-Policy" content="{policy}">' if policy else ""
    text = json.dumps(output).replace("<", "\\u003c")
    return (
        f'<!doctype html><html><head><meta charset="utf-8">{head}<style>html, body {{ margin: 0 }}</style></head><body>'
        f'<div id="output"></div><script>document.getElementById("output").innerHTML = {text};'
        'document.documentElement.dataset.ready = "";</script></body></html>'
    )


def within(page: str, sandbox: str) -> str:
    """A page within a frame of a page."""
    frame = (
        f'<iframe sandbox="{sandbox}" srcdoc="{escape(page)}" style="width: 1200px; height: 760px; border: 0"></iframe>'
    )
    return notebook(frame)


FRAMES: dict[str, Callable[[str], str]] = {
    "JupyterLab": notebook,
    "VS Code": lambda output: within(notebook(output, POLICY), "allow-scripts allow-forms"),
    "Colab": lambda output: within(notebook(output), "allow-scripts allow-popups allow-forms allow-downloads"),
}


@pytest.fixture(params=FRAMES)
def show(request: pytest.FixtureRequest, chromium: Any, tmp_path: Path) -> Any:
    """A function that shows an output in such a frame and answers the innermost frame; it must not complain."""
    tab = Opened(chromium)

    def shown(output: str) -> Any:
        tab.show(FRAMES[request.param](output), tmp_path)
        for frame in tab.page.frames:
            frame.wait_for_selector("html[data-ready]", state="attached")
        return tab.page.frames[-1]

    yield shown
    tab.context.close()
    assert not tab.wrong


def explained(layers: int) -> Any:
    chainrule.manual_seed(0)
    model = nn.Sequential(*[nn.Sequential(nn.Linear(8, 8), nn.LayerNorm(8), nn.GELU()) for _ in range(layers)])
    return chainrule.explain(lambda x: model(x).sum(), chainrule.randn(4, 8))


def test_an_explanation_works_in_a_notebooks_frame(show: Any) -> None:
    frame = show(chainrule.explain(lambda x, y, z: (x + y) * z, -2.0, 5.0, -4.0)._repr_html_())
    assert frame.evaluate("microscope.data.nodes.length") == 2
    frame.locator("#back").click()
    frame.locator("#step").click()
    frame.locator("#search").fill("mul")
    frame.locator("#search").press("Enter")
    assert frame.locator("#panel h2").inner_text() == "Multiply"
    frame.evaluate("microscope.change(0, 0, 3)")
    result = frame.evaluate("microscope.data.outputs[0]")
    assert frame.evaluate("place => microscope.entriesOf(place)[0]", result) == -32


def test_a_compressed_page_opens_in_a_notebooks_frame(show: Any) -> None:
    found = explained(layers=60)
    page = found._repr_html_()
    assert 'type="text/plain"' in page.replace("&quot;", '"'), "large enough to be compressed"
    assert show(page).evaluate("microscope.data.nodes.length") == len(found)


def test_the_other_faces_are_seen_in_a_notebooks_frame(show: Any) -> None:
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 2))
    compiled = chainrule.compile(lambda x: model(x).sum())
    profile = compiled.profile(chainrule.randn(1, 1, 8, 8), runs=1)
    faces = [
        chainrule.randn(3, 16, 16)._repr_html_(),
        model._repr_html_(),
        chainrule.explain.summary(model, size=(1, 8, 8))._repr_html_(),
        profile._repr_html_(),
        explained(layers=1)._repr_svg_(),
    ]
    frame = show("".join(f"<section>{face}</section>" for face in faces))
    sections = frame.locator("section")
    assert sections.count() == len(faces)
    for i in range(len(faces)):
        box = sections.nth(i).bounding_box()
        assert box and box["height"] > 20 and box["width"] > 20
    assert frame.evaluate("[...document.images].every(image => image.complete && image.naturalWidth > 0)")
    assert frame.locator("details").first.get_attribute("open") is not None
