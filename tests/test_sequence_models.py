"""Recurrent models and Transformers against the same networks written in PyTorch, from the same weights."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import chainrule
from chainrule import models, nn
from chainrule.nn.init import skip_filling
from tests.parameter_counts import count

LENGTHS = [5, 3, 1]


def weights(model: Any, scale: float = 1.5) -> dict[str, np.ndarray]:
    """The model's values, drawn anew so that nothing is 0."""
    rng = np.random.default_rng(0)
    chosen = {key: rng.standard_normal(tuple(value.shape)) * scale / 3 for key, value in model.state_dict().items()}
    model.double().load_state_dict({key: chainrule.tensor(value) for key, value in chosen.items()})
    return chosen


def torch_recurrent(torch: Any, ours: Any, prefix: str, values: dict[str, np.ndarray]) -> Any:
    """PyTorch's layer with the weights of ours."""
    kind = {nn.RNN: torch.nn.RNN, nn.GRU: torch.nn.GRU, nn.LSTM: torch.nn.LSTM}[type(ours)]
    layer = kind(
        ours.input_size, ours.hidden_size, ours.num_layers, batch_first=True, bidirectional=ours.bidirectional
    ).double()  # fmt: skip
    own = {key.removeprefix(prefix): torch.tensor(v) for key, v in values.items() if key.startswith(prefix)}
    layer.load_state_dict({key: v for key, v in own.items() if not key.endswith("_0")})
    return layer


def compare(ours: Any, inputs: list[Any], expected: Any, values: dict[str, Any], compiled: bool) -> None:
    """Result and gradients of Σ result·upstream; `values` are PyTorch's tensors with the gradients wanted."""
    import torch

    upstream = np.random.default_rng(2).standard_normal(tuple(expected.shape))
    (expected * torch.tensor(upstream)).sum().backward()

    def step(*inputs: Any) -> Any:
        found = ours(*inputs)
        (found * chainrule.tensor(upstream)).sum().backward()
        return found.detach()

    found = (chainrule.compile(step) if compiled else step)(*inputs)
    np.testing.assert_allclose(found.numpy(), expected.detach().numpy(), atol=1e-10)
    for key, wanted in values.items():
        np.testing.assert_allclose(ours.get_parameter(key).grad.numpy(), wanted.grad.numpy(), atol=1e-9, err_msg=key)


@pytest.mark.peer
@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("cell", ["rnn", "gru", "lstm"])
@pytest.mark.parametrize("kind", ["classifier", "tagger"])
def test_many_to_one_and_many_to_many(kind: str, cell: str, compiled: bool) -> None:
    torch = pytest.importorskip("torch")
    make = {"classifier": models.RecurrentClassifier, "tagger": models.RecurrentTagger}[kind]
    ours = make(3, vocabulary=7, width=4, cell=cell, hidden=5, layers=2, bidirectional=True, initial_state="learned")
    values = weights(ours)
    layer = torch_recurrent(torch, ours.recurrent, "recurrent.", values)
    leaves = {k: torch.tensor(v, requires_grad=True) for k, v in values.items() if not k.startswith("recurrent.")}
    firsts = [torch.tensor(values[f"recurrent.{name}_0"]).expand(-1, 3, -1) for name in ours.recurrent.states]
    tokens = np.random.default_rng(1).integers(0, 7, (3, 5))
    x = torch.nn.functional.embedding(torch.tensor(tokens), leaves["embedding.weight"])
    packed = torch.nn.utils.rnn.pack_padded_sequence(x, LENGTHS, batch_first=True)
    outputs, state = layer(packed, tuple(f.contiguous() for f in firsts) if len(firsts) > 1 else firsts[0].contiguous())
    h = state[0] if cell == "lstm" else state
    read = torch.cat([h[-2], h[-1]], 1)
    if kind == "tagger":
        read = torch.nn.utils.rnn.pad_packed_sequence(outputs, batch_first=True)[0]
    expected = read @ leaves["head.weight"].T + leaves["head.bias"]
    inner = {f"recurrent.{name}": p for name, p in layer.named_parameters()}
    compare(ours, [chainrule.tensor(tokens), chainrule.tensor(LENGTHS)], expected, {**leaves, **inner}, compiled)


