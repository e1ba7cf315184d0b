"""Functions that move entries, products over shared dimensions, and what is refused, against PyTorch."""

from __future__ import annotations

import itertools
import re
from typing import Any

import numpy as np
import pytest
from peer_comparison import DTYPES, Given, check, entries, expression, lines, numpy_dtype

import chainrule

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.peer

SHAPES = """
x.reshape(12)
x.reshape(4, -1)
x.reshape(-1)
x.reshape((2, 6))
x.reshape([2, 2, 3])
x.reshape(5)
x.reshape(-1, -1)
x.reshape(-1, 5)
x.reshape(3, 4, 1)
lib.reshape(x, (6, 2))
x.clone().view(2, -1)
x.clone().view(lib.Size([12]))
x.clone().view(7)
x.contiguous().view_as(lib.zeros(2, 6))
x.reshape_as(lib.zeros(2, 6))
x.flatten()
x.flatten(1)
x.flatten(0, 1)
x.flatten(1, 0)
x.flatten(5)
x.ravel()
x.unflatten(0, (-1, 1))
x.unflatten(-1, (2, -1))
x.unflatten(-1, (3, 3))
x.squeeze()
x.squeeze(0)
x.squeeze(-1)
x.squeeze((0, 1))
x.squeeze(4)
x.unsqueeze(0)
x.unsqueeze(-1)
x.unsqueeze(1)
x.unsqueeze(5)
x.unsqueeze(-5)
x.permute(1, 0)
x.permute((1, 0))
x.permute(-1, 0)
x.permute(0, 0)
x.permute(0)
x.permute(2, 0, 1)
lib.permute(x, (1, 0))
x.transpose(0, 1)
x.transpose(-1, 0)
x.transpose(0, 3)
lib.swapaxes(x, 0, 1)
x.swapdims(0, 1)
x.T
x.t()
x.mT
x.movedim(0, -1)
x.movedim((0, 1), (1, 0))
x.moveaxis(0, 1)
x.movedim(0, 5)
x.movedim((0, 0), (0, 1))
x.expand(2, 3, 4)
x.expand(-1, 4)
x.expand(3, -1)
x.expand(5, 4)
x.expand(4)
x.expand(-1, 3, 4)
x.expand_as(lib.zeros(2, 3, 4))
x.broadcast_to((2, 3, 4))
lib.broadcast_to(x, (3, 4))
lib.broadcast_tensors(x, lib.zeros(1))
lib.broadcast_tensors(x, lib.zeros(7, 7))
lib.broadcast_shapes((3, 1), (4,), (1, 1, 1))
lib.broadcast_shapes((3,), (4,))
x.repeat(2, 1)
x.repeat(2, 3, 1)
x.repeat((1, 2))
x.repeat(0, 1)
x.repeat(2)
x.tile((2,))
x.tile(2, 2, 1)
lib.tile(x, (2, 2))
x.repeat_interleave(2)
x.repeat_interleave(3, dim=0)
x.repeat_interleave(2, -1)
x.repeat_interleave(0, dim=1)
x.repeat_interleave(lib.tensor([1, 0, 2]), dim=0)
x.repeat_interleave(lib.tensor([1, 0, 2, 1]), dim=1)
x.flip(0)
x.flip((0, 1))
x.flip(0, -1)
x.flip([1])
x.flip(3)
x.flip(0, 0)
lib.flip(x, (0,))
x.fliplr()
x.flipud()
x.roll(1)
x.roll(-2)
x.roll(1, 0)
x.roll((1, -1), (0, 1))
x.roll(7, -1)
x.roll((1, 2), 0)
lib.roll(x, shifts=1, dims=1)
x.narrow(0, 0, 2)
x.narrow(1, 1, 2)
x.narrow(-1, -2, 1)
x.narrow(0, 2, 5)
x.narrow(0, 0, -1)
x.select(0, 1)
x.select(1, -1)
x.select(0, 5)
x.split(2)
x.split(2, 1)
x.split([1, 2], 0)
x.split((1, 3), dim=-1)
x.split([1, 1], 0)
x.split(0)
x.split(-1)
lib.split(x, 1, dim=1)
x.chunk(2)
x.chunk(3, 1)
x.chunk(7)
x.chunk(0)
lib.chunk(x, 2, dim=-1)
x.unbind()
x.unbind(1)
x.unbind(4)
x.diagonal()
x.diagonal(1)
x.diagonal(-1)
x.diagonal(0, 1, 0)
x.diagonal(5)
x.diag()
x.diag(1)
x.diag(-1)
lib.diag(x.flatten(), -1)
lib.diag_embed(x)
x.trace()
x.tril()
x.tril(1)
x.tril(-1)
x.triu()
x.triu(1)
x.triu(-7)
x.clone()
x.contiguous()
x.detach()
lib.clone(x)
lib.cat([x, x])
lib.cat((x, x), 1)
lib.cat([x, x], dim=-1)
lib.cat([x, x[:0]])
lib.cat([x, lib.zeros(0)])
lib.cat([x, x.T])
lib.cat([])
lib.cat([x], 5)
lib.cat(x)
lib.stack([x, x])
lib.stack([x, x], 1)
lib.stack([x, x], dim=-1)
lib.stack([x, x], 3)
lib.stack([x, x.T])
lib.stack([])
lib.hstack([x, x])
lib.vstack([x, x])
pad(x, (1, 2))
pad(x, (1, 2, 0, 1))
pad(x.reshape(-1, 1).expand(-1, 2), (-1, 1), value=3)
pad(x, (1, 1, 1, 1, 1, 1, 1, 1))
pad(x, (1,))
"""

