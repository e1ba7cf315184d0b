"""Weights in 8 and 4 bits: how far they are off, what memory they take, and that nothing else is computed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import chainrule
from chainrule import models, nn
from chainrule.errors import DTypeError, ShapeError
from chainrule.primitives.primitive import registry


@pytest.mark.parametrize("bits", [8, 4])
@pytest.mark.parametrize("inputs", [32, 45, 96])
def test_no_entry_is_further_off_than_half_a_step(bits: int, inputs: int) -> None:
    chainrule.manual_seed(3)
    layer = nn.Linear(inputs, 17)
    with chainrule.no_grad():
        layer.weight[3] = 0
        layer.weight[5] *= 1000
    weight = layer.weight.detach().numpy()
    small = nn.QuantizedLinear(layer, bits)
    found = small.dequantized().numpy()
    if bits == 8:
        steps = np.abs(weight).max(1, keepdims=True) / 127 * np.ones_like(weight)
        allowed = 0.5
    else:  # the group's largest entry is −8 steps; at the other end 7 are all there is, so up to one step is missing
        filled = np.pad(weight, ((0, 0), (0, -inputs % 32))).reshape(17, -1, 32)
        steps = np.repeat(np.abs(filled).max(2) / 8, 32, 1)[:, :inputs]
        allowed = 1.0
    assert (np.abs(found - weight) <= steps * (allowed + 1e-4) + 1e-12).all()
    assert not found[3].any()
    groups = -(-inputs // 32)
    assert small.bytes_kept() == (17 * inputs + 17 * 4 if bits == 8 else 17 * groups * (16 + 4))


@pytest.mark.parametrize("bits", [8, 4])
@pytest.mark.parametrize("rows", [1, 4, 5])
@pytest.mark.parametrize("compiled", [False, True])
def test_a_layer_is_the_product_with_its_matrix(bits: int, rows: int, compiled: bool) -> None:
    small = nn.QuantizedLinear(nn.Linear(45, 7), bits)
    call = chainrule.compile(lambda x: small(x)) if compiled else small
    x = chainrule.randn(rows, 1, 45)
    expected = x.numpy() @ small.dequantized().numpy().T + small.bias.numpy()
    np.testing.assert_allclose(call(x).numpy(), expected, atol=1e-5)
    leaf = x.clone().requires_grad_()
    small(leaf).sum().backward()
    np.testing.assert_allclose(leaf.grad.numpy()[0, 0], small.dequantized().numpy().sum(0), atol=1e-5)


@pytest.mark.parametrize("bits", [8, 4])
def test_an_embedding_gives_the_rows_of_its_matrix(bits: int) -> None:
    table = nn.Embedding(9, 45)
    small = nn.QuantizedEmbedding(table, bits)
    places = chainrule.tensor([[0, 8], [3, 3]])
    np.testing.assert_array_equal(small(places).numpy(), small.dequantized().numpy()[places.numpy()])
    error = np.linalg.norm(small.dequantized().numpy() - table.weight.detach().numpy())
    assert error / np.linalg.norm(table.weight.detach().numpy()) < (0.01 if bits == 8 else 0.12)


@pytest.mark.parametrize("bits", [8, 4])
@pytest.mark.parametrize("name", ["gpt2", "llama", "lstm"])
def test_a_whole_model(name: str, bits: int) -> None:
    """The report's errors are those of the matrices; what the model computes is what a float model with these does."""
    model: Any = {
        "gpt2": lambda: models.GPT2(50, 2, 64, 4, 32),
        "llama": lambda: models.Llama(50, 2, 64, 4, 2, hidden=96, context=32),
        "lstm": lambda: models.RecurrentLanguageModel(50, 64, "lstm", 64),
    }[name]()
    model.eval()
    tokens = chainrule.randint(0, 50, (2, 9))
    report = nn.quantize(model, bits)
    assert all(0 < row.error < (0.01 if bits == 8 else 0.12) for row in report)
    assert (
        {8: 0.24, 4: 0.15}[bits]
        < sum(r.after for r in report) / sum(r.before for r in report)
        < {8: 0.32, 4: 0.17}[bits]
    )
    assert "layers:" in str(report) and report[0].path in str(report)
    found = model(tokens).detach().numpy()
    for path, layer in list(model.named_modules()):  # the same matrices as float32
        if isinstance(layer, nn.QuantizedLinear):
            plain = nn.Linear(layer.in_features, layer.out_features, bias=layer.bias is not None)
            with chainrule.no_grad():
                plain.weight.copy_(layer.dequantized())
                if layer.bias is not None:
                    plain.bias.copy_(layer.bias)
            model.set_submodule(path, plain)
        elif isinstance(layer, nn.QuantizedEmbedding):
            model.set_submodule(path, nn.Embedding.from_pretrained(layer.dequantized()))
    np.testing.assert_allclose(found, model(tokens).detach().numpy(), atol=1e-4)


