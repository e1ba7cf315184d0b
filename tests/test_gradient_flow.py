"""Gradient flow over training, against the same numbers by hand; the first NaN, in eager and in compiled code."""

from __future__ import annotations

import io
import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rich.console
from PIL import Image

import chainrule
from chainrule import nn, optim
from chainrule.errors import DivergedError
from chainrule.explain import first_nan
from chainrule.tasks.run import train_run
from chainrule.tasks.settings import Settings
from chainrule.train import Finding, GradientFlow, ProgressBar, Trainer
from chainrule.train.report import Report, render


def network() -> nn.Sequential:
    """Two layers with an activation of each kind; one ReLU unit is dead."""
    chainrule.manual_seed(3)
    model = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 5), nn.Sigmoid())
    with chainrule.no_grad():
        model[0].bias[2] = -100.0
        model[2].weight.mul_(6)
        model[4].weight.mul_(9)
    return model


def batches(count: int) -> list[tuple[chainrule.Tensor, chainrule.Tensor]]:
    generator = chainrule.random.Generator(5)
    return [
        (chainrule.randn(8, 4, generator=generator), chainrule.rand(8, 5, generator=generator)) for _ in range(count)
    ]


def trained(flow: list[Any], data: Any, compile: bool, **settings: Any) -> nn.Sequential:
    model = network()
    optimizer = optim.SGD(model.parameters(), lr=0.5, momentum=0.9)
    Trainer(model, nn.MSELoss(), optimizer, callbacks=flow, compile=compile, **settings).fit(data)
    return model


def by_hand(model: nn.Sequential, x: Any, y: Any, rate: float) -> dict[str, dict[str, float]]:
    """One step of a network of these six layers in NumPy."""
    W = {i: model[i].weight.detach().numpy().astype(float) for i in (0, 2, 4)}
    b = {i: model[i].bias.detach().numpy().astype(float) for i in (0, 2, 4)}
    h = [x @ W[0].T + b[0]]
    h.append(np.maximum(h[0], 0))
    h.append(h[1] @ W[2].T + b[2])
    h.append(np.tanh(h[2]))
    h.append(h[3] @ W[4].T + b[4])
    h.append(1 / (1 + np.exp(-h[4])))
    g: list[Any] = [None] * 6
    g[5] = 2 * (h[5] - y) / y.size
    g[4] = g[5] * h[5] * (1 - h[5])
    g[3] = g[4] @ W[4]
    g[2] = g[3] * (1 - h[3] ** 2)
    g[1] = g[2] @ W[2]
    g[0] = g[1] * (h[0] > 0)
    found: dict[str, dict[str, float]] = {}
    for i in range(6):
        found[str(i)] = {"variance": h[i].var(), "gradient variance": g[i].var()}
    found["1"]["dead"] = (h[0].max(0) <= 0).mean()
    found["3"]["saturated"] = (np.abs(h[2]) > 2.0).mean()
    found["5"]["saturated"] = (np.abs(h[4]) > 3.5).mean()
    for i, inputs in ((0, x), (2, h[1]), (4, h[3])):
        for name, weight, gradient in (("weight", W[i], g[i].T @ inputs), ("bias", b[i], g[i].sum(0))):
            norm = float(np.linalg.norm(gradient))
            found[f"{i}.{name}"] = {"gradient": norm, "weight": float(np.linalg.norm(weight)), "update": rate * norm}
    return found


@pytest.mark.parametrize("compile", [False, True])
def test_a_look_is_what_one_computes_by_hand(compile: bool) -> None:
    data = batches(1)
    x, y = (t.numpy().astype(float) for t in data[0])
    flow = GradientFlow(every=1)
    wanted = by_hand(network(), x, y, 0.5)
    trained([flow], data, compile)
    (look,) = flow.looks
    assert look.keys() == wanted.keys()
    for path, numbers in wanted.items():
        assert look[path].keys() == numbers.keys()
        for name, number in numbers.items():
            assert look[path][name] == pytest.approx(number, rel=1e-3, abs=1e-9), (path, name)
    assert wanted["1"]["dead"] >= 1 / 6 and 0 < wanted["3"]["saturated"] < 1 and 0 < wanted["5"]["saturated"] < 1
    assert flow.series("0.weight", "update ratio")[0] == pytest.approx(
        look["0.weight"]["update"] / look["0.weight"]["weight"]
    )


