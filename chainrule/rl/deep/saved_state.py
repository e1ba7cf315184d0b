"""An agent's saved state: looked at before it is used, and the agent put back if something in it fails after all."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from chainrule.errors import CheckpointError
from chainrule.keys import brief
from chainrule.nn.module import Module
from chainrule.optim.optimizer import Optimizer
from chainrule.rl.deep.replay import Replay
from chainrule.tensor import Tensor

if TYPE_CHECKING:
    from chainrule.rl.deep.agent import Agent

#: Kinds of values; a value of one is not replaced by one of another.
_KINDS = (bool, int | float | np.number, str, list | tuple, Mapping, np.ndarray | Tensor)


def check_state(agent: Agent, state: Any) -> None:
    """Raise CheckpointError unless a state has all that an agent's has, each entry of its kind and shape."""
    parts = agent.parts()
    if not isinstance(state, Mapping) or not isinstance(state.get("parts"), Mapping):
        raise CheckpointError(f"an agent's state is a dictionary with its parts, got {brief(state)}.")
    if set(state["parts"]) != set(parts):
        raise CheckpointError(
            f"this is no state of the agent {agent.name}, whose parts are {', '.join(parts)}; it has "
            f"{', '.join(map(str, state['parts'])) or 'none'}."
        )
    own = agent.state_dict()
    # parts look at their states themselves; figures are there or not, and new episodes begin where worlds are empty
    loose = {"parts", "figures", *(() if state.get("worlds") else ("worlds",))}
    _check_like("", {name: {} if name in loose else value for name, value in own.items()}, state, loose)
    for name in ("steps", "updates"):
        if not isinstance(state[name], int) or state[name] < 0:
            raise CheckpointError(f"{name} in the checkpoint is a whole number, got {brief(state[name])}.")
    if not all(isinstance(row, list | tuple) and len(row) == 3 for row in state["finished"]):
        raise CheckpointError("finished in the checkpoint is a list of (step, return, length).")
    for name, part in parts.items():
        if isinstance(part, Replay):
            part.check(state["parts"][name])


def _check_like(where: str, own: Mapping[str, Any], saved: Mapping[str, Any], loose: set[str]) -> None:
    if missing := set(own) - set(saved):
        raise CheckpointError(f"the checkpoint lacks {where}{', '.join(sorted(missing))}; is it another agent's?")
    for name, value in own.items():
        other: Any = saved[name]
        kind: Any = next((kind for kind in _KINDS if isinstance(value, kind)), object)
        if not isinstance(other, kind) or isinstance(value, bool) != isinstance(other, bool):
            raise CheckpointError(f"{where}{name} is {brief(value)} here, in the checkpoint {brief(other)}.")
        if isinstance(value, np.ndarray | Tensor) and tuple(value.shape) != tuple(other.shape):
            raise CheckpointError(
                f"{where}{name} has the shape {tuple(value.shape)} here, in the checkpoint {tuple(other.shape)}. "
                "Are there as many worlds?"
            )
        if isinstance(value, Mapping) and name not in loose:
            _check_like(f"{where}{name}.", value, other, set())
        elif isinstance(value, list) and value and isinstance(value[0], Mapping):  # a state for each world
            if len(value) != len(other):
                raise CheckpointError(f"{where}{name} are {len(value)} here, in the checkpoint {len(other)}.")
            for i, (mine, its) in enumerate(zip(value, other, strict=True)):
                if not isinstance(its, Mapping):
                    raise CheckpointError(f"{where}{name}[{i}] in the checkpoint is no dictionary, but {brief(its)}.")
                _check_like(f"{where}{name}[{i}].", mine, its, set())


def remember(agent: Agent) -> Callable[[], None]:
    """A function that puts the agent back into the state of now; a memory, which is loaded last, is not touched."""
    cells: list[tuple[Any, Any]] = []
    optimizers = []
    for part in agent.parts().values():
        if isinstance(part, Module):
            cells += [(cell, cell.value) for cell in (*part.parameters(), *part.buffers())]
        elif isinstance(part, Optimizer):
            optimizers.append((part, part.state, [dict(group) for group in part.param_groups]))
    random, generator = copy.deepcopy(agent.random.bit_generator.state), agent.generator.get_state()
    worlds = copy.deepcopy(agent.worlds.state_dict())

    def put_back() -> None:
        for cell, value in cells:
            cell.set_value(value)
        for optimizer, state, groups in optimizers:
            optimizer.state = state
            for group, settings in zip(optimizer.param_groups, groups, strict=True):
                group.clear()
                group.update(settings)
        agent.random.bit_generator.state = random
        agent.generator.set_state(generator)
        if worlds:
            agent.worlds.load_state_dict(worlds)

    return put_back
