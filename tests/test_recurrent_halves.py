"""Recurrent layers within autocast: PyTorch's types, products in 16 bits, errors of the size of their rounding."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

import chainrule
from chainrule import nn
from chainrule.backends.native import builder
from chainrule.functions import autocasting

KINDS = ("RNN", "LSTM", "GRU")
SETTINGS: list[dict[str, Any]] = [{}, {"num_layers": 2, "dropout": 0.5}, {"bidirectional": True}, {"bias": False}]
#: Of inputs and of weights.
TYPES = [*[(given, "float32") for given in ("float32", "bfloat16", "float16")], ("float64", "float64")]
TYPES += [(given, "bfloat16") for given in ("float32", "bfloat16")]
#: Half a step from one bfloat16 to the next, relative to it.
ROUNDING = 2.0**-8


@pytest.fixture(autouse=True)
def has_been_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is said once is not said here."""
    monkeypatch.setattr(autocasting, "_said", ["said"])


def types(lib: Any, kind: str, settings: dict[str, Any], given: str, weights: str, half: str = "bfloat16") -> Any:
    """The types of the outputs and of the last states; or that this lib cannot compute it here."""
    layer = getattr(lib.nn, kind)(4, 5, **settings).to(getattr(lib, weights))
    x = lib.ones(7, 2, 4).to(getattr(lib, given))
    try:
        with lib.autocast("cpu", dtype=getattr(lib, half)):
            outputs, last = layer(x)
    except RuntimeError as error:
        assert "primitive descriptor" in str(error)
        return None
    return [str(t.dtype).split(".")[1] for t in (outputs, *(last if isinstance(last, tuple) else (last,)))]


@pytest.mark.peer
@pytest.mark.parametrize("kind", KINDS)
def test_results_have_pytorchs_types(kind: str) -> None:
    torch = pytest.importorskip("torch")
    projected = [{"proj_size": 3}] if kind == "LSTM" else []
    for half in ("bfloat16", "float16"):
        for settings in [*SETTINGS, {"batch_first": True}, *projected]:
            for given, weights in TYPES:
                want = types(torch, kind, settings, given, weights, half)
                have = types(chainrule, kind, settings, given, weights, half)
                assert want is None or have == want, (settings, given, weights, half)


@pytest.mark.peer
@pytest.mark.parametrize("kind", ["RNNCell", "LSTMCell", "GRUCell"])
def test_cells_have_pytorchs_types(kind: str) -> None:
    torch = pytest.importorskip("torch")

    def found(lib: Any, given: str) -> list[str]:
        with lib.autocast("cpu"):
            state = getattr(lib.nn, kind)(4, 5)(lib.ones(2, 4).to(getattr(lib, given)))
        return [str(t.dtype).split(".")[1] for t in (state if isinstance(state, tuple) else (state,))]

    for given in ("float32", "bfloat16", "float16"):
        assert found(chainrule, given) == found(torch, given), given


@pytest.mark.peer
@pytest.mark.parametrize("kind", [*KINDS, "RNNCell", "LSTMCell", "GRUCell"])
def test_a_state_that_is_given_has_its_say_in_the_types(kind: str) -> None:
    """A loop with a state in float32 keeps its digits, though its inputs are halves."""
    torch = pytest.importorskip("torch")

    def found(lib: Any, half: str, given: str, before: str) -> list[str] | None:
        alone = kind.endswith("Cell")
        x, h = (lib.zeros(*shape).to(getattr(lib, dtype)) for shape, dtype in (
            ((2, 4) if alone else (3, 2, 4), given), ((2, 5) if alone else (1, 2, 5), before),
        ))  # fmt: skip
        layer = getattr(lib.nn, kind)(4, 5)
        try:
            with lib.autocast("cpu", dtype=getattr(lib, half)):
                answer = layer(x, (h, h) if kind.startswith("LSTM") else h)
        except RuntimeError as error:
            assert "primitive descriptor" in str(error)
            return None
        if not alone:
            answer = (answer[0], *answer[1]) if kind == "LSTM" else answer
        return [str(t.dtype).split(".")[1] for t in (answer if isinstance(answer, tuple) else (answer,))]

    types = ("float32", "bfloat16", "float16")
    for case in itertools.product(types[1:], types, types):
        want = found(torch, *case)
        assert want is None or found(chainrule, *case) == want, case


def results(kind: str, how: str, x: Any, size: int = 32, **settings: Any) -> list[Any]:
    """Outputs, last states and all gradients: in float64, or within autocast, eager or compiled."""
    chainrule.manual_seed(0)
    layer = getattr(nn, kind)(x.shape[2], size, **settings)
    layer.to(chainrule.float64 if how == "exact" else chainrule.float32)
    x = chainrule.tensor(x).to(chainrule.float64 if how == "exact" else chainrule.float32).requires_grad_()

    def run() -> list[Any]:
        with chainrule.autocast("cpu", enabled=how != "exact"):
            outputs, last = layer(x)
        states = last if isinstance(last, tuple) else (last,)
        weights = [x, *layer.parameters()]
        loss = outputs.float().square().sum() if how != "exact" else outputs.square().sum()
        return [outputs.detach(), *[s.detach() for s in states], *chainrule.autograd.grad(loss, weights)]

    return (chainrule.compile(run, debug=True) if how == "compiled" else run)()


