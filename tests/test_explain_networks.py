"""Network shapes of all kinds open: nothing fails, every parameter's gradient is autodiff's, the data hangs together."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import chainrule
from chainrule import nn
from chainrule.models.registry import find
from chainrule.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

F = nn.functional
Made = tuple[Callable[..., Any], tuple[Any, ...], list[nn.Module]]


def numbers(answer: Any) -> Any:
    """One number that depends on everything that came out."""
    if isinstance(answer, chainrule.Tensor):
        return (answer * answer).mean() if answer.dtype.is_floating_point else 0.0
    parts = answer.values() if isinstance(answer, dict) else answer
    return sum((numbers(part) for part in parts if part is not None), chainrule.tensor(0.0))


def words(*shape: int, high: int = 20) -> Any:
    return chainrule.randint(0, high, shape)


def of_registry(name: str, *inputs: Any, training: bool = True, **options: Any) -> Callable[[], Made]:
    def make() -> Made:
        model = find(name).build(**options)
        model.train(training)
        if any(x.dtype == chainrule.float64 for x in inputs):
            model.double()
        return (lambda *xs: numbers(model(*xs))), inputs, [model]

    return make


small_text = {"vocabulary": 20, "layers": 2, "width": 16, "heads": 2, "context": 16}


def packed_sequences() -> Made:
    model = nn.LSTM(4, 5, num_layers=2, batch_first=True, bidirectional=True)
    x, lengths = chainrule.randn(3, 6, 4), chainrule.tensor([6, 4, 1])

    def run(x: Any) -> Any:
        out, (h, c) = model(pack_padded_sequence(x, lengths, batch_first=True))
        return pad_packed_sequence(out, batch_first=True)[0].mean() + h.sum() + c.sum()

    return run, (x,), [model]


def tied_weights() -> Made:
    embedding, decoder = nn.Embedding(20, 8), nn.Linear(8, 20, bias=False)
    decoder.weight = embedding.weight
    model = nn.Sequential(embedding, nn.Linear(8, 8), nn.Tanh(), decoder)
    return (lambda x: F.cross_entropy(model(x).reshape(-1, 20), x.reshape(-1))), (words(2, 5),), [model]


def adversaries() -> Made:
    generator = nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Linear(8, 2))
    critic = nn.Sequential(nn.Linear(2, 8), nn.LeakyReLU(0.2), nn.Linear(8, 1))
    rates = [chainrule.optim.Adam(model.parameters(), lr=1e-3) for model in (generator, critic)]

    def step(z: Any, real: Any) -> Any:
        fake = generator(z)
        rates[1].zero_grad()
        loss = F.softplus(critic(fake.detach())).mean() + F.softplus(-critic(real)).mean()
        loss.backward()
        rates[1].step()
        rates[0].zero_grad()
        loss = F.softplus(-critic(fake)).mean()
        loss.backward()
        rates[0].step()
        return loss

    return step, (chainrule.randn(4, 3), chainrule.randn(4, 2)), []


def accumulation() -> Made:
    model = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 1))
    optimizer = chainrule.optim.AdamW(model.parameters(), lr=1e-2)

    def step(x: Any, y: Any) -> Any:
        total = 0.0
        for part, wanted in zip(x.chunk(3), y.chunk(3), strict=True):
            loss = F.mse_loss(model(part), wanted) / 3
            loss.backward()
            total = total + loss.detach()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        return total

    return step, (chainrule.randn(6, 4), chainrule.randn(6, 1)), []


def gradient_penalty() -> Made:
    critic = nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 1))

    def run(x: Any) -> Any:
        x = x.detach().requires_grad_()
        (g,) = chainrule.autograd.grad(critic(x).sum(), x, create_graph=True)
        return ((g.norm(dim=1) - 1) ** 2).mean()

    return run, (chainrule.randn(4, 2),), [critic]


def recurrent_by_hand() -> Made:
    cell = nn.GRUCell(3, 4)

    def run(x: Any) -> Any:
        h = chainrule.zeros(2, 4)
        for row in x:
            h = cell(row, h)
        return h.sum()

    return run, (chainrule.randn(5, 2, 3),), [cell]


def transformer_of_nn() -> Made:
    model = nn.Transformer(8, 2, 1, 1, 16, dropout=0.1, batch_first=True)
    return (lambda x, y: numbers(model(x, y))), (chainrule.randn(2, 4, 8), chainrule.randn(2, 3, 8)), [model]


def _images(*shape: int) -> Any:
    return chainrule.randn(2, *shape)


SHAPES: dict[str, Callable[[], Made]] = {
    "linear regression": of_registry("linear_regression", chainrule.randn(5, 1)),
    "logistic regression": of_registry("logistic_regression", chainrule.randn(5, 6), in_features=6),
    "perceptron": of_registry("mlp", _images(1, 4, 4), in_features=16),
    "maxout": of_registry("maxout", _images(3, 8, 8), image_size=8, channels=(4, 4, 4), hidden=8),
    "LeNet-5": of_registry("lenet5", _images(1, 32, 32)),
    "LeCun's LeNet-5": of_registry("lenet5_lecun", _images(1, 32, 32)),
    "convolutions": of_registry("convnet", _images(1, 8, 8), image_size=8, channels=(4, 6)),
    "network in network": of_registry("nin", _images(3, 16, 16)),
    "ResNet-20": of_registry("resnet20_cifar", _images(3, 8, 8), width=4),
    "ResNet-10": of_registry("resnet10", _images(3, 32, 32), width=8),
    "plain 20": of_registry("plain20_cifar", _images(3, 8, 8), width=4),
    "MobileNet": of_registry("mobilenet_v1", _images(3, 32, 32), num_classes=10, width_mult=0.25),
    # Its 52 batch norms over two samples make a rounding of float32 a hundredth: in float64.
    "MobileNet v2": of_registry("mobilenet_v2", _images(3, 32, 32).double(), num_classes=10, width_mult=0.25),
    "U-Net": of_registry("unet", _images(3, 16, 16), base=4, depth=2),
    "FCN-8s": of_registry("fcn_8s", _images(3, 64, 64), width=4, hidden=8, num_classes=3),
    "key points": of_registry("keypoints", _images(1, 16, 16), image_size=16, channels=(4, 4, 4), hidden=8),
    "autoencoder": of_registry("autoencoder_conv", _images(1, 16, 16), image_size=16, channels=(4, 6), code=8),
    "denoising autoencoder": of_registry("autoencoder_denoising", _images(1, 16, 16), image_size=16, noise=0.1),
    "vision transformer": of_registry("vit_tiny_cifar", _images(3, 32, 32)),
    "GPT-2": of_registry("gpt2", words(2, 8), **small_text),
    "Llama": of_registry("llama", words(2, 8), **small_text, key_heads=1, hidden=32),
    "decoder": of_registry("decoder", words(2, 8), **small_text),
    "BERT": of_registry("bert", words(2, 8), **small_text),
    "BERT's classifier": of_registry("bert_classifier", words(2, 8), **small_text),
    "LSTM classifier": of_registry("rnn_classifier", words(2, 8), vocabulary=20, width=8, hidden=8, num_classes=3),
    "LSTM language model": of_registry("rnn_language_model", words(2, 8), vocabulary=20, width=8, hidden=8),
    "translator": of_registry(
        "rnn_translator", words(2, 5), words(2, 4), source_vocabulary=20, target_vocabulary=20, width=8, hidden=8
    ),
    "encoder and decoder": of_registry(
        "transformer", words(2, 5), words(2, 4), source_vocabulary=20, target_vocabulary=20, layers=1, width=8, heads=2
    ),
    "LeNet-5, tables of maps": of_registry("lenet5_c3", _images(1, 32, 32)),
    "FCN-16s": of_registry("fcn_16s", _images(3, 64, 64), width=4, hidden=8, num_classes=3),
    "U-Net for values": of_registry("unet_regression", _images(3, 16, 16), base=4, depth=2),
    "dense autoencoder": of_registry("autoencoder_dense", _images(1, 8, 8), shape=(1, 8, 8), hidden=(8,), code=3),
    "VAE": of_registry("vae", _images(1, 8, 8), shape=(1, 8, 8), hidden=(8,), code=3),
    "RealNVP": of_registry("realnvp", chainrule.rand(2, 1, 8, 8), shape=(1, 8, 8), levels=4, hidden=4),
    "PixelCNN": of_registry("pixelcnn", chainrule.rand(2, 1, 6, 6), shape=(1, 6, 6), levels=4, width=4, depth=2),
    "diffusion": of_registry("ddpm", _images(1, 8, 8), shape=(1, 8, 8), steps=10, base=8),
    "BERT's masked words": of_registry("bert_masked_words", words(2, 8), **small_text),
    "packed sequences": packed_sequences,
    "tied weights": tied_weights,
    "a GAN's step": adversaries,
    "a step with accumulation": accumulation,
    "gradient penalty": gradient_penalty,
    "a loop in Python": recurrent_by_hand,
    "nn.Transformer": transformer_of_nn,
}  # fmt: skip


def same_but_for_rounding(found: Any, wanted: Any, name: str = "") -> None:
    """Large blocks of eager code are machine code, which adds up in another order; what is watched is NumPy's."""
    largest = np.abs(wanted).max(initial=0)
    np.testing.assert_allclose(found, wanted, rtol=0, atol=max(1e-5 * largest, 1e-12), err_msg=name)


