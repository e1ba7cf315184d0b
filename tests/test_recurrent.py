"""Recurrent layers beyond the tables: lengths, first states, nonlinearities, dropout, packing; against plain loops."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import chainrule
from chainrule import autograd, nn
from chainrule.nn.utils import parametrizations, prune, rnn, weight_norm

float64 = chainrule.float64
LAYERS = [nn.RNN, nn.LSTM, nn.GRU]
CELLS = {nn.RNN: nn.RNNCell, nn.LSTM: nn.LSTMCell, nn.GRU: nn.GRUCell}


def draw(*shape: int) -> Any:
    return chainrule.randn(*shape, dtype=float64)


def same(a: Any, b: Any, tolerance: float = 1e-12) -> None:
    np.testing.assert_allclose(a.detach().numpy(), b.detach().numpy(), rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("kind", LAYERS)
def test_a_layer_is_its_cell_in_a_loop(kind: Any) -> None:
    layer, cell = kind(3, 4, dtype=float64), CELLS[kind](3, 4, dtype=float64)
    cell.load_state_dict({name.removesuffix("_l0"): p for name, p in layer.state_dict().items()})
    xs, state, outputs = draw(6, 2, 3), None, []
    for x in xs:
        state = cell(x, state)
        outputs.append(state[0] if kind is nn.LSTM else state)
    found, last = layer(xs)
    same(found, chainrule.stack(outputs))
    for a, b in zip(last if kind is nn.LSTM else [last], state if kind is nn.LSTM else [state], strict=True):
        same(a[0], b)
    for loop in (found, chainrule.stack(outputs)):
        (loop**2).sum().backward()
    for p, q in zip(layer.parameters(), cell.parameters(), strict=True):
        same(p.grad, q.grad)


@pytest.mark.parametrize("both", [False, True])
@pytest.mark.parametrize("kind", LAYERS)
def test_lengths_do_what_packing_does(kind: Any, both: bool) -> None:
    layer, x, lengths = kind(3, 2, 2, bidirectional=both, dtype=float64), draw(5, 4, 3), [3, 5, 1, 3]
    padded, last = layer(x, lengths=lengths)
    packed, packed_last = layer(rnn.pack_padded_sequence(x, lengths, enforce_sorted=False))
    same(padded, rnn.pad_packed_sequence(packed)[0])
    for a, b in zip(last, packed_last, strict=True):
        same(a, b)
    alone, _ = layer(x[:3, 0])
    same(padded[:3, 0], alone)
    assert not padded[3:, 0].any(), "what lies behind the end gives 0"
    x.requires_grad_()
    layer(x, lengths=chainrule.tensor(lengths))[0].sum().backward()
    assert not x.grad[1:, 2].any() and x.grad[0, 2].all(), "and gets no gradient"


@pytest.mark.parametrize(("name", "function"), [
    ("sigmoid", lambda s: 1 / (1 + np.exp(-s))), ("identity", lambda s: s), ("tanh", np.tanh), ("relu", lambda s: np.maximum(s, 0)),
])  # fmt: skip
def test_nonlinearities(name: str, function: Any) -> None:
    layer, x = nn.RNN(3, 2, nonlinearity=name, dtype=float64), draw(4, 1, 3)
    W, U, b, c = (p.detach().numpy() for p in layer.parameters())
    h = np.zeros((1, 2))
    for row in x.numpy():
        h = function(row @ W.T + b + h @ U.T + c)
    same(layer(x)[1][0], chainrule.tensor(h))
    same(
        nn.RNNCell(3, 2, nonlinearity=name, dtype=float64).requires_grad_(False)(x[0]).isfinite().all(),
        chainrule.tensor(True),
    )


@pytest.mark.parametrize("kind", LAYERS)
def test_a_learned_first_state(kind: Any) -> None:
    layer = kind(3, 2, num_layers=2, bidirectional=True, initial_state="learned", dtype=float64)
    names = ["h_0", "c_0"] if kind is nn.LSTM else ["h_0"]
    assert [n for n, _ in layer.named_parameters()][-len(names) :] == names and "initial_state=learned" in repr(layer)
    x = draw(5, 3, 3)
    same(layer(x)[0], layer(x, layer(x[:0])[1])[0]), "no steps: the last state is the first one"
    with chainrule.no_grad():
        for name in names:
            layer.get_parameter(name).copy_(draw(4, 1, 2))
    given = [layer.get_parameter(name).expand(4, 3, 2) for name in names]
    same(layer(x)[0], layer(x, tuple(given) if kind is nn.LSTM else given[0])[0])
    layer(x)[0].sum().backward()
    assert all(layer.get_parameter(name).grad.abs().sum() > 0 for name in names)
    before = layer.h_0.tolist()
    layer.reset_parameters()
    assert layer.h_0.tolist() == before


def test_a_random_first_state_is_drawn_for_each_call() -> None:
    layer, x = nn.RNN(1, 4000, nonlinearity="identity", bias=False, initial_state="normal"), chainrule.zeros(0, 5, 1)
    first, second = layer(x)[1], layer(x)[1]
    assert not chainrule.equal(first, second)
    assert abs(first.mean()) < 0.03 and abs(first.std() - 1) < 0.03


def test_dropout_is_between_layers_and_in_training_only() -> None:
    layer = nn.RNN(1, 1, num_layers=2, nonlinearity="identity", bias=False, dropout=0.25)
    for p in layer.parameters():
        nn.init.ones_(p)
    for state_weight in (layer.weight_hh_l0, layer.weight_hh_l1):
        nn.init.zeros_(state_weight)
    x = chainrule.ones(4000, 2, 1)
    outputs, last = layer(x)
    values = set(np.round(outputs.detach().double().numpy().ravel(), 4).tolist())
    assert values == {0.0, 1.3333} and abs(outputs.mean().item() - 1) < 0.03
    assert last[0].tolist() == [[1.0], [1.0]], "the state of the lower layer is not dropped"
    assert set(layer.eval()(x)[0].detach().numpy().ravel().tolist()) == {1.0}
    with pytest.warns(chainrule.EvaluationWarning), chainrule.no_grad():
        nn.RNN(1, 1, 2, dropout=0.1)(x)


def test_long_sequences_and_no_steps() -> None:
    layer = nn.LSTM(2, 3)
    outputs, (h, c) = layer(chainrule.zeros(0, 4, 2))
    assert outputs.shape == (0, 4, 3) and not h.any() and not c.any()
    x = chainrule.randn(3000, 1, 2, requires_grad=True)
    layer(x)[1][0].sum().backward()
    assert x.grad.isfinite().all() and x.grad[-1].any()


def test_saturated_gates_have_finite_gradients() -> None:
    for dtype in (chainrule.float16, chainrule.float32, float64):
        for kind in LAYERS:
            layer = kind(2, 3, dtype=dtype)
            x = (chainrule.randn(4, 2, 2) * 1e4).to(dtype).requires_grad_()
            outputs = layer(x)[0]
            outputs.sum().backward()
            assert outputs.isfinite().all() and x.grad.isfinite().all()
            assert all(p.grad.isfinite().all() for p in layer.parameters())


@pytest.mark.parametrize("kind", LAYERS)
def test_third_derivatives(kind: Any) -> None:
    layer, x = kind(1, 2, dtype=float64), draw(2, 1, 1).requires_grad_()

    def slope(x: Any) -> Any:
        with chainrule.enable_grad():
            return autograd.grad((layer(x)[0] ** 2).sum(), x, create_graph=True)[0]

    assert autograd.gradgradcheck(slope, x, atol=1e-4)


PACKS: list[tuple[list[int], bool]] = [([4, 3, 1], True), ([2, 4, 4], False), ([1], True), ([3, 3], True)]


@pytest.mark.peer
@pytest.mark.parametrize("first", [False, True])
@pytest.mark.parametrize(("lengths", "is_sorted"), PACKS)
def test_packing_is_pytorch_s(lengths: list[int], is_sorted: bool, first: bool) -> None:
    torch = pytest.importorskip("torch")
    random = np.random.default_rng(0)
    x = random.standard_normal((len(lengths), max(lengths), 2) if first else (max(lengths), len(lengths), 2))
    rows = [random.standard_normal((n, 2)) for n in lengths]
    found = []  # PyTorch's unpad_sequence turns what it is given, in place: it gets a copy
    for framework, tools in ((chainrule, rnn), (torch, torch.nn.utils.rnn)):
        count = framework.tensor(lengths)
        packed = tools.pack_padded_sequence(framework.tensor(x), count, batch_first=first, enforce_sorted=is_sorted)
        pieces = [framework.tensor(row) for row in rows]
        listed = tools.pack_sequence(pieces, enforce_sorted=is_sorted)
        padded = tools.pad_sequence(pieces, batch_first=first, padding_value=7.0)
        found.append([
            *packed, *listed, padded, tools.pad_sequence(pieces, first, -1.0, "left"),
            *tools.pad_packed_sequence(packed, batch_first=first, padding_value=-2.0, total_length=6),
            *tools.unpad_sequence(padded.clone(), count, batch_first=first), *tools.unpack_sequence(listed),
            tools.invert_permutation(framework.tensor([2, 0, 1])),
        ])  # fmt: skip
    assert len(found[0]) == len(found[1])
    for ours, theirs in zip(*found, strict=True):
        if theirs is None:
            assert ours is None
        else:
            assert str(ours.dtype).split(".")[-1] == str(theirs.dtype).split(".")[-1]
            np.testing.assert_array_equal(ours.numpy(), theirs.numpy())


def test_what_packing_refuses() -> None:
    x = chainrule.ones(3, 2)
    with pytest.raises(ValueError, match="do not fall"):
        rnn.pack_padded_sequence(x, [2, 3])
    with pytest.raises(ValueError, match="total_length is 2, but the longest sequence has 3"):
        rnn.pad_packed_sequence(rnn.pack_padded_sequence(x, [3, 2]), total_length=2)
    with pytest.raises(chainrule.ShapeError, match="one shape"):
        rnn.pad_sequence([chainrule.ones(2, 1), chainrule.ones(2, 2)])
    with pytest.raises(ValueError, match="no sequences"):
        rnn.pad_sequence([])
    with pytest.raises(ValueError, match="'middle'"):
        rnn.pad_sequence([x], padding_side="middle")
    with pytest.raises(chainrule.ShapeError, match="2 sequences, got"):
        nn.GRU(2, 2)(chainrule.ones(3, 2, 2), lengths=[1, 2, 3])


@pytest.mark.parametrize("way", ["weight_norm", "older weight_norm", "pruned"])
@pytest.mark.parametrize("kind", LAYERS)
def test_weights_that_are_computed_from_others(kind: Any, way: str) -> None:
    layer, plain, x = kind(3, 4, dtype=float64), kind(3, 4, dtype=float64), draw(5, 2, 3)
    if way == "pruned":
        prune.l1_unstructured(layer, "weight_hh_l0", amount=0.5)
    else:
        {"weight_norm": parametrizations.weight_norm, "older weight_norm": weight_norm}[way](layer, "weight_hh_l0")
    for size in (1.0, 2.0):
        with chainrule.no_grad():
            for p in layer.parameters():
                p.mul_(size)
        outputs = layer(x)[0]
        plain.load_state_dict({name: getattr(layer, name) for name in plain.state_dict()})
        same(outputs, plain(x)[0])
    outputs.sum().backward()
    assert all(p.grad.any() for p in layer.parameters())
    same(chainrule.compile(layer)(x)[0], outputs)
