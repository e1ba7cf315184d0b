"""Lines as they stand in programs written for PyTorch print the same in both frameworks."""

from __future__ import annotations

import re
from typing import Any

import pytest

import chainrule

pytestmark = pytest.mark.peer
torch = pytest.importorskip("torch")

LINES = [
    # numbers in texts
    "f'{lib.tensor(2.5)}', f'{lib.tensor(3)}', f'{lib.tensor(True)}', f'{lib.tensor(1 / 3)}'",
    "f'{lib.tensor(2.5, requires_grad=True)} {lib.tensor(2.5, requires_grad=True) * 2:.2f}'",
    "f'{lib.tensor([1.5])}', f'{lib.ones(2, 2)}', f'{lib.ones(()):>8.3f}', f'{lib.tensor(7):5d}', f'{lib.tensor(7):.1f}'",
    "'loss %.3f' % lib.tensor(2.5), '{:.1f} {}'.format(lib.tensor(2.5), lib.tensor(1.25)), str(lib.tensor(2.5))",
    # types by the old names
    "lib.ones(2).type(lib.LongTensor), lib.ones(2).type(lib.BoolTensor).dtype, lib.ones(2).type('{lib}.HalfTensor').dtype",
    "isinstance(lib.ones(2), lib.FloatTensor), isinstance(lib.ones(2), lib.LongTensor), isinstance(1, lib.LongTensor)",
    "lib.ones(2).int().type(lib.ones(2).type())",
    "lib.FloatTensor([[1, 2]]), lib.LongTensor([1, 2]).dtype, lib.ByteTensor([1, 0]), lib.DoubleTensor(2, 3).shape",
    # quantiles
    "lib.quantile(lib.arange(7.0), lib.tensor([0.25, 0.6]))",
    "lib.quantile(lib.arange(12.0).reshape(3, 4) ** 2, lib.tensor([0.1, 0.5, 1.0]), dim=1)",
    "lib.quantile(lib.arange(12.0).reshape(3, 4) ** 2, lib.tensor([0.1, 0.5]), dim=0, keepdim=True).shape",
    "lib.quantile(lib.arange(12.0).reshape(3, 4), lib.tensor([0.1, 0.5]), keepdim=True).shape",
    "[lib.quantile(lib.arange(6.0) ** 2, 0.3, interpolation=i) for i in ('linear', 'lower', 'higher', 'midpoint', 'nearest')]",
    "lib.arange(6.0).quantile(0.5, interpolation='nearest'), lib.arange(6.0).quantile(0.3, interpolation='nearest')",
    # a place for the result
    "(r := lib.zeros(2, 2), lib.matmul(lib.ones(2, 3), lib.ones(3, 2), out=r) is r, r)",
    "(r := lib.zeros(2), lib.add(lib.ones(2), 1, out=r), lib.mul(r, r, out=r), lib.sub(r, 1, out=r), lib.div(r, 2, out=r), r)",
    "(r := lib.zeros(2, 2), lib.mm(lib.ones(2, 3), lib.ones(3, 2), out=r), lib.cat([lib.ones(1, 2)] * 2, out=r), r)",
    "(r := lib.zeros(2, dtype=lib.float64), lib.mul(lib.ones(2), 3, out=r), r)",
    "(r := lib.zeros(3, 2), lib.mul(lib.ones(2), 3, out=r[1]), r)",
    # arguments of autograd.grad
    "(x := lib.ones(2, requires_grad=True)) is None or lib.autograd.grad(x.sum(), x, only_inputs=True)",
    "(x := lib.ones(2, requires_grad=True)) is None or lib.autograd.grad((x ** 2).sum(), [x, lib.ones(1, requires_grad=True)], "
    "materialize_grads=True)",
    "(x := lib.arange(2., requires_grad=True)) is None or lib.autograd.grad(x ** 2, x, lib.eye(2), is_grads_batched=True)",
    # modules as they print
    "lib.nn.ParameterList([lib.ones(1), lib.nn.Parameter(lib.ones(2, 3, dtype=lib.float64))])",
    "lib.nn.ParameterList()",
    "lib.nn.ParameterList([lib.nn.ParameterList([lib.ones(2)]), 3, None, lib.ones(1)])",
    "lib.nn.ParameterDict({'a': lib.nn.ParameterDict({'b': lib.ones(2)}), 'c': lib.nn.Linear(1, 1), 'd': 3})",
    "lib.nn.ParameterDict({'left': lib.ones(2), 'right': lib.nn.Parameter(lib.zeros(2, 2))})",
    "lib.nn.Sequential(lib.nn.Linear(1, 2), lib.nn.ParameterList([lib.ones(1)]))",
    # what a scheduler saves
    "(o := lib.optim.SGD([lib.nn.Parameter(lib.ones(1))], lr=0.1)) is None or "
    "lib.optim.lr_scheduler.ExponentialLR(o, 0.9).state_dict()",
]  # fmt: skip


def printed(lib: Any, line: str) -> str:
    text = str(eval(line.replace("'{lib}.", f"'{lib.__name__}."), {"lib": lib}))
    return re.sub(r",\s*grad_fn=<\w+>", "", text).replace("chainrule.", "").replace("torch.", "")


@pytest.mark.parametrize("line", LINES)
def test_a_line(line: str) -> None:
    assert printed(chainrule, line) == printed(torch, line)


REFUSED = [
    ("lib.mul(lib.ones(2, requires_grad=True), 3, out=lib.ones(2))", "out=", RuntimeError),
    ("lib.mul(lib.ones(2), 3, out=lib.ones(2, requires_grad=True))", "out=", RuntimeError),
    ("lib.add(lib.ones(2), 0.5, out=lib.ones(2, dtype=lib.int64))", "int64|Long", RuntimeError),
    ("lib.quantile(lib.ones(2), 0.5, interpolation='odd')", "interpolation", (ValueError, RuntimeError)),
    ("lib.quantile(lib.ones(2), lib.tensor([0.5, 1.5]))", r"\[?0, 1\]", RuntimeError),
    ("type('Bad', (lib.nn.Module,), {'__init__': lambda self: setattr(self, 'l', lib.nn.Linear(1, 1))})()", "__init__", AttributeError),
]  # fmt: skip


@pytest.mark.parametrize(("line", "says", "error"), REFUSED)
@pytest.mark.parametrize("lib", [chainrule, torch], ids=["chainrule", "torch"])
def test_a_refused_line(lib: Any, line: str, says: str, error: Any) -> None:
    with pytest.raises(error, match=says):
        eval(line, {"lib": lib})
