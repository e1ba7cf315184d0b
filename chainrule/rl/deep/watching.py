"""What the doctor is shown of an agent."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from chainrule.train.doctor.acting import Acting

if TYPE_CHECKING:
    from chainrule.rl.deep.agent import Agent

#: So many episodes make up the first returns, and so many the latest.
FIRST, LATEST = 10, 20


def acting_of(agent: Agent) -> Acting:
    """How an agent stands, for `Doctor.observe_agent`.

    >>> from chainrule import rl
    >>> agent = rl.DQN(rl.make_vector("cartpole", 1), seed=1, compile=False)
    >>> acting_of(agent).exploration
    1.0
    """
    returns = [row[1] for row in agent.finished]
    enough = len(returns) >= FIRST + LATEST
    q, gamma = agent.figures.get("q"), agent.settings.gamma
    known = gamma < 1 and agent.largest_reward > 0
    return Acting(
        agent.steps, agent.terminated, agent.cut_off, agent.masked, agent.exploration,
        first=float(np.mean(returns[:FIRST])) if enough else math.nan,
        spread=float(np.std(returns[:FIRST])) if enough else 0.0,
        last=float(np.mean(returns[-LATEST:])) if enough else math.nan,
        value=None if q is None else abs(q), bound=agent.most_a_step / (1 - gamma) if known else math.inf,
    )  # fmt: skip
