"""Sparse tensors: what they compute is what the dense ones do, and what PyTorch's print and compute."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import numpy as np
import pytest

import chainrule
from chainrule import sparse
from chainrule.errors import SparseError
from chainrule.sparse import SparseTensor

PLACES = [[0, 1, 1, 0, 2, 0], [2, 0, 2, 2, 1, 0]]
VALUES = [3.0, 4.0, -5.0, 1.0, 0.5, 2.0]
DENSE = np.zeros((3, 3))
np.add.at(DENSE, tuple(PLACES), VALUES)


def coo(lib: Any = chainrule, **options: Any) -> Any:
    return lib.sparse_coo_tensor(lib.tensor(PLACES), lib.tensor(VALUES), (3, 3), **options)


def plain(thing: Any) -> Any:
    """Numbers as lists, whatever holds them; layout and size of what is sparse."""
    if isinstance(thing, (tuple, list)):
        return [plain(part) for part in thing]
    name = str(getattr(thing, "layout", "")).rpartition(".")[2]
    if name.startswith("sparse"):
        return [name, tuple(thing.shape), plain(thing.to_dense())]
    if hasattr(thing, "tolist"):
        return str(np.round(np.array(thing.detach().tolist()) + 0.0, 5).tolist())  # a string: NaN is NaN
    return (
        thing
        if isinstance(thing, (int, float, bool, tuple))
        else str(thing).replace("torch.", "").replace("chainrule.", "")
    )


EXPRESSIONS = """
s.coalesce() | s.coalesce().indices() | s.coalesce().values() | s._indices() | s._values() | s._nnz() | s.is_coalesced()
s.to_dense() | s.to_sparse_csr() | s.to_sparse_csr().crow_indices() | s.to_sparse_csr().col_indices() | s.to_sparse_csr().values()
s.shape | s.size(1) | s.dim() | s.numel() | s.sparse_dim() | s.dense_dim() | s.dtype | len(s) | s.layout | s.is_sparse | s.to_sparse_csr().layout
s.t() | s.T | s.mT | s.transpose(0, 1) | s.transpose(-1, 0).coalesce() | s.to_sparse_csr().t().to_dense()
s @ x | s @ x[:, 0] | x.t() @ s | lib.mm(s, x) | lib.matmul(s, x) | lib.spmm(s, x) | lib.mv(s, x[:, 0]) | lib.sparse.mm(s, x) | s.matmul(x) | s.mm(x)
lib.sparse.addmm(x, s, x, beta=0.5, alpha=2) | lib.addmm(x, s, x) | s.to_sparse_csr() @ x | s.to_sparse_csr() @ x[:, 0] | s @ s.t() | lib.sparse.mm(s, s) | s.to_sparse_csr() @ s.to_sparse_csr()
s + s | s - s.t() | lib.ones(3, 3) + s | lib.ones(3, 3) - s | s * 2 | 2 * s | s / 4 | -s | s * s | s * s.t() | s * lib.arange(9.0).reshape(3, 3)
s.abs() | s.sqrt() | s.relu() | s ** 2 | s.pow(2) | s.tanh() | s.sin() | s.sign()
lib.sparse.sum(s) | lib.sparse.sum(s, dim=0) | lib.sparse.sum(s, dim=1) | lib.sparse.sum(s, dim=(0, 1)) | s.sum() | s.sum(1) | s.norm()
lib.sparse.softmax(s, 1) | lib.sparse.softmax(s, dim=0) | lib.sparse.log_softmax(s, 1) | lib.sparse.log_softmax(s, 1).values()
s.double().dtype | s.to(lib.float64).dtype | s.clone() | s.detach() | s[0] | s[-1] | s[1][2] | s.index_select(0, lib.tensor([2, 0, 2])) | s.index_select(1, lib.tensor([2]))
x.to_sparse() | (x > 0).to_sparse().to_dense() | lib.eye(3).to_sparse_csr() | lib.eye(3).to_sparse(1) | lib.eye(3).to_sparse(1).values() | lib.ones(3, 3).sparse_mask(s.coalesce()) | x.to_dense()
lib.eye(3).to_sparse_coo() | lib.eye(3).to_sparse(dense_dim=1) | lib.eye(3).to_sparse(layout=lib.sparse_csr, dense_dim=0).crow_indices() | lib.eye(3).to_sparse(layout=lib.strided)
lib.sparse_csr_tensor([0, 1], [0], [2.0], (1, 2), layout=lib.sparse_csr).to_dense()
s.to_sparse() | s.to_sparse(2) | s.to_sparse(layout=lib.sparse_csr) | s.to_sparse(layout=lib.strided) | s.to_sparse_csr().to_sparse() | s.to_sparse_csr().to_sparse(layout=lib.strided)
isinstance(lib.sparse_coo, lib.layout) | isinstance(lib.sparse_csr, lib.layout) | isinstance(s.layout, lib.layout) | lib.channels_last in (lib.strided, lib.sparse_coo)
lib.sparse_coo_tensor(lib.zeros((0, 2), dtype=lib.int64), lib.ones(2), ()).to_dense() | lib.sparse_coo_tensor(lib.zeros((0, 2), dtype=lib.int64), lib.ones(2), ()).coalesce()
lib.sparse_coo_tensor(lib.tensor([[0, 2]]), lib.ones(2, 4)) | lib.sparse_coo_tensor((2, 3)) | lib.sparse_coo_tensor(lib.tensor([[1, 0]]), lib.tensor([1, 2]), (4,)).dtype
lib.sparse_csr_tensor(lib.tensor([0, 2, 3]), lib.tensor([0, 2, 1]), lib.tensor([1.0, 2.0, 3.0]), (2, 3)) | lib.sparse_csr_tensor(lib.tensor([0, 2, 3]), lib.tensor([0, 2, 1]), lib.tensor([1.0, 2.0, 3.0]))
lib.sparse.spdiags(lib.arange(6.0).reshape(2, 3) + 1, lib.tensor([0, -1]), (3, 3)) | lib.sparse.FloatTensor(lib.tensor(PLACES), lib.tensor(VALUES), (3, 3))
"""
EACH = [each.strip() for line in EXPRESSIONS.strip().splitlines() for each in line.split(" | ")]


@pytest.mark.peer
@pytest.mark.parametrize("expression", EACH)
def test_the_same_as_pytorch(expression: str) -> None:
    torch = pytest.importorskip("torch")
    found = []
    for lib in (chainrule, torch):
        x = lib.tensor([[1.0, -2.0], [0.0, 3.0], [0.5, 0.0]])
        found.append(plain(eval(expression, {"lib": lib, "s": coo(lib), "x": x, "PLACES": PLACES, "VALUES": VALUES})))
    assert found[0] == found[1]


@pytest.mark.peer
def test_they_print_as_pytorchs() -> None:
    torch = pytest.importorskip("torch")
    for make in (coo, lambda lib: coo(lib).coalesce(), lambda lib: coo(lib, requires_grad=True)):
        assert repr(make(chainrule)) == repr(make(torch)).replace("torch.", "chainrule.")


# ------------------------------------------------------------------------------------------ gradients


LOSSES = {
    "product": lambda A, X: (A @ X).square().sum(),
    "from the left": lambda A, X: (X.t() @ A).square().sum(),
    "vector": lambda A, X: (A @ X[:, 0]).square().sum(),
    "dense": lambda A, X: (A.to_dense() * X[:3, :1]).square().sum(),
    "coalesced": lambda A, X: (A.coalesce().values() ** 2).sum() + X.sum(),
    "compressed": lambda A, X: (A.to_sparse_csr() @ X).square().sum(),
    "sparse": lambda A, X: ((A @ A.t()).to_dense() @ X).square().sum(),
    "softmax": lambda A, X: (sparse.softmax(A, 1) @ X).square().sum(),
    "sums": lambda A, X: (sparse.sum(A, 1).to_dense() * X[:, 0]).square().sum(),
    "entry by entry": lambda A, X: ((A * A + A * (X @ X.t())) @ X).square().sum(),
}


@pytest.mark.parametrize("name", LOSSES)
def test_gradients_reach_values_and_dense_partners(name: str) -> None:
    def loss(values: Any, X: Any) -> Any:
        return LOSSES[name](chainrule.sparse_coo_tensor(PLACES, values, (3, 3)), X)

    chainrule.manual_seed(0)
    values = chainrule.tensor(VALUES, dtype=chainrule.float64, requires_grad=True)
    X = chainrule.randn(3, 2, dtype=chainrule.float64).requires_grad_()
    assert chainrule.autograd.gradcheck(loss, (values, X))


@pytest.mark.parametrize("name", ["product", "from the left", "vector", "dense", "sums", "softmax"])
def test_a_compiled_step_is_the_same(name: str) -> None:
    chainrule.manual_seed(0)
    A = coo().coalesce()
    values, X = A.values().detach().requires_grad_(), chainrule.randn(3, 2, requires_grad=True)

    def step(X: Any) -> Any:
        values.grad = X.grad = None
        loss = LOSSES[name](A._with(values), X)
        loss.backward()
        return loss, values.grad.clone(), X.grad.clone()

    eager, compiled = step(X), chainrule.compile(step)
    for _ in range(2):
        for one, two in zip(eager, compiled(X)):
            np.testing.assert_allclose(two.detach().numpy(), one.detach().numpy(), rtol=1e-5, atol=1e-6)


def test_a_compiled_step_takes_one_as_an_argument() -> None:
    compiled = chainrule.compile(lambda A, x: A @ x)
    x = chainrule.randn(3, 2)
    for A in (coo(), coo() * 2, coo().to_sparse_csr()):
        np.testing.assert_allclose(compiled(A, x).numpy(), (A @ x).numpy(), rtol=1e-6)


@pytest.mark.peer
def test_a_leaf_has_a_sparse_gradient() -> None:
    torch = pytest.importorskip("torch")
    found = []
    for lib in (chainrule, torch):
        A = coo(lib).coalesce().requires_grad_()
        lib.sparse.mm(A, lib.ones(3, 2)).square().sum().backward()
        found.append((plain(A.grad), plain(A.grad.coalesce().values()), A.is_leaf, A.requires_grad))
    assert found[0] == found[1]


@pytest.mark.peer
def test_a_function_of_ones_own_keeps_them_for_its_gradient() -> None:
    torch = pytest.importorskip("torch")
    found = []
    for lib in (chainrule, torch):

        class Product(lib.autograd.Function):  # type: ignore[name-defined]
            @staticmethod
            def forward(ctx: Any, indices: Any, values: Any, shape: Any, b: Any, lib: Any) -> Any:
                a = lib.sparse_coo_tensor(indices, values, shape)
                ctx.save_for_backward(a, b)
                ctx.N = shape[0]
                return lib.matmul(a, b)

            @staticmethod
            def backward(ctx: Any, g: Any) -> Any:
                a, b = ctx.saved_tensors
                edges = a._indices()[0, :] * ctx.N + a._indices()[1, :]
                return None, g.matmul(b.t()).view(-1)[edges], None, a.t().matmul(g), None

        values = lib.tensor(VALUES, requires_grad=True)
        b = lib.tensor([[1.0, -2.0], [0.0, 3.0], [0.5, 0.0]], requires_grad=True)
        y = Product.apply(lib.tensor(PLACES), values, (3, 3), b, lib)
        y.square().sum().backward()
        found.append([plain(y), plain(values.grad), plain(b.grad)])
    assert found[0] == found[1]


# ------------------------------------------------------------------------------------------ graphs


def test_a_graph_convolution_learns_with_edge_weights() -> None:
    """Two cliques joined by one edge: the labels of two nodes reach all others, and weights of edges are learned."""
    chainrule.manual_seed(0)
    edges = [(i, j) for c in (0, 5) for i in range(c, c + 5) for j in range(c, c + 5)] + [(4, 5), (5, 4)]
    places = chainrule.tensor(edges).t()
    weights = chainrule.zeros(len(edges), requires_grad=True)
    features, labels = chainrule.eye(10), chainrule.tensor([0] * 5 + [1] * 5)
    layers = chainrule.nn.Linear(10, 8), chainrule.nn.Linear(8, 2)
    parameters = [*layers[0].parameters(), *layers[1].parameters(), weights]
    optimizer = chainrule.optim.Adam(parameters, lr=0.05)

    def forward() -> Any:
        A = sparse.softmax(chainrule.sparse_coo_tensor(places, weights, (10, 10)), 1)
        return sparse.mm(A, layers[1](sparse.mm(A, layers[0](features)).relu()))

    for _ in range(60):
        optimizer.zero_grad()
        chainrule.nn.functional.cross_entropy(forward()[[0, 9]], labels[[0, 9]]).backward()
        optimizer.step()
    assert chainrule.equal(forward().argmax(1), labels) and weights.detach().abs().max() > 0.1


# ------------------------------------------------------------------------------------------ what is refused


@pytest.mark.parametrize(
    ("do", "error", "says"),
    [
        (lambda: chainrule.sparse_coo_tensor([[0, 3]], [1.0, 2.0], (3,)), IndexError, "dimension 0 go from 0 to 3"),
        (lambda: chainrule.sparse_coo_tensor([[0, -1]], [1.0, 2.0], (3,)), IndexError, "from -1 to 0"),
        (lambda: chainrule.sparse_coo_tensor([[0, 1]], [1.0]), ValueError, "2 places need as many values"),
        (lambda: chainrule.sparse_coo_tensor([0, 1], [1.0, 2.0]), ValueError, r"\(dimensions, entries\)"),
        (lambda: chainrule.sparse_coo_tensor([[0.5]], [1.0]), TypeError, "whole numbers"),
        (lambda: chainrule.sparse_coo_tensor([[0]], [1.0], (2, 2)), ValueError, "1 dimensions"),
        (lambda: chainrule.sparse_csr_tensor([0, 2, 1], [0, 1], [1.0, 2.0]), ValueError, "never fall"),
        (lambda: chainrule.sparse_csr_tensor([0, 2], [1, 0], [1.0, 2.0]), ValueError, "rise within each row"),
        (lambda: chainrule.sparse_csr_tensor([0, 1], [4], [1.0], (1, 3)), IndexError, "dimension 1"),
        (lambda: coo().indices(), RuntimeError, r"coalesce\(\) first"),
        (lambda: coo().to_sparse_csr().indices(), RuntimeError, "crow_indices"),
        (lambda: coo().crow_indices(), RuntimeError, "to_sparse_csr"),
        (lambda: chainrule.eye(2).to_sparse(blocksize=(1, 1)), RuntimeError, "blocks"),
        (lambda: chainrule.eye(2).to_sparse(1, layout=chainrule.sparse_coo), TypeError, "either"),
        (lambda: chainrule.eye(2).to_sparse(layout="sparse_bsr"), RuntimeError, "layout is .*sparse_coo or .*sparse_csr"),
        (lambda: chainrule.eye(2).to_sparse("sparse_csr"), TypeError, "sparse_dim counts dimensions.*layout="),
        (lambda: coo().to_sparse(layout="sparse_bsr"), RuntimeError, "layout is .*sparse_coo or .*sparse_csr"),
        (lambda: coo().to_sparse("sparse_csr"), TypeError, "sparse_dim counts dimensions.*layout="),
        (lambda: coo().to_sparse(1), RuntimeError, r"2 dimensions are listed.*to_dense\(\)"),
        (lambda: coo().to_sparse(dense_dim=1), RuntimeError, r"2 dimensions are listed.*to_dense\(\)"),
        (lambda: coo().to_sparse(2, layout=chainrule.sparse_coo), TypeError, "either"),
        (lambda: coo().to_sparse(blocksize=(1, 1)), RuntimeError, "blocks"),
        (lambda: sparse.spdiags(chainrule.ones(1, 2), chainrule.tensor([0]), (2, 2), chainrule.strided), RuntimeError, "spdiags: layout is"),
        (lambda: chainrule.sparse_csr_tensor([0, 1], [0], [1.0], layout=chainrule.sparse_coo), RuntimeError, "layout is .*sparse_csr, got"),
        (lambda: coo() @ chainrule.ones(2, 3), ValueError, r"\(3, 3\) @ \(2, 3\).*3 and 2"),
        (lambda: coo() @ chainrule.ones(3, 3).double(), TypeError, "one data type"),
        (lambda: coo() + 1, RuntimeError, "every zero"),
        (lambda: coo() + chainrule.eye(2).to_sparse(), ValueError, "equal"),
        (lambda: coo() ** -1, RuntimeError, "positive"),
        (lambda: coo() / chainrule.ones(3, 3), RuntimeError, "zero divided by zero"),
        (lambda: coo().view(9), AttributeError, "to_dense"),
        (lambda: chainrule.exp(coo()), TypeError, "to_dense"),
        (lambda: chainrule.maximum(chainrule.ones(3, 3), coo()), RuntimeError, "Maximum is not there"),
        (lambda: bool(coo()), RuntimeError, "neither true nor false"),
        (lambda: coo().cuda(), ValueError, "cuda"),
    ],
)  # fmt: skip
def test_what_is_refused_is_said(do: Any, error: type, says: str) -> None:
    with pytest.raises(error, match=says) as caught:
        do()
    assert isinstance(caught.value, (chainrule.ChainruleError, AttributeError))
    assert isinstance(caught.value, SparseError) or error is not RuntimeError


def test_copies_are_their_own() -> None:
    A = coo().coalesce().requires_grad_()
    (A @ chainrule.ones(3, 1)).sum().backward()
    for other in (copy.deepcopy(A), pickle.loads(pickle.dumps(A))):
        assert isinstance(other, SparseTensor) and other.requires_grad and plain(other) == plain(A)
        assert other._values() is not A._values()
    A.grad = None
    assert A._values().grad is None


def test_a_layout_is_one_object_wherever_it_travels() -> None:
    for layout in (chainrule.strided, chainrule.sparse_coo, chainrule.sparse_csr):
        assert copy.deepcopy(layout) is layout and pickle.loads(pickle.dumps(layout)) is layout


def test_a_batch_of_dense_matrices() -> None:
    x = chainrule.randn(2, 4, 3, 5)
    np.testing.assert_allclose((coo() @ x).numpy(), DENSE.astype(np.float32) @ x.numpy(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("shape", [(3, 3), (2, 3, 4), (5,), (0, 3)])
def test_dense_and_back(shape: Any) -> None:
    x = np.random.default_rng(0).integers(-1, 2, shape).astype(np.float32)
    for rank in range(1, len(shape) + 1):
        A = chainrule.tensor(x).to_sparse(rank)
        assert A.is_coalesced() and A.sparse_dim() == rank
        np.testing.assert_array_equal(A.to_dense().numpy(), x)
        np.testing.assert_array_equal((A + A).coalesce().to_dense().numpy(), 2 * x)


def test_modules_hold_sparse_tensors_as_attributes_alone() -> None:
    layer = chainrule.nn.Linear(2, 2)
    layer.adjacency = coo()
    assert layer.adjacency.shape == coo().shape and list(layer.state_dict()) == ["weight", "bias"]
    with pytest.raises(TypeError, match=r"a sparse tensor; keep it as an attribute"):
        layer.register_buffer("other", coo())
    for kind in (chainrule.nn.Parameter, chainrule.nn.Buffer):
        with pytest.raises(TypeError, match=r"this one is sparse: make it of its values\(\)"):
            kind(coo())
