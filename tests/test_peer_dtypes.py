"""Data types against PyTorch: what comes out when types, 0-d tensors and numbers meet; creation."""

from __future__ import annotations

import itertools
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from peer_comparison import DTYPES, check, compare, difference, dtype_name, dtype_name_of, expression, lines

import chainrule

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.peer

MIXING = """
x + y
x - y
x * y
x / y
x // y
x % y
x ** y
x == y
x < y
x >= y
x & y
lib.maximum(x, y)
lib.minimum(x, y)
lib.atan2(x, y)
lib.where(lib.tensor([True, False]), x, y)
lib.fmod(x, y)
lib.add(x, y, alpha=2)
lib.logical_or(x, y)
lib.isclose(x, y)
lib.hypot(x, y)
"""

JOINING = """
lib.cat([x, y])
lib.stack([x, y])
lib.hstack([x, y])
"""


def _operands(lib: Any) -> dict[str, Any]:
    """Each data type as a vector and as a 0-d tensor, and the Python numbers: 2, 2.5 and True."""
    operands: dict[str, Any] = {}
    for name in DTYPES:
        dtype = getattr(lib, name)
        operands[f"{name} vector"] = lib.tensor([1, 2]).to(dtype)
        operands[f"{name} 0-d"] = lib.tensor(1).to(dtype)
    return operands


NUMBERS = {"2": 2, "2.5": 2.5, "True": True}


def _outcome(lib: Any, call: Any, x: Any, y: Any) -> Any:
    try:
        return call(lib, x, y)
    except Exception as error:
        return error


def _compare_all(text: str, pairs: list[tuple[str, str]]) -> None:
    call = expression(text, ("x", "y"))
    ours, theirs = _operands(chainrule) | NUMBERS, _operands(torch) | NUMBERS
    found = []
    for a, b in pairs:
        mine, wanted = (
            _outcome(chainrule, call, ours[a], ours[b]),
            _outcome(torch, call, theirs[a], theirs[b]),
        )
        if isinstance(wanted, Exception):
            more = any(word in str(wanted) for word in ("not implemented", "did not match"))
            if not isinstance(mine, Exception) and not more:
                found.append(f"{a}, {b}: {mine} instead of {wanted}")
        elif isinstance(mine, Exception):
            found.append(f"{a}, {b}: {type(mine).__name__} {mine} instead of {wanted}")
        elif difference(mine, wanted):
            found.append(f"{a}, {b}: {difference(mine, wanted)}")
    assert not found, f"{text}: {len(found)} differences:\n" + "\n".join(found[:10])


@pytest.mark.parametrize("text", lines(MIXING))
def test_promotion_of_all_pairs(text: str) -> None:
    tensors = [f"{name} {kind}" for name in DTYPES for kind in ("vector", "0-d")]
    pairs = list(itertools.product(tensors, repeat=2))
    if "(" not in text or "where" in text:
        pairs += [(t, n) for t in tensors for n in NUMBERS] + [(n, t) for t in tensors for n in NUMBERS]
    _compare_all(text, pairs)


@pytest.mark.parametrize("text", lines(JOINING))
def test_promotion_when_joining(text: str) -> None:
    vectors = [f"{name} vector" for name in DTYPES]
    _compare_all(text, list(itertools.product(vectors, repeat=2)))


@pytest.mark.parametrize("first", DTYPES)
def test_promote_types(first: str) -> None:
    for second in DTYPES:
        ours = chainrule.promote_types(getattr(chainrule, first), getattr(chainrule, second))
        theirs = torch.promote_types(getattr(torch, first), getattr(torch, second))
        assert dtype_name_of(ours) == dtype_name_of(theirs), second


QUESTIONS = """
lib.result_type(lib.tensor([1]), 2.5)
lib.result_type(lib.tensor([1], dtype=lib.int8), lib.tensor(1))
lib.can_cast(lib.float64, lib.int64)
lib.can_cast(lib.int64, lib.float32)
lib.can_cast(lib.float64, lib.float16)
lib.is_tensor(lib.zeros(1))
lib.is_tensor(1)
lib.is_floating_point(lib.zeros(1))
lib.numel(lib.zeros(2, 3))
lib.float32.is_floating_point
lib.int8.is_floating_point
lib.float32.itemsize
lib.finfo(lib.float32).eps
lib.finfo(lib.float16).max
lib.finfo(lib.bfloat16).tiny
lib.finfo(lib.float64).min
lib.finfo(lib.bfloat16).eps
lib.finfo().bits
lib.iinfo(lib.int8).min
lib.iinfo(lib.uint8).max
lib.iinfo(lib.int64).max
lib.get_default_dtype()
lib.float32 == lib.float
lib.float64 == lib.double
lib.long == lib.int64
lib.int == lib.int32
lib.bool == lib.tensor(True).dtype
lib.half == lib.float16
"""


