"""Large operations of eager code, which run as machine code: against NumPy, threads, forks, errors."""

from __future__ import annotations

import multiprocessing
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from typing import Any

import numpy as np
import pytest

import chainrule
from chainrule import autograd, nn
from chainrule.autodiff.block import LARGE
from chainrule.autodiff.noting import taken_apart, with_tensors
from chainrule.compiler import single
from chainrule.compiler.single import in_numpy
from chainrule.nn import functional as F
from chainrule.primitives.indexing import ARRAY, IndexAdd, Range
from chainrule.primitives.primitive import MANY


def made(*shape: int, seed: int = 0, dtype: Any = chainrule.float32) -> Any:
    generator = chainrule.Generator().manual_seed(seed + sum(shape))
    return chainrule.randn(*shape, generator=generator).to(dtype)


def lstm(x: Any, start: Any) -> Any:
    chainrule.manual_seed(0)
    layer = nn.LSTM(64, 128, batch_first=True).to(x.dtype)
    return layer(x, (start, start))[0]


def split_heads(x: Any) -> list[Any]:
    """Queries, keys and values of four heads, as they lie beside each other in the result of one linear layer."""
    return [part.unflatten(2, (4, -1)).transpose(1, 2) for part in x.chunk(3, dim=2)]


#: Functions of tensors, each large enough for a program, and the tensors' shapes.
OPERATIONS: dict[str, tuple[Callable[..., Any], list[tuple[int, ...]]]] = {
    "product": (lambda x, y: x @ y, [(96, 80), (80, 64)]),
    "product of transposed": (lambda x, y: x.mT @ y.mT, [(80, 96), (64, 80)]),
    "products": (lambda x, y: x @ y.mT, [(3, 2, 64, 40), (3, 2, 50, 40)]),
    "product of every second row": (lambda x, y: x[::2] @ y, [(192, 80), (80, 64)]),
    "linear": (F.linear, [(64, 4, 40), (70, 40), (70,)]),
    "linear, as one block": (F.linear, [(128, 4, 40), (70, 40), (70,)]),
    "linear without a bias": (F.linear, [(512, 40), (70, 40)]),
    "conv1d": (lambda x, w: F.conv1d(x, w, padding=2), [(8, 12, 90), (16, 12, 5)]),
    "conv2d": (lambda x, w, b: F.conv2d(x, w, b, padding=1), [(4, 8, 20, 21), (16, 8, 3, 3), (16,)]),
    "conv2d, stride and dilation": (
        lambda x, w: F.conv2d(x, w, stride=2, padding=(3, 2), dilation=(2, 1)), [(4, 8, 41, 40), (16, 8, 3, 5)],
    ),
    "conv2d whose kernel covers the image": (lambda x, w: F.conv2d(x, w), [(64, 16, 5, 5), (120, 16, 5, 5)]),
    "conv2d in groups": (lambda x, w: F.conv2d(x, w, groups=4, padding=1), [(8, 16, 24, 24), (32, 4, 3, 3)]),
    "depthwise": (lambda x, w: F.conv2d(x, w, groups=16, padding=1), [(8, 16, 32, 32), (16, 1, 3, 3)]),
    "conv3d": (lambda x, w: F.conv3d(x, w, padding=1), [(2, 4, 10, 9, 8), (8, 4, 3, 3, 3)]),
    "conv_transpose2d": (
        lambda x, w: F.conv_transpose2d(x, w, stride=2, padding=1, output_padding=1), [(4, 16, 12, 11), (16, 8, 3, 3)],
    ),
    "image upside down": (lambda x, w: F.conv2d(x.mT, w), [(4, 8, 20, 21), (16, 8, 3, 3)]),
    "attention": (F.scaled_dot_product_attention, [(2, 2, 70, 32)] * 3),
    "causal attention": (
        lambda q, k, v: F.scaled_dot_product_attention(q, k, v, is_causal=True), [(2, 2, 70, 32)] * 3,
    ),
    "attention with a bias": (
        lambda q, k, v, b: F.scaled_dot_product_attention(q, k, v, attn_mask=b), [*[(2, 2, 70, 32)] * 3, (2, 2, 70, 70)],
    ),
    "attention of split heads": (
        lambda x: F.scaled_dot_product_attention(*split_heads(x), is_causal=True).transpose(1, 2).flatten(2),
        [(3, 70, 3 * 4 * 20)],
    ),
    "attention with repeated heads": (
        lambda q, k: F.scaled_dot_product_attention(q, k.expand(2, 4, 70, 32), k.expand(2, 4, 70, 32)),
        [(2, 4, 70, 32), (2, 1, 70, 32)],
    ),
    "attention upside down": (
        lambda q: F.scaled_dot_product_attention(q.flip(2), q.transpose(2, 3), q), [(2, 4, 64, 64)],
    ),
    "cat": (lambda x, y: chainrule.cat([x, y.mT, x]), [(400, 300), (300, 300)]),
    "lstm": (lstm, [(32, 24, 64), (1, 32, 128)]),
    "max_pool2d": (lambda x: F.max_pool2d(x, 3, stride=2, padding=1), [(8, 16, 40, 41)]),
    "max_pool1d of windows apart": (lambda x: F.max_pool1d(x, 3, stride=5, dilation=2), [(32, 64, 300)]),
    "scatter_add": (lambda x, y: x.scatter_add(1, chainrule.arange(9000).reshape(90, 100) % 40, y), [(90, 40), (90, 100)]),
    "gather": (lambda x: x.gather(0, chainrule.arange(9000).reshape(90, 100) % 40), [(40, 100)]),
    "places, counted from the end": (
        lambda x: x[chainrule.arange(40000).reshape(200, 200) % 90 - 90, chainrule.arange(200) % 50], [(90, 50)],
    ),
    "where": (lambda x, y: chainrule.where(x > y, x, y * 2), [(70, 1000), (70, 1000)]),
    "masked_fill": (lambda x: x.masked_fill(x > 0.5, -1.0), [(70, 1000)]),
    "avg_pool2d": (lambda x: F.avg_pool2d(x, 3, stride=2, padding=1), [(8, 16, 40, 41)]),
    "avg_pool2d of windows apart": (lambda x: F.avg_pool2d(x, 2), [(8, 16, 40, 41)]),
    "avg_pool1d of windows that leave places out": (lambda x: F.avg_pool1d(x, 2, stride=3), [(32, 64, 300)]),
    "tanh": (chainrule.tanh, [(70, 1000)]),
    "quotient": (lambda x, y: x / (y * y + 1), [(70, 1000), (1000,)]),
    "quotient by powers of a number": (lambda x: 3 / (x.abs() + 1) ** 2.5, [(70, 1000)]),
    "erf": (chainrule.erf, [(70, 1000)]),
    "prod": (lambda x: (x * 0.1 + 1).prod(1), [(100, 1000)]),
    "cumsum": (lambda x: x.cumsum(1), [(70, 1000)]),
    "cummax": (lambda x: x.cummax(1)[0], [(70, 1000)]),
    "cummin of columns": (lambda x: x.cummin(0)[0], [(70, 1000)]),
    "grid_sample": (
        lambda x, g: F.grid_sample(x, g.tanh(), align_corners=False), [(4, 3, 40, 40), (4, 40, 40, 2)],
    ),
    "adaptive_avg_pool2d": (lambda x: F.adaptive_avg_pool2d(x, (5, 4)), [(8, 16, 40, 28)]),
    "cdist": (chainrule.cdist, [(2, 80, 300), (70, 300)]),
    "cube": (lambda x: x**3, [(70, 1000)]),
    "relu": (F.relu, [(70, 1000)]),
    "gelu": (F.gelu, [(70, 1000)]),
    "gelu by tanh": (lambda x: F.gelu(x, approximate="tanh"), [(70, 1000)]),
    "silu": (F.silu, [(70, 1000)]),
    "mish": (F.mish, [(70, 1000)]),
    "softplus": (F.softplus, [(70, 1000)]),
    "sigmoid": (chainrule.sigmoid, [(70, 1000)]),
    "elu": (F.elu, [(70, 1000)]),
    "softmax": (lambda x: F.softmax(x, 1), [(70, 1000)]),
    "softmax of columns": (lambda x: F.softmax(x, 0), [(70, 1000)]),
    "log_softmax": (lambda x: F.log_softmax(x, -1), [(70, 1000)]),
    "layer_norm": (lambda x, w, b: F.layer_norm(x, (1000,), w, b), [(70, 1000), (1000,), (1000,)]),
    "rms_norm": (lambda x, w: F.rms_norm(x, (1000,), w), [(70, 1000), (1000,)]),
    "group_norm": (lambda x, w, b: F.group_norm(x, 4, w, b), [(4, 8, 50, 50), (8,), (8,)]),
    "batch_norm": (
        lambda x, w, b: F.batch_norm(x, None, None, w, b, training=True), [(4, 8, 50, 50), (8,), (8,)],
    ),
    "cross_entropy": (lambda x: F.cross_entropy(x, chainrule.arange(70)), [(70, 1000)]),
    "bce": (lambda x: F.binary_cross_entropy_with_logits(x, (x > 0).to(x.dtype)), [(70, 1000)]),
    "mse": (lambda x: F.mse_loss(x, chainrule.zeros_like(x)), [(70, 1000)]),
    "huber": (lambda x: F.huber_loss(x, chainrule.zeros_like(x)), [(70, 1000)]),
}  # fmt: skip


