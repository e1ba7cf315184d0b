"""`save_pretrained` and `from_pretrained`: folders, shards, files as PyTorch writes them, the hub, and what goes wrong."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

import chainrule
from chainrule import models, nn
from chainrule.models import registry
from tests.hub_server import hub


def small(**options: Any) -> Any:
    return models.create("resnet10", width=4, **options)


def same(first: Any, second: Any) -> None:
    one, two = first.state_dict(), second.state_dict()
    assert list(one) == list(two)
    for name, value in one.items():
        np.testing.assert_array_equal(value.numpy(), two[name].numpy(), err_msg=name)


def test_a_network_comes_back_with_its_options_and_weights(tmp_path: Path) -> None:
    model = small(num_classes=7, in_channels=1)
    models.save_pretrained(model, tmp_path / "new" / "folder")
    config = json.loads((tmp_path / "new/folder/config.json").read_text())
    assert config == {"architecture": "resnet10", "options": {"width": 4, "num_classes": 7, "in_channels": 1}}
    again = models.from_pretrained(tmp_path / "new" / "folder")
    same(model, again)
    assert not again.training and again.architecture == model.architecture
    with safe_open(tmp_path / "new/folder/model.safetensors", "np") as file:
        assert file.metadata() == {"format": "pt"}, "so that other programs read it"


def test_a_network_that_a_function_made_knows_its_name_too(tmp_path: Path) -> None:
    model = models.resnet18(5, width=4)
    models.save_pretrained(model, tmp_path)
    same(model, models.from_pretrained(tmp_path))


def test_a_network_made_by_hand_is_given_its_name(tmp_path: Path) -> None:
    model = models.LeNet5(num_classes=4)
    with pytest.raises(ValueError, match="give its name and options"):
        models.save_pretrained(model, tmp_path)
    with pytest.raises(ValueError, match="has other weights than this LeNet5"):
        models.save_pretrained(model, tmp_path, "lenet5")
    models.save_pretrained(model, tmp_path, "lenet5", num_classes=4)
    same(model, models.from_pretrained(tmp_path))


def test_a_replaced_head_is_told_by_its_option(tmp_path: Path) -> None:
    model = small(num_classes=10)
    chainrule.transfer.replace_head(model, 3)
    with pytest.raises(ValueError, match="was a part replaced"):
        models.save_pretrained(model, tmp_path)
    models.save_pretrained(model, tmp_path, num_classes=3)
    same(model, models.from_pretrained(tmp_path))


@pytest.mark.parametrize("size", [20_000, "20KB", "0.02 MB"])
def test_large_networks_are_divided_with_an_index(tmp_path: Path, size: Any) -> None:
    model = small()
    models.save_pretrained(model, tmp_path, max_shard_size=size)
    index = json.loads((tmp_path / "model.safetensors.index.json").read_text())
    files = sorted(set(index["weight_map"].values()))
    assert len(files) > 2 and files[0] == f"model-00001-of-{len(files):05}.safetensors"
    assert set(index["weight_map"]) == set(model.state_dict())
    held = {name: load_file(tmp_path / name) for name in files}
    assert index["metadata"]["total_size"] == sum(a.nbytes for arrays in held.values() for a in arrays.values())
    for name, arrays in held.items():
        assert sum(a.nbytes for a in arrays.values()) <= 20_000 or len(arrays) == 1
        assert all(index["weight_map"][key] == name for key in arrays)
    same(model, models.from_pretrained(tmp_path))
    models.save_pretrained(model, tmp_path)  # in one file now: nothing of the parts is left
    assert sorted(path.name for path in tmp_path.iterdir()) == ["config.json", "model.safetensors"]


@pytest.mark.parametrize("size", ["5 parsecs", 0, -3, True, 1.5, None])
def test_sizes_that_are_none(tmp_path: Path, size: Any) -> None:
    with pytest.raises(ValueError, match="200MB"):
        models.save_pretrained(small(), tmp_path, max_shard_size=size)


class Tied(nn.Module):
    """Words to scores of words, by one matrix."""

    def __init__(self, vocabulary: int = 5) -> None:
        super().__init__()
        self.embedding, self.head = nn.Embedding(vocabulary, 3), nn.Linear(3, vocabulary, bias=False)
        self.head.weight = self.embedding.weight


def tied(**options: Any) -> Tied:
    return Tied(**options)


def test_a_parameter_in_two_places_is_written_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_entries", dict(registry._entries))
    build = models.register("tied", task="none", data="text", input=(4,), paper="none")(tied)
    model = build(vocabulary=7)
    names = {name for name, _ in model.named_parameters(remove_duplicate=False)}
    once = {name for name, _ in model.named_parameters()}
    assert len(once) == len(names) - 1
    models.save_pretrained(model, tmp_path)
    assert set(load_file(tmp_path / "model.safetensors")) == set(model.state_dict()) - (names - once)
    again = models.from_pretrained(tmp_path)
    same(model, again)
    assert len(list(again.parameters())) == len(once), "tied again"


@pytest.mark.peer
def test_files_that_pytorch_wrote_are_known_by_their_names(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    model = small()
    state = {name: torch.tensor(value.numpy()) for name, value in model.state_dict().items()}
    torch.save(state, tmp_path / "resnet10-0123abcd.pth")
    torch.save({"epoch": 3, "state_dict": state}, tmp_path / "mine.pt")
    same(model, models.from_pretrained(tmp_path / "resnet10-0123abcd.pth", width=4))
    same(model, models.from_pretrained(str(tmp_path / "mine.pt"), "resnet10", width=4))
    with pytest.raises(ValueError, match=r"name=…"):
        models.from_pretrained(tmp_path / "mine.pt")
    folder = tmp_path / "folder"
    folder.mkdir()
    torch.save(state, folder / "pytorch_model.bin")
    (folder / "config.json").write_text('{"architecture": "resnet10.ours", "options": {"width": 4}}')
    same(model, models.from_pretrained(folder))


# ------------------------------------------------------------------------------------------- what goes wrong


def saved(folder: Path, **options: Any) -> Path:
    models.save_pretrained(small(), folder, **options)
    return folder


def without_a_shard(folder: Path) -> None:
    saved(folder, max_shard_size="20KB")
    (folder / "model-00002-of-00004.safetensors").rename(folder / "elsewhere")


def index_that_leads_outside(folder: Path) -> None:
    saved(folder)
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors.index.json").write_text('{"weight_map": {"fc.bias": "../model.safetensors"}}')


def rewritten(change: Callable[[dict[str, np.ndarray]], dict[str, np.ndarray]]) -> Callable[[Path], None]:
    def build(folder: Path) -> None:
        state = load_file(saved(folder) / "model.safetensors")
        save_file(change(state), folder / "model.safetensors")

    return build


def config(text: str) -> Callable[[Path], None]:
    return lambda folder: (saved(folder) / "config.json").write_text(text) and None


@pytest.mark.parametrize(
    ("build", "says"),
    [
        (lambda folder: (saved(folder) / "config.json").unlink(), r"no config\.json.*give name="),
        (lambda folder: (saved(folder) / "model.safetensors").unlink(), r"has no weights: there is no model\.safetensors"),
        (without_a_shard, r"1 of \d files are missing: model-00002-of-00004\.safetensors"),
        (index_that_leads_outside, r"missing: \.\./model\.safetensors"),
        (lambda folder: (saved(folder) / "model.safetensors").write_bytes(b"12"), "damaged"),
        (config("{"), r"config\.json cannot be read"),
        (config("[]"), "holds no object"),
        (config('{"architecture": "resnet99"}'), "no model 'resnet99'; the nearest"),
        (config('{"model_type": "walrus"}'), "no network of the type 'walrus'"),
        (config('{"architecture": "resnet10", "options": {"depth": 3}}'), "no option 'depth'"),
        (config('{"architecture": "lenet5"}'), r"these weights do not fit LeNet5.*missing"),
        (config('{"architecture": "resnet10", "options": {"width": 4, "num_classes": 3}}'), r"num_classes=10"),
        (rewritten(lambda state: {f"module.{k}": v for k, v in state.items()}), "begin with 'module.'"),
        (rewritten(lambda state: {k: v for k, v in state.items() if "layer4" not in k}), r"missing: layer4\.\* \(15\)"),
        (rewritten(lambda state: {**state, "more.a": state["fc.bias"], "more.b": state["fc.bias"]}), r"unexpected: more\.a, more\.b\."),
    ],
)  # fmt: skip
def test_what_goes_wrong_is_said(tmp_path: Path, build: Callable[[Path], None], says: str) -> None:
    build(tmp_path)
    with pytest.raises((chainrule.CheckpointError, ValueError), match=says) as error:
        models.from_pretrained(tmp_path)
    assert len(str(error.value)) < 700, "one error, not a list of all names"


def test_the_weights_of_another_network_are_recognised(tmp_path: Path) -> None:
    models.save_pretrained(models.create("resnet18", width=2), tmp_path)
    with pytest.raises(chainrule.CheckpointError, match="These are the weights of resnet18"):
        models.from_pretrained(tmp_path / "model.safetensors", "resnet10")


def test_networks_with_the_same_names_are_all_named(tmp_path: Path) -> None:
    models.save_pretrained(models.create("resnet20_cifar", width=2), tmp_path)
    with pytest.raises(chainrule.CheckpointError, match="weights of plain20_cifar or resnet20_cifar"):
        models.from_pretrained(tmp_path / "model.safetensors", "lenet5")


# ------------------------------------------------------------------------------------------- the hub


def load_in_a_new_process(name: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """The client reads its settings when it is imported."""
    program = (
        "import sys\nfrom chainrule import models\n"
        f"try:\n    print(sum(float(p.sum()) for p in models.from_pretrained({name!r}).parameters()))\n"
        "except Exception as error:\n    sys.exit(f'{type(error).__name__}: {error}')\n"
    )
    kept = {key: value for key, value in os.environ.items() if not key.startswith("HF_")}
    return subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env={**kept, **environment}, timeout=100
    )


@pytest.mark.parametrize("divided", [False, True])
def test_a_repository_is_downloaded_once_and_then_found_without_a_network(tmp_path: Path, divided: bool) -> None:
    pytest.importorskip("huggingface_hub")
    repository, cache = tmp_path / "repository", str(tmp_path / "cache")
    model = small()
    models.save_pretrained(model, repository, max_shard_size="20KB" if divided else "5GB")
    (repository / "notes.txt").write_text("not wanted")
    (repository / "training_data.bin").write_text("not wanted either")
    with hub(repository, "someone/small-resnet") as (address, asked):
        first = load_in_a_new_process("someone/small-resnet", HF_HOME=cache, HF_ENDPOINT=address)
        absent = load_in_a_new_process("someone/else", HF_HOME=cache, HF_ENDPOINT=address)
    assert first.returncode == 0, first.stderr
    total = sum(p.sum().item() for p in model.parameters())
    assert float(first.stdout) == pytest.approx(total, rel=1e-5)
    fetched = {path.rpartition("/")[2] for path in asked if "/resolve/" in path}
    assert fetched == {path.name for path in repository.iterdir()} - {"notes.txt", "training_data.bin"}
    assert absent.returncode and "DataError: the hub has no repository someone/else" in absent.stderr
    again = load_in_a_new_process("someone/small-resnet", HF_HOME=cache, HF_HUB_OFFLINE="1")
    assert again.returncode == 0 and again.stdout == first.stdout, again.stderr


def test_a_repository_that_is_nowhere(tmp_path: Path) -> None:
    pytest.importorskip("huggingface_hub")
    found = load_in_a_new_process("someone/small-resnet", HF_HOME=str(tmp_path), HF_HUB_OFFLINE="1")
    assert found.returncode and "DataError: someone/small-resnet is not in the cache" in found.stderr
    assert "give a folder" in found.stderr and str(tmp_path) in found.stderr
    assert "HF_HUB_OFFLINE is set" in found.stderr
    with pytest.raises(chainrule.DataError, match=r"models\.create\('gpt2'\) makes this network"):
        models.from_pretrained("gpt2")


@pytest.mark.parametrize("source", ["nowhere", "/nowhere/at/all", "./a/b", "weights.pth", "some/weights.pth", ""])
def test_what_is_no_folder_no_file_and_no_repository(source: str) -> None:
    with pytest.raises((chainrule.DataError, chainrule.CheckpointError), match="no file or folder|no config"):
        models.from_pretrained(source)
