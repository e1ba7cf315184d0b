"""Reinforcement learning: from the 5-tuple to an agent that plays.

`MDP` and its worlds, exact solutions, learning from experience in tables and with networks, environments of Gymnasium's
interface. The page docs/reinforcement.md goes through all of it with the class notes' grid (E 8).
"""

from chainrule.rl.deep.a2c import A2C
from chainrule.rl.deep.agent import Agent
from chainrule.rl.deep.dqn import DQN
from chainrule.rl.deep.evaluating import evaluate_agent, film_agent
from chainrule.rl.deep.ppo import PPO
from chainrule.rl.deep.recipes import agent_names, agent_settings
from chainrule.rl.deep.reinforce import REINFORCE
from chainrule.rl.deep.replay import PrioritisedReplay, Replay
from chainrule.rl.deep.run import AgentOutcome, open_agent, resume_agent, train_agent
from chainrule.rl.deep.sac import SAC
from chainrule.rl.drawing import draw_grid, grid_text, picture_text, save_gif, sweep_frames
from chainrule.rl.environment import Environment, TabularEnvironment
from chainrule.rl.episode import Episode, returns
from chainrule.rl.evaluation import action_values, occupancy, policy_sweeps, policy_values
from chainrule.rl.making import environments, make, make_vector
from chainrule.rl.mdp import MDP, Outcome
from chainrule.rl.planning import (
    Solution,
    bellman_residual,
    best_actions,
    greedy,
    modified_policy_iteration,
    policy_iteration,
    q_iteration,
    value_iteration,
)
from chainrule.rl.spaces import Box, Discrete
from chainrule.rl.tabular.acting import Learned
from chainrule.rl.tabular.dyna import dyna_q
from chainrule.rl.tabular.prediction import monte_carlo_control, monte_carlo_values, td_values
from chainrule.rl.tabular.q_learning import double_q_learning, q_learning
from chainrule.rl.tabular.sarsa import expected_sarsa, sarsa
from chainrule.rl.vector import SideBySide, VectorEnvironment
from chainrule.rl.worlds.gridworld import Gridworld, cliff_walking, frozen_lake
from chainrule.rl.worlds.small import bandit, chain

__all__ = [
    "MDP", "Outcome", "Episode", "returns",
    "policy_values", "policy_sweeps", "action_values", "occupancy",
    "Solution", "value_iteration", "q_iteration", "policy_iteration", "modified_policy_iteration", "bellman_residual",
    "best_actions", "greedy",
    "Gridworld", "cliff_walking", "frozen_lake", "chain", "bandit",
    "Learned", "monte_carlo_values", "monte_carlo_control", "td_values", "sarsa", "expected_sarsa", "q_learning",
    "double_q_learning", "dyna_q",
    "Agent", "DQN", "REINFORCE", "A2C", "PPO", "SAC", "Replay", "PrioritisedReplay",
    "train_agent", "resume_agent", "open_agent", "AgentOutcome", "agent_names", "agent_settings", "evaluate_agent",
    "film_agent",
    "environments", "make", "make_vector", "Environment", "TabularEnvironment", "VectorEnvironment", "SideBySide",
    "Box", "Discrete",
    "draw_grid", "grid_text", "sweep_frames", "save_gif", "picture_text",
]  # fmt: skip