@pytest.mark.parametrize("text", lines(QUESTIONS))
def test_questions_about_types(text: str) -> None:
    check(text, [[]], ())


CREATION = """
lib.tensor(1)
lib.tensor(1.5)
lib.tensor(True)
lib.tensor([])
lib.tensor([[]])
lib.tensor([[], []])
lib.tensor([1, 2])
lib.tensor([1, 2.5])
lib.tensor([True, False])
lib.tensor([True, 2])
lib.tensor([True, 2.5])
lib.tensor([[1, 2], [3, 4.5]])
lib.tensor(((1, 2), (3, 4)))
lib.tensor([[1, 2], [3]])
lib.tensor([1, 'a'])
lib.tensor('a')
lib.tensor(None)
lib.tensor([None])
lib.tensor([1, [2]])
lib.tensor([[1], 2])
lib.tensor(range(3))
lib.tensor(np.arange(3))
lib.tensor(np.arange(3.0))
lib.tensor(np.arange(3, dtype=np.uint8))
lib.tensor(np.float32(1.5))
lib.tensor(np.float64(1.5))
lib.tensor(np.int32(3))
lib.tensor(np.bool_(True))
lib.tensor([np.float32(1.5), np.float32(2)])
lib.tensor([np.float64(1.5), 2.0])
lib.tensor([np.int32(1), np.int32(2)])
lib.tensor([1, np.float32(2)])
lib.tensor([np.arange(2), np.arange(2)])
lib.tensor([np.ones(2, np.float32), np.ones(2, np.float32)])
lib.tensor([np.ones(2), np.ones(2)])
lib.tensor([lib.tensor(1), lib.tensor(2)])
lib.tensor([lib.tensor(1.5), lib.tensor(2)])
lib.tensor([lib.tensor(1.5), 2])
lib.tensor([1, lib.tensor(1.5)])
lib.tensor([lib.ones(1), lib.ones(1)])
lib.tensor([[lib.ones(1, 1)], [2.5]])
lib.tensor([lib.ones(1), lib.tensor(2)])
lib.as_tensor((lib.ones(1, 1, 1),))
lib.FloatTensor([lib.ones(1)])
lib.tensor([[lib.tensor(1), 2], [3, 4]])
lib.tensor(np.arange(6).reshape(2, 3).T)
lib.tensor(np.arange(6)[::-1].copy())
lib.tensor([1, 2], dtype=lib.float64)
lib.tensor([1.9, -2.9], dtype=lib.int64)
lib.tensor([0.0, 2.5], dtype=lib.bool)
lib.tensor([1, 2], dtype=lib.bfloat16)
lib.tensor([1.5], dtype=lib.float16)
lib.tensor([1.0], requires_grad=True)
lib.tensor([1], requires_grad=True)
lib.tensor(float('nan'))
lib.tensor([float('inf'), 1])
lib.tensor(2 ** 40)
lib.tensor(2 ** 70)
lib.tensor([1.0, 2.0], dtype=float)
lib.tensor([1.0, 2.0], dtype=int)
lib.tensor([1], dtype=bool)
lib.as_tensor([1, 2])
lib.as_tensor(np.arange(2.0))
lib.as_tensor(3.5)
lib.as_tensor([1, 2], dtype=lib.float32)
lib.asarray([1, 2])
lib.from_numpy(np.arange(3))
lib.from_numpy(np.ones((2, 3), np.float32))
lib.from_numpy([1, 2])
lib.zeros(2, 3)
lib.zeros((2, 3))
lib.zeros([2, 3])
lib.zeros(lib.Size([2, 3]))
lib.zeros(0)
lib.zeros(())
lib.zeros(2, dtype=lib.int32)
lib.zeros(size=(2, 3))
lib.zeros(2, requires_grad=True)
lib.zeros(-1)
lib.zeros(2.5)
lib.zeros('a')
lib.ones(2, 3)
lib.ones(2, dtype=lib.bool)
lib.ones((2,), dtype=lib.float16)
lib.empty(2, 3).shape
lib.full((2, 3), 7)
lib.full((2,), 7.5)
lib.full((2,), True)
lib.full((2,), 7, dtype=lib.float32)
lib.full([2], 2.5, dtype=lib.int32)
lib.full((), 3)
lib.full((2,), lib.tensor(3.5))
lib.full(size=(2,), fill_value=1)
lib.arange(5)
lib.hann_window(0, dtype=lib.float64)
lib.hann_window(1, dtype=lib.float64)
lib.hann_window(2, dtype=lib.float64)
lib.hann_window(7, dtype=lib.float64)
lib.hann_window(8, periodic=False, dtype=lib.float64)
lib.hann_window(5, False, requires_grad=True)
lib.hamming_window(0, dtype=lib.float64)
lib.hamming_window(1, dtype=lib.float64)
lib.hamming_window(2, dtype=lib.float64)
lib.hamming_window(7, dtype=lib.float64)
lib.hamming_window(8, periodic=False, dtype=lib.float64)
lib.hamming_window(5, False, requires_grad=True)
lib.blackman_window(0, dtype=lib.float64)
lib.blackman_window(1, dtype=lib.float64)
lib.blackman_window(2, dtype=lib.float64)
lib.blackman_window(7, dtype=lib.float64)
lib.blackman_window(8, periodic=False, dtype=lib.float64)
lib.blackman_window(5, False, requires_grad=True)
lib.bartlett_window(0, dtype=lib.float64)
lib.bartlett_window(1, dtype=lib.float64)
lib.bartlett_window(2, dtype=lib.float64)
lib.bartlett_window(7, dtype=lib.float64)
lib.bartlett_window(8, periodic=False, dtype=lib.float64)
lib.bartlett_window(5, False, requires_grad=True)
lib.kaiser_window(0, dtype=lib.float64)
lib.kaiser_window(1, dtype=lib.float64)
lib.kaiser_window(2, dtype=lib.float64)
lib.kaiser_window(7, dtype=lib.float64)
lib.kaiser_window(8, periodic=False, dtype=lib.float64)
lib.kaiser_window(5, False, requires_grad=True)
lib.hamming_window(6, True, 0.6, 0.3, dtype=lib.float64)
lib.kaiser_window(9, True, 5.0, dtype=lib.float64)
lib.hann_window(4, dtype=lib.int64)
lib.hann_window(-1)
lib.arange(5.0)
lib.arange(1, 4)
lib.arange(1, 2.5, 0.5)
lib.arange(5, 1, -1)
lib.arange(5, 0, -2)
lib.arange(0, 1, 0.1)
lib.arange(0, 1, 0.1, dtype=lib.float64)
lib.arange(3, dtype=lib.float32)
lib.arange(2.7)
lib.arange(0)
lib.arange(1, 1)
lib.arange(5, 1)
lib.arange(0, 5, -1)
lib.arange(0, 5, 0)
lib.arange(start=1, end=4)
lib.arange(end=4)
lib.arange(1, 10, 2.5, dtype=lib.int64)
lib.arange(3, requires_grad=True)
lib.arange(3.0, requires_grad=True)
lib.arange(lib.tensor(3))
lib.linspace(0, 1, 5)
lib.linspace(0, 1, 1)
lib.linspace(0, 1, 0)
lib.linspace(3, -2, 7)
lib.linspace(0, 1, steps=3, dtype=lib.float64)
lib.linspace(0, 10, 5, dtype=lib.int64)
lib.linspace(0, 1, -1)
lib.linspace(start=-1, end=1, steps=4)
lib.logspace(0, 2, 3)
lib.logspace(0, 3, 4, base=2)
lib.eye(3)
lib.eye(2, 3)
lib.eye(3, 2, dtype=lib.int64)
lib.eye(0)
lib.eye(-1)
lib.zeros_like(lib.tensor([1, 2]))
lib.zeros_like(lib.tensor([1.0]), dtype=lib.int8)
lib.ones_like(lib.tensor([[1.0]]))
lib.ones_like(lib.tensor(True))
lib.full_like(lib.tensor([1, 2]), 2.9)
lib.full_like(lib.tensor([1.0]), 2)
lib.empty_like(lib.zeros(2, 3, dtype=lib.float16)).dtype
lib.zeros_like(lib.zeros(1), requires_grad=True)
lib.zeros(1).new_zeros(2, 3)
lib.zeros(1, dtype=lib.int8).new_ones((2,))
lib.zeros(1, dtype=lib.float64).new_full((2,), 3)
lib.zeros(1, dtype=lib.float64).new_tensor([1, 2])
lib.zeros(1).new_empty(2, 2).shape
lib.tril_indices(3, 3)
lib.triu_indices(3, 4, 1)
lib.rand(2, 3).shape
lib.rand((2, 3)).dtype
lib.randn(2, dtype=lib.float64).dtype
lib.rand(2, dtype=lib.int64)
lib.randn(2, requires_grad=True).requires_grad
lib.randint(5, (2, 3)).dtype
lib.randint(2, 5, (4,)).shape
lib.randint(0, 5, size=(2,), dtype=lib.int8).dtype
lib.randint(5, 5, (2,))
lib.randint(high=5, size=(2,)).shape
lib.randint(5, size=(2,)).dtype
lib.randint(size=(2,))
lib.randint_like(lib.zeros(3), high=1)
lib.randperm(5).sort()[0]
lib.randperm(5).dtype
lib.rand_like(lib.zeros(2, 3, dtype=lib.float64)).dtype
lib.randn_like(lib.zeros(2, 3)).shape
lib.randint_like(lib.zeros(3), 5).dtype
lib.bernoulli(lib.tensor([0.0, 1.0]))
lib.bernoulli(lib.tensor([0.0, 2.0]))
lib.multinomial(lib.tensor([0.0, 1.0]), 1)
lib.multinomial(lib.tensor([1.0, 1.0]), 3)
lib.normal(0.0, 1.0, (2, 3)).shape
lib.normal(lib.zeros(3), lib.ones(3)).shape
lib.Tensor([1, 2])
lib.empty(2, device='cpu').shape
lib.zeros(2, device='cpu')
lib.tensor([1], device='cpu')
lib.meshgrid(lib.arange(2), lib.arange(3), indexing='ij')
lib.meshgrid(lib.arange(2), lib.arange(3), indexing='xy')
"""


