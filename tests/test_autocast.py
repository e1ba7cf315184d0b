"""Autocast computes in the types that PyTorch's does on a CPU, eager and compiled; gradients have their own types."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import chainrule
from chainrule import nn
from chainrule.functions import autocasting
from chainrule.train import Trainer


@pytest.fixture(autouse=True)
def has_been_said(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What is said once is not said here."""
    monkeypatch.setattr(autocasting, "_said", ["said"])
    return


Case = Callable[[Any, Any], Any]


def random(lib: Any, *shape: int, half: bool = False) -> Any:
    x = lib.tensor(np.random.default_rng(sum(shape)).uniform(0.1, 0.9, shape).astype("float32"))
    return x.bfloat16() if half else x


def loss(name: str, *more: Any) -> Case:
    """A loss of two tensors of halves."""

    def case(lib: Any, F: Any) -> Any:
        rest = [random(lib, 4, 8, half=True) for _ in more]
        return getattr(F, name)(random(lib, 4, 8, half=True), random(lib, 4, 8, half=True), *rest)

    return case


def of_halves(name: str, *shape: int, **settings: Any) -> Case:
    """A function of PyTorch's of one tensor of halves."""
    return lambda lib, F: getattr(lib if hasattr(lib, name) else F, name)(random(lib, *shape, half=True), **settings)


