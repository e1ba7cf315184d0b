"""Programs on XLA: the same numbers as eager code, the same errors, and cells that are never stale."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

import chainrule
from chainrule import nn
from chainrule.nn import functional as F
from tests.random_programs import random_program
from tests.test_compiler_fuzz import find_fault
from tests.training_steps import training_step

jax = pytest.importorskip("jax")

#: Random programs that are compared with eager code, ten compiled as one: 10 in the suite, 200 in the nightly run.
NIGHTLY = bool(os.environ.get("CHAINRULE_NIGHTLY"))
GROUPS = 20 if NIGHTLY else 1


def xla(function: Any) -> Any:
    return chainrule.compile(function, backend="xla")


def trained(backend: str | None, model: Any, optimizer: Any, x: Any, y: Any, steps: int = 4) -> tuple[Any, list[float]]:
    """A compiled step after some calls of it, and the losses; None: not compiled."""
    step = training_step(model, optimizer(model.parameters()))
    step = step if backend is None else chainrule.compile(step, backend=backend)
    return step, [step(x, y).item() for _ in range(steps)]


# ------------------------------------------------------------------------------------------------ numbers


def test_training_gives_the_losses_and_parameters_of_eager_code() -> None:
    found = []
    for backend in (None, "xla"):
        chainrule.manual_seed(0)
        model = nn.Sequential(
            nn.Conv2d(2, 4, 3, bias=False),
            nn.BatchNorm2d(4),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(36, 5),
        )
        x, y = chainrule.randn(6, 2, 8, 8), chainrule.randint(0, 5, (6,))
        _, losses = trained(backend, model, lambda p: chainrule.optim.Adam(p, lr=0.01), x, y)
        found.append((losses, {name: t.numpy() for name, t in model.state_dict().items()}))
    np.testing.assert_allclose(found[0][0], found[1][0], rtol=1e-5)
    for name, want in found[0][1].items():
        np.testing.assert_allclose(found[1][1][name], want, rtol=1e-3, atol=1e-5, err_msg=name)


def test_dropout_and_normal_numbers_are_the_same_bits_and_leave_the_same_state() -> None:
    def draw(x: Any) -> Any:
        return (
            F.dropout(x, 0.3),
            chainrule.randn(1000),
            chainrule.randn(50, dtype=chainrule.float64),
            chainrule.randperm(9),
        )

    found = []
    for change in (lambda f: f, xla):
        step = change(draw)
        chainrule.manual_seed(5)
        found.append([t.numpy().tobytes() for _ in range(3) for t in step(chainrule.ones(300))])
        found[-1].append(chainrule.get_rng_state().numpy().tobytes())
    assert found[0] == found[1]


def test_a_recurrent_network_is_a_loop_and_learns_as_in_eager_code() -> None:
    class Reader(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.lstm, self.head = nn.LSTM(3, 5, batch_first=True), nn.Linear(5, 2)

        def forward(self, x: Any) -> Any:
            return self.head(self.lstm(x)[0][:, -1])

    found = []
    for backend in (None, "xla"):
        chainrule.manual_seed(1)
        model, x, y = Reader(), chainrule.randn(4, 7, 3), chainrule.tensor([0, 1, 1, 0])
        step, losses = trained(backend, model, lambda p: chainrule.optim.SGD(p, lr=0.5), x, y)
        found.append(losses)
    assert "Scan" in step.explain()
    np.testing.assert_allclose(found[0], found[1], rtol=1e-5)


def test_channels_that_lie_last_are_the_same_numbers() -> None:
    chainrule.manual_seed(2)
    first, second, third = nn.Conv2d(2, 4, 3, stride=2), nn.ConvTranspose2d(4, 2, 3, groups=2), nn.Conv2d(6, 3, 1)
    for module in (first, second, third):
        module.double()

    def step(x: Any) -> list[Any]:
        y = first(x)
        z = F.pad(F.max_pool2d(F.relu(y), 3, 1, padding=1), (1, 0, 2, -1)) * y.mean((2, 3), keepdim=True)
        turned = F.pad(y.tanh().permute(0, 1, 3, 2), (0, 3, 3, 0))
        z = chainrule.cat([second(z), turned], 1)
        loss = (third(z).flatten(2).softmax(1) * chainrule.arange(49.0)).sum() + z.amax((0, 2)).prod()
        loss.backward()
        return [loss, z, *[p.grad for m in (first, second, third) for p in m.parameters()]]

    x = chainrule.randn(3, 2, 9, 9, dtype=chainrule.float64)
    eager = [t.detach().numpy() for t in step(x)]
    for p in (*first.parameters(), *second.parameters(), *third.parameters()):
        p.grad = None
    for ours, theirs in zip(xla(step)(x), eager, strict=True):
        np.testing.assert_allclose(ours.numpy(), theirs, rtol=1e-9, atol=1e-11)


def test_a_trainer_runs_on_it() -> None:
    from chainrule.data import DataLoader, TensorDataset
    from chainrule.train import Trainer

    found = []
    for backend in ("native", "xla"):
        chainrule.manual_seed(3)
        x = chainrule.randn(24, 2)
        data, model = TensorDataset(x, (x.sum(1) > 0).long()), nn.Linear(2, 2)
        optimizer = chainrule.optim.Adam(model.parameters(), lr=0.1)
        trainer = Trainer(model, nn.CrossEntropyLoss(), optimizer, metrics=["accuracy"], backend=backend)
        history = trainer.fit(DataLoader(data, 8, shuffle=True), DataLoader(data, 24), epochs=2)
        found.append([row["validation_loss"] for row in history])
    np.testing.assert_allclose(*found, rtol=1e-5)


@pytest.mark.parametrize("group", range(GROUPS))
def test_random_programs_are_eager(group: int) -> None:
    fault = find_fault([random_program(10 * group + i) for i in range(10)], ["xla"])
    assert fault is None, fault


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_one_number_for_each_row_is_added_where_its_place_says(axis: int) -> None:
    """Places from the end too; −0 and what is no number stay what they are elsewhere."""
    x = chainrule.tensor([-0.0, 1.0, np.nan, np.inf] * 6).reshape(2, 3, 4)
    places = chainrule.randint(-x.shape[axis], x.shape[axis], [1 if d == axis else n for d, n in enumerate(x.shape)])
    y = chainrule.arange(1.0, 1.0 + places.numel()).reshape(places.shape).requires_grad_()

    def gradient(y: Any) -> Any:
        z = x.clone().requires_grad_()
        (chainrule.take_along_dim(z, places, axis) * y).sum().backward()
        return z.grad, x.scatter_add(axis, places % x.shape[axis], y.detach())

    for ours, eager in zip(xla(gradient)(y), gradient(y), strict=True):
        assert ours.detach().numpy().tobytes() == eager.detach().numpy().tobytes()


@pytest.mark.parametrize("device", ["cpu", "xla"])
def test_a_step_is_compiled_once(device: str) -> None:
    """JAX compiles again for arrays that come from elsewhere, as the optimiser's counts once did in the second call."""
    layer = nn.Linear(3, 2).to(device)
    optimizer = chainrule.optim.Adam(layer.parameters())
    step = xla(training_step(layer, optimizer))
    x, y = chainrule.randn(4, 3, device=device), chainrule.tensor([0, 1, 1, 0], device=device)
    for _ in range(3):
        step(x, y)
    assert step.program.runnable.function._cache_size() == 1