def results(function: Callable[..., Any], tensors: list[Any]) -> list[Any]:
    """The result, and the gradients of its sum with weights."""
    leaves = [x.detach().requires_grad_() for x in tensors]
    y = function(*leaves)
    weights = made(*y.shape, seed=9, dtype=y.dtype)
    return [y.detach(), *autograd.grad((y * weights).sum(), leaves)]


@pytest.mark.parametrize("name", OPERATIONS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_values_and_gradients_are_those_of_numpy(name: str, dtype: str) -> None:
    function, shapes = OPERATIONS[name]
    tensors = [made(*shape, seed=i, dtype=getattr(chainrule, dtype)) for i, shape in enumerate(shapes)]
    single._known.clear()
    ours = results(function, tensors)
    assert single._known, "it is not large"
    with in_numpy():
        meant = results(function, tensors)
    for x, y in zip(ours, meant, strict=True):
        assert x.shape == y.shape and x.dtype == y.dtype
        size = max(float(y.abs().max()), 1e-30)
        assert float((x - y).abs().max()) <= (3e-5 if dtype == "float32" else 1e-12) * size


@pytest.mark.parametrize("name", ["conv2d", "layer_norm", "gelu", "softmax", "product", "attention"])
def test_second_derivatives_are_those_of_numpy(name: str) -> None:
    function, shapes = OPERATIONS[name]
    tensors = [made(*shape, seed=i, dtype=chainrule.float64) for i, shape in enumerate(shapes)]

    def twice() -> list[Any]:
        leaves = [x.detach().requires_grad_() for x in tensors]
        first = autograd.grad((function(*leaves) ** 2).sum(), leaves, create_graph=True)
        return list(autograd.grad(sum((g**2).sum() for g in first), leaves))

    ours = twice()
    with in_numpy():
        meant = twice()
    for x, y in zip(ours, meant, strict=True):
        assert float((x - y).abs().max()) <= 1e-11 * max(float(y.abs().max()), 1e-30)


@pytest.mark.parametrize("numpy", [False, True], ids=["program", "numpy"])
def test_a_place_outside_is_an_error(numpy: bool) -> None:
    x, y = np.zeros((90, 40), "f4"), np.ones((90, 100), "f4")
    rows, columns = np.arange(90).reshape(90, 1), np.arange(9000).reshape(90, 100) % 40
    columns[7, 3] = 40
    arguments = [chainrule.tensor(a) for a in (x, y, rows, columns)]
    with in_numpy() if numpy else nullcontext(), pytest.raises(IndexError, match="index 40 is out of bounds"):
        IndexAdd.apply(*arguments, key=(ARRAY, ARRAY))


def test_large_choices_are_those_of_numpy_to_the_bit() -> None:
    """No number is computed, so there is nothing to round: all types, NaN and infinities too."""
    x, y = made(70, 1000), made(70, 1000, seed=1)
    x[::7, ::3], y[::5, ::2] = float("nan"), -float("inf")
    places = chainrule.arange(70_000).reshape(70, 1000) % 1000
    for dtype in ("float32", "float64", "float16", "bfloat16", "int64", "int8", "uint8", "bool"):
        a, b = ((t.nan_to_num(0, 0, 0) if "float" not in dtype else t).to(getattr(chainrule, dtype)) for t in (x, y))
        for choose in (lambda a=a, b=b: chainrule.where(places > 400, a, b), lambda a=a: a.gather(1, places)):
            ours = choose()
            with in_numpy():
                meant = choose()
            assert ours.dtype == meant.dtype
            assert ours.float().numpy().tobytes() == meant.float().numpy().tobytes()


@pytest.mark.parametrize(("first", "second"), [("float32", "float64"), ("bfloat16", "float32"), ("float16", "float64")])
def test_distances_of_two_types_have_gradients_of_their_own(first: str, second: str) -> None:
    for one, other in ((first, second), (second, first)):
        x, y = (made(5, 3, dtype=getattr(chainrule, name)).requires_grad_() for name in (one, other))
        chainrule.cdist(x, y).sum().backward()
        assert x.grad.dtype == x.dtype and y.grad.dtype == y.dtype
    layer, points = nn.Linear(3, 3), made(5, 3, dtype=chainrule.float64)
    chainrule.cdist(layer(made(5, 3)), points).sum().backward()
    assert layer.weight.grad.dtype == chainrule.float32


def test_many_rows_for_many_places_and_places_of_few_bits() -> None:
    for places, rows in ((300, 9000), (20, 9000), (1000, 1500)):
        index = (np.random.default_rng(0).permutation(rows) % places).astype(np.int16)
        x, y = made(40_000, 3).double().requires_grad_(), made(rows, 3, seed=2).double()
        (x[index] * y).sum().backward()
        meant = np.zeros((40_000, 3))
        np.add.at(meant, index, y.numpy())
        np.testing.assert_allclose(x.grad.numpy(), meant, atol=1e-12)


def test_lists_of_places_make_no_programs() -> None:
    """A mask names another number of places each time."""
    x = made(200, 100).requires_grad_()
    before = set(single._known)
    for limit in (0.5, 0.6):
        x[x > limit].sum().backward()
    assert set(single._known) == before


def test_what_is_small_is_left_to_numpy() -> None:
    x, y = np.ones((8, 9), "f4"), np.ones((9, 7), "f4")
    assert x.size * 7 < MANY and x.size < LARGE
    before = set(single._known)
    chainrule.tensor(x) @ chainrule.tensor(y)
    F.softmax(chainrule.tensor(x), 1)
    assert set(single._known) == before


def test_the_same_bits_for_any_number_of_threads_and_after_everything_was_forgotten() -> None:
    function, shapes = OPERATIONS["conv2d"]
    tensors = [made(*shape, seed=i) for i, shape in enumerate(shapes)]
    first = results(function, tensors)
    threads = chainrule.get_num_threads()
    try:
        for count in (1, 3):
            chainrule.set_num_threads(count)
            single._known.clear()
            assert all(chainrule.equal(x, y) for x, y in zip(results(function, tensors), first, strict=True))
    finally:
        chainrule.set_num_threads(threads)


@pytest.mark.parametrize("name", ["gelu", "softmax", "layer_norm", "batch_norm", "relu", "attention", "linear"])
def test_the_same_bits_with_and_without_gradients(name: str) -> None:
    function, shapes = OPERATIONS[name]
    tensors = [made(*shape, seed=i).requires_grad_() for i, shape in enumerate(shapes)]
    with chainrule.no_grad():
        alone = function(*tensors)
    assert not alone.requires_grad and chainrule.equal(alone, function(*tensors).detach())


@pytest.mark.parametrize("name", ["conv2d", "conv_transpose2d", "layer_norm", "softmax", "batch_norm", "gelu"])
def test_the_same_bits_however_the_numbers_lie(name: str) -> None:
    """A compiled step lets a convolution's weight lie in another order; a checkpoint brings it back in its own."""
    function, shapes = OPERATIONS[name]
    tensors = [made(*shape, seed=i) for i, shape in enumerate(shapes)]
    turned = [chainrule.from_numpy(np.asfortranarray(x.numpy())) for x in tensors]
    for x, y in zip(results(function, turned), results(function, tensors), strict=True):
        assert chainrule.equal(x, y)


def test_many_threads_at_once() -> None:
    function, shapes = OPERATIONS["attention"]
    inputs = [[made(*shape, seed=10 * k + i) for i, shape in enumerate(shapes)] for k in range(8)]
    alone = [results(function, tensors) for tensors in inputs]
    single._known.clear()
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda tensors: results(function, tensors), inputs * 3))
    for k, found in enumerate(together):
        assert all(chainrule.equal(x, y) for x, y in zip(found, alone[k % 8], strict=True))