CASES: dict[str, Case] = {
    "matmul": lambda lib, F: random(lib, 4, 8) @ random(lib, 8, 3),
    "matmul of vectors": lambda lib, F: random(lib, 8) @ random(lib, 8),
    "matrix and vector": lambda lib, F: random(lib, 4, 8) @ random(lib, 8),
    "mixed": lambda lib, F: random(lib, 4, 8) @ random(lib, 8, 3, half=True),
    "float64": lambda lib, F: random(lib, 4, 8).double() @ random(lib, 8, 3).double(),
    "float16": lambda lib, F: random(lib, 4, 8).half() @ random(lib, 8, 3).half(),
    "whole numbers": lambda lib, F: random(lib, 4, 8).long() @ random(lib, 8, 3).long(),
    "mm": lambda lib, F: lib.mm(random(lib, 4, 8), random(lib, 8, 3)),
    "bmm": lambda lib, F: lib.bmm(random(lib, 2, 4, 8), random(lib, 2, 8, 3)),
    "addmm": lambda lib, F: lib.addmm(random(lib, 3), random(lib, 4, 8), random(lib, 8, 3)),
    "baddbmm": lambda lib, F: lib.baddbmm(random(lib, 2, 4, 3), random(lib, 2, 4, 8), random(lib, 2, 8, 3)),
    "addbmm": lambda lib, F: lib.addbmm(random(lib, 4, 3), random(lib, 2, 4, 8), random(lib, 2, 8, 3)),
    "mv": lambda lib, F: lib.mv(random(lib, 4, 8), random(lib, 8)),
    "dot": lambda lib, F: lib.dot(random(lib, 8), random(lib, 8)),
    "addmv": lambda lib, F: lib.addmv(random(lib, 4), random(lib, 4, 8), random(lib, 8)),
    "outer": lambda lib, F: lib.outer(random(lib, 4), random(lib, 8)),
    "einsum": lambda lib, F: lib.einsum("ij,jk->ik", random(lib, 4, 8), random(lib, 8, 3)),
    "einsum, a product": lambda lib, F: lib.einsum("i,j->ij", random(lib, 4), random(lib, 8)),
    "einsum, positions": lambda lib, F: lib.einsum("i,j->ij", lib.arange(4), random(lib, 8)),
    "einsum, mixed product": lambda lib, F: lib.einsum("bi,bj->bij", random(lib, 4, 8), random(lib, 4, 3, half=True)),
    "einsum, mixed sum": lambda lib, F: lib.einsum("bi,bj->ij", random(lib, 4, 8), random(lib, 4, 3, half=True)),
    "einsum, two sums": lambda lib, F: lib.einsum("ij,k->i", random(lib, 4, 8), random(lib, 3)),
    "einsum of one": lambda lib, F: lib.einsum("ij->j", random(lib, 4, 8)),
    "tensordot": lambda lib, F: lib.tensordot(random(lib, 4, 8), random(lib, 8, 3), 1),
    "inner": lambda lib, F: lib.inner(random(lib, 4, 8), random(lib, 3, 8)),
    "multi_dot": lambda lib, F: lib.linalg.multi_dot([random(lib, 4, 8), random(lib, 8, 3), random(lib, 3, 3)]),
    "matrix_power": lambda lib, F: lib.linalg.matrix_power(random(lib, 3, 3), 2),
    "bilinear": lambda lib, F: F.bilinear(random(lib, 4, 8), random(lib, 4, 8), random(lib, 2, 8, 8)),
    "linear": lambda lib, F: F.linear(random(lib, 4, 8), random(lib, 3, 8), random(lib, 3)),
    "conv1d": lambda lib, F: F.conv1d(random(lib, 2, 3, 8), random(lib, 4, 3, 3), random(lib, 4)),
    "conv2d": lambda lib, F: F.conv2d(random(lib, 2, 3, 8, 8), random(lib, 4, 3, 3, 3), random(lib, 4)),
    "conv_transpose2d": lambda lib, F: F.conv_transpose2d(random(lib, 2, 3, 8, 8), random(lib, 3, 4, 3, 3)),
    "attention": lambda lib, F: F.scaled_dot_product_attention(*[random(lib, 2, 4, 8)] * 3),
    "prelu": lambda lib, F: F.prelu(random(lib, 4, 8), random(lib, 1)),
    "softmax": lambda lib, F: F.softmax(random(lib, 4, 8), 1),
    "softmax of halves": lambda lib, F: F.softmax(random(lib, 4, 8, half=True), 1),
    "gelu of halves": of_halves("gelu", 4, 8),
    "sum of halves": of_halves("sum", 4, 8),
    "mean of halves": of_halves("mean", 4, 8),
    "cumprod of halves": of_halves("cumprod", 4, 8, dim=1),
    "prod": of_halves("prod", 4, 8),
    "trace": of_halves("trace", 4, 4),
    "quantile": of_halves("quantile", 4, 8, q=0.5),
    "cdist": lambda lib, F: lib.cdist(random(lib, 4, 8, half=True), random(lib, 3, 8, half=True)),
    "sum of both": lambda lib, F: random(lib, 4, 8) + random(lib, 4, 8, half=True),
    "cat": lambda lib, F: lib.cat([random(lib, 4, 8), random(lib, 4, 8, half=True)]),
    "cat of halves": lambda lib, F: lib.cat([random(lib, 4, 8, half=True)] * 2),
    "stack": lambda lib, F: lib.stack([random(lib, 4, 8), random(lib, 4, 8, half=True)]),
    "layer_norm": lambda lib, F: F.layer_norm(random(lib, 4, 8), (8,), random(lib, 8), random(lib, 8)),
    "layer_norm of halves": lambda lib, F: F.layer_norm(random(lib, 4, 8, half=True), (8,), random(lib, 8)),
    "batch_norm of halves": lambda lib, F: F.batch_norm(
        random(lib, 2, 3, 8, half=True), random(lib, 3), random(lib, 3), random(lib, 3), random(lib, 3), True
    ),
    "group_norm of halves": lambda lib, F: F.group_norm(random(lib, 2, 4, 8, half=True), 2, random(lib, 4)),
    "instance_norm of halves": lambda lib, F: F.instance_norm(
        random(lib, 2, 3, 8, half=True), weight=random(lib, 3)
    ),
    "cross_entropy": lambda lib, F: F.cross_entropy(random(lib, 4, 8, half=True), lib.tensor([0, 1, 2, 3])),
    "nll_loss": lambda lib, F: F.nll_loss(random(lib, 4, 8, half=True), lib.tensor([0, 1, 2, 3])),
    "multi_margin_loss": lambda lib, F: F.multi_margin_loss(random(lib, 4, 8, half=True), lib.tensor([0, 1, 2, 3])),
    "cosine_embedding_loss": lambda lib, F: F.cosine_embedding_loss(
        random(lib, 4, 8, half=True), random(lib, 4, 8, half=True), lib.ones(4)
    ),
    "multilabel_margin_loss": lambda lib, F: F.multilabel_margin_loss(
        random(lib, 4, 8, half=True), lib.zeros(4, 8, dtype=lib.int64)
    ),
    "ctc_loss": lambda lib, F: F.ctc_loss(
        random(lib, 5, 1, 4).log_softmax(2).bfloat16(), lib.tensor([[1, 2]]), lib.tensor([5]), lib.tensor([2])
    ),
    "margin_ranking_loss": loss("margin_ranking_loss", 1),
    "triplet_margin_loss": loss("triplet_margin_loss", 1),
    **{
        name: loss(name)
        for name in (
            "mse_loss", "l1_loss", "huber_loss", "smooth_l1_loss", "binary_cross_entropy", "kl_div",
            "binary_cross_entropy_with_logits", "poisson_nll_loss", "hinge_embedding_loss", "soft_margin_loss",
            "multilabel_soft_margin_loss",
        )
    },
    "avg_pool2d": of_halves("avg_pool2d", 2, 3, 8, 8, kernel_size=2),
    "avg_pool3d": of_halves("avg_pool3d", 2, 3, 8, 8, kernel_size=2),
    "adaptive_avg_pool3d": of_halves("adaptive_avg_pool3d", 2, 3, 4, 4, 4, output_size=2),
    "adaptive_avg_pool2d": of_halves("adaptive_avg_pool2d", 2, 3, 8, 8, output_size=2),
    **{
        f"pad {mode}": lambda lib, F, mode=mode: F.pad(random(lib, 2, 3, 8, 8, half=True), (1, 1, 1, 1), mode=mode)
        for mode in ("constant", "reflect", "replicate", "circular")
    },
    "grid_sample": lambda lib, F: F.grid_sample(
        random(lib, 2, 3, 8, 8, half=True), random(lib, 2, 4, 4, 2, half=True), align_corners=False
    ),
    "interpolate": of_halves("interpolate", 2, 3, 8, 8, scale_factor=2),
    "cholesky": lambda lib, F: lib.linalg.cholesky(lib.eye(4).bfloat16()),
    "solve": lambda lib, F: lib.linalg.solve(lib.eye(4).bfloat16(), random(lib, 4, 2, half=True)),
    "qr": lambda lib, F: lib.linalg.qr(random(lib, 4, 4, half=True))[0],
    "svdvals": lambda lib, F: lib.linalg.svdvals(random(lib, 4, 4, half=True)),
    "eigvalsh": lambda lib, F: lib.linalg.eigvalsh(lib.eye(4).bfloat16()),
    "RNN": lambda lib, F: lib.nn.RNN(8, 8)(random(lib, 4, 8))[0],
    "LSTM": lambda lib, F: lib.nn.LSTM(8, 8)(random(lib, 4, 8))[0],
    "GRU": lambda lib, F: lib.nn.GRU(8, 8)(random(lib, 4, 8))[0],
    "LSTMCell": lambda lib, F: lib.nn.LSTMCell(8, 8)(random(lib, 4, 8))[0],
    "MultiheadAttention": lambda lib, F: lib.nn.MultiheadAttention(8, 2)(*[random(lib, 4, 8)] * 3)[0],
    "TransformerEncoderLayer": lambda lib, F: lib.nn.TransformerEncoderLayer(8, 2)(random(lib, 4, 2, 8)),
    "Embedding": lambda lib, F: lib.nn.Embedding(8, 8)(lib.tensor([1])),
    "Conv and BatchNorm": lambda lib, F: lib.nn.Sequential(lib.nn.Conv2d(3, 4, 3), lib.nn.BatchNorm2d(4), lib.nn.ReLU())(
        random(lib, 2, 3, 8, 8)
    ),
    "Linear and LayerNorm": lambda lib, F: lib.nn.Sequential(lib.nn.Linear(8, 4), lib.nn.LayerNorm(4))(random(lib, 2, 8)),
}  # fmt: skip


