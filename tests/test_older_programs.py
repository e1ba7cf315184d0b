"""What older programs for PyTorch write, found in public ones: names that were replaced, masks of bytes, places."""

from __future__ import annotations

import itertools
import warnings
from collections import OrderedDict, defaultdict, deque, namedtuple
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import chainrule
from chainrule import nn

Point = namedtuple("Point", "x y")


# ------------------------------------------------------------------------------------------- masks of bytes

MASKS = """
x[m]
x[m, 0]
x[:, n]
x[0, n]
x[..., n]
x[b]
x[m, n.nonzero().squeeze(1)[:2]]
x[1 - m]
x[m.numpy()]
x.index_put((m,), 7 * lib.ones(2, 4))
lib.where(b, x, -x)
lib.where(m[:, None], x, lib.zeros(1))
""".strip().splitlines()


@pytest.mark.peer
@pytest.mark.parametrize("line", MASKS)
def test_tensors_of_bytes_are_masks(line: str) -> None:
    torch = pytest.importorskip("torch")
    found = []
    for lib in (torch, chainrule):
        x = lib.arange(12.0).reshape(3, 4).requires_grad_()
        names = {
            "lib": lib, "x": x, "m": lib.tensor([1, 0, 2], dtype=lib.uint8),
            "n": lib.tensor([0, 1, 0, 1], dtype=lib.uint8), "b": (x > 4).byte(),
        }  # fmt: skip
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            result = eval(line, names)
        assert lib is torch or "uint8" in str(said[0].message)
        (result * lib.arange(1.0, result.numel() + 1).reshape(result.shape)).sum().backward()
        found.append((result.detach().numpy(), x.grad.numpy()))
    for theirs, ours in zip(*found):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.peer
@pytest.mark.parametrize(
    "line", ["x[m] = x[m] * 5", "x[m] += 1", "x[:, n] = x[:, n] * 2", "x[b] = x[b] - 1", "x[0, n] = x[1, n]"]
)
def test_writing_where_a_mask_of_bytes_holds(line: str) -> None:
    torch = pytest.importorskip("torch")
    found = []
    for lib in (torch, chainrule):
        x = lib.arange(12.0).reshape(3, 4)
        m, n = lib.tensor([1, 0, 2], dtype=lib.uint8), lib.tensor([0, 1, 0, 1], dtype=lib.uint8)
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            exec(line, {"x": x, "m": m, "n": n, "b": (x > 4).byte()})
        assert lib is torch or "uint8" in str(said[0].message)
        found.append(x.numpy())
    np.testing.assert_array_equal(found[1], found[0])


@pytest.mark.filterwarnings("ignore:.*uint8")
def test_masks_of_bytes_in_a_compiled_step() -> None:
    def step(x: Any, m: Any) -> Any:
        x[m] = x[m] * 2
        return x[m].sum(), chainrule.where(m, x, 0.0)

    x, m = chainrule.arange(6.0), chainrule.tensor([1, 0, 0, 1, 1, 0], dtype=chainrule.uint8)
    plain = step(x.clone(), m)
    compiled = chainrule.compile(step)
    for _ in range(2):
        for ours, expected in zip(compiled(x.clone(), m), plain):
            np.testing.assert_array_equal(ours.numpy(), expected.numpy())


def test_a_mask_of_bytes_that_does_not_fit_is_refused() -> None:
    with pytest.warns(UserWarning, match=r"mask\.bool\(\)"), pytest.raises(IndexError, match="does not fit"):
        chainrule.arange(6)[chainrule.tensor([1, 0], dtype=chainrule.uint8)]
    assert chainrule.arange(6)[np.uint8(4)].item() == 4  # a number, not a tensor


# --------------------------------------------------------------------------------------------------- names

OLD = ["uniform", "normal", "constant", "eye", "dirac", "xavier_uniform", "xavier_normal", "kaiming_uniform",
       "kaiming_normal", "orthogonal", "sparse"]  # fmt: skip


