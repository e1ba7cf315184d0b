"""What tensors become elsewhere, against PyTorch: copies, pickles, arrays and text."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

import chainrule

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.peer


def test_deepcopy_and_pickle() -> None:
    for lib in (chainrule, torch):
        x = lib.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
        (x * x).sum().backward()
        for twin in (copy.deepcopy(x), pickle.loads(pickle.dumps(x))):
            assert twin.tolist() == x.tolist() and twin.requires_grad and twin.is_leaf and twin is not x
        twin = copy.deepcopy(x)
        assert twin.grad is not None and twin.grad.tolist() == [[2.0, 4.0], [6.0, 8.0]]
        with lib.no_grad():
            twin[0] = 0
        assert x.tolist() == [[1.0, 2.0], [3.0, 4.0]]
        both = copy.deepcopy([x, x])
        assert both[0] is both[1]
        view = copy.deepcopy(x.detach()[0])
        assert view.tolist() == [1.0, 2.0] and not view.requires_grad


def test_pickle_keeps_every_data_type() -> None:
    for name in ("float64", "float16", "bfloat16", "int8", "uint8", "bool"):
        x = chainrule.tensor([0, 1]).to(getattr(chainrule, name))
        twin = pickle.loads(pickle.dumps(x))
        assert twin.dtype is x.dtype and twin.tolist() == x.tolist()


def test_numpy_gives_a_copy_and_asarray_no_way_to_write() -> None:
    x = chainrule.tensor([1.0, 2.0])
    array = x.numpy()
    array[0] = 9
    assert x.tolist() == [1.0, 2.0]
    with pytest.raises(ValueError, match="read-only"):
        np.asarray(x)[0] = 9
    source = np.array([1.0, 2.0])
    for made in (chainrule.from_numpy(source), chainrule.tensor(source), chainrule.as_tensor(source)):
        source[0] = 5
        assert made.tolist() == [1.0, 2.0]
        source[0] = 1


PRINTED = """
lib.tensor([1.0, 2.0])
lib.tensor([1, 2])
lib.tensor([True, False])
lib.tensor(3.5)
lib.tensor(2)
lib.tensor([])
lib.zeros(2, 0)
lib.zeros(0, dtype=lib.int64)
lib.tensor([1.0], requires_grad=True)
lib.tensor([1.0], dtype=lib.float64)
lib.tensor([1.0], dtype=lib.float64, requires_grad=True)
lib.tensor([1], dtype=lib.int8)
lib.tensor([1.5, float('nan'), float('inf')])
lib.arange(12.0).view(3, 4)
lib.arange(24).view(2, 3, 4)
lib.arange(2000)
lib.arange(2000.0).view(40, 50)
lib.tensor([1e-8, 1.0])
lib.tensor([1e10, 1.0])
lib.tensor([0.1, 1000.0, 123456.0])
lib.tensor([1.0, 2.0], dtype=lib.bfloat16)
lib.tensor([1.0, 2.0], dtype=lib.float16)
lib.tensor([-1.5, 2.25])
lib.zeros(3)[1:]
lib.ones(2, 2).T
lib.tensor([1.0], requires_grad=True).detach()
lib.Size([2, 3])
lib.float32
"""


@pytest.mark.parametrize("text", [line for line in PRINTED.split("\n") if line])
def test_printing(text: str) -> None:
    ours, theirs = (repr(eval(text, {"lib": lib})) for lib in (chainrule, torch))
    theirs = theirs.replace("torch.", "chainrule.").replace("chainrule.Size", "Size")
    assert ours == theirs


def test_printing_of_records() -> None:
    x = chainrule.tensor([1.0, 2.0], requires_grad=True)
    assert repr(x * 2) == "tensor([2., 4.], grad_fn=<Multiply>)"
    assert repr((x * 2)[0]) == "tensor(2., grad_fn=<Index>)"
    assert repr((x * 2).detach()) == "tensor([2., 4.])"
