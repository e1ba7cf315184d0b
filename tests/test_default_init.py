"""Default initialisation: every layer starts as PyTorch's does. The layers are those of the peer tables, found there.

Each case that has parameters is made many times in both frameworks; the entries of each parameter, over all copies, are
two samples, and a Kolmogorov–Smirnov test asks whether they come from one distribution. Constants must be equal.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from scipy import stats

import chainrule
from tests.peer_tables import Case
from tests.test_peer_tables import TABLES, build

#: So many numbers of each parameter; two samples of this size differ visibly (D > 0.05) if a bound is off by a tenth.
ENOUGH = 4_000


def cases() -> list[Case]:
    """The first case of each layer with parameters; lazy layers have none until they have seen an input."""
    found: dict[str, Case] = {}
    for case in TABLES.modules:
        name = case.source.split("(")[0]
        if (
            name not in found
            and not name.startswith("Lazy")
            and any(True for _ in build(chainrule, case.source).parameters())
        ):
            found[name] = case
    return list(found.values())


def samples(framework: Any, source: str) -> dict[str, np.ndarray]:
    """The entries of each parameter, of as many fresh copies as it takes."""
    framework.manual_seed(11)
    first = dict(build(framework, source).named_parameters())
    smallest = min((p.numel() for p in first.values() if p.numel()), default=ENOUGH)
    copies = min(math.ceil(ENOUGH / smallest), 1500 if len(first) < 5 else 100)  # many parts: slow to build
    drawn: dict[str, list[np.ndarray]] = {name: [] for name in first}
    for _ in range(copies):
        for name, p in build(framework, source).named_parameters():
            drawn[name].append(p.detach().numpy().reshape(-1))
    return {name: np.concatenate(parts).astype("float64") for name, parts in drawn.items()}


@pytest.mark.peer
@pytest.mark.filterwarnings("ignore:::torch")
@pytest.mark.parametrize("case", cases(), ids=lambda case: case.source)
def test_default_initialisation_is_pytorch_s(case: Case) -> None:
    torch = pytest.importorskip("torch")
    ours, theirs = samples(chainrule, case.source), samples(torch, case.source)
    assert list(ours) == list(theirs)
    for name, wanted in theirs.items():
        found = ours[name]
        if not wanted.size:
            continue
        if wanted.min() == wanted.max():
            assert (found == wanted[0]).all(), f"{name} starts at {wanted[0]}"
            continue
        assert found.std() > 0, f"{name} is not random"
        result = stats.ks_2samp(found, wanted, method="asymp")
        assert result.pvalue > 1e-5, f"{name}: standard deviations {found.std():.4g} and {wanted.std():.4g}"


@pytest.mark.peer
def test_every_layer_that_draws_numbers_is_compared() -> None:
    """Who adds a layer of PyTorch's with `reset_parameters` adds a case for it, and so it is compared here."""
    torch = pytest.importorskip("torch")
    nn = chainrule.nn
    layers = {
        name
        for name in nn.__all__
        if isinstance(getattr(nn, name), type)
        and hasattr(getattr(nn, name), "reset_parameters")
        and "Base" not in name
        and hasattr(torch.nn, name)
    }
    compared = {case.source.split("(")[0] for case in cases()}
    assert {name for name in layers if not name.startswith("Lazy")} <= compared
