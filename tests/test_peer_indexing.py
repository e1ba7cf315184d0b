"""Reading and writing entries by their places, against PyTorch: values, gradients, and what is refused."""

from __future__ import annotations

import re
from typing import Any

import pytest
from peer_comparison import DTYPES, Given, check, difference, entries, lines

import chainrule
from chainrule.errors import DTypeError, IndexRangeError, ShapeError

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.peer

READING = """
x[0]
x[-1]
x[7]
x[1, 2]
x[1, 2, 0]
x[0, 0, 0, 0]
x[1:]
x[:2]
x[::2]
x[1:2, 1:]
x[:, 0]
x[:, -1:]
x[2:1]
x[5:]
x[-2:]
x[-100:100]
x[::-1]
x[0:2:0]
x[...]
x[..., 0]
x[0, ...]
x[0, ..., 0]
x[..., None]
x[None]
x[:, None]
x[None, :, None, 0]
x[:, :, :]
x[()]
x[True]
x[False]
x[0, True]
x[:, :, :, :]
x[[0, 1]]
x[[0]]
x[[]]
x[[0, 1], [1, 2]]
x[[0, 1], 1]
x[:, [0, 2]]
x[[0, 1], :2]
x[(0, 1)]
x[[True, False]]
x[[True, False, True]]
x[lib.tensor([0, 1])]
x[lib.tensor(1)]
x[lib.tensor([1, -1])]
x.reshape(-1)[lib.tensor([50])]
x[lib.tensor([0, 1]), lib.tensor([1, 2])]
x[lib.tensor([[0], [1]]), lib.tensor([1, 2])]
x[lib.tensor([0, 1]), lib.tensor([0, 1, 2])]
x[:, lib.tensor([2, 0])]
x[lib.tensor([0, 1]), :, lib.tensor([1, 0])]
x[:, lib.tensor([0, 1]), lib.tensor([1, 0])]
x[lib.tensor([0, 1]), None]
x[None, lib.tensor([0, 1])]
x[0, lib.tensor([0, 1])]
x[0, :, lib.tensor([0, 1])]
x[lib.tensor([0, 1]), 0]
x[..., lib.tensor([0, 1])]
x[1:, lib.tensor([0, 1])]
x[lib.tensor([], dtype=lib.long)]
x[lib.tensor([0.5])]
x[0.5]
x['a']
x[lib.tensor([0, 1], dtype=lib.int32)]
x[np.array([0, 1])]
x[np.array([True, False])]
x[np.int64(1)]
x[range(2)]
x[(0, 1), (1, 2)]
x[:, (0, 2)]
x[(True, False),]
x[(0, 1), ..., 0]
x[x > 0]
x[x > 100]
x[x[:, 0] > 0]
x[lib.ones_like(x, dtype=lib.bool)]
x[lib.tensor([True, False])]
x[lib.tensor([True, False]), 0]
x[lib.tensor([True, False]), lib.tensor([1])]
x[:, lib.tensor([True, False, True])]
x[0, x[0] > 0]
x[lib.tensor(True)]
x[lib.tensor([True])]
x[lib.tensor([[True, False]])]
x[slice(0, 2)]
x[slice(lib.tensor(0), lib.tensor(1))]
x[lib.arange(2)][0]
x[0][1]
x[1:][0][..., 1:]
x[lib.tensor([0, 0, 1])]
x[lib.tensor([0, 0]), lib.tensor([1, 1])]
lib.index_select(x, 0, lib.tensor([1, 0, 1]))
lib.index_select(x, -1, lib.tensor([0]))
x.index_select(1, lib.tensor([5]))
x.index_select(0, lib.tensor([[0]]))
x.index_select(7, lib.tensor([0]))
x.index_select(0, lib.tensor([0.0]))
x.index_select(0, lib.tensor([-1]))
x.take(lib.tensor([0, 3]))
x.take(lib.tensor([[0, -1]]))
x.take(lib.tensor([100]))
x.masked_select(x > 0)
x.masked_select(x[0] > 0)
lib.masked_select(x, x)
x.nonzero()
x.nonzero(as_tuple=True)
lib.argwhere(x)
lib.where(x > 0)
x.gather(0, lib.zeros_like(x, dtype=lib.long))
x.gather(-1, lib.ones_like(x, dtype=lib.long))
x.gather(0, lib.zeros_like(x)[:1].long())
x.gather(0, lib.full_like(x, 9).long())
x.gather(0, lib.tensor([0]))
x.reshape(-1).gather(0, lib.tensor(1))
x.reshape(-1).gather(-1, lib.tensor(0))
x.reshape(-1)[0].gather(0, lib.tensor([0, 0]))
x.reshape(-1).scatter(0, lib.tensor(1), 7.0)
x.reshape(-1).scatter(0, lib.tensor(1), x.reshape(-1)[0])
x.reshape(-1).scatter(0, lib.tensor([1]), x.reshape(-1)[0])
x.reshape(-1).scatter_add(0, lib.tensor(1), x.reshape(-1)[0])
x.reshape(-1).scatter_add(0, lib.tensor(1), x.reshape(-1)[:2])
x.reshape(-1).scatter_reduce(0, lib.tensor(1), x.reshape(-1)[0], 'sum')
x.reshape(-1).index_copy(0, lib.tensor(1), x.reshape(-1)[0])
x.gather(5, lib.zeros_like(x, dtype=lib.long))
x.gather(1, lib.zeros(9, 9, dtype=lib.long))
lib.take_along_dim(x, x.argsort(0), 0) if not x.dtype == lib.bool else x
lib.take_along_dim(x, lib.zeros_like(x, dtype=lib.long), -1)
lib.take_along_dim(x, lib.tensor([0, 1]))
one_hot(x.long().abs())
one_hot(x.long().abs(), 5)
one_hot(x.long().abs(), 2)
one_hot(x, 5)
x.flatten().long().abs().bincount()
x.flatten().long().abs().bincount(minlength=9)
x.flatten().long().abs().bincount(weights=x.detach().flatten().double()) if x.numel() else x
x.bincount()
x.unique()
x.unique(return_counts=True)
x.unique(return_inverse=True, return_counts=True)
lib.unique(x, sorted=True)
"""

