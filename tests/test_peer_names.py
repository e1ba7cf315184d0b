"""No name of PyTorch's `nn` and `optim` is without a status, and the page that lists them is up to date."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.left_out import LEFT_OUT

pytestmark = pytest.mark.peer
torch = pytest.importorskip("torch")

from tests import peer_names  # noqa: E402  (it imports PyTorch's modules)


@pytest.mark.parametrize("area", peer_names.AREAS)
def test_every_name_is_compared_or_left_out_with_a_reason(area: str) -> None:
    missing = [row.name for row in peer_names.rows(area) if not row.status]
    assert not missing, f"torch.{area}: neither compared in tests/peer_tables nor in tests/left_out.py"


def test_no_reason_is_given_for_what_is_there() -> None:
    there = [name for name in LEFT_OUT if peer_names.ours(name) is not None]
    unknown = [
        name for name in LEFT_OUT if name.rpartition(".")[2] not in peer_names.peer_names(name.rpartition(".")[0])
    ]
    assert not there and not unknown


def test_the_page_is_up_to_date() -> None:
    written = Path(__file__).parent.parent / "docs" / "pytorch.md"
    assert written.read_text(encoding="utf-8") == peer_names.page(), "make it again: python -m tests.peer_names"
