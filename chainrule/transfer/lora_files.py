"""LoRA's files as the `peft` library writes and reads them: adapter_config.json and adapter_model.safetensors."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from chainrule.errors import CheckpointError
from chainrule.files import write_atomically, write_text
from chainrule.nn.linear import TransposedLinear
from chainrule.nn.module import Module
from chainrule.transfer.lora import LoraLinear, LoraReport, add_lora, lora_changes
from chainrule.transfer.pretrained import tensors_in

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
_PREFIX = "base_model.model."
#: The last projection of multi-head attention; PEFT (0.21.2) adds its change to the matrix twice, once by hand and once
#: by its own merging. So that a file means the same in both, its B is doubled when read and halved when written.
_ADDED_TWICE = ".base_layer.out_proj"
#: What a config may say that would compute something else, with the values that change nothing.
_PLAIN: dict[str, tuple[Any, ...]] = {
    "peft_type": ("LORA",), "bias": ("none",), "use_dora": (False, None), "use_qalora": (False, None),
    "use_bdlora": (False, None), "lora_bias": (False, None), "rank_pattern": ({}, None), "alpha_pattern": ({}, None),
    "layer_replication": (None,), "target_parameters": (None, []), "trainable_token_indices": (None,),
    "alora_invocation_tokens": (None,), "kasa_config": (None,), "velora_config": (None,), "monteclora_config": (None,),
}  # fmt: skip


def save_lora(model: Module, folder: str | os.PathLike[str], base_model: str | None = None) -> None:
    """Write what was learned beside a frozen model: the changes, and the layers that learned as a whole.

    base_model: the name or folder of the model that they are for, for the reader's information. Raises ValueError for a
    model without changes.

    >>> import tempfile
    >>> from chainrule import nn
    >>> def make():
    ...     return nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 2))
    >>> model, folder = make(), tempfile.mkdtemp()
    >>> _ = add_lora(model, rank=1)
    >>> save_lora(model, folder)
    >>> print(load_lora(make(), folder))
    1 layers; 8 of 38 parameters learn (21.05%)
    """
    changes = dict(lora_changes(model))
    if not changes:
        raise ValueError("this model has no changes of low rank; add_lora gives it some.")
    first = next(iter(changes.values()))
    layers = [m for _, m in model.named_modules() if isinstance(m, LoraLinear)]
    state = {
        f"{path}.{name}": value / 2 if path.endswith(_ADDED_TWICE) and name == "lora_B.weight" else value
        for path, change in changes.items()
        for name, value in change.state_dict().items()
    }
    own = {id(parameter) for change in changes.values() for parameter in change.parameters()}
    learned = {name: p for name, p in model.named_parameters() if p.requires_grad and id(p) not in own}
    wholes = dict.fromkeys(name.rpartition(".")[0] for name in learned)
    for path in wholes:
        state |= {f"{path}.{name}": value for name, value in model.get_submodule(path).state_dict().items()}
    config = {
        "peft_type": "LORA", "base_model_name_or_path": base_model, "r": first.rank, "lora_alpha": first.alpha,
        "lora_dropout": layers[0].dropout.p if layers else 0.0, "use_rslora": first.rescaled, "bias": "none",
        "fan_in_fan_out": any(isinstance(layer.base_layer, TransposedLinear) for layer in layers),
        "target_modules": [path for path in changes if not path.endswith(_ADDED_TWICE)],
        "modules_to_save": list(wholes) or None, "inference_mode": True, "task_type": None,
    }  # fmt: skip
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(config, indent=2) + "\n"
    write_text(folder / CONFIG, text)
    arrays = {f"{_PREFIX}{name}": np.ascontiguousarray(value) for name, value in state.items()}
    write_atomically(folder / WEIGHTS, lambda path: _write(arrays, path))


def load_lora(model: Module, folder: str | os.PathLike[str]) -> LoraReport:
    """Give a model the changes of a folder that `save_lora` or PEFT wrote. The model is frozen, as by `add_lora`.

    Raises CheckpointError for files that are missing, damaged, ask for what is not here (DoRA, ranks by layer), or do
    not fit the model.
    """
    folder = Path(folder)
    config, state = _read_config(folder / CONFIG), _read_weights(folder / WEIGHTS)
    given = sorted({name.rpartition(".lora_")[0] for name in state if ".lora_" in name})
    targets = [path for path in given if not path.endswith(_ADDED_TWICE)]
    wholes = list(dict.fromkeys(name.rpartition(".")[0] for name in state if ".lora_" not in name))
    if not targets:
        raise CheckpointError(f"{folder / WEIGHTS} has no changes of low rank.")
    try:
        report = add_lora(
            model, int(config["r"]), targets, float(config["lora_alpha"]), float(config.get("lora_dropout") or 0.0),
            wholes, bool(config.get("use_rslora")),
        )  # fmt: skip
    except (KeyError, TypeError) as error:
        raise CheckpointError(f"{folder / CONFIG}: {error!r}.") from error
    except ValueError as error:
        raise CheckpointError(f"{folder} does not fit this {type(model).__name__}: {error}") from error
    _fill(model, state, folder / WEIGHTS)
    return report


def _fill(model: Module, state: Mapping[str, Any], place: Path) -> None:
    """Write the values of the file into the changes and the layers that were learned as a whole."""
    parts: dict[str, dict[str, Any]] = {}
    for name, value in state.items():
        path, found, rest = name.rpartition(".lora_")
        path, rest = (path, f"lora_{rest}") if found else (name.rpartition(".")[0], name.rpartition(".")[2])
        twice = path.endswith(_ADDED_TWICE) and rest == "lora_B.weight"
        parts.setdefault(path, {})[rest] = 2 * value if twice else value
    changes: dict[str, Module] = dict(lora_changes(model))
    for path in [*changes, *(path for path in parts if path not in changes)]:
        try:
            part = changes[path] if path in changes else model.get_submodule(path)
            part.load_state_dict(parts.get(path, {}))
        except (CheckpointError, AttributeError) as error:
            raise CheckpointError(f"{place}, {path}: {error}") from None


def _read_config(path: Path) -> dict[str, Any]:
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path} cannot be read: {error}.") from error
    if not isinstance(config, dict):
        raise CheckpointError(f"{path} holds no object.")
    for name, plain in _PLAIN.items():
        if name in config and config[name] not in plain:
            raise CheckpointError(f"{path}: {name} is {config[name]!r}; only {plain[0]!r} can be read here.")
    return config


def _read_weights(path: Path) -> Mapping[str, Any]:
    try:
        return {name.removeprefix(_PREFIX): value for name, value in tensors_in(path).items()}
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error.strerror}.") from error


def _write(arrays: dict[str, np.ndarray], path: Path) -> None:
    from safetensors.numpy import save_file

    save_file(arrays, path, {"format": "pt"})