def _in_child(queue: Any, x: Any, y: Any) -> None:
    queue.put(float((chainrule.tensor(x) @ chainrule.tensor(y)).sum()))


@pytest.mark.skipif(sys.platform == "win32", reason="Windows does not fork")
def test_a_forked_child_goes_on() -> None:
    x, y = made(96, 80).numpy(), made(80, 64).numpy()
    here = float((chainrule.tensor(x) @ chainrule.tensor(y)).sum())
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    child = context.Process(target=_in_child, args=(queue, x, y))
    child.start()
    assert queue.get(timeout=60) == here
    child.join()


def test_a_linear_layer_of_data_gives_the_data_no_gradient() -> None:
    x, w, b = made(512, 40), made(70, 40).requires_grad_(), made(70).requires_grad_()
    y = F.linear(x, w, b)
    assert y.grad_fn.operation.name == "linear" and len(y.grad_fn.next_functions) == 3
    upstream = made(512, 70, seed=1)
    (y * upstream).sum().backward()
    assert x.grad is None
    a, g = x.numpy().astype("f8"), upstream.numpy().astype("f8")
    np.testing.assert_allclose(w.grad.numpy(), g.T @ a, rtol=1e-4, atol=1e-3)
    np.testing.assert_allclose(b.grad.numpy(), g.sum(0), rtol=1e-4, atol=1e-3)