EXTRA_SHAPES = [(), (0,), (1,), (12,), (1, 3, 1), (2, 0), (3, 4), (2, 3, 2)]


def _inputs() -> list[list[Given]]:
    cases = [[Given(entries(shape, "float64", "x"))] for shape in EXTRA_SHAPES]
    cases += [[Given(entries((3, 4), dtype, "x"))] for dtype in DTYPES]
    cases += [
        [Given(entries((4, 3), "float32", "x"), "transposed")],
        [Given(entries((6, 4), "float32", "x"), "strided")],
        [Given(entries((1, 4), "float32", "x"), "expanded")],
    ]
    return cases


@pytest.mark.parametrize("text", lines(SHAPES))
def test_shapes(text: str) -> None:
    check(text, _inputs())


MATMUL_SHAPES = [
    (),
    (3,),
    (4,),
    (0,),
    (3, 4),
    (4, 3),
    (4, 0),
    (0, 4),
    (1, 4),
    (2, 3, 4),
    (2, 4, 3),
    (1, 4, 3),
    (5, 1, 3, 4),
    (2, 4, 3, 1),
    (2, 0, 4),
    (0, 3, 4),
]


def test_matmul_of_all_ranks() -> None:
    pairs = list(itertools.product(MATMUL_SHAPES, repeat=2))
    check("x @ y", [[Given(entries(a, "float64", "x")), Given(entries(b, "float64", "y"))] for a, b in pairs])


PRODUCTS = """
x @ y
lib.matmul(x, y.T)
x.T @ y
x.T.matmul(y)
lib.mm(x.T, y)
lib.mm(x, y)
lib.bmm(x.unsqueeze(0), y.T.unsqueeze(0))
lib.bmm(x, y)
lib.mv(x, y[0])
lib.mv(x, y)
lib.dot(x[0], y[0])
lib.dot(x, y)
lib.dot(x[0], y[0, :2])
lib.inner(x, y)
lib.outer(x[0], y[1])
lib.outer(x, y)
lib.addmm(lib.ones(4).to(x.dtype), x.T, y)
lib.addmm(lib.ones(4, 4).to(x.dtype), x.T, y, beta=2, alpha=3)
lib.addmm(lib.ones(7).to(x.dtype), x.T, y)
lib.tensordot(x, y, 2)
lib.tensordot(x, y, dims=([1], [1]))
lib.tensordot(x, y, dims=0)
lib.tensordot(x, y.T, dims=1)
"""


@pytest.mark.parametrize("text", lines(PRODUCTS))
def test_products(text: str) -> None:
    pairs = [[Given(entries((3, 4), d, "x")), Given(entries((3, 4), d, "y"))] for d in DTYPES if d != "bool"]
    pairs += [
        [
            Given(entries((4, 3), "float64", "x"), "transposed"),
            Given(entries((6, 4), "float64", "y"), "strided"),
        ],
        [Given(entries((3, 4), "float64", "x")), Given(entries((3, 4), "float32", "y"))],
        [Given(entries((3, 4), "float64", "x")), Given(entries((3, 4), "int64", "y"))],
    ]
    check(text, pairs)


