"""Tensors on a device: JAX's CPU device "xla", on which everything means what it means on the CPU."""

from __future__ import annotations

import copy
import os
import pickle
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

import chainrule
from chainrule import DeviceError, nn
from chainrule.nn import functional as F

pytest.importorskip("jax")

DEVICE = chainrule.device("xla")


def on_device(*numbers: Any) -> Any:
    return chainrule.tensor(numbers, device="xla")


# ------------------------------------------------------------------------------------------ what a device is


def test_devices_are_named_as_pytorch_s() -> None:
    assert (str(DEVICE), DEVICE.type, DEVICE.index) == ("xla", "xla", None)
    assert str(chainrule.zeros(1, device="xla").device) == "xla:0"
    assert chainrule.device("xla:0") == chainrule.device("xla", 0) != DEVICE
    assert pickle.loads(pickle.dumps(chainrule.device("xla:0"))) == chainrule.device("xla:0")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("cuda", r"jax\[cuda12\]"),
        (0, r"no device 'cuda'"),
        ("tpu", r"jax\[tpu\]"),
        ("xla:9", "XLA_FLAGS"),
        ("abacus", "names no device"),
        ("mps", "no device 'mps'"),
    ],
)
def test_a_device_that_is_not_there_is_named_with_what_is_missing(name: Any, text: str) -> None:
    if str(name) in ("cuda", "0") and chainrule.cuda.is_available():
        pytest.skip("there is a GPU here")

    def within(where: Any) -> None:
        with chainrule.device(where):
            pass

    uses = (
        chainrule.ones(1).to, lambda where: chainrule.zeros(1, device=where), chainrule.set_default_device, within,
        nn.Linear(1, 1).to, lambda where: chainrule.Generator(device=where),
        lambda where: chainrule.ones(1).to(chainrule.device(where)),
        lambda where: chainrule.zeros(1, device=chainrule.device(where)),
    )  # fmt: skip
    for use in uses:
        with pytest.raises(DeviceError, match=text):
            use(name)
    assert chainrule.zeros(1).device.type == "cpu"


def test_a_device_that_is_not_there_may_be_named() -> None:
    """Programs do so in default arguments that are never used, and compare with it."""
    for name in ("cuda", "cuda:1", "mps", "tpu", "meta"):
        named = chainrule.device(name)
        assert (str(named), named.type) == (name, name.split(":")[0])
        assert named != chainrule.zeros(1).device and pickle.loads(pickle.dumps(named)) == named
    assert chainrule.device(0) == chainrule.device("cuda", 0) == chainrule.device("cuda:0")
    for wrong in ("abacus", "cuda:x", "cpu:1"):
        with pytest.raises(DeviceError):
            chainrule.device(wrong)


def test_the_environment_names_the_default_device_and_the_accelerator() -> None:
    code = (
        "import chainrule, sys; print('jax' in sys.modules, chainrule.accelerator.current_accelerator());"
        "print(chainrule.ones(1).device, chainrule.nn.Linear(1, 1).weight.device, chainrule.ones(1, device='cpu').device);"
        "chainrule.set_default_device('cpu'); print(chainrule.ones(1).device)"
    )

    def run(name: str) -> Any:
        environment = {**os.environ, "CHAINRULE_DEVICE": name}
        return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)

    assert run("xla").stdout.split() == ["False", "xla", "xla:0", "xla:0", "cpu", "cpu"]
    assert run("").stdout.split()[2:4] == ["cpu", "cpu"]
    assert "DeviceError: CHAINRULE_DEVICE=abacus: 'abacus' names no device" in run("abacus").stderr