def test_the_gradient_of_a_bias_that_is_a_number_is_a_number() -> None:
    x, w, b = made(3, 20_000), made(1, 20_000).requires_grad_(), chainrule.tensor(0.5, requires_grad=True)
    F.linear(x, w, b).sum().backward()
    assert b.grad.shape == () and b.grad.item() == 3.0


def test_a_wrong_label_is_told_as_in_small() -> None:
    scores, labels = made(70, 1000), chainrule.arange(70)
    labels[3] = 1000
    with pytest.raises(chainrule.IndexRangeError) as large:
        F.cross_entropy(scores, labels)
    with in_numpy(), pytest.raises(chainrule.IndexRangeError) as plain:
        F.cross_entropy(scores, labels)
    assert str(large.value) == str(plain.value)


def test_running_statistics_are_those_of_numpy() -> None:
    x = made(4, 8, 50, 50)
    ours, meant = nn.BatchNorm2d(8), nn.BatchNorm2d(8)
    ours(x)
    with in_numpy():
        meant(x)
    assert chainrule.allclose(ours.running_var, meant.running_var, rtol=1e-6)
    assert chainrule.allclose(ours.running_mean, meant.running_mean, atol=1e-7)


def test_a_users_block_sees_what_is_outside_of_it() -> None:
    weight = made(70, 1000)

    @chainrule.block
    def weighted(x: Any) -> Any:
        return x * weight

    @weighted.gradient
    def _(g: Any) -> Any:
        return g * weight

    x = made(70, 1000, seed=1)
    weighted(x)
    weight = made(70, 1000, seed=2)
    assert chainrule.equal(weighted(x), x * weight)