@pytest.mark.peer
@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("cell", ["rnn", "gru", "lstm"])
def test_the_language_model(cell: str, compiled: bool) -> None:
    torch = pytest.importorskip("torch")
    ours = models.RecurrentLanguageModel(7, 3, cell, hidden=5, layers=2)
    values = weights(ours)
    layer = torch_recurrent(torch, ours.recurrent, "recurrent.", values)
    leaves = {k: torch.tensor(v, requires_grad=True) for k, v in values.items() if not k.startswith("recurrent.")}
    tokens = np.random.default_rng(1).integers(0, 7, (3, 6))
    outputs, _ = layer(torch.nn.functional.embedding(torch.tensor(tokens), leaves["embedding.weight"]))
    expected = outputs @ leaves["head.weight"].T + leaves["head.bias"]
    inner = {f"recurrent.{name}": p for name, p in layer.named_parameters()}
    compare(ours, [chainrule.tensor(tokens)], expected, {**leaves, **inner}, compiled)


@pytest.mark.peer
@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("cell", ["rnn", "gru", "lstm"])
def test_one_to_many(cell: str, compiled: bool) -> None:
    torch = pytest.importorskip("torch")
    ours = models.RecurrentCaptioner(4, 7, 3, cell, hidden=5, layers=2)
    values = weights(ours)
    layer = torch_recurrent(torch, ours.recurrent, "recurrent.", values)
    leaves = {k: torch.tensor(v, requires_grad=True) for k, v in values.items() if not k.startswith("recurrent.")}
    vector, tokens = np.random.default_rng(1).standard_normal((2, 4)), np.array([[0, 3, 2], [0, 6, 1]])
    first = torch.tanh(torch.tensor(vector) @ leaves["first_state.weight"].T + leaves["first_state.bias"])
    first = first.reshape(2, -1, 2, 5)
    states = [first[:, i].transpose(0, 1).contiguous() for i in range(first.shape[1])]
    x = torch.nn.functional.embedding(torch.tensor(tokens), leaves["embedding.weight"])
    outputs, _ = layer(x, tuple(states) if cell == "lstm" else states[0])
    expected = outputs @ leaves["head.weight"].T + leaves["head.bias"]
    inner = {f"recurrent.{name}": p for name, p in layer.named_parameters()}
    compare(ours, [chainrule.tensor(vector), chainrule.tensor(tokens)], expected, {**leaves, **inner}, compiled)


@pytest.mark.peer
@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("norm_first", [False, True])
def test_the_original_transformer(norm_first: bool, compiled: bool) -> None:
    """PyTorch's `nn.Transformer` between embeddings, the paper's sines and cosines, and a head, all by hand."""
    torch = pytest.importorskip("torch")
    ours = models.EncoderDecoderTransformer(7, 6, layers=2, width=8, heads=2, context=9, norm_first=norm_first)
    values = weights(ours)
    layer = torch.nn.Transformer(8, 2, 2, 2, 32, 0.0, batch_first=True, norm_first=norm_first).double()
    prefix = "transformer."
    layer.load_state_dict({k.removeprefix(prefix): torch.tensor(v) for k, v in values.items() if k.startswith(prefix)})
    leaves = {k: torch.tensor(v, requires_grad=True) for k, v in values.items() if not k.startswith(prefix)}
    rng = np.random.default_rng(1)
    source, target = rng.integers(0, 7, (3, 5)), rng.integers(0, 6, (3, 4))
    padding = np.arange(5) >= np.array(LENGTHS)[:, None]

    angles = np.arange(9)[:, None] / 10_000 ** (np.arange(0, 8, 2) / 8)
    table = ours.source_positions.table.numpy()  # float32 at first
    np.testing.assert_allclose(table, np.stack([np.sin(angles), np.cos(angles)], 2).reshape(-1, 8), atol=1e-6)

    def placed(tokens: Any, name: str) -> Any:
        x = torch.nn.functional.embedding(torch.tensor(tokens), leaves[name]) * math.sqrt(8)
        return x + torch.tensor(table[: tokens.shape[1]])

    hidden = torch.tensor(padding)
    found = layer(
        placed(source, "source_embedding.weight"), placed(target, "target_embedding.weight"),
        tgt_mask=torch.triu(torch.ones(4, 4, dtype=torch.bool), 1), src_key_padding_mask=hidden,
        memory_key_padding_mask=hidden,
    )  # fmt: skip
    expected = found @ leaves["head.weight"].T + leaves["head.bias"]
    inner = {f"{prefix}{name}": p for name, p in layer.named_parameters()}
    inputs = [chainrule.tensor(source), chainrule.tensor(target), chainrule.tensor(padding)]
    compare(ours, inputs, expected, {**leaves, **inner}, compiled)