def test_a_layer_in_two_places_is_small_in_both() -> None:
    shared = nn.Linear(32, 32)
    model = nn.Sequential(shared, nn.ReLU(), nn.Sequential(shared))
    assert [row.path for row in nn.quantize(model)] == ["0"]
    assert isinstance(model[0], nn.QuantizedLinear) and model[2][0] is model[0]


def test_generation_is_compiled_and_the_same() -> None:
    model = models.GPT2(50, 2, 64, 4, 32).eval()
    with chainrule.no_grad():
        for parameter in model.parameters():
            parameter *= 5.0
    nn.quantize(model, 4)
    prompt = chainrule.randint(0, 50, (1, 4))
    plain = model.generate(prompt, 12, temperature=0)
    assert chainrule.equal(model.generate(prompt, 12, temperature=0, compile=True), plain)


def test_saving_tying_and_what_is_refused() -> None:
    model = models.GPT2(50, 1, 32, 4, 16).eval()
    report = nn.quantize(model, 8)
    assert sum(row.path in ("lm_head", "transformer.wte") for row in report) == 1, "one table, kept once"
    assert model.lm_head.numbers is model.transformer["wte"].numbers
    again = models.GPT2(50, 1, 32, 4, 16).eval()
    nn.quantize(again, 8)
    again.load_state_dict(model.state_dict())
    tokens = chainrule.tensor([[1, 2]])
    assert chainrule.equal(again(tokens), model(tokens))
    attention = nn.Sequential(nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)).eval()
    assert [row.path for row in nn.quantize(attention)] == ["0.linear1", "0.linear2"]
    assert attention(chainrule.randn(1, 3, 8)).shape == (1, 3, 8)
    kept = models.GPT2(50, 1, 32, 4, 16)
    assert "lm_head" not in [row.path for row in nn.quantize(kept, skip=("lm_head", "wte"))]
    for wrong, kind, says in [
        (lambda: nn.quantize(nn.Sequential(nn.Linear(4, 4)), 3), ValueError, "8 or 4 bits, got 3"),
        (lambda: nn.quantize(nn.Sequential(nn.ReLU())), ValueError, "no linear layers"),
        (lambda: nn.QuantizedEmbedding(nn.Embedding(3, 4, max_norm=1.0)), ValueError, "max_norm"),
        (lambda: nn.QuantizedLinear(nn.Linear(4, 4))(chainrule.ones(2, 5)), chainrule.ShapeError, "expects"),
    ]:
        with pytest.raises(kind, match=says):
            wrong()


@pytest.mark.parametrize("rows", [1, 2, 5, 40])
@pytest.mark.parametrize("bits", [4, 8])
def test_compiled_reads_the_small_numbers_themselves(bits: int, rows: int) -> None:
    """The matrix is not written out: the working memory is a small part of it. Eager and compiled agree."""
    small = nn.QuantizedLinear(nn.Linear(300, 500), bits)
    x = chainrule.randn(rows, 300)
    run = chainrule.compile(lambda x: small(x).relu(), debug=True)
    exact = x.double().numpy() @ small.dequantized().double().numpy().T + small.bias.numpy()
    for y in (run(x), small(x).relu()):
        np.testing.assert_allclose(y.numpy(), np.maximum(exact, 0), atol=2e-5)
    assert run.program.executable.arena_bytes < 300 * 500
    assert "in NumPy" not in run.explain()


@pytest.mark.parametrize("bits", [4, 8])
def test_unequal_things_are_refused(bits: int) -> None:
    small = nn.QuantizedLinear(nn.Linear(64, 5), bits)
    apply = registry["LowBitsMatMul"].apply
    with pytest.raises(ShapeError, match="few bits"):
        apply(chainrule.ones(2, 63), small.numbers, small.scales)
    with pytest.raises(DTypeError, match="int8"):
        apply(chainrule.ones(2, 64), small.numbers.float(), small.scales)
