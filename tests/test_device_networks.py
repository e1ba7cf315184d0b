"""Networks, optimisers, loaders and compiled steps on a device: they learn there what they learn on the CPU."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import chainrule
from chainrule import DeviceError, nn, optim
from chainrule.autograd.gradcheck import GradientMismatchError
from chainrule.data import DataLoader, TensorDataset
from chainrule.nn import functional as F

pytest.importorskip("jax")


def on_device(*numbers: Any) -> Any:
    return chainrule.tensor(numbers, device="xla")


# ------------------------------------------------------------------------------------------ networks


def network() -> Any:
    chainrule.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Dropout(0.3), nn.Linear(36, 5)
    )  # fmt: skip


def steps(model: Any, optimizer: Any, device: str, count: int) -> list[float]:
    random = chainrule.Generator().manual_seed(1)
    x, y = chainrule.randn(6, 2, 8, 8, generator=random).to(device), chainrule.tensor([0, 1, 2, 3, 4, 0], device=device)
    losses = []
    for _ in range(count):
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def test_a_network_learns_as_on_the_cpu_and_its_state_is_where_it_is() -> None:
    found = {}
    for device in ("cpu", "xla"):
        model = network().to(device)
        first = model[0].weight
        optimizer = optim.Adam(model.parameters(), lr=0.01, amsgrad=True)
        found[device] = steps(model, optimizer, device, 4)
        assert model[0].weight is first and isinstance(first, nn.Parameter) and first.is_leaf
        tensors = [
            *model.state_dict().values(),
            *[p.grad for p in model.parameters()],
            optimizer.state[first]["exp_avg"],
        ]
        assert {t.device.type for t in tensors} == {device}
    np.testing.assert_allclose(found["xla"], found["cpu"], rtol=1e-4)


def test_saving_loading_and_going_on_do_not_know_of_devices(tmp_path: Path) -> None:
    def fresh(device: str) -> tuple[Any, Any]:
        model = network().to(device)
        return model, optim.SGD(model.parameters(), lr=0.1, momentum=0.9)

    model, optimizer = fresh("xla")
    steps(model, optimizer, "xla", 2)
    file = tmp_path / "state.safetensors"
    state = {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "random": chainrule.get_rng_state()}
    chainrule.save(state, file)
    going_on = steps(model, optimizer, "xla", 2)
    for location in (None, "xla"):
        saved = chainrule.load(file, map_location=location)
        assert {t.device.type for t in saved["model"].values()} == {location or "cpu"}
        model, optimizer = fresh("xla")
        model.load_state_dict(saved["model"])
        optimizer.load_state_dict(saved["optimizer"])
        chainrule.set_rng_state(saved["random"])
        assert steps(model, optimizer, "xla", 2) == going_on  # bit for bit
    twin = pickle.loads(pickle.dumps(on_device(1.0, 2.0)))
    assert not twin.is_cpu and twin.tolist() == [1, 2]


def test_a_module_comes_back_with_its_gradients() -> None:
    layer = nn.Linear(2, 1).to("xla")
    layer(on_device(1.0, 2.0)).sum().backward()
    layer.cpu()
    assert layer.weight.is_cpu and layer.weight.grad.is_cpu and layer.weight.grad.tolist() == [[1, 2]]
    assert layer(chainrule.ones(2)).is_cpu


def test_a_recurrent_network_and_attention_run_there() -> None:
    for device in ("cpu", "xla"):
        chainrule.manual_seed(2)
        lstm, attention = (
            nn.LSTM(3, 4, batch_first=True).to(device),
            nn.MultiheadAttention(4, 2, batch_first=True).to(device),
        )
        x = chainrule.randn(2, 5, 3).to(device).requires_grad_()
        y = attention(*[lstm(x)[0]] * 3)[0].square().sum()
        y.backward()
        if device == "cpu":
            expected = y.item(), x.grad
    assert y.item() == pytest.approx(expected[0], rel=1e-5)
    np.testing.assert_allclose(x.grad.cpu().numpy(), expected[1].numpy(), rtol=1e-4, atol=1e-6)


def test_a_loader_gives_batches_of_a_data_set_that_is_there() -> None:
    data = TensorDataset(chainrule.arange(6.0, device="xla"), chainrule.arange(6))
    for x, y in DataLoader(data, 4, shuffle=True, pin_memory=True):
        assert not x.is_cpu and y.is_cpu and x.tolist() == y.tolist()


def test_sparse_tensors_are_refused_by_name() -> None:
    places, x = chainrule.tensor([[0, 1], [1, 0]]), on_device(1.0, 2.0)
    for make in (
        lambda: chainrule.sparse_coo_tensor(places, x), lambda: chainrule.sparse_coo_tensor(places.to("xla"), [1.0, 2.0]),
        x.to_sparse,
    ):  # fmt: skip
        with pytest.raises(DeviceError, match="sparse tensors are on the CPU only"):
            make()


def test_gradients_are_checked_there() -> None:
    x = chainrule.tensor([0.5, 2.0], dtype="float64", device="xla", requires_grad=True)
    assert chainrule.autograd.gradcheck(lambda x: x.exp() / x, x)
    assert chainrule.autograd.gradgradcheck(lambda x: x**3, x)
    with pytest.raises(GradientMismatchError, match="at entry"):
        chainrule.autograd.gradcheck(lambda x: x * x.detach(), x)


# ------------------------------------------------------------------------------------------ compiled steps


def test_a_compiled_step_runs_where_its_tensors_are() -> None:
    found = {}
    for device in ("cpu", "xla"):
        model = network().to(device)
        optimizer = optim.Adam(model.parameters(), lr=0.01)
        x = chainrule.randn(6, 2, 8, 8, generator=chainrule.Generator().manual_seed(1)).to(device)
        y = chainrule.tensor([0, 1, 2, 3, 4, 0], device=device)

        def step(x: Any, y: Any, model: Any = model, optimizer: Any = optimizer) -> Any:
            optimizer.zero_grad()
            loss = F.cross_entropy(model(x), y)
            loss.backward()
            optimizer.step()
            return loss

        compiled = chainrule.compile(step)
        losses = [compiled(x, y) for _ in range(3)]
        weight, kept = model[0].weight, model[0].weight.detach().clone()
        view, before = weight[0], weight.tolist()
        losses += [compiled(x, y), step(x, y), compiled(x, y)]
        assert kept.tolist() == before and view.tolist() == weight[0].tolist() != before[0]
        with pytest.raises(IndexError, match="label 7"):
            compiled(x, chainrule.full((6,), 7, device=device))
        tensors = [losses[0], losses[5], weight, weight.grad, optimizer.state[weight]["exp_avg"], model[1].running_var]
        assert {t.device.type for t in tensors} == {device}
        found[device] = [loss.item() for loss in losses]
    np.testing.assert_allclose(found["xla"], found["cpu"], rtol=1e-4)
    assert "XLA" in compiled.explain()


def test_a_compiled_step_of_several_devices_or_for_the_cpu_is_refused() -> None:
    w, x = on_device(1.0, 2.0), on_device(3.0, 4.0)
    with pytest.raises(DeviceError, match=r"write x\.to"):
        chainrule.compile(lambda x: w * x)(chainrule.ones(2))
    with pytest.raises(DeviceError, match="backend='numpy'"):
        chainrule.compile(lambda x: w * x, backend="numpy")(x)
    both = chainrule.compile(lambda x: x * 2)
    assert both(x).tolist() == [6, 8] and both(chainrule.ones(2)).is_cpu and not both(x).is_cpu


def test_a_trainer_takes_the_model_and_the_batches_there_and_resumes(tmp_path: Path) -> None:
    from chainrule.train import Trainer

    def trainer(device: Any, seed: int) -> Any:
        chainrule.manual_seed(seed)
        model = nn.Sequential(nn.Linear(2, 4), nn.Dropout(0.2), nn.Linear(4, 2))
        optimizer = optim.Adam(model.parameters(), lr=0.1)
        return Trainer(model, nn.CrossEntropyLoss(), optimizer, metrics=["accuracy"], clip_norm=1.0, device=device)

    chainrule.manual_seed(3)
    x = chainrule.randn(24, 2)
    data = TensorDataset(x, (x.sum(1) > 0).long())
    found = []
    for device in (None, "xla"):
        run = trainer(device, 4)
        loaders = DataLoader(data, 8, shuffle=True, pin_memory=True), DataLoader(data, 24)
        run.fit(*loaders, epochs=1)
        chainrule.save(run.state_dict(), tmp_path / "state")
        run.fit(*loaders, epochs=2)
        found.append([row["validation_loss"] for row in run.history])
    np.testing.assert_allclose(*found, rtol=1e-5)
    again = trainer("xla", 9)
    again.load_state_dict(chainrule.load(tmp_path / "state"))
    again.fit(*loaders, epochs=2)
    assert [row["validation_loss"] for row in again.history] == found[1]  # bit for bit
    assert run.predict(DataLoader(data, 24)).device == chainrule.device("xla:0")


def test_explaining_is_refused_by_name() -> None:
    with pytest.raises(DeviceError, match="explain"):
        chainrule.explain(lambda x: x * 2, on_device(1.0))