def numbers(x: Any) -> Any:
    return x.detach().double().numpy()


def sequences(*shape: int) -> Any:
    return np.random.default_rng(0).standard_normal(shape)


@pytest.mark.parametrize("pairs", [True, False])
@pytest.mark.parametrize("kind", KINDS)
def test_errors_are_those_of_rounding(kind: str, pairs: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Against float64, relative to the largest entry: a few roundings, for a sequence of 20 steps."""
    if not pairs:  # as on a processor without the instruction
        monkeypatch.setattr(builder, "multiplies_pairs", lambda: False)
        monkeypatch.setattr(builder, "vector_bits", lambda: 128)
    for settings in SETTINGS[2:] if pairs else SETTINGS[:1]:
        x = sequences(20, 18, 13)
        exact = results(kind, "exact", x, **settings)
        for how in ("eager", "compiled"):
            for have, want in zip(results(kind, how, x, **settings), exact, strict=True):
                error = np.abs(numbers(have) - numbers(want)).max() / np.abs(numbers(want)).max()
                assert error <= 4 * ROUNDING, (how, settings, tuple(have.shape), error)


@pytest.mark.peer
def test_errors_are_not_larger_than_pytorchs() -> None:
    """Of outputs and of the gradients of the weights, by their mean square, over 40 steps."""
    torch = pytest.importorskip("torch")
    x = sequences(40, 16, 24)
    for kind in KINDS:
        layer = getattr(torch.nn, kind)(24, 48)
        chainrule.manual_seed(0)
        ours = getattr(nn, kind)(24, 48)
        layer.load_state_dict({name: torch.tensor(t.numpy()) for name, t in ours.state_dict().items()})
        given = torch.tensor(x, dtype=torch.float32)
        with torch.autocast("cpu"):
            outputs = layer(given)[0]
        outputs.float().square().sum().backward()
        peer = [outputs.detach(), *[p.grad for p in layer.parameters()]]
        exact, have = (results(kind, how, x, 48) for how in ("exact", "compiled"))
        states = 2 if kind == "LSTM" else 1
        for a, b, c in zip([have[0], *have[states + 2 :]], [exact[0], *exact[states + 2 :]], peer, strict=True):
            mine, theirs = (np.square(n - numbers(b)).mean() for n in (numbers(a), c.double().numpy()))
            assert mine <= 1.5 * theirs, (kind, tuple(a.shape), mine, theirs)


@pytest.mark.parametrize("kind", KINDS)
def test_compiled_is_eager(kind: str) -> None:
    """The same types; the same numbers, but for roundings that come out on the other side."""
    x = sequences(17, 16, 8)
    for settings in ({}, {"num_layers": 2, "bidirectional": True}):
        eager, compiled = (results(kind, how, x, 20, **settings) for how in ("eager", "compiled"))
        for have, want in zip(compiled, eager, strict=True):
            assert have.dtype is want.dtype
            np.testing.assert_allclose(
                numbers(have), numbers(want), rtol=0, atol=2 * ROUNDING * np.abs(numbers(want)).max()
            )


@pytest.mark.parametrize("kind", KINDS)
def test_bits_do_not_depend_on_threads(kind: str) -> None:
    before, found = chainrule.get_num_threads(), []
    try:
        for threads in (1, 2, 3):
            chainrule.set_num_threads(threads)
            found.append([numbers(t).tobytes() for t in results(kind, "compiled", sequences(20, 33, 40), 64)])
    finally:
        chainrule.set_num_threads(before)
    assert found[0] == found[1] == found[2]


def test_weights_are_rounded_and_packed_once() -> None:
    """In the loops there is no kernel that writes as much as a weight has, but the products' own."""
    layer, x = nn.LSTM(16, 64), chainrule.tensor(sequences(60, 16, 16)).float()

    @chainrule.compile
    def step(x: Any) -> Any:
        with chainrule.autocast("cpu"):
            outputs = layer(x)[0]
        return chainrule.autograd.grad(outputs.float().sum(), [layer.weight_hh_l0])

    step(x)
    depth, inside = 0, []
    for line in step.explain().splitlines()[1:]:
        depth += " times" in line
        depth -= "and again" in line
        inside += [line] * (depth > 0)
    assert sum("product" in line for line in inside) == 2
    assert not any("[256×64]" in line or "[64×256]" in line for line in inside), inside


@pytest.mark.parametrize("kind", KINDS)
def test_layers_of_halves_keep_digits_between_steps(kind: str) -> None:
    """Over 200 steps the error is a few roundings, and not one more for every step."""
    chainrule.manual_seed(0)
    layer, x = getattr(nn, kind)(8, 16).to(chainrule.bfloat16), chainrule.tensor(sequences(200, 4, 8)).bfloat16()
    have, states = layer(x)
    compiled = chainrule.compile(layer)(x)[0]
    want, exact = layer.to(chainrule.float64)(x.double())
    for a, b in zip((have, compiled, *states), (want, want, *exact), strict=True):
        assert a.dtype is chainrule.bfloat16
        assert np.abs(numbers(a) - numbers(b)).max() <= 3 * ROUNDING * np.abs(numbers(b)).max()
    with pytest.raises(chainrule.errors.DTypeError):
        layer.to(chainrule.bfloat16)(
            x, chainrule.zeros(1, 4, 16) if kind != "LSTM" else (chainrule.zeros(1, 4, 16),) * 2
        )


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_have_the_types_of_what_they_are_for(kind: str) -> None:
    """Of inputs, first states and weights in every mixture, within autocast and without."""
    for given, weights, half in [
        ("bfloat16", "float32", "bfloat16"), ("bfloat16", "bfloat16", "bfloat16"), ("float32", "bfloat16", "bfloat16"),
        ("float16", "float32", "bfloat16"), ("float32", "float32", "float16"), ("bfloat16", "bfloat16", None),
        ("float16", "float16", None),
    ]:  # fmt: skip
        layer = getattr(nn, kind)(3, 4, num_layers=2, bidirectional=True).to(getattr(chainrule, weights))
        dtype = getattr(chainrule, given)
        x, first = chainrule.tensor(sequences(6, 2, 3)).to(dtype), chainrule.ones(4, 2, 4, dtype=dtype)
        for how in (lambda f: f, chainrule.compile):

            def run(x: Any, first: Any, layer: Any = layer, half: str | None = half) -> list[Any]:
                x, first = x.detach().requires_grad_(), first.detach().requires_grad_()
                with chainrule.autocast("cpu", getattr(chainrule, half or "bfloat16"), enabled=half is not None):
                    outputs, last = layer(x, (first, first) if kind == "LSTM" else first)
                loss = sum(t.float().square().sum() for t in (outputs, *(last if kind == "LSTM" else (last,))))
                return chainrule.autograd.grad(loss, [x, first, *layer.parameters()])

            for gradient, leaf in zip(how(run)(x, first), [x, first, *layer.parameters()], strict=True):
                assert gradient.dtype is leaf.dtype
                assert np.isfinite(numbers(gradient)).all() and numbers(gradient).any()


def test_packed_sequences_and_lengths() -> None:
    layer, x, lengths = nn.LSTM(3, 4), chainrule.tensor(sequences(5, 3, 3)).float(), [5, 3, 2]
    packed = nn.utils.rnn.pack_padded_sequence(x, lengths)
    with chainrule.autocast("cpu"):
        outputs, (h, c) = layer(packed)
        padded, (h2, c2) = layer(x, lengths=lengths)
    assert outputs.data.dtype is padded.dtype is h.dtype is c.dtype is chainrule.bfloat16
    whole = nn.utils.rnn.pad_packed_sequence(outputs)[0]
    np.testing.assert_array_equal(numbers(whole), numbers(padded))
    np.testing.assert_array_equal(numbers(h), numbers(h2))
    np.testing.assert_array_equal(numbers(c), numbers(c2))


def test_what_does_not_fit_is_refused_as_without_autocast() -> None:
    layer = nn.GRU(3, 4)
    with chainrule.autocast("cpu"):
        with pytest.raises(chainrule.errors.ShapeError, match="features"):
            layer(chainrule.ones(5, 2, 7))
        with pytest.raises(chainrule.errors.DTypeError):
            layer(chainrule.ones(5, 2, 3), chainrule.ones(1, 2, 4, dtype=chainrule.float64))
        with pytest.raises(chainrule.errors.ShapeError, match="first h"):
            layer(chainrule.ones(5, 2, 3), chainrule.ones(1, 3, 4))


def test_a_step_of_the_users_own_computes_in_float32() -> None:
    """Nothing is known of it, so it gets what it gets outside; its outputs are rounded."""

    class Own(nn.RNN):
        def step(self, input_sums: Any, state: Any, weights: Any) -> Any:
            assert input_sums.dtype is state[0].dtype is weights["weight_hh"].dtype is chainrule.float32
            return ((input_sums + state[0] @ weights["weight_hh"].T).sin(),)

    layer, x = Own(3, 4), chainrule.tensor(sequences(5, 2, 3)).float()
    want = layer(x)[0]
    with chainrule.autocast("cpu"):
        have, last = layer(x)
    assert have.dtype is last.dtype is chainrule.bfloat16
    np.testing.assert_array_equal(numbers(have), numbers(want.bfloat16()))