@pytest.mark.parametrize("text", lines(CREATION))
def test_creation(text: str) -> None:
    check(text, [[]], ())


REFLECTED = """
np.float64(2) * x
np.float32(2) + x
np.int64(3) - x
x * np.float64(2)
x + np.float32(0.5)
x ** np.int64(2)
2 ** x
x // 2
7 // x
7 % x
5 - x
1 / x
True + x
1 < x
2.0 == x
x != None
x == None
x == 'a'
x @ x
round(x)
-x
abs(x)
divmod(x, 2)
float(x.sum())
int(x.sum())
bool(x.sum() > 0)
bool(x)
bool(x[0])
len(x)
len(x.sum())
list(x)
[float(e) for e in x]
max(x)
sum(x)
2 in x
2.5 in x
x.item()
x[0].item()
x.sum().item()
f'{x.sum().item():.2f}'
f'{x.sum().double():.3f}'
'{:5.1f}'.format(x.double().sum())
format(x[0].double(), '.1f')
[1, 2, 3][x[0].long()]
list(range(5))[x[1].long()]
x.tolist()
x.sum().tolist()
np.asarray(x).tolist()
np.array(x).dtype.name
x.numpy().tolist()
np.sum(x.numpy()).item()
x.numpy().dtype.name
np.add(x.numpy(), 1).tolist()
x.__array__().shape
x.shape[0]
x.size(0)
x.size(-1)
x.ndim
x.nelement()
x.itemsize
x.nbytes
x.is_contiguous()
x.device.type
lib.LongTensor([1, 2])
lib.FloatTensor([[1, 2], [3, 4]])
lib.FloatTensor(np.ones((2, 3), "float32")).dtype
lib.DoubleTensor(2, 3).shape
lib.BoolTensor([True, False])
lib.ByteTensor([1])
lib.IntTensor((1, 2))
str(x.device)
repr(x.device)
x.T
x.mT
hash(x) == hash(x)
x in {x}
len({x, x})
{x: 1}[x]
x.is_leaf
x.grad_fn
x.grad
x.requires_grad
x.data
x.new_zeros(2)
x.dtype
x.type_as(lib.zeros(1))
"""


@pytest.mark.parametrize("dtype", ["float32", "float64", "int64", "int8"])
@pytest.mark.parametrize("text", lines(REFLECTED))
def test_python_and_numpy_around_a_tensor(text: str, dtype: str) -> None:
    from peer_comparison import Given

    found = compare(text, [Given(np.array([1, 2, 3]).astype(dtype), "plain", False)], ("x",))
    assert not found, found


def test_numpy_arrays_as_operands() -> None:
    """PyTorch refuses most of these; here an array on either side is taken as a tensor of its type."""
    x, array = chainrule.tensor([1.0, 2.0]), np.array([1.0, 2.0], np.float32)
    for result in (x + array, array + x, array * x, x - array, array / x, array - x):
        assert isinstance(result, chainrule.Tensor) and dtype_name(result) == "float32"
    assert (np.array([1.0]) + x).dtype is chainrule.float64


def test_bfloat16_arrays() -> None:
    array = np.array([1.5, 2.5], ml_dtypes.bfloat16)
    x = chainrule.tensor(array)
    assert x.dtype is chainrule.bfloat16 and x.tolist() == [1.5, 2.5] and x[0].item() == 1.5
    assert chainrule.from_numpy(array).dtype is chainrule.bfloat16
