"""Environments by name: ours, and those of Gymnasium where it is installed."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from typing import Any

from chainrule.rl.control import ControlEnvironment, ControlEnvironments
from chainrule.rl.environment import TabularEnvironment
from chainrule.rl.mdp import MDP
from chainrule.rl.vector import SideBySide, VectorEnvironment
from chainrule.rl.worlds.control import Acrobot, CartPole, MountainCar, Pendulum, Physics
from chainrule.rl.worlds.gridworld import Gridworld, cliff_walking, frozen_lake
from chainrule.rl.worlds.small import bandit, chain

_CONTROL: dict[str, type[Physics]] = {
    "cartpole": CartPole, "acrobot": Acrobot, "mountaincar": MountainCar, "pendulum": Pendulum,
}  # fmt: skip
#: Processes, and after how many steps their episodes are truncated.
_TABULAR: dict[str, tuple[Callable[..., MDP], int]] = {
    "gridworld": (Gridworld, 200), "cliffwalking": (cliff_walking, 1000), "frozenlake": (frozen_lake, 100),
    "chain": (chain, 100), "bandit": (bandit, 1),
}  # fmt: skip
#: Gymnasium's names of ours.
_VERSIONS = {
    "cartpole": "CartPole-v1", "acrobot": "Acrobot-v1", "mountaincar": "MountainCar-v0", "pendulum": "Pendulum-v1",
    "cliffwalking": "CliffWalking-v1", "frozenlake": "FrozenLake-v1",
}  # fmt: skip


def environments() -> list[str]:
    """The names of our environments. With Gymnasium installed (the extra `rl`), `make` knows its names too.

    >>> environments()
    ['acrobot', 'bandit', 'cartpole', 'chain', 'cliffwalking', 'frozenlake', 'gridworld', 'mountaincar', 'pendulum']
    """
    return sorted([*_CONTROL, *_TABULAR])


def make(name: str, *, max_steps: int | None = None, render_mode: str | None = None, **options: Any) -> Any:
    """An environment of Gymnasium's interface by its name: "cartpole" or "CartPole-v1"; other names are Gymnasium's.

    max_steps: another time limit than the usual. render_mode: "rgb_array" for pictures. Options are those of the world,
    such as `gamma` or `slip` of a Gridworld. Raises ValueError for a name that nobody knows.

    >>> make("pendulum").action_space
    Box(-2.0, 2.0, (1,), float32)
    >>> make("cartpoll")
    Traceback (most recent call last):
    ValueError: there is no environment 'cartpoll'; there are acrobot, bandit, cartpole, ... Did you mean cartpole?
    """
    own = _own_name(name)
    if own in _CONTROL:
        return ControlEnvironment(_CONTROL[own](**options), max_steps, render_mode)
    if own in _TABULAR:
        build, limit = _TABULAR[own]
        return TabularEnvironment(build(**options), limit if max_steps is None else max_steps, render_mode)
    return _gymnasium(name, max_steps, render_mode, options)


def make_vector(name: str, count: int, *, max_steps: int | None = None, **options: Any) -> VectorEnvironment:
    """`count` environments side by side, by name as in `make`.

    >>> make_vector("gridworld", 4).reset(seed=0)[0].shape
    (4,)
    """
    own = _own_name(name)
    if own in _CONTROL:
        return ControlEnvironments(_CONTROL[own](**options), count, max_steps)
    return SideBySide([make(name, max_steps=max_steps, **options) for _ in range(count)])


def _own_name(name: str) -> str:
    for own, version in _VERSIONS.items():
        if name == version:
            return own
    return name.lower()


def _gymnasium(name: str, max_steps: int | None, render_mode: str | None, options: dict[str, Any]) -> Any:
    try:
        import gymnasium
    except ImportError:
        raise ValueError(
            _unknown(name, 'Gymnasium, which has more, is not installed: pip install "chainrule[rl]".')
        ) from None
    try:
        return gymnasium.make(name, max_episode_steps=max_steps, render_mode=render_mode, **options)
    except gymnasium.error.DependencyNotInstalled as error:
        raise ValueError(f"the environment {name} needs more than Gymnasium: {error}") from error
    except gymnasium.error.Error as error:
        raise ValueError(_unknown(name, f"Gymnasium says: {error}")) from error


def _unknown(name: str, more: str) -> str:
    close = difflib.get_close_matches(name.lower().partition("-v")[0], environments(), n=1)
    hint = f"Did you mean {close[0]}?" if close else more
    return f"there is no environment {name!r}; there are {', '.join(environments())}. {hint}"