def test_settings_that_are_equal_and_not_the_same() -> None:
    x = -chainrule.zeros(70, 1000)
    for low in (0.0, -0.0, 0, False):
        with in_numpy():
            meant = x.clamp(low, 1.0)
        ours = x.clamp(low, 1.0)
        assert ours.dtype == meant.dtype and np.array_equal(np.signbit(ours.numpy()), np.signbit(meant.numpy())), low
    F.hardtanh(made(70, 1000), -float("inf"), float("nan"))
    before = len(single._known)
    F.hardtanh(made(70, 1000), -float("inf"), float("nan"))
    assert len(single._known) == before


def test_infinities_and_nan_pass_as_in_numpy() -> None:
    x = made(70, 1000)
    x[0, :3] = chainrule.tensor([float("nan"), float("inf"), float("-inf")])
    for name in ("relu", "gelu", "softmax", "log_softmax", "silu", "softplus", "layer_norm", "rms_norm"):
        function, shapes = OPERATIONS[name]
        tensors = [x, *[made(*shape, seed=i) for i, shape in enumerate(shapes[1:], 1)]]
        ours = results(function, tensors)
        with in_numpy():
            meant = results(function, tensors)
        for a, b in zip(ours, meant, strict=True):
            assert np.array_equal(np.isnan(a.numpy()), np.isnan(b.numpy())), name
            assert np.array_equal(np.isinf(a.numpy()), np.isinf(b.numpy())), name


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "int64", "int32"])
def test_other_types_of_numbers(dtype: str) -> None:
    kind = getattr(chainrule, dtype)
    x, y = (made(96, 80) * 3).to(kind), (made(80, 64) * 3).to(kind)
    ours = x @ y
    with in_numpy():
        meant = x @ y
    assert ours.dtype == meant.dtype == kind
    if kind.is_floating_point:
        assert chainrule.allclose(ours.float(), meant.float(), rtol=1e-2, atol=1e-1)
    else:
        assert chainrule.equal(ours, meant)


