"""Every keyword of PyTorch's public functions, methods and constructors is taken here, or the table says why not."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.peer
torch = pytest.importorskip("torch")

from tests import peer_keywords  # noqa: E402  (it imports PyTorch's modules)

#: At least so many are compared: a comparison that finds nothing to compare shows nothing.
LEAST = {
    "": 330,
    "Tensor": 280,
    "nn": 150,
    "nn.functional": 110,
    "optim": 12,
    "optim.lr_scheduler": 14,
    "utils.data": 15,
}


@pytest.mark.parametrize("area", [*peer_keywords.AREAS, *peer_keywords.CLASSES])
def test_keyword_names_are_pytorch_s_or_have_a_reason(area: str) -> None:
    pairs = list(peer_keywords.pairs(area))
    differences = {pair.name: found for pair in pairs if (found := pair.differences())}
    assert not differences, (
        "'-word': only PyTorch takes it, '+word': only we do; mend it, or say why in peer_keywords.REASONS"
    )
    assert len(pairs) >= LEAST.get(area, 0)


def test_keyword_names_of_methods_of_every_class() -> None:
    found = dict(peer_keywords.other_classes())
    differences = {pair.name: words for pairs in found.values() for pair in pairs if (words := pair.differences())}
    assert not differences
    assert len(found) > 300 and sum(map(len, found.values())) > 550


def test_the_schemas_are_read_right() -> None:
    assert peer_keywords.operator_keywords("sum", method=True) == {"dim", "keepdim", "dtype"}
    assert peer_keywords.operator_keywords("sum", method=False) == {"input", "dim", "keepdim", "dtype", "out"}
    assert peer_keywords.operator_keywords("flip", method=True) == {"dims"}