EINSUM = """
ij->ij; 34
ij->ji; 34
ij->; 34
ij->i; 34
ij->j; 34
ij; 34
ji; 34
ii; 33
ii->i; 33
ii->; 33
iij->ij; 334
iji->j; 343
iii->i; 333
...->...; 234
...ij->...ji; 234
...i->...; 234
i...->...; 234
b...->...b; 234
...; 34
i,i; 4 4
i,i->; 4 4
i,i->i; 4 4
i,j->ij; 3 4
i,j; 3 4
i,j->ji; 3 4
ij,j->i; 34 4
ij,jk; 34 45
ij,jk->ik; 34 45
ij,jk->ki; 34 45
ij,kj->ik; 34 54
ik,jk->ij; 34 54
ji,jk->ik; 43 45
ij,ij->; 34 34
ij,ij->ij; 34 34
ij,ij->i; 34 34
ij,kl->; 34 25
ij,kl->ijkl; 34 25
ij,kl->ik; 34 25
bij,bjk->bik; 234 245
bij,bkj->bik; 234 254
bij,jk->bik; 234 45
bij,bjk->ik; 234 245
bhqd,bhkd->bhqk; 2345 2365
bhqk,bhkd->bqhd; 2356 2364
...ij,...jk->...ik; 234 245
...ij,...jk->...ik; 234 45
...ij,jk->...ik; 6234 45
...i,...i->...; 234 34
i...,i...->...; 34 34
ij,...jk->...ik; 34 245
...j,j->...; 234 4
bi,oij,bj->bo; 23 534 24
i,ij,j->; 3 34 4
ij,jk,kl->il; 23 34 45
ij,jk,ki->; 34 45 53
i,j,k->ijk; 2 3 4
i,i,i->i; 3 3 3
ii,ij->j; 33 34
ii,jj->; 33 44
iij,j->i; 334 4
a,b->; 2 3
a1->a; 34
ij,ij; 34 31
ij,jk->ik; 31 45
ij,jk->ik; 34 55
ij->ik; 34
ij->ii; 34
ijk->i; 34
ij,jk->ik; 34
i->i->i; 3
ij,jk->ik; 30 04
ij,jk->ik; 04 45
I,i->Ii; 3 4
 i j , j k -> i k ; 34 45
"""


@pytest.mark.parametrize("text", lines(EINSUM))
def test_einsum(text: str) -> None:
    equation, _, shapes = text.partition(";")
    arrays = [
        entries([int(digit) for digit in shape], "float64", f"{text}{i}") for i, shape in enumerate(shapes.split())
    ]
    names = ("x", "y", "z")[: len(arrays)]
    call = expression(f"lib.einsum({equation!r}, {', '.join(names)})", names)
    check(text, [[Given(array) for array in arrays]], call=call)


@pytest.mark.parametrize(
    "text",
    lines("""
i,j->ij; 3 4
bi,bj->bij; 23 24
bld,dn->bldn; 234 45
ij,j->ij; 34 4
ij,jk->ik; 31 14
ij,jk->ik; 34 14
ij,k->i; 34 5
i,j,k->ijk; 2 3 4
...i,...j->...ij; 123 24
ij,jk->ik; 34 45
i,i->; 3 3
"""),
)
@pytest.mark.parametrize(
    "kinds", ["int64 float32", "float64 float32", "float16 float32", "bool float64", "int32 int64"]
)
def test_einsum_of_two_types(text: str, kinds: str) -> None:
    """Entries times entries promote, as with rotary positions; what shares a sum has one type."""
    equation, _, shapes = text.partition(";")
    found: list[Any] = []
    for lib in (torch, chainrule):
        operands = [
            lib.tensor(entries([int(digit) for digit in shape], "float64", f"{text}{i}")).to(getattr(lib, kind))
            for i, (shape, kind) in enumerate(zip(shapes.split(), [*kinds.split(), "float32"], strict=False))
        ]
        try:
            found.append(lib.einsum(equation, *operands))
        except (RuntimeError, chainrule.DTypeError) as error:
            found.append(error)
    want, have = found
    if isinstance(want, Exception):
        assert isinstance(have, chainrule.DTypeError) and "one data type" in str(have)
    else:
        assert str(have.dtype)[10:] == str(want.dtype)[6:]
        np.testing.assert_allclose(have.numpy(), want.numpy(), rtol=1e-6)


