"""Tensors that share memory: what PyTorch shows after the same program, we show, and compiled functions too."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import chainrule
from tests import shared_gradient_cases, shared_memory_cases, shared_memory_programs, shared_step_cases
from tests.shared_memory_cases import Case


def shown(answers: list[Any]) -> list[Any]:
    """Tensors as arrays, so that answers can be compared; plain values as they are."""
    return [np.asarray(a.detach().numpy()) if hasattr(a, "detach") else a for a in answers]


def compare(ours: list[Any], theirs: list[Any]) -> None:
    assert len(ours) == len(theirs)
    for place, (a, b) in enumerate(zip(ours, theirs, strict=True)):
        if isinstance(b, np.ndarray):
            assert (a.shape, a.dtype) == (b.shape, b.dtype), place
            np.testing.assert_allclose(a, b, rtol=2e-5, atol=1e-6, err_msg=f"answer {place}")
        else:
            assert type(a) is type(b) and a == b, place


def plain(function: Any) -> Any:
    return function


@pytest.mark.peer
@pytest.mark.parametrize("program", shared_memory_cases.CASES, ids=lambda program: program.__name__)
def test_memory_is_shared_as_in_pytorch(program: Case) -> None:
    torch = pytest.importorskip("torch")
    compare(shown(program(chainrule, plain)), shown(program(torch, plain)))


@pytest.mark.peer
@pytest.mark.parametrize("compiled", [plain, chainrule.compile], ids=["eager", "compiled"])
@pytest.mark.parametrize(
    "program", shared_step_cases.CASES + shared_gradient_cases.CASES, ids=lambda program: program.__name__
)
def test_steps_share_memory_as_in_pytorch(program: Case, compiled: Any) -> None:
    torch = pytest.importorskip("torch")
    compare(shown(program(chainrule, compiled)), shown(program(torch, plain)))


def test_a_model_that_was_given_weights_learns_alone() -> None:
    source, other = chainrule.nn.Linear(3, 1), chainrule.nn.Linear(3, 1)
    other.load_state_dict(source.state_dict(), assign=True)
    before = source.weight.detach().clone()
    with chainrule.no_grad():
        other.weight.add_(1)
    assert chainrule.equal(source.weight, before)
    np.testing.assert_array_equal(other.weight.detach().numpy(), before.numpy() + 1)


@pytest.mark.peer
@pytest.mark.parametrize("seed", range(20))
def test_random_programs_share_memory_as_in_pytorch(seed: int) -> None:
    torch = pytest.importorskip("torch")
    text, run = shared_memory_programs.program(seed)
    theirs = shown(run(torch, plain))
    for compiled in (plain, chainrule.compile):
        try:
            compare(shown(run(chainrule, compiled)), theirs)
        except Exception as error:
            raise AssertionError(f"{compiled.__name__}: {text}") from error