def test_a_script_that_knows_of_no_devices_may_use_numpy() -> None:
    """With a device from the environment it does what it does without, workers of a loader included."""
    code = """
import io, numpy as np, chainrule
from chainrule.data import DataLoader, Dataset

class Squares(Dataset):
    def __len__(self): return 4
    def __getitem__(self, i): return chainrule.from_numpy(np.full(2, i * i, np.float32)), np.float32(i), {"i": i}

layer = chainrule.nn.Linear(2, 1)
for workers in (0, 2):
    for x, y, more in DataLoader(Squares(), 2, num_workers=workers):
        layer(x).sum().backward()
        print(x.tolist(), y.tolist(), more["i"].tolist(), {t.device.type for t in (x, y, more["i"])})
made = chainrule.from_numpy(np.arange(3.0)) + 1
print(np.asarray(made).tolist(), made.numpy().tolist(), float(np.mean(made)), layer.weight.grad.shape, made.device.type)
chainrule.save(layer, file := io.BytesIO()), file.seek(0)
again = chainrule.load(file)
print((again(x) - layer(x)).abs().max().item(), again.weight.device.type)
chainrule.set_default_device(made.device)  # a script that names a device is told what PyTorch tells it
print(chainrule.from_numpy(np.arange(3.0)).device.type)
try: made.numpy()
except chainrule.DeviceError as error: print("cpu()" in str(error))
"""
    said = {}
    for name in ("xla", ""):
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, env={**os.environ, "CHAINRULE_DEVICE": name}
        )  # fmt: skip
        assert not done.returncode, done.stderr
        said[name] = done.stdout.splitlines()
    assert [line.replace("xla", "cpu") for line in said["xla"][:6]] == said[""][:6] and "xla" in said["xla"][3]
    assert said["xla"][6:] == ["cpu", "True"]


def test_of_functions_for_many_settings_the_last_used_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    from chainrule.backends.xla import place

    made, jitted = [], place._jitted
    monkeypatch.setattr(place, "KEPT", 4)
    monkeypatch.setattr(place, "_known", {})
    monkeypatch.setattr(place, "_jitted", lambda *what: made.append(what) or jitted(*what))
    x = on_device(*range(8))
    for i in range(7):
        assert (x[1:3].sum() + x[i : i + 1].sum()).item() == 3 + i  # the same slice each time, and another one
    assert len(place._known) == 4 and len(made) == 1 + 7 + 2  # slices, the sum, the addition: nothing is made twice