def test_training_is_the_same_with_it() -> None:
    """In eager code to the bit; a compiled step that is looked at is another program, and rounds otherwise."""
    for compile, tolerance in ((False, 0.0), (True, 1e-5)):
        plain, watched = (trained(flow, batches(7), compile) for flow in ([], [GradientFlow(3)]))
        for p, q in zip(plain.parameters(), watched.parameters(), strict=True):
            np.testing.assert_allclose(p.detach().numpy(), q.detach().numpy(), rtol=tolerance, atol=tolerance)
        assert not any(module._forward_hooks for module in watched.modules())


def test_looks_come_every_so_many_steps_with_the_step_of_several_batches() -> None:
    flow = GradientFlow(every=4)
    trained([flow], batches(12), False, accumulate=2, clip_norm=0.01)
    assert flow.steps == [2, 6, 10]
    one = GradientFlow(every=1)
    trained([one], batches(2), False, accumulate=2)
    assert flow.looks[0]["4.weight"]["gradient"] == one.looks[0]["4.weight"]["gradient"]  # before it was clipped
    for kept in (flow, GradientFlow()):
        again = GradientFlow()
        again.load_state_dict(kept.state_dict())
        assert again.steps == kept.steps and again.looks == kept.looks
    with pytest.raises(ValueError, match="at least 1, got 0"):
        GradientFlow(0)


def test_many_looks_are_thinned_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chainrule.train.callbacks.gradient_flow.MOST", 4)
    flow = GradientFlow(every=1)
    trained([flow], batches(14), False)
    assert flow.steps == [1, 5, 9, 13] and len(flow.looks) == 4


def test_it_is_drawn_shown_live_and_stands_in_the_report(tmp_path: Path) -> None:
    screen = io.StringIO()
    console = rich.console.Console(file=screen, force_terminal=True, width=120, height=50)
    settings = Settings(data="digits", model="mlp", epochs=1, gradient_flow=5, compile=False)
    train_run(settings, tmp_path / "run", [ProgressBar(console)])
    page = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    assert "Gradient flow" in page and 'id="flow-' in page and "update ratio" in page
    assert "gradient" in screen.getvalue() and "update ratio" in screen.getvalue()

    flow = GradientFlow(every=1)
    trained([flow], batches(3), False)
    assert Image.open(io.BytesIO(flow.draw())).size[0] == 1100
    finding = Finding("dying ReLU", "warning", "1 of 6 units", "large steps", ("LeakyReLU",), 1, ("1", "9"))
    page = render(Report("a run", findings=[finding], flow=(flow.draw(), flow.rows())))
    assert '<a href="#flow-1">1</a>, 9)' in page and '<tr id="flow-1">' in page and 'href="#flow-9"' not in page