@pytest.mark.parametrize("name", OLD)
def test_old_names_of_initialisation_fill_in_place(name: str) -> None:
    arguments = {"constant": (2.0,), "sparse": (0.5,)}.get(name, ())
    weights = [chainrule.zeros(3, 3, 3) if name == "dirac" else chainrule.zeros(3, 4) for _ in range(2)]
    chainrule.manual_seed(4)
    getattr(nn.init, f"{name}_")(weights[0], *arguments)
    chainrule.manual_seed(4)
    with pytest.warns(FutureWarning, match=f"{name}_"):
        given = getattr(nn.init, name)(weights[1], *arguments)
    assert given is weights[1] and chainrule.equal(*weights) and bool(weights[0].any())


def test_the_old_name_of_clipping() -> None:
    w = chainrule.tensor([3.0, 4.0], requires_grad=True)
    (w * w / 2).sum().backward()
    with pytest.warns(FutureWarning, match="clip_grad_norm_"):
        assert nn.utils.clip_grad_norm([w], 1.0).item() == pytest.approx(5)
    assert w.grad.tolist() == pytest.approx([0.6, 0.8])


def test_schedules_and_optimisers_of_ones_own_by_pytorch_s_older_names() -> None:
    from chainrule.optim.lr_scheduler import _LRScheduler
    from chainrule.optim.optimizer import Optimizer, required

    class Descent(Optimizer):
        def __init__(self, params: Any, lr: Any = required, momentum: float = 0.0) -> None:
            if lr is not required and lr < 0:
                raise ValueError(lr)
            super().__init__(params, {"lr": lr, "momentum": momentum})

        def step(self, closure: Any = None) -> None:
            for group in self.param_groups:
                for p in group["params"]:
                    p.data.add_(p.grad, alpha=-group["lr"])

    class Halves(_LRScheduler):
        def get_lr(self) -> list[float]:
            return [base / 2**self.last_epoch for base in self.base_lrs]

    w = nn.Parameter(chainrule.tensor([1.0]))
    with pytest.raises(ValueError, match="no default for lr"):
        Descent([w])
    with pytest.raises(ValueError, match="no default for lr"):
        Descent([{"params": [w], "lr": 1.0}, {"params": [nn.Parameter(chainrule.ones(1))]}])
    assert [g["lr"] for g in Descent([{"params": [w], "lr": 0.25}]).param_groups] == [0.25]
    optimiser = Descent([w], lr=0.5)
    schedule = Halves(optimiser)
    for expected in (0.5, 0.25, 0.125):
        assert optimiser.param_groups[0]["lr"] == expected
        w.grad = chainrule.ones(1)
        optimiser.step()
        schedule.step()
    assert w.item() == 1 - 0.875 and repr(required) == "<required parameter>"


def test_what_is_written_into_a_variable_is_recorded() -> None:
    from chainrule.autograd import Variable

    p = nn.Parameter(chainrule.tensor([2.0, 3.0]))
    output = Variable(chainrule.zeros(2, 4))
    output[:, 0::2] = p[:, None] * p
    total = Variable(chainrule.zeros(2))
    total += output[:, :3].sum(1)
    assert output.requires_grad and total.tolist() == [10.0, 15.0]
    total.sum().backward()
    assert p.grad.tolist() == [10.0, 10.0]
    x = chainrule.zeros(2)
    Variable(x)[0] = 7.0
    assert x.tolist() == [7.0, 0.0] and not x.requires_grad
    assert not Variable(p).requires_grad and Variable(x, requires_grad=True).is_leaf


