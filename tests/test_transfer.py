"""Transfer: what is loaded, what stays, what learns at which rate; and the recipe for few labels."""

from __future__ import annotations

import re
import runpy
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import chainrule
from chainrule import nn, optim, transfer

PAGE = Path(__file__).parents[1] / "docs" / "transfer.md"
EXAMPLE = Path(__file__).parents[1] / "examples" / "few_labels.py"


def network(classes: int = 3) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(),
        nn.Conv2d(4, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(16, classes),
    )  # fmt: skip


def values(model: nn.Module) -> dict[str, Any]:
    return {name: value.numpy().copy() for name, value in model.state_dict().items()}


def trained(model: nn.Module, optimizer: Any, steps: int = 3) -> None:
    model.train()
    for seed in range(steps):
        random = np.random.default_rng(seed)
        x = chainrule.tensor(random.normal(2.0, 3.0, (8, 1, 6, 6)), dtype="float32")
        loss = nn.functional.cross_entropy(model(x), chainrule.tensor(random.integers(0, 3, 8)))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


# --------------------------------------------------------------------------------------------------------- loading


@pytest.mark.peer
@pytest.mark.parametrize("prefix", ["", "module.backbone."])
def test_pytorch_s_weights_compute_the_same(prefix: str, tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    theirs = torch.nn.Sequential(
        torch.nn.Conv2d(1, 4, 3), torch.nn.BatchNorm2d(4), torch.nn.ReLU(),
        torch.nn.Conv2d(4, 4, 3), torch.nn.BatchNorm2d(4), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(16, 3),
    )  # fmt: skip
    x = torch.randn(5, 1, 6, 6)
    theirs(x)  # so that the statistics are not the initial ones
    state = {prefix + name: value for name, value in theirs.state_dict().items()}
    torch.save({"epoch": 3, "state_dict": state}, tmp_path / "theirs.pt")
    ours = network()
    report = transfer.load_pretrained(ours, tmp_path / "theirs.pt", rename={prefix: ""} if prefix else None)
    assert report.loaded == list(theirs.state_dict()) and report[1:] == ([], [], [])
    expected = theirs.eval()(x).detach().numpy()
    np.testing.assert_allclose(ours.eval()(chainrule.tensor(x.numpy())).detach().numpy(), expected, atol=1e-6)


def test_the_report_names_everything_and_the_rest_stays() -> None:
    given = {**network(10).state_dict(), "8.weight": chainrule.ones(2)}
    del given["0.bias"]
    model = network(3)
    before = values(model)
    report = transfer.load_pretrained(model, given)
    after = values(model)
    assert report.missing == ["0.bias"] and report.unexpected == ["8.weight"]
    assert report.mismatched == [("7.weight", (10, 16), (3, 16)), ("7.bias", (10,), (3,))]
    assert set(report.loaded) == set(before) - {"0.bias", "7.weight", "7.bias"}
    for name in before:
        assert np.array_equal(after[name], given[name].numpy() if name in report.loaded else before[name]), name
    for words in (
        "loaded 13 of 16",
        r"7\.weight, given \(10, 16\), the model's \(3, 16\)",
        "missing: 0.bias",
        "8.weight",
    ):
        assert re.search(words, str(report))


def test_weights_that_do_not_fit_change_nothing(tmp_path: Path) -> None:
    model = network(3)
    before = values(model)
    chainrule.save([1, 2], tmp_path / "list.pt")
    (tmp_path / "damaged.pt").write_bytes(b"\x80\x02 nothing")
    wrong = [
        (network(10).state_dict(), {"skip_mismatched": False}, r"7\.weight, given \(10, 16\)"),
        ({"a": chainrule.ones(2)}, {}, "none of these weights fits Sequential: it has 0.weight.*given are a"),
        (tmp_path / "list.pt", {}, "dictionary"),
        (tmp_path / "damaged.pt", {}, "damaged.pt"),
    ]  # fmt: skip
    for weights, options, message in wrong:
        with pytest.raises(chainrule.CheckpointError, match=message):
            transfer.load_pretrained(model, weights, **options)
    with pytest.raises(ValueError, match="twice"):
        transfer.load_pretrained(model, {"a.x": 1, "b.x": 2}, rename={"a.": "", "b.": ""})
    assert all(np.array_equal(value, before[name]) for name, value in values(model).items())


def test_names_left_out_and_layers_without_shape() -> None:
    whole = nn.Sequential(nn.Linear(4, 3), nn.Linear(3, 2))
    lazy = nn.Sequential(nn.LazyLinear(3), nn.Linear(3, 2))
    report = transfer.load_pretrained(
        lazy, whole.state_dict(), rename=lambda name: None if name.startswith("1.") else name
    )
    assert report.loaded == ["0.weight", "0.bias"] and report.missing == ["1.weight", "1.bias"]
    assert np.array_equal(lazy[0].weight.detach().numpy(), whole[0].weight.detach().numpy())


# ------------------------------------------------------------------------------------------------------- the head


def test_the_new_head_is_like_the_old_one_and_learns() -> None:
    model = chainrule.models.resnet10(num_classes=10, stem="cifar")
    transfer.freeze(model)
    before = values(model)
    head = transfer.replace_head(model, 3)
    assert model(chainrule.zeros(2, 3, 16, 16)).shape == (2, 3)
    learning = [name for name, parameter in model.named_parameters() if parameter.requires_grad]
    assert learning == [f"{transfer.find_head(model)}.{name}" for name, _ in head.named_parameters()]
    assert all(np.array_equal(value, before[name]) for name, value in values(model).items() if name not in learning)
    convolution = nn.Sequential(nn.ReLU(), nn.Conv2d(4, 10, 3, stride=2, padding=1, bias=False, dtype="float64"))
    new = transfer.replace_head(convolution, 5)
    assert repr(new) == repr(nn.Conv2d(4, 5, 3, stride=2, padding=1, bias=False)) and new.weight.dtype.name == "float64"


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: transfer.replace_head(network(), 0), "at least one class"),
        (lambda: transfer.replace_head(nn.Sequential(nn.ReLU()), 2), "no linear or convolution"),
        (lambda: transfer.replace_head(nn.Linear(2, 2), 2), "whole model"),
        (lambda: transfer.replace_head(network(), 2, "2"), "2 is a ReLU"),
        (lambda: transfer.replace_head(nn.Sequential(nn.LazyLinear(3)), 2), "no shape yet"),
        (lambda: transfer.freeze(network(), up_to="9"), "nothing to learn under '9'; its parts are 0, 1"),
        (lambda: transfer.freeze(network(), names=["0", "relu"]), "'relu'"),
        (lambda: transfer.freeze(network(), up_to="0", names="1"), "not by several"),
        (lambda: transfer.freeze(network(), predicate=lambda name: False), "selects nothing"),
        (lambda: transfer.parameter_groups_by_depth(network(), 0.0), "positive"),
        (lambda: transfer.parameter_groups_by_depth(nn.Sequential(nn.ReLU()), 0.1), "no parameter"),
        (lambda: transfer.intermediate_outputs(network(), []), "names"),
        (lambda: transfer.intermediate_outputs(network(), {"0": "a", "1": "a"}), "each one its own"),
        (lambda: transfer.advise(-1, "similar"), "-1 samples"),
        (lambda: transfer.advise("tiny", "similar"), "tiny"),
        (lambda: transfer.advise(10, 1.5), "1.5"),
        (lambda: transfer.advise(10, "alike"), "alike"),
        (
            lambda: transfer.pretrain(nn.Linear(4, 2), nn.Linear(2, 3), chainrule.ones(5, 4)),
            r"\(5, 3\), the samples are \(5, 4\)",
        ),
    ],
)
def test_bad_input_is_named(call: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()


# ------------------------------------------------------------------------------------------------ frozen and rates


@pytest.mark.parametrize("how", [{"up_to": "4"}, {"names": ["0", "1", "3", "4"]}, {"predicate": lambda n: n[0] < "5"}])
@pytest.mark.parametrize("rule", [optim.AdamW, optim.SGD])
def test_what_is_frozen_stays_to_the_last_bit(how: dict[str, Any], rule: Any) -> None:
    """Weights and statistics too, under weight decay and momentum, in an optimiser that has all parameters."""
    model = network()
    options = {"momentum": 0.9} if rule is optim.SGD else {}
    optimizer = rule(model.parameters(), lr=0.1, weight_decay=0.1, **options)
    trained(model, optimizer)  # so that momentum wants to go on
    assert transfer.freeze(model, **how) == [name for name, _ in model.named_parameters() if name[0] < "5"]
    before = values(model)
    trained(model, optimizer)
    after = values(model)
    for name in before:
        assert np.array_equal(before[name], after[name]) == (name[0] < "5"), name


def test_thawed_parts_learn_again() -> None:
    model = network()
    transfer.freeze(model)
    assert transfer.unfreeze(model, names="4") == ["4.weight", "4.bias"]
    before = values(model)
    trained(model, optim.SGD(model.parameters(), lr=0.1))
    changed = {name for name, value in values(model).items() if not np.array_equal(value, before[name])}
    assert changed == {"4.weight", "4.bias", "4.running_mean", "4.running_var", "4.num_batches_tracked"}


def test_each_part_takes_steps_of_its_rate() -> None:
    """Under SGD a step is rate times gradient, so steps say the rates."""
    model = network()
    transfer.freeze(model, names="1")
    groups = transfer.parameter_groups_by_depth(model, lr=0.5, decay=0.1)
    rates = {"0": 0.0005, "3": 0.005, "4": 0.05, "7": 0.5}
    assert [group["name"] for group in groups] == list(rates)
    assert [group["lr"] for group in groups] == pytest.approx(list(rates.values()))
    optimizer = optim.SGD(groups)
    before = values(model)
    trained(model, optimizer, steps=1)
    after = values(model)
    for name, parameter in model.named_parameters():
        step = rates.get(name[0], 0.0) * (0 if parameter.grad is None else parameter.grad.numpy())
        np.testing.assert_allclose(before[name] - after[name], step, atol=1e-6)
    deep = nn.Sequential(nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2)), nn.Linear(2, 1))
    names = [group["name"] for group in transfer.parameter_groups_by_depth(deep, 0.1, level=2)]
    assert names == ["0.0", "0.1", "1"]


