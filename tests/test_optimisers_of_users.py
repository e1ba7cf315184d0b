"""An optimiser that the user wrote goes on from its saved state as it was, whatever it is called."""

import copy
from typing import Any

import pytest

import chainrule
from chainrule import nn


def rule(name: str) -> Any:
    def init(self: Any, params: Any, lr: float = 0.1) -> None:
        chainrule.optim.Optimizer.__init__(self, params, {"lr": lr, "buffer": [[None, None] for _ in range(3)]})

    def step(self: Any, closure: Any = None) -> None:
        for group in self.param_groups:
            for p in group["params"]:
                state = self.state[p]
                state["step"] = state.get("step", 0) + 1
                group["buffer"][state["step"] % 3] = [state["step"], 0.5]
                p.data.add_(p.grad, alpha=-group["lr"] / (1 - 0.999 ** state["step"]))

    return type(name, (chainrule.optim.Optimizer,), {"__init__": init, "step": step})


@pytest.mark.parametrize("name", ["Mine", "RAdam", "Adam"])
def test_counts_and_settings_stay_what_they_were(name: str) -> None:
    weight = nn.Parameter(chainrule.ones(2))
    first, second = rule(name)([weight]), rule(name)([weight])
    weight.sum().backward()
    first.step()
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    assert type(second.state[weight]["step"]) is int and second.state[weight]["step"] == 1
    assert second.param_groups[0]["buffer"] == [[None, None], [1, 0.5], [None, None]]
    second.step()
    assert second.state[weight]["step"] == 2


def test_a_rule_of_ours_goes_on_from_a_count_in_python() -> None:
    weight = nn.Parameter(chainrule.ones(2))
    first, second = chainrule.optim.Adam([weight]), chainrule.optim.Adam([weight])
    weight.sum().backward()
    first.step()
    saved = copy.deepcopy(first.state_dict())
    saved["state"][0]["step"] = 1  # as PyTorch once saved it
    second.load_state_dict(saved)
    second.step()
    assert second.state[weight]["step"].item() == 2