@pytest.mark.peer
@pytest.mark.parametrize("name", CASES)
def test_results_have_pytorchs_types(name: str) -> None:
    torch = pytest.importorskip("torch")
    with torch.autocast("cpu"):
        want = CASES[name](torch, torch.nn.functional)
    with chainrule.autocast("cpu"):
        have = CASES[name](chainrule, nn.functional)
    assert (str(have.dtype)[10:], tuple(have.shape)) == (str(want.dtype)[6:], tuple(want.shape))
    if "of" not in name.split() and hasattr(want, "detach") and not name[0].isupper():
        a, b = (np.asarray(x.detach().float()) for x in (have, want))
        np.testing.assert_allclose(a, b, rtol=2e-2, atol=2e-2)


def test_compiled_has_the_same_types() -> None:
    """One program of some of each kind."""
    names = [
        "matmul", "mixed", "float64", "mv", "addmm", "einsum", "einsum, a product", "linear", "conv2d", "attention", "prelu", "sum of both",
        "cat", "layer_norm of halves", "batch_norm of halves", "cross_entropy", "mse_loss", "pad reflect", "prod",
    ]  # fmt: skip

    def everything() -> list[Any]:
        with chainrule.autocast("cpu"):
            return [CASES[name](chainrule, nn.functional) for name in names]

    for name, have, want in zip(names, chainrule.compile(everything)(), everything(), strict=True):
        assert have.dtype is want.dtype, name
        a, b = (np.asarray(x.detach().float()) for x in (have, want))
        np.testing.assert_allclose(a, b, rtol=2e-2, atol=1e-2, err_msg=name)