# ------------------------------------------------------------------------------------------------------ on the way


def test_intermediate_outputs_are_those_of_the_parts() -> None:
    model, x = network().eval(), chainrule.randn(2, 1, 6, 6)
    found = transfer.intermediate_outputs(model, ["4", "0"])(x)
    assert list(found) == ["4", "0"]
    np.testing.assert_array_equal(found["0"].detach().numpy(), model[0](x).detach().numpy())
    np.testing.assert_array_equal(found["4"].detach().numpy(), model[:5](x).detach().numpy())
    larger = transfer.intermediate_outputs(model, {"3": "out"})(chainrule.zeros(1, 1, 9, 9))
    assert larger["out"].shape == (1, 4, 5, 5), "the head, which would not fit, does not run"
    assert not any(module._forward_hooks for module in model.modules()), "the model is as it was"


@pytest.mark.parametrize(
    ("given", "train"),
    [
        ((500, "similar"), "head"), ((500, 0.1), "later layers"), (("large", 0.9), "everything"), ((5000, 0.5), "everything"),
        ((100_000, "different"), "everything"), ((600, "similar", 500), "from scratch"),
        ((600, "similar", 50_000, False), "from scratch"),
    ],
)  # fmt: skip
def test_advice(given: tuple[Any, ...], train: str) -> None:
    advice = transfer.advise(*given)
    assert advice.train == train and advice.reason.endswith(".") and 0 <= advice.encoder_rate <= 1