def test_a_loop_that_compares_with_a_number_beside_what_is_computed_once() -> None:
    """The body has an input that is no symbol, and something that depends on no step."""
    weight, bias = made(256, 256) / 16, made(256)

    def step(h: Any, row: Any) -> Any:
        x, t = row
        h = chainrule.where(t == 0, x, (h @ weight + x + bias.exp()).tanh())
        return h, h

    given = chainrule.zeros(32, 256), (made(100, 32, 256), chainrule.arange(100))
    with in_numpy():
        meant = chainrule.scan(step, *given)[1]
    assert chainrule.allclose(chainrule.scan(step, *given)[1], meant, atol=1e-4)


def test_a_gradient_by_itself_is_what_it_is_beside_others() -> None:
    image, weight, bias = made(8, 3, 20, 20), made(8, 3, 3, 3), made(8)
    tensors = [x.requires_grad_() for x in (image, weight, bias)]
    total = F.conv2d(*tensors).square().sum()
    together = autograd.grad(total, tensors, retain_graph=True)
    for x, expected in zip(tensors, together, strict=True):
        (alone,) = autograd.grad(total, x, retain_graph=True)
        assert chainrule.allclose(alone, expected, rtol=1e-5, atol=1e-5)


def test_the_gradient_of_a_large_operation_is_a_program_of_its_rule() -> None:
    x = made(70, 1000).requires_grad_()
    x.tanh().sum().backward()
    known = len(single._known)
    x.tanh().sum().backward()
    assert len(single._known) == known
    single._known.clear()
    x.tanh().sum().backward()
    assert any(key[0][0].__name__ == "grad_x" for key in single._known if type(key[0]) is tuple)


@pytest.mark.parametrize("rounds", [1, 3])
def test_the_gradient_of_large_parts_is_that_of_small_ones(rounds: int) -> None:
    """Slices and arrays of places in one index; their settings keep their class on the way into a program."""
    places = chainrule.tensor([1, 1, 2, 5])
    shape = (4, 64, 14, 14)
    g = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    for key in ((slice(None), slice(None), places), (slice(1, None), places, slice(None), slice(2, 9))):
        for _ in range(rounds):
            x = chainrule.zeros(*shape, requires_grad=True)
            part = x[key]
            upstream = g[: part.shape[0], : part.shape[1], : part.shape[2], : part.shape[3]]
            part.backward(chainrule.tensor(np.ascontiguousarray(upstream)))
            expected = np.zeros(shape)
            np.add.at(expected, tuple(k.numpy() if k is places else k for k in key), upstream)
            np.testing.assert_allclose(x.grad.numpy(), expected, rtol=1e-5, atol=1e-5)


def test_a_setting_that_is_a_named_tuple_stays_one_in_noted_arguments() -> None:
    key = (Range(1, 9, 2), 3)
    form = taken_apart((chainrule.ones(2), key), [])
    _, kept = with_tensors(form, (chainrule.ones(2), key), iter([chainrule.zeros(2)]))
    assert type(kept[0]) is Range