class Functional(nn.Module):
    """Activations as functions, one of them twice, within a module of several layers."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(3, 6), nn.Linear(6, 6)
        with chainrule.no_grad():
            self.first.bias[:2] = -100.0
            self.second.weight.zero_()
            self.second.bias.copy_(chainrule.tensor([-1.0, 9.0, -1.0, 9.0, -1.0, 9.0]))

    def forward(self, x):
        x = nn.functional.relu(self.first(x))
        return chainrule.tanh(nn.functional.relu(self.second(x)))


@pytest.mark.parametrize("compile", [False, True])
def test_activations_that_are_functions_are_seen(compile: bool) -> None:
    chainrule.manual_seed(3)
    model, flow = nn.Sequential(Functional(), nn.Linear(6, 1)), GradientFlow(every=1)
    trainer = Trainer(model, nn.MSELoss(), optim.SGD(model.parameters(), lr=0.0), callbacks=[flow], compile=compile)
    x = chainrule.randn(16, 3)
    trainer.fit([(x, chainrule.zeros(16, 1))])
    (look,) = flow.looks
    hidden = nn.functional.relu(model[0].first(x)).detach().array
    assert look["0"]["dead"] == pytest.approx((hidden.max(0) <= 0).mean()) and look["0"]["dead"] >= 2 / 6
    assert look["0 (2)"]["dead"] == pytest.approx(0.5)
    assert (look["0"].get("saturated"), look["0 (2)"].get("saturated")) in ((0.5, None), (None, 0.5))


def test_findings_link_to_their_node_in_the_graph() -> None:
    """Also where it would be folded: what is around a layer that is named stays open."""
    parts = [nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 4), nn.Tanh()) for _ in range(12)]
    model = nn.Sequential(*parts)
    finding = Finding("dying ReLU", "warning", "1 of 4 units", "large steps", ("LeakyReLU",), 1, ("5.1", "7.0.weight"))
    marked = finding.paths
    graph = chainrule.explain(model, chainrule.randn(2, 4)).svg(marked=marked)
    page = render(Report("a run", findings=[finding], graph=graph))
    links = dict(re.findall(r'<a href="#([^"]*)">([^<]*)</a>', page))
    assert links == {"node-5.1": "5.1", "node-7.0": "7.0.weight"}
    for target, words in (("node-5.1", "5.1 ReLU"), ("node-7.0", "7.0 Linear")):
        assert page.count(f'id="{target}"') == 1
        assert re.search(rf'<g class="whole" id="{re.escape(target)}"[^>]*>.*?<text[^>]*>{words}<', page)
    assert page.count("<rect") < 60, "what nothing was found in stays folded"


class Unlucky(nn.Module):
    """The logarithm of what may be negative."""

    def forward(self, x):
        return x.log()


def unlucky() -> nn.Sequential:
    model = nn.Sequential(nn.Linear(3, 3), Unlucky())
    with chainrule.no_grad():
        model[0].weight.copy_(chainrule.eye(3))
        model[0].bias.zero_()
    return model


def test_the_first_nan_is_named_with_its_place() -> None:
    model, x = unlucky(), chainrule.tensor([[1.0, -1.0, 1.0], [1.0, 1.0, -2.0]])
    for function in (lambda x: model(x).sum(), chainrule.compile(lambda x: model(x).sum())):
        found = first_nan(function, x)
        assert found is not None
        assert (found.operation, found.path, found.module) == ("Log", "1", "Unlucky")
        assert math.isnan(found.value) and (found.place, found.count, found.size) == ((0, 1), 2, 6)
        assert found.inputs == (((2, 3), -2.0, 1.0),)
        assert found.line is not None and found.line[0].endswith("test_gradient_flow.py")
        assert first_nan(function, chainrule.ones(1, 3)) is None
    held = chainrule.tensor([0.0, 4.0], requires_grad=True)
    found = first_nan(lambda: held.sqrt().sum().backward())  # 1/(2√0), on the way back
    assert found is not None and found.value == math.inf and found.place == (0,)


def test_infinities_that_are_put_around_on_purpose_are_nobodys_fault() -> None:
    """The largest entry of a window that reaches over the edge; a mask."""

    def loss(x):
        largest = nn.functional.max_pool2d(x, 2, padding=1)
        return (largest * chainrule.ones(3, 3).masked_fill(chainrule.eye(3) == 0, -math.inf).softmax(-1)).sum()

    x = chainrule.randn(1, 1, 4, 4)
    assert first_nan(loss, x) is None
    model = nn.Sequential(nn.MaxPool2d(3, 2, padding=1), nn.Flatten(), nn.Linear(4, 1))
    Trainer(model, nn.MSELoss(), optim.SGD(model.parameters(), lr=0.1), debug=True, compile=False).fit(
        [(x, chainrule.ones(1, 1))]
    )


@pytest.mark.parametrize("compile", [False, True])
def test_a_trainer_names_it_and_keeps_its_weights(compile: bool) -> None:
    bad = chainrule.tensor([[1.0, -1.0, 1.0], [1.0, 1.0, -2.0]])
    data = [(chainrule.ones(2, 3), chainrule.zeros(2, 3)), (bad, chainrule.zeros(2, 3))]
    for debug in (True, False):
        model = unlucky()
        trainer = Trainer(model, nn.MSELoss(), optim.SGD(model.parameters(), lr=0.0), compile=compile, debug=debug)
        message = r"batch 2 of epoch 1: 1 \(Unlucky\): Log made nan in 2 of 6 .* Line \d+ of .*test_gradient_flow.py"
        with pytest.raises(DivergedError, match=message):
            trainer.fit(data)
        assert chainrule.equal(model[0].weight, chainrule.eye(3))


@pytest.mark.parametrize("compile", [False, True])
def test_a_step_that_diverged_is_done_again_with_the_same_draws(compile: bool) -> None:
    """What dropout lets through decides; the weights, the draws and the gradients are those of before."""
    model = nn.Sequential(nn.Linear(3, 3), nn.Dropout(0.5), Unlucky())
    with chainrule.no_grad():
        model[0].weight.copy_(chainrule.eye(3))
        model[0].bias.zero_()
    data = [(chainrule.full((8, 3), 1e3), chainrule.zeros(8, 3))]
    trainer = Trainer(model, nn.MSELoss(), optim.Adam(model.parameters()), compile=compile)
    before = chainrule.get_rng_state()
    with pytest.raises(
        DivergedError, match=r"the loss is inf in batch 1 .* 2 \(Unlucky\): Log made -inf in \d+ of 24"
    ) as told:
        trainer.fit(data)
    assert chainrule.equal(model[0].weight, chainrule.eye(3)) and model[0].weight.grad is None
    zeros = int(str(told.value).partition("-inf in ")[2].split()[0])
    after = chainrule.get_rng_state()
    chainrule.set_rng_state(before)
    assert zeros == int((nn.functional.dropout(chainrule.ones(8, 3), 0.5) == 0).sum().item())
    assert chainrule.equal(after, chainrule.get_rng_state()), "doing it again draws nothing"


def with_an_infinite_slope() -> nn.Sequential:
    """√(W·x) with W = 0."""

    class Root(nn.Module):
        def forward(self, x):
            return x.sqrt()

    model = nn.Sequential(nn.Linear(2, 2, bias=False), Root())
    with chainrule.no_grad():
        model[0].weight.zero_()
    return model


@pytest.mark.parametrize("target", [0.0, 1.0])
@pytest.mark.parametrize("compile", [False, True])
def test_a_nan_or_an_infinity_on_the_way_back_is_named(compile: bool, target: float) -> None:
    """1/(2√0) is infinite; times a difference of 0 it is NaN."""

    model = with_an_infinite_slope()
    data = [(chainrule.ones(4, 2), chainrule.full((4, 2), target))]
    trainer = Trainer(model, nn.MSELoss(), optim.SGD(model.parameters(), lr=0.1), compile=compile)
    message = r"gradient's norm is (nan|inf) in batch 1 of epoch 1: 1: Divide made (nan|-?inf) in 8 of 8 .* from 0 to 0"
    with pytest.raises(DivergedError, match=message):
        trainer.fit(data)
    assert chainrule.equal(model[0].weight, chainrule.zeros(2, 2))


def test_squares_of_gradients_that_overflow_are_told_from_gradients_that_are_infinite() -> None:
    model = nn.Linear(2, 1)
    trainer = Trainer(model, nn.L1Loss(), optim.SGD(model.parameters(), lr=0.1))
    with pytest.raises(
        DivergedError,
        match="norm is inf .* every gradient is finite, but the sum of their squares .*gradient_norm=False",
    ):
        trainer.fit([(chainrule.full((4, 2), 1e25), chainrule.full((4, 1), 1e20))])


@pytest.mark.parametrize("compile", [False, True])
def test_a_gradient_that_another_batch_broke_is_not_said_to_be_finite(compile: bool) -> None:
    model = nn.Linear(1, 1, bias=False)
    data = [(chainrule.full((4, 1), size), chainrule.zeros(4, 1)) for size in (3e38, 1.0)]
    sgd = optim.SGD(model.parameters(), lr=0.1)
    with chainrule.no_grad():
        model.weight.fill_(0.0)
    trainer = Trainer(model, lambda output, _: (1e3 * output).sum(), sgd, compile=compile, accumulate=2)
    with pytest.raises(DivergedError, match="of this batch is finite, but not that of another one"):
        trainer.fit(data)
    assert model.weight.item() == 0


def test_an_optimiser_that_asks_for_the_loss_itself_keeps_the_weights_too() -> None:
    model = with_an_infinite_slope()
    trainer = Trainer(model, nn.MSELoss(), optim.LBFGS(model.parameters()))
    with pytest.raises(DivergedError, match=r"gradient's norm is nan in batch 1 of epoch 1: 1: Divide made nan"):
        trainer.fit([(chainrule.ones(4, 2), chainrule.zeros(4, 2))])
    assert chainrule.equal(model[0].weight, chainrule.zeros(2, 2))


@pytest.mark.parametrize("compile", [False, True])
def test_the_last_step_of_a_stream_keeps_the_weights_too(compile: bool) -> None:
    """That it is the last is known only after its batch: with a gradient that overflowed there is no step."""
    model = nn.Linear(1, 1, bias=False)
    with chainrule.no_grad():
        model.weight.fill_(0.0)
    sizes = (0.0, 0.0, 3e38)
    stream = ((chainrule.full((4, 1), size), chainrule.zeros(4, 1)) for size in sizes)
    sgd = optim.SGD(model.parameters(), lr=0.1)
    trainer = Trainer(model, lambda output, _: (1e3 * output).sum(), sgd, compile=compile, accumulate=2)
    with pytest.raises(DivergedError, match="norm is inf in the last step of epoch 1"):
        trainer.fit(stream)
    assert model.weight.item() == 0


def test_weights_that_were_broken_before_are_named() -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    data = [(chainrule.ones(4, 2) * 1e20, chainrule.ones(4, 2) * 1e15)] * 3
    trainer = Trainer(model, nn.L1Loss(), optim.SGD(model.parameters(), lr=1e38), gradient_norm=False)
    with pytest.raises(DivergedError, match=r"0\.weight.* had NaN or infinities before this batch"):
        trainer.fit(data)