@pytest.mark.peer
@pytest.mark.parametrize("compiled", [False, True])
def test_the_decoder_to_study(compiled: bool) -> None:
    """Blocks of layer normalisation, heads one by one, and the network; the head is the embedding."""
    torch = pytest.importorskip("torch")
    ours = models.DecoderTransformer(7, layers=2, width=6, heads=2, context=9)
    values = weights(ours)
    values["head.weight"] = values["embedding.weight"]  # one parameter
    ours.load_state_dict({key: chainrule.tensor(value) for key, value in values.items()})
    leaves = {k: torch.tensor(v, requires_grad=True) for k, v in values.items() if k != "head.weight"}
    tokens = np.random.default_rng(1).integers(0, 7, (3, 5))

    def affine(x: Any, name: str) -> Any:
        return x @ leaves[f"{name}.weight"].T + leaves[f"{name}.bias"]

    def norm(x: Any, name: str) -> Any:
        return torch.nn.functional.layer_norm(x, (6,), leaves[f"{name}.weight"], leaves[f"{name}.bias"])

    x = torch.nn.functional.embedding(torch.tensor(tokens), leaves["embedding.weight"])
    x = x + leaves["positions.weight"][:5]
    later = torch.triu(torch.ones(5, 5, dtype=torch.bool), 1)
    for i in range(2):
        at = f"blocks.{i}"
        y = norm(x, f"{at}.norm1")
        q, k, v = (y @ leaves[f"{at}.attention.in_proj_weight"].T + leaves[f"{at}.attention.in_proj_bias"]).chunk(3, 2)
        heads = []
        for s in (slice(0, 3), slice(3, 6)):
            scores = (q[..., s] @ k[..., s].mT / math.sqrt(3)).masked_fill(later, -math.inf)
            heads.append(torch.softmax(scores, -1) @ v[..., s])
        x = x + affine(torch.cat(heads, 2), f"{at}.attention.out_proj")
        inside = torch.nn.functional.gelu(affine(norm(x, f"{at}.norm2"), f"{at}.network.0"))
        x = x + affine(inside, f"{at}.network.2")
    expected = norm(x, "norm") @ leaves["embedding.weight"].T
    compare(ours, [chainrule.tensor(tokens)], expected, leaves, compiled)


