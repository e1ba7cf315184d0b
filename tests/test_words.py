"""NumPy's words, `out=` and PyTorch's deprecated words: what they do, against PyTorch."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import chainrule
from chainrule import nn
from chainrule.functions import words

#: The same text runs in both frameworks; x is (3, 4), v a vector of 4, i whole numbers.
SAME = """
lib.sum(x, axis=1)
lib.sum(x, axis=(0, 1), keepdims=True)
x.sum(axis=0, keepdims=True)
x.mean(axis=-1, keepdims=True)
lib.exp(x=x)
lib.add(x1=x, x2=x, alpha=2)
lib.softmax(x, axis=0)
lib.logsumexp(x, axis=(0, 1), keepdims=True)
lib.cat([x, x], axis=1)
lib.stack([x, x], axis=-1)
x.argmax(axis=1, keepdims=True)
x.max(axis=1, keepdims=True)[0]
lib.max(x, other=x + 1)
x.min(other=x - 1)
lib.var(x, axis=1, keepdims=True)
lib.std(x, axis=1, correction=0)
x.cumsum(axis=1)
x.clone().cumsum_(axis=0)
x.clone().add_(other=x, alpha=3)
x.clone().clamp_(min=0, max=1)
lib.squeeze(x[None], axis=0)
x.unsqueeze(axis=0)
lib.flip(x, dims=[0])
x.permute(dims=(1, 0))
x.reshape(shape=(4, 3))
lib.reshape(input=x, shape=(4, 3))
lib.permute(input=x, dims=(1, 0))
lib.tile(input=x, dims=(1, 2))
lib.flip(input=x, dims=(0,))
x.view(size=(2, 6))
x.expand(size=(2, 3, 4))
x.repeat(repeats=(2, 1))
x.tile(dims=(2,))
lib.broadcast_to(v, size=(3, 4))
lib.swapaxes(x, axis0=0, axis1=1)
x.split(split_size=2)[1]
lib.tensor_split(x, sections=2, dim=1)[0]
lib.tensor_split(x, indices=(1,), dim=1)[1]
lib.hsplit(x, sections=2)[0]
lib.diff(x, prepend=x[:, :1], append=x[:, -1:])
lib.diag_embed(v, offset=1)
lib.diag_embed(x, offset=-2, dim1=0, dim2=2)
lib.norm(x.to(lib.float32), dtype=lib.float64)
lib.linalg.norm(x, axis=1, keepdims=True)
lib.linalg.vector_norm(input=x, ord=3)
lib.linalg.cond(input=x[:, :3], p=1)
lib.linalg.matrix_rank(x, atol=0.5, rtol=0.0)
lib.linalg.pinv(x, rtol=0.3)
lib.rsub(x, 1, alpha=2)
lib.searchsorted(v.flip(0), 0.5, sorter=v.flip(0).argsort())
lib.isin(element=1.0, test_elements=x)
lib.repeat_interleave(v, 2, output_size=8)
lib.tril_indices(3, 4, dtype=lib.int32)
lib.vdot(v, other=v)
x.new_zeros(size=(2,), requires_grad=False)
x.new(2, 0)
x.new([1, 2])
lib.Tensor(2, 0)
lib.Tensor([1.5])
lib.ones(2, layout=lib.strided, pin_memory=False)
x.to(memory_format=lib.contiguous_format)
x.clone(memory_format=lib.preserve_format)
x[None, None].contiguous(memory_format=lib.channels_last)
lib.zeros_like(x, memory_format=lib.preserve_format)
x.is_contiguous(memory_format=lib.contiguous_format)
x.to("cpu", lib.float32, False, True)
v.to(lib.float32).view(dtype=lib.int32)
v.view(lib.uint8)
x.clone().fill_diagonal_(7, wrap=True)
x.t().clone().fill_diagonal_(7, wrap=True)
lib.zeros(7, 2).fill_diagonal_(7, wrap=True)
lib.unique(x.round(), dim=0)
lib.unique(i, dim=1, return_counts=True)[1]
lib.histogram(v)[0]
i << 2
i >> 1
1 << i.abs() % 8
lib.bitwise_left_shift(i, other=lib.tensor(70))
lib.gcd(i, lib.tensor(6))
lib.lcm(i, lib.tensor(6))
lib.qr(x)[1].abs()
lib.svd(x)[1]
(lambda u, s, w: u * s @ w.T)(*lib.svd(x))
lib.svd(x, compute_uv=False)[2]
lib.pinverse(x)
lib.cholesky_solve(x.t()[:3], lib.linalg.cholesky(x @ x.t()))
lib.cholesky_inverse(lib.linalg.cholesky(x @ x.t()))
lib.nn.functional.mse_loss(x, x + 1, False)
lib.nn.functional.mse_loss(x, x + 1, reduce=False)
lib.nn.functional.cross_entropy(x, lib.tensor([0, 1, 2]), None, False)
lib.nn.functional.cross_entropy(x, lib.tensor([0, 1, 2]), None, None, 1)
lib.nn.functional.poisson_nll_loss(x, x.abs(), True, False, False, 1e-8)
lib.nn.functional.kl_div(x, x.softmax(1), size_average=False)
lib.nn.MSELoss(False)(x, x + 1)
lib.nn.CrossEntropyLoss(None, True, 1)(x, lib.tensor([0, 1, 2]))
lib.nn.BCEWithLogitsLoss(size_average=False)(x, x.sigmoid())
lib.nn.MultiMarginLoss(reduce=False)(x, lib.tensor([0, 1, 2]))
""".strip().splitlines()


def given(framework: Any) -> dict[str, Any]:
    x = np.sin(np.arange(12.0) ** 2 * 1.7).reshape(3, 4) * 2
    i = np.array([[5, -3, 5], [7, 12, 7]])
    return {"lib": framework, "x": framework.tensor(x), "v": framework.tensor(x[0]), "i": framework.tensor(i)}


@pytest.mark.peer
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("source", SAME)
def test_the_words_mean_what_they_mean_in_pytorch(source: str) -> None:
    torch = pytest.importorskip("torch")
    ours, theirs = (eval(source, given(framework)) for framework in (chainrule, torch))
    assert isinstance(ours, bool) or str(ours.dtype).split(".")[-1] == str(theirs.dtype).split(".")[-1]
    single = not isinstance(ours, bool) and ours.dtype is chainrule.float32
    np.testing.assert_allclose(np.asarray(ours), np.asarray(theirs), rtol=1e-5 if single else 1e-10, atol=1e-12)


#: Functions with a tensor to write into: as written, without `out`.
WRITTEN = (
    "log(x.abs())", "sum(x, 0)", "mean(x, 1)", "matmul(x, x.t())", "cat([x, x])", "stack([x, x])", "zeros(2)", "cumsum(x, 1)",
    "max(x, 1)", "sort(x, 0)", "topk(x, 2)", "add(x, x)", "clamp(x, 0, 1)", "linalg.inv(x[:, :3])", "where(x > 0, x, 0 * x)",
    "linalg.qr(x)", "randn(3)", "arange(4.0)", "std(x, 0)", "var_mean(x, 0)", "sigmoid(x)", "erf(x)", "lgamma(x)",
)  # fmt: skip


@pytest.mark.parametrize("source", WRITTEN)
def test_out_holds_the_result_and_is_returned(source: str) -> None:
    names = given(chainrule)
    generator = chainrule.default_generator.get_state()
    wanted = eval(f"lib.{source}", names)
    chainrule.default_generator.set_state(generator)
    parts = wanted if isinstance(wanted, tuple) else (wanted,)
    for size in ("same", "empty"):
        places = tuple(part.new_zeros(part.shape if size == "same" else (0,)) for part in parts)
        names["place"] = places if isinstance(wanted, tuple) else places[0]
        chainrule.default_generator.set_state(generator)
        result = eval(f"lib.{source[:-1]}, out=place)", names)
        results = result if isinstance(result, tuple) else (result,)
        assert type(result) is type(wanted)
        assert all(r is place for r, place in zip(results, places, strict=True))
        assert all(chainrule.equal(place, part) for place, part in zip(places, parts, strict=True))


def test_out_refuses_what_does_not_fit() -> None:
    x = chainrule.ones(3)
    with pytest.raises(chainrule.DTypeError, match="float32 cannot be put into a chainrule.int64"):
        chainrule.exp(x, out=chainrule.zeros(3, dtype="int64"))
    with pytest.raises(chainrule.ShapeError, match=r"\(2,\).*\(3,\)"):
        chainrule.exp(x, out=chainrule.zeros(2))
    with pytest.raises(chainrule.ShapeError, match="1 tensors for 2 results"):
        chainrule.sort(x, out=(chainrule.zeros(3),))
    with pytest.raises(chainrule.GradientError, match="records no gradient"):
        chainrule.exp(x.clone().requires_grad_(), out=chainrule.zeros(3))
    with pytest.raises(TypeError, match="unexpected keyword argument 'out'"):
        x.add_(1, out=x)  # type: ignore[call-arg]


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("equal(x, x, out=x)", "equal gives bool, no tensor.*leave it out"),
        ("equal(x, x, out=(x,))", "equal gives bool, no tensor"),
        ("broadcast_shapes((2,), (1,), out=x)", "broadcast_shapes gives Size, no tensor"),
        ("max(x, 1, out=x)", "max gives .*, no tensor.*a tuple of 2 tensors"),
        ("exp(x, out=(x,))", "exp.*takes a tensor as out=, got tuple"),
        ("exp(x, out=3)", "exp.*takes a tensor as out=, got int"),
    ],
)
def test_out_is_for_functions_that_give_tensors(source: str, says: str) -> None:
    with pytest.raises(TypeError, match=says):
        eval(f"lib.{source}", given(chainrule))


def test_teach_can_leave_out_away_from_a_class_of_methods() -> None:
    class Methods:
        exp = chainrule.functions.elementwise.exp

        def twice(self: Any, *shape: int) -> Any:
            return shape

    Methods.__module__ = Methods.twice.__module__ = "chainrule.functions.somewhere"
    words.teach(Methods, out=False)
    assert not Methods.twice.words.out and Methods.twice(None, shape=(2, 3)) == (2, 3)  # type: ignore
    assert Methods.exp is chainrule.exp and chainrule.exp.words.out


def test_a_view_given_as_out_writes_into_its_base() -> None:
    x = chainrule.zeros(2, 3)
    chainrule.exp(chainrule.zeros(3), out=x[1])
    assert x.tolist() == [[0, 0, 0], [1, 1, 1]]


def test_two_words_for_one_argument_and_unknown_words_are_refused() -> None:
    x = chainrule.ones(2, 3)
    with pytest.raises(TypeError, match="axis and dim are two words"):
        x.sum(axis=0, dim=1)  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="unexpected keyword argument 'axes'"):
        x.sum(axes=0)  # type: ignore[call-arg]
    for layout in (chainrule.sparse_coo, chainrule.channels_last, "sparse_coo", "strided"):
        with pytest.raises(chainrule.ChainruleError, match=r"zeros.*dense.*`\.to_sparse\(\)` makes a sparse one of it"):
            chainrule.zeros(2, layout=layout)  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="unexpected keyword argument 'dtpye'"):
        x.to(dtpye="float64")


def test_gradients_go_through_as_ever() -> None:
    x = chainrule.ones(2, 3, requires_grad=True)
    (x * 2).sum(axis=1, keepdims=True).sum().backward()  # type: ignore[call-arg]
    assert x.grad.tolist() == [[2, 2, 2], [2, 2, 2]]


def test_old_words_of_losses() -> None:
    loss = nn.CrossEntropyLoss(size_average=False, ignore_index=0)  # type: ignore[call-arg]
    assert loss.reduction == "sum" and loss.ignore_index == 0
    assert nn.L1Loss(reduce=False).reduction == "none"  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="say reduction='sum', by name"):
        nn.functional.mse_loss(chainrule.ones(2), chainrule.ones(2), "sum")
    with pytest.raises(TypeError, match="multiple values for argument 'reduction'"):
        nn.functional.mse_loss(chainrule.ones(2), chainrule.ones(2), None, None, "sum", reduction="mean")  # type: ignore[call-arg]


def test_range_includes_its_end_and_warns() -> None:
    with pytest.warns(UserWarning, match="arange"):
        assert chainrule.range(0, 1, 0.1).shape == (11,)
    with pytest.warns(UserWarning):
        assert chainrule.range(3, 1, -1).tolist() == [3, 2, 1]
