"""Every layer of nn as an ONNX file, run by onnxruntime."""

from __future__ import annotations

import importlib
import os
import pkgutil
import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import chainrule as cr
import chainrule.primitives.bessel
import tests.peer_tables
from chainrule import nn
from chainrule.onnx.rules import PRIMITIVES, REFUSED
from chainrule.primitives.primitive import registry
from tests.onnx_running import Called, agree
from tests.peer_tables import Case

LONG = bool(os.environ.get("CHAINRULE_NIGHTLY"))

#: Layers that are not in PyTorch, or not in its tables.
OURS = [
    Case("CausalSelfAttention(4, 2)", [(2, 3, 4)]),
    Case("ClassicDropout(0.5)", [(2, 3)]),
    *[Case(f"Global{kind}Pool{n}d()", [(2, 3, *(4, 5, 3)[:n])]) for kind in ("Avg", "Max") for n in (1, 2, 3)],
    Case("HingeLoss()", [(4,), np.array([1.0, -1, 1, -1])]),
    Case("LearnedPositions(6, 4)", [(2, 3, 4)]),
    Case("SinusoidalPositions(6, 4)", [(2, 3, 4)]),
    Case("RotaryPositions(6, 4)", [(2, 2, 3, 4)]),
    Case("Maxout(4, 3)", [(2, 4)]),
    Case("TransposedLinear(4, 3)", [(2, 4)]),
    Case("Sequential(nn.ModuleList([nn.Linear(3, 2)])[0])", [(2, 3)]),
]

#: Layers that have no case, and why.
NOT_EXPORTED = {
    "Module": "the base of all",
    "RNNBase": "a base",
    "RNNCellBase": "a base",
    "ModuleDict": "a container without a forward pass",
    "ModuleList": "a container without a forward pass",
    "ParameterDict": "a container without a forward pass",
    "ParameterList": "a container without a forward pass",
    "RandomPad1d": "draws random numbers in evaluation too",
    "RandomPad2d": "draws random numbers in evaluation too",
    "RandomPad3d": "draws random numbers in evaluation too",
    "QuantizedEmbedding": "made by quantize: below",
    "QuantizedLinear": "made by quantize: below",
    "WeightedSum": "keeps what it was given in tensors of its own, for reports in training",
    "Tokens": "turns what it is given into whole numbers: an embedding behind it has the case",
}

#: Cases that cannot be exported, by what their message says.
REFUSED_CASES = {
    "max_norm": "changes tensors of its own",
    "MaxPool2d(3, 2, 1, return_indices=True)": "padded image",
}
#: onnxruntime itself fails on an empty batch there.
NOT_RUN = [
    "GroupNorm(2, 4)  (0, 4, 3)",
    "ConvTranspose2d(2, 3, 2, stride=(3, 1), dilation=(1, 2), output_padding=(2, 1))  (0, 2, 3, 4)",
]


def _all_cases() -> Iterator[Case]:
    for info in pkgutil.iter_modules(tests.peer_tables.__path__):
        yield from getattr(importlib.import_module(f"tests.peer_tables.{info.name}"), "MODULES", [])
    yield from OURS


def _cases() -> list[Case]:
    """The first two cases of each layer; all in the long form."""
    found: dict[str, list[Case]] = {}
    for case in _all_cases():
        found.setdefault(case.source.split("(")[0], []).append(case)
    return [case for cases in found.values() for case in (cases if LONG else cases[:2]) if str(case) not in NOT_RUN]


def _inputs(case: Case) -> tuple[cr.Tensor, ...]:
    random = np.random.default_rng(0)
    arrays = [x if isinstance(x, np.ndarray) else random.standard_normal(x) for x in case.inputs]
    return tuple(cr.tensor(a.astype(np.float32) if a.dtype.kind == "f" else a) for a in arrays)


def _layer(case: Case, inputs: tuple[Any, ...]) -> nn.Module:
    cr.manual_seed(0)
    names = "xyzuvw"[: len(inputs)]
    source = case.source if case.source.startswith("nn.") else f"nn.{case.source}"
    layer = eval(source, {"nn": nn, "lib": cr, "np": np}).eval()
    model = Called(layer, case.call or f"layer({', '.join(names)})", names)
    model(*inputs)  # what is lazy becomes what it is
    return model


@pytest.mark.parametrize("case", _cases(), ids=str)
def test_a_layer_gives_our_numbers(case: Case) -> None:
    inputs = _inputs(case)
    reason = next((says for part, says in REFUSED_CASES.items() if part in case.source), None)
    if reason is None:
        agree(_layer(case, inputs), inputs)
    else:
        with pytest.raises(cr.onnx.OnnxError, match=reason):
            agree(_layer(case, inputs), inputs)


def _cases_of_the_oldest() -> list[Case]:
    """The first case of each layer; all in the long form."""
    cases = [case for case in _cases() if case.source != "Unflatten(0, (2, 0))"]
    first = {case.source.split("(")[0]: case for case in reversed(cases)}
    return cases if LONG else list(first.values())


@pytest.mark.parametrize("case", _cases_of_the_oldest(), ids=str)
def test_the_oldest_version_gives_our_numbers_or_says_which_one_is_needed(case: Case) -> None:
    """But for a new size of 0, which a Reshape before version 14 cannot say: onnx.checker refuses it."""
    inputs = _inputs(case)
    try:
        agree(_layer(case, inputs), inputs, opset=13)
    except cr.onnx.OnnxError as error:
        assert re.search("|".join(["needs? opset", *REFUSED_CASES.values()]), str(error)), error


def test_every_layer_has_a_case_or_a_reason() -> None:
    layers = {
        name for name in nn.__all__ if isinstance(getattr(nn, name), type) and issubclass(getattr(nn, name), nn.Module)
    }
    seen = {case.source.split("(")[0] for case in _all_cases()}
    assert layers == (layers & seen) | set(NOT_EXPORTED), "a layer without a case, or a reason for one that has a case"


def test_every_primitive_has_a_rule_or_a_reason() -> None:
    ours = {name for name, kind in registry.items() if kind.__module__.startswith("chainrule.")}
    assert ours == set(PRIMITIVES) | set(REFUSED)
    assert not set(PRIMITIVES) & set(REFUSED)


@pytest.mark.parametrize("bits", [4, 8])
def test_what_is_quantized_stays_in_its_bits(bits: int) -> None:
    cr.manual_seed(0)
    model = nn.Sequential(nn.Embedding(5, 32), nn.Linear(32, 64))
    nn.quantize(model, bits=bits)
    data = agree(model, (cr.tensor([[1, 4], [0, 2]]),), dynamic="batch")
    assert len(data) < 4 * (5 * 32 + 32 * 64) / 2