# ------------------------------------------------------------------------------------------------------ few labels


def test_a_linear_autoencoder_finds_the_plane() -> None:
    """With codes as wide as the plane that the samples lie in, the error goes to 0; narrower, to the variance beyond."""
    random = np.random.default_rng(0)
    basis = np.linalg.qr(random.normal(size=(6, 2)))[0]
    x = random.normal(size=(256, 2)) * [2.0, 0.5] @ basis.T
    samples = chainrule.tensor(x, dtype="float32")
    lost = np.linalg.svd(x)[1][1] ** 2 / x.size  # of the smaller direction, in the mean of all entries
    for width, expected in ((2, 0.0), (1, lost)):
        chainrule.manual_seed(0)
        coder, decoder = nn.Linear(6, width), nn.Linear(width, 6)
        losses = transfer.pretrain(coder, decoder, samples, epochs=80, batch_size=64, lr=0.02)
        assert losses[-1] == pytest.approx(expected, abs=0.01) and losses[0] > 5 * losses[-1]


def test_a_frozen_encoder_stays_in_the_second_step() -> None:
    chainrule.manual_seed(0)
    x = chainrule.randn(60, 4)
    labels = (x[:, 0] > 0).long()
    coder = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8))
    before = values(coder)
    model, scores = transfer.classify(coder, x, labels, 2, epochs=30, lr=0.05, encoder_rate=0.0)
    assert all(np.array_equal(value, before[name]) for name, value in values(coder).items())
    assert len(scores) == 30 and scores[-1]["train_accuracy"] > 0.85 and not model.training
    model, _ = transfer.classify(coder, x, labels, 2, epochs=1)
    assert model.head.out_features == 2


def test_the_example_says_what_the_page_says(
    capsys: pytest.CaptureFixture[str], monkeypatch: Any, tmp_path: Any
) -> None:
    figure = tmp_path / "few.png"
    arguments = ["few_labels.py", "--seeds", "1", "--labels", "3", "--epochs", "20", "--figure", str(figure)]
    monkeypatch.setattr("sys.argv", arguments)
    runpy.run_path(str(EXAMPLE), run_name="__main__")
    printed = capsys.readouterr().out.splitlines()
    accuracies = [float(part) for part in re.findall(r"([\d.]+)%", printed[-1])[:2]]
    assert 60 < min(accuracies) <= max(accuracies) < 95 and figure.read_bytes().startswith(b"\x89PNG")
    assert printed[0] in PAGE.read_text(encoding="utf-8")


def test_the_page_runs_and_names_everything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    text = PAGE.read_text(encoding="utf-8")
    space: dict[str, Any] = {}
    for block in re.findall(r"```python\n(.*?)```", text, re.DOTALL):
        exec(block, space)
    assert space["report"].mismatched and not space["report"].missing and space["head"].out_features == 5
    assert space["found"]["fine"].shape == (2, 64, 16, 16) and space["found"]["coarse"].shape == (2, 256, 4, 4)
    results = {
        "Advice",
        "FewLabels",
        "IntermediateOutputs",
        "LoadReport",
        "LoraLinear",
        "LoraReport",
    }  # what functions answer
    assert all(name in text for name in set(transfer.__all__) - results)