def test_asking_for_a_gpu_imports_no_jax_and_a_machine_without_it_is_told() -> None:
    code = (
        "import sys, chainrule\n"
        "chainrule.cuda.is_available(), chainrule.accelerator.device_count(), chainrule.ones(2).device\n"
        "print('jax' in sys.modules)\n"
        "import importlib.util as u; find = u.find_spec\n"
        "u.find_spec = lambda name, *rest: None if name == 'jax' else find(name, *rest)\n"
        "try: chainrule.zeros(1, device='xla')\n"
        "except chainrule.DeviceError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=100)
    imported, error = done.stdout.splitlines()
    assert "chainrule[xla]" in error
    assert imported == "False" or chainrule.accelerator.is_available()


# ------------------------------------------------------------------------------------------ moving and making


def test_tensors_move_and_come_back_with_their_gradients() -> None:
    x = chainrule.tensor([1.0, 2.0, 3.0], requires_grad=True)
    y = x.to("xla")
    assert (y.device, y.is_cpu, y.is_cuda, y.get_device()) == (chainrule.device("xla:0"), False, False, 0)
    assert y.to("xla:0") is y and x.cpu() is x
    (y * y).cpu().sum().backward()
    assert x.grad.tolist() == [2, 4, 6] and x.grad.is_cpu
    assert y.to("cpu", "float64").dtype is chainrule.float64 and y.to(x).is_cpu and not x.to(y).is_cpu
    assert repr(y.detach()) == "tensor([1., 2., 3.], device='xla:0')"
    assert (y[1].item(), y.tolist(), float(y[0]), bool(y[0])) == (2.0, [1, 2, 3], 1.0, True)


def test_numpy_is_refused_off_the_cpu_and_says_how() -> None:
    x = on_device(1.0)
    for read in (x.numpy, lambda: np.asarray(x), lambda: np.add(x, 1)):
        with pytest.raises(DeviceError, match=r"\.cpu\(\)"):
            read()
    assert x.numpy(force=True).tolist() == [1]


def test_everything_that_makes_tensors_takes_a_device() -> None:
    like = chainrule.ones(2, 2, device="xla")
    made = [
        chainrule.tensor([1, 2], device="xla"), chainrule.as_tensor([1.5], device="xla"),
        *[f(2, 3, device="xla") for f in (chainrule.zeros, chainrule.ones, chainrule.empty, chainrule.rand, chainrule.randn)],
        chainrule.full((2,), 7, device="xla"), chainrule.arange(4, device="xla"), chainrule.eye(2, device="xla"),
        chainrule.linspace(0, 1, 3, device="xla"), chainrule.logspace(0, 1, 3, device="xla"),
        chainrule.randint(0, 5, (2,), device="xla"), chainrule.randperm(4, device="xla"),
        chainrule.normal(0.0, 1.0, (2,), device="xla"), chainrule.tril_indices(2, 2, device="xla"),
        *[f(like) for f in (chainrule.zeros_like, chainrule.ones_like, chainrule.empty_like, chainrule.rand_like, chainrule.randn_like)],
        chainrule.full_like(like, 3), like.new_zeros(2), like.new_tensor([1]), like.new_full((1,), 2), like.new_ones(2),
        like.new(2), copy.deepcopy(like), like.clone(), chainrule.tensor(like),
    ]  # fmt: skip
    assert {str(x.device) for x in made} == {"xla:0"}
    assert chainrule.zeros_like(like, device="cpu").is_cpu
    with DEVICE:
        assert not chainrule.zeros(2).is_cpu and not nn.Linear(1, 1).weight.is_cpu
        with chainrule.device("cpu"):
            assert chainrule.zeros(2).is_cpu
    chainrule.set_default_device("xla")
    try:
        assert chainrule.get_default_device() == DEVICE and not chainrule.randn(2).is_cpu
    finally:
        chainrule.set_default_device(None)
    assert chainrule.zeros(1).is_cpu


def test_draws_are_the_same_bits_on_every_device() -> None:
    found = []
    for device in ("cpu", "xla"):
        chainrule.manual_seed(3)
        x = chainrule.ones(20, device=device)
        draws = [
            chainrule.randn(7, device=device), chainrule.rand(3, device=device), F.dropout(x, 0.4),
            chainrule.randperm(9, device=device), chainrule.randint(0, 99, (4,), device=device),
            chainrule.poisson(x), chainrule.bernoulli(x * 0.5), chainrule.multinomial(x, 3), x.clone().normal_(),
        ]  # fmt: skip
        assert {t.device.type for t in draws} == {device}
        found.append([t.cpu().numpy().tobytes() for t in draws] + [chainrule.get_rng_state().tolist()])
    assert found[0] == found[1]


def test_distributions_draw_where_their_parameters_are() -> None:
    d = chainrule.distributions

    def drawn(device: str) -> list[Any]:
        chainrule.manual_seed(2)
        a, b = chainrule.tensor([0.2, 0.7], device=device), chainrule.tensor([1.5, 2.5], device=device)
        made = [
            d.Normal(a, 2.0), d.Uniform(a, b), d.Gumbel(a, b), d.StudentT(b), d.Dirichlet(b), d.Geometric(a),
            d.RelaxedOneHotCategorical(b[0], probs=a), d.HalfNormal(b), d.Binomial(3, a),
            d.MultivariateNormal(a, chainrule.eye(2, device=device)),
        ]  # fmt: skip
        samples = [x.sample() for x in made]
        found = [*samples, *(x.log_prob(y) for x, y in zip(made, samples, strict=True))]
        found += [x.enumerate_support() for x in (d.Bernoulli(a), d.Categorical(a), d.OneHotCategorical(a))]
        assert {y.device.type for y in found} == {device}
        return [y.tolist() for y in found]

    for here, there in zip(drawn("cpu"), drawn("xla"), strict=True):
        np.testing.assert_allclose(there, here, rtol=1e-4, atol=1e-5)


def test_a_generator_of_a_device_draws_there_only() -> None:
    generator = chainrule.Generator(device="xla").manual_seed(5)
    here = chainrule.Generator().manual_seed(5)
    assert generator.device == DEVICE
    x = chainrule.randn(4, generator=generator, device="xla")
    assert x.tolist() == chainrule.randn(4, generator=here).tolist()
    again = pickle.loads(pickle.dumps(generator))
    assert chainrule.rand(2, generator=again, device="xla").tolist() == chainrule.rand(2, generator=here).tolist()
    with pytest.raises(DeviceError, match="cannot draw on cpu"):
        chainrule.rand(2, generator=generator)
    with pytest.raises(DeviceError, match="Generator"):
        chainrule.rand(2, generator=here, device="xla")


def test_a_number_of_the_cpu_goes_with_a_deviation_that_is_elsewhere() -> None:
    x = chainrule.normal(chainrule.tensor(100.0), on_device(1.0, 2.0))
    assert not x.is_cpu and x.shape == (2,) and 50 < x[0].item() < 150


def test_type_as_takes_the_type_and_the_device_of_another() -> None:
    x = chainrule.ones(2, dtype=chainrule.int64).type_as(on_device(0.5))
    assert (x.device.type, x.dtype) == ("xla", chainrule.float32) and x.type_as(chainrule.zeros(1)).is_cpu


def test_what_is_kept_on_the_cpu_comes_back_for_the_gradient() -> None:
    kept: list[Any] = []
    x = on_device(1.0, 2.0).requires_grad_()
    hooks = chainrule.autograd.graph.save_on_cpu()
    pack = hooks.pack_hook
    hooks.pack_hook = lambda tensor: kept.append(pack(tensor)) or kept[-1]  # type: ignore[func-returns-value]
    with hooks:
        y = (x * 2).exp().sum()
    y.backward()
    assert kept and all(tensor.is_cpu for _, tensor in kept)
    assert x.grad.device.type == "xla" and x.grad.tolist() == pytest.approx([2 * np.exp(2), 2 * np.exp(4)], rel=1e-5)


def test_cuda_means_the_gpu_that_was_set() -> None:
    """JAX's CPU counted as two, taken for two GPUs."""
    code = (
        "import chainrule\n"
        "from chainrule import devices, nn\n"
        "devices.PLATFORMS['cuda'] = 'cpu'; devices._has_plugin = lambda kind: True\n"
        "x = chainrule.ones(1, device='cuda')\n"
        "chainrule.cuda.set_device(1); chainrule.cuda.set_device('cuda')\n"
        "print(chainrule.cuda.current_device(), x.device, x.cuda().device, chainrule.ones(1).to('cuda').device,\n"
        "      nn.Linear(1, 1).cuda().weight.device, x.cuda(0).device)\n"
        "nn.DataParallel(nn.Linear(1, 1).cuda(), device_ids=[1])\n"
        "try: nn.DataParallel(nn.Linear(1, 1).cuda(), device_ids=[1, 0])\n"
        "except chainrule.DeviceError as error: print(error)"
    )
    environment = {**os.environ, "XLA_FLAGS": "--xla_force_host_platform_device_count=2"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, timeout=100)
    assert done.returncode == 0, done.stderr
    where, error = done.stdout.splitlines()
    assert where == "1 cuda:0 cuda:1 cuda:1 cuda:1 cuda:0"
    assert "the module is on cuda:1" in error and "got the device 0" in error


# ------------------------------------------------------------------------------------------ mixing


def test_tensors_of_different_devices_are_refused_with_the_mend() -> None:
    x, y = on_device(1.0, 2.0), chainrule.ones(2)
    mixes = [
        lambda: x + y, lambda: y * x, lambda: x @ y, lambda: chainrule.cat([x, y]), lambda: F.linear(x, y),
        lambda: chainrule.where(x > 0, x, y), lambda: x.clone().add_(y), lambda: y.clone().add_(x),
        lambda: chainrule.searchsorted(y, x), lambda: chainrule.bucketize(y, x), lambda: chainrule.isin(x, y),
        lambda: y[on_device(0)], lambda: F.mse_loss(x, y), lambda: nn.Linear(2, 1)(x),
    ]  # fmt: skip
    for mix in mixes:
        with pytest.raises(DeviceError, match=r"on cpu.*write x\.to\('xla:0'\)"):
            mix()


def test_single_numbers_go_with_any_device_and_places_with_any_tensor() -> None:
    x, two = on_device(1.0, 2.0), chainrule.tensor(2.0, requires_grad=True)
    y = (x * two + chainrule.tensor(1.0)) / 2
    assert y.tolist() == [1.5, 2.5] and not y.is_cpu
    y.sum().backward()
    assert two.grad.item() == 1.5 and two.grad.is_cpu
    assert x[chainrule.tensor([1, 0, 1])].tolist() == [2, 1, 2] and x[[1]].tolist() == [2]
    assert x.index_select(0, chainrule.tensor([1])).tolist() == [2]
    total = chainrule.zeros(())
    with pytest.raises(DeviceError, match="put into a tensor"):
        total.add_(x.sum())


def test_an_error_names_the_module_once() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(2, 1))
    with pytest.raises(DeviceError, match=r"^1 \(Linear\): [A-Z]\w+: tensors on different devices"):
        model(chainrule.ones(3, 2, device="xla"))