@pytest.mark.peer
@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("attention", ["dot", "additive", None])
def test_first_read_then_write(attention: str | None, compiled: bool) -> None:
    """Position by position, with the attention written as sums."""
    torch = pytest.importorskip("torch")
    ours = models.RecurrentTranslator(7, 6, 3, "lstm", hidden=4, attention=attention)
    values = weights(ours)
    leaves = {k: torch.tensor(v, requires_grad=True) for k, v in values.items() if not k.startswith(("en", "de"))}
    encoder = torch_recurrent(torch, ours.encoder, "encoder.", values)
    decoder = torch_recurrent(torch, ours.decoder, "decoder.", values)
    rng = np.random.default_rng(1)
    source, target = rng.integers(0, 7, (3, 5)), rng.integers(0, 6, (3, 4))
    x = torch.nn.functional.embedding(torch.tensor(source), leaves["source_embedding.weight"])
    packed = torch.nn.utils.rnn.pack_padded_sequence(x, LENGTHS, batch_first=True)
    outputs, (h, c) = encoder(packed)
    memory = torch.nn.utils.rnn.pad_packed_sequence(outputs, batch_first=True)[0]
    bridge = [
        torch.tanh(torch.cat([s[0], s[1]], 1) @ leaves["bridge.weight"].T + leaves["bridge.bias"]) for s in (h, c)
    ]
    y = torch.nn.functional.embedding(torch.tensor(target), leaves["target_embedding.weight"])
    states, _ = decoder(y, (bridge[0][None], bridge[1][None]))
    rows = []
    for n in range(3):
        for k in range(4):
            s = states[n, k]
            if attention is not None:
                keys = memory[n, : LENGTHS[n]]
                if attention == "dot":
                    scores = keys @ leaves["attention.weight.weight"].T @ s
                else:
                    asked = leaves["attention.query.weight"] @ s + leaves["attention.query.bias"]
                    scores = (
                        torch.tanh(asked + keys @ leaves["attention.key.weight"].T) @ leaves["attention.v.weight"][0]
                    )
                read = torch.softmax(scores, 0) @ keys
                s = torch.tanh(leaves["join.weight"] @ torch.cat([read, s]) + leaves["join.bias"])
            rows.append(leaves["head.weight"] @ s + leaves["head.bias"])
    expected = torch.stack(rows).reshape(3, 4, 6)
    inner = {f"encoder.{name}": p for name, p in encoder.named_parameters()}
    inner |= {f"decoder.{name}": p for name, p in decoder.named_parameters()}
    padding = chainrule.tensor(np.arange(5) >= np.array(LENGTHS)[:, None])
    inputs = [chainrule.tensor(source), chainrule.tensor(target), padding]
    compare(ours, inputs, expected, {**leaves, **inner}, compiled)
    if attention is not None:
        maps = ours.attention_maps(*inputs).detach().numpy()
        np.testing.assert_allclose(maps.sum(2), 1)
        assert not maps[1, :, 3:].any() and not maps[2, :, 1:].any(), "padding is not read"


@pytest.mark.peer
@pytest.mark.parametrize("compiled", [False, True])
def test_the_vision_transformer(compiled: bool) -> None:
    """Cut into patches by hand, multiplied out head by head."""
    torch = pytest.importorskip("torch")
    ours = models.VisionTransformer(8, 4, num_layers=2, num_heads=2, hidden_dim=6, mlp_dim=10, num_classes=3)
    leaves = {k: torch.tensor(v, requires_grad=True) for k, v in weights(ours).items()}
    images = np.random.default_rng(1).standard_normal((2, 3, 8, 8))
    patches = [images[:, :, i : i + 4, j : j + 4].reshape(2, -1) for i in (0, 4) for j in (0, 4)]
    x = torch.tensor(np.stack(patches, 1)) @ leaves["conv_proj.weight"].reshape(6, -1).T + leaves["conv_proj.bias"]
    x = torch.cat([leaves["class_token"].expand(2, 1, 6), x], 1) + leaves["encoder.pos_embedding"]

    def norm(x: Any, name: str) -> Any:
        return torch.nn.functional.layer_norm(x, (6,), leaves[f"{name}.weight"], leaves[f"{name}.bias"], 1e-6)

    for i in range(2):
        at = f"encoder.layers.encoder_layer_{i}"
        q, k, v = (
            norm(x, f"{at}.ln_1") @ leaves[f"{at}.self_attention.in_proj_weight"].T
            + leaves[f"{at}.self_attention.in_proj_bias"]
        ).chunk(3, 2)
        heads = [
            torch.softmax(q[..., s] @ k[..., s].mT / math.sqrt(3), -1) @ v[..., s] for s in (slice(0, 3), slice(3, 6))
        ]
        out = f"{at}.self_attention.out_proj"
        x = x + torch.cat(heads, 2) @ leaves[f"{out}.weight"].T + leaves[f"{out}.bias"]
        inside = norm(x, f"{at}.ln_2") @ leaves[f"{at}.mlp.0.weight"].T + leaves[f"{at}.mlp.0.bias"]
        inside = torch.nn.functional.gelu(inside)
        x = x + inside @ leaves[f"{at}.mlp.3.weight"].T + leaves[f"{at}.mlp.3.bias"]
    expected = norm(x, "encoder.ln")[:, 0] @ leaves["heads.head.weight"].T + leaves["heads.head.bias"]
    compare(ours, [chainrule.tensor(images)], expected, leaves, compiled)