def network() -> Any:
    chainrule.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(), nn.Flatten(), nn.Linear(1024, 24), nn.LayerNorm(24),
        nn.GELU(), nn.Linear(24, 5),
    )  # fmt: skip


def losses(compiled: bool, half: bool, steps: int = 4) -> tuple[list[float], Any, Any]:
    model = network()
    optimizer = chainrule.optim.SGD(model.parameters(), lr=0.05)
    scaler = chainrule.amp.GradScaler()
    x = random(chainrule, 8, 3, 8, 8)
    y = chainrule.tensor([0, 1, 2, 3, 4, 0, 1, 2])

    def step(x: Any, y: Any) -> Any:
        optimizer.zero_grad()
        with chainrule.autocast("cpu", enabled=half):
            scores = model(x)
            loss = nn.functional.cross_entropy(scores, y)
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()
        return loss

    run: Any = chainrule.compile(step) if compiled else step
    return [run(x, y).item() for _ in range(steps)], model, run


def test_training_eager_and_compiled() -> None:
    """Losses near float32's, the same compiled; parameters and gradients stay float32."""
    plain, halves = losses(False, False)[0], losses(False, True)
    compiled = losses(True, True)
    np.testing.assert_allclose(halves[0], plain, rtol=2e-2)
    np.testing.assert_allclose(compiled[0], halves[0], rtol=1e-2)
    assert halves[0] != plain
    for _, model, _ in (halves, compiled):
        assert (
            {p.dtype for p in model.parameters()} == {p.grad.dtype for p in model.parameters()} == {chainrule.float32}
        )
    assert "in NumPy" not in compiled[2].explain()