def test_a_loaded_state_is_of_before_a_schedule() -> None:
    """Range tests put the optimiser back, and look whether a schedule has been there."""
    w = nn.Parameter(chainrule.tensor([1.0]))
    optimiser = chainrule.optim.SGD([w], lr=0.5)
    before = optimiser.state_dict()
    chainrule.optim.lr_scheduler.StepLR(optimiser, 2)
    assert optimiser.param_groups[0]["initial_lr"] == 0.5
    optimiser.load_state_dict(before)
    assert "initial_lr" not in optimiser.param_groups[0] and optimiser.param_groups[0]["lr"] == 0.5


def test_an_optimiser_around_another_needs_no_parameters_of_its_own() -> None:
    class Twice(chainrule.optim.Optimizer):
        def __init__(self, inner: Any) -> None:
            self.inner = inner

        def step(self, closure: Any = None) -> None:
            self.inner.step()
            self.inner.step()

    w = nn.Parameter(chainrule.tensor([1.0]))
    optimiser = Twice(chainrule.optim.SGD([w], lr=0.25))
    w.grad = chainrule.ones(1)
    optimiser.step()
    assert w.item() == 0.5


def test_the_default_type_by_the_name_of_a_tensor_type() -> None:
    try:
        for kind in (chainrule.DoubleTensor, "torch.HalfTensor", "chainrule.BFloat16Tensor", chainrule.FloatTensor):
            chainrule.set_default_tensor_type(kind)
            name = kind.split(".")[1] if isinstance(kind, str) else kind.__name__
            assert chainrule.zeros(1).type() == f"chainrule.{name}" == chainrule.typename(chainrule.rand(2))
        for wrong in ("torch.Float", 3, None):
            with pytest.raises(TypeError, match="names no type"):
                chainrule.set_default_tensor_type(wrong)
        with pytest.raises(chainrule.DTypeError):
            chainrule.set_default_tensor_type(chainrule.LongTensor)
        assert chainrule.zeros(1).dtype is chainrule.float32
    finally:
        chainrule.set_default_dtype(chainrule.float32)
    assert chainrule.typename(nn.Linear(1, 1)).endswith(".Linear") and chainrule.typename(3) == "int"


