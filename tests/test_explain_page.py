"""The page of an explanation, driven in a browser as a person would: by mouse, by keyboard, wide and narrow."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import chainrule
from chainrule import models, nn
from chainrule.explain.page import page as page_of
from chainrule.nn import functional as F
from tests.test_explain_networks import SHAPES

pytestmark = pytest.mark.browser
NIGHTLY = bool(os.environ.get("CHAINRULE_NIGHTLY"))


class Opened:
    """A page with what it has complained about and asked the network for."""

    def __init__(self, chromium: Any, **options: Any) -> None:
        self.context = chromium.new_context(**{"viewport": {"width": 1280, "height": 800}, **options})
        self.page = self.context.new_page()
        self.page.set_default_timeout(300_000)  # a busy machine may stand still for minutes
        self.wrong: list[str] = []
        self.page.on("console", lambda message: self.wrong.append(message.text))
        self.page.on("pageerror", lambda error: self.wrong.append(str(error)))
        self.page.on("request", lambda request: self.note(request.url))

    def note(self, url: str) -> None:
        if not url.startswith(("file:", "data:", "about:")):
            self.wrong.append(f"asked the network for {url}")

    def show(self, html: str, folder: Path, name: str = "page.html") -> Any:
        file = folder / name
        file.write_text(html, encoding="utf-8")
        self.page.goto(file.as_uri())
        self.page.wait_for_selector("html[data-ready]")
        return self.page


@pytest.fixture
def opened(chromium: Any) -> Iterator[Opened]:
    tab = Opened(chromium)
    yield tab
    tab.context.close()
    assert not tab.wrong


def small() -> str:
    """f = (x + y)·z of the notes: x = −2, y = 5, z = −4."""
    return chainrule.explain(lambda x, y, z: (x + y) * z, -2.0, 5.0, -4.0).html()


def network() -> chainrule.explain.Explanation:
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))
    return chainrule.explain(lambda x: F.cross_entropy(model(x), chainrule.tensor([0, 1])), chainrule.randn(2, 3))


def find(page: Any, operation: str) -> int:
    """The place of the first operation of that name."""
    return int(page.evaluate("name => microscope.data.nodes.findIndex(node => node.operation === name)", operation))


def where(page: Any, kind: str, place: int) -> tuple[float, float]:
    found = page.evaluate("([kind, place]) => microscope.screenPlace({ kind, place })", [kind, place])
    return found["x"], found["y"]


def chosen(page: Any) -> Any:
    return page.evaluate("microscope.state.chosen && [microscope.state.chosen.kind, microscope.state.chosen.place]")


def test_the_notes_example_has_the_notes_numbers(opened: Opened, tmp_path: Path) -> None:
    page = opened.show(small(), tmp_path)
    shown = page.evaluate(
        "microscope.data.values.map((v, i) => [v.name ?? null, microscope.entriesOf(i)[0], microscope.gradientOf(i)[0]])"
    )
    assert sorted(shown, key=str) == sorted(
        [["x", -2, -4], ["y", 5, -4], ["z", -4, 3], [None, 3, -4], [None, -12, 1]], key=str
    )
    page.mouse.click(*where(page, "node", find(page, "Multiply")))
    panel = page.locator("#panel").inner_text()
    assert "upstream" in panel and "downstream" in panel
    formulas = page.locator("#panel math")
    assert [formulas.nth(i).evaluate("e => e.textContent") for i in range(2)] == ["x⊙y", "3⊙(−4)=−12"]


def test_a_click_chooses_and_a_double_click_opens_and_folds(opened: Opened, tmp_path: Path) -> None:
    page = opened.show(network().html(), tmp_path)
    page.keyboard.press("f")
    matmul = find(page, "MatMul")
    group = page.evaluate("place => microscope.data.nodes[place].group", matmul)
    assert page.evaluate("place => microscope.screenPlace({ kind: 'node', place })", matmul) is None, "it is folded"
    page.mouse.dblclick(*where(page, "group", group))
    page.mouse.click(*where(page, "node", matmul))
    assert chosen(page) == ["node", matmul]
    assert page.locator("#panel h2").inner_text() == "MatMul"
    assert "line" in page.locator("#panel").inner_text(), "where it stands in the source"
    page.mouse.dblclick(*where(page, "group", group))
    assert page.evaluate("place => microscope.screenPlace({ kind: 'node', place })", matmul) is None


def test_equal_blocks_are_one_box_that_opens(opened: Opened, tmp_path: Path) -> None:
    model = nn.Sequential(*[nn.Sequential(nn.Linear(4, 4), nn.Tanh()) for _ in range(12)])
    page = opened.show(chainrule.explain(model, chainrule.randn(2, 4)).html(), tmp_path)
    page.keyboard.press("f")
    labels = page.locator("#outline [role=treeitem]").all_inner_texts()
    assert any("×12" in label for label in labels)
    repeat = int(page.evaluate("microscope.data.groups.findIndex(group => group.count === 12)"))
    page.evaluate("place => microscope.reveal({ kind: 'group', place })", repeat)
    page.locator("#panel button", has_text="Open").click()
    inner = page.evaluate("place => microscope.data.groups.filter(group => group.parent === place).length", repeat)
    assert inner == 12


def test_steps_go_forward_and_back_one_operation_at_a_time(opened: Opened, tmp_path: Path) -> None:
    page = opened.show(small(), tmp_path)
    add, multiply = find(page, "Add"), find(page, "Multiply")
    page.locator("#first").click()
    assert page.locator("#where").inner_text() == "nothing computed"
    page.keyboard.press(".")
    assert page.locator("#where").inner_text() == "forward 1 of 2" and chosen(page) == ["node", add]
    assert page.locator("#panel .gradient").count() == 0, "no gradient has come yet"
    page.locator("#forward").click()
    assert chosen(page) == ["node", multiply]
    page.locator("#forward").click()
    assert page.locator("#where").inner_text() == "backward 1 of 2" and chosen(page) == ["node", multiply]
    page.keyboard.press(".")
    assert chosen(page) == ["node", add] and page.locator("#forward").is_disabled()
    page.keyboard.press(",")
    assert page.locator("#where").inner_text() == "backward 1 of 2"
    page.locator("#step").focus()
    page.keyboard.press("Home")
    assert page.locator("#where").inner_text() == "nothing computed"


def test_search_finds_operations_in_folded_groups(opened: Opened, tmp_path: Path) -> None:
    page = opened.show(network().html(), tmp_path)
    page.keyboard.press("f")
    page.keyboard.press("/")
    page.keyboard.type("maxim")
    assert page.locator("#found [role=option]").count() >= 1
    page.keyboard.press("Enter")
    assert chosen(page) == ["node", find(page, "Maximum")]
    x, y = where(page, "node", find(page, "Maximum"))
    box = page.locator("#graph").bounding_box()
    assert box["x"] < x < box["x"] + box["width"] and box["y"] < y < box["y"] + box["height"], (
        "it was brought into view"
    )
    page.keyboard.press("/")
    page.keyboard.press("Control+a")
    page.keyboard.type("nothing of the kind")
    assert page.locator("#found").inner_text() == "Nothing found"
    page.keyboard.press("Escape")
    assert page.locator("#found").is_hidden()


def test_hovering_tells_and_wheel_and_drag_move(opened: Opened, tmp_path: Path) -> None:
    page = opened.show(small(), tmp_path)
    place = where(page, "node", find(page, "Add"))
    page.mouse.move(*place)
    assert "Add" in page.locator("#tip").inner_text() and "value 3" in page.locator("#tip").inner_text()
    before = page.evaluate("microscope.state.scale")
    page.mouse.wheel(0, -300)
    while page.evaluate("microscope.state.scale") <= before:
        page.wait_for_timeout(10)
    assert np.allclose(where(page, "node", find(page, "Add")), place, atol=20), "what is under the pointer stays there"
    page.locator("#fit").click()
    start = where(page, "node", find(page, "Add"))
    page.mouse.move(start[0], start[1] + 120)
    page.mouse.down()
    page.mouse.move(start[0] + 50, start[1] + 150, steps=3)
    page.mouse.up()
    assert np.allclose(np.subtract(where(page, "node", find(page, "Add")), start), [50, 30], atol=1)
    assert chosen(page) is None, "a drag chooses nothing"


def test_a_changed_number_changes_everything_behind_it(opened: Opened, tmp_path: Path) -> None:
    page = opened.show(small(), tmp_path)
    page.mouse.click(*where(page, "value", 0))
    field = page.locator("#panel input[type=number]")
    field.fill("1.5")
    multiply = page.evaluate("microscope.data.outputs[0]")
    assert page.evaluate("place => microscope.entriesOf(place)", multiply) == [(1.5 + 5) * -4]
    assert page.evaluate("microscope.gradientOf(2)[0] ?? null") is not None
    z = page.evaluate("microscope.data.values.findIndex(value => value.name === 'z')")
    assert page.evaluate("place => microscope.gradientOf(place)", z) == [6.5]
    slider = page.locator("#panel input[type=range]")
    slider.focus()
    page.keyboard.press("ArrowRight")
    moved = float(field.input_value())
    assert moved != 1.5
    np.testing.assert_allclose(
        page.evaluate("place => microscope.entriesOf(place)", multiply), [(moved + 5) * -4], rtol=1e-3
    )
    page.evaluate("place => microscope.reveal({ kind: 'node', place })", find(page, "Multiply"))
    assert "downstream" in page.locator("#panel").inner_text()


def test_typing_goes_on_in_the_same_field(opened: Opened, tmp_path: Path) -> None:
    page = opened.show(network().html(), tmp_path)
    weight = page.evaluate("microscope.data.values.findIndex(value => (value.name ?? '').endsWith('weight'))")
    page.evaluate("place => microscope.reveal({ kind: 'value', place })", weight)
    field = page.locator("#panel input[type=number]").nth(2)
    field.click()
    page.keyboard.press("Control+a")
    page.keyboard.type("0.125")
    assert field.input_value() == "0.125"
    assert page.evaluate("place => microscope.entriesOf(place)[2]", weight) == 0.125


def test_one_entry_of_many_can_be_changed(opened: Opened, tmp_path: Path) -> None:
    x = chainrule.randn(9, 10)
    page = opened.show(chainrule.explain(lambda x: (x * x).sum(), x).html(), tmp_path)
    page.evaluate("microscope.reveal({ kind: 'value', place: 0 })")
    page.locator("[aria-label='which entry of x']").fill("12")
    field = page.locator("[aria-label='number at the entry of x']")
    np.testing.assert_allclose(float(field.input_value()), x.array[1, 1], rtol=1e-5)
    field.fill("3")
    assert page.evaluate("microscope.gradientOf(0)[11]") == 6
    changed = x.array.copy()
    changed[1, 1] = 3
    total = page.evaluate("microscope.entriesOf(microscope.data.outputs[0])[0]")
    np.testing.assert_allclose(total, np.square(changed).sum(), rtol=1e-5)


def test_what_was_drawn_stays_when_a_number_changes(opened: Opened, tmp_path: Path) -> None:
    x = chainrule.randn(10, 10)
    found = chainrule.explain(lambda x: F.dropout(x, 0.5).sum(), x)
    page = opened.show(found.html(), tmp_path)
    kept = np.flatnonzero(found.gradient("x"))
    page.evaluate("place => microscope.change(0, place, 7)", int(kept[0]))
    total = page.evaluate("microscope.entriesOf(microscope.data.outputs[0])[0]")
    changed = x.array.reshape(-1).copy()
    changed[kept[0]] = 7
    np.testing.assert_allclose(total, 2 * changed[kept].sum(), rtol=1e-5)


def test_operations_of_one_kernel_are_shown_together(opened: Opened, tmp_path: Path) -> None:
    step = chainrule.compile(lambda x: (x.exp() + 1).log().sum())
    x = chainrule.randn(40, 50)
    step(x)
    page = opened.show(chainrule.explain(step, x).html(), tmp_path)
    page.evaluate("place => microscope.reveal({ kind: 'node', place })", find(page, "Exp"))
    panel = page.locator("#panel").inner_text()
    assert "Compiled" in panel and "fused with" in panel and "µs" in panel
    page.locator("#panel dl.facts button", has_text="Log").click()
    assert chosen(page) == ["node", find(page, "Log")]


def test_what_the_page_cannot_compute_is_locked_with_the_reason(opened: Opened, tmp_path: Path) -> None:
    a = chainrule.tensor([[2.0, 1.0], [1.0, 3.0]])
    page = opened.show(chainrule.explain(lambda a: chainrule.linalg.eigh(a)[0].sum(), a).html(), tmp_path)
    page.evaluate("microscope.change(0, 0, 5)")
    assert page.evaluate("microscope.entriesOf(microscope.data.outputs[0])") is None, "a stale number would be a lie"
    page.evaluate("place => microscope.reveal({ kind: 'node', place })", find(page, "Eigh"))
    assert "Locked: eigenvectors are known only up to their signs" in page.locator("#panel").inner_text()


def test_a_failed_computation_opens_at_what_failed(opened: Opened, tmp_path: Path) -> None:
    model = nn.Sequential(nn.Linear(3, 4), nn.Linear(5, 2))
    page = opened.show(chainrule.explain(model, chainrule.randn(2, 3)).html(), tmp_path)
    kind, place = chosen(page)
    assert kind == "node" and page.evaluate("place => Boolean(microscope.data.nodes[place].failed)", place)
    panel = page.locator("#panel").inner_text()
    assert "1 (Linear): got (2, 4), expects (…, 5)" in panel and "float32 [2, 4]" in panel


def test_texts_of_the_data_are_no_html(opened: Opened, tmp_path: Path) -> None:
    data = chainrule.explain(lambda x: x * x, 3.0).data()
    data["title"] = "<img src=x> </script><script>throw 1</script> <!--<script>"
    page = opened.show(page_of(data), tmp_path)
    assert page.locator("h1").inner_text() == data["title"]


# ------------------------------------------------------------------------------------------------- keyboard


def test_the_list_reaches_everything_by_keyboard(opened: Opened, tmp_path: Path) -> None:
    page = opened.show(network().html(), tmp_path)
    page.keyboard.press("f")
    page.locator("#outline [role=treeitem][tabindex='0']").focus()
    seen = set()
    for _ in range(150):
        page.keyboard.press(
            "ArrowRight"
            if page.evaluate("document.activeElement.getAttribute('aria-expanded') === 'false'")
            else "ArrowDown"
        )
        seen.add(tuple(chosen(page) or ()))
    assert {place for kind, place in seen - {()} if kind == "node"} == set(
        range(page.evaluate("microscope.data.nodes.length"))
    )


def test_arrows_go_along_the_lines_of_the_picture(opened: Opened, tmp_path: Path) -> None:
    page = opened.show(small(), tmp_path)
    page.locator("#graph").focus()
    page.keyboard.press("ArrowRight")
    assert chosen(page)[0] == "value"
    page.keyboard.press("ArrowRight")
    assert chosen(page) == ["node", find(page, "Add")]
    page.keyboard.press("ArrowRight")
    assert chosen(page) == ["node", find(page, "Multiply")]
    page.keyboard.press("ArrowLeft")
    assert chosen(page) == ["node", find(page, "Add")]
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "panel"
    assert "Add" in page.locator("#said").inner_text()


def test_tab_reaches_every_tool(opened: Opened, tmp_path: Path) -> None:
    page = opened.show(small(), tmp_path)
    reached = []
    for _ in range(40):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.id || document.activeElement.tagName"))
    for name in (
        "search",
        "outline-button",
        "zoom-out",
        "zoom-in",
        "fit",
        "fold-all",
        "theme",
        "help-button",
        "LI",
        "graph",
        "first",
        "back",
        "step",
        "panel",
    ):
        assert name in reached
    page.keyboard.press("?")
    assert page.locator("#help").is_visible()
    page.keyboard.press("Escape")
    assert page.locator("#help").is_hidden()


def test_the_first_nan_is_marked_and_the_page_looks_again_when_numbers_change(opened: Opened, tmp_path: Path) -> None:
    found = chainrule.explain(lambda x: x.sqrt().log().sum(), chainrule.tensor([1.0, 0.0]))
    page = opened.show(found.html(), tmp_path)
    assert "Log made -∞" in page.locator("#panel").inner_text()
    page.get_by_role("button", name="To what made it").click()
    assert page.locator("#panel h2").inner_text() == "Log"
    page.evaluate("microscope.change(0, 1, 4)")
    page.evaluate("microscope.reveal({ kind: 'node', place: 0 })")
    assert page.locator("#panel .wrong-box").count() == 0
    page.evaluate("microscope.change(0, 0, -1)")
    assert "Sqrt made it" in page.locator("#panel .wrong-box").inner_text()


# -------------------------------------------------------------------------------------- how it can be seen


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_axe_finds_nothing_serious(scheme: Any, width: int, chromium: Any, tmp_path: Path) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    tab = Opened(chromium, viewport={"width": width, "height": 800}, color_scheme=scheme)
    page = tab.show(network().html(), tmp_path)
    page.evaluate("place => microscope.reveal({ kind: 'node', place })", find(page, "MatMul"))
    for key in ("", "?"):
        if key:
            page.keyboard.press(key)
        found = axe.run(page).response["violations"]
        serious = [(f["id"], f["nodes"][0]["html"][:200]) for f in found if f["impact"] in ("serious", "critical")]
        assert not serious, json.dumps(serious, indent=1)
    assert not tab.wrong
    tab.context.close()


def test_dark_and_light_follow_the_system_and_the_switch(chromium: Any, tmp_path: Path) -> None:
    tab = Opened(chromium, color_scheme="dark")
    page = tab.show(small(), tmp_path)
    theme = "document.documentElement.dataset.theme"
    assert page.evaluate(theme) == "dark"
    page.emulate_media(color_scheme="light")
    page.wait_for_selector("html[data-theme=light]")
    page.locator("#theme").click()
    assert page.evaluate(theme) == "dark"
    tab.context.close()


def test_a_narrow_page_has_no_sideways_scrolling(chromium: Any, tmp_path: Path) -> None:
    tab = Opened(chromium, viewport={"width": 360, "height": 700})
    page = tab.show(network().html(), tmp_path)
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    assert page.locator("#graph").bounding_box()["height"] > 150
    tab.context.close()


# --------------------------------------------------------------------------------------------- large graphs


def test_a_training_step_of_5000_operations_is_one_small_file(opened: Opened, tmp_path: Path) -> None:
    model = models.GPT2(vocabulary=60, layers=12, width=16, heads=2, context=8)
    optimizer = chainrule.optim.AdamW(model.parameters(), lr=1e-3)
    tokens = chainrule.randint(0, 60, (1, 6))

    def step() -> Any:
        optimizer.zero_grad()
        loss = F.cross_entropy(model(tokens).reshape(-1, 60), tokens.reshape(-1))
        loss.backward()
        optimizer.step()
        return loss

    found = chainrule.explain(step)
    html = found.html()
    assert len(found) > 5000 and len(html.encode()) < 2_000_000
    page = opened.show(html, tmp_path)
    assert page.evaluate("microscope.data.nodes.length") == len(found)
    assert page.locator("#outline li").count() < 100, "folded at first"
    folded = page.evaluate("""() => microscope.data.groups.every((_, place) => {
      const item = { kind: 'group', place };
      microscope.reveal(item);
      microscope.toggle(place, true);
      microscope.draw();
      const open = microscope.state.open.has(place);
      microscope.toggle(place, false);
      return open && microscope.screenPlace(item) !== null;
    })""")
    assert folded
    page.keyboard.press("f")
    assert page.evaluate("microscope.state.open.size") == 0


@pytest.mark.parametrize("name", SHAPES if NIGHTLY else ("perceptron", "packed sequences", "a GAN's step", "BERT"))
def test_pages_of_all_kinds_of_networks_open(name: str, opened: Opened, tmp_path: Path) -> None:
    function, inputs, _ = SHAPES[name]()
    page = opened.show(chainrule.explain(function, *inputs).html(), tmp_path)
    page.evaluate("""() => {
      microscope.data.groups.forEach((_, place) => microscope.toggle(place, true));
      microscope.data.nodes.forEach((_, place) => { if (place % 7 === 0) microscope.reveal({ kind: "node", place }); });
      microscope.draw();
    }""")


def test_a_picture_nobody_has_moved_fits_a_frame_that_grows(opened: Opened, tmp_path: Path) -> None:
    opened.page.set_viewport_size({"width": 900, "height": 120})
    page = opened.show(small(), tmp_path)
    page.set_viewport_size({"width": 1280, "height": 800})
    page.wait_for_function(
        "() => { const p = microscope.screenPlace({ kind: 'node', place: 0 }); return p.y > 250 && p.y < 550; }"
    )
    page.keyboard.press("+")
    before = where(page, "node", 0)
    page.set_viewport_size({"width": 1280, "height": 500})
    page.evaluate("() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
    assert where(page, "node", 0) == before, "what was moved stays"
