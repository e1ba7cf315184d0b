"""LoRA: against a full matrix of low rank and against the `peft` library, and its files in both directions."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import chainrule
from chainrule import models, nn, optim
from chainrule.transfer import add_lora, load_lora, merge_lora, remove_lora, replace_head, save_lora, unmerge_lora
from chainrule.transfer.lora import LowRank

SIZES = {"vocabulary": 13, "layers": 2, "width": 8, "heads": 2, "context": 12, "dropout": 0.0}
GPT2 = {
    "vocab_size": 13, "n_positions": 12, "n_embd": 8, "n_layer": 2, "n_head": 2, "bos_token_id": 0, "eos_token_id": 0,
}  # fmt: skip


class Encoder(nn.Module):
    """A PyTorch-like classifier with multi-head attention."""

    def __init__(self) -> None:
        super().__init__()
        self.enc = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True)
        self.head = nn.Linear(8, 3)

    def forward(self, x: Any) -> Any:
        return self.head(self.enc(x))


def torch_encoder() -> Any:
    import torch

    class Theirs(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.enc = torch.nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True)
            self.head = torch.nn.Linear(8, 3)

        def forward(self, x: Any) -> Any:
            return self.head(self.enc(x))

    return Theirs()


def disturb(model: Any) -> None:
    """Changes that are not 0."""
    for module in model.modules():
        if isinstance(module, LowRank):
            nn.init.normal_(module.lora_B.weight, std=0.3)


CASES: dict[str, tuple[Any, Any, Any]] = {
    "linear": (lambda: nn.Sequential(nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 3)), ["0"], lambda: chainrule.randn(4, 6)),
    "transposed": (lambda: models.GPT2(**SIZES), ["c_attn", "c_proj"], lambda: chainrule.randint(0, 13, (2, 5))),
    "attention": (Encoder, ["self_attn", "linear1"], lambda: chainrule.randn(2, 5, 8)),
    "llama": (
        lambda: models.Llama(13, 1, 8, 4, 2, hidden=12, context=12), ["q_proj", "v_proj"],
        lambda: chainrule.randint(0, 13, (2, 5)),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", list(CASES))
def test_a_change_is_a_matrix_of_low_rank(name: str) -> None:
    make, targets, inputs = CASES[name]
    model, x = make().eval(), inputs()
    plain = {key: value.detach().clone() for key, value in model.state_dict().items()}
    before = model(x).detach().numpy()
    report = add_lora(model, rank=2, targets=targets, alpha=6.0)
    np.testing.assert_array_equal(model(x).detach().numpy(), before)  # B is 0: nothing is changed at first
    disturb(model)
    changed = model(x)
    assert report.trained == sum(p.numel() for p in model.parameters() if p.requires_grad)
    changes = [m for m in model.modules() if isinstance(m, LowRank)]
    assert report.trained == sum(2 * sum(m.lora_A.weight.shape[1:] + m.lora_B.weight.shape[:1]) for m in changes)

    merge_lora(model)
    merged = model(x).detach().numpy()
    np.testing.assert_allclose(merged, changed.detach().numpy(), atol=1e-5)
    unmerge_lora(model)
    np.testing.assert_array_equal(model(x).detach().numpy(), changed.detach().numpy())
    merge_lora(model)
    remove_lora(model)
    np.testing.assert_array_equal(model(x).detach().numpy(), merged)
    state = model.state_dict()
    assert set(state) == set(plain)
    for key, value in state.items():
        difference = value.detach().numpy() - plain[key].numpy()
        if difference.any():
            assert np.linalg.matrix_rank(difference, tol=1e-4) == 2, key
    assert sum(bool((state[key] != plain[key]).any()) for key in plain) == len(changes)


@pytest.mark.parametrize("name", list(CASES))
@pytest.mark.parametrize("compiled", [False, True])
def test_only_the_changes_and_what_is_named_learn(name: str, compiled: bool) -> None:
    make, targets, inputs = CASES[name]
    model, x = make(), inputs()
    head = {"linear": "2", "transposed": "ln_f", "attention": "head", "llama": "norm"}[name]
    add_lora(model, rank=2, targets=targets, also=[head])
    disturb(model)
    before = {key: value.detach().clone() for key, value in model.state_dict().items()}
    optimizer = optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.01)

    def step() -> Any:
        optimizer.zero_grad()
        loss = model(x).square().mean()
        loss.backward()
        optimizer.step()
        return loss.detach()

    run = chainrule.compile(step) if compiled else step
    losses = [run().item() for _ in range(3)]
    assert losses[-1] < losses[0]
    for key, value in model.state_dict().items():
        learns = ".lora_" in key or head in key.split(".")
        assert bool((value != before[key]).any()) == learns, key


def test_files_keep_what_was_learned(tmp_path: Path) -> None:
    model = Encoder().eval()
    base = {key: value.detach().clone() for key, value in model.state_dict().items()}
    add_lora(model, 3, ["self_attn", "linear2"], alpha=5.0, also=["head"], rescaled=True)
    disturb(model)
    nn.init.normal_(model.head.weight)
    save_lora(model, tmp_path)
    x = chainrule.randn(2, 5, 8)
    again = Encoder().eval()
    again.load_state_dict(base)
    report = load_lora(again, tmp_path)
    np.testing.assert_array_equal(again(x).detach().numpy(), model(x).detach().numpy())
    assert (
        str(report)
        == f"2 layers; {report.trained} of {report.total:,} parameters learn ({report.trained / report.total:.2%})"
    )


@pytest.mark.peer
@pytest.mark.parametrize("kind", ["gpt2", "attention"])
def test_files_of_peft_in_both_directions(kind: str, tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    peft = pytest.importorskip("peft")
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    if kind == "gpt2":

        def base() -> Any:
            torch.manual_seed(1)
            return transformers.GPT2LMHeadModel(transformers.GPT2Config(**GPT2)).eval()

        ours, options = models.GPT2(**SIZES).eval(), {"target_modules": ["c_attn", "c_proj"], "fan_in_fan_out": True}
        tokens = np.random.default_rng(0).integers(0, 13, (2, 6))
        theirs_in, ours_in = torch.tensor(tokens), chainrule.tensor(tokens)
    else:

        def base() -> Any:
            torch.manual_seed(1)
            return torch_encoder().eval()

        ours, options = Encoder().eval(), {"target_modules": ["self_attn", "linear1"], "modules_to_save": ["head"]}
        x = np.random.default_rng(0).standard_normal((2, 5, 8)).astype("float32")
        theirs_in, ours_in = torch.tensor(x), chainrule.tensor(x)

    def out(model: Any) -> Any:
        torch.backends.mha.set_fastpath_enabled(False)  # which reads the frozen matrices, past PEFT's changes
        found = model(theirs_in)
        torch.backends.mha.set_fastpath_enabled(True)
        return (found.logits if kind == "gpt2" else found).detach().numpy()

    theirs = peft.get_peft_model(base(), peft.LoraConfig(r=2, lora_alpha=6, **options)).eval()
    with torch.no_grad():
        for parameter in theirs.parameters():
            if parameter.requires_grad:
                parameter.copy_(torch.randn_like(parameter) * 0.4)
    theirs.save_pretrained(tmp_path / "theirs")
    ours.load_state_dict({key: chainrule.tensor(value.numpy()) for key, value in base().state_dict().items()})
    load_lora(ours, tmp_path / "theirs")
    np.testing.assert_allclose(ours(ours_in).detach().numpy(), out(theirs), atol=2e-5)

    disturb(ours)
    save_lora(ours, tmp_path / "ours")
    again = peft.PeftModel.from_pretrained(base(), tmp_path / "ours").eval()
    np.testing.assert_allclose(out(again), ours(ours_in).detach().numpy(), atol=2e-5)


def test_targets() -> None:
    def layers(targets: Any) -> list[str]:
        return add_lora(models.GPT2(**SIZES), 1, targets).layers

    every = [
        f"transformer.h.{i}.{part}" for i in (0, 1) for part in ("attn.c_attn", "attn.c_proj", "mlp.c_fc", "mlp.c_proj")
    ]
    assert layers("all-linear") == every
    assert layers(["mlp.c_fc"]) == [every[2], every[6]]
    assert layers(r".*h\.0\..*c_proj") == [every[1], every[3]]
    assert add_lora(Encoder(), 1).layers == ["enc.linear1", "enc.linear2"]


@pytest.mark.parametrize("bits", [8, 4])
@pytest.mark.parametrize("first", ["quantize", "add_lora"])
@pytest.mark.parametrize("compiled", [False, True])
def test_changes_beside_layers_in_few_bits(bits: int, first: str, compiled: bool, tmp_path: Path) -> None:
    def model() -> Any:
        chainrule.manual_seed(0)
        net = nn.Sequential(nn.Linear(40, 6), nn.Tanh(), nn.Linear(6, 3), nn.Linear(3, 2))
        if first == "quantize":
            nn.quantize(net, bits, skip=("3",))
            report = add_lora(net, 2, ["0", "2"], also=["3"])
        else:
            report = add_lora(net, 2, ["0", "2"], also=["3"])
            nn.quantize(net, bits)
        assert (report.trained, report.layers) == (2 * (46 + 9) + 8, ["0", "2"])
        return net

    net, x = model(), chainrule.randn(5, 40)
    disturb(net)
    assert [type(net[i].base_layer) for i in (0, 2)] == [nn.QuantizedLinear] * 2
    before = {name: value.detach().numpy().copy() for name, value in net.state_dict().items()}
    plain = nn.Sequential(
        nn.Linear(40, 6), nn.Tanh(), nn.Linear(6, 3), nn.Linear(3, 2)
    )  # the same matrices, written out
    with chainrule.no_grad():
        for i in (0, 2):
            change = net[i].change
            full = net[i].base_layer.dequantized() + change.lora_B.weight @ change.lora_A.weight * change.scale
            plain[i].weight.copy_(full)
            plain[i].bias.copy_(net[i].base_layer.bias)
        plain[3].load_state_dict(net[3].state_dict())
    np.testing.assert_allclose(net(x).detach().numpy(), plain(x).detach().numpy(), atol=1e-5)

    plain(x).pow(2).sum().backward()
    net(x).pow(2).sum().backward()
    for i in (0, 2):  # ∂L/∂B = s·∂L/∂W·Aᵀ
        change, whole = net[i].change, plain[i].weight.grad.numpy()
        expected = change.scale * whole @ change.lora_A.weight.detach().numpy().T
        np.testing.assert_allclose(change.lora_B.weight.grad.numpy(), expected, atol=1e-4)
    learning = [name for name, p in net.named_parameters() if p.requires_grad]
    assert len(learning) == 6 and all("lora_" in name or name.startswith("3.") for name in learning)

    optimizer = optim.SGD(net.parameters(), lr=0.01)

    def step() -> Any:
        optimizer.zero_grad()
        loss = net(x).pow(2).mean()
        loss.backward()
        optimizer.step()
        return loss

    take = chainrule.compile(step) if compiled else step
    losses = [float(take()) for _ in range(5)]
    assert losses[-1] < losses[0]
    after = net.state_dict()
    changed = {name for name in before if not np.array_equal(before[name], after[name].detach().numpy())}
    assert changed == set(learning)
    with pytest.raises(ValueError, match="0: the matrix is kept in .*int8.*merge first"):
        merge_lora(net)
    unmerge_lora(net)  # nothing is merged, so nothing is to do

    save_lora(net, tmp_path)
    again = nn.Sequential(nn.Linear(40, 6), nn.Tanh(), nn.Linear(6, 3), nn.Linear(3, 2))
    for i in (0, 2):
        again[i] = net[i].base_layer
    load_lora(again, tmp_path)
    np.testing.assert_array_equal(again(x).detach().numpy(), net(x).detach().numpy())
    remove_lora(net)
    assert isinstance(net[0], nn.QuantizedLinear)


def test_all_linear_layers_in_few_bits_but_the_head() -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 2))
    nn.quantize(model, 4)
    report = add_lora(model, rank=1)
    model.eval()
    assert report.layers == ["0"] and report.total == 4 * 4 + 4 * 2 + 8 and report.trained == 8
    with chainrule.no_grad():  # a layer in 4 bits takes halves, and so does the change beside it
        assert model(chainrule.ones(1, 4).bfloat16()).shape == (1, 2)
    new = replace_head(model, 3)
    assert type(new) is nn.Linear and new.weight.requires_grad and new.out_features == 3


def test_what_is_refused(tmp_path: Path) -> None:
    def model() -> Any:
        return nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 2))

    twice = model()
    add_lora(twice)
    save_lora(twice, tmp_path)
    config = json.loads((tmp_path / "adapter_config.json").read_text())
    (tmp_path / "dora").mkdir()
    (tmp_path / "dora" / "adapter_config.json").write_text(json.dumps({**config, "use_dora": True}))
    for wrong, kind, says in [
        (lambda: add_lora(model(), rank=0), ValueError, "at least 1, got 0"),
        (lambda: add_lora(twice), ValueError, "already"),
        (lambda: add_lora(model(), targets=["q_proj"]), ValueError, "no layer is called 'q_proj'; there are '0', '2'"),
        (lambda: add_lora(model(), targets=["1"]), ValueError, "1 is a ReLU"),
        (lambda: add_lora(model(), also=["head"]), ValueError, "no layer is called 'head'"),
        (lambda: add_lora(Encoder(), targets=["self_attn"], dropout=0.1), ValueError, "enc.self_attn: .*dropout=0"),
        (lambda: save_lora(model(), tmp_path / "none"), ValueError, "no changes of low rank"),
        (lambda: load_lora(model(), tmp_path / "none"), chainrule.CheckpointError, "cannot be read"),
        (lambda: load_lora(model(), tmp_path / "dora"), chainrule.CheckpointError, "use_dora is True"),
        (lambda: load_lora(Encoder(), tmp_path), chainrule.CheckpointError, "no layer is called '0'"),
        (
            lambda: load_lora(nn.Sequential(nn.Linear(5, 4), nn.Linear(4, 1)), tmp_path),
            chainrule.CheckpointError, r"adapter_model.safetensors, 0: .*lora_A.weight",
        ),
    ]:  # fmt: skip
        with pytest.raises(kind, match=says):
            wrong()
