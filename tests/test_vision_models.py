"""PyTorch-vision's names for networks: signatures, published weights from a server on this machine, and transfer with all."""

from __future__ import annotations

import functools
import hashlib
import inspect
import os
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import chainrule
from chainrule import models, transfer, vision
from chainrule.models.cost import traced
from chainrule.nn.init import skip_filling
from chainrule.vision.models import published


def test_every_function_has_torchvision_s_arguments_and_an_enumeration_of_weights() -> None:
    for name in vision.models.list_models():
        build, kind = getattr(vision.models, name), vision.models.get_model_weights(name)
        parameters = inspect.signature(build).parameters
        assert parameters["weights"].default is None and parameters["progress"].default is True
        assert all(p.kind is not p.POSITIONAL_OR_KEYWORD for p in parameters.values())
        assert getattr(vision.models, kind.__name__) is kind
        assert kind.DEFAULT.url.startswith("https://download.pytorch.org/models/") and kind.DEFAULT.url.endswith(".pth")
        assert vision.models.get_weight(f"{kind.__name__}.IMAGENET1K_V1") is kind.IMAGENET1K_V1
        assert kind.verify("DEFAULT") is kind.DEFAULT and kind.verify(None) is None
    assert vision.models.ResNet50_Weights.DEFAULT is vision.models.ResNet50_Weights.IMAGENET1K_V2


class QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, *args: Any) -> None:
        pass


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A folder whose files a server on this machine publishes; what is downloaded is kept in this test's folder."""
    folder = tmp_path / "published"
    folder.mkdir()
    handler = functools.partial(QuietHandler, directory=str(folder))
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    monkeypatch.setattr(published, "ADDRESS", f"http://127.0.0.1:{server.server_address[1]}/")
    monkeypatch.setenv("CHAINRULE_HOME", str(tmp_path / "home"))
    yield folder
    server.shutdown()
    server.server_close()
    thread.join()


def publish(folder: Path, monkeypatch: pytest.MonkeyPatch, kind: Any, model: Any) -> None:
    """Write a model's weights as torchvision would: PyTorch's format, the checksum's beginning in the name."""
    torch = pytest.importorskip("torch")
    path = folder / "new.pth"
    torch.save({name: torch.tensor(value.numpy()) for name, value in model.state_dict().items()}, path)
    name = f"{kind.__name__.lower()}-{hashlib.sha256(path.read_bytes()).hexdigest()[:8]}.pth"
    os.replace(path, folder / name)
    monkeypatch.setattr(kind.IMAGENET1K_V1, "_value_", published.Published(name))


@pytest.mark.peer
def test_published_weights_are_downloaded_checked_and_loaded(server: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kind = vision.models.ResNet18_Weights
    old = models.create("resnet18")
    publish(server, monkeypatch, kind, old)
    for weights in ("DEFAULT", "IMAGENET1K_V1", kind.DEFAULT, "ResNet18_Weights.IMAGENET1K_V1"):
        new = vision.models.resnet18(weights=weights)
        for name, value in old.state_dict().items():
            np.testing.assert_array_equal(new.state_dict()[name].numpy(), value.numpy())
    assert new.architecture == {"name": "resnet18", "options": {"num_classes": 1000}}
    with pytest.raises(ValueError, match=r"1000 classes, got num_classes=10; .*replace_head"):
        vision.models.resnet18(weights="DEFAULT", num_classes=10)
    damaged = kind.DEFAULT.value.file.replace("-", "-0bad")
    os.replace(server / kind.DEFAULT.value.file, server / damaged)
    monkeypatch.setattr(kind.IMAGENET1K_V1, "_value_", published.Published(damaged))
    with pytest.raises(chainrule.DataError, match="SHA-256"):
        vision.models.resnet18(weights="DEFAULT")


@pytest.mark.peer
def test_googlenet_s_weights_come_without_auxiliary_heads(server: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    publish(server, monkeypatch, vision.models.GoogLeNet_Weights, models.create("googlenet", init_weights=False))
    model = vision.models.googlenet(weights="DEFAULT")
    assert model.aux1 is None and model.transform_input
    assert sum(p.numel() for p in model.parameters()) == 6_624_904
    assert vision.models.googlenet(weights="DEFAULT", aux_logits=True).aux2 is not None


def test_what_is_no_weights() -> None:
    with pytest.raises(ValueError, match="has no 'IMAGENET21K'; it has IMAGENET1K_V1"):
        vision.models.resnet18(weights="IMAGENET21K")
    with pytest.raises(TypeError, match="ResNet18_Weights"):
        vision.models.resnet18(weights=vision.models.VGG11_Weights.DEFAULT)
    with pytest.raises(ValueError, match="no option 'classes'"):
        vision.models.resnet18(classes=3)
    for wrong in (lambda: vision.models.get_model("resnet19"), lambda: vision.models.get_model_weights("resnet19")):
        with pytest.raises(ValueError, match="'resnet19'"):
            wrong()
    with pytest.raises(ValueError, match="names such as"):
        vision.models.get_weight("Walrus_Weights.DEFAULT")


@pytest.mark.peer
def test_images_are_prepared_as_torchvision_does() -> None:
    """Resized to the shorter side, the middle cut out, standardised; against PyTorch's interpolation."""
    torch = pytest.importorskip("torch")
    image = np.random.default_rng(0).integers(0, 256, (3, 40, 60)).astype(np.uint8)
    got = published.preparation(32, 24)(chainrule.tensor(image)).numpy()
    resized = torch.nn.functional.interpolate(
        torch.tensor(image)[None].float(), size=(32, 48), mode="bilinear", antialias=True
    ).round()
    want = (resized[0, :, 4:28, 12:36] / 255).numpy()
    want = (want - np.reshape(published.MEAN, (3, 1, 1))) / np.reshape(published.STD, (3, 1, 1))
    assert got.shape == (3, 24, 24)
    np.testing.assert_allclose(got, want, atol=1.01 / 255 / 0.22)  # one step of a byte, where a half is rounded


IMAGE_NETWORKS = [name for name in models.names("classification") if "in_channels" in models.find(name).options]


@pytest.mark.parametrize("name", IMAGE_NETWORKS)
def test_transfer_works_with_every_network(name: str) -> None:
    """A new head, everything else frozen; rates by depth; weights for other classes."""
    entry = models.find(name)
    with skip_filling():
        model = models.create(name)
        published_weights = model.state_dict()
        head = transfer.replace_head(model, 3)
        assert traced(model.eval(), (2, *entry.input))[1] == (2, 3), "the last layer was found"
        frozen = transfer.freeze(model)
        path = transfer.find_head(model)
        transfer.unfreeze(model, names=path)
        learning = [key for key, p in model.named_parameters() if p.requires_grad]
        assert learning == [f"{path}.weight", f"{path}.bias"] and len(frozen) > len(learning)
        assert model.get_submodule(path) is head
        transfer.unfreeze(model)
        rates = transfer.parameter_groups_by_depth(model, lr=1.0)
        assert rates[-1]["lr"] == 1.0 and sum(len(group["params"]) for group in rates) == len(list(model.parameters()))
        report = transfer.load_pretrained(model, published_weights)
        assert {key for key, _, _ in report.mismatched} == set(learning)