# Each line is one statement on a fresh tensor `t` made from x, so that gradients reach x (and y).
WRITING = """
t[0] = 5
t[0] = 2.7
t[0] = True
t[-1] = y
t[1, 2] = 9
t[7] = 0
t[1:] = 0
t[:, 0] = 1
t[:, 0] = y[0]
t[...] = y
t[...] = 3
t[::2] = y[::2]
t[:] = y
t[:] = y[:1]
t[:, 1:] = y[:, 1:]
t[:, 1:] = y[:1, 1:]
t[None] = y
t[0, ...] = y[0]
t[0] = y[:1]
t[0] = y[:2]
t[0:0] = 1
t[()] = 4
t[True] = 1
t[False] = 1
t[[0, 1]] = 7
t[[0, 1]] = y[:2]
t[[0, 1], [1, 0]] = lib.tensor([1, 2])
t[lib.tensor([0, 1])] = y[:2]
t[lib.tensor([0, 1]), 0] = 8
t[:, lib.tensor([2, 0])] = y[:, :2]
t[:, [0, 2]] = 0
t[lib.tensor([5])] = 1
t[t > 0] = 0
t[t > 0] = -t[t > 0]
t[t > 0] = y[t > 0]
t[t > 100] = 1
t[t[:, 0] > 0] = 3
t[lib.tensor([True, False])] = 1
t[lib.tensor(True)] = 6
t[0.5] = 1
t[0] = 'a'
t[0] = None
t[0] = np.float32(1.5)
t[0] = lib.tensor(1.5)
t[0] = lib.tensor([1, 2])
t[0] += 1
t[:, 0] *= 2
t[lib.tensor([0, 1])] += 1
t[0][1] = 5
t[0][:2] = 7
t[1:][0] = 7
t[0], t[1] = t[1].clone(), t[0].clone()
t.index_put_((lib.tensor([0, 1]),), y[:2])
t.index_put_((lib.tensor([0, 0]), lib.tensor([1, 1])), lib.ones(2, dtype=t.dtype), accumulate=True)
t.index_fill_(0, lib.tensor([0]), 3)
t.index_fill_(1, lib.tensor([0, 2]), -1)
t.index_fill_(0, lib.tensor([7]), 3)
t.index_add_(0, lib.tensor([0, 1]), y[:2])
t.index_add_(0, lib.tensor([0, 0]), y[:2], alpha=2)
t.index_add_(1, lib.tensor([0, 0, 1]), y[:, :3])
t.index_add_(0, lib.tensor([0, 1]), y[:1])
t.index_add_(0, lib.tensor([9]), y[:1])
t.index_copy_(0, lib.tensor([1, 0]), y[:2])
t.index_copy_(1, lib.tensor([0]), y[:, 1:2])
t.index_copy_(0, lib.tensor([1, 0]), y[:1])
t.masked_fill_(t > 0, 5)
t.masked_fill_(t[0] > 0, 5)
t.masked_fill_(t, 5)
t.scatter_(0, lib.zeros_like(t[:1], dtype=lib.long), 5)
t.scatter_(0, lib.zeros_like(t[:1], dtype=lib.long), y)
t.scatter_(1, lib.tensor([[0, 1]]), y)
t.scatter_(1, lib.tensor([[0], [1]]), 1.0)
t.scatter_(dim=0, index=lib.tensor([[0, 0]]), value=2)
t.scatter_(0, lib.tensor([[9]]), 1)
t.scatter_(0, lib.tensor([0]), 1)
t.scatter_(0, lib.tensor([[0]]), y.long())
t.scatter_(0, lib.tensor([[0, 1]]), y, reduce='add')
t.scatter_add_(0, lib.tensor([[0, 1, 0]]), y[:1])
t.scatter_add_(1, lib.tensor([[0, 0], [1, 1]]), y)
t.scatter_add_(1, lib.tensor([[0] * 9]), y)
t.fill_(3)
t.fill_(lib.tensor(2.0))
t.fill_(lib.tensor([2.0]))
t.zero_()
t.copy_(y)
t.copy_(y[0])
t.copy_(y[:2, :2])
t.copy_(lib.tensor(3))
t.copy_(3)
t.copy_(2.5)
t.fill_diagonal_(7)
t.diagonal().fill_(2)
t.diagonal().add_(1)
t.diagonal().copy_(y.diagonal())
t.T[0] = 5
t.T.copy_(y.T)
t.select(0, 1).zero_()
t.narrow(1, 0, 2).mul_(2)
t.unbind(0)[0].fill_(1)
t.split(2)[0].zero_()
t.chunk(2, 1)[1].fill_(4)
"""

