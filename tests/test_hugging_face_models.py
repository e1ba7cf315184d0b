"""GPT-2, Llama and BERT against Hugging Face's `transformers`: names, values, gradients, what is generated.

The models are small ones with weights drawn there; every option that changes what is computed is on in one of them.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import chainrule
from chainrule import models

pytestmark = pytest.mark.peer

GPT2 = {"vocab_size": 13, "n_positions": 12, "n_embd": 8, "n_layer": 2, "n_head": 2}
LLAMA = {
    "vocab_size": 13, "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "max_position_embeddings": 24, "rms_norm_eps": 1e-5,
}  # fmt: skip
LLAMA3 = {
    **LLAMA, "head_dim": 8, "tie_word_embeddings": True,
    "rope_parameters": {
        "rope_type": "llama3", "rope_theta": 100.0, "factor": 4.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
        "original_max_position_embeddings": 24,
    },
}  # fmt: skip
BERT = {
    "vocab_size": 13, "hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 20,
    "max_position_embeddings": 12,
}  # fmt: skip


def pairs() -> dict[str, tuple[str, dict[str, Any], Any]]:
    """By name: Hugging Face's class, its config, and ours."""
    gpt2 = {"vocabulary": 13, "layers": 2, "width": 8, "heads": 2, "context": 12}
    llama = {"vocabulary": 13, "layers": 2, "width": 16, "heads": 4, "key_heads": 2, "hidden": 24, "context": 24}
    scaling = LLAMA3["rope_parameters"]
    bert = {"vocabulary": 13, "layers": 2, "width": 8, "heads": 2, "hidden": 20, "context": 12}
    llama3 = {**llama, "head_width": 8, "tied": True, "rope_theta": 100.0, "rope_scaling": scaling}
    return {
        "gpt2": ("GPT2LMHeadModel", GPT2, lambda: models.GPT2(**gpt2)),
        "llama": ("LlamaForCausalLM", LLAMA, lambda: models.Llama(**llama)),
        "llama3": ("LlamaForCausalLM", LLAMA3, lambda: models.Llama(**llama3)),
        "bert": ("BertModel", BERT, lambda: models.Bert(**bert)),
        "bert classifier": (
            "BertForSequenceClassification", {**BERT, "num_labels": 3}, lambda: models.BertClassifier(3, **bert),
        ),
        "bert masked words": ("BertForMaskedLM", BERT, lambda: models.BertMaskedWords(**bert)),
    }  # fmt: skip


DECODERS = ["gpt2", "llama", "llama3"]
ALL = list(pairs())


def both(name: str, dtype: str = "float64") -> tuple[Any, Any]:
    """Theirs with weights far from 0, and ours with the same."""
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    kind, config, make = pairs()[name]
    found = getattr(transformers, kind)
    torch.manual_seed(0)
    theirs = found(found.config_class(**config, attn_implementation="eager")).to(getattr(torch, dtype)).eval()
    with torch.no_grad():
        for parameter in theirs.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.2)
    ours = make().to(getattr(chainrule, dtype)).eval()
    state = {key: chainrule.tensor(value.numpy()) for key, value in theirs.state_dict().items()}
    ours.load_state_dict(state)
    return ours, theirs


def given(name: str, rows: int = 3, length: int = 7) -> tuple[np.ndarray, np.ndarray]:
    """Tokens, and a mask with padding at the end."""
    tokens = np.random.default_rng(1).integers(0, 13, (rows, length))
    mask = np.arange(length) < np.array([[length], [length - 2], [1]])
    return tokens, mask.astype("int64")


def result(model: Any, name: str, tokens: Any, mask: Any, segments: Any) -> Any:
    """What both compute, by their own words."""
    theirs = hasattr(model, "config")
    if not name.startswith("bert"):
        return model(tokens).logits if theirs else model(tokens)
    if not theirs:
        found = model(tokens, mask, segments)
        return chainrule.cat([found, model.pooled(found).unsqueeze(1)], 1) if name == "bert" else found
    found = model(tokens, attention_mask=mask, token_type_ids=segments)
    if name != "bert":
        return found.logits
    import torch

    return torch.cat([found.last_hidden_state, found.pooler_output.unsqueeze(1)], 1)


