"""Weights computed from others: the mechanism, orthogonal and spectral constraints, weight norm; against PyTorch."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import numpy as np
import pytest

import chainrule
from chainrule import autograd, nn, optim
from chainrule.nn.utils import parametrizations, parametrize, prune

float64 = chainrule.float64


def kinds(framework: Any) -> dict[str, Any]:
    """Ways to constrain a layer, by name, in one of the frameworks."""
    utils, ready = framework.nn.utils, framework.nn.utils.parametrizations
    return {
        "weight_norm": ready.weight_norm,
        "weight_norm dim 1": lambda m: ready.weight_norm(m, dim=1),
        "weight_norm bias": lambda m: ready.weight_norm(m, "bias", dim=0),
        "spectral_norm": ready.spectral_norm,
        "spectral_norm 3": lambda m: ready.spectral_norm(m, n_power_iterations=3, dim=1),
        "spectral_norm bias": lambda m: ready.spectral_norm(m, "bias"),
        **{
            f"{name} {base}": lambda m, name=name, base=base: ready.orthogonal(
                m, orthogonal_map=name, use_trivialization=base
            )
            for name in ("matrix_exp", "cayley", "householder")
            for base in (True, False)
            if base or name == "householder"
        },
        "old weight_norm": utils.weight_norm,
        "old weight_norm dim None": lambda m: utils.weight_norm(m, dim=None),
        "old spectral_norm": utils.spectral_norm,
    }


LAYERS = ["Linear(3, 5)", "Linear(5, 3)", "Linear(4, 4)", "Conv2d(2, 3, 2)", "ConvTranspose2d(2, 3, 2)"]
CASES = [
    (layer, kind) for layer in LAYERS for kind in kinds(chainrule)
    if ("Linear" in layer or not kind.startswith(("matrix", "cayley", "house")))
    and (layer[:5], kind) != ("ConvT", "spectral_norm bias")  # PyTorch takes dimension 1 of the vector there
]  # fmt: skip


@pytest.mark.peer
@pytest.mark.filterwarnings("ignore::FutureWarning:torch")
@pytest.mark.parametrize(("source", "kind"), CASES)
def test_constrained_layers_are_pytorch_s(source: str, kind: str) -> None:
    """The same state gives the same weights, outputs, gradients and buffers, over some steps of training."""
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    layers = [eval(f"nn.{source}", {"nn": f.nn}).to(f.float64) for f in (chainrule, torch)]
    ours, theirs = (kinds(f)[kind](layer) for f, layer in zip((chainrule, torch), layers, strict=True))
    state = {name: value.numpy() for name, value in theirs.state_dict().items()}
    assert {n: tuple(t.shape) for n, t in ours.state_dict().items()} == {n: a.shape for n, a in state.items()}
    ours.load_state_dict(state)
    assert repr(ours) == repr(theirs)
    x = np.random.default_rng(0).standard_normal((2, 2, 4, 4) if "Conv" in source else (4, ours.in_features))
    paths = []
    for framework, layer in ((chainrule, ours), (torch, theirs)):
        optimizer, path = framework.optim.SGD(layer.parameters(), lr=0.1), []
        for step in range(4):
            layer.train(step < 3)
            optimizer.zero_grad()
            y = layer(framework.tensor(x))
            (y**2).mean().backward()
            optimizer.step()
            path += [y, *layer.parameters(), *layer.buffers()]
            path += [p.grad for p in layer.parameters()]
        paths.append([t.detach().numpy().copy() for t in path])
    for mine, other in zip(*paths, strict=True):
        np.testing.assert_allclose(mine, other, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("shape", [(4, 4), (6, 3), (3, 6), (2, 5, 3)])
@pytest.mark.parametrize("name", ["matrix_exp", "cayley", "householder"])
def test_orthogonal_weights_stay_so(name: str, shape: tuple[int, ...]) -> None:
    class Holder(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.w = nn.Parameter(chainrule.randn(*shape, dtype=float64))

    module = parametrizations.orthogonal(Holder(), "w", name)
    optimizer, target = optim.Adam(module.parameters(), lr=0.1), chainrule.randn(*shape, dtype=float64)
    for _ in range(5):
        W = module.w
        gram = W.mT @ W if shape[-2] >= shape[-1] else W @ W.mT
        np.testing.assert_allclose(
            gram.detach().numpy(), np.broadcast_to(np.eye(min(shape[-2:])), gram.shape), atol=1e-10
        )
        optimizer.zero_grad()
        ((W - target) ** 2).sum().backward()
        optimizer.step()
    wanted = chainrule.linalg.qr(chainrule.randn(*shape[:-2], max(shape[-2:]), min(shape[-2:]), dtype=float64)).Q
    wanted = wanted if shape[-2] >= shape[-1] else wanted.mT
    module.w = wanted
    np.testing.assert_allclose(module.w.detach().numpy(), wanted.numpy(), atol=1e-12)
    # Away from the base; the signs that householder reads off the diagonal stay the same from 1 to 2.
    source = chainrule.randn(*shape, dtype=float64).tril(-1) + 1.5 * chainrule.eye(*shape[-2:], dtype=float64)
    assert autograd.gradcheck(lambda X: module.parametrizations.w[0](X), source.requires_grad_(), atol=1e-4)


def test_without_a_base_householder_takes_assignments_and_the_others_say_so() -> None:
    wanted = chainrule.linalg.qr(chainrule.randn(5, 3, dtype=float64)).Q
    layer = parametrizations.orthogonal(nn.Linear(3, 5, dtype=float64), use_trivialization=False)
    layer.weight = wanted
    np.testing.assert_allclose(layer.weight.detach().numpy(), wanted.numpy(), atol=1e-12)
    with pytest.raises(NotImplementedError, match="use_trivialization=True"):
        parametrizations.orthogonal(nn.Linear(3, 3), orthogonal_map="cayley", use_trivialization=False)


@pytest.mark.parametrize("kind", [parametrizations.spectral_norm, nn.utils.spectral_norm])
def test_power_iteration_goes_on_from_a_vector_across_the_singular_one(kind: Any) -> None:
    """A weight that is clipped to ±c can turn so that W·v is exactly 0, and then all products would be 0 for ever."""
    layer = nn.Linear(2, 1, bias=False)
    with chainrule.no_grad():
        layer.weight.copy_(chainrule.tensor([[0.05, 0.05]]))
    layer = kind(layer)
    layer(chainrule.ones(1, 2))
    with chainrule.no_grad():
        next(layer.parameters()).copy_(chainrule.tensor([[0.05, -0.05]]))
    for _ in range(2):
        y = layer(chainrule.tensor([[1.0, -1.0]]))
    assert abs(y.item()) == pytest.approx(2**0.5, rel=1e-6)  # (1, −1) by the unit vector along it


def test_spectral_norm_is_the_largest_singular_value() -> None:
    layer = parametrizations.spectral_norm(nn.Conv2d(3, 8, 3, dtype=float64), n_power_iterations=100)
    assert abs(np.linalg.svd(layer.weight.detach().numpy().reshape(8, -1))[1][0] - 1) < 1e-6


class Doubled(nn.Module):
    def forward(self, X: Any) -> Any:
        return 2 * X

    def right_inverse(self, Y: Any) -> Any:
        return Y / 2


class Symmetric(nn.Module):
    def forward(self, X: Any) -> Any:
        return X.triu() + X.triu(1).T


def test_parametrizations_stack_cache_and_go() -> None:
    layer = nn.Linear(3, 3)
    before, parameter = layer.weight.detach().numpy(), layer.weight
    parametrize.register_parametrization(layer, "weight", Doubled())
    parametrize.register_parametrization(layer, "weight", Symmetric())
    upper = np.triu(before) + np.triu(before, 1).T
    np.testing.assert_allclose(layer.weight.detach().numpy(), upper, rtol=1e-6)
    assert layer.parametrizations.weight.original is parameter, "the optimiser's cell stays"
    assert isinstance(layer, nn.Linear) and parametrize.type_before_parametrizations(layer) is nn.Linear
    assert layer.weight is not layer.weight
    with parametrize.cached():
        assert layer.weight is layer.weight
    twin = copy.deepcopy(layer)
    with chainrule.no_grad():
        parameter.zero_()
    assert not layer.weight.any() and twin.weight.any(), "a copy has originals of its own"
    with pytest.raises(NotImplementedError, match="Symmetric has no right_inverse"):
        layer.weight = chainrule.ones(3, 3)
    other = parametrize.transfer_parametrizations_and_params(twin, nn.Linear(3, 3))
    np.testing.assert_array_equal(other.weight.detach().numpy(), twin.weight.detach().numpy())
    parametrize.remove_parametrizations(twin, "weight")
    assert type(twin) is nn.Linear and isinstance(twin.weight, nn.Parameter) and not parametrize.is_parametrized(twin)
    np.testing.assert_array_equal(twin.weight.detach().numpy(), other.weight.detach().numpy())
    parametrize.remove_parametrizations(other, "weight", leave_parametrized=False)
    np.testing.assert_allclose(other.weight.detach().numpy(), before / 2, rtol=1e-6)


@pytest.mark.peer
def test_a_second_one_is_applied_to_what_the_first_one_gives() -> None:
    """Only the first is asked for an original; whether it could be asked again does not matter."""
    torch = pytest.importorskip("torch")
    w = np.arange(9, dtype=np.float32).reshape(3, 3)

    def weights(framework: Any) -> list[Any]:
        module = framework.nn.Module

        class Twice(module):
            def forward(self, X: Any) -> Any:
                return 2 * X

            def right_inverse(self, Y: Any) -> Any:
                return Y / 2

        class Upper(module):
            def forward(self, X: Any) -> Any:
                return X.triu()

        found, register = [], framework.nn.utils.parametrize.register_parametrization
        for kinds in ((Twice, Twice), (Upper, Twice), (Twice, Upper, Twice)):
            layer = framework.nn.Linear(3, 3)
            layer.weight.data = framework.tensor(w)
            for kind in kinds:
                register(layer, "weight", kind())
            found += [layer.weight, layer.parametrizations.weight.original]
        return [x.detach().numpy() for x in found]

    for ours, theirs in zip(weights(chainrule), weights(torch), strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("kind", [kind for kind in kinds(chainrule) if not kind.startswith("old")])
def test_what_is_transferred_is_the_same_weight(kind: str) -> None:
    layer = kinds(chainrule)[kind](nn.Linear(4, 4)).eval()
    other = parametrize.transfer_parametrizations_and_params(layer, nn.Linear(4, 4)).eval()
    name = "bias" if "bias" in kind else "weight"
    np.testing.assert_allclose(getattr(other, name).detach(), getattr(layer, name).detach(), rtol=1e-6)


def test_two_tensors_of_a_module() -> None:
    layer = nn.Linear(2, 2)
    for name in ("weight", "bias"):
        parametrize.register_parametrization(layer, name, Doubled())
    assert parametrize.is_parametrized(layer, "bias")
    parametrize.remove_parametrizations(layer, "weight")
    assert parametrize.is_parametrized(layer) and not parametrize.is_parametrized(layer, "weight")
    layer(chainrule.ones(1, 2)).sum().backward()
    assert layer.parametrizations.bias.original.grad.tolist() == [2, 2]


def test_what_is_refused() -> None:
    with pytest.raises(ValueError, match="no parameter, buffer or parametrized tensor 'w'.*weight, bias"):
        parametrize.register_parametrization(nn.Linear(2, 2), "w", Doubled())
    with pytest.raises(chainrule.ShapeError, match=r"\(2,\).*unsafe=True"):
        parametrize.register_parametrization(nn.Linear(2, 2), "weight", _First())
    with pytest.raises(ValueError, match="not parametrized"):
        parametrize.remove_parametrizations(nn.Linear(2, 2), "weight")
    with pytest.raises(ValueError, match="2 parts"):
        parametrize.remove_parametrizations(parametrizations.weight_norm(nn.Linear(2, 2)), "weight", False)
    with pytest.raises(ValueError, match="one of matrix_exp"):
        parametrizations.orthogonal(nn.Linear(2, 2), orthogonal_map="svd")
    with pytest.raises(ValueError, match="two dimensions"):
        parametrizations.orthogonal(nn.Linear(2, 2), "bias")
    with pytest.raises(ValueError, match="orthogonal first"):
        parametrizations.orthogonal(parametrizations.weight_norm(nn.Linear(2, 2)))
    with pytest.raises(ValueError, match="at least 1"):
        parametrizations.spectral_norm(nn.Linear(2, 2), n_power_iterations=0)
    for remove in (nn.utils.remove_weight_norm, nn.utils.remove_spectral_norm):
        with pytest.raises(ValueError, match="has no"):
            remove(nn.Linear(2, 2))


class _First(nn.Module):
    def forward(self, X: Any) -> Any:
        return X[0]


@pytest.mark.parametrize("name", ["weight_norm", "spectral_norm"])
def test_the_older_forms_can_be_taken_off(name: str) -> None:
    layer = getattr(nn.utils, name)(nn.Linear(3, 2))
    x = chainrule.randn(4, 3)
    layer.eval()
    wanted = layer(x).detach().numpy()
    getattr(nn.utils, f"remove_{name}")(layer)
    assert list(layer.state_dict()) == ["bias", "weight"]
    np.testing.assert_allclose(layer(x).detach().numpy(), wanted, rtol=1e-6)


@pytest.mark.parametrize("name", ["weight_norm", "spectral_norm", "pruning"])
def test_what_is_taken_off_leaves_the_weight_of_the_parameters_as_they_are_now(name: str) -> None:
    """A model is made, published parameters are loaded, the normalisation is taken off: no forward comes between."""
    add, remove = {
        "weight_norm": (nn.utils.weight_norm, nn.utils.remove_weight_norm),
        "spectral_norm": (nn.utils.spectral_norm, nn.utils.remove_spectral_norm),
        "pruning": (lambda m: prune.l1_unstructured(m, "weight", 2), lambda m: prune.remove(m, "weight")),
    }[name]
    trained, loaded = add(nn.Linear(3, 2)), add(nn.Linear(3, 2))
    x = chainrule.randn(4, 3)
    trained(x)
    with chainrule.no_grad():
        for parameter in trained.parameters():
            parameter.add_(0.5)
    loaded.load_state_dict(trained.state_dict())
    wanted = copy.deepcopy(trained).eval()(x).detach()
    for layer in (remove(loaded), remove(trained)):
        np.testing.assert_allclose(layer(x).detach(), wanted, rtol=1e-5)


@pytest.mark.parametrize("how", ["deepcopy", "pickle"])
@pytest.mark.parametrize("kind", kinds(chainrule))
def test_copies_are_their_own(kind: str, how: str) -> None:
    layer = nn.Linear(4, 4)
    kinds(chainrule)[kind](layer)
    x = chainrule.randn(2, 4)
    layer(x)
    layer.eval()
    twin = copy.deepcopy(layer) if how == "deepcopy" else pickle.loads(pickle.dumps(layer))
    assert type(twin).__name__ == type(layer).__name__ and chainrule.allclose(twin(x), layer(x), atol=1e-6)
    before = layer(x).detach()
    twin(x).square().sum().backward()
    optim.SGD(twin.parameters(), lr=0.5).step()
    assert chainrule.equal(layer(x), before) and not chainrule.allclose(twin(x), before)
    assert all(parameter.grad is None for parameter in layer.parameters())
    name = "bias" if "bias" in kind else "weight"
    if kind.startswith("old weight"):
        nn.utils.remove_weight_norm(twin)
    elif kind.startswith("old"):
        nn.utils.remove_spectral_norm(twin)
    else:
        parametrize.remove_parametrizations(twin, name)
    assert type(twin) is nn.Linear and isinstance(getattr(twin, name), nn.Parameter)
    assert chainrule.equal(layer(x), before) and name not in dict(layer.named_parameters()), "the other stays"
