"""Folders in both directions: what `transformers` writes is read here, and what is written here is read there."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import chainrule
from chainrule import models
from tests.test_hugging_face_models import ALL, given, pairs, result

pytestmark = pytest.mark.peer
ENTRIES = {
    "gpt2": "gpt2", "llama": "llama", "llama3": "llama", "bert": "bert", "bert classifier": "bert_classifier",
    "bert masked words": "bert_masked_words",
}  # fmt: skip


def theirs_of(name: str) -> Any:
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    kind, config, _ = pairs()[name]
    found = getattr(transformers, kind)
    torch.manual_seed(0)
    special = {} if name.startswith("bert") else {"bos_token_id": 0, "eos_token_id": 0}
    return found(found.config_class(**config, **special, attn_implementation="eager")).eval()


def same(ours: Any, theirs: Any, name: str) -> None:
    import torch

    tokens, mask = given(name)
    segments = np.zeros_like(tokens)
    expected = result(theirs, name, *map(torch.tensor, (tokens, mask, segments))).detach().numpy()
    found = result(ours, name, *map(chainrule.tensor, (tokens, mask, segments))).detach().numpy()
    np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize("name", ALL)
def test_folders_in_both_directions(name: str, tmp_path: Path) -> None:
    theirs = theirs_of(name)
    theirs.save_pretrained(tmp_path / "theirs", max_shard_size=4000)  # in several files
    ours = models.from_pretrained(tmp_path / "theirs")
    same(ours, theirs, name)
    assert ours.architecture["name"] == ENTRIES[name]
    models.save_pretrained(ours, tmp_path / "ours")
    same(ours, type(theirs).from_pretrained(tmp_path / "ours", attn_implementation="eager").eval(), name)


def test_gpt2_s_file_as_it_was_published(tmp_path: Path) -> None:
    """Without the model's prefix and without the head, but with the causal mask among the weights."""
    from safetensors.numpy import save_file

    theirs = theirs_of("gpt2")
    state = {k.removeprefix("transformer."): v.numpy() for k, v in theirs.state_dict().items() if k != "lm_head.weight"}
    state["h.0.attn.bias"] = np.ones((1, 1, 12, 12), "float32")
    save_file(state, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text(json.dumps({**theirs.config.to_dict(), "architectures": ["GPT2LMHeadModel"]}))
    same(models.from_pretrained(tmp_path), theirs, "gpt2")


def test_bert_s_file_as_it_was_published(tmp_path: Path) -> None:
    """All heads of the pre-training, with the first names of the normalisations: taken for an encoder or a classifier."""
    from safetensors.numpy import save_file

    theirs = theirs_of("bert")
    old = {".LayerNorm.weight": ".LayerNorm.gamma", ".LayerNorm.bias": ".LayerNorm.beta"}
    state = {}
    for key, value in theirs.state_dict().items():
        for new, first in old.items():
            key = key.replace(new, first)
        state[f"bert.{key}"] = value.numpy()
    state["bert.embeddings.position_ids"] = np.arange(12)[None]
    state["cls.seq_relationship.weight"] = np.zeros((2, 8), "float32")
    save_file(state, tmp_path / "model.safetensors")
    config = {**theirs.config.to_dict(), "architectures": ["BertForPreTraining"]}
    (tmp_path / "config.json").write_text(json.dumps(config))
    same(models.from_pretrained(tmp_path), theirs, "bert")
    with pytest.raises(chainrule.CheckpointError, match="classifier"):
        models.from_pretrained(tmp_path, "bert_classifier", num_classes=3)


def test_what_would_compute_something_else_is_refused(tmp_path: Path) -> None:
    theirs = theirs_of("gpt2")
    theirs.save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    for word, value in [("activation_function", "relu"), ("add_cross_attention", True), ("attn_pdrop", 0.5)]:
        (tmp_path / "config.json").write_text(json.dumps({**config, word: value}))
        with pytest.raises(chainrule.CheckpointError, match=word):
            models.from_pretrained(tmp_path)
