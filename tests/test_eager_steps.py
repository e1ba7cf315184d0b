"""An optimiser's eager step as one program: to the bits of single operations, in the same memory, and never in the way."""

from __future__ import annotations

import copy
import pickle
import weakref
from contextlib import nullcontext
from typing import Any

import numpy as np
import pytest

import chainrule
from chainrule import optim
from chainrule.autodiff.block import LARGE
from chainrule.backends.memory import has_room
from chainrule.compiler import eager_step
from chainrule.compiler.single import in_numpy
from tests.optimiser_cases import OPTIONS
from tests.test_optim_rules import TYPICAL

ELEMENTWISE = [name for name in TYPICAL if getattr(optim, name).elementwise]
CASES = [(name, settings) for name in ELEMENTWISE for settings in [TYPICAL[name], *OPTIONS.get(name, [])]]
#: Of parameters. A step with the first one is a program.
SHAPES = [(97, LARGE // 90), (5,), (31, 11, 7), (1,), (12, 1)]


def test_rules_that_mix_entries_are_left_out() -> None:
    assert set(TYPICAL) - set(ELEMENTWISE) == {"Adafactor", "Muon"}


class Run:
    """Some parameters, an optimiser of two groups, and gradients that are the same in every run."""

    def __init__(self, name: str, settings: dict[str, Any], dtype: Any = chainrule.float32) -> None:
        random = np.random.default_rng(0)
        self.parameters = [
            chainrule.tensor(random.standard_normal(shape), dtype=dtype, requires_grad=True) for shape in SHAPES
        ]
        groups = [{"params": self.parameters[:2]}, {"params": self.parameters[2:], "lr": settings.get("lr", 0.1) / 2}]
        self.optimizer = getattr(optim, name)(groups, **settings)
        self.random = np.random.default_rng(1)

    def step(self, without: tuple[int, ...] = ()) -> None:
        for i, p in enumerate(self.parameters):
            gradient = self.random.standard_normal(p.shape) * 10.0 ** self.random.integers(-4, 2)
            p.grad = None if i in without else chainrule.tensor(gradient, dtype=p.dtype)
        self.optimizer.step()

    def entries(self) -> list[Any]:
        """What the run has come to: parameters, and all that is remembered of them."""
        of_state = [x for p in self.parameters for x in self.optimizer.state[p].values()]
        return [x.detach().to(chainrule.float64).numpy() for x in (*self.parameters, *of_state)]

    @property
    def programs(self) -> int:
        """How many programs were made."""
        program = vars(self.optimizer).get("_program")
        return 0 if program is None else sum(map(len, program.function.programs.values()))


def both(name: str, settings: dict[str, Any], dtype: Any, take: Any) -> Run:
    """Runs by programs and by single operations come to the same bits; the first one."""
    runs = []
    for how in (nullcontext, in_numpy):
        run = Run(name, settings, dtype)
        with how():
            take(run)
        runs.append(run)
    for mine, meant in zip(runs[0].entries(), runs[1].entries(), strict=True):
        np.testing.assert_array_equal(mine, meant)
    assert not runs[1].programs
    return runs[0]


@pytest.mark.parametrize(("name", "settings"), CASES, ids=[f"{name}-{i}" for i, (name, _) in enumerate(CASES)])
def test_a_program_gives_the_bits_of_single_operations(name: str, settings: dict[str, Any]) -> None:
    def take(run: Run) -> None:
        for i in range(9):
            if i == 6:
                run.optimizer.param_groups[0]["lr"] *= 0.5
            run.step()

    assert both(name, settings, chainrule.float32, take).programs > 0


@pytest.mark.parametrize("dtype", [chainrule.bfloat16, chainrule.float16], ids=str)
@pytest.mark.parametrize("name", ELEMENTWISE)
def test_in_halves_too(name: str, dtype: Any) -> None:
    def take(run: Run) -> None:
        for _ in range(7):
            run.step()

    assert both(name, TYPICAL[name], dtype, take).programs > 0


def test_parameters_without_gradients_are_left_alone() -> None:
    """Each choice is a program of its own; from a number of them on steps are taken otherwise, to the same bits."""

    def take(run: Run) -> None:
        for i in range(20):
            run.step(tuple(d for d in range(1, 5) if i >> (d - 1) & 1))

    run = both("Adam", {"lr": 0.1}, chainrule.float32, take)
    assert run.programs == eager_step.MOST + 1


@pytest.mark.parametrize(
    "parameters",
    [
        [chainrule.ones(100)],
        [chainrule.ones(LARGE, dtype=chainrule.float64)],
        [chainrule.ones(LARGE), chainrule.tensor(1.0)],
    ],
    ids=["small", "float64", "a single number"],
)
def test_what_would_not_pay_or_be_rounded_otherwise_is_no_program(parameters: list[Any]) -> None:
    weights = [p.clone().requires_grad_() for p in parameters]
    optimizer = optim.SGD(weights, lr=0.1)
    for _ in range(6):
        for p in weights:
            p.grad = chainrule.ones_like(p)
        optimizer.step()
    assert "_program" not in vars(optimizer)


def test_a_rule_of_the_users_is_called_for_every_parameter() -> None:
    class Loud(optim.SGD):
        calls = 0

        def update(self, *args: Any) -> None:
            Loud.calls += 1
            super().update(*args)

    weight = chainrule.ones(LARGE, requires_grad=True)
    optimizer = Loud([weight], lr=0.1)
    for _ in range(6):
        weight.grad = chainrule.ones(LARGE)
        optimizer.step()
    assert Loud.calls == 6


def test_steps_are_taken_in_the_memory_of_the_parameters() -> None:
    """Nothing is copied and nothing moves, but what somebody looks at stays as it was seen."""
    run = Run("Adam", {"lr": 0.1})
    for _ in range(5):
        run.step()
    weight, first = run.parameters[0], run.optimizer.state[run.parameters[0]]["exp_avg"]
    places = [x.value.array.ctypes.data for x in (weight, first)]
    run.step()
    assert [x.value.array.ctypes.data for x in (weight, first)] == places
    alias, seen = weight.detach(), np.asarray(weight.detach())
    before = seen.copy()
    run.step()
    assert (seen == before).all() and not (np.asarray(weight.detach()) == before).all()
    assert (np.asarray(alias) == np.asarray(weight.detach())).all()


def test_a_step_goes_on_after_loading_copying_and_other_groups() -> None:
    def take(run: Run) -> None:
        for _ in range(5):
            run.step()
        saved = copy.deepcopy(run.optimizer.state_dict())
        for _ in range(3):
            run.step()
        run.optimizer.load_state_dict(saved)
        run.optimizer.param_groups = [dict(group) for group in run.optimizer.param_groups]
        run.optimizer.param_groups[0]["lr"] = 0.01
        for _ in range(5):
            run.step()
        run.parameters.append(chainrule.ones(1000, dtype=run.parameters[0].dtype, requires_grad=True))
        run.optimizer.add_param_group({"params": run.parameters[-1:]})
        for _ in range(5):
            run.step()

    run = both("AdamW", {"lr": 0.05}, chainrule.float32, take)
    copied = pickle.loads(pickle.dumps(run.optimizer))
    assert "_program" not in vars(copied) and "_program" not in vars(copy.deepcopy(run.optimizer))


def test_an_optimiser_that_is_dropped_is_gone() -> None:
    """The program does not keep it, nor what it remembers: no waiting for Python's collector."""
    run = Run("Adam", {"lr": 0.1})
    for _ in range(6):
        run.step()
    assert run.programs
    gone = weakref.ref(run.optimizer), weakref.ref(run.parameters[0])
    del run
    assert [reference() for reference in gone] == [None, None]


def test_arrays_of_parameters_stay_as_eager_code_wants_them() -> None:
    """Rows of 4 KB lie apart in a compiled step, which would be copied for every product here."""
    layer = chainrule.nn.Linear(1024, 64)
    optimizer = optim.Adam(layer.parameters())
    for _ in range(6):
        optimizer.zero_grad()
        layer(chainrule.ones(2, 1024)).sum().backward()
        optimizer.step()
    tensors = [x for p in layer.parameters() for x in (p, *optimizer.state[p].values())]
    assert vars(optimizer)["_program"].function.programs and all(has_room(x.value.array) for x in tensors)
    assert all(x.value.array.flags.c_contiguous for x in tensors)


def test_a_note_in_the_state_and_a_parameter_that_is_a_view_are_no_hindrance() -> None:
    found = []
    for how in (nullcontext, in_numpy):
        with how():
            whole = chainrule.ones(LARGE, 2)
            parameter = whole[:, 1].requires_grad_()
            optimizer = optim.Adam([parameter], lr=0.1)
            for i in range(8):
                parameter.grad = chainrule.full((LARGE,), 1.0 + i)
                optimizer.step()
                optimizer.state[parameter]["note"] = "of the user's"
            found.append(whole.detach().numpy())
    np.testing.assert_array_equal(*found)
    assert found[0][0, 0] == 1 and found[0][0, 1] < 0.5


def test_steps_in_a_compiled_function_are_part_of_it() -> None:
    ours, theirs = Run("Adam", {"lr": 0.1}), Run("Adam", {"lr": 0.1})
    step = chainrule.compile(lambda x: ((theirs.parameters[0] * x).sum().backward(), theirs.optimizer.step())[0])
    x = chainrule.full(SHAPES[0], 0.5)
    for _ in range(6):
        for p in (*ours.parameters, *theirs.parameters):
            p.grad = None
        (ours.parameters[0] * x).sum().backward()
        ours.optimizer.step()
        step(x)
    np.testing.assert_allclose(*[run.parameters[0].detach().numpy() for run in (ours, theirs)], rtol=1e-6)
    assert ours.programs and not theirs.programs