def test_sizes_as_published() -> None:
    with skip_filling():  # numbers that nobody writes take no memory
        assert count(models.create("vit_b_16")) == 86_567_656
        assert count(models.create("bert")) == 109_482_240
    assert count(models.vit_tiny_cifar()) == (
        6 * (4 * 128**2 + 4 * 128 + 2 * 128 * 512 + 512 + 128 + 4 * 128) + 48 * 128 + 128 + 66 * 128 + 256 + 1290
    )
    small = models.Bert(vocabulary=10, layers=2, width=8, heads=2, context=6)
    layer = 12 * 8**2 + 13 * 8
    assert count(small) == (10 + 6 + 2) * 8 + 16 + 2 * layer + 72
    llama = models.Llama(vocabulary=10, layers=2, width=8, heads=4, key_heads=2, hidden=12, context=6)
    assert count(llama) == 2 * 10 * 8 + 2 * (2 * 64 + 2 * 32 + 3 * 96 + 16) + 8
    lstm = models.RecurrentLanguageModel(10, 4, "lstm", 6)
    assert count(lstm) == 40 + 4 * (6 * 6 + 4 * 6 + 2 * 6) + 70


def test_what_is_refused() -> None:
    tokens = chainrule.tensor([[1, 2, 3]])
    vit = models.VisionTransformer(8, 4, 1, 2, 8, 16)
    for wrong, kind, says in [
        (lambda: models.RecurrentClassifier(2), ValueError, "give vocabulary"),
        (lambda: models.RecurrentClassifier(2, 5, features=3), ValueError, "give vocabulary"),
        (lambda: models.RecurrentClassifier(2, 5, cell="elman"), ValueError, "'rnn', 'gru', 'lstm', got 'elman'"),
        (lambda: models.RecurrentClassifier(2, features=3)(chainrule.ones(2, 3)), chainrule.ShapeError, "length"),
        (lambda: models.RecurrentTranslator(5, 5, attention="multi"), ValueError, "'multi'"),
        (
            lambda: models.RecurrentTranslator(5, 5, attention=None).attention_maps(tokens, tokens),
            chainrule.ShapeError, "no weights",
        ),
        (lambda: models.RecurrentTranslator(5, 5).generate(tokens, 0), chainrule.ShapeError, "steps=0"),
        (
            lambda: models.EncoderDecoderTransformer(5, 5, 1, 8, 2, 4).generate(tokens, 5),
            chainrule.ShapeError, "1 to 4 tokens, got steps=5",
        ),
        (lambda: vit(chainrule.ones(1, 3, 9, 8)), chainrule.ShapeError, r"\(N, 3, 8, 8\), got \(1, 3, 9, 8\)"),
        (lambda: models.VisionTransformer(9, 4, 1, 2, 8, 16), chainrule.ShapeError, "4 pixels do not divide"),
        (lambda: models.GPT2(5, 1, 8, 3), chainrule.ShapeError, "width=8 and heads=3"),
        (lambda: models.GPT2(5, 1, 8, 2, context=2)(tokens), chainrule.ShapeError, "there are 2 positions"),
        (lambda: models.Llama(5, 1, 8, 4, key_heads=3), chainrule.ShapeError, "key_heads=3"),
        (
            lambda: models.Llama(5, 1, 8, 4, hidden=8, rope_scaling={"rope_type": "yarn"}),
            ValueError, "'linear' or 'llama3', got 'yarn'",
        ),
        (lambda: models.Bert(5, 1, 8, 2)(tokens, tokens[:, :2]), chainrule.ShapeError, "attention_mask"),
        (lambda: nn.RotaryPositions(4, 3), chainrule.ShapeError, "even, got 3"),
    ]:  # fmt: skip
        with pytest.raises(kind, match=says):
            wrong()