def test_einsum_takes_a_list_and_mixes_layouts() -> None:
    check(
        "lib.einsum('ij,jk->ik', [x, y])",
        [
            [
                Given(entries((4, 3), "float32", "x"), "transposed"),
                Given(entries((8, 2), "float32", "y"), "strided"),
            ]
        ],
    )


def test_large_sums_stay_close() -> None:
    """10⁵ rows of float32: both stay within 1e-6 of the exact sum."""
    rows = entries((100_000, 3), "float32", "rows", 0, 1)
    exact = rows.astype(np.float64).sum(0)
    assert np.allclose(np.asarray(chainrule.tensor(rows).sum(0)), exact, rtol=1e-6)
    assert numpy_dtype("float32") == rows.dtype


# --------------------------------------------------------------------------------------------- misuse

# What is done wrong with x (2, 3) and y (4, 5), and what the message must name.
MISUSE = {
    "x + y": "(2, 3) (4, 5)",
    "x @ y": "matmul (2, 3) (4, 5)",
    "x @ x": "matmul (2, 3) mT",
    "lib.mm(x, x[0])": "mm (2, 3) (3,)",
    "lib.dot(x, x)": "dot (2, 3)",
    "x.reshape(5)": "reshape (2, 3) (5,)",
    "x.reshape(4, -1)": "reshape (4, -1)",
    "x.expand(5, 3)": "expand (2, 3) (5, 3)",
    "x.permute(0, 0)": "permute (2, 3)",
    "x.sum(2)": "sum 2 2-d",
    "x.max(5)": "max 5 2-d",
    "x.squeeze(4)": "squeeze 4",
    "lib.cat([x, y])": "cat (2, 3) (4, 5)",
    "lib.stack([x, y])": "stack (2, 3) (4, 5)",
    "x.split([1, 2])": "split [1, 2] 2",
    "x.narrow(0, 1, 5)": "narrow 5 2",
    "x.sum().narrow(0, 0, 1)": "narrow 0-d",
    "x.sum().select(0, 0)": "select 0-d",
    "x[5]": "index (2, 3) 5",
    "x[x[0] > 0]": "mask (3,) (2, 3)",
    "x.gather(0, lib.zeros(1, dtype=lib.int64))": "gather (1,) (2, 3)",
    "x.gather(0, lib.tensor([[7]]))": "gather 7 1",
    "x.gather(0, x)": "gather float32 long",
    "x.scatter(0, lib.tensor([[0]]), x.double())": "scatter float32 float64",
    "x.index_select(0, lib.tensor([9]))": "index_select 9",
    "x.masked_fill(x, 0)": "masked_fill float32",
    "lib.where(x, x, x)": "where float32",
    "lib.einsum('ij,jk->ik', x, y)": "einsum 3 4",
    "lib.einsum('ijk->i', x)": "einsum 3 2",
    "x.topk(9)": "topk 9 3",
    "x.item()": "item (2, 3)",
    "bool(x)": "(2, 3) any",
    "x & 1": "& float32",
    "x.long().mean()": "mean int64 float",
    "x.double() @ x.mT": "matmul float64 float32",
    "lib.tensor([[1], [2, 3]])": "lengths",
    "lib.tensor('a')": "str",
    "lib.zeros(2, -1)": "zeros (2, -1)",
    "lib.tensor([1], dtype='quaternion')": "quaternion float32",
    "lib.zeros(2, device='cuda')": 'cuda JAX "cpu"',
    "lib.arange(3).add_(0.5)": "float32 int64",
    "x.add_(lib.zeros(4, 2, 3))": "(2, 3) (4, 2, 3)",
    "x.expand(2, 2, 3).add_(1)": "expanded clone",
}


@pytest.mark.parametrize("text", MISUSE)
def test_misuse_is_refused_in_words(text: str) -> None:
    for lib in (chainrule, torch):
        x, y = lib.ones(2, 3), lib.ones(4, 5)
        with pytest.raises(Exception) as caught:
            expression(text, ("x", "y"))(lib, x, y)
    x, y = chainrule.ones(2, 3), chainrule.ones(4, 5)
    with pytest.raises((chainrule.ChainruleError, ValueError)) as caught:
        expression(text, ("x", "y"))(chainrule, x, y)
    message = str(caught.value)
    missing = [word for word in re.findall(r"\([^)]*\)|\[[^]]*\]|\S+", MISUSE[text]) if word not in message]
    assert not missing, f"{message!r} does not name {missing}"
