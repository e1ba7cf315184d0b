"""No public name of PyTorch is without a status, and the page that lists them is up to date."""

from __future__ import annotations

from pathlib import Path

import pytest

import chainrule
from chainrule.absent_names import names

pytestmark = pytest.mark.peer
torch = pytest.importorskip("torch")

from tests import peer_names  # noqa: E402  (it imports PyTorch's modules)


@pytest.mark.parametrize("area", peer_names.AREAS)
def test_every_name_is_there_or_left_out_with_a_reason(area: str) -> None:
    missing = [row.name for row in peer_names.rows(area) if not row.status]
    assert not missing, f"torch.{area}: neither compared in tests/peer_tables nor in chainrule/absent_names.py"


def test_no_reason_is_given_for_what_is_there_or_for_what_pytorch_has_not() -> None:
    there = [name for name in names() if peer_names.ours(name) is not None]
    unknown = [n for n in names() if n.rpartition(".")[2] not in peer_names.peer_names(n.rpartition(".")[0])]
    assert not there and not unknown


@pytest.mark.parametrize(
    ("owner", "name", "says"),
    [
        (chainrule, "sparse_csc_tensor", "sparse_csr_tensor"),
        (chainrule, "elu", "use nn.functional.elu"),
        (chainrule, "add_", r"x\.add_"),
        (chainrule, "elu_", r"use nn\.functional\.elu_"),
        (chainrule, "soft_max", "did you mean softmax"),
        (chainrule.nn, "NLLLoss2d", "an old name"),
        (chainrule.nn, "Liner", "did you mean Linear"),
        (chainrule.nn, "relu", "use nn.functional.relu"),
        (chainrule.nn.functional, "Softmax", "use nn.Softmax"),
        (chainrule.optim, "SparseAdam", "dense"),
        (chainrule.optim, "Adm", "did you mean Adam"),
        (chainrule.ones(1), "coalesce", "to_sparse"),
        (chainrule.ones(1), "resize", "use resize_"),
        (chainrule.ones(1), "nunpy", "did you mean numpy"),
    ],
    ids=str,
)
def test_an_absent_name_says_what_to_use(owner: object, name: str, says: str) -> None:
    with pytest.raises(AttributeError, match=says):
        getattr(owner, name)
    assert not hasattr(owner, name)


def test_the_page_is_up_to_date() -> None:
    written = Path(__file__).parent.parent / "docs" / "pytorch.md"
    assert written.read_text(encoding="utf-8") == peer_names.page(), "make it again: python -m tests.peer_names"