IN_PLACE = """
t.add_(1)
t.add_(y)
t.add_(y, alpha=2)
t.add_(1.5)
t.sub_(y)
t.mul_(y)
t.mul_(2.5)
t.div_(2)
t.div_(y)
t.pow_(2)
t.pow_(0.5)
t.clamp_(0, 1)
t.clamp_(min=0)
t.clip_(-1, 1)
t.neg_()
t.abs_()
t.exp_()
t.log_()
t.sqrt_()
t.rsqrt_()
t.square_()
t.reciprocal_()
t.sin_()
t.cos_()
t.tan_()
t.tanh_()
t.sigmoid_()
t.relu_()
t.floor_()
t.ceil_()
t.round_()
t.trunc_()
t.frac_()
t.sign_()
t.erf_()
t.log1p_()
t.expm1_()
t.remainder_(2)
t.floor_divide_(2)
t.fmod_(2)
t.lerp_(y, 0.5)
t.addcmul_(y, y, value=2)
t.addcdiv_(y, y * y + 1)
t = t.detach(); t.logical_not_()
t = t.detach(); t.logical_and_(y)
t.bitwise_not_()
t.bitwise_and_(y)
t.nan_to_num_()
t.tril_()
t.triu_(1)
t.cumsum_(0)
t.cumsum_(-1)
t = t.detach(); t.eq_(1)
t = t.detach(); t.lt_(y.detach())
t.add_(lib.ones(2, 3, 3))
t.add_(lib.ones(5))
t += 1
t += y
t += 1.5
t -= 2
t *= 2
t *= y
t /= 2
t //= 2
t %= 2
t **= 2
t &= 1
t |= 2
t ^= 3
t @= y.T
t += lib.ones(2, 3, 3)
t.addmm_(t[:, :3].clone(), y)
t.atan2_(y.to(t.dtype))
t.asin_()
t.acos_()
t.atan_()
t.sinh_()
t.cosh_()
t.log2_()
t.log10_()
t.exp2_()
t.maximum(y)
t.masked_fill_(y > 0, 0)
"""


def _statement(text: str) -> Any:
    start = "def call(lib, x, y):\n    t = x.clone()\n    before = t\n"
    source = f"{start}    {text}\n    return t, before, t is before"
    names: dict[str, Any] = {"np": __import__("numpy")}
    exec(source, names)
    return names["call"]


def _pairs() -> list[list[Given]]:
    pairs = [[Given(entries((3, 3), d, "x")), Given(entries((3, 3), d, "y"))] for d in DTYPES]
    pairs += [
        [Given(entries((3, 3), "float64", "x")), Given(entries((3, 3), "float32", "y"))],
        [Given(entries((3, 3), "int64", "x")), Given(entries((3, 3), "float32", "y"))],
        [Given(entries((3, 3), "float32", "x")), Given(entries((3, 3), "int64", "y"))],
        [
            Given(entries((3, 3), "float32", "x"), "transposed"),
            Given(entries((3, 3), "float32", "y"), "transposed"),
        ],
        [Given(entries((3, 3), "float32", "x"), "plain", False), Given(entries((3, 3), "float32", "y"))],
        [Given(entries((1, 3, 3), "float64", "x")), Given(entries((1, 3, 3), "float64", "y"))],
    ]
    return pairs