# ------------------------------------------------------------------------------------------ in place and views


def in_place(device: str) -> list[Any]:
    x = chainrule.arange(12.0, device=device).reshape(3, 4)
    row, column, flat = x[1], x[:, 2], x.view(-1)
    before = row * 1
    row.mul_(10)
    column.zero_()
    x[0, 0] = 5
    x[2, 1:3] = chainrule.tensor([7.0, 8.0], device=device)
    x[x > 50] = -1.0
    x[chainrule.tensor([0, 2], device=device), 3] += 100
    flat[1].fill_(3)
    x.t()[0].add_(0.5)
    x += row
    x.copy_(x.cpu() * 2)
    chainrule.add(x, 1, out=x)
    leaf = chainrule.ones(3, device=device, requires_grad=True)
    work = leaf * 2
    work[1:].mul_(3)
    work.sum().backward()
    with chainrule.no_grad():
        leaf.sub_(leaf.grad)
    masked = x[x > 5]
    x.unsqueeze_(0)
    places = (x[0] > 5).nonzero(), chainrule.unique(x), x.argmax(), x.sort(-1).indices, x.cumsum(-1)
    return [x, row, column, flat, before, leaf, leaf.grad, masked, *places]


def test_changes_in_place_and_views_mean_what_they_mean_on_the_cpu() -> None:
    expected, found = in_place("cpu"), in_place("xla")
    assert [t.tolist() for t in found] == [t.tolist() for t in expected]
    assert {t.device.type for t in found} == {"xla"}


def test_an_error_of_numbers_is_the_cpu_s() -> None:
    for device in ("cpu", "xla"):
        x = chainrule.ones(2, 3, device=device)
        with pytest.raises(IndexError, match="out of bounds|index 7"):
            x[:, chainrule.tensor([7], device=device)]
        with pytest.raises(IndexError, match="3"):
            F.cross_entropy(x, chainrule.tensor([0, 3], device=device))
        with pytest.raises(chainrule.linalg.LinAlgError, match="singular"):
            chainrule.linalg.solve(chainrule.ones(2, 2, device=device), chainrule.ones(2, device=device))