@pytest.mark.parametrize("name", ["int8", "int16"])
def test_places_of_small_types_reach_into_large_tensors(name: str) -> None:
    """An int8 cannot be compared with 300 rows; 130 rows are more than it can wrap around. Those of uint8 are masks."""
    dtype = getattr(chainrule, name)
    places = chainrule.tensor([100, -1, 5], dtype=dtype)
    one = chainrule.tensor([[7]], dtype=dtype)

    def use(x: Any, given: Any) -> list[Any]:
        y = chainrule.arange(1.0, 4.0)
        columns = x[:4].reshape(1, 4).repeat(8, 1)
        read = [x[given], x[places], columns[given % 8, one[0, 0] % 4]]
        return [*read, x.index_put((given,), y), x.index_put((given,), y, accumulate=True)]

    for rows in (130, 300):
        x = chainrule.arange(float(rows))
        for ours, eager in zip(xla(use)(x, places), use(x, places), strict=True):
            assert chainrule.equal(ours, eager)
    small = chainrule.arange(50.0)
    with pytest.raises(IndexError):
        xla(lambda x, given: x[given])(small, places)


# ------------------------------------------------------------------------------------------------- errors


def test_a_wrong_label_is_the_error_of_eager_code_and_changes_nothing() -> None:
    chainrule.manual_seed(0)
    model = nn.Linear(3, 4)
    x, right, wrong = chainrule.randn(2, 3), chainrule.tensor([0, 3]), chainrule.tensor([0, 4])
    step, _ = trained("xla", model, lambda p: chainrule.optim.Adam(p, lr=0.1), x, right)
    before = [p.detach().numpy().tobytes() for p in model.parameters()]
    with pytest.raises(IndexError) as ours:
        step(x, wrong)
    with pytest.raises(IndexError) as eager:
        step.function(x, wrong)
    assert str(ours.value) == str(eager.value)
    assert [p.detach().numpy().tobytes() for p in model.parameters()] == before


