"""Agents by name, and settings that suit a world: a recipe is what differs from an agent's defaults."""

from __future__ import annotations

import dataclasses
import difflib
from typing import Any, NamedTuple

from chainrule.rl.deep.a2c import A2C
from chainrule.rl.deep.agent import Agent
from chainrule.rl.deep.dqn import DQN
from chainrule.rl.deep.ppo import PPO
from chainrule.rl.deep.reinforce import REINFORCE
from chainrule.rl.deep.sac import SAC
from chainrule.rl.making import environments, make

AGENTS: dict[str, type[Agent]] = {agent.name: agent for agent in (A2C, DQN, PPO, REINFORCE, SAC)}

#: How many worlds stand side by side, where the recipe does not say.
WORLDS = {"a2c": 8, "dqn": 1, "ppo": 8, "reinforce": 8, "sac": 1}

#: By agent and world: settings of the agent, and `worlds`.
RECIPES: dict[tuple[str, str], dict[str, Any]] = {
    ("dqn", "mountaincar"): {
        "steps": 120_000, "gamma": 0.98, "learning_rate": 4e-3, "batch_size": 128, "train_every": 16,
        "updates": 8, "target_every": 200, "epsilon_end": 0.07, "hidden": (128, 128),
    },
    ("ppo", "lunarlander"): {
        "worlds": 16, "steps": 1_000_000, "lambda_": 0.97, "learning_rate": 2e-3, "length": 256, "epochs": 6,
        "entropy": 0.005,
    },
    # long rollouts: until one has come to its end by chance, all returns are the same
    ("ppo", "acrobot"): {
        "worlds": 16, "steps": 300_000, "lambda_": 0.94, "length": 256, "epochs": 4, "batch_size": 128,
    },
    ("ppo", "pendulum"): {"steps": 300_000, "gamma": 0.9, "length": 256, "batch_size": 128},
}  # fmt: skip


class AgentEntry(NamedTuple):
    """What `chainrule models` says of an agent, by the names of `chainrule.models.registry.Entry`.

    `data` are our worlds whose actions it can take, `options` its settings with their defaults.
    """

    name: str
    task: str
    data: tuple[str, ...]
    input: tuple[int, ...]
    paper: str
    options: dict[str, Any]


def agent_entries() -> dict[str, AgentEntry]:
    """An entry for each agent. Its networks follow from the world, so there is no input to count costs for.

    >>> agent_entries()["sac"].data
    ('pendulum',)
    """
    kinds = {world: "choices" if hasattr(make(world).action_space, "n") else "vectors" for world in environments()}
    return {
        name: AgentEntry(
            name, "reinforcement learning", tuple(world for world, kind in kinds.items() if kind in agent.actions), (),
            agent.paper, {field.name: field.default for field in dataclasses.fields(agent.Settings)},
        )
        for name, agent in sorted(AGENTS.items())
    }  # fmt: skip


def agent_names() -> list[str]:
    """The names of all agents.

    >>> agent_names()
    ['a2c', 'dqn', 'ppo', 'reinforce', 'sac']
    """
    return sorted(AGENTS)


def _recipe(name: str, world: str) -> dict[str, Any]:
    return RECIPES.get((name, world.lower().partition("-v")[0]), {})


def usual_worlds(name: str, world: str) -> int:
    """How many worlds an agent learns in side by side.

    >>> usual_worlds("ppo", "cartpole"), usual_worlds("ppo", "LunarLander-v3")
    (8, 16)
    """
    return int(_recipe(name, world).get("worlds", WORLDS[name]))


def agent_settings(name: str, world: str, **changes: Any) -> Any:
    """An agent's settings for a world: its defaults, the recipe, and then the changes.

    Raises ValueError for an agent or a setting that there is not, and for a value of another kind.

    >>> agent_settings("ppo", "acrobot", steps=1000).length
    256
    >>> agent_settings("ppo", "cartpole", epoch=3)
    Traceback (most recent call last):
    ValueError: the agent ppo has no setting 'epoch'; did you mean epochs? It has steps, gamma, lambda_, ...
    """
    kind = find_agent(name).Settings
    defaults = {field.name: field.default for field in dataclasses.fields(kind)}
    recipe = {key: value for key, value in _recipe(name, world).items() if key != "worlds"}
    settings = {**recipe, **changes}
    for key, value in settings.items():
        if key not in defaults:
            close = difflib.get_close_matches(key, defaults, n=1)
            hint = f"did you mean {close[0]}? It has" if close else "it has"
            raise ValueError(f"the agent {name} has no setting {key!r}; {hint} {', '.join(defaults)}.")
        if isinstance(defaults[key], tuple):
            value = settings[key] = tuple(value) if isinstance(value, list | tuple) else (value,)
        fits = float | int if type(defaults[key]) is float else type(defaults[key])
        if not isinstance(value, fits) or isinstance(value, bool) != isinstance(defaults[key], bool):
            raise ValueError(f"{key} of the agent {name} is like {defaults[key]!r}, got {value!r}.")
    return kind(**settings)


def find_agent(name: str) -> type[Agent]:
    """An agent's class by its name. Raises ValueError for one that there is not."""
    if name not in AGENTS:
        close = difflib.get_close_matches(name.lower(), AGENTS, n=1)
        hint = f" Did you mean {close[0]}?" if close else ""
        raise ValueError(f"there is no agent {name!r}; there are {', '.join(agent_names())}.{hint}")
    return AGENTS[name]