@pytest.mark.parametrize("text", lines(READING))
def test_reading(text: str) -> None:
    cases = [[Given(entries(shape, "float64", "x"))] for shape in ((2, 3), (3,), (), (2, 3, 3), (0, 3), (1,), (2, 0))]
    cases += [[Given(entries((3, 3), dtype, "x"))] for dtype in DTYPES]
    cases += [[Given(entries((3, 3), "float32", "x"), layout)] for layout in ("transposed", "strided", "expanded")]
    check(text, cases)


@pytest.mark.parametrize("text", lines(WRITING))
def test_writing(text: str) -> None:
    check(text, _pairs(), call=_statement(text))


@pytest.mark.parametrize("text", lines(IN_PLACE))
def test_in_place(text: str) -> None:
    check(text, _pairs(), call=_statement(text))


def test_reading_a_parameter_inside_scan_has_the_gradient_of_the_loop() -> None:
    table = chainrule.tensor(entries((5, 3), "float64", "table"), requires_grad=True)
    places = [1, 4, 1]

    def step(carry: Any, i: Any) -> Any:
        row = table[i]
        return carry * 0.5 + row, row.sum()

    last, _ = chainrule.scan(step, chainrule.zeros(3, dtype=chainrule.float64), chainrule.tensor(places))
    last.sum().backward()
    other = torch.tensor(entries((5, 3), "float64", "table"), requires_grad=True)
    carry = torch.zeros(3, dtype=torch.float64)
    for i in places:
        carry = carry * 0.5 + other[i]
    carry.sum().backward()
    assert not difference(table.grad, other.grad)


def _refused(of: Any, call: str) -> Exception:
    x, i = of.arange(12.0).reshape(3, 4), of.tensor([0, 1, 2])
    with pytest.raises(Exception) as caught:
        eval(call, {"lib": of, "x": x, "i": i, "v": of.zeros(3)})
    return caught.value


SMALL = r"src \({}\) is smaller than the index \(3,\)"


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        *[
            (f"v.scatter_reduce({arguments}, {reduce!r})", error, f"scatter_reduce: {text}")
            for reduce in ("sum", "mean", "prod", "amax", "amin")
            for arguments, error, text in (
                ("0, i, lib.ones(1)", ShapeError, SMALL.format("1,")),
                ("0, i, lib.ones(2)", ShapeError, SMALL.format("2,")),
                ("0, i, lib.ones(3, 1)", ShapeError, SMALL.format("3, 1")),
                ("0, i, lib.ones(3).double()", DTypeError, "a .*float32 tensor takes entries of its own type"),
                ("0, i + 1, lib.ones(3)", IndexRangeError, r"the places go from 1 to 3, possible are 0 … 2\."),
                ("0, i.float(), lib.ones(3)", DTypeError, "places are integers"),
                ("0, i[None], lib.ones(1, 3)", ShapeError, ".* must have as many dimensions"),
                ("5, i, lib.ones(3)", IndexRangeError, "dimension 5 of a 1-d tensor"),
            )
        ],
        ("v[0].scatter_reduce(5, i[0], v[0], 'sum')", IndexRangeError, "scatter_reduce: dimension 5 of a 0-d tensor"),
        ("x.take_along_dim(i[:, None] + 2, 1)", IndexRangeError, "take_along_dim: .* 2 to 4, possible are -4 … 3"),
        ("x.take_along_dim(i[:, None] - 5, 1)", IndexRangeError, "take_along_dim: the places go from -5 to -3,"),
        ("x.take_along_dim(i + 12)", IndexRangeError, "take_along_dim: .* 12 to 14, possible are -12 … 11"),
        ("x.take_along_dim(i[:, None].float(), 1)", DTypeError, "take_along_dim: places are integers"),
        ("x.take_along_dim(i[:, None], 2)", IndexRangeError, "take_along_dim: dimension 2 of a 2-d tensor"),
        ("lib.slice_scatter(x, x, dim=5)", IndexRangeError, "slice_scatter: dimension 5 of a 2-d tensor"),
        ("lib.slice_scatter(v[0], v[0])", IndexRangeError, "slice_scatter: a single number has no dimension"),
        ("lib.scatter(v, 0, i)", TypeError, r"scatter: give src or value\."),
        ("lib.scatter(v, 0, i, v, value=1)", TypeError, "scatter: give src or value, not both"),
    ],
)
def test_refusals_name_the_function_that_was_called(call: str, error: type[Exception], text: str) -> None:
    assert "take_along_dim" in call or _refused(torch, call)  # there PyTorch counts round and round
    found = _refused(chainrule, call)
    assert isinstance(found, error), repr(found)
    assert re.match(text, str(found)), str(found)