def test_cells_of_one_value_and_cells_written_before_the_check_keep_their_entries() -> None:
    """The label is looked at between the first two cells and the others; two cells are given the same value."""
    scores = chainrule.arange(6.0).reshape(2, 3)
    cells = [chainrule.full((2, 3), float(i)) for i in range(4)]

    def step(labels: Any) -> Any:
        cells[0].copy_(scores + 1)
        cells[1].mul_(2).add_(cells[0])
        loss = F.cross_entropy(scores * cells[1], labels)
        total = scores * loss
        for cell in cells[2:]:
            cell.copy_(total)
        return loss

    compiled = chainrule.compile(step, backend="xla")
    compiled(chainrule.tensor([0, 2]))
    assert cells[2].equal(cells[3]) and cells[1].equal(2 + scores + 1)
    cells[3].fill_(7.0)
    before = [cell.clone() for cell in cells]
    with pytest.raises(IndexError):
        compiled(chainrule.tensor([0, 3]))
    assert all(cell.equal(old) for cell, old in zip(cells, before, strict=True))
    compiled(chainrule.tensor([1, 1]))
    assert cells[1].equal(before[1] * 2 + scores + 1) and cells[3].equal(cells[2])


def test_a_cell_that_is_read_and_then_set_to_known_numbers() -> None:
    total, count = chainrule.ones(3), chainrule.ones(3)

    @xla
    def step(x: Any, label: Any) -> Any:
        loss = F.cross_entropy(x * total * count, label)
        total.fill_(0.5)
        count.zero_()
        return loss

    x = chainrule.arange(3.0)
    expected = F.cross_entropy(x, chainrule.tensor(2)).item()
    assert step(x, chainrule.tensor(2)).item() == pytest.approx(expected)
    assert total.tolist() == [0.5] * 3 and count.tolist() == [0.0] * 3
    count.fill_(3.0)
    with pytest.raises(IndexError):
        step(x, chainrule.tensor(3))
    assert total.tolist() == [0.5] * 3 and count.tolist() == [3.0] * 3


def test_a_wrong_place_within_a_loop_stops_the_step() -> None:
    table, count = chainrule.arange(4.0), chainrule.zeros(())

    @xla
    def step(places: Any) -> Any:
        count.add_(1)
        return chainrule.scan(lambda carry, place: (carry + table[place], carry), chainrule.zeros(()), places)[0]

    assert step(chainrule.tensor([0, 3, 1])).item() == 4 and count.item() == 1
    with pytest.raises(IndexError, match="4"):
        step(chainrule.tensor([0, 4, 1]))
    assert count.item() == 1
    assert step(chainrule.tensor([2, 2, 2])).item() == 6 and count.item() == 2


def test_a_singular_matrix_and_a_function_of_numpy_raise_what_eager_code_does() -> None:
    solve = xla(lambda a: chainrule.linalg.solve(a, chainrule.ones(2)))
    assert solve(chainrule.eye(2)).tolist() == [1, 1]
    with pytest.raises(chainrule.linalg.LinAlgError, match="singular"):
        solve(chainrule.ones(2, 2))


def test_what_numpy_computes_is_marked_in_a_loop_too() -> None:
    def draw(rates: Any) -> Any:
        return chainrule.scan(lambda total, rate: (total + chainrule.poisson(rate), total), chainrule.zeros(()), rates)

    alone, within = xla(chainrule.poisson), xla(lambda rates: draw(rates)[0])
    for step in (alone, within):
        step(chainrule.ones(4))
    assert "  RandomPoisson in NumPy" in alone.explain()
    assert "  Scan, RandomPoisson in NumPy" in within.explain()


# --------------------------------------------------------------------------------------- what others see


def test_eager_code_and_all_backends_see_each_other_s_changes() -> None:
    p = chainrule.zeros(3)
    adders = [chainrule.compile(lambda x: p.add_(x), backend=backend) for backend in ("xla", "native", "numpy", "xla")]
    total = 0.0
    for turn in range(3):
        for number, add in enumerate(adders):
            add(chainrule.full((3,), 2.0**number))
            total += 2.0**number
            assert p.tolist() == [total] * 3
        p.mul_(0.5)
        p[turn] = 100.0
        total *= 0.5
        assert [x for i, x in enumerate(p.tolist()) if i != turn] == [total] * 2
        p.fill_(total)


