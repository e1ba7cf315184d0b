"""Folders of Hugging Face's models: their words in config.json for our options, their names for our weights.

A class says both: `config_names`, their word for each option; `config_fixed`, what a config must say if it says
anything about it, because our class computes nothing else; `published_name`, what a tensor of a file is called here.
"""

from __future__ import annotations

import inspect
from typing import Any

from chainrule.errors import CheckpointError
from chainrule.models.registry import HubFormat

#: Words that say the same a second time, by the option that they belong to.
_SAME: dict[str, dict[str, tuple[str, ...]]] = {
    "gpt2": {"dropout": ("embd_pdrop", "attn_pdrop")},
    "bert": {"dropout": ("attention_probs_dropout_prob",)},
    "llama": {},
}


def hub_format(kind: Any, architecture: str) -> HubFormat:
    """The form of a class that says `config_names`, `config_fixed` and `published_name`.

    architecture: Hugging Face's name of the class, such as "GPT2LMHeadModel".
    """
    model_type = kind.config_fixed["model_type"]
    defaults = {name: parameter.default for name, parameter in inspect.signature(kind).parameters.items()}

    def options(config: dict[str, Any]) -> dict[str, Any]:
        for word, wanted in kind.config_fixed.items():
            if config.get(word, wanted) != wanted:
                raise CheckpointError(
                    f"config.json: {word} is {config[word]!r}; {kind.__name__} computes what {wanted!r} means."
                )
        found = {option: config[word] for word, option in kind.config_names.items() if word in config}
        for option, words in _SAME[model_type].items():
            for word in words:
                if option in found and config.get(word, found[option]) != found[option]:
                    raise CheckpointError(f"config.json: {word} is {config[word]!r}; only {found[option]!r} for all.")
        if "id2label" in config and "num_classes" in defaults:
            found["num_classes"] = len(config["id2label"])
        return {**found, **_rotary(config)} if model_type == "llama" else found

    def config(options: dict[str, Any]) -> dict[str, Any]:
        chosen = {**defaults, **options}
        if model_type == "bert" and chosen.get("hidden") is None:
            chosen["hidden"] = 4 * chosen["width"]
        made: dict[str, Any] = {"architectures": [architecture], **kind.config_fixed, "dtype": "float32"}
        made |= {word: chosen[option] for word, option in kind.config_names.items() if chosen.get(option) is not None}
        for option, words in _SAME[model_type].items():
            made |= dict.fromkeys(words, chosen[option])
        if "num_classes" in chosen:
            labels = [f"LABEL_{i}" for i in range(chosen["num_classes"])]
            made |= {"id2label": dict(enumerate(labels)), "label2id": {label: i for i, label in enumerate(labels)}}
        if model_type == "llama":
            scaling = chosen.get("rope_scaling") or {"rope_type": "default"}
            made["rope_parameters"] = {**scaling, "rope_theta": chosen["rope_theta"]}
        return made

    def read(state: dict[str, Any]) -> dict[str, Any]:
        named = [(kind.published_name(name), value) for name, value in state.items()]
        return {name: value for name, value in named if name is not None}

    return HubFormat(model_type, options, config, read, architecture=architecture)


def _rotary(config: dict[str, Any]) -> dict[str, Any]:
    """The options of rotary positions; newer configs keep all of it under one word."""
    said = config.get("rope_parameters")
    if said is None:
        return {}
    found = {"rope_theta": said["rope_theta"]} if "rope_theta" in said else {}
    scaling = {word: value for word, value in said.items() if word != "rope_theta"}
    return {**found, "rope_scaling": None if scaling.get("rope_type", "default") == "default" else scaling}