def test_a_module_under_a_name_of_its_class_is_registered() -> None:
    class Stack(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers = nn.Linear(2, 3)
            with pytest.warns(UserWarning, match="'parameters' of its class"):
                self.parameters = nn.ParameterList([self.layers.weight, nn.Parameter(chainrule.ones(2))])  # type: ignore

    model = Stack()
    assert [name for name, _ in model.named_parameters()] == ["layers.weight", "layers.bias", "parameters.1"]
    assert len(list(model.parameters())) == 3 and len(model.get_submodule("parameters")) == 2


def test_a_block_after_which_the_stream_is_where_it_was() -> None:
    chainrule.manual_seed(1)
    with chainrule.random.fork_rng(devices=[]):
        chainrule.manual_seed(5)
        inside = chainrule.rand(3)
    after = chainrule.rand(3)
    chainrule.manual_seed(1)
    assert chainrule.equal(after, chainrule.rand(3)) and not chainrule.equal(inside, after)
    with chainrule.random.fork_rng(enabled=False):
        chainrule.manual_seed(5)
    assert chainrule.equal(inside, chainrule.rand(3))


def test_what_programs_ask_of_a_gpu_that_is_not_there() -> None:
    cuda = chainrule.cuda
    if cuda.is_available():
        pytest.skip("there is a GPU here")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        cuda.reset_peak_memory_stats()
        cuda.ipc_collect()
        with cuda.device(None), cuda.device(-1):
            assert cuda.max_memory_reserved() == cuda.memory_cached() == 0
    assert cuda.memory_stats() == {} and cuda.memory_summary() == "" and cuda.get_rng_state_all() == []
    for asks in (cuda.get_device_capability, cuda.mem_get_info, lambda: cuda.reset_peak_memory_stats("cuda:0")):
        with pytest.raises(chainrule.DeviceError, match="no device 'cuda"):
            asks()
    with pytest.raises(chainrule.DeviceError), cuda.device(0):
        pass
    chainrule.manual_seed(3)
    state = cuda.get_rng_state()
    first = chainrule.rand(2)
    cuda.set_rng_state(state)  # the one stream is the CPU's, which goes on
    assert not chainrule.equal(first, chainrule.rand(2)) and cuda.initial_seed() == 3
    assert issubclass(cuda.OutOfMemoryError, RuntimeError)


@pytest.mark.peer
@pytest.mark.parametrize(
    "call",
    [
        "x.add(0.5, y)", "x.add_(0.5, y)", "lib.add(x, 2, y)", "x.sub(2, y)", "x.sub_(0.5, y)", "lib.sub(x, 2, y)",
        "x.addcmul(0.5, y, y)", "x.addcmul_(0.5, y, z)", "lib.addcmul(x, 0.5, y, y)",
        "x.addcdiv(-0.5, z, y)", "x.addcdiv_(0.5, z, y)", "lib.addcdiv(x, 0.5, z, y)", "x.addmm(0.5, y, z)",
        "x.addmm(0.5, 2, y, z)", "x.addmm_(0.5, 2, y, z)", "lib.addmm(0.5, x, y, z)", "lib.addmm(0.5, x, 2, y, z)",
        "v.addmv(0.5, y, v)", "lib.addmv(0.5, v, 2, y, v)", "x.addr(0.5, 2, v, v)", "lib.addr(0.5, x, v, v)",
        "x.add_(s, y)", "lib.sub(x, s, y)", "x.addcmul_(s, y, z)", "lib.addcdiv(x, s, s, y)", "x.addmm(s, y, z)",
        "lib.addmm(s, x, s, y, z)", "x.addmm_(0.5, s, y, z)",
        "x.addbmm(0.5, 2, b, b)", "lib.addbmm(0.5, x, b, b)", "b.baddbmm(0.5, 2, b, b)", "lib.baddbmm(0.5, b, 2, b, b)",
    ],
)  # fmt: skip
def test_numbers_that_stood_among_the_tensors(call: str) -> None:
    torch = pytest.importorskip("torch")
    found = []
    for lib in (torch, chainrule):
        y, z = lib.arange(9.0).reshape(3, 3) + 1, lib.arange(9.0).reshape(3, 3) * 0.25
        names = {"lib": lib, "x": y * 0.125, "y": y, "z": z, "v": y[0] * 1, "b": lib.stack([y, z])}
        names["s"] = lib.tensor(0.5)
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            found.append(eval(call, names).numpy())
    assert "order of older programs" in str(told[0].message) and told[0].filename == "<string>"
    np.testing.assert_allclose(found[1], found[0], rtol=1e-6)


def test_more_arguments_than_a_function_has_are_refused() -> None:
    x = chainrule.ones(2)
    calls: list[Callable[[], Any]] = [
        lambda: x.add(1, 2), lambda: x.add(x, x), lambda: x.add(x, 2, x, 3), lambda: x.add(0.5, x, alpha=2),
        lambda: x.addcmul(1, 2, x, x), lambda: x.addcmul(x, x, x, x), lambda: chainrule.addr(1, x, 2, x, x, 3),
    ]  # fmt: skip
    for call in calls:
        with pytest.raises(TypeError, match="positional"):
            call()


@pytest.mark.peer
def test_activations_that_are_methods_too() -> None:
    torch = pytest.importorskip("torch")
    found = []
    for lib in (torch, chainrule):
        x = lib.linspace(-2, 2, 8).reshape(2, 4).requires_grad_()
        y = x.prelu(lib.tensor([0.25])) * x.hardshrink(0.7) + x.hardshrink(lambd=1.5)
        y.sum().backward()
        found.append((y.detach().numpy(), x.grad.numpy()))
    for theirs, ours in zip(*found):
        np.testing.assert_allclose(ours, theirs, rtol=1e-6)


# --------------------------------------------------------------------------------------------------- trees

TREES: list[Any] = [
    1, None, [1, [2, (3,)], {}], {"b": 1, "a": {"c": (2, 3)}}, OrderedDict([("z", [1]), ("y", 2)]), Point(1, [2, 3]),
    deque([1, (2, 3)], maxlen=5), defaultdict(list, {"k": [1, 2]}), [], (),
]  # fmt: skip


@pytest.mark.peer
def test_trees_are_taken_apart_and_built_as_in_pytorch() -> None:
    torch = pytest.importorskip("torch")
    theirs = pytest.importorskip("torch.utils._pytree")
    import chainrule.utils._pytree as ours

    for tree in TREES:
        leaves, spec = ours.tree_flatten(tree)
        assert leaves == theirs.tree_flatten(tree)[0] == ours.tree_leaves(tree)
        assert spec.num_leaves == len(leaves) and spec == ours.tree_structure(tree)
        again = ours.tree_unflatten(leaves, spec)
        assert again == tree and type(again) is type(tree)
        assert repr(ours.tree_map(str, tree)) == repr(theirs.tree_map(str, tree))
    for a, b in itertools.permutations(TREES[2:], 2):
        with pytest.raises(ValueError, match="not built alike"):
            ours.tree_map(lambda x, y: x, a, b)
    with pytest.raises(ValueError, match="3 leaves, got 2"):
        ours.tree_unflatten([1, 2], ours.tree_structure([0, 0, 0]))
    mixed = {"x": chainrule.ones(2), "n": 3}
    assert ours.tree_map_only(chainrule.Tensor, lambda t: t.sum().item(), mixed) == {"x": 2.0, "n": 3}
    assert ours.tree_any(lambda x: x == 3, [1, (3,)]) and not ours.tree_all(lambda x: x == 3, [1, (3,)])
    assert ours.tree_map(len, [[1, 2], [3]], is_leaf=lambda t: t and isinstance(t[0], int)) == [2, 1]
    del torch


@pytest.mark.peer
@pytest.mark.parametrize(
    "key",
    [
        "[lib.tensor([0, 1]), lib.tensor([1, 0])]", "[slice(0, 2), 1]", "[None, 0]", "[..., 0]", "[0, 2]", "[range(2)]",
        "[True, False, True]", "[[0, 1]] * 32", "[lib.tensor([True, False, True]), 1]",
    ],
)  # fmt: skip
@pytest.mark.filterwarnings("ignore:.*(non-tuple|nested list)")
def test_lists_in_brackets_that_no_array_holds_are_tuples(key: str) -> None:
    """Read and written; `x[[rows, columns]]` was one array of places, silently."""
    torch: Any = pytest.importorskip("torch")
    found = []
    for lib in (torch, chainrule):
        x = lib.arange(9).reshape(3, 3)
        index = eval(key, {"lib": lib})
        read = x[index].tolist()
        x[index] = -1
        found.append((read, x.tolist()))
    assert found[0] == found[1]


def test_a_nested_list_in_brackets_says_what_it_is() -> None:
    x = chainrule.arange(9).reshape(3, 3)
    with pytest.warns(UserWarning, match=r"one array of places.*x\[tensor"):
        assert x[[[0, 1], [1, 0]]].shape == (2, 2, 3)
    with pytest.warns(UserWarning, match="one array of places"):
        x[[[0], [1]]] = 0
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert (
            x[[0, 2]].shape == (2, 3)
            and x[[True, False, True]].shape == (2, 3)
            and x[[[0, 1]] * 32].shape == (32, 2, 3)
        )


def test_a_state_of_the_generator_that_was_never_taken_is_refused_in_words() -> None:
    with pytest.raises(TypeError, match=r"a tensor that get_rng_state\(\) gave, got NoneType"):
        chainrule.set_rng_state(None)  # type: ignore[arg-type]
