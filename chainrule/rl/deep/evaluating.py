"""How well an agent plays: greedy episodes in worlds of their own, and a film of one."""

from __future__ import annotations

from typing import Any

import numpy as np

from chainrule.rl.deep.agent import Agent
from chainrule.rl.episode import Array
from chainrule.rl.vector import VectorEnvironment


def evaluate_agent(agent: Agent, worlds: VectorEnvironment, *, episodes: int, seed: int, greedy: bool = True) -> Array:
    """The undiscounted returns of whole episodes (episodes,), each world's in turn; learning is not touched.

    Every world plays equally many (rounded up), so that short episodes do not count more often than long ones.

    >>> from chainrule import rl
    >>> agent = rl.DQN(rl.make_vector("cartpole", 1), seed=0, compile=False)
    >>> evaluate_agent(agent, rl.make_vector("cartpole", 4), episodes=8, seed=1).shape
    (8,)
    """
    count = worlds.num_envs
    rounds = -(-episodes // count)
    random = agent.random.bit_generator.state
    observations, _ = worlds.reset(seed=seed)
    returns: list[list[float]] = [[] for _ in range(count)]
    running = np.zeros(count)
    while min(map(len, returns)) < rounds:
        observations, rewards, terminated, truncated, _ = worlds.step(agent.act(observations, greedy))
        running += rewards
        for i in np.flatnonzero(terminated | truncated).tolist():
            returns[i].append(float(running[i]))
            running[i] = 0.0
    agent.random.bit_generator.state = random
    return np.array([returns[i][j] for j in range(rounds) for i in range(count)][:episodes])


def film_agent(
    agent: Agent, world: Any, *, seed: int = 0, max_steps: int = 500, every: int = 2
) -> tuple[list[Array], float]:
    """Pictures (H, W, 3) of a greedy episode, each `every` steps one, and its return.

    world: one environment made with `render_mode="rgb_array"`.
    """
    observation, _ = world.reset(seed=seed)
    frames, total, over, step = [np.asarray(world.render())], 0.0, False, 0
    while not over and step < max_steps:
        action = agent.act(np.asarray(observation)[None])[0]
        observation, reward, terminated, truncated, _ = world.step(action)
        total += float(reward)
        over, step = bool(terminated or truncated), step + 1
        if over or step % every == 0:
            frames.append(np.asarray(world.render()))
    return frames, total