def test_a_compiled_function_within_and_without_is_two_programs() -> None:
    multiply = chainrule.compile(lambda x: x @ x)
    x = random(chainrule, 4, 4)
    kinds = [multiply(x).dtype]
    with chainrule.autocast("cpu"):
        kinds.append(multiply(x).dtype)
        with chainrule.autocast("cpu", enabled=False):
            kinds.append(multiply(x).dtype)
        with chainrule.autocast("cpu", dtype=chainrule.float16):
            kinds.append(multiply(x).dtype)
        kinds.append(multiply(x).dtype)
    single, half = chainrule.float32, chainrule.bfloat16
    assert [*kinds, multiply(x).dtype] == [single, half, single, chainrule.float16, half, single]


def test_backward_within_computes_in_the_types_of_the_forward_pass() -> None:
    w = nn.Parameter(random(chainrule, 4, 4))
    with chainrule.autocast("cpu"):
        y = w @ w
        (gradient,) = chainrule.autograd.grad(y.float().sum(), w)
    assert gradient.dtype is chainrule.float32
    half = w.detach().bfloat16().requires_grad_()
    (want,) = chainrule.autograd.grad((half @ half).float().sum(), half)
    np.testing.assert_allclose(gradient.numpy(), want.float().numpy(), rtol=1e-2)


def test_checkpoints_compute_again_in_the_same_types() -> None:
    layer, x = nn.Linear(8, 8), random(chainrule, 4, 8)

    def gradient(checkpointed: bool) -> Any:
        layer.zero_grad()
        with chainrule.autocast("cpu"):
            y = chainrule.utils.checkpoint.checkpoint(layer, x, use_reentrant=False) if checkpointed else layer(x)
        y.float().square().sum().backward()
        return layer.weight.grad.numpy()

    np.testing.assert_array_equal(gradient(True), gradient(False))


def test_what_is_not_here_changes_nothing() -> None:
    x = random(chainrule, 4, 4)
    with chainrule.autocast("cuda"):
        assert (x @ x).dtype is chainrule.float32
    with pytest.warns(UserWarning, match="float32"), chainrule.autocast("cpu", dtype=chainrule.float32):
        assert (x @ x).dtype is chainrule.float32
    multiply = chainrule.autocast("cpu")(lambda: x @ x)
    assert multiply().dtype is chainrule.bfloat16
    with pytest.raises(ZeroDivisionError), chainrule.autocast("cpu"):
        1 / 0  # noqa: B018
    assert (x @ x).dtype is chainrule.float32


@pytest.mark.peer
def test_what_holds_can_be_asked_as_in_pytorch() -> None:
    torch = pytest.importorskip("torch")

    def answers(lib: Any) -> list[Any]:
        found: list[Any] = []

        def ask() -> None:
            kinds = "cpu", "cpu:0", "cuda"
            found.append([lib.is_autocast_enabled(kind) for kind in kinds] + [lib.is_autocast_enabled()])
            found.append([str(lib.get_autocast_dtype(kind)).split(".")[-1] for kind in kinds])

        ask()
        for settings in ({}, {"dtype": lib.float16}):
            with lib.autocast("cpu", **settings):
                ask()
                with lib.autocast("cpu", enabled=False):
                    ask()
                ask()
        lib.autocast("cpu")(ask)()
        ask()
        return [*found, lib.amp.is_autocast_available("cpu")]

    assert answers(chainrule) == answers(torch)
    with pytest.raises(TypeError, match='kind of device such as "cpu", got 1'):
        chainrule.is_autocast_enabled(1)


@pytest.mark.peer
def test_autocast_within_autocast_goes_on_with_its_half() -> None:
    torch = pytest.importorskip("torch")

    def types(lib: Any) -> list[str]:
        x, outside = lib.ones(2, 2), lib.autocast("cpu")
        with lib.autocast("cpu", dtype=lib.float16):
            with lib.autocast("cpu"):
                inner = x @ x
            with lib.autocast("cpu", dtype=lib.bfloat16):
                other = x @ x
            with lib.autocast("cpu", enabled=False), lib.autocast("cpu"):
                again = x @ x
            with outside:
                first = x @ x
        with lib.autocast("cpu"):
            after = x @ x
        return [str(y.dtype).split(".")[-1] for y in (inner, other, again, first, after)]

    assert types(chainrule) == types(torch) == ["float16", "bfloat16", "float16", "bfloat16", "bfloat16"]