@pytest.mark.parametrize("shape", SHAPES)
def test_a_network_opens(shape: str) -> None:
    chainrule.manual_seed(0)
    run, inputs, modules = SHAPES[shape]()
    state = chainrule.get_rng_state()
    found = chainrule.explain(run, *inputs)
    assert found.failure is None, found.failure and found.failure.error
    assert found.walk is not None or shape == "a step with accumulation"
    chainrule.set_rng_state(state)
    result = run(*inputs)
    same_but_for_rounding(found.arrays[found.outputs[0]], result.detach().array)
    if modules:
        result.backward()
        gradients = {found.names.get(symbol): g for symbol, g in (found.walk.gradients if found.walk else {}).items()}
        checked = 0
        for name, p in modules[0].named_parameters():
            if p.grad is not None:
                same_but_for_rounding(gradients[name], p.grad.array, name)
                checked += 1
        assert checked
    data = json.loads(found.json())
    check_references(data)
    assert found.text() and found.svg().startswith("<svg")


def check_references(data: dict[str, Any]) -> None:
    """Every id that is named exists, is made once, and before it is used."""
    values, groups = {v["id"] for v in data["values"]}, {g["id"] for g in data["groups"]}
    made = [x for node in data["nodes"] for x in node["outputs"]]
    assert len(made) == len(set(made))
    known = values - set(made)
    for node in data["nodes"]:
        assert set(node["inputs"]) <= known
        assert node["group"] is None or node["group"] in groups
        assert len(node["contributions"]) == len(node["inputs"])
        known |= set(node["outputs"])
    assert set(data["outputs"]) <= known == values
    assert all(g["parent"] is None or g["parent"] in groups for g in data["groups"])