@pytest.mark.parametrize("name", ALL)
def test_names_and_shapes_of_the_weights(name: str) -> None:
    ours, theirs = both(name)
    expected = {key: tuple(value.shape) for key, value in theirs.state_dict().items()}
    assert {key: tuple(value.shape) for key, value in ours.state_dict().items()} == expected
    assert len(list(ours.parameters())) == len(list(theirs.parameters())), "what is tied there is tied here"


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("name", ALL)
def test_values_and_gradients(name: str, compiled: bool) -> None:
    torch = pytest.importorskip("torch")
    ours, theirs = both(name)
    tokens, mask = given(name)
    segments = np.random.default_rng(2).integers(0, 2, tokens.shape)
    expected = result(theirs, name, *map(torch.tensor, (tokens, mask, segments)))
    upstream = np.random.default_rng(3).standard_normal(expected.shape)

    def step(tokens: Any, mask: Any, segments: Any) -> Any:
        found = result(ours, name, tokens, mask, segments)
        (found * chainrule.tensor(upstream)).sum().backward()
        return found.detach()

    call = chainrule.compile(step) if compiled else step
    found = call(*map(chainrule.tensor, (tokens, mask, segments)))
    # Their angles are float32 in every case, ours float32 in the tables.
    tolerance = 1e-5 if name.startswith("llama") else 1e-9
    np.testing.assert_allclose(found.numpy(), expected.detach().numpy(), atol=tolerance, rtol=tolerance)
    (expected * torch.tensor(upstream)).sum().backward()
    wanted = {key: parameter.grad for key, parameter in theirs.named_parameters()}
    for key, parameter in ours.named_parameters():
        np.testing.assert_allclose(
            parameter.grad.numpy(), wanted[key].numpy(), atol=10 * tolerance, rtol=10 * tolerance, err_msg=key
        )


@pytest.mark.parametrize("name", DECODERS)
def test_what_is_generated(name: str) -> None:
    torch = pytest.importorskip("torch")
    ours, theirs = both(name)
    tokens = np.random.default_rng(4).integers(0, 13, (2, 4))
    prompt, steps = chainrule.tensor(tokens), 7
    options = {"max_new_tokens": steps, "min_new_tokens": steps, "do_sample": False, "pad_token_id": 0}
    best = theirs.generate(torch.tensor(tokens), eos_token_id=None, **options).numpy()
    np.testing.assert_array_equal(ours.generate(prompt, steps, temperature=0).numpy(), best)
    np.testing.assert_array_equal(ours.generate(prompt, steps, temperature=0, compile=True).numpy(), best)
    beams = theirs.generate(torch.tensor(tokens), eos_token_id=None, num_beams=3, **options).numpy()
    np.testing.assert_array_equal(ours.generate(prompt, steps, beams=3).numpy(), beams)


@pytest.mark.parametrize("settings", [{"top_k": 4}, {"top_p": 0.7}, {"top_k": 6, "top_p": 0.5}, {"top_p": 0.01}])
def test_which_tokens_may_be_drawn(settings: dict[str, Any]) -> None:
    torch = pytest.importorskip("torch")
    logits_process = pytest.importorskip("transformers").generation.logits_process
    from chainrule.models.generation import Choice

    scores = np.random.default_rng(5).standard_normal((20, 11)) * 3
    expected = torch.tensor(scores) / 0.7
    if "top_k" in settings:
        expected = logits_process.TopKLogitsWarper(settings["top_k"])(None, expected)
    if "top_p" in settings:
        expected = logits_process.TopPLogitsWarper(settings["top_p"])(None, expected)
    found = Choice(temperature=0.7, **settings).filtered(chainrule.tensor(scores))
    np.testing.assert_allclose(found.numpy(), expected.numpy(), rtol=1e-12)