def test_a_compiled_step_asks_anew_where_it_is_called() -> None:
    step = chainrule.compile(lambda x: x * 2 if chainrule.is_autocast_enabled("cpu") else x + 5)
    x = chainrule.ones(2)
    for _ in range(2):
        assert step(x).tolist() == [6.0, 6.0]
        with chainrule.autocast("cpu"):
            assert step(x).tolist() == [2.0, 2.0]

    @chainrule.compile
    def inner(x: Any) -> Any:
        with chainrule.autocast("cpu"):
            return x @ x

    x = chainrule.ones(2, 2)
    for _ in range(2):
        assert inner(x).dtype is chainrule.bfloat16
        with chainrule.autocast("cpu", dtype=chainrule.float16, enabled=False):
            assert inner(x).dtype is chainrule.float16


def test_eager_code_says_once_that_it_gains_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(autocasting, "_said", [])
    x = random(chainrule, 4, 4)
    with chainrule.autocast("cpu"), warnings.catch_warnings():
        warnings.simplefilter("error")
        chainrule.compile(lambda: x @ x)()
    with chainrule.autocast("cpu"), pytest.warns(UserWarning, match="compile"):
        x @ x
    with chainrule.autocast("cpu"), warnings.catch_warnings():
        warnings.simplefilter("error")
        x @ x


def test_a_trainer_says_where_bfloat16_takes_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(autocasting, "_said", [])

    def trainer(compile: bool) -> Any:
        model = nn.Linear(4, 2)
        optimizer = chainrule.optim.SGD(model.parameters(), lr=0.1)
        return Trainer(model, nn.MSELoss(), optimizer, precision="bfloat16", compile=compile)

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        trainer(True)
    with pytest.warns(UserWarning, match="longer than float32"):
        trainer(False)


@pytest.mark.peer
@pytest.mark.parametrize("cast", [False, True])
@pytest.mark.parametrize("outside", [False, True])
def test_functions_of_ones_own_compute_backward_in_forwards_types(cast: bool, outside: bool) -> None:
    torch = pytest.importorskip("torch")
    found = []
    for lib in (torch, chainrule):
        seen: list[Any] = []

        class Product(lib.autograd.Function):  # type: ignore[name-defined, misc]
            @staticmethod
            @lib.amp.custom_fwd(device_type="cpu", cast_inputs=lib.float32 if cast else None)
            def forward(ctx: Any, x: Any, pair: Any, scale: float, seen: Any = seen, lib: Any = lib) -> Any:
                ctx.save_for_backward(x, pair[0])
                y = x @ pair[0] * scale
                seen.append([str(t.dtype).split(".")[1] for t in (x, *pair, y)] + [lib.is_autocast_enabled("cpu")])
                return y

            @staticmethod
            @lib.amp.custom_bwd(device_type="cpu")
            def backward(ctx: Any, grad: Any, seen: Any = seen, lib: Any = lib) -> Any:
                x, weight = ctx.saved_tensors
                back = grad.float() @ weight.float().T
                seen.append([str(back.dtype).split(".")[1], lib.is_autocast_enabled("cpu")])
                return back.to(x.dtype), None, None

        x = lib.ones(2, 3, dtype=lib.bfloat16).requires_grad_()
        pair = [lib.ones(3, 3, dtype=lib.bfloat16), lib.ones(1, dtype=lib.float64)]
        with lib.autocast("cpu", enabled=not outside):
            y = Product.apply(x, pair, 2.0)
        y.float().sum().backward()
        found.append([*seen, x.grad.float().tolist()])
    assert found[0] == found[1]
