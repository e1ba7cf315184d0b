"""Networks in folders, as Hugging Face's programs write and read them: a config.json and the weights as safetensors.

config.json                        which network, and its options
model.safetensors                  its weights; or, where that would be too large,
model-00001-of-00003.safetensors   … in several files,
model.safetensors.index.json       … and which weight is in which

Others' folders are read too, with PyTorch's own files in them (pytorch_model.bin), and single files of weights, as
torchvision publishes them (resnet18-f37072fd.pth). Nothing in a file is executed.
"""

from __future__ import annotations

import functools
import json
import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from chainrule.errors import CheckpointError, DataError
from chainrule.models.registry import Entry, check_options, entries, find
from chainrule.models.weight_files import read_file, read_folder, read_json, write_json, write_shards
from chainrule.nn.init import skip_filling
from chainrule.nn.module import Module
from chainrule.tensor import Tensor

CONFIG = "config.json"
#: What is fetched from the hub: these, and the parts that an index names.
WANTED = (CONFIG, "*.safetensors", "*.safetensors.index.json")
WANTED_OF_TORCH = ("pytorch_model*.bin", "pytorch_model.bin.index.json")


def from_pretrained(
    source: str | os.PathLike[str], name: str | None = None, *, revision: str | None = None, **options: Any
) -> Module:
    """The network in a folder, a file of weights, or a repository of Hugging Face's hub, in evaluation mode.

    Args:
        source: a folder that `save_pretrained` or another program wrote; a file of weights (safetensors, or PyTorch's);
            or a repository's name, "owner/name", which is looked for in Hugging Face's cache folders (`HF_HOME`) and
            downloaded if it is not there, unless `HF_HUB_OFFLINE=1` (the extra `hub`).
        name: the network's name in the registry, where neither config.json nor the file's name says it (torchvision's
            do: resnet18-f37072fd.pth).
        revision: of a repository: a branch, a tag or a commit.
        options: the network's options, where they are other than the ones that are written down.

    Raises DataError if there is nothing of that name or it cannot be had, CheckpointError for files that are missing,
    damaged or do not fit (with the likely cause), ValueError for an unknown network or option.

    >>> import tempfile
    >>> from chainrule import models
    >>> folder = tempfile.mkdtemp()
    >>> models.save_pretrained(models.create("lenet5", num_classes=3), folder)
    >>> models.from_pretrained(folder).classifier[5].out_features
    3
    """
    path = Path(source).expanduser()
    if not path.exists():
        path = _from_hub(str(source), revision)
    config = _read_config(path if path.is_dir() else path.parent, needed=name is None and path.is_dir())
    entry, written = _identify(path, name, config)
    chosen = {**written, **options}
    check_options(entry.name, entry.options, chosen)
    with skip_filling():
        model = entry.build(**chosen)
    state = read_folder(path) if path.is_dir() else read_file(path)
    if entry.hub is not None:
        state = entry.hub.read(state)
    try:
        model.load_state_dict(_with_ties(model, state))
    except CheckpointError as error:
        raise CheckpointError(f"{source}: {error}{_other_network(entry, model, state)}") from None
    return model.eval()


def save_pretrained(
    model: Module,
    folder: str | os.PathLike[str],
    name: str | None = None,
    *,
    max_shard_size: int | str = "5GB",
    **options: Any,
) -> None:
    """Write a network to a folder that `from_pretrained` and other programs read: config.json and safetensors.

    Args:
        model: made by `models.create` or by a registered function, such as `models.resnet18`, so that it knows its
            name and options; others need `name` and `options`.
        folder: made if it is not there; files of these names in it are replaced.
        name: the network's name in the registry.
        max_shard_size: bytes, or a text such as "200MB"; more is divided into several files with an index.
        options: what `models.create(name, **options)` takes to make the like.

    Raises ValueError for a model whose name is not known, options that make another network, and a size that is none.
    """
    entry, chosen = _described(model, name, options)
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    state = {key: value for key, value in _without_ties(model).items() if isinstance(value, Tensor)}
    config: dict[str, Any] = {"architecture": entry.name, "options": chosen}
    if entry.hub is not None:
        config, state = entry.hub.config(chosen), entry.hub.write(state)
    write_json(folder / CONFIG, config)
    write_shards({key: np.asarray(value) for key, value in state.items()}, folder, max_shard_size)


# ------------------------------------------------------------------------------------------- which network


def _identify(path: Path, name: str | None, config: Mapping[str, Any]) -> tuple[Entry, dict[str, Any]]:
    """The entry and the options that are written down beside the weights."""
    if name is not None:
        entry = find(name)
    elif "model_type" in config:
        kinds = {e.hub.model_type: e for e in reversed(entries().values()) if e.hub is not None}
        if config["model_type"] not in kinds:
            raise CheckpointError(
                f"{path / CONFIG}: there is no network of the type {config['model_type']!r}; there are "
                f"{', '.join(sorted(kinds))}, and our own."
            )
        named = [e for e in entries().values() if e.hub and e.hub.architecture in config.get("architectures", ())]
        entry = named[0] if named else kinds[config["model_type"]]
    elif "architecture" in config:
        entry = find(str(config["architecture"]).partition(".")[0])  # others add after a point how it was trained
    else:
        entry = _by_file_name(path)
    if entry.hub is not None and "model_type" in config:
        return entry, entry.hub.options(dict(config))
    if str(config.get("architecture", entry.name)).partition(".")[0] != entry.name:
        return entry, {}  # the options that are written down are another network's
    plain = {"num_classes": config["num_classes"]} if "num_classes" in config else {}
    return entry, dict(config.get("options", plain))


