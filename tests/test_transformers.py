"""The two transformers on tokens: sizes, causality, generating with and without the cache, and that they learn."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from scipy import stats

import chainrule
from chainrule import models, nn
from chainrule.models import decoder
from chainrule.nn.init import skip_filling
from tests.parameter_counts import count


def tokens(*shape: int, vocabulary: int, seed: int = 0) -> Any:
    return chainrule.tensor(np.random.default_rng(seed).integers(0, vocabulary, shape))


def small(**options: Any) -> models.DecoderTransformer:
    chainrule.manual_seed(0)
    return models.DecoderTransformer(
        **{"vocabulary": 11, "layers": 2, "width": 8, "heads": 2, "context": 12, **options}
    )


def louder(model: Any, by: float = 10.0) -> Any:
    """With larger weights, so that scores differ clearly."""
    with chainrule.no_grad():
        for parameter in model.parameters():
            parameter *= by
    return model


@pytest.mark.parametrize("positions", ["learned", "sinusoidal"])
@pytest.mark.parametrize("tied", [True, False])
def test_parameters_of_the_decoder(positions: str, tied: bool) -> None:
    vocabulary, layers, width, context = 65, 3, 32, 50
    model = models.DecoderTransformer(vocabulary, layers, width, 4, context, positions=positions, tied=tied)
    attention = 4 * width * width + 4 * width
    network = 2 * 4 * width * width + 5 * width
    block = attention + network + 2 * 2 * width
    embeddings = vocabulary * width * (1 if tied else 2) + (context * width if positions == "learned" else 0)
    assert count(model) == layers * block + embeddings + 2 * width


def test_gpt_2_small_has_its_124_million_parameters() -> None:
    with skip_filling():  # numbers that nobody writes take no memory
        assert count(models.create("gpt2")) == 124_439_808


def test_parameters_of_the_encoder_decoder() -> None:
    width, layers = 16, 2
    model = models.EncoderDecoderTransformer(20, 30, layers, width, 4, 10)
    attention, network = 4 * width**2 + 4 * width, 8 * width**2 + 5 * width
    encoder = layers * (attention + network + 4 * width) + 2 * width
    decoder = layers * (2 * attention + network + 6 * width) + 2 * width
    assert count(model) == encoder + decoder + (20 + 30) * width + 30 * width + 30


def test_initial_values_of_the_decoder() -> None:
    model = small(vocabulary=200, width=64)
    shortcut = 0.02 / math.sqrt(4)
    for name, deviation in {
        "embedding.weight": 0.02,
        "blocks.0.attention.in_proj_weight": 0.02,
        "blocks.1.network.0.weight": 0.02,
        "blocks.0.attention.out_proj.weight": shortcut,
        "blocks.1.network.2.weight": shortcut,
    }.items():
        values = model.get_parameter(name).detach().numpy().ravel()
        assert stats.kstest(values, stats.norm(0, deviation).cdf).pvalue > 1e-3, name
    assert not any(p.any() for name, p in model.named_parameters() if name.endswith("bias"))
    loss = nn.functional.cross_entropy(
        model(tokens(4, 12, vocabulary=200)).flatten(0, 1), tokens(48, vocabulary=200, seed=1)
    )
    assert loss.item() == pytest.approx(math.log(200), rel=0.01)  # all words alike at first


@pytest.mark.parametrize("positions", ["learned", "sinusoidal"])
def test_a_later_token_changes_nothing_before(positions: str) -> None:
    model = louder(small(positions=positions), 3.0).double()
    first = tokens(2, 10, vocabulary=11)
    for place in range(10):
        second = first.clone()
        second[:, place] = (second[:, place] + 3) % 11
        a, b = (model(x).detach().numpy() for x in (first, second))
        np.testing.assert_allclose(a[:, :place], b[:, :place], atol=1e-12)
        assert (np.abs(a[:, place:] - b[:, place:]).max(-1) > 1e-9).all()


def test_the_encoder_decoder_is_causal_in_its_target_only() -> None:
    chainrule.manual_seed(0)
    model = models.EncoderDecoderTransformer(9, 9, 1, 8, 2, 12).double().eval()
    source, target = tokens(2, 6, vocabulary=9), tokens(2, 5, vocabulary=9, seed=1)
    base = model(source, target).detach().numpy()
    assert base.shape == (2, 5, 9), "K×C for each sequence, not N×C"
    later = target.clone()
    later[:, 3] = (later[:, 3] + 1) % 9
    np.testing.assert_allclose(model(source, later).detach().numpy()[:, :3], base[:, :3], atol=1e-12)
    other = source.clone()
    other[:, 5] = (other[:, 5] + 1) % 9
    assert (np.abs(model(other, target).detach().numpy() - base).max(-1) > 1e-9).all()
    padding = chainrule.tensor([[False] * 5 + [True]] * 2)
    ours = [model(x, target, padding).detach().numpy() for x in (source, other)]
    np.testing.assert_allclose(*ours, atol=1e-12)
    np.testing.assert_allclose(model(source[:, :5], target).detach().numpy(), ours[0], atol=1e-12)


@pytest.mark.parametrize("options", [{}, {"positions": "sinusoidal", "tied": False}])
def test_generating_with_the_cache_is_asking_for_everything_again(options: dict[str, Any]) -> None:
    model = louder(small(**options)).eval()
    prompt = tokens(3, 4, vocabulary=11)
    found = prompt
    for _ in range(8):
        found = chainrule.cat([found, model(found)[:, -1].argmax(-1, keepdim=True)], 1)
    assert chainrule.equal(model.generate(prompt, 8, temperature=0), found)
    assert chainrule.equal(model.generate(prompt, 8, top_k=1), found)
    assert chainrule.equal(model.generate(prompt, 0), prompt)


def test_what_is_generated_follows_its_generator_and_the_scores() -> None:
    model = louder(small(dropout=0.5), 3.0)
    prompt = tokens(2, 3, vocabulary=11)
    drawn = [model.generate(prompt, 5, generator=chainrule.Generator(seed)).tolist() for seed in (1, 1, 2)]
    assert drawn[0] == drawn[1] != drawn[2], "in evaluation mode: nothing is dropped"
    assert model.training
    model.eval()
    scores = model(prompt[:1])[0, -1].detach().numpy().astype(float)
    many = model.generate(prompt[:1].expand(4000, 3), 1, temperature=2.0, top_k=4)[:, -1].numpy()
    best = np.argsort(scores)[-4:]
    weights = np.exp(scores[best] / 2)
    expected = len(many) * weights / weights.sum()
    observed = [(many == token).sum() for token in best]
    assert sum(observed) == len(many)
    assert stats.chisquare(observed, expected).pvalue > 1e-3


def test_what_is_refused() -> None:
    model = small()
    x = tokens(1, 3, vocabulary=11)
    for wrong, kind, says in [
        (lambda: small(positions="none"), ValueError, "'none'"),
        (lambda: small(heads=3), ValueError, "num_heads=3"),
        (lambda: model(x[0]), chainrule.ShapeError, r"\(3,\).*unsqueeze"),
        (lambda: model(x.float()), chainrule.DTypeError, "float32"),
        (lambda: model(tokens(1, 13, vocabulary=11)), chainrule.ShapeError, "12 positions"),
        (lambda: model.generate(x, 10), chainrule.ShapeError, "3 tokens and 10 steps.*12"),
        (lambda: model.generate(x[:, :0], 1), chainrule.ShapeError, "0 tokens"),
        (lambda: model.generate(x, 1, temperature=-1), ValueError, "-1"),
        (lambda: model.generate(x, 1, top_k=0), ValueError, "top_k is at least 1, got 0"),
        (lambda: model.generate(x, 1, top_p=1.5), ValueError, "1.5"),
        (lambda: model.generate(x, 1, beams=0), ValueError, "beams is at least 1"),
        (lambda: model.generate(x, -1), ValueError, "-1"),
    ]:
        with pytest.raises(kind, match=says):
            wrong()


def test_the_decoder_learns_to_copy() -> None:
    """Half of each sequence is random, the other half repeats it: the second half can be known."""
    model = small(vocabulary=8, width=32, heads=4, context=10)
    optimizer = chainrule.optim.Adam(model.parameters(), lr=5e-3)
    random = np.random.default_rng(0)

    def batch(n: int) -> Any:
        half = random.integers(0, 8, (n, 5))
        return chainrule.tensor(np.concatenate([half, half], 1))

    for _ in range(250):
        x = batch(32)
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(x[:, :-1])[:, 4:].flatten(0, 1), x[:, 5:].flatten())
        loss.backward()
        optimizer.step()
    x = batch(50)
    right = (model.generate(x[:, :5], 5, temperature=0) == x).float().mean().item()
    assert right > 0.99, (right, loss.item())


def test_the_encoder_decoder_learns_to_reverse() -> None:
    """Guessing gets a sixth right. The rate falls to 0, so that how well it ends does not depend on the last steps."""
    model = models.EncoderDecoderTransformer(7, 7, 1, 32, 4, 8, norm_first=True)
    optimizer = chainrule.optim.Adam(model.parameters(), lr=5e-3)
    schedule = chainrule.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.0, 200)
    random = np.random.default_rng(0)
    for _ in range(200):
        source = random.integers(1, 7, (32, 4))
        target = np.concatenate([np.zeros((32, 1), int), source[:, ::-1]], 1)  # 0 begins
        x, y = chainrule.tensor(source), chainrule.tensor(target)
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(x, y[:, :-1]).flatten(0, 1), y[:, 1:].flatten()).backward()
        optimizer.step()
        schedule.step()
    source = random.integers(1, 7, (200, 4))
    assert (model.generate(chainrule.tensor(source), 4).numpy() == source[:, ::-1]).mean() > 0.95


def test_blocks_are_pytorch_s_encoder_layers_normalised_first() -> None:
    """The same weights in `nn.TransformerEncoderLayer` with a causal mask give the same results."""
    block = decoder.DecoderBlock(8, 2)
    layer = nn.TransformerEncoderLayer(8, 2, 32, 0.0, "gelu", batch_first=True, norm_first=True)
    names = {"attention": "self_attn", "network.0": "linear1", "network.2": "linear2"}
    state = {}
    for name, value in block.state_dict().items():
        for ours, theirs in names.items():
            name = name.replace(ours, theirs) if name.startswith(ours) else name
        state[name] = value
    layer.load_state_dict(state)
    x = chainrule.randn(2, 5, 8)
    mask = ~nn.functional.causal_mask(5)
    assert chainrule.allclose(block(x)[0], layer(x, mask, is_causal=True), atol=1e-5)
