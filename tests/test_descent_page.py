"""The page of optimisers, opened in Chromium: its functions and update rules are the library's, and it can be used."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import chainrule
from chainrule import optim
from chainrule.explain.descent import descent_page
from chainrule.optim import landscapes

pytestmark = pytest.mark.browser

#: How the library makes what the page calls by these names.
OPTIMISERS: dict[str, Any] = {
    "gradient descent": lambda p, rate, mu: optim.SGD(p, lr=rate),
    "momentum": lambda p, rate, mu: optim.SGD(p, lr=rate, momentum=mu),
    "Nesterov": lambda p, rate, mu: optim.SGD(p, lr=rate, momentum=mu, nesterov=True),
    "AdaGrad": lambda p, rate, mu: optim.Adagrad(p, lr=rate),
    "RMSProp": lambda p, rate, mu: optim.RMSprop(p, lr=rate, momentum=mu),
    "Adam": lambda p, rate, mu: optim.Adam(p, lr=rate, betas=(mu, 0.999)),
    "Lion": lambda p, rate, mu: optim.Lion(p, lr=rate, betas=(mu, 0.99), weight_decay=0.0),
}
BY_NAME = {f.name: f for f in landscapes.ALL}


@pytest.fixture(scope="module")
def page(chromium: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """The page, opened; errors and requests of it are noted in `page.noted`."""
    file = tmp_path_factory.mktemp("descent") / "descent.html"
    descent_page(file)
    opened = chromium.new_page()
    opened.noted = []
    opened.on("pageerror", lambda error: opened.noted.append(str(error)))
    opened.on("console", lambda message: opened.noted.append(message.text) if message.type == "error" else None)
    opened.on(
        "request", lambda request: opened.noted.append(request.url) if "descent.html" not in request.url else None
    )
    opened.goto(file.as_uri())
    yield opened
    opened.close()


@pytest.mark.parametrize("name", BY_NAME)
def test_functions_and_gradients_are_the_library_s(page: Any, name: str) -> None:
    points = np.random.default_rng(1).uniform(-2, 2, (20, 2))
    x = chainrule.tensor(points, requires_grad=True)
    values = BY_NAME[name](x)
    (slopes,) = chainrule.autograd.grad(values.sum(), [x])
    found = page.evaluate(
        "([name, points]) => points.map((p) => [LANDSCAPES[name].value(p), LANDSCAPES[name].gradient(p)])",
        [name, points.tolist()],
    )
    np.testing.assert_allclose([value for value, _ in found], values.detach().numpy(), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose([slope for _, slope in found], slopes.numpy(), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("rate", "momentum"), [(1e-3, 0.9), (4e-3, 0.5)])
@pytest.mark.parametrize("rule", OPTIMISERS)
def test_paths_are_the_library_s(page: Any, rule: str, rate: float, momentum: float) -> None:
    for name in ("ravine", "Rosenbrock", "saddle"):
        function, start = BY_NAME[name], [0.7, -0.4]
        point = chainrule.tensor(start, dtype=chainrule.float64, requires_grad=True)
        optimizer = OPTIMISERS[rule]([point], rate, momentum)
        wanted = [point.tolist()]
        for _ in range(60):
            optimizer.zero_grad()
            function(point).backward()
            optimizer.step()
            wanted.append(point.tolist())
        settings = {"rate": rate, "momentum": momentum}
        found = page.evaluate("(a) => descend(...a)", [name, rule, start, settings, 60])
        np.testing.assert_allclose(found, wanted, rtol=1e-9, atol=1e-9)
    assert set(OPTIMISERS) == set(page.evaluate("Object.keys(RULES)"))


def test_one_can_choose_step_play_and_keep(page: Any) -> None:
    page.select_option("#function", "ravine")
    page.select_option("#rule", "momentum")
    page.fill("#rate", "0.01")
    page.fill("#start-x", "-2")
    page.fill("#start-y", "0.5")
    page.click("#ten")
    page.click("#step")
    row = page.inner_text("#rows tr:last-child").split("\t")
    wanted = page.evaluate("descend('ravine', 'momentum', [-2, 0.5], {rate: 0.01, momentum: 0.9}, 11).pop()")
    assert row[:2] == ["momentum", "11"] and [float(t) for t in row[2:4]] == pytest.approx(wanted, abs=1e-4)
    page.click("#keep")
    page.select_option("#rule", "Adam")
    assert page.locator("#rows tr").count() == 2
    page.click("#play")
    page.wait_for_function("state.path.length > 4")
    page.click("#play")
    assert page.get_attribute("#play", "aria-pressed") == "false"
    page.click("#map", position={"x": 30, "y": 30})
    assert float(page.input_value("#start-x")) < -2 and page.evaluate("state.path.length") == 1
    page.select_option("#rule", "gradient descent")
    page.fill("#rate", "1")
    page.click("#ten")
    page.click("#ten")
    assert "diverged" in page.inner_text("#status")
    page.click("#forget")
    assert page.locator("#rows tr").count() == 1
    assert page.noted == []


def test_it_can_be_used_by_keyboard_and_read_by_a_screen_reader(page: Any) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        serious = [v["id"] for v in axe.run(page).response["violations"] if v["impact"] in ("serious", "critical")]
        assert serious == [], scheme
    names = page.evaluate(
        "[...document.querySelectorAll('button, input, select')].map((e) => [e.tabIndex, e.labels.length || e.textContent])"
    )
    assert all(index == 0 and name for index, name in names)
    page.select_option("#rule", "momentum")
    page.focus("#step")
    before = page.evaluate("state.path.length")
    page.keyboard.press("Enter")
    assert page.evaluate("state.path.length") == before + 1


def test_a_page_of_some_functions_is_written(tmp_path: Path) -> None:
    text = descent_page(tmp_path / "one.html", [landscapes.BEALE])
    assert (tmp_path / "one.html").read_text(encoding="utf-8") == text
    assert '"name": "Beale"' in text and '"name": "ravine"' not in text and len(text) < 30_000
