"""Networks for sequences, small, ours and PyTorch's: rows of `benchmarks.families`.

32 sequences of 32 tokens. PyTorch's networks are its own layers under the names that ours have, so that our weights
load by name; GPT-2, Llama and BERT are those of `transformers`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

BATCH, LENGTH, WORDS, WIDTH, HIDDEN = 32, 32, 100, 64, 128
DECODER = {"layers": 2, "width": HIDDEN, "heads": 4, "context": LENGTH}
#: The classes of `transformers`, and what they are told.
HUB: dict[str, tuple[str, dict[str, Any]]] = {
    "gpt2": (
        "GPT2LMHeadModel",
        {"vocab_size": WORDS, "n_positions": LENGTH, "n_embd": HIDDEN, "n_layer": 2, "n_head": 4,
         "resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0},
    ),
    "llama": (
        "LlamaForCausalLM",
        {"vocab_size": WORDS, "hidden_size": HIDDEN, "intermediate_size": 256, "num_hidden_layers": 2,
         "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": LENGTH, "rms_norm_eps": 1e-5},
    ),
    "bert": (
        "BertForSequenceClassification",
        {"vocab_size": WORDS, "hidden_size": HIDDEN, "num_hidden_layers": 2, "num_attention_heads": 4,
         "intermediate_size": 512, "max_position_embeddings": LENGTH, "num_labels": 3,
         "hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0},
    ),
}  # fmt: skip


def our_networks() -> dict[str, Callable[[], Any]]:
    """By name, how ours is made."""
    from chainrule import models

    recurrent: dict[str, Any] = {"width": WIDTH, "hidden": HIDDEN}
    return {
        "rnn classifier": lambda: models.RecurrentClassifier(3, WORDS, cell="rnn", **recurrent),
        "gru classifier": lambda: models.RecurrentClassifier(3, WORDS, cell="gru", **recurrent),
        "lstm classifier": lambda: models.RecurrentClassifier(3, WORDS, cell="lstm", **recurrent),
        "lstm tagger": lambda: models.RecurrentTagger(3, WORDS, bidirectional=True, **recurrent),
        "lstm language model": lambda: models.RecurrentLanguageModel(WORDS, **recurrent),
        "gru translator": lambda: models.RecurrentTranslator(WORDS, WORDS, bidirectional=False, **recurrent),
        "transformer": lambda: models.EncoderDecoderTransformer(WORDS, WORDS, **DECODER),
        "gpt2": lambda: models.GPT2(WORDS, dropout=0.0, **DECODER),
        "llama": lambda: models.Llama(WORDS, key_heads=2, hidden=256, **DECODER),
        "bert": lambda: models.BertClassifier(3, vocabulary=WORDS, hidden=512, dropout=0.0, **DECODER),
    }


def tokens_of(name: str) -> list[np.ndarray]:
    """What the network is called with: a source, and for translators a target."""
    random = np.random.default_rng(0)
    return [random.integers(0, WORDS, (BATCH, LENGTH)) for _ in range(1 + (name in ("gru translator", "transformer")))]


def their_network(name: str, ours: Any) -> Callable[..., Any]:
    """PyTorch's, with the weights of ours: tokens to scores; `parameters()` are those that learn."""
    import torch
    from torch import nn

    state = {key: torch.tensor(value.numpy()) for key, value in ours.state_dict().items()}
    if name in HUB:
        import transformers

        kind, config = HUB[name]
        hub = getattr(transformers, kind)(getattr(transformers, kind).config_class(**config))
        hub.load_state_dict(state)
        return _Scores(hub)
    network = nn.ModuleDict()
    for key, layer in _layers(name, nn).items():
        network[key] = layer
    wanted = network.state_dict()
    network.load_state_dict({key: value for key, value in state.items() if key in wanted})
    forward = _FORWARD.get(name, _read)
    found = _Scores(network)
    found.compute = lambda *tokens: forward(torch, name, network, *tokens)
    return found


class _Scores:
    """A network of PyTorch's, called with tokens for scores."""

    def __init__(self, network: Any) -> None:
        self.network, self.parameters = network, network.parameters
        self.compute: Callable[..., Any] = lambda tokens: network(tokens).logits

    def __call__(self, *tokens: Any) -> Any:
        return self.compute(*tokens)


def _layers(name: str, nn: Any) -> dict[str, Any]:
    """PyTorch's layers, under the names that ours have."""

    def cell(kind: str, **options: Any) -> Any:
        return {"rnn": nn.RNN, "gru": nn.GRU, "lstm": nn.LSTM}[kind](WIDTH, HIDDEN, batch_first=True, **options)

    def embedding(width: int = WIDTH) -> Any:
        return nn.Embedding(WORDS, width)

    if name == "transformer":
        inner = nn.Transformer(HIDDEN, 4, 2, 2, 4 * HIDDEN, 0.0, batch_first=True)
        both = {f"{side}_embedding": embedding(HIDDEN) for side in ("source", "target")}
        return {**both, "transformer": inner, "head": nn.Linear(HIDDEN, WORDS)}
    if name == "gru translator":
        return {
            "source_embedding": embedding(), "target_embedding": embedding(), "encoder": cell("gru"),
            "decoder": cell("gru"), "attention": nn.ModuleDict({"weight": nn.Linear(HIDDEN, HIDDEN, bias=False)}),
            "join": nn.Linear(2 * HIDDEN, HIDDEN), "head": nn.Linear(HIDDEN, WORDS),
        }  # fmt: skip
    both_ways = name == "lstm tagger"
    head = nn.Linear(2 * HIDDEN if both_ways else HIDDEN, WORDS if name == "lstm language model" else 3)
    return {"embedding": embedding(), "recurrent": cell(name.split()[0], bidirectional=both_ways), "head": head}


def _read(torch: Any, name: str, network: Any, tokens: Any) -> Any:
    """A recurrent network's scores: of its last state for a classifier, else behind each token."""
    outputs, state = network["recurrent"](network["embedding"](tokens))
    if name.endswith("classifier"):
        outputs = (state[0] if isinstance(state, tuple) else state)[-1]
    return network["head"](outputs)


def _translate_by_states(torch: Any, name: str, network: Any, source: Any, target: Any) -> Any:
    """An encoder, a decoder, and attention by products between them."""
    memory, state = network["encoder"](network["source_embedding"](source))
    outputs, _ = network["decoder"](network["target_embedding"](target), state)
    weights = torch.softmax(outputs @ network["attention"]["weight"](memory).mT, -1)
    return network["head"](torch.tanh(network["join"](torch.cat([weights @ memory, outputs], 2))))


def _translate_by_attention(torch: Any, name: str, network: Any, source: Any, target: Any) -> Any:
    """The original Transformer, with sines and cosines."""
    rates = 10_000 ** (torch.arange(0, HIDDEN, 2) / HIDDEN)
    angles = torch.arange(LENGTH)[:, None] / rates
    places = torch.stack([angles.sin(), angles.cos()], 2).flatten(1)
    x, y = (
        network[f"{side}_embedding"](tokens) * math.sqrt(HIDDEN) + places
        for side, tokens in (("source", source), ("target", target))
    )
    later = torch.nn.Transformer.generate_square_subsequent_mask(LENGTH)
    return network["head"](network["transformer"](x, y, tgt_mask=later, tgt_is_causal=True))


_FORWARD = {"gru translator": _translate_by_states, "transformer": _translate_by_attention}