def _by_file_name(path: Path) -> Entry:
    stem = re.split(r"[-.]", path.name)[0]
    if stem not in entries():
        raise ValueError(f"which network are the weights in {path} for? Give its name: from_pretrained(…, name=…).")
    return find(stem)


def _described(model: Module, name: str | None, options: dict[str, Any]) -> tuple[Entry, dict[str, Any]]:
    """The name and options of a network, checked by making its like."""
    known: Any = getattr(model, "architecture", None)
    if name is None and known is None:
        raise ValueError(
            f"this {type(model).__name__} was not made by name, so nobody could make it again: give its name and "
            "options, save_pretrained(model, folder, name, **options)."
        )
    if name is None:
        name, options = known["name"], {**known["options"], **options}
    entry, chosen = find(name), options
    check_options(entry.name, entry.options, chosen)
    try:
        json.dumps(chosen)
    except TypeError as error:
        raise ValueError(f"the options of {entry.name} cannot be written down: {error}.") from None
    with skip_filling():
        like = entry.build(**chosen)
    if _shapes(like.state_dict()) != _shapes(model.state_dict()):
        raise ValueError(
            f"{entry.name} with {chosen} has other weights than this {type(model).__name__}; was a part replaced? "
            "Give the options that make its like."
        )
    return entry, chosen


def _shapes(state: Mapping[str, Any]) -> dict[str, Any]:
    return {name: tuple(getattr(value, "shape", ())) for name, value in state.items()}


def _other_network(entry: Entry, model: Module, state: Mapping[str, Any]) -> str:
    """Which networks the weights may be for, if they are of the registry's and not of this one."""
    if set(state) == set(model.state_dict()):
        return ""  # the names fit, only shapes do not
    others = [other for other in entries().values() if other.name != entry.name]
    # Some have the same names: with shortcuts that learn nothing, and without.
    found = [other.name for other in others if _names_in(other.build) == frozenset(state)]
    return f" These are the weights of {' or '.join(found)}." if found else ""


@functools.cache
def _names_in(build: Callable[[], Module]) -> frozenset[str] | None:
    """The names of a network's weights; none where it has options that must be given. Building all takes seconds."""
    try:
        with skip_filling():
            return frozenset(build().state_dict())
    except TypeError:
        return None


def _read_config(folder: Path, needed: bool) -> dict[str, Any]:
    path = folder / CONFIG
    if not path.exists():
        if needed:
            raise CheckpointError(f"{folder} has no {CONFIG}, so its network is not known; give name=….")
        return {}
    return read_json(path)


# ------------------------------------------------------------------------------------------- tied weights


def _without_ties(model: Module) -> dict[str, Any]:
    """The state, a parameter that stands in several places under its first name only."""
    again = {name for name, _ in model.named_parameters(remove_duplicate=False)}
    again -= {name for name, _ in model.named_parameters()}
    return {name: value for name, value in model.state_dict().items() if name not in again}


def _with_ties(model: Module, state: dict[str, Any]) -> dict[str, Any]:
    """The state with all names of a parameter that stands in several places, where it has one of them."""
    alike: dict[int, list[str]] = {}
    for name, parameter in model.named_parameters(remove_duplicate=False):
        alike.setdefault(id(parameter), []).append(name)
    for names in alike.values():
        given = next((state[name] for name in names if name in state), None)
        if len(names) > 1 and given is not None:
            state = {**dict.fromkeys(names, given), **state}
    return state


# ------------------------------------------------------------------------------------------- the hub


def _from_hub(source: str, revision: str | None) -> Path:
    """The folder of a repository in Hugging Face's cache, downloaded if it is not there."""
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", source) or source.startswith((".", "/")) or Path(source).suffix == ".pth":
        made = f" models.create({source!r}) makes this network with new weights." if source in entries() else ""
        raise DataError(f"there is no file or folder {source}, and it is no name of a repository (owner/name).{made}")
    try:
        import huggingface_hub
        from huggingface_hub import errors
    except ImportError:
        raise DataError(
            f"there is no folder {source}; to look for the repository of that name install the extra: "
            "pip install 'chainrule[hub]'."
        ) from None
    try:
        folder = Path(huggingface_hub.snapshot_download(source, revision=revision, allow_patterns=list(WANTED)))
        if not any(folder.glob("*.safetensors")):
            huggingface_hub.snapshot_download(source, revision=revision, allow_patterns=list(WANTED_OF_TORCH))
    except errors.RepositoryNotFoundError:
        raise DataError(f"the hub has no repository {source}, or it is not open to everybody.") from None
    except errors.RevisionNotFoundError:
        raise DataError(f"the repository {source} has no revision {revision!r}.") from None
    except (errors.LocalEntryNotFoundError, errors.OfflineModeIsEnabled, errors.HfHubHTTPError, OSError) as error:
        cache, offline = huggingface_hub.constants.HF_HUB_CACHE, huggingface_hub.constants.HF_HUB_OFFLINE
        reason = "HF_HUB_OFFLINE is set, so nothing is downloaded." if offline else _first_line(error)
        raise DataError(
            f"{source} is not in the cache ({cache}) and cannot be had from the hub: {reason} Download it where there "
            "is a network and bring the cache along, or give a folder."
        ) from error
    return folder


def _first_line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0]
