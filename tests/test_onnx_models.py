"""Every network of the registry as an ONNX file: onnxruntime gives our numbers, for other batches and lengths too."""

from __future__ import annotations

import os

import pytest

import chainrule as cr
from chainrule import models
from tests.onnx_networks import NETWORKS, PARTS
from tests.onnx_running import agree, stir

LONG = bool(os.environ.get("CHAINRULE_NIGHTLY"))
pytestmark = pytest.mark.timeout(1800 if LONG else 120)  # VGG's and ViT's files are half a gigabyte
CASES = {name: ("", small) for name, small in NETWORKS.items() if small.often or LONG} | PARTS


def test_every_network_of_the_registry_is_in_the_tables() -> None:
    assert set(models.names()) == set(NETWORKS) | set(PARTS)


@pytest.mark.parametrize("name", CASES)
def test_onnxruntime_gives_our_numbers(name: str) -> None:
    part, small = CASES[name]
    cr.manual_seed(0)
    model = stir(models.create(name, **small.options).get_submodule(part))
    agree(model, small.inputs(2), [small.inputs(3), small.inputs(1)], small.tolerance, dynamic=small.dynamic)


@pytest.mark.parametrize("opset", [13, 17, 20] if LONG else [13, 20])
@pytest.mark.parametrize("name", ["gpt2", "llama", "resnet18", "rnn_translator", "ddpm"])
def test_older_versions_give_the_same(name: str, opset: int) -> None:
    part, small = CASES[name]
    cr.manual_seed(0)
    model = stir(models.create(name, **small.options).get_submodule(part))
    agree(model, small.inputs(2), [small.inputs(3)], dynamic=small.dynamic, opset=opset)