def test_what_somebody_holds_does_not_change() -> None:
    p = chainrule.ones(3)
    add = xla(lambda x: p.add_(x))
    one = chainrule.ones(3)
    add(one)
    kept, array, view = p.detach().clone(), np.asarray(p), p * 1
    value, part = p.value, p[1:]
    for _ in range(3):
        add(one)
    assert (kept.tolist(), array.tolist(), view.tolist(), value.array.tolist()) == ([2.0] * 3,) * 4
    assert p.tolist() == [5.0] * 3 and part.tolist() == [5.0] * 2


def test_gradients_are_there_after_a_step_and_are_added_to() -> None:
    w = chainrule.ones(2).requires_grad_()

    @xla
    def step(x: Any) -> Any:
        loss = (w * x).sum()
        loss.backward()
        return loss

    x = chainrule.tensor([1.0, 2.0])
    step(x)
    first = w.grad
    assert first is not None and first.tolist() == [1, 2]
    step(x)
    assert w.grad is not None and w.grad.tolist() == [2, 4]
    w.grad = None
    step(x)
    assert w.grad.tolist() == [1, 2]


def test_a_checkpoint_travels_between_backends() -> None:
    chainrule.manual_seed(0)
    x, y = chainrule.randn(4, 3), chainrule.tensor([0, 1, 1, 0])
    model = nn.Linear(3, 2)
    trained("xla", model, lambda p: chainrule.optim.Adam(p, lr=0.1), x, y)
    saved = {name: t.clone() for name, t in model.state_dict().items()}
    other = nn.Linear(3, 2)
    other.load_state_dict(saved)
    for a, b in zip(model.parameters(), other.parameters(), strict=True):
        assert a.detach().numpy().tobytes() == b.detach().numpy().tobytes()


def test_the_user_s_jax_stays_as_it_was() -> None:
    xla(lambda x: x.double() * 2)(chainrule.ones(2))
    assert not jax.config.jax_enable_x64
    assert jax.numpy.arange(3).dtype == np.int32


def test_nothing_imports_jax_without_being_asked() -> None:
    code = (
        "import sys, chainrule; chainrule.compile(lambda x: x * 2)(chainrule.ones(2)); "
        "from chainrule import nn, optim, train, data, models; assert 'jax' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=100)


def test_without_jax_the_error_names_the_extra() -> None:
    code = (
        "import sys; sys.modules['jax'] = None\nimport chainrule\n"
        "try: chainrule.compile(lambda x: x, backend='xla')\n"
        "except ImportError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=100)
    assert "pip install 'chainrule[xla]'" in done.stdout


# -------------------------------------------------------------------------------------- several devices


@pytest.mark.timeout(900)  # eight devices on two cores
def test_eight_devices_learn_what_one_does_with_the_whole_batch() -> None:
    ways = ["float64-split", "float64-whole", "float32-whole", "float32-split"] if NIGHTLY else ["float64-split"]
    command = [sys.executable, "-m", "tests.spread_steps", *ways]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    error, refused = found.pop("error"), found.pop("refused")
    assert "9 devices are asked for, JAX has 8" in error and "xla_force_host_platform_device_count=9" in error
    assert "RandomPoisson is computed by NumPy" in refused
    assert len(found) == len(ways)
    for name, (apart, share) in found.items():
        assert apart <= (1e-12 if "float64" in name else 1e-5), name
        # Each device holds an eighth of what is split; a few numbers divide into no eight parts.
        assert share == 1 if "whole" in name else 1 / 8 <= share < 0.13, name


def test_options_that_there_are_not_are_refused() -> None:
    for options, text in (
        ({"device": 2}, "devices, parameters"),
        ({"parameters": "half"}, "whole"),
        ({"devices": 0}, "1 device"),
    ):
        with pytest.raises(ValueError, match=text):
            chainrule.compile(lambda x: x, backend="xla", options=options)
    with pytest.raises(ValueError, match='backend="xla"'):
        chainrule.compile(lambda x: x, options={"devices": 2})
    from chainrule.train import Trainer

    model = nn.Linear(2, 2)
    with pytest.raises(ValueError, match="compile=False"):
        Trainer(model, nn.MSELoss(), chainrule.optim.SGD(model.parameters(), lr=0.1), backend="xla", compile=False)
    for settings in ({"backend": "native"}, {"backend": "xla", "compile": False}):
        with pytest.raises(ValueError, match="compiled steps"):
            Trainer(model, nn.MSELoss(), chainrule.optim.SGD(model.parameters(), lr=0.1), devices=2, **settings)
